"""The drive, third part: results value by value, their colours on the canvas, time, the series at a point."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import truth
from hands import LEFT, Hands, Steps, Until
from qgis.core import QgsPointXY, QgsProject, QgsRasterLayer
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAbstractButton, QAction, QWidget
from steps_data import Story

TOLERANCE = 6  # of 255: a ramp is drawn from 21 stops


def add_maps(story: Story) -> Steps:
    """From the run to its maps by clicks; the group is there once."""
    hands = story.hands
    yield from hands.tab("Runs")
    yield from hands.click("freshetRunsMaps")
    yield from hands.click("freshetMapsAdd")
    yield from hands.rendered()
    groups = [
        g for g in QgsProject.instance().layerTreeRoot().findGroups() if g.name() == "Soil moisture, first training"
    ]
    hands.check(len(groups) == 1, f"{len(groups)} groups of the training")
    names = [node.name() for node in groups[0].findLayers()]
    hands.check({"predicted", "observed", "delta"} <= set(layers_of(story.trained)), f"the group holds {names}")
    hands.say(f"group of results: {'; '.join(names)}")
    hands.shot("08_maps")


def layers_of(run: str) -> dict[str, QgsRasterLayer]:
    """The layers of a run by what they are; score maps by their file."""
    found = {}
    for layer in QgsProject.instance().mapLayers().values():
        if layer.customProperty("freshet/run") == run:
            kind = str(layer.customProperty("freshet/kind"))
            stem = os.path.splitext(os.path.basename(layer.source()))[0]
            found[stem if kind in ("score-map", "attribution") else kind] = layer
    return found


def check_values(story: Story) -> Steps:
    """Observed = source, delta = predicted - observed at every cell of every date; ranges, legends, units."""
    hands, layers = story.hands, layers_of(story.trained)
    with hands.own_work():
        maps = {kind: truth.Raster(layers[kind].source()) for kind in ("predicted", "observed", "delta")}
        source = truth.Raster(story.file("soil_moisture.nc"), "soil_moisture")
        dates = maps["predicted"].dates
        hands.check(dates == maps["observed"].dates == maps["delta"].dates and len(dates) > 30, "dates of the maps")
        against_source = max(truth.difference(maps["observed"].at(day), source.at(day)) for day in dates)
        subtraction = truth.difference(maps["delta"].values, maps["predicted"].values - maps["observed"].values)
    hands.check(against_source <= 1e-5, f"observed differs from its source by {against_source}")
    hands.check(subtraction <= 1e-5, f"delta differs from predicted - observed by {subtraction}")
    ranges = {
        kind: (layers[kind].renderer().classificationMin(), layers[kind].renderer().classificationMax())
        for kind in maps
    }
    hands.check(ranges["predicted"] == ranges["observed"], f"ranges {ranges}")
    both = np.concatenate([maps["predicted"].values.ravel(), maps["observed"].values.ravel()])
    wanted = np.nanpercentile(both, (1, 99))
    near = np.abs(np.subtract(ranges["predicted"], wanted)).max() <= 0.05 * (wanted[1] - wanted[0])
    hands.check(near, f"the range {ranges['predicted']} is not that of nearly all values of all dates, {wanted}")
    low, high = ranges["delta"]
    hands.check(low == -high and high > 0, f"range of the delta {ranges['delta']}")
    expected = float(np.nanpercentile(np.abs(maps["delta"].values), 98))
    hands.check(abs(high - expected) <= 0.02 * expected, f"range of the delta {high}, 98th percentile {expected}")
    zero, positive, negative = (_shade(layers["delta"], value) for value in (0.0, high, low))
    hands.check(min(zero) >= 240, f"the delta's colour at 0 is {zero}")
    hands.check(positive[2] > positive[0] and negative[0] > negative[2], f"too wet is {positive}, too dry {negative}")
    legends = {kind: legend_words(hands, layer) for kind, layer in layers.items()}
    hands.check(all("(-)" in legends[kind] for kind in maps), f"units in the legend: {legends}")
    hands.check("predicted - observed" in legends["delta"], f"the delta is called {legends['delta']}")
    hands.say(
        f"{len(dates)} dates {dates[0]} to {dates[-1]}: observed = source within {against_source:.1g}, "
        f"delta = predicted - observed within {subtraction:.1g}; one range {ranges['predicted']}, "
        f"delta +-{high:.3f}, 0 is {zero}"
    )
    story.maps = maps
    yield from hands.settle()


def _shade(layer: QgsRasterLayer, value: float) -> tuple:
    found = layer.renderer().shader().rasterShaderFunction().shade(value)
    return tuple(int(part) for part in found[1:4])


def legend_words(hands: Hands, layer: QgsRasterLayer) -> str:
    """What stands in the legend of a layer: its name, the texts of its nodes and what is put behind numbers."""
    tree = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
    nodes = hands.iface.layerTreeView().layerTreeModel().layerLegendNodes(tree)
    words = [tree.name()]
    for node in nodes:
        words.append(str(node.data(0) or ""))
        if hasattr(node, "settings"):
            words.append(node.settings().suffix())
    return " ".join(words)


def units_behind_numbers(story: Story) -> Steps:
    """Where the unit is one that has a name, it stands behind the numbers of the legend too."""
    layer = next(item for item in QgsProject.instance().mapLayers().values() if "recipitation" in item.name())
    words = legend_words(story.hands, layer)
    story.hands.check(words.count("mm/d") >= 2, f"the legend says: {words}")
    story.hands.say(f"legend: {words}")
    yield from story.hands.settle()


def play(story: Story) -> Steps:
    """The temporal controller, by clicks on its button: at each date one frame, in the colours of its values."""
    hands, layers = story.hands, layers_of(story.trained)
    if not _next_buttons(hands):
        hands.window.findChild(QAction, "mActionTemporalController").trigger()
    yield Until(lambda: _next_buttons(hands), "QGIS's temporal controller", 20)
    only_visible(layers["predicted"])
    hands.canvas.setExtent(layers["predicted"].extent())
    hands.canvas.refresh()
    yield from hands.rendered()
    step = _next_buttons(hands)[0]
    yield from hands.sight(step)
    told = []
    for kind, presses in (("predicted", 0), ("predicted", 7), ("observed", 13), ("delta", 4)):
        only_visible(layers[kind])
        for _ in range(presses):
            QTest.mouseClick(step, LEFT)
            yield from hands.settle()
        yield from hands.rendered()
        told.append(_check_frame(story, kind, layers[kind]))
    hands.say("frames on the canvas: " + "; ".join(told))
    hands.shot("09_played")


def _next_buttons(hands: Hands) -> list:
    """The button of QGIS's temporal controller that goes one frame on."""
    found = hands.window.findChildren(QAbstractButton, "mNextButton") + hands.window.findChildren(
        QAbstractButton, "mForwardStepButton"
    )
    return [button for button in found if button.isVisible() and _inside(button, "TemporalController")]


