"""Small vector files for the tests of this folder."""

from __future__ import annotations

import warnings

import numpy as np
import pyogrio.raw
import shapely

DRIVERS = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON", ".kml": "KML", ".fgb": "FlatGeobuf"}


def write_vector(path, shapes, *, crs="EPSG:4326", kind="Polygon", fields=None, layer=None, append=False):
    """A vector file of shapely geometries with columns of values."""
    fields = fields or {"id": np.arange(1, len(shapes) + 1)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing CRS and of heights, which are meant
        pyogrio.raw.write(
            str(path),
            shapely.to_wkb(np.array(shapes, dtype=object)),
            [np.asarray(values) for values in fields.values()],
            list(fields),
            geometry_type=kind,
            crs=crs,
            driver=DRIVERS[path.suffix],
            layer=layer,
            append=append,
        )
    return path
