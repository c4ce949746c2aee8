"""Tables and sentences of docs/real-data.md, all from the results."""

from __future__ import annotations

from typing import Any

from real_families import fitting
from real_table_page import (
    AT_ONCE,
    FEW_EPOCHS,
    NO_NEIGHBOURS,
    OVERTIME,
    PICTURE,
    SEEDS,
    Row,
    best_family,
    best_simple,
    rows_of,
    skill,
)
from real_tasks import TASKS, Task

_NAMES = {"climatology": "climatology", "persistence": "persistence"}


def before(summary: dict[str, Any], budget: float) -> str:
    """What was done, on what, and how to read it."""
    machines = summary["machines"]
    processors = sorted({machine["processor"] for machine in machines})
    torch = sorted({machine["torch"] for machine in machines})
    dates = sorted({machine["date"] for machine in machines})
    return f"""# Every family on real data

Made by `make real DATA=folder` (`scripts/real_table.py`), which anyone who has the packs can run again;
`scripts/real_map_tasks.py` and `scripts/real_gauge_tasks.py` hold the tasks, `scripts/real_families.py` the sizes of
the families. Every family trains on a task with the same settings and the same **{budget:g} seconds of processor time**
on one thread ({_listed(processors)}, PyTorch {_listed(torch)}, {_listed(dates)}), then is judged on dates, or floods,
that took no part in its training. That is little time on purpose: the table shows what a family learns in it, so large
and slow families stand low for that reason alone; `epochs` says how far each came.

- **NSE** is the mean over the seeds, with the lowest and highest in brackets. It is pooled over cells and dates, so it
  holds the variance between cells; **median** is that of the NSE of each cell.
- **Skill** is 1 - MSE / MSE of the best simple baseline of the task, on the same dates: above 0 is better, 1 perfect.
- Simple baselines are in italics: climatology, `ridge` (a linear regression on lagged values and running means of the
  same inputs), `advection` (rain moved on by its own motion), and persistence where the models know the past target
  too. In a simulation persistence knows the target of the step before and the models never do: it is shown, and does
  not count.
- `ridge`, `random-forest` and `advection` are fitted in one pass, without a budget; cost is processor seconds to train
  and to judge.
{_seeds(summary, budget)}
![Families on each task]({PICTURE.removeprefix("docs/")})
"""


