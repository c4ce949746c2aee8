"""The jobs that question a model as a whole: importance, probe, what-if, drivers, shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from .config import Config, setting
from .dates import parse_date
from .errors import ConfigError
from .training_job import DEVICES, PeriodConfig, check_named

ITEMS = ("variables", "static", "lags", "variables by lag")
BASELINES = ("mean", "dry", "climatology")


@dataclass(frozen=True)
class _Question(Config):
    """A saved model, a dataset, one of the model's targets."""

    model: str = setting(label="Model", help="Saved model file (.safetensors).")
    dataset: str = setting(label="Dataset", help="Prepared dataset (.nc) with the variables that the model needs.")
    target: str = setting("", label="Target", help="Which of the model's targets; empty takes the first.")
    lead: Optional[int] = setting(
        None, label="Steps ahead", help="Which lead of the model; empty takes the first.", minimum=0, unit="steps"
    )
    device: str = setting("auto", label="Device", help="Where to compute.", choices=DEVICES)
    title: str = setting("", label="Title", help="A name for the run.")
    sequence: str = setting(
        "", label="Sequence", help="Which sequence of the dataset; empty where it has none, or only one."
    )

    def check(self) -> None:
        """A model and a dataset are named."""
        check_named(self.model, "model", "Choose a saved model file (.safetensors)")
        check_named(self.dataset, "dataset", "Choose a prepared dataset (.nc)")


@dataclass(frozen=True)
class ImportanceJob(_Question):
    """How much worse a model gets over a period where one of its inputs is shuffled: by variable, static map, group and
    steps back. Works for every model, also for those without gradients.
    """

    period: PeriodConfig = setting(
        PeriodConfig, label="Period", help="Dates to take; empty takes the model's test period, else all."
    )
    of: tuple[str, ...] = setting(
        ("variables", "static", "lags"),
        label="Of",
        help="What is shuffled: each input, each static map and all of them, blocks of steps back, or each input in "
        "each of these blocks.",
        choices=ITEMS,
    )
    groups: dict[str, Any] = setting(
        {}, label="Groups", help="Further groups that are shuffled together: a name, and a list of variables."
    )
    lags: tuple[int, ...] = setting(
        (),
        label="Blocks of steps back",
        help="Oldest step back of each block, such as 1, 3, 7; empty doubles from block to block.",
        minimum=0,
    )
    repeats: int = setting(10, label="Repeats", help="How often each is shuffled.", minimum=2, maximum=1000)
    dates: int = setting(
        100, label="Dates", help="So many dates of the period at most, evenly spread; 0 takes all.", minimum=0
    )
    seed: int = setting(0, label="Seed", help="Start of the random order.", minimum=0, maximum=2**31 - 1)
    batch: int = setting(8, label="Batch", help="Windows computed at once.", minimum=1, maximum=4096, advanced=True)

    def check(self) -> None:
        """Something is shuffled; groups are lists of names; blocks rise."""
        super().check()
        if not (self.of or self.groups):
            raise ConfigError(
                "Nothing is chosen to be shuffled", expected=", ".join(ITEMS), remedy="Choose one of these"
            )
        for name, members in self.groups.items():
            if not isinstance(members, list) or not members or not all(isinstance(item, str) for item in members):
                raise ConfigError(
                    f"The group '{name}' is no list of variables", got=repr(members), remedy="Name its variables"
                )
        if list(self.lags) != sorted(set(self.lags)):
            raise ConfigError(
                "The blocks of steps back do not rise",
                expected="numbers such as 1, 3, 7, 14",
                got=", ".join(str(lag) for lag in self.lags),
                remedy="Order them, each once",
            )


