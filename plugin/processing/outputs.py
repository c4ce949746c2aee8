"""Results of a run as outputs of an algorithm, its maps styled when QGIS loads them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputFile,
    QgsProcessingOutputHtml,
    QgsProcessingOutputMultipleLayers,
    QgsProcessingOutputNumber,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsRasterLayer,
    QgsVectorLayer,
)

from ...core.contracts import Artifact, RunFolder
from ..gauge_results import dress_gauge_layer
from ..layers import RASTER_KINDS, dress_layer
from ..region_layer import dress_region_layer
from ..runs import read_scores

_RASTERS = {
    "PREDICTED": ("predicted", "Predicted maps"),
    "FILLED": ("filled", "Maps with their gaps filled"),
    "OBSERVED": ("observed", "Observed maps"),
    "DELTA": ("delta", "Delta: predicted - observed"),
    "DELAY": ("delay", "Delay of each cell"),
    "CHANGE": ("change", "Change"),
    "PROBE": ("probe", "Prediction of the best probe"),
    "DRIVER": ("driver", "Dominant driver"),
}
_FILES = {
    "MODEL": "Model file",
    "ONNX": "ONNX file",
    "DATASET": "Dataset",
    "SERIES": "Series at gauges (CSV)",
    "TABLE": "Table (CSV)",
}
_VECTORS = {"GAUGES": ("gauges", "Gauges with scores"), "REGION": ("region", "Region of most influence")}
_NUMBERS = {"NSE": "NSE, pooled", "KGE": "KGE, pooled", "RMSE": "RMSE, pooled"}

# QGIS calls a post-processor after the algorithm is gone and holds only its C++ half.
_kept: deque = deque(maxlen=200)


class StyleOnLoad(QgsProcessingLayerPostProcessorInterface):
    """Gives a loaded layer the colours and dates of its artifact, one of gauges its classes and names, a region its
    outline.
    """

    def __init__(self, artifact: Artifact, run: RunFolder) -> None:
        super().__init__()
        self._artifact, self._run = artifact, run

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:  # noqa: N802
        """On the main thread, once QGIS has made the layer."""
        if isinstance(layer, QgsRasterLayer):
            dress_layer(layer, self._artifact, self._run)
            layer.triggerRepaint()
        elif isinstance(layer, QgsVectorLayer):
            dress = dress_region_layer if self._artifact.kind == "region" else dress_gauge_layer
            dress(layer, self._artifact, self._run)
            layer.triggerRepaint()


def declare_outputs(algorithm: QgsProcessingAlgorithm, names: Iterable[str]) -> None:
    """Add the outputs called ``names`` to an algorithm; those that are destinations of parameters exist already."""
    for name in names:
        if name in _RASTERS:
            algorithm.addOutput(QgsProcessingOutputRasterLayer(name, _RASTERS[name][1]))
        elif name in _FILES and not _is_destination(algorithm, name):
            algorithm.addOutput(QgsProcessingOutputFile(name, _FILES[name]))
        elif name in _NUMBERS:
            algorithm.addOutput(QgsProcessingOutputNumber(name, _NUMBERS[name]))
        elif name in _VECTORS:
            algorithm.addOutput(QgsProcessingOutputVectorLayer(name, _VECTORS[name][1]))
        elif name == "MAPS":
            algorithm.addOutput(QgsProcessingOutputMultipleLayers(name, "All maps"))
        elif name == "REPORT":
            algorithm.addOutput(QgsProcessingOutputHtml(name, "Report"))


def _is_destination(algorithm: QgsProcessingAlgorithm, name: str) -> bool:
    definition = algorithm.parameterDefinition(name)
    return definition is not None and definition.isDestination()


def results_of(run: RunFolder, names: Iterable[str], context: QgsProcessingContext) -> dict[str, Any]:
    """Values of the outputs that this run has; its maps are loaded and styled where the caller loads layers."""
    artifacts = run.artifacts()
    found: dict[str, Any] = {}
    for name in names:
        kind = _RASTERS[name][0] if name in _RASTERS else name.lower()
        paths = [str(run.resolve(item)) for item in artifacts if item.kind == kind]
        paths = _main_table(paths) if name == "TABLE" else paths
        if paths:
            found[name] = paths[0]
    if "REPORT" in names and "REPORT" not in found and run.report_file.exists():
        found["REPORT"] = str(run.report_file)
    maps = [item for item in artifacts if item.kind in RASTER_KINDS]
    if "MAPS" in names:
        found["MAPS"] = [str(run.resolve(item)) for item in maps]
    scores = read_scores(run).get("model", {})
    found.update(
        {name: scores[name.lower()] for name in names if name in _NUMBERS and scores.get(name.lower()) is not None}
    )
    kinds = [kind for name, (kind, _) in _VECTORS.items() if name in names]
    for item in (*maps, *(item for item in artifacts if item.kind in kinds)):
        _load(run, item, context)
    return found


def _main_table(paths: list[str]) -> list[str]:
    """Of the tables of a question the CSV that has a JSON of the same name beside it, which holds its answer."""
    stems = {path[: -len(".json")] for path in paths if path.endswith(".json")}
    tables = [path for path in paths if path.endswith(".csv")]
    return [path for path in tables if path[: -len(".csv")] in stems] or tables


def _load(run: RunFolder, artifact: Artifact, context: QgsProcessingContext) -> None:
    details = QgsProcessingContext.LayerDetails(
        artifact.title or artifact.kind, context.project(), artifact.kind.upper()
    )
    if hasattr(details, "groupName"):  # from QGIS 3.32 on
        details.groupName = artifact.group
    styler = StyleOnLoad(artifact, run)
    _kept.append(styler)
    details.setPostProcessor(styler)
    context.addLayerToLoadOnCompletion(str(run.resolve(artifact)), details)
