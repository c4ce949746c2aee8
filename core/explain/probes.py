"""Probes: does a model know of a variable that it was never trained on?

A ridge regression from the states of a layer to the variable (Hewitt and Liang 2019, doi:10.18653/v1/D19-1275; Lees et
al. 2022, doi:10.5194/hess-26-3079-2022). Where states are maps, one regression serves all cells, so that it has no room
to learn the map by heart; where they are vectors, or the variable is a series, the basin's mean or each gauge has one.

Fitted on one period, judged on another. Beside it stand the plain spatial mean, which needs no model, and the same
probe on states shuffled in time, which tells what the number of states and their mean pattern give alone.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch

from ..contracts import PeriodConfig, ProbeJob
from ..contracts.errors import ConfigError, DataError
from ..contracts.events import Event
from ..contracts.run_folder import RunFolder
from ..data.splits import period_steps
from ..inference.artifacts import message, progress
from ..inference.geotiff import iso
from ..metrics.scores import Scores
from .asking import Subject, cost_event, known_period, need_a_variable, spread, subject_of
from .ridge import Sums, choose_penalty, with_one
from .session import Session
from .states import basin_mean, captured, need_states, on_grid

_LATE_SHARE = 0.25  # of the dates to fit on, the last ones, choose the penalty and the best layer
_FEWEST = (8, 3)  # dates to fit on, dates to judge on


@dataclass(frozen=True)
class Truth:
    """The variable that is looked for: ``values`` float32 (T, rows, O), NaN where missing. For maps the rows are the
    cells of the basin and O is 1; for a series there is one row and an output a gauge, or one for the basin's mean.
    """

    values: np.ndarray
    maps: bool
    names: tuple[str, ...]


@dataclass
class Probe:
    """One state and its regressions: output 0 .. O - 1 the probe, then O for each shuffled control."""

    state: str
    maps: bool
    channels: int
    early: Sums
    late: Sums
    penalty: float = 0.0
    late_error: float = np.inf
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scores: list[Scores] = field(default_factory=list)
    found: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Probed:
    """The answer. ``dates`` those judged on; ``probes`` by their order in the model; ``references`` r of plain spatial
    means by name; ``truth`` and ``found`` (n, rows, O) of the best probe.
    """

    subject: Subject
    variable: str
    dates: np.ndarray
    fitted_on: np.ndarray
    probes: list[Probe]
    best: Probe
    references: dict[str, Optional[float]]
    truth: Truth
    judged: np.ndarray
    found: np.ndarray
    notes: list[str]


def probe(job: ProbeJob, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    """``probe.csv``, ``.json``, ``.png``, ``.svg``, ``report.html``, and the best probe's prediction: ``probe.tif`` (a
    band a date), or ``probe_series.csv`` for series.

    A ``session`` keeps model and dataset loaded from one question to the next.

    Raises :class:`DataError` where the dataset lacks the variable or enough dates, :class:`ModelFileError` where the
    model has no states, :class:`ConfigError` where a layer is not there.
    """
    from .probe_files import write

    yield progress(0.0, "Reading the model and the dataset")
    with subject_of(job, run, session) as subject:
        need_a_variable(subject.dataset, job.variable)
        notes = list(doubts(subject, job.variable))
        ends, judged_ends = split_ends(subject, job)
        yield message(
            f"Fitted on {len(ends)} dates from {iso(subject.data.times[ends[0]])}, judged on {len(judged_ends)} dates "
            f"from {iso(subject.data.times[judged_ends[0]])}. Device {subject.predictor.why_device}."
        )
        for note in notes:
            yield message(note, "warning")
        probed = yield from measure(subject, job, ends, judged_ends, notes)
        yield from write(probed, job, run)


def doubts(subject: Subject, name: str) -> Iterator[str]:
    """What has to be said where the variable is nothing new to the model."""
    card = subject.card
    if name in {variable.name for variable in (*card.inputs, *card.ahead)}:
        yield f"The model reads '{name}' itself: a probe shows that it is kept, not that it was inferred."
    if name in {variable.name for variable in card.targets}:
        yield f"The model was trained on '{name}': a probe that finds it shows nothing new."


def split_ends(subject: Subject, job: ProbeJob) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the windows to fit on and to judge on. No window to fit on lies within a window's length of one to judge
    on. Raises :class:`DataError` where too few are left.
    """
    data, window = subject.data, subject.card.window
    ends = data.valid_ends()
    times = data.times[ends]
    judged = _within(ends, times, job.period) if _given(job.period) else None
    known = known_period(subject, "test")
    if judged is None and known is not None:
        judged = ends[period_steps(subject.dates(ends), known)]
    if judged is None or not len(judged):
        judged = ends[len(ends) - round(0.3 * len(ends)) :]
    if _given(job.fit_period):
        fitted = _within(ends, times, job.fit_period)
    else:
        known = known_period(subject, "train")
        fitted = ends if known is None else ends[period_steps(subject.dates(ends), known)]
    place = np.searchsorted(judged, fitted)
    before = judged[np.clip(place - 1, 0, len(judged) - 1)] if len(judged) else fitted
    after = judged[np.clip(place, 0, len(judged) - 1)] if len(judged) else fitted
    fitted = fitted[np.minimum(np.abs(fitted - before), np.abs(fitted - after)) >= window]
    fitted, judged = spread(fitted, job.dates), spread(judged, job.dates)
    for found, fewest, what in ((fitted, _FEWEST[0], "fit on"), (judged, _FEWEST[1], "judge on")):
        if len(found) < fewest:
            raise DataError(
                f"There are too few dates to {what}",
                expected=f"at least {fewest} dates with a full window; those to fit on at least {window} steps away "
                "from those to judge on",
                got=str(len(found)),
                remedy="Choose other periods",
            )
    return fitted, judged


