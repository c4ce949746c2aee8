"""gridding: inverse distance and kriging equal a plain transcription of their formulas; errors are those measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from freshet.core.contracts import DataError, Grid
from freshet.core.data.gauge_places import EARTH_M, GaugePlaces, cells_of
from freshet.core.data.gridding import PointGridder, gridder_for, inverse_distance, placing_doubts
from freshet.core.data.interpolation_error import coarsen_restore, leave_one_out, score
from freshet.core.data.kriging import System, Variogram, fit_variogram, right_side
from freshet.core.data.sources.stations import Stations

METRES = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 5000.0, 4000.0, 9, 7)
DEGREES = Grid("EPSG:4326", 170.0, 64.0, 0.5, 0.4, 8, 6)
SPHERICAL = Variogram("spherical", 2.0, 30_000.0, 0.0, relative=False)


def gauges(grid: Grid, count: int, seed: int = 3) -> Stations:
    """Gauges scattered over a grid and a little around it."""
    rng = np.random.default_rng(seed)
    west, south, east, north = grid.extent
    wide, high = (east - west) * 0.1, (north - south) * 0.1
    x, y = rng.uniform(west - wide, east + wide, count), rng.uniform(south - high, north + high, count)
    return Stations([f"g{i}" for i in range(count)], x, y, grid.crs)


def series(steps: int, count: int, missing: float = 0.3, seed: int = 5) -> np.ndarray:
    """Values (steps, count) with gaps."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(1.0, 5.0, (steps, count))
    values[rng.random(values.shape) < missing] = np.nan
    return values


def apart(grid: Grid, x1: float, y1: float, x2: float, y2: float) -> float:
    """Distance of two points: on the sphere by the haversine, or in the plane."""
    if grid is METRES:
        return math.hypot(x2 - x1, y2 - y1)
    p1, p2, d = math.radians(y1), math.radians(y2), math.radians(x2 - x1)
    h = math.sin((p2 - p1) / 2) ** 2 + math.cos(p1) * math.cos(p2) * math.sin(d / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(h))


def plain_idw(stations: Stations, grid: Grid, values: np.ndarray) -> np.ndarray:
    """Inverse distance, cell by cell and gauge by gauge."""
    xs, ys = grid.centres()
    out = np.full((len(values), *grid.shape), np.nan)
    for t, row, column in np.ndindex(out.shape):
        near = sorted(
            (apart(grid, xs[column], ys[row], stations.x[g], stations.y[g]), values[t, g])
            for g in range(len(stations)) if np.isfinite(values[t, g])
        )[:12]  # fmt: skip
        if near:
            out[t, row, column] = sum(v / d**2 for d, v in near) / sum(1 / d**2 for d, _ in near)
    return out


def plain_kriging(stations: Stations, grid: Grid, values: np.ndarray, variogram: Variogram):
    """Ordinary kriging and its variance, cell by cell: the system of the present gauges solved anew for each."""
    xs, ys = grid.centres()
    out, variance = np.full((len(values), *grid.shape), np.nan), np.full((len(values), *grid.shape), np.nan)

    def gamma(h):
        h = min(h, variogram.range)
        return variogram.partial_sill * (1.5 * h / variogram.range - 0.5 * (h / variogram.range) ** 3)

    for t, row, column in np.ndindex(out.shape):
        here = [g for g in range(len(stations)) if np.isfinite(values[t, g])]
        if len(here) < 4:
            continue
        n = len(here)
        a, b = np.ones((n + 1, n + 1)), np.ones(n + 1)
        a[n, n] = 0
        for i, g in enumerate(here):
            b[i] = gamma(apart(grid, xs[column], ys[row], stations.x[g], stations.y[g]))
            for j, other in enumerate(here):
                a[i, j] = gamma(apart(grid, stations.x[g], stations.y[g], stations.x[other], stations.y[other]))
        weights = np.linalg.solve(a, b)
        out[t, row, column] = weights[:n] @ values[t, here]
        variance[t, row, column] = weights @ b
    return out, variance


