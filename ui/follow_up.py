"""What happens in the project when a run is over: a new dataset joins it, new maps are shown."""

from __future__ import annotations

from typing import Any, Callable, Optional

from qgis.core import Qgis, QgsMessageLog, QgsProject
from qgis.PyQt.QtCore import QObject

from ..core.contracts import FreshetError, RunFolder, RunState
from ..plugin.datasets import Datasets
from ..plugin.layers import add_run_results
from ..plugin.runs import Runs
from ..plugin.settings import Settings, load_settings
from .choice import Choice

SHOWN = ("train", "finetune", "predict", "compare", "evaluate")


class FollowUp(QObject):
    """Listens to the ends of runs; works on the main thread only."""

    def __init__(
        self,
        runs: Runs,
        datasets: Datasets,
        choice: Choice,
        iface: Any = None,
        temporal: Any = None,
        settings: Callable[[], Settings] = load_settings,
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._runs, self._datasets, self._choice, self._iface, self._temporal = runs, datasets, choice, iface, temporal
        self._settings = settings
        self._project = QgsProject.instance().fileName()
        runs.ended.connect(self._on_ended)

    def release(self) -> None:
        """Listen no more."""
        self._runs.ended.disconnect(self._on_ended)

    def _on_ended(self, path: str, state: RunState) -> None:
        if state is not RunState.DONE:
            return
        run = RunFolder(path)
        try:
            verb = run.header()["verb"]
            artifacts = run.artifacts()
            for artifact in artifacts:
                if verb == "prepare" and artifact.kind == "dataset":
                    self._choice.set_dataset(self._datasets.add(str(run.resolve(artifact))).path)
            maps = any(artifact.kind in ("predicted", "observed", "delta", "gauges") for artifact in artifacts)
            if verb in SHOWN and maps and self._settings().add_results:
                add_run_results(run, QgsProject.instance(), self._iface, self._temporal)
        except FreshetError as error:
            QgsMessageLog.logMessage(str(error), "Freshet", Qgis.MessageLevel.Warning)
