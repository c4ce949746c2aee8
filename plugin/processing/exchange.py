"""The algorithms that bring a model in from another library, and give one away."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext

from ...core.contracts import ExportModelJob, ImportModelJob, PeriodConfig
from ...core.contracts.model_card import read_card
from ..datasets import read_summary, sequence_of
from .base import JobAlgorithm
from .parameters import entries, entry, take_period


class ImportModelAlgorithm(JobAlgorithm):
    """A model of Keras or PyTorch becomes a Freshet model file."""

    verb, id_name, title, icon_name = "import-model", "importmodel", "Import a model of Keras or PyTorch", "train"
    summary = (
        "Brings the weights of a ConvLSTM that was trained with Keras (ConvLSTM2D; .keras or .h5) or with the public "
        "PyTorch cell (state_dict; .pt) into a Freshet model file, and proves that it gives the same outputs."
    )
    assumes = (
        "The file does not hold how the variables were scaled, in which order they entered and which step is "
        "predicted: what is given here must be what the training did.",
    )
    outputs = ("MODEL",)
    entries = (
        entry(ImportModelJob, "source", kind="foreign"),
        entry(ImportModelJob, "dataset", kind="dataset"),
        *entries(ImportModelJob, ("channels", "target")),
        entry(ImportModelJob, "scalers"),
        entry(ImportModelJob, "scalers_file", kind="table"),
        entry(ImportModelJob, "lead", optional=False),
        *entries(ImportModelJob, ("window", "also")),
        *entries(PeriodConfig),
        *entries(ImportModelJob, ("sequence", "licence", "title")),
    )

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> ImportModelJob:
        """The import; its variables must be in the dataset."""
        fields = self.read(values, context)
        made = ImportModelJob(period=take_period(fields), **fields)
        summary = sequence_of(read_summary(made.dataset), made.sequence)
        for name in (*made.channels, made.target, *made.also):
            summary.variable(name)
        return made


class ExportModelAlgorithm(JobAlgorithm):
    """A saved model as an ONNX file."""

    verb, id_name, title, icon_name = "export-model", "exportmodel", "Export a model as ONNX", "predict"
    summary = (
        "Writes a saved model as an ONNX file, which other programs run without Freshet, and proves that it gives the "
        "same outputs, also for another number of steps and another grid where the model allows them."
    )
    assumes = ("Inputs and output of the file are scaled; the scalers stand in the model card in its metadata.",)
    outputs = ("ONNX",)
    entries = (entry(ExportModelJob, "model", kind="model"), *entries(ExportModelJob, ("rows", "columns", "title")))

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> ExportModelJob:
        """The export; the model is ours, as far as its header tells."""
        made = ExportModelJob(**self.read(values, context))
        read_card(made.model)
        return made
