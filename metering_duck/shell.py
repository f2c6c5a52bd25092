"""The DuckDB shell: how it reads what metering-duck reads by other means, so that a script runs there as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from metering_duck.inputs import Files, Input, Lines, Rows
from metering_duck.lakes import BY_ROWS, Attached, LakeTable, filtered
from metering_duck.quote import literal, literal_list
from metering_duck.remote import scheme_of

_OURS = re.compile(r"\bFROM input_(?:rows|spooled)\b")
# Types that partitions of a Delta table have in the names of its folders, as they are there.
PARTITION_TYPES = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.date32(): "DATE"}


@dataclass(frozen=True)
class InShell:
    """What a shell is told `first`, and the SQL that stands there for the table of ours, "" for that table itself."""

    first: str = ""
    relation: str = ""

    def instead(self, script: str) -> str:
        """A script that reads this where ours reads a table that only we have."""
        return _OURS.sub(lambda _: f"FROM {self.relation}", script) if self.relation else script


def in_shell(found: Input) -> InShell:
    """How a shell reads an input: without an extension where its files are all there is to it."""
    if isinstance(found, Attached):
        return InShell(f"ATTACH IF NOT EXISTS {literal(found.path)} AS the_input (READ_ONLY);")
    if isinstance(found, LakeTable):
        return _delta(found) if found.kind == "delta" else _iceberg(found)
    if isinstance(found, Rows) and found.in_shell:
        return InShell(relation=found.in_shell)
    if isinstance(found, Rows):
        return InShell("-- It reads input_rows, which is to be there: the rows that were given.")
    if isinstance(found, Lines):
        return InShell("-- It reads input_lines, which is to be there: the objects that were given, as JSON text.")
    if isinstance(found, Files) and found.format == "arrow":
        return InShell("-- It reads input_spooled, which is to be there: the rows of the Arrow files.")
    return InShell()


def _delta(table: LakeTable) -> InShell:
    """The files of the version, where no row of them is marked as deleted, and folders name what they do not hold."""
    delta: Any = table.table
    uris = sorted(delta.file_uris())
    partitions = delta.metadata().partition_columns
    types = {name: PARTITION_TYPES.get(table.schema.field(name).type) for name in partitions}
    are_named = all(f"/{name}=" in unquote(uri) for uri in uris for name in partitions)
    if not uris or not are_named or None in types.values() or BY_ROWS & set(delta.protocol().reader_features or ()):
        place, version = delta.table_uri, delta.version()
        return InShell("INSTALL delta;\nLOAD delta;", f"delta_scan({literal(place)}, version => {version})")
    listed = ", ".join(f"{literal(name)}: {kind}" for name, kind in types.items())
    hive = f"hive_partitioning = true, hive_types = {{{listed}}}" if types else "hive_partitioning = false"
    return InShell(relation=f"read_parquet({literal_list(_local(uris))}, union_by_name = true, {hive})")


def _iceberg(table: LakeTable) -> InShell:
    """The files of the snapshot, where no row of them is deleted, and columns were never renamed."""
    scan = filtered(table.table, table.texts, table.times)
    tasks = list(scan.plan_files())
    metadata = table.table.table_metadata
    names: dict[int, set[str]] = {}
    for schema in metadata.schemas:
        for field in schema.fields:
            names.setdefault(field.field_id, set()).add(field.name)
    is_renamed = any(len(found) > 1 for found in names.values())
    if not tasks or is_renamed or any(task.delete_files for task in tasks):
        snapshot = table.name.rpartition("=")[2]
        place, chosen = literal(table.metadata), "" if snapshot == "none" else f", snapshot_from_id => {snapshot}"
        return InShell("INSTALL iceberg;\nLOAD iceberg;", f"iceberg_scan({place}{chosen})")
    paths = _local(sorted(task.file.file_path for task in tasks))
    return InShell(relation=f"read_parquet({literal_list(paths)}, union_by_name = true, hive_partitioning = false)")


def _local(uris: list[str]) -> list[str]:
    """Paths on this machine as DuckDB's listing has them."""
    return [uri.removeprefix("file://") if scheme_of(uri) == "file" else uri for uri in uris]
