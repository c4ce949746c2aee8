"""Units as they stand in files, and the conversions between them."""

from __future__ import annotations

import pytest

from freshet.core.contracts import DataError
from freshet.core.contracts.steps import MONTH
from freshet.core.contracts.units import convert, is_declared, is_known, needs_step, normalise

DAY = 86400.0


@pytest.mark.parametrize(
    ("spelled", "wanted"),
    [
        (spelling, wanted)
        for wanted, spellings in {
            "mm/d": "mm/d|mm day**-1|mm d-1|mm.d-1|mm/day|mmday-1|MM/DAY|mm d^{-1}|mm·d⁻¹|[mm/d]|(mm)/(d)|mm per day|"
            "millimetres per day|mm*day^-1|mmd-1|mm  day-1|mm/Day",
            "mm/h": "mm h-1|mm/hr|mmhr-1|mm/hour|mm hour**-1",
            "mm/6h": "mm/6h|mm/(6h)|mm/6 hours|mm/6hr|mm (6h)-1",
            "mm/month": "mm/month|mm month-1|mm/mon|mm per month|mm/mo",
            "mm/year": "mm/year|mm a-1|mm/yr|mm yr-1|mm/a",
            "mm": "mm|[mm]|MM|millimeter|mm of water equivalent|mm w.e.|mm SWE|mm H2O|mmwe",
            "m": "m|metre|meters|m of water equivalent|m a.s.l.|m asl|masl|mbgl|m above sea level",
            "kg/m2/s": "kg m-2 s-1|kg m**-2 s**-1|kg/m2/s|kg/m^2/s|kgm-2s-1|kg.m-2.s-1|kg/(m2 s)|kg m⁻² s⁻¹|kg*m-2*s-1",
            "kg/m2": "kg m-2|kg m**-2|kg/m^2|kgm-2|kg/m²|kg m-2 (water)",
            "m3/s": "m3/s|m3 s-1|m**3 s**-1|m^3/s|m³/s|m3s-1|cms|cumecs|cumec|m3/sec|cubic metres per second|m3.s-1",
            "ft3/s": "cfs|ft3/s|ft^3/s|cubic feet per second|cusecs|ft3 s-1",
            "m3/d": "m3/d|m3 d-1|m3/day|m^3/day|m3 day**-1",
            "Ml/d": "Ml/d|ML/d|ML/day|megalitres per day",
            "hm3/d": "hm3/d|hm^3 d-1",
            "degC": "degC|°C|deg C|degrees_C|Celsius|celsius|C|℃|oC|degree_Celsius|Degrees C|deg. C|degrees Celsius",
            "K": "K|Kelvin|kelvin|degK|k|°K",
            "degF": "degF|F|Fahrenheit|deg F",
            "-": "-|1||none|unitless|dimensionless|fraction|[-]|(0 - 1)|0-1|s m-1/3",
            "%": "%|percent|pct|[%]|Percent",
            "m3/m3": "m3/m3|m3 m-3|m**3 m**-3|m^3/m^3|m³ m⁻³|m3 m**-3",
            "W/m2": "W/m2|W m-2|W m**-2|W/m^2|Wm-2|W.m-2|W m⁻²|watt/m2|Watts m-2",
            "J/m2": "J m-2|J m**-2|J/m^2",
            "MJ/m2/d": "MJ/m2/d|MJ m-2 d-1|MJ m-2 day-1",
            "g/cm3": "g/cm3|g cm-3|g/cm^3",
            "g/kg": "g/kg|g kg-1|gkg-1|g kg**-1",
            "hPa": "hPa|hpa|HPA",
            "mbar": "mbar|mb|millibars",
            "m/s": "m/s|m s-1|m s**-1|ms-1|m*s^-1|metres per second",
            "km/h": "km/h|km h-1|kph|kmh",
            "kn": "kn|knots|kt|knot",
            "deg": "deg|degree|degrees|degrees_north|degree_east|°",
            "rad": "rad|radians|radian",
            "h": "h|hours|hr|hour",
            "d": "d|days|day",
            "km2": "km2|km^2|km²|sq. km|square km",
            "inch": "in|inch|inches",
            "l/s": "l/s|L/s|l s-1|liters per second|lps",
            "1000 m3/s": "10^3 m3/s|1e3 m3/s|10**3 m3 s-1",
            "0.1 mm": "0.1 mm|0.1mm",
            "m2/s2": "m2 s-2|m**2 s**-2",
            "dBZ": "dBZ|dbz",
            "1/d": "1/d|d-1|/d|per day",
        }.items()
        for spelling in spellings.split("|")
    ],
)
def test_spellings_in_the_wild_have_one_form(spelled, wanted):
    assert normalise(spelled) == wanted and is_known(spelled)
    assert normalise(wanted) == wanted


