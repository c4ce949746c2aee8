"""The model card of an imported model: what its file does not say comes from the job and the dataset; what neither
says is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts.errors import ConfigError, DataError
from ...contracts.exchange_jobs import ImportModelJob, read_scalers
from ...contracts.model_card import ModelCard, VariableCard
from ...data.scaling import Scaler
from ...data.splits import period_steps
from ...data.store import Dataset
from ...data.windows import check_is_map
from ...training.setup import versions
from .foreign import ForeignModel
from .imported import FAMILY, options_of


def card_of(job: ImportModelJob, model: ForeignModel, dataset: Dataset) -> tuple[ModelCard, list[int], list[str]]:
    """The card; which channel of the file each channel of the model is (dynamic inputs first, then static maps, as
    Freshet reads them); and notes. Raises :class:`ConfigError` or :class:`DataError` that asks for what is missing.
    """
    options, notes = options_of(model)
    _check_variables(job, dataset)
    scalers = scalers_of(job)
    steps = period_steps(dataset.times, job.period)
    if not steps.any():
        raise DataError(
            "The training period holds no date of the dataset",
            expected=f"dates from {dataset.times[0]} to {dataset.times[-1]}",
            got=f"{job.period.start or 'the begin'} to {job.period.end or 'the end'}",
            remedy="Correct the training period",
        )
    cards = {}
    for name in dict.fromkeys((*job.channels, job.target, *job.also)):
        cards[name], note = _variable_card(name, scalers[name], dataset, steps)
        notes += note
    order, places = [], _places([cards[name] for name in job.channels])
    _check_channels(job, model, cards)
    dynamic = [name for name in job.channels if not dataset.variables[name].static]
    static = [name for name in job.channels if dataset.variables[name].static]
    for name in (*dynamic, *static):
        order += places[name]
    dates = [str(dataset.times[steps].min()), str(dataset.times[steps].max())]
    known = bool(job.period.start or job.period.end)
    if not known:
        notes.append("No training period is given: ranges are those of the whole record, and scores may flatter it.")
    notes += _grid_notes(model, dataset)
    targets = [cards[name] for name in (job.target, *job.also)]
    card = ModelCard(
        title=job.title or f"{job.target} from {', '.join(job.channels)}, imported",
        family=FAMILY,
        options={key: list(value) if isinstance(value, tuple) else value for key, value in options.items()},
        inputs=tuple(cards[name] for name in dynamic),
        static=tuple(cards[name] for name in static),
        target=targets[0],
        also=tuple(targets[1:]),
        season=False,
        window=_window(job, model),
        lead=job.lead,
        leads=_leads(job, model),
        step_seconds=dataset.step_seconds,
        cell_size=(dataset.grid.cell_x, dataset.grid.cell_y),
        crs=dataset.grid.crs,
        extent=dataset.grid.extent,
        periods={"train": dates} if known else {},
        periods_by_dataset={dataset.fingerprint(): {"train": dates}} if known else {},
        datasets=(f"{dataset.name} {dataset.fingerprint()}",) if known else (),
        training={"imported": model.origin},
        versions=versions(),
        licence=job.licence,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    return card, order, notes


def scalers_of(job: ImportModelJob) -> dict[str, Any]:
    """The scaler of each variable as the job or its file gives it; raises :class:`ConfigError` where one is missing."""
    given: dict[str, Any] = {}
    if job.scalers_file:
        try:
            text = Path(job.scalers_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The file of scalers {job.scalers_file} cannot be read", got=str(error), remedy="Choose a JSON file"
            ) from error
        given = read_scalers(text, job.scalers_file)
    given = {**given, **job.scalers}
    needed = list(dict.fromkeys((*job.channels, job.target, *job.also)))
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise ConfigError(
            f"It is not known how {', '.join(repr(name) for name in lacking)} was scaled when the model was trained",
            expected='for each variable for instance {"kind": "standard", "mean": 2.1, "std": 5.3}',
            got=", ".join(given) or "no scalers",
            remedy="Give the values that the training used, or a kind alone, such as standard, to fit it anew on the "
            "training period; none where the values were not scaled",
        )
    unknown = sorted(set(given) - set(needed))
    if any(name in job.scalers for name in unknown):  # a file may hold those of other models too
        raise ConfigError(
            f"A scaler is given for '{unknown[0]}', which the model does not use",
            remedy="Remove it, or correct its name",
        )
    return {name: given[name] for name in needed}


def _variable_card(
    name: str, given: Any, dataset: Dataset, steps: np.ndarray
) -> tuple[VariableCard, list[str]]:  # fmt: skip
    info = dataset.variables[name]
    values = dataset.static_map(name)[dataset.mask] if info.static else dataset.observed(name)[steps][:, dataset.mask]
    finite = values[np.isfinite(values)].astype(np.float64)
    if finite.size == 0:
        raise DataError(f"'{name}' has no value in the training period", remedy="Choose another period or dataset")
    notes = []
    if isinstance(given, str):
        scaler = Scaler.fit(given, finite)
        notes.append(
            f"The scaler of '{name}' ({given}) is fitted anew on this dataset; it is that of the training only if data "
            "and period are the same."
        )
    else:
        scaler = _scaler(name, given, finite, info.static)
    card = VariableCard(
        name=name,
        quantity=info.quantity,
        units=info.units,
        label=info.label,
        scaler=scaler.to_dict(),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
    )
    return card, notes


def _scaler(name: str, given: Mapping[str, Any], finite: np.ndarray, static: bool) -> Scaler:
    """A scaler from the values that the training used; what its inverse may reach follows from the data at hand."""
    kind = given["kind"]
    if kind == "one-hot":
        if not static:
            raise ConfigError(f"'{name}' varies in time and cannot be one-hot", remedy="Choose another scaler for it")
        return Scaler(kind, classes=tuple(float(code) for code in given["classes"]))
    if kind == "none":
        return Scaler(kind)
    if kind == "min-max":
        scaler = Scaler(kind, float(given["minimum"]), float(given["maximum"]) - float(given["minimum"]))
    else:
        scaler = Scaler(kind, float(given["mean"]), float(given["std"]), float(given.get("exponent", 1.0)))
    scaled = scaler.transform(np.array([finite.min(), finite.max()]))
    return Scaler(kind, scaler.shift, scaler.width, scaler.exponent, float(scaled.min()), float(scaled.max()))


def _places(cards: list[VariableCard]) -> dict[str, list[int]]:
    """The channels of the file that each variable has; a one-hot map has one a class."""
    places, start = {}, 0
    for card in cards:
        places[card.name] = list(range(start, start + card.channels))
        start += card.channels
    return places


def _check_channels(job: ImportModelJob, model: ForeignModel, cards: Mapping[str, VariableCard]) -> None:
    given = sum(cards[name].channels for name in job.channels)
    if given != model.inputs:
        raise ConfigError(
            "The channels that are named are not as many as the model reads",
            expected=f"{model.inputs} channels",
            got=f"{given}: {', '.join(job.channels)}",
            remedy="Name the variable of each input channel, in the order of the training",
        )


def _check_variables(job: ImportModelJob, dataset: Dataset) -> None:
    for name in (*job.channels, job.target, *job.also):
        if name not in dataset.variables:
            raise DataError(
                f"The dataset '{dataset.name}' has no variable '{name}'",
                expected=f"one of {', '.join(dataset.variables)}",
                remedy="Choose among these, or prepare the dataset again",
            )
        check_is_map(dataset, name)
    for name in (job.target, *job.also):
        if dataset.variables[name].static:
            raise ConfigError(f"'{name}' does not vary in time and cannot be predicted", remedy="Choose another target")
    if all(dataset.variables[name].static for name in job.channels):
        raise ConfigError("Only static maps are named as input", remedy="Name at least one variable in time")


def _window(job: ImportModelJob, model: ForeignModel) -> int:
    window = job.window or model.window
    if window is None:
        raise ConfigError(
            "The file does not say how many steps the model reads", remedy="Give the window of its training, in steps"
        )
    return window


def _leads(job: ImportModelJob, model: ForeignModel) -> int:
    targets = 1 + len(job.also)
    if model.maps % targets:
        raise ConfigError(
            "The maps that the model gives do not fit the targets",
            expected=f"a multiple of {targets}, one map for each target and lead",
            got=f"{model.maps} maps",
            remedy="Name as many targets as it predicts (target and also)",
        )
    return model.maps // targets


def _grid_notes(model: ForeignModel, dataset: Dataset) -> list[str]:
    rows, columns = dataset.grid.shape
    if model.grid is None or model.grid == (rows, columns):
        return []
    return [
        f"The model was built for {model.grid[0]} x {model.grid[1]} cells, the dataset has {rows} x {columns}: it runs "
        "on any grid, but what it learned of its edges and of the size of a cell may not hold."
    ]
