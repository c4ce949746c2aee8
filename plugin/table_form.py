"""The form of a table of gauges: which columns hold dates, stations, places and values. As the engine finds it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from ..core.contracts.dates import find_date
from ..core.contracts.units import is_known
from ..core.contracts.variables import fits, guess_quantity
from .tables import SAMPLE, Table, is_missing, is_number

_X = ("x", "lon", "long", "longitude", "lng", "easting", "east", "rechtswert", "ostwert", "xcoord", "laenge", "länge",
      "utmx", "xutm", "utme", "coordx")  # fmt: skip
_Y = ("y", "lat", "latitude", "northing", "north", "hochwert", "nordwert", "ycoord", "breite", "utmy", "yutm", "utmn",
      "coordy")  # fmt: skip
_DEGREES = ("lon", "long", "longitude", "lng", "lat", "latitude", "laenge", "länge", "breite")
_STATION = ("station", "stations", "stationid", "gauge", "gauges", "gaugeid", "site", "siteno", "siteid", "id", "name",
            "code", "stationname", "stid", "location", "loc", "pegel", "messstelle", "messstellen", "grdcno", "basin",
            "basinid", "catchment", "catchmentid", "hru", "point", "well", "sensor", "nummer", "stnr",
            "number")  # fmt: skip
_DATE_WORDS = ("date", "dates", "datum", "datetime", "timestamp", "time", "zeit", "zeitpunkt", "zeitstempel", "fecha",
               "dato", "jour", "tag", "day", "messdatum", "mess", "month", "monat", "mois", "yyyymmdd", "yyyy",
               "period")  # fmt: skip
_PARTS = {
    "year": (("year", "yyyy", "yr", "jahr", "annee", "ano", "anno"), 1700, 2400),
    "month": (("month", "mm", "mo", "mnth", "mon", "monat", "mois", "mes"), 1, 12),
    "day": (("day", "dd", "dy", "tag", "jour", "dia"), 1, 31),
    "doy": (("doy", "jday", "yday", "dayofyear", "julian", "julianday"), 1, 366),
    "hour": (("hour", "hours", "hh", "hr", "stunde", "heure", "hora"), 0, 24),
    "minute": (("minute", "min", "mi", "minutes"), 0, 59),
}
_FLAGS = ("code", "number", "point")
_BRACKETS = re.compile(r"[\[(]\s*([^\])]+?)\s*[\])]")
_ENDINGS = {
    "mm_d": "mm/d", "mm_day": "mm/d", "mmd": "mm/d", "mm_per_day": "mm/d", "mm_h": "mm/h", "mmh": "mm/h",
    "mm_hr": "mm/h", "mm_s": "mm/s", "cm_d": "cm/d", "m_d": "m/d", "m3s": "m3/s", "m3_s": "m3/s", "m3_per_s": "m3/s",
    "cms": "m3/s", "cumecs": "m3/s", "l_s": "l/s", "ls": "l/s", "m3_d": "m3/d", "m3d": "m3/d", "degc": "degC",
    "deg_c": "degC", "celsius": "degC", "kelvin": "K", "mm": "mm", "cm": "cm", "m": "m", "c": "degC", "k": "K",
    "pct": "%", "percent": "%", "w_m2": "W/m2", "wm2": "W/m2", "m_s": "m/s", "hpa": "hPa", "m3_m3": "m3/m3",
    "m3m3": "m3/m3", "km2": "km2",
}  # fmt: skip
_CLOCK = r"(?:[T ,_]+(?P<h>\d{1,2})(?:[:h.](?P<mi>\d{2}))?(?::(?P<s>\d{2})(?:[.,]\d+)?)?\s*(?:Z|UTC|GMT)?)?"
_FORMS = {
    "ymd": re.compile(r"(?P<a>\d{4})([-/.])(?P<b>\d{1,2})\2(?P<c>\d{1,2})" + _CLOCK),
    "compact": re.compile(
        r"(?P<a>\d{4})(?P<b>\d{2})(?P<c>\d{2})[T_ :]?(?:(?P<h>\d{2}):?(?P<mi>\d{2})?:?(?P<s>\d{2})?)?"
    ),
    "dmy": re.compile(r"(?P<c>\d{1,2})([-/. ])(?P<b>\d{1,2})\2(?P<a>\d{4})" + _CLOCK),
    "mdy": re.compile(r"(?P<b>\d{1,2})([-/. ])(?P<c>\d{1,2})\2(?P<a>\d{4})" + _CLOCK),
    "ym": re.compile(r"(?P<a>\d{4})[-/.](?P<b>\d{1,2})"),
    "ym6": re.compile(r"(?P<a>\d{4})(?P<b>\d{2})"),
    "my": re.compile(r"(?P<b>\d{1,2})[-/.](?P<a>\d{4})"),
    "year": re.compile(r"(?P<a>\d{4})"),
}  # fmt: skip
_TIME = re.compile(r"(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:\.\d+)?)?")


@dataclass
class Form:
    """Numbers of the columns of a table. ``dates`` are those of the date with what each holds ("date", "time", "year",
    "month" ...), ``station`` names the station of a row (``long``: a row a date and station), ``places`` are the
    columns of x and y, ``values`` all columns of numbers that are left; ``how`` says how the dates are written.
    """

    dates: tuple[tuple[int, str], ...]
    station: Optional[int]
    places: Optional[tuple[int, int]]
    values: list[int]
    long: bool
    how: str = ""
    geographic: bool = False


def find_form(table: Table) -> Form:
    """Find the columns; one without dates has no ``dates``."""
    sample = Table(table.path, table.names, table.units, table.rows[:SAMPLE], table.decimal_comma)
    dates, how = _date_columns(sample)
    taken = {column for column, _ in dates}
    keys = [tuple(row[column] for column, _ in dates) for row in sample.rows]
    repeated = bool(dates) and len(set(keys)) < len(keys)
    station = _station_column(sample, taken, keys) if dates else _first_of(station_columns(table.names))
    taken |= {station} - {None}
    layered = table.x is not None
    places = None if layered else coordinate_columns(table.names)
    if places and (set(places) & taken or not all(_numeric(sample, column) for column in places)):
        places = None
    if places and dates and station is None and not (repeated or _constant(sample, places[0])):
        places = None
    taken |= set(places or ())
    values = [column for column in range(len(table.names)) if column not in taken and _numeric(sample, column)]
    geographic = places is not None and all(_word_of(table.names[column], _DEGREES) for column in places)
    return Form(dates, station, places, values, station is not None or places is not None or layered, how, geographic)


def parse_dates(table: Table, form: Form) -> list[Optional[datetime]]:
    """The date of each row, None where it has none."""
    if not form.dates:
        return [None] * len(table.rows)
    known: dict[tuple[str, ...], Optional[datetime]] = {}
    found = []
    for row in table.rows:
        key = tuple(row[column] for column, _ in form.dates)
        if key not in known:
            known[key] = _moment_of(key, form)
        found.append(known[key])
    return found


def unit_of(table: Table, column: int) -> str:
    """The unit that a column's header names, or "": ``Q [m3/s]``, ``q_obs_m3s``, ``t_c``, or a row of units below it. A
    single letter counts only where it fits the quantity.
    """
    name = table.names[column]
    for text in (table.units[column].strip("[]() "), *_BRACKETS.findall(name)):
        if text and text != "-" and is_known(text):
            return text
    words = re.split(r"[_\s.\-/]+", name.lower().replace("³", "3").replace("°", "deg").strip())
    for count in (3, 2, 1):
        found = _ENDINGS.get("_".join(words[-count:]), "") if len(words) > count else ""
        if found and (count > 1 or len(words[-1]) > 1 or fits(guess_quantity(name), found)):
            return found
    return ""


def coordinate_columns(names: Sequence[str]) -> Optional[tuple[int, int]]:
    """Numbers of the columns of x and y, or None."""
    found = []
    for words in (_X, _Y):
        hits = [number for number, name in enumerate(names) if _word_of(name, words)]
        exact = [number for number in hits if _squeezed(names[number]) in words]
        found.append((exact or hits or [-1])[0])
    return None if -1 in found or found[0] == found[1] else (found[0], found[1])


def station_columns(names: Sequence[str]) -> list[int]:
    """Numbers of the columns that may name the station, those called so exactly first."""
    hits = [number for number, name in enumerate(names) if _word_of(name, _STATION)]
    return sorted(hits, key=lambda number: (_squeezed(names[number]) not in _STATION, number))


def plain_id(name: str) -> str:
    """A station's name without leading zeros, blanks and case, by which stations are matched."""
    text = name.strip().lower()
    text = text[:-2] if re.fullmatch(r"\d+\.0", text) else text
    return text.lstrip("0") or text


