"""Stages and queries: named SQL, in order, with the parameters bound to it.

A stage is one SELECT with a name. A query is a list of stages that becomes one statement, each stage a CTE that later
ones may read; the last is the result. Stages that never change are files of sql/, each with a header that says why it
is there, what it reads and yields, and its parameters; the others are made by the package that owns what they say,
most of them by judging/ and readings/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from metering_duck.statements.quote import literal

_TOKEN = re.compile(r"('(?:[^']|'')*')|(\"(?:[^\"]|\"\")*\")|(--[^\n]*)|\$([a-z_][a-z_0-9]*)")

# What may be between parentheses, with two levels of them inside, as in STRUCT(total DECIMAL(38,18)).
_BALANCED = r"(?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*"
# A part of a header: a word, a colon, and text that may go on behind four blanks in the next lines.
_HEADER = re.compile(r"^-- (why|reads|yields|params):(.*(?:\n--    .*)*)\n", re.MULTILINE)
_COLUMN = re.compile(rf"\w+ (?:[^,()]|\({_BALANCED}\))+")


@dataclass(frozen=True)
class Stage:
    """One SELECT, its name, and one sentence why it is there.

    `legend` says what its short names stand for, a sentence each. `instead` says what runs instead of it in some cases,
    and why the rows are the same; "" where it always runs as it is.
    """

    name: str
    why: str
    sql: str
    legend: tuple[str, ...] = ()
    instead: str = ""


@dataclass(frozen=True)
class Query:
    """Stages in order; `name` is the table that the last one fills, or what it is called when it is read.

    `quantities_in` is the table of windows that its rows are in, if its quantities are to be checked for ones that do
    not fit in their DECIMAL once it is filled.
    """

    name: str
    stages: tuple[Stage, ...]
    parameters: dict[str, object] = field(default_factory=dict)
    quantities_in: str = ""

    @property
    def sql(self) -> str:
        """The whole query as one SELECT statement, stage by stage, its parameters as $names."""
        *before, last = self.stages
        if before and last.sql.startswith("WITH"):
            before, last = list(self.stages), Stage(last.name, "the result", f"SELECT * FROM {last.name}")
        ctes = ",\n".join(f"-- {s.why}\n{s.name} AS (\n{_indented(s.sql)}\n)" for s in before)
        return f"WITH\n{ctes}\n-- {last.why}\n{last.sql}" if before else f"-- {last.why}\n{last.sql}"

    @property
    def bound(self) -> dict[str, object]:
        """The parameters that the text names: DuckDB refuses a missing one and an excess one."""
        named = parameter_names(self.sql)
        return {name: value for name, value in self.parameters.items() if name in named}


def _indented(sql: str) -> str:
    """The SQL four columns further right, except inside quotes that span lines."""
    pieces, end = [], 0
    for token in _TOKEN.finditer(sql):
        pieces += [sql[end : token.start()].replace("\n", "\n    "), token.group()]
        end = token.end()
    return "    " + "".join([*pieces, sql[end:].replace("\n", "\n    ")])


def _in_parentheses(sql: str) -> str:
    """A short SELECT on one line, another one on lines of its own."""
    return f"(\n{_indented(sql)}\n)" if "\n" in sql else f"({sql})"


def over(stage: Stage, relations: Mapping[str, str], name: str | None = None) -> Stage:
    """A stage over other relations than its text names: each is SELECTed in WITH, under the name that the text has."""
    ctes = ",\n".join(f"{known} AS {_in_parentheses(sql)}" for known, sql in relations.items())
    if stage.sql.startswith("WITH "):
        sql = f"WITH {ctes},\n{stage.sql.removeprefix('WITH ')}"
    else:
        sql = f"WITH {ctes}\n{stage.sql}"
    return replace(stage, name=name or stage.name, sql=sql)


def parameter_names(sql: str) -> set[str]:
    """The $names in SQL text, those inside quotes and comments left out."""
    return {match.group(4) for match in _TOKEN.finditer(sql) if match.group(4)}


def with_values(sql: str, parameters: dict[str, object]) -> str:
    """SQL text with its $names replaced by literals, to be run by hand in the DuckDB shell."""

    def value_of(match: re.Match[str]) -> str:
        if not match.group(4):
            return match.group(0)
        value = parameters[match.group(4)]
        return literal(value) if isinstance(value, str) else f"TIMESTAMP {literal(str(value))}"

    return _TOKEN.sub(value_of, sql)


@dataclass(frozen=True)
class Header:
    """What a file of sql/ says of itself: name → type of every column it reads and yields, and of its parameters."""

    why: str
    reads: dict[str, dict[str, str]]
    yields: dict[str, str]
    parameters: dict[str, str]


@cache
def load_text(name: str) -> str:
    """The text of sql/`name`.sql: inside the package in a wheel, beside it in a checkout."""
    inside = files("metering_duck").joinpath("sql", f"{name}.sql")
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "sql" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def functions() -> dict[str, str]:
    """Name → CREATE statement of every function in sql/functions.sql with its comment, in its order."""
    statement = re.compile(r"^(?:--[^\n]*\n)*CREATE OR REPLACE TEMP MACRO (\w+)\(.*?;$", re.MULTILINE | re.DOTALL)
    return {match.group(1): match.group(0) for match in statement.finditer(load_text("functions"))}


def functions_of(sql: str) -> list[str]:
    """The names of ours that SQL calls, those that they call before them."""
    found: dict[str, None] = {}

    def add(names: Iterable[str]) -> None:
        for name in names:
            if name not in found:
                add(_called_by(name))
                found[name] = None

    add(_called_in(sql))
    return list(found)


@cache
def _called_by(name: str) -> list[str]:
    """The functions of sql/functions.sql that one of them calls."""
    return [called for called in _called_in(functions()[name]) if called != name]


def _called_in(sql: str) -> list[str]:
    """The functions of sql/functions.sql that SQL calls; what is quoted or a comment calls none."""
    return re.findall(rf"\b({'|'.join(functions())})\(", _TOKEN.sub(_unquoted, sql))


def _unquoted(match: re.Match[str]) -> str:
    """A token of SQL, what is quoted or a comment left out."""
    return match.group() if match.group(4) else "''"


def load_header(name: str) -> Header:
    """The header of sql/`name`.sql."""
    lines = dict(_HEADER.findall(load_text(name)))
    lines = {part: " ".join(text.replace("\n--", " ").split()) for part, text in lines.items()}
    reads = re.findall(rf"(\w+)\(({_BALANCED})\)", lines["reads"])
    return Header(
        why=lines["why"],
        reads={table: _columns(columns) for table, columns in reads},
        yields=_columns(lines["yields"]),
        parameters=_columns(lines["params"]),
    )


def _columns(text: str) -> dict[str, str]:
    """`name TYPE, name TYPE`, where a type may hold commas in parentheses."""
    return dict(part.split(" ", 1) for part in _COLUMN.findall(text))


@cache
def load_stage(name: str) -> Stage:
    """The stage of the file sql/`name`.sql; its name has no folder in it."""
    body = _HEADER.sub("", load_text(name))
    return Stage(name.rpartition("/")[2], load_header(name).why, body.strip())
