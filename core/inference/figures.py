"""Pictures for reports, drawn with matplotlib's object interface: no window, no global state.

Maps are (H, W), NaN outside the basin; dates are datetime64. Nothing here knows files other than the picture it writes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from ..contracts.files import whole_file
from ..contracts.grid import Grid
from .artifacts import DELTA_RAMP

INK, SOFT, PAPER = "#1a1a1a", "#555555", "#e9e9e6"
BLUE, RED, RAIN = "#2c7fb8", "#c0392b", "#7fb1d9"
_KM_PER_DEGREE = 111.32
_MOST_PX = 1200  # cells of a map that are drawn to each side


@dataclass(frozen=True)
class Look:
    """How the maps of one quantity are drawn: names, one range for predicted and observed, the limit of the delta."""

    label: str
    units: str
    ramp: str
    minimum: float
    maximum: float
    delta_limit: float = 1.0
    low_words: str = "too low"
    high_words: str = "too high"


def three_panels(
    predicted: np.ndarray,
    observed: Optional[np.ndarray],
    grid: Grid,
    look: Look,
    *,
    title: str,
    subtitle: str = "",
    cell: Optional[tuple[int, int]] = None,
) -> Any:
    """Figure with observed | predicted | delta; the predicted map alone where ``observed`` is None. ``cell`` (row,
    column) is circled.
    """
    from matplotlib.figure import Figure

    panels: list[tuple[str, np.ndarray, str, float, float, str]] = []
    legend = f"{look.label} ({look.units})"
    if observed is not None:
        panels.append(("Observed", observed, look.ramp, look.minimum, look.maximum, legend))
    panels.append(
        (
            "Predicted",
            predicted,
            look.ramp,
            look.minimum,
            look.maximum,
            legend if observed is None else f"{legend}, same range",
        )
    )
    if observed is not None:
        words = f"red: {look.low_words}    blue: {look.high_words}  ({look.units})"
        panels.append(
            (
                "Delta: predicted - observed",
                predicted - observed,
                DELTA_RAMP,
                -look.delta_limit,
                look.delta_limit,
                words,
            )
        )
    aspect = cell_aspect(grid)
    height = min(6.0, max(2.2, 3.6 * aspect * grid.rows / grid.columns))
    figure = Figure(figsize=(4.1 * len(panels), height + 1.9), facecolor="white")
    head = _heading(figure, title, subtitle)
    low = 0.12 / figure.get_figheight()
    for number, panel in enumerate(panels):
        share = 1.0 / len(panels)
        frame = (number * share + 0.045 * share * 3 / len(panels) + 0.01, low, share * 0.86, head - low)
        _map_panel(figure, frame, panel, grid, aspect, cell)
    return figure


def map_figure(
    values: np.ndarray, grid: Grid, *, title: str, legend: str, ramp: str, minimum: float, maximum: float
) -> Any:
    """Figure with one map and its colour bar."""
    from matplotlib.figure import Figure

    aspect = cell_aspect(grid)
    figure = Figure(figsize=(4.3, min(6.0, max(2.2, 3.6 * aspect * grid.rows / grid.columns)) + 1.2), facecolor="white")
    low = 0.1 / figure.get_figheight()
    _map_panel(
        figure, (0.05, low, 0.88, 0.99 - low), (title, values, ramp, minimum, maximum, legend), grid, aspect, None
    )
    return figure


def series_figure(
    dates: np.ndarray,
    panels: Sequence[tuple[str, np.ndarray, Optional[np.ndarray], Optional[np.ndarray]]],
    *,
    label: str,
    units: str,
    step_seconds: float,
    marked: Optional[np.datetime64] = None,
) -> Any:
    """Series below each other. A panel is (title, predicted (n,), observed (n,) or None, rain (n,) in mm/d or None);
    rain hangs from above.

    Lines break where steps are missing. ``marked`` is the date of the maps.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 2.6 * len(panels) + 0.3), facecolor="white", layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, predicted, observed, rain) in zip(axes, panels):
        _quiet(axis)
        axis.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)
        if observed is not None:
            axis.plot(*broken_at_gaps(dates, observed, step_seconds), color=INK, lw=1.2, label="observed")
        axis.plot(*broken_at_gaps(dates, predicted, step_seconds), color=BLUE, lw=1.6, label="predicted")
        axis.set_ylabel(f"{label}\n({units})", fontsize=9, color=INK)
        if marked is not None:
            axis.axvline(marked.astype("datetime64[ms]").item(), color=RED, lw=1.0)
        if rain is not None and np.isfinite(rain).any():
            _rain_from_above(axis, dates, rain, step_seconds, predicted, observed)
    handles, names = axes[0].get_legend_handles_labels()
    axes[0].legend(handles, names, loc="upper right", bbox_to_anchor=(1.0, 1.2), ncol=2, frameon=False, fontsize=9)
    moments = dates.astype("datetime64[ms]")
    axes[-1].set_xlim(moments[0], moments[-1] + np.timedelta64(int(step_seconds * 1000), "ms"))
    date_axis(axes[-1])
    return figure


