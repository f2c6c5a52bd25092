"""Shapes: how the events of other systems look, so that their exports are metered as they are (`--from SHAPE`).

A shape is data: what wraps an event, where each field is, which fields are constants, and how times are written.
inputs/from_json.py and inputs/from_columns.py complete the layout; every row is shaped in SQL. Nothing here reads data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from metering_duck.errors import ConfigError, SchemaError, first_few, spelled
from metering_duck.inputs.fields import ABSENT, EVENT_NAMES, FILE_COLUMN, Column, Fault, json_pointer
from metering_duck.inputs.mapping import SHOWN_COLUMNS, FieldMap, may_lack
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import case, select

Path = tuple[str, ...]
# The column with the JSON of the event itself; `line` keeps the whole text that wraps it, which a reject shows.
EVENT_COLUMN = "event_text"
OTHERWISE = "name another shape, or leave --from out"
SECONDS_MAX = 253_402_300_799
TIMES = ("time", "metered_at")
# Types of columns that may hold seconds since 1970.
READ_AS_SECONDS = re.compile(r"VARCHAR|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)")
REPEATED = "list_bool_or(list_transform(json_keys(line, ['']), lambda found: has_twice(found)))"
INEXACT = "has_number_mark(line) AND has_fragile_number(line)"
# The faults of a line without an event: it is no JSON, or not of its shape.
KEYLESS = (
    Fault("object IS NULL AND NOT coalesce(is_json(line), FALSE)", "json-invalid", "line"),
    Fault("object IS NULL", "shape-invalid", "line"),
)


@dataclass(frozen=True)
class Shape:
    """How the events of one system look: `fields` are field → its possible places; the first that a row has counts.

    Without `fields`, fields have the names of metering-duck's own events. An event may be under the name `wrapper`;
    with `is_wrapped` it must be. A list of events may be under the name `batch`.
    """

    name: str
    fields: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    properties: str = ""
    constants: Mapping[str, str] = field(default_factory=dict)
    wrapper: str = ""
    is_wrapped: bool = False
    batch: str = ""
    has_unix_times: bool = False

    # --- JSON: a relation of lines ----------------------------------------------------------------------------------

    def unwrapped(self, relation: str) -> str:
        """A relation of lines with one event each: batches are split, events are taken out of wrappers, digits kept."""
        columns = {"line": "coalesce(item, 'null')", FILE_COLUMN: FILE_COLUMN}
        items = select({"item": f"unnest({self._items_sql})", FILE_COLUMN: FILE_COLUMN}, relation)
        lines = select(columns, f"(\n{items}\n)")
        return (
            f"(\n{select({'line': 'line', EVENT_COLUMN: self._event_sql, FILE_COLUMN: FILE_COLUMN}, f'({lines})')}\n)"
        )

    @property
    def _items_sql(self) -> str:
        """SQL for the list of a line's events; a line that is no JSON, or would lose digits, stays one reject."""
        branches = [("NOT is_json(line)", "[line]"), (INEXACT, "[line]")]
        branches.append(("json_type(line) = 'ARRAY'", _each_sql("$[*]")))
        if self.batch:
            branches += [(REPEATED, "[line]"), (f"{self._has_own_sql} AND {_has_sql(self.batch)}", "[line]")]
            branches.append((f"json_type(line, '/{self.batch}') = 'ARRAY'", _each_sql(f"$.{self.batch}[*]")))
        return case(branches, "[line]")

    @property
    def _event_sql(self) -> str:
        """SQL for the event in a line; NULL where the line has both a wrapped event and an event's names of its own."""
        if not self.wrapper and not self.batch:
            return "line"
        broken = [("NOT is_json(line)", ABSENT), (INEXACT, "line")]
        if self.batch:
            broken.append((f"json_type(line, '/{self.batch}') = 'ARRAY'", ABSENT))
        if not self.wrapper:
            return case(broken, "line")
        inner = f"json_texts(line, [{literal(json_pointer(self.wrapper))}])[1]"
        kind = f"json_type(line, {literal(json_pointer(self.wrapper))})"
        if self.is_wrapped:
            return case([*broken, (f"{kind} IN ('OBJECT', 'VARCHAR')", inner)])
        broken.append((f"{kind} = 'OBJECT' AND {self._has_own_sql}", ABSENT))
        return case([*broken, (f"{kind} = 'OBJECT'", inner)], "line")

    @property
    def _has_own_sql(self) -> str:
        """SQL for whether a line has an id or a type of its own, beside the event that it wraps."""
        own = sorted({path[0] for name in ("id", "type") for path in self.fields.get(name, ())})
        return f"({' OR '.join(_has_sql(name) for name in own)})" if own else "FALSE"

    @property
    def properties_sql(self) -> str:
        """SQL for the JSON of an event's properties."""
        text = f"json_texts({EVENT_COLUMN}, [{literal(json_pointer(self.properties))}])[1]"
        return case({f"json_valid({EVENT_COLUMN})": text})

    def faults(self) -> tuple[Fault, ...]:
        """The faults of a wrapper; the faults of the event in it are found as those of any event."""
        if not self.wrapper:
            return ()
        is_wrapped = "json_valid(line) AND line <> object"
        return tuple(
            Fault(case({is_wrapped: condition}, "FALSE"), reason, "line")
            for condition, reason in ((REPEATED, "property-repeated"), (INEXACT, "number-inexact"))
        )

    def pointers(
        self, keys: Sequence[str], inner: Sequence[str], where: str, mapping: FieldMap, *, generates_ids: bool
    ) -> dict[str, tuple[str, ...]]:
        """Field → its pointers; `keys` are the names in the first events, `inner` those among their properties.

        Raises: SchemaError for a field that none of the first events has.
        """
        found, missing = {}, []
        for name in EVENT_NAMES:
            if name in mapping.constants or name == "properties":
                continue
            mapped = mapping.columns.get(name)
            if mapped:
                mapping.column_of(name, (), [*keys, *inner] if keys else [mapped], where)
                found[name] = self.places(mapped)
                continue
            found[name] = self.fields.get(name, ())
            if keys and not _begins_in(found[name], keys) and not may_lack(name, keys, generates_ids=generates_ids):
                missing.append(name)
        if missing:
            self.refuse(missing, where, keys)
        return {name: tuple(json_pointer(*path) for path in paths) for name, paths in found.items() if paths}

    def places(self, name: str) -> tuple[Path, ...]:
        """Where a name of `--map` is looked for: in the event, then among its properties."""
        return ((name,), (self.properties, name)) if self.properties else ((name,),)

    def times_made(self, columns: Mapping[str, Column]) -> dict[str, str]:
        """Column → SQL, for the times that may be seconds since 1970."""
        given = TIMES if self.has_unix_times else ()
        return {made_name(name): unix_sql(columns[name].text_sql) for name in given if name in columns}

    # --- tables: columns of the same names --------------------------------------------------------------------------

    def as_columns(
        self, relation: str, types: Mapping[str, str], where: str, mapping: FieldMap, *, generates_ids: bool
    ) -> str:
        """A relation with a column for each field; `mapping` is told which column is which field.

        Raises: SchemaError for a column that is missing.
        """
        made: dict[str, str] = {}
        missing = []
        for name in self.fields:
            if name in mapping.constants:
                continue
            path = self._path_among(name, types, mapping)
            if path is not None:
                mapping.columns[name] = self._column_at(name, path, types, made)
            elif name not in mapping.columns and not may_lack(name, types, generates_ids=generates_ids):
                missing.append(name)
        if not mapping.lists_properties:
            if self.properties not in types and "properties" not in mapping.columns:
                missing.append("properties")
            mapping.columns.setdefault("properties", self.properties)
        if missing:
            self.refuse(missing, where, list(types))
        return f"(\n{select(made, relation, star='*')}\n)" if made else relation

    def columns_of(self, types: Mapping[str, str], mapping: FieldMap) -> list[str]:
        """The columns of a table that fields are taken out of."""
        paths = [self._path_among(name, types, mapping) for name in self.fields if name not in mapping.constants]
        return [path[0] for path in paths if path is not None]

    def _path_among(self, name: str, types: Mapping[str, str], mapping: FieldMap) -> Path | None:
        """The first place of a field that begins with a column of the input."""
        mapped = mapping.columns.get(name)
        paths = ((mapped,),) if mapped else self.fields[name]
        return next((path for path in paths if path[0] in types), None)

    def _column_at(self, name: str, path: Path, types: Mapping[str, str], made: dict[str, str]) -> str:
        """The column of a field: a column of the input, or a column that is `made` of a member of it, or of seconds."""
        may_be_seconds = self.has_unix_times and name in TIMES
        is_seconds = may_be_seconds and READ_AS_SECONDS.fullmatch(types[path[0]]) is not None
        if len(path) == 1 and not is_seconds:
            return path[0]
        text = _text_sql(path, types)
        made[made_name(name)] = unix_sql(text) if is_seconds else text
        return made_name(name)

    # --- both -------------------------------------------------------------------------------------------------------

    def add_constants(self, mapping: FieldMap, types: Mapping[str, str] | None = None) -> None:
        """Tell `mapping` the shape's constants, except fields that are mapped or that are columns of a table."""
        for name, text in self.constants.items():
            is_column = any(alias in (types or {}) for alias in (name, *EVENT_NAMES[name]))
            if name not in mapping.columns and not is_column:
                mapping.constants.setdefault(name, text)

    def refuse(self, missing: Sequence[str], where: str, found: Sequence[str]) -> NoReturn:
        """Raise one SchemaError for all missing fields; its hint names a shape that fits better, if there is one."""
        wanted = [self._spelled(name) for name in missing]
        more = f" and {len(found) - SHOWN_COLUMNS} more" if len(found) > SHOWN_COLUMNS else ""
        shown = (", ".join(found[:SHOWN_COLUMNS]) or "none") + more
        otherwise = OTHERWISE
        if missing != [self.wrapper]:
            otherwise = " ".join(f"--map {name}=COLUMN" for name in missing)
        raise SchemaError(
            where,
            ", ".join(wanted),
            found=f"no such column{'' if len(wanted) == 1 else 's'} among {shown}",
            expected=f"{'it' if len(wanted) == 1 else 'them'}, as events of {self.name} have",
            hint=_better(found, self) or otherwise,
        )

    def _spelled(self, name: str) -> str:
        if name == "properties":
            return self.properties
        return " or ".join(".".join(path) for path in self.fields.get(name, ((name,),)))

    def fits(self, keys: Sequence[str]) -> bool:
        """Whether events with these names look like this shape's."""
        if self.is_wrapped:
            return {"specversion", self.wrapper} <= set(keys)
        required = [name for name in ("id", "type", "subject", "time") if name in self.fields]
        has_fields = all(_begins_in(self.fields[name], keys) for name in required)
        return has_fields and self.properties in keys


