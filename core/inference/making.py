"""The maps of a prediction, computed tile by tile and kept as pieces, from which files and scores are made.

Symbols: n windows, L leads, h rows and w columns of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..contracts.errors import RunError
from .carried import STEPS_IN_TILES, STEPS_OF_FRAMES, CarriedPass, segments_of
from .pieces import Pieces, fingerprint_of
from .predictor import Judged, Predictor
from .tiles import Tile, runs_of

_FORMAT = 1  # of the pieces


class Making:
    """Maps of windows that end at ``ends``, kept in a ``folder``. What lies there from an earlier try is not
    computed again.

    Use: :meth:`compute` until it ends, for one tile after the other, then :meth:`read`; :meth:`close` at last.
    """

    def __init__(self, predictor: Predictor, ends: np.ndarray, folder: Path) -> None:
        self.predictor, self.ends = predictor, ends
        most = STEPS_OF_FRAMES if predictor.whole else STEPS_IN_TILES
        if predictor.carries:
            self.groups = [list(runs_of(ends, most))] * len(predictor.tiles)
        else:
            self.groups = [list(predictor.chunks(tile, ends)) for tile in predictor.tiles]
        self.pieces = Pieces(folder, self._key())
        self.carried: Optional[CarriedPass] = None
        if predictor.carries:
            segments = segments_of(ends, predictor.card.window, most)
            self.carried = CarriedPass(predictor, segments, folder / "states")

    @property
    def words(self) -> str:
        """How much was there already, as a sentence; empty for nothing."""
        there, every = self.pieces.taken_over, sum(len(groups) for groups in self.groups)
        return f"{there} of {every} pieces were there already; the work goes on from there." if there else ""

    def compute(self, number: int) -> Iterator[tuple[float, str]]:
        """Compute what is not there yet of a tile, or of all tiles where states are carried on; yields after each batch
        which share of all is there, and words for it.
        """
        if self.predictor.carries:
            yield from self._carry_on() if number == 0 else ()
            return
        tile, done, tiles = self.predictor.tiles[number], 0, len(self.predictor.tiles)
        where = f"tile {number + 1} of {tiles}, " if tiles > 1 else ""
        for group in self.groups[number]:
            if self.read_piece(number, group) is None:
                parts = []
                for part in self.predictor.judged_on(tile, group):
                    parts.append(part)
                    there = done + sum(len(item.ends) for item in parts)
                    yield (number + there / len(self.ends)) / tiles, f"{where}{there} of {len(self.ends)} dates"
                self._keep(number, group, parts)
            done += len(group)
            yield (number + done / len(self.ends)) / tiles, f"{where}{done} of {len(self.ends)} dates"

    def _carry_on(self) -> Iterator[tuple[float, str]]:
        for number, segment, maps, place in self.carried.run():
            if len(segment.ends):
                self.pieces.put(self._name(number, segment.ends), maps=maps)
            share = (place + (number + 1) / len(self.predictor.tiles)) / len(self.carried.segments)
            yield share, f"{round(share * len(self.ends))} of {len(self.ends)} dates"

    def read(self, number: int) -> Iterator[Judged]:
        """What was computed of a tile."""
        for group in self.groups[number]:
            found = self.read_piece(number, group)
            if found is None:  # somebody has removed or broken it meanwhile
                for _ in self.compute(number):
                    pass
                found = self.read_piece(number, group)
            if found is None:
                raise RunError(
                    "What was computed of these maps cannot be read again",
                    got=f"a piece is missing in {self.pieces.folder}",
                    remedy=f"Remove the folder {self.pieces.folder} and start again",
                )
            yield found

    def map_of(self, place: int) -> np.ndarray:
        """The maps to be judged (L, *frame) of ``ends[place]``, put together from all tiles."""
        end, predictor = self.ends[place], self.predictor
        maps = np.empty((predictor.card.leads, *predictor.data.mask.shape), dtype=np.float32)
        for number, tile in enumerate(predictor.tiles):
            group = next(group for group in self.groups[number] if end in group)
            found = self.read_piece(number, group)
            maps[(slice(None), *tile.inner)] = found.to_judge[int(np.flatnonzero(group == end)[0])]
        return maps

    def close(self) -> None:
        """Remove the pieces: the files are whole."""
        self.pieces.remove()

    def read_piece(self, number: int, group: np.ndarray) -> Any:
        """What was computed of some dates of a tile, None where it is not there."""
        found = self.pieces.get(self._name(number, group))
        shape = (len(group), self.predictor.card.leads, *self.predictor.tiles[number].shape)
        if found is None or "maps" not in found or found["maps"].shape != shape:
            return None
        return Judged(group, found["maps"], found.get("to_judge", found["maps"]), found.get("where"))

    def _keep(self, number: int, group: np.ndarray, parts: Sequence[Judged]) -> None:
        apart = parts[0].where is not None
        self.pieces.put(
            self._name(number, group),
            maps=np.concatenate([part.maps for part in parts]),
            to_judge=np.concatenate([part.to_judge for part in parts]) if apart else None,
            where=np.concatenate([part.where for part in parts]) if apart else None,
        )

    def _name(self, number: int, group: np.ndarray) -> str:
        return f"{number:06d}_{int(group[0]):07d}"

    def _key(self) -> dict[str, Any]:
        """All that the maps depend on."""
        predictor = self.predictor
        return {
            "format": _FORMAT,
            "model": fingerprint_of(predictor.module),
            "card": predictor.card.to_dict(),
            "dataset": predictor.dataset.fingerprint(),
            "device": predictor.device,
            "carried": predictor.carries,
            "batch": predictor.batch,
            "tiles": [_bounds(tile) for tile in predictor.tiles],
            "groups": [[int(group[0]), len(group)] for group in self.groups[0]],
            "ends": [int(end) for end in self.ends],
        }


def _bounds(tile: Tile) -> list[int]:
    return [place for part in tile.inner for place in (part.start, part.stop)]
