"""The dialog for a new dataset: sources are looked into, guesses can be corrected, the right job comes out."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsProject, QgsRasterLayer

from freshet.core.contracts import Event, EventKind, PrepareJob, RunState
from freshet.plugin.inspection import inspect_source
from freshet.ui.dialogs.estimate import estimate, facts
from freshet.ui.dialogs.new_dataset import NewDatasetDialog
from freshet.ui.dialogs.preview import read_map
from freshet.ui.dialogs.source_entry import TIME, UNIT, VARIABLE


@pytest.fixture
def dialog(qgis_app, runs):
    made = NewDatasetDialog(runs)
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def filled(dialog, folders, wait):
    dialog.table.add_paths(
        [str(folders / name) for name in ("precipitation", "pet", "soil_moisture")] + [str(folders / "dem.tif")]
    )
    wait(lambda: not dialog.table.busy)
    dialog.table.set_role("soil_moisture", "target")
    dialog.name.setText("Test basin")
    return dialog


def test_folders_and_a_static_raster_become_the_job_that_is_seen(filled, folders, runs):
    filled.build_button.click()
    verb, job, title = runs.submitted[0]
    assert (verb, title) == ("prepare", "Test basin") and isinstance(job, PrepareJob)
    assert [(s.variable, s.role, s.quantity) for s in job.sources] == [
        ("precipitation", "input", "precipitation"),
        ("pet", "input", "pet"),
        ("soil_moisture", "target", "soil_moisture"),
        ("dem", "static", "elevation"),
    ]
    assert job.sources[0].path == str(folders / "precipitation")
    assert job.grid.like == "soil_moisture" and job.step_hours is None
    assert job.output.endswith("test_basin.nc")


def test_dates_gap_and_missing_target_are_said(filled):
    assert filled.table.item(0, TIME).text() == "1995-02-01 .. 1995-02-10"
    assert "1995-02-05" in filled.mend.text()
    filled.table.set_role("soil_moisture", "input")
    assert "No variable is the target" in filled.mend.text()


def test_corrections_of_name_unit_clock_and_mask_reach_the_job(filled):
    filled.table.item(0, VARIABLE).setText("rain")
    filled.table.item(0, UNIT).setText("mm/h")
    filled.clock.step.setCurrentIndex(filled.clock.step.findData(24.0))
    filled.clock.start.setText("1995-02-02")
    filled.mask.combo.setCurrentIndex(filled.mask.combo.count() - 1)
    filled.mask.file.set_path("/basin.gpkg")
    job = filled.job()
    assert (job.sources[0].variable, job.sources[0].units) == ("rain", "mm/h")
    assert (job.step_hours, job.start, job.mask) == (24.0, "1995-02-02", "/basin.gpkg")


def test_an_own_grid_needs_crs_extent_and_cell_size(filled):
    filled.grid.like.setCurrentIndex(filled.grid.like.count() - 1)
    assert "grid is not defined" in filled.notice.text()
    from qgis.core import QgsCoordinateReferenceSystem

    filled.grid.crs.setCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    filled.grid.extent.setText("4000000 2992000 4010000 3000000")
    filled.grid.resolution.setText("2000")
    assert filled.notice.isHidden()
    assert filled.job().grid.extent == (4_000_000.0, 2_992_000.0, 4_010_000.0, 3_000_000.0)


def test_layers_of_the_project_can_be_chosen(dialog, folders):
    layer = QgsRasterLayer(str(folders / "dem.tif"), "Elevation of the basin", "gdal")
    QgsProject.instance().addMapLayer(layer)
    chooser = dialog.buttons.choose_layers()
    chooser.list.tick((layer.id(),))
    chooser.accept()
    assert [entry.report.path for entry in dialog.table.entries] == [str(folders / "dem.tif")]


def test_a_folder_of_folders_stands_for_these(dialog, folders, wait):
    (folders / "dem.tif").rename(folders.parent / "dem.tif")
    dialog.table.add_paths([str(folders)])
    wait(lambda: not dialog.table.busy)
    assert sorted(entry.report.variable for entry in dialog.table.entries) == ["pet", "precipitation", "soil_moisture"]


def test_what_cannot_be_opened_is_a_sentence_and_no_row(dialog, tmp_path, wait):
    (tmp_path / "broken.tif").write_text("no raster")
    dialog.table.add_paths([str(tmp_path / "broken.tif"), str(tmp_path / "nothing_here")])
    wait(lambda: not dialog.table.busy)
    assert dialog.table.rowCount() == 0
    assert "broken.tif" in dialog.notice.text() and "nothing_here" in dialog.notice.text()


def test_two_variables_of_one_name_are_refused(filled, runs):
    filled.table.item(0, VARIABLE).setText("pet")
    assert "both called 'pet'" in filled.notice.text()
    filled.build()
    assert runs.submitted == []


def test_removing_a_row_removes_its_source(filled):
    filled.table.selectRow(0)
    filled.buttons.remove.click()
    assert [source.variable for source in filled.job().sources] == ["pet", "soil_moisture", "dem"]


def test_progress_is_shown_and_the_dialog_closes_when_done(filled, runs, qgis_app):
    filled.show()
    filled.build()
    path = runs.list[0].path
    runs.events.emit(path, [Event(EventKind.PROGRESS, {"fraction": 0.5, "text": "pet"})])
    assert filled.progress.value() == 50
    runs.ended.emit(path, RunState.DONE)
    assert not filled.isVisible()


def test_a_failed_build_is_said_in_the_dialog(filled, runs):
    filled.build()
    path = runs.list[0].path
    from freshet.core.contracts import DataError

    runs.faults[path] = DataError("The disk is full", remedy="Make room")
    runs.ended.emit(path, RunState.FAILED)
    assert "Make room" in filled.notice.text() and filled.build_button.text() == "Build"


def test_the_preview_shows_the_values_of_the_chosen_date(filled):
    report = filled.table.entries[0].report
    values = read_map(report, 3)
    from osgeo import gdal

    source = gdal.Open(report.files[3])
    assert report.dates[3] == "1995-02-04" and "1995-02-04" in report.files[3]
    np.testing.assert_allclose(values, source.GetRasterBand(1).ReadAsArray(), rtol=1e-6)


def test_the_dialog_fits_a_small_screen(filled, qgis_app):
    filled.show()
    qgis_app.processEvents()
    assert filled.minimumSizeHint().width() <= 1366 and filled.minimumSizeHint().height() <= 740
    assert filled.width() <= 1366 and filled.height() <= 768


def test_the_number_of_maps_follows_the_typed_period(folders):
    report = inspect_source(str(folders / "pet"))[0]
    rows = [("pet", "input", report)]
    assert facts(estimate(rows, report.size)).startswith("10 maps of 10 x 8 cells, step 1 day; at most 1 MB")
    typed = (datetime(1995, 2, 4), datetime(1995, 2, 20))
    assert facts(estimate(rows, report.size, typed)).startswith("7 maps of 10 x 8")
    assert facts(estimate(rows, report.size, typed, 48.0)).startswith("4 maps of 10 x 8 cells, step 2 days")
