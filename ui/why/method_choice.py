"""How an explanation is made: the method with what it assumes and costs, and only the fields that it reads."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from ...core.contracts import ExplainJob
from ...core.contracts.config import rule_of
from ...core.contracts.explain_methods import METHOD_WORDS, MethodWords
from ..forms import Form, config_fields
from ..text import tr
from ..widgets import Fold

_MAIN = ("method", "baseline", "steps")
_MORE = ("samples", "noise", "seed", "block", "block_steps", "sigma", "layer", "share", "device")
_OFTEN = ("samples",)  # of the advanced fields: what a method that samples is ruled by stays in sight
_BY_METHOD = ("baseline", "steps", "samples", "noise", "seed", "block", "block_steps", "sigma", "layer")
_AGAINST = {"mean": "each variable's mean", "dry": "a sequence without rain", "climatology": "the usual of the season"}


class MethodChoice(QWidget):
    """Three forms: the method and what is always in sight, samples, and the rest folded away."""

    changed = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}Choice")
        self.main = Form(config_fields(ExplainJob, _MAIN), name)
        self.samples = Form(config_fields(ExplainJob, _OFTEN), f"{name}Samples")
        self.more = Form(config_fields(ExplainJob, [f for f in _MORE if f not in _OFTEN]), f"{name}More")
        self.words = QLabel()
        self.words.setObjectName(f"{name}Words")
        self.words.setWordWrap(True)
        self.main.layout().insertRow(1, self.words)
        _name(self.main.editors["method"], {key: known.label for key, known in METHOD_WORDS.items()})
        _name(self.main.editors["baseline"], {key: tr(text) for key, text in _AGAINST.items()})
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        rule = rule_of(ExplainJob, "check_method")
        self.check = QCheckBox(tr(rule.label))  # in a form its long label would leave the other fields no room
        self.check.setObjectName(f"{name}_check_method")
        self.check.setToolTip(tr(rule.help))
        self.check.toggled.connect(lambda *_: self.changed.emit())
        self.fold = Fold(tr("More settings"), self.more, f"{name}Fold")
        for part in (self.main, self.samples, self.check, self.fold):
            column.addWidget(part)
        self.main.editors["method"].currentIndexChanged.connect(self._follow)
        for form in (self.main, self.samples, self.more):
            form.changed.connect(self.changed)
        self._follow()

    @property
    def method(self) -> MethodWords:
        """What is known of the chosen method."""
        return METHOD_WORDS[self.main.editors["method"].currentData()]

    def choose(self, name: str) -> None:
        """Choose a method."""
        self.main.set_values({"method": name})

    def values(self) -> dict[str, Any]:
        """Fields of the job; of what the method does not read the defaults. Raises :class:`FreshetError` for one that
        cannot be read.
        """
        fields = {**self.main.values(), **self.samples.values(), **self.more.values()}
        return {**fields, "check_method": self.check.isChecked()}

    def _follow(self, *_: Any) -> None:
        known = self.method
        self.words.setText(f"{tr(known.assumes)} {tr(known.costs)}")
        for form in (self.main, self.samples, self.more):
            for field in form.editors:
                if field in _BY_METHOD:
                    form.show_row(field, field in known.reads)
        self.samples.setVisible("samples" in known.reads)
        self.more.show_row("share", known.cells)


def _name(combo: Any, words: dict[str, str]) -> None:
    for i in range(combo.count()):
        combo.setItemText(i, words[combo.itemData(i)])