@pytest.mark.parametrize("grid", [METRES, DEGREES], ids=["plane", "sphere"])
@pytest.mark.parametrize("count, missing", [(7, 0.3), (50, 0.0), (50, 0.3), (50, 0.9)])
def test_inverse_distance_equals_its_formula(grid, count, missing):
    stations, values = gauges(grid, count), series(6, count, missing)
    values[4] = np.nan
    maps = PointGridder(stations, grid, "idw")(values)
    expected = plain_idw(stations, grid, values)
    assert maps.dtype == np.float32 and maps.shape == (6, *grid.shape) and np.isnan(maps[4]).all()
    np.testing.assert_allclose(maps, expected, rtol=2e-6)


@pytest.mark.parametrize("grid", [METRES, DEGREES], ids=["plane", "sphere"])
def test_kriging_and_its_variance_equal_their_formulas(grid):
    stations, values = gauges(grid, 15), series(6, 15)
    values[3] = values[2]
    expected, expected_variance = plain_kriging(stations, grid, values, SPHERICAL)
    gridder = PointGridder(stations, grid, "kriging", SPHERICAL)
    np.testing.assert_allclose(gridder(values), expected, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(gridder.variance(values), expected_variance, rtol=2e-5, atol=1e-6)


def test_kriging_equals_pykrige():
    from pykrige.ok import OrdinaryKriging

    stations, values = gauges(METRES, 12), series(1, 12, 0.0)
    parameters = {"psill": 2.0, "range": 30_000.0, "nugget": 0.4}
    theirs = OrdinaryKriging(stations.x, stations.y, values[0], "exponential", parameters)
    xs, ys = METRES.centres()
    expected, variance = theirs.execute("grid", np.array(xs), np.array(ys))
    gridder = PointGridder(stations, METRES, "kriging", Variogram("exponential", 2.0, 30_000.0, 0.4, relative=False))
    np.testing.assert_allclose(gridder(values)[0], expected, rtol=1e-5)
    np.testing.assert_allclose(gridder.variance(values)[0], variance, rtol=1e-5)


def test_at_a_gauge_both_methods_give_its_value_and_the_variance_is_zero():
    xs, ys = METRES.centres()
    rows, columns = np.array([0, 2, 3, 6, 5]), np.array([1, 7, 4, 0, 8])
    stations = Stations(list("abcde"), np.array(xs)[columns], np.array(ys)[rows], METRES.crs)
    values = series(4, 5, 0.0)
    for method in ("idw", "kriging"):
        maps = PointGridder(stations, METRES, method, SPHERICAL)(values)
        np.testing.assert_allclose(maps[:, rows, columns], values, rtol=1e-5)
    variance = PointGridder(stations, METRES, "kriging", SPHERICAL).variance(values)
    np.testing.assert_allclose(variance[:, rows, columns], 0.0, atol=1e-6)
    assert (np.delete(variance.reshape(4, -1), rows * METRES.columns + columns, axis=1) > 0).all()


def test_weights_sum_to_one():
    places = GaugePlaces(gauges(METRES, 20), METRES.crs)
    right = right_side(
        places.distances_to(np.array([4_010_000.0, 4_030_000.0]), np.array([2_990_000.0] * 2)), SPHERICAL
    )
    np.testing.assert_allclose(System(places.distances, SPHERICAL).weights(right).sum(axis=1), 1.0, atol=1e-10)
    distances = np.array([[1.0, 2.0, 5.0], [0.0, 1.0, 0.0], [3.0, 3.0, 3.0]])
    used = np.array([[True, True, False], [True, True, True], [True, False, True]])
    weights = inverse_distance(distances, used)
    np.testing.assert_allclose(weights, [[0.8, 0.2, 0.0], [0.5, 0.0, 0.5], [0.5, 0.0, 0.5]])
    flat = PointGridder(gauges(METRES, 20), METRES, "kriging", SPHERICAL)(np.full((1, 20), 7.5))
    np.testing.assert_allclose(flat, 7.5, rtol=1e-5)


def test_the_mean_is_taken_everywhere_even_without_places():
    stations = Stations(["a", "b", "c"], *np.full((2, 3), np.nan))
    maps = PointGridder(stations, METRES, "everywhere")(np.array([[1.0, 3.0, np.nan], [np.nan] * 3, [0.0, 0.0, 6.0]]))
    assert (maps[0] == 2).all() and np.isnan(maps[1]).all() and (maps[2] == 2).all() and maps.dtype == np.float32
    with pytest.raises(DataError, match="without places cannot be interpolated"):
        PointGridder(stations, METRES, "idw")


def test_gauges_without_a_place_are_left_out_and_those_at_one_place_averaged():
    x, y = (
        np.array([4_010_000.0, 4_030_000.0, np.nan, 4_010_000.0]),
        np.array([2_990_000.0, 2_980_000.0, 1.0, 2_990_000.0]),
    )
    values = np.array([[1.0, 5.0, 100.0, 3.0], [np.nan, 5.0, 100.0, 3.0]])
    maps = PointGridder(Stations(list("abcd"), x, y, METRES.crs), METRES, "idw")(values)
    single = PointGridder(Stations(list("ab"), x[:2], y[:2], METRES.crs), METRES, "idw")
    np.testing.assert_allclose(maps, single(np.array([[2.0, 5.0], [3.0, 5.0]])), rtol=1e-6)
    places = GaugePlaces(Stations(list("abcd"), x, y, METRES.crs), METRES.crs)
    assert places.ids == ["a, d", "b"] and places.merged == 1


def test_stations_in_another_crs_and_strips_of_rows_give_the_same_maps():
    stations, values = gauges(METRES, 15), series(3, 15)
    lon, lat = stations.places_in("EPSG:4326")
    for method in ("idw", "kriging"):
        whole = PointGridder(stations, METRES, method, SPHERICAL)(values)
        moved = PointGridder(Stations(stations.ids, lon, lat, "EPSG:4326"), METRES, method, SPHERICAL)(values)
        np.testing.assert_allclose(moved, whole, rtol=1e-5)
        strips = PointGridder(stations, METRES, method, SPHERICAL)
        joined = np.concatenate([strips(values, (0, 3)), strips(values, (3, 4)), strips(values, (4, 7))], axis=1)
        np.testing.assert_allclose(joined, whole, rtol=1e-6)
    variance = strips.variance(values, (2, 5))
    np.testing.assert_allclose(variance, strips.variance(values)[:, 2:5], rtol=1e-6)


def test_a_grid_too_large_to_remember_gives_the_same(monkeypatch):
    stations, values = gauges(METRES, 40), series(5, 40, 0.6)
    expected = [PointGridder(stations, METRES, method, SPHERICAL)(values) for method in ("idw", "kriging")]
    monkeypatch.setattr("freshet.core.data.gridding._NUMBERS", 200)
    for maps, method in zip(expected, ("idw", "kriging")):
        np.testing.assert_allclose(PointGridder(stations, METRES, method, SPHERICAL)(values), maps, rtol=1e-5)


def test_steps_with_few_gauges_take_inverse_distance_and_rain_stays_above_zero():
    stations, values = gauges(METRES, 8), series(3, 8, 0.0)
    values[1, 3:] = np.nan
    values[2] = 0.0
    values[2, 0] = 80.0
    smooth = Variogram("gaussian", 2.0, 60_000.0, 0.0, relative=False)
    free = PointGridder(stations, METRES, "kriging", smooth)(values)
    held = PointGridder(stations, METRES, "kriging", smooth, minimum=0.0)(values)
    assert free[2].min() < -0.1 and held.min() == 0.0
    np.testing.assert_array_equal(held, np.maximum(free, 0.0))
    np.testing.assert_allclose(held[1], plain_idw(stations, METRES, values[1:2])[0], rtol=1e-5)
    assert np.isnan(PointGridder(stations, METRES, "kriging", smooth).variance(values)[1]).all()


def _field(steps: int, stations: Stations, reach: float, sill=1.0, nugget=0.0, seed=2) -> np.ndarray:
    """Gaussian fields with an exponential variogram whose practical range is ``reach``, each step at its own level."""
    rng = np.random.default_rng(seed)
    distances = GaugePlaces(stations, stations.crs).distances
    covariance = sill * np.exp(-3 * distances / reach) + nugget * np.eye(len(stations))
    values = rng.standard_normal((steps, len(stations))) @ np.linalg.cholesky(covariance).T
    return values * rng.uniform(0.1, 30, (steps, 1)) + rng.uniform(-50, 50, (steps, 1))


def test_the_variogram_of_a_known_field_is_found_whatever_the_level_of_each_step():
    stations = gauges(METRES, 60)
    distances = GaugePlaces(stations, METRES.crs).distances
    values = _field(800, stations, 15_000.0)
    values[np.random.default_rng(1).random(values.shape) < 0.2] = np.nan
    found = fit_variogram(distances, values)
    lags = np.array([3000.0, 8000.0, 15_000.0, 25_000.0])
    truth = 1 - np.exp(-3 * lags / 15_000.0)
    np.testing.assert_allclose(found(lags) / found(np.array([40_000.0])), truth, atol=0.12)
    assert found.nugget < 0.2 and found.relative
    noisy = fit_variogram(distances, _field(800, stations, 15_000.0, 0.5, 0.5))
    assert 0.3 < noisy.nugget / (noisy.nugget + noisy.partial_sill) < 0.7


def test_a_relative_variance_follows_the_spread_of_the_step():
    stations, values = gauges(METRES, 10), series(2, 10, 0.0)
    values[1] = 3 * values[0] + 100
    variogram = Variogram("spherical", 1.0, 30_000.0, 0.0)
    variance = PointGridder(stations, METRES, "kriging", variogram).variance(values)
    np.testing.assert_allclose(variance[1], 9 * variance[0], rtol=1e-5)
    unit = PointGridder(stations, METRES, "kriging", Variogram("spherical", 1.0, 30_000.0, 0.0, relative=False))
    np.testing.assert_allclose(variance[0], unit.variance(values)[0] * values[0].var(ddof=1), rtol=1e-5)


@pytest.mark.parametrize("values", [np.full((20, 9), 3.0), series(20, 9, 1.0), series(20, 9)[:, :3]])
def test_no_variogram_without_variation_or_gauges(values):
    distances = GaugePlaces(gauges(METRES, values.shape[1]), METRES.crs).distances
    assert fit_variogram(distances, values) is None


class _Table:
    """What the gridder asks of a table of gauges."""

    def __init__(self, stations, values, gridding="kriging", quantity="precipitation"):
        from freshet.core.contracts import SourceConfig

        self.name, self.stations, self.gridding, self._values = "rain", stations, gridding, values
        self.config = SourceConfig(variable="rain", path="rain.csv", quantity=quantity)
        self.times = np.arange(len(values))

    def read_points(self, start, stop):
        return self._values[start:stop]


def test_what_is_done_with_the_gauges_is_said():
    stations, values = gauges(METRES, 12), series(40, 12)
    values[7, 3:] = np.nan
    gridder, notes, warnings = gridder_for(_Table(stations, values), METRES)
    assert gridder.method == "kriging" and gridder.minimum == 0.0 and gridder.variogram is not None
    assert "ordinary kriging" in notes[0] and "km" in notes[0] and "below 0" in notes[1]
    assert any("1 steps have fewer than 4 gauges" in text for text in warnings)
    assert any("outside the grid" in text for text in warnings)
    gridder, notes, _ = gridder_for(_Table(stations, values, quantity="temperature"), METRES)
    assert gridder.minimum is None and len(notes) == 1
    few = Stations(stations.ids[:3], stations.x[:3], stations.y[:3], stations.crs)
    gridder, notes, warnings = gridder_for(_Table(few, values[:, :3]), METRES)
    assert gridder.method == "idw" and "needs 4 gauges" in " ".join(warnings) and "inverse distance" in notes[0]
    _, _, warnings = gridder_for(_Table(stations, np.ones((9, 12))), METRES)
    assert "do not vary" in " ".join(warnings)
    nowhere = Stations(stations.ids, *np.full((2, 12), np.nan))
    gridder, notes, warnings = gridder_for(_Table(nowhere, values, "everywhere"), METRES)
    assert warnings == [] and "mean of 12 gauges" in notes[0]


def test_gauges_outside_or_with_exchanged_coordinates_are_told():
    grid = Grid("EPSG:4326", 5.0, 51.0, 0.1, 0.1, 20, 20)
    inside = Stations(["a", "b"], np.array([5.55, 6.0]), np.array([50.95, 49.5]), "EPSG:4326")
    assert placing_doubts(inside, grid, "q") == []
    rows, columns = cells_of(inside, grid)
    assert rows.tolist() == [0, 15] and columns.tolist() == [5, 10]
    turned = Stations(["a", "b"], inside.y, inside.x, "EPSG:4326")
    assert "seem to be exchanged" in placing_doubts(turned, grid, "q")[0]
    mixed = Stations(["a", "b", "c"], np.array([5.5, 9.0, np.nan]), np.array([50.5, 50.5, 50.0]), "EPSG:4326")
    doubts = placing_doubts(mixed, grid, "q")
    assert "1 of 3 gauges have no place" in doubts[0] and "1 of 3 gauges lie outside the grid: b" in doubts[1]
    assert cells_of(mixed, grid)[0].tolist() == [5, -1, -1]


@pytest.mark.parametrize("grid", [METRES, DEGREES], ids=["plane", "sphere"])
def test_leaving_one_out_equals_doing_so_by_hand(grid):
    stations, values = gauges(grid, 16), series(12, 16, 0.5)
    variogram = Variogram("spherical", 1.0, 40_000.0, 0.1)
    report = leave_one_out(stations, values, "kriging", grid.crs, variogram=variogram, minimum=0.0)
    estimates = {name: np.full(values.shape, np.nan) for name in ("idw", "kriging", "nearest", "mean")}
    for t, g in zip(*np.nonzero(np.isfinite(values))):
        left = values[t : t + 1].copy()
        left[0, g] = np.nan
        others = np.flatnonzero(np.isfinite(left[0]))
        if not len(others):
            continue
        cell = Grid(grid.crs, stations.x[g] - 1e-3, stations.y[g] + 1e-3, 2e-3, 2e-3, 1, 1)
        for name in ("idw", "kriging"):
            estimates[name][t, g] = PointGridder(stations, cell, name, variogram, 0.0)(left)[0, 0, 0]
        distances = [apart(grid, stations.x[g], stations.y[g], stations.x[o], stations.y[o]) for o in others]
        estimates["nearest"][t, g] = left[0, others[int(np.argmin(distances))]]
        estimates["mean"][t, g] = left[0, others].mean()
    for name, expected in estimates.items():
        both = np.isfinite(expected) & np.isfinite(values)
        miss = (expected - values)[both]
        got = report.scores[name]
        assert got.count == both.sum() > 50, name
        correlation = np.corrcoef(expected[both], values[both])[0, 1]
        wanted = [np.sqrt((miss**2).mean()), np.abs(miss).mean(), miss.mean(), correlation]
        mine = [got.rmse, got.mae, got.bias, got.correlation]
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-6, err_msg=name)
    expected = score(estimates["kriging"][:, 4], values[:, 4])
    assert report.stations["g4"].rmse == pytest.approx(expected.rmse, rel=1e-4)
    assert report.stations["g4"].count == expected.count > 2


