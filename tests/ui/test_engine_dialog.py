"""The engine dialog says which build of torch comes and from where, and remembers the index that was typed."""

from __future__ import annotations

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from freshet.plugin import engine_install as install_module
from freshet.plugin.settings import Settings, load_settings, save_settings
from freshet.ui.dialogs import engine as engine_dialog
from freshet.ui.engine_state import EngineState


@pytest.fixture
def dialog(qgis_app, monkeypatch):
    monkeypatch.setattr(install_module, "_DEFAULT_BUILD", "cuda")
    save_settings(Settings())
    made = engine_dialog.EngineDialog(EngineState(lambda: Settings(engine_python="/there/is/none")))
    yield made
    made.release()
    made.deleteLater()
    save_settings(Settings())


def test_the_text_follows_the_typed_index(dialog):
    assert "gives the CUDA (NVIDIA GPU) build on this platform" in dialog.plan_text.text()
    dialog.index.setText("https://index.example/cpu")
    assert "torch comes from https://index.example/cpu" in dialog.plan_text.text()
    assert "--index-url https://index.example/cpu" in dialog._plan().shell_text


def test_what_is_no_address_cannot_be_installed_from(dialog):
    dialog.index.setText("somewhere")
    assert not dialog.install_button.isEnabled() and "not the address" in dialog.plan_problem.text()


def test_the_index_is_remembered_when_the_installation_begins(dialog, monkeypatch):
    started = []
    monkeypatch.setattr(engine_dialog.EngineInstaller, "start", lambda self: started.append(self._plan.index))
    dialog.index.setText("https://index.example/cpu")
    dialog.install()
    assert started == ["https://index.example/cpu"] and load_settings().engine_index == started[0]


def test_the_dialog_fits_a_small_screen(dialog, qgis_app):
    dialog.show()
    qgis_app.processEvents()
    assert dialog.width() <= 1366 and dialog.height() <= 740
