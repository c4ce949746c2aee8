"""Drivers: contributions of a line are known; tangents equal gradients; classes, margins, cost, cancel, faults."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from freshet.core.contracts import DriversJob
from freshet.core.contracts.errors import Cancelled, ConfigError, DataError, ModelFileError
from freshet.core.contracts.models import family
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data.scaling import Scaler
from freshet.core.explain import asking
from freshet.core.explain.asking import Subject, window_of
from freshet.core.explain.baselines import build_question
from freshet.core.explain.drivers import Drivers, drivers, measure
from freshet.core.explain.explained import Surroundings
from freshet.core.explain.memory import peak_bytes
from freshet.core.explain.methods import METHODS, Settings
from freshet.core.explain.place import place_of_cell
from freshet.core.explain.problem import build_problem
from freshet.core.explain.tangents import CellValues, Tangents, _LeanConvolutions, nodes
from freshet.core.inference.predictor import Predictor
from freshet.core.models import REGISTRY

from ..models.test_every_family import make, sample
from .question_world import (
    FIXED,
    GRID,
    IDS,
    MASK,
    TIMES,
    WEIGHTS,
    WINDOW,
    Line,
    ask,
    finish,
    gauge_card,
    hand_over,
    line_card,
    texts,
    values,
    write_basin,
)
from .world import write_world

DATE, END = "2001-03-05", 63
SQUARE = "POLYGON ((4002000 2996000, 4004000 2996000, 4004000 2998000, 4002000 2998000, 4002000 2996000))"


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    return write_basin(tmp_path_factory.mktemp("line") / "basin.nc", values())


@pytest.fixture(scope="module")
def convlstm(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("convlstm"))


def job_on(basin, **changes) -> DriversJob:
    return DriversJob(**{"model": "line", "dataset": str(basin), "date": DATE, "device": "cpu", **changes})


def expected_contributions() -> np.ndarray:
    """(4, H, W): rain, temp, noise, dem against the basin's means over the record."""
    v = values()
    found = []
    for channel, name in enumerate(("rain", "temp", "noise")):
        mean = v[name][:, MASK].mean(dtype=np.float64)
        found.append(np.einsum("thw,t->hw", v[name][END - WINDOW + 1 : END + 1] - mean, WEIGHTS[:, channel]))
    return np.stack([*found, FIXED * (v["dem"] - v["dem"][MASK].mean())])


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-times-input", "occlusion"])
def test_every_method_gives_the_contributions_of_a_line(basin, tmp_path, monkeypatch, method):
    import rasterio

    assert str(TIMES[END])[:10] == DATE
    hand_over(monkeypatch, Line(), line_card(values()))
    run, events, made = ask(drivers, job_on(basin, method=method, steps=2), tmp_path)
    expected = expected_contributions()
    for number, name in enumerate(("rain", "temp", "noise", "dem")):
        with rasterio.open(run.results / f"contribution_{name}.tif") as source:
            held = source.read(1, masked=True)
            assert held.mask[0].all()
            np.testing.assert_allclose(held[1:], expected[number][1:], atol=3e-5)
    with rasterio.open(run.results / "driver.tif") as source:
        classes = source.read(1)
        assert source.dtypes == ("uint8",) and source.nodata == 0 and source.colormap(1)[1][:3] == (0x2C, 0x7F, 0xB8)
        assert source.tags(1)["CLASS_2"] == "Temp" and source.crs.to_epsg() == 3035 and source.shape == GRID.shape
    sizes = np.abs(expected)
    np.testing.assert_array_equal(classes[1:], 1 + sizes.argmax(axis=0)[1:])
    assert (classes[0] == 0).all()
    ordered = np.sort(sizes, axis=0)
    with rasterio.open(run.results / "margin.tif") as source:
        np.testing.assert_allclose(
            source.read(1)[1:], ((ordered[-1] - ordered[-2]) / ordered.sum(axis=0))[1:], atol=1e-4
        )
    artifact = made["results/driver.tif"]
    assert artifact.classes == ("Rain", "Temp", "Noise", "Dem") and len(artifact.colours) == 4
    facts = json.loads((run.results / "drivers.json").read_text())
    assert facts["residual_share_95"] < 1e-5 and facts["classes"] == {"rain": 1, "temp": 2, "noise": 3, "dem": 4}
    with open(run.results / "drivers.csv", encoding="utf-8") as handle:
        assert sum(int(row["cells"]) for row in csv.DictReader(handle)) == MASK.sum()
    assert any("about" in text and "35 cells, 4 variables" in text for text in texts(events))


