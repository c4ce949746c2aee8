"""Maps mirrored and turned while a model trains, with all that points somewhere."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from small import setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind, Grid, TrainJob  # noqa: E402
from freshet.core.data.scaling import Scaler  # noqa: E402
from freshet.core.data.store import Gauges, VariableInfo, write_dataset  # noqa: E402
from freshet.core.training.augment import augmentation_of  # noqa: E402
from freshet.core.training.directions import Turn, codes_of_turn, turned_codes  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402

TURNS = [Turn(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)]
ESRI = {(0, 1): 1, (1, 1): 2, (1, 0): 4, (1, -1): 8, (0, -1): 16, (-1, -1): 32, (-1, 0): 64, (-1, 1): 128}
LDD = {(0, 1): 6, (1, 1): 3, (1, 0): 2, (1, -1): 1, (0, -1): 4, (-1, -1): 7, (-1, 0): 8, (-1, 1): 9}
ROWS, COLUMNS, STEPS = 6, 6, 60


def slopes(height, codes):
    """From a surface: steepest of the eight neighbours as a code, aspect in degrees, its sine and cosine, the gradient
    to the east and north. Neighbours are taken around the edges, so that a turned surface has turned slopes.
    """
    drops = {step: height - np.roll(height, (-step[0], -step[1]), (-2, -1)) for step in codes}
    best = np.argmax(np.stack([drop / np.hypot(*step) for step, drop in drops.items()]), axis=0)
    direction = np.array(list(codes.values()))[best].astype(np.float32)
    east = drops[(0, 1)] - drops[(0, -1)]
    north = drops[(-1, 0)] - drops[(1, 0)]
    size = np.hypot(east, north)
    aspect = (np.degrees(np.arctan2(east, north)) % 360.0).astype(np.float32)
    return direction, aspect, (east / size).astype(np.float32), (north / size).astype(np.float32), east, north


def written(path, crs="EPSG:3035", cell=(1000.0, 1000.0), codes=ESRI, wind="uv", north=3_000_000.0, gauges=False):
    """A dataset whose directions all follow from surfaces, so that turning the surface turns them."""
    rng = np.random.default_rng(11)
    weather = rng.random((STEPS, ROWS, COLUMNS)).astype(np.float32) * 9.0
    height = rng.random((ROWS, COLUMNS)).astype(np.float32) * 500.0
    direction, aspect, sine, cosine, _, _ = slopes(height, codes)
    *_, east, across = slopes(weather, codes)
    mask = np.ones((ROWS, COLUMNS), dtype=bool)
    mask[0, :2] = False
    east[5, 2, 3] = np.nan

    def info(name, quantity, static=False, units="-", gauges=False):
        return VariableInfo(name, "static" if static else "input", quantity, units, name, static, gauges=gauges)

    dynamic = {"pressure": (info("pressure", "other"), weather)}
    if "u" in wind:
        dynamic["u10"] = (info("u10", "wind_u", units="m/s"), east.astype(np.float32))
    if "v" in wind:
        dynamic["v10"] = (info("v10", "wind_v", units="m/s"), across.astype(np.float32))
    dynamic["store"] = (info("store", "soil_water", units="mm"), weather * 2)
    grid = Grid(crs, 4_000_000.0 if cell[0] > 10 else 7.0, north, *cell, COLUMNS, ROWS)
    more = {}
    if gauges:
        dynamic["flow"] = (info("flow", "discharge", units="m3/s", gauges=True), weather[:, 0, :1])
        more["gauges"] = Gauges.on(grid, ["a"], np.array([grid.west + 10.0]), np.array([grid.north - 10.0]))
    static = {
        "height": (info("height", "elevation", True, "m"), height),
        "fdir": (info("fdir", "flow_direction", True), direction),
        "aspect": (info("aspect", "aspect", True, "deg"), aspect),
        "sine": (info("sine", "aspect_sin", True), sine),
        "cosine": (info("cosine", "aspect_cos", True), cosine),
    }
    write_dataset(
        path, name=path.stem, grid=grid,
        times=np.datetime64("2001-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s"), step_seconds=86400.0,
        dynamic=dynamic, static=static, mask=mask, provenance={}, **more,
    )  # fmt: skip
    return path


STATIC = ["height", "fdir", "aspect", "sine", "cosine"]


def made(path, kind="turns", **changes):
    inputs = changes.pop("inputs", ["pressure", "u10", "v10"])
    values = {"scalers": {}, "inputs": inputs, "static": STATIC, "window": 4, "season": True, **changes}
    module, sets, config, card = setting_up([path], {"epochs": 2, "augment": kind, "batch": 4}, **values)
    return module, sets, config, card


@pytest.mark.parametrize("codes", [ESRI, LDD])
@pytest.mark.parametrize("kinds", ["one-hot", "standard"])
def test_all_that_points_somewhere_is_that_of_the_turned_surface(tmp_path, codes, kinds):
    scalers = {"fdir": kinds, "u10": "standard", "v10": "yeo-johnson", "aspect": "min-max"}
    module, sets, _, card = made(written(tmp_path / "a.nc", codes=codes), scalers=scalers)
    data = sets[0].data
    augmentation = augmentation_of("turns", module, sets)
    assert set(augmentation.turns) == set(TURNS)
    for word in ("u10", "v10", "fdir", "aspect", "sine", "cosine"):
        assert word in augmentation.words
    ends = np.array([10, 30])
    batch = data.batch(ends)
    scaler = {v.name: Scaler.from_dict(v.scaler) for v in (*card.inputs, *card.static)}
    for turn in TURNS:
        found = augmentation.apply(batch, turn)
        weather = turn.maps(scaler["pressure"].inverse(batch.x[:, :, 0]))
        np.testing.assert_array_equal(scaler["pressure"].inverse(found.x[:, :, 0]), weather)
        *_, east, north = slopes(weather, codes)
        known = found.observed[:, :, 1] & found.observed[:, :, 2]
        for channel, (name, expected) in enumerate((("u10", east), ("v10", north)), start=1):
            values = scaler[name].inverse(found.x[:, :, channel])
            np.testing.assert_allclose(values[known], expected[known], atol=2e-3)
        np.testing.assert_array_equal(found.x[:, :, 3:], turn.maps(batch.x[:, :, 3:]))  # the season
        height = turn.maps(scaler["height"].inverse(batch.static[:, 0]))
        direction, aspect, sine, cosine, _, _ = slopes(height, codes)
        width = found.static.shape[1] - 4
        if kinds == "one-hot":
            classes = np.array(scaler["fdir"].classes)
            np.testing.assert_array_equal(classes[found.static[:, 1 : 1 + width].argmax(axis=1)], direction)
            assert (found.static[:, 1 : 1 + width].sum(axis=1) == 1).all()
        else:
            np.testing.assert_allclose(scaler["fdir"].inverse(found.static[:, 1]), direction, atol=1e-3)
        turned = scaler["aspect"].inverse(found.static[:, 1 + width])
        np.testing.assert_allclose((turned - aspect + 180.0) % 360.0, 180.0, atol=1e-2)
        np.testing.assert_allclose(scaler["sine"].inverse(found.static[:, 2 + width]), sine, atol=1e-5)
        np.testing.assert_allclose(scaler["cosine"].inverse(found.static[:, 3 + width]), cosine, atol=1e-5)
        np.testing.assert_array_equal(found.y, turn.maps(batch.y))
        np.testing.assert_array_equal(found.mask, turn.maps(batch.mask))


def test_what_is_missing_stays_missing_and_is_known_of_the_other_component(tmp_path):
    module, sets, _, _ = made(written(tmp_path / "a.nc"))
    augmentation = augmentation_of("turns", module, sets)
    batch = sets[0].data.batch(np.array([7]))  # the gap of u10 is at step 5, row 2, column 3
    place = (0, 1, 1, 2, 3)
    assert not batch.observed[place] and batch.x[place] == 0.0
    turn = Turn(False, 1)
    found = augmentation.apply(batch, turn)
    row, column = COLUMNS - 1 - 3, 2
    assert not found.observed[0, 1, 2, row, column] and found.x[0, 1, 2, row, column] == 0.0
    assert found.observed[0, 1, 1, row, column] and found.observed.sum() == batch.observed.sum()
    mirrored = augmentation.apply(batch, Turn(True, 0))
    assert not mirrored.observed[0, 1, 1, 2, COLUMNS - 1 - 3] and mirrored.x[0, 1, 1, 2, COLUMNS - 1 - 3] == 0.0


def test_four_quarters_and_two_mirrors_give_back_what_was(tmp_path):
    module, sets, _, _ = made(written(tmp_path / "a.nc"))
    augmentation = augmentation_of("turns", module, sets)
    batch = sets[0].data.batch(np.array([9, 20]))
    for turn, times in ((Turn(False, 1), 4), (Turn(True, 0), 2), (Turn(True, 3), 2)):
        found = batch
        for _ in range(times):
            found = augmentation.apply(found, turn)
        np.testing.assert_allclose(found.x, batch.x, atol=1e-5)
        np.testing.assert_allclose(found.static, batch.static, atol=1e-4)
        assert np.array_equal(found.observed, batch.observed)


def test_targets_that_point_somewhere_turn_and_so_does_their_variance(tmp_path):
    path = written(tmp_path / "a.nc")
    module, sets, _, card = made(path, target="u10", also=["v10"], inputs=["pressure"])
    augmentation = augmentation_of("turns", module, sets)
    batch, turn = sets[0].data.batch(np.array([9, 20])), Turn(False, 1)
    found = augmentation.apply(batch, turn)
    east, north = (Scaler.from_dict(v.scaler) for v in card.targets)
    np.testing.assert_allclose(
        east.inverse(found.y[:, :, :, 0]), -turn.maps(north.inverse(batch.y[:, :, :, 1])), atol=1e-4
    )
    variance = augmentation.variance(sets[0].variance, turn)
    np.testing.assert_array_equal(variance[0], turn.maps(sets[0].variance[1]))


def test_each_batch_draws_its_turn_from_the_seed_and_all_come_up(tmp_path):
    module, sets, _, _ = made(written(tmp_path / "a.nc"))
    augmentation = augmentation_of("turns", module, sets)
    drawn = [augmentation.draw(5, number) for number in range(60)]
    assert set(drawn) == set(TURNS) and drawn == [augmentation.draw(5, number) for number in range(60)]
    flips = augmentation_of("flips", module, sets)
    assert {flips.draw(5, n) for n in range(60)} == {Turn(m, q) for m in (False, True) for q in (0, 2)}
    assert len(augmentation_of("none", module, sets).turns) == 1


@pytest.mark.parametrize("loss", ["mse", "nse", "ssim", "rare"])
def test_a_training_with_turned_maps_of_a_frame_that_is_no_square_runs(tmp_path, loss):
    path = write_toy_dataset(tmp_path / "a.nc")
    module, sets, config, _ = setting_up([path], {"epochs": 2, "augment": "turns", "loss": loss, "learning_rate": 0.01})
    events = list(fit(module, sets, config, tmp_path / "c"))
    losses = [e.values["train_loss"] for e in events if e.kind is EventKind.METRIC]
    assert losses[1] < losses[0] and "8 positions; no variable is known to have a direction" in events[0].values["text"]


def test_degrees_forbid_quarter_turns_and_tall_grids_mirrors(tmp_path):
    degrees = written(tmp_path / "a.nc", crs="EPSG:4326", cell=(0.1, 0.1), north=50.0)
    module, sets, _, _ = made(degrees, "flips")
    assert len(augmentation_of("flips", module, sets).turns) == 4
    with pytest.raises(ConfigError, match=r"no squares.*quarter.*7\d\d\d.* m by 111\d\d.* m.*'flips'"):
        augmentation_of("turns", module, sets)
    module, sets, _, _ = made(written(tmp_path / "b.nc", crs="EPSG:4326", cell=(3.0, 3.0), north=50.0), "flips")
    with pytest.raises(ConfigError, match="narrower towards the pole"):
        augmentation_of("flips", module, sets)
    module, sets, _, _ = made(written(tmp_path / "c.nc", cell=(1000.0, 500.0)))
    with pytest.raises(ConfigError, match="1000 m by 500 m"):
        augmentation_of("turns", module, sets)


def test_one_component_of_the_wind_can_be_mirrored_and_not_turned(tmp_path):
    module, sets, _, _ = made(written(tmp_path / "a.nc", wind="u"), "flips", inputs=["pressure", "u10"])
    batch = sets[0].data.batch(np.array([9]))
    found = augmentation_of("flips", module, sets).apply(batch, Turn(True, 0))
    scaler = Scaler.from_dict(sets[0].card.inputs[1].scaler)
    known = found.observed[:, :, 1]
    expected = -scaler.inverse(batch.x[:, :, 1])[..., ::-1]
    np.testing.assert_allclose(scaler.inverse(found.x[:, :, 1])[known], expected[known], atol=1e-4)
    with pytest.raises(ConfigError, match="eastward wind the northward wind.*inputs.*Found: u10"):
        augmentation_of("turns", module, sets)


@pytest.mark.parametrize(("family", "options"), [("gccl", {}), ("climatology", {})])
def test_families_that_know_their_cells_forbid_it(tmp_path, family, options):
    path = write_toy_dataset(tmp_path / "a.nc")
    static = [] if family == "climatology" else ["height"]
    module, sets, _, _ = setting_up([path], {}, {"family": family, "options": options}, static=static)
    with pytest.raises(ConfigError, match="where each cell of its grid lies"):
        augmentation_of("flips", module, sets)


def test_gauges_and_frames_of_one_cell_forbid_it(tmp_path):
    path = written(tmp_path / "a.nc", gauges=True)
    module, sets, _, _ = made(path, "flips", target="flow", model={"family": "lstm", "options": {}})
    with pytest.raises(ConfigError, match="gauges of this model lie in fixed cells"):
        augmentation_of("flips", module, sets)
    small = write_toy_dataset(tmp_path / "b.nc", rows=1, columns=2)
    module, sets, _, _ = setting_up([small])
    one = dataclasses.replace(sets[0].data, mask=np.ones((1, 1), dtype=bool))
    with pytest.raises(ConfigError, match="one cell has nothing"):
        augmentation_of("flips", module, [dataclasses.replace(sets[0], data=one)])


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ((1, 2, 4, 8), "not clear which directions"),
        (tuple(range(1, 9)), "not clear which directions"),
        ((1, 2, 4, 16, 32), "lacks some of the eight directions.*8, 64, 128"),
        ((0.5, 3.0, 77.0), "not clear which directions"),
    ],
)
def test_codes_that_are_not_clear_are_refused(codes, words):
    with pytest.raises(ConfigError, match=words):
        codes_of_turn("fdir", np.array(codes))


def test_pits_and_missing_codes_stay():
    ring = codes_of_turn("fdir", np.array([0, *ESRI.values(), 255]))
    assert turned_codes(np.array([0, 1, 255]), ring, Turn(False, 1)).tolist() == [0, 64, 255]
    ring = codes_of_turn("ldd", np.arange(1, 10))
    assert turned_codes(np.array([5, 6, 9]), ring, Turn(True, 0)).tolist() == [5, 4, 7]


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("gccl", "'gccl' learns where each cell"),
        ("ridge", "'ridge' does not learn in batches"),
        ("convlstm-gauge", "'convlstm-gauge' predicts gauges"),
    ],
)
def test_a_job_whose_family_forbids_it_is_refused_before_it_starts(family, words):
    values = {"datasets": ["a.nc"], "target": "store", "inputs": ["rain"], "training": {"augment": "flips"}}
    with pytest.raises(ConfigError, match=words):
        TrainJob.from_dict({**values, "model": {"family": family, "options": {}}})
    TrainJob.from_dict(values)
