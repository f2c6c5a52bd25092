"""The command line: every option does what it says, data on stdout, messages on stderr, and an exit code for each
end."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import duckdb
import polars
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

import metering_duck
from metering_duck.cli.main import cli
from metering_duck.contract.schemas import MODELS

CLOCK = ["--clock", "2024-06-01T00:00:00Z"]
WINDOW = ["--start", "2024-01-01", "--end", "2024-02-01"]
COMMANDS = (
    *("aggregate", "backfill", "check", "close", "compile", "demo", "diff", "doctor", "fork-universe"),
    *("ledger", "meter", "periods", "rerun", "restate", "rollup", "schema", "simulate", "trace"),
)
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("METERING_DUCK_")}
METERED = "6 read = 2 metered + 1 unmatched + 1 duplicate + 1 conflict + 1 rejected (1 quantity-syntax)\n"
HEAD = "id,workspace_id,universe_id,type,subject,time,tokens,region,metered_at\n"
EVENTS = HEAD + (
    "e1,acme,production,llm,customer:a,2024-01-01T10:00:00Z,100,eu,2024-01-01T10:05:00Z\n"
    "e2,globex,staging,llm,customer:b,2024-01-02T10:00:00Z,2.50,us,2024-01-02T10:05:00Z\n"
    'e3,acme,production,llm,customer:a,2024-01-03T10:00:00Z,"1,000",eu,2024-01-03T10:05:00Z\n'
    "e4,acme,production,ping,customer:a,2024-01-04T10:00:00Z,,eu,2024-01-04T10:05:00Z\n"
    "e1,acme,production,llm,customer:a,2024-01-01T10:00:00Z,100,eu,2024-01-05T10:05:00Z\n"
    "e1,acme,production,llm,customer:a,2024-01-01T10:00:00Z,101,eu,2024-01-06T10:05:00Z\n"
)
CONFIG = {
    "entries": [{"type": "llm", "measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}]
}
PLAIN = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens"}]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with events.csv, clean.csv, config.json and plain.json, and no METERING_DUCK_ variables."""
    (tmp_path / "events.csv").write_text(EVENTS, encoding="utf-8")
    (tmp_path / "clean.csv").write_text("".join(EVENTS.splitlines(keepends=True)[:3]), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "plain.json").write_text(json.dumps(PLAIN), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(ENVIRONMENT):
        monkeypatch.delenv(name)
    return tmp_path


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(cli, list(arguments), env=dict(env or {}))


def good(*arguments: str) -> str:
    """The standard output of a command that must end well."""
    done = run(*arguments)
    assert (0, "") == (done.exit_code, done.stderr if done.exit_code else "")
    return done.stdout


def rows(*arguments: str) -> list[dict[str, Any]]:
    """The NDJSON rows of a command that must end well."""
    return [json.loads(line) for line in good(*arguments).splitlines()]


def amounts(*arguments: str) -> list[str]:
    """The quantities that a command gives."""
    return [row["measurement"]["quantity"] for row in rows(*arguments)]


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """A command as a process of its own, in the foreground of its own group."""
    command = [sys.executable, "-m", "metering_duck", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    return subprocess.Popen(command, start_new_session=True, **{**pipes, **options})


METER = ("meter", "events.csv", "--config", "config.json", *CLOCK)
AGGREGATE = ("aggregate", "events.csv", "--config", "config.json", *WINDOW, *CLOCK)

# --- what comes out where, and how it ends ---------------------------------------------------------------------------


def test_data_goes_to_stdout_and_the_accounting_to_stderr() -> None:
    """Piped, meter and aggregate write NDJSON to stdout and one line of accounting to stderr."""
    metered, aggregated = run(*METER), run(*AGGREGATE)

    assert (0, 0, METERED, METERED) == (metered.exit_code, aggregated.exit_code, metered.stderr, aggregated.stderr)
    assert ["e1", "e2"] == [json.loads(line)["sourceEventID"] for line in metered.stdout.splitlines()]
    assert ["100", "2.5"] == [json.loads(line)["measurement"]["quantity"] for line in aggregated.stdout.splitlines()]


ENDS = {
    "done": (0, METER),
    "a missing file": (1, ("meter", "nowhere.csv", "--config", "config.json")),
    "a missing column": (1, (*METER, "--map", "subject=who")),
    "an overflow": (1, ("aggregate", "huge.csv", "--config", "plain.json", "--aggregation", "sum", *WINDOW)),
    "no command": (2, ()),
    "an unknown command": (2, ("metre",)),
    "an unknown option": (2, (*METER, "--fromat", "csv")),
    "a missing config": (2, ("meter", "events.csv")),
    "a config that is not there": (2, ("meter", "events.csv", "--config", "nowhere.json")),
    "a broken config": (2, ("meter", "events.csv", "--config", "events.csv")),
    "no events": (2, ("meter", "--config", "config.json")),
    "events and records": (2, (*AGGREGATE, "--records", "events.csv")),
    "no window": (2, ("aggregate", "events.csv", "--config", "config.json")),
    "an inverted window": (2, (*AGGREGATE, "--end", "2023-01-01")),
    "an unknown aggregation": (2, (*AGGREGATE, "--aggregation", "summ")),
    "a bad map": (2, (*METER, "--map", "subject")),
    "no threads": (2, (*METER, "--threads", "0")),
    "strict": (3, (*METER, "--strict")),
    "check with problems": (2, ("check", "events.csv")),
    "check strict": (3, ("check", "config.json", "events.csv", "--strict")),
}


@pytest.mark.parametrize("case", ENDS)
def test_every_end_has_its_exit_code(case: str, folder: Path) -> None:
    """0 done, 1 failed, 2 wrong usage or config, 3 strict; a failure says why on stderr and writes no rows."""
    big = "9" * 20
    huge = "".join(f"e{n},w,u,t,c,2024-01-0{n}T00:00:00Z,{big},eu,2024-01-09T00:00:00Z\n" for n in range(1, 9))
    (folder / "huge.csv").write_text(HEAD + huge, encoding="utf-8")
    code, arguments = ENDS[case]
    done = run(*arguments)

    assert code == done.exit_code
    assert (code == 0, True) == ("rror" not in done.stderr and bool(arguments), "Traceback" not in done.stderr)
    assert code == 0 or case.startswith("check") or done.stdout == ""


def test_the_module_is_the_command() -> None:
    """`python -m metering_duck` is `metering-duck`, its name in messages included."""
    module = [sys.executable, "-m", "metering_duck"]
    script = str(Path(sys.executable).with_name("metering-duck"))
    found = [
        subprocess.run([*command, "meter", "--no"], capture_output=True, env=ENVIRONMENT)
        for command in (module, [script])
    ]

    assert found[0].stderr == found[1].stderr
    assert [2, 2] == [done.returncode for done in found]
    assert found[0].stderr.startswith(b"Usage: metering-duck meter ")


def test_version_and_help_say_what_they_say() -> None:
    """--version names the version; -h and --help list every command; every option has a help text."""
    assert f"metering-duck, version {metering_duck.__version__}\n" == good("--version")
    assert good("-h") == good("--help")
    assert list(COMMANDS) == re.findall(r"^  ([a-z][a-z-]*) +[A-Z]", good("--help"), re.MULTILINE)
    silent = [
        (name, parameter.name)
        for name, command in cli.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert [] == silent


def test_the_command_line_starts_without_its_heavy_parts() -> None:
    """Importing metering_duck.cli, and --help, load neither DuckDB nor Arrow nor Polars nor pydantic."""
    script = (
        "import sys; from click.testing import CliRunner; from metering_duck.cli import cli;"
        "CliRunner().invoke(cli, ['aggregate', '--help']);"
        "print(sorted({'duckdb', '_duckdb', 'pyarrow', 'polars', 'pandas', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ("[]\n", "") == (done.stdout, done.stderr)


# --- formats ---------------------------------------------------------------------------------------------------------


def read_back(path: Path, kind: str, name: str = "subject") -> list[str]:
    """One column of a file's rows."""
    if kind == "parquet":
        return parquet.read_table(path)[name].to_pylist()
    if kind == "arrow":
        return pa.ipc.open_file(path).read_all()[name].to_pylist()
    text = path.read_text(encoding="utf-8")
    if kind == "csv":
        return [row[name] for row in csv.DictReader(io.StringIO(text))]
    return [row[name] for row in (json.loads(text) if kind == "json" else map(json.loads, text.splitlines()))]


SUFFIXES = {
    "r.json": "json",
    "r.ndjson": "ndjson",
    "r.jsonl": "ndjson",
    "r.csv": "csv",
    "r.parquet": "parquet",
    "r.PQ": "parquet",
    "r.arrow": "arrow",
    "r.feather": "arrow",
    "r.ipc": "arrow",
}


@pytest.mark.parametrize("name", SUFFIXES)
def test_the_suffix_of_the_output_is_its_format(name: str, folder: Path) -> None:
    """-o FILE writes the format that its suffix names, and nothing to stdout."""
    assert "" == good(*METER, "-o", name)
    assert ["customer:a", "customer:b"] == read_back(folder / name, SUFFIXES[name])


@pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "parquet", "arrow"])
def test_a_format_on_stdout_is_the_file_of_that_format(kind: str, folder: Path) -> None:
    """--format overrules the suffix, and stdout gets the bytes that a file gets (an Arrow pipe the stream format)."""
    good(*METER, "-o", "r.txt", "--format", kind)
    with open(folder / "out", "wb") as out:
        subprocess.run([sys.executable, "-m", "metering_duck", *METER, "-q", "--format", kind], stdout=out, check=True)
    piped = subprocess.run(
        [sys.executable, "-m", "metering_duck", *METER, "-q", "--format", kind], capture_output=True, check=True
    )

    assert ["customer:a", "customer:b"] == read_back(folder / "r.txt", kind)
    assert ["customer:a", "customer:b"] == read_back(folder / "out", kind)
    if kind == "arrow":
        assert pa.ipc.open_file(folder / "r.txt").read_all() == pa.ipc.open_stream(piped.stdout).read_all()
    else:
        assert (folder / "r.txt").read_bytes() == piped.stdout


def test_a_dash_as_output_is_stdout() -> None:
    """`-o -` is standard output."""
    assert good(*METER) == good(*METER, "-o", "-")


def test_a_table_is_for_people() -> None:
    """--format table shows columns under their names, numbers to the right, and no JSON."""
    lines = good(*AGGREGATE, "-q", "--format", "table").splitlines()

    assert ["workspace_id", "universe_id", "subject", "unit", "aggregation"] == lines[0].split()[:5]
    assert [("acme", "100", "1"), ("globex", "2.5", "1")] == [
        (*line.split()[:1], *line.split()[-2:]) for line in lines[1:]
    ]
    assert 1 == len({line.index(line.split()[-2]) + len(line.split()[-2]) for line in lines[1:]})


def test_a_table_goes_into_a_file_too(folder: Path) -> None:
    """-o FILE --format table writes the whole table as text, without colours."""
    good(*AGGREGATE, "-o", "r.txt", "--format", "table")

    assert good(*AGGREGATE, "-q", "--format", "table").split() == (folder / "r.txt").read_text(encoding="utf-8").split()


def test_a_terminal_gets_a_table() -> None:
    """Without --format a terminal gets a table, where a pipe gets NDJSON."""
    ours, theirs = pty.openpty()
    process = start(*AGGREGATE, "-q", stdout=theirs, env={**ENVIRONMENT, "TERM": "dumb", "COLUMNS": "180"})
    assert (None, b"") == process.communicate(timeout=30)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert (0, ["workspace_id", "universe_id", "subject"]) == (process.returncode, shown.split()[:3])


def test_a_long_table_says_how_many_rows_are_left_out(folder: Path) -> None:
    """A table shows its first fifty rows, and says where the others are."""
    lines = "".join(f"e{n:02},w,u,t,c{n:02},2024-01-01T00:00:00Z,1,eu,2024-01-01T00:00:00Z\n" for n in range(60))
    (folder / "many.csv").write_text(HEAD + lines, encoding="utf-8")
    shown = good("meter", "many.csv", "--config", "plain.json", "--format", "table", "-q").splitlines()

    assert (52, "… and 10 more rows. hint: -o FILE writes all of them") == (len(shown), shown[-1])


def test_an_output_is_replaced_only_by_a_whole_one(folder: Path) -> None:
    """A run that fails leaves the file of an earlier run as it was, and no other file."""
    (folder / "out.csv").write_text("earlier", encoding="utf-8")
    before = sorted(os.listdir())
    codes = [
        run(*METER, "--strict", "-o", "out.csv").exit_code,
        run("meter", "no.csv", "--config", "config.json", "-o", "out.csv").exit_code,
    ]

    assert ([3, 1], "earlier", before) == (
        codes,
        (folder / "out.csv").read_text(encoding="utf-8"),
        sorted(os.listdir()),
    )
    assert "" == good(*METER, "-o", "out.csv")
    assert (before, "id,") == (
        sorted(os.listdir()),
        (folder / "out.csv").read_text(encoding="utf-8").replace('"', "")[:3],
    )


@pytest.mark.parametrize("option", ["-o", "--rejects", "--conflicts", "--summary"])
def test_a_file_in_a_folder_that_is_not_there_is_an_error(option: str) -> None:
    """Every option that names a file says which folder is missing, and nothing is made."""
    before = sorted(os.listdir())
    done = run(*METER, option, "nowhere/out.csv")

    assert (1, "", before) == (done.exit_code, done.stdout, sorted(os.listdir()))
    assert re.fullmatch(
        r"(6 read .*\n)?error: nowhere/out\.csv: cannot be written.*; expected .* folder that exists.*\n", done.stderr
    )


@pytest.mark.parametrize("option", ["-o", "--rejects", "--conflicts"])
def test_a_suffix_that_names_no_format_is_an_error(option: str) -> None:
    """An unknown suffix is a wrong usage, said with the formats there are, before anything is written."""
    before = sorted(os.listdir())
    done = run(*METER, option, "out.docx")

    assert (2, before) == (done.exit_code, sorted(os.listdir()))
    assert "error: out.docx: found the suffix '.docx'; expected a format. hint: known: .json, " in done.stderr


def test_no_target_is_an_input_or_another_target(folder: Path) -> None:
    """An output over an input, the config or another output is refused before anything is read; all stay."""
    good(*METER, "-o", "records.parquet")
    before = (folder / "records.parquet").read_bytes()
    found = [
        run("aggregate", "--records", "records.parquet", *WINDOW, "-o", "records.parquet"),
        run(*METER, "-o", "a.csv", "--rejects", "./a.csv"),
        run(*METER, "-o", "a.csv", "--summary", "config.json"),
    ]

    assert [2, 2, 2] == [result.exit_code for result in found]
    assert (before, False) == ((folder / "records.parquet").read_bytes(), (folder / "a.csv").exists())


# --- the files beside the rows ---------------------------------------------------------------------------------------


def test_the_summary_balances(folder: Path) -> None:
    """--summary writes the accounting as JSON: every event read is in exactly one of five counts."""
    good(*METER, "--summary", "summary.json")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    counts = {name: summary[name] for name in ("metered", "unmatched", "duplicates", "conflicts", "rejected")}

    assert {"metered": 2, "unmatched": 1, "duplicates": 1, "conflicts": 1, "rejected": 1} == counts
    assert (6, True, {"quantity-syntax": 1}, []) == (
        summary["read"],
        summary["balances"],
        summary["reasons"],
        summary["notices"],
    )
    assert summary["read"] == sum(counts.values())


def test_rejects_and_conflicts_are_files(folder: Path) -> None:
    """--rejects and --conflicts list each event with its reason, or with both contents."""
    good(*METER, "--rejects", "rejects.csv", "--conflicts", "conflicts.ndjson")
    rejects = list(csv.DictReader(io.StringIO((folder / "rejects.csv").read_text(encoding="utf-8"))))
    conflicts = [json.loads(line) for line in (folder / "conflicts.ndjson").read_text(encoding="utf-8").splitlines()]

    assert [("e3", "1,000", "quantity-syntax", "entries[0].measurements[0]", str(folder / "events.csv"))] == [
        (r["id"], r["text"], r["reason"], r["measurement"], r["file"]) for r in rejects
    ]
    assert [("e1", "100", "101")] == [
        (c["id"], *(json.loads(c[k])["properties"]["tokens"] for k in ("kept_content", "lost_content")))
        for c in conflicts
    ]


@pytest.mark.parametrize("suffix", ["json", "ndjson", "csv", "parquet", "arrow"])
def test_rejects_and_conflicts_come_in_every_format_and_may_be_empty(suffix: str, folder: Path) -> None:
    """Without a reject there is a file all the same, with its columns and no rows."""
    good("meter", "clean.csv", "--config", "config.json", "--rejects", f"r.{suffix}", "--conflicts", f"c.{suffix}")

    assert ([], []) == (
        read_back(folder / f"r.{suffix}", suffix, "id"),
        read_back(folder / f"c.{suffix}", suffix, "id"),
    )


def test_strict_writes_everything_but_rows(folder: Path) -> None:
    """--strict ends with 3, writes no rows, and still writes summary, rejects and conflicts, to mend it by."""
    done = run(
        *METER, "--strict", "-o", "rows.csv", "--summary", "s.json", "--rejects", "r.csv", "--conflicts", "c.csv"
    )
    hint = "hint: --rejects FILE and --conflicts FILE list them"
    message = f"error: strict: found 1 rejected and 1 in conflict; expected none. {hint}\n"

    assert (3, METERED + message, "") == (done.exit_code, done.stderr, done.stdout)
    assert ["c.csv", "r.csv", "s.json"] == sorted(name for name in os.listdir() if name[0] in "crs" and len(name) < 7)


def test_strict_is_content_with_clean_events() -> None:
    """--strict changes nothing where nothing was rejected or in conflict."""
    clean = ("meter", "clean.csv", "--config", "config.json", *CLOCK)

    assert good(*clean) == good(*clean, "--strict")


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_says_nothing_but_errors(flag: str) -> None:
    """--quiet leaves stderr empty when all is well, and still says what failed."""
    done, failed = run(*METER, flag), run(*METER, flag, "--strict")

    assert ("", 1) == (done.stderr, failed.stderr.count("\n"))
    assert failed.stderr.startswith("error: strict: ")


def test_notices_come_before_the_accounting(folder: Path) -> None:
    """What was taken for granted is said on stderr, once, before the accounting, and is in the summary."""
    (folder / "naive.csv").write_text(EVENTS.replace("Z", ""), encoding="utf-8")
    done = run("meter", "naive.csv", "--config", "config.json", "--summary", "s.json")
    notice = "4 times had no offset, taken as UTC. hint: --assume-timezone ZONE"

    assert f"note: {notice}\n{METERED}" == done.stderr
    assert [notice] == json.loads((folder / "s.json").read_text(encoding="utf-8"))["notices"]


# --- options that choose ---------------------------------------------------------------------------------------------


def test_options_choose_what_is_read() -> None:
    """--workspace, --universe and --as-of choose events; each may be repeated, and what is left out is not read."""
    found = {
        "workspace": amounts(*METER, "--workspace", "globex"),
        "both": amounts(*METER, "--workspace", "globex", "--workspace", "acme"),
        "universe": amounts(*METER, "--universe", "production"),
        "neither": amounts(*METER, "--workspace", "globex", "--universe", "production"),
        "as of": amounts(*METER, "--as-of", "2024-01-01T10:05:00Z"),
    }

    assert {"workspace": ["2.5"], "both": ["100", "2.5"], "universe": ["100"], "neither": [], "as of": ["100"]} == found
    assert "1 read = 1 metered" in run(*METER, "--as-of", "2024-01-01T10:05:00Z").stderr


def test_options_choose_the_readings() -> None:
    """--aggregation, --every, --group-by, --subject and --across-workspaces do what they say."""
    base = ("aggregate", "events.csv", "--config", "plain.json", *WINDOW)
    config = ("aggregate", "events.csv", "--config", "config.json", *WINDOW)
    both = (*config, "--map", "universe_id='one'", "--map", "subject='all'")

    assert ["1", "1"] == amounts(*config, "--aggregation", "count")
    assert ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"] == [
        r["window"]["start"] for r in rows(*config, "--every", "day")
    ]
    assert [{"region": "eu"}, {"region": "us"}] == [r["dimensions"] for r in rows(*config, "--group-by", "region")]
    assert [None, None] == [r.get("dimensions") for r in rows(*config)]
    assert ["2.5"] == amounts(*config, "--subject", "customer:b")
    assert ["100", "2.5"] == amounts(*config, "--subject", "customer:b", "--subject", "customer:a")
    assert (["100", "2.5"], ["102.5"]) == (amounts(*both), amounts(*both, "--across-workspaces"))
    assert 2 == run(*base).exit_code
    assert ["100", "2.5"] == amounts(*base, "--aggregation", "max-event")


def test_scale_and_digits_round_the_result() -> None:
    """--scale is fraction digits, --digits significant ones; both round half to even, once."""
    average = (*AGGREGATE, "--aggregation", "time-weighted-avg", "--workspace", "globex")

    assert ["2.385752688172043011"] == amounts(*average)
    assert ["2.3858"] == amounts(*average, "--scale", "4")
    assert ["2.38575268817204301075268817204"] == amounts(*average, "--digits", "30")
    assert 2 == run(*average, "--scale", "4", "--digits", "30").exit_code


def test_map_zone_and_ids_say_how_to_read() -> None:
    """--map, --assume-timezone and --generate-ids read a file that has other columns."""
    Path("usage.csv").write_text(
        "when,who,tokens\n2024-07-01 12:00:00,a,1\n2024-07-01 12:00:00,a,1\n", encoding="utf-8"
    )
    maps = ("time=when", "subject=who", "workspace_id='w'", "universe_id='it''s'", "type='t'")
    options = [part for text in maps for part in ("--map", text)]
    found = rows(
        "meter", "usage.csv", "--config", "plain.json", *options, "--generate-ids", "--assume-timezone", "Europe/Berlin"
    )

    assert ["2024-07-01T10:00:00Z"] * 2 == [r["recordedAt"] for r in found]
    assert (2, {"it's"}, {"a"}) == (
        len({r["id"] for r in found}),
        {r["universeID"] for r in found},
        {r["subject"] for r in found},
    )


def test_the_clock_is_the_only_time_of_the_run() -> None:
    """--clock is createdAt, and meteredAt where events have none: two runs give the same bytes."""
    first, second = good(*AGGREGATE), good(*AGGREGATE)

    assert first == second
    assert {"2024-06-01T00:00:00Z"} == {json.loads(line)["createdAt"] for line in first.splitlines()}


def test_bundled_rows_hold_all_measurements_of_one() -> None:
    """--bundled writes one record per event and one reading per key."""
    record, reading = rows(*METER, "--bundled")[0], rows(*AGGREGATE, "--bundled")[0]

    assert ("100", "tokens") == (record["observations"][0]["quantity"], record["observations"][0]["unit"])
    assert [{"quantity": "100", "unit": "tokens", "aggregation": "sum"}] == reading["computedValues"]


def test_records_are_read_without_a_config(folder: Path) -> None:
    """--records FILE, repeated, aggregates what meter wrote; without --config EVENTS are records."""
    for workspace in ("acme", "globex"):
        good(*METER, "--workspace", workspace, "-o", f"{workspace}.ndjson")
    both = ("--records", "acme.ndjson", "--records", "globex.ndjson")

    assert ["100", "2.5"] == amounts("aggregate", *both, *WINDOW)
    assert ["100", "2.5"] == amounts("aggregate", "acme.ndjson", "globex.ndjson", *WINDOW)
    assert ["1", "1"] == amounts("aggregate", *both, *WINDOW, "--aggregation", "count")


def test_machine_options_change_no_byte(folder: Path) -> None:
    """--threads, --memory-limit and --temp-dir change no byte, and the temporary folder is empty afterwards."""
    (folder / "scratch").mkdir()
    options = ("--threads", "1", "--memory-limit", "500MB", "--temp-dir", "scratch")

    assert (good(*AGGREGATE), []) == (good(*AGGREGATE, *options), os.listdir("scratch"))


ENVIRONMENTS = [
    ("METERING_DUCK_CONFIG", "config.json", ("meter", "events.csv"), 0),
    ("METERING_DUCK_CONFIG", "nowhere.json", ("meter", "events.csv"), 2),
    ("METERING_DUCK_CONFIG", "nowhere.json", METER, 0),
    ("METERING_DUCK_FORMAT", "csv", METER, 0),
    ("METERING_DUCK_FORMAT", "excel", METER, 2),
    ("METERING_DUCK_FORMAT", "excel", (*METER, "--format", "csv"), 0),
    ("METERING_DUCK_THREADS", "1", METER, 0),
    ("METERING_DUCK_THREADS", "none", METER, 2),
    ("METERING_DUCK_MEMORY_LIMIT", "500MB", METER, 0),
    ("METERING_DUCK_MEMORY_LIMIT", "much", METER, 2),
    ("METERING_DUCK_MEMORY_LIMIT", "much", (*METER, "--memory-limit", "500MB"), 0),
    ("METERING_DUCK_TEMP_DIR", ".", METER, 0),
    ("METERING_DUCK_TEMP_DIR", "nowhere", METER, 2),
]


@pytest.mark.parametrize(("name", "value", "arguments", "code"), ENVIRONMENTS)
def test_the_environment_sets_options_and_flags_overrule_it(
    name: str, value: str, arguments: Sequence[str], code: int
) -> None:
    """METERING_DUCK_ variables are defaults of --config, --format, --threads, --memory-limit and --temp-dir."""
    done = run(*arguments, env={name: value})

    assert code == done.exit_code
    assert (value == "csv" or "--format" in arguments) == done.stdout.replace('"', "").startswith("id,workspace_id,")


def test_check_takes_its_config_first_or_from_the_option_or_the_environment() -> None:
    """`check CONFIG EVENTS`, `check --config CONFIG EVENTS`, and METERING_DUCK_CONFIG say the same."""
    wanted = good("check", "config.json", "events.csv")

    assert wanted == good("check", "--config", "config.json", "events.csv")
    assert wanted == run("check", "events.csv", env={"METERING_DUCK_CONFIG": "config.json"}).stdout


# --- the other commands ----------------------------------------------------------------------------------------------


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

    assert shown.startswith("config: 1 measurement, no problem found\nevents: 6 read, 2 metered, 1 unmatched,")
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


def test_schema_lists_and_prints_the_contracts() -> None:
    """schema without a name lists the contracts; with one, in any spelling, it prints a JSON Schema."""
    assert list(MODELS) == good("schema").split()
    for name in MODELS:
        assert name == json.loads(good("schema", name))["title"]
    assert good("schema", "MeterRecord") == good("schema", "meter-record")
    unknown = run("schema", "MeterRecrod")
    assert (2, True) == (unknown.exit_code, 'did you mean "MeterRecord"?' in unknown.stderr)


def test_the_demo_runs_twice_and_its_advice_works(folder: Path) -> None:
    """demo writes a folder, shows tables and the next commands, which run as printed; a second time it is content."""
    first, second = good("demo"), good("demo")
    commands = re.findall(r"^  (metering-duck .+)$", first, re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{ENVIRONMENT['PATH']}"

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


# --- stopping --------------------------------------------------------------------------------------------------------


def write_many(path: Path, count: int) -> Path:
    """Many events of many subjects, in Parquet."""
    duckdb.connect().execute(
        "COPY (SELECT CAST(i AS VARCHAR) AS id, 'w' AS workspace_id, 'u' AS universe_id, 't' AS type, "
        "'c' || (i * 7919 % 1000003) AS subject, TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_milliseconds(i) AS time, "
        f"CAST(i AS VARCHAR) AS tokens FROM range({count}) AS numbers(i)) TO '{path}'"
    )
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three million events, which take long to aggregate by the hour."""
    return write_many(tmp_path_factory.mktemp("large") / "large.parquet", 3_000_000)


def stopped(process: subprocess.Popen[bytes], signal_number: int) -> tuple[int, float, bytes, bytes]:
    """Send a signal: the exit code, the seconds until then, and what was written."""
    begin = time.monotonic()
    process.send_signal(signal_number)
    try:
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    return process.returncode, time.monotonic() - begin, out, err


def wait_for(folder: Path, pattern: str, seconds: float = 20) -> None:
    """Wait until a file or folder appears."""
    end = time.monotonic() + seconds
    while not list(folder.glob(pattern)):
        assert time.monotonic() < end, f"no {pattern} in {folder}"
        time.sleep(0.02)


INTERRUPTED = b"error: run: was interrupted; nothing was written.\n"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 1.0])
def test_ctrl_c_stops_a_busy_run(signal_number: int, after: float, large: Path, folder: Path) -> None:
    """Ctrl-C in a large aggregate stops within a second, with 130, no output, no partial file and no temporary
    folder."""
    (folder / "scratch").mkdir()
    before = sorted(os.listdir())
    average = ("--aggregation", "time-weighted-avg", "--every", "hour", "-o", "out.parquet", "--temp-dir", "scratch")
    process = start("aggregate", str(large), "--config", "plain.json", *WINDOW, *average)
    wait_for(folder, "scratch/*")
    time.sleep(0.3 + after)
    code, seconds, out, err = stopped(process, signal_number)

    assert (130, b"", INTERRUPTED) == (code, out, err)
    assert (before, []) == (sorted(os.listdir()), os.listdir("scratch"))
    assert seconds < 1.5


def test_ctrl_c_stops_a_wait_for_standard_input(folder: Path) -> None:
    """Ctrl-C while standard input is silent stops within a second, and the temporary folder goes too."""
    (folder / "scratch").mkdir()
    process = start("meter", "-", "--config", "plain.json", "--temp-dir", "scratch", stdin=subprocess.PIPE)
    wait_for(folder, "scratch/*")
    time.sleep(0.2)
    code, seconds, out, err = stopped(process, signal.SIGINT)

    assert (130, b"", INTERRUPTED, []) == (code, out, err, os.listdir("scratch"))
    assert seconds < 1.5


def test_ctrl_c_while_rows_are_written_leaves_no_file(large: Path, folder: Path) -> None:
    """Ctrl-C while the output file grows removes what was written so far."""
    before = sorted(os.listdir())
    process = start("meter", str(large), "--config", "plain.json", "-o", "out.ndjson", "-q")
    wait_for(folder, ".out.ndjson.*")
    code, seconds, _, err = stopped(process, signal.SIGINT)

    assert (130, INTERRUPTED, before) == (code, err, sorted(os.listdir()))
    assert seconds < 1.5


def test_a_reader_that_goes_away_ends_the_run_quietly(folder: Path) -> None:
    """`metering-duck meter … | head` shows what was asked for, no traceback, and does not go on for ever."""
    write_many(folder / "many.parquet", 200_000)
    command = f"{sys.executable} -m metering_duck meter many.parquet --config plain.json -q | head -c 5"
    done = subprocess.run(["bash", "-c", command + '; echo " ${PIPESTATUS[0]}"'], capture_output=True, env=ENVIRONMENT)

    assert (b'{"id" 1\n', b"") == (done.stdout, done.stderr)


def test_no_color_and_pipes_have_no_escape_codes() -> None:
    """A table in a pipe has no escape sequences."""
    shown = (
        good(*AGGREGATE, "--format", "table")
        + good("demo")
        + good("check", "config.json", "events.csv", "--format", "table")
    )

    assert "\x1b" not in shown


def test_frames_are_read_back_as_they_were(folder: Path) -> None:
    """A Parquet file of readings keeps DECIMAL quantities and UTC times for Polars."""
    good(*AGGREGATE, "-o", "r.parquet")
    frame = polars.read_parquet(folder / "r.parquet")

    assert polars.Decimal(38, 18) == frame.schema["quantity"]
    assert polars.Datetime("us", "UTC") == frame.schema["window_start"]


@pytest.mark.parametrize("table", ["--windows", "--subscriptions"])
@pytest.mark.parametrize("target", ["--output", "--rejects", "--summary"])
def test_a_table_of_periods_is_no_target(table: str, target: str) -> None:
    """A table that a run reads is not overwritten by what it writes."""
    text = "universe,subject,start,end\nproduction,customer:a,2024-01-01,2024-02-01\n"
    Path("periods.csv").write_text(text if table == "--windows" else text.replace("start,end", "starts,ends"))
    before = Path("periods.csv").read_bytes()
    given = ("aggregate", "events.csv", "--config", "config.json", "--aggregation", "sum", table, "periods.csv")
    done = run(*given, target, "periods.csv", "--start", "2024-01-01", "--end", "2024-02-01")
    assert (2, True) == (done.exit_code, "which is an input" in done.stderr)
    assert before == Path("periods.csv").read_bytes()
