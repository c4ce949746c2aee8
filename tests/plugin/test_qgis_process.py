"""The main job through the real ``qgis_process``, from layers to maps, scores and reasons, in a throw-away profile."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from osgeo import gdal

_spec = importlib.util.spec_from_file_location(
    "faults_in_qgis", Path(__file__).resolve().parents[1] / "faults" / "in_qgis.py"
)
in_qgis = importlib.util.module_from_spec(_spec)
sys.modules["faults_in_qgis"] = in_qgis
_spec.loader.exec_module(in_qgis)
bad_input = in_qgis.bad_input
BY_NAME = {fault.name: fault for fault in bad_input.FAULTS}

ROOT = Path(__file__).resolve().parents[2]
# On Debian the plain name is a wrapper script that fails.
PROGRAM = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
DAYS, ROWS, COLUMNS, WINDOW = 100, 6, 5, 4
TRAINING = {"EPOCHS": 2, "BATCH": 8, "LEARNING_RATE": 0.02, "THREADS": 1, "DEVICE": "cpu"}


class QgisProcess:
    """``qgis_process`` with Freshet enabled, in a profile below ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in ("profile", "plugins", "data", "runtime"):
            (home / name).mkdir(mode=0o700)
        (home / "plugins" / "freshet").symlink_to(ROOT)
        left_out = ("XDG_CONFIG_HOME", "FRESHET_PYTHON", "PYTHONPATH")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in left_out},
            "QT_QPA_PLATFORM": "offscreen",
            "QGIS_CUSTOM_CONFIG_PATH": str(home / "profile"),
            "QGIS_PLUGINPATH": str(home / "plugins"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home / "runtime"),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        self.call("plugins", "enable", "freshet")

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [PROGRAM, *arguments], capture_output=True, text=True, env=self.environment, timeout=300, cwd=self.home
        )

    def run(self, verb: str, **values: object) -> subprocess.CompletedProcess:
        """``freshet:verb`` with its parameters; a list repeats its parameter."""
        given = [
            f"{name}={item}"
            for name, value in values.items()
            for item in (value if isinstance(value, list) else [value])
        ]
        return self.call("--json", "run", f"freshet:{verb}", "--", *given)

    def results(self, verb: str, **values: object) -> dict:
        done = self.run(verb, **values)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout[done.stdout.index("{") :])["results"]


@pytest.fixture(scope="module")
def home(qgis_app, tmp_path_factory):
    return tmp_path_factory.mktemp("qgis_process")


@pytest.fixture(scope="module")
def process(home):
    if PROGRAM is None:
        pytest.skip("there is no qgis_process on this machine")
    in_qgis.engine_python()
    return QgisProcess(home)


def _write(path: Path, values: np.ndarray) -> str:
    """A multi-band GeoTIFF with a date in each band's description; one band has no date."""
    out = gdal.GetDriverByName("GTiff").Create(str(path), COLUMNS, ROWS, len(values), gdal.GDT_Float32)
    out.SetGeoTransform((4_000_000, 1000, 0, 3_000_000, 0, -1000))
    from osgeo import osr

    crs = osr.SpatialReference()
    crs.ImportFromEPSG(3035)
    out.SetProjection(crs.ExportToWkt())
    for number, single in enumerate(values):
        band = out.GetRasterBand(number + 1)
        band.SetNoDataValue(-9999.0)
        if len(values) > 1:
            band.SetDescription(str(np.datetime64("1995-01-01") + number))
        band.WriteArray(single)
    out.FlushCache()
    del out
    return str(path)


def _read(path: str) -> np.ndarray:
    source = gdal.Open(path)
    values = source.ReadAsArray().astype(float)
    values[values == source.GetRasterBand(1).GetNoDataValue()] = np.nan
    return values


def _nse(predicted: np.ndarray, observed: np.ndarray) -> float:
    both = np.isfinite(predicted) & np.isfinite(observed)
    p, o = predicted[both], observed[both]
    return float(1 - ((p - o) ** 2).sum() / ((o - o.mean()) ** 2).sum())


