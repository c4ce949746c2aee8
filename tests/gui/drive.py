"""Drives a real QGIS from layers to maps with clicks, and holds what it shows against the files. Started by run.sh.

Leaves pictures and ``story.txt`` in FRESHET_GUI_OUT; the last line of the story is ``passed``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface, plugins

import freshet

# QGIS runs this file without telling its name; the plugin's folder is the repository.
sys.path.insert(0, str(Path(freshet.__file__).resolve().parent / "tests" / "gui"))

import steps_data  # noqa: E402
import steps_end  # noqa: E402
import steps_maps  # noqa: E402
import steps_storm  # noqa: E402
import steps_train  # noqa: E402
import steps_why  # noqa: E402
from hands import Hands, Steps, Until  # noqa: E402


def whole(hands: Hands) -> Steps:
    """All parts in their order."""
    yield Until(lambda: "freshet" in plugins, "the plugin", 60)
    story = steps_data.Story(hands, plugins["freshet"])
    hands.story = story
    parts = (
        steps_data.open_dock, steps_data.add_project_layers, steps_data.new_dataset, steps_data.check_dataset,
        steps_train.refuse_target_as_input, steps_train.train,
        steps_maps.add_maps, steps_maps.check_values, steps_maps.units_behind_numbers, steps_maps.play, steps_maps.plot,
        steps_why.explain, steps_why.explain_gauge, steps_storm.paint, steps_train.cancel, steps_why.predict,
        steps_end.clear_project, steps_end.close_qgis,
    )  # fmt: skip
    for part in parts:
        yield from part(story)
    hands.write("passed")


def begin() -> None:
    """Give QGIS the whole screen and start."""
    hands = Hands(iface, os.environ["FRESHET_GUI_OUT"])
    sys.modules["__main__"].freshet_drive = hands  # QGIS forgets the names of this file when it has run it
    QgsProject.instance().setDirty(False)
    screen = hands.window.screen().geometry()
    hands.window.setGeometry(screen)

    def close() -> None:
        # A QGIS that does not close is a fault too: status 9.
        QTimer.singleShot(20000, lambda: os._exit(9))
        hands.leave()

    hands.run(whole(hands), close)


QTimer.singleShot(500, begin)
