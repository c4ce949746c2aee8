"""Parts of the dialog for a new dataset: guesses, hints, terrain, outlet, sequences, what is renewed while looking."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject, QgsRectangle, QgsVectorLayer
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest

from freshet.core.contracts import DataError, RunState
from freshet.core.contracts.dataset_job import TERRAIN_MAPS
from freshet.core.contracts.variables import quantity
from freshet.plugin.inspection import inspect_source
from freshet.plugin.raster_probe import Sample
from freshet.plugin.report_making import implausible
from freshet.plugin.source_report import Guess
from freshet.ui.dialogs import estimate as estimating
from freshet.ui.dialogs.basin_outline import outline
from freshet.ui.dialogs.checks import coverage, hints
from freshet.ui.dialogs.layers import LayerChooser
from freshet.ui.dialogs.new_dataset import NewDatasetDialog
from freshet.ui.dialogs.preview import Look, Preview
from freshet.ui.dialogs.source_entry import CHECK, GRID, QUANTITY, ROLE, STEP, TIME, UNIT, VARIABLE
from freshet.ui.timebars import TimeBars


@pytest.fixture
def canvas(qgis_app):
    made = QgsMapCanvas()
    made.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    made.setExtent(QgsRectangle(5, 50, 7, 52))
    yield made
    made.deleteLater()


@pytest.fixture
def dialog(qgis_app, runs, canvas):
    made = NewDatasetDialog(runs, SimpleNamespace(mapCanvas=lambda: canvas))
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def report(folders):
    return inspect_source(str(folders / "precipitation"))[0]


@pytest.fixture
def filled(dialog, folders):
    for name in ("precipitation", "pet", "soil_moisture", "dem.tif"):
        dialog.table.add_reports(inspect_source(str(folders / name)))
    dialog.table.set_role("soil_moisture", "target")
    dialog.name.setText("Basin")
    return dialog


def _italic(table, row, column):
    widget = table.cellWidget(row, column)
    return (widget or table.item(row, column)).font().italic()


# -- guesses


def test_a_guess_is_italic_says_why_and_is_none_any_more_once_corrected(dialog, report):
    guess = Guess("units", "mm/d was taken for the unit, since the name speaks of rain.")
    dialog.table.add_reports([dataclasses.replace(report, guesses=(guess,), units_declared=False)])
    item = dialog.table.item(0, UNIT)
    assert item.font().italic() and str(guess) in item.toolTip()
    assert str(guess) in dialog.mend.text()
    item.setText("mm/h")
    assert not dialog.table.item(0, UNIT).font().italic()
    assert str(guess) not in dialog.table.item(0, UNIT).toolTip() and str(guess) not in dialog.mend.text()
    assert dialog.table.source(0).units == "mm/h"


@pytest.mark.parametrize(
    "field, column", [("quantity", QUANTITY), ("role", ROLE), ("date_pattern", TIME), ("points.x_column", GRID)]
)
def test_a_guess_stands_in_the_cell_that_shows_what_was_guessed(dialog, report, field, column):
    dialog.table.add_reports([dataclasses.replace(report, guesses=(Guess(field, "Because."),))])
    assert _italic(dialog.table, 0, column) and not _italic(dialog.table, 0, STEP)
    shown = dialog.table.cellWidget(0, column) or dialog.table.item(0, column)
    assert "Guessed: Because." in shown.toolTip()


def test_a_detail_that_is_given_ends_the_guess(dialog, report):
    dialog.table.add_reports([dataclasses.replace(report, guesses=(Guess("date_pattern", "Day first."),))])
    assert _italic(dialog.table, 0, TIME)
    dialog.table.set_details(0, {"date_pattern": "%Y-%m-%d"})
    assert not _italic(dialog.table, 0, TIME)


def test_a_guessed_unit_follows_the_quantity_and_a_typed_one_stays(dialog, report):
    dialog.table.add_reports([dataclasses.replace(report, units_declared=False)])
    combo = dialog.table.cellWidget(0, QUANTITY)
    combo.setCurrentIndex(combo.findData("temperature"))
    assert dialog.table.unit(0) == "degC" and _italic(dialog.table, 0, UNIT)
    dialog.table.item(0, UNIT).setText("K")
    combo.setCurrentIndex(combo.findData("precipitation"))
    assert dialog.table.unit(0) == "K"


def test_values_are_judged_by_the_quantity_and_the_unit_that_the_row_has(dialog, report):
    more = {"minimum": 250.0, "maximum": 300.0, "units_declared": True}
    wrong = dataclasses.replace(report, quantity="temperature", units="degC", **more)
    told = implausible(quantity("temperature"), "degC", Sample(250.0, 300.0, 1, 1), 86400.0, True)
    dialog.table.add_reports([dataclasses.replace(wrong, problems=told)])
    assert "not plausible for air temperature" in dialog.table.item(0, CHECK).text()
    assert "not plausible" in dialog.mend.text()
    dialog.table.item(0, UNIT).setText("K")
    assert dialog.table.item(0, CHECK).text() == "ok" and "not plausible" not in dialog.mend.text()
    dialog.table.item(0, UNIT).setText("furlong")
    assert "unit 'furlong' is not known" in dialog.table.item(0, CHECK).text()
    dialog.table.item(0, UNIT).setText("mm/d")
    assert dialog.table.item(0, CHECK).text() != "ok"
    combo = dialog.table.cellWidget(0, QUANTITY)
    combo.setCurrentIndex(combo.findData("precipitation"))
    assert dialog.table.item(0, CHECK).text() == "ok"


def test_a_guessed_missing_value_is_shown_and_can_be_denied(dialog, report):
    dialog.table.add_reports([dataclasses.replace(report, nodata=-999.0)])
    dialog.table.selectRow(0)
    editor = dialog.details.values_form.editors["nodata"]
    assert editor.text() == "-999" and dialog.table.source(0).nodata == -999.0
    editor.setText("")
    assert dialog.table.source(0).nodata is None
    editor.setText("-99")
    assert dialog.table.source(0).nodata == -99.0


# -- what is found while looking goes on


def test_a_renewed_report_keeps_what_a_person_set(dialog, report):
    dialog.table.add_reports([dataclasses.replace(report, complete=False, minimum=float("nan"), problems=[])])
    assert dialog.table.item(0, CHECK).text() == "looking ..."
    dialog.table.item(0, VARIABLE).setText("rain")
    dialog.table.set_role("rain", "target")
    dialog.table.set_details(0, {"fill": "linear"})
    dialog.table.add_reports([dataclasses.replace(report, quantity="pet", units="mm/h", role="static")])
    source = dialog.table.source(0)
    assert dialog.table.rowCount() == 1
    assert (source.variable, source.role, source.fill) == ("rain", "target", "linear")
    assert (source.quantity, source.units) == ("pet", "mm/h")
    assert dialog.table.item(0, CHECK).text() != "looking ..."


def test_the_details_of_the_selected_source_follow_what_is_found(dialog, report):
    dialog.table.add_reports([dataclasses.replace(report, dates=report.dates[:3], complete=False)])
    dialog.table.selectRow(0)
    assert "3 dates, 1995-02-01 to 1995-02-03" in dialog.details.found.text() and dialog.slider.maximum() == 2
    dialog.details.values_form.editors["nodata"].setText("-")  # half-typed
    dialog.table.add_reports([report])
    assert dialog.slider.maximum() == 8 and dialog.details.values_form.editors["nodata"].text() == "-"
    dialog.details.values_form.editors["nodata"].setText("-1")
    assert "9 dates, 1995-02-01 to 1995-02-10" in dialog.details.found.text()


def test_a_row_that_was_removed_does_not_come_back_while_looking(dialog, report):
    dialog.table.add_reports([report])
    dialog.table.selectRow(0)
    dialog.buttons.remove.click()
    dialog.table.add_reports([report])
    assert dialog.table.rowCount() == 0


def test_looking_can_be_stopped(dialog, folders):
    dialog.show()
    dialog.table.add_paths([str(folders / "pet")])
    assert dialog.table.busy and dialog.buttons.busy.isVisible()
    dialog.buttons.stop.click()
    assert not dialog.table.busy and not dialog.buttons.busy.isVisible()


# -- hints


def test_hints_tell_how_serious_they_are_the_worst_first(filled, report):
    none = dataclasses.replace(report, problems=["It has no coordinate reference system. Assign one."])
    odd = dataclasses.replace(report, guesses=(Guess("units", "A unit was guessed."),))
    found = hints([("a", "input", odd), ("b", "target", none)])
    assert [hint.level for hint in found] == sorted(
        (hint.level for hint in found), key="error warning note".split().index
    )
    assert found[0].variable == "b" and found[-1].level == "note"


def test_a_chosen_sentence_leads_to_its_variable_and_its_details(filled):
    filled.table.selectRow(1)
    items = [filled.mend.list.item(i) for i in range(filled.mend.list.count())]
    item = next(item for item in items if "1995-02-05" in item.text())
    filled.mend.list.itemClicked.emit(item)
    assert filled.table.currentRow() == 0 and filled.tabs.currentIndex() == 1
    assert filled.tabs.tabText(1) == "Details of precipitation"


def test_a_file_that_is_there_and_a_build_that_was_broken_off_are_told(filled, tmp_path):
    target = tmp_path / "basin.nc"
    filled.output.set_path(str(target))
    assert "basin.nc" not in filled.mend.text()
    target.write_text("old")
    filled.output.set_path("")
    filled.output.set_path(str(target))
    assert "basin.nc exists already and will be replaced" in filled.mend.text()
    (tmp_path / "basin.nc.parts").mkdir()
    filled.output.set_path("")
    filled.output.set_path(str(target))
    assert "goes on from the maps that are already written" in filled.mend.text()


def test_a_disk_without_room_is_told_before_the_build(monkeypatch, tmp_path):
    found = estimating.Estimate(100, 100, 10, 86400.0, 5000.0, 10.0)
    monkeypatch.setattr(estimating.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2e9))
    assert "up to 5.0 GB" in estimating.lacking_room(found, str(tmp_path / "new" / "x.nc"))
    assert "2.0 GB left" in estimating.lacking_room(found, str(tmp_path / "x.nc"))
    monkeypatch.setattr(estimating.shutil, "disk_usage", lambda folder: SimpleNamespace(free=6e9))
    assert estimating.lacking_room(found, str(tmp_path / "x.nc")) == ""


def test_without_an_engine_it_is_told_and_layers_can_still_be_added(filled, monkeypatch, qgis_app):
    def none(_settings):
        raise DataError("There is no engine", remedy="Set it up")

    monkeypatch.setattr(estimating, "find_engine", none)
    filled.name.setText("Other")
    assert "There is no engine" in filled.mend.text() and "Add as temporal layers" in filled.mend.text()
    filled.table.clearSelection()
    filled.table.selectRow(1)
    filled.buttons.temporal.click()
    layers = list(QgsProject.instance().mapLayers().values())
    assert len(layers) == 1 and layers[0].bandCount() == 10
    assert not filled.buttons._table.busy and "pet" in layers[0].name()


# -- time


def test_gaps_are_spans_of_their_own_and_say_their_dates(report, qgis_app):
    spans = coverage(report)
    assert [(span.kind, span.start.day, span.end.day) for span in spans] == [
        ("data", 1, 5),
        ("gap", 5, 6),
        ("data", 6, 11),
    ]
    bars = TimeBars("bars")
    bars.resize(1000, 60)
    bars.show_rows([("", spans)])
    assert bars.words_at(450, 5) == "1995-02-05 .. 1995-02-06 missing"
    assert bars.words_at(100, 5) == "1995-02-01 .. 1995-02-05"
    assert bars.words_at(100, 500) == "" and "1 gaps" in bars.accessibleDescription()
    bars.show_cursor(datetime(1995, 2, 3))
    assert not bars.grab().isNull()


def test_months_have_no_gaps_though_their_lengths_differ(report):
    dates = tuple(f"2001-{month:02d}-01" for month in range(1, 13) if month != 4)
    monthly = dataclasses.replace(report, dates=dates, step_seconds=2629746.0, gaps=("2001-04-01",))
    assert [(span.kind, span.start.month) for span in coverage(monthly)] == [("data", 1), ("gap", 4), ("data", 5)]


# -- terrain, outlet, sequences


def test_terrain_maps_and_upstream_means_reach_the_job(filled, folders):
    assert not filled.terrain.maps.isEnabled()
    filled.terrain.dem.setCurrentIndex(filled.terrain.dem.findText("dem"))
    filled.terrain.maps.tick(("slope", "upstream_area"))
    filled.terrain.upstream.tick(("precipitation",))
    filled.terrain.stream.setText("2,5")
    config = filled.job().terrain
    assert config.dem == str(folders / "dem.tif") and config.maps == ("slope", "upstream_area")
    assert (config.upstream_of, config.stream_km2) == (("precipitation",), 2.5)
    assert filled.terrain.maps.count() == len(TERRAIN_MAPS)


def test_an_outlet_clicked_on_the_map_is_the_mask_in_the_crs_of_the_grid(filled, canvas, folders):
    filled.show()
    filled.mask.combo.setCurrentIndex(filled.mask.combo.findData("<outlet>"))
    assert "outlet of the basin is not chosen" in filled.notice.text()
    assert filled.terrain.dem.currentText() == "dem"
    filled.mask.outlet.pick_button.click()
    assert not filled.isVisible() and canvas.mapTool() is filled.mask.outlet._tool
    canvas.mapTool().pick(QgsPointXY(5.6, 50.05))
    assert filled.isVisible() and canvas.mapTool() is not filled.mask.outlet._tool
    job = filled.job()
    assert job.mask == "" and job.terrain.dem.endswith("dem.tif")
    assert job.terrain.outlet == pytest.approx((4_007_000, 2_997_000), abs=6000)


def test_escape_gives_up_picking_and_the_dialog_comes_back(filled, canvas):
    filled.show()
    filled.mask.combo.setCurrentIndex(filled.mask.combo.findData("<outlet>"))
    filled.mask.outlet.pick_button.click()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert filled.isVisible() and filled.mask.outlet.value() is None


def test_an_own_grid_can_take_the_extent_of_the_map_on_whole_cells(filled, canvas):
    filled.grid.like.setCurrentIndex(filled.grid.like.count() - 1)
    filled.grid.crs.setCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    filled.grid.resolution.setText("0,3")
    filled.grid.from_map.click()
    grid = filled.job().grid
    seen = canvas.extent()
    assert grid.extent[0] <= seen.xMinimum() < grid.extent[0] + 0.3
    assert grid.extent[3] - 0.3 < seen.yMaximum() <= grid.extent[3]
    assert all(abs(value / 0.3 - round(value / 0.3)) < 1e-6 for value in grid.extent)


def test_half_an_outlet_is_refused(filled):
    filled.mask.combo.setCurrentIndex(filled.mask.combo.findData("<outlet>"))
    filled.mask.outlet.x.setText("4,000")
    assert "x and y" in filled.notice.text() or "two ways" in filled.notice.text()
    filled.mask.outlet.x.setText("4000000")
    assert "a place has x and y" in filled.notice.text()


def _sequences(report, names, **changes):
    path = str(report.path).replace("precipitation", "{sequence}")
    return dataclasses.replace(report, path=path, sequences=names, **changes)


def test_sequences_are_listed_can_be_left_out_and_reach_the_job(dialog, report):
    depth = _sequences(report, ("flood_1", "flood_2", "flood_3"), variable="depth", layer="depth", role="target")
    dem = _sequences(report, ("flood_1", "flood_2"), variable="dem", layer="dem", dates=(), gaps=(), role="static")
    dialog.table.add_reports([depth, dem])
    dialog.name.setText("Floods")
    assert [dialog.tabs.tabText(i) for i in range(dialog.tabs.count())][-1] == "Sequences (2 of 2)"
    assert dialog.table.item(0, 3).text() == "3 sequences : depth"
    assert "1 of its sequences are left out" in dialog.mend.text() and "flood_3" in dialog.mend.text()
    assert dialog.job().sequences == ("flood_1", "flood_2")
    dialog.sequences.list.tick(("flood_2",))
    assert dialog.job().sequences == ("flood_2",)
    assert dialog.tabs.tabText(dialog.tabs.count() - 1) == "Sequences (1 of 2)"
    dialog.table.selectRow(0)
    assert "Sequences (3): flood_1, flood_2, flood_3" in dialog.details.found.text()
    dialog.table.selectAll()
    dialog.buttons.remove.click()
    assert "Sequences" not in " ".join(dialog.tabs.tabText(i) for i in range(dialog.tabs.count()))


def test_tables_alone_make_one_cell_for_the_basin(dialog, report):
    table = dataclasses.replace(report, form="table", stations=3, files=(), size=(0, 0), crs="")
    dialog.table.add_reports([table])
    dialog.name.setText("Gauges")
    assert dialog.table.item(0, GRID).text() == "3 gauges"
    assert dialog.job().grid.like == "" and dialog.job().grid.crs == ""
    assert dialog.facts.text().startswith("10 values of one cell")
    dialog.tabs.setCurrentIndex(1)
    dialog.table.selectRow(0)
    dialog.show()
    assert dialog.details.points.isVisible()
    dialog.details.points.editors["gridding"].setCurrentIndex(2)
    dialog.details.place.set_value((4_000_000.0, 2_990_000.0))
    points = dialog.job().sources[0].points
    assert (points.gridding, points.place) == ("kriging", (4_000_000.0, 2_990_000.0))


# -- pictures and layers


def test_the_basin_is_drawn_over_the_map_of_a_source(filled, tmp_path, qgis_app):
    path = tmp_path / "basin.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": {"type": '
        '"Polygon", "coordinates": [[[5.55, 50.0], [5.6, 50.0], [5.6, 50.05], [5.55, 50.0]]]}}]}'
    )
    (ring,) = outline(str(path), "EPSG:3035")
    assert ring.shape == (4, 2) or ring.shape == (5, 2)
    assert np.all((ring[:, 0] > 3.9e6) & (ring[:, 0] < 4.1e6))
    assert outline(str(tmp_path / "mask.tif"), "EPSG:3035") == () == outline(str(tmp_path / "no.gpkg"), "EPSG:3035")
    report = filled.table.entries[0].report
    chart = Preview("look")
    chart.resize(400, 200)
    chart._data = Look(report, 0, None, "precipitation", "mm/d", (ring,))
    chart._make_canvas()
    chart.render_now()
    lines = chart.figure.axes[0].lines
    assert len(lines) == 1 and np.array_equal(lines[0].get_xdata(), ring[:, 0])


def test_the_series_of_gauges_are_drawn_with_the_chosen_date(filled, tmp_path):
    table = tmp_path / "flow.csv"
    lines = [f"2001-01-{day:02d},{day},{'' if day == 3 else 2 * day}" for day in range(1, 11)]
    table.write_text("\n".join(["date,gauge_a,gauge_b", *lines]) + "\n")
    (report,) = inspect_source(str(table))
    assert (report.form, report.stations) == ("table", 2)
    chart = Preview("series")
    chart.resize(400, 200)
    chart._data = Look(report, 4, None, "discharge", "m3/s")
    chart._make_canvas()
    chart.render_now()
    lines = chart.figure.axes[0].lines
    assert [line.get_label() for line in lines[:2]] == ["gauge_a", "gauge_b"]
    np.testing.assert_array_equal(lines[0].get_ydata(), np.arange(1.0, 11.0))
    assert np.isnan(lines[1].get_ydata()[2])
    assert lines[2].get_xdata()[0] == datetime(2001, 1, 5)


def test_points_and_tables_of_the_project_can_be_chosen(qgis_app, tmp_path):
    points = tmp_path / "gauges.geojson"
    points.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"id": 1}, "geometry": '
        '{"type": "Point", "coordinates": [5.5, 50.0]}}]}'
    )
    (tmp_path / "q.csv").write_text("date,q\n2001-01-01,1.5\n")
    for path, name in ((points, "gauges"), (tmp_path / "q.csv", "discharge")):
        QgsProject.instance().addMapLayer(QgsVectorLayer(str(path), name, "ogr"))
    chooser = LayerChooser()
    texts = {chooser.list.item(i).text() for i in range(chooser.list.count())}
    assert texts == {"gauges (points)", "discharge (table)"}
    chooser.deleteLater()


# -- the build


def test_the_dialog_says_which_run_it_began_and_whether_to_show_its_dataset(filled, runs):
    told = []
    filled.submitted.connect(lambda *given: told.append(given))
    filled.to_map.setChecked(True)
    filled.build()
    assert told == [(runs.list[0].path, True)]


def test_a_stopped_build_that_can_go_on_says_so(filled, runs, tmp_path):
    filled.output.set_path(str(tmp_path / "x.nc"))
    filled.build()
    (tmp_path / "x.nc.parts").mkdir()
    runs.ended.emit(runs.list[0].path, RunState.CANCELLED)
    assert "goes on from what is written" in filled.notice.text()


def test_the_time_of_a_build_is_learned(monkeypatch):
    kept = {}
    monkeypatch.setattr(
        estimating,
        "QgsSettings",
        lambda: SimpleNamespace(value=lambda key, default: kept.get(key, default), setValue=kept.__setitem__),
    )
    assert estimating.pace() == 1.0
    estimating.learn(10.0, 30.0)
    assert estimating.pace() == 2.0
    estimating.learn(0.0, 30.0)
    assert estimating.pace() == 2.0


@pytest.mark.parametrize("tab", [0, 1, 2])
def test_every_tab_fits_a_small_screen_also_with_large_letters(filled, qgis_app, tab):
    filled.tabs.setCurrentIndex(tab)
    filled.show()
    qgis_app.processEvents()
    assert filled.minimumSizeHint().width() <= 1366 and filled.minimumSizeHint().height() <= 740
    font = filled.font()
    font.setPointSizeF(2 * font.pointSizeF())
    filled.setFont(font)
    qgis_app.processEvents()
    assert filled.minimumSizeHint().width() <= 2 * 1366 and filled.minimumSizeHint().height() <= 2 * 740


def test_every_widget_that_can_be_used_has_an_object_name(filled):
    from qgis.PyQt.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QSlider

    parts = (filled.details, filled.fields, filled.terrain, filled.sequences, filled.buttons, filled.looks, filled.mend)
    kinds = (QAbstractButton, QComboBox, QLineEdit, QSlider, QAbstractItemView)
    found = [w for part in parts for kind in kinds for w in part.findChildren(kind)]
    # What QGIS and Qt put inside their own widgets has the names that they give.
    own = [w for w in found if not w.objectName().startswith("qt_") and "Projection" not in type(w.parent()).__name__]
    inner = ("QComboBox", "PatternField", "_Combo", "QComboBoxPrivateContainer", "QFrame")
    assert [type(w).__name__ for w in own if not w.objectName() and type(w.parent()).__name__ not in inner] == []
