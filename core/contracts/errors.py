"""One family of errors whose message says what was expected, what came and what to do.

Every error that a person can cause is a :class:`FreshetError`. The same sentence is shown in a dialog, by a
Processing algorithm and on the command line, so it is written once, where the fault is noticed.
"""

from __future__ import annotations


class FreshetError(Exception):
    """A fault that a person can mend.

    Parameters
    ----------
    problem : str
        What is wrong, as a sentence without jargon ("The target is also an input.").
    expected, got : str
        What Freshet expected and what it found instead; either may be empty.
    remedy : str
        The next thing to do, as an imperative sentence.
    """

    def __init__(self, problem: str, *, expected: str = "", got: str = "", remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.got = got
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [_sentence(self.problem)]
        if self.expected:
            parts.append(_sentence(f"Expected: {self.expected}"))
        if self.got:
            parts.append(_sentence(f"Found: {self.got}"))
        if self.remedy:
            parts.append(_sentence(self.remedy))
        return " ".join(parts)

    def to_dict(self) -> dict[str, str]:
        """The error as plain strings, for an event or a log."""
        return {
            "kind": type(self).__name__,
            "problem": self.problem,
            "expected": self.expected,
            "got": self.got,
            "remedy": self.remedy,
        }


class ConfigError(FreshetError, ValueError):
    """A job asks for something that cannot be: an unknown key, a value out of range, a contradiction."""


class DataError(FreshetError, ValueError):
    """A source or a dataset cannot be used as asked: missing, undated, without CRS, empty."""


class ModelFileError(FreshetError, ValueError):
    """A model file is not ours, truncated, altered, or does not fit the data at hand."""


class EngineError(FreshetError, RuntimeError):
    """The engine's Python is missing, lacks a library, or its device does not work."""


class RunError(FreshetError, RuntimeError):
    """A run cannot go on: its folder is in use, its worker died, its numbers are no longer finite."""


class Cancelled(Exception):
    """The person asked for the run to stop. Not a fault: nothing is wrong and nothing is lost."""


_KINDS = {kind.__name__: kind for kind in (FreshetError, ConfigError, DataError, ModelFileError, EngineError, RunError)}


def error_from_dict(values: dict[str, str]) -> FreshetError:
    """Rebuild an error that crossed the border between engine and QGIS; an unknown kind becomes the root one."""
    kind = _KINDS.get(values.get("kind", ""), FreshetError)
    return kind(
        values.get("problem", "Something went wrong"),
        expected=values.get("expected", ""),
        got=values.get("got", ""),
        remedy=values.get("remedy", ""),
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else text + "."
