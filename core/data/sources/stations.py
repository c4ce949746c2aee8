"""Stations: what they are called and where they lie, from columns, a second table or a point layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from ..geometry import crs_of
from ..vectors import transform_points
from .base import no_crs

_X = ("x", "lon", "long", "longitude", "lng", "easting", "east", "rechtswert", "ostwert", "xcoord", "laenge", "länge",
      "utmx", "xutm", "utme", "coordx")  # fmt: skip
_Y = ("y", "lat", "latitude", "northing", "north", "hochwert", "nordwert", "ycoord", "breite", "utmy", "yutm", "utmn",
      "coordy")  # fmt: skip
_DEGREES = ("lon", "long", "longitude", "lng", "lat", "latitude", "laenge", "länge", "breite")
_STATION = ("station", "stations", "stationid", "gauge", "gauges", "gaugeid", "site", "siteno", "siteid", "id", "name",
            "code", "stationname", "stid", "location", "loc", "pegel", "messstelle", "messstellen", "grdcno", "basin",
            "basinid", "catchment", "catchmentid", "hru", "point", "well", "sensor", "nummer", "stnr",
            "number")  # fmt: skip


@dataclass(frozen=True)
class Stations:
    """G gauges: their names, and their places x and y (float64 (G,), NaN where unknown) in ``crs`` ("" where no place
    is known).
    """

    ids: list[str]
    x: np.ndarray
    y: np.ndarray
    crs: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def known(self) -> np.ndarray:
        """Which places are known: bool (G,)."""
        return np.isfinite(self.x) & np.isfinite(self.y)

    def places_in(self, crs: str) -> tuple[np.ndarray, np.ndarray]:
        """x and y (G,) in another CRS, NaN where unknown."""
        if not self.known.any():
            return self.x.copy(), self.y.copy()
        return transform_points(self.x, self.y, self.crs, crs)


@dataclass
class Register:
    """Places of stations as a file gives them: for each the names it goes by, x and y. ``geographic`` says that the
    columns are called longitude and latitude; ``source`` is the file.
    """

    names: list[tuple[str, ...]]
    x: np.ndarray
    y: np.ndarray
    crs: str
    source: str
    geographic: bool = False
    notes: list[str] = field(default_factory=list)

    def find(self, name: str) -> Optional[int]:
        """The entry of a station; None where there is none. Leading zeros, blanks and case do not count."""
        wanted = _plain(name)
        for number, names in enumerate(self.names):
            if wanted in [_plain(one) for one in names]:
                return number
        return None

    def find_within(self, text: str) -> Optional[int]:
        """The only entry whose first name is a word of ``text`` ("gauge_00398_m3s" holds 398)."""
        words = {_plain(word) for word in re.split(r"[^0-9A-Za-zÀ-ÿ]+", text)}
        hits = [number for number, names in enumerate(self.names) if _plain(names[0]) in words]
        return hits[0] if len(hits) == 1 else None


def coordinate_columns(names: Sequence[str], config: SourceConfig) -> Optional[tuple[int, int, bool]]:
    """Numbers of the columns of x and y, and whether they are called longitude and latitude; None where there are none.

    Raises :class:`DataError` where the job names a column that is not there.
    """
    found = []
    for wanted, words in ((config.points.x_column, _X), (config.points.y_column, _Y)):
        if wanted:
            found.append(column_of(names, wanted, config.variable))
            continue
        hits = [number for number, name in enumerate(names) if _word_of(name, words)]
        exact = [number for number in hits if _squeezed(names[number]) in words]
        found.append((exact or hits or [-1])[0])
    if -1 in found or found[0] == found[1]:
        return None
    return found[0], found[1], all(_word_of(names[number], _DEGREES) for number in found)


def station_columns(names: Sequence[str]) -> list[int]:
    """Numbers of the columns that may name the station, those called so exactly first."""
    hits = [number for number, name in enumerate(names) if _word_of(name, _STATION)]
    return sorted(hits, key=lambda number: (_squeezed(names[number]) not in _STATION, number))


def column_of(names: Sequence[str], wanted: str, variable: str) -> int:
    """Number of the column called ``wanted``, whatever its case; :class:`DataError` where there is none."""
    for fold in (str, str.lower):
        for number, name in enumerate(names):
            if fold(name) == fold(wanted):
                return number
    raise DataError(
        f"'{variable}': the table has no column '{wanted}'",
        expected=", ".join(names[:20]) + (", ..." if len(names) > 20 else ""),
        remedy="Choose one of its columns",
    )


def placed(register: Register, config: SourceConfig, notes: list[str], warnings: list[str]) -> Register:
    """The register with its CRS decided and its places checked; what was assumed goes to ``notes``, doubts to
    ``warnings``.

    Raises :class:`DataError` where the CRS is unknown or places cannot be.
    """
    name = config.variable
    known = np.isfinite(register.x) & np.isfinite(register.y)
    x, y = np.where(known, register.x, np.nan), np.where(known, register.y, np.nan)
    crs = register.crs or config.crs
    if not known.any():
        return Register(register.names, x, y, crs, register.source, register.geographic)
    if not crs:
        if not (register.geographic or np.nanmax(np.abs(x)) <= 360 and np.nanmax(np.abs(y)) <= 180):
            raise no_crs(name, register.source)
        crs = "EPSG:4326"
        notes.append(f"'{name}': the places of the stations are taken as longitude and latitude (EPSG:4326).")
    if crs_of(crs).is_geographic:
        x, y = _degrees(x, y, register, name, notes)
    elif np.nanmax(np.abs(x)) <= 360 and np.nanmax(np.abs(y)) <= 90:
        warnings.append(f"'{name}': the places of the stations look like degrees, but their CRS is {crs[:60]}.")
    return Register(register.names, x, y, crs, register.source, register.geographic)


def _degrees(x: np.ndarray, y: np.ndarray, register: Register, name: str, notes: list[str]):
    """Longitudes from -180 to 180 and latitudes; exchanged where only that makes sense."""
    if np.nanmax(np.abs(y)) > 90 and np.nanmax(np.abs(x)) <= 90 and np.nanmax(np.abs(y)) <= 360:
        notes.append(f"'{name}': x and y of the stations are exchanged, since latitudes beyond 90 degrees cannot be.")
        x, y = y, x
    wrong = np.flatnonzero((np.abs(y) > 90) | (np.abs(x) > 360))
    if len(wrong):
        one = wrong[0]
        raise DataError(
            f"'{name}': a station has an impossible place",
            expected="longitude from -180 to 360 and latitude from -90 to 90",
            got=f"{register.names[one][0]} at x {x[one]:.10g}, y {y[one]:.10g} in {register.source}",
            remedy="Correct the places, or give the CRS of the stations",
        )
    if np.nanmax(x) > 180:
        notes.append(f"'{name}': longitudes beyond 180 degrees are counted from Greenwich to the west.")
        x = np.where(x > 180, x - 360, x)
    return x, y


def _word_of(name: str, words: Sequence[str]) -> bool:
    return _squeezed(name) in words or any(word in words for word in re.split(r"[^a-zà-ÿ]+", name.lower()) if word)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-zà-ÿ]", "", name.lower())


def _plain(name: str) -> str:
    text = name.strip().lower()
    text = text[:-2] if re.fullmatch(r"\d+\.0", text) else text
    return text.lstrip("0") or text
