"""Results of models of gauges: their table, their points in the colours of NSE, and what a click or a tip tells."""

from __future__ import annotations

import importlib.util
import json
from datetime import datetime
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import (
    QgsExpression,
    QgsProcessingContext,
    QgsProject,
    QgsRenderContext,
)

from freshet.core.contracts import DataError, RunFolder
from freshet.plugin.gauge_results import gauge_results, result_of
from freshet.plugin.layers import add_run_results
from freshet.plugin.processing.outputs import StyleOnLoad, results_of
from freshet.plugin.temporal import TemporalBands

_spec = importlib.util.spec_from_file_location("gauge_run", Path(__file__).resolve().parents[1] / "gauge_run.py")
gauge_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gauge_run)


def layers_of(group) -> list:
    return [node.layer() for node in group.findLayers()]


def colour_of(layer, gauge: str):
    """The colour in which a gauge is drawn, None where it is not."""
    feature = next(item for item in layer.getFeatures() if item["id"] == gauge)
    context = QgsRenderContext()
    context.setExpressionContext(layer.createExpressionContext())
    context.expressionContext().setFeature(feature)
    renderer = layer.renderer().clone()
    renderer.startRender(context, layer.fields())
    symbol = renderer.symbolForFeature(feature, context)
    found = symbol.color() if symbol is not None else None
    renderer.stopRender(context)
    return found


def tip_of(layer, gauge: str) -> str:
    context = layer.createExpressionContext()
    context.setFeature(next(item for item in layer.getFeatures() if item["id"] == gauge))
    return QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)


def test_the_table_is_read_by_gauge_and_lead_with_its_gaps(tmp_path):
    results = gauge_results(gauge_run.write_run(tmp_path))
    assert [(item.label, item.units, item.part) for item in results] == [("Flow", "m3/s", ""), ("Loss", "mm/d", "loss")]
    flow = results[0]
    assert flow.gauges() == ["upper", "outlet"] and flow.leads() == [1, 2]
    line = flow.series()[("upper", 2)]
    assert line.dates[0] == datetime(2001, 4, 3) and len(line.dates) == gauge_run.DAYS
    assert line.predicted == tuple(gauge_run.predicted("upper", 2, day + 2) for day in range(gauge_run.DAYS))
    assert line.observed == tuple(gauge_run.observed("upper", day + 2) for day in range(gauge_run.DAYS))
    assert line.observed[3] is None and flow.series()[("outlet", 1)].observed.count(None) == 0
    assert flow.scores()["outlet"]["nse"] == -0.7 and flow.place("upper") == gauge_run.PLACES["upper"]


def test_a_table_that_is_gone_or_changed_is_a_sentence(tmp_path):
    run = gauge_run.write_run(tmp_path, also=False)
    result = gauge_results(run)[0]
    Path(result.table).write_text("date,gauge\n2001-01-01,upper\n")
    with pytest.raises(DataError, match="series at gauges cannot be read.*series.csv"):
        result.series()
    Path(result.table).unlink()
    with pytest.raises(DataError, match="Run the job again"):
        result.series()
    Path(result.points).write_text("{")
    assert result.scores() == {} and result.place("upper") is None


def test_gauges_are_points_in_the_colours_of_nse_with_their_names(project, tmp_path):
    group = add_run_results(gauge_run.write_run(tmp_path), project)
    layers = layers_of(group)
    assert [layer.name() for layer in layers] == ["NSE of Flow at the gauges (-)", "NSE of Loss at the gauges (-)"]
    layer = layers[0]
    assert layer.crs().authid() == "EPSG:4326" and layer.featureCount() == 2
    good, bad = colour_of(layer, "upper"), colour_of(layer, "outlet")
    assert good.green() > good.red() and bad.red() > bad.green() > bad.blue()  # green above 0, brown below
    edges = [(item.lowerValue(), item.upperValue()) for item in layer.renderer().ranges()]
    assert any(upper == 0.0 for _, upper in edges) and any(lower == 0.0 for lower, _ in edges)
    assert layer.labelsEnabled() and layer.labeling().settings().fieldName == "id"
    assert result_of(layer).table == str(tmp_path / Path(result_of(layer).run).name / "results" / "series.csv")
    assert result_of(layers[1]).part == "loss"


def test_the_tip_tells_scores_with_units_beside_the_simple_forecasts(project, tmp_path):
    layer = layers_of(add_run_results(gauge_run.write_run(tmp_path), project))[0]
    tip = tip_of(layer, "upper")
    for words in ("upper", "0.883", "NSE of persistence</td><td>0.61", "-1.26", "0.039 m3/s", "-0.001 m3/s"):
        assert words in tip


def test_a_gauge_that_could_not_be_judged_is_grey_and_says_so(project, tmp_path):
    run = gauge_run.write_run(tmp_path, also=False)
    path = run.results / "gauges.geojson"
    points = json.loads(path.read_text())
    points["features"][0]["properties"].update(dict.fromkeys(gauge_run.SCORES["upper"]))
    path.write_text(json.dumps(points))
    layer = layers_of(add_run_results(run, project))[0]
    grey = colour_of(layer, "upper")
    assert grey is not None and grey.red() == grey.green() == grey.blue()
    assert layer.renderer().ranges()[-1].label() == "not judged" and "<td>-</td>" in tip_of(layer, "upper")


def test_without_observations_the_gauges_are_shown_all_the_same(project, tmp_path):
    layer = layers_of(add_run_results(gauge_run.write_run(tmp_path, judged=False), project))[0]
    assert colour_of(layer, "upper") is not None and "NSE" not in layer.mapTipTemplate()


def test_gauges_without_a_place_are_told(project, tmp_path):
    run = gauge_run.write_run(tmp_path, places=False)
    with pytest.raises(DataError, match="gauges of this run have no place on the map.*page Maps"):
        add_run_results(run, project)
    assert not project.mapLayers() and gauge_results(run)[0].scores() == {}


def test_the_controller_plays_the_period_of_the_series(project, tmp_path):
    from qgis.core import QgsTemporalNavigationObject

    controller = QgsTemporalNavigationObject()
    bands = TemporalBands(controller=controller, project=project)
    add_run_results(gauge_run.write_run(tmp_path), project, None, bands)
    span = controller.temporalExtents()
    assert span.begin().date().toString("yyyy-MM-dd") == "2001-04-02"
    assert span.end().date().toString("yyyy-MM-dd") == "2001-04-22"
    bands.close()


def test_processing_hands_over_table_and_styled_points(project, tmp_path):
    run = gauge_run.write_run(tmp_path)
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    found = results_of(run, ("SERIES", "GAUGES", "REPORT", "NSE"), context)
    assert found["SERIES"] == str(run.results / "series.csv") and found["GAUGES"] == str(run.results / "gauges.geojson")
    assert found["NSE"] == 0.88 and found["REPORT"] == str(run.report_file)
    paths = set(context.layersToLoadOnCompletion())
    assert paths == {str(run.results / "gauges.geojson"), str(run.results / "loss" / "gauges.geojson")}
    artifact = next(item for item in run.artifacts() if item.kind == "gauges")
    layer = layers_of(add_run_results(run, project))[0].clone()
    layer.setMapTipTemplate("")
    StyleOnLoad(artifact, RunFolder(run.path)).postProcessLayer(layer, context, None)
    assert "NSE" in layer.mapTipTemplate() and result_of(layer) is not None
