"""The algorithm that makes a dataset from layers, files and folders."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Collection
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingParameterCrs,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMatrix,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ...core.contracts import ConfigError, DataError, GridConfig, PrepareJob, SourceConfig
from ...core.contracts.dataset_job import TERRAIN_MAPS, TerrainConfig
from ..inspection import SourceReport, inspect_source
from ..mask_file import with_readable_mask
from ..raster_probe import split_uri
from .base import JobAlgorithm, existing_file, schema_text
from .parameters import absolute, entries, entry, finish, help_of, many_choices, read_json

_COLUMNS = ("variable", "path", "role", "quantity", "layer", "units")
# Parameters that hold for every source that does not say otherwise itself, and the fields of the elevation model.
_FOR_ALL = ("fill", "fill_limit", "duplicates", "unreadable")
_TERRAIN = ("upstream_of", "stream_km2")
_SEQUENCE = "{sequence}"
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
        *entries(SourceConfig, ("fill", "fill_limit")),
        *(
            dataclasses.replace(item, rule=dataclasses.replace(item.rule, advanced=True))
            for item in entries(SourceConfig, ("duplicates", "unreadable"))
        ),
        entry(PrepareJob, "sequences"),
        *entries(TerrainConfig, _TERRAIN),
        *entries(PrepareJob, ("measure_error", "checksums", "threads", "memory_mb", "cluster")),
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
        self._add_terrain()
        output = QgsProcessingParameterFileDestination("DATASET", "Dataset", "Dataset (*.nc)")
        self.addParameter(finish(output, entry(PrepareJob, "output").rule.help))

    def _add_terrain(self) -> None:
        dem = QgsProcessingParameterRasterLayer("DEM", entry(TerrainConfig, "dem").rule.label, None, True)
        self.addParameter(finish(dem, entry(TerrainConfig, "dem").rule.help))
        rule = entry(TerrainConfig, "maps").rule
        maps = QgsProcessingParameterEnum("TERRAIN_MAPS", rule.label, list(TERRAIN_MAPS), True, [], True, True)
        self.addParameter(finish(maps, help_of(rule)))
        outlet = QgsProcessingParameterPoint("OUTLET", "Outlet", None, True)
        text = (
            "A place on a river, such as '4058119,2935597 [EPSG:3035]'; the basin above it becomes the mask. It needs "
            "the elevation model."
        )
        self.addParameter(finish(outlet, text))

    def made_ready(self, job: PrepareJob) -> PrepareJob:
        """Polygons of any kind become GeoJSON beside the dataset."""
        return with_readable_mask(job)

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> PrepareJob:
        """The sources, looked into, and the grid."""
        fields, self._told = self.read(values, context), []
        sources = [*self._of_layers(values, context), *self._of_table(values, context), *self._of_json(values, context)]
        if not sources:
            raise ConfigError("No source is given", remedy="Choose layers, fill the table, or give the sources as JSON")
        self.guesses = tuple(dict.fromkeys(self._told))
        common = {name: fields.pop(name) for name in _FOR_ALL}
        terrain = {name: fields.pop(name) for name in _TERRAIN}
        grid = self._grid(values, context, fields.pop("like"), fields.pop("resolution"), sources)
        return PrepareJob(
            sources=tuple(_with_common(item, common) for item in sources),
            output=absolute(self.parameterAsFileOutput(values, "DATASET", context)),
            grid=grid,
            mask=existing_file(absolute(self.parameterAsString(values, "MASK", context)), "mask"),
            terrain=self._terrain(values, context, terrain, grid, sources),
            **fields,
        )

    def _terrain(
        self,
        values: dict[str, Any],
        context: QgsProcessingContext,
        fields: dict[str, Any],
        grid: GridConfig,
        sources: list[SourceConfig],
    ) -> TerrainConfig:
        layer = self.parameterAsRasterLayer(values, "DEM", context) if values.get("DEM") else None
        if values.get("DEM") and (layer is None or not layer.isValid()):
            raise DataError(
                "The elevation model cannot be opened",
                expected="a raster of elevations in m",
                got=str(values["DEM"]),
                remedy="Choose a raster layer or file",
            )
        source = layer.source() if layer is not None else ""
        outlet = None
        if values.get("OUTLET"):
            point = self.parameterAsPoint(values, "OUTLET", context, _crs_of_grid(grid, sources))
            outlet = (float(point.x()), float(point.y()))
        return TerrainConfig(
            dem=absolute(source) if os.path.exists(source) else source,
            maps=many_choices(self, "TERRAIN_MAPS", TERRAIN_MAPS, values, context),
            outlet=outlet,
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
        reports = [(inspect_source(layer)[0], role) for layer, role in found]
        self._told += [sentence for report, _ in reports for sentence in _guessed(report, report.variable, ())]
        return [report.as_source_config(role) for report, role in reports]

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
        return [complete_source(row, told=self._told) for row in rows if row["path"].strip()]

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
        return [complete_source(row, base, self._told) for row in rows]

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


def complete_source(row: dict[str, Any], base: str = "", told: Optional[list[str]] = None) -> SourceConfig:
    """A source whose missing entries are read from its file; what is guessed of them is added to ``told``. Raises
    FreshetError for a source that cannot be opened.
    """
    given = {key: value for key, value in row.items() if value not in ("", None)}
    if "path" not in given:
        raise ConfigError("A source has no path", got=str(row), remedy="Add the key 'path'")
    variable = str(given.get("variable") or os.path.basename(str(given["path"])))
    if not split_uri(str(given["path"]))[1]:  # GDAL's names, as NETCDF:"file.nc":rain, stay as they are
        given["path"] = absolute(os.path.join(base, str(given["path"])))
    looked = _first_sequence(given["path"], variable) if _SEQUENCE in given["path"] else given["path"]
    if not split_uri(looked)[1]:
        _require(looked, variable)
    reports = inspect_source(looked)
    if given.get("layer"):
        reports = [item for item in reports if item.layer == given["layer"]] or reports
    reports = [item for item in reports if item.path == given["path"]] or reports
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
    if told is not None:
        told += _guessed(reports[0], variable, given)
    changes = {key: value for key, value in given.items() if key != "role"}
    return reports[0].as_source_config(str(given.get("role", "")), **changes)


def _guessed(report: SourceReport, variable: str, given: Collection[str]) -> list[str]:
    """What was guessed of a source, but for what the person gave; each sentence begins with the variable."""
    return [f"'{variable}': {guess}" for guess in report.guesses if getattr(guess, "field", "") not in given]


def _require(path: str, variable: str) -> None:
    """Raise :class:`DataError` where the file or folder of ``variable`` is gone; the engine says the same."""
    if not os.path.exists(path):
        raise DataError(
            f"'{variable}': there is no such file or folder",
            expected="a raster, a NetCDF file, or a folder of dated rasters",
            got=path,
            remedy="Choose the source again; it may have been moved or renamed",
        )


def _first_sequence(path: str, variable: str) -> str:
    """The source of the first sequence of a path with {sequence}; it stands for all of them."""
    found = sorted(glob.glob("*".join(glob.escape(part) for part in path.split(_SEQUENCE))))
    if not found:
        raise DataError(
            f"'{variable}': no sequence is found",
            expected="files or folders whose names differ only where {sequence} stands",
            got=path,
            remedy="Correct the path",
        )
    return found[0]


def _with_common(source: SourceConfig, common: dict[str, Any]) -> SourceConfig:
    """A source with the parameters for all where it has only defaults itself."""
    plain = {item.name: item.default for item in dataclasses.fields(SourceConfig)}
    changes = {k: value for k, value in common.items() if value is not None and getattr(source, k) == plain[k]}
    return source.replace(**changes)


def _crs_of_grid(grid: GridConfig, sources: list[SourceConfig]) -> QgsCoordinateReferenceSystem:
    """The CRS of the dataset's grid; DataError where it is not known, since a place would then mean another one."""
    text = grid.crs
    if not text:
        path = next((item.path for item in sources if item.variable == grid.like), grid.like)
        named = next((item for item in sources if item.variable == grid.like), None)
        path = _first_sequence(path, grid.like) if _SEQUENCE in path else path
        reports = inspect_source(path) if path else []
        fitting = [item for item in reports if named is None or not named.layer or item.layer == named.layer]
        text = (named.crs if named is not None else "") or next((item.crs for item in fitting if item.crs), "")
    crs = QgsCoordinateReferenceSystem()
    if not text or not crs.createFromUserInput(text):
        raise DataError(
            "The outlet has no meaning on a grid without a coordinate reference system",
            got=text or "none",
            remedy="Give the CRS of the dataset, or take a grid that has one",
        )
    return crs
