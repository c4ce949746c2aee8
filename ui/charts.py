"""Charts in QGIS: what all have in common, loss while training, series at a cell.

A chart takes plain Python values, keeps them and draws at most seven times a second, and only while it can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Optional

from qgis.PyQt.QtCore import QSize, QTimer
from qgis.PyQt.QtWidgets import QLabel, QVBoxLayout, QWidget

from .drawing import Drawer, Picture, can_draw
from .gaps import alone, broken
from .text import number, tr

REDRAW_MS = 150
BLUE, RED, BLACK, GREY = "#2b7bba", "#c0392b", "#222222", "#b9b9b9"
POSITIVE, NEGATIVE = "#2b7bba", "#c1603a"
SERIES_COLOURS = ("#2b7bba", "#d9853b", "#5b8c5a", "#8a6fae", "#7f7f7f")


class Chart(QWidget):
    """Base of all charts. Subclasses write ``paint(figure, data)``; the figure is made when it is needed."""

    def __init__(self, name: str, height_px: int = 200, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setMinimumHeight(height_px)
        self._figure: Any = None
        self._picture: Optional[Picture] = None
        self._drawer = Drawer(self.paint, self)
        self._drawer.drawn.connect(self._take)
        self._data: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._render_soon)

    def show_data(self, data: Any) -> None:
        """Keep ``data`` and draw it soon; many calls in a row become one drawing."""
        self._data = data
        if not self._timer.isActive():
            self._timer.start()

    @property
    def figure(self) -> Any:
        """The matplotlib figure, or None before the first drawing."""
        return self._figure

    def render_now(self) -> None:
        """Draw what was last given, and wait for it."""
        if self._ready():
            self._drawer.draw_now(self._data, *self._size())

    def _render_soon(self) -> None:
        if self._ready():
            self._drawer.draw(self._data, *self._size())

    def _ready(self) -> bool:
        if self._data is None or (not self.isVisible() and self._figure is not None):
            return False
        return self._picture is not None or self._make_canvas()

    def _size(self) -> tuple[int, int, float]:
        return self.width(), self.height(), float(self.devicePixelRatioF())

    def _take(self, figure: Any, image: Any) -> None:
        self._figure = figure
        self._picture.show_image(image)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Another size is another drawing."""
        super().resizeEvent(event)
        if self._data is not None:
            self._timer.start()

    def showEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Catch up with what came while the chart was hidden."""
        super().showEvent(event)
        if self._data is not None:
            self._timer.start()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """As high as asked for; matplotlib's own wish is far larger than a dock."""
        return QSize(300, self.minimumHeight())

    def paint(self, figure: Any, data: Any) -> None:
        """Draw ``data`` into the empty ``figure``."""
        raise NotImplementedError

    def _make_canvas(self) -> bool:
        if not can_draw():
            label = QLabel(tr("Charts need matplotlib in the Python of QGIS; everything else works without it."))
            label.setWordWrap(True)
            self._layout.addWidget(label)
            self._data = None
            return False
        self._picture = Picture(f"{self.objectName()}_canvas")
        self._layout.addWidget(self._picture)
        return True


@dataclass
class LossData:
    """Loss per epoch; ``best`` is the epoch with the lowest validation loss."""

    epochs: list = field(default_factory=list)
    training: list = field(default_factory=list)
    validation: list = field(default_factory=list)
    loss: str = "loss"

    def add(self, epoch: int, training: Optional[float], validation: Optional[float]) -> None:
        """Add an epoch; one that is there already (a resumed training) is replaced, with all after it."""
        keep = next((i for i, known in enumerate(self.epochs) if known >= epoch), len(self.epochs))
        for values, value in ((self.epochs, epoch), (self.training, training), (self.validation, validation)):
            del values[keep:]
            values.append(value)

    @property
    def best(self) -> Optional[int]:
        """Index of the best epoch, None before the first."""
        known = [(value, i) for i, value in enumerate(self.validation) if value is not None and value == value]
        return min(known)[1] if known else None


class LossChart(Chart):
    """Training and validation loss over the epochs, the best epoch marked."""

    def paint(self, figure: Any, data: LossData) -> None:
        """Draw the two lines; a log axis where the loss spans more than a decade."""
        axes = plain_axes(figure)
        axes.plot(data.epochs, floats(data.training), color=BLUE, lw=1.6, marker="o", ms=2.5, label=tr("training"))
        axes.plot(data.epochs, floats(data.validation), color=BLACK, lw=1.4, marker="o", ms=2.5, label=tr("validation"))
        best = data.best
        if best is not None:
            words = tr("best: epoch {epoch}, {value}").format(
                epoch=data.epochs[best], value=number(data.validation[best], 3)
            )
            axes.axvline(data.epochs[best], color=RED, lw=0.9)
            axes.plot([data.epochs[best]], [data.validation[best]], "o", color=RED, ms=5, label=words)
        values = [v for v in data.training + data.validation if v is not None and v > 0]
        if values and max(values) / min(values) > 10:
            axes.set_yscale("log")
        axes.set_xlabel(tr("epoch"))
        axes.set_ylabel(data.loss)
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.set_xlim(min(data.epochs, default=0) - 0.5, max(data.epochs, default=1) + 0.5)
        legend_above(axes, 2)


