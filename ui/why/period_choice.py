"""A period to ask about: first and last date, both may be left open."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QLabel, QWidget

from ...core.contracts import DataError, PeriodConfig
from ...core.contracts.dates import format_date, parse_date
from ...core.contracts.steps import advance
from ..text import date_words, tr
from ..widgets import DateField, row
from .context import WhyContext


class PeriodChoice(QWidget):
    """Two fields for dates. ``name`` begins their object names, ``what`` says in small words what the period is for,
    ``empty`` what is taken where both are empty.
    """

    changed = pyqtSignal()

    def __init__(
        self, context: WhyContext, name: str, what: str, empty: str = "", parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._context, self._what = context, what
        self.start = DateField(f"{name}_start", tr("First date {what}").format(what=what))
        self.end = DateField(f"{name}_end", tr("Last date {what}").format(what=what))
        for field in (self.start, self.end):
            field.setPlaceholderText(empty or tr("open"))
            field.setToolTip(f"{field.toolTip()} {tr('Empty: {empty}.').format(empty=empty or tr('open'))}")
            field.textChanged.connect(lambda *_: self.changed.emit())
        self.setLayout(row(self.start, QLabel("–"), self.end, stretch=False))
        self.setFocusProxy(self.start)

    def period(self) -> PeriodConfig:
        """The dates as typed. Raises the :class:`FreshetError` family where they are none, are not in order, or where
        the model can predict none of them from the dataset.
        """
        found = PeriodConfig(self.start.iso(), self.end.iso())
        known = possible_dates(self._context)
        if known is None:
            return found
        first, last = known
        begins_late = bool(found.start) and parse_date(found.start).date() > last.date()
        ends_early = bool(found.end) and parse_date(found.end).date() < first.date()
        if begins_late or ends_early:
            raise DataError(
                tr("The period {what} holds no date that can be predicted").format(what=self._what),
                expected=tr("dates from {first} to {last}: the model reads {window} steps before each").format(
                    first=date_words(format_date(first)), last=date_words(format_date(last)),
                    window=self._context.asked().card.window,
                ),
                got=f"{found.start or tr('the begin')} .. {found.end or tr('the end')}",
                remedy=tr("Choose a period within these dates, or leave both fields empty"),
            )  # fmt: skip
        return found


def possible_dates(context: WhyContext) -> Optional[tuple[datetime, datetime]]:
    """First and last date that the chosen model predicts from the chosen dataset, gaps aside; None where this is not
    known.
    """
    asked = context.asked()
    if asked.card is None or asked.summary is None or not asked.summary.step_seconds:
        return None
    step = asked.summary.step_seconds
    ahead = asked.card.lead if asked.lead is None else asked.lead
    try:
        first, last = parse_date(asked.summary.start), parse_date(asked.summary.end)
    except DataError:
        return None
    return advance(first, asked.card.window - 1 + ahead, step), advance(last, ahead, step)
