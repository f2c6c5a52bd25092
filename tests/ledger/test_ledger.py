"""The ledger: its periods are what all events at once are, runs are repeatable, and every change is explained."""

from __future__ import annotations

import copy
import itertools
import re
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

import metering_duck
from metering_duck.errors import ConfigError, Interrupted, LedgerError, QuantityOverflow
from metering_duck.ledger.ledger import Ledger
from tests import ledger_worlds
from tests.ledger_worlds import CLOCK, MONTHS, NARROW, NESTED, PERIODS, Event, day, event, exported, statuses, write
from tests.worlds import written

LATER = "2024-07-01T00:00:00Z"
TWO_MONTHS = {"start": "2024-01-01", "end": "2024-03-01", "every": "month"}
TOKENS = {"entries": [{"type": "call", "measurements": NARROW["entries"][0]["measurements"][:2]}]}
# A counter and a gauge, for what depends on neither the number nor the kind of measurements.
SMALL = {
    "measurements": [
        {"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"},
        {"sourceProperty": "seats", "unit": "sold", "aggregation": "sum"},
    ]
}


# --- one ledger that tests only look at ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Three months of everything, by region."""
    folder = tmp_path_factory.mktemp("months")
    ledger_worlds.write_all(folder / "events", ledger_worlds.in_files(ledger_worlds.world(1)))
    ledger = Ledger.init(folder / "ledger.duckdb")
    ledger.backfill(folder / "events", NARROW, clock=CLOCK, group_by="region", **MONTHS)
    return ledger


def events_of(ledger: Ledger) -> Path:
    """The folder of its events."""
    return ledger.store.path.parent / "events"


@pytest.mark.slow
def test_months_are_what_all_events_at_once_are(months: Ledger) -> None:
    """The readings of all periods equal those of one aggregate() over all files, in every column."""
    expected = ledger_worlds.aggregated(events_of(months), NARROW, group_by="region")
    assert expected == exported(months)


@pytest.mark.slow
def test_the_bytes_of_one_month_are_those_of_aggregate(months: Ledger) -> None:
    """What export writes of one run is byte for byte what aggregate() writes of that month."""
    window = {"start": "2024-02-01", "end": "2024-03-01", "every": "month"}
    options = {"clock": CLOCK, "group_by": "region", **window}
    expected = written(metering_duck.aggregate(events_of(months), NARROW, **options))
    assert expected == written(months.export("readings", run=2))


@pytest.mark.slow
def test_the_books_of_all_periods_are_the_books_of_all_events(months: Ledger) -> None:
    """Every event read is in one period's books, but for those without a time, which are rejects of no run."""
    with metering_duck.aggregate(events_of(months), NARROW, clock=CLOCK, group_by="region", **MONTHS) as result:
        expected = dict(result.accounting)
    names = list(expected)
    sums = ledger_worlds.query(
        months, f"SELECT {', '.join(f'sum({name})' for name in names)} FROM runs WHERE status = 'done'"
    )
    ((timeless,),) = ledger_worlds.query(months, "SELECT count(*) FROM rejects WHERE run_id = 0")
    actual = {name: int(value) for name, value in zip(names, sums[0], strict=True)}
    assert timeless == 2
    assert expected == actual | {name: actual[name] + timeless for name in ("read", "rejected")}
    assert all(actual[name] for name in ("metered", "unmatched", "duplicates", "conflicts", "rejected"))


@pytest.mark.slow
def test_rejects_and_conflicts_are_those_of_all_events(months: Ledger) -> None:
    """Rejects and conflicts of all periods are the ones that aggregate() finds, each once."""
    with metering_duck.aggregate(events_of(months), NARROW, clock=CLOCK, group_by="region", **MONTHS) as result:
        rejects, conflicts = result.rejects.to_pylist(), result.conflicts.to_pylist()
    with months.export("rejects") as found, months.export("conflicts") as lost:
        assert sorted((r["id"], r["text"], r["reason"]) for r in rejects) == sorted(
            (r["id"], r["text"], r["reason"]) for r in found.to_dicts()
        )
        assert sorted((c["id"], c["kept_content"], c["lost_content"]) for c in conflicts) == sorted(
            (c["id"], c["kept_content"], c["lost_content"]) for c in lost.to_dicts()
        )


def test_what_is_done_is_left_as_it_is(months: Ledger) -> None:
    """The same backfill again makes no run and changes no reading, whatever the clock says."""
    before = ledger_worlds.query(months, "SELECT run_id, readings_sha256 FROM runs ORDER BY run_id")
    again = months.backfill(clock=LATER, group_by="region", **MONTHS)
    assert ["unchanged"] * 3 == statuses(again)
    assert before == ledger_worlds.query(months, "SELECT run_id, readings_sha256 FROM runs ORDER BY run_id")


