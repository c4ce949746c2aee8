"""From a training job to a model card and scaled windows: scalers are fitted on the training period only."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.errors import ConfigError, DataError
from ..contracts.model_card import ModelCard, VariableCard
from ..contracts.models import family as model_family
from ..contracts.models import resolve
from ..contracts.training_checks import check_gives
from ..contracts.training_job import SplitConfig, TrainJob
from ..contracts.units import normalise
from ..contracts.uses import check_variables
from ..contracts.variables import quantity
from ..data.scaling import Scaler
from ..data.splits import (
    ROLES,
    Split,
    sequence_roles,
    split_of_rest,
    split_steps,
    split_windows,
    without_windows,
)
from ..data.store import Dataset
from ..data.windows import WindowData, build_window_data, check_is_map
from .cell_facts import cell_facts, training_values
from .mass import mass_plan
from .past_target import past_plan


@dataclass(frozen=True)
class TrainingSet:
    """One dataset ready to train on: its windows, its split, the variance of each cell's scaled target in training, and
    the card of the model, which names its variables. ``cells`` bool (*frame): where a target was observed in training.
    """

    data: WindowData
    split: Split
    variance: np.ndarray
    card: Optional[ModelCard] = None
    cells: Optional[np.ndarray] = None

    @cached_property
    def target_mean(self) -> np.ndarray:
        """float32 (K,): the mean of each scaled target over its training period, or its validation period."""
        return cell_facts(self.data, _known_steps(self.split)).mean


def splits_of(datasets: Sequence[Dataset], split: SplitConfig, window: int, lead: int, leads: int) -> list[Split]:
    """The split of each dataset by its own dates, or by whole sequences where ``split`` names some.

    A sequence that is too short for a window has none; raises :class:`DataError` that names the dataset where a plain
    dataset is too short, or all sequences are.
    """
    roles, rest = roles_of(datasets, split), split_of_rest(split)
    splits, faults = [], []
    for dataset, role in zip(datasets, roles):
        try:
            splits.append(split_windows(dataset.times, dataset.step_seconds, rest, window, lead, leads, role))
        except DataError as error:
            faults.append(_named(dataset, error))
            if not dataset.sequence:
                raise faults[-1] from error
            splits.append(without_windows(dataset.times))
    if not any(len(item.train) for item in splits):
        raise faults[0]
    return splits


def roles_of(datasets: Sequence[Dataset], split: SplitConfig) -> list[str]:
    """Which sequences (or whole datasets, by their names) train, validate and test; "" where time is split."""
    return sequence_roles([dataset.sequence or dataset.name for dataset in datasets], split)


def too_short(datasets: Sequence[Dataset], splits: Sequence[Split]) -> str:
    """A sentence that names the sequences that give no window; empty where all do."""
    names = [
        dataset.sequence
        for dataset, split in zip(datasets, splits)
        if dataset.sequence and not (len(split.train) or len(split.validation) or len(split.test))
    ]
    if not names:
        return ""
    listed = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{len(names)} of {len(datasets)} sequences are too short for a window and are left out: {listed}."


def warm_up_of(job: TrainJob, datasets: Sequence[Dataset]) -> tuple[int, str]:
    """Steps of warm-up before the window, and the reason in words."""
    if job.warm_up is not None:
        return job.warm_up, "asked for"
    if job.target in job.inputs:
        return 0, "the past target tells the state at the begin of the window"
    roles, rest = roles_of(datasets, job.split), split_of_rest(job.split)
    least = job.window + max(0, job.lead + job.leads - 1)
    steps_of = [int(split_steps(d.times, rest, "train", role).sum()) for d, role in zip(datasets, roles)]
    training = [steps for steps, role in zip(steps_of, roles) if role in ("", "train")]
    shortest = min([steps for steps in training if steps >= least] or training)
    longest = shortest // 4 - job.window
    whole = [len(d.times) for d, role in zip(datasets, roles) if role in ("validation", "test")]
    if whole:  # every sequence that judges and could hold a window has to hold one with its warm-up too
        longest = min(longest, min([steps for steps in whole if steps >= least] or whole) - least)
    steps = max(0, min(2 * job.window, longest))
    return (
        steps,
        "twice the window" if steps == 2 * job.window else f"a quarter of the {shortest} training steps is the most",
    )


def build_card(job: TrainJob, datasets: Sequence[Dataset], splits: Sequence[Split], warm_up: int = 0) -> ModelCard:
    """The card of the model that ``job`` will train, with fitted scalers. Raises :class:`DataError` or
    :class:`ConfigError`.
    """
    _check_datasets(job, datasets)
    family_name, options = resolve(job.model.family, job.model.options)
    first = datasets[0]
    gauges = _gauges(job, first, family_name)
    options, amounts = mass_plan(job, first, family_name, options)
    options = past_plan(job, family_name, options)
    return ModelCard(
        title=job.title or f"{job.target} from {', '.join(job.inputs)}",
        family=family_name,
        options=_plain(model_family(family_name).complete(options)),
        inputs=tuple(_variable_card(job, name, datasets, splits, amounts) for name in job.inputs),
        static=tuple(_variable_card(job, name, datasets, splits) for name in job.static),
        target=_variable_card(job, job.target, datasets, splits, amounts),
        also=tuple(_variable_card(job, name, datasets, splits, amounts) for name in job.also),
        ahead=tuple(_variable_card(job, name, datasets, splits) for name in job.ahead),
        gauges=gauges,
        run_through=job.run_through,
        hidden_share=job.hidden_share,
        hiding=job.hiding,
        use=job.use,
        season=job.season,
        window=job.window + warm_up,
        warm_up=warm_up,
        lead=job.lead,
        leads=job.leads,
        step_seconds=first.step_seconds,
        cell_size=(first.grid.cell_x, first.grid.cell_y),
        crs=first.grid.crs,
        extent=first.grid.extent,
        periods=_periods(datasets, splits),
        periods_by_dataset=periods_by_dataset(datasets, splits),
        training=job.training.to_dict(),
        datasets=tuple(f"{d.name} {d.fingerprint()}" for d in datasets),
        versions=versions(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def training_sets(datasets: Sequence[Dataset], splits: Sequence[Split], card: ModelCard) -> list[TrainingSet]:
    """Scaled windows of every dataset that trains or validates; the datasets must hold the target."""
    sets = []
    for dataset, split in zip(datasets, splits):
        if card.target.name not in dataset.variables:
            raise DataError(
                f"The dataset '{dataset.name}' lacks the target '{card.target.name}'",
                got=", ".join(dataset.variables),
                remedy="Prepare a dataset that holds it",
            )
        if not (len(split.train) or len(split.validation)):
            continue
        data = build_window_data(dataset, card)
        facts = cell_facts(data, _known_steps(split))
        for place, target in enumerate(card.targets):
            if facts.count[place].any():
                continue
            period = "training" if split.train_steps.any() else "validation"
            raise DataError(
                f"The target '{target.name}' of '{dataset.name}' has no value in the {period} period",
                remedy=f"Choose another {period} period, or check the mask",
            )
        item = TrainingSet(data, split, facts.variance, card, facts.cells)
        vars(item)["target_mean"] = facts.mean  # known already
        sets.append(item)
    return sets


def periods_by_dataset(datasets: Sequence[Dataset], splits: Sequence[Split]) -> dict[str, dict[str, list[str]]]:
    """By the fingerprint of each dataset: first and last date of each of its periods."""
    return {d.fingerprint(): _periods([d], [s]) for d, s in zip(datasets, splits)}


def versions() -> dict[str, str]:
    """Versions of what made a model."""
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def _known_steps(split: Split) -> np.ndarray:
    """bool (T,): the training period; the validation period of a dataset that only validates."""
    return split.train_steps if split.train_steps.any() else split.validation_steps


def _variable_card(
    job: TrainJob,
    name: str,
    datasets: Sequence[Dataset],
    splits: Sequence[Split],
    amounts: Optional[Mapping[str, Scaler]] = None,
) -> VariableCard:
    info = datasets[0].variables[name]
    values = training_values(name, datasets, splits)
    kind = job.scalers.get(name) or quantity(info.quantity).scaler
    if kind == "one-hot" and not info.static:
        raise ConfigError(f"'{name}' varies in time and cannot be one-hot", remedy="Choose another scaler for it")
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise DataError(
            f"'{name}' has no value in the training period", remedy="Choose another training period or variable"
        )
    return VariableCard(
        name=name,
        quantity=info.quantity,
        units=info.units,
        label=info.label,
        scaler=((amounts or {}).get(name) or Scaler.fit(kind, finite)).to_dict(),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
    )


def _gauges(job: TrainJob, dataset: Dataset, family_name: str) -> tuple[str, ...]:
    """Ids of the gauges that are predicted, empty for maps. ConfigError where the family gives only the other kind."""
    series = [name for name in job.targets if dataset.variables[name].gauges]
    others = [info.name for info in dataset.variables.values() if not info.static and bool(info.gauges) != bool(series)]
    check_gives(family_name, series[0] if series else job.target, bool(series), others)
    return dataset.gauges.ids if series and dataset.gauges else ()


def _check_datasets(job: TrainJob, datasets: Sequence[Dataset]) -> None:
    first = datasets[0]
    for dataset in datasets:
        for name in (*job.inputs, *job.static, *job.targets, *job.ahead):
            if name not in dataset.variables:
                raise DataError(
                    f"The dataset '{dataset.name}' has no variable '{name}'",
                    expected=f"one of {', '.join(dataset.variables)}",
                    remedy="Choose among these, or prepare the dataset again",
                )
            if name not in job.targets:
                check_is_map(dataset, name)
            held = dataset.variables[name]
            if held.static != (name in job.static):
                raise ConfigError(
                    f"'{name}' {'does not vary' if held.static else 'varies'} in time",
                    remedy="List it among the static maps" if held.static else "List it among the inputs",
                )
            if normalise(held.units) != normalise(first.variables[name].units):
                raise DataError(
                    f"'{name}' has different units in '{first.name}' and '{dataset.name}'",
                    got=f"{first.variables[name].units} and {held.units}",
                    remedy="Prepare both with the same unit",
                )
        if abs(dataset.step_seconds - first.step_seconds) > 0.5:
            raise DataError(
                f"'{first.name}' and '{dataset.name}' have different steps",
                got=f"{format_step(first.step_seconds)} and {format_step(dataset.step_seconds)}",
                remedy="Prepare both with the same step",
            )
    check_variables(job.use, job.target, job.inputs, first.variables.values())
    unknown = sorted(set(job.scalers) - {*job.inputs, *job.static, *job.targets, *job.ahead})
    if unknown:
        raise ConfigError(f"A scaler is given for '{unknown[0]}', which the model does not use", remedy="Remove it")


def _periods(datasets: Sequence[Dataset], splits: Sequence[Split]) -> dict[str, list[str]]:
    """First and last date of each period over all datasets, as ISO texts."""
    periods = {}
    for name in ROLES:
        dates = [d.times[getattr(s, f"{name}_steps")] for d, s in zip(datasets, splits)]
        dates = np.concatenate(dates)
        if len(dates):
            periods[name] = [str(dates.min()), str(dates.max())]
    return periods


def _named(dataset: Dataset, error: DataError) -> DataError:
    return DataError(
        f"Dataset '{dataset.name}': {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
    )


def _plain(options: dict) -> dict:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
