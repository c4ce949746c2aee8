"""The run folder: the only thing that stands between QGIS and the engine.

``job.json`` is what was asked, ``events.jsonl`` the story, ``heartbeat.json`` says that the worker lives, a file
``cancel`` asks it to stop; ``choices.json`` says what a training chose for itself. Results lie in ``results/``,
checkpoints in ``checkpoints/``.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Optional, Union

from .config import Config, parse_json
from .errors import ConfigError, FreshetError, RunError, error_from_dict
from .events import FINAL_EVENTS, Artifact, Event, EventKind, EventTail
from .files import write_text
from .jobs import job_from_dict

HEARTBEAT_SECONDS = 1.0
LOST_AFTER_SECONDS = 30.0


class RunState(str, Enum):
    """Where a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # the worker died without a word

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self not in (RunState.WAITING, RunState.RUNNING)


class RunFolder:
    """Names in a run folder, and the questions that both processes ask of it."""

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)

    job_file = property(lambda self: self.path / "job.json")
    events_file = property(lambda self: self.path / "events.jsonl")
    log_file = property(lambda self: self.path / "log.txt")
    heartbeat_file = property(lambda self: self.path / "heartbeat.json")
    cancel_file = property(lambda self: self.path / "cancel")
    results = property(lambda self: self.path / "results")
    checkpoints = property(lambda self: self.path / "checkpoints")
    report_file = property(lambda self: self.path / "report.html")
    model_file = property(lambda self: self.path / "results" / "model.safetensors")
    ensemble_file = property(lambda self: self.path / "results" / "ensemble.json")
    choices_file = property(lambda self: self.path / "choices.json")
    scores_file = property(lambda self: self.path / "results" / "scores.json")

    @classmethod
    def create(cls, parent: Union[str, Path], verb: str, job: Config, title: str = "", version: str = "") -> RunFolder:
        """A new folder below ``parent``, named by time, verb and title, with its ``job.json``."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        words = (
            re.sub(r"[^A-Za-z0-9]+", "-", title or getattr(job, "title", "") or getattr(job, "name", ""))
            .strip("-")
            .lower()[:40]
        )
        base = "-".join(part for part in (stamp, verb, words) if part)
        for number in range(1, 1000):
            path = Path(parent) / (base if number == 1 else f"{base}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls.create_at(path, verb, job, title, version)
        raise RunError(f"No free name for a run below {parent}", remedy="Remove old runs or choose another folder")

    @classmethod
    def create_at(cls, path: Union[str, Path], verb: str, job: Config, title: str = "", version: str = "") -> RunFolder:
        """Write ``job.json`` into ``path``; refused where a job lies there already."""
        run = cls(path)
        if run.job_file.exists():
            raise RunError(f"The folder {path} already holds a run", remedy="Choose an empty folder")
        run.path.mkdir(parents=True, exist_ok=True)
        content = {
            "verb": verb,
            "title": title or getattr(job, "title", "") or getattr(job, "name", ""),
            "created": datetime.now().isoformat(timespec="seconds"),
            "freshet": version,
            "job": job.to_dict(),
        }
        write_text(run.job_file, json.dumps(content, indent=2, ensure_ascii=False))
        return run

    def header(self) -> dict[str, Any]:
        """``job.json`` as it is: verb, title, created, freshet, job."""
        try:
            text = self.job_file.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{self.path} is not a run folder", got=str(error), remedy="Choose a folder that holds a job.json"
            ) from error
        values = parse_json(text, str(self.job_file))
        if not isinstance(values, dict) or "verb" not in values or "job" not in values:
            raise ConfigError(
                f"{self.job_file} is not a job",
                expected="an object with 'verb' and 'job'",
                remedy="Create the run anew",
            )
        return values

    def job(self) -> Config:
        """The job that was asked for, validated."""
        header = self.header()
        return job_from_dict(header["verb"], header["job"])

    def append(self, event: Event) -> None:
        """Append one event; a single write, so that a reader never sees two events mixed."""
        data = event.to_line().encode("utf-8")
        handle = os.open(self.events_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)

    def events(self) -> list[Event]:
        """All events so far."""
        return EventTail(self.events_file).read()

    def artifacts(self) -> list[Artifact]:
        """The finished files of the run, in the order in which they came."""
        return [Artifact.from_dict(event.values) for event in self.events() if event.kind is EventKind.ARTIFACT]

    def resolve(self, artifact: Artifact) -> Path:
        """Absolute path of an artifact."""
        path = Path(artifact.path)
        return path if path.is_absolute() else self.path / path

    def request_cancel(self) -> None:
        """Ask the worker to stop; it does so between two batches."""
        self.cancel_file.touch()

    def cancel_requested(self) -> bool:
        """Whether somebody asked."""
        return self.cancel_file.exists()

    def beat(self, process: int) -> None:
        """Note that the worker ``process`` lives."""
        write_text(self.heartbeat_file, json.dumps({"pid": process, "host": socket.gethostname(), "time": time.time()}))

    def state(self, events: Optional[list[Event]] = None) -> RunState:
        """Where the run stands, from its events and its heartbeat."""
        events = self.events() if events is None else events
        for event in reversed(events):
            if event.kind in FINAL_EVENTS:
                return RunState(event.kind.value)
            if event.kind is EventKind.HELLO:
                break  # what came before belongs to an earlier try in this folder
        if not self.heartbeat_file.exists():
            return RunState.WAITING
        return RunState.RUNNING if self._alive() else RunState.LOST

    def error(self, events: Optional[list[Event]] = None) -> Optional[FreshetError]:
        """What went wrong, or None."""
        for event in reversed(self.events() if events is None else events):
            if event.kind is EventKind.FAILED:
                return error_from_dict(event.values)
        return None

    def _alive(self) -> bool:
        try:
            beat = json.loads(self.heartbeat_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return True  # being replaced at this moment
        if time.time() - beat["time"] < LOST_AFTER_SECONDS / 10:
            return True
        if beat["host"] == socket.gethostname() and not process_lives(beat["pid"]):
            return False
        return time.time() - beat["time"] < LOST_AFTER_SECONDS


def process_lives(pid: int) -> bool:
    """Whether a process of this machine lives; a zombie does not."""
    if os.name == "nt":
        return True  # the age of the heartbeat decides there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return True
