"""The NetCDF file under a dataset, while it is written: whole or absent, and a full disk is a sentence."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Optional, TypeVar, Union

from ..contracts.errors import DataError
from ..contracts.files import whole_file
from .sources.base import NETCDF_LOCK

_Result = TypeVar("_Result")


class OutputFile:
    """A NetCDF file that is whole or absent; a context manager. ``handle`` is open inside ``with``; without
    ``finished`` set to True, or after an exception, no file is left.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        self.finished = False
        self.handle: Any = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> OutputFile:
        import netCDF4

        try:
            temporary = self._stack.enter_context(whole_file(self.path))
            with NETCDF_LOCK:
                self.handle = netCDF4.Dataset(str(temporary), "w", format="NETCDF4")
                self.handle.set_auto_maskandscale(False)
        except (OSError, RuntimeError) as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> Optional[bool]:
        try:
            with NETCDF_LOCK:
                self.handle.close()
            if error is None and not self.finished:
                raise RuntimeError("a dataset was left without finish()")
        except (OSError, RuntimeError) as problem:
            self._stack.__exit__(type(problem), problem, problem.__traceback__)
            if error is None:
                raise self._unwritable(problem) from problem
            return None
        try:
            self._stack.__exit__(kind, error, trace)
        except OSError as problem:
            raise self._unwritable(problem) from problem
        return None

    def guarded(self, action: Callable[[], _Result]) -> _Result:
        """The result of ``action`` on the open file; :class:`DataError` where the disk takes no more."""
        try:
            with NETCDF_LOCK:
                return action()
        except (OSError, RuntimeError) as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: BaseException) -> DataError:
        folder = next(parent for parent in self.path.absolute().parents if parent.exists())
        free = shutil.disk_usage(folder).free / 2**20
        return DataError(
            f"The dataset '{self.path.name}' could not be written",
            got=f"{error}; {free:,.0f} MB free in {folder}",
            remedy="Free space there, or choose another folder for the dataset",
        )


def write_head(handle: Any, name: str) -> None:
    """Global attributes that the CF conventions ask for."""
    handle.setncatts({"Conventions": "CF-1.8", "title": name, "source": "Freshet"})


def write_texts(handle: Any, texts: Mapping[str, Any]) -> None:
    """Attributes of a file or group that hold JSON."""
    for name, values in texts.items():
        handle.setncattr(name, json.dumps(values, ensure_ascii=False, allow_nan=False))
