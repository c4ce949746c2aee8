"""One pass over all dates that carries the states of a model on, in bounded memory: some steps after the other, and in
each of them tile after tile.

The states of the whole frame lie in files, so a tile finds those of its neighbours, and what comes out is what one pass
over whole frames gives. Two sets of files take turns: a pass that was killed goes on at the steps where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from ..contracts.files import write_text
from ..contracts.model_card import ModelCard
from ..models.carry import carrying_layers, from_maps, going_on, tensors_of, to_maps, with_tensors
from ..training.work import predict_batch
from .room import further_inputs
from .tiles import Tile, halo_of, part_of_record, runs_of, with_halo

if TYPE_CHECKING:
    from .predictor import Predictor

STEPS_IN_TILES, STEPS_OF_FRAMES = 8, 32  # that are computed together: more of them need a wider halo
_PLACE = "place.json"
_PROBE_PX = 16


def carried_words(module: nn.Module, card: ModelCard) -> str:
    """What carrying on means for this model. Raises :class:`ConfigError` where it cannot."""
    if carrying_layers(module) is None or card.hidden_share:
        raise ConfigError(
            f"A model of the family '{card.family}' cannot carry its memory on from date to date",
            expected="a family whose only memory are the states of its layers, such as convlstm, convgru or lstm",
            remedy="Choose 'window' or 'auto' for the memory of the model",
        )
    return (
        f"The memory of the model is carried on over all dates. It was trained on windows of {card.window} steps, so "
        "each date here remembers more than in its training; the first dates of a pass differ least."
    )


class Segment(NamedTuple):
    """Steps ``first`` to ``last`` (inclusive) of the record that are computed together; a pass begins with it where
    ``begins``. ``ends``: those that predict dates that are asked for, none while the states warm up.
    """

    first: int
    last: int
    begins: bool
    ends: np.ndarray


def segments_of(ends: np.ndarray, window: int, most: int) -> list[Segment]:
    """A pass for each run of consecutive ``ends``, from the first step of the window of its first date on."""
    found = []
    for run in runs_of(ends, len(ends)):
        start = int(run[0]) - window + 1
        for first in range(start, int(run[0]), most):
            found.append(Segment(first, min(first + most, int(run[0])) - 1, first == start, run[:0]))
        for place in range(0, len(run), most):
            part = run[place : place + most]
            found.append(Segment(int(part[0]), int(part[-1]), window == 1 and place == 0, part))
    return found


class CarriedPass:
    """Predicts all ``segments`` of a predictor. ``folder``: for the states and how far it is."""

    def __init__(self, predictor: Predictor, segments: list[Segment], folder: Path) -> None:
        self._predictor, self.segments, self._folder = predictor, segments, folder
        self._module: nn.Module = predictor.module
        self._layers = carrying_layers(self._module)
        self._template = self._states_of_nothing()
        self._maps, self._back = to_maps(self._module), from_maps(self._module)
        shape = predictor.data.mask.shape
        halo = halo_of(self._module, max(s.last - s.first + 1 for s in segments) + 1)
        self._tiles = predictor.tiles if predictor.whole else [
            with_halo(tile.inner, halo, shape) for tile in predictor.tiles
        ]  # fmt: skip

    def run(self) -> Iterator[tuple[int, Segment, np.ndarray, int]]:
        """Yield (tile, segment, maps (n, L, h, w) of its dates, steps done so far), tile after tile of each segment."""
        begun = self._place()
        for number in range(begun, len(self.segments)):
            segment = self.segments[number]
            sets = [self._open(which) for which in (number % 2, (number + 1) % 2)]
            for place, tile in enumerate(self._tiles):
                maps, states = self._compute(segment, tile, None if segment.begins else sets[0])
                self._store(states, tile, sets[1])
                yield place, segment, maps, number
            for values in sets[1]:
                values.flush()
            write_text(self._folder / _PLACE, json.dumps({"segments": number + 1}))

    @property
    def bytes(self) -> int:
        """Of the files."""
        cells = self._predictor.data.mask.size
        return 2 * 4 * sum(tensor.numel() for tensor in tensors_of(self._template)) // _PROBE_PX**2 * cells

    def _compute(
        self, segment: Segment, tile: Tile, before: Optional[list[np.ndarray]]
    ) -> tuple[np.ndarray, list[Tensor]]:
        """Maps of the segment's dates on the inner part of a tile, and the states after it."""
        predictor = self._predictor
        data = dataclasses.replace(predictor.data, window=segment.last - segment.first + 1)
        part, end = part_of_record(data, tile, np.array([segment.last]), predictor.reads_masks)
        batch = part.batch(end)
        last_steps = max(1, len(segment.ends))
        with torch.inference_mode(), going_on(self._layers, self._load(before, tile)) as states:
            y_hat = predict_batch(self._module, batch, predictor.device, torch.float32, last_steps)
        scaled = y_hat[0, :, :, predictor.target][(..., *tile.box.slices)].cpu().numpy()
        return predictor.finished(scaled[: len(segment.ends)], tile), tensors_of(states)

    def _load(self, held: Optional[list[np.ndarray]], tile: Tile) -> Any:
        if held is None:
            return None
        device = self._predictor.device
        cut = (self._back(torch.from_numpy(np.array(maps[(..., *tile.outer)])).to(device)) for maps in held)
        return with_tensors(self._template, cut)

    def _store(self, states: list[Tensor], tile: Tile, held: list[np.ndarray]) -> None:
        rows, columns = (part.stop - part.start for part in tile.outer)
        for tensor, maps in zip(states, held):
            inner = self._maps(tensor, rows, columns)[(..., *tile.box.slices)]
            maps[(..., *tile.inner)] = inner.float().cpu().numpy()

    def _states_of_nothing(self) -> list[Any]:
        """States as the model makes them, of a small frame: how they are nested and how large they are."""
        device = next((tensor.device for tensor in self._module.parameters()), torch.device("cpu"))
        x = torch.zeros((1, 1, self._module.in_channels, _PROBE_PX, _PROBE_PX), device=device)
        with torch.inference_mode(), going_on(self._layers) as states:
            self._module(x, **further_inputs(self._module, x))
        return states

    def _open(self, which: int) -> list[np.ndarray]:
        """One of the two sets of files; they take no room before they are written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found = []
        for number, tensor in enumerate(tensors_of(self._template)):
            file = self._folder / f"{which}_{number}.f32"
            shape = (*self._maps(tensor, _PROBE_PX, _PROBE_PX).shape[:-2], *self._predictor.data.mask.shape)
            there = file.is_file() and file.stat().st_size == 4 * math.prod(shape)
            found.append(np.memmap(file, dtype=np.float32, mode="r+" if there else "w+", shape=shape))
        return found

    def _place(self) -> int:
        """Segments that are done."""
        try:
            return int(json.loads((self._folder / _PLACE).read_text(encoding="utf-8"))["segments"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
