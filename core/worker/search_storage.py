"""Where a search is kept: a journal that several processes append to, on a local disc or on one of the network.

SQLite needs locks that many network discs do not keep; a journal needs a link that only one can make, which all of them
know. A process may die at any moment: its lock is given back, its half line is cut off, its trial is done again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..contracts.errors import ConfigError, FreshetError, RunError
from ..contracts.events import Event, EventKind
from ..contracts.run_folder import LOST_AFTER_SECONDS, RunFolder, RunState
from ..contracts.search_job import TuneJob

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

STUDY = "freshet"
_BEGIN = b'{"op_code":'
_PATIENCE_SECONDS = 2.0  # until a person is told that a lock is waited for
_LOOK_SECONDS = 0.2
_DATABASE_SECONDS = 60.0  # that a step of the search may wait for the lock of a database
_LOCKED = "The file of the search is locked by another process; waiting for {}."
_UNLOCKED = "The file of the search is free again."
_NO_MATTER = ("device", "threads", "memory", "hoisting", "capture", "cache")  # of a training to what it learns


class Storage:
    """The place of one search. ``shared``: other run folders may take part, and trials lie beside the file."""

    def __init__(self, job: TuneJob, run: RunFolder) -> None:
        self.shared = bool(job.storage)
        self.path = Path(job.storage) if self.shared else run.path / "study.journal"
        self.trials = self.path.with_name(self.path.stem + "-trials") if self.shared else run.path / "trials"
        older = run.path / "study.db"  # a search that an earlier Freshet began
        self._older = older if not self.shared and older.exists() and not self.path.exists() else None
        self._without_heartbeat: dict[int, float] = {}
        _check_ours(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._backend = None if self._older else _backend(self.path)
        except OSError as error:
            raise RunError(
                f"The file of the search cannot be written: {self.path}",
                got=str(error),
                remedy="Choose a shared file in a folder that you may write to",
            ) from error

    def opened(self) -> BaseStorage:
        """The storage for Optuna. Raises :class:`ConfigError` where the file is something else."""
        from optuna.storages import JournalStorage, RDBStorage

        if self._older:
            waiting = {"connect_args": {"timeout": _DATABASE_SECONDS}}
            return RDBStorage(f"sqlite:///{self._older}", engine_kwargs=waiting)
        try:
            return JournalStorage(self._backend)
        except (ValueError, KeyError, TypeError) as error:  # what a line that is none of ours gives
            raise ConfigError(
                f"The file {self.path} holds no search",
                got=str(error),
                remedy="Choose a new file, or the one that a search has made",
            ) from error

    def free(self) -> Iterator[Event]:
        """Wait until no other process holds the lock, and say so; it is taken from a holder that has died."""
        if self._backend is None:
            yield from self._free_database()
            return
        lock = self._backend.lock_file
        begin, told, seen, since = time.monotonic(), False, 0.0, time.monotonic()
        while os.path.lexists(lock):
            now, changed = time.monotonic(), _changed(lock)
            if changed != seen:
                seen, since = changed, now
            if now - since > LOST_AFTER_SECONDS:
                with contextlib.suppress(RuntimeError):  # another process was quicker
                    self._backend.lock.release()
                yield _message(f"Whoever locked {self.path} has gone; the search goes on.", "warning")
                return
            if not told and now - begin > _PATIENCE_SECONDS:
                told = True
                yield _message(_LOCKED.format(self.path))
            yield Event(EventKind.MESSAGE, {"level": "tick", "text": ""})
            time.sleep(_LOOK_SECONDS)
        if told:
            yield _message(_UNLOCKED)

    def _free_database(self) -> Iterator[Event]:
        """The same for the database of an earlier Freshet, whose lock ends with the process that holds it."""
        begin, told = time.monotonic(), False
        while self._older is not None and _database_locked(self._older):
            if not told and time.monotonic() - begin > _PATIENCE_SECONDS:
                told = True
                yield _message(_LOCKED.format(self._older))
            yield Event(EventKind.MESSAGE, {"level": "tick", "text": ""})
            time.sleep(_LOOK_SECONDS)
        if told:
            yield _message(_UNLOCKED)

    def folder(self, number: int) -> RunFolder:
        """Where trial ``number`` keeps its checkpoints, and the sign that its process lives."""
        return RunFolder(self.trials / f"{number:04d}")

    def lost(self, study: optuna.Study, at_begin: bool = False) -> list[optuna.trial.FrozenTrial]:
        """Trials that were begun and whose process has gone."""
        from optuna.trial import TrialState

        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if at_begin and not self.shared:
            return running  # a run folder has one worker, and it has done nothing yet
        return [trial for trial in running if self._is_lost(trial.number)]

    def _is_lost(self, number: int) -> bool:
        state = self.folder(number).state([])
        if state is not RunState.WAITING:
            return state is RunState.LOST
        now = time.monotonic()  # begun, and no sign yet: the clocks of other machines may differ, so this one counts
        return now - self._without_heartbeat.setdefault(number, now) > LOST_AFTER_SECONDS


def identity(job: TuneJob) -> str:
    """What two searches must have in common to be one: all but names, number of trials and where files lie."""
    values = job.to_dict()
    train = values["train"]
    train["datasets"] = [Path(path).name for path in train["datasets"]]
    for part, names in ((values, ("trials", "title", "storage")), (train, ("title",))):
        for name in names:
            part.pop(name)
    for name in _NO_MATTER:
        train["training"].pop(name, None)
    return json.dumps(values, sort_keys=True)


def check_same(study: optuna.Study, job: TuneJob, path: Path) -> None:
    """Raise :class:`ConfigError` where the storage belongs to another search."""
    asked, known = identity(job), study.user_attrs.get("asked")
    if known is None:
        study.set_user_attr("asked", asked)
        return
    one, two = _completed(json.loads(known)), json.loads(asked)
    if one != two:
        differ = [key for key in two if one.get(key) != two[key]]
        raise ConfigError(
            f"The file {path} holds another search",
            expected="the same training and the same space",
            got=f"a difference in {', '.join(differ) or 'its keys'}",
            remedy="Join with the job of that search, or choose a new shared file",
        )


def _completed(known: dict[str, Any]) -> dict[str, Any]:
    """What an earlier Freshet wrote, with the defaults of settings that it did not know and without those that make no
    difference.
    """
    try:
        return json.loads(identity(TuneJob.from_dict(known)))
    except FreshetError:
        return known


def here() -> dict[str, Any]:
    """Who does a trial."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _check_ours(path: Path) -> None:
    """Raise :class:`ConfigError` where a file is there that no search has made, before a byte of it is touched."""
    try:
        with open(path, "rb") as handle:
            begin = handle.read(len(_BEGIN))
    except OSError:
        return  # not there yet; or it cannot be read, which opening it will say
    if not _BEGIN.startswith(begin):
        raise ConfigError(
            f"The file {path} holds no search", remedy="Choose a new file, or the one that a search has made"
        )


