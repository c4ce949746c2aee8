"""The terrain maps: what each is, and how it follows from elevations and flow network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

import numpy as np

from ...contracts.dataset_job import TERRAIN_MAPS
from ...contracts.errors import ConfigError
from ...contracts.grid import Grid
from ...contracts.variables import quantity
from .cells import cell_sizes
from .directions import MISSING
from .network import STREAM_KM2, FlowNetwork
from .surface import slope_and_aspect

LEAST_TANGENT = 0.001  # 1 m in 1 km; keeps the wetness of level ground finite


class Kind(NamedTuple):
    """A terrain map: its quantity in the catalogue, unit, name for people, and how it comes onto a coarser grid."""

    quantity: str
    units: str
    label: str
    gathering: str


_GATHERING = {"flow_direction": "directions", "upstream_area": "maximum"}
KINDS: dict[str, Kind] = {
    name: Kind(name, quantity(name).units, quantity(name).label, _GATHERING.get(name, "average"))
    for name in TERRAIN_MAPS
}
_OF_SURFACE = ("slope", "aspect_sin", "aspect_cos")


def derive(
    dem: np.ndarray,
    grid: Grid,
    names: Iterable[str],
    stream_km2: float = STREAM_KM2,
    network: Optional[FlowNetwork] = None,
) -> dict[str, np.ndarray]:
    """Terrain maps of ``dem`` (H, W), elevations in m with NaN for missing, on its own ``grid``.

    Gives float32 (H, W) by name, in the order of ``names``, NaN where ``dem`` is missing:

    - ``elevation`` m, as given; ``slope`` deg and ``aspect_sin``, ``aspect_cos``: see :mod:`.surface`;
    - ``flow_direction``: ESRI code 1 (east), 2, 4 ... 128 (north-east), 0 where water leaves: see :mod:`.directions`;
    - ``upstream_area`` km2, the cell's own area included;
    - ``height_above_drainage`` m, above the first cell downstream that drains ``stream_km2``;
    - ``topographic_wetness``: ln(a / tan b) of Beven & Kirkby (1979), doi:10.1080/02626667909491834; a is the upstream
      area in m2 over the side of a square cell of the same area in m, tan b the slope, at least 0.001;
    - ``distance_to_outlet`` km along the way of the water to where it leaves the elevation model.

    ``network`` saves working it out again. Raises :class:`ConfigError` for an unknown name, :class:`DataError` where
    nothing has a value.
    """
    return dict(each_map(dem, grid, names, stream_km2, network))


def each_map(
    dem: np.ndarray,
    grid: Grid,
    names: Iterable[str],
    stream_km2: float = STREAM_KM2,
    network: Optional[FlowNetwork] = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """:func:`derive`, map by map, so that whoever writes them holds one at a time."""
    names = tuple(names)
    for name in names:
        if name not in KINDS:
            raise ConfigError(
                f"There is no terrain map '{name}'",
                expected=", ".join(TERRAIN_MAPS),
                remedy="Choose among these",
            )
    surface: dict[str, np.ndarray] = {}
    if set(names) & {*_OF_SURFACE, "topographic_wetness"}:
        surface = dict(zip(_OF_SURFACE, slope_and_aspect(dem, cell_sizes(grid))))
    if network is None and set(names) - {*_OF_SURFACE, "elevation"}:
        network = FlowNetwork(dem, grid, stream_km2)
    for name in names:
        yield name, _one(name, dem, surface, network)


def _one(name: str, dem: np.ndarray, surface: dict[str, np.ndarray], network: Optional[FlowNetwork]) -> np.ndarray:
    if name == "elevation":
        return dem.astype(np.float32)
    if name in surface:
        return surface[name]
    if name == "flow_direction":
        return direction_map(network)
    if name == "upstream_area":
        return network.upstream_area_km2.astype(np.float32)
    if name == "height_above_drainage":
        return network.height_above_drainage().astype(np.float32)
    if name == "distance_to_outlet":
        return network.distance_km.astype(np.float32)
    return _wetness(network, surface["slope"])


def direction_map(network: FlowNetwork) -> np.ndarray:
    """Flow directions as float32 (H, W), NaN where missing."""
    return np.where(network.directions == MISSING, np.nan, network.directions).astype(np.float32)


def _wetness(network: FlowNetwork, slope: np.ndarray) -> np.ndarray:
    side_m = np.sqrt(network.sizes.area_km2) * 1000.0
    out = np.empty(slope.shape, dtype=np.float32)
    for row, (area, steepness) in enumerate(zip(network.upstream_area_km2, slope.astype(np.float64))):
        tangent = np.maximum(np.tan(np.radians(steepness)), LEAST_TANGENT)
        out[row] = np.log(area * 1e6 / side_m[row] / tangent)
    return out