def _seeds(summary: dict[str, Any], budget: float) -> str:
    """Which rows have fewer seeds than the others, as a line of the list; empty where all have three."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for entry in summary["results"]:
        if entry["budget_seconds"] == budget and entry["family"] not in AT_ONCE and "error" not in entry:
            seeds.setdefault((entry["task"], entry["family"]), set()).add(entry["seed"])
    whole = sum(len(found) >= SEEDS for found in seeds.values())
    if whole == len(seeds):
        return ""
    return (
        f"- Three seeds were wanted for all. Time allowed them for {whole} of {len(seeds)} pairs of task and family;\n"
        "  the others have fewer, as the column says, and their order among near neighbours means little.\n"
    )


def overview(summary: dict[str, Any], usual: float, longer: list[float]) -> str:
    """One line a task: the best simple baseline, the forest, the best trained family with the usual budget or more."""
    lines = [
        "| task | best simple baseline | random forest | best family trained by gradients | skill | goal |",
        "|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        found = [(budget, rows_of(summary, task, budget)) for budget in (usual, *longer)]
        found = [(budget, best_family(rows, trained=True), rows) for budget, rows in found]
        found = [item for item in found if item[1] is not None]
        if not found:
            continue
        baseline = best_simple(found[0][2])
        forest = next((row for row in found[0][2] if row.name == "random-forest"), None)
        budget, best, _ = max(found, key=lambda item: item[1].mean)
        with_more = f", {budget:g} s" if budget != usual else ""
        lines.append(
            f"| {task.title} | {baseline.name} {_number(baseline.mean)} | {_number(forest and forest.mean)} | "
            f"`{best.name}`{with_more} **{_number(best.mean)}** | {_signed(skill(best, baseline))} | "
            f"{_goal(task, best, baseline)} |"
        )
    return "## In short\nNSE, of log1p on the Rhine.\n\n" + "\n".join(lines) + "\n"


def _goal(task: Task, best: Row, baseline: Row) -> str:
    if task.goal is None:
        return ""
    if best.mean >= task.goal:
        return f"{task.goal:g} reached"
    return f"{task.goal:g} **not reached**" + (f", but by {baseline.name}" if baseline.mean >= task.goal else "")


def table(task: Task, rows: list[Row]) -> str:
    """All families and baselines of a task, best first."""
    more = [("NSE of log1p", "log1p")] if task.log1p else []
    csi = task.threshold is not None
    baseline = best_simple(rows)
    head = ["family", *(name for name, _ in more), "NSE", "median", "RMSE", "KGE"]
    head += [f"CSI >= {task.threshold:g}"] if csi else []
    head += ["skill", "seeds", "weights", "epochs", "cost (s)"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [_shown(row)]
        cells += [_spread([model["log1p"]["nse"] for model in row.models])] if task.log1p else []
        cells += [_spread([model["nse"] for model in row.models]), _number(row.of("nse_median"))]
        cells += [_number(row.of("rmse"), 4), _number(row.of("kge"))]
        cells += [_number(row.of("csi"))] if csi else []
        cells += [_signed(skill(row, baseline)) if row is not baseline else "0", *_costs(row)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _costs(row: Row) -> list[str]:
    if row.name in _NAMES:
        return ["", "", "", ""]
    weights, epochs = row.of("parameters", "entry"), row.of("epochs", "entry")
    trained, judged = row.of("training_seconds", "entry"), row.of("judging_seconds", "entry")
    once = row.name in AT_ONCE
    return [
        str(len(row.good)),
        "" if once else f"{weights:,.0f}",
        "" if once else f"{epochs:.0f}",
        f"{trained:.0f} / {judged:.0f}",
    ]


def _shown(row: Row) -> str:
    name = row.name if row.name in _NAMES else f"`{row.name}`"
    if row.name == "persistence" and not row.simple:
        return f"*{name}* (knows the target of the step before)"
    return f"*{name}*" if row.simple else name


def sentences(summary: dict[str, Any], task: Task, rows: list[Row], failures: dict[str, str]) -> str:
    """What came out, in a few sentences that follow from the numbers."""
    baseline, best = best_simple(rows), best_family(rows)
    trained = best_family(rows, trained=True)
    what = "NSE of log1p" if task.log1p else "NSE"
    families = [row for row in rows if not row.simple and row.name not in _NAMES]
    better = [row for row in families if row.mean > baseline.mean]
    said = [
        f"The best family is `{best.name}` with {what} {_spread(best.scores)}; the best simple baseline is "
        f"{baseline.name} with {_number(baseline.mean)}."
    ]
    if not better:
        said.append("**No family beats it in this time: the simple model wins.**")
    else:
        said.append(f"{len(better)} of {len(families)} families beat it in the mean of their seeds.")
    if best is not trained:
        said.append(f"The best of those trained by gradients is `{trained.name}` with {_spread(trained.scores)}.")
    said += _neighbours(task, families) + _own_unit(task, rows)
    slow = [row.name for row in families if row.name not in AT_ONCE and (row.of("epochs", "entry") or 0) < FEW_EPOCHS]
    if slow:
        said.append(f"Fewer than {FEW_EPOCHS} epochs fitted into the time for {_listed(f'`{name}`' for name in slow)}.")
    if task.goal is not None:
        said.append(
            f"The goal was {task.goal:g}: {'reached' if best.mean >= task.goal else 'not reached in this time'}."
        )
    for name, text in failures.items():
        said.append(f"`{name}` failed: {text.splitlines()[0]}")
    missing = [name for name in fitting(task) if name not in failures and name not in {row.name for row in rows}]
    if missing:
        said.append(f"Not run, for want of time: {_listed(f'`{name}`' for name in missing)}.")
    for name, why in task.without.items():
        said.append(f"`{name}` was left out: {why}.")
    said.append(_judged_on(summary, task))
    return " ".join(said) + "\n"


def _neighbours(task: Task, families: list[Row]) -> list[str]:
    cells = [row for row in families if row.name in NO_NEIGHBOURS and row.name not in AT_ONCE]
    maps = [row for row in families if row.name not in NO_NEIGHBOURS]
    if not (cells and maps):
        return []
    one, many = max(cells, key=lambda row: row.mean), max(maps, key=lambda row: row.mean)
    lumped, spread = ("knows only the mean of the basin", "reads maps") if task.gauges else (
        "knows nothing of neighbouring cells", "does")  # fmt: skip
    return [
        f"The best that {lumped} is `{one.name}` with {_number(one.mean)}, the best that {spread} `{many.name}` with "
        f"{_number(many.mean)}."
    ]


def _own_unit(task: Task, rows: list[Row]) -> list[str]:
    """Who is best in the target's own unit, where the table is sorted by log1p."""
    if not task.log1p:
        return []
    found = {row: row.of("nse") for row in rows if row.simple or row.name not in _NAMES}
    best = max(found, key=found.get)
    trained = max((row for row in found if row.name not in (*AT_ONCE, *_NAMES)), key=found.get)
    return [
        f"In the target's own unit {best.name} is best with NSE {_number(found[best])}; of those trained by gradients, "
        f"all on log1p, `{trained.name}` comes nearest with {_number(found[trained])}."
    ]


