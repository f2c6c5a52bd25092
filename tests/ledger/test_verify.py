"""Verifying holds what a ledger says against the rest of it: a change made by hand is found, and nothing else is."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from metering_duck.errors import LedgerError
from metering_duck.ledger.ledger import Ledger
from tests.ledger_worlds import CLOCK, problems

HEAD = "id,workspace_id,universe_id,type,subject,time,calls,seats\n"
FILES = {
    "events/2024-01.csv": (
        "c1,w,u,call,a,2024-01-03T10:00:00Z,3,\ns1,w,u,seats,a,2024-01-21T00:00:00Z,,15\nx1,w,u,call,a,,7,\n"
        "d1,w,u,call,a,2024-01-05T10:00:00Z,5,\nd1,w,u,call,a,2024-01-05T10:00:00Z,6,\n"
    ),
    "events/2024-02.csv": "c2,w,u,call,a,2024-02-03T10:00:00Z,4,\nc3,w,u,call,a,2024-02-04T10:00:00Z,n/a,\n",
    "late.csv": "s3,w,u,seats,a,2024-01-30T00:00:00Z,,20\n",
}
CONFIG = {
    "entries": [
        {"type": "call", "measurements": [{"sourceProperty": "calls", "unit": "calls", "aggregation": "sum"}]},
        {
            "type": "seats",
            "measurements": [{"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"}],
        },
    ]
}
MONTHS = {"start": "2024-01-01", "end": "2024-03-01", "every": "month", "clock": CLOCK}
SLOW = pytest.mark.slow
# What is changed → the check that finds it. Runs 1 and 2 are January and February, 3 restates January, 4 is February
# with the late file.
QUICK = {
    "UPDATE runs SET readings_of = 1 WHERE run_id = 4": "runs",
    "UPDATE runs SET kind = 'levels' WHERE run_id = 4; UPDATE readings SET quantity = '4000' WHERE run_id = 4": "runs",
    "UPDATE runs SET metered = NULL, read = 999 WHERE run_id = 4": "books",
    "UPDATE runs SET conflicts = 9223372036854775807": "books",
    "UPDATE readings SET quantity = '4e0' WHERE run_id = 4 AND unit = 'calls'": "quantities",
    "UPDATE periods SET run_id = 3 WHERE name = '2024-02'": "periods",
    "UPDATE periods SET run_id = 1 WHERE name = '2024-01'": "periods",
    "UPDATE runs SET sources_sha256 = 'ff' WHERE run_id = 4": "inputs digest",
    "DELETE FROM run_files WHERE run_id = 4": "inputs digest",
    "DELETE FROM config_versions": "rows without an owner",
    "UPDATE adjustments SET old = '100', new = '101', delta = '1'": "adjustments",
    "UPDATE source_hours SET hour = hour + INTERVAL 60 DAY WHERE file_id = 2": "events of files",
}
RARE = {
    "INSERT INTO readings SELECT * REPLACE (55 AS run_id) FROM readings WHERE run_id = 4; "
    "UPDATE runs SET readings_of = 55 WHERE run_id = 4": "rows without an owner",
    "UPDATE runs SET readings = NULL WHERE run_id = 4": "readings counted",
    "UPDATE runs SET read = NULL WHERE run_id = 4": "books",
    "UPDATE runs SET unmatched_entry = 77": "books",
    "UPDATE runs SET status = 'failed' WHERE run_id = 2": "runs",
    "UPDATE runs SET status = 'Done' WHERE run_id = 2": "runs",
    "DELETE FROM runs WHERE run_id = 2": "runs",
    "UPDATE runs SET clock = '2030-01-01 00:00:00+00' WHERE run_id = 4": "runs",
    "UPDATE runs SET levels_before_sha256 = 'ff' WHERE run_id = 4": "runs",
    "UPDATE run_histories SET history_sha256 = 'ff'": "runs",
    "UPDATE runs SET levels_sha256 = NULL WHERE run_id = 3; UPDATE levels SET level = '999' WHERE run_id = 3": "runs",
    "UPDATE runs SET levels_sha256 = NULL WHERE run_id = 4; DELETE FROM levels WHERE run_id = 4": "inputs digest",
    "UPDATE runs SET inputs_sha256 = 'ff' WHERE run_id = 4": "inputs digest",
    "UPDATE runs SET as_of = '2024-01-01 00:00:00+00' WHERE run_id = 4": "inputs digest",
    "UPDATE runs SET reach = 'all' WHERE run_id = 4": "inputs digest",
    """UPDATE runs SET options = '{"group_by":["x"]}' WHERE run_id = 4""": "inputs digest",
    "INSERT INTO run_files VALUES (4, 1, true, NULL)": "inputs digest",
    "UPDATE run_files SET counts = NOT counts WHERE run_id = 4": "inputs digest",
    "UPDATE source_files SET entered_at = '2020-01-01 00:00:00+00' WHERE file_id = 3": "inputs digest",
    "UPDATE readings SET quantity = 'abc' WHERE run_id = 4": "quantities",
    "UPDATE readings SET quantity = '1e5000000' WHERE run_id = 4": "readings digest",
    "UPDATE readings SET quantity = ' 4 ' WHERE run_id = 4 AND unit = 'calls'": "quantities",
    "UPDATE readings SET quantity = '4.49' WHERE run_id = 4; "
    "UPDATE runs SET quantity_type = 'DECIMAL(38, 0)' WHERE run_id = 4": "quantities",
    "UPDATE periods SET closed_run_id = 99 WHERE name = '2024-01'": "periods",
    "UPDATE periods SET closed_at = NULL, closed_by = NULL, closed_run_id = NULL": "periods",
    "UPDATE periods SET run_id = 2 WHERE name = '2024-02'": "periods",
    "UPDATE periods SET period_start = '2024-02-02 00:00:00+00' WHERE name = '2024-02'": "periods",
    "UPDATE periods SET name = '2024-05' WHERE name = '2024-02'": "periods",
    "DELETE FROM periods WHERE name = '2024-02'": "periods",
    "UPDATE restatements SET booked_at = NULL, booked_by = NULL": "periods",
    "DELETE FROM restatements": "rows without an owner",
    "DELETE FROM adjustments": "adjustments",
    "UPDATE adjustments SET subject = 'evil'": "adjustments",
    "DELETE FROM causes": "causes",
    "DELETE FROM configs": "rows without an owner",
    "DELETE FROM rejects WHERE run_id = 0": "events of files",
    "DELETE FROM source_files WHERE file_id = 2": "rows without an owner",
    "INSERT INTO source_files SELECT * REPLACE (4 AS file_id) FROM source_files WHERE file_id = 2": "events of files",
    "UPDATE source_files SET first_recorded_at = '2020-01-01 00:00:00+00' WHERE file_id = 2": "events of files",
    "UPDATE repeated_rows SET file_id = 55": "rows without an owner",
}
# What only the files tell.
OF_FILES = {
    "UPDATE source_files SET size_bytes = 1 WHERE file_id = 2": "file digest",
    "UPDATE source_files SET rows = rows + 5 WHERE file_id = 2; UPDATE source_hours SET events = events + 5 "
    "WHERE file_id = 2 AND hour = (SELECT min(hour) FROM source_hours WHERE file_id = 2)": "files read again",
    "UPDATE source_files SET last_metered_at = '2030-01-01 00:00:00+00' WHERE file_id = 3": "files read again",
    """UPDATE source_files SET proven = '{"whole": false}' WHERE file_id = 2""": "files read again",
    "UPDATE rejects SET id = 'another' WHERE run_id = 0": "files read again",
    "DELETE FROM repeated_rows": "event keys",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of two months, of which the first is closed and restated; nothing is wrong with it."""
    folder = tmp_path_factory.mktemp("whole")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(HEAD + text)
    ledger = Ledger.init(folder / "ledger.duckdb")
    ledger.backfill(folder / "events", CONFIG, **MONTHS)
    ledger.close("2024-01", by="kim", clock=CLOCK)
    ledger.restate("2024-01", events=folder / "late.csv", book=True, by="kim", clock=CLOCK)
    ledger.backfill(**MONTHS)
    return ledger.store.path


