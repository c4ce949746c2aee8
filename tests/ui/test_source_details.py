"""Details of a source: dates from a pattern or counted, missing values, and what is said of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest

from freshet.core.contracts import DataError
from freshet.plugin.inspection import inspect_source
from freshet.ui.dialogs.checks import hints
from freshet.ui.dialogs.new_dataset import NewDatasetDialog
from freshet.ui.dialogs.preview import read_map
from freshet.ui.dialogs.source_dates import as_detailed
from freshet.ui.dialogs.source_details import stamp_words
from freshet.ui.dialogs.source_entry import CHECK, TIME


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


def test_another_calendar_is_told_and_nothing_to_mend(folders):
    rain, pet = (inspect_source(str(folders / name))[0] for name in ("precipitation", "pet"))
    rain = dataclasses.replace(rain, calendar="noleap")
    pet = dataclasses.replace(pet, calendar="proleptic_gregorian")
    (found,) = [hint for hint in hints([("rain", "input", rain), ("pet", "target", pet)]) if "calendar" in hint.text]
    assert (found.level, found.variable) == ("note", "rain") and "'noleap'" in found.text
    assert not [hint for hint in hints([("pet", "target", pet)]) if "calendar" in hint.text]


def test_the_dialog_with_open_details_fits_a_small_screen(dialog, qgis_app):
    dialog.tabs.setCurrentIndex(1)
    dialog.show()
    qgis_app.processEvents()
    assert dialog.minimumSizeHint().width() <= 1366 and dialog.minimumSizeHint().height() <= 740


def test_the_names_are_previewed_with_their_dates_and_how_many_fit(dialog, tmp_path, write_map):
    names = [f"rain_{day:02d}_02_1995" for day in range(1, 8)]
    for name in names:
        write_map(tmp_path / "odd" / f"{name}.tif", np.random.default_rng(1).random((4, 5)))
    dialog.table.add_reports([one for one in inspect_source(str(tmp_path / "odd")) if one.files])
    dialog.table.selectRow(1)
    dialog.details.pattern.set_text(r"(?P<day>\d\d)_(?P<month>\d\d)_(?P<year>\d{4})")
    found = dialog.details.found.text()
    assert "rain_01_02_1995.tif:  1995-02-01" in found and "7 of 7 names have a date" in found
    assert "rain_05_02_1995" in found and "rain_06_02_1995" not in found  # the first five
    assert dialog.table.item(1, TIME).text() == "1995-02-01 .. 1995-02-07"
    assert dialog.job().sources[1].date_pattern.startswith("(?P<day>")
    dialog.details.pattern.set_text("(?P<day>")
    assert "not usable" in dialog.details.found.text()
    assert dialog.table.entries[1].more["date_pattern"].endswith(r"(?P<year>\d{4})")  # the last that can be read


def test_a_preset_pattern_can_be_chosen(dialog):
    texts = [dialog.details.pattern.itemText(i) for i in range(dialog.details.pattern.count())]
    assert texts[0] == "" and "%Y%m%d%H%M" in texts
    dialog.details.pattern.setCurrentIndex(texts.index("%Y%m%d"))
    assert dialog.details.values()["date_pattern"] == "%Y%m%d"


def test_a_table_of_dates_gives_the_dates_of_the_files(dialog, undated, tmp_path):
    table = tmp_path / "dates.csv"
    table.write_text("file;date\nmap_001.tif;2003-05-02\nmap_000;2003-05-01\nmap_003.tif;2003-05-05 06:00\n")
    dialog.details.date_table.set_path(str(table))
    assert dialog.table.entries[0].report.dates == ("2003-05-01", "2003-05-02", "2003-05-05T06:00")
    assert [path[-7:-4] for path in dialog.table.entries[0].report.files] == ["000", "001", "003"]
    table.write_text("nothing here\n")
    dialog.details.date_table.set_path("")
    dialog.details.date_table.set_path(str(table))
    assert "holds no date" in dialog.details.found.text()


def test_missing_and_doubled_dates_are_listed_the_first_hundred(undated):
    report = inspect_source(str(undated))[0]
    dates = tuple(f"{year}-01-01" for year in range(1800, 2000))
    odd = {"doubled": ("2001-02-03",), "irregular": ("2001-02-04T05:00",)}
    listed = stamp_words(dataclasses.replace(report, gaps=dates, **odd))
    assert "Missing (200): 1800-01-01, " in listed and "1899-01-01, and 100 more" in listed
    assert "Doubled (1): 2001-02-03" in listed and "Irregular (1): 2001-02-04T05:00" in listed
    assert stamp_words(dataclasses.replace(report, gaps=())) == ""


def test_a_policy_answers_the_complaint_about_doubled_dates(undated):
    report = inspect_source(str(undated))[0]
    doubled = dataclasses.replace(report, problems=["Several files have the same date (2001-01-01). Keep one of each."])
    assert as_detailed(doubled, {"duplicates": "first"}).problems == []
    assert as_detailed(doubled, {"duplicates": "refuse"}).problems == doubled.problems


def test_details_of_values_reach_the_job_and_defaults_do_not(dialog):
    assert dialog.details.values() == {}
    form = dialog.details.values_form.editors
    form["fill"].setCurrentIndex(form["fill"].findData("climatology"))
    form["fill_limit"].setText("12")
    form["area_km2"].setText("28286,5")
    form["resampling"].setCurrentIndex(form["resampling"].findData("average"))
    dialog.details.time.editors["duplicates"].setCurrentIndex(3)
    source = dialog.table.source(0)
    assert (source.fill, source.fill_limit, source.area_km2) == ("climatology", 12, 28286.5)
    assert (source.resampling, source.duplicates) == ("average", "mean")


def test_enter_on_a_cell_opens_the_detail_that_corrects_it(dialog, qgis_app):
    dialog.show()
    dialog.activateWindow()
    dialog.table.setCurrentCell(0, TIME)
    dialog.table.setFocus()
    runs = dialog._runs
    QTest.keyClick(dialog.table, Qt.Key.Key_Return)
    assert dialog.tabs.currentIndex() == 1 and runs.submitted == []
