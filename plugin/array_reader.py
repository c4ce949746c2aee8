"""Readers of NetCDF, HDF5, Zarr and GRIB files: one report a variable, over all files of a group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Optional

from ..core.contracts import DataError
from .array_file import zarr_metadata
from .array_probe import probe_arrays, sample_array
from .band_dates import tagged_date
from .cf_time import plain_calendar
from .gdal_errors import quiet_gdal
from .listing import Found
from .raster_probe import Probe, Sample, open_raster, probe, sample, spread
from .readers import Step, overlap
from .report_making import Evidence, make_report, some
from .source_paths import Group, make_sequences
from .source_report import SourceReport

_PIECE = 20
_SAMPLED_FILES = 4


@dataclass
class _Layer:
    """What was gathered of one variable: for each map its date and its place, and the files that lack it."""

    probe: Probe
    first: int
    dates: list[Optional[datetime]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    units: set[str] = field(default_factory=set)
    calendars: set[str] = field(default_factory=set)


class ArrayReader:
    """Files of named variables, one or several that follow each other in time, or one a sequence."""

    def __init__(self, group: Group, everything: list[Found], stopped: Callable[[], bool], layer: str = "") -> None:
        self.group, self._everything, self._stopped, self._layer = group, everything, stopped, layer
        self._own = group
        self._layers: dict[str, _Layer] = {}
        self._bad: list[str] = []
        self._looked = False

    def first(self, opening: bool) -> list[SourceReport]:
        """The variables of the first file, with its dates or those of all names; nothing before a file is opened."""
        if not opening:
            return []
        self._look_first()
        names = self._dates_by_name()
        return [make_report(self._evidence(layer, names)) for layer in self._layers.values()]

    def rest(self) -> Iterator[Step]:
        """Open all files; a step for each piece with the share that is done."""
        if not self._looked:
            self._look_first()
        own = self._own.files
        self._layers = {}
        every = len(self.group.files)
        for number, item in enumerate(own):
            if self._stopped():
                return
            self._add(number, item.path)
            if (number + 1) % _PIECE == 0:
                yield [], 0.8 * number / every
        if not self._layers:
            raise DataError("None of the files can be read", got=own[0].path, remedy="Choose other files")
        self._check_sequences()
        names = self._dates_by_name()
        for number, layer in enumerate(self._layers.values()):
            if self._stopped():
                return
            found = self._evidence(layer, names)
            found.sample, found.complete = self._sample(layer), True
            yield [make_report(found)], 0.8 + 0.2 * (number + 1) / len(self._layers)

    # -- what the kinds of files differ in

    def _probes(self, path: str) -> list[Probe]:
        return probe_arrays(path, self._layer)

    def _sample_of(self, path: str, found: Probe) -> Sample:
        return sample_array(path, found)

    # -- looking

    def _look_first(self) -> None:
        self._looked = True
        self._tell_sequences()
        for number, item in enumerate(self._own.files):
            self._add(number, item.path, trying=number + 1 < len(self._own.files))
            if self._layers:
                return

    def _tell_sequences(self) -> None:
        """Files of the same variables whose dates overlap are sequences of their own, as simulations are."""
        group = self.group
        if group.sequences or not group.several or (group.dated and len(set(group.dates)) == len(group.dates)):
            self._own = group.of_sequence(group.sequences[0]) if group.sequences else group
            return
        try:
            one, other = self._probes(group.files[0].path), self._probes(group.files[-1].path)
        except DataError:
            return
        both = [(a, b) for a in one for b in other if a.layer == b.layer and a.dates and b.dates]
        if both and all(overlap(a.dates, b.dates) for a, b in both) and make_sequences(group, self._everything):
            self._own = group.of_sequence(group.sequences[0])

    def _add(self, number: int, path: str, trying: bool = True) -> None:
        try:
            probes = self._probes(path)
        except DataError:
            if not trying or len(self.group.files) == 1:
                raise
            self._bad.append(path)
            return
        if self._dates_by_name() and all(found.fixed for found in probes):
            for found in probes:
                found.fixed = False  # a map a file: the names of the files are the dates
        seen = set()
        for found in probes:
            layer = self._layers.setdefault(found.layer, _Layer(found, number))
            seen.add(found.layer)
            if found.grid != layer.probe.grid:
                layer.elsewhere.append(path)
            layer.units.add(found.units)
            layer.calendars.add(plain_calendar(found.calendar))
            if found.fixed and layer.places:
                continue
            layer.dates += found.dates if found.dates is not None else [None] * found.bands
            layer.places += [(number, found.band_of(index)) for index in range(found.bands)]
        for name, layer in self._layers.items():
            if name not in seen and not layer.probe.fixed:
                layer.lacking.append(path)

    def _check_sequences(self) -> None:
        """The files of the other sequences have to hold the same variables on the same grid."""
        if not self.group.sequences:
            return
        own = {item.path for item in self._own.files}
        for item in self.group.files:
            if item.path in own:
                continue
            if self._stopped():
                return
            try:
                probes = {found.layer: found for found in self._probes(item.path)}
            except DataError:
                self._bad.append(item.path)
                continue
            for name, layer in self._layers.items():
                if name not in probes:
                    layer.lacking.append(item.path)
                elif probes[name].grid != layer.probe.grid:
                    layer.elsewhere.append(item.path)

    def _dates_by_name(self) -> bool:
        """Whether the names of the files give the dates: each holds one map, and each name a date of its own."""
        own = self._own
        dates = [date for date in own.dates if date is not None]
        return own.several and len(dates) == len(own.files) == len(set(dates))

    def _evidence(self, layer: _Layer, named: bool) -> Evidence:
        files, own = [item.path for item in self._own.files], self._own
        dates, places = list(layer.dates), list(layer.places)
        single = layer.probe.bands == 1 and not layer.probe.fixed
        if single and named and not any(dates):
            dates, places = list(own.dates), [(number, 1) for number in range(len(files))]
        own.sequences, own.guesses = self.group.sequences, self.group.guesses
        found = Evidence(layer.probe, own, files, dates, places, unreadable=list(self._bad))
        if layer.probe.fixed and own.several and not own.sequences:
            found.files, found.path = files[layer.first : layer.first + 1], files[layer.first]
        if len(files) == 1 and not own.sequences:
            found.path = own.path
        found.problems += self._unlike(layer)
        return found

    def _unlike(self, layer: _Layer) -> list[str]:
        found = []
        if layer.elsewhere:
            names = some(os.path.basename(path) for path in layer.elsewhere)
            found.append(
                f"Its maps have different grids ({names} differ from the first). Bring them onto one grid first."
            )
        if len(layer.units) > 1:
            found.append(f"Its files have different units ({some(sorted(layer.units))}). Bring them to one unit first.")
        if len(layer.calendars) > 1:
            found.append(f"Its files follow different calendars ({some(sorted(layer.calendars))}). Take those of one.")
        if layer.lacking:
            names = some(os.path.basename(path) for path in layer.lacking)
            found.append(f"{len(layer.lacking)} of its files lack this variable ({names}); they are left out.")
        return found

    def _sample(self, layer: _Layer) -> Sample:
        files = [item.path for item in self._own.files]
        holding = sorted({number for number, _ in layer.places}) or [layer.first]
        values = Sample()
        for index in spread(len(holding), _SAMPLED_FILES):
            try:
                values = values.merge(self._sample_of(files[holding[index]], layer.probe))
            except (DataError, KeyError):  # a file that lost a variable was named above
                continue
        return values


class GribReader(ArrayReader):
    """GRIB files: bands told apart by what they hold, dated by their valid time."""

    def _probes(self, path: str) -> list[Probe]:
        source = open_raster(path)
        base = probe(path)
        found: dict[str, Probe] = {}
        numbers: dict[str, list[int]] = {}
        with quiet_gdal():
            for number in range(1, source.RasterCount + 1):
                tags = source.GetRasterBand(number).GetMetadata()
                element, level = tags.get("GRIB_ELEMENT", f"band {number}"), tags.get("GRIB_SHORT_NAME", "")
                holds = f"{element}[{level}]" if level else element
                if holds not in found:
                    found[holds] = _field(base, holds, element, tags)
                found[holds].dates.append(tagged_date(tags))
                numbers.setdefault(holds, []).append(number)
        for holds, one in found.items():
            one.bands, one.numbers = len(numbers[holds]), tuple(numbers[holds])
        wanted = self._layer
        return [one for holds, one in found.items() if wanted in ("", holds, holds.partition("[")[0])]

    def _sample_of(self, path: str, found: Probe) -> Sample:
        return sample(path, [found.band_of(index) for index in spread(found.bands, 8)])


def _field(base: Probe, holds: str, element: str, tags: dict[str, str]) -> Probe:
    return Probe(
        uri=base.uri,
        name=element,
        label=tags.get("GRIB_COMMENT", "").partition("[")[0].strip(),
        units=tags.get("GRIB_UNIT", "").strip("[]"),
        size=base.size,
        crs=base.crs,
        transform=base.transform,
        dates=[],
        layer=holds,
        guesses=list(base.guesses),
        nodata=base.nodata,
    )


def bare_zarr(path: str, refusal: DataError) -> list[SourceReport]:
    """Reports of the variables of a Zarr store of format 3 by its description alone; raises ``refusal`` where it has
    none.
    """
    inner = zarr_metadata(path).get("consolidated_metadata") or {}
    found = []
    for name, about in dict(inner.get("metadata") or {}).items():
        shape = about.get("shape") or ()
        if len(shape) < 2:
            continue
        attributes = about.get("attributes") or {}
        one = Probe(path, name.rsplit("/", 1)[-1], str(attributes.get("long_name", "")),
                    str(attributes.get("standard_name", "")), str(attributes.get("units", "")),
                    layer=name, fixed=len(shape) == 2, sentences=[str(refusal)])  # fmt: skip
        one.size = int(shape[-1]), int(shape[-2])
        one.bands = int(shape[0]) if len(shape) > 2 else 1
        group = Group("zarr", [Found(path, os.path.basename(path), "zarr")], os.path.dirname(path), path, name=name)
        places = [(0, band + 1) for band in range(one.bands)]
        evidence = Evidence(one, group, [path], [None] * one.bands, places, complete=True)
        found.append(make_report(evidence))
    if not found:
        raise refusal
    return found
