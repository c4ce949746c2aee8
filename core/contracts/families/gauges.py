"""Families that read maps and give series of gauges."""

from __future__ import annotations

from . import common
from .base import Family, Preset

_CONVLSTM_GAUGE = Family(
    name="convlstm-gauge",
    label="ConvLSTM for gauges (ConvLSTM-SA)",
    summary="A ConvLSTM on the maps of the basin; each gauge looks at the cells that matter for it and adds up what "
    "they contribute. Shows where the water comes from.",
    paper="Longyang, Q., Choi, S., Tennant, H., Hill, D., Ashmead, N., Neilson, B. T., Newell, D. L., McNamara, J. P., "
    "Xu, T. (2024): An Attention-Based Explainable Deep Learning Approach to Spatially Distributed Hydrologic Modeling "
    "of a Snow Dominated Mountainous Karst Watershed. Water Resources Research 60, e2024WR037878",
    doi="10.1029/2024WR037878",
    uses_mask=True,
    gives=("gauges",),
    options=(
        common.hidden((16,)),
        common.kernel(),
        common.choice(
            "reading",
            "attention",
            "From cells to gauges",
            "'attention' (ConvLSTM-SA): cells weighed by what they hold, on a grid of any size; 'connected' "
            "(ConvLSTM-FC): a weight for every cell, so that a trained model is bound to its grid.",
            ("attention", "connected"),
        ),
        common.whole(
            "attention",
            16,
            "Channels of the attention",
            "Maps from which the attention is made; only for attention.",
            1,
            1024,
            advanced=True,
        ),
        common.dropout(),
        common.mask_channels(),
    ),
    presets=(
        Preset(
            "convlstm-gauge-fc",
            "ConvLSTM for gauges, fully connected (ConvLSTM-FC)",
            "The twin without attention, as compared in the paper; bound to its grid.",
            {"reading": "connected"},
        ),
    ),
    check=common.check_layers("convlstm-gauge"),
)

FAMILIES: tuple[Family, ...] = (_CONVLSTM_GAUGE,)
