"""Writing a dataset file: one on one clock, or one with several sequences, each a group of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

import numpy as np

from ..contracts.errors import DataError
from ..contracts.grid import Grid
from .store_file import OutputFile, write_head, write_texts
from .store_format import FORMAT_VERSION, PROVENANCE_ATTRIBUTE, SUMMARY_ATTRIBUTE, group_names
from .store_group import GroupWriter
from .variable_info import Gauges, VariableInfo


class DatasetWriter(GroupWriter):
    """Writes a plain dataset block by block in bounded memory; use as a context manager, whole or absent.

    Inside ``with``: :meth:`append` the steps of each variable in time in order, :meth:`write_static`, then
    :meth:`finish` once. Leaving the block without :meth:`finish`, or by an exception, leaves no file. A disk that is
    full or read-only raises :class:`DataError`.
    """

    def __init__(
        self, path: Union[str, Path], *, name: str, grid: Grid, times: np.ndarray, step_seconds: float,
        variables: Sequence[VariableInfo], calendar: str = "standard", gauges: Optional[Gauges] = None,
    ) -> None:  # fmt: skip
        super().__init__(
            name=name, grid=grid, times=times, step_seconds=step_seconds, variables=variables, calendar=calendar,
            gauges=gauges,
        )  # fmt: skip
        self.path = Path(path)
        self._output = OutputFile(path)

    def __enter__(self) -> DatasetWriter:
        self._output.__enter__()
        try:
            self._output.guarded(lambda: write_head(self._output.handle, self.name))
            self.begin(self._output, self._output.handle)
        except DataError as error:
            self._output.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> Optional[bool]:
        self._output.finished = bool(self.fingerprint)
        return self._output.__exit__(kind, error, trace)


class SequencesWriter:
    """Writes several sequences (events, simulations), each on its own clock, into one file; whole or absent.

    ::

        with SequencesWriter("floods.nc", name="Floods") as file:
            for event in events:
                with file.sequence(event.name, grid=grid, times=event.times, step_seconds=300.0,
                                   variables=infos) as writer:
                    writer.append("rain", event.rain)            # as a DatasetWriter
                    writer.finish(mask, {"event": event.name})
            file.finish({"job": job})
    """

    def __init__(self, path: Union[str, Path], *, name: str) -> None:
        self.path, self.name = Path(path), name
        self._output = OutputFile(path)
        self._written: list[GroupWriter] = []
        self._groups: list[str] = []

    def __enter__(self) -> SequencesWriter:
        self._output.__enter__()
        return self

    def __exit__(
        self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> Optional[bool]:
        return self._output.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def sequence(
        self, name: str, *, grid: Grid, times: np.ndarray, step_seconds: float, variables: Sequence[VariableInfo],
        calendar: str = "standard", gauges: Optional[Gauges] = None,
    ) -> Iterator[GroupWriter]:  # fmt: skip
        """The writer of one sequence; :meth:`GroupWriter.finish` has to be called inside ``with``."""
        if not name or name in [writer.sequence for writer in self._written]:
            raise DataError(
                f"Two sequences are called '{name}'" if name else "A sequence has no name",
                remedy="Give each sequence a name of its own",
            )
        writer = GroupWriter(
            name=self.name, grid=grid, times=times, step_seconds=step_seconds, variables=variables, calendar=calendar,
            gauges=gauges, sequence=name,
        )  # fmt: skip
        group = group_names([*(done.sequence for done in self._written), name])[-1]
        writer.begin(self._output, self._output.guarded(lambda: self._output.handle.createGroup(group)))
        yield writer
        if not writer.fingerprint:
            raise RuntimeError(f"the sequence '{name}' was left without finish()")
        self._written.append(writer)
        self._groups.append(group)

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Write what is common to all sequences; at least one must be there."""
        if not self._written:
            raise ValueError("a dataset without a sequence")
        digest = hashlib.sha256("".join(w.sequence + w.fingerprint for w in self._written).encode())
        summary = {
            "version": FORMAT_VERSION, "name": self.name, "sequences": [w.sequence for w in self._written],
            "groups": self._groups, "steps": sum(len(w.times) for w in self._written),
            "fingerprint": digest.hexdigest(),
        }  # fmt: skip
        texts = {SUMMARY_ATTRIBUTE: summary, PROVENANCE_ATTRIBUTE: dict(provenance)}
        self._output.guarded(lambda: write_head(self._output.handle, self.name))
        self._output.guarded(lambda: write_texts(self._output.handle, texts))
        self._output.finished = True


def write_dataset(
    path: Union[str, Path],
    *,
    name: str,
    grid: Grid,
    times: np.ndarray,
    step_seconds: float,
    dynamic: Mapping[str, tuple[VariableInfo, Union[np.ndarray, Iterator[np.ndarray]]]],
    static: Mapping[str, tuple[VariableInfo, np.ndarray]],
    mask: np.ndarray,
    provenance: Mapping[str, Any],
    calendar: str = "standard",
    filled: Optional[Mapping[str, np.ndarray]] = None,
    gauges: Optional[Gauges] = None,
) -> None:
    """Write a plain dataset, whole or not at all.

    Parameters
    ----------
    times : ndarray of datetime64, (T,)
        Start of each step, strictly rising.
    dynamic, static : mapping of name to (info, values)
        Values of a dynamic variable are an array (T, H, W), (T, G) for gauges, or an iterator of blocks of it in
        order; of a static one an array (H, W). NaN means missing.
    mask : bool (H, W)
        True inside the basin.
    filled : mapping of name to bool array
        Which values of a dynamic variable were filled, for variables that are given as arrays.
    """
    infos = [dataclasses.replace(info, name=key, static=False) for key, (info, _) in dynamic.items()]
    infos += [dataclasses.replace(info, name=key, static=True, role="static") for key, (info, _) in static.items()]
    writer = DatasetWriter(
        path, name=name, grid=grid, times=times, step_seconds=step_seconds, variables=infos, calendar=calendar,
        gauges=gauges,
    )  # fmt: skip
    with writer:
        for key, (_, values) in static.items():
            writer.write_static(key, values)
        for key, (_, values) in dynamic.items():
            for block in [values] if hasattr(values, "shape") else values:
                writer.append(key, block)
            if filled and key in filled:
                writer.append_filled(key, filled[key])
        writer.finish(mask, provenance)
