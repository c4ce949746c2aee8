"""Small NetCDF and Zarr files as hydrologists have them, written through GDAL, for the tests inside QGIS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import numpy as np
from osgeo import gdal, osr

LATITUDES = (50.0, 49.0, 48.0, 47.0)
LONGITUDES = (5.0, 6.0, 7.0)
VALUES = np.arange(60.0).reshape(5, 4, 3)


class Writer:
    """Writes one file: dimensions, then arrays over them. Leave the block to close it."""

    def __init__(self, path: Path, driver: str = "netCDF") -> None:
        self.path = str(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        options = ["FORMAT=ZARR_V2"] if driver == "Zarr" else []
        self._made = gdal.GetDriverByName(driver).CreateMultiDimensional(self.path, [], options)
        self._root = self._made.GetRootGroup()
        self._dims: dict[str, Any] = {}
        self._arrays: list[Any] = []
        self._named: dict[str, list[str]] = {} if driver != "Zarr" else {"": []}

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._arrays.clear()
        self._dims.clear()
        self._root = self._made = None
        if self._named:
            self._name_dimensions()

    def _name_dimensions(self) -> None:
        """GDAL leaves the names of dimensions out, by which everybody else knows them."""
        (Path(self.path) / ".zmetadata").unlink()
        for name, dims in self._named.items():
            file = Path(self.path) / name / ".zattrs"
            if name:
                about = json.loads(file.read_text()) if file.exists() else {}
                file.write_text(json.dumps({**about, "_ARRAY_DIMENSIONS": dims}))

    def dims(self, **sizes: int) -> None:
        """Make dimensions."""
        for name, size in sizes.items():
            self._dims[name] = self._root.CreateDimension(name, "", "", size)

    def array(
        self,
        name: str,
        dims: str,
        values: Any,
        kind: int = gdal.GDT_Float64,
        nodata: Optional[float] = None,
        epsg: int = 0,
        **attributes: str,
    ) -> None:
        """Write an array over the dimensions ``dims`` ("time y x")."""
        made = self._root.CreateMDArray(
            name, [self._dims[one] for one in dims.split()], gdal.ExtendedDataType.Create(kind)
        )
        if attributes.get("units"):
            made.SetUnit(attributes.pop("units"))
        for key, value in attributes.items():
            made.CreateAttribute(key, [], gdal.ExtendedDataType.CreateString()).Write(value)
        if nodata is not None:
            made.SetNoDataValueDouble(nodata)
        if epsg:
            reference = osr.SpatialReference()
            reference.ImportFromEPSG(epsg)
            made.SetSpatialRef(reference)
        numbers = {gdal.GDT_Float32: np.float32, gdal.GDT_Int16: np.int16}.get(kind, np.float64)
        made.Write(np.ascontiguousarray(values, dtype=numbers))
        self._arrays.append(made)
        if self._named:
            self._named[name] = dims.split()


def write_series(
    path: Path,
    values: Any = VALUES,
    order: str = "time lat lon",
    times: Any = None,
    units: str = "days since 2000-01-01",
    calendar: str = "standard",
    name: str = "pr",
    latitudes: Any = LATITUDES,
    longitudes: Any = LONGITUDES,
    two_d: Any = None,
    driver: str = "netCDF",
    time_kind: int = gdal.GDT_Float64,
    unit: str = "mm/d",
    nodata: Optional[float] = -9999.0,
    epsg: int = 0,
) -> str:
    """A file with one variable. ``values`` (time, lat, lon) are stored in ``order``; ``two_d`` are latitudes and
    longitudes of every cell in place of the 1-D ones. Gives its path.
    """
    values = np.asarray(values, dtype=float)
    steps, rows, columns = values.shape
    times = np.arange(steps) if times is None else times
    y, x = ("y", "x") if two_d is not None else ("lat", "lon")
    with Writer(path, driver) as out:
        out.dims(**{"time": steps, y: rows, x: columns})
        out.array("time", "time", times, time_kind, units=units, calendar=calendar)
        about = {}
        if two_d is None:
            out.array("lat", "lat", latitudes, units="degrees_north")
            out.array("lon", "lon", longitudes, units="degrees_east")
        else:
            out.array("lat", "y x", two_d[0], units="degrees_north")
            out.array("lon", "y x", two_d[1], units="degrees_east")
            about = {"coordinates": "lat lon"}
            order = order.replace("lat", "y").replace("lon", "x")
        axes = ["time", y, x]
        stored = values.transpose([axes.index(one) for one in order.split()])
        kind = gdal.GDT_Float32
        out.array(name, order, stored, kind, nodata, epsg, units=unit, **about)
    return str(path)


def turned(by: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of the cells of :data:`VALUES` on a grid that is turned by ``by`` radians."""
    lat, lon = np.meshgrid(LATITUDES, LONGITUDES, indexing="ij")
    down, right = lat - 48.5, lon - 6.0
    return 48.5 + np.cos(by) * down - np.sin(by) * right, 6.0 + np.sin(by) * down + np.cos(by) * right
