"""Bad input in the dialogs: its sentence stands in dialog or page; nothing is half-written. A real engine runs."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from freshet.plugin.datasets import Datasets
from freshet.plugin.runs import Runs
from freshet.plugin.settings import Settings
from freshet.ui.choice import Choice
from freshet.ui.dialogs.new_dataset import NewDatasetDialog
from freshet.ui.dialogs.source_entry import QUANTITY, UNIT, VARIABLE
from freshet.ui.dock import FreshetDock
from freshet.ui.engine_state import EngineState

_spec = importlib.util.spec_from_file_location(
    "faults_in_qgis", Path(__file__).resolve().parents[1] / "faults" / "in_qgis.py"
)
in_qgis = importlib.util.module_from_spec(_spec)
sys.modules["faults_in_qgis"] = in_qgis
_spec.loader.exec_module(in_qgis)
bad_input, odd_input = in_qgis.bad_input, in_qgis.odd_input
BY_NAME = {fault.name: fault for fault in bad_input.FAULTS}


def _of(verb: str) -> list:
    return [pytest.param(f, id=f.name.replace(" ", "-")) for f in bad_input.FAULTS if f.verb == verb]


# What the dialog says of a source before anything is started, beside what the engine says of the job.
HINTS = {
    "no dates in a folder": "date",
    "no dates in the bands": "date",
    "no dates in a NetCDF file": "date",
    "no CRS in a raster": "no coordinate reference system",
    "no CRS in a NetCDF file": "no coordinate reference system",
    "no overlap in time": "no common period",
    "a date twice in a folder": "Its files cannot be told from others in doubled by a pattern",
    "a date twice in a NetCDF file": "Several maps have the same date (2001-03-01)",
    "a date twice in the bands": "Several maps have the same date (2001-03-01)",
    "a file in the middle that is no raster": "cannot be read (rain_2001-03-02.tif)",
    "a NetCDF file in the middle that is cut short": "cannot be read (rain_2.nc)",
    "an input all missing": "missing",
    "a target all missing": "missing",
    "a constant input": "3",
    "a constant target": "3",
}


@pytest.fixture(scope="module")
def folder(qgis_app, tmp_path_factory):
    return in_qgis.make_files(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def real_runs(qgis_app, tmp_path):
    made = Runs(settings=lambda: Settings(runs_folder=str(tmp_path / "runs")))
    yield made
    made.close()


@pytest.fixture
def dialog(real_runs):
    made = NewDatasetDialog(real_runs)
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def dock(qgis_app, real_runs):
    datasets, choice = Datasets(), Choice()
    made = FreshetDock(datasets, real_runs, choice, EngineState(lambda: Settings(engine_python="/there/is/none")))
    made.datasets, made.choice = datasets, choice
    yield made
    made.release()
    datasets.close()
    made.deleteLater()


def _says(text: str, fault) -> None:
    assert [word for word in fault.words if word not in text] == [], text


def _ended(wait, runs) -> None:
    wait(lambda: runs.runs() and all(item.state.final for item in runs.runs()) and not runs.watched(), 60)


def _fill(dialog, fault, folder, wait) -> dict:
    """The sources of a fault as rows of the dialog, the bad one last; it stands alone where only what is said of a good
    source is bad, since the dialog takes a source once.
    """
    job = bad_input.job_of(fault, folder)
    _fill_job(dialog, job, wait)
    return job


def _fill_job(dialog, job, wait) -> None:
    sources = list({source["path"]: source for source in job["sources"]}.values())
    for source in sources:
        dialog.table.add_paths([source["path"]])
        wait(lambda: not dialog.table.busy)
    paths = [source["path"] for source in sources]
    for row in reversed(range(dialog.table.rowCount())):  # what the dialog finds beside them in a folder
        if dialog.table.entries[row].report.path not in paths:
            dialog.table.clearSelection()
            dialog.table.selectRow(row)
            dialog.table.remove_selected()
    for row, source in enumerate(sources[: dialog.table.rowCount()]):
        dialog.table.item(row, VARIABLE).setText(source["variable"])
        dialog.table.item(row, UNIT).setText(source["units"])
        combo = dialog.table.cellWidget(row, QUANTITY)
        combo.setCurrentIndex(combo.findData(source["quantity"]))
        dialog.table.set_role(source["variable"], source.get("role", "input"))
    dialog.name.setText(job["name"])
    dialog.output.set_path(job["output"])
    dialog.grid.like.setCurrentIndex(max(0, dialog.grid.like.findData("good")))


@pytest.mark.parametrize("fault", _of("prepare")[1:])
def test_the_dialog_of_a_new_dataset_says_what_is_wrong(dialog, real_runs, folder, tmp_path, wait, fault):
    _fill(dialog, fault, folder, wait)
    assert HINTS.get(fault.name, "") in dialog.mend.text()
    dialog.build_button.click()
    _ended(wait, real_runs)
    wait(lambda: dialog.build_button.text() == "Build")
    _says(dialog.notice.text(), fault)
    assert not dialog.notice.isHidden()
    assert bad_input.half_written(folder) == bad_input.half_written(tmp_path) == []


def test_odd_sources_are_shown_with_what_was_guessed_and_build(dialog, real_runs, folder, tmp_path, wait):
    odd = tuple(one for one in odd_input.ODD if one.file != "good")
    _fill_job(dialog, odd_input.odd_job(folder, tmp_path / "odd.nc", odd), wait)
    hints = dialog.mend.text().splitlines()
    for one in odd:
        said = [line for line in hints if line.startswith(f"{one.name}: ")]
        assert any(one.hint in line for line in said) or not one.hint, (one.name, said)
    for row, one in enumerate(odd, 1):
        dialog.table.set_details(row, one.more)
    assert "same date" not in dialog.mend.text(), "what was decided is nothing to mend any more"
    dialog.build_button.click()
    _ended(wait, real_runs)
    assert (tmp_path / "odd.nc").is_file(), dialog.notice.text()
    maps = in_qgis.maps_of(tmp_path / "odd.nc", ["good", *(one.name for one in odd)])
    assert odd_input.differing(maps, odd) == []


@pytest.mark.parametrize("name", odd_input.NAMES)
def test_files_and_folders_may_be_called_so(dialog, real_runs, folder, tmp_path, wait, name):
    job = odd_input.named_job(folder, tmp_path, name)
    _fill_job(dialog, job, wait)
    dialog.build_button.click()
    _ended(wait, real_runs)
    assert Path(job["output"]).is_file(), dialog.notice.text()
    maps = in_qgis.maps_of(job["output"], ["good", "maps", "cube"])
    assert odd_input.differing(maps, odd_input.NAMED) == []


def test_a_name_that_gdal_cannot_take_is_told(dialog, folder, tmp_path, wait):
    path = tmp_path / 'it is "quoted".nc'
    shutil.copy(folder / "turned.nc", path)
    dialog.table.add_paths([str(path)])
    wait(lambda: not dialog.table.busy)
    text = dialog.notice.text() + dialog.mend.text()
    assert '"quoted"' in text and "Rename" in text


def test_a_source_that_is_not_there_is_refused_by_the_dialog_of_a_new_dataset(dialog, real_runs, folder, wait):
    dialog.table.add_paths([str(folder / "does_not_exist")])
    wait(lambda: not dialog.table.busy)
    assert dialog.table.rowCount() == 0 and real_runs.runs() == []
    assert "does_not_exist" in dialog.notice.text() and "Choose" in dialog.notice.text()


def test_a_dataset_that_is_not_there_is_refused_by_the_page_of_data(dock, folder):
    fault = BY_NAME["no file of a dataset"]
    dock.pages["data"].add_path(bad_input.job_of(fault, folder)["datasets"][0])
    _says(dock.pages["data"].notice.text(), fault)
    assert dock.datasets.paths() == []


@pytest.mark.parametrize("fault", _of("train")[1:])
def test_the_page_of_the_model_says_what_is_wrong_and_starts_nothing(dock, real_runs, folder, fault):
    job = bad_input.job_of(fault, folder)
    page = dock.pages["model"]
    dock.pages["data"].add_path(job["datasets"][0])
    page.target.setCurrentIndex(page.target.findData(job["target"]))
    page.inputs.tick(tuple(job["inputs"]))
    page.shape.editors["window"].setText(str(job["window"]))
    page.family.choose(job["model"]["family"])
    for form in (page.options, page.options_more):
        form.set_values(job["model"]["options"])
    page.training_more.set_values(job["training"])
    _says(page.notice.text(), fault)
    page.train_button.click()
    assert real_runs.runs() == [] and not page.notice.isHidden()


@pytest.mark.parametrize("fault", _of("predict"))
def test_the_dialog_to_predict_or_the_page_of_runs_says_what_is_wrong(dock, real_runs, folder, tmp_path, wait, fault):
    job = bad_input.job_of(fault, folder)
    dock.pages["data"].add_path(job["dataset"])
    dialog = dock.pages["model"].open_predict(job["model"])
    at_once = dialog.notice.text()
    dialog.go.click()
    if dialog.isVisible():
        _says(dialog.notice.text(), fault)
        assert at_once == dialog.notice.text() and real_runs.runs() == []
    else:
        _ended(wait, real_runs)
        dock.pages["runs"].refresh()
        _says(dock.pages["runs"].notice.text(), fault)
        assert not dock.pages["runs"].notice.isHidden()
    assert bad_input.half_written(tmp_path) == []


@pytest.mark.parametrize("name", ["a truncated model to fine-tune", "an altered model to explain"])
def test_the_page_of_reasons_says_what_is_wrong_with_a_model(dock, real_runs, folder, tmp_path, wait, name):
    page = dock.pages["why"]
    dock.pages["data"].add_path(str(folder / "good.nc"))
    panel = page.choose("Attribution")
    page.subject.model_file.set_path(bad_input.job_of(BY_NAME[name], folder)["model"])
    panel.place.set_point(bad_input.WEST + 1500, bad_input.NORTH - 1500)
    panel.date.field.setText("2001-04-20")
    page.explain_button.click()
    if real_runs.runs():
        _ended(wait, real_runs)
    _says(page.notice.text(), BY_NAME[name])
    assert bad_input.half_written(tmp_path) == []
