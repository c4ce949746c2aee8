"""Colours of raster layers: one fixed range for all dates of a variable, nothing stretched, nodata transparent."""

from __future__ import annotations

import math

from qgis.core import (
    QgsBasicNumericFormat,
    QgsColorRampLegendNodeSettings,
    QgsColorRampShader,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)

from ..core.contracts import Artifact
from ..core.contracts.variables import quantity
from .ramps import FALLBACK, gradient, is_diverging, stops

CENTRED_KINDS = ("delta", "attribution")


def style_raster(layer: QgsRasterLayer, artifact: Artifact, band: int = 1) -> None:
    """Single-band pseudocolour by the artifact's ramp and range, with a legend in its unit, nearest resampling.

    A delta or an attribution is symmetric about 0, which gets the neutral middle of its ramp. Values beyond the range
    take the colours of its ends; missing cells stay transparent.
    """
    low, high = value_range(artifact)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), band, _shader(artifact, low, high))
    renderer.setClassificationMin(low)
    renderer.setClassificationMax(high)
    # Without limits the canvas has nothing to stretch each frame by.
    renderer.setMinMaxOrigin(QgsRasterMinMaxOrigin())
    layer.setRenderer(renderer)
    _nearest(layer)


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
    """How a series that is no result of a run is shown: by the catalogue's ramp."""
    ramp = quantity(quantity_name).ramp
    return Artifact(
        kind="series",
        path="-",
        title=f"{title} ({units})",
        units=units,
        ramp=ramp,
        minimum=minimum,
        maximum=maximum,
        dates=dates,
        step_seconds=step,
    )


def _shader(artifact: Artifact, low: float, high: float) -> QgsRasterShader:
    name = artifact.ramp or (FALLBACK if artifact.kind not in CENTRED_KINDS else "RdBu")
    function = QgsColorRampShader(low, high, gradient(name), QgsColorRampShader.Type.Interpolated)
    function.setClassificationMode(QgsColorRampShader.ClassificationMode.Continuous)
    decimals = _decimals(high - low)
    items = []
    for at, colour in stops(name):
        # The ends and the middle exactly, not by a sum of rounded parts.
        value = high if at == 1.0 else (low + high) / 2.0 if at == 0.5 else low + at * (high - low)
        items.append(QgsColorRampShader.ColorRampItem(value, colour, f"{value:.{decimals}f}"))
    function.setColorRampItemList(items)
    function.setLegendSettings(_legend(artifact.units, decimals))
    shader = QgsRasterShader(low, high)
    shader.setRasterShaderFunction(function)
    return shader


def _legend(units: str, decimals: int) -> QgsColorRampLegendNodeSettings:
    settings = QgsColorRampLegendNodeSettings()
    if units and units != "-":
        settings.setSuffix(f" {units}")
    numbers = QgsBasicNumericFormat()
    numbers.setNumberDecimalPlaces(decimals)
    settings.setNumericFormat(numbers)
    settings.setUseContinuousLegend(True)
    return settings


def _decimals(width: float) -> int:
    """Decimals that tell some hundred values of the range apart."""
    return min(8, max(0, 2 - int(math.floor(math.log10(width)))))


def _nearest(layer: QgsRasterLayer) -> None:
    """A cell is shown as the model gave it; smoothing between cells would draw values that nobody computed."""
    resampler = layer.resampleFilter()
    if resampler is not None:
        resampler.setZoomedInResampler(None)
        resampler.setZoomedOutResampler(None)
