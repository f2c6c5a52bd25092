"""The files of sql/ledger: their tables say what they hold."""

from __future__ import annotations

import duckdb

from metering_duck.statements.stages import load_text


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
