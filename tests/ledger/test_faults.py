"""What goes wrong around a ledger: processes that are killed or come at once, files that change or are damaged, a full
disk, and files that are no ledger. Nothing that was committed is lost, nothing is there by half, and the same command
goes on once the cause is mended."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from metering_duck.errors import LedgerError, MeteringError, SourceError
from metering_duck.ledger.ledger import Ledger
from metering_duck.ledger.store import VERSION
from tests import ledger_worlds
from tests.ledger_worlds import CLOCK, day, event, exported, statuses, write
from tests.worlds import written

# What goes wrong around a ledger is rare, and takes processes that are waited for.
pytestmark = pytest.mark.slow

CONFIG = {
    "measurements": [
        {"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"},
        {"sourceProperty": "seats", "unit": "sold", "aggregation": "sum"},
    ]
}
DAYS = {"start": "2024-01-01", "end": "2024-01-07", "every": "day", "clock": CLOCK}
MONTHS = {"start": "2024-01-01", "end": "2024-04-01", "every": "month", "clock": CLOCK}
LATER = "2024-07-01T00:00:00Z"
# Processes of their own start as forks of one that has everything loaded.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.ledger_worlds", "metering_duck.ledger.ledger"])


def started(job: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that has begun."""
    process = processes.Process(target=job, args=arguments)
    process.start()
    return process


def fill_days(path: Path) -> None:
    """Meter six days; what other processes do."""
    Ledger(path, wait=60, threads=1).backfill(path.parent / "events", CONFIG, **DAYS)


def hold_lock(path: Path, seconds: float, mark: Path) -> None:
    """Be the one who writes, for a while."""
    with Ledger(path).store.writer():
        mark.touch()
        time.sleep(seconds)


def wait_for(mark: Path) -> None:
    """Wait until another process has begun."""
    until = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert mark.exists()


def make_days(folder: Path) -> Ledger:
    """An empty ledger beside events of six days."""
    ledger_worlds.write_all(
        folder / "events", ledger_worlds.in_files(ledger_worlds.world(2, 60, days=6), form="%Y-%m-%d")
    )
    return Ledger.init(folder / "ledger.duckdb")


def make_months(folder: Path) -> Ledger:
    """A ledger of three months, a file each, where a key of January is in February's file, too."""
    files = [
        [event(1, day(4), seats=3), event(5, day(5), seats=4)],
        [event(1, day(4), seats=3), event(2, day(35), seats=4, subject="customer:2")],
        [event(3, day(65), seats=9, subject="customer:3")],
    ]
    for name, events in zip(("jan", "feb", "mar"), files, strict=True):
        write(folder / "events", name, events)
    ledger = Ledger.init(folder / "ledger.duckdb")
    ledger.backfill(folder / "events", CONFIG, **MONTHS)
    return ledger


