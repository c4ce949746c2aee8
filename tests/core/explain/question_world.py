"""A small basin whose target is linear in its weather, and a model that is that line: questions have closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from freshet.core.contracts.events import EventKind
from freshet.core.contracts.grid import Grid
from freshet.core.contracts.model_card import ModelCard, VariableCard
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import Gauges, VariableInfo, write_dataset
from freshet.core.models.base import ForecastModel

ROWS, COLUMNS, STEPS, WINDOW = 6, 7, 120, 4
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, COLUMNS, ROWS)
TIMES = np.datetime64("2001-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s")
MASK = np.ones((ROWS, COLUMNS), dtype=bool)
MASK[0] = False
IDS = ("upper", "lower")
CELL = {"x": 4_003_500.0, "y": 2_996_500.0}  # row 3, column 3

# Weight of each step (oldest first) and input in the target, and that of the static map: rain, temp, noise.
WEIGHTS = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.8, 0.0, 0.0], [0.4, 0.2, 0.0]])
FIXED = 0.3


def values(seed: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (STEPS, ROWS, COLUMNS)
    rain = np.maximum(0.0, rng.normal(1.0, 3.0, shape)).astype(np.float32)
    temp = (8 + 6 * np.sin(np.arange(STEPS) / 19.0)[:, None, None] + rng.normal(0, 2, shape)).astype(np.float32)
    noise = rng.normal(0.0, 1.0, shape).astype(np.float32)
    dem = rng.uniform(-2.0, 2.0, (ROWS, COLUMNS)).astype(np.float32)
    return {"rain": rain, "temp": temp, "noise": noise, "dem": dem}


def target_of(v: dict[str, np.ndarray], error: float = 0.3, seed: int = 6) -> np.ndarray:
    """The target (T, H, W): at step t linear in the window that ends at t, with an error of its own."""
    target = np.full((STEPS, ROWS, COLUMNS), np.nan, dtype=np.float32)
    for t in range(WINDOW - 1, STEPS):
        window = np.stack([v[name][t - WINDOW + 1 : t + 1] for name in ("rain", "temp", "noise")], axis=1)
        target[t] = np.einsum("tchw,tc->hw", window, WEIGHTS) + FIXED * v["dem"]
    target += np.random.default_rng(seed).normal(0.0, error, target.shape).astype(np.float32)
    return target


def write_basin(path: Path, v: dict[str, np.ndarray], **more: np.ndarray) -> Path:
    """The dataset; ``more`` are further variables in time, (T, H, W) or series (T, 2)."""

    def info(name, role, quantity, units, static=False, gauges=False):
        return VariableInfo(name, role, quantity, units, name.capitalize(), static, gauges=gauges)

    target = target_of(v)
    dynamic = {
        "rain": (info("rain", "input", "precipitation", "mm/d"), v["rain"]),
        "temp": (info("temp", "input", "temperature", "degC"), v["temp"]),
        "noise": (info("noise", "input", "other", "-"), v["noise"]),
        "wet": (info("wet", "target", "other", "mm"), target),
    }
    inside = target[:, MASK]
    series = np.stack([inside.mean(axis=1), inside[:, :5].mean(axis=1)], axis=1).astype(np.float32)
    dynamic["flow"] = (info("flow", "target", "other", "mm", gauges=True), series)
    for name, held in more.items():
        dynamic[name] = (info(name, "target", "other", "-", gauges=held.ndim == 2), held.astype(np.float32))
    gauges = Gauges.on(GRID, IDS, np.array([4_003_500.0, 4_001_500.0]), np.array([2_996_500.0, 2_997_500.0]))
    write_dataset(
        path, name="Line", grid=GRID, times=TIMES, step_seconds=86400.0, mask=MASK, provenance={}, dynamic=dynamic,
        static={"dem": (info("dem", "static", "other", "-", True), v["dem"])}, gauges=gauges,
    )  # fmt: skip
    return path


class Line(ForecastModel):
    """y = weights over the window + a static map, cell by cell; for gauges the basin's mean. ``extra`` adds what the
    truth does not have: a weight of the noise in the last step.
    """

    uses_static = True
    uses_mask = True

    def __init__(self, extra: float = 0.0, gauges: int = 0, differentiable: bool = True) -> None:
        super().__init__(3, 1, 1, 1, gauges)
        weights = WEIGHTS.copy()
        weights[-1, 2] = extra
        self.weights = torch.nn.Parameter(torch.tensor(weights, dtype=torch.float32))
        self.differentiable, self.calls = differentiable, 0

    def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0, mask=None):
        self.calls += len(x)
        x = x if self.differentiable else x.detach()
        y = torch.einsum("btchw,tc->bhw", x, self.weights.to(x.dtype)) + FIXED * static[:, 0]
        if self.gauges:
            inside = mask[0, 0].bool()
            both = torch.stack((y[:, inside].mean(dim=1), y[:, inside][:, :5].mean(dim=1)), dim=1)
            return {"y_hat": both[:, None, None]}
        return {"y_hat": y[:, None, None]}

    def halo_px(self, window: int) -> int:
        return 0


def line_card(v: dict[str, np.ndarray], **changes) -> ModelCard:
    def variable(name, quantity, units):
        held = v.get(name, np.array([-20.0, 40.0]))
        scaler = Scaler.fit("none", held).to_dict()
        return VariableCard(name, quantity, units, name.capitalize(), scaler, float(held.min()), float(held.max()))

    fields = {
        "title": "Line", "family": "cnn", "options": {},
        "inputs": (variable("rain", "precipitation", "mm/d"), variable("temp", "temperature", "degC"),
                   variable("noise", "other", "-")),
        "static": (variable("dem", "other", "-"),), "target": variable("wet", "other", "mm"), "season": False,
        "window": WINDOW, "lead": 0, "leads": 1, "step_seconds": 86400.0, "cell_size": (1000.0, 1000.0),
    }  # fmt: skip
    return ModelCard(**{**fields, **changes})


def gauge_card(v: dict[str, np.ndarray]) -> ModelCard:
    card = line_card(v)
    return card.replace(target=card.target.replace(name="flow", label="Flow"), gauges=IDS)


def hand_over(monkeypatch, module: torch.nn.Module, card: ModelCard) -> None:
    """Let every model file be ``module`` with ``card``."""
    from freshet.core.contracts import model_card
    from freshet.core.inference import predictor

    monkeypatch.setattr(predictor, "load_model", lambda path, device: (module.eval(), card))
    monkeypatch.setattr(model_card, "read_card", lambda path: card)


def ask(question, job, folder: Path):
    """Run a question; gives the run, its events and its artifacts by path."""
    from freshet.core.contracts.events import Artifact

    run = RunFolder.create(folder, "question", job)
    events = list(question(job, run))
    made = {e.values["path"]: Artifact.from_dict(e.values) for e in events if e.kind is EventKind.ARTIFACT}
    assert all((run.path / path).exists() for path in made)
    fractions = [e.values["fraction"] for e in events if e.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions)
    return run, events, made


def texts(events, level: str = "info") -> list[str]:
    return [e.values["text"] for e in events if e.kind is EventKind.MESSAGE and e.values["level"] == level]


def finish(generator):
    """(events, what a generator returns)."""
    events = []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return events, end.value
