"""The drive, second part: bad input, a training by clicks, what it shows while it works, one that is cancelled."""

from __future__ import annotations

import os
import time
from typing import Any

import truth
from hands import Hands, Steps, Until
from qgis.core import QgsProject
from qgis.PyQt.QtCore import Qt
from steps_data import Story
from ticker import Ticker

INPUTS = ("precipitation", "temperature", "pet")
FRACTION = int(Qt.ItemDataRole.UserRole) + 2


def refuse_target_as_input(story: Story) -> Steps:
    """The target among the inputs without a lag: a sentence on the page, and no run."""
    hands = story.hands
    yield from hands.tab("Model")
    yield from hands.choose(hands.find("freshetModelTarget"), "soil_moisture")
    yield from hands.tick("freshetModelInputs", (*INPUTS, "soil_moisture"))
    notice = hands.find("freshetModelNotice")
    yield Until(lambda: notice.text(), "a sentence", 10)
    before = story.runs()
    button = hands.find("freshetModelTrain")
    if button.isEnabled():
        yield from hands.click("freshetModelTrain")
        yield from hands.rest(500)
    sentence = notice.text()
    hands.check(story.runs() == before, "a training was started with its target as an input")
    hands.check(notice.isVisible() and "soil_moisture" in sentence, f"the page says: {sentence}")
    hands.say(f"target as input, refused: {' '.join(sentence.split())}")
    notice.window().repaint()
    hands.reach(notice)
    hands.shot("04_refused")
    yield from hands.tick("freshetModelInputs", INPUTS)
    hands.check(not notice.text(), f"the page still says: {notice.text()}")


def fill_model(story: Story, epochs: int, minutes: str, title: str) -> Steps:
    """The model page by clicks and keys."""
    hands = story.hands
    yield from hands.tab("Model")
    yield from hands.type("freshetModelShape_window", "10")
    yield from hands.type("freshetModelTraining_epochs", str(epochs))
    yield from hands.type("freshetModelTraining_patience", str(epochs))
    yield from hands.type("freshetModelTraining_learning_rate", "0.005")
    yield from _open(hands, "freshetModelOptionsFold")
    yield from hands.type("freshetModelOptions_hidden", "6")
    yield from _open(hands, "freshetModelTrainingFold")
    yield from hands.type("freshetModelTrainingMore_supervised_steps", "5")
    yield from hands.type("freshetModelTrainingMore_window_stride", "6")
    yield from hands.type("freshetModelTrainingMore_time_limit_minutes", minutes)
    yield from hands.type("freshetModelTitle", title)
    words = hands.find("freshetModelNotice").text()
    hands.check(not words, f"the page says: {words}")


def _open(hands: Hands, name: str) -> Steps:
    knob = hands.find(f"{name}_toggle")
    if not knob.isChecked():
        yield from hands.click(f"{name}_toggle")


def start(story: Story) -> Steps:
    """Click Train; afterwards ``story.latest`` is the run."""
    before = story.runs()
    yield from story.hands.click("freshetModelTrain")
    yield Until(lambda: story.runs() - before, "a new run", 20)
    story.latest = (story.runs() - before).pop()
    yield Until(lambda: story.dock.tabs.currentWidget() is story.dock.pages["runs"], "the page Runs", 10)


