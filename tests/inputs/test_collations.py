"""Columns of DuckDB files with a collation: texts are compared by their bytes all the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from metering_duck import SchemaError, aggregate
from tests.inputs.test_lakes import CONFIG, FEBRUARY
from tests.worlds import row, table


def result(source: Any) -> list[dict[str, Any]]:
    """The readings of February."""
    with aggregate(source, CONFIG, **FEBRUARY) as found:
        return found.to_dicts()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("collation", ["nocase", "noaccent", "nfc"])
@pytest.mark.parametrize("name", ["events", "seen", "copied"])
def test_texts_of_a_duckdb_file_are_compared_by_their_bytes(collation: str, name: str, tmp_path: Path) -> None:
    """A collation of its columns makes no two subjects one, nor two ids; a view and a copy have it, too."""
    other = {"nocase": "A", "noaccent": "ä", "nfc": "a\u0308"}[collation]
    one = "ä" if collation == "nfc" else "a"
    rows = [
        row(f"{subject}{n}", datetime(2024, 2, n, tzinfo=UTC), {"n": "1"}, subject=subject)
        for subject in (one, other)
        for n in (1, 2)
    ]
    plain = table(rows)
    with duckdb.connect(str(tmp_path / "usage.duckdb")) as connection:
        connection.register("events_rows", plain)
        connection.execute("CREATE TABLE events AS FROM events_rows")
        for column in ("id", "subject", "workspace_id"):
            connection.execute(f"ALTER TABLE events ALTER {column} TYPE VARCHAR COLLATE {collation}")
        connection.execute("CREATE VIEW seen AS FROM events")
        connection.execute("CREATE TABLE copied AS FROM events")

    assert result(plain) == result(f"duckdb://{tmp_path}/usage.duckdb?table={name}")


@pytest.mark.parametrize("made", ["{'n': '1', 'x': s}", "MAP {'n': '1', 'x': s}", "[{'key': 'n', 'value': s}]"])
def test_a_nested_text_with_a_collation_is_refused_where_it_is_used(made: str, tmp_path: Path) -> None:
    """What a STRUCT, a MAP or a list has of a collated column keeps its collation, and shows it nowhere."""
    with duckdb.connect(str(tmp_path / "usage.duckdb")) as connection:
        connection.execute("CREATE TABLE texts (s VARCHAR COLLATE nocase)")
        connection.execute("INSERT INTO texts VALUES ('1')")
        fields = "'e' AS id, 'w' AS workspace_id, 'u' AS universe_id, 't' AS type, 'a' AS subject, "
        fields += "TIMESTAMPTZ '2024-02-01 00:00:00Z' AS time, '1' AS n, "
        connection.execute(f"CREATE TABLE events AS SELECT {fields} {made} AS properties FROM texts")
        connection.execute("DROP TABLE texts")
    url = f"duckdb://{tmp_path}/usage.duckdb?table=events"

    with pytest.raises(
        SchemaError, match=r"column properties: found .* with a collation; .* hint: write the table anew"
    ):
        result(url)
