"""Recurrent families for input with gaps."""

from __future__ import annotations

from typing import Any

from ..config import Rule
from ..errors import ConfigError
from . import common
from .base import Family, Option

_PARTIAL = Family(
    name="partial-convlstm",
    label="Partial ConvLSTM (input with gaps)",
    summary="ConvLSTM that changes its memory only where something was observed and makes up for what is missing "
    "around it; for satellite maps with gaps. It learns without complete truth.",
    paper="Son, H., Jang, Y. (2020): Partial Convolutional LSTM for Spatiotemporal Prediction of Incomplete Data. "
    "IEEE Access 8, 164762-164774; masked ConvLSTM by Patra, S. R., Chu, H.-J. (2024), Frontiers in Water 6, "
    "doi:10.3389/frwa.2024.1471258",
    doi="10.1109/ACCESS.2020.3022774",
    options=(
        common.hidden(),
        common.kernel(),
        common.choice(
            "update",
            "partial",
            "Update of the memory",
            "'partial': where anything new lies within the kernel, which is weighed up for what is missing; 'masked': "
            "only where the cell itself was observed, and what is missing counts as 0.",
            ("partial", "masked"),
        ),
        common.head_kernel(),
        common.dropout(),
        common.mask_channels(),
    ),
    check=common.check_layers("partial-convlstm"),
)


def _check_cnn_biconvlstm(options: dict[str, Any]) -> None:
    common.check_layers("cnn-biconvlstm")(options)
    if not options["cnn"]:
        raise ConfigError(
            "cnn-biconvlstm needs at least one convolution before its memory",
            expected="cnn-biconvlstm.cnn with one number of channels per convolution",
            got="an empty list",
            remedy="Give for instance 16, or choose convlstm",
        )


_CNN_BICONVLSTM = Family(
    name="cnn-biconvlstm",
    label="CNN-BiConvLSTM (forwards and backwards)",
    summary="Convolutions of every map, then a memory that runs through the window forwards and one that runs "
    "backwards; for filling missing maps from those before and after.",
    paper="Gao, L., Zheng, Y., Wang, Y., Xia, J., Chen, X., Li, B., Luo, M., Guo, Y. (2021): Reconstruction of Missing "
    "Data in Weather Radar Image Sequences Using Deep Neuron Networks. Applied Sciences 11, 1491",
    doi="10.3390/app11041491",
    several_steps=False,
    options=(
        Option(
            "cnn",
            tuple[int, ...],
            (16,),
            Rule(
                label="Channels of the convolutions",
                help="Channels of each convolution before the memory, bottom first; as many numbers as convolutions.",
                unit="channels",
                minimum=1,
                maximum=1024,
            ),
        ),
        common.hidden((16,)),
        common.kernel(),
        common.head_kernel(),
        common.dropout(),
        common.mask_channels(True),
    ),
    check=_check_cnn_biconvlstm,
)

FAMILIES: tuple[Family, ...] = (_PARTIAL, _CNN_BICONVLSTM)
