"""Filters by the rules, in plain Python: what passes, read straight off the config's JSON (R2).

Imports nothing from metering_duck and shares nothing with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from tests.oracle_values import QUANTITY


def passes(chosen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether an event passes a filter: all that one object says of a text, or a combination of filters."""
    if "and" in chosen:
        return all(passes(inner, row) for inner in chosen["and"])
    if "or" in chosen:
        return any(passes(inner, row) for inner in chosen["or"])
    if "not" in chosen:
        return not passes(chosen["not"], row)
    text = row[chosen["field"]] if "field" in chosen else row["properties"].get(chosen["property"])
    return all(holds(key, text, value) for key, value in chosen.items() if key not in ("property", "field"))


def holds(operator: str, text: str | None, value: Any) -> bool:
    """Whether one condition holds of a text; of an absent one only those that exclude do."""
    if text is None:
        return operator in ("notEquals", "notIn", "missing")
    if operator in ("gt", "gte", "lt", "lte"):
        left, right = number_of(text), number_of(str(value))
        if left is None or right is None:
            return False
        return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]
    return {
        "equals": lambda: text == value,
        "notEquals": lambda: text != value,
        "in": lambda: text in value,
        "notIn": lambda: text not in value,
        "exists": lambda: True,
        "missing": lambda: False,
        "prefix": lambda: text[: len(value)] == value,
        "contains": lambda: value in text,
        "matches": lambda: re.search(value, text, re.ASCII) is not None,
    }[operator]()


def number_of(text: str) -> Fraction | None:
    """A number of any size, exactly; an exponent beyond ±10,000 as if it were that. None when it is none."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    power = max(-10_000, min(10_000, int(exponent or 0) - len(fraction)))
    return int(whole + fraction) * Fraction(10) ** power * (-1 if sign == "-" else 1)
