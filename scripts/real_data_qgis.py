"""The main job on real packs, through ``qgis_process``.

``real_data_qgis.py PACK DATA_FOLDER OUT_FOLDER [MINUTES] [SEED]``; PACK is moselle or rhine. The jobs are those of
real_data.py, as parameters of freshet:prepare, train, predict, compare, evaluate and explain, in a throw-away profile
below OUT_FOLDER. Prints the outputs that matter. Needs no library; any Python 3 will do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from real_data import moselle, rhine

ROOT = Path(__file__).resolve().parent.parent
# A cell within each basin whose prediction of the last date is explained.
POINTS = {"moselle": "4051369,2841847 [EPSG:3035]", "rhine": "8.1605,49.2676 [EPSG:4326]"}
_RENAMED = {"time_limit_minutes": "TIME_LIMIT"}


def parameters(job: dict[str, Any]) -> list[str]:
    """A job file's values as ``NAME=value``, as qgis_process takes them; parts of a job stand beside each other."""
    found = []
    for key, value in job.items():
        name = _RENAMED.get(key, key.upper())
        if key in ("training", "split", "model"):
            found += parameters(value)
        elif key == "datasets":
            found += [f"DATASETS={path}" for path in value]
        elif isinstance(value, (list, tuple)) and key != "sources":
            found.append(f"{name}={', '.join(map(str, value))}")
        elif key == "grid":
            found.append(f"GRID_LIKE={value['like']}")
        elif isinstance(value, (dict, list)):
            found.append(f"{name}={json.dumps(value)}")
        else:
            found.append(f"{'DATASET' if key == 'output' else name}={value}")
    return found


class Process:
    """``qgis_process`` with Freshet enabled in a profile of its own."""

    def __init__(self, home: Path) -> None:
        self.program = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
        if self.program is None:
            sys.exit("There is no qgis_process on this machine: run 'make setup' first.")
        for name in ("profile", "plugins", "data", "runtime"):
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        link = home / "plugins" / "freshet"
        if not link.is_symlink():
            link.symlink_to(ROOT)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("XDG_CONFIG_HOME", "PYTHONPATH")},
            "QT_QPA_PLATFORM": "offscreen",
            "QGIS_CUSTOM_CONFIG_PATH": str(home / "profile"),
            "QGIS_PLUGINPATH": str(home / "plugins"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home / "runtime"),
        }
        self._call("plugins", "enable", "freshet")

    def run(self, verb: str, values: list[str]) -> dict[str, Any]:
        """The outputs of ``freshet:verb``; ends the program with the sentence where it fails."""
        begin = time.monotonic()
        done = self._call("--json", "run", f"freshet:{verb}", "--", *values)
        if done.returncode:
            sys.exit(f"freshet:{verb} failed after {time.monotonic() - begin:.0f} s:\n{done.stderr.strip()[-2000:]}")
        print(f"freshet:{verb}: {time.monotonic() - begin:.0f} s", flush=True)
        return json.loads(done.stdout[done.stdout.index("{") :])["results"]

    def _call(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, env=self.environment)


def main(arguments: list[str]) -> int:
    """Run one pack from its files to maps, scores and reasons."""
    if len(arguments) < 3 or arguments[0] not in ("moselle", "rhine"):
        sys.exit(__doc__)
    pack, data, out = arguments[0], Path(arguments[1]).resolve(), Path(arguments[2]).resolve()
    minutes = float(arguments[3]) if len(arguments) > 3 else 15.0
    seed = int(arguments[4]) if len(arguments) > 4 else 1
    if not (data / {"moselle": "mhm_moselle", "rhine": "wflow_rhine"}[pack]).is_dir():
        print(f"The pack of {pack} is not in {data}: nothing to do.")
        return 0
    prepare, train = {"moselle": moselle, "rhine": rhine}[pack](data, out, minutes, seed)
    process, stamp = Process(out / "qgis"), time.strftime("%Y%m%d-%H%M%S")

    def run(verb: str, values: list[str]) -> dict[str, Any]:
        return process.run(verb, [*values, f"RUN_FOLDER={out / f'{pack}-{verb}-{stamp}'}"])

    dataset = run("prepare", parameters(prepare))["DATASET"]
    trained = run("train", parameters(train))
    both = [f"MODEL={trained['MODEL']}", f"DATASET={dataset}"]
    predicted = run("predict", both)
    maps = [f"PREDICTED_MAPS={predicted['PREDICTED']}", f"OBSERVED_MAPS={predicted['OBSERVED']}"]
    found = {"train": trained, "predict": predicted, "compare": run("compare", maps), "evaluate": run("evaluate", both)}
    run("explain", [*both, *_why(pack, trained)])
    for verb, results in found.items():
        print(f"{pack} {verb:9s} NSE {results['NSE']:.4f}  KGE {results['KGE']:.4f}  RMSE {results['RMSE']:.5f}")
    _show_scores(pack, Path(trained["RUN"]))
    return 0


def _why(pack: str, trained: dict[str, Any]) -> list[str]:
    """The last date of the test period at a cell of the basin."""
    scores = json.loads((Path(trained["RUN"]) / "results" / "scores.json").read_text(encoding="utf-8"))
    return [f"DATE={scores['period']['end'][:10]}", f"POINT={POINTS[pack]}", "STEPS=8"]


def _show_scores(pack: str, run: Path) -> None:
    scores = json.loads((run / "results" / "scores.json").read_text(encoding="utf-8"))
    for name in ("model", "persistence", "climatology"):
        pooled, median = scores[name]["pooled"], scores[name]["median_per_cell"]
        print(
            f"{pack} {name:12s} NSE pooled {pooled['nse']:.4f}  median {median['nse']:.4f}  RMSE {pooled['rmse']:.5f}"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
