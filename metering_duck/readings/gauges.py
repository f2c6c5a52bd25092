"""Gauges: averages, integrals and states over levels that hold until the next (R14, R19).

    judged → series                                                  (one number for each key of a reading)
    judged → placed → levels → spans (LEAD) → pieces (cut at the windows they touch) → weighted      = gauged_N
    gauged_N [→ divisors_N, or by long division → averages_N] → gauge_N

Linear in rows and windows, but for one sort. It is a sort of numbers: a series has a number, and an event id is looked
at only where a moment of a series is not one event's (`tied_moments`). The carried-in level needs no search: a span
that began before the window reaches into it. Measurements that set the same levels share their spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metering_duck.contract.aggregations import AVERAGE, INTEGRALS, KNOWN_AVERAGE
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, DecimalType, Rounding
from metering_duck.decimals.quotients import Quotient, numerator_text_sql
from metering_duck.judging.slots import UNIT_COLUMN, Slot
from metering_duck.readings.series import KEY, last_columns
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage

if TYPE_CHECKING:
    from metering_duck.readings.series import Series, Totals

STATES = {"'peak-state'": "peak", "'min-state'": "lowest", "'final-state'": "last.quantity"}
DIVISORS = {
    literal(AVERAGE): "epoch_us(window_end) - epoch_us(window_start)",
    literal(KNOWN_AVERAGE): "nullif(known_us, 0)",
    **{literal(name): str(divisor) for name, divisor in INTEGRALS.items()},
}
IS_QUOTIENT = f"aggregation IN ({', '.join(DIVISORS)})"
MOMENT = ("subject", "recorded_at", "metered_at")


@dataclass(frozen=True)
class Gauges:
    """The gauges of one DECIMAL, as `series` of equal levels: each list is a scan, and a few readings of its spans."""

    totals: Totals
    decimal: DecimalType
    kinds: tuple[tuple[Series, ...], ...]
    keeps_ids: bool = False

    @property
    def functions(self) -> set[str]:
        """Which aggregations there are."""
        return {series.aggregation.name for kind in self.kinds for series in kind}

    @property
    def keys(self) -> dict[str, str]:
        """What a series is told apart by, as SQL over `judged`."""
        return series_keys(self.totals)

    @property
    def divides(self) -> bool:
        """Whether a reading is a sum of level × time, by itself or divided."""
        return any(series.aggregation.divides for kind in self.kinds for series in kind)

    @property
    def needs_id(self) -> bool:
        """Whether a reading says which event it has its level from."""
        return self.has_final or self.keeps_ids

    @property
    def has_final(self) -> bool:
        """Whether a reading is the last level itself."""
        return "final-state" in self.functions

    @property
    def has_deltas(self) -> bool:
        """Whether a level is a running sum."""
        return any(kind[0].aggregation.deltas for kind in self.kinds)

    @property
    def order_sql(self) -> str:
        """The order of R13; of one event's equals the greater is last."""
        return f"recorded_at, metered_at, {'tied_id, ' if self.totals.tied else ''}level"

    # --- stages -----------------------------------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """From `judged` to `gauged_N`'s rows."""
        return [
            self.totals.windows.placed_stage(),
            *self.levels_stages(),
            Stage("spans", "a level holds from its time to the next record's (R14, R13)", self._spans_sql()),
            *self._pieces_stages(),
            Stage(
                "weighted",
                "what each window sees of the levels: Σ level × microseconds, the extremes, the last (R15)",
                self._weighted_sql(),
            ),
            Stage("gauged", "under the keys of their readings", self._gauged_sql()),
        ]

    def levels_stages(self) -> list[Stage]:
        """`levels`: as they were sent, or as running sums of deltas."""
        sent = {
            deltas: "\nUNION ALL\n".join(
                self._levels_sql(n, slot)
                for n, kind in enumerate(self.kinds)
                if kind[0].aggregation.deltas == deltas
                for slot in kind[0].slots
            )
            for deltas in (False, True)
        }
        if self.totals.has_levels_before:
            for deltas, made in sent.items():
                before = [self._before_sql(n, k) for n, k in enumerate(self.kinds) if k[0].aggregation.deltas == deltas]
                sent[deltas] = "\nUNION ALL\n".join([*([made] if made else []), *before])
        why = "every level a gauge was set to before the last window's end, one row each"
        if not sent[True]:
            return [Stage("levels", why, sent[False])]
        over = f"PARTITION BY series ORDER BY recorded_at, metered_at{', tied_id' if self.totals.tied else ''}"
        running = select({}, "deltas", star=f"* REPLACE (sum(level) OVER ({over}) AS level)")
        levels = [select({}, "running", star="*"), *([sent[False]] if sent[False] else [])]
        return [
            Stage("deltas", "every change of a level, one row each", sent[True]),
            Stage("running", "each the sum of all deltas up to it; those of one event take effect together", running),
            Stage("levels", why, "\nUNION ALL\n".join(levels)),
        ]

    def _levels_sql(self, kind: int, slot: Slot) -> str:
        tied = f"hash({', '.join(MOMENT)}) IN (SELECT moment_hash FROM tied_moments)"
        columns = self._level_columns(kind, f"v_{slot.index}", case({tied: "event_id"}))
        columns |= names(self.totals.windows.carried_columns)
        where = [*self.totals.shown, f"v_{slot.index} IS NOT NULL", self.totals.windows.before_end_sql]
        return select(columns, self._with_series("placed", self.keys), where=where)

    def _before_sql(self, kind: int, of_kind: Sequence[Series]) -> str:
        """The level of each series from before, of deltas their sum; no event of the window shares its moment."""
        unit, aggregation = of_kind[0].unit_sql, literal(of_kind[0].aggregation.name)
        columns = self._level_columns(kind, "level", "CAST(NULL AS VARCHAR)")
        where = [f"unit = {unit}", f"aggregation = {aggregation}", *self.totals.of_subjects]
        return select(columns, self._with_series("levels_before", names(self.keys)), where=where)

    def _level_columns(self, kind: int, level: str, tied_id: str) -> dict[str, str]:
        series = "series" if len(self.kinds) == 1 else f"CAST(series * {len(self.kinds)} + {kind} AS UINTEGER)"
        columns = {"series": series, **names(("recorded_at", "metered_at"))}
        if self.needs_id:
            columns["id"] = "event_id"
        if self.totals.tied:
            columns["tied_id"] = tied_id
        return columns | {"level": f"CAST({level} AS {self.decimal.wide_sql})"}

    def _with_series(self, source: str, keys: Mapping[str, str]) -> str:
        same = " AND ".join(f"{sql} IS NOT DISTINCT FROM series_{name}" for name, sql in keys.items())
        return f"{source}\nJOIN {self.totals.prefix}series ON {same or 'TRUE'}"

    def _spans_sql(self) -> str:
        windows = self.totals.windows
        columns = {"held_until": f"coalesce(lead(recorded_at) OVER by_series, {windows.last_end_sql})"}
        if windows.carried_columns:
            columns["until_index"] = "coalesce(lead(window_index) OVER by_series, last_index)"
        excluded = ", ".join(name for name in windows.carried_columns if name != "window_index")
        star = f"* EXCLUDE ({excluded})" if excluded else "*"
        over = f"PARTITION BY series ORDER BY {self.order_sql}"
        return select(columns, "levels", star=star) + f"\nWINDOW by_series AS ({over})"

    def _pieces_stages(self) -> list[Stage]:
        """A span has a piece in each window it touches; one that ends at a window's start is carried in for no time."""
        windows, why = self.totals.windows, "each span cut at the windows it touches"
        if windows.is_one:
            return [Stage("pieces", why, self._pieces_sql("spans", "$start", "$end", star="*"))]
        indexes = {"window_index": "window_index", "until_index": "until_index"}
        if windows.is_arithmetic:
            last = windows.index_sql("$end - to_microseconds(1)")
            indexes = {
                "window_index": windows.index_sql("greatest(recorded_at, $start)"),
                "until_index": case({"held_until < $end": windows.index_sql("greatest(held_until, $start)")}, last),
            }
        touched = f"unnest(range({indexes['window_index']}, {indexes['until_index']} + 1))"
        star = "*" if windows.is_arithmetic else "* EXCLUDE (window_index, until_index)"
        source = f"touched\nJOIN {windows.name} USING (window_index)"
        pieces = self._pieces_sql(source, "window_start", "window_end", star="touched.*")
        return [
            Stage(
                "touched", "the windows that each span touches", select({"window_index": touched}, "spans", star=star)
            ),
            Stage("pieces", why, pieces),
        ]

    def _pieces_sql(self, source: str, start: str, end: str, *, star: str) -> str:
        columns = {
            "held_us": f"epoch_us(least(held_until, {end})) - epoch_us(greatest(recorded_at, {start}))",
            "begins_here": f"recorded_at >= {start}",
            "holds_at_end": f"held_until >= {end} AND held_until > recorded_at",
        }
        if self.totals.windows.is_one:
            columns["window_index"] = "CAST(0 AS BIGINT)"
        return select(columns, source, star=star, where=[f"held_until >= {start}"])

    def _weighted_sql(self) -> str:
        record = names(("recorded_at", "metered_at")) | {"id": "id", "quantity": "level"}
        held, wide, found = "CAST(held_us AS DECIMAL(18, 0))", self.decimal.wide_sql, self.functions
        last = f"STRUCT(recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, quantity {wide})"
        columns = {"series": "series", "window_index": "window_index"}
        if self.divides and self.totals.exact_levels:
            high, low = self.decimal.parts_sql("level")
            columns["high_us"] = f"CAST(sum({high} * {held}) AS HUGEINT)"
            columns["low_us"] = f"unscaled(CAST(sum(({low}) * {held}) AS {self.decimal.low_sql}))"
        elif self.divides:
            columns["level_us"] = f"sum(level * {held})"
        peak, lowest = ("max(CASE WHEN held_us > 0 THEN level END)", "min(CASE WHEN held_us > 0 THEN level END)")
        latest = f"max(CASE WHEN holds_at_end THEN {struct(record)} END)" if self.has_final else f"CAST(NULL AS {last})"
        columns |= {
            "known_us": "CAST(sum(held_us) AS BIGINT)",
            "peak": peak if "peak-state" in found else f"CAST(NULL AS {wide})",
            "lowest": lowest if "min-state" in found else f"CAST(NULL AS {wide})",
            "last": latest,
            "record_count": "count(*) FILTER (begins_here)",
            "carried": "bool_or(NOT begins_here)",
            "max_metered_at": "max(metered_at)",
        }
        return select(columns, "pieces", group_by=("series", "window_index"))

    def _gauged_sql(self) -> str:
        """Each series with its key, once for every aggregation of its levels."""
        columns = self._reading_key | {"window_index": "window_index"}
        if self.divides:
            columns |= names(("high_us", "low_us") if self.totals.exact_levels else ("level_us",))
        columns |= names(("known_us", "peak", "lowest", "last", "record_count", "carried", "max_metered_at"))
        return select(columns, self._with_readings("weighted"))

    @property
    def _reading_key(self) -> dict[str, str]:
        """The key of a reading, of rows that have a series and `kinds`."""
        columns = {name: self.totals.constants.get(name, f"series_{name}") for name in KEY}
        unit = "coalesce(kind_unit, series_unit)" if UNIT_COLUMN in self.keys else "kind_unit"
        return columns | {"unit": unit, "aggregation": "kind_aggregation"}

    def _with_readings(self, source: str) -> str:
        """Rows of a series, each once for every aggregation of its levels."""
        listed = [(n, series) for n, kind in enumerate(self.kinds) for series in kind]
        kinds = ", ".join(f"({n}, {_unit_sql(series)}, {literal(series.aggregation.name)})" for n, series in listed)
        count, all_series = len(self.kinds), f"{self.totals.prefix}series AS all_series"
        return (
            f"{source}\nJOIN {all_series} ON all_series.series = {source}.series // {count}\n"
            f"JOIN (VALUES {kinds}) AS kinds(kind, kind_unit, kind_aggregation) ON kind = {source}.series % {count}"
        )

    def levels_at_end(self) -> list[Stage]:
        """From `judged` to `levels_at_end`: the last level of each series, which holds into the next window (R14)."""
        record = struct(names(("recorded_at", "metered_at", "id", "level")))
        last = select({"series": "series", "last": f"max({record})"}, "levels", group_by=["series"])
        columns = self._reading_key | {name: f"last.{name}" for name in ("recorded_at", "metered_at")}
        columns |= {"event_id": "last.id", "level": "plain_text(last.level)"}
        return [
            self.totals.windows.placed_stage(),
            *replace(self, keeps_ids=True).levels_stages(),
            Stage("lasts", "the last level of each series", last),
            Stage("levels_at_end", "under the keys of their readings", select(columns, self._with_readings("lasts"))),
        ]

    # --- readings ---------------------------------------------------------------------------------------------------

    def reading_stages(self, n: int) -> list[Stage]:
        """From `gauged_N` to `gauge_N`: averages by their quotient, states as they are."""
        rounding = self.totals.rounding(self.kinds[0][0])
        source = f"{self.totals.prefix}gauged_{n}"
        stages = self._quotient_stages(source, n, rounding) if self.divides else []
        final = self._reading_sql(rounding, stages[-1].name if stages else source)
        return [*stages, Stage(f"gauge_{n}", "the gauges of one DECIMAL, one row per reading", final)]

    def _is_direct(self, rounding: Rounding) -> bool:
        """Whether DuckDB's own division of DECIMALs is exact and has room: p1 - s1 + s2 + scale <= 38."""
        plain = rounding.digits is None and rounding.mode == HALF_EVEN
        room = 0 <= rounding.scale <= self.decimal.scale < rounding.scale + DIGITS_MAX
        return plain and room and not self.totals.exact_levels

    def _quotient_stages(self, source: str, n: int, rounding: Rounding) -> list[Stage]:
        """Σ level × microseconds, divided by what each aggregation is divided by."""
        divisors = {name: sql for name, sql in DIVISORS.items() if name.strip("'") in self.functions}
        divisor = next(iter(divisors.values())) if len(divisors) == 1 else case(divisors, of="aggregation")
        placed = f"{source}\nJOIN {self.totals.windows.name} USING (window_index)"
        if self._is_direct(rounding):
            divided = select({"divisor": divisor}, placed, star=f"{source}.*")
            return [Stage(f"divisors_{n}", "what each is divided by", divided)]
        if self.totals.exact_levels:
            found = Quotient(placed, "high_us", "low_us", divisor)
        else:
            base = f"power_of_ten({self.decimal.low_digits})"
            found = Quotient(placed, f"unscaled(level_us) // {base}", f"unscaled(level_us) % {base}", divisor)
        return found.stages(str(n), self.decimal, rounding)

    def _reading_sql(self, rounding: Rounding, source: str) -> str:
        found = {literal(name) for name in self.functions}
        states = {name: sql for name, sql in STATES.items() if name in found}
        state = case(states, of="aggregation") if states else ""
        exact = rounding.quantity_sql(state, self.decimal.scale), rounding.exact_text_sql(state, self.decimal.scale)
        total = numerator_text_sql(self.decimal) if self.totals.exact_levels else "plain_text(level_us)"
        average = rounding.average_sql, total, "CAST(divisor AS BIGINT)"
        if self.divides and self._is_direct(rounding):
            average = rounding.direct_average_sql("level_us", "divisor"), *average[1:]

        def either(of_average: str, of_state: str) -> str:
            both = self.divides and bool(states)
            return case({IS_QUOTIENT: of_average}, of_state) if both else of_average if self.divides else of_state

        there = [f"{IS_QUOTIENT} AND divisor IS NOT NULL"] if self.divides else []
        there += [f"{state} IS NOT NULL"] if states else []
        columns = {
            **{name: self.totals.constants.get(name, name) for name in KEY},
            **names(("unit", "aggregation", "window_index")),
            "quantity": either(average[0], exact[0]),
            "numerator": either(average[1], exact[1]),
            "divisor_us": either(average[2], "CAST(NULL AS BIGINT)"),
            **names(("record_count", "carried")),
            "prorated": "FALSE",
            "max_metered_at": "max_metered_at",
            **last_columns("CASE WHEN aggregation = 'final-state' THEN last END" if self.has_final else None),
        }
        return select(columns, source, where=[" OR ".join(f"({one})" for one in there)])


