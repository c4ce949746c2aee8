"""Which saved models can be explained, and how; the engine and the dialogs ask alike."""

from __future__ import annotations

from .errors import ModelFileError
from .explain_methods import METHOD_WORDS, WITHOUT_GRADIENTS
from .model_card import ModelCard
from .models import family


def check_explainable(card: ModelCard, method: str = "integrated-gradients", *, at_gauge: bool = False) -> None:
    """Raise :class:`ModelFileError` where ``method`` needs gradients and none leads through the model, or where a model
    of gauges is asked about a place of the map (``at_gauge``: a gauge or the basin is asked about).
    """
    known = METHOD_WORDS[method]
    if known.gradients and not family(card.family).differentiable:
        raise ModelFileError(
            f"A model of the family '{card.family}' cannot be explained by {known.words}: it has no gradients",
            expected=f"a model with gradients, or one of the methods that need none: {', '.join(WITHOUT_GRADIENTS)}",
            remedy="Choose occlusion-space or occlusion-time, or ask for the permutation importance of the model",
        )
    if card.gauges and not at_gauge:
        raise ModelFileError(
            f"The model predicts {len(card.gauges)} gauges, not maps",
            expected=f"one of its gauges: {', '.join(card.gauges[:20])}",
            got="a place on the map",
            remedy="Name one of its gauges, or choose a model of maps",
        )
