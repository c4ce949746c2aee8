"""The answer of an explanation, read from its run folder and said in words."""

from __future__ import annotations

import csv
import json
from typing import Any, Optional

from ..core.contracts import FreshetError, RunFolder
from ..core.contracts.dates import format_step
from ..core.contracts.explain_methods import METHOD_WORDS
from ..core.contracts.model_card import ModelCard, read_card
from .text import date_words, number, percent, tr

_LONGEST_LABEL = 20
_AGAINST = {
    "mean": "each variable's mean",
    "dry": "a sequence without rain",
    "climatology": "what is usual at that time of the year",
}


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


def read_columns(run: RunFolder, name: str) -> dict[str, list[float]]:
    """The columns of a CSV file of numbers in the results; empty where it is missing or broken."""
    try:
        with open(run.results / name, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return {key: [float(row[key]) for row in rows] for key in (rows[0] if rows else {})}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def answer_words(found: dict[str, Any]) -> str:
    """The answer as sentences: date and place, prediction, observed, baseline, what counted most, what is left."""
    units = units_of(found)
    against = found.get("baseline") if found.get("method") != "expected-gradients" else "windows"
    text = tr("{date}{place}: {prediction}{units}, against {baseline}{units} for {against}.")
    words = text.format(
        date=date_words(str(found.get("date", ""))),
        place=_place_words(found),
        prediction=number(found["prediction"], 3),
        units=units,
        baseline=number(found["baseline_prediction"], 3),
        against=against_words(str(against or "")),
    )
    if found.get("observed") is not None:
        words += " " + tr("Observed: {value}{units}.").format(value=number(found["observed"], 3), units=units)
    if found["variables"] and tells_variables_apart(found):
        name, value = max(found["variables"].items(), key=lambda item: abs(item[1]))
        label = found.get("labels", {}).get(name, name)
        words += " " + tr("Strongest: {name}, {value}{units}.").format(name=label, value=f"{value:+.3g}", units=units)
    share = found.get("residual_share")
    if not tells_variables_apart(found):
        words += " " + tr("This method does not tell variables apart: its map says where, or when.")
    elif share is not None and found.get("complete", True):
        words += " " + tr("Not accounted for: {share}.").format(share=percent(abs(share)))
    elif share is not None:
        words += " " + tr("Contributions of this method do not add up to the prediction.")
    return words


def tells_variables_apart(found: dict[str, Any]) -> bool:
    """Whether there is a contribution of each variable."""
    known = METHOD_WORDS.get(str(found.get("method", "")))
    return known is None or known.variables


def ensemble_words(found: dict[str, Any]) -> str:
    """How far several models lie apart; empty for one."""
    ensemble = found.get("ensemble")
    if not isinstance(ensemble, dict) or not ensemble.get("members"):
        return ""
    units = units_of(found)
    words = tr("Mean of {count} models, whose predictions lie {spread}{units} apart (standard deviation).").format(
        count=len(ensemble["members"]), spread=number(ensemble.get("spread_of_prediction"), 3), units=units
    )
    labels, spread = found.get("labels", {}), ensemble.get("spread") or {}
    parts = [f"{labels.get(name, name)} \u00b1 {number(value, 2)}" for name, value in spread.items() if value]
    return words + (" " + tr("Of the contributions: {parts}.").format(parts=", ".join(parts)) if parts else "")


def draft_words(so_far: dict[str, Any], units: str) -> str:
    """A picture that is still being refined."""
    return tr("First picture after {done} of {of}: {prediction}{units}, against {baseline}{units}. It refines.").format(
        done=so_far.get("done"),
        of=so_far.get("of"),
        prediction=number(so_far.get("prediction"), 3),
        baseline=number(so_far.get("baseline_prediction"), 3),
        units=units,
    )


def method_words(found: dict[str, Any]) -> str:
    """How the answer came about: method, points or samples, noise, seed, and what it rests on."""
    known = METHOD_WORDS.get(str(found.get("method", "")))
    facts = found.get("settings") if isinstance(found.get("settings"), dict) else {}
    told = {
        "points": tr("{value} points"),
        "samples": tr("{value} samples"),
        "noise": tr("noise {value} of each variable's range"),
        "seed": tr("seed {value}"),
        "layer": tr("layer {value}"),
        "block": tr("blocks of {value} cells"),
        "block_steps": tr("stretches of {value} steps"),
        "sigma": tr("bumps of {value} cells"),
    }
    parts = [known.label if known else str(found.get("method", ""))]
    parts += [text.format(value=_plain(facts[name])) for name, text in told.items() if name in facts]
    if found.get("passes"):
        count = found["passes"]
        parts.append(
            tr("one pass of the model") if count == 1 else tr("{count} passes of the model").format(count=count)
        )
    return ", ".join(part for part in parts if part) + ". " + str(found.get("assumes", ""))


def check_words(found: dict[str, Any]) -> str:
    """What the checks of the method say; empty where they were not asked for."""
    check = found.get("check")
    if not isinstance(check, dict):
        return ""
    correlation, area = check.get("rank_correlation_randomised"), check.get("deletion_area")
    words = []
    if correlation is not None:
        words.append(
            tr("Rank correlation with the same model with randomised weights: {value} (near 0 is good).").format(
                value=f"{correlation:+.2f}"
            )
        )
    if area is not None:
        words.append(
            tr("Deleting the most attributed inputs first, area to random order: {value} (above 0 is good).").format(
                value=f"{area:+.2f}"
            )
        )
    return " ".join(words) or tr("The checks give no number here: the contributions are the same everywhere.")


def delay_words(found: dict[str, Any], lags: dict[str, list[float]]) -> str:
    """Which step back carries most, and within how many half of all and nine tenths of all lie; empty without steps."""
    delay = found.get("delay")
    if not isinstance(delay, dict) or delay.get("most") is None:
        return ""
    steps = step_word(found)
    words = tr("Most comes from {count} {steps} back").format(count=delay["most"], steps=steps)
    half, most = (_within(lags, share) for share in (0.5, 0.9))
    if half is not None and most is not None:
        words += tr("; half of all within {half}, nine tenths within {most} {steps}").format(
            half=half, most=most, steps=steps
        )
    if delay.get("centre") is not None:
        words += tr("; the mean delay is {centre} {steps}").format(centre=number(delay["centre"], 2), steps=steps)
    return words + "."


def against_words(baseline: str) -> str:
    """What a prediction is compared with."""
    known = {**_AGAINST, "windows": "windows of the training period"}
    return tr(known.get(baseline, "the baseline"))


def units_of(found: dict[str, Any]) -> str:
    """The unit with a blank before it; nothing for a quantity without one."""
    return "" if found.get("units") in (None, "", "-") else f" {found['units']}"


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
    return {"1 day": tr("days"), "1 hour": tr("hours"), "1 month": tr("months")}.get(step, tr("steps"))


def _within(lags: dict[str, list[float]], share: float) -> Optional[int]:
    pairs = zip(lags.get("step_back", []), lags.get("cumulative_share", []))
    return next((int(lag) for lag, reached in pairs if reached >= share - 1e-9), None)


def _place_words(found: dict[str, Any]) -> str:
    place = found.get("place") if isinstance(found.get("place"), dict) else {}
    kind = place.get("kind")
    if kind == "cell":
        return tr(", cell at x {x}, y {y}").format(x=number(place.get("x"), 7), y=number(place.get("y"), 7))
    if kind == "gauge":
        return tr(", gauge {name}").format(name=place.get("gauge"))
    if kind == "polygon":
        return tr(", mean of {count} cells of the polygon").format(count=place.get("cells"))
    if kind == "basin" and place.get("gauges"):
        return tr(", mean of {count} gauges").format(count=place["gauges"])
    return tr(", mean of the basin ({count} cells)").format(count=place.get("cells")) if kind == "basin" else ""


def _plain(value: Any) -> str:
    return number(value) if isinstance(value, (int, float)) else str(value)