def _first_of(columns: Sequence[int]) -> Optional[int]:
    return columns[0] if columns else None


def _date_columns(sample: Table) -> tuple[tuple[tuple[int, str], ...], str]:
    names = sample.names
    texts = [[text for text in sample.column(number) if not is_missing(text)] for number in range(len(names))]
    parts = _by_parts(names, texts)
    dated = []
    for column in range(len(names)):
        named = any(word in _DATE_WORDS for word in re.split(r"[^a-z]+", names[column].lower()))
        how = _form_of(texts[column], named)
        if how:
            dated.append((not named, column, how))
    if parts and (not dated or any(part == "day" for _, part in parts)):
        return parts, "parts"
    if not dated:
        return parts, "parts" if parts else ""
    _, date, how = min(dated)
    if any(re.search(r"\d[T ,_]+\d{1,2}[:h.]?\d{2}", text) for text in texts[date][:50]):
        return ((date, "date"),), how
    for column, some in enumerate(texts):
        if column != date and some and all(_TIME.fullmatch(text) for text in some[:200]):
            return ((date, "date"), (column, "time")), how
        if column != date and some and _squeezed(names[column]) in _PARTS["hour"][0] and all(map(is_number, some)):
            return ((date, "date"), (column, "hour")), how
    return ((date, "date"),), how


