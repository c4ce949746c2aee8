"""Details of a source: dates from a pattern or counted, missing values, and what is said of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from freshet.core.contracts import DataError
from freshet.plugin.inspection import inspect_source
from freshet.ui.dialogs.checks import hints
from freshet.ui.dialogs.new_dataset import NewDatasetDialog
from freshet.ui.dialogs.preview import read_map
from freshet.ui.dialogs.source_details import as_detailed
from freshet.ui.dialogs.source_table import CHECK, TIME


@pytest.fixture
def undated(tmp_path, write_map):
    """Four maps without a date in their names; the first holds an undeclared -999."""
    for i in range(4):
        values = np.full((4, 5), float(i))
        values[1:] += 0.5
        values[0, 0] = -999.0 if i == 0 else 1.0
        write_map(tmp_path / "rain" / f"map_{i:03d}.tif", values)
    return tmp_path / "rain"


@pytest.fixture
def dialog(qgis_app, runs, undated):
    made = NewDatasetDialog(runs)
    made.table.add_reports(inspect_source(str(undated)))
    made.table.selectRow(0)
    made.name.setText("Counted")
    yield made
    made.close()
    made.deleteLater()


def test_a_date_pattern_gives_the_dates_of_the_files_in_their_order(tmp_path, write_map):
    for name in ("rain_02.01.1995", "rain_01.02.1995"):
        write_map(tmp_path / "r" / f"{name}.tif", np.random.default_rng(1).random((4, 5)))
    found = inspect_source(str(tmp_path / "r"))[0]
    dated = as_detailed(found, {"date_pattern": "%d.%m.%Y"})
    assert dated.dates == ("1995-01-02", "1995-02-01")
    assert [path[-14:-4] for path in dated.files] == ["02.01.1995", "01.02.1995"]
    with pytest.raises(DataError, match="date pattern is not usable"):
        as_detailed(found, {"date_pattern": "%Q"})


def test_first_date_and_step_count_the_maps_of_an_undated_source(undated):
    report = inspect_source(str(undated))[0]
    assert not report.dates and any("Give the date pattern" in text for text in report.problems)
    dated = as_detailed(report, {"start": "2001-01-01", "step_hours": 6.0})
    assert dated.dates == ("2001-01-01", "2001-01-01T06:00", "2001-01-01T12:00", "2001-01-01T18:00")
    assert dated.step_seconds == 21600.0
    assert not any("date" in text for text in dated.problems)


def test_undated_bands_are_counted_too(tmp_path, qgis_app):
    from osgeo import gdal

    made = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "stack.tif"), 3, 2, 5, gdal.GDT_Float32)
    made.SetGeoTransform((0, 1, 0, 2, 0, -1))
    for band in range(5):
        made.GetRasterBand(band + 1).WriteArray(np.arange(6.0).reshape(2, 3) + band)
    made.FlushCache()
    del made
    report = inspect_source(str(tmp_path / "stack.tif"))[0]
    dated = as_detailed(report, {"start": "2001-01-01", "step_hours": 24.0})
    assert dated.dates[-1] == "2001-01-05" and not any("have no dates" in text for text in dated.problems)


def test_details_typed_in_the_dialog_make_an_undated_source_usable(dialog, undated):
    assert "Give the date pattern" in dialog.mend.text()
    dialog.details.time.editors["start"].setText("2001-01-01")
    dialog.details.time.editors["step_hours"].setText("24")
    dialog.details.values_form.editors["nodata"].setText("-999")
    dialog.details.values_form.editors["aggregation"].setCurrentIndex(1)
    source = dialog.job().sources[0]
    assert (source.start, source.step_hours, source.nodata) == ("2001-01-01", 24.0, -999.0)
    assert source.aggregation == dialog.details.values_form.editors["aggregation"].itemData(1) != ""
    assert dialog.table.item(0, TIME).text() == "2001-01-01 .. 2001-01-04"
    assert "Give the date" not in dialog.mend.text() and "-999" not in dialog.table.item(0, CHECK).text()
    assert "map_000.tif is 2001-01-01; 4 dates" in dialog.details.found.text()
    assert dialog.slider.maximum() == 3


def test_details_that_cannot_be_read_are_said_and_change_nothing(dialog):
    dialog.details.time.editors["start"].setText("2001-13-01")
    assert "is not a date" in dialog.details.found.text() and dialog.table.entries[0].more == {}


def test_details_belong_to_the_selected_variable(dialog, folders):
    dialog.details.time.editors["start"].setText("2001-01-01")
    dialog.table.add_reports(inspect_source(str(folders / "pet")))
    dialog.table.selectRow(1)
    assert dialog.details.time.editors["start"].text() == "" and dialog.table.entries[1].more == {}
    dialog.table.selectRow(0)
    assert dialog.details.time.editors["start"].text() == "2001-01-01"


def test_a_named_missing_value_is_missing_in_the_preview(undated):
    report = inspect_source(str(undated))[0]
    assert read_map(report, 0)[0, 0] == -999.0
    assert np.isnan(read_map(report, 0, -999.0)[0, 0])


def test_two_calendars_are_a_sentence_that_says_what_to_do(folders):
    rain, pet = (inspect_source(str(folders / name))[0] for name in ("precipitation", "pet"))
    rain = dataclasses.replace(rain, calendar="noleap")
    pet = dataclasses.replace(pet, calendar="proleptic_gregorian")
    (found,) = [text for text in hints([("rain", "input", rain), ("pet", "target", pet)]) if "calendar" in text]
    assert "rain: noleap, pet: standard" in found and "Convert rain to the standard calendar" in found
    assert not [text for text in hints([("pet", "target", pet)]) if "calendar" in text]


def test_the_dialog_with_open_details_fits_a_small_screen(dialog, qgis_app):
    dialog.details_fold.toggle.setChecked(True)
    dialog.show()
    qgis_app.processEvents()
    assert dialog.minimumSizeHint().width() <= 1366 and dialog.minimumSizeHint().height() <= 740
