"""Which saved models can be explained, and how; the engine and the dialogs ask alike."""

from __future__ import annotations

from .errors import ModelFileError
from .model_card import ModelCard
from .models import family

_WITHOUT_GRADIENTS = ("occlusion-space", "occlusion-time", "gaussian", "rise", "shapley")


def check_explainable(card: ModelCard, method: str = "integrated-gradients", *, at_gauge: bool = False) -> None:
    """Raise :class:`ModelFileError` where ``method`` needs gradients and none leads through the model, or where a model
    of gauges is asked about a place of the map (``at_gauge``: a gauge or the basin is asked about).
    """
    if method not in _WITHOUT_GRADIENTS and not family(card.family).differentiable:
        raise ModelFileError(
            f"A model of the family '{card.family}' cannot be explained by integrated gradients",
            expected="a model with gradients, such as a ConvLSTM",
            remedy="Choose another model",
        )
    if card.gauges and not at_gauge:
        raise ModelFileError(
            f"The model predicts {len(card.gauges)} gauges, not maps",
            expected=f"one of its gauges: {', '.join(card.gauges[:20])}",
            got="a place on the map",
            remedy="Name a gauge by the command, or choose a model of maps",
        )
