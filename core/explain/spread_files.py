"""How far several models lie apart: a map a variable, and a table of the models."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence

import numpy as np

from ..contracts.events import Artifact, Event
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import artifact_event
from ..inference.geotiff import write_map
from .contributions import Contribution, range_limit
from .ensemble import Spread
from .results import Case, lower, write_table

RAMP = "YlOrRd"


def write_spread(case: Case, rows: Sequence[Contribution], spread: Spread, run: RunFolder) -> Iterator[Event]:
    """``results/members.csv``, and ``spread_<variable>.tif`` where cells are told apart: the standard deviation over
    the models of the contribution of each cell, all steps together, all on one range from 0.
    """
    yield write_table(case, run, "members.csv", members_table(rows, spread), "Contributions of each model")
    shown = [
        dataclasses.replace(row, maps=spread.maps[row.name][None], static=True, file_name=_file_name(row))
        for row in rows
        if row.attributed and row.on_map
    ]
    if not shown:
        return
    limit = range_limit(shown)
    for row, of in zip(shown, (row for row in rows if row.attributed and row.on_map)):
        title = f"{row.label}: spread of its contribution to {lower(case.label)} on {case.date}"
        values = np.where(~case.mask & (row.maps[0] == 0), np.nan, row.maps[0])
        write_map(run.results / row.file_name, values, case.grid, units=case.units, label=title)
        yield artifact_event(
            Artifact(
                kind="spread", path=f"results/{row.file_name}", title=f"{title} ({case.units})", variable=row.name,
                units=case.units, ramp=RAMP, minimum=0.0, maximum=limit, step_seconds=case.card.step_seconds,
                note=_note(case, of, spread), group=case.group,
            )
        )  # fmt: skip


def members_table(rows: Sequence[Contribution], spread: Spread) -> str:
    """CSV text: a line a model with its file, prediction, prediction of the baseline, and contribution of each
    variable; then their mean and standard deviation.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [row.name for row in rows]
    writer.writerow(["model", "file", "prediction", "baseline_prediction", *names])
    lines = [
        [item["prediction"], item["baseline_prediction"], *(item["variables"][name] for name in names)]
        for item in spread.members
    ]
    for item, line in zip(spread.members, lines):
        writer.writerow([item["model"], item["file"], *(repr(float(value)) for value in line)])
    writer.writerow(["mean", "", *(repr(float(value)) for value in np.mean(lines, axis=0))])
    writer.writerow(["spread", "", *(repr(float(value)) for value in np.std(lines, axis=0, ddof=1))])
    return text.getvalue()


def _file_name(row: Contribution) -> str:
    return f"spread_{row.file_name.removeprefix('attribution_')}"


def _note(case: Case, row: Contribution, spread: Spread) -> str:
    steps = "" if row.static else ", all steps together"
    return (
        f"Standard deviation over {len(spread.members)} models of the contribution of each cell{steps}. Where it "
        f"reaches the contribution itself the models do not agree. Of all cells together: {row.total:+.3g} \u00b1 "
        f"{spread.totals[row.name]:.2g} ({case.units})."
    )
