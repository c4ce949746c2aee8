"""Colours of raster layers: one fixed range for all dates of a variable, no frame stretched anew, nodata transparent.

Colours follow the values in a straight line, or, for quantities of many magnitudes, their logarithm or root; the
numbers of the legend are always the values themselves.
"""

from __future__ import annotations

import math
import re

from qgis.core import (
    QgsBasicNumericFormat,
    QgsColorRampLegendNodeSettings,
    QgsColorRampShader,
    QgsNumericFormatContext,
    QgsPalettedRasterRenderer,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtGui import QColor

from ..core.contracts import Artifact
from ..core.contracts.variables import quantity
from .ramps import FALLBACK, gradient, is_diverging, stops

CENTRED_KINDS = ("delta", "attribution", "attribution-draft", "change")
# How the notes of maps of differences tell what their signs mean.
_SIGNS = re.compile(r"Positive \([^)]*\): ([^;.]+); negative \([^)]*\): ([^;.]+)[;.]")
_GREY = "#b9b9b9"  # of a class without a colour
_DECADES_FROM_ZERO, _MOST_DECADES = 3, 5  # that the colours of a logarithmic range tell apart
_CLOSEST = 0.055  # breaks of a curved range stand at least so far apart on its ramp


def style_raster(layer: QgsRasterLayer, artifact: Artifact, band: int = 1) -> None:
    """Single-band pseudocolour by the artifact's ramp and range, with a legend in its unit, nearest resampling; a map
    of classes by their colours and names.

    A delta, a change or an attribution is symmetric about 0, which gets the neutral middle of its ramp. Values beyond
    the range take the colours of its ends; missing cells stay transparent.
    """
    if artifact.classes:
        layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), band, _classes(artifact)))
        _nearest(layer)
        return
    low, high = value_range(artifact)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), band, _shader(artifact, low, high))
    renderer.setClassificationMin(low)
    renderer.setClassificationMax(high)
    # Without limits the canvas has nothing to stretch each frame by.
    renderer.setMinMaxOrigin(QgsRasterMinMaxOrigin())
    layer.setRenderer(renderer)
    _nearest(layer)


def _classes(artifact: Artifact) -> list[QgsPalettedRasterRenderer.Class]:
    colours = [*artifact.colours, *[_GREY] * len(artifact.classes)]
    return [
        QgsPalettedRasterRenderer.Class(value, QColor(colour), name)
        for value, (name, colour) in enumerate(zip(artifact.classes, colours), start=1)
    ]


def signs_of(artifact: Artifact) -> tuple[str, str]:
    """What values below and above 0 mean, in the words of its note; empty where that does not tell."""
    found = _SIGNS.search(artifact.note) if artifact.kind in CENTRED_KINDS else None
    return (found.group(2).strip(), found.group(1).strip()) if found else ("", "")


def value_range(artifact: Artifact) -> tuple[float, float]:
    """(low, high) of the colours, never empty, symmetric about 0 for what is a difference."""
    low, high = sorted((float(artifact.minimum), float(artifact.maximum)))
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if artifact.kind in CENTRED_KINDS or (is_diverging(artifact.ramp) and low < 0.0 < high):
        reach = max(abs(low), abs(high)) or 1.0
        return -reach, reach
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        # A map that has one value everywhere still gets a legend that says which.
        high = low + (abs(low) * 1e-3 or 1.0)
    return low, high


def artifact_for(
    quantity_name: str, title: str, units: str, minimum: float, maximum: float, dates: tuple[str, ...], step: float
) -> Artifact:
    """How a series that is no result of a run is shown: by the catalogue's ramp and stretch."""
    entry = quantity(quantity_name)
    return Artifact(
        kind="series",
        path="-",
        title=f"{title} ({units})",
        units=units,
        ramp=entry.ramp,
        stretch=entry.stretch,
        minimum=minimum,
        maximum=maximum,
        dates=dates,
        step_seconds=step,
    )


def breaks(artifact: Artifact) -> list[tuple[float, float]]:
    """(value, place 0..1 on the ramp) of the colours of an artifact: the stops of its ramp at even distances, or round
    values between both ends where the range is curved.
    """
    low, high = value_range(artifact)
    curved = artifact.stretch in ("log", "sqrt") and artifact.kind not in CENTRED_KINDS and low >= 0.0
    if not curved or is_diverging(artifact.ramp):
        places = [at for at, _ in stops(_ramp_name(artifact))]
        # The ends and the middle exactly, not by a sum of rounded parts.
        exact = {1.0: high, 0.5: (low + high) / 2.0}
        return [(exact.get(at, low + at * (high - low)), at) for at in places]
    found = [(low, 0.0), (high, 1.0)]
    for value in _round_values(low, high):
        at = _place(value, low, high, artifact.stretch)
        if all(abs(at - other) >= _CLOSEST for _, other in found):
            found.append((value, at))
    return sorted(found)


