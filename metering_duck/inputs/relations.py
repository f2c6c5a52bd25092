"""Relations: an input as SQL behind FROM, and how its rows know their file and their place in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metering_duck.engine.duckdb import Engine
from metering_duck.files.proofs import Claim
from metering_duck.inputs.fields import FILE_COLUMN
from metering_duck.inputs.unreadable import NONE, UnreadableColumns
from metering_duck.statements.select import select

PLACE_COLUMN = "metering_duck_place"
SAMPLE_ROWS = 1_000


@dataclass(frozen=True)
class Relation:
    """SQL that can stand behind FROM: typed columns, or, with `is_json`, JSON objects in the column `line`.

    `file_sql` is SQL for the name of a row's file. `row_numbers` says how a row's place in its file is told: not at
    all, by the function that reads the file, or by counting. `unreadable` are columns that may not be used; some of
    them are not among the columns of the SQL. `claims` are the files that are to be proven whole, and `notes` are
    notices about them. `headers` are the names in each file, where files may differ in them; `told_apart` is the
    character that was taken to divide them, where that is in doubt. `has_keys_once` says that no MAP has a key twice:
    DuckDB looks at each that comes from Arrow.
    """

    sql: str
    is_json: bool = False
    file_sql: str = FILE_COLUMN
    row_numbers: Literal["none", "by reader", "by count"] = "none"
    unreadable: UnreadableColumns = field(default_factory=lambda: NONE)
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    told_apart: str = ""
    has_keys_once: bool = False

    def numbered(self) -> tuple[str, str]:
        """The relation, and SQL for each row's place in its file, from 1; "" where rows lie in no file."""
        if self.row_numbers == "none":
            return self.sql, ""
        if self.row_numbers == "by reader":
            return self.sql, "file_row_number + 1"
        counted = select({"row_of_all": "row_number() OVER ()"}, self.sql, star="*")
        first = f"min(row_of_all) OVER (PARTITION BY {FILE_COLUMN})"
        rows = select({PLACE_COLUMN: f"row_of_all - {first} + 1"}, f"(\n{counted}\n)", star="* EXCLUDE (row_of_all)")
        return f"(\n{rows}\n)", PLACE_COLUMN


def first_keys(engine: Engine, relation: str, text: str = "line") -> list[str]:
    """The names in the first JSON objects of a relation; `text` is SQL for the text of such an object."""
    return names_of_objects(engine, f"(SELECT {text} AS line FROM {relation} LIMIT {SAMPLE_ROWS})")


def names_of_objects(engine: Engine, relation: str) -> list[str]:
    """The names in all JSON objects of a relation."""
    rows = engine.rows(
        f"SELECT DISTINCT unnest(json_keys(line)) AS key FROM {relation} "
        "WHERE json_valid(line) AND json_type(line) = 'OBJECT' ORDER BY key"
    )
    return [str(row[0]) for row in rows]


def counts_by_file(engine: Engine, given: Relation) -> dict[str, int]:
    """File → how many rows the engine reads of it; all rows under "" where they do not know their file."""
    if given.row_numbers == "none" or all(claim.format == "arrow" for claim in given.claims):
        return {"": int(engine.rows(select({"rows": "count(*)"}, given.sql))[0][0])}
    counted = select({"file": FILE_COLUMN, "rows": "count(*)"}, given.sql, group_by=["1"])
    return {str(file): int(rows) for file, rows in engine.rows(counted)}
