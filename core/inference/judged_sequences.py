"""Several sequences judged as one: all pairs of predicted and observed values in the same scores."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard
from ..data.store import open_datasets
from .judge import Judge

if TYPE_CHECKING:
    from .evaluate import Evaluation


def sequences_to_judge(path: str, sequence: str, card: ModelCard) -> list[str]:
    """The sequence asked for, else all test sequences of the model in the file, else "" for :meth:`Dataset.open` to
    judge of: a plain dataset, a file with one sequence, or a sentence that lists them.
    """
    if sequence:
        return [sequence]
    datasets = open_datasets(path)
    try:
        testing = [d.sequence for d in datasets if "test" in card.periods_by_dataset.get(d.fingerprint(), {})]
        return testing if len(datasets) > 1 and testing else [""]
    finally:
        for dataset in datasets:
            dataset.close()


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """One evaluation of all: its scores and maps hold every pair of every sequence; pictures and series are those of
    the sequence with the median RMSE. Raises :class:`DataError` where grids differ.
    """
    grids = {evaluation.grid for evaluation in evaluations}
    if len(grids) > 1:
        raise DataError(
            "The test sequences lie on different grids and cannot be judged together",
            got=f"{len(grids)} grids in {len(evaluations)} sequences",
            remedy="Name one sequence to judge",
        )
    order = np.argsort([evaluation.scores["model"]["pooled"]["rmse"] for evaluation in evaluations], kind="stable")
    shown = evaluations[int(order[len(order) // 2])]
    judges = [_merged([evaluation.judges[lead] for evaluation in evaluations]) for lead in range(len(shown.judges))]
    look = dataclasses.replace(
        shown.look,
        minimum=min(evaluation.look.minimum for evaluation in evaluations),
        maximum=max(evaluation.look.maximum for evaluation in evaluations),
        delta_limit=max(evaluation.look.delta_limit for evaluation in evaluations),
    )
    notes = list(dict.fromkeys(note for evaluation in evaluations for note in evaluation.notes))
    notes.append(f"Maps and series show '{shown.scores['dataset']}', which has the median RMSE of the sequences.")
    return dataclasses.replace(
        shown,
        scores=_document(evaluations, judges, shown.scores),
        judges=judges,
        look=look,
        notes=notes,
    )


def _merged(judges: Sequence[Judge]) -> Judge:
    first = copy.copy(judges[0])
    more = ("interpolation",) if first.interpolation is not None else ()
    for name in ("model", "persistence", "climatology", *more):
        total = copy.deepcopy(getattr(first, name))
        for judge in judges[1:]:
            total.merge(getattr(judge, name))
        setattr(first, name, total)
    return first


def _document(evaluations: Sequence[Evaluation], judges: Sequence[Judge], shown: dict[str, Any]) -> dict[str, Any]:
    parts = [evaluation.scores for evaluation in evaluations]
    return {
        **shown,
        "dataset": f"{shown['dataset'].rsplit(' / ', 1)[0]}, {len(parts)} sequences",
        "period": {
            "start": min(part["period"]["start"] for part in parts),
            "end": max(part["period"]["end"] for part in parts),
        },
        "steps": sum(part["steps"] for part in parts),
        **judges[0].to_dict(),
        "by_lead": [judge.to_dict() for judge in judges],
        "sequences": [evaluation.card_scores() for evaluation in evaluations],
    }
