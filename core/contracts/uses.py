"""What a model is trained for: uses beside plain prediction, each with the settings that suit it, as data.

A use sets parts of a :class:`~.training_job.TrainJob`; what a person gives explicitly goes before it. The command,
Processing, the dialogs and the documentation render this catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .errors import ConfigError
from .models import family

NOW, AHEAD, WITHIN = "now", "ahead", "within"
_LEADS = {
    NOW: "0 steps ahead, the last step of the window",
    AHEAD: "at least 1 step ahead",
    WITHIN: "a step of the window: 0, or fewer than 0 where later maps shall help",
}
_RAIN = ("precipitation", "rainfall", "rain_rate", "other")


@dataclass(frozen=True)
class Use:
    """A use of a model.

    ``help`` says what it is for, ``needs`` what data it takes, ``choose`` what the person still has to choose.
    ``settings`` are keys of a training job with the values that stand in for those not given; ``model`` and
    ``training`` within it are merged key by key. ``when`` is which steps may be predicted: NOW, AHEAD or WITHIN.
    ``products``: so many inputs have to be of the target's quantity and unit. ``target_as_input``: True where the
    target has to be among the inputs, False where it may not, None where both work. ``quantities`` are those of the
    target; empty takes any. ``target_scaler`` is that of the target; empty leaves it to the catalogue.
    """

    name: str
    label: str
    help: str
    needs: str
    choose: str
    when: str = NOW
    settings: Mapping[str, Any] = field(default_factory=dict)
    products: int = 0
    statics: int = 0
    target_as_input: Optional[bool] = None
    quantities: tuple[str, ...] = ()
    target_scaler: str = ""
    also_ordinary: bool = False


USES: tuple[Use, ...] = (
    Use(
        name="simulate",
        label="Simulate from the weather",
        help="Maps or discharge from the weather of the last steps alone, as a hydrological model computes them; no "
        "past observation of the target is read, so it works where none is.",
        needs="Weather as input, such as precipitation, temperature and potential evapotranspiration; the observed "
        "target for training.",
        choose="target, inputs, static maps, window",
        settings={"lead": 0, "window": 30},
        target_as_input=False,
        also_ordinary=True,
    ),
    Use(
        name="forecast",
        label="Forecast the next steps",
        help="The target one step or several ahead, from the weather and, where it is measured in time, from its own "
        "past.",
        needs="Inputs that are known until now, among them the target itself where it is measured in time; what is "
        "forecast by others may be known ahead.",
        choose="target, inputs, steps ahead, number of leads",
        when=AHEAD,
        settings={"lead": 1, "window": 30},
        also_ordinary=True,
    ),
    Use(
        name="merge-products",
        label="Merge several products",
        help="One best map out of several products of the same quantity, such as two satellite rains and a "
        "reanalysis: each is weighed by where and when it can be trusted.",
        needs="Two or more products of one quantity in one unit as inputs, and as target a reference on the same "
        "step: observed maps, or gauges brought to their cells. Static maps such as elevation help.",
        choose="target, products, static maps",
        settings={
            "lead": 0,
            "window": 3,
            "warm_up": 0,
            "model": {
                "family": "convlstm",
                "options": {"hidden": [16], "kernel": [3], "mask_channels": True, "padding": "replicate"},
            },
            "training": {"learning_rate": 0.003, "supervised_steps": 1},
        },
        products=2,
        target_as_input=False,
    ),
    Use(
        name="correct-bias",
        label="Correct the bias of a product by gauges",
        help="A product that covers everything, such as satellite rain, is corrected by what the gauges below it "
        "measured. The loss counts at the cells with a gauge only; the map is corrected everywhere.",
        needs="One product as input, and as target the gauges of the same quantity and unit, gridded by 'cell': the "
        "value in the cell of the gauge, missing elsewhere. Static maps that explain the bias, such as elevation.",
        choose="target, product, static maps; keep some gauges as a variable of their own to judge the result by",
        settings={
            "lead": 0,
            "window": 1,
            "warm_up": 0,
            "model": {"family": "convlstm", "options": {"hidden": [24], "kernel": [1]}},
            "training": {"learning_rate": 0.01, "supervised_steps": 1},
        },
        products=1,
        target_as_input=False,
    ),
    Use(
        name="downscale",
        label="Downscale coarse maps",
        help="Fine maps out of coarse ones: fine static maps, such as elevation, tell how the coarse value spreads "
        "over the cells below it.",
        needs="Coarse maps as inputs, brought to the fine grid when the dataset is prepared; fine static maps; as "
        "target fine maps of a period in which they are known.",
        choose="target, coarse inputs, fine static maps",
        settings={
            "lead": 0,
            "window": 1,
            "warm_up": 0,
            "model": {
                "family": "convlstm",
                "options": {"hidden": [24], "kernel": [3], "head_kernel": 3, "padding": "replicate"},
            },
            "training": {"learning_rate": 0.01, "supervised_steps": 1},
        },
        statics=1,
        target_as_input=False,
    ),
    Use(
        name="fill-gaps",
        label="Fill what is missing",
        help="Fills the gaps of maps that have clouds or missing dates, from what was seen around them, before and "
        "after. In training a share of what was observed is hidden and has to be filled; scores count there alone.",
        needs="Maps with gaps, as target and input alike; further inputs without gaps, such as precipitation, help.",
        choose="target, further inputs, how much is hidden and in what form",
        when=WITHIN,
        settings={
            "lead": -3,
            "window": 7,
            "warm_up": 0,
            "hidden_share": 0.3,
            "hiding": "blocks",
            "model": {"family": "partial-convlstm", "options": {"hidden": [16], "mask_channels": True}},
            "training": {"learning_rate": 0.005, "supervised_steps": 1},
        },
        target_as_input=True,
    ),
    Use(
        name="nowcast-rain",
        label="Nowcast rain",
        help="Rain of the next minutes or hours out of the last radar or satellite maps of it.",
        needs="Maps of rain at short, even steps, as input and target alike.",
        choose="target, number of leads",
        when=AHEAD,
        settings={
            "lead": 1,
            "leads": 6,
            "window": 4,
            "warm_up": 0,
            "model": {"family": "convlstm-ed", "options": {"hidden": [16], "kernel": [5], "padding": "replicate"}},
            "training": {"learning_rate": 0.005, "supervised_steps": 1},
        },
        target_as_input=True,
        quantities=_RAIN,
        target_scaler="log1p",
    ),
)
USE_NAMES = tuple(use.name for use in USES)


def find_use(name: str) -> Use:
    """The use called ``name``; ConfigError lists the names."""
    for use in USES:
        if use.name == name:
            return use
    raise ConfigError(f"There is no use '{name}'", expected=", ".join(USE_NAMES), remedy="Choose one of these")


def with_use(values: Any) -> Any:
    """Values of a training job with what its key ``use`` sets; others come back as they are."""
    if not isinstance(values, dict) or not values.get("use") or not isinstance(values["use"], str):
        return values
    return apply_use(values["use"], values)


def apply_use(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values of a training job: what the use sets, under what is given. ConfigError where the use cannot be.

    Options of the use's family are left out where another family is given. Where the target has to be an input and no
    input is given, it is the only one.
    """
    use = find_use(name)
    merged = {**_copy(use.settings), **values, "use": use.name}
    for key in ("model", "training"):
        if key in use.settings and isinstance(values.get(key), dict):
            merged[key] = _merged(key, _copy(use.settings[key]), values[key])
    target = merged.get("target")
    if not target:
        raise ConfigError(
            f"'{use.name}' is not told what to predict", expected=use.needs, remedy="Add 'target', the variable"
        )
    if use.target_as_input and not merged.get("inputs"):
        merged["inputs"] = [target]
    if use.target_scaler and isinstance(merged.get("scalers", {}), dict):
        merged["scalers"] = {target: use.target_scaler, **merged.get("scalers", {})}
    numbers = {key: merged[key] for key in ("lead", "hidden_share") if key in merged}
    check_use(use.name, target, merged.get("inputs") or (), merged.get("static") or (), **numbers)
    return merged


