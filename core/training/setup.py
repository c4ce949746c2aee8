"""From a training job to a model card and scaled windows: scalers are fitted on the training period only."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from ..contracts.errors import ConfigError, DataError
from ..contracts.model_card import ModelCard, VariableCard
from ..contracts.models import family as model_family
from ..contracts.models import resolve
from ..contracts.training_job import SplitConfig, TrainJob
from ..contracts.units import normalise
from ..contracts.variables import quantity
from ..data.scaling import Scaler
from ..data.splits import Split, split_steps, split_windows
from ..data.store import Dataset
from ..data.windows import WindowData, build_window_data


@dataclass(frozen=True)
class TrainingSet:
    """One dataset ready to train on: its windows, its split, and the variance of each cell's scaled target in
    training.
    """

    data: WindowData
    split: Split
    variance: np.ndarray


def splits_of(datasets: Sequence[Dataset], split: SplitConfig, window: int, lead: int, leads: int) -> list[Split]:
    """The split of each dataset by its own dates. Raises :class:`DataError` that names the dataset."""
    splits = []
    for dataset in datasets:
        try:
            splits.append(split_windows(dataset.times, dataset.step_seconds, split, window, lead, leads))
        except DataError as error:
            raise DataError(
                f"Dataset '{dataset.name}': {error.problem}",
                expected=error.expected,
                got=error.got,
                remedy=error.remedy,
            ) from error
    return splits


def warm_up_of(job: TrainJob, datasets: Sequence[Dataset]) -> tuple[int, str]:
    """Steps of warm-up before the window, and the reason in words."""
    if job.warm_up is not None:
        return job.warm_up, "asked for"
    if job.target in job.inputs:
        return 0, "the past target tells the state at the begin of the window"
    shortest = min(int(split_steps(d.times, job.split).sum()) for d in datasets)
    longest = shortest // 4 - job.window
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
    return ModelCard(
        title=job.title or f"{job.target} from {', '.join(job.inputs)}",
        family=family_name,
        options=_plain(model_family(family_name).complete(options)),
        inputs=tuple(_variable_card(job, name, datasets, splits) for name in job.inputs),
        static=tuple(_variable_card(job, name, datasets, splits) for name in job.static),
        target=_variable_card(job, job.target, datasets, splits),
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
        training=job.training.to_dict(),
        datasets=tuple(f"{d.name} {d.fingerprint()}" for d in datasets),
        versions=versions(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def training_sets(datasets: Sequence[Dataset], splits: Sequence[Split], card: ModelCard) -> list[TrainingSet]:
    """Scaled windows of every dataset; the datasets must hold the target."""
    sets = []
    for dataset, split in zip(datasets, splits):
        data = build_window_data(dataset, card)
        if data.y is None:
            raise DataError(
                f"The dataset '{dataset.name}' lacks the target '{card.target.name}'",
                got=", ".join(dataset.variables),
                remedy="Prepare a dataset that holds it",
            )
        values = data.y[split.train_steps]
        if not np.isfinite(values).any():
            raise DataError(
                f"The target '{card.target.name}' of '{dataset.name}' has no value in the training period",
                remedy="Choose another training period, or check the mask",
            )
        sets.append(TrainingSet(data, split, _cell_variance(values)))
    return sets


def versions() -> dict[str, str]:
    """Versions of what made a model."""
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def _cell_variance(values: np.ndarray) -> np.ndarray:
    """Variance over time of each cell, float32 (H, W); 0 where there are no values (those cells have no loss)."""
    count = np.isfinite(values).sum(axis=0)
    clean = np.nan_to_num(values.astype(np.float64))
    mean = clean.sum(axis=0) / np.maximum(count, 1)
    square = np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(axis=0)
    return (square / np.maximum(count, 1)).astype(np.float32)


def _variable_card(job: TrainJob, name: str, datasets: Sequence[Dataset], splits: Sequence[Split]) -> VariableCard:
    info = datasets[0].variables[name]
    values = _training_values(name, datasets, splits)
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
        scaler=Scaler.fit(kind, finite).to_dict(),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
    )


def _training_values(name: str, datasets: Sequence[Dataset], splits: Sequence[Split]) -> np.ndarray:
    """All values inside the masks: of the training period, or of the map where it is static."""
    parts = []
    for dataset, split in zip(datasets, splits):
        if dataset.variables[name].static:
            parts.append(dataset.static_map(name)[dataset.mask])
        else:
            parts.append(dataset.dynamic(name)[split.train_steps][:, dataset.mask].ravel())
    return np.concatenate(parts)


def _check_datasets(job: TrainJob, datasets: Sequence[Dataset]) -> None:
    first = datasets[0]
    for dataset in datasets:
        for name in (*job.inputs, *job.static, job.target):
            if name not in dataset.variables:
                raise DataError(
                    f"The dataset '{dataset.name}' has no variable '{name}'",
                    expected=f"one of {', '.join(dataset.variables)}",
                    remedy="Choose among these, or prepare the dataset again",
                )
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
                got=f"{first.step_seconds:g} s and {dataset.step_seconds:g} s",
                remedy="Prepare both with the same step",
            )
    unknown = sorted(set(job.scalers) - {*job.inputs, *job.static, job.target})
    if unknown:
        raise ConfigError(f"A scaler is given for '{unknown[0]}', which the model does not use", remedy="Remove it")


def _periods(datasets: Sequence[Dataset], splits: Sequence[Split]) -> dict[str, list[str]]:
    """First and last date of each period over all datasets, as ISO texts."""
    periods = {}
    for name in ("train", "validation", "test"):
        dates = [d.times[getattr(s, f"{name}_steps")] for d, s in zip(datasets, splits)]
        dates = np.concatenate(dates)
        if len(dates):
            periods[name] = [str(dates.min()), str(dates.max())]
    return periods


def _plain(options: dict) -> dict:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
