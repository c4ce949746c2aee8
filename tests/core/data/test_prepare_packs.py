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
            assert same_grid(dataset.grid, inwater.full_grid)
        assert dataset.variables["pet"].missing_share == pytest.approx(0.093, abs=0.0005)
        assert dataset.variables["inwater"].missing_share == pytest.approx(0.502, abs=0.0005)
        for name in names:
            with rasterio.open(RHINE / name / f"{name}_1995-07-14.tif") as handle:
                expected = handle.read(1, masked=True).filled(np.nan)
            step = int(np.flatnonzero(dataset.times == np.datetime64("1995-07-14"))[0])
            np.testing.assert_array_equal(dataset.dynamic(name, step, step + 1)[0], expected)
