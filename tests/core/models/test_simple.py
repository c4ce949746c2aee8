"""Ridge, random forest, persistence and climatology against plain transcriptions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from freshet.core.contracts.errors import ConfigError, RunError
from freshet.core.data.windows import time_of_year
from freshet.core.metrics.baselines import climatology
from freshet.core.models import build_model, forest, regression
from freshet.core.models.learning import Sample, Targets

C, S, T, H, W = 3, 2, 6, 5, 7
HOLES = 0.3


class Made:
    """Samples out of arrays, and the same as one table."""

    def __init__(self, batches=4, batch=5, targets=1, leads=1, gauges=0, holes=0.0, height=H, width=W, seed=0):
        rng = np.random.default_rng(seed)
        self.mask = torch.ones(1, 1, height, width)
        self.mask[..., 0, :2] = 0.0
        frame = (gauges,) if gauges else (height, width)
        self.samples = []
        for _ in range(batches):
            x = rng.normal(size=(batch, T, C, height, width)).astype(np.float32)
            observed = rng.random(x.shape) > HOLES
            x = np.where(observed, x, 0.0).astype(np.float32)
            static = np.broadcast_to(rng.normal(size=(1, S, height, width)), (batch, S, height, width))
            past = x[:, -1, 0].mean(axis=(1, 2))[:, None] if gauges else x[:, -1, 0]
            y = past[:, None, None] + 0.5 * rng.normal(size=(batch, leads, targets, *frame))
            y[rng.random(y.shape) < holes] = np.nan
            if not gauges:
                y[..., self.mask[0, 0].numpy() == 0.0] = np.nan
            arrays = (x, static.astype(np.float32), observed, None, y.astype(np.float32))
            made = [None if a is None else torch.from_numpy(np.array(a)) for a in arrays]
            self.samples.append(Sample(made[0], made[1], made[2], self.mask, made[4]))
        self.passes = 0

    def __len__(self):
        return len(self.samples)

    def __iter__(self):
        self.passes += 1
        return iter(self.samples)


def learned(model, samples, seed=3):
    shares = list(model.learn(samples, seed))
    assert shares == sorted(shares) and shares[0] > 0.0 and shares[-1] == pytest.approx(1.0)
    return model.eval()


def asked(model, sample):
    more = {"mask": sample.mask} if model.uses_mask else {}
    with torch.no_grad():
        return model(sample.x, sample.static, sample.observed, **more)["y_hat"].numpy()


def features_of_cell(sample, b, row, column, lags, means, window_mean, masks):
    """The features of one cell, value by value."""
    x, seen = sample.x.numpy()[b, :, :, row, column], sample.observed.numpy()[b, :, :, row, column].astype(float)
    weight = seen if masks else np.ones_like(seen)
    spans = [*means, *([T] if window_mean else [])]
    dead = [span > T or (window_mean and place < len(means) and span == T) for place, span in enumerate(spans)]
    found = [x[T - 1 - lag, c] for lag in range(lags) for c in range(C)]
    for span, nothing in zip(spans, dead):
        for c in range(C):
            value, count = (x[-span:, c] * weight[-span:, c]).sum(), weight[-span:, c].sum()
            found.append(0.0 if nothing or count == 0 else value / count)
    if masks:
        found += [seen[T - 1 - lag, c] for lag in range(lags) for c in range(C)]
        found += [0.0 if nothing else seen[-span:, c].mean() for span, nothing in zip(spans, dead) for c in range(C)]
        for c in range(C):
            places = np.flatnonzero(seen[:, c])
            found.append(x[places[-1] if len(places) else T - 1, c])
    return np.array(found + [sample.static.numpy()[b, s, row, column] for s in range(S)])


def table(samples, gauges=0, lags=2, means=(4, 9), window_mean=True, masks=False):
    """Features (n, F) and targets (n, L K or L K G) of all cells, or of the basin."""
    rows, targets = [], []
    inside = samples.mask[0, 0].numpy() > 0
    for sample in samples.samples:
        y = sample.y.numpy()
        for b in range(len(y)):
            cells = [
                [features_of_cell(sample, b, r, c, lags, means, window_mean, masks) for c in range(inside.shape[1])]
                for r in range(inside.shape[0])
            ]
            cells = np.array(cells)
            if gauges:
                rows.append(cells[inside].mean(axis=0))
                targets.append(y[b].reshape(-1))
            else:
                rows += list(cells.reshape(-1, cells.shape[2]))
                targets += list(np.moveaxis(y[b].reshape(-1, *inside.shape), 0, -1).reshape(inside.size, -1))
    return np.array(rows), np.array(targets)


SEEN = {"lags": 2, "means": (4, 9)}


def maps_of(rows, sample_count, leads, targets, height=H, width=W):
    """(n, L K) back to (samples, L, K, H, W)."""
    return np.moveaxis(rows.reshape(sample_count, height, width, leads, targets), (1, 2), (3, 4))


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("gauges", [0, 2])
@pytest.mark.parametrize("means", [(4, 9), (T,), ()])
def test_features_are_those_of_the_plain_loops(masks, gauges, means):
    samples = Made(batches=1, batch=2, gauges=gauges)
    model = build_model("ridge", C, 1, static_channels=S, gauges=gauges, mask_channels=masks, lags=2, means=means)
    sample = samples.samples[0]
    with torch.no_grad():
        found = model.features(sample.x, sample.static, sample.observed, sample.mask)
    expected, _ = table(samples, gauges, means=means, masks=masks)
    assert found.shape[1] == model.inputs == expected.shape[1]
    found = found.permute(0, 2, 3, 1).reshape(-1, model.inputs).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("penalty", [0.0, 0.03])
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_ridge_is_that_of_scikit_learn_for_each_lead_and_target(masks, penalty, holes):
    samples = Made(targets=2, leads=3, holes=holes)
    model = build_model("ridge", C, 2, static_channels=S, leads=3, penalty=penalty, mask_channels=masks, **SEEN)
    learned(model, samples)
    rows, y = table(samples, masks=masks)
    expected = np.empty_like(y)
    for output in range(y.shape[1]):
        seen = np.isfinite(y[:, output])
        plain = Ridge(alpha=penalty * seen.sum()) if penalty else LinearRegression()
        expected[:, output] = make_pipeline(StandardScaler(), plain).fit(rows[seen], y[seen, output]).predict(rows)
    found = np.concatenate([asked(model, sample) for sample in samples.samples])
    assert found.shape == (20, 3, 2, H, W) and samples.passes == 1
    np.testing.assert_allclose(found, maps_of(expected, 20, 3, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cells_at_once", [None, 4])
def test_ridge_for_each_cell_is_that_of_scikit_learn_in_one_pass_or_several(cells_at_once, monkeypatch):
    samples = Made(batches=5, batch=8, targets=2, holes=0.1)
    model = build_model("ridge", C, 2, static_channels=S, penalty=0.02, per_cell=True, **SEEN)
    if cells_at_once:
        monkeypatch.setattr(regression, "_SUMS_BYTES", cells_at_once * 8 * 2 * model.inputs * (model.inputs + 1))
    learned(model, samples)
    assert samples.passes == 1 + (1 if cells_at_once is None else -(-H * W // cells_at_once))
    rows, y = table(samples)
    rows, y = rows.reshape(40, H * W, -1), y.reshape(40, H * W, 2)
    expected = np.zeros((40, H * W, 2))
    for cell in range(H * W):
        for output in range(2):
            seen = np.isfinite(y[:, cell, output])
            if seen.any():  # cells outside the basin predict the mean, 0
                plain = make_pipeline(StandardScaler(), Ridge(alpha=0.02 * seen.sum()))
                plain.fit(rows[seen, cell], y[seen, cell, output])
                expected[:, cell, output] = plain.predict(rows[:, cell])
    found = np.concatenate([asked(model, sample) for sample in samples.samples])
    np.testing.assert_allclose(found, maps_of(expected, 40, 1, 2), rtol=1e-4, atol=1e-5)


def test_ridge_of_gauges_is_that_of_scikit_learn_on_the_means_of_the_basin():
    samples = Made(batches=8, batch=5, targets=2, leads=2, gauges=3, holes=0.2)
    model = build_model("ridge", C, 2, static_channels=S, leads=2, gauges=3, penalty=0.01, **SEEN)
    learned(model, samples)
    rows, y = table(samples, gauges=3)
    found = np.concatenate([asked(model, sample) for sample in samples.samples])
    assert found.shape == (40, 2, 2, 3)
    for output in range(12):
        seen = np.isfinite(y[:, output])
        plain = make_pipeline(StandardScaler(), Ridge(alpha=0.01 * seen.sum())).fit(rows[seen], y[seen, output])
        np.testing.assert_allclose(found.reshape(40, 12)[:, output], plain.predict(rows), rtol=1e-4, atol=1e-5)


def test_ridge_bears_features_that_repeat_never_vary_or_lie_far_from_zero():
    samples = Made(batches=6)
    for sample in samples.samples:
        sample.x[:, :, 1] = sample.x[:, :, 0]
        sample.x[:, :, 2] = 4.0e5 + 1000.0 * sample.x[:, :, 2]
        sample.static[:] = 7.0
    model = learned(build_model("ridge", C, 1, static_channels=S, penalty=0.0, **SEEN), samples)
    rows, y = table(samples)
    seen = np.isfinite(y[:, 0])
    plain = make_pipeline(StandardScaler(), LinearRegression()).fit(rows[seen], y[seen, 0])
    found = np.concatenate([asked(model, sample) for sample in samples.samples])
    np.testing.assert_allclose(found, maps_of(plain.predict(rows)[:, None], 30, 1, 1), rtol=1e-3, atol=1e-3)
    first, second = (model.weight[0, place::C, 0, 0][:3] for place in (0, 1))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)  # those that repeat share the weight
    assert float(model.weight[0, -S:].abs().max()) == 0.0


def test_weights_of_cells_are_bound_to_their_grid_and_refused_for_gauges():
    model = learned(build_model("ridge", C, 1, per_cell=True), Made())
    with pytest.raises(ConfigError, match="bound to its grid"):
        model(torch.zeros(1, T, C, H + 1, W))
    with pytest.raises(ConfigError, match="per_cell"):
        build_model("ridge", C, 1, gauges=2, per_cell=True)
    assert build_model("ridge", C, 1).halo_px(5) == 0 and model.halo_px(5) > 1000


@pytest.mark.parametrize("name", ["ridge", "random-forest"])
def test_a_window_shorter_than_the_lags_is_refused(name):
    with pytest.raises(ConfigError, match="window is too short"):
        build_model(name, C, 1, lags=4)(torch.zeros(1, 3, C, H, W))


FOREST = {"trees": 12, "depth": 6, "least_leaf": 2, "tried": 0.5, **SEEN}


def of_scikit_learn(seed):
    return RandomForestRegressor(
        n_estimators=12, max_depth=6, min_samples_leaf=2, max_features=0.5, random_state=seed, n_jobs=1
    )


@pytest.mark.parametrize(("targets", "leads", "masks"), [(1, 1, False), (2, 3, True)])
def test_the_forest_is_that_of_scikit_learn(targets, leads, masks):
    samples = Made(targets=targets, leads=leads)
    model = build_model("random-forest", C, targets, static_channels=S, leads=leads, mask_channels=masks, **FOREST)
    learned(model, samples, seed=11)
    features = np.concatenate(
        [model.rows(sample)[0].permute(0, 2, 3, 1).reshape(-1, model.inputs) for sample in samples.samples]
    )
    _, y = table(samples, masks=masks)
    seen = np.isfinite(y).all(axis=1)
    plain = of_scikit_learn(11).fit(features[seen], y[seen, 0] if y.shape[1] == 1 else y[seen])
    expected = plain.predict(features).reshape(len(y), -1)
    found = np.concatenate([asked(model, sample) for sample in samples.samples])
    np.testing.assert_allclose(found, maps_of(expected, 20, leads, targets), rtol=1e-6, atol=1e-6)


def test_outputs_that_are_seldom_seen_together_have_trees_of_their_own():
    samples = Made(batches=12, targets=2, gauges=3, holes=0.6)
    model = build_model("random-forest", C, 2, static_channels=S, gauges=3, **FOREST)
    learned(model, samples, seed=2)
    assert model.value.shape[0] == 6 * 12 and model.value.shape[2] == 1
    features = np.concatenate([model.rows(sample)[0][:, :, 0, 0] for sample in samples.samples])
    _, y = table(samples, gauges=3)
    found = np.concatenate([asked(model, sample) for sample in samples.samples]).reshape(60, 6)
    kept = np.isfinite(y).any(axis=1)
    for output in range(6):
        seen = np.isfinite(y[:, output]) & kept
        plain = of_scikit_learn(2).fit(features[seen], y[seen, output])
        np.testing.assert_allclose(found[:, output], plain.predict(features), rtol=1e-6, atol=1e-6)


def test_thresholds_between_neighbouring_numbers_decide_as_in_scikit_learn():
    values = [np.float32(8.0)]
    for _ in range(8):
        values.append(np.nextafter(values[-1], np.float32(9.0)))
    samples = Made(batches=1, batch=2, height=3, width=3)
    x = torch.from_numpy(np.array(values, dtype=np.float32).reshape(3, 3)).expand(2, T, C, 3, 3).contiguous()
    y = (torch.arange(9.0).reshape(1, 1, 1, 3, 3) % 2).expand(2, 1, 1, 3, 3).contiguous()
    samples.samples = [Sample(x, None, None, None, y)]
    options = {"trees": 5, "depth": 9, "least_leaf": 1, "tried": 1.0, "lags": 1, "means": (), "window_mean": False}
    model = learned(build_model("random-forest", C, 1, **options), samples)
    plain = RandomForestRegressor(n_estimators=5, max_depth=9, max_features=1.0, random_state=3)
    rows = x[:, -1].permute(0, 2, 3, 1).reshape(-1, C).numpy()
    expected = plain.fit(rows, y.reshape(-1).numpy()).predict(rows)
    assert len(set(expected.round(3))) > 1
    found = model(x)["y_hat"].numpy().reshape(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_forest_draws_so_many_rows_evenly_and_by_its_seed():
    def drawn(seed):
        draw = forest._Drawn(300, seed)
        for start in range(0, 3000, 150):
            values = torch.arange(start, start + 150.0).reshape(1, 1, 10, 15)
            y = torch.where(values % 3 == 0, torch.nan, values)
            draw.add(values, y)
        assert (draw.features == draw.y).all()
        return draw.features[:, 0]

    first = drawn(1)
    assert len(first) == 300 == len(set(first)) and (first % 3 != 0).all()
    assert (first == drawn(1)).all() and (first != drawn(2)).any()
    counts = np.histogram(np.concatenate([drawn(seed) for seed in range(40)]), bins=10, range=(0, 3000))[0]
    assert abs(counts - 1200).max() < 5 * np.sqrt(1200)


def test_a_target_that_is_never_observed_is_refused_by_the_forest():
    samples = Made(targets=2)
    for sample in samples.samples:
        sample.y[:, :, 1] = torch.nan
    with pytest.raises(RunError, match="never observed"):
        list(build_model("random-forest", C, 2, static_channels=S, **FOREST).learn(samples, 0))


@pytest.mark.parametrize("name", ["ridge", "random-forest"])
def test_the_same_seed_gives_the_same_bits(name):
    options = FOREST if name == "random-forest" else SEEN
    models = [learned(build_model(name, C, 1, static_channels=S, **options), Made()) for _ in range(2)]
    for one, two in zip(models[0].state_dict().values(), models[1].state_dict().values()):
        assert torch.equal(one, two)


def test_persistence_is_the_last_observed_value_of_each_target():
    model = build_model("persistence", C, 2, leads=3, target_channel=(2, 0)).eval()
    sample = Made(batches=1, batch=3).samples[0]
    sample.observed[0, :, 2, 1, 1] = False
    found = model(sample.x, None, sample.observed)["y_hat"].numpy()
    x, seen = sample.x.numpy(), sample.observed.numpy()
    for b, lead, k, row, column in np.ndindex(*found.shape):
        steps = np.flatnonzero(seen[b, :, (2, 0)[k], row, column])
        step = steps[-1] if len(steps) else T - 1
        assert found[b, lead, k, row, column] == x[b, step, (2, 0)[k], row, column]
    assert torch.equal(model(sample.x)["y_hat"][:, 0, 1], sample.x[:, -1, 0])


@pytest.mark.parametrize("channel", [(3,), (0, 1), ()])
@pytest.mark.parametrize("name", ["persistence", "advection"])
def test_a_target_that_is_no_input_is_refused(name, channel):
    with pytest.raises(ConfigError, match="among its inputs"):
        build_model(name, C, 1, target_channel=channel)


class Record:
    """Targets (T, K, *frame) from a date on, given in parts."""

    def __init__(self, y, start="1999-03-05", step_seconds=86400, part=100):
        self.y, self.part = y.astype(np.float32), part
        self.times = np.datetime64(start, "s") + np.arange(len(y)) * np.timedelta64(step_seconds, "s")

    def __len__(self):
        return 0

    def targets(self):
        for start in range(0, len(self.y), self.part):
            times = self.times[start : start + self.part]
            days = times.astype(np.int64) / 86400.0
            yield Targets(self.y[start : start + self.part], time_of_year(times), days)


def with_gaps(shape, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=shape) + np.sin(np.arange(shape[0]) / 58.0).reshape(-1, *(1,) * (len(shape) - 1))
    y[rng.random(shape) < 0.5] = np.nan
    y[:, 0, 0, 0] = np.nan  # a cell that is never observed
    y[300:, 0, 0, 1] = np.nan  # one that is not observed in some weeks of the year
    return y


@pytest.mark.parametrize(("steps", "days", "groups"), [(1500, 7, 366), (1500, 0, 366), (730, 30, 366), (700, 7, 1)])
def test_the_climatology_is_the_mean_of_the_days_around(steps, days, groups):
    record = Record(with_gaps((steps, 2, H, W)))
    model = learned(build_model("climatology", C, 2, leads=3, days=days), record)
    assert model.maps.shape == (groups, 2, H, W)
    wanted = np.array(["2003-12-30", "2004-02-28"], dtype="datetime64[s]")
    wanted = wanted[:, None] + np.arange(3) * np.timedelta64(86400, "s")
    found = model(torch.zeros(2, T, C, H, W), time_of_year=torch.from_numpy(time_of_year(wanted)))["y_hat"].numpy()
    for k in range(2):
        plain = climatology(record.y[:, k].copy(), record.times, np.ones(steps, dtype=bool), days)
        expected = plain.at(wanted.reshape(-1)).reshape(2, 3, H, W)
        count = np.isfinite(record.y[:, k]).sum(axis=0)
        mean = np.where(count > 0, np.nansum(record.y[:, k], axis=0) / np.maximum(count, 1), 0.0)
        expected = np.where(np.isfinite(expected), expected, mean)
        np.testing.assert_allclose(found[:, :, k], expected, rtol=1e-4, atol=1e-5)


def test_the_climatology_of_monthly_steps_is_that_of_the_months():
    times = np.arange("2000-01", "2004-01", dtype="datetime64[M]").astype("datetime64[s]")
    record = Record(np.random.default_rng(1).normal(size=(48, 1, 2, 2)))
    record.times = times
    model = learned(build_model("climatology", 1, 1), record)
    found = model(torch.zeros(12, 1, 1, 2, 2), time_of_year=torch.from_numpy(time_of_year(times[:12]))[:, None])
    expected = record.y.reshape(4, 12, 1, 1, 2, 2).mean(axis=0)
    np.testing.assert_allclose(found["y_hat"].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_climatology_of_gauges_and_its_refusals():
    record = Record(with_gaps((1200, 1, 1, 4)))
    model = learned(build_model("climatology", C, 1, gauges=4), record)
    date = torch.tensor([[0.5], [0.999999]])
    found = model(torch.zeros(2, T, C, H, W), time_of_year=date)["y_hat"]
    assert found.shape == (2, 1, 1, 4) and torch.equal(found[1, 0, 0], model.maps[365, 0, 0])
    with pytest.raises(ConfigError, match="needs the dates"):
        model(torch.zeros(2, T, C, H, W))
    with pytest.raises(ConfigError, match="needs the dates"):
        model(torch.zeros(2, T, C, H, W), time_of_year=date[:1])
    maps = learned(build_model("climatology", C, 1), Record(with_gaps((50, 1, H, W))))
    with pytest.raises(ConfigError, match="bound to its grid"):
        maps(torch.zeros(2, T, C, H, W + 1))


def test_leap_days_and_turns_of_the_year_fall_on_their_own_day():
    dates = np.arange("1999-12-25", "2005-01-05", dtype="datetime64[D]").astype("datetime64[s]")
    from freshet.core.metrics.baselines import day_of_year
    from freshet.core.models.reference_forecasts import _day

    assert (_day(torch.from_numpy(time_of_year(dates))).numpy() == day_of_year(dates)).all()


@pytest.mark.parametrize("name", ["ridge", "random-forest", "climatology"])
def test_what_was_learned_comes_back_from_a_state_of_any_size(name):
    options = {"ridge": {"per_cell": True, **SEEN}, "random-forest": FOREST, "climatology": {}}[name]
    samples = Record(with_gaps((900, 1, H, W))) if name == "climatology" else Made()
    model = learned(build_model(name, C, 1, static_channels=S, **options), samples)
    again = build_model(name, C, 1, static_channels=S, **options)
    again.load_state_dict(model.state_dict())
    more = {"time_of_year": torch.tensor([[0.3]])} if name == "climatology" else {}
    x, static = torch.randn(1, T, C, H, W), torch.randn(1, S, H, W)
    assert torch.equal(again(x, static, **more)["y_hat"], model(x, static, **more)["y_hat"])
    learned(again, samples)  # learning again, as a fine-tuning does, begins anew
    for one, two in zip(model.state_dict().values(), again.state_dict().values()):
        assert torch.equal(one, two)


def test_a_header_that_lies_takes_no_memory():
    model = build_model("random-forest", C, 1)
    model.adopt_shapes({"left": (10**6, 10**6), "value": (10**6, 10**6, 1), "threshold": (3,)})
    assert model.left.shape == (10**6, 10**6) and model.left.untyped_storage().nbytes() < 100
    assert model.threshold.shape == (1, 1)


@pytest.mark.parametrize("name", ["ridge", "random-forest", "persistence"])
def test_bfloat16_changes_nothing(name):
    options = {"ridge": SEEN, "random-forest": FOREST, "persistence": {}}[name]
    model = build_model(name, C, 1, static_channels=0 if name == "persistence" else S, **options)
    if name != "persistence":
        learned(model, Made())
    sample = Made(batches=1).samples[0]
    exact = asked(model, sample)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (asked(model, sample) == exact).all()
