"""From a dataset to scores: events of which some are kept for the test, filled values, and steps of months."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import rain_and_store  # noqa: E402

from freshet.core.contracts import EvaluateJob, ExplainJob, PredictJob, RunFolder, TrainJob  # noqa: E402
from freshet.core.contracts.events import EventKind  # noqa: E402
from freshet.core.contracts.grid import Grid  # noqa: E402
from freshet.core.contracts.model_card import read_card  # noqa: E402
from freshet.core.contracts.steps import MONTH  # noqa: E402
from freshet.core.data.store import Dataset, Gauges, SequencesWriter, VariableInfo, write_dataset  # noqa: E402
from freshet.core.inference.geotiff import read_series  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

ROWS, COLUMNS = 6, 5
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 100.0, 100.0, COLUMNS, ROWS)
RAIN = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain")
DEPTH = VariableInfo("depth", "target", "water_depth", "m", "Depth")
FLOW = VariableInfo("flow", "target", "discharge", "m3/s", "Flow", gauges=True)
HEIGHT = VariableInfo("height", "static", "elevation", "m", "Height", static=True)
MASK = np.ones((ROWS, COLUMNS), dtype=bool)
HEIGHTS = np.linspace(100, 900, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
EVENTS = {"may": 40, "june": 36, "july": 32, "august": 40, "test_1": 36, "test_2": 30, "short": 5}


def write_events(path: Path) -> Path:
    """Floods of five minutes' steps that all begin on the same date, as simulations do."""
    times = np.datetime64("2000-01-01", "s") + np.arange(60) * np.timedelta64(300, "s")
    gauges = Gauges.on(GRID, ["outlet"], np.array([4_000_050.0]), np.array([2_999_950.0]))
    with SequencesWriter(path, name="Floods") as file:
        for seed, (name, steps) in enumerate(EVENTS.items()):
            rain, depth = rain_and_store(steps, ROWS, COLUMNS, seed)
            with file.sequence(
                name, grid=GRID, times=times[:steps], step_seconds=300.0,
                variables=[RAIN, DEPTH, FLOW, HEIGHT], gauges=gauges,
            ) as writer:  # fmt: skip
                writer.append("rain", rain)
                writer.append("depth", depth * 0.1)
                writer.append("flow", depth[:, :1, 0])
                writer.write_static("height", HEIGHTS)
                writer.finish(MASK, {})
        file.finish({})
    return path


def training(path, **changes) -> TrainJob:
    values = {
        "datasets": [str(path)], "target": "depth", "inputs": ["rain"], "static": ["height"], "window": 6,
        "warm_up": 0, "split": {"validation_sequences": ["august"], "test_sequences": ["test_*"]},
        "model": {"options": {"hidden": [3], "kernel": [3]}}, "training": {"epochs": 1, "threads": 1}, **changes,
    }  # fmt: skip
    return TrainJob.from_dict(values)


def done(verb, job, folder) -> RunFolder:
    run = RunFolder.create(folder, verb, job)
    assert execute(run) == 0, run.error()
    return run


def failed(verb, job, folder) -> str:
    run = RunFolder.create(folder, verb, job)
    assert execute(run) == 2
    return str(run.error())


def words(run) -> str:
    return " ".join(event.values["text"] for event in run.events() if event.kind is EventKind.MESSAGE)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return write_events(tmp_path_factory.mktemp("floods") / "floods.nc")


@pytest.fixture(scope="module")
def trained(events, tmp_path_factory):
    return done("train", training(events), tmp_path_factory.mktemp("run"))


def test_whole_sequences_are_tested_and_named(trained, events):
    card = read_card(trained.model_file)
    assert len(card.datasets) == len(EVENTS) and "1 of 7 sequences are too short" in words(trained)
    roles = {}
    for name in EVENTS:
        with Dataset.open(events, name) as dataset:
            roles[name] = set(card.periods_by_dataset[dataset.fingerprint()])
    assert roles["may"] == roles["june"] == roles["july"] == {"train"} and roles["august"] == {"validation"}
    assert roles["test_1"] == roles["test_2"] == {"test"} and roles["short"] == set()
    assert set(card.scores) == {"Floods / test_1", "Floods / test_2"}
    folders = sorted(path.name for path in trained.results.iterdir() if path.is_dir())
    assert folders == ["sequence_1", "sequence_2"]
    scores = json.loads(trained.scores_file.read_text())
    note = scores["datasets"][0]["climatology"]["note"]
    assert "4 sequences that the model was trained on" in note


def test_scalers_have_seen_the_training_sequences_only(trained, events):
    card = read_card(trained.model_file)
    values = []
    for name in ("may", "june", "july"):
        with Dataset.open(events, name) as dataset:
            values.append(dataset.dynamic("rain").max())
    assert card.inputs[0].maximum == max(values)


def test_one_sequence_is_predicted_and_explained(trained, events, tmp_path):
    model = str(trained.model_file)
    run = done("predict", PredictJob(model, str(events), device="cpu", sequence="test_2"), tmp_path)
    series = read_series(run.results / "predicted.tif")
    assert len(series.dates) == EVENTS["test_2"] - 5 and series.dates[1] - series.dates[0] == np.timedelta64(300, "s")
    again = read_series(trained.results / "sequence_2" / "predicted.tif")
    np.testing.assert_allclose(series.values, again.values, atol=1e-5)
    assert "which its training has not seen" in words(run) and "flatter" not in words(run)
    job = ExplainJob(
        model, str(events), "2000-01-01T01:00", x=4_000_050.0, y=2_999_950.0, steps=4, sequence="test_2", device="cpu"
    )
    facts = json.loads((done("explain", job, tmp_path).results / "attribution.json").read_text())
    assert facts["date"] == "2000-01-01T01:00" and facts["step_seconds"] == 300.0


