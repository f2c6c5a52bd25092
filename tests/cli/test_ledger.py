"""The ledger's commands: what they print and write, how they end, and what they say when they cannot go on."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import click
import pytest

from metering_duck import aggregate
from metering_duck.cli.ledger import COMMANDS, ledger_group
from tests.cli.running import good, run

HEAD = "id,workspace_id,universe_id,type,subject,time,tokens,seats,region\n"
JANUARY = HEAD + (
    "e1,acme,production,use,customer:a,2024-01-05T00:00:00Z,100,3,eu\n"
    "e2,acme,production,use,customer:a,2024-01-15T00:00:00Z,20.5,5,us\n"
    "e3,acme,production,use,customer:b,2024-01-20T00:00:00Z,7,1,eu\n"
    "e4,acme,production,use,customer:b,2024-01-21T00:00:00Z,oops,1,eu\n"
    "e5,acme,production,use,customer:b,,1,1,eu\n"
)
FEBRUARY = HEAD + "e6,acme,production,use,customer:a,2024-02-10T00:00:00Z,50,8,eu\n"
LATE = HEAD + "e7,acme,production,use,customer:a,2024-01-25T00:00:00Z,0.01,5,eu\n"
CONFIG: dict[str, Any] = {
    "measurements": [
        {"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"},
        {"sourceProperty": "seats", "unit": "seats", "aggregation": "time-weighted-avg"},
    ]
}
CLOCK = ("--clock", "2024-03-01T00:00:00Z")
LATER = ("--clock", "2024-04-01T00:00:00Z")
SPAN = ("--from", "2024-01-01", "--to", "2024-03-01", "--every", "month")


def settle(place: Path, patched: pytest.MonkeyPatch) -> Path:
    """Work in a folder with two months of events, a config, and METERING_DUCK_LEDGER for a ledger that is not there."""
    (place / "events").mkdir()
    (place / "events" / "january.csv").write_text(JANUARY, encoding="utf-8")
    (place / "events" / "february.csv").write_text(FEBRUARY, encoding="utf-8")
    (place / "late.csv").write_text(LATE, encoding="utf-8")
    (place / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    only_eu = {**CONFIG["measurements"][0], "filter": {"property": "region", "equals": "eu"}}
    (place / "eu.json").write_text(json.dumps({"measurements": [only_eu, CONFIG["measurements"][1]]}))
    patched.chdir(place)
    for name in [name for name in os.environ if name.startswith("METERING_DUCK_")]:
        patched.delenv(name)
    patched.setenv("METERING_DUCK_LEDGER", "usage.duckdb")
    return place


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with both months, for tests that only read it."""
    with pytest.MonkeyPatch.context() as patched:
        place = settle(tmp_path_factory.mktemp("two-months"), patched)
        backfilled()
    return place / "usage.duckdb"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own for each test."""
    return settle(tmp_path, monkeypatch)


def objects(*arguments: str) -> Any:
    """The JSON of a command that must end well."""
    return json.loads(good(*arguments, "--format", "json"))


def backfilled() -> list[dict[str, Any]]:
    """A new ledger with both months."""
    good("ledger", "init")
    found: list[dict[str, Any]] = objects("backfill", "events", "--config", "config.json", *SPAN, *CLOCK)
    return found


def arrive_late() -> None:
    """The late file joins the others."""
    Path("late.csv").rename("events/late.csv")


def test_a_backfill_says_what_became_of_each_period() -> None:
    """Each period has its run, the five of its books and its digest; again, all is unchanged."""
    first, again = backfilled(), objects("backfill", *SPAN, *CLOCK)

    keys = ("period", "status", "run_id", "read", "metered", "unmatched", "duplicates", "conflicts", "rejected")
    assert [("2024-01", "done", 1, 4, 3, 0, 0, 0, 1), ("2024-02", "done", 2, 1, 1, 0, 0, 0, 0)] == [
        tuple(outcome[key] for key in keys) for outcome in first
    ]
    assert ["unchanged", "unchanged"] == [outcome["status"] for outcome in again]
    assert [outcome["readings_sha256"] for outcome in first] == [outcome["readings_sha256"] for outcome in again]


@pytest.mark.slow
def test_the_readings_are_the_bytes_of_aggregate_and_of_their_digest() -> None:
    """Exported readings are what aggregate gives, and their SHA-256 is what the run says."""
    first = backfilled()[0]
    exported = good("ledger", "export", "readings", "--run", "1", "--format", "ndjson")
    with aggregate("events", CONFIG, start="2024-01-01", end="2024-02-01", clock=CLOCK[1]) as result:
        result.write("expected.ndjson")

    assert Path("expected.ndjson").read_text() == exported
    assert hashlib.sha256(exported.encode()).hexdigest() == first["readings_sha256"]


@pytest.mark.slow
def test_finance_restates_a_month() -> None:
    """A late file: status names the closed month, restate says old, new and delta and why, booked once it counts."""
    backfilled()
    good("close", "2024-01", "--by", "ann", *CLOCK)
    arrive_late()
    status = objects("ledger", "status")
    late = str(Path("events/late.csv").absolute())
    assert [late] == status["new_files"]
    assert (["new: " + late + " (1 event)"], "closed", "ann") == (
        status["periods"][0]["because"],
        status["periods"][0]["status"],
        status["periods"][0]["closed_by"],
    )
    assert 3 == run("ledger", "status", "--strict").exit_code

    changes = objects("restate", "2024-01", *LATER)
    tokens = next(change for change in changes if change["unit"] == "tokens")
    assert ("120.5", "120.51", "0.01", "added 1") == tuple(tokens[key] for key in ("old", "new", "delta", "why"))
    assert [("added", "e7", None, "0.01", late)] == [
        tuple(cause[key] for key in ("cause", "event_id", "old", "new", "file")) for cause in tokens["causes"]
    ]
    assert "120.5" in good("ledger", "export", "readings", "--format", "csv")
    booked, twice = run("restate", "2024-01", "--book", *LATER), run("restate", "2024-01", "--book", *LATER)
    assert booked.stderr.endswith(": booked\n")
    assert (0, "2024-01: nothing to restate\n") == (twice.exit_code, twice.stderr)
    assert "120.51" in good("ledger", "export", "readings", "--format", "csv")
    assert ["reproduced"] == [outcome["status"] for outcome in objects("rerun", "2024-01", "--as-of", "2024-03-15")]
    assert "1 wrong" not in good("ledger", "verify", "--files", "--format", "table")
    assert ["0.01"] == [row["delta"] for row in objects("ledger", "export", "restatements")]


@pytest.mark.slow
def test_a_trace_leads_from_a_number_to_its_rows() -> None:
    """The rows of a reading, with file, place and id, come to its quantity; other formats have the rows alone."""
    backfilled()
    readings = [json.loads(line) for line in good("ledger", "export", "readings", "--format", "ndjson").splitlines()]
    wanted = next(r for r in readings if r["measurement"] == {"quantity": "120.5", "unit": "tokens"})
    trace = objects("trace", wanted["id"][:8])

    january = str(Path("events/january.csv").absolute())
    assert [(january, 1, "e1", "100"), (january, 2, "e2", "20.5")] == [
        (event["file"], event["file_row"], event["event_id"], event["quantity"]) for event in trace["events"]
    ]
    assert {"rows": 2, "total": "120.5", "adds_up": True} == {
        key: trace["totals"][key] for key in ("rows", "total", "adds_up")
    }
    assert "sum" == trace["config"]["entries"][0]["measurements"][0]["aggregation"]
    assert trace["sql"] == good("trace", wanted["id"], "--sql")
    assert 1 == len(good("trace", wanted["id"], "--limit", "1", "--format", "ndjson").splitlines())
    assert "they come to: 120.5" in good("trace", wanted["id"], "--format", "table")


@pytest.mark.slow
def test_another_config_changes_what_it_touches_only() -> None:
    """diff of a run under another config shows the measurement with the filter, and the config as the cause."""
    backfilled()
    assert ["changed"] == [outcome["status"] for outcome in objects("rerun", "2024-01", "--config", "eu.json")]
    changes = objects("diff", "1", "3")

    assert [("tokens", "-20.5", "config 1")] == [(row["unit"], row["delta"], row["why"]) for row in changes]
    assert ["config"] == [cause["cause"] for cause in changes[0]["causes"]]
    assert [[]] == [row["causes"] for row in objects("diff", "1", "3", "--no-causes")]


@pytest.mark.slow
def test_a_simulation_leaves_what_counts_as_it_is() -> None:
    """simulate shows the difference under the name of the universe, and that the readings that count are unchanged."""
    backfilled()
    before = good("ledger", "export", "readings", "--format", "ndjson")
    made = run("simulate", "2024-01", "--config", "eu.json", "--universe", "simulation-eu", "--format", "json")

    assert [("production", "tokens", "-20.5")] == [
        (row["universe_id"], row["unit"], row["delta"]) for row in json.loads(made.stdout)
    ]
    assert hashlib.sha256(before.encode()).hexdigest() in made.stderr
    assert "the readings that count are unchanged" in made.stderr
    assert before == good("ledger", "export", "readings", "--format", "ndjson")


@pytest.mark.slow
def test_all_periods_are_simulated_at_once() -> None:
    """Without a period, simulate takes all of the ledger, or those between two moments; it names its runs."""
    backfilled()
    simulate = ("simulate", "--config", "eu.json", "--universe", "simulation-eu", "--format", "ndjson")
    both, one = run(*simulate), run(*simulate, "--from", "2024-02-01", "--to", "2024-03-01")

    assert ([("2024-01-01T00:00:00Z", "-20.5")], []) == tuple(
        [(row["window_start"], row["delta"]) for row in map(json.loads, done.stdout.splitlines())]
        for done in (both, one)
    )
    assert ("runs 3, 5; ", "run 6; ") == tuple(
        done.stderr.splitlines()[-1].partition("the readings")[0] for done in (both, one)
    )
    wrong = run(*simulate, "--of", "staging")
    expected = "error: universe: found no reading of 'staging'; expected one of production. hint: --of\n"
    assert (1, expected) == (wrong.exit_code, wrong.stderr)


@pytest.mark.slow
def test_a_day_of_a_metered_month_can_be_metered_alone() -> None:
    """A part of a period is metered as the whole was, and counts for nothing."""
    backfilled()
    (outcome,) = objects("rerun", "2024-01-15")

    assert ("2024-01-15", "new", 1) == (outcome["period"], outcome["status"], outcome["read"])
    assert ["2024-01", "2024-02"] == [row["name"] for row in objects("ledger", "export", "periods")]


@pytest.mark.slow
def test_a_universe_can_be_forked_and_renamed(folder: Path) -> None:
    """Forked events are events of another universe; --map-universe renames one where it is read."""
    good("fork-universe", "production", "test-prices", "events", "-o", "fork.parquet", *CLOCK)
    window = ("--start", "2024-01-01", "--end", "2024-02-01", "--aggregation", "sum", "--format", "ndjson")
    forked = good("aggregate", "fork.parquet", "--config", "config.json", *window, *CLOCK)
    renamed = good(
        "aggregate", "events", "--config", "config.json", *window, *CLOCK, "--map-universe", "production=test-prices"
    )

    assert {"test-prices"} == {json.loads(line)["universeID"] for line in forked.splitlines()}
    quantities = [json.loads(line)["measurement"] for line in renamed.splitlines()]
    assert quantities == [json.loads(line)["measurement"] for line in forked.splitlines()]
    backfilled()
    known = good("fork-universe", "production", "test-prices", "--format", "ndjson")
    assert ["e1", "e2", "e3", "e4", "e6"] == [json.loads(line)["id"] for line in known.splitlines()]


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("suffix", ["json", "ndjson", "csv", "parquet", "arrow", "xlsx"])
@pytest.mark.parametrize("table", ["readings", "restatements"])
def test_tables_are_written_in_every_format(table: str, suffix: str, two_months: Path) -> None:
    """A table of the ledger becomes a file of the format that its suffix names."""
    good("ledger", "export", table, "-o", f"out.{suffix}", "--ledger", str(two_months))

    assert 0 < Path(f"out.{suffix}").stat().st_size or (table, suffix) == ("restatements", "ndjson")


ENDS = {
    "no such ledger": (1, ("ledger", "status", "--ledger", "none.duckdb"), "found no ledger"),
    "a ledger that is there": (1, ("ledger", "init"), "is there already"),
    "no config": (1, ("backfill", "events", *SPAN), "period 2024-01: config: found none"),
    "no window": (2, ("backfill", "events", "--config", "config.json"), "window: found no start and end"),
    "standard input": (1, ("backfill", "-", "--config", "config.json", *SPAN), "is no file"),
    "a period that is none": (2, ("close", "soon"), "period: found 'soon'; expected 2024-01"),
    "a period that was not metered": (1, ("close", "2025-01"), "is not in the ledger"),
    "a rerun of nothing": (1, ("rerun", "2025-01"), "is not in the ledger"),
    "a restatement of an open period": (1, ("restate", "2024-01"), "is not in the ledger"),
    "an unknown run": (1, ("diff", "1", "2"), "run 1: is not in the ledger"),
    "an unknown reading": (1, ("trace", "abcdef"), "reading abcdef: is not among the readings that count now"),
    "a reading that is none": (2, ("trace", "no-id"), "expected at least 4 digits"),
    "an unknown table": (2, ("ledger", "export", "reading"), 'did you mean "readings"?'),
    "a universe for production": (
        2,
        ("simulate", "2024-01", "--config", "eu.json", "--universe", "production"),
        "expected a name that begins with simulation-",
    ),
    "a universe forked into itself": (2, ("fork-universe", "a", "a", "events"), "expected another name for the fork"),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("end", ENDS)
def test_what_cannot_be_done_says_why(end: str) -> None:
    """Each exit code and the words of its message; usage and config are 2, the ledger and its files 1."""
    code, arguments, words = ENDS[end]
    good("ledger", "init")
    done = run(*arguments)

    assert (code, True, True) == (done.exit_code, done.stderr.startswith("error: "), words in done.stderr)


def test_a_ledger_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --ledger and METERING_DUCK_LEDGER, the message names both."""
    monkeypatch.delenv("METERING_DUCK_LEDGER")
    done = run("ledger", "status")

    hint = "hint: --ledger FILE, or METERING_DUCK_LEDGER=FILE"
    assert (2, f"error: ledger: found none; expected a file. {hint}\n") == (done.exit_code, done.stderr)


