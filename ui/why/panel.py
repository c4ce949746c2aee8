"""A question of the page Why: what it asks, with what, and how its answer looks."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QVBoxLayout, QWidget

from ...core.contracts import Config, ConfigError, Event, FreshetError, RunFolder, RunState
from ..text import tr
from .context import WhyContext


class Panel(QWidget):
    """Base of the questions. The page shows one at a time, submits its job as ``verb``, and hands over what comes back.

    ``name`` is part of object names (freshetWhy<Name>...) and the key of the question; ``stays`` asks the worker that
    keeps model and dataset loaded; ``layers_text`` is the button that adds the layers of an answer, empty for none.
    Subclasses fill ``self.column``.
    """

    verb: str = ""
    name: str = ""
    stays: bool = False
    layers_text: str = ""

    changed = pyqtSignal()  # something was put in: what the page said of the question before no longer holds
    wanted = pyqtSignal()  # ask now, as a press of the button would, and give up an earlier question not yet answered
    said = pyqtSignal(str, str)  # sentence and level (plain, warning, error) for the page's notice; empty takes it away
    questionWanted = pyqtSignal(str)  # name of another question to go to

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"freshetWhy{self.name}Panel")
        self.context = context
        self._warmed: Any = None  # model, dataset and sequence that the staying worker was told to load
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(6)

    def common(self) -> dict[str, Any]:
        """What all questions share, for a job. Raises :class:`ConfigError` where no model is chosen."""
        common = self.context.common()
        if not common["model"]:
            raise ConfigError(tr("No model is chosen"), remedy=tr("Train one, or choose a saved model file"))
        return common

    def warm(self) -> None:
        """Let the worker that stays load model and dataset before the first question comes from the map."""
        common = self.context.common()
        wanted = (common["model"], common["dataset"], common["sequence"])
        if wanted == self._warmed or not (common["model"] and common["dataset"]) or self.refusal() is not None:
            return
        try:
            self.context.runs.warm(*wanted)
        except FreshetError as error:
            self.said.emit(str(error), "error")
            return
        self._warmed = wanted

    @classmethod
    def title(cls) -> str:
        """The question, as the list shows it."""
        raise NotImplementedError

    def button_text(self) -> str:
        """What the button that asks says."""
        raise NotImplementedError

    def button_tip(self) -> str:
        """Its sentence of help."""
        return ""

    def job(self) -> Config:
        """The question as put; raises :class:`FreshetError` with the sentence to show."""
        raise NotImplementedError

    def run_title(self, job: Config) -> str:
        """What its run is called."""
        return self.title()

    def refusal(self) -> Optional[FreshetError]:
        """Why the chosen model or dataset cannot be asked this; shown at once, and nothing is submitted."""
        return None

    def follow(self) -> None:
        """Model, dataset, target or lead changed."""

    def on_submitted(self, run: RunFolder, job: Config) -> None:
        """The question was submitted."""

    def on_events(self, run: RunFolder, events: list[Event]) -> None:
        """What the worker tells of a question that was asked here, while it works."""

    def on_ended(self, run: RunFolder, state: RunState) -> None:
        """A question that was asked here is over; also one that was given up for a newer one."""

    def answered(self, run: RunFolder) -> bool:
        """Whether a finished run of the verb is an answer to this question."""
        return True

    def answer(self) -> QWidget:
        """The widget that shows an answer, made once."""
        raise NotImplementedError

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run; None clears."""
        raise NotImplementedError

    def layers_at_once(self, run: RunFolder) -> bool:
        """Whether the layers of a fresh answer go onto the map without the button."""
        return False

    def leave(self) -> None:
        """Another question, or another page, comes to the front: give the map back."""

    def release(self) -> None:
        """Give map tools back and take marks away; called once, before the page is deleted."""
        self.leave()
