"""vectors: polygons and points of every usual file, in the CRS that is asked for; sentences where that cannot be."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import shapely

from freshet.core.contracts import DataError
from freshet.core.data.vectors import (
    layer_names,
    parse_layer,
    read_layer,
    read_points,
    read_polygons,
    transform_points,
)

from .vector_files import DRIVERS, write_vector

BOX = shapely.box(7.0, 49.0, 8.0, 50.0)
OTHER = shapely.box(10.0, 49.0, 11.0, 50.0)


@pytest.mark.parametrize("suffix", DRIVERS)
def test_polygons_come_out_of_every_kind_of_file(tmp_path, suffix):
    path = write_vector(tmp_path / f"basins{suffix}", [BOX, OTHER])
    found = read_polygons(str(path))
    assert found.notes == [] and "4326" in found.crs
    assert shapely.union_all(found.shapes).equals(shapely.union(BOX, OTHER))


@pytest.mark.parametrize("name", ["with space", "ä'b", 'quo"te', "50%", "a#b", "a?b", "a|b", "c:d"])
@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_odd_names_of_files_open(tmp_path, name, suffix):
    write_vector(tmp_path / f"x{suffix}", [BOX])
    for file in tmp_path.iterdir():
        file.rename(tmp_path / (name + file.name[1:]))
    assert read_polygons(str(tmp_path / (name + suffix))).shapes[0].equals(BOX)


def test_names_that_gdal_would_take_apart_are_refused_in_a_sentence(tmp_path):
    write_vector(tmp_path / "x" / "x.gpkg", [BOX])
    (tmp_path / "x").rename(tmp_path / "a!b")
    with pytest.raises(DataError, match="because of its name.*Rename it"):
        read_polygons(str(tmp_path / "a!b" / "x.gpkg"))


def test_a_zipped_shapefile_is_read_where_it_lies_in_the_archive(tmp_path):
    write_vector(tmp_path / "parts" / "moselle.shp", [BOX])
    write_vector(tmp_path / "parts" / "rhine.shp", [OTHER])
    one, two = tmp_path / "one file.zip", tmp_path / "two.zip"
    for archive, stems in ((one, ("moselle",)), (two, ("moselle", "rhine"))):
        with zipfile.ZipFile(archive, "w") as handle:
            for file in sorted((tmp_path / "parts").iterdir()):
                if file.stem in stems:
                    handle.write(file, f"data/{file.name}")
    assert read_polygons(str(one)).shapes[0].equals(BOX)
    assert read_polygons(f"{two}|layername=rhine").shapes[0].equals(OTHER)
    with pytest.raises(DataError, match="several vector files.*moselle, rhine.*layername=moselle"):
        read_polygons(str(two))
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as handle:
        handle.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match="holds no vector file"):
        read_polygons(str(tmp_path / "empty.zip"))
    (tmp_path / "broken.zip").write_bytes(b"PK no")
    with pytest.raises(DataError, match="zip archive cannot be read"):
        read_polygons(str(tmp_path / "broken.zip"))


def test_layers_and_subsets_are_named_as_qgis_names_them(tmp_path):
    path = write_vector(
        tmp_path / "all.gpkg", [BOX, OTHER], layer="basins", fields={"id": [1, 2], "river": ["a", "b|c"]}
    )
    write_vector(path, [shapely.Point(7, 49)], kind="Point", layer="gauges", append=True)
    write_vector(path, [OTHER], layer="lakes", append=True)
    assert layer_names(str(path)) == ["basins", "gauges", "lakes"]
    assert layer_names(str(path), ("Point",)) == ["gauges"]
    chosen = read_polygons(f'{path}|layername=basins|geometrytype=Polygon|subset="id" = 2')
    assert len(chosen.shapes) == 1 and chosen.shapes[0].equals(OTHER)
    assert read_polygons(f"{path}|layername=basins|subset=\"river\" = 'b|c'").shapes[0].equals(OTHER)
    assert read_points(str(path)).x.tolist() == [7.0]  # the only layer of points
    with pytest.raises(DataError, match="several layers.*basins, lakes.*layername=basins"):
        read_polygons(str(path))
    with pytest.raises(DataError, match="no layer 'rivers'.*basins, gauges, lakes"):
        read_polygons(f"{path}|layername=rivers")
    with pytest.raises(DataError, match="condition id === 3.*condition on its fields"):
        read_polygons(f"{path}|layername=basins|subset=id === 3")
    with pytest.raises(DataError, match="no polygon"):
        read_polygons(f'{path}|layername=basins|subset="id" = 77')


def test_the_parts_of_a_layers_name():
    name = parse_layer("/x/a.gpkg|layername=b c|subset=\"k\" = 'u|v'")
    assert (name.path, name.layer, name.subset) == ("/x/a.gpkg", "b c", "\"k\" = 'u|v'")
    assert parse_layer("/x/a.gpkg|layername=b", "c").layer == "c"
    assert parse_layer("file:///x/a%20b.shp").path == "/x/a b.shp"


def test_polygons_are_brought_into_another_crs_like_rasterio_does_it(tmp_path):
    from rasterio.warp import transform

    path = write_vector(tmp_path / "b.gpkg", [BOX])
    shape = read_polygons(str(path), crs="EPSG:3035").shapes[0]
    x, y = zip(*BOX.exterior.coords)
    expected = np.column_stack(transform("EPSG:4326", "EPSG:3035", x, y))
    np.testing.assert_allclose(shapely.get_coordinates(shape), expected, rtol=0, atol=1e-6)


def test_broken_rings_are_mended_with_a_note(tmp_path):
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    found = read_polygons(str(write_vector(tmp_path / "b.gpkg", [bow, BOX])))
    assert all(shape.is_valid for shape in found.shapes)
    assert found.notes == ["1 of 2 polygons cross or touch themselves and are mended."]
    assert sum(shape.area for shape in found.shapes) == pytest.approx(2.0 + BOX.area)


def test_a_collection_gives_its_polygons_and_other_shapes_are_refused(tmp_path):
    mixed = shapely.GeometryCollection([BOX, shapely.Point(1, 1), shapely.MultiPolygon([OTHER])])
    path = write_vector(tmp_path / "c.gpkg", [mixed], kind="GeometryCollection")
    assert len(read_polygons(str(path)).shapes) == 2
    lines = write_vector(tmp_path / "l.gpkg", [BOX.exterior], kind="LineString")
    with pytest.raises(DataError, match="no polygon.*Lin"):
        read_polygons(str(lines))


def test_a_layer_without_crs_takes_the_assumed_one_or_is_refused(tmp_path):
    path = write_vector(tmp_path / "b.shp", [BOX], crs=None)
    with pytest.raises(DataError, match="no coordinate reference system.*prj"):
        read_polygons(str(path), crs="EPSG:3035")
    found = read_polygons(str(path), crs="EPSG:4326", assumed="EPSG:4326")
    assert found.shapes[0].equals(BOX) and "that of the grid is taken" in found.notes[0]


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file.*gone.gpkg"):
        read_polygons(str(tmp_path / "gone.gpkg"))
    (tmp_path / "b.geojson").write_text("{")
    with pytest.raises(DataError, match="cannot be read as a vector layer.*b.geojson"):
        read_polygons(str(tmp_path / "b.geojson"))
    with pytest.raises(DataError, match="CRS 'EPSG:99999' is not known"):
        read_polygons(str(write_vector(tmp_path / "p.gpkg", [BOX])), crs="EPSG:99999")


def test_a_polygon_whose_coordinates_belong_to_another_crs_is_refused(tmp_path):
    metres = shapely.box(4e6, 2.9e6, 4.1e6, 3e6)
    with pytest.raises(DataError, match="no place in the CRS|cannot be brought"):
        read_polygons(str(write_vector(tmp_path / "b.gpkg", [metres])), crs="EPSG:3035")


def test_points_keep_their_columns_and_missing_places_are_nan(tmp_path):
    fields = {"name": np.array(["a", "b", "c"], dtype=object), "q": np.array([1.5, np.nan, 3.0])}
    path = write_vector(
        tmp_path / "p.gpkg", [shapely.Point(7, 49, 120), None, shapely.Point(8, 50, 1)], kind="Point", fields=fields
    )
    points = read_points(str(path))
    np.testing.assert_array_equal(points.x, [7.0, np.nan, 8.0])
    np.testing.assert_array_equal(points.y, [49.0, np.nan, 50.0])
    assert points.names == ("name", "q") and list(points.columns[0]) == ["a", "b", "c"]
    np.testing.assert_array_equal(points.columns[1], fields["q"])
    moved = read_points(str(path), crs="EPSG:3035")
    assert np.isnan(moved.x[1]) and moved.x[0] == pytest.approx(
        transform_points([7.0], [49.0], "EPSG:4326", "EPSG:3035")[0][0]
    )


def test_of_polygons_the_centroid_is_the_place(tmp_path):
    points = read_points(str(write_vector(tmp_path / "b.gpkg", [BOX])))
    assert (points.x[0], points.y[0]) == (7.5, 49.5) and "centroid" in points.notes[0]


def test_an_old_geojson_names_its_crs_itself(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}
    point = {"type": "Feature", "properties": {"id": 398}, "geometry": {"type": "Point", "coordinates": [4e6, 2.9e6]}}
    (tmp_path / "g.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [point]}))
    layer = read_layer(str(tmp_path / "g.geojson"))
    assert "3035" in layer.crs and layer.geometries[0].x == 4e6
