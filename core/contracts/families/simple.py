"""Families without epochs: fitted in one pass, or with nothing to learn. What every other family has to beat."""

from __future__ import annotations

from ..config import Rule
from . import common
from .base import Family, Option

_SEEN = (
    common.whole("lags", 3, "Last steps", "How many of the last steps of each input are read one by one.", 1, 400),
    Option(
        "means",
        tuple[int, ...],
        (7, 30),
        Rule(
            label="Means",
            help="Lengths, in steps, of the means of each input up to the end of the window; those longer than the "
            "window are left out.",
            unit="steps",
            minimum=2,
            maximum=10000,
        ),
    ),
    Option(
        "window_mean",
        bool,
        True,
        Rule(label="Mean of the window", help="Read the mean of each input over the whole window, warm-up included."),
    ),
    Option(
        "mask_channels",
        bool,
        False,
        Rule(
            label="Masks as input",
            help="Read also where and how often each input was observed, and its last observed value; means are then "
            "those of observed values.",
        ),
    ),
)

_TARGET_CHANNEL = Option(
    "target_channel",
    tuple[int, ...],
    (-1,),
    Rule(
        label="Target among the inputs",
        help="Place of the target among the inputs, counted from 0, one number for each target. -1 finds it by name.",
        minimum=-1,
        maximum=1000,
        advanced=True,
    ),
)

_RIDGE = Family(
    name="ridge",
    label="Ridge regression (lagged values)",
    summary="A linear regression on the last values and running means of each input, solved at once. The yardstick "
    "that costs seconds.",
    paper="Hoerl, A. E., Kennard, R. W. (1970): Ridge Regression: Biased Estimation for Nonorthogonal Problems. "
    "Technometrics 12, 55-67",
    doi="10.1080/00401706.1970.10488634",
    uses_mask=True,
    gives=("maps", "gauges"),
    one_cell=True,
    window_option="lags",
    learns="at once",
    several_steps=False,
    options=(
        *_SEEN,
        common.number(
            "penalty",
            1e-4,
            "Penalty",
            "Pulls the weights of the standardised features towards zero; a share of the number of samples. 0 is the "
            "plain regression.",
            0.0,
            1e6,
        ),
        Option(
            "per_cell",
            bool,
            False,
            Rule(
                label="Weights for every cell",
                help="A regression of its own for each cell in place of one for all, so that the trained model is "
                "bound to its grid. Only for maps.",
            ),
        ),
    ),
)

_FOREST = Family(
    name="random-forest",
    label="Random forest (lagged values)",
    summary="Many decision trees on the last values and running means of each input, each grown on its own draw of the "
    "training data; their mean is the prediction. Knows thresholds, and never leaves the range that it has seen.",
    paper="Breiman, L. (2001): Random Forests. Machine Learning 45, 5-32",
    doi="10.1023/A:1010933404324",
    uses_mask=True,
    gives=("maps", "gauges"),
    one_cell=True,
    window_option="lags",
    learns="at once",
    several_steps=False,
    differentiable=False,
    options=(
        *_SEEN,
        common.whole("trees", 100, "Trees", "Number of trees; more are steadier and take longer.", 1, 2000),
        common.whole("depth", 14, "Depth", "Questions from the root of a tree to a leaf at most.", 1, 40),
        common.whole("least_leaf", 5, "Least leaf", "Samples that a leaf holds at least.", 1, 100000),
        common.number(
            "tried",
            0.33,
            "Features tried",
            "Share of the features that each split chooses among; fewer make the trees differ.",
            0.001,
            1.0,
        ),
        common.whole(
            "samples",
            50_000,
            "Samples",
            "Observed values, drawn at random from all cells and dates of the training, on which the forest grows.",
            10,
            5_000_000,
        ),
    ),
)

_PERSISTENCE = Family(
    name="persistence",
    label="Persistence (last observed value)",
    summary="What was observed last stays. Learns nothing; the target must be among the inputs.",
    paper="Murphy, A. H. (1992): Climatology, Persistence, and Their Linear Combination as Standards of Reference in "
    "Skill Scores. Weather and Forecasting 7, 692-698",
    doi="10.1175/1520-0434(1992)007<0692:CPATLC>2.0.CO;2",
    uses_static=False,
    one_cell=True,
    learns="nothing",
    several_steps=False,
    options=(_TARGET_CHANNEL,),
)

_CLIMATOLOGY = Family(
    name="climatology",
    label="Climatology (mean of the time of the year)",
    summary="The mean of each cell or gauge at this time of the year, over the training period. Reads no input but the "
    "date.",
    paper="Murphy, A. H. (1992): Climatology, Persistence, and Their Linear Combination as Standards of Reference in "
    "Skill Scores. Weather and Forecasting 7, 692-698",
    doi="10.1175/1520-0434(1992)007<0692:CPATLC>2.0.CO;2",
    uses_static=False,
    uses_observed=False,
    gives=("maps", "gauges"),
    any_grid=False,
    learns="at once",
    several_steps=False,
    differentiable=False,
    options=(
        common.whole(
            "days",
            7,
            "Days around",
            "Days before and after a day of the year that count for its mean. Under two years of training the mean of "
            "all dates is taken, since a single year would repeat its own weather.",
            0,
            182,
            unit="days",
        ),
    ),
)


_ADVECTION = Family(
    name="advection",
    label="Advection by optical flow (nowcasting)",
    summary="The motion of the rain is taken from its last maps, and the last one moves on with it. Learns nothing; "
    "the standard for the next hour of radar rain.",
    paper="Bowler, N. E. H., Pierce, C. E., Seed, A. (2004): Development of a precipitation nowcasting algorithm based "
    "upon optical flow techniques. Journal of Hydrology 288, 74-91; Germann, U., Zawadzki, I. (2002), Monthly Weather "
    "Review 130, 2859-2873, doi:10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2",
    doi="10.1016/j.jhydrol.2003.11.011",
    uses_static=False,
    window_option="frames",
    learns="nothing",
    several_steps=False,
    differentiable=False,
    options=(
        common.whole("frames", 3, "Maps", "How many of the last maps show the motion.", 2, 100),
        common.number(
            "reach",
            12.0,
            "Reach",
            "Cells around a cell that share its motion; wider is steadier, narrower follows turning rain.",
            1.0,
            1000.0,
            unit="cells",
        ),
        common.number(
            "blur",
            0.75,
            "Blur",
            "How far the map is smoothed for each step ahead, since small showers do not last; 0 keeps every detail, "
            "and scores worse.",
            0.0,
            100.0,
            unit="cells",
        ),
        _TARGET_CHANNEL,
        common.whole(
            "first_lead",
            1,
            "First step ahead",
            "Steps from the last map to the first predicted one. Training sets it from the job.",
            1,
            10000,
            unit="steps",
            advanced=True,
        ),
    ),
)

FAMILIES: tuple[Family, ...] = (_RIDGE, _FOREST, _PERSISTENCE, _CLIMATOLOGY, _ADVECTION)