def test_the_best_method_is_named_and_long_records_are_thinned_evenly():
    stations = gauges(METRES, 30)
    smooth = _field(300, stations, 60_000.0)
    report = leave_one_out(stations, smooth, "everywhere", METRES.crs, max_steps=100)
    assert report.method == "mean" and report.best == "kriging" and report.steps == 100 and report.record_steps == 300
    text = report.sentence("rain", "mm/d")
    assert "100 of 300 steps" in text and "Best here: kriging" in text and "mm/d (RMSE" in text
    thinned = smooth[np.linspace(0, 299, 100).round().astype(int)]
    again = leave_one_out(stations, thinned, "mean", METRES.crs)
    assert again.scores["idw"] == report.scores["idw"]
    assert set(report.to_dict()["scores"]) == {"idw", "kriging", "nearest", "mean"}


def test_errors_that_cannot_be_measured_say_so():
    stations = gauges(METRES, 1)
    report = leave_one_out(stations, series(5, 1, 0.0), "idw", METRES.crs)
    assert report.score.count == 0 and "cannot be measured" in report.sentence("q")
    assert report.to_dict()["scores"]["idw"]["rmse"] is None
    report = leave_one_out(gauges(METRES, 3), series(5, 3, 0.0), "kriging", METRES.crs)
    assert report.method == "idw" and "kriging" not in report.scores and report.score.count == 15


