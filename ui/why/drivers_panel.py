"""Which driver, where? Asked in two steps: what it would cost, then the map."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QWidget

from ...core.contracts import DriversJob, FreshetError, RunFolder, RunState
from ...core.contracts.question_checks import check_baseline, check_drivers
from ..forms import Form, config_fields
from ..text import number, percent, tr
from ..widgets import Notice
from .context import Asked, WhyContext
from .date_choice import DateChoice
from .place_choice import PlaceChoice
from .question_answer import QuestionAnswer, brief, in_units, read_facts, small
from .question_charts import COLOURS, DriverChart, DriverData
from .question_panel import QuestionPanel, values_without

FIELDS = ("method", "baseline", "steps")
TABLES = (("drivers.csv", "by variable"),)
_NEEDED = ("cells", "cells_by_driver", "labels")
_LONG_SECONDS = 60.0


class DriversPanel(QuestionPanel):
    """The variable that mattered most, cell by cell. The first press tells the cost, the second one draws the map."""

    verb = "drivers"
    name = "Drivers"

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self.layers_text = tr("Show the map of drivers")
        self._costed: Optional[DriversJob] = None
        self.date = DateChoice(context, f"{self.prefix}Date", tr("Date of the prediction to explain"))
        self.place = PlaceChoice(context, self.prefix, ("basin", "polygon"))
        self.form = Form(config_fields(DriversJob, FIELDS), f"{self.prefix}Method")
        self.add_row(tr("Date"), self.date)
        self.column.addWidget(self.place)
        self.column.addWidget(self.form)
        self.cost = Notice(f"{self.prefix}Cost")
        self.column.addWidget(self.cost)
        self._answer = DriversAnswer(self.prefix)
        for part in (self.date, self.place, self.form):
            part.changed.connect(self._on_changed)
        self.follow()

    @classmethod
    def title(cls) -> str:
        return tr("Which driver, where?")

    @property
    def stays(self) -> bool:
        """The cost comes at once from the worker that stays; the map takes its time in one that can be cancelled."""
        return not self._is_costed()

    def button_text(self) -> str:
        return tr("Draw the map") if self._is_costed() else tr("What would it cost?")

    def button_tip(self) -> str:
        return tr("Tells first how long the map takes and how much memory; the second press draws it.")

    def job(self) -> DriversJob:
        full = self._full_job()
        return full if self._same(full) else full.replace(cost_only=True)

    def run_title(self, job: Any) -> str:
        text = tr("Cost of drivers, {date}") if job.cost_only else tr("Drivers, {date}")
        return text.format(date=job.date[:10])

    def check(self, asked: Asked) -> None:
        """A model of maps, with gradients where the method needs them; rain for a dry baseline."""
        if asked.card is not None:
            values = self.form.values()
            check_drivers(asked.card, values["method"])
            check_baseline(values["baseline"], asked.card)
        super().check(asked)

    def follow(self) -> None:
        self.place.follow()
        self.date.propose()
        self._on_changed()

    def on_submitted(self, run: RunFolder, job: Any) -> None:
        self.cost.clear_text()

    def on_ended(self, run: RunFolder, state: RunState) -> None:
        """A run that was asked for the cost alone has told it."""
        if state is RunState.DONE and not self.answered(run):
            self._take_cost(run)

    def answered(self, run: RunFolder) -> bool:
        return (run.results / "drivers.json").is_file()

    def answer(self) -> QWidget:
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        self._answer.show_result(run)

    def leave(self) -> None:
        self.place.leave_map()

    def release(self) -> None:
        self.place.release()

    def _full_job(self) -> DriversJob:
        values = values_without(self.place.values(), "x", "y", "gauge", "basin")
        return DriversJob(date=self.date.iso(), **values, **self.form.values(), **self.common())

    def _is_costed(self) -> bool:
        try:
            return self._costed is not None and self._same(self._full_job())
        except FreshetError:
            return False

    def _same(self, job: DriversJob) -> bool:
        return self._costed is not None and job == self._costed

    def _take_cost(self, run: RunFolder) -> None:
        found = cost_of(run)
        if found is None:
            return
        self._costed = run.job().replace(cost_only=False, title="")
        text, seconds = found
        if seconds > _LONG_SECONDS:
            text += " " + tr("Fewer steps, a polygon or the method gradient-times-input take less.")
        text += " " + tr("Press again to draw the map.")
        self.cost.say(text, "warning" if seconds > _LONG_SECONDS else "plain")
        self.changed.emit()

    def _on_changed(self, *_: Any) -> None:
        if self._costed is not None and not self._is_costed():
            self.cost.clear_text()  # it was that of another question
            self._costed = None
        self.changed.emit()


def cost_of(run: RunFolder) -> Optional[tuple[str, float]]:
    """What a run said of the cost: the sentence and the seconds; None where it said nothing."""
    for event in reversed(run.events()):
        cost = event.values.get("cost")
        if isinstance(cost, dict) and "seconds" in cost:
            return str(event.values.get("text", "")), float(cost["seconds"])
    return None


class DriversAnswer(QuestionAnswer):
    """Share of the area by dominant variable, in the colours of the map."""

    def __init__(self, prefix: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(prefix, TABLES, parent)
        self.chart = DriverChart(f"{prefix}Chart", 150)
        self.add(self.chart)

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run; None clears."""
        found = read_facts(run, "drivers.json", _NEEDED)
        if run is None or found is None:
            self.show_run(None)
            return
        self.show_run(run, driver_words(found), driver_doubts(found))
        data = driver_data(found, class_colours(run))
        self.chart.show_bars(data, len(data.names))


