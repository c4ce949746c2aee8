"""Charts of the questions that are asked of a whole model: drivers, importance, shares, probes.

All measures are plain Python values; None is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Optional

from ..charts import Chart, legend_above, plain_axes, tidy
from ..text import tr

BLUE, ORANGE, PALE, INK, RED, GREY, SOFT = "#2b7bba", "#d9853b", "#cfd6db", "#222222", "#c0392b", "#8a8a8a", "#5a6268"
# As the engine gives them to variables, so that a chart in QGIS and one in a report agree.
COLOURS = ("#2c7fb8", "#d98c3f", "#b5484a", "#5a9e6f", "#8a6fb0", "#6b7f8c", "#c9a227", "#4fa3a5", "#a8577e", "#7a6a53")
_LONGEST = 26
_PX_PER_BAR, _PX_AROUND = 24, 58
_DARK = 0.55  # share of the colour range from which words in a cell are white


def short(name: str) -> str:
    """A name that leaves a bar its room."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


class BarChart(Chart):
    """A chart of bars below each other, as high as they need."""

    def show_bars(self, data: Any, count: int, around: int = _PX_AROUND) -> None:
        """Draw ``data``, which has ``count`` bars."""
        self.setMinimumHeight(_PX_PER_BAR * max(1, count) + around)
        self.updateGeometry()
        self.show_data(data)


@dataclass
class DriverData:
    """Names of the variables, the share of the cells (0 to 1) that each dominates, its colour on the map, and what is
    said of it beside its bar.
    """

    names: list = field(default_factory=list)
    shares: list = field(default_factory=list)
    colours: list = field(default_factory=list)
    words: list = field(default_factory=list)


class DriverChart(BarChart):
    """Share of the area by dominant variable, in the colours of the map."""

    def paint(self, figure: Any, data: DriverData) -> None:
        """Draw the bars as they come, the first on top."""
        axes = plain_axes(figure)
        places = list(range(len(data.names)))
        axes.barh(places, [100 * share for share in data.shares], color=data.colours, height=0.72)
        longest = max([0.2, *data.shares])
        for place, share, words in zip(places, data.shares, data.words):
            inside = share > longest / 2  # words beside the longest bar would take its room
            end = 100 * share + (-1 if inside else 1) * 1.5 * longest
            axes.text(end, place, words, va="center", fontsize=8, ha="right" if inside else "left",
                      color="white" if inside else INK)  # fmt: skip
        _name_bars(axes, data.names)
        axes.set_xlim(0, 102 * longest)
        axes.set_xlabel(tr("cells where it mattered most (%)"))
        _few_ticks(axes.xaxis)


@dataclass
class LossData:
    """What shuffling did: name, mean, and the interval (low, high; None where unknown), in the unit of ``axis``, the
    words of the axis.
    """

    names: list = field(default_factory=list)
    means: list = field(default_factory=list)
    intervals: list = field(default_factory=list)
    axis: str = ""


def told_apart(interval: tuple) -> bool:
    """Whether an interval leaves out 0."""
    low, high = interval
    return low is not None and high is not None and (low > 0 or high < 0)


class LossChart(BarChart):
    """Loss of skill where an input is shuffled, with its interval; pale where the interval holds 0."""

    def paint(self, figure: Any, data: LossData) -> None:
        """Draw the bars as they come, the first on top."""
        axes = plain_axes(figure)
        for place, (mean, (low, high)) in enumerate(zip(data.means, data.intervals)):
            if mean is None:
                axes.text(0.0, place, f" {tr('no value')}", va="center", fontsize=8, color=GREY)
                continue
            apart = told_apart((low, high))
            axes.barh(place, mean, color=(BLUE if mean > 0 else ORANGE) if apart else PALE, height=0.7)
            if low is not None and high is not None:
                colour = INK if apart else GREY
                axes.plot([low, high], [place, place], color=colour, lw=1.1)
                axes.plot([low, low, None, high, high], [place - 0.17, place + 0.17, None, place - 0.17, place + 0.17],
                          color=colour, lw=1.1)  # fmt: skip
        axes.axvline(0.0, color=INK, lw=0.8)
        _name_bars(axes, data.names)
        axes.set_xlabel(data.axis)
        _few_ticks(axes.xaxis)
        _explain_colours(axes, data)


