"""The job that makes a dataset: its sources, its grid, its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .config import Config, setting
from .dates import parse_date
from .errors import ConfigError
from .variables import AGGREGATIONS, RESAMPLINGS, quantity_names

ROLES = ("input", "target", "static")


@dataclass(frozen=True)
class SourceConfig(Config):
    """One variable of the dataset and the files that it comes from."""

    variable: str = setting(label="Variable", help="Short name in the dataset, such as precipitation or sm_l1.")
    path: str = setting(label="Source", help="A raster, a NetCDF file, or a folder of dated rasters.")
    role: str = setting("input", label="Role", help="Input, target, or a static map.", choices=ROLES)
    quantity: str = setting(
        "other",
        label="Quantity",
        help="What the variable is; sets unit, range, aggregation and colours.",
        choices=quantity_names(),
    )
    layer: str = setting(
        "", label="Variable in the file", help="Name of the NetCDF variable; empty where the file has only one."
    )
    units: str = setting("", label="Unit", help="Unit of the source; empty takes the file's own, else the catalogue's.")
    date_pattern: str = setting(
        "", label="Date pattern", help="strptime pattern such as %Y%m%d for the date in each file name; empty finds it."
    )
    start: str = setting("", label="First date", help="Date of the first map, for sources without dates of their own.")
    step_hours: Optional[float] = setting(
        None, label="Step", help="Step of a source without dates of its own.", unit="h", minimum=1 / 60
    )
    crs: str = setting(
        "", label="CRS", help="Coordinate reference system of a source that has none of its own, such as EPSG:3035."
    )
    nodata: Optional[float] = setting(
        None, label="Missing value", help="A value that means missing, beside the declared one."
    )
    resampling: str = setting(
        "",
        label="Resampling",
        help="How cells come onto the common grid; empty takes the catalogue's way.",
        choices=("", *RESAMPLINGS),
    )
    aggregation: str = setting(
        "",
        label="Aggregation",
        help="How finer steps become one step; empty takes the catalogue's way.",
        choices=("", *AGGREGATIONS),
    )

    def check(self) -> None:
        """Names must be usable as NetCDF variables."""
        if not self.variable.isidentifier():
            raise ConfigError(
                f"'{self.variable}' cannot be the name of a variable",
                expected="letters, digits and underscores, not starting with a digit",
                remedy="Choose a name such as precipitation or sm_l1",
            )
        if not self.path:
            raise ConfigError(f"'{self.variable}' has no source", remedy="Choose a file, folder or layer for it")


@dataclass(frozen=True)
class GridConfig(Config):
    """The common grid: like one of the sources, or CRS, resolution and extent."""

    like: str = setting(
        "", label="Like", help="Name of the variable whose grid the dataset takes, or path of a raster."
    )
    crs: str = setting("", label="CRS", help="Coordinate reference system, such as EPSG:3035.")
    resolution: Optional[float] = setting(None, label="Cell size", help="In units of the CRS.", minimum=1e-9)
    extent: Optional[tuple[float, float, float, float]] = setting(
        None, label="Extent", help="West, south, east, north in units of the CRS."
    )

    def check(self) -> None:
        """Either like, or all three of the others; a resolution may also coarsen or refine ``like``."""
        if not self.like and not (self.crs and self.resolution and self.extent):
            raise ConfigError(
                "The grid is not defined",
                expected="'like' (a variable or a raster), or all of 'crs', 'resolution' and 'extent'",
                remedy="Choose the layer whose grid the dataset shall take",
            )


@dataclass(frozen=True)
class PrepareJob(Config):
    """Lay sources on one grid and one clock and write them as one dataset."""

    name: str = setting(label="Name", help="Name of the dataset, shown on every page.")
    sources: tuple[SourceConfig, ...] = setting(label="Variables", help="The variables and where they come from.")
    output: str = setting(label="Dataset", help="The NetCDF file to write (.nc).")
    grid: GridConfig = setting(label="Grid", help="The common grid.")
    step_hours: Optional[float] = setting(
        None,
        label="Step",
        help="Step of the dataset's clock; empty takes the coarsest of the sources.",
        unit="h",
        minimum=1 / 60,
    )
    start: str = setting("", label="From", help="First date; empty takes the first date that all sources share.")
    end: str = setting("", label="To", help="Last date; empty takes the last date that all sources share.")
    mask: str = setting(
        "", label="Mask", help="A raster (cells above 0 are inside) or polygon file; empty uses the target's own cells."
    )

    def check(self) -> None:
        """Names are unique, something varies in time, dates are dates."""
        names = [source.variable for source in self.sources]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(
                f"Two sources are both called '{doubled[0]}'", remedy="Give each variable a name of its own"
            )
        if not [source for source in self.sources if source.role != "static"]:
            raise ConfigError("No source varies in time", remedy="Add at least one input or target with dates")
        if not self.output.endswith(".nc"):
            raise ConfigError(
                "The dataset has to be a NetCDF file", expected="a name ending in .nc", got=repr(self.output)
            )
        check_dates(self.start, self.end, "The dataset's period")
        if self.grid.like and "/" not in self.grid.like and "\\" not in self.grid.like and "." not in self.grid.like:
            if self.grid.like not in names:
                raise ConfigError(
                    f"The grid shall be like '{self.grid.like}', which is not among the variables",
                    expected=", ".join(names),
                    remedy="Choose one of these variables or the path of a raster",
                )


def check_dates(start: str, end: str, what: str) -> None:
    """Both are dates, in order; empty ones are open."""
    first = parse_date(start, f"{what}: the start") if start else None
    last = parse_date(end, f"{what}: the end") if end else None
    if first and last and last < first:
        raise ConfigError(f"{what} ends before it starts", got=f"{start} to {end}", remedy="Swap or correct the dates")