def test_a_sequence_that_was_trained_on_is_told_to_flatter(trained, events, tmp_path):
    run = done("predict", PredictJob(str(trained.model_file), str(events), device="cpu", sequence="may"), tmp_path)
    assert "lie in the training period of the model: scores there flatter it" in words(run)


def test_without_a_name_all_test_sequences_are_judged_together(trained, events, tmp_path):
    run = done("evaluate", EvaluateJob(str(trained.model_file), str(events), device="cpu"), tmp_path)
    scores = json.loads(run.scores_file.read_text())
    parts = scores["sequences"]
    assert [part["dataset"] for part in parts] == ["Floods / test_1", "Floods / test_2"]
    assert scores["dataset"] == "Floods, 2 sequences" and scores["steps"] == sum(part["steps"] for part in parts)
    counts = [part["model"]["pooled"]["count"] for part in parts]
    assert scores["model"]["pooled"]["count"] == sum(counts)
    mean_square = sum(n * part["model"]["pooled"]["rmse"] ** 2 for n, part in zip(counts, parts)) / sum(counts)
    assert scores["model"]["pooled"]["rmse"] == pytest.approx(mean_square**0.5)
    one = done("evaluate", EvaluateJob(str(trained.model_file), str(events), device="cpu", sequence="test_1"), tmp_path)
    assert json.loads(one.scores_file.read_text())["model"] == parts[0]["model"]


def test_a_prediction_without_a_name_lists_the_sequences(trained, events, tmp_path):
    told = failed("predict", PredictJob(str(trained.model_file), str(events), device="cpu"), tmp_path)
    assert "several sequences, and none is named" in told and "may, june" in told


def test_time_shares_cut_each_sequence_where_none_is_named(events, tmp_path):
    run = done("train", training(events, split={}), tmp_path)
    card = read_card(run.model_file)
    known = [set(periods) for periods in card.periods_by_dataset.values() if periods]
    assert len(card.scores) == 6 and known == [{"train", "validation", "test"}] * 6


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split": {"test_sequences": ["winter*"]}}, "No sequence for test is called 'winter*'"),
        ({"split": {"test_sequences": ["*"]}}, "No sequence is left to train on"),
        ({"split": {"test_sequences": ["test_1"], "validation_sequences": ["test_*"]}}, "for validation and for test"),
        ({"window": 50}, "longer than the series"),
        ({"target": "flow"}, "'convlstm' cannot predict 'flow', which is a series at gauges"),
    ],
)
def test_a_training_that_the_sequences_cannot_serve_is_refused(events, tmp_path, changes, told):
    assert told in failed("train", training(events, **changes), tmp_path)


def write_months(path: Path, steps: int = 72) -> Path:
    """Six years of monthly maps; every tenth target was filled."""
    rain, store = rain_and_store(steps, ROWS, COLUMNS, 3)
    rain += 10 * (1 + np.sin(np.arange(steps) / 12 * 2 * np.pi))[:, None, None].astype(np.float32)
    filled = np.zeros(store.shape, dtype=bool)
    filled[::10] = True
    store[::10] = 9000.0  # would spoil scaler, loss and scores if it were taken for observed
    depth = VariableInfo("depth", "target", "soil_water", "mm", "Store", fill="linear")
    write_dataset(
        path, name="Months", grid=GRID, times=np.datetime64("2001-01", "M") + np.arange(steps), step_seconds=MONTH,
        dynamic={"rain": (RAIN, rain), "depth": (depth, store)}, static={"height": (HEIGHT, HEIGHTS)}, mask=MASK,
        provenance={}, filled={"depth": filled},
    )  # fmt: skip
    return path


def test_months_are_trained_on_predicted_and_judged_by_the_calendar(tmp_path):
    path = write_months(tmp_path / "months.nc")
    run = done("train", training(path, split={}, lead=1), tmp_path)
    card = read_card(run.model_file)
    assert card.target.maximum < 1000, "filled values are no observations"
    series = read_series(run.results / "predicted.tif")
    first = series.dates.astype("datetime64[M]")
    np.testing.assert_array_equal(series.dates, first.astype("datetime64[s]"))  # the first of each month
    np.testing.assert_array_equal(np.diff(first).astype(int), 1)
    scores = json.loads(run.scores_file.read_text())
    assert scores["climatology"]["note"].startswith("mean per cell and calendar month")
    assert scores["persistence"]["note"] == "last observed value, at least 1 month old"
    assert "last 6 months" in scores["inputs"]
    observed = read_series(run.results / "observed.tif")
    with Dataset.open(path) as dataset:
        place = np.searchsorted(dataset.times, observed.dates)
        assert (place % 10 == 0).any(), "a filled month lies in the test period"
        assert np.isnan(observed.values[place % 10 == 0]).all() and np.isfinite(observed.values[place % 10 != 0]).all()
    judged = done("evaluate", EvaluateJob(str(run.model_file), str(path), device="cpu"), tmp_path)
    again = json.loads(judged.scores_file.read_text())
    assert again["model"]["pooled"]["rmse"] == pytest.approx(scores["model"]["pooled"]["rmse"], rel=1e-5)
