"""The answer to "Why this prediction?": sentences, bars by variable, the chart by steps back, checks, files."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import QLabel, QVBoxLayout, QWidget

from ...core.contracts import RunFolder
from ...core.contracts.model_card import ModelCard, VariableCard
from ...core.contracts.variables import quantity
from ..attribution import (
    answer_words,
    check_words,
    delay_words,
    draft_words,
    ensemble_words,
    method_words,
    named,
    read_attribution,
    read_columns,
    step_word,
    tells_variables_apart,
    units_of,
)
from ..text import tr
from ..widgets import button, row
from .attribution_charts import BridgeChart, BridgeData, DeletionChart, DeletionData, StepsChart, StepsData

_DELETION = ("share_deleted", "attributed_first", "random_mean", "random_low", "random_high")


class AttributionAnswer(QWidget):
    """Shows an answer, or a draft of one while it is refined; empty for None."""

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetWhyAnswer")
        self._run: Optional[RunFolder] = None
        self.words = _sentence("freshetWhyWords")
        self.bridge = BridgeChart("freshetWhyBridge", 230)
        self.steps = StepsChart("freshetWhySteps", 190)
        self.delay = _sentence("freshetWhyDelay")
        self.method = _sentence("freshetWhyMethodTold")
        self.check = _sentence("freshetWhyCheckTold")
        self.deletion = DeletionChart("freshetWhyDeletion", 170)
        self.table_button = button(
            tr("Table"), "freshetWhyTable", lambda: self._open("attribution.csv"),
            tr("Open the contributions by variable and step back (CSV)."),
        )  # fmt: skip
        self.report_button = button(
            tr("Report"), "freshetWhyReport", lambda: self._open("report.html"),
            tr("Open the page with question, answer, charts and what it rests on."),
        )  # fmt: skip
        self._files = QWidget()
        self._files.setLayout(row(self.table_button, self.report_button))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (
            self.words, self.bridge, self.delay, self.steps, self.check, self.deletion, self.method, self._files,
        ):  # fmt: skip
            column.addWidget(part)
        self.show_run(None)

    def show_run(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run."""
        found = read_attribution(run) if run is not None else None
        self._run = run if found is not None else None
        self.words.setVisible(found is not None)
        apart = found is not None and tells_variables_apart(found)
        self.bridge.setVisible(apart and bool(found["variables"]))
        self._files.setVisible(found is not None)
        if found is None:
            for part in (self.steps, self.delay, self.method, self.check, self.deletion):
                part.setVisible(False)
            return
        units = str(found.get("units", ""))
        self.words.setText(" ".join(part for part in (answer_words(found), ensemble_words(found)) if part))
        self.bridge.show_data(
            BridgeData(
                found["baseline_prediction"],
                found["prediction"],
                named(found, found["variables"]),
                units,
                f"{found.get('target_label') or tr('prediction')} ({units or '-'})",
                found.get("residual", 0.0),
            )
        )
        self._show_steps(run, found, units)
        _say(self.method, method_words(found) if found.get("method") else "")
        _say(self.check, check_words(found))
        self._show_deletion(run, found)
        self.table_button.setEnabled(self._file("attribution.csv").is_file())
        self.report_button.setEnabled(self._file("report.html").is_file())

    def show_draft(
        self, so_far: dict[str, Any], card: Optional[ModelCard], target: Optional[VariableCard], apart: bool = True
    ) -> None:
        """Show the totals that an unfinished run has told of; bars only where variables are told ``apart``."""
        self._run = None
        units = target.units if target is not None else ""
        labels = {item.name: _label(item) for item in (*card.inputs, *card.static, *card.ahead)} if card else {}
        variables = so_far.get("variables") or {}
        start, end = float(so_far["baseline_prediction"]), float(so_far["prediction"])
        self.words.setText(draft_words(so_far, units_of({"units": units})))
        self.words.setVisible(True)
        self.bridge.setVisible(apart and bool(variables))
        label = f"{(target.label or target.name) if target is not None else tr('prediction')} ({units or '-'})"
        left = end - start - sum(variables.values())
        parts = named({"labels": labels}, variables)
        self.bridge.show_data(BridgeData(start, end, parts, units, label, left, draft=True))
        for part in (self.steps, self.delay, self.method, self.check, self.deletion, self._files):
            part.setVisible(False)

    def _show_steps(self, run: RunFolder, found: dict[str, Any], units: str) -> None:
        by_step = named(found, {name: values for name, values in (found.get("by_step_back") or {}).items() if values})
        lags = read_columns(run, "lags.csv")
        told = isinstance(found.get("delay"), dict) or "delay" not in found  # else steps are not told apart
        self.steps.setVisible(bool(by_step) and told)
        _say(self.delay, delay_words(found, lags))
        if not by_step:
            return
        most = found["delay"].get("most") if isinstance(found.get("delay"), dict) else None
        self.steps.show_data(
            StepsData(
                by_step, found.get("steps_back") or [], units, step_word(found), most,
                lags.get("step_back", []), lags.get("cumulative_share", []),
            )
        )  # fmt: skip

    def _show_deletion(self, run: RunFolder, found: dict[str, Any]) -> None:
        columns = read_columns(run, "deletion.csv") if isinstance(found.get("check"), dict) else {}
        whole = all(columns.get(name) for name in _DELETION)
        self.deletion.setVisible(whole)
        if whole:
            self.deletion.show_data(DeletionData(*(columns[name] for name in _DELETION)))

    def _file(self, name: str) -> Any:
        return (self._run.results / name) if name != "report.html" else self._run.report_file

    def _open(self, name: str) -> None:
        if self._run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._file(name))))


def _label(variable: VariableCard) -> str:
    known = quantity(variable.quantity)
    return variable.label or (known.label if known.name != "other" else variable.name)


def _sentence(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    return label


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))
