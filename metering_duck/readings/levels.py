"""Levels: each level that judged events set a gauge to, and the time for which it held in each window.

    judged → series                                                 (one number for each key of a reading)
    judged → placed → levels → spans → touched → pieces             (readings/pieces.py cuts at the windows)

The cost is linear in rows and windows, except for one sort. It sorts numbers: a series has a number, and event ids are
compared only where several events share a moment of a series (`tied_moments`). Measurements that set equal levels share
their spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metering_duck.decimals.columns import DIGITS_MAX, DecimalType
from metering_duck.judging.slots import UNIT_COLUMN, Slot
from metering_duck.readings.pieces import pieces_stages, spans_stage
from metering_duck.readings.series import KEY
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage

if TYPE_CHECKING:
    from metering_duck.contract.definitions import Definition
    from metering_duck.readings.series import Series, Totals

MOMENT = ("subject", "recorded_at", "metered_at")


@dataclass(frozen=True)
class Levels:
    """The levels that are held in one DECIMAL. Each kind of `kinds` are the series of equal levels, which share a scan.

    With `keeps_ids`, each level says which event it is from.
    """

    totals: Totals
    decimal: DecimalType
    kinds: tuple[tuple[Series, ...], ...]
    keeps_ids: bool = False

    @property
    def definitions(self) -> list[Definition]:
        """The aggregations of the levels, in the order of the series."""
        return [series.aggregation.definition for kind in self.kinds for series in kind]

    @property
    def kept(self) -> set[str]:
        """The states that the readings of the levels are made of."""
        return {state for definition in self.definitions for state in definition.keeps}

    @property
    def keys(self) -> dict[str, str]:
        """The columns that tell series apart, as SQL over `judged`."""
        return series_keys(self.totals)

    @property
    def needs_id(self) -> bool:
        """Whether a reading says which event it has its level from."""
        return "last" in self.kept or self.keeps_ids

    @property
    def has_deltas(self) -> bool:
        """Whether a level is a running sum."""
        return any(kind[0].aggregation.deltas for kind in self.kinds)

    @property
    def order_sql(self) -> str:
        """The order of R13; of levels that one event sets at one moment, the greater is last."""
        return f"recorded_at, metered_at, {'tied_id, ' if self.totals.tied else ''}level"

    def pieces_stages(self) -> list[Stage]:
        """The stages from `judged` to `pieces`: each level in each window that it touches."""
        windows = self.totals.windows
        return [
            windows.placed_stage(),
            *self.levels_stages(),
            spans_stage(windows, self.order_sql),
            *pieces_stages(windows),
        ]

    def levels_stages(self) -> list[Stage]:
        """`levels`: the levels that events set, and running sums of the deltas that events have."""
        why = "every level a gauge was set to before the last window's end, one row each"
        sent, deltas = self._sent_sql(deltas=False), self._sent_sql(deltas=True)
        if not deltas:
            return [Stage("levels", why, sent)]
        over = f"PARTITION BY series ORDER BY recorded_at, metered_at{', tied_id' if self.totals.tied else ''}"
        running = select({}, "deltas", star=f"* REPLACE (sum(level) OVER ({over}) AS level)")
        levels = select({}, "running", star="*")
        if sent:
            levels += f"\nUNION ALL\n{sent}"
        return [
            Stage("deltas", "every change of a level, one row each", deltas),
            Stage(
                "running",
                "each level as the sum of all deltas up to it; those of one event take effect together",
                running,
            ),
            Stage("levels", why, levels),
        ]

    def _sent_sql(self, *, deltas: bool) -> str:
        """SQL for the levels, or the deltas, of events and from before the window; "" where no series has any."""
        chosen = [(n, kind) for n, kind in enumerate(self.kinds) if kind[0].aggregation.deltas == deltas]
        rows = [self._levels_sql(n, slot) for n, kind in chosen for slot in kind[0].slots]
        if self.totals.has_levels_before:
            rows += [self._before_sql(n, kind) for n, kind in chosen]
        return "\nUNION ALL\n".join(rows)

    def _levels_sql(self, kind: int, slot: Slot) -> str:
        tied = f"hash({', '.join(MOMENT)}) IN (SELECT moment_hash FROM tied_moments)"
        columns = self._level_columns(kind, f"v_{slot.index}", case({tied: "event_id"}))
        columns |= names(self.totals.windows.carried_columns)
        where = [*self.totals.shown, f"v_{slot.index} IS NOT NULL", self.totals.windows.before_end_sql]
        return select(columns, self._with_series("placed", self.keys), where=where)

    def _before_sql(self, kind: int, of_kind: Sequence[Series]) -> str:
        """SQL for the level, or the sum of deltas, of each series before the window; no event has its moment."""
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

    @property
    def reading_key(self) -> dict[str, str]:
        """The key of a reading, as SQL over `with_readings`."""
        columns = {name: self.totals.constants.get(name, f"series_{name}") for name in KEY}
        unit = "coalesce(kind_unit, series_unit)" if UNIT_COLUMN in self.keys else "kind_unit"
        return columns | {"unit": unit, "aggregation": "kind_aggregation"}

    def with_readings(self, source: str) -> str:
        """SQL for FROM: the rows of `source`, once for every aggregation of the levels of their series."""
        listed = [(n, series) for n, kind in enumerate(self.kinds) for series in kind]
        kinds = ", ".join(f"({n}, {_unit_sql(series)}, {literal(series.aggregation.name)})" for n, series in listed)
        count, all_series = len(self.kinds), f"{self.totals.prefix}series AS all_series"
        return (
            f"{source}\nJOIN {all_series} ON all_series.series = {source}.series // {count}\n"
            f"JOIN (VALUES {kinds}) AS kinds(kind, kind_unit, kind_aggregation) ON kind = {source}.series % {count}"
        )

    def levels_at_end(self) -> list[Stage]:
        """The stages to `levels_at_end`: the last level of each series, which holds into the next window (R14)."""
        record = struct(names(("recorded_at", "metered_at", "id", "level")))
        last = select({"series": "series", "last": f"max({record})"}, "levels", group_by=["series"])
        columns = self.reading_key | {name: f"last.{name}" for name in ("recorded_at", "metered_at")}
        columns |= {"event_id": "last.id", "level": "plain_text(last.level)"}
        return [
            self.totals.windows.placed_stage(),
            *replace(self, keeps_ids=True).levels_stages(),
            Stage("lasts", "the last level of each series", last),
            Stage(
                "levels_at_end",
                "the last levels, under the keys of their readings",
                select(columns, self.with_readings("lasts")),
            ),
        ]


def _unit_sql(series: Series) -> str:
    return "CAST(NULL AS VARCHAR)" if series.unit_sql == UNIT_COLUMN else series.unit_sql


def levels_of(totals: Totals) -> list[Levels]:
    """The levels of the gauges of each DECIMAL; series of equal levels are one kind."""
    found = []
    for group in totals.gauges:
        kinds: dict[object, list[Series]] = {}
        for series in group:
            levels = tuple(slot.levels or str(slot.index) for slot in series.slots)
            kinds.setdefault((levels, series.aggregation.deltas), []).append(series)
        found.append(Levels(totals, group[0].decimal, tuple(tuple(kind) for kind in kinds.values())))
    return found


def series_keys(totals: Totals) -> dict[str, str]:
    """The columns that tell gauges' series apart, as SQL over `judged`: the key without constants, and a unit."""
    keys = {name: sql for name, sql in totals.key_columns.items() if name not in totals.constants}
    if any(series.unit_sql == UNIT_COLUMN for group in totals.gauges for series in group):
        keys[UNIT_COLUMN] = UNIT_COLUMN
    return keys


