"""What a search leaves: the table of its trials, and how each option goes with the validation loss.

The rank correlation is Spearman's over the trials that were trained to their end; trials that were given up were judged
after fewer epochs and are left out.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..explain.chart import save_svg_and_png
from ..inference.figures import BLUE, INK, RED, SOFT
from .search_space import Dimension

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_FEWEST = 3  # trials for a rank correlation
_PER_ROW = 3  # scatters beside each other
_TITLE = "Options and validation loss"
_NOTE = (
    "Spearman's rank correlation of each option with the validation loss, n trials each. Below 0: larger values "
    "predict better; above 0: smaller ones do. With few trials chance alone reaches large values."
)
_STATES = {"COMPLETE": "done", "PRUNED": "given up", "FAIL": "failed", "RUNNING": "under way", "WAITING": "waiting"}


@dataclass(frozen=True)
class Option:
    """One key of the space over the trials that were trained to their end: ``places (n,)`` of its values on an axis,
    ``losses (n,)``, and the rank correlation with its p value, None where it cannot be told.
    """

    space: Dimension
    places: np.ndarray
    losses: np.ndarray
    numbers: bool
    rank: Optional[float]
    p_value: Optional[float]


def write_trials(study: optuna.Study, space: Sequence[Dimension], run: RunFolder) -> None:
    """``results/trials.csv``: every trial of all processes, with its options, its loss and how it ended."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    keys = [item.key for item in space]
    table.writerow(["trial", "validation_loss", *keys, "state", "epochs", "seconds", "host", "why"])
    for trial in study.get_trials(deepcopy=False):
        known = trial.user_attrs
        options, last = known.get("options", {}), trial.last_step
        loss = trial.value if trial.value is not None else trial.intermediate_values.get(last)
        values = [json.dumps(options[key]) if key in options else "" for key in keys]
        more = [known.get(key, "") for key in ("seconds", "host", "fault")]
        loss = "" if loss is None or not math.isfinite(loss) else loss
        table.writerow([trial.number + 1, loss, *values, _STATES[trial.state.name], last or "", *more])
    write_text(run.results / "trials.csv", text.getvalue())


def write_results(study: optuna.Study, space: Sequence[Dimension], run: RunFolder) -> Iterator[Event]:
    """``options.csv``, and ``options.png`` and ``.svg``; tells of them and of ``trials.csv``."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    options = options_of(done, space)
    write_text(run.results / "options.csv", _table(options))
    names = save_svg_and_png(figure_of(options), run.results, "options")
    for name, title in (("trials.csv", "Trials"), ("options.csv", _TITLE)):
        yield _told(Artifact(kind="table", path=f"results/{name}", title=title))
    for name in names:
        yield _told(Artifact(kind="chart", path=f"results/{name}", title=_TITLE, note=_NOTE))
    text = "; ".join(f"{item.space.words} {item.rank:+.2f} (n {len(item.losses)})" for item in options if item.rank)
    if text:
        words = f"Rank correlation with the validation loss, below 0 where larger is better: {text}."
        yield Event(EventKind.MESSAGE, {"level": "info", "text": words})


def options_of(trials: Sequence[FrozenTrial], space: Sequence[Dimension]) -> list[Option]:
    """Each key of the space over ``trials`` that are done, in the order of the space."""
    found = []
    for item in space:
        known = [(trial.user_attrs["options"][item.key], trial.value) for trial in trials]
        placed = [item.place(value) for value, _ in known]
        places, losses = np.array([at for at, _ in placed]), np.array([loss for _, loss in known])
        numbers = all(is_number for _, is_number in placed)
        found.append(Option(item, places, losses, numbers, *_spearman(places, losses)))
    return found


def figure_of(options: Sequence[Option]) -> Any:
    """Bars of the rank correlations with n, and below them the loss of every trial over each option."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(options) / _PER_ROW)
    bars, each = 0.9 + 0.34 * len(options), 2.5
    figure = Figure(figsize=(9.6, bars + each * rows + 0.5), facecolor="white")
    height = figure.get_figheight()
    top = 1.0 - 0.45 / height
    figure.text(0.02, 1.0 - 0.12 / height, _TITLE, fontsize=12, fontweight="bold", color=INK, va="top")
    axis = figure.add_axes((0.30, top - (bars - 0.55) / height, 0.62, (bars - 0.6) / height))
    words = f"{max(len(item.losses) for item in options)} trials that were trained to their end; the best is circled"
    figure.text(0.98, 1.0 - 0.15 / height, words, fontsize=8.5, color=SOFT, va="top", ha="right")
    _bars(axis, options)
    for number, item in enumerate(options):
        row, column = divmod(number, _PER_ROW)
        bottom = top - (bars + each * (row + 1) - 0.65) / height
        place = (0.085 + column * 0.315, bottom, 0.235, (each - 0.95) / height)
        _scatter(figure.add_axes(place), item, first=column == 0)
    return figure


