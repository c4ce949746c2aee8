"""The page that an explanation leaves."""

from __future__ import annotations

from typing import Any, Optional

from ..contracts.events import Event
from ..contracts.run_folder import RunFolder
from ..inference.evaluate import model_lines
from .asking import seconds_words
from .chart import deletion_figure
from .contributions import Contribution, residual_share
from .explained import Attribution
from .lags import Lags, delays, step_unit
from .page import Page
from .region import influence, top_share
from .results import Case, lower, percent
from .sanity import Sanity


def write_report(
    case: Case, found: Attribution, rows: list[Contribution], lags: Optional[Lags], sane: Optional[Sanity],
    drawn: dict[str, Any], cost: dict[str, Any], run: RunFolder,
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
        asked=_asked(case, found, cost),
        answer=[*_answer(case, found, rows), *_where(case, rows, lags, unit), *_checks(sane)],
        figures=figures,
        tables=[(f"Contributions ({case.units})", (("Variable", "Contribution", "Share of all sizes"), _shares(rows)))],
        assumes=_assumes(case),
    )
    return page.write(run)


def _asked(case: Case, found: Attribution, cost: dict[str, Any]) -> list[tuple[str, str]]:
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in found.facts.items() if not isinstance(value, list)
    )
    spent = f"{found.passes} passes; told before: about {seconds_words(cost['seconds'])}"
    return [
        ("Place", case.place.words), ("Date", case.date), ("Method", case.method.label),
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
