"""The drive, first part: layers into the project, the dock, a new dataset, its values against their sources."""

from __future__ import annotations

import os
from typing import Any

import truth
from hands import LEFT, Hands, Steps, Until
from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QDockWidget, QToolBar

FIRST, LAST = "2001-01-11", "2002-02-04"
NAME = "Drive basin"
ROLES = {
    "temperature": "input",
    "soil_moisture": "target",
    "precipitation": "input",
    "pet": "input",
    "elevation": "static",
    "gauge_discharge": "target",
}
CRS = "EPSG:3035"


class Story:
    """What the parts of the drive hand on to each other."""

    def __init__(self, hands: Hands, plugin: Any) -> None:
        self.hands, self.plugin, self.dock = hands, plugin, plugin.dock
        self.files = os.path.join(hands.out, "files")
        self.dataset = ""
        self.trained = ""
        self.ended: dict[str, Any] = {}
        plugin.runs.ended.connect(lambda path, state: self.ended.__setitem__(path, state))

    def runs(self) -> set:
        """Paths of all runs."""
        return {item.path for item in self.plugin.runs.runs()}

    def wait_end(self, run: str, wanted: str, limit_s: float = 180.0) -> Steps:
        """Wait until a run has ended, and that it ended as ``wanted``."""
        yield Until(lambda: run in self.ended, f"the end of {os.path.basename(run)}", limit_s)
        error = self.plugin.runs.error(run)
        self.hands.check(self.ended[run].value == wanted, f"{run} ended {self.ended[run].value}: {error}")
        yield from self.hands.settle()

    def file(self, name: str) -> str:
        """A file of the basin."""
        return os.path.join(self.files, name)


def open_dock(story: Story) -> Steps:
    """The button of the tool bar hides and shows the dock; the engine proves itself."""
    hands, dock = story.hands, story.dock
    bar = hands.window.findChild(QToolBar, "freshetToolBar")
    action = story.plugin._actions["freshetActionDock"]
    knob = bar.widgetForAction(action)
    if knob is None or not knob.isVisible():  # QGIS puts what does not fit behind an arrow
        hands.window.addToolBarBreak()
        hands.window.addToolBar(bar)
        yield from hands.settle()
    before = dock.isVisible()
    QTest.mouseClick(knob, LEFT)
    yield Until(lambda: dock.isVisible() != before, "the button to act on the dock", 10)
    if before:
        QTest.mouseClick(knob, LEFT)
        yield Until(dock.isVisible, "the dock to come back", 10)
    for other in hands.window.findChildren(QDockWidget):
        if other.objectName() == "Browser":
            other.close()  # as anybody does who needs room
    hands.check(action.isChecked(), "the button does not show that the dock is open")
    yield Until(lambda: story.plugin.engine.works is not None, "the engine's proof", 120)
    hands.check(story.plugin.engine.works, f"the engine does not work: {story.plugin.engine.reason}")
    hands.check(hands.find("freshetEngine").text() == story.plugin.engine.words, "the strip says another engine")
    hands.say(f"dock opened by its button; engine: {story.plugin.engine.words}")
    hands.shot("01_empty")


def add_project_layers(story: Story) -> Steps:
    """Two rasters and the polygon of the basin are layers of the project, as they would be."""
    project = QgsProject.instance()
    moisture = f'NETCDF:"{story.file("soil_moisture.nc")}":soil_moisture'
    layers = [
        QgsVectorLayer(story.file("basin.geojson"), "basin", "ogr"),
        QgsRasterLayer(story.file("temperature.tif"), "temperature", "gdal"),
        QgsRasterLayer(moisture, "soil_moisture", "gdal"),
    ]
    for layer in layers:
        story.hands.check(layer.isValid(), f"{layer.name()} cannot be opened")
        project.addMapLayer(layer)
    story.hands.canvas.setExtent(layers[1].extent())
    yield from story.hands.rendered()


def new_dataset(story: Story) -> Steps:
    """The dialog by clicks: layers, a folder, files, roles, dates, mask, name; then Build."""
    hands = story.hands
    yield from hands.tab("Data")
    yield from hands.click("freshetDataNew")
    dialog = hands.find("freshetNewDialog")
    hands.check("Nothing chosen yet" in dialog.mend.text(), "an empty dialog does not say what to do")
    yield from _add_layers(story, dialog)
    yield from hands.settle()
    # In place of the file dialogs of the system, which no click of ours reaches.
    files = ("precipitation", "pet.nc", "elevation.tif", "gauge_discharge.csv")
    dialog.table.add_paths([story.file(name) for name in files])
    yield Until(lambda: not dialog.table.busy and len(dialog.table.entries) == len(ROLES), "all sources", 60)
    yield from hands.settle()
    names = {dialog.table.name(i): i for i in range(len(ROLES))}
    hands.check(set(names) == set(ROLES), f"variables {sorted(names)}")
    for name, role in ROLES.items():
        combo = dialog.table.cellWidget(names[name], 0)
        dialog.table.scrollTo(dialog.table.model().index(names[name], 0))
        yield from hands.choose(combo, role)
    yield from _place_gauges(story, dialog, names["gauge_discharge"])
    units = {name: dialog.table.unit(row) for name, row in names.items()}
    hands.check(units["precipitation"] in ("mm/d", "mm d-1"), f"unit of precipitation: {units}")
    yield from hands.type("freshetNewStart", FIRST)
    yield from hands.type("freshetNewEnd", LAST)
    yield from hands.choose(hands.find("freshetNewMask"), "basin")
    yield from hands.type("freshetNewName", NAME)
    story.dataset = os.path.join(hands.out, "drive_basin.nc")
    yield from hands.type("freshetNewOutput_edit", story.dataset)
    yield from hands.rest(300)
    hands.check(not dialog.notice.text(), f"the dialog says: {dialog.notice.text()}")
    hands.say(f"new dataset: {', '.join(f'{n} {ROLES[n]} ({units[n]})' for n in names)}; {dialog.facts.text()}")
    hands.shot("02_new_dataset")
    before = story.runs()
    yield from hands.click("freshetNewBuild")
    yield Until(lambda: story.runs() - before, "the run of the dataset", 20)
    run = (story.runs() - before).pop()
    yield from story.wait_end(run, "done")
    yield Until(lambda: not hands.there("freshetNewDialog"), "the dialog to close", 10)


