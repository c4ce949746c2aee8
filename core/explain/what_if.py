"""What if: other weather, and what the model says to it, beside what it says as it is.

The same model, the same dates: only the input changes. What a model has learnt of rain it has seen it carries over to
rain it has not seen, so answers far outside the training range are guesses, and are told as such.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np

from ..contracts import WhatIfJob
from ..contracts.errors import DataError
from ..contracts.events import Event
from ..contracts.model_card import ModelCard
from ..contracts.run_folder import RunFolder
from ..data.splits import period_steps
from ..data.windows import WindowData
from ..inference.artifacts import message, progress
from ..inference.geotiff import iso
from ..inference.predictor import PASS_STEPS
from ..inference.selection import choose_ends
from ..models.carry import cells_of, going_on
from .asking import Subject, cost_event, subject_of
from .changes import Added, Changed, Weather, change_of, steps_of, storm_of
from .place import Place, place_of_cell, place_of_gauge, place_of_polygon
from .resuming import Kept, steps_of_batch
from .session import Session
from .what_if_water import Water, answer_of

Pair = tuple[np.ndarray, np.ndarray]
_TELL_SECONDS, _TELL_SHARE = 0.5, 0.1  # a long answer is told of more seldom
_EARLY, _FEW = np.array([0, 1, 2, 3, 5, 8, 13, 21]), 64


@dataclass(frozen=True)
class Response:
    """Predictions (n, *frame) float32 in the target's unit without and with the changes, for ``dates`` (n,), and what
    was observed then, NaN where it was not.
    """

    dates: np.ndarray
    before: np.ndarray
    after: np.ndarray
    observed: np.ndarray
    words: list[str]
    notes: list[str]

    @property
    def change(self) -> np.ndarray:
        """With less without the changes."""
        return self.after - self.before


@dataclass(frozen=True)
class Series:
    """Hydrographs (n,) float64 of a place in the target's unit; ``observed`` is NaN where it is not known in every
    cell. ``cells`` are the weights of its cells, None for a gauge that the model predicts.
    """

    place: str
    before: np.ndarray
    after: np.ndarray
    observed: np.ndarray
    cells: Optional[np.ndarray] = None


class WhatIf:
    """Answers one change after the other to the same model. ``kept`` holds what the model says as it is, and the states
    of its layers before a step: each further answer reads only the steps of a window from the first changed one on, so
    that a painted storm is drawn as the brush is lifted.
    """

    def __init__(self, subject: Subject, kept: Optional[Kept] = None) -> None:
        self.subject = subject
        self.kept = kept or Kept()
        self._weather = Weather(subject.dataset, subject.card, subject.data)
        whole = subject.predictor.whole and not subject_passes(subject)
        self._cells = cells_of(subject.module) if whole else None

    def respond(
        self,
        changes: Sequence[Added],
        ends: np.ndarray,
        tell: Optional[Callable[[Response], dict[str, Any]]] = None,
    ) -> Generator[Event, None, Response]:
        """The answer for windows that end at ``ends``. Yields progress; what ``tell`` makes of the answer so far goes
        with it as ``so_far``.
        """
        subject, card = self.subject, self.subject.card
        first = max(0, int(ends.min()) - card.window + 1)
        stop = min(len(subject.data.times), int(ends.max()) + card.lead + card.leads + 1)
        changed = self._weather.change(changes, first, stop)
        begun = begin_of(changes, card)
        passes = subject_passes(subject)
        order = ends if passes else early(ends)
        pieces = self._passes(order, changed, first) if passes else self._pieces(order, changed, first, begun)
        before, after, done, clock = [], [], 0, time.monotonic()
        told = clock - _TELL_SECONDS
        for one, other in pieces:
            before.append(one)
            after.append(other)
            done += len(other)
            now = time.monotonic()
            if done == len(other) < len(ends):
                yield cost_event(f"{len(ends)} dates", (now - clock) / done * len(ends))
            news = progress(0.05 + 0.85 * done / len(ends), f"{done} of {len(ends)} dates, as it is and changed")
            if tell is not None and now - told >= max(_TELL_SECONDS, _TELL_SHARE * (now - clock)) and done < len(ends):
                told = now
                news.values["so_far"] = tell(self._response(order[:done], before, after, changed))
            yield news
        self.kept.trim()
        return self._response(order, before, after, changed)

    def _response(self, ends: np.ndarray, before: list, after: list, changed: Changed) -> Response:
        subject, rising = self.subject, np.argsort(ends, kind="stable")
        together = (np.concatenate(parts)[rising] for parts in (before, after))
        ends = ends[rising]
        return Response(subject.dates(ends), *together, observed_at(subject, ends), changed.words, changed.notes)

    def _pieces(self, ends: np.ndarray, changed: Changed, first: int, begun: int) -> Iterator[Pair]:
        """(before, after) of some dates after the other."""
        window, size, at = self.subject.card.window, self.subject.predictor.batch, 0
        while at < len(ends):
            end = int(ends[at])
            step = min(window - 1, begun - (end - window + 1))
            if self._cells is not None and step > 0:
                yield self._going_on(end, step, changed, first)
                at += 1
                continue
            chunk = ends[at : at + size]
            at += len(chunk)
            yield self._plain(chunk), self._all(chunk - first, changed.data)

    def _going_on(self, end: int, step: int, changed: Changed, first: int) -> Pair:
        """One date whose window is changed from ``step`` on."""
        states, rest = self._before(end, step), slice(step, None)
        if end not in self.kept.plain:
            self.kept.plain[end] = self._read(self.subject.data, end, rest, states)[0][0]
        after = self._read(changed.data, end - first, rest, states)[0]
        return self.kept.plain[end][None], after

    def _before(self, end: int, step: int) -> list[Any]:
        """The states of the unchanged window that ends at ``end`` after its first ``step`` steps."""
        known, states = self.kept.states(end, step)
        if known < step:
            states = self._read(self.subject.data, end, slice(known, step), states)[1]
            self.kept.keep(end, step, states)
        return states

    def _read(self, data: WindowData, end: int, part: slice, states: Optional[list]) -> tuple[np.ndarray, list]:
        """Prediction (1, *frame) of the steps ``part`` of one window from ``states`` on, and the states after it."""
        batch = steps_of_batch(data.at_use().batch(np.array([end])), part)
        with going_on(self._cells, states) as last:
            return self.subject.forward(batch), last

    def _plain(self, ends: np.ndarray) -> np.ndarray:
        asked = np.array([end for end in ends if int(end) not in self.kept.plain], dtype=np.int64)
        if len(asked):
            self.kept.plain.update(zip((int(end) for end in asked), self._all(asked)))
        return np.stack([self.kept.plain[int(end)] for end in ends])

    def _all(self, ends: np.ndarray, data: Optional[WindowData] = None) -> np.ndarray:
        return np.concatenate([maps for _, maps in self.subject.predict(ends, data)])

    def _passes(self, ends: np.ndarray, changed: Changed, first: int) -> Iterator[Pair]:
        """Of a model that carries its state on: a date depends on which others are asked for, so nothing is kept."""
        for (_, before), (_, after) in zip(
            list(self.subject.predict(ends)), self.subject.predict(ends - first, changed.data)
        ):
            yield before, after


def early(ends: np.ndarray) -> np.ndarray:
    """``ends`` in the order in which a few already show the course: soon after the first one densely, or where they are
    many evenly spread; then the others.
    """
    count = len(ends)
    first = _EARLY[_EARLY < count] if count <= _FEW else np.unique(np.linspace(0, count - 1, len(_EARLY)).astype(int))
    return np.concatenate([ends[first], np.delete(ends, first)])


def begin_of(changes: Sequence[Added], card: ModelCard) -> int:
    """The first step of the record that changes, 0 where a map without time does."""
    fixed = {variable.name for variable in card.static}
    return min(0 if item.steps is None or item.variable in fixed else int(item.steps.min()) for item in changes)


def observed_at(subject: Subject, ends: np.ndarray) -> np.ndarray:
    """Observed values (n, *frame) float32 of the dates that windows ending at ``ends`` predict; NaN where missing."""
    data, shape = subject.data, (len(ends), *subject.inside.shape)
    found = np.full(shape, np.nan, dtype=np.float32)
    if data.y is None:
        return found
    steps = ends + subject.lead_steps
    inside = steps < len(data.times)
    inside[inside] = data.times[steps[inside]] == subject.dates(ends)[inside]  # no gap lies between
    found[inside] = subject.scaler.inverse(data.y[steps[inside], subject.target])
    found[:, ~subject.inside] = np.nan
    return found


def subject_passes(subject: Subject) -> bool:
    """Whether dates are predicted in passes, so that a prediction depends on which others are asked for."""
    return bool(subject.card.run_through)


def what_if(job: WhatIfJob, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    """``change.tif`` and ``changed.tif`` of a model of maps (a band a date), ``what_if.csv``, ``.json``, ``.png``,
    ``.svg`` and ``report.html``. PROGRESS events hold the hydrographs of the dates so far, ``so_far``.

    A ``session`` keeps the model, the dataset and what the model says as it is from one question to the next. Raises
    the :class:`FreshetError` family before anything is computed where a change, a date, a cell, a polygon or a raster
    does not fit.
    """
    from .what_if_files import write

    yield progress(0.0, "Reading the model and the dataset")
    with subject_of(job, run, session) as subject:
        changes = [change_of(item, subject.card, subject.data) for item in job.changes]
        storms = [part for item in job.storms for part in storm_of(item, subject.card, subject.data)]
        changes += storms
        places = places_of(job, subject)
        ends = reached_ends(job, subject, changes)
        yield message(f"Device {subject.predictor.why_device}. {'; '.join(item.words for item in changes)}.")
        water = Water.of(subject, storms)
        kept = None if session is None else session.kept.setdefault(("what-if", subject.target, subject.lead), Kept())

        def tell(response: Response) -> dict[str, Any]:
            return answer_of(subject, response, series_of(subject, response, places), water)

        response = yield from WhatIf(subject, kept).respond(changes, ends, tell)
        for note in (*response.notes, *water.notes):
            yield message(note, "warning")
        yield from write(subject, response, series_of(subject, response, places), water, job, run)


def reached_ends(job: WhatIfJob, subject: Subject, changes: Sequence[Added]) -> np.ndarray:
    """Windows to predict: of the period asked for, else all that read a changed step (of the test period where changes
    last for the whole record). Raises :class:`DataError` where there is none.
    """
    data, card = subject.data, subject.card
    fixed = {variable.name for variable in card.static}
    lasting = any(item.steps is None for item in changes)
    if lasting and not (job.period.start or job.period.end):
        ends, _ = choose_ends(data, card, subject.dataset, job.period, need_target=False)
        return ends
    ends = data.valid_ends()
    touched = np.zeros(len(data.times) + card.lead + card.leads, dtype=bool)
    moving = [item for item in changes if item.variable not in fixed]
    if len(moving) < len(changes):
        touched[:] = True
    if moving:
        touched[steps_of(moving, len(data.times))] = True
    behind = PASS_STEPS if card.run_through else 0
    sums = np.concatenate([[0], np.cumsum(touched)])
    last = ends + 1 + (card.lead + card.leads - 1 if data.ahead is not None else 0)
    reached = sums[last] > sums[np.maximum(0, ends - card.window + 1 - behind)]
    wanted = ends[reached & (period_steps(subject.dates(ends), job.period))] if len(ends) else ends
    if not len(wanted):
        possible = subject.dates(ends[reached]) if reached.any() else subject.dates(ends)
        raise DataError(
            "The changes reach no date that is asked for",
            expected=f"dates from {iso(possible.min())} to {iso(possible.max())}, whose windows of {card.window} steps "
            "read what is changed",
            got=f"{job.period.start or 'the begin'} to {job.period.end or 'the end'}",
            remedy="Choose a period within these dates, or change the input earlier",
        )
    return wanted


def places_of(job: WhatIfJob, subject: Subject) -> list[Place]:
    """The cell, the gauge and the polygon that are asked for. Raises :class:`DataError` where they hold no cell of the
    basin, and for a model of gauges, all of which have their hydrographs anyway.
    """
    wanted = job.x is not None or bool(job.polygon or job.gauge)
    if wanted and subject.card.gauges:
        raise DataError(
            f"The model predicts {len(subject.card.gauges)} gauges, so no cell or polygon has a hydrograph",
            remedy="Leave x, y, polygon and gauge out; every gauge that the model predicts is drawn",
        )
    grid, mask, places = subject.data.grid, subject.data.mask, []
    if job.x is not None and job.y is not None:
        places.append(place_of_cell(grid, mask, job.x, job.y))
    if job.gauge:
        places.append(place_of_gauge(grid, mask, subject.dataset.gauges, job.gauge))
    if job.polygon:
        places.append(place_of_polygon(grid, mask, job.polygon))
    return places


def series_of(subject: Subject, response: Response, places: Sequence[Place]) -> list[Series]:
    """Hydrographs: each gauge; or of maps the basin's mean, and the places."""
    three = (response.before, response.after, response.observed)
    if subject.card.gauges:
        return [
            Series(f"Gauge {name}", *(values[:, 0, number].astype(np.float64) for values in three))
            for number, name in enumerate(subject.gauges)
        ]
    inside = subject.inside / subject.inside.sum()
    found = [Series("Mean of the basin", *(_mean(values, inside) for values in three), cells=inside)]
    for place in places:
        title = f"{place.words[0].upper()}{place.words[1:]}"
        found.append(Series(title, *(_mean(values, place.weights) for values in three), cells=place.weights))
    return found


def _mean(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) from (n, H, W); cells without a weight do not count."""
    cells = weights > 0
    return maps[:, cells].astype(np.float64) @ (weights[cells] / weights[cells].sum())
