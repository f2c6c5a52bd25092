"""Quotients: numerator / divisor over integers in two parts, rounded once (R15, R16); shared by all averages.

A numerator is `high × 10^low_digits + low`, both HUGEINT, counted in units of 10^-scale: nothing overflows on its way.
"""

from __future__ import annotations

from dataclasses import dataclass

from metering_duck.decimals import DIGITS_MAX, PART_DIGITS, DecimalType, Rounding
from metering_duck.quote import literal
from metering_duck.stages import Stage, fixed, load_stage, reading
from metering_duck.statements import case, select


@dataclass(frozen=True)
class Quotient:
    """What is divided: the numerator's parts and the divisor, each SQL over `source`."""

    source: str
    high: str
    low: str
    divisor: str

    def stages(self, name: str, decimal: DecimalType, rounding: Rounding) -> list[Stage]:
        """`divided_NAME`, `averages_NAME` and, for significant digits, `significant_NAME`, with what they need."""
        steps = steps_sql(str(decimal.scale), str(rounding.scale)) | {"rounding": literal(rounding.mode)}
        averages = reading(fixed(load_stage("averages"), steps), {"divided": f"divided_{name}"}, f"averages_{name}")
        stages = [*self._divided(name, decimal), averages]
        if rounding.digits is not None:
            divided = f"(SELECT *, {decimal.scale} AS scale, {rounding.digits} AS digits FROM averages_{name})"
            stages.append(reading(load_stage("significant"), {"divided": divided}, f"significant_{name}"))
        return stages

    def _divided(self, name: str, decimal: DecimalType) -> list[Stage]:
        """The quotient of the two parts, the lower one first brought below its base."""
        base = f"power_of_ten({decimal.low_digits})"
        carried = {
            "high_carried": f"CAST({self.high} AS HUGEINT) + {self.low} // {base}",
            "low_carried": f"{self.low} % {base}",
            "divisor": f"CAST({self.divisor} AS HUGEINT)",
        }
        over, under = "high_carried > 0 AND low_carried < 0", "high_carried < 0 AND low_carried > 0"
        numerators = {
            "high": f"high_carried + {case({over: '-1', under: '1'}, '0')}",
            "low": f"low_carried + {case({over: base, under: f'-{base}'}, '0')}",
        }
        return [
            Stage(
                f"carried_{name}",
                "the numerator's two parts, the lower one below its base",
                select(carried, self.source, star="*"),
            ),
            Stage(
                f"numerators_{name}",
                "the numerator as high × base + low, both of one sign (R15)",
                select(numerators, f"carried_{name}", star="*"),
            ),
            reading(
                fixed(load_stage("divided"), {"base": base}), {"numerators": f"numerators_{name}"}, f"divided_{name}"
            ),
        ]


def steps_sql(scale: str, result_scale: str) -> dict[str, str]:
    """What long division takes from the two scales alone: how many digits more, by which steps, or how many fewer."""
    more, fewer = (
        f"greatest({result_scale} - {scale}, 0)",
        f"least(greatest({scale} - {result_scale}, 0), {DIGITS_MAX})",
    )
    return {
        "more_digits": more,
        "first_step": f"power_of_ten(least({more}, {PART_DIGITS}))",
        "second_step": f"power_of_ten(greatest({more} - {PART_DIGITS}, 0))",
        "dropped": f"power_of_ten({fewer})",
        "quotient_max": f"power_of_ten({DIGITS_MAX} - {more})",
    }


def numerator_text_sql(decimal: DecimalType) -> str:
    """The exact numerator as plain text."""
    return f"parts_text(high, low, {decimal.low_digits}, {decimal.scale})"
