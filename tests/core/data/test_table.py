"""table: gauges from text, sheets and point layers come out value by value, wide or long, with their places."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely

from freshet.core.contracts import DataError, SourceConfig

from .source_files import write_tif
from .table_files import LONG, WIDE, check, days, table, write
from .vector_files import write_vector

PACKS = Path(__file__).resolve().parents[3].parent / "shared" / "data"


needs_packs = pytest.mark.skipif(not PACKS.exists(), reason="the real packs are not at ../shared/data")


def _columns(path: Path) -> dict[str, list[str]]:
    with open(path, newline="") as handle:
        rows = list(csv.reader(handle))
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def _floats(texts) -> np.ndarray:
    return np.array([float(text) if text else np.nan for text in texts], dtype=np.float32)


@needs_packs
@pytest.mark.parametrize(
    "name, unit",
    [("mhm_moselle/gauge_00398_m3s.csv", "m3/s"), ("vic_lievre/gauge_02LE024_m3s.csv", "m3/s"),
     ("wflow_rhine/gauge_lobith_m3s.csv", "m3/s"), ("lumped_basins/salmon_river.csv", ""),
     *((f"lumped_basins/camels_us_{number}.csv", "") for number in ("01022500", "01547700", "02064000", "03015500"))],
)  # fmt: skip
def test_every_column_of_a_pack_comes_out_value_by_value(name, unit):
    columns = _columns(PACKS / name)
    dates = columns.pop("date")
    for column, texts in columns.items():
        expected = _floats(texts)
        if np.isnan(expected).all():
            with pytest.raises(DataError, match="no value at all"):
                table(PACKS / name, layer=column)
            continue
        source = table(PACKS / name, layer=column)
        check(source, dates, expected)
        assert source.step_seconds == 86400 and source.units in (unit, "mm/d", "mm", "degC", "")
        assert source.warnings == [] and source.missing_count == 0
    assert table(PACKS / name, layer=next(iter(columns))).units in (unit or "mm/d",)


@needs_packs
def test_the_226_stations_of_a_pack_find_their_places():
    columns = _columns(PACKS / "era5_bcab/streamflow_z_226_stations.csv")
    dates = columns.pop("date")
    path, stations = PACKS / "era5_bcab/streamflow_z_226_stations.csv", PACKS / "era5_bcab/stations.csv"
    source = table(path, points={"stations": str(stations)})
    check(source, dates, np.stack([_floats(texts) for texts in columns.values()], axis=1))
    places = _columns(stations)
    assert source.stations.ids == list(columns) == places["id"]
    np.testing.assert_array_equal(source.stations.x, [float(text) for text in places["lon"]])
    np.testing.assert_array_equal(source.stations.y, [float(text) for text in places["lat"]])
    assert source.stations.crs == "EPSG:4326" and source.gridding == "idw"
    assert source.files() == [str(path), str(stations)]


@needs_packs
def test_a_table_without_dates_is_counted_and_its_count_is_no_value():
    columns = _columns(PACKS / "era5_bcab/seasonal_flow_z.csv")
    path = PACKS / "era5_bcab/seasonal_flow_z.csv"
    source = table(path, layer="*", start="2010-01-01", step_hours=24)
    assert columns.pop("doy")[0] == "1"
    check(source, days("2010-01-01", 365), np.stack([_floats(t)[:365] for t in columns.values()], axis=1))
    assert "counted from 2010-01-01" in " ".join(source.notes)
    with pytest.raises(DataError, match="no column of the table holds dates.*doy"):
        table(path, layer="*")


@needs_packs
def test_the_gauge_of_a_pack_finds_its_point_by_the_name_of_the_file():
    pack = PACKS / "mhm_moselle"
    source = table(pack / "gauge_00398_m3s.csv", layer="q_obs_m3s", role="target",
                   points={"stations": str(pack / "gauges.geojson")})  # fmt: skip
    assert (source.stations.x[0], source.stations.y[0]) == (4058119.0, 2935597.0)
    assert "3035" in source.stations.crs and source.stations.ids == ["398"] and source.gridding == "gauges"


@needs_packs
def test_attributes_of_basins_are_static_points():
    columns = _columns(PACKS / "lumped_basins/camels_us_attributes.csv")
    source = table(PACKS / "lumped_basins/camels_us_attributes.csv", layer="p_mean", role="static")
    np.testing.assert_array_equal(source.read_points(0, 1), _floats(columns["p_mean"])[None])
    assert len(source.times) == 0 and source.step_seconds == 0 and source.stations.ids == columns["gauge_id"]
    np.testing.assert_array_equal(source.stations.x, [float(text) for text in columns["gauge_lon"]])


def test_columns_are_named_singly_severally_or_all(tmp_path):
    path = write(tmp_path / "w.csv", WIDE)
    check(table(path, layer="WEST"), days("2001-01-01", 3), [2, np.nan, 8])
    source = table(path, layer="mid, east")
    check(source, days("2001-01-01", 3), [[3, 1], [6, 4], [9, 7]])
    assert source.stations.ids == ["mid", "east"] and source.gridding == "everywhere"
    assert table(path, layer="*").read_points(1, 3).shape == (2, 3)
    with pytest.raises(DataError, match="several columns of values.*east, west, mid.*Name the column"):
        table(path)
    with pytest.raises(DataError, match="no column 'north'.*date, east, west, mid"):
        table(path, layer="north")


def test_a_station_table_chooses_the_columns_and_unknown_ones_are_named(tmp_path):
    path = write(tmp_path / "w.csv", WIDE)
    stations = write(tmp_path / "s.csv", "id;name;lon;lat\n7;East;7,5;50,5\n8;West;8,5;51,5\n9;Far;1,0;1,0\n")
    source = table(path, points={"stations": str(stations)})
    check(source, days("2001-01-01", 3), [[1, 2], [4, np.nan], [7, 8]])
    np.testing.assert_array_equal(source.stations.x, [7.5, 8.5])
    assert "1 of 3 stations" in " ".join(source.notes)
    source = table(path, layer="*", points={"stations": str(stations)})
    assert source.stations.known.tolist() == [True, True, False]
    assert "1 of 3 gauges have no place" in source.warnings[0] and source.warnings[0].endswith(": mid.")


def test_a_long_table_becomes_a_column_a_station(tmp_path):
    source = table(write(tmp_path / "l.csv", LONG), quantity="precipitation")
    check(source, days("2001-01-01", 3), [[1, np.nan], [2, 3], [np.nan, 4]])
    assert source.stations.ids == ["A", "B"] and source.stations.crs == "EPSG:4326"
    np.testing.assert_array_equal(source.stations.y, [50.0, 51.0])
    assert source.gridding == "idw" and "longitude and latitude" in " ".join(source.notes)


def test_a_long_table_takes_places_from_a_second_table_with_leading_zeros(tmp_path):
    text = "gauge_id,date,q\n" + "".join(f"{g},2001-01-0{d},{g + d}\n" for g in (398, 12) for d in (1, 2, 3))
    stations = write(tmp_path / "s.csv", "nr,station,easting,northing\n1,00398,4058119,2935597\n2,0012,4e6,2.9e6\n")
    source = table(write(tmp_path / "l.csv", text), crs="EPSG:3035", points={"stations": str(stations)})
    check(source, days("2001-01-01", 3), [[399, 13], [400, 14], [401, 15]])
    np.testing.assert_array_equal(source.stations.x, [4058119, 4e6])
    with pytest.raises(DataError, match="no coordinate reference system"):
        table(tmp_path / "l.csv", points={"stations": str(stations)})


def test_a_long_table_without_station_names_is_told_apart_by_place(tmp_path):
    text = "lon,lat,time,q\n" + "".join(f"{lon},50.5,2001-01-0{d},{lon * d}\n" for d in (1, 2) for lon in (7.25, 8.5))
    source = table(write(tmp_path / "l.csv", text))
    check(source, days("2001-01-01", 2), [[7.25, 8.5], [14.5, 17.0]])
    assert source.stations.ids == ["7.25 50.5", "8.5 50.5"]


def test_an_unnamed_column_of_stations_is_a_guess_that_is_told(tmp_path):
    text = "date,ort,q\n" + "".join(f"2001-01-0{d},{o},{d}\n" for d in (1, 2, 3) for o in ("Trier", "Perl"))
    source = table(write(tmp_path / "l.csv", text))
    assert source.stations.ids == ["Trier", "Perl"] and "column ort is taken as the name" in " ".join(source.notes)


def test_several_values_in_a_long_table_have_to_be_chosen(tmp_path):
    text = LONG.replace("rain,", "rain,temp,").replace(",7.0,", ",15,7.0,").replace(",8.0,", ",16,8.0,")
    path = write(tmp_path / "l.csv", text)
    with pytest.raises(DataError, match="several columns of values.*rain, temp"):
        table(path)
    assert table(path, layer="temp").read_points(1, 2).tolist() == [[15, 16]]
    with pytest.raises(DataError, match="takes one column of values"):
        table(path, layer="rain,temp")


def test_a_count_of_the_rows_is_no_station(tmp_path):
    text = "id,date,gauge,q\n" + "".join(f"{10 * d + g},2001-01-0{d},g{g},{d}\n" for d in (1, 2, 3) for g in (1, 2))
    assert table(write(tmp_path / "l.csv", text), layer="q").stations.ids == ["g1", "g2"]
    points = [shapely.Point(7, 50), shapely.Point(8, 51)] * 2
    fields = {"id": np.arange(4), "date": np.array(["2001-01-01"] * 2 + ["2001-01-02"] * 2), "q": np.arange(4.0)}
    source = table(write_vector(tmp_path / "l.gpkg", points, kind="Point", fields=fields), layer="q")
    check(source, days("2001-01-01", 2), [[0, 1], [2, 3]])


def test_what_is_a_table(tmp_path):
    import rasterio.shutil

    from freshet.core.data.sources.table_content import is_table_file

    raster = write_tif(tmp_path / "r.tif", np.ones((4, 6), dtype=np.uint8), nodata=None)
    rasterio.shutil.copy(str(raster), str(tmp_path / "r.gpkg"), driver="GPKG")
    write_vector(tmp_path / "v.gpkg", [shapely.Point(7, 50)], kind="Point")
    write(tmp_path / "grid.txt", "ncols 3\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2 3\n4 5 6\n")
    (tmp_path / "envi.dat").write_bytes(bytes(100))
    write(tmp_path / "a.CSV", WIDE)
    for name, expected in (("r.tif", False), ("r.gpkg", False), ("v.gpkg", True), ("v.gpkg|layername=v", True),
                           ("grid.txt", False), ("envi.dat", False), ("a.CSV", True), ("b.xlsx", True)):  # fmt: skip
        assert is_table_file(str(tmp_path / name)) == expected, name


def test_tables_are_opened_like_every_source(tmp_path):
    from freshet.core.data.sources import open_source

    write(tmp_path / "w.csv", WIDE)
    with open_source(SourceConfig(variable="q", path=str(tmp_path / "w.csv"), layer="east")) as source:
        assert source.kind == "table" and source.grid is None and list(source.verify()) == []
        check(source, days("2001-01-01", 3), [1, 4, 7])


def test_a_flag_beside_single_values_is_no_station(tmp_path):
    text = "date,q,code\n2001-01-01,1,A\n2001-01-02,2,B\n2001-01-03,3,A\n"
    source = table(write(tmp_path / "f.csv", text))
    check(source, days("2001-01-01", 3), [1, 2, 3])
    assert len(source.stations) == 1


def _rows():
    days_ = np.array(["2001-01-01", "2001-01-02", "2001-01-01", "2001-01-03"], dtype="datetime64[D]")
    return {"gauge": np.array(["A", "A", "B", "B"], dtype=object), "day": days_, "q": np.array([0.1, np.nan, 3.0, 4.0])}


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb"])
def test_a_point_layer_holds_values_and_dates(tmp_path, suffix):
    points = [shapely.Point(4e6, 3e6)] * 2 + [shapely.Point(4.1e6, 3.1e6)] * 2
    path = write_vector(tmp_path / f"obs{suffix}", points, kind="Point", crs="EPSG:3035", fields=_rows())
    source = table(path)
    order = [source.stations.ids.index(name) for name in "AB"]  # FlatGeobuf stores features by place
    expected = np.array([[0.1, 3.0], [np.nan, np.nan], [np.nan, 4.0]])
    check(source, days("2001-01-01", 3), expected[:, np.argsort(order)])
    assert "3035" in source.stations.crs
    np.testing.assert_array_equal(source.stations.x[order], [4e6, 4.1e6])
    assert str(path) in source.files()


def test_a_layer_of_a_geopackage_is_chosen_as_qgis_does(tmp_path):
    points = [shapely.Point(7, 50)] * 2 + [shapely.Point(8, 51)] * 2
    path = write_vector(tmp_path / "all.gpkg", points, kind="Point", fields=_rows(), layer="obs")
    write_vector(path, [shapely.Point(1, 1)], kind="Point", layer="other", append=True)
    source = table(f"{path}|layername=obs|subset=gauge = 'B'")
    assert source.stations.ids == ["B"] and source.read_points(0, 1).tolist() == [[3.0]]
    with pytest.raises(DataError, match="several layers.*obs, other"):
        table(path)


def test_features_without_names_are_told_apart_by_place(tmp_path):
    fields = {name: values for name, values in _rows().items() if name != "gauge"}
    points = [shapely.Point(7, 50)] * 2 + [shapely.Point(8, 51)] * 2
    source = table(write_vector(tmp_path / "obs.gpkg", points, kind="Point", fields=fields))
    assert source.stations.ids == ["7 50", "8 51"]
    check(source, days("2001-01-01", 3), [[0.1, 3.0], [np.nan, np.nan], [np.nan, 4.0]])


@pytest.mark.parametrize("suffix, driver", [(".xlsx", "XLSX"), (".ods", "ODS")])
def test_a_sheet_is_a_table(tmp_path, suffix, driver):
    path = tmp_path / f"book{suffix}"
    columns = [days("2001-01-01", 3).astype("datetime64[D]"), np.array([0.1, 0.2, 0.3])]
    pyogrio.raw.write(str(path), None, columns, ["date", "q"], driver=driver)
    check(table(path), days("2001-01-01", 3), [0.1, 0.2, 0.3])


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_stations_come_from_a_point_layer(tmp_path, suffix):
    fields = {"name": np.array(["west", "east"], dtype=object), "z": np.array([100.5, 200.5])}
    points = [shapely.Point(4e6, 3e6), shapely.Point(4.1e6, 3.1e6)]
    stations = write_vector(tmp_path / f"s{suffix}", points, kind="Point", crs="EPSG:3035", fields=fields)
    source = table(write(tmp_path / "w.csv", WIDE), layer="east,west", points={"stations": str(stations)})
    np.testing.assert_array_equal(source.stations.x, [4.1e6, 4e6])
    assert str(stations) in source.files()


def test_the_centroids_of_catchments_are_places_too(tmp_path):
    shapes = [shapely.box(6, 49, 8, 51), shapely.box(8, 49, 10, 51)]
    fields = {"basin": np.array(["east", "west"], dtype=object)}
    stations = write_vector(tmp_path / "c.gpkg", shapes, fields=fields)
    source = table(write(tmp_path / "w.csv", WIDE), layer="east,west", points={"stations": str(stations)})
    assert source.stations.x.tolist() == [7, 9] and "centroid" in " ".join(source.notes)


def test_one_gauge_has_its_place_from_the_job(tmp_path):
    path = write(tmp_path / "one.csv", "date,q\n2001-01-01,1\n2001-01-02,2\n")
    source = table(path, crs="EPSG:3035", points={"place": (4e6, 3e6)})
    assert (source.stations.x[0], source.stations.y[0], source.stations.crs) == (4e6, 3e6, "EPSG:3035")
    assert table(path, points={"place": (7, 50)}).stations.crs == "EPSG:4326"
    with pytest.raises(DataError, match="no coordinate reference system"):
        table(path, points={"place": (4e6, 3e6)})
    with pytest.raises(DataError, match="one place is given for 3 gauges"):
        table(write(tmp_path / "w.csv", WIDE), layer="*", points={"place": (7, 50)})


def test_exchanged_degrees_are_put_right_and_impossible_ones_refused(tmp_path):
    path = write(tmp_path / "w.csv", WIDE)
    stations = write(tmp_path / "s.csv", "id,lon,lat\neast,52.5,-122.9\nwest,53.5,-123.9\n")
    source = table(path, points={"stations": str(stations)})
    np.testing.assert_array_equal(source.stations.x, [-122.9, -123.9])
    assert "exchanged" in " ".join(source.notes)
    write(stations, "id,lon,lat\neast,352.5,12.9\nwest,3.5,13.9\n")
    source = table(path, points={"stations": str(stations)})
    np.testing.assert_allclose(source.stations.x, [-7.5, 3.5])
    write(stations, "id,lon,lat\neast,152.5,122.9\nwest,3.5,13.9\n")
    with pytest.raises(DataError, match="impossible place.*east at x 152.5, y 122.9"):
        table(path, points={"stations": str(stations)})
    write(stations, "id,x,y\neast,7.5,50.9\nwest,8.5,51.9\n")
    source = table(path, crs="EPSG:3035", points={"stations": str(stations)})
    assert "look like degrees" in source.warnings[0]


def test_station_tables_that_cannot_be_used(tmp_path):
    path = write(tmp_path / "w.csv", WIDE)
    with pytest.raises(DataError, match="no columns with their places.*id, height"):
        table(path, points={"stations": str(write(tmp_path / "a.csv", "id,height\neast,5\nwest,6\n"))})
    with pytest.raises(DataError, match="no such table.*gone.csv"):
        table(path, points={"stations": str(tmp_path / "gone.csv")})
    odd = write(tmp_path / "b.csv", "id,lon,lat\neast,7.5,50.1\nwest,8.5,50° 30'\n")
    with pytest.raises(DataError, match="is no number.*50° 30'"):
        table(path, points={"stations": str(odd)})
    named = write(tmp_path / "c.csv", "id,rw,hw\neast,4000000,3000000\nwest,4100000,3100000\n")
    points = {"stations": str(named), "x_column": "rw", "y_column": "HW"}
    assert table(path, crs="EPSG:3035", points=points).stations.y.tolist() == [3e6, 3.1e6]


def test_gridding_is_as_asked_or_by_role_and_places(tmp_path):
    path = write(tmp_path / "l.csv", LONG)
    assert table(path, role="target").gridding == "gauges"
    assert table(path, points={"gridding": "kriging"}).gridding == "kriging"
    assert table(path, role="target", points={"gridding": "everywhere"}).gridding == "everywhere"
    bare = write(tmp_path / "w.csv", WIDE)
    assert table(bare, layer="*").gridding == "everywhere"
    with pytest.raises(DataError, match="gauges without places cannot be interpolated"):
        table(bare, layer="*", points={"gridding": "idw"})
