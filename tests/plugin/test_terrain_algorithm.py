"""freshet:terrain: its parameters, its job, and what it loads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import (
    QgsApplication,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
    QgsVectorLayer,
)

from freshet.core.contracts import ConfigError, DataError
from freshet.core.contracts.dataset_job import TERRAIN_MAPS
from freshet.plugin.engine import Engine
from freshet.plugin.processing import base
from freshet.plugin.processing.provider import FreshetProvider

ENGINE = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
NOT_ELEVATION = tuple(name for name in TERRAIN_MAPS if name != "elevation")


class Feedback(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.errors, self.warnings, self.lines = [], [], []

    def reportError(self, error, fatalError=False):  # noqa: N802, N803
        self.errors.append(error)

    def pushWarning(self, text):  # noqa: N802
        self.warnings.append(text)

    def pushInfo(self, text):  # noqa: N802
        self.lines.append(text)


@pytest.fixture
def algorithm(qgis_app):
    provider = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    yield lambda: provider.algorithm("terrain").create()
    QgsApplication.processingRegistry().removeProvider(provider)


@pytest.fixture
def context(project):
    made = QgsProcessingContext()
    made.setProject(QgsProject.instance())
    return made


@pytest.fixture
def dem(write_raster):
    """A valley of 30 x 21 cells of 1 km that falls to the south; its floor is column 10."""
    y, x = np.mgrid[0:30, 0:21]
    return write_raster("a dem #1.tif", 500.0 + 20.0 * np.abs(x - 10) - 2.0 * y, units="m")


@pytest.fixture
def values(dem, tmp_path):
    return {"DEM": dem, "FOLDER": str(tmp_path / "maps")}


def test_defaults_reach_the_job(algorithm, context, values):
    job = algorithm().job(values, context)
    assert job.terrain.dem == values["DEM"] and job.output == values["FOLDER"]
    assert job.terrain.maps == NOT_ELEVATION and job.terrain.outlet is None
    assert (job.terrain.stream_km2, job.terrain.edge, job.terrain.upstream_of) == (10.0, "", ())


@pytest.mark.parametrize(
    "given, expected",
    [
        ("slope, upstream_area", ("slope", "upstream_area")),
        (["elevation", "slope"], ("elevation", "slope")),
        ([0, 1], TERRAIN_MAPS[:2]),
        ("1", TERRAIN_MAPS[1:2]),
    ],
)
def test_maps_are_given_by_name_or_number(algorithm, context, values, given, expected):
    assert algorithm().job({**values, "TERRAIN_MAPS": given}, context).terrain.maps == expected
    assert algorithm().checkParameterValues({**values, "TERRAIN_MAPS": given}, context)[0]


def test_outlet_is_brought_into_the_crs_of_the_elevation_model(algorithm, context, values):
    job = algorithm().job({**values, "OUTLET": "10,52 [EPSG:4326]", "TERRAIN_MAPS": [], "EDGE": "closed"}, context)
    assert job.terrain.outlet == (pytest.approx(4321000.0, abs=1.0), pytest.approx(3210000.0, abs=1.0))
    assert (job.terrain.maps, job.terrain.edge) == ((), "closed")
    plain = algorithm().job({**values, "OUTLET": "4000000,2990000"}, context)
    assert plain.terrain.outlet == (4_000_000.0, 2_990_000.0)


def test_layer_of_the_project_is_taken(algorithm, context, project, dem, tmp_path):
    layer = QgsRasterLayer(dem, "Heights")
    project.addMapLayer(layer)
    job = algorithm().job({"DEM": layer.id(), "FOLDER": str(tmp_path), "STREAM_KM2": 2.5}, context)
    assert job.terrain.dem == dem and job.terrain.stream_km2 == 2.5


@pytest.mark.parametrize(
    "changes, kind, word",
    [
        ({"DEM": "/none.tif"}, DataError, "cannot be opened"),
        ({"DEM": None}, DataError, "cannot be opened"),
        ({"TERRAIN_MAPS": "slope,curvature"}, ConfigError, "no terrain map 'curvature'"),
        ({"TERRAIN_MAPS": []}, ConfigError, "Nothing is asked"),
        ({"STREAM_KM2": 0}, ConfigError, "at least 1e-06 km2"),
        ({"EDGE": "ajar"}, ConfigError, "open, closed"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(algorithm, context, values, changes, kind, word):
    with pytest.raises(kind, match=word):
        algorithm().job({**values, **changes}, context)
    ok, text = algorithm().checkParameterValues({**values, **changes}, context)
    assert not ok and word in text


def test_outlet_without_a_crs_of_the_model_is_refused(algorithm, context, write_raster, tmp_path):
    bare = write_raster("bare.tif", np.arange(9.0).reshape(3, 3), epsg=None)
    ok, text = algorithm().checkParameterValues({"DEM": bare, "FOLDER": str(tmp_path), "OUTLET": "1,2"}, context)
    assert not ok and "no coordinate reference system" in text


@pytest.mark.skipif(not ENGINE.is_file(), reason="there is no engine beside the plugin")
def test_maps_rivers_and_basin_come_as_styled_layers(algorithm, context, values, monkeypatch, tmp_path):
    monkeypatch.setattr(base, "find_engine", lambda settings: Engine(str(ENGINE), "for a test"))
    feedback = Feedback()
    asked = {**values, "OUTLET": "4010500,2975500", "TERRAIN_MAPS": "slope,flow_direction,upstream_area"}
    asked["RUN_FOLDER"] = str(tmp_path / "run")
    results, ok = algorithm().run(asked, context, feedback)
    assert ok, feedback.errors
    folder = Path(results["FOLDER"])
    names = ("slope", "flow_direction", "upstream_area")
    assert results["MAPS"] == [str(folder / f"{name}.tif") for name in names]
    assert results["BASIN"] == str(folder / "basin.geojson") and results["STREAMS"] == str(folder / "streams.geojson")
    (feature,) = json.loads(Path(results["BASIN"]).read_text())["features"]
    # The outlet lies in row 24: all 25 rows of 21 cells above it drain there.
    assert results["AREA"] == feature["properties"]["area_km2"] == 25 * 21
    waiting = context.layersToLoadOnCompletion()
    assert set(waiting) == {*results["MAPS"], results["BASIN"], results["STREAMS"]}
    loaded = {}
    for path, details in waiting.items():
        layer = (QgsVectorLayer if path.endswith("geojson") else QgsRasterLayer)(path, details.name)
        assert layer.isValid()
        details.postProcessor().postProcessLayer(layer, context, feedback)
        loaded[Path(path).stem] = (layer, details.name)
    assert isinstance(loaded["flow_direction"][0].renderer(), QgsPalettedRasterRenderer)
    assert isinstance(loaded["slope"][0].renderer(), QgsSingleBandPseudoColorRenderer)
    assert loaded["slope"][1] == "Slope (deg)" and loaded["basin"][1] == "Basin of 525 km2"
    assert loaded["basin"][0].crs().isGeographic() and loaded["basin"][0].featureCount() == 1
    shader = loaded["upstream_area"][0].renderer().shader().rasterShaderFunction()
    items = [item.value for item in shader.colorRampItemList()]
    np.testing.assert_allclose(np.diff(np.log(items)), np.log(items[-1] / items[0]) / (len(items) - 1))
    orders = {feature["strahler"] for feature in loaded["streams"][0].getFeatures()}
    assert orders and min(orders) >= 1
    assert "rasterio" not in sys.modules


@pytest.mark.skipif(not ENGINE.is_file(), reason="there is no engine beside the plugin")
def test_outlet_far_from_a_river_fails_with_the_engines_sentence(algorithm, context, values, monkeypatch, tmp_path):
    monkeypatch.setattr(base, "find_engine", lambda settings: Engine(str(ENGINE), "for a test"))
    feedback = Feedback()
    asked = {**values, "OUTLET": "4000500,2999500", "STREAM_KM2": 100.0, "RUN_FOLDER": str(tmp_path / "run")}
    _, ok = algorithm().run(asked, context, feedback)
    assert not ok and "There is no river within 2000 m" in feedback.errors[-1]
    assert "The nearest river lies" in feedback.errors[-1]
