"""The files of :mod:`bad_input`, good and bad, made with the engine's Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DAY = 86400
WEST, NORTH, CELL, ROWS, COLUMNS, STEPS = 4_000_000.0, 3_000_000.0, 1000.0, 6, 5, 60
START = "2001-02-27"


def make_files(folder: Path) -> None:
    """Make the good and the bad files of all faults in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    import numpy as np

    maps = np.random.default_rng(1).uniform(0, 20, (8, ROWS, COLUMNS)).astype(np.float32)
    _write_folder(folder / "good", maps)
    _write_folder(folder / "nowhere", maps, crs=None)
    _write_folder(folder / "far", maps, west=WEST + 500 * CELL)
    _write_folder(folder / "late", maps, start="2010-01-01")
    _write_folder(folder / "missing", np.full_like(maps, np.nan))
    _write_folder(folder / "constant", np.full_like(maps, 3.0))
    for number, one in enumerate(maps[:4]):
        _write_tif(folder / "undated" / f"map_{number}.tif", one[None])
    _write_tif(folder / "undated.tif", maps)
    _write_netcdf(folder / "undated.nc", maps[:1], dated=False)
    _write_netcdf(folder / "nowhere.nc", maps, crs=False)
    _write_exchanged(folder, maps)
    _write_doubled(folder, maps)
    _write_cut(folder, maps)
    _write_odd(folder, maps)
    _write_dataset(folder / "good.nc", STEPS)
    _write_dataset(folder / "short.nc", 6)
    _write_dataset(folder / "gauged.nc", STEPS, ("upper", "outlet"))
    _write_dataset(folder / "others.nc", STEPS, ("a", "b", "c"))
    _write_models(folder)


def good_source(folder: Path) -> dict[str, Any]:
    """The good source, as a job says it."""
    return {"variable": "good", "path": str(folder / "good"), "quantity": "precipitation", "units": "mm/d"}


def spots(maps: Any, value: float) -> Any:
    """A copy of maps (n, rows, columns) with ``value`` in one cell of each, another cell from map to map."""
    marked = maps.copy()
    for number in range(len(marked)):
        marked[number, number % ROWS, number % COLUMNS] = value
    return marked


def _write_exchanged(folder: Path, maps: Any) -> None:
    """Maps at longitude 120 and latitude 30 that lie, by their files, at longitude 30 and latitude 120."""
    _write_folder(folder / "exchanged", maps, crs="EPSG:4326", west=30.0, north=120.0, cell=0.1)
    import netCDF4
    import numpy as np

    with netCDF4.Dataset(str(folder / "exchanged.nc"), "w") as handle:
        for name, size in zip(("time", "lat", "lon"), maps.shape):
            handle.createDimension(name, size)
        handle.createVariable("time", "f8", ("time",))[:] = np.arange(len(maps))
        handle["time"].units = f"days since {START} 00:00:00"
        for name, units, first, size in (("lat", "degrees_north", 120.0, ROWS), ("lon", "degrees_east", 30.0, COLUMNS)):
            handle.createVariable(name, "f8", (name,))[:] = first + 0.1 * np.arange(size)
            handle[name].units = units
        handle.createVariable("rain", "f4", ("time", "lat", "lon"))[:] = maps


def _write_doubled(folder: Path, maps: Any) -> None:
    """The third date twice: once more than it ought to be by 2, once as it is."""
    import numpy as np

    _write_folder(folder / "doubled", maps)
    _write_tif(folder / "doubled" / "rain_2001-03-01_again.tif", maps[2:3] + 2)
    twice = np.insert(maps, 2, maps[2] + 2, axis=0)
    steps = [0, 1, 2, 2, 3, 4, 5, 6, 7]
    _write_netcdf(folder / "doubled.nc", twice, steps=steps)
    _write_tif(folder / "doubled.tif", twice, dates=[np.datetime64(START) + step for step in steps])


