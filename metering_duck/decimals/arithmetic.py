"""The one door for Decimal: parse, format, round, quotient, allocate. Nothing here ever touches a float.

sql/functions.sql, sql/averages.sql and sql/allocate.sql do the same for columns; tests compare them with this module.
Decimals are built from integers, so the caller's decimal context changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

PRECISION, SCALE, DIGITS = 38, 18, 34
_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_EXPONENT_MAX = 10**6


def parse(text: str, *, precision: int = PRECISION, scale: int = SCALE) -> Decimal:
    """A quantity's text as an exact Decimal of at most `precision` digits, `scale` of them behind the point.

    Exact:  never rounds; text that does not fit is refused.
    Raises: ValueError whose text starts with the reason code: quantity-syntax, -too-large or -too-fine.
    Source: R4, R5.
    """
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or not (match.group(2) or match.group(3)):
        raise ValueError(f"quantity-syntax: found {text!r}; expected digits such as 12.50 or 1e3")
    sign, whole, fraction, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return Decimal(0)
    kept = digits.rstrip("0")
    # The quantity is kept × 10^shift.
    shift = _capped_exponent(exponent) - len(fraction) + len(digits) - len(kept)
    if len(kept) + shift > precision - scale:
        raise ValueError(
            f"quantity-too-large: found {text!r}; expected at most {precision - scale} digits before the point"
        )
    if -shift > scale:
        raise ValueError(f"quantity-too-fine: found {text!r}; expected at most {scale} digits behind the point")
    number = -int(kept) if sign == "-" else int(kept)
    return _decimal(number, shift)


def _capped_exponent(text: str) -> int:
    """The number that an exponent's text says, at most _EXPONENT_MAX: Python refuses to read thousands of digits."""
    digits = text.lstrip("+-").lstrip("0") or "0"
    size = _EXPONENT_MAX
    if len(digits) <= 9:
        size = min(int(digits), _EXPONENT_MAX)
    return -size if text.startswith("-") else size


def _decimal(number: int, exponent: int) -> Decimal:
    """number × 10^exponent."""
    return Decimal((int(number < 0), tuple(int(digit) for digit in str(abs(number))), exponent))


def format(quantity: Decimal | int) -> str:
    """A quantity as plain text: no exponent, no zeros that say nothing, no "-0" (R17).

    Raises: ValueError for NaN and infinity.
    """
    exact = _fraction(quantity)
    places = 0
    if not isinstance(quantity, int):
        places = max(-int(quantity.as_tuple().exponent), 0)
    scaled = abs(exact) * 10**places
    digits = str(scaled.numerator).rjust(places + 1, "0")
    point = len(digits) - places
    text = digits[:point]
    fraction = digits[point:].rstrip("0")
    if fraction:
        text += f".{fraction}"
    return f"-{text}" if exact < 0 else text


def _fraction(quantity: Decimal | int | Fraction) -> Fraction:
    """An exact number as a Fraction; floats, NaN and infinity are refused."""
    if isinstance(quantity, float):
        raise TypeError(f"found the float {quantity!r}; expected a Decimal, an int or a Fraction, which are exact")
    if isinstance(quantity, Decimal) and not quantity.is_finite():
        raise ValueError(f"quantity-syntax: found {quantity}; expected a finite number")
    return Fraction(quantity)


def round_half_even(quantity: Decimal | int | Fraction, scale: int = SCALE) -> Decimal:
    """A quantity rounded half to even, once, to `scale` digits behind the point (R16)."""
    return _decimal(round(_fraction(quantity) * Fraction(10) ** scale), -scale)


def quotient(
    numerator: Decimal | int | Fraction,
    denominator: Decimal | int | Fraction,
    *,
    scale: int | None = None,
    digits: int | None = None,
) -> Decimal:
    """numerator / denominator, rounded half to even once: to `scale` digits (18), or `digits` significant ones.

    Raises: ZeroDivisionError; ValueError when both `scale` and `digits` are given.
    Source: R15, R16.
    """
    if scale is not None and digits is not None:
        raise ValueError("found scale and digits; expected one of them")
    exact = _fraction(numerator) / _fraction(denominator)
    if scale is not None:
        return round_half_even(exact, scale)
    if digits is None:
        return round_half_even(exact)
    if exact == 0:
        return Decimal(0)
    places = digits - 1 - _magnitude(abs(exact))
    return _decimal(round(exact * Fraction(10) ** places), -places)


def _magnitude(positive: Fraction) -> int:
    """The power of ten of the first digit: 2 for 345, -3 for 0.0012."""
    guess = len(str(positive.numerator)) - len(str(positive.denominator))
    return guess if positive >= Fraction(10) ** guess else guess - 1


def allocate(total: Decimal | int, weights: Sequence[Decimal | int], *, scale: int = SCALE) -> list[Decimal]:
    """Split a total by weights into parts at `scale` that add up to it exactly: largest remainder, ties to the first.

    Shape:  as many parts as weights, in their order; the parts of a negative total are negative.
    Raises: ValueError for no weight, a negative one, none above zero, or a total finer than `scale`.
    Source: R26; Balinski and Young, Fair Representation (1982), on largest remainders.
    """
    shares = [_fraction(weight) for weight in weights]
    if not shares or min(shares) < 0 or not any(shares):
        raise ValueError(f"weights: found {list(map(str, weights))}; expected some, none negative, one above zero")
    units = _fraction(total) * 10**scale
    if units.denominator != 1:
        raise ValueError(f"total: found {total}; expected at most {scale} digits behind the point")
    count, whole = abs(units.numerator), sum(shares)
    exact = [count * share / whole for share in shares]
    parts = [share.numerator // share.denominator for share in exact]
    # The units that are left go to the parts with the largest remainders.
    by_remainder = sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))
    for n in by_remainder[: count - sum(parts)]:
        parts[n] += 1
    if units < 0:
        parts = [-part for part in parts]
    return [_decimal(part, -scale) for part in parts]
