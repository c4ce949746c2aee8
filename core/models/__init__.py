"""All models behind one door. Importing this package loads no torch; building a model does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..contracts.errors import ConfigError
from ..contracts.models import family, model_names, resolve

if TYPE_CHECKING:
    from .base import ForecastModel

# Family of the catalogue -> (module of this package, class). A family is imported when one of its models is built.
REGISTRY: dict[str, tuple[str, str]] = {
    "convlstm": ("convlstm", "ConvLSTM"),
}


def list_models() -> list[str]:
    """Names that :func:`build_model` takes: the families that the engine can build, and their presets."""
    return [name for name in model_names() if family(name).name in REGISTRY]


def build_model(
    name: str, in_channels: int, out_channels: int, *, static_channels: int = 0, leads: int = 1, **options: Any
) -> ForecastModel:
    """Build a model; the contract of what comes back stands in :mod:`core.models.base`.

    Parameters
    ----------
    name : str
        A family or preset of the catalogue; see :func:`list_models`.
    in_channels, out_channels : int
        Dynamic inputs C (without static maps and masks) and targets K.
    static_channels, leads : int
        Static maps S and lead steps L.
    **options
        Options of the family; those left out take the preset's value or the default.

    Raises
    ------
    ConfigError
        Unknown name or option, a value out of range, or a contradiction between options.
    """
    known, complete = resolve(name, options)
    if known not in REGISTRY:
        raise ConfigError(
            f"The model '{name}' is not built by the engine",
            expected=", ".join(list_models()),
            remedy="Choose one of these names",
        )
    if leads > 1 and not family(known).several_leads:
        raise ConfigError(
            f"The model '{name}' predicts one lead only",
            expected="1 lead",
            got=f"{leads} leads",
            remedy="Ask for one lead or choose another model",
        )
    module, constructor = REGISTRY[known]
    built = getattr(import_module(f".{module}", __package__), constructor)
    return built(in_channels, out_channels, static_channels=static_channels, leads=leads, **complete)


__all__ = ["REGISTRY", "build_model", "list_models"]
