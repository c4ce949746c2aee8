"""The place that a question asks about: a cell, a polygon, a gauge or the whole basin, picked on the map or typed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QGridLayout, QLabel, QPushButton, QRadioButton, QVBoxLayout, QWidget

from ...core.contracts import ConfigError, FreshetError
from ...core.contracts.config import Rule
from ..maptools import PointTool, PolygonTool, ToolSwitch
from ..numbers import NumberEdit
from ..polygons import polygon_in, selected_layer, selected_polygon
from ..text import tr
from ..widgets import Notice, button, narrow, refill, row
from .context import WhyContext
from .gauge_marks import GaugeMarks
from .gauges import gauge_names, places_on_map
from .place_checks import check_cell, checked_polygon

KINDS = ("cell", "polygon", "gauge", "basin")
_NEAR_PX = 24.0


class PlaceChoice(QWidget):
    """Radio buttons for ``kinds`` (also "none"), the map tools, and fields for what was picked.

    ``changed`` tells that the place is another, ``picked`` that it was given on the map or by a selection (after
    ``changed``), ``toolSwitched`` that the map tool came or went. With ``keeps_tool`` the tool stays after a pick.
    ``notice`` says what is wrong with a pick. Coordinates are in the CRS of the dataset.
    """

    changed = pyqtSignal()
    picked = pyqtSignal()
    toolSwitched = pyqtSignal(bool)

    def __init__(
        self, context: WhyContext, object_prefix: str, kinds: Sequence[str] = KINDS, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(f"{object_prefix}PlaceChoice")
        self.context = context
        self.keeps_tool = False
        self._prefix = object_prefix
        self._kinds = tuple(kinds)
        self._polygon = ""
        self._tools: dict[str, Any] = {}
        self.marks: Optional[GaugeMarks] = None
        self._build()
        self._connect()
        self.follow()

    # -- what the choice gives

    def kind(self) -> str:
        """cell, polygon, gauge, basin or none."""
        return next((kind for kind, choice in self.radios.items() if choice.isChecked()), self._kinds[0])

    def values(self) -> dict[str, Any]:
        """``x``, ``y``, ``polygon``, ``gauge``, and ``basin`` where that is offered, for any job. Raises the
        :class:`FreshetError` family where the place is not there, or holds no prediction.
        """
        kind, found = self.kind(), {"x": None, "y": None, "polygon": "", "gauge": ""}
        if "basin" in self._kinds:
            found["basin"] = kind == "basin"
        if kind == "cell":
            if not self.x.text().strip() and not self.y.text().strip():
                raise ConfigError(
                    tr("No cell is chosen"), remedy=tr("Pick one on the map, or type its x and y in the dataset's CRS")
                )
            found.update(x=self.x.value(), y=self.y.value())
            check_cell(self.context, found["x"], found["y"])
        elif kind == "polygon":
            found["polygon"] = checked_polygon(self.context, self._polygon)
        elif kind == "gauge":
            found["gauge"] = self.gauge.currentData() or ""
            if not found["gauge"]:
                raise ConfigError(tr("No gauge is chosen"), remedy=tr("Choose one of the list, or another place"))
        return found

    def words(self) -> str:
        """The place in a few words, for titles."""
        kind = self.kind()
        if kind == "cell":
            return tr("cell {x}, {y}").format(x=self.x.text().strip(), y=self.y.text().strip())
        return tr("gauge {name}").format(name=self.gauge.currentData()) if kind == "gauge" else self.radios[kind].text()

    def set_kind(self, kind: str) -> None:
        """Choose a kind, where it is offered."""
        if kind in self.radios:
            self.radios[kind].setChecked(True)

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Offer other kinds; one that is no longer offered gives way to the first."""
        self._kinds = tuple(kinds)
        self._arrange()
        self.follow()

    def set_point(self, x: float, y: float) -> None:
        """Show a point in the dataset's CRS as the cell."""
        decimals = self._decimals()
        self.x.set_value(round(x, decimals))
        self.y.set_value(round(y, decimals))

    def tool_is_on(self) -> bool:
        """Whether clicks on the map come here."""
        return self.pick_button.isChecked()

    def leave_map(self) -> None:
        """Give the map back; marks stay."""
        self.pick_button.setChecked(False)

    def release(self) -> None:
        """Give the map back, take marks away."""
        self.leave_map()
        for tool in self._tools.values():
            tool.clear()
            tool.deleteLater()
        self._tools = {}
        if self.marks is not None:
            self.marks.remove()
            self.marks = None

    def showEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """The gauges come onto the map with the place."""
        super().showEvent(event)
        self._mark_gauges()

    def hideEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """They go with it."""
        super().hideEvent(event)
        self._mark_gauges(False)

    # -- what the map gives

    def take_point(self, point: QgsPointXY) -> None:
        """Take a point of the map (in its CRS): the cell there, or the nearest gauge."""
        if self.kind() == "gauge":
            self._take_gauge(point)
            return
        inside = self.context.to_dataset(point)
        if inside is None:
            self._no_crs(tr("The point"))
            return
        self.set_point(inside.x(), inside.y())
        self.notice.clear_text()
        try:
            check_cell(self.context, inside.x(), inside.y())
        except FreshetError as error:
            self.notice.fail(error)
            self._after_pick(False)
            return
        self._after_pick()

    def take_polygon(self, polygon: QgsGeometry, crs: Optional[QgsCoordinateReferenceSystem] = None) -> None:
        """Take a polygon (in ``crs``, else that of the map); its mean is asked about."""
        moved = polygon_in(polygon, crs or self.context.map_crs(), self.context.dataset_crs(), QgsProject.instance())
        if moved is None:
            self._no_crs(tr("The polygon"))
            return
        self._polygon = moved.asWkt(8)
        self.notice.clear_text()
        self._show_kind()
        self.changed.emit()
        self._after_pick()

    def take_selection(self) -> None:
        """Take the selected features of a polygon layer as the polygon."""
        iface = self.context.iface
        layer = selected_layer(QgsProject.instance(), iface.activeLayer() if iface else None)
        polygon = selected_polygon(layer) if layer is not None else QgsGeometry()
        if polygon.isEmpty():
            self.notice.say(tr("No polygon is selected: select a feature of a polygon layer first."), "warning")
            return
        self.set_kind("polygon")
        self.take_polygon(polygon, layer.crs())

    # -- building

    def _build(self) -> None:
        self.radios = {}
        titles = {
            "cell": tr("cell"), "polygon": tr("polygon"), "gauge": tr("gauge"), "basin": tr("whole basin"),
            "none": tr("none"),
        }  # fmt: skip
        self._choices = QGridLayout()
        self._choices.setContentsMargins(0, 0, 0, 0)
        for kind, title in titles.items():
            self.radios[kind] = QRadioButton(title)
            self.radios[kind].setObjectName(f"{self._prefix}{kind.capitalize()}")
        self._choices.addWidget(QLabel(tr("Place")), 0, 0)
        self._choices.setColumnStretch(2, 1)
        self._arrange()
        self.radios[self._kinds[0]].setChecked(True)
        self.pick_button = QPushButton(tr("Pick on the map"))
        self.pick_button.setObjectName(f"{self._prefix}Pick")
        self.pick_button.setCheckable(True)
        self.pick_button.setEnabled(self.context.iface is not None)
        self.pick_button.setToolTip(
            tr("Click a cell or near a gauge; for a polygon set corners and end with a right click.")
        )
        self.selection_button = button(
            tr("From selection"),
            f"{self._prefix}Selection",
            self.take_selection,
            tr("Take the selected features of a polygon layer as the polygon."),
        )
        self.x = NumberEdit(Rule("x", "Easting or longitude of the cell, in the dataset's CRS."))
        self.y = NumberEdit(Rule("y", "Northing or latitude of the cell, in the dataset's CRS."))
        for name, edit, tip in (
            ("X", self.x, tr("Easting or longitude of the cell, in the dataset's CRS.")),
            ("Y", self.y, tr("Northing or latitude of the cell, in the dataset's CRS.")),
        ):
            edit.setObjectName(f"{self._prefix}{name}")
            edit.setMinimumWidth(50)
            edit.setStyleSheet("")
            edit.setToolTip(tip)
            edit.setAccessibleName(name.lower())
        self.gauge = narrow(QComboBox())
        self.gauge.setObjectName(f"{self._prefix}GaugeList")
        self.gauge.setToolTip(tr("Gauges of the model; for a model of maps those of the dataset."))
        self.place = QLabel()
        self.place.setObjectName(f"{self._prefix}Place")
        self.place.setWordWrap(True)
        self.notice = Notice(f"{self._prefix}PlaceNotice")
        # No form: its rows leave gaps where they are hidden.
        self._point, self._gauge_row = QWidget(), QWidget()
        self._point.setLayout(row(QLabel(tr("x, y")), self.x, self.y, stretch=False))
        self._gauge_row.setLayout(row(QLabel(tr("Gauge")), self.gauge, stretch=False))
        self._picks = QWidget()
        self._picks.setLayout(row(self.pick_button, self.selection_button))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._choices)
        for part in (self._picks, self._point, self._gauge_row, self.place, self.notice):
            column.addWidget(part)

    def _arrange(self) -> None:
        """What is offered first, two in a row, so that what is not leaves no hole."""
        order = sorted(self.radios, key=lambda kind: kind not in self._kinds)
        for number, kind in enumerate(order):
            self._choices.addWidget(self.radios[kind], number // 2, 1 + number % 2)

    def _connect(self) -> None:
        for choice in self.radios.values():
            choice.toggled.connect(self._on_kind)
        for edit in (self.x, self.y):
            edit.valueChanged.connect(self._on_typed)
        self.gauge.currentIndexChanged.connect(self._on_typed)
        self.pick_button.toggled.connect(self._toggle_pick)
        if self.context.iface is not None:
            canvas = self.context.iface.mapCanvas()
            self._switch, self.marks = ToolSwitch(canvas), GaugeMarks(canvas)
            canvas.destinationCrsChanged.connect(self._mark_gauges)
            self._tools = {"point": PointTool(canvas), "polygon": PolygonTool(canvas)}
            self._tools["point"].picked.connect(self.take_point)
            self._tools["polygon"].drawn.connect(self.take_polygon)
            for tool in self._tools.values():
                tool.deactivated.connect(self._on_tool_left)

    # -- following

    def follow(self) -> None:
        """Model or dataset changed: offer the gauges that there are, and only places that can be asked about."""
        asked = self.context.asked()
        at_gauges = bool(asked.card is not None and asked.card.gauges)
        names = gauge_names(asked)
        refill(self.gauge, [(name, name) for name in names])
        possible = {
            "cell": not at_gauges, "polygon": not at_gauges, "gauge": bool(names), "basin": True, "none": True,
        }  # fmt: skip
        for kind, choice in self.radios.items():
            choice.setVisible(kind in self._kinds)
            choice.setEnabled(possible[kind])
            choice.setToolTip(self._tip(kind, at_gauges, bool(names)))
        if not possible[self.kind()] or self.kind() not in self._kinds:
            self.set_kind(next((kind for kind in self._kinds if possible[kind]), self._kinds[0]))
        self._show_kind()

    def _tip(self, kind: str, at_gauges: bool, has_gauges: bool) -> str:
        if at_gauges and kind in ("cell", "polygon"):
            return tr("The model predicts gauges, not maps: ask about a gauge.")
        if kind == "basin":
            return tr("The mean of all gauges.") if at_gauges else tr("The mean over all cells of the basin.")
        if kind == "gauge" and not has_gauges:
            return tr("Neither the model nor the dataset has gauges.")
        return ""

    def _show_kind(self) -> None:
        kind = self.kind()
        self._point.setVisible(kind == "cell")
        self._gauge_row.setVisible(kind == "gauge")
        self._picks.setVisible(kind in ("cell", "polygon", "gauge"))
        self.pick_button.setEnabled(
            self.context.iface is not None and (kind != "gauge" or bool(places_on_map(self.context)))
        )
        self._mark_gauges()
        self.selection_button.setVisible(kind == "polygon")
        corners = self._polygon.count(",")
        drawn = (
            tr("Polygon of {corners} corners").format(corners=corners)
            if self._polygon
            else tr("No polygon yet: draw one, or take a selection")
        )
        self.place.setText(drawn if kind == "polygon" else "")
        self.place.setVisible(kind == "polygon")

    def _on_kind(self, on: bool) -> None:
        if not on:
            return
        self.notice.clear_text()
        self._show_kind()
        if self.pick_button.isChecked():
            if self.kind() in ("basin", "none"):
                self.leave_map()
            else:
                self._toggle_pick(True)
        self.changed.emit()

    def _on_typed(self, *_: Any) -> None:
        self.notice.clear_text()
        self._mark_gauges()
        self.changed.emit()

    def _toggle_pick(self, on: bool) -> None:
        if self._tools:
            if on:
                self._switch.use(self._tools["polygon" if self.kind() == "polygon" else "point"])
            else:
                for tool in self._tools.values():
                    self._switch.leave(tool)
        self.toolSwitched.emit(on)

    def _on_tool_left(self) -> None:
        if self.context.iface.mapCanvas().mapTool() not in self._tools.values():
            self.pick_button.setChecked(False)

    def _after_pick(self, good: bool = True) -> None:
        if not self.keeps_tool:
            self.leave_map()
        if good:
            self.picked.emit()

    def _take_gauge(self, point: QgsPointXY) -> None:
        name, pixels = self.marks.nearest(point) if self.marks is not None else ("", math.inf)
        if pixels > _NEAR_PX:
            self.notice.say(
                tr("No gauge lies near this point: click closer to one, or choose it in the list."), "error"
            )
            return
        self.notice.clear_text()
        self.gauge.setCurrentIndex(self.gauge.findData(name))
        for tool in self._tools.values():
            tool.clear()  # the gauge itself is marked
        self._after_pick()

    def _mark_gauges(self, shown: bool = True) -> None:
        """Draw the gauges on the map while they are asked about here, or take them off."""
        if self.marks is not None:
            wanted = shown and self.isVisible() and self.kind() == "gauge"
            self.marks.show_places(places_on_map(self.context) if wanted else {}, self.gauge.currentData() or "")

    def _decimals(self) -> int:
        """Decimals that tell a hundredth of a cell apart; more would only be hard to read."""
        grid = self.context.grid()
        return max(0, 2 - math.floor(math.log10(grid.cell_x))) if grid is not None else 7

    def _no_crs(self, what: str) -> None:
        self.notice.say(
            tr("{what} cannot be brought into the CRS of the dataset: check the CRS of the map.").format(what=what),
            "error",
        )
