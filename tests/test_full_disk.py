"""A disk without room, and runs that were killed: what was there stays, what is new is whole, and nothing is left
behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from metering_duck import register
from metering_duck.cli.main import cli
from metering_duck.engine.duckdb import FOLDER, Engine
from metering_duck.engine.owned import owned_file, owned_folder, remove_left
from metering_duck.ledger.ledger import Ledger
from metering_duck.outputs.files import PARTIAL
from metering_duck.outputs.formats import OUTPUT_FORMATS
from tests import worlds

CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "calls", "aggregation": "sum"}]}
JANUARY = ["--start", "2024-01-01", "--end", "2024-02-01"]
KIB = 1024
SUFFIXES = [suffixes[0] for suffixes in OUTPUT_FORMATS.values()]


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of 16 MB; only root may mount one."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs root, who may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Disk:
    """A small disk, empty; `leave` fills it but for so many KiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def leave(self, kib: int) -> None:
        """Leave so much room."""
        self.ballast.write_bytes(b"\0" * max(0, shutil.disk_usage(self.folder).free - kib * KIB))

    def files(self) -> dict[str, bytes]:
        """What is there, without the ballast and the locks of ledgers."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        names = {str(path.relative_to(self.folder)): path for path in found}
        return {name: path.read_bytes() for name, path in names.items() if name != "ballast" and ".lock" not in name}


@pytest.fixture
def disk(mounted: Path) -> Disk:
    """The small disk, empty."""
    for path in mounted.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Disk(mounted)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of many subjects, and a config."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = [
        worlds.row(f"e{n}", datetime(2024, 1, 1 + n % 28, tzinfo=UTC), {"q": str(n)}, subject=f"customer:{n * 7919}")
        for n in range(3000)
    ]
    worlds.write_table(folder / "events" / "1.parquet", rows)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def says(*arguments: object) -> tuple[int, str]:
    """What a command says on standard error; it raises nothing but an exit."""
    done = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


def aggregates(inputs: Path, *arguments: object) -> tuple[int, str]:
    """What aggregate of all events says."""
    return says("aggregate", inputs / "events", "--config", inputs / "config.json", *JANUARY, "-q", *arguments)


# --- a disk without room ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sampled(5)
@pytest.mark.parametrize("room", [0, 8, 64, 300, 500])
def test_a_ledger_is_made_whole_or_not_at_all(disk: Disk, room: int) -> None:
    """Without room init says so, and leaves no file that is none; with room the same command makes it."""
    path = disk.folder / "ledger.duckdb"
    disk.leave(room)
    code, said = says("ledger", "init", "--ledger", path)
    assert (1, 1, True) == (code, said.count("\n"), "expected room on its disk" in said), said
    assert {} == disk.files()
    disk.ballast.unlink()
    assert 0 == says("ledger", "init", "--ledger", path)[0]
    assert {"ledger.duckdb"} == set(disk.files())
    assert 0 == says("ledger", "verify", "--ledger", path)[0]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 12])
def test_a_file_is_whole_or_as_it_was(disk: Disk, inputs: Path, suffix: str, room: int) -> None:
    """In every format: without room the file that was there stays, nothing is left beside it, and the error says so."""
    target = disk.folder / f"readings{suffix}"
    target.write_bytes(b"before")
    disk.leave(room)
    code, said = aggregates(inputs, "-o", target)
    assert (1, 1, True) == (code, said.count("error:"), f"{target}: cannot be written" in said), said
    assert {target.name: b"before"} == disk.files()


@pytest.mark.slow
def test_other_outputs_are_whole_or_as_they_were(disk: Disk, inputs: Path) -> None:
    """Rejects, a summary, a tree and a Delta table."""
    (disk.folder / "rejects.csv").write_bytes(b"before")
    (disk.folder / "summary.json").write_bytes(b"before")
    tree, table = disk.folder / "tree", disk.folder / "table"
    assert 0 == aggregates(inputs, "-o", tree, "--partition-by", "unit")[0]
    assert 0 == aggregates(inputs, "-o", f"delta://{table}")[0]
    before = disk.files()
    disk.leave(0)
    for arguments in (
        ["-o", tree, "--partition-by", "subject", "--subject", "customer:0", "--subject", "customer:7919"],
        ["-o", tree, "--partition-by", "unit", "--scale", "3"],
        ["-o", f"delta://{table}", "--clock", "2024-07-01", "--mode", "overwrite"],
        ["--summary", disk.folder / "summary.json", "-o", os.devnull, "--format", "csv"],
    ):
        code, said = aggregates(inputs, *arguments)
        assert (1, 1, True) == (code, said.count("error:"), "cannot be written (" in said), said
        kept = {name: data for name, data in disk.files().items() if name in before}
        assert before == kept
    assert 0 == DeltaTable(table).version()


@pytest.mark.slow
def test_a_ledger_without_room_is_as_it_was(disk: Disk, inputs: Path) -> None:
    """backfill, rerun, close and export: an error of one line; what was kept before is there, and verify is content."""
    path = disk.folder / "ledger.duckdb"
    given = ["--ledger", path, "-q"]
    period = ["--from", "2024-01-01", "--to", "2024-02-01"]
    config = ["--config", inputs / "config.json"]
    assert 0 == says("ledger", "init", "--ledger", path)[0]
    disk.leave(0)
    code, said = says("backfill", inputs / "events", *given, *config, *period)
    assert (1, 1, True) == (code, said.count("error:"), "room" in said), said
    assert 0 == says("ledger", "verify", "--ledger", path)[0]
    disk.ballast.unlink()
    assert 0 == says("backfill", inputs / "events", *given, *config, *period)[0]
    with Ledger(path).export("readings") as rows:
        before = worlds.written(rows)
    disk.leave(0)
    for arguments in (["close", "2024-01", "--ledger", path], ["rerun", "2024-01", *given, "--as-was"]):
        code, said = says(*arguments)
        assert code in (0, 1)
        assert (code, code == 1) == (said.count("error:"), "room" in said), said
        assert 0 == says("ledger", "verify", "--ledger", path)[0]
    code, said = says("ledger", "export", "readings", "--ledger", path, "-o", disk.folder / "readings.csv")
    assert (1, 1) == (code, said.count("error:")), said
    assert {path.name} == {name for name in disk.files() if not name.startswith(path.name + ".wal")}
    disk.ballast.unlink()
    assert 0 == says("close", "2024-01", "--ledger", path)[0]
    with Ledger(path).export("readings") as rows:
        assert before == worlds.written(rows)
    assert {path.name} == set(disk.files())


def test_views_without_room_are_an_error_and_leave_nothing(
    disk: Disk, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view whose temporary file has no room is an error of the query; with room the same query answers."""
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
    with duckdb.connect() as connection:
        register(connection, inputs / "events", CONFIG)
        disk.leave(16)
        with pytest.raises(duckdb.Error, match="cannot be written"):
            connection.sql("SELECT count(*) FROM records").fetchall()
        disk.ballast.unlink()
        assert [(3000,)] == connection.sql("SELECT count(*) FROM records").fetchall()
    assert {} == {name: data for name, data in disk.files().items() if PARTIAL in name}


