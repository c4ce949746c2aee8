"""Models of one kind whose weights lie in one tensor each, computed at once by ``torch.func``. Symbols: K models, B
windows, as in :class:`core.data.windows.Batch`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..data.windows import Batch
from .batches import Piece
from .loop import Training
from .stepped import stepped
from .work import Work, predict_batch, tensor_of


class Stack:
    """Modules of one kind whose tensors lie in one tensor each, along a first axis of K.

    Their parameters and buffers become views into it, so that an optimizer of a module, or ``load_state_dict``, changes
    the stack too.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = list(modules)
        self._like = stepped(copy.deepcopy(modules[0]))
        self.parameters = {
            name: torch.stack([dict(module.named_parameters())[name].detach() for module in modules]).requires_grad_(
                parameter.requires_grad
            )
            for name, parameter in modules[0].named_parameters()
        }
        self.buffers = {
            name: torch.stack([dict(module.named_buffers())[name] for module in modules])
            for name, _ in modules[0].named_buffers()
        }
        for number, module in enumerate(modules):
            for name, parameter in module.named_parameters():
                parameter.data = self.parameters[name].detach()[number]
            for name in [name for name, _ in module.named_buffers()]:
                _set_buffer(module, name, self.buffers[name][number])

    def learn(self, trainings: Sequence[Training], pieces: Sequence[Piece]) -> list[tuple[Tensor, Tensor]]:
        """Gradients of one piece of each member, added to those that its parameters hold; gives sum and count of each
        loss.
        """
        parts = [training.begin_piece(piece) for training, piece in zip(trainings, pieces)]
        size = max(len(piece.ends) for piece in pieces)
        batches, variances = [_filled(batch, size) for batch, _, _ in parts], [variance for _, variance, _ in parts]
        totals, counts = self.forward(trainings[0].work, batches, torch.stack(variances), parts[0][2])
        whole = pieces[0].first and pieces[0].last
        (totals / counts.clamp(min=1) if whole else totals).sum().backward()
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            for number, module in enumerate(self._modules):
                own = module.get_parameter(name)
                own.grad = parameter.grad[number] if own.grad is None else own.grad + parameter.grad[number]
            parameter.grad = None
        return list(zip(totals.detach(), counts))

    def forward(
        self, work: Work, batches: Sequence[Batch], variances: Tensor, sampling: float
    ) -> tuple[Tensor, Tensor]:
        """Sums and counts (K,) of the losses of one batch of each member."""
        names = [item.name for item in dataclasses.fields(Batch) if getattr(batches[0], item.name) is not None]
        tensors = {
            name: torch.stack([tensor_of(getattr(batch, name), work.device) for batch in batches]) for name in names
        }
        self._like.train()

        def one(parameters: dict, buffers: dict, given: dict, variance: Tensor) -> tuple[Tensor, Tensor]:
            batch = Batch(**{item.name: given.get(item.name) for item in dataclasses.fields(Batch)})
            module = _Called(self._like, (parameters, buffers))
            steps = work.config.supervised_steps
            predicted = predict_batch(module, batch, work.device, work.precision, steps, work.warm_up, sampling)
            return work.loss.parts(predicted, batch.y, variance)

        # A family that draws random numbers would draw others than alone: that is refused here, and said.
        return vmap(one, randomness="error")(self.parameters, self.buffers, tensors, variances)


class _Called:
    """A module that is called with other tensors than its own; its facts are the module's."""

    def __init__(self, module: nn.Module, tensors: tuple[dict, dict]) -> None:
        self._module, self._tensors = module, tensors

    def __call__(self, *inputs: Any, **more: Any) -> Any:
        return functional_call(self._module, self._tensors, inputs, more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _filled(batch: Batch, size: int) -> Batch:
    """``batch`` with ``size`` windows: the first one again, without targets, so that it counts for nothing."""
    missing = size - len(batch.x)
    if missing == 0:
        return batch
    more = {}
    for item in dataclasses.fields(Batch):
        values = getattr(batch, item.name)
        if values is not None and item.name != "mask":  # that of the basin, the same for all windows
            again = np.repeat(values[:1], missing, axis=0)
            more[item.name] = np.concatenate([values, again * np.nan if item.name == "y" else again])
    return dataclasses.replace(batch, **more)


def _set_buffer(module: nn.Module, name: str, value: Tensor) -> None:
    path, _, last = name.rpartition(".")
    module.get_submodule(path)._buffers[last] = value
