"""Files and folders without rights: the sentence names them and says what to do. Root has all rights, so that the
command runs as nobody where the tests run as root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

NOBODY = 65534
DAYS = 5


@pytest.fixture
def folder():
    """A folder that everybody may enter, with a stack of daily maps, a raster and a table of the same, and a mask."""
    made = Path(tempfile.mkdtemp(prefix="freshet-rights-"))
    made.chmod(0o777)
    maps = np.random.default_rng(1).uniform(0, 20, (DAYS, 4, 6)).astype(np.float32)
    shape = {"driver": "GTiff", "width": 6, "height": 4, "dtype": "float32", "crs": "EPSG:3035", "nodata": -9999.0}
    place = {"transform": Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000)}
    (made / "rain").mkdir()
    dates = np.datetime64("2001-02-27") + np.arange(DAYS)
    for date, single in zip(dates, maps):
        with rasterio.open(made / "rain" / f"rain_{date}.tif", "w", count=1, **shape, **place) as handle:
            handle.write(single, 1)
    with rasterio.open(made / "bands.tif", "w", count=DAYS, **shape, **place) as handle:
        handle.write(maps)
        for band, date in enumerate(dates, 1):
            handle.set_band_description(band, str(date))
    _write_netcdf(made / "rain.nc", maps)
    rows = "".join(f"{date},{value}\n" for date, value in zip(dates, maps[:, 0, 0]))
    (made / "rain.csv").write_text("date,rain\n" + rows)
    ring = "[[[4,48],[4,52],[8,52],[8,48],[4,48]]]"
    (made / "mask.geojson").write_text('{"type": "Polygon", "coordinates": ' + ring + "}")
    yield made
    for path in [made, *made.rglob("*")]:
        path.chmod(0o777)
    shutil.rmtree(made)


def _write_netcdf(path: Path, maps) -> None:
    import netCDF4

    with netCDF4.Dataset(str(path), "w") as handle:
        for name, values in (("time", np.arange(len(maps))), ("y", 2_999_500.0 - 1000 * np.arange(4)),
                             ("x", 4_000_500.0 + 1000 * np.arange(6))):  # fmt: skip
            handle.createDimension(name, len(values))
            handle.createVariable(name, "f8", (name,))[:] = values
        handle["time"].units = "days since 2001-02-27"
        handle.createVariable("crs", "i4", ()).crs_wkt = rasterio.crs.CRS.from_epsg(3035).to_wkt()
        handle.createVariable("rain", "f4", ("time", "y", "x"))[:] = maps
        handle["rain"].grid_mapping = "crs"


@pytest.fixture
def as_nobody(prepare, folder):
    """``freshet prepare`` without the rights of root."""
    prepare.folder = folder
    if os.geteuid() == 0:
        prepare.before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        trial = [*prepare.before, sys.executable, "-c", "import rasterio"]
        if not shutil.which("setpriv") or subprocess.run(trial, capture_output=True, check=False).returncode:
            pytest.skip("the engine cannot be run as nobody here")
    return prepare


def _job(folder: Path, path: str = "rain", output: str = "out/set.nc", mask: str = "", **more) -> dict:
    source = {"variable": "rain", "path": str(folder / path), "quantity": "precipitation", "units": "mm/d", **more}
    grid = {"like": "rain"} if path != "rain.csv" else {}
    job = {"name": "Set", "sources": [source], "grid": grid, "output": str(folder / output), "checksums": True}
    return {**job, "mask": str(folder / mask)} if mask else job


def _left(folder: Path) -> list[str]:
    """What there is of a dataset."""
    return sorted(path.name for path in folder.rglob("*set.nc*"))


def test_with_rights_the_job_is_done(as_nobody, folder):
    as_nobody.made(_job(folder, mask="mask.geojson"))
    assert _left(folder) == ["set.nc"]


@pytest.mark.parametrize(
    ("closed", "path", "words"),
    [
        ("rain", "rain", ("'rain'", "the folder cannot be read", "/rain", "Ask for the right to read it")),
        ("rain/2001", "rain", ("'rain'", "the folder cannot be read", "/rain/2001", "Ask for the right to read it")),
        (
            "rain/rain_2001-03-01.tif",
            "rain",
            ("'rain': you have no right to read the raster", "rain_2001-03-01.tif", "date 2001-03-01", "Ask for"),
        ),
        ("bands.tif", "bands.tif", ("'rain': you have no right to read the raster", "bands.tif", "Ask for the right")),
        ("rain.nc", "rain.nc", ("'rain': you have no right to read the NetCDF file", "rain.nc", "Ask for the right")),
        ("rain.csv", "rain.csv", ("'rain': the table cannot be read", "rain.csv", "Permission denied")),
        ("in", "in/rain.nc", ("'rain': you have no right to look into the source", "/in", "Ask for the right")),
    ],
)  # fmt: skip
def test_a_source_without_the_right_to_read_it(as_nobody, folder, closed, path, words):
    (folder / "rain" / "2001").mkdir()
    (folder / "in").mkdir()
    shutil.copy(folder / "rain.nc", folder / "in")
    (folder / closed).chmod(0)
    sentence = as_nobody.refused(_job(folder, path))
    assert [word for word in words if word not in sentence] == [], sentence
    assert _left(folder) == []


def test_a_map_without_the_right_to_read_it_may_be_a_gap(as_nobody, folder):
    (folder / "rain" / "rain_2001-03-01.tif").chmod(0)
    told = as_nobody.made(_job(folder, unreadable="gap"))
    assert "warning: 'rain': rain_2001-03-01.tif of 2001-03-01 cannot be read" in told


def test_a_mask_without_the_right_to_read_it(as_nobody, folder):
    (folder / "mask.geojson").chmod(0)
    sentence = as_nobody.refused(_job(folder, mask="mask.geojson"))
    assert "mask.geojson" in sentence and "Permission denied" in sentence and "choose another" in sentence
    assert _left(folder) == []


@pytest.mark.parametrize(("rights", "output"), [(0o555, "shut/set.nc"), (0, "shut/set.nc"), (0o555, "shut/new/set.nc")])
def test_a_folder_without_the_right_to_write_a_dataset_into_it(as_nobody, folder, rights, output):
    (folder / "shut").mkdir()
    (folder / "shut").chmod(rights)
    sentence = as_nobody.refused(_job(folder, output=output))
    assert "The folder of the dataset cannot be written" in sentence and f"{folder}/shut" in sentence
    assert "Choose another folder for the dataset, or ask for the right to write there" in sentence
    (folder / "shut").chmod(0o777)
    assert _left(folder) == []
    as_nobody.made(_job(folder, output=output))


def test_parts_of_somebody_else(as_nobody, folder):
    """The folder of parts is there, but nothing may be written into it."""
    (folder / "out" / "set.nc.parts").mkdir(parents=True)
    (folder / "out").chmod(0o777)
    (folder / "out" / "set.nc.parts").chmod(0o555)
    sentence = as_nobody.refused(_job(folder))
    assert "The folder of the dataset cannot be written" in sentence and "set.nc.parts" in sentence
    assert not (folder / "out" / "set.nc").exists()


def test_a_run_folder_that_cannot_be_made(as_nobody, folder):
    (folder / "shut").mkdir()
    (folder / "shut").chmod(0o555)
    command = as_nobody.command(_job(folder))
    command[-1] = str(folder / "shut" / "run")
    process = subprocess.run(command, capture_output=True, text=True, env=as_nobody.environment, cwd=folder)
    assert process.returncode == 2 and len(process.stderr.splitlines()) == 1
    assert "The run's folder cannot be written" in process.stderr and f"{folder}/shut/run" in process.stderr
    assert "--run" in process.stderr
