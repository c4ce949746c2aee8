"""What one entry of the variable catalogue says of a quantity."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("flux", "state", "static", "class")
RESAMPLINGS = ("nearest", "bilinear", "cubic", "average", "mode", "conservative")
AGGREGATIONS = ("mean", "sum", "minimum", "maximum", "first")
SCALERS = ("standard", "min-max", "yeo-johnson", "log1p", "none", "one-hot")
STRETCHES = ("linear", "log", "sqrt")


@dataclass(frozen=True)
class Quantity:
    """One quantity. ``minimum`` and ``maximum`` bound what is plausible in ``units``; ``aggregation`` is over time.

    A flux is a rate (mm/d): over a longer step its rate is the mean of the rates, so the amount (rate x step) is
    summed. ``standard_name`` is that of the CF table, empty where it has none. ``words`` are names that speak of the
    quantity, ``_`` between the words of one name; ``!`` behind a name: only where it stands alone; ``<``: only where
    it comes first; ``?``: only where the unit is known and fits. ``stretch`` is how colours follow the values.
    """

    name: str
    label: str
    abbreviation: str
    standard_name: str
    units: str
    kind: str
    minimum: float
    maximum: float
    aggregation: str
    resampling: str
    scaler: str
    ramp: str
    words: tuple[str, ...] = ()
    stretch: str = "linear"
