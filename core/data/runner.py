"""Where blocks are made: on dask's threads, or on the workers of a dask cluster. A few are in flight at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Callable

from ..contracts.dataset_job import PrepareJob
from ..contracts.errors import DataError

_BATCH = 2  # tasks a thread between two looks at whether to stop
_CONNECT_SECONDS = 10
_GDAL_CACHE_SHARE = 16  # of the memory

Task = tuple[Callable[..., Any], Sequence[Any]]


class Runner:
    """Runs tasks on ``job.threads`` threads, or on the cluster at ``job.cluster``; a context manager.

    Raises :class:`DataError` on entering where no scheduler answers at that address.
    """

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self._client: Any = None

    def __enter__(self) -> Runner:
        bound_gdal_cache(self._job.memory_mb)
        if self._job.cluster:
            self._client = _connect(self._job.cluster)
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def run(self, tasks: Sequence[Task]) -> Iterator[Any]:
        """The results of ``(function, arguments)`` in their order. A batch is finished before its first result is
        given, so whoever stops asking leaves nothing running.
        """
        if self._client is None:
            yield from self._on_threads(tasks)
        else:
            yield from self._on_cluster(tasks)

    def check_folder(self, folder: Path) -> None:
        """Refuse a cluster whose workers do not see the folder of the parts, or lack Freshet."""
        if self._client is None:
            return
        found = self._guarded(lambda: self._client.run(_sees, str(folder)))
        if not found:
            raise DataError(
                "The cluster has no workers",
                expected=f"at least one worker at {self._job.cluster}",
                remedy="Start workers, or leave the address empty",
            )
        blind = [worker for worker, sees in found.items() if not sees]
        if blind:
            raise DataError(
                "A worker of the cluster cannot write where the dataset is made",
                expected="a folder that all workers share",
                got=f"{folder} on {blind[0]}",
                remedy="Choose a folder on a shared file system, or leave the address of the cluster empty",
            )

    def _on_threads(self, tasks: Sequence[Task]) -> Iterator[Any]:
        import dask

        count = self._job.threads
        for first in range(0, len(tasks), _BATCH * count):
            batch = [partial(function, *given) for function, given in tasks[first : first + _BATCH * count]]
            waiting = [dask.delayed(task, pure=False, traverse=False)() for task in batch]
            yield from dask.compute(*waiting, scheduler="threads", num_workers=count, optimize_graph=False)

    def _on_cluster(self, tasks: Sequence[Task]) -> Iterator[Any]:
        size = _BATCH * max(1, sum(self._guarded(self._client.nthreads).values()))
        for first in range(0, len(tasks), size):
            batch = tasks[first : first + size]
            futures = [self._client.submit(function, *given, pure=False) for function, given in batch]
            yield from self._guarded(lambda futures=futures: self._client.gather(futures))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError

        try:
            return action()
        except ImportError as error:
            raise DataError(
                "A worker of the cluster lacks a library",
                expected="the same version of Freshet and its libraries on all workers",
                got=str(error),
                remedy="Install Freshet there, or leave the address of the cluster empty",
            ) from error
        except (KilledWorker, FutureCancelledError, CommClosedError, TimeoutError) as error:
            raise DataError(
                "The cluster lost its workers",
                got=f"{self._job.cluster}: {error}",
                remedy="Give its workers more memory, or start it anew; a new run goes on with what is finished",
            ) from error


def bound_gdal_cache(memory_mb: int) -> None:
    """Keep GDAL from holding decoded blocks of rasters in a twentieth of the machine's memory."""
    import rasterio._env

    rasterio._env.set_gdal_config("GDAL_CACHEMAX", max(16, memory_mb // _GDAL_CACHE_SHARE) * 2**20)


def _connect(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise DataError(
            "The library for clusters, distributed, is not there",
            got=str(error),
            remedy="Install distributed, or leave the address of the cluster empty",
        ) from error
    try:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError, RuntimeError) as error:
        raise DataError(
            f"No dask scheduler answers at '{address}'",
            expected="the address of a running scheduler, such as tcp://host:8786",
            got=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
            remedy="Start the cluster or correct the address, or leave it empty to use the threads of this machine",
        ) from error


def _sees(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK)