def check_use(
    name: str,
    target: str,
    inputs: Sequence[str],
    static: Sequence[str],
    lead: int = 0,
    hidden_share: float = 0.0,
) -> None:
    """Raise ConfigError where a training with these parts does not do what the use is for. "" is no use."""
    if not name:
        return
    use = find_use(name)
    others = [item for item in inputs if item != target]
    if use.target_as_input and target not in inputs:
        raise _lacks(use, f"'{target}' is not among the inputs", f"Add '{target}' to the inputs")
    if use.target_as_input is False and target in inputs:
        instead = "fill-gaps' or 'forecast" if use.when == NOW and not use.products else "fill-gaps"
        raise _lacks(
            use, f"'{target}' is among the inputs", f"Remove it from the inputs, or choose the use '{instead}'"
        )
    least = max(use.products, 0 if target in inputs else 1)
    if len(others) < least:
        nearest = "; with one product there is 'correct-bias'" if use.products > 1 and others else ""
        raise _lacks(use, ", ".join(others) or "no input", f"Add to the inputs{nearest}")
    if len(static) < use.statics:
        raise _lacks(
            use, "no static map", "Add a fine static map such as elevation; without one choose the use 'simulate'"
        )
    _check_lead(use, lead)
    if use.when == WITHIN and not hidden_share > 0.0:
        raise _lacks(use, f"hidden_share {hidden_share:g}", "Hide a share of what was observed, such as 0.3")


