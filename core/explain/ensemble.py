"""Several models asked the same: the attribution of their mean, and how far they lie apart.

Attribution is linear in what is explained: the mean of the members' contributions is the contribution to their mean,
and where each member's add up, so do the means. Each member has its own scalers, so that its baseline is the same
weather and its contributions are in the target's unit. The spread is the standard deviation over the members
(of a sample, n - 1). Gradients of the spread itself are not taken; what each variable has in it follows exactly from
the contributions, see :func:`shares_of_spread`.

Symbols: M members, T steps, C, S, A channels, H rows, W columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..contracts.ensemble_file import model_files
from ..contracts.errors import ModelFileError
from ..contracts.model_card import SEASON_CHANNELS, ModelCard, VariableCard, read_card
from ..contracts.result_jobs import ExplainJob
from .asking import lead_of, target_of
from .contributions import Contribution
from .explained import Attribution
from .methods import Method, method_for
from .sanity import Sanity


@dataclass(frozen=True)
class Member:
    """One of the models. ``target`` and ``lead`` are its places of what is asked among its outputs."""

    path: str
    card: ModelCard
    target: int
    lead: int

    @property
    def name(self) -> str:
        """Its title and file, for people."""
        return f"{self.card.title} ({Path(self.path).name})" if self.card.title else Path(self.path).name


def members_of(job: ExplainJob) -> list[Member]:
    """The model and the further members that the job names, ready to be asked the same.

    Windows may differ: a shorter one knows nothing of the steps before it. Raises :class:`ModelFileError` where a
    member predicts something else, reads other inputs or cannot be asked by the method; :class:`ConfigError` where the
    first model lacks the asked target or lead.
    """
    model, *others = [file for path in (job.model, *job.members) for file in model_files(path)]
    known = read_card(model)
    method_for(job.method, known)
    first = Member(model, known, target_of(known, job.target), lead_of(known, job.lead))
    found = [first]
    for path in others:
        card = read_card(path)
        try:
            method_for(job.method, card)
        except ModelFileError as error:
            raise ModelFileError(
                f"{Path(path).name} cannot be a member: {_within(error.problem)}", expected=error.expected,
                got=error.got, remedy=error.remedy,
            ) from error  # fmt: skip
        found.append(_member(path, card, first))
    return found


def longest(members: Sequence[Member]) -> ModelCard:
    """The card of the first member with the window of the one that reads the most steps, and the asked target first."""
    first = members[0]
    window = max(member.card.window for member in members)
    return first.card.replace(target=first.card.targets[first.target], window=window)


def aligned(found: Attribution, card: ModelCard, onto: ModelCard, method: Method) -> Attribution:
    """``found`` of a model with ``card`` in the order of variables and the steps of ``onto``: zeros for steps before
    its window, and for static maps that its family does not read. A map of classes has all in its first channel.
    """
    pad = onto.window - card.window if method.steps else 0
    if found.heat is not None:
        return dataclasses.replace(found, heat=_padded(found.heat, pad), slopes={})
    frame = found.x.shape[-2:]
    order = [_names(card.inputs).index(variable.name) for variable in onto.inputs]
    order += range(len(card.inputs), len(card.inputs) + (len(SEASON_CHANNELS) if card.season else 0))
    static = np.zeros((onto.static_channels, *frame)) if onto.static else None
    if static is not None and found.static is not None:
        own = {variable.name: channels for variable, channels in card.static_slices()}
        for variable, channels in onto.static_slices():
            static[channels.start] = found.static[own[variable.name]].sum(axis=0)
    ahead, slopes = None, {}
    later = [_names(card.ahead).index(variable.name) for variable in onto.ahead]
    if onto.ahead:
        steps = onto.leads if method.steps else 1
        ahead = np.zeros((steps, len(later), *frame)) if found.ahead is None else found.ahead[:, later]
    if "x" in found.slopes:
        slopes["x"] = _padded(found.slopes["x"][:, order], pad)
    if "ahead" in found.slopes:
        slopes["ahead"] = found.slopes["ahead"][:, later]
    return dataclasses.replace(found, x=_padded(found.x[:, order], pad), static=static, ahead=ahead, slopes=slopes)


class Gathering:
    """Takes the members' answers one after the other: of maps only sums are kept."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Optional[Attribution] = None
        self._told: list[dict[str, Any]] = []
        self._maps: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # running mean and sum of squared distances (Welford)
        self._responses: list[Any] = []

    def add(self, member: Member, found: Attribution, rows: Sequence[Contribution]) -> None:
        """An aligned answer, and its contributions by variable."""
        self.count += 1
        self._sum = found if self._sum is None else _added(self._sum, found)
        for row in rows:
            here = row.maps.sum(axis=0)
            mean, squares = self._maps.get(row.name, (np.zeros_like(here), np.zeros_like(here)))
            moved = mean + (here - mean) / self.count
            self._maps[row.name] = (moved, squares + (here - mean) * (here - moved))
        scalers = {variable.name: variable.scaler for variable in (*member.card.inputs, *member.card.ahead)}
        self._responses.append((member.card.targets[member.target].units, scalers))
        self._told.append(
            {
                "model": member.card.title, "file": member.path, "window": member.card.window,
                "prediction": found.prediction, "baseline_prediction": found.baseline_prediction,
                "residual": found.residual, "variables": {row.name: row.total for row in rows},
                "by_step_back": {row.name: row.by_step for row in rows if not row.static},
            }
        )  # fmt: skip

    def mean(self) -> Attribution:
        """The attribution of the mean of the members so far. Responses are to a scaled unit, so they have a mean only
        where all members scale alike.
        """
        alike = all(item == self._responses[0] for item in self._responses)
        return _scaled(self._sum, 1.0 / self.count, alike)

    def spread(self, method: Method) -> Spread:
        """How far the members lie apart; at least two."""
        predictions = np.array([item["prediction"] for item in self._told])
        starts = np.array([item["baseline_prediction"] for item in self._told])
        totals = {name: np.array([item["variables"][name] for item in self._told]) for name in self._maps}
        timed = {
            name: np.std([item["by_step_back"][name] for item in self._told], axis=0, ddof=1)
            for name in self._told[0]["by_step_back"]
        }
        parts = None
        if method.complete:
            parts = shares_of_spread(predictions, {**totals, "baseline": starts})
        return Spread(
            self._told,
            {name: float(values.std(ddof=1)) for name, values in totals.items()},
            {name: [float(value) for value in values] for name, values in timed.items()},
            {name: np.sqrt(squares / (self.count - 1)) for name, (_, squares) in self._maps.items()},
            float(predictions.std(ddof=1)), float(starts.std(ddof=1)), parts,
        )  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Standard deviations over the members, in the target's unit: ``totals`` of each variable, ``by_step`` of each of
    its steps (all cells together), ``maps`` (H, W) of each cell (all steps together), of the ``prediction`` and the
    ``baseline_prediction``. ``members`` are facts of each; ``parts`` those of :func:`shares_of_spread`, or None where
    contributions do not add up.
    """

    members: list[dict[str, Any]]
    totals: dict[str, float]
    by_step: dict[str, list[float]]
    maps: dict[str, np.ndarray]
    prediction: float
    baseline_prediction: float
    parts: Optional[dict[str, float]]

    def facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        told = [{name: value for name, value in item.items() if name != "by_step_back"} for item in self.members]
        return {
            "members": told, "spread": self.totals, "spread_by_step_back": self.by_step,
            "spread_of_prediction": self.prediction, "spread_of_baseline_prediction": self.baseline_prediction,
            "parts_of_spread": self.parts,
        }  # fmt: skip


def shares_of_spread(predictions: np.ndarray, parts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """What each of ``parts`` (M,) has in the standard deviation of ``predictions`` (M,), in the same unit: its
    covariance with the prediction over that deviation. A prediction is the sum of its parts, so these add up to the
    deviation exactly; what is left over by an attribution's residual stands under "unexplained". Below 0 a part makes
    the members more alike.
    """
    spread = float(predictions.std(ddof=1))
    away = predictions - predictions.mean()
    scale = (len(predictions) - 1) * spread
    shares = {
        name: float(away @ (values - values.mean()) / scale) if scale > 0 else 0.0 for name, values in parts.items()
    }
    return {**shares, "unexplained": spread - sum(shares.values())}


def mean_check(checks: Sequence[Sanity]) -> Sanity:
    """The mean of the members' checks; None where it cannot be told of one of them."""

    def mean(values: Sequence[Optional[float]]) -> Optional[float]:
        return None if any(value is None for value in values) else float(np.mean(values))

    return Sanity(
        mean([item.correlation for item in checks]), mean([item.of_sizes for item in checks]), checks[0].shares,
        np.mean([item.attributed for item in checks], axis=0), np.mean([item.random for item in checks], axis=0),
        mean([item.area for item in checks]),
    )  # fmt: skip