@pytest.fixture(scope="module")
def prepared(process, home):
    """A basin whose soil gains a part of the rain and keeps 80 % of itself a day."""
    rng = np.random.default_rng(4)
    rain = rng.gamma(0.5, 8.0, (DAYS, 1, 1)) * rng.uniform(0.5, 1.5, (1, ROWS, COLUMNS))
    soil = np.zeros_like(rain)
    for day in range(1, DAYS):
        soil[day] = np.clip(0.8 * soil[day - 1] + 0.01 * rain[day], 0, 1)
    height = np.linspace(100, 900, ROWS * COLUMNS).reshape(1, ROWS, COLUMNS)
    values = {
        "NAME": "Small basin",
        "INPUT_LAYERS": [_write(home / "rain.tif", rain)],
        "TARGET_LAYER": _write(home / "soil_moisture.tif", soil),
        "STATIC_LAYERS": [_write(home / "dem.tif", height)],
        "DATASET": str(home / "basin.nc"),
    }
    return process.results("prepare", **values), soil


@pytest.fixture(scope="module")
def trained(process, prepared, home):
    values = {"DATASETS": [prepared[0]["DATASET"]], "TARGET": "soil_moisture", "INPUTS": "rain", "STATIC": "dem"}
    own = {**values, "WINDOW": WINDOW, "WARM_UP": 0, "OPTIONS": '{"hidden": [4]}', "RUN_FOLDER": str(home / "train")}
    return process.results("train", **own, **{**TRAINING, "EPOCHS": 12})


@pytest.fixture(scope="module")
def predicted(process, prepared, trained, home):
    values = {"MODEL": trained["MODEL"], "DATASET": prepared[0]["DATASET"], "START": "1995-03-20", "END": "1995-04-08"}
    return process.results("predict", **values, RUN_FOLDER=str(home / "predict"))


def test_prepare_writes_the_values_of_the_layers(prepared, home):
    results, soil = prepared
    assert results["DATASET"] == str(home / "basin.nc")
    stored = _read(f'NETCDF:"{results["DATASET"]}":soil_moisture')
    np.testing.assert_allclose(stored, soil, atol=1e-6)


