"""From what was found on disk to a report: what the variable is, what had to be guessed, and what is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Optional

from ..core.contracts import DataError
from ..core.contracts.dates import format_date, format_step
from ..core.contracts.units import convert, is_declared, is_known, normalise
from ..core.contracts.variables import Quantity, guess_quantity, quantity
from .raster_probe import Probe, Sample
from .source_paths import Group, words_of
from .source_report import Guess, SourceReport
from .stamps import Stamps, missing_words, put_in_order

NO_CRS = "It has no coordinate reference system. Assign one with 'Assign projection' first."
_SHOWN = 3
_GENERIC = re.compile(r"(?:band|var|variable|data|values?|array|layer|field|raster)_?\d*|x?arr", re.IGNORECASE)
_LISTED = 2000


@dataclass
class Evidence:
    """What is known of one variable: the look at its first file, and for each map its date (None: it has none) and its
    place (number among ``files``, band). ``sample`` is None before values were read.
    """

    probe: Probe
    group: Group
    files: list[str] = field(default_factory=list)
    dates: list[Optional[datetime]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    sample: Optional[Sample] = None
    unreadable: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    guesses: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False
    path: str = ""
    mixed_nodata: bool = False


def make_report(found: Evidence) -> SourceReport:
    """The report of a variable of maps."""
    probe, group = found.probe, found.group
    entry, word = identify(probe, words_of(group))
    declared = is_declared(probe.units)
    units = entry.units if not declared or normalise(probe.units) == normalise(entry.units) else probe.units
    dates = [date.replace(tzinfo=None) if date is not None else None for date in found.dates]
    stamps = put_in_order(dates, probe.calendar, probe.precision, files=len(set(found.files)) > 1)
    files, places = _arranged(found, stamps)
    sample = found.sample or Sample()
    nodata, marks = _undeclared(entry, sample)
    role = _role(found, stamps, entry)
    guesses = [
        *_identity_guesses(probe, entry, word, declared),
        *[Guess(name, sentence) for name, sentence in (*probe.guesses, *group.guesses, *found.guesses)],
        *_date_guesses(found, stamps),
        *([Guess("nodata", f"The value {nodata:g} is taken as missing; it is not declared so.")] if nodata else []),
        *([Guess("nodata", "Values of 1e20 and the like are taken as missing.")] if sample.huge else []),
        *([Guess("role", "It does not change in time: its role is static.")] if role == "static" else []),
    ]
    problems = [*probe.sentences, *group.problems, *found.problems, *_date_problems(found, stamps, role)]
    problems += [*faults(probe, found.sample), *marks, *implausible(entry, units, sample, stamps.step, declared)]
    return SourceReport(
        path=found.path or group.path,
        layer=group.layer if group.kind in ("pcraster", "raster") else probe.layer,
        variable=identifier(word),
        quantity=entry.name,
        units=units,
        dates=tuple(map(format_date, stamps.dates)),
        step_seconds=stamps.step,
        crs=probe.crs,
        size=probe.size,
        minimum=sample.minimum,
        maximum=sample.maximum,
        missing_share=sample.missing_share if found.sample is not None else float("nan"),
        problems=list(dict.fromkeys(problems)),
        units_declared=declared,
        gaps=tuple(map(format_date, stamps.gaps)),
        role=role,
        label=probe.label,
        calendar=probe.calendar,
        files=files,
        guesses=tuple(dict.fromkeys(guesses)),
        doubled=tuple(map(format_date, stamps.doubled)),
        irregular=tuple(map(format_date, stamps.irregular[:_LISTED])),
        sequences=group.sequences,
        date_pattern=group.pattern,
        complete=found.complete,
        cell=(abs(probe.transform[1]), abs(probe.transform[5])) if probe.transform else (0.0, 0.0),
        places=places,
        unreadable=tuple(found.unreadable),
        nodata=nodata,
        mixed_nodata=found.mixed_nodata,
    )


def identify(probe: Probe, words: Sequence[str]) -> tuple[Quantity, str]:
    """The quantity of a variable, and the word that names it: of a file of variables its own, else of the group."""
    generic = bool(_GENERIC.fullmatch(probe.name))
    tried = [probe.name]
    if generic or not probe.layer:
        tried = list(dict.fromkeys((*words[1:2], *words[:1], *words[2:], probe.name)))
    for word in tried:
        entry = guess_quantity(word, probe.standard_name, probe.units)
        if entry.name != "other":
            # The name of a folder says more than the letter that its files begin with.
            same = words and not probe.layer and guess_quantity(words[0], probe.standard_name, probe.units) == entry
            return entry, words[0] if same else word
    entry = guess_quantity(probe.label, probe.standard_name, probe.units) if probe.label else quantity("other")
    return entry, probe.name if probe.layer else (words or [probe.name])[0]


def identifier(text: str) -> str:
    """A name that a NetCDF variable can have."""
    cleaned = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    return cleaned if cleaned and not cleaned[0].isdigit() else f"v_{cleaned}".rstrip("_")


def some(items: Iterable[object]) -> str:
    """The first three as a list in words."""
    shown = list(items)
    return ", ".join(str(item) for item in shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")


def faults(probe: Probe, sample: Optional[Sample]) -> list[str]:
    """What is wrong with the place and the values of a map."""
    problems = []
    if not probe.crs and probe.size[0]:
        problems.append(NO_CRS)
    if probe.transform is None:
        said = any("no place" in sentence for sentence in probe.sentences)
        if probe.size[0] and not said:
            problems.append("Its cells have no place on the map. Georeference it first.")
    elif probe.transform[2] or probe.transform[4]:
        problems.append("Its grid is rotated. Warp it to a north-up grid first.")
    if sample is None:
        return problems
    if not sample.valid:
        problems.append("All sampled values are missing. Choose another source.")
    elif sample.minimum == sample.maximum:
        problems.append(f"Every sampled value is {sample.minimum:g}. A constant map teaches nothing.")
    return problems


def _arranged(found: Evidence, stamps: Stamps) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Files and places of a report: as short as they can be told."""
    several = len(found.files) > 1 or bool(found.group.sequences)
    places = [found.places[number] for number in stamps.order] if stamps.dates else list(found.places)
    if several and places and all(band == 1 for _, band in places) and len({at for at, _ in places}) == len(places):
        return tuple(found.files[at] for at, _ in places), ()
    if several:
        return tuple(found.files), tuple(places)
    return (), () if places == [(0, band) for band in range(1, len(places) + 1)] else tuple(places)


