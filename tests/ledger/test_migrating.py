"""Ledgers of earlier versions: their keys are read again from the files, and readings keep the ids that they had."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from metering_duck.cli.main import cli
from metering_duck.errors import LedgerError
from metering_duck.ledger.ledger import Ledger
from metering_duck.ledger.level_digests import EMPTY_LEVELS, levels_sha256
from metering_duck.runs.history import LEVELS_SCHEMA
from tests.ledger_worlds import problems, query
from tests.worlds import CLOCK, Event, event, measuring

# What version 3 added is taken away; a hash is one that no DuckDB has, as after an upgrade.
BACK = """
    DROP VIEW current_readings;
    ALTER TABLE source_files DROP COLUMN keys_version;
    ALTER TABLE source_files DROP COLUMN proven;
    ALTER TABLE runs DROP COLUMN ids_version;
    CREATE TABLE hashes AS
        SELECT hash(workspace_id, universe_id, event_id) + 1 AS key_hash, file_id, recorded_at FROM repeated_rows;
    DROP TABLE repeated_rows;
    CREATE TABLE repeated_rows (key_hash UBIGINT NOT NULL, file_id INTEGER NOT NULL, recorded_at TIMESTAMP);
    INSERT INTO repeated_rows FROM hashes;
    DROP TABLE hashes;
    CREATE VIEW current_readings AS SELECT readings.* FROM periods JOIN runs ON runs.run_id = periods.run_id
        JOIN readings ON readings.run_id = runs.readings_of;
    UPDATE ledger SET version = 2;
"""
# The readings of grouped runs as they were: without what is absent, under ids without it; and the digests of such runs.
EARLIER_IDS = """
    UPDATE readings SET dimensions = map_from_entries(
        list_filter(map_entries(dimensions), lambda entry: entry.value IS NOT NULL));
    UPDATE readings SET id = 'feed' || id[5:] WHERE cardinality(dimensions) = 0;
    UPDATE runs SET inputs_sha256 = 'earlier' || inputs_sha256, readings_sha256 = 'earlier' || readings_sha256;
"""
MARCH: dict[str, Any] = {"start": "2024-03-01", "end": "2024-04-01", "every": "month", "clock": CLOCK}
EVENTS = [event("1", "2024-03-02T00:00:00Z", {"q": "7", "user": "u1"}), event("2", "2024-03-03T00:00:00Z", {"q": "1"})]
SUM = measuring("sum")


def write(path: Path, events: Iterable[Event]) -> Path:
    """A file of events."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events), encoding="utf-8")
    return path


def ledger_of(folder: Path, *, earlier: str = BACK, **options: Any) -> Ledger:
    """A ledger as version 2 left it: March metered from two files that share an event."""
    write(folder / "events" / "a.ndjson", EVENTS)
    write(folder / "events" / "b.ndjson", EVENTS[:1])
    ledger = Ledger.init(folder / "ledger.duckdb")
    ledger.backfill(folder / "events", SUM, **MARCH, **options)
    with duckdb.connect(str(ledger.store.path)) as connection:
        connection.execute(earlier)
    return ledger


def forward_of(ledger: Ledger) -> str:
    """What is said where the file of a ledger is brought forward."""
    return (
        f"{ledger.store.path}: was brought forward from version 2 of a ledger to 3; "
        "an earlier metering-duck does not open it any more."
    )


def counted(ledger: Ledger) -> dict[str, str]:
    """The quantities that count now, by the user."""
    rows = query(ledger, "SELECT dimensions['user'], quantity FROM current_readings ORDER BY ALL")
    return {user or "": quantity for user, quantity in rows}


@pytest.mark.slow
def test_a_duplicate_counts_once_after_an_upgrade(tmp_path: Path) -> None:
    """The next backfill reads the keys again and says so; an event that another file has, too, is not counted twice."""
    ledger = ledger_of(tmp_path)
    write(tmp_path / "events" / "c.ndjson", [event("3", "2024-03-04T00:00:00Z", {"q": "2"})])
    (outcome,) = ledger.backfill(**MARCH)

    assert ("done", 1) == (outcome.status, outcome.duplicates)
    assert (
        forward_of(ledger),
        "the event keys of 2 files were read again from the files: an earlier version kept hashes of them.",
    ) == outcome.notices
    assert {"": "10"} == counted(ledger)
    assert [("w", "u", "1")] * 2 == query(ledger, "SELECT workspace_id, universe_id, event_id FROM repeated_rows")
    assert [] == problems(ledger, files=True)


