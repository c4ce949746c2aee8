"""Charts of an explanation: reasons as a bridge, contributions by steps back, what deleting the inputs does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from ..charts import (
    BLACK,
    BLUE,
    GREY,
    NEGATIVE,
    POSITIVE,
    RED,
    SERIES_COLOURS,
    Chart,
    floats,
    legend_above,
    plain_axes,
)
from ..text import number, tr

_LEAST_RESIDUAL = 0.005  # of the change; less is not worth a bar


@dataclass
class BridgeData:
    """Contributions that add up from the baseline's prediction to the prediction, in ``units`` of the target. A
    ``draft`` is still being refined.
    """

    baseline: float
    prediction: float
    parts: dict
    units: str = ""
    label: str = ""
    residual: float = 0.0
    draft: bool = False


class BridgeChart(Chart):
    """From baseline to prediction: a bar per variable, blue where it raised it, brown where it lowered it."""

    def paint(self, figure: Any, data: BridgeData) -> None:
        """Draw the bars from top to bottom, each beginning where the one above ended."""
        axes = plain_axes(figure)
        parts = list(data.parts.items())
        if abs(data.residual) > _LEAST_RESIDUAL * max(abs(data.prediction - data.baseline), 1e-12):
            parts.append((tr("residual"), data.residual))
        ends = _running(data.baseline, [value for _, value in parts])
        low, high = min(*ends, data.prediction), max(*ends, data.prediction)
        span = (high - low) or abs(high) or 1.0
        left = low - 0.25 * span if low - 0.25 * span > 0 or low < 0 else 0.0
        alpha = 0.55 if data.draft else 1.0
        _whole_bar(axes, 0, left, data.baseline, GREY, span)
        for i, (_, value) in enumerate(parts):
            colour = POSITIVE if value >= 0 else NEGATIVE
            axes.barh(i + 1, value, left=ends[i], color=colour, height=0.72, alpha=alpha)
            _value_words(axes, i + 1, ends[i], ends[i] + value, f"{value:+.3g}", span)
        _whole_bar(axes, len(parts) + 1, left, data.prediction, BLACK, span)
        axes.set_yticks(range(len(parts) + 2))
        axes.set_yticklabels([tr("baseline"), *(name for name, _ in parts), tr("prediction")])
        axes.invert_yaxis()
        axes.set_xlim(left, high + 0.32 * span)
        axes.set_xlabel(data.label or (f"({data.units})" if data.units else ""))


@dataclass
class StepsData:
    """Contribution of each variable by step; ``back`` says how many steps back each value is. ``lags`` and
    ``cumulative`` hold the share of all sizes within so many steps back, ``most`` the step back that carries the most.
    """

    by_step: dict
    back: list = field(default_factory=list)
    units: str = ""
    step_words: str = "steps"
    most: Optional[int] = None
    lags: list = field(default_factory=list)
    cumulative: list = field(default_factory=list)


class StepsChart(Chart):
    """What each variable contributed, by how long ago, and how much of it all had come by then."""

    def paint(self, figure: Any, data: StepsData) -> None:
        """Draw one line a variable over the steps back, today on the right."""
        axes = plain_axes(figure)
        for i, (name, values) in enumerate(data.by_step.items()):
            back = data.back if len(data.back) == len(values) else list(range(len(values) - 1, -1, -1))
            axes.plot(back, floats(values), lw=1.5, color=SERIES_COLOURS[i % len(SERIES_COLOURS)], label=name)
        axes.axhline(0.0, color=GREY, lw=0.8)
        if data.most is not None:
            words = tr("most: {count}").format(count=data.most)
            axes.axvline(data.most, color=RED, lw=1.0, label=words)
        axes.invert_xaxis()
        axes.set_xlabel(tr("{steps} back").format(steps=data.step_words))
        axes.set_ylabel(tr("contribution") + (f" ({data.units})" if data.units else ""))
        legend_above(axes, 2)
        if data.lags:
            self._cumulative(axes, data)

    def _cumulative(self, axes: Any, data: StepsData) -> None:
        beside = axes.twinx()
        beside.plot(data.lags, [100.0 * share for share in floats(data.cumulative)], color=BLACK, lw=1.0, ls=":")
        beside.set_ylim(0.0, 104.0)
        beside.set_yticks([0, 50, 100])
        beside.tick_params(labelsize=7)
        beside.set_ylabel(tr("cumulative (%), dotted"), fontsize=7)
        beside.spines["top"].set_visible(False)


@dataclass
class DeletionData:
    """What is left of the prediction's difference from the baseline where a share of the inputs (0 to 1) is deleted:
    the most attributed first, and in random orders (mean, lowest, highest).
    """

    shares: list
    attributed: list
    random: list
    low: list
    high: list


class DeletionChart(Chart):
    """The deletion curve against random order: the faster the blue line falls, the better."""

    def paint(self, figure: Any, data: DeletionData) -> None:
        """Draw both over the share that is deleted."""
        axes = plain_axes(figure)
        shares = [100.0 * share for share in floats(data.shares)]
        axes.fill_between(shares, floats(data.low), floats(data.high), color=GREY, alpha=0.4, lw=0)
        axes.plot(shares, floats(data.random), color=BLACK, lw=1.2, label=tr("random order"))
        axes.plot(shares, floats(data.attributed), color=BLUE, lw=1.6, label=tr("most attributed first"))
        axes.axhline(0.0, color=GREY, lw=0.8)
        axes.set_xlabel(tr("inputs deleted (%)"))
        axes.set_ylabel(tr("left of the change (-)"))
        legend_above(axes, 2)


def _running(start: float, values: list) -> list:
    ends = [start]
    for value in values:
        ends.append(ends[-1] + value)
    return ends


def _whole_bar(axes: Any, place: int, left: float, value: float, colour: str, span: float) -> None:
    axes.barh(place, value - left, left=left, color=colour, height=0.72)
    axes.text(value + 0.02 * span, place, number(value, 3), va="center", fontsize=8)


def _value_words(axes: Any, place: int, start: float, end: float, words: str, span: float) -> None:
    axes.text(max(start, end) + 0.02 * span, place, words, va="center", fontsize=8)
