"""The drive, fourth part: what drove a prediction, and a saved model that predicts another period."""

from __future__ import annotations

import csv
import json
import os
import time
from typing import Any

import numpy as np
import truth
from hands import Steps, Until
from qgis.core import QgsPointXY, QgsProject
from steps_data import Story
from steps_maps import a_cell, layers_of, legend_words, only_visible


def explain(story: Story) -> Steps:
    """A date by keys, then clicks on the map: each asks at once. A first picture comes and refines; the bars add up,
    the heatmaps hold what the bars say and take the place of those of the click before. Then the whole basin.
    """
    hands, page = story.hands, story.dock.pages["why"]
    row, column = a_cell(story)
    date = story.maps["predicted"].dates[20]
    yield from hands.tab("Why")
    panel = page.panel
    hands.check(panel.name == "Attribution", f"the first question is {panel.name}")
    yield from hands.type("freshetWhyDate", date)
    yield from hands.click("freshetWhyPick")
    run = yield from _click_and_see(story, panel, row, column)
    with open(os.path.join(run, "results", "attribution.json"), encoding="utf-8") as stream:
        found = json.load(stream)
    _check_sum(story, found, panel.answer(), story.maps["predicted"].at(date)[row, column])
    yield from _look_at_answer(story, panel, "11_why")
    yield from _check_heatmaps(story, run, found)
    second = yield from _click_and_see(story, panel, row + 1, column)
    hands.check(not layers_of(run) and layers_of(second), "the heatmaps of the first click are still there")
    hands.check(panel.place.pick_button.isChecked(), "the map tool was given back between two clicks")
    yield from hands.click("freshetWhyPick")
    hands.check(hands.canvas.mapTool() not in panel.place._tools.values(), "the map was not given back")
    yield from _ask_basin(story, panel, date)