def _slope(grid: Grid) -> np.ndarray:
    xs, ys = grid.centres()
    return (np.array(xs)[None, :] * 1e-4 + np.array(ys)[:, None] * 2e-4)[None].astype(np.float64)


def test_refining_is_measured_one_scale_up():
    source = Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 13, 9)
    target = Grid("EPSG:3035", 4e6, 3e6, 500.0, 500.0, 26, 18)
    maps = np.random.default_rng(0).uniform(0, 10, (3, 9, 13)).astype(np.float32)
    found = coarsen_restore(maps, source, target, "average")
    blocks = maps[:, :8, :12].reshape(3, 4, 2, 6, 2).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    miss = blocks - maps[:, :8, :12]
    assert found.rmse == pytest.approx(np.sqrt((miss**2).mean()), rel=1e-5)
    assert found.mae == pytest.approx(np.abs(miss).mean(), rel=1e-5)
    assert found.count == 3 * 8 * 12 and abs(found.bias) < 1e-6 and math.isnan(found.wrong_share)
    assert "gathered to cells of 2000 and restored (average)" in found.meaning
    slope = _slope(source)
    smooth, blocky = (coarsen_restore(slope, source, target, method) for method in ("bilinear", "nearest"))
    assert smooth.rmse < 0.6 * blocky.rmse


