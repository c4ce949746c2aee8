"""Recurrent families that choose for themselves which cells a cell sees."""

from __future__ import annotations

from . import common
from .base import Family

_MAX_OFFSET = common.number(
    "max_offset",
    4.0,
    "Largest displacement",
    "How far a point of the kernel may move from its place; 0 sets no bound, as in the paper, but prediction then "
    "needs the whole map at once and cannot be tiled.",
    0.0,
    64.0,
    unit="cells",
)

_DEFORM = Family(
    name="deform-convlstm",
    label="Deformable ConvLSTM",
    summary="ConvLSTM whose kernels move their points to where it pays, cell by cell and step by step; for patterns of "
    "irregular shape, such as rain.",
    paper="Xu, L., Zhang, X., Yu, H., Chen, Z., Du, W., Chen, N. (2024): Incorporating spatial autocorrelation into "
    "deformable ConvLSTM for hourly precipitation forecasting. Computers & Geosciences 184, 105536; deformable "
    "convolution by Dai, J. et al. (2017), ICCV, doi:10.1109/ICCV.2017.89",
    doi="",
    options=(
        common.hidden((16,)),
        common.kernel(),
        _MAX_OFFSET,
        common.head_kernel(),
        common.dropout(),
        common.mask_channels(),
    ),
    check=common.check_layers("deform-convlstm"),
)

_DEFORM_SAC = Family(
    name="deform-convlstm-sac",
    label="Deformable ConvLSTM with spatial autocorrelation",
    summary="Deformable ConvLSTM that also reads how alike neighbouring cells are (local Moran's index) and weighs its "
    "memory by that; for rain that comes in clusters.",
    paper="Xu, L., Zhang, X., Yu, H., Chen, Z., Du, W., Chen, N. (2024): Incorporating spatial autocorrelation into "
    "deformable ConvLSTM for hourly precipitation forecasting. Computers & Geosciences 184, 105536; the index by "
    "Anselin, L. (1995), Geographical Analysis 27, doi:10.1111/j.1538-4632.1995.tb00338.x",
    doi="",
    uses_mask=True,
    options=(
        common.hidden((16,)),
        common.kernel(),
        _MAX_OFFSET,
        common.whole(
            "moran_reach",
            0,
            "Reach of the mean in the index",
            "The index compares cells with the mean of the whole map (0), as the paper does, or of the square that "
            "reaches so many cells to each side; only then can prediction be tiled.",
            0,
            64,
            unit="cells",
        ),
        common.head_kernel(),
        common.dropout(),
        common.mask_channels(),
    ),
    check=common.check_layers("deform-convlstm-sac"),
)

_GCCL = Family(
    name="gccl",
    label="GCCL (ConvLSTM and graph of correlations)",
    summary="A ConvLSTM for the neighbours beside a graph ConvLSTM for cells that behave alike, however far apart: the "
    "links are found once from the correlation of the training series. Bound to its grid.",
    paper="Pan, Z., Xu, L., Chen, N. (2025): Combining graph neural network and convolutional LSTM network for "
    "multistep soil moisture spatiotemporal prediction. Journal of Hydrology 651, 132572",
    doi="10.1016/j.jhydrol.2024.132572",
    any_grid=False,
    options=(
        common.hidden((16,)),
        common.kernel(),
        common.whole("links", 8, "Links", "With how many other cells each cell is linked, the best first.", 1, 256),
        common.whole(
            "hops",
            1,
            "Hops",
            "Over how many links in a row a cell sees within one step.",
            1,
            8,
            advanced=True,
        ),
        common.whole(
            "graph_channel",
            -1,
            "Input that links the cells",
            "Place of the input whose correlation links the cells, counted from 0; -1 takes the mean over all inputs.",
            -1,
            1000,
            advanced=True,
        ),
        common.head_kernel(),
        common.dropout(),
        common.mask_channels(),
    ),
    check=common.check_layers("gccl"),
)

FAMILIES: tuple[Family, ...] = (_DEFORM, _DEFORM_SAC, _GCCL)
