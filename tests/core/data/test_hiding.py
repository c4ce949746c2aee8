"""Hiding observed cells for models that fill gaps: nothing hidden can be seen, and judging hides the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts import ConfigError, TrainJob
from freshet.core.contracts.grid import Grid
from freshet.core.data.hiding import Hiding, nearest_source
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import Dataset, VariableInfo, write_dataset
from freshet.core.inference.predictor import Predictor
from freshet.core.training.model_file import build_from_card
from freshet.core.training.setup import build_card, splits_of, training_sets

STEPS, ROWS, COLUMNS = 60, 12, 10
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, COLUMNS, ROWS)
WET = VariableInfo("wet", "target", "soil_moisture", "-", "Wetness", filled_share=0.1, fill="linear")
RAIN = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain")


def write_gappy(path, change=None):
    """Soil moisture with gaps, some of them filled before, never seen in two columns; and rain."""
    rng = np.random.default_rng(5)
    wet = 0.5 + 0.2 * np.sin(np.arange(STEPS) / 5.0)[:, None, None] + 0.05 * rng.normal(size=(STEPS, ROWS, COLUMNS))
    wet[rng.random(wet.shape) < 0.3] = np.nan
    wet[20] = np.nan
    wet[:, :, 3:5] = np.nan
    filled = np.isfinite(wet) & (rng.random(wet.shape) < 0.1)
    wet = wet.astype(np.float32)
    if change is not None:
        change(wet)
    mask = np.ones((ROWS, COLUMNS), dtype=bool)
    mask[0] = False
    write_dataset(
        path,
        name="gappy",
        grid=GRID,
        times=np.datetime64("2001-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s"),
        step_seconds=86400.0,
        dynamic={"wet": (WET, wet), "rain": (RAIN, rng.gamma(0.5, 5.0, wet.shape).astype(np.float32))},
        static={},
        mask=mask,
        provenance={},
        filled={"wet": filled},
    )
    return path


def job_of(path, **changes):
    values = {
        "use": "fill-gaps", "datasets": [str(path)], "target": "wet", "inputs": ["rain", "wet"], "window": 5,
        "lead": -2, "model": {"family": "convlstm", "options": {"hidden": [3], "mask_channels": True}}, **changes,
    }  # fmt: skip
    return TrainJob.from_dict(values)


def ready(path, **changes):
    job = job_of(path, **changes)
    dataset = Dataset.open(path)
    splits = splits_of([dataset], job.split, job.window, job.lead, job.leads)
    card = build_card(job, [dataset], splits)
    return dataset, card, training_sets([dataset], splits, card)[0].data


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_gappy(tmp_path_factory.mktemp("gappy") / "gappy.nc")


@pytest.mark.parametrize("kind", ["cells", "blocks", "frames"])
def test_what_is_hidden_is_neither_in_the_input_nor_known_as_observed(path, kind):
    dataset, _, data = ready(path, hiding=kind)
    ends = np.array([10, 22, 31])
    batch = data.batch(ends)
    judged = np.isfinite(batch.y[:, 0, 0, 0])
    assert (judged == data.hidden(ends)[:, 0, 0]).all() and judged.any()
    place = data.window - 1 - 2
    assert (batch.x[:, place, 1][judged] == 0).all() and not batch.observed[:, place, 1][judged].any()
    truth = dataset.observed("wet")[ends - 2]
    known = np.isfinite(truth) & dataset.mask
    assert not (judged & ~known).any()
    for hidden, seen in zip(judged, known):
        share = 1.0 if kind == "frames" else 0.3
        assert hidden.sum() == (round(share * seen.sum()) if seen.any() else 0)
    rain = batch.x[:, :, 0]
    assert np.array_equal(rain, data.x[ends[:, None] + np.arange(-4, 1)][:, :, 0])


@pytest.mark.parametrize("kind", ["cells", "blocks", "frames"])
def test_hidden_values_do_not_reach_the_input_by_any_way(path, tmp_path, kind):
    """Neither cells that never have a value and take the nearest one's, nor what was filled in time before."""
    dataset, card, data = ready(path, hiding=kind)
    end = np.array([31])
    hidden = data.hidden(end)[0, 0, 0]

    def change(wet):
        wet[29][hidden] += 0.3

    _, other_card, other = ready(write_gappy(tmp_path / "changed.nc", change), hiding=kind)
    assert np.isfinite(data.y[29, 0][hidden]).all() and not np.allclose(data.y[29, 0][hidden], other.y[29, 0][hidden])
    # The scalers of the two saw different values, so the inputs are compared in the unit of the data.
    first, second = (
        Scaler.from_dict(held.inputs[1].scaler).inverse(data_.batch(end).x[0, :, 1])
        for held, data_ in ((card, data), (other_card, other))
    )
    gone = data.batch(end).x[0, :, 1] == 0
    assert np.array_equal(gone, other.batch(end).x[0, :, 1] == 0) and gone[2][hidden].all()
    assert np.allclose(first[~gone], second[~gone], atol=1e-5)
    never = ~np.isfinite(dataset.observed("wet")).any(axis=0)
    source = nearest_source(~never)
    copies = never & hidden.ravel()[source].reshape(hidden.shape)
    assert copies.any() and (data.batch(end).x[0, 2, 1][copies] == 0).all()
    assert not data.batch(end).observed[0, 2, 1][copies].any()


