"""The raw copy of a dataset: shown, made, deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Optional

from ..contracts.cache_job import CacheJob
from ..contracts.events import Event, EventKind
from ..contracts.machine import free_room, say_bytes
from ..contracts.run_folder import RunFolder
from ..data.cache import CacheState, cache_folder, delete_cache, state_of
from ..data.caching import make_caches, maps_of
from ..data.store import Dataset, open_datasets


def cache(job: CacheJob, run: Optional[RunFolder] = None) -> Iterator[Event]:
    """What lies beside the dataset, in words, after it was made or deleted where that is asked for.

    Raises :class:`DataError` where the dataset cannot be read, or its cache not be written or deleted.
    """
    if job.action == "delete":  # also of a dataset that is gone
        freed = delete_cache(job.dataset)
        yield _said(f"{say_bytes(freed)} were freed." if freed else "There was no cache to delete.")
        return
    with contextlib.ExitStack() as stack:
        datasets = [stack.enter_context(dataset) for dataset in open_datasets(job.dataset)]
        if job.action == "make":
            yield from make_caches(datasets, {name for one in datasets for name in one.variables})
        yield _said(_words(job.dataset, datasets))


def _words(path: str, datasets: Sequence[Dataset]) -> str:
    """A sentence on the state of a cache."""
    found: CacheState = state_of(path, [(one.sequence, one.fingerprint(), one.cache.shape) for one in datasets])
    folder, free = cache_folder(path), say_bytes(free_room(cache_folder(path).parent))
    if not found.size:
        return f"There is no cache beside the dataset ({folder}); {free} are free."
    there = sum(len(names) for names in found.variables.values())
    most = sum(len(maps_of(one, one.variables)) for one in datasets)
    stale = found.size - found.fitting
    more = f" {say_bytes(stale)} of it belong to another state of the dataset and are not used." if stale > 4096 else ""
    return f"The cache {folder} takes {say_bytes(found.size)}: {there} of {most} maps in time.{more} {free} are free."


def _said(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
