"""The predictor: what a module gives, in the target's unit, the same in tiles as in one frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from freshet.core.contracts import DataError, ModelFileError
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import Dataset
from freshet.core.inference.predictor import Predictor
from freshet.core.inference.tiles import tiles_of
from freshet.core.training.model_file import load_model

from .conftest import make_dataset, make_model


def all_maps(predictor, ends):
    return np.concatenate([maps for _, maps in predictor.predict(ends)])


def test_prediction_is_the_modules_output_in_the_unit_of_the_target(model_path, dataset_path):
    module, card = load_model(model_path)
    with Predictor(model_path, dataset_path, "cpu", batch=3) as predictor:
        ends = predictor.data.valid_ends()[10:17]
        got = all_maps(predictor, ends)
        batch = predictor.data.batch(ends)
    with torch.inference_mode():
        y_hat = module(torch.from_numpy(batch.x), torch.from_numpy(batch.static.copy()))["y_hat"].numpy()
    expected = Scaler.from_dict(card.target.scaler).inverse(y_hat[:, :, 0])
    inside = predictor.data.mask
    np.testing.assert_allclose(got[:, :, inside], expected[:, :, inside], atol=1e-6)
    assert np.isnan(got[:, :, ~inside]).all() and np.isfinite(got[:, :, inside]).all()


def test_batches_do_not_change_the_maps(model_path, dataset_path):
    with (
        Predictor(model_path, dataset_path, "cpu", batch=1) as one,
        Predictor(model_path, dataset_path, "cpu", batch=7) as many,
    ):
        ends = one.data.valid_ends()[:15]
        np.testing.assert_allclose(all_maps(one, ends), all_maps(many, ends), atol=1e-6)


@pytest.fixture(scope="module")
def short_window(place, dataset_path):
    """A window so short that the halo is smaller than the frame."""
    return make_model(place / "short.safetensors", dataset_path, window=2)


def test_tiles_equal_the_whole_frame(short_window, dataset_path):
    with Predictor(short_window, dataset_path, "cpu") as whole:
        with Predictor(short_window, dataset_path, "cpu", tile_px=4, whole_frame_cells=1) as tiled:
            ends = whole.data.valid_ends()[5:9]
            assert len(whole.tiles) == 1 and len(tiled.tiles) == 12
            np.testing.assert_allclose(all_maps(tiled, ends), all_maps(whole, ends), atol=1e-6)


def test_a_halo_one_cell_short_would_be_noticed(short_window, dataset_path):
    with Predictor(short_window, dataset_path, "cpu") as whole:
        with Predictor(short_window, dataset_path, "cpu", tile_px=4, whole_frame_cells=1) as tiled:
            tiled.tiles = tiles_of(tiled.data.mask.shape, 4, tiled._halo() - 1, 1)
            ends = whole.data.valid_ends()[5:9]
            assert np.nanmax(np.abs(all_maps(tiled, ends) - all_maps(whole, ends))) > 1e-6


def test_a_model_that_sees_the_whole_frame_is_never_tiled():
    assert len(tiles_of((600, 600), 256, 1_000_000, 1)) == 1
    assert len(tiles_of((600, 600), 256, None, 1)) == 1


def test_tiles_cover_every_cell_once():
    count = np.zeros((37, 23), dtype=int)
    for (rows, columns), _ in tiles_of((37, 23), 8, 3, 1):
        count[rows, columns] += 1
    assert (count == 1).all()


def test_dates_are_those_of_the_targets(place, dataset_path):
    path = make_model(place / "ahead.safetensors", dataset_path, lead=3, window=4)
    with Predictor(path, dataset_path, "cpu") as predictor:
        assert predictor.dates[0] == predictor.dataset.times[3 + 3]
        assert predictor.dates[-1] == predictor.dataset.times[-1] + np.timedelta64(3, "D")


def test_an_open_dataset_is_left_open_and_a_path_is_closed(model_path, dataset_path):
    with Dataset.open(dataset_path) as dataset:
        Predictor(load_model(model_path), dataset, "cpu").close()
        assert dataset.dynamic("rain", 0, 1).shape[0] == 1
    predictor = Predictor(model_path, dataset_path, "cpu")
    predictor.close()
    assert predictor.dataset._handle is None


def test_missing_variable_is_named_with_what_is_there(place, model_path):
    path = make_dataset(place / "dry.nc", leave_out=("rain",))
    with pytest.raises(DataError) as caught:
        Predictor(model_path, path, "cpu")
    assert "rain (mm/d)" in str(caught.value) and "warmth (degC)" in caught.value.got


def test_another_unit_is_refused(place, model_path):
    with pytest.raises(DataError, match="another unit"):
        Predictor(model_path, make_dataset(place / "cm.nc", rain_units="cm/d"), "cpu")


def test_another_step_is_refused(place, model_path):
    with pytest.raises(DataError, match="step differs"):
        Predictor(model_path, make_dataset(place / "hourly.nc", step_seconds=3600), "cpu")


def test_a_file_that_is_no_model_is_refused(tmp_path, dataset_path):
    (tmp_path / "m.safetensors").write_bytes(b"nothing of ours, in any way")
    with pytest.raises(ModelFileError):
        Predictor(tmp_path / "m.safetensors", dataset_path, "cpu")


def test_the_module_is_in_evaluation_mode(model_path, dataset_path):
    module, card = load_model(model_path)
    module.train()
    with Predictor((module, dataclasses.replace(card)), dataset_path, "cpu") as predictor:
        assert not predictor.module.training
