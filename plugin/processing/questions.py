"""The algorithms that question a model: why, which driver where, which inputs matter, shares, what its memory knows."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsProcessingContext

from ...core.contracts import (
    Config,
    DriversJob,
    ExplainJob,
    ImportanceJob,
    PeriodConfig,
    ProbeJob,
    SharesJob,
)
from ...core.contracts.explain_checks import check_explainable
from ...core.contracts.explain_methods import METHOD_WORDS
from ...core.contracts.model_card import ModelCard, read_card
from ...core.contracts.question_checks import check_baseline, check_drivers, check_states
from ..datasets import DatasetSummary, read_summary, sequence_of
from .algorithms import check_model
from .base import JobAlgorithm
from .parameters import Entry, entries, entry, period_entries, take_period
from .places import POINT, point_of, polygon_entries, polygon_of, wkt_of

PLACE = (POINT, *polygon_entries("The mean over its cells is taken."))
LAST = ("device", "title")


def asked_of(cls: type[Config]) -> tuple[Entry, ...]:
    """What all questions name first: model, dataset, target, steps ahead, sequence."""
    return (
        entry(cls, "model", kind="model"),
        entry(cls, "dataset", kind="dataset"),
        *entries(cls, ("target", "lead", "sequence")),
    )


class QuestionAlgorithm(JobAlgorithm):
    """A question to a saved model on a dataset. Subclasses say what it asks (:meth:`question`)."""

    icon_name = "explain"

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> Config:
        """Model and dataset, looked at, and the question."""
        fields = self.read(values, context)
        check_model(fields["model"], fields["dataset"], fields["sequence"])
        card = read_card(fields["model"]) if fields["model"] else None
        summary = sequence_of(read_summary(fields["dataset"]), fields["sequence"]) if fields["dataset"] else None
        return self.question(fields, card, summary, lambda: self.place(values, context, summary))

    def question(self, fields: dict[str, Any], card: Optional[ModelCard], summary: Any, place: Any) -> Config:
        """The job of ``fields``; ``place`` gives x, y and polygon in the CRS of the dataset when it is called."""
        raise NotImplementedError

    def place(
        self, values: dict[str, Any], context: QgsProcessingContext, summary: Optional[DatasetSummary]
    ) -> dict[str, Any]:
        """The cell and the polygon that are given."""
        if summary is None:
            return {}
        x, y = point_of(self, values, context, summary)
        return {"x": x, "y": y, "polygon": wkt_of(polygon_of(self, values, context, summary))}


class ExplainAlgorithm(QuestionAlgorithm):
    """What drove a prediction."""

    verb, title = "explain", "Explain a prediction"
    summary = (
        "What drove a prediction at a cell, a gauge, or in the mean over a polygon or the basin, at a date: which "
        "variable, where, how far back. Gives a map a variable, the delay of each cell, the region of most influence, "
        "charts and tables."
    )
    assumes = tuple(f"{item.label}: {item.assumes}" for item in METHOD_WORDS.values())
    outputs = ("MAPS", "DELAY", "REGION", "TABLE", "REPORT")
    entries = (
        *asked_of(ExplainJob),
        entry(ExplainJob, "date"),
        *PLACE,
        *entries(ExplainJob, ("gauge", "basin", "method", "baseline", "steps", "check_method")),
        entry(ExplainJob, "members", kind="models"),
        *entries(ExplainJob, ("samples", "noise", "seed", "block", "block_steps", "sigma", "layer", "share")),
        *entries(ExplainJob, ("estimate", *LAST)),
    )

    def question(self, fields: dict[str, Any], card: Optional[ModelCard], summary: Any, place: Any) -> ExplainJob:
        """The place is held against grid and basin, the method against the model."""
        for known in (*([card] if card is not None else []), *map(read_card, fields["members"])):
            if fields["method"] in METHOD_WORDS:
                check_explainable(known, fields["method"], at_gauge=bool(fields["gauge"] or fields["basin"]))
                check_baseline(fields["baseline"], known)
        return ExplainJob(**place(), **fields)


class ImportanceAlgorithm(QuestionAlgorithm):
    """Which inputs matter."""

    verb, title = "importance", "Find which inputs matter"
    summary = (
        "Permutation importance: how much worse a model gets over a period where one of its inputs is shuffled, by "
        "variable, static map, group and steps back, with an interval over the repeats. Works for every model."
    )
    assumes = (
        "Shuffling takes away what a single input tells beyond the others: of two inputs that say the same, neither "
        "seems to matter. Shuffle them together, as a group, to see it.",
        "The model meets combinations that weather does not make.",
    )
    outputs = ("MAPS", "TABLE", "REPORT")
    entries = (
        *asked_of(ImportanceJob),
        *entries(PeriodConfig),
        entry(ImportanceJob, "of", kind="choices"),
        *entries(ImportanceJob, ("groups", "lags", "repeats", "dates", "seed", "batch", *LAST)),
    )

    def question(self, fields: dict[str, Any], card: Optional[ModelCard], summary: Any, place: Any) -> ImportanceJob:
        """What is shuffled, over which period."""
        return ImportanceJob(period=take_period(fields), **fields)


class ProbeAlgorithm(QuestionAlgorithm):
    """What the memory of a model knows."""

    verb, title = "probe", "Probe what the memory of a model knows"
    summary = (
        "A linear regression from the states of a model to a variable that it was never trained on, judged on dates "
        "kept apart, beside the plain spatial mean and a control that is shuffled in time."
    )
    assumes = (
        "A probe is linear: it finds what a layer holds plainly, not what could be computed from it.",
        "What correlates with the target or the inputs is found too, whether or not the model makes use of it.",
    )
    outputs = ("PROBE", "TABLE", "REPORT")
    entries = (
        *asked_of(ProbeJob),
        entry(ProbeJob, "variable", optional=False),
        entry(ProbeJob, "layers"),
        *period_entries(ProbeJob, "fit_period", "fit"),
        *period_entries(ProbeJob, "period"),
        *entries(ProbeJob, ("ridge", "shuffles", "dates", "seed", "batch", *LAST)),
    )

    def question(self, fields: dict[str, Any], card: Optional[ModelCard], summary: Any, place: Any) -> ProbeJob:
        """The variable is in the dataset, the model has states."""
        if card is not None:
            check_states(card.family)
        if summary is not None and fields["variable"]:
            summary.variable(fields["variable"])
        return ProbeJob(period=take_period(fields), fit_period=take_period(fields, "fit"), **fields)


class DriversAlgorithm(QuestionAlgorithm):
    """Which driver, where."""

    verb, title = "drivers", "Map the dominant driver"
    summary = (
        "For every cell of a polygon or of the basin: the variable that mattered most to its prediction at a date, and "
        "by how much more than the second."
    )
    assumes = (
        "Integrated gradients and the gradient times the input take contributions relative to the baseline that is "
        "chosen; another one may show another driver.",
        "Occlusion takes one variable away at a time: what two do only together counts for both.",
    )
    outputs = ("DRIVER", "MAPS", "TABLE", "REPORT")
    entries = (
        *asked_of(DriversJob),
        entry(DriversJob, "date", optional=False),
        *polygon_entries("Empty takes the whole basin."),
        *entries(DriversJob, ("method", "baseline", "steps", "cost_only", *LAST)),
    )

    def question(self, fields: dict[str, Any], card: Optional[ModelCard], summary: Any, place: Any) -> DriversJob:
        """The method is held against the model."""
        if card is not None:
            check_drivers(card, fields["method"])
            check_baseline(fields["baseline"], card)
        return DriversJob(polygon=place().get("polygon", ""), **fields)


class SharesAlgorithm(QuestionAlgorithm):
    """Shares by season."""

    verb, title = "shares", "Share of each variable by season"
    summary = (
        "The share of each variable in what moved the predictions of many dates, by season, and cumulative by steps "
        "back; at a cell, a gauge, or in the mean over a polygon or the basin (without any of them)."
    )
    assumes = (
        "Integrated gradients, date by date: shares depend on the baseline that is chosen.",
        "A share tells how much a variable moved the predictions away from the baseline, not how much better it made "
        "them.",
    )
    outputs = ("TABLE", "REPORT")
    entries = (
        *asked_of(SharesJob),
        *entries(PeriodConfig),
        *PLACE,
        *entries(SharesJob, ("gauge", "dates", "baseline", "steps", *LAST)),
    )

    def question(self, fields: dict[str, Any], card: Optional[ModelCard], summary: Any, place: Any) -> SharesJob:
        """The place is held against grid and basin, the model must have gradients."""
        found = place()
        if card is not None:
            on_map = found.get("x") is not None or bool(found.get("polygon"))
            check_explainable(card, at_gauge=not on_map)
            check_baseline(fields["baseline"], card)
        return SharesJob(period=take_period(fields), **found, **fields)
