"""A random forest on lagged values: grown by scikit-learn, kept and asked as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..contracts.errors import RunError
from .lagged import LaggedModel
from .learning import Samples

_PLACES = 2**21  # samples times trees that are followed at once
_TREES_AT_ONCE = 5
_DRAWING = 0.3  # of the progress; growing takes the rest


class _Table(NamedTuple):
    """Trees side by side: (R, nodes), the values (R, nodes, V). A leaf is its own child."""

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray


class RandomForest(LaggedModel):
    r"""Regression trees on bootstrap draws, and their mean (Breiman 2001, doi:10.1023/A:1010933404324).

    .. math:: \hat y = \frac{1}{R} \sum_{r=1}^{R} v_r\big(\mathrm{leaf}_r(f)\big)

    with features f of :class:`LaggedModel`; scikit-learn grows the trees on ``samples`` values of all cells and dates,
    drawn at random without return. All outputs share the trees if there are samples at which all were observed, at
    least half as many as of the output seen least; else each output has ``trees`` of its own. ``left``, ``right``,
    ``feature``, ``threshold`` (R, nodes) and ``value`` (R, nodes, V) hold the trees, V outputs each, padded to the
    largest; before it has learned, the forest predicts 0, the mean. A feature goes left where it is at most the
    threshold: thresholds are rounded down to float32, which decides as scikit-learn's float64 does. No gradient leads
    to the input. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    name = "random-forest"
    grows = {"left": 0, "right": 0, "feature": 0, "threshold": 0, "value": 0}

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        for name in ("left", "right", "feature"):
            self.register_buffer(name, torch.zeros(1, 1, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(1, 1))
        self.register_buffer("value", torch.zeros(1, 1, self.outputs))

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """(B, F, H, W) -> (B, outputs, H, W)."""
        batch, _, height, width = features.shape
        rows = features.permute(0, 2, 3, 1).flatten(0, 2)
        found = torch.cat([self._asked(part) for part in rows.split(max(1, _PLACES // len(self.left)))])
        return found.unflatten(0, (batch, height, width)).permute(0, 3, 1, 2)

    def _asked(self, rows: Tensor) -> Tensor:
        """(n, F) -> (n, outputs): all rows step down all trees together."""
        trees, nodes = self.left.shape
        root = torch.arange(trees, device=rows.device)[:, None] * nodes
        first = torch.arange(len(rows), device=rows.device)[None] * rows.shape[1]
        left, right, feature, threshold = (
            held.flatten() for held in (self.left, self.right, self.feature, self.threshold)
        )
        at, values = root.expand(-1, len(rows)), rows.flatten()
        for _ in range(self.options["depth"]):
            goes_left = values.take(first + feature.take(at)) <= threshold.take(at)
            following = root + torch.where(goes_left, left.take(at), right.take(at))
            if torch.equal(following, at):
                break
            at = following
        leaves = self.value.flatten(0, 1)[at]  # (R, n, V)
        forests = self.outputs // leaves.shape[2]
        return leaves.unflatten(0, (forests, -1)).mean(dim=1).permute(1, 0, 2).flatten(1)

    @torch.no_grad()
    def learn(self, samples: Samples, seed: int) -> Iterator[float]:
        """Draw rows in one pass, then grow the trees a few at a time."""
        drawn = _Drawn(self.options["samples"], seed)
        for number, sample in enumerate(samples, start=1):
            drawn.add(*self.rows(sample))
            yield _DRAWING * number / len(samples)
        features, y = drawn.features, drawn.y
        complete = np.isfinite(y).all(axis=1)
        groups = [slice(0, self.outputs)]
        if 2 * complete.sum() < np.isfinite(y).sum(axis=0).min() or not complete.any():
            groups = [slice(output, output + 1) for output in range(self.outputs)]
        tables: list[_Table] = []
        for number, group in enumerate(groups):
            seen = np.isfinite(y[:, group]).all(axis=1)
            if not seen.any():
                raise RunError(
                    "A target was never observed at the dates that were drawn for the forest",
                    expected="each target and lead observed somewhere in the training period",
                    got=f"none for output {number + 1} of {self.outputs}",
                    remedy="Lengthen the training period, raise random-forest.samples, or leave out that target",
                )
            forest = self._forest(seed)
            for share in self._growing(forest, features[seen], y[seen, group]):
                yield _DRAWING + (1.0 - _DRAWING) * (number + share) / len(groups)
            tables += [_table_of(tree.tree_) for tree in forest.estimators_]
        table = _side_by_side(tables)
        self.keep(**{name: torch.from_numpy(held) for name, held in table._asdict().items()})

    def _forest(self, seed: int) -> Any:
        """A forest of scikit-learn without a tree."""
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(
            n_estimators=0,
            warm_start=True,
            max_depth=self.options["depth"],
            min_samples_leaf=self.options["least_leaf"],
            max_features=self.options["tried"],
            random_state=seed,
            n_jobs=torch.get_num_threads(),
        )

    def _growing(self, forest: Any, features: np.ndarray, y: np.ndarray) -> Iterator[float]:
        """Grow the trees a few at a time; the share that is there."""
        trees = self.options["trees"]
        for count in (*range(_TREES_AT_ONCE, trees, _TREES_AT_ONCE), trees):
            forest.set_params(n_estimators=count)
            forest.fit(features, y[:, 0] if y.shape[1] == 1 else y)
            yield count / trees


class _Drawn:
    """A uniform draw, without return, of rows that stream by: those with the least random keys."""

    def __init__(self, most: int, seed: int) -> None:
        self.most = most
        self.random = np.random.default_rng(seed)
        self.keys = np.zeros(0)
        self.features = self.y = np.zeros((0, 0), dtype=np.float32)

    def add(self, features: Tensor, y: Tensor) -> None:
        """Features (B, F, H, W) and targets (B, O, H, W), of which those with a value may be drawn."""
        y = y.permute(0, 2, 3, 1).flatten(0, 2)
        usable = torch.isfinite(y).any(dim=1).nonzero()[:, 0].cpu().numpy()
        keys = self.random.random(len(usable))
        if len(self.keys) >= self.most:
            near = keys < self.keys.max()
            usable, keys = usable[near], keys[near]
        chosen = torch.from_numpy(usable).to(y.device)
        rows = features.permute(0, 2, 3, 1).flatten(0, 2)[chosen].cpu().numpy()
        self.keys, kept = np.concatenate([self.keys, keys]), None
        if len(self.keys) > self.most:
            kept = np.sort(np.argpartition(self.keys, self.most)[: self.most])
        self.features = _joined(self.features, rows, kept)
        self.y = _joined(self.y, y[chosen].cpu().numpy(), kept)
        self.keys = self.keys if kept is None else self.keys[kept]


def _joined(held: np.ndarray, more: np.ndarray, kept: Any) -> np.ndarray:
    whole = np.concatenate([held, more]) if held.size else more
    return whole if kept is None else whole[kept]


def _table_of(tree: Any) -> _Table:
    """One tree of scikit-learn as arrays (nodes,), the values (nodes, V)."""
    own = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    threshold = tree.threshold.astype(np.float32)
    high = threshold.astype(np.float64) > tree.threshold
    threshold[high] = np.nextafter(threshold[high], np.float32(-np.inf))
    return _Table(
        np.where(leaf, own, tree.children_left).astype(np.int32),
        np.where(leaf, own, tree.children_right).astype(np.int32),
        np.where(leaf, 0, tree.feature).astype(np.int32),
        threshold,
        tree.value[:, :, 0].astype(np.float32),
    )


def _side_by_side(tables: list[_Table]) -> _Table:
    """Trees padded with zeros to the most nodes, which no path leads to."""
    nodes = max(len(table.left) for table in tables)
    padded = []
    for arrays in zip(*tables):
        room = np.zeros((len(arrays), nodes, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
        for place, array in zip(room, arrays):
            place[: len(array)] = array
        padded.append(room)
    return _Table(*padded)
