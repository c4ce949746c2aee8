"""Paint a storm: a brush that puts rain on the map, and the model's response as the brush is lifted."""

from __future__ import annotations

import contextlib
from typing import Any, Optional

from qgis.PyQt.QtWidgets import QWidget

from ...core.contracts import ConfigError, DataError, Event, FreshetError, RunFolder, RunState, StormConfig, WhatIfJob
from ...plugin.dataset_values import basin_mask
from ..text import date_words, number, tr
from ..widgets import refill
from .brush import Brush
from .context import WhyContext
from .earlier import remove_layers
from .painted import Painted
from .panel import Panel
from .storm_facts import cell_areas, painted_facts, rain_inputs, total_words
from .storm_form import StormForm
from .storm_tool import round_up
from .what_if_answer import WhatIfAnswer, is_storm, wanted_gauge


class StormPanel(Panel):
    """Builds a :class:`WhatIfJob` of one storm. Each lifted brush asks at once, and gives up the question before."""

    verb = "what-if"
    name = "Storm"
    stays = True

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self._answer = WhatIfAnswer("freshetWhyStorm")
        self._by_brush = False  # the next question comes from the brush
        self._brushed: set[str] = set()  # paths of runs that a lifted brush asked for
        self._on_map: list[str] = []  # of them those whose layers were added
        self._proposed = "basin"
        self._grid: Any = None
        self._areas: Any = None
        self._inside: Any = None
        self.form = StormForm(context)
        self.column.addWidget(self.form)
        self.brush = Brush(context, self.form, self)
        self._connect()
        self.follow()

    @classmethod
    def title(cls) -> str:
        """The question."""
        return tr("Paint a storm")

    @property
    def layers_text(self) -> str:
        """The button that adds the maps."""
        return tr("Show maps")

    def button_text(self) -> str:
        """The button that asks."""
        return tr("Answer")

    def button_tip(self) -> str:
        """Its help."""
        return tr("Predict the dates that the storm reaches, with it and without it.")

    def job(self) -> WhatIfJob:
        """The painted rain as a question."""
        common = self.common()
        rain = self.brush.rain
        if rain is None or not rain.rain.any():
            raise ConfigError(tr("No rain is painted"), remedy=tr("Press Paint and draw on the map"))
        if self._facts()["cells"] == self._facts()["outside"]:
            raise DataError(
                tr("The painted rain lies outside the basin"),
                expected=tr("rain in at least one cell of the basin"),
                remedy=tr("Paint inside the basin"),
            )
        storm = StormConfig(self.form.date.iso(), rain.cells(), "", self.form.variable.currentData() or "")
        return WhatIfJob(**common, storms=(storm,), **self._place())

    def run_title(self, job: WhatIfJob) -> str:
        """'Storm of 1993-07-04, 12 mm in the mean'."""
        mean = number(self._facts()["mean_mm"], 3)
        return tr("Storm of {date}, {mean} mm in the mean").format(date=date_words(job.storms[0].date), mean=mean)

    def refusal(self) -> Optional[FreshetError]:
        """A model without an input that takes rain."""
        asked = self.context.asked()
        if asked.card is None or rain_inputs(asked.card, asked.card.step_seconds):
            return None
        return ConfigError(
            tr("The model reads no precipitation that a storm could be added to"),
            got=", ".join(f"{item.name} ({item.units})" for item in asked.card.inputs),
            remedy=tr("Choose another model, or ask 'What if ...?' about its inputs"),
        )

    def follow(self) -> None:
        """Another grid takes the painted rain away; another model may take other rain."""
        asked, grid = self.context.asked(), self.context.grid()
        inputs = rain_inputs(asked.card, asked.card.step_seconds) if asked.card is not None else []
        refill(self.form.variable, [(f"{item.label or item.name} ({item.units})", item.name) for item in inputs])
        self.form.place.follow()
        self.form.date.propose()
        self._propose_place()
        if grid != self._grid:
            self._grid = grid
            self._areas = cell_areas(grid) if grid is not None else None
            self.brush.use(Painted(grid) if grid is not None else None)
        self._inside = self._mask()
        self.form.paint_button.setEnabled(self.context.iface is not None and grid is not None)
        self._show_total()
        if self.form.paint_button.isChecked():
            self.warm()

    # -- what the page hands over

    def on_submitted(self, run: RunFolder, job: WhatIfJob) -> None:
        """Remember what came from the brush."""
        if self._by_brush:
            self._brushed.add(str(run.path))
        self._by_brush = False
        self._answer.expect(job, wanted_gauge(self.form.place))

    def on_events(self, run: RunFolder, events: list[Event]) -> None:
        """The hydrograph of the dates so far."""
        asked = self.context.asked()
        step = asked.card.step_seconds if asked.card is not None else 0.0
        self._answer.take_events(events, self.context.target_card(), step)

    def on_ended(self, run: RunFolder, state: RunState) -> None:
        """A stroke that a later one overtook leaves nothing behind."""
        if str(run.path) in self._brushed and state is RunState.CANCELLED:
            self._brushed.discard(str(run.path))
            with contextlib.suppress(FreshetError):  # it stays in the list of runs then
                self.context.runs.remove(run)

    def answered(self, run: RunFolder) -> bool:
        """Only painted rain; changes of inputs are another question of the same kind."""
        return is_storm(run) and (run.results / "what_if.json").is_file()

    def answer(self) -> QWidget:
        """Sentences and hydrographs."""
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run."""
        self._answer.show_run(run)

    def layers_at_once(self, run: RunFolder) -> bool:
        """What the brush asked for is shown on the map; the maps of the stroke before give way."""
        if str(run.path) not in self._brushed or not any(item.kind == "change" for item in run.artifacts()):
            return False
        for earlier in self._on_map:
            remove_layers(earlier)
        self._on_map = [str(run.path)]
        return True

    def leave(self) -> None:
        """Give the map back; the painted rain stays for the way back, unseen."""
        self.form.paint_button.setChecked(False)
        self.form.place.leave_map()
        self.brush.show_rain(False)

    def release(self) -> None:
        """Give map tools back and take the rain off the map."""
        self.leave()
        self.form.place.release()
        self.brush.release()

    def showEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """The rain comes back with the question."""
        super().showEvent(event)
        self.brush.show_rain(self.form.shown.isChecked())

    # -- following

    def _connect(self) -> None:
        form, brush = self.form, self.brush
        form.paint_button.toggled.connect(self._on_paint)
        form.erase.toggled.connect(lambda on: form.paint_button.setChecked(form.paint_button.isChecked() or on))
        form.undo_button.clicked.connect(lambda *_: brush.undo())
        form.clear_button.clicked.connect(lambda *_: brush.clear())
        form.shown.toggled.connect(brush.show_rain)
        form.place.toolSwitched.connect(self._on_place_tool)
        brush.painted.connect(self._on_painted)
        brush.lifted.connect(self._on_lifted)
        brush.toolSwitched.connect(form.paint_button.setChecked)
        brush.failed.connect(lambda sentence: self.said.emit(sentence, "warning"))
        form.place.changed.connect(self.changed)
        form.date.changed.connect(self.changed)
        form.variable.currentIndexChanged.connect(lambda *_: self.changed.emit())

    def _on_paint(self, on: bool) -> None:
        if on:
            self.form.place.leave_map()
            self.form.shown.setChecked(True)
            self.warm()
        else:
            self.form.erase.setChecked(False)
        self.brush.paint(on)

    def _on_place_tool(self, on: bool) -> None:
        if on:
            self.form.paint_button.setChecked(False)

    def _on_painted(self) -> None:
        self._show_total()
        self.changed.emit()

    def _on_lifted(self) -> None:
        self.said.emit("", "plain")
        if not self.form.at_once.isChecked() or not self.brush.rain.rain.any():
            return
        self._by_brush = True
        self.wanted.emit()
        self._by_brush = False  # where it could not be asked

    def _show_total(self) -> None:
        rain = self.brush.rain
        self.form.undo_button.setEnabled(rain is not None and rain.can_undo)
        self.form.clear_button.setEnabled(rain is not None and bool(rain.rain.any()))
        facts = self._facts()
        self.form.total.setText(total_words(facts))
        self.form.legend.set_top(round_up(facts["most_mm"]))
        self.form.legend.setVisible(bool(facts["cells"]))

    def _facts(self) -> dict[str, Any]:
        rain = self.brush.rain
        if rain is None:
            return {"cells": 0, "most_mm": 0.0, "mean_mm": 0.0, "volume_m3": None, "area_km2": None, "outside": 0}
        return painted_facts(rain, self._areas, self._inside)

    def _place(self) -> dict[str, Any]:
        """Fields of the job; a model of gauges draws all of its gauges anyway."""
        card = self.context.asked().card
        found = self.form.place.values()
        found.pop("basin", None)
        return {} if card is not None and card.gauges else found

    def _propose_place(self) -> None:
        """Discharge is asked about at a gauge: a mean over a basin's cells says nothing there."""
        target, place = self.context.target_card(), self.form.place
        wanted = "gauge" if target is not None and target.quantity == "discharge" else "basin"
        if wanted != self._proposed and place.radios[wanted].isEnabled():
            self._proposed = wanted
            place.set_kind(wanted)

    def _mask(self) -> Any:
        summary = self.context.asked().summary
        return basin_mask(summary.path, summary.sequence) if summary is not None else None
