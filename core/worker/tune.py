"""The search for better options: trainings with options drawn by Optuna, judged by their validation loss.

Several processes may share one search: each asks the storage for its next trial. The test period plays no part in it;
at the end the best model alone is judged by it.
"""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from torch import manual_seed

from ..contracts.errors import FreshetError, RunError
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import write_text
from ..contracts.machine import check_room
from ..contracts.run_folder import RunFolder
from ..contracts.search_job import TuneJob
from ..training.checkpoint import load_checkpoint
from ..training.fitting import fit_module
from ..training.model_file import build_from_card
from .main import heartbeat
from .room import checkpoint_bytes
from .search_choices import alike, noted
from .search_results import write_results, write_trials
from .search_space import Dimension, dimensions, grid_size, option_words, with_options
from .search_storage import STUDY, Storage, check_same, here
from .train import caches_of, judged_model, keeping_choices, opened

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

_MOST_TRIES = 3  # of a trial whose process ends in it
_MOST_FAULTS = 3  # trials in a row that cannot be trained, before the first one that can
_SEED_STEP = 1_000_003
_LOOK_SECONDS = 0.5
_SEARCHING = 0.95  # of the progress
_FREE = "Free some space, or remove the checkpoints of trials that did badly, and start the search again"


class _GivenUp(Exception):
    """A trial that falls behind the others."""


class _NoRoom(Exception):
    """The disc is too full for a trial; its cause is the sentence."""


@dataclass(frozen=True)
class _Search:
    """A search as one process sees it."""

    job: TuneJob
    run: RunFolder
    space: Sequence[Dimension]
    storage: Storage
    study: optuna.Study

    @property
    def wanted(self) -> int:
        """Trials of all processes."""
        most = grid_size(list(self.space)) if self.job.sampler == "grid" else self.job.trials
        return min(self.job.trials, most)

    def counted(self) -> list[FrozenTrial]:
        """Trials that are finished or under way; one that was lost or never begun does not count."""
        from optuna.trial import TrialState

        trials = self.study.get_trials(deepcopy=False)
        return [
            trial
            for trial in trials
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
            or (trial.state is TrialState.FAIL and "fault" in trial.user_attrs)
        ]

    def place(self, number: int) -> int:
        """How many of them lie before trial ``number``."""
        return sum(trial.number < number for trial in self.counted())

    def done(self) -> int:
        """How many of them are finished."""
        return sum(trial.state.is_finished() for trial in self.counted())


def tune(job: TuneJob, run: RunFolder) -> Iterator[Event]:
    """Run the trials, write ``trials.csv``, ``options.csv`` with its figure and ``best_job.json``, and judge the best
    model on the test period.

    The search lies in ``study.journal``, or in the shared file that the job names; one that was ended in any way goes
    on where it stopped, a trial that died being done again from its last epoch. Raises :class:`ConfigError` for a space
    that cannot be searched, :class:`RunError` where no trial could be trained.
    """
    space = dimensions(job)
    storage = Storage(job, run)
    yield from storage.free()
    search = _Search(job, run, space, storage, _study(job, storage))
    yield from _again(search, at_begin=True)
    yield from caches_of(job.train)
    faults = 0
    while True:
        yield from storage.free()
        yield from _again(search)
        counted = search.counted()
        if len(counted) >= search.wanted:
            if all(trial.state.is_finished() for trial in counted):
                break
            yield from _wait(search, len([trial for trial in counted if not trial.state.is_finished()]))
            continue
        trial = search.study.ask()
        if _surplus(search, trial):
            continue
        fault = yield from _tried(search, trial)
        write_trials(search.study, space, run)
        faults = faults + 1 if fault else 0
        if fault and faults >= _MOST_FAULTS and not _completed(search):
            raise fault
    yield from _finished(search)


def _finished(search: _Search) -> Iterator[Event]:
    """Tables, figure, and the best model with its scores."""
    run = search.run
    write_trials(search.study, search.space, run)
    if not _completed(search):
        raise RunError(
            "No trial of this search could be trained to its end",
            got=f"{search.done()} trials",
            remedy="Look at trials.csv for the reasons, and narrow the search space",
        )
    chosen = search.study.best_trial
    best = with_options(search.job.train, _options_of(chosen))
    write_text(run.results / "best_job.json", best.to_json())
    yield from write_results(search.study, search.space, run)
    yield Event(
        EventKind.ARTIFACT, Artifact(kind="table", path="results/best_job.json", title="Best training").to_dict()
    )
    with opened(best) as ready:
        module, folder = build_from_card(ready.card), search.storage.folder(chosen.number)
        state = load_checkpoint(folder.path / "best.safetensors", module)
        if folder.choices_file.exists():
            write_text(run.choices_file, folder.choices_file.read_text(encoding="utf-8"))
        yield from judged_model(module.eval(), ready, run, state["history"])


