"""Hold imported Keras models against Keras itself: random weights, both file formats, Keras 3 and Keras 2.

    python scripts/check_exchange.py            compare, print the differences
    python scripts/check_exchange.py --write    and write the files and outputs that the tests compare with

Run it in an environment that has the engine's libraries and keras with one of its backends; tf_keras too for Keras 2.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

ROOT = Path(__file__).resolve().parent.parent
PACK = ROOT / "tests" / "core" / "inference" / "exchange" / "keras_models.zip"
TOLERANCE = 1e-5
STEPS, ROWS, COLUMNS, CHANNELS = 6, 6, 5, 3


def main() -> int:
    """Exit status 0 where all agree, 1 where one does not, 2 where there is no Keras."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {PACK.relative_to(ROOT)}")
    write = parser.parse_args().write
    versions = {name: found for name in ("keras", "tf_keras") if (found := _library(name)) is not None}
    if not versions:
        sys.stderr.write("Neither keras nor tf_keras is installed: pip install keras tensorflow-cpu tf_keras\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        outputs, worst = {}, 0.0
        for name, model in _cases(versions):
            path = Path(folder) / name
            _random_weights(model, np.random.default_rng(len(name)))
            expected = np.asarray(model.predict(frames(), verbose=0))
            expected = expected[:, -1] if expected.ndim == 5 else expected
            outputs[name] = expected[0].transpose(2, 0, 1)
            model.save(str(path))
            difference = float(np.abs(imported(path) - outputs[name]).max())
            worst = max(worst, difference)
            print(f"{name:28} {model.count_params():6} weights, outputs differ by {difference:.2g}")
        if write:
            _pack(Path(folder), outputs)
    print(f"Largest difference {worst:.2g}, allowed {TOLERANCE:g}")
    return 0 if worst <= TOLERANCE else 1


def _pack(folder: Path, outputs: dict[str, np.ndarray]) -> None:
    """All files in one, since HDF5 is mostly air: the models and ``outputs.json``, (M, H, W) of each."""
    listed = {name: np.round(values.astype(np.float64), 9).tolist() for name, values in outputs.items()}
    with zipfile.ZipFile(PACK, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("outputs.json", json.dumps(listed))
        for name in outputs:
            archive.write(folder / name, name)


def frames() -> np.ndarray:
    """The window that all models read: (1, T, H, W, C), the same in the tests."""
    return np.random.default_rng(1).normal(size=(1, STEPS, ROWS, COLUMNS, CHANNELS)).astype(np.float32)


def imported(path: Path) -> np.ndarray:
    """Maps (M, H, W) of the module that Freshet makes of a file."""
    engine = _engine()
    foreign = engine["read_foreign"](path)
    options, _ = engine["options_of"](foreign)
    module = engine["build_model"]("convlstm", foreign.inputs, foreign.maps, **options)
    engine["adopt_weights"](module, foreign, range(foreign.inputs))
    torch = importlib.import_module("torch")
    with torch.inference_mode():
        window = torch.from_numpy(np.ascontiguousarray(frames().transpose(0, 1, 4, 2, 3)))
        return module.eval()(window)["y_hat"][0].flatten(0, 1).numpy()


def _engine() -> dict[str, Any]:
    importing = importlib.import_module("freshet.core.inference.exchange.importing")
    made = importlib.import_module("freshet.core.inference.exchange.imported")
    models = importlib.import_module("freshet.core.models")
    return {
        "read_foreign": importing.read_foreign, "options_of": made.options_of, "adopt_weights": made.adopt_weights,
        "build_model": models.build_model,
    }  # fmt: skip


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _cases(versions: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """File names and models: the thesis's network, and one that has every option."""
    for library, keras in versions.items():
        short = "keras3" if library == "keras" else "keras2"
        for suffix in ("keras", "h5"):
            yield f"thesis-{short}.{suffix}", _thesis(keras)
            yield f"options-{short}.{suffix}", _options(keras)


def _thesis(keras: Any) -> Any:
    """The layers are named so that names and the order of saving contradict each other."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, ROWS, COLUMNS, CHANNELS)),
            layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True, dropout=0.1, name="conv_lstm2d_1"),
            layers.BatchNormalization(name="upper"),
            layers.ConvLSTM2D(4, 3, padding="same", dropout=0.1, name="conv_lstm2d"),
            layers.BatchNormalization(name="batch_normalization"),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )


def _options(keras: Any) -> Any:
    layers = keras.layers
    start = keras.Input((STEPS, ROWS, COLUMNS, CHANNELS))
    maps = layers.ConvLSTM2D(
        2, 5, padding="same", return_sequences=True, activation="relu", recurrent_activation="hard_sigmoid",
        use_bias=False, recurrent_dropout=0.2,
    )(start)  # fmt: skip
    maps = layers.BatchNormalization(center=False, epsilon=0.01)(maps)
    maps = layers.TimeDistributed(layers.SpatialDropout2D(0.1))(maps)
    maps = layers.ConvLSTM2D(
        3, 1, padding="same", return_sequences=True, activation="relu", recurrent_activation="hard_sigmoid"
    )(maps)
    return keras.Model(start, layers.TimeDistributed(layers.Conv2D(2, 3, padding="same", activation="sigmoid"))(maps))


def _random_weights(model: Any, rng: np.random.Generator) -> None:
    """Random values for all weights, so that a gate in a wrong place shows; variances stay positive."""
    for layer in model.layers:
        values = [rng.normal(scale=0.5, size=item.shape) for item in layer.get_weights()]
        if "Normalization" in type(layer).__name__:
            values[-1] = rng.uniform(0.3, 2.0, size=values[-1].shape)
        layer.set_weights(values)


if __name__ == "__main__":
    if ROOT.name != "freshet" and importlib.util.find_spec("freshet") is None:
        sys.stderr.write("Install the checkout first: pip install --no-deps -e .\n")
        sys.exit(2)
    sys.exit(main())
