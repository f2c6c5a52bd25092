"""The JSON shapes of records and readings, flat and bundled, as SQL that makes the JSON text of each row.

Pure text. Quantities are plain decimal text (R17), times RFC 3339, absent members are left out.
"""

from __future__ import annotations


def _object_sql(*members: tuple[str, str] | tuple[str, str, str]) -> str:
    """SQL for a JSON object's text, from (key, SQL of the value); a third part, "?", leaves a NULL member out."""
    parts = []
    for key, sql, *optional in members:
        member = f"',\"{key}\":' || {sql}"
        parts.append(f"coalesce({member}, '')" if optional else member)
    return f"'{{' || substr({' || '.join(parts)}, 2) || '}}'"


def _text(column: str) -> str:
    return f"CAST(to_json({column}) AS VARCHAR)"


def _or_null(column: str) -> str:
    return f"coalesce({_text(column)}, 'null')"


def _time(column: str) -> str:
    return f"'\"' || time_text({column} AT TIME ZONE 'UTC') || '\"'"


def _quantity(column: str) -> str:
    return f"'\"' || plain_text({column}) || '\"'"


_DIMENSIONS = ("dimensions", "CASE WHEN cardinality(dimensions) > 0 THEN CAST(to_json(dimensions) AS VARCHAR) END", "?")
_WINDOW_SQL = _object_sql(("start", _time("window_start")), ("end", _time("window_end")))
_SCOPE = (
    ("id", _text("id")),
    ("workspaceID", _text("workspace_id"), "?"),
    ("universeID", _text("universe_id")),
    ("subject", _text("subject")),
)
_ORIGIN = (("sourceEventID", _text("source_event_id")), ("meteredAt", _time("metered_at")))
_COUNTED = (
    ("recordCount", "CAST(record_count AS VARCHAR)"),
    ("maxMeteredAt", _time("max_metered_at"), "?"),
    ("createdAt", _time("created_at")),
)
_STATE_SQL = _object_sql(
    ("carried", "CASE WHEN carried THEN 'true' END", "?"),
    ("prorated", "CASE WHEN prorated THEN 'true' END", "?"),
    ("numerator", _text("numerator"), "?"),
    ("divisorUs", "CAST(divisor_us AS VARCHAR)", "?"),
    ("lastRecordedAt", _time("last_recorded_at"), "?"),
    ("lastMeteredAt", _time("last_metered_at"), "?"),
    ("lastEventID", _text("last_event_id"), "?"),
)
_HAS_STATE = "carried OR prorated OR numerator IS NOT NULL OR divisor_us IS NOT NULL OR last_recorded_at IS NOT NULL"


def _measurement(prefix: str = "") -> tuple[tuple[str, str] | tuple[str, str, str], ...]:
    return (
        ("quantity", _quantity(f"{prefix}quantity")),
        ("unit", _text(f"{prefix}unit")),
        ("aggregation", _text(f"{prefix}aggregation"), "?"),
        ("value", _text(f"{prefix}value"), "?"),
    )


def _list_sql(column: str, item: str) -> str:
    return f"'[' || list_aggregate(list_transform({column}, lambda o: {item}), 'string_agg', ',') || ']'"


_OBSERVATION_WINDOW = _object_sql(("start", _time('o."window".start')), ("end", _time('o."window"."end"')))
LIST_SQL = {
    "observations": _list_sql("observations", _object_sql(*_measurement("o."), ("window", _OBSERVATION_WINDOW))),
    "computed_values": _list_sql("computed_values", _object_sql(*_measurement("o.")[:3])),
}
JSON_SQL = {
    "record": _object_sql(
        *_SCOPE,
        ("measurement", _object_sql(*_measurement())),
        _DIMENSIONS,
        ("recordedAt", _time("recorded_at")),
        *_ORIGIN,
        ("window", f"CASE WHEN window_start IS NOT NULL THEN {_WINDOW_SQL} END", "?"),
    ),
    "record-bundle": _object_sql(
        *_SCOPE,
        ("observedAt", _time("recorded_at")),
        ("observations", LIST_SQL["observations"]),
        _DIMENSIONS,
        *_ORIGIN,
    ),
    "reading": _object_sql(
        *_SCOPE,
        ("measurement", _object_sql(*_measurement()[:2])),
        ("aggregation", _text("aggregation")),
        ("window", _WINDOW_SQL),
        _DIMENSIONS,
        *_COUNTED,
        ("state", f"CASE WHEN {_HAS_STATE} THEN {_STATE_SQL} END", "?"),
    ),
    "reading-bundle": _object_sql(
        *_SCOPE,
        ("window", _WINDOW_SQL),
        _DIMENSIONS,
        ("computedValues", LIST_SQL["computed_values"]),
        ("aggregation", _text("aggregation"), "?"),
        *_COUNTED,
    ),
    "event": _object_sql(
        ("id", _text("id")),
        ("workspaceID", _text("workspace_id")),
        ("universeID", _text("universe_id")),
        ("type", _text("type")),
        ("subject", _text("subject")),
        ("time", _time('"time"')),
        ("properties", _text("properties")),
        ("meteredAt", _time("metered_at")),
    ),
    # Its keys are the names of its columns: a diff is a table of the ledger, no contract of the specification.
    "diff": _object_sql(
        *(
            (name, _or_null(name))
            for name in ("reading_id", "workspace_id", "universe_id", "subject", "unit", "aggregation")
        ),
        *((name, _time(name)) for name in ("window_start", "window_end")),
        *((name, _or_null(name)) for name in ("dimensions", "old", "new", "delta", "events", "why")),
        ("causes", "coalesce(CAST(to_json(causes) AS VARCHAR), '[]')"),
    ),
}
