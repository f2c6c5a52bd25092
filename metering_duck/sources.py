"""Sources: any input becomes the one layout that compiler.py reads, its columns found, mapped and checked.

Every complaint names the input, the column, what was found, what was expected, and the option that mends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from metering_duck.engine import Engine
from metering_duck.errors import ConfigError, SchemaError, SourceError, did_you_mean
from metering_duck.inputs import Files, Input, Lines, Rows, delimiter_of
from metering_duck.layouts import EVENT_NAMES, OPTIONAL, RECORD_NAMES, Column, Layout, json_pointer
from metering_duck.quote import identifier, literal, literal_list
from metering_duck.stages import Query, Stage

FILE_COLUMN = "metering_duck_file"
SAMPLE_ROWS = 1_000
# A line of JSON is read as one column: no text that JSON allows holds these raw control characters.
NO_DELIMITER = "\x01\x02\x03\x04"
LINE_BYTES_MAX = 64 << 20
TIME_TYPES = ("VARCHAR", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "DATE")


class FieldMap:
    """What --map says: a field's column, its constant, and which columns are properties under which names."""

    def __init__(self, given: Mapping[str, Any] | None, names: Mapping[str, tuple[str, ...]]) -> None:
        self.columns: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.properties_listed = False
        bag = "dimensions" if "dimensions" in names else "properties"
        by_alias = {alias: field for field, aliases in names.items() for alias in (field, *aliases)}
        if bag == "properties":
            by_alias["recorded_at"] = by_alias["recordedAt"] = "time"
        for key, value in (given or {}).items():
            head, _, rest = key.partition(".")
            if head == bag and (rest or not isinstance(value, str) or "," in value or isinstance(value, Mapping)):
                self._add_properties(rest, value)
            elif key not in by_alias:
                raise ConfigError(f"map: found {key!r}; expected a field. hint: {did_you_mean(key, [*names, bag + '.NAME'])}")
            elif len(value) >= 2 and value[0] == value[-1] == "'":
                self.constants[by_alias[key]] = value[1:-1].replace("''", "'")
            else:
                self.columns[by_alias[key]] = value

    def _add_properties(self, name: str, value: Any) -> None:
        self.properties_listed = True
        if name:
            self.properties[name] = value
        elif isinstance(value, Mapping):
            self.properties.update(value)
        else:
            listed = value.split(",") if isinstance(value, str) else value
            self.properties.update({column.strip(): column.strip() for column in listed})

    @property
    def claimed(self) -> set[str]:
        """The input's columns that a field takes."""
        return set(self.columns.values())


def open_source(
    engine: Engine,
    found: Input,
    *,
    records: bool = False,
    map: Mapping[str, Any] | None = None,
    zone: str = "UTC",
    generate_ids: bool = False,
) -> Layout:
    """The layout of an input. The engine must already be allowed to read its files.

    Raises: SchemaError for a column that is missing or of a wrong type; SourceError for what cannot be read.
    """
    names = RECORD_NAMES if records else EVENT_NAMES
    mapping = FieldMap(map, names)
    relation, is_json = _relation(engine, found)
    options = {"zone": zone, "is_records": records, "generated_ids": generate_ids}
    if is_json:
        return _json_layout(engine, relation, _name(found), names, mapping, options)
    return _typed_layout(engine, relation, _name(found), names, mapping, options)


def _name(found: Input) -> str:
    return found.name


