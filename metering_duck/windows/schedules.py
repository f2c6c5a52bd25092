"""Schedules: tables of billing periods that people give, listed windows or subscriptions, as the relation `calendars`.

A subscription's periods step from its own anchor on the clock of its own zone. Every complaint names the table, the
row's subject, what was found and what was expected. Needs an engine: what is wrong with a table is asked in SQL.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from metering_duck.contract.intervals import Interval, parse_interval
from metering_duck.contract.times import format_time
from metering_duck.engine.duckdb import Engine
from metering_duck.engine.remote import shown
from metering_duck.errors import ConfigError, SchemaError, first_few
from metering_duck.inputs.fields import json_pointer
from metering_duck.inputs.from_json import ONE_OBJECT, repeated_sql
from metering_duck.inputs.given import are_pairs
from metering_duck.inputs.input import Input
from metering_duck.inputs.layout import Json
from metering_duck.inputs.mapping import divided
from metering_duck.inputs.one_name import open_table
from metering_duck.inputs.relations import Relation, names_of_objects
from metering_duck.inputs.unreadable import check_readable
from metering_duck.inputs.whole_files import check_rows
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import case, select
from metering_duck.statements.stages import Query, Stage, load_stage, over
from metering_duck.windows.cutting import WHOLE, WINDOWS_MAX, Windows

SUBJECT = {"universe_id": ("universe", "universe_id", "universeID"), "subject": ("subject",)}
SUBSCRIPTION = (
    SUBJECT | {"every": ("interval", "every")} | {name: (name,) for name in ("anchor", "zone", "starts", "ends")}
)
LISTED = SUBJECT | {"starts": ("start", "window_start"), "ends": ("end", "window_end"), "zone": ("zone",)}
REQUIRED = {"subscriptions": ("universe_id", "subject"), "windows": ("starts", "ends")}
TIMES = ("anchor", "starts", "ends")
INTERVALS_MAX = 1_000
CLOCKS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS")


def listed_pairs(given: Any) -> Any:
    """Pairs of start and end as objects; anything else as it is."""
    if are_pairs(given):
        return [{"start": _as_text(start), "end": _as_text(end)} for start, end in given]
    return given


def _as_text(moment: Any) -> Any:
    return moment.isoformat() if isinstance(moment, datetime) else moment


@dataclass(frozen=True)
class Schedule:
    """A table of windows or subscriptions: what it is called in messages, and where its rows are."""

    kind: str
    found: Input

    def opened(self, engine: Engine, windows: Windows) -> Windows:
        """`windows` with the periods of this table.

        Raises: ConfigError for an unknown zone or interval, a period that is inverted or has no bound; SchemaError for
                a column that is missing or of a wrong type.
        """
        texts, remarks = self._texts_sql(engine)
        rows = f"(\n{texts}\n)"
        by_subject = self.kind == "subscriptions" or self._names_subjects(engine, rows)
        checks = _Checks(engine, self.kind, rows)
        checks.times()
        checks.zones()
        if by_subject:
            checks.subjects()
        moments = f"(\n{select(_moments(windows), rows, star='*')}\n)"
        checks = _Checks(engine, self.kind, moments)
        checks.bounds(windows)
        intervals = [] if self.kind == "windows" else checks.intervals(windows.interval)
        columns = {"zone": "in_zone", **(_subscribed(windows, intervals) if intervals else WHOLE)}
        checks.count(windows, intervals)
        names = {name: name if by_subject else "CAST(NULL AS VARCHAR)" for name in ("universe_id", "subject")}
        names["outer_index"] = "CAST(NULL AS BIGINT)"
        schedule = select(names | columns | {"starts": "starts_at", "ends": "ends_at"}, moments)
        return replace(windows, schedule=schedule, by_subject=by_subject, remarks=remarks)

    def _texts_sql(self, engine: Engine) -> tuple[str, tuple[str, ...]]:
        """The table with a column for each field: its text, of a time with what kind it is; and remarks."""
        known = SUBSCRIPTION if self.kind == "subscriptions" else LISTED
        table = open_table(engine, self.found, self.kind, known)
        given, relation = table.rows, table.rows.sql
        check_rows(engine, given)
        if given.is_json:
            self._check_objects(engine, given, known)
            keys = names_of_objects(engine, relation)
            types = {f"json_extract_string(line, {literal(json_pointer(key))})": (key, "VARCHAR") for key in keys}
        else:
            check_readable((name for names in known.values() for name in names), given.unreadable)
            types = {identifier(name): (name, kind) for name, kind in table.types.items()}
        self._check_near_misses([name for name, _ in types.values()], known)
        texts = {
            field: self._field_sql(field, spellings, types, given.told_apart) for field, spellings in known.items()
        }
        fields = dict.fromkeys(SUBSCRIPTION | LISTED, "CAST(NULL AS VARCHAR)")
        fields |= {field: f"nullif({sql}, '')" for field, sql in texts.items()}
        return select(fields, relation), (*given.notes, *self._remarks([name for name, _ in types.values()], known))

    def _check_objects(self, engine: Engine, given: Relation, known: Mapping[str, Sequence[str]]) -> None:
        """Refuse a line that is no JSON object, has a name twice, or has a field under two names.

        Raises: SchemaError.
        """
        json = Json("line", {field: tuple(map(json_pointer, spellings)) for field, spellings in known.items()})
        faults = ["object IS NULL", repeated_sql("object"), *(fault.condition for fault in json.spelled_twice(()))]
        sql, place = given.numbered()
        rows = Stage("input", "the table as it lies", select({"place": place or "NULL"}, sql, star="*"))
        bad = select({"file": given.file_sql, "place": "place", "line": "line"}, "parsed", where=[" OR ".join(faults)])
        first = Stage("first", "the first row that is no object", f"{bad}\nORDER BY place\nLIMIT 1")
        for one in engine.table(Query("first", (rows, *json.stages(()), first))).to_pylist():
            where = shown(one["file"]) if one["file"] else self.kind
            row = f" in row {one['place']}" if one["place"] else ""
            hint = "an object a line, or an array of objects"
            raise SchemaError(where, "line", found=f"{one['line'][:100]!r}{row}", expected=ONE_OBJECT, hint=hint)

    def _remarks(self, names: Sequence[str], known: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """A notice of the columns that mean nothing in such a table."""
        spellings = {spelling for listed in known.values() for spelling in listed}
        others = [repr(name) for name in names if name not in spellings]
        if not others:
            return ()
        known_names = ", ".join(listed[0] for listed in known.values())
        said = (
            f"the column {first_few(others)}, which means" if len(others) == 1 else f"{first_few(others)}, which mean"
        )
        return (f"{self.kind}: found {said} nothing in this table; its columns are {known_names}.",)

    def _field_sql(
        self, field: str, spellings: Sequence[str], types: Mapping[str, tuple[str, str]], told_apart: str
    ) -> str:
        """The text of one field, whichever of its spellings the table has."""
        all_found = [(sql, kind) for sql, (name, kind) in types.items() if name in spellings]
        found = all_found[0] if all_found else None
        if len(all_found) > 1:
            # Each file, or each object, has one of them.
            found = (f"coalesce({', '.join(_as_text_sql(field, *one) for one in all_found)})", "VARCHAR")
        if found is None and field in REQUIRED[self.kind]:
            self._miss(spellings[0], [name for name, _ in types.values()], told_apart)
        sql, kind = found or ("NULL", "VARCHAR")
        text = _as_text_sql(field, sql, kind)
        return text if field in SUBJECT else f"trim({text})"

    def _check_near_misses(self, names: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
        """A column that is almost one of ours, which the table lacks, would be left out without a word."""
        lacking = [spelling for listed in known.values() if not set(listed) & set(names) for spelling in listed]
        for name in names:
            near = get_close_matches(name.lower(), [s.lower() for s in lacking], n=1, cutoff=0.8)
            if name not in itertools.chain(*known.values()) and near:
                hint = "rename it, to that or to something else"
                raise SchemaError(self.kind, name, found=f"it, almost {near[0]}", expected=near[0], hint=hint)

    def _miss(self, column: str, names: Sequence[str], told_apart: str) -> None:
        if not names:
            raise ConfigError(f"{self.kind}: found none; expected at least one.")
        found = f"no such column among {', '.join(names)}{divided(told_apart)}"
        fields = (
            "universe, subject, anchor, interval, zone, starts, ends" if self.kind == "subscriptions" else "start, end"
        )
        raise SchemaError(self.kind, column, found=found, expected="one", hint=f"the columns are {fields}")

    def _names_subjects(self, engine: Engine, rows: str) -> bool:
        """Whether listed windows are for subjects: all of them, or none."""
        sql = select({"named": "count(subject)", "listed": "count(*)"}, rows)
        ((named, listed),) = engine.rows(sql)
        if named not in (0, listed):
            raise ConfigError(
                f"windows: found {listed - named} without a subject among {listed}; expected one in all or in none."
            )
        return bool(named)


def _as_text_sql(field: str, sql: str, kind: str) -> str:
    """The text of a field's column."""
    return _text_sql(sql, kind) if field in TIMES else f"CAST({sql} AS VARCHAR)"


