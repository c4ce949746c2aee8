"""Words on screen: translation, and the two or three ways in which Freshet writes values."""

from __future__ import annotations

import math
import os
from typing import Optional

from qgis.PyQt.QtCore import QCoreApplication

from ..core.contracts.dates import format_step

__all__ = ["date_words", "format_step", "home_short", "number", "percent", "tr", "value_range"]


def tr(text: str) -> str:
    """``text`` in the person's language."""
    return QCoreApplication.translate("Freshet", text)


def number(value: Optional[float], digits: int = 4) -> str:
    """A value for reading: four significant digits, a dash where there is none."""
    return "-" if value is None or value != value else f"{float(value):.{digits}g}"


def value_range(low: Optional[float], high: Optional[float]) -> str:
    """'0 .. 20', '38 .. 1302': as many decimals as the span deserves."""
    if low is None or high is None or low != low or high != high:
        return "-"
    span = high - low
    decimals = max(0, 2 - math.floor(math.log10(span))) if span > 0 else 3
    if decimals > 6 or max(abs(low), abs(high)) >= 1e7:
        return f"{number(low, 3)} .. {number(high, 3)}"
    return " .. ".join(_plain(round(value, decimals)) for value in (low, high))


def _plain(value: float) -> str:
    return f"{value + 0.0:.6f}".rstrip("0").rstrip(".")  # + 0.0 makes a negative zero positive


def date_words(iso: str) -> str:
    """An ISO date without the time where that is midnight."""
    return iso[:10] if iso[10:] in ("", "T00:00", "T00:00:00") else iso[:16]


def percent(share: float) -> str:
    """A share from 0 to 1 as percent; what is not nothing is never written as nothing."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def home_short(path: str) -> str:
    """A path with the person's own folder written as ``~``."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if len(home) > 1 and path.startswith(home + os.sep) else path
