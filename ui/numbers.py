"""Numbers as people type them: with point or comma, with exponents, never misread.

Qt's spin boxes read "0.5" as 5 where the comma is the decimal sign, so number fields are line edits with this parser.
"""

from __future__ import annotations

import math
import re
from typing import Optional

from qgis.PyQt.QtCore import QLocale, pyqtSignal
from qgis.PyQt.QtWidgets import QLineEdit, QWidget

from ..core.contracts.config import Rule
from ..core.contracts.errors import ConfigError
from .text import tr

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_LOOKS_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,])[0-9]{3}")
_WRONG_STYLE = "border: 1px solid #b2182b;"


def parse_number(text: str, group_sign: str = "") -> float:
    """The number in ``text``; point and comma are both decimal signs.

    ``group_sign`` is what separates thousands where the person lives: "1,234" with "," as ``group_sign`` may mean two
    things and is refused, as is anything with two different signs. Raises :class:`ConfigError`.
    """
    cleaned = text.strip().replace("\u2212", "-")
    grouped = _LOOKS_GROUPED.fullmatch(cleaned)
    if grouped and grouped.group(1) == group_sign:
        lead, tail = cleaned.split(group_sign)
        raise ConfigError(
            tr("'{text}' can be read in two ways").format(text=cleaned),
            remedy=tr("Write {whole} or {broken}").format(whole=lead + tail, broken=f"{lead}{group_sign}{tail}0"),
        )
    if not _NUMBER.fullmatch(cleaned):
        raise ConfigError(
            tr("'{text}' is not a number").format(text=cleaned),
            expected=tr("digits with one point or comma, such as 0.5, 0,5 or 1e-3, without signs between thousands"),
        )
    value = float(cleaned.replace(",", "."))
    if not math.isfinite(value):
        raise ConfigError(tr("'{text}' is too large").format(text=cleaned))
    return value


def format_number(value: float, decimal_sign: str = ".") -> str:
    """``value`` so that :func:`parse_number` reads the same again where ``decimal_sign`` is the decimal sign."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value)).replace(".", decimal_sign)


class NumberEdit(QLineEdit):
    """A field for one number, or for a list of whole numbers with ``several``. The value is echoed in its plain form.

    ``problem()`` is the sentence to show while the text is no valid number, else empty.
    """

    valueChanged = pyqtSignal()

    def __init__(
        self, rule: Rule, whole: bool = False, optional: bool = False, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self._rule, self._whole, self._optional = rule, whole, optional
        self.textChanged.connect(self._check)
        self.editingFinished.connect(self._echo)

    def value(self) -> Optional[float]:
        """The number, or None for an empty optional field; raises :class:`ConfigError` with the field's name."""
        text = self.text().strip()
        if not text and self._optional:
            return None
        label = self._rule.label
        if not text:
            raise ConfigError(tr("'{label}' is empty").format(label=label), remedy=tr("Type a number"))
        try:
            number = parse_number(text, str(QLocale().groupSeparator()))
        except ConfigError as error:
            raise ConfigError(f"{label}: {error.problem}", expected=error.expected, remedy=error.remedy) from error
        if self._whole and not number.is_integer():
            raise ConfigError(f"{label}: {text}", expected=tr("a whole number"))
        low, high, unit = self._rule.minimum, self._rule.maximum, self._rule.unit
        if (low is not None and number < low) or (high is not None and number > high):
            raise ConfigError(f"{label}: {text}", expected=range_text(low, high, unit), remedy=tr("Correct this value"))
        return int(number) if self._whole else number

    def set_value(self, value: Optional[float]) -> None:
        """Show ``value``; None empties the field."""
        self.setText("" if value is None else format_number(value, str(QLocale().decimalPoint())))

    def problem(self) -> str:
        """What is wrong with the text, or nothing."""
        try:
            self.value()
        except ConfigError as error:
            return str(error)
        return ""

    def _check(self) -> None:
        problem = self.problem()
        self.setStyleSheet(_WRONG_STYLE if problem else "")
        self.valueChanged.emit()

    def _echo(self) -> None:
        if not self.problem() and self.text().strip():
            self.set_value(self.value())


def range_text(low: Optional[float], high: Optional[float], unit: str = "") -> str:
    """What a rule allows, in words: '1 to 10000 steps', 'at least 0'."""
    ends = [None if end is None else f"{end:g}" for end in (low, high)]
    unit = f" {unit}" if unit else ""
    if ends[0] is not None and ends[1] is not None:
        return tr("{low} to {high}").format(low=ends[0], high=ends[1]) + unit
    if ends[0] is not None:
        return tr("at least {low}").format(low=ends[0]) + unit
    return tr("at most {high}").format(high=ends[1]) + unit if ends[1] is not None else ""
