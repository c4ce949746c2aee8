"""The answer of an explanation, read from its run folder and said in words."""

from __future__ import annotations

import json
from typing import Any, Optional

from ..core.contracts import FreshetError, RunFolder
from ..core.contracts.dates import format_step
from ..core.contracts.model_card import ModelCard, read_card
from .text import number, percent, tr

_LONGEST_LABEL = 20


def readable_card(path: str) -> Optional[ModelCard]:
    """What a saved model says of itself; None without one that can be read, which the engine tells of."""
    try:
        return read_card(path) if path else None
    except FreshetError:
        return None


def read_attribution(run: RunFolder) -> Optional[dict[str, Any]]:
    """``results/attribution.json`` of an explanation, None where it is missing or broken."""
    try:
        found = json.loads((run.results / "attribution.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    needed = ("variables", "baseline_prediction", "prediction")
    return found if isinstance(found, dict) and all(name in found for name in needed) else None


def answer_words(found: dict[str, Any]) -> str:
    """The answer as a sentence, with the residual of completeness."""
    units = "" if found.get("units") in (None, "", "-") else " " + found["units"]
    strongest = max(found["variables"].items(), key=lambda item: abs(item[1]), default=("-", 0.0))
    text = tr("{date}: {prediction}{units}, against {baseline}{units} for the baseline. Strongest: {name}, {value}.")
    words = text.format(
        date=str(found.get("date", ""))[:16],
        prediction=number(found["prediction"], 3),
        units=units,
        baseline=number(found["baseline_prediction"], 3),
        name=found.get("labels", {}).get(strongest[0], strongest[0]),
        value=f"{strongest[1]:+.3g}{units}",
    )
    if found.get("observed") is not None:
        words += " " + tr("Observed: {value}{units}.").format(value=number(found["observed"], 3), units=units)
    share = found.get("residual_share")
    return words + (
        " " + tr("Not accounted for: {share}.").format(share=percent(abs(share))) if share is not None else ""
    )


def named(found: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``values`` under the labels of the variables, where these are short enough for an axis."""
    labels = found.get("labels", {})
    return {
        labels[name] if len(labels.get(name, "")) in range(1, _LONGEST_LABEL) else name: v for name, v in values.items()
    }


def step_word(found: dict[str, Any]) -> str:
    """What a step back is called."""
    seconds = found.get("step_seconds")
    step = format_step(seconds) if seconds else ""
    return {"1 day": tr("days"), "1 hour": tr("hours")}.get(step, tr("steps"))
