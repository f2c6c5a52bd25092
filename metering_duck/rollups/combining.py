"""Roll-ups: readings of adjacent windows become the readings of the union, bit for bit what the events give (R20).

    finer → placed → rekeyed → exact_parts → combined → numerators → averages → totals → readings

What does not combine exactly is refused, with what to do instead: a roll-up never guesses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from os import PathLike
from typing import Any

from metering_duck.calls.arguments import Names, check_result_shape, names_of, periods_of
from metering_duck.contract.times import format_time, parse_time
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, PART_DIGITS, SCALE_DEFAULT, from_unscaled_sql
from metering_duck.decimals.quotients import steps_sql
from metering_duck.engine.duckdb import Engine, Overflow, Progress
from metering_duck.errors import ConfigError, QuantityOverflow
from metering_duck.inputs.fields import NO_PROPERTIES
from metering_duck.inputs.files import extensions_of, paths_of
from metering_duck.inputs.given import find_input
from metering_duck.inputs.input import Input
from metering_duck.inputs.layout import Layout
from metering_duck.readings.assembling import reading_rows
from metering_duck.readings.series import KEY
from metering_duck.rollups.given_readings import QUOTIENTS, Finer, open_finer
from metering_duck.rollups.refusals import Checks
from metering_duck.runs.books import Accounting, counted_noun
from metering_duck.runs.machine import Machine, Moment
from metering_duck.runs.results import Plan, Result
from metering_duck.runs.run import Run
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage, fixed, load_stage, reading
from metering_duck.windows.cutting import Windows
from metering_duck.windows.periods import NO_WINDOW, Periods


def rollup(
    readings: Any,
    *,
    every: str | None = None,
    start: Moment = None,
    end: Moment = None,
    timezone: str | None = None,
    anchor: Moment = None,
    windows: Any = None,
    subscriptions: Any = None,
    whole_periods: bool = False,
    drop: Names = None,
    across_workspaces: bool = False,
    scale: int | None = None,
    digits: int | None = None,
    clock: Moment = None,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Combine readings of finer windows, dimensions or workspaces into those of coarser ones.

    Shape:  readings in, in any format that is written, and readings out (READING_SCHEMA). `drop` names dimensions to
            add up over, "*" all of them. Without `start` and `end` they are the first and last bound of the readings.
    Exact:  what aggregating the events directly gives, but created_at; rounded once, from the exact state, half to even
            to `scale` fraction digits (18) or to `digits` significant ones.
    Raises: ConfigError for readings that do not combine (unique-count, percentiles, two levels, prorated; a gauge over
            dropped dimensions or several workspaces), for windows that overlap or straddle, and for a gauge's missing
            ones; SchemaError, SourceError; on reading also QuantityOverflow.
    SQL:    overlapping, gaps, missing, straddling, series_scales, exact_parts, combined, averages, readings.
    Source: R20.
    """
    check_result_shape(scale, digits)
    asked = Asked(names_of(drop, "drop"), across_workspaces, scale, digits)
    cut = Cut(start, end, every, timezone, anchor, windows, subscriptions, whole_periods)
    now = datetime.now(UTC) if clock is None else parse_time(clock, "clock")
    engine = Machine(threads, memory_limit, temp_dir, progress).engine()
    try:
        return RollupRun(engine, asked, now).result_of(readings, cut)
    except BaseException:
        engine.close()
        raise


@dataclass(frozen=True)
class Asked:
    """What a roll-up is to add up over, and how its results are rounded."""

    dropped: tuple[str, ...]
    across_workspaces: bool
    scale: int | None
    digits: int | None


@dataclass(frozen=True)
class Cut:
    """The new windows as they are asked for."""

    start: Moment
    end: Moment
    every: str | None
    timezone: str | None
    anchor: Moment
    windows: Any
    subscriptions: Any
    whole: bool

    @property
    def is_listed(self) -> bool:
        """Whether a table has the windows."""
        return self.windows is not None or self.subscriptions is not None

    def periods(self, first: datetime | None, last: datetime | None) -> Periods:
        """The windows, those without bounds of their own from `first` to `last`."""
        start = first if self.start is None else self.start
        end = last if self.end is None else self.end
        return periods_of(
            start, end, self.every, self.timezone, self.anchor, self.windows, self.subscriptions, self.whole
        )


# How many digits more a result has than its numerator, or fewer.
STEPS = ("greatest(result_scale - scale, 0)", f"least(greatest(scale - result_scale, 0), {DIGITS_MAX})")


