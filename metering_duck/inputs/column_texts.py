"""Columns as texts: VARIANTs, and bytes where the caller says that they are text, before fields are looked for.

A VARIANT keeps the type of each of its members: a DECIMAL and a whole number keep every digit, a DOUBLE is its shortest
text. Bytes that are no UTF-8 make their row a reject that names the column.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from metering_duck.inputs.fields import Fault
from metering_duck.inputs.from_columns import ENTRIES, HOLDS_BYTES
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import case, select

# The column that names the first column whose bytes are no text.
NOT_TEXT = "metering_duck_not_text"
NOT_TEXT_FAULT = Fault(f"{NOT_TEXT} IS NOT NULL", "text-invalid", NOT_TEXT)
Types = Mapping[str, str]


@dataclass(frozen=True)
class Texts:
    """SQL for the columns that become text, by their names; `faults` are when one is none, and what it is instead."""

    columns: Mapping[str, str]
    faults: Mapping[str, str]

    def relation(self, relation: str) -> str:
        """The relation with texts."""
        replaced = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in self.columns.items())
        made = {NOT_TEXT: case(self.faults.items())} if self.faults else {}
        return f"(\n{select(made, relation, star=f'* REPLACE ({replaced})')}\n)"


def texts_of(
    types: Types, members: Mapping[str, Types], objects: Collection[str], used: Collection[str], *, binary: bool
) -> Texts:
    """The columns among those that are `used` that become text; `objects` are columns that hold properties or events.

    `members` are STRUCT column → the types of its members. Bytes become text where `binary` says so.
    """
    columns: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name in used:
        kind, sql = types[name], identifier(name)
        if kind == "VARIANT":
            columns[name] = _json_sql(sql) if name in objects else variant_sql(sql)
        elif binary and HOLDS_BYTES.search(kind):
            decoded = _decoded(sql, kind, members.get(name, {}))
            if decoded:
                columns[name], wrong = decoded
                faults[wrong] = f"{literal(f'{name}: ')} || CAST({sql} AS VARCHAR)"
    return Texts(columns, faults)


def _json_sql(sql: str) -> str:
    """SQL for a VARIANT as the text of its JSON."""
    return f"CAST(CAST({sql} AS JSON) AS VARCHAR)"


def variant_sql(sql: str) -> str:
    """SQL for a VARIANT as the text of its value: JSON only of a list or an object."""
    is_nested = f"variant_typeof({sql}) LIKE 'OBJECT(%' OR variant_typeof({sql}) LIKE 'ARRAY(%'"
    return case({is_nested: _json_sql(sql)}, f"CAST({sql} AS VARCHAR)")


def _decoded(sql: str, kind: str, members: Types) -> tuple[str, str] | None:
    """SQL for bytes as text, and for whether any are none; also for those in a MAP, in entries or in a STRUCT."""
    if kind == "BLOB":
        return _text_sql(sql), _is_no_text(sql)
    if members:
        return _decoded_members(sql, members)
    is_map = kind.startswith("MAP") and not kind.endswith("]")
    return _decoded_entries(sql, kind, is_map=is_map) if is_map or ENTRIES.fullmatch(kind) else None


def _decoded_members(sql: str, members: Types) -> tuple[str, str] | None:
    """The same for the members of a STRUCT; None where none is bytes."""
    bytes_of = [name for name, type in members.items() if type == "BLOB"]
    if not bytes_of:
        return None
    listed = ", ".join(
        f"{literal(name)}: {_text_sql(part) if name in bytes_of else part}"
        for name, part in ((name, f"{sql}.{identifier(name)}") for name in members)
    )
    wrong = " OR ".join(_is_no_text(f"{sql}.{identifier(name)}") for name in bytes_of)
    return case({f"{sql} IS NOT NULL": f"{{{listed}}}"}), wrong


def _decoded_entries(sql: str, kind: str, *, is_map: bool) -> tuple[str, str]:
    """The same for the keys and values of a MAP, or of a list of entries."""
    entries = f"map_entries({sql})" if is_map else sql
    parts = {"key": "e.key", "value": "e.value"}
    typed = kind.removeprefix("MAP(") if is_map else kind
    bytes_of = [name for name in parts if _holds_bytes(typed, name, is_map=is_map)]
    entry = ", ".join(f"'{name}': {_text_sql(sql) if name in bytes_of else sql}" for name, sql in parts.items())
    wrong = " OR ".join(_is_no_text(parts[name]) for name in bytes_of)
    texts = f"list_transform({entries}, lambda e: {{{entry}}})"
    # A key that is no text would end the run: such a MAP has no entry, and its row is a reject.
    is_wrong = f"len(list_filter({entries}, lambda e: {wrong})) > 0"
    made = f"map_from_entries({texts})" if is_map else texts
    return case({f"NOT coalesce({is_wrong}, FALSE)": made}), f"coalesce({is_wrong}, FALSE)"


def _holds_bytes(typed: str, name: str, *, is_map: bool) -> bool:
    """Whether the key or the value of an entry is bytes, by the type's text."""
    if is_map:
        return typed.startswith("BLOB,") if name == "key" else typed.endswith(" BLOB)")
    return f"{name} BLOB" in typed.replace('"', "")


def _text_sql(sql: str) -> str:
    return f"TRY(decode({sql}))"


def _is_no_text(sql: str) -> str:
    return f"{sql} IS NOT NULL AND TRY(decode({sql})) IS NULL"
