"""What shuffling did: bars by input, bars by steps back, and a table of both."""

from __future__ import annotations

import re
from typing import Any, Optional

from qgis.PyQt.QtWidgets import QComboBox, QWidget

from ...core.contracts import RunFolder
from ..text import number, tr
from ..widgets import heading, narrow
from .question_answer import QuestionAnswer, brief, in_units, read_facts, small
from .question_charts import HeatChart, HeatData, LossChart, LossData, told_apart
from .question_panel import step_name

TABLES = (("importance.csv", "by input"),)
BY_INPUT = ("variable", "static", "group")
_NEEDED = ("items", "units", "rmse")
_BLOCK = re.compile(r"(.*_)?lag_(\d+)_(\d+)")


class ImportanceAnswer(QuestionAnswer):
    """The measure is the rise of the RMSE, or the drop of the NSE."""

    def __init__(self, prefix: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(prefix, TABLES, parent)
        self._found: Optional[dict[str, Any]] = None
        self.measure = narrow(QComboBox())
        self.measure.setObjectName(f"{prefix}Measure")
        self.measure.setToolTip(tr("How the loss of skill is measured."))
        self.bars = LossChart(f"{prefix}Bars", 120)
        self.lags_heading = heading(tr("By steps back"), f"{prefix}LagsHeading")
        self.lags = LossChart(f"{prefix}Lags", 120)
        self.heat_heading = heading(tr("By input and steps back"), f"{prefix}HeatHeading")
        self.heat = HeatChart(f"{prefix}Heat", 120)
        self.add(self.measure, self.bars, self.lags_heading, self.lags, self.heat_heading, self.heat)
        self.measure.currentIndexChanged.connect(self._draw)

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run; None clears."""
        self._found = read_facts(run, "importance.json", _NEEDED)
        if run is None or self._found is None:
            self.show_run(None)
            return
        units = self._found["units"] or "-"
        before = max(0, self.measure.currentIndex())
        self.measure.blockSignals(True)
        self.measure.clear()
        self.measure.addItem(tr("Rise of the RMSE ({units})").format(units=units), "rmse_rise")
        self.measure.addItem(tr("Drop of the NSE (-)"), "nse_drop")
        self.measure.setCurrentIndex(before)
        self.measure.blockSignals(False)
        self.show_run(run, importance_words(self._found), [str(note) for note in self._found.get("notes", [])])
        self._draw()

    def _draw(self, *_: Any) -> None:
        if self._found is None:
            return
        measure, axis = self.measure.currentData(), self.measure.currentText()
        bars = loss_data(by_size(self._found, measure), measure, axis)
        blocks = [item for item in self._found["items"] if item["kind"] == "lags"]
        lags = loss_data(blocks, measure, axis)
        heat = heat_data(self._found, measure, axis)
        for widgets, chart, data, count in (
            ((), self.bars, bars, len(bars.names)),
            ((self.lags_heading,), self.lags, lags, len(lags.names)),
            ((self.heat_heading,), self.heat, heat, len(heat.rows) + 1),  # one more for the words above the table
        ):
            there = bool(data.rows if data is heat else data.names)
            for widget in (*widgets, chart):
                widget.setVisible(there)
            if there:
                chart.show_bars(data, count)


def by_size(found: dict[str, Any], measure: str) -> list[dict[str, Any]]:
    """Inputs, static maps and groups, the largest loss first, those without a value last."""
    items = [item for item in found["items"] if item["kind"] in BY_INPUT]
    return sorted(items, key=lambda item: -item[measure] if item[measure] is not None else float("inf"))


def loss_data(items: list[dict[str, Any]], measure: str, axis: str) -> LossData:
    """Bars of ``items``; groups are told from variables by a word."""
    labels = [_bar_name(item) for item in items]
    return LossData(
        labels,
        [item[measure] for item in items],
        [(item[f"{measure}_low"], item[f"{measure}_high"]) for item in items],
        axis,
    )


def _bar_name(item: dict[str, Any]) -> str:
    if item["kind"] == "group":
        return item["label"] if item["input"] == "static_maps" else f"{item['label']} ({tr('group')})"
    return item["label"] if item["kind"] == "lags" else brief(item["label"], item["input"])


def heat_data(found: dict[str, Any], measure: str, axis: str) -> HeatData:
    """Loss by input (rows) and block of steps back (columns, the youngest first)."""
    cells: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
    blocks: set[tuple[int, int]] = set()
    for item in found["items"]:
        place = _BLOCK.fullmatch(item["input"]) if item["kind"] == "variable by lag" else None
        if place is not None:
            block = (int(place.group(2)), int(place.group(3)))
            blocks.add(block)
            name = brief(item["label"].rsplit(", ", 1)[0], str(place.group(1)).rstrip("_"))
            cells.setdefault(name, {})[block] = item
    columns = sorted(blocks)
    data = HeatData(
        list(cells), [f"{a}" if a == b else f"{a}–{b}" for a, b in columns], axis=axis,
        steps=tr("{steps} back").format(steps=step_name(found.get("step_seconds"))),
    )  # fmt: skip
    for held in cells.values():
        row = [held.get(block) for block in columns]
        data.values.append([None if item is None else item[measure] for item in row])
        data.apart.append(
            [item is not None and told_apart((item[f"{measure}_low"], item[f"{measure}_high"])) for item in row]
        )
    return data


def importance_words(found: dict[str, Any]) -> str:
    """The answer in sentences."""
    units, rmse = in_units(found["units"]), number(found["rmse"], 3)
    items = by_size(found, "rmse_rise")
    items = items or [item for item in found["items"] if item["rmse_rise"] is not None]
    matter = [item for item in items if item["matters"] == "yes"]
    words = tr("RMSE {rmse}{units} over {dates} dates from {first} to {last}, NSE {nse}.").format(
        rmse=rmse, units=units, dates=found.get("dates", "-"), first=str(found.get("first", "-"))[:10],
        last=str(found.get("last", "-"))[:10], nse=number(found.get("nse"), 3),
    )  # fmt: skip
    if matter:
        named = ", ".join(f"{small(item['label'])} ({item['rmse_rise']:+.3g}{units})" for item in matter[:4])
        words += " " + tr("It rises most without: {named}.").format(named=named)
    else:
        words += " " + tr("Nothing that was shuffled makes it worse for certain.")
    unknown = [small(item["label"]) for item in items if item["matters"] == "not shown"]
    if unknown:
        words += " " + tr("Not told apart from nothing: {names}.").format(names=", ".join(unknown[:8]))
    harms = [small(item["label"]) for item in items if item["matters"] == "harms"]
    if harms:
        words += " " + tr("It does better without what it makes of: {names}.").format(names=", ".join(harms[:8]))
    return words
