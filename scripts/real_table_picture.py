"""The picture of docs/real-data.md: one panel a task, one line a family, one dot a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from real_table_page import best_family, best_simple, budgets_of, rows_of
from real_tasks import TASKS

INK, SOFT, BLUE, RED = "#1a1a1a", "#777777", "#2c7fb8", "#c0392b"
COLUMNS = 2
LEAST_SHARE = 0.6  # of the room below the best score that is shown; what is worse stands at the left edge


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw all tasks that have results."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    usual = budgets_of(summary)[0]
    tasks = [(task, rows_of(summary, task, usual)) for task in TASKS]
    tasks = [(task, rows) for task, rows in tasks if best_family(rows, trained=True) is not None]
    lines = -(-len(tasks) // COLUMNS)
    heights = [max(len(rows) for _, rows in tasks[i * COLUMNS : (i + 1) * COLUMNS]) + 4 for i in range(lines)]
    figure = Figure(figsize=(11.5, 0.17 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, COLUMNS, squeeze=False, height_ratios=heights).ravel()
    for axis in axes[len(tasks) :]:
        axis.set_axis_off()
    for axis, (task, rows) in zip(axes, tasks):
        _panel(axis, task, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axis: Any, task: Any, rows: list[Any]) -> None:
    baseline = best_simple(rows)
    rows = [row for row in rows if row.simple or row.name not in ("persistence", "climatology")]
    top, most = max(row.mean for row in rows), max(max(row.scores) for row in rows)
    left = min(baseline.mean, top) - LEAST_SHARE * max(1.0 - min(baseline.mean, top), 0.02) - (top - baseline.mean)
    for place, row in enumerate(reversed(rows)):
        colour = RED if row.simple else BLUE
        for value in row.scores:
            if value < left:
                axis.plot(left, place, marker="<", color=colour, markersize=4, clip_on=False)
            else:
                axis.plot(value, place, marker="o", color=colour, markersize=3.5, alpha=0.8)
    axis.axvline(baseline.mean, color=RED, linewidth=0.8, zorder=0)
    axis.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], fontsize=6.5)
    axis.set_xlim(left, min(1.0, most + 0.05 * (most - left)))
    axis.tick_params(axis="x", labelsize=7)
    axis.set_title(f"{task.title}", fontsize=8.5, color=INK, loc="left")
    axis.set_xlabel("NSE of log1p" if task.log1p else "NSE", fontsize=7, color=SOFT)
    axis.grid(axis="x", color="#e5e5e2", linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