def _explain_colours(axes: Any, data: LossData) -> None:
    from matplotlib.patches import Patch

    apart = [(mean, told_apart(interval)) for mean, interval in zip(data.means, data.intervals) if mean is not None]
    handles = [Patch(color=BLUE, label=tr("worse without it"))] if any(a and m > 0 for m, a in apart) else []
    handles += [Patch(color=ORANGE, label=tr("better without it"))] if any(a and m <= 0 for m, a in apart) else []
    handles += [Patch(color=PALE, label=tr("not told apart from nothing"))] if any(not a for _, a in apart) else []
    if handles:
        _words_above(axes, handles)


@dataclass
class HeatData:
    """``values`` and ``apart`` (told apart from nothing) by row (variable) and column (block of steps back); None where
    a variable has no such block.
    """

    rows: list = field(default_factory=list)
    columns: list = field(default_factory=list)
    values: list = field(default_factory=list)
    apart: list = field(default_factory=list)
    axis: str = ""
    steps: str = ""


class HeatChart(BarChart):
    """Loss of skill by variable and steps back: a table whose colours tell the size; pale where not told apart."""

    def paint(self, figure: Any, data: HeatData) -> None:
        """Draw a cell a pair; blue is worse without it, orange better."""
        from matplotlib.colors import LinearSegmentedColormap

        axes = plain_axes(figure)
        shown = [
            [value if told and value is not None else math.nan for value, told in zip(row, apart)]
            for row, apart in zip(data.values, data.apart)
        ]
        limit = max((abs(value) for row in shown for value in row if value == value), default=0.0) or 1.0
        ramp = LinearSegmentedColormap.from_list("loss", [ORANGE, "#ffffff", BLUE])
        ramp.set_bad(PALE)
        axes.imshow(shown, cmap=ramp, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        for place, (row, apart) in enumerate(zip(data.values, data.apart)):
            for column, (value, told) in enumerate(zip(row, apart)):
                if value is not None:
                    colour = (INK if abs(value) < _DARK * limit else "white") if told else SOFT
                    text = f"{value:.2g}" if told else f"({value:.2g})"
                    axes.text(column, place, text, ha="center", va="center", fontsize=7.5, color=colour)
        axes.set_xticks(range(len(data.columns)))
        axes.set_xticklabels(data.columns)
        axes.set_yticks(range(len(data.rows)))
        axes.set_yticklabels([short(name) for name in data.rows])
        axes.set_xlabel(data.steps)
        axes.tick_params(length=0)
        words = [data.axis]
        if any(value is not None and not told for row, told_ in zip(data.values, data.apart)
               for value, told in zip(row, told_)):  # fmt: skip
            words.append(tr("in brackets: not told apart from nothing"))
        axes.set_title("\n".join(words), loc="left", fontsize=8)


@dataclass
class SeasonData:
    """Share (0 to 1) of each variable in each season: season -> variable -> share; ``colours`` by variable."""

    seasons: dict = field(default_factory=dict)
    colours: dict = field(default_factory=dict)


class SeasonChart(Chart):
    """Shares of the variables by season, stacked to 100 %."""

    def paint(self, figure: Any, data: SeasonData) -> None:
        """Draw a column a season, all dates first."""
        axes = plain_axes(figure)
        bottoms = [0.0] * len(data.seasons)
        for name, colour in data.colours.items():
            values = [100 * held.get(name, 0.0) for held in data.seasons.values()]
            axes.bar(range(len(values)), values, bottom=bottoms, color=colour, width=0.74, label=short(name))
            for place, (value, bottom) in enumerate(zip(values, bottoms)):
                if value >= 8:
                    axes.text(place, bottom + value / 2, f"{value:.0f}", ha="center", va="center", fontsize=8,
                              color="white")  # fmt: skip
            bottoms = [bottom + value for bottom, value in zip(bottoms, values)]
        axes.set_xticks(range(len(data.seasons)))
        axes.set_xticklabels(list(data.seasons))
        axes.set_ylim(0, 100)
        axes.set_ylabel(tr("share of what moved it (%)"))
        legend_above(axes, 2)


@dataclass
class CumulativeData:
    """Shares (0 to 1) added up from the youngest step of ``back`` on, by variable."""

    lines: dict = field(default_factory=dict)
    back: list = field(default_factory=list)
    colours: dict = field(default_factory=dict)
    step_words: str = "steps"


class CumulativeChart(Chart):
    """How far back the shares come from."""

    def paint(self, figure: Any, data: CumulativeData) -> None:
        """Draw a line a variable, today on the left, so that lines rise."""
        axes = plain_axes(figure)
        for name, values in data.lines.items():
            mark = "o" if len(values) < 4 else None
            axes.plot(data.back, [100 * value for value in values], color=data.colours.get(name, GREY), lw=1.7,
                      marker=mark, ms=3, label=short(name))  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xlabel(tr("{steps} back").format(steps=data.step_words))
        axes.set_ylabel(tr("cumulative share (%)"))
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
        legend_above(axes, 2)


@dataclass
class ProbeData:
    """``r`` of each state by name, lowest and highest r of the control whose states are shuffled in time, and the r of
    the plain spatial mean. ``chosen`` is the place of the state whose prediction is shown.
    """

    names: list = field(default_factory=list)
    r: list = field(default_factory=list)
    shuffled: list = field(default_factory=list)
    reference: Optional[float] = None
    chosen: int = -1


class ProbeChart(BarChart):
    """How well each state tells the variable, beside what needs no model and what chance gives."""

    def paint(self, figure: Any, data: ProbeData) -> None:
        """Draw a bar a state, its control as a red span on it, the plain mean as a line through all."""
        axes = plain_axes(figure)
        for place, (r, (low, high)) in enumerate(zip(data.r, data.shuffled)):
            colour = BLUE if place == data.chosen else "#9cc3e0"
            axes.barh(place, 0.0 if r is None else r, color=colour, height=0.66)
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=RED, lw=4, solid_capstyle="butt", alpha=0.85)
        axes.axvline(0.0, color=INK, lw=0.8)
        if data.reference is not None:
            axes.axvline(abs(data.reference), color=INK, lw=1.2, ls="--")
        _name_bars(axes, data.names)
        lows = [low for low, _ in data.shuffled if low is not None]
        lowest = min([0.0, *(r for r in data.r if r is not None), *lows])
        axes.set_xlim(min(-0.05, lowest * 1.1), 1.05)
        axes.set_xlabel(tr("r with the dataset, on dates kept apart (-)"))
        _probe_words(axes, data)


def _probe_words(axes: Any, data: ProbeData) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Patch(color=BLUE, label=tr("probe (dark: shown)"))]
    handles.append(Line2D([], [], color=RED, lw=4, label=tr("shuffled in time")))
    if data.reference is not None:
        words = tr("plain spatial mean") + (" (|r|)" if data.reference < 0 else "")
        handles.append(Line2D([], [], color=INK, lw=1.2, ls="--", label=words))
    _words_above(axes, handles)


def _name_bars(axes: Any, names: list) -> None:
    tidy(axes)
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([short(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)


def _few_ticks(axis: Any, most: int = 5) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most))


def _words_above(axes: Any, handles: list) -> None:
    """What the colours mean; from the right, since the names of the bars take a third of a narrow dock."""
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=7.5, ncol=2,
        handlelength=1.2, columnspacing=0.9, handletextpad=0.4, borderaxespad=0.1,
    )  # fmt: skip