def _relation(engine: Engine, found: Input) -> tuple[str, bool]:
    """SQL that can stand behind FROM, and whether it is JSON lines."""
    if isinstance(found, Lines):
        engine.connection.register("input_lines", found.table)
        return f"(SELECT line, CAST(NULL AS VARCHAR) AS {FILE_COLUMN} FROM input_lines)", True
    if isinstance(found, Rows):
        return _rows_relation(engine, found), False
    paths, file = literal_list(found.paths), f"filename = {literal(FILE_COLUMN)}"
    if found.format == "parquet":
        hive = "hive_partitioning = true, hive_types_autocast = false" if found.keys else "hive_partitioning = false"
        return f"read_parquet({paths}, union_by_name = true, {hive}, {file})", False
    if found.format == "csv":
        hive = "hive_partitioning = true, hive_types_autocast = false" if found.keys else "hive_partitioning = false"
        options = f"header = true, all_varchar = true, allow_quoted_nulls = false, delim = {literal(delimiter_of(found.paths[0]))}"
        return f"read_csv({paths}, {options}, quote = '\"', escape = '\"', union_by_name = true, {hive}, {file})", False
    if found.format == "arrow":
        return _rows_relation(engine, _arrow_files(found)), False
    if found.format == "json":
        objects = f"read_json_objects({paths}, format = 'array', {file}, maximum_object_size = {LINE_BYTES_MAX})"
        return f"(SELECT json AS line, {FILE_COLUMN} FROM {objects})", True
    options = (
        f"columns = {{'line': 'VARCHAR'}}, delim = {literal(NO_DELIMITER)}, quote = '', escape = '', header = false, "
        f"auto_detect = false, max_line_size = {LINE_BYTES_MAX}, hive_partitioning = false"
    )
    lines = f"read_csv({paths}, {options}, {file})"
    return f"(SELECT line, {FILE_COLUMN} FROM {lines} WHERE trim(line, chr(9) || chr(13) || ' ') <> '')", True


def _arrow_files(found: Files) -> Rows:
    """Arrow IPC files, memory-mapped and read batch by batch."""

    def batches(path: str) -> Any:
        with pa.memory_map(path) as source:
            try:
                reader = pa.ipc.open_file(source)
                yield from (reader.get_batch(n) for n in range(reader.num_record_batches))
            except pa.ArrowInvalid:
                source.seek(0)
                yield from pa.ipc.open_stream(source)

    def schema(path: str) -> pa.Schema:
        with pa.memory_map(path) as source:
            try:
                return pa.ipc.open_file(source).schema
            except pa.ArrowInvalid:
                source.seek(0)
                return pa.ipc.open_stream(source).schema

    try:
        first = schema(found.paths[0])
        stream = (batch for path in found.paths for batch in batches(path))
        return Rows(pa.RecordBatchReader.from_batches(first, stream), found.name, rereadable=False)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{found.paths[0]}: cannot be read ({error}); expected an Arrow IPC file.") from None


def _rows_relation(engine: Engine, found: Rows) -> str:
    engine.connection.register("input_rows", found.data)
    if found.rereadable:
        return "input_rows"
    engine.fill(Query("input_spooled", (Stage("rows", "a stream, kept so that it can be read twice", "SELECT * FROM input_rows"),)))
    engine.connection.unregister("input_rows")
    return "input_spooled"


# --- typed columns ---------------------------------------------------------------------------------------------------


def _typed_layout(
    engine: Engine,
    relation: str,
    where: str,
    names: Mapping[str, tuple[str, ...]],
    mapping: FieldMap,
    options: dict[str, Any],
) -> Layout:
    types = engine.describe(relation)
    file = identifier(FILE_COLUMN) if FILE_COLUMN in types else "CAST(NULL AS VARCHAR)"
    types.pop(FILE_COLUMN, None)
    columns, claimed = _typed_columns(types, where, names, mapping, options)
    if options["is_records"]:
        columns = _spread_measurement(types, columns)
    bag = "dimensions" if options["is_records"] else "properties"
    layout = {"relation": relation, "file_sql": file, "zone": options["zone"], "is_records": options["is_records"],
              "generated_ids": options["generated_ids"]}
    held = columns.pop(bag, None)
    if mapping.properties_listed:
        return _flat_layout(layout, columns, _listed(types, where, mapping), where)
    if held is None:
        rest = {} if options["is_records"] else {name: name for name in types if name not in claimed}
        return _flat_layout(layout, columns, {n: Column(identifier(c), types[c]) for n, c in rest.items()}, where)
    return _bag_layout(engine, layout, columns, held, relation, where, bag)


