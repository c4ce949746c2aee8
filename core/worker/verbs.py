"""One generator of events a verb. Heavy modules are imported when their verb runs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, Optional

from ..contracts.config import Config
from ..contracts.events import Event, EventKind
from ..contracts.run_folder import RunFolder

if TYPE_CHECKING:
    from ..explain.session import Session


def hello(verb: str) -> Event:
    """The first event of a worker: who works, where, with what."""
    return Event(
        EventKind.HELLO,
        {
            "verb": verb,
            "pid": os.getpid(),
            "python": platform.python_version(),
            "executable": sys.executable,
            "cores": os.cpu_count(),
        },
    )


def _prepare(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..data.prepare import prepare

    yield from prepare(job)


def _terrain(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..data.terrain import run as derive_terrain

    yield from derive_terrain(job)


def _train(job: Config, run: RunFolder) -> Iterator[Event]:
    from .train import train

    yield from train(job, run)


def _finetune(job: Config, run: RunFolder) -> Iterator[Event]:
    from .train import finetune

    yield from finetune(job, run)


def _tune(job: Config, run: RunFolder) -> Iterator[Event]:
    from .tune import tune

    yield from tune(job, run)


def _predict(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..inference.predict import predict

    yield from predict(job, run)


def _compare(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..inference.compare import compare

    yield from compare(job, run)


def _evaluate(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..inference.evaluate import evaluate

    yield from evaluate(job, run)


def _explain(job: Config, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    from ..explain.explain import explain

    yield from explain(job, run, session)


def _importance(job: Config, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    from ..explain.permutation import importance

    yield from importance(job, run, session)


def _probe(job: Config, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    from ..explain.probes import probe

    yield from probe(job, run, session)


def _what_if(job: Config, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    from ..explain.what_if import what_if

    yield from what_if(job, run, session)


def _drivers(job: Config, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    from ..explain.drivers import drivers

    yield from drivers(job, run, session)


def _shares(job: Config, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    from ..explain.shares import shares

    yield from shares(job, run, session)


def _import_model(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..inference.exchange.importing import import_model

    yield from import_model(job, run)


def _export_model(job: Config, run: RunFolder) -> Iterator[Event]:
    from ..inference.exchange.exporting import export_model

    yield from export_model(job, run)


def _cache(job: Config, run: RunFolder) -> Iterator[Event]:
    from .cache import cache

    yield from cache(job, run)


def _doctor(job: Config, run: RunFolder) -> Iterator[Event]:
    from .doctor import doctor

    yield from doctor(job, run)


VERBS: dict[str, Callable[..., Iterator[Event]]] = {
    "prepare": _prepare,
    "terrain": _terrain,
    "train": _train,
    "finetune": _finetune,
    "predict": _predict,
    "compare": _compare,
    "evaluate": _evaluate,
    "explain": _explain,
    "importance": _importance,
    "probe": _probe,
    "what-if": _what_if,
    "drivers": _drivers,
    "shares": _shares,
    "tune": _tune,
    "import-model": _import_model,
    "export-model": _export_model,
    "cache": _cache,
    "doctor": _doctor,
}

# Verbs that ask a trained model something: they also take a session, which holds model and dataset.
QUESTIONS = frozenset(("explain", "importance", "probe", "what-if", "drivers", "shares"))
