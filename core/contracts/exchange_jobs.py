"""The jobs that bring a model in from another library, or give one away: import-model, export-model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Optional

from .config import Config, parse_json, setting
from .errors import ConfigError
from .training_job import PeriodConfig, check_named
from .variables import SCALERS

IMPORTED_KINDS = tuple(kind for kind in SCALERS if kind not in ("one-hot", "amount"))
_PARAMETERS = {  # what a scaler that is given by its values needs, by its kind
    "standard": ("mean", "std"),
    "min-max": ("minimum", "maximum"),
    "log1p": ("mean", "std"),
    "yeo-johnson": ("exponent", "mean", "std"),
    "none": (),
    "one-hot": ("classes",),
}


@dataclass(frozen=True)
class ImportModelJob(Config):
    """Bring a ConvLSTM that was trained with Keras (ConvLSTM2D) or PyTorch (the public cell of ndrplz) into a Freshet
    model file. What its file does not hold (variables, units, scalers, the predicted step) is given here.
    """

    source: str = setting(
        label="Model to import",
        help="A whole Keras model (.keras, or .h5 of older versions), or the state_dict of a PyTorch model (.pt).",
    )
    dataset: str = setting(
        label="Dataset", help="Prepared dataset (.nc) with the model's variables: it gives units, grid and step."
    )
    channels: tuple[str, ...] = setting(
        label="Channels", help="Variables of the dataset in the order of the model's input channels, static maps too."
    )
    target: str = setting(label="Predicts", help="The variable that the model predicts.")
    scalers: dict[str, Any] = setting(
        {},
        label="Scalers",
        help='How each variable was scaled: {"rain": {"kind": "standard", "mean": 2.1, "std": 5.3}, "pet": {"kind": '
        '"min-max", "minimum": 0, "maximum": 9}}, also "log1p", "yeo-johnson", "none", "one-hot"; or a kind alone, '
        "which is fitted anew on the training period.",
    )
    scalers_file: str = setting(
        "", label="File of scalers", help="A JSON file with the same; what is given under Scalers stands before it."
    )
    lead: Optional[int] = setting(
        None,
        label="Steps ahead",
        help="0 predicts the last step of the window, 1 the step after it.",
        unit="steps",
        minimum=-10000,
        maximum=10000,
    )
    window: Optional[int] = setting(
        None,
        label="Window",
        help="Steps that the model reads; needed where its file does not fix them.",
        unit="steps",
        minimum=1,
        maximum=10000,
        empty="as the file says",
    )
    also: tuple[str, ...] = setting(
        (), label="Also predicts", help="Further targets, in the order of the output channels.", advanced=True
    )
    period: PeriodConfig = setting(
        PeriodConfig,
        label="Training period",
        help="Dates that the model was trained on: for ranges, for scalers given by their kind alone, and as a warning "
        "where it is judged on them. Empty takes the whole record.",
    )
    sequence: str = setting(
        "", label="Sequence", help="Which sequence of the dataset; empty where it has none, or only one."
    )
    licence: str = setting("", label="Licence", help="Terms of use of the model, if its maker states any.")
    title: str = setting("", label="Title", help="A name for the model.")

    def check(self) -> None:
        """Files and variables are named, each channel once; scalers are complete."""
        check_named(self.source, "model to import", "Choose a .keras, .h5, .pt or .pth file")
        check_named(self.dataset, "dataset", "Choose a prepared dataset (.nc)")
        check_named(self.target, "target", "Name the variable that the model predicts")
        if not self.channels:
            raise ConfigError(
                "The file does not say which variables the model reads",
                remedy="Name the variables of its input channels, in their order",
            )
        for names, what in ((self.channels, "input channels"), ((self.target, *self.also), "targets")):
            if len(set(names)) < len(names):
                raise ConfigError(
                    f"A variable stands twice among the {what}", got=", ".join(names), remedy="Name each of them once"
                )
        if self.lead is None:
            raise ConfigError(
                "The file does not say which step the model predicts",
                expected="0 for the last step of the window, 1 for the step after it",
                remedy="Give the steps ahead (lead)",
            )
        for name, values in self.scalers.items():
            check_scaler(name, values)


@dataclass(frozen=True)
class ExportModelJob(Config):
    """Give a saved model away as an ONNX file, which other programs run; its outputs are held against the model's."""

    model: str = setting(label="Model", help="Saved model file (.safetensors).")
    rows: int = setting(
        16, label="Rows", help="Of the made-up maps that the export is proved on.", unit="cells", minimum=4,
        maximum=4096, advanced=True,
    )  # fmt: skip
    columns: int = setting(
        16, label="Columns", help="Of the same.", unit="cells", minimum=4, maximum=4096, advanced=True
    )
    title: str = setting("", label="Title", help="A name for the run.")

    def check(self) -> None:
        """A model is named."""
        check_named(self.model, "model", "Choose a saved model file (.safetensors)")


def read_scalers(text: str, path: str) -> dict[str, Any]:
    """Scalers by variable from the JSON of a file; raises :class:`ConfigError` that names the fault."""
    values = parse_json(text, path)
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} holds no scalers", expected="an object with the name of each variable", remedy="Mend the file"
        )
    for name, scaler in values.items():
        check_scaler(name, scaler)
    return values


def check_scaler(name: str, values: Any) -> None:
    """A kind, or a kind and its values; raises :class:`ConfigError` that says what is missing."""
    if isinstance(values, str):
        if values not in IMPORTED_KINDS:
            raise ConfigError(
                f"The scaler of '{name}' is not known", expected=", ".join(IMPORTED_KINDS), got=values,
                remedy="Choose one of these",
            )  # fmt: skip
        return
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in _PARAMETERS:
        raise ConfigError(
            f"The scaler of '{name}' is not clear",
            expected=f"a kind ({', '.join(_PARAMETERS)}) and its values",
            got=repr(values),
            remedy='Give for instance {"kind": "standard", "mean": 2.1, "std": 5.3}',
        )
    needed = _PARAMETERS[kind]
    if set(values) != {"kind", *needed}:
        raise ConfigError(
            f"The scaler of '{name}' ({kind}) is not complete, or has something too much",
            expected=", ".join(needed) or "nothing beside the kind",
            got=", ".join(key for key in values if key != "kind") or "nothing",
            remedy="Correct it",
        )
    numbers = [number for key in needed for number in _listed(values[key])]
    finite = bool(numbers or not needed) and all(_finite(number) for number in numbers)
    if finite and kind in ("standard", "log1p", "yeo-johnson"):
        finite = values["std"] > 0
    if finite and kind == "min-max":
        finite = values["maximum"] > values["minimum"]
    if not finite:
        raise ConfigError(
            f"The values of the scaler of '{name}' cannot be used",
            expected="numbers; a standard deviation above 0, a maximum above the minimum",
            got=repr(values),
            remedy="Correct them",
        )


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
