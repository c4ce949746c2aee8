"""One model as an ONNX graph, and the comparison of that graph with the model."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ...contracts.errors import EngineError, ModelFileError
from ...contracts.model_card import CARD_KEY, ModelCard
from ...contracts.models import family
from .open_steps import with_open_steps

TOLERANCE = 1e-4  # of the largest output, or of 1 where that is smaller; a wrong graph is off by far more
_BATCH, _STEPS = 2, 4
_NEEDED = ("onnx", "onnxscript")
_FAULTS = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError, LookupError)


@dataclass(frozen=True)
class Size:
    """Of a window: samples, steps, rows, columns."""

    batch: int
    steps: int
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.steps} steps, {self.rows} x {self.columns} cells"


@dataclass(frozen=True)
class Way:
    """How a model is traced: with an open number of steps or that of its card, on a grid of any size or on one."""

    module: nn.Module
    open_steps: bool
    open_grid: bool


class Graphed(nn.Module):
    """A model as a function of its named inputs, in their order, that gives ``y_hat`` alone."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.names = module, tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """``y_hat`` (B, L, K, H, W) or (B, L, K, G), scaled."""
        x, *more = inputs
        return self.module(x, **dict(zip(self.names[1:], more)))["y_hat"]


def check_libraries() -> None:
    """Raise :class:`EngineError` that says what to install where ONNX is missing."""
    import importlib.util

    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        raise EngineError(
            "Exporting needs libraries that the engine does not have",
            expected="onnx and onnxscript; onnxruntime too, to try the file with the program that others run it with",
            got=f"no {' and no '.join(lacking)}",
            remedy=f"Install them with: {sys.executable} -m pip install onnx onnxscript onnxruntime",
        )


def ways_of(module: nn.Module, card: ModelCard) -> list[Way]:
    """Ways to trace a model, the most general first."""
    opened = with_open_steps(module)
    any_grid = family(card.family).any_grid
    ways = [] if opened is None else [Way(opened, True, any_grid)]
    return ways + [Way(module, False, True)] * any_grid + [Way(module, False, False)]


def shapes_of(module: nn.Module, card: ModelCard, size: Size) -> dict[str, tuple[tuple, tuple]]:
    """Shape and names of the axes of each input that the model reads, in the order of the graph."""
    place = ((size.rows, size.columns), ("rows", "columns"))

    def of(channels: int, steps: Optional[int] = None, axis: str = "") -> tuple[tuple, tuple]:
        shape = (size.batch, *(() if steps is None else (steps,)), channels, *place[0])
        return shape, ("batch", *(() if steps is None else (axis,)), "", *place[1])

    found = {"x": of(card.in_channels, size.steps, "steps")}
    if module.uses_static:
        found["static"] = of(card.static_channels)
    if module.uses_observed:
        found["observed"] = of(card.in_channels, size.steps, "steps")
    if module.uses_mask:
        found["mask"] = of(1)
    if module.uses_ahead:
        found["ahead"] = of(len(card.ahead), card.leads)
    if module.uses_time_of_year:
        found["time_of_year"] = ((size.batch, card.leads), ("batch", ""))
    return found


def random_inputs(module: nn.Module, card: ModelCard, size: Size) -> dict[str, Tensor]:
    """Scaled weather of a made-up basin; all of it inside the mask but the first cell, a tenth of it not observed."""
    generator = torch.Generator().manual_seed(size.steps * 1000 + size.rows)
    found = {}
    for name, (shape, _) in shapes_of(module, card, size).items():
        values = torch.randn(shape, generator=generator)
        if name == "observed":
            values = (torch.rand(shape, generator=generator) > 0.1).float()
        elif name == "mask":
            values = torch.ones(shape)
            values[..., 0, 0] = 0.0
        elif name == "time_of_year":
            values = torch.rand(shape, generator=generator)
        found[name] = values
    return found


def trace(way: Way, card: ModelCard, size: Size) -> Any:
    """The ONNX program; raises :class:`ModelFileError` where PyTorch cannot write it."""
    inputs = random_inputs(way.module, card, size)
    names = list(inputs)
    axes = shapes_of(way.module, card, size)
    open_axes = {"batch", *(("steps",) if way.open_steps else ()), *(("rows", "columns") if way.open_grid else ())}
    dynamic = tuple({i: axis for i, axis in enumerate(axes[name][1]) if axis in open_axes} for name in names)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                Graphed(way.module, names).eval(),
                tuple(inputs.values()),
                input_names=names,
                output_names=["y_hat"],
                dynamic_shapes={"inputs": dynamic},
                dynamo=True,
                verbose=False,
            )
    except (*_FAULTS, ImportError) as error:
        raise ModelFileError(
            f"The family '{card.family}' cannot be written as an ONNX graph",
            got=_root(error),
            remedy="Export a model of the family convlstm, or use a newer PyTorch",
        ) from error
    program.model.metadata_props[CARD_KEY] = card.to_json()
    return program


def _root(error: BaseException) -> str:
    """What lies at the root of an error, in its first line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'nothing more is said'}"


def runner_of(path: Path) -> tuple[Callable[[Mapping[str, np.ndarray]], np.ndarray], str]:
    """A function that runs a file, and the name of the program: ONNX Runtime, else the reference of ONNX itself."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        reference = ReferenceEvaluator(str(path))
        return lambda inputs: reference.run(None, dict(inputs))[0], "the reference program of ONNX"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    faults = _faults_of_runtime()

    def run(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            return session.run(None, dict(inputs))[0]
        except faults as error:
            raise RuntimeError(str(error)) from error

    return run, "ONNX Runtime"


def _faults_of_runtime() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own, which have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))


def sizes_to_check(way: Way, size: Size) -> list[Size]:
    """The size of the trace, and where it is open another number of steps, another grid, another batch."""
    sizes = [size, Size(size.batch + 1, size.steps, size.rows, size.columns)]
    if way.open_steps:
        sizes.append(Size(1, size.steps + 3, size.rows, size.columns))
    if way.open_grid:
        sizes.append(Size(1, size.steps, size.rows + 5, size.columns + 2))
    return sizes


def largest_difference(path: Path, module: nn.Module, card: ModelCard, sizes: Sequence[Size]) -> tuple[float, str]:
    """Between the file and the model over all sizes, relative to the largest output (or to 1), and what ran it. Raises
    :class:`ModelFileError` above :data:`TOLERANCE`.
    """
    run, name = runner_of(path)
    worst = 0.0
    for size in sizes:
        inputs = random_inputs(module, card, size)
        with torch.inference_mode():
            expected = module(inputs["x"], **{k: v for k, v in inputs.items() if k != "x"})["y_hat"].numpy()
        try:
            found = np.asarray(run({key: value.numpy() for key, value in inputs.items()}))
        except _FAULTS as error:
            raise _unlike(size, name, f"{type(error).__name__}: {str(error)[:200]}") from error
        if found.shape != expected.shape:
            raise _unlike(size, name, f"outputs of shape {found.shape}")
        difference = float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))
        if not difference <= TOLERANCE:
            raise _unlike(size, name, f"a difference of {difference:.2g}")
        worst = max(worst, difference)
    return worst, name


def _unlike(size: Size, name: str, found: str) -> ModelFileError:
    return ModelFileError(
        f"The exported file does not give what the model gives ({size}, run by {name})",
        expected=f"a difference of at most {TOLERANCE:g}",
        got=found,
        remedy="Use another version of onnx and onnxscript, or keep the Freshet model file",
    )
