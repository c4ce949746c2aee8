"""Recurrent families on maps."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..config import Rule
from ..errors import ConfigError
from . import common
from .base import Family, Option, Preset


def _check_convlstm(options: dict[str, Any], name: str = "convlstm") -> None:
    """Contradictions between the options of the families ``convlstm`` and ``convlstm-ed``."""
    layers = len(options["hidden"])
    if layers == 0:
        raise ConfigError(
            "A ConvLSTM needs at least one layer",
            expected=f"{name}.hidden with one number of channels per layer",
            got="an empty list",
            remedy="Give for instance 24, or 32, 64",
        )
    if len(options["kernel"]) not in (1, layers):
        raise ConfigError(
            f"{name}.kernel does not fit the number of layers",
            expected=f"one size for all layers, or {layers} sizes",
            got=f"{len(options['kernel'])} sizes",
            remedy=f"Give one odd size, or one for each layer of {name}.hidden",
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
        "state_activation",
        str,
        "tanh",
        Rule(
            label="State activation",
            help="Of the candidate and of the memory that is given out: 'tanh' as in the paper, or 'relu'.",
            choices=("tanh", "relu"),
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
        "head_activation",
        str,
        "none",
        Rule(
            label="Output activation",
            help="After the output layer, on scaled values: 'relu' keeps them above 0, 'sigmoid' between 0 and 1. "
            "Both want a scaler that gives such values, as min-max does.",
            choices=("none", "relu", "sigmoid"),
            advanced=True,
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

_DECODER_INPUT = common.choice(
    "decoder_input",
    "previous",
    "Input of the decoder",
    "'previous': the prediction of the lead before (zero at the first lead; in training at times the truth); 'none': "
    "the state alone. Both beside what is known ahead.",
    ("previous", "none"),
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
    Family(
        name="convlstm-ed",
        label="ConvLSTM encoder-decoder",
        summary="One ConvLSTM reads the past and another goes on from its memory, lead by lead, reading what is known "
        "ahead, such as a weather forecast, and its own last prediction. For several leads.",
        paper="Shi, X., Chen, Z., Wang, H., Yeung, D.-Y., Wong, W.-K., Woo, W.-C. (2015): Convolutional LSTM Network: "
        "A Machine Learning Approach for Precipitation Nowcasting. NeurIPS 28; scheduled sampling by Bengio, S., "
        "Vinyals, O., Jaitly, N., Shazeer, N. (2015), NeurIPS 28, doi:10.48550/arXiv.1506.03099",
        doi="10.48550/arXiv.1506.04214",
        uses_ahead=True,
        uses_truth=True,
        several_steps=False,
        options=tuple(
            _DECODER_INPUT if option.name == "decoder_input" else option
            for option in _CONVLSTM_OPTIONS
            if option.name != "output"
        ),
        check=partial(_check_convlstm, name="convlstm-ed"),
    ),
    Family(
        name="convgru",
        label="ConvGRU",
        summary="Convolutional gated recurrent unit: like a ConvLSTM with one state in place of two, a quarter "
        "smaller and faster.",
        paper="Ballas, N., Yao, L., Pal, C., Courville, A. (2016): Delving Deeper into Convolutional Networks for "
        "Learning Video Representations. ICLR",
        doi="10.48550/arXiv.1511.06432",
        options=(common.hidden(), common.kernel(), common.head_kernel(), common.dropout(), common.mask_channels()),
        check=common.check_layers("convgru"),
    ),
    Family(
        name="convlstm-unet",
        label="ConvLSTM U-Net",
        summary="ConvLSTM layers at finer and coarser resolutions, joined again from coarse to fine; sees far at "
        "little cost and keeps the detail.",
        paper="Ronneberger, O., Fischer, P., Brox, T. (2015): U-Net: Convolutional Networks for Biomedical Image "
        "Segmentation. MICCAI, with the ConvLSTM of Shi, X. et al. (2015), doi:10.48550/arXiv.1506.04214",
        doi="10.1007/978-3-319-24574-4_28",
        options=(
            common.hidden((16, 24, 32)),
            common.kernel(),
            common.head_kernel(),
            common.dropout(),
            common.mask_channels(),
        ),
        check=common.check_layers("convlstm-unet"),
    ),
)
