"""Layout: SQL on lines that a person can read says what it said."""

from __future__ import annotations

import json
import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering_duck.statements.layout import WIDTH, comment, laid_out
from metering_duck.statements.quote import identifier, literal, shown
from metering_duck.statements.tokens import tokens_of

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=400)


def said(sql: str) -> list[str]:
    """What SQL says, its white space left out."""
    return [token.text for token in tokens_of(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT CASE WHEN a THEN 1 END AS b", "SELECT CASE WHEN a THEN 1 END AS b"),
        (
            "    CASE WHEN a THEN 1 WHEN b THEN 2 ELSE 3 END AS c,",
            "    CASE\n        WHEN a THEN 1\n        WHEN b THEN 2\n        ELSE 3\n    END AS c,",
        ),
        ("CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 END", "CASE a\n    WHEN 1 THEN 2\n    WHEN 3 THEN 4\nEND"),
        (
            "coalesce(a, CASE WHEN b THEN 1 WHEN c THEN 2 END) AS d",
            "coalesce(\n    a,\n    CASE\n        WHEN b THEN 1\n        WHEN c THEN 2\n    END\n) AS d",
        ),
        ("f(\n    CASE WHEN a THEN 1 END", "f(\n    CASE WHEN a THEN 1 END"),
        ("'CASE WHEN a THEN 1 WHEN b THEN 2 END'", "'CASE WHEN a THEN 1 WHEN b THEN 2 END'"),
    ],
)
def test_each_branch_has_a_line(sql: str, expected: str) -> None:
    """A CASE of several branches has a line for each, within what it stands in; a short one of one branch stays."""
    assert expected == laid_out(sql)


def test_a_long_condition_is_broken_where_it_is_loosest() -> None:
    """OR before AND, and the AND of BETWEEN not at all."""
    names = [f"quantity_of_measurement_{n}" for n in range(3)]
    first = f"{names[0]} BETWEEN 1 AND 2 AND {names[1]} IS NOT NULL AND {names[2]} IS NOT NULL"
    assert laid_out(f"WHERE {first} OR {names[2]} > 7") == f"WHERE {first}\n    OR {names[2]} > 7"
    assert laid_out(f"WHERE {first} AND {names[0]} IS NOT NULL").split("\n") == [
        f"WHERE {names[0]} BETWEEN 1 AND 2",
        f"    AND {names[1]} IS NOT NULL",
        f"    AND {names[2]} IS NOT NULL",
        f"    AND {names[0]} IS NOT NULL",
    ]


def test_many_short_values_share_lines() -> None:
    """A list of a hundred texts takes no hundred lines."""
    values = ", ".join(literal(f"value {n}") for n in range(100))
    lines = laid_out(f"    a IN ({values}) AS b").split("\n")
    assert len(lines) < 15
    assert max(map(len, lines)) <= WIDTH


@given(st.lists(texts, min_size=1, max_size=12))
def test_a_text_of_any_length_is_the_same_text(found: list[str]) -> None:
    """A text too long for a line is cut into pieces that DuckDB joins again, whatever quotes and signs are in it."""
    listed = [text.replace("\n", " ").replace("\r", " ") for text in found]
    sql = laid_out(f"SELECT [{', '.join(map(literal, listed))}] AS texts")
    assert max(map(len, sql.split("\n"))) <= WIDTH
    assert [(listed,)] == duckdb.sql(sql).fetchall()


@given(st.lists(texts.filter(bool), min_size=1, max_size=5, unique_by=str.lower), st.integers(0, 30))
def test_a_long_name_has_a_line_of_its_own(found: list[str], depth: int) -> None:
    """A name or a key of a STRUCT cannot be cut: where it is longer than a line, nothing else stands on that line."""
    names = [name.replace("\n", " ").replace("\r", " ") for name in found]
    pairs = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    fields = ", ".join(f'"it"."row".{identifier(name)}' for name in names)
    nested = f"SELECT {'coalesce(' * depth}CAST({fields} AS VARCHAR){', 1)' * depth} AS {identifier(names[0])}"
    attached = f"ATTACH OR REPLACE {literal(names[0])} AS input_file (READ_ONLY);"
    for sql in (f"FROM read_csv('events.csv', columns = {{{pairs}}}, header = true)", nested, attached):
        laid = laid_out(sql)
        assert said(sql) == said(laid)
        long = [line for line in laid.split("\n") if len(line) > WIDTH]
        assert [] == [line for line in long if line not in [*map(identifier, names), *map(literal, names)]]


