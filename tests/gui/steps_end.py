"""The drive, last part: the project is cleared and QGIS is closed while a training runs."""

from __future__ import annotations

import os

from hands import Steps, Until
from qgis.core import QgsProject
from steps_data import Story
from steps_train import fill_model, start


def clear_project(story: Story) -> Steps:
    """A new project during a training: nothing breaks, the run goes on, the dock says that there is no dataset."""
    hands = story.hands
    yield from fill_model(story, 40, "0.4", "Soil moisture, outlives QGIS")
    yield from start(story)
    run, page = story.latest, story.dock.pages["runs"]
    yield Until(lambda: page.list.key() == run and page._loss.epochs, "the first epoch", 120)
    QgsProject.instance().setDirty(False)
    hands.iface.newProject(False)
    yield Until(lambda: not QgsProject.instance().mapLayers(), "an empty project", 30)
    known = len(page._loss.epochs)
    yield Until(lambda: len(page._loss.epochs) > known or run in story.ended, "the training to go on", 60)
    yield from hands.tab("Data")
    hands.check(
        hands.find("freshetDataset").currentText() == "no dataset yet", "the strip shows a dataset of the old project"
    )
    hands.check(story.dock.pages["maps"].chart.isHidden(), "the page Maps still shows series of the old project")
    hands.check(run not in story.ended, f"the training ended: {story.ended.get(run)}")
    hands.say(f"project cleared during a training, epoch {known} to {len(page._loss.epochs)}")
    yield from hands.tab("Runs")
    hands.shot("16_cleared")


def close_qgis(story: Story) -> Steps:
    """Leave the path of the run for what comes after QGIS; the drive closes QGIS while it runs."""
    hands = story.hands
    hands.check(story.latest not in story.ended, "the training ended before QGIS was closed")
    with open(os.path.join(hands.out, "outlives.txt"), "w", encoding="utf-8") as stream:
        stream.write(story.latest)
    hands.say("QGIS is closed while the training runs")
    yield from hands.settle()
