"""Everything metering-duck raises, in one voice: *where: what was found; what was expected. hint.*

    MeteringError
    ├── ConfigError        the config, an option or an argument is wrong (exit code 2)
    ├── SchemaError        an input lacks a column, or a column has a type that cannot be used
    ├── SourceError        an input cannot be found, read or told apart
    │   └── NothingThere   no file is where one was looked for
    ├── RejectedEvents     strict was asked for, and something was rejected or in conflict (exit code 3)
    ├── LedgerError        a ledger cannot be opened or written, is not what it was, or does not have what is asked for
    ├── QuantityOverflow   an exact result has more digits than its column (R18)
    ├── Interrupted        the caller stopped the run
    └── StageError         our bug: a stage failed on input that it should have accepted

All but the last are the caller's to mend, and say how. This module imports nothing that is large.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN_AT_MOST = 5
SPELLED_AT_MOST = 300


class MeteringError(Exception):
    """The root of the tree: catch it to catch all that metering-duck raises on purpose."""


class ConfigError(MeteringError):
    """A config, option or argument is wrong; `problems` holds every fault found, each with its path."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        if isinstance(problems, str):
            problems = [problems]
        self.problems = list(problems)
        super().__init__(first_few(self.problems, separator="\n"))


class SchemaError(MeteringError):
    """An input's `column` does not fit: `expected` says what it should be, `found` what it is instead."""

    def __init__(self, where: str, column: str, *, found: str, expected: str, hint: str) -> None:
        self.where, self.column, self.found, self.expected, self.hint = where, column, found, expected, hint
        super().__init__(f"{where}: column {column}: found {found}; expected {expected}. hint: {hint}")


class SourceError(MeteringError):
    """An input cannot be found, read, or told apart."""


class NothingThere(SourceError):
    """No file is where one was looked for; every other SourceError says that there is one, which cannot be read."""


class RejectedEvents(MeteringError):
    """Strict was asked for and some events were rejected or in conflict; `result` still holds the whole answer."""

    def __init__(self, message: str, result: object) -> None:
        self.result = result
        super().__init__(message)


class LedgerError(MeteringError):
    """A ledger is in use, damaged, of another version, or lacks what is asked for; its content stays as it is."""


class QuantityOverflow(MeteringError):
    """An exact result does not fit its DECIMAL (R18); names the unit, the subject and the window."""


class Interrupted(MeteringError):
    """The run was stopped by its caller; nothing was written."""


class StageError(MeteringError):
    """Our bug: a stage failed. Holds the stage, its SQL and its parameters, for the report."""

    def __init__(self, stage: str, sql: str, parameters: dict[str, object], cause: str) -> None:
        self.stage, self.sql, self.parameters, self.cause = stage, sql, parameters, cause
        super().__init__(
            f"stage {stage}: {cause}; expected it to run. "
            "hint: this is a bug in metering-duck; please report it with the output of `metering-duck compile`."
        )


def first_few(items: Iterable[str], separator: str = ", ") -> str:
    """The first five items as one text, and how many more there are."""
    listed = list(items)
    more = len(listed) - SHOWN_AT_MOST
    if more > 0:
        listed = [*listed[:SHOWN_AT_MOST], f"and {more} more"]
    return separator.join(listed)


def first_line(error: BaseException | str) -> str:
    """The first line of an error's text that is not blank, without its full stop; without text, the error's class."""
    for line in str(error).splitlines():
        if line.strip():
            return line.strip().rstrip(".")
    return "no reason was given" if isinstance(error, str) else type(error).__name__


