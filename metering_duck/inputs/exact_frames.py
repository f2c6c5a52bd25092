"""Exact frames: Polars frames and DuckDB relations whose types Arrow does not have, or has with other values (R36).

Such columns become text before they become Arrow; inputs/arrow_columns.py looks at what Arrow has.
"""

from __future__ import annotations

import re
from typing import Any

from metering_duck.inputs.column_texts import variant_sql
from metering_duck.inputs.unreadable import Unreadable, UnreadableColumns
from metering_duck.statements.quote import identifier

# Types of DuckDB that become another type in Arrow: whole numbers of 39 digits wrap, zones and single bits are lost. A
# type stands before a bracket, a comma or the end; a member's name stands before a blank.
CHANGED_IN_ARROW = re.compile(r"\b(UHUGEINT|BIT|INTERVAL|TIME WITH TIME ZONE)(?=[,)\[]|$)")


def exact_relation(relation: Any) -> Any:
    """A DuckDB relation with text in place of the types that Arrow would change."""
    names, types = relation.columns, [str(kind) for kind in relation.types]
    if not any(kind == "VARIANT" or CHANGED_IN_ARROW.search(kind) for kind in types):
        return relation
    columns = []
    for name, kind in zip(names, types, strict=True):
        as_text = CHANGED_IN_ARROW.sub("VARCHAR", kind)
        sql = identifier(name)
        if kind == "VARIANT":
            # Arrow's has no whole numbers beyond 64 bits.
            columns.append(f"{variant_sql(sql)} AS {sql}")
        else:
            columns.append(sql if as_text == kind else f"CAST({sql} AS {as_text}) AS {sql}")
    return relation.project(", ".join(columns))


def exact_frame(frame: Any, where: str) -> tuple[Any, UnreadableColumns]:
    """A Polars frame, lazy or not, with text in place of whole numbers of 128 bits; and its columns of Python objects,
    which are left out."""
    import polars

    schema = frame.collect_schema()
    objects = [name for name, kind in schema.items() if kind == polars.Object]
    casts = {name: _as_text(kind) for name, kind in schema.items() if name not in objects}
    changed = [polars.col(name).cast(kind) for name, kind in casts.items() if kind != schema[name]]
    if changed:
        frame = frame.with_columns(changed)
    found = {name: Unreadable(where, name, "Object", "a type of Polars that is no Python object") for name in objects}
    return (frame.drop(objects) if objects else frame), found


def _as_text(kind: Any) -> Any:
    """A type of Polars with text in place of whole numbers of 128 bits, in nested types too."""
    import polars

    wide = [wide for name in ("Int128", "UInt128") if (wide := getattr(polars, name, None)) is not None]
    if kind in wide:
        return polars.String
    if isinstance(kind, polars.Struct):
        return polars.Struct({field.name: _as_text(field.dtype) for field in kind.fields})
    if isinstance(kind, polars.List):
        return polars.List(_as_text(kind.inner))
    if isinstance(kind, polars.Array):
        return polars.Array(_as_text(kind.inner), kind.size)
    return kind
