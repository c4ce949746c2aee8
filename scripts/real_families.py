"""Which families take part in the table on real data, how large they are, and which tasks they fit.

Sizes are alike where the families allow it: about 12 channels, one layer, two where a family is made of two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from real_tasks import Task

from freshet.core.contracts.models import FAMILIES, resolve
from freshet.core.contracts.models import family as model_family

OPTIONS: dict[str, dict[str, Any]] = {
    "convlstm": {"hidden": [12]},
    "convgru": {"hidden": [12]},
    "convlstm-ed": {"hidden": [12]},
    "convlstm-unet": {"hidden": [8, 12, 16]},
    "predrnn": {"channels": 8, "layers": 2},
    "predrnn++": {"channels": 8, "layers": 2},
    "mim": {"channels": 8, "layers": 2},
    "cubic": {"channels": 12, "layers": 1},
    "a-convlstm": {"hidden": [12]},
    "cbam-convlstm": {"hidden": [12]},
    "sa-convlstm": {"hidden": [12]},
    "msa-convlstm": {"hidden": [12], "heads": 2},
    "deform-convlstm": {"hidden": [12]},
    "deform-convlstm-sac": {"hidden": [12]},
    "gccl": {"hidden": [12]},
    "partial-convlstm": {"hidden": [12]},
    "cnn-biconvlstm": {"cnn": [12], "hidden": [8]},
    "lstm": {"hidden_size": 32},
    "cnn": {"hidden": [24, 24], "frames": 4},
    "mc-convlstm": {"storages": 8, "hidden": 32},
    "mc-lstm": {"storages": 16},
    "exp-hydro": {},
    "convlstm-gauge": {"hidden": [12]},
    "convlstm-gauge-fc": {"hidden": [12]},
    "cnn-lstm": {"channels": [8, 16], "hidden_size": 32, "layers": 1},
    "ridge": {},
    "random-forest": {},
    "advection": {},
}
ONE_CELL = ("lstm", "mc-lstm", "exp-hydro", "ridge", "random-forest")  # what makes sense where the basin is one cell
RUNOFF_ONLY = ("mc-lstm", "exp-hydro")
FROM_WINDOW_END = ("a-convlstm",)  # attends to the whole window, so a longer one is another model
AT_ONCE_STRIDE = 2  # families that are fitted in one pass see every second window of the training period
WITHOUT_SEEDS = ("ridge", "advection")  # the same for every seed


def runs_through(name: str) -> bool:
    """Whether consecutive dates can be predicted in one pass that carries the memory on."""
    return several_steps(name) and name not in FROM_WINDOW_END


def several_steps(name: str) -> bool:
    """Whether several steps of one window can be supervised."""
    return model_family(resolve(name, {})[0]).several_steps


def fitting(task: Task) -> list[str]:
    """Families and presets of :data:`OPTIONS` that are in the catalogue and fit the task, in the order of the table."""
    known = {item.name for item in FAMILIES} | {preset.name for item in FAMILIES for preset in item.presets}
    return [name for name in OPTIONS if name in known and fits(name, task)]


def fits(name: str, task: Task) -> bool:
    """Whether a family can do the task; what ``task.without`` names is left out for the reason that stands there."""
    if name in task.without or (task.families and name not in task.families):
        return False
    found = model_family(resolve(name, {})[0])
    if ("gauges" if task.gauges else "maps") not in found.gives:
        return False
    if task.one_cell and name not in ONE_CELL:
        return False
    if name == "advection":
        return task.threshold is not None
    kinds = {source["variable"]: source["quantity"] for source in task.prepare["sources"]}
    if name in RUNOFF_ONLY:
        return kinds[task.train["target"]] == "runoff" and not task.train.get("lead", 0)
    if found.mass_input:
        return any(kinds[source] == "precipitation" for source in task.train["inputs"])
    return True


def job_of(task: Task, name: str, out: Path, seed: int, budget_seconds: float) -> dict[str, Any]:
    """The training job of one family: that of the task, and what the family's way of learning needs."""
    job = task.train_job(out, name, OPTIONS[name], seed, budget_seconds)
    job["run_through"] = task.run_through and runs_through(name)
    if not several_steps(name):
        job["training"]["supervised_steps"] = 1
    if model_family(resolve(name, {})[0]).learns != "gradient":
        job["training"]["window_stride"] = AT_ONCE_STRIDE
    return job