def _typed_columns(
    types: Mapping[str, str],
    where: str,
    names: Mapping[str, tuple[str, ...]],
    mapping: FieldMap,
    options: dict[str, Any],
) -> tuple[dict[str, Column], set[str]]:
    """Each field's column, and which of the input's columns are taken."""
    columns: dict[str, Column] = {}
    claimed: set[str] = set()
    missing = []
    for name, aliases in names.items():
        if name in mapping.constants:
            columns[name] = Column(literal(mapping.constants[name]))
            continue
        wanted = mapping.columns.get(name)
        if wanted is not None and wanted not in types:
            raise SchemaError(where, repr(wanted), found="no such column", expected=f"the column for {name}",
                              hint=did_you_mean(wanted, types))
        column = wanted or next((alias for alias in (*aliases, name) if alias in types), None)
        if column is not None:
            claimed.add(column)
            columns[name] = _checked(name, column, types[column], where)
        elif not _may_lack(name, options, types):
            missing.append(name)
    if missing:
        _raise_missing(missing, where, list(types), names)
    return columns, claimed


def _may_lack(name: str, options: dict[str, Any], types: Mapping[str, str] | Sequence[str]) -> bool:
    if name in OPTIONAL or (name == "id" and options["generated_ids"]):
        return True
    return name in ("quantity", "unit") and bool({"measurement", "observations"} & set(types))


def _raise_missing(missing: list[str], where: str, found: list[str], names: Mapping[str, tuple[str, ...]]) -> None:
    """One error for all missing fields: the first is the column, the hint mends every one."""
    constants = {"workspace_id": "'acme'", "universe_id": "'production'", "type": "'api.request'", "unit": "'tokens'"}
    maps = " ".join(f"--map {name}={constants.get(name, 'COLUMN')}" for name in missing)
    ids = ", or --generate-ids where events have no id" if "id" in missing else ""
    spelled = ", ".join(f"{name} (or {names[name][0]})" if names[name][0] != name else name for name in missing)
    shown = ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")
    one = len(missing) == 1
    raise SchemaError(where, spelled, found=f"no such column{'' if one else 's'} among {shown}",
                      expected="one" if one else "one for each", hint=maps + ids)


def _checked(name: str, column: str, kind: str, where: str) -> Column:
    """A field's column, of a type that can be used."""
    is_enum = kind.startswith("ENUM")
    nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    if name in ("time", "recorded_at", "metered_at"):
        if not (kind in TIME_TYPES or is_enum):
            raise SchemaError(where, column, found=kind, expected="TIMESTAMP, TIMESTAMPTZ or RFC 3339 text",
                              hint=f"--map {name}=COLUMN names another; turn epoch numbers into timestamps first")
    elif name not in ("properties", "dimensions", "observations") and nested:
        raise SchemaError(where, column, found=kind, expected="text", hint=f"--map {name}=COLUMN names another")
    sql = identifier(column)
    return Column(f"CAST({sql} AS VARCHAR)") if is_enum or kind == "JSON" and name not in ("properties", "dimensions") else Column(sql, kind)


def _spread_measurement(types: Mapping[str, str], columns: dict[str, Column]) -> dict[str, Column]:
    """A record's nested `measurement` STRUCT as its quantity and unit."""
    if types.get("measurement", "").startswith("STRUCT"):
        for name in ("quantity", "unit"):
            columns.setdefault(name, Column(f'CAST("measurement".{name} AS VARCHAR)'))
    return columns


def _listed(types: Mapping[str, str], where: str, mapping: FieldMap) -> dict[str, Column]:
    """The columns that --map names as properties."""
    for column in mapping.properties.values():
        if column not in types:
            raise SchemaError(where, repr(column), found="no such column", expected="a column to take as a property",
                              hint=did_you_mean(column, types))
    return {name: Column(identifier(column), types[column]) for name, column in mapping.properties.items()}


def _flat_layout(layout: dict[str, Any], columns: dict[str, Column], properties: Mapping[str, Column], where: str) -> Layout:
    """Properties that are columns of their own."""
    for name, column in properties.items():
        _check_scalar(name, column.type, where)
    return Layout(
        columns=columns,
        property_sql=lambda name: properties[name].text_sql if name in properties else "CAST(NULL AS VARCHAR)",
        properties_sql=_map_sql({name: column.text_sql for name, column in properties.items()}),
        **layout,
    )


def _check_scalar(name: str, kind: str, where: str) -> None:
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")) or kind == "BLOB":
        raise SchemaError(where, name, found=kind, expected="a scalar: text, a number, a boolean or a time",
                          hint="--map properties=COLUMN,COLUMN names the columns to take")


def _map_sql(values: Mapping[str, str]) -> str:
    if not values:
        return "MAP([]::VARCHAR[], []::VARCHAR[])"
    return f"in_order(MAP({literal_list(values)}, [{', '.join(values.values())}]))"


