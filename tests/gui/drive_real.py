"""The main job on real data, through the dialogs of a real QGIS.

``tests/gui/run.sh tests/gui/drive_real.py build/gui_real``. Takes the packs from FRESHET_DATA (default: ../shared/data
beside the repository) and says so where they are missing. Trainings are short: what is held against the files is that
maps, dates and differences are right, not how good a model of a minute is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtTest import QTest
from qgis.utils import iface, plugins

import freshet

ROOT = Path(freshet.__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests" / "gui"))

import steps_data  # noqa: E402
import steps_maps  # noqa: E402
import steps_train  # noqa: E402
import truth  # noqa: E402
from hands import LEFT, Hands, Steps, Until  # noqa: E402

DATA = Path(os.environ.get("FRESHET_DATA", ROOT.parent / "shared" / "data"))


class Pack(NamedTuple):
    """One pack: what to add, what each variable is, and where the target's own values are."""

    folder: str
    name: str
    paths: tuple
    roles: dict
    target: str
    source: tuple
    minutes: str


PACKS = (
    Pack(
        "mhm_moselle", "Moselle 4 km",
        ("mhm_moselle_4km_1990_1993.nc", "static/elevation_m_4km.tif", "static/slope_deg_4km.tif"),
        {"pre": "input", "tavg": "input", "pet": "input", "sm_l1": "target"},
        "sm_l1", ("mhm_moselle_4km_1990_1993.nc", "sm_l1"), "1",
    ),
    Pack(
        "wflow_rhine", "Rhine 1995",
        ("precipitation", "pet", "temperature", "inwater", "static/dem_m.tif"),
        {"precipitation": "input", "pet": "input", "temperature": "input", "inwater": "target"},
        "inwater", ("inwater", ""), "1",
    ),
)  # fmt: skip


def whole(hands: Hands) -> Steps:
    """Both packs, one after the other."""
    missing = [pack.folder for pack in PACKS if not (DATA / pack.folder).is_dir()]
    if missing:
        hands.say(f"left out: {', '.join(missing)} not found under {DATA} (FRESHET_DATA names another folder)")
    yield Until(lambda: "freshet" in plugins, "the plugin", 60)
    story = steps_data.Story(hands, plugins["freshet"])
    yield from steps_data.open_dock(story)
    for pack in PACKS:
        if pack.folder not in missing:
            yield from one(story, pack)
    hands.write("passed")


def one(story: steps_data.Story, pack: Pack) -> Steps:
    """A new project; dataset, training, maps of one pack."""
    QgsProject.instance().setDirty(False)
    story.hands.iface.newProject(False)
    yield from story.hands.settle()
    yield from dataset(story, pack)
    yield from training(story, pack)
    yield from maps(story, pack)


def dataset(story: steps_data.Story, pack: Pack) -> Steps:
    """The dialog: add, take out what is not wanted, roles, name, Build."""
    hands = story.hands
    yield from hands.tab("Data")
    yield from hands.click("freshetDataNew")
    dialog = hands.find("freshetNewDialog")
    dialog.table.add_paths([str(DATA / pack.folder / path) for path in pack.paths])
    yield Until(lambda: dialog.table.entries and not dialog.table.busy, "the sources", 120)
    yield from hands.settle()
    row = 0
    while row < dialog.table.rowCount():
        if dialog.table.name(row) in pack.roles or dialog.table.role(row) == "static":
            row += 1
            continue
        item = dialog.table.item(row, 1)
        dialog.table.scrollToItem(item)
        QTest.mouseClick(dialog.table.viewport(), LEFT, pos=dialog.table.visualItemRect(item).center())
        before = dialog.table.rowCount()
        yield from hands.click("freshetNewRemove")
        hands.check(
            dialog.table.rowCount() == before - 1, f"{before - dialog.table.rowCount()} rows were removed, not one"
        )
    for row in range(dialog.table.rowCount()):
        if dialog.table.name(row) in pack.roles:
            dialog.table.scrollTo(dialog.table.model().index(row, 0))
            yield from hands.choose(dialog.table.cellWidget(row, 0), pack.roles[dialog.table.name(row)])
    yield from hands.type("freshetNewName", pack.name)
    story.dataset = os.path.join(hands.out, f"{pack.folder}.nc")
    yield from hands.type("freshetNewOutput_edit", story.dataset)
    yield from hands.rest(400)
    hands.check(not dialog.notice.text(), f"the dialog says: {dialog.notice.text()}")
    hands.say(f"{pack.name}: {dialog.facts.text()}; {' '.join(dialog.mend.text().split())}")
    hands.shot(f"{pack.folder}_1_new")
    before = story.runs()
    yield from hands.click("freshetNewBuild")
    yield Until(lambda: story.runs() - before, "the run of the dataset", 20)
    yield from story.wait_end((story.runs() - before).pop(), "done", 300)
    yield from hands.tab("Data")
    hands.shot(f"{pack.folder}_2_dataset")