def explain_gauge(story: Story) -> Steps:
    """A gauge by a click near it: all lie on the map with their names; the answer is that of the cell below it."""
    hands, page = story.hands, story.dock.pages["why"]
    panel, place = page.panel, page.panel.place
    page.verticalScrollBar().setValue(0)
    yield from hands.click("freshetWhyGauge")
    names = [place.gauge.itemText(i) for i in range(place.gauge.count())]
    hands.check(len(names) == 4 and place.marks.names == tuple(names), f"{names} offered, {place.marks.names} shown")
    with open(story.file("gauges.csv"), encoding="utf-8") as stream:
        rows = {line["name"]: line for line in csv.DictReader(stream)}
    wanted = names[1]
    x, y = float(rows[wanted]["x"]), float(rows[wanted]["y"])
    yield from hands.click("freshetWhyPick")
    before, pixel = story.runs(), hands.canvas.mapUnitsPerPixel()
    yield from hands.click_map(QgsPointXY(x + 8 * pixel, y - 8 * pixel))
    hands.check(place.gauge.currentData() == wanted == place.marks.chosen, f"{place.gauge.currentData()} was taken")
    yield Until(lambda: story.runs() - before, "the run of the gauge", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    yield Until(lambda: wanted in panel.answer().words.text(), "the answer of the gauge", 20)
    with open(os.path.join(run, "results", "attribution.json"), encoding="utf-8") as stream:
        found = json.load(stream)
    row, column = story.maps["predicted"].index(x, y)
    on_the_map = story.maps["predicted"].at(panel.date.iso())[row, column]
    off = abs(found["prediction"] - on_the_map)
    hands.check(off <= 1e-3, f"explained {found['prediction']} at the gauge, the map says {on_the_map}")
    hands.say(f"gauge {wanted}: {panel.answer().words.text()}")
    page.verticalScrollBar().setValue(0)
    yield from hands.rendered()
    hands.shot("11_why_gauge")
    yield from hands.click("freshetWhyPick")
    yield from hands.click("freshetWhyCell")
    hands.check(not place.marks.names, "the gauges are still on the map")


def _click_and_see(story: Story, panel: Any, row: int, column: int) -> Steps:
    """Click a cell; gives the run that answers it, once it is over and its heatmaps are on the map."""
    hands, words = story.hands, panel.answer().words
    x, y = story.maps["predicted"].cell(row, column)
    before, begun = story.runs(), time.monotonic()
    seen: list[tuple[float, str]] = []

    def look(path: str, batch: list) -> None:
        if any(isinstance(event.values.get("so_far"), dict) for event in batch):
            seen.append((time.monotonic() - begun, words.text()))

    story.plugin.runs.events.connect(look)
    yield from hands.click_map(QgsPointXY(x, y))
    off = max(abs(panel.place.x.value() - x), abs(panel.place.y.value() - y))
    hands.check(off < 1000, f"picked {panel.place.x.text()}, {panel.place.y.text()}")
    yield Until(lambda: story.runs() - before, "the run of the click", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    story.plugin.runs.events.disconnect(look)
    hands.check(seen and "First picture" in seen[0][1], f"no first picture was shown: {seen}")
    yield Until(lambda: layers_of(run), "the heatmaps of the click", 20)
    yield Until(lambda: "First picture" not in words.text(), "the answer in place of the first picture", 20)
    hands.say(f"a click: first picture after {seen[0][0]:.1f} s, the answer after {time.monotonic() - begun:.1f} s")
    yield from hands.rendered()
    return run


def _look_at_answer(story: Story, panel: Any, name: str) -> Steps:
    page, bridge = story.dock.pages["why"], panel.answer().bridge
    page.ensureWidgetVisible(bridge)
    yield Until(lambda: bridge.figure is not None and bridge.figure.axes, "the bars", 20)
    page.verticalScrollBar().setValue(page.verticalScrollBar().maximum())
    yield from story.hands.rest(600)
    story.hands.shot(name)


def _ask_basin(story: Story, panel: Any, date: str) -> Steps:
    """The mean of the basin by the button: what it costs, then the answer, which is the mean of the map."""
    hands = story.hands
    yield from hands.click("freshetWhyBasin")
    before = story.runs()
    yield from hands.click("freshetWhyCost")
    yield Until(lambda: story.runs() - before, "the run that tells the cost", 20)
    yield from story.wait_end((story.runs() - before).pop(), "done")
    hands.check("passes" in panel.cost.text() and "memory" in panel.cost.text(), f"the cost is: {panel.cost.text()}")
    hands.say(f"the cost: {panel.cost.text()}")
    before = story.runs()
    yield from hands.click("freshetWhyExplain")
    yield Until(lambda: story.runs() - before, "the run of the basin", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    with open(os.path.join(run, "results", "attribution.json"), encoding="utf-8") as stream:
        found = json.load(stream)
    with hands.own_work():
        mean = float(np.nanmean(story.maps["predicted"].at(date)))
    off = abs(found["prediction"] - mean)
    hands.check(off <= 1e-3, f"explained {found['prediction']} for the basin, the mean of the map is {mean}")
    hands.check(not layers_of(run), "heatmaps were added that no click asked for")
    hands.say(f"the basin: {panel.answer().words.text()}")
    yield from hands.click("freshetWhyMaps")
    hands.check(layers_of(run), "the button added no heatmaps")


def _check_sum(story: Story, found: dict, answer: Any, on_the_map: float) -> None:
    hands = story.hands
    total = found["baseline_prediction"] + sum(found["variables"].values())
    off = abs(total - found["prediction"])
    change = abs(found["prediction"] - found["baseline_prediction"])
    hands.check(
        off <= 0.01 * abs(found["prediction"]),
        f"baseline and contributions give {total}, the prediction is {found['prediction']}",
    )
    hands.check(
        abs(found["prediction"] - on_the_map) <= 1e-3, f"explained {found['prediction']}, the map says {on_the_map}"
    )
    answer.bridge.render_now()
    axes = answer.bridge.figure.axes[0]
    bars = [patch.get_width() for patch in axes.patches]
    drawn = sum(bars[1:-1])
    hands.check(
        abs(drawn - (found["prediction"] - found["baseline_prediction"])) <= 0.01 * abs(found["prediction"]),
        f"the bars are {bars}",
    )
    hands.check(answer.words.text() and "NaN" not in answer.words.text(), f"the words are: {answer.words.text()}")
    parts = ", ".join(f"{name} {value:+.4f}" for name, value in found["variables"].items())
    hands.say(
        f"why: {found['baseline_prediction']:.4f} {parts} = {found['prediction']:.4f} within {off:.1g} "
        f"({100 * off / max(change, 1e-12):.2f} % of the change); {answer.words.text()}"
    )


def _check_heatmaps(story: Story, run: str, found: dict) -> Steps:
    hands, layers, told, ranges = story.hands, layers_of(run), [], set()
    for name, total in found["variables"].items():
        layer = layers.get(f"attribution_{name}")
        if layer is None:
            continue
        with hands.own_work():
            values = truth.Raster(layer.source()).values
        summed = float(np.nansum(values))
        hands.check(
            abs(summed - total) <= 1e-4 + 0.01 * abs(total), f"the maps of {name} sum to {summed}, its bar is {total}"
        )
        ranges.add((layer.renderer().classificationMin(), layer.renderer().classificationMax()))
        told.append(
            f"{name} {layer.bandCount()} bands, {'(-)' in legend_words(hands, layer) and 'unit said' or 'NO UNIT'}"
        )
    hands.check(len(told) >= 3 and len(ranges) == 1, f"heatmaps {told}, ranges {ranges}")
    low, high = ranges.pop()
    hands.check(low == -high, f"the range of the heatmaps is {low} to {high}")
    hands.say(f"heatmaps add up to their bars, one range +-{high:.3g}: " + "; ".join(told))
    rain = layers["attribution_precipitation"]
    only_visible(rain)
    story.plugin.temporal.show(truth.Raster(rain.source()).dates[-1])
    yield from hands.rendered()
    hands.shot("12_heatmaps")


def predict(story: Story) -> Steps:
    """The dialog for a saved model: path and dates by keys; the maps are the model's, on another period."""
    hands = story.hands
    begin, end = "2001-07-01", story.maps["predicted"].dates[2]
    model = os.path.join(story.trained, "results", "model.safetensors")
    yield from hands.tab("Model")
    hands.find("freshetModelPage").verticalScrollBar().setValue(0)
    yield from hands.click("freshetModelLoad")
    yield Until(lambda: hands.there("freshetPredictDialog"), "the dialog", 10)
    yield from hands.type("freshetPredictModel_edit", os.path.join(story.files, "temperature.tif"))
    refused = hands.find("freshetPredictNotice").text()
    hands.check(refused, "a raster was taken for a model file")
    yield from hands.type("freshetPredictModel_edit", model)
    about = hands.find("freshetPredictAbout").text()
    hands.check("precipitation (mm/d)" in about, f"the dialog says of the model: {about}")
    yield from hands.choose(hands.find("freshetPredictDataset"), "Drive basin")
    yield from hands.type("freshetPredictStart", begin)
    yield from hands.type("freshetPredictEnd", end)
    yield from hands.type("freshetPredictTitle", "Another period")
    hands.shot("14_predict")
    before = story.runs()
    yield from hands.click("freshetPredictGo")
    yield Until(lambda: story.runs() - before, "the run of the prediction", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    yield from hands.rendered()
    layers = layers_of(run)
    with hands.own_work():
        made = truth.Raster(layers["predicted"].source())
        hands.check((made.dates[0], made.dates[-1]) == (begin, end), f"dates {made.dates[0]} to {made.dates[-1]}")
        same = max(
            truth.difference(made.at(day), story.maps["predicted"].at(day)) for day in story.maps["predicted"].dates[:3]
        )
        seen = truth.Raster(layers["observed"].source()).at(begin)
        source = truth.Raster(story.file("soil_moisture.nc"), "soil_moisture").at(begin)
    hands.check(same <= 1e-3, f"the saved model predicts the same dates otherwise, by {same}")
    hands.check(truth.difference(seen, source) <= 1e-5, "observed is not the source on the first date")
    groups = [group.name() for group in QgsProject.instance().layerTreeRoot().findGroups()]
    hands.check("Another period" in groups, f"groups {groups}")
    hands.say(
        f"saved model, {len(made.dates)} dates {begin} to {end}; same dates as the training within {same:.1g}; "
        f"refused: {' '.join(refused.split())}"
    )
    hands.shot("15_predicted")
