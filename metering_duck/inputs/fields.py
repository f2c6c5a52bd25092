"""Fields: which names an input may give to each field, and a field as SQL over the input's columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metering_duck.statements.quote import literal, literal_list
from metering_duck.statements.select import case

EVENT_NAMES = {
    "workspace_id": ("workspaceID", "workspace_id", "workspaceId"),
    "universe_id": ("universeID", "universe_id", "universeId"),
    "id": ("id",),
    "type": ("type",),
    "subject": ("subject",),
    "time": ("time",),
    "metered_at": ("meteredAt", "metered_at"),
    "properties": ("properties",),
}
RECORD_NAMES = {
    "workspace_id": EVENT_NAMES["workspace_id"],
    "universe_id": EVENT_NAMES["universe_id"],
    "id": ("id",),
    "subject": ("subject",),
    "recorded_at": ("recordedAt", "observedAt", "recorded_at", "observed_at"),
    "quantity": ("quantity",),
    "unit": ("unit",),
    "aggregation": ("aggregation",),
    "source_event_id": ("sourceEventID", "source_event_id", "sourceEventId"),
    "metered_at": EVENT_NAMES["metered_at"],
    "dimensions": ("dimensions",),
    "observations": ("observations",),
    "window_start": ("window_start", "windowStart"),
    "window_end": ("window_end", "windowEnd"),
    "value": ("value",),
}

EXTENT = ("window_start", "window_end", "value")


def field_names(*, records: bool) -> dict[str, tuple[str, ...]]:
    """Field → its spellings, for records or for events."""
    return RECORD_NAMES if records else EVENT_NAMES


# Which events are needed, by their times: those of the window; those before the window, too (a level is carried in); or
# all events.
Reach = Literal["window", "before", "all"]
FILE_COLUMN = "metering_duck_file"
ROW_COLUMN = "metering_duck_row"
ENTERED_COLUMN = "metering_duck_entered"
# The column of the table `entered` with the time when a file was first seen. An event that does not say when it entered
# is taken to have entered then.
ENTERED_BY_FILE = "entered_at"
ABSENT = "CAST(NULL AS VARCHAR)"
NO_PROPERTIES = "MAP([]::VARCHAR[], []::VARCHAR[])"
NANOSECONDS = ("TIMESTAMP_NS", "TIMESTAMPTZ_NS")
COARSE_TIMES = ("TIMESTAMP_S", "TIMESTAMP_MS")
BEYOND = "'beyond the years of a TIMESTAMP'"
WITH_OFFSET = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
# What Go writes for a time that was never set.
ZERO_TIME = "TIMESTAMP '0001-01-01 00:00:00'"
LAST_TIME = "TIMESTAMP '9999-12-31 23:59:59.999999'"
HAS_TIME = f"recorded_at > {ZERO_TIME} AND recorded_at <= {LAST_TIME}"


@dataclass(frozen=True)
class Proven:
    """What is proven for every row of a column.

    `constant` is the one text that all rows have; `is_present` says that no value is NULL or empty, `is_ordinary_time`
    that every value is a moment in the years 1 to 9999.
    """

    constant: str | None = None
    is_present: bool = False
    is_ordinary_time: bool = False


NOTHING = Proven()


@dataclass(frozen=True)
class Column:
    """Where a field comes from: SQL for its value, the value's type as DuckDB names it, and what is proven of it."""

    sql: str
    type: str = "VARCHAR"
    proven: Proven = NOTHING

    @property
    def constant_sql(self) -> str | None:
        """The one text that all rows have, if it is known."""
        is_known = self.type == "VARCHAR" and self.proven.constant is not None
        return literal(self.proven.constant or "") if is_known else None

    @property
    def text_sql(self) -> str:
        """The value as text."""
        if self.constant_sql is not None:
            return self.constant_sql
        if self.type in COARSE_TIMES:
            # Beyond the years of a TIMESTAMP, the cast to text would bring DuckDB down.
            text = f"CAST(TRY_CAST({self.sql} AS TIMESTAMP) AS VARCHAR)"
            return f"coalesce({text}, {case({f'{self.sql} IS NOT NULL': BEYOND})})"
        return self.sql if self.type == "VARCHAR" else f"CAST({self.sql} AS VARCHAR)"


