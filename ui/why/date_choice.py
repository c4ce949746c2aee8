"""A date to ask about: typed, or the one that the map shows."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QVBoxLayout, QWidget

from ...core.contracts import ConfigError, DataError
from ...core.contracts.dates import format_date, parse_date
from ...core.contracts.steps import advance
from ..text import date_words, tr
from ..widgets import DateField, button, row
from .context import WhyContext


class DateChoice(QWidget):
    """A field for a date, and a button that takes the date of the map's current frame. ``name`` is the object name of
    the field, as in freshetWhyDate.
    """

    changed = pyqtSignal()

    def __init__(self, context: WhyContext, name: str, what: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._context, self._what = context, what
        self.field = DateField(name, what)
        self.map_button = button(
            tr("Date of the map"),
            f"{name}Map",
            self.take_map_date,
            tr("Take the date that the map shows now (temporal controller)."),
        )
        self.map_button.setEnabled(context.temporal is not None)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(self.field, self.map_button, stretch=False))
        self.field.textChanged.connect(lambda *_: self.changed.emit())
        self.setFocusProxy(self.field)

    def iso(self) -> str:
        """The date; raises :class:`ConfigError` without one and :class:`DataError` where no window of the model can
        lie before it in the dataset.
        """
        text = self.field.iso()
        if not text:
            raise ConfigError(tr("No date is chosen"), remedy=tr("Type the {what}").format(what=_small(self._what)))
        self._check(parse_date(text, self._what), text)
        return text

    def propose(self) -> None:
        """In an empty field the first date of the model's test period."""
        card = self._context.asked().card
        if card is None or self.field.text().strip():
            return
        test = card.periods.get("test") or ()
        first = test.get("start", "") if isinstance(test, dict) else next(iter(test), "")
        self.field.setText(date_words(str(first)))

    def take_map_date(self) -> None:
        """Take the date that the map shows; without one nothing changes, and the tip says why."""
        shown = self._context.map_date()
        if shown:
            self.field.setText(date_words(shown))
        else:
            self.map_button.setToolTip(tr("The map plays no dates yet: show maps of a run first."))

    def possible(self) -> Optional[tuple[datetime, datetime]]:
        """First and last date that the model can be asked about, gaps aside; None where this is not known."""
        asked = self._context.asked()
        if asked.card is None or asked.summary is None or not asked.summary.step_seconds:
            return None
        card, step = asked.card, asked.summary.step_seconds
        ahead = card.lead if asked.lead is None else asked.lead
        try:
            first, last = parse_date(asked.summary.start), parse_date(asked.summary.end)
        except DataError:
            return None
        return advance(first, card.window - 1 + ahead, step), advance(last, ahead, step)

    def _check(self, wanted: datetime, text: str) -> None:
        found = self.possible()
        if found is None or found[0].date() <= wanted.date() <= found[1].date():
            return
        first, last = (date_words(format_date(moment)) for moment in found)
        asked = self._context.asked()
        raise DataError(
            tr("There is no full window before this date")
            if wanted < found[0]
            else tr("The date lies after the dataset"),
            expected=tr("a date from {first} to {last}: the model reads {window} steps before each").format(
                first=first, last=last, window=asked.card.window
            ),
            got=text,
            remedy=tr("Choose one of these dates, or another dataset"),
        )


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
