"""Whether dataset and training, or dataset and model, belong together, as far as QGIS can tell without an engine."""

from __future__ import annotations

from ..core.contracts import ConfigError, DataError, TrainJob
from ..core.contracts.model_card import ModelCard
from ..core.contracts.models import family, resolve
from ..core.contracts.training_checks import check_gives
from ..core.contracts.uses import check_variables
from .dataset_values import gauge_ids
from .datasets import DatasetSummary

_MOST = 10  # names that a sentence lists


def check_task(job: TrainJob, summary: DatasetSummary) -> None:
    """The variables are there, inputs are maps, and the family predicts what is asked for, at gauges or as maps.

    Raises DataError or :class:`ConfigError`, in the engine's words.
    """
    for name in (*job.targets, *job.inputs, *job.static, *job.ahead):
        summary.variable(name)
    for name in (*job.inputs, *job.ahead, *job.static):
        if summary.variable(name).gauges:
            raise DataError(
                f"'{name}' of '{summary.name}' is a series at {summary.gauges} gauges, not a map",
                expected=f"a map, such as {', '.join(summary.names())}",
                remedy="Choose a map, or prepare the dataset with a gridding other than 'gauges'",
            )
    check_variables(job.use, job.target, job.inputs, summary.variables)
    known = resolve(job.model.family, job.model.options)[0]
    series = [name for name in job.targets if summary.variable(name).gauges]
    others = [item.name for item in summary.variables if not item.static and item.gauges != bool(series)]
    check_gives(known, series[0] if series else job.target, bool(series), others)
    if series and family(known).mass_input and summary.gauges > 1:
        raise ConfigError(
            f"'{series[0]}' has {summary.gauges} gauges, and a water balance has one outlet",
            expected="one gauge, with a mask of the basin above it",
            remedy="Prepare the dataset with that gauge alone, or choose a family such as lstm or convlstm-gauge",
        )


def check_gauges(card: ModelCard, summary: DatasetSummary) -> str:
    """A sentence where the gauges of the dataset are taken in place of those of the model, else "".

    Raises DataError where they are others, in the engine's words.
    """
    if not card.gauges:
        return ""
    ids = gauge_ids(summary.path, summary.sequence)
    if not ids:
        return "The dataset has no gauges: the series get the names of the model's, without a place on the map."
    if all(name in ids for name in card.gauges):
        return ""
    if len(ids) == len(card.gauges) and not set(ids) & set(card.gauges):
        pairs = ", ".join(f"{own} as {other}" for own, other in list(zip(ids, card.gauges))[:_MOST])
        return f"The dataset has other gauges, as many as the model: they are taken in their order ({pairs})."
    raise DataError(
        f"The dataset '{summary.name}' has other gauges than the model predicts",
        expected=", ".join(card.gauges[:_MOST]),
        got=", ".join(ids[:_MOST]) or "none",
        remedy="Prepare a dataset with these gauges, or with as many of another basin",
    )