def _write_cut(folder: Path, maps: Any) -> None:
    """Files in the middle, or bands at the end, that are broken or cut short."""
    import numpy as np

    for name, text in (("broken", b"This is no raster."), ("cut", None)):
        _write_folder(folder / name, maps)
        file = folder / name / "rain_2001-03-02.tif"
        file.write_bytes(file.read_bytes()[:-60] if text is None else text)
    _write_tif(folder / "cut_bands.tif", maps, dates=np.datetime64(START) + np.arange(len(maps)), interleave="band")
    file = folder / "cut_bands.tif"
    metadata = file.read_bytes().find(maps[-1].tobytes())
    file.write_bytes(file.read_bytes()[: metadata + 60])
    (folder / "cut_netcdf").mkdir()
    for number in range(4):
        part = folder / "cut_netcdf" / f"rain_{number}.nc"
        _write_netcdf(part, maps[2 * number : 2 * number + 2], start=str(np.datetime64(START) + 2 * number))
    file = folder / "cut_netcdf" / "rain_2.nc"
    file.write_bytes(file.read_bytes()[:3000])


def _write_odd(folder: Path, maps: Any) -> None:
    """Files that are odd and read all the same."""

    _write_folder(folder / "south_up", maps, south_up=True)
    _write_netcdf(folder / "south_up.nc", maps, south_up=True)
    _write_netcdf(folder / "turned.nc", maps, south_up=True, order=("x", "y", "time"))
    _write_folder(folder / "marked", spots(maps, -9999.0), nodata=None)
    _write_folder(folder / "huge", spots(maps, 1e20), nodata=None)
    _write_netcdf(folder / "huge.nc", spots(maps, 1e20))
    _write_netcdf(folder / "days_360.nc", maps, calendar="360_day")
    _write_netcdf(folder / "days_365.nc", maps, calendar="noleap")
    shuffled = [0, 1, 4, 3, 2, 5, 6, 7]
    _write_netcdf(folder / "shuffled.nc", maps[shuffled], steps=shuffled)
    outlier = maps.copy()
    outlier[3, 2, 2] = 5000.0
    _write_folder(folder / "outlier", outlier)


def _write_folder(folder: Path, maps: Any, start: str = START, **options: Any) -> None:
    import numpy as np

    for number, single in enumerate(maps):
        date = np.datetime64(start) + number
        _write_tif(folder / f"rain_{date}.tif", single[None], **options)


def _write_tif(
    path: Path, maps: Any, *, crs: Any = "EPSG:3035", west: float = WEST, north: float = NORTH, cell: float = CELL,
    nodata: Any = -9999.0, south_up: bool = False, dates: Any = (), **profile: Any,
) -> None:  # fmt: skip
    """A GeoTIFF of maps (bands, rows, columns), north first, or with its rows from the south."""
    import numpy as np
    import rasterio
    from affine import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": maps.shape[0], "height": maps.shape[1], "width": maps.shape[2], "nodata": nodata}
    transform = Affine(cell, 0, west, 0, -cell, north)
    if south_up:
        transform, maps = Affine(cell, 0, west, 0, cell, north - cell * maps.shape[1]), maps[:, ::-1]
    values = maps if nodata is None else np.where(np.isnan(maps), nodata, maps)
    profile.update(driver="GTiff", dtype="float32", crs=crs, transform=transform, **shape)
    with rasterio.open(path, "w", **profile) as handle:
        for band, date in enumerate(dates, 1):
            handle.set_band_description(band, str(date))
        handle.write(values.astype(np.float32))


def _write_netcdf(
    path: Path, maps: Any, *, calendar: str = "standard", crs: bool = True, dated: bool = True, start: str = START,
    steps: Any = None, south_up: bool = False, order: tuple[str, ...] = ("time", "y", "x"),
) -> None:  # fmt: skip
    """A CF file of maps (time, rows, columns), north first; stored from the south, or in another ``order``."""
    import netCDF4
    import numpy as np
    from rasterio.crs import CRS

    dims = order if dated else ("y", "x")
    with netCDF4.Dataset(str(path), "w") as handle:
        for name, size in zip(("time", "y", "x"), maps.shape):
            if name in dims:
                handle.createDimension(name, size)
        if dated:
            time = handle.createVariable("time", "f8", ("time",))
            time.units, time.calendar = f"days since {start} 00:00:00", calendar
            time[:] = np.arange(len(maps)) if steps is None else steps
        y = NORTH - (np.arange(ROWS) + 0.5) * CELL
        handle.createVariable("y", "f8", ("y",))[:] = y[::-1] if south_up else y
        handle.createVariable("x", "f8", ("x",))[:] = WEST + (np.arange(COLUMNS) + 0.5) * CELL
        variable = handle.createVariable("rain", "f4", dims, fill_value=-9999.0)
        variable.units = "mm d-1"
        if crs:
            handle.createVariable("crs", "i4", ()).crs_wkt = CRS.from_epsg(3035).to_wkt()
            variable.grid_mapping = "crs"
        stored = maps[:, ::-1] if south_up else maps
        variable[:] = stored.transpose([("time", "y", "x").index(dim) for dim in dims]) if dated else stored[0]


