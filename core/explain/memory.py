"""How much memory the tensors of a computation hold at once."""

from __future__ import annotations

import weakref
from typing import Any, Callable

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


def peak_bytes(compute: Callable[[], Any]) -> int:
    """Bytes that what ``compute`` makes takes when it takes most; what is there already does not count."""
    counting = _Counting()
    with counting:
        compute()
    return counting.most


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        old = {_place(part) for part in args if isinstance(part, Tensor)}
        found = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, lambda made: self._count(made, old), found)
        return found

    def _count(self, made: Tensor, old: set[int]) -> None:
        """Views share the memory of what they show."""
        place, storage = _place(made), made.untyped_storage()
        if place in self._known or place in old or not storage.nbytes():
            return
        self._known[place] = storage.nbytes()
        self._now += storage.nbytes()
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._let_go, place).atexit = False

    def _let_go(self, place: int) -> None:
        self._now -= self._known.pop(place, 0)


def _place(part: Tensor) -> int:
    return part.untyped_storage()._cdata
