"""What a source holds, found with GDAL alone: variables, dates, units, range, and what is wrong with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Optional, Union

from qgis.core import QgsMapLayer, QgsRasterLayer

from ..core.contracts import DataError, SourceConfig
from ..core.contracts.dates import find_date, format_date, step_of
from ..core.contracts.units import convert, is_known, normalise
from ..core.contracts.variables import CATALOGUE, Quantity, guess_quantity, quantity
from .raster_probe import Probe, Sample, probe, sample, split_uri, spread, variables_of

RASTER_SUFFIXES = (".tif", ".tiff", ".asc", ".img", ".vrt", ".nc", ".map")
_SAMPLED_FILES = 6
_SHOWN = 3
_NO_CRS = "It has no coordinate reference system. Assign one with 'Assign projection' first."


@dataclass(frozen=True)
class SourceReport:
    """One variable of a source.

    ``units_declared`` is False where the unit is the catalogue's guess; ``dates`` are ISO texts of the starts of the
    steps, empty for a map without time; ``gaps`` are the ISO dates of missing steps; ``minimum``, ``maximum`` (in
    ``units``) and ``missing_share`` come from a sample (NaN: nothing valid); ``size`` is (columns, rows);
    ``problems`` are sentences; ``role`` is a suggestion; ``assigned_crs`` is one that the project
    gave to a source without its own.
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
        }
        return SourceConfig.from_dict({**values, **changes})


def inspect_source(source: Union[str, Path, QgsMapLayer]) -> list[SourceReport]:
    """Look into a file, a folder of dated rasters, or a raster layer. DataError where nothing can be opened."""
    if isinstance(source, QgsMapLayer):
        return [_of_layer(source)]
    path = os.path.abspath(str(source)) if not split_uri(str(source))[1] else str(source)
    if os.path.isdir(path):
        return [_of_folder(path)]
    uris = [path] if split_uri(path)[1] else variables_of(path)
    return [_of_raster(uri) for uri in uris if not _is_helper(uri)]


def folder_files(folder: str) -> list[str]:
    """The rasters of a folder, by name. DataError where there is none."""
    names = sorted(
        name for name in os.listdir(folder) if name.lower().endswith(RASTER_SUFFIXES) and not name.startswith(".")
    )
    if not names:
        raise DataError(
            "The folder holds no raster",
            expected="files such as precipitation_1995-02-01.tif",
            got=folder,
            remedy="Choose the folder that holds the dated rasters themselves",
        )
    return [os.path.join(folder, name) for name in names]


def _of_layer(layer: QgsMapLayer) -> SourceReport:
    if not isinstance(layer, QgsRasterLayer) or layer.providerType() != "gdal":
        raise DataError(
            f"The layer '{layer.name()}' cannot be a source",
            expected="a raster layer from a file",
            got=f"a layer of provider '{layer.providerType()}'",
            remedy="Save it as a GeoTIFF first",
        )
    report = _of_raster(layer.source().split("|")[0])
    if report.crs or not layer.crs().isValid():
        return report
    # The CRS stands only in the project: it has to travel with the job.
    crs = layer.crs().authid() or layer.crs().toWkt()
    problems = [sentence for sentence in report.problems if sentence != _NO_CRS]
    return replace(report, crs=crs, assigned_crs=crs, problems=problems)


def _of_raster(uri: str) -> SourceReport:
    found = probe(uri)
    if found.bands > 1 and found.dates is None and not found.sentences:
        found.sentences.append(f"Its {found.bands} bands have no dates. Give the date of the first map and the step.")
    return _report(found, sample(uri), found.dates or [], split_uri(uri)[0], split_uri(uri)[1])


def _of_folder(folder: str) -> SourceReport:
    files = folder_files(folder)
    dated = [(find_date(os.path.basename(path)), path) for path in files]
    undated = [os.path.basename(path) for date, path in dated if date is None]
    found = probe(files[0])
    known = sorted((date, path) for date, path in dated if date is not None)
    sentences = list(found.sentences)
    if undated and len(undated) < len(files):
        sentences.append(
            f"{len(undated)} of {len(files)} files have no date in their name ({_some(undated)}). "
            "Rename or remove them."
        )
    elif undated:
        sentences.append("No file name holds a date. Give the date pattern, or the first date and the step.")
    doubled = sorted({format_date(a[0]) for a, b in zip(known, known[1:]) if a[0] == b[0]})
    if doubled:
        sentences.append(f"Several files have the same date ({_some(doubled)}). Keep one of each.")
    sentences += _unlike(found, [files[i] for i in spread(len(files), _SAMPLED_FILES)])
    values = Sample()
    for index in spread(len(files), _SAMPLED_FILES):
        values = values.merge(sample(files[index]))
    name = os.path.basename(folder.rstrip("/\\"))
    named = Probe(**{**found.__dict__, "name": name, "sentences": sentences})
    ordered = tuple(path for _, path in known) or tuple(files)
    return _report(named, values, [date for date, _ in known], folder, "", ordered)


def _unlike(first: Probe, paths: list[str]) -> list[str]:
    """Sentences about files whose grid differs from that of the first."""
    for path in paths:
        other = probe(path)
        if (other.size, other.crs, _rounded(other)) != (first.size, first.crs, _rounded(first)):
            return [
                f"Its maps have different grids ({os.path.basename(path)} differs from the first). "
                "Bring them onto one grid first."
            ]
    return []


