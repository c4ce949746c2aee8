"""Predictors from an elevation model, as fields."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QGridLayout, QLabel, QWidget

from ...core.contracts.config import rule_of
from ...core.contracts.dataset_job import TERRAIN_MAPS, TerrainConfig
from ...core.contracts.variables import quantity, quantity_names
from ..numbers import NumberEdit
from ..picks import Picks
from ..text import tr
from ..widgets import PathField, narrow

NONE, FILE = "", "<file>"


class TerrainFields(QWidget):
    """The elevation model, the maps to derive from it, and the inputs whose upstream mean is wanted."""

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetNewTerrain")
        self.dem = narrow(QComboBox())
        self.dem.setObjectName("freshetNewDem")
        self.dem.setToolTip(rule_of(TerrainConfig, "dem").help)
        self.file = PathField("freshetNewDemFile", tr("Raster of elevations in m"))
        self.maps = Picks("freshetNewTerrainMaps", rule_of(TerrainConfig, "maps").help)
        self.maps.fill([(name, map_label(name), False) for name in TERRAIN_MAPS])
        line = max(self.maps.sizeHintForRow(0), self.fontMetrics().height())
        self.maps.setFixedHeight(line * len(TERRAIN_MAPS) + 2 * self.maps.frameWidth() + 2)  # all of them at a glance
        self.maps.setAccessibleName(tr("Terrain maps"))
        self.upstream = Picks("freshetNewUpstream", rule_of(TerrainConfig, "upstream_of").help)
        self.upstream.setAccessibleName(tr("Upstream mean of"))
        self.stream = NumberEdit(rule_of(TerrainConfig, "stream_km2"))
        self.stream.setObjectName("freshetNewStream")
        self.stream.setToolTip(rule_of(TerrainConfig, "stream_km2").help)
        self.stream.set_value(TerrainConfig().stream_km2)
        self.help = QLabel(
            tr("With an elevation model, its maps become static inputs; the basin above an outlet can be the mask.")
        )
        self.help.setObjectName("freshetNewTerrainHelp")
        self.help.setWordWrap(True)
        self._lay_out()
        self.dem.currentIndexChanged.connect(self._follow)
        self.file.changed.connect(lambda *_: self.changed.emit())
        for picks in (self.maps, self.upstream):
            picks.itemChanged.connect(lambda *_: self.changed.emit())
        self.stream.valueChanged.connect(self.changed)
        self.set_sources([], [])

    def set_sources(self, dems: list[tuple[str, str]], inputs: list[str]) -> None:
        """Offer ``dems`` (name and path of elevation rows) and ``inputs`` (names of inputs that are maps)."""
        before = self.dem.currentData()
        self.dem.blockSignals(True)
        self.dem.clear()
        self.dem.addItem(tr("none"), NONE)
        for name, path in dems:
            self.dem.addItem(name, path)
        self.dem.addItem(tr("a file ..."), FILE)
        self.dem.setCurrentIndex(max(0, self.dem.findData(before)))
        self.dem.blockSignals(False)
        self.upstream.fill([(name, name, False) for name in inputs])
        self._show()

    def choose_dem(self) -> None:
        """Take the first elevation of the table where none is chosen yet."""
        if self.dem.currentData() == NONE and self.dem.count() > 2:
            self.dem.setCurrentIndex(1)

    def config(self, outlet: Optional[tuple[float, float]] = None) -> TerrainConfig:
        """What is asked for, with ``outlet``; raises ConfigError where a map or an outlet has no elevation model."""
        dem = self.file.path() if self.dem.currentData() == FILE else self.dem.currentData()
        stream = self.stream.value()
        if not dem and not outlet:
            return TerrainConfig(stream_km2=stream)
        return TerrainConfig(
            dem=dem, maps=self.maps.ticked(), upstream_of=self.upstream.ticked(), outlet=outlet, stream_km2=stream
        )

    def _lay_out(self) -> None:
        left = QFormLayout()
        left.setHorizontalSpacing(8)
        left.setVerticalSpacing(5)
        dem_label = QLabel(tr("Elevation model"))
        dem_label.setBuddy(self.dem)
        left.addRow(dem_label, self.dem)
        left.addRow("", self.file)
        left.addRow(tr("River from (km2)"), self.stream)
        left.addRow(self.help)
        right = QFormLayout()
        right.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        right.addRow(tr("Maps to derive"), self.maps)
        further = QFormLayout()
        further.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        further.addRow(tr("Mean over the area upstream of"), self.upstream)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        for column, part in enumerate((left, right, further)):
            grid.addLayout(part, 0, column)
            grid.setColumnStretch(column, 1)
        grid.setRowStretch(1, 1)

    def _follow(self, *_: Any) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        self.file.setVisible(self.dem.currentData() == FILE)
        for picks in (self.maps, self.upstream):
            picks.setEnabled(self.dem.currentData() != NONE)


def map_label(name: str) -> str:
    """The catalogue's label of a terrain map, with its unit."""
    if name not in quantity_names():
        return name.replace("_", " ")
    entry = quantity(name)
    return f"{entry.label} ({entry.units})" if entry.units not in ("", "-") else entry.label
