"""Units that hydrologists write, and the linear conversions between them.

``convert`` gives ``(scale, offset)`` so that ``value_to = value_from * scale + offset``. Amounts per step ("mm" for a
flux) need the step.
"""

from __future__ import annotations

import re

from .errors import DataError

_DAY = 86400.0

# spelling -> (dimension, scale to the dimension's base unit, offset)
_UNITS: dict[str, tuple[str, float, float]] = {
    "mm": ("depth", 1.0, 0.0),
    "cm": ("depth", 10.0, 0.0),
    "m": ("depth", 1000.0, 0.0),
    "km": ("depth", 1e6, 0.0),
    "kgm-2": ("depth", 1.0, 0.0),
    "mm/d": ("depth rate", 1.0, 0.0),
    "cm/d": ("depth rate", 10.0, 0.0),
    "m/d": ("depth rate", 1000.0, 0.0),
    "mm/h": ("depth rate", 24.0, 0.0),
    "mm/s": ("depth rate", _DAY, 0.0),
    "m/s": ("speed", 1.0, 0.0),
    "kgm-2s-1": ("depth rate", _DAY, 0.0),
    "degc": ("temperature", 1.0, 0.0),
    "k": ("temperature", 1.0, -273.15),
    "degf": ("temperature", 5.0 / 9.0, -32.0 * 5.0 / 9.0),
    "m3/s": ("discharge", 1.0, 0.0),
    "l/s": ("discharge", 1e-3, 0.0),
    "m3/d": ("discharge", 1.0 / _DAY, 0.0),
    "-": ("ratio", 1.0, 0.0),
    "%": ("ratio", 0.01, 0.0),
    "m3/m3": ("ratio", 1.0, 0.0),
    "w/m2": ("power density", 1.0, 0.0),
    "g/kg": ("specific humidity", 1e-3, 0.0),
    "kg/kg": ("specific humidity", 1.0, 0.0),
    "pa": ("pressure", 1.0, 0.0),
    "hpa": ("pressure", 100.0, 0.0),
    "km2": ("area", 1.0, 0.0),
    "m2": ("area", 1e-6, 0.0),
    "ha": ("area", 0.01, 0.0),
    "deg": ("angle", 1.0, 0.0),
    "rad": ("angle", 57.29577951308232, 0.0),
}

_SPELLINGS = {
    "": "-", "1": "-", "none": "-", "unitless": "-", "dimensionless": "-", "fraction": "-", "percent": "%",
    "celsius": "degc", "c": "degc", "°c": "degc", "degreecelsius": "degc", "degreescelsius": "degc", "deg_c": "degc",
    "kelvin": "k", "degk": "k", "fahrenheit": "degf", "metre": "m", "meter": "m", "metres": "m", "meters": "m",
    "millimeter": "mm", "millimetre": "mm", "mmd-1": "mm/d", "mmday-1": "mm/d", "mm/day": "mm/d", "mm/24h": "mm/d",
    "md-1": "m/d", "m/day": "m/d", "cm/day": "cm/d", "mmh-1": "mm/h", "mm/hr": "mm/h", "mmhr-1": "mm/h", "mms-1": "mm/s",
    "kg/m2/s": "kgm-2s-1", "kg/m2": "kgm-2", "m3s-1": "m3/s", "m^3/s": "m3/s", "cms": "m3/s", "m3d-1": "m3/d", "m3/day": "m3/d",
    "m3m-3": "m3/m3", "wm-2": "w/m2", "gkg-1": "g/kg", "kgkg-1": "kg/kg", "ms-1": "m/s", "degree": "deg", "degrees": "deg",
}  # fmt: skip

_PER_HOURS = re.compile(r"^(mm|cm|m)/(\d+(?:\.\d+)?)h(?:r|ours?)?$")


def normalise(unit: str) -> str:
    """The one spelling of a unit that Freshet uses inside ("mm day-1" becomes "mm/d"); unknown ones come back as
    they are.
    """
    text = unit.strip().lower().replace("**", "").replace("^", "").replace("·", "").replace(" ", "").replace("m³", "m3")
    return _SPELLINGS.get(text, text)


def is_known(unit: str) -> bool:
    """Whether ``unit`` can be converted at all."""
    text = normalise(unit)
    return text in _UNITS or _PER_HOURS.match(text) is not None


def convert(source: str, target: str, step_seconds: float = _DAY) -> tuple[float, float]:
    """``(scale, offset)`` from unit ``source`` to ``target``.

    A depth ("mm") becomes a rate ("mm/d") by the step it was gathered in. Raises :class:`DataError` where the two
    measure different things or a unit is unknown.
    """
    if normalise(source) == normalise(target):
        return 1.0, 0.0
    from_dimension, from_scale, from_offset = _lookup(source)
    to_dimension, to_scale, to_offset = _lookup(target)
    if from_dimension == "depth" and to_dimension == "depth rate":
        from_scale *= _DAY / step_seconds
    elif from_dimension != to_dimension:
        raise DataError(
            f"The unit '{source}' cannot be converted to '{target}'",
            expected=f"a unit of {to_dimension}, as '{target}' is",
            got=f"'{source}', a unit of {from_dimension}",
            remedy="Correct the unit of this source, or choose another variable for it",
        )
    return from_scale / to_scale, (from_offset - to_offset) / to_scale


def _lookup(unit: str) -> tuple[str, float, float]:
    text = normalise(unit)
    if text in _UNITS:
        return _UNITS[text]
    match = _PER_HOURS.match(text)
    if match:
        return "depth rate", _UNITS[match.group(1)][1] * 24.0 / float(match.group(2)), 0.0
    raise DataError(
        f"The unit '{unit}' is not known",
        expected="for example mm/d, mm/6h, kg m-2 s-1, mm, K, degC, m3/s, -, %",
        remedy="Give the unit of this source in one of these spellings",
    )