def changed(whole: Path, folder: Path, sql: str) -> Ledger:
    """A copy of the ledger, changed by hand."""
    path = folder / "ledger.duckdb"
    shutil.copy(whole, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"SET TimeZone = 'UTC'; {sql}")
    return Ledger(path)


@pytest.mark.sampled(12)
@pytest.mark.parametrize(
    ("sql", "check"), [*QUICK.items(), *(pytest.param(*case, marks=SLOW) for case in RARE.items())]
)
def test_a_change_made_by_hand_is_found(whole: Path, tmp_path: Path, sql: str, check: str) -> None:
    """Whatever is said twice in a ledger, or follows from the rest, is compared; the check that finds it is named."""
    found = problems(changed(whole, tmp_path, sql))

    assert any(one.startswith(f"{check} ") for one in found), found


@pytest.mark.sampled(3)
@pytest.mark.slow
@pytest.mark.parametrize(("sql", "check"), OF_FILES.items())
def test_files_tell_what_was_learnt_of_them(whole: Path, tmp_path: Path, sql: str, check: str) -> None:
    """With the files, their sizes, counts, times, proofs and keys are compared, too; without them they look right."""
    ledger = changed(whole, tmp_path, sql)

    assert problems(ledger) == []
    assert any(one.startswith(f"{check} ") for one in problems(ledger, files=True))


