"""Sequences: events or simulations whose names stand for ``{sequence}`` in the paths of the sources."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..contracts.dataset_job import PrepareJob, SourceConfig
from ..contracts.errors import DataError
from .sources import parse_source

PLACEHOLDER = "{sequence}"
_ALL = "*"
_NAME = r"(?P<name>[^/\\]+?)"


@dataclass(frozen=True)
class Sequenced:
    """One sequence: its name ("" for a plain dataset) and its sources."""

    name: str
    sources: tuple[SourceConfig, ...]


def expand(job: PrepareJob, notes: list[str]) -> list[Sequenced]:
    """The sequences of a job in the order of their names' numbers; one without a name for a job without any.

    ``*`` finds those for which every marked source is there; others are told in ``notes``. Raises
    :class:`DataError` where none is found.
    """
    if not job.sequences:
        return [Sequenced("", job.sources)]
    names = list(job.sequences)
    if _ALL in names:
        names = _found(job, notes)
    return [Sequenced(name, tuple(_of(source, name) for source in job.sources)) for name in names]


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts flood_2 before flood_10."""
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece.lower()) for piece in re.split(r"(\d+)", text)]


def _of(source: SourceConfig, name: str) -> SourceConfig:
    if PLACEHOLDER not in source.path:
        return source
    return source.replace(path=source.path.replace(PLACEHOLDER, name))


def _found(job: PrepareJob, notes: list[str]) -> list[str]:
    found = {source.variable: set(_names(source.path)) for source in job.sources if PLACEHOLDER in source.path}
    shared = set.intersection(*found.values())
    if not shared:
        variable, names = min(found.items(), key=lambda item: len(item[1]))
        path = next(source.path for source in job.sources if source.variable == variable)
        raise DataError(
            "No sequence has all of its sources" if names else f"'{variable}': no file fits {path}",
            expected="files whose names differ in the place of {sequence} only",
            got="; ".join(f"'{name}': {_some(sorted(one, key=natural))}" for name, one in found.items()),
            remedy="Check the path and where {sequence} stands in it, or name the sequences",
        )
    for variable, names in found.items():
        lacking = sorted(set.union(*found.values()) - names, key=natural)
        if lacking:
            notes.append(
                f"'{variable}' has no source for {len(lacking)} sequences, which are left out: {_some(lacking)}."
            )
    return sorted(shared, key=natural)


def _names(path: str) -> list[str]:
    """What stands in the place of the placeholder in the files and folders that fit; ``*`` and ``?`` fit any."""
    path = parse_source(path).path
    before, *rest = path.split(PLACEHOLDER)
    first, *others = rest
    expression = _pattern(before) + _NAME + "(?P=name)".join(_pattern(piece) for piece in [first, *others])
    wanted = path.replace("[", "[[]").replace(PLACEHOLDER, "*")
    fitting = glob.glob(wanted)
    if not fitting and PLACEHOLDER not in os.path.basename(path):  # the prefix of a stack, as maps/{sequence}/P
        fitting, expression = glob.glob(wanted + "*"), expression + r"[^/\\]*"
    matches = [re.fullmatch(expression, found) for found in fitting]
    return [match.group("name") for match in matches if match]


def _pattern(text: str) -> str:
    return re.escape(text).replace(r"\*", r"[^/\\]*").replace(r"\?", r"[^/\\]")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"
