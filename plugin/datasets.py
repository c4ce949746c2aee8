"""The datasets that this project knows, and what QGIS can read of them without an engine."""

from __future__ import annotations

import builtins
import os
from dataclasses import dataclass, fields
from typing import Any, Optional

from osgeo import gdal
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..core.contracts import DataError, FreshetError
from ..core.contracts.config import parse_json
from .gdal_errors import quiet_gdal

SCOPE, KEY = "freshet", "datasets"
_ATTRIBUTE = "NC_GLOBAL#freshet_dataset"


@dataclass(frozen=True)
class VariableSummary:
    """One variable of a dataset."""

    name: str
    role: str
    quantity: str
    units: str
    label: str
    static: bool = False
    missing_share: float = 0.0
    minimum: float = 0.0
    maximum: float = 1.0


@dataclass(frozen=True)
class DatasetSummary:
    """What the file says of itself. ``start`` and ``end`` are ISO dates; ``grid`` has crs, west, north, cell_x, cell_y,
    columns, rows.
    """

    path: str
    name: str
    grid: dict[str, Any]
    start: str
    end: str
    steps: int
    step_seconds: float
    calendar: str
    variables: tuple[VariableSummary, ...]
    gaps: tuple = ()
    fingerprint: str = ""

    def names(self, role: str = "") -> list[str]:
        """Names of the variables; with ``role`` ("input", "target", "static") only those."""
        return [item.name for item in self.variables if not role or item.role == role]

    def variable(self, name: str) -> VariableSummary:
        """One variable; DataError where there is none of this name."""
        for item in self.variables:
            if item.name == name:
                return item
        raise DataError(
            f"The dataset '{self.name}' has no variable '{name}'",
            expected=", ".join(self.names()),
            remedy="Choose one of these",
        )


def read_summary(path: str) -> DatasetSummary:
    """What a dataset says of itself. DataError for a missing or foreign file."""
    if not os.path.isfile(path):
        raise DataError(
            "The dataset does not exist",
            expected="a prepared dataset (.nc)",
            got=str(path),
            remedy="Prepare it, or choose another file",
        )
    with quiet_gdal():
        source = gdal.OpenEx(str(path), gdal.OF_RASTER | gdal.OF_READONLY)
        text = source.GetMetadata().get(_ATTRIBUTE) if source else None
        text = text or _attribute_of_parts(source)
    if not text:
        raise DataError(
            "The file is not a dataset of Freshet",
            got=str(path),
            remedy="Prepare a dataset from it (page Data, or freshet:prepare)",
        )
    values = parse_json(text, str(path))
    try:
        return _summary(str(path), values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "The dataset's description is broken", got=f"{path}: {error!r}", remedy="Prepare it anew"
        ) from error


def check_length(summary: DatasetSummary, window: int) -> None:
    """Raise DataError where a model reads more steps than the dataset has."""
    if window > summary.steps:
        raise DataError(
            f"The window is longer than the series of '{summary.name}'",
            expected=f"at least {window} steps, which the model reads for each prediction",
            got=f"{summary.steps} steps",
            remedy="Use a longer dataset, or a model with a shorter window",
        )


class Datasets(QObject):
    """The datasets of a project, kept in its entry ``freshet/datasets``. ``changed()`` when the list changed."""

    changed = pyqtSignal()

    def __init__(self, project: Optional[QgsProject] = None, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._project = project or QgsProject.instance()
        self._known: dict[str, tuple[float, DatasetSummary]] = {}
        self._project.readProject.connect(self._on_project)
        self._project.cleared.connect(self._on_project)

    def paths(self) -> builtins.list[str]:
        """Absolute paths, in the order in which they were added."""
        stored, _ = self._project.readListEntry(SCOPE, KEY)
        return [self._project.readPath(path) for path in stored]

    def list(self) -> builtins.list[DatasetSummary]:
        """Summaries of those that can be read; :meth:`broken` tells of the others."""
        found = [self._try(path) for path in self.paths()]
        return [item for item in found if isinstance(item, DatasetSummary)]

    def broken(self) -> dict[str, str]:
        """Path and sentence of those that cannot be read."""
        found = {path: self._try(path) for path in self.paths()}
        return {path: item for path, item in found.items() if isinstance(item, str)}

    def add(self, path: str) -> DatasetSummary:
        """Add a dataset; DataError where it is not one. One that is there already stays where it is."""
        path = os.path.abspath(path)
        summary = read_summary(path)
        if path not in self.paths():
            self._write([*self.paths(), path])
        self.changed.emit()
        return summary

    def remove(self, path: str) -> None:
        """Forget a dataset; its file stays."""
        path = os.path.abspath(path)
        if path in self.paths():
            self._write([item for item in self.paths() if item != path])
            self.changed.emit()

    def close(self) -> None:
        """Let go of the project."""
        self._project.readProject.disconnect(self._on_project)
        self._project.cleared.disconnect(self._on_project)

    def _write(self, paths: builtins.list[str]) -> None:
        # writePath: relative beside the project where the project says so, so that both can move together.
        self._project.writeEntry(SCOPE, KEY, [self._project.writePath(path) for path in paths])

    def _try(self, path: str) -> Any:
        try:
            stamp = os.path.getmtime(path)
        except OSError:
            stamp = -1.0
        if path in self._known and self._known[path][0] == stamp:
            return self._known[path][1]
        try:
            self._known[path] = (stamp, read_summary(path))
        except FreshetError as error:
            return str(error)
        return self._known[path][1]

    def _on_project(self, *_ignored: object) -> None:
        self.changed.emit()


def _attribute_of_parts(source: Any) -> Optional[str]:
    """Global attributes stand on a subdataset where the file itself lists only its parts."""
    if source is None or not source.GetSubDatasets():
        return None
    part = gdal.Open(source.GetSubDatasets()[0][0])
    return part.GetMetadata().get(_ATTRIBUTE) if part else None


def _summary(path: str, values: dict[str, Any]) -> DatasetSummary:
    known = {item.name for item in fields(VariableSummary)}
    variables = tuple(VariableSummary(**{k: v for k, v in item.items() if k in known}) for item in values["variables"])
    return DatasetSummary(
        path=path,
        name=str(values["name"]),
        grid=dict(values["grid"]),
        start=str(values["start"]),
        end=str(values["end"]),
        steps=int(values["steps"]),
        step_seconds=float(values["step_seconds"]),
        calendar=str(values.get("calendar", "standard")),
        variables=variables,
        gaps=tuple(values.get("gaps", ())),
        fingerprint=str(values.get("fingerprint", "")),
    )