# What the operating system refuses → what was expected, and the way out.
_WAYS_OUT = {
    errno.ENOSPC: "room on the disk. hint: make room there, or name another place, such as --temp-dir",
    errno.EDQUOT: "room on the disk. hint: make room there, or name another place, such as --temp-dir",
    errno.EFBIG: "that files may be as large. hint: ulimit -f unlimited, or another --temp-dir",
    errno.EMFILE: "that more files may be open at once. hint: ulimit -n 4096, or fewer files in one run",
    errno.ENFILE: "that more files may be open at once. hint: end other programs, or run again later",
    errno.EACCES: "a place that may be read and written. hint: look at the permissions of the folders above it, too",
    errno.EPERM: "a place that may be read and written. hint: look at the permissions of the folders above it, too",
    errno.EROFS: "a place that may be written. hint: another folder",
    errno.ELOOP: "a link that leads to a file. hint: look at it with ls -l",
    errno.ENAMETOOLONG: "a shorter name.",
    errno.ENOENT: "it to be there.",
    errno.EBADF: "it to be open.",
}
_MEMORY = "expected more. hint: a smaller --memory-limit, fewer --threads, or a larger ulimit -v"
_OF_MEMORY = re.compile(r".*(?:allocate|bad_alloc|failed to map|start new thread|out of memory).*", re.IGNORECASE)


def of_the_system(error: BaseException, where: str = "run") -> MeteringError | None:
    """The error of ours for what the operating system refuses: memory, files, room, permissions; None for others.

    `where` is the place, if the error does not name one.
    """
    said = first_line(error)
    of_memory = _OF_MEMORY.search(str(error)) if isinstance(error, ImportError | RuntimeError | OSError) else None
    if isinstance(error, MemoryError) or of_memory:
        return MeteringError(f"run: cannot get memory ({of_memory[0] if of_memory else said}); {_MEMORY}")
    if not isinstance(error, OSError):
        return None
    place = error.filename if isinstance(error.filename, str) and error.filename else where
    way_out = _WAYS_OUT.get(error.errno or 0, "to read and write there.")
    return SourceError(f"{place}: cannot be used ({error.strerror or said}); expected {way_out}")


def way_out_of(said: str) -> str | None:
    """What was expected, and the way out, where a text of a library says that a limit of the process is reached.

    A full disk is not among them: who writes knows best what is to be done.
    """
    if "surrogate" in said and "not allowed" in said:
        return "names that this process reads as UTF-8. hint: set PYTHONUTF8=1, or LC_ALL=C.UTF-8"
    limits = (errno.EFBIG, errno.EMFILE, errno.ENFILE)
    found = next((_WAYS_OUT[number] for number in limits if os.strerror(number) in said), None)
    return found.removesuffix(", or another --temp-dir") if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint 'did you mean "x"?' where a known name is close to `name`, else the list of known names."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {first_few(known)}."


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is close to `name` in any case of letters, begins with it, or has it as a word; else ""."""
    lowered = {one.lower(): one for one in reversed(list(known))}
    lower = name.lower()
    close = get_close_matches(name, lowered.values(), n=1) or get_close_matches(lower, lowered, n=1)
    if close:
        return lowered.get(close[0], close[0])
    words = [one for key, one in lowered.items() if lower and lower in re.split(r"\W|_", key)]
    begun = [one for key, one in lowered.items() if len(lower) > 2 and key.startswith(lower)]
    return next(reversed([*begun, *words]), "")


def a_kind(value: object) -> str:
    """The kind of thing that a value is, with its article, such as "an int" or "a list"; None is None."""
    if value is None:
        return "None"
    if isinstance(value, bytes):
        return "bytes"
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name}"


def spelled(value: object) -> str:
    """A value as Python spells it, cut where it is long; a number that Python refuses to spell is named."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of more than 4,300 digits"
    except RecursionError:
        return f"{a_kind(value)} that is nested too deep"
    return cut(text)


def cut(text: str, at_most: int = SPELLED_AT_MOST) -> str:
    """Text as it is, or so many characters of it where it is longer."""
    return text if len(text) <= at_most else f"{text[:at_most]}…"


def visible(text: str) -> str:
    """Text in which control characters, which could steer a terminal, are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "replace").decode()
