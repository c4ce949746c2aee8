"""Water of the example basin: snow, soil and groundwater of each cell, and the way of its runoff to the outlet.

Dynamic arrays are ``(T, H, W)``, one step a day; fluxes in mm/d, stores in mm at the end of the day. Every flux that
leaves one store enters another or leaves the cell, so that the balance closes to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .terrain import Terrain, flow_path, fractal_field

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class HydrologyParameters:
    """What the basin's truth is made of; the same for all cells, except the soil's capacity."""

    snow_threshold_c: float = 0.5
    snow_range_c: float = 2.0
    degree_day_factor_mm_per_c: float = 3.5
    capacity_valley_mm: float = 80.0
    capacity_loss_mm_per_km: float = 30.0
    capacity_noise: float = 0.04
    quick_exponent: float = 2.5
    stress_saturation: float = 0.55
    percolation_mm_per_day: float = 12.0
    percolation_exponent: float = 6.0
    groundwater_days: float = 40.0
    headwater_velocity_m_per_s: float = 0.12
    velocity_exponent: float = 0.18


@dataclass(frozen=True)
class CellWater:
    """Vertical water balance of all cells: fluxes and stores (T, H, W)."""

    evaporation_mm: np.ndarray
    quick_runoff_mm: np.ndarray
    baseflow_mm: np.ndarray
    snow_mm: np.ndarray
    soil_mm: np.ndarray
    groundwater_mm: np.ndarray


def soil_capacity(rng: np.random.Generator, elevation_m: np.ndarray, parameters: HydrologyParameters) -> np.ndarray:
    """Water that the soil can hold, (H, W) in mm: deep in valleys, thin on ridges, and a little unevenness."""
    height_km = (elevation_m - elevation_m.min()) / 1000.0
    uneven = 1.0 + parameters.capacity_noise * fractal_field(rng, *elevation_m.shape, 3.0)
    capacity = (parameters.capacity_valley_mm - parameters.capacity_loss_mm_per_km * height_km) * uneven
    return np.maximum(capacity, 30.0)


def simulate_cells(
    precipitation_mm: np.ndarray,
    temperature_c: np.ndarray,
    pet_mm: np.ndarray,
    capacity_mm: np.ndarray,
    parameters: HydrologyParameters,
) -> CellWater:
    """Run snow, soil and groundwater day by day from a half-full soil; forcing (T, H, W), capacity (H, W), no NaN.

    Snow melts by degree-days; runoff generation and stressed evaporation follow HBV, Lindstroem et al. (1997),
    doi:10.1016/S0022-1694(97)00041-3; percolation is a power of saturation; groundwater is a linear reservoir.
    """
    outcome = {name: np.empty_like(precipitation_mm) for name in CellWater.__dataclass_fields__}
    snow, soil = np.zeros_like(capacity_mm), 0.5 * capacity_mm
    groundwater = np.full_like(capacity_mm, 20.0)
    release = 1.0 - np.exp(-1.0 / parameters.groundwater_days)
    for day in range(precipitation_mm.shape[0]):
        snow, liquid = _snow(snow, precipitation_mm[day], temperature_c[day], parameters)
        soil, quick = _infiltrate(soil, liquid, capacity_mm, parameters)
        soil, evaporation = _evaporate(soil, pet_mm[day], capacity_mm, parameters)
        percolation = np.minimum(
            soil, parameters.percolation_mm_per_day * (soil / capacity_mm) ** parameters.percolation_exponent
        )
        soil = soil - percolation
        groundwater = groundwater + percolation
        baseflow = release * groundwater
        groundwater = groundwater - baseflow
        for name, value in zip(outcome, (evaporation, quick, baseflow, snow, soil, groundwater)):
            outcome[name][day] = value
    return CellWater(**outcome)


def residence_days(terrain: Terrain, resolution_m: float, parameters: HydrologyParameters) -> np.ndarray:
    """Days (H, W) that water needs through each cell: length of the step over velocity, faster in larger rivers."""
    diagonal = np.isin(terrain.flow_direction, (2, 8, 32, 128))
    length_m = np.where(diagonal, np.sqrt(2.0), 1.0) * resolution_m
    velocity = parameters.headwater_velocity_m_per_s * terrain.upstream_cells**parameters.velocity_exponent
    return length_m / velocity / SECONDS_PER_DAY


def travel_time(gauge: int, contributing: np.ndarray, downstream: np.ndarray, residence: np.ndarray) -> np.ndarray:
    """Days (H, W) from the runoff of a cell to the lower end of the gauge's cell; NaN outside ``contributing``.

    ``gauge`` is a flat index; the time through the cell itself and through the gauge's cell are included.
    """
    to_end = _days_to_end(downstream, residence)
    days = to_end - to_end[gauge] + residence.ravel()[gauge]
    return np.where(contributing, days.reshape(contributing.shape), np.nan)


def route(runoff: np.ndarray, downstream: np.ndarray, residence: np.ndarray) -> np.ndarray:
    """Flow out of every cell (T, H, W) in the unit of ``runoff`` (T, H, W): all runoff of upstream cells, delayed.

    Pure translation: what a cell yields evenly during one day passes a gauge evenly during one day, later by the exact
    travel time, so a delay of 2.3 days puts 70 % on the second and 30 % on the third day after. Nothing is lost;
    what is still on its way at the end is in the channels.
    """
    days = runoff.shape[0]
    source = np.ascontiguousarray(runoff.reshape(days, -1).T)
    flow = np.zeros_like(source)
    to_end = _days_to_end(downstream, residence)
    stay = residence.ravel()
    for cell in np.nonzero(source.any(axis=1))[0]:
        path = np.array(flow_path(cell, downstream))
        delay = to_end[cell] - to_end[path] + stay[path]
        whole = np.floor(delay).astype(int)
        later = delay - whole
        for lag in range(int(whole.min()), min(int(whole.max()) + 2, days)):
            here, before = path[whole == lag], path[whole == lag - 1]
            flow[here, lag:] += (1.0 - later[whole == lag])[:, None] * source[cell, : days - lag]
            flow[before, lag:] += later[whole == lag - 1][:, None] * source[cell, : days - lag]
    return flow.T.reshape(runoff.shape)


def inflow_from_upstream(flow: np.ndarray, downstream: np.ndarray) -> np.ndarray:
    """What the neighbours let flow into each cell (T, H, W), given the ``flow`` (T, H, W) out of every cell."""
    days = flow.shape[0]
    flat = flow.reshape(days, -1)
    inflow = np.zeros_like(flat)
    for cell in np.nonzero(downstream >= 0)[0]:
        inflow[:, downstream[cell]] += flat[:, cell]
    return inflow.reshape(flow.shape)


def _days_to_end(downstream: np.ndarray, residence: np.ndarray) -> np.ndarray:
    """Days (H*W,) from entering a cell to leaving the rectangle."""
    stay = residence.ravel()
    return np.array([stay[flow_path(cell, downstream)].sum() for cell in range(stay.size)])


def _snow(
    snow: np.ndarray, precipitation: np.ndarray, temperature: np.ndarray, parameters: HydrologyParameters
) -> tuple[np.ndarray, np.ndarray]:
    warm = np.clip((temperature - parameters.snow_threshold_c) / parameters.snow_range_c + 0.5, 0.0, 1.0)
    rain = precipitation * warm
    snow = snow + (precipitation - rain)
    melt = np.minimum(snow, parameters.degree_day_factor_mm_per_c * np.maximum(temperature, 0.0))
    return snow - melt, rain + melt


def _infiltrate(
    soil: np.ndarray, liquid: np.ndarray, capacity: np.ndarray, parameters: HydrologyParameters
) -> tuple[np.ndarray, np.ndarray]:
    quick = liquid * (soil / capacity) ** parameters.quick_exponent
    soil = soil + (liquid - quick)
    excess = np.maximum(soil - capacity, 0.0)
    return soil - excess, quick + excess


def _evaporate(
    soil: np.ndarray, pet: np.ndarray, capacity: np.ndarray, parameters: HydrologyParameters
) -> tuple[np.ndarray, np.ndarray]:
    stress = np.minimum(soil / (parameters.stress_saturation * capacity), 1.0)
    evaporation = np.minimum(soil, pet * stress)
    return soil - evaporation, evaporation
