"""Files that belong together, by their names: one group a source, with the path or pattern that names it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Callable, Optional

from ..core.contracts.dates import find_date_by, find_dates
from .listing import MAP_KINDS, Found, Listing, natural, stack_member
from .source_paths import Group, name_group

PATTERNS = (
    "%Y-%m-%d", "%Y%m%d", "%Y_%m_%d", "%Y.%m.%d", "%Y-%m-%dT%H%M", "%Y-%m-%d_%H%M", "%Y%m%dT%H%M", "%Y%m%d_%H%M",
    "%Y%m%d-%H%M", "%Y%m%d%H%M", "%Y%m%d%H", "%Y%m%d_%H", "%Y%j", "%Y-%j", "%Y_%j", "%Y-%m", "%Y_%m", "%Y%m",
    "%d-%m-%Y", "%d.%m.%Y", "%d_%m_%Y", "%d%m%Y", "%m-%d-%Y", "%d%b%Y", "%Y%b%d", "%b%Y", "%Y%b", "%Y/%m/%d", "%Y/%j",
    "%Y/%m", "%Y",
)  # fmt: skip
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_NUMBERS = re.compile(r"\d+")
_RUNS = re.compile(rf"#(?:[-_. :]?(?:[TtSs](?=#))?#|[-_. ]?(?:{_MONTHS})[a-z]*(?=[-_. ]?(?:#|$)))+", re.IGNORECASE)
_MONTH_FIRST = re.compile(rf"(?:{_MONTHS})[a-z]*[-_. ]?#", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_WORDS_OF_SEQUENCES = (
    r"(?:sims?|simulations?|runs?|events?|ens|ensembles?|members?|reali[sz]ations?|scenarios?|cases?|storms?|floods?|"
    r"experiments?|exp|samples?|trials?|breach(?:es)?|sequences?|seq)[-_. /]*"
)
_SEQUENCE_WORDS = re.compile(rf"(?<![a-z]){_WORDS_OF_SEQUENCES}$", re.IGNORECASE)
_SEQUENCE_WORD = re.compile(rf"(?<![a-z]){_WORDS_OF_SEQUENCES}\d", re.IGNORECASE)
_LAYER_WORDS = re.compile(
    r"(?:l|lay|lyr|layers?|lev|levels?|b|bands?|z|d|depths?|h|v|soil|sm|swvl|stl|hk|k)[-_. ]*$", re.IGNORECASE
)
_MOST_LAYERS = 8
_LEAST_MAPS = 4  # fewer undated files of one name are single maps, as sand_1 and sand_2 are
Token = tuple[int, int]


def group_files(listing: Listing) -> list[Group]:
    """The sources among the files of a listing, in the order of their names."""
    keyed: dict[tuple[str, str], list[Found]] = {}
    for item in listing.files:
        key = _stack_key(item) if item.kind == "pcraster" else name_key(item.relative)
        if item.kind not in MAP_KINDS:
            key = item.relative
        keyed.setdefault((item.kind, key), []).append(item)
    if any(kind == "pcraster" for kind, _ in keyed):
        keyed = _split_stacks(keyed)
    groups = [group for (kind, key), files in keyed.items() for group in _groups_of(kind, key, files, listing)]
    everything = [item for item in (*listing.files, *listing.others) if item.kind in MAP_KINDS]
    for group in groups:
        name_group(group, everything)
    return groups


def name_key(text: str) -> str:
    """What file names of one variable have in common: numbers and dates become ``#``."""
    key = _NUMBERS.sub("#", text)
    key = _MONTH_FIRST.sub("#", key)
    return _RUNS.sub("#", key)


def date_preview(names: Sequence[str], pattern: str = "") -> list[tuple[str, Optional[datetime]]]:
    """Each file name (below its folder, with ``/``) with its date by ``pattern`` (empty: what Freshet finds) or None.
    DataError for a pattern that is not usable.
    """
    found, _ = find_dates(names, pattern, "The date pattern")
    return list(zip(names, found))


