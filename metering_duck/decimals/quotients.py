"""Quotients: numerator / divisor over integers in two parts, rounded once (R15, R16); shared by all averages.

A numerator is `high × 10^low_digits + low`, both HUGEINT, counted in units of 10^-scale, so that no step overflows.
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
    """A division: the numerator's two parts and the divisor, each as SQL over the stage `source`."""

    source: str
    high: str
    low: str
    divisor: str

    def stages(self, name: str, decimal: DecimalType, rounding: Rounding) -> list[Stage]:
        """The stages up to `averages_NAME`, and up to `significant_NAME` where results have significant digits."""
        more = max(rounding.scale - decimal.scale, 0)
        fewer = min(max(decimal.scale - rounding.scale, 0), DIGITS_MAX)
        steps = steps_sql(more, fewer) | {"rounding": literal(rounding.mode)}
        divided = _with_constants(steps, f"divided_{name}")
        stages = [*self._divided(name, decimal), over(load_stage("averages"), {"divided": divided}, f"averages_{name}")]
        if rounding.digits is not None:
            digits = {"scale": str(decimal.scale), "digits": str(rounding.digits)}
            rounded = _with_constants(digits, f"averages_{name}")
            stages.append(over(load_stage("significant"), {"divided": rounded}, f"significant_{name}"))
        return stages

    def _divided(self, name: str, decimal: DecimalType) -> list[Stage]:
        """The stages up to `divided_NAME`: the parts are brought into their ranges, then divided."""
        base = f"power_of_ten({decimal.low_digits})"
        carried = {
            "high_carried": f"CAST({self.high} AS HUGEINT) + {self.low} // {base}",
            "low_carried": f"{self.low} % {base}",
            "base": base,
            "divisor": f"CAST({self.divisor} AS HUGEINT)",
        }
        carried_sql = select(carried, self.source, star="*")
        return [
            Stage(f"carried_{name}", "each numerator in two parts, the lower one below its base", carried_sql),
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
    """The parameters of long division, by how many digits more, or fewer, a result has than its numerator.

    Both are numbers, or SQL for numbers.
    """
    if isinstance(more, str):
        first = f"least({more}, {PART_DIGITS})"
        second = f"greatest({more} - {PART_DIGITS}, 0)"
        room = f"{DIGITS_MAX} - {more}"
    else:
        first = str(min(more, PART_DIGITS))
        second = str(max(more - PART_DIGITS, 0))
        room = str(DIGITS_MAX - more)
    return {
        "more_digits": str(more),
        "first_step": f"power_of_ten({first})",
        "second_step": f"power_of_ten({second})",
        "dropped": f"power_of_ten({fewer})",
        "quotient_max": f"power_of_ten({room})",
    }


def numerator_text_sql(decimal: DecimalType) -> str:
    """The exact numerator as plain text."""
    return f"parts_text(high, low, {decimal.low_digits}, {decimal.scale})"
