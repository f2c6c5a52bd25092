"""JSON objects, one a line → a layout: NDJSON, JSON arrays, and dicts, flat or bundled.

Looks at the names of the first objects, to tell a missing field from a missing value. The macros of sql/functions.sql
keep digits; a line that is no object is a reject, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from metering_duck.inputs.fields import (
    ABSENT,
    EVENT_NAMES,
    NO_PROPERTIES,
    Column,
    Fault,
    constant_column,
    field_names,
    json_pointer,
    map_sql,
)
from metering_duck.inputs.foreign_shapes import EVENT_COLUMN, KEYLESS, TIMES, Shape, made_name
from metering_duck.inputs.layout import OBSERVED, Json, Layout
from metering_duck.inputs.mapping import MEASURED, FieldMap, may_lack, raise_missing
from metering_duck.statements.quote import literal, literal_list
from metering_duck.statements.select import case

# What is expected of a line, in messages.
ONE_OBJECT = "a JSON object, each name in it once, and each field under one name"
BAGS = ("properties", "dimensions", "observations")
NESTED = {name: ("measurement", name) for name in MEASURED}
NESTED |= {"window_start": ("window", "start"), "window_end": ("window", "end")}


def repeated_sql(json: str, inner: Iterable[str] = ()) -> str:
    """SQL for whether a JSON object has a name twice, or one of the objects in it at the pointers `inner` has."""
    return repeated_at_sql(json, sorted({"", *inner}))


def repeated_at_sql(json: str, pointers: Sequence[str]) -> str:
    """SQL for whether one of the objects at `pointers` has a name twice; one pass over the text finds all names."""
    return f"list_bool_or(list_transform(json_keys({json}, {literal_list(pointers)}), lambda found: has_twice(found)))"


def objects_of(places: Iterable[Sequence[str]]) -> set[str]:
    """The pointers of the objects that fields are members of; `places` are the pointers of each field."""
    return {pointer.rpartition("/")[0] for pointers in places for pointer in pointers}


def object_faults(json: str, text: str, inner: Iterable[str] = ()) -> tuple[Fault, ...]:
    """The faults of a JSON object: a name that is there twice, also in the objects in it at the pointers `inner`, or
    digits that look like the mark of numbers.
    """
    repeated = repeated_sql(json, inner)
    # A mark is rare and found fast; the slower search for a fragile number runs only where there is a mark.
    marked = case({f"has_number_mark({json})": f"has_fragile_number({json})"}, "FALSE")
    return Fault(repeated, "property-repeated", text), Fault(marked, "number-inexact", text)


def objects_layout(
    layout: Layout,
    keys: Sequence[str],
    where: str,
    mapping: FieldMap,
    shape: Shape | None = None,
    inner: Sequence[str] = (),
) -> Layout:
    """`layout`, completed for JSON in the column `line`; `keys` are the names in the first objects.

    With a `shape`, events are in a column of their own; `inner` are the names among the properties of the first events.

    Raises: SchemaError for a field that none of the first objects has.
    """
    if shape and shape.fields:
        pointers = shape.pointers(keys, inner, where, mapping, generates_ids=layout.generates_ids)
    else:
        pointers = _pointers(layout, keys, where, mapping)
    if mapping.lists_properties and keys:
        mapping.check_properties([*keys, *inner], where)
    fields = {**pointers, **_listed_properties(mapping, shape)}
    held, or_members = _bag_of(layout, mapping, shape)
    parents = objects_of(fields.values()) - {json_pointer(held)}
    json = Json(EVENT_COLUMN if shape else "line", fields, is_record=layout.is_records)
    columns = {name: constant_column(text) for name, text in mapping.constants.items()}
    columns |= {name: json.column(name) for name in pointers}
    if shape:
        json = replace(json, made=shape.times_made(columns))
        columns |= {name: Column(made_name(name)) for name in TIMES if made_name(name) in json.made}
    layout = replace(
        layout,
        columns=columns,
        json=json,
        keyless=(Fault("object IS NULL", "json-invalid", "line"),),
        faults=(*object_faults("object", "line", parents), *_spelled_twice(json, mapping, shape)),
        has_metered_at=_is_metered(keys, inner, mapping, shape),
        has_ids=_has_ids(keys, pointers),
    )
    if shape:
        layout = replace(layout, keyless=KEYLESS, faults=(*shape.faults(), *layout.faults))
    if layout.is_records:
        layout = _with_observations(layout)
    if mapping.lists_properties:
        texts = {name: json.column(f"property {name}").sql for name in mapping.properties}
        return replace(layout, property_sql=lambda name: texts.get(name, ABSENT), properties_sql=map_sql(texts))
    return _with_properties(layout, json, held, mapping, or_members=or_members)


def _spelled_twice(json: Json, mapping: FieldMap, shape: Shape | None) -> tuple[Fault, ...]:
    """The fault of a field under two names; of a shape's places, the first that a row has counts."""
    return () if shape and shape.fields else json.spelled_twice(mapping.columns)


def _has_ids(keys: Sequence[str], pointers: Mapping[str, Sequence[str]]) -> bool:
    """Whether the first objects have ids."""
    return any(pointer.split("/")[1] in keys for pointer in pointers.get("id", ()))


