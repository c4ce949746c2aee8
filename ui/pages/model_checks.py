"""What the page Model checks and says of the data before anything runs."""

from __future__ import annotations

from ...core.contracts import ConfigError, DataError, TrainJob
from ...core.contracts.variables import SCALERS, quantity
from ...plugin.dataset_values import class_codes
from ...plugin.datasets import DatasetSummary, VariableSummary
from ..text import tr


def check_against_data(job: TrainJob, summaries: dict[str, DatasetSummary]) -> None:
    """The variables are there and the windows fit into the series; raises ConfigError."""
    for path in job.datasets:
        summary = summaries[path]
        names = set(summary.names())
        lacking = [name for name in (job.target, *job.inputs, *job.static) if name not in names]
        if lacking:
            raise ConfigError(
                tr("The dataset '{name}' has no variable '{variable}'").format(name=summary.name, variable=lacking[0]),
                expected=", ".join(sorted(names)),
                remedy=tr("Leave the variable out, or take a dataset that has it"),
            )
        needed = job.window + (job.warm_up or 0) + job.lead + job.leads - 1
        if needed > summary.longest:
            raise ConfigError(
                tr("The window is longer than the series of '{name}'").format(name=summary.name),
                expected=tr("at most {steps} steps for warm-up, window and steps ahead together").format(
                    steps=summary.longest
                ),
                got=tr("{needed} steps").format(needed=needed),
                remedy=tr("Shorten the window"),
            )


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
