"""Which quantity a name, a CF standard name and a unit speak of. Guesses: always shown, never silent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Optional

from .catalogue import CATALOGUE, STANDARD_NAMES
from .errors import DataError
from .quantity import Quantity
from .units import convert, is_declared, is_known, normalise

_BY_NAME = {entry.name: entry for entry in CATALOGUE}
_OTHER, _PROPERTY, _CLASS_MAP = _BY_NAME["other"], _BY_NAME["property"], _BY_NAME["class_map"]
_STANDARDISED = _BY_NAME["standardised"]
_ANY_UNIT = ("other", "property")
_NAMELESS = ("other", "property", "standardised")  # nobody calls a map so and means just this

# Tokens that say nothing of the quantity: how it was summed up, where it comes from, layers, files.
_IGNORED = frozenset(
    "mean avg average sum total max maximum min minimum inst acc accum accumulated f day days daily month months "
    "monthly mon hour hours hourly hr h annual yearly year years obs observed observation observations sim "
    "simulated mod modelled modeled model out output input map maps data raster rasters grid gridded layer layers "
    "level lev lvl band var variable value values corrected corr am pm final raw new test clip clipped resampled "
    "reprojected masked basin the of in a at surface tif tiff nc nc4 asc img grb grib grib2 zarr map csv era5 "
    "era5land era land gldas nldas cmip6 cmip5 mhm wflow vic lisflood pcrglobwb pcr globwb smap eobs daymet "
    "camels prism gridmet cru worldclim terraclimate gleam modis merra merra2 jra55 cfsr merit noah cal series".split()
)
_LEVEL = re.compile(
    r"l\d+|lyr\d*|v\d+|r\d+|\d+(?:m|km|cm|mm|deg|min|arcsec|arcmin|hr|h|hourly|d|day|days|mon|yr|x\d+)?|day\d+"
)
# Units as they stand at the end of names ("p_mm_d", "q_obs_m3s", "t_c").
_ENDINGS = {
    "mm_d": "mm/d", "mm_day": "mm/d", "mmd": "mm/d", "mmday": "mm/d", "mm_h": "mm/h", "mm_hr": "mm/h",
    "mmh": "mm/h", "mm_6h": "mm/6h", "mm_month": "mm/month", "mm_mon": "mm/month", "mm_yr": "mm/year",
    "mm_year": "mm/year", "mm": "mm", "cm": "cm", "m": "m", "km": "km", "m_d": "m/d", "cm_d": "cm/d", "m_s": "m/s",
    "ms": "m/s", "m3s": "m3/s", "m3_s": "m3/s", "cms": "m3/s", "cumecs": "m3/s", "cfs": "ft3/s", "m3d": "m3/d",
    "m3_d": "m3/d", "ls": "l/s", "l_s": "l/s", "degc": "degC", "c": "degC", "celsius": "degC", "k": "K",
    "kelvin": "K", "deg": "deg", "degrees": "deg", "rad": "rad", "pct": "%", "percent": "%", "perc": "%",
    "km2": "km2", "h": "h", "hpa": "hPa", "kpa": "kPa", "pa": "Pa", "wm2": "W/m2", "w_m2": "W/m2", "kgm2": "kg/m2",
    "kg_m2": "kg/m2", "gkg": "g/kg", "g_kg": "g/kg", "kg_kg": "kg/kg", "m3m3": "m3/m3", "m3_m3": "m3/m3",
    "g_cm3": "g/cm3", "kg_m3": "kg/m3", "dbz": "dBZ",
}  # fmt: skip
_STANDARD_TOKENS = frozenset("z zscore zscores standardised standardized normalised normalized".split())
_ANOMALY_TOKENS = frozenset("anomaly anomalies anom departure bias".split())
_CURVED_TOKENS = frozenset("log log10 log2 log1p ln sqrt".split())
_DOUBT_TOKENS = frozenset(
    "error errors err uncertainty uncertainties uncert unc quality qc qa qflag probability prob count counts cnt "
    "number std stdev stddev variance var sigma rmse samples weight weights correlation percentile quantile "
    "trend".split()
)
_FLAG_TOKENS = frozenset("flag flags mask masks".split())
_CLASS_TOKENS = frozenset("class classes category categories type types".split())
_BY_UNIT = {
    "K": "temperature", "degC": "temperature", "degF": "temperature", "m3/s": "discharge", "l/s": "discharge",
    "ft3/s": "discharge", "W/m2": "radiation", "dBZ": "radar_echo", "g/kg": "humidity", "kg/kg": "humidity",
    "hPa": "pressure", "m3/m3": "soil_moisture", "cm3/cm3": "soil_moisture",
}  # fmt: skip


def guess_quantity(text: str, standard_name: str = "", units: str = "") -> Quantity:
    """The quantity that a file, layer or variable name speaks of, else ``other``.

    ``standard_name`` (CF) goes before the name, which only tells its kinds apart (the maximum of ``air_temperature``);
    a name that contradicts the declared ``units`` is not believed. Where neither speaks, a unit that only one quantity
    has decides. Of several words in a name the longest counts, then the first.
    """
    guess, spoken = _by_words(text, units)
    named = _of_standard_name(standard_name.strip().lower())
    if guess.name == "standardised" or guess in named:
        return guess
    fitting = [entry for entry in named if fits(entry, units)]
    if fitting:
        return fitting[0]
    if spoken:
        return guess
    return _BY_NAME[_BY_UNIT.get(normalise(units), "other")] if is_declared(units) else _OTHER


def fits(entry: Quantity, units: str) -> bool:
    """Whether values in ``units`` can be ``entry``; an unknown or missing unit contradicts nothing."""
    if not is_declared(units) or not is_known(units) or entry.name in _ANY_UNIT:
        return True
    unit = normalise(units)
    if entry.kind == "class":
        return unit == "-"
    if entry.name == "snow_depth" and ("equiv" in units.lower() or "kg" in unit):
        return False  # the mass of the snow, which others call its depth
    if entry.units == "%" and entry.kind == "static" and unit == "-":
        return False  # a share of soil without a unit is as often a percentage as a fraction
    try:
        convert(unit, entry.units)
    except DataError:
        return False
    return True


def _of_standard_name(name: str) -> list[Quantity]:
    if not name:
        return []
    own = [entry for entry in CATALOGUE if entry.standard_name == name]
    return own + [_BY_NAME[other] for other in STANDARD_NAMES.get(name, ())]


def _by_words(text: str, units: str) -> tuple[Quantity, bool]:
    """The quantity by the words of a name, and whether the name speaks of any."""
    tokens = _tokens(text)
    ending = "" if is_declared(units) else _ending(tokens)
    found = _candidates(text, units or ending)
    if not found:
        mask = any(token in _FLAG_TOKENS for token in tokens)
        return (_CLASS_MAP, True) if mask else (_OTHER, False)
    fitting = [item for item in found if fits(item[0], units or ending)] or ([] if is_declared(units) else found)
    if not fitting:
        alone = is_declared(units) and normalise(units) == "-" and _STANDARD_TOKENS & set(tokens)
        return (_STANDARDISED if alone else _OTHER), True
    entry, covered = fitting[0]
    return _as_it_is(entry, {*tokens, *_tokens(_split_camel(text))} - set(covered), units), True


def _as_it_is(entry: Quantity, rest: set[str], units: str) -> Quantity:
    """``entry``, or what has been made of it: a z-score, a logarithm, its error, a flag."""
    if rest & _DOUBT_TOKENS:
        return _OTHER
    if rest & _FLAG_TOKENS or rest & _CLASS_TOKENS and entry.kind != "class":
        return _CLASS_MAP
    if rest & _CURVED_TOKENS:
        return _PROPERTY if entry.kind == "static" else _OTHER
    if rest & _STANDARD_TOKENS and (not is_declared(units) or normalise(units) == "-"):
        return _STANDARDISED
    if rest & _ANOMALY_TOKENS and entry.name != "terrestrial_water_storage":
        return _OTHER
    return entry


def _candidates(text: str, units: str) -> list[tuple[Quantity, tuple[str, ...]]]:
    """Entries with a word in the name and the tokens that it covers; the longest word first, then the earliest."""
    found = []
    for tokens in {tuple(_tokens(text)), tuple(_tokens(_split_camel(text)))}:
        table = _patterns()
        likely = {pattern for token in tokens for form in _forms(token) for pattern in table.get(form, ())}
        for order, entry, parts, marks in likely:
            at = _find(tokens, parts)
            if at is not None and _may(tokens, at, marks, entry, units):
                found.append((-sum(map(len, parts)), at[0], order, entry, tokens[at[0] : at[1]]))
    found.sort(key=lambda item: item[:3])
    return [(entry, covered) for _, _, _, entry, covered in found]


def _may(tokens: tuple[str, ...], at: tuple[int, int], marks: str, entry: Quantity, units: str) -> bool:
    """Whether a word counts at this place: see ``Quantity.words``."""
    if "?" in marks and not (is_declared(units) and is_known(units) and fits(entry, units)):
        return False
    before = [token for token in tokens[: at[0]] if not _says_nothing(token)]
    behind = [token for token in _without_ending(tokens[at[1] :]) if not _says_nothing(token)]
    twisted = _STANDARD_TOKENS | _ANOMALY_TOKENS | _CURVED_TOKENS | _DOUBT_TOKENS | _FLAG_TOKENS | _CLASS_TOKENS
    if "!" in marks:
        return not [token for token in (*before, *behind) if token not in twisted]
    return "<" not in marks or not [token for token in before if token not in twisted]


def _says_nothing(token: str) -> bool:
    return token in _IGNORED or _LEVEL.fullmatch(token) is not None


@lru_cache(maxsize=1)
def _patterns() -> dict[str, list[tuple[int, Quantity, tuple[str, ...], str]]]:
    """(place in the catalogue, entry, parts of the word, its marks) by the token that a name must hold for it."""
    table: dict[str, list[tuple[int, Quantity, tuple[str, ...], str]]] = {}
    words = [(entry, word) for entry in CATALOGUE for word in _words_of(entry)]
    for order, (entry, word) in enumerate(words):
        plain = word.rstrip("!?<")
        marks = word[len(plain) :] + ("!" if len(plain) == 1 else "")
        parts = tuple(plain.split("_"))
        for token in {parts[0], "".join(parts)}:
            table.setdefault(token, []).append((order, entry, parts, marks))
    return table


def _words_of(entry: Quantity) -> list[str]:
    """Its words, with its own name and label."""
    if entry.name in _NAMELESS:
        return list(entry.words)
    plain = {word.rstrip("!?<") for word in entry.words}
    own = dict.fromkeys((entry.name, "_".join(_tokens(entry.label))))
    return [*entry.words, *(word for word in own if word not in plain)]


def _find(tokens: tuple[str, ...], parts: tuple[str, ...]) -> Optional[tuple[int, int]]:
    """Where the parts of a word stand in a row, or all in one token; numbers behind a token do not count."""
    joined = "".join(parts)
    for place, token in enumerate(tokens):
        if joined in _forms(token):
            return place, place + 1
        row = tokens[place : place + len(parts)]
        if len(row) == len(parts) > 1 and all(part in _forms(item) for part, item in zip(parts, row)):
            return place, place + len(parts)
    return None


def _forms(token: str) -> tuple[str, str]:
    return token, token.rstrip("0123456789")


def _tokens(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def _split_camel(text: str) -> str:
    """ "totalRunoff" as "total Runoff", "SWDown" as "SW Down"."""
    return re.sub(r"(?<=[a-z][a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)


def _ending(tokens: list[str]) -> str:
    """The unit at the end of a name, empty where there is none."""
    return next((_ENDINGS[key] for _, key in _endings(tuple(tokens))), "")


def _without_ending(tokens: tuple[str, ...]) -> tuple[str, ...]:
    for place, _ in _endings(("name", *tokens)):
        return tokens[: place - 1]
    return tokens


def _endings(tokens: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(place, key) of the units at the end, longest first; numbers, sizes and file types behind them do not count."""
    last = len(tokens)
    while last > 1 and tokens[last - 1] not in _ENDINGS and _says_nothing(tokens[last - 1]):
        last -= 1
    for length in (2, 1):
        key = "_".join(tokens[last - length : last])
        if last > length and key in _ENDINGS:
            yield last - length, key