@pytest.mark.slow
def test_strict_keeps_nothing_of_a_period_with_rejects() -> None:
    """backfill --strict ends with 3 at the first reject; nothing of that period counts."""
    good("ledger", "init")
    done = run("backfill", "events", "--config", "config.json", *SPAN, "--strict")

    assert (3, []) == (done.exit_code, objects("ledger", "export", "periods"))
    assert ["failed"] == [row["status"] for row in objects("ledger", "export", "runs")]


def test_every_option_of_the_ledger_has_a_help_text() -> None:
    """Every command of the ledger takes --ledger, and no option is silent."""
    commands = [*(c for c in COMMANDS if c is not ledger_group), *ledger_group.commands.values()]
    options = {c.name: [p for p in c.params if isinstance(p, click.Option)] for c in commands}

    assert [] == [name for name, found in options.items() if "ledger" not in [p.name for p in found]]
    assert [] == [(name, p.name) for name, found in options.items() for p in found if not p.help]


def test_no_output_replaces_a_ledger_or_what_it_has_read(
    two_months: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under any name: by a link, by the environment, its write-ahead log, and the event files that it knows."""
    monkeypatch.chdir(two_months.parent)
    monkeypatch.setenv("METERING_DUCK_LEDGER", "usage.duckdb")
    link = tmp_path / "link.csv"
    link.symlink_to(two_months)
    known = {path: path.read_bytes() for path in (Path("usage.duckdb"), Path("events/january.csv"))}
    for target in ("usage.duckdb", str(link), "usage.duckdb.wal", "events/january.csv"):
        for command in (("ledger", "export", "readings"), ("diff", "1", "2"), ("trace", "0000")):
            done = run(*command, "-o", target, "--format", "csv")
            assert (2, f"error: --output: found {target}, which is ") == (
                done.exit_code,
                done.stderr[: len(target) + 34],
            )
    assert known == {path: path.read_bytes() for path in known}
