"""The algorithm that makes a dataset from layers, files and folders."""

from __future__ import annotations

import os
from typing import Any, Optional

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingParameterCrs,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMatrix,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ...core.contracts import ConfigError, DataError, GridConfig, PrepareJob, SourceConfig
from ..inspection import inspect_source
from ..mask_file import with_readable_mask
from ..raster_probe import split_uri
from .base import JobAlgorithm, existing_file, schema_text
from .parameters import absolute, entries, entry, finish, read_json

_COLUMNS = ("variable", "path", "role", "quantity", "layer", "units")
_LAYERS = (("INPUT_LAYERS", "input", "Input layers"), ("STATIC_LAYERS", "static", "Static layers"))


class PrepareAlgorithm(JobAlgorithm):
    """Lay sources on one grid and one clock."""

    verb, title, icon_name = "prepare", "Prepare a dataset", "data"
    summary = (
        "Lays layers, files and folders of dated rasters on one grid and one clock and writes one dataset (NetCDF). "
        "Give the sources as layers, as rows of the table, as JSON, or in several of these ways."
    )
    outputs = ("DATASET",)
    entries = (
        entry(PrepareJob, "name", default="Dataset"),
        *entries(PrepareJob, ("step_hours", "start", "end")),
        entry(GridConfig, "like", "GRID_LIKE"),
        entry(GridConfig, "resolution"),
    )

    def add_more(self) -> None:
        """Sources, grid and destination."""
        raster = (
            QgsProcessing.SourceType.TypeRaster if hasattr(QgsProcessing, "SourceType") else QgsProcessing.TypeRaster
        )
        for name, role, label in _LAYERS:
            made = QgsProcessingParameterMultipleLayers(name, label, raster, None, True)
            self.addParameter(
                finish(
                    made, f"Raster layers of role '{role}'; variable, quantity and unit are read from them, or guessed."
                )
            )
        target = QgsProcessingParameterRasterLayer("TARGET_LAYER", "Target layer", None, True)
        self.addParameter(
            finish(target, "The series that shall be predicted later; multi-band with dates, or a NetCDF variable.")
        )
        table = QgsProcessingParameterMatrix("TABLE", "Table of sources", 0, False, list(_COLUMNS), None, True)
        self.addParameter(
            finish(
                table,
                "One row a variable: its name, file or folder, role (input, target, static), quantity, variable, unit. "
                "What is left empty is read from the source.",
            )
        )
        text = QgsProcessingParameterString("SOURCES", "Sources (JSON)", None, True, True)
        self.addParameter(
            finish(text, f"A list of sources as JSON, or a file that holds it. Keys: {schema_text(SourceConfig)}.")
        )
        crs = QgsProcessingParameterCrs("CRS", "CRS", None, True)
        self.addParameter(
            finish(crs, "Coordinate reference system of the dataset; empty takes that of the grid's source.")
        )
        extent = QgsProcessingParameterExtent("EXTENT", "Extent", None, True)
        self.addParameter(finish(extent, "Extent of the dataset; empty takes that of the grid's source."))
        mask = QgsProcessingParameterFile("MASK", "Mask", QgsProcessingParameterFile.Behavior.File, "", None, True)
        self.addParameter(finish(mask, entry(PrepareJob, "mask").rule.help))
        output = QgsProcessingParameterFileDestination("DATASET", "Dataset", "Dataset (*.nc)")
        self.addParameter(finish(output, entry(PrepareJob, "output").rule.help))

    def made_ready(self, job: PrepareJob) -> PrepareJob:
        """Polygons of any kind become GeoJSON beside the dataset."""
        return with_readable_mask(job)

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> PrepareJob:
        """The sources, looked into, and the grid."""
        fields = self.read(values, context)
        sources = [*self._of_layers(values, context), *self._of_table(values, context), *self._of_json(values, context)]
        if not sources:
            raise ConfigError("No source is given", remedy="Choose layers, fill the table, or give the sources as JSON")
        grid = self._grid(values, context, fields.pop("like"), fields.pop("resolution"), sources)
        return PrepareJob(
            sources=tuple(sources),
            output=absolute(self.parameterAsFileOutput(values, "DATASET", context)),
            grid=grid,
            mask=existing_file(absolute(self.parameterAsString(values, "MASK", context)), "mask"),
            **fields,
        )

    def _of_layers(self, values: dict[str, Any], context: QgsProcessingContext) -> list[SourceConfig]:
        found = []
        for name, role, label in _LAYERS:
            layers = self.parameterAsLayerList(values, name, context) if values.get(name) else []
            if values.get(name) and not layers:
                raise DataError(
                    f"{label}: nothing can be opened", got=str(values[name]), remedy="Choose raster layers or files"
                )
            found += [(layer, role) for layer in layers]
        if values.get("TARGET_LAYER"):
            layer = self.parameterAsRasterLayer(values, "TARGET_LAYER", context)
            if layer is None:
                raise DataError(
                    "The target layer cannot be opened", got=str(values["TARGET_LAYER"]), remedy="Choose another layer"
                )
            found.append((layer, "target"))
        return [inspect_source(layer)[0].as_source_config(role) for layer, role in found]

    def _of_table(self, values: dict[str, Any], context: QgsProcessingContext) -> list[SourceConfig]:
        cells = self.parameterAsMatrix(values, "TABLE", context) if values.get("TABLE") else []
        width = len(_COLUMNS)
        if len(cells) % width:
            raise ConfigError(
                "The table of sources is not complete",
                expected=f"{width} cells a row: {', '.join(_COLUMNS)}",
                got=f"{len(cells)} cells",
                remedy="Fill every cell of a row, with an empty text where nothing is known",
            )
        rows = [dict(zip(_COLUMNS, map(str, cells[i : i + width]))) for i in range(0, len(cells), width)]
        return [complete_source(row) for row in rows if row["path"].strip()]

    def _of_json(self, values: dict[str, Any], context: QgsProcessingContext) -> list[SourceConfig]:
        text = self.parameterAsString(values, "SOURCES", context).strip()
        rows = read_json(text, "The list of sources")
        if not rows:
            return []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError(
                "The sources are not a list",
                expected='[{"variable": ..., "path": ...}, ...]',
                remedy="Correct the JSON",
            )
        base = os.path.dirname(os.path.abspath(text)) if os.path.isfile(text) else os.getcwd()
        return [complete_source(row, base) for row in rows]

    def _grid(
        self,
        values: dict[str, Any],
        context: QgsProcessingContext,
        like: str,
        resolution: Optional[float],
        sources: list[SourceConfig],
    ) -> GridConfig:
        crs = self.parameterAsCrs(values, "CRS", context) if values.get("CRS") else None
        extent = None
        if values.get("EXTENT"):
            box = (
                self.parameterAsExtent(values, "EXTENT", context, crs)
                if crs is not None
                else self.parameterAsExtent(values, "EXTENT", context)
            )
            extent = (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum())
        code = (crs.authid() or crs.toWkt()) if crs is not None else ""
        if not like and not (code and resolution and extent):
            dynamic = [item for item in sources if item.role != "static"] or sources
            like = next((item.variable for item in dynamic if item.role == "target"), dynamic[0].variable)
        if like and os.path.exists(like):
            like = absolute(like)
        return GridConfig(like=like, crs=code, resolution=resolution, extent=extent)