def _text_sql(sql: str, kind: str) -> str:
    """A time as text that says whether it has an offset."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"time_text({sql} AT TIME ZONE 'UTC')"
    if kind in CLOCKS:
        return f"rtrim(time_text(CAST({sql} AS TIMESTAMP)), 'Z')"
    return f"CAST({sql} AS VARCHAR)"


def _moments(windows: Windows) -> dict[str, str]:
    """Where the zone is not given it is the call's; times without an offset are on the clocks of the zone."""
    zone = f"coalesce(zone, {literal(windows.zone)})"
    moments = {f"{name}_at": f"time_of_text(with_clock({name}), {zone})" for name in ("starts", "ends")}
    return {**moments, "in_zone": zone}


Intervals = Sequence[tuple[str, Interval | None]]


def _subscribed(windows: Windows, intervals: Intervals) -> dict[str, str]:
    """unit, step and origin of each subscription, by its interval."""
    starts = "coalesce(starts_at, $start)" if windows.start else "starts_at"
    columns = []
    for when, interval in intervals:
        if interval is None:
            columns.append((when, WHOLE))
            continue
        anchored = (
            "time_of_text(with_clock(anchor), in_zone)" if interval.is_elapsed else "clock_in_zone(anchor, in_zone)"
        )
        origin = interval.origin_sql(starts, "in_zone", windows.anchor)
        columns.append((when, interval.columns(case({"anchor IS NOT NULL": anchored}, origin))))
    return {name: case((when, listed[name]) for when, listed in columns) for name in WHOLE}


