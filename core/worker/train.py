"""Training as a run: datasets in; a model file, its scores on the test period, its maps and a report out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import manual_seed, nn

from ..contracts.ensemble_file import is_ensemble
from ..contracts.errors import DataError, ModelFileError
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import write_text
from ..contracts.model_card import ModelCard
from ..contracts.run_folder import RunFolder
from ..contracts.training_job import FinetuneJob, TrainingConfig, TrainJob
from ..data.caching import ready_caches
from ..data.splits import Split
from ..data.store import Dataset, open_datasets
from ..inference.trained import results_of_training, write_mean_scores
from ..inference.training_mean import MeanOfTraining
from ..training.distributed import process_number
from ..training.fitting import fit_module
from ..training.model_file import build_from_card, load_model, save_model
from ..training.setup import (
    TrainingSet,
    build_card,
    periods_by_dataset,
    splits_of,
    too_short,
    training_sets,
    versions,
    warm_up_of,
)
from .room import check_disc

T = TypeVar("T")

_TRAINING_SHARE = 0.9  # of the progress bar; judging and writing maps take the rest


@dataclass(frozen=True)
class Ready:
    """Open datasets, their splits and scaled windows, and the card of the model to train on them."""

    datasets: Sequence[Dataset]
    splits: Sequence[Split]
    card: ModelCard
    sets: Sequence[TrainingSet]
    note: str = ""


@contextlib.contextmanager
def opened(job: TrainJob) -> Iterator[Ready]:
    """Open the datasets of a training job, choose the warm-up, fit scalers, cut windows."""
    with contextlib.ExitStack() as stack:
        datasets = open_all(job.datasets, stack, job.training.cache)
        warm_up, why = warm_up_of(job, datasets)
        splits = splits_of(datasets, job.split, job.window + warm_up, job.lead, job.leads)
        card = build_card(job, datasets, splits, warm_up)
        note = (
            f"Each prediction reads {card.window} steps: a window of {job.window} after a warm-up of {warm_up} ({why})."
        )
        note = f"{note} {too_short(datasets, splits)}".strip()
        yield Ready(datasets, splits, card, training_sets(datasets, splits, card), note)


def open_all(paths: Sequence[str], stack: contextlib.ExitStack, cache: str = "auto") -> list[Dataset]:
    """The datasets of all files, each sequence of a file as one of them; ``stack`` closes them. With ``cache`` off they
    read their files and nothing else.
    """
    datasets = [stack.enter_context(dataset) for path in paths for dataset in open_datasets(path)]
    for dataset in datasets:
        dataset.use_cache = cache != "off"
    return datasets


def caches_of(job: TrainJob) -> Iterator[Event]:
    """Make the raw copies of the datasets of a training where they pay; see :func:`core.data.caching.ready_caches`."""
    names = (*job.inputs, *job.targets, *job.ahead)
    with contextlib.ExitStack() as stack:
        yield from ready_caches(open_all(job.datasets, stack), names, job.training.cache)


def train(job: TrainJob, run: RunFolder) -> Iterator[Event]:
    """Train a model from random weights."""
    yield Event(EventKind.PROGRESS, {"fraction": 0.0, "text": "Reading the datasets"})
    yield from caches_of(job)
    with opened(job) as ready:
        if job.members > 1:
            from .ensemble import train_members

            yield from train_members(job, ready, run)
            return
        manual_seed(job.training.seed)
        yield from _train_and_judge(build_from_card(ready.card), ready, job.training, run)


def finetune(job: FinetuneJob, run: RunFolder) -> Iterator[Event]:
    """Train a saved model further. Its variables, window and scalers stay those of the source, so units keep their
    meaning.
    """
    if is_ensemble(job.model):
        raise ModelFileError(
            "An ensemble cannot be trained further as one",
            got=job.model,
            remedy="Choose the model file of one of its members",
        )
    module, source = load_model(job.model)
    with contextlib.ExitStack() as stack:
        datasets = open_all(job.datasets, stack)
        names = [variable.name for variable in (*source.inputs, *source.targets, *source.ahead)]
        yield from ready_caches(datasets, names, job.training.cache)
        for dataset in datasets:
            if source.target.name not in dataset.variables:
                raise DataError(
                    f"The dataset '{dataset.name}' lacks the target '{source.target.name}'",
                    got=", ".join(dataset.variables),
                    remedy="Prepare a dataset that holds it; without it use 'predict'",
                )
        splits = splits_of(datasets, job.split, source.window, source.lead, source.leads)
        sets = training_sets(datasets, splits, source)
        card = source.replace(
            title=job.title or f"{source.title}, fine-tuned",
            training=job.training.to_dict(),
            datasets=(*source.datasets, *(f"{d.name} {d.fingerprint()}" for d in datasets)),
            periods_by_dataset={**source.periods_by_dataset, **periods_by_dataset(datasets, splits)},
            versions=versions(),
        )
        ready = Ready(datasets, splits, card, sets, too_short(datasets, splits))
        yield from _train_and_judge(module, ready, job.training, run)


def judged_model(module: nn.Module, ready: Ready, run: RunFolder, history: Sequence[dict]) -> Iterator[Event]:
    """Save a trained module, judge it on the test period of every dataset, save it again with its scores."""
    card = ready.card.replace(parameters=sum(p.numel() for p in module.parameters() if p.requires_grad))
    save_model(run.model_file, module, card)
    scores = yield from scores_of(module, card, ready, run, history)
    save_model(run.model_file, module, card.replace(scores=scores))
    artifact = Artifact(kind="model", path="results/model.safetensors", title=card.title, variable=card.target.name)
    yield Event(EventKind.ARTIFACT, artifact.to_dict())


def scores_of(
    module: nn.Module, card: ModelCard, ready: Ready, run: RunFolder, history: Sequence[dict]
) -> Generator[Event, None, dict]:
    """Maps, report and scores of a module on the test period of every dataset; gives the scores by dataset."""
    scores, known, judged = {}, MeanOfTraining(card, ready.datasets), judged_by(ready)
    for number, (dataset, split) in enumerate(judged):
        folder = f"{'sequence' if dataset.sequence else 'basin'}_{number + 1}" if len(judged) > 1 else ""
        results = results_of_training(module, card, dataset, split, run, history, folder=folder, known=known)
        scores[dataset.name] = yield from scaled(results, number / len(judged), 1 / len(judged))
    if len(judged) > 1:
        write_mean_scores([item for item in scores.values() if item], run)
    return scores


def judged_by(ready: Ready) -> list[tuple[Dataset, Split]]:
    """Each dataset is judged by its test period; where whole ones are kept for that, or of sequences, those that hold
    test windows, else those that hold validation windows.
    """
    pairs = list(zip(ready.datasets, ready.splits))
    if all(split.train_steps.any() and not dataset.sequence for dataset, split in pairs):
        return pairs
    testing = [(dataset, split) for dataset, split in pairs if len(split.test)]
    return testing or [(dataset, split) for dataset, split in pairs if len(split.validation)] or pairs


def _train_and_judge(module: nn.Module, ready: Ready, config: TrainingConfig, run: RunFolder) -> Iterator[Event]:
    count = sum(p.numel() for p in module.parameters() if p.requires_grad)
    windows = sum(len(item.split.train) for item in ready.sets)
    yield _message(f"{count:,} parameters, {windows:,} training windows. {ready.note}".strip())
    yield _message(check_disc(run.path, module, config, ready.card, judged_by(ready)))
    history = []
    fitting = fit_module(module, ready.sets, config, run.checkpoints, ready.card.warm_up)
    for event in scaled(keeping_choices(fitting, run), 0.0, _TRAINING_SHARE):
        if event.kind is EventKind.METRIC:
            history.append(event.values)
        yield event
    if process_number() > 0:
        return  # the first process judges and writes
    yield from scaled(judged_model(module.to("cpu"), ready, run, history), _TRAINING_SHARE, 0.999 - _TRAINING_SHARE)


def keeping_choices(events: Iterator[Event], run: RunFolder) -> Iterator[Event]:
    """The same events; what the training chose for itself is written into the run folder."""
    for event in events:
        if "choices" in event.values and process_number() == 0:
            write_text(run.choices_file, json.dumps(event.values["choices"], indent=2, ensure_ascii=False))
            event = Event(event.kind, {name: value for name, value in event.values.items() if name != "choices"})
        yield event


def scaled(events: Generator[Event, None, T], start: float, share: float) -> Generator[Event, None, T]:
    """The same events, with progress from ``start`` to ``start + share``; gives what the generator gives."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value
        if event.kind is EventKind.PROGRESS:
            event = Event(event.kind, {**event.values, "fraction": round(start + share * event.values["fraction"], 4)})
        yield event


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
