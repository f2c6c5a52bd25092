"""The kinds of input: each has its own file, two lists say which there are, and nobody asks an input what it is."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from metering_duck.inputs.formats import SOURCE_FORMATS
from metering_duck.inputs.lakes import SCHEMES

PROJECT = Path(__file__).parent.parent.parent
PACKAGE = PROJECT / "metering_duck"
# The one place that is given anything, and may ask what it is.
DOOR = PACKAGE / "inputs" / "given.py"


def methods_of(node: ast.ClassDef) -> set[str]:
    """The names of the functions in a class."""
    return {part.name for part in node.body if isinstance(part, ast.FunctionDef)}


@cache
def kinds() -> dict[str, Path]:
    """Class → its file, of every class that answers as an input does."""
    found = {}
    for path in sorted((PACKAGE / "inputs").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and {"relation", "narrowed", "read_by"} <= methods_of(node):
                found[node.name] = path
    return {name: path for name, path in found.items() if name != "Input"}


def asked_kinds(path: Path) -> set[str]:
    """The kinds of input that a module asks for by isinstance."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    asked = [call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "isinstance"]
    return {node.id for kind in asked for node in ast.walk(kind) if isinstance(node, ast.Name)} & set(kinds())


def importers_of(module: str) -> set[str]:
    """The modules of the package that import one of the package inputs."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if f"metering_duck.inputs.{module} import" in path.read_text()
    }


def test_every_kind_has_a_file_of_its_own() -> None:
    """No file implements two kinds of input."""
    assert len(kinds()) == len(set(kinds().values()))


def test_no_module_asks_an_input_for_its_kind() -> None:
    """What is of one kind is answered by it; only what is given by a caller is looked at."""
    asked = {str(path): asked_kinds(path) for path in PACKAGE.rglob("*.py") if path != DOOR}

    assert {} == {path: found for path, found in asked.items() if found}


@pytest.mark.parametrize("module", ["csv_files", "json_files", "arrow_files"])
def test_only_the_list_of_formats_knows_a_file_format(module: str) -> None:
    """One more format touches its own file and inputs/formats.py."""
    assert {"inputs/formats.py"} == importers_of(module)


@pytest.mark.parametrize("module", ["duckdb_file", "ducklake"])
def test_only_the_list_of_schemes_knows_a_kind_of_table(module: str) -> None:
    """One more kind of table touches its own file and inputs/lakes.py."""
    assert {"inputs/lakes.py"} == importers_of(module)


def test_the_page_of_sources_names_every_suffix() -> None:
    """docs/sources.md has the suffixes of all formats, in the order of the list."""
    suffixes = [suffix for one in SOURCE_FORMATS for suffix in one.suffixes]

    assert " ".join(f"`{suffix}`" for suffix in suffixes) in (PROJECT / "docs" / "sources.md").read_text()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_lakes_shows_every_scheme(scheme: str) -> None:
    """docs/lakes.md has a URL of each kind of table."""
    assert f"{scheme}://" in (PROJECT / "docs" / "lakes.md").read_text()