@given(st.lists(texts.filter(bool), min_size=1, max_size=5, unique_by=str.lower))
def test_names_on_lines_of_their_own_are_the_same_names(found: list[str]) -> None:
    """DuckDB reads fields of a STRUCT and columns as before, wherever their names stand."""
    names = [name.replace("\n", " ").replace("\r", " ").strip() or "name" for name in found]
    names = [f"{n}{name}" for n, name in enumerate(names)]
    pairs = ", ".join(f"{literal(name)}: {literal(name)}" for name in names)
    columns = ", ".join(f'"it"."row".{identifier(name)} AS {identifier(name)}' for name in names)
    rows = duckdb.sql(laid_out(f"SELECT {columns} FROM (SELECT {{{pairs}}} AS row) AS it"))
    assert (names, [tuple(names)]) == (rows.columns, rows.fetchall())


@pytest.mark.parametrize("length", range(100, 145))
def test_the_comma_behind_a_text_has_room(length: int) -> None:
    """A text that fits on a line, but not with its comma, is cut."""
    sql = f"    {{'unit': {literal('x' * length)}, 'aggregation': 'sum', 'measurement': 'measurements[0]'}} AS record,"
    assert max(map(len, laid_out(sql).split("\n"))) <= WIDTH


def test_what_is_nested_deep_has_room() -> None:
    """However deep something is nested, its lines are not indented so far that nothing fits."""
    deep = f"SELECT {'(NOT ' * 60}({' OR '.join([literal('x' * 70)] * 4)}){')' * 60} AS b"
    assert said(deep) == said(laid_out(deep))
    assert max(map(len, laid_out(deep).split("\n"))) <= WIDTH


@pytest.mark.parametrize("length", [20, 130, 200])
def test_an_operand_has_room(length: int) -> None:
    """What a CASE compares stands behind it where it fits, and else on a line of its own."""
    name = identifier("x" * length)
    lines = laid_out(f"    CASE {name} WHEN 1 THEN 2 WHEN 3 THEN 4 END AS b").split("\n")
    assert [line for line in lines if len(line) > WIDTH] == [name] * (length == 200)
    assert (f"    CASE {name}" in lines) is (length < 140 - 12)


@given(st.lists(st.sampled_from(("a", "CASE WHEN a THEN b END", "f(a, b)", "[a, 'b c']", "x OR y", "\n", "(", ")"))))
def test_only_white_space_changes(parts: list[str]) -> None:
    """What SQL says is what it said, also where brackets have no partner."""
    sql = " + ".join(parts)
    assert said(sql) == said(laid_out(sql))


def test_a_comment_is_wrapped() -> None:
    """A long comment goes on in a comment."""
    lines = comment("word " * 100, "    ").split("\n")
    assert all(line.startswith("    -- word") and len(line) <= WIDTH for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '""'),
        ("tokens", '"tokens"'),
        ("a  b ", '"a  b "'),
        ("a\n; DROP", r'"a\n; DROP"'),
        ('a", 1 is "b', r'"a\", 1 is \"b"'),
        ("\x1b[31m\u202e\u2028\u3000\0", r'"\u001b[31m\u202e\u2028\u3000\u0000"'),
        ("\U000e0001", r'"\udb40\udc01"'),
        ("größe 日本", '"größe 日本"'),
        ("x" * 101, f'"{"x" * 100}" "x"'),
    ],
)
def test_a_text_in_a_comment_is_in_quotes(text: str, expected: str) -> None:
    """A text from outside cannot end the comment that it is shown in, and nothing of it is invisible."""
    assert expected == shown(text)


@given(texts, st.integers(0, 200))
def test_a_shown_text_can_be_read_back(text: str, before: int) -> None:
    """Two texts never look the same: every blank of one, however long it is, can be read out of its comment."""
    lines = comment(f"{'word ' * before}{shown(text)}", "    ").split("\n")
    assert max(map(len, lines)) <= WIDTH
    said = " ".join(line.removeprefix("    -- ") for line in lines).removeprefix("word " * before)
    assert text == "".join(json.loads(piece) for piece in re.findall(r'"(?:[^"\\]|\\.)*"', said))
