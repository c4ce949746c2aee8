"""Series of maps as one multi-band GeoTIFF, float32, a band a date; and single maps. Whole or absent.

Layout: tiled, band-interleaved, zstd level 1 with predictor 3 where the library has it (a third of the time of
deflate, and read by GDAL from 2.3 on), else deflate. A missing value is the nodata value in the file and NaN in
memory.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

import numpy as np

from ..contracts.dates import find_date, format_date
from ..contracts.errors import DataError, RunError
from ..contracts.files import remove_leftovers, whole_file
from ..contracts.grid import Grid

NODATA = -9999.0
MAX_BANDS = 65535
BLOCK_PX = 256
_RESERVE_BYTES = 32 * 2**20  # left free on the disc for events, log and report


@dataclass(frozen=True)
class Series:
    """A series in memory: ``values`` float32 (T, H, W) with NaN for missing, ``dates`` datetime64[s] (T,), grid, unit
    and label.
    """

    values: np.ndarray
    dates: np.ndarray
    grid: Grid
    units: str
    label: str


class SeriesWriter:
    """Writes a series band by band, or part by part of its frame, in bounded memory. Use as a context manager; leaving
    it with cells missing leaves no file.

    ``block_px``: sides of the blocks of the file; parts that end with them are written once and never read again.
    Raises :class:`RunError` where the disc has too little space or cannot be written.
    """

    def __init__(
        self,
        path: Union[str, Path],
        grid: Grid,
        dates: np.ndarray,
        *,
        units: str,
        label: str,
        nodata: float = NODATA,
        block_px: int = BLOCK_PX,
    ) -> None:
        self.path, self.grid, self.nodata, self._block = Path(path), grid, float(nodata), block_px
        self.names = [iso(date) for date in dates]
        self._tags = {"units": units or "-", "label": label}
        self._bands = max(1, len(self.names))
        self._next, self._missing = 1, max(1, len(self.names)) * grid.rows * grid.columns  # band; cells to be written
        self._stack = contextlib.ExitStack()
        self._file: Any = None
        _check_bands(self.path, self._bands)

    def __enter__(self) -> SeriesWriter:
        import rasterio
        from rasterio.errors import CRSError, RasterioError

        remove_leftovers(self.path)
        check_space(self.path, 4 * self._bands * self.grid.rows * self.grid.columns)
        try:
            with contextlib.ExitStack() as stack:
                temporary = stack.enter_context(whole_file(self.path))
                self._file = rasterio.open(temporary, "w", **_profile(self.grid, self._bands, self.nodata, self._block))
                self._file.update_tags(**self._tags)
                for band in range(1, self._bands + 1):
                    self._describe(band)
                self._file.units = [self._tags["units"]] * self._bands
                self._file.scales = [1.0] * self._bands
                self._stack = stack.pop_all()
        except (OSError, RasterioError, CRSError) as error:
            raise self._unwritable(error) from error
        return self

    def write(self, values: np.ndarray) -> None:
        """Write the next map (H, W), or maps (n, H, W). NaN and infinity become nodata; no value is ever equal to
        nodata.
        """
        maps = np.asarray(values, dtype=np.float32).reshape(-1, *self.grid.shape)
        self.write_part(maps, self._next - 1, slice(0, self.grid.rows), slice(0, self.grid.columns))
        self._next += len(maps)

    def write_part(self, values: np.ndarray, first: int, rows: slice, columns: slice) -> None:
        """Write maps (n, h, w) of a part of the frame for the dates from number ``first`` on; each cell once."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        if first + len(values) > self._bands:
            raise ValueError(f"more than {self._bands} maps for {self.path}")
        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        for band, part in enumerate(np.asarray(values, dtype=np.float32), start=first + 1):
            try:
                self._file.write(_encoded(part, self.nodata), band, window=window)
            except (OSError, RasterioError) as error:
                raise self._unwritable(error) from error
            self._missing -= part.size

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        from rasterio.errors import RasterioError

        try:
            self._file.close()
            if error is None and self._missing:
                raise ValueError(f"{self._missing} cells of {self._bands} maps were not written to {self.path}")
        except (OSError, RasterioError, ValueError) as problem:
            self._stack.__exit__(type(problem), problem, problem.__traceback__)
            if error is not None:
                return
            if isinstance(problem, ValueError):
                raise
            raise self._unwritable(problem) from problem
        self._stack.__exit__(kind, error, trace)

    def _describe(self, band: int) -> None:
        if self.names:
            self._file.set_band_description(band, self.names[band - 1])
            self._file.update_tags(band, TIME=self.names[band - 1])

    def _unwritable(self, error: BaseException) -> RunError:
        return RunError(
            f"The raster {self.path.name} could not be written",
            got=f"{error}; {_free_bytes(self.path) / 2**20:,.0f} MB free",
            remedy="Free some space, or choose another folder for the runs",
        )


