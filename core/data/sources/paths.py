"""What a person or QGIS calls a source, taken apart: files, folders, patterns such as ``rain_*.nc``, GDAL sub-datasets,
layer sources with suffixes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from ...contracts.errors import DataError

NETCDF_SUFFIXES = (".nc", ".nc4", ".nc3", ".cdf", ".netcdf", ".h5", ".hdf5", ".he5")
GRIB_SUFFIXES = (".grib", ".grib1", ".grib2", ".grb", ".grb2", ".gb2")
RASTER_SUFFIXES = (
    ".tif",
    ".tiff",
    ".gtiff",
    ".asc",
    ".ascii",
    ".vrt",
    ".img",
    ".map",
    ".bil",
    ".bsq",
    ".bip",
    ".flt",
    ".sdat",
    ".grd",
    ".rst",
    ".jp2",
    ".png",
)
_SUBDATASET = re.compile(r"^(NETCDF|HDF5|HDF4_EOS|HDF4_SDS|GPKG|GTIFF_DIR|ZARR):(.+)$", re.IGNORECASE | re.DOTALL)
_STACK_MEMBER = re.compile(r"^([A-Za-z_].*?)(\d+)\.(\d{3})$")


@dataclass(frozen=True)
class SourcePath:
    """``path`` is the file, folder or pattern; ``layer`` the NetCDF variable named in it, or empty; ``gdal`` a name for
    GDAL alone, or empty.
    """

    path: str
    layer: str = ""
    gdal: str = ""

    @property
    def file(self) -> Path:
        """The file or folder."""
        return Path(self.path)

    @property
    def is_netcdf(self) -> bool:
        """Whether the name says NetCDF (or HDF5, which is read alike)."""
        return not self.gdal and self.suffix in NETCDF_SUFFIXES or bool(self.layer)

    @property
    def starts(self) -> bytes:
        """First bytes of a file, which tell its kind where its name does not; empty for anything else."""
        if self.gdal or not self.file.is_file():
            return b""
        try:
            with self.file.open("rb") as handle:
                return handle.read(8)
        except OSError:
            return b""

    @property
    def suffix(self) -> str:
        """Suffix of the file in small letters."""
        return self.file.suffix.lower()

    @property
    def is_pattern(self) -> bool:
        """Whether the path stands for several files, as ``rain_*.nc``."""
        return not self.gdal and any(sign in self.path for sign in "*?[") and not self.file.exists()

    @property
    def is_stack_prefix(self) -> bool:
        """Whether the path is a folder and the prefix of a PCRaster stack in it, as ``maps/P`` for P0000000.001."""
        if self.gdal or self.file.exists() or self.is_pattern or not self.file.parent.is_dir():
            return False
        prefix = self.file.name
        return any(
            entry.name.startswith(prefix) and stack_member(entry.name) is not None
            for entry in self.file.parent.iterdir()
        )


def stack_member(name: str) -> Optional[tuple[str, str]]:
    """Prefix and digits of a member of a PCRaster stack (``P0000000.001`` gives "P" and "0000000001"), else None: eight
    characters, a dot, three digits.
    """
    match = _STACK_MEMBER.match(name) if len(name) == 12 else None
    return (match.group(1), match.group(2) + match.group(3)) if match else None


def parse_source(text: str) -> SourcePath:
    """Take a source apart.

    Understood are plain paths, patterns, ``file://`` addresses, ``NETCDF:"path":variable`` (also HDF5 and ZARR), other
    GDAL sub-dataset names, and the suffixes that QGIS appends (``|layername=...``, ``|option:...``). A file whose real
    name holds a ``|`` wins over the suffix.
    """
    text = text.strip()
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text.replace("#", "%23").replace("?", "%3F")).path)
    if not os.path.exists(text) and "|" in text:
        text = text.split("|", 1)[0]
    match = None if os.path.exists(text) else _SUBDATASET.match(text)
    if match is None:
        return SourcePath(text)
    driver, rest = match.group(1).upper(), match.group(2)
    if driver not in ("NETCDF", "HDF5", "ZARR"):
        return SourcePath(text, gdal=text)
    return _named_inside(rest)


def require(source: SourcePath, variable: str) -> None:
    """Raise :class:`DataError` where the file or folder of ``variable`` is not there."""
    if source.gdal or source.path.startswith("/vsi") or source.file.exists() or source.is_pattern:
        return
    if source.is_stack_prefix:
        return
    raise DataError(
        f"'{variable}': there is no such file or folder",
        expected="a raster, a NetCDF, Zarr or GRIB file, or a folder of dated maps",
        got=source.path,
        remedy="Choose the source again; it may have been moved or renamed",
    )


def _named_inside(rest: str) -> SourcePath:
    """Path and variable of what follows ``NETCDF:``, ``HDF5:`` or ``ZARR:``; quotes around the path are GDAL's, quotes
    within it belong to it.
    """
    if rest.startswith('"') and '"' in rest[1:]:
        path, _, layer = rest[1:].rpartition('"')
        return SourcePath(path, layer.lstrip(":/"))
    if os.path.exists(rest) or ":" not in rest:
        return SourcePath(rest)
    path, _, layer = rest.rpartition(":")
    return SourcePath(path, layer.lstrip("/"))
