"""The questions about a whole model: jobs, refusals, cost before work, answers that the engine wrote, charts, tables"""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import struct
from pathlib import Path

import pytest
from qgis.PyQt.QtCore import QEvent
from qgis.PyQt.QtWidgets import QApplication

from freshet.core.contracts import (
    ConfigError,
    DriversJob,
    Event,
    EventKind,
    ImportanceJob,
    ProbeJob,
    RunFolder,
    RunState,
    SharesJob,
)
from freshet.core.contracts.events import Artifact
from freshet.core.contracts.model_card import CARD_KEY
from freshet.plugin.datasets import VariableSummary
from freshet.ui.choice import Choice
from freshet.ui.pages.why import WhyPage
from freshet.ui.why.drivers_panel import cost_of
from freshet.ui.why.importance_answer import heat_data, importance_words
from freshet.ui.why.probe_answer import beats, probe_doubts, probe_words
from freshet.ui.why.question_charts import PALE, LossData, told_apart
from freshet.ui.why.shares_panel import half_back, share_doubts

ANSWERS = Path(__file__).resolve().parents[1] / "answers"
QUESTIONS = {"Drivers": "drivers", "Importance": "importance", "Shares": "shares", "Probe": "probe"}


def card_file(path: Path, **changes) -> str:
    """A file that begins as a saved model does."""
    rain = {"name": "pre", "quantity": "precipitation", "units": "mm/d", "scaler": {"kind": "none"}}
    pet = {"name": "pet", "quantity": "pet", "units": "mm/d", "scaler": {"kind": "none"}}
    dem = {"name": "dem", "quantity": "elevation", "units": "m", "scaler": {"kind": "none"}}
    target = {"name": "sm_l1", "quantity": "soil_moisture", "units": "-", "label": "Soil moisture"}
    card = {
        "title": "A model", "family": "convlstm", "options": {}, "inputs": [rain, pet], "static": [dem],
        "target": target, "season": True, "window": 30, "lead": 0, "leads": 1,
        "periods": {"test": ["1993-03-01T00:00:00", "1993-12-31T00:00:00"]}, **changes,
    }  # fmt: skip
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return str(path)


@pytest.fixture
def page(qgis_app, runs, datasets, make_summary, tmp_path):
    datasets.add(make_summary())
    made = WhyPage(datasets, runs, Choice())
    made.subject.model_file.set_path(card_file(tmp_path / "m.safetensors"))
    yield made
    made.release()
    made.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def use_model(page, path, **changes):
    page.subject.model_file.set_path(card_file(path, **changes))


def finish(page, runs, verb, job, title="Answer", *, cost=None):
    """A run that is done, with the files that the engine wrote; with ``cost`` only what it says of that."""
    run = runs.submit(verb, job, title)
    run.append(Event(EventKind.HELLO, {}))
    if cost is not None:
        text = f"35 cells, 4 variables at 8 points: about {cost:.0f} s on this machine."
        run.append(Event(EventKind.MESSAGE, {"level": "info", "text": text, "cost": {"seconds": cost}}))
    else:
        shutil.copytree(ANSWERS / verb, run.results)
        run.report_file.write_text("<html></html>")
        if verb == "drivers":
            labels = list(json.loads((run.results / "drivers.json").read_text())["labels"].values())
            look = {"classes": tuple(labels), "colours": tuple(f"#10203{n}" for n in range(len(labels)))}
            artifact = Artifact(kind="driver", path="results/driver.tif", **look)
            run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))
    run.append(Event(EventKind.DONE, {}))
    place = next(i for i, item in enumerate(runs.list) if item.path == str(run.path))
    runs.list[place] = dataclasses.replace(runs.list[place], state=RunState.DONE)
    return run


def facts(verb: str) -> dict:
    return json.loads((ANSWERS / verb / f"{verb}.json").read_text())


def shown(page, runs, name: str):
    """The panel of a question with its answer."""
    verb = QUESTIONS[name]
    page.choose(name)
    job = {
        "drivers": DriversJob(model="/m", dataset="/d", date="2001-03-01"),
        "importance": ImportanceJob(model="/m", dataset="/d"),
        "shares": SharesJob(model="/m", dataset="/d"),
        "probe": ProbeJob(model="/m", dataset="/d", variable="warmth"),
    }[verb]
    run = finish(page, runs, verb, job)
    runs.changed.emit()
    page.result.setCurrentIndex(page.result.findData(str(run.path)))
    return page.panel, run


