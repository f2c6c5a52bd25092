"""Finer readings: readings written before, in any shape and format, become the one relation `finer`.

    input [→ objects → parsed] → told → typed → finer

Knows where a reading's fields may be, and which fields of its state each aggregation needs. A value that cannot be used
is kept as a fault, with the name of its field; rollups/refusals.py then refuses the readings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, SchemaError, did_you_mean
from metering_duck.inputs.fields import ABSENT, NO_PROPERTIES, Column, TimeColumn, json_pointer
from metering_duck.inputs.from_columns import ENTRIES, TIME_TYPES, is_scalar
from metering_duck.inputs.from_json import objects_of, repeated_sql
from metering_duck.inputs.input import Input
from metering_duck.inputs.layout import Json
from metering_duck.inputs.mapping import divided
from metering_duck.inputs.one_name import Table, open_table
from metering_duck.inputs.relations import Relation, first_keys
from metering_duck.inputs.unreadable import check_readable
from metering_duck.rollups.rules import IS_GAUGE, IS_OF_ONE_RECORD, IS_OVER_KNOWN_TIME, IS_QUOTIENT
from metering_duck.statements.quote import identifier, literal, literal_list
from metering_duck.statements.select import case, names, select, struct
from metering_duck.statements.stages import Query, Stage

ALL = "*"
BUNDLES = ("computedValues", "computed_values")
APPROXIMATE = ("DOUBLE", "FLOAT")
Types = Mapping[str, str]


@dataclass(frozen=True)
class Field:
    """A field of a reading: what kind of value it is, the places it may be in, and whether every reading has it."""

    kind: str
    places: tuple[tuple[str, ...], ...]
    required: bool = False


def _named(*spellings: str) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in spellings)


def _state(kind: str, camel: str, snake: str) -> Field:
    return Field(kind, tuple(dict.fromkeys((("state", camel), (camel,), (snake,)))))


FIELDS = {
    "id": Field("text", _named("id")),
    "workspace_id": Field("text", _named("workspaceID", "workspace_id", "workspaceId")),
    "universe_id": Field("text", _named("universeID", "universe_id", "universeId"), required=True),
    "subject": Field("text", _named("subject"), required=True),
    "unit": Field("text", (("measurement", "unit"), ("unit",)), required=True),
    "aggregation": Field("text", _named("aggregation"), required=True),
    "window_start": Field("time", (("window", "start"), ("window_start",)), required=True),
    "window_end": Field("time", (("window", "end"), ("window_end",)), required=True),
    "dimensions": Field("map", _named("dimensions")),
    "quantity": Field("number", (("measurement", "quantity"), ("quantity",)), required=True),
    "record_count": Field("whole", _named("recordCount", "record_count"), required=True),
    "max_metered_at": Field("time", _named("maxMeteredAt", "max_metered_at")),
    "numerator": _state("number", "numerator", "numerator"),
    "divisor_us": _state("whole", "divisorUs", "divisor_us"),
    "carried": _state("flag", "carried", "carried"),
    "prorated": _state("flag", "prorated", "prorated"),
    "last_recorded_at": _state("time", "lastRecordedAt", "last_recorded_at"),
    "last_metered_at": _state("time", "lastMeteredAt", "last_metered_at"),
    "last_event_id": _state("text", "lastEventID", "last_event_id"),
}
SPELLINGS = {name: tuple(".".join(place) for place in field.places) for name, field in FIELDS.items()}
# The columns of exact numbers, which several files may have in DECIMALs that no one DECIMAL holds.
EXACT = ("quantity", "numerator")
EXPECTED = {
    "text": "text",
    "time": "an RFC 3339 time",
    "map": "a JSON object",
    "number": "plain decimal text",
    "whole": "a whole number",
    "flag": "true or false",
}
# What the readings that are given are called in SQL.
GIVEN = "readings_given"


@dataclass(frozen=True)
class Finer:
    """The query that fills `finer`; the scale of the quantities' DECIMAL, None for text; the input in messages, and as
    it lies.
    """

    query: Query
    scale: int | None
    where: str
    given: Relation


def open_finer(engine: Engine, found: Input, dropped: Sequence[str]) -> Finer:
    """How to read readings; `dropped` are the dimensions to add up over.

    Raises: SchemaError for a column that is missing or of a wrong type; ConfigError for bundled readings.
    """
    table = open_table(engine, found, GIVEN, SPELLINGS, EXACT)
    given, relation, is_json = table.rows, table.rows.sql, table.rows.is_json
    stages = [Stage("input", "the readings as they lie", select({}, relation, star="*"))]
    faults: dict[str, tuple[str, str]] = {}
    if is_json:
        _refuse_bundles(first_keys(engine, relation))
        pointers = {name: tuple(json_pointer(*p) for p in field.places) for name, field in FIELDS.items()}
        json = Json("line", pointers)
        stages += json.stages(())
        columns = {name: json.column(name) for name in FIELDS}
        inner = objects_of(pointers.values())
        (twice,) = json.spelled_twice(())
        repeated = repeated_sql("object", {*inner, "/dimensions"})
        faults = {"line": (f"object IS NULL OR {repeated} OR {twice.condition}", "line")}
    else:
        _refuse_bundles(table.types)
        check_readable((place[0] for field in FIELDS.values() for place in field.places), given.unreadable)
        columns = _find(table, found.name)
    told = {name: _plain(column) for name, column in columns.items()}
    told |= {f"{name}_fault": case({condition: text}) for name, (condition, text) in faults.items()}
    stages.append(Stage("told", "the fields of each reading under one name each", select(told, stages[-1].name)))
    typed = _typed_sql({name: column.type for name, column in columns.items()}, list(faults), found.name)
    stages.append(Stage("typed", "their values, and the first that cannot be used", typed))
    stages.append(Stage("finer", "what each reading holds exactly, as text (R20)", _finer_sql(dropped)))
    return Finer(Query("finer", tuple(stages)), _scale_of(columns["quantity"].type), found.name, given)


def _refuse_bundles(found: Sequence[str] | Types) -> None:
    for name in BUNDLES:
        if name in found:
            raise ConfigError(
                f"readings: found {name}, which bundled readings have; expected flat ones, since only they keep the "
                "exact state that combines. hint: aggregate again without --bundled"
            )


def _scale_of(kind: str) -> int | None:
    return int(kind.rstrip(")").rpartition(",")[2]) if kind.startswith("DECIMAL") else None


# --- columns ---------------------------------------------------------------------------------------------------------


def _find(table: Table, where: str) -> dict[str, Column]:
    """Field → its column, or its member of a STRUCT, of a type that can be used.

    Raises: SchemaError.
    """
    types, columns = table.types, {}
    for name, field in FIELDS.items():
        found = _place(field, types, table.members)
        if found is None and field.required:
            hint = did_you_mean(name, types)
            missing = f"no such column{divided(table.rows.told_apart)}"
            raise SchemaError(where, name, found=missing, expected="one, as readings have", hint=hint)
        columns[name] = _checked(name, field.kind, found or Column(ABSENT), where)
    return columns


def _place(field: Field, types: Types, members: Mapping[str, Types]) -> Column | None:
    """The column of a field: a column of its name, otherwise a member of a STRUCT; None where it has neither."""
    for place in field.places:
        if len(place) == 1 and place[0] in types:
            return Column(identifier(place[0]), types[place[0]])
    for place in field.places:
        if len(place) == 2 and place[1] in members.get(place[0], {}):
            outer, inner = place
            return Column(f"{identifier(outer)}.{identifier(inner)}", members[outer][inner])
    return None


def _checked(name: str, kind: str, column: Column, where: str) -> Column:
    """A field's column, if its type can be used; a column that holds only NULL can.

    Raises: SchemaError.
    """
    if column.type == '"NULL"' or (column.type == "STRUCT" and kind == "map"):
        return Column(ABSENT)
    expected = _expected(kind, column.type)
    if expected is not None:
        hint = "write them with metering-duck aggregate, as Parquet, Arrow, NDJSON or CSV"
        raise SchemaError(where, name, found=column.type, expected=expected, hint=hint)
    if kind != "map" and column.type in ("JSON", "UUID"):
        return Column(f"CAST({column.sql} AS VARCHAR)")
    return column


def _expected(kind: str, type: str) -> str | None:
    """What is expected of a kind of field in place of a type; None where the type can be used."""
    if kind == "map":
        return "a MAP or JSON text" if is_scalar(type) and type not in ("VARCHAR", "JSON") else None
    if kind == "time":
        return None if type in TIME_TYPES else "TIMESTAMP, TIMESTAMPTZ or RFC 3339 text"
    if kind == "number" and type in APPROXIMATE:
        return "DECIMAL or text, which keep every digit"
    return None if is_scalar(type) else EXPECTED[kind]


def _plain(column: Column) -> str:
    """SQL for a column; empty text is NULL."""
    return f"nullif({column.sql}, '')" if column.type == "VARCHAR" else column.sql


# --- values ----------------------------------------------------------------------------------------------------------


def _typed_sql(types: Types, faults: Sequence[str], where: str) -> str:
    """SQL for each value in its type, `fault` for the first faulty field, and `fault_text` for its text."""
    values = {name: _value_sql(name, field.kind, types[name], where) for name, field in FIELDS.items()}
    found = {f"{name}_fault IS NOT NULL": (name, f"{name}_fault") for name in faults}
    for name, field in FIELDS.items():
        if field.required:
            found[f"{values[name]} IS NULL"] = (name, f"CAST({name} AS VARCHAR)")
        elif field.kind != "text":
            found[f"{name} IS NOT NULL AND {values[name]} IS NULL"] = (name, f"CAST({name} AS VARCHAR)")
    found[f"{values['window_start']} >= {values['window_end']}"] = ("window_end", "CAST(window_end AS VARCHAR)")
    columns = {
        **values,
        "fault": case((condition, literal(name)) for condition, (name, _) in found.items()),
        "fault_text": case((condition, text) for condition, (_, text) in found.items()),
    }
    return select(columns, "told")


def _value_sql(name: str, kind: str, type: str, where: str) -> str:
    match kind:
        case "time":
            return TimeColumn(Column(name, type)).moment_sql
        case "whole" if type == "VARCHAR":
            return case({f"regexp_full_match({name}, '[0-9]{{1,18}}')": f"TRY_CAST({name} AS BIGINT)"})
        case "whole" | "flag":
            return f"TRY_CAST({name} AS {'BIGINT' if kind == 'whole' else 'BOOLEAN'})"
        case "number":
            return _number_sql(name, type)
        case "map":
            return _map_sql(name, type, where)
        case _:
            return name if type == "VARCHAR" else f"CAST({name} AS VARCHAR)"


def _number_sql(name: str, type: str) -> str:
    """SQL for a number as plain text, without zeros at the end of its fraction."""
    if type != "VARCHAR":
        return f"plain_text({name})"
    plain = {
        f"regexp_full_match({name}, '-?[0-9]+')": name,
        f"regexp_full_match({name}, '-?[0-9]+[.][0-9]+')": f"rtrim(rtrim({name}, '0'), '.')",
    }
    return case(plain, f"quantity_respelled({name})")


def _map_sql(name: str, type: str, where: str) -> str:
    """SQL for dimensions as a MAP in the order of their names.

    Raises: SchemaError.
    """
    if type in ("VARCHAR", "JSON"):
        is_object = f"json_valid({name}) AND json_type({name}) = 'OBJECT'"
        return case({f"{name} IS NULL": NO_PROPERTIES, is_object: f"by_name(json_members({name}))"})
    if ENTRIES.fullmatch(type):
        entry = struct({part: f"CAST(e.{part} AS VARCHAR)" for part in ("key", "value")})
        pairs = f"list_transform({name}, lambda e: {entry})"
        return f"coalesce(by_name(map_from_entries({pairs})), {NO_PROPERTIES})"
    if type.startswith("MAP") and not type.endswith("]"):
        return f"coalesce(by_name(CAST({name} AS MAP(VARCHAR, VARCHAR))), {NO_PROPERTIES})"
    if type.startswith("STRUCT") and not type.endswith("]"):
        return f"coalesce(by_name(json_members(CAST(to_json({name}) AS VARCHAR))), {NO_PROPERTIES})"
    raise SchemaError(where, name, found=type, expected="a MAP or JSON text", hint="--format parquet keeps them")


def _finer_sql(dropped: Sequence[str]) -> str:
    """`finer`: keys, windows and exact state. A reading that --fill made has no state, only a window."""
    filled = f"record_count = 0 AND NOT ({IS_GAUGE} AND coalesce(carried, FALSE))"
    lacks = {
        f"{IS_QUOTIENT} AND numerator IS NULL": "numerator",
        f"{IS_OVER_KNOWN_TIME} AND divisor_us IS NULL": "divisor_us",
    }
    for name in ("last_recorded_at", "last_metered_at", "last_event_id"):
        lacks[f"{IS_OF_ONE_RECORD} AND {name} IS NULL"] = name
    lacks["max_metered_at IS NULL"] = "max_metered_at"
    lacking = case((f"NOT ({filled}) AND {condition}", literal(name)) for condition, name in lacks.items())
    columns = {
        "fault": f"coalesce(fault, {lacking})",
        "fault_text": "fault_text",
        **names(("workspace_id", "universe_id", "subject", "unit", "aggregation")),
        "dimensions": _dimensions_text_sql("dimensions"),
        "kept_dimensions": _dimensions_text_sql(_kept_dimensions_sql(dropped)),
        "given_id": "id",
        "finer_start": "window_start",
        "finer_end": "window_end",
        "exact_text": case({IS_QUOTIENT: "numerator"}, "coalesce(numerator, quantity)"),
        "keeps_numerator": f"numerator IS NOT NULL AND NOT {IS_QUOTIENT}",
        "is_gauge": IS_GAUGE,
        "filled": filled,
        "carried": "coalesce(carried, FALSE)",
        "prorated": "coalesce(prorated, FALSE)",
        **names(("record_count", "divisor_us", "max_metered_at")),
        **names(("last_recorded_at", "last_metered_at", "last_event_id")),
    }
    return select(columns, "typed")


def _kept_dimensions_sql(dropped: Sequence[str]) -> str:
    """SQL for the dimensions that a roll-up does not add up over, as a MAP."""
    if not dropped:
        return "dimensions"
    if ALL in dropped:
        return NO_PROPERTIES
    stays = f"lambda e: NOT list_contains({literal_list(dropped)}, e.key)"
    return f"map_from_entries(list_filter(map_entries(dimensions), {stays}))"


def _dimensions_text_sql(dimensions: str) -> str:
    return case({f"cardinality({dimensions}) > 0": f"CAST(to_json({dimensions}) AS VARCHAR)"})
