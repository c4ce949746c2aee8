"""Small sources for the tests of this folder: GeoTIFFs and NetCDF files with known values."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import rasterio
from affine import Affine

from freshet.core.contracts import GridConfig, PrepareJob, SourceConfig
from freshet.core.data.prepare import prepare
from freshet.core.data.store import Dataset

WEST, NORTH, CELL, ROWS, COLUMNS = 4_000_000.0, 3_000_000.0, 1000.0, 4, 6
DAY = np.timedelta64(86400, "s")
START = np.datetime64("2001-02-27", "s")


def random_maps(steps: int = 5, rows: int = ROWS, columns: int = COLUMNS, seed: int = 1) -> np.ndarray:
    """Plausible rain: (steps, rows, columns) from 0 to 20."""
    return np.random.default_rng(seed).uniform(0, 20, size=(steps, rows, columns)).astype(np.float32)


def write_tif(
    path: Path,
    maps,
    *,
    crs="EPSG:3035",
    west=WEST,
    north=NORTH,
    cell=CELL,
    nodata=-9999.0,
    descriptions=(),
    south_up=False,
    **changes,
):
    """A GeoTIFF of maps (bands, rows, columns) or (rows, columns), north first."""
    maps = np.atleast_3d(maps) if np.ndim(maps) < 2 else np.asarray(maps)
    maps = maps[None] if maps.ndim == 2 else maps
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine(cell, 0, west, 0, -cell, north)
    if south_up:
        transform, maps = Affine(cell, 0, west, 0, cell, north - cell * maps.shape[1]), maps[:, ::-1]
    values = (
        np.where(np.isnan(maps), nodata, maps)
        if np.issubdtype(maps.dtype, np.floating) and nodata is not None
        else maps
    )
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=maps.shape[2],
        height=maps.shape[1],
        count=len(maps),
        dtype=maps.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
        **changes,
    ) as handle:
        handle.write(values.astype(maps.dtype))
        for band, text in enumerate(descriptions, 1):
            handle.set_band_description(band, text)
    return path


def write_folder(folder: Path, maps: np.ndarray, start=START, **options) -> Path:
    """A folder of one dated GeoTIFF a map."""
    for index, single in enumerate(maps):
        write_tif(folder / f"rain_{str(start + index * DAY)[:10]}.tif", single, **options)
    return folder


def write_netcdf(
    path: Path,
    variables: dict,
    *,
    order=("time", "y", "x"),
    step_hours=24.0,
    start="2001-02-27",
    calendar="standard",
    crs="EPSG:3035",
    south_up=False,
    cell=CELL,
    times=None,
    west=WEST,
    attributes=None,
):
    """A CF NetCDF file of variables (time, y, x), north first, stored in ``order``."""
    first = next(iter(variables.values()))
    steps, rows, columns = first.shape
    with netCDF4.Dataset(str(path), "w") as handle:
        for name, size in zip(("time", "y", "x"), (steps, rows, columns)):
            handle.createDimension(name, size)
        time = handle.createVariable("time", "f8", ("time",))
        time.units, time.calendar = f"hours since {start} 00:00:00", calendar
        time[:] = np.arange(steps) * step_hours if times is None else times
        y = NORTH - (np.arange(rows) + 0.5) * cell
        for name, values in (("y", y[::-1] if south_up else y), ("x", west + (np.arange(columns) + 0.5) * cell)):
            handle.createVariable(name, "f8", (name,))[:] = values
        if crs:
            mapping = handle.createVariable("crs", "i4", ())
            mapping.crs_wkt = rasterio.crs.CRS.from_user_input(crs).to_wkt()
        for name, values in variables.items():
            variable = handle.createVariable(name, "f4", order, fill_value=-9999.0)
            variable.setncatts({"units": "mm d-1", "grid_mapping": "crs", **(attributes or {})})
            stored = np.where(np.isnan(values), -9999.0, values)[:, :: -1 if south_up else 1]
            variable[:] = stored.transpose([("time", "y", "x").index(axis) for axis in order])
    return path


def create_netcdf(path: Path, variables: dict, attributes: dict | None = None) -> Path:
    """A NetCDF file of plain variables: name -> (dimensions, values as stored, attributes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(str(path), "w") as handle:
        handle.setncatts(attributes or {})
        for name, (dims, values, own) in variables.items():
            values, own = np.asarray(values), dict(own)
            for dim, size in zip(dims, values.shape):
                if dim not in handle.dimensions:
                    handle.createDimension(dim, size)
            variable = handle.createVariable(name, values.dtype, dims, fill_value=own.pop("_FillValue", None))
            variable.set_auto_maskandscale(False)
            variable.setncatts(own)
            variable[...] = values
    return path


def degrees(lat, lon, **extra) -> dict:
    """Coordinates latitude and longitude for :func:`create_netcdf`."""
    return {
        "latitude": (("latitude",), np.asarray(lat, float), {"units": "degrees_north"}),
        "longitude": (("longitude",), np.asarray(lon, float), {"units": "degrees_east"}),
        **extra,
    }


def time_axis(values, units="days since 2001-02-27", name="time", **attributes) -> dict:
    """A time coordinate for :func:`create_netcdf`."""
    return {name: ((name,), np.asarray(values, float), {"units": units, **attributes})}


def source(path, variable="rain", **options) -> SourceConfig:
    """A source of precipitation in mm/d."""
    return SourceConfig(
        **{"variable": variable, "path": str(path), "quantity": "precipitation", "units": "mm/d", **options}
    )


def job(tmp_path: Path, *sources: SourceConfig, **options) -> PrepareJob:
    """A job on the grid of its first source."""
    grid = options.pop("grid", GridConfig(like=sources[0].variable))
    return PrepareJob(name="Test", sources=sources, output=str(tmp_path / "out" / "dataset.nc"), grid=grid, **options)


def run(prepared: PrepareJob) -> tuple[Dataset, list]:
    """Run a job to its end: the open dataset and the events."""
    events = list(prepare(prepared))
    return Dataset.open(prepared.output), events


def texts(events: list, level: str = "") -> str:
    """All messages, one a line."""
    chosen = [e.values for e in events if e.kind.value == "message" and level in ("", e.values["level"])]
    return "\n".join(values["text"] for values in chosen)