def test_nothing_is_found_where_nothing_was_changed(whole: Path) -> None:
    """A ledger that is as it was made has no problem, with its files and without."""
    assert problems(Ledger(whole), files=True) == []


REFUSED = {
    "UPDATE levels SET level = '999'": "levels of run 4: found ",
    "UPDATE levels SET level = '1e5000000'": "levels of run 4: found ",
    "UPDATE levels SET recorded_at = 'infinity'": "levels.recorded_at: found 'infinity'; expected one of the years",
    "UPDATE readings SET window_start = 'infinity'": "readings.window_start: found 'infinity'",
    "UPDATE causes SET recorded_at = '290000-01-01 00:00:00+00'": "causes.recorded_at: found '290000-01-01",
    "UPDATE periods SET timezone = repeat('9', 5000)": f"periods.timezone: found '{'9' * 80}…'",
    "UPDATE periods SET period_end = '0001-01-01 00:00:00+00' WHERE name = '2024-02'": "periods.period_end: found 0001",
    "UPDATE runs SET options = 'x'": "runs.options: found 'x'",
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("sql", "message"), REFUSED.items())
def test_what_is_read_back_is_refused_by_its_place(whole: Path, tmp_path: Path, sql: str, message: str) -> None:
    """Levels with another digest, and what no ledger would store, are blamed on the ledger's file and table."""
    ledger = changed(whole, tmp_path, sql)

    with pytest.raises(LedgerError) as raised:
        ledger.backfill(**{**MONTHS, "end": "2024-04-01"})

    assert str(raised.value).startswith(f"{ledger.store.path}: {message}")
    assert len(str(raised.value)) < 1000


def test_an_export_names_the_ledger_that_was_changed(whole: Path, tmp_path: Path) -> None:
    """Where a text of the ledger is no option, the export says which ledger has it."""
    ledger = changed(whole, tmp_path, "UPDATE runs SET options = ''")

    with pytest.raises(LedgerError) as raised:
        ledger.export("readings")

    assert str(raised.value).startswith(f"{ledger.store.path}: runs.options: found ''")