def truth_of(subject: Subject, name: str, maps: bool) -> Truth:
    """The variable as maps, or as the mean over the basin; a series at gauges as it is. Raises :class:`DataError` for a
    static map.
    """
    info = subject.dataset.variables[name]
    if info.static:
        raise DataError(
            f"'{name}' does not vary in time, so no state can follow it", remedy="Choose a variable that varies in time"
        )
    values = subject.dataset.observed(name)
    if info.gauges:
        return Truth(values[:, None, :], False, tuple(subject.dataset.gauges.ids))
    inside = values[:, subject.data.mask]
    if maps:
        return Truth(inside[:, :, None], True, ("cell",))
    return Truth(nan_mean(inside)[:, None, None], False, ("mean of the basin",))


def measure(
    subject: Subject, job: ProbeJob, ends: np.ndarray, judged: np.ndarray, notes: list[str]
) -> Generator[Event, None, Probed]:
    """Fit on the windows ``ends``, judge on ``judged``."""
    series = subject.dataset.variables[job.variable].gauges
    truths = {kind: truth_of(subject, job.variable, kind) for kind in ((False,) if series else (True, False))}
    rng = np.random.default_rng(job.seed)
    early = ends[: len(ends) - max(2, round(_LATE_SHARE * len(ends)))]
    parts = {"early": early, "late": ends[len(early) :], "judged": judged}
    orders = {name: [rng.permutation(part) for _ in range(job.shuffles)] for name, part in parts.items()}
    probes: dict[str, Probe] = {}
    total, done, begin = len(ends) + len(judged), 0, time.monotonic()
    for name in ("early", "late"):
        for at, states in _states(subject, job, parts[name]):
            for state, features in states.items():
                truth = truths[features.ndim == 3 and not series]
                targets = _targets(truth, parts[name][at], [order[at] for order in orders[name]])
                if state not in probes:
                    sizes = (features.shape[-1], targets.shape[-1])
                    probes[state] = Probe(state, features.ndim == 3, sizes[0], Sums(*sizes), Sums(*sizes))
                rows = features.reshape(-1, features.shape[-1])
                getattr(probes[state], name).add(rows, targets.reshape(-1, targets.shape[-1]))
            if not done:
                seconds = (time.monotonic() - begin) / len(parts[name][at]) * total
                yield cost_event(f"{len(states)} states, {total} dates", seconds)
            done += len(parts[name][at])
            yield progress(0.02 + 0.9 * done / total, f"Fitting: {min(done, len(ends))} of {len(ends)} dates")
    for item in probes.values():
        item.penalty, item.late_error = _chosen(item, len(truths[item.maps].names), job.ridge)
        item.weights = (item.early + item.late).fit(item.penalty)
    for at, states in _states(subject, job, judged):
        for state, features in states.items():
            truth = truths[probes[state].maps]
            _judge(probes[state], truth, features, _targets(truth, judged[at], [o[at] for o in orders["judged"]]))
        done += len(judged[at])
        yield progress(0.02 + 0.9 * done / total, f"Judging: {done - len(ends)} of {len(judged)} dates")
    best = min(probes.values(), key=lambda item: item.late_error)
    truth = truths[best.maps]
    return Probed(
        subject, job.variable, subject.data.times[judged], subject.data.times[ends], list(probes.values()), best,
        references(subject, job.variable, truth, judged), truth, truth.values[judged], np.concatenate(best.found),
        notes,
    )  # fmt: skip


