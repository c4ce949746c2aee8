"""How large a dataset will be and how long its making takes, before anything is made."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from qgis.core import QgsSettings

from ...core.contracts import FreshetError, GridConfig
from ...core.contracts.dates import format_step
from ...core.contracts.steps import steps_between
from ...plugin.engine import find_engine
from ...plugin.inspection import SourceReport
from ...plugin.settings import load_settings
from ..text import tr
from .checks import ERROR, NOTE, WARNING, Dates, Hint, Row, shared_period

# Measured with two threads on two cores: opening a file, values read and brought onto the grid, values written.
_START_S, _FILE_S, _READ_PER_S, _WRITTEN_PER_S = 4.0, 0.003, 4e7, 2.5e7
_PACE = "freshet/prepare_pace"


@dataclass(frozen=True)
class Estimate:
    """``maps`` steps of ``columns`` x ``rows`` cells in each of ``sequences``; ``megabytes`` before compression;
    ``seconds`` by what earlier builds on this machine took.
    """

    columns: int
    rows: int
    maps: int
    step_seconds: float
    megabytes: float
    seconds: float
    sequences: int = 1


def grid_size(grid: GridConfig, model: Optional[SourceReport]) -> Optional[tuple[int, int]]:
    """Columns and rows of the grid, None where they are not known yet; ``model`` is the source that it is like."""
    if grid.extent and grid.resolution:
        west, south, east, north = grid.extent
        return max(1, round((east - west) / grid.resolution)), max(1, round((north - south) / grid.resolution))
    if model is None:
        return (1, 1) if not grid.like else None
    if not grid.resolution or not all(model.cell):
        return model.size
    ratios = [cell / grid.resolution for cell in model.cell]
    return tuple(max(1, round(size * ratio)) for size, ratio in zip(model.size, ratios))


def estimate(
    rows: list[Row],
    size: Optional[tuple[int, int]],
    typed: Dates = (None, None),
    step_hours: Optional[float] = None,
    sequences: int = 1,
) -> Optional[Estimate]:
    """What a build will give, or None while grid or period are not known. ``typed``: dates that cut the period."""
    dated = [report for _, role, report in rows if role != "static" and report.dates]
    period = shared_period(dated) if dated else None
    if period is None or size is None:
        return None
    first, last = max(period[0], typed[0] or period[0]), min(period[1], typed[1] or period[1])
    step = step_hours * 3600.0 if step_hours else max(report.step_seconds or 86400.0 for report in dated)
    count = max(0, int(steps_between(first, last, step)) + 1) if last >= first else 0
    cells = size[0] * size[1]
    written = cells * (count * len(dated) + len(rows) - len(dated)) * sequences
    read = sum(_values(report, role, first, last) for _, role, report in rows) * sequences
    files = sum(len(report.files) or 1 for _, _, report in rows) * sequences
    seconds = _START_S + files * _FILE_S + read / _READ_PER_S + written / _WRITTEN_PER_S
    return Estimate(size[0], size[1], count, step, 4e-6 * written, seconds * pace(), sequences)


def facts(found: Optional[Estimate]) -> str:
    """The estimate in words; empty while there is none."""
    if found is None:
        return ""
    words = tr("{count} maps of {columns} x {rows} cells, step {step}")
    if (found.columns, found.rows) == (1, 1):
        words = tr("{count} values of one cell, step {step}")
    if found.sequences > 1:
        words = tr("{n} sequences of").format(n=found.sequences) + " " + words
    size = tr("at most {size}, about {time}").format(size=_size(found.megabytes), time=duration(found.seconds))
    shown = words.format(count=found.maps, columns=found.columns, rows=found.rows, step=format_step(found.step_seconds))
    return f"{shown}; {size}"


def duration(seconds: float) -> str:
    """A time as a person says it beforehand: '20 s', '3 min', '2 h'."""
    if seconds < 60:
        return tr("{n} s").format(n=max(5, 5 * round(seconds / 5)))
    return tr("{n} min").format(n=round(seconds / 60)) if seconds < 5400 else tr("{n:.1f} h").format(n=seconds / 3600)


def lacking_room(found: Optional[Estimate], output: str) -> str:
    """A sentence where the disk of ``output`` may have too little room, else empty."""
    folder = os.path.dirname(output)
    while folder and not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    if found is None or not os.path.isdir(folder):
        return ""
    free = shutil.disk_usage(folder).free / 1e6
    if found.megabytes < free:
        return ""
    return tr(
        "The dataset may take up to {size}, and {folder} has {free} left: choose another folder, or a shorter "
        "period, or larger cells."
    ).format(size=_size(found.megabytes), folder=folder, free=_size(free))


def output_hints(found: Optional[Estimate], output: str) -> list[Hint]:
    """What there is to say of the file to write, the room for it, and the engine that would write it."""
    hints, name = [], os.path.basename(output)
    room = lacking_room(found, output)
    if room:
        hints.append(Hint(ERROR, room))
    if output and os.path.exists(f"{output}.parts"):
        words = tr("A build of {name} was broken off: it goes on from the maps that are already written.")
        hints.append(Hint(NOTE, words.format(name=name)))
    elif output and os.path.exists(output):
        hints.append(Hint(WARNING, tr("{name} exists already and will be replaced.").format(name=name)))
    try:
        find_engine(load_settings())
    except FreshetError as error:
        words = tr("{error} Without it, 'Add as temporal layers' shows the sources on the map.")
        hints.append(Hint(WARNING, words.format(error=error)))
    return hints


def pace() -> float:
    """How much slower than the measured machine this one made its last datasets; 1 before the first."""
    return min(20.0, max(0.05, float(QgsSettings().value(_PACE, 1.0))))


def learn(expected_s: float, taken_s: float) -> None:
    """Remember what a build took, so that the next estimate is better."""
    if expected_s > 0:
        QgsSettings().setValue(_PACE, min(20.0, max(0.05, pace() * (0.5 + 0.5 * taken_s / expected_s))))


def _values(report: SourceReport, role: str, first: datetime, last: datetime) -> float:
    if role == "static" or not report.step_seconds:
        return report.size[0] * report.size[1]
    return report.size[0] * report.size[1] * max(1.0, steps_between(first, last, report.step_seconds) + 1.0)


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{max(1, round(megabytes))} MB"
