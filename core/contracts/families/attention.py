"""Recurrent families with attention."""

from __future__ import annotations

from ..config import Rule
from . import common
from .base import Family, Option

_ATTENDED = common.whole(
    "attended",
    0,
    "Attended channels",
    "Channels in which cells compare each other; 0 takes half of the layer's channels.",
    0,
    1024,
    unit="channels",
    advanced=True,
)

FAMILIES: tuple[Family, ...] = (
    Family(
        name="a-convlstm",
        label="A-ConvLSTM (input and time attention)",
        summary="ConvLSTM that weighs its inputs at every step and the steps of the window; made to merge several "
        "products of the same variable, and to show which it trusts.",
        paper="Fang, L. et al. (2023): attention-based ConvLSTM for merging precipitation products, Yalong river",
        doi="",
        options=(
            common.hidden(),
            common.kernel(),
            common.head_kernel(),
            common.dropout(),
            common.mask_channels(),
            common.whole("attention", 16, "Width of the attention", "Units that score inputs and steps.", 1, 512),
        ),
        check=common.check_layers("a-convlstm"),
    ),
    Family(
        name="cbam-convlstm",
        label="CBAM-ConvLSTM",
        summary="ConvLSTM with channel and spatial attention behind each layer, which stress the maps and places that "
        "matter.",
        paper="Woo, S., Park, J., Lee, J.-Y., Kweon, I. S. (2018): CBAM: Convolutional Block Attention Module. ECCV; "
        "with ConvLSTM by Tian, B. et al. (2023)",
        doi="10.1007/978-3-030-01234-2_1",
        options=(
            common.hidden(),
            common.kernel(),
            common.head_kernel(),
            common.dropout(),
            common.mask_channels(),
            common.choice(
                "attention_kernel",
                7,
                "Kernel of the spatial attention",
                "Side of the neighbourhood that decides how much a place matters.",
                common.KERNELS,
                unit="cells",
                advanced=True,
            ),
        ),
        check=common.check_layers("cbam-convlstm"),
    ),
    Family(
        name="sa-convlstm",
        label="SA-ConvLSTM (self-attention memory)",
        summary="ConvLSTM in which every cell looks at all others, now and in a memory; for distant links. Cost grows "
        "with the square of the number of cells: for small grids.",
        paper="Lin, Z., Li, M., Zheng, Z., Cheng, Y., Yuan, C. (2020): Self-Attention ConvLSTM for Spatiotemporal "
        "Prediction. AAAI",
        doi="10.1609/aaai.v34i07.6819",
        options=(
            common.hidden(),
            common.kernel(),
            common.head_kernel(),
            common.dropout(),
            common.mask_channels(),
            _ATTENDED,
        ),
        check=common.check_layers("sa-convlstm"),
    ),
    Family(
        name="msa-convlstm",
        label="MSA-ConvLSTM (multi-head, pyramid)",
        summary="Self-attention with several heads that look at parts of the map of different sizes; distant links at "
        "a cost that grows with the number of cells only.",
        paper="Zheng, C. et al. (2024): multi-head self-attention ConvLSTM with spatial pyramid pooling for actual "
        "evapotranspiration",
        doi="",
        options=(
            common.hidden(),
            common.kernel(),
            common.head_kernel(),
            common.dropout(),
            common.mask_channels(),
            _ATTENDED,
            common.whole("heads", 4, "Heads", "Attentions side by side; they divide the channels.", 1, 64),
            Option(
                "pyramid",
                tuple[int, ...],
                (1, 3, 6, 8),
                Rule(
                    label="Pyramid",
                    help="Into how many parts a side of the map is divided, one number a level; empty attends to every "
                    "cell.",
                    minimum=1,
                    maximum=64,
                ),
            ),
        ),
        check=common.check_layers("msa-convlstm"),
    ),
)