@dataclass(frozen=True)
class _Checks:
    """What may be wrong with a table, each asked of all its rows at once."""

    engine: Engine
    kind: str
    rows: str

    def _first(self, check: str, parameters: dict[str, object] | None = None) -> tuple[Any, ...] | None:
        """The row that sql/checks/`check`.sql finds in the table, if it finds one."""
        stage = over(load_stage(f"checks/{check}"), {"schedule": select({}, self.rows, star="*")})
        found = self.engine.rows(stage.sql, parameters)
        return found[0] if found else None

    def times(self) -> None:
        """Every time is one."""
        bad = self._first("schedule_times")
        if bad:
            field, subject, found = bad
            raise ConfigError(
                f'{self._of(subject)}: found "{found}" in {self._name(field)}; expected a time such as 2024-01-31 '
                "or RFC 3339."
            )

    def zones(self) -> None:
        """Every zone exists."""
        bad = self._first("schedule_zones")
        if bad:
            raise ConfigError(
                f'{self._of(bad[0])}: found the zone "{bad[1]}"; expected an IANA zone such as Europe/Berlin.'
            )

    def subjects(self) -> None:
        """Every row names its universe and its subject."""
        bad = self._first("schedule_subjects")
        if bad:
            raise ConfigError(f"{self._of(bad[1])}: found no universe or no subject in a row; expected both.")

    def bounds(self, windows: Windows) -> None:
        """Every period has two bounds, its own or the call's, and ends behind its start."""
        given: dict[str, object] = {"has_start": windows.start is not None, "has_end": windows.end is not None}
        bad = self._first("schedule_unbounded", given)
        if bad:
            field, subject = bad
            option = field.removesuffix("s")
            raise ConfigError(
                f"{self._of(subject)}: found no {self._name(field)}; expected one in the row, or {option} for all. "
                f"hint: --{option} {'2024-01-01' if option == 'start' else '2025-01-01'}"
            )
        bad = self._first("schedule_inverted")
        if bad:
            kind = "empty" if bad[1] == bad[2] else "inverted"
            raise ConfigError(
                f"{self._of(bad[0])}: found the {kind} period [{bad[1]}, {bad[2]}); expected its end after its start."
            )

    def intervals(self, default: Interval | None) -> Intervals:
        """The intervals that there are, each with the SQL of when it is one; where none is given, the call's."""
        sql = select({"every": "DISTINCT every"}, self.rows)
        found = sorted((row[0] for row in self.engine.rows(sql)), key=lambda text: (text is not None, text))
        if len(found) > INTERVALS_MAX:
            raise ConfigError(
                f"{self.kind}: found {len(found)} different intervals; expected at most {INTERVALS_MAX:,}."
            )
        return [
            ("every IS NULL", default)
            if text is None
            else (f"every = {literal(text)}", parse_interval(text, "subscriptions: interval"))
            for text in found
        ]

    def count(self, windows: Windows, intervals: Intervals) -> None:
        """The periods are not too many to list."""
        starts = "greatest(starts_at, $start)" if windows.start else "starts_at"
        ends = "least(ends_at, $end)" if windows.end else "ends_at"
        shortest = case(((when, str(i.shortest_us)) for when, i in intervals if i), "CAST(NULL AS BIGINT)")
        length = f"greatest(epoch_us({ends}) - epoch_us({starts}), 0)"
        periods = {"periods": f"CAST(sum(coalesce({length} // {shortest}, 0) + 1) AS BIGINT)"}
        counted = Stage("counted_periods", "about how many periods there are", select(periods, self.rows))
        found = self.engine.table(Query("counted_periods", (counted,), windows.parameters)).column(0)[0].as_py()
        if (found or 0) > WINDOWS_MAX:
            raise ConfigError(f"{self.kind}: found more than {WINDOWS_MAX:,} periods; expected fewer.")

    def _name(self, field: str) -> str:
        """What a table of this kind calls a field."""
        return LISTED[field][0] if self.kind == "windows" else field

    def _of(self, subject: str | None) -> str:
        return f"{self.kind} of {subject!r}" if subject is not None else self.kind


