"""Judged events → readings: counters by conditional aggregates, gauges by spans, then one row per unit.

Pure text in, text out. Counters are aggregated wide, in the same scan that counts what became of every event; each
gauge's levels go through sql/spans.sql and sql/weighted.sql. Only then does a row mean one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from metering_duck.aggregations import COUNTERS, GAUGES
from metering_duck.compiler import Slot, common_decimal
from metering_duck.config import SCALE_DEFAULT
from metering_duck.quote import literal
from metering_duck.stages import Query, Stage, load_stage
from metering_duck.windows import Windows

KEY = ("workspace_id", "universe_id", "subject", "dimensions")
FAST_INTEGER_DIGITS, FAST_SCALE, LOW_DIGITS = 20, 19, 19
DIGITS_MAX = 38
UNIT_COLUMN = "unit"


@dataclass(frozen=True)
class Series:
    """What makes one unit's readings under one aggregation: its slots, all as one DECIMAL(38, scale)."""

    unit_sql: str
    aggregation: str
    slots: tuple[Slot, ...]

    @property
    def scale(self) -> int:
        """The fraction digits of its DECIMAL."""
        return max(slot.scale for slot in self.slots)

    @property
    def integer_digits(self) -> int:
        """The integer digits of its quantities."""
        return max(slot.integer_digits for slot in self.slots)


