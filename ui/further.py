"""More about the task: what one model learns beside its target, what is known ahead, and whether it runs through."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from ..core.contracts import TrainJob
from ..core.contracts.config import rule_of
from ..core.contracts.models import Family
from ..plugin.datasets import DatasetSummary, VariableSummary
from .forms import Form, config_fields
from .picks import Picks
from .text import tr
from .widgets import Notice

FIELDS = ("run_through",)


class FurtherTask(QWidget):
    """``also``, ``ahead`` and ``run_through`` of a :class:`TrainJob`; each is shown only where the family can do it,
    and what is not shown keeps its default.
    """

    changed = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        inner = QWidget()
        self._rows = QFormLayout(inner)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.also = self._picks("also", f"{name}Also")
        self.ahead = self._picks("ahead", f"{name}Ahead")
        self.form = Form(config_fields(TrainJob, FIELDS), f"{name}Form")
        self.form.changed.connect(self.changed)
        self.notice = Notice(f"{name}Notice")
        for part in (inner, self.notice, self.form):
            column.addWidget(part)
        self._family: Optional[Family] = None
        self._shown = {"also": False, "ahead": False}

    def values(self) -> dict[str, Any]:
        """Fields of the job; raises :class:`FreshetError` for one that cannot be read."""
        picked = {name: getattr(self, name).ticked() if shown else () for name, shown in self._shown.items()}
        return {**picked, **self.form.values()}

    def set_values(self, job: TrainJob) -> None:
        """Show what a job says."""
        self.also.tick(job.also)
        self.ahead.tick(job.ahead)
        self.form.set_values(vars(job))

    def follow(self, variables: tuple[VariableSummary, ...], target: str, found: Family) -> None:
        """Offer what fits the target and the family."""
        held = {item.name: item for item in variables}
        at_gauges = target in held and held[target].gauges
        moving = [item for item in variables if not item.static]
        others = [item for item in moving if item.name != target and (at_gauges or not item.gauges)]
        others.sort(key=lambda item: item.role != "target")
        self.also.fill([(item.name, _also_words(item, at_gauges), False) for item in others])
        known = [item for item in moving if item.name != target and not item.gauges]
        known.sort(key=lambda item: item.role != "input")
        self.ahead.fill([(item.name, f"{item.label or item.name} ({item.units})", False) for item in known])
        self._show("also", bool(others) and found.several_leads)
        self._show("ahead", bool(known) and found.uses_ahead)
        self.form.show_row("run_through", found.several_steps)
        self._family = found

    def has(self, field: str) -> bool:
        """Whether a field of the job stands here."""
        return field in self._shown or field in self.form.editors

    def tell(self, field: str, sentence: str) -> None:
        """Put a sentence beside ``field`` where it stands here, and take others away."""
        self.notice.say(sentence if field in self._shown else "", "error")
        self.form.tell(field, sentence)

    @property
    def empty(self) -> bool:
        """Whether the family leaves nothing to choose here."""
        return not any(self._shown.values()) and self._family is not None and not self._family.several_steps

    def _picks(self, field: str, name: str) -> Picks:
        rule = rule_of(TrainJob, field)
        made = Picks(name, tr(rule.help))
        made.setWhatsThis(tr(rule.help))
        made.itemChanged.connect(lambda *_: self.changed.emit())
        label = QLabel(tr(rule.label))
        label.setObjectName(f"{name}_label")
        label.setBuddy(made)
        label.setToolTip(tr(rule.help))
        self._rows.addRow(label, made)
        return made

    def _show(self, field: str, shown: bool) -> None:
        picks = getattr(self, field)
        picks.setVisible(shown)
        self._rows.labelForField(picks).setVisible(shown)
        self._shown[field] = shown


def target_words(item: VariableSummary, summary: DatasetSummary) -> str:
    """'Soil moisture (-)', 'Discharge at 2 gauges (m3/s)'."""
    label = item.label or item.name
    if not item.gauges:
        return f"{label} ({item.units})"
    if summary.gauges == 1:
        return tr("{label} at 1 gauge ({units})").format(label=label, units=item.units)
    if summary.gauges > 1:
        return tr("{label} at {count} gauges ({units})").format(label=label, count=summary.gauges, units=item.units)
    return tr("{label} at gauges ({units})").format(label=label, units=item.units)


def _also_words(item: VariableSummary, at_gauges: bool) -> str:
    words = f"{item.label or item.name} ({item.units})"
    return tr("{words}, mean of the basin").format(words=words) if at_gauges and not item.gauges else words
