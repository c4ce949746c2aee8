"""What a source holds, found with GDAL alone: variables, dates, units, range, and what is wrong with it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Union

from qgis.core import QgsMapLayer, QgsRasterLayer, QgsVectorLayer

from ..core.contracts import DataError
from ..core.contracts.variables import Quantity, quantity
from .raster_probe import split_uri
from .report_making import NO_CRS
from .scan import scan_all
from .source_report import Guess, SourceReport

__all__ = ["Guess", "SourceReport", "catalogue_entry", "inspect_source"]

_FROM_FILES = ("ogr", "delimitedtext")


def inspect_source(source: Union[str, Path, QgsMapLayer]) -> list[SourceReport]:
    """Look through a file, a folder, or a layer of the project, to the end. DataError where nothing can be a source.

    See :class:`~.scan.Scan` for the same in steps.
    """
    if isinstance(source, QgsMapLayer):
        return _of_layer(source)
    path = str(source) if split_uri(str(source))[1] else os.path.abspath(str(source))
    reports, refused = scan_all([path])
    if not reports:
        raise DataError(_first(refused), got=path if not refused else "")
    return reports


def catalogue_entry(report: SourceReport) -> Quantity:
    """The catalogue's entry of a report's quantity."""
    return quantity(report.quantity)


def layer_path(layer: QgsMapLayer) -> str:
    """The file that a layer shows, by the name that the engine takes too. DataError for layers without a file."""
    provider = layer.providerType()
    if isinstance(layer, QgsRasterLayer) and provider == "gdal":
        return layer.source().split("|")[0]
    if isinstance(layer, QgsVectorLayer) and provider == "ogr":
        return layer.source().split("|subset")[0]
    if isinstance(layer, QgsVectorLayer) and provider == "delimitedtext":
        from qgis.PyQt.QtCore import QUrl

        return QUrl(layer.source()).toLocalFile()
    raise DataError(
        f"The layer '{layer.name()}' cannot be a source",
        expected="a raster, a point layer or a table from a file",
        got=f"a layer of provider '{provider}'",
        remedy="Save it as a file first",
    )


def _of_layer(layer: QgsMapLayer) -> list[SourceReport]:
    reports = inspect_source(layer_path(layer))
    if not layer.crs().isValid():
        return reports
    # A CRS that stands only in the project has to travel with the job; one that was guessed gives way to it.
    crs = layer.crs().authid() or layer.crs().toWkt()
    return [_with_crs(report, crs) for report in reports]


def _with_crs(report: SourceReport, crs: str) -> SourceReport:
    guessed = [guess for guess in report.guesses if getattr(guess, "field", "") == "crs"]
    if report.crs and not guessed or report.form == "table":
        return report
    problems = [sentence for sentence in report.problems if sentence != NO_CRS]
    kept = tuple(guess for guess in report.guesses if guess not in guessed or "WGS 84" not in guess)
    assigned = "" if crs == report.crs else crs
    return replace(report, crs=crs, assigned_crs=assigned, problems=problems, guesses=kept)


def _first(refused: list[str]) -> str:
    return refused[0] if refused else "There is nothing in it that can be a source"
