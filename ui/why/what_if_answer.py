"""The answer to a what-if: a sentence on volume and peak, hydrographs, and the files."""

from __future__ import annotations

import json
from typing import Any, Optional

from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from ...core.contracts import DataError, Event, EventKind, RunFolder, WhatIfJob
from ...core.contracts.dates import parse_date
from ...core.contracts.model_card import VariableCard
from ...core.contracts.variables import quantity
from ..text import date_words, number, percent, tr
from ..widgets import Notice, button, narrow, refill, row
from .change_chart import ChangeChart, ChangeData

_FEW_SHOWN = 3  # changes that are named


class WhatIfAnswer(QWidget):
    """Shows an answer, or the dates so far while it is computed; empty for None. Object names begin with ``prefix``."""

    def __init__(self, prefix: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{prefix}Answer")
        self._run: Optional[RunFolder] = None
        self._found: dict[str, Any] = {}
        self._sofar = False
        self.preferred = ""  # how the name of the place to show first ends
        self._asked: Any = None  # place of the question
        self.changes, self.words = (_label(f"{prefix}{name}") for name in ("Changes", "Words"))
        self.place = narrow(QComboBox())
        self.place.setObjectName(f"{prefix}PlaceShown")
        self.place.setToolTip(tr("Whose hydrograph is shown."))
        self.place.currentIndexChanged.connect(lambda *_: self._draw())
        self.chart = ChangeChart(f"{prefix}Chart", 270)
        self.notes = Notice(f"{prefix}Notes")
        self.table_button = button(
            tr("Table"), f"{prefix}Table", lambda: self._open("what_if.csv"), tr("Open the hydrographs (CSV).")
        )
        self.report_button = button(
            tr("Report"), f"{prefix}Report", lambda: self._open("report.html"),
            tr("Open the page with question, answer, maps and what it rests on."),
        )  # fmt: skip
        self._files = QWidget()
        self._files.setLayout(row(self.table_button, self.report_button))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.changes, self.words, self.place, self.chart, self.notes, self._files):
            column.addWidget(part)
        self.show_run(None)

    def expect(self, job: WhatIfJob, preferred: str) -> None:
        """An answer will come; where it is about another place than the one before, that is shown first."""
        asked = (job.x, job.y, job.polygon, job.gauge, preferred)
        if asked != self._asked:
            self._asked, self.preferred = asked, preferred
            self.place.clear()

    def show_run(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run; None clears."""
        found = read_what_if(run) if run is not None else None
        self._run = run if found is not None else None
        self._show(found or {}, sofar=False)

    def show_sofar(self, sofar: dict[str, Any], target: Optional[VariableCard], step_seconds: float) -> None:
        """Show the dates that are there while others are still computed."""
        known = {
            "target_label": (target.label or quantity(target.quantity).label) if target is not None else "",
            "units": target.units if target is not None else "", "step_seconds": step_seconds,
        }  # fmt: skip
        self._run = None
        self._show({**known, **sofar}, sofar=True)

    def take_events(self, events: list[Event], target: Optional[VariableCard], step_seconds: float) -> None:
        """Show the newest picture in what a worker tells; the end of the run is told by its folder."""
        if any(event.kind is EventKind.DONE for event in events):
            return
        pictures = [event.values.get("so_far") for event in events if event.kind is EventKind.PROGRESS]
        pictures = [item for item in pictures if isinstance(item, dict) and item.get("places")]
        if pictures:
            self.show_sofar(pictures[-1], target, step_seconds)

    def shown(self) -> dict[str, Any]:
        """What is shown, as the engine told it; empty for nothing."""
        return self._found

    def _show(self, found: dict[str, Any], sofar: bool) -> None:
        self._found, self._sofar = found, sofar
        places = found.get("places") or []
        before = self.place.currentData()
        refill(self.place, [(item["place"], number_) for number_, item in enumerate(places)])
        if before is None and places:
            self.place.setCurrentIndex(self._first(places))
        for widget in (self.words, self.chart):
            widget.setVisible(bool(places))
        self.place.setVisible(len(places) > 1)
        self._files.setVisible(bool(places) and self._run is not None)
        changes = [str(item) for item in found.get("changes") or []]
        more = len(changes) - _FEW_SHOWN
        shown = "\n".join(changes[:_FEW_SHOWN]) + ("\n" + tr("and {count} more").format(count=more) if more > 0 else "")
        self.changes.setText(shown)
        self.changes.setVisible(bool(changes))
        self.notes.say(" ".join(str(item) for item in found.get("notes") or []), "warning")
        self._draw()

    def _first(self, places: list) -> int:
        """The place that was asked for; it comes after the basin's mean."""
        named = [i for i, item in enumerate(places) if self.preferred and str(item["place"]).endswith(self.preferred)]
        return named[0] if named else len(places) - 1 if len(places) == 2 else 0

    def _draw(self) -> None:
        places, at = self._found.get("places") or [], self.place.currentData()
        if not places:
            self.words.setText("")
            return
        place = places[at if at is not None and at < len(places) else 0]
        self.words.setText(self._all_words(place))
        storm = storm_date(self._found)
        self.chart.show_data(
            ChangeData(
                [parse_date(text) for text in self._found.get("dates", [])],
                list(place.get("before", [])),
                list(place.get("after", [])),
                list(place.get("observed", [])),
                str(self._found.get("target_label", "")),
                str(self._found.get("units", "")),
                float(self._found.get("step_seconds") or 0.0),
                str(place["place"]),
                parse_date(storm) if storm else None,
                tr("storm") if storm else "",
                self._sofar,
            )
        )

    def _all_words(self, place: dict[str, Any]) -> str:
        if self._sofar:
            return tr("First picture: {count} dates so far.").format(count=len(self._found.get("dates", [])))
        parts = (painted_words(self._found.get("painted")), change_words(place, str(self._found.get("units", ""))))
        return " ".join(part for part in parts if part)

    def _open(self, name: str) -> None:
        path = (
            None if self._run is None else self._run.report_file if name == "report.html" else self._run.results / name
        )
        if path is not None and path.is_file():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def read_what_if(run: RunFolder) -> Optional[dict[str, Any]]:
    """``results/what_if.json`` of a run, None where it is missing or broken."""
    try:
        found = json.loads((run.results / "what_if.json").read_text(encoding="utf-8"))
        for date in found["dates"]:
            parse_date(date)
        whole = all({"place", "before", "after"} <= set(item) for item in found["places"])
    except (OSError, ValueError, TypeError, KeyError, DataError):
        return None
    return found if whole and found["places"] else None


def is_storm(run: RunFolder) -> bool:
    """Whether a what-if was asked by painting rain."""
    try:
        return bool(run.job().storms)
    except (AttributeError, OSError, ValueError):
        return False


def wanted_gauge(place: Any) -> str:
    """Name of the gauge that a :class:`PlaceChoice` asks about; empty for other places."""
    return str(place.gauge.currentData() or "") if place.kind() == "gauge" else ""


def storm_date(found: dict[str, Any]) -> str:
    """Date of the painted rain of an answer; empty without."""
    storms = (found.get("job") or {}).get("storms") or []
    return str(storms[0].get("date", "")) if storms else ""


def change_words(place: dict[str, Any], units: str) -> str:
    """Volume or mean, largest change, peak and its date, in two or three short sentences."""
    if place.get("mean_change") is None:
        return tr("Nothing is predicted there.")
    unit = f" {units}" if units and units != "-" else ""
    volume, before = place.get("volume_change_m3"), place.get("volume_before_m3")
    if volume is not None:
        words = tr("Volume {change}").format(change=signed_volume(volume))
        if before:
            words += f" ({_signed_percent(volume / before)})"
        words += "."
    else:
        words = tr("Mean {change}{unit}.").format(change=f"{place['mean_change']:+.3g}", unit=unit)
    words += " " + tr("Largest change {change}{unit} on {date}.").format(
        change=f"{place['largest_change']:+.3g}", unit=unit, date=date_words(place["largest_on"])
    )
    words += " " + _peak_words(place, unit)
    return words + _let_out(place.get("share_of_painted"))


def _let_out(share: Optional[float]) -> str:
    if share is None:
        return ""
    if share < 0:
        return " " + tr("The model lets out less water than without the storm.")
    return " " + tr("The model lets out {share} of the painted water within these dates.").format(share=percent(share))


def painted_words(painted: Optional[dict[str, Any]]) -> str:
    """'Painted: 4.2 million m3.'; empty where that is not known."""
    volume = painted.get("volume_m3") if painted else None
    return tr("Painted: {volume}.").format(volume=volume_words(volume)) if volume is not None else ""


def volume_words(m3: float) -> str:
    """'4.2 million m3'."""
    if abs(m3) >= 1e9:
        return tr("{value} km3").format(value=number(m3 / 1e9, 3))
    if abs(m3) >= 1e6:
        return tr("{value} million m3").format(value=number(m3 / 1e6, 3))
    return tr("{value} m3").format(value=f"{m3:,.0f}".replace(",", " ") if abs(m3) >= 1000 else number(m3, 3))


def signed_volume(m3: float) -> str:
    """The same with a sign."""
    return ("+" if m3 >= 0 else "-") + volume_words(abs(m3))


def _signed_percent(share: float) -> str:
    if abs(share) < 0.001:
        return tr("less than 0.1 %")
    return ("+" if share > 0 else "-") + percent(abs(share))


def _peak_words(place: dict[str, Any], unit: str) -> str:
    before, after = place.get("peak_before"), place.get("peak_after")
    if before is None or after is None:
        return ""
    then, now = date_words(place["peak_before_on"]), date_words(place["peak_after_on"])
    words = tr("Peak {after}{unit} on {now} instead of {before}{unit}").format(
        after=number(after, 3), before=number(before, 3), unit=unit, now=now
    )
    return words + (tr(" on the same date.") if then == now else tr(" on {then}.").format(then=then))


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    return label