def test_a_run_reads_its_own_month_only(months: Ledger) -> None:
    """Levels are carried by the ledger: a month's run reads the files of that month, and the late one."""
    files = ledger_worlds.query(
        months,
        "SELECT run_id, list(parse_filename(path) ORDER BY path) FROM run_files JOIN source_files USING (file_id) "
        "WHERE counts GROUP BY run_id ORDER BY run_id",
    )
    assert [(n + 1, [f"{name}.parquet", "late.parquet"]) for n, name in enumerate(PERIODS)] == files


def test_a_ledger_has_nothing_wrong_with_it(months: Ledger) -> None:
    """verify finds digests, books and files as they should be, and looks at every run, config and file."""
    checks = [finding.check for finding in months.verify(files=True)]
    assert ledger_worlds.problems(months, files=True) == []
    assert checks.count("readings digest") == 3
    assert checks.count("file digest") == 4


@pytest.mark.slow
@pytest.mark.parametrize("run", [1, 3])
def test_as_it_was_gives_the_same_bytes(months: Ledger, run: int) -> None:
    """A rerun as it was reproduces the stored bytes, and keeps them once."""
    before = written(months.export("readings", run=run))
    outcome = months.rerun(PERIODS[run - 1], as_was=True)
    assert outcome.status == "reproduced"
    assert before == written(months.export("readings", run=outcome.run_id))
    assert ledger_worlds.query(months, f"SELECT count(*) FROM readings WHERE run_id = {outcome.run_id}") == [(0,)]


@pytest.mark.slow
def test_a_run_differs_from_itself_in_nothing(months: Ledger) -> None:
    """diff of a run with itself has no row."""
    with months.diff(2, 2) as rows:
        assert rows.to_dicts() == []


@pytest.mark.parametrize(
    "table", ["readings", "rejects", "conflicts", "runs", "periods", "files", "restatements", "causes"]
)
def test_every_table_can_be_exported(months: Ledger, table: str, tmp_path: Path) -> None:
    """Each table is written as NDJSON, CSV and Parquet, with as many rows as it has."""
    with months.export(table) as rows:
        count = rows.count()
        assert len(rows.write(tmp_path / "t.ndjson").read_text().splitlines()) == count
        assert parquet.read_table(rows.write(tmp_path / "t.parquet")).num_rows == count
        assert rows.write(tmp_path / "t.csv").stat().st_size > 0


def test_an_unknown_table_run_or_period_is_an_error(months: Ledger) -> None:
    """What is not there is said, with a hint where there is one."""
    with pytest.raises(ConfigError, match="did you mean"):
        months.export("reading")
    with pytest.raises(LedgerError, match="run 99"):
        months.export("readings", run=99)
    with pytest.raises(LedgerError, match="2023-01"):
        months.rerun("2023-01")
    with pytest.raises(ConfigError, match="month that exists"):
        months.rerun("2024-13")
    with pytest.raises(LedgerError, match="ffffffff"):
        months.trace("ffffffff")


# --- other periods, zones and reaches --------------------------------------------------------------------------------

LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "days of a zone whose clocks change": (
        NARROW,
        {"start": "2024-03-09", "end": "2024-03-12", "every": "day", "timezone": "America/New_York", "digits": 34},
    ),
    "gauges inside another aggregation": (NESTED, {**MONTHS, "fill": "zero", "timezone": "Asia/Kolkata"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_periods_are_what_all_events_at_once_are(name: str, tmp_path: Path) -> None:
    """Also by day, in zones, across workspaces, and for gauges in two levels."""
    config, options = LAYOUTS[name]
    files = ledger_worlds.in_files(ledger_worlds.world(3), form="%Y-%m" if config is NARROW else "%Y")
    events = ledger_worlds.write_all(tmp_path / "events", files)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(events, config, clock=CLOCK, **options)
    assert ledger_worlds.aggregated(events, config, **options) == exported(ledger)
    assert ledger_worlds.problems(ledger) == []


@pytest.mark.slow
def test_a_month_can_come_before_the_months_before_it(tmp_path: Path) -> None:
    """A first run in March finds the level of January by itself, and a later run of January leaves March as it is."""
    for n, name in enumerate(PERIODS):
        write(tmp_path / "events", name, [event(n, day(31 * n + 3), seats=n + 1, subject=f"s:{n}")])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(tmp_path / "events", SMALL, start="2024-03-01", end="2024-04-01", every="month", clock=CLOCK)
    outcomes = ledger.backfill(tmp_path / "events", SMALL, clock=CLOCK, **MONTHS)
    assert ["done", "done", "unchanged"] == statuses(outcomes)
    assert ledger_worlds.aggregated(tmp_path / "events", SMALL) == exported(ledger)


# --- files that come later -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_order_in_which_files_come_tells_nothing(tmp_path: Path) -> None:
    """However files come in, one at a time with a backfill after each, the readings are those of all events at once;
    and as of each moment between they are what they were."""
    files = list(ledger_worlds.in_files(ledger_worlds.world(5, 100, days=60, entered=True)).items())
    events, ledger = tmp_path / "events", Ledger.init(tmp_path / "ledger.duckdb")
    stored = []
    for step, number in enumerate((2, 1, 0)):
        write(events, *files[number])
        ledger.backfill(events, SMALL, clock=f"2024-06-0{step + 1}T00:00:00Z", **TWO_MONTHS)
        stored.append(exported(ledger))
    expected = ledger_worlds.aggregated(events, SMALL, **TWO_MONTHS)
    assert _without_created(expected) == _without_created(stored[-1])
    outcome = ledger.rerun("2024-02", as_of="2024-06-02T12:00:00Z")
    assert outcome.status == "reproduced"
    assert [row for row in stored[1] if row in exported(ledger, outcome.run_id)] == exported(ledger, outcome.run_id)
    assert stored[-1] == exported(ledger)
    assert ledger_worlds.problems(ledger) == []


def _without_created(rows: list[tuple[tuple[str, str], ...]]) -> list[dict[str, str]]:
    return [{name: text for name, text in row if name != "created_at"} for row in rows]


@pytest.fixture(scope="module")
def metered_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """January and February, metered, January closed; where that is, and a copy of it as it was."""
    folder = tmp_path_factory.mktemp("two-months") / "ledger"
    write(folder / "events", "jan", [event(1, day(2), seats=10), event(2, day(20), seats=20, subject="customer:2")])
    write(folder / "events", "feb", [event(3, day(40), seats=5)])
    ledger = Ledger.init(folder / "ledger.duckdb")
    ledger.backfill(folder / "events", SMALL, clock=CLOCK, **TWO_MONTHS)
    ledger.close("2024-01", by="ann", clock=CLOCK)
    return folder, Path(shutil.copytree(folder, folder.with_name("kept")))


@pytest.fixture
def two_months(metered_once: tuple[Path, Path]) -> Ledger:
    """January and February, metered; January closed. Each test has them as they were, in the same place."""
    folder, kept = metered_once
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    return Ledger(folder / "ledger.duckdb")


def add_late(ledger: Ledger) -> None:
    """Events of January in a file that came after it was closed."""
    write(events_of(ledger), "late", [event(4, day(10), seats=1), event(5, day(12), seats=2, subject="customer:3")])


@pytest.mark.slow
def test_status_names_what_a_late_file_touches_before_anything_runs(two_months: Ledger) -> None:
    """A new file is listed with the closed period that it touches and the open one that levels may change in; looking
    writes nothing."""
    fresh = two_months.status()
    before = two_months.store.path.read_bytes()
    add_late(two_months)
    status = two_months.status()
    assert [False, False] == [period.is_stale for period in fresh.periods]
    assert [str(events_of(two_months) / "late.parquet")] == status.new_files
    assert [("2024-01", "closed", True), ("2024-02", "open", True)] == [
        (period.period, period.status, period.is_stale) for period in status.periods
    ]
    assert "(2 events)" in status.periods[0].because[0]
    assert "2024-01" in status.periods[1].because[0]
    assert before == two_months.store.path.read_bytes()


def test_a_closed_period_stays_as_it_is(two_months: Ledger) -> None:
    """Neither a backfill nor a rerun overwrites what is closed; the open month after it takes the late level in."""
    before = exported(two_months, 1)
    add_late(two_months)
    outcomes = two_months.backfill(clock=LATER, **TWO_MONTHS)
    rerun = two_months.rerun("2024-01", clock=LATER)
    current = ledger_worlds.query(
        two_months, "SELECT name, run_id, closed_by, closed_run_id FROM periods ORDER BY name"
    )
    assert ["closed", "done"] == statuses(outcomes)
    assert rerun.status == "changed"
    assert before == exported(two_months, 1)
    assert [("2024-01", 1, "ann", 1), ("2024-02", outcomes[1].run_id, None, None)] == current
    february = {"start": "2024-02-01", "end": "2024-03-01", "every": "month", "clock": LATER}
    expected = _without_metered(ledger_worlds.aggregated(events_of(two_months), SMALL, **february))
    assert expected == _without_metered(exported(two_months, outcomes[1].run_id))


def _without_metered(rows: list[tuple[tuple[str, str], ...]]) -> list[dict[str, str]]:
    """A ledger knows when each file came; aggregate() takes all to have come at its clock."""
    times = ("max_metered_at", "last_metered_at", "created_at")
    return [{name: text for name, text in row if name not in times} for row in rows]


def test_closing_again_changes_nothing(two_months: Ledger) -> None:
    """Who closed a period, and when, is kept for ever; a period that was never metered cannot be closed."""
    two_months.close("2024-01", by="bob", clock=LATER)
    assert [("ann", True)] == ledger_worlds.query(
        two_months, f"SELECT closed_by, closed_at = '{CLOCK}' FROM periods WHERE name = '2024-01'"
    )
    with pytest.raises(LedgerError, match="2024-03"):
        two_months.close("2024-03")


@pytest.mark.slow
def test_a_restatement_is_booked_once(two_months: Ledger) -> None:
    """old + delta = new; booked, the new readings count; booked again, nothing changes; the old run is still there."""
    add_late(two_months)
    old = exported(two_months, 1)
    booked = [two_months.restate("2024-01", book=True, by="bob", clock=LATER) for _ in range(2)]
    with booked[0].rows as rows:
        changes = {(row["subject"], row["unit"]): row for row in rows.to_dicts()}
    assert [True, False] == [found.booked for found in booked]
    assert {("customer:1", "seats"), ("customer:1", "sold"), ("customer:3", "seats"), ("customer:3", "sold")} == set(
        changes
    )
    assert ("10", "11", "1") == tuple(changes["customer:1", "sold"][name] for name in ("old", "new", "delta"))
    assert (None, "2", "2") == tuple(changes["customer:3", "sold"][name] for name in ("old", "new", "delta"))
    assert [("added", "e4", None, "1")] == [
        (cause["cause"], cause["event_id"], cause["old"], cause["new"])
        for cause in changes["customer:1", "sold"]["causes"]
    ]
    window = {"start": "2024-01-01", "end": "2024-02-01", "every": "month"}
    ((run,),) = ledger_worlds.query(two_months, "SELECT run_id FROM periods WHERE name = '2024-01'")
    expected = _without_metered(ledger_worlds.aggregated(events_of(two_months), SMALL, **window))
    assert expected == _without_metered(exported(two_months, run))
    assert old == exported(two_months, 1)
    assert ledger_worlds.query(two_months, "SELECT count(*), max(booked_by) FROM restatements") == [(1, "bob")]
    assert ledger_worlds.problems(two_months) == []


def test_an_open_period_is_not_restated(two_months: Ledger) -> None:
    """A period that is open is simply metered again; a closed one of which nothing changed has no restatement."""
    with pytest.raises(LedgerError, match="is open"):
        two_months.restate("2024-02")
    found = two_months.restate("2024-01", book=True, by="bob", clock=LATER)
    assert ("", False, 0) == (found.restatement_id, found.booked, found.rows.count())


@pytest.mark.slow
def test_a_rerun_before_the_late_file_gives_the_old_bytes(two_months: Ledger) -> None:
    """As of a moment before a late file came, a period is what it was, byte for byte, though it is metered anew."""
    before = written(two_months.export("readings", run=1))
    add_late(two_months)
    two_months.backfill(clock=LATER, **TWO_MONTHS)
    outcome = two_months.rerun("2024-01", as_of="2024-06-15T00:00:00Z", clock=LATER)
    assert outcome.status == "reproduced"
    assert before == written(two_months.export("readings", run=outcome.run_id))


@pytest.mark.slow
def test_another_config_is_only_there_to_be_compared(two_months: Ledger) -> None:
    """A rerun as if another config had been in force never counts, and differs only in what that config changes."""
    other = copy.deepcopy(SMALL)
    other["measurements"][1]["filter"] = {"property": "region", "equals": "eu"}  # type: ignore[assignment]
    before = exported(two_months)
    outcome = two_months.rerun("2024-02", config=other, clock=LATER)
    with two_months.diff(2, outcome.run_id) as rows:
        changes = rows.to_dicts()
    assert before == exported(two_months)
    assert [("sold", "5", None, "-5", ["config"])] == [
        (row["unit"], row["old"], row["new"], row["delta"], [cause["cause"] for cause in row["causes"]])
        for row in changes
    ]


def test_a_simulation_leaves_production_as_it_is(two_months: Ledger) -> None:
    """Under another config in a universe of its own, the same events make other readings, and none of those that count
    is touched, which two digests prove."""
    other = copy.deepcopy(SMALL)
    other["measurements"][1]["multiply"] = "2"
    before = exported(two_months)
    found = two_months.simulate("2024-01", config=other, universe="simulation-double", clock=LATER)
    with found.rows as rows:
        changes = rows.to_dicts()
    assert found.counting_before_sha256 == found.counting_after_sha256
    assert before == exported(two_months)
    assert [("customer:1", "10", "20", "10"), ("customer:2", "20", "40", "20")] == [
        (row["subject"], row["old"], row["new"], row["delta"]) for row in changes
    ]
    universes = "SELECT DISTINCT universe_id FROM readings WHERE run_id = "
    assert [("simulation-double",)] == ledger_worlds.query(two_months, f"{universes}{found.run_ids[0]}")
    with pytest.raises(ConfigError, match="simulation-"):
        two_months.simulate("2024-01", config=other, universe="production")


@pytest.mark.slow
def test_a_result_scale_of_zero_is_kept(tmp_path: Path) -> None:
    """A scale of 0 is not the same as none: it is asked for again by a rerun, and asked for anew it is another run."""
    config = {"measurements": [{"sourceProperty": "seats", "unit": "s", "aggregation": "avg"}]}
    events = write(tmp_path, "a", [event(1, day(1), seats=1), event(2, day(2), seats=2), event(3, day(3), seats=2)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    window = {"start": "2024-01-01", "end": "2024-02-01", "every": "month", "clock": CLOCK}
    quantities = []
    for options in ({"scale": 0}, {}):
        assert ["done"] == statuses(ledger.backfill(events, config, **options, **window))
        ledger.rerun("2024-01", clock=LATER)
        quantities.append(ledger_worlds.query(ledger, "SELECT quantity FROM current_readings")[0][0])
    assert ["2", "1.666666666666666667"] == quantities


@pytest.mark.slow
def test_quantities_of_38_digits_are_restated_and_verified(tmp_path: Path) -> None:
    """Quantities beyond DECIMAL(38, 18) are compared, booked and verified like any other."""
    config = {"measurements": [{"sourceProperty": "seats", "unit": "s", "aggregation": "sum", "scale": 0}]}
    window = {"start": "2024-01-01", "end": "2024-02-01", "every": "month"}
    write(tmp_path / "events", "a", [event(1, day(1), seats=10**35 + 1)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(tmp_path / "events", config, clock=CLOCK, scale=0, **window)
    ledger.close("2024-01", by="ann")
    write(tmp_path / "events", "b", [event(2, day(1), seats=10**34)])
    with ledger.restate("2024-01", book=True, by="ann", clock=LATER).rows as rows:
        (row,) = rows.to_dicts()
    assert (str(10**35 + 1), str(11 * 10**34 + 1), str(10**34)) == (row["old"], row["new"], row["delta"])
    assert ledger_worlds.problems(ledger) == []


def test_a_run_that_is_stopped_leaves_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that Ctrl-C stopped leaves the ledger as one that was killed does: as if it had not begun."""

    def stopped(*_: object) -> None:
        raise Interrupted("run: was interrupted; nothing was written.")

    write(tmp_path / "e", "a", [event(1, day(1), seats=1)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    monkeypatch.setattr("metering_duck.ledger.runs.open_plan", stopped)
    with pytest.raises(Interrupted, match=r"^period 2024-01: run: was interrupted"):
        ledger.backfill(tmp_path / "e", SMALL, clock=CLOCK, **TWO_MONTHS)
    assert [] == ledger_worlds.query(ledger, "FROM runs")


@pytest.mark.slow
def test_a_period_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """A period whose sum has too many digits is a failed run with its reason; those before it stay done, and another
    config from there on mends it."""
    big = {"measurements": [{"sourceProperty": "seats", "unit": "s", "aggregation": "sum"}]}
    write(tmp_path / "e", "a", [event(1, day(1), seats=1)])
    write(tmp_path / "e", "b", [event(2, day(40), seats="9" * 20), event(3, day(41), seats="9" * 20)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    with pytest.raises(QuantityOverflow, match="2024-02"):
        ledger.backfill(tmp_path / "e", big, clock=CLOCK, **TWO_MONTHS)
    runs = ledger_worlds.query(ledger, "SELECT run_id, status, message LIKE '%38%' FROM runs ORDER BY run_id")
    assert [(1, "done", None), (2, "failed", True)] == runs
    mended = {"measurements": [{**big["measurements"][0], "scale": 0}]}
    february = {"start": "2024-02-01", "end": "2024-03-01", "every": "month", "scale": 0}
    assert ["done"] == statuses(ledger.backfill(None, mended, clock=CLOCK, **february))
    assert [("199999999999999999998",)] == ledger_worlds.query(
        ledger, "SELECT quantity FROM current_readings WHERE window_start = '2024-02-01 00:00:00+00'"
    )
    assert ledger_worlds.problems(ledger) == []


# --- what caused a change, against plain Python ----------------------------------------------------------------------


def kept(events: Iterable[Event]) -> dict[tuple[str, str], Event]:
    """The event of each key that counts: the first that entered (R8)."""
    first: dict[tuple[str, str], Event] = {}
    for one in sorted(events, key=lambda one: one["metered_at"]):
        first.setdefault((one["universe_id"], one["id"]), one)
    return first


def counted(events: Iterable[Event], start: datetime, end: datetime) -> dict[tuple[str, str], dict[str, Fraction]]:
    """(universe, subject) → event id → tokens, of the calls in a window."""
    found: dict[tuple[str, str], dict[str, Fraction]] = {}
    for one in kept(events).values():
        text = one["properties"].get("tokens", "")
        is_good = one["type"] == "call" and re.fullmatch(r"-?\d+(\.\d+)?", text)
        if is_good and one["time"] and start <= one["time"] < end:
            found.setdefault((one["universe_id"], one["subject"]), {})[one["id"]] = Fraction(text)
    return found


def fraction(text: str | None) -> Fraction | None:
    """A quantity, exactly."""
    return None if text is None else Fraction(text)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_causes_are_the_events_that_plain_python_finds(seed: int, tmp_path: Path) -> None:
    """Of each reading that a late file changes, old and new are the sums and greatest of plain Fractions, and the
    causes are the events that count otherwise now: added, superseded, or moved to another month."""
    events = ledger_worlds.world(seed, 150, days=60, entered=True)
    for n, one in enumerate(events):
        one["metered_at"] += timedelta(microseconds=n)
    late = events[::6]
    early = [one for n, one in enumerate(events) if n % 6]
    write(tmp_path / "events", "early", early)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(tmp_path / "events", TOKENS, clock=CLOCK, **TWO_MONTHS)
    ledger.close("2024-01", by="ann")
    write(tmp_path / "events", "late", late)
    with ledger.restate("2024-01", clock=LATER).rows as rows:
        actual = {(row["universe_id"], row["subject"], row["aggregation"]): row for row in rows.to_dicts()}
    old, new = (counted(known, day(0), day(31)) for known in (early, events))
    expected = {}
    for whose in {*old, *new}:
        before, after = old.get(whose, {}), new.get(whose, {})
        causes = {(n, before.get(n), after.get(n)) for n in {*before, *after} if before.get(n) != after.get(n)}
        for name, combine in (("sum", sum), ("max", max)):
            values = [combine(found.values()) if found else None for found in (before, after)]
            if values[0] != values[1]:
                expected[*whose, name] = (*values, (values[1] or 0) - (values[0] or 0), causes)
    assert expected == {
        key: (
            *(fraction(row[name]) for name in ("old", "new", "delta")),
            {(cause["event_id"], fraction(cause["old"]), fraction(cause["new"])) for cause in row["causes"]},
        )
        for key, row in actual.items()
    }
    kinds = {cause["cause"] for row in actual.values() for cause in row["causes"]}
    assert kinds <= {"added", "superseded", "rejected-before", "rejected-now"}
    assert "added" in kinds
    assert ledger_worlds.problems(ledger) == []


# --- traces ----------------------------------------------------------------------------------------------------------


def rounded(value: Fraction) -> Decimal:
    """Half to even at 18 digits (R16)."""
    with localcontext(prec=200):
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return exact.quantize(Decimal("1e-18"), ROUND_HALF_EVEN)


def recomputed(aggregation: str, unit: str, rows: list[dict[str, Any]], start: datetime, end: datetime) -> Fraction:
    """A reading from the rows that a trace shows, in plain Fractions."""
    levels = [Fraction(row["quantity"]) for row in rows]
    if aggregation == "sum":
        return sum(levels, Fraction(0))
    if aggregation == "max":
        return max(levels)
    if unit == "members":
        levels = [sum(levels[: n + 1], Fraction(0)) for n in range(len(levels))]
    times = [max(row["recorded_at"], start) for row in rows] + [end]
    held = [(after - at) // timedelta(microseconds=1) for at, after in itertools.pairwise(times)]
    assert held == [row["held_us"] for row in rows]
    if aggregation == "final-state":
        return levels[-1]
    if aggregation == "peak-state":
        return max(level for level, us in zip(levels, held, strict=True) if us)
    weighted = sum((level * us for level, us in zip(levels, held, strict=True)), Fraction(0))
    return weighted / ((end - start) // timedelta(microseconds=1))


MEASURED = [("tokens", "sum"), ("largest", "max"), ("european", "sum"), ("seats", "time-weighted-avg")]
MEASURED += [("members", "time-weighted-avg"), ("seats", "peak-state"), ("last", "final-state")]


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize(("unit", "aggregation"), MEASURED)
def test_the_rows_of_a_trace_recompute_the_reading(months: Ledger, unit: str, aggregation: str) -> None:
    """The events that a trace shows, each with its file and its row there, come to the reading to the last digit."""
    with months.export("readings", run=2) as rows:
        of_kind = [row for row in rows.to_dicts() if (row["unit"], row["aggregation"]) == (unit, aggregation)]
    reading = max(of_kind, key=lambda row: (row["record_count"], row["id"]))
    found = months.trace(reading["id"][:12])
    with found.events as events:
        shown = events.to_dicts()
    value = recomputed(aggregation, unit, shown, reading["window_start"], reading["window_end"])
    assert rounded(value) == reading["quantity"]
    assert found.totals["adds_up"]
    assert reading["record_count"] == sum(not row["carried_in"] for row in shown)
    assert found.run_id == 2
    assert NARROW["entries"][0]["type"] == found.config["entries"][0]["type"]
    for row in shown:
        if not row["carried_in"]:
            assert row["event_id"] == parquet.read_table(row["file"]).column("id")[row["file_row"] - 1].as_py()


def test_a_traced_level_from_before_is_marked(two_months: Ledger) -> None:
    """A level that an earlier month set is a row of its own, carried in, and holds from the first moment."""
    with two_months.export("readings", run=2) as rows:
        (reading,) = [row for row in rows.to_dicts() if row["subject"] == "customer:2"]
    found = two_months.trace(reading["id"])
    with found.events as events:
        (row,) = events.to_dicts()
    assert (True, "e2", "20", day(31), day(60)) == tuple(
        row[name] for name in ("carried_in", "event_id", "quantity", "held_from", "held_until")
    )
    assert found.totals["carried_in"] == 1
    assert day(31) == reading["window_start"].astimezone(UTC)


@pytest.mark.slow
def test_a_trace_shows_its_own_window_only(tmp_path: Path) -> None:
    """Where all events are read, a trace still shows those of its window, and of a gauge the level that holds when it
    begins."""
    write(tmp_path, "a", [event(n, day(12 * n), "seat", seats=n, joined=n) for n in range(6)])
    write(tmp_path, "b", [event(10 + n, day(12 * n), tokens=n, subject="customer:2") for n in range(6)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    chosen = {"call": slice(1), "seat": slice(0, 4, 3)}
    entries = [{**entry, "measurements": entry["measurements"][chosen[entry["type"]]]} for entry in NARROW["entries"]]
    february = {"start": "2024-02-01", "end": "2024-03-01", "every": "month", "clock": CLOCK, "fill": "zero"}
    ledger.backfill(tmp_path / "*.parquet", {"entries": entries}, **february)
    with ledger.export("readings") as rows:
        ids = {(row["unit"], row["aggregation"]): row["id"] for row in rows.to_dicts()}
    shown = {}
    for key in [("seats", "time-weighted-avg"), ("members", "time-weighted-avg"), ("tokens", "sum")]:
        found = ledger.trace(ids[key])
        assert found.totals["adds_up"]
        with found.events as events:
            shown[key[0]] = [(row["event_id"], row["quantity"], row["carried_in"]) for row in events.to_dicts()]
    assert [("e2", "2", True), ("e3", "3", False), ("e4", "4", False)] == shown["seats"]
    assert [("e2", "3", True), ("e3", "3", False), ("e4", "4", False)] == shown["members"]
    assert [("e13", "3", False), ("e14", "4", False)] == shown["tokens"]


def test_a_quantity_that_is_split_by_time_is_refused(tmp_path: Path) -> None:
    """Parts of a split are known only when all windows are (R26): a ledger says so, and keeps nothing of it."""
    write(tmp_path, "a", [event(1, day(0), "job", hours=6, days=60)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    span = {"duration": "days", "unit": "days"}
    hours = {"sourceProperty": "hours", "unit": "hours", "aggregation": "sum", "span": span, "proration": "by-time"}
    with pytest.raises(ConfigError, match="found a quantity that is split by time; expected a whole one"):
        ledger.backfill(tmp_path / "a.parquet", {"measurements": [hours]}, clock=CLOCK, **TWO_MONTHS)
    with ledger.export("runs") as rows:
        assert rows.count() == 0


def test_a_measurement_without_an_aggregation_is_refused(tmp_path: Path) -> None:
    """Neither the config nor the call says how quantities become readings."""
    write(tmp_path, "a", [event(1, day(0), seats=1)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    config = {"measurements": [{"sourceProperty": "seats", "unit": "seats"}]}
    with pytest.raises(ConfigError, match=r"measurements\[0\]\.aggregation: found none; expected one of sum"):
        ledger.backfill(tmp_path / "a.parquet", config, clock=CLOCK, **TWO_MONTHS)


# --- what fresh eyes found -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_that_moves_takes_its_files_along(tmp_path: Path) -> None:
    """Files are known by their content: from another folder they are the same, and nothing is to be done."""
    write(tmp_path / "a", "x", [event(1, day(1), "seat", seats=2)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(tmp_path / "a", SMALL, clock=CLOCK, **TWO_MONTHS)
    (tmp_path / "a").rename(tmp_path / "b")

    assert ["unchanged", "unchanged"] == statuses(ledger.backfill(tmp_path / "b", clock=LATER, **TWO_MONTHS))
    assert ([], []) == (ledger.status().new_files, ledger.status().gone_files)
    assert "reproduced" == ledger.rerun("2024-01", clock=LATER).status


@pytest.mark.slow
def test_what_had_been_seen_decides_as_of_a_moment(tmp_path: Path) -> None:
    """A file that had been seen counts whole, whatever its events say; before the first file, it is what they say."""
    entered = [datetime(2024, 1, 10, tzinfo=UTC), datetime(2024, 9, 1, tzinfo=UTC)]
    rows = [event(n, day(n), "seat", seats=1, metered_at=moment) for n, moment in enumerate(entered)]
    write(tmp_path, "a", rows)
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    (january, _) = ledger.backfill(tmp_path / "a.parquet", SMALL, clock="2024-06-01T00:00:00Z", **TWO_MONTHS)

    assert ("reproduced", 2) == (ledger.rerun("2024-01", as_of="2024-06-02").status, january.read)
    assert 1 == ledger.rerun("2024-01", as_of="2024-02-01").read


@pytest.mark.slow
def test_status_tells_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """What is no event file stops a backfill, with words; status goes on and says so."""
    write(tmp_path / "a", "x", [event(1, day(1), "seat", seats=2)])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(tmp_path / "a", SMALL, clock=CLOCK, **TWO_MONTHS)
    (tmp_path / "a" / "y.parquet").write_bytes(b"no parquet at all")

    (problem,) = ledger.status().problems
    assert problem.startswith(f"the new files cannot be read: {tmp_path / 'a' / 'y.parquet'}: cannot be read")
    assert "closed" == ledger.close("2024-01").status


@pytest.mark.slow
def test_any_quantity_is_restated(tmp_path: Path) -> None:
    """A reading of 38 digits beside the one that changes is no hindrance, and changes by its last digit."""
    tokens = {"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}
    wide = "12345678901234567890.000000000000000001"
    write(tmp_path, "a", [event(1, day(1), tokens=wide), event(2, day(1), tokens=1, subject="customer:2")])
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    ledger.backfill(tmp_path / "*.parquet", {"measurements": [tokens]}, clock=CLOCK, **TWO_MONTHS)
    ledger.close("2024-01", by="ann")
    late = [event(3, day(2), tokens="0.000000000000000001"), event(4, day(2), tokens=-3, subject="customer:2")]
    write(tmp_path, "b", late)

    with ledger.restate("2024-01", book=True, by="ann").rows as rows:
        changes = [(row["old"], row["delta"], row["new"]) for row in rows.to_dicts()]
    expected = [(wide, "0.000000000000000001", wide[:-1] + "2"), ("1", "-3", "-2")]
    assert expected == changes
    assert [] == ledger_worlds.problems(ledger)
