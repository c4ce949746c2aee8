"""Events: what a worker tells whoever watches, one JSON object a line, appended and never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any

from .config import Config, setting
from .quantity import STRETCHES


class EventKind(str, Enum):
    """What an event speaks of."""

    HELLO = "hello"  # versions, device, threads, process
    PROGRESS = "progress"  # fraction 0..1, what
    METRIC = "metric"  # epoch and named numbers, for the live chart
    MESSAGE = "message"  # level and text
    ARTIFACT = "artifact"  # a finished file of the run
    DONE = "done"  # summary
    FAILED = "failed"  # error
    CANCELLED = "cancelled"


FINAL_EVENTS = (EventKind.DONE, EventKind.FAILED, EventKind.CANCELLED)


@dataclass(frozen=True)
class Event:
    """One event: its kind, the UTC time as ISO text, and plain JSON values."""

    kind: EventKind
    values: dict[str, Any] = field(default_factory=dict)
    time: str = ""

    def to_line(self) -> str:
        """One line of JSON with a line end."""
        moment = self.time or datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        return (
            json.dumps({"time": moment, "event": self.kind.value, **self.values}, ensure_ascii=False, allow_nan=False)
            + "\n"
        )

    @classmethod
    def from_line(cls, line: str) -> Event:
        """Parse a line; ``ValueError`` where it is no event."""
        values = json.loads(line)
        return cls(EventKind(values.pop("event")), values, values.pop("time", ""))


@dataclass(frozen=True)
class Artifact(Config):
    """A finished file of a run and how it is shown. ``path`` is relative to the run folder (or absolute outside it).

    ``kind``: dataset, model, predicted, filled, observed, delta, score-map, attribution, attribution-draft (replaced by
    its attribution), spread (of attributions of several models), delay, region (polygons), change, probe, driver,
    series, gauges, scores, chart, report, table. For rasters ``dates`` holds the start of each band's step (ISO), empty
    for a map without time; ``minimum``/``maximum`` is the one range of all bands; ``ramp`` a QGIS colour ramp name,
    ``stretch`` how it follows the values (linear, log, sqrt; empty is linear); ``title`` the legend title with the
    unit. A map of classes (1, 2, 3 ...) names them in ``classes``, with a colour each in ``colours``.
    """

    kind: str = setting(label="Kind", help="What the file is.")
    path: str = setting(label="Path", help="Where it is.")
    title: str = setting("", label="Title", help="Legend title with unit.")
    variable: str = setting("", label="Variable", help="Variable that it shows.")
    units: str = setting("", label="Unit", help="Unit of its values.")
    ramp: str = setting("", label="Ramp", help="Name of the colour ramp.")
    stretch: str = setting("", label="Stretch", help="How the colours follow the values.", choices=("", *STRETCHES))
    minimum: float = setting(0.0, label="Minimum", help="Lower end of the colour range.")
    maximum: float = setting(1.0, label="Maximum", help="Upper end of the colour range.")
    dates: tuple[str, ...] = setting((), label="Dates", help="Start of the step of each band.")
    step_seconds: float = setting(86400.0, label="Step", help="Length of a step.", unit="s")
    note: str = setting("", label="Note", help="One sentence on how to read it, such as the sign of a delta.")
    group: str = setting("", label="Group", help="Layer group that it belongs to.")
    classes: tuple[str, ...] = setting(
        (), label="Classes", help="Names of the values 1, 2, 3 and so on of a map of classes; empty for measures."
    )
    colours: tuple[str, ...] = setting((), label="Colours", help="Colour of each class, such as #2c7fb8.")


class EventTail:
    """Reads the events that have been appended since the last call; half-written lines wait for their end."""

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._offset = 0

    def read(self) -> list[Event]:
        """New complete events, oldest first; lines that are no events are skipped."""
        try:
            with open(self._path, "rb") as handle:
                handle.seek(self._offset)
                chunk = handle.read()
        except FileNotFoundError:
            return []
        end = chunk.rfind(b"\n") + 1
        self._offset += end
        return [
            event for event in map(_parse, chunk[:end].decode("utf-8", "replace").splitlines()) if event is not None
        ]


def _parse(line: str) -> Any:
    try:
        return Event.from_line(line)
    except (ValueError, KeyError, AttributeError):
        return None
