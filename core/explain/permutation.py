"""Permutation importance: how much worse a model gets over a period where one of its inputs is shuffled.

Breiman 2001, doi:10.1023/A:1010933404324. In time whole windows change places, so that maps stay whole and each keeps
its own weather before it; static maps are shuffled in space, inside the basin. No gradient is needed.

Windows change places in blocks that are as long as a window where the period allows it: errors of neighbouring dates go
together, and shuffling single dates would make the interval too narrow.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from ..contracts import ImportanceJob
from ..contracts.errors import ConfigError, DataError
from ..contracts.events import Event
from ..contracts.model_card import SEASON_CHANNELS, ModelCard
from ..contracts.question_checks import check_lags
from ..contracts.run_folder import RunFolder
from ..data.windows import Batch
from ..inference.artifacts import message, progress
from ..inference.selection import choose_ends, overlap_with_training
from ..metrics.scores import Scores
from .asking import Subject, cost_event, labels_of, spread, steps_words, subject_of
from .contributions import season_name
from .session import Session

_FEWEST_BLOCKS = 10
_FEWEST_DATES = 4
LEVEL = 0.95


@dataclass(frozen=True)
class Item:
    """What is shuffled together: places of dynamic channels, of static ones and of inputs known ahead, in all steps of
    the window or in ``steps`` (counted from the oldest); ``season`` also the time of the year that some models read.
    """

    name: str
    label: str
    kind: str
    channels: tuple[int, ...] = ()
    static: tuple[int, ...] = ()
    ahead: tuple[int, ...] = ()
    season: bool = False
    steps: Optional[slice] = None


@dataclass
class Worse:
    """What shuffling an item did, one number a repeat: drop of the NSE, rise of the RMSE in the target's unit; and the
    sum of the rises per cell.
    """

    item: Item
    nse: list[float] = field(default_factory=list)
    rmse: list[float] = field(default_factory=list)
    rises: Optional[np.ndarray] = None

    @property
    def mean_map(self) -> np.ndarray:
        """Mean rise of the RMSE of each cell."""
        return self.rises / len(self.rmse)


@dataclass(frozen=True)
class Importance:
    """The answer: scores as they are, and what each shuffle did. ``nse`` takes all cells or gauges together, each
    against its own mean.
    """

    subject: Subject
    dates: np.ndarray
    nse: float
    rmse: float
    rows: list[Worse]
    why: str
    notes: list[str]


def importance(job: ImportanceJob, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    """``importance.csv``, ``.json``, ``.png``, ``.svg``, a map of the rise in RMSE for each variable and static map of
    a model of maps, and ``report.html``.

    A ``session`` keeps model and dataset loaded from one question to the next.

    Raises :class:`DataError` where the period holds too few observed dates, :class:`ConfigError` for groups and blocks
    that the model does not have.
    """
    from .importance_files import write

    yield progress(0.0, "Reading the model and the dataset")
    with subject_of(job, run, session) as subject:
        items = items_of(subject, job)
        ends, why = choose_ends(subject.data, subject.card, subject.dataset, job.period, need_target=True)
        ends = spread(ends, job.dates)
        yield message(f"Device {subject.predictor.why_device}. {why}")
        found = yield from measure(subject, items, ends, job.repeats, job.seed, job.batch)
        overlap = overlap_with_training(subject.dates(ends), subject.card, subject.dataset)
        notes = found.notes + ([overlap] if overlap else [])
        if subject.card.run_through:
            notes.append("Each date is predicted from its own window, not in one pass that carries the memory on.")
        for note in notes:
            yield message(note, "warning")
        yield from write(dataclasses.replace(found, why=why, notes=notes), job, run)


def items_of(subject: Subject, job: ImportanceJob) -> list[Item]:
    """All that the job wants to be shuffled, in order. Raises :class:`ConfigError` for names that the model lacks."""
    card = subject.card
    single = _variables(card, bool(getattr(subject.module, "uses_time_of_year", False)))
    static = _static_maps(card)
    items: list[Item] = list(single) if "variables" in job.of else []
    if "static" in job.of:
        items += static
        if len(static) > 1:
            together = tuple(channel for item in static for channel in item.static)
            items.append(Item("static_maps", "All static maps", "group", static=together))
    items += [_group(name, members, [*single, *static]) for name, members in job.groups.items()]
    blocks = lag_blocks(card.window, subject.lead_steps, job.lags)
    dynamic = tuple(range(card.in_channels))
    if "lags" in job.of:
        items += [Item(f"lag_{a}_{b}", steps_words(card, a, b), "lags", dynamic, steps=steps) for a, b, steps in blocks]
    if "variables by lag" in job.of:
        for one in single:
            for a, b, steps in blocks if one.channels else []:
                words = f"{one.label}, {steps_words(card, a, b)}"
                items.append(Item(f"{one.name}_lag_{a}_{b}", words, "variable by lag", one.channels, steps=steps))
    if not items:
        raise ConfigError("The model has nothing of what is to be shuffled", remedy="Choose 'variables'")
    return items


def lag_blocks(window: int, youngest: int, edges: Sequence[int]) -> list[tuple[int, int, slice]]:
    """(first step back, last step back, steps of the window) of each block, the youngest first.

    ``youngest`` is the step back of the last input step. Without ``edges`` blocks hold 1, 1, 2, 4, 8 ... steps. Raises
    :class:`ConfigError` where an edge lies outside the window.
    """
    oldest = youngest + window - 1
    check_lags(edges, youngest, window)
    if not edges:
        edges = [youngest + 2**power - 1 for power in range(1 + max(0, window - 1).bit_length())]
        edges = [edge for edge in edges if edge < oldest]
    last = [*edges, oldest] if not edges or edges[-1] < oldest else list(edges)
    first = [youngest, *(edge + 1 for edge in last[:-1])]
    return [(a, b, slice(oldest - b, oldest - a + 1)) for a, b in zip(first, last)]


def measure(
    subject: Subject, items: Sequence[Item], ends: np.ndarray, repeats: int, seed: int, batch: int
) -> Generator[Event, None, Importance]:
    """Shuffle every item ``repeats`` times and judge the predictions. Yields the cost first, then progress."""
    if len(ends) < _FEWEST_DATES:
        raise DataError(
            "Too few dates to shuffle",
            expected=f"at least {_FEWEST_DATES} dates with a full window",
            got=str(len(ends)),
            remedy="Choose a longer period",
        )
    chunks = [np.arange(start, min(start + batch, len(ends))) for start in range(0, len(ends), batch)]
    begin, truth, plain = time.monotonic(), [], Scores(subject.inside.shape)
    for chunk in chunks:
        part = subject.data.batch(ends[chunk])
        truth.append(subject.truth(part))
        plain.accumulate(subject.forward(part), truth[-1])
        yield progress(0.01, "Predicting as it is")
    _need_truth(subject, plain)
    spread_of_truth = _squares(np.concatenate(truth))
    nse, rmse = _nse(plain, spread_of_truth), plain.compute()["rmse"]
    passes = repeats * len(items)
    seconds = (time.monotonic() - begin) * passes
    yield message(f"As it is: RMSE {rmse:.4g} {subject.units}, NSE {nse:.3f}.")
    yield cost_event(f"{len(items)} shuffles x {repeats} repeats x {len(ends)} dates", seconds)
    rows, rng, done = [Worse(item) for item in items], np.random.default_rng(seed), 0
    for repeat in range(repeats):
        order = shuffled_blocks(len(ends), min(subject.card.window, len(ends) // _FEWEST_BLOCKS), rng)
        places = rng.permutation(np.flatnonzero(subject.data.mask))
        for row in rows:
            scores = Scores(subject.inside.shape)
            for chunk, observed in zip(chunks, truth):
                part = subject.data.batch(ends[chunk])
                other = subject.data.batch(ends[order[chunk]])
                scores.accumulate(subject.forward(shuffled(part, other, row.item, subject.data.mask, places)), observed)
                done += 1
                text = f"Shuffling {row.item.label}, repeat {repeat + 1} of {repeats}"
                yield progress(0.02 + 0.93 * done / (passes * len(chunks)), text)
            row.nse.append(nse - _nse(scores, spread_of_truth))
            row.rmse.append(scores.compute()["rmse"] - rmse)
            rise = scores.maps()["rmse"] - plain.maps()["rmse"]
            row.rises = rise if row.rises is None else row.rises + rise
    notes = []
    if len(ends) < 3 * _FEWEST_BLOCKS:
        notes.append(f"Only {len(ends)} dates were at hand, so the intervals are wide. A longer period narrows them.")
    return Importance(subject, subject.dates(ends), nse, rmse, rows, "", notes)


def shuffled(batch: Batch, other: Batch, item: Item, mask: np.ndarray, places: np.ndarray) -> Batch:
    """``batch`` with the item's dynamic channels from ``other`` and its static maps moved to ``places``, the shuffled
    flat positions of the cells of the basin.
    """
    x, observed, static, ahead = batch.x, batch.observed, batch.static, batch.ahead
    if item.channels:
        steps = item.steps or slice(None)
        x = x.copy()
        observed = None if observed is None else observed.copy()
        for channel in item.channels:
            x[:, steps, channel] = other.x[:, steps, channel]
            if observed is not None:
                observed[:, steps, channel] = other.observed[:, steps, channel]
    if item.static:
        static = static.copy()
        flat = static.reshape(*static.shape[:2], -1)
        for channel in item.static:
            flat[:, channel, np.flatnonzero(mask)] = batch.static.reshape(flat.shape)[:, channel, places]
    if item.ahead:
        ahead = ahead.copy()
        for channel in item.ahead:
            ahead[:, :, channel] = other.ahead[:, :, channel]
    moment = other.time_of_year if item.season else batch.time_of_year
    return dataclasses.replace(batch, x=x, observed=observed, static=static, ahead=ahead, time_of_year=moment)


def shuffled_blocks(count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of 0 .. count - 1 that moves blocks of ``length`` neighbours, cut at a random offset."""
    length = max(1, length)
    cuts = np.arange(int(rng.integers(length)) or length, count, length)
    blocks = np.split(np.arange(count), cuts)
    return np.concatenate([blocks[number] for number in rng.permutation(len(blocks))])


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Mean, and the interval that one more shuffle falls into with probability ``level`` (t over the repeats).

    Were an input without meaning, its true order would be a shuffle as good as any other: its change, 0, then lies
    inside. The interval of the mean alone would shrink with the repeats and leave 0 out by chance.
    """
    from scipy.special import stdtrit

    known = np.array([value for value in values if math.isfinite(value)])
    if len(known) < 2:
        return (float(known[0]) if len(known) else math.nan), math.nan, math.nan
    reach = float(stdtrit(len(known) - 1, 0.5 + level / 2) * known.std(ddof=1) * math.sqrt(1 + 1 / len(known)))
    mean = float(known.mean())
    return mean, mean - reach, mean + reach


def _squares(truth: np.ndarray) -> float:
    """Sum of the squared distances of observed values (n, *frame) from the mean of their cell."""
    known = np.isfinite(truth)
    count = np.maximum(known.sum(axis=0), 1)
    clean = np.where(known, truth, 0.0).astype(np.float64)
    return float((np.where(known, clean - clean.sum(axis=0) / count, 0.0) ** 2).sum())


def _nse(scores: Scores, squares: float) -> float:
    pooled = scores.compute()
    return 1.0 - pooled["rmse"] ** 2 * pooled["count"] / squares if squares > 0 else math.nan


def _need_truth(subject: Subject, plain: Scores) -> None:
    if plain.compute()["count"] == 0:
        raise DataError(
            f"The dataset holds no observed value of '{subject.card.target.name}' on these dates",
            expected="observed values, against which a shuffled input can do worse",
            remedy="Choose another period, or a dataset with the target",
        )


def _variables(card: ModelCard, moments: bool) -> list[Item]:
    labels = labels_of(card)
    ahead = {variable.name: place for place, variable in enumerate(card.ahead)}
    items = []
    for channel, variable in enumerate(card.inputs):
        later = (ahead.pop(variable.name),) if variable.name in ahead else ()
        items.append(Item(variable.name, labels[variable.name], "variable", (channel,), ahead=later))
    items += [Item(name, labels[name], "variable", ahead=(place,)) for name, place in ahead.items()]
    if card.season or moments:
        first, name = len(card.inputs), season_name(card)
        channels = tuple(range(first, first + len(SEASON_CHANNELS))) if card.season else ()
        items.append(Item(name, labels[name], "variable", channels, season=True))
    return items


def _static_maps(card: ModelCard) -> list[Item]:
    labels = labels_of(card)
    return [
        Item(variable.name, labels[variable.name], "static", static=tuple(range(channels.start, channels.stop)))
        for variable, channels in card.static_slices()
    ]


def _group(name: str, members: Sequence[str], known: Sequence[Item]) -> Item:
    by_name = {item.name: item for item in known}
    missing = [member for member in members if member not in by_name]
    if missing:
        raise ConfigError(
            f"The group '{name}' names '{missing[0]}', which the model does not read",
            expected=", ".join(by_name),
            remedy="Correct the group",
        )
    parts = [by_name[member] for member in members]
    return Item(
        name, name, "group",
        channels=tuple(channel for part in parts for channel in part.channels),
        static=tuple(channel for part in parts for channel in part.static),
        ahead=tuple(channel for part in parts for channel in part.ahead),
        season=any(part.season for part in parts),
    )  # fmt: skip
