"""Answers of the real engine on the map: each kind with the colours, units, dates and places that its file has, and the
same files by the algorithms; drafts that come and go.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsGeometry,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsTemporalNavigationObject,
    QgsVectorLayer,
)

from freshet.core.contracts import Artifact, DataError, Event, EventKind, ExplainJob, RunFolder
from freshet.plugin.layers import add_run_results, remove_draft, show_draft
from freshet.plugin.processing.provider import FreshetProvider
from freshet.plugin.ramps import stops
from freshet.plugin.region_layer import dress_region_layer
from freshet.plugin.styling import signs_of, value_range
from freshet.plugin.temporal import TemporalBands, layer_band, layer_dates

_spec = importlib.util.spec_from_file_location(
    "faults_in_qgis", Path(__file__).resolve().parents[1] / "faults" / "in_qgis.py"
)
in_qgis = importlib.util.module_from_spec(_spec)
sys.modules["faults_in_qgis"] = in_qgis
_spec.loader.exec_module(in_qgis)

DATE, WINDOW = "2001-04-20", 8
CELLS = "POLYGON((4000000 2996000, 4003000 2996000, 4003000 3000000, 4000000 3000000, 4000000 2996000))"


JOB = ExplainJob(model="m.safetensors", dataset="d.nc", date=DATE, basin=True)


class Feedback(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.errors, self.told = [], []

    def pushInfo(self, info):  # noqa: N802
        self.told.append(info)

    def reportError(self, error, fatalError=False):  # noqa: N802, N803
        self.errors.append(error)


class Asker:
    """Runs algorithms with the real worker on the small basin; answers are kept, each is computed once."""

    def __init__(self, provider, folder: Path, runs: Path):
        self.provider, self.folder, self.runs, self.kept = provider, folder, runs, {}

    def ask(self, name, dataset="gauged.nc", model="model", **values):
        """(results, done, feedback, context)"""
        context, feedback = QgsProcessingContext(), Feedback()
        context.setProject(QgsProject.instance())
        both = {"MODEL": str(self.folder / f"{model}.safetensors"), "DATASET": str(self.folder / dataset)}
        run = self.runs / str(len(list(self.runs.iterdir())))
        values = {**both, "DEVICE": "cpu", "RUN_FOLDER": str(run), **values}
        results, done = self.provider.algorithm(name).create().run(values, context, feedback)
        return results, done, feedback, context

    def answer(self, name):
        """Results and run of one of the questions below."""
        if name not in self.kept:
            results, done, feedback, context = self.ask(name, **QUESTIONS[name])
            assert done, feedback.errors
            self.kept[name] = (results, RunFolder(results["RUN"]), context)
        return self.kept[name]


QUESTIONS = {
    "explain": {"DATE": DATE, "GAUGE": "outlet", "STEPS": 4, "TITLE": "Why"},
    "importance": {"OF": "variables", "REPEATS": 2, "DATES": 6},
    "probe": {"VARIABLE": "store", "SHUFFLES": 1, "DATES": 9},
    "whatif": {
        "VARIABLE": "rain", "FACTOR": 3, "CHANGE_POLYGON": CELLS, "CHANGE_START": "2001-04-10",
        "CHANGE_END": "2001-04-11", "START": "2001-04-09", "END": "2001-04-14", "GAUGE": "outlet",
    },
    "drivers": {"DATE": DATE, "METHOD": "occlusion"},
    "shares": {"DATES": 2, "STEPS": 2, "GAUGE": "upper"},
}  # fmt: skip


@pytest.fixture(scope="module")
def asker(qgis_app, tmp_path_factory):
    made = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(made)
    folder = in_qgis.make_files(tmp_path_factory.mktemp("faults"))
    yield Asker(made, folder, tmp_path_factory.mktemp("runs"))
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.fixture
def controller(qgis_app):
    return QgsTemporalNavigationObject()


@pytest.fixture
def bands(project, controller):
    made = TemporalBands(controller=controller, project=project)
    yield made
    made.close()


def _read(path):
    source = gdal.Open(str(path))
    values = source.ReadAsArray().astype(float)
    values[values == source.GetRasterBand(1).GetNoDataValue()] = np.nan
    return values


def _by_kind(group):
    found = {}
    for node in group.findLayers():
        found.setdefault(node.layer().customProperty("freshet/kind"), []).append(node)
    return found


def _function(layer):
    return layer.renderer().shader().rasterShaderFunction()


def _ends(layer):
    renderer = layer.renderer()
    return renderer.classificationMin(), renderer.classificationMax()


def _text(layer):
    settings = _function(layer).legendSettings()
    return settings.minimumLabel(), settings.maximumLabel(), settings.suffix()


# -- one kind after the other


def test_attributions_share_one_symmetric_range_and_play_over_the_steps_back(asker, project, bands, controller):
    results, run, _ = asker.answer("explain")
    group = add_run_results(run, project, None, bands)
    (node,) = _by_kind(group)["attribution"]
    layer, artifact = node.layer(), next(item for item in run.artifacts() if item.kind == "attribution")
    low, high = _ends(layer)
    assert low == -high == artifact.minimum and high > 0
    items = _function(layer).colorRampItemList()
    assert abs(items[10].value) < 1e-12 and items[10].color.name() == stops("BrBG")[10][1].name()
    assert layer_dates(layer) == (list(artifact.dates), 86400.0) and len(artifact.dates) == WINDOW
    assert controller.totalFrameCount() == WINDOW
    least, most, _ = _text(layer)
    assert least.startswith("-") and least.endswith(": it lowered it")
    assert most.startswith("+") and most.endswith(": it raised the prediction")
    # The step that counts most is shown, not the oldest one, which is mostly empty.
    facts = json.loads((run.results / "attribution.json").read_text())
    most = facts["input_dates"][facts["steps_back"].index(facts["delay"]["most"])]
    assert bands.current_date() == most and artifact.dates[layer_band(layer) - 1] == most


def test_delays_are_in_the_unit_of_the_step_on_one_range(asker, project):
    _, run, _ = asker.answer("explain")
    layers = [node.layer() for node in _by_kind(add_run_results(run, project))["delay"]]
    assert len(layers) == 2 and len({_ends(layer) for layer in layers}) == 1
    for layer in layers:
        assert _text(layer) == ("", "", " days") and layer.name().endswith("(days)")
        shown = [item.color.name() for item in _function(layer).colorRampItemList()]
        assert shown == [colour.name() for _, colour in stops("Viridis")]
        assert not layer.temporalProperties().isActive()


def test_region_is_an_outline_above_the_maps_around_the_cells_that_count_most(asker, project):
    results, run, _ = asker.answer("explain")
    group = add_run_results(run, project)
    nodes = group.findLayers()
    region = nodes[0].layer()
    assert isinstance(region, QgsVectorLayer) and region.customProperty("freshet/kind") == "region"
    shown = [node.layer().customProperty("freshet/kind") for node in nodes if node.itemVisibilityChecked()]
    assert shown == ["region", "attribution"]
    assert nodes[0].parent().name() == next(i.group for i in run.artifacts() if i.kind == "region") != group.name()
    assert region.crs().authid() == "EPSG:3035"
    sizes = sum(np.abs(_read(path)).sum(axis=0) for path in results["MAPS"] if "attribution" in path)
    order, total = np.sort(sizes.ravel())[::-1], sizes.sum()
    count = int(np.searchsorted(np.cumsum(order), 0.5 * total * (1 - 1e-9))) + 1
    whole = QgsGeometry.unaryUnion([feature.geometry() for feature in region.getFeatures()])
    assert whole.area() == pytest.approx(count * 1e6)
    row, column = np.unravel_index(sizes.argmax(), sizes.shape)
    centre = f"POINT({4_000_500 + 1000 * column} {2_999_500 - 1000 * row})"
    assert whole.contains(QgsGeometry.fromWkt(centre))
    kinds = [layer.layerType() for layer in region.renderer().symbol().symbolLayers()]
    assert kinds == ["LinePatternFill", "SimpleFill", "SimpleFill"]
    styles = [layer.properties()["style"] for layer in region.renderer().symbol().symbolLayers()[1:]]
    assert styles == ["no", "no"], "cells below stay in sight"


def test_a_region_without_a_code_of_its_crs_lies_where_the_maps_lie(asker, tmp_path):
    _, run, _ = asker.answer("explain")
    document = json.loads((run.results / "region.geojson").read_text())
    del document["crs"]
    path = tmp_path / "region.geojson"
    path.write_text(json.dumps(document))
    layer = QgsVectorLayer(str(path), "region", "ogr")
    assert layer.crs().authid() != "EPSG:3035"
    dress_region_layer(layer, next(item for item in run.artifacts() if item.kind == "region"), run)
    assert layer.crs().authid() == "EPSG:3035"


def test_importance_maps_say_which_sign_is_worse(asker, project):
    _, run, _ = asker.answer("importance")
    (node,) = _by_kind(add_run_results(run, project))["attribution"]
    low, high = _ends(node.layer())
    assert low == -high and node.itemVisibilityChecked()
    least, most, _ = _text(node.layer())
    assert least.endswith(" mm: better without it") and most.endswith(" mm: worse without it")


def test_drivers_are_classes_by_name_and_colour_and_their_margin_runs_from_0_to_1(asker, project):
    results, run, _ = asker.answer("drivers")
    nodes = _by_kind(add_run_results(run, project))["driver"]
    classes, margin = (node.layer() for node in nodes)
    artifact = next(item for item in run.artifacts() if item.classes)
    renderer = classes.renderer()
    assert isinstance(renderer, QgsPalettedRasterRenderer) and nodes[0].itemVisibilityChecked()
    shown = [(item.value, item.label, item.color.name()) for item in renderer.classes()]
    assert shown == [(n, *pair) for n, pair in enumerate(zip(artifact.classes, artifact.colours), start=1)]
    assert nodes[0].customProperty("legend/node-order") == ",".join(str(n) for n in range(1, len(shown) + 1))
    assert _ends(margin) == (0.0, 1.0) and not nodes[1].itemVisibilityChecked()
    assert results["DRIVER"] == str(run.resolve(artifact))
    values = _read(margin.source())
    assert np.nanmin(values) >= 0.0 and np.nanmax(values) <= 1.0


def test_legend_of_classes_holds_their_names_alone(asker, project):
    from qgis.core import QgsLayerTreeModel

    _, run, _ = asker.answer("drivers")
    node = _by_kind(add_run_results(run, project))["driver"][0]
    model = QgsLayerTreeModel(project.layerTreeRoot())
    labels = [item.data(0) for item in model.layerLegendNodes(node)]
    assert labels == list(next(item for item in run.artifacts() if item.classes).classes)


def test_changes_are_neutral_at_zero_with_their_sign_in_words_and_play_over_their_dates(
    asker, project, bands, controller
):
    results, run, _ = asker.answer("whatif")
    group = add_run_results(run, project, None, bands)
    (node,) = _by_kind(group)["change"]
    layer, artifact = node.layer(), next(item for item in run.artifacts() if item.kind == "change")
    assert node.itemVisibilityChecked() and value_range(artifact) == _ends(layer)
    assert _ends(layer)[0] == -_ends(layer)[1]
    least, most, suffix = _text(layer)
    assert suffix == " mm" and " mm: more" in most and " mm: less" in least
    assert layer_dates(layer)[0] == list(artifact.dates) and bands.current_date() == artifact.dates[0]
    controller.setCurrentFrameNumber(2)
    assert layer_band(layer) == 3
    change = _read(results["CHANGE"])
    assert np.nanmax(np.abs(change)) > 0 and len(change) == len(artifact.dates)


def test_the_probe_has_the_ramp_of_its_quantity_and_no_frame_is_empty(asker, project, bands, controller):
    results, run, _ = asker.answer("probe")
    (node,) = _by_kind(add_run_results(run, project, None, bands))["probe"]
    layer, artifact = node.layer(), next(item for item in run.artifacts() if item.kind == "probe")
    shown = [item.color.name() for item in _function(layer).colorRampItemList()]
    assert artifact.ramp and shown == [colour.name() for _, colour in stops(artifact.ramp)]
    assert _text(layer)[2] == " mm" and results["PROBE"] == layer.source()
    for number in range(controller.totalFrameCount()):
        controller.setCurrentFrameNumber(number)
        frame = controller.dateTimeRangeForFrameNumber(number)
        assert layer.temporalProperties().isVisibleInTemporalRange(frame), frame.begin().toString()


def test_frames_of_dates_far_apart_are_as_long_as_the_way_between_them(
    write_raster, project, bands, controller, tmp_path
):
    dates = ("2001-01-01", "2001-01-06", "2001-01-11", "2001-01-16")
    path = write_raster("probe.tif", np.ones((4, 2, 2)), dates=dates)
    run = RunFolder.create_at(tmp_path / "run", "probe", JOB)
    run.append(Event(EventKind.ARTIFACT, Artifact(kind="probe", path=path, dates=dates).to_dict()))
    (node,) = add_run_results(run, project, None, bands).findLayers()
    shown = []
    for number in range(controller.totalFrameCount()):
        controller.setCurrentFrameNumber(number)
        shown.append(layer_band(node.layer()))
    assert shown == [1, 2, 3, 4]


def test_an_answer_without_maps_says_so(asker, project):
    _, run, _ = asker.answer("shares")
    with pytest.raises(DataError, match="charts and tables, without maps.*report"):
        add_run_results(run, project)
    assert not project.mapLayers()


def test_signs_are_read_from_the_notes_of_the_engine_alone():
    note = "Positive (green): it rose; negative (brown): it fell. More."
    assert signs_of(Artifact(kind="change", path="x", note=note)) == ("it fell", "it rose")
    assert signs_of(Artifact(kind="predicted", path="x", note=note)) == ("", "")
    assert signs_of(Artifact(kind="change", path="x", note="Nothing of signs.")) == ("", "")


def test_of_several_variables_the_one_that_counts_most_is_on_top(write_raster, project, tmp_path):
    run, dates = RunFolder.create_at(tmp_path / "run", "explain", JOB), ("2001-01-01", "2001-01-02")
    run.results.mkdir(parents=True, exist_ok=True)
    for name, count in (("rain", 2), ("heat", 2), ("dem", 1)):
        path = write_raster(f"{name}.tif", np.ones((count, 2, 2)), dates=dates[:count])
        artifact = Artifact(kind="attribution", path=path, variable=name, title=name, dates=dates if count > 1 else ())
        run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))

    def shown():
        return [n.name() for n in add_run_results(run, project).findLayers() if n.itemVisibilityChecked()]

    assert shown() == ["rain"]
    facts = run.results / "attribution.json"
    facts.write_text(json.dumps({"variables": {"rain": 0.1, "heat": -0.4, "dem": 2.0}}))
    assert shown() == ["heat"], "the most of what can be played"
    facts.write_text("no JSON")
    assert shown() == ["rain"]


# -- drafts


class Drafts:
    """A run that is being refined: drafts of two variables under the paths that the engine uses."""

    def __init__(self, folder, write_raster):
        self.run = RunFolder.create_at(folder / "run", "explain", JOB, "Why")
        (self.run.results / "draft").mkdir(parents=True)
        self._write, self.dates = write_raster, ("2001-01-01", "2001-01-02", "2001-01-03")

    def artifact(self, name, value, *, draft=True):
        """The draft or the result of a variable, all cells of which have one value."""
        path = f"results/{'draft/' if draft else ''}attribution_{name}.tif"
        made = self._write("made.tif", np.full((3, 2, 2), value), dates=self.dates)
        shutil.move(made, self.run.path / path)
        kind = "attribution-draft" if draft else "attribution"
        return Artifact(
            kind=kind, path=path, variable=name, title=name, dates=self.dates, minimum=-value, maximum=value
        )

    def finish(self):
        """The results, and the end of the drafts."""
        shutil.rmtree(self.run.results / "draft")
        for name in ("rain", "heat"):
            self.run.append(Event(EventKind.ARTIFACT, self.artifact(name, 5.0, draft=False).to_dict()))


@pytest.fixture
def drafts(tmp_path, write_raster):
    return Drafts(tmp_path, write_raster)


def _sample(layer):
    return layer.dataProvider().sample(layer.extent().center(), layer_band(layer))[0]


def test_later_drafts_take_the_place_of_earlier_ones_in_the_same_layers(drafts, project, bands):
    show_draft(drafts.run, [drafts.artifact("rain", 1.0), drafts.artifact("heat", 1.0)], project, None, bands)
    before = {layer.name(): layer for layer in project.mapLayers().values()}
    assert sorted(before) == ["heat", "rain"] and _sample(before["rain"]) == 1.0
    assert bands.current_date() == "2001-01-03", "the latest step, where most has come"
    nodes = {node.name(): node for node in project.layerTreeRoot().findLayers()}
    assert nodes["rain"].itemVisibilityChecked() and not nodes["heat"].itemVisibilityChecked()
    nodes["rain"].setItemVisibilityChecked(False)
    nodes["heat"].setItemVisibilityChecked(True)
    bands.show("2001-01-02")
    show_draft(drafts.run, [drafts.artifact("rain", 2.0), drafts.artifact("heat", 3.0)], project, None, bands)
    assert {layer.name(): layer for layer in project.mapLayers().values()} == before
    assert (_sample(before["rain"]), _sample(before["heat"])) == (2.0, 3.0)
    assert _ends(before["heat"]) == (-3.0, 3.0) and layer_band(before["heat"]) == 2
    assert nodes["heat"].itemVisibilityChecked() and not nodes["rain"].itemVisibilityChecked()
    assert bands.current_date() == "2001-01-02"
    assert len(gdal.ReadDirRecursive("/vsimem/freshet") or []) <= 4, "memory of earlier drafts is given back"


def test_results_take_the_place_of_the_draft_and_keep_what_was_chosen(drafts, project, bands):
    show_draft(drafts.run, [drafts.artifact("rain", 1.0), drafts.artifact("heat", 1.0)], project, None, bands)
    root = project.layerTreeRoot()
    other = root.insertGroup(0, "of the person")
    for node in root.findLayers():
        node.setItemVisibilityChecked(node.name() == "heat")
    bands.show("2001-01-01")
    drafts.finish()
    group = add_run_results(drafts.run, project, None, bands)
    assert [child.name() for child in root.children()] == [other.name(), group.name()]
    assert len(project.mapLayers()) == 2
    assert [node.name() for node in group.findLayers() if node.itemVisibilityChecked()] == ["heat"]
    assert bands.current_date() == "2001-01-01" and "draft" not in group.name()
    assert not [p for p in gdal.ReadDirRecursive("/vsimem/freshet") or [] if p.endswith(".tif")]


def test_a_draft_stays_in_sight_when_the_engine_has_taken_its_file_away(drafts, project):
    show_draft(drafts.run, [drafts.artifact("rain", 1.5)], project)
    (layer,) = project.mapLayers().values()
    shutil.rmtree(drafts.run.results / "draft")
    assert _sample(layer.clone()) == 1.5 and layer.isValid()


def test_drafts_that_are_gone_already_or_too_late_change_nothing(drafts, project):
    late = drafts.artifact("rain", 1.0)
    content = (drafts.run.path / late.path).read_bytes()
    drafts.finish()
    show_draft(drafts.run, [late], project)
    assert not project.mapLayers()
    add_run_results(drafts.run, project)
    (drafts.run.path / late.path).parent.mkdir()
    (drafts.run.path / late.path).write_bytes(content)
    show_draft(drafts.run, [late], project)
    kinds = {layer.customProperty("freshet/kind") for layer in project.mapLayers().values()}
    assert kinds == {"attribution"}


def test_a_cancelled_explanation_leaves_no_draft_but_its_results_are_not_touched(drafts, project):
    show_draft(drafts.run, [drafts.artifact("rain", 1.0)], project)
    remove_draft(drafts.run, project)
    assert not project.mapLayers() and not project.layerTreeRoot().children()
    remove_draft(drafts.run, project)
    drafts.finish()
    add_run_results(drafts.run, project)
    remove_draft(drafts.run, project)
    assert len(project.mapLayers()) == 2


def test_drafts_of_two_explanations_are_two_groups(drafts, project, tmp_path, write_raster):
    other = Drafts(tmp_path / "other", lambda name, values, **more: write_raster(name, values, **more))
    show_draft(drafts.run, [drafts.artifact("rain", 1.0)], project)
    show_draft(other.run, [other.artifact("rain", 2.0)], project)
    assert len(project.layerTreeRoot().findGroups()) == 2
    remove_draft(drafts.run, project)
    (layer,) = project.mapLayers().values()
    assert _sample(layer) == 2.0


# -- the algorithms


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_algorithm_hands_over_table_report_and_styled_layers(asker, name):
    results, run, context = asker.answer(name)
    assert Path(results["REPORT"]).is_file() and run.state().value == "done"
    with open(results["TABLE"], encoding="utf-8", newline="") as handle:
        assert len(list(csv.DictReader(handle))) >= 1
    stem = {"explain": "attribution", "whatif": "what_if"}.get(name, name)
    assert Path(results["TABLE"]).name == f"{stem}.csv"
    for path in [*results.get("MAPS", []), *([results["REGION"]] if "REGION" in results else [])]:
        details = context.layerToLoadOnCompletionDetails(path)
        layer = QgsRasterLayer(path, "x") if path.endswith(".tif") else QgsVectorLayer(path, "x", "ogr")
        details.postProcessor().postProcessLayer(layer, context, Feedback())
        artifact = next(item for item in run.artifacts() if str(run.resolve(item)) == path)
        assert details.name == artifact.title and layer.isValid()
        if artifact.kind == "region":
            assert layer.renderer().symbol().symbolLayerCount() == 3
        elif not artifact.classes:
            assert _ends(layer) == value_range(artifact)


def test_explain_at_a_gauge_explains_the_cell_of_that_gauge(asker):
    _, run, _ = asker.answer("explain")
    facts = json.loads((run.results / "attribution.json").read_text())
    assert facts["place"]["gauge"] == "outlet" and (facts["place"]["row"], facts["place"]["column"]) == (0, 1)
    parts = facts["baseline_prediction"] + sum(facts["variables"].values()) + facts["residual"]
    assert parts == pytest.approx(facts["prediction"], abs=1e-4)


def test_a_model_of_gauges_is_explained_at_its_gauge(asker):
    results, done, feedback, _ = asker.ask("explain", model="gauge_model", DATE=DATE, GAUGE="upper", STEPS=2)
    assert done, feedback.errors
    assert Path(results["TABLE"]).is_file()


def test_the_cost_alone_is_told_and_nothing_is_computed(asker):
    results, done, feedback, _ = asker.ask("explain", DATE=DATE, BASIN=True, ESTIMATE=True)
    assert done and results["MAPS"] == [] and "TABLE" not in results
    assert any("on this machine" in line for line in feedback.told)


@pytest.mark.parametrize(
    "name, values, words",
    [
        ("explain", {"DATE": "2001-02-28", "BASIN": True}, ("2001-02-28", "2001-03-06")),
        ("explain", {"DATE": DATE, "GAUGE": "middle"}, ("'middle'", "upper, outlet")),
        (
            "explain",
            {"DATE": DATE, "POLYGON": "POLYGON((0 0, 1 0, 1 1, 0 0))"},
            ("polygon holds the centre of no cell", "x 4000000 to 4005000"),
        ),
        ("whatif", {"VARIABLE": "snow", "FACTOR": 2}, ("does not read 'snow'", "rain")),
        ("whatif", {"STORM_RASTER": "other.tif", "STORM_DATE": "2001-04-10"}, ("grid",)),
    ],
)  # fmt: skip
def test_what_only_the_engine_can_tell_is_its_sentence(asker, write_raster, name, values, words):
    if "STORM_RASTER" in values:
        values = {**values, "STORM_RASTER": write_raster("other.tif", np.ones((3, 4)))}
    results, done, feedback, _ = asker.ask(name, **values)
    assert not done and results == {}
    assert [word for word in words if word not in feedback.errors[-1]] == [], feedback.errors[-1]
    assert "Traceback" not in feedback.errors[-1]
