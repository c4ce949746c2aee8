"""Datasets on the map: one group, each variable with its dates; also of a file with several sequences."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from osgeo import gdal, osr

from freshet.core.contracts import DataError
from freshet.plugin.dataset_layers import add_dataset, add_variable, dates_of
from freshet.plugin.datasets import read_summary
from freshet.plugin.temporal import layer_dates

DAY = 86400.0


def _about(name, start, steps, sequence="", **changes):
    rain = {"name": "rain", "role": "input", "quantity": "precipitation", "units": "mm/d", "label": "Rain"}
    dem = {"name": "dem", "role": "static", "quantity": "elevation", "units": "m", "label": "Elevation", "static": True}
    flow = {"name": "q", "role": "target", "quantity": "discharge", "units": "m3/s", "label": "Q", "gauges": True}
    grid = {"crs": "EPSG:3035", "west": 0, "north": 2000, "cell_x": 1000, "cell_y": 1000, "columns": 3, "rows": 2}
    values = {
        **{"version": 2, "name": name, "sequence": sequence, "grid": grid, "start": start, "end": start},
        **{"steps": steps, "step_seconds": DAY, "calendar": "standard", "gaps": [], "gauges": 2},
        "variables": [{**rain, **changes}, dem, flow],
    }
    return json.dumps(values)


def _fill(group, start, steps, about):
    number, text = gdal.ExtendedDataType.Create(gdal.GDT_Float64), gdal.ExtendedDataType.CreateString()
    places = {name: group.CreateDimension(name, "", "", n) for name, n in (("time", steps), ("y", 2), ("x", 3))}
    for name, first, step in (("y", 1500.0, -1000.0), ("x", 500.0, 1000.0)):
        group.CreateMDArray(name, [places[name]], number).Write(first + step * np.arange(places[name].GetSize()))
    time = group.CreateMDArray("time", [places["time"]], number)
    time.Write(start + DAY * np.arange(float(steps)))
    time.CreateAttribute("units", [], text).Write("seconds since 1970-01-01 00:00:00")
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(3035)
    for name, dims in (("rain", ("time", "y", "x")), ("dem", ("y", "x"))):
        array = group.CreateMDArray(name, [places[n] for n in dims], number)
        array.SetSpatialRef(crs)
        array.Write(np.random.default_rng(1).random([places[n].GetSize() for n in dims]))
    group.CreateAttribute("freshet_dataset", [], text).Write(about)


@pytest.fixture
def plain(tmp_path, qgis_app):
    made = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(tmp_path / "plain.nc"))
    more = {"filled_share": 0.25, "fill": "linear", "resampling": "bilinear", "error": 0.5}
    _fill(made.GetRootGroup(), 788918400.0, 3, _about("Plain", "1995-01-01", 3, **more))
    del made
    return str(tmp_path / "plain.nc")


@pytest.fixture
def floods(tmp_path, qgis_app):
    made = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(tmp_path / "floods.nc"))
    root = made.GetRootGroup()
    for group, sequence, start, steps, share in (("a", "a", 788918400.0, 3, 0.0), ("b_1", "b 1", 820454400.0, 1, 0.4)):
        day = "1995-01-01" if group == "a" else "1996-01-01"
        changes = {"missing_share": share, "maximum": 10.0 * steps, "filled_share": share}
        _fill(root.CreateGroup(group), start, steps, _about("Floods", day, steps, sequence, **changes))
    about = {"version": 2, "name": "Floods", "sequences": ["a", "b 1"], "groups": ["a", "b_1"], "steps": 4}
    root.CreateAttribute("freshet_dataset", [], gdal.ExtendedDataType.CreateString()).Write(json.dumps(about))
    del root, made
    return str(tmp_path / "floods.nc")


def test_a_dataset_becomes_one_group_of_dated_layers_without_its_gauges(plain, project):
    summary = read_summary(plain)
    rain = summary.variable("rain")
    assert (rain.filled_share, rain.fill, rain.resampling, rain.error, summary.gauges) == (
        0.25,
        "linear",
        "bilinear",
        0.5,
        2,
    )
    group = add_dataset(summary, project)
    layers = [node.layer() for node in group.findLayers()]
    assert group.name() == "Plain"
    assert [layer.name() for layer in layers] == ["Plain: Rain (mm/d)", "Plain: Elevation (m)"]
    assert layer_dates(layers[0]) == (["1995-01-01", "1995-01-02", "1995-01-03"], DAY)
    assert layer_dates(layers[1])[0] == [] and [n.itemVisibilityChecked() for n in group.findLayers()] == [True, False]
    assert layers[0].crs().authid() == "EPSG:3035"


def test_adding_a_dataset_again_replaces_its_group(plain, project):
    add_dataset(read_summary(plain), project)
    add_dataset(read_summary(plain), project)
    assert len(project.mapLayers()) == 2 and len(project.layerTreeRoot().findGroups()) == 1


def test_sequences_are_told_together_and_shown_one_at_a_time(floods, project):
    summary = read_summary(floods)
    assert (summary.sequences, summary.groups, summary.steps) == (("a", "b 1"), ("a", "b_1"), 4)
    assert (summary.start, summary.end) == ("1995-01-01", "1996-01-01")
    rain = summary.variable("rain")
    assert (rain.missing_share, rain.filled_share, rain.maximum) == pytest.approx((0.1, 0.1, 30.0))
    assert dates_of(floods, "a") == ("1995-01-01", "1995-01-02", "1995-01-03")
    layer = add_variable(summary, rain, project, sequence="b 1")
    assert layer.name() == "Floods, b 1: Rain (mm/d)" and layer_dates(layer)[0] == ["1996-01-01"]
    group = add_dataset(summary, project)
    assert group.name() == "Floods, a" and layer_dates(group.findLayers()[0].layer())[0][-1] == "1995-01-03"


def test_an_unknown_sequence_and_a_dataset_of_gauges_alone_are_refused(floods, plain, project):
    with pytest.raises(DataError, match="no sequence 'c'"):
        add_dataset(read_summary(floods), project, sequence="c")
    import dataclasses

    summary = read_summary(plain)
    alone = dataclasses.replace(summary, variables=tuple(item for item in summary.variables if item.gauges))
    with pytest.raises(DataError, match="has no maps"):
        add_dataset(alone, project)
    with pytest.raises(DataError, match="dates of the dataset cannot be read"):
        dates_of(plain.replace("plain", "none"))
