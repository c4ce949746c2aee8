"""A prediction at one place or on one tile, computed only where it depends on.

The last step of a window depends on a few cells around the place, the step before on some more, and so on: a cone that
widens by the kernels into the past. Leaving out what lies outside of it changes nothing but the time; for one cell in
the middle of 54 x 36 and 30 steps about half of the work lies outside. The halo of a tile shrinks in the same way.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from .cells import Context, ConvLSTMCell, State
from .convlstm import ConvLSTM, _normalise
from .gate_kernel import GATES, SCALE
from .sequence_kernel import prepare

_STRIDE = 3  # steps that share one region: kernels are made anew for each size of a map


class Region(NamedTuple):
    """Rows and columns of a frame, each as first and past the last."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

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
    found = predict_within(model, x, static, observed, box)[:, -1]
    return F.pad(found, (box.left, x.shape[-1] - box.right, box.top, x.shape[-2] - box.bottom))


def predict_within(
    model: ConvLSTM,
    x: Tensor,
    static: Optional[Tensor],
    observed: Optional[Tensor],
    box: Region,
    last_steps: int = 1,
    stride: int = _STRIDE,
) -> Tensor:
    """Predictions (B, last_steps, L, K, h, w) of the last steps within ``box``, as the model gives them in evaluation
    mode. ``stride``: steps that share one region.

    Step by step through all layers, so that the memory does not grow with the window.
    """
    model.check_input(x, static, observed, last_steps)
    fixed, steps, (rows, columns) = model._fixed(x, static), x.shape[1], x.shape[3:]
    whole, head = Region(0, rows, 0, columns), box.grown(model.options["head_kernel"] // 2, rows, columns)
    needed = [head if step >= steps - last_steps else None for step in range(steps)]
    regions = _regions([cell.radius for cell in model.encoder], needed, (rows, columns), stride)
    layers = [
        _layer(cell, x.permute(1, 0, 3, 4, 2), fixed if number == 0 else None, regions[number])
        for number, cell in enumerate(model.encoder)
    ]
    found = []
    for step in range(steps):
        now = slice(step, step + 1)
        maps, held = model._frames(x[:, now], None if observed is None else observed[:, now])[0], whole
        for layer, norm in zip(layers, model.encoder_norms):
            maps, held = layer.step(step, maps, held)
            if needed[step] is not None or layer is not layers[-1]:
                maps = _normalise(norm, maps.unsqueeze(0)).squeeze(0)
        if needed[step] is not None:
            found.append(box.cut(model._head(head.cut(maps, held)), head).permute(0, 3, 1, 2))
    return torch.stack(found, dim=1).unflatten(2, (model.leads, model.out_channels))


class _Layer:
    """One layer on its way through the steps: a cell and the state of the region where it was computed last."""

    def __init__(self, cell: ConvLSTMCell, context: Context, whole: Region, regions: list[Region]) -> None:
        self._cell, self._context, self._whole, self._regions = cell, context, whole, regions
        self._near, self._state, self._held = context, None, None

    def step(self, number: int, maps: Tensor, given: Region) -> tuple[Tensor, Region]:
        """Output and its region, from ``maps`` (B, H, W, C) of the region ``given``."""
        region = self._regions[number]
        if region != self._held:
            base, state = self._context.base, self._state
            if base is not None:
                self._near = self._context._replace(base=region.cut(base, self._whole).contiguous())
            if state is not None:
                self._state = State(*(region.cut(part, self._held) for part in state))
        self._advance(region.cut(maps, given))
        self._held = region
        return self._state.h, region

    def _advance(self, maps: Tensor) -> None:
        self._state = self._cell(maps, self._state, self._near)


class _LeanLayer(_Layer):
    """The same without gradients, as the kernel computes it: in place, two gates at a time, so that little more than
    these, the maps that are read and the state are in memory.
    """

    def __init__(self, cell: ConvLSTMCell, context: Context, whole: Region, regions: list[Region]) -> None:
        super().__init__(cell, context, whole, regions)
        bias = cell.bias if context.base is None else None
        weights = prepare(context.weight_x, cell.weight_h, cell.weight_h.dtype, SCALE, bias, context.base)
        self._first, self._more = _halves(weights.x), _halves(weights.both)
        self._bias = None if weights.bias is None else _halves(weights.bias)
        self._context = context._replace(base=weights.base)
        self._rooms: dict[str, Tensor] = {}
        self._last: tuple[int, ...] = ()

    def _room(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Memory that is used at each step again: regions only shrink, so the first is the largest."""
        size = math.prod(shape)
        if name not in self._rooms:
            self._rooms[name] = self._cell.weight_h.new_empty(size)
        return self._rooms[name][:size].view(shape)

    def _advance(self, maps: Tensor) -> None:
        state, shape, hidden = self._state, maps.shape[:3], self._cell.hidden
        halves = self._first if state is None else self._more
        c, new = (self._room(name, (*shape, hidden)) for name in ("c", "h"))
        if state is not None:
            both = self._room("both", (*shape, maps.shape[-1] + hidden))
            maps = torch.cat((maps, state.h), dim=-1, out=both)  # from here on the room of h is free
            if state.c.shape != self._last:  # a part of the same room
                c.copy_(state.c.clone())
        i, s = self._gates(maps, halves, 0)  # s is that of -2 g: tanh(g) = 1 - 2 s
        torch.addcmul(i, i, s, value=-2.0, out=new)
        del i, s
        f, o = self._gates(maps, halves, 1)
        c = c.copy_(new) if state is None else c.mul_(f).add_(new)
        torch.mul(c, -2.0, out=new).sigmoid_()
        self._state, self._last = State(torch.addcmul(o, o, new, value=-2.0, out=new), c), c.shape

    def _gates(self, maps: Tensor, halves: tuple[Tensor, Tensor], half: int) -> tuple[Tensor, Tensor]:
        bias = None if self._bias is None else self._bias[half]
        planes = F.conv2d(maps.permute(0, 3, 1, 2), halves[half], bias, padding=self._cell.radius)
        gates = planes.permute(0, 2, 3, 1).contiguous()
        if self._near.base is not None:
            gates.unflatten(-1, (2, -1)).add_(self._near.base.unflatten(-1, (GATES, -1))[..., half::2, :])
        one, other = gates.sigmoid_().unflatten(-1, (2, -1)).unbind(-2)
        return one, other


def _halves(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows (4 m, ...) of i and g, and those of f and o."""
    gates = rows.unflatten(0, (GATES, -1))
    kind = torch.channels_last if rows.dim() == 4 else torch.contiguous_format
    one, other = (gates[list(places)].flatten(0, 1).contiguous(memory_format=kind) for places in ((0, 2), (1, 3)))
    return one, other


def _layer(cell: ConvLSTMCell, frames: Tensor, static: Optional[Tensor], regions: list[Region]) -> _Layer:
    """For one pass through ``frames`` (T, B, H, W, C)."""
    context = cell.begin(frames[0], static)
    lean = not torch.is_grad_enabled() and not torch.is_autocast_enabled() and frames.dtype is cell.weight_h.dtype
    made = _LeanLayer if lean and cell.whole(context, frames) is not None else _Layer
    return made(cell, context, Region(0, frames.shape[2], 0, frames.shape[3]), regions)


def _regions(
    radii: list[int], needed: list[Optional[Region]], frame: tuple[int, int], stride: int
) -> list[list[Region]]:
    """For each layer and step where it is computed: what is ``needed`` of it, and the margin that its kernel reads, in
    which the padding spoils the values. Regions only shrink from step to step, and from layer to layer.
    """
    found: list[list[Region]] = []
    read, steps = needed, len(needed)  # by what comes after the layer
    for radius in reversed(radii):
        regions: list[Region] = []
        for step in range(steps - 1, -1, -1):
            wanted = [region for region in (read[step], regions[-1] if regions else None) if region is not None]
            whole = wanted[0] if len(wanted) == 1 else wanted[0].around(wanted[1])
            regions.append(whole.grown(radius, *frame))
        read = regions[::-1]
        found.insert(0, read)
    return [[layer[step - step % stride] for step in range(steps)] for layer in found]
