"""What a training leaves beside its model: maps, scores and a report of the test period of each of its datasets."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any, Optional

import numpy as np
from torch import nn

from ..contracts.errors import DataError
from ..contracts.events import Event
from ..contracts.files import write_text
from ..contracts.model_card import ModelCard
from ..contracts.run_folder import RunFolder
from ..data.splits import Split
from ..data.store import Dataset
from .artifacts import message
from .part import part_of
from .predict import predict_series
from .predictor import Predictor
from .training_mean import MeanOfTraining

CARD_KEYS = ("period", "steps", "lead_steps", "model", "persistence", "climatology", "skill", "dataset")


def results_of_training(
    module: nn.Module,
    card: ModelCard,
    dataset: Dataset,
    split: Split,
    run: RunFolder,
    history: Sequence[dict[str, Any]],
    *,
    folder: str = "",
    known: Optional[MeanOfTraining] = None,
) -> Generator[Event, None, dict[str, Any]]:
    """Predict and judge the test windows of ``split``; gives the scores for the model card.

    Where there is no test period the validation period is judged, and said so. ``folder``: below ``results``, for one
    of several datasets. ``known``: the climatology of sequences. Further targets are judged in folders of their own;
    the scores are those of the first.
    """
    ends, name = _judged(split)
    if name != "test":
        yield message(
            f"There is no test period: the {name} period is judged in its place, which flatters the model.", "warning"
        )
    title = card.title if not folder else f"{card.title}: {dataset.name}"
    asked = [("Trained on", _names(card.datasets)), *_computed(run)]
    found = []
    for target in range(len(card.targets)):
        part = part_of(run, card, target, folder)
        mean = known if target == 0 else None
        with Predictor((module, card), dataset, target=target) as predictor:
            scores = yield from predict_series(
                predictor, ends, part, title=title, asked=asked, history=history, known=mean
            )
        found.append(scores)
    return {key: found[0][key] for key in CARD_KEYS} if found[0] else {}


def write_mean_scores(scores: Sequence[dict[str, Any]], run: RunFolder) -> None:
    """scores.json of a run on several datasets: the mean of theirs, with each of them beside it."""
    kinds = ("model", "persistence", "climatology")
    mean = {
        kind: {part: _mean([s[kind][part] for s in scores]) for part in ("pooled", "median_per_cell")} for kind in kinds
    }
    document = {**mean, "note": f"Mean over {len(scores)} datasets.", "datasets": list(scores)}
    write_text(run.scores_file, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def _computed(run: RunFolder) -> list[tuple[str, str]]:
    """How the training was computed and why, where it is known."""
    try:
        choices = json.loads(run.choices_file.read_text(encoding="utf-8"))["choices"]
    except (OSError, ValueError, KeyError):
        return []
    return [("Computed with", " ".join(item["sentence"] for item in choices))]


def _mean(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    known = {key: [part[key] for part in parts if part.get(key) is not None] for key in parts[0]}
    return {key: float(np.mean(values)) if values else None for key, values in known.items()}


def _names(datasets: Sequence[str]) -> str:
    """Names of the datasets of a card, the first ten of many."""
    names = [text.rsplit(" ", 1)[0] for text in datasets]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _judged(split: Split) -> tuple[np.ndarray, str]:
    for name in ("test", "validation"):
        ends = getattr(split, name)
        if len(ends):
            return ends, name
    raise DataError(
        "There is neither a test nor a validation window to judge the model by",
        remedy="Give a test period that is longer than the lead, or shorten the window",
    )
