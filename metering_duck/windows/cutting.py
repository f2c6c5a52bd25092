"""Windows: half-open `[start, end)`, whole, cut at a calendar's boundaries, listed, or of each subject's own calendar.

Everything becomes rows of one relation `windows` (sql/windows.sql). Which of them a moment is in is arithmetic where
windows are UTC calendar units or equal lengths, and else a look into `window_cells` (sql/window_cells.sql). Pure text;
windows/schedules.py reads the tables that people give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from metering_duck.contract.intervals import DAY_US, Interval, check_zone, parse_interval
from metering_duck.contract.times import Local, format_time, parse_local
from metering_duck.errors import ConfigError
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, select
from metering_duck.statements.stages import Query, Stage, load_stage, over

WINDOWS_MAX = 10_000_000
UNBOUNDED = "CAST(NULL AS TIMESTAMP)"
# unit, step and origin of a calendar of one period, from its start to its end.
WHOLE = {"unit": "'all'", "step": "CAST(1 AS BIGINT)", "origin": UNBOUNDED}


@dataclass(frozen=True)
class Windows:
    """The windows of a call: `[start, end)` cut by `interval`, or what `schedule` lists, clipped to it.

    Units: `start` and `end` are UTC, once `at_moments` has resolved `bounds`. `schedule` is SQL for the relation
           `calendars`, `by_subject` whether it names subjects. `whole` keeps the windows that begin in `[start, end)`
           and clips none. `prefix` begins the names of their tables; `remarks` are notices about the table of windows.
    """

    start: datetime | None
    end: datetime | None
    interval: Interval | None = None
    zone: str = "UTC"
    anchor: Local | None = None
    whole: bool = False
    schedule: str | None = None
    by_subject: bool = False
    prefix: str = ""
    remarks: tuple[str, ...] = ()
    bounds: tuple[Local | None, Local | None] = (None, None)
    every: str | None = None

    @property
    def name(self) -> str:
        """The table of these windows."""
        return self._named("windows")

    def at_moments(self, moments: Sequence[datetime | None]) -> Windows:
        """The windows between these moments, which `bounds` are.

        Raises: ConfigError for a window that is empty or inverted, or cut into too many.
        """
        first, last = moments
        if first is not None and last is not None and first >= last:
            kind = "empty" if first == last else "inverted"
            raise ConfigError(
                f"window: found the {kind} window [{format_time(first)}, {format_time(last)}); "
                "expected end after start."
            )
        if self.interval is not None and first is not None and last is not None:
            _check_count(first, last, self.interval, str(self.every))
        return replace(self, start=first, end=last)

    @property
    def parameters(self) -> dict[str, object]:
        """The values of $start and $end, naive because SQL's TIMESTAMP is UTC here."""
        bounds = {"start": self.start, "end": self.end}
        return {name: bound.replace(tzinfo=None) for name, bound in bounds.items() if bound is not None}

    @property
    def is_one(self) -> bool:
        """Whether there is only one window."""
        return self.interval is None and self.schedule is None

    @property
    def length_us(self) -> int | None:
        """The equal length of windows that step from the start, if they do."""
        if self.interval is None or self.interval.word or self.anchor:
            return None
        if self.interval.unit == "day":
            return self.interval.step * DAY_US if self.zone == "UTC" else None
        return self.interval.step if self.interval.unit == "microsecond" else None

    @property
    def is_arithmetic(self) -> bool:
        """Whether a moment's window can be computed from the moment alone."""
        if self.schedule is not None or self.whole:
            return False
        if self.is_one or self.length_us:
            return True
        return self.zone == "UTC" and self.anchor is None and not (self.interval and self.interval.weekday)

    def index_sql(self, moment: str) -> str:
        """SQL for the number of the window that a moment in `[start, end)` is in, counted from 0, as BIGINT."""
        if self.interval is None:
            return "CAST(0 AS BIGINT)"
        if self.interval.word == "week":
            return f"date_diff('day', date_trunc('week', $start), {moment}) // 7"
        if self.interval.word:
            return f"date_diff('{self.interval.word}', $start, {moment})"
        if self.length_us:
            return f"(epoch_us({moment}) - epoch_us($start)) // {self.length_us}"
        passed = f"date_diff('month', $start, {moment})"
        return (
            f"({passed} - CASE WHEN $start + to_months(CAST({passed} AS INTEGER)) > {moment} THEN 1 ELSE 0 END)"
            f" // {self.interval.step}"
        )

    @property
    def carried_columns(self) -> tuple[str, ...]:
        """What `placed` gives that a later stage cannot compute from the moment alone."""
        return () if self.is_arithmetic else ("window_index", "last_index", "last_end")

    @property
    def last_end_sql(self) -> str:
        """The end of the last window, of the row's subject where it has windows of its own."""
        return "$end" if self.is_arithmetic else "last_end"

    @property
    def before_end_sql(self) -> str:
        """Whether a row of `placed` is before that."""
        return "recorded_at < $end" if self.is_arithmetic else "window_index IS NOT NULL"

    # --- the tables ------------------------------------------------------------------------------------------------

    def queries(self) -> list[Query]:
        """What fills `windows` and, where it is needed, `window_cells`."""
        calendars = Stage("calendars", "how the windows are cut, and between which moments", self._calendars_sql())
        made = Query(self.name, (calendars, load_stage("windows")))
        if self.is_arithmetic:
            return [made]
        return [
            made,
            self._looked_up("window_grid", "windows"),
            self._looked_up("window_cells", "windows", "window_grid"),
        ]

    def _looked_up(self, table: str, *read: str) -> Query:
        """A table to look windows up in, made of tables of these windows."""
        return Query(self._named(table), (self.stage(table, *read),))

    def stage(self, name: str, *read: str) -> Stage:
        """The stage of sql/`name`.sql, where it reads tables of windows: those of these windows."""
        stage = load_stage(name)
        others = {table: f"SELECT * FROM {self._named(table)}" for table in read if self._named(table) != table}
        return over(stage, others) if others else stage

    def _named(self, table: str) -> str:
        """A table of these windows: those of inner windows have names of their own."""
        return self.prefix + table

    def _calendars_sql(self) -> str:
        bounds = {
            "first_at": "$start" if self.start else UNBOUNDED,
            "last_at": "$end" if self.end else UNBOUNDED,
            "whole": "TRUE" if self.whole else "FALSE",
        }
        if self.schedule is not None:
            return select(bounds, f"(\n{self.schedule}\n)", star="*")
        listed = {
            "universe_id": "CAST(NULL AS VARCHAR)",
            "subject": "CAST(NULL AS VARCHAR)",
            "outer_index": "CAST(NULL AS BIGINT)",
            **_interval_columns(self),
            "starts": UNBOUNDED,
            "ends": UNBOUNDED,
        }
        return select(listed | bounds, "(VALUES (0)) AS once(n)")

    # --- which window a row is in ----------------------------------------------------------------------------------

    def placed_stage(
        self, source: str = "judged", *, moment: str = "recorded_at", name: str = "placed", suffix: str = ""
    ) -> Stage:
        """`placed`: each row with the window it is in, or the next one if it is in none, up to the last one's end.

        Adds window_index, NULL behind the last window; in_window; last_index and last_end of the row's subject; all
        with the `suffix`.
        """
        columns, joined = self._place(source, moment)
        stars = f"{source}.*" if joined != source else "*"
        named = {column + suffix: sql for column, sql in columns.items()}
        return Stage(
            name,
            "the window that each row is in, or the next one where it is in none",
            select(named, joined, star=stars),
        )

    def _place(self, source: str, moment: str) -> tuple[dict[str, str], str]:
        """The columns that place a row, and what they are selected from."""
        if self.is_arithmetic:
            index = self.index_sql(f"greatest({moment}, $start)")
            columns = {
                "window_index": case({f"{moment} < $end": index}),
                "in_window": f"coalesce({moment} >= $start AND {moment} < $end, FALSE)",
                "last_index": self.index_sql("$end - to_microseconds(1)"),
                "last_end": "$end",
            }
            return columns, source
        cells, grid = self._named("window_cells"), self._named("window_grid")
        reached = f"greatest({moment}, {grid}.first_start)"
        same = (
            "".join(f"    AND cells.{n} = {source}.{n}\n" for n in ("universe_id", "subject"))
            if self.by_subject
            else ""
        )
        joined = (
            f"{source}\nCROSS JOIN {grid}\nLEFT JOIN {cells} AS cells\n"
            f"    ON cells.cell = epoch_us({reached}) // {grid}.cell_us\n{same}"
            f"    AND {reached} >= cells.reach_start\n    AND {reached} < cells.window_end"
        )
        columns = {
            "window_index": "cells.window_index",
            "in_window": f"coalesce({moment} >= cells.window_start, FALSE)",
            "last_index": "cells.last_index",
            "last_end": "cells.last_end",
        }
        return columns, joined


