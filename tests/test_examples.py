"""examples/: each folder's README runs in a copy of the folder and shows what it says."""

import json
import shutil
from pathlib import Path

import pytest

from metering_duck import load_config
from tests.documents import PROJECT, check_document

FOLDERS = sorted(path.parent for path in (PROJECT / "examples").glob("*/README.md"))
# dbt takes longer than all other examples together.
SHOWN = [pytest.param(found, marks=pytest.mark.slow) if found.name == "dbt-duckdb" else found for found in FOLDERS]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("folder", SHOWN, ids=lambda folder: folder.name)
def test_an_example_shows_what_it_says(folder: Path, tmp_path: Path) -> None:
    """Every command of an example runs on the example's own files and shows exactly what its README says."""
    copy = shutil.copytree(folder, tmp_path / folder.name)

    check_document(folder / "README.md", copy)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_has_a_config_that_loads(folder: Path) -> None:
    """Every example has events and a config, and the config is right."""
    config = json.loads((folder / "config.json").read_text())

    assert load_config(folder / "config.json") == load_config(config)


def test_the_examples_are_listed() -> None:
    """The page of examples links to every example."""
    index = (PROJECT / "examples" / "README.md").read_text()

    assert not [folder.name for folder in FOLDERS if f"({folder.name}/README.md)" not in index]
