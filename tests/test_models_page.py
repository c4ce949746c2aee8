"""The page of the models is made from the catalogue, and is the one that the catalogue gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from freshet.core.contracts.models import FAMILIES

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_the_one_that_the_catalogue_gives(tmp_path):
    made = tmp_path / "models.md"
    subprocess.run([sys.executable, str(ROOT / "scripts/models_page.py"), str(made)], check=True)
    text = made.read_text(encoding="utf-8")
    assert (ROOT / "docs/models.md").read_text(encoding="utf-8") == text, "run scripts/models_page.py again"
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings == [item.name for item in FAMILIES]
    assert "doi.org/)" not in text