def test_train_saves_a_model_and_says_how_good_its_maps_are(trained):
    assert Path(trained["MODEL"]).is_file() and Path(trained["REPORT"]).is_file()
    predicted, observed = _read(trained["PREDICTED"]), _read(trained["OBSERVED"])
    assert predicted.shape == observed.shape == (DAYS // 5, ROWS, COLUMNS)
    assert trained["NSE"] == pytest.approx(_nse(predicted, observed), abs=1e-3)
    assert trained["NSE"] > 0.0, "better than the mean"


def test_predict_gives_dated_maps_and_delta_is_predicted_minus_observed(predicted, prepared):
    maps, observed, delta = (_read(predicted[name]) for name in ("PREDICTED", "OBSERVED", "DELTA"))
    assert maps.shape == (20, ROWS, COLUMNS)
    np.testing.assert_allclose(delta, maps - observed, atol=1e-6)
    first = int((np.datetime64("1995-03-20") - np.datetime64("1995-01-01")).astype(int))
    np.testing.assert_allclose(observed, prepared[1][first : first + 20], atol=1e-6)
    assert gdal.Open(predicted["PREDICTED"]).GetRasterBand(1).GetDescription() == "1995-03-20"
    assert predicted["NSE"] == pytest.approx(_nse(maps, observed), abs=1e-3)


def test_evaluate_finds_the_scores_of_the_prediction(process, prepared, trained, predicted, home):
    values = {"MODEL": trained["MODEL"], "DATASET": prepared[0]["DATASET"], "START": "1995-03-20", "END": "1995-04-08"}
    found = process.results("evaluate", **values, RUN_FOLDER=str(home / "evaluate"))
    assert found["NSE"] == pytest.approx(predicted["NSE"], abs=1e-4)
    assert any(path.endswith("score_nse.tif") for path in found["MAPS"])


def test_compare_of_two_series_finds_the_same_difference(process, predicted, home):
    values = {"PREDICTED_MAPS": predicted["PREDICTED"], "OBSERVED_MAPS": predicted["OBSERVED"]}
    found = process.results("compare", **values, RUN_FOLDER=str(home / "compare"))
    assert found["NSE"] == pytest.approx(predicted["NSE"], abs=1e-4)
    np.testing.assert_allclose(_read(found["DELTA"]), _read(predicted["DELTA"]), atol=1e-6)


def test_explain_splits_a_prediction_among_rain_and_days(process, prepared, trained, home):
    values = {
        "MODEL": trained["MODEL"],
        "DATASET": prepared[0]["DATASET"],
        "DATE": "1995-03-25",
        "POINT": "4001500,2998500",
    }
    found = process.results("explain", **values, RUN_FOLDER=str(home / "explain"))
    rain = next(path for path in found["MAPS"] if path.endswith("attribution_rain.tif"))
    maps = _read(rain)
    assert maps.shape == (WINDOW, ROWS, COLUMNS)
    assert gdal.Open(rain).GetRasterBand(WINDOW).GetDescription() == "1995-03-25"
    said = json.loads((home / "explain" / "results" / "attribution.json").read_text())
    assert np.nansum(maps) == pytest.approx(said["variables"]["rain"], abs=1e-4)
    explained = said["baseline_prediction"] + sum(said["variables"].values()) + said["residual"]
    assert explained == pytest.approx(said["prediction"], abs=1e-4)


def test_finetune_goes_on_with_a_saved_model(process, prepared, trained, home):
    values = {"MODEL": trained["MODEL"], "DATASETS": [prepared[0]["DATASET"]], **TRAINING}
    found = process.results("finetune", **values, RUN_FOLDER=str(home / "finetune"))
    assert Path(found["MODEL"]).is_file() and Path(found["MODEL"]) != Path(trained["MODEL"])
    assert found["NSE"] == pytest.approx(_nse(_read(found["PREDICTED"]), _read(found["OBSERVED"])), abs=1e-3)


def test_tune_keeps_the_better_of_two_trials(process, prepared, home):
    own = {
        "DATASETS": [prepared[0]["DATASET"]], "TARGET": "soil_moisture", "INPUTS": "rain", "WINDOW": WINDOW,
        "WARM_UP": 0,
        "OPTIONS": '{"hidden": [2]}', "TRIALS": 2, "SPACE": '{"training.learning_rate": [0.001, 0.05]}',
    }  # fmt: skip
    found = process.results("tune", **own, **{**TRAINING, "EPOCHS": 1}, RUN_FOLDER=str(home / "tune"))
    assert Path(found["MODEL"]).is_file() and np.isfinite(found["NSE"])


@pytest.fixture(scope="module")
def gauged(process, folder, home):
    """A training to two gauges, of discharge and of the mean store beside it."""
    own = {
        "DATASETS": [str(folder / "gauged.nc")], "TARGET": "flow", "INPUTS": "rain", "ALSO": "store", "WINDOW": WINDOW,
        "WARM_UP": 0, "LEADS": 2, "FAMILY": "cnn-lstm", "RUN_THROUGH": "false",
        "OPTIONS": '{"channels": [4], "hidden_size": 6, "layers": 1}',
    }  # fmt: skip
    return process.results("train", **own, **{**TRAINING, "EPOCHS": 8}, RUN_FOLDER=str(home / "gauged"))


def _rows(path: str, gauge: str, lead: int = 0) -> dict:
    with open(path, encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if (row["gauge"], row["lead_steps"]) == (gauge, str(lead))]
    return {row["date"]: (float(row["predicted"]), float(row["observed"])) for row in rows}


def test_a_training_to_gauges_gives_its_series_and_its_gauges_with_scores(gauged, folder):
    assert Path(gauged["MODEL"]).is_file() and Path(gauged["REPORT"]).is_file() and gauged["MAPS"] == []
    assert "PREDICTED" not in gauged, "a model of gauges has no maps"
    points = {item["properties"]["id"]: item["properties"] for item in json.loads(_text(gauged["GAUGES"]))["features"]}
    assert set(points) == {"upper", "outlet"}
    store = _read(f'NETCDF:"{folder / "gauged.nc"}":store').mean(axis=(1, 2))
    for gauge, scores in points.items():
        rows = _rows(gauged["SERIES"], gauge)
        assert len(rows) > 8 and rows.keys() != _rows(gauged["SERIES"], gauge, 1).keys(), (
            "the second lead is a day later"
        )
        predicted, observed = (np.array([pair[k] for pair in rows.values()]) for k in (0, 1))
        assert scores["nse"] == pytest.approx(_nse(predicted, observed), abs=1e-3)
        first = int((np.datetime64(next(iter(rows))) - np.datetime64("2001-02-27")).astype(int))
        np.testing.assert_allclose(observed, store[first : first + len(observed)], rtol=1e-4)
    further = Path(gauged["SERIES"]).parent / "store" / "series.csv"
    assert _rows(str(further), "upper").keys() == _rows(gauged["SERIES"], "upper").keys()


def test_a_model_of_gauges_predicts_and_is_judged_as_at_its_training(process, gauged, folder, home):
    values = {"MODEL": gauged["MODEL"], "DATASET": str(folder / "gauged.nc")}
    found = process.results("predict", **values, RUN_FOLDER=str(home / "gauged_predict"))
    assert _text(found["SERIES"]) == _text(gauged["SERIES"]) and _text(found["GAUGES"]) == _text(gauged["GAUGES"])
    judged = process.results("evaluate", **values, RUN_FOLDER=str(home / "gauged_evaluate"))
    assert judged["NSE"] == pytest.approx(gauged["NSE"], abs=1e-6) and Path(judged["SERIES"]).is_file()


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(process, tmp_path_factory):
    return in_qgis.make_files(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", [
        "the target among the inputs", "no CRS in a raster", "an altered model", "a model of maps asked for gauges",
        "a window shorter than the model needs", "a model of other gauges",
    ],
)  # fmt: skip
def test_bad_input_ends_with_a_sentence_and_a_status(process, folder, tmp_path, name):
    fault = BY_NAME[name]
    done = process.run(fault.verb, **bad_input.parameters_of(fault, folder), RUN_FOLDER=str(tmp_path / "run"))
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert [word for word in fault.words if word not in said] == [], said
    assert bad_input.half_written(folder) == bad_input.half_written(tmp_path) == []