def training(story: steps_data.Story, pack: Pack) -> Steps:
    """The model page, a training of a minute."""
    hands = story.hands
    yield from steps_train.fill_model(story, 3, pack.minutes, f"{pack.target}, {pack.name}")
    yield from hands.type("freshetModelTrainingMore_window_stride", "12")
    yield from hands.choose(hands.find("freshetModelTarget"), pack.target)
    yield from steps_train.start(story)
    yield from story.wait_end(story.latest, "done", 420)
    state = story.dock.pages["runs"].state.text()
    hands.say(f"{pack.name}, trained a minute: {state}")
    hands.shot(f"{pack.folder}_3_trained")


def maps(story: steps_data.Story, pack: Pack) -> Steps:
    """The group of the run against the source; frames on the canvas; the series at a cell."""
    hands = story.hands
    story.trained = story.latest
    yield from hands.click("freshetRunsMaps")
    yield from hands.click("freshetMapsAdd")
    yield from hands.rendered()
    layers = steps_maps.layers_of(story.trained)
    path, variable = pack.source
    with hands.own_work():
        found = {kind: truth.Raster(layers[kind].source()) for kind in ("predicted", "observed", "delta")}
        folder = DATA / pack.folder / path
        source = truth.Raster(str(folder), variable) if variable else None
        worst = 0.0
        for day in found["observed"].dates[:: max(1, len(found["observed"].dates) // 5)]:
            wanted = source.at(day) if source else truth.folder_map(str(folder), day)
            worst = max(worst, truth.difference(found["observed"].at(day), wanted))
        off = truth.difference(found["delta"].values, found["predicted"].values - found["observed"].values)
    hands.check(
        off <= 1e-4 * max(1.0, float(abs(layers["delta"].renderer().classificationMax()))), f"delta is off by {off}"
    )
    hands.check(worst <= 1e-4, f"observed differs from its source by {worst}")
    hands.say(
        f"{pack.name}: observed = source within {worst:.1g}, delta = predicted - observed within {off:.1g}, "
        f"{len(found['delta'].dates)} dates"
    )
    story.maps = found
    hands.canvas.setExtent(layers["predicted"].extent())
    hands.canvas.refresh()
    yield from hands.rendered()
    for kind in ("predicted", "observed", "delta"):
        steps_maps.only_visible(layers[kind])
        yield from hands.rendered()
        steps_maps._check_frame(story, kind, layers[kind])
        hands.shot(f"{pack.folder}_4_{kind}")
    yield from steps_maps.plot_at(story, *steps_maps.a_cell(story))
    hands.shot(f"{pack.folder}_5_series")
    yield from hands.click("freshetMapsPlot")


def begin() -> None:
    """Give QGIS the whole screen and start."""
    hands = Hands(iface, os.environ["FRESHET_GUI_OUT"])
    sys.modules["__main__"].freshet_drive = hands  # QGIS forgets the names of this file when it has run it
    QgsProject.instance().setDirty(False)
    hands.window.setGeometry(hands.window.screen().geometry())

    def close() -> None:
        QTimer.singleShot(20000, lambda: os._exit(9))
        hands.leave()

    hands.run(whole(hands), close)


QTimer.singleShot(500, begin)
