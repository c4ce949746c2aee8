"""What Freshet remembers between two starts of QGIS: one dataclass, saved field by field."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QStandardPaths

GROUP = "freshet"


@dataclass(frozen=True)
class Settings:
    """The settings of a person.

    ``engine_python`` is an interpreter that the person named (empty: Freshet looks for one); ``runs_folder`` is where
    runs are kept (empty: the data folder of the person); ``device`` is offered first in dialogs; ``engine_build`` is
    the torch build that the managed environment takes ("cpu" or "cuda") and ``engine_index`` the package index where
    that build lies (empty: the one that pip is set to); ``add_results`` adds the maps of a run to the project once it
    is done.
    """

    engine_python: str = ""
    runs_folder: str = ""
    device: str = "auto"
    threads: int = 0
    engine_build: str = "cpu"
    add_results: bool = True
    engine_index: str = ""

    @property
    def runs_path(self) -> Path:
        """The folder that holds the runs; it need not exist yet."""
        return Path(self.runs_folder) if self.runs_folder else data_folder() / "runs"


def data_folder() -> Path:
    """The folder for what Freshet keeps for this person: runs and the managed engine.

    It depends neither on the profile nor on the program, so that QGIS and ``qgis_process`` share it, and it is short,
    since a torch environment needs a short base path on Windows.
    """
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(base) / "freshet"


def load_settings() -> Settings:
    """The saved settings; what was never saved, or cannot be read, has its default."""
    store = QgsSettings()
    return Settings(**{item.name: _read(store, item) for item in dataclasses.fields(Settings)})


def save_settings(settings: Settings) -> None:
    """Save every field under the group ``freshet``."""
    store = QgsSettings()
    for item in dataclasses.fields(settings):
        store.setValue(f"{GROUP}/{item.name}", getattr(settings, item.name))


def _read(store: QgsSettings, item: Any) -> Any:
    kind = type(item.default)
    try:
        return store.value(f"{GROUP}/{item.name}", item.default, type=kind)
    except TypeError:  # a value of another kind was written there by hand
        return item.default
