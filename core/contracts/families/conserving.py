"""Families that conserve water."""

from __future__ import annotations

from ..config import Rule
from .base import Family, Option

_MC_CONVLSTM = Family(
    name="mc-convlstm",
    label="Mass-conserving ConvLSTM",
    summary="Every cell holds storages of water that rain fills and that evaporate, run off or flow to the next cell; "
    "the water balance closes for any weights. For runoff, storage and evaporation maps with precipitation as input.",
    paper="Freshet's own; after Hoedt, P.-J. et al. (2021): MC-LSTM: Mass-Conserving LSTM. ICML, carried over to maps",
    doi="10.48550/arXiv.2101.05186",
    uses_observed=False,
    uses_mask=True,
    mass_input=True,
    options=(
        Option(
            "storages",
            int,
            8,
            Rule(
                label="Storages",
                help="Storages of water in each cell, such as snow, soil, groundwater; the model finds their parts.",
                minimum=1,
                maximum=64,
            ),
        ),
        Option(
            "hidden",
            int,
            32,
            Rule(
                label="Steering maps",
                help="Maps that decide where the water goes; more can tell more situations apart.",
                unit="channels",
                minimum=1,
                maximum=1024,
            ),
        ),
        Option(
            "kernel",
            int,
            3,
            Rule(
                label="Kernel size",
                help="Side of the neighbourhood whose inputs steer a cell; an odd number.",
                unit="cells",
                choices=(1, 3, 5, 7),
            ),
        ),
        Option(
            "mass_channel",
            int,
            -1,
            Rule(
                label="Precipitation among the inputs",
                help="Place of the precipitation among the inputs, counted from 0; it enters as mm a step. -1 takes "
                "the first input that the catalogue knows as precipitation.",
                minimum=-1,
                maximum=1000,
            ),
        ),
        Option(
            "reads",
            str,
            "head",
            Rule(
                label="Prediction",
                help="What is compared with the target: runoff, evaporation or storage in mm as the balance has them, "
                "or a small network over all of them for any other target.",
                choices=("head", "runoff", "evaporation", "storage"),
            ),
        ),
    ),
)

FAMILIES: tuple[Family, ...] = (_MC_CONVLSTM,)