def test_coarsening_is_measured_by_going_there_and_back():
    source = Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 12, 8)
    target = Grid("EPSG:3035", 4e6, 3e6, 4000.0, 4000.0, 3, 2)
    maps = np.random.default_rng(0).uniform(0, 10, (2, 8, 12)).astype(np.float32)
    found = coarsen_restore(maps, source, target, "conservative")
    blocks = maps.reshape(2, 2, 4, 3, 4).mean(axis=(2, 4)).repeat(4, axis=1).repeat(4, axis=2)
    assert found.rmse == pytest.approx(np.sqrt(((blocks - maps) ** 2).mean()), rel=1e-5)
    assert "brought to cells of 4000 and back" in found.meaning
    assert coarsen_restore(maps, source, source, "bilinear") is None
    tiny = Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 3, 3)
    assert coarsen_restore(maps[:, :3, :3], tiny, Grid("EPSG:3035", 4e6, 3e6, 100.0, 100.0, 30, 30), "bilinear") is None


def test_of_classes_the_share_that_changes_is_given():
    source = Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 4, 4)
    target = Grid("EPSG:3035", 4e6, 3e6, 500.0, 500.0, 8, 8)
    maps = np.array([[[1, 1, 2, 2], [1, 3, 2, 2], [5, 5, 7, 7], [5, 5, 7, 8]]], dtype=np.float32)
    found = coarsen_restore(maps, source, target, "mode")
    assert found.wrong_share == pytest.approx(2 / 16)


