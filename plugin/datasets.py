"""The datasets that this project knows, and what QGIS can read of them without an engine."""

from __future__ import annotations

import builtins
import os
from dataclasses import dataclass, fields, replace
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
    """One variable of a dataset; ``gauges``: series at gauges and no maps; ``fill``: how gaps were filled;
    ``resampling``: how it came onto the grid; ``error``: the root mean square error of that in ``units``, None where it
    was not measured.
    """

    name: str
    role: str
    quantity: str
    units: str
    label: str
    static: bool = False
    missing_share: float = 0.0
    minimum: float = 0.0
    maximum: float = 1.0
    filled_share: float = 0.0
    fill: str = "none"
    gauges: bool = False
    resampling: str = ""
    error: Optional[float] = None


@dataclass(frozen=True)
class DatasetSummary:
    """What the file says of itself. ``start`` and ``end`` are ISO dates; ``grid`` has crs, west, north, cell_x, cell_y,
    columns, rows.

    A dataset of several sequences gives the grid of the first, first and last date of all, and the sum of their steps;
    ``groups`` are the names of the sequences inside the file, and ``parts`` the summary of each, named "dataset /
    sequence" with its name as ``sequence``. ``gauges`` is how many gauges it has.
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
    sequences: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    gauges: int = 0
    sequence: str = ""
    parts: tuple[DatasetSummary, ...] = ()

    @property
    def longest(self) -> int:
        """Steps in a row at most: no window bridges two sequences."""
        return max((part.steps for part in self.parts), default=self.steps)

    def names(self, role: str = "") -> list[str]:
        """Names of the maps; with ``role`` ("input", "target", "static") only those. Series at gauges are no maps."""
        return [item.name for item in self.variables if not item.gauges and role in ("", item.role)]

    def variable(self, name: str) -> VariableSummary:
        """One variable; DataError where there is none of this name."""
        for item in self.variables:
            if item.name == name:
                return item
        raise DataError(
            f"The dataset '{self.name}' has no variable '{name}'",
            expected=", ".join(item.name for item in self.variables),
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
        return _of_sequences(str(path), values) if values.get("sequences") else _summary(str(path), values)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            "The dataset's description is broken", got=f"{path}: {error!r}", remedy="Prepare it anew"
        ) from error


def check_length(summary: DatasetSummary, window: int) -> None:
    """Raise DataError where a model reads more steps than the dataset has."""
    if window > summary.longest:
        raise DataError(
            f"The window is longer than the series of '{summary.name}'",
            expected=f"at least {window} steps, which the model reads for each prediction",
            got=f"{summary.longest} steps",
            remedy="Use a longer dataset, or a model with a shorter window",
        )


def sequence_of(summary: DatasetSummary, sequence: str) -> DatasetSummary:
    """The part of a dataset that is the ``sequence``; the whole where it has none of this name."""
    return next((part for part in summary.parts if part.sequence == sequence), summary)


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

    def each(self) -> builtins.list[DatasetSummary]:
        """As :meth:`list`, with every sequence of a dataset as an entry of its own."""
        return [part for item in self.list() for part in item.parts or (item,)]

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


def _of_sequences(path: str, values: dict[str, Any]) -> DatasetSummary:
    """The sequences of a file as one summary: each variable's shares are means over all steps, its range spans all."""
    groups = [str(name) for name in values["groups"]]
    with quiet_gdal():
        root = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY).GetRootGroup()
        texts = [root.OpenGroup(name).GetAttribute("freshet_dataset").Read() for name in groups]
    parts = [_summary(path, parse_json(text, path)) for text in texts]
    parts = [replace(part, name=f"{values['name']} / {part.sequence}") for part in parts]
    steps = sum(part.steps for part in parts)
    variables = [_together([part.variable(item.name) for part in parts], parts) for item in parts[0].variables]
    return replace(
        parts[0],
        name=str(values["name"]),
        start=min(part.start for part in parts),
        end=max(part.end for part in parts),
        steps=steps,
        variables=tuple(variables),
        gaps=tuple(gap for part in parts for gap in part.gaps),
        fingerprint=str(values.get("fingerprint", "")),
        sequences=tuple(str(name) for name in values["sequences"]),
        groups=tuple(groups),
        gauges=max(part.gauges for part in parts),
        sequence="",
        parts=tuple(parts),
    )


def _together(items: list[VariableSummary], parts: list[DatasetSummary]) -> VariableSummary:
    weights = [part.steps for part in parts]

    def mean(name: str) -> float:
        return sum(w * getattr(item, name) for w, item in zip(weights, items)) / max(1, sum(weights))

    errors = [item.error for item in items if item.error is not None]
    return replace(
        items[0],
        missing_share=mean("missing_share"),
        filled_share=mean("filled_share"),
        minimum=min(item.minimum for item in items),
        maximum=max(item.maximum for item in items),
        error=max(errors) if errors else None,
    )


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
        gauges=int(values.get("gauges", 0)),
        sequence=str(values.get("sequence", "")),
    )
