"""The packages: imports run one way between them, and in no circle inside one."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import metering_duck

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "metering_duck"
ROOMS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))


def imports_inside(room: Path) -> dict[str, set[str]]:
    """Module → the modules of its own package that it imports, inside functions and for types too."""
    own = f"{PACKAGE.name}.{room.name}"
    found: dict[str, set[str]] = {}
    for path in sorted(room.glob("*.py")):
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        modules = {
            node.module.removeprefix(f"{own}.") for node in imported if (node.module or "").startswith(f"{own}.")
        }
        members = {alias.name for node in imported if node.module == own for alias in node.names}
        found[path.stem] = modules | {name for name in members if (room / f"{name}.py").is_file()}
    return found


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_no_package_has_a_circle_inside(room: Path) -> None:
    """The modules of a package can be put in an order in which each imports only those before it."""
    found = imports_inside(room)

    assert sorted(found) == sorted(graphlib.TopologicalSorter(found).static_order())


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Two modules that import each other are a circle, wherever in them the imports stand."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "one.py").write_text("from metering_duck.room.two import b\n")
    (room / "two.py").write_text("def b():\n    from metering_duck.room import one\n")

    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(imports_inside(room)).static_order())


def test_imports_between_packages_run_one_way() -> None:
    """Every import between packages goes from a higher layer to a lower one, as pyproject.toml lists them."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)

    assert (0, True) == (done.returncode, "Imports run one way KEPT" in done.stdout), done.stdout


@pytest.mark.parametrize("name", metering_duck.__all__)
def test_every_public_name_is_where_the_package_looks_for_it(name: str) -> None:
    """Each public name can be imported, though its module is loaded only when it is asked for."""
    assert name in dir(metering_duck)
    assert getattr(metering_duck, name) is not None
