"""The job that makes a dataset: its sources, its grid, its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .config import Config, setting
from .dates import parse_date
from .errors import ConfigError
from .variables import AGGREGATIONS, RESAMPLINGS, quantity_names

ROLES = ("input", "target", "static")
DUPLICATES = ("refuse", "first", "last", "mean")
UNREADABLE = ("refuse", "gap")
FILLS = ("none", "linear", "space", "climatology")
GRIDDINGS = ("", "idw", "kriging", "everywhere", "cell", "gauges")
EDGES = ("", "open", "closed")
TERRAIN_MAPS = (
    "elevation",
    "slope",
    "aspect_sin",
    "aspect_cos",
    "flow_direction",
    "upstream_area",
    "height_above_drainage",
    "topographic_wetness",
    "distance_to_outlet",
)


@dataclass(frozen=True)
class PointsConfig(Config):
    """Where the values of a table or point layer lie, and how they come onto the grid. Empty columns are found by
    their names.
    """

    gridding: str = setting(
        "",
        label="Gridding",
        help="Inverse distance, kriging, one value everywhere, in the cell of the gauge alone ('cell', missing "
        "elsewhere), or a series at the gauges; empty: a target stays at its gauges, an input with places takes "
        "inverse distance, one without is the same everywhere.",
        choices=GRIDDINGS,
    )
    stations: str = setting(
        "", label="Stations", help="Table or point layer with the place of each station, where the values lack it."
    )
    station_column: str = setting("", label="Station column", help="Column that names the station.")
    date_column: str = setting("", label="Date column", help="Column that holds the dates.")
    x_column: str = setting("", label="x column", help="Column of easting or longitude.")
    y_column: str = setting("", label="y column", help="Column of northing or latitude.")
    place: Optional[tuple[float, float]] = setting(
        None, label="Place", help="x and y of a single gauge, in the CRS of the source."
    )
    variance: bool = setting(
        False, label="Kriging variance", help="Keep the kriging variance as a further variable.", advanced=True
    )


@dataclass(frozen=True)
class SourceConfig(Config):
    """One variable of the dataset and the files that it comes from."""

    variable: str = setting(label="Variable", help="Short name in the dataset, such as precipitation or sm_l1.")
    path: str = setting(
        label="Source",
        help="A raster, a NetCDF, Zarr or GRIB file, a folder of dated rasters, a PCRaster stack, a table or a point "
        "layer. {sequence} stands for the name of each sequence.",
    )
    role: str = setting("input", label="Role", help="Input, target, or a static map.", choices=ROLES)
    quantity: str = setting(
        "other",
        label="Quantity",
        help="What the variable is; sets unit, range, aggregation and colours.",
        choices=quantity_names(),
    )
    layer: str = setting(
        "",
        label="Variable in the file",
        help="Name of the NetCDF variable, number of the band, or column of the table; empty where there is only one.",
    )
    units: str = setting("", label="Unit", help="Unit of the source; empty takes the file's own, else the catalogue's.")
    date_pattern: str = setting(
        "",
        label="Date pattern",
        help="Pattern such as %Y%m%d for the date in each file name, or a regular expression with groups "
        "(?P<year>...), month, day, hour, minute; empty finds it.",
    )
    date_table: str = setting(
        "", label="Table of dates", help="CSV with a file name (or band number) and its date in each line."
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
    duplicates: str = setting(
        "refuse", label="Doubled dates", help="What to do where a date occurs twice.", choices=DUPLICATES
    )
    unreadable: str = setting(
        "refuse",
        label="Unreadable maps",
        help="Refuse a source with a file that cannot be read, or keep its date as a gap.",
        choices=UNREADABLE,
    )
    fill: str = setting(
        "none",
        label="Fill gaps",
        help="Keep gaps as gaps, or fill them: linear in time, by inverse distance in space, or with the mean of that "
        "time of the year. Filled values are marked and never count as observed.",
        choices=FILLS,
    )
    fill_limit: int = setting(
        5,
        label="Longest gap",
        help="Longest gap that is filled: steps for linear, cells for space.",
        minimum=1,
        maximum=100000,
    )
    area_km2: Optional[float] = setting(
        None,
        label="Basin area",
        help="Area that a discharge drains, to convert between m3/s and mm/d.",
        unit="km2",
        minimum=1e-6,
    )
    points: PointsConfig = setting(PointsConfig, label="Points", help="For tables and point layers.")

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
        """Either like, or all three of the others, or nothing (basin averages on one cell); a resolution may also
        coarsen or refine ``like``.
        """
        given = (self.crs, self.resolution, self.extent)
        if not self.like and any(given) and not all(given):
            raise ConfigError(
                "The grid is not defined",
                expected="'like' (a variable or a raster), or all of 'crs', 'resolution' and 'extent'",
                remedy="Choose the layer whose grid the dataset shall take",
            )


@dataclass(frozen=True)
class TerrainConfig(Config):
    """Predictors from an elevation model, and the basin of an outlet."""

    dem: str = setting("", label="Elevation model", help="A raster of elevations in m; empty: no terrain predictors.")
    maps: tuple[str, ...] = setting(
        (), label="Terrain maps", help="Static maps to derive: " + ", ".join(TERRAIN_MAPS) + "."
    )
    upstream_of: tuple[str, ...] = setting(
        (),
        label="Upstream mean of",
        help="Inputs, such as precipitation, whose mean over the area upstream of each cell becomes a further input.",
    )
    outlet: Optional[tuple[float, float]] = setting(
        None, label="Outlet", help="x and y in the CRS of the grid; the basin above it becomes the mask."
    )
    stream_km2: float = setting(
        10.0, label="Drainage area", help="A cell that drains so much counts as a river.", unit="km2", minimum=1e-6
    )
    edge: str = setting(
        "",
        label="Edge of the elevation model",
        help="Open: water may leave anywhere at its edge. Closed: it is clipped to one basin, and water leaves at one "
        "place only. Empty: closed where it looks clipped, which is told.",
        choices=EDGES,
        advanced=True,
    )

    def check(self) -> None:
        """Maps are known ones, and nothing is asked for without an elevation model."""
        unknown = [name for name in self.maps if name not in TERRAIN_MAPS]
        if unknown:
            raise ConfigError(
                f"There is no terrain map '{unknown[0]}'",
                expected=", ".join(TERRAIN_MAPS),
                remedy="Choose among these",
            )
        if (self.maps or self.upstream_of or self.outlet) and not self.dem:
            raise ConfigError("Terrain maps need an elevation model", remedy="Choose the elevation model")


@dataclass(frozen=True)
class TerrainJob(Config):
    """Derive maps from an elevation model and write them as GeoTIFFs, with the basin of an outlet as polygon."""

    output: str = setting(label="Folder", help="Folder for the maps (one GeoTIFF each) and basin.geojson.")
    terrain: TerrainConfig = setting(TerrainConfig, label="Terrain", help="What to derive.")

    def check(self) -> None:
        """Something is asked for."""
        if not self.terrain.dem or not (self.terrain.maps or self.terrain.outlet):
            raise ConfigError(
                "Nothing is asked of the elevation model",
                expected="an elevation model, and maps or an outlet",
                remedy="Choose at least one terrain map, or an outlet",
            )


@dataclass(frozen=True)
class PrepareJob(Config):
    """Lay sources on one grid and one clock and write them as one dataset."""

    name: str = setting(label="Name", help="Name of the dataset, shown on every page.")
    sources: tuple[SourceConfig, ...] = setting(label="Variables", help="The variables and where they come from.")
    output: str = setting(label="Dataset", help="The NetCDF file to write (.nc).")
    grid: GridConfig = setting(
        GridConfig, label="Grid", help="The common grid; empty where all sources are tables: one cell for the basin."
    )
    step_hours: Optional[float] = setting(
        None,
        label="Step",
        help="Step of the dataset's clock; empty takes the coarsest of the sources. 730.485 h is a calendar month, "
        "8765.82 h a calendar year.",
        unit="h",
        minimum=1 / 60,
    )
    start: str = setting("", label="From", help="First date; empty takes the first date that all sources share.")
    end: str = setting("", label="To", help="Last date; empty takes the last date that all sources share.")
    mask: str = setting(
        "", label="Mask", help="A raster (cells above 0 are inside) or polygon file; empty uses the target's own cells."
    )
    sequences: tuple[str, ...] = setting(
        (),
        label="Sequences",
        help="Names of events or simulations that replace {sequence} in the sources; '*' finds them. No window bridges "
        "two of them.",
    )
    terrain: TerrainConfig = setting(TerrainConfig, label="Terrain", help="Predictors from an elevation model.")
    measure_error: bool = setting(
        True,
        label="Measure interpolation",
        help="Measure and report the error of each interpolation: gauges left out one by one, maps coarsened and "
        "restored.",
        advanced=True,
    )
    checksums: bool = setting(
        True, label="Checksums", help="Keep the SHA-256 of every source file in the dataset.", advanced=True
    )
    threads: int = setting(
        2, label="Threads", help="Threads that read, warp and aggregate.", minimum=1, maximum=1024, advanced=True
    )
    memory_mb: int = setting(
        1024,
        label="Memory",
        help="Memory that the maps in work may take at most.",
        unit="MB",
        minimum=64,
        maximum=2**20,
        advanced=True,
    )
    cluster: str = setting(
        "",
        label="Cluster",
        help="Address of a dask scheduler, such as tcp://host:8786; empty uses threads of this machine.",
        advanced=True,
    )

    def check(self) -> None:
        """Names are unique, something varies in time, dates are dates."""
        names = [source.variable for source in self.sources]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(
                f"Two sources are both called '{doubled[0]}'", remedy="Give each variable a name of its own"
            )
        self._check_sequences()
        if not [source for source in self.sources if source.role != "static"]:
            raise ConfigError("No source varies in time", remedy="Add at least one input or target with dates")
        if not self.output.endswith(".nc"):
            raise ConfigError(
                "The dataset has to be a NetCDF file", expected="a name ending in .nc", got=repr(self.output)
            )
        check_dates(self.start, self.end, "The dataset's period")
        for name in self.terrain.upstream_of:
            if name not in names:
                raise ConfigError(
                    f"The upstream mean of '{name}' is asked for, which is not among the variables",
                    expected=", ".join(names),
                    remedy="Choose one of these variables",
                )
        if self.grid.like and "/" not in self.grid.like and "\\" not in self.grid.like and "." not in self.grid.like:
            if self.grid.like not in names:
                raise ConfigError(
                    f"The grid shall be like '{self.grid.like}', which is not among the variables",
                    expected=", ".join(names),
                    remedy="Choose one of these variables or the path of a raster",
                )

    def _check_sequences(self) -> None:
        marked = [source.variable for source in self.sources if "{sequence}" in source.path]
        if bool(marked) != bool(self.sequences):
            raise ConfigError(
                "Sequences are named, but no source holds {sequence}"
                if self.sequences
                else f"'{marked[0]}' holds {{sequence}}, but no sequences are named",
                expected="{sequence} in the path of a source, and the names that replace it",
                remedy="Name the sequences ('*' finds them), or give plain paths",
            )


def check_dates(start: str, end: str, what: str) -> None:
    """Both are dates, in order; empty ones are open."""
    first = parse_date(start, f"{what}: the start") if start else None
    last = parse_date(end, f"{what}: the end") if end else None
    if first and last and last < first:
        raise ConfigError(f"{what} ends before it starts", got=f"{start} to {end}", remedy="Swap or correct the dates")
