"""Made data for the worked examples of docs/uses.md: each a folder of files as a person would have them, and the truth.

All come from the example basin but the moving rain. Arrays are (T, H, W), north first, NaN for missing.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from freshet.core.contracts.grid import Grid
from freshet.core.data.example_basin import ExampleBasin, generate_basin
from freshet.core.inference.geotiff import write_map, write_series

ROWS, COLUMNS, DAYS = 24, 20, 730
COARSE = 4  # fine cells along a coarse one
GAUGES, KEPT_APART = 18, 6
_WIND = np.array([0.35, 0.8])  # cells a step to the south and to the east


def basin() -> ExampleBasin:
    """Two years of a small basin of 2 km cells."""
    return generate_basin(seed=4, rows=ROWS, columns=COLUMNS, days=DAYS)


def grid_of(made: ExampleBasin, size: int = 1) -> Grid:
    """The grid of a basin, of cells ``size`` times as large."""
    rows, columns = made.basin_mask.shape
    cell = made.resolution_m * size
    return Grid(made.crs, made.west_m, made.north_m, cell, cell, columns // size, rows // size)


def write_products(made: ExampleBasin, folder: Path) -> dict[str, np.ndarray]:
    """Two rain products of one truth: a satellite that misses small rain and reads too little in the hills, and a
    reanalysis that is smooth, drizzles too much and has its rain a little elsewhere each day.
    """
    rng = np.random.default_rng(11)
    truth = made.precipitation_mm
    height = (made.elevation_m - made.elevation_m.min()) / np.ptp(made.elevation_m)
    speckle = np.exp(0.3 * rng.normal(size=truth.shape) - 0.045)
    satellite = np.where(truth > 1.0, truth, 0.0) * (1.1 - 0.5 * height) * speckle
    reanalysis = np.stack([_elsewhere(_smooth(day, 2.0), rng, 2.0) for day in truth]) * 0.9 + 0.4
    write_maps(folder / "satellite.tif", satellite, made, "mm/d", "satellite rain")
    write_maps(folder / "reanalysis.tif", reanalysis, made, "mm/d", "reanalysis rain")
    write_maps(folder / "reference.tif", truth, made, "mm/d", "reference rain")
    write_height(folder, made)
    return {"truth": truth, "satellite": satellite, "reanalysis": reanalysis}


def write_gauges(made: ExampleBasin, folder: Path) -> dict[str, np.ndarray]:
    """One rain product whose error grows with the elevation, and two tables of gauges: to train, and kept apart."""
    rng = np.random.default_rng(12)
    truth = made.precipitation_mm
    height = (made.elevation_m - made.elevation_m.min()) / np.ptp(made.elevation_m)
    product = truth * (1.5 - 1.1 * height) * np.exp(0.15 * rng.normal(size=truth.shape) - 0.01)
    write_maps(folder / "product.tif", product, made, "mm/d", "rain product")
    write_height(folder, made)
    order = np.argsort(height.ravel(), kind="stable")  # gauges from the valley to the hills
    cells = order[(np.linspace(0.02, 0.98, GAUGES) * (order.size - 1)).astype(int)]
    apart = np.zeros(GAUGES, dtype=bool)
    apart[1 :: GAUGES // KEPT_APART] = True
    for name, chosen in (("gauges.csv", cells[~apart]), ("kept_apart.csv", cells[apart])):
        _write_table(folder / name, made, truth, chosen)
    return {"truth": truth, "product": product, "train": cells[~apart], "apart": cells[apart]}


def write_coarse(made: ExampleBasin, folder: Path) -> dict[str, np.ndarray]:
    """Air temperature as coarse cells of 8 km give it, the same at 2 km for training, and the fine elevation."""
    fine = made.temperature_c
    coarse = fine.reshape(DAYS, ROWS // COARSE, COARSE, COLUMNS // COARSE, COARSE).mean(axis=(2, 4))
    dates = made.dates.astype("datetime64[s]")
    write_series(
        folder / "coarse.tif", coarse, grid_of(made, COARSE), dates, units="degC", label="coarse air temperature"
    )
    write_maps(folder / "fine.tif", fine, made, "degC", "air temperature")
    write_height(folder, made)
    return {"truth": fine, "coarse": coarse}


def write_clouds(made: ExampleBasin, folder: Path) -> dict[str, np.ndarray]:
    """Soil moisture as a satellite sees it: nothing under clouds, which last for days, and nothing on some dates."""
    rng = np.random.default_rng(13)
    truth = made.soil_moisture
    cloud = np.zeros(truth.shape, dtype=bool)
    field = _smooth(rng.normal(size=truth.shape[1:]), 3.0)
    for day in range(DAYS):
        field = 0.75 * field + np.sqrt(1 - 0.75**2) * _smooth(rng.normal(size=truth.shape[1:]), 3.0)
        cloud[day] = field > np.quantile(field, rng.uniform(0.2, 0.9))
    cloud[rng.random(DAYS) < 0.08] = True
    seen = np.where(cloud, np.nan, truth)
    write_maps(folder / "soil_moisture.tif", seen, made, "1", "soil moisture")
    write_maps(folder / "precipitation.tif", made.precipitation_mm, made, "mm/d", "precipitation")
    return {"truth": truth, "seen": seen}


def write_rain(folder: Path, steps: int = 2400, size: int = 24, seed: int = 14) -> dict[str, np.ndarray]:
    """Rain of 10 minutes on 1 km cells: showers that drift with a wind that turns slowly, grow and decay."""
    rng = np.random.default_rng(seed)
    wide = 4 * size
    rows, columns = (np.fft.fftfreq(wide)[:, None], np.fft.fftfreq(wide)[None, :])
    wave = np.hypot(rows, columns)
    spectrum = np.where(wave > 0, np.maximum(wave, 1e-9) ** -1.6, 0.0) * np.exp(-2.0 * (np.pi * 1.2 * wave) ** 2)
    share = np.exp(-1.25 * wave)  # of each scale that lasts a step: small showers last shorter
    state = spectrum * np.fft.fft2(rng.normal(size=(wide, wide)))
    wind, rain = _WIND.copy(), np.zeros((steps, size, size))
    for step in range(steps):
        wind = _WIND + 0.97 * (wind - _WIND) + 0.08 * rng.normal(size=2)
        drift = np.exp(-2j * np.pi * (rows * wind[0] + columns * wind[1]))
        fresh = spectrum * np.fft.fft2(rng.normal(size=(wide, wide)))
        state = drift * (share * state + np.sqrt(1 - share**2) * fresh)
        field = np.fft.ifft2(state).real
        field = field[:size, :size] / field.std()
        rain[step] = np.where(field > 0.4, 2.0 * np.expm1(0.8 * np.maximum(field - 0.4, 0.0)), 0.0)
    grid = Grid("EPSG:3035", 4_300_000.0, 2_900_000.0, 1000.0, 1000.0, size, size)
    dates = np.datetime64("2021-06-01", "s") + np.arange(steps) * np.timedelta64(600, "s")
    write_series(folder / "rain.tif", rain, grid, dates, units="mm/h", label="rain")
    return {"truth": rain}


def write_maps(path: Path, maps: np.ndarray, made: ExampleBasin, units: str, label: str) -> None:
    """Maps of all days as one GeoTIFF with the dates of its bands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_series(path, maps, grid_of(made), made.dates.astype("datetime64[s]"), units=units, label=label)


