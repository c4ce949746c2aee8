"""The verb ``terrain``: maps, rivers and the basin of an outlet from an elevation model, as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import numpy as np

from ...contracts.dataset_job import TerrainConfig, TerrainJob
from ...contracts.errors import ConfigError, DataError, RunError
from ...contracts.events import Artifact, Event, EventKind
from ...contracts.grid import Grid
from ...contracts.variables import quantity
from .dem import Dem, open_dem, read_dem
from .maps import KINDS, each_map
from .network import FlowNetwork, Outlet
from .on_grid import entry_warning, reached_from, to_outlet
from .outlines import basin_feature, stream_features, write_features, write_map

# Ramp and range where those of the catalogue do not fit.
_STYLES: dict[str, tuple[str, Optional[tuple[float, float]]]] = {
    "aspect_sin": ("BrBG", (-1.0, 1.0)),
    "aspect_cos": ("BrBG", (-1.0, 1.0)),
    "flow_direction": ("Spectral", (0.0, 128.0)),
    "upstream_area": ("Blues", None),
    "height_above_drainage": ("YlGnBu_r", None),
    "topographic_wetness": ("YlGnBu", None),
}
_NOTES = {
    "aspect_sin": "Sine of the direction that the slope faces: 1 is east, -1 is west, 0 north, south or level.",
    "aspect_cos": "Cosine of the direction that the slope faces: 1 is north, -1 is south, 0 east, west or level.",
    "flow_direction": "1 east, 2 south-east, 4 south, 8 south-west, 16 west, 32 north-west, 64 north, 128 north-east, "
    "0 where water leaves.",
    "topographic_wetness": "ln(a / tan b): larger is wetter.",
}


def run(job: TerrainJob) -> Iterator[Event]:
    """Derive the maps of ``job.terrain`` on the cells of its elevation model and write them to ``job.output``.

    Writes ``NAME.tif`` for each map, ``streams.geojson`` where there are rivers, and ``basin.geojson`` where an outlet
    is given, whose x and y are in the CRS of the elevation model. Yields PROGRESS before each part, MESSAGE for what
    was assumed or is in doubt, an ARTIFACT of kind "terrain", "streams" or "basin" for each file. Each file is whole
    or absent. Raises :class:`DataError` where the elevation model or the outlet cannot serve.
    """
    config = job.terrain
    folder = _folder(job.output)
    yield _progress(0.0, "Reading the elevation model")
    dem = _whole_dem(config.dem)
    yield from _tell([*dem.notes, _size_note(dem.grid)], dem.warnings)
    flowing = bool(config.outlet or set(config.maps) - {"elevation", "slope", "aspect_sin", "aspect_cos"})
    network = outlet = inside = None
    if flowing:
        yield _progress(0.05, "Compiling flow routines")
        _compile()
        yield _progress(0.15, "Finding the way of the water")
        network = FlowNetwork(dem.heights, dem.grid, config.stream_km2, edge=config.edge)
        yield from _tell(network.notes, network.warnings)
    if config.outlet:
        yield _progress(0.4, "Basin of the outlet")
        outlet = network.snap(*config.outlet)
        inside = network.above(outlet.row, outlet.column)
    if flowing:
        yield from _tell_entry(network, dem, inside)
    yield from _write_maps(config, folder, dem, network, outlet)
    if network is not None:
        yield from _write_outlines(folder, network, outlet, inside)


def _write_maps(
    config: TerrainConfig, folder: Path, dem: Dem, network: Optional[FlowNetwork], outlet: Optional[Outlet]
) -> Iterator[Event]:
    names = tuple(dict.fromkeys(config.maps))
    made = each_map(dem.heights, dem.grid, names, config.stream_km2, network)
    for number, name in enumerate(names):
        kind = KINDS[name]
        yield _progress(0.45 + 0.45 * number / len(names), kind.label)
        _, values = next(made)
        if name == "distance_to_outlet" and outlet is not None:
            values = to_outlet(values, network, outlet)
        path = folder / f"{name}.tif"
        _save(path, network.directions if name == "flow_direction" else values, dem.grid, kind.units, kind.label)
        yield _artifact(name, path, values)


def _write_outlines(
    folder: Path, network: FlowNetwork, outlet: Optional[Outlet], inside: Optional[np.ndarray]
) -> Iterator[Event]:
    yield _progress(0.92, "Rivers")
    rivers = stream_features(network, inside)
    if rivers:
        write_features(folder / "streams.geojson", rivers)
        title = f"Rivers that drain at least {network.stream_km2:g} km2"
        yield _event(Artifact(kind="streams", path=str(folder / "streams.geojson"), title=title, variable="strahler"))
    elif not network.streams.any():
        yield from _tell((), [f"No cell drains {network.stream_km2:g} km2, so there are no rivers."])
    if outlet is not None:
        feature = basin_feature(inside, network, outlet)
        write_features(folder / "basin.geojson", [feature])
        area = feature["properties"]["area_km2"]
        yield from _tell([outlet.sentence()], [outlet.larger] if outlet.larger else [])
        yield _event(Artifact(kind="basin", path=str(folder / "basin.geojson"), title=f"Basin of {area:.6g} km2"))


def _whole_dem(path: str) -> Dem:
    with open_dem(path) as source:
        dem = read_dem(source, (0, source.grid.rows), (0, source.grid.columns))
        return Dem(dem.heights, dem.grid, dem.cut, (*source.notes, *dem.notes), (*source.warnings, *dem.warnings))


def _tell_entry(network: FlowNetwork, dem: Dem, inside: Optional[np.ndarray]) -> Iterator[Event]:
    """A warning where water enters from beyond the elevation model."""
    reached = reached_from(network, dem.cut)
    share = float(reached[network.valid if inside is None else inside].mean())
    if share:
        yield from _tell((), [entry_warning(share, "its cells" if inside is None else "the basin")])


def _compile() -> None:
    """Have numba compile on a tiny valley what is used later; it keeps that for the next run."""
    grid = Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 3, 3)
    network = FlowNetwork(np.array([[3.0, 2.0, 3.0], [2.0, 1.0, 2.0], [1.0, 0.0, 1.0]], dtype=np.float32), grid, 1.0)
    network.height_above_drainage()
    network.above(2, 1)
    stream_features(network)


def _folder(text: str) -> Path:
    if not text:
        raise ConfigError("No folder is given for the maps", remedy="Choose a folder")
    folder = Path(text)
    if folder.exists() and not folder.is_dir():
        raise DataError("The folder for the maps is a file", got=text, remedy="Choose a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            "The folder for the maps cannot be made", got=str(error), remedy="Choose another folder"
        ) from error
    return folder


def _save(path: Path, values: np.ndarray, grid: Grid, units: str, label: str) -> None:
    from rasterio.errors import RasterioError

    try:
        write_map(path, values, grid, units, label)
    except RasterioError as error:
        raise RunError(
            f"The map {path.name} could not be written",
            got=f"{path} ({error})",
            remedy="Free some space, or choose another folder",
        ) from error


def _artifact(name: str, path: Path, values: np.ndarray) -> Event:
    kind = KINDS[name]
    ramp, span = _STYLES.get(name, (quantity(kind.quantity).ramp, None))
    if span is None:
        step = max(1, values.size // 1_000_000)
        sample = values.ravel()[::step]
        sample = sample[np.isfinite(sample)]
        span = (
            tuple(float(f"{limit:.3g}") for limit in np.percentile(sample, (1.0, 99.0))) if sample.size else (0.0, 1.0)
        )
    title = kind.label if kind.units == "-" else f"{kind.label} ({kind.units})"
    return _event(
        Artifact(
            kind="terrain", path=str(path), title=title, variable=name, units=kind.units, ramp=ramp,
            minimum=span[0], maximum=span[1], note=_NOTES.get(name, ""),
        )
    )  # fmt: skip


def _size_note(grid: Grid) -> str:
    return f"Elevation model of {grid.columns} x {grid.rows} cells."


def _tell(notes: "tuple[str, ...] | list[str]", warnings: "tuple[str, ...] | list[str]") -> Iterator[Event]:
    for level, texts in (("info", notes), ("warning", warnings)):
        for text in texts:
            yield Event(EventKind.MESSAGE, {"level": level, "text": text})


def _progress(fraction: float, text: str) -> Event:
    return Event(EventKind.PROGRESS, {"fraction": round(fraction, 4), "text": text})


def _event(artifact: Artifact) -> Event:
    return Event(EventKind.ARTIFACT, artifact.to_dict())
