"""The command: verbs, help, schema, relative paths, exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import JOBS  # noqa: E402
from freshet.core.worker.cli import absolute_paths, main  # noqa: E402


@pytest.mark.parametrize("verb", [*JOBS, "models", "schema"])
def test_each_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0 and "usage: freshet" in capsys.readouterr().out


@pytest.mark.parametrize("verb", list(JOBS))
def test_schemas_print_as_json(verb, capsys):
    assert main(["schema", verb]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_models_lists_families_presets_and_options(capsys):
    assert main(["models"]) == 0 and "convlstm-wflow" in capsys.readouterr().out
    assert main(["models", "convlstm"]) == 0 and "peepholes" in capsys.readouterr().out
    assert main(["models", "transformer"]) == 2 and "no model called 'transformer'" in capsys.readouterr().err


def test_paths_are_relative_to_the_job_file(tmp_path, capfd):
    write_toy_dataset(tmp_path / "toy.nc")
    job = {
        "datasets": ["toy.nc"], "target": "store", "inputs": ["rain"], "window": 5,
        "model": {"options": {"hidden": [2]}}, "training": {"epochs": 1, "threads": 1},
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert main(["train", str(tmp_path / "job.json"), "--run", str(tmp_path / "run")]) == 0
    printed = capfd.readouterr().out
    assert "100 %" in printed and "model: results/model.safetensors" in printed
    assert (tmp_path / "run" / "results" / "model.safetensors").exists()


def test_names_of_gdal_and_absolute_paths_stay():
    values = {
        "sources": [
            {"variable": "a", "path": 'NETCDF:"x.nc":a'},
            {"variable": "b", "path": "/y"},
            {"variable": "c", "path": "z"},
        ]
    }
    paths = [s["path"] for s in absolute_paths("prepare", values, Path("/here"))["sources"]]
    assert paths == ['NETCDF:"x.nc":a', "/y", "/here/z"]
    assert absolute_paths("tune", {"train": {"datasets": ["a"]}}, Path("/h"))["train"]["datasets"] == ["/h/a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ('{"datasets": ["a.nc"], "target": "sm", "inputs": ["sm"]}', "without a lag"),
        ('{"datasets": ["a.nc"], "target": "sm", "inputs": ["p"], "windw": 3}', "'windw'"),
    ],
)
def test_bad_input_ends_with_status_2_before_a_run_folder_is_made(tmp_path, capsys, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("job.json").write_text(text)
    assert main(["train", "job.json"]) == 2
    assert words in capsys.readouterr().err and not Path("runs").exists()
