"""Shares of contribution: those of a line are known, by variable, season and steps back."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from freshet.core.contracts import SharesJob
from freshet.core.contracts.errors import ConfigError, DataError, ModelFileError
from freshet.core.explain.shares import ALL, Shares, shares

from .question_world import (
    CELL,
    FIXED,
    IDS,
    MASK,
    STEPS,
    TIMES,
    WEIGHTS,
    WINDOW,
    Line,
    ask,
    gauge_card,
    hand_over,
    line_card,
    texts,
    values,
    write_basin,
)

NAMES = ("rain", "temp", "noise", "dem")


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    return write_basin(tmp_path_factory.mktemp("line") / "basin.nc", values())


def job_on(basin, **changes) -> SharesJob:
    return SharesJob.from_dict({"model": "line", "dataset": str(basin), "device": "cpu", "steps": 2, **changes})


def sizes_of(ends, cells) -> tuple[np.ndarray, np.ndarray]:
    """|contribution| of the mean of ``cells``: of each date, variable and step (n, 3, T), and of the map (n,)."""
    v, found = values(), np.zeros((len(ends), 3, WINDOW))
    for channel, name in enumerate(NAMES[:3]):
        mean = v[name][:, MASK].mean(dtype=np.float64)
        for number, end in enumerate(ends):
            window = v[name][end - WINDOW + 1 : end + 1][:, cells].mean(axis=1) - mean
            found[number, channel] = np.abs(window * WEIGHTS[:, channel])
    fixed = abs(FIXED * (v["dem"][cells].mean() - v["dem"][MASK].mean()))
    return found, np.full(len(ends), fixed)


@pytest.mark.parametrize("place", ["cell", "basin"])
def test_shares_are_those_of_the_line(basin, tmp_path, monkeypatch, place):
    hand_over(monkeypatch, Line(), line_card(values()))
    cells = MASK.copy()
    if place == "cell":
        cells[:] = False
        cells[3, 3] = True
    run, events, made = ask(shares, job_on(basin, dates=1000, **(CELL if place == "cell" else {})), tmp_path)
    ends = np.arange(WINDOW - 1, STEPS)
    steps, fixed = sizes_of(ends, cells)
    total = steps.sum(axis=(1, 2)) + fixed
    expected = [*(steps.sum(axis=2) / total[:, None]).mean(axis=0), (fixed / total).mean()]
    facts = json.loads((run.results / "shares.json").read_text())
    np.testing.assert_allclose([facts["by_season"][ALL][name] for name in NAMES], expected, atol=1e-5)
    assert sum(facts["by_season"][ALL].values()) == pytest.approx(1.0)
    along = (steps / total[:, None, None]).mean(axis=0)[:, ::-1].cumsum(axis=1)
    assert facts["steps_back"] == [0, 1, 2, 3] and set(facts["cumulative"]) == {"rain", "temp"}
    np.testing.assert_allclose(facts["cumulative"]["rain"], along[0], atol=1e-5)
    np.testing.assert_allclose(facts["cumulative"]["temp"], along[1], atol=1e-5)
    assert set(facts["by_season"]) == {ALL, "Dec-Feb", "Mar-May"} and facts["residual_share_most"] < 1e-4
    winter = np.isin(TIMES[ends].astype("datetime64[M]").astype(int) % 12, (0, 1, 11))
    share = (steps[winter].sum(axis=2) / total[winter, None]).mean(axis=0)
    assert facts["by_season"]["Dec-Feb"]["temp"] == pytest.approx(share[1], abs=1e-5)
    with open(run.results / "shares.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 3 * 4 and rows[0]["season"] == ALL
    assert {"results/shares.png", "results/cumulative.csv", "report.html"} <= set(made)
    assert any("Shares over 117 dates" in text for text in texts(events))
    assert any("cost" in event.values for event in events)


def test_seasons_are_those_of_the_predicted_dates():
    dates = np.array(["2001-12-31", "2001-02-28", "2001-03-01", "2001-08-31", "2001-09-01"], dtype="datetime64[s]")
    whole = np.eye(5)
    found = Shares(tuple("abcde"), tuple("abcde"), dates, whole, np.zeros((5, 5, 1)), np.zeros(5))
    seasons = found.by_season()
    assert list(seasons) == [ALL, "Dec-Feb", "Mar-May", "Jun-Aug", "Sep-Nov"]
    assert seasons["Dec-Feb"] == dict(zip("abcde", (0.5, 0.5, 0.0, 0.0, 0.0))) and seasons["Sep-Nov"]["e"] == 1.0


def test_a_gauge_and_the_mean_of_all_gauges(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(gauges=len(IDS)), gauge_card(values()))
    ends = np.arange(WINDOW - 1, STEPS)
    steps, fixed = sizes_of(ends, MASK)
    total = steps.sum(axis=(1, 2)) + fixed
    run, _, _ = ask(shares, job_on(basin, dates=1000, gauge="upper"), tmp_path)
    facts = json.loads((run.results / "shares.json").read_text())
    assert facts["by_season"][ALL]["rain"] == pytest.approx((steps[:, 0].sum(axis=1) / total).mean(), abs=1e-5)
    run, _, _ = ask(shares, job_on(basin, dates=5), tmp_path)
    assert json.loads((run.results / "shares.json").read_text())["place"]["gauges"] == 2
    with pytest.raises(DataError, match="no gauge|other"):
        ask(shares, job_on(basin, gauge="nowhere"), tmp_path)


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"x": 1.0, "y": 1.0}, DataError, "outside the grid"),
        ({"period": {"start": "1990-01-01", "end": "1990-02-01"}}, DataError, "No date of the period"),
        ({"polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}, DataError, "centre of no cell"),
        ({"target": "snow"}, ConfigError, "does not predict 'snow'"),
    ],
)
def test_faults_are_told_before_anything_is_written(basin, tmp_path, monkeypatch, changes, error, words):
    hand_over(monkeypatch, Line(), line_card(values()))
    with pytest.raises(error, match=words):
        ask(shares, job_on(basin, **changes), tmp_path)
    assert not list(tmp_path.rglob("*.csv"))


def test_a_model_without_gradients_is_told_what_else_to_do(basin, tmp_path, monkeypatch):
    import dataclasses

    from freshet.core.contracts import question_checks
    from freshet.core.contracts.models import family

    hand_over(monkeypatch, Line(), line_card(values()))
    flat = dataclasses.replace(family("cnn"), differentiable=False)
    monkeypatch.setattr(question_checks, "family", lambda name: flat)
    with pytest.raises(ModelFileError, match="no gradients.*permutation importance"):
        ask(shares, job_on(basin), tmp_path)


@pytest.mark.parametrize("changes", [{"x": 1.0}, {"x": 1.0, "y": 1.0, "gauge": "a"}, {"polygon": "p", "gauge": "a"}])
def test_a_job_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ConfigError):
        SharesJob.from_dict({"model": "m", "dataset": "d", **changes})