def _by_parts(names: Sequence[str], texts: Sequence[Sequence[str]]) -> tuple[tuple[int, str], ...]:
    found: dict[str, int] = {}
    for part, (words, least, most) in _PARTS.items():
        for column, name in enumerate(names):
            if column in found.values() or _squeezed(name) not in words or not texts[column]:
                continue
            if all(re.fullmatch(r"\d+(\.0*)?", text) and least <= float(text) <= most for text in texts[column][:300]):
                found[part] = column
                break
    if "year" not in found or not {"month", "doy"} & set(found):
        return ()
    if "month" in found:
        found.pop("doy", None)
    return tuple((column, part) for part, column in found.items())


def _form_of(texts: Sequence[str], named: bool) -> str:
    """How the dates of a column are written, or empty where it holds none."""
    some = texts[:300]
    if not some:
        return ""
    if all(map(is_number, some)):
        digits = all(text.isdigit() and len(text) in (8, 10, 12, 14) for text in some)
        tries = ("compact",) if digits else ("ym6", "my", "ym", "year") if named else ()
    else:
        tries = tuple(_FORMS)
    shares = {form: sum(_read(form, text) is not None for text in some) / len(some) for form in tries}
    best = max(shares, key=lambda form: shares[form], default="")
    if best and shares[best] > (0.99 if all(map(is_number, some)) else 0.95):
        return "mdy" if best == "dmy" and shares.get("mdy", 0) > shares["dmy"] else best
    return "text" if named and sum(find_date(text) is not None for text in some) > 0.95 * len(some) else ""


def _moment_of(key: tuple[str, ...], form: Form) -> Optional[datetime]:
    parts = dict(zip((part for _, part in form.dates), key))
    if "date" not in parts:
        return _from_parts(parts)
    found = find_date(parts["date"]) if form.how == "text" else _read(form.how, parts["date"].strip())
    if found is None:
        return None
    if "time" in parts:
        clock = _TIME.fullmatch(parts["time"].strip())
        return found + timedelta(hours=int(clock.group("h")), minutes=int(clock.group("mi"))) if clock else None
    if "hour" in parts:
        return found + timedelta(hours=float(parts["hour"])) if is_number(parts["hour"]) else None
    return found


def _read(form: str, text: str) -> Optional[datetime]:
    match = _FORMS[form].fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    year, month, day = (int(parts.get(name) or 1) for name in "abc")
    hour, minute, second = (int(parts.get(name) or 0) for name in ("h", "mi", "s"))
    if not 1700 <= year < 2400 or hour > 24 or minute > 59 or second > 59:
        return None
    try:
        return datetime(year, month, day) + timedelta(hours=hour, minutes=minute, seconds=second)
    except ValueError:
        return None


def _from_parts(parts: dict[str, str]) -> Optional[datetime]:
    if not all(re.fullmatch(r"\d+(\.0*)?", text.strip()) for text in parts.values()):
        return None
    numbers = {part: int(float(text)) for part, text in parts.items()}
    try:
        base = datetime(numbers["year"], numbers.get("month", 1), numbers.get("day", 1))
    except ValueError:
        return None
    days = numbers.get("doy", 1) - 1
    return base + timedelta(days=days, hours=numbers.get("hour", 0), minutes=numbers.get("minute", 0))


def _station_column(sample: Table, taken: set[int], keys: list[tuple[str, ...]]) -> Optional[int]:
    dates = len(set(keys))
    for column in station_columns(sample.names):
        if column in taken or not any(not is_missing(text) for text in sample.column(column)):
            continue
        pairs = len({(key, text) for key, text in zip(keys, sample.column(column))})
        if pairs > dates or _constant(sample, column) and sample.names[column].lower() not in _FLAGS:
            return column
    if dates == len(keys):
        return None
    telling = [
        column
        for column in range(len(sample.names))
        if column not in taken
        and not _numeric(sample, column)
        and len({(key, text) for key, text in zip(keys, sample.column(column))}) == len(keys)
    ]
    return telling[0] if len(telling) == 1 else None


def _numeric(sample: Table, column: int) -> bool:
    texts = [text for text in sample.column(column) if not is_missing(text)]
    return bool(texts) and sum(map(is_number, texts)) >= 0.9 * len(texts)


def _constant(sample: Table, column: int) -> bool:
    return len(set(sample.column(column))) == 1


def _word_of(name: str, words: Sequence[str]) -> bool:
    return _squeezed(name) in words or any(word in words for word in re.split(r"[^a-zà-ÿ]+", name.lower()) if word)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-zà-ÿ]", "", name.lower())
