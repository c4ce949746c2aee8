"""Dates in file names: the ways of the archives that hydrologists use, patterns, and names that hold no date."""

from __future__ import annotations

from datetime import datetime

import pytest

from freshet.core.contracts.dates import find_date, find_date_by, find_dates
from freshet.core.contracts.errors import DataError


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("3B-DAY.MS.MRG.3IMERG.20200101-S000000-E235959.V06", datetime(2020, 1, 1)),
        ("3B-HHR.MS.MRG.3IMERG.20200101-S003000-E005959.0030.V06B", datetime(2020, 1, 1, 0, 30)),
        ("chirps-v2.0.2020.01.31", datetime(2020, 1, 31)),
        ("MOD13A2.A2020017.h18v04.006.2020018145035", datetime(2020, 1, 17)),
        ("MOD16A2GF.061_ET_500m_doy2020009_aid0001", datetime(2020, 1, 9)),
        ("SMAP_L3_SM_P_20200229_R18290_001", datetime(2020, 2, 29)),
        ("SMAP_L4_SM_gph_20200101T013000_Vv5030_001", datetime(2020, 1, 1, 1, 30)),
        ("GLDAS_NOAH025_3H.A20200101.0300.021", datetime(2020, 1, 1, 3)),
        ("GLDAS_NOAH025_M.A202002.021", datetime(2020, 2, 1)),
        ("RAD_NL25_RAP_5min_201008260005", datetime(2010, 8, 26, 0, 5)),
        ("wrfout_2020010106", datetime(2020, 1, 1, 6)),
        ("rain_2020-01-01_06", datetime(2020, 1, 1, 6)),
        ("rain_20200101_06h", datetime(2020, 1, 1, 6)),
        ("rain_19950201_2400", datetime(1995, 2, 1)),
        ("ET_20200101_20200108", datetime(2020, 1, 1)),
        ("x_2020-01-01_2020-01-31", datetime(2020, 1, 1)),
        ("rain_15Feb1995", datetime(1995, 2, 15)),
        ("rain_1995feb", datetime(1995, 2, 1)),
        ("S2A_20200131T101031_N0208", datetime(2020, 1, 31, 10, 10, 31)),
        ("precip_2020366", datetime(2020, 12, 31)),
    ],
)
def test_names_of_known_archives_are_dated(name, date):
    assert find_date(name) == date


@pytest.mark.parametrize(
    "name", ["clay_1000m", "landuse_2000", "tp_1981-2010", "Band 1", "x_2019366", "v06_99999999", ""]
)
def test_numbers_that_are_no_dates_are_none(name):
    assert find_date(name) is None


@pytest.mark.parametrize(
    ("names", "dates"),
    [
        (["2020/01/15.tif", "2020/01/16.tif"], [datetime(2020, 1, 15), datetime(2020, 1, 16)]),
        (["202001/15.tif", "202002/01.tif"], [datetime(2020, 1, 15), datetime(2020, 2, 1)]),
        (["2020/01/01/rain_0630.tif"], [datetime(2020, 1, 1, 6, 30)]),
        (["2020/032.tif", "2020/033.tif"], [datetime(2020, 2, 1), datetime(2020, 2, 2)]),
        (["2020/rain_0215.tif"], [datetime(2020, 2, 15)]),
    ],
)
def test_folders_and_names_spell_a_date_together(names, dates):
    assert find_dates(names) == (dates, "")


def test_day_or_month_first_is_read_as_fits_all_files_and_told():
    found, note = find_dates(["a/27_02_2001.tif", "a/01_03_2001.tif"])
    assert found == [datetime(2001, 2, 27), datetime(2001, 3, 1)] and "day, month, year" in note
    found, note = find_dates(["r02-27-2001.tif", "r03-01-2001.tif"])
    assert found == [datetime(2001, 2, 27), datetime(2001, 3, 1)] and "month, day, year" in note


def test_years_alone_are_taken_where_each_file_has_its_own_and_told():
    found, note = find_dates(["rain_2001.nc", "rain_2002.nc"])
    assert found == [datetime(2001, 1, 1), datetime(2002, 1, 1)] and "year" in note
    assert find_dates(["a_2000.tif", "b_2000.tif"]) == ([None, None], "")


@pytest.mark.parametrize(
    ("pattern", "text", "date"),
    [
        ("%Y%m%d", "r20200131x", datetime(2020, 1, 31)),
        ("%Y%m%d", "r120200131", datetime(2020, 1, 31)),
        ("%d.%m.%y", "x_27.02.01", datetime(2001, 2, 27)),
        ("%Y/%m/%d", "2001/02/27", datetime(2001, 2, 27)),
        (r"y(?P<year>\d{4})d(?P<doy>\d+)", "y2001d32", datetime(2001, 2, 1)),
        (r"(?P<day>\d\d)(?P<month>[A-Z]{3})(?P<year>\d{4})_(?P<hour>\d\d)(?P<minute>\d\d)", "05MAR2001_0615",
         datetime(2001, 3, 5, 6, 15)),
        (r"(?P<year>\d{4})_(?P<month>\d+)", "v1_2001_13 2001_12", datetime(2001, 12, 1)),
        ("%Y%m%d", "nothing", None),
    ],
)  # fmt: skip
def test_a_pattern_of_codes_or_of_named_groups_finds_the_date(pattern, text, date):
    assert find_date_by(pattern, text) == date


@pytest.mark.parametrize(
    "pattern", ["abc", "%Q", r"(?P<month>\d\d)", r"(?P<year>\d{4})(?P<week>\d)", r"(?P<year>\d{4}"]
)
def test_a_pattern_that_cannot_work_is_refused(pattern):
    with pytest.raises(DataError, match="not usable"):
        find_date_by(pattern, "20200101")


def test_a_pattern_looks_at_the_name_before_its_folders():
    found, _ = find_dates(["run20190101/rain20200131.tif"], "%Y%m%d")
    assert found == [datetime(2020, 1, 31)]
