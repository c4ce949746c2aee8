"""The verb ``prepare``: sources of any kind become one dataset on one grid and one clock."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..contracts.dataset_job import PrepareJob
from ..contracts.errors import DataError, FreshetError
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import remove_leftovers
from .cache import delete_cache
from .making import Maker
from .parts import has_blocks, parts_folder
from .runner import Runner
from .sequences import expand
from .sources import parse_source, say_date
from .telling import Meter, Teller
from .writing import write

_MADE, _WRITTEN = 0.8, 0.99


def prepare(job: PrepareJob) -> Iterator[Event]:
    """Prepare a dataset.

    Yields PROGRESS at least once a block, MESSAGE for each guess, repair and doubt, and last an ARTIFACT of kind
    "dataset". Everything that can be known without the values is checked first. Each variable is made block by block
    in bounded memory, on threads or a dask cluster; finished blocks are kept in ``<output>.parts`` until the file is
    written, whole or not at all, so that a further run of the same job goes on from there. Missing values stay missing
    unless filling is asked for.

    Raises :class:`DataError` and :class:`ConfigError` with a sentence that names the variable.
    """
    folder = parts_folder(job.output)
    try:
        yield from _prepare(job, folder)
    except FreshetError as error:
        if not has_blocks(folder):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        raise _resumable(error, folder) from error


def _prepare(job: PrepareJob, folder: Path) -> Iterator[Event]:
    _check_output(job)
    remove_leftovers(job.output)
    teller, notes = Teller(), []
    sequences = expand(job, notes)
    if job.sequences:
        notes.append(f"{len(sequences)} sequences: {', '.join(one.name for one in sequences[:5])}"
                     f"{', ...' if len(sequences) > 5 else ''}.")  # fmt: skip
    yield from teller.notes(notes)
    made, meter = [], Meter(0.0, _MADE)
    with Runner(job) as runner:
        maker = Maker(job, folder, runner, teller)
        for number, sequence in enumerate(sequences):
            share = meter.part(number / len(sequences), (number + 1) / len(sequences))
            made.append((yield from maker.make(sequence, share)))
        yield from write(job, made, maker.checksums, Meter(_MADE, _WRITTEN))
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(DataError):  # one that is in use stays, and is never taken for this dataset's
        delete_cache(job.output)
    yield Meter().at(1.0, "Dataset written")
    clock = made[0].clock
    artifact = Artifact(
        kind="dataset", path=job.output, title=job.name, dates=(say_date(clock.times[0]), say_date(clock.times[-1])),
        step_seconds=float(clock.step_seconds),
    )  # fmt: skip
    yield Event(EventKind.ARTIFACT, artifact.to_dict())


def _check_output(job: PrepareJob) -> None:
    output = Path(job.output).absolute()
    for config in job.sources:
        if parse_source(config.path).file.absolute() == output:
            raise DataError(
                "The dataset would be written over one of its sources",
                got=job.output,
                remedy="Choose another name for the dataset",
            )
    if os.path.isdir(output):
        raise DataError(
            "The name of the dataset is that of a folder", got=job.output, remedy="Choose another name for the dataset"
        )


def _resumable(error: FreshetError, folder: Path) -> FreshetError:
    """The error, which also says that finished blocks are kept."""
    kept = f"What is finished is kept in {folder}; a new run goes on from there"
    remedy = f"{error.remedy.rstrip('. ')}. {kept}" if error.remedy else kept
    return type(error)(error.problem, expected=error.expected, got=error.got, remedy=remedy)
