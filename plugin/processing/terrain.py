"""The algorithm that derives terrain maps, rivers and the basin of an outlet from an elevation model."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable
from typing import Any, Optional

from qgis.core import (
    QgsColorRampShader,
    QgsFillSymbol,
    QgsLineSymbol,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputMultipleLayers,
    QgsProcessingOutputNumber,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterLayer,
    QgsProperty,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
    QgsSingleSymbolRenderer,
    QgsSymbolLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ...core.contracts import Artifact, DataError, RunFolder
from ...core.contracts.dataset_job import TERRAIN_MAPS, TerrainConfig, TerrainJob
from ..layers import dress_layer
from .base import JobAlgorithm
from .parameters import absolute, entries, entry, finish, help_of, split_names

_USUAL = tuple(name for name in TERRAIN_MAPS if name != "elevation")
_SHAPES = {"BASIN": ("basin", "Basin"), "STREAMS": ("streams", "Rivers")}
# ESRI codes clockwise from east, in colours that go round the circle.
_DIRECTIONS = (
    (0, "water leaves", "#000000"), (1, "east", "#e41a1c"), (2, "south-east", "#ff7f00"), (4, "south", "#ffd92f"),
    (8, "south-west", "#4daf4a"), (16, "west", "#1b9e9e"), (32, "north-west", "#377eb8"), (64, "north", "#6a3d9a"),
    (128, "north-east", "#d53e9d"),
)  # fmt: skip
_RIVER = {"line_color": "#0571b0", "line_width": "0.4", "capstyle": "round", "joinstyle": "round"}
_OUTLINE = {"color": "0,0,0,0", "outline_color": "#08306b", "outline_width": "0.8"}

# QGIS calls a post-processor after the algorithm is gone and holds only its C++ half.
_kept: deque = deque(maxlen=200)


class TerrainAlgorithm(JobAlgorithm):
    """Terrain maps, rivers and a basin."""

    verb, title, icon_name = "terrain", "Derive terrain maps and a basin", "data"
    summary = (
        "Slope, aspect, flow direction, upstream area, height above the nearest drainage, topographic wetness and "
        "distance to the outlet from an elevation model; its rivers, and the basin above an outlet."
    )
    entries = tuple(entries(TerrainConfig, ("stream_km2", "edge")))

    def add_more(self) -> None:
        """Elevation model, maps, outlet and folder; the layers that come out."""
        dem = QgsProcessingParameterRasterLayer("DEM", entry(TerrainConfig, "dem").rule.label)
        self.addParameter(finish(dem, "A raster layer of elevations in m, or in feet where its band says so."))
        rule = entry(TerrainConfig, "maps").rule
        maps = QgsProcessingParameterEnum(
            "TERRAIN_MAPS", rule.label, list(TERRAIN_MAPS), True, list(_USUAL), True, True
        )
        self.addParameter(finish(maps, help_of(rule)))
        outlet = QgsProcessingParameterPoint("OUTLET", "Outlet", None, True)
        text = (
            "A place on a river, such as '4058119,2935597 [EPSG:3035]'; the nearest river cell is taken, and its basin "
            "drawn. Empty: no basin."
        )
        self.addParameter(finish(outlet, text))
        folder = QgsProcessingParameterFolderDestination("FOLDER", "Folder")
        self.addParameter(finish(folder, entry(TerrainJob, "output").rule.help))
        for name, (_, label) in _SHAPES.items():
            self.addOutput(QgsProcessingOutputVectorLayer(name, label))
        self.addOutput(QgsProcessingOutputMultipleLayers("MAPS", "All maps"))
        self.addOutput(QgsProcessingOutputNumber("AREA", "Area of the basin (km2)"))

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> TerrainJob:
        """The elevation model by its file, the outlet in its CRS."""
        layer = self.parameterAsRasterLayer(values, "DEM", context) if values.get("DEM") else None
        if layer is None or not layer.isValid():
            raise DataError(
                "The elevation model cannot be opened",
                expected="a raster of elevations in m",
                got=str(values.get("DEM")),
                remedy="Choose a raster layer or file",
            )
        source = layer.source()
        config = TerrainConfig(
            dem=absolute(source) if os.path.exists(source) else source,
            maps=self._maps(values, context),
            outlet=self._outlet(values, context, layer),
            **self.read(values, context),
        )
        return TerrainJob(output=absolute(self.parameterAsFileOutput(values, "FOLDER", context)), terrain=config)

    def checkParameterValues(self, values: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:  # noqa: N802
        """Maps may be named in one text or by number, which QGIS itself would refuse."""
        if values.get("TERRAIN_MAPS") is not None:
            values = {**values, "TERRAIN_MAPS": list(self._maps(values, context))}
        return super().checkParameterValues(values, context)

    def processAlgorithm(  # noqa: N802
        self, values: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """The run, and its files as layers."""
        results = super().processAlgorithm(values, context, feedback)
        return {**results, "FOLDER": self._job.output, **_layers_of(RunFolder(results["RUN"]), context)}

    def _maps(self, values: dict[str, Any], context: QgsProcessingContext) -> tuple[str, ...]:
        given = values.get("TERRAIN_MAPS")
        if given is None or isinstance(given, QgsProperty):
            return tuple(self.parameterAsEnumStrings(values, "TERRAIN_MAPS", context))
        # QGIS would put the default in place of a name that it does not know.
        names = split_names(given) if isinstance(given, str) else [str(item) for item in _listed(given)]
        return tuple(
            TERRAIN_MAPS[int(name)] if name.isdigit() and int(name) < len(TERRAIN_MAPS) else name for name in names
        )

    def _outlet(
        self, values: dict[str, Any], context: QgsProcessingContext, layer: QgsRasterLayer
    ) -> Optional[tuple[float, float]]:
        if not values.get("OUTLET"):
            return None
        if not layer.crs().isValid():
            # With an invalid CRS QGIS would hand the point over as it is, and another place would be taken.
            raise DataError(
                "The elevation model has no coordinate reference system",
                got=layer.source(),
                remedy="Assign its CRS first (in QGIS: Raster, Projections, Assign Projection)",
            )
        point = self.parameterAsPoint(values, "OUTLET", context, layer.crs())
        return float(point.x()), float(point.y())


class DressMap(QgsProcessingLayerPostProcessorInterface):
    """Gives a loaded map its colours: directions as classes, upstream areas by powers of ten."""

    def __init__(self, artifact: Artifact, run: RunFolder) -> None:
        super().__init__()
        self._artifact, self._run = artifact, run

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:  # noqa: N802
        """On the main thread, once QGIS has made the layer."""
        if not isinstance(layer, QgsRasterLayer):
            return
        dress_layer(layer, self._artifact, self._run)
        if self._artifact.variable == "flow_direction":
            layer.setRenderer(direction_renderer(layer))
        elif self._artifact.variable == "upstream_area":
            spread_by_powers(layer.renderer())
        layer.triggerRepaint()


class DressShape(QgsProcessingLayerPostProcessorInterface):
    """Draws a basin as an outline, rivers as lines that widen with their order."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:  # noqa: N802
        """On the main thread, once QGIS has made the layer."""
        if not isinstance(layer, QgsVectorLayer):
            return
        if self._kind == "basin":
            symbol = QgsFillSymbol.createSimple(_OUTLINE)
        else:
            symbol = QgsLineSymbol.createSimple(_RIVER)
            width = QgsProperty.fromExpression('0.1 + 0.2 * "strahler"')
            symbol.symbolLayer(0).setDataDefinedProperty(QgsSymbolLayer.PropertyStrokeWidth, width)
        layer.setRenderer(QgsSingleSymbolRenderer(symbol))
        layer.triggerRepaint()