def _member(path: str, card: ModelCard, first: Member) -> Member:
    """Refuse what cannot be held against the first model."""
    main, asked = first.card, first.card.targets[first.target]
    targets = {target.name: target for target in card.targets}
    name = Path(path).name
    if asked.name not in targets:
        raise _other(name, "predicts something else", asked.name, ", ".join(targets))
    own = targets[asked.name]
    if (own.units, own.quantity) != (asked.units, asked.quantity):
        raise _other(name, "predicts in another unit", f"{asked.quantity} ({asked.units})",
                     f"{own.quantity} ({own.units})")  # fmt: skip
    steps = main.lead + first.lead
    if steps not in range(card.lead, card.lead + card.leads) or (
        main.ahead and (card.lead, card.leads) != (main.lead, main.leads)
    ):
        raise _other(name, "predicts other steps ahead", str(steps),
                     f"{card.lead} to {card.lead + card.leads - 1}")  # fmt: skip
    pairs = (
        ("reads other inputs", _read(main.inputs), _read(card.inputs)),
        ("reads other static maps", _read(main.static), _read(card.static)),
        ("reads other inputs known ahead", _read(main.ahead), _read(card.ahead)),
        ("reads the season or not", _season(main), _season(card)),
        ("has another step", f"{main.step_seconds:g} s", f"{card.step_seconds:g} s"),
        ("predicts other gauges", ", ".join(main.gauges[:20]), ", ".join(card.gauges[:20])),
        ("has other cells", _cell(main), _cell(card)),
    )
    for what, expected, got in pairs:
        if expected != got:
            raise _other(name, what, expected, got)
    return Member(path, card, list(targets).index(asked.name), steps - card.lead)