def train(story: Story) -> Steps:
    """A training; meanwhile a timer ticks, the map can be moved, the chart grows and the list shows how far it is."""
    hands = story.hands
    yield from fill_model(story, 12, "1", "Soil moisture, first training")
    cost = hands.find("freshetModelCost").text()
    hands.check("parameters" in cost, f"the page says of the cost: {cost}")
    hands.find("freshetModelPage").verticalScrollBar().setValue(0)
    yield from hands.settle()
    hands.shot("05_model")
    hands.ticker = Ticker(hands.out)
    yield from hands.rest(4000)
    calm = hands.ticker.stop()
    hands.ticker = Ticker(hands.out)
    yield from start(story)
    run, page = story.latest, story.dock.pages["runs"]
    seen: set = set()
    yield Until(
        lambda: _progress(page, run, seen) and len(_points(page)) >= 2, "two points in the chart of the loss", 120
    )
    hands.check(run not in story.ended, "the training had ended before the chart had two points")
    hands.shot("06_training")
    extent = hands.canvas.extent()
    hands.canvas.zoomIn()
    yield from hands.rendered()
    hands.canvas.setExtent(extent)
    hands.canvas.refresh()
    yield Until(lambda: (_progress(page, run, seen), run in story.ended)[1], "the end of the training", 180)
    yield from hands.rendered()
    words, hands.ticker = hands.ticker.stop(), None
    yield from story.wait_end(run, "done")
    story.trained = run
    points = _points(page)
    hands.check(len(points) >= 3 and points == sorted(points), f"epochs in the chart: {points}")
    middle = [value for value in seen if 0.02 < value < 0.98]
    hands.check(len(middle) >= 3, f"the list showed only {sorted(seen)}")
    scores = {name: part["pooled"]["nse"] for name, part in truth.scores(run).items() if _has_nse(part)}
    hands.check("NSE" in page.state.text() and "done" in page.state.text(), f"the page says: {page.state.text()}")
    hands.say(f"timer before the training, for comparison: {calm}")
    hands.say(f"timer while it trained: {words}")
    hands.say(f"training done, {len(points)} epochs, {len(middle)} states of progress seen; " + _scores_words(scores))
    hands.shot("07_trained")


def _has_nse(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("pooled"), dict) and "nse" in part["pooled"]


def _scores_words(scores: dict) -> str:
    return "NSE " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _progress(page: Any, run: str, seen: set) -> bool:
    keys = page.list.keys()
    if run in keys:
        value = page.list.item(keys.index(run)).data(FRACTION)
        if value is not None:
            seen.add(round(float(value), 3))
    return page.list.key() == run


def _points(page: Any) -> list:
    figure = page.chart.figure
    return [float(x) for x in figure.axes[0].lines[0].get_xdata()] if figure is not None and figure.axes else []


def cancel(story: Story) -> Steps:
    """A long training; a layer of the first one is removed meanwhile; then Cancel."""
    hands, page = story.hands, story.dock.pages["runs"]
    yield from fill_model(story, 2000, "5", "Soil moisture, to be cancelled")
    yield from start(story)
    run = story.latest
    yield Until(lambda: page.list.key() == run and len(_epochs(page)) >= 1, "the first epoch", 120)
    delta = [
        layer for layer in QgsProject.instance().mapLayers().values() if layer.customProperty("freshet/kind") == "delta"
    ]
    hands.check(delta, "no delta layer to remove")
    QgsProject.instance().removeMapLayers([layer.id() for layer in delta])
    known = len(_epochs(page))
    yield Until(lambda: len(_epochs(page)) > known, "the training to go on without the layer", 60)
    process = story.plugin.runs.summary(run)
    hands.check(process.state.value == "running", f"the state is {process.state.value}")
    begin = time.monotonic()
    yield from hands.click("freshetRunsCancel")
    yield Until(lambda: run in story.ended, "the cancelled training to end", 60)
    seconds = time.monotonic() - begin
    yield from story.wait_end(run, "cancelled")
    hands.check("cancelled" in page.state.text(), f"the page says: {page.state.text()}")
    left = (
        [name for name in os.listdir(os.path.join(run, "results")) if not name.startswith("checkpoint")]
        if os.path.isdir(os.path.join(run, "results"))
        else []
    )
    hands.say(
        f"cancelled {seconds:.2f} s after the click, with a layer removed meanwhile; "
        f"left in results: {left or 'nothing'}"
    )
    hands.shot("13_cancelled")


def _epochs(page: Any) -> list:
    return page._loss.epochs
