"""Units, variables, dates, grids."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from freshet.core.contracts import ConfigError, DataError, Grid
from freshet.core.contracts.catalogue import STANDARD_NAMES
from freshet.core.contracts.dataset_job import TERRAIN_MAPS
from freshet.core.contracts.dates import find_date, format_date, format_step, parse_date, step_of
from freshet.core.contracts.units import convert, is_known, normalise
from freshet.core.contracts.variables import (
    AGGREGATIONS,
    CATALOGUE,
    KINDS,
    RESAMPLINGS,
    SCALERS,
    STRETCHES,
    guess_quantity,
    quantity,
    quantity_names,
)


@pytest.mark.parametrize(
    ("source", "target", "value", "result"),
    [
        ("K", "degC", 273.15, 0.0),
        ("degF", "degC", 212.0, 100.0),
        ("kg m-2 s-1", "mm/d", 1.0 / 86400.0, 1.0),
        ("mm/6h", "mm/d", 2.0, 8.0),
        ("mm h-1", "mm/d", 1.0, 24.0),
        ("m", "mm", 0.5, 500.0),
        ("%", "-", 50.0, 0.5),
        ("mm day-1", "mm/d", 3.0, 3.0),
        ("l/s", "m3/s", 1000.0, 1.0),
    ],
)
def test_units_convert_by_their_definition(source, target, value, result):
    scale, offset = convert(source, target)
    assert value * scale + offset == pytest.approx(result, abs=1e-9)


def test_a_depth_becomes_a_rate_by_its_step():
    scale, offset = convert("mm", "mm/d", step_seconds=6 * 3600)
    assert (scale, offset) == (4.0, 0.0)


def test_units_of_different_things_are_not_converted():
    with pytest.raises(DataError, match="depth rate"):
        convert("degC", "mm/d")
    with pytest.raises(DataError, match="'furlong' is not known"):
        convert("furlong", "mm")
    assert is_known("mm/3h") and not is_known("furlong") and normalise(" MM / Day ") == "mm/d"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("precipitation_1995-02-01.tif", "precipitation"),
        ("sm_l1", "soil_moisture"),
        ("elevation_m_4km.tif", "elevation"),
        ("pet", "pet"),
        ("tavg", "temperature"),
        ("inwater", "inwater"),
        ("gw_storage", "groundwater_storage"),
        ("soil_class_4km", "soil_class"),
        ("something else", "other"),
    ],
)
def test_a_name_is_understood(text, name):
    assert guess_quantity(text).name == name


def test_the_catalogue_is_consistent():
    for entry in CATALOGUE:
        assert entry.kind in KINDS and entry.resampling in RESAMPLINGS and entry.scaler in SCALERS, entry.name
        assert entry.aggregation in AGGREGATIONS and entry.stretch in STRETCHES, entry.name
        assert entry.minimum < entry.maximum and is_known(entry.units) and normalise(entry.units) == entry.units, (
            entry.name
        )
        assert entry.name.isidentifier() and entry.label and entry.abbreviation, entry.name
        assert entry.stretch == "linear" or entry.minimum >= 0.0, entry.name
        assert (entry.kind == "class") == (entry.scaler == "one-hot") == (entry.resampling == "mode"), entry.name
        assert not entry.standard_name or re.fullmatch(r"[a-z_]+", entry.standard_name), entry.name
    for part in ("name", "label", "abbreviation"):
        parts = [getattr(entry, part) for entry in CATALOGUE]
        assert len(parts) == len(set(parts)), part
    with pytest.raises(ConfigError, match="precipitation"):
        quantity("rainn")


def test_standard_names_lead_to_entries_that_there_are():
    for name, found in STANDARD_NAMES.items():
        assert found and all(other in quantity_names() for other in found), name
        assert name not in {entry.standard_name for entry in CATALOGUE}, name


def test_no_ramp_of_a_quantity_has_a_neutral_middle_and_warm_is_red():
    ramps = {entry.ramp for entry in CATALOGUE}
    assert ramps <= {"YlGnBu", "Viridis", "RdYlBu_r", "YlOrRd", "YlGn", "Blues", "Magma"}
    assert {entry.ramp for entry in CATALOGUE if entry.units == "degC"} == {"RdYlBu_r"}


def test_every_ramp_is_known_to_the_charts():
    colormaps = pytest.importorskip("matplotlib").colormaps
    known = {name.lower() for name in colormaps}
    assert {entry.ramp.lower() for entry in CATALOGUE} <= known


def test_every_terrain_map_is_a_quantity():
    kinds = {name: quantity(name).kind for name in TERRAIN_MAPS}
    assert kinds.pop("flow_direction") == "class" and set(kinds.values()) == {"static"}
    assert (quantity("aspect_sin").minimum, quantity("aspect_cos").maximum) == (-1.0, 1.0)


# Names that datasets and model files of earlier versions hold.
EARLIER = (
    "precipitation pet evapotranspiration runoff inwater recharge temperature soil_moisture soil_water snow "
    "groundwater_storage groundwater_head water_depth discharge radiation humidity wind elevation slope upstream_area "
    "property land_cover soil_class class_map other"
).split()


def test_names_of_earlier_versions_stay_with_their_units():
    assert set(EARLIER) <= set(quantity_names())
    units = {name: quantity(name).units for name in EARLIER}
    assert (units["precipitation"], units["soil_moisture"], units["discharge"]) == ("mm/d", "-", "m3/s")
    assert (units["humidity"], units["groundwater_head"], units["snow"]) == ("g/kg", "m", "mm")


def test_extremes_of_temperature_stay_extremes_and_amounts_are_summed():
    found = {
        name: quantity(name).aggregation for name in ("temperature", "temperature_max", "temperature_min", "sunshine")
    }
    assert list(found.values()) == ["mean", "maximum", "minimum", "sum"]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("precipitation_1995-02-01.tif", datetime(1995, 2, 1)),
        ("RAD_NL25_RAP_5min_201008260005.h5", datetime(2010, 8, 26, 0, 5)),
        ("p_19950201T0600_v2", datetime(1995, 2, 1, 6)),
        ("x_2015.032.tif", datetime(2015, 2, 1)),
        ("sum_1995-02.tif", datetime(1995, 2, 1)),
        ("1993-07-04T06:30:00", datetime(1993, 7, 4, 6, 30)),
        ("P0000000.001", None),
        ("tile_4000_1234567", None),
        ("19951345", None),
    ],
)
def test_dates_are_found_in_names(text, date):
    assert find_date(text) == date


def test_dates_and_steps_read_as_a_person_writes_them():
    assert (
        format_date(datetime(1993, 7, 4)) == "1993-07-04" and format_date(datetime(1993, 7, 4, 6)) == "1993-07-04T06:00"
    )
    assert [format_step(s) for s in (86400, 21600, 300, 172800)] == ["1 day", "6 hours", "5 minutes", "2 days"]
    assert step_of([datetime(1993, 1, d) for d in (1, 2, 3, 7)]) == 86400.0 and step_of([datetime(1993, 1, 1)]) is None
    with pytest.raises(DataError, match="not a date"):
        parse_date("4 July")


def test_a_grid_covers_its_extent_and_finds_cells():
    grid = Grid.from_extent("EPSG:3035", (0, 0, 100, 50), 10, 10)
    assert grid.shape == (5, 10) and grid.extent == (0, 0, 100, 50)
    assert grid.cell_at(0.1, 49.9) == (0, 0) and grid.cell_at(99.9, 0.1) == (4, 9)
    assert grid.centres()[1][0] == 45.0
    with pytest.raises(DataError, match="outside the grid"):
        grid.cell_at(101, 1)


@pytest.mark.parametrize("extent", [(1, 0, 0, 1), (0, 1, 1, 0)])
def test_an_empty_extent_is_refused(extent):
    with pytest.raises(DataError, match="empty"):
        Grid.from_extent("EPSG:4326", extent, 1, 1)


def test_a_grid_without_crs_is_refused():
    with pytest.raises(DataError, match="no coordinate reference system"):
        Grid("", 0, 0, 1, 1, 1, 1)
