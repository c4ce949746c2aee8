"""Families of one place: a basin's mean, or every cell on its own."""

from __future__ import annotations

from . import common
from .base import Family, Preset

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

FAMILIES: tuple[Family, ...] = (_LSTM, _MC_LSTM)
