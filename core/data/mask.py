"""The basin mask of a dataset: from a raster or from polygons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts.dataset_job import SourceConfig
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from .harmonise import Regridder
from .sources import open_source, parse_source

_GEOJSON = (".geojson", ".json")
_OTHER_POLYGONS = (".gpkg", ".shp", ".kml", ".gml", ".fgb", ".sqlite", ".tab", ".zip")


def read_mask(path: str, grid: Grid) -> np.ndarray:
    """Mask on ``grid``: bool (H, W), True inside.

    From a raster, cells above 0 are inside; where it is finer, at least half of a cell has to be. From GeoJSON
    polygons, cells whose centre lies inside. Raises :class:`DataError` where the file cannot be read or no cell is
    inside.
    """
    place = parse_source(path)
    suffix = place.file.suffix.lower()
    if suffix in _OTHER_POLYGONS or place.gdal.upper().startswith("GPKG"):
        raise DataError(
            "The mask cannot be read from this kind of polygon file",
            expected="GeoJSON (.geojson) or a raster whose cells above 0 are inside",
            got=place.path,
            remedy="Save the polygons as GeoJSON first (in QGIS: right click on the layer, Export, Save Features As)",
        )
    inside = _from_polygons(place.file, grid) if suffix in _GEOJSON else _from_raster(path, grid)
    if not inside.any():
        raise DataError(
            "The mask covers no cell of the grid",
            got=place.path,
            remedy="Choose the mask of this basin, or leave it empty",
        )
    return inside


def _from_raster(path: str, grid: Grid) -> np.ndarray:
    with open_source(SourceConfig(variable="mask", path=path, role="static", layer=parse_source(path).layer)) as source:
        inside = (source.read(0, 1) > 0).astype(np.float32)
        regrid = Regridder(source.grid, grid, "average")
        if regrid.ratio <= 1 and not regrid.same:
            regrid = Regridder(source.grid, grid, "nearest")
        return regrid(inside)[0] >= 0.5


def _from_polygons(path: Path, grid: Grid) -> np.ndarray:
    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    content = _read_json(path)
    shapes = [shape for shape in _geometries(content) if shape.get("type") in ("Polygon", "MultiPolygon")]
    if not shapes:
        raise DataError(
            "The mask file holds no polygon", got=str(path), remedy="Choose a file with the polygon of the basin"
        )
    named = content.get("crs") or {}
    try:
        own = CRS.from_user_input((named.get("properties") or {}).get("name", "OGC:CRS84"))
        placed = [transform_geom(own, CRS.from_user_input(grid.crs), shape) for shape in shapes]
        burnt = rasterize(
            placed, out_shape=grid.shape, transform=Affine(*grid.transform), fill=0, default_value=1, dtype="uint8"
        )
    except (RasterioError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            "The polygons of the mask are broken", got=f"{path} ({error})", remedy="Mend or redraw them"
        ) from error
    return burnt == 1


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(
            "The mask cannot be read", expected="GeoJSON", got=f"{path} ({error})", remedy="Choose another mask"
        ) from error
    return content if isinstance(content, dict) else {}


def _geometries(content: dict[str, Any]) -> list[dict[str, Any]]:
    kind = content.get("type")
    if kind == "FeatureCollection":
        return [shape for feature in content.get("features") or [] for shape in _geometries(feature)]
    if kind == "Feature":
        return _geometries(content.get("geometry") or {})
    if kind == "GeometryCollection":
        return [shape for geometry in content.get("geometries") or [] for shape in _geometries(geometry)]
    return [content] if kind else []
