"""The drive, fourth part: what drove a prediction, and a saved model that predicts another period."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import truth
from hands import Steps, Until
from qgis.core import QgsPointXY, QgsProject
from steps_data import Story
from steps_maps import a_cell, layers_of, legend_words, only_visible


def explain(story: Story) -> Steps:
    """A cell by a click on the map, a date by keys, Explain; the bars add up, the heatmaps hold what the bars say."""
    hands, page = story.hands, story.dock.pages["why"]
    row, column = a_cell(story)
    x, y = story.maps["predicted"].cell(row, column)
    date = story.maps["predicted"].dates[20]
    yield from hands.tab("Why")
    yield from hands.click("freshetWhyPick")
    yield from hands.click_map(QgsPointXY(x, y))
    hands.check(
        abs(page.x.value() - x) < 1000 and abs(page.y.value() - y) < 1000, f"picked {page.x.text()}, {page.y.text()}"
    )
    hands.check(not page.pick_button.isChecked(), "the map was not given back after the pick")
    yield from hands.type("freshetWhyDate", date)
    before = story.runs()
    yield from hands.click("freshetWhyExplain")
    yield Until(lambda: story.runs() - before, "the run of the explanation", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    yield Until(
        lambda: page.bridge.isVisible() and page.bridge.figure is not None and page.bridge.figure.axes, "the bars", 20
    )
    with open(os.path.join(run, "results", "attribution.json"), encoding="utf-8") as stream:
        found = json.load(stream)
    _check_sum(story, found, page, story.maps["predicted"].at(date)[row, column])
    page.verticalScrollBar().setValue(page.verticalScrollBar().maximum())
    yield from hands.rest(400)
    hands.shot("11_why")
    yield from hands.click("freshetWhyMaps")
    yield from hands.rendered()
    yield from _check_heatmaps(story, run, found)


def _check_sum(story: Story, found: dict, page: Any, on_the_map: float) -> None:
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
    axes = page.bridge.figure.axes[0]
    bars = [patch.get_width() for patch in axes.patches]
    drawn = sum(bars[1:-1])
    hands.check(
        abs(drawn - (found["prediction"] - found["baseline_prediction"])) <= 0.01 * abs(found["prediction"]),
        f"the bars are {bars}",
    )
    hands.check(page.words.text() and "NaN" not in page.words.text(), f"the words are: {page.words.text()}")
    parts = ", ".join(f"{name} {value:+.4f}" for name, value in found["variables"].items())
    hands.say(
        f"why: {found['baseline_prediction']:.4f} {parts} = {found['prediction']:.4f} within {off:.1g} "
        f"({100 * off / max(change, 1e-12):.2f} % of the change); {page.words.text()}"
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
