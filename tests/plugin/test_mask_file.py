"""Basin polygons of any kind reach the engine as GeoJSON in their own CRS."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import (
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsGeometry,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from freshet.core.contracts import DataError, GridConfig, PrepareJob, SourceConfig
from freshet.plugin.mask_file import with_readable_mask

SQUARE = "Polygon ((4000000 2990000, 4010000 2990000, 4010000 3000000, 4000000 3000000, 4000000 2990000))"


def _polygons(path, driver, name="basin"):
    layer = QgsVectorLayer("Polygon?crs=EPSG:3035", name, "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromWkt(SQUARE))
    layer.dataProvider().addFeatures([feature])
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = driver, name
    QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(path), QgsCoordinateTransformContext(), options)
    return str(path)


def _job(tmp_path, mask):
    source = SourceConfig(variable="rain", path=str(tmp_path / "rain"))
    return PrepareJob(
        name="x", sources=(source,), output=str(tmp_path / "out" / "x.nc"), grid=GridConfig(like="rain"), mask=mask
    )


@pytest.mark.parametrize(
    ("file", "driver", "details"),
    [("b.gpkg", "GPKG", "|layername=basin"), ("b.gpkg", "GPKG", ""), ("b.shp", "ESRI Shapefile", "")],
)
def test_polygons_become_geojson_beside_the_dataset_with_their_crs(qgis_app, tmp_path, file, driver, details):
    path = _polygons(tmp_path / file, driver)
    ready = with_readable_mask(_job(tmp_path, path + details))
    assert ready.mask == str(tmp_path / "out" / "x_mask.geojson")
    content = json.loads((tmp_path / "out" / "x_mask.geojson").read_text())
    assert content["crs"]["properties"]["name"].endswith("3035")
    assert content["features"][0]["geometry"]["coordinates"][0][0][0] == [4000000.0, 2990000.0]


@pytest.mark.parametrize("mask", ["", "basin.geojson", "basin.tif"])
def test_what_the_engine_reads_itself_is_left_alone(tmp_path, mask):
    assert with_readable_mask(_job(tmp_path, mask)).mask == mask


def test_polygons_that_cannot_be_read_are_a_sentence_and_leave_nothing(qgis_app, tmp_path):
    (tmp_path / "b.gpkg").write_bytes(b"no package")
    with pytest.raises(DataError, match="polygons of the mask cannot be read"):
        with_readable_mask(_job(tmp_path, str(tmp_path / "b.gpkg")))
    assert not list((tmp_path / "out").iterdir())