def check_variables(name: str, target: str, inputs: Sequence[str], variables: Iterable[Any]) -> None:
    """Raise ConfigError where the variables of a dataset are not what the use needs by quantity, unit or kind.

    ``variables`` have ``name``, ``quantity``, ``units``, ``static`` and ``gauges``; names that are not there are left
    to others to tell.
    """
    known = {item.name: item for item in variables}
    if not name or target not in known:
        return
    use, goal = find_use(name), known[target]
    if goal.gauges and not use.also_ordinary:
        raise _lacks(
            use,
            f"'{target}' is a series at gauges",
            "Prepare the gauges with the gridding 'cell', so that they stand in their cells",
        )
    if use.quantities and goal.quantity not in use.quantities:
        raise _lacks(
            use,
            f"'{target}' is {goal.quantity} ({goal.units or '-'})",
            "Choose a variable that is rain, or the use 'forecast'",
        )
    fitting = [item.name for item in known.values() if _is_product(item, goal)]
    chosen = [item for item in inputs if item in fitting]
    if len(chosen) < use.products:
        found = ", ".join(f"{n} ({known[n].quantity}, {known[n].units or '-'})" for n in inputs if n in known)
        raise ConfigError(
            f"'{use.name}' needs {_number(use.products)} of the quantity and unit of '{target}' "
            f"({goal.quantity}, {goal.units or '-'}) among the inputs",
            expected=", ".join(fitting) or "the dataset holds none: prepare it with one, in the same unit",
            got=found or "no input",
            remedy="Choose among these" if fitting else "Add it to the sources of the dataset",
        )


def propose(name: str, variables: Sequence[Any], target: str = "") -> dict[str, Any]:
    """Target, inputs and static maps of a dataset that suit a use: ``{"target":, "inputs":, "static":}``.

    ``variables`` have ``name``, ``role``, ``quantity``, ``units``, ``static`` and ``gauges``. ``target`` is kept where
    it suits. Without any that does, the target is "".
    """
    use = find_use(name)
    moving = [item for item in variables if not item.static]
    fitting = [
        item
        for item in moving
        if (use.also_ordinary or not item.gauges) and (not use.quantities or item.quantity in use.quantities)
    ]
    fitting.sort(key=lambda item: (item.name != target, item.role != "target"))
    static = [item.name for item in variables if item.static]
    if not fitting:
        return {"target": "", "inputs": [], "static": static}
    goal = fitting[0]
    inputs = [item.name for item in moving if item.role != "target" and not item.gauges and item is not goal]
    if use.products:
        inputs = [item.name for item in moving if item.name in inputs and _is_product(item, goal)]
    if use.target_as_input:
        inputs = [goal.name, *(inputs if use.when == WITHIN else [])]
    return {"target": goal.name, "inputs": inputs, "static": static}


def _check_lead(use: Use, lead: Any) -> None:
    allowed = {NOW: lead == 0, AHEAD: lead >= 1, WITHIN: lead <= 0}[use.when]
    if not allowed:
        instead = "" if use.when == AHEAD else ", or choose the use 'forecast'"
        raise ConfigError(
            f"'{use.name}' predicts {_LEADS[use.when]}",
            got=f"{lead} steps ahead",
            remedy=f"Set the steps ahead to {use.settings['lead']}{instead}",
        )


def _is_product(item: Any, goal: Any) -> bool:
    same = item.quantity == goal.quantity and item.units == goal.units
    return same and item.name != goal.name and not item.static and not item.gauges


def _lacks(use: Use, got: str, remedy: str) -> ConfigError:
    return ConfigError(f"'{use.name}' lacks what it needs", expected=use.needs, got=got, remedy=remedy)


def _merged(key: str, own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The use's part of a job under the given one; options of another family are not the use's to set."""
    if key == "model" and given.get("family") and family(given["family"]).name != own["family"]:
        return dict(given)
    merged = {**own, **given}
    if key == "model" and isinstance(given.get("options", {}), dict):
        preset = given.get("family") not in (None, own["family"])  # a preset names options of its own
        merged["options"] = {**({} if preset else own["options"]), **given.get("options", {})}
    return merged


def _number(count: int) -> str:
    return {1: "an input", 2: "two inputs or more"}.get(count, f"{count} inputs")


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value
