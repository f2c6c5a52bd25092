"""The process: streams that are closed or full, terminals, signals, limits of the machine; none ends in a traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metering_duck import SourceError
from metering_duck.inputs.files import expand
from tests.cli.running import AGGREGATE, ENVIRONMENT, METER, start

pytestmark = pytest.mark.usefixtures("folder")
NAME = "é漢😀"
QUIET = (*METER, "-q")


def shell(redirect: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """A command whose streams a shell has set up."""
    command = [sys.executable, "-m", "metering_duck", *arguments]
    script = f'"$@" {redirect}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *command], capture_output=True, env=ENVIRONMENT | env, timeout=60
    )


CLOSED = "standard output: cannot be used (Bad file descriptor)"
STREAMS = {
    "standard output is closed": (">&-", QUIET, 1, CLOSED),
    "standard output is closed for a grid": (
        ">&-",
        (*QUIET, "--format", "table"),
        1,
        CLOSED,
    ),
    "standard output is closed for help": (">&-", ("--help",), 1, CLOSED),
    "standard output is full": (">/dev/full", QUIET, 1, "standard output: cannot be used (No space left on device)"),
    "standard input is closed": ("<&-", ("meter", "-", *METER[2:]), 1, "standard input: cannot be used"),
    "what is not needed is closed": ("<&- 2>&-", QUIET, 0, ""),
    "all is closed": ("<&- >&- 2>&-", QUIET, 1, ""),
    "all is closed and rows go to a file": ("<&- >&- 2>&-", (*QUIET, "-o", "rows.csv"), 0, ""),
}


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_that_is_closed_or_full_is_said(case: str) -> None:
    """Rows that nobody can get are an error, in one line; a stream that the command does not need is not missed."""
    redirect, arguments, code, said = STREAMS[case]
    done = shell(redirect, *arguments)
    error = done.stderr.decode()

    assert (code, True) == (done.returncode, error.startswith(f"error: {said}" if said else ""))
    assert ("" if not said or code == 0 else "\n") == error[-1:]
    assert 1 >= error.count("\n")


@pytest.mark.slow
def test_a_file_never_gets_the_number_of_a_closed_stream(folder: Path) -> None:
    """With all streams closed, a file of rows has the rows and nothing else."""
    wanted = shell("", *QUIET, "-o", "wanted.csv")
    found = shell("<&- >&- 2>&-", *METER, "-o", "found.csv")

    assert (0, 0) == (wanted.returncode, found.returncode)
    assert (folder / "wanted.csv").read_bytes() == (folder / "found.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    ],
    ids=str,
)
def test_a_terminal_that_shows_ascii_alone_is_enough(env: dict[str, str], folder: Path) -> None:
    """Names of any plane: data is UTF-8 in any case, a grid has escapes, and JSON stays JSON."""
    Path("named.csv").write_text((folder / "events.csv").read_text().replace("customer:a", NAME), encoding="utf-8")
    measurement = {"sourceProperty": "tokens", "unit": NAME, "aggregation": "sum"}
    Path("named.json").write_text(json.dumps({"measurements": [measurement]}), encoding="utf-8")
    config = ("--config", "named.json", "-q")
    rows = shell("", "meter", "named.csv", *config, **env)
    grid = shell("", "meter", "named.csv", *config, "--format", "table", **env)
    report = shell("", "check", "named.json", "named.csv", **env)
    missing = shell("", "meter", f"{NAME}.csv", *config, **env)

    assert (0, NAME) == (rows.returncode, json.loads(rows.stdout.decode().splitlines()[0])["subject"])
    assert (0, True) == (
        grid.returncode,
        (NAME if "PYTHONIOENCODING" not in env else "\\u6f22") in grid.stdout.decode(),
    )
    assert (0, []) == (report.returncode, json.loads(report.stdout)["problems"])
    assert (1, b"error: ", 1) == (missing.returncode, missing.stderr[:7], missing.stderr.count(b"\n"))


@pytest.mark.slow
def test_a_path_that_the_locale_cannot_say_has_a_way_out(folder: Path) -> None:
    """Where paths are no UTF-8, a ledger with such a name says which setting makes them so."""
    done = shell("", "ledger", "init", "--ledger", "é.duckdb", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert (1, True) == (done.returncode, done.stderr.endswith(b"hint: set PYTHONUTF8=1, or LC_ALL=C.UTF-8\n"))
    assert not (folder / "é.duckdb").exists()


PLACES = {
    "a link to itself": "loop.csv",
    "a link to itself on the way": "loop.csv/events.csv",
    "a name that is too long": "x" * 5_000,
    "a name that is not UTF-8": os.fsdecode(b"b\xff.csv"),
    "a folder with a link that leads nowhere": "folder",
}


def test_places_that_lead_nowhere_are_named(folder: Path) -> None:
    """Links that lead nowhere or to themselves, names that are too long or not text: one line that names the place."""
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "folder").mkdir()
    (folder / "folder" / "x.csv").symlink_to("nowhere.csv")
    Path(PLACES["a name that is not UTF-8"]).write_bytes((folder / "events.csv").read_bytes())
    for case, place in PLACES.items():
        done = in_process("meter", place, "--config", "config.json")
        where = "folder/x.csv" if case.startswith("a folder") else place[:200].replace("\udcff", "\\udcff")
        assert (1, True, 1) == (done[0], where in done[1], done[1].count("\n")), case
    for case in ("a link to itself", "a link to itself on the way", "a name that is too long"):
        done = in_process(*QUIET, "--format", "csv", "-o", PLACES[case])
        assert done[0] in (0, 1), (case, done)
        assert "error: run:" not in done[1], case


def in_process(*arguments: str) -> tuple[int, str]:
    """The exit code and the standard error of a command in this process."""
    from tests.cli.running import run

    done = run(*arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, done.exception)
    return done.exit_code, done.stderr


@pytest.mark.parametrize("given", ["folder", "folder/*/e.csv", "folder/**/*.csv"])
def test_a_folder_that_may_not_be_looked_into_is_named(given: str, folder: Path) -> None:
    """Files that are not seen would be missed without a word."""
    for name in ("closed", "open"):
        (folder / "folder" / name).mkdir(parents=True)
        (folder / "folder" / name / "e.csv").write_bytes((folder / "events.csv").read_bytes())
    (folder / "folder" / "closed").chmod(0)
    for place in (folder, *folder.parents[:-2]):
        place.chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:
            # Root may look into every folder.
            os.seteuid(65_534)
        with pytest.raises(SourceError, match=r"folder/closed: cannot be"):
            expand(given)
    finally:
        os.seteuid(user)


LIMITS = {
    "memory for Python alone": "ulimit -v 60000",
    "memory for some libraries": "ulimit -v 250000",
    "memory for no threads of OpenBLAS": "ulimit -v 400000",
    "memory for all libraries": "ulimit -v 700000",
    "the size of files": "ulimit -f 0",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LIMITS)
def test_limits_of_the_machine_are_said(case: str) -> None:
    """Too little memory, or no file larger than nothing: one line that says so, and the way out.

    Where the loader of a library has too little, it ends the process by itself.
    """
    script = f'{LIMITS[case]}; "$@"'
    command = [sys.executable, "-m", "metering_duck", *QUIET, "-o", "rows.csv"]
    done = subprocess.run(["bash", "-c", script, "bash", *command], capture_output=True, env=ENVIRONMENT, timeout=60)
    error = done.stderr.decode()

    assert 0 != done.returncode
    assert "Traceback" not in error
    of_a_loader = "nanobind" in error or "cannot allocate memory for thread-local data" in error
    assert re.search(r"error: .*hint: .*(ulimit -f|--memory-limit|--temp-dir)", error) or of_a_loader, error


OF_A_LEDGER = {
    "a new ledger": ("ulimit -f 10", "ledger.duckdb: cannot be made (File too large)", "ulimit -f"),
    "few files": ("ulimit -n 5", "ledger.duckdb: cannot be made", "ulimit -n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", OF_A_LEDGER)
def test_a_ledger_beyond_a_limit_is_not_made(case: str, tmp_path: Path) -> None:
    """No broken ledger is left behind, and the error names the file and the limit."""
    limit, found, hint = OF_A_LEDGER[case]
    place = tmp_path / "ledgers" / "ledger.duckdb"
    place.parent.mkdir()
    command = [sys.executable, "-m", "metering_duck", "ledger", "init", "--ledger", str(place)]
    script = ["bash", "-c", f'{limit}; "$@"', "bash", *command]
    done = subprocess.run(script, capture_output=True, env=ENVIRONMENT, timeout=60)
    error = done.stderr.decode()

    assert (1, True, True) == (done.returncode, found in error, f"hint: {hint}" in error), error
    assert ["ledger.duckdb.lock"] == [path.name for path in place.parent.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_ends_without_a_traceback(number: int) -> None:
    """While Python starts, while libraries are loaded, while a run begins and while it ends."""
    for n in range(12):
        process = start(*AGGREGATE, "-q")
        time.sleep(0.1 + n * 0.12)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        # Python's own start, before the first line of ours, is Python's.
        begun = b"metering_duck" in err or b"error: run" in err
        assert b"Traceback" not in err or not begun, (n, err)
        assert process.returncode in (0, 1, 130, -signal.SIGTERM, -signal.SIGINT), (n, process.returncode, err)
        assert process.returncode != 0 or out.endswith(b"\n"), n


def test_an_error_that_nobody_foresaw_is_one_line(folder: Path) -> None:
    """It says what it is, and asks for a report; METERING_DUCK_TRACEBACK shows where it came up."""
    (folder / "click.py").write_text("raise LookupError('of a library')\n", encoding="utf-8")
    path = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    plain = shell("", "--help", **path)
    shown = shell("", "--help", METERING_DUCK_TRACEBACK="1", **path)

    assert (1, b"") == (plain.returncode, plain.stdout)
    assert (
        "error: run: found an error that nobody foresaw (LookupError: of a library); expected none. hint: this is a "
        "bug in metering-duck; please report it with what METERING_DUCK_TRACEBACK=1 shows\n"
    ) == plain.stderr.decode()
    assert (1, True, True) == (shown.returncode, b"Traceback" in shown.stderr, shown.stderr.endswith(plain.stderr))


CONFIGS = {
    "a number of 5,000 digits": '{"measurements": [{"sourceProperty": "q", "unit": "x", "resultScale": %s}]}'
    % ("9" * 5_000),
    "nothing but a number": "9" * 5_000,
    "a hundred thousand lists": "[" * 100_000,
    "a filter in a filter": '{"measurements": [{"sourceProperty": "q", "unit": "x", "filter": %s}]}'
    % ('{"not":' * 900 + "{}" + "}" * 900),
    "an infinite number": '{"measurements": [{"sourceProperty": "q", "unit": "x", "resultScale": Infinity}]}',
    "nothing": "",
    "UTF-16": '{"measurements": []}'.encode("utf-16").decode("latin-1"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_hostile_config_is_a_wrong_config(case: str) -> None:
    """Whatever a config's file holds, the exit code is 2, and one short line names the file."""
    Path("hostile.json").write_bytes(CONFIGS[case].encode("latin-1"))
    code, error = in_process("meter", "events.csv", "--config", "hostile.json")

    assert (2, True, True) == (code, error.startswith("error: hostile.json: "), len(error) < 600)


def test_a_config_with_a_byte_order_mark_is_read(folder: Path) -> None:
    """Windows editors write one."""
    Path("marked.json").write_text((folder / "config.json").read_text(), encoding="utf-8-sig")

    assert (0, "") == in_process("meter", "events.csv", "--config", "marked.json", "-q")
