"""A filter in plain words, its brackets such that it can be read in one way only."""

from __future__ import annotations

from collections.abc import Iterator

from metering_duck.calls.page_text import listed, quoted, written
from metering_duck.contract.filters import OPERATORS, Filter

# Operator → words; {} is the text that is compared with, in quotes, or the number.
WORDS = {
    "equals": "is {}",
    "notEquals": "is not {}",
    "in": "is one of {}",
    "notIn": "is none of {}",
    "exists": "is there",
    "missing": "is not there",
    "prefix": "begins with {}",
    "contains": "contains {}",
    "matches": "has a part that fits the regular expression {}",
    "gt": "is more than {}",
    "gte": "is at least {}",
    "lt": "is less than {}",
    "lte": "is at most {}",
}
_NUMBERS = {"gt", "gte", "lt", "lte"}
# What holds of a property that is not there, too (`missing` says so by itself).
_OR_ABSENT = {"notEquals", "notIn"}


def filter_words(chosen: Filter) -> str:
    """A filter in words: what is combined stands in brackets, unless it is a single condition."""
    if chosen.not_ is not None:
        return f"it is not so that ({filter_words(chosen.not_)})"
    for combined, word in ((chosen.and_, " and "), (chosen.or_, " or ")):
        if combined:
            return word.join(_bracketed(inner) for inner in combined)
    return _tested(chosen)


def _bracketed(inner: Filter) -> str:
    """A filter inside another one."""
    words = filter_words(inner)
    is_single = not inner.inner and len(_operators(inner)) == 1
    return words if is_single else f"({words})"


def _operators(chosen: Filter) -> dict[str, object]:
    """Operator → value, of the conditions on one property or field."""
    return {key: value for key, value in chosen.given.items() if key in OPERATORS}


def _tested(chosen: Filter) -> str:
    """The conditions on one property or field; each event has the fields."""
    name = f"the event's {chosen.field}" if chosen.property is None else quoted(chosen.property)
    conditions = []
    for key, value in _operators(chosen).items():
        words = WORDS[key].format(_value(key, value))
        is_or_absent = key in _OR_ABSENT and chosen.property is not None
        conditions.append(f"{words} (or not there)" if is_or_absent else words)
    return f"{name} {' and '.join(conditions)}"


def _value(operator: str, value: object) -> str:
    """What a condition compares with."""
    if isinstance(value, tuple):
        return listed(value)
    return written(str(value)) if operator in _NUMBERS else quoted(str(value))


def denied_words(chosen: Filter) -> str:
    """Which conditions do not hold, for a filter that counts what they do not hold of; else ""."""
    denied = [inner for inner in _with_inner(chosen) if inner.not_ is not None]
    operators = {key for outer in denied for inner in _with_inner(outer) for key in _operators(inner)}
    words = []
    if any(inner.properties for inner in denied):
        words.append("a condition does not hold of a property that is not there, unless it says so")
    if operators & _NUMBERS:
        words.append("a comparison with a number only holds of a number")
    return "; ".join(words)


def _with_inner(chosen: Filter) -> Iterator[Filter]:
    """A filter and all that are inside it."""
    yield chosen
    for inner in chosen.inner.values():
        yield from _with_inner(inner)