CLOUDEVENTS = Shape("cloudevents", wrapper="data", is_wrapped=True)
OPENMETER = Shape(
    "openmeter",
    fields={name: ((name,),) for name in ("id", "type", "subject", "time")},
    properties="data",
    constants={"workspace_id": "openmeter", "universe_id": "production"},
    wrapper="event",
)
LAGO = Shape(
    "lago",
    fields={
        "id": (("transaction_id",),),
        "type": (("code",),),
        "subject": (("external_subscription_id",),),
        "time": (("timestamp",),),
        "metered_at": (("created_at",),),
    },
    properties="properties",
    constants={"workspace_id": "lago", "universe_id": "production"},
    wrapper="event",
    batch="events",
    has_unix_times=True,
)
STRIPE = Shape(
    "stripe",
    fields={
        "id": (("identifier",),),
        "type": (("event_name",),),
        "subject": (("payload", "stripe_customer_id"),),
        "time": (("timestamp",), ("created",)),
        "metered_at": (("created",),),
    },
    properties="payload",
    constants={"workspace_id": "stripe", "universe_id": "production"},
    batch="events",
    has_unix_times=True,
)
SHAPES = {shape.name: shape for shape in (CLOUDEVENTS, OPENMETER, LAGO, STRIPE)}


def shape_of(given: Any) -> Shape | None:
    """The shape of a name; None where no name is given.

    Raises: ConfigError.
    """
    if given is None:
        return None
    if not isinstance(given, str) or given not in SHAPES:
        found = f'"{given}"' if isinstance(given, str) else spelled(given)
        raise ConfigError(f"from: found {found}; expected one of {', '.join(SHAPES)}.")
    return SHAPES[given]


