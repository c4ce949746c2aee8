"""What QGIS and the engine agree on: jobs, events, errors, grids, units, catalogues, names in a run folder.

Standard library only. This is the one part of the engine that QGIS imports.
"""

from .cache_job import CacheJob
from .config import Config, Rule, json_schema, setting
from .dataset_job import GridConfig, PointsConfig, PrepareJob, SourceConfig, TerrainConfig, TerrainJob
from .errors import Cancelled, ConfigError, DataError, EngineError, FreshetError, ModelFileError, RunError
from .events import Artifact, Event, EventKind, EventTail
from .exchange_jobs import ExportModelJob, ImportModelJob
from .grid import Grid
from .jobs import JOBS, DoctorJob, job_from_dict
from .question_jobs import ChangeConfig, DriversJob, ImportanceJob, ProbeJob, SharesJob, StormConfig, WhatIfJob
from .result_jobs import CompareJob, EvaluateJob, ExplainJob, PredictJob
from .run_folder import RunFolder, RunState
from .search_job import TuneJob
from .training_job import FinetuneJob, ModelConfig, PeriodConfig, SplitConfig, TrainingConfig, TrainJob

__all__ = [
    "JOBS",
    "Artifact",
    "CacheJob",
    "Cancelled",
    "ChangeConfig",
    "CompareJob",
    "Config",
    "ConfigError",
    "DataError",
    "DoctorJob",
    "DriversJob",
    "EngineError",
    "EvaluateJob",
    "Event",
    "EventKind",
    "EventTail",
    "ExplainJob",
    "ExportModelJob",
    "FinetuneJob",
    "FreshetError",
    "Grid",
    "GridConfig",
    "ImportModelJob",
    "ImportanceJob",
    "ModelConfig",
    "ModelFileError",
    "PeriodConfig",
    "PointsConfig",
    "PredictJob",
    "PrepareJob",
    "ProbeJob",
    "Rule",
    "RunError",
    "RunFolder",
    "RunState",
    "SharesJob",
    "SourceConfig",
    "SplitConfig",
    "StormConfig",
    "TerrainConfig",
    "TerrainJob",
    "TrainJob",
    "TrainingConfig",
    "TuneJob",
    "WhatIfJob",
    "job_from_dict",
    "json_schema",
    "setting",
]
