"""Collations: texts of databases that would be compared by other rules than by their bytes, read as plain text.

Under a collation, 'A' may equal 'a', and Müller Muller: two subjects would be billed as one. The collation of a member
of a STRUCT, a MAP or a list is shown nowhere, so DuckDB is asked to compare.
"""

from __future__ import annotations

from collections.abc import Iterator

from metering_duck.engine.duckdb import Engine
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.unreadable import Unreadable
from metering_duck.statements.quote import identifier
from metering_duck.statements.select import select

# Texts whose order a collation changes: by capitals, by accents, by the ways to write one letter.
BY_BYTES = (("'B'", "< 'a'"), ("'ä'", "> 'b'"), ("'a\u0308'", "<> 'ä'"))


def by_bytes(engine: Engine, relation: str, where: str) -> Relation:
    """A table's rows whose texts are compared by their bytes; a nested column that has a collation is unreadable."""
    types = engine.describe(relation)
    texts = {name: list(_texts_in(engine, relation, identifier(name), kind)) for name, kind in types.items()}
    listed = [text for inner in texts.values() for text in inner]
    if not listed:
        return Relation(relation)
    asked = engine.rows(f"SELECT {', '.join(_is_plain_sql(text, relation) for text in listed)}")[0]
    collated = {text for text, is_plain in zip(listed, asked, strict=True) if not is_plain}
    plain = {name: f'{identifier(name)} COLLATE "binary"' for name in types if identifier(name) in collated}
    expected, hint = "texts that are compared by their bytes", "write the table anew without COLLATE"
    unreadable = {
        name: Unreadable(where, name, f"{types[name]} with a collation", expected, hint)
        for name, inner in texts.items()
        if name not in plain and collated.intersection(inner)
    }
    if plain:
        replaced = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in plain.items())
        relation = f"({select({}, relation, star=f'* REPLACE ({replaced})')})"
    return Relation(relation, unreadable=unreadable)


def _is_plain_sql(text: str, relation: str) -> str:
    """SQL for whether a text of a relation is compared by its bytes; no row is looked at."""
    of_its_kind = f"(SELECT {text} FROM {relation} LIMIT 0)"
    return " AND ".join(f"coalesce({of_its_kind}, {one}) {than}" for one, than in BY_BYTES)


def _texts_in(engine: Engine, relation: str, sql: str, kind: str) -> Iterator[str]:
    """SQL for each text in a column of a type; of all elements of a list, for one."""
    if kind == "VARCHAR":
        yield sql
        return
    if kind.endswith("]"):
        parts = [f"{sql}[1]"]
    elif kind.startswith("MAP("):
        parts = [f"map_keys({sql})[1]", f"map_values({sql})[1]"]
    elif kind.startswith("STRUCT("):
        parts = [f"{sql}.{identifier(name)}" for name in engine.describe(f"(SELECT UNNEST({sql}) FROM {relation})")]
    else:
        return
    kinds = engine.describe(f"({select({f'part_{n}': part for n, part in enumerate(parts)}, relation)})")
    for part, type in zip(parts, kinds.values(), strict=True):
        yield from _texts_in(engine, relation, part, type)
