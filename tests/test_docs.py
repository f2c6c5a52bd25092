"""docs/, CONTRIBUTING.md and sql/README.md: what they show is what happens, and their tables are the code's own."""

import re
import runpy
import shutil
from pathlib import Path

import duckdb
import pytest

from metering_duck.contract.config import Entry
from metering_duck.contract.definitions import ALL, MEDIAN, OTHER_NAMES
from metering_duck.contract.filters import Filter
from metering_duck.contract.measurements import Measurement
from metering_duck.contract.schemas import READING_SCHEMA, REASONS, RECORD_SCHEMA
from metering_duck.ledger.ledger import Ledger
from tests.documents import PROJECT, check_document

DOCS = PROJECT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), PROJECT / "CONTRIBUTING.md", PROJECT / "sql" / "README.md"]
ALL_PAGES = [*PAGES, PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "examples").rglob("*.md"))]


def name_of(page: Path) -> str:
    """A page's path in the project."""
    return str(page.relative_to(PROJECT))


# The commands of these pages run every day, and those of all pages in CI.
PLAYED_EVERY_DAY = ("config.md", "rejects.md")
PLAYED = [
    pytest.param(
        page,
        id=name_of(page),
        marks=[pytest.mark.slow] if "```console" in page.read_text() and page.name not in PLAYED_EVERY_DAY else [],
    )
    for page in PAGES
]


def table_of(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, as the cells' texts."""
    section = page.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line[1:-1].split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def first_cells(page: Path, heading: str) -> list[str]:
    """The names in the first column of a table."""
    return [row[0].strip("`") for row in table_of(page, heading)]


@pytest.mark.parametrize("page", PLAYED)
def test_a_page_shows_what_its_commands_show(page: Path, tmp_path: Path) -> None:
    """Every command and snippet of a page runs in a new folder and shows exactly what the page says."""
    if page.parent.name == "sql":
        shutil.copytree(page.parent, tmp_path / "sql")

    check_document(page, tmp_path)


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project names one that is there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S))

    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    """Every Python and SQL file that a page names in its text is where it says, or in the package or sql/."""
    named = re.findall(r"`([\w/]+\.(?:py|sql))`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S))
    homes = (PROJECT, PROJECT / "metering_duck", PROJECT / "sql")

    assert not [file for file in named if not any((home / file).is_file() for home in homes)]


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_a_page_has_one_title(page: Path) -> None:
    """A page opens with its only title."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)

    expected = [0]
    assert expected == [match.start() for match in re.finditer(r"^# ", text, re.M)]


def test_the_cli_reference_is_up_to_date() -> None:
    """docs/cli.md is what docs/make_cli_reference.py makes of the commands."""
    reference = runpy.run_path(str(DOCS / "make_cli_reference.py"))["reference"]()

    assert reference == (DOCS / "cli.md").read_text()


def test_the_reason_codes_are_the_contracts() -> None:
    """docs/rejects.md lists every reason code with its meaning, in the contract's order."""
    listed = table_of(DOCS / "rejects.md", "Reason codes")

    assert [[f"`{code}`", meaning] for code, meaning in REASONS.items()] == listed


def test_the_config_reference_names_every_key() -> None:
    """docs/config.md lists the keys of entries, measurements and filters as the models have them."""

    def keys(model: type) -> list[str]:
        return [field.serialization_alias or name for name, field in model.model_fields.items()]

    page = DOCS / "config.md"

    assert [keys(Entry), keys(Measurement), keys(Filter)] == [
        first_cells(page, heading) for heading in ("Entry", "Measurement", "Filter")
    ]


def test_the_concepts_list_every_aggregation() -> None:
    """docs/concepts.md has a row for every aggregation of the table, in its words, and one for the median."""
    rows = [[f"`{one.name}`", f"`{one.other_name}`" if one.other_name else "", one.sees, one.answers] for one in ALL]
    median = [f"`{MEDIAN}`", "", "records in the window", f"`{OTHER_NAMES[MEDIAN]}`"]
    listed = [list(row) for row in table_of(DOCS / "concepts.md", "Aggregations")]

    assert rows == [row for row in listed if row != median]
    assert median in listed


def test_the_page_of_stages_lists_every_file() -> None:
    """sql/README.md has a row for every file of sql/."""
    rows = re.findall(r"^\| `(\w+\.sql)` \|", (PROJECT / "sql" / "README.md").read_text(), re.M)

    assert sorted(path.name for path in (PROJECT / "sql").glob("*.sql")) == sorted(rows)


def test_the_page_of_the_ledger_lists_every_table(tmp_path: Path) -> None:
    """docs/ledger.md has a row for every table of a ledger, and names every column; a view's are those of its table."""
    Ledger.init(tmp_path / "new.duckdb")
    with duckdb.connect(str(tmp_path / "new.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "SELECT table_name, list(column_name ORDER BY column_name) FROM duckdb_columns() "
            "WHERE NOT internal AND table_name <> 'current_readings' GROUP BY ALL"
        ).fetchall()
    rows = dict(table_of(DOCS / "ledger.md", "Its tables"))

    assert dict(found) | {"current_readings": []} == {
        name.strip("`"): sorted(re.findall(r"`(\w+)`", described)) for name, described in rows.items()
    }


def test_the_api_lists_the_columns() -> None:
    """docs/python.md lists the columns of records and readings as Arrow has them."""
    page = DOCS / "python.md"

    assert [RECORD_SCHEMA.names, READING_SCHEMA.names] == [
        first_cells(page, heading) for heading in ("Record columns", "Reading columns")
    ]