@dataclass(frozen=True)
class ProbeJob(_Question):
    """What a model's memory knows of a variable that it was never trained on: a linear regression from its states to
    that variable, judged on dates kept apart, beside plain references and a shuffled control.
    """

    variable: str = setting("", label="Variable", help="Variable of the dataset to look for in the model's states.")
    layers: tuple[str, ...] = setting(
        (), label="Layers", help="Names of the layers to probe, such as encoder.0; empty probes all that have states."
    )
    fit_period: PeriodConfig = setting(
        PeriodConfig,
        label="Fitted on",
        help="Dates to fit on; empty takes the model's training period, else the first 70 %.",
    )
    period: PeriodConfig = setting(
        PeriodConfig,
        label="Judged on",
        help="Dates to judge on; empty takes the model's test period, else the last 30 %.",
    )
    ridge: Optional[float] = setting(
        None,
        label="Ridge",
        help="Penalty of the regression; empty chooses it on the last quarter of the dates to fit on.",
        minimum=0.0,
        maximum=1e6,
    )
    shuffles: int = setting(
        5, label="Shuffles", help="Control probes on states shuffled in time.", minimum=1, maximum=100
    )
    dates: int = setting(
        400, label="Dates", help="So many dates of each period at most, evenly spread; 0 takes all.", minimum=0
    )
    seed: int = setting(0, label="Seed", help="Start of the random order.", minimum=0, maximum=2**31 - 1)
    batch: int = setting(8, label="Batch", help="Windows computed at once.", minimum=1, maximum=4096, advanced=True)

    def check(self) -> None:
        """A variable is named."""
        super().check()
        if not self.variable:
            raise ConfigError("No variable is chosen to probe for", remedy="Choose a variable of the dataset")


@dataclass(frozen=True)
class ChangeConfig(Config):
    """One change of the input: a variable times a factor, plus an amount, in a polygon and a period."""

    variable: str = setting(label="Variable", help="An input or a static map of the model.")
    factor: float = setting(1.0, label="Times", help="Its values are multiplied by this.", minimum=-1e6, maximum=1e6)
    amount: float = setting(0.0, label="Plus", help="This is added then, in the variable's unit.")
    polygon: str = setting("", label="Polygon", help="WKT in the dataset's CRS; empty changes every cell.")
    period: PeriodConfig = setting(PeriodConfig, label="Period", help="Dates of the input to change; empty takes all.")

    def check(self) -> None:
        """It changes something."""
        if not self.variable:
            raise ConfigError("A change names no variable", remedy="Choose an input of the model")
        if self.factor == 1.0 and self.amount == 0.0:
            raise ConfigError(
                f"The change of '{self.variable}' changes nothing",
                expected="a factor other than 1, or an amount other than 0",
                remedy="Give one of them",
            )


@dataclass(frozen=True)
class StormConfig(Config):
    """Rain painted onto the map of a date, in mm a step, added to the rain that is there."""

    date: str = setting("", label="Date", help="Date of the rain; a raster with dates per band needs none.")
    cells: tuple[tuple[float, float, float], ...] = setting(
        (), label="Cells", help="x, y in the dataset's CRS and mm of each painted cell."
    )
    raster: str = setting("", label="Raster", help="Rain in mm on the dataset's grid, one band a date, or one band.")
    variable: str = setting("", label="Variable", help="Input to add it to; empty takes the model's precipitation.")

    def check(self) -> None:
        """Cells or a raster, and a date for cells."""
        if bool(self.cells) == bool(self.raster):
            raise ConfigError(
                "The painted rain is not clear",
                expected="either cells (x, y, mm) or a raster",
                remedy="Paint cells, or give a raster",
            )
        if self.cells and not self.date:
            raise ConfigError("The painted rain has no date", remedy="Give the date of the rain")
        if self.date:
            parse_date(self.date, "The date of the painted rain")