def test_gdal_finds_the_names_of_the_classes_beside_the_raster(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(), line_card(values()))
    run, _, _ = ask(drivers, job_on(basin), tmp_path)
    text = (run.results / "driver.tif.aux.xml").read_text()
    assert "<Category></Category><Category>Rain</Category><Category>Temp</Category>" in text


def test_a_polygon_limits_the_map_and_a_dry_baseline_leaves_only_rain(basin, tmp_path, monkeypatch):
    import rasterio

    hand_over(monkeypatch, Line(), line_card(values()))
    run, _, _ = ask(drivers, job_on(basin, polygon=SQUARE, baseline="dry"), tmp_path)
    with rasterio.open(run.results / "driver.tif") as source:
        classes = source.read(1)
    rain = np.einsum("thw,t->hw", values()["rain"][END - WINDOW + 1 : END + 1], WEIGHTS[:, 0])
    inside = np.zeros(GRID.shape, dtype=bool)
    inside[2:4, 2:4] = True
    np.testing.assert_array_equal(classes, np.where(inside & (rain > 0), 1, 0))


def test_maps_of_a_convlstm_equal_the_gradients_cell_by_cell_and_add_up(convlstm):
    dataset, model = convlstm
    with Predictor(model, dataset, "cpu") as predictor:
        predictor.module.requires_grad_(False)
        subject = Subject(predictor, 0, 1)
        mask, end = subject.data.mask, 7
        question = build_question("mean", subject.card, subject.data, end)
        window = window_of(subject, question, (0, mask.shape[0], 0, mask.shape[1]))
        _, found = finish(measure(subject, window, mask, "integrated-gradients", 12))
        assert found.names == ("rain", "temp", "season", "dem") and found.exact
        left = np.abs(found.residual)[mask] / np.abs(found.prediction - found.baseline_prediction)[mask].clip(1e-3)
        assert np.median(left) < 1e-3
        for row, column in ((4, 4), (1, 8), (7, 0)):
            place = place_of_cell(
                subject.data.grid, mask, 4_000_000.0 + 1000 * (column + 0.5), 3_000_000.0 - 1000 * (row + 0.5)
            )
            framed = build_problem(subject.module, subject.card, question, place, mask, "cpu", lead=1)
            _, single = finish(METHODS["integrated-gradients"].run(framed.problem, Settings(steps=32)))
            sums = [single.x[:, 0].sum(), single.x[:, 1].sum(), single.x[:, 2:].sum(), single.static.sum()]
            np.testing.assert_allclose(found.contributions[:, row, column], sums, rtol=0.01, atol=2e-5)
            assert found.prediction[row, column] == pytest.approx(framed.problem.prediction, abs=1e-6)


DIFFERENTIABLE = [name for name in REGISTRY if family(name).differentiable and family(name).learns == "gradient"]


