"""From a dataset to results: series at gauges, several targets, inputs known ahead, dates run through in one pass."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from freshet.core.contracts import ConfigError, DataError, EvaluateJob, ExplainJob, PredictJob, RunFolder, TrainJob
from freshet.core.contracts.events import EventKind
from freshet.core.contracts.grid import Grid
from freshet.core.contracts.model_card import read_card
from freshet.core.contracts.training_job import TrainingConfig
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import Dataset, Gauges, VariableInfo, write_dataset
from freshet.core.data.windows import build_window_data, time_of_year
from freshet.core.inference.evaluate import evaluate_model
from freshet.core.inference.geotiff import read_series
from freshet.core.inference.predictor import Predictor
from freshet.core.training.fitting import fit_module
from freshet.core.training.model_file import load_model
from freshet.core.worker.main import execute
from freshet.core.worker.train import opened

ROWS, COLUMNS, STEPS = 6, 5, 120
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, COLUMNS, ROWS)
AREA_KM2 = ROWS * (COLUMNS - 1)
RAIN = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain")
WARMTH = VariableInfo("warmth", "input", "temperature", "degC", "Warmth")
POTENTIAL = VariableInfo("potential", "input", "pet", "mm/d", "Potential evapotranspiration")
STORE = VariableInfo("store", "target", "soil_water", "mm", "Store")
LOSS = VariableInfo("loss", "target", "evapotranspiration", "mm/d", "Loss")
FLOW = VariableInfo("flow", "target", "discharge", "m3/s", "Flow", gauges=True)
HEIGHT = VariableInfo("height", "static", "elevation", "m", "Height", static=True)


def write_basin(path: Path, ids=("upper", "outlet"), *, with_flow: bool = True, seed: int = 0) -> Path:
    """A basin whose discharge is the mean of what its cells release; the second gauge carries twice the first."""
    rng = np.random.default_rng(seed)
    rain = rng.gamma(0.3, 10.0, (STEPS, ROWS, COLUMNS)).astype(np.float32)
    store = np.zeros_like(rain)
    for step in range(1, STEPS):
        store[step] = 0.8 * store[step - 1] + rain[step]
    warm = (10 + 8 * np.sin(np.arange(STEPS) / 58.0))[:, None, None] + np.zeros_like(rain)
    mask = np.ones((ROWS, COLUMNS), dtype=bool)
    mask[:, -1] = False
    flow = 0.2 * store[:, mask].mean(axis=1) * AREA_KM2 / 86.4
    series = np.stack([flow * (number + 1) for number in range(len(ids))], axis=1)
    series[5::9, 0] = np.nan
    store[:, ~mask] = np.nan
    dynamic = {
        "rain": (RAIN, rain),
        "warmth": (WARMTH, warm.astype(np.float32)),
        "potential": (POTENTIAL, np.maximum(0.15 * warm, 0).astype(np.float32)),
        "store": (STORE, store),
        "loss": (LOSS, (0.05 * store).astype(np.float32)),
    }
    if with_flow:
        dynamic["flow"] = (FLOW, series.astype(np.float32))
    write_dataset(
        path,
        name=path.stem,
        grid=GRID,
        times=np.datetime64("2001-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s"),
        step_seconds=86400.0,
        dynamic=dynamic,
        static={"height": (HEIGHT, np.linspace(100, 900, ROWS * COLUMNS).reshape(ROWS, COLUMNS))},
        mask=mask,
        provenance={},
        gauges=Gauges.on(GRID, list(ids), 4_000_500.0 + 1000.0 * np.arange(len(ids)), 2_999_500.0 + np.zeros(len(ids))),
    )
    return path


def training(path: Path, **changes) -> TrainJob:
    values = {
        "datasets": [str(path)], "target": "flow", "inputs": ["rain", "warmth"], "static": ["height"], "window": 8,
        "warm_up": 0, "model": {"family": "lstm", "options": {"hidden_size": 8}},
        "training": {"epochs": 2, "threads": 1, "supervised_steps": 4}, **changes,
    }  # fmt: skip
    return TrainJob.from_dict(values)


def run_job(job, folder: Path, verb: str) -> RunFolder:
    run = RunFolder.create(folder, verb, job)
    code = execute(run)
    assert code == 0, [event.values for event in run.events() if event.kind is EventKind.FAILED]
    return run


def rows_of(path: Path) -> list[dict]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def artifacts(run: RunFolder) -> dict[str, str]:
    return {e.values["kind"]: e.values["path"] for e in run.events() if e.kind is EventKind.ARTIFACT}


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    return write_basin(tmp_path_factory.mktemp("basin") / "basin.nc")


SMALL = {
    "lstm": {"hidden_size": 8},
    "cnn-lstm": {"channels": [4], "hidden_size": 6, "layers": 1},
    "convlstm-gauge": {"hidden": [4], "attention": 4},
    "convlstm-gauge-fc": {"hidden": [4]},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_model_of_gauges_trains_predicts_and_is_judged(basin, tmp_path, name):
    job = training(basin, model={"family": name, "options": SMALL[name]})
    run = run_job(job, tmp_path / "train", "train")
    assert {"model", "series", "gauges", "scores", "report"} <= set(artifacts(run))
    card = read_card(run.model_file)
    assert card.gauges == ("upper", "outlet")
    rows = rows_of(run.results / "series.csv")
    assert {row["gauge"] for row in rows} == {"upper", "outlet"}
    with Dataset.open(basin) as dataset:
        flow = dict(zip(dataset.times.astype(str), dataset.series("flow")))
    for row in rows:
        truth = flow[row["date"].replace(" ", "T") + ("" if "T" in row["date"] or " " in row["date"] else "T00:00:00")]
        truth = truth[("upper", "outlet").index(row["gauge"])]
        assert (row["observed"] == "") == bool(np.isnan(truth))
        if row["observed"]:
            assert float(row["observed"]) == pytest.approx(float(truth), rel=1e-5)
            assert float(row["delta"]) == pytest.approx(float(row["predicted"]) - float(row["observed"]), abs=1e-4)
    scores = json.loads(run.scores_file.read_text(encoding="utf-8"))
    assert scores["gauges"] == 2 and scores["persistence"]["pooled"]["nse"] is not None
    points = json.loads((run.results / "gauges.geojson").read_text(encoding="utf-8"))["features"]
    assert [point["properties"]["id"] for point in points] == ["upper", "outlet"]
    assert -30 < points[0]["geometry"]["coordinates"][0] < 45
    assert points[0]["properties"]["nse"] is not None

    again = run_job(
        PredictJob.from_dict({"model": str(run.model_file), "dataset": str(basin)}), tmp_path / "p", "predict"
    )
    assert (again.results / "series.csv").read_text() == (run.results / "series.csv").read_text()
    judged = run_job(
        EvaluateJob.from_dict({"model": str(run.model_file), "dataset": str(basin)}), tmp_path / "e", "evaluate"
    )
    other = json.loads(judged.scores_file.read_text(encoding="utf-8"))
    assert other["model"] == scores["model"]
    assert (judged.results / "series.csv").read_text() == (run.results / "series.csv").read_text()


def test_an_ensemble_tells_its_spread_at_the_gauges(basin, tmp_path):
    job = training(basin, members=2, model={"family": "lstm", "options": SMALL["lstm"]})
    run = run_job(job, tmp_path / "train", "train")
    asked = {"model": str(run.ensemble_file), "dataset": str(basin)}
    both = rows_of(run_job(PredictJob.from_dict(asked), tmp_path / "p", "predict").results / "series.csv")
    alone = []
    for number in (1, 2):
        asked["model"] = str(run.results / "members" / f"member_{number:02d}.safetensors")
        alone.append(run_job(PredictJob.from_dict(asked), tmp_path / f"p{number}", "predict"))
    alone = [[float(row["predicted"]) for row in rows_of(one.results / "series.csv")] for one in alone]
    for row, one, two in zip(both, *alone):
        assert float(row["predicted"]) == pytest.approx((one + two) / 2, rel=1e-4, abs=1e-5)
        assert float(row["spread"]) == pytest.approx(abs(one - two) / 2**0.5, rel=1e-3, abs=1e-4)
        low, high = sorted((one, two))
        assert float(row["lower"]) == pytest.approx(low + 0.05 * (high - low), rel=1e-3, abs=1e-4)
        assert float(row["upper"]) == pytest.approx(high - 0.05 * (high - low), rel=1e-3, abs=1e-4)
    assert any(float(row["spread"]) > 0 for row in both)
    assert (
        "spread"
        not in rows_of(run_job(PredictJob.from_dict(asked), tmp_path / "p3", "predict").results / "series.csv")[0]
    )


def test_a_basin_without_discharge_is_predicted_with_the_gauges_of_the_model(basin, tmp_path):
    model = run_job(training(basin), tmp_path / "train", "train").model_file
    other = write_basin(tmp_path / "other.nc", with_flow=False, seed=3)
    run = run_job(PredictJob.from_dict({"model": str(model), "dataset": str(other)}), tmp_path / "p", "predict")
    rows = rows_of(run.results / "series.csv")
    assert rows and all(row["observed"] == "" and row["predicted"] for row in rows)
    assert not run.scores_file.exists()
    renamed = write_basin(tmp_path / "renamed.nc", ids=("a", "b"), seed=4)
    run = run_job(EvaluateJob.from_dict({"model": str(model), "dataset": str(renamed)}), tmp_path / "e", "evaluate")
    assert {row["gauge"] for row in rows_of(run.results / "series.csv")} == {"a", "b"}
    more = write_basin(tmp_path / "more.nc", ids=("a", "b", "c"))
    with pytest.raises(DataError, match="other gauges than the model predicts"):
        Predictor(model, more, "cpu")


def test_a_water_balance_gives_the_discharge_of_its_basin(tmp_path):
    path = write_basin(tmp_path / "one.nc", ids=("outlet",))
    inputs = ["rain", "warmth", "potential"]
    for name, options in (("mc-lstm", {"storages": 4}), ("exp-hydro", {"substeps": 1})):
        job = training(path, inputs=inputs, static=[], model={"family": name, "options": options}, window=20)
        with opened(job) as ready:
            scaler = Scaler.from_dict(ready.card.target.scaler)
            assert scaler.kind == "amount"
            # 1 mm a day over 24 km2 is 24,000 m3 in 86,400 s.
            assert scaler.inverse(np.ones(1))[0] == pytest.approx(AREA_KM2 * 1000 / 86400, rel=1e-5)
        run = run_job(job, tmp_path / name, "train")
        assert rows_of(run.results / "series.csv")
    several = write_basin(tmp_path / "two.nc")
    with (
        pytest.raises(ConfigError, match="a water balance has one outlet"),
        opened(training(several, inputs=inputs, static=[], model={"family": "mc-lstm"}, window=20)),
    ):
        pass


def test_two_tasks_share_one_model(basin, tmp_path):
    job = training(basin, also=["loss"], model={"family": "cnn-lstm", "options": SMALL["cnn-lstm"]})
    run = run_job(job, tmp_path / "train", "train")
    module, card = load_model(run.model_file)
    assert [target.name for target in card.targets] == ["flow", "loss"] and module.out_channels == 2
    with Dataset.open(basin) as dataset:
        data = build_window_data(dataset, card)
        mean = np.nanmean(dataset.dynamic("loss")[:, dataset.mask], axis=1)
    back = Scaler.from_dict(card.also[0].scaler).inverse(data.y[:, 1, 0])
    np.testing.assert_allclose(back, np.repeat(mean[:, None], 2, axis=1), rtol=1e-4, atol=1e-4)
    assert (
        rows_of(run.results / "series.csv")[0]["observed"]
        != rows_of(run.results / "loss" / "series.csv")[0]["observed"]
    )
    scores = json.loads((run.results / "loss" / "scores.json").read_text(encoding="utf-8"))
    assert scores["target"]["name"] == "loss"


def test_two_maps_share_one_model(basin, tmp_path):
    job = training(basin, target="store", also=["loss"], model={"options": {"hidden": [4], "kernel": [3]}}, season=True)
    run = run_job(job, tmp_path / "train", "train")
    first, second = (read_series(run.results / part / "predicted.tif") for part in ("", "loss"))
    assert first.units == "mm" and second.units == "mm/d" and first.values.shape == second.values.shape
    again = run_job(
        PredictJob.from_dict({"model": str(run.model_file), "dataset": str(basin)}), tmp_path / "p", "predict"
    )
    np.testing.assert_array_equal(read_series(again.results / "loss" / "predicted.tif").values, second.values)
    judged = run_job(
        EvaluateJob.from_dict({"model": str(run.model_file), "dataset": str(basin)}), tmp_path / "e", "evaluate"
    )
    assert (
        json.loads((judged.results / "loss" / "scores.json").read_text(encoding="utf-8"))["target"]["units"] == "mm/d"
    )


def test_what_is_known_ahead_reaches_the_decoder_at_its_own_date(basin, tmp_path):
    job = training(
        basin, target="store", inputs=["rain", "store"], ahead=["rain"], lead=1, leads=3,
        model={"family": "convlstm-ed", "options": {"hidden": [4], "kernel": [3]}},
        training={"epochs": 1, "threads": 1, "sampling": 0.5},
    )  # fmt: skip
    run = run_job(job, tmp_path / "train", "train")
    with Predictor(run.model_file, basin, "cpu") as predictor:
        data, card = predictor.data, predictor.card
        ends = data.valid_ends()
        assert ends[-1] + 3 == STEPS - 1  # a forecast has to lie inside the record
        batch = data.batch(ends[:2])
        rain = Scaler.from_dict(card.ahead[0].scaler).inverse(batch.ahead[:, :, 0])
        with Dataset.open(basin) as dataset:
            held = dataset.dynamic("rain")
        for number, end in enumerate(ends[:2]):
            np.testing.assert_allclose(rain[number], held[end + 1 : end + 4], rtol=1e-4, atol=1e-4)
        before = next(predictor.predict(ends[:1]))[1]
        data.ahead[ends[0] + 2] += 1.0  # the second lead knows another rain
        after = next(predictor.predict(ends[:1]))[1]
        inside = data.mask
        assert np.array_equal(before[0, 0][inside], after[0, 0][inside])
        assert not np.array_equal(before[0, 1][inside], after[0, 1][inside])


def test_scheduled_sampling_falls_to_nothing(basin, tmp_path):
    job = training(
        basin, target="store", inputs=["rain", "store"], lead=1, leads=2,
        model={"family": "convlstm-ed", "options": {"hidden": [3], "kernel": [3], "decoder_input": "previous"}},
        training={"epochs": 3, "threads": 1, "sampling": 1.0},
    )  # fmt: skip
    seen = []
    with opened(job) as ready:
        from freshet.core.training.model_file import build_from_card

        torch.manual_seed(1)
        module = build_from_card(ready.card)
        inner = module.forward

        def spy(*args, **more):
            if module.training:
                seen.append(more.get("sampling", 0.0))
                assert ("truth" in more) == (more.get("sampling", 0.0) > 0)
            return inner(*args, **more)

        module.forward = spy
        for _ in fit_module(module, ready.sets, job.training, tmp_path / "checkpoints"):
            pass
    assert seen[0] == 1.0 and seen[-1] < 0.1 and all(a >= b for a, b in zip(seen, seen[1:]))


def test_running_through_equals_windows_that_grow(basin, tmp_path):
    job = training(
        basin, target="store", run_through=True, model={"options": {"hidden": [4], "kernel": [3]}},
        training={"epochs": 1, "threads": 1},
    )  # fmt: skip
    run = run_job(job, tmp_path / "train", "train")
    module, card = load_model(run.model_file)
    assert card.run_through
    with Dataset.open(basin) as dataset, Predictor((module, card), dataset, "cpu") as predictor:
        ends = predictor.data.valid_ends()[3:50]
        chunks = list(predictor.predict(ends))
        assert [len(chunk) for chunk, _ in chunks] == [32, 15]
        np.testing.assert_array_equal(np.concatenate([chunk for chunk, _ in chunks]), ends)
        maps = np.concatenate([maps for _, maps in chunks])
        for number in (0, 5, 31, 32, 46):
            first = ends[0] if number < 32 else ends[32]
            longer = card.replace(window=card.window + int(ends[number] - first), run_through=False)
            with Predictor((module, longer), dataset, "cpu") as one:
                single = next(one.predict(ends[number : number + 1]))[1]
            np.testing.assert_allclose(maps[number], single[0], rtol=1e-5, atol=1e-5)
        apart = list(predictor.predict(np.array([ends[0], ends[1], ends[4]])))
        assert [len(chunk) for chunk, _ in apart] == [2, 1]


def test_evaluating_a_module_of_gauges_at_hand(basin, tmp_path):
    run = run_job(training(basin), tmp_path / "train", "train")
    module, card = load_model(run.model_file)
    with Dataset.open(basin) as dataset:
        events = evaluate_model(module, card, dataset)
        while True:
            try:
                next(events)
            except StopIteration as stop:
                found = stop.value
                break
    assert found.gauges is not None and found.gauges.predicted.shape[2] == 2
    assert found.scores["model"] == json.loads(run.scores_file.read_text(encoding="utf-8"))["model"]


def test_time_of_year_is_the_share_that_has_passed():
    dates = np.array([["2001-01-01", "2001-07-02T12:00"], ["2004-12-31", "2004-02-29"]], dtype="datetime64[s]")
    expected = [[0.0, 182.5 / 365], [365 / 366, 59 / 366]]
    np.testing.assert_allclose(time_of_year(dates), expected, atol=1e-6)


REFUSED = [
    ({"model": {"family": "convlstm"}}, ConfigError, "'convlstm' cannot predict 'flow', which is a series at gauges"),
    (
        {"target": "store", "model": {"family": "cnn-lstm"}},
        ConfigError,
        "'cnn-lstm' cannot predict 'store', which is a map. Expected: a family that predicts maps: convlstm",
    ),
    ({"also": ["flow"]}, ConfigError, "'flow' stands twice among the variables to predict"),
    ({"ahead": ["rain"]}, ConfigError, "'lstm' reads no variables that are known ahead. Expected: .*convlstm-ed"),
    ({"ahead": ["flow"], "lead": 1}, ConfigError, "The target 'flow' cannot be known ahead"),
    (
        {"target": "store", "window": 3, "model": {"family": "cnn"}, "training": {"supervised_steps": 1}},
        ConfigError,
        "The window is shorter than 'cnn' needs. Expected: at least 4 steps. Found: 3 steps. Lengthen the window to 4 "
        "steps, or lower cnn.frames",
    ),
    (
        {"target": "store", "window": 5, "model": {"family": "cubic"}, "training": {"supervised_steps": 5}},
        ConfigError,
        "at least 7 steps, 5 of them supervised",
    ),
    (
        {"target": "store", "run_through": True, "model": {"family": "convlstm-ed"},
         "training": {"supervised_steps": 1}},
        ConfigError,
        "'convlstm-ed' cannot run through the dates",
    ),
    ({"training": {"sampling": 1.5}}, ConfigError, "sampling"),
    ({"model": {"family": "lstm", "options": {"hidden_size": 0}}}, ConfigError, "hidden_size"),
]  # fmt: skip


@pytest.mark.parametrize("changes, kind, words", REFUSED)
def test_what_a_family_cannot_do_is_refused_with_what_works(basin, changes, kind, words):
    with pytest.raises(kind, match=words), opened(training(basin, **changes)):
        pass


def test_a_model_of_gauges_says_that_it_cannot_be_explained_on_a_map(basin, tmp_path):
    run = run_job(training(basin), tmp_path / "train", "train")
    job = ExplainJob.from_dict(
        {"model": str(run.model_file), "dataset": str(basin), "date": "2001-04-20", "x": 4000500.0, "y": 2999500.0}
    )
    folder = RunFolder.create(tmp_path / "x", "explain", job)
    assert execute(folder) == 2
    failed = [event.values for event in folder.events() if event.kind is EventKind.FAILED]
    assert "gauges" in json.dumps(failed)


def test_the_training_configuration_knows_sampling():
    assert TrainingConfig().sampling == 0.0
