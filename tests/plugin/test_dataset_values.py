"""Values of a dataset that the engine wrote, read without it: also of one sequence of several, and of months."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from freshet.core.contracts import DataError
from freshet.core.contracts.steps import MONTH
from freshet.plugin.dataset_values import class_codes, gauge_ids, gauge_places, inside_basin, series_at
from freshet.plugin.datasets import read_summary
from freshet.plugin.raster_probe import netcdf_uri, probe

ROOT = Path(__file__).resolve().parents[2]
_WRITE = """
import sys
import numpy as np
from freshet.core.contracts.grid import Grid
from freshet.core.contracts.steps import MONTH
from freshet.core.data.store import SequencesWriter, VariableInfo, write_dataset
from freshet.core.data.variable_info import Gauges

folder = sys.argv[1]
grid = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 4, 3)
rain = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain", fill="linear")
soil = VariableInfo("soil", static=True)
mask = np.ones((3, 4), dtype=bool)
mask[0] = False
with SequencesWriter(folder + "/floods.nc", name="Floods") as file:
    for number, (name, steps) in enumerate((("event 1", 4), ("event 2", 3))):
        times = np.datetime64("2001-01-31T23:00", "s") + np.arange(steps) * np.timedelta64(300, "s")
        with file.sequence(name, grid=grid, times=times, step_seconds=300.0, variables=[rain, soil]) as writer:
            maps = np.arange(steps * 12.0).reshape(steps, 3, 4) + 100 * number
            maps[1, 2, 3] = np.nan
            writer.append("rain", maps)
            writer.append_filled("rain", maps == 100 * number)
            writer.write_static("soil", np.arange(12).reshape(3, 4) // 4)
            writer.finish(mask, {})
    file.finish({})
months = np.datetime64("2001-01", "M") + np.arange(5)
write_dataset(folder + "/months.nc", name="Months", grid=grid, times=months, step_seconds=MONTH,
              dynamic={"rain": (rain, np.arange(60.0).reshape(5, 3, 4))}, static={"soil": (soil, np.ones((3, 4)))},
              mask=mask, provenance={})
flow = VariableInfo("flow", "target", "discharge", "m3/s", "Discharge", gauges=True)
places = Gauges.on(grid, ("upper", "unknown"), [4_002_500.0, np.nan], [2_998_500.0, np.nan])
write_dataset(folder + "/gauged.nc", name="Gauged", grid=grid, times=months, step_seconds=MONTH,
              dynamic={"flow": (flow, np.arange(10.0).reshape(5, 2))}, static={}, mask=mask, provenance={},
              gauges=places)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    engine = ROOT / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not engine.exists():
        pytest.skip("there is no engine to write a dataset with")
    place = tmp_path_factory.mktemp("datasets")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    subprocess.run([str(engine), "-c", _WRITE, str(place)], check=True, env=environment, cwd=place)
    return place


def test_sequences_are_summed_up_with_what_was_filled(folder):
    summary = read_summary(str(folder / "floods.nc"))
    assert summary.sequences == ("event 1", "event 2") and summary.name == "Floods" and summary.steps == 7
    rain = summary.variable("rain")
    assert rain.filled_share == pytest.approx(2 / (7 * 12)) and rain.fill == "linear"
    assert rain.missing_share == pytest.approx(2 / (7 * 12)) and (rain.minimum, rain.maximum) == (0.0, 147.0 - 12)


def test_a_series_is_that_of_its_sequence_with_its_dates(folder):
    path = str(folder / "floods.nc")
    dates, values = series_at(path, "rain", 4_003_500, 2_997_500, "event 2")
    assert values == [111.0, None, 135.0]
    assert dates == [datetime(2001, 1, 31, 23, 0), datetime(2001, 1, 31, 23, 5), datetime(2001, 1, 31, 23, 10)]
    first = series_at(path, "rain", 4_003_500, 2_997_500)
    assert first == series_at(path, "rain", 4_003_500, 2_997_500, "event 1") and first[1][0] == 11.0
    assert series_at(path, "rain", 0.0, 0.0, "event 2")[1] == []
    with pytest.raises(DataError, match="no sequence 'event 3'.*event 1, event 2"):
        series_at(path, "rain", 4_003_500, 2_997_500, "event 3")


def test_classes_inside_the_basin_of_a_sequence(folder):
    assert class_codes(str(folder / "floods.nc"), "soil") == (1.0, 2.0)  # the mask leaves out the northern row
    assert class_codes(str(folder / "months.nc"), "soil") == (1.0,)


def test_months_are_dated_by_the_calendar(folder):
    path = str(folder / "months.nc")
    dates, values = series_at(path, "rain", 4_000_500, 2_999_500)
    assert [date.month for date in dates] == [1, 2, 3, 4, 5] and values == [0.0, 12.0, 24.0, 36.0, 48.0]
    assert read_summary(path).step_seconds == MONTH


def test_a_variable_in_a_group_is_dated_like_one_in_a_plain_file(folder):
    found = probe(netcdf_uri(str(folder / "floods.nc"), "/event_1/rain"))
    assert found.dates[1] == datetime(2001, 1, 31, 23, 5) and found.crs == "EPSG:3035" and found.units == "mm/d"


def test_gauges_have_names_and_places(folder):
    path = str(folder / "gauged.nc")
    assert gauge_ids(path) == ("upper", "unknown")
    (known, unknown) = gauge_places(path)
    assert known == (4_002_500.0, 2_998_500.0) and all(value != value for value in unknown)
    assert gauge_ids(str(folder / "months.nc")) == () == gauge_places(str(folder / "months.nc"))
    with pytest.raises(DataError, match="cannot be read"):
        gauge_places(str(folder / "no_such.nc"))


def test_a_place_is_inside_the_basin_outside_it_or_off_the_grid(folder):
    for path, sequence in ((str(folder / "months.nc"), ""), (str(folder / "floods.nc"), "event 2")):
        assert inside_basin(path, 4_000_500, 2_998_500, sequence) is True
        assert inside_basin(path, 4_000_500, 2_999_500, sequence) is False, "the first row is outside the mask"
        assert inside_basin(path, 3_999_500, 2_998_500, sequence) is None
    assert inside_basin(str(folder / "no_such.nc"), 4_000_500, 2_998_500) is None
