"""Data: sources of any kind, laid on one grid and one clock, kept as one dataset."""

from .prepare import prepare
from .sources import open_source, source_overview
from .store import (
    Dataset,
    DatasetWriter,
    Gauges,
    SequencesWriter,
    VariableInfo,
    list_sequences,
    open_datasets,
    write_dataset,
)

__all__ = [
    "Dataset",
    "DatasetWriter",
    "Gauges",
    "SequencesWriter",
    "VariableInfo",
    "list_sequences",
    "open_datasets",
    "open_source",
    "prepare",
    "source_overview",
    "write_dataset",
]