def test_changing_hidden_values_leaves_the_prediction_equal(path):
    dataset, card, data = ready(path)
    torch.manual_seed(0)
    module = build_from_card(card).eval()
    end = np.array([31])
    hidden = data.hidden(end)[0, 0]
    with Predictor((module, card), dataset, "cpu") as predictor:
        before = next(predictor.judged(end))
        changed = predictor.data.x[29, 1]
        # As the dataset would hold it: the copies in cells that never have a value change with their source.
        moved = hidden[0].ravel()[predictor.data.hiding.source[0]].reshape(changed.shape)
        changed[moved] += 5.0
        after = next(predictor.judged(end))
        assert np.array_equal(before.to_judge, after.to_judge, equal_nan=True)
        assert np.array_equal(before.where, after.where)
        # In use they are given, and matter.
        assert not np.array_equal(before.maps, after.maps, equal_nan=True)
        visible = np.isfinite(predictor.data.y[29, 0]) & ~hidden[0]
        predictor.data.x[29, 1][visible] += 5.0
        assert not np.array_equal(next(predictor.judged(end)).to_judge, after.to_judge, equal_nan=True)


def test_what_was_filled_before_is_missing_to_a_filling_model(path):
    dataset, _, data = ready(path)
    flags = dataset.filled("wet")
    assert flags.any() and (data.x[:, 1][flags] == 0).all() and not data.observed[:, 1][flags].any()
    assert np.isnan(data.y[:, 0][flags]).all()


def test_judging_hides_the_same_cells_each_time_and_training_others(path):
    _, _, data = ready(path)
    ends = np.array([10, 31])
    assert np.array_equal(data.batch(ends).y, data.batch(ends).y, equal_nan=True)
    # Whatever else is in the batch.
    assert np.array_equal(data.batch(ends).y[1:], data.batch(ends[1:]).y, equal_nan=True)
    epochs = [np.isfinite(data.batch(ends, seed=seed).y) for seed in (1, 1, 2)]
    assert (epochs[0] == epochs[1]).all() and (epochs[0] != epochs[2]).any()
    assert (np.isfinite(data.batch(ends).y) != epochs[0]).any()


def test_blocks_are_connected_and_cells_are_not(path):
    def neighbours(kind):
        _, _, data = ready(path, hiding=kind)
        full = Hiding(0.3, kind, (0,), np.ones((40, 1, 40, 40), dtype=bool), np.arange(1600)[None])
        index = np.arange(5)[None] + np.arange(20)[:, None]
        dates = np.datetime64("2001-01-01", "s") + np.arange(20) * np.timedelta64(86400, "s")
        hidden = full.draw(index, np.array([2]), dates, None)[:, 2]
        return (hidden[:, 1:] & hidden[:, :-1]).sum() / hidden.sum()

    assert neighbours("cells") < 0.4 < 0.7 < neighbours("blocks")


def test_whole_frames_hide_others_of_the_window_too_and_never_give_the_predicted_one(path):
    _, _, data = ready(path, hiding="frames", hidden_share=0.5)
    end = np.array([31])
    gone = ~data.batch(end).observed[0, :, 1].any(axis=(1, 2))
    assert gone[2] and gone.sum() == 3
    used = data.at_use().batch(end)
    assert not used.observed[0, 2, 1].any() and used.observed[0, [0, 1, 3, 4], 1].any(axis=(1, 2)).all()


def test_in_use_all_that_was_observed_is_given(path):
    _, _, data = ready(path)
    ends = np.array([10, 31])
    used = data.at_use().batch(ends)
    index = ends[:, None] + np.arange(-4, 1)
    assert np.array_equal(used.x, data.x[index]) and np.array_equal(used.observed, data.observed[index])


def test_tiles_hide_what_the_whole_frame_hides(path):
    dataset, card, _ = ready(path)
    torch.manual_seed(0)
    module = build_from_card(card).eval()
    ends = np.array([12, 31])
    with Predictor((module, card), dataset, "cpu") as whole:
        expected = [item.to_judge for item in whole.judged(ends)]
    with Predictor((module, card), dataset, "cpu", tile_px=3, whole_frame_cells=1) as tiled:
        found = [item.to_judge for item in tiled.judged(ends)]
        assert len(found) == 2  # one window at a time, in tiles
    assert np.allclose(np.concatenate(expected), np.concatenate(found), atol=1e-5, equal_nan=True)


def test_windows_of_a_negative_lead_predict_a_step_within_them(path):
    dataset, _, data = ready(path)
    ends = data.valid_ends(need_target=True)
    assert ends[0] == 4 and ends[-1] == STEPS - 1
    assert (data.target_times(ends)[:, 0] == dataset.times[ends - 2]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_share": 0.0, "use": ""}, "without a lag"),
        ({"hidden_share": 0.0, "use": "", "inputs": ["rain"]}, "nothing is hidden there"),
        ({"inputs": ["rain"], "use": "", "hidden_share": 0.3}, "cannot be hidden, as it is no input"),
        ({"lead": -5}, "steps from -4 to 0"),
        ({"leads": 4}, "steps within the window"),
        ({"lead": 1, "use": "", "hidden_share": 0.3}, "steps within the window"),
        ({"model": {"family": "convlstm"}, "use": "", "hidden_share": 0.3}, "not told what is hidden"),
        ({"model": {"family": "mc-convlstm"}}, "cannot tell what is hidden"),
        ({"training": {"supervised_steps": 2}}, "cannot take 'supervised steps'"),
        ({"run_through": True}, "cannot take 'run through'"),
    ],
)
def test_a_filling_model_that_cannot_be_is_refused(path, changes, words):
    with pytest.raises(ConfigError, match=words):
        job_of(path, **changes)
