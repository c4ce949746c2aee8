"""Makes the pictures of README and help from what ``make demo`` and the drive through QGIS leave under build/."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {
    "maps.png": "build/demo/maps.png",
    "why.png": "build/demo/runs/explain/results/attribution.png",
    "new-dataset.png": "build/gui/02_new_dataset.png",
    "model.png": "build/gui/05_model.png",
    "runs.png": "build/gui/06_training.png",
    "maps-in-qgis.png": "build/gui/09_played.png",
    "storm.png": "build/gui/12_storm.png",
    "why-in-qgis.png": "build/gui/11_why.png",
}
WIDTH_PX = 1200


def main() -> int:
    """Scale each picture to the width of a page; what is missing is named."""
    target = ROOT / "docs" / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    missing = [source for source in PICTURES.values() if not (ROOT / source).exists()]
    if missing:
        sys.stderr.write(f"Missing: {', '.join(missing)}. Run 'make demo' and 'make test' first.\n")
        return 2
    for name, source in PICTURES.items():
        picture = Image.open(ROOT / source).convert("RGB")
        height = round(picture.height * WIDTH_PX / picture.width)
        # All colours are kept: a palette would draw steps into the ramps.
        picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS).save(target / name, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
