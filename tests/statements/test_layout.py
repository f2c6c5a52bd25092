"""Layout: SQL on lines that a person can read says what it said."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering_duck.statements.layout import WIDTH, comment, laid_out, tokens_of
from metering_duck.statements.quote import literal
from metering_duck.statements.stages import shown_name

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


@given(st.lists(st.sampled_from(("a", "CASE WHEN a THEN b END", "f(a, b)", "[a, 'b c']", "x OR y", "\n", "(", ")"))))
def test_only_white_space_changes(parts: list[str]) -> None:
    """What SQL says is what it said, also where brackets have no partner."""
    sql = " + ".join(parts)
    assert said(sql) == said(laid_out(sql))


def test_a_comment_is_wrapped() -> None:
    """A long comment goes on in a comment."""
    lines = comment("word " * 100, "    ").split("\n")
    assert all(line.startswith("    -- word") and len(line) <= WIDTH for line in lines)


def test_a_name_in_a_comment_stays_there() -> None:
    """A name from outside cannot end the comment that it is shown in."""
    assert shown_name("a\n; DROP") == "a ; DROP"
    assert len(shown_name("x" * 1000)) < WIDTH
