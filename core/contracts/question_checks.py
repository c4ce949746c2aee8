"""Which questions a saved model can be asked as a whole; the engine and the dialogs ask alike."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import ConfigError, ModelFileError
from .model_card import ModelCard
from .models import family

PRECIPITATION = "precipitation"  # the quantity that a dry baseline takes away
# Families that keep nothing from step to step and have no convolutions whose output could be read.
WITHOUT_STATES = ("ridge", "random-forest", "persistence", "climatology", "advection")


def check_drivers(card: ModelCard, method: str) -> None:
    """Raise :class:`ModelFileError` for a model of gauges, or one without gradients where ``method`` needs them."""
    if card.gauges:
        raise ModelFileError(
            f"The model predicts {len(card.gauges)} gauges, and a map of drivers is made of maps",
            expected="a model that predicts maps",
            remedy="Explain one of its gauges, or ask for the shares of its variables",
        )
    if method != "occlusion" and not family(card.family).differentiable:
        raise ModelFileError(
            f"A model of the family '{card.family}' has no gradients",
            expected="a model with gradients, or the method 'occlusion'",
            remedy="Choose the method 'occlusion', which takes one variable away at a time",
        )


def check_shares(card: ModelCard) -> None:
    """Raise :class:`ModelFileError` for a model without gradients."""
    if not family(card.family).differentiable:
        raise ModelFileError(
            f"Shares come from integrated gradients, and a model of the family '{card.family}' has no gradients",
            expected="a model with gradients, such as a ConvLSTM",
            remedy="Ask for the permutation importance of the model, which works for every family",
        )


def check_states(name: str) -> None:
    """Raise :class:`ModelFileError` where models of the family called ``name`` have no states."""
    if name in WITHOUT_STATES:
        raise no_states(name)


def no_states(name: str) -> ModelFileError:
    """What is said of a model of the family ``name`` that has left no state."""
    return ModelFileError(
        f"A model of the family '{name}' has no states that a probe could read",
        expected="a model with recurrent layers (such as convlstm, convgru, predrnn, lstm, cnn-lstm), with "
        "convolutions (cnn), or with storages (mc-lstm, mc-convlstm, exp-hydro)",
        remedy="Choose another model",
    )


def check_baseline(kind: str, card: ModelCard) -> None:
    """Raise :class:`ConfigError` where the model reads no precipitation that could be taken away."""
    inputs = (*card.inputs, *card.ahead)
    if kind == "dry" and not any(variable.quantity == PRECIPITATION for variable in inputs):
        raise ConfigError(
            "A sequence without rain is no baseline for this model",
            expected="an input of the quantity 'precipitation'",
            got=", ".join(f"{v.name} ({v.quantity})" for v in inputs),
            remedy="Compare with the mean instead",
        )


def check_lags(edges: Iterable[int], youngest: int, window: int) -> None:
    """Raise :class:`ConfigError` where an oldest step back of ``edges`` lies outside the window of ``window`` steps,
    whose last step is ``youngest`` steps back.
    """
    oldest, edges = youngest + window - 1, list(edges)
    if edges and (min(edges) < youngest or max(edges) > oldest):
        raise ConfigError(
            "A block of steps back lies outside the model's window",
            expected=f"steps from {youngest} to {oldest}",
            got=", ".join(str(edge) for edge in edges),
            remedy="Correct the blocks",
        )
