"""Golden cases: the SQL that a config becomes, byte for byte, and executed, against the oracle and what was expected.

A case is a folder of golden/: options.json says what it is for and what to call, config.json and events.ndjson are its
input, compiled.sql and expected.ndjson its snapshots. `pytest tests/test_golden.py --update-golden` rewrites those two;
the same run still compares them with the oracle, so a wrong snapshot cannot be made.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

import metering_duck
from tests import oracle
from tests.worlds import CLOCK, as_row, write_table

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/options.json"))


class Case:
    """One folder of golden/, read."""

    def __init__(self, name: str) -> None:
        self.folder = GOLDEN / name
        given = json.loads(self.folder.joinpath("options.json").read_text(encoding="utf-8"))
        self.purpose: str = given["purpose"]
        self.call: str = given["call"]
        self.of_a_table: bool = given.get("events") == "table"
        self.options: dict[str, Any] = given["options"]
        self.config = json.loads(self.folder.joinpath("config.json").read_text(encoding="utf-8"))
        lines = self.folder.joinpath("events.ndjson").read_text(encoding="utf-8").splitlines()
        self.events = [json.loads(line) for line in lines]

    def compiled(self) -> str:
        """The SQL of the case, its file named relative to the case's folder; the first line says what it is for."""
        events = None if self.of_a_table else self.folder / "events.ndjson"
        sql = metering_duck.compile_sql(self.config, events, **self.options, clock=CLOCK)
        return f"-- {self.purpose}\n" + sql.replace(f"{self.folder}/".replace("'", "''"), "")

    def run(self) -> metering_duck.Result:
        """The result of the public function."""
        call = {"meter": metering_duck.meter, "aggregate": metering_duck.aggregate}[self.call]
        return call(self.folder / "events.ndjson", self.config, **self.options, clock=CLOCK)

    def written(self) -> bytes:
        """The rows of the result as NDJSON."""
        file = io.BytesIO()
        with self.run() as result:
            result.write_to(file, "ndjson")
        return file.getvalue()

    def by_the_rules(self) -> tuple[dict[str, int], list[oracle.Row]]:
        """The oracle's books and rows."""
        shape = dict(self.options)
        shape.pop("bundled", None)
        books = oracle.meter(self.events, self.config, clock=CLOCK, as_of=shape.pop("as_of", None))
        rows = books.records if self.call == "meter" else oracle.readings(books.records, **shape)
        return books.counts, oracle.in_order(rows)

    def plain(self, rows: list[oracle.Row]) -> list[oracle.Row]:
        """The engine's rows in the oracle's words, a bundle as the records that are in it."""
        if self.call == "aggregate":
            return oracle.in_order(map(oracle.plain_reading, rows))
        return oracle.in_order(oracle.plain_record(record) for row in rows for record in unbundled(row))


def unbundled(row: oracle.Row) -> list[oracle.Row]:
    """The records of a bundle; a record is its own."""
    if "observations" not in row:
        return [row]
    rest = {name: value for name, value in row.items() if name != "observations"}
    instant = {"start": row["recorded_at"], "end": row["recorded_at"]}
    return [{**rest, **o} for o in row["observations"] if o.pop("window") == instant]


def execute(sql: str, folder: Path) -> list[oracle.Row]:
    """The rows of a script's last statement, run in a folder by a DuckDB that knows nothing of metering-duck."""
    with duckdb.connect(":memory:", config={"python_enable_replacements": "false"}) as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        *before, last = connection.extract_statements(sql)
        for statement in before:
            connection.execute(statement)
        return connection.sql(last.query).to_arrow_table().to_pylist(maps_as_pydicts="strict")


def write_events(events: list[dict[str, Any]], folder: Path) -> None:
    """The events as `events.parquet`, which is what SQL that was compiled without events reads."""
    times = ("time", "metered_at")
    rows = [as_row(event) | {name: oracle.time_of(as_row(event)[name]) for name in times} for event in events]
    write_table(folder / "events.parquet", rows)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each case in turn, its snapshots first rewritten when --update-golden was given."""
    found = Case(request.param)
    if request.config.getoption("--update-golden"):
        found.folder.joinpath("compiled.sql").write_text(found.compiled(), encoding="utf-8")
        found.folder.joinpath("expected.ndjson").write_bytes(found.written())
    return found


def test_the_compiled_sql_is_the_golden_one(case: Case) -> None:
    """The same config gives the same SQL, byte for byte."""
    assert case.folder.joinpath("compiled.sql").read_text(encoding="utf-8") == case.compiled()


@pytest.mark.sampled(3)
def test_the_golden_sql_gives_what_the_rules_say(case: Case, tmp_path: Path) -> None:
    """The golden text itself, run by a bare DuckDB, gives the oracle's rows."""
    if case.of_a_table:
        write_events(case.events, tmp_path)
    folder = tmp_path if case.of_a_table else case.folder
    rows = execute(case.folder.joinpath("compiled.sql").read_text(encoding="utf-8"), folder)
    assert case.by_the_rules()[1] == case.plain(rows)


@pytest.mark.sampled(3)
def test_the_library_gives_the_expected_rows(case: Case) -> None:
    """The public function writes the expected NDJSON, byte for byte, and the oracle's books balance as its own do."""
    assert case.folder.joinpath("expected.ndjson").read_bytes() == case.written()
    with case.run() as result:
        counts, rows = case.by_the_rules()
        assert rows == case.plain(result.to_dicts())
        assert counts == {name: result.accounting[name] for name in counts}


def test_no_case_is_empty(case: Case) -> None:
    """A case has a purpose in its first line, events that are metered, and rows that are expected."""
    assert case.folder.joinpath("compiled.sql").read_text(encoding="utf-8").startswith(f"-- {case.purpose}\n")
    assert len(case.purpose.split()) >= 5
    assert case.by_the_rules()[1]


def test_there_are_cases() -> None:
    """The folder of cases was found."""
    assert len(CASES) >= 6


@pytest.mark.slow
def test_ci_cannot_rewrite_the_golden_files() -> None:
    """--update-golden is a usage error where CI is set: a snapshot is approved by a person."""
    command = [sys.executable, "-m", "pytest", "--update-golden", "--collect-only", str(Path(__file__))]
    run = subprocess.run(command, env={**os.environ, "CI": "true"}, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--update-golden: found CI set" in run.stderr