def _other(name: str, what: str, expected: str, got: str) -> ModelFileError:
    return ModelFileError(
        f"{name} cannot be a member: it {what}", expected=expected or "none", got=got or "none",
        remedy="Choose models that were trained for the same on the same variables and grid",
    )  # fmt: skip


def _read(variables: Sequence[VariableCard]) -> str:
    return ", ".join(sorted(f"{variable.name} ({variable.units})" for variable in variables))


def _season(card: ModelCard) -> str:
    return "with the season" if card.season else "without the season"


def _cell(card: ModelCard) -> str:
    return " x ".join(f"{size:.6g}" for size in card.cell_size)


def _names(variables: Sequence[VariableCard]) -> list[str]:
    return [variable.name for variable in variables]


def _within(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _padded(part: np.ndarray, steps: int) -> np.ndarray:
    """Zeros before the first step."""
    return part if not steps else np.concatenate([np.zeros((steps, *part.shape[1:])), part])


def _added(one: Attribution, other: Attribution) -> Attribution:
    def both(a: Optional[np.ndarray], b: Optional[np.ndarray]) -> Optional[np.ndarray]:
        return None if a is None else a + b

    facts = {**other.facts, **one.facts}
    for name, value in facts.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            facts[name] = max(value, other.facts.get(name, value))  # points of a path: the most that a member took
    names = set(one.slopes) & set(other.slopes)
    return Attribution(
        both(one.x, other.x), both(one.static, other.static), one.prediction + other.prediction,
        one.baseline_prediction + other.baseline_prediction, both(one.ahead, other.ahead), both(one.heat, other.heat),
        one.passes + other.passes, {name: value for name, value in facts.items() if not isinstance(value, list)},
        {name: one.slopes[name] + other.slopes[name] for name in names},
    )  # fmt: skip


def _scaled(found: Attribution, factor: float, slopes: bool) -> Attribution:
    def part(values: Optional[np.ndarray]) -> Optional[np.ndarray]:
        return None if values is None else factor * values

    return Attribution(
        part(found.x), part(found.static), factor * found.prediction, factor * found.baseline_prediction,
        part(found.ahead), part(found.heat), found.passes, found.facts,
        {name: factor * values for name, values in found.slopes.items()} if slopes else {},
    )  # fmt: skip
