"""Basin polygons in a form that the engine reads: it knows GeoJSON and rasters, QGIS knows all the others."""

from __future__ import annotations

from pathlib import Path

from osgeo import gdal

from ..core.contracts import DataError, PrepareJob
from ..core.contracts.files import whole_file
from .gdal_errors import quiet_gdal

POLYGON_FILES = (".gpkg", ".shp", ".kml", ".gml", ".fgb", ".sqlite", ".tab")


def with_readable_mask(job: PrepareJob) -> PrepareJob:
    """The job with its mask as GeoJSON beside the dataset where it is another kind of polygon file, else the same.

    The mask may name a layer as QGIS does (``basins.gpkg|layername=moselle``). DataError where it cannot be read.
    """
    path, _, details = job.mask.partition("|")
    if Path(path).suffix.lower() not in POLYGON_FILES:
        return job.replace(mask=path) if details else job
    layers = [part.partition("=")[2] for part in details.split("|") if part.startswith("layername=")]
    target = Path(job.output).with_name(f"{Path(job.output).stem}_mask.geojson")
    with whole_file(target) as temporary, quiet_gdal():
        # Without RFC7946 the coordinates stay in the CRS of the source, and the file names it.
        options = gdal.VectorTranslateOptions(
            format="GeoJSON",
            layers=layers or None,
            layerCreationOptions=["RFC7946=NO"],
            geometryType="PROMOTE_TO_MULTI",
        )
        try:
            written = gdal.VectorTranslate(str(temporary), path, options=options)
            reason = gdal.GetLastErrorMsg()
        except RuntimeError as error:  # where GDAL has been told to raise
            written, reason = None, str(error)
        if written is None:
            raise DataError(
                "The polygons of the mask cannot be read",
                got=f"{job.mask} ({reason})",
                remedy="Choose another file or layer",
            )
        del written
    return job.replace(mask=str(target))
