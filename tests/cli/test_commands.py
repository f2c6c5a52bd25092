"""check, compile, schema and demo: what they show, and what they leave alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from metering_duck.contract.payloads import MODELS
from tests import resident
from tests.cli.running import CLOCK, ENVIRONMENT, WINDOW, good, run

pytestmark = pytest.mark.usefixtures("folder")


def test_check_says_what_would_be_rejected_and_writes_nothing() -> None:
    """check counts events by type and rejects by reason, with an example of each; it writes no file."""
    before = sorted(os.listdir())
    report = json.loads(good("check", "config.json", "events.csv"))

    assert before == sorted(os.listdir())
    assert [("llm", "metered", 2), ("llm", "rejected", 1), ("ping", "unmatched-entry", 1)] == [
        (row["type"], row["status"], row["events"]) for row in report["types"]
    ]
    assert [("quantity-syntax", "entries[0].measurements[0]", 1, "1,000", "e3")] == [
        (r["reason"], r["measurement"], r["count"], r["example_text"], r["example_id"]) for r in report["rejects"]
    ]
    assert (1, [], True) == (report["measurements"], report["problems"], report["accounting"]["balances"])


def test_check_of_a_config_alone_needs_no_events() -> None:
    """check CONFIG lints the config: every problem at once, on stderr and in the report, with exit code 2."""
    Path("bad.json").write_text(
        '{"measurements": [{"unit": ""}, {"sourceProperty": 5, "unit": "x"}]}', encoding="utf-8"
    )
    done = run("check", "bad.json")

    assert (2, 3, 3) == (
        done.exit_code,
        len(json.loads(done.stdout)["problems"]),
        done.stderr.count("error: bad.json: measurements["),
    )
    assert [] == json.loads(good("check", "config.json"))["problems"]


def test_check_as_a_table_is_for_people() -> None:
    """check --format table shows the counts and the reasons in words."""
    shown = good("check", "config.json", "events.csv", "--format", "table")

    config, warning, events, *_ = shown.splitlines()
    assert "config: 1 measurement, no problem found" == config
    assert "warning: type 'ping': no entry matches 1 event. hint: known: llm." == warning
    assert events.startswith("events: 6 read, 2 metered, 1 unmatched,")
    assert "the text is not a quantity (R4)" in shown


def test_what_is_read_is_not_written(folder: Path) -> None:
    """A file within an input's folder, or one that a URL names, would be read next time, or is lost."""
    events = folder / "events"
    events.mkdir()
    (folder / "events.csv").rename(events / "a.csv")
    before = (events / "a.csv").read_bytes()
    for target, source in (
        ("events/a.csv", "events"),
        ("events/new.parquet", "events"),
        ("s3://b/e/a.parquet", "s3://b/e/"),
        ("s3a://b/e.parquet", "s3://b/e.parquet"),
        ("s3://b/e/a.parquet", "s3://b/e/*.parquet"),
    ):
        done = run("aggregate", source, "--config", "config.json", *WINDOW, *CLOCK, "-o", target)
        expected = f"found {target}, which is among what {source} is read from; expected another place"
        assert (2, True) == (done.exit_code, expected in done.stderr), done.stderr
    assert [before] == [path.read_bytes() for path in events.iterdir()]


def test_compile_shows_the_sql_that_runs(folder: Path) -> None:
    """compile prints a script that gives, run by DuckDB as it stands, the quantities that aggregate gives."""
    script = good("compile", "--config", "config.json", *WINDOW, *CLOCK, "events.csv")
    found = duckdb.connect().execute(script).fetchall()

    assert ["100", "2.5"] == sorted(
        str(next(v for v in row if str(v).rstrip("0").rstrip(".") in ("100", "2.5"))).rstrip("0").rstrip(".")
        for row in found
    )


