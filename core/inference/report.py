"""One self-contained report.html: what was asked, scores beside persistence and climatology, maps, series, loss."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from ..contracts.files import write_text
from ..contracts.grid import Grid
from .figures import Look, loss_figure, map_figure, series_figure, three_panels

_COLUMNS = (
    ("RMSE", "pooled", "rmse"),
    ("MAE", "pooled", "mae"),
    ("Bias", "pooled", "bias"),
    ("NSE pooled", "pooled", "nse"),
    ("NSE, median of cells", "median_per_cell", "nse"),
    ("KGE (2009) pooled", "pooled", "kge"),
    ("KGE, median of cells", "median_per_cell", "kge"),
)
_WITH_UNIT = {"rmse", "mae", "bias"}
PAGE_STYLE = """ body{font:15px/1.5 system-ui,"DejaVu
Sans",sans-serif;color:#1a1a1a;background:#fff;max-width:74em;margin:2.2em auto;padding:0 1.5em}
h1{font-size:1.55em;margin:0 0 .1em}h2{font-size:1.08em;margin:2em 0 .4em}p{margin:.3em 0;max-width:52em}
.soft{color:#555}table{border-collapse:collapse;margin:.5em 0}td+td{white-space:nowrap}th,td{padding:.3em
.9em;text-align:right;border-bottom:1px solid #e3e3e0}
th{font-weight:600;vertical-align:bottom}th:first-child,td:first-child{text-align:left;padding-left:0}tr.model
td{font-weight:600} dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em;margin:.5em
0}dt{color:#555}dd{margin:0}
img{max-width:100%;height:auto;display:block}.row{display:flex;flex-wrap:wrap;gap:2em;align-items:flex-start}
"""


@dataclass
class Report:
    """What a report shows. Arrays are in the target's unit with NaN for missing; what is None is left out.

    ``asked``: (name, text) lines. ``scores``: the content of scores.json. ``maps``: predicted and observed (H, W) of
    ``date``. ``series``: panels of :func:`figures.series_figure` over ``dates``. ``history``: METRIC values of a
    training.
    """

    title: str
    subtitle: str
    asked: Sequence[tuple[str, str]]
    look: Look
    grid: Grid
    step_seconds: float
    scores: Optional[dict[str, Any]] = None
    date: str = ""
    predicted: Optional[np.ndarray] = None
    observed: Optional[np.ndarray] = None
    cell: Optional[tuple[int, int]] = None
    dates: Optional[np.ndarray] = None
    series: Sequence[tuple[str, np.ndarray, Optional[np.ndarray], Optional[np.ndarray]]] = ()
    nse_map: Optional[np.ndarray] = None
    history: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = field(default_factory=list)


def write_report(path: Union[str, Path], report: Report) -> None:
    """Write the report as one HTML file with the pictures inside, whole or not at all."""
    parts = [
        f"<h1>{html.escape(report.title)}</h1>",
        f'<p class="soft">{html.escape(report.subtitle)}</p>' if report.subtitle else "",
        _asked(report),
        _scores(report),
        _maps(report),
        _series(report),
        _beside(report),
        _notes(report),
    ]
    body = "\n".join(part for part in parts if part)
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(report.title)}</title>'
        f"<style>{PAGE_STYLE}</style></head><body>\n{body}\n</body></html>\n",
    )


def score_table(scores: dict[str, Any], units: str) -> str:
    """HTML table: model, persistence, climatology; one block a lead where there are several."""
    head = "".join(
        f"<th>{html.escape(title)}{f' ({html.escape(units)})' if key in _WITH_UNIT else ''}</th>"
        for title, _, key in _COLUMNS
    )
    rows = []
    leads = scores.get("by_lead") or [scores]
    for lead in leads:
        words = f", {lead['lead_steps']} step{'' if lead['lead_steps'] == 1 else 's'} ahead" if len(leads) > 1 else ""
        rows.append(_row(f"Model{words}", lead["model"], "model"))
        for name in ("interpolation", "persistence", "climatology"):
            if name in lead:
                rows.append(_row(f"{name.capitalize()}: {lead[name].get('note', '')}", lead[name], ""))
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def number(value: Optional[float]) -> str:
    """A score as text: four significant digits, a dash where it is not defined."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.3f}" if 0.001 <= abs(value) < 100 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def skill_words(scores: dict[str, Any]) -> str:
    """The skill against both baselines, as a sentence."""
    held = scores.get("skill", {})
    names = [(f"against_{name}", name) for name in ("interpolation", "persistence", "climatology")]
    parts = [f"{number(held[key])} against {name}" for key, name in names if held.get(key) is not None]
    return (
        f"Skill (1 - MSE / MSE of the baseline): {', '.join(parts)}. Below 0 the baseline is better." if parts else ""
    )


def _row(name: str, held: dict[str, Any], style: str) -> str:
    cells = "".join(f"<td>{number(held[group].get(key))}</td>" for _, group, key in _COLUMNS)
    return f'<tr class="{style}"><td>{html.escape(name)}</td>{cells}</tr>'


def _asked(report: Report) -> str:
    lines = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in report.asked if text)
    return f"<h2>What was asked</h2><dl>{lines}</dl>"


def _scores(report: Report) -> str:
    if report.scores is None:
        text = "The dataset holds no observed value of the target on these dates, so nothing can be judged."
        return f'<h2>Scores</h2><p class="soft">{text}</p>'
    text = "".join(
        f'<p class="soft">{html.escape(line)}</p>'
        for line in (skill_words(report.scores), report.scores.get("note", ""))
        if line
    )
    return f"<h2>Scores</h2>{score_table(report.scores, report.look.units)}{text}"


def _maps(report: Report) -> str:
    if report.predicted is None:
        return ""
    figure = three_panels(
        report.predicted,
        report.observed,
        report.grid,
        report.look,
        title=f"{report.look.label}, {report.date}",
        cell=report.cell,
    )
    which = "The date has the median error of all dates." if report.observed is not None else ""
    circle = "The circle marks the cell of the series below." if report.cell is not None else ""
    image = picture(figure, f"Maps of {report.look.label}, {report.date}")
    return f'<h2>Maps</h2>{image}<p class="soft">{which} {circle}</p>'


def _series(report: Report) -> str:
    if report.dates is None or not report.series:
        return ""
    marked = np.datetime64(report.date, "s") if report.date else None
    look = report.look
    figure = series_figure(
        report.dates, report.series, label=look.label, units=look.units, step_seconds=report.step_seconds, marked=marked
    )
    words = '<p class="soft">The red line marks the date of the maps.</p>' if report.date else ""
    return f"<h2>Series</h2>{picture(figure, 'Series')}{words}"


def _beside(report: Report) -> str:
    pictures = []
    if report.nse_map is not None and np.isfinite(report.nse_map).any():
        figure = map_figure(
            report.nse_map,
            report.grid,
            title="NSE per cell",
            legend="1 perfect, 0 no better than the cell's mean (-)",
            ramp="BrBG",
            minimum=-1.0,
            maximum=1.0,
        )
        pictures.append(f"<div><h2>Where it is good</h2>{picture(figure, 'NSE per cell')}</div>")
    if report.history:
        pictures.append(f"<div><h2>Training</h2>{picture(loss_figure(report.history), 'Loss by epoch')}</div>")
    return f'<div class="row">{"".join(pictures)}</div>' if pictures else ""


def _notes(report: Report) -> str:
    if not report.notes:
        return ""
    return "<h2>To be noted</h2>" + "".join(f"<p>{html.escape(note)}</p>" for note in report.notes)


def picture(figure: Any, words: str) -> str:
    """The figure, or the PNG file at a path that it was saved to, as an HTML image that lies inside the page; ``words``
    stand for it where it cannot be seen.
    """
    if isinstance(figure, Path):
        content = figure.read_bytes()
        width = int.from_bytes(content[16:20], "big") * 92 // 130
    else:
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=130, format="png")
        content, width = buffer.getvalue(), int(figure.get_figwidth() * 92)
    data = base64.b64encode(content).decode("ascii")
    return f'<img alt="{html.escape(words)}" width="{width}" src="data:image/png;base64,{data}">'
