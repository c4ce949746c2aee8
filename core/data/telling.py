"""What a person hears while a dataset is made: progress that never goes back, and each sentence once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..contracts.events import Event, EventKind


@dataclass(frozen=True)
class Meter:
    """A part of the progress bar, from ``low`` to ``high``."""

    low: float = 0.0
    high: float = 1.0

    def part(self, low: float, high: float) -> Meter:
        """A share of this part."""
        size = self.high - self.low
        return Meter(self.low + low * size, self.low + high * size)

    def at(self, share: float, text: str) -> Event:
        """A progress event at ``share`` (0 to 1) of this part."""
        fraction = self.low + min(max(share, 0.0), 1.0) * (self.high - self.low)
        return Event(EventKind.PROGRESS, {"fraction": round(fraction, 4), "text": text})


class Teller:
    """Says each sentence once, since the sequences of one job have most of them in common."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def notes(self, sentences: Iterable[str]) -> Iterator[Event]:
        """Messages for information."""
        yield from self._tell(sentences, "info")

    def warnings(self, sentences: Iterable[str]) -> Iterator[Event]:
        """Messages of doubt."""
        yield from self._tell(sentences, "warning")

    def _tell(self, sentences: Iterable[str], level: str) -> Iterator[Event]:
        for text in sentences:
            if text and text not in self._said:
                self._said.add(text)
                yield Event(EventKind.MESSAGE, {"level": level, "text": text})
