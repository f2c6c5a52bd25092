"""The files of sql/ledger: their headers against what DuckDB parses, and that every table says what it holds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from metering_duck.decimals.columns import last_digit_sql
from metering_duck.statements.quote import identifier
from metering_duck.statements.stages import fixed, load_header, load_stage, load_text, parameter_names

FOLDER = Path(__file__).parents[2] / "sql" / "ledger"
STAGES = sorted(path.stem for path in FOLDER.glob("*.sql") if not path.stem.isdigit())
# What a stage is given in place of its $names: constants, since a type cannot be bound.
GIVEN = {
    "VARCHAR": "'text'",
    "BOOLEAN": "TRUE",
    "TIMESTAMP": "TIMESTAMP '2024-01-01'",
}
GIVEN_BY_NAME = {"decimal": "DECIMAL(38, 18)", "digits": "18", "last_digit": last_digit_sql(18)}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_yields_what_its_header_says(name: str) -> None:
    """On tables of the types that the header names, DuckDB parses the stage and gives the columns of the header."""
    header, stage = load_header(f"ledger/{name}"), load_stage(f"ledger/{name}")
    assert set(header.parameters) == parameter_names(stage.sql)
    given = {one: GIVEN_BY_NAME.get(one) or GIVEN[kind] for one, kind in header.parameters.items()}
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(load_text("functions"))
        for table, columns in header.reads.items():
            listed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"CREATE TABLE {table} ({listed})")
        found = connection.execute(f"DESCRIBE {fixed(stage, given).sql}").fetchall()

    assert header.yields == {row[0]: row[1] for row in found}


def test_every_table_of_a_ledger_says_what_it_holds() -> None:
    """Each table and view that the schema makes has a comment, for whoever opens the file in the DuckDB shell."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(load_text("ledger/1"))
        tables = connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall()
        views = connection.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall()

    assert [] == [name for name, comment in [*tables, *views] if not comment]
    assert {"readings", "runs", "periods", "restatements", "current_readings"} <= {
        name for name, _ in [*tables, *views]
    }
