"""The provider ``freshet``."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider


class FreshetProvider(QgsProcessingProvider):
    """Algorithms freshet:prepare, train, finetune, predict, compare, evaluate, explain, tune."""