@pytest.mark.parametrize("name", [name for name in DIFFERENTIABLE if "maps" in family(name).gives])
def test_tangents_equal_central_differences_on_every_family_of_maps(name):
    module = make(name).eval().requires_grad_(False)
    x, more = sample(name, batch=1)
    static = more.get("static")
    names = ("x",) if static is None else ("x", "static")
    parts = [x] if static is None else [x, static]
    direction = [0.3 * torch.randn(part.shape, generator=torch.Generator().manual_seed(4)) for part in parts]
    mask = torch.ones(1, 1, *x.shape[3:])[0]
    around = Surroundings(mask=mask[None], time_of_year=torch.zeros(1))
    cells = np.ones(x.shape[3:], dtype=bool)
    tangents = Tangents(module, CellValues(cells, Scaler("standard", 1.0, 2.0), 0, 0), names, around)
    halves = [[0.5 * part for part in direction], [0.0 * direction[0], *direction[1:]]]
    both = tangents.along_all(parts, [*halves, direction]).numpy()
    np.testing.assert_allclose(tangents.along_all(parts, [*halves, direction]).numpy(), both, rtol=1e-4, atol=1e-6)
    found = tangents.along(parts, direction).numpy()
    scale = np.abs(found).max()
    np.testing.assert_allclose(both[2], found, atol=1e-5 * scale, rtol=1e-4)
    np.testing.assert_allclose(both[0], 0.5 * found, atol=1e-5 * scale, rtol=1e-4)
    tangents._double = tangents._in_double()
    expected = tangents.along(parts, direction).numpy()
    size = np.abs(expected).max()
    assert size > 0 and np.abs(found - expected).max() < 2e-3 * size


def test_lstm_layers_have_tangents_and_other_layers_fall_back():
    exact = {}
    for name in ("lstm", "deform-convlstm"):
        module = make(name).eval().requires_grad_(False)
        x, more = sample(name, batch=1)
        around = Surroundings(mask=torch.ones(1, 1, *x.shape[3:]), static=more["static"][0])
        cells = np.ones(x.shape[3:], dtype=bool)
        tangents = Tangents(module, CellValues(cells, Scaler("none"), 0, 0), ("x",), around)
        assert torch.isfinite(tangents.along([x], [torch.ones_like(x)])).all()
        exact[name] = tangents.exact
    assert exact == {"lstm": True, "deform-convlstm": False}


def test_a_tie_has_no_margin_and_a_single_variable_all_of_it():
    def of(*maps):
        held = np.array(maps, dtype=np.float64).reshape(len(maps), 1, 1)
        return Drivers(tuple("abc"[: len(maps)]), held, np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1), dtype=bool))

    assert of(2.0, -2.0, 0.0).margin == 0 and of(3.0).margin == 1 and of(1.0, -3.0).driver == 2
    assert of(4.0, 1.0, -1.0).margin == pytest.approx(0.5) and of(0.0, 0.0).driver == 0
    assert np.isnan(of(0.0, 0.0).margin)


def test_points_of_the_path_integrate_polynomials_exactly():
    for steps in (1, 4, 8):
        assert sum(w * p ** (2 * steps - 1) for p, w in nodes(steps)) == pytest.approx(1 / (2 * steps))


def test_the_cost_alone_writes_nothing(basin, tmp_path, monkeypatch):
    module = Line()
    hand_over(monkeypatch, module, line_card(values()))
    run, events, made = ask(drivers, job_on(basin, cost_only=True), tmp_path)
    assert not made and not run.results.exists() and module.calls == 2
    (cost,) = [event.values["cost"] for event in events if "cost" in event.values]
    assert cost["seconds"] >= 0 and cost["bytes"] > 0
    assert any("35 cells, 4 variables at 8 points" in text and "of memory" in text for text in texts(events))


def test_the_memory_of_a_computation_is_that_of_what_lives_at_once():
    given = torch.zeros(1000)

    def one_after_the_other():
        for _ in range(5):
            given + 1.0

    def side_by_side():
        return [given + float(n) for n in range(5)]

    def views():
        given.clone()[:500].reshape(2, -1).t()

    assert [peak_bytes(work) for work in (one_after_the_other, side_by_side, views)] == [4000, 20000, 4000]
    assert peak_bytes(lambda: given[:10]) == 0


def test_the_memory_foretold_is_that_of_all_tangents_at_once(convlstm):
    dataset, model = convlstm
    with Predictor(model, dataset, "cpu") as predictor:
        predictor.module.requires_grad_(False)
        subject = Subject(predictor, 0, 0)
        question = build_question("mean", subject.card, subject.data, 7)
        rows, columns = subject.data.mask.shape
        window = window_of(subject, question, (0, rows, 0, columns))
        found: list = []

        def work():
            found.extend(finish(measure(subject, window, subject.data.mask, "integrated-gradients", 1))[0])

        taken = peak_bytes(work)
        told = next(event.values["cost"]["bytes"] for event in found if "cost" in event.values)
    assert 0.5 * taken <= told <= 2.0 * taken


