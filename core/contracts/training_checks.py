"""What contradicts itself in a training job: each a sentence with the nearest thing that works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .models import FAMILIES, family, resolve
from .uses import check_use

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
    check_use(job.use, job.target, job.inputs, job.static, job.lead, job.hidden_share)
    _check_names(job)
    known, options = resolve(job.model.family, job.model.options)
    _check_window(job, known, options)
    _check_steps(job, known, options)
    _check_ahead(job, known)
    _check_leads(job, known)
    _check_sampling(job, known, options)
    _check_filling(job, known, options)
    _check_augment(job, known)


def check_gives(known: str, target: str, at_gauges: bool, others: Sequence[str] = ()) -> None:
    """Raise :class:`ConfigError` where the family ``known`` cannot predict ``target``, a series at gauges, else a map.

    ``others`` names variables of the other kind.
    """
    wanted = "gauges" if at_gauges else "maps"
    if wanted in family(known).gives:
        return
    fitting = [item.name for item in FAMILIES if wanted in item.gives]
    raise ConfigError(
        f"'{known}' cannot predict '{target}', which is {'a series at gauges' if at_gauges else 'a map'}",
        expected=f"a family that predicts {wanted}: {', '.join(fitting)}",
        remedy="Choose one of these" + (f", or another target: {', '.join(others)}" if others else ""),
    )


def _check_names(job: TrainJob) -> None:
    for target in job.targets:
        if target in job.inputs and job.lead <= 0 and not job.hidden_share:
            raise ConfigError(
                f"The target '{target}' is also an input, without a lag",
                expected="a target that the model cannot simply copy",
                remedy="Remove it from the inputs, predict at least 1 step ahead, or hide a share of it to fill gaps",
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
            f"'{known}' reads the window from both ends and predicts one step of it"
            if known == "cnn-biconvlstm"
            else f"'{known}' predicts from the end of the window only",
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


def _check_leads(job: TrainJob, known: str) -> None:
    if (job.leads > 1 or job.also) and not family(known).several_leads:
        raise ConfigError(
            f"'{known}' gives one target at one step only",
            expected="one target, one lead",
            got=f"{len(job.targets)} targets, {job.leads} leads",
            remedy="Set 'number of leads' to 1 and leave out what it shall also predict, or choose lstm",
        )


def _check_sampling(job: TrainJob, known: str, options: dict[str, Any]) -> None:
    """Sampling that nothing would read is refused: a person would take it for done."""
    if job.training.sampling <= 0.0 or (family(known).uses_truth and options.get("decoder_input") != "none"):
        return
    fitting = ", ".join(item.name for item in FAMILIES if item.uses_truth)
    raise ConfigError(
        f"'{known}' does not read its own predictions, so there is nothing to sample for",
        expected=f"scheduled sampling of 0, or a model that reads them: {fitting}"
        " with the decoder's input set to 'previous'",
        got=f"sampling {job.training.sampling:g}",
        remedy="Set 'scheduled sampling' to 0, or choose such a model",
    )


def _check_filling(job: TrainJob, known: str, options: dict[str, Any]) -> None:
    """A filling model reads what it fills, on steps within its window, and is told what is hidden."""
    if not job.hidden_share:
        if job.lead < 0:
            raise ConfigError(
                "A step before the last of the window is predicted, but nothing is hidden there",
                got=f"{job.lead} steps ahead",
                remedy="Set 'hidden share' above 0 to fill gaps, or predict 0 or more steps ahead",
            )
        return
    unread = [name for name in job.targets if name not in job.inputs]
    if unread:
        raise ConfigError(
            f"'{unread[0]}' cannot be hidden, as it is no input",
            expected="a model that fills gaps reads what it fills",
            remedy=f"Add '{unread[0]}' to the inputs, or set 'hidden share' to 0",
        )
    last = job.lead + job.leads - 1
    if last > 0 or -job.lead >= job.window:
        raise ConfigError(
            "Gaps are filled on steps within the window",
            expected=f"steps from {1 - job.window} to 0",
            got=f"{job.lead} to {last}" if job.leads > 1 else str(job.lead),
            remedy=f"Set the steps ahead to {-(job.window // 2)} for as many maps before as after"
            + (", and 1 lead" if job.leads > 1 else ""),
        )
    _check_reads_masks(job, known, options)
    for asked, what in ((job.training.supervised_steps > 1, "supervised steps"), (job.run_through, "run through")):
        if asked:
            raise ConfigError(
                f"A model that fills gaps predicts one step of each window and cannot take '{what}'",
                remedy="Set 'supervised steps' to 1" if what == "supervised steps" else f"Leave out '{what}'",
            )


def _check_augment(job: TrainJob, known: str) -> None:
    """Maps are mirrored and turned only where the family learns from them batch by batch and is not bound to a grid."""
    found = family(known)
    if job.training.augment == "none" or (found.any_grid and "maps" in found.gives and found.learns == "gradient"):
        return
    if not found.any_grid:
        why = "learns where each cell of its grid lies"
    else:
        why = "predicts gauges, which lie in fixed cells" if "maps" not in found.gives else "does not learn in batches"
    raise ConfigError(
        f"'{known}' {why}, so its maps cannot be mirrored or turned",
        got=f"augmentation {job.training.augment}",
        remedy="Set the augmentation to none, or choose a family of maps, such as convlstm",
    )


def _check_reads_masks(job: TrainJob, known: str, options: dict[str, Any]) -> None:
    readers = [item.name for item in FAMILIES if item.uses_observed and "maps" in item.gives]
    if known not in readers:
        raise ConfigError(
            f"'{known}' cannot tell what is hidden from the mean",
            expected=f"a family that reads what is missing: {', '.join(readers)}",
            remedy="Choose cnn-biconvlstm or partial-convlstm",
        )
    if known != "partial-convlstm" and options.get("mask_channels") is False:
        raise ConfigError(
            f"'{known}' is not told what is hidden",
            expected=f"{known}.mask_channels true",
            got="false",
            remedy="Set the option 'mask_channels' (Masks as input), or choose partial-convlstm",
        )
