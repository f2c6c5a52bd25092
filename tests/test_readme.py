"""README.md: its commands show what it says, and its two set-up commands can be found by a script."""

import re
from pathlib import Path

from tests.documents import PROJECT, check_document

README = PROJECT / "README.md"


def setup_commands() -> dict[str, str]:
    """Heading → the one set-up command under it."""
    return dict(re.findall(r"^## (.+)\n(?:(?!## ).*\n)*?```bash\n(.+)\n```$", README.read_text(), re.MULTILINE))


def test_the_readme_shows_what_its_commands_show(tmp_path: Path) -> None:
    """Every command and snippet of the README runs in a new folder and shows exactly what the README says."""
    check_document(README, tmp_path)


def test_two_headings_have_one_set_up_command_each() -> None:
    """The main job and the tests are one line each, under the headings that .ci/run looks for."""
    expected = {
        "Run it": "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/metering-duck demo",
        "Run the tests": "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' "
        "&& .venv/bin/python -m pytest -n auto",
    }

    assert expected == setup_commands()


def test_the_readme_opens_with_one_sentence() -> None:
    """Behind the title comes one sentence that says what this is."""
    title, blank, sentence, end = README.read_text().split("\n")[:4]

    expected = ("# metering-duck", "", "", 1)

    assert expected == (title, blank, end, len(re.findall(r"\.( |$)", sentence)))
