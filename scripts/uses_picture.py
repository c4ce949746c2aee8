"""The pictures of docs/uses.md: maps of one date side by side, in one range of colours."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

_GREY = "#d9d9d6"


def draw(
    path: Path,
    maps: dict[str, np.ndarray],
    units: str,
    ramp: str,
    note: str = "",
    gauges: Optional[tuple[np.ndarray, np.ndarray]] = None,
) -> None:
    """Write maps (H, W) by their titles as one PNG. ``gauges``: cells trained on (dots), and kept apart (rings)."""
    values = np.concatenate([item[np.isfinite(item)] for item in maps.values()])
    low, high = (float(edge) for edge in np.percentile(values, (1, 99)))
    shape = next(iter(maps.values())).shape
    width = 2.15
    figure, panels = plt.subplots(
        1, len(maps), figsize=(width * len(maps) + 0.7, width * shape[0] / shape[1] + 0.5), layout="constrained"
    )
    colours = mpl.colormaps[ramp].with_extremes(bad=_GREY)
    for panel, (title, held) in zip(panels, maps.items()):
        image = panel.imshow(held, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        panel.set_title(title, fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
        for cells, style in zip(gauges or (), ({"c": "black"}, {"c": "none", "edgecolors": "black"})):
            rows, columns = np.unravel_index(cells, shape)
            panel.scatter(columns, rows, s=14, linewidths=1.0, **style)
    bar = figure.colorbar(image, ax=panels, shrink=0.85, pad=0.01)
    bar.set_label(f"{units}, {note}" if note else units, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
