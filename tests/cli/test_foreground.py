"""Ctrl-C and readers that go away: a run stops at once and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from tests.cli.running import ENVIRONMENT, WINDOW, start

pytestmark = pytest.mark.usefixtures("folder")


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_ctrl_c_while_rows_are_written_leaves_no_file(large: Path, folder: Path) -> None:
    """Ctrl-C while the output file grows removes what was written so far."""
    before = sorted(os.listdir())
    process = start("meter", str(large), "--config", "plain.json", "-o", "out.ndjson", "-q")
    wait_for(folder, ".out.ndjson.*")
    code, seconds, _, err = stopped(process, signal.SIGINT)

    assert (130, INTERRUPTED, before) == (code, err, sorted(os.listdir()))
    assert seconds < 1.5


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_run_quietly(folder: Path) -> None:
    """`metering-duck meter … | head` shows what was asked for, no traceback, and does not go on for ever."""
    write_many(folder / "many.parquet", 200_000)
    command = f"{sys.executable} -m metering_duck meter many.parquet --config plain.json -q | head -c 5"
    done = subprocess.run(["bash", "-c", command + '; echo " ${PIPESTATUS[0]}"'], capture_output=True, env=ENVIRONMENT)

    assert (b'{"id" 1\n', b"") == (done.stdout, done.stderr)
