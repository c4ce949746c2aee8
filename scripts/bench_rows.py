"""The figures that Freshet promises: what is asked, what was measured, reached or not; as text and as Markdown.

A part of the benchmarks gives under ``rows`` for each of its keys ``{"median": ..., "min": ...}`` (ratios from one
interleaved run), ``{"value": ...}``, or ``{"missing": why}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

PUBLIC, AUTOCAST = "the public PyTorch cell in float32", "the public PyTorch cell under bfloat16 autocast"
KERAS, IDEAL = "Keras", "the ideal convolutions"
STEP = "float32 training step, thesis model"
STEP_LARGE = "float32 training step, 128x128"
STEP_HALF = "bfloat16 training step, thesis model"
STEP_HALF_LARGE = "bfloat16 training step, 128x128"
INFER = "prediction"
MEMORY = "peak memory in training, 128x128"
EQUAL = "equality to the public cell, same weights"
LOAD = "loading 365 GeoTIFFs"
TILES = "tiles of 256 against the whole frame"
RANKS = "two ranks of one thread"
WHOLE = "a whole training against Keras, three seeds"
WAITING = "waiting for data"
GPU = "GPU"


@dataclass(frozen=True)
class Row:
    """One figure. ``asked`` is None where a figure is only told; ``at_least`` says which side is good."""

    key: str
    group: str
    title: str
    asked: Optional[float] = None
    at_least: bool = True
    unit: str = ""


ROWS = (
    Row("step_public", STEP, f"speed of {PUBLIC}", 1.17),
    Row("step_keras", STEP, f"speed of {KERAS}", 1.05),
    Row("step_ideal", STEP, f"speed of {IDEAL}", 0.90),
    Row("large_public", STEP_LARGE, f"speed of {PUBLIC}", 1.10),
    Row("large_keras", STEP_LARGE, f"speed of {KERAS}", 1.00),
    Row("large_ideal", STEP_LARGE, f"speed of {IDEAL}"),
    Row("half_public", STEP_HALF, f"speed of {PUBLIC}", 2.0),
    Row("half_autocast", STEP_HALF, f"speed of {AUTOCAST}", 1.15),
    Row("half_ideal", STEP_HALF, f"speed of {IDEAL} in bfloat16", 0.78),
    Row("half_keras", STEP_HALF, f"speed of {KERAS} in bfloat16"),
    Row("large_half_public", STEP_HALF_LARGE, f"speed of {PUBLIC}"),
    Row("large_half_autocast", STEP_HALF_LARGE, f"speed of {AUTOCAST}"),
    Row("large_half_ideal", STEP_HALF_LARGE, f"speed of {IDEAL} in bfloat16"),
    Row("infer_public", INFER, f"float32, thesis model, speed of {PUBLIC}", 1.15),
    Row("infer_large_public", INFER, f"float32, 128x128, speed of {PUBLIC}", 1.00),
    Row("infer_half_public", INFER, f"bfloat16, thesis model, speed of {PUBLIC}", 2.0),
    Row("infer_large_half_public", INFER, f"bfloat16, 128x128, speed of {PUBLIC}"),
    Row("infer_keras", INFER, f"float32, thesis model, speed of {KERAS}"),
    Row("memory", MEMORY, "float32, of that of the public cell", 0.70, False),
    Row("memory_half", MEMORY, "bfloat16, of that of the public cell in float32", 0.47, False),
    Row("memory_recompute", MEMORY, "float32, gates computed anew, of that of the public cell", 0.33, False),
    Row("recompute_time", MEMORY, "time of a step with gates computed anew, of that without", 1.3, False),
    Row("memory_half_recompute", MEMORY, "bfloat16, gates anew, of that of the public cell in float32", None, False),
    Row("memory_autocast", MEMORY, "the public cell under bfloat16 autocast, of that in float32", None, False),
    Row("memory_keras", MEMORY, "Keras in float32, of that of the public cell", None, False),
    Row("equal_output", EQUAL, "prediction, largest difference", 1e-6, False),
    Row("equal_relative", EQUAL, "prediction, relative", None, False),
    Row("equal_gradients", EQUAL, "gradients, relative, that of the worst weight", 1e-4, False),
    Row("equal_half", EQUAL, "prediction in bfloat16, relative", 1e-2, False),
    Row("load_rasters", LOAD, "speed of rioxarray", 4.5),
    Row("load_cache", LOAD, "from the cache, speed of rioxarray", 11.0),
    Row("tiles_equal", TILES, "largest difference", 1e-6, False),
    Row("tiles_time", TILES, "time of that of the whole frame", 1.02, False),
    Row("tiles_mib", TILES, "memory of a tile", 200.0, False, "MiB"),
    Row("ranks", RANKS, "speed of one process of two threads, same batch", 0.97),
    Row("whole_time", WHOLE, "time, of that of Keras in float32", 0.60, False),
    Row("whole_memory", WHOLE, "peak memory of the process, of that of Keras", 0.60, False),
    Row("whole_score", WHOLE, "mean squared error of the validation windows, of that of Keras", 1.00, False),
    Row("waiting", WAITING, "share of an epoch, on the processor", 0.02, False),
    Row("gpu_step", GPU, "thesis model, speed of the public cell, eager, float32", 3.0),
    Row("gpu_large", GPU, "128x128, bfloat16, speed of the public cell under autocast", 2.0),
    Row("gpu_roofline", GPU, "128x128, bfloat16, time of what memory and arithmetic allow", 3.0, False),
    Row("gpu_captured", GPU, "thesis model, captured graph, speed of Freshet without"),
)  # fmt: skip
KEYS = tuple(row.key for row in ROWS)


def gathered(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of all parts by key; those that no part measured say so."""
    rows: dict[str, dict[str, Any]] = {}
    for part in found.values():
        if isinstance(part, Mapping):
            rows.update(part.get("rows", {}))
    unknown = set(rows) - set(KEYS)
    if unknown:
        raise KeyError(f"figures without a row: {', '.join(sorted(unknown))}")
    return {key: rows.get(key, {"missing": "not part of this run"}) for key in KEYS}


