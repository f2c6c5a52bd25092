"""CONTRIBUTING.md: its packages are those there are, what is to be touched is short and there, and every class, module
and function keeps the limits or is named with the reason why it does not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import metering_duck
from metering_duck.contract.schemas import REASONS
from tests.documents import PROJECT

PAGE = PROJECT / "CONTRIBUTING.md"
PACKAGE = PROJECT / "metering_duck"
CHANGES = ("A new aggregation", "A source format", "An output format", "An engine")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Limit(NamedTuple):
    """How much of one thing is allowed."""

    what: str
    most: int


CLASS_LINES = Limit("lines of a class", 199)
MODULE_LINES = Limit("lines of a module", 400)
PARAMETERS = Limit("parameters", 12)
COMPLEXITY = Limit("complexity", 15)
LIMITS = (CLASS_LINES, MODULE_LINES, PARAMETERS, COMPLEXITY)


def section(heading: str) -> str:
    """What stands under a heading of any level, up to the next heading."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def table_under(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, as the cells' texts."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def files_to_touch(change: str) -> list[str]:
    """The files that the numbered list under a heading names, one an entry."""
    return re.findall(r"^\d\. `([^`]+)`: \S", section(change), re.MULTILINE)


# --- what the code measures ------------------------------------------------------------------------------------------


def module_of(path: Path) -> str:
    """A module's path in the package, as CONTRIBUTING names it."""
    return str(path.relative_to(PACKAGE))


def definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Every class and function of a module, by name: a method's has its class in front, an inner one's its outer."""

    def inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                yield prefix + child.name, child
                yield from inside(child, f"{prefix}{child.name}.")
            else:
                yield from inside(child, prefix)

    return inside(tree, "")


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, but not in the functions and classes inside it, which are measured alone."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Definition):
            yield child
            yield from own_nodes(child)


def branches(node: ast.AST) -> int:
    """By how much a node raises the cyclomatic complexity of the function that it stands in."""
    match node:
        case ast.If() | ast.IfExp() | ast.ExceptHandler() | ast.Assert():
            return 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 2 if node.orelse else 1
        case ast.Try():
            return 1 if node.orelse else 0
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.match_case():
            is_default = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None
            return 0 if is_default else 1
    return 0


def complexity(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The cyclomatic complexity of a function, as radon counts it."""
    return 1 + sum(map(branches, own_nodes(function)))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a function has, self and *args included."""
    given = function.args
    several = [one for one in (given.vararg, given.kwarg) if one is not None]
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs, *several])


def is_public(name: str) -> bool:
    """Whether a function is one that users call: its parameters are a promise, not a measure of its inside."""
    first, _, method = name.partition(".")
    return first in metering_duck.__all__ and not method.startswith("_")


def measures(path: Path) -> Iterator[tuple[str, Limit, int]]:
    """Of each class, module and function of a file: what it is called, what is limited, how much it is."""
    text = path.read_text()
    yield module_of(path), MODULE_LINES, len(text.splitlines())
    for name, node in definitions(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield f"{module_of(path)} {name}", CLASS_LINES, (node.end_lineno or 0) - node.lineno + 1
            continue
        yield f"{module_of(path)} {name}", COMPLEXITY, complexity(node)
        if not is_public(name):
            yield f"{module_of(path)} {name}", PARAMETERS, parameters(node)


def over_the_limits() -> set[tuple[str, str]]:
    """What exceeds a limit, and which."""
    found = [measure for path in sorted(PACKAGE.rglob("*.py")) for measure in measures(path)]
    return {(name, limit.what) for name, limit, value in found if value > limit.most}


# --- tests -----------------------------------------------------------------------------------------------------------


def test_every_package_has_a_line() -> None:
    """The table of packages has one row for each package that exists, with what it owns, and no other."""
    rows = table_under("Where things are")
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert sorted(f"`{name}/`" for name in packages) == sorted(row[0] for row in rows)
    assert [] == [row for row in rows if len(row) != 2 or not row[1]]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_touches_two_or_three_files(change: str) -> None:
    """What to touch for one more of each kind is said, is two or three files, and they are there."""
    files = files_to_touch(change)

    assert len(files) in (2, 3)
    assert [] == [file for file in files if not any((home / file).is_file() for home in (PROJECT, PACKAGE))]


def test_a_reason_stands_where_the_page_says_that_it_is_made() -> None:
    """Each reason of rejects can be found in a file that CONTRIBUTING names, whole or as the field that is missing."""
    (row,) = [row for row in table_under("Where to look first") if "reject reason" in row[0]]
    files = re.findall(r"`(\w+/\w+\.(?:py|sql))`", row[1].partition("`REASONS`")[0])
    text = "".join(((PROJECT if file.startswith("sql/") else PACKAGE) / file).read_text() for file in files)
    quoted = set(re.findall(r"""["']([a-z-]+)["']""", text))

    put_together = {reason for reason in REASONS if reason not in quoted}
    assert [] == [reason for reason in put_together if reason.removesuffix("-missing") not in quoted]
    assert {"subject-missing", "workspace-missing"} <= put_together
    assert {"source-missing", "quantity-too-large"} <= quoted


def test_the_limits_are_those_that_are_measured() -> None:
    """CONTRIBUTING names each limit with the number that is measured here."""
    assert [[limit.what, str(limit.most)] for limit in LIMITS] == [row[:2] for row in table_under("Limits")]


def test_what_exceeds_a_limit_is_named_with_its_reason() -> None:
    """Every exception in the code is a row with a reason, and every row is one that is still needed."""
    rows = table_under("Exceptions")

    assert over_the_limits() == {(row[0].replace("`", ""), row[1]) for row in rows}
    assert [] == [row for row in rows if len(row) != 3 or len(row[2]) < 20]


def test_complexity_counts_every_way_through() -> None:
    """Branches, loops and their else, handlers, conditions, comprehensions and cases are counted; inner functions are
    measured alone."""
    source = """
def plain():
    return 1

def branching(a, b):
    if a and b or a:
        for one in a:
            assert one
        else:
            a = b
    elif b:
        return [x for x in a if x if b]
    try:
        return a if b else 0
    except ValueError:
        pass

def outer(a):
    def inner():
        while a:
            pass
    match a:
        case 1:
            pass
        case _:
            pass
"""
    found = {
        name: complexity(node) for name, node in definitions(ast.parse(source)) if isinstance(node, ast.FunctionDef)
    }

    assert {"plain": 1, "branching": 13, "outer": 2, "outer.inner": 2} == found
