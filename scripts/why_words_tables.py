"""Tables and numbers of the pages on why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NAMES = {
    "pre": "rain", "tavg": "temperature", "pet": "PET", "mean_sm": "mean soil moisture", "streaminput": "runoff",
    "elevation": "elevation", "slope": "slope", "land_cover": "land cover", "season": "season",
}  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]) + "\n"


def wrapped(text: str, width: int = 120) -> str:
    """Paragraphs and list items in lines of at most ``width``; headings, tables and pictures as they are."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip()):
        lines, items = block.splitlines(), []
        for line in lines:
            if line.startswith(("|", "#", "![")) or not items or re.match(r"(- |\d+\. )", line):
                items.append([line])
            elif items[-1][0].startswith(("|", "#", "![")):
                items.append([line])
            else:
                items[-1].append(line)
        blocks.append("\n".join(_filled(item, width) for item in items))
    return "\n\n".join(blocks) + "\n"


def _filled(lines: Sequence[str], width: int) -> str:
    if lines[0].startswith(("|", "#", "![")):
        return lines[0]
    mark = re.match(r"(- |\d+\. )?", lines[0]).group(0)
    words = " ".join(line.strip() for line in lines)
    return textwrap.fill(
        words, width, subsequent_indent=" " * len(mark), break_long_words=False, break_on_hyphens=False
    )  # fmt: skip


def name_of(variable: str) -> str:
    """A variable for people."""
    return NAMES.get(variable, variable)


def listed(items: Iterable[str]) -> str:
    """'a, b and c'."""
    found = list(items)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def contributions(answers: Mapping[str, Any], columns: Mapping[str, str], digits: int) -> str:
    """One line a variable, one column an answer, with the spread of several models where there is one."""
    names = list(dict.fromkeys(name for key in columns for name in answers[key]["variables"]))
    rows = [["compared with", *(_plain(answers[key]["baseline_prediction"], digits) for key in columns)]]
    for name in names:
        rows.append([name_of(name), *(_signed(answers[key], name, digits) for key in columns)])
    rows.append(["**predicted**", *(_predicted(answers[key], digits) for key in columns)])
    rows.append(["observed", *(_plain(answers[key]["observed"], digits) for key in columns)])
    return table(["", *columns.values()], rows)


def shares(answer: Mapping[str, Any]) -> str:
    """Shares of contribution by season."""
    names = list(answer["labels"])
    return table(
        ["season", *(name_of(name) for name in names)],
        [[season, *(f"{100 * held[name]:.0f} %" for name in names)] for season, held in answer["by_season"].items()],
    )


def importance(answer: Mapping[str, Any], digits: int) -> str:
    """Rise in RMSE with its interval, the largest first."""
    rows = [
        [item["label"], _plain(item["rmse_rise"], digits),
         f"{_plain(item['rmse_rise_low'], digits)} to {_plain(item['rmse_rise_high'], digits)}", item["matters"]]
        for item in sorted(answer["items"], key=lambda item: -(item["rmse_rise"] or 0.0))
    ]  # fmt: skip
    head = ["shuffled", f"rise in RMSE ({answer['units']})", f"{100 * answer['level']:.0f} % interval", "matters"]
    return table(head, rows)


def probes(answers: Mapping[str, Any], names: Sequence[str]) -> str:
    """The best state of each probe beside its references."""
    rows = []
    for name in names:
        answer = answers[f"probe-{name}"]
        best = next(layer for layer in answer["layers"] if layer["chosen"])
        top = max(answer["layers"], key=lambda layer: layer["r"])
        where = f"{best['layer']} {best['state']}".strip()
        best_seen = "" if top is best else f"{top['r']:.2f} ({top['layer']} {top['state']})".replace(" )", ")")
        rows.append([f"{answer['label']} (`{name}`)", where, f"{best['r']:.2f}", best_seen, f"{best['nse']:.2f}",
                     f"{best['shuffled_r']:+.2f}", _reference(answer)])  # fmt: skip
    head = ("looked for", "state, chosen on the dates fitted on", "r", "best state in hindsight", "NSE",
            "r, shuffled in time", "r of a plain spatial mean")  # fmt: skip
    return table(head, rows)


def _reference(answer: Mapping[str, Any]) -> str:
    known = {name: value for name, value in answer["references"].items() if value is not None}
    if not known:
        return ""
    name = max(known, key=lambda key: abs(known[key]))
    return f"{known[name]:+.2f} ({'of itself' if name == 'own' else name_of(name)})"


def _predicted(answer: Mapping[str, Any], digits: int) -> str:
    text = f"**{answer['prediction']:.{digits}f}**"
    return text if not answer.get("ensemble") else f"{text} ± {answer['ensemble']['spread_of_prediction']:.{digits}f}"


def _signed(answer: Mapping[str, Any], name: str, digits: int) -> str:
    if name not in answer["variables"]:
        return ""
    text = f"{round(answer['variables'][name], digits) + 0.0:+.{digits}f}"
    return text if not answer.get("ensemble") else f"{text} ± {answer['ensemble']['spread'][name]:.{digits}f}"


def _plain(value: Any, digits: int) -> str:
    return "" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero
