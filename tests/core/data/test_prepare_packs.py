"""prepare on the real packs beside the checkout; left out where they are missing."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import rasterio

from freshet.core.contracts import GridConfig, PrepareJob, SourceConfig
from freshet.core.data.harmonise import same_grid
from freshet.core.data.sources import open_source

from .source_files import run

PACKS = Path(__file__).resolve().parents[3].parent / "shared" / "data"
MOSELLE, RHINE = PACKS / "mhm_moselle", PACKS / "wflow_rhine"
DAILY = MOSELLE / "mhm_moselle_4km_1990_1993.nc"


def needs(pack: Path):
    return pytest.mark.skipif(
        not pack.is_dir(), reason=f"the data pack '{pack.name}' is not beside the checkout (shared/data)"
    )


def _source(variable, path, role="input", quantity="other", layer="", **options):
    return SourceConfig(variable=variable, path=str(path), role=role, quantity=quantity, layer=layer, **options)


def _raw(path, name, steps=slice(None)):
    with netCDF4.Dataset(str(path)) as handle:
        return np.ma.filled(handle[name][steps].astype(np.float32), np.nan)


@needs(MOSELLE)
def test_moselle_equals_its_file_value_by_value(tmp_path):
    variables = {"pre": "precipitation", "tavg": "temperature", "pet": "pet", "sm_l1": "soil_moisture"}
    dynamic = [_source(n, DAILY, "target" if n == "sm_l1" else "input", q, n) for n, q in variables.items()]
    maps = {
        "elevation": ("elevation_m_4km", "elevation"),
        "slope": ("slope_deg_4km", "slope"),
        "soil": ("soil_class_4km", "soil_class"),
    }
    static = [_source(n, MOSELLE / "static" / f"{f}.tif", "static", q) for n, (f, q) in maps.items()]
    job = PrepareJob(
        name="Moselle", sources=(*dynamic, *static), output=str(tmp_path / "m.nc"), grid=GridConfig(like="sm_l1")
    )
    dataset, _ = run(job)
    with dataset:
        for name in variables:
            np.testing.assert_array_equal(dataset.dynamic(name), _raw(DAILY, name))
        assert str(dataset.times[0]) == "1990-01-01T00:00:00" and str(dataset.times[-1]) == "1993-12-31T00:00:00"
        assert len(dataset.times) == 1461 and dataset.grid.shape == (54, 36)
        assert dataset.variables["sm_l1"].missing_share == pytest.approx(0.577, abs=0.001)
        for name, (file, _) in maps.items():
            with rasterio.open(MOSELLE / "static" / f"{file}.tif") as handle:
                np.testing.assert_array_equal(
                    dataset.static_map(name), handle.read(1, masked=True).astype(np.float32).filled(np.nan)
                )


@needs(MOSELLE)
@pytest.mark.parametrize("resampling", ["nearest", "conservative"])
def test_moselle_forcing_of_24_km_equals_the_4_km_blocks_in_the_basin(tmp_path, resampling):
    coarse = MOSELLE / "forcing_24km_1989_1993.nc"
    job = PrepareJob(
        name="Mixed",
        output=str(tmp_path / "m.nc"),
        grid=GridConfig(like="sm_l1"),
        start="1991-01-01",
        end="1991-12-31",
        sources=(
            _source("tavg", coarse, "input", "temperature", "tavg", resampling=resampling),
            _source("sm_l1", DAILY, "target", "soil_moisture", "sm_l1"),
        ),
    )
    dataset, events = run(job)
    year = slice(365, 730)
    with dataset:
        assert (str(dataset.times[0])[:10], str(dataset.times[-1])[:10]) == ("1991-01-01", "1991-12-31")
        mine, blocks = dataset.dynamic("tavg")[:, dataset.mask], _raw(DAILY, "tavg", year)[:, dataset.mask]
        assert np.isfinite(mine).all()
        np.testing.assert_allclose(mine, blocks, atol=1e-4)


@needs(RHINE)
def test_rhine_folders_come_onto_the_grid_of_inwater(tmp_path):
    names = {"precipitation": "precipitation", "pet": "pet", "temperature": "temperature", "inwater": "inwater"}
    sources = tuple(_source(n, RHINE / n, "target" if n == "inwater" else "input", q) for n, q in names.items())
    job = PrepareJob(name="Rhine", sources=sources, output=str(tmp_path / "r.nc"), grid=GridConfig(like="inwater"))
    dataset, _ = run(job)
    with dataset:
        assert (str(dataset.times[0])[:10], str(dataset.times[-1])[:10], len(dataset.times)) == (
            "1995-02-01",
            "1996-01-31",
            365,
        )
        with open_source(sources[3]) as inwater:
            assert same_grid(dataset.grid, inwater.grid)
        assert dataset.variables["pet"].missing_share == pytest.approx(0.093, abs=0.0005)
        assert dataset.variables["inwater"].missing_share == pytest.approx(0.502, abs=0.0005)
        for name in names:
            with rasterio.open(RHINE / name / f"{name}_1995-07-14.tif") as handle:
                expected = handle.read(1, masked=True).filled(np.nan)
            step = int(np.flatnonzero(dataset.times == np.datetime64("1995-07-14"))[0])
            np.testing.assert_array_equal(dataset.dynamic(name, step, step + 1)[0], expected)


VIC, KNMI, SMAP = PACKS / "vic_lievre", PACKS / "radar_knmi", PACKS / "smap_conus"


@needs(VIC)
def test_the_raw_sums_of_six_hours_of_vic_become_the_daily_rates(tmp_path):
    raw = _source("flow", VIC / "raw" / "VIC_streaminputs.nc", quantity="runoff")
    job = PrepareJob(
        name="VIC", sources=(raw,), output=str(tmp_path / "v.nc"), grid=GridConfig(like="flow"), step_hours=24
    )
    dataset, events = run(job)
    with dataset, netCDF4.Dataset(str(raw.path)) as handle:
        stored = np.ma.filled(handle["Streaminputs"][:].astype(np.float64), np.nan).reshape(4018, 4, 10, 10)
        stored = stored if handle["lat"][0, 0] > handle["lat"][-1, 0] else stored[:, :, ::-1]
        assert len(dataset.times) == 4018 and str(dataset.times[0])[:10] == "2000-01-01"
        found = dataset.dynamic("flow")
        np.testing.assert_allclose(found, stored.sum(axis=1), rtol=1e-5, atol=1e-5)
        daily = _raw(VIC / "vic_lievre_daily_2000_2010.nc", "streaminput")
        np.testing.assert_allclose(np.nanmean(found, axis=(1, 2)), np.nanmean(daily, axis=(1, 2)), atol=1e-4)


@needs(KNMI)
def test_radar_in_a_crs_without_a_code_equals_its_file(tmp_path):
    path = KNMI / "knmi_rain_rate_5min_20100826.nc"
    job = PrepareJob(
        name="Radar", output=str(tmp_path / "k.nc"), grid=GridConfig(like="rain"), memory_mb=64,
        sources=(_source("rain", path, "target", "precipitation"),),
    )  # fmt: skip
    dataset, _ = run(job)
    with dataset, netCDF4.Dataset(str(path)) as handle:
        stored = np.ma.filled(handle["rain_rate"][:].astype(np.float32), np.nan)
        stored = stored if handle["y"][0] > handle["y"][-1] else stored[:, ::-1]
        np.testing.assert_allclose(dataset.dynamic("rain"), 24 * stored, rtol=1e-6)
        assert dataset.step_seconds == 300 and dataset.grid.shape == (417, 419)
        assert "Stereographic" in dataset.grid.crs
        assert dataset.variables["rain"].missing_share == pytest.approx(0.215, abs=0.001)


@needs(SMAP)
def test_smap_keeps_its_gaps_as_gaps(tmp_path):
    path = SMAP / "smap_nldas_conus_2015_2017.nc"
    sources = (
        _source("precip", path, "input", "precipitation", "precip"),
        _source("sm", path, "target", "soil_moisture", "sm_smap"),
        _source("clay", SMAP / "static" / "clay.tif", "static", "property"),
    )
    job = PrepareJob(name="SMAP", sources=sources, output=str(tmp_path / "s.nc"), grid=GridConfig(like="sm"))
    dataset, _ = run(job)
    with dataset:
        stored = _raw(path, "sm_smap")
        np.testing.assert_array_equal(dataset.dynamic("sm"), stored)
        np.testing.assert_array_equal(dataset.dynamic("precip"), _raw(path, "precip"))
        np.testing.assert_array_equal(dataset.mask, np.isfinite(stored).any(axis=0))
        assert dataset.filled("sm") is None
        inside = np.isnan(dataset.dynamic("sm")[:, dataset.mask]).mean()
        assert inside == pytest.approx(0.584, abs=0.01)


@needs(MOSELLE)
def test_forcing_on_24_km_and_statics_on_500_m_come_onto_4_km(tmp_path):
    dem = MOSELLE / "static" / "dem_500m.tif"
    sources = (
        _source("pre", MOSELLE / "forcing_24km_1989_1993.nc", "input", "precipitation", "pre"),
        _source("sm_l1", DAILY, "target", "soil_moisture", "sm_l1"),
        _source("dem", dem, "static", "elevation", units="m"),
    )
    job = PrepareJob(name="Mixed", sources=sources, output=str(tmp_path / "m.nc"), grid=GridConfig(like="sm_l1"))
    dataset, events = run(job)
    with dataset:
        coarse = _raw(MOSELLE / "forcing_24km_1989_1993.nc", "pre")[365:]
        with netCDF4.Dataset(str(MOSELLE / "forcing_24km_1989_1993.nc")) as handle:
            coarse = coarse if handle["y"][0] > handle["y"][-1] else coarse[:, ::-1]
        np.testing.assert_allclose(dataset.dynamic("pre"), coarse.repeat(6, axis=1).repeat(6, axis=2), rtol=1e-6)
        with rasterio.open(dem) as handle:
            fine = handle.read(1, masked=True).astype(np.float64).filled(np.nan)
        grid = dataset.grid
        assert fine.shape == (grid.rows * 8, grid.columns * 8)
        blocks = fine.reshape(grid.rows, 8, grid.columns, 8)
        with np.errstate(invalid="ignore"):
            expected = np.nansum(blocks, axis=(1, 3)) / np.isfinite(blocks).sum(axis=(1, 3))
        np.testing.assert_allclose(dataset.static_map("dem"), expected, rtol=1e-5)
        assert dataset.variables["dem"].error > 0
