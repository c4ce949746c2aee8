"""What contradicts itself in a training job: each a sentence with the nearest thing that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .models import FAMILIES, family, resolve

if TYPE_CHECKING:
    from .training_job import TrainJob


def check_train_job(job: TrainJob) -> None:
    """Raise :class:`ConfigError` where the job would leak its answer, leaves nothing to learn from, or asks of a family
    what it cannot do.
    """
    if not job.datasets:
        raise ConfigError("No dataset is chosen", remedy="Choose at least one prepared dataset (.nc)")
    if not job.inputs:
        raise ConfigError("No input is chosen", remedy="Choose at least one variable that the model shall watch")
    _check_names(job)
    known, options = resolve(job.model.family, job.model.options)
    _check_window(job, known, options)
    _check_steps(job, known, options)
    _check_ahead(job, known)


def _check_names(job: TrainJob) -> None:
    for target in job.targets:
        if target in job.inputs and job.lead <= 0:
            raise ConfigError(
                f"The target '{target}' is also an input, without a lag",
                expected="a target that the model cannot simply copy",
                remedy="Remove it from the inputs, or predict at least 1 step ahead",
            )
        if target in job.ahead:
            raise ConfigError(
                f"The target '{target}' cannot be known ahead", remedy="Remove it from the variables known ahead"
            )
        if target in job.static:
            raise ConfigError(f"The target '{target}' is also a static map", remedy="Remove it from the static maps")
    groups = (
        ("inputs", job.inputs),
        ("static maps", job.static),
        ("variables to predict", job.targets),
        ("variables known ahead", job.ahead),
    )
    for group, names in groups:
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(f"'{doubled[0]}' stands twice among the {group}", remedy="Remove one of them")


def _check_window(job: TrainJob, known: str, options: dict[str, Any]) -> None:
    """The window is as long as the family needs, and as the steps that it is supervised on."""
    supervised = job.training.supervised_steps
    if supervised > job.window:
        raise ConfigError(
            "More steps are supervised than the window has",
            expected=f"at most {job.window}",
            got=str(supervised),
            remedy="Lower 'supervised steps' or lengthen the window",
        )
    found = family(known)
    least = found.shortest_window(options) + supervised - 1
    steps = job.window + (job.warm_up or 0)
    if steps < least:
        option = f", or lower {known}.{found.window_option}" if found.window_option else ""
        raise ConfigError(
            f"The window is shorter than '{known}' needs",
            expected=f"at least {least} steps" + (f", {supervised} of them supervised" if supervised > 1 else ""),
            got=f"{steps} steps",
            remedy=f"Lengthen the window to {least - (job.warm_up or 0)} steps{option}",
        )


def _check_steps(job: TrainJob, known: str, options: dict[str, Any]) -> None:
    one_step = options.get("output") == "encoder-decoder" or not family(known).several_steps
    if one_step and job.training.supervised_steps > 1:
        raise ConfigError(
            "An encoder-decoder predicts from the end of the window only"
            if known != "cnn-biconvlstm"
            else f"'{known}' reads the window from both ends and predicts one step of it",
            got=f"supervised_steps {job.training.supervised_steps}",
            remedy="Set 'supervised steps' to 1",
        )
    if one_step and job.run_through:
        raise ConfigError(
            f"'{known}' cannot run through the dates: it needs a window for each",
            remedy="Leave out 'run through', or choose a family that carries its memory on, such as convlstm",
        )


def _check_ahead(job: TrainJob, known: str) -> None:
    if job.ahead and not family(known).uses_ahead:
        fitting = ", ".join(item.name for item in FAMILIES if item.uses_ahead)
        raise ConfigError(
            f"'{known}' reads no variables that are known ahead",
            expected=f"a family that does: {fitting}",
            got=", ".join(job.ahead),
            remedy="Choose such a family, or leave out the variables known ahead",
        )
