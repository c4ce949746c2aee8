"""The page of data: what a dataset says of itself, its sequences, and its way to the map after a build."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsProject

from freshet.core.contracts import Artifact, Event, EventKind, RunFolder, RunState
from freshet.ui.choice import Choice
from freshet.ui.pages.data import ALL, DataPage, facts_of


@pytest.fixture
def page(qgis_app, datasets, runs):
    made = DataPage(datasets, runs, Choice())
    yield made
    made.release()
    made.deleteLater()


def _about(name="Moselle", steps=4):
    item = {"name": "rain", "role": "input", "quantity": "precipitation", "units": "mm/d", "label": "Rain"}
    grid = {"crs": "EPSG:3035", "west": 0, "north": 0, "cell_x": 1000, "cell_y": 1000, "columns": 5, "rows": 4}
    ends = {"start": "1990-01-01", "end": "1990-01-04", "steps": steps, "step_seconds": 86400.0}
    return json.dumps({"version": 2, "name": name, "grid": grid, **ends, "variables": [item]})


@pytest.fixture
def dataset(write_dataset):
    return write_dataset("moselle", {"rain": np.random.default_rng(1).random((4, 4, 5))}, _about())


def test_filled_share_gauges_error_and_sequences_are_said(page, datasets, make_summary):
    summary = make_summary()
    first = dataclasses.replace(
        summary.variables[0], filled_share=0.031, fill="linear", resampling="idw", error=1.234, missing_share=0.5
    )
    flow = dataclasses.replace(summary.variables[1], name="q", gauges=True)
    whole = dataclasses.replace(
        summary, variables=(first, flow), sequences=("a", "b", "c", "d"), groups=("a", "b", "c", "d"), gauges=3
    )
    datasets.add(whole)
    texts = [page.table.item(0, column).text() for column in range(page.table.columnCount())]
    assert texts == ["pre", "input", "0 .. 88 mm/d", "50 %", "3.1 %", "1.23 mm/d"]
    assert "linear in time" in page.table.item(0, 4).toolTip()
    assert "inverse distance" in page.table.item(0, 5).toolTip()
    assert "4 sequences: a, b, c, ..." in page._facts.text() and "3 gauges" in page._facts.text()
    offered = [page.variable.itemData(i) for i in range(page.variable.count())]
    assert offered == ["pre", ALL]  # a series at gauges is no map
    assert [page.sequence.itemText(i) for i in range(page.sequence.count())] == ["a", "b", "c", "d"]
    assert "sequences" not in facts_of(summary) and "gauge" not in facts_of(summary)


def test_one_variable_or_all_come_to_the_map(page, qgis_app, dataset):
    from freshet.plugin.datasets import read_summary

    page._datasets.add(read_summary(dataset))
    page.map_button.click()
    (layer,) = QgsProject.instance().mapLayers().values()
    assert layer.name() == "Moselle: Rain (mm/d)" and layer.bandCount() == 4
    page.variable.setCurrentIndex(page.variable.findData(ALL))
    page.map_button.click()
    (group,) = QgsProject.instance().layerTreeRoot().findGroups()
    assert group.name() == "Moselle" and page.notice.isHidden()


@pytest.mark.parametrize("wanted, state", [(True, RunState.DONE), (False, RunState.DONE), (True, RunState.FAILED)])
def test_a_built_dataset_comes_to_the_map_where_that_was_ticked(page, runs, dataset, tmp_path, wanted, state):
    dialog = page.new_dataset()
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.append(Event(EventKind.ARTIFACT, Artifact(kind="dataset", path=dataset).to_dict()))
    dialog.submitted.emit(str(run.path), wanted)
    dialog.close()
    runs.ended.emit(str(run.path), state)
    groups = [group.name() for group in QgsProject.instance().layerTreeRoot().findGroups()]
    assert groups == (["Moselle"] if wanted and state is RunState.DONE else [])
    runs.ended.emit(str(run.path), state)  # told twice, shown once
    assert len(QgsProject.instance().layerTreeRoot().findGroups()) == len(groups)
