"""Readers of groups of rasters: the first look at one file, then all of them in pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Callable, Optional

from ..core.contracts import DataError
from .band_dates import band_dates, date_beside, file_date, tagged_date
from .cf_time import Dates
from .gdal_errors import quiet_gdal
from .listing import Found
from .raster_probe import Probe, Sample, open_raster, probe, sample, spread
from .report_making import Evidence, make_report, some
from .source_paths import Group, make_sequences
from .source_report import SourceReport

SAMPLED_FILES = 6
PIECE = 100
_TRIED = 3
Step = tuple[list[SourceReport], float]


class RasterReader:
    """Dated rasters of one variable, one raster of dated bands, or a single map."""

    def __init__(self, group: Group, everything: list[Found], stopped: Callable[[], bool]) -> None:
        self.group, self._everything, self._stopped = group, everything, stopped
        self._own = group.of_sequence(group.sequences[0]) if group.sequences else group
        self._probe: Optional[Probe] = None
        self._problems: list[str] = []

    def first(self, opening: bool) -> list[SourceReport]:
        """What names tell; with ``opening``, one file is opened too."""
        if opening:
            self._open_first(_TRIED)
            self._tell_sequences()
        return [make_report(self._evidence(self._probe or self._unopened()))]

    def rest(self) -> Iterator[Step]:
        """Open the files; a step for each piece with the share that is done."""
        files = self._own.files
        if self._probe is None or self._probe.size == (0, 0):
            self._open_first(len(files))
            self._tell_sequences()
            files = self._own.files
        if len(files) == 1 and not self.group.sequences:
            found = self._evidence(self._probe)
            found.sample, found.complete = sample(self._probe.uri), True
            yield [make_report(found)], 1.0
            return
        values = self._sample_files()
        found = self._evidence(self._probe)
        found.sample = values
        yield [make_report(found)], 0.05
        look = _Look(self._probe, self._dates_inside())
        every = self.group.files
        for number, item in enumerate(every):
            if self._stopped():
                return
            look.at(item.path)
            if (number + 1) % PIECE == 0:
                yield [], 0.05 + 0.95 * number / len(every)
        yield [self._checked(look, values)], 1.0

    def _checked(self, look: _Look, values: Sample) -> SourceReport:
        """The report once every file was opened."""
        found = self._evidence(self._probe)
        found.sample, found.complete = values, True
        found.unreadable = list(look.unreadable)
        found.problems += look.problems()
        found.mixed_nodata = look.mixed_nodata
        if look.dates:
            self._take_inner(found, look)
        elif look.unreadable:
            bad = set(look.unreadable)
            kept = [number for number, (at, _) in enumerate(found.places) if found.files[at] not in bad]
            found.dates = [found.dates[number] for number in kept]
            found.places = [found.places[number] for number in kept]
        return make_report(found)

    def _take_inner(self, found: Evidence, look: _Look) -> None:
        """Dates that stand in the files themselves, or beside them."""
        found.dates, found.places = [], []
        for number, path in enumerate(found.files):
            for date, band in look.dates.get(path, ()):
                found.dates.append(date)
                found.places.append((number, band))
        found.guesses.append(("date_table", look.told))

    def _evidence(self, known: Probe) -> Evidence:
        own = self._own
        files = [item.path for item in own.files]
        if len(files) > 1 or (self.group.sequences and known.bands == 1):
            dates = list(own.dates) if own.dated else [None] * len(files)
            places = [(number, 1) for number in range(len(files))]
            return Evidence(known, self._titled(), files, dates, places, problems=list(self._problems))
        places = [(0, known.band_of(number)) for number in range(known.bands)]
        dates = list(known.dates or [None] * known.bands)
        if known.bands == 1 and known.dates is None and own.dated:
            dates = list(own.dates)
        return Evidence(known, self._titled(), files, dates, places, problems=list(self._problems))

    def _tell_sequences(self) -> None:
        """Files of dated bands whose dates overlap are sequences of their own."""
        group, known = self.group, self._probe
        if group.sequences or group.dated or not group.several or known.bands < 2 or not known.dates:
            return
        try:
            last = probe(group.files[-1].path)
        except DataError:
            return
        if last.dates and overlap(known.dates, last.dates) and make_sequences(group, self._everything):
            self._own = group.of_sequence(group.sequences[0])
            self._probe = _opened(self._own.files[0].path)
            self._probe.layer = ""

    def _titled(self) -> Group:
        """The group with the files of the shown sequence, so that counts in sentences are theirs."""
        own = self._own
        if self.group is not own:
            own.sequences, own.guesses, own.problems = self.group.sequences, self.group.guesses, self.group.problems
        return own

    def _unopened(self) -> Probe:
        return Probe(self._own.files[0].path, self._own.name, bands=1)

    def _open_first(self, tries: int) -> None:
        """Look at the first file that can be opened. DataError where none can."""
        error: Optional[DataError] = None
        for item in self._own.files[:tries]:
            try:
                self._probe = _opened(item.path)
            except DataError as caught:
                error = error or caught
                continue
            if len(self._own.files) > 1:
                self._probe.name = self._own.name
                self._probe.layer = ""
            return
        if error is not None and tries >= len(self._own.files):
            raise error
        self._probe = self._unopened()

    def _sample_files(self) -> Sample:
        files, values = self._own.files, Sample()
        for index in spread(len(files), SAMPLED_FILES):
            try:
                values = values.merge(sample(files[index].path, [1] if self._probe.dates is None else None))
            except DataError:  # named once all files were opened
                continue
        return values

    def _dates_inside(self) -> str:
        """Where the dates of files stand whose names have none: "bands", "metadata", "beside", or empty."""
        own = self._own
        if self._probe.bands > 1 and self._probe.dates is not None and own.kind == "raster":
            return "bands"
        if self._probe.bands > 1:
            said = f"Each of its files has {self._probe.bands} bands without dates; the first is read."
            self._problems.append(f"{said} Name another as variable in the file.")
        if own.dated or own.kind != "raster":
            return ""
        path = self._probe.uri
        if date_beside(path) is not None:
            return "beside"
        source = open_raster(path)
        with quiet_gdal():
            return "metadata" if file_date(source) is not None else ""


class _Look:
    """Every file of a source seen once: what cannot be read, what lies elsewhere, dates inside."""

    def __init__(self, first: Probe, inside: str) -> None:
        self._first, self._inside = first, inside
        self.unreadable: list[str] = []
        self.dates: dict[str, list[tuple[Optional[datetime], int]]] = {}
        self._elsewhere: list[str] = []
        self._marks: set[Any] = set()
        self._grid = (first.size, first.transform)

    @property
    def told(self) -> str:
        """A sentence on where dates were found."""
        where = {"bands": "bands of the files", "metadata": "metadata of the files", "beside": "files beside the maps"}
        return f"The dates come from the {where[self._inside]}."

    @property
    def mixed_nodata(self) -> bool:
        """Whether the files declare different missing values."""
        return len({str(mark) for mark in self._marks}) > 1

    def at(self, path: str) -> None:
        """Open a file."""
        try:
            source = open_raster(path)
        except DataError:
            self.unreadable.append(path)
            return
        with quiet_gdal():
            transform = source.GetGeoTransform(can_return_null=True)
            band = source.GetRasterBand(1)
            if band is None:
                self.unreadable.append(path)
                return
            self._marks.add(band.GetNoDataValue())
            if not _alike(self._grid, ((source.RasterXSize, source.RasterYSize), transform)):
                self._elsewhere.append(path)
            if self._inside == "bands":
                stem = os.path.splitext(os.path.basename(path))[0]
                found = band_dates(source, source.GetMetadata(), stem)[0]
                if found is None and source.RasterCount == 1:
                    found = [tagged_date(band.GetMetadata())]
                self.dates[path] = [(date, number + 1) for number, date in enumerate(found or [])]
            elif self._inside == "metadata":
                self.dates[path] = [(file_date(source), 1)]
        if self._inside == "beside":
            self.dates[path] = [(date_beside(path), 1)]

    def problems(self) -> list[str]:
        """Sentences on what is not alike."""
        found = []
        if self._elsewhere:
            names = some(os.path.basename(path) for path in self._elsewhere)
            word = "differs" if len(self._elsewhere) == 1 else "differ"
            found.append(
                f"Its maps have different grids ({names} {word} from the first). Bring them onto one grid first."
            )
        if self.mixed_nodata:
            shown = some(sorted("none" if mark is None else f"{mark:g}" for mark in self._marks))
            found.append(f"Its files declare different missing values ({shown}); each is read by its own.")
        return found


def overlap(one: Dates, other: Dates) -> bool:
    """Whether the periods of two files share more than an end."""
    first, second = sorted(date for date in one if date), sorted(date for date in other if date)
    return bool(first and second) and first[0] < second[-1] and second[0] < first[-1]


def _alike(one: tuple, other: tuple) -> bool:
    """Same size, and corners within a hundredth of a cell."""
    if one[0] != other[0] or (one[1] is None) != (other[1] is None):
        return False
    if one[1] is None:
        return True
    cells = abs(one[1][1]) or 1.0, abs(one[1][5]) or 1.0
    return all(abs(a - b) < 0.01 * cells[i // 3] for i, (a, b) in enumerate(zip(one[1], other[1])))


def _opened(path: str) -> Probe:
    """The look at a raster; of a file of several rasters, at the first."""
    source = open_raster(path)
    if not source.RasterCount and source.GetSubDatasets():
        path = source.GetSubDatasets()[0][0]
    return probe(path)
