"""What a source holds and what is wrong with it is said before anything is computed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from osgeo import gdal
from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsRasterLayer, QgsVectorLayer

from freshet.core.contracts import DataError
from freshet.plugin.cf_time import decode_times
from freshet.plugin.datasets import Datasets, read_summary
from freshet.plugin.inspection import inspect_source
from freshet.plugin.raster_probe import netcdf_uri

PACKS = Path(__file__).resolve().parents[3] / "shared" / "data"
DAYS = ("1995-02-01", "1995-02-02", "1995-02-03", "1995-02-05")


def _ramp(bands=1, low=1.0, high=5.0):
    return np.linspace(low, high, bands * 12).reshape(bands, 3, 4)


def _folder(write_raster, name="precipitation", days=DAYS, **options):
    for day in days:
        write_raster(f"{name}/{name}_{day}.tif", _ramp(), **options)


def test_folder_of_dated_rasters_gives_dates_step_gaps_and_a_guess(write_raster, tmp_path):
    _folder(write_raster)
    (report,) = inspect_source(tmp_path / "precipitation")
    assert (report.variable, report.quantity, report.units, report.units_declared) == (
        "precipitation",
        "precipitation",
        "mm/d",
        False,
    )
    assert report.dates == DAYS and report.step_seconds == 86400.0 and report.gaps == ("1995-02-04",)
    assert (report.minimum, report.maximum, report.missing_share) == (1.0, 5.0, 0.0)
    assert report.problems == ["1 step is missing (1995-02-04); kept as gaps."]
    assert report.crs == "EPSG:3035" and report.size == (4, 3)


def test_report_becomes_a_source_of_a_job(write_raster, tmp_path):
    _folder(write_raster)
    config = inspect_source(tmp_path / "precipitation")[0].as_source_config("target")
    assert (config.variable, config.role, config.quantity, config.units) == (
        "precipitation",
        "target",
        "precipitation",
        "mm/d",
    )
    assert config.path == str(tmp_path / "precipitation")


def test_bands_are_dated_by_their_descriptions(write_raster):
    (report,) = inspect_source(write_raster("sm_l1.tif", _ramp(4, 0.1, 0.9), dates=DAYS))
    assert report.dates == DAYS and report.quantity == "soil_moisture" and report.role == "input"


def test_single_map_is_static(write_raster):
    (report,) = inspect_source(write_raster("dem.tif", _ramp(1, 100, 900), units="m"))
    assert (report.role, report.quantity, report.dates, report.units_declared) == ("static", "elevation", (), True)


def test_missing_cells_count_and_do_not_widen_the_range(write_raster):
    values = _ramp()
    values[0, 0, :3] = -9999.0
    (report,) = inspect_source(write_raster("dem.tif", values))
    assert report.missing_share == pytest.approx(0.25) and report.minimum > 0


def test_raster_layer_is_a_source(write_raster, qgis_app):
    path = write_raster("temperature.tif", _ramp(4), dates=DAYS)
    (report,) = inspect_source(QgsRasterLayer(path, "T"))
    assert report.path == path and report.quantity == "temperature"


def test_netcdf_layer_is_named_by_file_and_variable(tmp_path, write_raster):
    path = write_raster("a.nc", _ramp(), driver="netCDF")
    (report,) = inspect_source(path)
    assert (report.path, report.layer) == (path, "Band1")
    (same,) = inspect_source(netcdf_uri(path, "Band1"))
    assert (same.path, same.layer) == (path, "Band1")


@pytest.mark.parametrize(
    "options, values, word",
    [
        ({"epsg": 0}, _ramp(), "no coordinate reference system"),
        ({}, np.full((1, 3, 4), -9999.0), "All sampled values are missing"),
        ({}, np.full((1, 3, 4), 7.0), "Every sampled value is 7"),
        ({}, _ramp(4), "4 bands have no dates"),
        ({"units": "furlong"}, _ramp(), "unit 'furlong' is not known"),
        ({"nodata": None}, np.array([[[1.0, -1.2345], [2.0, 3.0]]]), "-1.2345 occurs and is not declared"),
        ({"units": "mm/d"}, _ramp(1, 1, 9000), "not plausible for precipitation"),
    ],
)
def test_each_fault_is_a_sentence(write_raster, options, values, word):
    (report,) = inspect_source(write_raster("rain.tif", values, **options))
    assert [text for text in report.problems if word in text], report.problems


def test_all_missing_has_no_range(write_raster):
    (report,) = inspect_source(write_raster("rain.tif", np.full((1, 3, 4), -9999.0)))
    assert math.isnan(report.minimum) and report.missing_share == 1.0


def test_bands_out_of_order_are_put_in_order_and_that_is_told(write_raster):
    (report,) = inspect_source(write_raster("rain.tif", _ramp(4), dates=DAYS[::-1]))
    assert report.dates == DAYS and [band for _, band in report.places] == [4, 3, 2, 1]
    assert any("put in order" in guess for guess in report.guesses)


def test_other_grids_in_a_folder_are_named(write_raster, tmp_path):
    _folder(write_raster)
    write_raster("precipitation/precipitation_1995-02-06.tif", np.ones((1, 5, 5)))
    (report,) = inspect_source(tmp_path / "precipitation")
    assert any("different grids (precipitation_1995-02-06.tif differs" in text for text in report.problems)


def test_a_map_without_date_beside_dated_ones_is_a_source_of_its_own(write_raster, tmp_path):
    _folder(write_raster)
    write_raster("precipitation/height.tif", _ramp(1, 100, 900))
    found = {report.role: report for report in inspect_source(tmp_path / "precipitation")}
    assert found["static"].path.endswith("height.tif")
    assert found["input"].path == str(tmp_path / "precipitation" / "precipitation_*.tif")


def test_declared_unit_that_contradicts_the_name_wins_over_the_guess(write_raster):
    (report,) = inspect_source(write_raster("rain.tif", _ramp(), units="K"))
    assert report.quantity not in ("precipitation", "rain") and report.units == "K"


def test_what_cannot_be_opened_is_a_sentence(tmp_path, qgis_app):
    with pytest.raises(DataError, match="does not exist"):
        inspect_source(tmp_path / "none.tif")
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(DataError, match="cannot be opened as a raster"):
        inspect_source(tmp_path / "text.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no raster"):
        inspect_source(tmp_path / "empty")
    with pytest.raises(DataError, match="cannot be a source"):
        inspect_source(QgsVectorLayer("Point?crs=EPSG:4326", "points", "memory"))
    with pytest.raises(DataError, match="quotation mark"):
        netcdf_uri('a"b.nc', "x")


def test_times_of_calendars_are_read():
    assert [str(t) for t in decode_times([0, 1.5], "days since 1970-01-01 00:00:00")] == [
        "1970-01-01 00:00:00",
        "1970-01-02 12:00:00",
    ]
    assert [str(t)[:10] for t in decode_times([59, 60, 365], "days since 1992-01-01", "noleap")] == [
        "1992-03-01",
        "1992-03-02",
        "1993-01-01",
    ]
    assert [str(t) for t in decode_times([6], "hours since 2000-1-1T12:00")] == ["2000-01-01 18:00:00"]
    assert [str(t)[:10] for t in decode_times([0, 359, 360], "days since 2000-01-01", "360_day")] == [
        "2000-01-01",
        "2000-12-31",
        "2001-01-01",
    ]
    assert [str(t)[:10] for t in decode_times([0, 1.5], "months since 2000-01-15")] == ["2000-01-15", "2000-02-29"]
    assert [str(t) for t in decode_times([0], "hours since 2000-01-01 00:00:00 +05:30")] == ["1999-12-31 18:30:00"]
    assert [str(t)[:10] for t in decode_times([0, 3], "days since 1582-10-03")] == ["1582-10-03", "1582-10-16"]
    assert [str(t)[:10] for t in decode_times([59], "days since 1900-01-01", "julian")] == ["None"]
    assert [str(t) for t in decode_times([20200131.25], "day as %Y%m%d.%f")] == ["2020-01-31 06:00:00"]
    assert decode_times([0], "days since 2000-01-01", "of the Maya") is None
    assert decode_times([float("nan")], "days since 2000-01-01") is None


def test_dataset_says_of_itself_what_qgis_shows(write_dataset_file):
    summary = read_summary(write_dataset_file())
    assert (summary.name, summary.steps, summary.names("input"), summary.names()) == (
        "A basin",
        40,
        ["rain"],
        ["rain", "sm", "dem"],
    )
    with pytest.raises(DataError, match="no variable 'snow'.*rain, sm, dem"):
        summary.variable("snow")


def test_foreign_and_missing_files_are_no_datasets(write_raster, tmp_path):
    with pytest.raises(DataError, match="not a dataset of Freshet"):
        read_summary(write_raster("x.tif", _ramp()))
    with pytest.raises(DataError, match="does not exist"):
        read_summary(str(tmp_path / "none.nc"))


def test_project_remembers_its_datasets(write_dataset_file, project, tmp_path):
    datasets, told = Datasets(project), []
    datasets.changed.connect(lambda: told.append(1))
    path = write_dataset_file()
    datasets.add(path)
    datasets.add(path)
    assert datasets.paths() == [path] and [item.name for item in datasets.list()] == ["A basin"] and told
    project.write(str(tmp_path / "p.qgs"))
    project.clear()
    assert datasets.paths() == []
    QgsProject.instance().read(str(tmp_path / "p.qgs"))
    assert datasets.paths() == [path]
    Path(path).unlink()
    assert datasets.list() == [] and "does not exist" in datasets.broken()[path]
    datasets.remove(path)
    assert datasets.paths() == []
    datasets.close()


@pytest.mark.skipif(not PACKS.is_dir(), reason=f"the real packs are not there: {PACKS}")
def test_real_packs_are_understood(qgis_app):
    reports = {item.variable: item for item in inspect_source(PACKS / "mhm_moselle" / "mhm_moselle_4km_1990_1993.nc")}
    moisture = reports["sm_l1"]
    assert (moisture.quantity, len(moisture.dates), moisture.dates[0], moisture.crs) == (
        "soil_moisture",
        1461,
        "1990-01-01",
        "EPSG:3035",
    )
    assert [name for name, item in reports.items() if item.problems] == []
    assert (reports["pet"].quantity, reports["tavg"].units) == ("pet", "degC")
    (folder,) = inspect_source(PACKS / "wflow_rhine" / "inwater")
    assert (folder.quantity, len(folder.dates), folder.gaps, folder.size) == ("inwater", 365, (), (187, 169))


def test_a_crs_that_only_the_project_gave_travels_with_the_job(tmp_path):
    path = str(tmp_path / "bare.tif")
    raster = gdal.GetDriverByName("GTiff").Create(path, 3, 2, 1, gdal.GDT_Float32)
    raster.SetGeoTransform((4e6, 1000.0, 0.0, 3e6, 0.0, -1000.0))
    raster.GetRasterBand(1).WriteArray(np.arange(6.0).reshape(2, 3))
    raster = None
    layer = QgsRasterLayer(path, "bare")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    (report,) = inspect_source(layer)
    assert report.as_source_config().crs == "EPSG:3035"
    assert not any("coordinate reference" in sentence for sentence in report.problems)
    assert inspect_source(path)[0].as_source_config().crs == ""


def test_point_layers_and_tables_of_the_project_are_sources(tmp_path, qgis_app):
    lines = [f"a,2000-01-0{day},6.5,49.5,{day}" for day in (1, 2, 3)]
    (tmp_path / "q.csv").write_text("station,date,lon,lat,discharge\n" + "\n".join(lines))
    plain = QgsVectorLayer(str(tmp_path / "q.csv"), "q", "ogr")
    (report,) = inspect_source(plain)
    assert (report.form, report.stations, report.quantity, len(report.dates)) == ("table", 1, "discharge", 3)
    delimited = QgsVectorLayer(
        f"file://{tmp_path}/q.csv?type=csv&xField=lon&yField=lat&crs=EPSG:4326", "q", "delimitedtext"
    )
    assert inspect_source(delimited)[0].path == str(tmp_path / "q.csv")
    copy = gdal.VectorTranslate(str(tmp_path / "g.gpkg"), str(tmp_path / "q.csv"), format="GPKG", layerName="gauges")
    del copy
    (report,) = inspect_source(QgsVectorLayer(f"{tmp_path}/g.gpkg|layername=gauges", "g", "ogr"))
    assert report.path.endswith("g.gpkg|layername=gauges") and report.stations == 1


def test_a_variable_without_a_telling_name_takes_that_of_its_file(write_raster):
    (report,) = inspect_source(write_raster("precipitation.nc", _ramp(), driver="netCDF"))
    assert (report.layer, report.variable, report.quantity) == ("Band1", "precipitation", "precipitation")