def _begins_in(paths: Iterable[Path], keys: Iterable[str]) -> bool:
    """Whether one of the places begins with one of the names."""
    return bool({path[0] for path in paths} & set(keys))


def made_name(field_name: str) -> str:
    """The column that is made for a field."""
    return f"metering_duck_{field_name}"


def unix_sql(text: str) -> str:
    """SQL for seconds since 1970 as RFC 3339, every fraction digit kept; any other text stays as it is."""
    seconds = f"TRY_CAST(split_part({text}, '.', 1) AS BIGINT)"
    moment = f"make_timestamp(least({seconds}, {SECONDS_MAX}) * 1000000)"
    fraction = f"regexp_extract({text}, '\\.[0-9]+')"
    is_unix = f"regexp_full_match({text}, '[0-9]{{1,12}}(\\.[0-9]+)?')"
    is_near = case({is_unix: f"{seconds} <= {SECONDS_MAX}"}, "FALSE")
    return case({is_near: f"strftime({moment}, '%Y-%m-%dT%H:%M:%S') || {fraction} || 'Z'"}, text)


def _has_sql(name: str) -> str:
    return f"json_exists(line, {literal(json_pointer(name))})"


def _each_sql(path: str) -> str:
    """SQL for the texts of all elements of the list at a JSON path, every digit kept."""
    marked = f"list_transform(json_extract_string(marked_numbers(line), '{path}'), lambda value: unmarked(value))"
    return case({"has_fragile_number(line)": marked}, f"json_extract_string(line, '{path}')")