@dataclass(frozen=True)
class WhatIfJob(_Question):
    """What a model would say to other weather: inputs changed in a polygon and a period, or a painted storm; the change
    as maps and hydrographs.
    """

    changes: tuple[ChangeConfig, ...] = setting((), label="Changes", help="Changes of the input, one after the other.")
    storms: tuple[StormConfig, ...] = setting((), label="Storms", help="Rain painted onto the maps.")
    period: PeriodConfig = setting(
        PeriodConfig, label="Period", help="Dates to predict; empty takes those that the changes reach."
    )
    x: Optional[float] = setting(None, label="x", help="Easting or longitude of a cell for the hydrograph.")
    y: Optional[float] = setting(None, label="y", help="Northing or latitude of that cell, in the dataset's CRS.")
    polygon: str = setting("", label="Polygon", help="WKT in the dataset's CRS; its mean joins the hydrographs.")
    gauge: str = setting("", label="Gauge", help="Id of a gauge of the dataset whose cell joins the hydrographs.")
    batch: int = setting(8, label="Batch", help="Windows computed at once.", minimum=1, maximum=4096, advanced=True)

    def check(self) -> None:
        """Something changes; a cell has both coordinates."""
        super().check()
        if not (self.changes or self.storms):
            raise ConfigError("Nothing is changed", remedy="Give a change of an input, or paint a storm")
        if (self.x is None) != (self.y is None):
            raise ConfigError("The cell of the hydrograph lacks a coordinate", remedy="Give x and y, or neither")


@dataclass(frozen=True)
class DriversJob(_Question):
    """Which variable mattered most, cell by cell, to the prediction of a date, and by how much more than the second."""

    date: str = setting("", label="Date", help="Date of the prediction to explain.")
    polygon: str = setting("", label="Polygon", help="WKT in the dataset's CRS; empty takes the whole basin.")
    method: str = setting(
        "integrated-gradients",
        label="Method",
        help="Integrated gradients add up to the prediction; taking a variable away works for every model.",
        choices=("integrated-gradients", "gradient-times-input", "occlusion"),
    )
    baseline: str = setting(
        "mean", label="Against",
        help="Compared with each variable's mean (of its logarithm, where the model reads that), a sequence without "
        "rain, or the season's mean.",
        choices=BASELINES,
    )  # fmt: skip
    steps: int = setting(
        8, label="Steps", help="Points between baseline and input; more are slower and closer.", minimum=1, maximum=1000
    )
    cost_only: bool = setting(
        False, label="Cost only", help="Say how long it would take and how well it fits, and stop there."
    )

    def check(self) -> None:
        """The date is a date."""
        super().check()
        parse_date(self.date, "The date to explain")


@dataclass(frozen=True)
class SharesJob(_Question):
    """The share of each variable in what moved the predictions of many dates: by season, and cumulative by steps
    back.
    """

    period: PeriodConfig = setting(
        PeriodConfig, label="Period", help="Dates to take; empty takes the model's test period, else all."
    )
    dates: int = setting(
        24, label="Dates", help="So many dates, evenly spread over the period.", minimum=1, maximum=10000
    )
    x: Optional[float] = setting(None, label="x", help="Easting or longitude of the cell, in the dataset's CRS.")
    y: Optional[float] = setting(None, label="y", help="Northing or latitude of the cell, in the dataset's CRS.")
    polygon: str = setting("", label="Polygon", help="WKT in the dataset's CRS; explains the mean over its cells.")
    gauge: str = setting(
        "", label="Gauge", help="Id of a gauge; a model of gauges without one is explained in the mean of all."
    )
    baseline: str = setting(
        "mean", label="Against",
        help="Compared with each variable's mean (of its logarithm, where the model reads that), a sequence without "
        "rain, or the season's mean.",
        choices=BASELINES,
    )  # fmt: skip
    steps: int = setting(
        16,
        label="Steps",
        help="Points between baseline and input; more are slower and closer.",
        minimum=2,
        maximum=1000,
    )

    def check(self) -> None:
        """At most one place is given; without one the basin's mean is explained."""
        super().check()
        if (self.x is None) != (self.y is None):
            raise ConfigError("The cell lacks a coordinate", remedy="Give x and y, or neither")
        if sum((self.x is not None, bool(self.polygon), bool(self.gauge))) > 1:
            raise ConfigError(
                "The place to explain is not clear",
                expected="a cell (x and y), a polygon or a gauge; nothing for the basin's mean",
                remedy="Give one of them",
            )
