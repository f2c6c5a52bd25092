"""Quotients: numerator / divisor over integers in two parts, rounded once (R15, R16); shared by all averages.

A numerator is `high × 10^low_digits + low`, both HUGEINT, counted in units of 10^-scale: nothing overflows on its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metering_duck.decimals.columns import DIGITS_MAX, PART_DIGITS, DecimalType, Rounding
from metering_duck.statements.quote import literal
from metering_duck.statements.select import select
from metering_duck.statements.stages import Stage, load_stage, over


@dataclass(frozen=True)
class Quotient:
    """What is divided: the numerator's parts and the divisor, each SQL over `source`."""

    source: str
    high: str
    low: str
    divisor: str

    def stages(self, name: str, decimal: DecimalType, rounding: Rounding) -> list[Stage]:
        """`divided_NAME`, `averages_NAME` and, for significant digits, `significant_NAME`, with what they need."""
        more = rounding.scale - decimal.scale
        steps = steps_sql(max(more, 0), min(max(-more, 0), DIGITS_MAX)) | {"rounding": literal(rounding.mode)}
        divided = _with_constants(steps, f"divided_{name}")
        stages = [*self._divided(name, decimal), over(load_stage("averages"), {"divided": divided}, f"averages_{name}")]
        if rounding.digits is not None:
            digits = {"scale": str(decimal.scale), "digits": str(rounding.digits)}
            rounded = _with_constants(digits, f"averages_{name}")
            stages.append(over(load_stage("significant"), {"divided": rounded}, f"significant_{name}"))
        return stages

    def _divided(self, name: str, decimal: DecimalType) -> list[Stage]:
        """The quotient of the two parts, the lower one first brought below its base."""
        base = f"power_of_ten({decimal.low_digits})"
        carried = {
            "high_carried": f"CAST({self.high} AS HUGEINT) + {self.low} // {base}",
            "low_carried": f"{self.low} % {base}",
            "base": base,
            "divisor": f"CAST({self.divisor} AS HUGEINT)",
        }
        carried_sql = select(carried, self.source, star="*")
        return [
            Stage(f"carried_{name}", "the numerator's two parts, the lower one below its base", carried_sql),
            over(load_stage("numerators"), {"carried": f"SELECT * FROM carried_{name}"}, f"numerators_{name}"),
            over(load_stage("divided"), {"numerators": f"SELECT * FROM numerators_{name}"}, f"divided_{name}"),
        ]


def _with_constants(constants: Mapping[str, str], source: str) -> str:
    """A relation with the same few values beside each row, several on a line."""
    listed = [f"{sql} AS {name}" for name, sql in constants.items()]
    lines = [", ".join(listed[n : n + 3]) for n in range(0, len(listed), 3)]
    columns = ",\n    ".join(lines)
    return f"SELECT *, {columns}\nFROM {source}"


def steps_sql(more: int | str, fewer: int | str) -> dict[str, str]:
    """What long division takes from how many digits more a result has, or fewer, than its numerator; numbers or SQL."""
    if isinstance(more, str):
        first, second = f"least({more}, {PART_DIGITS})", f"greatest({more} - {PART_DIGITS}, 0)"
    else:
        first, second = str(min(more, PART_DIGITS)), str(max(more - PART_DIGITS, 0))
    room = f"{DIGITS_MAX} - {more}" if isinstance(more, str) else str(DIGITS_MAX - more)
    powers = {"first_step": first, "second_step": second, "dropped": fewer, "quotient_max": room}
    return {"more_digits": str(more)} | {name: f"power_of_ten({exponent})" for name, exponent in powers.items()}


def numerator_text_sql(decimal: DecimalType) -> str:
    """The exact numerator as plain text."""
    return f"parts_text(high, low, {decimal.low_digits}, {decimal.scale})"
