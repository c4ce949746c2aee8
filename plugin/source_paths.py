"""What names a source of files: the folder or pattern that fits them and no others, and a word for its variable."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Optional

from .listing import Found, natural

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")


@dataclass
class Group:
    """Files of one source. ``path`` and ``layer`` are those of its SourceConfig; ``dates`` has the date of each file
    from its name (None where it has none), ``how`` a sentence where that was guessed, ``pattern`` how they are read.

    ``sequences`` names the sequences, ``files`` are then all of theirs and ``member`` gives the sequence of each.
    ``name`` is a word for the variable; ``problems`` and ``guesses`` (field, sentence) are sentences.
    """

    kind: str
    files: list[Found]
    root: str
    path: str = ""
    layer: str = ""
    name: str = ""
    dates: list[Optional[datetime]] = field(default_factory=list)
    pattern: str = ""
    how: str = ""
    sequences: tuple[str, ...] = ()
    member: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    guesses: list[tuple[str, str]] = field(default_factory=list)

    @property
    def several(self) -> bool:
        """Whether the source is of several files."""
        return len(self.files) > 1

    @property
    def dated(self) -> bool:
        """Whether file names hold dates."""
        return any(self.dates)

    def of_sequence(self, name: str) -> Group:
        """The files of one sequence as a group of their own."""
        chosen = [number for number, member in enumerate(self.member) if member == name]
        dates = [self.dates[number] for number in chosen] if self.dates else []
        files = [self.files[number] for number in chosen]
        return Group(self.kind, files, self.root, self.path, self.layer, self.name, dates, self.pattern, self.how)


def name_group(group: Group, everything: list[Found]) -> None:
    """Find the path that names a group, and a word for it."""
    if len(group.files) == 1 and not group.sequences:
        item = group.files[0]
        group.path = item.path
        group.name = _SUFFIX.sub("", item.name[:-3] if item.name.lower().endswith(".gz") else item.name)
        if group.kind == "pcraster":
            group.name = group.layer
        return
    folder = _climbed(common_folder([item.path for item in group.files]), group.root)
    beside = _below(everything, folder)
    group.name = _skeleton(group) or os.path.basename(folder)
    if group.kind == "pcraster":
        alone = all(item.kind == "pcraster" for item in beside)
        several = len(beside) > len(group.files)
        group.path = folder if alone else os.path.join(folder, group.layer)
        group.name, group.layer = group.layer, group.layer if several else ""
    elif group.sequences:
        group.path = _sequence_path(group, folder)
    elif len(beside) == len(group.files):
        group.path = folder
        group.name = os.path.basename(folder)
    else:
        group.path = _pattern(group, folder, beside)


def common_folder(paths: Iterable[str]) -> str:
    """The deepest folder that holds all paths."""
    return os.path.commonpath([os.path.dirname(path) for path in paths])


def words_of(group: Group) -> tuple[str, ...]:
    """Words that may name the variable of a group: its own, that of its files, its folder."""
    folder = os.path.basename(_climbed(common_folder([item.path for item in group.files]), group.root))
    found = (group.name, _skeleton(group), folder) if group.several else (group.name, folder)
    return tuple(dict.fromkeys(word for word in found if word))


def _climbed(folder: str, root: str) -> str:
    """The folder that a folder called by a year or month lies in."""
    while folder != root and os.path.basename(folder).isdigit():
        folder = os.path.dirname(folder)
    return folder


def _below(everything: list[Found], folder: str) -> list[Found]:
    start = os.path.join(folder, "")
    return [item for item in everything if item.path.startswith(start)]


def _skeleton(group: Group) -> str:
    """What the names of a group share, without dates and running numbers: "precip" of precip_20200101.tif."""
    names = [_SUFFIX.sub("", item.name) for item in group.files]
    pieces = _pieces(names)
    text = "".join(pieces) if pieces else re.sub(r"\d+$", "", os.path.commonprefix(names))
    years = {date.year for date in group.dates if date is not None}
    if len(years) == 1:  # the year (and month) that all share is a date too
        text = re.sub(rf"[-_. ]*(?<!\d){years.pop()}(?:[-_.]?\d\d)?[-_. ]*$", "", text) or text
    return re.sub(r"[-_. ]{2,}", "_", text).strip("-_. ")


def _pieces(names: Sequence[str], varying: str = "") -> list[str]:
    """The parts of names that are alike but for their numbers; a number that varies becomes ``varying``. Empty where
    the names differ otherwise.
    """
    split = [re.split(r"(\d+)", name) for name in names]
    if len({tuple(parts[::2]) for parts in split}) > 1:
        return []
    numbers = zip(*(parts[1::2] for parts in split))
    kept = [found[0] if len(set(found)) == 1 else varying for found in numbers]
    return [text for pair in zip(split[0][::2], [*kept, ""]) for text in pair]


def _pattern(group: Group, folder: str, beside: list[Found]) -> str:
    """A pattern that fits the files of a group and no others; the folder with a problem where there is none."""
    names = [item.name for item in group.files]
    deep = any(os.path.dirname(item.path) != folder for item in group.files)
    wanted = set(names)
    own = {item.path for item in group.files}
    head = os.path.commonprefix(names)
    tail = os.path.commonprefix([name[::-1] for name in names])[::-1]
    heads = dict.fromkeys((re.sub(r"\d[\d\-_.]*$", "", head), re.sub(r"\d+$", "", head)))
    tail = re.sub(r"^[\d\-_.]*\d(?=\D)", "", tail)
    tails = dict.fromkeys((tail if len(tail) + len(head) < len(min(names, key=len)) else "", _suffix_of(names)))
    tries = [f"{glob.escape(one)}*{glob.escape(end)}" for one in heads for end in tails if end]
    tries += ["".join(piece if piece == "[0-9]*" else glob.escape(piece) for piece in _pieces(names, "[0-9]*"))]
    for pattern in tries:
        fits = re.compile(fnmatch.translate(pattern)).match
        taken = {item.path for item in beside if fits(item.name)}
        if taken == own and all(fits(name) for name in wanted):
            return os.path.join(glob.escape(folder), "**" if deep else "", pattern)
    group.problems.append(
        f"Its files cannot be told from others in {os.path.basename(folder)} by a pattern. Put them into a folder of "
        "their own."
    )
    return folder


def _suffix_of(names: list[str]) -> str:
    return os.path.splitext(names[0])[1]


def make_sequences(group: Group, everything: list[Found]) -> bool:
    """Turn a group of files without dates in their names into a source of as many sequences, named by what differs in
    the names. False where that is not one number or word.
    """
    names = [item.relative for item in group.files]
    head = re.sub(r"\d+$", "", os.path.commonprefix(names))
    tail = re.sub(r"^\d+(?=\D|$)", "", os.path.commonprefix([name[::-1] for name in names])[::-1])
    inner = [name[len(head) : len(name) - len(tail)] for name in names]
    whole = [re.match(r"[^-_./ ]+", text) for text in inner]
    if not all(whole) or len({match.group(0) for match in whole if match}) < len(names):
        return False
    group.member = [match.group(0) for match in whole if match]
    group.sequences = tuple(sorted(group.member, key=natural))
    name_group(group, everything)
    return "{sequence}" in group.path


def _sequence_path(group: Group, folder: str) -> str:
    """The path with ``{sequence}`` for the part that differs; of dated maps the folder or pattern of each."""
    name = group.sequences[0]
    own = group.of_sequence(name).files
    below = [os.path.relpath(item.path, folder).replace(os.sep, "/") for item in own]
    text = below[0]
    if len(below) > 1:
        text = os.path.dirname(text) if _whole_folders(group, folder) else _shared(below)
    start = os.path.join(glob.escape(folder) if "*" in text else folder, "")
    for found in _marked(text, name):
        if all(_is_there(group, start + found, one) for one in group.sequences):
            return start + found
    group.problems.append("No one path names its simulations. Put each into a folder of its own, all alike.")
    return start + text


def _marked(text: str, name: str) -> list[str]:
    """``text`` with ``{sequence}`` in all places of a whole number, in the last, in the first."""
    number = rf"(?<!\d){re.escape(name)}(?!\d)" if name.isdigit() else re.escape(name)
    every = re.sub(number, "{sequence}", text)
    places = [match.span() for match in re.finditer(number, text)]
    return [every, *(text[: ends[0]] + "{sequence}" + text[ends[1] :] for ends in places[::-1])]


def _is_there(group: Group, path: str, name: str) -> bool:
    """Whether a path with a sequence's name is that of its files."""
    path = path.replace("{sequence}", name)
    own = {item.path for item, member in zip(group.files, group.member) if member == name}
    if "*" in path:
        fits = re.compile(fnmatch.translate(path)).match
        return own == {item.path for item in group.files if fits(item.path)}
    return path in own or all(item.startswith(os.path.join(path, "")) for item in own)


def _shared(names: list[str]) -> str:
    """A pattern for the dated maps of one sequence."""
    head = re.sub(r"\d+$", "", os.path.commonprefix(names))
    tail = re.sub(r"^\d+(?=\D)", "", os.path.commonprefix([name[::-1] for name in names])[::-1])
    return f"{head}*{tail}"


def _whole_folders(group: Group, folder: str) -> bool:
    """Whether each sequence has a folder to itself."""
    owners: dict[str, set[str]] = {}
    for item, member in zip(group.files, group.member):
        owners.setdefault(item.folder, set()).add(member)
    return all(len(names) == 1 for names in owners.values()) and folder not in owners