def _role(found: Evidence, stamps: Stamps, entry: Quantity) -> str:
    moving = bool(stamps.dates) or len(found.places) > 1 or found.probe.bands > 1
    if len(stamps.dates) == 1 and len(found.places) <= 1 and entry.kind in ("static", "class"):
        moving = False  # a single dated map of what does not change: a land cover of 1991, say
    return "input" if moving and not found.probe.fixed else "static"


def _identity_guesses(probe: Probe, entry: Quantity, word: str, declared: bool) -> list[Guess]:
    guesses = []
    if entry.name != "other" and (not probe.standard_name or entry.standard_name != probe.standard_name):
        guesses.append(Guess("quantity", f"It is taken for {entry.label.lower()}, by the name '{word}'."))
    if not declared and entry.units not in ("-", ""):
        guesses.append(Guess("units", f"The unit {entry.units} is the catalogue's, the file names none."))
    return guesses


def _date_guesses(found: Evidence, stamps: Stamps) -> list[Guess]:
    group = found.group
    guesses = [Guess("start", words) for words in stamps.words]
    if group.dated and stamps.dates and group.several and all(band == 1 for _, band in found.places):
        how = f" with the pattern {group.pattern}" if group.pattern else ""
        guesses.append(Guess("date_pattern", f"The dates were read from the file names{how}."))
        if group.how:
            guesses.append(Guess("date_pattern", group.how.split(": ", 1)[-1].capitalize()))
    if group.sequences:
        words = f"The names {some(group.sequences)} tell {len(group.sequences)} sequences apart"
        guesses.append(Guess("path", f"{words}, each with its own dates."))
    return guesses