def _text_sql(path: Path, types: Mapping[str, str]) -> str:
    """SQL for the text at a place: a column, or a member of its JSON, STRUCT or MAP."""
    column, kind = identifier(path[0]), types[path[0]]
    if len(path) == 1:
        return column if kind == "VARCHAR" else f"CAST({column} AS VARCHAR)"
    text = f"CAST({column} AS VARCHAR)" if kind in ("VARCHAR", "JSON") else f"CAST(to_json({column}) AS VARCHAR)"
    return case({f"json_valid({text})": f"json_texts({text}, [{literal(json_pointer(*path[1:]))}])[1]"})


def _better(found: Sequence[str], but: Shape) -> str:
    """The option to write instead of the shape `but`, which does not fit the names `found`; "" where none fits."""
    for shape in (LAGO, STRIPE, OPENMETER, CLOUDEVENTS):
        if shape is not but and shape.fits(found):
            return f"--from {shape.name}"
    if all({name, *EVENT_NAMES[name]} & set(found) for name in ("id", "workspace_id", "universe_id", "time")):
        return "these are events as metering-duck has them; leave --from out"
    return ""


def check_wrapped(shape: Shape, where: str, lines: Sequence[str], events: Sequence[str], mapping: FieldMap) -> None:
    """Refuse an input whose first objects hold no event; `lines` and `events` are the names in the lines and events.

    Raises: SchemaError.
    """
    hint = _better(lines, shape) or OTHERWISE
    if lines and not events:
        if shape.is_wrapped:
            shape.refuse([shape.wrapper], where, lines)
        raise SchemaError(where, first_few(lines), found="no event", expected=f"one of {shape.name}", hint=hint)
    known: set[str] = set()
    for name in ("id", "workspace_id", "subject", "time"):
        known.update((name, *EVENT_NAMES[name]))
    if shape.is_wrapped and events and not mapping.columns and not known & set(events):
        expected = "an event as metering-duck has it"
        raise SchemaError(where, shape.wrapper, found=first_few(events), expected=expected, hint=hint)
