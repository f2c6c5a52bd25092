"""Layouts: what an input calls the fields of an event or a record, and how its properties are kept.

A layout writes the stage `fields`, in which every input looks alike; pure text. sources.py finds out which layout an
input has. `fields` has: workspace_id, universe_id, id, event_id, type, subject, time_text, recorded_at, time_cut,
time_naive, metered_at, keyless, reason, reason_text, file, content_text, one p_N per property that is asked for, and
`properties` when all are; of records also quantity, unit and aggregation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from metering_duck.quote import literal, literal_list
from metering_duck.stages import Stage

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
}
OPTIONAL = {"metered_at", "aggregation", "properties", "dimensions", "observations"}


@dataclass(frozen=True)
class Column:
    """Where a field comes from: SQL for its value, and the value's type as DuckDB names it."""

    sql: str
    type: str = "VARCHAR"

    @property
    def text_sql(self) -> str:
        """The value as text; an ENUM or a UUID by its text."""
        return self.sql if self.type == "VARCHAR" else f"CAST({self.sql} AS VARCHAR)"


@dataclass(frozen=True)
class TimeColumn:
    """A moment out of whatever the input has: SQL for the UTC microseconds and for what was cut, naive, or unreadable."""

    column: Column
    zone: str

    @property
    def is_text(self) -> bool:
        """Whether the input has text here."""
        return self.column.type == "VARCHAR"

    @property
    def moment_sql(self) -> str:
        """UTC microseconds, finer digits cut toward the past (R11); NULL when there is no such moment."""
        value, kind = self.column.sql, self.column.type
        if self.is_text:
            return f"time_of_text({value}, {literal(self.zone)})"
        if kind == "TIMESTAMP WITH TIME ZONE":
            return f"CASE WHEN isfinite({value}) THEN {value} AT TIME ZONE 'UTC' END"
        if kind == "TIMESTAMP_NS":
            nanoseconds = f"epoch_ns({value})"
            floored = f"({nanoseconds} - ({nanoseconds} % 1000 + 1000) % 1000) // 1000"
            return self._zoned(f"make_timestamp({floored})")
        return self._zoned(f"CAST({value} AS TIMESTAMP)")

    def _zoned(self, naive: str) -> str:
        finite = f"CASE WHEN isfinite({naive}) THEN {naive} END"
        return finite if self.zone == "UTC" else f"({finite} AT TIME ZONE {literal(self.zone)}) AT TIME ZONE 'UTC'"

    @property
    def cut_sql(self) -> str:
        """Whether digits finer than a microsecond were cut."""
        if self.is_text:
            return f"time_is_cut({self.column.sql}) IS TRUE"
        return f"(epoch_ns({self.column.sql}) % 1000 <> 0) IS TRUE" if self.column.type == "TIMESTAMP_NS" else "FALSE"

    @property
    def naive_sql(self) -> str:
        """Whether the input names no offset here."""
        if self.is_text:
            return f"(is_time({self.column.sql}) AND time_is_naive({self.column.sql})) IS TRUE"
        return "FALSE" if self.column.type == "TIMESTAMP WITH TIME ZONE" else f"{self.column.sql} IS NOT NULL"


