"""What a command writes: rows in every format, whole files or none, and the files beside the rows."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import polars
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests import resident
from tests.cli.running import AGGREGATE, CLOCK, ENVIRONMENT, EVENTS, HEAD, METER, METERED, WINDOW, good, run, start

pytestmark = pytest.mark.usefixtures("folder")


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


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", SUFFIXES)
def test_the_suffix_of_the_output_is_its_format(name: str, folder: Path) -> None:
    """-o FILE writes the format that its suffix names, and nothing to stdout."""
    assert "" == good(*METER, "-o", name)
    assert ["customer:a", "customer:b"] == read_back(folder / name, SUFFIXES[name])


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "parquet", "arrow"])
def test_a_format_on_stdout_is_the_file_of_that_format(kind: str, folder: Path) -> None:
    """--format overrules the suffix, and stdout gets the bytes that a file gets (an Arrow pipe the stream format)."""
    good(*METER, "-o", "r.txt", "--format", kind)
    command = [str(resident.folder() / "metering-duck"), *METER, "-q", "--format", kind]
    with open(folder / "out", "wb") as out:
        subprocess.run(command, stdout=out, check=True)
    piped = subprocess.run(command, capture_output=True, check=True)

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
