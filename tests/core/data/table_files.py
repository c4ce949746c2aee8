"""Tables of gauges for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freshet.core.contracts import SourceConfig
from freshet.core.contracts.dataset_job import PointsConfig
from freshet.core.data.sources.table import TableSource

DAY = np.timedelta64(86400, "s")
WIDE = "date,east,west,mid\n2001-01-01,1,2,3\n2001-01-02,4,,6\n2001-01-03,7,8,9\n"
LONG = (
    "station,date,rain,x,y\nA,2001-01-01,1,7.0,50.0\nA,2001-01-02,2,7.0,50.0\nB,2001-01-02,3,8.0,51.0\n"
    "B,2001-01-03,4,8.0,51.0\n"
)


def table(path, *, points=None, **options) -> TableSource:
    """An open table of variable q."""
    return TableSource(SourceConfig(variable="q", path=str(path), points=PointsConfig(**(points or {})), **options))


def write(path: Path, text: str, encoding="utf-8") -> Path:
    """A text file with these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def days(start: str, count: int) -> np.ndarray:
    """Daily dates."""
    return np.datetime64(start, "s") + np.arange(count) * DAY


def check(source: TableSource, times, values) -> None:
    """Dates and values (T,) or (T, G), exactly."""
    values = np.asarray(values, dtype=np.float32)
    np.testing.assert_array_equal(source.times, np.asarray(times, dtype="datetime64[s]"))
    np.testing.assert_array_equal(source.read_points(0, len(source.times)), values.reshape(len(source.times), -1))