def as_bytes(ledger: Ledger) -> bytes:
    """All readings that count, as NDJSON."""
    return written(ledger.export("readings"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The readings of six days that nobody disturbed."""
    ledger = make_days(tmp_path_factory.mktemp("undisturbed"))
    fill_days(ledger.store.path)
    return as_bytes(ledger)


# --- processes -------------------------------------------------------------------------------------------------------

HALF = (
    "SELECT run_id FROM runs WHERE status = 'done' AND kind <> 'levels' AND readings <> "
    "(SELECT count(*) FROM readings WHERE readings.run_id = runs.run_id)"
)


def test_a_backfill_killed_twenty_times_ends_with_the_same_bytes(tmp_path: Path, undisturbed: bytes) -> None:
    """SIGKILL at twenty random moments, each time started again: no period is there twice, by half or missing, and the
    readings are byte for byte those of a run that nobody disturbed."""
    chance, ledger = random.Random(20), make_days(tmp_path)
    kills = 0
    while kills < 20:
        process = started(fill_days, ledger.store.path)
        process.join(chance.uniform(0.02, 0.5))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        assert ledger_worlds.query(ledger, HALF) == []
    process = started(fill_days, ledger.store.path)
    process.join()
    assert process.exitcode == 0
    assert undisturbed == as_bytes(ledger)
    assert [(6, 6, 6)] == ledger_worlds.query(
        ledger,
        "SELECT count(*), count(DISTINCT period_start), (SELECT count(*) FROM periods) FROM runs "
        "WHERE kind = 'backfill'",
    )
    assert ledger_worlds.problems(ledger, files=True) == []


def test_two_backfills_at_once_meter_each_period_once(tmp_path: Path, undisturbed: bytes) -> None:
    """The second process waits for the first, and finds all done."""
    ledger = make_days(tmp_path)
    both = [started(fill_days, ledger.store.path) for _ in range(2)]
    for process in both:
        process.join()
    assert [0, 0] == [process.exitcode for process in both]
    assert undisturbed == as_bytes(ledger)
    assert ledger_worlds.query(ledger, "SELECT count(*) FROM runs") == [(6,)]


def test_a_second_writer_waits_or_says_why_not(tmp_path: Path) -> None:
    """While another process writes, whoever waits too short a time is told so; readers are served; who waits longer
    goes on when the other has ended."""
    ledger = make_days(tmp_path)
    process = started(hold_lock, ledger.store.path, 1.5, tmp_path / "mark")
    wait_for(tmp_path / "mark")
    with pytest.raises(LedgerError, match="another process has been writing"):
        Ledger(ledger.store.path, wait=0.1).backfill(tmp_path / "events", CONFIG, **DAYS)
    assert ledger.status().periods == []
    one_day = {**DAYS, "end": "2024-01-02"}
    assert ["done"] == statuses(Ledger(ledger.store.path, wait=60).backfill(tmp_path / "events", CONFIG, **one_day))
    process.join()


def test_a_process_that_is_killed_gives_its_lock_back(tmp_path: Path) -> None:
    """The lock of a killed process holds nobody up."""
    ledger = make_days(tmp_path)
    process = started(hold_lock, ledger.store.path, 600, tmp_path / "mark")
    wait_for(tmp_path / "mark")
    process.kill()
    process.join()
    one_day = {**DAYS, "end": "2024-01-02"}
    assert ["done"] == statuses(Ledger(ledger.store.path, wait=1).backfill(tmp_path / "events", CONFIG, **one_day))


def test_readers_see_whole_periods_while_a_backfill_runs(tmp_path: Path) -> None:
    """Whoever reads during a backfill of another process is served, and sees only periods that are done."""
    ledger = make_days(tmp_path)
    process = started(fill_days, ledger.store.path)
    seen: list[Counter[datetime]] = []
    while process.is_alive():
        assert len(ledger.status().periods) >= len(seen[-1] if seen else ())
        with ledger.export("readings") as rows:
            seen.append(Counter(rows.to_arrow().column("window_start").to_pylist()))
        time.sleep(0.1)
    assert process.exitcode == 0
    with ledger.export("readings") as rows:
        whole = Counter(rows.to_arrow().column("window_start").to_pylist())
    assert len(whole) == 6
    assert all(counts == {start: whole[start] for start in counts} for counts in seen)
    assert [len(counts) for counts in seen] == sorted(len(counts) for counts in seen)


def test_rows_left_open_hold_up_who_writes_with_words(tmp_path: Path) -> None:
    """In one process, whoever writes while rows of an export are open is told so, and goes on when they are closed."""
    ledger = make_months(tmp_path)
    impatient = Ledger(ledger.store.path, wait=0.1)
    with ledger.export("readings") as rows:
        assert rows.count() == 9
        with pytest.raises(LedgerError, match="in use"):
            impatient.close("2024-01", by="ann")
    assert impatient.close("2024-01", by="ann").status == "closed"


# --- event files -----------------------------------------------------------------------------------------------------


def damaged(path: Path) -> bytes:
    """Overwrite the middle of the last column's pages; size and time of change stay as they are. What it was."""
    whole, found = path.read_bytes(), path.stat()
    half = len(whole) // 2
    path.write_bytes(whole[: half - 400] + b"\xff" * 800 + whole[half + 400 :])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    return whole


def make_large(folder: Path) -> Ledger:
    """An empty ledger beside three months, whose properties fill most of each file."""
    chance = random.Random(4)
    for month in range(3):
        events = [
            event(f"{month}-{n}", day(31 * month + n % 28), seats=n, note=f"{chance.getrandbits(160):040x}")
            for n in range(400)
        ]
        write(folder / "events", f"{month}", events, compression="snappy", use_dictionary=False)
    return Ledger.init(folder / "ledger.duckdb")


def test_a_truncated_file_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    """A file that ends too early is named before anything is metered; once it is whole, the same command goes on."""
    ledger = make_large(tmp_path)
    path = tmp_path / "events" / "1.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"1\.parquet"):
        ledger.backfill(tmp_path / "events", CONFIG, **MONTHS)
    assert ledger_worlds.query(ledger, "SELECT count(*) FROM runs") == [(0,)]
    assert ledger_worlds.problems(ledger) == []
    path.write_bytes(whole)
    assert ["done"] * 3 == statuses(ledger.backfill(tmp_path / "events", CONFIG, **MONTHS))


@pytest.mark.parametrize("harm", ["damaged", "truncated", "gone"])
def test_a_file_that_is_harmed_during_a_backfill_costs_its_period_only(tmp_path: Path, harm: str) -> None:
    """A file that is damaged inside a page, truncated or removed while a backfill runs is named; the periods before it
    stay done, and once it is whole again the same command does the rest."""
    ledger = make_large(tmp_path)
    path = tmp_path / "events" / "1.parquet"
    whole, found = path.read_bytes(), path.stat()

    def after_the_first(outcome: Any, *_: Any) -> None:
        if outcome.period == "2024-01":
            {
                "damaged": lambda: damaged(path),
                "truncated": lambda: path.write_bytes(whole[:5000]),
                "gone": path.unlink,
            }[harm]()

    with pytest.raises(MeteringError, match=r"1\.parquet"):
        ledger.backfill(tmp_path / "events", CONFIG, report=after_the_first, **MONTHS)
    assert ledger_worlds.query(ledger, "SELECT name FROM periods") == [("2024-01",)]
    assert ledger_worlds.problems(ledger) == []
    path.write_bytes(whole)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert ["unchanged", "done", "done"] == statuses(ledger.backfill(tmp_path / "events", CONFIG, **MONTHS))
    assert ledger_worlds.aggregated(tmp_path / "events", CONFIG, **MONTHS) == exported(ledger)
    assert ledger_worlds.problems(ledger, files=True) == []


def test_a_file_damaged_unnoticed_is_found_by_its_digest(tmp_path: Path) -> None:
    """verify of the files names one whose bytes have changed behind an unchanged size and time, and no other."""
    ledger = make_months(tmp_path)
    path = tmp_path / "events" / "feb.parquet"
    damaged(path)
    assert ledger_worlds.problems(ledger) == []
    keys, digest = ledger_worlds.problems(ledger, files=True)
    assert digest.startswith(f"file digest {path}")
    assert keys.startswith("event keys")


@pytest.mark.parametrize("kind", ["gone", "changed"])
def test_a_file_that_is_gone_or_changed_is_named(tmp_path: Path, kind: str) -> None:
    """status and backfill name the file, and nothing is metered without it unasked; put back, nothing has changed."""
    ledger = make_months(tmp_path)
    path, before = tmp_path / "events" / "jan.parquet", as_bytes(ledger)
    shutil.copy2(path, tmp_path / "kept")
    if kind == "gone":
        path.unlink()
    else:
        write(tmp_path / "events", "jan", [event(1, day(4), seats=4)])
    status = ledger.status()
    assert [str(path)] == (status.gone_files if kind == "gone" else status.changed_files)
    assert status.periods[0].is_stale
    with pytest.raises(LedgerError, match=r"jan\.parquet.*without-missing"):
        ledger.backfill(**MONTHS)
    with pytest.raises(LedgerError, match=r"jan\.parquet"):
        ledger.rerun("2024-01", as_was=True)
    assert before == as_bytes(ledger)
    assert ledger_worlds.problems(ledger) == []
    shutil.copy2(tmp_path / "kept", path)
    assert ["unchanged"] * 3 == statuses(ledger.backfill(**MONTHS))


def test_a_moved_or_touched_file_is_the_same_file(tmp_path: Path) -> None:
    """A file is known by its content: under another name or with another time it is the one that was seen."""
    ledger = make_months(tmp_path)
    before = as_bytes(ledger)
    (tmp_path / "events" / "jan.parquet").rename(tmp_path / "events" / "january.parquet")
    os.utime(tmp_path / "events" / "feb.parquet", (1, 1))
    assert ["unchanged"] * 3 == statuses(ledger.backfill(**{**MONTHS, "clock": LATER}))
    assert ledger.rerun("2024-01", as_was=True).status == "reproduced"
    assert ledger_worlds.query(ledger, "SELECT count(*), count(gone_at) FROM source_files") == [(3, 0)]
    assert before == as_bytes(ledger)
    assert ledger_worlds.problems(ledger, files=True) == []


def test_twins_that_are_touched_stay_two_files(tmp_path: Path) -> None:
    """Two files of the same content are two files, also when both have new times; their events count once."""
    ledger = make_months(tmp_path)
    shutil.copy(tmp_path / "events" / "jan.parquet", tmp_path / "events" / "twin.parquet")
    ledger.backfill(**MONTHS)
    for n, name in enumerate(("jan", "twin")):
        os.utime(tmp_path / "events" / f"{name}.parquet", (n + 1, n + 1))
    assert ["unchanged"] * 3 == statuses(ledger.backfill(**MONTHS))
    write(tmp_path / "events", "apr", [event(9, day(70), seats=1)])
    assert ["unchanged", "unchanged", "done"] == statuses(ledger.backfill(**MONTHS))
    assert ledger_worlds.aggregated(tmp_path / "events", CONFIG, **MONTHS) == exported(ledger)


def test_a_look_back_forgets_no_file(tmp_path: Path) -> None:
    """A rerun as of a moment while a file is away does not take it for gone: put back, nothing has changed."""
    ledger = make_months(tmp_path)
    before = as_bytes(ledger)
    (tmp_path / "events" / "mar.parquet").rename(tmp_path / "away")
    assert ledger.rerun("2024-01", as_of=LATER).status == "reproduced"
    (tmp_path / "away").rename(tmp_path / "events" / "mar.parquet")
    assert ["unchanged"] * 3 == statuses(ledger.backfill(**{**MONTHS, "clock": LATER}))
    assert before == as_bytes(ledger)


def test_without_a_file_that_is_gone_its_levels_are_gone(tmp_path: Path) -> None:
    """Asked to go on without a file, a month begins with the levels of the files that are left, even where a run of the
    month before was done again as it was; the file put back, that can be done once more."""
    ledger = make_months(tmp_path)
    march = {**MONTHS, "start": "2024-03-01"}
    ledger.rerun("2024-02", as_was=True)
    (tmp_path / "events" / "jan.parquet").rename(tmp_path / "away")
    write(tmp_path / "events", "apr", [event(9, day(70), seats=1)])
    (outcome,) = ledger.backfill(without_missing=True, **march)
    assert ledger_worlds.aggregated(tmp_path / "events", CONFIG, **march) == exported(ledger, outcome.run_id)
    (tmp_path / "away").rename(tmp_path / "events" / "jan.parquet")
    ledger.backfill(**march)
    assert ["reproduced"] * 2 == [ledger.rerun(name, as_was=True).status for name in ("2024-01", "2024-02")]
    assert ledger_worlds.problems(ledger, files=True) == []


# --- the ledger's file -----------------------------------------------------------------------------------------------


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A ledger that a later version made says so, and is not written to."""
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    path = ledger.store.path
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE ledger SET version = 99")
    before = path.read_bytes()
    for command in (ledger.status, ledger.verify, lambda: ledger.close("2024-01")):
        with pytest.raises(LedgerError, match=r"version 99.*expected at most"):
            command()
    assert before == path.read_bytes()
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE ledger SET version = {VERSION}")
    assert ledger_worlds.problems(ledger) == []


def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A text, a damaged ledger, another database, a folder and nothing at all are each refused in words."""
    Ledger.init(tmp_path / "damaged")
    (tmp_path / "damaged").write_bytes(b"\x00" * 4096 + (tmp_path / "damaged").read_bytes()[4096:])
    (tmp_path / "text").write_text("no ledger, but long enough to be looked at\n" * 200)
    with duckdb.connect(str(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    (tmp_path / "folder").mkdir()
    files = {name: (tmp_path / name).read_bytes() for name in ("damaged", "text", "other")}
    for name in (*files, "folder", "nothing"):
        with pytest.raises(LedgerError, match=name):
            Ledger(tmp_path / name).status()
        with pytest.raises(LedgerError, match=name):
            Ledger(tmp_path / name).backfill(tmp_path, CONFIG, **DAYS)
    assert files == {name: (tmp_path / name).read_bytes() for name in files}
    with pytest.raises(LedgerError, match="is there already"):
        Ledger.init(tmp_path / "text")
    with pytest.raises(LedgerError, match="folder that exists"):
        Ledger.init(tmp_path / "nowhere" / "ledger.duckdb")


def test_a_ledger_that_was_tampered_with_is_found_out(tmp_path: Path) -> None:
    """verify names the run whose readings or levels, and the config whose text, are not what they were."""
    ledger = make_months(tmp_path)
    with duckdb.connect(str(ledger.store.path)) as connection:
        connection.execute("UPDATE readings SET quantity = '8' WHERE run_id = 2 AND unit = 'sold'")
        connection.execute("UPDATE levels SET level = '8' WHERE run_id = 3 AND subject = 'customer:3'")
        connection.execute("UPDATE configs SET config = config || ' '")
        connection.execute("UPDATE runs SET metered = metered + 1 WHERE run_id = 1")
    # What a run was made from has the config's digest in it.
    inputs = ["inputs digest"] * 3
    assert ["books", "config digest", *inputs, "levels digest", "readings digest"] == sorted(
        found.check for found in ledger.verify() if found.problem
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of a few MB, where the test may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    is_there = os.geteuid() == 0 and not subprocess.run(command, capture_output=True).returncode
    yield folder if is_there else None
    if is_there:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_with_little_room(path: Path, events: Path, room: int, said: Path) -> None:
    """Meter where no file may grow by more than `room` bytes; what was said is put into a file."""
    if room:
        most = path.stat().st_size + room
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        Ledger(path).backfill(events, CONFIG, group_by="note", **MONTHS)
    except LedgerError as error:
        said.write_text(str(error))


def test_a_full_disk_loses_nothing(tmp_path: Path, small_disk: Path | None) -> None:
    """Where the ledger's disk is full, that is said, the periods before stay done, and with room the same command does
    the rest."""
    events = tmp_path / "events"
    make_large(tmp_path)
    path = (small_disk or tmp_path) / "full.duckdb"
    ledger = Ledger.init(path)
    first = {**MONTHS, "end": "2024-02-01"}
    ledger.backfill(events, CONFIG, group_by="note", **first)
    before = as_bytes(ledger)
    if small_disk:
        (small_disk / "ballast").write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 40_000))
    process = started(fill_with_little_room, path, events, 0 if small_disk else 20_000, tmp_path / "said")
    process.join()
    assert "expected room on its disk" in (tmp_path / "said").read_text()
    assert before == as_bytes(ledger)
    assert ledger_worlds.problems(ledger) == []
    (path.parent / "ballast").unlink(missing_ok=True)
    outcomes = ledger.backfill(events, CONFIG, group_by="note", **MONTHS)
    assert ["unchanged", "done", "done"] == statuses(outcomes)
    assert ledger_worlds.aggregated(events, CONFIG, group_by="note", **MONTHS) == exported(ledger)
    assert ledger_worlds.problems(ledger) == []
