"""The one door for decimals outside SQL: parse, format, round, quotient, allocate. Nothing here touches a float."""

from metering_duck.calls.allocating import SPLIT_COLUMNS, allocate_column
from metering_duck.decimals.arithmetic import (
    DIGITS,
    PRECISION,
    SCALE,
    allocate,
    format,
    parse,
    quotient,
    round_half_even,
)

__all__ = [
    "DIGITS",
    "PRECISION",
    "SCALE",
    "SPLIT_COLUMNS",
    "allocate",
    "allocate_column",
    "format",
    "parse",
    "quotient",
    "round_half_even",
]
