"""What every page is: a scrolling column that fits into a narrow dock, with one sentence for when it is empty."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QFrame, QScrollArea, QSizePolicy, QSpacerItem, QVBoxLayout, QWidget

from ..widgets import Notice


class Page(QScrollArea):
    """Base of the pages. ``body`` is the column to add to; ``empty`` says what is missing and the one next step."""

    name = "page"

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        title = self.name.capitalize()
        self.setObjectName(f"freshet{title}Page")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        inner = QWidget()
        inner.setObjectName(f"freshet{title}Body")
        self.body = QVBoxLayout(inner)
        self.body.setContentsMargins(6, 6, 6, 6)
        self.body.setSpacing(6)
        self.empty = Notice(f"freshet{title}Empty")
        self.body.addWidget(self.empty)
        self.setWidget(inner)

    def close_column(self) -> None:
        """Keep the column at the top where nothing in it wants to grow; call it when everything is in."""
        self.body.addItem(QSpacerItem(0, 0, QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Expanding))

    def release(self) -> None:
        """Let go of what outlives the page (map tools, connections); called once, before it is deleted."""