def _judged_on(summary: dict[str, Any], task: Task) -> str:
    known = summary["baselines"][task.name]
    every = f", every {task.judge_every}. one" if task.judge_every > 1 else ""
    start, end = (text.replace("T00:00:00", "").replace("T", " ") for text in known["period"])
    text = f"Judged on {known['dates']} dates{every}, {start} to {end}"
    return text + (f". Published with the pack: {task.published}." if task.published else ".")


def more_time(summary: dict[str, Any], longer: list[float]) -> str:
    """The second table: the best families with more time."""
    lines = [
        "## Given more time",
        "Some of the best again, with more seconds of processor time a training, alike in all else"
        + _with_time()
        + ".",
        "",
        "| task | family | seconds | NSE (of log1p on the Rhine) | median | RMSE | skill | seeds | epochs | goal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        for budget in longer:
            rows = rows_of(summary, task, budget)
            for row in rows:
                if row.name in AT_ONCE or row.name in _NAMES:
                    continue
                epochs = row.of("epochs", "entry")
                median = row.of("nse_median")
                lines.append(
                    f"| {task.title} | `{row.name}` | {budget:g} | {_spread(row.scores)} | {_number(median)} | "
                    f"{_number(row.of('rmse'), 4)} | {_signed(skill(row, best_simple(rows)))} | {len(row.good)} | "
                    f"{epochs:.0f} | {_goal(task, row, best_simple(rows))} |"
                )
    return "\n".join(lines) + "\n"


def _with_time() -> str:
    """What changes with the longer budget, as the end of a sentence."""
    said = []
    for task in (task for task in TASKS if task.with_time):
        new = {**task.with_time, **task.with_time.get("training", {})}
        old = {**task.train, **task.train["training"]}
        words = [
            f"{key} {new[key]} in place of {old[key]}" for key in new if key != "training" and new[key] != old[key]
        ]
        said.append(f"{_listed(words)} on `{task.name}`")
    return f" but for {_listed(said)}" if said else ""


def after(summary: dict[str, Any], budget: float) -> str:
    """How the settings were chosen, and what the table does not show."""
    return f"""## How the settings were chosen
Window, warm-up, supervised steps, stride, batch and learning rate were chosen once a task, in trials of about
{budget:g} seconds, and then kept for all families: two to six a task with a plain `convlstm`, with `convlstm-unet` and
`predrnn` too for rain and floods; about ten on the Moselle's soil moisture; about twenty with `lstm` and `cnn-lstm` on
the Lievre, the hardest. The scores of the test dates were printed in these trials, so what is shown is somewhat
flattered; they took no part in any fit, scaler or choice of an epoch.

Exceptions from one setting for all: families that predict from the end of a window only are supervised on one step.
{_own_rates()} On the Lievre `ridge` reads log1p of the runoff and no mean of the whole window, as its validation
period prefers (with the others' input it falls below -2), and `lstm` and `cnn-lstm` have a dropout of 0.4.

- **Level.** Soil moisture, groundwater heads and the water entering the Rhine's rivers are learned with a static map of
  the target's mean (of log1p on the Rhine) over the training dates. Without it a model cannot know that one cell is
  always wetter than its neighbour, which climatology knows. `ridge` and `random-forest` read the same map.
- **Grids.** Radar on cells of 4 km (the pack has 1 km), discharge of the Moselle on the 24 km of its weather data; all
  others as in the pack. Baselines are judged on the same grid and dates as the families, so they differ a little from
  those published with a pack.
- **Passes.** Simulations on maps are judged in passes that carry the memory on (`run_through`), except by families that
  read one window as a whole; forecasts and discharge window by window.
- **Sizes.** About 12 channels, one layer, two where a family is made of two. Other sizes would give another order.
- Of the epochs of a training the one with the best validation loss is kept, by about a dozen windows of a period of its
  own; a family whose epoch is longer than the budget is stopped at {OVERTIME:g} times the budget and judged as it is.
"""


def _own_rates() -> str:
    own = {name: rate for task in TASKS for name, rate in task.learning_rate.items()}
    said = _listed(f"{rate:g} for `{name}`" for name, rate in own.items())
    return f"The learning rate on discharge is {said}, whose few weights need larger steps."


def _spread(values: list[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return _number(mean)
    return f"{_number(mean)} ({_number(min(values))} to {_number(max(values))})"


def _number(value: Any, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return f"{value:+.2f}"


def _listed(names: Any) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


__all__ = ["after", "before", "more_time", "overview", "sentences", "table"]
