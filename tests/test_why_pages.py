"""The pages on why models of real basins say what they say follow from docs/why.json."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from freshet.core.contracts import TrainJob

ROOT = Path(__file__).resolve().parents[1]
PACKS = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield
    for name in [name for name in sys.modules if name.startswith(("real_", "why_"))]:
        del sys.modules[name]


@pytest.fixture
def summary():
    return json.loads((ROOT / "docs/why.json").read_text(encoding="utf-8"))


def test_the_pages_in_the_repository_are_those_that_the_figures_give(summary):
    from why_words import pages

    made = pages(summary)
    assert set(made) == {"docs/why.md", "docs/why-moselle.md", "docs/why-lievre.md"}
    for name, text in made.items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run scripts/why_pages.py --page again"


def test_pages_link_to_files_that_are_there_and_small(summary):
    from why_pages import PICTURED
    from why_words import pages

    linked = set()
    for text in pages(summary).values():
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / "docs" / target).is_file(), target
            linked.add(Path(target).name)
        assert not re.search(r"\bnan\b|None|\{[a-z]", text)
    assert set(PICTURED) <= linked
    for name in PICTURED:
        assert (ROOT / "docs/pictures" / name).stat().st_size < 300_000, name
    assert "docs/why.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_changed_figure_changes_the_page(summary):
    from why_words import pages

    before = pages(summary)["docs/why-lievre.md"]
    summary["lievre"]["answers"]["high"]["prediction"] = 321.4
    after = pages(summary)["docs/why-lievre.md"]
    assert "321 of" in after and after != before


def test_contributions_of_every_answer_add_up_in_the_figures(summary):
    answers = [a for name in ("moselle", "lievre") for a in summary[name]["answers"].values() if a["verb"] == "explain"]
    assert len(answers) >= 8
    for answer in answers:
        parts = sum(answer["variables"].values())
        gap = answer["prediction"] - answer["baseline_prediction"] - parts
        sizes = sum(abs(value) for value in answer["variables"].values())
        assert abs(gap) <= 0.01 * max(sizes, abs(answer["prediction"] - answer["baseline_prediction"]))
        if answer["ensemble"]:
            members = [item["prediction"] for item in answer["ensemble"]["members"]]
            assert answer["prediction"] == pytest.approx(np.mean(members), rel=1e-4)
            assert answer["ensemble"]["spread_of_prediction"] == pytest.approx(np.std(members, ddof=1), rel=1e-2)


def test_the_proof_is_told_as_it_came_out():
    from why_words import proof

    good = {
        "chance": 0.2, "inside": 0.8, "ratio": 4.0, "ratio_randomised": 0.5, "delay": 0.7, "delay_randomised": 0.1,
        "nse": 0.97, "travel_days_spread": 0.5, "controls": [[0.4, 0.7], [2.1, -0.5]],
    }  # fmt: skip
    text = proof(
        {"1:11": {"Branch 1": good, "Branch 2": {**good, "ratio": 1.5}}, "2:1": {"Branch 1": {**good, "delay": 0.5}}}
    )
    assert "2 of 3 gauges" in text and "2 of 3 delay maps" in text and "hold for 1 of 3 gauges" in text
    assert "all of a basin do on basin 1" in text and "3 of 6 reach twice" in text.replace("\n", " ")
    wide = {**good, "chance": 0.6, "ratio": 1.6}
    assert "hold for 1 of 1 gauges" in proof({"1:1": {"Branch 1": wide}})
    assert proof({}) == ""


def test_members_are_jobs_that_differ_in_their_seed_alone(tmp_path):
    from real_families import job_of
    from why_models import MEMBERS, task_of

    for name, members in MEMBERS.items():
        jobs = [job_of(task_of(name), members.family, tmp_path, seed, members.budget_seconds) for seed in members.seeds]
        for job, seed in zip(jobs, members.seeds):
            assert TrainJob.from_dict(job).training.seed == seed
            job["training"]["seed"] = 0
        assert all(job == jobs[0] for job in jobs)


def test_lines_are_wrapped_but_tables_are_not():
    from why_words_tables import listed, wrapped

    long = " ".join(["word"] * 40)
    text = wrapped(f"# Title\n{long}\n\n- {long}\n- short\n\n| a | {long} |\n|---|---|\n![p](q.png)\n\n{long}")
    lines = text.splitlines()
    assert all(len(line) <= 120 for line in lines if not line.startswith("|"))
    assert lines[0] == "# Title" and "- short" in lines and f"| a | {long} |" in lines and "![p](q.png)" in lines
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c" and listed([]) == ""


@pytest.mark.skipif(not PACKS.is_dir(), reason="the data packs are not beside the checkout (shared/data)")
def test_states_for_probes_join_the_dataset_and_change_nothing_that_is_trained_on():
    from real_tasks import TASKS
    from why_models import STATES, task_of

    plain = next(task for task in TASKS if task.name == "moselle-sm")
    more = task_of("moselle")
    assert more.train == plain.train and more.dataset == plain.dataset
    added = {item["variable"] for item in more.prepare["sources"]} - {
        item["variable"] for item in plain.prepare["sources"]
    }
    assert added == {name for name, _ in STATES}