def _study(job: TuneJob, storage: Storage) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    study = optuna.create_study(
        study_name=STUDY,
        storage=storage.opened(),
        sampler=_sampler(job, dimensions(job), 0),
        pruner=_pruner(job),
        load_if_exists=True,
    )
    check_same(study, job, storage.path)
    return study


def _sampler(job: TuneJob, space: Sequence[Dimension], place: int) -> Any:
    """How the trial with ``place`` others before it is drawn. Each has a seed of its own, so that a search that goes
    on, or is shared, draws what one process would have drawn without a break.
    """
    from optuna import samplers

    if job.sampler == "grid":

        class Grid(samplers.GridSampler):
            def after_trial(self, *_: Any) -> None:
                """The search itself knows when the grid is done."""

        return Grid({item.key: list(range(len(item.choices or ()))) for item in space}, seed=job.seed)
    seed = (job.seed + _SEED_STEP * place) % 2**32
    if job.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    return samplers.TPESampler(seed=seed, constant_liar=True)  # the trials of other processes count while they run


def _pruner(job: TuneJob) -> Any:
    from optuna import pruners

    if job.pruning == "median":
        return pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=job.pruning_epochs)
    if job.pruning == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=job.pruning_epochs, reduction_factor=4)
    return pruners.NopPruner()


def _again(search: _Search, at_begin: bool = False) -> Iterator[Event]:
    """Mark the trials whose process has gone as failed, and put them in line again."""
    for trial in search.storage.lost(search.study, at_begin):
        if _put_back(search, trial.number, trial.params, trial.user_attrs):
            yield _message(f"The process of trial {trial.number + 1} ended in it; it is done again.", "warning")