def direction_renderer(layer: QgsRasterLayer) -> QgsPalettedRasterRenderer:
    """Flow directions as nine classes."""
    classes = [QgsPalettedRasterRenderer.Class(code, QColor(colour), label) for code, label, colour in _DIRECTIONS]
    return QgsPalettedRasterRenderer(layer.dataProvider(), 1, classes)


def spread_by_powers(renderer: Any) -> None:
    """Put the colours of a ramp at equal steps of the logarithm, since upstream areas span many powers of ten."""
    if not isinstance(renderer, QgsSingleBandPseudoColorRenderer):
        return
    function = renderer.shader().rasterShaderFunction()
    low, high = renderer.classificationMin(), renderer.classificationMax()
    items = function.colorRampItemList()
    if not isinstance(function, QgsColorRampShader) or low <= 0.0 or high <= low or len(items) < 2:
        return
    last = len(items) - 1
    for number, item in enumerate(items):
        item.value = low * (high / low) ** (number / last)
        item.label = f"{item.value:.3g}"
    function.setColorRampItemList(items)


def _listed(given: Any) -> Iterable[Any]:
    return given if isinstance(given, (list, tuple)) else [given]


def _layers_of(run: RunFolder, context: QgsProcessingContext) -> dict[str, Any]:
    """Maps, rivers and basin of a run; they are loaded and styled where the caller loads layers."""
    found: dict[str, Any] = {"MAPS": []}
    for item in run.artifacts():
        path = str(run.resolve(item))
        if item.kind == "terrain":
            found["MAPS"].append(path)
            _load(path, item.title, item.variable.upper(), DressMap(item, run), context)
            continue
        for name, (kind, _) in _SHAPES.items():
            if item.kind == kind:
                found[name] = path
                _load(path, item.title, name, DressShape(kind), context)
    if "BASIN" in found:
        with open(found["BASIN"], encoding="utf-8") as handle:
            found["AREA"] = json.load(handle)["features"][0]["properties"]["area_km2"]
    return found


def _load(
    path: str,
    title: str,
    name: str,
    dresser: QgsProcessingLayerPostProcessorInterface,
    context: QgsProcessingContext,
) -> None:
    details = QgsProcessingContext.LayerDetails(title, context.project(), name)
    _kept.append(dresser)
    details.setPostProcessor(dresser)
    context.addLayerToLoadOnCompletion(path, details)
