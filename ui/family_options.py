"""The options of the chosen family in a fold, made anew for each family."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QFormLayout, QHBoxLayout, QWidget

from ..core.contracts.models import Family
from .forms import Form, family_fields
from .text import tr
from .widgets import Fold


class FamilyOptions(QWidget):
    """``show_family`` gives the forms of the common and of the advanced options."""

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._column = QHBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._fold: Optional[Fold] = None

    def show_family(self, found: Family) -> tuple[Form, Form]:
        """Forms with the defaults of ``found``; those of another family are thrown away."""
        opened = self._fold is not None and self._fold.toggle.isChecked()
        if self._fold is not None:
            self._column.removeWidget(self._fold)
            self._fold.deleteLater()
        common = Form(family_fields(found), "freshetModelOptions", "common")
        more = Form(family_fields(found), "freshetModelOptions", "advanced")
        more.setObjectName("freshetModelOptionsMore")
        inner = QWidget()
        rows = QFormLayout(inner)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow(common)
        rows.addRow(more)
        self._fold = Fold(tr("Options of the model"), inner, "freshetModelOptionsFold", opened)
        self._column.addWidget(self._fold)
        self._fold.setVisible(bool(found.options))
        common.changed.connect(self.changed)
        more.changed.connect(self.changed)
        return common, more
