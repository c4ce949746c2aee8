"""Every configuration and model family can be shown as a form with help, and comes back unchanged."""

from __future__ import annotations

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from freshet.core.contracts import JOBS, ConfigError, TrainingConfig
from freshet.core.contracts.models import FAMILIES, resolve
from freshet.ui.forms import Form, config_fields, family_fields

CONFIGS = [*JOBS.values(), TrainingConfig]


@pytest.mark.parametrize("cls", CONFIGS, ids=lambda cls: cls.__name__)
def test_every_config_is_rendered_with_label_and_help(qgis_app, cls):
    form = Form(config_fields(cls), "form")
    assert form.editors
    for name, editor in form.editors.items():
        assert editor.toolTip() and editor.whatsThis() and editor.accessibleName(), name
        assert editor.objectName() == f"form_{name}"


def test_the_training_form_gives_the_defaults_of_the_config(qgis_app):
    assert TrainingConfig(**Form(config_fields(TrainingConfig), "form").values()) == TrainingConfig()


@pytest.mark.parametrize("item", FAMILIES, ids=lambda item: item.name)
def test_every_family_is_rendered_and_comes_back(qgis_app, item):
    form = Form(family_fields(item), "form")
    assert set(form.editors) == {option.name for option in item.options}
    assert item.complete(form.values()) == item.complete({})
    for preset in item.presets:
        form.set_values(preset.options)
        assert resolve(item.name, form.values())[1] == resolve(preset.name)[1]


def test_unit_and_range_stand_at_the_field(qgis_app):
    form = Form(config_fields(TrainingConfig), "form", "advanced")
    assert "1 to 1000 steps" in form.editors["supervised_steps"].toolTip()
    assert form.findChild(object, "form_supervised_steps_label").text() == "Supervised steps (steps)"


def test_a_list_of_whole_numbers_takes_commas_and_spaces_and_refuses_fractions(qgis_app):
    form = Form(family_fields(FAMILIES[0]), "form")
    for text in ("32, 64", "32 64", "32;64"):
        form.editors["hidden"].setText(text)
        assert form.values()["hidden"] == (32, 64)
    form.editors["hidden"].setText("32.5 64")
    with pytest.raises(ConfigError, match="whole numbers"):
        form.values()


def test_common_and_advanced_fields_are_apart(qgis_app):
    common, more = (Form(config_fields(TrainingConfig), "form", part) for part in ("common", "advanced"))
    assert "epochs" in common.editors and "epochs" not in more.editors
    assert "clip_norm" in more.editors and "clip_norm" not in common.editors
