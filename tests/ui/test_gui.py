"""The plugin comes and goes without a trace, and needs no screen for its provider."""

from __future__ import annotations

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsApplication, QgsProject
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QCoreApplication, QEvent, QObject
from qgis.PyQt.QtWidgets import QAction, QDockWidget, QMainWindow, QToolBar

from freshet import classFactory


class Interface(QObject):
    """The part of QgisInterface that the plugin uses."""

    def __init__(self):
        super().__init__()
        self.window = QMainWindow()
        self.canvas = QgsMapCanvas(self.window)
        self.menu = []

    def mainWindow(self):
        return self.window

    def mapCanvas(self):
        return self.canvas

    def addDockWidget(self, area, dock):
        self.window.addDockWidget(area, dock)

    def removeDockWidget(self, dock):
        self.window.removeDockWidget(dock)

    def addToolBar(self, name):
        return self.window.addToolBar(name)

    def addPluginToMenu(self, name, action):
        self.menu.append(action)

    def removePluginMenu(self, name, action):
        self.menu.remove(action)


@pytest.fixture
def iface(qgis_app, tmp_path, monkeypatch):
    from freshet.plugin.settings import Settings

    made = Interface()
    for module in ("freshet.ui.engine_state", "freshet.plugin.runs"):
        monkeypatch.setattr(f"{module}.load_settings", lambda: Settings(runs_folder=str(tmp_path / "runs")))
    yield made
    made.window.deleteLater()


def _settle(app):
    for _ in range(3):
        app.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _left(iface):
    window, project = iface.window, QgsProject.instance()
    return {
        "docks": len(window.findChildren(QDockWidget)),
        "tool bars": len(window.findChildren(QToolBar)),
        "actions": len(
            [action for action in window.findChildren(QAction) if action.objectName().startswith("freshet")]
        ),
        "menu": len(iface.menu),
        "tasks": QgsApplication.taskManager().count(),
        "provider": QgsApplication.processingRegistry().providerById("freshet") is not None,
        "project": (project.receivers(project.readProject), project.receivers(project.cleared)),
        "canvas": iface.canvas.receivers(iface.canvas.temporalRangeChanged),
        "tool": iface.canvas.mapTool(),
    }


def test_loading_and_unloading_twice_leaves_nothing(qgis_app, iface):
    _settle(qgis_app)
    before = _left(iface)
    for _ in range(2):
        plugin = classFactory(iface)
        plugin.initGui()
        assert _left(iface)["docks"] == before["docks"] + 1 and _left(iface)["menu"] == 5
        assert _left(iface)["provider"]
        plugin.dock.show()
        plugin.dock.pages["data"].new_dataset()
        plugin.dock.pages["maps"].plot_button.setChecked(True)
        _settle(qgis_app)
        plugin.unload()
        _settle(qgis_app)
        assert _left(iface) == before


def test_without_an_interface_there_is_a_provider_and_nothing_else(qgis_app):
    plugin = classFactory(None)
    plugin.initProcessing()
    assert QgsApplication.processingRegistry().providerById("freshet") is not None
    plugin.unload()
    assert QgsApplication.processingRegistry().providerById("freshet") is None


def test_the_actions_open_what_they_name(qgis_app, iface):
    plugin = classFactory(iface)
    plugin.initGui()
    iface.window.show()
    actions = {action.objectName(): action for action in iface.menu}
    actions["freshetActionExplain"].trigger()
    assert plugin.dock.tabs.currentWidget() is plugin.dock.pages["why"]
    actions["freshetActionNew"].trigger()
    dialog = iface.window.findChild(QObject, "freshetNewDialog")
    assert dialog is not None and dialog.isVisible()
    actions["freshetActionDock"].trigger()
    assert plugin.dock.isHidden()
    plugin.unload()
    _settle(qgis_app)