@dataclass(frozen=True)
class Totals:
    """How judged rows become readings. `exact` adds sums in two parts, for the rare one that passes 38 digits on its way.

    Units: `result_scale` fraction digits of `quantity`; with `digits`, quantity is text of so many significant digits.
    """

    slots: tuple[Slot, ...]
    windows: Windows
    across_workspaces: bool = False
    subjects: int = 0
    scale: int | None = None
    digits: int | None = None
    exact: bool = False
    one_row_per_event: str = "TRUE"
    has_metered_at: bool = True

    @property
    def series(self) -> list[Series]:
        """The slots by unit and aggregation (R10), in a fixed order."""

        def key(slot: Slot) -> tuple[str, str]:
            return slot.unit_sql, str(slot.aggregation)

        made = []
        for (unit, aggregation), group in groupby(sorted(self.slots, key=key), key=key):
            slots = tuple(group)
            common_decimal(slots)
            made.append(Series(unit, aggregation, slots))
        return made

    @property
    def counters(self) -> list[Series]:
        """The series that look at a window's records only (R12)."""
        return [s for s in self.series if s.aggregation in COUNTERS]

    @property
    def gauges(self) -> list[Series]:
        """The series that see levels (R14, R19)."""
        return [s for s in self.series if s.aggregation in GAUGES]

    @property
    def result_scale(self) -> int:
        """The fraction digits of `quantity`: as asked for, else 18, or more where a measurement has more (R16)."""
        if self.scale is not None:
            return self.scale
        own = [s.result_scale if s.result_scale is not None else max(s.scale, SCALE_DEFAULT) for s in self.slots]
        return max(own, default=SCALE_DEFAULT)

    def _shown(self) -> str:
        """Which rows' subjects are shown. The others are metered and counted, and make no reading."""
        names = ", ".join(f"$subject_{n}" for n in range(self.subjects))
        return f"status = 'metered' AND subject IN ({names})" if self.subjects else "status = 'metered'"

    def _merged(self) -> str:
        """Across workspaces, none is named (R10)."""
        return " REPLACE (CAST(NULL AS VARCHAR) AS workspace_id)" if self.across_workspaces else ""

    # --- counters -------------------------------------------------------------------------------------------------

    def counted(self, judged: Sequence[Stage]) -> Query:
        """`counted`: per key, window and status how many events, and the conditional aggregates of every counter slot."""
        slots = [slot for series in self.counters for slot in series.slots]
        by_unit = [UNIT_COLUMN] if any(slot.unit_sql == UNIT_COLUMN for slot in slots) else []
        inside = "recorded_at >= $start AND recorded_at < $end"
        used = f"{self._shown()} AND {inside}" if slots else "FALSE"
        key = [*KEY, *by_unit] if slots else []
        columns = [f"CASE WHEN used THEN {name} END AS {name}" for name in key]
        if slots:
            columns.append(f"CASE WHEN used THEN {self.windows.index_sql('recorded_at')} END AS window_index")
        windowed = Stage(
            "windowed",
            "which rows make readings: metered, of a subject that is shown, inside the window",
            f"SELECT\n    *{self._merged()},\n    {used} AS used\nFROM judged",
        )
        aggregates = [
            f"count(*) FILTER ({self.one_row_per_event}) AS events",
            f"count(*) FILTER (time_cut AND {self.one_row_per_event}) AS times_cut",
            f"count(*) FILTER (time_naive AND {self.one_row_per_event}) AS times_naive",
        ]
        for series in self.counters:
            for slot in series.slots:
                aggregates += self._slot_aggregates(slot, series)
        selected = ",\n    ".join(["status", "used", *columns, *aggregates])
        positions = ", ".join(str(n + 1) for n in range(2 + len(columns)))
        sql = f"SELECT\n    {selected}\nFROM windowed\nGROUP BY {positions}"
        why = "one scan: what became of every event, and the counters of each subject and window"
        return Query("counted", (*judged, windowed, Stage("counted", why, sql)))

    def _slot_aggregates(self, slot: Slot, series: Series) -> list[str]:
        n, value = slot.index, f"CASE WHEN used THEN v_{slot.index} END"
        metered_at = f"max(CASE WHEN used AND v_{n} IS NOT NULL THEN metered_at END) AS metered_{n}"
        columns = [f"count({value}) AS n_{n}", metered_at]
        if slot.aggregation == "sum" and self.exact:
            high, low = split_sql(f"CAST({value} AS DECIMAL(38, {series.scale}))", series)
            columns += [f"sum({high}) AS high_{n}", f"sum({low}) AS low_{n}"]
        elif slot.aggregation in ("sum", "min", "max"):
            columns.append(f"{slot.aggregation}({value}) AS x_{n}")
        elif slot.aggregation == "latest":
            columns.append(f"max(CASE WHEN used AND v_{n} IS NOT NULL THEN {last_sql(f'v_{n}')} END) AS x_{n}")
        return columns

    def _counter_stages(self) -> list[Stage]:
        """One stage for each counter's series: its slots together, its value as DECIMAL(38, scale)."""
        return [
            Stage(f"counter_{n}", f"the {series.aggregation} of {_shown_unit(series)}", self._counter_sql(series))
            for n, series in enumerate(self.counters)
        ]

    def _counter_sql(self, series: Series) -> str:
        numbers = [slot.index for slot in series.slots]
        decimal = f"DECIMAL(38, {series.scale})"
        many = len(numbers) > 1
        count = " + ".join(f"n_{n}" for n in numbers)
        metered_at = f"greatest({', '.join(f'metered_{n}' for n in numbers)})" if many else f"metered_{numbers[0]}"
        last = "NULL"
        if series.aggregation == "count":
            value = f"CAST({count} AS DECIMAL(38, 0))"
        elif series.aggregation == "sum" and self.exact:
            value = self._exact_sum_sql(series)
        elif series.aggregation == "sum":
            value = " + ".join(f"coalesce(CAST(x_{n} AS {decimal}), 0)" for n in numbers)
            value = value if many else f"CAST(x_{numbers[0]} AS {decimal})"
        elif series.aggregation in ("min", "max"):
            function = "least" if series.aggregation == "min" else "greatest"
            inner = ", ".join(f"CAST(x_{n} AS {decimal})" for n in numbers)
            value = f"{function}({inner})" if many else inner
        else:
            casts = [f"CAST(x_{n} AS {last_type_sql(decimal)})" for n in numbers]
            last = f"list_max([{', '.join(casts)}])" if many else casts[0]
            value = f"({last}).quantity"
        unit = series.unit_sql
        value_scale = 0 if series.aggregation == "count" else series.scale
        return (
            "SELECT\n"
            f"    {', '.join(KEY)},\n    {unit} AS unit,\n    {literal(series.aggregation)} AS aggregation,\n    window_index,\n"
            f"    {self._quantity_sql(value, value_scale)} AS quantity,\n"
            f"    {self._exact_text_sql(value, value_scale)} AS numerator,\n"
            f"    CAST(NULL AS BIGINT) AS divisor_us,\n    {count} AS record_count,\n    FALSE AS carried,\n"
            f"    {metered_at} AS max_metered_at,\n{_last_columns(last)}\n"
            f"FROM counted\nWHERE used AND {count} > 0"
        )

    def _exact_sum_sql(self, series: Series) -> str:
        """A sum from its two parts; NULL when it has more than 38 digits (R18)."""
        high = " + ".join(f"coalesce(CAST(high_{s.index} AS HUGEINT), 0)" for s in series.slots)
        lows = [f"CAST(low_{s.index} AS DECIMAL(38, {_low_scale(series)}))" for s in series.slots]
        low = " + ".join(f"coalesce(unscaled({part}), 0)" for part in lows)
        whole = f"sum_of_parts({high}, {low}, power_of_ten({_low_digits(series)}))"
        return unscaled_to_decimal_sql(whole, series.scale)

    # --- gauges ---------------------------------------------------------------------------------------------------

    def gauge_queries(self, judged: Sequence[Stage]) -> list[Query]:
        """One query for each DECIMAL among the gauges: `gauged_N`, what every window sees of the levels."""
        by_scale: dict[tuple[int, bool], list[Series]] = {}
        for series in self.gauges:
            by_scale.setdefault((series.scale, _is_fast(series)), []).append(series)
        return [
            Query(f"gauged_{n}", (*judged, *self._gauge_stages(group)))
            for n, group in enumerate(by_scale.values())
        ]

    def _gauge_stages(self, group: Sequence[Series]) -> list[Stage]:
        branches = [self._levels_sql(series, slot) for series in group for slot in series.slots]
        pieces = self._pieces_sql(group[0])
        first = load_stage("spans")
        return [
            Stage("levels", "every level a gauge was set to before the end, one row each", "\nUNION ALL\n".join(branches)),
            first,
            self.windows.stage,
            Stage("pieces", "each span cut at the windows it touches", pieces),
            load_stage("weighted"),
        ]

    def _levels_sql(self, series: Series, slot: Slot) -> str:
        decimal = f"DECIMAL(38, {series.scale})"
        key = ", ".join(KEY)
        if self.across_workspaces:
            key = key.replace("workspace_id", "CAST(NULL AS VARCHAR) AS workspace_id")
        return (
            f"SELECT\n    {key},\n    {series.unit_sql} AS unit,\n    {literal(series.aggregation)} AS aggregation,\n"
            f"    recorded_at,\n    metered_at,\n    event_id AS id,\n    CAST(v_{slot.index} AS {decimal}) AS level\n"
            f"FROM judged\nWHERE {self._shown()} AND v_{slot.index} IS NOT NULL AND recorded_at < $end"
        )

    def _pieces_sql(self, series: Series) -> str:
        high, low = split_sql("level", series)
        first = self.windows.index_sql("greatest(recorded_at, $start)")
        last = self.windows.index_sql("greatest(held_until - to_microseconds(1), recorded_at, $start)")
        columns = (
            f"    spans.*,\n    {high} AS level_high,\n    {low} AS level_low,\n    windows.window_index,\n    window_start,\n"
            "    epoch_us(least(held_until, window_end)) - epoch_us(greatest(recorded_at, window_start)) AS held_us,\n"
            "    held_until >= window_end AND held_until > recorded_at AS holds_at_end\n"
        )
        touching = "WHERE held_until > $start OR recorded_at >= $start"
        if self.windows.is_one:
            return f"SELECT\n{columns}FROM spans\nCROSS JOIN windows\n{touching}"
        touched = f"SELECT\n    *,\n    unnest(range(CAST({first} AS BIGINT), CAST({last} AS BIGINT) + 1)) AS window_index\nFROM spans\n{touching}"
        inner = touched.replace("\n", "\n    ")
        columns = columns.replace("spans.*", "spans.* EXCLUDE (window_index)")
        return f"SELECT\n{columns}FROM (\n    {inner}\n) AS spans\nJOIN windows ON windows.window_index = spans.window_index"

    def _gauge_reading_stages(self) -> list[Stage]:
        by_scale: dict[tuple[int, bool], Series] = {}
        for series in self.gauges:
            by_scale.setdefault((series.scale, _is_fast(series)), series)
        stages: list[Stage] = []
        for n, series in enumerate(by_scale.values()):
            stages += self._one_gauge_stages(n, series)
        return stages

    def _one_gauge_stages(self, n: int, series: Series) -> list[Stage]:
        """From `gauged_N` to readings: the quotient for averages, the extremes as they are."""
        base_digits = _low_digits(series)
        low = f"unscaled(CAST(low_us AS DECIMAL(38, {_low_scale(series)})))"
        states = {"peak-state": "peak", "min-state": "lowest", "final-state": "last.quantity"}
        rescaled = " ".join(f"WHEN {literal(name)} THEN {column}" for name, column in states.items())
        state = f"CASE aggregation {rescaled} END"
        base = f"power_of_ten({base_digits})"
        carried = (
            "SELECT\n    *,\n"
            f"    CAST(high_us AS HUGEINT) + {low} // {base} AS high_carried,\n"
            f"    {low} % {base} AS low_carried\n"
            f"FROM gauged_{n}\nJOIN windows USING (window_index)"
        )
        numerators = (
            "SELECT\n    *,\n"
            "    high_carried + CASE WHEN high_carried > 0 AND low_carried < 0 THEN -1 WHEN high_carried < 0 AND low_carried > 0 THEN 1 ELSE 0 END AS high,\n"
            f"    low_carried + CASE WHEN high_carried > 0 AND low_carried < 0 THEN {base} WHEN high_carried < 0 AND low_carried > 0 THEN -{base} ELSE 0 END AS low,\n"
            f"    {base} AS base,\n    CAST(epoch_us(window_end) - epoch_us(window_start) AS HUGEINT) AS divisor,\n"
            f"    {series.scale} AS scale,\n    {self.result_scale} AS result_scale\n"
            f"FROM gauge_{n}_carried"
        )
        averages = load_stage("averages")
        stages = [
            Stage(f"gauge_{n}_carried", "the numerator's two parts, the lower one below its base", carried),
            Stage(f"gauge_{n}_numerators", "Σ level × microseconds as high × base + low, both of one sign (R15)", numerators),
            replace(averages, name=f"gauge_{n}_averages", sql=averages.sql.replace("FROM numerators", f"FROM gauge_{n}_numerators")),
        ]
        if self.digits is not None:
            divided = f"(SELECT *, {self.digits} AS digits FROM gauge_{n}_averages)"
            stage = load_stage("significant")
            stages.append(replace(stage, name=f"gauge_{n}_significant", sql=stage.sql.replace("FROM divided", f"FROM {divided}")))
        is_average = "aggregation = 'time-weighted-avg'"
        final = (
            f"SELECT\n    {', '.join(KEY)},\n    unit,\n    aggregation,\n    window_index,\n"
            f"    CASE WHEN {is_average} THEN {self._average_quantity_sql()} ELSE {self._quantity_sql(state, series.scale)} END AS quantity,\n"
            f"    CASE WHEN {is_average} THEN parts_text(high, low, {base_digits}, {series.scale})"
            f" ELSE {self._exact_text_sql(state, series.scale)} END AS numerator,\n"
            f"    CASE WHEN {is_average} THEN CAST(divisor AS BIGINT) END AS divisor_us,\n    record_count,\n    carried,\n    max_metered_at,\n"
            + _last_columns("CASE WHEN aggregation = 'final-state' THEN last END")
            + f"\nFROM {stages[-1].name}\nWHERE {is_average} OR {state} IS NOT NULL"
        )
        return [*stages, Stage(f"gauge_{n}", "the gauges of one DECIMAL, one row per reading", final)]

    def _average_quantity_sql(self) -> str:
        if self.digits is not None:
            return "significant"
        return unscaled_to_decimal_sql("rounded", self.result_scale)

    # --- readings -------------------------------------------------------------------------------------------------

    def readings(self) -> Query:
        """`readings`: every reading, one row per key (R10), with its id, its window and its exact state."""
        parts = [f"SELECT * FROM counter_{n}" for n in range(len(self.counters))]
        gauge_stages = self._gauge_reading_stages()
        parts += [f"SELECT * FROM {s.name}" for s in gauge_stages if s.name.count("_") == 1]
        combined = Stage("totals", "counters and gauges, one row per reading", "\nUNION ALL\n".join(parts))
        final = load_stage("readings")
        return Query("readings", (self.windows.stage, *self._counter_stages(), *gauge_stages, combined, final))

    def _quantity_sql(self, value: str, scale: int) -> str:
        """A DECIMAL(38, scale) at the result scale, half to even if digits must go; NULL when it does not fit."""
        if self.digits is not None:
            return f"plain_text({value})"
        result = self.result_scale
        if result >= scale:
            return f"TRY_CAST({value} AS DECIMAL(38, {result}))"
        return f"half_even({value}, TRY_CAST({value} AS DECIMAL(38, {result})), {scale - result}, {last_digit_sql(result)})"

    def _exact_text_sql(self, value: str, scale: int) -> str:
        """The exact value beside a rounded one, so that readings still combine (R20)."""
        loses = self.digits is None and self.result_scale < scale
        return f"plain_text({value})" if loses else "CAST(NULL AS VARCHAR)"


