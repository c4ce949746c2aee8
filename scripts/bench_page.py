"""Keep a run of the benchmarks and make its section of docs/benchmarks.md: ``bench_page.py [FILE...] [--page PAGE]``.

FILEs are what ``bench.py`` (or ``bench_gpu.py``) left in build/bench; parts of a later one take the place of those
of an earlier one and of what docs/benchmarks.json holds. Without FILEs the section is made anew from that file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench_rows

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "docs" / "benchmarks.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "pictures" / "cost.png"
BEGIN = "<!-- from docs/benchmarks.json by scripts/bench_page.py: begin -->"
END = "<!-- from docs/benchmarks.json by scripts/bench_page.py: end -->"
PARTS = ("models", "memory", "equality", "loading", "tiles", "ranks", "whole", "families", "gpu", "cost")
TIMES = (
    "training step, thesis model", "training step, 128x128", "prediction, thesis model", "prediction, 128x128",
)  # fmt: skip
GROUP_WORDS = {"seconds": "time", "mib": "memory"}


def main(arguments: list[str]) -> int:
    """Keep the files named, and write the section."""
    page = PAGE
    if "--page" in arguments:
        place = arguments.index("--page")
        page = Path(arguments[place + 1])
        arguments = arguments[:place] + arguments[place + 2 :]
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if arguments:
        for name in arguments:
            kept = merged(kept, json.loads(Path(name).read_text(encoding="utf-8")))
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        if "cost" in kept:
            from bench_cost_picture import draw

            draw(kept["cost"], PICTURE)
    page.write_text(with_section(page.read_text(encoding="utf-8"), section(kept)), encoding="utf-8")
    print(page)
    return 0


def merged(kept: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept with the parts of a new run in the place of older ones, each with its machine and day."""
    found = dict(kept)
    for name in PARTS:
        if name in new and "failed" not in new[name]:
            found[name] = {key: value for key, value in new[name].items() if key != "took_s"}
            found["machines"] = {**found.get("machines", {}), name: new["machine"]}
    return found


def with_section(page: str, made: str) -> str:
    """``page`` with ``made`` between its two marks. Raises ValueError where a mark is missing."""
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    return page[:begin] + "\n" + made + page[end:]


def section(kept: Mapping[str, Any]) -> str:
    """Everything that is measured by rounds, as Markdown."""
    lines = [_machines(kept.get("machines", {})), "", bench_rows.markdown_table(bench_rows.gathered(kept)), HOW, ""]
    if "models" in kept:
        lines += ["### Milliseconds", "", _times(kept["models"]), ""]
    if "memory" in kept:
        lines += [_memory(kept["memory"]), ""]
    if "families" in kept:
        lines += ["### Kernels in each family", "", _families(kept["families"]), ""]
    if "whole" in kept:
        lines += ["### The whole training", "", _whole(kept["whole"]), ""]
    if "cost" in kept:
        lines += ["### Cost as work grows", "", _cost(kept["cost"]), ""]
    return "\n".join(lines).rstrip() + "\n"


HOW = """\
Ratios by the medians of interleaved rounds, in brackets by the least of them; "reached" goes by the medians. All
competitors have the same threads, the same data and, where they can, the same weights, and a process of their own each;
of two steps in a row the second one is timed, since the first finds its memory cold. The public PyTorch cell is
written out plainly from its published design (`scripts/peers/public_cell.py`), Keras runs without XLA, "the ideal
convolutions" are the same convolutions of all steps at once, without recurrence, gates and optimizer
(`scripts/peers/ideal.py`). Memory is the peak of training steps beyond what was resident before. Where no figure is
asked, none was promised."""


def _machines(machines: Mapping[str, Mapping[str, Any]]) -> str:
    """One sentence a machine and day, with the parts measured there."""
    groups: dict[str, list[str]] = {}
    for name, machine in machines.items():
        words = (
            f"{machine['date']}, {machine['processor']}, {machine['cores']} cores ({machine['capability']}), Python "
            f"{machine['python']}, torch {machine['torch']}, numpy {machine['numpy']}"
            + (f", {machine['gpu']}" if machine.get("gpu") else "")
            + (f", {machine['peers']}" if machine.get("peers") else "")
            + (f"; load at the begin {machine['load']}" if "load" in machine else "")
            + (f"; {machine['note']}" if machine.get("note") else "")
        )
        groups.setdefault(words, []).append(name)
    return "\n".join(f"- {', '.join(names)}: {words}." for words, names in groups.items())


