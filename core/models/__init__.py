"""All models behind one door. Importing this package loads no torch; building a model does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..contracts.errors import ConfigError
from ..contracts.models import FAMILIES, Family, family, model_names, resolve

if TYPE_CHECKING:
    from .base import ForecastModel

# Family of the catalogue -> (module of this package, class). A family is imported when one of its models is built.
REGISTRY: dict[str, tuple[str, str]] = {
    "convlstm": ("convlstm", "ConvLSTM"),
    "convlstm-ed": ("convlstm_ed", "ConvLSTMEncoderDecoder"),
    "convlstm-gauge": ("convlstm_gauge", "ConvLSTMGauge"),
    "convgru": ("convgru", "ConvGRU"),
    "convlstm-unet": ("convlstm_unet", "ConvLSTMUNet"),
    "predrnn": ("predrnn", "PredRNN"),
    "predrnn++": ("predrnn", "PredRNNPlus"),
    "mim": ("mim", "MIM"),
    "cubic": ("cubic", "CubicRNN"),
    "a-convlstm": ("attentive", "AConvLSTM"),
    "cbam-convlstm": ("attentive", "CBAMConvLSTM"),
    "sa-convlstm": ("attentive", "SAConvLSTM"),
    "msa-convlstm": ("attentive", "MSAConvLSTM"),
    "deform-convlstm": ("deformable", "DeformConvLSTM"),
    "deform-convlstm-sac": ("deformable", "DeformConvLSTMSAC"),
    "gccl": ("gccl", "GCCL"),
    "partial-convlstm": ("partial", "PartialConvLSTM"),
    "cnn-biconvlstm": ("cnn_biconvlstm", "CNNBiConvLSTM"),
    "lstm": ("cellwise", "LSTM"),
    "mc-lstm": ("cellwise", "MCLSTM"),
    "exp-hydro": ("exp_hydro", "ExpHydro"),
    "cnn-lstm": ("cnn", "CNNLSTM"),
    "cnn": ("cnn", "CNN"),
    "mc-convlstm": ("mc_convlstm", "MassConservingConvLSTM"),
    "ridge": ("regression", "Ridge"),
    "random-forest": ("forest", "RandomForest"),
    "persistence": ("reference_forecasts", "Persistence"),
    "climatology": ("reference_forecasts", "Climatology"),
    "advection": ("advection", "Advection"),
}


def list_models() -> list[str]:
    """Names that :func:`build_model` takes: the families that the engine can build, and their presets."""
    return [name for name in model_names() if family(name).name in REGISTRY]


def build_model(
    name: str,
    in_channels: int,
    out_channels: int,
    *,
    static_channels: int = 0,
    leads: int = 1,
    gauges: int = 0,
    ahead_channels: int = 0,
    **options: Any,
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
    gauges, ahead_channels : int
        Gauges G to predict (0: maps), and inputs A that are known ahead.
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
    more = _more(name, family(known), gauges, ahead_channels)
    module, constructor = REGISTRY[known]
    built = getattr(import_module(f".{module}", __package__), constructor)
    return built(in_channels, out_channels, static_channels=static_channels, leads=leads, **more, **complete)


def _more(name: str, found: Family, gauges: int, ahead_channels: int) -> dict[str, int]:
    """Sizes that only some families take; ConfigError where this one does not."""
    wanted = "gauges" if gauges else "maps"
    if wanted not in found.gives:
        fitting = [item.name for item in FAMILIES if wanted in item.gives and item.name in REGISTRY]
        raise ConfigError(
            f"The model '{name}' cannot predict {wanted}",
            expected=f"a family that predicts {wanted}: {', '.join(fitting)}",
            got=f"'{name}', which predicts {' and '.join(found.gives)}",
            remedy="Choose one of these, or a target that the model can predict",
        )
    if ahead_channels and not found.uses_ahead:
        fitting = [item.name for item in FAMILIES if item.uses_ahead and item.name in REGISTRY]
        raise ConfigError(
            f"The model '{name}' reads no inputs that are known ahead",
            expected=f"a family that does: {', '.join(fitting) or 'none yet'}",
            remedy="Leave out the forecast inputs, or choose one of these",
        )
    return {key: value for key, value in (("gauges", gauges), ("ahead_channels", ahead_channels)) if value}


__all__ = ["REGISTRY", "build_model", "list_models"]
