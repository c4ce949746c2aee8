"""What folders hold, by names alone: no file is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable, Optional

from ..core.contracts import DataError
from .array_file import is_zarr
from .source_report import NETCDF_SUFFIXES

GRIB_SUFFIXES = (".grib", ".grib1", ".grib2", ".grb", ".grb2", ".gb2")
RASTER_SUFFIXES = (
    ".tif", ".tiff", ".gtiff", ".asc", ".ascii", ".vrt", ".img", ".map", ".bil", ".bsq", ".bip", ".flt", ".sdat",
    ".grd", ".rst", ".jp2", ".png",
)  # fmt: skip
TEXT_SUFFIXES = (".csv", ".txt", ".tsv", ".tab", ".dat", ".rdb", ".tss", ".prn")
SHEET_SUFFIXES = (".xlsx", ".ods")
VECTOR_SUFFIXES = (".gpkg", ".shp", ".geojson", ".json", ".kml", ".fgb", ".gml")
MAP_KINDS = ("raster", "netcdf", "zarr", "grib", "pcraster")
# In a folder these are as often anything else: pictures, notes, settings.
_ONLY_WHEN_CHOSEN = (".png", ".txt", ".dat", ".json", ".prn", ".tab", ".gml", ".kml")
_STACK_MEMBER = re.compile(r"^([A-Za-z_].*?)(\d+)\.(\d{3})$")


@dataclass(frozen=True)
class Found:
    """One file (or Zarr store): its path, its name below the folder that was looked into (with ``/``), its kind."""

    path: str
    relative: str
    kind: str

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> str:
        """Its name."""
        return self.relative.rsplit("/", 1)[-1]


@dataclass
class Listing:
    """The files of a folder with its sub-folders, or some files of one folder; ``root`` is that folder. ``others`` are
    maps beside them that do not belong to what was chosen.
    """

    root: str
    files: list[Found] = field(default_factory=list)
    others: list[Found] = field(default_factory=list)


def list_folder(folder: str, stopped: Callable[[], bool] = lambda: False) -> Listing:
    """Everything in a folder and its sub-folders. Hidden files are skipped, Zarr stores are not entered.

    DataError where the folder cannot be read.
    """
    listing = Listing(folder)
    listing.files = [item for item in _walk(folder, "", set(), stopped, True) if item.kind]
    listing.files.sort(key=lambda item: natural(item.relative))
    return listing


def list_files(paths: list[str], stopped: Callable[[], bool] = lambda: False) -> list[Listing]:
    """Files that were chosen one by one, a listing for each folder that they lie in."""
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        by_folder.setdefault(os.path.dirname(path), []).append(path)
    found = []
    for folder, chosen in by_folder.items():
        listing = Listing(folder)
        listing.files = [Found(path, os.path.basename(path), kind_of(_file_of(path))) for path in chosen]
        listing.files.sort(key=lambda item: natural(item.relative))
        if len(chosen) > 1:
            taken = {os.path.basename(path) for path in chosen}
            beside = _walk(folder, "", set(), stopped, False) if os.access(folder, os.R_OK) else ()
            listing.others = [item for item in beside if item.kind in MAP_KINDS and item.relative not in taken]
        found.append(listing)
    return found


def _file_of(path: str) -> str:
    """The file of a layer as QGIS names it (``file.gpkg|layername=gauges``)."""
    return path if os.path.exists(path) else path.split("|")[0]


def kind_of(path: str, chosen: bool = True) -> str:
    """Kind of a file by its name: one of :data:`MAP_KINDS`, "table", "vector", or empty. ``chosen`` says that a person
    pointed at this very file.
    """
    name = os.path.basename(path.rstrip("/\\"))
    lower = name.lower()
    suffix = os.path.splitext(lower[:-3] if lower.endswith(".gz") else lower)[1]
    if not chosen and suffix in _ONLY_WHEN_CHOSEN:
        return ""
    for kind, suffixes in _KINDS.items():
        if suffix in suffixes:
            return kind
    if stack_member(name):
        return "pcraster"
    if os.path.isdir(path):
        return "zarr" if suffix == ".zarr" or is_zarr(os.listdir(path)) else ""
    return _by_content(path) if chosen else ""


def stack_member(name: str) -> Optional[tuple[str, str]]:
    """Prefix and digits of a member of a PCRaster stack (``P0000000.001`` gives "P" and "0000000001"), else None: eight
    characters, a dot, three digits.
    """
    match = _STACK_MEMBER.match(name) if len(name) == 12 else None
    return (match.group(1), match.group(2) + match.group(3)) if match else None


def natural(text: str) -> list[tuple[int, int, str]]:
    """Key that sorts map2 before map10."""
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in re.split(r"(\d+)", text)]


_KINDS = {
    "netcdf": NETCDF_SUFFIXES,
    "grib": GRIB_SUFFIXES,
    "raster": RASTER_SUFFIXES,
    "table": TEXT_SUFFIXES + SHEET_SUFFIXES,
    "vector": VECTOR_SUFFIXES,
    "zarr": (".zarr",),
}
_STARTS = ((b"\x89HDF", "netcdf"), (b"CDF", "netcdf"), (b"GRIB", "grib"), (b"SQLite format 3", "vector"))


def _by_content(path: str) -> str:
    """Kind of a file whose name tells none, by its first bytes; anything that GDAL may know is a raster."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(16)
    except OSError:
        return "raster"
    return next((kind for start, kind in _STARTS if head.startswith(start)), "raster")


def _walk(folder: str, below: str, seen: set[str], stopped: Callable[[], bool], deeper: bool) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise DataError(
            "The folder cannot be read",
            expected="a folder with the right to read it",
            got=f"{folder} ({error.strerror})",
            remedy="Ask for the right to read it, or choose another folder",
        ) from error
    seen.add(os.path.realpath(folder))
    folders = []
    for name, is_folder in found:
        path, relative = os.path.join(folder, name), below + name
        if not is_folder:
            yield Found(path, relative, kind_of(path, chosen=False))
        elif name.lower().endswith(".zarr"):
            yield Found(path, relative, "zarr")
        elif deeper:
            folders.append((path, relative))
    for path, relative in sorted(folders):
        if stopped() or os.path.realpath(path) in seen:  # a link that leads back up
            continue
        if _is_store(path):
            yield Found(path, relative, "zarr")
        else:
            yield from _walk(path, f"{relative}/", seen, stopped, deeper)


def _is_store(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, mark)) for mark in (".zgroup", ".zarray", "zarr.json"))
