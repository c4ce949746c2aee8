"""Scalers of a variable. Fitted on the training period only, stored in the model card, never fitted again for
another basin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts.errors import ConfigError, DataError
from ..contracts.variables import SCALERS

_MARGIN = 0.5  # an inverse may leave the fitted range by half its width, so that no exponential runs away
MOST_CLASSES = 64
_SAMPLE = 500_000  # values that decide the exponent of Yeo-Johnson; more change it in the fourth digit only


@dataclass(frozen=True)
class Scaler:
    """An invertible map of values: a transform by ``kind``, then ``(value - shift) / width``.

    Kinds: ``standard``, ``min-max`` (to 0..1), ``log1p`` (sign(v) log(1+|v|), then standard), ``yeo-johnson`` (Yeo
    and Johnson 2000, DOI 10.1093/biomet/87.4.954, then standard), ``none``; ``one-hot`` for maps of classes (see
    :meth:`channels`); ``amount`` for a rate in mm/d that becomes mm a step (see :meth:`amount`). NaN stays NaN.
    ``low`` and ``high`` bound the scaled training values.
    """

    kind: str
    shift: float = 0.0
    width: float = 1.0
    exponent: float = 1.0
    low: float = -np.inf
    high: float = np.inf
    classes: tuple[float, ...] = ()

    @classmethod
    def fit(cls, kind: str, values: np.ndarray) -> Scaler:
        """Fit on ``values`` of any shape; NaN are left out. A constant variable gets width 1, so it becomes 0."""
        if kind not in SCALERS:
            raise ConfigError(f"There is no scaler '{kind}'", expected=", ".join(SCALERS), remedy="Choose one of these")
        finite = np.asarray(values, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if finite.size == 0:
            raise DataError(
                "A variable has no value in the training period", remedy="Choose another period or variable"
            )
        if kind == "none":
            return cls(kind)
        if kind == "one-hot":
            return cls(kind, classes=_classes(finite))
        exponent = _fit_exponent(finite) if kind == "yeo-johnson" else 1.0
        moved = _forward(kind, finite, exponent)
        if kind == "min-max":
            shift, width = float(moved.min()), float(moved.max() - moved.min())
        else:
            shift, width = float(moved.mean()), float(moved.std())
        if not width > 1e-12 * max(1.0, abs(shift)):
            width = 1.0
        scaled = (moved - shift) / width
        return cls(kind, shift, width, exponent, float(scaled.min()), float(scaled.max()))

    @classmethod
    def amount(cls, step_seconds: float) -> Scaler:
        """From a rate in mm/d to the amount of water in a step, mm; nothing is fitted and 0 stays 0."""
        return cls("amount", width=86400.0 / step_seconds)

    def channels(self, values: np.ndarray) -> np.ndarray:
        """Scaled channels (channels, H, W) of a map (H, W): one, or one a class. A class that was not there in
        training is none of them.
        """
        if self.kind == "one-hot":
            return np.stack([(values == code) for code in self.classes]).astype(np.float32)
        return self.transform(values)[None]

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scaled values as float32, same shape."""
        if self.kind == "none":
            return np.asarray(values, dtype=np.float32)
        if self.kind == "amount":
            return (np.asarray(values, dtype=np.float64) / self.width).astype(np.float32)
        moved = _forward(self.kind, np.asarray(values, dtype=np.float64), self.exponent)
        return ((moved - self.shift) / self.width).astype(np.float32)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Values in the variable's unit as float32; those of curved scalers are clipped to the fitted range and half
        its width more.
        """
        if self.kind == "none":
            return np.asarray(values, dtype=np.float32)
        if self.kind == "amount":
            return (np.asarray(values, dtype=np.float64) * self.width).astype(np.float32)
        scaled = np.asarray(values, dtype=np.float64)
        if self.kind in ("yeo-johnson", "log1p"):
            reach = _MARGIN * (self.high - self.low)
            scaled = np.clip(scaled, self.low - reach, self.high + reach)
        return _backward(self.kind, scaled * self.width + self.shift, self.exponent).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model card."""
        if self.kind == "one-hot":
            return {"kind": self.kind, "classes": list(self.classes)}
        values: dict[str, Any] = {"kind": self.kind, "shift": self.shift, "width": self.width}
        if self.kind == "yeo-johnson":
            values["exponent"] = self.exponent
        if self.kind not in ("none", "amount"):
            values.update(low=self.low, high=self.high)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scaler:
        """The scaler of a model card."""
        return cls(**{**values, "classes": tuple(values.get("classes", ()))})


def _forward(kind: str, values: np.ndarray, exponent: float) -> np.ndarray:
    if kind == "log1p":
        return np.sign(values) * np.log1p(np.abs(values))
    if kind == "yeo-johnson":
        positive, size = values >= 0, np.abs(values)
        up = np.log1p(size) if abs(exponent) < 1e-9 else np.expm1(exponent * np.log1p(size)) / exponent
        mirrored = 2.0 - exponent
        down = -np.log1p(size) if abs(mirrored) < 1e-9 else -np.expm1(mirrored * np.log1p(size)) / mirrored
        return np.where(positive, up, np.where(np.isnan(values), np.nan, down))
    return values


def _backward(kind: str, values: np.ndarray, exponent: float) -> np.ndarray:
    if kind == "log1p":
        return np.sign(values) * np.expm1(np.abs(values))
    if kind == "yeo-johnson":
        positive, mirrored = values >= 0, 2.0 - exponent
        with np.errstate(invalid="ignore"):
            up = (
                np.expm1(values)
                if abs(exponent) < 1e-9
                else np.expm1(np.log1p(np.maximum(exponent * values, -1 + 1e-9)) / exponent)
            )
            down = (
                -np.expm1(-values)
                if abs(mirrored) < 1e-9
                else -np.expm1(np.log1p(np.maximum(-mirrored * values, -1 + 1e-9)) / mirrored)
            )
        return np.where(positive, up, np.where(np.isnan(values), np.nan, down))
    return values


def _classes(finite: np.ndarray) -> tuple[float, ...]:
    codes = np.unique(finite)
    if len(codes) > MOST_CLASSES:
        raise DataError(
            "A map of classes has too many of them",
            expected=f"at most {MOST_CLASSES}",
            got=f"{len(codes)} different values",
            remedy="Group its classes, or give it another scaler such as 'standard' if its values are quantities",
        )
    return tuple(float(code) for code in codes)


def _fit_exponent(finite: np.ndarray) -> float:
    if finite.max() - finite.min() <= 1e-12 * max(1.0, abs(finite.max())):
        return 1.0
    from scipy import stats

    if finite.size > _SAMPLE:
        finite = np.random.default_rng(0).choice(finite, _SAMPLE, replace=False)
    exponent = float(stats.yeojohnson_normmax(finite, brack=(-2, 2)))
    return float(np.clip(exponent, -5.0, 5.0))