def series_stages(totals: Totals) -> list[Stage]:
    """The stages from `judged` to `series`: the number of each key that a gauge's reading may have."""
    keys = {f"series_{name}": sql for name, sql in series_keys(totals).items()} or {"only": "TRUE"}
    found = select(keys, "judged", where=totals.of_subjects, group_by=[str(n + 1) for n in range(len(keys))])
    if totals.has_levels_before:
        before = {name: name.removeprefix("series_") for name in keys if name != "only"} or keys
        found = f"{found}\nUNION\n{select(before, 'levels_before', where=totals.of_subjects)}"
    number = select({"series": "CAST(row_number() OVER () - 1 AS UINTEGER)"}, "keys", star="*")
    return [
        Stage("keys", "every key that a gauge's reading may have", found),
        Stage("series", "a number for each key: numbers are sorted and grouped in half the time", number),
    ]


def widest_levels(totals: Totals, judged: Sequence[Stage]) -> list[Query]:
    """For each DECIMAL with deltas, the query of the first level that is too large, found by sums of DOUBLE."""
    queries = []
    for found in levels_of(totals):
        if not found.has_deltas:
            continue
        level = "sum(CAST(level AS DOUBLE)) OVER (PARTITION BY series ORDER BY recorded_at, metered_at)"
        sums = Stage(
            "sums",
            "running sums of deltas, as floating-point numbers",
            select({"about": f"abs({level})"}, "deltas", star="*"),
        )
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
