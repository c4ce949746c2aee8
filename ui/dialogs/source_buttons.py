"""The line under the table of sources: what adds, removes and shows them, and how far the looking is."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsProject
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QFileDialog, QProgressBar, QWidget

from ...plugin.source_layers import Shown, add_sources
from ..text import tr
from ..widgets import button, row
from .layers import LayerChooser
from .source_table import SourceTable

_FILES = "Rasters (*.tif *.tiff *.nc *.nc4 *.img *.asc *.vrt *.map *.grib *.grb *.grib2 *.zarr)"
_GAUGES = "Tables and point layers (*.csv *.tsv *.txt *.gpkg *.geojson *.json *.shp *.kml *.fgb)"


class SourceButtons(QWidget):
    """Acts on a :class:`SourceTable`. ``refused`` gives sentences, an empty list where all went well."""

    refused = pyqtSignal(list)

    def __init__(
        self, table: SourceTable, iface: Any = None, temporal: Any = None, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self._table, self._iface, self._temporal = table, iface, temporal
        self.layers = button(
            tr("Add layers ..."), "freshetNewAddLayers", self.choose_layers, tr("Raster and point layers, and tables.")
        )
        self.files = button(
            tr("Add files ..."), "freshetNewAddFiles", self._choose_files, tr("GeoTIFF, NetCDF and other rasters.")
        )
        self.folder = button(
            tr("Add folder ..."),
            "freshetNewAddFolder",
            self._choose_folder,
            tr("A folder of dated maps, or one that holds such folders."),
        )
        self.gauges = button(
            tr("Add gauges ..."),
            "freshetNewAddGauges",
            self._choose_gauges,
            tr("Series of stations: CSV tables and point layers."),
        )
        self.remove = button(
            tr("Remove"), "freshetNewRemove", table.remove_selected, tr("Remove the selected rows from the table.")
        )
        self.temporal = button(
            tr("Add as temporal layers"),
            "freshetNewTemporal",
            self.add_temporal_layers,
            tr("Put the selected variables on the map with their dates; needs no engine and builds nothing."),
        )
        self.busy = QProgressBar()
        self.busy.setObjectName("freshetNewBusy")
        self.busy.setMaximum(100)
        self.stop = button(tr("Stop looking"), "freshetNewLookCancel", table.release, tr("Keep what was found so far."))
        widgets = (self.layers, self.files, self.folder, self.gauges, self.remove, self.temporal, self.busy, self.stop)
        layout = row(*widgets)
        layout.setStretchFactor(self.busy, 4)
        self.setLayout(layout)
        table.looker.changed.connect(self.follow)
        self.follow()

    def follow(self) -> None:
        """Show how far the looking is."""
        looker = self._table.looker
        for widget in (self.busy, self.stop):
            widget.setVisible(looker.busy)
        self.busy.setValue(int(100 * looker.fraction))
        self.busy.setFormat(tr("looking into {what} (%p %)").format(what=looker.words or tr("the sources")))

    def choose_layers(self) -> LayerChooser:
        """Open the chooser of the project's layers."""
        chooser = LayerChooser(QgsProject.instance(), self)
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.accepted.connect(lambda: self._table.add_layers(chooser.layers()))
        chooser.open()
        return chooser

    def add_temporal_layers(self) -> None:
        """Put the selected sources (all where none is selected) on the map as they are, with their dates."""
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        chosen = rows or list(range(len(self._table.entries)))
        table = self._table
        wanted = [
            Shown(table.entries[row].report, table.name(row), table.quantity(row), table.unit(row)) for row in chosen
        ]
        _, faults = add_sources(wanted, QgsProject.instance(), self._iface, self._temporal)
        self.refused.emit(faults)

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, tr("Add files"), "", tr(_FILES) + ";;" + tr("All files (*)"))
        self._table.add_paths(paths)

    def _choose_gauges(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, tr("Add gauges"), "", tr(_GAUGES) + ";;" + tr("All files (*)"))
        self._table.add_paths(paths)

    def _choose_folder(self) -> None:
        self._table.add_paths([QFileDialog.getExistingDirectory(self, tr("Add a folder of dated maps"))])
