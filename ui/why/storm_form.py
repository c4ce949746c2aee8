"""What a person chooses for a painted storm: date, brush, input, place of the hydrograph."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ...core.contracts import DataError
from ...core.contracts.config import Rule
from ...core.contracts.dates import format_date, parse_date
from ..numbers import NumberEdit
from ..text import date_words, tr
from ..widgets import button, narrow, row
from .context import WhyContext
from .date_choice import DateChoice
from .painted import MOST_MM
from .place_choice import PlaceChoice
from .storm_legend import StormLegend

_P = "freshetWhyStorm"


class BrushValues(NamedTuple):
    """``size`` in cells; ``mm`` of a stroke; ``add`` to what is there, else fill up to ``mm``."""

    size: float
    mm: float
    soft: bool
    erase: bool
    add: bool


class StormDate(DateChoice):
    """The date on which the rain falls: any step of the dataset whose response can be predicted."""

    def possible(self) -> Optional[tuple[datetime, datetime]]:
        """First and last date of the dataset; None without one."""
        summary = self._context.asked().summary
        if summary is None:
            return None
        try:
            return parse_date(summary.start), parse_date(summary.end)
        except DataError:
            return None

    def _check(self, wanted: datetime, text: str) -> None:
        found, asked = self.possible(), self._context.asked()
        if found is None:
            return
        window = asked.card.window if asked.card is not None else 1
        if asked.summary.longest and asked.summary.longest < window:
            raise DataError(
                tr("The dataset has no full window of this model"),
                expected=tr("{count} steps in a row").format(count=window),
                got=str(asked.summary.longest),
                remedy=tr("Choose another dataset, or a model that reads fewer steps"),
            )
        if not found[0].date() <= wanted.date() <= found[1].date():
            first, last = (date_words(format_date(moment)) for moment in found)
            raise DataError(
                tr("The storm lies outside the dataset"),
                expected=tr("a date from {first} to {last}").format(first=first, last=last),
                got=text,
                remedy=tr("Choose one of these dates, or another dataset"),
            )


class StormForm(QWidget):
    """The fields; the panel connects them."""

    changed = pyqtSignal()

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._context = context
        self._build_fields()
        self._build_buttons()
        self._lay_out()

    def brush(self) -> BrushValues:
        """Raises :class:`ConfigError` where a number cannot be read or is out of its range."""
        return BrushValues(
            float(self.size.value()), float(self.mm.value()), self.soft.isChecked(), self.erase.isChecked(),
            self.mode.currentData() == "stroke",
        )  # fmt: skip

    def no_crs(self) -> str:
        """A sentence for a map whose CRS leads nowhere."""
        return tr("The stroke cannot be brought into the CRS of the dataset: check the CRS of the map.")

    def outside(self) -> str:
        """A sentence for a stroke beside the grid."""
        grid = self._context.grid()
        west, south, east, north = grid.extent if grid is not None else (0.0, 0.0, 0.0, 0.0)
        return tr(
            "The stroke lies outside the dataset's grid (x {west} to {east}, y {south} to {north}): paint inside it."
        ).format(west=f"{west:.8g}", east=f"{east:.8g}", south=f"{south:.8g}", north=f"{north:.8g}")

    def _build_fields(self) -> None:
        self.date = StormDate(self._context, f"{_P}Date", tr("Date of the storm"))
        self.variable = narrow(QComboBox())
        self.variable.setObjectName(f"{_P}Variable")
        self.variable.setToolTip(tr("The input that the rain is added to; mm are turned into its unit."))
        grid_help = tr("Width of the brush in cells of the dataset.")
        self.size = NumberEdit(Rule(tr("Brush"), grid_help, minimum=1, maximum=200, unit=tr("cells")))
        self.mm = NumberEdit(
            Rule(tr("Rain"), tr("Rain of a stroke over the whole step."), minimum=0.01, maximum=MOST_MM, unit="mm")
        )
        for edit, name, value, tip in (
            (self.size, "Size", 5.0, grid_help + " " + tr("1 to 200 cells.")),
            (self.mm, "Rain", 20.0, tr("Rain in mm over the whole step of the date; 0.01 to {most} mm.").format(
                most=f"{MOST_MM:g}")),
        ):  # fmt: skip
            edit.setObjectName(f"{_P}{name}")
            edit.setMinimumWidth(44)
            edit.setToolTip(tip)
            edit.setAccessibleName(tip)
            edit.set_value(value)
        self.mode = narrow(QComboBox(), 6)
        self.mode.setObjectName(f"{_P}Mode")
        self.mode.addItem(tr("mm a stroke"), "stroke")
        self.mode.addItem(tr("mm in all"), "all")
        self.mode.setToolTip(tr("Per stroke: rain comes on top of earlier strokes. In all: cells are filled up to it."))
        self.soft = QCheckBox(tr("Soft edge"))
        self.soft.setObjectName(f"{_P}Soft")
        self.soft.setToolTip(tr("Rain thins out from the middle of the brush as a bell curve."))
        self.place = PlaceChoice(self._context, _P, ("basin", "cell", "gauge"))
        self.at_once = QCheckBox(tr("Answer as the brush is lifted"))
        self.at_once.setObjectName(f"{_P}AtOnce")
        self.at_once.setToolTip(tr("Each stroke asks the model anew; the model stays loaded meanwhile."))
        self.at_once.setChecked(True)
        self.shown = QCheckBox(tr("Show the painted rain"))
        self.shown.setObjectName(f"{_P}Shown")
        self.shown.setToolTip(tr("Hide it to see the map of the change below; it stays what it is."))
        self.shown.setChecked(True)

    def _build_buttons(self) -> None:
        self.paint_button = _switch(
            tr("Paint"), f"{_P}Paint", tr("Press the left button and draw; the right one erases, Escape ends painting.")
        )
        self.paint_button.setEnabled(self._context.iface is not None)
        self.erase = _switch(tr("Erase"), f"{_P}Erase", tr("The brush takes painted rain away."))
        self.undo_button = button(tr("Undo"), f"{_P}Undo", lambda: None, tr("Take the last stroke back (Ctrl+Z)."))
        self.clear_button = button(tr("Clear"), f"{_P}Clear", lambda: None, tr("Take all painted rain away."))
        self.legend = StormLegend(f"{_P}Legend")
        self.total = QLabel()
        self.total.setObjectName(f"{_P}Total")
        self.total.setWordWrap(True)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Date"), self.date)
        form.addRow(tr("Added to"), self.variable)
        form.addRow(tr("Brush"), row(self.size, QLabel(tr("cells wide")), stretch=False))
        form.addRow(tr("Rain"), row(self.mm, self.mode, stretch=False))
        form.addRow("", self.soft)
        column.addLayout(form)
        column.addLayout(row(self.paint_button, self.erase, self.undo_button, self.clear_button, stretch=False))
        column.addWidget(self.legend)
        column.addWidget(self.total)
        column.addLayout(row(self.shown))
        title = QLabel(tr("Hydrograph at"))
        column.addWidget(title)
        column.addWidget(self.place)
        column.addLayout(row(self.at_once))
        for button_ in (self.paint_button, self.erase, self.undo_button, self.clear_button):
            button_.setMinimumWidth(40)
        for box in (self.at_once, self.shown):
            box.setVisible(self._context.iface is not None)


def _switch(text: str, name: str, tip: str) -> QPushButton:
    made = QPushButton(text)
    made.setObjectName(name)
    made.setCheckable(True)
    made.setAutoDefault(False)
    made.setToolTip(tip)
    return made