def write_series(
    path: Union[str, Path],
    maps: Iterable[np.ndarray],
    grid: Grid,
    dates: np.ndarray,
    *,
    units: str,
    label: str,
    nodata: float = NODATA,
) -> None:
    """Write maps (H, W) or blocks (n, H, W), one a date of ``dates`` (datetime64), NaN for missing, in ``units``."""
    with SeriesWriter(path, grid, dates, units=units, label=label, nodata=nodata) as writer:
        for values in maps:
            writer.write(values)


def write_map(
    path: Union[str, Path], values: np.ndarray, grid: Grid, *, units: str, label: str, nodata: float = NODATA
) -> None:
    """Write a single map (H, W) without a date; its band is described by ``label``."""
    writer = SeriesWriter(path, grid, np.zeros(0, dtype="datetime64[s]"), units=units, label=label, nodata=nodata)
    writer.names = []
    with writer:
        writer.write(values)


def read_series(path: Union[str, Path]) -> Series:
    """Read a multi-band raster with a date per band (band tag TIME, else its description).

    Raises :class:`DataError` where the file is missing, no raster, undated, without a CRS, or not north-up.
    """
    import rasterio
    from rasterio.errors import RasterioError

    if not Path(path).is_file():
        raise DataError(f"The raster {path} does not exist", remedy="Choose a multi-band raster with a date per band")
    try:
        with rasterio.open(path) as source:
            dates = _dates_of(source, path)
            values = source.read(masked=True, out_dtype="float32").filled(np.nan)
            grid = _grid_of(source, path)
            tags, units = source.tags(), source.units[0] or ""
    except RasterioError as error:
        raise DataError(
            f"The raster {path} cannot be read", got=str(error), remedy="Choose a GeoTIFF with a date per band"
        ) from error
    values[~np.isfinite(values)] = np.nan
    return Series(values, dates, grid, tags.get("units", units), tags.get("label", ""))


def same_grid(a: Grid, b: Grid) -> bool:
    """Whether two grids share shape, CRS and place, to a thousandth of a cell."""
    from rasterio.crs import CRS

    if a.shape != b.shape:
        return False
    near = all(
        abs(p - q) <= 1e-3 * size
        for p, q, size in (
            (a.west, b.west, a.cell_x),
            (a.north, b.north, a.cell_y),
            (a.cell_x * a.columns, b.cell_x * b.columns, a.cell_x),
        )
    )
    return near and (a.crs == b.crs or CRS.from_user_input(a.crs) == CRS.from_user_input(b.crs))


def iso(date: np.datetime64) -> str:
    """ISO text of a step's start; the day alone at midnight."""
    return format_date(np.datetime64(date, "s").item())


