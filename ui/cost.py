"""How large a model will be and how long it will take, before an engine is asked."""

from __future__ import annotations

import contextlib
from typing import Any, Optional

from ..core.contracts import DataError, EventKind, FreshetError, RunFolder, TrainJob
from ..core.contracts.models import resolve
from ..core.contracts.variables import quantity
from ..plugin.dataset_values import class_codes
from ..plugin.datasets import DatasetSummary
from ..plugin.runs import RunSummary
from .text import format_step, tr

_LOOKED_AT = 30
_ALIKE = (
    "datasets", "target", "also", "inputs", "ahead", "static", "season", "window", "warm_up", "lead", "leads", "split",
    "scalers", "members",
)  # fmt: skip
_ALIKE_TRAINING = ("batch", "window_stride", "supervised_steps", "device", "precision", "threads")


def convlstm_parameters(options: dict[str, Any], dynamic: int, static: int, leads: int) -> int:
    """Numbers that a ConvLSTM of the catalogue keeps, those of batch normalisation's statistics included.

    A layer with h channels, c inputs and kernel k has ``4 h ((c + h) k^2 + 1)``, three more per channel with peepholes.
    """
    hidden = options["hidden"]
    kernels = options["kernel"] * (len(hidden) if len(options["kernel"]) == 1 else 1)
    decodes = options["output"] == "encoder-decoder"
    inputs = dynamic * (2 if options["mask_channels"] else 1) + static
    stacks = [(inputs, len(hidden) - 1 if decodes else len(hidden))]
    if decodes:
        stacks.append((1 if options["decoder_input"] == "previous" else 0, len(hidden)))
    per_channel = {"none": 0, "batch": 4, "group": 2}[options["normalisation"]]
    total = 0
    for index, (first, norms) in enumerate(stacks):
        first += static if index else 0
        for layer, (size, kernel) in enumerate(zip(hidden, kernels)):
            came = hidden[layer - 1] if layer else first
            total += 4 * size * ((came + size) * kernel**2 + 1) + (3 * size if options["peepholes"] else 0)
        total += per_channel * sum(hidden[:norms])
    maps = 1 if decodes else leads
    return total + maps * (hidden[-1] * options["head_kernel"] ** 2 + 1)


def parameters(family: str, options: dict[str, Any], dynamic: int, static: int, leads: int) -> Optional[int]:
    """The number for a family whose formula is known, else None."""
    return convlstm_parameters(options, dynamic, static, leads) if family == "convlstm" else None


def cost_words(job: TrainJob, summaries: dict[str, DatasetSummary], epoch_seconds: Optional[float] = None) -> str:
    """Parameters, what the model looks at, memory of the maps, and time where a similar run tells it."""
    name, options = resolve(job.model.family, job.model.options)
    dynamic = len(job.inputs) + (2 if job.season else 0)
    count = parameters(name, options, dynamic, static_channels(job, summaries), job.leads)
    first = summaries[job.datasets[0]]
    parts = [tr("{count:,} parameters.").format(count=count)] if count is not None else []
    parts.append(
        tr("Looks back {time} on {columns} x {rows} cells.").format(
            time=format_step(first.step_seconds * job.window),
            columns=first.grid.get("columns"),
            rows=first.grid.get("rows"),
        )
    )
    parts.append(tr("The maps take {size} of memory.").format(size=_size_words(memory_bytes(job, summaries))))
    if epoch_seconds:
        parts.append(
            tr("About {time} at most: {seconds:.3g} s an epoch, as the last run like it.").format(
                time=_time_words(epoch_seconds * job.training.epochs), seconds=epoch_seconds
            )
        )
    return " ".join(parts)


def static_channels(job: TrainJob, summaries: dict[str, DatasetSummary]) -> int:
    """Channels of the static maps: one each, or one a class for maps of classes."""
    count = 0
    for name in job.static:
        codes: set[float] = set()
        if scaler_of(job, summaries, name) == "one-hot":
            for path in job.datasets:
                with contextlib.suppress(DataError):
                    codes |= set(class_codes(path, name))
        count += len(codes) or 1
    return count


def scaler_of(job: TrainJob, summaries: dict[str, DatasetSummary], name: str) -> str:
    """The scaler of a variable: the job's, else the catalogue's."""
    return job.scalers.get(name) or quantity(summaries[job.datasets[0]].variable(name).quantity).scaler


def memory_bytes(job: TrainJob, summaries: dict[str, DatasetSummary]) -> float:
    """Bytes of the scaled maps that a training keeps in memory: float32 inputs and targets of every step. Series at
    gauges weigh nothing beside them.
    """
    first = summaries[job.datasets[0]]
    targets = 0 if any(first.variable(name).gauges for name in job.targets) else len(job.targets)
    cells = [
        int(summaries[path].grid["columns"]) * int(summaries[path].grid["rows"]) * summaries[path].steps
        for path in job.datasets
    ]
    return 4.0 * (len(job.inputs) + len(job.ahead) + targets) * sum(cells)


def seconds_of_an_epoch(job: TrainJob, runs: list[RunSummary], known: dict[str, Any]) -> Optional[float]:
    """Measured seconds an epoch of the newest run with the same data, model and batch, or None.

    ``known`` keeps what was read of runs that are over, by their path.
    """
    for item in runs[:_LOOKED_AT]:
        if item.verb != "train":
            continue
        found = known[item.path] if item.path in known else _measured(item.path)
        if item.state.final:
            known[item.path] = found
        if found is not None and found[0] == _likeness(job):
            return found[1]
    return None


def _measured(path: str) -> Optional[tuple[dict, float]]:
    run = RunFolder(path)
    try:
        job, events = run.job(), run.events()
    except (FreshetError, OSError):
        return None
    ends = [e.values.get("seconds") for e in events if e.kind is EventKind.METRIC and "epoch" in e.values]
    ends = [float(end) for end in ends if isinstance(end, (int, float))]
    if not ends or not isinstance(job, TrainJob):
        return None
    # The clock begins anew where a run was taken up again.
    steps = [later - earlier for earlier, later in zip([0.0, *ends], ends) if later > earlier]
    return (_likeness(job), sorted(steps)[len(steps) // 2]) if steps else None


def _likeness(job: TrainJob) -> dict:
    """What two trainings have in common that take equally long for an epoch."""
    values = job.to_dict()
    same = {name: values[name] for name in _ALIKE}
    same["model"] = list(resolve(job.model.family, job.model.options))
    same["training"] = {name: values["training"][name] for name in _ALIKE_TRAINING}
    return same


def _size_words(size: float) -> str:
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _time_words(seconds: float) -> str:
    if seconds < 90:
        return tr("{count:.0f} s").format(count=seconds)
    return tr("{count:.0f} minutes").format(count=seconds / 60) if seconds < 7200 else f"{seconds / 3600:.1f} h"
