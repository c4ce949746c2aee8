"""What if ...? Other weather, or another map, and what the model says to it."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QFormLayout, QLabel, QWidget

from ...core.contracts import ConfigError, Event, FreshetError, RunFolder, WhatIfJob
from ..text import tr
from ..widgets import DateField, button, row
from .change_rows import ChangeRows, changeable, checked_period
from .context import WhyContext
from .panel import Panel
from .place_choice import PlaceChoice
from .what_if_answer import WhatIfAnswer, is_storm, wanted_gauge

_P = "freshetWhyWhatIf"
# Quantity, factor and amount of each preset; the unit of the amount is that of the quantity.
_RAIN, _WARMTH = (("precipitation", "rainfall"), 1.2, 0.0), (("temperature",), 1.0, 2.0)


class WhatIfPanel(Panel):
    """Builds a :class:`WhatIfJob` of changes."""

    verb = "what-if"
    name = "WhatIf"
    stays = True

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self._answer = WhatIfAnswer(_P)
        self.rows = ChangeRows(context, f"{_P}Change")
        self.add_button = button(tr("Add a change"), f"{_P}Add", self.add, tr("One more input that changes."))
        self.rain_button = button(
            tr("Rain x 1.2"), f"{_P}Rain", lambda: self._preset(_RAIN), tr("A fifth more precipitation, at all dates.")
        )
        self.warm_button = button(
            tr("2 K warmer"), f"{_P}Warm", lambda: self._preset(_WARMTH), tr("Air temperature 2 degrees higher.")
        )
        self.place = PlaceChoice(context, _P, ("basin", "cell", "polygon", "gauge"))
        self.begin = DateField(f"{_P}From", tr("First date to predict; empty takes what the changes reach"))
        self.end = DateField(f"{_P}To", tr("Last date to predict; empty takes what the changes reach"))
        for widget in (self.add_button, self.rain_button, self.warm_button):
            widget.setMinimumWidth(40)
        self.column.addWidget(self.rows)
        self.column.addLayout(row(self.add_button, self.rain_button, self.warm_button))
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Predict"), row(self.begin, QLabel(tr("to")), self.end, stretch=False))
        self.column.addLayout(form)
        self.column.addWidget(QLabel(tr("Hydrograph at")))
        self.column.addWidget(self.place)
        self.rows.toolTaken.connect(self.place.leave_map)
        self.place.toolSwitched.connect(lambda on: self.rows.leave_map() if on else None)
        for signal in (self.rows.changed, self.place.changed, self.begin.textChanged, self.end.textChanged):
            signal.connect(lambda *_: self.changed.emit())
        self.add()
        self.follow()

    @classmethod
    def title(cls) -> str:
        """The question."""
        return tr("What if ...?")

    @property
    def layers_text(self) -> str:
        """The button that adds the maps."""
        return tr("Show maps")

    def button_text(self) -> str:
        """The button that asks."""
        return tr("Answer")

    def button_tip(self) -> str:
        """Its help."""
        return tr("Predict the dates that the changes reach, with them and without them.")

    def add(self) -> None:
        """One more change."""
        self.rows.add()

    def job(self) -> WhatIfJob:
        """The changes as a question."""
        common = self.common()
        changes = self.rows.changes()
        period = checked_period(
            self.begin.iso(), self.end.iso(), tr("The period to predict"), self.context.asked().summary
        )
        return WhatIfJob(**common, changes=changes, period=period, **self._place())

    def run_title(self, job: WhatIfJob) -> str:
        """'What if Rain x 1.2', and how many more."""
        first = job.changes[0]
        parts = [f"x {first.factor:g}"] if first.factor != 1.0 else []
        parts += [f"{first.amount:+g}"] if first.amount else []
        words = tr("What if {variable} {change}").format(variable=first.variable, change=" ".join(parts))
        more = len(job.changes) - 1
        return words + (tr(" and {count} more").format(count=more) if more else "")

    def refusal(self) -> Optional[FreshetError]:
        """A model none of whose inputs can be changed."""
        card = self.context.asked().card
        if card is None or changeable(card):
            return None
        return ConfigError(
            tr("The model reads only maps of classes, which cannot be multiplied or added to"),
            remedy=tr("Choose another model"),
        )

    def follow(self) -> None:
        """Another model has other inputs, another dataset other gauges."""
        self.rows.follow()
        self.place.follow()
        self.rain_button.setEnabled(self._found(_RAIN) is not None)
        self.warm_button.setEnabled(self._found(_WARMTH) is not None)

    def on_submitted(self, run: RunFolder, job: WhatIfJob) -> None:
        """The hydrograph to show first."""
        self._answer.expect(job, wanted_gauge(self.place))

    def on_events(self, run: RunFolder, events: list[Event]) -> None:
        """The hydrograph of the dates so far."""
        asked = self.context.asked()
        step = asked.card.step_seconds if asked.card is not None else 0.0
        self._answer.take_events(events, self.context.target_card(), step)

    def answered(self, run: RunFolder) -> bool:
        """Only changes of inputs; painted rain is another question of the same kind."""
        return not is_storm(run) and (run.results / "what_if.json").is_file()

    def answer(self) -> QWidget:
        """Sentences and hydrographs."""
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run."""
        self._answer.show_run(run)

    def leave(self) -> None:
        """Give the map back."""
        self.rows.leave_map()
        self.place.leave_map()

    def release(self) -> None:
        """Give the map back, take marks away."""
        self.rows.release()
        self.place.release()

    def _place(self) -> dict[str, Any]:
        """Fields of the job; a model of gauges draws all of its gauges anyway."""
        card = self.context.asked().card
        found = self.place.values()
        found.pop("basin", None)
        return {} if card is not None and card.gauges else found

    def _preset(self, preset: tuple) -> None:
        """In a first row that changes nothing yet, else in a new one."""
        name = self._found(preset)
        if name is None:
            return
        rows = self.rows.rows
        fresh = [item for item in rows if item.factor.text().strip() in ("", "1") and not item.amount.text().strip()]
        (fresh[0] if fresh else self.rows.add()).set_change(name, *preset[1:])

    def _found(self, preset: tuple) -> Optional[str]:
        """The first input of one of the quantities of a preset."""
        known = changeable(self.context.asked().card)
        return next((item.name for wanted in preset[0] for item in known if item.quantity == wanted), None)
