"""PCRaster stacks: a map a step, numbered in the file names (``P0000000.001`` to ``P0000000.365``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts.dates import parse_date
from ...contracts.errors import DataError
from ...contracts.steps import advance
from .band_dates import Dates
from .folder import FolderSource
from .listing import Listing, empty_folder, look_into
from .paths import SourcePath, stack_member


class PcrasterSource(FolderSource):
    """A stack: a folder, one of its maps, or its prefix (``maps/P``). ``config.layer`` names the prefix where a folder
    holds several stacks. The map numbered 1 has the date ``config.start``, each further one ``config.step_hours`` more.
    """

    kind = "pcraster"

    def _look(self, place: SourcePath) -> Listing:
        if not place.file.is_file():
            return look_into(place)
        prefix = stack_prefix(place.file.name, [path.name for path in place.file.parent.iterdir()])
        listing = Listing(place.file.parent)
        members = [path for path in place.file.parent.iterdir() if stack_member(path.name)]
        listing.files["pcraster"] = sorted(path for path in members if path.name.startswith(prefix))
        return listing

    def _rasters(self) -> list[Path]:
        stacks = stacks_of(self._listing)
        if not stacks:
            raise empty_folder(self._listing, self.name)
        wanted = self.config.layer.strip()
        if wanted not in stacks and (wanted or len(stacks) > 1):
            raise DataError(
                f"'{self.name}': the folder holds no stack '{wanted}'"
                if wanted
                else f"'{self.name}': the folder holds several stacks",
                expected=", ".join(stacks),
                got=str(self._listing.base),
                remedy="Choose one of these as 'variable in the file'",
            )
        self._prefix = wanted or next(iter(stacks))
        return stacks[self._prefix]

    def _bands(self, handle: Any) -> tuple[list[int], bool]:
        return [1], False

    def _file_dates(self, files: list[Path]) -> Dates:
        if self.config.date_table:
            return super()._file_dates(files)
        if not self.config.start or self.config.step_hours is None:
            raise DataError(
                f"'{self.name}': the maps of a PCRaster stack are numbered and have no dates",
                expected="the date of the map with the number 1, and the step",
                got=f"{files[0].name} to {files[-1].name}",
                remedy="Give the first date and the step",
            )
        begin = parse_date(self.config.start, f"'{self.name}': the first date")
        numbers = [_number(path.name, self._prefix) for path in files]
        seconds = self.config.step_hours * 3600.0
        self.notes.append(
            f"'{self.name}': the map with the number 1 has the date {self.config.start}, each further one "
            f"{self.config.step_hours:g} h more ({files[0].name} is number {numbers[0]})."
        )
        return [np.datetime64(advance(begin, number - 1, seconds), "s") for number in numbers]


def stacks_of(listing: Listing) -> dict[str, list[Path]]:
    """Members of each stack by prefix, in the order of their numbers; single files that only look like members are
    taken too.
    """
    paths = listing.chosen("pcraster")
    names = [path.name for path in paths]
    stacks: dict[str, list[Path]] = {}
    for path in paths:
        stacks.setdefault(stack_prefix(path.name, names), []).append(path)
    return {prefix: sorted(found, key=lambda one: _number(one.name, prefix)) for prefix, found in stacks.items()}


def stack_prefix(name: str, names: Sequence[str]) -> str:
    """Prefix of a member: its letters, and leading digits other than 0 that all of its kind share (tmp20000.001)."""
    letters, digits = stack_member(name)
    kin = [found[1] for found in map(stack_member, names) if found is not None and found[0] == letters]
    shared = 0
    while shared < len(digits) - 4 and digits[shared] != "0" and all(one[shared] == digits[shared] for one in kin):
        shared += 1
    return letters + digits[:shared]


def _number(name: str, prefix: str) -> int:
    return int(name[len(prefix) :].replace(".", ""))
