"""The page that a question leaves: what was asked, the answer in words, charts and tables, what to note."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import artifact_event, relative
from ..inference.report import PAGE_STYLE, picture

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]  # head, rows


@dataclass
class Page:
    """``asked`` are lines (name, text); ``answer`` sentences; ``figures`` pairs (title, matplotlib figure or its
    PNG); ``tables`` pairs (title, (head, rows)), numbers as texts; ``assumes`` and ``notes`` sentences.
    """

    title: str
    subtitle: str
    asked: Sequence[tuple[str, str]]
    answer: Sequence[str]
    figures: Sequence[tuple[str, Any]] = ()
    tables: Sequence[tuple[str, Table]] = ()
    assumes: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=list)

    def write(self, run: RunFolder) -> Event:
        """Write ``report.html``, whole or not at all; gives the event that tells of it."""
        parts = [f"<h1>{html.escape(self.title)}</h1>", f'<p class="soft">{html.escape(self.subtitle)}</p>']
        lines = "".join(f"<dt>{html.escape(n)}</dt><dd>{html.escape(t)}</dd>" for n, t in self.asked if t)
        parts.append(f"<h2>What was asked</h2><dl>{lines}</dl>")
        parts += _sentences("Answer", self.answer)
        parts += [f"<h2>{html.escape(title)}</h2>{picture(figure, title)}" for title, figure in self.figures]
        parts += [f"<h2>{html.escape(title)}</h2>{_table(*table)}" for title, table in self.tables]
        parts += _sentences("What this assumes", self.assumes) + _sentences("To be noted", self.notes)
        body = "\n".join(parts)
        write_text(
            run.report_file,
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f"<style>{PAGE_STYLE}</style></head><body>\n{body}\n</body></html>\n",
        )
        return artifact_event(Artifact(kind="report", path=relative(run, run.report_file), title="Report"))


def _sentences(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return [f"<h2>{html.escape(title)}</h2>" + "".join(f"<p>{html.escape(text)}</p>" for text in sentences)]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = "".join(f"<th>{html.escape(str(text))}</th>" for text in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
