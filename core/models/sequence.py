"""A ConvLSTM layer over a whole sequence: by the kernel of :mod:`core.models.sequence_kernel` where that can be.

Symbols: T steps, B windows, H rows, W columns, n input channels, m state channels.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as all_modules

from . import engine
from .gate_kernel import SCALE
from .sequence_kernel import Plan, Sequence, infer, part_of, prepare, started
from .side_by_side import groups_of, side_by_side

_DEVICES = ("cpu", "cuda")
_GROUP_BYTES = (
    2**20
)  # of gates whose steps share one gradient of the weights; more leave the cache before they are read


class Layer(NamedTuple):
    """What a layer computes with: ``weight_x`` (4 m, n, k, k), ``weight_h`` (4 m, m, k, k), and ``bias`` (4 m,) or in
    its place ``base`` (B, H, W, 4 m), what static maps and bias add at each step. Gates i, f, g, o.
    """

    weight_x: Tensor
    weight_h: Tensor
    bias: Optional[Tensor] = None
    base: Optional[Tensor] = None


def plain(*modules: nn.Module) -> bool:
    """Whether nobody looks at the single steps of modules by a hook: steps inside a kernel call none."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    own = any(getattr(part, name) for part in modules for name in names)
    return not own and not any(getattr(all_modules, f"_global{name}") for name in names)


def usable(*tensors: Optional[Tensor]) -> bool:
    """Whether a kernel may compute with ``tensors`` here: not where steps are asked for, nor for the ways of
    differentiating and tracing that it does not know (``torch.func``, forward mode, export), nor on other devices.
    """
    if torch.compiler.is_compiling():  # first, since a compiler cannot follow the rest
        return False
    if engine.current().kernel == "steps" or torch._C._are_functorch_transforms_active() or torch.jit.is_tracing():
        return False
    given = [item for item in tensors if item is not None]
    if any(type(item) not in (Tensor, nn.Parameter) or item.device.type not in _DEVICES for item in given):
        return False
    return all(forward_ad.unpack_dual(item).tangent is None for item in given)


def map_type(like: Tensor) -> torch.dtype:
    """The type of maps behind a convolution of ``like``: that of autocast where it is on."""
    device = like.device.type
    if hasattr(torch, "get_autocast_dtype"):
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else like.dtype
    if device == "cpu":  # PyTorch before 2.4 asks each device by a name of its own
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else like.dtype
    return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else like.dtype


def run_layer(
    layer: Layer,
    frames: Tensor,
    start: Optional[tuple[Tensor, Tensor]] = None,
    warm_up: int = 0,
    last: int = 0,
    use_up: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The outputs (last, B, H, W, m) of the ``last`` steps (0: of all), and the final state h and c (B, H, W, m).

    ``frames`` (T, B, H, W, n); ``start`` the state before the first step, None for zeros. No gradient goes through the
    first ``warm_up`` steps. No NaN is expected or handled. ``use_up``: nobody else reads the ``frames``, so that their
    gradient may take their room where memory is spared; there is one backward pass then.
    """
    kind, count = map_type(frames), len(frames)
    settings, hidden = engine.current(), layer.weight_h.shape[1]
    size = engine.gate_bytes(*frames.shape[1:4], hidden, kind.itemsize)
    group = max(1, _GROUP_BYTES // max(1, size))
    plan = Plan(
        kind,
        layer.weight_h.shape[-1] // 2,
        min(warm_up, count),
        last or count,
        settings.recompute,
        engine.hoists(),
        group,
        tuple(groups_of(frames.shape[1], size, frames.device.type)),
        use_up and settings.recompute and group == 1,  # several steps of a group are read when they are complete
    )
    h, c = start or (None, None)
    given = (frames, *layer, h, c)
    learns = torch.is_grad_enabled() and any(item is not None and item.requires_grad for item in given)
    if learns and plan.warm_up < count:
        return Sequence.apply(plan, *given)
    return _infer(plan, layer, frames, h, c)


def _infer(
    plan: Plan, layer: Layer, frames: Tensor, h: Optional[Tensor], c: Optional[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`run_layer` without anything for a gradient."""
    with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
        maps, start = frames.to(plan.kind).contiguous(), started(plan, h, c)
        weights = prepare(layer.weight_x, layer.weight_h, plan.kind, SCALE, layer.bias, layer.base)
        outputs = maps.new_empty((plan.last, *frames.shape[1:4], layer.weight_h.shape[1]))
        tasks = []
        for part in plan.parts:
            tasks.append((plan, part_of(weights, part), maps[:, part], part_of(start, part), outputs[:, part]))
        ends = side_by_side(infer, tasks)
    h, c = (parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*ends))
    return outputs, h, c
