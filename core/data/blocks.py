"""Blocks: how large they are so that memory stays bounded, and how one is made, wherever that runs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.dataset_job import PrepareJob, SourceConfig
from ..contracts.errors import FreshetError
from ..contracts.grid import Grid
from .clock import Clock
from .parts import Block, Layout, VariableParts
from .point_streams import PointStream
from .sources import Source, open_source
from .store_format import chunk_shape
from .streams import MapStream, Stream
from .tally import count_block

_LARGEST_BLOCK = 2**25  # bytes; what a cancel or a fault loses at most, a thread
_LARGEST_STEPS = 4096
_WORTH_SHARING = 2**20  # cells of a variable that are worth being shared among the threads
Files = Sequence[tuple[str, int, int]]  # path, size, time of change in ns
_KEPT = 64
_READ_FORMAT = 2  # counts up when blocks of the same job come to hold other values


@dataclass(frozen=True)
class Budget:
    """Bytes for the maps of one task: what it makes, what it reads, and the geometry that tasks of a strip share."""

    made: int
    read: int
    geometry: int
    threads: int

    @classmethod
    def of(cls, job: PrepareJob) -> Budget:
        """The shares of ``job.memory_mb``."""
        memory = job.memory_mb * 2**20
        task = memory // (job.threads + 1)
        return cls(min(task // 8, _LARGEST_BLOCK), task // 4, memory // 8, job.threads)


@dataclass(frozen=True)
class Recipe:
    """All that a block needs to be made anywhere: plain values that travel to other processes."""

    config: SourceConfig
    grid: Grid
    clock: Optional[Clock]
    fingerprint: str
    parts: VariableParts
    read_bytes: int
    marks: tuple[float, ...] = ()
    variance: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a block: its counts, or the fault that a person can mend."""

    block: Block
    counts: Optional[dict[str, Any]] = None
    error: Optional[FreshetError] = None


def make_stream(source: Source, grid: Grid, clock: Optional[Clock], variance: bool = False) -> Stream:
    """The stream of a source of maps or of points."""
    if source.grid is None:
        return PointStream(source, grid, clock, variance)
    return MapStream(source, grid, clock)


def plan_layout(stream: Stream, budget: Budget) -> Layout:
    """Blocks of as many steps and rows as the budget allows; whole multiples of the chunks of the dataset's file."""
    total, height, width = stream.shape
    rows = height
    while rows > 1 and not (
        4 * rows * width <= budget.made
        and stream.row_bytes(rows) <= budget.geometry
        and stream.map_bytes(rows) <= budget.read
    ):
        rows = -(-rows // 2)
    if rows < height:
        rows = 1 << (rows.bit_length() - 1)
    steps = int(np.clip(budget.made // (4 * rows * width), 1, min(total, _LARGEST_STEPS)))
    if total * height * width > _WORTH_SHARING:
        steps = min(steps, -(-total // (2 * budget.threads)))
    depth = chunk_shape(total, height, width)[0]
    return Layout(stream.shape, steps - steps % depth if steps > depth else steps, rows)


def fingerprints(stream: Stream, files: Files) -> list[str]:
    """SHA-256 of all that a variable's values depend on, and of others that its blocks may have: where unreadable maps
    become gaps, what was finished while they were refused. Files are left to :func:`stamp` where each is one map.
    """
    marks = [_fingerprint(stream, stream.config, files)]
    if stream.config.unreadable == "gap":
        marks.append(_fingerprint(stream, stream.config.replace(unreadable="refuse"), files))
    return marks


def stamp(stream: Stream, files: Files, block: Block) -> str:
    """SHA-256 of the files that a block is made of, where each file is one map; else empty."""
    if not _one_file_a_map(stream, files):
        return ""
    first = stream.alignment.first[block.start : block.stop]
    count = stream.alignment.count[block.start : block.stop]
    used = [files[at] for start, maps in zip(first, count) for at in range(start, start + maps)]
    return hashlib.sha256(json.dumps(used).encode()).hexdigest()


def digest_of(mark: str, files: Files) -> str:
    """SHA-256 of a fingerprint and all files, for what is made of the variable as a whole."""
    return hashlib.sha256(json.dumps([mark, list(files)]).encode()).hexdigest()


def _one_file_a_map(stream: Stream, files: Files) -> bool:
    source = stream.source
    return stream.alignment is not None and len(files) == len(source.times) and not len(source.doubled)


def _fingerprint(stream: Stream, config: SourceConfig, files: Files) -> str:
    config = config.to_dict()
    for key in ("fill", "fill_limit"):  # a pass of their own
        config.pop(key)
    files = [] if _one_file_a_map(stream, files) else files
    clock = stream.clock
    plan = {
        "format": _READ_FORMAT, "config": config, "grid": asdict(stream.grid), "files": files,
        "clock": None if clock is None else [str(clock.start), clock.step_seconds, clock.steps],
        "units": [stream.conversion.given, stream.conversion.units], "resampling": stream.resampling,
        "aggregation": stream.aggregation, "variable": stream.name, "marks": stream.marks,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def make_block(recipe: Recipe, block: Block, files: str) -> list[Outcome]:
    """Make one block and write it with its marker, which keeps the stamp of its ``files``. Faults that a person can
    mend come back as values, so that the blocks beside it are finished.
    """
    try:
        stream = stream_of(recipe)
        values = stream.values(block, recipe.read_bytes)
        counts = {**count_block(values, stream.judged), "empty": stream.empty_steps(block, values), "files": files}
        recipe.parts.write(block, values, counts)
    except FreshetError as error:
        return [Outcome(block, error=error)]
    return [Outcome(block, counts)]


_streams: dict[str, Stream] = {}
_lock = threading.Lock()


def stream_of(recipe: Recipe) -> Stream:
    """The open stream of a recipe, once a process."""
    with _lock:
        if recipe.fingerprint not in _streams:
            source = open_source(recipe.config)
            stream = make_stream(source, recipe.grid, recipe.clock, recipe.variance)
            stream.marks = recipe.marks
            while len(_streams) >= _KEPT:  # a worker of a cluster may live long
                del _streams[next(iter(_streams))]
            _streams[recipe.fingerprint] = stream
        return _streams[recipe.fingerprint]


def keep_stream(key: str, stream: Stream) -> None:
    """Let the tasks of this process use a stream that is open already."""
    with _lock:
        _streams[key] = stream


def forget_stream(key: str) -> None:
    """Its source is about to be closed."""
    with _lock:
        _streams.pop(key, None)
