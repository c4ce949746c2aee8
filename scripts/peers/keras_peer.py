"""The Keras peer: run in the environment of the peers, told what to do by lines of JSON on standard input.

``{"make": NAME, "case": {...}, "precision": "float32" | "bfloat16"}`` builds a network and gives the number of its
weights, ``{"step": NAME}`` and ``{"predict": NAME}`` give ``{"seconds": ...}``, ``{"peak": {"case": ..., "precision":
...}}`` the MiB that training steps need beyond what was resident before, ``{"train": {...}}`` a whole training. Each
answer is one line of JSON.
XLA is off: with it, ConvLSTM2D was many times slower on a processor.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from resident import forget_peak, peak, resident  # noqa: E402

_WARM_UP_SIDE = 8  # cells a side of the first, small step


def main(threads: int) -> None:
    """Answer until standard input ends."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what TensorFlow prints shall not stand between the answers
    networks: dict[str, Network] = {}
    _tell(answers, {"versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}})
    for line in sys.stdin:
        task = json.loads(line)
        if "make" in task:
            networks[task["make"]] = Network(task["case"], task["precision"])
            _tell(answers, {"weights": networks[task["make"]].weights})
        elif "step" in task:
            _tell(answers, {"seconds": networks[task["step"]].step()})
        elif "predict" in task:
            _tell(answers, {"seconds": networks[task["predict"]].predict()})
        elif "peak" in task:
            _tell(answers, {"mib": _peak_of_training(**task["peak"])})
        else:
            _tell(answers, _train(**task["train"]))


class Network:
    """A network of a size with a batch of noise."""

    def __init__(self, case: dict[str, Any], precision: str) -> None:
        keras.utils.set_random_seed(0)
        self._model = build(case, precision)
        self.weights = self._model.count_params()
        self._x, self._y = _noise(case)

    def step(self) -> float:
        """Seconds of one training step."""
        begin = time.perf_counter()
        self._model.train_on_batch(self._x, self._y)
        return time.perf_counter() - begin

    def predict(self) -> float:
        """Seconds of one prediction."""
        begin = time.perf_counter()
        self._model.predict_on_batch(self._x)
        return time.perf_counter() - begin


def build(case: dict[str, Any], precision: str) -> keras.Model:
    """ConvLSTM2D layers, each followed by batch normalisation, and an output convolution; MSE and Adam.

    The batch normalisation has Freshet's constants, so that both are the same network.
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    layers: list[Any] = [keras.Input((case["steps"], case["rows"], case["columns"], case["channels"]))]
    for number, size in enumerate(case["hidden"]):
        more = number < len(case["hidden"]) - 1
        layers.append(
            keras.layers.ConvLSTM2D(size, case["kernel"], padding="same", return_sequences=more, dtype=policy)
        )
        layers.append(keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=policy))
    layers.append(keras.layers.Conv2D(1, 3, padding="same", dtype=policy))
    layers.append(keras.layers.Activation("linear", dtype="float32"))
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", jit_compile=False)
    return model


def _noise(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(case["batch"], case["steps"], case["rows"], case["columns"], case["channels"]))
    y = rng.normal(size=(case["batch"], case["rows"], case["columns"], 1))
    return x.astype(np.float32), y.astype(np.float32)


def _peak_of_training(case: dict[str, Any], precision: str) -> float:
    """The graph belongs to a grid, so that of the measured one counts; a small network loads what all share before."""
    small = {**case, "rows": _WARM_UP_SIDE, "columns": _WARM_UP_SIDE}
    build(small, precision).train_on_batch(*_noise(small))
    model = build(case, precision)
    x, y = _noise(case)
    before = resident()
    forget_peak()
    for _ in range(2):
        model.train_on_batch(x, y)
    return peak() - before


def _train(data: str, case: dict[str, Any], epochs: int, seed: int) -> dict[str, Any]:
    """A whole training on maps in memory: seconds, MiB of the process, and the score of the best epoch's weights.

    ``data``: arrays ``x (T, C, H, W)``, ``y (T, H, W)`` and the last steps of the windows of ``train``, ``judge``
    (after each epoch) and ``validation`` (the score).
    """
    with np.load(data) as held:
        arrays = {name: held[name] for name in held.files}
    forget_peak()
    begin = time.perf_counter()
    keras.utils.set_random_seed(seed)
    x, y = np.ascontiguousarray(arrays["x"].transpose(0, 2, 3, 1)), arrays["y"][..., None]

    def windows(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x[ends[:, None] + np.arange(1 - case["steps"], 1)[None]], y[ends]

    model = build(case, "float32")
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    inputs, targets = windows(arrays["train"])
    model.fit(
        inputs, targets, batch_size=case["batch"], epochs=epochs, validation_data=windows(arrays["judge"]),
        validation_batch_size=2 * case["batch"], callbacks=[best], verbose=0,
    )  # fmt: skip
    seconds, most = time.perf_counter() - begin, peak()
    inputs, targets = windows(arrays["validation"])
    predicted = model.predict(inputs, batch_size=2 * case["batch"], verbose=0)
    return {"seconds": seconds, "mib": most, "mse": float(np.mean((predicted - targets) ** 2, dtype=np.float64))}


def _tell(answers: Any, values: dict[str, Any]) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
