"""The model card: what a saved model is, needs and has seen. It lies in the header of the model file, so QGIS reads
it without an engine.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from .config import Config, parse_json, setting
from .ensemble_file import is_ensemble, read_ensemble
from .errors import ModelFileError

CARD_KEY = "freshet_card"
DIGEST_KEY = "freshet_sha256"
MAX_HEADER_BYTES = 16 * 2**20
SEASON_CHANNELS = ("season_sin", "season_cos")


@dataclass(frozen=True)
class VariableCard(Config):
    """One variable of a model: name, quantity, unit, the scaler fitted on the training period, and the range seen
    there.
    """

    name: str = setting(label="Name", help="Name in the training dataset.")
    quantity: str = setting(label="Quantity", help="Entry of the variable catalogue.")
    units: str = setting(label="Unit", help="Unit of the values that the model was given.")
    label: str = setting("", label="Label", help="Name for people.")
    scaler: dict[str, Any] = setting({}, label="Scaler", help="Kind and parameters.")
    minimum: float = setting(0.0, label="Minimum", help="Least value in the training period.")
    maximum: float = setting(0.0, label="Maximum", help="Greatest value in the training period.")

    @property
    def channels(self) -> int:
        """Channels that the variable takes: one, or one a class where it is one-hot."""
        return len(self.scaler["classes"]) if self.scaler.get("kind") == "one-hot" else 1


@dataclass(frozen=True)
class ModelCard(Config):
    """Everything about a saved model but its weights."""

    title: str = setting(label="Title", help="Name of the run that made it.")
    family: str = setting(label="Family", help="Family of the model catalogue.")
    options: dict[str, Any] = setting(label="Options", help="All options of the family.")
    inputs: tuple[VariableCard, ...] = setting(label="Inputs", help="Dynamic inputs, in the order of the channels.")
    static: tuple[VariableCard, ...] = setting(label="Static maps", help="Static maps, in the order of the channels.")
    target: VariableCard = setting(label="Target", help="What the model predicts.")
    season: bool = setting(label="Season", help="Whether sine and cosine of the day of the year follow the inputs.")
    window: int = setting(label="Window", help="Steps that the model reads, warm-up included.", unit="steps")
    lead: int = setting(label="Steps ahead", help="First predicted step after the last input step.", unit="steps")
    leads: int = setting(label="Number of leads", help="Predicted steps in a row.")
    warm_up: int = setting(
        0, label="Warm-up", help="First steps of the window, which only fill the memory.", unit="steps"
    )
    also: tuple[VariableCard, ...] = setting(
        (), label="Also predicts", help="Further targets of the same kind, in the order of the model's outputs."
    )
    ahead: tuple[VariableCard, ...] = setting(
        (), label="Known ahead", help="Inputs that are known for the predicted steps, in the order of the channels."
    )
    gauges: tuple[str, ...] = setting((), label="Gauges", help="Ids of the gauges predicted; empty for maps.")
    run_through: bool = setting(
        False, label="Run through", help="Whether one pass over the dates carries the memory on, in place of windows."
    )
    hidden_share: float = setting(
        0.0, label="Hidden share", help="Of what was observed, hidden to be filled; 0 for a model that fills nothing."
    )
    hiding: str = setting("blocks", label="What was hidden", help="blocks, cells or frames.")
    use: str = setting("", label="What for", help="The use that it was trained for, if one was named.")
    step_seconds: float = setting(86400.0, label="Step", help="Length of a step.", unit="s")
    cell_size: tuple[float, float] = setting(
        (1.0, 1.0), label="Cell size", help="Of the first training grid, in units of its CRS."
    )
    crs: str = setting("", label="CRS", help="Of the first training grid.")
    extent: tuple[float, ...] = setting((), label="Extent", help="West, south, east, north of the first training grid.")
    periods: dict[str, Any] = setting(
        {}, label="Periods", help="Training, validation and test: first and last target date."
    )
    periods_by_dataset: dict[str, Any] = setting(
        {}, label="Periods of each dataset", help="The same by the fingerprint of each dataset or sequence."
    )
    scores: dict[str, Any] = setting({}, label="Scores", help="Of the test period, beside persistence and climatology.")
    training: dict[str, Any] = setting({}, label="Training", help="How it was trained.")
    datasets: tuple[str, ...] = setting((), label="Datasets", help="Names and fingerprints of the training data.")
    versions: dict[str, str] = setting({}, label="Versions", help="Of Freshet and the libraries.")
    licence: str = setting("", label="Licence", help="Terms of use of the model, if its maker states any.")
    parameters: int = setting(0, label="Parameters", help="Number of trainable weights.")
    created: str = setting("", label="Created", help="UTC time.")

    @property
    def targets(self) -> tuple[VariableCard, ...]:
        """All targets, in the order of the model's outputs."""
        return (self.target, *self.also)

    @property
    def in_channels(self) -> int:
        """Dynamic channels: the inputs, and two for the season."""
        return len(self.inputs) + (len(SEASON_CHANNELS) if self.season else 0)

    @property
    def static_channels(self) -> int:
        """Channels of the static maps; a map of classes has one a class."""
        return sum(variable.channels for variable in self.static)

    def static_slices(self) -> list[tuple[VariableCard, slice]]:
        """Each static map and the channels that are its own."""
        slices, start = [], 0
        for variable in self.static:
            slices.append((variable, slice(start, start + variable.channels)))
            start += variable.channels
        return slices


