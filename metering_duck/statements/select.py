"""SELECT statements in the layout of the house: keywords upper case, one column a line.

Only lays text out. What goes in is SQL already: names and texts from outside have passed statements/quote.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


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
    clauses = ["SELECT", _lines(listed), f"FROM {source}"]
    if where:
        clauses.append("WHERE " + "\n    AND ".join(where))
    for keyword, names in (("GROUP BY", group_by), ("ORDER BY", order_by)):
        if names:
            clauses += [keyword, _lines(names)]
    return "\n".join(clauses)


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
