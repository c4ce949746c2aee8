"""The example basin as a whole: one call makes terrain, weather and water, and keeps the truth about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...contracts.errors import ConfigError
from . import hydrology, storms, terrain
from .hydrology import SECONDS_PER_DAY, HydrologyParameters

CRS = "EPSG:3035"
WEST_M = 4_180_000.0
NORTH_M = 2_790_000.0
FIRST_DAY = np.datetime64("2001-01-01", "D")
_WARM_UP_DAYS = 365


@dataclass(frozen=True)
class Gauge:
    """A place where discharge is measured: cell (``row``, ``column``), centre in metres of the CRS, area above it."""

    name: str
    row: int
    column: int
    x_m: float
    y_m: float
    area_km2: float


@dataclass(frozen=True)
class ExampleBasin:
    """A basin of which everything is known. Float64; ``(T, H, W)`` daily, ``(H, W)`` static, ``(G, H, W)`` by gauge.

    Forcing (``precipitation_mm`` mm/d, ``temperature_c`` degC, ``pet_mm`` mm/d) covers the rectangle. Fluxes
    (``evaporation_mm``, ``runoff_mm`` mm/d), stores at the end of the day (``snow_mm``, ``soil_mm``,
    ``groundwater_mm``, ``channel_mm``, mm over the cell), ``soil_moisture`` (0 to 1, share of the soil's capacity)
    and ``discharge_m3s`` (flow out of each cell, routed) are NaN outside ``basin_mask``. ``initial_*`` are the stores
    before the first day. Truth: ``travel_time_days`` to the lower end of the outlet's cell,
    ``gauge_travel_time_days`` (NaN where a cell does not contribute), ``contributing``, ``flow_direction`` (ESRI
    code, 0 at the border), ``downstream`` (H*W,) flat index of the next cell or -1, ``soil_capacity_mm``,
    ``residence_days`` through a cell, ``parameters``. ``gauges[0]`` is the outlet. ``fine_elevation_m`` (2H, 2W)
    averages to ``elevation_m``.
    """

    seed: int
    crs: str
    resolution_m: float
    west_m: float
    north_m: float
    dates: np.ndarray
    fine_elevation_m: np.ndarray
    elevation_m: np.ndarray
    filled_elevation_m: np.ndarray
    upstream_area_km2: np.ndarray
    flow_direction: np.ndarray
    downstream: np.ndarray
    basin_mask: np.ndarray
    gauges: tuple[Gauge, ...]
    precipitation_mm: np.ndarray
    temperature_c: np.ndarray
    pet_mm: np.ndarray
    evaporation_mm: np.ndarray
    runoff_mm: np.ndarray
    discharge_m3s: np.ndarray
    snow_mm: np.ndarray
    soil_mm: np.ndarray
    groundwater_mm: np.ndarray
    channel_mm: np.ndarray
    soil_moisture: np.ndarray
    initial_snow_mm: np.ndarray
    initial_soil_mm: np.ndarray
    initial_groundwater_mm: np.ndarray
    initial_channel_mm: np.ndarray
    soil_capacity_mm: np.ndarray
    residence_days: np.ndarray
    travel_time_days: np.ndarray
    gauge_travel_time_days: np.ndarray
    contributing: np.ndarray
    parameters: HydrologyParameters

    @property
    def cell_area_m2(self) -> float:
        """Area of one cell in m2."""
        return self.resolution_m**2

    @property
    def gauge_discharge_m3s(self) -> np.ndarray:
        """Discharge at the gauges, (T, G) in m3/s."""
        return np.stack([self.discharge_m3s[:, gauge.row, gauge.column] for gauge in self.gauges], axis=1)


def generate_basin(
    seed: int = 1, rows: int = 40, columns: int = 32, days: int = 730, resolution_m: float = 2000.0
) -> ExampleBasin:
    """Make the basin; the same arguments give the same numbers. Raises :class:`ConfigError` for sizes too small.

    The weather of one year before the first day fills the stores and is then left out.
    """
    _check_sizes(rows, columns, days, resolution_m)
    seeds = np.random.SeedSequence(seed).spawn(4)
    rngs = [np.random.default_rng(item) for item in seeds]
    land = terrain.make_terrain(rngs[0], rows, columns)
    parameters = HydrologyParameters()
    capacity = hydrology.soil_capacity(rngs[3], land.elevation_m, parameters)
    forcing = _forcing(rngs[1], rngs[2], days, land.elevation_m, resolution_m)
    water = hydrology.simulate_cells(*forcing, capacity, parameters)
    residence = hydrology.residence_days(land, resolution_m, parameters)
    runoff = np.where(land.basin_mask, water.quick_runoff_mm + water.baseflow_mm, 0.0)
    flow = hydrology.route(runoff, land.downstream, residence)
    channel = np.cumsum(runoff + hydrology.inflow_from_upstream(flow, land.downstream) - flow, axis=0)
    return ExampleBasin(
        seed=seed,
        crs=CRS,
        resolution_m=float(resolution_m),
        west_m=WEST_M,
        north_m=NORTH_M,
        dates=FIRST_DAY + np.arange(days),
        **_land_fields(land, resolution_m),
        **_water_fields(land, forcing, water, runoff, flow, channel, resolution_m),
        soil_moisture=_inside(land, water.soil_mm[_WARM_UP_DAYS:] / capacity),
        soil_capacity_mm=capacity,
        residence_days=residence,
        **_truth_fields(land, residence, resolution_m),
        parameters=parameters,
    )


def water_balance(basin: ExampleBasin) -> dict[str, np.ndarray]:
    """What the balance leaves over, relative to the water that came in; NaN outside the basin.

    ``cell`` (H, W): precipitation - evaporation - runoff - change of snow, soil and groundwater. ``channel`` (H, W):
    runoff + flow from upstream - flow out - change of the channel's water. ``basin`` (): precipitation - evaporation
    - discharge at the outlet - change of all stores, the channels' included.
    """
    mask = basin.basin_mask
    rain = np.where(mask, basin.precipitation_mm.sum(axis=0), np.nan)
    runoff, evaporation = basin.runoff_mm.sum(axis=0), basin.evaporation_mm.sum(axis=0)
    stored = np.zeros(mask.shape)
    for name in ("snow", "soil", "groundwater"):
        stored = stored + getattr(basin, f"{name}_mm")[-1] - getattr(basin, f"initial_{name}_mm")
    to_mm = SECONDS_PER_DAY * 1000.0 / basin.cell_area_m2
    flow = np.nan_to_num(basin.discharge_m3s).sum(axis=0) * to_mm
    inflow = runoff + hydrology.inflow_from_upstream(flow[None], basin.downstream)[0]
    in_channel = basin.channel_mm[-1] - basin.initial_channel_mm
    outlet = basin.gauges[0]
    left = np.nansum(rain - evaporation - stored - in_channel) - flow[outlet.row, outlet.column]
    return {
        "cell": (rain - evaporation - runoff - stored) / rain,
        "channel": np.where(mask, (inflow - flow - in_channel) / inflow, np.nan),
        "basin": np.asarray(left / np.nansum(rain)),
    }


def _check_sizes(rows: int, columns: int, days: int, resolution_m: float) -> None:
    for name, value, least in (("rows", rows, 12), ("columns", columns, 12), ("days", days, 1)):
        if value < least:
            raise ConfigError(
                f"The example basin needs more {name}",
                expected=f"at least {least}",
                got=str(value),
                remedy=f"Choose {name} = {least} or more",
            )
    if not resolution_m > 0.0:
        raise ConfigError(
            "The cell size of the example basin is not usable",
            expected="a length above 0 m",
            got=f"{resolution_m!r}",
            remedy="Choose for example 2000 m",
        )


def _forcing(
    rain_rng: np.random.Generator, air_rng: np.random.Generator, days: int, elevation_m: np.ndarray, resolution_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precipitation, temperature and potential evaporation (warm-up + days, H, W)."""
    calendar = FIRST_DAY + np.arange(-_WARM_UP_DAYS, days)
    day_of_year = (calendar - calendar.astype("datetime64[Y]").astype("datetime64[D]")).astype(float)
    rain = storms.make_precipitation(rain_rng, day_of_year, elevation_m, resolution_m)
    air = storms.make_temperature(air_rng, day_of_year, elevation_m, rain)
    return rain, air, storms.hamon_pet(air, day_of_year)


def _inside(land: terrain.Terrain, values: np.ndarray) -> np.ndarray:
    return np.where(land.basin_mask, values, np.nan)


def _land_fields(land: terrain.Terrain, resolution_m: float) -> dict[str, np.ndarray]:
    return {
        "fine_elevation_m": land.fine_elevation_m,
        "elevation_m": land.elevation_m,
        "filled_elevation_m": land.filled_m,
        "upstream_area_km2": land.upstream_cells * (resolution_m / 1000.0) ** 2,
        "flow_direction": land.flow_direction,
        "downstream": land.downstream,
        "basin_mask": land.basin_mask,
    }


def _water_fields(
    land: terrain.Terrain,
    forcing: tuple[np.ndarray, np.ndarray, np.ndarray],
    water: hydrology.CellWater,
    runoff: np.ndarray,
    flow: np.ndarray,
    channel: np.ndarray,
    resolution_m: float,
) -> dict[str, np.ndarray]:
    """Forcing, fluxes and stores without the warm-up, and the stores at its end."""
    start = _WARM_UP_DAYS
    fields = dict(zip(("precipitation_mm", "temperature_c", "pet_mm"), (values[start:] for values in forcing)))
    fields["evaporation_mm"] = _inside(land, water.evaporation_mm[start:])
    fields["runoff_mm"] = _inside(land, runoff[start:])
    fields["discharge_m3s"] = _inside(land, flow[start:]) * (resolution_m**2 / 1000.0 / SECONDS_PER_DAY)
    stores = {"snow": water.snow_mm, "soil": water.soil_mm, "groundwater": water.groundwater_mm, "channel": channel}
    for name, values in stores.items():
        fields[f"{name}_mm"] = _inside(land, values[start:])
        fields[f"initial_{name}_mm"] = _inside(land, values[start - 1])
    return fields


def _truth_fields(land: terrain.Terrain, residence: np.ndarray, resolution_m: float) -> dict[str, object]:
    cells = terrain.choose_gauges(land)
    contributing = np.stack([terrain.contributing_area(cell, land.filled_m, land.downstream) for cell in cells])
    times = np.stack(
        [hydrology.travel_time(cell, area, land.downstream, residence) for cell, area in zip(cells, contributing)]
    )
    columns = residence.shape[1]
    gauges = tuple(
        Gauge(
            name="Outlet" if number == 0 else f"Branch {number}",
            row=cell // columns,
            column=cell % columns,
            x_m=WEST_M + (cell % columns + 0.5) * resolution_m,
            y_m=NORTH_M - (cell // columns + 0.5) * resolution_m,
            area_km2=float(area.sum()) * (resolution_m / 1000.0) ** 2,
        )
        for number, (cell, area) in enumerate(zip(cells, contributing))
    )
    return {
        "gauges": gauges,
        "contributing": contributing,
        "gauge_travel_time_days": times,
        "travel_time_days": times[0],
    }