# --- what a file that is replaced gives to the new one ---------------------------------------------------------------


def test_a_replaced_file_keeps_its_mode_and_owner(tmp_path: Path, inputs: Path) -> None:
    """A file that only its group could read is read by nobody else afterwards; a new one is as the umask says."""
    target = tmp_path / "readings.csv"
    target.write_bytes(b"before")
    target.chmod(0o640)
    if not os.geteuid():
        os.chown(target, 1234, 4321)
    before = target.stat()
    assert 0 == aggregates(inputs, "-o", target)[0]
    after = target.stat()
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
    mask = os.umask(0o027)
    try:
        assert 0 == aggregates(inputs, "-o", tmp_path / "new.csv")[0]
    finally:
        os.umask(mask)
    assert 0o640 == stat.S_IMODE((tmp_path / "new.csv").stat().st_mode)


def test_a_partition_that_is_replaced_keeps_its_mode(tmp_path: Path, inputs: Path) -> None:
    """As a file does."""
    tree = ["-o", tmp_path / "tree", "--partition-by", "unit"]
    assert 0 == aggregates(inputs, *tree)[0]
    (made,) = (tmp_path / "tree").rglob("*.parquet")
    made.chmod(0o600)
    assert 0 == aggregates(inputs, *tree)[0]
    assert 0o600 == stat.S_IMODE(made.stat().st_mode)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_written_through(tmp_path: Path, inputs: Path, is_there: bool) -> None:
    """The file that a link names is replaced or made, and the link stays a link."""
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "readings.csv", tmp_path / "readings.csv"
    if is_there:
        real.write_bytes(b"before")
    link.symlink_to(real)
    assert 0 == aggregates(inputs, "-o", link)[0]
    assert link.is_symlink()
    assert real.read_text().startswith('"id"')
    assert ["readings.csv"] == os.listdir(tmp_path / "real")