def complete_source(row: dict[str, Any], base: str = "") -> SourceConfig:
    """A source whose missing entries are read from its file. Raises FreshetError for a source that cannot be opened."""
    given = {key: value for key, value in row.items() if value not in ("", None)}
    if "path" not in given:
        raise ConfigError("A source has no path", got=str(row), remedy="Add the key 'path'")
    if not split_uri(str(given["path"]))[1]:  # GDAL's names, as NETCDF:"file.nc":rain, stay as they are
        given["path"] = absolute(os.path.join(base, str(given["path"])))
        _require(given["path"], str(given.get("variable") or os.path.basename(given["path"])))
    reports = inspect_source(given["path"])
    if given.get("layer"):
        reports = [item for item in reports if item.layer == given["layer"]] or reports
    if len(reports) > 1:
        wanted = [
            item for item in reports if item.variable == given.get("variable") or item.layer == given.get("layer")
        ]
        if len(wanted) != 1:
            raise DataError(
                f"The source of '{given.get('variable', '')}' holds several variables",
                expected=", ".join(item.layer for item in reports),
                got=given["path"],
                remedy="Name one of them under 'layer'",
            )
        reports = wanted
    changes = {key: value for key, value in given.items() if key != "role"}
    return reports[0].as_source_config(str(given.get("role", "")), **changes)


def _require(path: str, variable: str) -> None:
    """Raise :class:`DataError` where the file or folder of ``variable`` is gone; the engine says the same."""
    if not os.path.exists(path):
        raise DataError(
            f"'{variable}': there is no such file or folder",
            expected="a raster, a NetCDF file, or a folder of dated rasters",
            got=path,
            remedy="Choose the source again; it may have been moved or renamed",
        )
