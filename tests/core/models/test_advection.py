"""Advection: known motions are found and followed; flow and extrapolation equal plain transcriptions in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model
from freshet.core.models.optical_flow import blurred, motion, moved_on

REACH, LEVELS, ROUNDS = 3.0, 5, 3


def blobs(rows, columns, seed=0):
    """A smooth field that can be asked at any place."""
    rng = np.random.default_rng(seed)
    count = 40
    at = rng.uniform(-20, 120, (count, 2))
    height, width = rng.uniform(0.5, 2.0, count), rng.uniform(4, 10, count)
    distance = (rows[..., None] - at[:, 0]) ** 2 + (columns[..., None] - at[:, 1]) ** 2
    return (height * np.exp(-0.5 * distance / width**2)).sum(axis=-1)


def grid(height, width):
    return np.meshgrid(np.arange(height, dtype=float), np.arange(width, dtype=float), indexing="ij")


def drifting(steps, down, across, height=90, width=100, seed=0):
    """Maps (T, H, W) of a field that moves by so many cells a step."""
    rows, columns = grid(height, width)
    return np.array([blobs(rows - down * t, columns - across * t, seed) for t in range(steps)])


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


@pytest.mark.parametrize(("down", "across"), [(2.0, -3.0), (0.4, 0.7), (-5.5, 1.2), (0.0, 0.0)])
def test_a_steady_motion_is_found_and_followed(down, across):
    maps = drifting(12, down, across)
    model = build_model("advection", 2, 1, leads=3, target_channel=1, blur=0.0, first_lead=2).eval()
    x = torch.stack((torch.zeros(4, 90, 100), tensor(maps[:4])), dim=1)[None]
    result = model(x)
    inner = (slice(40, 60), slice(40, 60))
    moves = result["motion"][0, 0].numpy()
    np.testing.assert_allclose(moves[0][inner], across, atol=0.1)
    np.testing.assert_allclose(moves[1][inner], down, atol=0.1)
    for lead in range(3):
        truth, found = maps[3 + 2 + lead][inner], result["y_hat"][0, lead, 0].numpy()[inner]
        assert np.abs(found - truth).max() < 0.06 * np.ptp(maps)
        moved = np.abs(maps[3][inner] - truth).max()
        assert moved == 0.0 or np.abs(found - truth).max() < 0.35 * moved


def test_a_turning_motion_is_found_where_one_vector_would_not_do():
    rows, columns = grid(91, 91)
    turned = []
    for step in range(4):
        angle = 0.03 * step
        down, across = rows - 45, columns - 45
        turned.append(
            blobs(
                45 + np.cos(angle) * down - np.sin(angle) * across, 45 + np.sin(angle) * down + np.cos(angle) * across
            )
        )
    moves = motion(tensor(turned)[None], torch.ones(1, 4, 91, 91), 8.0)[0].numpy()
    disc = (rows - 45) ** 2 + (columns - 45) ** 2 < 30**2
    for found, truth in ((moves[0], -0.03 * (rows - 45)), (moves[1], 0.03 * (columns - 45))):
        assert np.corrcoef(found[disc], truth[disc])[0, 1] > 0.97
        assert np.abs(found - truth)[disc].mean() < 0.15


def test_what_is_missing_neither_bends_the_motion_nor_enters_the_map():
    maps = drifting(5, 1.5, 2.0)
    rows, columns = grid(90, 100)
    known = (rows - 45) ** 2 + (columns - 50) ** 2 < 38**2
    model = build_model("advection", 1, 1, leads=2, blur=0.0).eval()
    observed = torch.from_numpy(known).expand(1, 4, 1, 90, 100)
    x = tensor(np.where(known, maps[:4], 0.0))[None, :, None]
    clean = model(x, None, observed)
    dirty = model(torch.where(observed, x, 1e3), None, observed)
    inside = (rows - 45) ** 2 + (columns - 50) ** 2 < 25**2
    assert torch.equal(clean["motion"], dirty["motion"])
    for k in range(2):
        assert np.array_equal(clean["y_hat"][0, k, 0].numpy()[inside], dirty["y_hat"][0, k, 0].numpy()[inside])
    np.testing.assert_allclose(clean["motion"][0, 0, 0].numpy()[inside], 2.0, atol=0.3)
    # What comes from outside is not known: there the last observed value stays.
    coming = known & ((rows - 1.5 - 45) ** 2 + (columns - 2.0 - 50) ** 2 > 39.0**2)
    assert coming.any() and np.array_equal(clean["y_hat"][0, 0, 0].numpy()[coming], x[0, -1, 0].numpy()[coming])


def test_without_rain_or_observation_nothing_moves():
    model = build_model("advection", 1, 1, leads=2, blur=0.0).eval()
    x = torch.full((1, 4, 1, 20, 30), -0.7)
    result = model(x)
    torch.testing.assert_close(result["y_hat"], torch.full((1, 2, 1, 20, 30), -0.7))
    assert float(result["motion"].abs().max()) < 1e-6
    x = torch.randn(1, 4, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    unseen = model(x, None, torch.zeros(1, 4, 1, 20, 30))
    assert torch.equal(unseen["y_hat"], x[:, -1:].expand(1, 2, 1, 20, 30)) and not unseen["motion"].any()


def test_each_target_moves_by_its_own_flow_and_a_sample_knows_no_other():
    one, two = drifting(4, 2.0, 0.0, seed=1), drifting(4, 0.0, -2.0, seed=2)
    model = build_model("advection", 2, 2, target_channel=(1, 0)).eval()
    x = torch.stack((tensor(one), tensor(two)), dim=1)[None]
    x = torch.cat((x, x.flip(2), torch.randn(x.shape, generator=torch.Generator().manual_seed(1))))
    result = model(x)
    assert float(result["motion"][0, 1, 1, 45, 50]) == pytest.approx(2.0, abs=0.15)
    assert float(result["motion"][0, 0, 0, 45, 50]) == pytest.approx(-2.0, abs=0.15)
    torch.testing.assert_close(result["y_hat"][0, :, 0], result["y_hat"][1, :, 1])
    for k in range(3):
        torch.testing.assert_close(model(x[k : k + 1])["y_hat"][0], result["y_hat"][k], rtol=1e-4, atol=1e-5)


def test_bfloat16_changes_nothing():
    model = build_model("advection", 1, 1).eval()
    x = tensor(drifting(4, 1.0, 1.0))[None, :, None]
    exact = model(x)["y_hat"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(x)["y_hat"], exact)


def test_a_window_shorter_than_the_maps_is_refused():
    with pytest.raises(ConfigError, match="window is too short"):
        build_model("advection", 1, 1, frames=4)(torch.zeros(1, 3, 1, 20, 20))
    with pytest.raises(ConfigError, match="frames"):
        build_model("advection", 1, 1, frames=1)


# Plain transcriptions: one map (H, W) at a time, value by value where that is bearable.


def between(values, row, column):
    """Linear between cells; beyond the edge the value at the edge."""
    height, width = values.shape
    row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    r, c = min(int(row), height - 2), min(int(column), width - 2)
    a, b = row - r, column - c
    upper = (1 - b) * values[r, c] + b * values[r, c + 1]
    return (1 - a) * upper + a * ((1 - b) * values[r + 1, c] + b * values[r + 1, c + 1])


def gaussian(values, width):
    """Sum weighed by a Gaussian cut at three widths, 0 beyond the edge; wide ones on means of blocks."""
    height, columns = values.shape
    block = 1
    while width / block > 4.0 and min(height, columns) / (2 * block) >= 4:
        block *= 2
    if block > 1:
        coarse = np.zeros((-(-height // block), -(-columns // block)))
        for r, c in np.ndindex(height, columns):
            coarse[r // block, c // block] += values[r, c] / block**2
        coarse = gaussian_here(coarse, width / block)
        return np.array(
            [
                [between(coarse, (r + 0.5) / block - 0.5, (c + 0.5) / block - 0.5) for c in range(columns)]
                for r in range(height)
            ]
        )
    return gaussian_here(values, width)


def gaussian_here(values, width):
    radius = max(1, int(3.0 * width + 0.5))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
    kernel /= kernel.sum()
    found = np.zeros_like(values)
    for r, c in np.ndindex(*values.shape):
        for rr in range(max(0, r - radius), min(values.shape[0], r + radius + 1)):
            for cc in range(max(0, c - radius), min(values.shape[1], c + radius + 1)):
                found[r, c] += kernel[rr - r + radius] * kernel[cc - c + radius] * values[rr, cc]
    return found


def halved(values, known):
    weight = gaussian(known, 1.0)
    smooth = np.where(weight > 0, gaussian(values * known, 1.0) / np.maximum(weight, 1e-6), 0.0) * known
    height, width = -(-values.shape[0] // 2), -(-values.shape[1] // 2)
    total, share = np.zeros((height, width)), np.zeros((height, width))
    for r, c in np.ndindex(*values.shape):
        total[r // 2, c // 2] += smooth[r, c] / 4
        share[r // 2, c // 2] += known[r, c] / 4
    return np.where(share > 0, total / np.maximum(share, 1e-6), 0.0), (share > 0.5).astype(float)


def doubled(values, height, width):
    """Twice the motion on twice the grid."""
    fine = [
        [2 * between(values, (r + 0.5) / 2 - 0.5, (c + 0.5) / 2 - 0.5) for c in range(width)] for r in range(height)
    ]
    return np.array(fine)


def plain_motion(frames, masks, reach):
    """across, down (H, W) each."""
    levels = [[(f, m) for f, m in zip(frames, masks)]]
    while len(levels) < LEVELS and min(levels[-1][0][0].shape) >= 16:
        levels.append([halved(f, m) for f, m in levels[-1]])
    across = down = np.zeros(levels[-1][0][0].shape)
    for level in range(len(levels) - 1, -1, -1):
        pairs = levels[level]
        height, width = pairs[0][0].shape
        if across.shape != (height, width):
            across, down = (doubled(u, height, width) for u in (across, down))
        for _ in range(ROUNDS):
            across, down = plain_round(pairs, across, down, reach, level)
    return across, down


def plain_round(pairs, across, down, reach, level):
    height, width = across.shape
    xx, xy, yy, xt, yt = (np.zeros((height, width)) for _ in range(5))
    for (first, known), (second, known_after) in zip(pairs, pairs[1:]):
        moved, both = np.zeros((height, width)), np.zeros((height, width))
        for r, c in np.ndindex(height, width):
            row, column = r - down[r, c], c - across[r, c]
            there = between(known, row, column)
            moved[r, c] = between(first * known, row, column) / max(there, 1e-3)
            inside = 0 <= row <= height - 1 and 0 <= column <= width - 1
            both[r, c] = float(there > 0.99 and inside) * known_after[r, c]
        for r, c in np.ndindex(height, width):
            if both[max(0, r - 1) : r + 2, max(0, c - 1) : c + 2].min() == 0.0:
                continue
            left, right, up, low = max(0, c - 1), min(width - 1, c + 1), max(0, r - 1), min(height - 1, r + 1)
            slope = sum((m[r, right] - m[r, left]) / 2 for m in (moved, second)) / 2
            fall = sum((m[low, c] - m[up, c]) / 2 for m in (moved, second)) / 2
            change = second[r, c] - moved[r, c]
            for total, term in zip(
                (xx, xy, yy, xt, yt), (slope**2, slope * fall, fall**2, slope * change, fall * change)
            ):
                total[r, c] += term
    near = max(reach / 2**level, 1.5)
    xx, xy, yy, xt, yt = (gaussian(total, near) for total in (xx, xy, yy, xt, yt))
    damping = 0.05 * (xx + yy).mean() + 1e-9
    confidence, more_across, more_down = (np.zeros((height, width)) for _ in range(3))
    for r, c in np.ndindex(height, width):
        matrix = np.array([[xx[r, c] + damping, xy[r, c]], [xy[r, c], yy[r, c] + damping]])
        step = np.linalg.solve(matrix, [-xt[r, c], -yt[r, c]])
        step /= max(1.0, np.hypot(*step))
        more_across[r, c], more_down[r, c] = step
        confidence[r, c] = np.linalg.det(matrix) / np.trace(matrix)
    smooth = max(2 / 3 * reach / 2**level, 1.0)

    def around(values):
        return gaussian(values, smooth) + 0.05 * gaussian(values, 8.0 * smooth)

    total = around(confidence)
    return around((across + more_across) * confidence) / total, around((down + more_down) * confidence) / total


@pytest.mark.parametrize(("height", "width", "holes"), [(9, 11, 0.0), (17, 19, 0.1)])
def test_the_motion_is_that_of_the_plain_loops(height, width, holes):
    maps = drifting(3, 0.6, -0.8, height, width) + 0.05 * np.random.default_rng(1).normal(size=(3, height, width))
    known = (np.random.default_rng(2).random(maps.shape) >= holes).astype(float)
    across, down = plain_motion(maps, known, REACH)
    found = motion(tensor(maps)[None].double(), tensor(known)[None].double(), REACH)[0].numpy()
    scale = np.abs([across, down]).max()
    assert scale > 0.2
    np.testing.assert_allclose(found, [across, down], atol=1e-4 * scale, rtol=1e-4)


def test_maps_move_on_as_in_the_plain_loops():
    height, width = 9, 13
    rng = np.random.default_rng(4)
    values, known = rng.normal(size=(height, width)), (rng.random((height, width)) > 0.2).astype(float)
    rows, columns = grid(height, width)
    across, down = 1.3 + 0.1 * rows, -0.7 + 0.05 * columns
    moves = torch.from_numpy(np.array([[across, down]]))
    found, there = moved_on(torch.from_numpy(values)[None, None], torch.from_numpy(known)[None, None], moves, 3)
    for r, c in np.ndindex(height, width):
        back_r = back_c = 0.0
        for lead in range(3):
            step_c, step_r = across[r, c], down[r, c]
            for _ in range(3):
                row, column = r - back_r - step_r / 2, c - back_c - step_c / 2
                step_c, step_r = between(across, row, column), between(down, row, column)
            back_r, back_c = back_r + step_r, back_c + step_c
            row, column = r - back_r, c - back_c
            share = between(known, row, column)
            inside = 0 <= row <= height - 1 and 0 <= column <= width - 1
            assert bool(there[0, lead, r, c]) == (share > 0.5 and inside)
            if share > 0.5 and inside:
                expected = between(values * known, row, column) / share
                assert float(found[0, lead, r, c]) == pytest.approx(expected, abs=1e-9)


def test_the_blur_keeps_a_constant_and_the_mean_of_the_middle():
    flat = blurred(torch.full((1, 2, 15, 21), 3.0), 2.5)
    torch.testing.assert_close(flat, torch.full((1, 2, 15, 21), 3.0))
    spike = torch.zeros(1, 1, 41, 41)
    spike[..., 20, 20] = 1.0
    wide = blurred(spike, 3.0)[0, 0]
    rows = torch.arange(41.0) - 20
    assert float(wide.sum()) == pytest.approx(1.0, abs=1e-3)
    assert float((wide.sum(dim=1) * rows**2).sum()) == pytest.approx(9.0, rel=0.05)
    assert torch.equal(blurred(spike, 0.0), spike)
