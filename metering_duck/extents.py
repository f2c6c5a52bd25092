"""Extents and conversions: from a measurement's texts to its quantity and the span that it covers, as SQL.

A quantity may be several properties added, multiplied by a factor or by the length of its span; a span is said by
properties or by the event's own time. Pure text; every rounding is one macro, `scaled`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from metering_duck.decimals import DIGITS_MAX, DecimalType, last_digit_sql
from metering_duck.measurements import UNIT_US, Span
from metering_duck.statements import case

PropertySql = Callable[[str], str]


def bounds_sql(span: Span, property_sql: PropertySql) -> tuple[str, str]:
    """Start and end of a span, NULL where it has none: a text that is no time, or an end before its start."""
    length = None if span.duration is None else _length_sql(span, property_sql(span.duration))
    start = None if span.start is None else _moment_sql(span, property_sql(span.start))
    end = None if span.end is None else _moment_sql(span, property_sql(span.end))
    if length is not None and (start is not None or (end is None and span.event_time == "start")):
        start = start or "recorded_at"
        end = f"{start} + to_microseconds({length})"
    elif length is not None:
        end = end or "recorded_at"
        start = f"{end} - to_microseconds({length})"
    start, end = start or "recorded_at", end or "recorded_at"
    valid = f"{start} <= {end} AND {start} >= TIMESTAMP '0001-01-01' AND {end} < TIMESTAMP '10000-01-01'"
    return case({valid: start}), case({valid: end})


def unreadable_sql(span: Span, name: str, property_sql: PropertySql) -> str:
    """When a span's property cannot be read."""
    text = property_sql(name)
    value = _length_sql(span, text) if name == span.duration else _moment_sql(span, text)
    return f"{value} IS NULL"


def _length_sql(span: Span, text: str) -> str:
    return f"length_us({text}, {UNIT_US[span.unit or 'microseconds']})"


def _moment_sql(span: Span, text: str) -> str:
    if span.times == "rfc3339":
        return f"time_of_text({text}, 'UTC')"
    return f"moment_since_1970({text}, {UNIT_US[span.times.removeprefix('epoch-')]})"


def added_sql(values: list[str], decimal: DecimalType) -> str:
    """Quantities added; NULL if their sum does not fit."""
    wide = " + ".join(f"CAST({value} AS {decimal.wide_sql})" for value in values)
    return _tried(f"TRY_CAST(TRY({wide}) AS {decimal.sql})", values[0])


def converted_sql(value: str, factor: Fraction, length_us: str | None, unit: str | None, decimal: DecimalType) -> str:
    """A quantity times a factor, and times the length of its span in `unit`; NULL if the result does not fit.

    Exact: rounded once, half to even, to the DECIMAL's scale.
    """
    divisor = factor.denominator * (UNIT_US[unit] if unit else 1)
    if length_us is None and divisor == 1:
        whole = f"CAST('{factor.numerator}' AS DECIMAL({DIGITS_MAX}, 0))"
        return _tried(f"TRY_CAST(TRY(CAST({value} AS {decimal.wide_sql}) * {whole}) AS {decimal.sql})", value)
    numerator = f"CAST('{factor.numerator}' AS HUGEINT)" + (f" * {length_us}" if length_us else "")
    units = f"TRY(scaled(unscaled({value}), {numerator}, CAST('{divisor}' AS HUGEINT)))"
    last_digit = last_digit_sql(decimal.scale)
    whole = f"TRY_CAST({units} AS DECIMAL({DIGITS_MAX}, 0))"
    exact = f"TRY({whole} * {last_digit})" if decimal.scale else whole
    return _tried(f"TRY_CAST({exact} AS {decimal.sql})", value)


def _tried(expression: str, value: str) -> str:
    """Inside a CASE: what expressions share DuckDB computes before them, outside of TRY, except for parts of a CASE."""
    return case({f"{value} IS NOT NULL": expression})