@pytest.mark.slow
def test_a_period_that_has_not_changed_stays_as_it_is(tmp_path: Path) -> None:
    """The files are read for their keys; a run whose ids are what they were is a run of the same inputs."""
    ledger = ledger_of(tmp_path)
    (outcome,) = ledger.backfill(**MARCH)

    assert ("unchanged", 1) == (outcome.status, outcome.run_id)
    assert ledger.status().notices == []


@pytest.mark.slow
def test_what_needs_the_keys_says_how_to_get_them(tmp_path: Path) -> None:
    """Status and verify name what an earlier version kept; a trace refuses, until the ledger is brought forward."""
    ledger = ledger_of(tmp_path)
    runner = CliRunner()
    named = ["--ledger", str(ledger.store.path)]
    (id,) = (row[0] for row in query(ledger, "SELECT id FROM readings"))

    (notice,) = ledger.status().notices
    assert "event keys: those of 2 files are kept as hashes, as an earlier version did. hint: the next" in notice
    assert 2 == len([problem for problem in problems(ledger) if "kept as an earlier version did" in problem])
    with pytest.raises(LedgerError, match=r"read again from the files\. hint: metering-duck ledger migrate"):
        ledger.trace(id)
    migrated = runner.invoke(cli, ["ledger", "migrate", *named])
    read = "2 files read again, 2 rows of keys that occur more than once"
    assert (0, f"note: {forward_of(ledger)}\n{read}\n") == (migrated.exit_code, migrated.stderr)
    with ledger.trace(id).events as events:
        assert 2 == events.count()
    again = runner.invoke(cli, ["ledger", "migrate", *named])
    assert (0, f"{ledger.store.path}: is as this version keeps it\n") == (again.exit_code, again.stderr)


@pytest.mark.slow
def test_who_reads_an_earlier_ledger_writes_nothing(tmp_path: Path) -> None:
    """Status, verify and export read a copy; closing a period brings the file forward, and says so."""
    ledger = ledger_of(tmp_path)
    path = ledger.store.path
    before, places = path.read_bytes(), sorted(os.listdir(tmp_path))
    for _ in range(2):
        reading = Ledger(path)
        assert ["2024-03"] == [period.period for period in reading.status().periods]
        assert 2 == len(problems(reading))
        with reading.export("readings") as rows:
            assert 1 == rows.count()
    assert (before, places) == (path.read_bytes(), sorted(os.listdir(tmp_path)))

    closed = CliRunner().invoke(cli, ["close", "2024-03", "--ledger", str(path)])
    assert (0, True) == (closed.exit_code, f"note: {forward_of(ledger)}\n" in closed.stderr)
    assert path.read_bytes() != before
    assert () == ledger.close("2024-03").notices[1:]


@pytest.mark.slow
def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    """Its keys cannot be read; once it is back they are."""
    ledger = ledger_of(tmp_path)
    gone = tmp_path / "events" / "b.ndjson"
    aside = gone.rename(tmp_path / "aside")
    named = ["--ledger", str(ledger.store.path)]
    migrated = CliRunner().invoke(cli, ["ledger", "migrate", *named])
    assert 1 == migrated.exit_code
    assert (
        f"{gone}: is gone or has changed, and its keys cannot be read. hint: put it back as it was" in migrated.stderr
    )

    aside.rename(gone)
    found = ledger.migrate()
    assert (2, 2, ()) == (found.files, found.repeated_rows, found.unread)
    assert [] == problems(ledger, files=True)