class RollupRun(Run):
    """An engine with readings open in it, and the windows that they are put into."""

    finer: Finer

    def __init__(self, engine: Engine, asked: Asked, now: datetime) -> None:
        parameters: dict[str, object] = {"clock": now.replace(tzinfo=None)}
        super().__init__(engine, parameters, zone_given=True)
        self.layout = Layout("finer", {}, NO_PROPERTIES)
        self.asked = asked

    def result_of(self, readings: Any, cut: Cut) -> Result:
        """Read the readings, refuse what does not combine, cut the windows, and plan the rest."""
        found = find_input(readings, self.engine.directory)
        table = cut.periods(None, None).found(self.engine) if cut.is_listed else None
        paths = [path for one in (found, table) for path in paths_of(one)]
        self.engine.lock_down(paths, extensions=extensions_of(found, table))
        self.finer = open_finer(self.engine, found, self.asked.dropped)
        self.engine.fill(self.finer.query)
        self.engine.fill(Query("series_scales", (load_stage("series_scales"),)))
        checks = Checks(self.engine, self.finer.where)
        checks.all_values()
        checks.aggregations()
        checks.keys(self.asked.dropped, across_workspaces=self.asked.across_workspaces)
        checks.overlaps()
        self.windows = self._windows(cut, table)
        self.parameters |= self.windows.parameters
        self.fill_windows(self.windows)
        checks.straddling(self.query(self._straddling()))
        checks.missing(self.query(self._missing()))
        return self._result()

    # --- windows ----------------------------------------------------------------------------------------------------

    def _windows(self, cut: Cut, table: Input | None) -> Windows:
        """The new windows. Where nothing else bounds them, the readings do."""
        bounds = select({"first": "min(finer_start)", "last": "max(finer_end)"}, "finer")
        ((first, last),) = self.engine.rows(bounds)
        if first is None:
            if not cut.is_listed and (cut.start is None or cut.end is None):
                return NO_WINDOW
        else:
            first, last = first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)
        if cut.whole and not cut.is_listed and (cut.start is None or cut.end is None):
            raise ConfigError(
                "whole-periods: found no start or no end; expected both, since the readings may begin within a period. "
                "hint: --start 2024-01-01 --end 2025-01-01"
            )
        if cut.windows is not None:
            return cut.periods(None, None).opened(self.engine, table)
        opened = cut.periods(first, last).opened(self.engine, table)
        return self._unclipped(opened, cut) if cut.is_listed else opened

    def _unclipped(self, opened: Windows, cut: Cut) -> Windows:
        """Subscriptions: the readings bound only those that have no bounds of their own, as a call's would not clip."""
        self.parameters |= opened.parameters
        columns = {
            name: f"coalesce({name}, TIMESTAMP {literal(format_time(bound).rstrip('Z'))})"
            for name, bound in (("starts", opened.start), ("ends", opened.end))
            if bound
        }
        own = select(columns, f"(\n{opened.schedule}\n) AS given", star=f"* EXCLUDE ({', '.join(columns)})")
        return replace(
            opened,
            schedule=own,
            start=opened.start if cut.start is not None else None,
            end=opened.end if cut.end is not None else None,
        )

    def _straddling(self) -> Query:
        return Query("straddling", (self._placed(), load_stage("straddling")))

    def _missing(self) -> Query:
        placed = self.windows.placed_stage("gaps", moment="gap_start", name="placed_gaps")
        return Query("missing", (load_stage("gaps"), placed, load_stage("missing")))

    def _placed(self) -> Stage:
        return self.windows.placed_stage("finer", moment="finer_start")

    # --- readings ---------------------------------------------------------------------------------------------------

    def _result(self) -> Result:
        rows = reading_rows(bundled=False)

        def prepare() -> Accounting:
            try:
                self.engine.fill(self.query(self._readings()))
            except Overflow as error:
                raise QuantityOverflow(f"readings: found sums of more digits than can be added ({error}).") from None
            self._check_overflow("readings")
            read = self.engine.count("finer")
            return Accounting(read, read, 0, 0, 0, 0)

        def script() -> list[Query]:
            scales = Query("series_scales", (load_stage("series_scales"),))
            return [self.finer.query, scales, *self.windows.queries(), self._readings(), rows]

        plan = Plan("reading", prepare, lambda: rows, lambda: None, script, self.script_text, self._notices, rows)
        return Result(self.engine, plan)

    def _notices(self, accounting: Accounting) -> list[str]:
        """How many readings were not used."""
        counted = select({"readings": "count(*)"}, "placed", where=["NOT in_window"])
        count = Stage("outside", "how many lie in no window", counted)
        outside = self.engine.table(self.query(Query("outside", (self._placed(), count)))).to_pylist()[0]["readings"]
        found = counted_noun(outside, "reading")
        return [f"{found} of {accounting.read:,} in no new window, not used."] if outside else []

    def _readings(self) -> Query:
        """`readings`: one row per key and new window, with its id and its exact state."""
        key = {"dimensions": "kept_dimensions"} if self.asked.dropped else {}
        key |= {"workspace_id": "CAST(NULL AS VARCHAR)"} if self.asked.across_workspaces else {}
        replaced = ", ".join(f"{sql} AS {name}" for name, sql in key.items())
        rekeyed = select({}, "placed", star=f"* REPLACE ({replaced})" if key else "*")
        rounding = {"result_scale": f"greatest(scale, {self._scale_floor})", "rounding": literal(HALF_EVEN)}
        if self.asked.scale is not None:
            rounding["result_scale"] = str(self.asked.scale)
        fits = f"abs(high) // divisor < power_of_ten({DIGITS_MAX - PART_DIGITS})"
        parts = {name: case({fits: name}) for name in ("high", "low")}
        stages = [
            self._placed(),
            Stage("rekeyed", "each under its new key, without what is dropped", rekeyed),
            load_stage("exact_parts"),
            load_stage("combined"),
            Stage(
                "numerators",
                "the numerators whose quotients have at most 38 digits, and how they are rounded",
                select(parts | rounding, "combined", star=f"* EXCLUDE ({', '.join(parts)})"),
            ),
            fixed(load_stage("divided"), {"base": "base"}),
            fixed(load_stage("averages"), steps_sql(*STEPS) | {"rounding": "rounding"}),
        ]
        if self.asked.digits is not None:
            divided = f"(SELECT *, {self.asked.digits} AS digits FROM averages)"
            stages.append(reading(load_stage("significant"), {"divided": divided}))
        totals = Stage("totals", "every reading without its identity", self._totals_sql(stages[-1].name))
        return Query("readings", (*stages, totals, load_stage("readings")))

    @property
    def _widest(self) -> int:
        return max((row[0] for row in self.engine.rows("SELECT max(scale) FROM series_scales")), default=0) or 0

    @property
    def _scale_floor(self) -> int:
        """The least scale of a result: 18, or the readings' own where none of their numbers says why it is larger."""
        given = self.finer.scale or 0
        return given if given > max(SCALE_DEFAULT, self._widest) else SCALE_DEFAULT

    def _totals_sql(self, source: str) -> str:
        is_quotient = f"aggregation IN ({', '.join(literal(name) for name in QUOTIENTS)})"
        divided_by_time = f"{is_quotient} AND aggregation <> 'avg'"
        text = f"parts_text(high, low, {PART_DIGITS}, scale)"
        if self.asked.digits is not None:
            quantity = case({is_quotient: "significant"}, text)
        else:
            column_scale = self.asked.scale if self.asked.scale is not None else max(self._scale_floor, self._widest)
            whole = f"rounded * power_of_ten({column_scale} - result_scale)"
            exact = from_unscaled_sql(whole, column_scale)
            quantity = f"TRY_CAST(TRY({exact}) AS DECIMAL({DIGITS_MAX}, {column_scale}))"
        columns = {
            **names((*KEY, "unit", "aggregation", "window_index")),
            "quantity": quantity,
            "numerator": case({f"{is_quotient} OR {self._loses_sql()}": text}),
            "divisor_us": case({divided_by_time: "CAST(divisor AS BIGINT)"}),
            **names(("record_count", "carried")),
            "prorated": "FALSE",
            "max_metered_at": "max_metered_at",
            **names(("last_recorded_at", "last_metered_at", "last_event_id")),
        }
        return select(columns, source)

    def _loses_sql(self) -> str:
        """Whether a reading keeps its exact value beside its quantity: as its DECIMAL has more digits than the result.

        Of the DECIMAL it was measured in a reading tells only what its own scale and numbers show; 18 is the default.
        """
        if self.asked.digits is not None:
            return "FALSE"
        if self.asked.scale is None:
            return "keeps_numerator"
        least = self.finer.scale
        known = f"greatest(scale, {SCALE_DEFAULT})"
        if least is not None and least < SCALE_DEFAULT:
            known = case({"keeps_numerator": known}, str(least))
        return f"(aggregation <> 'count' AND {self.asked.scale} < {known})"
