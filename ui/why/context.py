"""What all questions of the page Why share: model, dataset, target and lead, and the ways to the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ...core.contracts import Grid
from ...core.contracts.model_card import ModelCard, VariableCard
from ...plugin.datasets import Datasets, DatasetSummary
from ...plugin.runs import Runs
from ..choice import Choice
from ..series import crs_from, point_in


@dataclass(frozen=True)
class Asked:
    """What the shared part of the page says. ``model`` is a path; ``card`` is None where it cannot be read;
    ``summary`` is one sequence where the dataset has several; an empty ``target`` and a ``lead`` of None take the
    first.
    """

    model: str = ""
    card: Optional[ModelCard] = None
    summary: Optional[DatasetSummary] = None
    target: str = ""
    lead: Optional[int] = None


class WhyContext(QObject):
    """One for the page; the panels read it and listen to ``changed``. Lives on the main thread."""

    changed = pyqtSignal()

    def __init__(
        self,
        datasets: Datasets,
        runs: Runs,
        choice: Choice,
        iface: Any = None,
        temporal: Any = None,
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self.datasets, self.runs, self.choice, self.iface, self.temporal = datasets, runs, choice, iface, temporal
        self._asked = Asked()

    def asked(self) -> Asked:
        """Model, dataset, target and lead as chosen now."""
        return self._asked

    def set_asked(self, asked: Asked) -> None:
        """Take what the page says; told only when it changes."""
        if asked != self._asked:
            self._asked = asked
            self.changed.emit()

    def common(self) -> dict[str, Any]:
        """The fields that any job about a model has."""
        asked = self._asked
        return {
            "model": asked.model,
            "dataset": asked.summary.path if asked.summary else "",
            "sequence": asked.summary.sequence if asked.summary else "",
            "target": asked.target,
            "lead": asked.lead,
        }

    def target_card(self) -> Optional[VariableCard]:
        """The chosen target of the model; None without a model that can be read."""
        card = self._asked.card
        if card is None:
            return None
        return next((item for item in card.targets if item.name == self._asked.target), card.target)

    def grid(self) -> Optional[Grid]:
        """The grid of the dataset; None without one."""
        return Grid(**self._asked.summary.grid) if self._asked.summary else None

    def map_crs(self) -> QgsCoordinateReferenceSystem:
        """The CRS of the map, without a map that of the project."""
        return self.iface.mapCanvas().mapSettings().destinationCrs() if self.iface else QgsProject.instance().crs()

    def dataset_crs(self) -> QgsCoordinateReferenceSystem:
        """The CRS of the dataset; without one that of the map."""
        summary = self._asked.summary
        return crs_from(str(summary.grid.get("crs", ""))) if summary else self.map_crs()

    def to_dataset(self, point: QgsPointXY) -> Optional[QgsPointXY]:
        """A point of the map in the CRS of the dataset; None where it cannot be brought there."""
        return point_in(point, self.map_crs(), self.dataset_crs(), QgsProject.instance())

    def map_date(self) -> str:
        """ISO date that the map shows now; empty while nothing is played."""
        return self.temporal.current_date() if self.temporal is not None else ""
