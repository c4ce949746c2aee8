"""Windows by date: no leak, no bridge over a gap."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts import ConfigError, DataError, PeriodConfig, SplitConfig
from freshet.core.contracts.steps import MONTH
from freshet.core.data.splits import period_steps, sequence_roles, split_of_rest, split_windows, window_ends

DAY = 86400.0


def days(count, start="2001-01-01"):
    return np.datetime64(start, "s") + np.arange(count) * np.timedelta64(86400, "s")


@pytest.mark.parametrize(("lead", "leads"), [(0, 1), (1, 1), (3, 4)])
def test_no_training_window_holds_a_target_of_validation_or_test(lead, leads):
    times, window = days(200), 20
    split = split_windows(times, DAY, SplitConfig(), window, lead, leads)
    seen = {s for e in split.train for s in (*range(e - window + 1, e + 1), *range(e + lead, e + lead + leads))}
    for ends in (split.validation, split.test):
        assert len(ends)
        assert not seen & {s for e in ends for s in range(e + lead, e + lead + leads)}


def test_the_last_fifth_tests_and_each_target_belongs_to_its_period():
    split = split_windows(days(1461, "1990-01-01"), DAY, SplitConfig(), 30, 0, 1)
    assert days(1461, "1990-01-01")[split.test[0]] == np.datetime64("1993-03-15") and len(split.test) == 292
    assert split.train_steps[split.train].all() and split.validation_steps[split.validation].all()


def test_dates_rule_where_given_and_a_test_period_may_come_first():
    config = SplitConfig(
        test=PeriodConfig("2001-01-01", "2001-02-28"),
        validation=PeriodConfig("2001-03-01", "2001-04-30"),
        train=PeriodConfig("2001-05-01", ""),
    )
    split = split_windows(days(300), DAY, config, 10, 0, 1)
    assert (split.train - 9 >= 120).all(), "a training window lies whole in its period"
    assert not (split.test_steps[split.validation - 9]).any(), "a validation window holds no step of the test period"
    assert split.test[0] == 9


def test_overlapping_periods_are_refused():
    config = SplitConfig(
        train=PeriodConfig("2001-01-01", "2001-06-30"),
        validation=PeriodConfig("2001-06-01", "2001-07-30"),
        test=PeriodConfig("2001-08-01", ""),
    )
    with pytest.raises(DataError, match="overlaps the validation period"):
        split_windows(days(300), DAY, config, 10, 0, 1)


def test_no_window_bridges_a_gap():
    times = np.concatenate([days(15), days(15, "2001-03-01")])
    ends = window_ends(times, DAY, 10, 1, 1)
    assert list(ends) == [9, 10, 11, 12, 13, 24, 25, 26, 27, 28]


def test_a_window_longer_than_the_series_is_refused_in_words():
    with pytest.raises(DataError, match="longer than the series.*at least 41 steps.*Found: 40 steps"):
        window_ends(days(40), DAY, 40, 1, 1)
    with pytest.raises(DataError, match="between the gaps"):
        window_ends(np.concatenate([days(5), days(5, "2002-01-01")]), DAY, 6, 0, 1)
    with pytest.raises(DataError, match="within the training period"):
        split_windows(days(40), DAY, SplitConfig(test_share=0.5, validation_share=0.2), 20, 0, 1)


def test_without_a_target_the_last_windows_predict_past_the_record():
    assert window_ends(days(20), DAY, 10, 3, 2, need_target=False)[-1] == 19
    assert window_ends(days(20), DAY, 10, 3, 2)[-1] == 15


def test_a_period_holds_both_its_ends_also_within_a_day():
    times = np.datetime64("2001-01-01", "s") + np.arange(24) * np.timedelta64(21600, "s")
    assert period_steps(times, PeriodConfig("2001-01-02", "2001-01-03")).sum() == 8


def test_months_in_a_row_are_no_gap_and_a_missing_one_is():
    months = np.datetime64("2003-10", "M") + np.arange(12)
    assert list(window_ends(months.astype("datetime64[s]"), MONTH, 4, 1, 1)) == list(range(3, 11))
    broken = np.delete(months, 5).astype("datetime64[s]")
    assert list(window_ends(broken, MONTH, 4, 1, 1)) == [3, 8, 9]
    years = (np.datetime64("2000", "Y") + np.array([0, 1, 2, 4, 5, 6])).astype("datetime64[s]")
    assert list(window_ends(years, 12 * MONTH, 2, 1, 1)) == [1, 4]


def test_steps_of_seconds_and_halves_of_them_keep_their_gaps():
    times = np.datetime64("2001-01-01", "s") + np.array([0, 300, 600, 1200, 1500]) * np.timedelta64(1, "s")
    assert list(window_ends(times, 300.0, 2, 0, 1)) == [1, 2, 4]


NAMES = ["may", "june", "test_1", "test_2", "May"]


@pytest.mark.parametrize(
    ("split", "roles"),
    [
        ({}, ["", "", "", "", ""]),
        ({"test_sequences": ("test_*",)}, ["", "", "test", "test", ""]),
        (
            {"test_sequences": ("test_?",), "validation_sequences": ("may",)},
            ["validation", "train", "test", "test", "train"],
        ),
        ({"validation_sequences": ("june", "[mM]ay")}, ["validation", "validation", "", "", "validation"]),
    ],
)  # fmt: skip
def test_whole_sequences_have_one_role(split, roles):
    assert sequence_roles(NAMES, SplitConfig(**split)) == roles


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ({"test_sequences": ("Test*",)}, "No sequence for test is called 'Test\\*'.*may, june, test_1"),
        ({"test_sequences": ("test_1", "test_9")}, "'test_9'"),
        ({"test_sequences": ("*",)}, "left to train on.*0 of 5 for validation, 5 for test"),
        ({"test_sequences": ("test*",), "validation_sequences": ("*y", "june")}, "left to train on"),
        ({"test_sequences": ("test*",), "validation_sequences": ("test_2",)}, "'test_2' is named for validation and"),
    ],
)
def test_patterns_that_match_nothing_or_too_much_are_refused(split, told):
    with pytest.raises(ConfigError, match=told):
        sequence_roles(NAMES, SplitConfig(**split))


def test_dates_and_sequences_are_not_mixed():
    periods = {name: PeriodConfig() for name in ("train", "validation", "test")}
    with pytest.raises(ConfigError, match="Both periods and whole sequences"):
        SplitConfig(test_sequences=("test*",), **periods)


def test_a_whole_sequence_gives_windows_of_its_role_only():
    times = days(40)
    for role in ("train", "validation", "test"):
        split = split_windows(times, DAY, SplitConfig(), 10, 1, 2, role)
        for other in ("train", "validation", "test"):
            assert len(getattr(split, other)) == (29 if other == role else 0)
            assert getattr(split, f"{other}_steps").all() == (other == role)


def test_the_rest_keeps_no_share_for_what_has_sequences_of_its_own():
    rest = split_of_rest(SplitConfig(test_sequences=("a",)))
    split = split_windows(days(100), DAY, rest, 10, 0, 1)
    assert len(split.test) == 0 and not split.test_steps.any() and split.validation_steps.sum() == 15
    assert split_of_rest(SplitConfig(validation_sequences=("a",))).validation_share == 0.0
