"""Making what lies on one clock: a whole plain dataset, or one of several sequences. Ends with finished parts."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.dates import format_step
from ..contracts.errors import DataError
from ..contracts.events import Event
from ..contracts.grid import Grid
from . import space
from .blocks import (
    Budget,
    Files,
    Recipe,
    digest_of,
    fingerprints,
    forget_stream,
    keep_stream,
    make_block,
    make_stream,
    plan_layout,
    stamp,
)
from .clock import Clock, resolve_clock
from .common_grid import one_cell
from .final_mask import SPOTS, final_mask, given_mask
from .gridding import IN_CELLS
from .harmonise import resolve_grid
from .measure import measure
from .parts import VariableParts
from .passes import (
    FillRecipe,
    UpstreamRecipe,
    fill_fingerprint,
    fill_layout,
    fill_series,
    fill_tasks,
    needs_filling,
    upstream_block,
)
from .point_streams import SeriesStream, common_gauges
from .provenance import Checksums, describe, look_at
from .runner import Runner, Task
from .sequences import Sequenced
from .sources import Source, open_source, say_date
from .store_format import check_names
from .streams import Stream, say_dates
from .tally import Seen
from .telling import Meter, Teller
from .terrain_variables import Terrain, terrain_of, upstream_layout
from .variable import Made, Variable

_OPENED, _LOOKED, _READ, _FILLED = 0.03, 0.1, 0.8, 0.9  # shares of the progress bar
_FILL_WORDS = {
    "linear": "linear in time",
    "space": "by inverse distance in space",
    "climatology": "with the climatology",
}


class Maker:
    """Makes one sequence after the other; what they share is kept here: the grid, the step, terrain, checksums."""

    def __init__(self, job: PrepareJob, folder: Path, runner: Runner, teller: Teller) -> None:
        self.job, self.folder, self.runner, self.teller = job, folder, runner, teller
        self.budget = Budget.of(job)
        self.checksums = Checksums(job)
        self.grid: Optional[Grid] = None
        self._terrain: Optional[Terrain] = None
        self._given: Optional[np.ndarray] = None
        self._step: Optional[float] = None

    def make(self, sequence: Sequenced, meter: Meter) -> Iterator[Event]:
        """Yields progress and messages, returns the :class:`Made`."""
        with contextlib.ExitStack() as stack:
            sources = yield from self._open(sequence, stack, meter)
            clock = self._clock(sequence, sources)
            grid = yield from self._grid(sources)
            streams = _streams(sources, grid, clock)
            check_names([stream.name for stream in streams])
            yield from self._tell(sequence, clock, streams)
            variables = yield from self._variables(sequence, streams, meter, stack)
        if self._terrain is not None:
            variables += yield from self._upstream(sequence, variables, meter.part(_FILLED, 1.0))
        ever = [
            (v.info.name, SPOTS if v.info.resampling == IN_CELLS else v.info.role, v.ever)
            for v in variables
            if v.ever is not None and not v.info.static
        ]
        mask = final_mask(self._given, grid, ever)
        gauges, places = common_gauges([stream for stream in streams if isinstance(stream, SeriesStream)], grid)
        for variable in variables:
            if variable.info.gauges:
                _spread(variable, places[variable.info.name], len(gauges))
        return Made(sequence.name, grid, clock, sorted(variables, key=lambda v: v.info.static), gauges, mask)

    def _place(self, sequence: Sequenced, name: str) -> Path:
        """Folder of a variable's parts."""
        base = self.folder / f"sequence {sequence.name}" if sequence.name else self.folder
        return base / name

    def _run(self, tasks: Sequence[Task], seen: Sequence[Seen], names: Sequence[str], meter: Meter) -> Iterator[Event]:
        """Run tasks; the counts of each go to the :class:`Seen` beside it. Yields progress; raises the first fault
        when the tasks that run beside it are finished.
        """
        for done, outcomes in enumerate(self.runner.run(tasks), 1):
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                seen[done - 1].add(outcome.block, outcome.counts)
            yield meter.at(done / len(tasks), f"{names[done - 1]}: {done} of {len(tasks)} blocks")

    def _open(self, sequence: Sequenced, stack: contextlib.ExitStack, meter: Meter) -> Iterator[Event]:
        sources: list[Source] = []
        of = f" of {sequence.name}" if sequence.name else ""
        for number, config in enumerate(sequence.sources):
            yield meter.at(_OPENED * number / len(sequence.sources), f"Opening {config.variable}{of}")
            sources.append(stack.enter_context(open_source(config)))
        looking = meter.part(_OPENED, _LOOKED)
        for number, source in enumerate(sources):
            for done in source.verify():
                yield looking.at(number / len(sources), f"Looking through {source.name}{of}: {done} files")
        return sources

    def _clock(self, sequence: Sequenced, sources: Sequence[Source]) -> Clock:
        clock = resolve_clock(self.job, [source for source in sources if not source.static])
        if self._step is not None and clock.step_seconds != self._step:
            raise DataError(
                f"The sequence '{sequence.name}' has another step than those before it",
                expected=format_step(self._step),
                got=format_step(clock.step_seconds),
                remedy="Give the step of the dataset, or prepare sequences of different steps apart",
            )
        self._step = clock.step_seconds
        return clock

    def _grid(self, sources: Sequence[Source]) -> Iterator[Event]:
        if self.grid is None:
            notes: list[str] = []
            config = self.job.grid
            if config.like or config.extent:
                by_name = {source.name: source for source in sources if source.grid is not None}
                self.grid = resolve_grid(config, by_name)
            else:
                self.grid = one_cell(self.job, sources, notes)
            self._terrain = terrain_of(self.job, self.grid)
            basin = None if self._terrain is None else self._terrain.basin
            self._given = given_mask(self.job, self.grid, notes, basin)
            yield from self.teller.notes(notes)
            if self._terrain is not None:
                yield from self.teller.notes(self._terrain.notes)
                yield from self.teller.warnings(self._terrain.warnings)
        return self.grid

    def _tell(self, sequence: Sequenced, clock: Clock, streams: Sequence[Stream]) -> Iterator[Event]:
        """What was understood, before the work begins."""
        grid, first, last = self.grid, say_date(clock.times[0]), say_date(clock.times[-1])
        before = f"{sequence.name}: " if sequence.name else ""
        what = f"{'grid' if before else 'Grid'} of {grid.columns} x {grid.rows} cells; {clock.steps} steps"
        what += f" of {format_step(clock.step_seconds)}"
        yield from self.teller.notes([f"{before}{what} from {first} to {last}."])
        if self.job.start and first > self.job.start or self.job.end and last[:10] < self.job.end[:10]:
            yield from self.teller.warnings(["The sources share only a part of the period that was asked for."])
        for stream in streams:
            source = stream.source
            yield from self.teller.notes([*source.notes, *stream.notes])
            yield from self.teller.warnings([*source.warnings, *_gaps(source), *stream.warnings])

    def _variables(
        self, sequence: Sequenced, streams: Sequence[Stream], meter: Meter, stack: contextlib.ExitStack
    ) -> Iterator[Event]:
        """All variables from their sources, their gaps filled."""
        mapped = [stream for stream in streams if not isinstance(stream, SeriesStream)]
        files = {stream.name: look_at(stream.source.files()) for stream in streams}
        for stream in mapped:
            yield from self.teller.warnings(stream.survey())
        layouts = [plan_layout(stream, self.budget) for stream in mapped]
        yield from self._check_space(mapped, layouts, sequence)
        recipes = []
        for stream, layout in zip(mapped, layouts):
            marks = fingerprints(stream, files[stream.name])
            parts = VariableParts.begin(self._place(sequence, stream.name), marks, layout)
            mark = digest_of(marks[0], files[stream.name])
            keep_stream(mark, stream)
            stack.callback(forget_stream, mark)
            recipes.append(
                Recipe(
                    stream.config,
                    stream.grid,
                    stream.clock,
                    mark,
                    parts,
                    self.budget.read,
                    stream.marks,
                    stream.variance,
                )  # fmt: skip
            )
        self.runner.check_folder(self.folder)
        seen = [Seen(stream.grid.shape) for stream in mapped]
        yield from self._read(recipes, mapped, files, seen, meter.part(_LOOKED, _READ))
        for stream in mapped:  # what was only found while reading
            yield from self.teller.warnings(stream.source.warnings)
        variables = []
        for number, (stream, recipe) in enumerate(zip(mapped, recipes)):
            variable = Variable(stream.info, recipe.parts, ever=seen[number].ever, fingerprint=recipe.fingerprint)
            share = [_READ + (_FILLED - _READ) * at / len(mapped) for at in (number, number + 1)]
            if stream.clock is not None and needs_filling(stream.config, stream.lacking):
                yield from self._fill(sequence, stream, variable, meter.part(*share))
            variables.append(variable)
        for stream in streams:
            if isinstance(stream, SeriesStream):
                variables.append((yield from self._series(stream)))
        yield from self._describe(streams, variables, files, meter)
        return variables

    def _check_space(self, streams: Sequence[Stream], layouts: Sequence, sequence: Sequenced) -> Iterator[Event]:
        copies = [1 if needs_filling(stream.config, stream.lacking) else 0 for stream in streams]
        needed = space.estimate(list(zip(streams, layouts, copies)), self.budget.read)
        text = space.check(self.job.output, needed)
        yield from self.teller.notes([f"{sequence.name}: {text}" if sequence.name else text])

    def _read(
        self, recipes: Sequence[Recipe], streams: Sequence[Stream], files: dict[str, Files], seen: Sequence[Seen],
        meter: Meter,
    ) -> Iterator[Event]:  # fmt: skip
        """Make the blocks that are not there yet."""
        tasks, owners, there = [], [], 0
        for number, (recipe, stream) in enumerate(zip(recipes, streams)):
            for block in recipe.parts.layout.blocks():
                counts, mark = recipe.parts.done(block), stamp(stream, files[stream.name], block)
                if counts is None or counts["files"] != mark:
                    tasks.append((make_block, (recipe, block, mark)))
                    owners.append(number)
                else:
                    there += 1
                    seen[number].add(block, counts)
        if there:
            total = there + len(tasks)
            yield from self.teller.notes(
                [f"{there} of {total} blocks were there already; the work goes on from there."]
            )
        for number in set(range(len(recipes))).difference(owners):
            yield from self.teller.warnings(_judge(streams[number], seen[number]))
        names = [streams[owner].name for owner in owners]
        for done, event in enumerate(self._run(tasks, [seen[owner] for owner in owners], names, meter), 1):
            yield event
            owner = owners[done - 1]
            if done == len(tasks) or owners[done] != owner:  # its last block: what is wrong with it is told at once
                yield from self.teller.warnings(_judge(streams[owner], seen[owner]))

    def _fill(self, sequence: Sequenced, stream: Stream, variable: Variable, meter: Meter) -> Iterator[Event]:
        config, lacking, clock = stream.config, stream.lacking, stream.clock
        mask = None
        if config.fill == "space":
            mask = variable.ever.mask() if self._given is None else self._given
        layout = fill_layout(config, lacking, variable.parts.layout, self.budget, clock)
        mark = fill_fingerprint(variable.fingerprint, config, lacking, mask)
        target = VariableParts.begin(self._place(sequence, f"{stream.name}.filled"), [mark], layout, flags=True)
        tasks = fill_tasks(
            FillRecipe(variable.parts, target, config.fill, config.fill_limit, lacking, stream.quantity, clock, mask)
        )
        unused = [Seen(stream.grid.shape)] * len(tasks)
        yield from self._run(tasks, unused, [f"Filling {stream.name}"] * len(tasks), meter)
        filled = sum(target.done(block)["filled"] for block in target.layout.blocks())
        yield from self.teller.notes([_say_filled(stream.name, config.fill, filled, int(np.prod(layout.shape)))])
        variable.parts, variable.fingerprint = target, mark
        variable.info = dataclasses.replace(variable.info, fill=_fill_way(config.fill))

    def _upstream(self, sequence: Sequenced, variables: Sequence[Variable], meter: Meter) -> Iterator[Event]:
        """Static maps of the terrain, and the means over what lies upstream."""
        job, terrain, made = self.job, self._terrain, list(self._terrain.statics)
        by_name = {variable.info.name: variable for variable in variables}
        for number, name in enumerate(job.terrain.upstream_of):
            source = by_name[name]
            info, mark = terrain.upstream(source), terrain.fingerprint(source.fingerprint)
            layout = upstream_layout(source.parts.layout, self.budget)
            parts = VariableParts.begin(self._place(sequence, info.name), [mark], layout)
            recipe = UpstreamRecipe(source.parts, parts, job.terrain, self.grid, info.quantity)
            blocks = [block for block in layout.blocks() if parts.done(block) is None]
            tasks = [(upstream_block, (recipe, block)) for block in blocks]
            share = meter.part(number / len(job.terrain.upstream_of), (number + 1) / len(job.terrain.upstream_of))
            seen = Seen(self.grid.shape)
            yield from self._run(tasks, [seen] * len(tasks), [info.name] * len(tasks), share)
            made.append(Variable(info, parts, fingerprint=mark, record=terrain.record(info.name, of=name)))
        return made

    def _series(self, stream: SeriesStream) -> Iterator[Event]:
        """A variable that stays at its gauges."""
        values = stream.series()
        seen = Seen((1, values.shape[1]))
        seen.add_array(values[:, None, :], stream.quantity)
        yield from self.teller.warnings(_judge(stream, seen))
        info, config, flags = stream.info, stream.config, None
        if config.fill == "space":
            yield from self.teller.warnings([f"'{stream.name}': series at gauges are not filled in space."])
        elif needs_filling(config, stream.lacking):
            values, flags = fill_series(values, config, stream.lacking, stream.quantity, stream.clock)
            yield from self.teller.notes([_say_filled(stream.name, config.fill, int(flags.sum()), flags.size)])
            info = dataclasses.replace(info, fill=_fill_way(config.fill))
        return Variable(info, values=values, filled=flags)

    def _describe(
        self, streams: Sequence[Stream], variables: Sequence[Variable], files: dict[str, Files], meter: Meter
    ) -> Iterator[Event]:
        """Errors of interpolation, checksums and the provenance of each variable."""
        by_name = {variable.info.name: variable for variable in variables}
        for stream in streams:
            variable, extra = by_name[stream.name], {}
            if self.job.measure_error:
                found = measure(stream)
                yield from self.teller.notes([found.sentence])
                variable.info = dataclasses.replace(variable.info, error=found.rmse)
                extra["error"] = found.figures
            for done in self.checksums.take(files[stream.name], stream.config.unreadable == "gap"):
                yield meter.at(_FILLED, f"Checksums of {stream.name}: {done} files")
            extra.update(fill=variable.info.fill, fill_limit=stream.config.fill_limit)
            yield from self.teller.notes(self.checksums.notes)
            variable.record = describe(stream, files[stream.name], self.checksums, extra)


