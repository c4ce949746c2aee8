"""What if: other weather, and what the model says to it, beside what it says as it is.

The same model, the same dates: only the input changes. What a model has learnt of rain it has seen it carries over to
rain it has not seen, so answers far outside the training range are guesses, and are told as such.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts import WhatIfJob
from ..contracts.errors import DataError
from ..contracts.events import Event
from ..contracts.run_folder import RunFolder
from ..data.splits import period_steps
from ..inference.artifacts import message, progress
from ..inference.geotiff import iso
from ..inference.predictor import PASS_STEPS
from ..inference.selection import choose_ends
from .asking import Subject, cost_event, subject_of
from .changes import Added, Weather, change_of, steps_of, storm_of
from .place import Place, place_of_cell, place_of_gauge, place_of_polygon

Series = tuple[str, np.ndarray, np.ndarray]  # place, before (n,), after (n,)
_MOST_KEPT = 400  # predictions as it is that are kept for the next brush stroke


@dataclass(frozen=True)
class Response:
    """Predictions (n, *frame) float32 in the target's unit without and with the changes, for ``dates`` (n,)."""

    dates: np.ndarray
    before: np.ndarray
    after: np.ndarray
    words: list[str]
    notes: list[str]

    @property
    def change(self) -> np.ndarray:
        """With less without the changes."""
        return self.after - self.before


class WhatIf:
    """Answers one change after the other to the same model. Keeps what the model says as it is, so that each answer
    costs one pass a date: a painted storm is drawn as the brush is lifted.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._weather = Weather(subject.dataset, subject.card, subject.data)
        self._plain: dict[int, np.ndarray] = {}

    def respond(self, changes: Sequence[Added], ends: np.ndarray) -> Generator[Event, None, Response]:
        """The answer for windows that end at ``ends``. Yields progress after each batch."""
        subject, passes = self.subject, subject_passes(self.subject)
        first = max(0, int(ends.min()) - subject.card.window + 1)
        stop = min(len(subject.data.times), int(ends.max()) + subject.card.lead + subject.card.leads + 1)
        changed = self._weather.change(changes, first, stop)
        asked = np.array([end for end in ends if passes or int(end) not in self._plain], dtype=np.int64)
        total, done, begin = len(asked) + len(ends), 0, time.monotonic()
        plain = {} if passes else self._plain
        for chunk, maps in subject.predict(asked) if len(asked) else ():
            plain.update(zip((int(end) for end in chunk), maps))
            done += len(chunk)
            if done == len(chunk) and total > len(chunk):
                seconds = (time.monotonic() - begin) / done * total
                yield cost_event(f"{len(ends)} dates", seconds)
            yield progress(0.05 + 0.85 * done / total, f"As it is: {done} of {len(asked)} dates")
        after = []
        for chunk, maps in subject.predict(ends - first, changed.data):
            after.append(maps)
            done += len(chunk)
            yield progress(0.05 + 0.85 * done / total, f"Changed: {done - len(asked)} of {len(ends)} dates")
        before = np.stack([plain[int(end)] for end in ends])
        while len(self._plain) > _MOST_KEPT:
            self._plain.pop(next(iter(self._plain)))
        return Response(subject.dates(ends), before, np.concatenate(after), changed.words, changed.notes)


def subject_passes(subject: Subject) -> bool:
    """Whether dates are predicted in passes, so that a prediction depends on which others are asked for."""
    return bool(subject.card.run_through)


def what_if(job: WhatIfJob, run: RunFolder) -> Iterator[Event]:
    """``change.tif`` and ``changed.tif`` of a model of maps (a band a date), ``what_if.csv``, ``.json``, ``.png``,
    ``.svg`` and ``report.html``.

    Raises the :class:`FreshetError` family before anything is computed where a change, a date, a cell, a polygon or a
    raster does not fit.
    """
    from .what_if_files import write

    yield progress(0.0, "Reading the model and the dataset")
    with subject_of(job, run) as subject:
        changes = [change_of(item, subject.card, subject.data) for item in job.changes]
        changes += [part for item in job.storms for part in storm_of(item, subject.card, subject.data)]
        places = places_of(job, subject)
        ends = reached_ends(job, subject, changes)
        yield message(f"Device {subject.predictor.why_device}. {'; '.join(item.words for item in changes)}.")
        response = yield from WhatIf(subject).respond(changes, ends)
        for note in response.notes:
            yield message(note, "warning")
        yield from write(subject, response, series_of(subject, response, places), job, run)


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
    if subject.card.gauges:
        return [
            (f"Gauge {name}", response.before[:, 0, number], response.after[:, 0, number])
            for number, name in enumerate(subject.gauges)
        ]
    inside = subject.inside
    found = [
        ("Mean of the basin", *(_mean(values, inside / inside.sum()) for values in (response.before, response.after)))
    ]
    for place in places:
        title = f"{place.words[0].upper()}{place.words[1:]}"
        found.append((title, _mean(response.before, place.weights), _mean(response.after, place.weights)))
    return found


def _mean(maps: np.ndarray, weights: Optional[np.ndarray]) -> np.ndarray:
    """(n,) from (n, H, W); cells without a weight do not count."""
    cells = weights > 0
    return maps[:, cells].astype(np.float64) @ (weights[cells] / weights[cells].sum())
