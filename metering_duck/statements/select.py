"""SELECT statements in the layout of the house: keywords upper case, one column a line.

Only lays text out. What goes in is SQL already: names and texts from outside have passed statements/quote.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# GROUP BY and ORDER BY stand on one line when it is no longer than this.
LINE = 110
# Conditions, and one column beside a star, when it is no longer than this.
SHORT_LINE = 90


def select(
    columns: Mapping[str, str],
    source: str,
    *,
    star: str | None = None,
    where: Sequence[str] = (),
    group_by: Sequence[str] = (),
    order_by: Sequence[str] = (),
) -> str:
    """A SELECT of `columns` (alias → SQL) behind an optional `star` ("*", "* EXCLUDE (…)")."""
    listed = [star] if star else []
    listed += [sql if sql == alias else f"{sql} AS {alias}" for alias, sql in columns.items()]
    one_line = f"SELECT {', '.join(listed)}"
    is_short = star is not None and len(columns) <= 1 and len(one_line) <= SHORT_LINE and "\n" not in one_line
    clauses = [*([one_line] if is_short or listed == [star] else ["SELECT", _lines(listed)]), f"FROM {source}"]
    if where:
        one_line = " AND ".join(["WHERE " + where[0], *where[1:]])
        clauses.append(one_line if len(one_line) <= SHORT_LINE else "WHERE " + "\n    AND ".join(where))
    for keyword, names in (("GROUP BY", group_by), ("ORDER BY", order_by)):
        if names:
            one_line = f"{keyword} {', '.join(names)}"
            clauses += [one_line] if len(one_line) <= LINE else [keyword, _lines(names)]
    return "\n".join(clauses)


def star_with(columns: Mapping[str, str]) -> str:
    """All columns, some of them (quoted name → SQL) as other SQL says."""
    return f"* REPLACE ({', '.join(f'{sql} AS {name}' for name, sql in columns.items())})" if columns else "*"


def united(selects: Iterable[str]) -> str:
    """The rows of several SELECTs behind FROM, their columns brought together by name."""
    return f"({' UNION ALL BY NAME '.join(selects)})"


def _lines(items: Iterable[str]) -> str:
    return ",\n".join(f"    {item}" for item in items)


def case(whens: Mapping[str, str] | Iterable[tuple[str, str]], otherwise: str | None = None, *, of: str = "") -> str:
    """CASE of conditions → values, in order; NULL when there are none. With `of`, of values it may equal → values."""
    pairs = list(whens.items() if isinstance(whens, Mapping) else whens)
    if not pairs:
        return otherwise or "CAST(NULL AS VARCHAR)"
    branches = " ".join(f"WHEN {condition} THEN {value}" for condition, value in pairs)
    last = f" ELSE {otherwise}" if otherwise is not None else ""
    return f"CASE {of + ' ' if of else ''}{branches}{last} END"


def tried(expression: str, there: str) -> str:
    """An expression of the column `there`, NULL where it does not fit.

    In a CASE, since what expressions share DuckDB computes before them, outside of a lone TRY.
    """
    return case({f"{there} IS NOT NULL": f"TRY({expression})"})


def struct(members: Mapping[str, str]) -> str:
    """A STRUCT of name → SQL; the names are ours."""
    return "{" + ", ".join(f"'{name}': {sql}" for name, sql in members.items()) + "}"


def names(columns: Iterable[str]) -> dict[str, str]:
    """Columns under their own names."""
    return {name: name for name in columns}