def driver_data(found: dict[str, Any], colours: dict[str, str]) -> DriverData:
    """The bars, the largest first; variables that dominate nowhere come last, since they belong to the answer."""
    labels, sizes = found["labels"], found.get("mean_absolute_contribution", {})
    total, units = max(1, found["cells"]), in_units(found.get("units"))
    data = DriverData()
    for number_, (name, count) in enumerate(sorted(found["cells_by_driver"].items(), key=lambda item: -item[1])):
        label = labels.get(name, name)
        data.names.append(brief(label, name))
        data.shares.append(count / total)
        data.colours.append(colours.get(label, COLOURS[number_ % len(COLOURS)]))
        words = percent(count / total)
        data.words.append(words + (f" ({number(sizes[name], 2)}{units})" if name in sizes else ""))
    return data


def class_colours(run: RunFolder) -> dict[str, str]:
    """Colour of each class of the map, by its label."""
    for item in run.artifacts():
        if item.kind == "driver" and item.classes:
            return dict(zip(item.classes, item.colours))
    return {}


def driver_words(found: dict[str, Any]) -> str:
    """The answer in sentences."""
    ranked = sorted(found["cells_by_driver"].items(), key=lambda item: -item[1])
    labels, total = found["labels"], max(1, found["cells"])
    if not ranked or not ranked[0][1]:
        return tr("No variable moved the prediction of {date} away from the baseline.").format(date=found.get("date"))
    (first, count), rest = ranked[0], [item for item in ranked[1:3] if item[1]]
    words = tr("{date}: {name} mattered most in {share} of {cells} cells").format(
        date=str(found.get("date", ""))[:16], name=labels.get(first, first), share=percent(count / total), cells=total
    )
    words += "".join(f", {small(labels.get(name, name))} {percent(part / total)}" for name, part in rest) + "."
    margin = found.get("median_margin")
    if margin is not None:
        words += " " + tr("It leads by {margin} of all contributions in the median cell.").format(
            margin=percent(margin)
        )
    if found.get("mean_absolute_contribution"):
        words += " " + tr("In brackets: the mean size of its contribution.")
    return words


def driver_doubts(found: dict[str, Any]) -> list[str]:
    """What makes the answer doubtful."""
    doubts = []
    margin, left = found.get("median_margin"), found.get("residual_share_95")
    if margin is not None and margin < 0.1:
        doubts.append(tr("The margin is small: look at the layer of the margin before you trust the classes."))
    if found.get("method") == "integrated-gradients" and left is not None and left > 0.05:
        doubts.append(
            tr("In one of twenty cells more than {share} stays unexplained: take more steps.").format(
                share=percent(left)
            )
        )
    if found.get("method") in ("gradient-times-input", "occlusion"):
        doubts.append(str(found.get("assumes", "")))
    return [doubt for doubt in doubts if doubt]
