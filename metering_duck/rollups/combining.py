"""Roll-ups: readings of adjacent windows become the readings of the union, bit for bit what the events give (R20).

    finer → placed → rekeyed → exact_parts → combined → numerators → averages → totals → readings

Readings that do not combine exactly are refused, with what to do instead: a roll-up never guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from os import PathLike
from typing import Any

from metering_duck.calls.arguments import (
    TextOrTexts,
    check_result_shape,
    machine_of,
    moment_of,
    names_of,
    periods_of,
)
from metering_duck.calls.idle_options import idle_options
from metering_duck.contract.aggregations import parse
from metering_duck.contract.times import format_time
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, PART_DIGITS, SCALE_DEFAULT, from_unscaled_sql
from metering_duck.decimals.quotients import steps_sql
from metering_duck.engine.failures import Overflow
from metering_duck.engine.progress import Progress
from metering_duck.errors import QuantityOverflow
from metering_duck.readings.assembling import reading_rows
from metering_duck.readings.own_settings import SETTINGS
from metering_duck.readings.series import KEY
from metering_duck.rollups.opening import SERIES_SCALES, OpenedReadings, open_readings
from metering_duck.rollups.rules import IS_OVER_TIME, IS_QUOTIENT, IS_WHOLE, rules_stage
from metering_duck.runs.books import Accounting, counted_noun
from metering_duck.runs.computing import Filled
from metering_duck.runs.machine import GivenTime
from metering_duck.runs.opening import closed_on_failure
from metering_duck.runs.question import Question
from metering_duck.runs.reading_tables import check_overflow
from metering_duck.runs.results import Description, Result
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, star_with
from metering_duck.statements.stages import Query, Stage, load_stage, over


def rollup(
    readings: Any,
    *,
    every: str | None = None,
    start: GivenTime = None,
    end: GivenTime = None,
    timezone: str | None = None,
    anchor: GivenTime = None,
    windows: Any = None,
    subscriptions: Any = None,
    whole_periods: bool = False,
    drop: TextOrTexts = None,
    across_workspaces: bool = False,
    event_type: TextOrTexts = None,
    workspace: TextOrTexts = None,
    scale: int | None = None,
    digits: int | None = None,
    clock: GivenTime = None,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    verify_files: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Combine readings of finer windows, dimensions or workspaces into those of coarser ones.

    Shape:  readings in, in any format that is written, and readings out (READING_SCHEMA). `drop` names dimensions to
            add up over, "*" all of them. `event_type` and `workspace` say what the readings were made of, where they
            are not of all: it is part of ids, and what a reading's id contradicts is refused (R21). Without `start` and
            `end` they are the first and last bound of the readings.
    Exact:  what aggregating the events directly gives, but created_at; rounded once, from the exact state, half to even
            to `scale` fraction digits (18) or to `digits` significant ones.
    Raises: ConfigError for readings that do not combine (an aggregation with a `refusal`, two levels, prorated; a gauge
            over dropped dimensions or several workspaces), for windows that overlap or straddle, and for a gauge's
            missing ones; SchemaError, SourceError; on reading also QuantityOverflow.
    SQL:    overlapping, gaps, missing, straddling, series_scales, exact_parts, combined, averages, readings.
    Source: R20.
    """
    check_result_shape(scale, digits)
    periods = periods_of(start, end, every, timezone, anchor, windows, subscriptions, whole_periods, open_ended=True)
    question = Question(
        periods,
        dropped=names_of(drop, "drop"),
        workspaces=names_of(workspace, "workspace"),
        types=names_of(event_type, "event_type"),
        across_workspaces=across_workspaces,
        scale=scale,
        digits=digits,
        clock=moment_of(clock, "clock"),
    )
    machine = machine_of(threads, memory_limit, temp_dir, progress, verify_files)
    opened = open_readings(machine, readings, question, periods)
    with closed_on_failure(opened.engine):
        combined = CombinedReadings(opened)
        return Result(opened.engine, combined, Description("reading", opened.script, combined.notices))


