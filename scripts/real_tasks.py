"""The tasks of the table on real data, in the order of the page. The packs are not part of Freshet."""

from __future__ import annotations

from real_gauge_tasks import GAUGE_TASKS
from real_map_tasks import MAP_TASKS
from real_task import Task

TASKS: tuple[Task, ...] = (*MAP_TASKS, *GAUGE_TASKS)

__all__ = ["TASKS", "Task"]
