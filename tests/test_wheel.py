"""The built wheel works where the sources are not: it carries its SQL and its types, and meters the demo."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
WINDOW = ["--start", "2024-01-01", "--end", "2024-02-01"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    for name in ("metering_duck", "sql", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, sources / name)  # type: ignore[operator]
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(sources)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    shutil.rmtree(sources)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel, unpacked into a folder of its own."""
    target = wheel.parent / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the installed wheel; -S and PYTHONPATH keep the editable installation of the sources out of the
    way."""
    dependencies = next(path for path in sys.path if (Path(path) / "duckdb").is_dir())
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("METERING_DUCK_")}}
    env["PYTHONPATH"] = os.pathsep.join([str(installed), dependencies])
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_what_is_imported_is_required() -> None:
    """Every package that a module imports, at its top or in a function, is a dependency, or an optional one."""
    modules = (PROJECT / "metering_duck").rglob("*.py")
    trees = [ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for path in modules]
    named = {
        name.partition(".")[0]
        for node in (node for tree in trees for node in tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [
        texts
        for name, texts in project["optional-dependencies"].items()
        if name not in ("benchmarks", "dev", "notebook")
    ]
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    required = {re.split(r"[^\w-]", text)[0].replace("-", "_") for text in texts}

    assert set() == named - required - set(sys.stdlib_module_names) - {"metering_duck"}


@pytest.mark.slow
def test_the_wheel_carries_its_sql_and_its_types(wheel: Path) -> None:
    """Every module, every file of sql/ and py.typed are inside the package, and nothing else is in the wheel."""
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        f"metering_duck/{path.name}"
        for path in (PROJECT / "metering_duck").iterdir()
        if path.suffix in (".py", ".typed")
    }
    stages = {f"metering_duck/sql/{path.name}" for path in (PROJECT / "sql").glob("*.sql")}

    assert set() == (modules | stages) - names
    assert {"metering_duck/py.typed", "metering_duck/sql/functions.sql"} <= names
    others = {name.split("/")[0] for name in names}
    assert {"metering_duck"} == {name for name in others if not name.endswith(".dist-info")}


@pytest.mark.slow
def test_the_wheel_runs_the_demo_and_aggregates(installed: Path, tmp_path: Path) -> None:
    """From the wheel alone: the code is the wheel's, the demo runs, and its events aggregate."""
    where = run(installed, tmp_path, "-c", "import metering_duck; print(metering_duck.__file__)")
    demo = run(installed, tmp_path, "-m", "metering_duck", "demo", "folder")
    command = ("aggregate", "folder/events.parquet", "--config", "folder/config.json", *WINDOW, "-q")
    readings = run(installed, tmp_path, "-m", "metering_duck", *command)

    assert str(installed / "metering_duck" / "__init__.py") == where.stdout.strip()
    assert (0, "", 0, "") == (demo.returncode, demo.stderr, readings.returncode, readings.stderr)
    assert "Wrote folder/events.parquet" in demo.stdout
    seats = [json.loads(line)["measurement"]["quantity"] for line in readings.stdout.splitlines() if "seats" in line]
    assert ["11.774193548387096774", "6.129032258064516129"] == seats


@pytest.mark.slow
def test_the_wheel_has_a_command_and_names_what_it_needs(wheel: Path) -> None:
    """The wheel's metadata has the console script, the Python it needs and its dependencies."""
    with zipfile.ZipFile(wheel) as archive:
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}

    assert "metering-duck = metering_duck.cli:main" in texts["entry_points.txt"]
    assert "Requires-Python: >=3.11" in texts["METADATA"]
    assert "Requires-Dist: duckdb<3,>=2.0.1" in texts["METADATA"]
