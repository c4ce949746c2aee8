"""What a mass-conserving family needs of a training job: which input is the water, and what enters unscaled."""

from __future__ import annotations

from typing import Any

from ..contracts.errors import ConfigError
from ..contracts.models import family
from ..contracts.training_job import TrainJob
from ..contracts.units import convert, normalise
from ..contracts.variables import quantity
from ..data.scaling import Scaler
from ..data.store import Dataset


def mass_plan(
    job: TrainJob, dataset: Dataset, family_name: str, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Scaler]]:
    """Options with the place of the precipitation and of the family's other raw inputs, and the scalers that keep water
    in mm a step and the rest in its own unit. Also the length of a step, for families that have the option.

    Both unchanged and empty for families that conserve nothing. Raises :class:`ConfigError` where no input is
    precipitation in mm/d or another that is needed, or the target is not the water that the model shall give.
    """
    if not family(family_name).mass_input:
        return options, {}
    amount = Scaler.amount(dataset.step_seconds)
    places: dict[str, int] = {}
    scalers: dict[str, Scaler] = {}
    for option, kind in (("mass_channel", "precipitation"), *family(family_name).raw_inputs):
        at = places[option] = _place(job, dataset, family_name, options[option], kind)
        scalers[job.inputs[at]] = amount if quantity(kind).units == "mm/d" else Scaler("none")
    wanted = {"runoff": "mm/d", "evaporation": "mm/d", "storage": "mm"}.get(options.get("reads", "head"))
    if wanted:
        held = dataset.variables[job.target].units
        if options["reads"] == "runoff" and dataset.variables[job.target].gauges and held != wanted:
            scalers[job.target] = _discharge(job.target, dataset, held)
        elif held != wanted:
            raise ConfigError(
                f"'{job.target}' cannot be the {options['reads']} of a water balance",
                expected=f"a target in {wanted}",
                got=held,
                remedy="Choose another target" + _other_readings(family_name, options["reads"]),
            )
        else:
            scalers[job.target] = amount if wanted == "mm/d" else Scaler("none")
    if "step_days" in options:
        options = {**options, "step_days": dataset.step_seconds / 86400.0}
    return {**options, **places}, scalers


def _discharge(name: str, dataset: Dataset, units: str) -> Scaler:
    """From a discharge at the outlet to the runoff of the basin in mm a step, over the area inside the mask. Raises
    :class:`ConfigError` where several gauges cannot all be the outlet, :class:`DataError` for other units.
    """
    if len(dataset.gauges or ()) > 1:
        raise ConfigError(
            f"'{name}' has {len(dataset.gauges)} gauges, and a water balance has one outlet",
            expected="one gauge, with a mask of the basin above it",
            remedy="Prepare the dataset with that gauge alone, or choose a family such as lstm or convlstm-gauge",
        )
    from ..data.terrain.cells import cell_sizes

    area_km2 = float((dataset.mask.sum(axis=1) * cell_sizes(dataset.grid).area_km2).sum())
    rate = convert(units, "mm/d", area_km2=area_km2)[0]
    return Scaler("amount", width=86400.0 / dataset.step_seconds / rate)


def _place(job: TrainJob, dataset: Dataset, family_name: str, at: int, kind: str) -> int:
    """Place among the inputs of the quantity ``kind``, sought where ``at`` is below 0; ConfigError without one in the
    catalogue's unit.
    """
    wanted = quantity(kind)
    if at < 0:
        at = next((i for i, name in enumerate(job.inputs) if _is(dataset, name, kind)), -1)
    if not 0 <= at < len(job.inputs) or normalise(dataset.variables[job.inputs[at]].units) != normalise(wanted.units):
        raise ConfigError(
            f"'{family_name}' needs {wanted.label.lower()} in {wanted.units} among its inputs",
            expected=f"an input of the quantity {kind}",
            got=", ".join(f"{name} ({dataset.variables[name].units})" for name in job.inputs),
            remedy=f"Add {wanted.label.lower()} to the inputs, or choose a family that needs none, such as convlstm",
        )
    return at


def _other_readings(family_name: str, reads: str) -> str:
    """What else of the family could be compared with the target, as the end of a sentence."""
    known = next(option.rule.choices for option in family(family_name).options if option.name == "reads")
    others = [choice for choice in known if choice != reads]
    return f", or set {family_name}.reads to {' or '.join(others)}" if others else ""


def _is(dataset: Dataset, name: str, kind: str) -> bool:
    info = dataset.variables.get(name)
    return info is not None and not info.static and quantity(info.quantity).name == kind
