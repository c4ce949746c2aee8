"""The picture of an answer: a bridge from the baseline to the prediction, contributions by step back, maps.

Drawn with matplotlib's object interface: no window, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..contracts.files import whole_file
from ..contracts.grid import Grid
from ..inference.figures import INK, RED, SOFT, cell_aspect, save_png
from .contributions import Clock, Contribution, range_limit
from .explained import Attribution
from .lags import Lags
from .sanity import Sanity

UP, DOWN, GREY = "#2c7fb8", "#c05f3c", "#bbbbbb"
_COLOURS = ("#2c7fb8", "#d98c3f", "#b5484a", "#5a9e6f", "#8a6fb0", "#6b7f8c", "#c9a227", "#4fa3a5")
_OUTSIDE = "#dededa"
_MOST_BARS = 9
_MOST_MAPS = 5


@dataclass(frozen=True)
class Answer:
    """What the picture shows. ``rows`` are the attributed variables, ``weights`` (H, W) the place; ``complete`` says
    that contributions add up to prediction - baseline prediction. ``spread`` holds the standard deviation over several
    models of each row by its name, and of the prediction under "".
    """

    title: str
    subtitle: str
    target: str
    units: str
    date: str
    step: str
    clock: Clock
    rows: list[Contribution]
    found: Attribution
    grid: Grid
    mask: np.ndarray
    weights: np.ndarray
    limit_ramp: str
    complete: bool = True
    spread: Mapping[str, float] = field(default_factory=dict)


def draw(answer: Answer) -> Any:
    """The figure: bridge left, steps back right, maps (sum over the window) below."""
    from matplotlib.figure import Figure

    bars = min(len(answer.rows), _MOST_BARS) + 2
    upper, lower = max(2.6, 0.36 * bars + 0.7), min(2.6, max(1.4, 1.8 * cell_aspect(answer.grid))) + 0.3
    height = 0.95 + upper + 0.85 + lower + 0.75
    figure = Figure(figsize=(11.0, height), facecolor="white")
    figure.text(0.03, 1 - 0.34 / height, answer.title, fontsize=14, fontweight="bold", color=INK, va="center")
    figure.text(0.03, 1 - 0.64 / height, answer.subtitle, fontsize=9.5, color=SOFT, va="center")
    bottom = (height - 1.2 - upper) / height
    left = figure.add_axes((0.155, bottom, 0.33, (upper - 0.1) / height))
    (_bridge if answer.complete else _single_bars)(left, answer)
    if any(not row.static for row in answer.rows):
        _steps(figure.add_axes((0.60, bottom, 0.37, (upper - 0.1) / height)), answer)
    if any(row.on_map for row in answer.rows):
        _maps(figure, answer, 0.75 / height, (lower - 0.3) / height)
    return figure


def lag_figure(found: Lags, rows: list[Contribution], units: str, unit: str, date: str) -> Any:
    """Sizes of contributions by steps back, stacked, and their cumulative share; the delay that carries the most is
    marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), facecolor="white", layout="constrained")
    axis = figure.subplots()
    below = np.zeros(len(found.lags))
    shorts = {row.name: _lower(row.short) for row in rows}
    for number, name in enumerate(found.names):
        colour = _COLOURS[number % len(_COLOURS)]
        axis.bar(found.lags, found.sizes[number], bottom=below, color=colour, width=0.82, label=shorts[name])
        below = below + found.sizes[number]
    axis.set_xlim(found.lags.max() + 0.6, found.lags.min() - 0.6)
    axis.set_ylim(0, 1.32 * (below.max() or 1.0))
    axis.axvline(found.most, color=RED, lw=1.0, ls="--")
    recent = found.most <= (found.lags.max() + found.lags.min()) / 2  # words to the left of it, where there is room
    axis.annotate(
        f"most: {found.most}", (found.most, 1.0), xycoords=("data", "axes fraction"),
        xytext=(-4 if recent else 4, -10), textcoords="offset points", ha="right" if recent else "left",
        fontsize=8.5, color=RED,
    )  # fmt: skip
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel(f"{unit} before {date}", fontsize=9, color=INK)
    axis.set_ylabel(f"size of contributions ({units})", fontsize=9, color=INK)
    axis.legend(frameon=False, fontsize=8, loc="upper left", ncol=4, handlelength=0.9, columnspacing=1.0)
    share = axis.twinx()
    share.plot(found.lags, 100 * found.cumulative, color=INK, lw=1.1)
    share.set_ylim(0, 132)
    share.set_yticks((0, 25, 50, 75, 100))
    share.set_ylabel("cumulative, from the last step back (%)", fontsize=9, color=INK)
    _quiet(axis, "How long ago")
    share.spines["top"].set_visible(False)
    share.tick_params(labelsize=8.5, color=SOFT)
    return figure