def _rounded(found: Probe) -> tuple[str, ...]:
    return tuple(f"{value:.9g}" for value in found.transform or ())


def _report(
    found: Probe, values: Sample, dates: list[datetime], path: str, layer: str, files: tuple[str, ...] = ()
) -> SourceReport:
    entry = _guess(found)
    if found.units and not _fits(found.units, entry):
        entry = quantity("other")  # the name misled: the file's own unit knows better
    dates = [date.replace(tzinfo=None) for date in dates]
    step = step_of(sorted(dates))
    same = normalise(found.units) == normalise(entry.units)
    units = entry.units if same or not found.units else found.units
    declared = bool(found.units)
    gaps = _gaps(sorted(dates), step)
    problems = [*found.sentences, *_faults(found, values), *_implausible(entry, units, values, step, declared)]
    if dates != sorted(dates) and not files:
        problems.append("Its dates are not in order. Sort the bands by date first.")
    if gaps:
        problems.append(
            f"{len(gaps)} {'step is' if len(gaps) == 1 else 'steps are'} missing ({_some(gaps)}); kept as gaps."
        )
    return SourceReport(
        path=path,
        layer=layer,
        variable=_identifier(found.name),
        quantity=entry.name,
        units=units,
        dates=tuple(format_date(date) for date in dates),
        step_seconds=step,
        crs=found.crs,
        size=found.size,
        minimum=values.minimum,
        maximum=values.maximum,
        missing_share=values.missing_share,
        problems=problems,
        units_declared=declared,
        gaps=gaps,
        role="input" if dates or found.bands > 1 or len(files) > 1 else "static",
        label=found.label,
        calendar=found.calendar,
        files=files,
    )


def _guess(found: Probe) -> Quantity:
    if found.standard_name:
        for entry in CATALOGUE:
            if entry.standard_name and entry.standard_name == found.standard_name:
                return entry
    guess = guess_quantity(found.name)
    return guess if guess.name != "other" else guess_quantity(found.label)


def _fits(units: str, entry: Quantity) -> bool:
    try:
        convert(units, entry.units)
    except DataError:
        return not is_known(units)
    return True


def _faults(found: Probe, values: Sample) -> list[str]:
    problems = []
    if not found.crs:
        problems.append(_NO_CRS)
    if found.transform is None:
        problems.append("Its cells have no place on the map. Georeference it first.")
    elif found.transform[2] or found.transform[4]:
        problems.append("Its grid is rotated. Warp it to a north-up grid first.")
    if values.suspicious:
        shown = ", ".join(f"{value:g}" for value in values.suspicious)
        problems.append(f"The value {shown} occurs and is not declared as missing. Set it as the missing value.")
    if not values.valid:
        problems.append("All sampled values are missing. Choose another source.")
    elif values.minimum == values.maximum:
        problems.append(f"Every sampled value is {values.minimum:g}. A constant map teaches nothing.")
    return problems


def _implausible(entry: Quantity, units: str, values: Sample, step: Optional[float], declared: bool) -> list[str]:
    if not is_known(units):
        return (
            [f"The unit '{units}' is not known. Give it in another spelling, such as mm/d, K, degC, m3/s or -."]
            if declared
            else []
        )
    if not values.valid:
        return []
    try:
        scale, offset = convert(units, entry.units, step or 86400.0)
    except DataError as error:
        return [str(error)] if entry.name not in ("other", "property") else []
    low, high = sorted((values.minimum * scale + offset, values.maximum * scale + offset))
    margin = 1e-6 * max(abs(entry.minimum), abs(entry.maximum), 1.0)
    if low >= entry.minimum - margin and high <= entry.maximum + margin:
        return []
    word = "declared" if declared else "guessed"
    return [
        f"Values from {low:.4g} to {high:.4g} {entry.units} are not plausible for {entry.label.lower()} "
        f"({entry.minimum:g} to {entry.maximum:g}). Check the quantity and the {word} unit '{units}'."
    ]


def _gaps(dates: list[datetime], step: Optional[float]) -> tuple[str, ...]:
    """Starts of the steps that are missing between sorted dates. Months differ in length and are no gaps."""
    if not step:
        return ()
    missing = []
    for earlier, later in zip(dates, dates[1:]):
        count = int(round((later - earlier).total_seconds() / step)) - 1
        missing += [format_date(earlier + timedelta(seconds=step * (i + 1))) for i in range(count)]
    return tuple(missing)


def _identifier(text: str) -> str:
    """A name that a NetCDF variable can have."""
    cleaned = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    return cleaned if cleaned and not cleaned[0].isdigit() else f"v_{cleaned}".rstrip("_")


def _is_helper(uri: str) -> bool:
    """Variables that describe the grid and are no data."""
    name = split_uri(uri)[1].lower()
    return name in {
        "crs",
        "spatial_ref",
        "lat_bnds",
        "lon_bnds",
        "time_bnds",
        "lat",
        "lon",
        "latitude",
        "longitude",
        "xc",
        "yc",
    }


def _some(items: object) -> str:
    shown = [str(item) for item in items][:_SHOWN]
    return ", ".join(shown) + (", ..." if len(list(items)) > _SHOWN else "")


def catalogue_entry(report: SourceReport) -> Quantity:
    """The catalogue's entry of a report's quantity."""
    return quantity(report.quantity)
