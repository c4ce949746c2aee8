"""What the page Model checks and says of the data before anything runs."""

from __future__ import annotations

from typing import Any, Optional

from ...core.contracts import ConfigError, DataError, FreshetError, TrainJob
from ...core.contracts.variables import SCALERS, quantity
from ...plugin.dataset_values import class_codes
from ...plugin.datasets import DatasetSummary, VariableSummary
from ...plugin.fitting import check_task
from ..text import tr


def check_against_data(job: TrainJob, summaries: dict[str, DatasetSummary]) -> None:
    """The variables are there, the family fits them, and the windows fit into the series; raises FreshetError."""
    for path in job.datasets:
        summary = summaries[path]
        names = {item.name for item in summary.variables}
        lacking = [name for name in (*job.targets, *job.inputs, *job.static, *job.ahead) if name not in names]
        if lacking:
            raise ConfigError(
                tr("The dataset '{name}' has no variable '{variable}'").format(name=summary.name, variable=lacking[0]),
                expected=", ".join(sorted(names)),
                remedy=tr("Leave the variable out, or take a dataset that has it"),
            )
        check_task(job, summary)
        needed = job.window + (job.warm_up or 0) + max(0, job.lead + job.leads - 1)
        if needed > summary.longest:
            raise ConfigError(
                tr("The window is longer than the series of '{name}'").format(name=summary.name),
                expected=tr("at most {steps} steps for warm-up, window and steps ahead together").format(
                    steps=summary.longest
                ),
                got=tr("{needed} steps").format(needed=needed),
                remedy=tr("Shorten the window"),
            )


# Fields, and what is put into each to see whether the fault is its own.
_TRIED = (
    ("hidden_share", 0.3),
    ("sampling", 0.0),
    ("supervised_steps", 1),
    ("run_through", False),
    ("ahead", ()),
    ("leads", 1),
    ("also", ()),
    ("bootstrap", 0),
    ("window", 10000),
)


def field_at_fault(fields: dict[str, Any]) -> str:
    """The field of a training job (``fields`` of :class:`TrainJob`) that alone keeps it from being valid; empty where
    there is none.
    """
    if _is_valid(fields):
        return ""
    return next((name for name, value in _TRIED if _is_valid(_with(fields, name, value))), "")


def _with(fields: dict[str, Any], name: str, value: Any) -> Optional[dict[str, Any]]:
    """The fields with another value in one of them; None where that is what stands there."""
    if name in fields:
        return None if fields[name] == value else {**fields, name: value}
    training = fields["training"]
    return None if getattr(training, name) == value else {**fields, "training": training.replace(**{name: value})}


def _is_valid(fields: Optional[dict[str, Any]]) -> bool:
    if fields is None:
        return False
    try:
        TrainJob(**fields)
    except FreshetError:
        return False
    return True


def read_scalers(text: str) -> dict[str, str]:
    """'pre: log1p, soil: one-hot' as a dictionary; raises ConfigError for what is no pair or no scaler."""
    found = {}
    for part in text.replace(";", ",").split(","):
        name, sign, kind = (piece.strip() for piece in part.partition(":"))
        if not name and not sign:
            continue
        if not name or kind not in SCALERS:
            raise ConfigError(
                tr("The scalers are not clear"),
                expected=tr("a variable and one of {names}, such as pre: log1p").format(names=", ".join(SCALERS)),
                got=part.strip(),
            )
        found[name] = kind
    return found


def static_words(path: str, variable: VariableSummary) -> str:
    """Label and unit of a static map; of a map of classes, how many it has, since each becomes a map of its own."""
    label = variable.label or variable.name
    if quantity(variable.quantity).kind != "class":
        return f"{label} ({variable.units})"
    try:
        return tr("{label} ({count} classes)").format(label=label, count=len(class_codes(path, variable.name)))
    except DataError:
        return tr("{label} (classes)").format(label=label)