def constant_column(text: str) -> Column:
    """A field that has one and the same text in every row."""
    return Column(literal(text), proven=Proven(text, text != ""))


@dataclass(frozen=True)
class TimeColumn:
    """SQL over a column of times: the moment in UTC microseconds, and whether it was cut, naive or unreadable."""

    column: Column
    zone: str = "UTC"

    @property
    def is_text(self) -> bool:
        """Whether the times of the column are text."""
        return self.column.type == "VARCHAR"

    @property
    def is_ordinary(self) -> bool:
        """Whether every row is proven to have a moment, in the years 1 to 9999."""
        if self.column.type == "TIMESTAMP":
            is_utc = self.zone == "UTC"
        else:
            is_utc = self.column.type == "TIMESTAMP WITH TIME ZONE"
        return is_utc and self.column.proven.is_ordinary_time

    @property
    def moment_sql(self) -> str:
        """The moment in UTC microseconds, finer digits cut toward the past (R11); NULL when the value is no moment."""
        value, kind = self.column.sql, self.column.type
        if self.is_text:
            if self.zone == "UTC":
                return f"utc_of_text({value})"
            return f"time_of_text({value}, {literal(self.zone)})"
        if self.is_ordinary:
            return value if kind == "TIMESTAMP" else f"make_timestamp(epoch_us({value}))"
        if kind == "TIMESTAMP WITH TIME ZONE":
            return case({f"isfinite({value})": f"make_timestamp(epoch_us({value}))"})
        if kind in NANOSECONDS:
            nanoseconds = f"epoch_ns({value})"
            floored = f"make_timestamp(({nanoseconds} - ({nanoseconds} % 1000 + 1000) % 1000) // 1000)"
            return floored if kind in WITH_OFFSET else self._zoned(floored)
        return self._zoned(f"TRY_CAST({value} AS TIMESTAMP)" if kind in COARSE_TIMES else f"CAST({value} AS TIMESTAMP)")

    def _zoned(self, naive: str) -> str:
        """A time without an offset as a moment in UTC, by the column's zone."""
        finite = case({f"isfinite({naive})": naive})
        if self.zone == "UTC":
            return finite
        return f"moment_of({finite}, {literal(self.zone)})"

    @property
    def text_sql(self) -> str:
        """The time as its sender wrote it; of a column that is no text, the moment as RFC 3339."""
        if self.is_text:
            return self.column.sql
        return f"coalesce(time_text({self.moment_sql}), {self.column.text_sql})"

    @property
    def given_sql(self) -> str:
        """Whether the column has a value that is not empty."""
        if self.is_ordinary:
            return "TRUE"
        if self.is_text:
            return f"coalesce({self.column.sql}, '') <> ''"
        return f"{self.column.sql} IS NOT NULL"

    @property
    def cut_sql(self) -> str:
        """Whether a time had digits finer than a microsecond, which are cut."""
        if self.is_text:
            return f"time_is_cut({self.column.sql}) IS TRUE"
        if self.column.type in NANOSECONDS:
            return f"(epoch_ns({self.column.sql}) % 1000 <> 0) IS TRUE"
        return "FALSE"

    @property
    def naive_sql(self) -> str:
        """Whether the column has a time without an offset."""
        if self.is_text:
            return f"(is_time({self.column.sql}) AND time_is_naive({self.column.sql})) IS TRUE"
        return "FALSE" if self.column.type in WITH_OFFSET else self.given_sql


@dataclass(frozen=True)
class Fault:
    """Why a row cannot be used: SQL for the `condition`, the `reason` code, and SQL for the offending `text`."""

    condition: str
    reason: str
    text: str


def reach_conditions(reach: Reach, moment: str, *, start: str = "$start", end: str = "$end") -> list[str]:
    """SQL conditions for a moment that is in reach of the window."""
    match reach:
        case "window":
            return [f"{moment} >= {start}", f"{moment} < {end}"]
        case "before":
            return [f"{moment} < {end}"]
        case "all":
            return []


def map_sql(values: Mapping[str, str]) -> str:
    """SQL for a MAP of the names whose text is not NULL; `values` are name → SQL of a text."""
    if not values:
        return NO_PROPERTIES
    return f"in_order(MAP({literal_list(values)}, [{', '.join(values.values())}]))"


def json_pointer(*keys: str) -> str:
    """Keys as an RFC 6901 pointer."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
