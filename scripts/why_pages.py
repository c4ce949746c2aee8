"""Why do models of real basins say what they say: ``why_pages.py DATA_FOLDER OUT_FOLDER [--page] [--proof FILE]``.

Trains the models of ``why_models.py`` where OUT_FOLDER has none, asks them the questions of ``why_questions.py``, keeps
the figures in docs/why.json and pictures in docs/pictures, and writes docs/why.md, docs/why-moselle.md and
docs/why-lievre.md. ``--page`` writes the pages again from docs/why.json alone. ``--proof`` takes in the figures of
``explain_proof.py`` from its proof.json. The packs are not part of Freshet.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Optional

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch load: processor time is to be that of one thread

ROOT = Path(__file__).resolve().parent.parent
SUMMARY, PICTURES = "docs/why.json", "docs/pictures"
BASINS = ("moselle", "lievre", "moselle-gauge")
PICTURED = {  # picture: basin, question, file of the answer
    "why-moselle-dry.png": ("moselle", "basin-dry", "attribution.png"),
    "why-moselle-cell.png": ("moselle", "wet-cell", "attribution.png"),
    "why-moselle-drivers.png": ("moselle", "drivers", "drivers.png"),
    "why-moselle-shares.png": ("moselle", "shares", "shares.png"),
    "why-lievre-high.png": ("lievre", "high", "attribution.png"),
    "why-lievre-shares.png": ("lievre", "shares", "shares.png"),
}
KEPT = {
    "explain": ("variables", "labels", "baseline_prediction", "prediction", "residual_share", "units", "date", "place",
                "observed", "delay", "check", "passes", "cost", "ensemble"),
    "shares": ("by_season", "labels", "dates", "residual_share_median"),
    "importance": ("nse", "rmse", "units", "dates", "first", "last", "repeats", "level", "items"),
    "drivers": ("date", "cells", "labels", "cells_by_driver", "mean_absolute_contribution", "median_margin",
                "residual_share_median", "units"),
    "probe": ("variable", "label", "units", "kind", "fitted_on", "judged_on", "reference", "references", "layers",
              "best"),
}  # fmt: skip


def main(arguments: Optional[list[str]] = None) -> int:
    """Ask what is missing, write the figures and the pages."""
    parser = argparse.ArgumentParser(description="Why do models of real basins say what they say?")
    parser.add_argument("data", nargs="?", help="folder of the packs")
    parser.add_argument("out", nargs="?", help="folder for datasets, models and answers")
    parser.add_argument("--page", action="store_true", help="write the pages from docs/why.json alone")
    parser.add_argument("--proof", default="", help="proof.json of explain_proof.py")
    asked = parser.parse_args(arguments)
    file = ROOT / SUMMARY
    summary = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if not asked.page:
        if not (asked.data and asked.out):
            print("Name the folder of the packs and one for the results", file=sys.stderr)
            return 2
        found = gathered(Path(asked.data).resolve(), Path(asked.out).resolve())
        summary = {**found, "proof": summary.get("proof", {})}
    if asked.proof:
        summary["proof"] = json.loads(Path(asked.proof).read_text(encoding="utf-8"))
    file.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    from why_words import pages

    for name, text in pages(summary).items():
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


def gathered(data: Path, out: Path) -> dict[str, Any]:
    """The figures of all answers, asked now or found in ``out``; copies the pictures."""
    from why_models import MEMBERS, models
    from why_questions import answers, facts_of, own_shares, stripes, verbs, wettest

    summary: dict[str, Any] = {}
    for name in BASINS:
        dataset, files, scores = models(name, data, out)
        runs, facts = answers(name, dataset, files, out)
        told = {
            question: {"verb": verb, **short(verb, facts_of(verb, runs[question]))}
            for question, verb in verbs(name, dataset, files)
        }
        for question, verb in verbs(name, dataset, files):
            if verb == "explain" and told[question]["place"]["kind"] == "cell":
                told[question]["own_cell"] = own_shares(runs[question])
        if name == "moselle":
            told["basin-dry"]["wettest"] = wettest(runs["basin-dry"], dataset)
        if name == "lievre":
            told["high"]["stripes"] = stripes(runs["high"], dataset)
        cumulative = {}
        if "shares" in runs:
            cumulative = held_by(facts_of("shares", runs["shares"]))
        members = MEMBERS[name]
        summary[name] = {
            "task": members.task, "family": members.family, "budget_seconds": members.budget_seconds,
            "scores": scores, "data": facts, "answers": told, "held_by_step_back": cumulative,
        }  # fmt: skip
        for picture, (basin, question, source) in PICTURED.items():
            if basin == name:
                shutil.copyfile(runs[question].results / source, ROOT / PICTURES / picture)
    return json.loads(json.dumps(summary), parse_float=lambda text: float(f"{float(text):.6g}"))


def short(verb: str, facts: dict[str, Any]) -> dict[str, Any]:
    """What the pages need of an answer."""
    kept = {name: facts[name] for name in KEPT[verb] if name in facts}
    if kept.get("ensemble"):
        kept["ensemble"] = {
            name: [{**item, "file": Path(item["file"]).name} for item in value] if name == "members" else value
            for name, value in kept["ensemble"].items()
            if name != "spread_by_step_back"
        }
    return kept


def held_by(facts: dict[str, Any], steps: tuple[int, ...] = (0, 1, 3, 7, 14, 30, 60, 90)) -> dict[str, float]:
    """Share of all that steps contributed which lies within so many steps back, all variables together."""
    total = [sum(values) for values in zip(*facts["cumulative"].values())]
    back = facts["steps_back"]
    return {str(step): total[back.index(step)] / total[-1] for step in steps if step in back}


if __name__ == "__main__":
    sys.exit(main())
