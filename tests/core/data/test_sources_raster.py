"""Multi-band rasters: band ranges, dates in metadata and in the members of a virtual raster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from freshet.core.contracts.errors import DataError
from freshet.core.data.sources import open_source

from .source_files import COLUMNS, DAY, ROWS, START, random_maps, source, write_folder, write_netcdf, write_tif


def _read(config):
    with open_source(config) as opened:
        return opened.times, opened.read(0, len(opened.times)), opened


def _tagged(path, maps, key, values):
    write_tif(path, maps)
    with rasterio.open(path, "r+") as handle:
        for band, value in enumerate(values, 1):
            handle.update_tags(band, **{key: value})
    return path


@pytest.mark.parametrize(
    ("key", "write"),
    [
        ("ACQUISITIONDATETIME", lambda date: f"{date}T00:00:00Z"),
        ("Start_DateTime", str),
        ("GRIB_VALID_TIME", lambda date: f"  {int(np.datetime64(date, 's').astype(int))} sec UTC"),
    ],
)
def test_bands_are_dated_by_tags_of_many_makers(tmp_path, key, write):
    maps = random_maps(3)
    dates = [write(str(START + index * DAY)[:10]) for index in range(3)]
    times, values, _ = _read(source(_tagged(tmp_path / "a.tif", maps, key, dates)))
    np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
    np.testing.assert_array_equal(values, maps)


def test_tags_that_gdal_took_from_netcdf_date_bands(tmp_path):
    maps = random_maps(3)
    path = _tagged(tmp_path / "a.tif", maps, "NETCDF_DIM_time", ["0", "1", "2"])
    with rasterio.open(path, "r+") as handle:
        handle.update_tags(**{"time#units": "days since 2001-02-27", "time#calendar": "standard"})
    np.testing.assert_array_equal(_read(source(path))[0], START + np.arange(3) * DAY)


def test_a_band_range_chooses_dated_bands_among_others(tmp_path):
    maps = random_maps(5)
    path = write_tif(tmp_path / "a.tif", maps, descriptions=["2001-02-27", "2001-02-28", "2001-03-01", "mean", "max"])
    with pytest.raises(DataError, match="the first is band 4"):
        open_source(source(path))
    for layer in ("1-3", "1,2-3"):
        np.testing.assert_array_equal(_read(source(path, layer=layer))[1], maps[:3])
    with pytest.raises(DataError, match="numbers from 1 to 5"):
        open_source(source(path, layer="3-9"))


def test_a_word_of_the_descriptions_chooses_the_bands_of_a_variable(tmp_path):
    maps = random_maps(4)
    texts = ["20010227_rain", "20010227_snow", "20010228_rain", "20010228_snow"]
    path = write_tif(tmp_path / "a.tif", maps, descriptions=texts)
    with pytest.raises(DataError, match="occurs twice"):
        open_source(source(path))
    np.testing.assert_array_equal(_read(source(path, layer="snow"))[1], maps[1::2])


def test_a_table_dates_bands_by_number(tmp_path):
    maps = random_maps(2)
    table = tmp_path / "dates.csv"
    table.write_text("band,date\n2,2001-02-27\n1,2001-02-28\n")
    times, values, _ = _read(source(write_tif(tmp_path / "a.tif", maps), date_table=str(table)))
    np.testing.assert_array_equal(values, maps[::-1])


def test_bands_of_the_year_in_the_name_are_dated_and_told(tmp_path):
    maps = random_maps(12)
    times, values, opened = _read(source(write_tif(tmp_path / "rain_2001.tif", maps)))
    assert str(times[11])[:10] == "2001-12-01" and "2001" in opened.notes[0]
    with pytest.raises(DataError, match="no dates"):
        open_source(source(write_tif(tmp_path / "snow_2001.tif", maps[:7])))


def test_a_virtual_raster_is_dated_by_its_members(tmp_path):
    maps = random_maps(3)
    folder = write_folder(tmp_path / "r", maps)
    with rasterio.open(sorted(folder.iterdir())[0]) as handle:
        wkt, transform = handle.crs.to_wkt(), ", ".join(map(str, handle.transform.to_gdal()))
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{band}"><NoDataValue>-9999</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">r/{path.name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for band, path in enumerate(sorted(folder.iterdir()), 1)
    )
    path = tmp_path / "stack.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="{COLUMNS}" rasterYSize="{ROWS}"><SRS>{wkt.replace("&", "&amp;")}</SRS>'
        f"<GeoTransform>{transform}</GeoTransform>{bands}</VRTDataset>"
    )
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
    assert len(opened.files()) == 4


def test_many_threads_read_one_raster_and_one_netcdf_file(tmp_path):
    maps = random_maps(8, 30, 20)
    dates = [str(START + index * DAY)[:10] for index in range(8)]
    tif = write_tif(tmp_path / "a.tif", maps, descriptions=dates, compress="deflate")
    for path in (tif, write_netcdf(tmp_path / "a.nc", {"rain": maps})):
        with open_source(source(path)) as opened, ThreadPoolExecutor(4) as pool:
            starts = list(range(7)) * 6
            jobs = [pool.submit(opened.read, start, start + 2) for start in starts]
            for start, job in zip(starts, jobs):
                np.testing.assert_array_equal(job.result(), maps[start : start + 2])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_place_is_refused_even_where_its_numbers_look_like_degrees(tmp_path):
    path = tmp_path / "a.png"
    with rasterio.open(path, "w", driver="PNG", width=4, height=3, count=1, dtype="uint8") as handle:
        handle.write(np.ones((3, 4), np.uint8), 1)
    with pytest.raises(DataError, match="no coordinate reference system"):
        open_source(source(path, role="static"))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_that_only_holds_other_rasters_names_them(tmp_path):
    path = tmp_path / "maps.gpkg"
    for name in ("clay", "sand"):
        options = {"RASTER_TABLE": name, "APPEND_SUBDATASET": "YES" if path.exists() else "NO"}
        write_tif(tmp_path / "one.tif", np.ones((4, 6), np.uint8), nodata=None)
        rasterio.shutil.copy(tmp_path / "one.tif", path, driver="GPKG", **options)
    with pytest.raises(DataError, match="no raster itself, but 2 inside") as caught:
        open_source(source(path, role="static"))
    inner = str(caught.value).split("one of ")[1].split(",")[0]
    with open_source(source(inner, role="static")) as opened:
        assert opened.grid.shape == (4, 6)


def test_a_band_or_raster_that_turns_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    turned = rasterio.Affine(1000, 200, 4e6, -200, -1000, 3e6)
    options = {"width": 4, "height": 3, "count": 1, "dtype": "float32", "crs": "EPSG:3035", "transform": turned}
    with rasterio.open(path, "w", driver="GTiff", **options) as handle:
        handle.write(np.ones((1, 3, 4), np.float32))
    with pytest.raises(DataError, match="rotated or mirrored"):
        open_source(source(path, role="static"))
