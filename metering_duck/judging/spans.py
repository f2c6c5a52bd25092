"""Spans and conversions: from a measurement's texts to its quantity and the span that it covers, as stages.

A quantity may be several properties added, multiplied by a factor or by the length of its span; a span is said by
properties or by the event's own time. Pure text. Each stage computes little, so that no expression is written twice.

    quantified → span_texts → extended → added → timed → crossed → multiplied → parted → divided → converted
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from metering_duck.contract.intervals import LENGTH_US_MAX
from metering_duck.contract.measurements import UNIT_US, Span
from metering_duck.decimals.columns import DIGITS_MAX, DecimalType, from_unscaled_sql
from metering_duck.inputs.fields import Column, TimeColumn
from metering_duck.statements.select import case, select, tried
from metering_duck.statements.stages import Stage

PropertySql = Callable[[str], str]
BASE = "power_of_ten(19)"


@dataclass(frozen=True)
class Conversion:
    """How the column v_N comes about: from which columns, times which factor, times its span's length in which unit."""

    number: int
    values: tuple[str, ...]
    factor: Fraction
    times_duration: str | None
    decimal: DecimalType

    @property
    def divisor(self) -> int:
        """What the product is divided by."""
        return self.factor.denominator * self.unit_us

    @property
    def unit_us(self) -> int:
        """The microseconds that are one in the unit of the duration."""
        return UNIT_US[self.times_duration] if self.times_duration else 1

    @property
    def is_parted(self) -> bool:
        """Whether it is divided by the factor first, and then by the unit: by both at once is too long."""
        return self.times_duration is not None and self.factor.denominator > 1

    @property
    def is_divided(self) -> bool:
        """Whether it needs a division, or a product of more than 38 digits on its way."""
        return self.divisor != 1 or self.times_duration is not None

    @property
    def is_converted(self) -> bool:
        """Whether the quantity is another than the sum of its texts."""
        return self.is_divided or self.factor != 1


# --- spans -----------------------------------------------------------------------------------------------------------


def span_stages(spans: dict[int, Span], property_sql: PropertySql, zone: str) -> list[Stage]:
    """`span_texts`, `extended`: start_N and end_N; NULL where a text cannot be read, or the end is before the start."""
    if not spans:
        return []
    read = {
        f"{part}_read_{n}": sql for n, span in spans.items() for part, sql in _parts(span, property_sql, zone).items()
    }
    bounds: dict[str, str] = {}
    for n, span in spans.items():
        start, end = _bounds(span, n)
        valid = f"{start} <= {end} AND {start} >= TIMESTAMP '0001-01-01' AND {end} < TIMESTAMP '10000-01-01'"
        bounds |= {f"start_{n}": case({valid: start}), f"end_{n}": case({valid: end})}
    return [
        Stage(
            "span_texts",
            "the properties that say a span, as moments and microseconds",
            select(read, "quantified", star="*"),
        ),
        Stage("extended", "from when to when a quantity extends (R11)", select(bounds, "span_texts", star="*")),
    ]


def _parts(span: Span, property_sql: PropertySql, zone: str) -> dict[str, str]:
    """start, end and length, as far as properties say them."""
    parts = {}
    for name, given in (("start", span.start), ("end", span.end)):
        if given is not None and span.times == "rfc3339":
            parts[name] = TimeColumn(Column(property_sql(given)), zone).moment_sql
        elif given is not None:
            unit_us = UNIT_US[span.times.removeprefix("epoch-")]
            parts[name] = f"moment_since_1970(whole_us({property_sql(given)}, {unit_us}))"
    if span.duration is not None:
        parts["length"] = f"whole_us({property_sql(span.duration)}, {UNIT_US[span.unit or 'microseconds']})"
    return parts


def _bounds(span: Span, n: int) -> tuple[str, str]:
    length = f"to_microseconds(CASE WHEN length_read_{n} BETWEEN 0 AND {LENGTH_US_MAX} THEN length_read_{n} END)"
    start, end = f"start_read_{n}", f"end_read_{n}"
    if span.duration is None:
        return (start if span.start else "recorded_at"), (end if span.end else "recorded_at")
    if span.end is not None or (span.start is None and span.event_time == "end"):
        end = end if span.end else "recorded_at"
        return f"{end} - {length}", end
    start = start if span.start else "recorded_at"
    return start, f"{start} + {length}"