def _backend(path: Path) -> Any:
    """A journal on ``path`` that mends the half line of a process which died while it wrote."""
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock

    class Journal(JournalFileBackend):
        def __init__(self) -> None:
            # Links need a right of their own on Windows; elsewhere they are what old network discs keep.
            self.lock = (JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock)(str(path))
            self.lock_file = f"{path}.lock"
            super().__init__(str(path), lock_obj=self.lock)

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            self.lock.acquire()
            try:
                with open(path, "rb+") as handle:
                    handle.truncate(_whole_lines(handle))
                    handle.seek(0, os.SEEK_END)
                    handle.write(lines.encode("utf-8"))
                    handle.flush()
                    os.fsync(handle.fileno())
            finally:
                with contextlib.suppress(RuntimeError):  # taken away, since this process seemed to have gone
                    self.lock.release()

    return Journal()


def _whole_lines(handle: Any) -> int:
    """Bytes up to the last line end."""
    end = handle.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        handle.seek(start)
        found = handle.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _database_locked(path: Path) -> bool:
    """Whether another process writes into an SQLite file."""
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return "locked" in str(error) or "busy" in str(error)
    finally:
        connection.close()
    return False


def _changed(path: str) -> Optional[float]:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None


def _message(text: str, level: str = "info") -> Event:
    return Event(EventKind.MESSAGE, {"level": level, "text": text})
