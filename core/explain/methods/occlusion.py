"""Occlusion (Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53): what the prediction loses where a part of one
variable is set to its baseline, with captum's sliding window. In space a block of cells over all steps, in time some
steps over all cells. The loss is shared evenly among what was taken away, so that the sum over a map is the sum of the
losses of its blocks.

captum sees one strip of one variable at a time (a row of blocks, or the whole frame in time), so that a run can be
cancelled between two strips and memory holds ``at_once`` windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .base import Problem, Settings, Step, Work

_Strip = tuple[int, int, slice]  # part, channel, rows


def in_space(problem: Problem, settings: Settings) -> Work:
    """Blocks of ``block`` x ``block`` cells, all steps at once; steps are not told apart."""
    rows, columns = problem.frame
    block = settings.block
    strips = [
        (part, group, slice(top, min(rows, top + block)))
        for part, group in _groups(problem)
        for top in range(0, rows, block)
    ]
    shapes = [
        (1, part.shape[2], rows, columns) if part.dim() == 5 else (part.shape[1], rows, columns)
        for part in problem.inputs
    ]
    totals = [np.zeros(shape) for shape in shapes]
    done = 0
    for number, (part, group, strip) in enumerate(strips):
        cells = (strip.stop - strip.start) * np.minimum(block, columns - np.arange(0, columns, block))
        lost = _losses(problem, part, group, strip, (None, block))
        shared = np.repeat(lost / cells, block)[:columns] / len(group)
        _channel(totals[part], group)[..., strip, :] += shared
        done += len(lost)
        yield Step(number + 1, len(strips), lambda done=done: problem.answer(totals, done))
    return problem.answer(totals, done, block=block)


def in_time(problem: Problem, settings: Settings) -> Work:
    """``block_steps`` steps over all cells; cells are not told apart. A static map is taken away as a whole."""
    rows, length = problem.frame[0], settings.block_steps
    groups = list(_groups(problem))
    totals = [
        np.zeros((part.shape[1], part.shape[2], 1, 1) if part.dim() == 5 else (part.shape[1], 1, 1))
        for part in problem.inputs
    ]
    done = 0
    for number, (part, group) in enumerate(groups):
        whole = slice(0, rows)
        if problem.inputs[part].dim() == 5:
            steps = problem.inputs[part].shape[1]
            lost = _losses(problem, part, group, whole, (length, None))
            sizes = np.minimum(length, steps - np.arange(0, steps, length))
            shared = np.repeat(lost / sizes, length)[:steps] / len(group)
            totals[part][:, list(group), 0, 0] += shared[:, None]
        else:
            lost = _losses(problem, part, group, whole, (None, None))
            totals[part][list(group), 0, 0] += lost[0] / len(group)
        done += len(lost)
        yield Step(number + 1, len(groups))
    return problem.answer(totals, done, block_steps=length)


def passes_in_space(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    rows, columns = problem.frame
    blocks = -(-rows // settings.block) * -(-columns // settings.block)
    return len(list(_groups(problem))) * (blocks + -(-rows // settings.block)), 0


def passes_in_time(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    return sum(
        1 + (-(-problem.inputs[part].shape[1] // settings.block_steps) if problem.inputs[part].dim() == 5 else 1)
        for part, _ in _groups(problem)
    ), 0  # fmt: skip


def _groups(problem: Problem) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(part, channels) of each variable; those that the baseline leaves as they are would lose nothing."""
    for part, owners in enumerate(problem.owners):
        for owner in dict.fromkeys(owners):
            group = tuple(channel for channel, own in enumerate(owners) if own == owner)
            axis = 2 if problem.inputs[part].dim() == 5 else 1
            if _picked(problem.differences[part], axis, group).any():
                yield part, group


def _losses(problem: Problem, part: int, group: tuple[int, ...], rows: slice, block: tuple) -> np.ndarray:
    """Loss of each block, in their order: blocks of (steps, columns), None for all of them."""
    from captum.attr import Occlusion

    whole, axis = problem.inputs[part], 2 if problem.inputs[part].dim() == 5 else 1
    strip = _picked(whole, axis, group)[..., rows, :]
    dry = _picked(problem.baselines[part], axis, group)[..., rows, :]

    def lost(piece: Tensor) -> Tensor:
        count = len(piece)
        parts = [other.expand(count, *other.shape[1:]) for other in problem.inputs]
        changed = parts[part].clone()
        changed[(slice(None),) * axis + (list(group), rows)] = piece
        parts[part] = changed
        return problem.function(*parts)

    steps, columns = block
    window = list(strip.shape[1:])
    window[0] = min(steps or window[0], window[0])
    window[-1] = min(columns or window[-1], window[-1])
    with torch.no_grad():
        found = Occlusion(lost).attribute(
            strip, sliding_window_shapes=tuple(window), strides=tuple(window), baselines=dry,
            perturbations_per_eval=problem.at_once,
        )  # fmt: skip
    values = found[0].detach().cpu().double().numpy()
    if steps:
        return values.reshape(values.shape[0], -1)[:: window[0], 0]
    return values.reshape(-1, values.shape[-1])[0, :: window[-1]]


def _picked(tensor: Tensor, axis: int, group: tuple[int, ...]) -> Tensor:
    return tensor.index_select(axis, torch.tensor(group, device=tensor.device))


def _channel(total: np.ndarray, group: tuple[int, ...]) -> np.ndarray:
    """The channels of a group as a view that can be added to: neighbours, since a variable's channels are such."""
    where = slice(group[0], group[-1] + 1)
    return total[:, where] if total.ndim == 4 else total[where]
