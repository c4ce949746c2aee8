"""The command ``freshet VERB JOB.json``: the same jobs without QGIS.

Exit status: 0 done, 2 bad input (one sentence on standard error), 3 cancelled, 1 a fault of Freshet.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Optional, TextIO

from ..contracts.cache_job import CacheJob
from ..contracts.config import Config, json_schema, parse_json, type_hints
from ..contracts.errors import ConfigError, FreshetError, RunError, error_from_dict
from ..contracts.events import Event, EventKind
from ..contracts.jobs import JOBS, job_from_dict
from ..contracts.models import FAMILIES
from ..contracts.run_folder import RunFolder
from ..contracts.uses import USE_NAMES, USES, find_use
from .beside import is_shared, leave, number_of_process
from .libraries import tell_libraries
from .main import EXIT_BAD_INPUT, EXIT_DONE, execute


def main(arguments: Optional[list[str]] = None) -> int:
    """Entry point of the console script."""
    tell_libraries()
    options = _parser().parse_args(arguments)
    try:
        status = options.action(options)
    except FreshetError as error:
        sys.stderr.write(f"freshet: {error}\n")
        status = EXIT_BAD_INPUT
    if is_shared():
        leave(status)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="freshet", description="Hydrological deep learning on raster series: hydrology as video."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, kind in JOBS.items():
        if verb == "cache":
            _add_cache(verbs, kind)
            continue
        summary = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
        part = verbs.add_parser(
            verb, help=summary, description=summary, epilog=_keys(kind), formatter_class=argparse.RawTextHelpFormatter
        )
        needed = None if verb == "doctor" else 1
        part.add_argument(
            "job", nargs="?" if needed is None else None, help="job file (JSON); 'freshet schema %s' explains it" % verb
        )
        part.add_argument("--run", metavar="FOLDER", help="run folder to make (default: a new one below ./runs)")
        part.add_argument("--quiet", action="store_true", help="print nothing but errors")
        if verb == "train":
            part.add_argument("--use", choices=USE_NAMES, help="what the model is for; 'freshet uses' explains them")
        part.set_defaults(action=_run_verb)
    models = verbs.add_parser(
        "models", help="List the model catalogue.", description="List the model catalogue, or one family's options."
    )
    models.add_argument("family", nargs="?", help="show the options of this family")
    models.set_defaults(action=_show_models)
    uses = verbs.add_parser(
        "uses",
        help="List what a model can be trained for.",
        description="List the uses of a model: what each is for, what it needs, and the settings that it stands for.",
    )
    uses.add_argument("use", nargs="?", help="show the settings of this use")
    uses.set_defaults(action=_show_uses)
    schema = verbs.add_parser("schema", help="Print the JSON schema of a verb's job.")
    schema.add_argument("of", choices=list(JOBS), metavar="VERB", help="one of " + ", ".join(JOBS))
    schema.set_defaults(action=_show_schema)
    return parser


def _add_cache(verbs: Any, kind: type[Config]) -> None:
    """The one verb that is asked for by words and not by a job file."""
    summary = " ".join((kind.__doc__ or "").split())
    part = verbs.add_parser("cache", help=summary, description=summary)
    part.add_argument("dataset", metavar="DATASET", help="prepared dataset (.nc)")
    what = part.add_mutually_exclusive_group()
    what.add_argument("--make", dest="wanted", action="store_const", const="make", help="copy all maps in time")
    what.add_argument("--delete", dest="wanted", action="store_const", const="delete", help="free the disc")
    part.set_defaults(action=_show_cache, wanted="show")


def _show_cache(options: argparse.Namespace) -> int:
    from .cache import cache

    printer = _Printer(sys.stdout, quiet=False)
    for event in cache(CacheJob(dataset=options.dataset, action=options.wanted)):
        printer.event(event)
    return EXIT_DONE


def _run_verb(options: argparse.Namespace) -> int:
    values, folder = {}, Path.cwd()
    if options.job:
        path = Path(options.job)
        try:
            values = parse_json(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise ConfigError(
                f"The job file {path} cannot be read", got=str(error), remedy="Give the path of a job file (JSON)"
            ) from error
        folder = path.resolve().parent
    if getattr(options, "use", None) and isinstance(values, dict):
        values = {**values, "use": options.use}
    job = job_from_dict(options.verb, absolute_paths(options.verb, values, folder))
    try:
        run = _run_of(options, job)
    except OSError as error:
        raise RunError(
            "The run's folder cannot be written", got=str(error), remedy="Choose another one with --run FOLDER"
        ) from error
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as screen:
        _cancel_on_interrupt(run)
        printer = _Printer(screen, quiet=options.quiet or number_of_process() > 0)
        printer.say(f"Run folder: {run.path}")
        status = execute(run, printer.event)
    error = printer.error if number_of_process() else run.error() or printer.error
    if error is not None and status:
        sys.stderr.write(f"freshet: {error}\n")
    return status


def _run_of(options: argparse.Namespace, job: Config) -> RunFolder:
    """The run folder: a new one, or that which the first of several processes makes."""
    if is_shared() and not options.run:
        raise ConfigError(
            "Several processes that share a run have to know its folder", remedy="Name it with --run FOLDER"
        )
    if number_of_process() > 0:
        return RunFolder(options.run)
    if options.run:
        return RunFolder.create_at(options.run, options.verb, job)
    return RunFolder.create("runs", options.verb, job)


def absolute_paths(verb: str, values: Any, folder: Path) -> Any:
    """Job values with paths made absolute against the folder of the job file; GDAL names such as NETCDF:"..." stay."""
    if not isinstance(values, dict):
        return values
    if verb == "tune" and isinstance(values.get("train"), dict):
        values = {**values, "train": absolute_paths("train", values["train"], folder)}
    done = dict(values)
    for key in ("model", "dataset", "predicted", "observed", "output", "mask", "storage", "source", "scalers_file"):
        if key in type_hints(JOBS[verb]) and isinstance(done.get(key), str):
            done[key] = _absolute(done[key], folder)
    if isinstance(done.get("terrain"), dict) and "dem" in done["terrain"]:
        done["terrain"] = {**done["terrain"], "dem": _absolute(done["terrain"]["dem"], folder)}
    if isinstance(done.get("datasets"), list):
        done["datasets"] = [_absolute(item, folder) for item in done["datasets"]]
    if isinstance(done.get("storms"), list):
        done["storms"] = [
            {**item, "raster": _absolute(item["raster"], folder)}
            if isinstance(item, dict) and "raster" in item
            else item
            for item in done["storms"]
        ]
    if isinstance(done.get("sources"), list):
        done["sources"] = [
            {**item, "path": _absolute(item["path"], folder)} if isinstance(item, dict) and "path" in item else item
            for item in done["sources"]
        ]
    return done


def _absolute(text: Any, folder: Path) -> Any:
    if not isinstance(text, str) or not text or ':"' in text or Path(text).is_absolute():
        return text
    return str(folder / text)


class _Printer:
    """Prints progress at most once a percent, and every message."""

    def __init__(self, screen: TextIO, quiet: bool) -> None:
        self._screen, self._quiet, self._percent = screen, quiet, -1
        self.error: Optional[FreshetError] = None  # where the run folder could not take it in

    def say(self, text: str) -> None:
        if not self._quiet:
            self._screen.write(text + "\n")

    def event(self, event: Event) -> None:
        values = event.values
        if event.kind is EventKind.PROGRESS:
            percent = int(100 * values["fraction"])
            if percent != self._percent:
                self._percent = percent
                self.say(f"{percent:3d} %  {values['text']}")
        elif event.kind is EventKind.MESSAGE and values.get("level") != "tick":
            self.say(f"{values['level']}: {values['text']}")
        elif event.kind is EventKind.METRIC:
            self.say(
                "  ".join(
                    f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items() if k != "scores"
                )
            )
        elif event.kind is EventKind.ARTIFACT:
            self.say(f"{values['kind']}: {values['path']}")
        elif event.kind is EventKind.FAILED:
            self.error = error_from_dict(values)


def _cancel_on_interrupt(run: RunFolder) -> None:
    """Ctrl-C asks the run to stop, as the button in QGIS does; a second one ends the process at once."""

    def ask(number: int, frame: Any) -> None:
        run.request_cancel()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, ask)


def _keys(kind: type) -> str:
    schema = json_schema(kind)
    lines = ["Keys of the job file:"]
    for name, entry in schema["properties"].items():
        must = " (required)" if name in schema["required"] else ""
        lines.append(f"  {name}{must}: {entry.get('description', '')}")
    return "\n".join(lines).replace("%", "%%")


def _show_models(options: argparse.Namespace) -> int:
    for family in FAMILIES:
        if options.family and options.family not in (family.name, *(p.name for p in family.presets)):
            continue
        sys.stdout.write(
            f"{family.name}: {family.label}. {family.summary}\n    {family.paper} https://doi.org/{family.doi}\n"
        )
        for preset in family.presets:
            sys.stdout.write(f"  preset {preset.name}: {preset.help}\n    {json.dumps(preset.options)}\n")
        if options.family:
            for option in family.options:
                unit = f" [{option.rule.unit}]" if option.rule.unit else ""
                sys.stdout.write(f"  {option.name} = {json.dumps(option.default)}{unit}: {option.rule.help}\n")
    if options.family and not any(options.family in (f.name, *(p.name for p in f.presets)) for f in FAMILIES):
        raise ConfigError(f"There is no model called '{options.family}'", expected=", ".join(f.name for f in FAMILIES))
    return EXIT_DONE


def _show_uses(options: argparse.Namespace) -> int:
    for use in [find_use(options.use)] if options.use else USES:
        sys.stdout.write(f"{use.name}: {use.label}. {use.help}\n  needs: {use.needs}\n  to choose: {use.choose}\n")
        if options.use:
            sys.stdout.write(f"  sets: {json.dumps(use.settings)}\n")
    return EXIT_DONE


def _show_schema(options: argparse.Namespace) -> int:
    sys.stdout.write(json.dumps(json_schema(JOBS[options.of]), indent=2) + "\n")
    return EXIT_DONE
