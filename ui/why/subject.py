"""The part of the page Why that all questions share: model, dataset, and where there are several, target and lead."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QWidget

from ...core.contracts import RunFolder, RunState
from ...core.contracts.model_card import ModelCard
from ...plugin.runs import Runs
from ..attribution import readable_card
from ..text import tr
from ..widgets import Notice, PathField, narrow, refill
from .context import Asked, WhyContext

_TRAINED = ("train", "finetune")


class Subject(QWidget):
    """Combo boxes that write what they say into the context."""

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetWhySubject")
        self._context = context
        self._card: tuple[str, Optional[ModelCard]] = ("", None)
        self.model, self.dataset = narrow(QComboBox()), narrow(QComboBox())
        self.target, self.lead = narrow(QComboBox()), narrow(QComboBox())
        for combo, name, tip in (
            (self.model, "Model", tr("The trained run whose model is asked, or a model file.")),
            (self.dataset, "Dataset", tr("Dataset with the variables that the model needs.")),
            (self.target, "Target", tr("Which of the model's targets.")),
            (self.lead, "Lead", tr("Which of the predicted steps, counted after the last one that the model reads.")),
        ):
            combo.setObjectName(f"freshetWhy{name}")
            combo.setToolTip(tip)
        self.model_file = PathField(
            "freshetWhyModelFile",
            tr("Saved model"),
            "open",
            tr("Freshet models (*.safetensors ensemble.json)"),
        )
        self.notice = Notice("freshetWhyModelNotice")
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow(tr("Model"), self.model)
        self._rows.addRow("", self.model_file)
        self._rows.addRow(self.notice)
        self._rows.addRow(tr("Dataset"), self.dataset)
        self._rows.addRow(tr("Target"), self.target)
        self._rows.addRow(tr("Steps ahead"), self.lead)
        for combo in (self.model, self.dataset, self.target, self.lead):
            combo.currentIndexChanged.connect(self._tell)
        self.model_file.changed.connect(self._tell)

    def model_path(self) -> str:
        """The chosen model file, from a run or from the field."""
        return self.model.currentData() or self.model_file.path()

    def refresh(self) -> None:
        """Follow runs and datasets."""
        refill(self.model, [*trained_models(self._context.runs), (tr("A model file ..."), "")])
        if not self.model.currentData() and not self.model_file.path():
            self.model.setCurrentIndex(0)  # the newest trained run, unless a file was named
        each = [(item.name, item) for item in self._context.datasets.each()]
        refill(self.dataset, each, self._context.choice.dataset)
        self._tell()

    def follow_dataset(self, path: str) -> None:
        """The strip above the pages chose another dataset."""
        for i in range(self.dataset.count()):
            if self.dataset.itemData(i).path == path:
                self.dataset.setCurrentIndex(i)
                return

    def _tell(self, *_: Any) -> None:
        self.model_file.setVisible(not self.model.currentData())
        path = self.model_path()
        if path != self._card[0] or self._card[1] is None:  # a file that was not there may have come
            self._card = (path, readable_card(path))
        card = self._card[1]
        targets = [(_named(item), item.name) for item in card.targets] if card else []
        leads = list(range(card.lead, card.lead + card.leads)) if card else []
        self._offer(self.target, targets)
        self._offer(self.lead, [(str(step), step) for step in leads])
        self._context.set_asked(
            Asked(
                path,
                card,
                self.dataset.currentData(),
                self.target.currentData() or "" if len(targets) > 1 else "",
                self.lead.currentData() if len(leads) > 1 else None,
            )
        )

    def _offer(self, combo: QComboBox, entries: list) -> None:
        """Shown only where there is something to choose."""
        refill(combo, entries)
        for widget in (combo, self._rows.labelForField(combo)):
            widget.setVisible(len(entries) > 1)


def _named(item: Any) -> str:
    return f"{item.label or item.name} ({item.units})"


def trained_models(runs: Runs) -> list[tuple[str, str]]:
    """Title and model file of each finished training, the newest first; an ensemble stands before its best member."""
    done = [item for item in runs.runs() if item.verb in _TRAINED and item.state is RunState.DONE]
    files = []
    for item in done:
        run = RunFolder(item.path)
        files.append((tr("{title}, mean of its members").format(title=item.title), run.ensemble_file))
        files.append((item.title, run.model_file))
    return [(title, str(path)) for title, path in files if path.is_file()]