@dataclass(frozen=True)
class Layout:
    """An input's fields and properties as SQL over `input` (its stage, or the last of `before`)."""

    relation: str
    columns: Mapping[str, Column]
    properties_sql: str
    property_sql: Callable[[str], str] | None = None
    zone: str = "UTC"
    file_sql: str = "CAST(NULL AS VARCHAR)"
    extra_faults: tuple[tuple[str, str, str], ...] = ()
    keyless_faults: tuple[tuple[str, str, str], ...] = ()
    json_sql: str = ""
    json_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    json_properties: tuple[str, ...] | None = None
    unnests: bool = False
    is_records: bool = False
    generated_ids: bool = False

    def column(self, name: str) -> Column:
        """A field's column; an absent optional one is NULL."""
        return self.columns.get(name, Column("CAST(NULL AS VARCHAR)"))

    @property
    def time_name(self) -> str:
        """What the moment of use is called: an event's time, a record's recorded_at."""
        return "recorded_at" if self.is_records else "time"

    @property
    def metered_at_sql(self) -> str:
        """The moment an event or record entered, or NULL."""
        if "metered_at" not in self.columns:
            return "CAST(NULL AS TIMESTAMP)"
        return TimeColumn(self.columns["metered_at"], "UTC").moment_sql

    @property
    def _metered_given_sql(self) -> str:
        column = self.column("metered_at")
        return f"coalesce({column.sql}, '') <> ''" if column.type == "VARCHAR" else f"{column.sql} IS NOT NULL"

    def stages(self, properties: Sequence[str]) -> list[Stage]:
        """From the input to `fields`; `properties` become p_0, p_1, …"""
        read = Stage("input", "the input as it lies", f"SELECT * FROM {self.relation}")
        stages = [read, *self._json_stages(properties)]
        named = self._named_sql(stages[-1].name, properties)
        stages.append(Stage("named", "its fields under one name each, as text", named))
        if self.generated_ids:
            stages.append(Stage("numbered", "an id from the row's own content, equal rows counted apart", _GENERATED_ID))
        source = "numbered" if self.generated_ids else "named"
        stages.append(Stage("fields", "its times in UTC microseconds (R11), and what makes a row unusable", self._fields_sql(source)))
        return stages

    def _json_paths(self, properties: Sequence[str]) -> list[str]:
        wanted = [path for paths in self.json_fields.values() for path in paths]
        prefix = self.json_properties
        return wanted + ([] if prefix is None else [json_pointer(*prefix, name) for name in properties])

    def _json_stages(self, properties: Sequence[str]) -> list[Stage]:
        """Where there is JSON: what it holds at the paths that are needed, parsed once, every digit kept."""
        paths = self._json_paths(properties)
        if not self.json_sql:
            return []
        usable = f"CASE WHEN json_valid({self.json_sql}) AND json_type({self.json_sql}) = 'OBJECT' THEN {self.json_sql} END"
        stages = [
            Stage("objects", "the JSON that is an object", f"SELECT\n    *,\n    {usable} AS object\nFROM input"),
            Stage("parsed", "its texts, every digit kept", f"SELECT\n    *,\n    json_texts(object, {literal_list(paths)}) AS texts\nFROM objects"),
        ]
        if self.unnests:
            stages.append(Stage("observed", "one row per observation of a bundle; a record without one is a row too", _OBSERVED))
        return stages

    def _property_sql(self, name: str, properties: Sequence[str]) -> str:
        if self.property_sql is not None:
            return self.property_sql(name)
        fields = sum(len(paths) for paths in self.json_fields.values())
        return f"texts[{fields + list(properties).index(name) + 1}]"

    def _named_sql(self, source: str, properties: Sequence[str]) -> str:
        time = TimeColumn(self.column(self.time_name), self.zone)
        text = {name: self.column(name).text_sql for name in ("workspace_id", "universe_id", "subject")}
        columns = {
            **text,
            "id": self.column("id").text_sql,
            "event_id": self.column("source_event_id" if self.is_records else "id").text_sql,
            "type": "CAST(NULL AS VARCHAR)" if self.is_records else self.column("type").text_sql,
            "time_text": time.column.sql if time.is_text else f"time_text({time.moment_sql})",
            "recorded_at": time.moment_sql,
            "time_cut": time.cut_sql,
            "time_naive": time.naive_sql,
            "metered_text": self.column("metered_at").text_sql,
            "metered_invalid": f"{self._metered_given_sql} AND {self.metered_at_sql} IS NULL",
            "metered_at": self.metered_at_sql,
            "file": self.file_sql,
            "early_reason": self._case([*self.keyless_faults, *self.extra_faults], 1),
            "early_text": self._case([*self.keyless_faults, *self.extra_faults], 2),
        }
        if self.is_records:
            columns |= {name: self.column(name).text_sql for name in ("quantity", "unit", "aggregation")}
        columns |= {f"p_{n}": self._property_sql(name, properties) for n, name in enumerate(properties)}
        columns["properties"] = f"CASE WHEN early_reason IS NULL THEN {self.properties_sql} END"
        return "SELECT\n    " + ",\n    ".join(f"{sql} AS {name}" for name, sql in columns.items()) + f"\nFROM {source}"

    @staticmethod
    def _case(faults: Sequence[tuple[str, str, str]], part: int) -> str:
        whens = " ".join(f"WHEN {fault[0]} THEN {literal(fault[1]) if part == 1 else fault[2]}" for fault in faults)
        return f"CASE {whens} END" if whens else "CAST(NULL AS VARCHAR)"

    def _fields_sql(self, source: str) -> str:
        required = [("id", "id-missing"), ("workspace_id", "workspace-missing"), ("universe_id", "universe-missing"), ("subject", "subject-missing")]
        required += [("event_id", "source-event-missing"), ("unit", "unit-missing")] if self.is_records else [("type", "type-missing")]
        faults = [(f"coalesce({name}, '') = ''", reason, name) for name, reason in required]
        faults += [
            ("recorded_at IS NULL AND coalesce(time_text, '') = ''", "time-missing", "time_text"),
            ("recorded_at IS NULL", "time-invalid", "time_text"),
            ("recorded_at = TIMESTAMP '0001-01-01 00:00:00'", "time-missing", "time_text"),
            ("metered_invalid", "metered-at-invalid", "metered_text"),
        ]
        keyless = [f"early_reason = {literal(reason)}" for _, reason, _ in self.keyless_faults]
        keyless += [f"coalesce({name}, '') = ''" for name in ("id", "workspace_id", "universe_id")]
        content = {
            "type": "type", "subject": "subject", "time": "coalesce(time_text(recorded_at), time_text)",
            **({"quantity": "quantity", "unit": "unit"} if self.is_records else {}), "properties": "properties",
        }
        body = ", ".join(f"'{name}': {sql}" for name, sql in content.items())
        return (
            "SELECT\n    * EXCLUDE (early_reason, early_text, metered_text, metered_invalid),\n"
            f"    ({' OR '.join(keyless)}) IS TRUE AS keyless,\n"
            f"    coalesce(early_reason, {self._case(faults, 1)}) AS reason,\n"
            f"    CASE WHEN early_reason IS NOT NULL THEN early_text ELSE {self._case(faults, 2)} END AS reason_text,\n"
            f"    CAST(to_json({{{body}}}) AS VARCHAR) AS content_text\n"
            f"FROM {source}"
        )


