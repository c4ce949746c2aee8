"""Families of one place: a basin's mean, or every cell on its own."""

from __future__ import annotations

from typing import Any

from ..config import Rule
from ..errors import ConfigError
from . import common
from .base import Family, Option, Preset

_MASS_CHANNEL = common.whole(
    "mass_channel",
    -1,
    "Precipitation among the inputs",
    "Place of the precipitation among the inputs, counted from 0; it enters as mm a step. -1 takes the first input "
    "that the catalogue knows as precipitation.",
    -1,
    1000,
)

_LSTM = Family(
    name="lstm",
    label="LSTM (every place on its own)",
    summary="Long short-term memory of one place: a basin's mean, or each cell without its neighbours. The "
    "standard for rainfall-runoff, and the test of whether neighbours matter.",
    paper="Hochreiter, S., Schmidhuber, J. (1997): Long Short-Term Memory. Neural Computation 9",
    doi="10.1162/neco.1997.9.8.1735",
    uses_mask=True,
    gives=("maps", "gauges"),
    one_cell=True,
    options=(
        common.whole("hidden_size", 32, "Cells", "Number of memory cells of each layer.", 1, 4096),
        common.whole("layers", 1, "Layers", "Number of layers.", 1, 8),
        common.number("dropout", 0.0, "Dropout", "Share of the output that is set to zero in training.", 0.0, 0.9),
        common.number(
            "forget_bias",
            3.0,
            "Forget bias",
            "Start value of the forget gate's bias; 3 lets the memory last from the first epoch on.",
            -10.0,
            10.0,
            advanced=True,
        ),
        common.mask_channels(),
    ),
    presets=(
        Preset(
            "lstm-water-balance",
            "LSTM of the water-balance paper",
            "One layer of 50 cells with dropout 0.4, as compared with MC-LSTM there; 11,651 parameters for six inputs.",
            {"hidden_size": 50, "layers": 1, "dropout": 0.4},
        ),
    ),
)

_MC_LSTM = Family(
    name="mc-lstm",
    label="MC-LSTM (mass-conserving)",
    summary="LSTM of one place whose storages hold water in mm: what does not run off stays or evaporates. For the "
    "runoff of a basin, in mm per step.",
    paper="Hoedt, P.-J., Kratzert, F., Klotz, D., Halmich, C., Holzleitner, M., Nearing, G., Hochreiter, S., "
    "Klambauer, G. (2021): MC-LSTM: Mass-Conserving LSTM. ICML",
    doi="10.48550/arXiv.2101.05186",
    uses_mask=True,
    mass_input=True,
    gives=("maps", "gauges"),
    one_cell=True,
    several_leads=False,
    uses_observed=False,
    options=(
        common.whole("storages", 20, "Storages", "Storages of water; the first collects what evaporates.", 1, 256),
        _MASS_CHANNEL,
        common.choice(
            "reads",
            "runoff",
            "Prediction",
            "What is compared with the target: the runoff in mm a step.",
            ("runoff",),
            advanced=True,
        ),
    ),
)

