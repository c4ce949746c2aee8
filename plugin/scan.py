"""Looks into whatever a person drops in: what names tell at once, what the files hold as it is found."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple, Optional, Union

from ..core.contracts import DataError
from .array_reader import ArrayReader, GribReader, bare_zarr
from .grouping import date_preview, group_files
from .listing import MAP_KINDS, Found, Listing, kind_of, list_files, list_folder
from .raster_probe import split_uri
from .readers import RasterReader
from .source_paths import Group
from .source_report import SourceReport
from .table_reader import TableReader

OPENED_AT_FIRST = 12
Reader = Union[RasterReader, ArrayReader, TableReader]


class Page(NamedTuple):
    """A step of the looking: new or renewed reports (``path`` and ``layer`` tell them apart), sentences on what cannot
    be a source, the share that is done (0 to 1), and words on what is looked into.
    """

    reports: list[SourceReport]
    refused: list[str]
    fraction: float
    words: str


class Scan:
    """Looks into files and folders. Iterating gives :class:`Page` after :class:`Page`: the first with what names tell
    and one opened file a source at most, further ones as files are looked through, in pieces.

    GDAL alone is used, no layer and no widget, so that it can run in a task. ``stopped`` is asked between the pieces;
    once it says True, nothing more comes. What a person can cause is told in ``refused``.
    """

    def __init__(self, paths: Sequence[str], stopped: Callable[[], bool] = lambda: False) -> None:
        self._paths, self._stopped = [str(path) for path in paths if str(path)], stopped

    def __iter__(self) -> Iterator[Page]:
        refused: list[str] = []
        readers = [item for listing in self._listings(refused) for item in self._readers(listing)]
        reports, kept = [], []
        for reader in readers:
            if self._stopped():
                return
            try:
                reports += reader.first(len(kept) < OPENED_AT_FIRST)
                kept.append(reader)
            except DataError as error:
                reports += self._told_otherwise(reader, error, refused)
        yield Page(reports, refused, 0.0, "")
        for number, reader in enumerate(kept):
            yield from self._refined(reader, number, len(kept))
            if self._stopped():
                return
        yield Page([], [], 1.0, "")

    def _refined(self, reader: Reader, number: int, count: int) -> Iterator[Page]:
        words = os.path.basename(reader.group.path.rstrip("/\\"))
        try:
            for reports, share in reader.rest():
                yield Page(reports, [], (number + share) / count, words)
        except DataError as error:
            refused: list[str] = []
            reports = self._told_otherwise(reader, error, refused)
            yield Page(reports, refused, (number + 1) / count, words)

    def _told_otherwise(self, reader: Reader, error: DataError, refused: list[str]) -> list[SourceReport]:
        """A store that this GDAL cannot open is described all the same; anything else is refused."""
        if reader.group.kind == "zarr":
            try:
                return bare_zarr(reader.group.files[0].path, error)
            except DataError:
                refused.append(str(error))
                return []
        if not (isinstance(reader, TableReader) and not reader.asked):
            refused.append(str(error))
        return []

    def _listings(self, refused: list[str]) -> list[Listing]:
        files, found = [], []
        for path in self._paths:
            plain, _ = split_uri(path)
            absolute = os.path.abspath(plain)
            if plain != path or path.startswith("/vsi"):
                name = os.path.basename(plain)
                found.append(Listing(os.path.dirname(absolute), [Found(path, name, "named")]))
            elif os.path.isdir(absolute) and kind_of(absolute) != "zarr":
                try:
                    listing = list_folder(absolute, self._stopped)
                except DataError as error:
                    refused.append(str(error))
                    continue
                if not listing.files:
                    refused.append(str(_empty(absolute)))
                found.append(listing)
            elif os.path.exists(absolute) or os.path.exists(absolute.split("|")[0]):
                files.append(absolute)
            elif glob.has_magic(path) and glob.glob(absolute, recursive=True):
                files += sorted(glob.glob(absolute, recursive=True))
            else:
                refused.append(str(_gone(path)))
        return found + list_files(files)

    def _readers(self, listing: Listing) -> list[Reader]:
        asked = len(listing.files) == 1 or bool(listing.others)
        everything = [item for item in (*listing.files, *listing.others) if item.kind in MAP_KINDS]
        if listing.files and listing.files[0].kind == "named":
            return [self._named(listing.files[0], listing.root)]
        tables = [item.path for item in listing.files if item.kind in ("table", "vector")]
        return [self._reader(group, everything, tables, asked) for group in group_files(listing)]

    def _reader(self, group: Group, everything: list[Found], tables: list[str], asked: bool) -> Reader:
        if group.kind in ("netcdf", "zarr"):
            return ArrayReader(group, everything, self._stopped)
        if group.kind == "grib":
            return GribReader(group, everything, self._stopped)
        if group.kind in ("table", "vector"):
            chosen = asked or any(os.path.abspath(path) == group.path for path in self._paths)
            return TableReader(group, tables, self._stopped, chosen)
        return RasterReader(group, everything, self._stopped)

    def _named(self, item: Found, root: str) -> Reader:
        """A source by GDAL's own name, as NETCDF:"file.nc":rain."""
        path, layer = split_uri(item.path)
        driver = item.path.split(":", 1)[0].upper()
        if driver in ("NETCDF", "ZARR"):
            file = Found(path, os.path.basename(path), "netcdf")
            kind = "zarr" if driver == "ZARR" else "netcdf"
            group = Group(kind, [file], root, path, name=os.path.splitext(file.name)[0])
            return ArrayReader(group, [], self._stopped, layer)
        group = Group("raster", [item], root, item.path, name=layer or os.path.splitext(item.name)[0])
        return RasterReader(group, [], self._stopped)


def _gone(path: str) -> DataError:
    return DataError("The file does not exist", got=path, remedy="Choose it again; it may have been moved or renamed")


def _empty(folder: str) -> DataError:
    return DataError(
        "The folder holds no raster",
        expected="files such as precipitation_1995-02-01.tif",
        got=folder,
        remedy="Choose the folder that holds the dated rasters themselves",
    )


def scan_all(paths: Sequence[str]) -> tuple[list[SourceReport], list[str]]:
    """All reports of some paths once everything was looked through, in the order in which they were found, and what
    was refused.
    """
    reports: dict[tuple[str, str], Optional[SourceReport]] = {}
    refused: list[str] = []
    for page in Scan(paths):
        refused += page.refused
        for report in page.reports:
            reports[report.path, report.layer] = report
    return [report for report in reports.values() if report is not None], refused


__all__ = ["OPENED_AT_FIRST", "Page", "Scan", "date_preview", "scan_all"]