def _put_back(search: _Search, number: int, params: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Mark a trial as failed and enqueue it again; False where another process did so first."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    tries = attributes.get("tries", 0) + 1
    trial = next(item for item in search.study.get_trials(deepcopy=False) if item.number == number)
    storage = search.study._storage  # the study tells of its own trials alone
    try:
        if tries >= _MOST_TRIES:
            fault = f"its process ended {tries} times in it"
            storage.set_trial_user_attr(trial._trial_id, "fault", fault)
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False
    if tries < _MOST_TRIES and params:
        search.study.enqueue_trial(params, user_attrs={"continues": number, "tries": tries})
    return True


def _surplus(search: _Search, trial: Trial) -> bool:
    """Whether other processes began the last wanted trial at the same moment; then this one is not done."""
    from optuna.trial import TrialState

    if search.place(trial.number) >= search.wanted:
        search.study.tell(trial, state=TrialState.FAIL)
        return True
    return False


def _wait(search: _Search, others: int) -> Iterator[Event]:
    """Until the trials of other processes are done, or one of them is lost."""
    begin = search.done()
    yield _message(f"Waits for {others} trial{'s' if others > 1 else ''} of other processes.")
    while search.done() == begin and not search.storage.lost(search.study):
        yield Event(EventKind.MESSAGE, {"level": "tick", "text": ""})
        time.sleep(_LOOK_SECONDS)


def _tried(search: _Search, trial: Trial) -> Generator[Event, None, Optional[FreshetError]]:
    """Train one trial and tell the study how it ended; gives the fault where it could not be trained."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    number, folder = trial.number, search.storage.folder(trial.number)
    folder.path.mkdir(parents=True, exist_ok=True)
    with heartbeat(folder):
        try:
            folder.beat(here()["pid"])
            options = _drawn(search, trial)
            yield _message(f"Trial {number + 1} of {search.wanted}: {option_words(search.space, options)}")
            loss = yield from _trained(search, trial, options, folder)
            yield from search.storage.free()
            search.study.tell(trial, loss)
        except GeneratorExit:  # the person's wish: the trial waits in line for whoever goes on
            _put_back(search, number, trial.params, {**trial.user_attrs, "tries": -1})
            raise
        except _NoRoom as full:  # the trial is none the worse for it
            _put_back(search, number, trial.params, {**trial.user_attrs, "tries": -1})
            raise full.__cause__ or full from None
        except _GivenUp:
            search.study.tell(trial, state=TrialState.PRUNED)
            yield _message(f"Trial {number + 1} is given up: it falls behind the others.")
            return None
        except UpdateFinishedTrialError:
            yield _message(f"Trial {number + 1} was taken over by another process.", "warning")
            return None
        except FreshetError as fault:
            trial.set_user_attr("fault", str(fault))
            search.study.tell(trial, state=TrialState.FAIL)
            yield _message(f"Trial {number + 1} could not be trained: {fault}", "warning")
            return fault
    best = search.study.best_value
    yield _message(f"Trial {number + 1}: validation loss {loss:.4g}; best so far {best:.4g}")
    return None


def _drawn(search: _Search, trial: Trial) -> dict[str, Any]:
    """The options of a trial, by its own random numbers."""
    if search.job.sampler != "grid":
        search.study.sampler = _sampler(search.job, search.space, search.place(trial.number))
    options = {item.key: item.drawn(trial) for item in search.space}
    for key, value in {"options": options, **here()}.items():
        trial.set_user_attr(key, value)
    return options


def _trained(
    search: _Search, trial: Trial, options: dict[str, Any], folder: RunFolder
) -> Generator[Event, None, float]:
    """Train one trial, from its last epoch where it was begun before; gives its best validation loss."""
    job, begin = with_options(search.job.train, options), time.monotonic()
    done, share = search.done() / search.wanted, 1 / search.wanted
    _take_over(search, trial, folder)
    best, seen = float("inf"), 0
    with opened(job) as ready:
        last = folder.path / "last.safetensors"
        for values in load_checkpoint(last, build_from_card(ready.card))["history"] if last.exists() else []:
            best, seen = min(best, values["validation_loss"]), values["epoch"]
            trial.report(values["validation_loss"], values["epoch"])
        manual_seed(job.training.seed)
        module, config = build_from_card(ready.card), alike(search.study, job.training)
        _check_room(folder, checkpoint_bytes(module, config))
        events = fit_module(module, ready.sets, config, folder.path, ready.card.warm_up)
        for event in keeping_choices(noted(search.study, config, events), folder):
            if event.kind is EventKind.METRIC and event.values["epoch"] > seen:
                best = min(best, event.values["validation_loss"])
                yield from search.storage.free()
                trial.report(event.values["validation_loss"], event.values["epoch"])
                if trial.should_prune():
                    _note(trial, begin)
                    raise _GivenUp
            elif event.kind is EventKind.PROGRESS:
                fraction = _SEARCHING * (done + share * event.values["fraction"])
                text = f"Trial {trial.number + 1}: {event.values['text']}"
                yield Event(event.kind, {"fraction": round(min(fraction, _SEARCHING), 4), "text": text})
            elif event.values.get("level") == "tick" or "search" in event.values:
                yield event
    _note(trial, begin)
    if not math.isfinite(best):
        raise RunError("The validation loss of this trial is no finite number", remedy="Narrow the search space")
    return best


def _check_room(folder: RunFolder, needed: int) -> None:
    try:
        check_room(folder.path, needed, "the checkpoints of this trial", _FREE)
    except RunError as fault:
        raise _NoRoom from fault


def _take_over(search: _Search, trial: Trial, folder: RunFolder) -> None:
    """Copy the checkpoints of the try that died, so that two processes never write into one folder."""
    number = trial.user_attrs.get("continues")
    if number is None or (folder.path / "last.safetensors").exists():
        return
    for name in ("best.safetensors", "last.safetensors"):  # the last one last: it says that there is one to go on with
        source = search.storage.folder(number).path / name
        if source.exists():
            shutil.copy2(source, folder.path / name)


def _note(trial: Trial, begin: float) -> None:
    trial.set_user_attr("seconds", round(time.monotonic() - begin, 1))


def _completed(search: _Search) -> bool:
    from optuna.trial import TrialState

    return bool(search.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _options_of(trial: FrozenTrial) -> dict[str, Any]:
    return trial.user_attrs["options"]


def _message(text: str, level: str = "info") -> Event:
    return Event(EventKind.MESSAGE, {"level": level, "text": text})
