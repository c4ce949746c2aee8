"""The jobs: what a person can ask of the engine. One frozen dataclass a verb, JSON in and out.

Paths are absolute or relative to the folder of the job file. Dates are ISO texts in UTC and label the start of a
step; a period holds both its ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .cache_job import CacheJob
from .config import Config, setting
from .dataset_job import PrepareJob, TerrainJob
from .errors import ConfigError
from .exchange_jobs import ExportModelJob, ImportModelJob
from .question_jobs import DriversJob, ImportanceJob, ProbeJob, SharesJob, WhatIfJob
from .result_jobs import CompareJob, EvaluateJob, ExplainJob, PredictJob
from .search_job import TuneJob
from .training_job import DEVICES, FinetuneJob, TrainJob


@dataclass(frozen=True)
class DoctorJob(Config):
    """Prove that the engine works: imports, versions, and a real kernel on each device."""

    device: str = setting("auto", label="Device", help="Device to prove; auto proves all.", choices=DEVICES)


JOBS: dict[str, type[Config]] = {
    "prepare": PrepareJob,
    "terrain": TerrainJob,
    "train": TrainJob,
    "finetune": FinetuneJob,
    "predict": PredictJob,
    "compare": CompareJob,
    "evaluate": EvaluateJob,
    "explain": ExplainJob,
    "importance": ImportanceJob,
    "probe": ProbeJob,
    "what-if": WhatIfJob,
    "drivers": DriversJob,
    "shares": SharesJob,
    "tune": TuneJob,
    "import-model": ImportModelJob,
    "export-model": ExportModelJob,
    "cache": CacheJob,
    "doctor": DoctorJob,
}


def job_from_dict(verb: str, values: dict[str, Any]) -> Config:
    """The job of a verb from plain JSON values."""
    if verb not in JOBS:
        raise ConfigError(f"There is no verb '{verb}'", expected=", ".join(JOBS), remedy="Use one of these")
    return JOBS[verb].from_dict(values)
