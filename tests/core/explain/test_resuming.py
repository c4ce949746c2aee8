"""Going on from kept states gives what a pass through the whole window gives; what is kept is kept within bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts import ChangeConfig, PeriodConfig, StormConfig, WhatIfJob
from freshet.core.contracts.errors import DataError
from freshet.core.explain import what_if as what_if_module
from freshet.core.explain.asking import Subject
from freshet.core.explain.changes import change_of, storm_of
from freshet.core.explain.resuming import Kept, bytes_of
from freshet.core.explain.session import Session
from freshet.core.explain.what_if import WhatIf, early, reached_ends, what_if
from freshet.core.explain.what_if_water import Water
from freshet.core.inference.predictor import Predictor
from freshet.core.models import build_model
from freshet.core.models.carry import cells_of
from freshet.core.training.model_file import save_model

from . import world
from .question_world import (
    IDS,
    MASK,
    WINDOW,
    ask,
    finish,
    gauge_card,
    line_card,
    values,
    write_basin,
)

STORM = StormConfig(date="2001-02-10", cells=((4_003_500.0, 2_996_500.0, 30.0), (4_002_500.0, 2_997_500.0, 8.0)))


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    return write_basin(tmp_path_factory.mktemp("resuming") / "basin.nc", values())


def module_of(family, gauges=0, **options):
    torch.manual_seed(3)
    more = {"gauges": gauges} if gauges else {}
    return build_model(family, in_channels=3, out_channels=1, static_channels=1, leads=1, **options, **more).eval()


def answer(module, card, basin, changes, kept=None, going_on=True):
    with Predictor((module, card), basin, "cpu", batch=4) as predictor:
        subject = Subject(predictor, 0, 0)
        found = changes(subject)
        session = WhatIf(subject, kept)
        if not going_on:
            session._cells = None
        job = WhatIfJob.from_dict(
            {"model": "m", "dataset": str(basin), "changes": [{"variable": "rain", "factor": 2.0}]}
        )
        return finish(session.respond(found, reached_ends(job, subject, found)))[1]


def storm(subject):
    return storm_of(STORM, subject.card, subject.data)


def more_rain(subject):
    change = ChangeConfig("rain", 1.5, period=PeriodConfig("2001-02-08", "2001-02-12"))
    return [change_of(change, subject.card, subject.data)]


FAMILIES = [
    ("convlstm", {"hidden": (5, 4), "normalisation": "batch"}),
    ("convlstm", {"hidden": (5, 4), "normalisation": "group"}),
    ("convlstm-ed", {"hidden": (4,)}),
    ("convgru", {"hidden": (4, 3)}),
    ("convlstm-unet", {}),
    ("sa-convlstm", {}),
    ("cnn", {}),
]


@pytest.mark.parametrize("changes", [storm, more_rain])
@pytest.mark.parametrize("family, options", FAMILIES)
def test_states_that_were_kept_change_nothing_in_the_answer(basin, family, options, changes):
    card = line_card(values()).replace(family=family, options=options, cell_size=(1000.0, 1000.0))
    module, kept = module_of(family, **options), Kept()
    first, again = (answer(module, card, basin, changes, kept) for _ in range(2))
    plain = answer(module, card, basin, changes, going_on=False)
    for found in (first, again):
        np.testing.assert_array_equal(found.dates, plain.dates)
        np.testing.assert_allclose(found.before, plain.before, atol=1e-6, rtol=1e-5)
        np.testing.assert_allclose(found.after, plain.after, atol=1e-6, rtol=1e-5)
    assert np.nanmax(np.abs(plain.change)) > 1e-5
    carries = family in ("convlstm", "convlstm-ed", "convgru")
    assert (cells_of(module) is not None) is carries or family == "sa-convlstm"


def test_a_model_of_gauges_goes_on_too(basin):
    options = {"hidden": (4, 3)}
    card = gauge_card(values()).replace(family="convlstm-gauge", options=options)
    module = module_of("convlstm-gauge", len(IDS), **options)
    found = answer(module, card, basin, storm, Kept())
    plain = answer(module, card, basin, storm, going_on=False)
    assert cells_of(module) is not None and found.after.shape == (WINDOW, 1, 2)
    np.testing.assert_allclose(found.change, plain.change, atol=1e-6)


def test_a_second_stroke_reads_only_the_steps_from_the_storm_on(basin):
    card = line_card(values()).replace(family="convlstm", options={"hidden": (3,)})
    module, kept, read = module_of("convlstm", hidden=(3,)), Kept(), []
    module.register_forward_pre_hook(lambda _, arguments: read.append(arguments[0].shape[1]))
    answer(module, card, basin, storm, kept)
    # Of the window that ends k days after the storm: the steps before it once, then k + 1 as it is and changed.
    assert sum(read) == sum(WINDOW + k + 1 for k in range(WINDOW)) - 0
    read.clear()
    answer(module, card, basin, storm, kept)
    assert sorted(read) == [1, 2, 3, 4]
    read.clear()
    later = StormConfig(date="2001-02-11", cells=STORM.cells)
    answer(module, card, basin, lambda subject: storm_of(later, subject.card, subject.data), kept)
    known = WINDOW - 1  # windows that the storm of the day before reached already: one step further each
    assert sum(read) <= sum(WINDOW + k + 1 for k in range(WINDOW)) - known


def test_what_is_kept_stays_within_its_bounds():
    kept = Kept(predictions=2, most_bytes=40)
    for end in range(5):
        kept.plain[end] = np.zeros(1)
        kept.keep(end, 3, [(torch.zeros(2), torch.zeros(2))])
    kept.trim()
    assert list(kept.plain) == [3, 4]
    assert [kept.states(end, 3)[1] is not None for end in range(5)] == [False, False, False, True, True]
    kept.keep(4, 3, [(torch.zeros(2), torch.zeros(2))])
    assert kept.states(3, 3)[1] is not None and bytes_of([(torch.zeros(2), None)]) == 8
    assert kept.states(4, 2) == (0, None) and kept.states(4, 9)[0] == 3


def test_the_first_dates_already_show_the_course():
    few = early(np.arange(100, 130))
    assert few[:8].tolist() == [100, 101, 102, 103, 105, 108, 113, 121] and sorted(few) == list(range(100, 130))
    many = early(np.arange(1000))
    assert many[0] == 0 and many[7] == 999 and len(np.unique(many)) == 1000
    assert early(np.array([5])).tolist() == [5]


def job_on(model, basin, **changes):
    return WhatIfJob.from_dict({"model": str(model), "dataset": str(basin), "device": "cpu", **changes})


def test_a_session_gives_the_same_answer_and_is_emptied_with_its_model(basin, tmp_path):
    card = line_card(values()).replace(family="convlstm", options={"hidden": (3,)})
    path, session, tables = tmp_path / "m.safetensors", Session(), []
    save_model(path, module_of("convlstm", hidden=(3,)), card)
    storms = [{"date": STORM.date, "cells": [list(cell) for cell in STORM.cells]}]
    for number, held in enumerate((None, session, session)):
        run, events, _ = ask(lambda job, run, held=held: what_if(job, run, held), job_on(path, basin, storms=storms),
                             tmp_path / str(number))  # fmt: skip
        tables.append((run.results / "what_if.csv").read_text())
        sofar = [event.values["so_far"] for event in events if "so_far" in event.values]
        assert sofar and sofar[0]["places"][0]["place"] == "Mean of the basin"
    rows = [[line.rsplit(",", 4)[1:4] for line in table.splitlines()[1:]] for table in tables]
    for other in rows[1:]:
        np.testing.assert_allclose(np.array(other, dtype=float), np.array(rows[0], dtype=float), atol=1e-6)
    assert list(session.kept) == [("what-if", 0, 0)]
    save_model(path, module_of("convlstm", hidden=(3,)), card.replace(title="Another"))
    session.model(str(path), "cpu")
    assert not session.kept


def test_the_mass_of_the_painted_rain_is_the_sum_of_its_cells(basin):
    with Predictor((module_of("convlstm", hidden=(3,)), line_card(values())), basin, "cpu") as predictor:
        subject = Subject(predictor, 0, 0)
        water = Water.of(subject, storm(subject))
        assert water.painted_m3 == pytest.approx(38.0 * 1e6 / 1000.0)  # mm on cells of 1 km2
        assert water.mean_mm == pytest.approx(38.0 / MASK.sum()) and water.cells == 2 and not water.notes
        beside = StormConfig(date=STORM.date, cells=(*STORM.cells, (4_003_500.0, 2_999_500.0, 100.0)))
        water = Water.of(subject, storm_of(beside, subject.card, subject.data))
        assert water.inside_m3 == pytest.approx(38.0e3) and water.painted_m3 == pytest.approx(138.0e3)
        assert "1 of 3 painted cells lie outside" in water.notes[0]


@pytest.mark.parametrize(
    "cells, error, words",
    [
        ([[4_003_500.0, 2_999_500.0, 5.0]], DataError, "outside the basin"),
        ([[4_003_500.0, 2_996_500.0, -5.0]], DataError, "negative"),
        ([[4_003_500.0, 2_996_500.0, 0.0]], DataError, "No rain is painted"),
    ],
)
def test_rain_that_is_none_is_refused(basin, cells, error, words):
    with Predictor((module_of("convlstm", hidden=(3,)), line_card(values())), basin, "cpu") as predictor:
        subject = Subject(predictor, 0, 0)
        given = StormConfig(date="2001-02-10", cells=tuple(tuple(cell) for cell in cells))
        with pytest.raises(error, match=words):
            storm_of(given, subject.card, subject.data)


def test_observed_values_stand_beside_the_answer(basin, tmp_path):
    card = line_card(values()).replace(family="convlstm", options={"hidden": (3,)})
    found = answer(module_of("convlstm", hidden=(3,)), card, basin, storm)
    from freshet.core.data.store import Dataset

    with Dataset.open(basin) as dataset:
        times = dataset.times
        step = int(np.flatnonzero(times == found.dates[0])[0])
        seen = dataset.observed("wet")[step : step + WINDOW]
    np.testing.assert_allclose(found.observed[:, MASK], seen[:, MASK], rtol=1e-5)
    assert np.isnan(found.observed[:, ~MASK]).all()


def in_two_ways(folder, job, monkeypatch):
    """(date, before, after) of the first place: going on from states, and without."""
    tables = []
    for number, going_on in enumerate((True, False)):
        if not going_on:
            monkeypatch.setattr(what_if_module, "cells_of", lambda module: None)
        run, _, _ = ask(what_if, job, folder / str(number))
        rows = [line.rsplit(",", 5) for line in (run.results / "what_if.csv").read_text().splitlines()[1:]]
        tables.append([(row[0], float(row[2]), float(row[3])) for row in rows if row[1] == "Mean of the basin"])
    return tables


def test_rain_known_ahead_reaches_windows_that_end_before_it_and_gaps_are_no_hindrance(tmp_path, monkeypatch):
    v = world.values()
    rain = world.make_card(v).inputs[:1]
    dataset, model = world.write_world(
        tmp_path, family="convlstm-ed", options={"hidden": [4]}, ahead=rain, lead=1, leads=2, run_through=False
    )
    job = job_on(model, dataset, storms=[{"date": "2001-02-27", "cells": [[4_004_500.0, 2_995_500.0, 30.0]]}], lead=2)
    going_on, plain = in_two_ways(tmp_path, job, monkeypatch)
    assert [row[0] for row in going_on] == [row[0] for row in plain]
    assert going_on[0][0] <= "2001-02-27"  # predicted from a window that ends before the storm
    np.testing.assert_allclose([row[1:] for row in going_on], [row[1:] for row in plain], atol=2e-6)
    assert max(abs(after - before) for _, before, after in plain) > 1e-5


def test_a_model_that_carries_its_state_on_answers_too(tmp_path, monkeypatch):
    dataset, model = world.write_world(tmp_path, run_through=True)
    job = job_on(model, dataset, changes=[{"variable": "rain", "factor": 2.0, "period": {"start": "2001-02-27"}}])
    first, second = in_two_ways(tmp_path, job, monkeypatch)
    assert first == second and max(abs(after - before) for _, before, after in first) > 1e-5


def test_a_sequence_of_a_dataset_is_asked_by_name(tmp_path, monkeypatch, basin):
    card = line_card(values()).replace(family="convlstm", options={"hidden": (3,)})
    path = tmp_path / "m.safetensors"
    save_model(path, module_of("convlstm", hidden=(3,)), card)
    storms = [{"date": STORM.date, "cells": [list(cell) for cell in STORM.cells]}]
    with pytest.raises(DataError):
        ask(what_if, job_on(path, basin, storms=storms, sequence="flood"), tmp_path)
