"""Scalers: inverse, limits, reference values."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts import ConfigError, DataError
from freshet.core.data.scaling import Scaler

VALUES = np.random.default_rng(3).gamma(0.7, 12.0, 4000) - 1.0


@pytest.mark.parametrize("kind", ["standard", "min-max", "yeo-johnson", "log1p", "none"])
def test_the_inverse_gives_the_values_back(kind):
    scaler = Scaler.fit(kind, VALUES)
    assert np.allclose(scaler.inverse(scaler.transform(VALUES)), VALUES, rtol=1e-4, atol=1e-3)
    again = Scaler.from_dict(scaler.to_dict())
    assert np.array_equal(again.transform(VALUES), scaler.transform(VALUES))


def test_standard_and_min_max_do_what_their_names_say():
    standard, least_most = (
        Scaler.fit("standard", VALUES).transform(VALUES),
        Scaler.fit("min-max", VALUES).transform(VALUES),
    )
    assert abs(standard.mean()) < 1e-5 and abs(standard.std() - 1) < 1e-5
    assert least_most.min() == 0 and least_most.max() == pytest.approx(1)


def test_yeo_johnson_equals_the_reference():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    scaler = Scaler.fit("yeo-johnson", VALUES)
    reference = preprocessing.PowerTransformer().fit_transform(VALUES[:, None])[:, 0]
    assert np.allclose(scaler.transform(VALUES), reference, atol=2e-3)


@pytest.mark.parametrize("kind", ["standard", "min-max", "yeo-johnson", "log1p"])
def test_a_constant_variable_becomes_zero(kind):
    scaler = Scaler.fit(kind, np.full(10, 7.0))
    assert np.allclose(scaler.transform(np.full(3, 7.0)), 0) and np.allclose(
        scaler.inverse(np.zeros(3)), 7.0, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["yeo-johnson", "log1p"])
def test_a_wild_prediction_does_not_run_away(kind):
    scaler = Scaler.fit(kind, VALUES)
    wild = scaler.inverse(np.array([1e6, -1e6, np.nan]))
    assert np.isfinite(wild[:2]).all() and np.isnan(wild[2]) and wild[0] < 1e6


def test_missing_values_stay_missing_and_are_left_out_of_the_fit():
    scaler = Scaler.fit("standard", np.array([1.0, np.nan, 3.0]))
    assert scaler.shift == 2.0 and np.isnan(scaler.transform(np.array([np.nan]))[0])


def test_nothing_to_fit_and_unknown_kinds_are_refused():
    with pytest.raises(DataError, match="no value"):
        Scaler.fit("standard", np.array([np.nan]))
    with pytest.raises(ConfigError, match="no scaler 'box-cox'"):
        Scaler.fit("box-cox", VALUES)


def test_a_map_of_classes_gets_a_channel_for_each_class_and_a_new_class_is_none_of_them():
    scaler = Scaler.fit("one-hot", np.array([[3.0, 7.0], [np.nan, 3.0]]))
    channels = Scaler.from_dict(scaler.to_dict()).channels(np.array([[7.0, 3.0], [9.0, np.nan]]))
    assert channels.tolist() == [[[0, 1], [0, 0]], [[1, 0], [0, 0]]]
    with pytest.raises(DataError, match="too many"):
        Scaler.fit("one-hot", np.arange(100.0))
