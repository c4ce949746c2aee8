"""What a model is for: a use of the catalogue fills the page, and says in a sentence what it needs."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from ..core.contracts import ConfigError, ModelConfig, TrainingConfig, TrainJob
from ..core.contracts.uses import USES, WITHIN, apply_use, find_use, propose
from ..plugin.datasets import DatasetSummary
from .forms import Form, config_fields
from .text import tr
from .widgets import Notice, narrow, row

HIDING_FIELDS = ("hidden_share", "hiding")
_TASK = ("lead", "leads", "window", "warm_up")
_TRAINING = ("learning_rate", "loss", "supervised_steps", "sampling")


class WhatFor(QWidget):
    """A combo of the uses, what the chosen one needs, and how much is hidden where gaps are filled."""

    chosen = pyqtSignal()
    changed = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.combo = narrow(QComboBox())
        self.combo.setObjectName(f"{name}Combo")
        self.combo.setToolTip(tr("Fills the page with what suits a use; everything can still be changed."))
        self.combo.addItem(tr("as set below"), "")
        for use in USES:
            self.combo.addItem(tr(use.label), use.name)
            self.combo.setItemData(self.combo.count() - 1, tr(use.help), 3)
        label = QLabel(tr("What for"))
        label.setBuddy(self.combo)
        self.needs = QLabel()
        self.needs.setObjectName(f"{name}Needs")
        self.needs.setWordWrap(True)
        self.notice = Notice(f"{name}Notice")
        self.hiding = Form(config_fields(TrainJob, HIDING_FIELDS), f"{name}Hiding")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(label, self.combo, stretch=False))
        for part in (self.needs, self.notice, self.hiding):
            column.addWidget(part)
        self.combo.currentIndexChanged.connect(self._choose)
        self.hiding.changed.connect(self.changed)
        self._show()

    @property
    def use(self) -> str:
        """Name of the use, "" for none."""
        return self.combo.currentData() or ""

    def values(self) -> dict[str, Any]:
        """Fields of the job; raises :class:`ConfigError` for one that cannot be read."""
        return {"use": self.use, **self.hiding.values()}

    def set_values(self, job: TrainJob) -> None:
        """Show what a job says, without filling the page anew."""
        self.combo.blockSignals(True)
        self.combo.setCurrentIndex(max(0, self.combo.findData(job.use)))
        self.combo.blockSignals(False)
        self._show(job.hidden_share > 0.0)
        self.hiding.set_values(vars(job))

    def fill(self, page: Any, summary: Optional[DatasetSummary]) -> None:
        """Set the fields of the page Model to what the use says, with variables of the dataset that suit it."""
        self.notice.clear_text()
        if not self.use or summary is None:
            return
        found = propose(self.use, summary.variables, page.target.currentData() or "")
        if not found["target"]:
            needs = find_use(self.use).needs
            self.notice.say(tr("No variable of the dataset suits this use. It needs: {needs}").format(needs=needs))
            return
        try:
            settings = apply_use(self.use, found)
        except ConfigError as error:
            self.notice.fail(error)
            settings = {**find_use(self.use).settings, **found}
        _fill(page, settings)
        self.hiding.set_values(settings)

    def _choose(self, *_: Any) -> None:
        self._show()
        self.chosen.emit()

    def _show(self, filling: bool = False) -> None:
        use = find_use(self.use) if self.use else None
        self.needs.setText(f"{tr(use.help)} {tr('It needs: {needs}').format(needs=tr(use.needs))}" if use else "")
        self.needs.setVisible(use is not None)
        filling = filling or (use is not None and use.when == WITHIN)
        for name in HIDING_FIELDS:  # what is left out keeps its default: nothing is hidden
            self.hiding.show_row(name, filling)
        self.hiding.setVisible(filling)


def _fill(page: Any, settings: dict[str, Any]) -> None:
    """Target, inputs, shape, model and training of the page; what the use does not set goes back to its default."""
    page.target.setCurrentIndex(page.target.findData(settings["target"]))
    page.inputs.tick(settings["inputs"])
    page.static.tick(settings["static"])
    page.shape.set_values({name: settings.get(name, getattr(TrainJob, name)) for name in _TASK})
    usual, training = TrainingConfig(), settings.get("training", {})
    for form in (page.training, page.training_more):
        form.set_values({name: training.get(name, getattr(usual, name)) for name in _TRAINING})
    page.scalers.setText(", ".join(f"{name}: {kind}" for name, kind in settings.get("scalers", {}).items()))
    model = settings.get("model", {"family": ModelConfig.family})
    page.family.choose(model["family"])
    for form in (page.options, page.options_more):
        form.reset()
        form.set_values({name: _listed(value) for name, value in model.get("options", {}).items()})


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
