"""The drive: a storm painted on the map, and the response that comes as the brush is lifted."""

from __future__ import annotations

import os
import time
from typing import Any

from hands import LEFT, Steps, Until
from qgis.core import QgsPointXY
from qgis.PyQt.QtCore import QEvent, QPointF, Qt
from qgis.PyQt.QtGui import QMouseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication
from steps_data import Story
from steps_maps import a_cell, layers_of


def paint(story: Story) -> Steps:
    """Two strokes: each is rain on the map and a question of its own, whose hydrograph and maps follow by themselves;
    the maps of the second take the place of those of the first. Then the rain is taken back, and what if it rained a
    fifth more.
    """
    hands, page = story.hands, story.dock.pages["why"]
    row, column = a_cell(story)
    yield from hands.tab("Why")
    yield from hands.choose(page.question, "Storm")
    panel = page.panel
    yield from hands.type("freshetWhyStormDate", story.maps["predicted"].dates[5])
    yield from hands.click("freshetWhyStormPaint")
    hands.check(hands.canvas.mapTool() is panel.brush.tool, "the brush does not have the map")
    first = yield from _stroke_and_see(story, panel, (row, column), (row + 3, column))
    second = yield from _stroke_and_see(story, panel, (row, column + 2), (row + 3, column + 2))
    hands.check(not layers_of(first) and layers_of(second), "the maps of the first stroke are still there")
    hands.check("mm in the basin's mean" in panel.form.total.text(), f"the total is: {panel.form.total.text()}")
    yield from hands.rendered()
    hands.shot("12_storm")
    yield from hands.click("freshetWhyStormPaint")
    hands.check(hands.canvas.mapTool() is not panel.brush.tool, "the map was not given back")
    yield from hands.click("freshetWhyStormClear")
    hands.check(panel.brush.overlay.shown_cells() == 0, "the rain is still on the map")
    yield from _more_rain(story)


def _stroke_and_see(story: Story, panel: Any, *cells: tuple[int, int]) -> Steps:
    """Lead the brush over cells; gives the run that answers, once its maps are there."""
    hands, maps = story.hands, story.maps["predicted"]
    before, seen = story.runs(), []

    def look(path: str, batch: list) -> None:
        if any(isinstance(event.values.get("so_far"), dict) for event in batch):
            seen.append(time.monotonic() - begun)

    story.plugin.runs.events.connect(look)
    yield from _lead(story, [QgsPointXY(*maps.cell(row, column)) for row, column in cells])
    begun = time.monotonic()
    yield Until(lambda: story.runs() - before, "the run of the stroke", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    story.plugin.runs.events.disconnect(look)
    yield Until(lambda: "change" in layers_of(run), "the map of the change", 20)
    words = panel.answer().words
    yield Until(lambda: "Largest change" in words.text(), "the answer in words", 20)
    first = f"{seen[0]:.1f} s" if seen else "with the answer"
    hands.say(f"a stroke: first dates after {first}, the answer after {time.monotonic() - begun:.1f} s: {words.text()}")
    hands.check(os.path.isfile(os.path.join(run, "results", "what_if.csv")), "the stroke left no table")
    return run


def _lead(story: Story, points: list) -> Steps:
    """Press, move, lift, as a hand does."""
    hands = story.hands
    view, transform = hands.canvas.viewport(), hands.canvas.getCoordinateTransform()
    spots = [transform.transform(point).toQPointF().toPoint() for point in points]
    hands.check(all(view.rect().contains(spot) for spot in spots), "the stroke leads out of the map")
    QTest.mouseMove(view, spots[0])
    QTest.mousePress(view, LEFT, pos=spots[0])
    for spot in spots[1:]:
        yield from hands.settle()
        event = QMouseEvent(
            QEvent.Type.MouseMove, QPointF(spot), QPointF(view.mapToGlobal(spot)), Qt.MouseButton.NoButton, LEFT,
            Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(view, event)
    QTest.mouseRelease(view, LEFT, pos=spots[-1])


def _more_rain(story: Story) -> Steps:
    """The preset, asked by the button for the dates of the map."""
    hands, page = story.hands, story.dock.pages["why"]
    dates = story.maps["predicted"].dates
    yield from hands.choose(page.question, "WhatIf")
    panel = page.panel
    yield from hands.click("freshetWhyWhatIfRain")
    yield from hands.type("freshetWhyWhatIfFrom", dates[5])
    yield from hands.type("freshetWhyWhatIfTo", dates[15])
    before = story.runs()
    yield from hands.click("freshetWhyExplain")
    yield Until(lambda: story.runs() - before, "the run of the change", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    yield Until(lambda: "Largest change" in panel.answer().words.text(), "the answer in words", 20)
    hands.check(not layers_of(run), "maps were added that nobody asked for")
    yield from hands.click("freshetWhyMaps")
    hands.check("change" in layers_of(run), "the button added no map of the change")
    hands.say(f"a fifth more rain: {panel.answer().words.text()}")
    yield from hands.rendered()
    hands.shot("13_what_if")
