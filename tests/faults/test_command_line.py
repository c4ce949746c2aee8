"""Bad input at the command: exit status 2, one sentence on standard error, nothing half-written under a final name."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location("bad_input", Path(__file__).resolve().parent / "bad_input.py")
bad_input = importlib.util.module_from_spec(_spec)
sys.modules["bad_input"] = bad_input
_spec.loader.exec_module(bad_input)
odd_input = bad_input.odd_input

_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def _freshet(verb: str, job: Path, run: Path) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / "freshet"), verb, str(job), "--run", str(run)]
    return subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, timeout=300, cwd=job.parent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("faults")
    bad_input.make_files(made)
    return made


@pytest.fixture(scope="module")
def ended(folder) -> dict:
    """How the command ended for each fault; two run side by side, since most of the time goes into starting."""

    def run(number: int) -> subprocess.CompletedProcess:
        fault = bad_input.FAULTS[number]
        job = folder / f"job_{number}.json"
        job.write_text(json.dumps(bad_input.job_of(fault, folder)))
        return _freshet(fault.verb, job, folder / f"run_{number}")

    with ThreadPoolExecutor(2) as pool:
        return dict(zip((fault.name for fault in bad_input.FAULTS), pool.map(run, range(len(bad_input.FAULTS)))))


@pytest.mark.parametrize("fault", bad_input.FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_command_ends_with_status_2_and_one_sentence(fault, ended):
    process = ended[fault.name]
    assert process.returncode == 2, process.stderr
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("freshet: "), process.stderr
    assert [word for word in fault.words if word not in lines[0]] == []
    assert "Traceback" not in process.stderr + process.stdout


def test_nothing_is_left_under_a_final_name_nor_half_written(ended, folder):
    assert bad_input.half_written(folder) == []


@pytest.mark.parametrize(
    "fault", [fault for fault in bad_input.FAULTS if fault.verb == "prepare"], ids=lambda f: f.name.replace(" ", "-")
)
def test_finished_blocks_are_kept_exactly_where_the_sentence_says_so(fault, ended, folder):
    parts = folder / bad_input.OUTPUT / (fault.output + ".parts")
    assert parts.exists() == (f"What is finished is kept in {parts}; a new run" in ended[fault.name].stderr)
    assert parts.exists() == any(parts.rglob("done/*.json"))


@pytest.mark.parametrize("text", [None, "{", '{"windw": 3}'], ids=["no file", "no JSON", "an unknown key"])
def test_a_job_file_that_is_no_job_is_refused_before_a_run_folder_is_made(tmp_path, text):
    job = tmp_path / "job.json"
    if text is not None:
        job.write_text(text)
    process = _freshet("train", job, tmp_path / "run")
    assert process.returncode == 2 and len(process.stderr.strip().splitlines()) == 1
    assert ("'windw'" if text and "windw" in text else "job.json") in process.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def odd(folder) -> subprocess.CompletedProcess:
    """How the command ended for all odd sources together."""
    job = folder / "odd.json"
    job.write_text(json.dumps(odd_input.odd_job(folder, folder / "odd.nc")))
    return _freshet("prepare", job, folder / "run_odd")


def test_odd_sources_are_read_and_each_guess_is_told(odd):
    assert odd.returncode == 0, odd.stderr
    told = [line for line in odd.stdout.splitlines() if line.startswith(("info: ", "warning: "))]
    for one in odd_input.ODD:
        lines = [line for line in told if f": '{one.name}': " in line]
        assert [words for words in one.told if not any(words in line for line in lines)] == [], lines
        assert one.told or not lines, "nothing is told where nothing was guessed"


def test_odd_sources_have_the_values_of_the_good_one(odd, folder):
    from freshet.core.data.store import Dataset

    with Dataset.open(folder / "odd.nc") as dataset:
        values = {name: dataset.dynamic(name) for name in ("good", *(one.name for one in odd_input.ODD))}
        assert str(dataset.times[0])[:10] == "2001-02-27" and len(dataset.times) == 8
    assert np.isfinite(values["good"]).all() and odd_input.differing(values) == []
    values["south_up"] = values["south_up"][:, ::-1]
    assert odd_input.differing(values) == ["south_up"], "the comparison sees what it has to see"


def test_the_good_files_are_no_faults(folder, tmp_path):
    """The faults are refused for what is wrong with them: jobs over the good files end well."""
    sources = bad_input.job_of(bad_input.FAULTS[0], folder)["sources"]
    sources[1]["path"] = sources[0]["path"]
    job = tmp_path / "job.json"
    output = tmp_path / "prepared.nc"
    job.write_text(json.dumps({"name": "Good", "sources": sources, "grid": {"like": "good"}, "output": str(output)}))
    process = _freshet("prepare", job, tmp_path / "prepared")
    assert process.returncode == 0 and output.is_file(), process.stderr
    job.write_text(json.dumps({"model": str(folder / "model.safetensors"), "dataset": str(folder / "good.nc")}))
    process = _freshet("predict", job, tmp_path / "predicted")
    assert process.returncode == 0 and (tmp_path / "predicted" / "results" / "delta.tif").is_file(), process.stderr
