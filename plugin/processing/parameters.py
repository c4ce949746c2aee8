"""Parameters of algorithms, declared from the rules of the job configurations and read back as plain values."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import MISSING, dataclass
from typing import Any, Optional, Union, get_args, get_origin

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProperty,
)

from ...core.contracts import Config, PeriodConfig, Rule
from ...core.contracts.config import parse_json, rule_of, type_hints

_FILTERS = {
    "model": "Model or ensemble (*.safetensors ensemble.json)",
    "dataset": "Dataset (*.nc)",
    "foreign": "Model of Keras or PyTorch (*.keras *.h5 *.hdf5 *.pt *.pth)",
    "table": "JSON (*.json)",
}


@dataclass(frozen=True)
class Entry:
    """One field of a job as a parameter of an algorithm.

    ``kind``: text, texts (comma-separated), wholes (numbers, likewise), json, whole, number, flag, choice, choices
    (several), model, models, dataset, datasets, foreign (a model of another library), table (a JSON file). ``field`` is
    the name of the field.
    """

    name: str
    field: str
    kind: str
    rule: Rule
    default: Any = None
    optional: bool = True
    choices: tuple[str, ...] = ()

    def definition(self) -> QgsProcessingParameterDefinition:
        """The parameter for QGIS, with its help and whether it is advanced."""
        return finish(_MAKERS[self.kind](self), help_of(self.rule), self.rule.advanced)

    def read(self, algorithm: QgsProcessingAlgorithm, values: dict, context: QgsProcessingContext) -> Any:
        """The value as the job wants it; None where nothing was given to an optional number."""
        return _READERS[self.kind](self, algorithm, values, context)


def entry(cls: type[Config], field: str, name: str = "", kind: str = "", **changes: Any) -> Entry:
    """The parameter of one field of a configuration; its kind follows from the field's type where none is given."""
    rule = rule_of(cls, field)
    item = next(item for item in dataclasses.fields(cls) if item.name == field)
    required = item.default is MISSING and item.default_factory is MISSING
    default = None if required else item.default if item.default is not MISSING else item.default_factory()
    hint = type_hints(cls)[field]
    found = kind or _kind_of(hint, rule)
    values = {"default": default, "optional": not required, "choices": tuple(map(str, rule.choices)), **changes}
    return Entry(name or field.upper(), field, found, rule, **values)


def entries(cls: type[Config], names: Iterable[str] = (), **renamed: str) -> list[Entry]:
    """Parameters of several fields (all where ``names`` is empty); ``renamed`` maps fields to other names."""
    wanted = list(names) or [item.name for item in dataclasses.fields(cls)]
    return [entry(cls, field, renamed.get(field, "")) for field in wanted]


def period_entries(cls: type[Config], field: str, prefix: str = "") -> list[Entry]:
    """Start and end of a period of a job, named after it, as two texts; ``prefix`` tells several apart."""
    rule = rule_of(cls, field)
    words = {"start": "from", "end": "to"}
    return [
        dataclasses.replace(
            entry(PeriodConfig, part, f"{prefix}_{part}".strip("_").upper()),
            field=f"{prefix}_{part}".strip("_"),
            rule=dataclasses.replace(
                rule_of(PeriodConfig, part), label=f"{rule.label}: {word}", help=f"{rule.help} First and last count."
            ),
        )
        for part, word in words.items()
    ]


def take_period(fields: dict[str, Any], prefix: str = "") -> PeriodConfig:
    """The period among ``fields``, removed from them."""
    start, end = (fields.pop(f"{prefix}_{part}".strip("_")) for part in ("start", "end"))
    return PeriodConfig(start, end)


def help_of(rule: Rule) -> str:
    """The help of a parameter: its sentence, its unit and its range."""
    parts = [rule.help]
    if rule.unit:
        parts.append(f"Unit: {rule.unit}.")
    if rule.minimum is not None and rule.maximum is not None:
        parts.append(f"From {rule.minimum:g} to {rule.maximum:g}.")
    elif rule.minimum is not None:
        parts.append(f"At least {rule.minimum:g}.")
    if rule.choices:
        parts.append("One of: " + ", ".join(str(choice) or "(empty)" for choice in rule.choices) + ".")
    return " ".join(parts)


