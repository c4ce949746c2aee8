"""predict, evaluate, compare: files, values, what is told, and each sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from freshet.core.contracts import (
    CompareJob,
    ConfigError,
    DataError,
    EvaluateJob,
    EventKind,
    PeriodConfig,
    PredictJob,
)  # fmt: skip
from freshet.core.data.store import Dataset
from freshet.core.inference.compare import compare, quantity_of
from freshet.core.inference.evaluate import evaluate, evaluate_model, publish
from freshet.core.inference.geotiff import read_series, write_series
from freshet.core.inference.judge import climatology_steps
from freshet.core.inference.predict import predict
from freshet.core.inference.predictor import Predictor
from freshet.core.metrics.scores import Scores
from freshet.core.training.model_file import load_model

from .conftest import GRID, make_dataset, make_model


def carry_out(verb, generator, job, new_run):
    run = new_run(verb, job)
    for event in generator(job, run):
        run.append(event)
    return run


def texts(run):
    return [event.values["text"] for event in run.events() if event.kind is EventKind.MESSAGE]


@pytest.fixture(scope="module")
def predicted(tmp_path_factory, model_path, dataset_path):
    from freshet.core.contracts import RunFolder

    job = PredictJob(model=str(model_path), dataset=str(dataset_path), device="cpu")
    run = RunFolder.create(tmp_path_factory.mktemp("predict"), "predict", job)
    for event in predict(job, run):
        run.append(event)
    return run


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, model_path, dataset_path):
    from freshet.core.contracts import RunFolder

    job = EvaluateJob(model=str(model_path), dataset=str(dataset_path), device="cpu")
    run = RunFolder.create(tmp_path_factory.mktemp("evaluate"), "evaluate", job)
    for event in evaluate(job, run):
        run.append(event)
    return run


def series_of(run, name):
    return read_series(run.results / name)


# ---- predict


def test_predicted_maps_are_those_of_the_predictor_on_the_test_period(predicted, model_path, dataset_path):
    series = series_of(predicted, "predicted.tif")
    with Predictor(model_path, dataset_path, "cpu") as predictor:
        first, last = predictor.card.periods["test"]
        assert series.dates[0] == np.datetime64(first) and series.dates[-1] == np.datetime64(last)
        ends = np.searchsorted(predictor.data.times, series.dates)
        maps = np.concatenate([maps for _, maps in predictor.predict(ends)])[:, 0]
    np.testing.assert_array_equal(series.values, maps)


def test_observed_and_delta_lie_beside_the_predicted(predicted, dataset_path):
    maps, observed, delta = (series_of(predicted, f"{name}.tif") for name in ("predicted", "observed", "delta"))
    with Dataset.open(dataset_path) as dataset:
        held = dataset.dynamic("sm")[np.isin(dataset.times, observed.dates)]
    np.testing.assert_array_equal(observed.values, held)
    np.testing.assert_array_equal(delta.values, maps.values - observed.values)
    np.testing.assert_array_equal(delta.dates, maps.dates)


def test_predicted_and_observed_share_one_range_and_the_delta_is_symmetric(predicted):
    held = {artifact.kind: artifact for artifact in predicted.artifacts()}
    assert (held["predicted"].minimum, held["predicted"].maximum) == (
        held["observed"].minimum,
        held["observed"].maximum,
    )
    delta = series_of(predicted, "delta.tif").values
    assert held["delta"].maximum == pytest.approx(np.nanpercentile(np.abs(delta), 98), rel=0.01)
    assert held["delta"].minimum == -held["delta"].maximum
    assert "too wet" in held["delta"].note and held["delta"].ramp == "RdBu"
    assert held["predicted"].title == "Soil moisture, predicted (-)" and held["predicted"].ramp == "YlGnBu"
    assert len(held["predicted"].dates) == 24 and held["predicted"].units == "-"


def test_scores_equal_those_of_the_written_maps(predicted):
    maps, observed = series_of(predicted, "predicted.tif").values, series_of(predicted, "observed.tif").values
    scores = Scores(maps.shape[1:])
    scores.accumulate(maps, observed)
    held = json.loads(predicted.scores_file.read_text())
    assert held["model"]["pooled"]["nse"] == pytest.approx(scores.compute()["nse"], rel=1e-9)
    assert held["model"]["median_per_cell"]["rmse"] == pytest.approx(scores.median_per_cell()["rmse"], rel=1e-9)


def test_persistence_and_climatology_stand_beside_the_model(predicted):
    held = json.loads(predicted.scores_file.read_text())
    assert held["persistence"]["distance_steps"] == 1 and held["persistence"]["pooled"]["nse"] > 0.5
    assert "training and validation period" in held["climatology"]["note"]
    model, mean = held["model"]["pooled"]["rmse"], held["climatology"]["pooled"]["rmse"]
    assert held["skill"]["against_climatology"] == pytest.approx(1 - model**2 / mean**2)
    assert "no past value of the target" in held["inputs"] and "Precipitation" in held["inputs"]


def test_report_is_one_file_without_links(predicted):
    text = predicted.report_file.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text and "http" not in text
    for word in ("Persistence", "Climatology", "median of cells", "What was asked"):
        assert word in text


def test_period_that_was_asked_for_is_taken(model_path, dataset_path, new_run):
    period = PeriodConfig("2001-03-01", "2001-03-05")
    run = carry_out("predict", predict, PredictJob(str(model_path), str(dataset_path), period, "cpu"), new_run)
    assert series_of(run, "predicted.tif").dates.astype("datetime64[D]").astype(str).tolist() == [
        f"2001-03-0{d}" for d in range(1, 6)
    ]
    assert any("flatter" in text for text in texts(run))  # these dates were trained on


def test_a_single_date_can_be_predicted(model_path, dataset_path, new_run):
    period = PeriodConfig("2001-04-20", "2001-04-20")
    run = carry_out("predict", predict, PredictJob(str(model_path), str(dataset_path), period, "cpu"), new_run)
    held = json.loads(run.scores_file.read_text())
    assert len(series_of(run, "delta.tif").dates) == held["steps"] == 1
    assert held["model"]["median_per_cell"]["nse"] is None and held["model"]["pooled"]["rmse"] > 0


def test_without_the_target_only_predicted_maps_are_written(place, model_path, new_run):
    path = make_dataset(place / "blind.nc", target=False)
    run = carry_out("predict", predict, PredictJob(str(model_path), str(path), device="cpu"), new_run)
    assert [a.kind for a in run.artifacts()] == ["predicted", "report"]
    assert [p.name for p in run.results.iterdir()] == ["predicted.tif"]


def test_without_an_observed_value_nothing_is_judged(place, model_path, new_run):
    path = make_dataset(place / "never.nc", blind=True)
    run = carry_out("predict", predict, PredictJob(str(model_path), str(path), device="cpu"), new_run)
    assert [a.kind for a in run.artifacts()] == ["predicted", "report"]
    assert any("no observed value" in text for text in texts(run))


def test_inputs_outside_the_range_seen_in_training_are_said(place, model_path, new_run):
    path = make_dataset(place / "warm.nc", shift=15.0)
    run = carry_out("predict", predict, PredictJob(str(model_path), str(path), device="cpu"), new_run)
    (sentence,) = [text for text in texts(run) if "Air temperature" in text]
    assert "outside what the model has seen" in sentence and "degC" in sentence and "%" in sentence


def test_a_test_period_outside_the_record_gives_all_dates(place, model_path, new_run):
    path = make_dataset(place / "short.nc", steps=40)
    run = carry_out("predict", predict, PredictJob(str(model_path), str(path), device="cpu"), new_run)
    assert len(series_of(run, "predicted.tif").dates) == 40 - 6 + 1
    assert any("All dates" in text for text in texts(run))


def test_no_window_bridges_a_gap(place, model_path, new_run):
    path = make_dataset(place / "gap.nc", gap_at=60, steps=80)
    run = carry_out("predict", predict, PredictJob(str(model_path), str(path), device="cpu"), new_run)
    with Dataset.open(path) as dataset:
        after = dataset.times[60:65]
    assert not np.isin(after, series_of(run, "predicted.tif").dates).any()


@pytest.fixture(scope="module")
def two_leads(place, dataset_path):
    return make_model(place / "leads.safetensors", dataset_path, lead=1, leads=2)


def test_each_lead_has_its_own_file_and_dates(two_leads, dataset_path, new_run):
    run = carry_out("predict", predict, PredictJob(str(two_leads), str(dataset_path), device="cpu"), new_run)
    first, second = series_of(run, "predicted.tif"), series_of(run, "predicted_lead2.tif")
    np.testing.assert_array_equal(second.dates, first.dates + np.timedelta64(1, "D"))
    observed, delta = series_of(run, "observed.tif"), series_of(run, "delta_lead2.tif")
    held = observed.values[np.isin(observed.dates, second.dates)]
    np.testing.assert_array_equal(delta.values, second.values - held)
    scores = json.loads(run.scores_file.read_text())
    assert [lead["persistence"]["distance_steps"] for lead in scores["by_lead"]] == [1, 2]
    assert [a.title for a in run.artifacts() if a.kind == "predicted"][
        1
    ] == "Soil moisture, predicted, 2 steps ahead (-)"


def test_a_period_without_a_window_is_said(model_path, dataset_path, new_run):
    job = PredictJob(str(model_path), str(dataset_path), PeriodConfig("2010-01-01", "2010-02-01"), "cpu")
    with pytest.raises(DataError, match="No date of the period") as caught:
        carry_out("predict", predict, job, new_run)
    assert "2001-01-06 to 2001-04-30" in caught.value.expected


def test_a_window_longer_than_the_series_is_said(place, model_path, new_run):
    path = make_dataset(place / "tiny.nc", steps=4)
    with pytest.raises(DataError, match="longer than the series"):
        carry_out("predict", predict, PredictJob(str(model_path), str(path), device="cpu"), new_run)


def test_a_fault_on_the_way_leaves_no_map(model_path, dataset_path, new_run, monkeypatch):
    def broken(self, tile, ends):
        raise DataError("Stop here")
        yield

    monkeypatch.setattr(Predictor, "judged_on", broken)
    job = PredictJob(str(model_path), str(dataset_path), device="cpu")
    run = new_run("predict", job)
    with pytest.raises(DataError):
        list(predict(job, run))
    assert list(run.results.iterdir()) == []


def test_a_run_that_is_closed_between_batches_leaves_no_map(model_path, dataset_path, new_run):
    job = PredictJob(str(model_path), str(dataset_path), device="cpu", batch=4)
    run = new_run("predict", job)
    events = predict(job, run)
    while next(events).kind is not EventKind.PROGRESS:
        pass
    events.close()
    assert list(run.results.iterdir()) == []


# ---- evaluate


def test_score_maps_hold_the_scores_of_each_cell(evaluated, predicted):
    maps, observed = series_of(predicted, "predicted.tif").values, series_of(predicted, "observed.tif").values
    scores = Scores(maps.shape[1:])
    scores.accumulate(maps, observed)
    rasterio = pytest.importorskip("rasterio")
    for name in ("nse", "rmse", "kge"):
        with rasterio.open(evaluated.results / f"score_{name}.tif") as source:
            np.testing.assert_allclose(source.read(1, masked=True).filled(np.nan), scores.maps()[name], rtol=1e-5)
    held = {a.title.split(" ")[0]: a for a in evaluated.artifacts() if a.kind == "score-map"}
    assert (held["NSE"].minimum, held["NSE"].maximum, held["NSE"].ramp) == (-1.0, 1.0, "BrBG")
    assert held["RMSE"].minimum == 0.0 and held["RMSE"].maximum > 0


def test_evaluate_and_predict_agree(evaluated, predicted):
    first, second = (json.loads(run.scores_file.read_text()) for run in (evaluated, predicted))
    assert first["model"] == second["model"] and first["climatology"] == second["climatology"]
    assert first["period"] == {"start": "2001-04-07", "end": "2001-04-30"} and first["steps"] == 24


def test_a_module_at_hand_is_judged_as_the_file_would_be(model_path, dataset_path, evaluated, new_run):
    module, card = load_model(model_path)
    with Dataset.open(dataset_path) as dataset:
        generator = evaluate_model(module, card, dataset, device="cpu", ends=np.arange(96, 120))
        events = []
        while True:
            try:
                events.append(next(generator))
            except StopIteration as stop:
                evaluation = stop.value
                break
    assert events[-1].kind is EventKind.PROGRESS
    assert evaluation.scores["model"] == json.loads(evaluated.scores_file.read_text())["model"]
    assert set(evaluation.card_scores()) >= {"model", "persistence", "climatology", "period"}
    json.dumps(evaluation.card_scores(), allow_nan=False)
    run = new_run("evaluate", EvaluateJob(str(model_path), str(dataset_path)))
    history = [{"epoch": e, "train_loss": 1 / e, "validation_loss": 1.1 / e, "best_epoch": 3} for e in (1, 2, 3)]
    kinds = [event.values["kind"] for event in publish(evaluation, run, history=history)]
    assert kinds == ["scores", "score-map", "score-map", "score-map", "report"]
    assert "Loss by epoch" in run.report_file.read_text(encoding="utf-8")


def test_representative_date_has_the_median_error(evaluated, predicted):
    maps, observed = series_of(predicted, "predicted.tif"), series_of(predicted, "observed.tif").values
    errors = np.sqrt(np.nanmean((maps.values - observed) ** 2, axis=(1, 2)))
    date = maps.dates[np.argsort(errors)[len(errors) // 2]]
    assert "Soil moisture" in evaluated.report_file.read_text(encoding="utf-8")
    assert np.median(errors) == pytest.approx(errors[maps.dates == date][0], rel=0.2)


def test_judging_without_the_target_is_refused(place, model_path, new_run):
    path = make_dataset(place / "blind2.nc", target=False)
    with pytest.raises(DataError, match="does not hold the observed target"):
        carry_out("evaluate", evaluate, EvaluateJob(str(model_path), str(path), device="cpu"), new_run)


def test_judging_without_observations_is_refused(place, model_path, new_run):
    path = make_dataset(place / "never2.nc", blind=True)
    with pytest.raises(DataError, match="no observed value"):
        carry_out("evaluate", evaluate, EvaluateJob(str(model_path), str(path), device="cpu"), new_run)


def test_judging_no_window_is_refused(model_path, dataset_path):
    with Dataset.open(dataset_path) as dataset, pytest.raises(DataError, match="no window to judge"):
        list(evaluate_model(*load_model(model_path), dataset, ends=np.zeros(0, dtype=int), device="cpu"))


def test_climatology_of_another_basin_says_where_it_comes_from(place, model_path, new_run):
    path = make_dataset(place / "later.nc", start="2011-01-01", steps=60)
    job = EvaluateJob(str(model_path), str(path), PeriodConfig("2011-01-20", "2011-02-01"), "cpu")
    run = carry_out("evaluate", evaluate, job, new_run)
    assert "holds none of the training period" in json.loads(run.scores_file.read_text())["climatology"]["note"]


def test_climatology_leaves_out_the_judged_dates_and_else_says_that_it_cannot(model_path):
    _, card = load_model(model_path)
    times = np.datetime64("2001-01-01", "s") + np.arange(120) * np.timedelta64(86400, "s")
    steps, words = climatology_steps(times, card.periods, times[10:20])
    assert steps.sum() == 96 - 10 and not steps[10:20].any() and not steps[96:].any()
    steps, words = climatology_steps(times, card.periods, times)
    assert steps.all() and "flatters" in words


# ---- compare


def rasters(folder, shift=0.25, grid=GRID, units=("mm/d", "mm/d"), days=(0, 0), empty=False):
    rng = np.random.default_rng(1)
    observed = rng.random((20, *GRID.shape)).astype(np.float32)
    times = np.datetime64("2000-01-01", "s") + np.arange(20) * np.timedelta64(86400, "s")
    predicted = observed + np.float32(shift)
    if empty:
        predicted[:] = np.nan
    folder.mkdir(exist_ok=True)
    parts = (("p", predicted, grid, units[0], days[0]), ("o", observed, GRID, units[1], days[1]))
    for name, values, where, unit, moved in parts:
        dates = times + np.timedelta64(moved, "D")
        write_series(folder / f"{name}.tif", values, where, dates, units=unit, label=f"Runoff, {name}")
    return CompareJob(predicted=str(folder / "p.tif"), observed=str(folder / "o.tif"))


def test_delta_and_bias_of_a_known_shift(tmp_path, new_run):
    run = carry_out("compare", compare, rasters(tmp_path / "in"), new_run)
    np.testing.assert_allclose(series_of(run, "delta.tif").values, 0.25, atol=1e-6)
    held = json.loads(run.scores_file.read_text())
    assert held["model"]["pooled"]["bias"] == pytest.approx(0.25, abs=1e-6)
    assert held["climatology"]["median_per_cell"]["nse"] == pytest.approx(0.0, abs=1e-5)
    kinds = [artifact.kind for artifact in run.artifacts()]
    assert kinds == ["predicted", "observed", "delta", "score-map", "score-map", "score-map", "scores", "report"]


def test_only_common_dates_are_compared(tmp_path, new_run):
    run = carry_out("compare", compare, rasters(tmp_path / "in", days=(3, 0)), new_run)
    assert len(series_of(run, "delta.tif").dates) == 17
    assert any("17 dates are in both" in text for text in texts(run))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"days": (100, 0)}, "share no date"),
        ({"grid": type(GRID)(GRID.crs, GRID.west + 10, GRID.north, 4000.0, 4000.0, 11, 14)}, "same grid"),
        ({"units": ("mm/d", "mm/h")}, "different units"),
        ({"empty": True}, "no value in common"),
    ],
)
def test_rasters_that_cannot_be_compared_are_refused(tmp_path, new_run, changes, sentence):
    with pytest.raises((DataError, ConfigError), match=sentence):
        carry_out("compare", compare, rasters(tmp_path / "in", **changes), new_run)


def test_a_stated_unit_overrules_the_files(tmp_path, new_run):
    job = rasters(tmp_path / "in", units=("mm/d", "mm/h")).replace(units="mm/d")
    run = carry_out("compare", compare, job, new_run)
    assert json.loads(run.scores_file.read_text())["target"]["units"] == "mm/d"


def test_ramp_follows_the_label():
    assert quantity_of("Soil moisture").name == "soil_moisture"
    assert quantity_of("Air temperature").name == "temperature"
    assert quantity_of("Runoff of the basin").name == "runoff"
