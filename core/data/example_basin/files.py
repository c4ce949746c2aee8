"""The example basin as the files that a person would have: dated GeoTIFFs, a multi-band one, NetCDF, a polygon, tables.

The kinds differ on purpose, so that whoever gathers them meets most of what real data bring.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...contracts.files import whole_file
from .basin import ExampleBasin

NODATA = -9999.0


def write_basin(basin: ExampleBasin, folder: "str | os.PathLike[str]") -> dict[str, Path]:
    """Write ``basin`` under ``folder`` and return the path of each item by name; a folder for ``precipitation``.

    ==================  ==============================================================================================
    precipitation       folder of GeoTIFFs ``precipitation_YYYY-MM-DD.tif``, mm/d, tiled, deflated temperature
    one GeoTIFF, degC; band descriptions are the dates pet                 NetCDF, mm/d soil_moisture       NetCDF,
    share of the soil's capacity (unit 1), missing outside the basin snow                NetCDF, mm, rows from south
    to north, missing outside the basin discharge           NetCDF, m3/s out of each cell, missing outside the basin
    elevation           GeoTIFF in m at half the cell size: its mean over a cell is the basin's elevation
    upstream_area       GeoTIFF in km2 basin               GeoJSON polygon in the basin's own CRS gauges
    CSV: name, x, y, area gauge_discharge     CSV: date, then m3/s for each gauge truth               NetCDF: travel
    times, contributing areas, flow direction, soil capacity ==================
    ==============================================================================================

    Values are float32 with -9999 for missing. Each file is there whole or not at all; existing ones are replaced.
    """
    root = Path(folder)
    rain_folder = root / "precipitation"
    rain_folder.mkdir(parents=True, exist_ok=True)
    days = [str(day) for day in basin.dates]
    for day, rain in zip(days, basin.precipitation_mm):
        _write_raster(rain_folder / f"precipitation_{day}.tif", rain[None], basin, "mm/d", [day])
    paths = {"precipitation": rain_folder}
    paths["temperature"] = _write_raster(root / "temperature.tif", basin.temperature_c, basin, "degC", days)
    paths["elevation"] = _write_raster(root / "elevation.tif", basin.fine_elevation_m[None], basin, "m")
    paths["upstream_area"] = _write_raster(root / "upstream_area.tif", basin.upstream_area_km2[None], basin, "km2")
    for name, values, unit, label in (
        ("pet", basin.pet_mm, "mm d-1", "potential evaporation"),
        ("soil_moisture", basin.soil_moisture, "1", "relative saturation of the soil"),
        ("snow", basin.snow_mm, "mm", "snow water equivalent"),
        ("discharge", basin.discharge_m3s, "m3 s-1", "discharge out of the cell"),
    ):
        paths[name] = _write_series(root / f"{name}.nc", name, values, unit, label, basin, south_up=name == "snow")
    paths["basin"] = _write_polygon(root / "basin.geojson", basin)
    paths["gauges"] = _write_gauges(root / "gauges.csv", basin)
    paths["gauge_discharge"] = _write_gauge_series(root / "gauge_discharge.csv", basin)
    paths["truth"] = _write_truth(root / "truth.nc", basin)
    return paths


def _write_raster(
    path: Path, bands: np.ndarray, basin: ExampleBasin, unit: str, names: Optional[list[str]] = None
) -> Path:
    """Write ``bands`` (N, H, W) as a tiled GeoTIFF; the cell size follows from the number of columns."""
    import rasterio
    from rasterio.transform import from_origin

    count, rows, columns = bands.shape
    size_m = basin.resolution_m * basin.basin_mask.shape[1] / columns
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "float32", "count": count, "height": rows, "width": columns, "crs": basin.crs,
        "transform": from_origin(basin.west_m, basin.north_m, size_m, size_m), "nodata": NODATA,
        "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "interleave": "band",
    }  # fmt: skip
    with whole_file(path) as temporary:
        with rasterio.open(temporary, "w", **profile) as raster:
            raster.write(np.where(np.isfinite(bands), bands, NODATA).astype(np.float32))
            raster.units = [unit] * count
            for band, name in enumerate(names or [], start=1):
                raster.set_band_description(band, name)
    return path


def _write_series(
    path: Path,
    name: str,
    values: np.ndarray,
    unit: str,
    label: str,
    basin: ExampleBasin,
    south_up: bool = False,
) -> Path:
    """Write one variable (T, H, W) as CF NetCDF."""
    attributes = {"units": unit, "long_name": label, "grid_mapping": "crs", "cell_methods": "time: mean"}
    dataset = _empty_dataset(basin).assign({name: (("time", "y", "x"), values.astype(np.float32), attributes)})
    if unit in ("1", "mm"):
        dataset[name].attrs["cell_methods"] = "time: point"  # a store at the end of the day
    chunks = (min(64, values.shape[0]), *values.shape[1:])
    if south_up:
        dataset = dataset.isel(y=slice(None, None, -1))
    return _save(path, dataset, {name: {"_FillValue": np.float32(NODATA), "zlib": True, "chunksizes": chunks}})


def _write_truth(path: Path, basin: ExampleBasin) -> Path:
    inside = basin.basin_mask
    dataset = _empty_dataset(basin, with_time=False).assign_coords(gauge=[gauge.name for gauge in basin.gauges])
    maps = (
        ("travel_time", basin.travel_time_days, "d", "time from the runoff of a cell to the outlet"),
        ("residence_time", np.where(inside, basin.residence_days, np.nan), "d", "time of water through the cell"),
        ("soil_capacity", np.where(inside, basin.soil_capacity_mm, np.nan), "mm", "water that the soil can hold"),
        ("flow_direction", basin.flow_direction, "1", "D8 flow direction, ESRI code, 0 at the border"),
        ("basin_mask", inside.astype(np.uint8), "1", "1 inside the basin"),
    )
    for name, values, unit, label in maps:
        dataset[name] = (("y", "x"), values, {"units": unit, "long_name": label, "grid_mapping": "crs"})
    for name, values, unit, label in (
        ("gauge_travel_time", basin.gauge_travel_time_days, "d", "time from the runoff of a cell to the gauge"),
        ("contributing", basin.contributing.astype(np.uint8), "1", "1 where the cell drains to the gauge"),
    ):
        dataset[name] = (("gauge", "y", "x"), values, {"units": unit, "long_name": label, "grid_mapping": "crs"})
    floats = [name for name, values in dataset.data_vars.items() if values.dtype == np.float64]
    return _save(path, dataset, {name: {"_FillValue": NODATA, "zlib": True} for name in floats})


def _empty_dataset(basin: ExampleBasin, with_time: bool = True) -> Any:
    """Coordinates of cell centres, the grid mapping and, where wanted, the days."""
    import xarray

    rows, columns = basin.basin_mask.shape
    x = basin.west_m + (np.arange(columns) + 0.5) * basin.resolution_m
    y = basin.north_m - (np.arange(rows) + 0.5) * basin.resolution_m
    metre = {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}
    coordinates: dict[str, Any] = {
        "x": ("x", x, metre),
        "y": ("y", y, {**metre, "standard_name": "projection_y_coordinate", "axis": "Y"}),
    }
    if with_time:
        coordinates["time"] = ("time", basin.dates.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T"})
    crs = ((), np.int32(0), _grid_mapping(basin))
    title = {"Conventions": "CF-1.8", "title": "Example basin of Freshet", "seed": basin.seed}
    return xarray.Dataset({"crs": crs}, coords=coordinates, attrs=title)


def _grid_mapping(basin: ExampleBasin) -> dict[str, Any]:
    """CF attributes of ETRS89-LAEA Europe, and the same as text for GDAL."""
    import rasterio

    text = rasterio.crs.CRS.from_user_input(basin.crs).to_wkt()
    size = basin.resolution_m
    return {
        "grid_mapping_name": "lambert_azimuthal_equal_area",
        "latitude_of_projection_origin": 52.0,
        "longitude_of_projection_origin": 10.0,
        "false_easting": 4321000.0,
        "false_northing": 3210000.0,
        "semi_major_axis": 6378137.0,
        "inverse_flattening": 298.257222101,
        "crs_wkt": text,
        "spatial_ref": text,
        "GeoTransform": f"{basin.west_m} {size} 0 {basin.north_m} 0 {-size}",
    }


def _save(path: Path, dataset: Any, encoding: dict[str, dict[str, Any]]) -> Path:
    encoding = {**{name: {"_FillValue": None} for name in ("x", "y")}, **encoding}
    if "time" in dataset.coords:
        first = str(dataset["time"].values[0])[:10]
        encoding["time"] = {"units": f"days since {first}", "calendar": "standard", "dtype": "int32"}
    with whole_file(path) as temporary:
        dataset.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
    return path


def _write_polygon(path: Path, basin: ExampleBasin) -> Path:
    from rasterio.features import shapes
    from rasterio.transform import from_origin

    transform = from_origin(basin.west_m, basin.north_m, basin.resolution_m, basin.resolution_m)
    # Cells that touch at a corner only become parts of their own: a ring that touches itself would not be valid.
    found = shapes(basin.basin_mask.astype(np.uint8), mask=basin.basin_mask, connectivity=4, transform=transform)
    parts = [shape["coordinates"] for shape, _ in found]
    geometry = (
        {"type": "Polygon", "coordinates": parts[0]}
        if len(parts) == 1
        else {"type": "MultiPolygon", "coordinates": parts}
    )
    properties = {"name": "Example basin", "area_km2": float(basin.basin_mask.sum()) * basin.cell_area_m2 / 1e6}
    code = basin.crs.split(":")[1]
    collection = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}},
        "features": [{"type": "Feature", "properties": properties, "geometry": geometry}],
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(collection), encoding="utf-8")
    return path


def _write_gauges(path: Path, basin: ExampleBasin) -> Path:
    rows = [[g.name, f"{g.x_m:.1f}", f"{g.y_m:.1f}", f"{g.area_km2:.1f}"] for g in basin.gauges]
    return _write_table(path, ["name", "x", "y", "area_km2"], rows)


def _write_gauge_series(path: Path, basin: ExampleBasin) -> Path:
    rows = [
        [str(day), *(f"{value:.4f}" for value in values)] for day, values in zip(basin.dates, basin.gauge_discharge_m3s)
    ]
    return _write_table(path, ["date", *(gauge.name for gauge in basin.gauges)], rows)


def _write_table(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with whole_file(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
    return path
