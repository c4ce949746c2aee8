"""Paths with blanks, quotes, accents, ``%``, ``#`` and brackets, for everything that a job names."""

from __future__ import annotations

import shutil
from pathlib import Path

import netCDF4
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import xarray
from affine import Affine

from freshet.core.data.store import Dataset

NAMES = (
    "with blanks  two",
    'it\'s "quoted"',
    "Föhn été 水",
    "100%20 % %d",
    "#1 a#b",
    "[1] {2} (3)",
    "a,b&c=d$e~f",
    "-starts like an option",
)
DAYS, ROWS, COLUMNS = 6, 8, 10
_PLACE = {"crs": "EPSG:3035", "transform": Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000), "nodata": -9999.0}
_SHAPE = {"driver": "GTiff", "width": COLUMNS, "height": ROWS, "dtype": "float32"}


def _make(folder: Path, odd: str) -> None:
    """One source of each kind, a mask of each kind, an elevation model; ``odd`` is in the name of each."""
    folder.mkdir(parents=True)
    maps = np.random.default_rng(1).uniform(0, 20, (DAYS, ROWS, COLUMNS)).astype(np.float32)
    dates = np.datetime64("2001-02-27") + np.arange(DAYS)
    (folder / f"{odd} maps" / odd).mkdir(parents=True)
    for date, single in zip(dates, maps):
        with rasterio.open(
            folder / f"{odd} maps" / odd / f"{odd}_{date}.tif", "w", count=1, **_SHAPE, **_PLACE
        ) as handle:
            handle.write(single, 1)
    with rasterio.open(folder / f"{odd} bands.tif", "w", count=DAYS, **_SHAPE, **_PLACE) as handle:
        handle.write(maps)
        for band, date in enumerate(dates, 1):
            handle.set_band_description(band, str(date))
    with rasterio.open(folder / f"{odd} dem.tif", "w", count=1, **_SHAPE, **_PLACE) as handle:
        handle.write(np.add.outer(np.arange(ROWS, dtype=np.float32), 2 * np.arange(COLUMNS, dtype=np.float32)), 1)
    x, y = 4_000_500.0 + 1000 * np.arange(COLUMNS), 2_999_500.0 - 1000 * np.arange(ROWS)
    handle = netCDF4.Dataset("in memory", "w", memory=1)
    for name, values in (("time", np.arange(DAYS)), ("y", y), ("x", x)):
        handle.createDimension(name, len(values))
        handle.createVariable(name, "f8", (name,))[:] = values
    handle["time"].units = "days since 2001-02-27"
    handle.createVariable("crs", "i4", ()).crs_wkt = rasterio.crs.CRS.from_epsg(3035).to_wkt()
    handle.createVariable("rain", "f4", ("time", "y", "x"))[:] = maps
    handle["rain"].grid_mapping = "crs"
    (folder / f"{odd} cube.nc").write_bytes(bytes(handle.close()))
    cube = xarray.Dataset(
        {"rain": (("time", "y", "x"), maps)}, {"time": dates.astype("datetime64[ns]"), "y": y, "x": x}
    )
    cube.to_zarr(folder / f"{odd} cube.zarr", consolidated=False)
    rows = "".join(f"{date},{value}\n" for date, value in zip(dates, maps[:, 0, 0]))
    (folder / f"{odd} table.csv").write_text("date,rain\n" + rows)
    box = shapely.to_wkb(np.array([shapely.box(4_001_000, 2_993_000, 4_009_000, 2_999_000)]))
    for suffix, driver in (("gpkg", "GPKG"), ("shp", "ESRI Shapefile")):
        with_place = {"crs": "EPSG:3035", "geometry_type": "Polygon", "driver": driver}
        pyogrio.raw.write(str(folder / f"mask.{suffix}"), box, [np.array(["a"])], ["name"], **with_place)
    for path in folder.glob("mask.*"):  # the driver refuses to write such names, but they can be given later
        path.rename(path.with_name(f"{odd} {path.name}"))


def _job(folder: Path, odd: str, mask: str) -> dict:
    kinds = {"maps": " maps", "bands": " bands.tif", "cube": " cube.nc", "store": " cube.zarr", "series": " table.csv"}
    common = {"quantity": "precipitation", "units": "mm/d"}
    sources = [{"variable": name, "path": str(folder / (odd + end)), **common} for name, end in kinds.items()]
    sources[3]["crs"] = "EPSG:3035"
    terrain = {"dem": str(folder / f"{odd} dem.tif"), "maps": ["slope"]}
    output = folder / f"{odd} out" / f"{odd}.nc"
    return {
        "name": odd, "sources": sources, "grid": {"like": "maps"}, "output": str(output), "terrain": terrain,
        "mask": str(folder / f"{odd} mask.{mask}"),
    }  # fmt: skip


def _values(path: str) -> dict[str, np.ndarray]:
    with Dataset.open(path) as dataset:
        names = list(dataset.variables)
        found = {n: dataset.static_map(n) if n == "slope" else dataset.dynamic(n) for n in names}
        return {**found, "mask": dataset.mask}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, np.ndarray]:
    """What the job makes where all is called plainly."""
    from freshet.core.contracts.jobs import job_from_dict
    from freshet.core.data.prepare import prepare

    folder = tmp_path_factory.mktemp("plain") / "in"
    _make(folder, "plain")
    job = _job(folder, "plain", "gpkg")
    list(prepare(job_from_dict("prepare", job)))
    return _values(job["output"])


@pytest.mark.parametrize(("odd", "mask"), [*zip(NAMES, ["gpkg", "shp"] * len(NAMES))])
def test_all_that_a_job_names_may_be_called_so(prepare, plain, tmp_path, odd, mask):
    folder = tmp_path / f"in {odd}"
    _make(folder, odd)
    job = _job(folder, odd, mask)
    prepare.made(job)
    found = _values(job["output"])
    assert found.keys() == plain.keys() and plain["mask"].sum() == 48
    for name, values in plain.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert [path.name for path in Path(job["output"]).parent.iterdir()] == [f"{odd}.nc"]


def test_a_run_in_such_a_folder_is_taken_up_again(prepare, plain, tmp_path):
    """The parts are found again, and what a killed run left, where the name is a pattern by its looks."""
    odd = "[1] 100% #2 'été'"
    _make(tmp_path / odd, odd)
    job = _job(tmp_path / odd, odd, "gpkg")
    broken = tmp_path / odd / f"{odd} bands.tif"
    good = broken.read_bytes()
    out = Path(job["output"]).parent
    out.mkdir()
    leftover = out / f".{odd}.0123abcd.part.nc"
    leftover.write_bytes(b"half")
    job["sources"][1]["units"] = "m/d"
    sentence = prepare.refused(job)
    assert "'bands'" in sentence and f"{odd}.nc.parts; a new run goes on from there" in sentence
    assert not leftover.exists() and broken.read_bytes() == good
    job["sources"][1]["units"] = "mm/d"
    assert "blocks were there already" in prepare.made(job)
    np.testing.assert_array_equal(_values(job["output"])["bands"], plain["bands"])


def test_a_name_that_is_none_is_told(prepare, tmp_path):
    odd = 'it\'s "quoted" #1 100%'
    _make(tmp_path / odd, odd)
    job = _job(tmp_path / odd, odd, "gpkg")
    shutil.rmtree(tmp_path / odd / f"{odd} maps")
    sentence = prepare.refused(job)
    assert "'maps': there is no such file or folder" in sentence and str(tmp_path / odd / f"{odd} maps") in sentence