def _listed_properties(mapping: FieldMap, shape: Shape | None) -> dict[str, tuple[str, ...]]:
    """Name → pointers, for the properties that `--map` lists; the names are unlike those of fields."""
    found = {}
    for name, column in mapping.properties.items():
        places = shape.places(column) if shape else ((column,),)
        found[f"property {name}"] = tuple(json_pointer(*path) for path in places)
    return found


def _is_metered(keys: Sequence[str], inner: Sequence[str], mapping: FieldMap, shape: Shape | None) -> bool:
    """Whether the first objects say when they entered; True where there are no objects to look at."""
    if "metered_at" in mapping.constants or not keys:
        return True
    if shape and shape.fields:
        spelled = tuple(path[0] for path in shape.fields.get("metered_at", ()))
        return mapping.columns.get("metered_at") in (*keys, *inner) or any(name in keys for name in spelled)
    return mapping.column_of("metered_at", EVENT_NAMES["metered_at"], keys, "") is not None


def _pointers(layout: Layout, keys: Sequence[str], where: str, mapping: FieldMap) -> dict[str, tuple[str, ...]]:
    """Field → pointers to its places in an object; every spelling is tried, since lines may differ.

    Raises: SchemaError for a field that none of the first objects has.
    """
    names = field_names(records=layout.is_records)
    pointers, missing = {}, []
    for name, aliases in names.items():
        if name in BAGS or name in mapping.constants:
            continue
        mapped = mapping.columns.get(name)
        column = mapping.column_of(name, aliases, keys or [mapped or name], where)
        if column is None and not may_lack(name, keys, generates_ids=layout.generates_ids):
            missing.append(name)
        spelled = (mapped,) if mapped else tuple(dict.fromkeys((*aliases, name)))
        nested = (json_pointer(*NESTED[name]),) if name in NESTED else ()
        pointers[name] = (*(json_pointer(alias) for alias in spelled), *nested)
    if missing:
        raise_missing(missing, where, keys, names)
    return pointers


def _bag_of(layout: Layout, mapping: FieldMap, shape: Shape | None) -> tuple[str, bool]:
    """The name of the object whose members are the properties, and whether an event without it has its other members;
    "" where `--map` lists the properties.
    """
    if mapping.lists_properties:
        return "", False
    bag = "dimensions" if layout.is_records else "properties"
    chosen = mapping.columns.get(bag) or (shape.properties if shape else "")
    return chosen or bag, not (chosen or layout.is_records)


def _with_properties(layout: Layout, json: Json, held: str, mapping: FieldMap, *, or_members: bool) -> Layout:
    """The layout with properties: the members of the object `held`; with `or_members`, an object without it has all its
    names of no field. Each object is read by its own form, so that no other one changes what it says (R23).
    """
    pointer = literal(json_pointer(held))
    kind = f"json_type(object, {pointer})"
    texts = f"json_texts(object, [{pointer}])"
    text = f"{texts}[1]"
    # The macro json_members uses its argument several times: as a lambda's variable it is planned only once.
    read = f"list_transform({texts}, lambda text: in_order(json_members(text)))[1]"
    members, reserved = f"CASE WHEN {kind} = 'OBJECT' THEN {read} ELSE {NO_PROPERTIES} END", None
    if or_members:
        names = [(*aliases, name) for name, aliases in field_names(records=False).items()]
        names += [(name,) for name in mapping.columns.values()]
        reserved = {name for spelled in names for name in spelled}
        members = f"members_of(object, {pointer}, {literal('|'.join(map(_pattern, names)))})"
    faults = (
        Fault(f"{kind} NOT IN ('OBJECT', 'NULL')", "properties-invalid", text),
        Fault(repeated_at_sql("object", [json_pointer(held)]), "property-repeated", text),
    )
    json = replace(json, properties=(held,), reserved=reserved)
    return replace(layout, properties_sql=members, json=json, faults=(*layout.faults, *faults))


def _pattern(spelled: Sequence[str]) -> str:
    """A pattern that each spelling of a name fits, short enough to be read in a script."""
    start = "".join(
        letters[0] for letters in takewhile(lambda found: len(set(found)) == 1, zip(*spelled, strict=False))
    )
    ends = "|".join(dict.fromkeys(re.escape(name[len(start) :]) for name in spelled))
    return re.escape(start) + (f"({ends})" if ends else "")


def _with_observations(layout: Layout) -> Layout:
    """The layout whose bundled records take quantity and unit from an observation; its place makes the id unique."""
    columns = dict(layout.columns)
    for n, name in enumerate(OBSERVED):
        columns[name] = Column(f"CASE WHEN bundled THEN observed[{n + 1}] ELSE {columns[name].sql} END")
    id_sql = columns["id"].sql
    columns["id"] = Column(f"CASE WHEN coalesce({id_sql}, '') <> '' THEN {id_sql} || place_text ELSE {id_sql} END")
    ordered = "utc_of_text(observed[4]) <= utc_of_text(observed[5])"
    bounds = "coalesce(observed[4], '') || '/' || coalesce(observed[5], '')"
    faults = (
        Fault("bundled AND len(listed) = 0", "observations-missing", "line"),
        Fault("observed_twice", "property-repeated", "line"),
        Fault(f"has_window AND NOT coalesce({ordered}, FALSE)", "window-invalid", bounds),
    )
    return replace(layout, columns=columns, faults=(*layout.faults, *faults))