def _date_problems(found: Evidence, stamps: Stamps, role: str) -> list[str]:
    problems, files = [], found.group.files
    undated = [number for number, date in enumerate(found.dates) if date is None]
    if found.group.kind == "pcraster" and len(found.files) > 1:
        problems.append("The maps of its stack are numbered and have no dates. Give the date of map 1 and the step.")
    elif not stamps.dates and found.probe.bands > 1 and not found.probe.sentences:
        words = f"Its {found.probe.bands} bands have no dates. Give the date of the first map and the step."
        problems.append(words)
    elif not stamps.dates and len(found.places) > 1 and not found.probe.sentences:
        problems.append("No file name holds a date. Give the date pattern, or the first date and the step.")
    elif stamps.dates and undated and all(band == 1 for _, band in found.places) and len(found.places) > 1:
        names = [os.path.basename(found.files[found.places[number][0]]) for number in undated]
        words = f"{len(undated)} of {len(files)} files have no date in their name ({some(names)})"
        problems.append(f"{words}. Rename or remove them.")
    if stamps.doubled:
        dates = some(map(format_date, stamps.doubled))
        problems.append(f"Several maps have the same date ({dates}). Keep one of each, or say which one counts.")
    if stamps.irregular:
        dates = some(map(format_date, stamps.irregular))
        problems.append(
            f"Its dates follow no regular step: {len(stamps.irregular)} do not fit {format_step(stamps.step)} "
            f"({dates}). Give the step that fits them all; dates between become gaps."
        )
    if stamps.gaps:
        problems.append(missing_words(stamps.gaps))
    if found.unreadable:
        names = some(os.path.basename(path) for path in found.unreadable)
        count = f"{len(found.unreadable)} file{'s' if len(found.unreadable) > 1 else ''}"
        problems.append(f"{count} cannot be read ({names}). Replace them, or keep their dates as gaps.")
    return problems


def _undeclared(entry: Quantity, sample: Sample) -> tuple[Optional[float], list[str]]:
    """The undeclared value that is surely missing, and sentences on others that may be."""
    surely = [value for value in sample.suspicious if value <= -9999 or (value < entry.minimum and value <= -999)]
    taken = surely[-1] if surely else None
    others = [value for value in sample.suspicious if value != taken]
    if not others:
        return taken, []
    shown = ", ".join(f"{value:g}" for value in others)
    return taken, [f"The value {shown} occurs and is not declared as missing. Set it as the missing value."]


def implausible(entry: Quantity, units: str, values: Sample, step: Optional[float], declared: bool) -> list[str]:
    """Sentences on a unit that is not known or does not fit, and on values beyond what is plausible."""
    if not is_known(units):
        return (
            [f"The unit '{units}' is not known. Give it in another spelling, such as mm/d, K, degC, m3/s or -."]
            if declared
            else []
        )
    if not values.valid:
        return []
    try:
        scale, offset = convert(units, entry.units, step or 86400.0)
    except DataError as error:
        return [str(error)] if entry.name not in ("other", "property") else []
    low, high = sorted((values.minimum * scale + offset, values.maximum * scale + offset))
    margin = 1e-6 * max(abs(entry.minimum), abs(entry.maximum), 1.0)
    if low >= entry.minimum - margin and high <= entry.maximum + margin:
        return []
    word = "declared" if declared else "guessed"
    return [
        f"Values from {low:.4g} to {high:.4g} {entry.units} are not plausible for {entry.label.lower()} "
        f"({entry.minimum:g} to {entry.maximum:g}). Check the quantity and the {word} unit '{units}'."
    ]
