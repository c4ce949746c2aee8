"""Settings survive a restart; the engine is found in the stated order and starts in a clean environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from freshet.core.contracts import DoctorJob, EngineError, RunFolder
from freshet.plugin import engine as engine_module
from freshet.plugin import engine_install as install_module
from freshet.plugin.engine import Engine, base_python, child_environment, find_engine
from freshet.plugin.engine_install import EngineInstaller, InstallPlan, install_plan
from freshet.plugin.settings import Settings, load_settings, save_settings

FOREIGN = (
    "PYTHONHOME PYTHONPATH PYTHONEXECUTABLE VIRTUAL_ENV PYTHONUSERBASE PIP_TARGET GDAL_DATA GDAL_DRIVER_PATH PROJ_LIB "
    "PROJ_DATA QGIS_PREFIX_PATH LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH SSL_CERT_FILE".split()
)


@pytest.fixture
def no_engine(qgis_app, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "ROOT", tmp_path / "plugin")
    monkeypatch.setattr(engine_module, "data_folder", lambda: tmp_path / "data")
    return tmp_path


def _python(folder: Path) -> str:
    path = folder / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text("")
    return str(path)


def test_settings_come_back_as_they_were_saved(qgis_app):
    wanted = Settings("/some/python", "/some/runs", "cpu", 3, "cuda", False, "https://index.example/cpu")
    save_settings(wanted)
    assert load_settings() == wanted
    save_settings(Settings())
    assert load_settings() == Settings()


def test_runs_folder_is_the_persons_data_folder_unless_named(qgis_app, tmp_path):
    assert Settings().runs_path.name == "runs"
    assert Settings(runs_folder=str(tmp_path)).runs_path == tmp_path


def test_engine_is_looked_for_in_the_stated_order(no_engine):
    managed = _python(no_engine / "data" / "engine")
    with pytest.raises(EngineError):
        find_engine(Settings(), {})  # half made: its marker is missing
    (no_engine / "data" / "engine" / engine_module.READY_FILE).write_text("cpu")
    assert find_engine(Settings(), {}).python == managed
    beside = _python(no_engine / "plugin" / ".venv")
    assert find_engine(Settings(), {}).python == beside
    variable = _python(no_engine / "variable")
    assert find_engine(Settings(), {"FRESHET_PYTHON": variable}).python == variable
    named = _python(no_engine / "named")
    assert find_engine(Settings(engine_python=named), {"FRESHET_PYTHON": variable}).python == named


def test_without_an_engine_the_sentence_says_what_to_do(no_engine):
    with pytest.raises(EngineError, match="Freshet has no engine yet.*engine page"):
        find_engine(Settings(), {})


def test_a_named_python_that_is_gone_is_not_replaced_by_another(no_engine):
    _python(no_engine / "plugin" / ".venv")
    with pytest.raises(EngineError, match="/gone/python.*settings"):
        find_engine(Settings(engine_python="/gone/python"), {})
    with pytest.raises(EngineError, match="FRESHET_PYTHON"):
        find_engine(Settings(), {"FRESHET_PYTHON": "/gone/python"})


def test_environment_of_the_worker_holds_nothing_that_leads_it_astray():
    found = child_environment({**dict.fromkeys(FOREIGN, "x"), "HOME": "/h", "PATH": "/p"})
    assert [name for name in FOREIGN if name in found] == []
    assert (found["HOME"], found["PATH"], found["OMP_WAIT_POLICY"]) == ("/h", "/p", "PASSIVE")


def test_command_is_isolated_and_names_launcher_and_run(tmp_path):
    command = Engine("/usr/bin/python3").command(RunFolder(tmp_path))
    assert command[:2] == ["/usr/bin/python3", "-I"] and command[3] == str(tmp_path)
    assert Path(command[2]).parts[-3:] == ("core", "worker", "launch.py")


def test_worker_that_cannot_start_is_a_sentence(qgis_app, tmp_path):
    run = RunFolder.create(tmp_path, "doctor", DoctorJob())
    with pytest.raises(EngineError, match="could not be started.*Choose another Python"):
        engine_module.start_worker(Engine(str(tmp_path / "none")), run)


def test_base_python_is_not_the_running_program_by_name(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/qgis.exe")
    found = base_python()
    assert found is not None and str(found).startswith(sys.base_prefix) and os.access(found, os.X_OK)


def test_plan_says_what_is_fetched_how_much_and_where_and_takes_torch_first(tmp_path):
    plan = install_plan("cpu", tmp_path / "engine")
    assert str(tmp_path / "engine") in plan.text and "torch 2.13.0" in plan.text and "GB" in plan.text
    assert plan.commands[0][-1] == str(tmp_path / "engine") and plan.commands[0][0] == str(base_python())
    assert [part for part in plan.commands[1] if part.endswith(".txt")] == [
        str(engine_module.ROOT / "requirements/torch.txt")
    ]
    assert len(plan.titles) == len(plan.commands) == len(plan.shell_text.splitlines())


def test_named_index_serves_torch_alone(tmp_path):
    plan = install_plan("cpu", tmp_path / "engine", " https://index.example/cpu ")
    where = plan.commands[1].index("--index-url")
    assert plan.commands[1][where + 1] == plan.index == "https://index.example/cpu"
    assert [i for i, command in enumerate(plan.commands) if "--index-url" in command] == [1]
    assert "https://index.example/cpu" in plan.text


def test_without_a_named_index_pip_decides_and_the_text_says_which_build_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(install_module, "_DEFAULT_BUILD", "cuda")
    plan = install_plan("cpu", tmp_path / "engine")
    assert not any("://" in part for command in plan.commands for part in command)
    assert "gives the CUDA (NVIDIA GPU) build on this platform" in plan.text and "3.5 GB to fetch" in plan.text
    assert "For the CPU build type the address" in plan.text and "CUDA" in plan.titles[1]


def test_cuda_build_that_the_default_index_does_not_give_asks_for_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(install_module, "_DEFAULT_BUILD", "cpu")
    assert "needs the address" in install_plan("cuda", tmp_path / "engine").problem
    assert "address" not in install_plan("cuda", tmp_path / "engine", "https://index.example/cu").problem
    assert "address" not in install_plan("cpu", tmp_path / "engine").problem


def test_index_that_is_no_address_is_said(tmp_path):
    assert "not the address" in install_plan("cpu", tmp_path / "engine", "--trusted-host=x").problem


def test_unknown_build_is_refused():
    with pytest.raises(EngineError, match="cpu, cuda"):
        install_plan("tpu")


def _play(plan, wait_until, cancel=False):
    said, lines, steps = [], [], []
    installer = EngineInstaller(plan)
    installer.finished.connect(lambda ok, text: said.append((ok, text)))
    installer.output.connect(lines.append)
    installer.progress.connect(lambda fraction, text: steps.append(text))
    installer.start()
    if cancel:
        wait_until(lambda: lines)
        installer.cancel()
    wait_until(lambda: said)
    return said[0], lines, steps


def _plan(folder, *codes):
    commands = tuple((sys.executable, "-I", "-c", code) for code in codes)
    return InstallPlan(folder, "cpu", commands, tuple(f"Step {i}" for i in range(len(codes))), "text")


def test_installer_runs_every_step_in_a_clean_environment_and_marks_the_end(
    qgis_app, tmp_path, wait_until, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", "/other/plugins")
    code = "import os; print('path', os.environ.get('PYTHONPATH'))"
    (ok, _text), lines, steps = _play(_plan(tmp_path / "e", "print('one')", code), wait_until)
    assert ok and lines == ["one", "path None"] and steps[:2] == ["Step 0", "Step 1"]
    assert (tmp_path / "e" / engine_module.READY_FILE).exists()


def test_installer_that_fails_says_at_what_and_why_and_leaves_nothing(qgis_app, tmp_path, wait_until):
    (tmp_path / "e").mkdir()
    code = "import sys; sys.exit('no network')"
    (ok, text), _lines, _steps = _play(_plan(tmp_path / "e", "print('one')", code, "print('never')"), wait_until)
    assert not ok and "Step 1" in text and "no network" in text
    wait_until(lambda: not (tmp_path / "e").exists())


def test_installer_can_be_cancelled(qgis_app, tmp_path, wait_until):
    code = "import time; print('begun', flush=True); time.sleep(600)"
    (ok, text), _lines, _steps = _play(_plan(tmp_path / "e", code), wait_until, cancel=True)
    assert not ok and "cancelled" in text
