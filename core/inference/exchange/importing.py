"""The verb import-model: a model of Keras or PyTorch becomes a Freshet model file, proved by equal outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...contracts.errors import ModelFileError
from ...contracts.events import Artifact, Event
from ...contracts.exchange_jobs import ImportModelJob
from ...contracts.run_folder import RunFolder
from ...data.store import Dataset
from ...training.model_file import build_from_card, save_model
from ..artifacts import artifact_event, message, progress
from .foreign import ForeignModel
from .import_card import card_of
from .imported import adopt_weights, prove_equal

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"


def import_model(job: ImportModelJob, run: RunFolder) -> Iterator[Event]:
    """Write ``results/model.safetensors``. Raises :class:`ModelFileError` for a file that is damaged or has what
    Freshet's ConvLSTM has not, :class:`ConfigError` or :class:`DataError` that asks for what the file does not say.
    """
    yield progress(0.0, "Reading the model")
    foreign = read_foreign(Path(job.source))
    yield message(_words(foreign))
    yield progress(0.3, "Reading the dataset")
    with Dataset.open(job.dataset, job.sequence) as dataset:
        card, order, notes = card_of(job, foreign, dataset)
    for note in (*foreign.notes, *notes):
        yield message(note)
    module = build_from_card(card)
    adopt_weights(module, foreign, order)
    yield progress(0.7, "Comparing the outputs")
    worst = prove_equal(module, foreign, order, card.static_channels)
    yield message(
        f"Random windows of two lengths give what the equations of the file give: they differ by {worst:.1g}."
    )
    card = card.replace(parameters=sum(p.numel() for p in module.parameters() if p.requires_grad))
    save_model(run.model_file, module, card)
    path = run.model_file.relative_to(run.path).as_posix()
    yield artifact_event(Artifact(kind="model", path=path, title=card.title, variable=card.target.name))


def read_foreign(path: Path) -> ForeignModel:
    """The model in a file, whatever its name ends in: its first bytes tell the kind."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing there"
        raise ModelFileError(
            f"The model file {path} does not exist",
            got=found,
            remedy="Choose a .keras, .h5, .pt or .pth file; save a SavedModel folder of TensorFlow as .keras",
        )
    with open(path, "rb") as handle:
        start = handle.read(8)
    if start == _HDF5 or (start.startswith(_ZIP) and _is_keras(path)):
        from .keras_model import foreign_from_keras

        return foreign_from_keras(path)
    if path.suffix == ".safetensors":
        raise ModelFileError(
            f"{path} is no model of Keras or PyTorch", remedy="Use a Freshet model file as it is; it needs no import"
        )
    from .pytorch_file import foreign_from_pytorch

    return foreign_from_pytorch(path)


def _is_keras(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist() or path.suffix == ".keras"
    except (OSError, zipfile.BadZipFile):
        return path.suffix == ".keras"


def _words(model: ForeignModel) -> str:
    layers = ", ".join(f"{layer.hidden} channels ({layer.kernel} x {layer.kernel})" for layer in model.layers)
    return f"{model.origin}: {model.inputs} input channels; ConvLSTM layers of {layers}; {model.maps} maps out."
