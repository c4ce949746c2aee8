"""Windows by date: no leak, no bridge over a gap."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts import DataError, PeriodConfig, SplitConfig
from freshet.core.data.splits import period_steps, split_windows, window_ends

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
