"""Grad-CAM (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74) of a recurrent layer: its states at each step of the
window, each channel weighted by the mean gradient of the prediction over the map of that step.

captum's LayerGradCam keeps one call of a layer and a recurrent layer is called once a step, so the states are caught
here; coarser maps are brought to the grid by captum. Nothing is cut off at zero: what lowers the prediction is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ...contracts.errors import ConfigError, ModelFileError
from ...models.cells import ConvLSTMCell
from .base import Problem, Settings, Step, Work


@dataclass(eq=False)
class RecurrentLayer:
    """A layer that gives a state a step: its name in the model and the states that it gave in one pass, oldest first,
    each (1, channels, h, w), of :class:`ConvLSTMCell` (1, h, w, channels); ``sequences`` (n, T, channels) where it
    takes whole sequences.
    """

    name: str
    module: nn.Module
    states: list[Tensor] = field(default_factory=list)
    sequences: Optional[Tensor] = None


def grad_cam(problem: Problem, settings: Settings) -> Work:
    """Heat by step and cell of the layer ``settings.layer``; raises :class:`ConfigError` where it is not there."""
    layer = chosen(recurrent_layers(problem), settings.layer, problem)
    with _caught([layer]), torch.enable_grad():
        prediction = problem.function(*(part.detach().requires_grad_() for part in problem.inputs))
        kept = layer.states if layer.sequences is None else [layer.sequences]
        slopes = torch.autograd.grad(prediction.sum(), kept, allow_unused=True)
    slopes = [torch.zeros_like(s) if g is None else g for s, g in zip(kept, slopes)]
    if layer.sequences is not None:
        heat = _sequences(problem, kept[0], slopes[0])
    else:
        heat = _maps(problem, kept, slopes, channel=3 if isinstance(layer.module, ConvLSTMCell) else 1)
    yield Step(1, 1)
    return problem.heat(heat, 1, layer=layer.name)


def passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    return 1, 1


def recurrent_layers(problem: Problem) -> list[RecurrentLayer]:
    """The recurrent layers of a model, from the input upwards: those that give one state a step of the window, or where
    no layer does, at each of its last steps (as layers that read several steps side by side).
    """
    module = problem.function.module
    found = [RecurrentLayer(name, part) for name, part in module.named_modules() if name]
    order: list[RecurrentLayer] = []
    with _caught(found, order):
        problem.at(problem.inputs)
    steps = [layer for layer in order if layer.sequences is not None or len(layer.states) == problem.window]
    steps = steps or [layer for layer in order if 1 < len(layer.states) < problem.window]
    names = [layer.name for layer in steps]
    return [layer for layer in steps if not any(layer.name.startswith(f"{name}.") for name in names)]


def chosen(layers: list[RecurrentLayer], text: str, problem: Problem) -> RecurrentLayer:
    """The layer of a name or a number from below (1 is the first), the topmost for an empty text."""
    if not layers:
        raise ModelFileError(
            "The model has no recurrent layer whose states could be shown",
            expected="layers that give a map of states at each step, such as those of a ConvLSTM",
            got=type(problem.function.module).__name__,
            remedy="Choose integrated gradients or occlusion",
        )
    if not text:
        return layers[-1]
    if text.isdigit() and 1 <= int(text) <= len(layers):
        return layers[int(text) - 1]
    for layer in layers:
        if layer.name == text:
            return layer
    raise ConfigError(
        f"The model has no recurrent layer '{text}'",
        expected=", ".join(f"{number} ({layer.name})" for number, layer in enumerate(layers, start=1)),
        remedy="Choose one of these by its number or name, or leave it empty for the topmost",
    )


@contextlib.contextmanager
def _caught(layers: list[RecurrentLayer], order: Optional[list[RecurrentLayer]] = None) -> Iterator[None]:
    """Collect the states of ``layers`` while the model runs; ``order`` takes them in the order of their first call."""

    def hook(layer: RecurrentLayer) -> Any:
        def catch(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(module, nn.RNNBase):
                layer.sequences = output[0]
            elif isinstance(output, (tuple, list)):
                state = _first_tensor(output)
                if state is None or state.dim() != 4:
                    return
                layer.states.append(state)
            else:
                return
            if order is not None and layer not in order:
                order.append(layer)

        return catch

    for layer in layers:
        layer.states, layer.sequences = [], None
    handles = [layer.module.register_forward_hook(hook(layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first_tensor(output: Any) -> Optional[Tensor]:
    if isinstance(output, Tensor):
        return output
    found = (_first_tensor(item) for item in output) if isinstance(output, (tuple, list)) else ()
    return next((item for item in found if item is not None), None)


def _maps(problem: Problem, states: list[Tensor], slopes: list[Tensor], channel: int) -> Tensor:
    """(T, H, W), 0 at first steps that have no state; ``channel`` is the axis of the channels."""
    from captum.attr import LayerAttribution

    cells = tuple(axis for axis in (1, 2, 3) if axis != channel)
    heat = torch.stack(
        [(slope.mean(dim=cells, keepdim=True) * state).sum(dim=channel)[0] for state, slope in zip(states, slopes)]
    ).detach()
    if tuple(heat.shape[1:]) != problem.frame:
        heat = LayerAttribution.interpolate(heat[:, None], problem.frame, "bilinear")[:, 0]
    return torch.cat((heat.new_zeros(problem.window - len(heat), *problem.frame), heat))


def _sequences(problem: Problem, states: Tensor, slopes: Tensor) -> Tensor:
    """(T, H, W) of a layer that computes each cell on its own, (T, 1, 1) of one that sees the basin as a whole."""
    heat = (slopes.mean(dim=0, keepdim=True) * states).sum(dim=2).detach()
    count, steps = heat.shape
    rows, columns = problem.frame
    return heat.T.reshape(steps, rows, columns) if count == rows * columns else heat.mean(dim=0).reshape(steps, 1, 1)
