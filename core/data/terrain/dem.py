"""The elevation model: opened, looked into, brought to metres; refused with a sentence where it cannot serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from ...contracts.units import convert, is_known
from ...contracts.variables import quantity
from ..sources import Source, Window, open_source

# Measured: flow network, all maps and the map that is being worked out, for each cell of the elevation model.
BYTES_PER_CELL = 110
_SHARE_OF_FREE = 0.8
_SURVEY_FOOT = ("ussurveyfoot", "ussurveyfeet", "surveyfoot", "surveyfeet", "usft", "ftus", "sft")
_FEET = {**dict.fromkeys(_SURVEY_FOOT, 1200 / 3937), **dict.fromkeys(("ft", "feet", "foot"), 0.3048)}
_SENTINELS = (-9999.0, -99999.0, -999.0, -32768.0, -32767.0, 32767.0, 65535.0, 99999.0)


@dataclass(frozen=True)
class Dem:
    """Part of an elevation model, or all of it.

    ``heights`` float32 (H, W) in m, NaN missing, on ``grid``; ``cut`` bool (H, W), the cells at the edge of what was
    read, beyond which the land goes on unseen.
    """

    heights: np.ndarray
    grid: Grid
    cut: np.ndarray
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def open_dem(path: str) -> Source:
    """Open an elevation model; close it, or use it in ``with``. Raises :class:`DataError` where it cannot be read, has
    several bands, no CRS, or no grid.
    """
    source = open_source(SourceConfig(variable="dem", path=path, role="static", quantity="elevation"))
    if source.grid is None:
        source.close()
        raise DataError(
            "The elevation model is not a raster",
            expected="a raster of elevations in m",
            got=path,
            remedy="Choose a raster, or interpolate the points to one first",
        )
    return source


def read_dem(source: Source, rows: tuple[int, int], columns: tuple[int, int]) -> Dem:
    """Rows and columns ``(first, end)`` of an open elevation model, float32 m.

    They may reach beyond it, where nothing is. A unit of feet is converted; a usual mark of missing values that the
    file does not declare is taken for missing, and told. Raises :class:`DataError` where all is missing or flat, where
    elevations are not plausible, and where the memory of this machine is not enough.
    """
    whole = source.grid
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    _check_size(height * width)
    top, end = max(0, rows[0]), min(whole.rows, rows[1])
    left, right = max(0, columns[0]), min(whole.columns, columns[1])
    if top >= end or left >= right:
        raise not_covered(source.config.path)
    found = source.read(0, 1, Window(top, left, end - top, right - left))[0]
    notes, warnings = _to_metres(found, source), _take_out_sentinels(found)
    _check_heights(found, source.config.path)
    cut = np.zeros(found.shape, dtype=bool)
    cut[[0, -1], :] = cut[:, [0, -1]] = True
    cut &= np.isfinite(found)
    if found.shape != (height, width):
        place = (slice(top - rows[0], end - rows[0]), slice(left - columns[0], right - columns[0]))
        padded, cut_padded = np.full((height, width), np.nan, dtype=np.float32), np.zeros((height, width), dtype=bool)
        padded[place], cut_padded[place] = found, cut
        found, cut = padded, cut_padded
    west, north = whole.west + columns[0] * whole.cell_x, whole.north - rows[0] * whole.cell_y
    grid = Grid(whole.crs, west, north, whole.cell_x, whole.cell_y, width, height)
    return Dem(found, grid, cut, tuple(notes), tuple(warnings))


def not_covered(path: str) -> DataError:
    """The error for an elevation model that lies elsewhere."""
    return DataError(
        "The elevation model does not cover the grid",
        expected="an elevation model of the same region",
        got=path,
        remedy="Choose another elevation model, or check the CRS of both",
    )


def fits(cells: int) -> bool:
    """Whether the memory that is free holds what is worked out for so many cells."""
    return cells * BYTES_PER_CELL <= _SHARE_OF_FREE * _free_bytes()


def _check_size(cells: int) -> None:
    if fits(cells):
        return
    most = _SHARE_OF_FREE * _free_bytes() / BYTES_PER_CELL
    raise DataError(
        "The elevation model is too large for the memory of this machine",
        expected=f"at most {most / 1e6:.1f} million cells, such as {int(most**0.5)} x {int(most**0.5)}",
        got=f"{cells / 1e6:.1f} million cells, which take {cells * BYTES_PER_CELL / 1e9:.1f} GB",
        remedy="Clip it to the basin, or average it to larger cells first",
    )


def _free_bytes() -> float:
    """Memory that is free, within the limit of a container where there is one."""
    import psutil

    free = float(psutil.virtual_memory().available)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            free = min(free, float(Path(limit).read_text()) - float(Path(used).read_text()))
        except (OSError, ValueError):
            continue
    return max(free, 0.0)


def _to_metres(heights: np.ndarray, source: Source) -> list[str]:
    unit = source.units.strip()
    if not unit:
        return ["The elevation model does not say its unit; metres are assumed."]
    word = "".join(letter for letter in unit.lower() if letter.isalpha()).removeprefix("international")
    scale = _FEET.get(word) or (convert(unit, "m")[0] if is_known(unit) else 0.0)
    if not scale:
        return [f"The unit '{unit}' of the elevation model is not known; metres are assumed."]
    if scale == 1.0:
        return []
    heights *= np.float32(scale)
    return [f"Elevations were converted from {unit} to m."]


def _take_out_sentinels(heights: np.ndarray) -> list[str]:
    low, high = quantity("elevation").minimum, quantity("elevation").maximum
    told = []
    for value in _SENTINELS:
        if low <= value <= high:
            continue
        marked = heights == np.float32(value)
        count = int(marked.sum())
        if count:
            heights[marked] = np.nan
            cells = "1 cell" if count == 1 else f"{count} cells"
            told.append(
                f"{value:g} in {cells} of the elevation model is taken as missing, though it is not declared so."
            )
    return told


def _check_heights(heights: np.ndarray, path: str) -> None:
    if not np.isfinite(heights).any():
        raise DataError(
            "The elevation model has no value in this region",
            got=path,
            remedy="Choose an elevation model of this region, or check its missing value",
        )
    least, most = float(np.nanmin(heights)), float(np.nanmax(heights))
    low, high = quantity("elevation").minimum, quantity("elevation").maximum
    if least < low or most > high:
        raise DataError(
            "The elevations are not plausible",
            expected=f"{low:g} to {high:g} m",
            got=f"{least:g} to {most:g} in {path}",
            remedy="Convert them to metres (feet x 0.3048), and declare the value that marks missing cells",
        )
    if least == most:
        raise DataError(
            "The elevation model is flat, so water has no direction",
            expected="elevations that differ",
            got=f"{least:g} m everywhere in {path}",
            remedy="Choose the elevation model itself, not a mask or a hillshade",
        )
