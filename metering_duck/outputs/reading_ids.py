"""Reading ids in tables: the definition of ids (R21) that a table has its readings by, and what an earlier one means.

A table that is made now is marked with the definition. A table without a mark may hold readings under ids by the first
definition: a reading that has another id by now would then be added beside itself. So its ids by the first definition
are looked for.
"""

from __future__ import annotations

from metering_duck.errors import SourceError
from metering_duck.statements.quote import literal

# The name of the mark, on the column `id` of a Delta table and among the properties of an Iceberg table.
MARK = "metering-duck.ids"
SHAPES = ("reading", "reading-bundle")
HINT = "hint: --mode overwrite writes the table anew, or write another table (docs/ids.md)"
_SCOPE = ("workspace_id", "universe_id", "subject")
_BOUNDS = tuple(f"CAST(epoch_us({name}) AS VARCHAR)" for name in ("window_start", "window_end"))


def first_id_sql(shape: str) -> str:
    """SQL for the id that a row had by the first definition: without absent dimensions, inner windows and settings."""
    if shape == "reading":
        return _plain_id_sql("unit", "aggregation")
    one = _plain_id_sql("value.unit", "value.aggregation")
    return f"digest(list_aggregate(list_transform(computed_values, lambda value: {one}), 'string_agg', ''))"


def _plain_id_sql(unit: str, aggregation: str) -> str:
    parts = " || ".join(f"encoded({part})" for part in (*_SCOPE, unit, aggregation, *_BOUNDS))
    entries = "map_entries(in_order(dimensions))"
    listed = f"list_transform({entries}, lambda entry: encoded(entry.key) || encoded(entry.value)) || ['']"
    return f"digest({parts} || list_aggregate({listed}, 'string_agg', ''))"


def earlier_ids_sql(ours: str, theirs: str, shape: str) -> str:
    """SQL for how many rows of a table have an id that a row of ours had by the first definition, and one of them."""
    first = f"SELECT {first_id_sql(shape)} AS first_id, id FROM {ours}"
    changed = f"SELECT first_id FROM ({first}) WHERE first_id <> id"
    return f"SELECT count(*), min(id) FROM {theirs} WHERE id IN ({changed})"


def mixed_ids(where: str, count: int, id: str) -> SourceError:
    """The error for readings that are in a table under ids as an earlier version made them."""
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return SourceError(
        f"{where}: found {rows} with ids as an earlier version made them, such as {literal(id)[1:-1]}; expected none, "
        f"since the same readings have other ids now, and would be there twice. {HINT}"
    )


def earlier_rows(where: str) -> SourceError:
    """The error for readings of a ledger that have ids of an earlier version, for a table of readings of this one."""
    return SourceError(
        f"{where}: found readings with ids as an earlier version made them; expected those of the table, which this "
        "version made. hint: metering-duck ledger status names their periods; write another table (docs/ids.md)"
    )