def _streams(sources: Sequence[Source], grid: Grid, clock: Clock) -> list[Stream]:
    """Streams in the order of the job, each kriging variance that is asked for after its variable."""
    streams: list[Stream] = []
    for source in sources:
        own = None if source.static else clock
        if source.grid is None and source.gridding == "gauges":
            streams.append(SeriesStream(source, grid, own))
            continue
        streams.append(make_stream(source, grid, own))
        if source.grid is None and source.config.points.variance and streams[-1].gridder.method == "kriging":
            streams.append(make_stream(source, grid, own, variance=True))
    return streams


def _judge(stream: Stream, seen: Seen) -> list[str]:
    conversion = stream.conversion
    converted = conversion.given if conversion.changes else ""
    times = None if stream.clock is None else stream.clock.times
    warnings = seen.judge(stream.name, stream.judged, conversion.units, converted, times, stream.static)
    empty = seen.empty
    if empty:
        has = "has a map" if len(empty) == 1 else "have maps"
        warnings.append(
            f"'{stream.name}': {len(empty)} of {len(times)} steps {has} without a single value: "
            f"{say_dates(times[np.array(empty)])}."
        )
    return warnings


def _gaps(source: Source) -> list[str]:
    if not source.missing_count:
        return []
    are = "date is" if source.missing_count == 1 else "dates are"
    return [f"'{source.name}': {source.missing_count} {are} missing in its record: {say_dates(source.missing)}."]


def _say_filled(name: str, way: str, filled: int, cells: int) -> str:
    words = _FILL_WORDS.get(way, "linear in time, where its calendar has no date")
    return f"'{name}': {filled / max(1, cells):.2%} of the values are filled ({words}); they are marked as filled."


def _spread(variable: Variable, places: np.ndarray, count: int) -> None:
    """Series at a variable's own gauges as series at all gauges of the dataset."""
    for name, missing in (("values", np.nan), ("filled", False)):
        own = getattr(variable, name)
        if own is not None:
            wide = np.full((len(own), count), missing, dtype=own.dtype)
            wide[:, places] = own
            setattr(variable, name, wide)


def _fill_way(way: str) -> str:
    return "linear" if way == "none" else way
