"""What a model sees of a dataset."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, DataError, TrainJob  # noqa: E402
from freshet.core.contracts.steps import MONTH  # noqa: E402
from freshet.core.data.scaling import Scaler  # noqa: E402
from freshet.core.data.store import Dataset, Gauges, VariableInfo, write_dataset  # noqa: E402
from freshet.core.data.windows import build_window_data, season_of  # noqa: E402
from freshet.core.training.setup import build_card, splits_of, training_sets  # noqa: E402


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc")


def job_of(path, **changes):
    values = {
        "datasets": [str(path)],
        "target": "store",
        "inputs": ["rain", "warmth"],
        "static": ["height"],
        "window": 8,
    }
    return TrainJob.from_dict({**values, **changes})


def sets_of(job):
    datasets = [Dataset.open(p) for p in job.datasets]
    splits = splits_of(datasets, job.split, job.window, job.lead, job.leads)
    card = build_card(job, datasets, splits)
    return datasets, card, training_sets(datasets, splits, card)


def test_a_window_holds_its_steps_and_its_target(path):
    (dataset,), card, (item,) = sets_of(job_of(path, lead=1, leads=2, season=True))
    batch = item.data.batch(np.array([20, 33]), supervised_steps=3)
    assert (
        batch.x.shape == (2, 8, 4, 6, 5) and batch.static.shape == (2, 1, 6, 5) and batch.y.shape == (2, 3, 2, 1, 6, 5)
    )
    rain = Scaler.from_dict(card.inputs[0].scaler).transform(dataset.dynamic("rain"))
    assert np.array_equal(batch.x[1, :, 0], rain[26:34])
    assert np.array_equal(batch.x[0, :, 2:, 0, 0], season_of(dataset.times)[13:21])
    truth = Scaler.from_dict(card.target.scaler).transform(dataset.dynamic("store"))
    inside = np.isfinite(batch.y[0, 2, 0, 0])
    assert np.array_equal(batch.y[0, 2, 0, 0][inside], truth[21][inside]) and np.array_equal(
        batch.y[1, 0, 1, 0][inside], truth[33][inside]
    )


def test_scalers_do_not_see_validation_or_test(path, tmp_path):
    import shutil

    import netCDF4

    changed = tmp_path / "changed.nc"
    shutil.copy(path, changed)
    (dataset,), before, _ = sets_of(job_of(changed))
    dataset.close()
    with netCDF4.Dataset(changed, "r+") as handle:
        handle["rain"][60:] = 5000.0
        handle["store"][60:] = 5000.0
    after = sets_of(job_of(changed))[1]
    assert after.inputs == before.inputs and after.target == before.target


def test_cells_outside_the_mask_and_missing_ones_are_no_targets(path):
    _, _, (item,) = sets_of(job_of(path))
    y = item.data.batch(np.array([14, 15])).y
    assert np.isnan(y[..., -1]).all() and np.isnan(y[0, 0, 0, 0, 0, 0]) and np.isfinite(y[1, 0, 0, 0, 0, 0])


def test_missing_inputs_become_the_mean_and_are_told(tmp_path):
    import netCDF4

    path = write_toy_dataset(tmp_path / "gap.nc")
    with netCDF4.Dataset(path, "r+") as handle:
        handle["rain"][30, 2, 2] = np.ma.masked
    _, _, (item,) = sets_of(job_of(path))
    batch = item.data.batch(np.array([30]))
    assert batch.x[0, -1, 0, 2, 2] == 0 and not batch.observed[0, -1, 0, 2, 2] and batch.observed[0, -1, 2:].all()


def test_the_season_turns_once_a_year():
    times = np.array(["2001-01-01", "2002-01-01", "2001-07-02T15:00"], dtype="datetime64[s]")
    season = season_of(times)
    assert np.allclose(season[0], season[1], atol=1e-6) and np.allclose(season[2], [0, -1], atol=5e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": ["rain", "snow"]}, "has no variable 'snow'"),
        ({"inputs": ["rain", "height"], "static": []}, "does not vary"),
        ({"static": ["warmth"], "inputs": ["rain"]}, "varies"),
        ({"scalers": {"snow": "none"}}, "does not use"),
        ({"window": 90}, "longer than the series"),
    ],
)
def test_a_job_that_the_dataset_cannot_serve_is_refused(path, changes, words):
    with pytest.raises(ValueError, match=words):
        sets_of(job_of(path, **changes))


def test_a_dataset_that_lacks_what_a_model_needs_is_refused(path, tmp_path):
    _, card, _ = sets_of(job_of(path))
    dataset = Dataset.open(path)
    with pytest.raises(DataError, match=r"lacks what the model needs: snow \(mm\)"):
        build_window_data(dataset, card.replace(static=(card.static[0].replace(name="snow", units="mm"),)))
    with pytest.raises(DataError, match="another unit.*Expected: m/d"):
        build_window_data(dataset, card.replace(inputs=(card.inputs[0].replace(units="m/d"),)))
    with pytest.raises(DataError, match="step differs"):
        build_window_data(dataset, card.replace(step_seconds=3600.0))


def test_cells_that_never_have_a_value_take_the_nearest_one_and_stay_unobserved(tmp_path):
    import netCDF4

    path = write_toy_dataset(tmp_path / "rim.nc")
    with netCDF4.Dataset(path, "r+") as handle:
        handle["rain"][:, :, 4] = np.ma.masked
        handle["height"][:, 4] = np.ma.masked
    _, _, (item,) = sets_of(job_of(path))
    batch = item.data.batch(np.array([30]))
    assert np.array_equal(batch.x[0, :, 0, :, 4], batch.x[0, :, 0, :, 3]) and not batch.observed[0, :, 0, :, 4].any()
    assert np.array_equal(batch.static[0, 0, :, 4], batch.static[0, 0, :, 3])


def _with_flags(path, step_seconds=86400.0, **changes):
    """Rain and store on 3 x 4 cells; step 20 of both is filled in one cell."""
    from freshet.core.contracts.grid import Grid

    rng = np.random.default_rng(0)
    rain, store = rng.gamma(0.5, 4.0, (60, 3, 4)).astype("f4"), rng.normal(10, 2, (60, 3, 4)).astype("f4")
    flags = np.zeros(rain.shape, dtype=bool)
    flags[20, 1, 2] = True
    rain[20, 1, 2] = store[20, 1, 2] = 500.0
    times = np.datetime64("2001-01-01", "s") + np.arange(60) * np.timedelta64(86400, "s")
    grid = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 4, 3)
    arguments = {
        "name": "Flags", "grid": grid, "times": times, "step_seconds": step_seconds,
        "dynamic": {
            "rain": (VariableInfo("rain", "input", "precipitation", "mm/d", fill="linear"), rain),
            "store": (VariableInfo("store", "target", "soil_water", "mm", fill="linear"), store),
        },
        "static": {}, "mask": np.ones((3, 4), dtype=bool), "provenance": {},
        "filled": {"rain": flags, "store": flags},
    }  # fmt: skip
    write_dataset(path, **{**arguments, **changes})
    return path


def test_filled_values_are_read_but_never_observed(tmp_path):
    job = job_of(_with_flags(tmp_path / "f.nc"), inputs=["rain"], static=[], scalers={"rain": "none", "store": "none"})
    (dataset,), card, (item,) = sets_of(job)
    batch = item.data.batch(np.array([20]))
    assert batch.x[0, -1, 0, 1, 2] == 500.0 and not batch.observed[0, -1, 0, 1, 2]
    assert batch.observed.sum() == batch.observed.size - 1
    assert np.isnan(batch.y[0, 0, 0, 0, 1, 2]) and np.isfinite(batch.y).sum() == 11
    assert card.inputs[0].maximum < 100 and card.target.maximum < 100, "no scaler or range takes a filled value"
    values = dataset.observed("store")
    assert np.isnan(values[20, 1, 2]) and np.isfinite(values).sum() == values.size - 1


def test_targets_of_months_are_dated_by_the_calendar(tmp_path):
    times = (np.datetime64("2001-01", "M") + np.arange(60)).astype("datetime64[s]")
    path = _with_flags(tmp_path / "m.nc", step_seconds=MONTH, times=times)
    _, card, (item,) = sets_of(job_of(path, inputs=["rain"], static=[], lead=1, leads=2))
    dates = item.data.target_times(np.array([10, 59]))
    assert dates.astype("datetime64[D]").astype(str).tolist() == [
        ["2001-12-01", "2002-01-01"],
        ["2006-01-01", "2006-02-01"],
    ]
    assert card.step_seconds == MONTH
    with Dataset.open(path) as dataset, pytest.raises(DataError, match="step differs.*Expected: 1 day.*Found: 1 month"):
        build_window_data(dataset, card.replace(step_seconds=86400.0))


def test_series_at_gauges_are_no_maps_to_a_model(tmp_path):
    from freshet.core.contracts.grid import Grid

    grid = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 4, 3)
    path = _with_flags(
        tmp_path / "g.nc",
        dynamic={
            "rain": (VariableInfo("rain", units="mm/d", quantity="precipitation"), np.ones((60, 3, 4))),
            "store": (VariableInfo("store", "target", "discharge", "m3/s", gauges=True), np.ones((60, 2))),
        },
        filled=None,
        gauges=Gauges.on(grid, ["a", "b"], [np.nan, np.nan], [np.nan, np.nan]),
    )
    with pytest.raises(ConfigError, match="'convlstm' cannot predict 'store', which is a series at gauges"):
        sets_of(job_of(path, inputs=["rain"], static=[]))
    with pytest.raises(DataError, match="'store' of 'Flags' is a series at 2 gauges, not a map"):
        sets_of(job_of(path, inputs=["rain", "store"], lead=1, static=[], model={"family": "lstm"}))