# -- jobs


def test_every_question_asks_with_the_shared_model_and_dataset(page, runs):
    assert {page.question.itemData(i) for i in range(page.question.count())} >= set(QUESTIONS)
    for name, verb in QUESTIONS.items():
        panel = page.choose(name)
        assert panel.verb == verb and panel.refusal() is None
        job = panel.job()
        assert job.model == page.subject.model_path() and job.dataset == "/data/moselle.nc"
        assert panel.run_title(job) and panel.button_text() and panel.button_tip()


def test_importance_takes_what_is_ticked_groups_blocks_and_a_period(page, runs):
    panel = page.choose("Importance")
    panel.of["lags"].setChecked(False)
    panel.of["variables by lag"].setChecked(True)
    panel.groups.add("weather", ["pre", "pet"])
    panel.more.editors["lags"].setText("0, 3, 9")
    panel.form.editors["repeats"].setText("4")
    panel.period.start.setText("1993-01-01")
    job = panel.job()
    assert job.of == ("variables", "static", "variables by lag") and job.lags == (0, 3, 9) and job.repeats == 4
    assert job.groups == {"weather": ["pre", "pet"]} and job.period.start == "1993-01-01"


@pytest.mark.parametrize(
    "name, members, words",
    [
        ("weather", ["pre", "snow"], "'snow', which the model does not read"),
        ("", ["pre"], "has no name"),
        ("pet", ["pre"], "is taken"),
        ("empty", [], "names no variable"),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_a_sentence(page, name, members, words):
    panel = page.choose("Importance")
    panel.groups.add(name, members)
    with pytest.raises(ConfigError, match=words):
        panel.job()
    panel.groups.remove()
    assert panel.job().groups == {}


def test_the_season_of_a_model_can_be_in_a_group_and_empty_rows_do_not_count(page):
    panel = page.choose("Importance")
    panel.groups.add()
    panel.groups.add("calendar", ["season", "pet"])
    assert panel.job().groups == {"calendar": ["season", "pet"]}


def test_nothing_to_shuffle_blocks_beyond_the_window_and_periods_elsewhere_are_told(page):
    panel = page.choose("Importance")
    panel.more.editors["lags"].setText("3, 30")
    with pytest.raises(ConfigError, match="steps from 0 to 29"):
        panel.job()
    panel.more.editors["lags"].setText("9, 3")
    with pytest.raises(ConfigError, match="do not rise"):
        panel.job()
    panel.more.editors["lags"].setText("")
    panel.period.start.setText("1994-01-01")
    page.ask()
    assert "holds no date that can be predicted" in page.notice.text()
    assert "1990-01-30" in page.notice.text() and "1993-12-31" in page.notice.text()
    panel.period.start.setText("1993-05-01")
    panel.period.end.setText("1993-04-01")
    page.ask()
    assert page.notice.text() and page.context.runs.submitted == []
    panel.period.start.setText("")
    for box in panel.of.values():
        box.setChecked(False)
    with pytest.raises(ConfigError, match="Nothing is chosen"):
        panel.job()


def test_shares_explain_the_basin_unless_another_place_is_given(page):
    panel = page.choose("Shares")
    job = panel.job()
    assert job.x is None and job.polygon == "" and job.gauge == ""
    panel.place.set_kind("cell")
    panel.place.set_point(4_050_000.0, 2_900_000.0)
    assert panel.job().x == pytest.approx(4_050_000.0)


def test_a_probe_offers_what_is_new_to_the_model_first_and_never_static_maps(page, datasets, make_summary):
    panel = page.choose("Probe")
    names = [panel.variable.itemData(i) for i in range(panel.variable.count())]
    assert names[0] == "tavg" and set(names) == {"tavg", "pre", "pet", "sm_l1"}
    assert "the model reads it" in panel.variable.itemText(names.index("pre"))
    assert "the model predicts it" in panel.variable.itemText(names.index("sm_l1"))
    panel.layers.setText("encoder.0; encoder.1")
    panel.fit.end.setText("1992-12-31")
    job = panel.job()
    assert job.variable == "tavg" and job.layers == ("encoder.0", "encoder.1") and job.fit_period.end == "1992-12-31"


def test_a_probe_is_not_judged_on_the_dates_that_it_was_fitted_on(page):
    panel = page.choose("Probe")
    for choice in (panel.fit, panel.judge):
        choice.start.setText("1992-01-01")
        choice.end.setText("1992-12-31")
    with pytest.raises(ConfigError, match="judged on the dates"):
        panel.job()
    panel.judge.end.setText("1993-12-31")
    panel.judge.start.setText("1993-01-01")
    assert panel.job().period.start == "1993-01-01"


# -- refusals


@pytest.mark.parametrize("family", ["ridge", "random-forest"])
def test_a_model_without_states_is_refused_by_the_probe_at_once(page, tmp_path, family):
    page.choose("Probe")
    use_model(page, tmp_path / "n.safetensors", family=family, season=False)
    assert "no states that a probe could read" in page.subject.notice.text()
    assert page.ask() is None and page.context.runs.submitted == []


def test_a_model_without_gradients_is_offered_occlusion(page, tmp_path):
    panel = page.choose("Drivers")
    use_model(page, tmp_path / "n.safetensors", family="random-forest", season=False)
    assert "no gradients" in page.subject.notice.text() and "'occlusion'" in page.subject.notice.text()
    combo = panel.form.editors["method"]
    combo.setCurrentIndex(combo.findData("occlusion"))
    assert page.subject.notice.text() == "" and panel.job().method == "occlusion"
    page.choose("Shares")
    assert "no gradients" in page.subject.notice.text() and "permutation importance" in page.subject.notice.text()
    page.choose("Importance")
    assert page.subject.notice.text() == ""


def test_a_model_of_gauges_has_no_map_of_drivers(page, tmp_path):
    page.choose("Drivers")
    use_model(page, tmp_path / "n.safetensors", gauges=["upper", "lower"])
    assert "2 gauges" in page.subject.notice.text() and "shares of its variables" in page.subject.notice.text()


def test_a_dry_baseline_without_rain_and_missing_variables_are_told(page, tmp_path):
    panel = page.choose("Shares")
    warm = {"name": "tavg", "quantity": "temperature", "units": "degC"}
    use_model(page, tmp_path / "n.safetensors", inputs=[warm])
    assert page.subject.notice.text() == ""
    combo = panel.form.editors["baseline"]
    combo.setCurrentIndex(combo.findData("dry"))
    assert "without rain is no baseline" in page.subject.notice.text()
    use_model(page, tmp_path / "o.safetensors", inputs=[{**warm, "name": "snow"}])
    combo.setCurrentIndex(combo.findData("mean"))
    assert "lacks what the model reads" in page.subject.notice.text() and "snow" in page.subject.notice.text()


def test_importance_needs_the_target_in_the_dataset_and_a_record_as_long_as_the_window(page, tmp_path):
    page.choose("Importance")
    use_model(page, tmp_path / "n.safetensors", target={"name": "flow", "quantity": "discharge", "units": "m3/s"})
    assert "has no 'flow', which the model predicts" in page.subject.notice.text()
    use_model(page, tmp_path / "o.safetensors", window=5000)
    assert "window is longer than the series" in page.subject.notice.text()


def test_a_dataset_of_static_maps_alone_cannot_be_probed(page, datasets, make_summary, tmp_path):
    page.choose("Probe")
    dem = VariableSummary("dem", "static", "elevation", "m", "Elevation", True)
    datasets.items[:] = [make_summary("/data/s.nc", "Static", variables=(dem,))]
    datasets.changed.emit()
    assert page.panel.variable.count() == 0 and page.subject.notice.text()
    with pytest.raises(ConfigError, match="No variable"):
        page.panel.job()


# -- the cost first


def test_drivers_tell_the_cost_before_they_draw(page, runs):
    panel = page.choose("Drivers")
    panel.date.field.setText("1993-07-04")
    assert page.explain_button.text() == "What would it cost?" and panel.stays
    page.ask()
    verb, job, title = runs.submitted[-1]
    assert verb == "drivers" and job.cost_only and "Cost" in title
    asked = finish(page, runs, "drivers", job, cost=17.0)
    panel.on_ended(asked, RunState.DONE)
    assert "about 17 s" in panel.cost.text() and page.explain_button.text() == "Draw the map" and not panel.stays
    page.ask()
    assert not runs.submitted[-1][1].cost_only and runs.submitted[-1][1].date == "1993-07-04"
    assert panel.cost.isHidden()


def test_the_end_of_the_run_brings_the_cost_to_the_page(page, runs):
    panel = page.choose("Drivers")
    panel.date.field.setText("1993-07-04")
    run = page.ask()
    assert str(run.path) in runs.stayed and not page.stop_button.isHidden()
    text = {"level": "info", "text": "1944 cells: about 12 s and 178 MB of memory.", "cost": {"seconds": 12.0}}
    for event in (Event(EventKind.HELLO, {}), Event(EventKind.MESSAGE, text), Event(EventKind.DONE, {})):
        run.append(event)
    runs.list[0] = dataclasses.replace(runs.list[0], state=RunState.DONE)
    runs.ended.emit(str(run.path), RunState.DONE)
    runs.changed.emit()
    assert "178 MB of memory" in panel.cost.text() and page.explain_button.text() == "Draw the map"
    assert page.result.count() == 0 and page.stop_button.isHidden()
    drawn = page.ask()
    assert str(drawn.path) not in runs.stayed and not drawn.job().cost_only
    page.stop()
    assert runs.cancelled == [str(drawn.path)]


def test_another_question_has_another_cost(page, runs):
    panel = page.choose("Drivers")
    panel.date.field.setText("1993-07-04")
    panel.on_ended(finish(page, runs, "drivers", panel.job(), cost=90.0), RunState.DONE)
    assert "Fewer steps" in panel.cost.text() and not panel.job().cost_only
    panel.form.editors["steps"].setText("4")
    assert panel.job().cost_only and panel.cost.isHidden() and page.explain_button.text() == "What would it cost?"
    panel.form.editors["steps"].setText("0")  # cannot be asked at all
    assert panel.button_text() == "What would it cost?"


def test_a_run_for_the_cost_is_no_answer(page, runs):
    panel, run = shown(page, runs, "Drivers")
    words = panel.answer().words.text()
    job = DriversJob(model="/m", dataset="/d", date="2001-03-01", cost_only=True)
    cost = finish(page, runs, "drivers", job, cost=3)
    runs.changed.emit()
    assert page.result.findData(str(cost.path)) < 0 and page.result.findData(str(run.path)) >= 0
    panel.on_ended(cost, RunState.DONE)
    panel.on_ended(run, RunState.DONE)
    assert panel.answer().words.text() == words and "about 3 s" in panel.cost.text()
    assert cost_of(cost)[1] == 3 and cost_of(run) is None


# -- answers


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_an_answer_has_words_charts_numbers_and_a_report(page, runs, tmp_path, monkeypatch, name):
    panel, run = shown(page, runs, name)
    answer = panel.answer()
    assert not answer._part.isHidden() and answer.words.text() and not answer.report_button.isHidden()
    head, *lines = csv.reader(answer.numbers.path().open(encoding="utf-8", newline=""))
    assert answer.numbers.table.columnCount() == len(head) and answer.numbers.table.rowCount() == len(lines)
    answer.save(str(tmp_path / "mine.csv"))
    assert (tmp_path / "mine.csv").read_bytes() == answer.numbers.path().read_bytes()
    assert answer.notice.text().startswith("Saved as")
    answer.save(str(tmp_path / "nowhere" / "mine.csv"))
    assert "could not be saved" in answer.notice.text()
    panel.show_result(None)
    assert answer._part.isHidden()


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_a_broken_answer_shows_nothing(page, runs, name):
    panel, run = shown(page, runs, name)
    for text in ("", "[]", "{}", '{"labels": {}}'):
        (run.results / f"{QUESTIONS[name]}.json").write_text(text)
        panel.show_result(run)
        assert panel.answer()._part.isHidden()


def test_bars_of_drivers_have_the_colours_of_the_map_and_add_up(page, runs):
    panel, _ = shown(page, runs, "Drivers")
    found = facts("drivers")
    chart = panel.answer().chart
    chart.render_now()
    bars = chart.figure.axes[0].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(100.0)
    widths = [bar.get_width() for bar in bars]
    assert widths == sorted(widths, reverse=True)
    place = list(found["labels"]).index(max(found["cells_by_driver"], key=found["cells_by_driver"].get))
    from matplotlib.colors import to_hex

    assert to_hex(bars[0].get_facecolor()) == f"#10203{place}"
    assert chart.figure.axes[0].get_xlabel().endswith("(%)")


@pytest.mark.parametrize("measure, axis", [("rmse_rise", "Rise of the RMSE (mm)"), ("nse_drop", "Drop of the NSE (-)")])
def test_what_is_not_told_apart_from_nothing_is_pale_and_said(page, runs, measure, axis):
    from matplotlib.colors import to_hex

    panel, _ = shown(page, runs, "Importance")
    answer = panel.answer()
    answer.measure.setCurrentIndex(answer.measure.findData(measure))
    answer.bars.render_now()
    axes = answer.bars.figure.axes[0]
    known = [item for item in facts("importance")["items"] if item["kind"] in ("variable", "static", "group")]
    known.sort(key=lambda item: -item[measure])
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([item[measure] for item in known])
    pale = [to_hex(bar.get_facecolor()) == PALE for bar in axes.patches]
    assert pale == [not (item[f"{measure}_low"] > 0 or item[f"{measure}_high"] < 0) for item in known]
    assert any(pale) and not all(pale)
    assert "not told apart from nothing" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert axes.get_xlabel() == axis and "not told apart from nothing: warmth" in answer.words.text().lower()


def test_an_interval_that_touches_nothing_is_not_told_apart():
    assert told_apart((0.1, 0.2)) and told_apart((-0.2, -0.1))
    assert not told_apart((0.0, 0.2)) and not told_apart((-0.1, 0.2)) and not told_apart((None, None))


def test_missing_values_of_importance_are_drawn_as_missing(qgis_app):
    from freshet.ui.why.question_charts import LossChart

    chart = LossChart("freshetTestLoss")
    chart.show_bars(LossData(["a", "b"], [None, 0.5], [(None, None), (None, None)], "Rise (mm)"), 2)
    chart.render_now()
    axes = chart.figure.axes[0]
    assert len(axes.patches) == 1 and "no value" in axes.texts[0].get_text()


def test_the_table_of_inputs_and_steps_back_holds_every_pair(page, runs):
    found = facts("importance")
    heat = heat_data(found, "rmse_rise", "Rise")
    pairs = [item for item in found["items"] if item["kind"] == "variable by lag"]
    assert len(heat.rows) * len(heat.columns) == len(pairs) and len(heat.columns) > 1
    flat = [value for row in heat.values for value in row]
    assert sorted(flat) == sorted(item["rmse_rise"] for item in pairs)
    assert heat.steps == "days back" and heat.columns[0] == "0"
    panel, _ = shown(page, runs, "Importance")
    panel.answer().heat.render_now()
    drawn = [text.get_text() for text in panel.answer().heat.figure.axes[0].texts]
    assert len(drawn) == len(pairs)
    assert sum(text.startswith("(") for text in drawn) == sum(not told for row in heat.apart for told in row)


def test_charts_without_anything_to_show_are_hidden(page, runs):
    panel, run = shown(page, runs, "Importance")
    found = facts("importance")
    found["items"] = [item for item in found["items"] if item["kind"] == "lags"]
    (run.results / "importance.json").write_text(json.dumps(found))
    panel.show_result(run)
    answer = panel.answer()
    assert answer.bars.isHidden() and answer.heat.isHidden() and not answer.lags.isHidden()
    assert importance_words(found)


def test_shares_of_every_season_add_up_and_lines_rise(page, runs):
    panel, _ = shown(page, runs, "Shares")
    answer = panel.answer()
    answer.seasons.render_now()
    axes = answer.seasons.figure.axes[0]
    count = len(facts("shares")["by_season"])
    tops = [0.0] * count
    for number, bar in enumerate(axes.patches):
        tops[number % count] += bar.get_height()
    assert tops == pytest.approx([100.0] * count) and "%" in axes.get_ylabel()
    answer.cumulative.render_now()
    for line in answer.cumulative.figure.axes[0].get_lines():
        assert list(line.get_ydata()) == sorted(line.get_ydata())
    assert answer.cumulative.figure.axes[0].get_xlabel() == "days back"
    assert answer.numbers.choice.count() == 2


def test_half_of_what_steps_contribute_is_counted_from_the_youngest_step():
    found = {"cumulative": {"a": [0.1, 0.2, 0.3], "b": [0.0, 0.2, 0.3]}, "steps_back": [1, 2, 3]}
    assert half_back(found) == 2
    assert half_back({"cumulative": {}, "steps_back": [1]}) is None
    assert half_back({"cumulative": {"a": [0.0]}, "steps_back": [0]}) is None


def test_few_dates_are_a_doubt_of_shares():
    found = {"dates": ["2001-01-01"], "by_season": {"All dates": {}, "Dec-Feb": {}}, "residual_share_most": 0.2}
    doubts = " ".join(share_doubts(found))
    assert "Only 1 dates" in doubts and "Dec-Feb only" in doubts and "20 %" in doubts


def test_a_probe_is_drawn_beside_both_references(page, runs):
    panel, _ = shown(page, runs, "Probe")
    found = facts("probe")
    chart = panel.answer().chart
    chart.render_now()
    axes = chart.figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([row["r"] for row in found["layers"]])
    assert any(list(line.get_xdata()) == [abs(found["reference"])] * 2 for line in axes.get_lines())
    spans = [tuple(line.get_xdata()) for line in axes.get_lines() if line.get_linewidth() == 4]
    assert spans == [(row["shuffled_r_low"], row["shuffled_r_high"]) for row in found["layers"]]
    assert list(dict.fromkeys(row["layer"] for row in found["layers"]))[0] in panel.layers.placeholderText()


@pytest.mark.parametrize(
    "r, reference, high, beaten, words",
    [
        (0.8, 0.5, 0.2, (True, True), "beats both"),
        (0.8, -0.9, 0.2, (False, True), "not the plain mean"),
        (0.1, 0.0, 0.2, (True, False), "does not beat the shuffled control"),
        (0.8, None, 0.2, (None, True), "no plain mean"),
        (0.8, 0.5, None, (True, None), "control has no value"),
        (None, 0.5, 0.2, (None, None), "does not vary"),
    ],
)
def test_the_sentence_says_whether_a_probe_beats_both(r, reference, high, beaten, words):
    row = {"layer": "a", "state": "cell", "r": r, "shuffled_r": high, "shuffled_r_high": high, "shuffled_r_low": high,
           "nse": -3.0, "chosen": True}  # fmt: skip
    found = {"layers": [row], "label": "Soil moisture", "reference": reference, "references": {"own": reference},
             "best": "a cell", "notes": ["The model reads it."]}  # fmt: skip
    assert beats(found) == beaten and words in probe_words(found)
    doubts = probe_doubts(found)
    assert doubts[0] == "The model reads it." and (len(doubts) == 2) == (r == 0.8)


# -- manners


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_a_panel_and_its_answer_fit_a_narrow_dock(page, runs, name):
    panel, _ = shown(page, runs, name)
    panel.answer().fold.toggle.setChecked(True)
    QApplication.processEvents()
    assert panel.minimumSizeHint().width() <= 345 and panel.answer().minimumSizeHint().width() <= 345
    names = [widget.objectName() for widget in (panel, panel.answer()) if widget.objectName()]
    assert len(names) == 2


def test_layers_are_offered_where_an_answer_has_some(page):
    offered = {name: bool(page.choose(name).layers_text) for name in QUESTIONS}
    assert offered == {"Drivers": True, "Importance": True, "Shares": False, "Probe": True}


def test_runs_of_one_question_are_no_answers_to_another(page, runs):
    panel, run = shown(page, runs, "Probe")
    page.choose("Shares")
    assert page.result.count() == 0 and page.panel.answer()._part.isHidden()
    page.choose("Probe")
    assert page.result.currentData() == str(run.path) and isinstance(RunFolder(run.path).job(), ProbeJob)
