"""Training of an ensemble as a run: a model file of each member, a description of all, and the test of their mean."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timezone

from torch import manual_seed

from ..contracts.ensemble_file import EnsembleFile, write_ensemble
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import whole_file
from ..contracts.run_folder import RunFolder
from ..contracts.training_job import TrainJob
from ..training.checkpoint import load_checkpoint
from ..training.distributed import process_number
from ..training.ensemble import Member, bootstrapped, fit_members
from ..training.members import Members
from ..training.model_file import build_from_card, save_model
from .room import check_disc
from .train import Ready, judged_by, keeping_choices, scaled, scores_of

_TRAINING_SHARE = 0.85  # of the progress bar


def train_members(job: TrainJob, ready: Ready, run: RunFolder) -> Iterator[Event]:
    """Train ``job.members`` models with the seeds from ``job.training.seed`` on; the first equals a training of one.

    ``results/members/member_01.safetensors`` and so on are ordinary model files; ``results/ensemble.json`` names them
    and can be predicted with; ``results/model.safetensors`` is the member with the least validation loss. Maps, scores
    and report are those of the mean.
    """
    members = _members(job, ready, run)
    count = sum(p.numel() for p in members[0].module.parameters() if p.requires_grad)
    windows = sum(len(item.split.train) for item in ready.sets)
    words = f"{len(members)} members of {count:,} parameters, {windows:,} training windows."
    yield _message(f"{words} {ready.note}".strip())
    history = []
    first = members[0].module
    yield _message(check_disc(run.path, first, job.training, ready.card, judged_by(ready), len(members)))
    for event in scaled(keeping_choices(fit_members(members, ready.card.warm_up), run), 0.0, _TRAINING_SHARE):
        if event.kind is EventKind.METRIC:
            history.append(event.values)
            _show_live(members[0], run)
        yield event
    if process_number() > 0:
        return
    yield from scaled(_judged(job, members, ready, run, history), _TRAINING_SHARE, 0.999 - _TRAINING_SHARE)


def _members(job: TrainJob, ready: Ready, run: RunFolder) -> list[Member]:
    members = []
    for number in range(job.members):
        config = job.training.replace(seed=(job.training.seed + number) % 2**31)
        manual_seed(config.seed)
        sets = bootstrapped(ready.sets, job.bootstrap, config.seed) if job.bootstrap else ready.sets
        folder = run.checkpoints / f"member_{number + 1:02d}"
        members.append(Member(build_from_card(ready.card), sets, config, folder))
    return members


def _judged(job: TrainJob, members: list[Member], ready: Ready, run: RunFolder, history: list[dict]) -> Iterator[Event]:
    """Write the model files, judge the mean, write the description."""
    count = sum(p.numel() for p in members[0].module.parameters() if p.requires_grad)
    cards, names, losses = [], [], []
    for number, member in enumerate(members, start=1):
        member.module.to("cpu").eval()
        losses.append(load_checkpoint(member.folder / "best.safetensors", member.module)["best_loss"])
        title = f"{ready.card.title}, member {number}"
        cards.append(ready.card.replace(title=title, parameters=count, training=member.config.to_dict()))
        names.append(f"members/member_{number:02d}.safetensors")
        save_model(run.results / names[-1], member.module, cards[-1])
    best = min(range(len(members)), key=lambda number: losses[number])
    save_model(run.model_file, members[best].module, cards[best])
    module = Members([member.module for member in members], ready.card).eval()
    scores = yield from scores_of(module, ready.card, ready, run, history)
    ensemble = EnsembleFile(
        title=f"{ready.card.title}, ensemble of {len(members)}",
        members=tuple(names),
        seeds=tuple(member.config.seed for member in members),
        bootstrap=job.bootstrap,
        validation_losses=tuple(losses),
        scores=scores,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    write_ensemble(run.ensemble_file, ensemble)
    target = ready.card.target.name
    yield _told("model", "results/model.safetensors", f"{cards[best].title}, best in validation", target)
    for name, card in zip(names, cards):
        yield _told("model", f"results/{name}", card.title, target)
    yield _told("table", "results/ensemble.json", ensemble.title, target)
    low, high = min(losses), max(losses)
    yield _message(
        f"The validation losses of the members lie between {low:.4g} and {high:.4g}; maps and scores are of their "
        "mean. Predict with results/ensemble.json to have the mean and its spread."
    )


def _show_live(member: Member, run: RunFolder) -> None:
    """The live map of the first member is that of the run."""
    live = member.folder / "live.npz"
    if live.exists() and process_number() == 0:
        with whole_file(run.checkpoints / "live.npz") as temporary:
            shutil.copyfile(live, temporary)


def _told(kind: str, path: str, title: str, variable: str) -> Event:
    artifact = Artifact(kind=kind, path=path, title=title, variable=variable)
    return Event(EventKind.ARTIFACT, artifact.to_dict())


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