def split_sql(value: str, shape: Slot | Series) -> tuple[str, str]:
    """A DECIMAL in two parts, `high × base + low`, each so short that its product with three centuries of microseconds
    fits DECIMAL(38): the whole and its fraction, or, where the whole alone is too long, at 19 digits (R15)."""
    if _is_fast(shape):
        high = f"CAST(trunc({value}) AS DECIMAL(20, 0))"
        return high, f"({value} - {high})" if shape.scale else "CAST(0 AS DECIMAL(1, 0))"
    return (
        f"CAST(unscaled({value}) // power_of_ten({LOW_DIGITS}) AS DECIMAL(20, 0))",
        f"CAST(unscaled({value}) % power_of_ten({LOW_DIGITS}) AS DECIMAL(20, 0))",
    )


def unscaled_to_decimal_sql(unscaled: str, scale: int) -> str:
    """An integer of at most 38 digits, counted in units of 10^-scale, as DECIMAL(38, scale); exact."""
    whole = f"CAST({unscaled} AS DECIMAL(38, 0))"
    return f"({whole} * {last_digit_sql(scale)})" if scale else whole


def last_digit_sql(scale: int) -> str:
    """10^-scale as a DECIMAL."""
    return f"CAST('0.{'1'.rjust(scale, '0')}' AS DECIMAL({scale}, {scale}))" if scale else "CAST(1 AS DECIMAL(1, 0))"


