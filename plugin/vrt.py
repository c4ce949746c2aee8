"""Virtual rasters: small files that refer to maps, a band a map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Optional

from ..core.contracts import DataError
from ..core.contracts.files import write_text
from .gdal_errors import quiet_gdal
from .raster_probe import open_raster, split_uri

Map = tuple[str, int]  # GDAL's name of a raster, and a band of it


@dataclass(frozen=True)
class Base:
    """How the maps of a stack lie in their files: size, GDAL's transform there, CRS as WKT, kind of number, missing
    value, scale and offset; ``roll`` is the column that comes first on the map.
    """

    size: tuple[int, int]
    transform: tuple[float, ...]
    wkt: str
    kind: str
    nodata: Optional[float] = None
    scale: Optional[float] = None
    offset: Optional[float] = None
    roll: int = 0
    block: tuple[int, int] = (0, 0)


def write_stack(
    maps: Sequence[Map], base: Base, target: Path, dates: Sequence[str] = (), mixed_nodata: bool = False, more: str = ""
) -> str:
    """A VRT with a band a map, whose files are opened only when they are read. Gives its path.

    ``dates`` describe the bands; ``mixed_nodata`` says that the files declare different missing values; ``more`` is XML
    for the whole. DataError where the first map cannot be read through it.
    """
    dates = dates if len(dates) == len(maps) else ("",) * len(maps)
    marks = _marks(maps) if mixed_nodata else [base.nodata] * len(maps)
    if mixed_nodata and base.kind.startswith("Float"):
        base = replace(base, nodata=float("nan"))  # what means missing in one file may be a value in another
    elif base.nodata is None:
        base = replace(base, nodata=next((mark for mark in marks if mark is not None), None))
    target.parent.mkdir(parents=True, exist_ok=True)
    for relative in (True, False):
        bands = [
            _band_xml(number + 1, uri, band, date, mark, base, target.parent, relative)
            for number, ((uri, band), date, mark) in enumerate(zip(maps, dates, marks))
        ]
        write_text(target, _dataset_xml(base, bands, more))
        if _readable(target):
            return str(target)
    raise DataError(
        "The maps could not be joined to one series", got=str(target), remedy="Check the files of the source"
    )


def _marks(maps: Sequence[Map]) -> list[Optional[float]]:
    """The missing value that each file declares."""
    found = []
    for uri, band in maps:
        source = open_raster(uri)
        with quiet_gdal():
            found.append(source.GetRasterBand(min(band, source.RasterCount)).GetNoDataValue())
    return found


def _dataset_xml(base: Base, bands: list[str], more: str) -> str:
    transform = ", ".join(repr(float(value)) for value in base.transform)
    srs = f"<SRS>{escape(base.wkt)}</SRS>" if base.wkt else ""
    head = f'<VRTDataset rasterXSize="{base.size[0]}" rasterYSize="{base.size[1]}">{srs}'
    return f"{head}<GeoTransform>{transform}</GeoTransform>{more}\n" + "\n".join(bands) + "\n</VRTDataset>\n"


def _band_xml(
    number: int, uri: str, band: int, date: str, mark: Optional[float], base: Base, folder: Path, relative: bool
) -> str:
    name, inside = _reference(uri, folder, relative)
    columns, rows = base.size
    block = f' BlockXSize="{base.block[0]}" BlockYSize="{base.block[1]}"' if base.block[0] else ""
    about = f'<SourceProperties RasterXSize="{columns}" RasterYSize="{rows}" DataType="{base.kind}"{block}/>'
    pieces = (
        [(base.roll, 0, columns - base.roll), (0, columns - base.roll, base.roll)] if base.roll else [(0, 0, columns)]
    )
    word = "SimpleSource" if mark in (None, base.nodata) else "ComplexSource"
    missing = "" if word == "SimpleSource" else f"<NODATA>{mark!r}</NODATA>"
    sources = "".join(
        f'<{word}><SourceFilename relativeToVRT="{int(inside)}">{escape(name)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>{about}"
        f'<SrcRect xOff="{start}" yOff="0" xSize="{width}" ySize="{rows}"/>'
        f'<DstRect xOff="{at}" yOff="0" xSize="{width}" ySize="{rows}"/>{missing}</{word}>'
        for start, at, width in pieces
    )
    parts = [f"<Description>{escape(date)}</Description>"] if date else []
    for tag, value in (("NoDataValue", base.nodata), ("Offset", base.offset), ("Scale", base.scale)):
        if value is not None:
            parts.append(f"<{tag}>{'nan' if value != value else repr(float(value))}</{tag}>")
    return f'<VRTRasterBand dataType="{base.kind}" band="{number}">{"".join(parts)}{sources}</VRTRasterBand>'


def _reference(uri: str, folder: Path, relative: bool) -> tuple[str, bool]:
    """What stands in a VRT for a raster: relative to it where that is possible, so that both can move together."""
    if uri.endswith(".gz"):
        return f"/vsigzip/{uri}", False
    path, variable = split_uri(uri)
    if not relative or uri.startswith("/vsi") or uri.upper().startswith("ZARR:"):
        return uri, False
    try:
        near = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return uri, False
    return (f'NETCDF:"{near}":{variable}' if variable else near), True


def _readable(path: Path) -> bool:
    source = open_raster(str(path))
    with quiet_gdal():
        return source.GetRasterBand(1).ReadAsArray(0, 0, 1, 1) is not None
