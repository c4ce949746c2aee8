"""The algorithm that looks after the copies beside datasets."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext

from ...core.contracts import CacheJob
from ..datasets import read_summary
from .base import JobAlgorithm
from .parameters import entry


class CacheAlgorithm(JobAlgorithm):
    """Shows, makes or deletes the cache of a dataset."""

    verb, id_name, title, icon_name = "cache", "cache", "Cache of a dataset", "data"
    summary = (
        "Tells what lies in the cache beside a dataset, makes it, or deletes it. Trainings make it by themselves where "
        "it pays, and read it in place of the compressed file."
    )
    assumes = ("What is deleted is made again when a training wants it; the dataset itself stays as it is.",)
    outputs = ()
    entries = (entry(CacheJob, "dataset", kind="dataset"), entry(CacheJob, "action"))

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> CacheJob:
        """The job; the dataset is ours, as far as its summary tells."""
        made = CacheJob(**self.read(values, context))
        read_summary(made.dataset)
        return made