def _unit_sql(series: Series) -> str:
    return "CAST(NULL AS VARCHAR)" if series.unit_sql == UNIT_COLUMN else series.unit_sql


def gauges_of(totals: Totals) -> list[Gauges]:
    """The gauges of each DECIMAL, those with the same levels together."""
    found = []
    for group in totals.gauges:
        kinds: dict[object, list[Series]] = {}
        for series in group:
            levels = tuple(slot.levels or str(slot.index) for slot in series.slots)
            kinds.setdefault((levels, series.aggregation.deltas), []).append(series)
        found.append(Gauges(totals, group[0].decimal, tuple(tuple(kind) for kind in kinds.values())))
    return found


def series_keys(totals: Totals) -> dict[str, str]:
    """What gauges' series are told apart by, as SQL over `judged`: what varies of the key, and of records the unit."""
    keys = {name: sql for name, sql in totals.key_columns.items() if name not in totals.constants}
    if any(series.unit_sql == UNIT_COLUMN for group in totals.gauges for series in group):
        keys[UNIT_COLUMN] = UNIT_COLUMN
    return keys


def gauged_queries(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """`series`, then `gauged_N` for each DECIMAL among the gauges, from `judged`."""
    gauges = gauges_of(totals)
    if not gauges:
        return []
    queries = [Query(f"{totals.prefix}series", (*judged, *_series_stages(totals)))]
    return queries + [Query(f"{totals.prefix}gauged_{n}", (*judged, *found.stages())) for n, found in enumerate(gauges)]


def _series_stages(totals: Totals) -> list[Stage]:
    keys = {f"series_{name}": sql for name, sql in series_keys(totals).items()} or {"only": "TRUE"}
    found = select(keys, "judged", where=totals.of_subjects, group_by=[str(n + 1) for n in range(len(keys))])
    if totals.has_levels_before:
        before = {name: name.removeprefix("series_") for name in keys if name != "only"} or keys
        found = f"{found}\nUNION\n{select(before, 'levels_before', where=totals.of_subjects)}"
    number = select({"series": "CAST(row_number() OVER () - 1 AS UINTEGER)"}, "keys", star="*")
    return [
        Stage("keys", "every key that a reading may have", found),
        Stage("series", "a number for each: numbers are sorted and grouped in half the time", number),
    ]


def widest_levels(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """The first level too large of each DECIMAL that has deltas: unit, subject, moment; about is enough here."""
    queries = []
    for found in gauges_of(totals):
        if not found.has_deltas:
            continue
        level = "sum(CAST(level AS DOUBLE)) OVER (PARTITION BY series ORDER BY recorded_at, metered_at)"
        sums = Stage("sums", "running sums, about", select({"about": f"abs({level})"}, "deltas", star="*"))
        units = [(str(n), _unit_sql(kind[0])) for n, kind in enumerate(found.kinds)]
        unit = case(units, of=f"sums.series % {len(units)}")
        columns = {
            "unit": f"coalesce({unit}, series_unit)" if UNIT_COLUMN in found.keys else unit,
            "subject": totals.constants.get("subject", "series_subject"),
            "moment": "time_text(recorded_at)",
        }
        source = f"sums\nJOIN {totals.prefix}series AS all_series ON all_series.series = sums.series // {len(units)}"
        too_large = [f"about >= 1e{DIGITS_MAX - found.decimal.scale}"]
        first = select(columns, source, where=too_large, order_by=["recorded_at", "subject"])
        last = Stage("widest", "the first level too large", f"{first}\nLIMIT 1")
        queries.append(Query("widest", (*judged, totals.windows.placed_stage(), found.levels_stages()[0], sums, last)))
    return queries
