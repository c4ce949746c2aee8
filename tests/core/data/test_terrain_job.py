"""The verb ``terrain``: files, events, the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import shape

from freshet.core.contracts import ConfigError, DataError, EventKind
from freshet.core.contracts.dataset_job import TERRAIN_MAPS, TerrainConfig, TerrainJob
from freshet.core.contracts.grid import Grid
from freshet.core.data.example_basin import generate_basin
from freshet.core.data.terrain import derive, run
from freshet.core.data.terrain.outlines import write_map
from freshet.core.worker.cli import absolute_paths, main


@pytest.fixture(scope="module")
def basin():
    return generate_basin(1, days=1)


@pytest.fixture
def dem(tmp_path, basin):
    path = tmp_path / "höhe 50%.tif"
    rows, columns = basin.elevation_m.shape
    profile = {"driver": "GTiff", "dtype": "float32", "width": columns, "height": rows, "count": 1, "crs": basin.crs}
    place = Affine(basin.resolution_m, 0, basin.west_m, 0, -basin.resolution_m, basin.north_m)
    with rasterio.open(path, "w", transform=place, **profile) as raster:
        raster.write(basin.elevation_m.astype(np.float32), 1)
        raster.units = ["m"]
    return str(path)


def outlet_of(basin):
    return basin.gauges[0].x_m, basin.gauges[0].y_m


def grid_of(basin):
    rows, columns = basin.elevation_m.shape
    return Grid(basin.crs, basin.west_m, basin.north_m, basin.resolution_m, basin.resolution_m, columns, rows)


def artifacts(events):
    return [event.values for event in events if event.kind is EventKind.ARTIFACT]


def test_every_map_is_written_as_it_is_derived(tmp_path, dem, basin):
    out = tmp_path / "maps"
    events = list(run(TerrainJob(str(out), TerrainConfig(dem=dem, maps=TERRAIN_MAPS, stream_km2=50.0))))
    expected = derive(basin.elevation_m.astype(np.float32), grid_of(basin), TERRAIN_MAPS, 50.0)
    for name, values in expected.items():
        with rasterio.open(out / f"{name}.tif") as raster:
            assert raster.crs.to_epsg() == 3035 and raster.transform.a == basin.resolution_m
            assert raster.dtypes[0] == ("uint8" if name == "flow_direction" else "float32")
            found = raster.read(1, masked=True).astype(np.float32).filled(np.nan)
        np.testing.assert_array_equal(found, values, err_msg=name)
    kinds = [item["kind"] for item in artifacts(events)]
    assert kinds == ["terrain"] * len(TERRAIN_MAPS) + ["streams"]
    shown = {item["variable"]: item for item in artifacts(events)}
    assert shown["slope"]["title"] == "Slope (deg)" and shown["aspect_sin"]["minimum"] == -1.0
    assert all(item["minimum"] < item["maximum"] for item in artifacts(events) if item["kind"] == "terrain")
    fractions = [event.values["fraction"] for event in events if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions)
    assert "Compiling flow routines" in [event.values.get("text") for event in events]
    assert not list(out.glob(".*")) and not (out / "basin.geojson").exists()


def test_basin_of_an_outlet_is_the_true_one(tmp_path, dem, basin):
    out = tmp_path / "maps"
    job = TerrainJob(str(out), TerrainConfig(dem=dem, maps=("distance_to_outlet",), outlet=outlet_of(basin)))
    events = list(run(job))
    assert [item["kind"] for item in artifacts(events)] == ["terrain", "streams", "basin"]
    (feature,) = json.loads((out / "basin.geojson").read_text())["features"]
    assert feature["properties"]["area_km2"] == pytest.approx(basin.gauges[0].area_km2, rel=0.02)
    assert shape(feature["geometry"]).is_valid
    assert any("The outlet lies at" in event.values.get("text", "") for event in events)
    with rasterio.open(out / "distance_to_outlet.tif") as raster:
        distance = raster.read(1, masked=True)
    inside = ~distance.mask
    assert (inside & basin.contributing[0]).sum() / (inside | basin.contributing[0]).sum() > 0.95
    assert distance.min() == 0.0
    for line in json.loads((out / "streams.geojson").read_text())["features"]:
        middle = shape(line["geometry"]).interpolate(0.5, normalized=True)
        assert shape(feature["geometry"]).buffer(1e-6).contains(middle)


def test_maps_of_the_surface_need_no_network(tmp_path, dem):
    events = list(run(TerrainJob(str(tmp_path / "maps"), TerrainConfig(dem=dem, maps=("slope", "aspect_sin")))))
    assert [item["variable"] for item in artifacts(events)] == ["slope", "aspect_sin"]
    assert "Compiling flow routines" not in [event.values.get("text") for event in events]


def test_a_larger_river_beside_the_outlet_is_a_warning(tmp_path):
    """A brook that comes from the east meets a river whose floor is column 15."""
    y, x = np.mgrid[0:60, 0:31]
    heights = 800.0 + 20.0 * np.abs(x - 15) - 3.0 * y
    heights[50, 16:] = 651.0 + 2.0 * np.arange(15)
    write_map(tmp_path / "dem.tif", heights, Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 31, 60), "m", "elevation")
    config = TerrainConfig(dem=str(tmp_path / "dem.tif"), outlet=(4_017_500.0, 2_949_500.0))
    told = [event.values for event in run(TerrainJob(str(tmp_path / "maps"), config))]
    warnings = [values["text"] for values in told if values.get("level") == "warning"]
    assert any(text.startswith("A larger river, which drains") and "4015500" in text for text in warnings)


def test_no_river_is_told(tmp_path, dem):
    events = list(
        run(TerrainJob(str(tmp_path / "maps"), TerrainConfig(dem=dem, maps=("upstream_area",), stream_km2=1e7)))
    )
    warnings = [event.values["text"] for event in events if event.values.get("level") == "warning"]
    assert any("there are no rivers" in text for text in warnings)
    assert not (tmp_path / "maps" / "streams.geojson").exists()


def test_faults_are_sentences(tmp_path, dem, basin):
    with pytest.raises(DataError, match="outside the grid"):
        list(run(TerrainJob(str(tmp_path / "a"), TerrainConfig(dem=dem, outlet=(0.0, 0.0)))))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        list(run(TerrainJob(str(tmp_path / "file"), TerrainConfig(dem=dem, maps=("slope",)))))
    with pytest.raises(ConfigError, match="No folder"):
        list(run(TerrainJob("", TerrainConfig(dem=dem, maps=("slope",)))))
    with pytest.raises(ConfigError, match="Nothing is asked"):
        TerrainJob(str(tmp_path), TerrainConfig(dem=dem))


def test_command_takes_paths_beside_the_job_file(tmp_path, dem, basin, capfd):
    job = {"output": "maps", "terrain": {"dem": "höhe 50%.tif", "maps": ["slope"], "outlet": list(outlet_of(basin))}}
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    assert main(["terrain", str(tmp_path / "job.json"), "--run", str(tmp_path / "run")]) == 0
    printed = capfd.readouterr().out
    assert "Compiling flow routines" in printed and "basin:" in printed
    assert (tmp_path / "maps" / "slope.tif").exists() and (tmp_path / "maps" / "basin.geojson").exists()
    job["terrain"]["outlet"] = [0.0, 0.0]
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    assert main(["terrain", str(tmp_path / "job.json"), "--run", str(tmp_path / "other")]) == 2
    assert "outside the grid" in capfd.readouterr().err


def test_elevation_model_of_a_dataset_is_found_beside_its_job(tmp_path):
    values = absolute_paths("prepare", {"terrain": {"dem": "dem.tif"}}, tmp_path)
    assert values["terrain"]["dem"] == str(tmp_path / "dem.tif")
    assert absolute_paths("prepare", {"terrain": {"dem": ""}}, tmp_path)["terrain"]["dem"] == ""
