"""Page Why: what drove a prediction at a place and a date."""

from __future__ import annotations

import math
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QPushButton, QRadioButton, QWidget

from ...core.contracts import ConfigError, ExplainJob, FreshetError, Grid, RunFolder, RunState
from ...core.contracts.config import Rule
from ...core.contracts.explain_checks import check_explainable
from ...plugin.datasets import Datasets, DatasetSummary
from ...plugin.layers import add_run_results
from ...plugin.runs import Runs
from ..attribution import answer_words, named, read_attribution, readable_card, step_word
from ..charts import BridgeChart, BridgeData, StepsChart, StepsData
from ..choice import Choice
from ..forms import Form, config_fields
from ..maptools import PointTool, PolygonTool, ToolSwitch
from ..numbers import NumberEdit
from ..polygons import polygon_in, selected_layer, selected_polygon
from ..series import crs_from, point_in
from ..text import date_words, tr
from ..widgets import DateField, Notice, PathField, button, heading, narrow, refill, row
from .page import Page

METHOD_FIELDS = ("method", "baseline", "steps", "device")


class WhyPage(Page):
    """Builds an :class:`ExplainJob` from a model, a place and a date, and shows what came of it."""

    name = "why"

    def __init__(
        self,
        datasets: Datasets,
        runs: Runs,
        choice: Choice,
        iface: Any = None,
        temporal: Any = None,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(parent)
        self._datasets, self._runs, self._choice, self._iface, self._temporal = datasets, runs, choice, iface, temporal
        self._polygon = ""
        self._tools: dict[str, Any] = {}
        self._build_question()
        self._build_answer()
        self._connect()
        self.refresh()

    # -- what the page gives

    def job(self) -> ExplainJob:
        """The explanation as asked for; raises :class:`FreshetError` with the sentence to show."""
        summary: Optional[DatasetSummary] = self.dataset.currentData()
        cell = self.cell.isChecked()
        if cell and summary is not None and self.x.text().strip() and self.y.text().strip():
            Grid(**summary.grid).cell_at(self.x.value(), self.y.value())
        card = readable_card(self.model_path())
        if card is not None:
            check_explainable(card)
        if not self.date.iso():
            raise ConfigError(tr("No date is chosen"), remedy=tr("Type the date of the prediction to explain"))
        return ExplainJob(
            model=self.model_path(),
            dataset=summary.path if summary else "",
            date=self.date.iso(),
            x=self.x.value() if cell else None,
            y=self.y.value() if cell else None,
            polygon="" if cell else self._polygon,
            title="",
            sequence=summary.sequence if summary else "",
            **self.method.values(),
        )

    def model_path(self) -> str:
        """The chosen model file, from a run or from the field."""
        return self.model.currentData() or self.model_file.path()

    def explain(self) -> None:
        """Submit the explanation; its result appears below once it is there."""
        try:
            job = self.job()
            place = tr("cell") if job.polygon == "" else tr("polygon")
            run = self._runs.submit("explain", job, tr("Why, {place}, {date}").format(place=place, date=job.date[:10]))
        except FreshetError as error:
            self.notice.fail(error)
            return
        self._waiting = str(run.path)
        self.notice.say(tr("Explaining ... the page Runs shows how far it is."))

    def refresh(self) -> None:
        """Follow runs and datasets."""
        runs = self._runs.runs()
        refill(
            self.model,
            [(i.title, str(RunFolder(i.path).model_file)) for i in runs if _has_model(i)]
            + [(tr("A model file ..."), "")],
        )
        if not self.model.currentData() and not self.model_file.path():
            self.model.setCurrentIndex(0)  # the newest trained run, unless a file was named
        refill(self.dataset, [(item.name, item) for item in self._datasets.each()], self._choice.dataset)
        done = [(i.title, i.path) for i in runs if i.verb == "explain" and i.state is RunState.DONE]
        refill(self.result, done, self._choice.run)
        for widget in (self._result_heading, self.result, self.maps_button):
            widget.setVisible(bool(done))
        known = self.dataset.count() > 0
        self.empty.say(
            "" if known else tr("Nothing to explain yet: train a model first, or add a dataset on the page Data.")
        )
        self._form_place.setVisible(known)
        self.explain_button.setVisible(known)
        self._follow_model()
        self._show_result()

    def release(self) -> None:
        """Give the map back, take marks away."""
        self._runs.changed.disconnect(self.refresh)
        self._runs.ended.disconnect(self._on_ended)
        self._datasets.changed.disconnect(self.refresh)
        self.pick_button.setChecked(False)
        for tool in self._tools.values():
            tool.clear()
            tool.deleteLater()

    # -- building

    def _build_question(self) -> None:
        self._form_place = QWidget()
        form = QFormLayout(self._form_place)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.model, self.dataset = narrow(QComboBox()), narrow(QComboBox())
        self.model.setObjectName("freshetWhyModel")
        self.model.setToolTip(tr("The trained run whose model is explained, or a model file."))
        self.dataset.setObjectName("freshetWhyDataset")
        self.dataset.setToolTip(tr("Dataset with the variables that the model needs."))
        self.model_file = PathField(
            "freshetWhyModelFile", tr("Saved model"), "open", tr("Freshet models (*.safetensors)")
        )
        self.model_notice = Notice("freshetWhyModelNotice")
        self.cell, self.area = QRadioButton(tr("cell")), QRadioButton(tr("polygon"))
        self.cell.setObjectName("freshetWhyCell")
        self.area.setObjectName("freshetWhyPolygon")
        self.cell.setChecked(True)
        self.pick_button = QPushButton(tr("Pick on the map"))
        self.pick_button.setObjectName("freshetWhyPick")
        self.pick_button.setCheckable(True)
        self.pick_button.setEnabled(self._iface is not None)
        self.pick_button.setToolTip(tr("Click a cell; for a polygon set corners and end with a right click."))
        self.selection_button = button(
            tr("From selection"),
            "freshetWhySelection",
            self.take_selection,
            tr("Take the selected features of a polygon layer as the polygon."),
        )
        self.x = NumberEdit(Rule("x", "Easting or longitude of the cell, in the dataset's CRS."))
        self.y = NumberEdit(Rule("y", "Northing or latitude of the cell, in the dataset's CRS."))
        for name, edit in (("X", self.x), ("Y", self.y)):
            edit.setObjectName(f"freshetWhy{name}")
            edit.setMinimumWidth(50)
            edit.setStyleSheet("")
        self.place = QLabel()
        self.place.setObjectName("freshetWhyPlace")
        self.place.setWordWrap(True)
        self.date = DateField("freshetWhyDate", tr("Date of the prediction to explain"))
        self.method = Form(config_fields(ExplainJob, METHOD_FIELDS), "freshetWhyMethod")
        form.addRow(tr("Model"), self.model)
        form.addRow("", self.model_file)
        form.addRow(self.model_notice)
        form.addRow(tr("Dataset"), self.dataset)
        form.addRow(tr("Place"), row(self.cell, self.area))
        form.addRow("", row(self.pick_button, self.selection_button))
        form.addRow(tr("x, y"), row(self.x, self.y, stretch=False))
        form.addRow("", self.place)
        form.addRow(tr("Date"), self.date)
        form.addRow(self.method)
        self.body.addWidget(self._form_place)
        self.notice = Notice("freshetWhyNotice")
        self.body.addWidget(self.notice)
        self.explain_button = button(
            tr("Explain"),
            "freshetWhyExplain",
            self.explain,
            tr("Find which variable, where and how many steps back drove it."),
        )
        self.body.addLayout(row(self.explain_button))

    def _build_answer(self) -> None:
        self._waiting = ""
        self._result_heading = heading(tr("Result"), "freshetWhyResultHeading")
        self.result = narrow(QComboBox())
        self.result.setObjectName("freshetWhyResult")
        self.result.setToolTip(tr("Explanations that were made so far."))
        self.maps_button = button(
            tr("Show heatmaps"),
            "freshetWhyMaps",
            self._add_maps,
            tr("One layer per variable, one frame per step back."),
        )
        self.words = QLabel()
        self.words.setObjectName("freshetWhyWords")
        self.words.setWordWrap(True)
        self.bridge = BridgeChart("freshetWhyBridge", 230)
        self.steps = StepsChart("freshetWhySteps", 190)
        self.body.addWidget(self._result_heading)
        self.body.addLayout(row(self.result, self.maps_button, stretch=False))
        for widget in (self.words, self.bridge, self.steps):
            widget.setVisible(False)
            self.body.addWidget(widget)
        self.close_column()

    def _connect(self) -> None:
        self._runs.changed.connect(self.refresh)
        self._runs.ended.connect(self._on_ended)
        self._datasets.changed.connect(self.refresh)
        self._choice.datasetChanged.connect(self._follow_dataset)
        self.model.currentIndexChanged.connect(self._follow_model)
        self.model_file.changed.connect(self._follow_model)
        self.result.currentIndexChanged.connect(self._show_result)
        self.cell.toggled.connect(self._follow_place)
        self.pick_button.toggled.connect(self._toggle_pick)
        if self._iface is not None:
            canvas = self._iface.mapCanvas()
            self._switch = ToolSwitch(canvas)
            self._tools = {"cell": PointTool(canvas), "area": PolygonTool(canvas)}
            self._tools["cell"].picked.connect(self.take_point)
            self._tools["area"].drawn.connect(self.take_polygon)
            for tool in self._tools.values():
                tool.deactivated.connect(self._on_tool_left)
        self._follow_place()

    # -- place

    def take_point(self, point: QgsPointXY) -> None:
        """Take a point of the map (in its CRS) as the cell to explain."""
        inside = self._to_dataset(point)
        if inside is None:
            self.notice.say(
                tr("The point cannot be brought into the CRS of the dataset: check the CRS of the map."), "error"
            )
            return
        decimals = self._decimals()
        self.x.set_value(round(inside.x(), decimals))
        self.y.set_value(round(inside.y(), decimals))
        self.notice.clear_text()
        self.pick_button.setChecked(False)

    def take_polygon(self, polygon: QgsGeometry, crs: Optional[QgsCoordinateReferenceSystem] = None) -> None:
        """Take a polygon (in ``crs``, else that of the map); the mean over its cells is explained."""
        moved = polygon_in(polygon, crs or self._map_crs(), self._dataset_crs(), QgsProject.instance())
        if moved is None:
            self.notice.say(
                tr("The polygon cannot be brought into the CRS of the dataset: check the CRS of the map."), "error"
            )
            return
        self._polygon = moved.asWkt(8)
        self.notice.clear_text()
        self.pick_button.setChecked(False)
        self._follow_place()

    def take_selection(self) -> None:
        """Take the selected features of a polygon layer as the polygon."""
        layer = selected_layer(QgsProject.instance(), self._iface.activeLayer() if self._iface else None)
        polygon = selected_polygon(layer) if layer is not None else QgsGeometry()
        if polygon.isEmpty():
            self.notice.say(tr("No polygon is selected: select a feature of a polygon layer first."), "warning")
            return
        self.area.setChecked(True)
        self.take_polygon(polygon, layer.crs())

    def _decimals(self) -> int:
        """Decimals that tell a hundredth of a cell apart; more would only be hard to read."""
        summary: Optional[DatasetSummary] = self.dataset.currentData()
        return max(0, 2 - math.floor(math.log10(summary.grid["cell_x"]))) if summary else 7

    def _map_crs(self) -> QgsCoordinateReferenceSystem:
        return self._iface.mapCanvas().mapSettings().destinationCrs() if self._iface else QgsProject.instance().crs()

    def _dataset_crs(self) -> QgsCoordinateReferenceSystem:
        summary: Optional[DatasetSummary] = self.dataset.currentData()
        return crs_from(str(summary.grid.get("crs", ""))) if summary else self._map_crs()

    def _to_dataset(self, point: QgsPointXY) -> Optional[QgsPointXY]:
        return point_in(point, self._map_crs(), self._dataset_crs(), QgsProject.instance())

    def _follow_place(self, *_: Any) -> None:
        cell = self.cell.isChecked()
        self.x.setEnabled(cell)
        self.y.setEnabled(cell)
        corners = self._polygon.count(",")
        drawn = (
            tr("Polygon of {corners} corners").format(corners=corners)
            if self._polygon
            else tr("No polygon yet: draw one, or take a selection")
        )
        self.selection_button.setVisible(not cell)
        self.place.setText("" if cell else drawn)
        self.place.setVisible(not cell)
        if self.pick_button.isChecked():
            self._toggle_pick(True)

    def _toggle_pick(self, on: bool) -> None:
        if self._iface is None:
            return
        name = "cell" if self.cell.isChecked() else "area"
        if on:
            self._switch.use(self._tools[name])
        else:
            for tool in self._tools.values():
                self._switch.leave(tool)

    def _on_tool_left(self) -> None:
        canvas_tool = self._iface.mapCanvas().mapTool()
        if canvas_tool not in self._tools.values():
            self.pick_button.setChecked(False)

    # -- following

    def _follow_dataset(self, path: str) -> None:
        for i in range(self.dataset.count()):
            if self.dataset.itemData(i).path == path:
                self.dataset.setCurrentIndex(i)

    def _follow_model(self, *_: Any) -> None:
        self.model_file.setVisible(not self.model.currentData())
        self.model_notice.clear_text()
        card = readable_card(self.model_path())
        if card is None:
            return
        try:
            check_explainable(card)
        except FreshetError as error:
            self.model_notice.fail(error)
            return
        if self.date.text().strip():
            return
        test = card.periods.get("test") or ()
        first = test.get("start", "") if isinstance(test, dict) else next(iter(test), "")
        self.date.setText(date_words(str(first)))

    def _on_ended(self, path: str, state: RunState) -> None:
        if path != self._waiting:
            return
        self._waiting = ""
        if state is RunState.DONE:
            self.notice.clear_text()
            self.refresh()
            self.result.setCurrentIndex(max(0, self.result.findData(path)))
            self._show_result()
        elif state is RunState.CANCELLED:
            self.notice.say(tr("The explanation was cancelled."))
        else:
            error = self._runs.error(path)
            self.notice.say(str(error) if error else tr("The explanation failed: see the page Runs."), "error")

    # -- answer

    def _show_result(self, *_: Any) -> None:
        path = self.result.currentData()
        found = read_attribution(RunFolder(path)) if path else None
        for widget in (self.words, self.bridge, self.steps):
            widget.setVisible(found is not None)
        if found is None:
            return
        self.words.setText(answer_words(found))
        units = str(found.get("units", ""))
        self.bridge.show_data(
            BridgeData(
                found["baseline_prediction"],
                found["prediction"],
                named(found, found["variables"]),
                units,
                f"{found.get('target_label') or tr('prediction')} ({units or '-'})",
                found.get("residual", 0.0),
            )
        )
        by_step = named(found, found.get("by_step_back", {}))
        self.steps.show_data(StepsData(by_step, found.get("steps_back") or [], units, step_word(found)))

    def _add_maps(self) -> None:
        try:
            add_run_results(RunFolder(self.result.currentData()), QgsProject.instance(), self._iface, self._temporal)
        except FreshetError as error:
            self.notice.fail(error)


def _has_model(item: Any) -> bool:
    return (
        item.verb in ("train", "finetune") and item.state is RunState.DONE and RunFolder(item.path).model_file.is_file()
    )