@pytest.mark.parametrize(
    "odd",
    ["furlong", "bushels", "mm/fortnight", "mm/", "m a", "mbmb", "days since 2000-01-01", "log10(m3/s)", "mm/d/", "~",
     "kg m-2 s-1 x", "103^2 m", "2**3 mm", "unknown", "n/a", "µ"],
)  # fmt: skip
def test_what_is_no_unit_is_not_known_and_kept_as_it_is(odd):
    assert not is_known(odd) and normalise(f" {odd} ") == odd


@pytest.mark.parametrize("text", ["", " ", "unknown", "Unknown", "n/a", "?", "[unknown]", "not available", "undefined"])
def test_a_source_that_does_not_say_its_unit(text):
    assert not is_declared(text)


@pytest.mark.parametrize("text", ["-", "1", "none", "mm", "furlong"])
def test_a_source_that_says_its_unit(text):
    assert is_declared(text)


@pytest.mark.parametrize(
    ("source", "target", "value", "wanted"),
    [
        ("mm/month", "mm/d", MONTH / DAY, 1.0),
        ("mm/year", "mm/d", 365.2425, 1.0),
        ("kg m-2 h-1", "mm/d", 1.0, 24.0),
        ("m/s", "mm/d", 1e-3 / DAY, 1.0),
        ("m d-1", "mm/d", 0.002, 2.0),
        ("inch/d", "mm/d", 1.0, 25.4),
        ("inch", "mm", 2.0, 50.8),
        ("ft", "m", 10.0, 3.048),
        ("cfs", "m3/s", 1000.0, 28.316846592),
        ("l/s", "m3/s", 1.0, 1e-3),
        ("m3/d", "m3/s", DAY, 1.0),
        ("hm3/d", "m3/s", 0.0864, 1.0),
        ("Ml/d", "m3/s", 86.4, 1.0),
        ("l/s/km2", "mm/d", 1.0, 0.0864),
        ("degF", "K", 32.0, 273.15),
        ("0.1 degC", "degC", 215.0, 21.5),
        ("MJ/m2/d", "W/m2", 0.0864, 1.0),
        ("kPa", "hPa", 101.3, 1013.0),
        ("mbar", "Pa", 1.0, 100.0),
        ("mmHg", "hPa", 1.0, 1.33322387415),
        ("%", "-", 35.0, 0.35),
        ("m3/m3", "-", 0.35, 0.35),
        ("m3/m3", "%", 0.35, 35.0),
        ("kg/kg", "g/kg", 0.012, 12.0),
        ("1", "g/kg", 0.012, 12.0),
        ("g/kg", "%", 250.0, 25.0),
        ("kg m-2", "mm", 12.0, 12.0),
        ("mm", "kg m-2", 12.0, 12.0),
        ("cm", "mm", 3.0, 30.0),
        ("g/cm3", "kg/m3", 1.3, 1300.0),
        ("cg/cm3", "g/cm3", 130.0, 1.3),
        ("rad", "deg", 3.141592653589793, 180.0),
        ("km/h", "m/s", 36.0, 10.0),
        ("knots", "m/s", 10.0, 5.14444444),
        ("m/s", "m/d", 1e-5, 0.864),
        ("hours", "s", 2.0, 7200.0),
        ("s", "h", 36000.0, 10.0),
        ("days", "hours", 1.5, 36.0),
        ("m2 s-2", "m", 9806.65, 1000.0),
        ("km3", "hm3", 1.0, 1000.0),
        ("ha", "km2", 250.0, 2.5),
    ],
)
def test_conversions_by_their_definition(source, target, value, wanted):
    scale, offset = convert(source, target)
    assert value * scale + offset == pytest.approx(wanted, rel=1e-7)
    back, shift = convert(target, source) if source != "m2 s-2" else (1 / scale, 0.0)
    assert wanted * back + shift == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize(
    ("source", "target", "step", "wanted"),
    [
        ("mm", "mm/d", 3600.0, 24.0),
        ("m of water equivalent", "mm/d", 3600.0, 24000.0),
        ("kg m-2", "mm/d", 3 * 3600.0, 8.0),
        ("mm", "mm/d", 31 * DAY, 1 / 31),
        ("mm", "mm/d", MONTH, DAY / MONTH),
        ("J m**-2", "W/m2", 3600.0, 1 / 3600),
        ("J m**-2", "W/m2", DAY, 1 / DAY),
        ("hm3", "m3/s", DAY, 1e6 / DAY),
        ("Ml", "m3/s", 3600.0, 1000 / 3600),
        ("mm/month", "mm/d", 28 * DAY, 1 / 28),
        ("mm/month", "mm/d", 31 * DAY, 1 / 31),
        ("mm/month", "mm/d", DAY, DAY / MONTH),
        ("mm/month", "mm/d", 3 * MONTH, DAY / MONTH),
        ("mm/year", "mm/d", 366 * DAY, 1 / 366),
        ("mm/d", "mm/d", 3600.0, 1.0),
        ("mm/h", "mm/d", 6 * 3600.0, 24.0),
    ],
)
def test_what_is_gathered_in_a_step_becomes_a_rate_by_its_length(source, target, step, wanted):
    scale, offset = convert(source, target, step)
    assert (scale, offset) == (pytest.approx(wanted, rel=1e-12), 0.0)


