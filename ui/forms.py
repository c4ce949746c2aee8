"""One renderer of forms: fields of a :class:`Config` or options of a model family become labelled widgets with help.

What a field is, its unit, range and help are data in :mod:`core.contracts`; nothing of it is written here again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass
from typing import Any, Iterable, Optional, Union, get_args, get_origin

from qgis.PyQt.QtCore import QLocale, pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from ..core.contracts.config import Rule, rule_of, type_hints
from ..core.contracts.errors import ConfigError
from ..core.contracts.models import Family
from .numbers import NumberEdit, format_number, parse_number, range_text
from .text import tr
from .widgets import Notice, narrow


@dataclass(frozen=True)
class Field:
    """What the renderer needs to know of one field."""

    name: str
    type: Any
    default: Any
    rule: Rule


def config_fields(cls: type, names: Optional[Iterable[str]] = None) -> list[Field]:
    """The fields of a :class:`Config` that a form can show (nested configurations and free objects are left out)."""
    hints, found = type_hints(cls), []
    for item in dataclasses.fields(cls):
        rule = rule_of(cls, item.name)
        if rule is None or (names is not None and item.name not in set(names)) or not _can_show(hints[item.name]):
            continue
        default = item.default if item.default is not MISSING else None
        found.append(Field(item.name, hints[item.name], default, rule))
    return found


def family_fields(family: Family) -> list[Field]:
    """The options of a model family."""
    return [Field(option.name, option.type, option.default, option.rule) for option in family.options]


class Form(QWidget):
    """Labelled widgets for ``fields``; ``part`` is "all", "common" or "advanced".

    Object names begin with ``prefix``.
    """

    changed = pyqtSignal()

    def __init__(self, fields: list[Field], prefix: str, part: str = "all", parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(prefix)
        self._fields = [f for f in fields if part == "all" or f.rule.advanced == (part == "advanced")]
        self.editors: dict[str, QWidget] = {}
        self._notices: dict[str, Notice] = {}
        self._left_out: set[str] = set()
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for item in self._fields:
            self._add(layout, item, prefix)

    def values(self) -> dict[str, Any]:
        """Name and value of every field, of rows that are left out the default; raises :class:`ConfigError` for the
        first that cannot be read.
        """
        return {
            item.name: item.default if item.name in self._left_out else _read(self.editors[item.name], item)
            for item in self._fields
        }

    def set_values(self, values: dict[str, Any]) -> None:
        """Show ``values``; names that the form does not have are ignored."""
        for item in self._fields:
            if item.name in values:
                _write(self.editors[item.name], values[item.name])

    def reset(self) -> None:
        """Back to the defaults."""
        self.set_values({item.name: item.default for item in self._fields})

    def show_row(self, name: str, shown: bool) -> None:
        """Show the row of a field, or leave it out; what a person put in is kept."""
        editor = self.editors[name]
        editor.setVisible(shown)
        self.layout().labelForField(editor).setVisible(shown)
        (self._left_out.discard if shown else self._left_out.add)(name)
        if not shown:
            self.say(name, "")

    def chosen(self) -> dict[str, Any]:
        """Name and value of the fields that are chosen from a list."""
        return {name: editor.currentData() for name, editor in self.editors.items() if isinstance(editor, QComboBox)}

    def follow(self, chosen: dict[str, Any]) -> None:
        """Show the rows that are read with these choices, and leave out those that are not."""
        for item in self._fields:
            if item.rule.only_with:
                name, *values = item.rule.only_with
                self.show_row(item.name, chosen.get(name) in values)

    def tell(self, field: str, sentence: str) -> None:
        """Put a sentence below ``field`` where the form has it, and take all others away."""
        for name in self.editors:
            self.say(name, sentence if name == field else "")

    def say(self, name: str, sentence: str) -> None:
        """A sentence right below a field: what is wrong with it and what to do; empty takes it away."""
        if name not in self._notices:
            if not sentence:
                return
            self._notices[name] = Notice(f"{self.objectName()}_{name}_notice")
            row, _ = self.layout().getWidgetPosition(self.editors[name])
            self.layout().insertRow(row + 1, self._notices[name])
        self._notices[name].say(sentence, "error")

    def _add(self, layout: QFormLayout, item: Field, prefix: str) -> None:
        editor = _make(item)
        editor.setObjectName(f"{prefix}_{item.name}")
        help_text = help_of(item.rule)
        label = QLabel(label_of(item.rule))
        label.setObjectName(f"{prefix}_{item.name}_label")
        label.setBuddy(editor)
        for widget in (editor, label):
            widget.setToolTip(help_text)
            widget.setWhatsThis(help_text)
        editor.setAccessibleName(item.rule.label)
        _write(editor, item.default)
        _changes(editor).connect(lambda *_: self.changed.emit())
        self.editors[item.name] = editor
        layout.addRow(label, editor)


def label_of(rule: Rule) -> str:
    """The label of a field with its unit."""
    return f"{tr(rule.label)} ({rule.unit})" if rule.unit else tr(rule.label)


def help_of(rule: Rule) -> str:
    """One sentence of help, and the range where there is one."""
    allowed = range_text(rule.minimum, rule.maximum, rule.unit)
    return tr(rule.help) + (" " + tr("Range: {range}.").format(range=allowed) if allowed else "")


def _can_show(hint: Any) -> bool:
    inner = _inner(hint)
    return inner in (int, float, bool, str) or (get_origin(inner) is tuple and get_args(inner)[0] in (int, float, str))


def _inner(hint: Any) -> Any:
    if get_origin(hint) is Union and type(None) in get_args(hint):
        return next(arg for arg in get_args(hint) if arg is not type(None))
    return hint


def _make(item: Field) -> QWidget:
    inner = _inner(item.type)
    optional = inner is not item.type
    if inner is bool:
        return QCheckBox(tr("yes"))
    if item.rule.choices and get_origin(inner) is not tuple:
        combo = narrow(QComboBox())
        for choice in item.rule.choices:
            combo.addItem(str(choice) or tr("as the catalogue says"), choice)
        return combo
    if inner in (int, float):
        edit = NumberEdit(item.rule, inner is int, optional)
        edit.setPlaceholderText((tr(item.rule.empty) if item.rule.empty else tr("none")) if optional else "")
        return edit
    return QLineEdit()


def _read(editor: QWidget, item: Field) -> Any:
    if isinstance(editor, QCheckBox):
        return editor.isChecked()
    if isinstance(editor, QComboBox):
        return editor.currentData()
    if isinstance(editor, NumberEdit):
        return editor.value()
    inner = _inner(item.type)
    if get_origin(inner) is tuple:
        return _read_list(editor.text(), get_args(inner)[0], item.rule)
    return editor.text().strip()


def _read_list(text: str, kind: type, rule: Rule) -> tuple:
    """Items between commas, semicolons or spaces; whole numbers where ``kind`` is int."""
    parts = text.replace(";", " ").replace(",", " ").split() if kind is not float else text.replace(";", " ").split()
    if kind is str:
        return tuple(parts)
    values = [parse_number(part) for part in parts]
    if kind is int and not all(value.is_integer() for value in values):
        raise ConfigError(f"{rule.label}: {text}", expected=tr("whole numbers, such as 32, 64"))
    return tuple(int(value) if kind is int else value for value in values)


def _write(editor: QWidget, value: Any) -> None:
    if isinstance(editor, QCheckBox):
        editor.setChecked(bool(value))
    elif isinstance(editor, QComboBox):
        editor.setCurrentIndex(max(0, editor.findData(value)))
    elif isinstance(editor, NumberEdit):
        editor.set_value(value)
    elif isinstance(value, (tuple, list)):
        sign = "; " if any(isinstance(part, float) for part in value) else ", "
        decimal = str(QLocale().decimalPoint())
        editor.setText(sign.join(format_number(part, decimal) if not isinstance(part, str) else part for part in value))
    else:
        editor.setText("" if value is None else str(value))


def _changes(editor: QWidget) -> Any:
    if isinstance(editor, QCheckBox):
        return editor.toggled
    if isinstance(editor, QComboBox):
        return editor.currentIndexChanged
    return editor.valueChanged if isinstance(editor, NumberEdit) else editor.textChanged
