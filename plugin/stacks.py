"""One raster with a band a date out of whatever a source is made of: a small file that refers to its maps.

Nothing is copied, except for arrays whose order of dimensions GDAL cannot show as bands.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, Optional

import numpy as np
from osgeo import gdal, osr

from ..core.contracts import DataError
from ..core.contracts.files import whole_file
from .array_file import find_axes, open_arrays
from .array_probe import probe_arrays, read_slice
from .gdal_errors import quiet_gdal
from .raster_probe import WGS84, Probe, open_raster, probe, split_uri
from .source_report import NETCDF_SUFFIXES, SourceReport
from .vrt import Base, Map, write_stack

_WARPED_AT_ONCE = 5_000_000  # a warped file reads all of its bands for one of them
_SHIFTED = 180.0


def stack(report: SourceReport, folder: Path, sequence: str = "") -> str:
    """GDAL's name of one raster with a band for each date of a source of maps, north-up and with a CRS where the source
    has one. What has to be written goes into ``folder``. DataError where a file cannot be opened or written.
    """
    report = of_sequence(report, sequence) if report.sequences else report
    found = _probe_of(report)
    count = max(1, len(report.dates))
    maps = [report.map_at(index) for index in range(count)]
    uri, first_band = maps[0]
    if _stands_alone(report, found, maps):
        return uri
    name = _name_for(report)
    if found.layout == "copied":
        return _copy(report, found, folder / f"{name}.tif")
    base = _base_of(found, uri, first_band, report.crs)
    base = replace(base, nodata=base.nodata if base.nodata is not None else report.nodata)
    if found.layout == "curved" and not _even(found):
        return _laid(report, found, base, maps, folder, name)
    if found.layout != "turned" and base.transform[5] < 0 and not base.transform[2] and not base.transform[4]:
        return write_stack(maps, _rolled(base), folder / f"{name}.vrt", report.dates, report.mixed_nodata)
    return _warped(maps, base, found, folder, name, report)


def of_sequence(report: SourceReport, sequence: str) -> SourceReport:
    """The report of one sequence as a source of its own (empty: the first)."""
    from .scan import scan_all

    name = sequence or report.sequences[0]
    if name == report.sequences[0]:
        path = report.in_sequence(name)
        return replace(report, path=path, sequences=())
    reports, refused = scan_all([report.in_sequence(name)])
    fitting = [item for item in reports if item.layer == report.layer or len(reports) == 1]
    if not fitting:
        raise DataError(f"The sequence '{name}' cannot be shown", got=" ".join(refused[:1]), remedy="Choose another")
    return replace(fitting[0], quantity=report.quantity, units=report.units)


def _probe_of(report: SourceReport) -> Probe:
    path = report.files[0] if report.files else report.path
    suffix = os.path.splitext(path)[1].lower()
    if report.layer and (suffix in NETCDF_SUFFIXES or os.path.isdir(path) or suffix == ".zarr"):
        return probe_arrays(path, report.layer)[0]
    return probe(report.map_at(0)[0])


def _stands_alone(report: SourceReport, found: Probe, maps: list[Map]) -> bool:
    """Whether one raster of GDAL is already all that is wanted."""
    uri = maps[0][0]
    alone = all(name == uri for name, _ in maps) and [band for _, band in maps] == list(range(1, len(maps) + 1))
    if not alone or found.layout != "plain" or report.nodata is not None or not found.crs:
        return False
    source = open_raster(uri)
    with quiet_gdal():
        transform = source.GetGeoTransform(can_return_null=True)
        known = source.GetSpatialRef() is not None
        count = source.RasterCount
    if transform is None or not known or count != len(maps):
        return False
    return _same(transform, found.transform) and transform[5] < 0 and not transform[2] and not transform[4]


def _base_of(found: Probe, uri: str, band_number: int, crs: str) -> Base:
    source = open_raster(uri)
    with quiet_gdal():
        band = source.GetRasterBand(min(band_number, source.RasterCount))
        own = source.GetGeoTransform(can_return_null=True)
        size = source.RasterXSize, source.RasterYSize
        base = Base(
            size,
            tuple(own) if own else (),
            _wkt(crs or found.crs) or (source.GetProjection() or ""),
            gdal.GetDataTypeName(band.DataType),
            band.GetNoDataValue(),
            band.GetScale(),
            band.GetOffset(),
            block=tuple(band.GetBlockSize()),
        )
    return replace(base, transform=_transform_of(found, base, uri))


def _transform_of(found: Probe, base: Base, uri: str) -> tuple[float, ...]:
    """Where the raster lies as GDAL shows its rows and columns."""
    if found.transform is None:
        return base.transform or (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    if found.layout == "turned":
        a = base.transform or _turned_by_coordinates(found)
        # Its columns are latitudes and its rows longitudes.
        return (a[3], 0.0, a[5], a[0], a[1], 0.0)
    if found.layout == "curved":
        return _upside_down(found.transform, base.size[1]) if _rows_rise(uri) else found.transform
    if base.transform and base.transform[5] > 0:
        return _upside_down(found.transform, base.size[1]) if found.transform[5] < 0 else found.transform
    return found.transform


def _turned_by_coordinates(found: Probe) -> tuple[float, ...]:
    west, wide, _, north, _, high = found.transform
    return (north, high, 0.0, west + wide * found.size[0], 0.0, -wide)


def _rows_rise(uri: str) -> bool:
    """Whether the first row that GDAL shows of a variable with two-dimensional coordinates is the southernmost."""
    path, variable = split_uri(uri)
    found = _coordinate_names(path, variable)
    source = open_raster(re.sub(r":[^:]*$", "", uri) + ":" + found[0])
    with quiet_gdal():
        values = source.GetRasterBand(1).ReadAsArray()
    return bool(np.nanmean(values[0]) < np.nanmean(values[-1]))


def _coordinate_names(path: str, variable: str) -> tuple[str, str]:
    file = open_arrays(path)
    axes = find_axes(file, file.variables[variable.lstrip("/")])
    if axes is None or axes.latitude is None or axes.longitude is None:
        raise DataError("The cells of the map have no coordinates", got=f"{variable} in {path}")
    return axes.latitude.name, axes.longitude.name


def _even(found: Probe) -> bool:
    return not any("lie on no regular grid" in words or "unevenly" in words for _, words in found.guesses)


def _upside_down(transform: tuple[float, ...], rows: int) -> tuple[float, ...]:
    west, wide, turn, north, tilt, high = transform
    return west, wide, turn, north + high * rows, tilt, -high


def _rolled(base: Base) -> Base:
    """A world map from 0 to 360 degrees from its 180th meridian on; one beyond 180 degrees west of Greenwich."""
    reference = osr.SpatialReference()
    if not base.wkt or reference.ImportFromWkt(base.wkt) != 0 or not reference.IsGeographic():
        return base
    west, cell = base.transform[0], base.transform[1]
    east = west + cell * base.size[0]
    if east <= _SHIFTED + cell / 2 or west < -cell:
        return base
    if west >= _SHIFTED - cell / 2:
        return replace(base, transform=(west - 360.0, *base.transform[1:]))
    if abs(cell * base.size[0] - 360.0) > cell / 2:
        return base  # the cut at 180 degrees would tear a regional map apart
    roll = round((_SHIFTED - west) / cell)
    return replace(base, roll=roll, transform=(west + roll * cell - 360.0, *base.transform[1:]))


def _warped(maps: list[Map], base: Base, found: Probe, folder: Path, name: str, report: SourceReport) -> str:
    """North-up maps of ones that run from the south, or are turned: each cell keeps its value."""
    size, transform = found.size, found.transform
    if found.layout != "turned" and (base.transform[2] or base.transform[4]):
        size = transform = None  # a rotated grid has no cells in common with a north-up one
    elif found.layout != "turned" and transform[5] > 0:
        transform = _upside_down(transform, size[1])
    if base.size[0] * base.size[1] * len(maps) <= _WARPED_AT_ONCE:
        raw = write_stack(maps, base, folder / f"{name}_asis.vrt", report.dates, report.mixed_nodata)
        return _warp(raw, folder / f"{name}.vrt", base, size, transform)
    inner = folder / name
    turned = []
    for number, one in enumerate(maps, 1):
        raw = write_stack([one], base, inner / f"map{number:06d}_asis.vrt")
        turned.append((_warp(raw, inner / f"map{number:06d}.vrt", base, size, transform), 1))
    made = open_raster(turned[0][0])
    final = replace(
        base, size=(made.RasterXSize, made.RasterYSize), transform=tuple(made.GetGeoTransform()), block=(0, 0)
    )
    return write_stack(turned, final, folder / f"{name}.vrt", report.dates)


def _warp(
    raw: str, target: Path, base: Base, size: Optional[tuple], transform: Optional[tuple], located: bool = False
) -> str:
    options: dict[str, Any] = {"format": "VRT", "resampleAlg": "near", "errorThreshold": 0.0, "geoloc": located}
    if base.nodata is not None:
        options.update(srcNodata=base.nodata, dstNodata=base.nodata)
    elif located:
        options.update(dstNodata=float("nan") if "Float" in base.kind else -9999)
    if located:
        options.update(dstSRS=WGS84)
    if transform is not None:
        west, wide, _, north, _, high = transform
        bounds = (west, north + high * size[1], west + wide * size[0], north)
        options.update(outputBounds=bounds, width=size[0], height=size[1])
    with quiet_gdal(), whole_file(target) as temporary:
        made = gdal.Warp(str(temporary), raw, **options)
        if made is None:
            raise DataError("The map cannot be turned north-up", got=f"{raw} ({gdal.GetLastErrorMsg()})")
        made.FlushCache()
        del made
    return str(target)


def _laid(report: SourceReport, found: Probe, base: Base, maps: list[Map], folder: Path, name: str) -> str:
    """Cells with coordinates of their own on a regular grid: each takes the nearest."""
    path, variable = split_uri(maps[0][0])
    prefix = re.sub(r":[^:]*$", "", maps[0][0])
    names = _coordinate_names(path, variable)
    written = {}
    for axis, coordinate in zip("YX", names):
        source = open_raster(f"{prefix}:{coordinate}")
        written[axis] = folder / f"{name}_{axis.lower()}.tif"
        with quiet_gdal(), whole_file(written[axis]) as temporary:
            gdal.Translate(str(temporary), source, bandList=[1], format="GTiff")
    items = {"X_DATASET": written["X"], "X_BAND": 1, "Y_DATASET": written["Y"], "Y_BAND": 1, "PIXEL_OFFSET": 0,
             "LINE_OFFSET": 0, "PIXEL_STEP": 1, "LINE_STEP": 1, "SRS": _wkt(WGS84),
             "GEOREFERENCING_CONVENTION": "PIXEL_CENTER"}  # fmt: skip
    lines = "".join(f'<MDI key="{escape(key)}">{escape(str(value))}</MDI>' for key, value in items.items())
    located = f'<Metadata domain="GEOLOCATION">{lines}</Metadata>'
    plain = replace(base, transform=(0.0, 1.0, 0.0, 0.0, 0.0, 1.0), wkt="")
    raw = write_stack(maps, plain, folder / f"{name}_asis.vrt", report.dates, more=located)
    return _warp(raw, folder / f"{name}.vrt", plain, found.size, found.transform, located=True)


def _copy(report: SourceReport, found: Probe, target: Path) -> str:
    """A GeoTIFF of an array whose dimensions are stored in an order that GDAL has no bands for."""
    path = report.files[0] if report.files else report.path
    if len(report.files) > 1:
        raise DataError(
            "The dimensions of these files are stored in an order that QGIS cannot show",
            expected="time, y, x",
            got=path,
            remedy="Build a dataset from them, and show that",
        )
    file = open_arrays(path)
    variable = file.variables[found.layer.partition("[")[0]]
    columns, rows = found.size
    count = max(1, len(report.dates))
    bands = [band for _, band in report.places] if len(report.places) == count else list(range(1, count + 1))
    steps = [found.numbers.index(band) if found.numbers else band - 1 for band in bands]
    target.parent.mkdir(parents=True, exist_ok=True)
    with quiet_gdal(), whole_file(target) as temporary:
        options = ["COMPRESS=DEFLATE", "INTERLEAVE=BAND", "BIGTIFF=IF_SAFER"]
        kind = variable.array.GetDataType().GetNumericDataType()
        made = gdal.GetDriverByName("GTiff").Create(str(temporary), columns, rows, count, kind, options)
        if made is None:
            raise DataError("The copy of the maps cannot be written", got=f"{target} ({gdal.GetLastErrorMsg()})")
        made.SetGeoTransform(found.transform)
        made.SetProjection(_wkt(found.crs))
        rise, fall = _directions(file, found)
        for number, step in enumerate(steps, 1):
            values = read_slice(file, found.layer, step)
            band = made.GetRasterBand(number)
            band.WriteArray(values[:: -1 if rise else 1, :: -1 if fall else 1])
            if found.nodata is not None:
                band.SetNoDataValue(found.nodata)
            for value, setter in (
                (variable.array.GetScale(), band.SetScale),
                (variable.array.GetOffset(), band.SetOffset),
            ):
                if value is not None:
                    setter(value)
        made.FlushCache()
        del made
    return str(target)


def _directions(file: Any, found: Probe) -> tuple[bool, bool]:
    """Whether the rows run from south to north, and the columns from east to west."""
    axes = find_axes(file, file.variables[found.layer.partition("[")[0]])
    ys = axes.latitude or file.find(axes.y)
    xs = axes.longitude or file.find(axes.x)
    first, last = (np.nanmean(values[index]) for values in (ys.numbers(),) for index in (0, -1))
    along = xs.numbers()
    left, right = (np.nanmean(along[..., index]) for index in (0, -1))
    return bool(first < last), bool(left > right)


def _name_for(report: SourceReport) -> str:
    """A file name that two sources do not share."""
    told = "|".join((report.path, report.layer, *report.dates[:1], *report.dates[-1:], *report.files[:1]))
    return f"{report.variable}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _wkt(crs: str) -> str:
    if not crs:
        return ""
    reference = osr.SpatialReference()
    return reference.ExportToWkt() if reference.SetFromUserInput(crs) == 0 else ""


def _same(one: tuple[float, ...], other: Optional[tuple[float, ...]]) -> bool:
    if other is None:
        return False
    cells = abs(other[1]) or 1.0, abs(other[5]) or 1.0
    return all(abs(a - b) <= 1e-3 * cells[i // 3] for i, (a, b) in enumerate(zip(one, other)))
