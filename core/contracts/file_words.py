"""Words by which files tell what a dimension or a tag is; the engine and the scan in QGIS read them alike."""

from __future__ import annotations

import re

AXIS_STANDARD_NAMES = {
    "T": ("time",),
    "Y": ("latitude", "projection_y_coordinate", "grid_latitude"),
    "X": ("longitude", "projection_x_coordinate", "grid_longitude"),
}
AXIS_NAMES = {
    "T": ("time", "t", "valid_time", "date", "datetime", "times", "xtime", "day", "month", "year", "time_counter"),
    "Y": ("y", "lat", "latitude", "northing", "north", "rlat", "yc", "nav_lat", "lats", "ylat", "xlat", "y_coordinate"),
    "X": ("x", "lon", "longitude", "easting", "east", "rlon", "xc", "nav_lon", "lons", "long", "xlong", "x_coordinate"),
}
AXIS_DEGREES = {"Y": re.compile(r"degrees?_?n(orth)?$"), "X": re.compile(r"degrees?_?e(ast)?$")}
TIME_TAGS = (
    "time", "date", "datetime", "start_datetime", "timestamp", "time_start", "time_coverage_start", "start_time",
    "acquisitiondatetime", "acquisition_datetime", "acquisition_date", "acquisition_time", "date_acquired",
    "sensing_time", "sensing_date", "rangebeginningdate", "datacontentdate", "nominal_time", "valid_time",
    "reference_time", "date_time", "band_date", "forecast_time",
)  # fmt: skip
PARTS_OF_DAY = (4, 8, 24, 48, 72, 96, 144, 288)  # numbers of bands that a file of one day may have
