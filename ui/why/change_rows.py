"""Changes of the input, one below the other: variable, times, plus, where and when."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsGeometry, QgsProject
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from ...core.contracts import ChangeConfig, ConfigError, DataError, PeriodConfig
from ...core.contracts.config import Rule
from ...core.contracts.dates import parse_date
from ...core.contracts.model_card import VariableCard
from ...core.contracts.variables import quantity
from ..maptools import PolygonTool, ToolSwitch
from ..numbers import NumberEdit
from ..polygons import polygon_in, selected_layer, selected_polygon
from ..text import date_words, tr
from ..widgets import DateField, Notice, button, narrow, refill, row
from .context import WhyContext

_WHERE = ("basin", "polygon")


class ChangeRow(QFrame):
    """One change. ``drawWanted`` asks for the polygon tool on the map, ``removed`` to be taken away."""

    changed = pyqtSignal()
    drawWanted = pyqtSignal(bool)
    removed = pyqtSignal()

    def __init__(self, context: WhyContext, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._context, self._polygon = context, ""
        self._build(name)
        for signal in (
            self.variable.currentIndexChanged, self.factor.valueChanged, self.amount.valueChanged,
            self.where.currentIndexChanged, self.begin.textChanged, self.end.textChanged,
        ):  # fmt: skip
            signal.connect(self._follow)
        self.follow()

    def change(self, number: int) -> ChangeConfig:
        """The change; raises :class:`ConfigError`, :class:`DataError` with its ``number`` where something is wrong."""
        variable = self.variable.currentData()
        if not variable:
            raise ConfigError(tr("Change {number} names no variable").format(number=number))
        polygon = self._checked_polygon(number) if self.where.currentData() == "polygon" else ""
        factor, amount = self.factor.value(), self.amount.value()
        fixed = self._fixed()
        period = PeriodConfig() if fixed else self._period(number)
        found = ChangeConfig(
            variable, 1.0 if factor is None else factor, 0.0 if amount is None else amount, polygon, period
        )
        found.check()
        return found

    def set_change(self, variable: str, factor: float, amount: float) -> None:
        """Show a change of a variable."""
        self.variable.setCurrentIndex(max(0, self.variable.findData(variable)))
        self.factor.set_value(factor)
        self.amount.set_value(amount)

    def follow(self) -> None:
        """Another model has other inputs."""
        asked = self._context.asked()
        refill(self.variable, [(_words(item), item.name) for item in changeable(asked.card)])
        self._follow()

    def take_polygon(self, polygon: QgsGeometry, crs: Any = None) -> bool:
        """Take a polygon in ``crs`` (None: of the map); False with a sentence where that cannot be."""
        moved = polygon_in(polygon, crs or self._context.map_crs(), self._context.dataset_crs(), QgsProject.instance())
        if moved is None:
            self.notice.say(
                tr("The polygon cannot be brought into the CRS of the dataset: check the CRS of the map."), "error"
            )
            return False
        self._polygon = moved.asWkt(8)
        self.where.setCurrentIndex(_WHERE.index("polygon"))
        self.notice.clear_text()
        self._follow()
        return True

    def take_selection(self) -> None:
        """Take the selected features of a polygon layer."""
        iface = self._context.iface
        layer = selected_layer(QgsProject.instance(), iface.activeLayer() if iface else None)
        polygon = selected_polygon(layer) if layer is not None else QgsGeometry()
        if polygon.isEmpty():
            self.notice.say(tr("No polygon is selected: select a feature of a polygon layer first."), "warning")
            return
        self.take_polygon(polygon, layer.crs())

    # -- parts

    def _build(self, name: str) -> None:
        self.variable = _combo(f"{name}Variable", tr("An input or a static map of the model."))
        self.factor = _number(f"{name}Times", Rule(tr("Times"), tr("Its values are multiplied by this; empty: 1.")))
        self.amount = _number(f"{name}Plus", Rule(tr("Plus"), tr("This is added then, in the unit beside; empty: 0.")))
        self.unit = QLabel()
        self.where = _combo(
            f"{name}Where", tr("Where it changes: every cell, or those whose centre lies in a polygon.")
        )
        for title, kind in ((tr("whole basin"), "basin"), (tr("polygon"), "polygon")):
            self.where.addItem(title, kind)
        self.draw = QPushButton(tr("Draw"))
        self.draw.setObjectName(f"{name}Draw")
        self.draw.setCheckable(True)
        self.draw.setEnabled(self._context.iface is not None)
        self.draw.setToolTip(tr("Set corners on the map, end with a right click."))
        self.draw.toggled.connect(self.drawWanted)
        self.selection = button(
            tr("From selection"), f"{name}Selection", self.take_selection,
            tr("Take the selected features of a polygon layer as the polygon."),
        )  # fmt: skip
        self.place = QLabel()
        self.place.setObjectName(f"{name}Place")
        self.begin = DateField(f"{name}From", tr("First date of the input to change; empty is open"))
        self.end = DateField(f"{name}To", tr("Last date of the input to change; empty is open"))
        self.notice = Notice(f"{name}Notice")
        self.remove = button(tr("Remove"), f"{name}Remove", self.removed.emit, tr("Take this change away."))
        for widget in (self.draw, self.selection, self.remove):
            widget.setMinimumWidth(40)
        form = QFormLayout(self)
        form.setContentsMargins(6, 4, 6, 4)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Change"), row(self.variable, self.remove, stretch=False))
        form.addRow(tr("Times"), row(self.factor, QLabel(tr("plus")), self.amount, self.unit, stretch=False))
        form.addRow(tr("Where"), self.where)
        self._polygon_row = QWidget()
        lines = QVBoxLayout(self._polygon_row)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addLayout(row(self.draw, self.selection))
        lines.addWidget(self.place)
        form.addRow("", self._polygon_row)
        self._dates = QWidget()
        self._dates.setLayout(row(self.begin, QLabel(tr("to")), self.end, stretch=False))
        form.addRow(tr("Dates"), self._dates)
        form.addRow(self.notice)
        self._rows = form

    def _follow(self, *_: Any) -> None:
        variable = self._card()
        self.unit.setText(variable.units if variable is not None and variable.units != "-" else "")
        drawn = self.where.currentData() == "polygon"
        self._polygon_row.setVisible(drawn)
        if not drawn:
            self.draw.setChecked(False)
        corners = self._polygon.count(",")
        self.place.setText(
            tr("Polygon of {count} corners").format(count=corners) if self._polygon else tr("No polygon yet")
        )
        self._dates.setVisible(not self._fixed())
        self._rows.labelForField(self._dates).setVisible(not self._fixed())
        self.notice.clear_text()
        self.changed.emit()

    def _card(self) -> Optional[VariableCard]:
        known = changeable(self._context.asked().card)
        return next((item for item in known if item.name == self.variable.currentData()), None)

    def _fixed(self) -> bool:
        card = self._context.asked().card
        return card is not None and self.variable.currentData() in {item.name for item in card.static}

    def _period(self, number: int) -> PeriodConfig:
        summary = self._context.asked().summary
        return checked_period(
            self.begin.iso(), self.end.iso(), tr("The period of change {number}").format(number=number), summary
        )

    def _checked_polygon(self, number: int) -> str:
        if not self._polygon:
            raise ConfigError(
                tr("Change {number} has no polygon yet").format(number=number),
                remedy=tr("Draw one on the map, take the selection of a polygon layer, or change the whole basin"),
            )
        grid = self._context.grid()
        if grid is not None:
            west, south, east, north = grid.extent
            box = QgsGeometry.fromWkt(self._polygon).boundingBox()
            if box.xMaximum() < west or box.xMinimum() > east or box.yMaximum() < south or box.yMinimum() > north:
                raise DataError(
                    tr("The polygon of change {number} lies outside the dataset").format(number=number),
                    expected=f"x {west:.10g} .. {east:.10g}, y {south:.10g} .. {north:.10g}",
                    remedy=tr("Draw it inside the maps of the dataset"),
                )
        return self._polygon


class ChangeRows(QWidget):
    """The changes; one polygon tool for all of them."""

    changed = pyqtSignal()
    toolTaken = pyqtSignal()

    def __init__(self, context: WhyContext, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._context, self._count = context, 0
        self.rows: list[ChangeRow] = []
        self._drawing: Optional[ChangeRow] = None
        self._tool: Any = None
        if context.iface is not None:
            canvas = context.iface.mapCanvas()
            self._switch, self._tool = ToolSwitch(canvas), PolygonTool(canvas)
            self._tool.drawn.connect(self._take)
            self._tool.deactivated.connect(self.leave_map)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)

    def changes(self) -> tuple[ChangeConfig, ...]:
        """All changes; raises where one is wrong or there is none."""
        if not self.rows:
            raise ConfigError(tr("Nothing is changed"), remedy=tr("Add a change, or take one of the presets"))
        return tuple(item.change(number) for number, item in enumerate(self.rows, start=1))

    def add(self) -> ChangeRow:
        """One more change."""
        self._count += 1
        made = ChangeRow(self._context, f"{self.objectName()}{self._count}", self)
        made.changed.connect(self.changed)
        made.removed.connect(lambda: self.remove(made))
        made.drawWanted.connect(lambda on: self._draw(made, on))
        self.rows.append(made)
        self._column.addWidget(made)
        self.changed.emit()
        return made

    def remove(self, item: ChangeRow) -> None:
        """Take a change away."""
        if self._drawing is item:
            self.leave_map()
        self.rows.remove(item)
        self._column.removeWidget(item)
        item.hide()
        item.deleteLater()
        self.changed.emit()

    def clear(self) -> None:
        """Take all away."""
        for item in list(self.rows):
            self.remove(item)

    def follow(self) -> None:
        """Another model or dataset."""
        for item in self.rows:
            item.follow()

    def leave_map(self) -> None:
        """Give the map back."""
        item, self._drawing = self._drawing, None
        if item is not None:
            item.draw.setChecked(False)
        if self._tool is not None:
            self._switch.leave(self._tool)

    def release(self) -> None:
        """Give the map back, take the drawing away."""
        self.leave_map()
        if self._tool is not None:
            self._tool.clear()
            self._tool.deleteLater()

    def _draw(self, item: ChangeRow, on: bool) -> None:
        if self._tool is None:
            return
        if not on:
            if self._drawing is item:
                self.leave_map()
            return
        if self._drawing is not None:
            self.leave_map()
        self._drawing = item
        self.toolTaken.emit()
        self._switch.use(self._tool)

    def _take(self, polygon: QgsGeometry) -> None:
        if self._drawing is not None and self._drawing.take_polygon(polygon):
            self.leave_map()


def changeable(card: Any) -> list[VariableCard]:
    """What a model reads and a change can multiply or add to: inputs, what is known ahead, static maps of measures."""
    if card is None:
        return []
    found = {item.name: item for item in (*card.inputs, *card.ahead, *card.static) if item.channels == 1}
    return list(found.values())


def checked_period(start: str, end: str, what: str, summary: Any) -> PeriodConfig:
    """A period within the dataset; raises :class:`ConfigError`, :class:`DataError` where it runs backwards or holds no
    date of it.
    """
    if start and end and parse_date(end) < parse_date(start):
        raise ConfigError(
            tr("{what} ends before it begins").format(what=what),
            got=f"{start} .. {end}",
            remedy=tr("Exchange its dates"),
        )
    if summary is not None:
        try:
            first, last = parse_date(summary.start), parse_date(summary.end)
        except DataError:
            return PeriodConfig(start, end)
        late = bool(start) and parse_date(start).date() > last.date()
        early = bool(end) and parse_date(end).date() < first.date()
        if late or early:
            raise DataError(
                tr("{what} holds no date of the dataset").format(what=what),
                expected=tr("dates from {first} to {last}").format(
                    first=date_words(summary.start), last=date_words(summary.end)
                ),
                got=f"{start or '...'} .. {end or '...'}",
                remedy=tr("Choose a period within these dates"),
            )
    return PeriodConfig(start, end)


def _words(variable: VariableCard) -> str:
    known = quantity(variable.quantity)
    label = variable.label or (known.label if known.name != "other" else variable.name)
    return f"{label} ({variable.units})" if variable.units else label


def _combo(name: str, tip: str) -> QComboBox:
    made = narrow(QComboBox())
    made.setObjectName(name)
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    return made


def _number(name: str, rule: Rule) -> NumberEdit:
    made = NumberEdit(rule, optional=True)
    made.setObjectName(name)
    made.setMinimumWidth(44)
    made.setToolTip(rule.help)
    made.setAccessibleName(rule.label)
    return made