def write_height(folder: Path, made: ExampleBasin) -> None:
    """The elevation as a single map."""
    write_map(folder / "elevation.tif", made.elevation_m, grid_of(made), units="m", label="elevation")


def _smooth(field: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian of ``radius`` cells, edges mirrored."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(field, radius, mode="reflect")


def _elsewhere(field: np.ndarray, rng: np.random.Generator, cells: float) -> np.ndarray:
    from scipy.ndimage import shift

    return np.maximum(shift(field, rng.normal(0.0, cells, 2), order=1, mode="nearest"), 0.0)


def _write_table(path: Path, made: ExampleBasin, truth: np.ndarray, cells: np.ndarray) -> None:
    """A table as agencies keep them: one line a gauge and day."""
    rows, columns = np.unravel_index(cells, made.basin_mask.shape)
    x = made.west_m + (columns + 0.5) * made.resolution_m
    y = made.north_m - (rows + 0.5) * made.resolution_m
    with open(path, "w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["station", "date", "x", "y", "rain_mm_d"])
        for day, values in zip(made.dates, truth[:, rows, columns]):
            for number, value in enumerate(values):
                lines.writerow([f"G{cells[number]}", day, f"{x[number]:.0f}", f"{y[number]:.0f}", f"{value:.2f}"])
