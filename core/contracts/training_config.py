"""How a model is trained: one configuration, which training, fine-tuning and search share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .config import Config, setting
from .errors import ConfigError

LOSSES = ("mse", "mae", "nse", "huber", "kge", "quantile", "rare", "ssim")
SCHEDULES = ("constant", "cosine", "step", "plateau", "one-cycle")
OPTIMIZERS = ("adam", "adamw")
AUGMENTATIONS = ("none", "flips", "turns")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "tf32", "bfloat16")
MEMORIES = ("auto", "plain", "recompute")
HOISTINGS = ("auto", "on", "off")
CAPTURES = ("auto", "on", "off")
CACHES = ("auto", "on", "off")


@dataclass(frozen=True)
class TrainingConfig(Config):
    """How a model is trained."""

    epochs: int = setting(
        20, label="Epochs", help="Passes over the training windows at most.", minimum=1, maximum=100000
    )
    patience: int = setting(
        5,
        label="Patience",
        help="Stop after so many epochs without a better validation loss.",
        minimum=1,
        maximum=100000,
    )
    batch: int = setting(
        4,
        label="Batch",
        help="Windows per step of the optimizer; 0 chooses by what larger batches gain. One that does not fit into the "
        "memory is computed in parts.",
        minimum=0,
        maximum=4096,
    )
    accumulate: int = setting(
        1,
        label="Batches a step",
        help="Batches whose gradients are gathered for one step of the optimizer: a large batch in the memory of a "
        "small one. Equal to the large batch, but for families with batch normalisation, which see the small one.",
        minimum=1,
        maximum=4096,
        advanced=True,
    )
    learning_rate: float = setting(
        1e-3,
        label="Learning rate",
        help="Step size of Adam; smaller is slower and steadier.",
        minimum=1e-8,
        maximum=1.0,
    )
    optimizer: str = setting(
        "adam",
        label="Optimizer",
        help="'adamw' pulls weights towards zero apart from their gradients (decoupled weight decay); without weight "
        "decay both are the same.",
        choices=OPTIMIZERS,
        advanced=True,
    )
    schedule: str = setting(
        "cosine",
        label="Schedule",
        help="How the learning rate changes: 'cosine' falls to 2 % over the training; 'step' falls by the factor every "
        "so many epochs; 'plateau' falls by it when the validation loss gains nothing; 'one-cycle' rises over the "
        "first 30 % of the training, then falls to almost nothing.",
        choices=SCHEDULES,
        advanced=True,
    )
    schedule_epochs: int = setting(
        2,
        label="Schedule epochs",
        help="Epochs between two falls ('step'), or without a better validation loss before one ('plateau').",
        unit="epochs",
        minimum=1,
        maximum=100000,
        advanced=True,
        only_with=("schedule", "step", "plateau"),
    )
    schedule_factor: float = setting(
        0.5,
        label="Schedule factor",
        help="What the learning rate is multiplied by at each fall of 'step' and 'plateau'.",
        minimum=0.001,
        maximum=0.999,
        advanced=True,
        only_with=("schedule", "step", "plateau"),
    )
    rate_warm_up: float = setting(
        0.0,
        label="Rate warm-up",
        help="Epochs over which the learning rate rises from 0 at the begin of the training.",
        unit="epochs",
        minimum=0.0,
        maximum=1000.0,
        advanced=True,
    )
    loss: str = setting(
        "mse",
        label="Loss",
        help="What training makes small: mean squared or absolute error; 'huber', squared for small errors and "
        "absolute for large ones; 'nse', 1 - NSE of each cell or gauge; 'kge', 1 - KGE of each target or gauge in a "
        "batch; 'quantile', whose best answer is a quantile; 'rare', squared error that weighs rare values more; "
        "'ssim', squared error and the likeness of the patterns.",
        choices=LOSSES,
    )
    huber_delta: float = setting(
        1.0,
        label="Huber delta",
        help="Error from which the loss 'huber' grows evenly, in standard deviations of the target.",
        minimum=1e-3,
        maximum=1e3,
        advanced=True,
        only_with=("loss", "huber"),
    )
    quantile: float = setting(
        0.5,
        label="Quantile",
        help="What the loss 'quantile' aims at: 0.9 for a value that is exceeded one time in ten.",
        minimum=0.001,
        maximum=0.999,
        advanced=True,
        only_with=("loss", "quantile"),
    )
    rare_emphasis: float = setting(
        1.0,
        label="Emphasis of rare values",
        help="For the loss 'rare': 0 weighs all values alike, 1 gives the commonest hardly any weight.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
        only_with=("loss", "rare"),
    )
    ssim_share: float = setting(
        0.5,
        label="Share of SSIM",
        help="For the loss 'ssim': weight of the structural similarity; the rest is the squared error.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
        only_with=("loss", "ssim"),
    )
    seed: int = setting(
        1, label="Seed", help="Same seed, same data, same machine: same model.", minimum=0, maximum=2**31 - 1
    )
    device: str = setting(
        "auto", label="Device", help="Where to compute; auto takes a working GPU, else the CPU.", choices=DEVICES
    )
    precision: str = setting(
        "auto",
        label="Precision",
        help="'auto' tries two batches, and takes bfloat16 where the processor or GPU has it, it is clearly faster and "
        "the loss is the same to 1 %. 'tf32' is float32 with rounded products, for NVIDIA GPUs.",
        choices=PRECISIONS,
        advanced=True,
    )
    memory: str = setting(
        "auto",
        label="Memory",
        help="'recompute' keeps less of each step and computes its gates again: about half of the memory, at about 1.3 "
        "of the time; for models of ConvLSTM layers. 'auto' does so where the memory would not be enough.",
        choices=MEMORIES,
        advanced=True,
    )
    hoisting: str = setting(
        "auto",
        label="Inputs at once",
        help="Whether a ConvLSTM layer convolves the inputs of all steps at once before the first. 'auto' does not: on "
        "processors it took as long or longer on every grid that was tried.",
        choices=HOISTINGS,
        advanced=True,
    )
    capture: str = setting(
        "auto",
        label="Captured graphs",
        help="On NVIDIA GPUs: record the work of a batch once and replay it, which saves small models most of their "
        "time. 'auto' does where two batches show that it is faster and gives the same.",
        choices=CAPTURES,
        advanced=True,
    )
    supervised_steps: int = setting(
        1, label="Supervised steps",
        help="Last steps of each window that are compared with the target; more learn faster.",
        unit="steps", minimum=1, maximum=1000, advanced=True,
    )  # fmt: skip
    window_stride: int = setting(
        1,
        label="Stride",
        help="Distance between the training windows used in one epoch.",
        unit="steps",
        minimum=1,
        maximum=1000,
        advanced=True,
    )
    augment: str = setting(
        "none",
        label="Augmentation",
        help="Show the maps mirrored ('flips') or also turned by quarters ('turns'), each batch anew. Flow directions, "
        "aspect and wind are turned along. Only where north and east mean nothing but a direction: a mirrored slope "
        "gets its sun from the north.",
        choices=AUGMENTATIONS,
        advanced=True,
    )
    sampling: float = setting(
        0.0,
        label="Scheduled sampling",
        help="Share of the leads at which a decoder reads the truth at the begin of the training; it falls to 0 "
        "towards the end. Only for models that read their own predictions.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    weight_decay: float = setting(
        0.0, label="Weight decay", help="Pulls weights towards zero.", minimum=0.0, maximum=1.0, advanced=True
    )
    clip_norm: float = setting(
        1.0, label="Gradient clip", help="Largest norm of a gradient.", minimum=1e-6, maximum=1e6, advanced=True
    )
    averaging: float = setting(
        0.0,
        label="Averaged weights",
        help="Share of the moving average of the weights that each step keeps, such as 0.999; 0 averages nothing. The "
        "averaged weights are judged and saved.",
        minimum=0.0,
        maximum=0.99999,
        advanced=True,
    )
    time_limit_minutes: Optional[float] = setting(
        None,
        label="Time limit",
        help="Stop after the epoch in which this time has passed.",
        unit="min",
        minimum=0.01,
        advanced=True,
    )
    checkpoint_minutes: float = setting(
        10.0,
        label="Checkpoint every",
        help="How often the place within an epoch is kept, so that little is lost where a machine stops; it is kept "
        "after each epoch and where a person cancels too.",
        unit="min",
        minimum=0.01,
        maximum=100000.0,
        advanced=True,
    )
    crop: int = setting(
        0,
        label="Crop",
        help="Side of the part of the maps that a batch shows, in cells: each batch another one, at random, where the "
        "target was observed; an epoch shows each window once. 0 shows whole maps while a batch of them fits into the "
        "memory. Not for models that need the whole map.",
        unit="cells",
        minimum=0,
        maximum=100000,
        advanced=True,
    )
    cache: str = setting(
        "auto",
        label="Cache",
        help="Whether a copy of the dataset that is not compressed is made beside it, once, and read from there: "
        "'auto' does where the maps take more than half of the free memory, or where decoding them takes seconds; "
        "'off' uses none.",
        choices=CACHES,
        advanced=True,
    )
    threads: int = setting(
        0,
        label="Threads",
        help="Processor threads; 0 chooses: all cores, but for one that is left to QGIS where there are more than two.",
        minimum=0,
        maximum=1024,
        advanced=True,
    )

    def check(self) -> None:
        """Settings that would quietly do nothing, or something else than asked."""
        if self.schedule == "plateau" and self.schedule_epochs >= self.patience:
            raise ConfigError(
                "The training would stop before the learning rate falls",
                expected="fewer schedule epochs than the patience",
                got=f"schedule epochs {self.schedule_epochs}, patience {self.patience}",
                remedy="Raise the patience, or lower the schedule epochs",
            )
        if self.schedule == "one-cycle" and self.rate_warm_up:
            raise ConfigError(
                "The schedule 'one-cycle' has a rise of its own",
                got=f"a rate warm-up of {self.rate_warm_up:g} epochs",
                remedy="Set the rate warm-up to 0, or choose another schedule",
            )
        if self.rate_warm_up >= self.epochs and self.rate_warm_up:
            raise ConfigError(
                "The learning rate would never reach its height",
                expected=f"a rate warm-up shorter than the {self.epochs} epochs",
                got=f"{self.rate_warm_up:g} epochs",
                remedy="Shorten the rate warm-up, or train for more epochs",
            )
        if self.loss == "kge" and self.accumulate > 1:
            raise ConfigError(
                "KGE is taken over a whole batch and cannot be gathered from several",
                got=f"{self.accumulate} batches a step",
                remedy="Set the batches a step to 1 and raise the batch, or choose another loss",
            )
