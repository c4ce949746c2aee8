"""Frozen job configurations: one dataclass gives the JSON, its schema, the validation and the form on screen.

A field is declared once with :func:`setting`; label, unit, range, choices and help stand beside the default. The worker
validates with it, ``freshet schema`` prints it, dialogs and Processing algorithms render it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Optional, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError

C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Rule:
    """What a value must be and how a person is told of it.

    ``minimum`` and ``maximum`` are inclusive; ``choices`` are the only values allowed; ``unit`` is printed behind the
    value; ``empty`` says what an empty field means. ``only_with`` names another field of the same configuration and the
    values of it with which this one is read; forms leave it out with others.
    """

    label: str
    help: str
    unit: str = ""
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    choices: tuple = ()
    empty: str = ""
    advanced: bool = False
    only_with: tuple = ()


def setting(default: Any = MISSING, *, label: str, help: str, **rule: Any) -> Any:
    """Declare a field of a :class:`Config`. Without ``default`` the field is required."""
    metadata = {"rule": Rule(label=label, help=help, **rule)}
    if default is MISSING:
        return field(metadata=metadata)
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    if isinstance(default, type) and is_dataclass(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Base of every configuration. Subclasses are frozen dataclasses; ``__post_init__`` validates once."""

    def __post_init__(self) -> None:
        for name, hint in type_hints(type(self)).items():
            value = check_value(hint, getattr(self, name), rule_of(type(self), name), f"{_title(type(self))}.{name}")
            object.__setattr__(self, name, value)
        self.check()

    def check(self) -> None:
        """Contradictions between fields; raise :class:`ConfigError`. Subclasses override."""

    @classmethod
    def from_dict(cls: type[C], values: dict[str, Any]) -> C:
        """Build from plain JSON values. Unknown and missing keys are refused by name."""
        return _build(cls, values, _title(cls))

    @classmethod
    def from_json(cls: type[C], text: str) -> C:
        """Build from JSON text; broken JSON is reported with its line and column."""
        return cls.from_dict(parse_json(text, _title(cls)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``from_dict`` of the result equals ``self``."""
        return _plain(self)

    def to_json(self) -> str:
        """JSON text, indented, keys in the order of the fields."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def replace(self: C, **changes: Any) -> C:
        """A copy with some fields changed, validated again."""
        return dataclasses.replace(self, **changes)


def parse_json(text: str, what: str) -> Any:
    """Parse JSON, or raise :class:`ConfigError` that names the place of the fault."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{what} is not valid JSON",
            got=f"{error.msg} at line {error.lineno}, column {error.colno}",
            remedy="Mend the file, or write a new one from the schema (freshet schema VERB)",
        ) from error


def rule_of(cls: type, name: str) -> Optional[Rule]:
    """The :class:`Rule` of field ``name``, or None where the field was declared without one."""
    for item in fields(cls):
        if item.name == name:
            return item.metadata.get("rule")
    raise ConfigError(f"{_title(cls)} has no field called '{name}'", expected=", ".join(f.name for f in fields(cls)))


def type_hints(cls: type) -> dict[str, Any]:
    """Resolved types of the dataclass fields of ``cls``, in order."""
    hints = get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


def check_value(hint: Any, value: Any, rule: Optional[Rule], where: str) -> Any:
    """``value`` brought to the type ``hint`` and held against ``rule``; raises :class:`ConfigError` that names
    ``where``.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Union and type(None) in args:
        inner = next(arg for arg in args if arg is not type(None))
        return None if value is None else check_value(inner, value, rule, where)
    if origin is tuple:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise _wrong(where, "a list", value)
        items = tuple(value)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(check_value(args[0], item, rule, f"{where}[{i}]") for i, item in enumerate(items))
        if len(items) != len(args):
            raise _wrong(where, f"{len(args)} values", value)
        return tuple(check_value(arg, item, rule, f"{where}[{i}]") for i, (arg, item) in enumerate(zip(args, items)))
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object with keys", value)
        return {str(key): check_value(args[1], item, rule, f"{where}.{key}") for key, item in value.items()}
    if hint is Any:
        return _plain(value)  # as JSON would give it back, so that a copy by way of a file is equal
    if is_dataclass(hint):
        return value if isinstance(value, hint) else _build(hint, value, where)
    return _check_rule(_check_scalar(hint, value, where), rule, where)


def json_schema(cls: type) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a :class:`Config`, with units and help as descriptions."""
    schema = _object_schema(cls)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": _title(cls), **schema}


def _build(cls: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise _wrong(where, "an object with keys", values)
    known = {item.name: item for item in fields(cls)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(
            f"{where}: unknown key{'s' if len(unknown) > 1 else ''} {', '.join(repr(key) for key in unknown)}",
            expected=", ".join(known),
            remedy="Remove the key or correct its spelling",
        )
    missing = [n for n, f in known.items() if n not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ConfigError(
            f"{where}: missing key{'s' if len(missing) > 1 else ''} {', '.join(repr(key) for key in missing)}",
            remedy="Add it; 'freshet schema VERB' explains every key",
        )
    hints = type_hints(cls)
    return cls(**{n: check_value(hints[n], v, rule_of(cls, n), f"{where}.{n}") for n, v in values.items()})


def _check_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is bool:
        if not isinstance(value, bool):
            raise _wrong(where, "true or false", value)
        return value
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not float(value).is_integer():
            raise _wrong(where, "a whole number", value)
        return int(value)
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise _wrong(where, "a finite number", value)
        return float(value)
    if hint is str:
        if not isinstance(value, str):
            raise _wrong(where, "a text", value)
        return value
    raise TypeError(f"{where}: a configuration cannot hold {hint!r}")


def _check_rule(value: Any, rule: Optional[Rule], where: str) -> Any:
    if rule is None:
        return value
    unit = f" {rule.unit}" if rule.unit else ""
    if rule.choices and value not in rule.choices:
        raise _wrong(where, "one of " + ", ".join(str(choice) for choice in rule.choices), value)
    if rule.minimum is not None and isinstance(value, (int, float)) and value < rule.minimum:
        raise _wrong(where, f"at least {rule.minimum:g}{unit}", value)
    if rule.maximum is not None and isinstance(value, (int, float)) and value > rule.maximum:
        raise _wrong(where, f"at most {rule.maximum:g}{unit}", value)
    return value


def _wrong(where: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{where} is not usable", expected=expected, got=repr(value), remedy="Correct this value")


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _object_schema(cls: type) -> dict[str, Any]:
    properties, required = {}, []
    for item, hint in zip(fields(cls), type_hints(cls).values()):
        rule = item.metadata.get("rule")
        entry = _type_schema(hint, rule)
        if rule is not None:
            entry["title"] = rule.label
            entry["description"] = rule.help + (f" Unit: {rule.unit}." if rule.unit else "")
        if item.default is not MISSING:
            entry["default"] = _plain(item.default)
        elif item.default_factory is not MISSING:
            entry["default"] = _plain(item.default_factory())
        else:
            required.append(item.name)
        properties[item.name] = entry
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _type_schema(hint: Any, rule: Optional[Rule]) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Union:
        inner = _type_schema(next(arg for arg in args if arg is not type(None)), rule)
        return {"anyOf": [inner, {"type": "null"}]}
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"type": "array", "items": _type_schema(args[0], rule)}
        items = [_type_schema(arg, rule) for arg in args]
        return {"type": "array", "prefixItems": items, "minItems": len(args), "maxItems": len(args)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type_schema(args[1], rule)}
    if is_dataclass(hint):
        return _object_schema(hint)
    if hint is Any:
        return {}
    entry: dict[str, Any] = {"type": {bool: "boolean", int: "integer", float: "number", str: "string"}[hint]}
    if rule is not None:
        if rule.choices:
            entry["enum"] = list(rule.choices)
        if rule.minimum is not None and hint in (int, float):
            entry["minimum"] = rule.minimum
        if rule.maximum is not None and hint in (int, float):
            entry["maximum"] = rule.maximum
    return entry


def _title(cls: type) -> str:
    return cls.__name__