def _write_dataset(path: Path, steps: int, gauges: tuple[str, ...] = ()) -> None:
    """Rain, a store that keeps 80 % of itself and gains the rain, and at ``gauges`` a flow that is its mean."""
    import numpy as np

    from freshet.core.contracts import Grid
    from freshet.core.data.store import Gauges, VariableInfo, write_dataset

    rain = np.random.default_rng(2).gamma(0.3, 10.0, (steps, ROWS, COLUMNS)).astype(np.float32)
    store = np.zeros_like(rain)
    for step in range(1, steps):
        store[step] = 0.8 * store[step - 1] + rain[step]
    flow = np.repeat(store.mean(axis=(1, 2))[:, None], len(gauges), axis=1)
    info = VariableInfo("flow", "target", "discharge", "m3/s", "Flow", gauges=True)
    grid, east = Grid("EPSG:3035", WEST, NORTH, CELL, CELL, COLUMNS, ROWS), WEST + CELL * (0.5 + np.arange(len(gauges)))
    write_dataset(
        path, name=path.stem, grid=grid,
        times=np.datetime64(START, "s") + np.arange(steps) * np.timedelta64(DAY, "s"), step_seconds=float(DAY),
        dynamic={
            "rain": (VariableInfo("rain", "input", "precipitation", "mm/d", "Rain"), rain),
            "store": (VariableInfo("store", "target", "soil_water", "mm", "Store"), store),
            **({"flow": (info, flow)} if gauges else {}),
        },
        static={}, mask=np.ones((ROWS, COLUMNS), dtype=bool), provenance={},
        gauges=Gauges.on(grid, list(gauges), east, np.full(len(gauges), NORTH - CELL / 2)) if gauges else None,
    )  # fmt: skip


def _write_models(folder: Path) -> None:
    """A good model and the bad ones made from it."""
    import numpy as np
    from safetensors.numpy import save_file

    from freshet.core.contracts import ModelConfig, TrainJob
    from freshet.core.data.store import Dataset
    from freshet.core.training.model_file import build_from_card, save_model
    from freshet.core.training.setup import build_card, splits_of

    window = 8
    for name, file, target, model in (
        ("model", "good.nc", "store", ModelConfig("convlstm", {"hidden": [2]})),
        ("gauge_model", "gauged.nc", "flow", ModelConfig("lstm", {"hidden_size": 2})),
    ):
        path = str(folder / file)
        job = TrainJob(datasets=(path,), target=target, inputs=("rain",), window=window, model=model)
        with Dataset.open(path) as dataset:
            card = build_card(job, [dataset], splits_of([dataset], job.split, window, 0, 1))
        save_model(folder / f"{name}.safetensors", build_from_card(card), card)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "altered.safetensors").write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    # A window of 7 in place of 8: the card still reads well, only the checksum tells.
    changed = whole.replace(b'\\"window\\": 8', b'\\"window\\": 7').replace(b'\\"window\\":8', b'\\"window\\":7')
    if changed == whole:
        raise RuntimeError("the card of the model names no window of 8")
    (folder / "altered_card.safetensors").write_bytes(changed)
    save_file({"weight": np.ones((2, 2), dtype=np.float32)}, str(folder / "foreign.safetensors"))
    (folder / "text.safetensors").write_text("This is no model, but a text that was given the name of one.\n")
