"""The description of an ensemble: a small JSON file beside the model files of its members."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from .config import Config, parse_json, setting
from .errors import ModelFileError
from .files import write_text

_MARK = "freshet_ensemble"


@dataclass(frozen=True)
class EnsembleFile(Config):
    """Which models make an ensemble, and what was found of it."""

    members: tuple[str, ...] = setting(
        label="Members",
        help="Model files, relative to the folder of the description; the first one's card stands for all.",
    )
    title: str = setting("", label="Title", help="A name for the ensemble.")
    seeds: tuple[int, ...] = setting((), label="Seeds", help="Seed of each member.")
    bootstrap: int = setting(
        0, label="Bootstrap", help="Length of the blocks that each member drew; 0 for all of them.", unit="steps"
    )
    validation_losses: tuple[float, ...] = setting(
        (), label="Validation losses", help="Least validation loss of each member."
    )
    scores: dict[str, Any] = setting({}, label="Scores", help="Scores of the mean of the members on the test period.")
    created: str = setting("", label="Created", help="When it was written.")

    def check(self) -> None:
        """An ensemble has at least one member."""
        if not self.members:
            raise ModelFileError("The ensemble names no model", remedy="Name at least one model file under 'members'")


def is_ensemble(path: Union[str, Path]) -> bool:
    """Whether a model path names the description of an ensemble and no model file."""
    return str(path).lower().endswith(".json")


def model_files(path: str) -> list[str]:
    """The model files that a model path stands for: those of an ensemble's members, or the file itself."""
    return [str(member) for member in read_ensemble(path)[1]] if is_ensemble(path) else [path]


def write_ensemble(path: Union[str, Path], ensemble: EnsembleFile) -> None:
    """Write the description, whole or not at all."""
    values = {_MARK: 1, **ensemble.to_dict()}
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False))


def read_ensemble(path: Union[str, Path]) -> tuple[EnsembleFile, list[Path]]:
    """The description and the absolute paths of its members. Raises :class:`ModelFileError` where the file is none."""
    path = Path(path)
    try:
        values = parse_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"The ensemble {path} cannot be read",
            got=str(error),
            remedy="Choose the ensemble.json of a run, or a model",
        ) from error
    if not isinstance(values, dict) or values.pop(_MARK, None) is None:
        raise ModelFileError(
            f"{path} describes no ensemble", remedy="Choose the ensemble.json of a run, or a model file (.safetensors)"
        )
    ensemble = EnsembleFile.from_dict(values)
    members = [(path.parent / name).resolve() for name in ensemble.members]
    missing = [str(member) for member in members if not member.is_file()]
    if missing:
        raise ModelFileError(
            f"The ensemble {path} lacks {len(missing)} of its {len(members)} models",
            got=", ".join(missing[:3]),
            remedy="Keep the model files beside it, in the folders that it names",
        )
    return ensemble, members
