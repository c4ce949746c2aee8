"""Fixtures of the tests inside QGIS; see tests/qgis_fixture.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "freshet_qgis_fixture", Path(__file__).resolve().parents[1] / "qgis_fixture.py"
)
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)

qgis_app = _shared.qgis_app
project = _shared.project
wait_until = _shared.wait_until
fake_engine = _shared.fake_engine
write_raster = _shared.write_raster
write_dataset_file = _shared.write_dataset_file
