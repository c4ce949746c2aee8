"""Sources on the map without an engine: what stands under a click is what stands in the files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from osgeo import gdal, osr
from qgis.core import QgsPointXY, QgsProject, QgsRaster, QgsRasterLayer, QgsTemporalNavigationObject

from freshet.core.contracts import DataError
from freshet.core.contracts.steps import MONTH
from freshet.plugin import stacks
from freshet.plugin.array_file import open_arrays
from freshet.plugin.inspection import inspect_source
from freshet.plugin.source_layers import FOLDER, Shown, add_sources, source_layer
from freshet.plugin.temporal import TemporalBands, layer_band, layer_dates

from .array_files import LATITUDES, LONGITUDES, VALUES, turned, write_series

PACKS = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_packs = pytest.mark.skipif(not PACKS.is_dir(), reason=f"the real packs are not there: {PACKS}")


@pytest.fixture
def home(project, tmp_path):
    """The folder of the project, with a name that has to be escaped in files."""
    folder = tmp_path / "pro'ject & <\u00e9> %20 #1"
    folder.mkdir()
    project.setFileName(str(folder / "p.qgs"))
    return folder


def _values(layer):
    """What a click on the middle of each cell gives: (bands, rows, columns), NaN where missing."""
    extent, provider = layer.extent(), layer.dataProvider()
    wide, high = extent.width() / layer.width(), extent.height() / layer.height()
    found = np.full((layer.bandCount(), layer.height(), layer.width()), np.nan)
    for row in range(layer.height()):
        for column in range(layer.width()):
            point = QgsPointXY(extent.xMinimum() + (column + 0.5) * wide, extent.yMaximum() - (row + 0.5) * high)
            bands = provider.identify(point, QgsRaster.IdentifyFormat.IdentifyFormatValue).results()
            found[:, row, column] = [np.nan if bands[b] is None else bands[b] for b in range(1, layer.bandCount() + 1)]
    return found


def _layer(path, index=0, **options):
    return source_layer(Shown(inspect_source(path)[index], **options))


def _tif(
    path, values, transform=(4e6, 1000.0, 0.0, 3e6, 0.0, -1000.0), nodata=-9999.0, epsg=3035, kind=gdal.GDT_Float32
):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = gdal.GetDriverByName("GTiff").Create(str(path), values.shape[1], values.shape[0], 1, kind)
    made.SetGeoTransform(transform)
    if epsg:
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(epsg)
        made.SetProjection(reference.ExportToWkt())
    if nodata is not None:
        made.GetRasterBand(1).SetNoDataValue(nodata)
    made.GetRasterBand(1).WriteArray(values)
    made.FlushCache()
    del made


def _dated(folder, count=5, **options):
    for day in range(count):
        _tif(folder / f"rain_2000-01-{day + 1:02d}.tif", VALUES[day], **options)
    return folder


@pytest.mark.parametrize("order", ["time lat lon", "time lon lat", "lat lon time", "lon lat time"])
@pytest.mark.parametrize("south_up", [False, True])
def test_any_order_of_dimensions_lies_where_its_coordinates_say(home, tmp_path, order, south_up):
    turn = slice(None, None, -1 if south_up else 1)
    path = write_series(tmp_path / "a.nc", VALUES[:, turn], order, latitudes=LATITUDES[turn])
    layer = _layer(path)
    assert (layer.extent().xMinimum(), layer.extent().yMaximum()) == (4.5, 50.5) and layer.crs().authid() == "EPSG:4326"
    np.testing.assert_array_equal(_values(layer), VALUES)
    assert layer_dates(layer)[0] == [f"2000-01-0{day}" for day in range(1, 6)]


@pytest.mark.parametrize("south_up", [False, True])
def test_two_dimensional_coordinates_of_a_grid_lie_on_it(home, tmp_path, south_up):
    turn = slice(None, None, -1 if south_up else 1)
    grid = [one[turn] for one in np.meshgrid(LATITUDES, LONGITUDES, indexing="ij")]
    np.testing.assert_array_equal(_values(_layer(write_series(tmp_path / "a.nc", VALUES[:, turn], two_d=grid))), VALUES)


def test_cells_on_no_grid_take_the_nearest_of_them(home, tmp_path):
    latitude, longitude = turned(0.1)
    layer = _layer(write_series(tmp_path / "a.nc", two_d=(latitude, longitude)))
    provider = layer.dataProvider()
    for row, column in ((1, 1), (2, 1), (1, 2)):
        place = QgsPointXY(float(longitude[row, column]), float(latitude[row, column]))
        found = provider.identify(place, QgsRaster.IdentifyFormat.IdentifyFormatValue).results()
        assert [found[band] for band in range(1, 6)] == VALUES[:, row, column].tolist()


@pytest.mark.parametrize("driver, name", [("Zarr", "a.zarr"), ("netCDF", "a.nc")])
def test_stores_are_shown_by_their_slices(home, tmp_path, driver, name):
    np.testing.assert_array_equal(_values(_layer(write_series(tmp_path / name, driver=driver))), VALUES)


def test_a_folder_of_rasters_is_one_file_beside_the_project_that_moves_with_it(home, project):
    _dated(home / "ma ps # 100%")
    layer = _layer(home / "ma ps # 100%")
    assert Path(layer.source()).parent == home / FOLDER and layer.source().endswith(".vrt")
    np.testing.assert_array_equal(_values(layer), VALUES)
    source = layer.source()
    del layer
    moved = home.parent / "else where"
    shutil.move(str(home), str(moved))
    np.testing.assert_array_equal(_values(QgsRasterLayer(source.replace(str(home), str(moved)), "x")), VALUES)


@pytest.mark.parametrize("at_once", [10**9, 0])
def test_rows_from_the_south_are_turned_without_changing_a_value(home, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(stacks, "_WARPED_AT_ONCE", at_once)
    folder = tmp_path / "rain"
    for day in range(5):
        _tif(folder / f"rain_2000-01-{day + 1:02d}.tif", VALUES[day, ::-1], (4e6, 1000.0, 0.0, 3e6, 0.0, 1000.0))
    layer = _layer(folder)
    assert layer.extent().yMaximum() == 3_004_000.0
    np.testing.assert_array_equal(_values(layer), VALUES)


def test_zero_is_a_value_and_missing_is_missing_by_each_files_own_mark(home, tmp_path):
    one, other = VALUES[0].copy(), VALUES[0].copy()
    one[0, 0], one[1, 1], other[1, 1], other[2, 2] = 0.0, -1.0, -2.0, -1.0
    _tif(tmp_path / "r" / "level_2000-01-01.tif", one, nodata=-1.0)
    _tif(tmp_path / "r" / "level_2000-01-02.tif", other, nodata=-2.0)
    found = _values(_layer(tmp_path / "r"))
    assert found[0, 0, 0] == 0.0 and np.isnan(found[0, 1, 1]) and np.isnan(found[1, 1, 1])
    assert found[1, 2, 2] == -1.0  # missing in the other file, a value in this one


def test_undeclared_sentinels_are_missing_on_the_map_too(home, tmp_path):
    for day in range(2):
        values = VALUES[day].copy()
        values[0, 0], values[1, 1] = -9999.0, 1e20
        _tif(tmp_path / "r" / f"rain_2000-01-0{day + 1}.tif", values, nodata=None)
    found = _values(_layer(tmp_path / "r"))
    assert np.isnan(found[:, 0, 0]).all() and np.isnan(found[:, 1, 1]).all() and np.isfinite(found[:, 2, 2]).all()


def test_an_unreadable_file_leaves_a_gap_in_the_layer(home, tmp_path):
    folder = _dated(tmp_path / "rain")
    (folder / "rain_2000-01-03.tif").write_text("broken")
    layer = _layer(folder)
    assert layer_dates(layer)[0] == ["2000-01-01", "2000-01-02", "2000-01-04", "2000-01-05"]
    np.testing.assert_array_equal(_values(layer), VALUES[[0, 1, 3, 4]])


def test_a_world_map_from_0_to_360_degrees_is_turned(home, tmp_path):
    values = np.arange(72.0).reshape(2, 36)
    for day in (1, 2):
        _tif(tmp_path / "w" / f"sm_2000-01-0{day}.tif", values + day, (0.0, 10.0, 0.0, 10.0, 0.0, -10.0), epsg=4326)
    layer = _layer(tmp_path / "w")
    assert (layer.extent().xMinimum(), layer.extent().xMaximum()) == (-180.0, 180.0)
    np.testing.assert_array_equal(_values(layer)[0], np.roll(values + 1, 18, axis=1))


def test_integers_with_scale_and_offset_show_what_they_mean(home, tmp_path):
    path = write_series(tmp_path / "a.nc", nodata=None)
    source = gdal.Open(path)
    copy = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "t.tif"), 3, 4, 2, gdal.GDT_Int16)
    copy.SetGeoTransform((4e6, 1000.0, 0.0, 3e6, 0.0, -1000.0))
    for band in (1, 2):
        one = copy.GetRasterBand(band)
        one.WriteArray(VALUES[band])
        one.SetScale(0.1)
        one.SetOffset(-5.0)
        one.SetDescription(f"2000-01-0{3 - band}")  # out of order
    del one, copy, source
    np.testing.assert_allclose(_values(_layer(tmp_path / "t.tif")), VALUES[[2, 1]] * 0.1 - 5.0)


def test_a_file_a_year_is_one_layer(home, tmp_path):
    for number, year in enumerate((2000, 2001)):
        write_series(tmp_path / "in" / f"pr_{year}.nc", VALUES + 100 * number, units=f"days since {year}-01-01")
    layer = _layer(tmp_path / "in")
    np.testing.assert_array_equal(_values(layer), np.concatenate([VALUES, VALUES + 100]))
    assert layer_dates(layer)[0][5] == "2001-01-01"


def test_the_asked_for_sequence_is_shown(home, tmp_path):
    for number in (1, 2, 10):
        write_series(tmp_path / "in" / f"sim_{number:03d}.nc", VALUES + number)
    np.testing.assert_array_equal(_values(_layer(tmp_path / "in")), VALUES + 1)
    layer = _layer(tmp_path / "in", sequence="010")
    np.testing.assert_array_equal(_values(layer), VALUES + 10)
    assert "010" in layer.name()


def test_a_quotation_mark_in_the_path_is_refused_where_gdal_cannot_have_it(home, tmp_path):
    _dated(tmp_path / 'a"b')
    np.testing.assert_array_equal(_values(_layer(tmp_path / 'a"b')), VALUES)
    path = write_series(tmp_path / "plain.nc")
    os.rename(path, tmp_path / 'c"d.nc')
    layers, faults = add_sources([Shown(report) for report in _reports_or_none(tmp_path / 'c"d.nc')])
    assert not layers and (not faults or "quotation mark" in faults[0])


def _reports_or_none(path):
    try:
        return inspect_source(path)
    except DataError as error:
        assert "quotation mark" in str(error)
        return []


def test_several_sources_share_the_time_axis_and_the_first_is_seen(home, project, tmp_path):
    controller = QgsTemporalNavigationObject()
    bands = TemporalBands(controller=controller, project=project)
    _dated(tmp_path / "rain")
    path = write_series(tmp_path / "sm.nc", VALUES / 100, name="sm", times=[2, 3, 4, 5, 6], unit="1")
    (tmp_path / "q.csv").write_text("station,date,lon,lat,discharge\na,2000-01-02,6,49,3\na,2000-01-03,6,49,4\n")
    reports = [inspect_source(one)[0] for one in (tmp_path / "rain", path, tmp_path / "q.csv")]
    layers, faults = add_sources([Shown(report) for report in reports], project, None, bands)
    assert not faults and [type(layer).__name__ for layer in layers] == ["QgsRasterLayer"] * 2 + ["QgsVectorLayer"]
    nodes = project.layerTreeRoot().findLayers()
    assert [node.itemVisibilityChecked() for node in nodes] == [True, True, False]
    assert nodes[0].layer() is layers[2] and controller.totalFrameCount() == 7
    controller.setCurrentFrameNumber(3)
    assert [layer_band(layer) for layer in layers[:2]] == [4, 2]
    bands.close()


def test_months_are_steps_of_the_time_axis(home, project, tmp_path):
    controller = QgsTemporalNavigationObject()
    bands = TemporalBands(controller=controller, project=project)
    path = write_series(tmp_path / "a.nc", times=[15.5, 45.5, 75.5, 106, 136.5])
    (layer,), _ = add_sources([Shown(inspect_source(path)[0])], project, None, bands)
    assert layer_dates(layer) == (["2000-01-01", "2000-02-01", "2000-03-01", "2000-04-01", "2000-05-01"], MONTH)
    shown = []
    for number in range(5):
        controller.setCurrentFrameNumber(number)
        shown.append(layer_band(layer))
    assert shown == [1, 2, 3, 4, 5]
    bands.close()


def test_range_ramp_label_and_unit_are_those_of_the_catalogue_and_the_row(home, tmp_path):
    report = inspect_source(_dated(tmp_path / "rain"))[0]
    layer = source_layer(Shown(report, "Rain of the basin", "precipitation", "mm/h"))
    assert layer.name() == "Rain of the basin (mm/h)"
    renderer = layer.renderer()
    assert (
        (renderer.classificationMin(), renderer.classificationMax()) == (report.minimum, report.maximum) == (0.0, 59.0)
    )
    assert renderer.shader().rasterShaderFunction().legendSettings().suffix() == " mm/h"


def test_gauges_are_points_with_their_latest_value_and_mean(home, tmp_path):
    rows = [f"{name},2000-01-0{day},{lon},48.0,{value}" for name, lon, values in
            (("a", 6.0, (0, 2, 4)), ("b", 7.0, (1, -9999, 3))) for day, value in enumerate(values, 1)]  # fmt: skip
    (tmp_path / "q.csv").write_text("station,date,lon,lat,discharge\n" + "\n".join(rows))
    layer = _layer(tmp_path / "q.csv")
    found = {f["gauge"]: (f["latest"], f["mean"], f["values"], f.geometry().asPoint().x()) for f in layer.getFeatures()}
    assert found == {"a": (4.0, 2.0, 3, 6.0), "b": (3.0, 2.0, 2, 7.0)} and layer.crs().authid() == "EPSG:4326"


def test_gauges_without_places_say_what_is_lacking(home, tmp_path):
    (tmp_path / "q.csv").write_text("date,discharge\n2000-01-01,3\n2000-01-02,4\n")
    layers, faults = add_sources([Shown(inspect_source(tmp_path / "q.csv")[0])])
    assert not layers and "places of the gauges are not known" in faults[0]


def test_without_a_project_the_files_go_to_the_data_folder(project, tmp_path):
    layer = _layer(_dated(tmp_path / "rain"))
    assert "freshet" in layer.source() and os.path.isfile(layer.source())
    assert QgsProject.instance().homePath() == ""


@needs_packs
def test_real_folders_show_the_values_of_their_files(home):
    folder = PACKS / "wflow_rhine" / "inwater"
    report = inspect_source(folder)[0]
    layer = source_layer(Shown(report))
    point = QgsPointXY(7.0, 50.0)
    found = layer.dataProvider().identify(point, QgsRaster.IdentifyFormat.IdentifyFormatValue).results()
    for index in (0, 100, 364):
        source = gdal.Open(report.files[index])
        west, wide, _, north, _, high = source.GetGeoTransform()
        column, row = int((7.0 - west) / wide), int((50.0 - north) / high)
        assert found[index + 1] == pytest.approx(float(source.ReadAsArray(column, row, 1, 1)[0, 0]), rel=1e-6)


@needs_packs
def test_the_raw_model_output_with_two_dimensional_coordinates_shows_its_values(home):
    path = str(PACKS / "vic_lievre" / "raw" / "VIC_streaminputs.nc")
    layer = _layer(path)
    file = open_arrays(path)
    latitude, longitude = (file.variables[name].numbers() for name in ("lat", "lon"))
    values = file.variables["Streaminputs"].array
    provider = layer.dataProvider()
    seen = 0
    for row, column in ((2, 3), (5, 5), (9, 0), (4, 7)):
        place = QgsPointXY(float(longitude[row, column]), float(latitude[row, column]))
        bands = provider.identify(place, QgsRaster.IdentifyFormat.IdentifyFormatValue).results()
        wanted = values.ReadAsArray([0, row, column], [16072, 1, 1]).ravel()
        for step in (0, 7000, 16071):
            if wanted[step] > 1e30:
                assert bands[step + 1] is None
            else:
                assert bands[step + 1] == pytest.approx(float(wanted[step]), rel=1e-6)
                seen += 1
    assert seen > 3


@needs_packs
def test_radar_with_a_crs_without_a_code_is_shown_as_it_is(home):
    layer = _layer(PACKS / "radar_knmi")
    assert layer.bandCount() == 92 and layer_dates(layer)[1] == 300.0
    assert layer.crs().isValid() and layer.crs().authid() == "" and not layer.crs().isGeographic()