def check_space(path: Union[str, Path], size: int) -> None:
    """Raise :class:`RunError` where the disc of ``path`` has no room for ``size`` bytes."""
    free = _free_bytes(Path(path))
    if size + _RESERVE_BYTES > free:
        raise RunError(
            f"There is not enough free space for {Path(path).name}",
            expected=f"{(size + _RESERVE_BYTES) / 2**20:,.0f} MB at most",
            got=f"{free / 2**20:,.0f} MB free",
            remedy="Free some space, choose another folder for the runs, or a shorter period",
        )


def _free_bytes(path: Path) -> int:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return shutil.disk_usage(folder).free


def _check_bands(path: Path, bands: int) -> None:
    if bands > MAX_BANDS:
        raise RunError(
            f"{path.name} would have too many dates",
            expected=f"at most {MAX_BANDS} bands, the limit of GeoTIFF",
            got=str(bands),
            remedy="Choose a shorter period",
        )


def block_for(tile_px: int) -> int:
    """Sides of the blocks of a file that is written in tiles of ``tile_px`` cells, so that no block is written twice;
    0 for whole frames.
    """
    fitting = [side for side in range(16, BLOCK_PX + 1, 16) if tile_px % side == 0]
    return fitting[-1] if fitting else BLOCK_PX


def _profile(grid: Grid, bands: int, nodata: float, block_px: int) -> dict[str, Any]:
    from rasterio.transform import Affine

    tile_x, tile_y = (min(block_px, -(-size // 16) * 16) for size in (grid.columns, grid.rows))
    compression = {"compress": "zstd", "zstd_level": 1} if _has_zstd() else {"compress": "deflate", "zlevel": 6}
    return {
        "driver": "GTiff",
        "dtype": "float32",
        "count": bands,
        "width": grid.columns,
        "height": grid.rows,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
        "nodata": nodata,
        "tiled": True,
        "blockxsize": tile_x,
        "blockysize": tile_y,
        "interleave": "band",
        "predictor": 3,
        "BIGTIFF": "IF_SAFER",
        **compression,
    }


@functools.lru_cache(maxsize=1)
def _has_zstd() -> bool:
    """Whether the GDAL of rasterio can write zstd: proved by a tiny file in memory."""
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    try:
        with (
            MemoryFile() as memory,
            memory.open(
                driver="GTiff",
                width=16,
                height=16,
                count=1,
                dtype="float32",
                compress="zstd",
                transform=Affine(2, 0, 0, 0, -2, 0),
            ) as file,
        ):
            file.write(np.zeros((1, 16, 16), dtype=np.float32))
    except RasterioError:
        return False
    return True


def _encoded(band: np.ndarray, nodata: float) -> np.ndarray:
    """NaN as nodata; a true value that equals nodata moves by a millionth, so that no reader takes it for missing."""
    fill = np.float32(nodata)
    band = np.where(band == fill, fill + max(abs(fill), np.float32(1.0)) * np.float32(1e-6), band)
    return np.where(np.isfinite(band), band, fill)


def _dates_of(source: Any, path: Union[str, Path]) -> np.ndarray:
    texts = [source.tags(i + 1).get("TIME") or source.descriptions[i] or "" for i in range(source.count)]
    dates = [find_date(text) for text in texts]
    undated = [i + 1 for i, date in enumerate(dates) if date is None]
    if undated:
        raise DataError(
            f"The raster {path} has bands without a date",
            expected="an ISO date as the description of each band",
            got=f"band {undated[0]} is described as {texts[undated[0] - 1]!r}",
            remedy="Use a raster that Freshet wrote, or describe its bands by dates",
        )
    return np.array(dates, dtype="datetime64[s]")


def _grid_of(source: Any, path: Union[str, Path]) -> Grid:
    a, b, c, d, e, f = tuple(source.transform)[:6]
    if source.crs is None:
        raise DataError(f"The raster {path} has no coordinate reference system", remedy="Assign its CRS first")
    if b or d or a <= 0 or e >= 0:
        raise DataError(f"The raster {path} is not north-up", remedy="Warp it to a north-up grid first")
    return Grid(source.crs.to_wkt(), c, f, a, -e, source.width, source.height)
