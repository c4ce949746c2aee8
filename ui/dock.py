"""The dock: one strip that says dataset and engine, and five pages below it."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qgis.PyQt.QtWidgets import QComboBox, QDockWidget, QTabWidget, QToolButton, QVBoxLayout, QWidget

from ..plugin.datasets import Datasets
from ..plugin.runs import Runs
from .choice import Choice
from .dialogs.engine import EngineDialog
from .drawing import warm_up
from .engine_state import EngineState
from .pages.data import DataPage
from .pages.maps import MapsPage
from .pages.model import ModelPage
from .pages.runs import RunsPage
from .pages.why import WhyPage
from .text import tr
from .widgets import narrow, row

_DOT = {True: "#2e8b57", None: "#c9a227", False: "#8a8a8a"}
_TITLES = {"data": "Data", "model": "Model", "runs": "Runs", "maps": "Maps", "why": "Why"}


class FreshetDock(QDockWidget):
    """Owns the pages; they speak to each other through :class:`Choice` alone."""

    def __init__(
        self,
        datasets: Datasets,
        runs: Runs,
        choice: Choice,
        engine: EngineState,
        iface: Any = None,
        temporal: Any = None,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(tr("Freshet"), parent)
        self.setObjectName("FreshetDock")
        self.setAllowedAreas(Qt.DockWidgetArea.LeftDockWidgetArea | Qt.DockWidgetArea.RightDockWidgetArea)
        self._datasets, self._choice, self._engine = datasets, choice, engine
        self._engine_dialog: Optional[EngineDialog] = None
        self._proved = False
        self.pages = {
            "data": DataPage(datasets, runs, choice, iface, temporal),
            "model": ModelPage(datasets, runs, choice),
            "runs": RunsPage(runs, choice),
            "maps": MapsPage(runs, choice, iface, temporal),
            "why": WhyPage(datasets, runs, choice, iface, temporal),
        }
        self._build()
        choice.pageWanted.connect(self.show_page)
        choice.engineWanted.connect(self.open_engine)
        choice.datasetChanged.connect(self._follow_dataset)
        datasets.changed.connect(self.refresh)
        engine.changed.connect(self._show_engine)
        self.refresh()
        self._show_engine()

    def refresh(self) -> None:
        """Follow the datasets of the project."""
        self.dataset.blockSignals(True)
        self.dataset.clear()
        for item in self._datasets.list():
            self.dataset.addItem(item.name, item.path)
            self.dataset.setItemData(self.dataset.count() - 1, item.path, int(Qt.ItemDataRole.ToolTipRole))
        if not self.dataset.count():
            self.dataset.addItem(tr("no dataset yet"), "")
        index = self.dataset.findData(self._choice.dataset)
        self.dataset.setCurrentIndex(max(0, index))
        self.dataset.blockSignals(False)
        if index < 0:
            self._choice.set_dataset(self.dataset.currentData() or "")

    def show_page(self, name: str) -> None:
        """Bring a page to the front: data, model, runs, maps or why."""
        self.tabs.setCurrentWidget(self.pages[name])
        self.setVisible(True)

    def open_engine(self) -> EngineDialog:
        """Open the set-up of the engine; it does not block QGIS."""
        if self._engine_dialog is None:
            self._engine_dialog = EngineDialog(self._engine, self.window())
        self._engine_dialog.show()
        self._engine_dialog.raise_()
        return self._engine_dialog

    def release(self) -> None:
        """Let go of everything that outlives the dock."""
        for page in self.pages.values():
            page.release()
        if self._engine_dialog is not None:
            self._engine_dialog.release()
            self._engine_dialog.close()
            self._engine_dialog.deleteLater()
            self._engine_dialog = None
        self._datasets.changed.disconnect(self.refresh)
        self._engine.changed.disconnect(self._show_engine)

    def showEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """The first time somebody looks, the engine proves itself in the background."""
        super().showEvent(event)
        if not self._proved:
            self._proved = True
            self._engine.prove()
            warm_up()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Wide enough to read, narrow enough for the map."""
        return QSize(400, 700)

    def _build(self) -> None:
        self.dataset = narrow(QComboBox())
        self.dataset.setObjectName("freshetDataset")
        self.dataset.setToolTip(tr("The dataset that the pages speak of."))
        self.dataset.setAccessibleName(tr("Dataset"))
        self.dataset.currentIndexChanged.connect(lambda *_: self._choice.set_dataset(self.dataset.currentData() or ""))
        self.engine_button = QToolButton()
        self.engine_button.setObjectName("freshetEngine")
        self.engine_button.setAutoRaise(True)
        self.engine_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.engine_button.clicked.connect(lambda *_: self.open_engine())
        self.tabs = QTabWidget()
        self.tabs.setObjectName("freshetPages")
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(True)
        for name, page in self.pages.items():
            self.tabs.addTab(page, tr(_TITLES[name]))
        inner = QWidget()
        inner.setObjectName("freshetDockBody")
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row(self.dataset, self.engine_button, stretch=False))
        column.addWidget(self.tabs, 1)
        inner.setMinimumWidth(300)
        self.setWidget(inner)

    def _follow_dataset(self, path: str) -> None:
        index = self.dataset.findData(path)
        if index >= 0:
            self.dataset.setCurrentIndex(index)

    def _show_engine(self) -> None:
        self.engine_button.setText(self._engine.words)
        self.engine_button.setToolTip(self._engine.reason + "\n" + tr("Click to set up the engine."))
        self.engine_button.setIcon(dot(self._engine.works))


def dot(works: Optional[bool]) -> QIcon:
    """A filled dot for an engine that works (or is being proved), a hollow one for none."""
    picture = QPixmap(24, 24)
    picture.fill(QColor(0, 0, 0, 0))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    colour = QColor(_DOT[works])
    painter.setPen(QPen(colour, 3))
    if works is not False:
        painter.setBrush(colour)
    painter.drawEllipse(5, 5, 14, 14)
    painter.end()
    return QIcon(picture)
