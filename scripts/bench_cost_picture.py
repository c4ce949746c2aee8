"""The chart of docs/benchmarks.md: time and memory as work grows, with a line along which they grow evenly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INK, SOFT, BLUE, RED = "#1a1a1a", "#9a9a9a", "#2c7fb8", "#c0392b"
ROWS = (("seconds", "time, s", BLUE), ("mib", "memory, MiB", RED))


def draw(cost: dict[str, Any], path: Path) -> None:
    """One column an axis, time above memory, both axes logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(cost), squeeze=False, sharex="col")
    for column, (name, found) in enumerate(cost.items()):
        for line, (what, label, colour) in enumerate(ROWS):
            axis = axes[line][column]
            _panel(axis, found["sizes"], found[what], found["exponents"][what], colour)
            if line == len(ROWS) - 1:
                axis.set_xlabel(found["label"], fontsize=8.5, color=INK)
            elif name == "years":
                axis.set_title("an epoch", fontsize=9, color=INK, loc="left")
            else:
                axis.set_title("a training step", fontsize=9, color=INK, loc="left")
            if column == 0:
                axis.set_ylabel(label, fontsize=8.5, color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _panel(axis: Any, sizes: list[float], values: list[float], power: float, colour: str) -> None:
    axis.loglog(
        sizes, values, marker="o", markersize=4, linewidth=1.2, color=colour, label=f"measured, exponent {power:.2f}"
    )
    middle = len(sizes) // 2
    even = [values[middle] * size / sizes[middle] for size in sizes]
    axis.loglog(sizes, even, linewidth=0.9, linestyle="--", color=SOFT, label="exponent 1")
    axis.legend(fontsize=7, frameon=False, loc="upper left")
    axis.set_xticks(sizes, [f"{size:g}" for size in sizes], fontsize=7)
    axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axis.tick_params(axis="y", which="both", labelsize=7)
    axis.grid(color="#e5e5e2", linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