def references(subject: Subject, name: str, truth: Truth, judged: np.ndarray) -> dict[str, Optional[float]]:
    """r of plain spatial means with the variable on the judged dates, in the median over cells or outputs.

    "own": of the variable itself over the whole frame, None for a series, or where a basin's mean is looked for and the
    dataset has no value outside the basin; and of each input of the model.
    """
    found: dict[str, Optional[float]] = {}
    dataset, observed = subject.dataset, truth.values[judged]
    if not dataset.variables[name].gauges:
        whole = dataset.observed(name)[judged].reshape(len(judged), -1)
        outside = ~subject.data.mask.ravel()
        told = truth.maps or bool(np.isfinite(whole[:, outside]).any())
        found["own"] = _median_r(nan_mean(whole), observed) if told else None
    for variable in subject.card.inputs:
        if variable.name != name:
            maps = dataset.dynamic(variable.name)[judged].reshape(len(judged), -1)
            found[variable.name] = _median_r(nan_mean(maps), observed)
    return found


def nan_mean(rows: np.ndarray) -> np.ndarray:
    """The mean over the last axis without what is missing; NaN where nothing is there."""
    known = np.isfinite(rows)
    count = known.sum(axis=-1)
    total = np.where(known, rows, 0.0).sum(axis=-1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def r_of(scores: Scores) -> tuple[float, float]:
    """(median over cells or outputs, pooled) correlation."""
    return scores.median_per_cell()["kge_r"], scores.compute()["kge_r"]


def _states(subject: Subject, job: ProbeJob, ends: np.ndarray) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """(places among ``ends``, states by name): float32 (n, cells of the basin, C) for maps, (n, C) for vectors."""
    mask = torch.from_numpy(subject.data.mask).to(subject.device)
    series = subject.dataset.variables[job.variable].gauges
    for start in range(0, len(ends), job.batch):
        at = np.arange(start, min(start + job.batch, len(ends)))
        with captured(subject.module) as found:
            subject.forward(subject.data.batch(ends[at]))
            need_states(found, subject.card.family)
            chosen = _chosen_layers(found, job.layers)
        arrays = {}
        for name, state in chosen.items():
            if state.dim() == 4:
                state = on_grid(state, *mask.shape)
                state = basin_mean(state, mask) if series else state[:, :, mask].transpose(1, 2)
            arrays[name] = state.float().cpu().numpy()
        yield at, arrays


def _chosen_layers(found: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    layers = {name: name.rsplit(" ", 1)[0] for name in found}
    missing = [name for name in wanted if name not in found and name not in layers.values()]
    if missing:
        raise ConfigError(
            f"The model has no layer '{missing[0]}' with states",
            expected=", ".join(dict.fromkeys(layers.values())),
            remedy="Choose among these, or leave the layers empty",
        )
    return {name: state for name, state in found.items() if not wanted or name in wanted or layers[name] in wanted}


def _targets(truth: Truth, ends: np.ndarray, shuffled: list[np.ndarray]) -> np.ndarray:
    """(n, rows, O (1 + shuffles)): the variable at the last step of each window, then at the shuffled ones."""
    return np.concatenate([truth.values[steps] for steps in (ends, *shuffled)], axis=2)


def _chosen(item: Probe, outputs: int, given: Optional[float]) -> tuple[float, float]:
    """The penalty of the probe itself decides; the controls take the same."""
    return choose_penalty(_first_outputs(item.early, outputs), _first_outputs(item.late, outputs), given)


def _first_outputs(sums: Sums, count: int) -> Sums:
    part = Sums(sums.mixed.shape[1] - 1, count)
    for name in ("products", "mixed", "squares", "counts"):
        setattr(part, name, getattr(sums, name)[:count])
    return part


def _judge(item: Probe, truth: Truth, features: np.ndarray, targets: np.ndarray) -> None:
    outputs = len(truth.names)
    rows = with_one(features.reshape(-1, features.shape[-1]))
    found = (rows @ item.weights.T).reshape(targets.shape).astype(np.float32)
    groups = targets.shape[2] // outputs
    if not item.scores:
        item.scores = [Scores((targets.shape[1], outputs)) for _ in range(groups)]
    for group, scores in enumerate(item.scores):
        part = slice(group * outputs, (group + 1) * outputs)
        scores.accumulate(found[:, :, part], targets[:, :, part])
    item.found.append(found[:, :, :outputs])


def _median_r(series: np.ndarray, observed: np.ndarray) -> Optional[float]:
    scores = Scores(observed.shape[1:])
    scores.accumulate(np.broadcast_to(series[:, None, None], observed.shape), observed)
    value = scores.median_per_cell()["kge_r"]
    return float(value) if np.isfinite(value) else None


def _given(period: PeriodConfig) -> bool:
    return bool(period.start or period.end)


def _within(ends: np.ndarray, times: np.ndarray, period: PeriodConfig) -> np.ndarray:
    return ends[period_steps(times, period)]
