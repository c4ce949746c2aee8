"""The combo box of model families: grouped by what they are, each followed by its presets; those that cannot predict
the target are left out, and a sentence says why and what works.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any, Optional

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

from ..core.contracts.families import attention, gaps, geometry, recurrent, spatiotemporal
from ..core.contracts.models import FAMILIES, Family, Preset, family
from .text import tr
from .widgets import narrow

GROUPS = (
    ("recurrent", "Maps through time"),
    ("attention", "With attention"),
    ("geometry", "With geometry"),
    ("gaps", "For maps with gaps"),
    ("gauges", "From maps to gauges"),
    ("lumped", "Every place on its own"),
    ("conserving", "Mass-conserving"),
    ("simple", "Simple, to compare with"),
)
_MODULES = (
    ("recurrent", (*recurrent.FAMILIES, *spatiotemporal.FAMILIES)),
    ("attention", attention.FAMILIES),
    ("geometry", geometry.FAMILIES),
    ("gaps", gaps.FAMILIES),
)
_INDENT = "   "


def group_of(found: Family) -> str:
    """Which of the groups a family belongs to, by what it declares; without memory or learning it is a simple one."""
    if found.learns != "gradient":
        return "simple"
    if found.mass_input:
        return "conserving"
    if "maps" not in found.gives:
        return "gauges"
    if found.one_cell:
        return "lumped"
    return next((name for name, members in _MODULES if found in members), "simple")


class FamilyCombo(QComboBox):
    """Families and presets of the catalogue; the data of an entry is its name, of a heading None."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        narrow(self)
        self.setMaxVisibleItems(24)
        self.setToolTip(tr("Model family, or one of its presets; every option can still be changed."))
        for key, title in GROUPS:
            members = [item for item in FAMILIES if group_of(item) == key]
            if members:
                self._add_heading(tr(title))
            for item in members:
                self._add(_INDENT + item.label, item.name, item.summary)
                for preset in item.presets:
                    self._add(2 * _INDENT + preset.label, preset.name, preset.help)
        self.setCurrentIndex(self.findData(FAMILIES[0].name))

    @property
    def family(self) -> Family:
        """The chosen family, or that of the chosen preset."""
        return family(self.currentData())

    @property
    def preset(self) -> Optional[Preset]:
        """The chosen preset, or None."""
        name = self.currentData()
        return next((preset for preset in self.family.presets if preset.name == name), None)

    def choose(self, name: str) -> None:
        """Choose a family or a preset by its name; nothing where there is none of this name."""
        if self.findData(name) >= 0:
            self.setCurrentIndex(self.findData(name))

    def follow(self, at_gauges: bool) -> None:
        """Leave out the families that cannot predict series at gauges, or else maps, and headings of nothing."""
        wanted = "gauges" if at_gauges else "maps"
        heading, left = 0, 0
        for row in range(self.count()):
            if self.itemData(row) is None:
                self.view().setRowHidden(heading, left == 0)
                heading, left = row, 0
                continue
            fits = wanted in family(self.itemData(row)).gives
            self.model().item(row).setEnabled(fits)  # the keys pass over what is disabled
            self.view().setRowHidden(row, not fits)
            left += fits
        self.view().setRowHidden(heading, left == 0)

    def paintEvent(self, _event: Any) -> None:  # noqa: N802 (Qt's name)
        """The chosen name without the indent that it has in the list."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = option.currentText.strip()
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def _add(self, text: str, name: str, tip: str) -> None:
        self.addItem(text, name)
        self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def _add_heading(self, text: str) -> None:
        self.addItem(text)
        item = self.model().item(self.count() - 1)
        item.setEnabled(False)
        font = item.font()
        font.setBold(True)
        item.setFont(font)


def fault_words(found: Family, label: str, at_gauges: bool) -> str:
    """Why a family cannot predict the target and what works; empty where it can."""
    wanted = "gauges" if at_gauges else "maps"
    if wanted in found.gives:
        return ""
    what = tr("a series at gauges") if at_gauges else tr("a map")
    return tr("{family} cannot predict {label}, which is {what}. What works: {fitting}.").format(
        family=found.label,
        label=label,
        what=what,
        fitting="; ".join(item.label for item in FAMILIES if wanted in item.gives),
    )


def fit_words(label: str, at_gauges: bool) -> str:
    """Why some families are left out; empty where all can be chosen."""
    wanted = "gauges" if at_gauges else "maps"
    count = sum(wanted not in item.gives for item in FAMILIES)
    if not count:
        return ""
    text = (
        tr("{label} is a series at gauges: {count} families that predict maps alone are left out.")
        if at_gauges
        else tr("{label} is a map: {count} families that predict series at gauges alone are left out.")
    )
    return text.format(label=label, count=count)


def about_words(found: Family, preset: Optional[Preset] = None, options: Optional[dict[str, Any]] = None) -> str:
    """One paragraph on a family, as HTML: what it is, its paper with a link, its preset, and what it is bound to."""
    cited = escape(short_citation(found.paper))
    link = f"<a href='https://doi.org/{escape(found.doi, quote=True)}'>{cited}</a>" if found.doi else cited
    parts = [f"{escape(found.summary)} {link}."]
    if preset is not None:
        parts.append(f"<i>{escape(preset.label)}</i>: {escape(preset.help)}")
    if bound_to_grid(found, options or {}):
        parts.append(tr("A trained model is bound to its grid: it predicts on grids of the same size alone."))
    if found.learns == "at once":
        parts.append(tr("Fitted in one pass: epochs, batch and learning rate do not count."))
    elif found.learns == "nothing":
        parts.append(tr("It learns nothing: what stands below of training does not count."))
    return " ".join(parts)


def bound_to_grid(found: Family, options: dict[str, Any]) -> bool:
    """Whether a trained model fits grids of one size alone, by its family or by an option that gives each cell weights
    of its own.
    """
    return not found.any_grid or options.get("reading") == "connected" or bool(options.get("per_cell"))


def short_citation(paper: str) -> str:
    """'Shi et al. (2015)', 'Patil and Stieglitz (2014)' from the whole reference."""
    year = re.search(r"\(\d{4}\)", paper)
    authors = paper[: year.start()] if year else paper
    more = "et al" in authors
    parts = [part.strip() for part in authors.replace("et al.", "").split(",")]
    surnames = [part for part in parts if part and not re.fullmatch(r"(?:\w\.[- ]?)+", part)]
    second = tr(" and {name}").format(name=surnames[1]) if surnames[1:] else ""
    rest = " et al." if more or len(surnames) > 2 else second
    return f"{surnames[0] if surnames else ''}{rest} {year.group(0) if year else ''}".strip()
