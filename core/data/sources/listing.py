"""What a folder or a pattern of file names holds, found by names alone."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...contracts.errors import DataError
from .paths import GRIB_SUFFIXES, NETCDF_SUFFIXES, RASTER_SUFFIXES, SourcePath, stack_member

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
_WORDS = {"raster": "rasters", "netcdf": "NetCDF files", "zarr": "Zarr stores", "grib": "GRIB files",
          "pcraster": "maps of PCRaster stacks"}  # fmt: skip


@dataclass
class Listing:
    """Files of a folder (with sub-folders) or pattern by kind ("raster", "netcdf", "zarr", "grib", "pcraster"), each in
    natural order; ``base`` is the folder that names are told relative to.
    """

    base: Path
    files: dict[str, list[Path]] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The kind that most files have; empty where there is none."""
        return max(self.files, key=lambda kind: len(self.files[kind]), default="")

    def chosen(self, kind: str) -> list[Path]:
        """The files of a kind."""
        return self.files.get(kind, [])

    def others_said(self, name: str) -> list[str]:
        """A sentence on files of another kind, which are left out; none where all are of one kind."""
        left = [kind for kind in self.files if kind != self.kind]
        if not left:
            return []
        said = " and ".join(f"{len(self.files[kind])} {_WORDS[kind]}" for kind in left)
        return [f"'{name}': {self.base} also holds {said}, such as {self.files[left[0]][0].name}; they are left out."]


def look_into(place: SourcePath) -> Listing:
    """List a folder or pattern. Hidden files are skipped, Zarr stores are not entered."""
    if place.is_pattern:
        found = [Path(name) for name in glob.glob(place.path, recursive=True)]
        base = Path(os.path.commonpath([path.parent for path in found])) if found else place.file.parent
        return _sorted_out(base, found)
    if place.is_stack_prefix:
        folder, prefix = place.file.parent, place.file.name
        return _sorted_out(folder, [path for path in folder.iterdir() if path.name.startswith(prefix)])
    return _sorted_out(place.file, _walk(place.file))


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any(os.path.exists(folder / mark) for mark in _ZARR_MARKS)  # False, too, without the right to look


def raster_suffix(path: Path) -> str:
    """Suffix of a raster, also of one compressed as a whole (``.tif.gz``); empty where it is none."""
    name = path.name.lower()
    suffix = os.path.splitext(name[:-3] if name.endswith(".gz") else name)[1]
    return suffix if suffix in RASTER_SUFFIXES else ""


def empty_folder(listing: Listing, name: str) -> DataError:
    """The error for a folder or pattern without maps."""
    others = listing.others
    return DataError(
        f"'{name}': the folder holds no rasters",
        expected="rasters (" + ", ".join(RASTER_SUFFIXES[:5]) + " ...), NetCDF, Zarr, GRIB or PCRaster files",
        got=f"{len(others)} other files, such as {others[0].name}: {listing.base}"
        if others
        else f"an empty folder: {listing.base}",
        remedy="Choose the folder that holds the maps",
    )


def natural(text: str) -> list[tuple[int, int, str]]:
    """Key that sorts map2 before map10."""
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in re.split(r"(\d+)", text)]


def _walk(folder: Path) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(
            "The folder cannot be read",
            expected="a folder with the right to read it",
            got=f"{error.filename} ({error.strerror})",
            remedy="Ask for the right to read it, or choose another folder",
        ) from error

    seen: set[str] = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        stores = [name for name in folders if name.lower().endswith(".zarr") or is_zarr(Path(root) / name)]
        folders[:] = sorted(name for name in folders if name not in stores and not name.startswith((".", "__MACOSX")))
        yield from (Path(root) / name for name in stores)
        yield from (Path(root) / name for name in names if not name.startswith("."))


def _sorted_out(base: Path, paths: Iterable[Path]) -> Listing:
    listing = Listing(base)
    for path in sorted(paths, key=lambda one: natural(os.path.relpath(one, base))):
        kind = _kind(path)
        if kind:
            listing.files.setdefault(kind, []).append(path)
        else:
            listing.others.append(path)
    return listing


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in NETCDF_SUFFIXES:
        return "netcdf"
    if suffix in GRIB_SUFFIXES:
        return "grib"
    if raster_suffix(path):
        return "raster"
    if suffix == ".zarr" or path.is_dir():
        return "zarr" if path.is_dir() and is_zarr(path) else ""
    return "pcraster" if stack_member(path.name) else ""
