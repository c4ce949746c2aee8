"""What was found out about one variable of a source, as plain values: the face between looking and choosing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Optional

from ..core.contracts import SourceConfig
from ..core.contracts.dataset_job import PointsConfig
from ..core.contracts.units import is_known
from .array_probe import zarr_name
from .raster_probe import netcdf_uri

FORMS = ("map", "table")


class Guess(str):
    """A sentence that tells what was guessed. ``field`` names the field of the :class:`SourceConfig` that changes it
    (``points.station_column`` for one of its points).
    """

    field: str

    def __new__(cls, name: str, sentence: str) -> Guess:
        """The sentence, with the field that it is about."""
        made = super().__new__(cls, sentence)
        made.field = name
        return made

    def __reduce__(self) -> tuple:
        return Guess, (self.field, str(self))


@dataclass(frozen=True)
class SourceReport:
    """One variable of a source. ``path`` and ``layer`` are those of its :class:`SourceConfig` and tell it from others.

    ``form`` is "map", or "table" for series of ``stations`` gauges, which have no grid. ``dates`` are the ISO texts of
    the starts of the steps in their order, each once, empty for a map without time; ``gaps`` the missing steps between
    them; ``doubled`` the dates that occur more than once; ``irregular`` those that fit no step. ``minimum``,
    ``maximum`` (in ``units``) and ``missing_share`` come from a sample (NaN: nothing valid). ``units_declared`` is
    False where the unit is the catalogue's guess. ``size`` is (columns, rows), ``cell`` the size of a cell in units of
    the CRS (0: not known). ``role`` is a suggestion.

    ``files`` are the files of a source of several; ``places`` gives for each date the number of its file (0 where there
    is one) and its band, and is empty where each file holds one map, or the bands of one file are the dates. Files of
    :attr:`unreadable` are not among them. ``sequences`` are the names that replace ``{sequence}`` in ``path``; the
    dates are then those of the first one.

    ``guesses`` are :class:`Guess`, ``problems`` sentences on what is wrong. ``nodata`` is a value that means missing
    and is not declared. ``assigned_crs`` is one that the project gave to a source without its own; ``date_pattern`` how
    the dates are read from file names; ``complete`` is False while files are still looked through.
    """

    path: str
    layer: str
    variable: str
    quantity: str
    units: str
    dates: tuple[str, ...]
    step_seconds: Optional[float]
    crs: str
    size: tuple[int, int]
    minimum: float
    maximum: float
    missing_share: float
    problems: list[str] = field(default_factory=list)
    units_declared: bool = True
    gaps: tuple[str, ...] = ()
    role: str = "input"
    label: str = ""
    calendar: str = "standard"
    files: tuple[str, ...] = ()
    assigned_crs: str = ""
    form: str = "map"
    stations: int = 0
    guesses: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    irregular: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    date_pattern: str = ""
    complete: bool = True
    cell: tuple[float, float] = (0.0, 0.0)
    places: tuple[tuple[int, int], ...] = ()
    unreadable: tuple[str, ...] = ()
    nodata: Optional[float] = None
    points: PointsConfig = PointsConfig()
    mixed_nodata: bool = False

    def as_source_config(self, role: str = "", **changes: object) -> SourceConfig:
        """The entry of a PrepareJob; ``role`` "input", "target" or "static" (empty: the suggested one); ``changes``
        replace fields.
        """
        values = {
            "variable": self.variable,
            "path": self.path,
            "role": role or self.role,
            "quantity": self.quantity,
            "layer": self.layer,
            "units": self.units if is_known(self.units) else "",
            "crs": self.assigned_crs,
            "nodata": self.nodata,
            "points": self.points.to_dict(),
        }
        return SourceConfig.from_dict({**values, **changes})

    def map_at(self, index: int) -> tuple[str, int]:
        """GDAL's name of the raster that holds the map of date ``index``, and its band there (from 1).

        Only for maps. Where a detail has changed the dates by hand, files and bands are taken in their order.
        """
        number, band = index, 1
        if len(self.places) == max(1, len(self.dates)):
            number, band = self.places[index]
        elif not self.files:
            number, band = 0, index + 1
        path = self.files[min(number, len(self.files) - 1)] if self.files else self.path
        name = gdal_name(path, self.layer)
        if name.startswith("ZARR:"):
            return zarr_name(path, self.layer.partition("[")[0].strip(), band), 1
        return name, band

    def in_sequence(self, name: str) -> str:
        """The path of one sequence."""
        return self.path.replace("{sequence}", name)


def gdal_name(path: str, layer: str) -> str:
    """What GDAL calls the variable ``layer`` of a file: only NetCDF, HDF5 and Zarr have such names."""
    suffix = os.path.splitext(path)[1].lower()
    variable = layer.partition("[")[0].strip()
    if not variable:
        return path
    if suffix == ".zarr" or os.path.isdir(path):
        return f'ZARR:"{path}":/{variable.lstrip("/")}'
    if suffix in NETCDF_SUFFIXES:
        return netcdf_uri(path, f"/{variable}" if "/" in variable else variable)
    return path


NETCDF_SUFFIXES = (".nc", ".nc4", ".nc3", ".cdf", ".netcdf", ".h5", ".hdf5", ".he5")
