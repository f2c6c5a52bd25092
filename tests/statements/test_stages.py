"""Every file of sql/ alone: its header against what DuckDB parses, on three rows, and its macros on small tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering_duck import compile_sql
from metering_duck.rollups.rules import rules_stage
from metering_duck.statements.layout import WIDTH
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.stages import load_header, load_stage, load_text, parameter_names

SQL = Path(__file__).parents[2] / "sql"
FILES = [path.relative_to(SQL).with_suffix("") for path in SQL.rglob("*.sql")]
# Neither the macros nor the tables of a ledger, whose files are numbered, are stages.
STAGES = sorted(path.as_posix() for path in FILES if path.name != "functions" and not path.name.isdigit())
ROWS = 3
SAMPLES = {
    "VARCHAR": "'{column} {n}'",
    "BOOLEAN": "{n} % 2 = 0",
    "TIMESTAMP": "TIMESTAMP '2024-01-15' + to_days({n})",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ '2024-01-15' + to_days({n})",
    "MAP(VARCHAR, VARCHAR)": "MAP {{'region': 'eu {n}'}}",
    "VARCHAR[]": "['{column} {n}']",
}
OBSERVATIONS = (
    "observations STRUCT(quantity DECIMAL(38,18), unit VARCHAR, aggregation VARCHAR, measurement VARCHAR, "
    'window_start TIMESTAMP, window_end TIMESTAMP, "value" VARCHAR)[]'
)
SAMPLES_BY_COLUMN = {
    "cell_us BIGINT": "86400000000",
    "dimensions VARCHAR": """'{{"region": "eu {n}"}}'""",
    "exact_text VARCHAR": "'{n}.50'",
    "filled BOOLEAN": "FALSE",
    "last_digit DECIMAL(18,18)": "0.000000000000000001",
    "divisor HUGEINT": "3",
    "digits_max INTEGER": "38",
    "object VARCHAR": """'{{"observations": [{{"quantity": "{n}", "unit": "seats"}}, {{"quantity": 1234567890}}]}}'""",
    OBSERVATIONS: "[{{'quantity': {n}, 'unit': 'seats', 'measurement': 'seats'}}, NULL]",
    "quantity VARCHAR": "'{n}.50'",
    "zone VARCHAR": "'UTC'",
}
TIMES = "recorded_at TIMESTAMP, metered_at TIMESTAMP"
KEY = "'w', 'u', 's', NULL, 'seats', 'a'"


@pytest.fixture
def sql() -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB with the macros of sql/functions.sql and nothing else."""
    with duckdb.connect(":memory:", config={"python_enable_replacements": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(load_text("functions"))
        yield connection


@pytest.fixture(scope="module")
def shared_sql() -> Iterator[duckdb.DuckDBPyConnection]:
    """The same, for examples that change nothing in it."""
    with duckdb.connect(":memory:", config={"python_enable_replacements": "false"}) as connection:
        connection.execute(load_text("functions"))
        yield connection


def sample(column: str, kind: str, n: int) -> str:
    """SQL for the nth value of a column."""
    template = SAMPLES_BY_COLUMN.get(f"{column} {kind}") or SAMPLES.get(kind, "CAST({n} + 1 AS {kind})")
    return template.format(column=column, kind=kind, n=n)


def make_table(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str]) -> None:
    """A table of three rows, its columns of exactly the types that a header says."""
    listed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
    connection.execute(f"CREATE TABLE {name} ({listed})")
    for n in range(ROWS):
        values = ", ".join(sample(column, kind, n) for column, kind in columns.items())
        connection.execute(f"INSERT INTO {name} VALUES ({values})")


def fill(connection: duckdb.DuckDBPyConnection, name: str, stage: str, values: str) -> None:
    """A table that a stage reads, with rows of our own."""
    columns = load_header(stage).reads[name]
    listed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
    connection.execute(f"CREATE TABLE {name} ({listed})")
    connection.execute(f"INSERT INTO {name} VALUES {values}")


def values_of(stage: str) -> dict[str, Any]:
    """A value for each parameter of a stage."""
    kinds = {"TIMESTAMP": datetime(2024, 2, 1), "BOOLEAN": True, "INTEGER": 0, "VARCHAR": "text"}
    return {name: kinds[kind] for name, kind in load_header(stage).parameters.items()}


def generated(stage: str, *aggregations: str) -> str:
    """The text of a generated stage: of gauges over two days."""
    config = {"measurements": [{"sourceProperty": "q", "unit": "seats", "aggregation": name} for name in aggregations]}
    return compile_sql(config, stage=stage, start="2024-01-31", end="2024-02-02")


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_header_is_what_duckdb_parses(sql: duckdb.DuckDBPyConnection, stage: str) -> None:
    """A stage yields the columns and types that its header says, in that order, from what it says that it reads."""
    header = load_header(stage)
    for name, columns in header.reads.items():
        make_table(sql, name, columns)
    described = sql.execute(f"DESCRIBE {load_stage(stage).sql}", values_of(stage)).fetchall()
    assert header.yields == {row[0]: row[1] for row in described}
    assert list(header.yields) == [row[0] for row in described]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_alone(sql: duckdb.DuckDBPyConnection, stage: str) -> None:
    """A stage needs no other stage: three rows in, and as many out as there should be."""
    for name, columns in load_header(stage).reads.items():
        make_table(sql, name, columns)
    rows = sql.execute(load_stage(stage).sql, values_of(stage)).fetchall()
    expected = {
        "conflicts": 0,
        "suspects": 0,
        "repeated_keys": 0,
        "tied_moments": 0,
        "observations": 2 * ROWS,
        "windows": 0,
        "window_grid": 1,
        "window_cells": 3,
    }
    expected |= {"overlapping": 0, "straddling": 0, "missing": 0, "gaps": 4, "exact_parts": 2}
    expected |= {"ledger/traced": 0, "ledger/changes": 0, "records": 2 * ROWS, "window_parts": 0}
    faults = ("merged_gauges", "prorated_readings", "reading_digits", "reading_faults")
    faults += ("schedule_inverted", "schedule_times")
    expected |= {name: 0 for name in STAGES if name.startswith("checks/")} | {f"checks/{name}": 1 for name in faults}
    expected |= {"checks/file_kinds": ROWS}
    assert expected.get(stage, ROWS) == len(rows)


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameters_of_a_header_are_those_of_the_text(stage: str) -> None:
    """`params:` names every $parameter of the text and no other."""
    assert set(load_header(stage).parameters) == parameter_names(load_stage(stage).sql)


@pytest.mark.parametrize(("stage", "table"), [(stage, table) for stage in STAGES for table in load_header(stage).reads])
def test_a_stage_reads_all_that_its_header_says(sql: duckdb.DuckDBPyConnection, stage: str, table: str) -> None:
    """`reads:` names no table that the stage does not need: without any one of them it does not run."""
    for name, columns in load_header(stage).reads.items():
        if name != table:
            make_table(sql, name, columns)
    with pytest.raises(duckdb.CatalogException, match=f"Table with name {table} does not exist"):
        sql.execute(load_stage(stage).sql, values_of(stage))


@pytest.mark.parametrize("stage", [*STAGES, "functions"])
def test_a_header_says_why_in_one_sentence(stage: str) -> None:
    """`why:` is one line, with words in it and without a full stop."""
    why = load_header(stage).why
    assert len(why.split()) >= 5
    assert not why.endswith(".")


def test_no_line_of_a_stage_is_longer_than_140_characters() -> None:
    """Every file can be read without turning the page; those that migrate ledgers stay as they were applied."""
    texts = {stage: load_text(stage) for stage in [*STAGES, "functions"]}
    assert [] == [(stage, line) for stage, text in texts.items() for line in text.split("\n") if len(line) > WIDTH]


def test_every_stage_is_listed() -> None:
    """README.md beside the stages has a line for each file."""
    listed = SQL.joinpath("README.md").read_text(encoding="utf-8")
    assert [] == [stage for stage in STAGES if f"`{stage}.sql`" not in listed]


# --- stages on small tables ------------------------------------------------------------------------------------------


def test_verdicts_keep_the_first_to_enter(sql: duckdb.DuckDBPyConnection) -> None:
    """The first to enter is kept, equal content is a duplicate, each other content is one conflict (R8)."""
    rows = [
        ("2024-01-02", "2024-01-01", "b", "conflict"),
        ("2024-01-01", "2024-01-01", "a", "kept"),
        ("2024-01-03", "2024-01-01", "b", "duplicate"),
        ("2024-01-04", "2024-01-01", "a", "duplicate"),
        ("2024-01-01", "2024-01-02", "c", "conflict"),
        ("2024-01-01", None, "d", "conflict"),
    ]
    times = [", ".join(f"TIMESTAMP '{t}'" if t else "NULL" for t in row[:2]) for row in rows]
    values = ", ".join(f"('w', 'u', 'e', {t}, '{row[2]}', NULL)" for t, row in zip(times, rows, strict=True))
    fill(sql, "suspects", "verdicts", values)
    query = f"SELECT content, verdict, kept_content FROM ({load_stage('verdicts').sql}) ORDER BY content, verdict"
    assert sorted((row[2], row[3], "a") for row in rows) == sql.sql(query).fetchall()


def test_of_equal_rows_the_one_of_the_first_file_is_kept(sql: duckdb.DuckDBPyConnection) -> None:
    """Which of two equal rows is kept does not depend on the order they are read in: rejects name its file (R23)."""
    moments = "TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-01'"
    values = ", ".join(f"('w', 'u', 'e', {moments}, 'a', '{file}')" for file in ("c", "a", "b"))
    fill(sql, "suspects", "verdicts", values)
    query = f"SELECT file, verdict FROM ({load_stage('verdicts').sql}) ORDER BY file"
    assert [("a", "kept"), ("b", "duplicate"), ("c", "duplicate")] == sql.sql(query).fetchall()


def test_spans_hold_until_the_next_level(sql: duckdb.DuckDBPyConnection) -> None:
    """A level holds to the next, or to the end; of levels at one instant only the last does (R13, R14)."""
    moment = "TIMESTAMP '2024-01-31 {}'".format
    levels = [
        ("00:00", "00:00", "NULL", 5),
        ("02:00", "00:00", "'b'", 1),
        ("02:00", "00:00", "'a'", 7),
        ("02:00", "00:00", "'b'", 0),
    ]
    sql.execute(f"CREATE TABLE levels (series UINTEGER, {TIMES}, tied_id VARCHAR, level DECIMAL(38, 18))")
    for recorded, metered, tied_id, level in levels:
        sql.execute(f"INSERT INTO levels VALUES (0, {moment(recorded)}, {moment(metered)}, {tied_id}, {level})")
    sql.execute(f"INSERT INTO levels VALUES (1, {moment('01:00')}, {moment('01:00')}, NULL, 3)")
    spans = generated("spans", "time-weighted-avg")
    query = f"SELECT series, level::INTEGER, strftime(held_until, '%d %H') FROM ({spans}) ORDER BY series, level"

    expected = [(0, 0, "31 02"), (0, 1, "01 00"), (0, 5, "31 02"), (0, 7, "31 02"), (1, 3, "01 00")]
    assert expected == sql.execute(query, {"end": datetime(2024, 2, 1)}).fetchall()


def test_pieces_are_spans_cut_at_their_window(sql: duckdb.DuckDBPyConnection) -> None:
    """A piece is the part of a span in the window, perhaps of no length; one that ended before has none."""
    sql.execute(f"CREATE TABLE spans (series UINTEGER, {TIMES}, level INTEGER, held_until TIMESTAMP)")
    spans = [("01-29", "01-30"), ("01-30", "01-31"), ("01-30", "02-05"), ("01-31", "01-31"), ("02-01", "02-02")]
    for n, (start, end) in enumerate(spans):
        sql.execute(
            f"INSERT INTO spans SELECT {n}, '2024-{start}', recorded_at, 1, '2024-{end}' "
            f"FROM (SELECT TIMESTAMP '2024-{start}' AS recorded_at)"
        )
    pieces = generated("pieces", "time-weighted-avg")
    query = f"SELECT series, held_us // 86400000000, begins_here, holds_at_end FROM ({pieces}) ORDER BY series"

    expected = [(1, 0, False, False), (2, 2, False, True), (3, 0, True, False), (4, 1, True, True)]
    bounds = {"start": datetime(2024, 1, 31), "end": datetime(2024, 2, 2)}
    assert expected == sql.execute(query, bounds).fetchall()


def test_weighted_sees_no_level_of_no_length(sql: duckdb.DuckDBPyConnection) -> None:
    """Extremes are of levels in effect, the count is of records in the window, the carried one is flagged."""
    sql.execute(
        f"CREATE TABLE pieces (series UINTEGER, {TIMES}, id VARCHAR, level DECIMAL(38, 18), window_index BIGINT, "
        "held_us BIGINT, begins_here BOOLEAN, holds_at_end BOOLEAN)"
    )
    pieces = [
        ("2023-12-01", "a", "4.5", 10, False, False),
        ("2024-01-01", "b", "9", 0, True, False),
        ("2024-01-01", "c", "-2", 30, True, True),
    ]
    for day, name, level, held, begins, ends in pieces:
        sql.execute(f"INSERT INTO pieces VALUES (0, '{day}', '{day}', '{name}', {level}, 0, {held}, {begins}, {ends})")
    weighted = generated("weighted", "time-weighted-avg", "peak-state", "min-state", "final-state")
    (row,) = sql.sql(weighted).to_arrow_table().to_pylist()

    names = ("high_us", "low_us", "known_us", "peak", "lowest", "record_count", "carried", "max_metered_at")
    expected = (-20, 5 * 10**18, 40, Decimal("4.5"), Decimal(-2), 2, True, datetime(2024, 1, 1))
    assert dict(zip(names, expected, strict=True)) == {name: row[name] for name in names}
    assert row["last"]["id"] == "c"


def test_a_series_is_a_key_of_readings(sql: duckdb.DuckDBPyConnection) -> None:
    """Every key that a reading may have is there once, one with an absent part too (R10)."""
    keys = [("w", "u", "s"), ("w", "u", "s"), ("w", "v", "s"), ("w", "u", None)]
    texts = (f"({', '.join('NULL' if text is None else literal(text) for text in key)})" for key in keys)
    sql.execute(f"CREATE TABLE judged AS FROM (VALUES {', '.join(texts)}) AS t(workspace_id, universe_id, subject)")
    found = sql.sql(f"FROM ({generated('keys', 'peak-state')}) ORDER BY ALL").fetchall()

    assert [("w", "u", "s"), ("w", "u", None), ("w", "v", "s")] == found


def test_moments_are_tied_where_a_subject_has_two_events(sql: duckdb.DuckDBPyConnection) -> None:
    """A moment is subject, recorded at and metered at together; one that is absent is a moment like any other (R13)."""
    day = "TIMESTAMP '2024-01-{}'".format
    rows = [("a", "01", "01"), ("a", "01", "01"), ("b", "01", "01"), ("a", "02", "01"), ("a", "01", "02")]
    values = [f"('{subject}', {day(recorded)}, {day(metered)})" for subject, recorded, metered in rows]
    fill(sql, "arrivals", "tied_moments", ", ".join([*values, "(NULL, NULL, NULL)", "(NULL, NULL, NULL)"]))
    tied = [f"hash('a', {day('01')}, {day('01')})", "hash(NULL::VARCHAR, NULL::TIMESTAMP, NULL::TIMESTAMP)"]

    expected = sql.sql(
        " UNION ALL ".join(f"SELECT {moment} AS moment_hash" for moment in tied) + " ORDER BY 1"
    ).fetchall()
    assert expected == sql.sql(f"FROM ({load_stage('tied_moments').sql}) ORDER BY 1").fetchall()


def test_repeated_keys_are_those_seen_twice(sql: duckdb.DuckDBPyConnection) -> None:
    """A key is workspace, universe and id together, and a row without a key repeats none (R8)."""
    keys = ["'w', 'u', 'e', FALSE", "'w', 'u', 'e', FALSE", "'w', 'v', 'e', FALSE", "'x', 'u', NULL, TRUE"]
    values = ", ".join(f"({key})" for key in [*keys, keys[-1]])
    fill(sql, "arrivals", "repeated_keys", values)
    assert sql.sql("SELECT hash('w', 'u', 'e')").fetchall() == sql.sql(load_stage("repeated_keys").sql).fetchall()


def test_readings_ids_are_of_the_whole_key(sql: duckdb.DuckDBPyConnection) -> None:
    """Keys that run together when written one behind the other still have ids of their own (R21)."""
    day, instant = "TIMESTAMP '2024-01-02'", "TIMESTAMP '2024-01-01 00:00:00.000001'"
    starts = "TIMESTAMP '2024-01-01'"
    fill(sql, "windows", "readings", f"(0, 'UTC', {starts}, {day}), (1, 'UTC', {starts}, {instant})")
    keys = ["'w', 'u', 's', NULL", "'wu', '', 's', NULL", "'', 'wu', 's', NULL", "NULL, 'wu', 's', NULL"]
    keys += ["'w', 'u', 's', '{}'", """'w', 'u', 's', '{"a":""}'""", """'w', 'u', 's', '{"":"a"}'"""]
    keys += [
        """'w', 'u', 's', '{"a":null}'""",
        """'w', 'u', 's', '{"a":null,"b":"x"}'""",
        """'w', 'u', 's', '{"b":"x"}'""",
    ]
    rest = "'seats', 'sum', {window}, 1, NULL, NULL, 1, FALSE, FALSE, TIMESTAMP '2024-01-01', NULL, NULL, NULL"
    values = ", ".join(f"({key}, {rest.format(window=window)})" for key in keys for window in (0, 1))
    fill(sql, "totals", "readings", values)
    given = {"clock": datetime(2024, 2, 1), "settings": ""}
    ids = [row[0] for row in sql.execute(load_stage("readings").sql, given).fetchall()]
    assert 2 * (len(keys) - 1) == len(set(ids))
    assert {32} == {len(found) for found in ids}


MONTH = "16:170406720000000016:1706745600000000"
# What an id is of → the dimensions, aggregation, zone and settings that the stage reads, and the text that is digested.
GOLDEN_IDS = {
    "nothing but the key": ("NULL", "sum", "UTC", "", f"1:w1:u1:s5:seats3:sum{MONTH}"),
    "a group": ("""'{"user":"u1"}'""", "sum", "UTC", "", f"1:w1:u1:s5:seats3:sum{MONTH}4:user2:u1"),
    "those without the property": ("""'{"user":null}'""", "sum", "UTC", "", f"1:w1:u1:s5:seats3:sum{MONTH}4:user-"),
    "two levels, by hour": (
        *("NULL", "sum-of-max per hour", "UTC", ""),
        f"1:w1:u1:s5:seats19:sum-of-max per hour3:UTC{MONTH}",
    ),
    "two levels, by hours of another zone": (
        *("NULL", "sum-of-max per hour", "Asia/Kolkata", ""),
        f"1:w1:u1:s5:seats19:sum-of-max per hour12:Asia/Kolkata{MONTH}",
    ),
    "two levels, by node": (
        *("NULL", "sum-of-max by node", "Asia/Kolkata", ""),
        f"1:w1:u1:s5:seats18:sum-of-max by node{MONTH}",
    ),
    "a run with a scale": ("NULL", "sum", "UTC", "-5:scale1:2", f"1:w1:u1:s5:seats3:sum{MONTH}-5:scale1:2"),
}


@pytest.mark.parametrize(
    ("dimensions", "aggregation", "zone", "settings", "digested"), GOLDEN_IDS.values(), ids=GOLDEN_IDS
)
def test_ids_never_change(
    sql: duckdb.DuckDBPyConnection, dimensions: str, aggregation: str, zone: str, settings: str, digested: str
) -> None:
    """An id is what it was when readings were stored, whatever is installed now; the name has no inner window (R21)."""
    fill(sql, "windows", "readings", f"(0, '{zone}', TIMESTAMP '2024-01-01', TIMESTAMP '2024-02-01')")
    rest = f"'seats', '{aggregation}', 0, 1, NULL, NULL, 1, FALSE, FALSE, TIMESTAMP '2024-01-01', NULL, NULL, NULL"
    fill(sql, "totals", "readings", f"('w', 'u', 's', {dimensions}, {rest})")
    given = {"clock": datetime(2024, 2, 1), "settings": settings}
    query = f"SELECT id, aggregation FROM ({load_stage('readings').sql})"
    expected = hashlib.sha256(digested.encode()).hexdigest()[:32], aggregation.split(" ")[0]
    assert [expected] == sql.execute(query, given).fetchall()


def test_a_plain_id_is_that_of_the_first_definition() -> None:
    """A reading without groups, inner windows and settings has the id that it always had (R21)."""
    first = hashlib.sha256(GOLDEN_IDS["nothing but the key"][-1].encode()).hexdigest()[:32]
    assert "f1c44f82d98434bd87d612cc776b3dd8" == first


def test_gaps_are_where_a_known_level_has_no_reading(sql: duckdb.DuckDBPyConnection) -> None:
    """Before a first reading that was carried in, between two, and behind the last; counters and --fill have none."""
    day = "TIMESTAMP '2024-01-{:02}'".format
    rows = [(2, 3, True, True, False), (3, 4, True, True, False), (6, 7, True, True, False), (9, 10, False, True, True)]
    values = ", ".join(f"({KEY}, {day(a)}, {day(b)}, {c}, {g}, {f})" for a, b, c, g, f in rows)
    fill(sql, "finer", "gaps", values)
    query = f"SELECT gap_start, gap_end FROM ({load_stage('gaps').sql}) WHERE isfinite(gap_end) ORDER BY gap_start"
    days = [(datetime(1, 1, 1), datetime(2024, 1, 2)), (datetime(2024, 1, 4), datetime(2024, 1, 6))]
    assert days == sql.sql(query).fetchall()
    assert [(datetime(2024, 1, 7),)] == sql.sql(
        f"SELECT gap_start FROM ({load_stage('gaps').sql}) WHERE NOT isfinite(gap_end)"
    ).fetchall()


def test_exact_parts_hold_57_digits(sql: duckdb.DuckDBPyConnection) -> None:
    """A numerator of 56 digits and a fraction is two whole numbers of one sign, in units of the series' last digit."""
    text = "-" + "9" * 38 + "." + "5" * 19
    moment = "TIMESTAMP '2024-01-01'"
    state = f"FALSE, 1, NULL, TRUE, {moment}, NULL, NULL, NULL, 0, TRUE, FALSE"
    later = state.replace("TRUE", "FALSE", 1)
    fill(sql, "rekeyed", "exact_parts", f"({KEY}, {moment}, '{text}', {state}), ({KEY}, {moment}, '7', {later})")
    fill(sql, "series_scales", "exact_parts", "('seats', 'a', 19)")
    fill(sql, "windows", "exact_parts", f"(0, {moment}, {moment})")
    rows = sql.sql(f"SELECT high, low, carried FROM ({load_stage('exact_parts').sql}) ORDER BY high").fetchall()
    assert rows == [(-int("9" * 38), -int("5" * 19), True), (7, 0, False)]


def test_combined_adds_picks_and_divides(sql: duckdb.DuckDBPyConnection) -> None:
    """Averages add, extremes and the last one pick; a carry between the two parts keeps them of one sign."""
    moment = "TIMESTAMP '2024-01-{:02}'".format
    kinds = ("avg", "max", "latest")
    values = ", ".join(
        f"('w', 'u', 's', NULL, 'seats', '{kind}', 0, 60, 0, {high}, {low}, FALSE, {count}, NULL, FALSE, {moment(1)}, "
        f"{moment(day)}, {moment(1)}, 'e{day}')"
        for kind in kinds
        for high, low, count, day in ((0, 3, 2, 1), (-2 if kind == "avg" else 0, -8 if kind == "avg" else -3, 3, 2))
    )
    fill(sql, "exact_parts", "combined", values)
    sql.execute(f"CREATE TABLE rules AS {rules_stage().sql}")
    query = f"SELECT aggregation, high, low, divisor, last_event_id FROM ({load_stage('combined').sql}) ORDER BY 1"
    assert sql.sql(query).fetchall() == [
        ("avg", -2, -5, 5, None),
        ("latest", 0, -3, 1, "e2"),
        ("max", 0, 3, 1, None),
    ]


# --- macros ----------------------------------------------------------------------------------------------------------

MACROS = [
    ("is_quantity('+1.e-5')", True),
    ("is_quantity('.')", False),
    ("is_quantity('1e')", False),
    ("is_quantity('')", False),
    ("quantity_fault('1_0', 20, 18)", "quantity-syntax"),
    ("quantity_fault('1e20', 20, 18)", "quantity-too-large"),
    ("quantity_fault('99999999999999999999', 20, 18)", None),
    ("quantity_fault('1e-19', 20, 18)", "quantity-too-fine"),
    ("quantity_fault('1.0000000000000000000000', 20, 18)", None),
    ("quantity_fault('0e99999999999999999999', 20, 18)", None),
    ("quantity_plain('-0012.3400e1')", "-123.4"),
    ("quantity_plain('-0.00')", "0"),
    ("quantity_plain('5e-3')", "0.005"),
    ("quantity_plain('5e3')", "5000"),
    ("plain_text(CAST('-1.500' AS DECIMAL(10, 3)))", "-1.5"),
    ("plain_text(CAST('100' AS DECIMAL(10, 0)))", "100"),
    ("plain_text(CAST('0.00' AS DECIMAL(10, 2)))", "0"),
    ("plain_text(CAST('100' AS HUGEINT))", "100"),
    ("point_text('5', 3)", "0.005"),
    ("point_text('12500', 3)", "12.5"),
    ("point_text('100', 0)", "100"),
    ("parts_text(12::HUGEINT, 5::HUGEINT, 3, 2)", "120.05"),
    ("parts_text(0::HUGEINT, -5::HUGEINT, 3, 2)", "-0.05"),
    ("parts_text(-12::HUGEINT, 0::HUGEINT, 0, 0)", "-12"),
    ("sum_of_parts(12::HUGEINT, 5::HUGEINT, power_of_ten(3))", 12005),
    ("sum_of_parts(12::HUGEINT, -5::HUGEINT, power_of_ten(3))", 11995),
    ("sum_of_parts(power_of_ten(35), 0::HUGEINT, power_of_ten(3))", None),
    ("sum_of_parts(power_of_ten(35), -1::HUGEINT, power_of_ten(3))", 10**38 - 1),
    ("sum_of_parts(-power_of_ten(35), 1::HUGEINT, power_of_ten(3))", 1 - 10**38),
    ("sum_of_parts(-power_of_ten(35), -1::HUGEINT, power_of_ten(3))", None),
    ("sum_of_parts(power_of_ten(35) + 1, -1001::HUGEINT, power_of_ten(3))", 10**38 - 1),
    ("sum_of_parts(power_of_ten(35) - 1, 1000::HUGEINT, power_of_ten(3))", None),
    ("sum_of_parts(power_of_ten(35) + 1, -1::HUGEINT, power_of_ten(3))", None),
    ("sum_of_parts(1::HUGEINT, -power_of_ten(38) - 1001, power_of_ten(3))", None),
    ("unscaled(CAST('-1.50' AS DECIMAL(10, 2)))", -150),
    ("unscaled(CAST('-0.05' AS DECIMAL(2, 2)))", -5),
    ("power_of_ten(0)", 1),
    ("power_of_ten(38)", 10**38),
    ("is_time('2024-01-31T23:59:59.5+23:59')", True),
    ("is_time('2024-01-31T24:00:00Z')", False),
    ("is_time('2024-01-31')", False),
    ("time_of_text('2024-02-30T00:00:00Z', 'UTC')", None),
    ("time_of_text('2024-01-31T23:30:00.1234569-01:00', 'UTC')", datetime(2024, 2, 1, 0, 30, 0, 123456)),
    ("time_of_text('2024-01-31t00:30:00+01:00', 'UTC')", datetime(2024, 1, 30, 23, 30)),
    ("time_of_text('1969-12-31T23:59:59.9999999z', 'UTC')", datetime(1969, 12, 31, 23, 59, 59, 999999)),
    ("time_of_text('2024-07-01 00:00:00', 'Europe/Berlin')", datetime(2024, 6, 30, 22)),
    ("time_of_text('2024-07-01 00:00:00', 'UTC')", datetime(2024, 7, 1)),
    ("time_is_cut('2024-01-31T00:00:00.1234567Z')", True),
    ("time_is_cut('2024-01-31T00:00:00.1234560Z')", False),
    ("time_is_naive('2024-01-31T00:00:00')", True),
    ("time_is_naive('2024-01-31T00:00:00+00:00')", False),
    ("time_text(TIMESTAMP '2024-01-31 00:00:00.120')", "2024-01-31T00:00:00.12Z"),
    ("time_text(TIMESTAMP '2024-01-31')", "2024-01-31T00:00:00Z"),
    ("encoded('é')", "2:é"),
    ("encoded('')", "0:"),
    ("encoded(NULL)", "-"),
    ("digest('')", "e3b0c44298fc1c149afbf4c8996fb924"),
    ("CAST(in_order(MAP {'b': '1', 'a': '2', 'c': NULL}) AS VARCHAR)", "{a=2, b=1}"),
    ("has_fragile_number('{\"a\": 1.5}')", True),
    ('has_fragile_number(\'{"a": "1.5", "b": 15}\')', False),
    ("has_fragile_number('[-0]')", True),
]


@pytest.mark.parametrize(("expression", "expected"), MACROS, ids=[expression for expression, _ in MACROS])
def test_a_macro_gives_its_value(shared_sql: duckdb.DuckDBPyConnection, expression: str, expected: object) -> None:
    """A macro of functions.sql, on a constant and on a column, gives the value that its comment promises."""
    assert [(expected,)] == shared_sql.sql(f"SELECT {expression}").fetchall()


@pytest.mark.parametrize(
    ("number", "scale", "expected"),
    [
        ("2.5", 0, "2"),
        ("3.5", 0, "4"),
        ("-2.5", 0, "-2"),
        ("-3.5", 0, "-4"),
        ("2.51", 0, "3"),
        ("0.25", 1, "0.2"),
        ("9.95", 1, "10.0"),
    ],
)
def test_half_even_mends_a_cast(shared_sql: duckdb.DuckDBPyConnection, number: str, scale: int, expected: str) -> None:
    """A cast rounds half away from zero; half_even takes back what it must not have rounded up (R16)."""
    decimal = f"CAST('{number}' AS DECIMAL(10, 3))"
    last_digit = f"CAST('{10**-scale if scale else 1}' AS DECIMAL(10, {scale}))"
    call = f"half_even({decimal}, CAST({decimal} AS DECIMAL(10, {scale})), {3 - scale}, {last_digit})"
    assert [(expected,)] == shared_sql.sql(f"SELECT CAST({call} AS VARCHAR)").fetchall()


def test_macros_take_columns(sql: duckdb.DuckDBPyConnection) -> None:
    """A macro over a column, NULL among its rows, treats each row as it treats a constant."""
    sql.execute("CREATE TABLE texts AS SELECT unnest(['1e2', NULL, 'x', '-0.50']) AS text")
    query = "SELECT is_quantity(text), quantity_fault(text, 2, 1), time_of_text(text, 'UTC'), encoded(text) FROM texts"
    expected = [
        (True, "quantity-too-large", None, "3:1e2"),
        (None, None, None, "-"),
        (False, "quantity-syntax", None, "1:x"),
        (True, None, None, "5:-0.50"),
    ]
    assert expected == sql.sql(query).fetchall()


# --- JSON, every digit kept ------------------------------------------------------------------------------------------

KEYS = ("a", "b~/", 'q"', "é", "\\", "1.5", "n\n0")
NUMBERS = (
    "0",
    "-0",
    "-0.0",
    "1",
    "-7",
    "1.50",
    "1e3",
    "1E+2",
    "-2.5e-7",
    "12345678901234567890.123456789012345678",
    "9007199254740993",
    "1e400",
)


class Number(str):
    """A JSON number as it is spelled."""


def spell(value: Any, blank: str) -> str:
    """A value as JSON text, numbers as they are spelled, with a blank wherever one is allowed."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = f"{blank},{blank}".join(f"{json.dumps(k)}{blank}:{blank}{spell(v, blank)}" for k, v in value.items())
        return f"{{{blank}{members}{blank}}}"
    if isinstance(value, list):
        return f"[{blank}{f'{blank},{blank}'.join(spell(item, blank) for item in value)}{blank}]"
    return json.dumps(value, ensure_ascii=isinstance(value, str) and len(value) % 2 == 0)


json_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufdd0\ufdd1"), max_size=8),
    st.sampled_from(("1.5", ":1.5", "[1.50,-0]", '",1.5,"', "\\", '\\"', ",12345678901234567890", "null", "")),
)
scalars = st.one_of(st.sampled_from(NUMBERS).map(Number), json_texts, st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(json_texts, inner, max_size=3)),
    max_leaves=6,
)
documents = st.tuples(st.dictionaries(st.sampled_from(KEYS), values), st.sampled_from(("", " ", "\t", "\n ")))


def text_of(value: Any) -> Any:
    """What SQL makes of a parsed JSON value: text, NULL for null, and a nested value as JSON to be parsed again."""
    if value is None or isinstance(value, str):
        return value
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else ("json", value)


def read_back(text: str | None, expected: Any) -> Any:
    """The text that SQL gave, parsed where a nested value was expected."""
    return ("json", exactly(text)) if isinstance(expected, tuple) and text is not None else text


def exactly(text: str) -> Any:
    """JSON text with every number as it is spelled."""
    return json.loads(text, parse_float=str, parse_int=str)


def json_table(connection: duckdb.DuckDBPyConnection, lines: Sequence[str]) -> None:
    """JSON texts as the table `lines`."""
    connection.register("lines", pa.table({"n": range(len(lines)), "line": pa.array(lines, pa.string())}))


@pytest.mark.slow
@settings(max_examples=12)
@given(st.lists(documents, min_size=40, max_size=40))
def test_json_texts_keep_every_digit(
    shared_sql: duckdb.DuckDBPyConnection, found: list[tuple[dict[str, Any], str]]
) -> None:
    """Values at pointers are what Python's json finds there, numbers as they were sent, nested ones included."""
    lines = [spell(document, blank) for document, blank in found]
    json_table(shared_sql, lines)
    pointers = ", ".join(literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in KEYS)
    rows = shared_sql.sql(f"SELECT json_texts(line, [{pointers}]) FROM lines ORDER BY n").fetchall()
    for line, (actual,) in zip(lines, rows, strict=True):
        expected = [text_of(exactly(line).get(key)) for key in KEYS]
        assert expected == [read_back(text, value) for text, value in zip(actual, expected, strict=True)]


@pytest.mark.slow
@settings(max_examples=12)
@given(st.lists(documents, min_size=40, max_size=40))
def test_json_members_keep_every_digit(
    shared_sql: duckdb.DuckDBPyConnection, found: list[tuple[dict[str, Any], str]]
) -> None:
    """All members of an object, by name, are what Python's json finds, numbers spelled as they were sent."""
    lines = [spell(document, blank) for document, blank in found]
    json_table(shared_sql, lines)
    table = shared_sql.sql("SELECT json_members(line) AS members FROM lines ORDER BY n").to_arrow_table()
    for line, actual in zip(lines, table.column(0).to_pylist(maps_as_pydicts="strict"), strict=True):
        expected = {key: text_of(value) for key, value in exactly(line).items()}
        assert expected == {key: read_back(text, expected.get(key)) for key, text in actual.items()}


def test_a_mark_beside_a_fragile_number_is_seen(shared_sql: duckdb.DuckDBPyConnection) -> None:
    """JSON that holds the mark of numbers is told from JSON that does not, so that it can be rejected."""
    query = 'SELECT has_number_mark(\'{"a": "\ufdd0", "b": 1.5}\'), has_number_mark(\'{"a": 1.5}\')'
    assert shared_sql.sql(query).fetchall() == [(True, False)]
