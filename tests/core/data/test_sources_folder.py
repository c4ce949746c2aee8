"""Folders of rasters: where dates come from, bands in each file, grids that differ, files that cannot be read."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio

from freshet.core.contracts.errors import DataError
from freshet.core.data.sources import open_source, source_overview, window_of

from .source_files import CELL, DAY, NORTH, START, WEST, random_maps, source, write_folder, write_tif


def _read(config):
    with open_source(config) as opened:
        list(opened.verify())
        return opened.times, opened.read(0, len(opened.times)), opened


def _names(folder, names, maps, **options):
    for name, single in zip(names, maps):
        write_tif(folder / name, single, **options)
    return folder


def test_minutes_in_names_give_steps_of_minutes(tmp_path):
    maps = random_maps(3)
    names = [f"RAD_NL25_20010227{minute:04d}.tif" for minute in (0, 5, 10)]
    times, values, opened = _read(source(_names(tmp_path / "r", names, maps)))
    assert opened.step_seconds == 300 and str(times[2]) == "2001-02-27T00:10:00"
    np.testing.assert_array_equal(values, maps)


def test_a_regular_expression_dates_files(tmp_path):
    maps = random_maps(2)
    folder = _names(tmp_path / "r", ["d27m02y01_x.tif", "d28m02y01_x.tif"], maps)
    with pytest.raises(DataError, match="no file name"):
        open_source(source(folder))
    pattern = r"d(?P<day>\d\d)m(?P<month>\d\d)y(?P<year>\d\d)"
    with pytest.raises(DataError, match="no file name"):
        open_source(source(folder, date_pattern=pattern))
    times, values, _ = _read(source(folder, date_pattern="d%dm%my%y"))
    np.testing.assert_array_equal(times, [START, START + DAY])
    np.testing.assert_array_equal(values, maps)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_dates_files_by_name_with_or_without_header_and_suffix(tmp_path, header, separator):
    maps = random_maps(3)
    folder = _names(tmp_path / "r", ["a.tif", "b.tif", "c.tif", "rest.tif"], [*maps, maps[0]])
    lines = [separator.join(pair) for pair in (("c.tif", "2001-02-27"), ("b", "2001-02-28"), ("A.TIF", "2001-03-01"))]
    table = tmp_path / "dates.csv"
    table.write_text("\n".join([f"file{separator}date"] * header + lines), encoding="utf-8")
    times, values, opened = _read(source(folder, date_table=str(table)))
    np.testing.assert_array_equal(values, maps[::-1])
    np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
    assert any("rest.tif" in note for note in opened.notes)


def test_a_table_that_names_no_map_or_is_not_there_is_refused(tmp_path):
    folder = write_folder(tmp_path / "r", random_maps(2))
    table = tmp_path / "dates.csv"
    table.write_text("x.tif,2001-01-01\n", encoding="utf-8")
    with pytest.raises(DataError, match="names none of the maps"):
        open_source(source(folder, date_table=str(table)))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(source(folder, date_table=str(tmp_path / "no.csv")))


@pytest.mark.parametrize("kind", ["json", "xml", "txt", "aux"])
def test_side_cars_date_files_whose_names_do_not(tmp_path, kind):
    maps = random_maps(3)
    folder = _names(tmp_path / "r", ["a.tif", "b.tif", "c.tif"], maps)
    for name, index in zip("abc", range(3)):
        date = str(START + index * DAY)[:10]
        made = f"<a><created>1999-01-0{index + 1}</created><acquisition_date>{date}</acquisition_date></a>"
        content = {
            "json": json.dumps({"properties": {"created": "1999-01-01", "datetime": f"{date}T00:00:00Z"}}),
            "xml": made,
            "txt": f"PRODUCT = X\nDATE_ACQUIRED = {date}\n",
            "aux": f'<PAMDataset><Metadata><MDI key="TIME">{date}</MDI></Metadata></PAMDataset>',
        }[kind]
        side = folder / (f"{name}.tif.aux.xml" if kind == "aux" else f"{name}.{kind}")
        side.write_text(content, encoding="utf-8")
    times, values, opened = _read(source(folder))
    np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
    np.testing.assert_array_equal(values, maps)
    assert any("beside" in note for note in opened.notes)


def test_tags_inside_date_files_whose_names_do_not(tmp_path):
    maps = random_maps(3)
    folder = _names(tmp_path / "r", ["a.tif", "b.tif", "c.tif"], maps)
    for name, index in zip("abc", (2, 1, 0)):
        with rasterio.open(folder / f"{name}.tif", "r+") as handle:
            handle.update_tags(start_datetime=f"{str(START + index * DAY)[:10]}T00:00:00Z")
    times, values, opened = _read(source(folder))
    np.testing.assert_array_equal(values, maps[::-1])
    assert any("metadata" in note for note in opened.notes)


def test_a_missing_value_in_a_side_car_counts(tmp_path):
    maps = random_maps(2)
    maps[0, 0, 0] = -1
    folder = write_folder(tmp_path / "r", maps, nodata=None)
    for path in list(folder.glob("*.tif")):
        (folder / (path.name + ".aux.xml")).write_text(
            '<PAMDataset><PAMRasterBand band="1"><NoDataValue>-1</NoDataValue></PAMRasterBand></PAMDataset>'
        )
    values = _read(source(folder))[1]
    assert np.isnan(values[0, 0, 0]) and np.isnan(values).sum() == 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64"])
def test_each_number_type_gives_the_same_values_and_gaps(tmp_path, dtype):
    maps = np.arange(48).reshape(2, 4, 6).astype(dtype)
    folder = write_folder(tmp_path / "r", maps, nodata=7)
    values = _read(source(folder))[1]
    expected = np.where(maps == 7, np.nan, maps.astype(np.float32))
    np.testing.assert_array_equal(values, expected)


def test_scale_and_offset_and_an_inner_mask_are_honoured(tmp_path):
    maps = np.arange(24, dtype=np.int16).reshape(4, 6)
    path = write_tif(tmp_path / "r" / "rain_2001-02-27.tif", maps, nodata=None)
    mask = np.full(maps.shape, 255, np.uint8)
    mask[1, 2] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as handle:
        handle.scales, handle.offsets = (0.1,), (5.0,)
        handle.write_mask(mask)
    values = _read(source(tmp_path / "r", step_hours=24))[1][0]
    with rasterio.open(path) as handle:
        expected = handle.read(1, masked=True).astype(np.float64) * 0.1 + 5.0
    np.testing.assert_array_equal(values, np.ma.filled(expected, np.nan).astype(np.float32))
    assert np.isnan(values[1, 2]) and np.isnan(values).sum() == 1


def test_ascii_grids_without_crs_take_the_given_one_and_degrees_are_guessed_and_told(tmp_path):
    header = "ncols 3\nnrows 2\nxllcorner {}\nyllcorner 47\ncellsize 0.5\nNODATA_value -9999\n"
    for day, first in ((27, 1.5), (28, 3.5)):
        path = tmp_path / "deg" / f"rain_2001-02-{day}.asc"
        path.parent.mkdir(exist_ok=True)
        path.write_text(header.format(5) + f"{first} 2 -9999\n4 5 6\n")
    times, values, opened = _read(source(tmp_path / "deg"))
    assert values[1, 0, 0] == 3.5 and np.isnan(values[0, 0, 2]) and "look like degrees" in opened.notes[0]
    assert opened.grid.extent == (5, 47, 6.5, 48)
    text = (tmp_path / "deg" / "rain_2001-02-27.asc").read_text().replace("xllcorner 5", "xllcorner 400000")
    for day in (27, 28):
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / f"rain_2001-02-{day}.asc").write_text(text)
    with pytest.raises(DataError, match="no coordinate reference system"):
        open_source(source(tmp_path / "m"))
    assert open_source(source(tmp_path / "m", crs="EPSG:32632")).grid.west == 400000


def test_world_maps_from_0_to_360_degrees_are_turned(tmp_path):
    maps = random_maps(2, 4, 8)
    options = {"crs": "EPSG:4326", "west": 0.0, "north": 90.0, "cell": 45.0}
    folder = write_folder(tmp_path / "r", maps, **options)
    times, values, opened = _read(source(folder))
    assert opened.grid.west == -180 and "turned" in opened.notes[0]
    np.testing.assert_array_equal(values, np.concatenate([maps[:, :, 4:], maps[:, :, :4]], axis=2))
    for extent in ((-90, -90, 90, 90), (-180, -90, -90, 90), (0, 0, 45, 45)):
        part = window_of(opened.grid, extent, margin=0)
        np.testing.assert_array_equal(
            opened.read(0, 2, part),
            values[:, part.row : part.row + part.rows, part.column : part.column + part.columns],
        )


def test_files_with_several_dated_bands_give_a_map_a_band(tmp_path):
    maps = random_maps(6)
    for part, first in (("b", 0), ("a", 3)):
        dates = [str(START + index * DAY)[:10] for index in range(first, first + 3)]
        write_tif(tmp_path / "r" / f"{part}.tif", maps[first : first + 3], descriptions=dates)
    times, values, opened = _read(source(tmp_path / "r"))
    np.testing.assert_array_equal(values, maps)
    np.testing.assert_array_equal(times, START + np.arange(6) * DAY)
    assert len(opened.files()) == 2


@pytest.mark.parametrize(
    ("names", "counts"),
    [(["rain_2001.tif", "rain_2002.tif"], [365, 365]), (["r_200102.tif", "r_200103.tif"], [28, 31])],
)
def test_bands_of_a_year_or_month_that_the_name_tells_are_dated_and_told(tmp_path, names, counts):
    maps = random_maps(sum(counts), 2, 2)
    _names(tmp_path / "r", names, [maps[: counts[0]], maps[counts[0] :]])
    times, values, opened = _read(source(tmp_path / "r"))
    np.testing.assert_array_equal(values, maps)
    assert opened.step_seconds == 86400 and opened.missing_count == 0 and "name tells" in opened.notes[0]


def test_one_of_several_undated_bands_is_read_and_told_or_chosen(tmp_path):
    maps = random_maps(4).reshape(2, 2, 4, 6)
    for index in range(2):
        write_tif(tmp_path / "r" / f"x_2001-02-2{7 + index}.tif", maps[index], descriptions=["rain", "snow"])
    times, values, opened = _read(source(tmp_path / "r"))
    np.testing.assert_array_equal(values, maps[:, 0])
    assert "2 bands" in opened.warnings[0] and "snow" in opened.warnings[0]
    times, values, opened = _read(source(tmp_path / "r", layer="snow"))
    np.testing.assert_array_equal(values, maps[:, 1])
    assert not opened.warnings
    with pytest.raises(DataError, match="no band 'ice'"):
        open_source(source(tmp_path / "r", layer="ice"))


def test_grids_that_differ_by_rounding_pass_and_others_are_named(tmp_path):
    maps = random_maps(3)
    folder = _names(tmp_path / "r", ["r_2001-02-27.tif", "r_2001-02-28.tif"], maps)
    write_tif(folder / "r_2001-03-01.tif", maps[2], west=WEST + CELL * 1e-5)
    np.testing.assert_array_equal(_read(source(folder))[1], maps)
    write_tif(folder / "r_2001-03-02.tif", maps[2], west=WEST + CELL)
    with open_source(source(folder)) as opened, pytest.raises(DataError, match="r_2001-03-02.tif"):
        list(opened.verify())


def test_a_file_of_another_size_is_refused_on_reading_too(tmp_path):
    folder = write_folder(tmp_path / "r", random_maps(2))
    write_tif(folder / "rain_2001-03-01.tif", random_maps(1, 5, 6)[0])
    with open_source(source(folder)) as opened, pytest.raises(DataError, match="rain_2001-03-01.tif"):
        opened.read(0, 3)


def test_an_unreadable_file_is_refused_or_kept_as_a_gap_that_is_named(tmp_path):
    maps = random_maps(4)
    folder = write_folder(tmp_path / "r", maps, compress="deflate")
    broken = [folder / "rain_2001-02-27.tif", folder / "rain_2001-03-01.tif"]
    broken[0].write_bytes(b"no raster")
    content = broken[1].read_bytes()
    with pytest.raises(DataError, match="rain_2001-02-27.tif"):
        open_source(source(folder))
    with open_source(source(folder, unreadable="gap")) as opened:
        assert list(opened.verify())[-1] == 4
        assert "rain_2001-02-27.tif of 2001-02-27" in opened.warnings[0] and len(opened.warnings) == 1
        values = opened.read(0, 4)
        assert np.isnan(values[0]).all() and len(opened.times) == 4
        np.testing.assert_array_equal(values[1:], maps[1:])
    broken[1].write_bytes(content[: len(content) - 40])
    with open_source(source(folder, unreadable="gap")) as opened:
        assert np.isnan(opened.read(2, 3)).all()
        np.testing.assert_array_equal(opened.read(3, 4)[0], maps[3])


def test_many_threads_read_parts_of_a_folder_at_once(tmp_path):
    maps = random_maps(12, 40, 30)
    folder = write_folder(tmp_path / "r", maps, compress="deflate")
    with open_source(source(folder)) as opened, ThreadPoolExecutor(4) as pool:
        part = window_of(opened.grid, (WEST + 3 * CELL, NORTH - 20 * CELL, WEST + 9 * CELL, NORTH - 5 * CELL), margin=1)
        jobs = [pool.submit(opened.read, start, start + 3, part) for start in list(range(10)) * 4]
        for start, job in zip(list(range(10)) * 4, jobs):
            rows, columns = slice(part.row, part.row + part.rows), slice(part.column, part.column + part.columns)
            np.testing.assert_array_equal(job.result(), maps[start : start + 3, rows, columns])


def test_compressed_files_patterns_and_odd_neighbours(tmp_path):
    maps = random_maps(3)
    folder = write_folder(tmp_path / "été 100% #1", maps)
    for path in sorted(folder.glob("*.tif")):
        (folder / (path.name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(_read(source(folder))[1], maps)
    (folder / "notes.docx").write_bytes(b"x")
    (folder / ".hidden.tif").write_bytes(b"x")
    np.testing.assert_array_equal(_read(source(folder))[1], maps)
    write_folder(folder, maps + 1)
    for path in list(folder.glob("*.tif")):
        path.rename(folder / path.name.replace("rain", "snow"))
    np.testing.assert_array_equal(_read(source(folder / "snow_*.tif"))[1], maps + 1)
    with pytest.raises(DataError, match="occurs twice"):
        open_source(source(folder))


def test_dekads_are_refused_rather_than_taken_for_days(tmp_path):
    names = [f"chirps-v2.0.2001.{month:02d}.{part}.tif" for month in (1, 2, 3) for part in (1, 2, 3)]
    with pytest.raises(DataError, match="1 to 3 only"):
        open_source(source(_names(tmp_path / "r", names, random_maps(9))))


def test_an_empty_folder_and_a_static_folder_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no rasters"):
        open_source(source(tmp_path / "empty"))
    with pytest.raises(DataError, match="static map cannot be a folder"):
        open_source(source(write_folder(tmp_path / "r", random_maps(2)), role="static"))


def test_monthly_names_give_calendar_months(tmp_path):
    names = [f"gpcc_2001_{month:02d}.tif" for month in (1, 2, 4)]
    overview = source_overview(str(_names(tmp_path / "r", names, random_maps(3))))
    assert overview["step"] == "1 month" and overview["missing"] == ["2001-03-01"] and overview["steps"] == 3