_EXP_HYDRO = Family(
    name="exp-hydro",
    label="EXP-HYDRO (two buckets)",
    summary="A conceptual model of snow and soil with six parameters that are learned: the runoff of a basin, or of "
    "each cell, with a closed water balance. For little data, and as the yardstick of the others.",
    paper="Patil, S., Stieglitz, M. (2014): Modelling daily streamflow at ungauged catchments: what information is "
    "necessary? Hydrological Processes 28, 1159-1169",
    doi="10.1002/hyp.9660",
    uses_mask=True,
    uses_observed=False,
    mass_input=True,
    raw_inputs=(("pet_channel", "pet"), ("temperature_channel", "temperature")),
    gives=("maps", "gauges"),
    one_cell=True,
    several_leads=False,
    options=(
        _MASS_CHANNEL,
        common.whole(
            "pet_channel",
            -1,
            "Potential evapotranspiration among the inputs",
            "Place of the potential evapotranspiration among the inputs, counted from 0; it enters as mm a step. -1 "
            "takes the first input that the catalogue knows as such.",
            -1,
            1000,
        ),
        common.whole(
            "temperature_channel",
            -1,
            "Temperature among the inputs",
            "Place of the air temperature among the inputs, counted from 0; it enters in degrees Celsius. -1 takes the "
            "first input that the catalogue knows as such.",
            -1,
            1000,
        ),
        common.choice(
            "reads",
            "runoff",
            "Prediction",
            "What is compared with the target: runoff or evaporation in mm a step, or the water in snow and soil in "
            "mm.",
            ("runoff", "evaporation", "storage"),
        ),
        common.choice(
            "thresholds",
            "smooth",
            "Thresholds",
            "'smooth' lets snowfall, melt and overflow begin within about 0.2 degrees or mm, so that all parameters "
            "learn; 'sharp' is the paper's form, in which the temperature of snowfall cannot be learned.",
            ("smooth", "sharp"),
        ),
        common.whole(
            "substeps",
            2,
            "Substeps",
            "Parts into which each day is divided for the integration; more are more exact and take longer.",
            1,
            100,
            advanced=True,
        ),
        common.number(
            "soil_start",
            0.5,
            "Soil water at the begin",
            "Share of the soil's capacity that is filled at the begin of each window; the snow begins empty.",
            0.0,
            1.0,
            advanced=True,
        ),
        common.number(
            "step_days",
            1.0,
            "Length of a step",
            "Length of a step of the data. Training sets it from the dataset.",
            0.0006,
            366.0,
            unit="days",
            advanced=True,
        ),
    ),
)


def _per_layer(name: str, default: tuple[int, ...], label: str, help: str, minimum: int, maximum: int) -> Option:
    """One whole number for all convolutions, or one for each."""
    text = f"{help} One number for all convolutions, or one for each."
    return Option(name, tuple[int, ...], default, Rule(label=label, help=text, minimum=minimum, maximum=maximum))


_GEOMETRY = ("kernel_rows", "kernel_columns", "stride_rows", "stride_columns", "padding_rows", "padding_columns")


def _check_cnn_lstm(options: dict[str, Any]) -> None:
    layers = len(options["channels"])
    if not layers:
        raise ConfigError(
            "cnn-lstm needs at least one convolution",
            expected="cnn-lstm.channels with one number of channels per convolution",
            got="an empty list",
            remedy="Give for instance 8, 16, 32, 64, or choose lstm",
        )
    for name in _GEOMETRY:
        if len(options[name]) not in (1, layers):
            raise ConfigError(
                f"cnn-lstm.{name} does not fit the number of convolutions",
                expected=f"one number, or {layers} numbers",
                got=f"{len(options[name])} numbers",
                remedy="Give one number, or one for each of cnn-lstm.channels",
            )


def _tibet(name: str, kernels: tuple, strides: tuple, paddings: tuple, note: str) -> Preset:
    """The convolutions of one basin of the paper; pairs of rows and columns, one a layer."""
    values = {"kernel": kernels, "stride": strides, "padding": paddings}
    sides = {f"{key}_{side}": tuple(pair[k] for pair in pairs) for key, pairs in values.items()
             for k, side in enumerate(("rows", "columns"))}  # fmt: skip
    return Preset(
        f"cnn-lstm-{name.lower()}",
        f"CNN-LSTM of the {name} source region",
        f"The network of the paper for the {name} source region, {note}; no other grid fits.",
        {"channels": (8, 16, 32, 64), **sides, "pooling": "none", "hidden_size": 32, "layers": 2},
    )


