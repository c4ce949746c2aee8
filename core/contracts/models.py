"""The model catalogue: every family as data. Dialogs, algorithms, help and the engine's registry read it.

A family is added here (what it is, which options it has) and in one file of :mod:`core.models` (how it computes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, get_origin

from .config import Rule, check_value
from .errors import ConfigError


@dataclass(frozen=True)
class Option:
    """One option of a family: name, Python type, default and rule.

    Types: ``int``, ``float``, ``bool``, ``str`` or ``tuple[int, ...]``.
    """

    name: str
    type: Any
    default: Any
    rule: Rule


@dataclass(frozen=True)
class Preset:
    """Options of a family under a name of their own, with the work that they come from."""

    name: str
    label: str
    help: str
    options: dict


@dataclass(frozen=True)
class Family:
    """A model family.

    ``uses_static`` and ``uses_observed`` tell whether it reads static maps and masks of missing input.
    ``check`` raises ConfigError where options that are valid one by one contradict each other.
    """

    name: str
    label: str
    summary: str
    paper: str
    doi: str
    options: tuple[Option, ...]
    presets: tuple[Preset, ...] = ()
    uses_static: bool = True
    uses_observed: bool = True
    trainable: bool = True
    several_leads: bool = True
    differentiable: bool = True
    check: Optional[Callable[[dict[str, Any]], None]] = None

    def complete(self, options: dict[str, Any]) -> dict[str, Any]:
        """All options: those given, checked, and the defaults of the others. Unknown ones are refused by name."""
        known = {option.name: option for option in self.options}
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ConfigError(
                f"Model family '{self.name}' has no option {', '.join(repr(name) for name in unknown)}",
                expected=", ".join(known) or "no options",
                remedy="Remove the option or correct its spelling",
            )
        complete = {
            name: check_value(option.type, options.get(name, option.default), option.rule, f"{self.name}.{name}")
            for name, option in known.items()
        }
        if self.check is not None:
            self.check(complete)
        return complete


def _check_convlstm(options: dict[str, Any]) -> None:
    """Contradictions between the options of the family ``convlstm``."""
    layers = len(options["hidden"])
    if layers == 0:
        raise ConfigError(
            "A ConvLSTM needs at least one layer",
            expected="convlstm.hidden with one number of channels per layer",
            got="an empty list",
            remedy="Give for instance 24, or 32, 64",
        )
    if len(options["kernel"]) not in (1, layers):
        raise ConfigError(
            "convlstm.kernel does not fit the number of layers",
            expected=f"one size for all layers, or {layers} sizes",
            got=f"{len(options['kernel'])} sizes",
            remedy="Give one odd size, or one for each layer of convlstm.hidden",
        )


_KERNELS = (1, 3, 5, 7, 9, 11)

_CONVLSTM_OPTIONS = (
    Option(
        "hidden",
        tuple[int, ...],
        (24,),
        Rule(
            label="Channels per layer",
            help="Number of state channels of each layer, bottom layer first; as many numbers as layers (32, 64 means "
            "two). More channels remember more and take longer.",
            unit="channels",
            minimum=1,
            maximum=1024,
        ),
    ),
    Option(
        "kernel",
        tuple[int, ...],
        (3,),
        Rule(
            label="Kernel size",
            help="Side of the neighbourhood that a cell sees at each step: one odd number for all layers, or one for "
            "each layer.",
            unit="cells",
            choices=_KERNELS,
        ),
    ),
    Option(
        "peepholes",
        bool,
        False,
        Rule(
            label="Peepholes",
            help="Let the gates see the cell memory, as in the paper of 2015; one weight per channel, so that the "
            "model fits grids of any size.",
            advanced=True,
        ),
    ),
    Option(
        "normalisation",
        str,
        "none",
        Rule(
            label="Normalisation",
            help="After each layer. 'batch' uses statistics gathered in training. 'group' uses those of each map "
            "alone; prediction then needs the whole map at once and cannot be tiled.",
            choices=("none", "batch", "group"),
        ),
    ),
    Option(
        "dropout",
        float,
        0.0,
        Rule(
            label="Dropout",
            help="Share of each layer's input that is set to zero in training, one mask per window.",
            minimum=0.0,
            maximum=0.9,
        ),
    ),
    Option(
        "recurrent_dropout",
        float,
        0.0,
        Rule(
            label="Recurrent dropout",
            help="Share of each layer's state that is hidden from the gates in training, one mask per window.",
            minimum=0.0,
            maximum=0.9,
        ),
    ),
    Option(
        "gate_activation",
        str,
        "sigmoid",
        Rule(
            label="Gate activation",
            help="'hard-sigmoid' is 0.2 x + 0.5 cut to 0 ... 1, the default of older Keras versions.",
            choices=("sigmoid", "hard-sigmoid"),
            advanced=True,
        ),
    ),
    Option(
        "forget_bias",
        float,
        1.0,
        Rule(
            label="Forget bias",
            help="Start value of the forget gate's bias; 1 lets the memory last from the first epoch on.",
            minimum=-10.0,
            maximum=10.0,
            advanced=True,
        ),
    ),
    Option(
        "head_kernel",
        int,
        1,
        Rule(
            label="Kernel size of the output",
            help="Side of the neighbourhood that the output layer reads from the last state; an odd number.",
            unit="cells",
            choices=_KERNELS,
        ),
    ),
    Option(
        "output",
        str,
        "many-to-one",
        Rule(
            label="Output",
            help="'many-to-one' predicts all leads from the last state of the window at once; 'encoder-decoder' goes "
            "on step by step from it, one step per lead.",
            choices=("many-to-one", "encoder-decoder"),
        ),
    ),
    Option(
        "decoder_input",
        str,
        "previous",
        Rule(
            label="Input of the decoder",
            help="'previous': the prediction of the lead before (zero at the first lead); 'none': the state alone. "
            "Only for encoder-decoder.",
            choices=("previous", "none"),
            advanced=True,
        ),
    ),
    Option(
        "mask_channels",
        bool,
        False,
        Rule(
            label="Masks as input",
            help="Add a channel per input that is 1 where the input was observed and 0 where it was missing.",
        ),
    ),
    Option(
        "padding",
        str,
        "zeros",
        Rule(
            label="Beyond the edge",
            help="What a kernel sees beyond the edge of the grid: zeros, or the nearest cell repeated (replicate).",
            choices=("zeros", "replicate"),
            advanced=True,
        ),
    ),
)

FAMILIES: tuple[Family, ...] = (
    Family(
        name="convlstm",
        label="ConvLSTM",
        summary="Convolutional LSTM: every cell keeps a memory and exchanges it with its neighbours at each step. "
        "The general choice for maps to maps.",
        paper="Shi, X., Chen, Z., Wang, H., Yeung, D.-Y., Wong, W.-K., Woo, W.-C. (2015): Convolutional LSTM Network: "
        "A Machine Learning Approach for Precipitation Nowcasting. NeurIPS 28",
        doi="10.48550/arXiv.1506.04214",
        options=_CONVLSTM_OPTIONS,
        presets=(
            Preset(
                name="convlstm-wflow",
                label="ConvLSTM for wflow states",
                help="Two layers of 32 and 64 channels with batch normalisation and dropout: the network that was "
                "trained on states of the wflow_sbm model. 264,001 parameters with four inputs and one target.",
                options={
                    "hidden": (32, 64),
                    "kernel": (3,),
                    "peepholes": False,
                    "normalisation": "batch",
                    "dropout": 0.1,
                    "recurrent_dropout": 0.1,
                    "head_kernel": 3,
                },
            ),
        ),
        check=_check_convlstm,
    ),
)


def family(name: str) -> Family:
    """The family called ``name``, or the family of the preset called ``name``; ConfigError lists the valid names."""
    return _find(name)[0]


def model_names() -> tuple[str, ...]:
    """Names that :func:`resolve` knows: each family, followed by its presets."""
    return tuple(name for item in FAMILIES for name in (item.name, *(preset.name for preset in item.presets)))


def resolve(name: str, options: Optional[dict[str, Any]] = None) -> tuple[str, dict[str, Any]]:
    """Name of the family and all its options, checked.

    A preset's options replace the family's defaults, and ``options`` replace the preset's. A single number stands for
    a list of one. Raises ConfigError for an unknown name or option and for a value out of range.
    """
    found, preset = _find(name)
    merged = {**(preset.options if preset else {}), **(options or {})}
    lists = {option.name for option in found.options if get_origin(option.type) is tuple}
    for key in lists & set(merged):
        if isinstance(merged[key], (int, float)) and not isinstance(merged[key], bool):
            merged[key] = (merged[key],)
    return found.name, found.complete(merged)


def _find(name: str) -> tuple[Family, Optional[Preset]]:
    for item in FAMILIES:
        if item.name == name:
            return item, None
        for preset in item.presets:
            if preset.name == name:
                return item, preset
    raise ConfigError(
        f"There is no model called '{name}'",
        expected=", ".join(model_names()),
        remedy="Choose one of these names",
    )
