"""Hydrographs before and after a change, what was observed, and the change below."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Optional

from ..charts import BLACK, BLUE, GREY, NEGATIVE, Chart, Line, legend_above, tidy
from ..gaps import alone, broken
from ..text import tr

_SHOWN_POINTS = 40  # with fewer dates each is marked


@dataclass
class ChangeData:
    """Values by date (None: missing) of a place; ``label`` names the target, ``mark`` is a date to mark with its word.
    ``sparse``: dates between those here are still to come.
    """

    dates: list = field(default_factory=list)
    before: list = field(default_factory=list)
    after: list = field(default_factory=list)
    observed: list = field(default_factory=list)
    label: str = ""
    units: str = ""
    step_seconds: float = 0.0
    title: str = ""
    mark: Optional[datetime] = None
    mark_words: str = ""
    sparse: bool = False

    def change(self) -> list:
        """After less before; None where one is missing."""
        return [None if a is None or b is None else a - b for b, a in zip(self.before, self.after)]


class ChangeChart(Chart):
    """Above the three series, below what the change does to the prediction."""

    def paint(self, figure: Any, data: ChangeData) -> None:
        """Draw both panels on one axis of dates."""
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (5, 3)})
        for axes in (above, below):
            tidy(axes)
        marked = "." if len(data.dates) <= _SHOWN_POINTS else None
        if any(value is not None for value in data.observed):
            _line(above, data, data.observed, GREY, 1.6, None, tr("observed"))
        _line(above, data, data.before, BLACK, 1.2, marked, tr("as it was"))
        _line(above, data, data.after, BLUE, 1.7, marked, tr("changed"))
        _line(below, data, data.change(), NEGATIVE, 1.6, marked, "")
        if not data.sparse:
            _fill(below, data)
        below.axhline(0.0, color=GREY, lw=0.8)
        if data.mark is not None:
            for axes in (above, below):
                axes.axvline(data.mark, color=BLUE, lw=0.9, ls=":")
            below.annotate(
                data.mark_words, (data.mark, 1.0), xycoords=("data", "axes fraction"), xytext=(3, 1),
                textcoords="offset points", fontsize=7.5, color=BLUE,
            )  # fmt: skip
        above.set_ylabel(f"{data.label} ({data.units or '-'})" if len(data.label) <= 18 else f"({data.units or '-'})")
        below.set_ylabel(tr("change ({units})").format(units=data.units or "-"))
        legend_above(above, 3)
        if data.title:
            figure.suptitle(data.title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        _dates(below)


def _line(axes: Any, data: ChangeData, values: list, colour: str, width: float, marker: Any, label: str) -> None:
    dates, known = broken(Line(data.dates, values, "", step_seconds=data.step_seconds))
    if data.sparse:  # dates between are still to come, not missing
        pairs = [(date, value) for date, value in zip(data.dates, values) if value is not None]
        dates, known = [date for date, _ in pairs], [value for _, value in pairs]
    axes.plot(dates, known, color=colour, lw=width, marker=marker, ms=4, label=label or None)
    points = alone(known)
    axes.plot([dates[i] for i in points], [known[i] for i in points], ".", ms=4, color=colour)


def _fill(axes: Any, data: ChangeData) -> None:
    dates, values = broken(Line(data.dates, data.change(), "", step_seconds=data.step_seconds))
    axes.fill_between(dates, 0.0, values, color=NEGATIVE, alpha=0.18, lw=0)


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
