"""Dialog: the engine. Name a Python, or let Freshet make an environment after saying what it fetches; prove either."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

from qgis.PyQt.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from ...plugin.engine_install import BUILDS, EngineInstaller, InstallPlan, install_plan
from ...plugin.settings import load_settings, save_settings
from ..engine_state import EngineState
from ..text import tr
from ..widgets import Notice, PathField, button, narrow, row

_LABELS = {"cpu": "CPU", "cuda": "NVIDIA GPU (CUDA)"}


class EngineDialog(QDialog):
    """Set-up of the engine. Nothing is fetched before the button that says so is pressed."""

    def __init__(self, state: EngineState, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetEngineDialog")
        self.setWindowTitle(tr("Engine of Freshet"))
        self.setMinimumWidth(640)
        self._state = state
        self._installer: Optional[EngineInstaller] = None
        column = QVBoxLayout(self)
        column.addWidget(self._intro())
        self.notice = Notice("freshetEngineNotice")
        column.addWidget(self.notice)
        column.addWidget(self._own())
        column.addWidget(self._managed())
        column.addWidget(self._folders())
        close = button(tr("Close"), "freshetEngineClose", self.accept)
        column.addLayout(row(None, close, stretch=False))
        state.changed.connect(self._show_state)
        self._show_plan()
        self._show_state()

    def use_python(self) -> None:
        """Save the named interpreter (empty: look for one) and prove it."""
        save_settings(dataclasses.replace(load_settings(), engine_python=self.python.path()))
        self._state.prove()

    def save_folder(self) -> None:
        """Save the folder of the runs."""
        save_settings(dataclasses.replace(load_settings(), runs_folder=self.runs_folder.path()))

    def install(self) -> None:
        """Make the managed environment; a second press stops it."""
        if self._installer is not None:
            self._installer.cancel()
            return
        plan = self._plan()
        save_settings(dataclasses.replace(load_settings(), engine_build=plan.build, engine_index=plan.index))
        self._installer = EngineInstaller(plan, self)
        self._installer.progress.connect(self._on_progress)
        self._installer.output.connect(self.output.appendPlainText)
        self._installer.finished.connect(self._on_installed)
        self.install_button.setText(tr("Stop"))
        self.output.setVisible(True)
        self.progress.setVisible(True)
        self._installer.start()

    def release(self) -> None:
        """Stop what is going on and let go of the state."""
        if self._installer is not None:
            self._installer.cancel()
        self._state.changed.disconnect(self._show_state)

    def showEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """As high as its sentences need."""
        super().showEvent(event)
        self.resize(self.width(), max(self.height(), self.layout().heightForWidth(self.width())))

    def _intro(self) -> QLabel:
        label = QLabel(
            tr(
                "Training, prediction and explanation run in a Python of their own, beside QGIS. "
                "Data, maps and series work without it."
            )
        )
        label.setObjectName("freshetEngineIntro")
        label.setWordWrap(True)
        return label

    def _own(self) -> QGroupBox:
        box = QGroupBox(tr("A Python that you have"))
        box.setObjectName("freshetEngineOwn")
        self.python = PathField("freshetEnginePython", tr("Python with the libraries of the engine"))
        self.python.set_path(load_settings().engine_python)
        self.python.edit.setPlaceholderText(tr("empty: Freshet looks for one"))
        self.use_button = button(
            tr("Use and prove"), "freshetEngineUse", self.use_python, tr("Save this Python and let it prove itself.")
        )
        column = QVBoxLayout(box)
        column.addLayout(row(self.python, self.use_button, stretch=False))
        return box

    def _managed(self) -> QGroupBox:
        box = QGroupBox(tr("An environment that Freshet makes"))
        box.setObjectName("freshetEngineManaged")
        self.build = narrow(QComboBox())
        self.build.setObjectName("freshetEngineBuild")
        self.build.setToolTip(
            tr("The build of torch: CPU fits everywhere, CUDA needs an NVIDIA GPU and several GB more.")
        )
        for build in BUILDS:
            self.build.addItem(_LABELS[build], build)
        self.build.setCurrentIndex(max(0, self.build.findData(load_settings().engine_build)))
        self.build.currentIndexChanged.connect(self._show_plan)
        self.index = QLineEdit(load_settings().engine_index)
        self.index.setObjectName("freshetEngineIndex")
        self.index.setPlaceholderText(tr("empty: the index that pip is set to"))
        self.index.setToolTip(
            tr("Where the wanted build (CPU or a CUDA version) lies, as the PyTorch installation page names it.")
        )
        self.index.textChanged.connect(self._show_plan)
        self.plan_text = QLabel()
        self.plan_text.setObjectName("freshetEnginePlan")
        self.plan_text.setWordWrap(True)
        self.plan_problem = Notice("freshetEnginePlanProblem")
        self.install_button = button(
            tr("Fetch and install"), "freshetEngineInstall", self.install, tr("Do what is said above.")
        )
        self.copy_button = button(tr("Copy commands"), "freshetEngineCopy", self._copy, tr("To run them by hand."))
        self.progress = QProgressBar()
        self.progress.setObjectName("freshetEngineProgress")
        self.progress.setVisible(False)
        self.output = QPlainTextEdit()
        self.output.setObjectName("freshetEngineOutput")
        self.output.setReadOnly(True)
        self.output.setMaximumBlockCount(1000)
        self.output.setVisible(False)
        column = QVBoxLayout(box)
        label = QLabel(tr("Build for"))
        label.setBuddy(self.build)
        index_label = QLabel(tr("Package index for torch (optional)"))
        index_label.setBuddy(self.index)
        column.addLayout(row(label, self.build, stretch=False))
        column.addLayout(row(index_label, self.index, stretch=False))
        for widget in (self.plan_text, self.plan_problem):
            column.addWidget(widget)
        column.addLayout(row(self.install_button, self.copy_button))
        column.addWidget(self.progress)
        column.addWidget(self.output)
        return box

    def _folders(self) -> QGroupBox:
        box = QGroupBox(tr("Runs"))
        box.setObjectName("freshetEngineRuns")
        self.runs_folder = PathField("freshetEngineRunsFolder", tr("Folder of the runs"), "folder")
        self.runs_folder.set_path(load_settings().runs_folder)
        self.runs_folder.edit.setPlaceholderText(str(load_settings().runs_path))
        self.runs_folder.edit.editingFinished.connect(self.save_folder)
        self.runs_folder.changed.connect(lambda *_: None if self.runs_folder.edit.hasFocus() else self.save_folder())
        form = QFormLayout(box)
        form.addRow(tr("Kept in"), self.runs_folder)
        return box

    def _plan(self) -> InstallPlan:
        return install_plan(self.build.currentData(), index=self.index.text())

    def _show_plan(self, *_: Any) -> None:
        plan = self._plan()
        self.plan_text.setText(plan.text)
        self.plan_problem.say(plan.problem, "warning")
        self.install_button.setEnabled(not plan.problem)

    def _show_state(self) -> None:
        level = {True: "plain", None: "plain", False: "warning"}[self._state.works]
        self.notice.say(f"{self._state.words}. {self._state.reason}", level)

    def _copy(self) -> None:
        QApplication.clipboard().setText(self._plan().shell_text)

    def _on_progress(self, fraction: float, text: str) -> None:
        self.progress.setValue(int(100 * fraction))
        self.progress.setFormat(f"{text} (%p %)")

    def _on_installed(self, ok: bool, sentence: str) -> None:
        self._installer.deleteLater()
        self._installer = None
        self.install_button.setText(tr("Fetch and install"))
        self.progress.setVisible(False)
        if ok:
            self._state.prove()
        else:
            self.plan_problem.say(sentence, "error")
