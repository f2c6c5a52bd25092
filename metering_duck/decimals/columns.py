"""DECIMALs in SQL: which type holds a quantity, how a sum is kept in two parts, how a result is rounded once.

Pure text. A product of a 38-digit level and centuries of microseconds has 56 digits, and a sum may pass 38 digits on
its way; so products and sums are kept in two parts, `high × 10^low_digits + low`, and none overflows (R15, R18).
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
# How many digits the whole numbers of each type of DuckDB have.
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
        """Whether this type holds every number of the other type."""
        return other is not None and other.integer_digits <= self.integer_digits and other.scale <= self.scale

    @property
    def wide_sql(self) -> str:
        """The type of a sum: all 38 digits."""
        return f"DECIMAL({DIGITS_MAX}, {self.scale})"

    @property
    def parts_at_point(self) -> bool:
        """Whether the two parts are the whole and the fraction, which are then each short enough."""
        return self.integer_digits <= WHOLE_DIGITS_MAX and self.scale <= PART_DIGITS

    @property
    def low_digits(self) -> int:
        """The digits of the lower part; the base of the two parts is ten to this."""
        return self.scale if self.parts_at_point else PART_DIGITS

    @property
    def low_sql(self) -> str:
        """The type of a sum of lower parts."""
        scale = self.scale if self.parts_at_point else 0
        return f"DECIMAL({DIGITS_MAX}, {scale})"

    def parts_sql(self, value: str) -> tuple[str, str]:
        """The higher and the lower part of a value, each with the sign of the value."""
        if not self.parts_at_point:
            whole, base = f"unscaled({value})", f"power_of_ten({PART_DIGITS})"
            return f"CAST({whole} // {base} AS DECIMAL(20, 0))", f"CAST({whole} % {base} AS DECIMAL(20, 0))"
        high = f"CAST(trunc({value}) AS DECIMAL(20, 0))"
        low = f"{value} - {high}" if self.scale else "CAST(0 AS DECIMAL(1, 0))"
        return high, low


def decimal_of_type(name: str) -> DecimalType | None:
    """The DECIMAL that holds every value of a type of DuckDB, by the type's name; None for a type that is not exact."""
    if name in INTEGER_DIGITS:
        return DecimalType(INTEGER_DIGITS[name], 0)
    match = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name)
    if match is None:
        return None
    digits, scale = int(match[1]), int(match[2])
    return DecimalType(digits - scale, scale)


def most_sql(name: str) -> str:
    """The largest number that a DECIMAL type declares; its column may hold a larger one, which nothing has checked."""
    found = decimal_of_type(name) or DecimalType(DIGITS_MAX, 0)
    return f"CAST('{'9' * found.integer_digits}.{'9' * found.scale}' AS {name})"


def common_type(types: Iterable[DecimalType], where: str) -> DecimalType:
    """The smallest DECIMAL that holds every number of several types.

    Raises: ConfigError where that takes more than 38 digits.
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
    """An integer of at most 38 digits, counted in units of 10^-scale, as DECIMAL(38, scale or 0)."""
    if scale < 0:
        return f"TRY({integer} * power_of_ten({-scale}))"
    whole = f"CAST({integer} AS DECIMAL({DIGITS_MAX}, 0))"
    if scale == 0:
        return whole
    return f"({whole} * {last_digit_sql(scale)})"


def last_digit_sql(scale: int) -> str:
    """The DECIMAL 10^-scale."""
    if scale == 0:
        return "CAST(1 AS DECIMAL(1, 0))"
    return f"CAST('0.{'1'.rjust(scale, '0')}' AS DECIMAL({scale}, {scale}))"


@dataclass(frozen=True)
class Rounding:
    """How results are rounded: by `mode` to `scale` fraction digits (R16).

    With `digits`, averages are rounded to this number of significant digits instead, and every quantity of the run is
    plain text. `column_scale` is the scale of the column that results stand in.
    """

    scale: int = SCALE_DEFAULT
    digits: int | None = None
    column_scale: int = SCALE_DEFAULT
    mode: str = HALF_EVEN

    def quantity_sql(self, value: str, scale: int) -> str:
        """An exact DECIMAL(38, scale) as a quantity, rounded if it has more digits; NULL if it does not fit."""
        if self.digits is not None:
            return f"plain_text({value})"
        if self.scale < scale:
            value = self._rounded_sql(value, scale)
        return self._in_column_sql(value)

    def _rounded_sql(self, value: str, scale: int) -> str:
        """A DECIMAL(38, scale) with fewer fraction digits: by a cast that is corrected, or by long division."""
        dropped = scale - self.scale
        if self.mode == HALF_EVEN and self.scale >= 0:
            cast = f"TRY_CAST({value} AS DECIMAL({DIGITS_MAX}, {self.scale}))"
            return f"half_even({value}, {cast}, {dropped}, {last_digit_sql(self.scale)})"
        whole = f"rounded_off(unscaled({value}), {min(dropped, DIGITS_MAX)}, {literal(self.mode)})"
        return from_unscaled_sql(whole, self.scale)

    def _in_column_sql(self, value: str) -> str:
        """A number as the type of the column of results; NULL if it does not fit."""
        return f"TRY_CAST({value} AS DECIMAL({DIGITS_MAX}, {self.column_scale}))"

    def exact_text_sql(self, value: str, scale: int) -> str:
        """The exact value as text where rounding drops digits, so that readings still combine (R20); else NULL."""
        if self.digits is None and self.scale < scale:
            return f"plain_text({value})"
        return "CAST(NULL AS VARCHAR)"

    @property
    def average_sql(self) -> str:
        """The column of a quotient that sql/averages.sql or sql/significant.sql has rounded."""
        if self.digits is not None:
            return "significant"
        return self._in_column_sql(from_unscaled_sql("rounded", self.scale))

    def direct_average_sql(self, total: str, divisor: str) -> str:
        """A quotient by DuckDB's exact division of DECIMALs, rounded half to even."""
        return self._in_column_sql(f"decimal_division({total}, CAST({divisor} AS DECIMAL(18, 0)), {self.scale})")
