"""Pictures and report: what stands in them, not how they look."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts import Grid
from freshet.core.contracts.variables import quantity
from freshet.core.inference.artifacts import RangeSampler, delta_note, sequential_range, symmetric_limit
from freshet.core.inference.figures import (
    Look,
    broken_at_gaps,
    cell_aspect,
    loss_figure,
    save_png,
    series_figure,
    three_panels,
)
from freshet.core.inference.judge import central_cell
from freshet.core.inference.report import Report, number, score_table, write_report

METRES = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 4000.0, 4000.0, 9, 12)
DEGREES = Grid("EPSG:4326", 6.0, 50.0, 0.1, 0.1, 9, 12)
LOOK = Look("Soil moisture", "-", "YlGnBu", 0.2, 0.8, 0.1, "too dry", "too wet")


def maps():
    rng = np.random.default_rng(0)
    observed = rng.random((12, 9))
    observed[:4, :3] = np.nan
    return observed + 0.05, observed


def sampled(values):
    sampler = RangeSampler(np.size(values))
    sampler.add(np.asarray(values, dtype=float))
    return sampler


def words_of(figure):
    from matplotlib.text import Text

    return " | ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("grid", [METRES, DEGREES])
def test_panels_share_one_range_and_the_delta_is_symmetric(grid):
    predicted, observed = maps()
    figure = three_panels(predicted, observed, grid, LOOK, title="Soil moisture, 2001-07-04", cell=(6, 5))
    images = [axis.images[0] for axis in figure.axes if axis.images]
    assert [image.get_clim() for image in images] == [(0.2, 0.8), (0.2, 0.8), (-0.1, 0.1)]
    np.testing.assert_allclose(images[2].get_array().compressed(), 0.05)
    words = words_of(figure)
    assert "red: too dry" in words and "blue: too wet" in words and "Soil moisture (-)" in words and "km" in words


def test_panel_without_observation_shows_the_prediction_alone():
    figure = three_panels(maps()[0], None, METRES, LOOK, title="x")
    assert "Observed" not in words_of(figure) and "Predicted" in words_of(figure)


def test_picture_is_written_whole(tmp_path):
    save_png(three_panels(*maps(), METRES, LOOK, title="x"), tmp_path / "p.png", dpi=40)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG") and len(list(tmp_path.iterdir())) == 1


def test_degrees_are_not_stretched():
    assert cell_aspect(METRES) == 1.0
    assert cell_aspect(DEGREES) == pytest.approx(1 / np.cos(np.radians(49.4)))


def test_rain_hangs_from_above_and_lines_keep_clear_of_gaps():
    dates = np.datetime64("2001-01-01", "s") + np.array([0, 1, 2, 7, 8]) * np.timedelta64(86400, "s")
    values, rain = np.arange(5.0), np.array([0.0, 5.0, 0.0, 9.0, np.nan])
    figure = series_figure(
        dates, [("Mean", values, values + 1, rain)], label="Runoff", units="mm/d", step_seconds=86400
    )
    low, high = figure.axes[1].get_ylim()
    assert low > high == 0.0  # turned upside down
    moments, broken = broken_at_gaps(dates, values, 86400)
    assert len(moments) == 6 and np.isnan(broken[3])


def test_loss_curve_shows_both_losses_and_the_best_epoch():
    history = [{"epoch": e, "train_loss": 1 / e, "validation_loss": 2 / e, "best_epoch": 2} for e in (1, 2, 3)]
    words = words_of(loss_figure(history))
    assert "training" in words and "validation" in words and "best epoch 2" in words


def test_ranges_hold_for_all_values_and_start_at_zero_near_it():
    values = np.linspace(0.02, 10, 1001)
    assert sequential_range(sampled(values)) == (0.0, pytest.approx(9.9, abs=0.02))
    assert sequential_range(sampled([3.0, 3.0])) == (2.5, 3.5)
    assert sequential_range(sampled([np.nan])) == (0.0, 1.0)
    assert symmetric_limit(sampled(np.linspace(0, 1, 101))) == pytest.approx(0.98)
    assert symmetric_limit(sampled([0.0])) > 0


def test_sign_of_a_delta_is_said_in_words_that_fit():
    assert "too wet" in delta_note(quantity("soil_moisture"))
    assert "too high" in delta_note(quantity("temperature"))


def test_numbers_are_short_and_undefined_ones_a_dash():
    assert [number(v) for v in (0.96123, None, float("nan"), 1234.5, 0.00001, 0.0)] == [
        "0.961", "–", "–", "1234.5", "1e-05", "0",
    ]  # fmt: skip


def held(value):
    return {"pooled": {"nse": value, "rmse": 1.0}, "median_per_cell": {"nse": None}}


def test_table_always_has_the_baselines_and_one_block_a_lead():
    scores = {
        "lead_steps": 1,
        "model": held(0.9),
        "persistence": {**held(0.8), "note": "old"},
        "climatology": held(0.5),
    }
    second = {**scores, "lead_steps": 2}
    table = score_table({**scores, "by_lead": [scores, second]}, "mm/d")
    assert table.count("Persistence") == 2 and table.count("Climatology") == 2
    assert "1 step ahead" in table and "2 steps ahead" in table and "RMSE (mm/d)" in table


def test_names_cannot_break_the_page(tmp_path):
    report = Report("<b>t</b>", "", [("On", "<script>")], LOOK, METRES, 86400.0)
    write_report(tmp_path / "r.html", report)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>" not in text and "&lt;b&gt;" in text and "nothing can be judged" in text


def test_cell_of_the_series_lies_in_the_basin_where_it_was_observed():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 2:7] = True
    assert central_cell(mask) == (4, 4)
    observed = np.full((10, 9, 9), np.nan)
    observed[:, 6, 6] = 1.0
    assert central_cell(mask, np.isfinite(observed).sum(axis=0)) == (6, 6)
    assert central_cell(np.zeros((3, 3), dtype=bool)) in [(r, c) for r in range(3) for c in range(3)]