@pytest.mark.slow
def test_standard_output_by_its_name_is_no_file_to_be_replaced(tmp_path: Path, inputs: Path) -> None:
    """-o /dev/stdout goes where the shell has put it, and the device stays a device."""
    command = [sys.executable, "-m", "metering_duck", "aggregate", str(inputs / "events"), *JANUARY, "-q"]
    command += ["--config", str(inputs / "config.json"), "-o", "/dev/stdout", "--format", "csv"]
    with open(tmp_path / "said.csv", "wb") as said:
        subprocess.run(command, stdout=said, check=True)
    assert os.path.islink("/dev/stdout")
    assert (tmp_path / "said.csv").read_text().startswith('"id"')


# --- what killed runs leave ------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import metering_duck
from metering_duck.outputs import writing

def killed(written, file):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    if sys.argv[3] == "wait":
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)

writing.WRITERS["csv"] = killed
with metering_duck.aggregate(sys.argv[1], {config}, start="2024-01-01", end="2024-02-01", temp_dir=sys.argv[2]) as rows:
    rows.write(sys.argv[2] + "/readings.csv")
""".replace("{config}", repr(CONFIG))


def started(inputs: Path, folder: Path, how: str) -> subprocess.Popen[bytes]:
    """A run that writes half a file, and then waits, or is killed."""
    command = [sys.executable, "-c", KILLED, str(inputs / "events"), str(folder), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert b"writing\n" == process.stdout.readline()
    return process


@pytest.mark.slow
def test_what_a_killed_run_left_is_removed_by_the_next_and_what_a_live_one_has_is_not(
    tmp_path: Path, inputs: Path
) -> None:
    """Half a file and a folder with temporary files: those of the dead go at once, those of the living stay."""
    with started(inputs, tmp_path, "die") as dead:
        assert -signal.SIGKILL == dead.wait()
    left = set(os.listdir(tmp_path))
    assert (2, 1) == (len(left), sum(name.endswith(PARTIAL) for name in left))
    with started(inputs, tmp_path, "wait") as living:
        kept = set(os.listdir(tmp_path)) - left
        command = ["aggregate", inputs / "events", "--config", inputs / "config.json", *JANUARY, "-q"]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "metering_duck",
                *map(str, command),
                "--temp-dir",
                tmp_path,
                "-o",
                tmp_path / "a.csv",
            ]
        )
        assert (0, {*kept, "a.csv"}) == (done.returncode, set(os.listdir(tmp_path)))
        living.kill()


def test_folders_of_others_are_let_alone(tmp_path: Path) -> None:
    """What has no name of ours, or is only like it, stays; so does a link with a name of ours."""
    names = ["metering-duck-demo", "metering-duck-runs", ".readings.csv.partial", "metering-duck-run"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / f"{FOLDER}link").symlink_to(tmp_path / "metering-duck-demo")
    remove_left(tmp_path, FOLDER)
    remove_left(tmp_path, ".", PARTIAL)
    assert {*names, f"{FOLDER}link"} == set(os.listdir(tmp_path))


def test_owned_files_and_folders_are_there_until_their_owner_is_done(tmp_path: Path) -> None:
    """A sweep leaves them alone while they are locked, and takes them when they are released."""
    folder, file = owned_folder("own-", tmp_path), owned_file("own-", ".x", tmp_path)
    remove_left(tmp_path, "own-")
    assert folder.path.is_dir()
    assert file.path.is_file()
    folder.release()
    file.release()
    file.release()
    remove_left(tmp_path, "own-")
    assert [] == os.listdir(tmp_path)


def test_a_sweep_takes_nothing_that_is_being_made(tmp_path: Path) -> None:
    """Runs that start at once make their files and folders while the others sweep; each keeps its own."""

    def make_and_sweep(_: int) -> None:
        for _ in range(100):
            folder, file = owned_folder("own-", tmp_path), owned_file("own-", ".x", tmp_path)
            remove_left(tmp_path, "own-")
            assert (True, True) == (folder.path.is_dir(), file.path.is_file())
            folder.remove()
            file.remove()

    with ThreadPoolExecutor(4) as pool:
        assert [None] * 4 == list(pool.map(make_and_sweep, range(4)))


def test_a_closed_engine_is_closed_once(tmp_path: Path) -> None:
    """Closing an engine again closes no handle of somebody else."""
    engine = Engine(temp_dir=tmp_path)
    engine.close()
    with open(tmp_path / "file", "wb") as file:
        engine.close()
        file.write(b"whole")
    assert ["file"] == os.listdir(tmp_path)
