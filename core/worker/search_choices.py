"""One precision for all trials of a search, chosen in the first: losses are compared, and trying it once is enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..contracts.events import Event, EventKind
from ..contracts.training_config import TrainingConfig

if TYPE_CHECKING:
    import optuna

_KEY = "precision"


def alike(study: optuna.Study, config: TrainingConfig) -> TrainingConfig:
    """``config`` with the precision of the first trial, where none was asked for."""
    known = study.user_attrs.get(_KEY)
    return config.replace(precision=known) if known and config.precision == "auto" else config


def noted(study: optuna.Study, config: TrainingConfig, events: Iterator[Event]) -> Iterator[Event]:
    """The same events; the precision that the first trial chose is kept for all, and told."""
    for event in events:
        if "choices" in event.values and config.precision == "auto":
            chosen = [item for item in event.values["choices"]["choices"] if item["name"] == _KEY]
            if chosen and _KEY not in study.user_attrs:
                study.set_user_attr(_KEY, chosen[0]["value"])
                text = f"All trials are computed in {chosen[0]['value']}, as the first one chose: {chosen[0]['why']}."
                yield Event(EventKind.MESSAGE, {"level": "info", "text": text, "search": True})
        yield event