def finish(
    definition: QgsProcessingParameterDefinition, text: str, advanced: bool = False
) -> QgsProcessingParameterDefinition:
    """Give a definition its help and its place among the advanced ones."""
    definition.setHelp(text)
    if advanced:
        definition.setFlags(definition.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return definition


def absolute(path: str) -> str:
    """An absolute path; jobs are read in the run folder, where a relative one would mean another file."""
    return os.path.abspath(os.path.expanduser(path)) if path else ""


def split_names(text: str) -> tuple[str, ...]:
    """Names in a comma-separated text."""
    return tuple(part.strip() for part in (text or "").replace(";", ",").split(",") if part.strip())


def many_choices(
    algorithm: QgsProcessingAlgorithm, name: str, choices: tuple[str, ...], values: dict, context: QgsProcessingContext
) -> tuple[str, ...]:
    """Names chosen of several, given as list or text, by name or by number; one that is not known stays as it is, so
    that the job refuses it. QGIS would put the default in its place.
    """
    given = values.get(name)
    if given is None or isinstance(given, QgsProperty):
        return tuple(algorithm.parameterAsEnumStrings(values, name, context))
    if isinstance(given, str):
        given = split_names(given)
    items = [str(item) for item in (given if isinstance(given, (list, tuple)) else [given])]
    return tuple(choices[int(i)] if i.isdigit() and int(i) < len(choices) else i for i in items)


def read_json(text: str, what: str) -> Any:
    """JSON typed by a person, or read from the file that it names; {} where it is empty. ConfigError with the place of
    a fault.
    """
    text = (text or "").strip()
    if text and not text.startswith(("{", "[")) and os.path.isfile(text):
        with open(text, encoding="utf-8") as handle:
            text = handle.read()
    return parse_json(text, what) if text else {}


def _kind_of(hint: Any, rule: Rule) -> str:
    if get_origin(hint) is Union:
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is tuple:
        return "wholes" if int in get_args(hint) else "texts"
    if get_origin(hint) is dict:
        return "json"
    if hint is str:
        return "choice" if rule.choices else "text"
    return {bool: "flag", int: "whole", float: "number"}[hint]


def _label(item: Entry) -> str:
    return f"{item.rule.label} ({item.rule.unit})" if item.rule.unit else item.rule.label


def _text(item: Entry) -> QgsProcessingParameterString:
    return QgsProcessingParameterString(item.name, _label(item), item.default or None, False, item.optional)


def _texts(item: Entry) -> QgsProcessingParameterString:
    return QgsProcessingParameterString(
        item.name, _label(item), ", ".join(item.default or ()) or None, False, item.optional
    )


def _wholes(item: Entry) -> QgsProcessingParameterString:
    default = ", ".join(str(number) for number in item.default or ())
    return QgsProcessingParameterString(item.name, _label(item), default or None, False, item.optional)


def _json(item: Entry) -> QgsProcessingParameterString:
    default = json.dumps(item.default) if item.default else None
    return QgsProcessingParameterString(item.name, f"{_label(item)} (JSON)", default, True, item.optional)


def _number(item: Entry, kind: Any) -> QgsProcessingParameterNumber:
    made = QgsProcessingParameterNumber(item.name, _label(item), kind, item.default, item.optional)
    if item.rule.minimum is not None:
        made.setMinimum(item.rule.minimum)
    if item.rule.maximum is not None:
        made.setMaximum(item.rule.maximum)
    return made


def _choice(item: Entry) -> QgsProcessingParameterEnum:
    return QgsProcessingParameterEnum(
        item.name, _label(item), list(item.choices), False, item.default, item.optional, True
    )


def _choices(item: Entry) -> QgsProcessingParameterEnum:
    return QgsProcessingParameterEnum(
        item.name, _label(item), list(item.choices), True, list(item.default), item.optional, True
    )


def _file(item: Entry) -> QgsProcessingParameterFile:
    behaviour = QgsProcessingParameterFile.Behavior.File
    made = QgsProcessingParameterFile(item.name, _label(item), behaviour, "", item.default, item.optional)
    made.setFileFilter(f"{_FILTERS[item.kind]};;All files (*)")
    return made


def _files(item: Entry) -> QgsProcessingParameterMultipleLayers:
    return QgsProcessingParameterMultipleLayers(item.name, _label(item), _type_file(), None, item.optional)


def _type_file() -> Any:
    return QgsProcessing.SourceType.TypeFile if hasattr(QgsProcessing, "SourceType") else QgsProcessing.TypeFile


def _read_number(item: Entry, algorithm: Any, values: dict, context: Any) -> Optional[float]:
    if values.get(item.name) is None and item.default is None:
        return None
    whole = item.kind == "whole"
    # As a float first: 2.5 for a whole number must be refused by the rule, not cut to 2.
    found = algorithm.parameterAsDouble(values, item.name, context)
    return int(found) if whole and float(found).is_integer() else found


def _read_choice(item: Entry, algorithm: Any, values: dict, context: Any) -> str:
    given = values.get(item.name)
    if given is None or isinstance(given, QgsProperty):
        return algorithm.parameterAsEnumString(values, item.name, context)
    return choice_name(item, given)


def _read_wholes(item: Entry, algorithm: Any, values: dict, context: Any) -> tuple[Any, ...]:
    """What is no number stays a text, so that the job refuses it."""
    parts = split_names(algorithm.parameterAsString(values, item.name, context))
    return tuple(int(part) if part.lstrip("-").isdigit() else part for part in parts)


def choice_name(item: Entry, given: Any) -> str:
    """The choice itself; the help of qgis_process speaks of numbers of options, so a number is understood too."""
    text = str(given)
    return (
        item.choices[int(text)]
        if text not in item.choices and text.isdigit() and int(text) < len(item.choices)
        else text
    )


def _read_files(item: Entry, algorithm: Any, values: dict, context: Any) -> tuple[str, ...]:
    return tuple(absolute(path) for path in algorithm.parameterAsFileList(values, item.name, context) if path)


_MAKERS = {
    "text": _text,
    "texts": _texts,
    "wholes": _wholes,
    "json": _json,
    "whole": lambda item: _number(item, QgsProcessingParameterNumber.Type.Integer),
    "number": lambda item: _number(item, QgsProcessingParameterNumber.Type.Double),
    "flag": lambda item: QgsProcessingParameterBoolean(item.name, _label(item), item.default, item.optional),
    "choice": _choice,
    "choices": _choices,
    "model": _file,
    "dataset": _file,
    "foreign": _file,
    "table": _file,
    "datasets": _files,
    "models": _files,
}
_READERS = {
    "text": lambda item, algorithm, values, context: algorithm.parameterAsString(values, item.name, context).strip(),
    "texts": lambda item, algorithm, values, context: split_names(
        algorithm.parameterAsString(values, item.name, context)
    ),
    "wholes": _read_wholes,
    "json": lambda item, algorithm, values, context: read_json(
        algorithm.parameterAsString(values, item.name, context), item.rule.label
    ),
    "whole": _read_number,
    "number": _read_number,
    "flag": lambda item, algorithm, values, context: algorithm.parameterAsBool(values, item.name, context),
    "choice": _read_choice,
    "choices": lambda item, algorithm, values, context: many_choices(
        algorithm, item.name, item.choices, values, context
    ),
    "model": lambda item, algorithm, values, context: absolute(algorithm.parameterAsString(values, item.name, context)),
    **dict.fromkeys(
        ("dataset", "foreign", "table"),
        lambda item, algorithm, values, context: absolute(algorithm.parameterAsString(values, item.name, context)),
    ),
    "datasets": _read_files,
    "models": _read_files,
}
