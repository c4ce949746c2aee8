"""Several sequences become groups of one file, each on its own clock."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.data.prepare import prepare
from freshet.core.data.sequences import natural
from freshet.core.data.store import Dataset, list_sequences, open_datasets

from .source_files import job, random_maps, source, texts, write_folder, write_netcdf, write_tif
from .test_prepare_packs import PACKS, needs

FLOODS = PACKS / "flood_delft3d"


def _events(tmp_path, *names, steps=4):
    for number, name in enumerate(names):
        write_netcdf(tmp_path / "sims" / f"event {name}.nc", {"r": random_maps(steps + number, seed=number)},
                     start=f"200{number}-03-01")  # fmt: skip


@pytest.fixture
def sims(tmp_path):
    (tmp_path / "sims").mkdir()
    _events(tmp_path, "2", "10", "1")
    return source(tmp_path / "sims" / "event {sequence}.nc")


def test_each_sequence_is_a_group_with_its_own_dates(tmp_path, sims):
    prepared = job(tmp_path, sims, sequences=("*",))
    events = list(prepare(prepared))
    assert list_sequences(prepared.output) == ["1", "2", "10"]
    datasets = open_datasets(prepared.output)
    for dataset, (seed, steps, year) in zip(datasets, ((2, 6, 2002), (0, 4, 2000), (1, 5, 2001))):
        with dataset:
            np.testing.assert_array_equal(dataset.dynamic("rain"), random_maps(steps, seed=seed))
            assert str(dataset.times[0])[:10] == f"{year}-03-01" and len(dataset.times) == steps
            assert dataset.provenance["sources"][0]["files"][0]["path"].endswith(f"event {dataset.sequence}.nc")
    assert "3 sequences: 1, 2, 10." in texts(events)
    fractions = [e.values["fraction"] for e in events if e.kind.value == "progress"]
    assert fractions == sorted(fractions)


def test_named_sequences_alone_are_taken_in_their_order(tmp_path, sims):
    prepared = job(tmp_path, sims, sequences=("10", "2"))
    list(prepare(prepared))
    assert list_sequences(prepared.output) == ["10", "2"]


def test_static_maps_may_differ_and_shared_ones_are_read_for_each(tmp_path, sims):
    heights = random_maps(3, seed=8) * 30
    for name, height in zip(("1", "2", "10"), heights):
        write_tif(tmp_path / "dem" / f"dem_{name}.tif", height)
    slope = write_tif(tmp_path / "slope.tif", random_maps(1, seed=9)[0])
    prepared = job(
        tmp_path, sims,
        source(tmp_path / "dem" / "dem_{sequence}.tif", "dem", role="static", quantity="elevation", units="m"),
        source(slope, "slope", role="static", quantity="slope", units="deg"), sequences=("*",),
    )  # fmt: skip
    list(prepare(prepared))
    for dataset, height in zip(open_datasets(prepared.output), heights):
        with dataset:
            np.testing.assert_array_equal(dataset.static_map("dem"), height)
            np.testing.assert_array_equal(dataset.static_map("slope"), random_maps(1, seed=9)[0])


def test_folders_may_be_sequences_and_files_in_them_a_pattern(tmp_path):
    for number, name in enumerate(("a", "b")):
        write_folder(tmp_path / "runs" / name / "maps", random_maps(3, seed=number))
    for path in ("{sequence}/maps", "{sequence}/maps/rain_*.tif"):
        prepared = job(tmp_path, source(tmp_path / "runs" / path), sequences=("*",))
        list(prepare(prepared))
        with Dataset.open(prepared.output, "b") as dataset:
            np.testing.assert_array_equal(dataset.dynamic("rain"), random_maps(3, seed=1))


def test_a_sequence_that_one_source_lacks_is_left_out_and_told(tmp_path, sims):
    for name in ("1", "2", "7"):
        write_netcdf(
            tmp_path / "sims" / f"snow_{name}.nc", {"r": random_maps(6)}, start=f"200{'0021'[int(name) % 4]}-03-01"
        )
    snow = source(tmp_path / "sims" / "snow_{sequence}.nc", "snow", quantity="snow", units="mm")
    prepared = job(tmp_path, sims, snow, sequences=("*",))
    from freshet.core.data.sequences import expand

    notes: list[str] = []
    assert [one.name for one in expand(prepared, notes)] == ["1", "2"]
    assert any("'snow' has no source for 1 sequences, which are left out: 10" in note for note in notes)


def test_no_sequence_and_one_that_is_not_there(tmp_path, sims):
    with pytest.raises(DataError, match="no file fits"):
        list(prepare(job(tmp_path, source(tmp_path / "none_{sequence}.nc"), sequences=("*",))))
    with pytest.raises(DataError, match="there is no such file"):
        list(prepare(job(tmp_path, sims, sequences=("1", "77"))))
    with pytest.raises(ConfigError, match="no sequences are named"):
        job(tmp_path, sims)


def test_sequences_of_different_steps_are_refused(tmp_path, sims):
    write_netcdf(tmp_path / "sims" / "event 11.nc", {"r": random_maps(8)}, step_hours=6)
    with pytest.raises(DataError, match="'11' has another step.*Expected: 1 day.*Found: 6 hours"):
        list(prepare(job(tmp_path, sims, sequences=("*",))))


def test_no_gap_is_filled_across_two_sequences(tmp_path):
    (tmp_path / "sims").mkdir()
    for number in (1, 2):
        maps = random_maps(6, seed=number)
        maps[-2:] = np.nan
        write_netcdf(tmp_path / "sims" / f"e{number}.nc", {"r": maps}, start=f"2001-03-0{1 + 6 * (number - 1)}")
    prepared = job(tmp_path, source(tmp_path / "sims" / "e{sequence}.nc", fill="linear"), sequences=("*",))
    list(prepare(prepared))
    for dataset in open_datasets(prepared.output):
        with dataset:
            assert np.isnan(dataset.dynamic("rain")[-2:]).all()


def test_a_cancelled_run_keeps_the_sequences_that_are_done(tmp_path, sims):
    prepared = job(tmp_path, sims, sequences=("*",))
    events = prepare(prepared)
    next(event for event in events if event.values.get("text", "").startswith("Writing"))
    events.close()
    told = texts(list(prepare(prepared)))
    assert told.count("1 of 1 blocks were there already") == 1  # said once for all sequences


def test_names_sort_by_their_numbers():
    assert sorted(["f10", "f2", "F1", "f1b"], key=natural) == ["F1", "f1b", "f2", "f10"]


@needs(FLOODS)
def test_the_floods_come_in_as_sequences(tmp_path):
    import netCDF4

    sims = FLOODS / "sims"
    names = sorted(path.stem.removeprefix("flood_") for path in sims.glob("flood_*.nc"))[:3]
    depth = source(
        sims / "flood_{sequence}.nc", "depth", role="target", quantity="water_depth", units="m", layer="water_depth"
    )
    dem = source(sims / "flood_{sequence}.nc", "dem", role="static", quantity="elevation", units="m", layer="dem")
    prepared = job(tmp_path, depth, dem, sequences=tuple(names))
    list(prepare(prepared))
    for dataset in open_datasets(prepared.output):
        with dataset, netCDF4.Dataset(str(sims / f"flood_{dataset.sequence}.nc")) as handle:
            raw = np.ma.filled(handle["water_depth"][:].astype(np.float32), np.nan)
            south_up = handle[handle["water_depth"].dimensions[1]][0] < handle[handle["water_depth"].dimensions[1]][-1]
            np.testing.assert_array_equal(dataset.dynamic("depth"), raw[:, ::-1] if south_up else raw)
            assert dataset.step_seconds == 1800 and dataset.grid.shape == (64, 64)