def _low_digits(shape: Slot | Series) -> int:
    """The base of the two parts is ten to this."""
    return shape.scale if _is_fast(shape) else LOW_DIGITS


def _low_scale(shape: Slot | Series) -> int:
    """The scale of the lower part."""
    return shape.scale if _is_fast(shape) else 0


def _is_fast(shape: Slot | Series) -> bool:
    return shape.integer_digits <= FAST_INTEGER_DIGITS and shape.scale <= FAST_SCALE


def last_sql(value: str) -> str:
    """What the order of R13 compares, and the quantity it finds."""
    return f"{{'recorded_at': recorded_at, 'metered_at': metered_at, 'id': event_id, 'quantity': {value}}}"


def last_type_sql(decimal: str) -> str:
    """The type of last_sql."""
    return f"STRUCT(recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, quantity {decimal})"


def _last_columns(last: str) -> str:
    if last == "NULL":
        return (
            "    CAST(NULL AS TIMESTAMP) AS last_recorded_at,\n    CAST(NULL AS TIMESTAMP) AS last_metered_at,\n"
            "    CAST(NULL AS VARCHAR) AS last_event_id"
        )
    return (
        f"    ({last}).recorded_at AS last_recorded_at,\n    ({last}).metered_at AS last_metered_at,\n"
        f"    ({last}).id AS last_event_id"
    )


def _shown_unit(series: Series) -> str:
    """A unit in a comment: one line, whatever its text."""
    return " ".join(series.unit_sql.split())