_OBSERVED = """SELECT
    * EXCLUDE (observation),
    CASE
        WHEN observation IS NULL THEN [NULL, NULL, NULL, NULL, NULL]
        WHEN has_fragile_number(object) THEN list_transform(
            json_extract_string(observation, ['/quantity', '/unit', '/aggregation', '/window/start', '/window/end']),
            lambda value: unmarked(value)
        )
        ELSE json_extract_string(observation, ['/quantity', '/unit', '/aggregation', '/window/start', '/window/end'])
    END AS observed,
    coalesce(json_type(observation, '/window') IS NOT NULL, FALSE) AS has_window,
    CASE WHEN bundled THEN '[' || CAST(place AS VARCHAR) || ']' ELSE '' END AS place_text
FROM (
    SELECT
        *,
        unnest(CASE WHEN len(listed) > 0 THEN listed ELSE [NULL] END) AS observation,
        unnest(range(1, greatest(len(listed), 1) + 1)) AS place
    FROM (
        SELECT
            *,
            json_type(object, '/observations') IS NOT DISTINCT FROM 'ARRAY' AS bundled,
            CASE
                WHEN json_type(object, '/observations') IS DISTINCT FROM 'ARRAY' THEN CAST([] AS JSON[])
                WHEN has_fragile_number(object)
                    THEN CAST(json_extract(marked_numbers(object), '/observations') AS JSON[])
                ELSE CAST(json_extract(object, '/observations') AS JSON[])
            END AS listed
        FROM parsed
    )
)"""

_GENERATED_ID = """SELECT
    *,
    id AS event_id
FROM (
    SELECT
        * EXCLUDE (row_text)
            REPLACE (digest(row_text) || '-' || CAST(row_number() OVER (PARTITION BY row_text) AS VARCHAR) AS id)
    FROM (
        SELECT
            * EXCLUDE (event_id),
            CAST(to_json({
                'workspace': workspace_id, 'universe': universe_id, 'type': type, 'subject': subject, 'time': time_text,
                'properties': properties
            }) AS VARCHAR) AS row_text
        FROM named
    )
)"""


def json_pointer(*keys: str) -> str:
    """Keys as an RFC 6901 pointer."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
