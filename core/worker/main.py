"""The worker: executes the job of one run folder and tells the story in its events."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional, TextIO

from ..contracts.config import Config
from ..contracts.errors import Cancelled, ConfigError, FreshetError, RunError
from ..contracts.events import FINAL_EVENTS, Event, EventKind
from ..contracts.run_folder import HEARTBEAT_SECONDS, RunFolder, RunState
from .beside import check_verb, compute_along, heard_to_the_end, number_of_process, told_of_the_end

if TYPE_CHECKING:
    from ..explain.session import Session

EXIT_DONE, EXIT_OUR_FAULT, EXIT_BAD_INPUT, EXIT_CANCELLED = 0, 1, 2, 3
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOW_PRIORITY = 10  # so that QGIS and its map stay alive beside a training


def main(arguments: list[str]) -> int:
    """``launch.py RUN_FOLDER``: run it, give the exit status; ``launch.py --stay``: see :mod:`core.worker.stay`."""
    if arguments == ["--stay"]:
        from .stay import stay

        return stay()
    if len(arguments) != 1:
        sys.stderr.write("Expected one argument: the run folder that holds job.json, or --stay.\n")
        return EXIT_BAD_INPUT
    return execute(RunFolder(arguments[0]))


def execute(
    run: RunFolder, listener: Optional[Callable[[Event], None]] = None, session: Optional[Session] = None
) -> int:
    """Execute the job of ``run``. Every event is appended to the folder, then given to ``listener``.

    Standard output is turned into ``log.txt`` while the job computes, since libraries print there. A ``session`` is
    that of a worker that stays, which has chosen its own priority. Of several processes that share the work the first
    does all this, the others compute. Returns the exit status.
    """
    if number_of_process() > 0:
        lower_priority(_LOW_PRIORITY)
        return compute_along(run, lambda verb, job: _events_of_verb(verb, job, run, None))

    def tell(event: Event) -> None:
        try:
            if event.values.get("level") != "tick":
                run.append(event)
        finally:
            if listener is not None:
                listener(event)

    try:
        _claim(run)
    except FreshetError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_INPUT
    if session is None:
        lower_priority(_LOW_PRIORITY)
    with heartbeat(run), heard_to_the_end(), _guarded_output(run) as log:
        try:
            with told_of_the_end():
                for event in _events_of(run, session):
                    tell(event)
                    _heed_cancel(run)
        except Cancelled:
            tell(Event(EventKind.CANCELLED, {}))
            return EXIT_CANCELLED
        except (FreshetError, MemoryError, OSError) as error:
            return _failed(tell, log, _as_ours(error), EXIT_BAD_INPUT)
        except Exception as error:  # noqa: BLE001 (the border of the process: whatever happens has to be told)
            fault = RunError(
                "Freshet met a fault of its own",
                got=f"{type(error).__name__}: {error}",
                remedy=f"Please report it with the file {run.log_file}",
            )
            return _failed(tell, log, fault, EXIT_OUR_FAULT)
    return EXIT_DONE


def _events_of(run: RunFolder, session: Optional[Session]) -> Iterator[Event]:
    from .verbs import hello

    header = run.header()
    job = run.job()
    verb = header["verb"]
    yield hello(verb)
    check_verb(verb)
    yield from _events_of_verb(verb, job, run, session)
    yield Event(EventKind.PROGRESS, {"fraction": 1.0, "text": "Done"})
    yield Event(EventKind.DONE, {})


def _events_of_verb(verb: str, job: Config, run: RunFolder, session: Optional[Session]) -> Iterator[Event]:
    from .verbs import QUESTIONS, VERBS

    return VERBS[verb](job, run, session) if verb in QUESTIONS else VERBS[verb](job, run)


def _claim(run: RunFolder) -> None:
    """One worker a folder: refuse a folder that lives or is done; a lost or cancelled run may be taken up again."""
    if not run.path.is_dir():
        raise ConfigError(f"The run folder {run.path} does not exist", remedy="Give the folder that holds job.json")
    state = run.state()
    if state in (RunState.RUNNING, RunState.DONE):
        raise RunError(f"The run in {run.path} is {state.value} already", remedy="Start a new run")
    with contextlib.suppress(FileNotFoundError):
        # A request older than the end of the earlier try was meant for that one; a newer one is for this.
        ended = any(event.kind in FINAL_EVENTS for event in run.events())
        if ended and run.cancel_file.stat().st_mtime <= run.events_file.stat().st_mtime:
            run.cancel_file.unlink()
    run.beat(os.getpid())


def _heed_cancel(run: RunFolder) -> None:
    if run.cancel_requested():
        raise Cancelled


@contextlib.contextmanager
def heartbeat(run: RunFolder) -> Iterator[None]:
    """A thread that notes every second that this process lives, in a run folder or that of a trial."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disc must not end the run by way of its pulse
                run.beat(os.getpid())

    thread = threading.Thread(target=beat, name="freshet-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _guarded_output(run: RunFolder) -> Iterator[TextIO]:
    """Send file descriptors 1 and 2 to ``log.txt``, so that prints of compiled libraries land there too."""
    log = open(run.log_file, "a", encoding="utf-8", buffering=1)
    saved = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield log
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # a full disc must not hide what is told of it
                stream.flush()
        for number, copy in zip((1, 2), saved):
            os.dup2(copy, number)
            os.close(copy)
        with contextlib.suppress(OSError):
            log.close()


def _failed(tell: Callable[[Event], None], log: TextIO, error: FreshetError, status: int) -> int:
    with contextlib.suppress(OSError):  # the run folder may lie on the disc that is full; the listener hears it
        log.write(traceback.format_exc())
    with contextlib.suppress(OSError):
        tell(Event(EventKind.FAILED, {**error.to_dict(), "text": str(error)}))
    return status


def _as_ours(error: Exception) -> FreshetError:
    if isinstance(error, FreshetError):
        return error
    if isinstance(error, MemoryError):
        return RunError("The memory of this machine is not enough", remedy="Use a smaller batch, window, grid or model")
    if getattr(error, "errno", None) in _FULL:
        return RunError(
            "The disc is full",
            got=str(error),
            remedy="Free some space and start again; nothing half-written was left behind",
        )
    return RunError("A file could not be read or written", got=str(error), remedy="Check the path and the rights on it")


def lower_priority(steps: int) -> None:
    """Give way to other processes, by so many steps of ``nice``, where the system knows that.

    Linux with groups of the scheduler compares nice values within a session only, and a worker has one of its own: then
    the group has to give way too, or a training took as much of the processor as QGIS, its map and all else together.
    """
    if not hasattr(os, "nice"):
        return
    with contextlib.suppress(OSError):
        niceness = os.nice(steps)
        if os.getsid(0) == os.getpid():  # a group of others is not ours to change
            Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")
