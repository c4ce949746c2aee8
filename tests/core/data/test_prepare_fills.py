"""Gaps filled on request: within their limit, block by block as in one piece, marked, never across sequences."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.variables import quantity
from freshet.core.data import blocks, passes
from freshet.core.data.blocks import Budget
from freshet.core.data.filling import Climatology, fill_linear, fill_space

from .source_files import DAY, START, job, random_maps, run, source, texts, write_folder, write_netcdf, write_tif


def _holed(steps: int = 40) -> np.ndarray:
    """Maps with a gap of 2 steps everywhere, one of 6 in a cell, and single missing cells."""
    maps = random_maps(steps)
    maps[10:12] = np.nan
    maps[20:26, 1, 1] = np.nan
    maps[30, 2, 3] = np.nan
    return maps


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 7 steps and few rows, so that gaps reach over their edges."""
    of = Budget.of.__func__
    monkeypatch.setattr(
        Budget, "of", classmethod(lambda cls, job: Budget(4 * 7 * 2 * 6, 4 * 7 * 12 * 6, of(cls, job).geometry, 2))
    )
    monkeypatch.setattr(blocks, "chunk_shape", lambda *shape: (1, 1, 1))


@pytest.mark.parametrize("stored", ["netcdf", "folder"])
@pytest.mark.parametrize("limit", [1, 5, 6])
def test_linear_within_the_limit_equals_the_whole_in_one_piece(tmp_path, small_blocks, stored, limit):
    maps = _holed()
    path = write_netcdf(tmp_path / "a.nc", {"r": maps}) if stored == "netcdf" else write_folder(tmp_path / "f", maps)
    dataset, events = run(job(tmp_path, source(path, fill="linear", fill_limit=limit)))
    expected, flags = fill_linear(maps, limit)
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), expected, rtol=1e-6)
        found = dataset.filled("rain")
        np.testing.assert_array_equal(np.zeros(maps.shape, bool) if found is None else found, flags)
        info = dataset.variables["rain"]
        assert info.fill == "linear" and info.filled_share == pytest.approx(flags.mean())
        assert info.missing_share == pytest.approx(np.isnan(expected).mean())
    assert f"{flags.mean():.2%} of the values are filled (linear in time); they are marked as filled" in texts(events)


def test_space_fills_cells_that_are_ever_observed(tmp_path, small_blocks):
    maps = _holed()
    maps[:, 3, 5] = np.nan
    dataset, _ = run(job(tmp_path, source(write_folder(tmp_path / "f", maps), fill="space", fill_limit=2)))
    expected, flags = fill_space(maps, 2, np.isfinite(maps).any(axis=0))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), expected, rtol=1e-4)
        np.testing.assert_array_equal(dataset.filled("rain"), flags)
        assert np.isnan(dataset.dynamic("rain")[:, 3, 5]).all() and np.isnan(dataset.dynamic("rain")[10]).all()


def test_climatology_fills_with_the_mean_of_that_time_of_the_year(tmp_path, small_blocks):
    maps = random_maps(800)
    maps[400:440] = np.nan
    dataset, _ = run(job(tmp_path, source(write_netcdf(tmp_path / "a.nc", {"r": maps}), fill="climatology")))
    times = START + np.arange(800) * DAY
    climate = Climatology(maps.shape[1:], 86400.0)
    climate.add(maps, times)
    expected, flags = climate.fill(maps, times)
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), expected, rtol=1e-6)
        np.testing.assert_array_equal(dataset.filled("rain"), flags)
        assert flags[400:440].all() and dataset.variables["rain"].fill == "climatology"


def test_a_calendar_s_lack_is_filled_beside_what_is_asked_for(tmp_path):
    maps = random_maps(30)
    maps[20:22] = np.nan
    path = write_netcdf(tmp_path / "a.nc", {"r": maps}, start="2000-02-20", calendar="noleap")
    for way, limit in (("space", 3), ("linear", 1), ("linear", 2)):
        dataset, _ = run(job(tmp_path, source(path, fill=way, fill_limit=limit)))
        with dataset:
            flags = dataset.filled("rain")
            assert flags[9].all() and flags[21:23].all() == (limit == 2) and flags.any(axis=(1, 2)).sum() in (1, 3)


def test_classes_take_a_neighbour_and_no_mean():
    values = np.array([3.0, np.nan, np.nan, 7.0], dtype=np.float32)[:, None, None]
    assert passes._line(quantity("class_map"))(values, 2)[0].ravel().tolist() == [3.0, 3.0, 7.0, 7.0]


def test_a_changed_fill_keeps_what_was_read(tmp_path):
    from freshet.core.data.prepare import prepare

    first = job(tmp_path, source(write_folder(tmp_path / "f", _holed())))
    events = prepare(first)
    next(event for event in events if event.values.get("text", "").startswith("Writing rain"))
    events.close()
    dataset, events = run(first.replace(sources=(first.sources[0].replace(fill="linear"),)))
    dataset.close()
    assert "1 of 1 blocks were there already" in texts(events)


def test_a_target_that_is_filled_keeps_its_mask(tmp_path):
    maps = _holed()
    maps[:, 0] = np.nan
    target = source(write_folder(tmp_path / "f", maps), role="target", fill="linear")
    mask = np.ones(maps.shape[1:], dtype=np.uint8)
    mask[0, 0] = 0
    dataset, _ = run(job(tmp_path, target))
    with dataset:
        np.testing.assert_array_equal(dataset.mask, np.isfinite(maps).any(axis=0))
    inside = source(tmp_path / "f", role="target", fill="space", fill_limit=3)
    dataset, _ = run(job(tmp_path, inside, mask=str(write_tif(tmp_path / "m.tif", mask, nodata=None))))
    with dataset:
        values = dataset.dynamic("rain")[0]
        assert np.isfinite(values[0, 1:]).all() and np.isnan(values[0, 0])
