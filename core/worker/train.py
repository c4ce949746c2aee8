"""Training as a run: datasets in; a model file, its scores on the test period, its maps and a report out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from torch import manual_seed, nn

from ..contracts.errors import DataError
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.model_card import ModelCard
from ..contracts.run_folder import RunFolder
from ..contracts.training_job import FinetuneJob, TrainingConfig, TrainJob
from ..data.splits import Split
from ..data.store import Dataset
from ..inference.trained import results_of_training
from ..training.loop import fit
from ..training.model_file import build_from_card, load_model, save_model
from ..training.setup import TrainingSet, build_card, splits_of, training_sets, versions


def train(job: TrainJob, run: RunFolder) -> Iterator[Event]:
    """Train a model from random weights."""
    with contextlib.ExitStack() as stack:
        yield Event(EventKind.PROGRESS, {"fraction": 0.0, "text": "Reading the datasets"})
        datasets = [stack.enter_context(Dataset.open(path)) for path in job.datasets]
        splits = splits_of(datasets, job.split, job.window, job.lead, job.leads)
        card = build_card(job, datasets, splits)
        sets = training_sets(datasets, splits, card)
        manual_seed(job.training.seed)
        module = build_from_card(card)
        yield from _train_and_judge(module, card, job.training, datasets, splits, sets, run)


def finetune(job: FinetuneJob, run: RunFolder) -> Iterator[Event]:
    """Train a saved model further. Its variables, window and scalers stay those of the source, so that units keep
    their meaning.
    """
    with contextlib.ExitStack() as stack:
        module, source = load_model(job.model)
        datasets = [stack.enter_context(Dataset.open(path)) for path in job.datasets]
        splits = splits_of(datasets, job.split, source.window, source.lead, source.leads)
        for dataset in datasets:
            if source.target.name not in dataset.variables:
                raise DataError(
                    f"The dataset '{dataset.name}' lacks the target '{source.target.name}'",
                    got=", ".join(dataset.variables),
                    remedy="Prepare a dataset that holds it; without it use 'predict'",
                )
        sets = training_sets(datasets, splits, source)
        names = tuple(f"{d.name} {d.fingerprint()}" for d in datasets)
        card = source.replace(
            title=job.title or f"{source.title}, fine-tuned",
            training=job.training.to_dict(),
            datasets=(*source.datasets, *names),
            versions=versions(),
        )
        yield from _train_and_judge(module, card, job.training, datasets, splits, sets, run)


def _train_and_judge(
    module: nn.Module,
    card: ModelCard,
    config: TrainingConfig,
    datasets: Sequence[Dataset],
    splits: Sequence[Split],
    sets: Sequence[TrainingSet],
    run: RunFolder,
) -> Iterator[Event]:
    count = sum(p.numel() for p in module.parameters() if p.requires_grad)
    windows = sum(len(item.split.train) for item in sets)
    yield Event(EventKind.MESSAGE, {"level": "info", "text": f"{count:,} parameters, {windows:,} training windows."})
    history = []
    for event in fit(module, sets, config, run.checkpoints):
        if event.kind is EventKind.METRIC:
            history.append(event.values)
        if event.kind is EventKind.PROGRESS:
            event = Event(event.kind, {**event.values, "fraction": round(0.9 * event.values["fraction"], 4)})
        yield event
    module.to("cpu")
    card = card.replace(parameters=count)
    save_model(run.model_file, module, card)
    scores: dict = {}
    for dataset, split, item in zip(datasets, splits, sets):
        label = dataset.name if len(datasets) > 1 else ""
        results = results_of_training(module, card, dataset, item.data, split, run, history, label)
        for event in results:
            if event.kind is EventKind.METRIC and "scores" in event.values:
                scores[dataset.name] = event.values["scores"]
                continue
            yield event
    card = card.replace(scores=scores)
    save_model(run.model_file, module, card)
    yield Event(
        EventKind.ARTIFACT,
        Artifact(kind="model", path="results/model.safetensors", title=card.title, variable=card.target.name).to_dict(),
    )
