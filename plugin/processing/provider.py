"""The provider ``freshet``."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from ..engine import ROOT
from ..version import version
from .algorithms import (
    CompareAlgorithm,
    EvaluateAlgorithm,
    FinetuneAlgorithm,
    PredictAlgorithm,
    TrainAlgorithm,
    TuneAlgorithm,
)
from .cache import CacheAlgorithm
from .exchange import ExportModelAlgorithm, ImportModelAlgorithm
from .prepare import PrepareAlgorithm
from .questions import (
    DriversAlgorithm,
    ExplainAlgorithm,
    ImportanceAlgorithm,
    ProbeAlgorithm,
    SharesAlgorithm,
)
from .terrain import TerrainAlgorithm
from .what_if import WhatIfAlgorithm

ALGORITHMS = (
    PrepareAlgorithm,
    TerrainAlgorithm,
    TrainAlgorithm,
    FinetuneAlgorithm,
    PredictAlgorithm,
    CompareAlgorithm,
    EvaluateAlgorithm,
    ExplainAlgorithm,
    ImportanceAlgorithm,
    ProbeAlgorithm,
    WhatIfAlgorithm,
    DriversAlgorithm,
    SharesAlgorithm,
    TuneAlgorithm,
    ImportModelAlgorithm,
    ExportModelAlgorithm,
    CacheAlgorithm,
)


class FreshetProvider(QgsProcessingProvider):
    """Algorithms freshet:prepare, terrain, train, finetune, predict, compare, evaluate, tune, importmodel, exportmodel,
    cache, and the questions explain, importance, probe, whatif, drivers, shares.
    """

    def id(self) -> str:
        """The untranslated id, the part before the colon."""
        return "freshet"

    def name(self) -> str:
        """The name in the toolbox."""
        return "Freshet"

    def longName(self) -> str:  # noqa: N802
        """The name with the version."""
        return f"Freshet {version()}".strip()

    def icon(self) -> QIcon:
        """The icon of the plugin."""
        return QIcon(str(ROOT / "resources" / "freshet.svg"))

    def loadAlgorithms(self) -> None:  # noqa: N802
        """Called by QGIS."""
        for kind in ALGORITHMS:
            self.addAlgorithm(kind())
