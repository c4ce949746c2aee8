"""What the tests inside QGIS share: one application, a clean project, small rasters with known values, a worker that
plays a part.

Imported by the conftest.py of tests/plugin and tests/ui; nothing here imports QGIS before a test asks for it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

FAKE_WORKER = Path(__file__).resolve().parent / "plugin" / "fake_worker.py"


@pytest.fixture(scope="session")
def qgis_app(tmp_path_factory):
    """The application, with a profile of its own."""
    core = pytest.importorskip("qgis.core", reason="these tests need QGIS's own Python")
    home = tmp_path_factory.mktemp("home")
    for name, part in (("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config"), ("XDG_RUNTIME_DIR", "run")):
        (home / part).mkdir(mode=0o700)
        os.environ[name] = str(home / part)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.pop("FRESHET_PYTHON", None)
    core.QgsApplication.setOrganizationName("freshet-tests")
    application = core.QgsApplication.instance() or core.QgsApplication([], True)
    application.initQgis()
    yield application
    core.QgsProject.instance().clear()


@pytest.fixture
def project(qgis_app):
    """The project, empty before and after."""
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def wait_until(qgis_app):
    """Runs the event loop until a condition holds; a guard against hanging, not a measure of time."""

    def wait(condition, seconds=120.0):
        end = time.monotonic() + seconds
        while not condition():
            qgis_app.processEvents()
            time.sleep(0.005)
            if time.monotonic() > end:
                pytest.fail("what was waited for did not happen")

    return wait


@pytest.fixture
def fake_engine(qgis_app):
    """An engine whose worker plays the part that the title of the run names (see tests/plugin/fake_worker.py)."""
    from freshet.plugin.engine import Engine

    class FakeEngine(Engine):
        def command(self, run):
            return [self.python, "-I", str(FAKE_WORKER), str(run.path)]

    return FakeEngine(sys.executable, "for a test")


@pytest.fixture
def write_raster(tmp_path, qgis_app):
    """write_raster(name, array (bands, H, W), dates=(), epsg=3035, nodata=-9999, units="", driver="GTiff") -> path."""
    return lambda name, values, **options: _write_raster(tmp_path / name, values, **options)


@pytest.fixture
def write_dataset_file(tmp_path, qgis_app):
    """A NetCDF file that says of itself what a dataset of Freshet says; write_dataset_file(name, steps=40) -> path."""
    return lambda name="basin.nc", steps=40: _write_dataset(tmp_path / name, steps)


def _write_raster(path, values, dates=(), epsg=3035, nodata=-9999.0, units="", driver="GTiff"):
    import numpy as np
    from osgeo import gdal, osr

    values = np.asarray(values, dtype=np.float32)
    values = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, rows, columns = values.shape
    memory = gdal.GetDriverByName("MEM").Create("", columns, rows, bands, gdal.GDT_Float32)
    memory.SetGeoTransform((4_000_000, 1000, 0, 3_000_000, 0, -1000))
    if epsg:
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(epsg)
        memory.SetProjection(reference.ExportToWkt())
    for number in range(bands):
        band = memory.GetRasterBand(number + 1)
        if nodata is not None:
            band.SetNoDataValue(nodata)
        if units:
            band.SetUnitType(units)
        if dates:
            band.SetDescription(dates[number])
        band.WriteArray(values[number])
    copy = gdal.GetDriverByName(driver).CreateCopy(str(path), memory)
    copy.FlushCache()
    del copy
    return str(path)


def _write_dataset(path, steps):
    import numpy as np
    from osgeo import gdal

    shared = {"quantity": "soil_moisture", "units": "-", "minimum": 0.0, "maximum": 1.0, "missing_share": 0.0}
    variables = [
        {"name": "rain", "role": "input", "label": "Rain", "static": False, **shared},
        {"name": "sm", "role": "target", "label": "Soil moisture", "static": False, **shared},
        {"name": "dem", "role": "static", "label": "Elevation", "static": True, **shared},
    ]
    summary = {
        "version": 1,
        "name": "A basin",
        "start": "1990-01-01",
        "end": "1990-02-09",
        "steps": steps,
        "step_seconds": 86400.0,
        "calendar": "standard",
        "variables": variables,
        "gaps": [],
        "fingerprint": "abc",
        "grid": {
            "crs": "EPSG:3035",
            "west": 4e6,
            "north": 3e6,
            "cell_x": 1000.0,
            "cell_y": 1000.0,
            "columns": 4,
            "rows": 3,
        },
    }
    _write_raster(path, np.ones((3, 4)), driver="netCDF")
    # As a copied metadata item GDAL would write the JSON without its quotation marks.
    file = gdal.OpenEx(str(path), gdal.OF_MULTIDIM_RASTER | gdal.OF_UPDATE)
    attribute = file.GetRootGroup().CreateAttribute("freshet_dataset", [], gdal.ExtendedDataType.CreateString())
    attribute.Write(json.dumps(summary))
    del attribute, file
    return str(path)
