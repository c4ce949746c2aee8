"""Which saved models can be explained; the engine and the dialogs ask alike."""

from __future__ import annotations

from .errors import ModelFileError
from .model_card import ModelCard
from .models import family


def check_explainable(card: ModelCard) -> None:
    """Raise :class:`ModelFileError` for a model that no gradient leads through, or that predicts series at gauges."""
    if not family(card.family).differentiable:
        raise ModelFileError(
            f"A model of the family '{card.family}' cannot be explained by integrated gradients",
            expected="a model with gradients, such as a ConvLSTM",
            remedy="Choose another model",
        )
    if card.gauges:
        raise ModelFileError(
            f"The model predicts {len(card.gauges)} gauges, and explanations are made for maps",
            expected="a model that predicts maps",
            remedy="Choose another model",
        )
