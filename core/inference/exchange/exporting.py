"""The verb export-model: a saved model as an ONNX file, held against the model at several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from ...contracts.errors import ModelFileError
from ...contracts.events import Artifact, Event
from ...contracts.exchange_jobs import ExportModelJob
from ...contracts.files import whole_file
from ...contracts.model_card import ModelCard
from ...contracts.run_folder import RunFolder
from ...training.model_file import load_model
from ..artifacts import artifact_event, message, progress
from .onnx_graph import (
    Size,
    Way,
    check_libraries,
    largest_difference,
    shapes_of,
    sizes_to_check,
    trace,
    ways_of,
)

FILE_NAME = "model.onnx"
_OPEN_TRACE_STEPS = 4  # of a trace whose number of steps stays open


def export_model(job: ExportModelJob, run: RunFolder) -> Iterator[Event]:
    """Write ``results/model.onnx``: named inputs as in :mod:`core.models.base`, scaled; output ``y_hat``, scaled; the
    model card in its metadata. Raises :class:`EngineError` where ONNX is missing, :class:`ModelFileError` where the
    family cannot be exported or the file gives other outputs than the model.
    """
    check_libraries()
    yield progress(0.0, "Reading the model")
    module, card = load_model(job.model)
    path = run.results / FILE_NAME
    ways = ways_of(module, card)
    for number, way in enumerate(ways):
        yield progress(0.1 + 0.8 * number / len(ways), "Writing the graph")
        size = _size(job, module, card, way)
        try:
            program = trace(way, card, size)
            _save(program, path)
            sizes = sizes_to_check(way, size)
            worst, name = largest_difference(path, module, card, sizes)
        except ModelFileError as error:
            path.unlink(missing_ok=True)
            if number == len(ways) - 1:
                raise
            yield message(f"{error.problem} ({error.got}). A less general graph is tried.", "warning")
            continue
        for text in _words(way, module, card, size, sizes):
            yield message(text)
        yield message(f"{name} gives what the model gives at {len(sizes)} sizes: they differ by {worst:.1g} at most.")
        break
    yield artifact_event(
        Artifact(
            kind="onnx",
            path=path.relative_to(run.path).as_posix(),
            title=card.title,
            variable=card.target.name,
            note="Inputs and output are scaled; the scalers stand in the model card in the file's metadata.",
        )
    )


def _size(job: ExportModelJob, module: nn.Module, card: ModelCard, way: Way) -> Size:
    """The size of the trace; on one grid only, that which the weights are bound to, or that of the training."""
    rows, columns = job.rows, job.columns
    if not way.open_grid:
        bound = getattr(getattr(module, "head", None), "weight", None)
        if bound is not None and bound.dim() == 4 and max(bound.shape[2:]) > 11:  # more than a kernel
            rows, columns = bound.shape[2:]
        elif len(card.extent) == 4:
            west, south, east, north = card.extent
            rows, columns = (
                round((north - south) / abs(card.cell_size[1])),
                round((east - west) / abs(card.cell_size[0])),
            )
    return Size(2, _OPEN_TRACE_STEPS if way.open_steps else card.window, rows, columns)


def _save(program: Any, path: Path) -> None:
    with whole_file(path) as temporary:
        program.save(str(temporary))


def _words(way: Way, module: nn.Module, card: ModelCard, size: Size, sizes: list[Size]) -> Iterator[str]:
    names = ", ".join(
        f"{name} ({', '.join(axis or str(length) for axis, length in zip(axes, shape))})"
        for name, (shape, axes) in shapes_of(module, card, size).items()
    )
    yield f"Inputs, scaled: {names}. Output: y_hat, scaled."
    steps = "any number of steps" if way.open_steps else f"windows of {card.window} steps, no others"
    grid = "any grid" if way.open_grid else f"a grid of {size.rows} x {size.columns} cells, no others"
    yield f"The file reads {steps} on {grid}; compared at: {'; '.join(str(item) for item in sizes)}."