def make_windows(
    start: object,
    end: object,
    every: str | None,
    *,
    timezone: str | None = None,
    anchor: object = None,
    whole: bool = False,
    bounded: bool = False,
    open_ended: bool = False,
) -> Windows:
    """Windows from datetimes or RFC 3339 texts and an optional `every`.

    `bounded` says that a table has the bounds, `open_ended` that those which are missing here are found later.

    Raises: ConfigError for a missing window, and for an `every` or zone that is none.
    Source: R11.
    """
    zone = "UTC" if timezone is None else check_zone(timezone, "timezone")
    if not bounded and not open_ended:
        _check_bounds(start, end)
    first, last = (
        None if bound is None else parse_local(bound, name) for name, bound in (("start", start), ("end", end))
    )
    interval = None if every is None else parse_interval(every, "every")
    if anchor is not None and interval is None and not bounded:
        raise ConfigError("anchor: found one without an interval; expected every beside it. hint: --every P1M")
    local = None if anchor is None else parse_local(anchor, "anchor")
    return Windows(None, None, interval, zone, local, whole, bounds=(first, last), every=every)


def _interval_columns(windows: Windows) -> dict[str, str]:
    """zone, unit, step and origin of the one calendar of windows that no table lists."""
    zone = literal(windows.zone)
    if windows.interval is None:
        return {"zone": zone, **WHOLE}
    return {"zone": zone, **windows.interval.columns(windows.interval.origin_sql("$start", zone, windows.anchor))}


def _check_bounds(start: object, end: object) -> None:
    """Refuse a window without a start or an end."""
    lacking = " and ".join(name for name, bound in (("start", start), ("end", end)) if bound is None)
    if lacking:
        expected = "both" if start is None and end is None else "start and end"
        hint = "--start 2024-01-01 --end 2024-02-01"
        raise ConfigError(f"window: found no {lacking}; expected {expected}. hint: {hint}")


def _check_count(first: datetime, last: datetime, interval: Interval, every: str) -> None:
    if (last - first) / timedelta(microseconds=interval.shortest_us) > WINDOWS_MAX:
        raise ConfigError(f"every: found {every!r}, which cuts more than {WINDOWS_MAX:,} windows; expected fewer.")
