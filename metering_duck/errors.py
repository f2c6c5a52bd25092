"""Everything metering-duck raises, in one voice: *where: what was found; what was expected. hint.*

    MeteringError
    ├── ConfigError        the config, an option or an argument is wrong (exit code 2)
    ├── SchemaError        an input lacks a column, or a column has a type that cannot be used
    ├── SourceError        an input cannot be found, read or told apart
    ├── RejectedEvents     strict was asked for, and something was rejected or in conflict (exit code 3)
    ├── LedgerError        a ledger cannot be opened or written, is not what it was, or does not have what is asked for
    ├── QuantityOverflow   an exact result has more digits than its column (R18)
    ├── Interrupted        the caller stopped the run
    └── StageError         our bug: a stage failed on input that it should have accepted

All but the last are the caller's to mend, and say how. This module imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN_AT_MOST = 5


class MeteringError(Exception):
    """The root of the tree: catch it to catch all that metering-duck raises on purpose."""


class ConfigError(MeteringError):
    """A config, option or argument is wrong; `problems` holds every fault found, each with its path."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__(first_few(self.problems, separator="\n"))


class SchemaError(MeteringError):
    """An input's columns do not fit: `column` is the one, `expected` and `found` say what and what instead."""

    def __init__(self, where: str, column: str, *, found: str, expected: str, hint: str) -> None:
        self.where, self.column, self.found, self.expected, self.hint = where, column, found, expected, hint
        super().__init__(f"{where}: column {column}: found {found}; expected {expected}. hint: {hint}")


class SourceError(MeteringError):
    """An input cannot be found, read, or told apart."""


class RejectedEvents(MeteringError):
    """Strict was asked for and some events were rejected or in conflict; `result` still holds the whole answer."""

    def __init__(self, message: str, result: object) -> None:
        self.result = result
        super().__init__(message)


class LedgerError(MeteringError):
    """A ledger is in use, damaged, of another version, or has not what is asked for; what it holds stays as it is."""


class QuantityOverflow(MeteringError):
    """An exact result does not fit its DECIMAL (R18); names the unit, the subject and the window."""


class Interrupted(MeteringError):
    """The run was stopped by its caller; nothing was written."""


class StageError(MeteringError):
    """Our bug: a stage failed. Holds the stage, its SQL and its parameters, for the report."""

    def __init__(self, stage: str, sql: str, parameters: dict[str, object], cause: str) -> None:
        self.stage, self.sql, self.parameters = stage, sql, parameters
        super().__init__(
            f"stage {stage}: {cause}; expected it to run. "
            "hint: this is a bug in metering-duck; please report it with the output of `metering-duck compile`."
        )


def first_few(items: Iterable[str], separator: str = ", ") -> str:
    """The first five, and how many more."""
    listed = list(items)
    more = len(listed) - SHOWN_AT_MOST
    return separator.join(listed[:SHOWN_AT_MOST]) + (f"{separator}and {more} more" if more > 0 else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean "x"?' when a known name is close, else the list of known names."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known: {first_few(known)}."


def a_kind(value: object) -> str:
    """ "an int", "a list": the kind of thing a value is; None is None."""
    if value is None:
        return "None"
    if isinstance(value, bytes):
        return "bytes"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def visible(text: str) -> str:
    """Text in which control characters, which could steer a terminal, are shown as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in text)
