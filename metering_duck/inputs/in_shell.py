"""The DuckDB shell: how it reads what metering-duck reads by other means, so that a script runs there as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metering_duck.inputs.files import extensions_of
from metering_duck.inputs.input import Files, Input, Lines, Rows
from metering_duck.inputs.lakes import Attached, LakeTable
from metering_duck.statements.quote import literal

_OURS = re.compile(r"\bFROM input_(?:rows|spooled)\b")


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
        names = sorted(extensions_of(found))
        return InShell("\n".join([*map(_load, names), f"ATTACH IF NOT EXISTS {found.attach_sql};"]))
    if isinstance(found, LakeTable):
        plain = found.plain_files
        return InShell(relation=plain.sql) if plain and plain.paths else _by_extension(found)
    if isinstance(found, Rows) and found.in_shell:
        return InShell(relation=found.in_shell)
    if isinstance(found, Rows):
        return InShell("-- It reads input_rows, which is to be there: the rows that were given.")
    if isinstance(found, Lines):
        return InShell("-- It reads input_lines, which is to be there: the objects that were given, as JSON text.")
    if isinstance(found, Files) and found.format == "arrow":
        return InShell("-- It reads input_spooled, which is to be there: the rows of the Arrow files.")
    return InShell()


def _by_extension(found: LakeTable) -> InShell:
    """What an extension of DuckDB reads at a version."""
    version = found.name.rpartition("=")[2]
    if found.kind == "delta":
        scan = f"delta_scan({literal(found.table.table_uri)}, version => {version})"
    else:
        chosen = "" if version == "none" else f", snapshot_from_id => {version}"
        scan = f"iceberg_scan({literal(found.metadata)}{chosen})"
    return InShell(_load(found.kind), scan)


def _load(extension: str) -> str:
    return f"INSTALL {extension};\nLOAD {extension};"
