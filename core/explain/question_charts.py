"""Charts of the questions that are asked of a whole model. Drawn with matplotlib's object interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..contracts.grid import Grid
from ..inference.figures import BLUE, INK, PAPER, RED, SOFT, broken_at_gaps, cell_aspect, date_axis

COLOURS = ("#2c7fb8", "#d98c3f", "#b5484a", "#5a9e6f", "#8a6fb0", "#6b7f8c", "#c9a227", "#4fa3a5", "#a8577e", "#7a6a53")
GREY, ORANGE = "#bbbbbb", "#d98c3f"
Triple = tuple[float, float, float]  # mean, low, high


def interval_bars(label: str, units: str, panels: Sequence[tuple[str, Sequence[tuple[str, Triple, Triple]]]]) -> Any:
    """Panels below each other: drop in NSE left, rise in RMSE right; grey where it holds 0, orange where below."""
    from matplotlib.figure import Figure

    counts = [max(1, len(bars)) for _, bars in panels]
    height = sum(0.32 * count + 0.95 for count in counts) + 0.3
    figure = Figure(figsize=(10.5, height), facecolor="white", layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False, gridspec_kw={"height_ratios": counts})
    heads = ("drop in NSE", f"rise in RMSE of {label[0].lower() + label[1:]} ({units})")
    for pair, (title, bars) in zip(axes, panels):
        for axis, which, words in zip(pair, (1, 2), heads):
            _bars(axis, [bar[0] for bar in bars], [bar[which] for bar in bars])
            axis.set_xlabel(words, fontsize=9, color=INK)
            quiet(axis, title if which == 1 else "")
        pair[1].set_yticklabels([])
    return figure


def _bars(axis: Any, names: Sequence[str], triples: Sequence[Triple]) -> None:
    places = np.arange(len(names))
    means = np.nan_to_num(np.array([mean for mean, _, _ in triples]))
    low, high = (np.array([item[number] for item in triples]) for number in (1, 2))
    colours = [BLUE if a > 0 else ORANGE if b < 0 else GREY for a, b in zip(low, high)]
    axis.barh(places, means, color=colours, height=0.66)
    known = np.isfinite(low)
    reach = np.stack([means - low, high - means])[:, known]
    axis.errorbar(means[known], places[known], xerr=reach, fmt="none", ecolor=INK, elinewidth=1.0, capsize=2.5)
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(places, names, fontsize=9)
    axis.invert_yaxis()


def quiet(axis: Any, title: str) -> None:
    """No frame, small ticks, the title above left."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8.5, color=SOFT)
    if title:
        axis.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)


