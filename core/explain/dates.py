"""Which window predicts the date that is asked about."""

from __future__ import annotations

import numpy as np

from ..contracts.dates import format_step, parse_date
from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard
from ..data.splits import window_ends
from ..data.timeline import positions, shift
from ..inference.geotiff import iso


def find_end(times: np.ndarray, step_seconds: float, card: ModelCard, text: str, lead: int = 0) -> int:
    """Last input step of the window that predicts the date ``text`` at the ``lead``-th of the model's leads; a day
    alone will do where it holds one step. What is known ahead has to lie within the record.

    Raises :class:`DataError` that says which dates are possible.
    """
    wanted = np.datetime64(parse_date(text, "The date to explain"), "s")
    ends = window_ends(times, step_seconds, card.window, card.lead, card.leads, need_target=bool(card.ahead))
    possible = shift(times[ends], card.lead + lead, step_seconds)
    hits = np.flatnonzero(possible == wanted)
    if not len(hits) and len(text.strip()) <= 10:
        same_day = np.flatnonzero(possible.astype("datetime64[D]") == wanted.astype("datetime64[D]"))
        hits = same_day if len(same_day) == 1 else hits
    if len(hits):
        return int(ends[hits[0]])
    nearest = possible[np.argmin(np.abs((possible - wanted).astype(np.int64)))]
    in_record = times[0] <= wanted <= times[-1]
    raise DataError(
        "There is no full window before this date" if in_record else "The date lies outside the dataset",
        expected=f"a date {_ranges(possible, step_seconds)}, whose window of {card.window} steps "
        f"({format_step(step_seconds)} each) has no gap",
        got=text.strip(),
        remedy=f"Choose one of these dates; the nearest is {iso(nearest)}",
    )


def _ranges(possible: np.ndarray, step_seconds: float, most: int = 3) -> str:
    """'from 1990-01-30 to 1991-05-02, from ...'."""
    cuts = np.flatnonzero(np.diff(positions(possible, step_seconds)) > 1) + 1
    runs = [f"from {iso(run[0])} to {iso(run[-1])}" for run in np.split(possible, cuts)]
    return ", ".join(runs[:most]) + (f" and {len(runs) - most} periods more" if len(runs) > most else "")
