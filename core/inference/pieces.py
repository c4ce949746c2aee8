"""What is computed of a prediction, kept in the run's folder until all of its files are written.

A prediction that was cancelled or killed goes on from its pieces, and its files equal those of one that was not. Each
piece is a file that is whole or absent. They belong to a key: other inputs, weights or tiles throw all of them away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np
from torch import nn

from ..contracts.files import whole_file, write_text
from ..contracts.run_folder import RunFolder
from .part import PartOfRun

_KEY = "key.json"


class Pieces:
    """Arrays by name in a folder. ``taken_over``: how many pieces were there already.

    Parameters
    ----------
    folder : is made, and made empty where another ``key`` lies in it.
    key : plain values of all that the pieces depend on.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(key, sort_keys=True, ensure_ascii=False)
        if not self._is(text):
            self.remove()
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / _KEY, text)
        self.taken_over = len(list(folder.glob("[!.]*.npz")))

    def put(self, name: str, **arrays: Optional[np.ndarray]) -> None:
        """Keep a piece; None is left out."""
        with whole_file(self.folder / f"{name}.npz") as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **{key: values for key, values in arrays.items() if values is not None})

    def get(self, name: str) -> Optional[dict[str, np.ndarray]]:
        """A piece, or None where it is not there or cannot be read."""
        try:
            with np.load(self.folder / f"{name}.npz", allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def has(self, name: str) -> bool:
        """Whether a piece is there."""
        return (self.folder / f"{name}.npz").is_file()

    def remove(self) -> None:
        """Remove all of it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def _is(self, text: str) -> bool:
        try:
            return (self.folder / _KEY).read_text(encoding="utf-8") == text
        except (OSError, ValueError):
            return False


def folder_of(run: RunFolder) -> Path:
    """Where the pieces of a run lie, or of a part of it."""
    return run.checkpoints / "maps" / (run.folder if isinstance(run, PartOfRun) else "run")


def fingerprint_of(module: nn.Module) -> str:
    """SHA-256 (hex) of all tensors of a model."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