def test_moselle_goes_through_from_its_netcdf_file_to_scores(process, tmp_path):
    """Ninety days, a short window and one epoch: that the real files go through, not how well the model does."""
    pack = ROOT.parent / "shared" / "data" / "mhm_moselle"
    if not pack.is_dir():
        pytest.skip("the data pack 'mhm_moselle' is not beside the checkout (shared/data)")
    file = pack / "mhm_moselle_4km_1990_1993.nc"
    rows = [("pre", "precipitation", "input"), ("tavg", "temperature", "input"), ("sm_l1", "soil_moisture", "target")]
    sources = [{"variable": v, "layer": v, "quantity": q, "role": r, "path": str(file)} for v, q, r in rows]
    period = {"START": "1990-05-01", "END": "1990-07-29", "GRID_LIKE": "sm_l1"}
    dataset = process.results("prepare", SOURCES=json.dumps(sources), **period, DATASET=str(tmp_path / "moselle.nc"))
    soil = gdal.Open(f'NETCDF:"{file}":sm_l1')
    first = int((np.datetime64("1990-05-01") - np.datetime64("1990-01-01")).astype(int))
    raw = soil.GetRasterBand(first + 1).ReadAsArray().astype(float)
    raw[raw == soil.GetRasterBand(1).GetNoDataValue()] = np.nan
    stored = _read(f'NETCDF:"{dataset["DATASET"]}":sm_l1')
    assert len(stored) == 90
    np.testing.assert_allclose(stored[0], raw, rtol=1e-6)
    own = {"DATASETS": [dataset["DATASET"]], "TARGET": "sm_l1", "INPUTS": "pre, tavg", "WINDOW": 3, "WARM_UP": 0}
    own = {**own, "OPTIONS": '{"hidden": [2]}', "RUN_FOLDER": str(tmp_path / "train")}
    found = process.results("train", **own, **{**TRAINING, "EPOCHS": 1})
    assert found["NSE"] == pytest.approx(_nse(_read(found["PREDICTED"]), _read(found["OBSERVED"])), abs=1e-3)
