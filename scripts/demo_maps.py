"""Second half of the demo, run by QGIS's own Python without a screen: results as layers, a project to open, a picture
of the maps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import conftest  # noqa: E402, F401  (registers the checkout under the name freshet)
from qgis.core import (  # noqa: E402
    QgsApplication,
    QgsProject,
    QgsSimpleLineSymbolLayer,
    QgsTemporalNavigationObject,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor  # noqa: E402


def main(folder: Path) -> int:
    """Build the project and the picture in ``folder``."""
    application = QgsApplication([], True)
    application.initQgis()
    from freshet.core.contracts import RunFolder
    from freshet.core.contracts.model_card import read_card
    from freshet.plugin.layers import KIND_PROPERTY, add_run_results
    from freshet.plugin.map_layout import Panel, add_maps_page, export_png
    from freshet.plugin.temporal import TemporalBands

    project = QgsProject.instance()
    controller = QgsTemporalNavigationObject()
    bands = TemporalBands(controller=controller, project=project)
    predict, explain = RunFolder(folder / "runs" / "predict"), RunFolder(folder / "runs" / "explain")
    date = explain.header()["job"]["date"]
    add_run_results(explain, project, temporal=bands)
    add_run_results(predict, project, temporal=bands)
    by_kind = {}
    for layer in project.mapLayers().values():
        by_kind.setdefault(layer.customProperty(KIND_PROPERTY), []).append(layer)
    show_date(bands, [by_kind[kind][0] for kind in ("observed", "predicted", "delta")], date)
    rain = next(layer for layer in by_kind["attribution"] if layer.name().startswith("Precipitation"))
    bands_of_rain = json.loads(rain.customProperty("freshet/dates"))
    rain.renderer().setBand(len(bands_of_rain))
    scores = json.loads((folder / "runs" / "train" / "results" / "scores.json").read_text(encoding="utf-8"))
    pooled = {name: scores[name]["pooled"]["nse"] for name in ("model", "persistence", "climatology")}
    card = read_card(folder / "runs" / "train" / "results" / "model.safetensors")
    subtitle = (
        f"ConvLSTM from precipitation, temperature and PET of the last {card.window} days. "
        f"Test period: NSE {pooled['model']:.2f} "
        f"(climatology {pooled['climatology']:.2f}, persistence of 1 day {pooled['persistence']:.2f})"
    )
    outline = basin_outline(folder / "files" / "basin.geojson")
    project.addMapLayer(outline)
    page = add_maps_page(
        project,
        "Freshet: maps of one date",
        f"Soil moisture, demo basin, {date}",
        subtitle,
        [
            Panel("Observed", by_kind["observed"][:1], over=[outline]),
            Panel("Predicted", by_kind["predicted"][:1], "same range for all dates", over=[outline]),
            Panel("Delta: predicted - observed", by_kind["delta"][:1], "blue: too wet   red: too dry", over=[outline]),
            Panel(
                "Why one cell: rain of that day",
                [rain],
                "green: raised the prediction   brown: lowered it",
                over=[outline],
            ),
        ],
    )
    export_png(page, folder / "maps.png")
    if not project.write(str(folder / "freshet-demo.qgz")):
        sys.stderr.write("The project could not be written.\n")
        return 1
    print(f"{len(project.mapLayers())} layers, {controller.totalFrameCount()} frames on the time axis", flush=True)
    project.clear()
    application.exitQgis()
    return 0


def basin_outline(path: Path):
    """The basin's polygon as a thin line."""
    layer = QgsVectorLayer(str(path), "Basin", "ogr")
    layer.renderer().symbol().changeSymbolLayer(0, QgsSimpleLineSymbolLayer(QColor("#404040"), 0.2))
    return layer


def show_date(bands, layers, date: str) -> None:
    """Put layers on the band of one date."""
    for layer in layers:
        dates = json.loads(layer.customProperty("freshet/dates"))
        layer.renderer().setBand(dates.index(date) + 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
