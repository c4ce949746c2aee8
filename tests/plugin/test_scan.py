"""Whatever is dropped in becomes sources: names at once, the rest as it is found, nothing guessed in silence."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from osgeo import gdal, ogr, osr

from freshet.core.contracts import DataError
from freshet.plugin import raster_probe
from freshet.plugin.grouping import date_preview, group_files, name_key
from freshet.plugin.listing import list_folder
from freshet.plugin.scan import Scan, scan_all
from freshet.plugin.source_report import Guess

from .array_files import LATITUDES, LONGITUDES, VALUES, Writer, turned, write_series

PACKS = Path(__file__).resolve().parents[3] / "shared" / "data"
DAYS = [f"2020{month:02d}{day:02d}" for month in (1, 2) for day in range(1, 13)]


@pytest.fixture
def empty(tmp_path):
    """Makes empty files by name; gives their folder."""

    def make(*names):
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "in"

    return make


@pytest.fixture
def opened(monkeypatch):
    """The names that GDAL was asked to open."""
    names, real = [], gdal.OpenEx

    def counting(name, *args, **kwargs):
        names.append(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(raster_probe.gdal, "OpenEx", counting)
    return names


def _groups(folder):
    return {
        os.path.relpath(group.path, folder): group
        for group in group_files(list_folder(str(folder)))
        if group.kind != "table"
    }


def _by_variable(*paths):
    reports, refused = scan_all([str(path) for path in paths])
    assert refused == []
    return {report.variable: report for report in reports}


def _map(value=1.0):
    return np.full((3, 4), value) + np.arange(12.0).reshape(3, 4) / 10


# -- names


def test_one_folder_may_hold_the_files_of_several_variables(empty):
    folder = empty(*[f"{name}_{day}.tif" for name in ("precip", "temp") for day in DAYS], "dem.tif")
    groups = _groups(folder)
    assert sorted(groups) == ["dem.tif", "precip_*.tif", "temp_*.tif"]
    assert len(groups["precip_*.tif"].files) == 24 and groups["precip_*.tif"].dates[0] == datetime(2020, 1, 1)


def test_a_pattern_never_takes_files_of_another_variable(empty):
    folder = empty(*[f"{name}_{day}.tif" for name in ("p", "p_et") for day in DAYS])
    assert sorted(_groups(folder)) == ["p_[0-9]*.tif", "p_et_*.tif"]


@pytest.mark.parametrize("name", ["with space", "quo'te", 'dou"ble', "acc\u00e9nt", "per%20cent", "ha#sh", "br[a]cket"])
def test_odd_folder_names_are_kept_and_their_patterns_escaped(empty, name):
    import glob

    folder = empty(*[f"{name}/{kind}_{day}.tif" for kind in ("a", "b") for day in DAYS])
    for group in group_files(list_folder(str(folder))):
        assert sorted(glob.glob(group.path)) == sorted(item.path for item in group.files)


def test_layers_are_variables_and_simulations_are_sequences(empty):
    layers = _groups(empty(*[f"sm_l{layer}_{day}.tif" for layer in (1, 2) for day in DAYS]))
    assert sorted(layers) == ["sm_l1_*.tif", "sm_l2_*.tif"]
    simulations = empty(*[f"x/sim_{number:03d}_{day}.tif" for number in (1, 2, 10) for day in DAYS]) / "x"
    ((path, group),) = _groups(simulations).items()
    assert path == "sim_{sequence}_*.tif" and group.sequences == ("001", "002", "010")


def test_a_folder_a_simulation_is_a_sequence_each(empty):
    ((path, group),) = _groups(empty(*[f"run_{n}/depth_{day}.tif" for n in (1, 2, 10) for day in DAYS])).items()
    assert path == "run_{sequence}" and group.sequences == ("1", "2", "10")
    assert [item.name for item in group.of_sequence("2").files] == [f"depth_{day}.tif" for day in DAYS]


def test_folders_may_spell_the_date(empty):
    ((path, group),) = _groups(empty(*[f"p/{d[:4]}/{d[4:6]}/{d[6:]}.tif" for d in DAYS])).items()
    assert path == "." or path == "p"
    assert group.dates[-1] == datetime(2020, 2, 12) and group.pattern == "%Y/%m/%d"


def test_stacks_of_pcraster_are_told_apart_by_their_prefix(empty):
    folder = empty(*[f"P0000000.{i:03d}" for i in range(1, 12)], *[f"tmp10000.{i:03d}" for i in range(1, 12)])
    groups = group_files(list_folder(str(folder)))
    assert sorted((group.layer, group.path) for group in groups) == [("P", str(folder)), ("tmp1", str(folder))]
    assert [item.name for item in groups[0].files][:2] == ["P0000000.001", "P0000000.002"]


def test_what_two_names_share_is_their_key():
    assert name_key("rain_1995-02-01.tif") == name_key("rain_19950201.tif") == name_key("rain_01Feb1995.tif")
    assert name_key("a/1995/rain_01.tif") != name_key("b/1995/rain_01.tif")


def test_a_pattern_is_previewed_on_names():
    names = ["r_27.02.2001.tif", "r_x.tif"]
    assert date_preview(names, "%d.%m.%Y") == [(names[0], datetime(2001, 2, 27)), (names[1], None)]
    groups = r"(?P<day>\d+)\.(?P<month>\d+)\.(?P<year>\d{4})"
    assert date_preview(names, groups)[0][1] == datetime(2001, 2, 27)
    with pytest.raises(DataError, match="not usable"):
        date_preview(names, "%Q")


# -- the first page


def test_the_first_page_of_ten_thousand_files_opens_one_of_them(write_raster, tmp_path, opened):
    first = write_raster("many/rain_00010101.tif", _map())
    start = datetime(1990, 1, 1).toordinal()
    for number in range(10_000):
        day = datetime.fromordinal(start + number)
        os.link(first, tmp_path / "many" / f"rain_{day:%Y%m%d}.tif")
    os.unlink(first)
    opened.clear()
    page = next(iter(Scan([str(tmp_path / "many")])))
    (report,) = page.reports
    assert len(opened) <= 2 and page.fraction == 0.0
    assert (len(report.dates), report.dates[0], report.dates[-1]) == (10_000, "1990-01-01", "2017-05-18")
    assert report.step_seconds == 86400.0 and report.size == (4, 3) and not report.complete
    assert report.date_pattern == "%Y%m%d" and report.minimum != report.minimum


def test_the_rest_fills_in_with_progress_and_can_be_stopped(write_raster, tmp_path, opened):
    first = write_raster("many/rain_20000101.tif", _map())
    for number in range(1, 500):
        os.link(first, tmp_path / "many" / f"rain_{datetime.fromordinal(730120 + number):%Y%m%d}.tif")
    pages = list(Scan([str(tmp_path / "many")]))
    shares = [page.fraction for page in pages]
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 5
    assert [report.complete for page in pages for report in page.reports] == [False, False, True]
    opened.clear()
    stop = []
    seen = [stop.append(1) for page in Scan([str(tmp_path / "many")], lambda: bool(stop)) if page.fraction > 0]
    assert len(seen) == 1 and len(opened) < 50


def test_keys_stay_the_same_from_page_to_page(write_raster, tmp_path):
    for day in DAYS:
        write_raster(f"in/pet_{day}.tif", _map())
    write_series(tmp_path / "in" / "a.nc")
    keys = [{(report.path, report.layer) for report in page.reports} for page in Scan([str(tmp_path / "in")])]
    assert keys[0] == set().union(*keys) and len(keys[0]) == 2


# -- all files


def test_an_unreadable_file_is_named_and_its_date_a_gap(write_raster, tmp_path):
    for day in DAYS[:6]:
        write_raster(f"rain/rain_{day}.tif", _map(), nodata=None)
    (tmp_path / "rain" / f"rain_{DAYS[2]}.tif").write_bytes(b"no raster at all")
    report = _by_variable(tmp_path / "rain")["rain"]
    assert [os.path.basename(path) for path in report.unreadable] == [f"rain_{DAYS[2]}.tif"]
    assert report.gaps == ("2020-01-03",) and len(report.files) == 5
    assert any(f"1 file cannot be read (rain_{DAYS[2]}.tif)" in text for text in report.problems)


def test_another_grid_in_the_middle_of_a_stack_is_found_though_no_sample_hits_it(write_raster, tmp_path):
    for day in DAYS:
        write_raster(f"rain/rain_{day}.tif", _map())
    write_raster(f"rain/rain_{DAYS[7]}.tif", np.ones((1, 5, 5)))
    report = _by_variable(tmp_path / "rain")["rain"]
    assert any(f"different grids (rain_{DAYS[7]}.tif differs" in text for text in report.problems)


def test_doubled_missing_and_irregular_dates_are_listed(write_raster, tmp_path):
    for name in (
        "rain_20200101",
        "rain_2020-01-01",
        "rain_20200102",
        "rain_20200104",
        "rain_20200105",
        "rain_20200106",
    ):
        write_raster(f"rain/{name}.tif", _map())
    report = _by_variable(tmp_path / "rain")["rain"]
    assert (report.doubled, report.gaps) == (("2020-01-01",), ("2020-01-03",))
    assert any("same date (2020-01-01)" in text for text in report.problems)
    for hours in (0, 1, 2, 3, 5.5, 7):
        write_raster(f"odd/odd_20200101T{int(hours):02d}{int(hours % 1 * 60):02d}.tif", _map())
    assert _by_variable(tmp_path / "odd")["odd"].irregular == ("2020-01-01T05:30", "2020-01-01T07:00")


def test_months_are_a_step_of_their_own(write_raster, tmp_path):
    for month in (1, 2, 3, 5):
        write_raster(f"runoff/runoff_2020-{month:02d}.tif", _map())
    report = _by_variable(tmp_path / "runoff")["runoff"]
    assert report.step_seconds == 2629746.0 and report.gaps == ("2020-04-01",)


def test_dates_come_from_metadata_or_from_beside_where_names_have_none(write_raster, tmp_path):
    for number in range(4):
        path = write_raster(f"a/map_{number}.tif", _map())
        source = gdal.Open(path, gdal.GA_Update)
        source.SetMetadataItem("TIME", f"2020-01-{number + 1:02d}T06:00")
        del source
        write_raster(f"b/map_{number}.tif", _map())
        (tmp_path / "b" / f"map_{number}.json").write_text(f'{{"properties": {{"datetime": "2021-02-0{number + 1}"}}}}')
    assert _by_variable(tmp_path / "a")["a"].dates[0] == "2020-01-01T06:00"
    found = _by_variable(tmp_path / "b")["b"]
    assert found.dates[-1] == "2021-02-04" and any(guess.field == "date_table" for guess in found.guesses)


def test_files_of_dated_bands_are_all_their_bands(write_raster, tmp_path):
    for number in range(4):
        dates = [f"2020-0{number + 2}-{day:02d}" for day in (1, 2)]
        write_raster(f"sm/sm_{number}.tif", np.stack([_map(1), _map(2)]), dates=dates)
    (report,) = scan_all([str(tmp_path / "sm")])[0]
    assert report.dates[:3] == ("2020-02-01", "2020-02-02", "2020-03-01")
    uri, band = report.map_at(3)
    source = gdal.Open(uri)
    assert source.GetRasterBand(band).GetDescription() == report.dates[3]


def test_undeclared_sentinels_and_fills_are_told_with_the_field_that_changes_them(write_raster, tmp_path):
    values = _map()
    values[0, 0], values[1, 1] = -9999.0, 1e20
    report = _by_variable(write_raster("rain.tif", values, nodata=None, units="mm/d"))["rain"]
    assert report.nodata == -9999.0 and report.as_source_config().nodata == -9999.0
    told = [str(guess) for guess in report.guesses if guess.field == "nodata"]
    assert any("-9999 is taken as missing" in text for text in told) and any("1e20" in text for text in told)
    assert report.maximum < 100 and report.missing_share == pytest.approx(2 / 12)


def test_each_guess_names_the_field_that_changes_it(write_raster, tmp_path):
    for day in DAYS:
        write_raster(f"precipitation/p_{day}.tif", _map())
    report = _by_variable(tmp_path / "precipitation")["precipitation"]
    fields = {guess.field: guess for guess in report.guesses}
    assert {"quantity", "units", "date_pattern"} <= set(fields) and all(
        isinstance(one, Guess) for one in report.guesses
    )
    assert "with the pattern %Y%m%d" in fields["date_pattern"] and "mm/d is the catalogue's" in fields["units"]


def test_degrees_without_a_crs_are_taken_as_wgs_84(tmp_path, qgis_app):
    path = tmp_path / "rain.tif"
    made = gdal.GetDriverByName("GTiff").Create(str(path), 4, 3, 1, gdal.GDT_Float32)
    made.SetGeoTransform((5.25, 0.5, 0, 50.25, 0, -0.5))
    made.GetRasterBand(1).WriteArray(_map())
    del made
    (report,) = scan_all([str(path)])[0]
    assert report.crs == "EPSG:4326" and any(guess.field == "crs" for guess in report.guesses)


# -- arrays


def _one(path):
    (report,) = scan_all([str(path)])[0]
    return report


@pytest.mark.parametrize(
    "calendar, times, dates",
    [
        ("noleap", range(57, 62), ("2000-02-27", "2000-02-28", "2000-03-01", "2000-03-02", "2000-03-03")),
        ("360_day", range(5), ("2000-01-01", "2000-01-02", "2000-01-03", "2000-01-04", "2000-01-05")),
        ("360_day", range(355, 360), ("2000-12-27", "2000-12-28", "2000-12-29", "2000-12-30", "2000-12-31")),
        ("all_leap", range(366 + 58, 366 + 63), ("2001-02-28", "2001-03-01", "2001-03-02", "2001-03-03")),
        ("julian", range(57, 62), ("2000-02-27", "2000-02-28", "2000-02-29", "2000-03-01", "2000-03-02")),
    ],
)
def test_every_calendar_becomes_dates_of_the_standard_one(tmp_path, qgis_app, calendar, times, dates):
    report = _one(write_series(tmp_path / "a.nc", times=list(times), calendar=calendar))
    if calendar == "all_leap":  # the 29 February that 2001 does not have is left out
        assert report.dates == dates and report.map_at(1)[1] == 3
    else:
        assert report.dates == dates
    assert report.calendar == calendar and report.gaps == ()


def test_float_days_since_the_year_one_minutes_and_months(tmp_path, qgis_app):
    days = np.float32(730119) + np.arange(5) * 0.25
    since = {"units": "days since 0001-01-01", "calendar": "proleptic_gregorian", "time_kind": gdal.GDT_Float32}
    found = _one(write_series(tmp_path / "a.nc", times=days, **since))
    assert found.dates[:2] == ("2000-01-01", "2000-01-01T06:00") and found.step_seconds == 21600.0
    found = _one(write_series(tmp_path / "b.nc", times=np.arange(5) * 5, units="minutes since 2000-01-01"))
    assert found.step_seconds == 300.0 and found.dates[1] == "2000-01-01T00:05"
    found = _one(write_series(tmp_path / "c.nc", times=[15.5, 45.5, 75.5, 106, 136.5], units="days since 2000-01-01"))
    assert found.step_seconds == 2629746.0 and found.dates[1] == "2000-02-01"
    assert any("whole month" in guess for guess in found.guesses)


@pytest.mark.parametrize("order", ["time lat lon", "time lon lat", "lat lon time", "lon lat time"])
def test_any_order_of_dimensions_is_the_same_grid(tmp_path, qgis_app, order):
    report = _one(write_series(tmp_path / "a.nc", order=order))
    assert (report.size, report.cell, len(report.dates)) == ((3, 4), (1.0, 1.0), 5)
    assert (report.minimum, report.maximum) == (0.0, 59.0) and report.crs == "EPSG:4326"


def test_two_dimensional_coordinates_that_are_a_grid_are_told_from_those_that_are_none(tmp_path, qgis_app):
    grid = np.meshgrid(LATITUDES, LONGITUDES, indexing="ij")
    even = _one(write_series(tmp_path / "a.nc", two_d=grid))
    assert (even.size, even.cell, even.crs) == ((3, 4), (1.0, 1.0), "EPSG:4326")
    assert any("regular grid of degrees" in guess for guess in even.guesses)
    uneven = _one(write_series(tmp_path / "b.nc", two_d=turned()))
    assert uneven.crs == "EPSG:4326" and any("takes the nearest" in guess for guess in uneven.guesses)


def test_latitudes_beyond_ninety_degrees_are_a_problem(tmp_path, qgis_app):
    report = _one(write_series(tmp_path / "a.nc", latitudes=(170, 169, 168, 167), longitudes=(50, 51, 52)))
    assert any("may be exchanged" in text for text in report.problems)


def test_levels_are_a_source_each_up_to_a_handful(tmp_path, qgis_app):
    for count in (2, 20):
        with Writer(tmp_path / f"{count}.nc") as out:
            out.dims(time=5, level=count, lat=4, lon=3)
            out.array("time", "time", range(5), units="days since 2000-01-01")
            out.array("level", "level", np.arange(count) * 100.0 + 500)
            out.array("lat", "lat", LATITUDES, units="degrees_north")
            out.array("lon", "lon", LONGITUDES, units="degrees_east")
            values = VALUES[:, None] + 1000.0 * np.arange(count)[None, :, None, None]
            out.array("t", "time level lat lon", values, units="K")
    reports = scan_all([str(tmp_path / "2.nc")])[0]
    assert [report.layer for report in reports] == ["t[level=500]", "t[level=600]"]
    assert reports[1].map_at(2)[1] == 6 and (reports[1].minimum, reports[1].maximum) == (1000.0, 1059.0)
    (first,) = scan_all([str(tmp_path / "20.nc")])[0]
    assert first.layer == "t[level=500]" and any("20 layers along 'level'" in guess for guess in first.guesses)


def test_a_file_a_year_is_one_source(tmp_path, qgis_app):
    for year in (2000, 2001, 2003):
        write_series(tmp_path / "in" / f"pr_{year}.nc", units=f"days since {year}-01-01")
    report = _one(tmp_path / "in")
    assert report.path == str(tmp_path / "in") and report.layer == "pr" and len(report.files) == 3
    assert (report.dates[0], report.dates[5], report.dates[-1]) == ("2000-01-01", "2001-01-01", "2003-01-05")
    uri, band = report.map_at(6)
    assert "pr_2001.nc" in uri and band == 2


def test_simulations_of_the_same_dates_are_sequences(tmp_path, qgis_app):
    for number in (1, 2, 10):
        write_series(tmp_path / "in" / f"sim_{number:03d}.nc", VALUES + number)
    report = _one(tmp_path / "in")
    assert report.path == str(tmp_path / "in" / "sim_{sequence}.nc") and report.sequences == ("001", "002", "010")
    assert len(report.dates) == 5 and report.in_sequence("002").endswith("sim_002.nc")
    assert "sim_001.nc" in report.map_at(0)[0]


def test_files_of_one_map_take_the_dates_of_their_names_where_they_have_none(tmp_path, qgis_app):
    for day in DAYS[:4]:
        with Writer(tmp_path / "in" / f"sm_{day}.nc") as out:
            out.dims(lat=4, lon=3)
            out.array("lat", "lat", LATITUDES, units="degrees_north")
            out.array("lon", "lon", LONGITUDES, units="degrees_east")
            out.array("sm", "lat lon", VALUES[0] / 20, units="1")
    report = _one(tmp_path / "in")
    assert report.dates == ("2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04") and report.role == "input"


def test_a_zarr_folder_is_one_source_and_is_not_entered(tmp_path, qgis_app):
    write_series(tmp_path / "in" / "a.zarr", driver="Zarr")
    report = _one(tmp_path / "in")
    assert report.path.endswith("a.zarr") and report.layer == "pr" and len(report.dates) == 5
    uri, band = report.map_at(2)
    source = gdal.Open(uri)
    assert source.GetRasterBand(band).ReadAsArray()[0, 0] == VALUES[2, 0, 0]


def test_a_store_that_gdal_cannot_open_is_described_all_the_same(tmp_path, qgis_app):
    (tmp_path / "new.zarr").mkdir()
    (tmp_path / "new.zarr" / "zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "group", "consolidated_metadata": {"metadata": {"pr": {"shape": [5, 4, 3], '
        '"attributes": {"units": "mm/d"}}, "lat": {"shape": [4]}}}}'
    )
    report = _one(tmp_path / "new.zarr")
    assert (report.layer, report.units, report.size) == ("pr", "mm/d", (3, 4))
    assert any("format 3" in text for text in report.problems)


# -- gauges


def test_a_table_of_one_gauge_gives_a_source_a_column(tmp_path, qgis_app):
    lines = "\n".join(f"2000-01-{day:02d},{day},{20 + day},-999" for day in (1, 2, 4))
    (tmp_path / "gauge.csv").write_text(f"date,p_mm_d,q_m3s,snow_depth\n{lines}\n")
    found = _by_variable(tmp_path / "gauge.csv")
    rain, flow = found["p_mm_d"], found["q_m3s"]
    assert (rain.form, rain.stations, rain.units, rain.gaps) == ("table", 1, "mm/d", ("2000-01-03",))
    assert (flow.quantity, flow.units, flow.minimum, flow.maximum) == ("discharge", "m3/s", 21.0, 24.0)
    assert rain.as_source_config().layer == "p_mm_d" and any("read from the header" in g for g in flow.guesses)


def test_columns_of_stations_are_one_source_with_places_from_the_table_beside_it(tmp_path, qgis_app):
    (tmp_path / "streamflow.csv").write_text("Datum;A1;A2\n01.02.2000;1,5;2\n02.02.2000;0;NA\n")
    (tmp_path / "stations.csv").write_text("id,lon,lat\nA1,6.5,49.5\nA2,7.5,50.5\n")
    (report,), refused = scan_all([str(tmp_path / "streamflow.csv")])
    assert (report.layer, report.stations, report.dates) == ("*", 2, ("2000-02-01", "2000-02-02")) and not refused
    assert (report.minimum, report.maximum, report.missing_share) == (0.0, 2.0, 0.25)
    assert report.as_source_config().points.stations == str(tmp_path / "stations.csv")
    assert any(guess.field == "points.stations" and "2 of 2" in guess for guess in report.guesses)


def test_rows_of_date_and_station_with_their_places(tmp_path, qgis_app):
    rows = [f"{name},2000-01-0{day},{lon},48.0,{day}" for name, lon in (("a", 6.0), ("b", 7.0)) for day in (1, 2, 3)]
    (tmp_path / "rain.csv").write_text("station,date,lon,lat,rain\n" + "\n".join(rows))
    (report,) = scan_all([str(tmp_path / "rain.csv")])[0]
    assert (report.layer, report.stations, report.crs, len(report.dates)) == ("rain", 2, "EPSG:4326", 3)


def test_a_point_layer_with_dates_is_a_source_and_one_without_is_told(tmp_path, qgis_app):
    path = str(tmp_path / "gauges.gpkg")
    source = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(3035)
    layer = source.CreateLayer("g", reference, ogr.wkbPoint)
    for name, kind in (("gauge", ogr.OFTString), ("day", ogr.OFTDate), ("discharge", ogr.OFTReal)):
        layer.CreateField(ogr.FieldDefn(name, kind))
    for gauge, x in (("a", 4e6), ("b", 4.1e6)):
        for day in (1, 2, 3):
            feature = ogr.Feature(layer.GetLayerDefn())
            feature.SetField("gauge", gauge)
            feature.SetField("day", f"2000/01/0{day}")
            feature.SetField("discharge", x / 1e6 + day)
            feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POINT ({x} 3000000)"))
            layer.CreateFeature(feature)
    del layer, source
    (report,) = scan_all([path])[0]
    assert (report.layer, report.stations, report.crs, report.dates[-1]) == ("discharge", 2, "EPSG:3035", "2000-01-03")
    (tmp_path / "places.csv").write_text("id,lon,lat\na,6,48\n")
    reports, refused = scan_all([str(tmp_path / "places.csv")])
    assert reports == [] and "stations" in refused[0]


# -- what cannot be


def test_what_cannot_be_a_source_is_refused_with_its_name(tmp_path, write_raster):
    (tmp_path / "broken.tif").write_text("no raster")
    (tmp_path / "empty").mkdir()
    good = write_raster("dem.tif", _map())
    reports, refused = scan_all([str(tmp_path / name) for name in ("broken.tif", "empty", "gone.tif")] + [good])
    assert [report.variable for report in reports] == ["dem"] and len(refused) == 3
    for word in ("broken.tif", "empty", "gone.tif"):
        assert any(word in text for text in refused)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_rights_is_a_sentence(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o000)
    assert "cannot be read" in scan_all([str(tmp_path / "closed")])[1][0]


def test_files_chosen_one_by_one_are_one_source_with_a_pattern(write_raster, tmp_path):
    chosen = [write_raster(f"in/rain_{day}.tif", _map()) for day in DAYS]
    write_raster("in/pet_20200101.tif", _map())
    (report,) = scan_all(chosen)[0]
    assert report.path == str(tmp_path / "in" / "rain_*.tif") and len(report.dates) == len(DAYS)


# -- real data


@pytest.mark.skipif(not PACKS.is_dir(), reason=f"the real packs are not there: {PACKS}")
def test_real_packs_are_understood(qgis_app):
    reports, refused = scan_all([str(PACKS / "wflow_rhine")])
    found = {os.path.relpath(report.path, PACKS / "wflow_rhine"): report for report in reports}
    assert refused == [] and {"inwater", "pet", "precipitation", "temperature"} <= set(found)
    assert all(len(found[name].dates) == 365 and found[name].problems == [] for name in ("inwater", "pet"))
    assert found["gauge_lobith_m3s.csv"].stations == 1 and found["static/dem_m.tif"].role == "static"
    (raw,) = scan_all([str(PACKS / "vic_lievre" / "raw" / "VIC_streaminputs.nc")])[0]
    assert (len(raw.dates), raw.dates[0], raw.dates[-1]) == (16072, "2000-01-01", "2010-12-31T18:00")
    assert (raw.size, raw.cell, raw.crs, raw.step_seconds) == ((10, 10), (0.125, 0.125), "EPSG:4326", 21600.0)
    (radar,) = scan_all([str(PACKS / "radar_knmi")])[0]
    assert (radar.step_seconds, radar.units, radar.size) == (300.0, "mm/h", (419, 417)) and "PROJCS" in radar.crs
    floods, _ = scan_all([str(PACKS / "flood_delft3d" / "sims")])
    assert {report.layer: len(report.sequences) for report in floods} == {"water_depth": 80, "dem": 80}
    gauges, _ = scan_all([str(PACKS / "era5_bcab")])
    assert max(report.stations for report in gauges) == 226


def test_fields_of_a_grib_file_are_sources_of_their_own(tmp_path, qgis_app):
    driver = gdal.GetDriverByName("GRIB")
    if driver is None or "DCAP_CREATECOPY" not in driver.GetMetadata():
        pytest.skip("this GDAL cannot write GRIB")
    memory = gdal.GetDriverByName("MEM").Create("", 4, 3, 4, gdal.GDT_Float32)
    memory.SetGeoTransform((5, 0.5, 0, 50, 0, -0.5))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(4326)
    memory.SetProjection(reference.ExportToWkt())
    options = []
    for band in range(1, 5):
        memory.GetRasterBand(band).WriteArray(_map(10.0 * band))
        warm = band % 2
        code = "0 0 2 255 96 0 0 1 0 103 0 2 255 0 0" if warm else "1 8 2 255 96 0 0 1 0 1 0 0 255 0 0"
        date = f"REF_TIME=2020-01-0{(band + 1) // 2}T00:00:00Z"
        options += [
            f"BAND_{band}_DISCIPLINE=0",
            f"BAND_{band}_IDS=CENTER=7(US-NCEP) SUBCENTER=0 MASTER_TABLE=8 LOCAL_TABLE=0 SIGNF_REF_TIME=1 {date}",
            f"BAND_{band}_PDS_PDTN=0",
            f"BAND_{band}_PDS_TEMPLATE_ASSEMBLED_VALUES={code}",
        ]
    copy = driver.CreateCopy(str(tmp_path / "f.grb2"), memory, options=options)
    del copy
    found = {report.layer: report for report in scan_all([str(tmp_path / "f.grb2")])[0]}
    assert sorted(found) == ["APCP[0-SFC]", "TMP[2-HTGL]"]
    rain, warmth = found["APCP[0-SFC]"], found["TMP[2-HTGL]"]
    assert rain.dates == warmth.dates == ("2020-01-01", "2020-01-02")
    assert (rain.map_at(1)[1], warmth.map_at(1)[1]) == (4, 3) and rain.maximum == pytest.approx(41.1, rel=1e-3)


def test_a_stack_of_pcraster_asks_for_its_first_date(tmp_path, qgis_app):
    (tmp_path / "maps").mkdir()
    for number in range(1, 4):
        memory = gdal.GetDriverByName("MEM").Create("", 4, 3, 1, gdal.GDT_Float32)
        memory.SetGeoTransform((4e6, 1000, 0, 3e6, 0, -1000))
        memory.GetRasterBand(1).WriteArray(_map(number))
        memory.GetRasterBand(1).SetNoDataValue(-9999)
        path = str(tmp_path / "maps" / f"P0000000.{number:03d}")
        copy = gdal.GetDriverByName("PCRaster").CreateCopy(path, memory, options=["PCRASTER_VALUESCALE=VS_SCALAR"])
        del copy
    report = _one(tmp_path / "maps")
    assert (report.variable, report.path, len(report.files), report.dates) == ("p", str(tmp_path / "maps"), 3, ())
    assert any("Give the date of map 1" in text for text in report.problems) and report.role == "input"
    assert report.minimum == 1.0 and report.map_at(2)[0].endswith("P0000000.003")
