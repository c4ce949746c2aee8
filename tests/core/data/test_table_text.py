"""table: the same series in the many dresses of text files; faults are named by line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from freshet.core.contracts import DataError
from freshet.core.contracts.steps import MONTH

from .table_files import LONG, WIDE, check, days, table, write


@pytest.mark.parametrize(
    "text",
    [
        "date,q\n2001-01-30,1.5\n2001-01-31,\n2001-02-01,3.25\n",
        "\ufeffdate,q\r\n2001-01-30,1.5\r\n2001-01-31,NA\r\n2001-02-01,3.25\r\n",
        "date;q\n30.01.2001;1,5\n31.01.2001;-\n01.02.2001;3,25\n",
        "Datum\tAbfluss\n30.01.2001\t1,5\n31.01.2001\t-9999\n01.02.2001\t3,25\n",
        "# discharge of the Sauer\n# in m3/s\ndate q\n20010130 1.5\n20010131 #N/A\n20010201 3.25\n",
        'date,q\n"30.01.2001","1,5"\n"31.01.2001",""\n"01.02.2001","3,25"\n',
        "YYYY-MM-DD;hh:mm; Value\n2001-01-30;--:--;   1.500\n2001-01-31;--:--; -999.000\n2001-02-01;--:--;   3.250\n",
        "year,month,day,q\n2001,1,30,1.5\n2001,1,31,nan\n2001,2,1,3.25\n",
        "Year Mnth Day Hr q(m)\n2001 01 30 0 1.5\n2001 01 31 0 NaN\n2001 02 01 0 3.25\n",
        "30/01/2001,1.5\n31/01/2001,\n01/02/2001,3.25\n",
        "date,q\n01/30/2001,1.5\n01/31/2001,null\n02/01/2001,3.25\n",
        "date,q\n30-Jan-2001,1.5\n31-Jan-2001,n/a\n01-Feb-2001,3.25\n",
        "year,doy,q\n2001,30,1.5\n2001,31,--\n2001,32,3.25\n",
        "Station: Diekirch\nRiver: Sauer\n\ndate,q\n2001-01-30,1.5\n2001-01-31,#N/A\n2001-02-01,3.25\n",
        "date,q,\n2001-01-30,1.5,\n2001-01-31,,\n2001-02-01,3.25,\n,,\n",
        "date;q\n[-];[m3/s]\n2001-01-30;1.5\n2001-01-31;\n2001-02-01;3.25\n",
        "date,q\n2001-02-01,3.25\n2001-01-30,1.5\n2001-01-31,1e31\n",
        '"","date","q"\n"1","2001-01-30",1.5\n"2","2001-01-31",NA\n"3","2001-02-01",3.25\n',
        "date q\n1 2001-01-30 1.5\n2 2001-01-31 NA\n3 2001-02-01 3.25\n",
        "date|q\n2001-01-30T00:00:00Z|+1.5\n2001-01-31T00:00:00Z|inf\n2001-02-01T00:00:00Z|.325D+1\n",
    ],
)
def test_one_series_in_many_dresses(tmp_path, text):
    source = table(write(tmp_path / "series.csv", text), quantity="precipitation")
    check(source, days("2001-01-30", 3), [1.5, np.nan, 3.25])
    assert source.step_seconds == 86400 and source.stations.ids == ["series"]


def test_other_encodings_are_read(tmp_path):
    text = "Datum;Abfluß an der Mühle\n2001-01-01;1\n2001-01-02;2\n"
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16"):
        source = table(write(tmp_path / f"{encoding}.csv", text, encoding), layer="Abfluß an der Mühle")
        check(source, days("2001-01-01", 2), [1, 2])


def test_what_was_guessed_is_noted(tmp_path):
    source = table(write(tmp_path / "a.txt", "date;Q [m3/s]\n05.06.2001;1,5\n06.06.2001;2,5\n07.06.2001;-9999\n"))
    said = " ".join(source.notes)
    assert "semicolons" in said and "decimal" in said and "day, month, year" in said
    assert "the unit m3/s is taken from the header" in said and "1 values of -9999 are taken as missing" in said
    assert all(note.startswith("'q'") for note in source.notes)


def test_day_or_month_first_is_told_by_even_steps_where_both_are_dates(tmp_path):
    months = [f"01/{month:02d}/{year},{month}" for year in (2001, 2002) for month in range(1, 13)]
    source = table(write(tmp_path / "m.csv", "date,q\n" + "\n".join(months) + "\n"))
    assert source.step_seconds == MONTH and source.times[1] == np.datetime64("2001-02-01") and not source.warnings
    daily = [f"{day:02d}/01/2001,{day}" for day in range(1, 12)] + ["12/01/2001,12", "13/01/2001,13"]
    assert table(write(tmp_path / "d.csv", "date,q\n" + "\n".join(daily) + "\n")).step_seconds == 86400
    american = [f"01/{day:02d}/2001,{day}" for day in range(1, 14)]
    assert table(write(tmp_path / "a.csv", "date,q\n" + "\n".join(american) + "\n")).step_seconds == 86400
    unclear = [f"01/{day:02d}/2001,{day}" for day in range(1, 9)]
    source = table(write(tmp_path / "u.csv", "date,q\n" + "\n".join(unclear) + "\n"))
    assert source.step_seconds == MONTH and "could be month, day, year as well" in source.warnings[0]
    source = table(tmp_path / "u.csv", date_pattern="%m/%d/%Y")
    assert source.step_seconds == 86400 and source.warnings == []


def test_years_of_two_digits_are_told(tmp_path):
    source = table(write(tmp_path / "y.csv", "date;q\n29.12.99;1\n30.12.99;2\n31.12.99;3\n01.01.00;4\n"))
    check(source, days("1999-12-29", 4), [1, 2, 3, 4])
    assert "1970 to 2069" in " ".join(source.notes)


def test_parts_beside_a_whole_date_are_no_values(tmp_path):
    text = "date,year,month,day,q\n2001-01-01,2001,1,1,5\n2001-01-02,2001,1,2,6\n"
    check(table(write(tmp_path / "p.csv", text)), days("2001-01-01", 2), [5, 6])


def test_hours_minutes_and_the_24th_hour(tmp_path):
    rows = [f"01.03.2001 {hour:02d}:00;{hour}" for hour in range(1, 25)]
    source = table(write(tmp_path / "h.csv", "Zeit;Q\n" + "\n".join(rows) + "\n"))
    assert source.step_seconds == 3600 and source.times[-1] == np.datetime64("2001-03-02T00:00:00")
    split = "date,time,q\n2001-03-01,00:00,1\n2001-03-01,00:15,2\n2001-03-01,00:30,3\n"
    check(table(write(tmp_path / "s.csv", split)), np.datetime64("2001-03-01", "s") + np.arange(3) * 900, [1, 2, 3])
    hours = "yyyymmdd,hour,q\n20010301,0,1\n20010301,6,2\n20010301,12,3\n"
    assert table(write(tmp_path / "k.csv", hours)).step_seconds == 21600
    blanks = "date time q\n2001-03-01 00:00 1\n2001-03-01 06:00 2\n2001-03-01 12:00 3\n"
    assert table(write(tmp_path / "b.txt", blanks)).step_seconds == 21600
    compact = "t,q\n200103010000,1\n200103010010,2\n200103010020,3\n"
    assert table(write(tmp_path / "c.csv", compact)).step_seconds == 600
    half = "date,q\n3/14/2001 11:00 AM,1\n3/14/2001 12:00 PM,2\n3/14/2001 1:00 PM,3\n"
    assert table(write(tmp_path / "p.csv", half)).times[-1] == np.datetime64("2001-03-14T13:00:00")


def test_a_time_zone_is_brought_to_utc_and_told(tmp_path):
    source = table(write(tmp_path / "z.csv", "date,q\n2001-01-01T01:00+01:00,1\n2001-01-01T02:00+01:00,2\n"))
    assert source.times[0] == np.datetime64("2001-01-01") and "UTC" in " ".join(source.notes)


def test_months_and_years_are_steps_of_the_calendar(tmp_path):
    ends = "date,q\n1990-01-31,1\n1990-02-28,2\n1990-03-31,3\n1990-04-30,4\n"
    source = table(write(tmp_path / "m.csv", ends))
    assert source.step_seconds == MONTH and source.times[1] == np.datetime64("1990-02-01")
    source = table(write(tmp_path / "y.csv", "year,q\n1990,1\n1991,2\n1993,3\n"))
    assert source.step_seconds == 12 * MONTH and source.missing_count == 1
    source = table(write(tmp_path / "ym.csv", "month,q\n199001,1\n199002,2\n199003,3\n"))
    assert source.step_seconds == MONTH
    parts = "year,month,q\n1990,11,1\n1990,12,2\n1991,1,3\n"
    assert table(write(tmp_path / "p.csv", parts)).times[2] == np.datetime64("1991-01-01")


def test_a_pattern_reads_dates_that_nothing_else_would(tmp_path):
    path = write(tmp_path / "p.csv", "when,q\nd01m02y2003,1\nd02m02y2003,2\nd03m02y2003,3\n")
    source = table(path, date_pattern="d%dm%my%Y", points={"date_column": "when"})
    check(source, days("2003-02-01", 3), [1, 2, 3])


def test_a_usgs_file_with_its_row_of_formats(tmp_path):
    text = (
        "# US Geological Survey\n#\nagency_cd\tsite_no\tdatetime\t123_00060_00003\t123_00060_00003_cd\n"
        "5s\t15s\t20d\t14n\t10s\n"
        "USGS\t01022500\t2001-01-01\t12.5\tA\nUSGS\t01022500\t2001-01-02\tIce\tA:e\n"
        + "".join(f"USGS\t01022500\t2001-01-{day:02d}\t{day}\tA\n" for day in range(3, 30))
    )
    source = table(write(tmp_path / "u.rdb", text))
    check(source, days("2001-01-01", 29), [12.5, np.nan, *range(3, 30)])
    assert source.stations.ids == ["01022500"]
    assert "1 values are no numbers and count as missing: 'Ice' in line 6" in source.warnings[0]


def test_a_dwd_file_with_blanks_and_a_constant_station(tmp_path):
    rows = [f"         44;200703{day:02d};   10;{day * 0.5:8.1f};eor" for day in range(1, 20)]
    text = "STATIONS_ID;MESS_DATUM;QN_6;  RS;eor\n" + "\n".join(rows) + "\n"
    source = table(write(tmp_path / "produkt.txt", text), layer="RS")
    check(source, days("2007-03-01", 19), np.arange(1, 20) * 0.5)
    assert source.stations.ids == ["44"]


def test_a_pcraster_time_series_takes_names_from_its_head(tmp_path):
    text = "timeseries scalar\n3\ntimestep\n1\n2\n" + "".join(f" {i}  {i * 0.5}  1e31\n" for i in range(1, 6))
    source = table(write(tmp_path / "runoff.tss", text), layer="1", start="2001-01-01", step_hours=24)
    check(source, days("2001-01-01", 5), np.arange(1, 6) * 0.5)


def test_a_file_without_a_header_has_numbered_columns(tmp_path):
    text = "".join(f"01022500 1980 10 {day:02d} {day * 2.0:.2f} A\n" for day in range(1, 29))
    path = write(tmp_path / "flow.txt", text)
    with pytest.raises(DataError, match="several columns of values.*column 1, column 5"):
        table(path)
    source = table(path, layer="column 5")
    check(source, days("1980-10-01", 28), np.arange(1, 29) * 2.0)
    assert "no header" in " ".join(source.notes)


def test_doubled_dates_are_refused_by_line_or_settled(tmp_path):
    path = write(tmp_path / "d.csv", "date,q\n2001-01-01,1\n2001-01-02,2\n2001-01-02,4\n2001-01-03,5\n")
    with pytest.raises(DataError, match=r"a date occurs twice.*line 3 \(2001-01-02\) and line 4 \(2001-01-02\)"):
        table(path)
    for way, value in (("first", 2), ("last", 4), ("mean", 3)):
        source = table(path, duplicates=way)
        check(source, days("2001-01-01", 3), [1, value, 5])
        assert source.doubled.tolist() == [np.datetime64("2001-01-02").astype("datetime64[s]").item()]
        assert "1 dates occur more than once" in " ".join(source.notes)


def test_doubled_rows_of_a_station_are_settled_alone(tmp_path):
    path = write(tmp_path / "l.csv", LONG + "B,2001-01-02,,8.0,51.0\nB,2001-01-02,9,8.0,51.0\n")
    with pytest.raises(DataError, match="line 4 .2001-01-02, station B. and line 6"):
        table(path)
    check(table(path, duplicates="mean"), days("2001-01-01", 3), [[1, np.nan], [2, 6], [np.nan, 4]])
    check(table(path, duplicates="last"), days("2001-01-01", 3), [[1, np.nan], [2, 9], [np.nan, 4]])


def test_missing_and_irregular_dates_go_the_way_of_all_sources(tmp_path):
    source = table(write(tmp_path / "g.csv", "date,q\n2001-01-05,5\n2001-01-01,1\n2001-01-02,2\n2001-01-03,3\n"))
    check(source, days("2001-01-01", 5)[[0, 1, 2, 4]], [1, 2, 3, 5])
    assert source.missing_count == 1 and source.missing[0] == np.datetime64("2001-01-04")
    assert "put in order" in " ".join(source.notes)
    with pytest.raises(DataError, match="do not follow one regular step"):
        table(write(tmp_path / "i.csv", "date,q\n2001-01-01,1\n2001-01-02,2\n2001-01-03T05:00,3\n2001-01-04,4\n"))


def test_broken_rows_are_named_by_line(tmp_path):
    with pytest.raises(DataError, match="Line 3 of the table has 4 columns.*3 columns between commas"):
        table(write(tmp_path / "a.csv", "date,a,b\n2001-01-01,1,2\n2001-01-02,1,2,3\n2001-01-03,1,2\n"), layer="a")
    with pytest.raises(DataError, match="no date that can be read.*2001-02-31.*line 4"):
        table(write(tmp_path / "b.csv", "date,q\n2001-02-01,1\n2001-02-02,1\n2001-02-31,1\n" + "2001-02-04,1\n"))
    with pytest.raises(DataError, match="no date that can be read.*'Mean' in line 4"):
        table(write(tmp_path / "m.csv", "date,q\n2001-02-01,1\n2001-02-02,2\nMean,1.5\n"))
    mostly = "".join(f"2001-01-{day:02d},{'bad' if day % 4 == 0 else day}\n" for day in range(1, 29))
    with pytest.raises(DataError, match="7 of its values are no numbers.*'bad' in line 5, column q"):
        table(write(tmp_path / "c.csv", "date,q\n" + mostly), layer="q")
    with pytest.raises(DataError, match="Line 4 of the table has 1 columns.*cut off"):
        table(write(tmp_path / "d.csv", "date,a,b,c,d\n2001-01-01,1,2,3,4\n2001-01-02,1,2,3,4\n2001-0"), layer="a")


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        table(write(tmp_path / "a.csv", "\n# only a comment\n"))
    with pytest.raises(DataError, match="not a text table"):
        table(write(tmp_path / "b.csv", "a\0b,c\n\0,1\n"))
    with pytest.raises(DataError, match="no such table.*gone.csv"):
        table(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="no column with numbers.*date, name"):
        table(write(tmp_path / "c.csv", "date,name\n2001-01-01,x\n2001-01-02,y\n"))
    with pytest.raises(DataError, match="decimals or for thousands"):
        table(write(tmp_path / "d.csv", 'date,q\n2001-01-01,"1,234"\n2001-01-02,"2,345"\n'))
    with pytest.raises(DataError, match="no value at all"):
        table(write(tmp_path / "e.csv", "date,q,r\n2001-01-01,,1\n2001-01-02,,2\n"), layer="q")
    source = table(write(tmp_path / "f.csv", 'date,q\n2001-01-01,"1,234.5"\n2001-01-02,"2,345.5"\n'))
    check(source, days("2001-01-01", 2), [1234.5, 2345.5])
    with pytest.raises(DataError, match="is a table of gauges, not a map"):
        source.read(0, 1)


def test_sentinels_are_missing_only_where_the_quantity_cannot_be_so_low(tmp_path):
    path = write(tmp_path / "s.csv", "date,q\n2001-01-01,-999\n2001-01-02,-9999\n2001-01-03,5\n2001-01-04,77\n")
    check(table(path, quantity="precipitation"), days("2001-01-01", 4), [np.nan, np.nan, 5, 77])
    check(table(path), days("2001-01-01", 4), [-999, np.nan, 5, 77])
    check(table(path, nodata=77), days("2001-01-01", 4), [-999, np.nan, 5, np.nan])


@pytest.mark.parametrize(
    "header, quantity, unit",
    [("q_obs_m3s", "discharge", "m3/s"), ("p_mm_d", "precipitation", "mm/d"), ("t_c", "temperature", "degC"),
     ("Q [m3/s]", "discharge", "m3/s"), ("precip (mm)", "precipitation", "mm"), ("tmax(C)", "temperature", "C"),
     ("prcp(mm/day)", "precipitation", "mm/day"), ("dayl_h", "other", ""), ("flow", "discharge", ""),
     ("station_c", "precipitation", ""), ("swe_mm", "snow", "mm"), ("c", "temperature", "")],
)  # fmt: skip
def test_the_unit_stands_in_the_header(tmp_path, header, quantity, unit):
    source = table(write(tmp_path / "u.csv", f"date,{header}\n2001-01-01,1\n2001-01-02,2\n"), quantity=quantity)
    assert source.units == unit
    if unit:
        assert f"the unit {unit} is taken from the header" in " ".join(source.notes)
        given = table(tmp_path / "u.csv", quantity=quantity, units="mm/h")
        assert "taken from the header" not in " ".join(given.notes)


def test_columns_of_different_units_are_refused_unless_the_unit_is_given(tmp_path):
    path = write(tmp_path / "u.csv", "date,a_m3s,b_mm_d\n2001-01-01,1,2\n2001-01-02,3,4\n")
    with pytest.raises(DataError, match="different units.*m3/s, mm/d"):
        table(path, layer="*")
    assert table(path, layer="*", units="m3/s").units == ""


def test_a_large_long_table_is_read_in_batches(tmp_path):
    stations, count = 30, 1500
    values = np.random.default_rng(0).uniform(0, 9, (count, stations)).round(3).astype(np.float32)
    dates = days("1990-01-01", count).astype("datetime64[D]")
    rows = [f"s{g:02d},{dates[t]},{values[t, g]:.3f}" for g in range(stations) for t in range(count)]
    source = table(write(tmp_path / "l.csv", "id,date,q\n" + "\n".join(rows) + "\n"))
    check(source, dates, values)


def test_reading_does_not_lend_the_table_itself(tmp_path):
    source = table(write(tmp_path / "w.csv", WIDE), layer="*")
    source.read_points(0, 3)[:] = 0
    assert source.read_points(0, 1).tolist() == [[1, 2, 3]]


def test_a_geojson_of_text_dates_keeps_every_digit(tmp_path):
    features = [
        {"type": "Feature", "properties": {"station": "A", "date": f"2001-01-0{d}", "q": 0.1 * d + 1e-9},
         "geometry": {"type": "Point", "coordinates": [7, 50]}} for d in (1, 2, 3)
    ]  # fmt: skip
    path = write(tmp_path / "g.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    check(table(path), days("2001-01-01", 3), [np.float32(0.1 * d + 1e-9) for d in (1, 2, 3)])
