"""One QGIS application for all tests of the user interface, and stand-ins for what needs an engine."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="tests of the user interface need QGIS's own Python")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from osgeo import gdal, osr
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal

from freshet.core.contracts import RunFolder, RunState
from freshet.plugin.datasets import DatasetSummary, VariableSummary
from freshet.plugin.runs import RunSummary

_spec = importlib.util.spec_from_file_location(
    "freshet_qgis_fixture", Path(__file__).resolve().parents[1] / "qgis_fixture.py"
)
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
qgis_app = _shared.qgis_app
write_dataset_file = _shared.write_dataset_file


@pytest.fixture(autouse=True)
def clean_project(qgis_app):
    """Every test begins and ends with an empty project."""
    QgsProject.instance().clear()
    yield
    QgsProject.instance().clear()


class FakeRuns(QObject):
    """Stands in for Runs: keeps what was submitted, runs nothing."""

    events = pyqtSignal(str, object)
    ended = pyqtSignal(str, object)
    changed = pyqtSignal()

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.submitted = []
        self.cancelled = []
        self.resumed = []
        self.list = []
        self.faults = {}
        self.stayed = []
        self.warmed = []

    def submit(self, verb, job, title="", stay=False):
        run = RunFolder.create(self.folder, verb, job, title)
        if stay:
            self.stayed.append(str(run.path))
        self.submitted.append((verb, job, title))
        self.list.insert(0, RunSummary(str(run.path), verb, title, RunState.WAITING, "2026-01-01T12:00:00"))
        self.changed.emit()
        return run

    def warm(self, model, dataset, sequence=""):
        self.warmed.append((model, dataset, sequence))
        return True

    def release_resident(self):
        pass

    def cancel(self, run):
        self.cancelled.append(str(run))

    def resume(self, run):
        self.resumed.append(str(run))

    def runs(self):
        return list(self.list)

    def summary(self, run):
        return next(item for item in self.list if item.path == str(run))

    def error(self, run):
        return self.faults.get(str(run))

    def log(self, run, lines=200):
        return ""


class FakeDatasets(QObject):
    """Stands in for Datasets: summaries without files."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.items = []

    def list(self):
        return list(self.items)

    def each(self):
        return [part for item in self.items for part in item.parts or (item,)]

    def broken(self):
        return {}

    def paths(self):
        return [item.path for item in self.items]

    def add(self, item):
        self.items.append(item)
        self.changed.emit()
        return item

    def remove(self, path):
        self.items = [item for item in self.items if item.path != path]
        self.changed.emit()


def summary(path="/data/moselle.nc", name="Moselle 4 km", steps=1461, variables=None):
    """A dataset of four years of days with three inputs, a target and a static map."""
    variables = variables or (
        VariableSummary("pre", "input", "precipitation", "mm/d", "Precipitation", False, 0.0, 0.0, 88.0),
        VariableSummary("pet", "input", "pet", "mm/d", "Potential evapotranspiration", False, 0.09, 0.0, 5.1),
        VariableSummary("tavg", "input", "temperature", "degC", "Air temperature", False, 0.0, -15.0, 29.0),
        VariableSummary("sm_l1", "target", "soil_moisture", "-", "Soil moisture", False, 0.0, 0.1, 0.98),
        VariableSummary("dem", "static", "elevation", "m", "Elevation", True, 0.0, 38.0, 1302.0),
    )
    grid = {
        "crs": "EPSG:3035",
        "west": 4e6,
        "north": 3e6,
        "cell_x": 4000.0,
        "cell_y": 4000.0,
        "columns": 37,
        "rows": 52,
    }
    return DatasetSummary(path, name, grid, "1990-01-01", "1993-12-31", steps, 86400.0, "standard", tuple(variables))


@pytest.fixture
def runs(tmp_path):
    return FakeRuns(tmp_path / "runs")


@pytest.fixture
def datasets():
    return FakeDatasets()


@pytest.fixture
def make_summary():
    return summary


def write_tif(path, values, nodata=-9999.0, epsg=3035):
    """A north-up GeoTIFF of cells of 1 km; ``values`` (H, W), NaN = missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = values.shape
    out = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, 1, gdal.GDT_Float32)
    out.SetGeoTransform((4_000_000.0, 1000.0, 0.0, 3_000_000.0, 0.0, -1000.0))
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(epsg)
    out.SetProjection(crs.ExportToWkt())
    out.GetRasterBand(1).SetNoDataValue(nodata)
    out.GetRasterBand(1).WriteArray(np.where(np.isnan(values), nodata, values))
    out.FlushCache()
    del out


def write_netcdf(path, arrays, about="", epsg=3035):
    """A NetCDF file of named arrays (y, x) or (time, y, x, daily from 1990 on) on cells of 1 km, NaN = -9999; gives its
    path as text. ``about`` is what a dataset says of itself.
    """
    made = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(path))
    root = made.GetRootGroup()
    rows, columns = np.asarray(next(iter(arrays.values()))).shape[-2:]
    steps = max([len(a) for a in map(np.asarray, arrays.values()) if a.ndim == 3], default=1)
    sizes = {"time": steps, "y": rows, "x": columns}
    places = {name: root.CreateDimension(name, "", "", size) for name, size in sizes.items()}
    number = gdal.ExtendedDataType.Create(gdal.GDT_Float64)
    for name, first, step in (("y", 2_999_500.0, -1000.0), ("x", 4_000_500.0, 1000.0)):
        root.CreateMDArray(name, [places[name]], number).Write(first + step * np.arange(sizes[name]))
    text = gdal.ExtendedDataType.CreateString()
    time_axis = root.CreateMDArray("time", [places["time"]], number)
    time_axis.Write(np.arange(float(steps)))
    for name, value in (("units", "days since 1990-01-01"), ("calendar", "standard")):
        time_axis.CreateAttribute(name, [], text).Write(value)
    if about:
        root.CreateAttribute("freshet_dataset", [], text).Write(about)
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(epsg)
    for name, values in arrays.items():
        values = np.asarray(values, dtype=float)
        array = root.CreateMDArray(name, [places[n] for n in ("time", "y", "x")[-values.ndim :]], number)
        array.SetSpatialRef(crs)
        array.SetNoDataValueDouble(-9999.0)
        array.Write(np.where(np.isnan(values), -9999.0, values))
    del array, time_axis, root, made
    return str(path)


@pytest.fixture
def write_dataset(tmp_path, qgis_app):
    """write_dataset(name, {variable: array}, about="") -> path of a NetCDF file with these variables."""
    return lambda name, arrays, about="": write_netcdf(tmp_path / f"{name}.nc", arrays, about)


@pytest.fixture
def write_map():
    """A function that writes a GeoTIFF."""
    return write_tif


@pytest.fixture
def folders(tmp_path):
    """Three folders of dated rasters (precipitation with one gap) and an elevation."""
    rng = np.random.default_rng(1)
    for name, scale in (("precipitation", 20.0), ("pet", 4.0), ("soil_moisture", 0.9)):
        for day in range(1, 11):
            if name == "precipitation" and day == 5:
                continue
            write_tif(tmp_path / "in" / name / f"{name}_1995-02-{day:02d}.tif", rng.random((8, 10)) * scale)
    write_tif(tmp_path / "in" / "dem.tif", 100 + 900 * rng.random((8, 10)))
    return tmp_path / "in"


@pytest.fixture
def wait(qgis_app):
    """Let the event loop run until a condition holds; the limit is a guard against hanging."""

    def until(condition, seconds=120.0):
        end = time.monotonic() + seconds
        while not condition():
            qgis_app.processEvents()
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    return until