def _place(value: float, low: float, high: float, stretch: str) -> float:
    """Where a value stands on the ramp, 0 to 1. From a lower end at 0 on, the logarithm is that of 1 + value."""
    if stretch == "sqrt":
        return math.sqrt((value - low) / (high - low))
    if low > 0.0:
        base = max(low, high / 10**_MOST_DECADES)
        return math.log(max(value, base) / base) / math.log(high / base)
    return math.log1p(value / high * (10**_DECADES_FROM_ZERO - 1)) / math.log(10**_DECADES_FROM_ZERO)


def _round_values(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 and so on between both ends, as far down as colours tell them apart; powers of ten come first."""
    top = math.floor(math.log10(high))
    powers = range(top, top - _MOST_DECADES - 1, -1)
    return [value for digit in (1, 5, 2) for power in powers if low < (value := float(f"{digit}e{power}")) < high]


def _ramp_name(artifact: Artifact) -> str:
    return artifact.ramp or (FALLBACK if artifact.kind not in CENTRED_KINDS else "RdBu")


def _shader(artifact: Artifact, low: float, high: float) -> QgsRasterShader:
    name = _ramp_name(artifact)
    ramp, colours = gradient(name), dict(stops(name))
    function = QgsColorRampShader(low, high, ramp, QgsColorRampShader.Type.Interpolated)
    function.setClassificationMode(QgsColorRampShader.ClassificationMode.Continuous)
    decimals, found = _decimals(high - low), breaks(artifact)
    even = len(found) == len(colours) and all(at in colours for _, at in found)
    items = []
    unit = f" {artifact.units}" if artifact.units not in ("", "-") else ""
    for value, at in found:
        text = f"{value:.{decimals}f}" if even else short_number(value) + unit  # a bar puts the unit there itself
        items.append(QgsColorRampShader.ColorRampItem(value, colours.get(at) or ramp.color(at), text))
    function.setColorRampItemList(items)
    # A bar with numbers at its ends alone would be read as a straight one.
    function.setLegendSettings(_legend(artifact.units, decimals, continuous=even))
    if even:
        _name_ends(function, artifact, low, high)
    shader = QgsRasterShader(low, high)
    shader.setRasterShaderFunction(function)
    return shader


def short_number(value: float) -> str:
    """Three digits, without an exponent up to a million."""
    if value == 0.0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(0, 2 - int(math.floor(math.log10(abs(value)))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _legend(units: str, decimals: int, continuous: bool = True) -> QgsColorRampLegendNodeSettings:
    settings = QgsColorRampLegendNodeSettings()
    if units and units != "-":
        settings.setSuffix(f" {units}")
    numbers = QgsBasicNumericFormat()
    numbers.setNumberDecimalPlaces(decimals)
    settings.setNumericFormat(numbers)
    settings.setUseContinuousLegend(continuous)
    return settings


def _name_ends(function: QgsColorRampShader, artifact: Artifact, low: float, high: float) -> None:
    """Say at both ends of the bar of a difference what its signs mean."""
    below, above = signs_of(artifact)
    if not (below and above):
        return
    settings = QgsColorRampLegendNodeSettings(function.legendSettings())
    numbers = settings.numericFormat().clone()
    numbers.setShowPlusSign(True)
    settings.setNumericFormat(numbers)
    written = [numbers.formatDouble(end, QgsNumericFormatContext()) + settings.suffix() for end in (low, high)]
    settings.setMinimumLabel(f"{written[0]}: {below}")
    settings.setMaximumLabel(f"{written[1]}: {above}")
    function.setLegendSettings(settings)


def _decimals(width: float) -> int:
    """Decimals that tell some hundred values of the range apart."""
    return min(8, max(0, 2 - int(math.floor(math.log10(width)))))


def _nearest(layer: QgsRasterLayer) -> None:
    """A cell is shown as the model gave it; smoothing between cells would draw values that nobody computed."""
    resampler = layer.resampleFilter()
    if resampler is not None:
        resampler.setZoomedInResampler(None)
        resampler.setZoomedOutResampler(None)
