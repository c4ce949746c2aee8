"""Where values come from: files, checksums, conversions; compact for many files."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from freshet.core.data import provenance
from freshet.core.data.provenance import Checksums, look_at

from .source_files import CELL, job, random_maps, run, source, texts, write_folder, write_netcdf, write_tif


def _sha(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_variable_tells_its_files_and_what_was_done(tmp_path):
    folder = write_folder(tmp_path / "ä b%#'", random_maps(3), cell=2 * CELL)
    near = source(write_netcdf(tmp_path / "near.nc", {"r": random_maps(3)}), "near")
    prepared = job(tmp_path, source(folder, units="mm/h", quantity="precipitation"), near).replace(
        grid={"like": "near"}
    )
    dataset, _ = run(type(prepared).from_dict({**prepared.to_dict(), "grid": {"like": "near"}}))
    with dataset:
        told = {entry["variable"]: entry for entry in dataset.provenance["sources"]}
        versions = dataset.provenance["versions"]
    rain = told["rain"]
    paths = sorted(folder.iterdir())
    assert [one["path"] for one in rain["files"]] == [str(path) for path in paths]
    assert [one["sha256"] for one in rain["files"]] == [_sha(path) for path in paths]
    assert rain["files"][0]["size"] == paths[0].stat().st_size and rain["files"][0]["modified"].endswith("+00:00")
    assert rain["file_count"] == 3 and rain["total_bytes"] == sum(path.stat().st_size for path in paths)
    assert (rain["source_units"], rain["units"], rain["scale"], rain["offset"]) == ("mm/h", "mm/d", 24.0, 0.0)
    assert rain["resampling"] == "conservative, the mean by area" and "resampling" in rain["error"]
    assert told["near"]["files"][0]["sha256"] == _sha(tmp_path / "near.nc") and told["near"]["error"] == {}
    assert {"numpy", "rasterio", "netCDF4", "zarr", "python"} <= set(versions)


def test_a_long_list_is_cut_and_its_digest_stands_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "LISTED", 4)
    folder = write_folder(tmp_path / "f", random_maps(10))
    digests = []
    for _ in range(2):
        dataset, _ = run(job(tmp_path, source(folder)))
        with dataset:
            entry = dataset.provenance["sources"][0]
        assert len(entry["files"]) == 4 and entry["file_count"] == 10
        digests.append(entry["digest"])
        write_tif(sorted(folder.iterdir())[-1], random_maps(1, seed=7)[0])
    assert digests[0] != digests[1]


def test_without_checksums_none_are_taken(tmp_path):
    dataset, events = run(job(tmp_path, source(write_folder(tmp_path / "f", random_maps(3))), checksums=False))
    with dataset:
        assert "sha256" not in dataset.provenance["sources"][0]["files"][0]
        assert dataset.provenance["checksums"] == "none"


def test_of_much_data_only_both_ends_are_hashed_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_WHOLE", 10_000)
    monkeypatch.setattr(provenance, "_END", 500)
    folder = write_folder(tmp_path / "f", random_maps(8, 40, 50))
    dataset, events = run(job(tmp_path, source(folder)))
    first = sorted(folder.iterdir())[0]
    content = first.read_bytes()
    expected = hashlib.sha256(content[:500] + content[-500:] + str(len(content)).encode()).hexdigest()
    with dataset:
        assert dataset.provenance["sources"][0]["files"][0]["sha256_of_ends"] == expected
        assert "first and last 16 MB" in dataset.provenance["checksums"]
    assert "checksums are of the first and last" in texts(events)


def test_a_folder_that_is_a_store_counts_with_all_its_files(tmp_path):
    (tmp_path / "s.zarr" / "a").mkdir(parents=True)
    (tmp_path / "s.zarr" / "a" / "0").write_text("x")
    (tmp_path / "s.zarr" / "zarr.json").write_text("{}")
    found = look_at([str(tmp_path / "s.zarr")])
    assert [path.rsplit("/", 1)[1] for path, _, _ in found] == ["0", "zarr.json"]


def test_a_file_that_goes_in_between_is_named(tmp_path):
    from freshet.core.contracts.errors import DataError

    prepared = job(tmp_path, source(write_folder(tmp_path / "f", random_maps(3))))
    with pytest.raises(DataError, match="A source file is gone"):
        look_at([str(tmp_path / "none.tif")])
    with pytest.raises(DataError, match="A source file cannot be read"):
        list(Checksums(prepared).take([(str(tmp_path / "none.tif"), 3, 0)]))


def test_ten_thousand_files_stay_compact(tmp_path):
    prepared = job(tmp_path, source(write_folder(tmp_path / "f", random_maps(3))), checksums=False)
    from freshet.core.data.making import make_stream
    from freshet.core.data.sources import open_source

    with open_source(prepared.sources[0]) as opened:
        stream = make_stream(opened, opened.grid, None)
        files = [(f"/data/rain_{number:05d}.tif", 1000, 10**18) for number in range(10_000)]
        entry = provenance.describe(stream, files, Checksums(prepared))
    assert len(json.dumps(entry)) < 200_000 and entry["file_count"] == 10_000 and entry["total_bytes"] == 10**7
    assert np.isfinite(entry["scale"])
