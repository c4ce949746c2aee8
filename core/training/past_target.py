"""What a family that carries on the past of its target needs of a training job."""

from __future__ import annotations

from typing import Any

from ..contracts.errors import ConfigError
from ..contracts.training_job import TrainJob


def past_plan(job: TrainJob, family_name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with the place of each target among the inputs, sought by name where none is given, and the first lead.

    Unchanged for families without these options. Raises :class:`ConfigError` where a target is not among the inputs,
    or the job looks no step ahead.
    """
    if tuple(options.get("target_channel", ())) == (-1,):
        missing = [name for name in job.targets if name not in job.inputs]
        if missing:
            raise ConfigError(
                f"'{family_name}' carries on the past of '{missing[0]}', which is not among its inputs",
                expected=f"'{missing[0]}' among the inputs, and a prediction at least 1 step ahead",
                got=", ".join(job.inputs),
                remedy=f"Add '{missing[0]}' to the inputs, or choose a family that needs no past of it, such as ridge",
            )
        options = {**options, "target_channel": tuple(job.inputs.index(name) for name in job.targets)}
    if "first_lead" not in options:
        return options
    if job.lead < 1:
        raise ConfigError(
            f"'{family_name}' moves the last map on and cannot predict the step of that map",
            expected="a prediction at least 1 step ahead",
            got=f"{job.lead} steps",
            remedy="Raise the steps ahead, or choose persistence",
        )
    return {**options, "first_lead": job.lead}