def _add_layers(story: Story, dialog: Any) -> Steps:
    hands = story.hands
    hands.expected_modals.add("freshetLayerChooser")
    yield from hands.click("freshetNewAddLayers")
    yield Until(lambda: hands.there("freshetLayerChooser"), "the chooser of layers", 10)
    project = QgsProject.instance()
    wanted = tuple(project.mapLayersByName(name)[0].id() for name in ("temperature", "soil_moisture"))
    yield from hands.tick("freshetLayerChooserList", wanted)
    yield from hands.click("freshetLayerChooserAdd")
    yield Until(lambda: len(dialog.table.entries) == 2, "two layers in the table", 30)


def _place_gauges(story: Story, dialog: Any, row: int) -> Steps:
    """The table of places beside that of the discharge is found, but names no CRS: the dialog says so and takes one."""
    hands = story.hands
    words = "have no coordinate reference system"
    yield Until(lambda: words in dialog.mend.text(), "the dialog to say that the places of the gauges have no CRS", 20)
    source = dialog.table.model().index(row, 3)
    dialog.table.scrollTo(source)
    yield from hands.settle()
    QTest.mouseClick(dialog.table.viewport(), LEFT, pos=dialog.table.visualRect(source).center())
    bar = hands.find("freshetNewTabs").tabBar()
    QTest.mouseClick(bar, LEFT, pos=bar.tabRect(1).center())
    yield Until(dialog.details.isVisible, "the details of the discharge", 10)
    dialog.details.crs.setCrs(QgsCoordinateReferenceSystem(CRS))  # in place of the dialog of QGIS behind its button
    yield Until(lambda: not dialog.table.busy and words not in dialog.mend.text(), "the places of the gauges", 30)
    hands.shot("02_gauges")
    QTest.mouseClick(bar, LEFT, pos=bar.tabRect(0).center())
    yield from hands.settle()


def check_dataset(story: Story) -> Steps:
    """Every variable on three dates, all cells, against GDAL reads of its source; then the page's words."""
    hands = story.hands
    days, worst = ("2001-01-11", "2001-07-04", "2002-02-04"), {}
    with hands.own_work():
        sources = {
            "temperature": truth.Raster(story.file("temperature.tif")),
            "pet": truth.Raster(story.file("pet.nc"), "pet"),
            "soil_moisture": truth.Raster(story.file("soil_moisture.nc"), "soil_moisture"),
        }
        for name in ("precipitation", *sources):
            built = truth.Raster(story.dataset, name)
            hands.check((built.dates[0], built.dates[-1], len(built.dates)) == (FIRST, LAST, 390), f"dates of {name}")
            for day in days:
                wanted = (
                    sources[name].at(day) if name in sources else truth.folder_map(story.file("precipitation"), day)
                )
                worst[name] = max(worst.get(name, 0.0), truth.difference(built.at(day), wanted))
        fine = truth.Raster(story.file("elevation.tif")).values[0]
        built = truth.Raster(story.dataset, "elevation").values[0]
        worst["elevation"] = truth.difference(built, truth.means_of_four(fine))
    hands.say("dataset against its sources, largest difference: " + ", ".join(f"{n} {v:.2g}" for n, v in worst.items()))
    for name, value in worst.items():
        hands.check(value <= 1e-3 if name == "elevation" else value <= 1e-5, f"{name} differs by {value}")
    page = story.dock.pages["data"]
    facts = page._facts.text()
    hands.check("390 maps" in facts and "20 x 24 cells" in facts and CRS in facts, f"the page says: {facts}")
    hands.check("4 gauges" in facts, f"the page says: {facts}")
    yield from hands.tab("Data")
    yield from hands.choose(hands.find("freshetDataVariable"), "precipitation")
    yield from hands.click("freshetDataShow")
    yield from hands.rendered()
    layer = next(item for item in QgsProject.instance().mapLayers().values() if "recipitation" in item.name())
    hands.check("mm/d" in layer.name() and NAME in layer.name(), f"the layer is called {layer.name()}")
    hands.shot("03_dataset")