def test_compile_shows_one_stage_and_knows_their_names() -> None:
    """--stage NAME prints that stage alone; an unknown one is answered with those there are."""
    stage = good("compile", "--config", "config.json", "--stage", "projected")
    unknown = run("compile", "--config", "config.json", "--stage", "projectd")

    assert ("-- ", True) == (stage[:3], "FROM matched" in stage)
    assert (2, True) == (
        unknown.exit_code,
        "stage: found 'projectd'; expected one of " in unknown.stderr and "projected" in unknown.stderr,
    )


def test_compile_without_a_window_is_the_sql_of_meter() -> None:
    """Without --start and --end compile shows meter; an option of aggregate is then a wrong usage."""
    script = good("compile", "--config", "config.json")
    done = run("compile", "--config", "config.json", "--every", "day")

    assert ("read_parquet('events.parquet')" in script, "CREATE OR REPLACE TEMP TABLE windows" in script) == (
        True,
        False,
    )
    assert (2, True) == (done.exit_code, done.stderr.startswith("error: every: "))
    for option in (("--fill", "zero"), ("--whole-periods",), ("--subject", "customer:a")):
        refused = run("compile", "--config", "config.json", *option)
        assert (2, True) == (refused.exit_code, "found it without a window" in refused.stderr)


def test_compile_keeps_a_scale_of_zero() -> None:
    """--scale 0 rounds to whole numbers in the SQL, too, and without a window it is a wrong usage."""
    command = ("compile", "--config", "config.json", *CLOCK)
    averages = (*WINDOW, "--aggregation", "avg", "--stage", "readings")
    shown = {scale: good(*command, *averages, *scale) for scale in ((), ("--scale", "0"), ("--scale", "1"))}
    refused = run(*command, "--scale", "0")

    assert [False, True, False] == ["DECIMAL(38, 0)) AS quantity" in sql for sql in shown.values()], shown
    assert (2, True) == (refused.exit_code, "scale: found it without a window" in refused.stderr)


def test_schema_lists_and_prints_the_contracts() -> None:
    """schema without a name lists the contracts; with one, in any spelling, it prints a JSON Schema."""
    assert list(MODELS) == good("schema").split()
    for name in MODELS:
        assert name == json.loads(good("schema", name))["title"]
    assert good("schema", "MeterRecord") == good("schema", "meter-record")
    unknown = run("schema", "MeterRecrod")
    assert (2, True) == (unknown.exit_code, 'did you mean "MeterRecord"?' in unknown.stderr)


@pytest.mark.slow
def test_the_demo_runs_twice_and_its_advice_works(folder: Path) -> None:
    """demo writes a folder, shows tables and the next commands, which run as printed; a second time it is content."""
    first, second = good("demo"), good("demo")
    commands = re.findall(r"^  (metering-duck .+)$", first, re.MULTILINE)
    path = f"{resident.folder()}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{ENVIRONMENT['PATH']}"

    assert first == second
    assert ["config.json", "events.parquet"] == sorted(os.listdir("metering-duck-demo"))
    assert 5 == len(commands)
    script = " && ".join(f"{command} > /dev/null" for command in commands)
    done = subprocess.run(["bash", "-c", script], env={**ENVIRONMENT, "PATH": path}, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert {"readings.csv", "records.parquet", "rejects.csv"} <= set(os.listdir())


def test_the_demo_takes_a_folder_with_other_files(folder: Path) -> None:
    """A folder with other files is left alone but for the two of the demo; another file of that name is an error."""
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    good("demo", "mine")
    (folder / "mine" / "config.json").write_text("{}", encoding="utf-8")
    done = run("demo", "mine")

    assert ["config.json", "events.parquet", "notes.txt"] == sorted(os.listdir("mine"))
    assert (1, "{}") == (done.exit_code, (folder / "mine" / "config.json").read_text(encoding="utf-8"))
    assert (
        "error: mine/config.json: found a file that is not the demo's; expected none. hint: metering-duck demo "
        "OTHER-FOLDER\n" == done.stderr
    )


def test_the_demo_cannot_be_a_file() -> None:
    """A folder name that is a file is a clear error."""
    done = run("demo", "config.json")

    assert (1, True) == (done.exit_code, done.stderr.startswith("error: config.json: "))
