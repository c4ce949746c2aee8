"""What every question to a model needs: the model on its dataset, one target and lead, and an ear for a cancel.

Symbols: n windows, L leads, K targets; ``frame`` is (H, W), or (1, G) for a model of gauges.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts import PeriodConfig
from ..contracts.dates import format_step
from ..contracts.errors import Cancelled, ConfigError, DataError
from ..contracts.events import Event, EventKind
from ..contracts.model_card import ModelCard, VariableCard
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from ..data.scaling import Scaler
from ..data.splits import period_steps
from ..data.store import Dataset
from ..data.windows import Batch, WindowData, gauge_places
from ..inference.artifacts import display_units
from ..inference.predictor import Predictor
from ..inference.selection import periods_of
from ..training.loop import predict_batch
from .baselines import Question
from .contributions import season_name
from .explained import Surroundings
from .session import Session

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Subject:
    """A model on a dataset, asked for one target at one lead. ``lead`` is its place among the leads, ``target`` that
    among the targets; ``card`` has that target as its first.
    """

    predictor: Predictor
    target: int
    lead: int

    @property
    def card(self) -> ModelCard:
        """Of the model, with the asked target as ``card.target``."""
        return self.predictor.card

    @property
    def module(self) -> nn.Module:
        """The model in evaluation mode."""
        return self.predictor.module

    @property
    def data(self) -> WindowData:
        """The dataset as the model sees it."""
        return self.predictor.data

    @property
    def dataset(self) -> Dataset:
        """The open dataset."""
        return self.predictor.dataset

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.predictor.device

    @property
    def scaler(self) -> Scaler:
        """Of the target."""
        return Scaler.from_dict(self.card.target.scaler)

    @property
    def units(self) -> str:
        """Of the target, as shown."""
        return display_units(self.card.target.units)

    @property
    def label(self) -> str:
        """The target's name for people."""
        return self.card.target.label or quantity(self.card.target.quantity).label

    @property
    def lead_steps(self) -> int:
        """Steps from the last input to the predicted date."""
        return self.card.lead + self.lead

    @property
    def inside(self) -> np.ndarray:
        """bool of the frame: cells of the basin, or all gauges."""
        return self.data.target_mask

    @property
    def gauges(self) -> tuple[str, ...]:
        """Names of the gauges in the order of the frame; empty for maps."""
        if not self.card.gauges or self.dataset.gauges is None:
            return self.card.gauges
        return tuple(self.dataset.gauges.ids[place] for place in gauge_places(self.dataset, self.card))

    def dates(self, ends: np.ndarray) -> np.ndarray:
        """datetime64[s] (n,): the dates that windows ending at ``ends`` predict at the asked lead."""
        return self.data.target_times(ends)[:, self.lead]

    def forward(self, batch: Batch) -> np.ndarray:
        """Predictions float32 (n, *frame) in the target's unit, NaN outside the basin."""
        with torch.inference_mode():
            y_hat = predict_batch(self.module, batch, self.device, torch.float32)[:, 0, self.lead, self.target]
        return self._shown(y_hat.cpu().numpy())

    def truth(self, batch: Batch) -> np.ndarray:
        """Observed values float32 (n, *frame) of a batch in the target's unit, NaN where missing."""
        if batch.y is None:
            return np.full((len(batch.x), *self.inside.shape), np.nan, dtype=np.float32)
        return self._shown(batch.y[:, 0, self.lead, self.target])

    def predict(self, ends: np.ndarray, data: Optional[WindowData] = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``(ends, predictions (n, *frame))`` batch by batch as a prediction run does, on other ``data`` where
        given; in tiles where the grid is large, in passes where the model carries its state on.
        """
        own = self.predictor.data
        self.predictor.data = own if data is None else data
        try:
            for chunk, maps in self.predictor.predict(ends):
                yield chunk, maps[:, self.lead]
        finally:
            self.predictor.data = own

    def _shown(self, scaled: np.ndarray) -> np.ndarray:
        values = self.scaler.inverse(scaled)
        values[:, ~self.inside] = np.nan
        return values


@contextlib.contextmanager
def subject_of(job: Any, run: RunFolder, session: Optional[Session] = None) -> Iterator[Subject]:
    """Open model and dataset of a question; what it computes stops within moments of a cancel. A ``session`` keeps both
    from one question to the next.

    Raises :class:`ModelFileError`, :class:`DataError` where they cannot be read or do not fit each other,
    :class:`ConfigError` where the model has no such target or lead.
    """
    from ..contracts.model_card import read_card

    card = read_card(job.model)
    target, lead = target_of(card, job.target), lead_of(card, job.lead)
    more = {"sequence": job.sequence, "batch": getattr(job, "batch", 8), "target": target}
    with contextlib.ExitStack() as stack:
        if session is None:
            predictor = stack.enter_context(Predictor(job.model, job.dataset, job.device, **more))
        else:
            predictor = stack.enter_context(_loaded(job, session, more))
        predictor.module.requires_grad_(False)
        stack.enter_context(heeding_cancel(predictor.module, run))
        yield Subject(predictor, target, lead)


@contextlib.contextmanager
def _loaded(job: Any, session: Session, more: dict[str, Any]) -> Iterator[Predictor]:
    """A predictor of what the session holds."""
    module, card, device, why = session.model(job.model, job.device)
    with Dataset.open(job.dataset, job.sequence) as dataset:
        held = session.held(dataset, card)
        predictor = Predictor((module, card), dataset, device, data=held.data, **more)
        predictor.why_device = why
        yield predictor


def target_of(card: ModelCard, name: str) -> int:
    """The place of a target by its name; the first for an empty one. Raises :class:`ConfigError`."""
    names = [target.name for target in card.targets]
    if name and name not in names:
        raise ConfigError(
            f"The model does not predict '{name}'", expected=", ".join(names), remedy="Choose one of its targets"
        )
    return names.index(name) if name else 0


def lead_of(card: ModelCard, steps: Optional[int]) -> int:
    """The place of a lead by its steps ahead; the first for None. Raises :class:`ConfigError`."""
    possible = range(card.lead, card.lead + card.leads)
    if steps is not None and steps not in possible:
        raise ConfigError(
            f"The model does not predict {steps} steps ahead",
            expected=", ".join(str(item) for item in possible),
            got=str(steps),
            remedy="Choose one of its leads",
        )
    return 0 if steps is None else steps - card.lead


@contextlib.contextmanager
def heeding_cancel(module: nn.Module, run: RunFolder) -> Iterator[None]:
    """Within it every layer of ``module`` looks now and then whether the run shall stop, and raises
    :class:`Cancelled` then: a pass through a long window would otherwise be waited for.
    """
    last = time.monotonic()

    def look(*_: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _POLL_SECONDS:
            last = now
            if run.cancel_requested():
                raise Cancelled

    handles = [part.register_forward_pre_hook(look) for part in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def label_of(variable: VariableCard) -> str:
    """A variable's name for people."""
    known = quantity(variable.quantity)
    return variable.label or (known.label if known.name != "other" else variable.name)


def labels_of(card: ModelCard) -> dict[str, str]:
    """Names for people of all that a model reads, the season included; equal ones told apart by the variable."""
    found = {v.name: label_of(v) for v in (*card.inputs, *card.static, *card.ahead)}
    found[season_name(card)] = "Season"
    count = list(found.values()).count
    return {name: f"{label} ({name})" if count(label) > 1 else label for name, label in found.items()}


def spread(ends: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of ``ends``, evenly spread; all for 0."""
    if not most or len(ends) <= most:
        return ends
    return ends[np.unique(np.linspace(0, len(ends) - 1, most).round().astype(int))]


def known_period(subject: Subject, name: str) -> Optional[PeriodConfig]:
    """The model's period of this name where it lies inside the record, else None."""
    periods: Mapping[str, Any] = periods_of(subject.card, subject.dataset)
    if name not in periods:
        return None
    first, last = (np.datetime64(text, "s") for text in periods[name])
    times = subject.data.times
    inside = times[0] <= first and last <= times[-1]
    return PeriodConfig(*periods[name]) if inside else None


def need_a_variable(dataset: Dataset, name: str) -> None:
    """Raise :class:`DataError` where the dataset lacks a variable."""
    if name not in dataset.variables:
        raise DataError(
            f"The dataset '{dataset.name}' has no variable '{name}'",
            expected=", ".join(dataset.variables),
            remedy="Choose one of these, or prepare the dataset with it",
        )


def seconds_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size_words(size: float) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def cost_event(text: str, seconds: float, size: Optional[int] = None) -> Event:
    """A MESSAGE that ends in what a question takes, in time and, where ``size`` (bytes) is known, in memory beyond that
    of model and dataset; its ``cost`` holds the numbers.
    """
    cost: dict[str, Any] = {"seconds": round(seconds, 3)}
    words = f"{text}: about {seconds_words(seconds)}"
    if size is not None:
        cost["bytes"] = size
        words += f" and {size_words(size)} of memory"
    return Event(EventKind.MESSAGE, {"level": "info", "text": f"{words} on this machine.", "cost": cost})


def steps_words(card: ModelCard, first: int, last: int) -> str:
    """'3 to 6 days back', or of steps where they are no days."""
    step = format_step(card.step_seconds)
    unit = "days" if step == "1 day" else f"steps of {step}"
    if (first, last) == (1, 1):
        unit = unit.replace("days", "day").replace("steps", "step")
    return f"{first} to {last} {unit} back" if last > first else f"{first} {unit} back"


def training_steps(subject: Subject) -> Optional[np.ndarray]:
    """bool (T,): the steps of the training period where it lies inside the record, else None."""
    period = known_period(subject, "train")
    return None if period is None else period_steps(subject.data.times, period)


@dataclass(frozen=True)
class Window:
    """One window and its baseline as a model reads them, each part with a leading 1, cut to ``rows`` and ``columns``.
    ``owners`` gives for each part the name of the variable that each of its channels belongs to.
    """

    names: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor, ...]
    owners: tuple[tuple[str, ...], ...]
    around: Surroundings
    rows: slice
    columns: slice


def window_of(subject: Subject, question: Question, box: tuple[int, int, int, int]) -> Window:
    """The window of ``question`` around ``box`` (first row, past the last row, first column, past the last column),
    with all cells that have an influence there.
    """
    shape, halo = question.x.shape[2:], subject.module.halo_px(subject.card.window)
    rows, columns = (
        slice(max(0, box[2 * axis] - halo), min(shape[axis], box[2 * axis + 1] + halo)) for axis in range(2)
    )

    def tensor(array: Optional[np.ndarray]) -> Optional[Tensor]:
        if array is None:
            return None
        return torch.from_numpy(np.array(array[..., rows, columns], dtype=np.float32, order="C")).to(subject.device)

    season = season_name(subject.card)
    dynamic = [variable.name for variable in subject.card.inputs]
    dynamic += [season] * (question.x.shape[1] - len(dynamic))
    fixed = [variable.name for variable in subject.card.static for _ in range(variable.channels)]
    known = {
        "x": (question.x, question.baseline_x, dynamic),
        "static": (question.static, question.baseline_static, fixed),
        "ahead": (question.ahead, question.baseline_ahead, [variable.name for variable in subject.card.ahead]),
    }
    reads = {name: getattr(subject.module, f"uses_{name}", False) for name in ("static", "ahead")}
    names = [name for name, (values, _, _) in known.items() if values is not None and reads.get(name, True)]
    moment = None
    if question.time_of_year is not None:
        moment = torch.from_numpy(np.array(question.time_of_year, dtype=np.float32)).to(subject.device)
    around = Surroundings(
        observed=tensor(question.observed),
        mask=tensor(subject.data.mask[None, None]),
        time_of_year=moment,
        static=None if "static" in names else tensor(question.static),
    )
    return Window(
        tuple(names),
        tuple(tensor(known[name][0])[None] for name in names),
        tuple(tensor(known[name][1])[None] for name in names),
        tuple(tuple(known[name][2]) for name in names),
        around,
        rows,
        columns,
    )