@pytest.mark.parametrize("moving", ["maps", "weight", "bias", "all"])
def test_lean_convolutions_have_the_derivative_of_torchs_own(moving):
    from torch.func import jvp, vmap

    generator = torch.Generator().manual_seed(1)
    parts = [torch.randn(*shape, generator=generator) for shape in ((2, 4, 7, 6), (6, 2, 3, 3), (6,))]
    names = ("maps", "weight", "bias")
    chosen = [name in (moving,) or moving == "all" for name in names]
    directions = [torch.randn(3, *part.shape, generator=generator) for part, move in zip(parts, chosen) if move]

    def derivative(*tangents):
        def function(*moved):
            given = iter(moved)
            maps, weight, bias = (next(given) if move else part for part, move in zip(parts, chosen))
            return torch.nn.functional.conv2d(maps, weight, bias, padding=1, stride=2, groups=2)

        return jvp(function, tuple(part for part, move in zip(parts, chosen) if move), tangents)

    plain = vmap(derivative)(*directions)
    with _LeanConvolutions():
        lean = vmap(derivative)(*directions)
    for own, other in zip(plain, lean):
        torch.testing.assert_close(own, other)


def test_a_cancel_is_heard_within_a_pass(convlstm, tmp_path, monkeypatch):
    dataset, model = convlstm
    job = job_on(dataset, model=str(model), date="2001-02-28", steps=1000)
    run = RunFolder.create(tmp_path, "drivers", job)
    monkeypatch.setattr(asking, "_POLL_SECONDS", 0.0)
    work, seen = drivers(job, run), 0
    with pytest.raises(Cancelled):
        for event in work:
            seen += 1
            if "parts" in event.values.get("text", ""):
                run.request_cancel()
    assert seen < 20 and not run.results.exists()


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"date": "1990-01-01"}, DataError, "outside the dataset"),
        ({"date": "2001-01-02"}, DataError, "no full window"),
        ({"polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}, DataError, "centre of no cell"),
        ({"lead": 5}, ConfigError, "does not predict 5 steps ahead"),
        ({"target": "snow"}, ConfigError, "does not predict 'snow'"),
    ],
)
def test_faults_are_told_before_anything_is_computed(basin, tmp_path, monkeypatch, changes, error, words):
    module = Line()
    hand_over(monkeypatch, module, line_card(values()))
    with pytest.raises(error, match=words) as caught:
        ask(drivers, job_on(basin, **changes), tmp_path)
    assert caught.value.remedy and module.calls == 0


def test_gauges_and_models_without_gradients_are_told_what_else_to_do(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(gauges=len(IDS)), gauge_card(values()))
    with pytest.raises(ModelFileError, match="2 gauges.*shares of its variables"):
        ask(drivers, job_on(basin), tmp_path)
    import dataclasses

    from freshet.core.contracts import question_checks as module

    hand_over(monkeypatch, Line(differentiable=False), line_card(values()))
    flat = dataclasses.replace(family("cnn"), differentiable=False)
    monkeypatch.setattr(module, "family", lambda name: flat)
    with pytest.raises(ModelFileError, match="no gradients.*'occlusion'"):
        ask(drivers, job_on(basin), tmp_path)
    run, _, _ = ask(drivers, job_on(basin, method="occlusion"), tmp_path)
    assert (run.results / "driver.tif").exists()


def test_a_dry_baseline_needs_precipitation(basin, tmp_path, monkeypatch):
    card = line_card(values())
    hand_over(monkeypatch, Line(), card.replace(inputs=(card.inputs[0].replace(quantity="other"), *card.inputs[1:])))
    with pytest.raises(ConfigError, match="no baseline for this model"):
        ask(drivers, job_on(basin, baseline="dry"), tmp_path)
