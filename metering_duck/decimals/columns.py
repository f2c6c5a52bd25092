"""DECIMALs in SQL: which one holds a quantity, how it comes apart so that nothing overflows, how it is rounded once.

Pure text. A product of a 38-digit level and centuries of microseconds has 56 digits, and a sum may pass 38 on its way;
so both are kept in two parts, `high × 10^low_digits + low` (R15, R18).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from metering_duck.errors import ConfigError
from metering_duck.statements.quote import literal

DIGITS_MAX = 38
SCALE_DEFAULT = 18
PART_DIGITS = 19
WHOLE_DIGITS_MAX = 20
HALF_EVEN = "half-even"
# The digits of DuckDB's whole numbers.
INTEGER_DIGITS = {
    "TINYINT": 3,
    "SMALLINT": 5,
    "INTEGER": 10,
    "BIGINT": 19,
    "UTINYINT": 3,
    "USMALLINT": 5,
    "UINTEGER": 10,
    "UBIGINT": 20,
}


@dataclass(frozen=True, order=True)
class DecimalType:
    """DECIMAL by its digits before and behind the point."""

    integer_digits: int
    scale: int

    @property
    def sql(self) -> str:
        """The type of one quantity (R5)."""
        return f"DECIMAL({self.integer_digits + self.scale}, {self.scale})"

    def holds(self, other: DecimalType | None) -> bool:
        """Whether every number of the other type is one of this."""
        return other is not None and other.integer_digits <= self.integer_digits and other.scale <= self.scale

    @property
    def wide_sql(self) -> str:
        """The type of a sum: all 38 digits."""
        return f"DECIMAL({DIGITS_MAX}, {self.scale})"

    @property
    def parts_at_point(self) -> bool:
        """Whether the whole and the fraction are each short enough to be the two parts."""
        return self.integer_digits <= WHOLE_DIGITS_MAX and self.scale <= PART_DIGITS

    @property
    def low_digits(self) -> int:
        """The digits of the lower part; the base of the two parts is ten to this."""
        return self.scale if self.parts_at_point else PART_DIGITS

    @property
    def low_sql(self) -> str:
        """The type of a sum of lower parts."""
        return f"DECIMAL({DIGITS_MAX}, {self.scale if self.parts_at_point else 0})"

    def parts_sql(self, value: str) -> tuple[str, str]:
        """A value as its higher and lower part, both of its sign."""
        if self.parts_at_point:
            high = f"CAST(trunc({value}) AS DECIMAL(20, 0))"
            return high, f"{value} - {high}" if self.scale else "CAST(0 AS DECIMAL(1, 0))"
        whole, base = f"unscaled({value})", f"power_of_ten({PART_DIGITS})"
        return f"CAST({whole} // {base} AS DECIMAL(20, 0))", f"CAST({whole} % {base} AS DECIMAL(20, 0))"


def decimal_of_type(name: str) -> DecimalType | None:
    """The DECIMAL that holds every value of a type that DuckDB names so, if it is one of exact numbers."""
    if name in INTEGER_DIGITS:
        return DecimalType(INTEGER_DIGITS[name], 0)
    match = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name)
    return DecimalType(int(match.group(1)) - int(match.group(2)), int(match.group(2))) if match else None


def common_type(types: Iterable[DecimalType], where: str) -> DecimalType:
    """The smallest DECIMAL that holds all of these.

    Raises: ConfigError when none of 38 digits does.
    """
    listed = list(types)
    found = DecimalType(max(t.integer_digits for t in listed), max(t.scale for t in listed))
    if found.integer_digits + found.scale > DIGITS_MAX:
        raise ConfigError(
            f"{where}: found {found.integer_digits} digits before the point in one measurement and {found.scale} "
            f"behind it in another; expected at most {DIGITS_MAX} together. "
            "hint: narrow precision and scale, or use two runs"
        )
    return found


def from_unscaled_sql(integer: str, scale: int) -> str:
    """An integer of at most 38 digits, counted in units of 10^-scale, as DECIMAL(38, scale), of no scale below 0."""
    if scale < 0:
        return f"TRY({integer} * power_of_ten({-scale}))"
    whole = f"CAST({integer} AS DECIMAL({DIGITS_MAX}, 0))"
    return f"({whole} * {last_digit_sql(scale)})" if scale else whole


def last_digit_sql(scale: int) -> str:
    """10^-scale."""
    return f"CAST('0.{'1'.rjust(scale, '0')}' AS DECIMAL({scale}, {scale}))" if scale else "CAST(1 AS DECIMAL(1, 0))"


@dataclass(frozen=True)
class Rounding:
    """How results are rounded: by `mode` to `scale` fraction digits, or, with `digits`, averages to so many significant
    ones, which makes every quantity of the run plain text (R16). `column_scale` is that of the column they stand in."""

    scale: int = SCALE_DEFAULT
    digits: int | None = None
    column_scale: int = SCALE_DEFAULT
    mode: str = HALF_EVEN

    def quantity_sql(self, value: str, scale: int) -> str:
        """An exact DECIMAL(38, scale) as a quantity, rounded where digits go; NULL if it does not fit."""
        if self.digits is not None:
            return f"plain_text({value})"
        if self.scale < scale and (self.scale < 0 or self.mode != HALF_EVEN):
            whole = f"rounded_off(unscaled({value}), {min(scale - self.scale, DIGITS_MAX)}, {literal(self.mode)})"
            value = from_unscaled_sql(whole, self.scale)
        elif self.scale < scale:
            cast = f"TRY_CAST({value} AS DECIMAL({DIGITS_MAX}, {self.scale}))"
            value = f"half_even({value}, {cast}, {scale - self.scale}, {last_digit_sql(self.scale)})"
        return self._in_column_sql(value)

    def _in_column_sql(self, value: str) -> str:
        return f"TRY_CAST({value} AS DECIMAL({DIGITS_MAX}, {self.column_scale}))"

    def exact_text_sql(self, value: str, scale: int) -> str:
        """The exact value as text beside one that lost digits, so that readings still combine (R20); else NULL."""
        loses = self.digits is None and self.scale < scale
        return f"plain_text({value})" if loses else "CAST(NULL AS VARCHAR)"

    @property
    def average_sql(self) -> str:
        """A quotient, as sql/averages.sql or sql/significant.sql rounded it."""
        if self.digits is not None:
            return "significant"
        return self._in_column_sql(from_unscaled_sql("rounded", self.scale))

    def direct_average_sql(self, total: str, divisor: str) -> str:
        """A quotient by DuckDB's exact division of DECIMALs, half to even."""
        return self._in_column_sql(f"decimal_division({total}, CAST({divisor} AS DECIMAL(18, 0)), {self.scale})")
