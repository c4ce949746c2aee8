"""A worker that ``torchrun`` started with others: the first tells the story and writes the files, the rest compute."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, Callable, NoReturn

from ..contracts.errors import ConfigError, FreshetError, RunError
from ..contracts.run_folder import RunFolder

SHARED_VERBS = ("train", "finetune")
_JOB_SECONDS = 60.0  # until the first process has written the job


def number_of_process() -> int:
    """0 for the first process or the only one; see :func:`core.training.distributed.process_number`."""
    return int(os.environ.get("RANK", "0")) if is_shared() else 0


def is_shared() -> bool:
    """Whether several processes work on one run."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def check_verb(verb: str) -> None:
    """Raise :class:`ConfigError` where several processes were started for a verb that one does."""
    if is_shared() and verb not in SHARED_VERBS:
        raise ConfigError(
            f"'{verb}' is done by one process",
            expected=f"one of {', '.join(SHARED_VERBS)} under torchrun",
            got=f"{os.environ['WORLD_SIZE']} processes",
            remedy="Start it without torchrun; searches share work by their shared file",
        )


def compute_along(run: RunFolder, run_job: Callable[[str, Any], Iterator[Any]]) -> int:
    """Do the part of this process and tell nothing but a fault, on standard error; gives the exit status.

    ``run_job`` gives the events of a verb and its job, which are dropped.
    """
    from .main import EXIT_BAD_INPUT, EXIT_DONE

    try:
        _wait_for_job(run)
        verb = run.header()["verb"]
        check_verb(verb)
        for _ in run_job(verb, run.job()):
            pass
    except (FreshetError, MemoryError, OSError) as error:
        sys.stderr.write(f"freshet, process {number_of_process() + 1}: {str(error) or 'The memory is not enough.'}\n")
        return EXIT_BAD_INPUT
    return EXIT_DONE


@contextlib.contextmanager
def told_of_the_end() -> Iterator[None]:
    """Inside, what ends this process from outside, as torchrun does when another one has died, is a sentence.

    Where the inside fails, nothing ends the process until :func:`heard_to_the_end` is left: what is told of the fault
    has to be written first, and torchrun's end may come while it is.
    """
    if not is_shared():
        yield
        return

    def end(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise RunError(
            "The run was ended from outside, most often since another of its processes has died",
            remedy="Look at what that process said, and start the run again: it goes on where it was kept",
        )

    before, after = signal.signal(signal.SIGTERM, end), signal.SIG_IGN
    try:
        yield
        after = before
    finally:
        signal.signal(signal.SIGTERM, after)


@contextlib.contextmanager
def heard_to_the_end() -> Iterator[None]:
    """Around :func:`told_of_the_end` and what is told of a fault: afterwards the process can be ended as before."""
    before = signal.getsignal(signal.SIGTERM) if is_shared() else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def leave(status: int) -> NoReturn:
    """End this process with ``status``; what it wrote has to be closed by now.

    One of several skips the end of the interpreter: threads of ``torch.distributed`` may still hold tensors then, and
    abort the process that lets them go too late (pytorch issue 190489). ``torchrun`` would end all the others for it,
    of which the first may be judging the model still.
    """
    if is_shared():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _wait_for_job(run: RunFolder) -> None:
    begin = time.monotonic()
    while not run.job_file.exists():
        if time.monotonic() - begin > _JOB_SECONDS:
            raise RunError(
                f"The folder {run.path} holds no job, seen from this process",
                remedy="Put the run folder on a disc that every machine sees under the same path",
            )
        time.sleep(0.1)
