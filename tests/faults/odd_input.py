"""Sources that are odd and read all the same, with what a person is told of each; all in one dataset.

:func:`odd_job` asks for them beside the good source that they have to equal, see :func:`differing`.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

bad_files = sys.modules["bad_files"]  # loaded by bad_input.py


@dataclass(frozen=True)
class Odd:
    """An odd source: its variable, its file, what the job says of it beside that, and what a person is told.

    ``told`` are words that the engine's messages must hold, ``hint`` words of the dialog, empty where there is nothing
    to tell. ``missing`` are the steps that are missing of it, ``spots`` says that the cells of :func:`bad_files.spots`
    are; ``third`` is what its third map has more than the good one.
    """

    name: str
    file: str
    told: tuple[str, ...] = ()
    hint: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    spots: bool = False
    third: float = 0.0
    alike: bool = True


NAMES = ("it's two  words", "Föhn été 水", "100%20 % %d", "#1 a#b", "[1] {2} (3)")
NAMED = (Odd("maps", "maps"), Odd("cube", "cube.nc"))
_GAP = {"unreadable": "gap"}
ODD = (
    Odd("south_up", "south_up"),
    Odd("south_up_netcdf", "south_up.nc"),
    Odd("turned", "turned.nc"),
    Odd("shuffled", "shuffled.nc", ("'shuffled': the maps are not stored in the order of their dates",)),
    Odd("days_365", "days_365.nc", ("'days_365': the calendar has no 29 February",), "calendar is 'noleap'"),
    Odd(
        "days_360",
        "days_360.nc",
        ("'days_360': the days of the 360-day calendar are spread over the real year",),
        "calendar is '360_day'",
        alike=False,
    ),
    Odd(
        "marked",
        "marked",
        ("'marked': the value -9999 (3 % of a sample) is taken as missing; it is not declared",),
        "The value -9999 is taken as missing; it is not declared",
        spots=True,
    ),
    Odd(
        "huge",
        "huge",
        ("'huge': values of 1e20 and above are taken as missing; they are not declared (rain_2001-0",),
        "Values of 1e20 and the like are taken as missing",
        spots=True,
    ),
    Odd(
        "huge_netcdf",
        "huge.nc",
        ("'huge_netcdf': values of 1e20 and above are taken as missing; they are not declared (huge.nc",),
        "Values of 1e20 and the like are taken as missing",
        spots=True,
    ),
    Odd(
        "first",
        "doubled",
        ("'first': 1 date occurs more than once (2001-03-01); the first map of each is taken",),
        "Its files cannot be told from others in doubled by a pattern",
        {"duplicates": "first"},
    ),
    Odd(
        "last",
        "doubled.nc",
        ("'last': 1 date occurs more than once (2001-03-01); the last map of each is taken",),
        "Several maps have the same date (2001-03-01)",
        {"duplicates": "last"},
    ),
    Odd(
        "mean",
        "doubled.tif",
        ("'mean': 1 date occurs more than once (2001-03-01); their maps are averaged",),
        "Several maps have the same date (2001-03-01)",
        {"duplicates": "mean"},
        third=1.0,
    ),
    Odd(
        "broken",
        "broken",
        ("'broken': rain_2001-03-02.tif of 2001-03-02 cannot be read", "what cannot be read of it is a gap"),
        "1 file cannot be read (rain_2001-03-02.tif)",
        _GAP,
        missing=(3,),
    ),
    Odd("cut", "cut", ("'cut': rain_2001-03-02.tif of 2001-03-02 cannot be read",), "", _GAP, missing=(3,)),
    Odd(
        "cut_bands",
        "cut_bands.tif",
        ("'cut_bands': cut_bands.tif, band 8 of 2001-03-06 cannot be read",),
        "",
        _GAP,
        missing=(7,),
    ),
    Odd(
        "cut_netcdf",
        "cut_netcdf",
        ("'cut_netcdf': the NetCDF file cannot be read", "rain_2.nc", "2 dates are missing in its record: 2001-03-03"),
        "1 file cannot be read (rain_2.nc)",
        _GAP,
        missing=(4, 5),
    ),
    Odd(
        "outlier",
        "outlier",
        ("'outlier': 0.42% of the values lie outside 0 to 2000 mm/d", "first on 2001-03-02"),
        "are not plausible for precipitation",
        alike=False,
    ),
    Odd(
        "no_unit",
        "good",
        ("'no_unit': the source names no unit; its values are taken as mm/d",),
        "The unit mm/d is the catalogue's, the file names none",
        {"units": ""},
    ),
)


def odd_job(folder: Path, output: Path, odd: tuple[Odd, ...] = ODD) -> dict[str, Any]:
    """A job over the good source and all odd ones."""
    sources = [
        bad_files.good_source(folder),
        *({**bad_files.good_source(folder), "variable": o.name, "path": str(folder / o.file), **o.more} for o in odd),
    ]
    return {"name": "Odd", "sources": sources, "grid": {"like": "good"}, "output": str(output)}


def named_job(folder: Path, place: Path, name: str) -> dict[str, Any]:
    """A job over the good source beside copies of it, maps and a NetCDF file, that are called ``name`` in a folder of
    that name in ``place``, as is the dataset.
    """
    inner = place / name
    inner.mkdir()
    shutil.copytree(folder / "good", inner / f"{name} maps")
    shutil.copy(folder / "turned.nc", inner / f"{name}.nc")
    job = odd_job(folder, inner / "out" / f"{name}.nc", ())
    for variable, path in (("maps", inner / f"{name} maps"), ("cube", inner / f"{name}.nc")):
        job["sources"].append({**bad_files.good_source(folder), "variable": variable, "path": str(path)})
    return job


def differing(values: dict[str, Any], odd: tuple[Odd, ...] = ODD) -> list[str]:
    """Names of odd variables whose values are not those of the good one, but for what is said of each.

    ``values`` gives for each variable its maps (time, rows, columns), north first, NaN where missing.
    """
    import numpy as np

    found = []
    for one in odd:
        truth = values["good"].astype(np.float32)
        truth[2] += one.third
        truth[list(one.missing)] = np.nan
        truth = bad_files.spots(truth, np.nan) if one.spots else truth
        if one.alike and not np.allclose(values[one.name], truth, rtol=0, atol=1e-4, equal_nan=True):
            found.append(one.name)
    return found