def _bag_layout(
    engine: Engine, layout: dict[str, Any], columns: dict[str, Column], held: Column, relation: str, where: str, bag: str
) -> Layout:
    """Properties in one column: a MAP, a list of entries, a STRUCT, or JSON text."""
    kind = held.type
    if kind.startswith("STRUCT") and not kind.endswith("]"):
        fields = engine.describe(f"(SELECT UNNEST({held.sql}) FROM {relation})")
        return _flat_layout(layout, columns, {n: Column(f"{held.sql}.{identifier(n)}", t) for n, t in fields.items()}, where)
    if kind.startswith("STRUCT(") and kind.endswith(")[]") and '"key"' in kind.replace("key ", '"key" '):
        held = Column(f"map_from_entries({held.sql})", "MAP")
        kind = "MAP"
    if kind.startswith("MAP"):
        texts = held.sql if kind == "MAP(VARCHAR, VARCHAR)" else f"CAST({held.sql} AS MAP(VARCHAR, VARCHAR))"
        return Layout(columns=columns, property_sql=lambda name: f"{texts}[{literal(name)}]",
                      properties_sql=f"in_order({texts})", **layout)
    if kind in ("VARCHAR", "JSON") or kind.startswith("ENUM"):
        text = held.sql if kind == "VARCHAR" else f"CAST({held.sql} AS VARCHAR)"
        return Layout(
            columns=columns,
            properties_sql="CASE WHEN object IS NOT NULL THEN in_order(json_members(object)) ELSE MAP([]::VARCHAR[], []::VARCHAR[]) END",
            json_sql=text,
            json_properties=(),
            extra_faults=((f"object IS NULL AND {text} IS NOT NULL", "properties-invalid", text), *_json_faults("object", text)),
            **layout,
        )
    raise SchemaError(where, bag, found=kind, expected="MAP(VARCHAR, VARCHAR), STRUCT of scalars, or JSON text",
                      hint=f"--map {bag}=COLUMN,COLUMN takes plain columns")


# --- JSON lines ------------------------------------------------------------------------------------------------------


def _json_faults(json: str, text: str) -> tuple[tuple[str, str, str], ...]:
    """What makes a JSON object unusable: a name twice, or digits that cannot be told from the mark of numbers."""
    return (
        (f"len(json_keys({json})) <> len(list_distinct(json_keys({json})))", "property-repeated", text),
        (f"has_fragile_number({json}) AND has_number_mark({json})", "number-inexact", text),
    )


def _json_layout(
    engine: Engine,
    relation: str,
    where: str,
    names: Mapping[str, tuple[str, ...]],
    mapping: FieldMap,
    options: dict[str, Any],
) -> Layout:
    keys = _sampled_keys(engine, relation)
    records = options["is_records"]
    bag = "dimensions" if records else "properties"
    pointers, constants = _json_pointers(keys, where, names, mapping, options)
    held = mapping.columns.get(bag) or (bag if bag in keys or records or not keys else None)
    columns = dict(constants)
    position = 0
    for name, paths in pointers.items():
        texts = [f"texts[{position + n + 1}]" for n in range(len(paths))]
        position += len(paths)
        columns[name] = Column(f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0])
    faults = _json_faults("object", "line")
    claimed = mapping.claimed | {alias for name, aliases in names.items() for alias in (name, *aliases)}
    if mapping.properties_listed:
        wanted = dict(mapping.properties)
        pointers |= {f"property {name}": (json_pointer(column),) for name, column in wanted.items()}
        texts_of = {name: f"texts[{position + n + 1}]" for n, name in enumerate(wanted)}
        return Layout(
            relation=relation, columns=columns, json_sql="line", json_fields=pointers, file_sql=FILE_COLUMN, zone=options["zone"],
            property_sql=lambda name: texts_of.get(name, "CAST(NULL AS VARCHAR)"), properties_sql=_map_sql(texts_of),
            keyless_faults=(("object IS NULL", "json-invalid", "line"),), extra_faults=faults,
            is_records=records, generated_ids=options["generated_ids"],
        )
    if held is None:
        others = f"list_filter(map_entries(json_members(object)), lambda e: NOT list_contains({literal_list(sorted(claimed))}, e.key))"
        members, prefix = f"in_order(map_from_entries({others}))", ()
    else:
        inner = f"json_extract_string(object, {literal(json_pointer(held))})"
        kind = f"json_type(object, {literal(json_pointer(held))})"
        exact = f"json_texts(object, [{literal(json_pointer(held))}])[1]"
        members = f"CASE WHEN {kind} = 'OBJECT' THEN in_order(json_members({exact})) ELSE MAP([]::VARCHAR[], []::VARCHAR[]) END"
        held_keys = f"json_keys(object, {literal(json_pointer(held))})"
        faults += (
            (f"{kind} NOT IN ('OBJECT', 'NULL')", "properties-invalid", inner),
            (f"len({held_keys}) <> len(list_distinct({held_keys}))", "property-repeated", inner),
        )
        prefix = (held,)
    if records:
        columns, faults = _observed_columns(columns, faults)
    return Layout(
        relation=relation, columns=columns, properties_sql=members, zone=options["zone"], file_sql=FILE_COLUMN,
        json_sql="line", json_fields=pointers, json_properties=prefix, unnests=records,
        keyless_faults=(("object IS NULL", "json-invalid", "line"),), extra_faults=faults,
        is_records=records, generated_ids=options["generated_ids"],
    )


