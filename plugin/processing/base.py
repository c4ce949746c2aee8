"""What all algorithms share: parameters in, a job out, a worker watched, results handed over."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputFolder,
    QgsProcessingParameterFolderDestination,
)
from qgis.PyQt.QtGui import QIcon

from ...core.contracts import (
    Config,
    DataError,
    Event,
    EventKind,
    FreshetError,
    RunError,
    RunFolder,
    RunState,
)
from ...core.contracts.config import json_schema
from ..engine import ROOT, find_engine
from ..settings import load_settings
from ..version import version
from ..watch import POLL_SECONDS, RunWatch
from .outputs import declare_outputs, results_of
from .parameters import Entry, absolute, choice_name, finish, many_choices

RUN_FOLDER = "RUN_FOLDER"


class JobAlgorithm(QgsProcessingAlgorithm):
    """One verb of the engine as an algorithm. Subclasses declare and build the job; nothing is computed here."""

    verb = ""
    id_name = ""  # where the verb is no name for QGIS, which wants letters and digits alone
    title = ""
    summary = ""
    icon_name = "run"
    outputs: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    assumes: tuple[str, ...] = ()  # sentences on what the answer rests on, for the help
    guesses: tuple[str, ...] = ()  # sentences on what :meth:`job` had to guess, told when the run starts

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> Config:
        """The job that the parameters ask for; raises FreshetError. Main thread only."""
        raise NotImplementedError

    def add_more(self) -> None:
        """Parameters that are no field of a job. Subclasses override."""

    def read(self, values: dict[str, Any], context: QgsProcessingContext) -> dict[str, Any]:
        """Field names and values of the declared entries."""
        return {item.field: item.read(self, values, context) for item in self.entries if item.field}

    # What QGIS asks for.

    def name(self) -> str:
        """The untranslated id."""
        return self.id_name or self.verb

    def displayName(self) -> str:  # noqa: N802
        """The name in the toolbox."""
        return self.title

    def shortDescription(self) -> str:  # noqa: N802
        """The tooltip in the toolbox."""
        return self.summary

    def shortHelpString(self) -> str:  # noqa: N802
        """The summary and the help of every parameter, rendered from the rules of the job."""
        rows = [f"<p>{escape(self.summary)}</p>"]
        if self.assumes:
            sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.assumes)
            rows.append(f"<p><b>What it assumes</b></p><ul>{sentences}</ul>")
        for item in self.parameterDefinitions():
            rows.append(f"<p><b>{escape(item.description())}</b> ({item.name()})<br>{escape(item.help())}</p>")
        return "\n".join(rows)

    def icon(self) -> QIcon:
        """The icon of the verb."""
        return QIcon(str(ROOT / "resources" / f"{self.icon_name}.svg"))

    def createInstance(self) -> JobAlgorithm:  # noqa: N802
        """A fresh copy, as every execution wants."""
        return type(self)()

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        """Declare parameters and outputs."""
        for item in self.entries:
            self.addParameter(item.definition())
        self.add_more()
        folder = QgsProcessingParameterFolderDestination(RUN_FOLDER, "Run folder", None, True, False)
        self.addParameter(
            finish(
                folder, "Where the run keeps its log, results and report; empty makes a folder among the runs.", True
            ),
            False,  # its output is RUN, which is there also where the folder was left empty
        )
        self.addOutput(QgsProcessingOutputFolder("RUN", "Run folder"))
        declare_outputs(self, self.outputs)

    def checkParameterValues(self, values: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:  # noqa: N802
        """Whether a job can be made of the values; else the sentence that says what is wrong and what to do."""
        try:
            self.job(values, context)
        except FreshetError as error:
            return False, str(error)
        choices = {
            item.name: item
            for item in self.entries
            if item.kind == "choice" and isinstance(values.get(item.name), (str, int))
        }
        named = {name: choice_name(item, values[name]) for name, item in choices.items()}
        for item in self.entries:
            if item.kind == "choices" and values.get(item.name) is not None:
                named[item.name] = list(many_choices(self, item.name, item.choices, values, context))
        return super().checkParameterValues({**values, **named}, context)

    def prepareAlgorithm(  # noqa: N802
        self, values: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """On the main thread: look at layers, make the job, find the engine."""
        try:
            self._job = self.job(values, context)
            self._engine = find_engine(load_settings())
        except FreshetError as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(  # noqa: N802
        self, values: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Start the worker, follow it, hand over its results."""
        try:
            self._job = self.made_ready(self._job)
            run = self._make_run(values, context)
            feedback.pushInfo(f"Run folder: {run.path}")
            feedback.pushInfo(f"Engine: {self._engine.python} ({self._engine.origin})")
            for sentence in self.guesses:
                feedback.pushInfo(sentence)
            watch = RunWatch(run, self._engine)
            watch.start()
            _follow(watch, feedback)
        except FreshetError as error:
            raise QgsProcessingException(str(error)) from error
        if watch.error is not None:
            raise QgsProcessingException(str(watch.error))
        if watch.state is RunState.CANCELLED and not feedback.isCanceled():
            raise QgsProcessingException("The run was cancelled from outside. Start it again.")
        if watch.state is RunState.CANCELLED:
            return {"RUN": str(run.path)}
        return {"RUN": str(run.path), **results_of(run, self.outputs, context)}

    def made_ready(self, job: Config) -> Config:
        """The job as the engine reads it; overridden where files have to be turned into another form first."""
        return job

    def _make_run(self, values: dict[str, Any], context: QgsProcessingContext) -> RunFolder:
        folder = self.parameterAsString(values, RUN_FOLDER, context) if values.get(RUN_FOLDER) else ""
        try:
            if folder:
                return RunFolder.create_at(absolute(folder), self.verb, self._job, version=version())
            return RunFolder.create(load_settings().runs_path, self.verb, self._job, version=version())
        except OSError as error:
            raise RunError(
                "The run's folder cannot be written", got=str(error), remedy="Choose another run folder"
            ) from error


def _follow(watch: RunWatch, feedback: QgsProcessingFeedback) -> None:
    """Until the run is over: its story to the feedback, the person's wish to cancel to the run."""
    asked = False
    while True:
        for event in watch.poll():
            _tell(event, feedback)
        feedback.setProgress(100.0 * watch.fraction)
        if watch.state.final:
            return
        if feedback.isCanceled() and not asked:
            asked = True
            feedback.pushInfo("Cancelling: the worker stops after the batch that it computes.")
            watch.run.request_cancel()
        time.sleep(POLL_SECONDS)


def _tell(event: Event, feedback: QgsProcessingFeedback) -> None:
    if event.kind is EventKind.PROGRESS:
        feedback.setProgressText(str(event.values.get("what") or event.values.get("text") or ""))
    elif event.kind is EventKind.MESSAGE:
        text = str(event.values.get("text", ""))
        (feedback.pushWarning if event.values.get("level") == "warning" else feedback.pushInfo)(text)
    elif event.kind is EventKind.METRIC:
        shown = [
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in event.values.items()
            if isinstance(value, (int, float))
        ]
        feedback.pushInfo(", ".join(shown))


def existing_file(path: str, what: str) -> str:
    """``path`` where it exists; DataError else."""
    if path and not Path(path).exists():
        raise DataError(f"The {what} does not exist", got=path, remedy="Correct its path")
    return path


def schema_text(cls: type[Config]) -> str:
    """Names of the fields of a configuration, for the help of a parameter that takes JSON."""
    return ", ".join(json_schema(cls)["properties"])
