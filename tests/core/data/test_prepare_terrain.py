"""Variables from the elevation model among those of a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.dataset_job import TerrainConfig
from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.data.prepare import prepare
from freshet.core.data.terrain import maps_for, mask_for, network_for

from .source_files import (
    CELL,
    COLUMNS,
    NORTH,
    ROWS,
    WEST,
    job,
    random_maps,
    run,
    source,
    texts,
    write_folder,
    write_tif,
)


@pytest.fixture
def dem(tmp_path) -> str:
    """A valley that falls to the south along its middle, on cells a quarter as large as those of the maps."""
    rows, columns = np.mgrid[0 : 4 * ROWS, 0 : 4 * COLUMNS].astype(np.float32)
    heights = 500 + 10 * np.abs(columns - 11.3) - 3 * rows
    return str(write_tif(tmp_path / "dem.tif", heights, cell=CELL / 4))


def _rain(tmp_path):
    return source(write_folder(tmp_path / "a", random_maps(5)))


def test_terrain_maps_and_upstream_means_are_variables(tmp_path, dem):
    config = TerrainConfig(dem=dem, maps=("elevation", "slope", "upstream_area"), upstream_of=("rain",), stream_km2=1.0)
    dataset, events = run(job(tmp_path, _rain(tmp_path), terrain=config))
    with dataset:
        for name, (kind, units, values) in maps_for(config, dataset.grid).items():
            np.testing.assert_array_equal(dataset.static_map(name), values)
            info = dataset.variables[name]
            assert (info.quantity, info.units, info.role, info.static) == (kind, units, "static", True)
        expected = network_for(config, dataset.grid).upstream_mean(random_maps(5))
        np.testing.assert_allclose(dataset.dynamic("rain_upstream"), expected, rtol=1e-6)
        info = dataset.variables["rain_upstream"]
        assert info.role == "input" and info.units == "mm/d" and "upstream" in info.label.lower()
        record = next(s for s in dataset.provenance["sources"] if s["variable"] == "rain_upstream")
        assert record["kind"] == "terrain" and record["files"][0]["path"] == dem and record["of"] == "rain"
    assert "Flow directions" in texts(events)


def test_upstream_means_are_of_filled_values(tmp_path, dem):
    maps = random_maps(5)
    maps[2] = np.nan
    rain = source(write_folder(tmp_path / "a", maps), fill="linear")
    config = TerrainConfig(dem=dem, upstream_of=("rain",), stream_km2=1.0)
    dataset, _ = run(job(tmp_path, rain, terrain=config))
    with dataset:
        filled = dataset.dynamic("rain")
        expected = network_for(config, dataset.grid).upstream_mean(filled)
        np.testing.assert_allclose(dataset.dynamic("rain_upstream"), expected, rtol=1e-6)


def test_the_basin_of_the_outlet_is_the_mask(tmp_path, dem):
    outlet = (WEST + 2.8 * CELL, NORTH - 3.9 * CELL)
    config = TerrainConfig(dem=dem, outlet=outlet, stream_km2=1.0)
    dataset, events = run(job(tmp_path, _rain(tmp_path), terrain=config))
    with dataset:
        np.testing.assert_array_equal(dataset.mask, mask_for(config, dataset.grid))
        assert 0 < dataset.mask.sum() <= ROWS * COLUMNS
    cells = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    cells[:2] = 1
    mask = str(write_tif(tmp_path / "m.tif", cells, nodata=None))
    dataset, _ = run(job(tmp_path, _rain(tmp_path), terrain=config, mask=mask))
    with dataset:
        np.testing.assert_array_equal(dataset.mask, mask_for(config, dataset.grid) & (cells > 0))


def test_names_that_clash_and_series_without_maps_are_refused(tmp_path, dem):
    height = source(
        write_tif(tmp_path / "h.tif", random_maps(1)[0]), "slope", role="static", quantity="slope", units="deg"
    )
    config = TerrainConfig(dem=dem, maps=("slope",))
    with pytest.raises(
        ConfigError, match="'slope' is the name of a variable and of one that the elevation model gives"
    ):
        list(prepare(job(tmp_path, _rain(tmp_path), height, terrain=config)))
    table = tmp_path / "q.csv"
    table.write_text("date,q\n" + "".join(f"2001-02-{27 + i},{i + 1}\n" for i in range(2)) + "2001-03-01,4\n")
    flow = source(table, "flow", role="target", quantity="discharge", units="m3/s")
    config = TerrainConfig(dem=dem, upstream_of=("flow",), stream_km2=1.0)
    with pytest.raises(DataError, match="'flow' has no map"):
        list(prepare(job(tmp_path, _rain(tmp_path), flow, terrain=config)))