def loss_figure(history: Sequence[dict[str, Any]]) -> Any:
    """Training and validation loss by epoch, logarithmic; ``history`` is the list of METRIC values."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    figure = Figure(figsize=(5.2, 2.9), facecolor="white", layout="constrained")
    axis = figure.subplots()
    _quiet(axis)
    epochs = [entry["epoch"] for entry in history]
    axis.plot(epochs, [entry["train_loss"] for entry in history], color=SOFT, lw=1.4, label="training")
    axis.plot(epochs, [entry["validation_loss"] for entry in history], color=BLUE, lw=1.8, label="validation")
    best = history[-1].get("best_epoch")
    if best:
        axis.axvline(best, color=RED, lw=1.0, ls=":", label=f"best epoch {best}")
    axis.set_yscale("log")
    axis.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        which(StrMethodFormatter("{x:g}"))
    axis.tick_params(which="minor", labelsize=8.5, color=SOFT)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("epoch", fontsize=9)
    axis.set_ylabel("loss (scaled units)", fontsize=9)
    axis.legend(frameon=False, fontsize=9)
    return figure


def save_png(figure: Any, path: Union[str, Path], dpi: int = 130) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def cell_aspect(grid: Grid) -> float:
    """Height of a cell over its width on the ground, so that a map in degrees is not stretched."""
    ratio = grid.cell_y / grid.cell_x
    return ratio / max(0.05, math.cos(math.radians(_middle_latitude(grid)))) if is_geographic(grid) else ratio


def is_geographic(grid: Grid) -> bool:
    """Whether the CRS is in degrees."""
    from rasterio.crs import CRS

    return bool(CRS.from_user_input(grid.crs).is_geographic)


def broken_at_gaps(dates: np.ndarray, values: np.ndarray, step_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Dates and values with a NaN put into each gap, so that no line bridges it."""
    moments = dates.astype("datetime64[ms]")
    wide = np.flatnonzero(np.diff(dates).astype("timedelta64[s]").astype(np.int64) > 1.5 * step_seconds)
    between = moments[wide] + np.timedelta64(int(step_seconds * 500), "ms")
    return np.insert(moments, wide + 1, between), np.insert(np.asarray(values, dtype=np.float64), wide + 1, np.nan)


def _middle_latitude(grid: Grid) -> float:
    return max(-85.0, min(85.0, grid.north - 0.5 * grid.rows * grid.cell_y))


def _heading(figure: Any, title: str, subtitle: str) -> float:
    """Write the title; gives the height that is left below it, as a share."""
    inches = figure.get_figheight()
    figure.text(0.02, 1 - 0.30 / inches, title, fontsize=13, fontweight="bold", color=INK, va="center")
    if subtitle:
        figure.text(0.02, 1 - 0.58 / inches, subtitle, fontsize=9.5, color=SOFT, va="center")
    return 1 - (0.78 if subtitle else 0.5) / inches


