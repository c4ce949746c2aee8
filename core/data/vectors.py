"""Vector layers: polygons and points of GeoPackage, Shapefile (also zipped), GeoJSON, KML, FlatGeobuf and what else
GDAL reads.

A layer is named as QGIS names it: ``basins.gpkg|layername=moselle|subset="id" = 3``.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

import numpy as np

from ..contracts.errors import DataError
from .geometry import crs_of

VECTOR_SUFFIXES = (
    ".gpkg",
    ".shp",
    ".geojson",
    ".json",
    ".kml",
    ".kmz",
    ".gml",
    ".fgb",
    ".sqlite",
    ".tab",
    ".mif",
    ".zip",
)
_POLYGONS = ("Polygon", "MultiPolygon")
_SUBSET = re.compile(r"\|subset=(.*)\Z", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class LayerName:
    """A vector layer taken apart: the file, the layer in it or "", and the condition on its fields or ""."""

    path: str
    layer: str = ""
    subset: str = ""


@dataclass(frozen=True)
class Layer:
    """A layer as read: one geometry (shapely, None where empty) and one value a column for each of n features.

    ``crs`` is a code or WKT, "" where the file does not say; ``geometries`` is None for a layer without places;
    ``columns`` have numpy's types (object for text).
    """

    crs: str
    geometries: Optional[np.ndarray]
    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Polygons:
    """Shapely polygons and multipolygons in ``crs``, all valid; ``notes`` tell of repairs and guesses."""

    shapes: list[Any]
    crs: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Points:
    """One place (x, y: float64 (n,), NaN where it is missing) and one value a column for each of n features."""

    x: np.ndarray
    y: np.ndarray
    crs: str
    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]
    notes: list[str] = field(default_factory=list)


def parse_layer(text: str, layer: str = "") -> LayerName:
    """Take the name of a layer apart; ``layer`` given beside it wins. A file whose real name holds a ``|`` wins over
    the suffixes; those that mean nothing here (``|geometrytype=...``) are passed over.
    """
    text = text.strip()
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text.replace("#", "%23").replace("?", "%3F")).path)
    if "|" not in text or Path(text).exists():
        return LayerName(text, layer)
    found = _SUBSET.search(text)
    subset = found.group(1).strip() if found else ""
    path, *details = (text[: found.start()] if found else text).split("|")
    named = [item.partition("=")[2] for item in details if item.lower().startswith("layername=")]
    return LayerName(path, layer or (named[0] if named else ""), subset)


def layer_names(path: str, kinds: tuple[str, ...] = ()) -> list[str]:
    """Names of the layers of a file; with ``kinds`` ("Polygon", "Point" ...) those that hold or may hold such."""
    name = parse_layer(path)
    return [layer for layer, kind in _listed(name, _openable(name)) if not kinds or _may_hold(kind, kinds)]


def is_raster_package(path: str) -> bool:
    """Whether a GeoPackage holds a raster (it may hold vector layers too)."""
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        with rasterio.open(path):
            return True
    except RasterioIOError:
        return False


def read_layer(path: str, layer: str = "", kinds: tuple[str, ...] = ()) -> Layer:
    """Read a layer, without its heights. Where the file has several and none is named, the only one of ``kinds``.

    Raises :class:`DataError` where the file cannot be read, or lacks the layer, or a choice has to be made.
    """
    import pyogrio.raw
    from shapely import from_wkb

    name = parse_layer(path, layer)
    opened = _openable(name)
    chosen = _choose(name, opened, kinds)
    options = {"where": name.subset} if name.subset else {}
    meta, _, shapes, columns = _asked(name, lambda: pyogrio.raw.read(opened, layer=chosen, force_2d=True, **options))
    geometries = None if shapes is None else from_wkb(shapes, on_invalid="ignore")
    return Layer(meta["crs"] or "", geometries, tuple(str(name) for name in meta["fields"]), tuple(columns))


def read_polygons(path: str, layer: str = "", crs: str = "", assumed: str = "") -> Polygons:
    """Polygons of a layer, brought into ``crs`` where it is given; ``assumed`` is the CRS of a file that names none.

    Broken rings are mended. Raises :class:`DataError` where the file holds no polygon or its CRS is unknown.
    """
    import shapely

    found = read_layer(path, layer, _POLYGONS)
    shapes = [] if found.geometries is None else [shape for shape in found.geometries if shape is not None]
    notes: list[str] = []
    broken = [shape for shape in shapes if not shape.is_valid]
    if broken:
        notes.append(f"{len(broken)} of {len(shapes)} polygons cross or touch themselves and are mended.")
        shapes = [shape if shape.is_valid else shapely.make_valid(shape) for shape in shapes]
    kinds = sorted({shape.geom_type for shape in shapes})
    shapes = [part for shape in shapes for part in _areas(shape)]
    if not shapes:
        raise DataError(
            "The file holds no polygon",
            expected="a layer with the polygon of the basin",
            got=f"{', '.join(kinds) or 'no feature'} in {path}",
            remedy="Choose the layer with the polygon of the basin",
        )
    own = found.crs or assumed
    if not own:
        raise _no_crs(path)
    if not found.crs:
        notes.append("The polygons name no coordinate reference system; that of the grid is taken.")
    if crs:
        shapes = [_moved(shape, own, crs, path) for shape in shapes]
    return Polygons(shapes, crs or own, notes)


def read_points(path: str, layer: str = "", crs: str = "") -> Points:
    """Places and columns of a layer, brought into ``crs`` where it is given. Of lines and polygons the centroid counts.

    A layer without places (a sheet, a table of a GeoPackage) gives places of NaN.
    """
    import shapely

    found = read_layer(path, layer, ("Point", "MultiPoint"))
    if found.geometries is None:
        count = len(found.columns[0]) if found.columns else 0
        return Points(np.full(count, np.nan), np.full(count, np.nan), found.crs, found.names, found.columns)
    notes: list[str] = []
    points = found.geometries
    kinds = sorted({shape.geom_type for shape in points if shape is not None} - {"Point"})
    if kinds:
        notes.append(f"The layer holds {', '.join(kinds)}; the centroid of each is taken as its place.")
        points = shapely.centroid(points)
    x, y = shapely.get_x(points), shapely.get_y(points)
    if crs and found.crs:
        x, y = transform_points(x, y, found.crs, crs)
    return Points(x, y, crs if found.crs and crs else found.crs, found.names, found.columns, notes)


def transform_points(x: np.ndarray, y: np.ndarray, source: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (n,) of CRS ``source`` in CRS ``target``: float64 (n,), NaN stays NaN, also where a point has no
    place there.

    Raises :class:`DataError` for a CRS that is not known.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    x, y = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any() or source == target:
        return x, y
    try:
        moved = np.array(transform(crs_of(source), crs_of(target), x[known], y[known])[:2])
    except (RasterioError, CPLE_BaseError) as error:  # PROJ's own errors come through as the latter
        raise DataError(
            "Coordinates cannot be brought into the CRS of the grid",
            got=str(error),
            remedy="Check the CRS of the points or polygons",
        ) from error
    moved[~np.isfinite(moved)] = np.nan
    x[known], y[known] = moved
    return x, y


def _listed(name: LayerName, opened: str) -> list[tuple[str, Optional[str]]]:
    """Name and kind of geometry of each layer; None is a table without places."""
    import pyogrio

    return [(str(layer), kind) for layer, kind in _asked(name, lambda: pyogrio.list_layers(opened))]


def _choose(name: LayerName, opened: str, kinds: tuple[str, ...]) -> str:
    """The layer to read: the one named, the only one, or the only one of ``kinds``."""
    listed = _listed(name, opened)
    every = [layer for layer, _ in listed]
    if name.layer:
        if name.layer not in every:
            raise DataError(
                f"There is no layer '{name.layer}' in the file",
                expected=", ".join(every[:20]),
                got=name.path,
                remedy="Choose one of these layers",
            )
        return name.layer
    fitting = [layer for layer, kind in listed if len(every) == 1 or _may_hold(kind, kinds)]
    if len(fitting) == 1:
        return fitting[0]
    if not every:
        raise DataError("The file holds no layer", got=name.path, remedy="Choose another file")
    raise DataError(
        "The file holds several layers" if fitting else "No layer of the file fits",
        expected=f"one of: {', '.join((fitting or every)[:20])}",
        got=name.path,
        remedy=f"Name it: {Path(name.path).name}|layername={(fitting or every)[0]}",
    )


def _asked(name: LayerName, ask: Callable[[], Any]) -> Any:
    """What pyogrio answers; its errors as sentences."""
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        return ask()
    except (DataSourceError, DataLayerError, ValueError) as error:
        condition = f" with the condition {name.subset}" if name.subset else ""
        raise DataError(
            "The file cannot be read as a vector layer",
            expected="GeoPackage, Shapefile, GeoJSON, KML, FlatGeobuf or another vector file",
            got=f"{name.path}{condition} ({str(error).split(';')[0]})",
            remedy="Check the file" + (" and the condition on its fields" if condition else ", or choose another"),
        ) from error


def _openable(name: LayerName) -> str:
    """The path as GDAL opens it: of a zip archive the vector file in it, that of the layer where there are several."""
    path = name.path
    if path.startswith("/vsi"):
        return path
    if not Path(path).exists():
        raise DataError("There is no such file", got=path, remedy="Choose it again; it may have been moved or renamed")
    if any(sign in path for sign in "!;"):
        raise DataError(
            "The vector file cannot be opened because of its name",
            expected="no ! and no ; in the names of file and folders",
            got=path,
            remedy="Rename it",
        )
    if not path.lower().endswith(".zip"):
        return path
    inside = _vector_members(path)
    fitting = [member for member in inside if Path(member).stem == name.layer] if len(inside) > 1 else inside
    if len(fitting) != 1:
        found = ", ".join(Path(member).stem for member in inside)
        raise DataError(
            "The archive holds several vector files" if inside else "The archive holds no vector file",
            expected="a Shapefile or another vector file",
            got=f"{found or 'none'} in {path}",
            remedy=f"Name it: {Path(path).name}|layername={Path(inside[0]).stem}" if inside else "Choose another file",
        )
    return f"/vsizip/{{{Path(path).absolute()}}}/{fitting[0]}"


def _vector_members(path: str) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            "The zip archive cannot be read", got=f"{path} ({error})", remedy="Choose the file again, or unpack it"
        ) from error
    suffixes = tuple(suffix for suffix in VECTOR_SUFFIXES if suffix != ".zip")
    return sorted(name for name in names if name.lower().endswith(suffixes) and not name.startswith("__MACOSX/"))


def _may_hold(kind: Optional[str], kinds: tuple[str, ...]) -> bool:
    if kind is None:
        return False
    plain = kind.replace(" Z", "").replace(" M", "").replace("2.5D ", "").replace("ZM", "")
    return plain in ("Unknown", "GeometryCollection", "CurvePolygon", "MultiSurface") or plain in kinds


def _areas(shape: Any) -> list[Any]:
    """The polygons in a geometry, also in a collection; none with no area."""
    if shape.geom_type in _POLYGONS:
        return [] if shape.is_empty else [shape]
    return [part for one in getattr(shape, "geoms", ()) for part in _areas(one)]


def _moved(shape: Any, source: str, target: str, path: str) -> Any:
    import shapely

    def move(coordinates: np.ndarray) -> np.ndarray:
        return np.column_stack(transform_points(coordinates[:, 0], coordinates[:, 1], source, target))

    moved = shapely.transform(shape, move)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise DataError(
            "A polygon has no place in the CRS of the grid",
            got=path,
            remedy="Check the CRS of the file: its coordinates may not be what it says",
        )
    return moved


def _no_crs(path: str) -> DataError:
    return DataError(
        "The vector layer has no coordinate reference system",
        expected="a layer that says in which CRS its coordinates are (a Shapefile needs its .prj)",
        got=path,
        remedy="Assign one to the layer (in QGIS: Vector, Data Management Tools, Define Projection)",
    )
