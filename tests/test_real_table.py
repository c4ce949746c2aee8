"""The table on real data: its tasks are valid jobs, results are kept, the page follows from the results."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from freshet.core.contracts import PrepareJob, TrainJob
from freshet.core.contracts.models import FAMILIES

ROOT = Path(__file__).resolve().parents[1]
PACKS = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield
    for name in [name for name in sys.modules if name.startswith("real_")]:
        del sys.modules[name]


def entry(task, family, nse, seed=1, budget=15.0, **model):
    scores = {"nse": nse, "nse_median": nse - 0.1, "rmse": 1.0 - nse, "kge": nse, "bias": 0.0, **model}
    return {
        "task": task, "family": family, "seed": seed, "budget_seconds": budget, "parameters": 1234, "model": scores,
        "training_seconds": budget, "judging_seconds": 1.0, "epochs": 9, "best_epoch": 8, "peak_memory_mb": 500,
    }  # fmt: skip


def baseline(nse, **more):
    return {"nse": nse, "nse_median": nse, "rmse": 1.0 - nse, "kge": nse, "bias": 0.0, "pairs": 10, **more}


def summary_of(*entries, tasks=("moselle-sm",), climatology=0.6, persistence=0.99):
    about = {"dates": 10, "period": ["1993-03-15T00:00:00", "1993-12-31T00:00:00"], "climatology_note": ""}
    both = {"climatology": baseline(climatology), "persistence": baseline(persistence)}
    machine = {"processor": "a processor", "torch": "2", "date": "2026-11-21"}
    return {"machines": [machine], "baselines": {name: {**both, **about} for name in tasks}, "results": list(entries)}


def test_every_task_is_a_valid_job_for_every_family_that_fits(tmp_path):
    from real_families import fitting, job_of
    from real_tasks import TASKS

    assert len({task.name for task in TASKS}) == len(TASKS) >= 10
    for task in TASKS:
        prepare = PrepareJob.from_dict(task.prepare_job(Path("/packs"), tmp_path))
        made = {source.variable for source in prepare.sources}
        names = fitting(task)
        assert "ridge" in names and len(names) >= 4, task.name
        for name in names:
            job = TrainJob.from_dict(job_of(task, name, tmp_path, 2, 30.0))
            assert {*job.inputs, *job.static, job.target} <= made
            assert job.training.seed == 2 and job.training.time_limit_minutes == 0.5
            assert (task.train["target"] in job.inputs) == task.persistence_counts


def test_all_families_of_one_task_share_its_training():
    from real_families import fitting, job_of
    from real_tasks import TASKS

    own = ("model", "title", "run_through", "training")
    for task in TASKS:
        jobs = [job_of(task, name, Path("/out"), 1, 20.0) for name in fitting(task) if name not in task.scalers]
        shared = [{key: value for key, value in job.items() if key not in own} for job in jobs]
        assert all(item == shared[0] for item in shared)
        budgets = {job["training"]["time_limit_minutes"] for job in jobs}
        assert len(budgets) == 1


def test_families_stand_where_they_fit():
    from real_families import OPTIONS, fitting
    from real_tasks import TASKS

    by_name = {task.name: fitting(task) for task in TASKS}
    assert "advection" in by_name["radar"] and "advection" not in by_name["smap"]
    assert "convlstm" in by_name["rhine"] and "convlstm" not in by_name["lievre"] + by_name["salmon"]
    assert {"exp-hydro", "mc-lstm"} <= set(by_name["salmon"]) and "exp-hydro" not in by_name["moselle-sm"]
    assert "mc-convlstm" in by_name["moselle-sm"] and "mc-convlstm" not in by_name["flood"]
    known = {item.name for item in FAMILIES} | {preset.name for item in FAMILIES for preset in item.presets}
    assert set(OPTIONS) <= known


def test_work_goes_seed_by_seed_and_shards_share_it_without_overlap():
    import real_table

    asked = real_table._parser().parse_args(["d", "o", "--tasks", "salmon,lievre", "--seeds", "1,2"])
    work = [(task.name, name, seed) for task, name, seed in real_table._work(asked)]
    assert [seed for *_, seed in work] == sorted(seed for *_, seed in work)
    assert ("salmon", "ridge", 1) in work and ("salmon", "ridge", 2) not in work
    assert len(set(work)) == len(work)


def test_a_result_is_kept_until_its_job_or_budget_changes(tmp_path, monkeypatch):
    import real_run
    import real_table
    from real_tasks import TASKS

    runs = []

    def pretend(task, job, budget):
        runs.append((task.name, job.model.family, budget))
        return entry(task.name, job.model.family, 0.5)

    monkeypatch.setattr(real_run, "prepared", lambda task, data, out: None)
    monkeypatch.setattr(real_run, "trained_and_judged", pretend)
    task = next(task for task in TASKS if task.name == "smap")
    states = [real_table.run_one(task, "convlstm", 1, 15.0, tmp_path, tmp_path) for _ in range(2)]
    assert states == ["done", "kept"] and len(runs) == 1
    assert real_table.run_one(task, "convlstm", 2, 15.0, tmp_path, tmp_path) == "done"
    assert real_table.run_one(task, "convlstm", 1, 20.0, tmp_path, tmp_path) == "done"
    task.train["training"]["learning_rate"] = 0.0123
    assert real_table.run_one(task, "convlstm", 1, 15.0, tmp_path, tmp_path) == "done"
    kept = json.loads(real_table.result_file(tmp_path, "smap", "convlstm", 1, 15.0).read_text(encoding="utf-8"))
    assert kept["job"]["training"]["learning_rate"] == 0.0123 and str(tmp_path) not in json.dumps(kept["job"])


def test_what_is_refused_is_told_and_stays_in_the_results(tmp_path, monkeypatch):
    import real_run
    import real_table
    from real_tasks import TASKS

    from freshet.core.contracts.errors import DataError

    def refuse(task, data, out):
        raise DataError("No such pack", remedy="Get it")

    monkeypatch.setattr(real_run, "prepared", refuse)
    assert real_table.run_one(TASKS[0], "lstm", 1, 15.0, tmp_path, tmp_path) == "failed"
    from real_table_page import failures_of, gathered

    assert "No such pack" in failures_of(gathered(tmp_path), TASKS[0])["lstm"]


def test_the_page_says_who_wins_also_where_it_is_the_simple_model(tmp_path):
    import real_table_page

    entries = [
        entry("moselle-sm", "convlstm", 0.90, 1), entry("moselle-sm", "convlstm", 0.94, 2),
        entry("moselle-sm", "lstm", 0.80), entry("moselle-sm", "ridge", 0.85),
        entry("moselle-sm", "convlstm", 0.97, 1, 240.0),
        entry("radar", "convlstm", 0.2, csi=0.3), entry("radar", "advection", 0.4, csi=0.5),
    ]  # fmt: skip
    summary = summary_of(*entries, tasks=("moselle-sm", "radar"), climatology=0.1, persistence=0.35)
    for name in ("climatology", "persistence"):
        summary["baselines"]["radar"][name]["csi"] = 0.1
    text = real_table_page.page(summary)
    assert "The best family is `convlstm` with NSE 0.920 (0.900 to 0.940); the best simple baseline is ridge" in text
    assert "**No family beats it in this time: the simple model wins.**" in text
    assert "| `convlstm` | 240 | 0.970 |" in text
    line = next(line for line in text.splitlines() if line.startswith("| `convlstm` | 0.920"))
    assert f"| {1 - 0.08 / 0.15:+.2f} | 2 | 1,234 |" in line
    assert "Not run, for want of time: `convgru`" in text
    in_short = next(line for line in text.splitlines() if line.startswith("| Soil moisture of the Moselle, simulated"))
    assert "240 s **0.970**" in in_short and "0.965 reached" in in_short


def test_persistence_counts_only_where_the_models_know_the_past_target():
    from real_table_page import best_simple, rows_of
    from real_tasks import TASKS

    summary = summary_of(
        entry("moselle-sm", "convlstm", 0.9), entry("moselle-sm-7", "convlstm", 0.9),
        tasks=("moselle-sm", "moselle-sm-7"),
    )  # fmt: skip
    found = {task.name: best_simple(rows_of(summary, task, 15.0)).name for task in TASKS[:2]}
    assert found == {"moselle-sm": "climatology", "moselle-sm-7": "persistence"}


def test_the_picture_is_drawn(tmp_path):
    from real_table_picture import draw

    entries = [entry("moselle-sm", "convlstm", 0.9), entry("moselle-sm", "mim", -3.0), entry("smap", "lstm", 0.8)]
    draw(summary_of(*entries, tasks=("moselle-sm", "smap")), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_in_the_repository_is_the_one_that_its_summary_gives():
    from real_table_page import PAGE, SUMMARY, page

    summary = json.loads((ROOT / SUMMARY).read_text(encoding="utf-8"))
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(summary), "run scripts/real_table.py --page again"


@pytest.mark.skipif(not PACKS.is_dir(), reason="the data packs are not beside the checkout (shared/data)")
def test_one_training_on_a_real_pack(tmp_path):
    import real_table
    from real_tasks import TASKS

    task = next(task for task in TASKS if task.name == "salmon")
    assert real_table.run_one(task, "lstm", 1, 1.0, PACKS, tmp_path) == "done"
    result = json.loads(real_table.result_file(tmp_path, "salmon", "lstm", 1, 1.0).read_text(encoding="utf-8"))
    assert result["climatology"]["nse"] == pytest.approx(0.681, abs=0.002)
    assert result["dates"] == 4164 and result["model"]["pairs"] == result["climatology"]["pairs"]
    assert 1.0 <= result["training_seconds"] < 10.0
