"""What the panels of questions about a whole model have in common."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QFormLayout, QLabel, QWidget

from ...core.contracts import DataError, FreshetError
from ...core.contracts.dates import format_step
from ...plugin.datasets import check_length
from ...plugin.fitting import check_gauges
from ..text import tr
from ..widgets import Fold
from .context import Asked, WhyContext
from .panel import Panel


class QuestionPanel(Panel):
    """A form of labelled rows, a fold for what is seldom asked, and the refusals that all of these questions share."""

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self.prefix = f"freshetWhy{self.name}"
        self.rows = QFormLayout()
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.column.addLayout(self.rows)

    def add_row(self, label: str, widget: QWidget, tip: str = "") -> None:
        """A labelled row."""
        made = QLabel(label)
        made.setObjectName(f"{widget.objectName()}_label")
        made.setBuddy(widget)
        if tip:
            made.setToolTip(tip)
            widget.setToolTip(tip)
        self.rows.addRow(made, widget)

    def add_fold(self, title: str, inner: QWidget) -> Fold:
        """What is seldom asked, under a heading that opens it."""
        fold = Fold(title, inner, f"{self.prefix}Further")
        self.column.addWidget(fold)
        return fold

    def refusal(self) -> Optional[FreshetError]:
        """Why the chosen model and dataset cannot be asked this; shown at once."""
        try:
            self.check(self.context.asked())
        except FreshetError as error:
            return error
        return None

    def check(self, asked: Asked) -> None:
        """Raise the :class:`FreshetError` family for what cannot be asked of ``asked``."""
        if asked.card is None or asked.summary is None:
            return
        card, summary = asked.card, asked.summary
        known = {item.name for item in summary.variables}
        missing = [item.name for item in (*card.inputs, *card.static, *card.ahead) if item.name not in known]
        if missing:
            raise DataError(
                tr("The dataset '{name}' lacks what the model reads").format(name=summary.name),
                expected=", ".join(missing),
                got=", ".join(item.name for item in summary.variables),
                remedy=tr("Choose a dataset with these variables, or another model"),
            )
        check_length(summary, card.window)
        check_gauges(card, summary)


def values_without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """``values`` without the fields that a job does not have."""
    return {key: value for key, value in values.items() if key not in names}


def step_name(seconds: Optional[float]) -> str:
    """What a step back is called on an axis."""
    words = format_step(seconds) if seconds else ""
    if not words:
        return tr("steps")
    return {"1 day": tr("days"), "1 hour": tr("hours")}.get(words, tr("steps of {step}").format(step=words))
