"""Plain HDF5 files, as Keras writes them, read with netCDF4: no further library is needed. All as float32 arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...contracts.errors import ModelFileError
from ...data.sources.base import NETCDF_LOCK

MOST_VALUES = 2**28  # of one array: 1 GiB


@contextlib.contextmanager
def opened_hdf5(path: Path, content: Optional[bytes] = None) -> Iterator[Any]:
    """The root group of a file, or of its ``content``. Raises :class:`ModelFileError` where it is damaged."""
    import netCDF4

    with NETCDF_LOCK:
        try:
            root = netCDF4.Dataset(str(path) if content is None else "weights.h5", "r", memory=content)
        except (OSError, RuntimeError, ValueError) as error:
            raise damaged(path, str(error)) from error
        try:
            root.set_auto_maskandscale(False)
            yield root
        except (OSError, RuntimeError) as error:  # an array that cannot be read
            raise damaged(path, str(error)) from error
        finally:
            root.close()


def attribute(group: Any, name: str) -> Any:
    """An attribute, or None where there is none."""
    return group.getncattr(name) if name in group.ncattrs() else None


def names_in(group: Any, name: str) -> list[str]:
    """An attribute that lists names; empty where there is none."""
    found = attribute(group, name)
    return [] if found is None else [str(item) for item in np.atleast_1d(found)]


def group_at(group: Any, *names: str) -> Optional[Any]:
    """A group below another, or None."""
    for name in names:
        group = None if group is None else group.groups.get(name)
    return group


def array_at(group: Any, path: str, file: Path) -> np.ndarray:
    """The float32 array at ``path`` ('a/b/kernel:0') below a group; its size is looked at before it is read."""
    *folders, name = [part for part in path.split("/") if part]
    place = group_at(group, *folders)
    if place is None or name not in place.variables:
        raise damaged(file, f"it lists the weights '{path}', which are not there")
    return read_array(place.variables[name], file)


def read_array(variable: Any, file: Path) -> np.ndarray:
    """The values of a variable as float32; raises :class:`ModelFileError` where they are no finite numbers."""
    if variable.size > MOST_VALUES or np.dtype(variable.dtype).kind != "f":
        raise damaged(file, f"'{variable.name}' holds {variable.size} values of type {variable.dtype}")
    values = np.asarray(variable[...], dtype=np.float32)
    if not np.isfinite(values).all():
        raise damaged(file, f"'{variable.name}' holds weights that are not finite")
    return values


def damaged(path: Path, why: str) -> ModelFileError:
    """The sentence for a file that cannot be read."""
    return ModelFileError(
        f"The model file {path} cannot be read",
        got=why,
        remedy="Copy it again from its source, or save the model again with Keras",
    )