def _bars(axis: Any, options: Sequence[Option]) -> None:
    for row, item in enumerate(reversed(options)):
        rank = item.rank
        if rank is not None:
            axis.barh(row, rank, color=BLUE if rank < 0 else RED, height=0.62)
        words = f"n {len(item.losses)}" + ("" if rank is not None else ": not told")
        at, side = (rank or 0.0), "left" if (rank or 0.0) >= 0 else "right"
        axis.annotate(
            words if rank is None else f"{rank:+.2f}  {words}", (at, row), (4 if side == "left" else -4, 0),
            textcoords="offset points", ha=side, va="center", fontsize=8.5, color=INK,
        )  # fmt: skip
    axis.axvline(0.0, color=INK, lw=0.8)
    axis.set(xlim=(-1.3, 1.3), xticks=[-1, -0.5, 0, 0.5, 1], ylim=(-0.6, len(options) - 0.4))
    axis.set_yticks(range(len(options)), [item.space.words for item in reversed(options)], fontsize=9)
    axis.set_xlabel("Spearman's rank correlation: left, larger is better; right, smaller is better", fontsize=8.5)
    _quiet(axis)


def _scatter(axis: Any, item: Option, first: bool) -> None:
    axis.plot(item.places, item.losses, "o", ms=4.5, mfc=BLUE, mec="white", mew=0.5, alpha=0.85)
    if len(item.losses):
        best = int(np.argmin(item.losses))
        axis.plot(item.places[best], item.losses[best], "o", ms=8, mfc="none", mec=RED, mew=1.5)
    choices = item.space.choices
    if choices is not None and not item.numbers:
        labels = [json.dumps(value).strip('"') for value in choices]
        axis.set_xticks(range(len(choices)), labels, fontsize=7.5, rotation=20 if max(map(len, labels)) > 6 else 0)
        axis.set_xlim(-0.5, len(choices) - 0.5)
    elif item.space.log or (len(item.places) and item.places.min() > 0 and item.places.max() > 50 * item.places.min()):
        _logarithmic(axis)
    axis.set_xlabel(item.space.words, fontsize=8.5, color=INK)
    if first:
        axis.set_ylabel("validation loss", fontsize=8.5, color=INK)
    _quiet(axis)


def _logarithmic(axis: Any) -> None:
    """A logarithmic axis with few labels, in plain numbers: matplotlib's own ones overlap on so small a chart. A range
    that spans no power of ten has no place for them, and stays even.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_xlim()
    if low > 0.0 and high < 3.0 * low:
        axis.locator_params(axis="x", nbins=4)
        return
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    near = (1.0, 2.0, 5.0) if high < 30.0 * low else (1.0,)
    axis.xaxis.set_major_locator(LogLocator(subs=near, numticks=8))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def _quiet(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, color=SOFT)


def _table(options: Sequence[Option]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["option", "trials", "spearman", "p_value", "order"])
    for item in options:
        order = "by value" if item.numbers else "as listed in the search space"
        numbers = ["" if value is None else round(value, 6) for value in (item.rank, item.p_value)]
        table.writerow([item.space.key, len(item.losses), *numbers, order])
    return text.getvalue()


def _spearman(one: np.ndarray, two: np.ndarray) -> tuple[Optional[float], Optional[float]]:
    """Rank correlation and its p value; None of both for fewer than three values, or where one of them is constant."""
    if len(one) < _FEWEST or np.ptp(one) == 0.0 or np.ptp(two) == 0.0:
        return None, None
    from scipy.stats import spearmanr

    found = spearmanr(one, two)
    p_value = float(found.pvalue)
    return float(found.statistic), p_value if math.isfinite(p_value) else None


def _told(artifact: Artifact) -> Event:
    return Event(EventKind.ARTIFACT, artifact.to_dict())
