"""Weather of the example basin: storms that cross it, temperature and potential evaporation.

Dynamic arrays are ``(T, H, W)``, one step a day, north first. Day of year 0 is 1 January.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .terrain import fractal_field

LATITUDE_DEG = 48.0
_SUBSTEPS = 8  # a storm is followed in steps of three hours
_TEXTURE = 160  # cells of the periodic texture that fronts carry along


@dataclass(frozen=True)
class Storm:
    """One rain system. Positions in km east and north of the south-west corner, times in days, angles in radians.

    ``heading`` is where it goes, counted from east to north; ``along_km`` and ``across_km`` are the standard deviations
    in and across that direction.
    """

    start_day: float
    duration_days: float
    x_km: float
    y_km: float
    heading: float
    speed_km_per_day: float
    along_km: float
    across_km: float
    intensity_mm_per_day: float
    texture_shift: tuple[int, int]
    texture_weight: float


def make_precipitation(
    rng: np.random.Generator, day_of_year: np.ndarray, elevation_m: np.ndarray, resolution_m: float
) -> np.ndarray:
    """Precipitation (T, H, W) in mm/d, without NaN: moving fronts and showers, enhanced on windward slopes.

    Fronts come in spells of wet weather and take one to three days to cross; showers are short, small and of summer.
    What is below 0.3 mm/d does not reach the ground.
    """
    rows, columns = elevation_m.shape
    width_km, height_km = columns * resolution_m / 1000.0, rows * resolution_m / 1000.0
    texture = fractal_field(rng, _TEXTURE, _TEXTURE, 2.8, periodic=True)
    x_km = (np.arange(columns) + 0.5)[None, :] * resolution_m / 1000.0
    y_km = (np.arange(rows)[::-1] + 0.5)[:, None] * resolution_m / 1000.0
    slope = _slope(elevation_m, resolution_m)
    rain = np.zeros((day_of_year.size, rows, columns))
    for storm in _storms(rng, day_of_year, width_km, height_km):
        lift = _orographic_factor(storm.heading, elevation_m, slope)
        _rain_of(storm, rain, x_km, y_km, texture, lift)
    rain[rain < 0.3] = 0.0
    return rain


def make_temperature(
    rng: np.random.Generator, day_of_year: np.ndarray, elevation_m: np.ndarray, precipitation_mm: np.ndarray
) -> np.ndarray:
    """Air temperature (T, H, W) in degC: season, spells of weather, a lapse rate of 6 K/km, cooler summer rain days."""
    days = day_of_year.size
    season = -np.cos(2.0 * np.pi * (day_of_year - 20.0) / 365.25)
    spell = _red_noise(rng, days, 0.82) * (3.0 - 0.6 * season)
    rain_mean = precipitation_mm.mean(axis=(1, 2))
    cooling = -2.5 * np.maximum(season, 0.0) * (1.0 - np.exp(-rain_mean / 4.0))
    rows, columns = elevation_m.shape
    local = fractal_field(rng, rows, columns, 3.0)[None] * 0.4 * _red_noise(rng, days, 0.6)[:, None, None]
    daily = 13.0 + 9.2 * season + spell + cooling
    return daily[:, None, None] - 0.006 * elevation_m[None] + local


def hamon_pet(temperature_c: np.ndarray, day_of_year: np.ndarray, latitude_deg: float = LATITUDE_DEG) -> np.ndarray:
    """Potential evaporation in mm/d, shape of ``temperature_c`` (T, ...); NaN stays NaN.

    Hamon's formula with the calibration factor 1.2, as in Lu et al. (2005), doi:10.1111/j.1752-1688.2005.tb03759.x.
    """
    hours = day_length_h(day_of_year, latitude_deg).reshape((-1,) + (1,) * (temperature_c.ndim - 1))
    vapour_hpa = 6.108 * np.exp(17.26939 * temperature_c / (temperature_c + 237.3))
    density_g_m3 = 216.7 * vapour_hpa / (temperature_c + 273.3)
    return 0.1651 * (hours / 12.0) * density_g_m3 * 1.2


def day_length_h(day_of_year: np.ndarray, latitude_deg: float) -> np.ndarray:
    """Hours from sunrise to sunset; Forsythe et al. (1995), doi:10.1016/0304-3800(94)00034-F, in its simple form."""
    declination = 0.409 * np.sin(2.0 * np.pi * (day_of_year + 1.0) / 365.0 - 1.39)
    cosine = np.clip(-np.tan(np.radians(latitude_deg)) * np.tan(declination), -1.0, 1.0)
    return 24.0 / np.pi * np.arccos(cosine)


def _storms(rng: np.random.Generator, day_of_year: np.ndarray, width_km: float, height_km: float) -> list[Storm]:
    """All storms of the period: at most one new front on a wet day, and families of showers in the warm season."""
    storms: list[Storm] = []
    wet = False
    wind = rng.normal(-0.4, 0.5)  # from west-north-west
    for day, doy in enumerate(day_of_year):
        warm = 0.5 - 0.5 * np.cos(2.0 * np.pi * (doy - 20.0) / 365.25)
        wet = rng.random() < ((0.78 if wet else 0.12) + 0.10 * (1.0 - warm))
        wind = 0.6 * wind + 0.4 * -0.4 + rng.normal(0.0, 0.45)
        if wet and rng.random() < 0.46:
            storms.append(_front(rng, day, wind, warm, width_km, height_km))
        if rng.random() < 0.30 * warm * (1.3 if wet else 0.7):
            count = 2 + rng.poisson(4.0)
            storms.extend(_shower(rng, day, wind, width_km, height_km) for _ in range(count))
    return storms


def _front(rng: np.random.Generator, day: int, wind: float, warm: float, width_km: float, height_km: float) -> Storm:
    """A band that starts upwind of the basin and leaves it on the other side."""
    reach = 0.5 * (width_km + height_km) / 2.0 + 35.0
    speed = rng.uniform(45.0, 130.0)
    offset = rng.normal(0.0, 0.35 * (width_km + height_km) / 2.0)  # sideways from the basin's middle
    x = 0.5 * width_km - reach * np.cos(wind) - offset * np.sin(wind)
    y = 0.5 * height_km - reach * np.sin(wind) + offset * np.cos(wind)
    return Storm(
        start_day=day + rng.random(),
        duration_days=2.0 * reach / speed,
        x_km=x,
        y_km=y,
        heading=wind,
        speed_km_per_day=speed,
        along_km=rng.uniform(9.0, 17.0),
        across_km=rng.uniform(30.0, 75.0),
        intensity_mm_per_day=rng.gamma(3.0, 8.0) * (1.0 + 0.25 * warm) * speed / 80.0,
        texture_shift=(int(rng.integers(_TEXTURE)), int(rng.integers(_TEXTURE))),
        texture_weight=0.45,
    )


def _shower(rng: np.random.Generator, day: int, wind: float, width_km: float, height_km: float) -> Storm:
    """A thunderstorm: a small elongated cell that drifts for a few hours in the afternoon."""
    return Storm(
        start_day=day + rng.uniform(0.45, 0.8),
        duration_days=rng.uniform(0.1, 0.3),
        x_km=rng.uniform(-0.1, 1.1) * width_km,
        y_km=rng.uniform(-0.1, 1.1) * height_km,
        heading=wind + rng.normal(0.0, 0.3),
        speed_km_per_day=rng.uniform(60.0, 240.0),
        along_km=rng.uniform(4.0, 9.0),
        across_km=rng.uniform(3.0, 5.0),
        intensity_mm_per_day=rng.gamma(2.0, 55.0),
        texture_shift=(0, 0),
        texture_weight=0.0,
    )


def _rain_of(
    storm: Storm, rain: np.ndarray, x_km: np.ndarray, y_km: np.ndarray, texture: np.ndarray, lift: np.ndarray
) -> None:
    """Add the rain of one storm to ``rain`` (T, H, W), in place."""
    cosine, sine = np.cos(storm.heading), np.sin(storm.heading)
    steps = max(3, int(np.ceil(storm.duration_days * _SUBSTEPS)))
    pattern = lift
    if storm.texture_weight > 0.0:
        rolled = np.roll(texture, storm.texture_shift, axis=(0, 1))[: lift.shape[0], : lift.shape[1]]
        pattern = lift * np.exp(storm.texture_weight * rolled - 0.5 * storm.texture_weight**2)
    for step in range(steps):
        elapsed = storm.duration_days * (step + 0.5) / steps
        day = int(storm.start_day + elapsed)
        if day >= rain.shape[0]:
            break
        distance = storm.speed_km_per_day * elapsed
        dx, dy = x_km - storm.x_km - distance * cosine, y_km - storm.y_km - distance * sine
        along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
        shape = np.exp(-0.5 * ((along / storm.along_km) ** 2 + (across / storm.across_km) ** 2))
        rain[day] += storm.intensity_mm_per_day * storm.duration_days / steps * shape * pattern


def _orographic_factor(heading: float, elevation_m: np.ndarray, slope: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """More rain high up and where the wind blows uphill; mean about 1."""
    uphill = slope[0] * np.cos(heading) + slope[1] * np.sin(heading)
    height = 1.0 + 0.55 * (elevation_m - elevation_m.mean()) / 1000.0
    return np.clip(height, 0.5, 1.8) * (1.0 + 0.30 * np.tanh(uphill / 0.03))


def _slope(elevation_m: np.ndarray, resolution_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Rise per metre to the east and to the north of the smoothed terrain, as air feels it."""
    smooth = elevation_m
    for _ in range(3):
        padded = np.pad(smooth, 1, mode="edge")
        rows, columns = smooth.shape
        smooth = sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9.0
    to_south, to_east = np.gradient(smooth, resolution_m)
    return to_east, -to_south


def _red_noise(rng: np.random.Generator, length: int, memory: float) -> np.ndarray:
    """First-order autoregressive series (length,) of standard deviation 1."""
    kicks = rng.standard_normal(length) * np.sqrt(1.0 - memory**2)
    series = np.empty(length)
    value = rng.standard_normal()
    for step in range(length):
        value = memory * value + kicks[step]
        series[step] = value
    return series
