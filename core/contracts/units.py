"""Units that hydrologists write, and the linear conversions between them.

A unit is read as a product of symbols ("kg m-2 s-1", "mm/6h", "m**3 s**-1"), so that every spelling and every mixture of
known symbols is understood. ``convert`` gives ``(scale, offset)`` so that ``value_to = value_from * scale + offset``.
Water is counted at 1000 kg m-3. What was gathered over a step (mm, J m-2, m3) becomes a rate by the length of the step,
a discharge becomes a depth by the area that it drains.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

from .errors import DataError
from .steps import MONTH

_DAY = 86400.0
_GRAVITY = 9.80665  # m s-2, turns geopotential into height
_WATER = 1000.0  # kg m-3

# Powers of length, mass, time, temperature, angle, logarithm; scale to m, kg, s, K, degrees.
_LENGTH, _MASS, _TIME, _KELVIN = (1, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0), (0, 0, 0, 1, 0, 0)
_ANGLE, _LOG, _NONE = (0, 0, 0, 0, 1, 0), (0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0)
_VOLUME, _AREA, _SPEED = (3, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0), (1, 0, -1, 0, 0, 0)
_ENERGY, _POWER, _PRESSURE = (2, 1, -2, 0, 0, 0), (2, 1, -3, 0, 0, 0), (-1, 1, -2, 0, 0, 0)
_FLOW, _ENERGY_DEPTH, _FLUX = (3, 0, -1, 0, 0, 0), (0, 1, -2, 0, 0, 0), (0, 1, -3, 0, 0, 0)
_GEOPOTENTIAL = (2, 0, -2, 0, 0, 0)

# symbol as Freshet writes it: (dimension, scale, further spellings in lower case; plurals are understood)
_SYMBOLS = {
    "mm": (_LENGTH, 1e-3, "millimetre millimeter"), "cm": (_LENGTH, 0.01, "centimetre centimeter"),
    "dm": (_LENGTH, 0.1, ""), "m": (_LENGTH, 1.0, "metre meter mtr"), "km": (_LENGTH, 1e3, "kilometre kilometer"),
    "hm": (_LENGTH, 100.0, ""), "um": (_LENGTH, 1e-6, "μm micron"), "inch": (_LENGTH, 0.0254, "in inches"),
    "ft": (_LENGTH, 0.3048, "foot feet"), "mi": (_LENGTH, 1609.344, "mile"), "yd": (_LENGTH, 0.9144, "yard"),
    "kg": (_MASS, 1.0, "kilogram kilogramme"), "g": (_MASS, 1e-3, "gram gramme"), "mg": (_MASS, 1e-6, "milligram"),
    "cg": (_MASS, 1e-5, ""), "dg": (_MASS, 1e-4, ""), "t": (_MASS, 1e3, "tonne"), "Mg": (_MASS, 1e3, "megagram"),
    "s": (_TIME, 1.0, "sec second"), "min": (_TIME, 60.0, "minute mins"), "h": (_TIME, 3600.0, "hr hour"),
    "d": (_TIME, _DAY, "day dy"), "week": (_TIME, 7 * _DAY, "wk"), "month": (_TIME, 0.0, "mon mo mth"),
    "year": (_TIME, 0.0, "yr y a annum"),
    "l": (_VOLUME, 1e-3, "litre liter ltr"), "ml": (_VOLUME, 1e-6, "millilitre milliliter"),
    "Ml": (_VOLUME, 1e3, "megalitre megaliter"), "Gl": (_VOLUME, 1e6, "gigalitre gigaliter gl"),
    "gal": (_VOLUME, 3.785411784e-3, "gallon"), "acft": (_VOLUME, 1233.48183754752, ""),
    "ha": (_AREA, 1e4, "hectare"), "acre": (_AREA, 4046.8564224, "ac"),
    "J": (_ENERGY, 1.0, "joule"), "kJ": (_ENERGY, 1e3, "kilojoule"), "MJ": (_ENERGY, 1e6, "megajoule"),
    "cal": (_ENERGY, 4.184, "calorie"), "Ly": (_ENERGY_DEPTH, 41840.0, "langley"), "Wh": (_ENERGY, 3600.0, ""),
    "kWh": (_ENERGY, 3.6e6, ""), "W": (_POWER, 1.0, "watt"), "kW": (_POWER, 1e3, "kilowatt"),
    "mW": (_POWER, 1e-3, "milliwatt"),
    "Pa": (_PRESSURE, 1.0, "pascal"), "hPa": (_PRESSURE, 100.0, "hectopascal"), "kPa": (_PRESSURE, 1e3, "kilopascal"),
    "MPa": (_PRESSURE, 1e6, "megapascal"), "mbar": (_PRESSURE, 100.0, "mb millibar"), "bar": (_PRESSURE, 1e5, ""),
    "mmHg": (_PRESSURE, 133.322387415, ""), "atm": (_PRESSURE, 101325.0, ""),
    "K": (_KELVIN, 1.0, "kelvin degk °k"), "degC": (_KELVIN, 1.0, "celsius °c"), "degF": (_KELVIN, 5 / 9, "fahrenheit °f"),
    "deg": (_ANGLE, 1.0, "degree ° arcdegree"), "rad": (_ANGLE, 57.29577951308232, "radian"),
    "kn": (_SPEED, 1852 / 3600, "kt knot kts"), "dBZ": (_LOG, 1.0, ""),
    "%": (_NONE, 0.01, "percent pct perc percentage vol%"), "‰": (_NONE, 1e-3, "permil permille"),
}  # fmt: skip
_OFFSETS = {"degC": 273.15, "degF": 459.67 * 5 / 9}
_NAMES = {name: symbol for symbol, (_, _, names) in _SYMBOLS.items() for name in (symbol.lower(), *names.split())}
_NAMES.update({"mg": "mg", "ml": "ml", "mw": "mW", "l": "l"})  # of two that differ by case, lower case is the small one
_EXACT = {**{symbol: symbol for symbol in _SYMBOLS}, "L": "l", "mL": "ml", "ML": "Ml", "GL": "Gl"}

# spellings that are no products
_WHOLE = {
    **dict.fromkeys(
        ("", "-", "--", "1", "none", "unitless", "dimensionless", "fraction", "frac", "ratio", "proportion", "0-1", "0..1",
         "no unit", "no units", "index", "nondimensional", "non-dimensional", "v/v", "vol/vol", "code", "class", "classes",
         "s/m1/3", "s m-1/3", "m-1/3 s", "s/m(1/3)"), "-"),
    "c": "degC", "f": "degF", "cfs": "ft3/s", "cusec": "ft3/s", "cusecs": "ft3/s", "cumec": "m3/s", "cumecs": "m3/s",
    "cms": "m3/s", "cmd": "m3/d", "mgd": "1e6 gal/d", "gpm": "gal/min", "mph": "mi/h", "kph": "km/h", "kmh": "km/h",
    "kmph": "km/h", "lps": "l/s", "mmd": "mm/d", "acre-ft": "acft", "acre ft": "acft", "acre-feet": "acft", "ac-ft": "acft",
    "degrees north": "deg", "degrees east": "deg", "degree north": "deg", "degree east": "deg", "degrees true": "deg",
    "mwe": "m", "mmwe": "mm", "taf": "1e3 acft", "mcm": "hm3", "bcm": "km3", "vol.%": "%", "vol %": "%", "% vol": "%",
}  # fmt: skip
_UNDECLARED = {"", "unknown", "undefined", "unspecified", "n/a", "na", "n.a.", "?", "??", "missing", "not available",
               "not specified", "not known", "null", "nan", "tbd", "various"}  # fmt: skip
_COMMON = (
    "mm/d", "mm/h", "mm/6h", "mm/month", "mm/year", "kg m-2 s-1", "mm", "cm", "m", "inch", "ft", "m/s", "m/d", "km/h", "knots",
    "K", "degC", "degF", "m3/s", "l/s", "m3/d", "hm3/d", "Ml/d", "km3", "ft3/s", "cfs", "W/m2", "J/m2", "MJ/m2/d", "Pa", "hPa",
    "kPa", "mbar", "kg/m2", "kg/m3", "g/cm3", "g/kg", "kg/kg", "m3/m3", "m2", "km2", "ha", "degrees", "rad", "hours", "days",
    "percent", "dBZ",
)  # fmt: skip
_WORDS = {
    _LENGTH: "depth or length", _FLOW: "discharge", _VOLUME: "volume", _AREA: "area", _KELVIN: "temperature",
    _PRESSURE: "pressure", _FLUX: "energy flux", _ENERGY_DEPTH: "energy per area", _ANGLE: "angle", _NONE: "ratio",
    _TIME: "time", (-3, 1, 0, 0, 0, 0): "density", _LOG: "reflectivity", _GEOPOTENTIAL: "geopotential",
}  # fmt: skip
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:e[-+]?\d+)?)|(?P<symbol>[^\W\d_]+|[%°‰][a-z]?)(?P<power>[-+]?\d+)?)",
                    re.IGNORECASE)  # fmt: skip
_DEGREES = re.compile(r"^(?:deg(?:ree)?s?\.?|°|º|o)[\s_]*(c|k|f|celsius|kelvin|fahrenheit)$", re.IGNORECASE)
_PHRASES = (
    (re.compile(r"[\s,(]*(?:of )?(?:liquid )?(?:water[ -]eq(?:uivalent|\.)?|w\.e\.|\bswe\b|h2o\b|of water|\bwater\))\)?",
                re.I), ""),
    (re.compile(r"(?<=m)(?:et(?:re|er)s?)?[\s.]*(?:a\.?m?\.?s\.?l|[ab]\.?g\.?[ls]|above (?:mean )?sea level"
                r"|(?:above|below) ground(?: level| surface)?)\.?$", re.I), ""),
    (re.compile(r"\bac(?:re)?[- ]?f(?:ee)?t\b", re.I), "acft"), (re.compile(r"\((\d+ ?[a-z]+)\)(?:\^|\*\*)?-1", re.I), r"/\1"),
    (re.compile(r"\bcubic[ _](\w+)", re.I), r"\1 3"), (re.compile(r"\b(?:square|sq\.?)[ _](\w+)", re.I), r"\1 2"),
    (re.compile(r"\s*\bper\b\s*", re.I), "/"),
    (re.compile(r"(?<![\w.])10\s*(?:\^|\*\*)\s*\(?([-+]?\d+)\)?"), r"1e\1 "),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?\s*(?:\^|\*\*)"), "?"),
    (re.compile(r"\*\*|\^|[{}]"), ""), (re.compile(r"(?<!\d)\.|\.(?!\d)|[*_·⋅×]"), " "),
)  # fmt: skip


@dataclass(frozen=True)
class _Unit:
    """A unit that was understood: powers of the base dimensions, scale and offset to them, and its one spelling."""

    power: tuple[int, ...]
    scale: float
    offset: float
    text: str
    ratio: str = ""  # "mass" or "volume" where the unit says what a ratio is of


def normalise(unit: str) -> str:
    """The one spelling of a unit that Freshet uses inside ("mm day-1" becomes "mm/d"); unknown ones come back as
    they are.
    """
    found = _parse(unit, MONTH, 12 * MONTH)
    return unit.strip() if found is None else found.text


def is_known(unit: str) -> bool:
    """Whether ``unit`` can be converted at all. An empty one is a number without unit."""
    return _parse(unit, MONTH, 12 * MONTH) is not None


def is_declared(unit: str) -> bool:
    """Whether a source says its unit: "", "unknown", "n/a" and their like say nothing."""
    return unit.strip().strip("[](){}").strip().lower() not in _UNDECLARED


def convert(
    source: str, target: str, step_seconds: float = _DAY, area_km2: Optional[float] = None
) -> tuple[float, float]:
    """``(scale, offset)`` from unit ``source`` to ``target``.

    What is gathered in a step (mm, J m-2, m3) becomes a rate by ``step_seconds``; for calendar months give the length
    of the very month, which "mm/month" takes too (see :func:`needs_step`). m3/s and mm/d are converted by ``area_km2``.
    Raises :class:`DataError` where the two measure different things, a unit is unknown, or the area is missing.
    """
    if normalise(source) == normalise(target):
        return 1.0, 0.0
    if not step_seconds > 0:
        raise DataError(
            f"'{source}' cannot become '{target}' without a step", remedy="Give the step that the values belong to"
        )
    given, wanted = _lookup(source, step_seconds), _lookup(target, step_seconds)
    factor = _bridge(given, wanted, step_seconds, area_km2)
    if factor is None:
        raise _mismatch(source, target, given, wanted)
    return _round(given.scale * factor / wanted.scale), _round((given.offset - wanted.offset) / wanted.scale)


def needs_step(source: str, target: str, area_km2: Optional[float] = None) -> bool:
    """Whether the conversion depends on the length of the step, so that months need one for each of their lengths."""
    short, long = (convert(source, target, days * _DAY, area_km2) for days in (28, 31))
    return short != long


def _bridge(given: _Unit, wanted: _Unit, step_seconds: float, area_km2: Optional[float]) -> Optional[float]:
    """The factor between two base dimensions; None where there is no way."""
    (start, first), (end, last) = _as_water(given.power), _as_water(wanted.power)
    factor = first / last
    if start == end:
        return None if {given.ratio, wanted.ratio} == {"mass", "volume"} else factor
    if start == _GEOPOTENTIAL and end == _LENGTH:
        return factor / _GRAVITY
    # A length is gathered water where a rate of water is asked for, but no way that the wind has gone.
    if start in (_LENGTH, _VOLUME) and end in (_SPEED, _FLOW) and not _is_speed(wanted):
        start, factor = (_SPEED if start == _LENGTH else _FLOW), factor / step_seconds
    if (start, end) == (_ENERGY_DEPTH, _FLUX):
        start, factor = end, factor / step_seconds
    if start != end and {start, end} == {_SPEED, _FLOW}:
        if area_km2 is None:
            raise DataError(
                f"'{given.text}' becomes '{wanted.text}' only by the area of the basin",
                expected="the area that drains to the gauge, in km2",
                remedy="Give the basin area of this source",
            )
        factor = factor / (area_km2 * 1e6) if start == _FLOW else factor * area_km2 * 1e6
        start = end
    return factor if start == end else None


def _round(value: float) -> float:
    """Without the noise of the sixteenth digit: 1000, not 999.9999999999999."""
    return float(f"{value:.15g}")


def _as_water(power: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
    """A mass of water on an area as a depth, with the factor; others as they are."""
    if power[:2] == (-2, 1) and not any(power[3:]):
        return (1, 0, *power[2:]), 1.0 / _WATER
    return power, 1.0


def _is_speed(unit: _Unit) -> bool:
    return unit.power == _SPEED and unit.text in ("m/s", "cm/s", "km/h", "kn", "mi/h", "ft/s")


def _mismatch(source: str, target: str, given: _Unit, wanted: _Unit) -> DataError:
    remedy = "Correct the unit of this source, or choose another variable for it"
    kinds = {_as_water(given.power)[0], _as_water(wanted.power)[0]}
    if kinds == {_NONE, _LENGTH}:
        remedy = "Multiply it with the depth of the layer first, or choose another variable for it"
    if kinds == {_NONE, _ANGLE}:
        remedy = "A slope in m/m or % is the tangent of its angle: choose the slope as a gradient for it"
    return DataError(
        f"The unit '{source}' cannot be converted to '{target}'",
        expected=f"a unit of {_measure(wanted)}, as '{target}' is",
        got=f"'{source}', a unit of {_measure(given)}",
        remedy=remedy,
    )


def _measure(unit: _Unit) -> str:
    power = _as_water(unit.power)[0]
    if power == _SPEED:
        return "speed" if _is_speed(unit) else "depth rate"
    return _WORDS.get(power, "another kind") + {"mass": " of masses", "volume": " of volumes"}.get(unit.ratio, "")


def _lookup(unit: str, step_seconds: float) -> _Unit:
    # Amounts per month or year on a clock of months or years: per that very month or year.
    month = step_seconds if 28 * _DAY <= step_seconds <= 31 * _DAY else MONTH
    year = step_seconds if 365 * _DAY <= step_seconds <= 366 * _DAY else 12 * MONTH
    found = _parse(unit, month, year)
    if found is not None:
        return found
    near = difflib.get_close_matches(unit.strip(), _COMMON, n=3, cutoff=0.5)
    if is_declared(unit):
        problem = f"The unit '{unit}' is not known"
    else:
        problem, near = f"The unit '{unit}' says nothing", []
    raise DataError(
        problem,
        expected=" or ".join(near) if near else "for example mm/d, mm/6h, kg m-2 s-1, mm, K, degC, m3/s, -, %",
        remedy="Give the unit of this source in one of these spellings",
    )


@lru_cache(maxsize=1024)
def _parse(unit: str, month: float, year: float) -> Optional[_Unit]:
    text = _clean(unit)
    whole = _WHOLE.get(text.lower(), _WHOLE.get(text.lower().replace(" ", ""), text))
    if whole == "-":
        return _Unit(_NONE, 1.0, 0.0, "-")
    degrees = _DEGREES.match(whole)
    if degrees:
        whole = {"c": "degC", "k": "K", "f": "degF"}[degrees.group(1)[0].lower()]
    factors: list[tuple[str, int, float]] = []  # symbol, power, number before it
    for index, part in enumerate(whole.replace("(", " ").replace(")", " ").split("/")):
        found = _factors(part, index > 0)
        if found is None or not found and index:
            return None
        # After a slash all stand below, "kg/(m2 s)"; a power that is negative already says so itself.
        factors += [(s, -p if index and p > 0 else p, n) for s, p, n in found]
    return _product(factors, month, year)


def _clean(unit: str) -> str:
    """One alphabet, one minus, no brackets around, words for powers and fractions as signs."""
    text = unicodedata.normalize("NFKC", unit).replace("−", "-").replace("–", "-").strip()
    if text[:1] in ("[", "(", "{") and text[-1:] in ("]", ")", "}") and not re.search(r"[\])}].*[\[({]", text[1:-1]):
        text = text[1:-1].strip()
    if text.lower() in _WHOLE:
        return text
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    # "m 3" comes from "cubic m".
    return re.sub(r"([a-z]) ([23])(?![\d.]|\s*h)", r"\1\2", re.sub(r"\s+", " ", text).strip())


def _factors(part: str, below: bool) -> Optional[list[tuple[str, int, float]]]:
    """(symbol, power, number) of each factor; None where something is not known. ``below``: it stands after a slash."""
    found: list[tuple[str, int, float]] = []
    place, number, attached = 0, 1.0, False
    part = part.strip()
    while place < len(part):
        match = _TOKEN.match(part, place)
        if match is None:
            return None
        place = match.end()
        if match.group("number"):
            number *= float(match.group("number"))
            attached = place < len(part) and not part[place].isspace()
            if place == len(part):
                found.append(("", 1, number))
            continue
        power = int(match.group("power") or 1)
        symbols = _symbols(match.group("symbol"), power < 0)
        # "m a" is no unit, "mm/a" is one.
        if symbols is None or match.group("symbol") in ("a", "y") and power > 0 and not below:
            return None
        for symbol in symbols:
            last = symbol == symbols[-1]
            if power < 0 and number != 1.0 and not attached:
                found.append(("", 1, number))
                number = 1.0
            found.append((symbol, power if last else 1, number))
            number, attached = 1.0, False
    return found


def _symbols(name: str, inverted: bool) -> Optional[list[str]]:
    """One symbol, or two that were written as one word before a negative power ("kgm-2", "mmd-1")."""
    single = _symbol(name)
    if single is not None or not inverted:
        return [single] if single else None
    pairs = ((_symbol(name[:at]), _symbol(name[at:])) for at in range(1, len(name)) if len(name) <= 5)
    return next(([first, second] for first, second in pairs if first and second), None)


def _symbol(name: str) -> Optional[str]:
    if name in _EXACT:
        return _EXACT[name]
    lower = name.lower()
    return _NAMES.get(lower) or (_NAMES.get(lower[:-1]) if lower.endswith("s") and len(lower) > 2 else None)


def _product(factors: list[tuple[str, int, float]], month: float, year: float) -> Optional[_Unit]:
    if not factors:
        return None
    power, scale, above, below = [0] * 6, 1.0, [], []
    for symbol, exponent, number in factors:
        dimension, size = (_SYMBOLS[symbol][:2]) if symbol else (_NONE, 1.0)
        size = {"month": month, "year": year}.get(symbol, size)
        scale *= (number * size) ** exponent
        power = [have + exponent * own for have, own in zip(power, dimension)]
        times = "" if number == 1.0 and symbol else f"{number:.12g}"
        written = symbol + (str(abs(exponent)) if abs(exponent) > 1 else "")
        joined = f"{times} {written}" if times and symbol and exponent > 0 else times + written
        (above if exponent > 0 else below).append(joined)
    text = " ".join(item for item in above if item != "1") or "1"
    alone = len(factors) == 1 and factors[0][1] == 1
    offset = _OFFSETS.get(factors[0][0], 0.0) if alone else 0.0
    kinds = {_SYMBOLS[symbol][0] for symbol, _, _ in factors if symbol} if not any(power) else set()
    ratio = "mass" if kinds == {_MASS} else "volume" if kinds == {_LENGTH} else ""
    return _Unit(tuple(power), scale, offset, "/".join([text, *below]), ratio)
