"""How well the states tell a variable, beside the plain spatial mean and the shuffled control."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QWidget

from ...core.contracts import RunFolder
from ..text import number, tr
from .question_answer import QuestionAnswer, read_facts, small
from .question_charts import ProbeChart, ProbeData

TABLES = (("probe.csv", "by layer"), ("probe_series.csv", "series that the probe reads"))
_NEEDED = ("layers", "label", "reference", "best")


class ProbeAnswer(QuestionAnswer):
    """Bars of r by state; ``layers`` are the names that a person can choose among the next time."""

    def __init__(self, prefix: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(prefix, TABLES, parent)
        self.layers: list[str] = []
        self.chart = ProbeChart(f"{prefix}Chart", 150)
        self.add(self.chart)

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run; None clears."""
        found = read_facts(run, "probe.json", _NEEDED)
        self.layers = list(dict.fromkeys(row["layer"] for row in found["layers"])) if found else []
        if run is None or found is None:
            self.show_run(None)
            return
        self.show_run(run, probe_words(found), probe_doubts(found))
        data = probe_data(found)
        self.chart.show_bars(data, len(data.names), 78)


def state_name(row: dict[str, Any]) -> str:
    """A layer and which of its states."""
    return f"{row['layer']} {row['state']}".strip()


def probe_data(found: dict[str, Any]) -> ProbeData:
    """The bars in the order of the layers."""
    rows = found["layers"]
    return ProbeData(
        [state_name(row) for row in rows],
        [row["r"] for row in rows],
        [(row["shuffled_r_low"], row["shuffled_r_high"]) for row in rows],
        found["reference"],
        next((place for place, row in enumerate(rows) if row["chosen"]), -1),
    )


def beats(found: dict[str, Any]) -> tuple[Optional[bool], Optional[bool]]:
    """Whether the shown probe beats the plain spatial mean, and the best of its shuffled controls; None where that is
    not known.
    """
    best = next((row for row in found["layers"] if row["chosen"]), None)
    if best is None or best["r"] is None:
        return None, None
    told, high = found["reference"], best["shuffled_r_high"]
    return (None if told is None else best["r"] > abs(told)), (None if high is None else best["r"] > high)


def probe_words(found: dict[str, Any]) -> str:
    """The answer in sentences: what it is, and whether it beats both references."""
    best = next((row for row in found["layers"] if row["chosen"]), None)
    label = small(str(found["label"]))
    if best is None or best["r"] is None:
        return tr("No r of {label} can be given on these dates: it does not vary.").format(label=label)
    words = tr("{state} tells {label} with r {r} on dates kept apart").format(
        state=state_name(best), label=label, r=_r(best["r"])
    )
    if found["reference"] is not None:
        words += tr("; the plain spatial mean of {what} has {r}").format(
            what=_reference_words(found), r=_r(found["reference"])
        )
    if best["shuffled_r"] is not None:
        words += tr("; states shuffled in time have {r}").format(r=_r(best["shuffled_r"]))
    return words + ". " + _verdict(*beats(found))


def _r(value: float) -> str:
    """A correlation: two decimals tell enough."""
    return f"{value + 0.0:.2f}"


def _verdict(mean: Optional[bool], control: Optional[bool]) -> str:
    if mean and control:
        return tr("So the probe beats both: the memory holds more of it than a plain mean or chance.")
    if control and mean is None:
        return tr("So the probe beats the control; there is no plain mean to compare it with.")
    if control:
        return tr("So the probe beats chance but not the plain mean, which needs no model.")
    if control is None:
        return tr("The control has no value, so nothing can be said of chance.")
    return tr("So the probe does not beat the shuffled control: the memory is not shown to hold it.")


def _reference_words(found: dict[str, Any]) -> str:
    references = found.get("references", {})
    if references.get("own") is not None:
        return small(str(found["label"]))
    name = next((name for name, value in references.items() if value == found["reference"]), "")
    return name or tr("an input")


def probe_doubts(found: dict[str, Any]) -> list[str]:
    """What the engine noted, and a probe that is right in r and wrong in size."""
    doubts = [str(note) for note in found.get("notes", [])]
    best = next((row for row in found["layers"] if row["chosen"]), None)
    if best is not None and best["r"] is not None and best["r"] > 0.3 and (best["nse"] or 0.0) < 0:
        doubts.append(
            tr("It follows the ups and downs (r) but not the size: its NSE is {nse}.").format(
                nse=number(best["nse"], 3)
            )
        )
    return doubts
