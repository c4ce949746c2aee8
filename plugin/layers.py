"""Results of a run as a group of styled layers on one time axis; of an explanation also while it is refined."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from osgeo import gdal
from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsDataProvider,
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsMapLayerLegendUtils,
    QgsPalettedRasterRenderer,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
)

from ..core.contracts import Artifact, DataError, RunFolder
from ..core.contracts.dates import parse_date
from ..core.contracts.steps import months_of
from .gauge_results import make_gauge_layer
from .region_layer import make_region_layer
from .styling import style_raster
from .temporal import TemporalBands, layer_band, layer_dates, set_temporal

RASTER_KINDS = (
    "predicted", "filled", "observed", "delta", "score-map", "attribution", "spread", "delay", "change", "probe",
    "driver",
)  # fmt: skip
VECTOR_KINDS = ("gauges", "region")
DRAFT_KIND = "attribution-draft"
RUN_PROPERTY, KIND_PROPERTY, NOTE_PROPERTY = "freshet/run", "freshet/kind", "freshet/note"
VARIABLE_PROPERTY = "freshet/variable"
_SHOWN_PROPERTY = "freshet/draft_shown"  # date to which a draft has set the time axis
_MEMORY = "/vsimem/freshet"

_numbers = itertools.count(1)


def add_run_results(
    run: RunFolder, project: Optional[QgsProject] = None, iface: Any = None, temporal: Optional[TemporalBands] = None
) -> QgsLayerTreeGroup:
    """Add the maps, gauges and regions of a run as one group on top, titled by the run; a group that the run already
    has, also one of drafts, is replaced where it stands.

    ``temporal`` plays the period of the results from its first frame; of an explanation it shows the step back that
    counts most, or what the person has chosen while it was refined. Main thread only. DataError where the run has
    nothing for the map.
    """
    project = project or QgsProject.instance()
    artifacts = run.artifacts()
    pairs = [(item, _layer(run, item)) for item in artifacts if item.kind in (*RASTER_KINDS, *VECTOR_KINDS)]
    if not pairs:
        raise _nothing_to_show(run, artifacts)
    first_in_project = not project.mapLayers()
    frame = temporal.current_date() if temporal is not None else ""
    old = _group_of(run, project)
    seen = _checked(old)
    kept = frame if _is_draft(old) and frame != old.customProperty(_SHOWN_PROPERTY, "") else ""
    group = _new_group(run, project, str(run.header().get("title") or run.path.name), old)
    top = _top(run, [item for item, _ in pairs], seen)
    for number, (artifact, layer) in enumerate(pairs):
        # Opaque maps hide each other: only the topmost is switched on, and outlines over it.
        node = _add(layer, artifact, group, project, artifact is top or artifact.kind == "region")
        node.setExpanded(number < 3 or artifact is top)
    series = [(list(item.dates), item.step_seconds) for item in artifacts if item.kind == "series"]
    _play(temporal, [layer for _, layer in pairs], series)
    _show_date(temporal, kept or _heaviest_date(run))
    first = next((layer for _, layer in pairs if isinstance(layer, QgsRasterLayer)), pairs[0][1])
    _look_at(first, project, iface, first_in_project)
    return group


def show_draft(
    run: RunFolder,
    artifacts: Sequence[Artifact],
    project: Optional[QgsProject] = None,
    iface: Any = None,
    temporal: Optional[TemporalBands] = None,
) -> None:
    """Put the drafts among ``artifacts`` on the map: one group a run, whose layers take the place of earlier drafts
    and give theirs to the results (:func:`add_run_results`). Visibility and frame stay as the person has them.

    The files are read into memory, since the engine takes them away at the end. What is gone already is left out.
    Main thread only.
    """
    project = project or QgsProject.instance()
    latest = {item.path: item for item in artifacts if item.kind == DRAFT_KIND}
    held = [(item, path) for item, path in ((item, _in_memory(run, item)) for item in latest.values()) if path]
    if not held:
        return
    group, first_in_project = _group_of(run, project), not project.mapLayers()
    if group is not None and not _is_draft(group):
        return  # its results are there
    known = {node.layer().customProperty(VARIABLE_PROPERTY): node.layer() for node in _nodes(group)}
    fresh = [(item, make_layer(path, item, run)) for item, path in held if item.variable not in known]
    for item, path in held:
        if item.variable in known:
            _refresh(known[item.variable], path, item, run)
    if group is not None and not fresh:
        return
    begun = group is None
    group = group if group is not None else _new_group(run, project, f"{run.header().get('title') or 'Why'}: draft")
    top = _top(run, [item for item, _ in fresh]) if begun else None
    for item, layer in fresh:
        _add(layer, item, group, project, item is top)
    if begun:
        _play(temporal, [layer for _, layer in fresh])
        dates = max((item.dates for item, _ in fresh), key=len)
        if temporal is not None and dates:
            _show_date(temporal, dates[-1])
            group.setCustomProperty(_SHOWN_PROPERTY, temporal.current_date())
        _look_at(fresh[0][1], project, iface, first_in_project)


def remove_draft(run: RunFolder, project: Optional[QgsProject] = None) -> None:
    """Take the drafts of a run from the map, as where it was cancelled; its results stay."""
    project = project or QgsProject.instance()
    group = _group_of(run, project)
    if _is_draft(group):
        _take_away(group, project)


def _layer(run: RunFolder, artifact: Artifact) -> QgsMapLayer:
    if artifact.kind not in VECTOR_KINDS:
        return make_layer(run.resolve(artifact), artifact, run)
    layer = make_gauge_layer(run, artifact) if artifact.kind == "gauges" else make_region_layer(run, artifact)
    layer.setCustomProperty(KIND_PROPERTY, artifact.kind)
    layer.setCustomProperty(RUN_PROPERTY, str(run.path))
    return layer


def _nothing_to_show(run: RunFolder, artifacts: list[Artifact]) -> DataError:
    if any(item.kind == "series" for item in artifacts):
        return DataError(
            "The gauges of this run have no place on the map",
            got=str(run.path),
            remedy="Look at their series on the page Maps, or prepare the dataset with the places of its gauges",
        )
    if any(item.kind in ("chart", "table") for item in artifacts):
        return DataError(
            "The answer of this run is charts and tables, without maps",
            got=str(run.path),
            remedy="Look at its charts on the page, or at its report",
        )
    return DataError(
        "This run has no maps", got=str(run.path), remedy="Choose a run of predict, evaluate, compare or explain"
    )


def make_layer(path: Union[str, Path], artifact: Artifact, run: Optional[RunFolder] = None) -> QgsRasterLayer:
    """A styled layer of one artifact, not yet in a project. DataError where it cannot be opened."""
    layer = QgsRasterLayer(str(path), artifact.title or Path(path).stem, "gdal")
    if not layer.isValid():
        raise DataError(
            "The map cannot be opened", got=str(path), remedy="Run the job again; the file may have been removed"
        )
    dress_layer(layer, artifact, run)
    return layer


def dress_layer(layer: QgsRasterLayer, artifact: Artifact, run: Optional[RunFolder] = None, band: int = 1) -> None:
    """Style, dates and origin of a layer that shows ``artifact``, on its ``band``."""
    style_raster(layer, artifact, band)
    set_temporal(layer, list(artifact.dates), artifact.step_seconds)
    layer.setCustomProperty(KIND_PROPERTY, artifact.kind)
    layer.setCustomProperty(VARIABLE_PROPERTY, artifact.variable)
    if artifact.note:
        layer.setCustomProperty(NOTE_PROPERTY, artifact.note)
        layer.setAbstract(artifact.note)
    if run is not None:
        layer.setCustomProperty(RUN_PROPERTY, str(run.path))


def _node(layer: QgsMapLayer) -> QgsLayerTreeLayer:
    """The layer's place in the tree, with the ramp alone, or its classes, in its legend.

    QGIS would put the name of the band above it, and leaves the name of the first date there while others are shown.
    """
    node = QgsLayerTreeLayer(layer)
    renderer = layer.renderer() if isinstance(layer, QgsRasterLayer) else None
    if isinstance(renderer, QgsPalettedRasterRenderer):
        count = len(renderer.classes())
    elif isinstance(renderer, QgsSingleBandPseudoColorRenderer):
        function = renderer.shader().rasterShaderFunction()
        bar = function.legendSettings() is None or function.legendSettings().useContinuousLegend()
        count = 1 if bar else len(function.colorRampItemList())
    else:
        return node
    QgsMapLayerLegendUtils.setLegendNodeOrder(node, list(range(1, count + 1)))
    return node


def _add(
    layer: QgsMapLayer, artifact: Artifact, group: QgsLayerTreeGroup, project: QgsProject, visible: bool
) -> QgsLayerTreeLayer:
    """The layer in its place of the group, outlines above the maps."""
    project.addMapLayer(layer, False)
    node, parent = _node(layer), _parent(group, artifact)
    if artifact.kind == "region":
        parent.insertChildNode(0, node)
    else:
        parent.addChildNode(node)
    node.setItemVisibilityChecked(visible)
    return node


def _group_of(run: RunFolder, project: QgsProject) -> Optional[QgsLayerTreeGroup]:
    groups = project.layerTreeRoot().findGroups(True)
    return next((group for group in groups if group.customProperty(RUN_PROPERTY) == str(run.path)), None)


def _new_group(
    run: RunFolder, project: QgsProject, title: str, old: Optional[QgsLayerTreeGroup] = None
) -> QgsLayerTreeGroup:
    """A group of the run, on top or where its old one stood, which is taken away with its layers."""
    parent, place = project.layerTreeRoot(), 0
    if old is not None:
        parent, place = old.parent(), old.parent().children().index(old)
        _take_away(old, project)
    group = parent.insertGroup(place, title)
    group.setCustomProperty(RUN_PROPERTY, str(run.path))
    return group


def _take_away(group: QgsLayerTreeGroup, project: QgsProject) -> None:
    nodes = _nodes(group)
    sources = [node.layer().source() for node in nodes]
    project.removeMapLayers([node.layerId() for node in nodes])
    group.parent().removeChildNode(group)
    for source in sources:
        _forget(source)


def _nodes(group: Optional[QgsLayerTreeGroup]) -> list[QgsLayerTreeLayer]:
    """Places of the layers of a group; none where there is no group."""
    return [node for node in group.findLayers() if node.layer() is not None] if group is not None else []


def _is_draft(group: Optional[QgsLayerTreeGroup]) -> bool:
    return any(node.layer().customProperty(KIND_PROPERTY) == DRAFT_KIND for node in _nodes(group))


def _checked(group: Optional[QgsLayerTreeGroup]) -> set[str]:
    """Variables whose drafts are switched on."""
    on = [node.layer() for node in _nodes(group) if _is_draft(group) and node.itemVisibilityChecked()]
    return {str(layer.customProperty(VARIABLE_PROPERTY)) for layer in on}


def _top(run: RunFolder, artifacts: Sequence[Artifact], seen: Collection[str] = ()) -> Artifact:
    """The map that is shown first: of attributions the one that ``seen`` names, else one with dates that counts most;
    of other results the first, a region only where there is nothing else.
    """
    maps = [item for item in artifacts if item.kind != "region"] or list(artifacts)
    ours = [item for item in maps if item.kind in ("attribution", DRAFT_KIND)]
    if not ours or maps[0] is not ours[0]:
        return maps[0]
    weights = _weights(run)
    return max(ours, key=lambda item: (item.variable in seen, bool(item.dates), weights.get(item.variable, 0.0)))


def _weights(run: RunFolder) -> dict[str, float]:
    """How much each variable counts, as far as the run tells by now."""
    known = _facts(run, "attribution.json").get("variables")
    if not known:
        rows = _facts(run, "importance.json").get("items", [])
        known = {row.get("input"): row.get("rmse_rise") for row in rows}
    if not known:
        told = [event.values["so_far"] for event in run.events() if "so_far" in event.values]
        known = told[-1].get("variables") if told else {}
    return {name: abs(float(value)) for name, value in known.items() if isinstance(value, (int, float))}


def _heaviest_date(run: RunFolder) -> str:
    """Date of the step back that counts most in an explanation; empty where steps are not told apart."""
    facts = _facts(run, "attribution.json")
    steps, dates, most = facts.get("steps_back") or [], facts.get("input_dates") or [], (facts.get("delay") or {})
    return str(dict(zip(steps, dates)).get(most.get("most"), ""))


def _facts(run: RunFolder, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads((run.results / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # only the choice of what is shown first hangs on it
    return found if isinstance(found, dict) else {}


def _in_memory(run: RunFolder, artifact: Artifact) -> str:
    """The file of a draft as one in memory; empty where it is gone."""
    path = run.resolve(artifact)
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    name = f"{_MEMORY}/{next(_numbers)}/{path.name}"
    gdal.FileFromMemBuffer(name, content)
    return name


def _refresh(layer: QgsRasterLayer, path: str, artifact: Artifact, run: RunFolder) -> None:
    """Show a later draft in the same layer, on the same step."""
    old, band = layer.source(), layer_band(layer)
    layer.setDataSource(path, layer.name(), "gdal", QgsDataProvider.ProviderOptions())
    dress_layer(layer, artifact, run, min(band, layer.bandCount()))
    layer.triggerRepaint()
    _forget(old)


def _forget(source: str) -> None:
    if source.startswith(_MEMORY):
        gdal.Unlink(source)


def _parent(group: QgsLayerTreeGroup, artifact: Artifact) -> QgsLayerTreeGroup:
    if not artifact.group:
        return group
    return group.findGroup(artifact.group) or group.addGroup(artifact.group)


def _play(temporal: Optional[TemporalBands], layers: list[QgsMapLayer], more: Sequence[tuple] = ()) -> None:
    """Play the period of ``layers``, and of the dates and steps of ``more``, in their finest step."""
    series = [(*layer_dates(layer), _pace(layer)) for layer in layers] + [(dates, step, step) for dates, step in more]
    dated = [item for item in series if item[0]]
    if temporal is None or not dated:
        return
    begin, end = min(dates[0] for dates, *_ in dated), max(dates[-1] for dates, *_ in dated)
    temporal.set_range(begin, end, min(step for _, step, _ in dated), min(pace for *_, pace in dated))


def _pace(layer: QgsMapLayer) -> float:
    """Seconds from frame to frame: the step; of a probe, whose dates are spread over a period, the longest way from one
    to the next, so that no frame is empty.
    """
    dates, step = layer_dates(layer)
    if layer.customProperty(KIND_PROPERTY) != "probe" or months_of(step):
        return step
    moments = [parse_date(date) for date in dates]
    return max([step, *((after - before).total_seconds() for before, after in zip(moments, moments[1:]))])


def _show_date(temporal: Optional[TemporalBands], date: str) -> None:
    if temporal is not None and date:
        temporal.show(date)


def _look_at(layer: QgsMapLayer, project: QgsProject, iface: Any, first: bool) -> None:
    """Show the whole layer where it would lie outside the view; in an empty project its CRS becomes the map's."""
    if first and layer.crs().isValid():
        project.setCrs(layer.crs())
    if iface is None:
        return
    canvas = iface.mapCanvas()
    transform = QgsCoordinateTransform(layer.crs(), canvas.mapSettings().destinationCrs(), project)
    if not transform.isValid():  # without a CRS it would hand the extent back as it is
        return
    try:
        extent = transform.transformBoundingBox(layer.extent())
    except QgsCsException:
        return
    if first or not canvas.extent().intersects(extent):
        if extent.isEmpty():  # a single gauge has no extent to show
            extent.grow(0.05 if canvas.mapSettings().destinationCrs().isGeographic() else 5000.0)
        # Points at the very edge would be cut, and their names.
        extent.scale(1.05 if isinstance(layer, QgsRasterLayer) else 1.3)
        canvas.setExtent(extent)
        canvas.refresh()
