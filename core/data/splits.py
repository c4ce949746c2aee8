"""Which windows train, which validate, which test.

A window ends at step ``e``: it reads steps ``e - window + 1 .. e`` and predicts ``e + lead .. e + lead + leads - 1``.
A training window lies whole in the training period, so no target of validation or test is within it; a validation
window holds no step of the test period; a test window may read any step, since it only reads. Sequences may be split
as wholes: each then has one role, and all its windows have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

import numpy as np

from ..contracts.dataset_job import check_dates
from ..contracts.dates import parse_date
from ..contracts.errors import ConfigError, DataError
from ..contracts.training_job import PeriodConfig, SplitConfig
from .timeline import positions

ROLES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Last input step of each window (int64 indices into the dataset's times), by purpose, and the periods as steps."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    train_steps: np.ndarray  # bool (T,): steps of the training period, for scalers and climatology
    validation_steps: np.ndarray
    test_steps: np.ndarray


def window_ends(
    times: np.ndarray, step_seconds: float, window: int, lead: int, leads: int, *, need_target: bool = True
) -> np.ndarray:
    """Ends of all windows that bridge no gap. With ``need_target`` their targets lie within the record too.

    Raises :class:`DataError` where the series is too short for a single window.
    """
    reach = max(0, lead + leads - 1) if need_target else 0
    steps = len(times)
    if steps < window + reach:
        raise DataError(
            "The window is longer than the series",
            expected=f"at least {window + reach} steps (window {window}, lead {lead}, leads {leads})",
            got=f"{steps} steps",
            remedy="Shorten the window or lead, or use a longer dataset",
        )
    broken = np.concatenate([[0], np.cumsum(np.diff(positions(times, step_seconds)) != 1)])
    ends = np.arange(window - 1, steps - reach)
    whole = broken[ends + reach] == broken[ends - window + 1]
    if not whole.any():
        raise DataError(
            "No window fits between the gaps of the series",
            expected=f"{window + reach} steps in a row without a gap",
            remedy="Shorten the window, or fill the gaps",
        )
    return ends[whole]


def split_windows(
    times: np.ndarray, step_seconds: float, split: SplitConfig, window: int, lead: int, leads: int, role: str = ""
) -> Split:
    """Cut windows by period. Without dates the last ``test_share`` of the steps test, those before validate, the
    first train. With a ``role`` of :data:`ROLES` all windows have that one.
    """
    ends = window_ends(times, step_seconds, window, lead, leads)
    train_steps, validation_steps, test_steps = (split_steps(times, split, name, role) for name in ROLES)
    first_target, last_target = ends + lead, ends + lead + leads - 1
    first_step = np.minimum(ends - window + 1, first_target)
    last_step = np.maximum(ends, last_target)
    train = ends[_all_within(train_steps, first_step, last_step)]
    validating = _all_within(validation_steps, first_target, last_target) & ~_any_within(
        test_steps, first_step, last_step
    )
    testing = _all_within(test_steps, first_target, last_target)
    if len(train) == 0 and role in ("", "train"):
        raise DataError(
            "No window lies whole within the training period",
            expected=f"a training period of at least {window + max(0, lead + leads - 1)} steps",
            got=f"{int(train_steps.sum())} steps",
            remedy="Lengthen the training period or shorten the window",
        )
    return Split(train, ends[validating], ends[testing], train_steps, validation_steps, test_steps)


def without_windows(times: np.ndarray) -> Split:
    """The split of a sequence that is too short for a window: it has no part in anything."""
    none, nowhere = np.zeros(0, dtype=np.int64), np.zeros(len(times), dtype=bool)
    return Split(none, none, none, nowhere, nowhere, nowhere)


def sequence_roles(names: Sequence[str], split: SplitConfig) -> list[str]:
    """The role of each sequence: one of :data:`ROLES`, or "" where its own time is split.

    Patterns as of a shell (``*``, ``?``, ``[1-5]``), large and small letters told apart. Where only test sequences are
    named, the others share validation out of their own time, and the other way round (see :func:`split_of_rest`).
    Raises :class:`ConfigError` where a pattern matches nothing, where two roles claim a sequence, and where nothing is
    left to train on.
    """
    if not (split.validation_sequences or split.test_sequences):
        return [""] * len(names)
    claimed = {role: _matching(names, getattr(split, f"{role}_sequences"), role) for role in ROLES[1:]}
    both = [name for name in names if all(name in found for found in claimed.values())]
    if both:
        raise ConfigError(
            f"The sequence '{both[0]}' is named for validation and for test",
            expected="each sequence in one of them; otherwise the scores would flatter the model",
            remedy="Correct the names or patterns",
        )
    rest = "train" if all(claimed.values()) else ""
    roles = [next((role for role, found in claimed.items() if name in found), rest) for name in names]
    if not any(role == rest for role in roles):
        raise ConfigError(
            "No sequence is left to train on",
            expected="at least one that is neither for validation nor for test",
            got=f"{len(claimed['validation'])} of {len(names)} for validation, {len(claimed['test'])} for test",
            remedy="Name fewer sequences",
        )
    return roles


def split_of_rest(split: SplitConfig) -> SplitConfig:
    """How the sequences that are no whole test or validation sequences split their own time: without a share for what
    has whole sequences of its own.
    """
    changes = {f"{role}_share": 0.0 for role in ROLES[1:] if getattr(split, f"{role}_sequences")}
    return split.replace(**changes)


def split_steps(times: np.ndarray, split: SplitConfig, name: str = "train", role: str = "") -> np.ndarray:
    """bool (T,): the steps of the "train", "validation" or "test" period of a split; all or none with a ``role``."""
    return np.full(len(times), name == role) if role else _steps(times, split, name)


def period_steps(times: np.ndarray, period: PeriodConfig) -> np.ndarray:
    """bool (T,): the steps of a period that holds both its ends."""
    check_dates(period.start, period.end, "The period")
    inside = np.ones(len(times), dtype=bool)
    if period.start:
        inside &= times >= np.datetime64(parse_date(period.start), "s")
    if period.end:
        inside &= times <= np.datetime64(_end_of(period.end), "s")
    return inside


def _end_of(text: str):
    """A day without a time means its last second, so that sub-daily steps of that day are in."""
    from datetime import timedelta

    moment = parse_date(text)
    return moment + timedelta(hours=23, minutes=59, seconds=59) if len(text.strip()) <= 10 else moment


def _steps(times: np.ndarray, split: SplitConfig, name: str) -> np.ndarray:
    period: Optional[PeriodConfig] = getattr(split, name)
    if period is not None:
        inside = period_steps(times, period)
        if name == "train":
            for other in ("validation", "test"):
                if (inside & period_steps(times, getattr(split, other))).any():
                    raise DataError(
                        f"The training period overlaps the {other} period",
                        remedy="Choose periods that do not share a date; otherwise the scores would flatter the model",
                    )
        return inside
    steps = len(times)
    tests = int(round(steps * split.test_share))
    validations = int(round(steps * split.validation_share))
    position = np.arange(steps)
    if name == "test":
        return position >= steps - tests
    if name == "validation":
        return (position >= steps - tests - validations) & (position < steps - tests)
    return position < steps - tests - validations


def _all_within(steps: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    count = np.concatenate([[0], np.cumsum(steps)])
    return count[last + 1] - count[first] == last - first + 1


def _any_within(steps: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    count = np.concatenate([[0], np.cumsum(steps)])
    return count[last + 1] - count[first] > 0


def _matching(names: Sequence[str], patterns: Sequence[str], role: str) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if fnmatchcase(name, pattern)}
        if not hits:
            listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            raise ConfigError(
                f"No sequence for {role} is called '{pattern}'", expected=listed, remedy="Correct the name or pattern"
            )
        found |= hits
    return found
