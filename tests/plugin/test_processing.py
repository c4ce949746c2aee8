"""The algorithms ask for the same jobs as the dialogs, answer in sentences, and hand over styled results."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsPointXY,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
)

from freshet.core.contracts import Artifact, Event, EventKind, RunFolder
from freshet.core.contracts.dataset_job import TERRAIN_MAPS, TerrainConfig
from freshet.core.contracts.model_card import CARD_KEY
from freshet.plugin.processing import base
from freshet.plugin.processing.outputs import results_of
from freshet.plugin.processing.provider import FreshetProvider

EXCHANGE = ("importmodel", "exportmodel")
QUESTIONS = "explain importance probe whatif drivers shares".split()
IDS = {
    f"freshet:{name}"
    for name in [*"prepare terrain train finetune predict compare evaluate tune cache".split(), *QUESTIONS, *EXCHANGE]
}
TRAIN = {"TARGET": "sm", "INPUTS": "rain", "STATIC": "dem", "WINDOW": 5}


@pytest.fixture
def provider(qgis_app):
    made = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.fixture
def context(qgis_app):
    made = QgsProcessingContext()
    made.setProject(QgsProject.instance())
    return made


@pytest.fixture
def model(tmp_path):
    """A file that begins as a saved model does: its header holds a card; no weights."""
    variable = {"name": "rain", "quantity": "precipitation", "units": "mm/d", "scaler": {"kind": "none"}}
    more = {"title": "A model", "options": {}, "static": [], "season": False, "window": 5, "lead": 0, "leads": 1}
    card = {"family": "convlstm", "inputs": [variable], "target": {**variable, "name": "sm"}, **more}
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return str(path)


class Feedback(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.lines, self.errors = [], []

    def reportError(self, error, fatalError=False):  # noqa: N802, N803
        self.errors.append(error)

    def pushInfo(self, text):  # noqa: N802
        self.lines.append(text)

    def setProgressText(self, text):  # noqa: N802
        self.lines.append(text)


def _job(provider, name, values, context):
    algorithm = provider.algorithm(name).create()
    return algorithm.job(values, context)


def _sentence(provider, name, values, context):
    ok, text = provider.algorithm(name).create().checkParameterValues(values, context)
    assert not ok
    return text


def test_provider_has_exactly_these_algorithms(provider):
    assert {item.id() for item in provider.algorithms()} == IDS


def test_every_parameter_has_help_that_stands_in_the_help_of_its_algorithm(provider):
    from html import escape

    for algorithm in provider.algorithms():
        text = algorithm.shortHelpString()
        assert algorithm.parameterDefinitions() and algorithm.shortDescription()
        for item in algorithm.parameterDefinitions():
            assert item.help() and escape(item.help()) in text, (algorithm.id(), item.name())


def test_every_icon_is_there(provider):
    assert [item.id() for item in provider.algorithms() if item.icon().isNull()] == []


def test_defaults_are_those_of_the_job(provider, context, write_dataset_file):
    job = _job(provider, "train", {"DATASETS": [write_dataset_file()], **TRAIN}, context)
    assert (job.target, job.inputs, job.static, job.window) == ("sm", ("rain",), ("dem",), 5)
    assert job == type(job)(datasets=job.datasets, target="sm", inputs=("rain",), static=("dem",), window=5)


def test_values_reach_the_job(provider, context, write_dataset_file):
    values = {
        "DATASETS": [write_dataset_file()],
        **TRAIN,
        "EPOCHS": 3,
        "LEARNING_RATE": 0.01,
        "LOSS": "mae",
        "DEVICE": "cpu",
        "SEED": 7,
        "FAMILY": "convlstm-wflow",
        "OPTIONS": '{"hidden": [4]}',
        "TIME_LIMIT": 2.5,
        "SEASON": False,
        "SCALERS": '{"rain": "log1p"}',
        "TRAIN_PERIOD": "1990-01-01/1990-01-20",
        "VALIDATION_PERIOD": "1990-01-21/1990-01-30",
        "TEST_PERIOD": "1990-01-31/",
    }
    job = _job(provider, "train", values, context)
    training = job.training
    assert (training.epochs, training.learning_rate, training.loss, training.seed) == (3, 0.01, "mae", 7)
    assert (training.time_limit_minutes, training.device, job.season) == (2.5, "cpu", False)
    assert (job.model.family, job.model.options, job.scalers) == ("convlstm-wflow", {"hidden": [4]}, {"rain": "log1p"})
    assert (job.split.train.end, job.split.test.start, job.split.test.end) == ("1990-01-20", "1990-01-31", "")


def test_further_targets_and_what_is_known_ahead_reach_the_job(provider, context, write_dataset_file):
    values = {"DATASETS": [write_dataset_file()], "TARGET": "sm", "INPUTS": "rain", "WINDOW": 5, "LEAD": 1, "LEADS": 2}
    ahead = {"FAMILY": "convlstm-ed", "AHEAD": "rain", "SAMPLING": 0.25}
    job = _job(provider, "train", {**values, **ahead}, context)
    assert (job.ahead, job.training.sampling, job.run_through) == (("rain",), 0.25, False)
    also = {"ALSO": "rain", "INPUTS": "sm", "RUN_THROUGH": True}
    job = _job(provider, "train", {**values, **also}, context)
    assert job.targets == ("sm", "rain") and job.run_through
    tuned = {**values, **ahead, "SPACE": '{"training.seed": [1, 2]}'}
    assert _job(provider, "tune", tuned, context).train.ahead == ("rain",)


def test_series_and_gauges_are_outputs_wherever_a_model_predicts(provider):
    for name in ("train", "finetune", "predict", "evaluate"):
        outputs = {item.name(): item.type() for item in provider.algorithm(name).outputDefinitions()}
        assert outputs["SERIES"] == "outputFile" and outputs["GAUGES"] == "outputVector", name
    assert "GAUGES" not in {item.name() for item in provider.algorithm("compare").outputDefinitions()}


def test_choice_can_be_given_by_name_or_by_number(provider, context, write_dataset_file):
    values = {"DATASETS": [write_dataset_file()], **TRAIN}
    found = [
        _job(provider, "train", {**values, "DEVICE": given}, context).training.device for given in ("cuda", "2", 2)
    ]
    assert found == ["cuda"] * 3
    assert provider.algorithm("train").create().checkParameterValues({**values, "DEVICE": "1"}, context)[0]
    assert "one of auto, cpu" in _sentence(provider, "train", {**values, "DEVICE": "tpu"}, context)


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"DATASETS": []}, "No dataset is chosen"),
        ({"DATASETS": ["/none.nc"]}, "does not exist"),
        ({"TARGET": "snow"}, "no variable 'snow'"),
        ({"INPUTS": ""}, "No input is chosen"),
        ({"INPUTS": "rain, sm"}, "also an input, without a lag"),
        ({"WINDOW": 400}, "window is longer than the series"),
        ({"EPOCHS": 0}, "at least 1"),
        ({"EPOCHS": 2.5}, "a whole number"),
        ({"OPTIONS": "{hidden"}, "not valid JSON"),
        ({"OPTIONS": '{"depth": 3}'}, "has no option 'depth'"),
        ({"TRAIN_PERIOD": "1990"}, "from/to"),
        ({"ALSO": "snow"}, "no variable 'snow'"),
        ({"ALSO": "rain"}, "'rain' is also an input, without a lag"),
        ({"AHEAD": "rain"}, "'convlstm' reads no variables that are known ahead"),
        ({"FAMILY": "convlstm-ed", "RUN_THROUGH": True}, "cannot run through the dates"),
        ({"FAMILY": "convlstm-ed", "SUPERVISED_STEPS": 2}, "Set 'supervised steps' to 1"),
        ({"SUPERVISED_STEPS": 6}, "More steps are supervised than the window has"),
        ({"SAMPLING": 1.5}, "TrainingConfig.sampling is not usable. Expected: at most 1"),
        ({"SAMPLING": 0.5}, "nothing to sample for"),
        ({"FAMILY": "cnn", "WINDOW": 3}, "The window is shorter than 'cnn' needs"),
        ({"FAMILY": "cnn-lstm"}, "'cnn-lstm' cannot predict 'sm', which is a map"),
        ({"OPTIONS": '{"hidden": [0]}'}, "convlstm.hidden[0] is not usable"),
        ({"TEST_SHARE": 0.8, "VALIDATION_SHARE": 0.2}, "left for training"),
    ],
)
def test_bad_training_is_refused_with_a_sentence(provider, context, write_dataset_file, changes, word):
    assert word in _sentence(provider, "train", {"DATASETS": [write_dataset_file()], **TRAIN, **changes}, context)


def test_bad_values_of_the_other_algorithms_are_sentences(provider, context, write_dataset_file, write_raster, model):
    data = write_dataset_file()
    cases = [
        ("predict", {"MODEL": "/none.safetensors", "DATASET": data}, "/none.safetensors does not exist"),
        ("predict", {"MODEL": model, "DATASET": write_raster("x.tif", np.ones((2, 2)))}, "not a dataset of Freshet"),
        ("predict", {"MODEL": model, "DATASET": data, "START": "yesterday"}, "is not a date"),
        (
            "evaluate",
            {"MODEL": model, "DATASET": data, "START": "1991-01-01", "END": "1990-01-01"},
            "ends before it starts",
        ),
        ("explain", {"MODEL": model, "DATASET": data, "DATE": "1990-01-20"}, "place to explain is not clear"),
        ("explain", {"MODEL": model, "DATASET": data, "DATE": "soon", "POINT": "4001500,2998500"}, "is not a date"),
        ("finetune", {"MODEL": model, "DATASETS": []}, "No dataset is chosen"),
        ("compare", {"PREDICTED_MAPS": "/none.tif", "OBSERVED_MAPS": "/none.tif"}, "predicted raster cannot be opened"),
        ("tune", {"DATASETS": [data], **TRAIN}, "search space is empty"),
        ("prepare", {"NAME": "x", "DATASET": "/tmp/x.nc"}, "No source is given"),
        ("prepare", {"SOURCES": '[{"variable": "rain"}]', "DATASET": "/tmp/x.nc"}, "has no path"),
        ("prepare", {"SOURCES": '[{"path": "/none.tif"}]', "DATASET": "/tmp/x.nc"}, "there is no such file or folder"),
        ("prepare", {"TABLE": ["rain", "/none.tif"], "DATASET": "/tmp/x.nc"}, "table of sources is not complete"),
    ]
    for name, values, word in cases:
        assert word in _sentence(provider, name, values, context), name


def test_point_is_brought_into_the_crs_of_the_dataset(provider, context, write_dataset_file, model):
    place = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem("EPSG:3035"), QgsCoordinateReferenceSystem("EPSG:4326"), context.project()
    ).transform(QgsPointXY(4_002_300.0, 2_998_700.0))
    point = f"{place.x():.9f},{place.y():.9f} [EPSG:4326]"
    values = {"MODEL": model, "DATASET": write_dataset_file(), "DATE": "1990-01-20", "POINT": point}
    job = _job(provider, "explain", values, context)
    assert (job.x, job.y) == (pytest.approx(4_002_300.0, abs=1.0), pytest.approx(2_998_700.0, abs=1.0))


def test_prepare_takes_layers_table_and_json_together(provider, context, project, write_raster, tmp_path):
    days = ("1995-02-01", "1995-02-02", "1995-02-03")
    maps = np.linspace(0.1, 0.9, 36).reshape(3, 3, 4)
    write_raster("pet/pet_1995-02-01.tif", maps[0])
    sources = tmp_path / "sources.json"
    sources.write_text(json.dumps([{"variable": "demand", "path": "pet", "quantity": "pet", "units": "mm/h"}]))
    values = {
        "NAME": "Mine",
        "INPUT_LAYERS": [write_raster("rain.tif", maps, dates=days)],
        "TARGET_LAYER": write_raster("sm.tif", maps, dates=days),
        "STATIC_LAYERS": [write_raster("dem.tif", maps[0])],
        "TABLE": ["t_air", write_raster("t.tif", maps, dates=days), "input", "temperature", "", "K"],
        "SOURCES": str(sources),
        "DATASET": str(tmp_path / "out.nc"),
    }
    job = _job(provider, "prepare", values, context)
    found = {item.variable: (item.role, item.quantity, item.units) for item in job.sources}
    assert found == {
        "rain": ("input", "precipitation", "mm/d"),
        "dem": ("static", "elevation", "m"),
        "sm": ("target", "soil_moisture", "-"),
        "t_air": ("input", "temperature", "K"),
        "demand": ("input", "pet", "mm/h"),
    }
    assert job.grid.like == "sm" and job.output == str(tmp_path / "out.nc")


def test_prepare_takes_a_grid_of_its_own(provider, context, write_raster):
    maps = np.linspace(0.1, 0.9, 24).reshape(2, 3, 4)
    layer = write_raster("rain.tif", maps, dates=("1995-02-01", "1995-02-02"))
    values = {
        "INPUT_LAYERS": [layer],
        "CRS": "EPSG:3035",
        "RESOLUTION": 500,
        "EXTENT": "0,1000,0,2000 [EPSG:3035]",
        "DATASET": "/tmp/x.nc",
    }
    grid = _job(provider, "prepare", values, context).grid
    assert (grid.like, grid.crs, grid.resolution, grid.extent) == ("", "EPSG:3035", 500.0, (0.0, 0.0, 1000.0, 2000.0))


def _layer(write_raster):
    maps = np.linspace(0.1, 0.9, 24).reshape(2, 3, 4)
    return write_raster("rain.tif", maps, dates=("1995-02-01", "1995-02-02"))


def test_prepare_derives_terrain_and_takes_the_outlet_in_the_crs_of_the_grid(provider, context, write_raster):
    dem = write_raster("dem.tif", np.arange(12.0).reshape(3, 4))
    values = {
        "INPUT_LAYERS": [_layer(write_raster)],
        "DEM": dem,
        "TERRAIN_MAPS": ["slope", "5"],
        "UPSTREAM_OF": "rain",
        "OUTLET": "10,52 [EPSG:4326]",
        "STREAM_KM2": 2.5,
        "DATASET": "/tmp/x.nc",
    }
    terrain = _job(provider, "prepare", values, context).terrain
    assert (terrain.dem, terrain.maps, terrain.upstream_of) == (dem, ("slope", TERRAIN_MAPS[5]), ("rain",))
    assert terrain.outlet == (pytest.approx(4321000.0, abs=1.0), pytest.approx(3210000.0, abs=1.0))
    assert terrain.stream_km2 == 2.5
    plain = _job(provider, "prepare", {"INPUT_LAYERS": [_layer(write_raster)], "DATASET": "/tmp/x.nc"}, context)
    assert plain.terrain == TerrainConfig() and plain.sequences == ()


def test_prepare_fills_all_sources_but_those_that_say_otherwise(provider, context, write_raster):
    second = {"variable": "pet", "path": _layer(write_raster), "fill": "climatology", "fill_limit": 9}
    values = {
        "INPUT_LAYERS": [_layer(write_raster)],
        "SOURCES": json.dumps([second]),
        "FILL": "linear",
        "FILL_LIMIT": 3,
        "UNREADABLE": "gap",
        "DUPLICATES": "mean",
        "THREADS": 1,
        "DATASET": "/tmp/x.nc",
    }
    job = _job(provider, "prepare", values, context)
    assert [(s.fill, s.fill_limit, s.unreadable, s.duplicates) for s in job.sources] == [
        ("linear", 3, "gap", "mean"),
        ("climatology", 9, "gap", "mean"),
    ]
    assert job.threads == 1


def test_prepare_takes_sequences_by_their_names(provider, context, write_raster):
    for name in ("one", "two"):
        write_raster(f"flood_{name}/depth_1995-02-01.tif", np.arange(12.0).reshape(3, 4) / 7)
    path = write_raster("x.tif", np.ones((2, 2))).replace("x.tif", "flood_{sequence}")
    source = {"variable": "depth", "path": path, "role": "target", "quantity": "water_depth", "units": "m"}
    values = {"SOURCES": json.dumps([source]), "SEQUENCES": "one, two", "DATASET": "/tmp/x.nc"}
    job = _job(provider, "prepare", values, context)
    assert job.sequences == ("one", "two") and job.sources[0].path == path
    assert "no sequences are named" in _sentence(provider, "prepare", {**values, "SEQUENCES": ""}, context)
    source["path"] = path.replace("flood_", "storm_")
    assert "no sequence is found" in _sentence(
        provider, "prepare", {**values, "SOURCES": json.dumps([source])}, context
    )


def test_bad_terrain_is_refused_with_a_sentence(provider, context, write_raster):
    values = {"INPUT_LAYERS": [_layer(write_raster)], "DATASET": "/tmp/x.nc"}
    dem = write_raster("dem.tif", np.arange(12.0).reshape(3, 4))
    cases = [
        ({"DEM": "/none.tif"}, "elevation model cannot be opened"),
        ({"TERRAIN_MAPS": ["slope"]}, "need an elevation model"),
        ({"DEM": dem, "TERRAIN_MAPS": "steepness"}, "no terrain map 'steepness'"),
        ({"DEM": dem, "UPSTREAM_OF": "snow"}, "upstream mean of 'snow'"),
        ({"OUTLET": "10,52 [EPSG:4326]"}, "need an elevation model"),
        ({"FILL": "wish"}, "one of none, linear"),
    ]
    for changes, word in cases:
        assert word in _sentence(provider, "prepare", {**values, **changes}, context), changes


@pytest.fixture
def execute(provider, context, fake_engine, monkeypatch, write_raster, tmp_path):
    """Runs freshet:compare with a worker that plays a part; execute(part, feedback) -> (results, ok)."""
    monkeypatch.setattr(base, "find_engine", lambda settings: fake_engine)

    def go(part, feedback=None, **values):
        maps = write_raster("maps.tif", np.ones((1, 2, 2)))
        values = {
            "PREDICTED_MAPS": maps,
            "OBSERVED_MAPS": maps,
            "TITLE": part,
            "RUN_FOLDER": str(tmp_path / "run"),
            **values,
        }
        return provider.algorithm("compare").create().run(values, context, feedback or Feedback())

    return go


def test_algorithm_runs_its_job_and_returns_scores(execute, tmp_path):
    feedback = Feedback()
    results, ok = execute("done", feedback)
    assert ok and results["RUN"] == str(tmp_path / "run") and results["NSE"] == 0.9
    assert "first quarter" in feedback.lines and RunFolder(tmp_path / "run").header()["verb"] == "compare"


@pytest.mark.parametrize(
    "part, word",
    [
        ("fail", "The rain has no dates. Give dates."),
        ("crash", "ended without a word"),
        ("stillborn", "No module named 'torch'"),
    ],
)
def test_fault_of_the_worker_is_the_fault_of_the_algorithm(execute, part, word):
    feedback = Feedback()
    results, ok = execute(part, feedback)
    assert not ok and results == {} and word in feedback.errors[-1]


def test_folder_that_holds_a_run_is_not_written_over(execute):
    execute("done")
    feedback = Feedback()
    _results, ok = execute("done", feedback)
    assert not ok and "already holds a run" in feedback.errors[-1]


def test_cancelling_the_algorithm_cancels_the_run(execute, tmp_path):
    class Impatient(Feedback):
        def setProgressText(self, text):  # noqa: N802
            self.cancel()

    results, _ok = execute("slow", Impatient())
    run = RunFolder(tmp_path / "run")
    assert results == {"RUN": str(run.path)} and run.state().value == "cancelled"


def test_results_are_returned_and_styled_when_loaded(context, project, write_raster, tmp_path):
    path = write_raster("delta.tif", np.ones((2, 2, 2)), dates=("1990-01-01", "1990-01-02"))
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    artifact = Artifact(
        kind="delta",
        path=path,
        title="Delta (mm)",
        units="mm",
        ramp="RdBu",
        minimum=-3.0,
        maximum=3.0,
        dates=("1990-01-01", "1990-01-02"),
    )
    run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))
    run.append(Event(EventKind.ARTIFACT, {"kind": "model", "path": "results/model.safetensors"}))
    found = results_of(run, ("MODEL", "DELTA", "PREDICTED", "MAPS"), context)
    assert found == {"MODEL": str(run.path / "results/model.safetensors"), "DELTA": path, "MAPS": [path]}
    from qgis.core import QgsRasterLayer

    layer = QgsRasterLayer(path, "x")
    details = context.layerToLoadOnCompletionDetails(path)
    details.postProcessor().postProcessLayer(layer, context, Feedback())
    assert details.name == "Delta (mm)" and layer.renderer().classificationMax() == 3.0
    assert layer.customProperty("freshet/kind") == "delta"


def test_paths_of_a_job_are_absolute_whatever_the_folder(provider, context, write_dataset_file, monkeypatch, tmp_path):
    write_dataset_file("near.nc")
    monkeypatch.chdir(tmp_path)
    job = _job(provider, "train", {"DATASETS": ["near.nc"], **TRAIN}, context)
    assert [Path(path) for path in job.datasets] == [tmp_path / "near.nc"]
    assert "torch" not in sys.modules