def read_header(path: Union[str, Path]) -> dict[str, Any]:
    """The JSON header of a safetensors file with all bounds checked; raises :class:`ModelFileError`."""
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing there"
        raise ModelFileError(
            f"The model file {path} does not exist", got=found, remedy="Choose a saved model (.safetensors)"
        )
    size = path.stat().st_size
    with open(path, "rb") as handle:
        start = handle.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise _not_ours(path, "its first bytes do not announce a header")
        if 8 + length > size:
            raise _truncated(path)
        raw = handle.read(length)
    try:
        header = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise _not_ours(path, "its header is not readable") from error
    if not isinstance(header, dict):
        raise _not_ours(path, "its header is not readable")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__" and _is_tensor(entry)]
    if 8 + length + max(ends, default=0) != size:
        raise _truncated(path)
    return header


def read_card(path: Union[str, Path]) -> ModelCard:
    """The model card of a file; of an ensemble that of its first member, with the ensemble's title and scores. Raises
    :class:`ModelFileError` where the file is truncated or not ours.
    """
    if is_ensemble(path):
        ensemble, members = read_ensemble(path)
        first = read_card(members[0])
        return first.replace(title=ensemble.title or first.title, scores=ensemble.scores)
    metadata = read_header(path).get("__metadata__", {})
    if CARD_KEY not in metadata:
        raise _not_ours(Path(path), "it has no Freshet model card")
    try:
        return ModelCard.from_dict(parse_json(metadata[CARD_KEY], "The model card"))
    except ValueError as error:
        raise ModelFileError(
            f"The model card of {path} cannot be read",
            got=getattr(error, "problem", str(error)),  # the remedy of a job's fault does not fit a model file
            remedy="Use a model saved by this version of Freshet",
        ) from error


def _is_tensor(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("data_offsets"), list) and len(entry["data_offsets"]) == 2


def _truncated(path: Path) -> ModelFileError:
    return ModelFileError(
        f"The model file {path} is truncated or has been altered",
        expected="as many bytes as its header announces",
        got=f"{path.stat().st_size} bytes",
        remedy="Copy the file again from where it was saved",
    )


def _not_ours(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is not a Freshet model: {why}",
        expected="a .safetensors file that Freshet saved",
        remedy="Choose a model that was trained with Freshet",
    )