def pattern_of(names: Sequence[str], dates: Sequence[Optional[datetime]]) -> str:
    """The preset that reads the first and the last dated name as they were read, or empty."""
    known = [(name, date) for name, date in zip(names, dates) if date is not None]
    ends = [known[0], known[len(known) // 2], known[-1]] if known else []
    for pattern in PATTERNS if ends else ():
        if all(_by(pattern, name) == date for name, date in ends):
            return pattern
    return ""


def _by(pattern: str, name: str) -> Optional[datetime]:
    stem = _SUFFIX.sub("", name)
    last = stem.rsplit("/", 1)[-1]
    return find_date_by(pattern, stem if "/" in pattern else last)


def _groups_of(kind: str, key: str, files: list[Found], listing: Listing) -> list[Group]:
    group = Group(kind, files, listing.root)
    if kind not in MAP_KINDS or kind == "pcraster":
        group.layer = key.rsplit("|", 1)[-1] if kind == "pcraster" else ""
        return [group]
    if len(files) == 1:
        group.dates, group.how = find_dates([files[0].relative])
        return [group]
    _date(group)
    if kind == "raster" and not group.dated and len(files) < _LEAST_MAPS:
        return [Group(kind, [item], listing.root, dates=[None]) for item in files]
    if not group.dated:
        return [group]
    return _by_rest(group)


def _date(group: Group) -> None:
    names = [item.relative for item in group.files]
    group.dates, group.how = find_dates(names)
    group.pattern = pattern_of(names, group.dates)


def _by_rest(group: Group) -> list[Group]:
    """Groups told apart by the numbers beside the date: layers, tiles, simulations. The group itself where there are
    none.
    """
    known = [date for date in group.dates if date is not None]
    doubled = len(set(known)) < len(known)
    if not doubled and not _SEQUENCE_WORD.search(group.files[0].relative):
        return [group]
    rests = [_rest(item.relative, date) for item, date in zip(group.files, group.dates)]
    tokens = [tuple(_NUMBERS.findall(rest)) for rest in rests]
    shapes = {_NUMBERS.sub("#", rest) for rest in rests}
    if len(shapes) > 1 or not tokens[0]:
        return [group]
    most = max(2, len(tokens) // 2)
    telling = [i for i in range(len(tokens[0])) if 1 < len({token[i] for token in tokens}) <= most]
    if not telling:
        return [group]
    before = [_before(rests[0], i) for i in telling]
    wordy = [i for i, text in zip(telling, before) if _SEQUENCE_WORDS.search(text)]
    if not doubled and not wordy:
        return [group]
    chosen = wordy if wordy and _apart(group, tokens, wordy) else telling
    if doubled and not _apart(group, tokens, chosen):
        return [group]
    parts: dict[tuple[str, ...], list[int]] = {}
    for number, token in enumerate(tokens):
        parts.setdefault(tuple(token[i] for i in chosen), []).append(number)
    if wordy or len(parts) > _MOST_LAYERS and not all(_LAYER_WORDS.search(text) for text in before):
        return [_as_sequences(group, parts, rests, chosen)]
    made = []
    for numbers in parts.values():
        dates = [group.dates[number] for number in numbers]
        files = [group.files[number] for number in numbers]
        made.append(Group(group.kind, files, group.root, dates=dates, pattern=group.pattern, how=group.how))
    return made


def _apart(group: Group, tokens: list[tuple[str, ...]], chosen: list[int]) -> bool:
    """Whether these numbers tell all files of one date apart, in parts of more than one file."""
    keys = [(date, *(token[i] for i in chosen)) for date, token in zip(group.dates, tokens) if date is not None]
    parts = len({key[1:] for key in keys})
    return len(set(keys)) == len(keys) and 1 < parts and 2 * parts <= len(keys)


def _before(rest: str, token: int) -> str:
    """The text before a number of a name."""
    found = list(_NUMBERS.finditer(rest))[token]
    return rest[: found.start()]


def _as_sequences(group: Group, parts: dict[tuple[str, ...], list[int]], rests: list[str], chosen: list[int]) -> Group:
    """One source of several sequences: the numbers that tell them apart become ``{sequence}``."""
    member = [""] * len(group.files)
    for key, numbers in parts.items():
        for number in numbers:
            member[number] = "_".join(key)
    group.sequences = tuple(sorted(set(member), key=natural))
    group.member = member
    if len(chosen) > 1:
        group.problems.append("Several numbers tell its simulations apart. Put each into a folder of its own.")
    return group


def _rest(relative: str, date: Optional[datetime]) -> str:
    """A name without its suffix and its date."""
    stem = _SUFFIX.sub("", relative)
    if date is None:
        return stem
    year, month, day = f"{date:%Y}", rf"0?{date.month}", rf"0?{date.day}"
    clock = rf"(?:[-_. ]?[TtSs]?_?{date:%H}(?:[:_.-]?{date:%M}(?:[:_.-]?{date:%S})?)?[hHzZ]?(?!\d))?"
    named = rf"{date:%b}[a-z]*"
    forms = (
        rf"{year}[-_./]?{month}[-_./]?{day}{clock}",
        rf"{year}[-_./]?{date:%j}{clock}",
        rf"{day}[-_. ]?(?:{month}|{named})[-_. ]?{year}",
        rf"{month}[-_. ]?{day}[-_. ]?{year}",
        rf"{year}[-_. ]?{named}(?:[-_. ]?{day})?",
        rf"{named}[-_. ]?{year}",
        rf"{year}[-_./]?{month}",
        year,
    )
    for form in forms:
        # The last place counts: folders may repeat the year.
        found = list(re.finditer(rf"(?<!\d){form}(?!\d)", stem, re.IGNORECASE))
        if found:
            before = re.sub(rf"(?<![^/]){year}/(?:{date:%m}/)?(?:{date:%d}/)?", "", stem[: found[-1].start()])
            return before + stem[found[-1].end() :]
    return stem


# -- PCRaster stacks


def _stack_key(item: Found) -> str:
    member = stack_member(item.name)
    return member[0] if member else item.name


def _split_stacks(keyed: dict[tuple[str, str], list[Found]]) -> dict[tuple[str, str], list[Found]]:
    """Stacks told apart by leading digits other than 0 that all of their kind share (tmp20000.001), and by folder."""
    made: dict[tuple[str, str], list[Found]] = {}
    for (kind, letters), files in keyed.items():
        if kind != "pcraster":
            made[(kind, letters)] = files
            continue
        by_folder: dict[str, list[Found]] = {}
        for item in files:
            by_folder.setdefault(item.folder, []).append(item)
        for chosen in by_folder.values():
            digits = [stack_member(item.name)[1] for item in chosen]
            shared, most = os.path.commonprefix(digits), max(0, len(digits[0]) - 4)
            prefix = letters + re.match(r"[1-9]*", shared).group(0)[:most]
            made[(kind, f"{chosen[0].folder}|{prefix}")] = sorted(chosen, key=_by_number(prefix))
    return made


def _by_number(prefix: str) -> Callable[[Found], int]:
    return lambda item: stack_number(item.name, prefix)


def stack_number(name: str, prefix: str) -> int:
    """The number of a member of a stack."""
    return int(name[len(prefix) :].replace(".", ""))
