"""Where the values of a dataset come from: files with size, time and checksum, and what was done to them."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib import metadata
from typing import Any, Optional

from ..contracts.dataset_job import PrepareJob
from ..contracts.errors import DataError
from ..contracts.steps import MONTH
from .streams import Stream

LISTED = 1000  # files of a variable that are named one by one
_WHOLE = 4 * 2**30  # bytes of all sources up to which whole files are hashed
_END = 16 * 2**20
_PIECE = 2**20
_LIBRARIES = ("numpy", "scipy", "xarray", "netCDF4", "rasterio", "zarr", "dask", "pyogrio", "pykrige", "pyflwdir")


def look_at(paths: Sequence[str]) -> list[tuple[str, int, int]]:
    """(path, size, time of change in ns) of each file; of a folder, as a Zarr store is, of all files in it. Raises
    :class:`DataError` where one is gone.
    """
    found = []
    for path in paths:
        try:
            inner = sorted(_below(path)) if os.path.isdir(path) else [path]
            for one in inner:
                known = os.stat(one)
                found.append((one, known.st_size, known.st_mtime_ns))
        except OSError as error:
            raise DataError(
                "A source file is gone", got=f"{path}: {error.strerror}", remedy="Put it back, or look again"
            ) from error
    return found


class Checksums:
    """SHA-256 of source files, each file once, on threads. Once all together are larger than 4 GB only the first and
    last 16 MB and the size of each count (``whole`` is False then).
    """

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self._known: dict[str, tuple[str, str]] = {}
        self._bytes = 0
        self.whole = True

    def take(self, files: Sequence[tuple[str, int, int]], lenient: bool = False) -> Iterator[int]:
        """Hash the files that are new; yields how many of them are done. Nothing where the job wants no checksums.
        With ``lenient`` a file that cannot be read, which is a gap then, has none.
        """
        new = [(path, size) for path, size, _ in dict.fromkeys(files) if path not in self._known]
        if not self._job.checksums or not new:
            return
        self._bytes += sum(size for _, size in new)
        self.whole = self._bytes <= _WHOLE
        size = 16 * self._job.threads
        with ThreadPoolExecutor(self._job.threads) as pool:
            for first in range(0, len(new), size):
                batch = new[first : first + size]
                for (path, _), digest in zip(batch, pool.map(self._hash, batch, [lenient] * len(batch))):
                    if digest is not None:
                        self._known[path] = digest
                yield min(first + size, len(new))

    @property
    def notes(self) -> list[str]:
        """A sentence where only parts of files were hashed."""
        if self.whole:
            return []
        return ["The sources are larger than 4 GB: their checksums are of the first and last 16 MB of each file."]

    def of(self, path: str) -> dict[str, str]:
        """The checksum of a file under the name of its kind, empty where none was taken."""
        return dict([self._known[path]]) if path in self._known else {}

    def _hash(self, file: tuple[str, int], lenient: bool) -> Optional[tuple[str, str]]:
        path, size = file
        digest = hashlib.sha256()
        whole = self.whole or size <= 2 * _END
        try:
            with open(path, "rb") as handle:
                if whole:
                    _add(digest, handle, size)
                else:
                    _add(digest, handle, _END)
                    handle.seek(-_END, os.SEEK_END)
                    _add(digest, handle, _END)
                    digest.update(str(size).encode())
        except OSError as error:
            if lenient:
                return None
            raise DataError(
                "A source file cannot be read", got=f"{path}: {error.strerror}", remedy="Mend it, or look again"
            ) from error
        return "sha256" if whole else "sha256_of_ends", digest.hexdigest()


def describe(
    stream: Stream, files: Sequence[tuple[str, int, int]], checksums: Checksums, extra: Optional[dict[str, Any]] = None
) -> dict[str, Any]:
    """What one variable was made of, as plain JSON values. ``files`` are named one by one up to a thousand; a digest
    over all of them in order (path, size, checksum) stands for the rest.
    """
    source, conversion = stream.source, stream.conversion
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{path}\0{size}\0{''.join(checksums.of(path).values())}\n".encode())
    return {
        "variable": stream.name, "kind": source.kind, "path": stream.config.path,
        "files": [_file(one, checksums) for one in files[:LISTED]],
        "file_count": len(files), "total_bytes": sum(size for _, size, _ in files), "digest": digest.hexdigest(),
        "source_units": conversion.given, "units": conversion.units, "scale": _scale(stream),
        "offset": conversion.offset, "taken_as_missing": list(stream.marks),
        "calendar": source.calendar, "source_step_seconds": source.step_seconds,
        "resampling": stream.resampling, "aggregation": stream.aggregation or "none",
        "missing_dates": source.missing_count, "doubled_dates": len(source.doubled),
        "notes": [*source.notes, *stream.notes], **(extra or {}),
    }  # fmt: skip


def of_dataset(job: PrepareJob, variables: Sequence[dict[str, Any]], checksums: Checksums) -> dict[str, Any]:
    """The provenance of a dataset: when, the job, its variables, the versions of the libraries."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "job": job.to_dict(),
        "sources": list(variables),
        "checksums": "none" if not job.checksums else "SHA-256 of whole files" if checksums.whole
        else "SHA-256 of whole files, or of the first and last 16 MB and the size (sha256_of_ends)",
        "versions": {"python": platform.python_version(), **versions()},
    }  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of the libraries that are there."""
    found = {}
    for name in ("freshet", *_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _file(one: tuple[str, int, int], checksums: Checksums) -> dict[str, Any]:
    path, size, changed = one
    moment = datetime.fromtimestamp(changed / 1e9, timezone.utc).isoformat(timespec="seconds")
    return {"path": path, "size": size, "modified": moment, **checksums.of(path)}


def _scale(stream: Stream) -> float:
    """The factor; of amounts a month that of a mean month."""
    scales = stream.conversion.scales
    if scales is None:
        return float(stream.conversion.scale)
    from .timeline import lengths

    return float((scales * lengths(stream.source.times, stream.source.step_seconds)).mean() / MONTH)


def _below(folder: str) -> Iterator[str]:
    for base, _, names in os.walk(folder):
        yield from (os.path.join(base, name) for name in names)


def _add(digest: Any, handle: Any, count: int) -> None:
    while count > 0:
        piece = handle.read(min(_PIECE, count))
        if not piece:
            return
        digest.update(piece)
        count -= len(piece)
