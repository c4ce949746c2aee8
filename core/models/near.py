"""A prediction at one place, computed only where it depends on.

The last step of a window depends on a few cells around the place, the step before on some more, and so on: a cone that
widens by the kernels into the past. Leaving out what lies outside of it changes nothing but the time; for one cell in
the middle of 54 x 36 and 30 steps about half of the work lies outside.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch.nn.functional as F
from torch import Tensor

from .cells import ConvLSTMCell, State
from .convlstm import ConvLSTM, _normalise

_STRIDE = 3  # steps that share one region: kernels are made anew for each size of a map


class Region(NamedTuple):
    """Rows and columns of a frame, each as first and past the last."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self, cells: int, rows: int, columns: int) -> Region:
        """With a margin, within a frame."""
        return Region(
            max(0, self.top - cells), min(rows, self.bottom + cells),
            max(0, self.left - cells), min(columns, self.right + cells),
        )  # fmt: skip

    def around(self, other: Region) -> Region:
        """The smallest that holds both."""
        return Region(
            min(self.top, other.top), max(self.bottom, other.bottom),
            min(self.left, other.left), max(self.right, other.right),
        )  # fmt: skip

    def cut(self, maps: Tensor, held: Region) -> Tensor:
        """This part of ``maps`` (B, H, W, C) of the region ``held``, which contains it."""
        if self == held:
            return maps
        rows = slice(self.top - held.top, self.bottom - held.top)
        return maps[:, rows, self.left - held.left : self.right - held.left]


def narrows(model: object) -> bool:
    """Whether :func:`predict_near` knows the model. Group normalisation and attention read the whole frame."""
    return type(model) is ConvLSTM and not model.decodes and model.options["normalisation"] != "group"


def predict_near(
    model: ConvLSTM, x: Tensor, static: Optional[Tensor], observed: Optional[Tensor], box: Region
) -> Tensor:
    """``y_hat`` (B, L, K, H, W) as the model gives it in evaluation mode within ``box``, and 0 outside. Arguments and
    symbols: :mod:`core.models.base`.
    """
    model.check_input(x, static, observed, 1)
    frames, fixed = model._frames(x, observed), model._fixed(x, static)
    steps, _, rows, columns = frames.shape[:4]
    head = box.grown(model.options["head_kernel"] // 2, rows, columns)
    regions = _regions([cell.radius for cell in model.encoder], head, steps, (rows, columns))
    whole = Region(0, rows, 0, columns)
    maps = [(frame, whole) for frame in frames.unbind(0)]
    for layer, cell in enumerate(model.encoder):
        outputs = _through(cell, maps, regions[layer], fixed if layer == 0 else None)
        kept = slice(-1, None) if layer == len(model.encoder) - 1 else slice(None)
        norm = model.encoder_norms[layer]
        maps = [
            (_normalise(norm, output.unsqueeze(0)).squeeze(0), region)
            for output, region in zip(outputs[kept], regions[layer][kept])
        ]
    found = box.cut(model._head(head.cut(*maps[0])), head).permute(0, 3, 1, 2)
    found = F.pad(found, (box.left, columns - box.right, box.top, rows - box.bottom))
    return found.reshape(len(x), model.leads, model.out_channels, rows, columns)


def _through(
    cell: ConvLSTMCell, maps: list[tuple[Tensor, Region]], regions: list[Region], static: Optional[Tensor]
) -> list[Tensor]:
    """Outputs of one layer, each of its region."""
    first, whole = maps[0]
    context = cell.begin(first, static)
    state, held, outputs = None, regions[0], []
    for (frame, given), region in zip(maps, regions):
        near = context if context.base is None else context._replace(base=region.cut(context.base, whole))
        if state is not None:
            state = State(region.cut(state.h, held), region.cut(state.c, held))
        state, held = cell(region.cut(frame, given), state, near), region
        outputs.append(state.h)
    return outputs


def _regions(radii: list[int], needed: Region, steps: int, frame: tuple[int, int]) -> list[list[Region]]:
    """For each layer and step where it is computed: what is needed of it, and the margin that its kernel reads, in
    which the padding spoils the values. Regions only shrink from step to step, and from layer to layer.
    """
    found: list[list[Region]] = []
    read: list[Optional[Region]] = [None] * (steps - 1) + [needed]  # by what comes after the layer
    for radius in reversed(radii):
        regions: list[Region] = []
        for step in range(steps - 1, -1, -1):
            wanted = [region for region in (read[step], regions[-1] if regions else None) if region is not None]
            whole = wanted[0] if len(wanted) == 1 else wanted[0].around(wanted[1])
            regions.append(whole.grown(radius, *frame))
        read = regions[::-1]
        found.insert(0, read)
    return [[layer[step - step % _STRIDE] for step in range(steps)] for layer in found]
