"""Every pack beside the checkout imports as it is, and gives the numbers that xarray and rasterio read from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray

from freshet.core.contracts import EventKind, GridConfig, PointsConfig, PrepareJob, SourceConfig
from freshet.core.contracts.steps import MONTH
from freshet.core.data.prepare import prepare
from freshet.core.data.store import open_datasets

from .source_files import run

PACKS = Path(__file__).resolve().parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not PACKS.is_dir(), reason="the data packs are not beside the checkout (shared/data)")


def source(variable, path, quantity, layer="", role="input", **more):
    return SourceConfig(variable=variable, path=str(path), quantity=quantity, layer=layer, role=role, **more)


def prepared(tmp_path, *sources, like="", **more):
    grid = GridConfig(like=like) if like else GridConfig()
    job = PrepareJob(name="pack", sources=sources, output=str(tmp_path / "pack.nc"), grid=grid, **more)
    return run(job)


def by_xarray(path, name):
    with xarray.open_dataset(path) as opened:
        values = opened[name]
        return values.values.astype(np.float32), (opened["time"].values if "time" in values.dims else None)


def test_the_original_of_vic_with_arrays_of_latitude_and_float_days(tmp_path):
    pack = PACKS / "vic_lievre"
    dataset, _ = prepared(
        tmp_path, source("inflow", pack / "raw/VIC_streaminputs.nc", "runoff"), like="inflow", step_hours=24.0
    )
    daily, times = by_xarray(pack / "vic_lievre_daily_2000_2010.nc", "streaminput")
    with dataset:
        shared = np.intersect1d(dataset.times, times.astype("datetime64[s]"))
        assert len(shared) >= 4017
        mine = dataset.dynamic("inflow")[np.isin(dataset.times, shared)]
        theirs = daily[np.isin(times.astype("datetime64[s]"), shared)]
        north_first = theirs if by_latitude(pack / "vic_lievre_daily_2000_2010.nc") else theirs[:, ::-1]
        assert (np.isfinite(mine) == np.isfinite(north_first)).mean() > 0.999
        both = np.isfinite(mine) & np.isfinite(north_first)
        np.testing.assert_allclose(mine[both], north_first[both], rtol=1e-4, atol=1e-4)
        assert dataset.variables["inflow"].units == "mm/d"


def by_latitude(path) -> bool:
    """Whether the first row lies in the north."""
    with xarray.open_dataset(path) as opened:
        return bool(opened["lat"][0] > opened["lat"][-1])


def test_vic_with_its_gauge(tmp_path):
    pack = PACKS / "vic_lievre"
    file = pack / "vic_lievre_daily_2000_2010.nc"
    dataset, _ = prepared(
        tmp_path,
        source("streaminput", file, "runoff", "streaminput"),
        source("q", pack / "gauge_02LE024_m3s.csv", "discharge", role="target", units="m3/s"),
        like="streaminput",
    )
    with dataset:
        table = np.genfromtxt(pack / "gauge_02LE024_m3s.csv", delimiter=",", skip_header=1, usecols=1, dtype=float)
        assert dataset.series("q").shape == (4018, 1)
        np.testing.assert_allclose(dataset.series("q")[:, 0], table.astype(np.float32)[:4018])
        maps, _ = by_xarray(file, "streaminput")
        np.testing.assert_array_equal(dataset.dynamic("streaminput"), maps if by_latitude(file) else maps[:, ::-1])


def test_radar_with_a_crs_without_a_code_every_five_minutes(tmp_path):
    file = PACKS / "radar_knmi/knmi_rain_rate_5min_20100826.nc"
    dataset, _ = prepared(tmp_path, source("rain", file, "precipitation"), like="rain")
    maps, times = by_xarray(file, "rain_rate")
    with dataset:
        assert dataset.step_seconds == 300.0 and dataset.grid.shape == (417, 419)
        assert (dataset.times == times.astype("datetime64[s]")).all()
        np.testing.assert_allclose(dataset.dynamic("rain"), maps * 24.0, rtol=1e-6)
        assert dataset.variables["rain"].missing_share == pytest.approx(0.215, abs=0.002)


def test_smap_keeps_its_gaps_as_gaps(tmp_path):
    pack = PACKS / "smap_conus"
    file = pack / "smap_nldas_conus_2015_2017.nc"
    dataset, _ = prepared(
        tmp_path,
        source("sm", file, "soil_moisture", "sm_smap", "target"),
        source("precip", file, "precipitation", "precip"),
        source("tair", file, "temperature", "tair"),
        source("swdown", file, "radiation", "swdown"),
        source("qair", file, "humidity", "qair"),
        source("clay", pack / "static.nc", "property", "clay", "static"),
        source("capa", pack / "static/capa.tif", "property", role="static"),
        like="sm",
    )
    with dataset:
        for name, layer in {"sm": "sm_smap", "precip": "precip", "tair": "tair", "swdown": "swdown"}.items():
            np.testing.assert_allclose(dataset.dynamic(name), by_xarray(file, layer)[0], rtol=1e-6)
        inside = dataset.dynamic("sm")[:, dataset.mask]
        assert np.isnan(inside).mean() == pytest.approx(0.584, abs=0.003)
        assert dataset.filled("sm") is None
        np.testing.assert_array_equal(dataset.static_map("clay"), by_xarray(pack / "static.nc", "clay")[0])
        with rasterio.open(pack / "static/capa.tif") as handle:
            np.testing.assert_array_equal(dataset.static_map("capa"), handle.read(1, masked=True).filled(np.nan))


def test_floods_are_sequences_with_a_terrain_of_their_own(tmp_path):
    pack = PACKS / "flood_delft3d"
    file = pack / "sims/flood_{sequence}.nc"
    job = PrepareJob(
        name="floods",
        sources=(
            source("depth", file, "water_depth", "water_depth", "target"),
            source("dem", file, "elevation", "dem", "static"),
        ),
        output=str(tmp_path / "pack.nc"),
        grid=GridConfig(like="depth"),
        sequences=("00001", "00501", "10010"),
    )
    assert [event.kind for event in prepare(job)][-1] is EventKind.ARTIFACT
    opened = open_datasets(tmp_path / "pack.nc")
    assert [one.sequence for one in opened] == ["00001", "00501", "10010"]
    for one in opened:
        file = pack / "sims" / f"flood_{one.sequence}.nc"
        with one, xarray.open_dataset(file) as theirs:
            south_up = bool(theirs["y"][0] < theirs["y"][-1])
            depth, dem = theirs["water_depth"].values, theirs["dem"].values
            np.testing.assert_array_equal(one.dynamic("depth"), depth[:, ::-1] if south_up else depth)
            np.testing.assert_array_equal(one.static_map("dem"), dem[::-1] if south_up else dem)
            assert one.step_seconds == 1800.0 and len(one.times) == 97


def test_groundwater_with_pumping_in_its_own_unit(tmp_path):
    pack = PACKS / "freyberg_gw"
    file = pack / "freyberg_heads_daily_2015_2017.nc"
    dataset, _ = prepared(
        tmp_path,
        source("head", file, "groundwater_head", "head_l1", "target"),
        source("recharge", file, "recharge", "recharge"),
        source("pumping", file, "other", "pumping"),
        source("top", pack / "static/top_m.tif", "elevation", role="static"),
        source("hk", pack / "static/hk_l1_m_d.tif", "property", role="static"),
        like="head",
    )
    with dataset:
        for name, layer in {"head": "head_l1", "recharge": "recharge", "pumping": "pumping"}.items():
            np.testing.assert_array_equal(dataset.dynamic(name), by_xarray(file, layer)[0])
        assert dataset.variables["pumping"].units == "m3/d"


def test_reanalysis_maps_with_226_gauges(tmp_path):
    pack = PACKS / "era5_bcab"
    dataset, _ = prepared(
        tmp_path,
        source("tmax", pack / "era5_bc_ab_daily_2yr.nc", "temperature", "tmax"),
        source("precip", pack / "era5_bc_ab_daily_2yr.nc", "other", "precip_z"),
        source(
            "flow",
            pack / "streamflow_z_226_stations.csv",
            "other",
            role="target",
            crs="EPSG:4326",
            points=PointsConfig(stations=str(pack / "stations.csv"), gridding="gauges"),
        ),
        like="tmax",
    )
    table = np.genfromtxt(pack / "streamflow_z_226_stations.csv", delimiter=",", skip_header=1)[:, 1:]
    places = np.genfromtxt(pack / "stations.csv", delimiter=",", skip_header=1, usecols=(1, 2))
    with dataset:
        assert tuple(dataset.gauges.ids[:2]) == ("s000", "s001")
        series = dataset.series("flow")
        assert len(series) == 364  # the maps end a day before the table
        np.testing.assert_allclose(series, table[:364], rtol=1e-5)
        np.testing.assert_allclose(dataset.gauges.x, places[:, 0], rtol=1e-9)
        np.testing.assert_allclose(dataset.gauges.y, places[:, 1], rtol=1e-9)


def test_a_lumped_basin_is_a_grid_of_one_cell(tmp_path):
    file = PACKS / "lumped_basins/salmon_river.csv"
    dataset, _ = prepared(
        tmp_path,
        source("p", file, "precipitation", "p_mm_d", units="mm/d"),
        source("t", file, "temperature", "t_c", units="degC"),
        source("pet", file, "pet", "pet_mm_d", units="mm/d"),
        source("q", file, "runoff", "q_mm_d", "target", units="mm/d", points=PointsConfig(gridding="everywhere")),
    )
    table = np.genfromtxt(file, delimiter=",", skip_header=1)
    with dataset:
        assert dataset.grid.shape == (1, 1) and len(dataset.times) == len(table)
        for name, column in {"p": 1, "t": 2, "pet": 5, "q": 8}.items():
            np.testing.assert_allclose(dataset.dynamic(name)[:, 0, 0], table[:, column], rtol=1e-5, atol=1e-6)
        assert int(np.isnan(dataset.dynamic("q")).sum()) == 1697


def test_rain_of_months_and_of_days(tmp_path):
    pack = PACKS / "precip_fraser"
    monthly, daily = pack / "precip_fraser_monthly_1986_2017.nc", pack / "precip_fraser_daily_1986_2018.nc"
    dataset, _ = prepared(tmp_path, source("rain", monthly, "precipitation"), like="rain")
    sums, times = by_xarray(monthly, "precip_sum")
    with dataset:
        assert dataset.step_seconds == MONTH and len(dataset.times) == 383
        months = dataset.times.astype("datetime64[M]")
        days = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
        ordered = sums if by_latitude(monthly) else sums[:, ::-1]
        np.testing.assert_allclose(dataset.dynamic("rain") * days[:, None, None], ordered, rtol=1e-5, atol=1e-4)
    # Freshet's own months from the days: the same sums wherever the month is complete.
    again, _ = prepared(tmp_path, source("rain", daily, "precipitation"), like="rain", step_hours=MONTH / 3600)
    with again, xarray.open_dataset(daily) as opened:
        theirs = opened["precip"].resample(time="MS").sum()
        mine = again.dynamic("rain")
        months = again.times.astype("datetime64[M]")
        days = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
        picked = theirs.sel(time=again.times.astype("datetime64[ns]")).values
        ordered = picked if by_latitude(daily) else picked[:, ::-1]
        np.testing.assert_allclose(mine * days[:, None, None], ordered, rtol=1e-4, atol=1e-3)
