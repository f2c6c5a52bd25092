"""Views of databases: read where they depend on nothing but their database, and refused by what they call."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from metering_duck import ConfigError, SourceError, aggregate

SPAN: dict[str, Any] = {"start": "2024-01-01", "end": "2024-02-01"}
CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "u", "aggregation": "sum"}]}
EVENT = "'e1' AS id, 'acme' AS workspace_id, 'p' AS universe_id, 'call' AS type, 's' AS subject, '2024-01-02' AS time"
TABLE = f"CREATE TABLE t AS SELECT {EVENT.replace('2024-01-02', '2024-01-02T00:00:00Z')}, '1' AS n"


def quantity(path: Path, *statements: str, view: str) -> str:
    """The quantity that a view of a new database gives."""
    with duckdb.connect(str(path)) as connection:
        for sql in (TABLE, *statements):
            connection.execute(sql)
        connection.execute(f"CREATE VIEW events {view}")
    with aggregate(f"duckdb://{path}?table=events", CONFIG, **SPAN) as result:
        return str(result.to_dicts()[0]["quantity"].normalize())


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("statements", "view", "found"),
    [
        ((), "AS SELECT * REPLACE (random()::VARCHAR AS id) FROM t", "random()"),
        ((), "AS SELECT * FROM t WHERE now() > '2020-01-01'", "now()"),
        ((), "AS SELECT * REPLACE (current_date::VARCHAR AS subject) FROM t", "current_date"),
        ((), "AS SELECT * REPLACE (current_setting('threads')::VARCHAR AS n) FROM t", "current_setting()"),
        ((), "AS SELECT t.* FROM t, duckdb_settings()", "duckdb_settings()"),
        ((), "AS SELECT t.* FROM t, information_schema.tables", "the table information_schema.tables"),
        ((), "AS SELECT t.* FROM t, (FROM duckdb_tables)", "the table duckdb_tables"),
        ((), "AS SELECT * FROM t USING SAMPLE 50%", "a SAMPLE"),
        ((), "AS WITH c AS (SELECT uuid() AS u) SELECT t.* FROM t, c", "uuid()"),
        (("CREATE MACRO mine(a) AS a || random()",), "AS SELECT * REPLACE (mine(id) AS id) FROM t", "random()"),
        (("CREATE MACRO mine() AS TABLE SELECT now()",), "AS SELECT t.* FROM t, mine()", "now()"),
        (('CREATE VIEW "a AS SELECT 1 --" AS SELECT now() AS x',), 'AS FROM t, "a AS SELECT 1 --"', "now()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_view_that_depends_on_the_run_is_refused(
    statements: tuple[str, ...], view: str, found: str, tmp_path: Path
) -> None:
    """The message names what it calls, also within a view or a macro that it uses, and the way out."""
    with pytest.raises(SourceError) as caught:
        quantity(tmp_path / "a.duckdb", *statements, view=view)
    assert f"found {found}" in str(caught.value)
    assert "hint: read the table under it" in str(caught.value)


@pytest.mark.parametrize(
    ("view", "found"),
    [
        ("AS SELECT * FROM t LIMIT 1", "a LIMIT without ORDER BY"),
        ("AS SELECT * REPLACE ((SELECT first(n) FROM t) AS n) FROM t", "first() without ORDER BY"),
    ],
)
def test_a_view_that_takes_any_row_is_refused(view: str, found: str, tmp_path: Path) -> None:
    """Which rows these are is not said by the view; with an ORDER BY it is, and the view is read."""
    with pytest.raises(SourceError, match=re.escape(f"found {found} in events; expected a view")):
        quantity(tmp_path / "a.duckdb", view=view)
    ordered = view.replace("LIMIT 1", "ORDER BY id LIMIT 1").replace("first(n)", "first(n ORDER BY id)")
    assert "1" == quantity(tmp_path / "b.duckdb", view=ordered)


def test_a_view_of_its_database_alone_is_read(tmp_path: Path) -> None:
    """Operators, functions, windows, lists, macros, other views, and names of columns in the list of the view."""
    inner = "CREATE VIEW \"in ner\" AS SELECT *, 1 + 1 AS x FROM t WHERE type LIKE 'ca%' AND NOT subject IN ('b')"
    view = """(id, workspace_id, universe_id, "type", subject, time, n) AS WITH c AS (
        SELECT mine(id), workspace_id || '', coalesce(universe_id, 'x'), upper(lower("type")), "subject",
            strftime(CAST(time AS TIMESTAMP) + INTERVAL 1 HOUR, '%Y-%m-%dT%H:%M:%SZ'),
            CAST(sum(x) OVER (PARTITION BY id) + list_sum([y * 2 FOR y IN [1]]) + row_number() OVER () AS VARCHAR)
        FROM "in ner" CROSS JOIN range(1) WHERE date_trunc('day', CAST(time AS TIMESTAMP)) < DATE '2030-01-01'
    ) FROM c"""

    assert "5" == quantity(tmp_path / "a.duckdb", inner, "CREATE MACRO mine(a) AS a || 'x'", view=view)


def test_a_computed_column_that_depends_on_the_run_is_refused(tmp_path: Path) -> None:
    """A table may compute a column when it is read."""
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE events(n VARCHAR, s VARCHAR AS (current_setting('threads')))")
    with pytest.raises(SourceError, match=r"found current_setting\(\) in events"):
        aggregate(f"duckdb://{path}?table=events", CONFIG, **SPAN)


def test_a_result_is_not_written_over_its_database(tmp_path: Path) -> None:
    """Not over the file, by a link to it, or among the folders of a tree; the file stays as it was."""
    path, link = tmp_path / "unit=u" / "a.duckdb", tmp_path / "link.csv"
    path.parent.mkdir()
    assert "1" == quantity(path, view="AS FROM t")
    link.symlink_to(path)
    before = path.read_bytes()
    with aggregate(f"duckdb://{path}?table=events", CONFIG, **SPAN) as result:
        for write in (lambda: result.write(path, "csv"), lambda: result.write_rejects(link)):
            with pytest.raises(ConfigError, match="which is an input; expected a file of its own"):
                write()
        with pytest.raises(ConfigError, match=r"where the input .* lies; expected a folder of its own"):
            result.write(tmp_path, partition_by=["unit"])
    assert before == path.read_bytes()
