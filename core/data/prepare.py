"""The verb ``prepare``: sources of any kind become one dataset on one grid and one clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.errors import DataError
from ..contracts.events import Artifact, Event, EventKind
from .clock import Clock, resolve_clock
from .harmonise import resolve_grid
from .mask import read_mask
from .sources import Source, open_source, parse_source, say_date
from .store import DatasetWriter
from .streams import Stream

_LOOKING = 0.1  # share of the progress bar for opening and looking through the sources


def prepare(job: PrepareJob) -> Iterator[Event]:
    """Prepare a dataset.

    Yields PROGRESS at least once a block (about 8 MB of maps), MESSAGE for each guess, repair and doubt, and last an
    ARTIFACT of kind "dataset". Everything that can be known without the values is checked first; the file is written
    whole or not at all. Missing values stay missing; maps are held in memory block by block only.

    Raises :class:`DataError` and :class:`ConfigError` with a sentence that names the variable.
    """
    with contextlib.ExitStack() as stack:
        sources: list[Source] = []
        for number, config in enumerate(job.sources):
            yield _progress(_LOOKING / 2 * number / len(job.sources), f"Opening {config.variable}")
            sources.append(stack.enter_context(open_source(config)))
        _check_output(job)
        yield from _look_through(sources)
        grid = resolve_grid(job.grid, {source.name: source for source in sources})
        clock = resolve_clock(job, [source for source in sources if not source.static])
        streams = [Stream(source, grid, None if source.static else clock) for source in sources]
        mask = read_mask(job.mask, grid) if job.mask else None
        yield from _tell(job, clock, streams)
        yield from _write(job, streams, clock, mask)
    yield Event(EventKind.PROGRESS, {"fraction": 1.0, "text": "Dataset written"})
    artifact = Artifact(
        kind="dataset", path=job.output, title=job.name, dates=(say_date(clock.times[0]), say_date(clock.times[-1])),
        step_seconds=float(clock.step_seconds),
    )  # fmt: skip
    yield Event(EventKind.ARTIFACT, artifact.to_dict())


def _write(job: PrepareJob, streams: Sequence[Stream], clock: Clock, mask: Optional[np.ndarray]) -> Iterator[Event]:
    dynamic = [stream for stream in streams if not stream.source.static]
    static = [stream for stream in streams if stream.source.static]
    writer = DatasetWriter(
        job.output, name=job.name, grid=streams[0].grid, times=clock.times, step_seconds=clock.step_seconds,
        variables=[stream.info for stream in [*dynamic, *static]],
    )  # fmt: skip
    with writer:
        for stream in static:
            yield _progress(_LOOKING, f"{stream.name}: static map")
            writer.write_static(stream.name, stream.static_map())
            yield from _warn(stream)
        for number, stream in enumerate(dynamic):
            done = 0
            for block in stream.blocks():
                writer.append(stream.name, block)
                done += len(block)
                share = (number + done / clock.steps) / len(dynamic)
                yield _progress(_LOOKING + (0.99 - _LOOKING) * share, f"{stream.name}: {done} of {clock.steps} steps")
            yield from _warn(stream)
        writer.finish(_final_mask(mask, dynamic), _provenance(job, streams))


def _look_through(sources: Sequence[Source]) -> Iterator[Event]:
    for number, source in enumerate(sources):
        for done in source.verify():
            share = _LOOKING / 2 * (1 + number / len(sources))
            yield _progress(share, f"Looking through {source.name}: {done} files")


def _tell(job: PrepareJob, clock: Clock, streams: Sequence[Stream]) -> Iterator[Event]:
    """What was understood, before the work begins."""
    grid, first, last = streams[0].grid, say_date(clock.times[0]), say_date(clock.times[-1])
    yield _message(f"Grid of {grid.columns} x {grid.rows} cells; {clock.steps} steps from {first} to {last}.")
    if job.start and say_date(clock.times[0]) > job.start or job.end and say_date(clock.times[-1])[:10] < job.end[:10]:
        yield _message("The sources share only a part of the period that was asked for.", "warning")
    for stream in streams:
        for note in [*stream.source.notes, *stream.notes]:
            yield _message(note)
        yield from _warn(stream)


def _warn(stream: Stream) -> Iterator[Event]:
    while stream.warnings:
        yield _message(stream.warnings.pop(0), "warning")


def _final_mask(mask: Optional[np.ndarray], dynamic: Sequence[Stream]) -> np.ndarray:
    """The given mask, else the cells where a target is ever present, else those where every input is."""
    targets = [stream for stream in dynamic if stream.config.role == "target"]
    if mask is not None:
        bare = [stream.name for stream in dynamic if not (stream.ever & mask).any()]
        if bare:
            raise DataError(
                f"'{bare[0]}' has no value inside the mask",
                expected="a mask that covers the basin",
                remedy="Check the mask and its CRS",
            )
        return mask
    if targets:
        return np.logical_or.reduce([stream.ever for stream in targets])
    shared = np.logical_and.reduce([stream.ever for stream in dynamic])
    if not shared.any():
        raise DataError("No cell has values of all inputs", remedy="Check where the sources lie, or leave one out")
    return shared


def _check_output(job: PrepareJob) -> None:
    output = Path(job.output).absolute()
    for config in job.sources:
        if parse_source(config.path).file.absolute() == output:
            raise DataError(
                "The dataset would be written over one of its sources",
                got=job.output,
                remedy="Choose another name for the dataset",
            )
    if output.is_dir():
        raise DataError(
            "The name of the dataset is that of a folder", got=job.output, remedy="Choose another name for the dataset"
        )


def _provenance(job: PrepareJob, streams: Sequence[Stream]) -> dict:
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "job": job.to_dict(),
        "sources": [
            {
                "variable": stream.name,
                "kind": stream.source.kind,
                "source_units": stream.config.units or stream.source.units,
                "resampling": stream.resampling,
                "notes": [*stream.source.notes, *stream.notes],
            }
            for stream in streams
        ],
    }


def _progress(fraction: float, text: str) -> Event:
    return Event(EventKind.PROGRESS, {"fraction": round(fraction, 4), "text": text})


def _message(text: str, level: str = "info") -> Event:
    return Event(EventKind.MESSAGE, {"level": level, "text": text})