def _observed_columns(
    columns: dict[str, Column], faults: tuple[tuple[str, str, str], ...]
) -> tuple[dict[str, Column], tuple[tuple[str, str, str], ...]]:
    """A bundled record's quantity and unit are its observation's; its id is made unique by the observation's place."""
    for n, name in enumerate(("quantity", "unit", "aggregation")):
        columns[name] = Column(f"CASE WHEN bundled THEN observed[{n + 1}] ELSE {columns[name].sql} END")
    columns["id"] = Column(f"CASE WHEN bundled AND coalesce({columns['id'].sql}, '') <> '' THEN {columns['id'].sql} || place_text ELSE {columns['id'].sql} END")
    window = "time_of_text(observed[4], 'UTC')", "time_of_text(observed[5], 'UTC')"
    broken = f"has_window AND NOT coalesce({window[0]} <= {window[1]}, FALSE)"
    shown = "coalesce(observed[4], '') || '/' || coalesce(observed[5], '')"
    empty = ("bundled AND len(listed) = 0", "observations-missing", "line")
    return columns, (*faults, empty, (broken, "window-invalid", shown))


def _sampled_keys(engine: Engine, relation: str) -> list[str]:
    """The names that the first objects have, to tell a missing column from a missing value."""
    rows = engine.rows(
        "SELECT DISTINCT unnest(json_keys(line)) AS key FROM "
        f"(SELECT line FROM {relation} LIMIT {SAMPLE_ROWS}) WHERE json_valid(line) AND json_type(line) = 'OBJECT' ORDER BY key"
    )
    return [str(row[0]) for row in rows]


def _json_pointers(
    keys: Sequence[str],
    where: str,
    names: Mapping[str, tuple[str, ...]],
    mapping: FieldMap,
    options: dict[str, Any],
) -> tuple[dict[str, tuple[str, ...]], dict[str, Column]]:
    """Each field's places in an object, and the fields that are constants."""
    pointers: dict[str, tuple[str, ...]] = {}
    constants: dict[str, Column] = {}
    missing = []
    for name, aliases in names.items():
        if name in ("properties", "dimensions", "observations"):
            continue
        if name in mapping.constants:
            constants[name] = Column(literal(mapping.constants[name]))
            continue
        wanted = mapping.columns.get(name)
        if wanted is not None and keys and wanted not in keys:
            raise SchemaError(where, repr(wanted), found="no such name in the first objects",
                              expected=f"the name for {name}", hint=did_you_mean(wanted, keys))
        nested = [json_pointer("measurement", name)] if name in ("quantity", "unit", "aggregation") else []
        spelled = (wanted,) if wanted else tuple(dict.fromkeys((*aliases, name)))
        pointers[name] = (*(json_pointer(alias) for alias in spelled), *nested)
        if wanted is None and keys and not set(spelled) & set(keys) and not _may_lack(name, options, keys):
            missing.append(name)
    if missing:
        _raise_missing(missing, where, list(keys), names)
    return pointers, constants