def test_missing_cells_do_not_count_as_error():
    source = Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, 8, 8)
    maps = np.full((1, 8, 8), 4.0, dtype=np.float32)
    maps[0, :, 5:] = np.nan
    found = coarsen_restore(maps, source, Grid("EPSG:3035", 4e6, 3e6, 500.0, 500.0, 16, 16), "bilinear")
    assert found.rmse == 0.0 and 0 < found.count <= 40 and found.to_dict()["wrong_share"] is None


def test_gauges_in_their_cells_leave_all_other_cells_missing():
    x = [METRES.west + 0.5 * METRES.cell_x, METRES.west + 0.7 * METRES.cell_x, METRES.west + 2.5 * METRES.cell_x, -1e7]
    y = [METRES.north - 0.5 * METRES.cell_y] * 2 + [METRES.north - 1.5 * METRES.cell_y, 0.0]
    stations = Stations(["a", "b", "c", "outside"], np.array(x), np.array(y), METRES.crs)
    values = np.array([[1.0, 3.0, 5.0, 9.0], [np.nan, 4.0, np.nan, 9.0], [np.nan] * 4])
    gridder = PointGridder(stations, METRES, "cell")
    maps = gridder(values)
    expected = np.full((3, *METRES.shape), np.nan, dtype=np.float32)
    expected[0, 0, 0], expected[0, 1, 2], expected[1, 0, 0] = 2.0, 5.0, 4.0
    assert np.array_equal(maps, expected, equal_nan=True) and maps.dtype == np.float32
    assert np.array_equal(gridder(values, (1, 2)), expected[:, 1:2], equal_nan=True)
    _, notes, warnings = gridder_for(_Table(stations, values, "cell"), METRES)
    assert "3 gauges in their 2 cells; all others are missing" in notes[0]
    assert "1 of 4 gauges lie outside" in warnings[0]
    nowhere = Stations(["outside"], np.array([-1e7]), np.array([0.0]), METRES.crs)
    with pytest.raises(DataError, match="no gauge lies within the grid"):
        gridder_for(_Table(nowhere, values[:, :1], "cell"), METRES)