def resolve(engine: Engine, windows: Windows) -> Windows:
    """The windows between moments: local bounds by DuckDB's zones, as all that is cut between them.

    Raises: ConfigError for a zone that DuckDB does not have, a bound beyond the years 1 to 9999, an inverted window.
    """
    zone = literal(windows.zone)
    if not engine.rows(f"SELECT 1 FROM pg_timezone_names() WHERE name = {zone}"):
        raise ConfigError(f'timezone: found "{windows.zone}"; expected an IANA zone such as Europe/Berlin.')
    moments: list[datetime | None] = []
    for name, bound in zip(("start", "end"), windows.bounds, strict=True):
        if bound is None:
            moments.append(None)
            continue
        moment = bound.moment_sql(zone)
        in_range = f"{moment} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
        ((found,),) = engine.rows(f"SELECT CASE WHEN {in_range} THEN {moment} END")
        if found is None:
            day = bound.at.date().isoformat()
            raise ConfigError(f"{name}: found {day} in {windows.zone}; expected a time of the years 1 to 9999.")
        moments.append(found.replace(tzinfo=UTC))
    return windows.at_moments(moments)


def check_windows(engine: Engine, windows: Windows) -> None:
    """Refuse windows of one subject that overlap, and a table that leaves none at all.

    Raises: ConfigError.
    """
    stage = windows.stage("checks/overlapping_windows", "windows")
    for subject, one, other in engine.rows(stage.sql):
        whose = "windows" if subject is None else f"periods of {subject!r}"
        raise ConfigError(
            f"{whose}: found two that overlap, one that ends at {format_time(one)} and one that starts at "
            f"{format_time(other)}; expected periods that do not."
        )
    if windows.schedule is not None and engine.count(windows.name) == 0:
        raise ConfigError("windows: found none between start and end; expected at least one.")
