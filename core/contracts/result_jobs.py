"""The jobs that use a model: predict, compare, evaluate, explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .config import Config, setting
from .dates import parse_date
from .errors import ConfigError
from .training_job import DEVICES, PeriodConfig, check_named

CARRY = ("auto", "window", "carry")


@dataclass(frozen=True)
class _ModelOnDataset(Config):
    """A saved model, a dataset, a period."""

    model: str = setting(label="Model", help="Saved model file (.safetensors).")
    dataset: str = setting(label="Dataset", help="Prepared dataset (.nc) with the variables that the model needs.")
    period: PeriodConfig = setting(
        PeriodConfig, label="Period", help="Dates to take; empty takes the model's test period, else all."
    )
    device: str = setting("auto", label="Device", help="Where to compute.", choices=DEVICES)
    batch: int = setting(8, label="Batch", help="Windows computed at once.", minimum=1, maximum=4096, advanced=True)
    tile: int = setting(
        0,
        label="Tile",
        help="Side of the tiles in which a large raster is computed, with exact margins; 0 takes the largest that is "
        "fast and fits in memory, and small rasters as a whole. Rounded to 16, above 256 to 128.",
        unit="cells",
        minimum=0,
        maximum=8192,
        advanced=True,
    )
    carry: str = setting(
        "auto",
        label="Memory of the model",
        help="carry: one pass over all dates that carries the model's memory on; it is faster by up to the length of "
        "the window, and each date remembers more than its window. window: each date by its own window. auto: as the "
        "model was trained and judged.",
        choices=CARRY,
        advanced=True,
    )
    title: str = setting("", label="Title", help="A name for the run.")
    sequence: str = setting(
        "", label="Sequence", help="Which sequence of the dataset; empty where it has none, or only one."
    )

    def check(self) -> None:
        """A model and a dataset are named."""
        check_named(self.model, "model", "Choose a saved model file (.safetensors)")
        check_named(self.dataset, "dataset", "Choose a prepared dataset (.nc)")


@dataclass(frozen=True)
class PredictJob(_ModelOnDataset):
    """Maps of a saved model for a period, beside the observed ones and their difference where the dataset has the
    target.
    """


@dataclass(frozen=True)
class CompareJob(Config):
    """Difference and scores of two series of maps on the same grid: predicted - observed."""

    predicted: str = setting(label="Predicted", help="Multi-band raster with dates per band.")
    observed: str = setting(label="Observed", help="Multi-band raster with dates per band.")
    label: str = setting("", label="Quantity", help="What the maps show, for legends.")
    units: str = setting("", label="Unit", help="Unit of both; empty takes the one in the files.")
    title: str = setting("", label="Title", help="A name for the run.")

    def check(self) -> None:
        """Both rasters are named."""
        check_named(self.predicted, "predicted raster", "Choose the raster with the predicted maps")
        check_named(self.observed, "observed raster", "Choose the raster with the observed maps")


@dataclass(frozen=True)
class EvaluateJob(_ModelOnDataset):
    """Scores of a saved model over a period, pooled and per cell, beside persistence and climatology. Without a
    sequence all test sequences of the model are judged together.
    """

    against: str = setting(
        "",
        label="Judge by",
        help="Another variable of the dataset to judge the target's predictions by, such as gauges that were kept "
        "apart; empty is the target itself.",
    )


METHODS = (
    "integrated-gradients", "gradient", "smoothgrad", "expected-gradients", "grad-cam", "occlusion-space",
    "occlusion-time", "gaussian", "rise", "shapley",
)  # fmt: skip


@dataclass(frozen=True)
class ExplainJob(Config):
    """What drove a prediction at a cell, a gauge, or its mean over a polygon or the basin, at a date: which variable,
    where, how many steps back.
    """

    model: str = setting(label="Model", help="Saved model file (.safetensors).")
    dataset: str = setting(label="Dataset", help="Prepared dataset (.nc) with the variables that the model needs.")
    date: str = setting(label="Date", help="Date of the prediction to explain.")
    x: Optional[float] = setting(None, label="x", help="Easting or longitude of the cell, in the dataset's CRS.")
    y: Optional[float] = setting(None, label="y", help="Northing or latitude of the cell, in the dataset's CRS.")
    polygon: str = setting("", label="Polygon", help="WKT in the dataset's CRS; explains the mean over its cells.")
    gauge: str = setting("", label="Gauge", help="Id of a gauge of the model, or for maps of one of the dataset.")
    basin: bool = setting(False, label="Whole basin", help="Explains the mean over the basin, or of all gauges.")
    method: str = setting(
        "integrated-gradients", label="Method", help="How contributions are measured.", choices=METHODS
    )
    baseline: str = setting(
        "mean", label="Against",
        help="Compared with each variable's mean (of its logarithm, where the model reads that: "
        "drizzle, less than the mean rain), a sequence without rain, or each variable's mean at that time of the year "
        "and cell.",
        choices=("mean", "dry", "climatology"),
    )  # fmt: skip
    steps: int = setting(
        32,
        label="Steps",
        help="Points between baseline and input; more are slower and closer. Where they leave more than 1 % "
        "unexplained, integrated gradients takes more.",
        minimum=2,
        maximum=1000,
    )
    target: str = setting("", label="Target", help="Which of the model's targets; empty for the first.")
    lead: Optional[int] = setting(
        None, label="Steps ahead", help="Which of the predicted steps.", unit="steps", empty="the first", minimum=0
    )
    samples: int = setting(
        32, label="Samples", help="Random draws of the methods that sample.", minimum=1, maximum=100000, advanced=True
    )
    noise: float = setting(
        0.15, label="Noise", help="Of SmoothGrad, as a share of each variable's range in the window.",
        minimum=0.0, maximum=10.0, advanced=True,
    )  # fmt: skip
    seed: int = setting(0, label="Seed", help="Of everything random.", minimum=0, maximum=2**31 - 1, advanced=True)
    block: int = setting(
        4, label="Block", help="Side of what occlusion in space and random masks take away.", unit="cells",
        minimum=1, maximum=10000, advanced=True,
    )  # fmt: skip
    block_steps: int = setting(
        1, label="Stretch", help="What occlusion in time takes away.", unit="steps",
        minimum=1, maximum=10000, advanced=True,
    )  # fmt: skip
    sigma: float = setting(
        1.5, label="Width", help="Of the bumps of the Gaussian perturbation.", unit="cells",
        minimum=0.1, maximum=1000.0, advanced=True,
    )  # fmt: skip
    members: tuple[str, ...] = setting(
        (), label="Further models",
        help="Saved models (.safetensors) of the same target, inputs and grid, such as other seeds: explains the mean "
        "of all of them, with their spread.",
        advanced=True,
    )  # fmt: skip
    layer: str = setting(
        "", label="Layer", help="Of Grad-CAM: name or number from below; empty takes the topmost.", advanced=True
    )
    share: float = setting(
        0.5, label="Region", help="Share of all contributions that the region of most influence holds.",
        minimum=0.01, maximum=1.0, advanced=True,
    )  # fmt: skip
    check_method: bool = setting(
        False, label="Check the method",
        help="Also explain a model with randomised weights, and delete the most attributed inputs first.",
    )  # fmt: skip
    estimate: bool = setting(
        False, label="Cost only", help="Tell what it would cost, and compute nothing else.", advanced=True
    )
    device: str = setting("auto", label="Device", help="Where to compute.", choices=DEVICES)
    title: str = setting("", label="Title", help="A name for the run.")
    sequence: str = setting(
        "", label="Sequence", help="Which sequence of the dataset; empty where it has none, or only one."
    )

    def check(self) -> None:
        """A place is given, once; the date is a date."""
        check_named(self.model, "model", "Choose a saved model file (.safetensors)")
        check_named(self.dataset, "dataset", "Choose a prepared dataset (.nc)")
        parse_date(self.date, "The date to explain")
        if len({self.model, *self.members}) <= len(self.members):
            raise ConfigError(
                "A model is given twice", got=", ".join((self.model, *self.members)),
                remedy="Name each of the models once",
            )  # fmt: skip
        point = self.x is not None and self.y is not None
        if sum((point, bool(self.polygon), bool(self.gauge), self.basin)) != 1:
            raise ConfigError(
                "The place to explain is not clear",
                expected="one of: a cell (x and y), a polygon, a gauge, the whole basin",
                remedy="Pick a cell on the map, give a polygon or a gauge, or ask for the basin",
            )
