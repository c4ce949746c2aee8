"""Colour ramps by name, as stops from 0 to 1: those of QGIS, and our own where a QGIS has no style database."""

from __future__ import annotations

from qgis.core import QgsGradientColorRamp, QgsGradientStop, QgsStyle
from qgis.PyQt.QtGui import QColor

# Colours of ColorBrewer (https://colorbrewer2.org, Apache 2.0) and viridis (CC0), as QGIS ships them.
_OWN = {
    "RdBu": ("#ca0020", "#f4a582", "#f7f7f7", "#92c5de", "#0571b0"),
    "BrBG": ("#a6611a", "#dfc27d", "#f5f5f5", "#80cdc1", "#018571"),
    "RdYlBu": ("#d7191c", "#fdae61", "#ffffbf", "#abd9e9", "#2c7bb6"),
    "Spectral": ("#d7191c", "#fdae61", "#ffffbf", "#abdda4", "#2b83ba"),
    "YlGnBu": ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494"),
    "YlGn": ("#ffffcc", "#c2e699", "#78c679", "#31a354", "#006837"),
    "YlOrRd": ("#ffffb2", "#fecc5c", "#fd8d3c", "#f03b20", "#bd0026"),
    "Blues": ("#f7fbff", "#c8dcf0", "#73b2d8", "#2979b9", "#08306b"),
    "Magma": ("#000004", "#51127c", "#b6377a", "#fb8861", "#fcfdbf"),
    "Viridis": ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"),
}
DIVERGING = frozenset({"RdBu", "BrBG", "PuOr", "PRGn", "PiYG", "RdGy"})
FALLBACK = "Viridis"
_PARTS = 20  # even, so that a stop lies exactly in the middle


def is_diverging(name: str) -> bool:
    """Whether the ramp has a neutral middle that stands for zero."""
    return (name[:-2] if name.endswith("_r") else name) in DIVERGING


def stops(name: str) -> list[tuple[float, QColor]]:
    """(position 0..1, colour) of a ramp; ``_r`` at the end turns it round; an unknown name gives Viridis."""
    turned = name.endswith("_r")
    ramp = _ramp(name[:-2] if turned else name)
    positions = [index / _PARTS for index in range(_PARTS + 1)]
    return [(at, ramp.color(1.0 - at if turned else at)) for at in positions]


def gradient(name: str) -> QgsGradientColorRamp:
    """The ramp as one object for legends and dialogs."""
    found = stops(name)
    inner = [QgsGradientStop(at, colour) for at, colour in found[1:-1]]
    return QgsGradientColorRamp(found[0][1], found[-1][1], False, inner)


def _ramp(name: str) -> QgsGradientColorRamp:
    found = QgsStyle.defaultStyle().colorRamp(name)
    return found if found is not None else _own(name)


def _own(name: str) -> QgsGradientColorRamp:
    colours = [QColor(text) for text in _OWN.get(name, _OWN[FALLBACK])]
    last = len(colours) - 1
    inner = [QgsGradientStop(index / last, colour) for index, colour in enumerate(colours[1:-1], start=1)]
    return QgsGradientColorRamp(colours[0], colours[-1], False, inner)
