"""The plugin as QGIS sees it: what ``initGui`` makes, ``unload`` unmakes in mirrored order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtGui import QIcon

from ..plugin.processing.provider import FreshetProvider
from .text import tr

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
# Object name, icon, text, tip.
ACTIONS = (
    ("freshetActionDock", "freshet.svg", "Freshet", "Show or hide the dock of Freshet"),
    ("freshetActionNew", "data.svg", "New dataset ...", "Lay layers and files on one grid and one clock"),
    ("freshetActionTrain", "train.svg", "Train ...", "Choose what to predict from what, and train"),
    ("freshetActionPredict", "predict.svg", "Predict ...", "Predict with a saved model"),
    ("freshetActionExplain", "explain.svg", "Explain ...", "Show what drove a prediction"),
)


class FreshetGui:
    """Owner of the long-lived objects. Inside ``qgis_process``, ``iface`` is None and there is a provider alone."""

    def __init__(self, iface: Any) -> None:
        self.iface = iface
        self.provider: Optional[FreshetProvider] = None
        self.toolbar: Any = None
        self.dock: Any = None
        self._actions: dict[str, Any] = {}
        self._own: list[QObject] = []

    def initProcessing(self) -> None:  # noqa: N802 (the name that QGIS calls)
        """Add the Processing provider; also called by ``qgis_process``."""
        if self.provider is None:
            self.provider = FreshetProvider()
            QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802 (the name that QGIS calls)
        """Provider, collaborators, dock, actions, tool bar, menu."""
        self.initProcessing()
        self._make_collaborators()
        self._make_dock()
        self._make_actions()

    def unload(self) -> None:
        """Everything again, backwards. Runs that are going on are left alone."""
        self._remove_actions()
        self._remove_dock()
        self._release_collaborators()
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None

    # -- collaborators

    def _make_collaborators(self) -> None:
        from ..plugin.datasets import Datasets
        from ..plugin.runs import Runs
        from ..plugin.temporal import TemporalBands
        from .choice import Choice
        from .engine_state import EngineState
        from .follow_up import FollowUp

        self.choice = Choice()
        self.datasets = Datasets()
        self.runs = Runs()
        self.temporal = TemporalBands(self.iface)
        self.engine = EngineState()
        self.follow_up = FollowUp(self.runs, self.datasets, self.choice, self.iface, self.temporal)
        self._own = [self.choice, self.datasets, self.runs, self.temporal, self.engine, self.follow_up]
        self.runs.attach_running()

    def _release_collaborators(self) -> None:
        if not self._own:
            return
        self.follow_up.release()
        self.engine.release()
        self.temporal.close()
        self.runs.close()
        self.datasets.close()
        for item in self._own:
            item.deleteLater()
        self._own = []

    # -- dock

    def _make_dock(self) -> None:
        from .dock import FreshetDock

        self.dock = FreshetDock(
            self.datasets, self.runs, self.choice, self.engine, self.iface, self.temporal, self.iface.mainWindow()
        )
        self.iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)

    def _remove_dock(self) -> None:
        if self.dock is not None:
            self.dock.release()
            self.iface.removeDockWidget(self.dock)
            self.dock.deleteLater()
            self.dock = None

    # -- actions

    def _make_actions(self) -> None:
        try:
            from qgis.PyQt.QtGui import QAction  # Qt 6
        except ImportError:
            from qgis.PyQt.QtWidgets import QAction  # Qt 5

        self.toolbar = self.iface.addToolBar(tr("Freshet"))
        self.toolbar.setObjectName("freshetToolBar")
        slots = (
            self._toggle_dock,
            lambda *_: self._open("data").new_dataset(),
            lambda *_: self._open("model"),
            lambda *_: self._open("model").open_predict(),
            lambda *_: self._open("why"),
        )
        for (name, icon, text, tip), slot in zip(ACTIONS, slots):
            action = QAction(QIcon(str(RESOURCES / icon)), tr(text), self.iface.mainWindow())
            action.setObjectName(name)
            action.setToolTip(tr(tip))
            action.setStatusTip(tr(tip))
            action.triggered.connect(slot)
            self._actions[name] = action
        self._bind_dock_action()
        for action in self._actions.values():
            self.toolbar.addAction(action)
            self.iface.addPluginToMenu(tr("Freshet"), action)

    def _bind_dock_action(self) -> None:
        action = self._actions["freshetActionDock"]
        action.setCheckable(True)
        action.setChecked(True)
        self.dock.visibilityChanged.connect(self._follow_dock)

    def _toggle_dock(self, shown: bool) -> None:
        self.dock.setVisible(shown)
        if shown:
            self.dock.raise_()

    def _follow_dock(self, *_: Any) -> None:
        # Behind another tab the dock is not visible but not closed either.
        action = self._actions.get("freshetActionDock")
        if action is not None and self.dock is not None:
            action.blockSignals(True)
            action.setChecked(not self.dock.isHidden())
            action.blockSignals(False)

    def _remove_actions(self) -> None:
        for action in reversed(list(self._actions.values())):
            self.iface.removePluginMenu(tr("Freshet"), action)
            if self.toolbar is not None:
                self.toolbar.removeAction(action)
            action.deleteLater()
        self._actions = {}
        if self.toolbar is not None:
            self.toolbar.deleteLater()
            self.toolbar = None

    def _open(self, page: str) -> Any:
        self.dock.show_page(page)
        self.dock.raise_()
        return self.dock.pages[page]