@dataclass
class Line:
    """One series: dates, values (NaN = missing), its words in the legend, and what it is (observed, predicted, ...).
    ``step_seconds`` is the distance of its dates (0: their usual one); where a date is missing the line is broken.
    ``panel`` keeps it apart from other lines of its unit.
    """

    dates: list
    values: list
    label: str
    kind: str = ""
    units: str = ""
    step_seconds: float = 0.0
    panel: str = ""


@dataclass
class SeriesData:
    """Series at one place, the date that the map shows, and precipitation to hang from above."""

    lines: list
    title: str = ""
    cursor: Optional[datetime] = None
    rain: Optional[Line] = None

    def panels(self) -> dict[tuple, list]:
        """The lines of each panel, in the order of their first ones."""
        groups: dict[tuple, list] = {}
        for line in self.lines:
            groups.setdefault((line.kind == "delta", line.units, line.panel), []).append(line)
        return groups


class SeriesChart(Chart):
    """Series of all layers at a cell: one panel a unit, one red cursor at the date of the map."""

    def paint(self, figure: Any, data: SeriesData) -> None:
        """Draw each unit in a panel of its own; differences stand apart from what they are differences of."""
        kinds = [line.kind for line in data.lines]
        groups = data.panels()
        panels = figure.subplots(max(1, len(groups)), 1, sharex=True, squeeze=False)[:, 0]
        for axes, ((delta, units, _), lines) in zip(panels, groups.items()):
            tidy(axes)
            for i, line in enumerate(lines):
                dates, values = broken(line)
                colour = _line_colour(line.kind, i)
                axes.plot(dates, values, lw=1.3, color=colour, label=_line_words(line, kinds))
                points = alone(values)
                axes.plot([dates[k] for k in points], [values[k] for k in points], ".", ms=3, color=colour)
            if delta:
                axes.axhline(0.0, color=GREY, lw=0.8)
            if data.cursor is not None:
                axes.axvline(data.cursor, color=RED, lw=1.0)
            axes.set_ylabel(f"({units})" if units else "")
            legend = axes.legend(framealpha=0.85, edgecolor="none", fontsize=8, loc="best")
            legend.set_in_layout(False)  # a long name must not squeeze the chart
        if data.rain is not None:
            _hang_rain(panels[0], data.rain, [date for line in data.lines for date in line.dates])
        _show_period(panels[0], data.lines)
        panels[0].set_title(data.title, loc="left", fontsize=9, fontweight="bold")
        _date_axis(panels[-1])


def legend_above(axes: Any, columns: int) -> None:
    """Words above the lines, where they hide none of them."""
    axes.legend(
        frameon=False, fontsize=7.5, ncol=columns, loc="lower left", bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.1, handlelength=1.2, columnspacing=0.9, handletextpad=0.4,
    )  # fmt: skip


def plain_axes(figure: Any) -> Any:
    """The one pair of axes of a figure, tidied."""
    axes = figure.add_subplot(111)
    tidy(axes)
    return axes


def tidy(axes: Any) -> None:
    """No frame on top and right, small words."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(8)
    axes.yaxis.label.set_size(8)


def _show_period(axes: Any, lines: list) -> None:
    """The period of a run, where a line is of a run: a record of years beside it would squeeze it into a corner."""
    dates = [date for line in lines if line.kind in ("observed", "predicted", "delta") for date in line.dates]
    if dates and min(dates) < max(dates):
        axes.set_xlim(min(dates), max(dates))


def _hang_rain(axes: Any, rain: Line, shown: list) -> None:
    """Precipitation from above, within the dates that are shown, on an axis of its own on the right."""
    first, last = min(shown), max(shown)
    found = [(date, value) for date, value in zip(rain.dates, floats(rain.values)) if first <= date <= last]
    highest = max((value for _, value in found if value == value), default=0.0)
    if highest <= 0:
        return
    above = axes.twinx()
    above.fill_between(
        [date for date, _ in found], 0.0, [value for _, value in found], step="post", color=GREY, alpha=0.7, lw=0
    )
    above.set_ylim(3.0 * highest, 0.0)  # the upper third, so that it leaves the series alone
    above.set_yticks([0.0, float(f"{highest:.1g}")])
    above.tick_params(labelsize=7)
    above.spines["top"].set_visible(False)
    above.set_ylabel(f"{rain.label} ({rain.units})", fontsize=7, loc="top")
    above.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    if last > first:
        axes.set_xlim(first, last)


def _date_axis(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def floats(values: list) -> list:
    """Numbers for matplotlib, NaN for what is missing."""
    return [float("nan") if value is None else float(value) for value in values]


def _line_colour(kind: str, index: int) -> str:
    return {"observed": BLACK, "predicted": BLUE, "delta": NEGATIVE}.get(
        kind, SERIES_COLOURS[index % len(SERIES_COLOURS)]
    )


_LONGEST_NAME = 24


def _line_words(line: Line, kinds: list) -> str:
    """'predicted' where only one line is that, else the name of the layer."""
    alone = line.kind in ("observed", "predicted", "delta") and kinds.count(line.kind) == 1
    if alone:
        return tr(line.kind)
    # The unit stands at the axis, and a name of a narrow dock's width would be cut off.
    name = line.label.rsplit(" (", 1)[0]
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