def unreadable_sql(span: Span, name: str, n: int) -> str:
    """When the property of a span of the measurement in slot n cannot be read."""
    parts = {span.end: "end", span.start: "start", span.duration: "length"}
    part = parts[name]
    return f"{part}_read_{n} IS NULL"


# --- quantities ------------------------------------------------------------------------------------------------------


def conversion_stages(conversions: Sequence[Conversion], source: str) -> list[Stage]:
    """From `source` to `converted`: quantities added, then multiplied and divided, rounded once, half to even.

    Exact: NULL where a sum has more than 38 digits, or a result does not fit its DECIMAL.
    """
    stages: list[Stage] = []

    def add(
        name: str, why: str, columns: dict[str, str], replaced: dict[str, str] | None = None, left: Sequence[str] = ()
    ) -> None:
        """A stage, where it has anything to do."""
        if columns or replaced:
            before = stages[-1].name if stages else source
            replaced_sql = ", ".join(f"{sql} AS {column}" for column, sql in (replaced or {}).items())
            excluded = f" EXCLUDE ({', '.join(left)})" if left else ""
            star = f"*{excluded} REPLACE ({replaced_sql})" if replaced else "*"
            stages.append(Stage(name, why, select(columns, before, star=star)))

    divided = [c for c in conversions if c.is_divided]
    timed = [c for c in divided if c.times_duration]
    parted = [c for c in timed if c.is_parted]
    add("added", "several quantities of an event added", _sums(conversions))
    add("timed", "quantities and their factors × microseconds, whole numbers in two parts", _two_parts(timed))
    add("crossed", "the products of a higher and a lower part, and what the lower two carry", _crossed(timed))
    add("multiplied", "quantity × factor in parts of 19 digits, so that nothing overflows", _products(divided))
    add("parted", "what is divided by the factor, before it is by the unit", _rests(parted), _parted(parted))
    add("divided", "the quotient and what is left of it", _quotients(divided))
    add("converted", "quantities in their unit, rounded half to even once", {}, _results(conversions), _left(divided))
    return stages


def _sums(conversions: Sequence[Conversion]) -> dict[str, str]:
    return {f"v_{c.number}": _added_sql(c) for c in conversions if len(c.values) > 1}


def _added_sql(conversion: Conversion) -> str:
    """The sum in all 38 digits, since a conversion may bring it back to those that are declared."""
    wide = " + ".join(f"CAST({value} AS {conversion.decimal.wide_sql})" for value in conversion.values)
    added = tried(wide, conversion.values[0])
    return added if conversion.is_converted else f"TRY_CAST({added} AS {conversion.decimal.sql})"


def _two_parts(conversions: Sequence[Conversion]) -> dict[str, str]:
    """The quantity and what it is multiplied by, which has up to 36 digits: each as high × 10^19 + low."""
    columns: dict[str, str] = {}
    for c in conversions:
        n = c.number
        units, times = f"abs(unscaled(v_{n}))", f"{_numerator(c)} * (epoch_us(end_{n}) - epoch_us(start_{n}))"
        for name, whole in (("units", units), ("times", times)):
            columns |= {f"{name}_high_{n}": f"({whole}) // {BASE}", f"{name}_low_{n}": f"({whole}) % {BASE}"}
    return columns


def _crossed(conversions: Sequence[Conversion]) -> dict[str, str]:
    """How often the product has 10^19, as far as it is not in the product of the two higher parts."""
    return {
        f"middle_{n}": f"units_high_{n} * times_low_{n} + units_low_{n} * times_high_{n} "
        f"+ units_low_{n} * times_low_{n} // {BASE}"
        for n in (c.number for c in conversions)
    }


def _products(conversions: Sequence[Conversion]) -> dict[str, str]:
    """The product as top × 10^38 + high × 10^19 + low; without a duration it has no top.

    Nothing overflows: all are products of two numbers of 19 digits, and a carry.
    """
    columns: dict[str, str] = {}
    for c in conversions:
        n, units = c.number, f"abs(unscaled(v_{c.number}))"
        if not c.times_duration:
            columns[f"high_{n}"] = f"({units} // {BASE}) * {_numerator(c)}"
            columns[f"low_{n}"] = f"({units} % {BASE}) * {_numerator(c)}"
            continue
        columns[f"top_{n}"] = f"units_high_{n} * times_high_{n} + middle_{n} // {BASE}"
        columns[f"high_{n}"] = f"middle_{n} % {BASE}"
        columns[f"low_{n}"] = f"units_low_{n} * times_low_{n} % {BASE}"
    return columns


