"""How far the members of an ensemble lie apart: maps of their standard deviation and of quantiles, for each date."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Optional

import numpy as np

from ..contracts.events import Artifact, Event
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from ..training.members import Members
from .artifacts import (
    RangeSampler,
    artifact_event,
    display_units,
    file_name,
    lead_words,
    progress,
    relative,
    symmetric_limit,
)
from .figures import Look
from .geotiff import SeriesWriter, block_for, check_space, iso
from .predictor import Predictor
from .tiles import Tile

QUANTILES = (0.05, 0.95)
KINDS = ("spread", "lower", "upper")
_SPREAD_RAMP = "YlOrRd"
_NOTE = (
    "Standard deviation over the {count} members of the ensemble. It tells how far models of other seeds would lie "
    "apart, and nothing of what all of them have wrong."
)


def write_spread(predictor: Predictor, ends: np.ndarray, run: RunFolder, look: Look) -> Iterator[Event]:
    """``spread.tif``, ``lower.tif`` and ``upper.tif`` (one a lead) of a predictor whose module is an ensemble.

    The quantiles of a few members are interpolated between them. ``look``: that of the predicted maps.
    """
    card, data, count = predictor.card, predictor.data, len(predictor.module.members)
    leads = [card.lead + number for number in range(card.leads)]
    targets, sampler = data.target_times(ends), RangeSampler(len(ends) * card.leads * data.mask.size)
    check_space(run.results / "spread.tif", 4 * len(KINDS) * targets.size * data.mask.size)
    block = block_for(predictor.tile_px)
    with contextlib.ExitStack() as stack:
        writers = {
            (kind, number): stack.enter_context(
                SeriesWriter(
                    run.results / file_name(kind, lead, leads[0]), data.grid, targets[:, number],
                    units=display_units(card.target.units), label=_title(predictor, kind, number), block_px=block,
                )
            )
            for kind in KINDS
            for number, lead in enumerate(leads)
        }  # fmt: skip
        for tile in predictor.tiles:
            done = 0
            for chunk, maps in statistics(predictor, ends, tile):
                sampler.add(maps["spread"])
                for (kind, number), writer in writers.items():
                    writer.write_part(maps[kind][:, number], done, *tile.inner)
                done += len(chunk)
                yield progress(0.99, f"Spread of {done} of {len(ends)} dates")
    for (kind, number), _ in writers.items():
        spread = kind == "spread"
        yield artifact_event(
            Artifact(
                kind="spread",
                path=relative(run, run.results / file_name(kind, leads[number], leads[0])),
                title=_title(predictor, kind, number),
                variable=card.target.name,
                units=display_units(card.target.units),
                ramp=_SPREAD_RAMP if spread else look.ramp,
                minimum=0.0 if spread else look.minimum,
                maximum=symmetric_limit(sampler) if spread else look.maximum,
                dates=tuple(iso(date) for date in targets[:, number]),
                step_seconds=card.step_seconds,
                note=_NOTE.format(count=count) if spread else f"Of {count} members, interpolated between them.",
                group=look.label,
            )
        )


def at_gauges_of_members(predictor: Predictor, ends: np.ndarray) -> dict[str, np.ndarray]:
    """Spread and quantiles of an ensemble of gauges, each (n, L, G) under its name; nothing for any other model."""
    if not is_of_members(predictor):
        return {}
    found = [maps for _, maps in statistics(predictor, ends)]
    return {name: np.concatenate([maps[name][:, :, 0] for maps in found]) for name in KINDS}


def statistics(
    predictor: Predictor, ends: np.ndarray, tile: Optional[Tile] = None
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """``(ends (n,), maps)``: of the members ``mean``, ``spread`` (their standard deviation, n - 1 in its denominator),
    ``lower`` and ``upper`` quantile, each (n, L, *frame), or of a ``tile``, in the target's unit, NaN outside the mask.
    """
    alone = [copy.copy(predictor) for _ in predictor.module.members]
    for one, member in zip(alone, predictor.module.members):
        one.module = member
    for found in zip(*(_maps_of(one, ends, tile) for one in alone)):
        chunk, values = found[0][0], np.stack([maps for _, maps in found])
        lower, upper = np.quantile(values, QUANTILES, axis=0)
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.where(np.isnan(values[0]), np.nan, 0.0)
        means = {"mean": values.mean(axis=0), "spread": spread, "lower": lower, "upper": upper}
        yield chunk, {name: maps.astype(np.float32) for name, maps in means.items()}


def _maps_of(one: Predictor, ends: np.ndarray, tile: Optional[Tile]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if tile is None:
        yield from one.predict(ends)
        return
    for group in one.chunks(tile, ends):
        for found in one.judged_on(tile, group):
            yield found.ends, found.maps


def is_of_members(predictor: Predictor) -> bool:
    """Whether a predictor's model is an ensemble."""
    return isinstance(predictor.module, Members)


def _title(predictor: Predictor, kind: str, number: int) -> str:
    card = predictor.card
    label = card.target.label or quantity(card.target.quantity).label
    ahead = lead_words(card.lead + number, card.leads > 1)
    words = {"spread": "spread of the ensemble", "lower": "5 % quantile", "upper": "95 % quantile"}[kind]
    return f"{label}, {words}{ahead} ({display_units(card.target.units)})"
