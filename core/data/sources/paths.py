"""What a person or QGIS calls a source, taken apart: files, folders, GDAL sub-datasets, layer sources with suffixes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...contracts.errors import DataError

NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf")
RASTER_SUFFIXES = (
    ".tif",
    ".tiff",
    ".gtiff",
    ".asc",
    ".vrt",
    ".img",
    ".map",
    ".bil",
    ".flt",
    ".sdat",
    ".grd",
    ".jp2",
    ".png",
)
_SUBDATASET = re.compile(r"^(NETCDF|HDF5|HDF4_EOS|HDF4_SDS|GPKG|GTIFF_DIR|ZARR):(.+)$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class SourcePath:
    """``path`` is the file or folder; ``layer`` the NetCDF variable named in it, or empty; ``gdal`` a name for GDAL
    alone, or empty.
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
        """Whether the name says NetCDF."""
        return not self.gdal and self.file.suffix.lower() in NETCDF_SUFFIXES or bool(self.layer)


def parse_source(text: str) -> SourcePath:
    """Take a source apart. Understood are plain paths, ``file://`` addresses, ``NETCDF:"path":variable``, other GDAL
    sub-dataset names, and the suffixes that QGIS appends (``|layername=...``, ``|option:...``). A file whose real
    name holds a ``|`` wins over the suffix.
    """
    text = text.strip()
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text.replace("#", "%23").replace("?", "%3F")).path)
    if not Path(text).exists() and "|" in text:
        text = text.split("|", 1)[0]
    match = None if Path(text).exists() else _SUBDATASET.match(text)
    if match is None:
        return SourcePath(text)
    driver, rest = match.group(1).upper(), match.group(2)
    if driver != "NETCDF":
        return SourcePath(text, gdal=text)
    return _netcdf(rest)


def require(source: SourcePath, variable: str) -> None:
    """Raise :class:`DataError` where the file or folder of ``variable`` is not there."""
    if source.gdal or source.path.startswith("/vsi") or source.file.exists():
        return
    raise DataError(
        f"'{variable}': there is no such file or folder",
        expected="a raster, a NetCDF file, or a folder of dated rasters",
        got=source.path,
        remedy="Choose the source again; it may have been moved or renamed",
    )


def _netcdf(rest: str) -> SourcePath:
    """Path and variable of what follows ``NETCDF:``; quotes around the path are GDAL's, quotes within it belong to
    it.
    """
    if rest.startswith('"') and '"' in rest[1:]:
        path, _, layer = rest[1:].rpartition('"')
        return SourcePath(path, layer.lstrip(":").lstrip("/"))
    if Path(rest).exists() or ":" not in rest:
        return SourcePath(rest)
    path, _, layer = rest.rpartition(":")
    return SourcePath(path, layer.lstrip("/"))