def _times(models: Mapping[str, Any]) -> str:
    lines = ["| | | median | least |", "|---|---|---|---|"]
    for title in TIMES:
        for name, values in models.get(title, {}).items():
            if isinstance(values, Mapping):
                lines.append(f"| {title} | {name} | {1000 * values['median']:.0f} | {1000 * values['min']:.0f} |")
    cases = [models[title]["case"] for title in TIMES if title in models]
    return (
        "\n".join(lines)
        + f"\n\n{'; '.join(dict.fromkeys(cases))}; {models['rounds']} rounds, {models['threads']} threads."
    )


def _memory(memory: Mapping[str, Any]) -> str:
    lines = ["| training step | MiB |", "|---|---|"]
    lines += [
        f"| {name} | {values['mib']:.0f} |"
        for name, values in memory.items()
        if isinstance(values, dict) and "mib" in values
    ]
    return (
        "\n".join(lines)
        + f"\n\n{memory['case']}; median of {memory['rounds']} processes each. `recompute`: gates computed anew."
    )


def _families(families: Mapping[str, Any]) -> str:
    """Ratios of each family, a column a precision."""
    kinds = list(next(iter(families["by family"].values())))
    words = "speed of a training step beside the same in torch's own functions"
    lines = [f"{families['case']}: {words}, {families['rounds']} rounds.", ""]
    lines += [f"| | {' | '.join(kinds)} |", "|---" * (1 + len(kinds)) + "|"]
    for name, found in families["by family"].items():
        ratios = [found[kind]["ratio"] for kind in kinds]
        cells = [f"{one['median']:.2f} ({one['min']:.2f})" for one in ratios]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _whole(whole: Mapping[str, Any]) -> str:
    lines = [
        "| seed | Freshet | Keras | MiB | MiB of Keras | error | error of Keras |",
        "|---|---|---|---|---|---|---|",
    ]
    runs = whole["keras"] + [None] * (len(whole["freshet"]) - len(whole["keras"]))
    for seed, mine, theirs in zip(whole["seeds"], whole["freshet"], runs):
        ours, other = _run_words(mine), _run_words(theirs) if theirs else ["-"] * 3
        lines.append(f"| {seed} | " + " | ".join(word for pair in zip(ours, other) for word in pair) + " |")
    said = " ".join(whole["freshet"][0]["said"])
    return "\n".join(lines) + f"\n\nWhat Freshet chose: {said}"


def _cost(cost: Mapping[str, Any]) -> str:
    lines = ["![Time and memory as work grows](pictures/cost.png)", ""]
    lines += ["| over | | sizes | measured | exponent | by the equations |", "|---|---|---|---|---|---|"]
    for found in cost.values():
        for what, unit in (("seconds", "s"), ("mib", "MiB")):
            values = ", ".join(f"{value:g}" for value in found[what])
            sizes = ", ".join(f"{size:g}" for size in found["sizes"])
            power, wanted = found["exponents"][what], found["expected"][what]
            lines.append(
                f"| {found['label']} | {GROUP_WORDS[what]}, {unit} | {sizes} | {values} | {power:.2f} | {wanted} |"
            )
    cases = "; ".join(dict.fromkeys(found["case"] for found in cost.values()))
    return "\n".join(lines) + f"\n\n{cases}. {GROWTH}"


def _run_words(run: Mapping[str, Any]) -> list[str]:
    return [f"{run['seconds']:.1f} s", f"{run['mib']:.0f}", f"{run['mse']:.4f}"]


GROWTH = """\
Exponents are fitted to all points; 1 is linear. What is there once, whatever the size (weights, buffers of the
libraries, the start of each operation), makes the curves of small sizes flatter. By the equations the arithmetic grows
with the square of the channels, all else evenly."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
