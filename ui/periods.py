"""The three periods of a training: dates to type, a bar drawn to scale."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QGridLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from ..core.contracts.config import rule_of
from ..core.contracts.dates import format_date
from ..core.contracts.steps import advance
from ..core.contracts.training_job import PeriodConfig, SplitConfig
from ..plugin.processing.parameters import split_names
from .text import tr
from .timebars import Span, TimeBars
from .widgets import DateField

NAMES = ("train", "validation", "test")
_LABELS = {"train": "Training", "validation": "Validation", "test": "Test"}
_HELP = {
    "train": "Dates of the targets that the model learns from.",
    "validation": "Dates that decide when training stops; the model does not learn from them.",
    "test": "Dates that are never seen in training; the scores come from them.",
}


def shares(
    start: datetime, steps: int, step_seconds: float, split: Optional[SplitConfig] = None
) -> dict[str, tuple[str, str]]:
    """First and last date of each period by the shares of ``split``, test last. Needs at least three steps."""
    split = split or SplitConfig()
    tests, validations = (max(1, round(steps * share)) for share in (split.test_share, split.validation_share))
    ends = {"train": steps - tests - validations, "validation": steps - tests, "test": steps}
    found, begin = {}, 0
    for name in NAMES:
        first, last = (advance(start, i, step_seconds) for i in (begin, max(begin, ends[name] - 1)))
        found[name] = (format_date(first), format_date(last))
        begin = ends[name]
    return found


class Periods(QWidget):
    """Six dates and their bar. All empty: the shares of the job's defaults, cut from the end of each record. Of a
    dataset with sequences whole ones may be named in their place.
    """

    changed = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.fields: dict[str, tuple[DateField, DateField]] = {}
        self._by_share = SplitConfig()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.bar = TimeBars(f"{name}Bar")
        column.addWidget(self.bar)
        grid = QGridLayout()
        column.addLayout(grid)
        for i, period in enumerate(NAMES):
            label = QLabel(tr(_LABELS[period]))
            label.setToolTip(tr(_HELP[period]))
            fields = tuple(
                DateField(f"{name}_{period}_{end}", f"{tr(_LABELS[period])}, {word}")
                for end, word in (("start", tr("first date")), ("end", tr("last date")))
            )
            label.setBuddy(fields[0])
            grid.addWidget(label, i, 0)
            grid.addWidget(fields[0], i, 1)
            grid.addWidget(QLabel("–"), i, 2)
            grid.addWidget(fields[1], i, 3)
            self.fields[period] = fields
            for field in fields:
                field.setPlaceholderText(tr("by share"))
                field.textChanged.connect(self._tell)
        self.sequences: dict[str, QLineEdit] = {}
        self._sequence_widgets: list[QWidget] = []
        for i, period in enumerate(NAMES[1:], start=len(NAMES)):
            rule = rule_of(SplitConfig, f"{period}_sequences")
            label, field = QLabel(tr(rule.label)), QLineEdit()
            field.setObjectName(f"{name}_{period}_sequences")
            field.setToolTip(tr(rule.help))
            field.setPlaceholderText(tr("none; by share of each sequence"))
            field.textChanged.connect(self._tell)
            label.setBuddy(field)
            grid.addWidget(label, i, 0)
            grid.addWidget(field, i, 1, 1, 3)
            self.sequences[period] = field
            self._sequence_widgets += [label, field]
        self.set_sequences([])

    def set_dates(self, dates: dict[str, tuple[str, str]]) -> None:
        """Show first and last date of each period; an empty dictionary empties all."""
        self.blockSignals(True)
        for period, fields in self.fields.items():
            for field, text in zip(fields, dates.get(period, ("", ""))):
                field.setText(text)
        self.blockSignals(False)
        self._tell()

    def set_sequences(self, names: list[str]) -> None:
        """Offer whole sequences for validation and test where there are several; ``names`` are shown as a tip."""
        for widget in self._sequence_widgets:
            widget.setVisible(len(names) > 1)
        for period, field in self.sequences.items():
            told = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
            field.setToolTip(f"{tr(rule_of(SplitConfig, f'{period}_sequences').help)} {told}".strip())
            if len(names) < 2:
                field.clear()

    def set_split(self, split: SplitConfig) -> None:
        """Show a split: its dates, or none where it goes by shares, which are kept."""
        given = {name: getattr(split, name) for name in NAMES}
        self._by_share = split if not any(given.values()) else SplitConfig()
        self.set_dates({name: (part.start, part.end) for name, part in given.items() if part})
        for period, field in self.sequences.items():
            field.setText(", ".join(getattr(split, f"{period}_sequences")))

    def split(self) -> SplitConfig:
        """The periods as typed; raises ConfigError or DataError with the sentence to show."""
        dates = {period: (first.iso(), last.iso()) for period, (first, last) in self.fields.items()}
        whole = {f"{period}_sequences": split_names(field.text()) for period, field in self.sequences.items()}
        if not any(end for pair in dates.values() for end in pair):
            return self._by_share.replace(**whole)
        given = {period: PeriodConfig(*pair) for period, pair in dates.items() if any(pair)}
        return SplitConfig(**given, **whole)

    def _tell(self, *_: object) -> None:
        spans = []
        for period, (first, last) in self.fields.items():
            start, end = first.moment(), last.moment()
            if start and end and end >= start:
                spans.append(Span(start, end, period, tr(_LABELS[period])))
        self.bar.show_rows([("", spans)])
        self.changed.emit()
