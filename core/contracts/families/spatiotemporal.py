"""Recurrent families with a second memory that climbs through the layers."""

from __future__ import annotations

from . import common
from .base import Family

_SIZES = (
    common.whole("channels", 32, "Channels", "Number of state channels of every layer.", 1, 1024, unit="channels"),
    common.whole("layers", 2, "Layers", "Number of layers; the second memory passes all of them in each step.", 1, 16),
    common.kernel(),
    common.head_kernel(),
    common.number(
        "forget_bias",
        1.0,
        "Forget bias",
        "Added inside the forget gates; 1 lets the memories last from the first epoch on.",
        -10.0,
        10.0,
        advanced=True,
    ),
    common.mask_channels(),
)

_PREDRNN = Family(
    name="predrnn",
    label="PredRNN",
    summary="ConvLSTM with a second memory that climbs through the layers and comes back at the bottom in the next "
    "step, so that fine detail is kept. Good for moving patterns such as rain.",
    paper="Wang, Y., Long, M., Wang, J., Gao, Z., Yu, P. S. (2017): PredRNN: Recurrent Neural Networks for Predictive "
    "Learning using Spatiotemporal LSTMs. NeurIPS 30",
    doi="",
    options=_SIZES,
)

_PREDRNN_PLUS = Family(
    name="predrnn++",
    label="PredRNN++",
    summary="PredRNN with deeper transitions (causal LSTM) and a gradient highway, for fast changes and long windows.",
    paper="Wang, Y., Gao, Z., Long, M., Wang, J., Yu, P. S. (2018): PredRNN++: Towards A Resolution of the "
    "Deep-in-Time Dilemma in Spatiotemporal Predictive Learning. ICML",
    doi="10.48550/arXiv.1804.06300",
    options=_SIZES,
)

_MIM = Family(
    name="mim",
    label="Memory in Memory (MIM)",
    summary="PredRNN that follows the change from step to step in a memory of its own, beside one for what stays; for "
    "trends such as growing and dying rain cells.",
    paper="Wang, Y., Zhang, J., Zhu, H., Long, M., Wang, J., Yu, P. S. (2019): Memory In Memory: A Predictive Neural "
    "Network for Learning Higher-Order Non-Stationarity from Spatiotemporal Dynamics. CVPR",
    doi="10.48550/arXiv.1811.07490",
    options=(
        common.whole("channels", 24, "Channels", "Number of state channels of every layer.", 1, 1024, unit="channels"),
        common.whole("layers", 2, "Layers", "Number of layers; the memories of change begin at the second.", 2, 16),
        *_SIZES[2:],
    ),
)

_CUBIC = Family(
    name="cubic",
    label="CubicRNN",
    summary="The last maps stand side by side, and two memories pass them: one through time for motion, one from map "
    "to map for shapes. Good for moving patterns; the window must hold as many maps.",
    paper="Fan, H., Zhu, L., Yang, Y. (2019): Cubic LSTMs for Video Prediction. AAAI 33",
    doi="10.1609/aaai.v33i01.33018263",
    window_option="frames",
    options=(
        common.whole("channels", 16, "Channels", "Number of state channels of every unit.", 1, 1024, unit="channels"),
        common.whole("layers", 2, "Layers", "Number of units above each other.", 1, 8),
        common.whole("frames", 3, "Maps side by side", "How many maps each step reads, the newest last.", 1, 16),
        common.kernel(),
        common.choice(
            "time_kernel",
            1,
            "Kernel size in time",
            "Side of the neighbourhood of the memory that runs through time; an odd number.",
            common.KERNELS,
            unit="cells",
            advanced=True,
        ),
        common.choice(
            "output_kernel",
            3,
            "Kernel size between layers",
            "Side of the neighbourhood that joins both memories to the output of a unit; an odd number.",
            common.KERNELS,
            unit="cells",
            advanced=True,
        ),
        common.head_kernel(),
        common.mask_channels(),
    ),
)

FAMILIES: tuple[Family, ...] = (_PREDRNN, _PREDRNN_PLUS, _MIM, _CUBIC)
