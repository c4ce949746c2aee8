"""The search for better options: trainings with options drawn by Optuna, judged by their validation loss."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from torch import manual_seed

from ..contracts.errors import ConfigError
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..contracts.training_job import TrainJob, TuneJob
from ..training.checkpoint import load_checkpoint
from ..training.loop import fit
from ..training.model_file import build_from_card
from .train import judged_model, opened


def tune(job: TuneJob, run: RunFolder) -> Iterator[Event]:
    """Run the trials, write ``results/trials.csv`` and ``results/best_job.json``, and judge the best model on the
    test period.

    The study lies in ``study.db``, so a search that was cancelled goes on where it stopped. The test period plays no
    part in it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    suggested(job, _Probe())  # every key and range is checked before the first hour is spent
    study = optuna.create_study(
        study_name="freshet",
        storage=f"sqlite:///{run.path / 'study.db'}",
        sampler=optuna.samplers.TPESampler(seed=job.seed),
        load_if_exists=True,
    )
    finished = [t for t in study.trials if t.state.is_finished()]
    for number in range(len(finished), job.trials):
        trial = study.ask()
        options = suggested(job, trial)
        yield _message(f"Trial {number + 1} of {job.trials}: {json.dumps(options)}")
        loss = yield from _trained(
            with_options(job.train, options), run, trial.number, number / job.trials, 1 / job.trials
        )
        study.tell(trial, loss)
        _write_table(study, run)
        yield _message(f"Trial {number + 1}: validation loss {loss:.4g}; best so far {study.best_value:.4g}")
    best = with_options(job.train, _options_of(study.best_trial))
    write_text(run.results / "best_job.json", best.to_json())
    yield Event(EventKind.ARTIFACT, Artifact(kind="table", path="results/trials.csv", title="Trials").to_dict())
    yield Event(
        EventKind.ARTIFACT, Artifact(kind="table", path="results/best_job.json", title="Best training").to_dict()
    )
    with opened(best) as ready:
        module = build_from_card(ready.card)
        state = load_checkpoint(_folder(run, study.best_trial.number) / "best.safetensors", module)
        yield from judged_model(module.eval(), ready, run, state["history"])


def with_options(job: TrainJob, options: dict[str, Any]) -> TrainJob:
    """A training job with some keys changed: ``window``, ``training.learning_rate``, ``model.hidden`` ..."""
    values = job.to_dict()
    for key, value in options.items():
        group, _, name = key.rpartition(".")
        if group == "model":
            values["model"]["options"][name] = value
        elif group == "training" or (not group and name in values):
            (values["training"] if group else values)[name] = value
        else:
            raise ConfigError(
                f"The search space has the key '{key}', which names nothing",
                expected="a key of the training job, 'training.…' or 'model.…'",
                remedy="Correct the key",
            )
    return TrainJob.from_dict(values)


def suggested(job: TuneJob, trial: Any) -> dict[str, Any]:
    """Options of one trial; choices are drawn by index, since an option may be a list."""
    options = {}
    for key, space in job.space.items():
        if isinstance(space, list) and space:
            index = trial.suggest_categorical(key, list(range(len(space))))
            options[key] = space[index]
        elif (
            isinstance(space, dict)
            and {"low", "high"} <= set(space) <= {"low", "high", "log"}
            and space["low"] < space["high"]
        ):
            whole = isinstance(space["low"], int) and isinstance(space["high"], int)
            draw = trial.suggest_int if whole else trial.suggest_float
            options[key] = draw(key, space["low"], space["high"], log=bool(space.get("log", False)))
        else:
            raise ConfigError(
                f"The search space of '{key}' is not usable",
                expected="a list of values, or {'low': a, 'high': b, 'log': true} with a < b",
                got=json.dumps(space),
                remedy="Correct it",
            )
    with_options(job.train, options)
    if isinstance(trial, _Probe):
        return options
    trial.set_user_attr("options", options)
    return options


class _Probe:
    """Stands in for a trial: takes the first choice and the lower end, to check a space before the search."""

    def suggest_categorical(self, key: str, choices: list) -> Any:
        return choices[0]

    def suggest_int(self, key: str, low: int, high: int, log: bool = False) -> int:
        return low

    def suggest_float(self, key: str, low: float, high: float, log: bool = False) -> float:
        return low


def _trained(job: TrainJob, run: RunFolder, number: int, done: float, share: float) -> Iterator[Event]:
    """Train one trial; gives its best validation loss."""
    best = float("inf")
    with opened(job) as ready:
        manual_seed(job.training.seed)
        for event in fit(
            build_from_card(ready.card), ready.sets, job.training, _folder(run, number), ready.card.warm_up
        ):
            if event.kind is EventKind.METRIC:
                best = min(best, event.values["validation_loss"])
            elif event.kind is EventKind.PROGRESS:
                fraction = 0.95 * (done + share * event.values["fraction"])
                yield Event(
                    event.kind, {"fraction": round(fraction, 4), "text": f"Trial {number + 1}: {event.values['text']}"}
                )
    return best


def _folder(run: RunFolder, number: int):
    return run.path / "trials" / f"{number:04d}"


def _options_of(trial: Any) -> dict[str, Any]:
    return trial.user_attrs["options"]


def _write_table(study: Any, run: RunFolder) -> None:
    done = [t for t in study.trials if t.value is not None]
    keys = sorted({key for t in done for key in _options_of(t)})
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["trial", "validation_loss", *keys])
    table.writerows([[t.number + 1, t.value, *(json.dumps(_options_of(t).get(key)) for key in keys)] for t in done])
    write_text(run.results / "trials.csv", text.getvalue())


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