@pytest.mark.slow
def test_readings_with_earlier_ids_are_metered_again(tmp_path: Path) -> None:
    """Status names their periods; backfill gives an open one new readings in place of them, and none is doubled."""
    ledger = ledger_of(tmp_path, earlier=BACK + EARLIER_IDS, group_by="user")

    assert "ids: the readings of 2024-03 have ids as an earlier version made them." in ledger.status().notices[1]
    with ledger.export("readings") as rows:
        assert rows.has_earlier_ids
    (outcome,) = ledger.backfill(**MARCH, group_by="user")
    assert ("done", {"u1": "7", "": "1"}) == (outcome.status, counted(ledger))
    assert [] == ledger.status().notices
    with ledger.export("readings") as rows:
        assert not rows.has_earlier_ids


@pytest.mark.slow
def test_a_closed_period_with_earlier_ids_is_restated_by_its_keys(tmp_path: Path) -> None:
    """It keeps its readings; a restatement finds what differs by keys, whatever the ids, and says that ids changed."""
    ledger = ledger_of(tmp_path, earlier=BACK + EARLIER_IDS, group_by="user")
    ledger.close("2024-03")
    write(tmp_path / "events" / "c.ndjson", [event("3", "2024-03-04T00:00:00Z", {"q": "2"})])
    assert ["closed"] == [outcome.status for outcome in ledger.backfill(**MARCH, group_by="user")]
    made = ledger.restate("2024-03", book=True)
    with made.rows as rows:
        changes = [(row["dimensions"], row["old"], row["new"], row["why"]) for row in rows.to_dicts()]

    assert [({"user": None}, "1", "3", "added 1")] == changes
    assert "the readings of 2024-03 have ids as an earlier version made them" in made.notices[-1]
    assert {"u1": "7", "": "3"} == counted(ledger)


@pytest.mark.slow
def test_verify_compares_the_keys_with_the_files(tmp_path: Path) -> None:
    """A key that is not that of the files, and a row that is alone, are found."""
    ledger = ledger_of(tmp_path, earlier="UPDATE repeated_rows SET event_id = '2' WHERE file_id = 1")

    assert 2 == len([problem for problem in problems(ledger) if "has one row; a repeated key has several" in problem])
    found = [problem for problem in problems(ledger, files=True) if problem.startswith("event keys")]
    assert "event keys 1 of w in u: is in the file twice or elsewhere, too, and is not kept" in found


@pytest.mark.slow
def test_keys_with_nul_are_kept_apart(tmp_path: Path) -> None:
    """Ids, workspaces and subjects that differ behind a NUL only are others, in every table of the ledger (R38)."""
    names = ["a", "a\0", "a\0x", "a\0y"]
    events = [event(f"e{name}", "2024-03-02T00:00:00Z", {"q": "1"}, workspace=name, subject=name) for name in names]
    write(tmp_path / "events" / "a.ndjson", events)
    write(tmp_path / "events" / "b.ndjson", events)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    (outcome,) = ledger.backfill(tmp_path / "events", SUM, **MARCH)

    assert (4, 4) == (outcome.duplicates, outcome.readings)
    assert [(name, name, "1") for name in names] == query(
        ledger, "SELECT workspace_id, subject, quantity FROM current_readings ORDER BY ALL"
    )
    assert [] == problems(ledger, files=True)


LEVEL = {
    "workspace_id": 'a "b"',
    "universe_id": "u",
    "subject": "é",
    "unit": "seats",
    "aggregation": "max",
    "level": "7",
}
HEAD = ",".join(f'"{name}"' for name in LEVELS_SCHEMA.names)


def test_levels_are_digested_by_a_text_of_our_own() -> None:
    """The digest is that of CSV whose values are quoted, as the first ledgers had it, whatever writes CSV now (R38)."""
    moments = {"recorded_at": datetime(2024, 1, 31, 23, 0, 0, 5), "metered_at": datetime(1, 1, 2), "event_id": "1,2"}
    levels = pa.Table.from_pylist([LEVEL | moments], LEVELS_SCHEMA)
    row = '"a ""b""","u","é",,"seats","max","2024-01-31 23:00:00.000005","0001-01-02 00:00:00.000000","1,2","7"'

    assert hashlib.sha256(f"{HEAD}\n".encode()).hexdigest() == EMPTY_LEVELS
    assert hashlib.sha256(f"{HEAD}\n{row}\n".encode()).hexdigest() == levels_sha256(levels)