_CNN_LSTM = Family(
    name="cnn-lstm",
    label="CNN-LSTM (maps to gauges)",
    summary="Convolutions shrink each map of the weather to one row of numbers, and an LSTM remembers them: discharge "
    "at gauges, or several targets of a basin at once, from maps.",
    paper="Li, B., Li, R., Sun, T., Gong, A., Tian, F., Khan, M. Y. A., Ni, G. (2023): Improving LSTM hydrological "
    "modeling with spatiotemporal deep learning and multi-task learning: a case study of three mountainous areas on "
    "the Tibetan Plateau. Journal of Hydrology 620, 129401",
    doi="10.1016/j.jhydrol.2023.129401",
    uses_mask=True,
    gives=("gauges",),
    options=(
        Option(
            "channels",
            tuple[int, ...],
            (8, 16, 32, 64),
            Rule(
                label="Channels of the convolutions",
                help="Channels of each convolution, bottom first; as many numbers as convolutions.",
                unit="channels",
                minimum=1,
                maximum=1024,
            ),
        ),
        _per_layer("kernel_rows", (3,), "Kernel, rows", "Rows that a convolution sees at once.", 1, 99),
        _per_layer("kernel_columns", (3,), "Kernel, columns", "Columns that a convolution sees at once.", 1, 99),
        _per_layer("stride_rows", (2,), "Stride, rows", "Rows from one place of the kernel to the next.", 1, 16),
        _per_layer("stride_columns", (2,), "Stride, columns", "Columns from one place to the next.", 1, 16),
        _per_layer("padding_rows", (1,), "Padding, rows", "Rows of zeros added above and below.", 0, 16),
        _per_layer("padding_columns", (1,), "Padding, columns", "Columns of zeros added left and right.", 0, 16),
        common.choice(
            "pooling",
            "mean",
            "Last map",
            "'mean' takes the mean of what is left of a map after the convolutions, so that any grid fits; 'none' is "
            "the paper's form: the convolutions must shrink the map to one cell, so that one size of grid fits.",
            ("mean", "none"),
        ),
        common.whole("hidden_size", 32, "Cells", "Number of memory cells of each layer.", 1, 4096),
        common.whole("layers", 2, "Layers", "Number of LSTM layers.", 1, 8),
        common.number("dropout", 0.0, "Dropout", "Share of the output that is set to zero in training.", 0.0, 0.9),
        common.mask_channels(),
    ),
    presets=(
        _tibet(
            "Yellow",
            ((5, 5), (5, 5), (5, 5), (3, 5)),
            ((2, 2), (2, 2), (2, 3), (1, 1)),
            ((0, 0), (1, 0), (0, 0), (0, 0)),
            "41 x 77 cells: 68,265 parameters with two inputs and one target",
        ),
        _tibet(
            "Yangtze",
            ((5, 5), (5, 5), (5, 5), (2, 5)),
            ((2, 2), (2, 2), (2, 3), (1, 1)),
            ((1, 1), (1, 1), (0, 0), (0, 0)),
            "34 x 71 cells: 58,025 parameters with two inputs and one target",
        ),
        _tibet(
            "Lancang",
            ((5, 5), (5, 5), (5, 5), (5, 4)),
            ((2, 2), (2, 2), (3, 2), (1, 1)),
            ((0, 0), (1, 0), (0, 0), (0, 0)),
            "84 x 59 cells: 78,505 parameters with two inputs and one target",
        ),
    ),
    check=_check_cnn_lstm,
)


_CNN = Family(
    name="cnn",
    label="CNN (the last maps side by side)",
    summary="Plain convolutions over the last few maps side by side, without a memory; the test of whether a memory "
    "matters.",
    paper="LeCun, Y., Bottou, L., Bengio, Y., Haffner, P. (1998): Gradient-based learning applied to document "
    "recognition. Proceedings of the IEEE 86, 2278-2324",
    doi="10.1109/5.726791",
    window_option="frames",
    options=(
        common.whole(
            "frames", 4, "Maps side by side", "How many of the last maps are read; the window must be as long.", 1, 400
        ),
        common.hidden((32, 32)),
        common.kernel(),
        common.head_kernel(),
        common.dropout(),
        common.mask_channels(),
    ),
    check=common.check_layers("cnn"),
)

FAMILIES: tuple[Family, ...] = (_LSTM, _MC_LSTM, _EXP_HYDRO, _CNN_LSTM, _CNN)