def _inside(widget: QWidget, part: str) -> bool:
    while widget is not None:
        names = (widget.objectName() + widget.metaObject().className()).replace(" ", "")
        if part.lower() in names.lower():
            return True
        widget = widget.parentWidget()
    return False


def only_visible(layer: QgsRasterLayer) -> None:
    """Switch all other layers off in the layer tree."""
    root = QgsProject.instance().layerTreeRoot()
    for node in root.findLayers():
        node.setItemVisibilityChecked(node.layerId() == layer.id())
    root.findLayer(layer.id()).setItemVisibilityCheckedParentRecursive(True)


def _check_frame(story: Story, kind: str, layer: QgsRasterLayer) -> str:
    hands, raster = story.hands, story.maps[kind]
    date = hands.canvas.temporalRange().begin().toUTC().toString("yyyy-MM-dd")
    band = layer.renderer().band()
    hands.check(raster.dates[band - 1] == date, f"the controller says {date}, the layer shows {raster.dates[band - 1]}")
    hands.check(
        layer.temporalProperties().isVisibleInTemporalRange(hands.canvas.temporalRange()), f"{kind} is hidden on {date}"
    )
    with hands.own_work():
        image = hands.canvas.grab().toImage()
    values, artifact = raster.at(date), _artifact(story.trained, kind)
    cells = [tuple(cell) for cell in np.argwhere(np.isfinite(values))]
    worst = 0
    for row, column in cells[:: max(1, len(cells) // 25)]:
        got = _pixel(hands, image, QgsPointXY(*raster.cell(int(row), int(column))))
        wanted = _ramp_colour(artifact, float(values[row, column]), kind == "delta")
        worst = max(worst, *(abs(a - b) for a, b in zip(got, wanted)))
        hands.check(
            worst <= TOLERANCE, f"{kind} {date} cell {row}, {column}: {got} on the canvas, {wanted} by its value"
        )
    return f"{kind} {date} ({len(cells[:: max(1, len(cells) // 25)])} cells, off by {worst} of 255)"


def _artifact(run: str, kind: str) -> Any:
    from freshet.core.contracts import RunFolder

    return next(item for item in RunFolder(run).artifacts() if item.kind == kind)


def _ramp_colour(artifact: Any, value: float, symmetric: bool) -> tuple:
    """The colour of a value by the stops of its ramp, computed here and not by the renderer."""
    from freshet.plugin.ramps import stops

    low, high = artifact.minimum, artifact.maximum
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    place = min(1.0, max(0.0, (value - low) / (high - low)))
    found = stops(artifact.ramp)
    index = min(len(found) - 2, int(place * (len(found) - 1)))
    (a, first), (b, second) = found[index], found[index + 1]
    share = (place - a) / (b - a)
    pairs = zip(first.getRgb()[:3], second.getRgb()[:3])
    return tuple(int(round(x + share * (y - x))) for x, y in pairs)


def _pixel(hands: Hands, image: Any, point: QgsPointXY) -> tuple:
    place = hands.canvas.getCoordinateTransform().transform(point)
    inside = hands.canvas.viewport().pos()
    colour = QColor(image.pixel(int(place.x()) + inside.x(), int(place.y()) + inside.y()))
    return colour.red(), colour.green(), colour.blue()


def plot(story: Story) -> Steps:
    """A click on the map: the series in the chart are those of the rasters."""
    hands, page = story.hands, story.dock.pages["maps"]
    row, column = a_cell(story)
    yield from plot_at(story, row, column)
    chart = page.chart
    lines = [line for axes in chart.figure.axes for line in axes.lines if len(line.get_xdata()) > 2]
    worst, units = 0.0, [axes.get_ylabel() for axes in chart.figure.axes]
    for kind in ("predicted", "observed", "delta"):
        wanted = story.maps[kind].values[:, row, column]
        fits = [
            float(np.max(np.abs(np.asarray(line.get_ydata(), float) - wanted)))
            for line in lines
            if len(line.get_ydata()) == len(wanted)
        ]
        hands.check(fits and min(fits) <= 1e-6, f"no line of the chart is the {kind} of cell {row}, {column}")
        worst = max(worst, min(fits))
    rain = truth.Raster(story.dataset, "precipitation").values[:, row, column]
    fits = [
        float(np.max(np.abs(np.asarray(line.get_ydata(), float) - rain)))
        for line in lines
        if len(line.get_ydata()) == len(rain)
    ]
    hands.check(fits and min(fits) <= 1e-4, "no line of the chart is the rain of the dataset")
    hands.check(any("mm/d" in unit for unit in units), f"units of the chart: {units}")
    hands.say(
        f"series at cell {row}, {column}: {len(lines)} lines in {len(units)} panels {units}, "
        f"within {worst:.1g} of the rasters"
    )
    hands.shot("10_series")
    yield from hands.click("freshetMapsPlot")


def plot_at(story: Story, row: int, column: int) -> Steps:
    """Click the button, then the cell on the map; the chart is in sight afterwards."""
    hands, page = story.hands, story.dock.pages["maps"]
    yield from hands.tab("Maps")
    yield from hands.click("freshetMapsPlot")
    yield from hands.click_map(QgsPointXY(*story.maps["predicted"].cell(row, column)))
    chart = page.chart
    yield Until(
        lambda: chart.isVisible() and chart.figure is not None and chart.figure.axes, "the chart of the series", 20
    )
    yield from hands.rest(600)
    page.verticalScrollBar().setValue(page.verticalScrollBar().maximum())
    yield from hands.settle()


def a_cell(story: Story) -> tuple[int, int]:
    """The wettest inner cell: one whose four neighbours have values too."""
    values = story.maps["observed"].values
    whole = np.isfinite(values).all(axis=0)
    inner = whole[1:-1, 1:-1] & whole[:-2, 1:-1] & whole[2:, 1:-1] & whole[1:-1, :-2] & whole[1:-1, 2:]
    level = np.where(inner, np.where(whole, np.nan_to_num(values), 0).mean(axis=0)[1:-1, 1:-1], -math.inf)
    row, column = np.unravel_index(np.argmax(level), level.shape)
    return int(row) + 1, int(column) + 1
