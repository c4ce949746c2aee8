"""Numbers as people type them are read as they were meant, or refused."""

from __future__ import annotations

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.PyQt.QtCore import QLocale

from freshet.core.contracts import ConfigError
from freshet.core.contracts.config import Rule
from freshet.ui.numbers import NumberEdit, format_number, parse_number, range_text


@pytest.fixture(params=["en_US", "de_DE", "fr_FR"])
def locale(request):
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


@pytest.mark.parametrize(
    "text, value",
    [
        ("0.5", 0.5),
        ("0,5", 0.5),
        ("0.001", 0.001),
        ("12.5", 12.5),
        ("1e-3", 0.001),
        ("1,5E2", 150.0),
        (" -7 ", -7.0),
        ("\u22123", -3.0),
        ("+2", 2.0),
        (".25", 0.25),
        ("1000000", 1e6),
        ("0,125", 0.125),
    ],
)
def test_point_comma_and_exponent_are_read_in_every_locale(locale, text, value):
    assert parse_number(text, str(QLocale().groupSeparator())) == value


@pytest.mark.parametrize(
    "text", ["", "1.234,5", "1,234.5", "1 000", "1_000", "nan", "inf", "0x10", "1e999", "--1", "٣", "1,2,3"]
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ConfigError):
        parse_number(text)


@pytest.mark.parametrize("text, sign", [("1,234", ","), ("1.234", "."), ("-12.345", ".")])
def test_a_number_that_can_be_read_in_two_ways_is_refused_with_both(text, sign):
    with pytest.raises(ConfigError, match="two ways"):
        parse_number(text, sign)


def test_the_same_text_is_plain_where_its_sign_separates_no_thousands():
    assert parse_number("1.234", ",") == 1.234
    assert parse_number("1,234", ".") == 1.234


@pytest.mark.parametrize("value", [0.001, 1.234, 1234.0, -0.5, 1e-9, 12345.678, 3.0])
def test_an_echoed_number_is_read_as_the_same_number(locale, value):
    shown = format_number(value, str(QLocale().decimalPoint()))
    assert parse_number(shown, str(QLocale().groupSeparator())) == value


def test_the_field_echoes_and_says_its_range(qgis_app, locale):
    edit = NumberEdit(Rule("Dropout", "Share.", minimum=0.0, maximum=0.9))
    edit.setText("0.5")
    assert edit.value() == 0.5 and edit.problem() == ""
    edit.editingFinished.emit()
    assert edit.text() == "0" + str(QLocale().decimalPoint()) + "5"
    edit.setText("5")
    assert "0 to 0.9" in edit.problem()
    assert "border" in edit.styleSheet()


def test_a_whole_number_and_an_empty_field(qgis_app):
    whole = NumberEdit(Rule("Epochs", "", minimum=1), whole=True)
    whole.setText("2.5")
    assert "whole number" in whole.problem()
    whole.setText("")
    assert "empty" in whole.problem()
    optional = NumberEdit(Rule("Limit", ""), optional=True)
    assert optional.value() is None and optional.problem() == ""


def test_ranges_in_words():
    assert range_text(1, 10000, "steps") == "1 to 10000 steps"
    assert range_text(0, None) == "at least 0"
    assert range_text(None, None) == ""
