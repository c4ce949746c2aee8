"""In which CRS the coordinates of an array file are: grid mapping, proj string, else guessed for degrees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from .arrays import ArrayFile, ArrayVariable

_TEXTS = ("crs_wkt", "spatial_ref", "esri_pe_string", "proj4", "proj4_params", "proj4text", "proj4_string",
          "proj4string", "proj_string", "crs", "epsg_code", "EPSG", "epsg")  # fmt: skip
_DEGREES = ("degree", "deg")
_KILOMETRES = ("km", "kilometer", "kilometers", "kilometre", "kilometres")


def crs_of(file: ArrayFile, variable: ArrayVariable, y: ArrayVariable) -> tuple[str, str]:
    """WKT (or a code), empty where there is none, and "declared", "assumed" (degrees without a CRS), "rotated" (a
    rotated pole) or "found" (declared, though the variable does not refer to it).
    """
    mapping = _mapping(file, variable)
    for holder in filter(None, (mapping, variable)):
        crs = _from_texts(holder.attrs)
        if crs:
            return crs, "declared"
    if mapping is not None:
        kind = mapping.text("grid_mapping_name")
        if kind == "rotated_latitude_longitude":
            return "", "rotated"
        if kind not in ("latitude_longitude", ""):
            crs = _gdal_crs(file.path, variable.name)
            if crs:
                return crs, "declared"
        elif kind:
            return "EPSG:4326", "declared"
    degrees = y.text("units").lower().startswith(_DEGREES) or y.short.lower() in ("lat", "latitude")
    if not degrees or mapping is None:
        crs = next(filter(None, map(_from_texts, _loose_holders(file))), "")
        if crs:
            return crs, "found"
    return ("EPSG:4326", "assumed") if degrees else ("", "")


def mapping_of(file: ArrayFile, variable: ArrayVariable) -> Optional[ArrayVariable]:
    """The grid mapping that a variable refers to."""
    return _mapping(file, variable)


def is_geographic(crs: str) -> bool:
    """Whether the coordinates of a CRS are degrees."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return bool(CRS.from_user_input(crs).is_geographic)
    except CRSError:
        return False


def in_crs_units(values: np.ndarray, coordinate: ArrayVariable, mapping: Optional[ArrayVariable]) -> np.ndarray:
    """Projected coordinates in metres: kilometres and the scan angles of a geostationary view are converted."""
    units = coordinate.text("units").lower()
    if units in _KILOMETRES:
        return values * 1000.0
    if units in ("rad", "radian", "radians") and mapping is not None:
        height = mapping.attrs.get("perspective_point_height")
        return values if height is None else values * float(np.ravel(height)[0])
    return values


def _mapping(file: ArrayFile, variable: ArrayVariable) -> Optional[ArrayVariable]:
    name = variable.text("grid_mapping").split(":")[0].strip()
    return file.find(name, variable.group) if name else None


def _loose_holders(file: ArrayFile) -> Iterator[dict[str, Any]]:
    """Attributes of scalar variables that describe a CRS without being referred to, then of the file."""
    for one in file.variables.values():
        if int(np.prod(one.shape)) <= 1 and any(key in one.attrs for key in ("grid_mapping_name", *_TEXTS)):
            yield one.attrs
    yield {key: value for key, value in file.attrs.items() if key.lower() in (text.lower() for text in _TEXTS)}


def _from_texts(attrs: dict[str, Any]) -> str:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    for key in _TEXTS:
        value = attrs.get(key)
        text = str(np.ravel(value)[0] if value is not None and not isinstance(value, (str, bytes)) else value or "")
        text = text.strip()
        try:
            if text:
                return CRS.from_user_input(f"EPSG:{text}" if text.isdigit() else text).to_wkt()
        except CRSError:
            continue
    return ""


def _gdal_crs(path: str, layer: str) -> str:
    """CRS of a CF grid mapping without WKT, as GDAL understands it; empty where it does not."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(f'netcdf:"{path}":{layer}') as raster:
            return raster.crs.to_wkt() if raster.crs else ""
    except (RasterioError, OSError):
        return ""
