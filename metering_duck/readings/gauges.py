"""Gauges: averages, integrals and states over levels that hold until the next (R14, R19).

judged → … → pieces → weighted → gauged      = gauged_N          (readings/levels.py: the levels and their pieces)
gauged_N [→ divisors_N, or by long division → averages_N] → gauge_N
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metering_duck.contract.definitions import ALL, Definition
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, DecimalType, Rounding
from metering_duck.decimals.quotients import Quotient, numerator_text_sql
from metering_duck.readings.levels import Levels, levels_of, series_stages
from metering_duck.readings.series import KEY, last_columns
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage

if TYPE_CHECKING:
    from metering_duck.readings.series import Totals

# State of a gauge → its column in `weighted` (contract/definitions.py names the states).
STATES = {"greatest": "peak", "least": "lowest", "last": "last.quantity"}
DIVISORS = {"window": "epoch_us(window_end) - epoch_us(window_start)", "known-time": "nullif(known_us, 0)"}
WEIGHED = [definition for definition in ALL if definition.weighs]
IS_WEIGHED = f"aggregation IN ({', '.join(literal(definition.name) for definition in WEIGHED)})"
IN_TWO_PARTS = "Two parts hold any sum. Where its digits fit one number what runs adds and divides that: just as exact."
# The columns of a reading that have other SQL for a quotient than for a state.
EITHER = ("quantity", "numerator", "divisor_us")


def divisor_sql(definition: Definition) -> str:
    """SQL for the microseconds by which Σ level × microseconds is divided."""
    divisor = str(definition.divided_by)
    return DIVISORS.get(divisor, divisor)


@dataclass(frozen=True)
class Gauges:
    """The gauges whose levels are held in one DECIMAL."""

    levels: Levels

    @property
    def totals(self) -> Totals:
        """How the readings are made."""
        return self.levels.totals

    @property
    def decimal(self) -> DecimalType:
        """The type of the levels."""
        return self.levels.decimal

    @property
    def weighs(self) -> bool:
        """Whether a reading is a sum of level × time, by itself or divided."""
        return "level_time" in self.levels.kept

    # --- gauged_N ---------------------------------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """The stages from `judged` to the rows of `gauged_N`."""
        return [
            *self.levels.pieces_stages(),
            Stage(
                "weighted",
                "what each window sees of the levels: Σ level × microseconds, the extremes, the last (R15)",
                self._weighted_sql(),
                instead=IN_TWO_PARTS if self.weighs and self.totals.exact_levels else "",
            ),
            Stage("gauged", "what each window sees, under the key of each reading", self._gauged_sql()),
        ]

    def _weighted_sql(self) -> str:
        """SQL for every state, per series and window; NULL for a state that no reading is made of."""
        kept = self.levels.kept
        columns = {"series": "series", "window_index": "window_index"} | self._level_time_columns()
        columns["known_us"] = "CAST(sum(held_us) AS BIGINT)"
        if "greatest" in kept:
            columns["peak"] = "max(CASE WHEN held_us > 0 THEN level END)"
        if "least" in kept:
            columns["lowest"] = "min(CASE WHEN held_us > 0 THEN level END)"
        if "last" in kept:
            record = struct(names(("recorded_at", "metered_at")) | {"id": "id", "quantity": "level"})
            columns["last"] = f"max(CASE WHEN holds_at_end THEN {record} END)"
        columns |= {
            "record_count": "count(*) FILTER (begins_here)",
            "carried": "bool_or(NOT begins_here)",
            "max_metered_at": "max(metered_at)",
        }
        return select(columns, "pieces", group_by=("series", "window_index"))

    def _level_time_columns(self) -> dict[str, str]:
        """Σ level × microseconds, in two parts where it may pass 38 digits."""
        held = "CAST(held_us AS DECIMAL(18, 0))"
        if not self.weighs:
            return {}
        if not self.totals.exact_levels:
            return {"level_us": f"sum(level * {held})"}
        high, low = self.decimal.parts_sql("level")
        return {
            "high_us": f"CAST(sum({high} * {held}) AS HUGEINT)",
            "low_us": f"unscaled(CAST(sum(({low}) * {held}) AS {self.decimal.low_sql}))",
        }

    def _gauged_sql(self) -> str:
        """SQL for each series with its key, once for every aggregation of its levels."""
        columns = self.levels.reading_key | {"window_index": "window_index"}
        columns |= names(self._level_time_columns())
        states = [STATES[name].partition(".")[0] for name in STATES if name in self.levels.kept]
        columns |= names(("known_us", *states, "record_count", "carried", "max_metered_at"))
        return select(columns, self.levels.with_readings("weighted"))

    # --- gauge_N ----------------------------------------------------------------------------------------------------

    def reading_stages(self, n: int) -> list[Stage]:
        """The stages from `gauged_N` to `gauge_N`: averages as quotients, states as they are."""
        rounding = self.totals.rounding(self.levels.kinds[0][0])
        source = f"{self.totals.prefix}gauged_{n}"
        stages = self._quotient_stages(source, n, rounding) if self.weighs else []
        final = self._reading_sql(rounding, stages[-1].name if stages else source)
        return [*stages, Stage(f"gauge_{n}", "the gauges of one DECIMAL, one row per reading", final)]

    def _is_direct(self, rounding: Rounding) -> bool:
        """Whether DuckDB's own division of DECIMALs is exact and has room: p1 - s1 + s2 + scale <= 38."""
        plain = rounding.digits is None and rounding.mode == HALF_EVEN
        room = 0 <= rounding.scale <= self.decimal.scale < rounding.scale + DIGITS_MAX
        return plain and room and not self.totals.exact_levels

    def _quotient_stages(self, source: str, n: int, rounding: Rounding) -> list[Stage]:
        """The stages that divide Σ level × microseconds by the divisor of each aggregation."""
        read = self.levels.definitions
        divisors = {literal(definition.name): divisor_sql(definition) for definition in WEIGHED if definition in read}
        if len(divisors) == 1:
            (divisor,) = divisors.values()
        else:
            divisor = case(divisors, of="aggregation")
        placed = f"{source}\nJOIN {self.totals.windows.name} USING (window_index)"
        if self._is_direct(rounding):
            divided = select({"divisor": divisor}, placed, star=f"{source}.*")
            return [Stage(f"divisors_{n}", "what each sum of level × time is divided by", divided)]
        if self.totals.exact_levels:
            found = Quotient(placed, "high_us", "low_us", divisor)
        else:
            base = f"power_of_ten({self.decimal.low_digits})"
            found = Quotient(placed, f"unscaled(level_us) // {base}", f"unscaled(level_us) % {base}", divisor)
        return found.stages(str(n), self.decimal, rounding)

    def _reading_sql(self, rounding: Rounding, source: str) -> str:
        """SQL for the readings that have a value."""
        state = self._state_sql()
        has_value = []
        if self.weighs:
            has_value.append(f"({IS_WEIGHED} AND divisor IS NOT NULL)")
        if state:
            has_value.append(f"({state} IS NOT NULL)")
        columns = {
            **{name: self.totals.constants.get(name, name) for name in KEY},
            **names(("unit", "aggregation", "window_index")),
            **self._either_columns(rounding, state),
            **names(("record_count", "carried")),
            "prorated": "FALSE",
            "max_metered_at": "max_metered_at",
            **last_columns(self._deciding_sql()),
        }
        return select(columns, source, where=[" OR ".join(has_value)])

    def _state_sql(self) -> str:
        """SQL for the value of readings that are a state, NULL for quotients; "" where no reading is a state."""
        states = {}
        for definition in ALL:
            if definition in self.levels.definitions and not definition.weighs:
                states[literal(definition.name)] = definition.value_sql(STATES)
        return case(states, of="aggregation") if states else ""

    def _either_columns(self, rounding: Rounding, state: str) -> dict[str, str]:
        """SQL for quantity, numerator and divisor: of quotients, of states, or of either, by the aggregation."""
        scale = self.decimal.scale
        of_state = (
            rounding.quantity_sql(state, scale),
            rounding.exact_text_sql(state, scale),
            "CAST(NULL AS BIGINT)",
        )
        if not self.weighs:
            return dict(zip(EITHER, of_state, strict=True))
        average = rounding.average_sql
        if self._is_direct(rounding):
            average = rounding.direct_average_sql("level_us", "divisor")
        numerator = "plain_text(level_us)"
        if self.totals.exact_levels:
            numerator = numerator_text_sql(self.decimal)
        of_quotient = (average, numerator, "CAST(divisor AS BIGINT)")
        if not state:
            return dict(zip(EITHER, of_quotient, strict=True))
        columns = {}
        for name, quotient, otherwise in zip(EITHER, of_quotient, of_state, strict=True):
            columns[name] = case({IS_WEIGHED: quotient}, otherwise)
        return columns

    def _deciding_sql(self) -> str | None:
        """SQL for the record whose level is the reading; None where no reading is the level of a record."""
        of_last = [f"aggregation = {literal(d.name)}" for d in self.levels.definitions if "last" in d.keeps]
        if not of_last:
            return None
        return f"CASE WHEN {' OR '.join(dict.fromkeys(of_last))} THEN last END"


def gauges_of(totals: Totals) -> list[Gauges]:
    """The gauges of each DECIMAL."""
    return [Gauges(levels) for levels in levels_of(totals)]


def gauged_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """`series`, then `gauged_N` for each DECIMAL among the gauges, from `judged`."""
    gauges = gauges_of(totals)
    if not gauges:
        return []
    queries = [Query(f"{totals.prefix}series", (*judged, *series_stages(totals)))]
    return queries + [Query(f"{totals.prefix}gauged_{n}", (*judged, *found.stages())) for n, found in enumerate(gauges)]