@pytest.mark.parametrize(
    ("source", "target", "step", "wanted"),
    [
        ("m3/s", "mm/d", DAY, 86.4 / 4250.6),
        ("mm/d", "m3/s", DAY, 4250.6 / 86.4),
        ("cfs", "mm/d", DAY, 0.028316846592 * 86.4 / 4250.6),
        ("mm/h", "m3/s", DAY, 4250.6 / 3.6),
        ("mm", "m3/s", 3600.0, 4250.6 / 3.6),
        ("hm3", "mm/d", DAY, 1000 / 4250.6),
    ],
)
def test_discharge_and_depth_by_the_area_that_drains(source, target, step, wanted):
    assert convert(source, target, step, area_km2=4250.6) == (pytest.approx(wanted, rel=1e-12), 0.0)
    with pytest.raises(DataError, match="only by the area of the basin"):
        convert(source, target, step)


def test_a_known_area_changes_nothing_else():
    assert convert("K", "degC", area_km2=5.0) == (1.0, -273.15)
    assert convert("m3/s", "m3/d", area_km2=5.0) == (86400.0, 0.0)


def test_a_metre_a_second_is_rain_or_wind_by_what_is_wanted():
    assert convert("m s-1", "mm/d") == (86400000.0, 0.0)
    assert convert("m s-1", "m/s") == (1.0, 0.0)
    assert convert("m s-1", "km/h") == (3.6, 0.0)


def test_a_way_of_the_wind_is_not_gathered_water():
    with pytest.raises(DataError, match="a unit of speed"):
        convert("m", "m/s", 3600.0)


def test_only_conversions_of_gathered_amounts_need_the_step():
    assert needs_step("mm", "mm/d") and needs_step("mm/month", "mm/d") and needs_step("J m-2", "W/m2")
    assert not needs_step("kg m-2 s-1", "mm/d") and not needs_step("K", "degC") and not needs_step("mm", "mm")
    assert needs_step("mm", "m3/s", area_km2=10.0)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("mm/d", "mm", "a unit of depth rate"),
        ("m3 m-3", "mm", "Multiply it with the depth of the layer"),
        ("m/m", "deg", "tangent of its angle"),
        ("%", "deg", "tangent of its angle"),
        ("kg/kg", "m3/m3", "ratio of volumes"),
        ("dBZ", "-", "reflectivity"),
        ("hPa", "degC", "a unit of pressure"),
        ("W/m2", "mm/d", "energy flux"),
    ],
)
def test_what_cannot_be_converted_says_why(source, target, words):
    with pytest.raises(DataError, match="cannot be converted") as caught:
        convert(source, target)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "near"), [("mm/dya", "mm/d"), ("m3/sek", "m3/s"), ("degCelcius", "degC"), ("kg m-2 s1x", "kg m-2 s-1")]
)
def test_an_unknown_unit_names_near_ones(typed, near):
    with pytest.raises(DataError, match="is not known") as caught:
        convert(typed, "mm/d")
    assert near in caught.value.expected and caught.value.remedy


def test_an_unknown_unit_that_resembles_none_gets_examples():
    with pytest.raises(DataError, match="'zzzzzz' is not known.*for example mm/d"):
        convert("zzzzzz", "mm/d")
    with pytest.raises(DataError, match="'unknown' says nothing"):
        convert("unknown", "mm/d")


def test_a_step_of_no_length_is_refused():
    with pytest.raises(DataError, match="without a step"):
        convert("mm", "mm/d", 0.0)
