"""What a mass-conserving family needs of a training job: which input is the water, and everything in mm."""

from __future__ import annotations

from typing import Any

from ..contracts.errors import ConfigError
from ..contracts.models import family
from ..contracts.training_job import TrainJob
from ..contracts.variables import quantity
from ..data.scaling import Scaler
from ..data.store import Dataset


def mass_plan(
    job: TrainJob, dataset: Dataset, family_name: str, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Scaler]]:
    """Options with the place of the precipitation, and the scalers that keep water in mm a step.

    Both unchanged and empty for families that conserve nothing. Raises :class:`ConfigError` where no input is
    precipitation in mm/d, or the target is not the water that the model shall give.
    """
    if not family(family_name).mass_input:
        return options, {}
    at = options["mass_channel"]
    if at < 0:
        at = next((i for i, name in enumerate(job.inputs) if _is_rain(dataset, name)), -1)
    if not 0 <= at < len(job.inputs) or dataset.variables[job.inputs[at]].units != "mm/d":
        raise ConfigError(
            f"'{family_name}' needs precipitation in mm/d among its inputs",
            expected="an input of the quantity precipitation",
            got=", ".join(f"{name} ({dataset.variables[name].units})" for name in job.inputs),
            remedy="Add precipitation to the inputs, or choose a family that conserves no mass, such as convlstm",
        )
    amount = Scaler.amount(dataset.step_seconds)
    scalers = {job.inputs[at]: amount}
    wanted = {"runoff": "mm/d", "evaporation": "mm/d", "storage": "mm"}.get(options.get("reads", "head"))
    if wanted:
        held = dataset.variables[job.target].units
        if held != wanted:
            raise ConfigError(
                f"'{job.target}' cannot be the {options['reads']} of a water balance",
                expected=f"a target in {wanted}",
                got=held,
                remedy=f"Choose another target, or set {family_name}.reads to head",
            )
        scalers[job.target] = amount if wanted == "mm/d" else Scaler("none")
    return {**options, "mass_channel": at}, scalers


def _is_rain(dataset: Dataset, name: str) -> bool:
    info = dataset.variables.get(name)
    return info is not None and not info.static and quantity(info.quantity).name == "precipitation"