def hydrographs(
    dates: np.ndarray,
    places: Sequence[tuple[str, np.ndarray, np.ndarray]],
    *,
    label: str,
    units: str,
    step_seconds: float,
    names: tuple[str, str] = ("as it was", "changed"),
    observed: Sequence[np.ndarray] = (),
) -> Any:
    """One row a place: both series left, with what was ``observed`` there, their difference right. A place is (title,
    before (n,), after (n,)).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 2.5 * len(places) + 0.3), facecolor="white", layout="constrained")
    axes = figure.subplots(len(places), 2, squeeze=False)
    for number, (pair, (title, before, after)) in enumerate(zip(axes, places)):
        if number < len(observed) and np.isfinite(observed[number]).any():
            seen = broken_at_gaps(dates, observed[number], step_seconds)
            pair[0].plot(*seen, color=GREY, lw=1.2, marker="." if len(dates) < 60 else None, label="observed")
        mark = "o" if len(dates) == 1 else None
        pair[0].plot(*broken_at_gaps(dates, before, step_seconds), color=INK, lw=1.2, marker=mark, label=names[0])
        pair[0].plot(*broken_at_gaps(dates, after, step_seconds), color=BLUE, lw=1.6, marker=mark, label=names[1])
        pair[1].plot(*broken_at_gaps(dates, after - before, step_seconds), color=RED, lw=1.6, marker=mark)
        pair[1].axhline(0, color=INK, lw=0.8)
        pair[0].set_ylabel(f"{label} ({units})", fontsize=8.5, color=INK)
        pair[1].set_ylabel(f"change ({units})", fontsize=8.5, color=INK)
        quiet(pair[0], title)
        quiet(pair[1], "Change")
        for axis in pair:
            date_axis(axis)
    axes[0, 0].legend(frameon=False, fontsize=8.5, loc="best")
    return figure


def probe_figure(
    rows: Sequence[tuple[str, float, float, float]],
    reference: Optional[float],
    dates: np.ndarray,
    series: tuple[np.ndarray, np.ndarray],
    *,
    label: str,
    units: str,
    step_seconds: float,
    where: str,
) -> Any:
    """Left r by layer (name, r, lowest and highest r of the shuffled control), with the reference as a line; right the
    series of the best probe beside the truth.
    """
    from matplotlib.figure import Figure

    height = max(3.0, 0.34 * len(rows) + 1.3)
    figure = Figure(figsize=(11.5, height), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1, 1.5)})
    places = np.arange(len(rows))
    left.barh(places, np.nan_to_num([row[1] for row in rows]), color=BLUE, height=0.62, label="probe")
    for place, (_, _, low, high) in zip(places, rows):
        left.plot([low, high], [place, place], color=RED, lw=4, solid_capstyle="butt", alpha=0.8)
    left.plot([], [], color=RED, lw=4, label="shuffled in time")
    if reference is not None and np.isfinite(reference):
        left.axvline(reference, color=INK, lw=1.2, ls="--", label="plain spatial mean")
    left.axvline(0, color=INK, lw=0.8)
    left.set_yticks(places, [row[0] for row in rows], fontsize=8.5)
    left.invert_yaxis()
    left.set_xlabel("r on dates kept apart", fontsize=9, color=INK)
    left.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.2), ncol=3)
    quiet(left, "How well the states tell it")
    truth, found = series
    right.plot(*broken_at_gaps(dates, truth, step_seconds), color=INK, lw=1.2, label="in the dataset")
    right.plot(*broken_at_gaps(dates, found, step_seconds), color=BLUE, lw=1.6, label="best probe")
    right.set_ylabel(f"{label} ({units})", fontsize=9, color=INK)
    right.legend(frameon=False, fontsize=8.5)
    quiet(right, where)
    date_axis(right)
    return figure


def share_figure(
    seasons: Mapping[str, Mapping[str, float]],
    cumulative: Mapping[str, Sequence[float]],
    back: Sequence[int],
    unit: str,
) -> Any:
    """Left the shares of each season as stacked bars, right the cumulative share by steps back.

    ``seasons``: name of the season, then of the variable, to its share (0 to 1). ``cumulative``: name of the variable
    to its shares added up from the youngest step of ``back`` on.
    """
    from matplotlib.figure import Figure

    names = list(next(iter(seasons.values())))
    colour = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    figure = Figure(figsize=(11.5, 4.0), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1.1, 1)})
    bottom = np.zeros(len(seasons))
    for name in names:
        values = np.array([100 * season[name] for season in seasons.values()])
        left.bar(range(len(seasons)), values, bottom=bottom, color=colour[name], width=0.74, label=name)
        for place, (low, value) in enumerate(zip(bottom, values)):
            if value >= 6:
                left.text(place, low + value / 2, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white")
        bottom += values
    left.set_xticks(range(len(seasons)), list(seasons), fontsize=9)
    left.set_ylabel("share of what moved the prediction (%)", fontsize=9, color=INK)
    left.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncol=4)
    quiet(left, "By season")
    for name, values in cumulative.items():
        right.plot(back, 100 * np.array(values), color=colour.get(name, GREY), lw=1.8, label=name)
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_xlabel(f"{unit} back", fontsize=9, color=INK)
    right.set_ylabel("cumulative share (%)", fontsize=9, color=INK)
    right.set_ylim(bottom=0)
    quiet(right, "Cumulative from the last step back")
    return figure


def driver_figure(
    driver: np.ndarray,
    margin: np.ndarray,
    cells: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[str],
    grid: Grid,
    title: str,
) -> Any:
    """Left the classes with a legend, right the margin, both (H, W); what is not asked for stays grey."""
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    aspect = cell_aspect(grid)
    height = min(6.5, max(2.6, 4.2 * aspect * grid.rows / grid.columns)) + 1.3
    figure = Figure(figsize=(11.0, height), facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    left, right = figure.subplots(1, 2)
    picture = np.full((*driver.shape, 3), to_rgb(PAPER))
    there = []
    for number, (name, colour) in enumerate(zip(labels, colours), start=1):
        chosen = cells & (driver == number)
        picture[chosen] = to_rgb(colour)
        there += [Patch(color=colour, label=f"{name} ({int(chosen.sum())})")] if chosen.any() else []
    left.imshow(picture, aspect=aspect, interpolation="nearest")
    if there:
        columns = min(3, len(there))
        left.legend(
            handles=there, frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncol=columns
        )
    image = right.imshow(margin, cmap="viridis", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    right.set_facecolor(PAPER)
    bar = figure.colorbar(image, ax=right, orientation="horizontal", shrink=0.7, pad=0.02)
    bar.set_label("margin over the second, share of all contributions (-)", fontsize=8.5, color=INK)
    bar.ax.tick_params(labelsize=8)
    for axis, words in ((left, "Dominant driver (cells)"), (right, "Margin")):
        quiet(axis, words)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure
