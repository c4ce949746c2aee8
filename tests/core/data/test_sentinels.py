"""Undeclared marks of missing values are found, and what was measured is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.core.contracts.units import convert
from freshet.core.contracts.variables import quantity, quantity_names
from freshet.core.data.sentinels import replace, sentences, suspects

PACKS = Path(__file__).resolve().parents[4] / "shared" / "data"
RANDOM = np.random.default_rng(7)
SIZE = 20000


def _rain(size=SIZE):
    return np.where(RANDOM.random(size) < 0.6, 0.0, RANDOM.gamma(0.8, 6.0, size)).astype(np.float32)


def _normal(mean, width, low, high, size=SIZE):
    return np.clip(RANDOM.normal(mean, width, size), low, high).astype(np.float32)


# What each quantity looks like in its own unit.
REAL = {
    "precipitation": _rain(),
    "inwater": np.where(RANDOM.random(SIZE) < 0.9, 0.0, RANDOM.gamma(0.3, 90.0, SIZE)).astype(np.float32),
    "pet": _normal(2.5, 1.5, 0.0, 9.0),
    "evapotranspiration": _normal(1.5, 1.5, -1.0, 8.0),
    "runoff": RANDOM.gamma(0.4, 3.0, SIZE).astype(np.float32),
    "temperature": _normal(5.0, 12.0, -48.0, 41.0),
    "temperature_min": _normal(-20.0, 15.0, -68.0, 20.0),
    "soil_moisture": _normal(0.28, 0.09, 0.01, 0.62),
    "soil_water": _normal(280.0, 90.0, 4.0, 690.0),
    "snow": np.where(RANDOM.random(SIZE) < 0.7, 0.0, RANDOM.gamma(1.0, 60.0, SIZE)).astype(np.float32),
    "groundwater_storage": _normal(0.0, 60.0, -300.0, 300.0),
    "groundwater_head": _normal(33.0, 2.0, 25.0, 42.0),
    "water_depth": np.where(RANDOM.random(SIZE) < 0.8, 0.0, RANDOM.gamma(1.0, 0.7, SIZE)).astype(np.float32),
    "discharge": RANDOM.lognormal(4.0, 1.5, SIZE).astype(np.float32),
    "shortwave_radiation": np.where(RANDOM.random(SIZE) < 0.5, 0.0, RANDOM.random(SIZE) * 900.0).astype(np.float32),
    "relative_humidity": np.minimum(_normal(80.0, 15.0, 10.0, 130.0), 100.0),
    "pressure": _normal(990.0, 20.0, 850.0, 1040.0),
    "wind_u": _normal(0.0, 6.0, -35.0, 35.0),
    "elevation": _normal(450.0, 300.0, -6.0, 2900.0),
    "slope": RANDOM.gamma(1.2, 6.0, SIZE).clip(0, 80).astype(np.float32),
    "ndvi": _normal(0.4, 0.25, -0.3, 0.95),
    "snow_cover": np.where(RANDOM.random(SIZE) < 0.5, 100.0, np.round(RANDOM.random(SIZE) * 100)).astype(np.float32),
    "upstream_area": RANDOM.lognormal(2.0, 2.5, SIZE).astype(np.float32),
    "standardised": _normal(0.0, 1.0, -5.0, 6.0),
    "aspect": np.where(RANDOM.random(SIZE) < 0.1, -1.0, RANDOM.random(SIZE) * 360).astype(np.float32),
    "land_cover": RANDOM.choice([1, 2, 3, 11, 12, 41, 42, 95], SIZE).astype(np.float32),
    "flow_direction": RANDOM.choice([1, 2, 4, 8, 16, 32, 64, 128, 255], SIZE).astype(np.float32),
    "other": _normal(120.0, 40.0, 0.0, 300.0),
    "property": _normal(30.0, 12.0, 2.0, 70.0),
}
MARKS = (-9999.0, -9999.9, -99999.0, -32768.0, 1e20, 9.96921e36, -3.4028235e38)


def _with(values, mark, share=0.12, seed=1):
    marked = np.array(values, dtype=np.float32)
    marked[np.random.default_rng(seed).random(marked.size) < share] = mark
    return marked


@pytest.mark.parametrize("name", REAL)
def test_what_was_measured_is_left_alone(name):
    assert suspects(REAL[name], name) == ()


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("name", REAL)
def test_a_common_mark_is_found_in_every_quantity(name, mark):
    found = suspects(_with(REAL[name], mark), name)
    assert found == (pytest.approx(mark, rel=1e-6),)


@pytest.mark.parametrize(
    "name", [name for name in REAL if quantity(name).maximum < 1e6 and quantity(name).kind != "class"]
)
def test_a_mark_outside_the_plausible_is_found_where_it_stands_but_once(name):
    values = REAL[name].copy()
    values[77] = -32768.0
    assert suspects(values, quantity(name)) == (-32768.0,)


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("discharge", -1.0), ("discharge", -999.0), ("precipitation", -1.0), ("precipitation", -99.9),
        ("precipitation", 9999.0), ("precipitation", -1.2345), ("inwater", -1.2345), ("soil_moisture", -1.0),
        ("soil_moisture", 255.0), ("temperature", -99.9), ("temperature", -99.0), ("temperature", 999.0),
        ("temperature_min", -999.0), ("elevation", -999.0), ("ndvi", -99.0), ("relative_humidity", -1.0),
        ("groundwater_head", -999.0), ("groundwater_head", 9999.0), ("snow_cover", 255.0), ("standardised", -99.0),
        ("land_cover", 65535.0), ("land_cover", 32767.0), ("slope", -1.0), ("water_depth", -999.0),
        ("soil_moisture", 5.5), ("temperature", 777.0), ("discharge", -5555.0), ("elevation", -3333.0),
    ],
)  # fmt: skip
def test_a_small_or_odd_mark_that_comes_back_where_no_value_can_be(name, mark):
    assert suspects(_with(REAL[name], mark), name) == (pytest.approx(mark, rel=1e-6),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("evapotranspiration", -1.0), ("temperature", -1.0), ("groundwater_storage", -99.0), ("standardised", -1.0),
        ("aspect", -1.0), ("elevation", -99.0), ("pressure", 999.0), ("discharge", 255.0), ("discharge", 999.0),
        ("soil_water", 254.0), ("elevation", 255.0), ("other", -1.0), ("relative_humidity", 100.0), ("snow_cover", 0.0),
        ("wind_u", -1.0), ("upstream_area", 9999.0), ("ndvi", -1.0),
    ],
)  # fmt: skip
def test_a_plausible_value_that_comes_back_is_no_mark(name, value):
    assert suspects(_with(REAL[name], value), name) == ()


def test_the_mark_of_a_byte_in_classes_only_when_far_off():
    near = np.r_[np.arange(0, 251), [255] * 50].astype(np.float32)
    assert suspects(near, "land_cover") == ()
    assert suspects(_with(REAL["soil_moisture"] * 0 + np.arange(SIZE) % 7, 255.0), "soil_class") == (255.0,)
    assert suspects(np.array([0, 255] * 500), "class_map") == ()  # a picture in black and white


def test_integers_that_are_scaled_are_no_marks():
    tenths = np.round(REAL["temperature"] * 10)  # 0.1 degC, declared as degC
    assert -99.0 in tenths and suspects(tenths, "temperature") == ()
    assert suspects(_with(tenths, -9999.0), "temperature") == (-9999.0,)
    assert suspects(_with(tenths, -32768.0), "temperature") == (-32768.0,)
    percent = np.round(REAL["soil_moisture"] * 100)  # %, declared as a fraction
    assert suspects(percent, "soil_moisture") == ()
    assert suspects(_with(percent, -9999.0), "soil_moisture") == (-9999.0,)
    assert suspects(np.round(REAL["ndvi"] * 1e4), "ndvi") == ()
    assert suspects(np.round(REAL["elevation"]).astype(np.int16), "elevation") == ()


def test_a_wrong_unit_is_no_mark():
    assert suspects(REAL["temperature"] + 273.15, "temperature") == ()
    assert suspects(np.round(REAL["temperature"] + 273.15), "temperature") == ()
    assert suspects(REAL["precipitation"] * 1000, "precipitation") == ()
    assert suspects(_with(REAL["temperature"] + 273.15, -9999.0), "temperature") == (-9999.0,)


def test_the_plausible_range_follows_the_unit_of_the_source():
    kelvin = REAL["temperature"] + np.float32(273.15)
    scale, offset = convert("K", "degC")
    assert suspects(kelvin, "temperature", scale, offset) == ()
    assert suspects(_with(kelvin, 0.0), "temperature", scale, offset) == (0.0,)
    assert suspects(_with(kelvin, -1.0), "temperature", scale, offset) == (-1.0,)
    flux = REAL["precipitation"] / np.float32(86400)
    scale, offset = convert("kg m-2 s-1", "mm/d")
    assert suspects(flux, "precipitation", scale, offset) == ()
    assert suspects(_with(flux, -1.0), "precipitation", scale, offset) == (-1.0,)
    assert suspects(_with(flux, 99.0), "precipitation", scale, offset) == (99.0,)


def test_packed_zeros_just_below_zero_are_measured():
    packed = np.where(REAL["precipitation"] == 0, np.float32(-1.2e-18), REAL["precipitation"])
    assert suspects(packed, "precipitation") == ()
    noisy = np.where(REAL["precipitation"] == 0, np.float32(-0.004), REAL["precipitation"])
    assert suspects(noisy, "precipitation") == ()
    assert suspects(_with(packed, -9999.0), "precipitation") == (-9999.0,)


def test_several_marks_of_one_file_are_all_found():
    values = _with(_with(_with(REAL["snow_cover"], 237.0), 239.0, seed=2), 250.0, seed=3)
    assert suspects(values, "snow_cover") == (237.0, 239.0, 250.0)
    assert suspects(_with(_with(REAL["discharge"], -9999.0), -1.0, seed=2), "discharge") == (-9999.0, -1.0)


def test_a_stray_outlier_is_no_mark():
    values = REAL["soil_moisture"].copy()
    values[5] = 3.7
    assert suspects(values, "soil_moisture") == ()


def test_all_missing_nothing_and_a_constant():
    assert suspects(np.full(100, -9999.0), "precipitation") == (-9999.0,)
    assert suspects(np.full(100, -9999.0), "other") == (-9999.0,)
    assert suspects(np.full(100, np.nan), "precipitation") == ()
    assert suspects(np.zeros(0), "precipitation") == ()
    assert suspects(np.zeros(100), "precipitation") == ()
    assert suspects(np.array([0.0] * 90 + [-9999.0] * 10), "precipitation") == (-9999.0,)


def test_marks_become_nan_and_nothing_else():
    values = np.array([[1.0, -9999.0, -9999.9], [0.0, 9.96921e36, -1.2345]], dtype=np.float32)
    kept = values.copy()
    done = replace(values, (-9999.0, -9999.9, 9.96921e36))
    np.testing.assert_array_equal(done, np.array([[1, np.nan, np.nan], [0, np.nan, -1.2345]], dtype=np.float32))
    np.testing.assert_array_equal(values, kept)
    assert done.dtype == np.float32
    assert replace(values, ()) is values and replace(values, (7.0,)) is values
    integers = replace(np.array([1, -32768], dtype=np.int16), (-32768.0,))
    assert integers.dtype == np.float32 and np.isnan(integers[1]) and integers[0] == 1


def test_near_values_are_told_apart():
    values = np.array([-9999.0, -9998.5, -9999.9], dtype=np.float32)
    np.testing.assert_array_equal(np.isnan(replace(values, (-9999.0,))), [True, False, False])


def test_the_sentence_says_value_and_share():
    sample = np.array([-9999.0] * 12 + [1.0] * 88)
    assert sentences(sample, (-9999.0,)) == [
        "The value -9999 (12 % of a sample) is taken as missing; it is not declared."
    ]
    odd = np.array([9.96921e36] + [1.0] * 999, dtype=np.float32)
    assert sentences(odd, suspects(odd, "pet"))[0].startswith("The value 9.96921e+36 (0.1 % of a sample)")
    rare = np.array([-1.2345] + [1.0] * 9999)
    assert "-1.2345 (less than 0.1 % of a sample)" in sentences(rare, (-1.2345,))[0]
    assert sentences(sample, ()) == []


def test_every_quantity_can_be_asked():
    values = _normal(0.5, 0.2, 0.0, 1.0)
    for name in quantity_names():
        assert -9999.0 in suspects(_with(values, -9999.0), name), name


@pytest.mark.skipif(not PACKS.is_dir(), reason="the data packs are not there")
def test_real_files_hide_no_mark_and_are_left_alone():
    from netCDF4 import Dataset

    files = {
        "mhm_moselle/mhm_moselle_4km_1990_1993.nc": (
            "pre",
            "tavg",
            "sm_l1",
            "snowpack",
            "gw_storage",
            "q_routed",
            "aet",
        ),
        "smap_conus/smap_nldas_conus_2015_2017.nc": ("sm_smap", "precip", "swdown", "qair", "wind"),
        "radar_knmi/knmi_rain_rate_5min_20100826.nc": ("rain_rate",),
        "freyberg_gw/freyberg_heads_daily_2015_2017.nc": ("head_l1", "recharge", "pumping"),
    }
    from freshet.core.contracts.variables import guess_quantity

    for path, names in files.items():
        with Dataset(str(PACKS / path)) as handle:
            for name in names:
                variable = handle[name]
                variable.set_auto_mask(False)
                raw = np.asarray(variable[::37])
                entry = guess_quantity(name, getattr(variable, "standard_name", ""), variable.units)
                scale, offset = convert(variable.units, entry.units)
                hidden = (-9999.0,) if (raw == -9999.0).any() else ()
                assert suspects(raw, entry, scale, offset) == hidden, (path, name)
                assert suspects(replace(raw, (-9999.0,)), entry, scale, offset) == (), (path, name)