def _map_panel(
    figure: Any, frame: tuple, panel: tuple, grid: Grid, aspect: float, cell: Optional[tuple[int, int]]
) -> None:
    """One map in ``frame`` (left, bottom, width, height): title above, colour bar and its words below."""
    title, values, ramp, minimum, maximum, legend = panel
    left, bottom, width, height = frame
    inches = figure.get_figheight()
    bar, words, top = 0.13 / inches, 0.46 / inches, 0.27 / inches
    axis = figure.add_axes((left, bottom + bar + words, width, height - bar - words - top), anchor="W")
    axis.set_facecolor(PAPER)
    rows, columns = values.shape
    thinned = max(1, -(-max(rows, columns) // _MOST_PX))  # more cells than the picture has dots only cost memory
    values = values[::thinned, ::thinned]
    image = axis.imshow(
        values, cmap=_ramp(ramp), vmin=minimum, vmax=maximum, aspect=aspect, interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
    )  # fmt: skip
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    _scale_bar(axis, grid)
    if cell is not None:
        axis.plot(cell[1], cell[0], "o", ms=11, mfc="none", mec=RED, mew=1.8)
    place = figure.add_axes((left, bottom + words - 0.08 / inches, width, bar))
    colours = figure.colorbar(image, cax=place, orientation="horizontal", extend=_extend(values, minimum, maximum))
    colours.outline.set(edgecolor="#bbbbbb", linewidth=0.5)
    colours.ax.tick_params(labelsize=8, length=2, color=SOFT)
    colours.ax.xaxis.get_major_locator().set_params(nbins=5)
    colours.set_label(legend, fontsize=8.5, color=INK)


def _extend(values: np.ndarray, minimum: float, maximum: float) -> str:
    """Arrow ends of the colour bar where values lie beyond the range."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "neither"
    margin = 1e-3 * (maximum - minimum)
    below, above = bool((finite < minimum - margin).any()), bool((finite > maximum + margin).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]


def _scale_bar(axis: Any, grid: Grid) -> None:
    """A bar of a round length, about a quarter of the map, where the CRS is in degrees or metres."""
    if is_geographic(grid):
        km_per_cell = grid.cell_x * _KM_PER_DEGREE * math.cos(math.radians(_middle_latitude(grid)))
    else:
        from rasterio.crs import CRS

        km_per_cell = grid.cell_x * CRS.from_user_input(grid.crs).linear_units_factor[1] / 1000.0
    wanted = 0.3 * grid.columns * km_per_cell
    power = 10.0 ** math.floor(math.log10(wanted))
    length = max(f for f in (1.0, 2.0, 5.0) if f * power <= wanted) * power
    x, y = 0.04 * grid.columns - 0.5, 0.965 * grid.rows - 0.5
    axis.plot([x, x + length / km_per_cell], [y, y], color=INK, lw=2.4, solid_capstyle="butt")
    box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.0}
    text = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    middle, style = x + 0.5 * length / km_per_cell, {"fontsize": 8, "color": INK, "bbox": box}
    axis.text(middle, y - 0.02 * grid.rows, text, ha="center", va="bottom", **style)


def _ramp(name: str) -> Any:
    from matplotlib import colormaps

    fitting = {known.lower(): known for known in colormaps}
    return colormaps[fitting.get(name.lower(), "viridis")]


def _rain_from_above(
    axis: Any, dates: np.ndarray, rain: np.ndarray, step_seconds: float, *lines: Optional[np.ndarray]
) -> None:
    """Bars that hang from the top in the upper third; the lines keep the lower part."""
    values = np.concatenate([line[np.isfinite(line)] for line in lines if line is not None])
    if values.size:
        low, high = float(values.min()), float(values.max())
        spread = (high - low) or max(1.0, abs(high))
        axis.set_ylim(low - 0.06 * spread, high + 0.45 * spread)
    above = axis.twinx()
    above.bar(
        dates.astype("datetime64[ms]"),
        np.nan_to_num(rain),
        width=np.timedelta64(int(step_seconds * 900), "ms"),
        color=RAIN,
        align="edge",
    )
    most = float(np.nanmax(rain)) or 1.0
    above.set_ylim(3.2 * most, 0.0)
    ticks = [tick for tick in above.get_yticks() if 0 <= tick <= 1.05 * most]
    above.set_yticks(ticks if len(ticks) > 1 else [0.0, round(most, 1)])
    above.set_ylabel("rain (mm/d)", fontsize=8.5, color=SOFT, loc="top")
    above.tick_params(labelsize=8, colors=SOFT)
    above.spines[["top", "left", "bottom"]].set_visible(False)
    axis.set_zorder(above.get_zorder() + 1)
    axis.patch.set_visible(False)


def _quiet(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8.5, color=SOFT)


def date_axis(axis: Any) -> None:
    """Few dates along the axis, each readable by itself."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=9)
    formats = ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%S"]  # years, months, days, hours, minutes, seconds
    turns = ["%Y", "%b %Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"]  # the same where the next larger unit turns
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, formats=formats, zero_formats=turns))