def deletion_figure(found: Sanity) -> Any:
    """What is left of the explained difference while inputs are set to their baseline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.4), facecolor="white", layout="constrained")
    axis = figure.subplots()
    shares = 100 * found.shares
    axis.fill_between(shares, found.random.min(axis=0), found.random.max(axis=0), color=GREY, alpha=0.4, lw=0)
    axis.plot(shares, found.random.mean(axis=0), color=SOFT, lw=1.3, label="random order")
    axis.plot(shares, found.attributed, color=UP, lw=1.6, label="most attributed first")
    axis.axhline(0, color=INK, lw=0.8)
    axis.set_xlabel("inputs set to their baseline (%)", fontsize=9, color=INK)
    axis.set_ylabel("left of the difference (-)", fontsize=9, color=INK)
    axis.legend(frameon=False, fontsize=8.5)
    _quiet(axis, "Deletion curve")
    return figure


def save_svg_and_png(figure: Any, folder: Path, stem: str) -> list[str]:
    """Write both, whole or not at all; gives the file names. The SVG holds no date of writing."""
    save_png(figure, folder / f"{stem}.png")
    with whole_file(folder / f"{stem}.svg") as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    return [f"{stem}.png", f"{stem}.svg"]


def _bridge(axis: Any, answer: Answer) -> None:
    """Bars from the baseline to the prediction, the largest contribution first."""
    start, end = answer.found.baseline_prediction, answer.found.prediction
    bars = _bars(answer)
    edges = start + np.concatenate([[0.0], np.cumsum([value for _, value, _ in bars])])
    low, high = float(min(edges.min(), end)), float(max(edges.max(), end))
    more = max((apart or 0.0 for *_, apart in bars), default=0.0)
    low, high = low - more, high + more
    spread = (high - low) or max(abs(high), 1e-6)
    margin = (0.5 if answer.spread else 0.3) * spread  # room for the numbers
    left, right = low - margin, high + margin
    axis.barh(0, start - left, left=left, color=GREY, height=0.72)
    for row, ((_, value, apart), edge) in enumerate(zip(bars, edges), start=1):
        axis.barh(row, value, left=edge, color=UP if value >= 0 else DOWN, height=0.72)
        axis.plot([edge, edge], [row - 1 + 0.36, row - 0.36], color=SOFT, lw=0.6)
        _whisker(axis, edge + value, row, apart)
        beyond = 0.02 * spread + (apart or 0.0)
        place = (
            (max(edge, edge + value) + beyond, "left") if value >= 0 else (min(edge, edge + value) - beyond, "right")
        )
        axis.text(place[0], row, _told(value, apart, spread), ha=place[1], va="center", fontsize=8.5, color=INK)
    last = len(bars) + 1
    axis.barh(last, end - left, left=left, color="#222222", height=0.72)
    whole = answer.spread.get("")
    _whisker(axis, end, last, whole, RED)
    for row, value, apart in ((0, start, None), (last, end, whole)):
        axis.text(
            value + 0.02 * spread + (apart or 0.0), row, _plain(value, spread) + _apart(apart, spread), va="center",
            fontsize=8.5, color=INK,
        )  # fmt: skip
    axis.set_yticks(range(last + 1), ["baseline", *(name for name, *_ in bars), "prediction"], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(left, right)
    axis.set_xlabel(f"{answer.target} ({answer.units})", fontsize=9, color=INK)
    _quiet(axis, "From the baseline to the prediction")
    axis.tick_params(axis="y", length=0)


def _single_bars(axis: Any, answer: Answer) -> None:
    """One bar a variable from zero, where they do not add up to the prediction."""
    bars = _bars(answer)
    spread = max((abs(value) for _, value, _ in bars), default=0.0) or 1e-6
    for row, (_, value, apart) in enumerate(bars):
        axis.barh(row, value, color=UP if value >= 0 else DOWN, height=0.72)
        _whisker(axis, value, row, apart)
        beyond = 0.02 * spread + (apart or 0.0)
        side = (beyond, "left") if value >= 0 else (-beyond, "right")
        axis.text(value + side[0], row, _told(value, apart, spread), ha=side[1], va="center", fontsize=8.5, color=INK)
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.25)
    axis.set_xlabel(f"{answer.target} ({answer.units})", fontsize=9, color=INK)
    _quiet(axis, "Sums over cells and steps; they need not add up")
    axis.tick_params(axis="y", length=0)


def _bars(answer: Answer) -> list[tuple[str, float, Optional[float]]]:
    """Name, value and spread, the largest first; what does not fit is summed, and has no spread."""
    bars = [(_lower(row.short), row.total, answer.spread.get(row.name)) for row in answer.rows]
    bars.sort(key=lambda bar: -abs(bar[1]))
    if len(bars) <= _MOST_BARS:
        return bars
    rest = bars[_MOST_BARS - 1 :]
    return [*bars[: _MOST_BARS - 1], (f"{len(rest)} others", sum(value for _, value, _ in rest), None)]


def _whisker(axis: Any, end: float, row: int, apart: Optional[float], colour: str = INK) -> None:
    """The standard deviation over several models around the end of a bar."""
    if apart is not None:
        axis.errorbar(end, row, xerr=apart, color=colour, lw=1.0, capsize=3, capthick=1.0)


def _apart(value: Optional[float], spread: float) -> str:
    return "" if value is None else f" \u00b1 {_plain(value, spread)}"


def _told(value: float, apart: Optional[float], spread: float) -> str:
    return _signed(value, spread) + _apart(apart, spread)


def _steps(axis: Any, answer: Answer) -> None:
    """Stacked bars of each step back: what raised above zero, what lowered below."""
    timed = [(row, answer.clock.of(row)[0]) for row in answer.rows if not row.static]
    back = np.arange(min(min(steps) for _, steps in timed), max(max(steps) for _, steps in timed) + 1)
    above, below = np.zeros(len(back)), np.zeros(len(back))
    for (row, steps), colour in zip(timed, _colours(answer.rows)):
        values = np.zeros(len(back))
        values[np.array(steps) - back[0]] = row.by_step
        axis.bar(
            back, values, bottom=np.where(values >= 0, above, below), color=colour, width=0.82, label=_lower(row.short)
        )
        above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
    axis.axhline(0, color=INK, lw=0.8)
    axis.set_xlim(back.max() + 0.6, back.min() - 0.6)
    axis.xaxis.get_major_locator().set_params(integer=True)
    word = f"steps of {answer.step}" if answer.step != "1 day" else "days"
    axis.set_xlabel(f"{word} before {answer.date}", fontsize=9, color=INK)
    axis.set_ylabel(f"contribution ({answer.units})", fontsize=9, color=INK)
    spread = float((above.max() - below.min()) or 1.0)
    axis.set_ylim(below.min() - 0.06 * spread, above.max() + 0.3 * spread)
    axis.legend(
        frameon=False, fontsize=8, loc="upper left", ncol=4, borderaxespad=0.1, handlelength=0.9, columnspacing=1.0
    )
    _quiet(axis, "By steps back" if answer.step != "1 day" else "By days back")


def _maps(figure: Any, answer: Answer, bottom: float, height: float) -> None:
    """One map a variable around the place: its contributions summed over the window, all on one symmetric range."""
    told_apart = [row for row in answer.rows if row.on_map]
    shown = sorted(told_apart, key=lambda row: -abs(row.total))[:_MOST_MAPS]
    sums = [Contribution(r.name, r.label, r.short, r.maps.sum(axis=0, keepdims=True), True) for r in shown]
    limit = range_limit(sums)
    rows, columns = _around(sums, answer.weights)
    share, image = 0.80 / _MOST_MAPS, None
    for number, row in enumerate(sums):
        axis = figure.add_axes((0.03 + number * (share + 0.008), bottom, share, height), anchor="NW")
        values = np.where(~answer.mask & (row.maps[0] == 0), np.nan, row.maps[0])
        axis.set_facecolor(_OUTSIDE)
        image = axis.imshow(
            values,
            cmap=answer.limit_ramp,
            vmin=-limit,
            vmax=limit,
            aspect=cell_aspect(answer.grid),
            interpolation="nearest",
        )
        _outline(axis, answer.weights > 0, rows[1] - rows[0] + columns[1] - columns[0])
        axis.set(xticks=[], yticks=[], xlim=(columns[0] - 0.5, columns[1] - 0.5), ylim=(rows[1] - 0.5, rows[0] - 0.5))
        axis.spines[:].set_visible(False)
        axis.set_title(row.short, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    bar = figure.add_axes((0.045 + len(sums) * (share + 0.008), bottom, 0.011, height))
    colours = figure.colorbar(image, cax=bar, extend="both")
    colours.outline.set_visible(False)
    colours.ax.tick_params(labelsize=8, length=2, color=SOFT)
    colours.ax.yaxis.get_major_locator().set_params(nbins=5)
    colours.set_label(f"per cell ({answer.units})", fontsize=8.5, color=INK)
    words = "Where: contributions of all steps together. Green raised the prediction, brown lowered it. Red: the place."
    figure.text(0.03, bottom - 0.28 / figure.get_figheight(), words, fontsize=8.5, color=SOFT, va="center")


def _around(sums: list[Contribution], weights: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """(first, past the last) row and column of the part to draw: the place, and cells of at least 1 % of the largest
    contribution, with a margin.
    """
    sizes = np.max([np.abs(row.maps[0]) for row in sums], axis=0)
    seen = np.argwhere((weights > 0) | (sizes > max(0.01 * sizes.max(), 1e-300)))
    middle, half = (seen.min(axis=0) + seen.max(axis=0)) / 2, max(6, int(np.ptp(seen, axis=0).max()) // 2 + 2)
    ends = [(max(0, int(m - half)), min(size, int(m + half + 1))) for m, size in zip(middle, weights.shape)]
    return ends[0], ends[1]


def _outline(axis: Any, inside: np.ndarray, drawn: int) -> None:
    """The edge of the place's cells: a line along each side that parts inside from outside; ``drawn`` rows and columns
    of the grid are in sight.
    """
    padded = np.pad(inside, 1).astype(np.int8)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])
    axis.hlines(rows - 0.5, columns - 0.5, columns + 0.5, color=RED, lw=1.1)
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    axis.vlines(columns - 0.5, rows - 0.5, rows + 0.5, color=RED, lw=1.1)
    if inside.sum() == 1 and drawn > 80:  # a single cell of many would not be seen
        (row,), (column,) = np.nonzero(inside)
        axis.plot(column, row, "o", ms=10, mfc="none", mec=RED, mew=1.2)


def _colours(rows: list[Contribution]) -> list[str]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(len(rows))]


def _quiet(axis: Any, title: str) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8.5, color=SOFT)
    axis.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)


def _digits(spread: float) -> int:
    """Decimals that tell a tenth of the spread, and mostly less."""
    return int(np.clip(np.ceil(1 - np.log10(spread)), 0, 8))


def _signed(value: float, spread: float) -> str:
    return f"{value:+.{_digits(spread)}f}"


def _plain(value: float, spread: float) -> str:
    return f"{value:.{_digits(spread)}f}"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:] if text[1:2].islower() else text
