"""From finished parts to the dataset's file, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.events import Event
from .provenance import Checksums, of_dataset
from .store_format import chunk_shape
from .store_group import GroupWriter
from .store_write import DatasetWriter, SequencesWriter
from .telling import Meter
from .variable import Made, Variable


def write(job: PrepareJob, made: Sequence[Made], checksums: Checksums, meter: Meter) -> Iterator[Event]:
    """Write one plain dataset, or all sequences as groups of one file; whole or not at all. Yields progress."""
    if not made[0].name:
        one = made[0]
        with DatasetWriter(job.output, name=job.name, **_frame(one)) as writer:
            yield from _write_group(writer, one, meter)
            writer.finish(one.mask, _provenance(job, one, checksums))
        return
    with SequencesWriter(job.output, name=job.name) as file:
        for number, one in enumerate(made):
            with file.sequence(one.name, **_frame(one)) as writer:
                yield from _write_group(writer, one, meter.part(number / len(made), (number + 1) / len(made)))
                writer.finish(one.mask, {"sources": [variable.record for variable in one.variables]})
        file.finish(of_dataset(job, [], checksums))


def _frame(one: Made) -> dict[str, Any]:
    return {
        "grid": one.grid, "times": one.clock.times, "step_seconds": one.clock.step_seconds,
        "variables": [variable.info for variable in one.variables], "calendar": one.calendar, "gauges": one.gauges,
    }  # fmt: skip


def _provenance(job: PrepareJob, one: Made, checksums: Checksums) -> dict[str, Any]:
    return of_dataset(job, [variable.record for variable in one.variables], checksums)


def _write_group(writer: GroupWriter, one: Made, meter: Meter) -> Iterator[Event]:
    count = len(one.variables)
    for number, variable in enumerate(one.variables):
        share = meter.part(number / count, (number + 1) / count)
        name = variable.info.name
        if variable.info.static:
            yield share.at(0.0, f"Writing {name}")
            for rows in _static(variable):
                writer.write_static(name, rows)
        elif variable.parts is None:
            yield share.at(0.0, f"Writing {name}")
            writer.append(name, variable.values)
            if variable.filled is not None:
                writer.append_filled(name, variable.filled)
        else:
            yield from _write_maps(writer, variable, share)


def _static(variable: Variable) -> Iterator[np.ndarray]:
    """A static map, strip by strip."""
    if variable.parts is None:
        yield variable.values
        return
    for block in variable.parts.layout.blocks():
        yield variable.parts.read(0, 1, block.first, block.last)[0]


def _write_maps(writer: GroupWriter, variable: Variable, meter: Meter) -> Iterator[Event]:
    """Whole blocks of the parts, by multiples of the file's chunks, strip after strip of the same steps."""
    parts, name = variable.parts, variable.info.name
    total, height, _ = parts.layout.shape
    steps = max(parts.layout.steps, chunk_shape(*parts.layout.shape)[0])
    for start in range(0, total, steps):
        stop = min(start + steps, total)
        for first in range(0, height, parts.layout.rows):
            last = min(first + parts.layout.rows, height)
            writer.append(name, parts.read(start, stop, first, last))
            if parts.flagged:
                writer.append_filled(name, parts.read_flags(start, stop, first, last))
            yield meter.at((start + (stop - start) * last / height) / total, f"Writing {name}: {stop} of {total} steps")