def figure(result: Mapping[str, Any]) -> Optional[float]:
    """The figure that counts: by the medians, or the only one; None where nothing was measured."""
    return result.get("median", result.get("value"))


def verdict(row: Row, result: Mapping[str, Any]) -> str:
    """``reached``, ``not reached``, what the least of the rounds say where they disagree, or why there is no figure."""
    value = figure(result)
    if value is None:
        return f"not measured: {result['missing']}"
    if row.asked is None:
        return ""
    if _good(row, value):
        return "reached"
    return "not reached; by the least, reached" if _good(row, result.get("min", value)) else "not reached"


def _good(row: Row, value: float) -> bool:
    return value >= row.asked if row.at_least else value <= row.asked


def asked_words(row: Row) -> str:
    """What is asked, as it stands in a table."""
    if row.asked is None:
        return ""
    return f"at {'least' if row.at_least else 'most'} {_number(row.asked)}{f' {row.unit}' if row.unit else ''}"


def measured_words(row: Row, result: Mapping[str, Any]) -> str:
    """What was measured: by the medians, and in brackets by the least."""
    value = figure(result)
    if value is None:
        return "-"
    least = f" ({_number(result['min'])})" if "min" in result else ""
    return f"{_number(value)}{f' {row.unit}' if row.unit else ''}{least}"


def text_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """All figures for a screen."""
    lines, group = [], ""
    for row in ROWS:
        if row.group != group:
            group = row.group
            lines.append(group)
        result = rows[row.key]
        words = f"{asked_words(row):<18} {measured_words(row, result):<22} {verdict(row, result)}"
        lines.append(f"  {row.title:<70} {words}".rstrip())
    return "\n".join(lines) + "\n"


def markdown_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """All figures for a page."""
    lines = ["| | | asked | measured | |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.group} | {row.title} | {asked_words(row)} | {measured_words(row, rows[row.key])} | "
        f"{_stressed(verdict(row, rows[row.key]))} |"
        for row in ROWS
    ]
    return "\n".join(lines) + "\n"


def _stressed(words: str) -> str:
    return words.replace("not reached", "**not reached**", 1)


def _number(value: float) -> str:
    if value and abs(value) < 0.01:
        return f"{value:.1e}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
