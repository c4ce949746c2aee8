"""The page that an explanation leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from ..contracts.events import Event
from ..contracts.run_folder import RunFolder
from ..inference.evaluate import model_lines
from .asking import seconds_words
from .chart import deletion_figure
from .contributions import Contribution, residual_share
from .ensemble import Spread
from .explained import Attribution
from .lags import Lags, delays, step_unit
from .page import Page, Table
from .region import influence, top_share
from .results import Case, lower, percent
from .sanity import Sanity


def write_report(
    case: Case, found: Attribution, rows: list[Contribution], lags: Optional[Lags], sane: Optional[Sanity],
    spread: Optional[Spread], drawn: dict[str, Any], cost: dict[str, Any], run: RunFolder,
) -> Event:  # fmt: skip
    """Write ``report.html``; gives the event that tells of it."""
    unit = step_unit(case.card.step_seconds)
    titles = {"attribution": "Which variable, where, how many steps back", "lags": "Delay"}
    figures = [(titles[stem], figure) for stem, figure in drawn.items()]
    if sane is not None:
        figures.append(("Is the method to be trusted here?", deletion_figure(sane)))
    page = Page(
        title=f"Why: {lower(case.label)} on {case.date}",
        subtitle=f"{case.place.words[0].upper()}{case.place.words[1:]}; {case.card.title}",
        asked=_asked(case, found, spread, cost),
        answer=[
            *_answer(case, found, rows), *_apart(case, rows, spread), *_where(case, rows, lags, unit), *_checks(sane),
        ],
        figures=figures,
        tables=_tables(case, rows, spread),
        assumes=_assumes(case),
    )  # fmt: skip
    return page.write(run)


def _asked(
    case: Case, found: Attribution, spread: Optional[Spread], cost: dict[str, Any]
) -> list[tuple[str, str]]:  # fmt: skip
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in found.facts.items() if not isinstance(value, list)
    )
    spent = f"{found.passes} passes; told before: about {seconds_words(cost['seconds'])}"
    files = [] if spread is None else [("Models", ", ".join(Path(item["file"]).name for item in spread.members))]
    return [
        *files, ("Place", case.place.words), ("Date", case.date), ("Method", case.method.label),
        ("Compared with", case.against), ("Settings", settings), ("Cost", spent), *model_lines(case.card),
    ]  # fmt: skip


def _answer(case: Case, found: Attribution, rows: list[Contribution]) -> list[str]:
    observed = "" if case.observed is None else f" Observed: {case.observed:.4g}."
    sentences = [
        f"Predicted: {found.prediction:.4g} ({case.units}); {found.baseline_prediction:.4g} with {case.against}."
        + observed
    ]
    strongest = max((row for row in rows if row.attributed), key=lambda row: abs(row.total), default=None)
    if strongest is not None and len(rows) > 1:
        sentences.append(f"Strongest: {strongest.label}, {strongest.total:+.3g} ({case.units}).")
    if case.method.complete:
        share = percent(residual_share(found, rows))
        sentences.append(f"Contributions leave {found.residual:+.2g} unexplained, {share} of what was explained.")
    return sentences


def _apart(case: Case, rows: list[Contribution], spread: Optional[Spread]) -> list[str]:
    """What several models say of each other."""
    if spread is None:
        return []
    sentences = [
        f"That is the mean of {len(spread.members)} models; their predictions lie {spread.prediction:.3g} "
        f"({case.units}) apart, as a standard deviation (spread_*.tif has that of the contributions of each cell)."
    ]
    unsure = [row.label for row in rows if row.attributed and abs(row.total) < spread.totals[row.name]]
    if unsure:
        sentences.append(f"They do not agree on the sign of {', '.join(unsure)}, whose spread is above the mean.")
    if spread.parts is not None and spread.prediction > 0:
        labels = {**{row.name: row.label for row in rows}, "baseline": "the baseline's prediction"}
        most = max((name for name in spread.parts if name != "unexplained"), key=lambda name: spread.parts[name])
        share = 100 * spread.parts[most] / spread.prediction
        sentences.append(f"Most of what sets their predictions apart comes from {labels[most]} ({share:.0f} %).")
    return sentences


def _tables(case: Case, rows: list[Contribution], spread: Optional[Spread]) -> list[tuple[str, Table]]:
    head, body = ["Variable", "Contribution", "Share of all sizes"], [list(line) for line in _shares(rows)]
    if spread is None:
        return [(f"Contributions ({case.units})", (head, body))]
    totals = {row.label: spread.totals[row.name] for row in rows}
    told = [[*line[:2], f"{totals[line[0]]:.3g}", line[2]] for line in body]
    whole = (["Variable", "Contribution", "Spread of the models", "Share of all sizes"], told)
    shown = [row for row in rows if row.attributed]
    lines = [
        [item["model"] or Path(item["file"]).name, f"{item['prediction']:.4g}", f"{item['baseline_prediction']:.4g}",
         *(f"{item['variables'][row.name]:+.3g}" for row in shown)]
        for item in spread.members
    ]  # fmt: skip
    each = (["Model", "Prediction", "Baseline", *(row.label for row in shown)], lines)
    return [(f"Contributions ({case.units})", whole), (f"Each model ({case.units})", each)]


def _where(case: Case, rows: list[Contribution], lags: Optional[Lags], unit: str) -> list[str]:
    sentences = []
    if lags is not None and lags.centre is not None:
        sentences.append(
            f"Most is carried by what came {lags.most} {unit} before; the mean delay is {lags.centre:.1f}."
        )
    found = delays(rows, case.clock, case.card)
    if found is not None:
        whose = "responses to a unit of" if found.responses else "contributions of"
        sentences.append(
            f"delay.tif has for each cell the steps within which half of its {whose} {', '.join(found.labels)} has "
            "come, delay_peak.tif the step of the largest."
        )
    sizes = influence(rows)
    if sizes is not None and sizes.any():
        cells = int(top_share(sizes, case.job.share).sum())
        sentences.append(f"{100 * case.job.share:.4g} % of all contributions come from {cells} cells (region.geojson).")
    return sentences


def _checks(sane: Optional[Sanity]) -> list[str]:
    if sane is None:
        return []
    told, sizes, area = (
        "cannot be told" if value is None else f"{value:+.2f}" for value in (sane.correlation, sane.of_sizes, sane.area)
    )
    return [
        f"Rank correlation with the same method on randomised weights: {told} (of sizes alone: {sizes}). Near 0 the "
        "attribution comes from what the model has learnt, near 1 from the input alone; sizes are always somewhat "
        f"alike, since large inputs count in any model. Area between the deletion curves: {area}; above 0 the most "
        "attributed inputs count more than others."
    ]


def _shares(rows: list[Contribution]) -> list[tuple[str, str, str]]:
    shown = sorted((row for row in rows if row.attributed), key=lambda row: -abs(row.total))
    sizes = [float(abs(row.maps).sum()) for row in shown]
    whole = sum(sizes) or 1.0
    return [(row.label, f"{row.total:+.4g}", f"{100 * size / whole:.1f} %") for row, size in zip(shown, sizes)]


def _assumes(case: Case) -> list[str]:
    return [
        case.method.assumes,
        "A contribution tells what the model makes of an input, not what the input causes in nature.",
        f"It is held against {case.against}; another baseline gives other contributions.",
    ]