# How many more digits a result has than its numerator, and how many fewer.
STEPS = ("greatest(result_scale - scale, 0)", f"least(greatest(scale - result_scale, 0), {DIGITS_MAX})")
# Every reading, in the order of its key.
ROWS = reading_rows(bundled=False)


class CombinedReadings:
    """Readings that are made of finer readings; no finer reading is lost, rejected or in conflict."""

    def __init__(self, opened: OpenedReadings) -> None:
        self.opened, self.engine, self.finer = opened, opened.engine, opened.finer
        self.asked = opened.question

    def queries(self) -> list[Query]:
        """All queries, in order."""
        return [self.finer.query, SERIES_SCALES, *self.opened.windows.queries(), self._readings(), ROWS]

    def fill(self) -> Filled:
        """Fill the table `readings`."""
        try:
            self.engine.fill(self.opened.query(self._readings()))
        except Overflow as error:
            raise QuantityOverflow(f"readings: found sums of more digits than can be added ({error}).") from None
        check_overflow(self.engine, "readings")
        read = self.engine.count("finer")
        return Filled(Accounting(read, read, 0, 0, 0, 0), ROWS)

    def lost(self) -> Mapping[str, int]:
        """No row: a reading that is there twice is refused when the readings are opened."""
        return {}

    def rejects(self) -> Query:
        """No row: a reading that cannot be used is refused when the readings are opened."""
        return Query(
            "rejects", (Stage("rejects", "no reading is rejected", select({}, "readings", star="*", where=["FALSE"])),)
        )

    def conflicts(self) -> Query | None:
        """None: a reading that is there twice is refused when the readings are opened."""
        return None

    def outcomes(self) -> Query | None:
        """None: a roll-up has no events."""
        return None

    def notices(self, accounting: Accounting) -> list[str]:
        """What changes nothing, also of a table of windows, and how many readings lie in no new window."""
        if not accounting.read:
            return ["readings: found none."]
        named = self.engine.rows("SELECT DISTINCT aggregation FROM finer ORDER BY aggregation")
        notices = [*self.finer.given.notes, *self.opened.windows.remarks]
        notices += idle_options(self.asked, [parse(name, "readings") for (name,) in named])
        span = {"readings": "count(*)", "first_at": "min(finer_start)", "last_at": "max(finer_end)"}
        counted = select(span, "placed", where=["NOT in_window"])
        count = Stage("outside", "how many lie in no window", counted)
        query = self.opened.query(Query("outside", (self.opened.placed(), count)))
        outside, first, last = self.engine.table(query).to_pylist()[0].values()
        if outside:
            found = f"{counted_noun(outside, 'reading')} of {accounting.read:,} in no new window, not used"
            times = " to ".join(format_time(moment.replace(tzinfo=UTC)) for moment in (first, last))
            notices.append(f"{found}: they are from {times}." if outside == accounting.read else f"{found}.")
        return notices

    # --- readings ---------------------------------------------------------------------------------------------------

    def _readings(self) -> Query:
        """`readings`: one row per key and new window, with its id and its exact state."""
        replaced = {}
        if self.asked.dropped:
            replaced["dimensions"] = "kept_dimensions"
        if self.asked.across_workspaces:
            replaced["workspace_id"] = "CAST(NULL AS VARCHAR)"
        rekeyed = select({}, "placed", star=star_with(replaced))
        rounding = {"result_scale": f"greatest(scale, {self._scale_floor})", "rounding": literal(HALF_EVEN)}
        if self.asked.scale is not None:
            rounding["result_scale"] = str(self.asked.scale)
        fits = f"abs(high) // divisor < power_of_ten({DIGITS_MAX - PART_DIGITS})"
        parts = {name: case({fits: name}) for name in ("high", "low")}
        stages = [
            self.opened.placed(),
            Stage("rekeyed", "each under its new key, without what is dropped", rekeyed),
            load_stage("exact_parts"),
            rules_stage(),
            load_stage("combined"),
            Stage(
                "numerators",
                "the numerators whose quotients have at most 38 digits, and how they are rounded",
                select(parts | rounding | steps_sql(*STEPS), "combined", star=f"* EXCLUDE ({', '.join(parts)})"),
            ),
            load_stage("divided"),
            load_stage("averages"),
        ]
        if self.asked.digits is not None:
            digits = select({"digits": str(self.asked.digits)}, "averages", star="*")
            stages.append(over(load_stage("significant"), {"divided": digits}))
        totals = Stage("totals", "every reading without its identity", self._totals_sql(stages[-1].name))
        return Query("readings", (*stages, totals, self._readings_stage()))

    def _readings_stage(self) -> Stage:
        """The stage `readings`; ids say to how many digits quotients were rounded, where that is not as plain ones."""
        stage, own = load_stage("readings"), []
        if self.asked.scale is None and self.asked.digits is None:
            rows = self.engine.rows("SELECT DISTINCT scale FROM series_scales ORDER BY scale")
            scales = dict.fromkeys(max(scale, self._scale_floor) for (scale,) in rows)
            own = [scale for scale in scales if scale != SCALE_DEFAULT]
        texts = {
            f"{IS_QUOTIENT} AND result_scale = {scale}": literal(replace(self.opened.settings, scale=scale).text)
            for scale in own
        }
        return replace(stage, sql=stage.sql.replace(SETTINGS, case(texts, SETTINGS))) if own else stage

    @property
    def _widest(self) -> int:
        """The largest scale of the readings' numbers; 0 where there are no readings."""
        ((scale,),) = self.engine.rows("SELECT max(scale) FROM series_scales")
        return scale or 0

    @property
    def _scale_floor(self) -> int:
        """The least scale of a result: 18, or the scale of the readings' DECIMAL where no number needs all of it."""
        given = self.finer.scale or 0
        if given > max(SCALE_DEFAULT, self._widest):
            return given
        return SCALE_DEFAULT

    def _totals_sql(self, source: str) -> str:
        """The stage `totals`: the rounded quantity of each reading, and its exact state."""
        text = f"parts_text(high, low, {PART_DIGITS}, scale)"
        if self.asked.digits is not None:
            quantity = case({IS_QUOTIENT: "significant"}, text)
        else:
            column_scale = self.asked.scale
            if column_scale is None:
                column_scale = max(self._scale_floor, self._widest)
            whole = f"rounded * power_of_ten({column_scale} - result_scale)"
            exact = from_unscaled_sql(whole, column_scale)
            quantity = f"TRY_CAST(TRY({exact}) AS DECIMAL({DIGITS_MAX}, {column_scale}))"
        columns = {
            **names((*KEY, "unit", "aggregation", "window_index")),
            "quantity": quantity,
            "numerator": case({f"{IS_QUOTIENT} OR {self._loses_sql()}": text}),
            "divisor_us": case({IS_OVER_TIME: "CAST(divisor AS BIGINT)"}),
            **names(("record_count", "carried")),
            "prorated": "FALSE",
            "max_metered_at": "max_metered_at",
            **names(("last_recorded_at", "last_metered_at", "last_event_id")),
            "result_scale": "result_scale",
        }
        return select(columns, source)

    def _loses_sql(self) -> str:
        """SQL for whether a reading keeps its exact value, too: where its DECIMAL has more digits than the result.

        A reading does not say in which DECIMAL it was measured; its scale and its numbers show it, otherwise it is 18.
        """
        if self.asked.digits is not None:
            return "FALSE"
        if self.asked.scale is None:
            return "keeps_numerator"
        least = self.finer.scale
        known = f"greatest(scale, {SCALE_DEFAULT})"
        if least is not None and least < SCALE_DEFAULT:
            known = case({"keeps_numerator": known}, str(least))
        return f"(NOT {IS_WHOLE} AND {self.asked.scale} < {known})"