def _numerator(conversion: Conversion) -> str:
    return f"CAST('{abs(conversion.factor.numerator)}' AS HUGEINT)"


def _long_division(conversion: Conversion) -> tuple[str, str, str, str]:
    """The three parts of a product divided by the factor's denominator, of at most 19 digits; and the rest."""
    n, divisor = conversion.number, f"CAST('{conversion.factor.denominator}' AS HUGEINT)"
    high = f"(top_{n} % {divisor} * {BASE} + high_{n})"
    low = f"({high} % {divisor} * {BASE} + low_{n})"
    return f"top_{n} // {divisor}", f"{high} // {divisor}", f"{low} // {divisor}", f"{low} % {divisor}"


def _parted(conversions: Sequence[Conversion]) -> dict[str, str]:
    return {
        f"{part}_{c.number}": sql
        for c in conversions
        for part, sql in zip(("top", "high", "low"), _long_division(c), strict=False)
    }


def _rests(conversions: Sequence[Conversion]) -> dict[str, str]:
    return {f"rest_of_factor_{c.number}": _long_division(c)[-1] for c in conversions}


def _quotients(conversions: Sequence[Conversion]) -> dict[str, str]:
    """The quotient, NULL where it has more than 38 digits, and the rest."""
    columns = {}
    for c in conversions:
        n, by = c.number, c.unit_us if c.times_duration else c.divisor
        high, low, divisor = f"high_{n}", f"low_{n}", f"CAST('{by}' AS HUGEINT)"
        if c.times_duration:
            high = f"(CASE WHEN top_{n} < {by} THEN top_{n} END * {BASE} + high_{n})"
        lower = f"(({high} % {divisor}) * {BASE} + {low})"
        columns[f"whole_{n}"] = tried(f"({high} // {divisor}) * {BASE} + {lower} // {divisor}", low)
        rest = f"{lower} % {divisor}"
        if c.is_parted:
            rest = f"({rest}) * CAST('{c.factor.denominator}' AS HUGEINT) + rest_of_factor_{n}"
        columns[f"rest_{n}"] = tried(rest, low)
    return columns


def _left(conversions: Sequence[Conversion]) -> list[str]:
    """The columns on the way to quotients, which nothing needs behind them."""
    left = []
    for c in conversions:
        parts = ["high", "low", "whole", "rest"]
        if c.times_duration:
            parts = ["units_high", "units_low", "times_high", "times_low", "middle", "top", *parts]
        if c.is_parted:
            parts.append("rest_of_factor")
        left += [f"{part}_{c.number}" for part in parts]
    return left


def _results(conversions: Sequence[Conversion]) -> dict[str, str]:
    return {f"v_{c.number}": _result_sql(c) for c in conversions if c.is_converted}


def _result_sql(conversion: Conversion) -> str:
    n, decimal = conversion.number, conversion.decimal
    if not conversion.is_divided:
        factor = f"CAST('{conversion.factor.numerator}' AS DECIMAL({DIGITS_MAX}, 0))"
        return f"TRY_CAST({tried(f'CAST(v_{n} AS {decimal.wide_sql}) * {factor}', f'v_{n}')} AS {decimal.sql})"
    twice, divisor = f"2 * rest_{n}", f"CAST('{conversion.divisor}' AS HUGEINT)"
    up = f"CASE WHEN {twice} > {divisor} OR ({twice} = {divisor} AND whole_{n} % 2 = 1) THEN 1 ELSE 0 END"
    negative = f"(v_{n} < 0)" if conversion.factor > 0 else f"(v_{n} > 0)"
    units = f"(whole_{n} + {up}) * CASE WHEN {negative} THEN -1 ELSE 1 END"
    return f"TRY_CAST({tried(from_unscaled_sql(units, decimal.scale), f'whole_{n}')} AS {decimal.sql})"
