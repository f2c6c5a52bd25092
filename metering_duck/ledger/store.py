"""The ledger's file: one DuckDB database, opened to read or for one transaction, and closed again at once.

So other processes can read the ledger while a long backfill computes. A process that writes holds a lock beside the
file until all of its writing is done; the operating system frees the lock when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, LedgerError, MeteringError, StageError
from metering_duck.statements.quote import literal
from metering_duck.statements.stages import load_text
from metering_duck.version import __version__

VERSION = 3
WAIT_SECONDS = 10.0
# Parts of DuckDB's messages for a file that another process has open, a disk that is full, and a file that is no
# database of this version of DuckDB.
BUSY = ("Could not set lock", "Unique file handle conflict")
FULL = ("No space left", "Disk quota exceeded", "Could not write", "file is full")
FOREIGN = ("not a valid DuckDB database", "different DuckDB version", "newer version of DuckDB")


class StoreEngine(Engine):
    """An engine with the file of a ledger attached, whose tables can be named without a prefix.

    It is an Engine, and holds none, because whatever takes an Engine is to take it: it adds a method, and changes none.
    """

    def __init__(self, path: Path, *, writes: bool) -> None:
        super().__init__(explain=partial(_failure, path))
        self.path = path
        try:
            self.rows(f"ATTACH {literal(str(path))} AS the_ledger{'' if writes else ' (READ_ONLY)'}")
            self.rows("USE the_ledger")
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all statements of a with statement, or none of them."""
        self.rows("BEGIN TRANSACTION")
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            with contextlib.suppress(MeteringError):
                self.rows("ROLLBACK")
            raise


def _failure(path: Path, text: str) -> MeteringError:
    """DuckDB's message about a ledger's file as an error that a person can act on."""
    first = text.splitlines()[0].rstrip(".")
    if any(sign in text for sign in BUSY):
        return LedgerError(
            f"{path}: is in use by another process, or by rows that this one has not closed; expected it to "
            "be free. hint: try again"
        )
    if any(sign in text for sign in FULL):
        return LedgerError(
            f"{path}: cannot be written ({first.rpartition(': ')[2]}); expected room on its disk. "
            "hint: what was committed before is safe; make room and run the same command again"
        )
    if any(sign in text for sign in FOREIGN):
        return LedgerError(f"{path}: is no ledger ({first}); expected a file made by metering-duck ledger init.")
    return LedgerError(f"{path}: cannot be used ({first}); expected a ledger that can be read to its end.")


class Store:
    """Opens the file at `path`; `wait` is how many seconds to wait for another process that has it open.

    Raises: LedgerError for a file that is absent, damaged, in use, or made by a later version.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float = WAIT_SECONDS) -> None:
        self.path, self.wait = Path(path).absolute(), wait
        self._lock = FileLock(f"{self.path}.lock", timeout=wait)

    def create(self) -> None:
        """Make a new, empty ledger. Nothing is overwritten."""
        if self.path.exists():
            raise LedgerError(f"{self.path}: is there already; expected a new file. hint: another --ledger")
        if not self.path.parent.is_dir():
            raise LedgerError(f"{self.path}: cannot be made; expected a folder that exists.")
        with self.writer():
            if self.path.exists():
                raise LedgerError(f"{self.path}: is there already; expected a new file. hint: another --ledger")
            partial = self.path.with_name(f".{self.path.name}.partial")
            partial.unlink(missing_ok=True)
            with contextlib.closing(StoreEngine(partial, writes=True)) as engine, engine.transaction():
                self._migrate(engine, 0)
            partial.rename(self.path)

    @contextlib.contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the lock of those who write, until the end of a with statement; other processes can still read.

        Raises: LedgerError when another process holds the lock for longer than `wait` seconds.
        """
        try:
            with self._lock:
                yield
        except Timeout:
            raise LedgerError(
                f"{self.path}: another process has been writing to it for {self.wait:g} s; expected to be the only "
                "one. hint: wait for it to end, or --wait SECONDS"
            ) from None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[StoreEngine]:
        """The ledger's tables, to be written: all statements of a with statement are kept, or none of them."""
        with contextlib.closing(self._open(writes=True)) as engine, engine.transaction():
            yield engine

    @contextlib.contextmanager
    def reader(self) -> Iterator[StoreEngine]:
        """The ledger's tables, to be read, until the end of a with statement."""
        with contextlib.closing(self._open(writes=False)) as engine:
            yield engine

    def open_to_read(self) -> StoreEngine:
        """The ledger's tables, to be read, in an engine that the caller closes."""
        return self._open(writes=False)

    def _open(self, *, writes: bool) -> StoreEngine:
        """Open the file; while another holds it for a moment, try again."""
        if not self.path.is_file():
            raise LedgerError(f"{self.path}: found no ledger; expected one. hint: metering-duck ledger init")
        until = time.monotonic() + self.wait
        while True:
            try:
                engine = StoreEngine(self.path, writes=writes)
                break
            except LedgerError as error:
                if "in use" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        try:
            version = self._version(engine)
        except BaseException:
            engine.close()
            raise
        if version == VERSION:
            return engine
        engine.close()
        with contextlib.closing(StoreEngine(self.path, writes=True)) as writing, writing.transaction():
            # The version is asked again: another process may have migrated the file meanwhile.
            self._migrate(writing, self._version(writing))
        return self._open(writes=writes)

    def _version(self, engine: StoreEngine) -> int:
        """The version of the file's tables: VERSION, or an older one, which is then migrated.

        Raises: LedgerError for a version later than VERSION, and for a file that is no ledger.
        """
        try:
            ((version, made_with),) = engine.rows("SELECT version, created_with FROM ledger")
        except (StageError, ValueError):
            made = "expected a file made by metering-duck ledger init"
            raise LedgerError(f"{self.path}: is no ledger; {made}.") from None
        if version > VERSION:
            raise LedgerError(
                f"{self.path}: is a ledger of version {version} (made by {made_with}); expected at most {VERSION}, "
                f"which metering-duck {__version__} knows. hint: pip install --upgrade metering-duck"
            )
        return int(version)

    def _migrate(self, engine: StoreEngine, version: int) -> None:
        """Run the statements that bring the tables from one version to the next, up to VERSION."""
        for number in range(version + 1, VERSION + 1):
            for statement in engine.connection.extract_statements(load_text(f"ledger/{number}")):
                engine.rows(statement.query)
        if version == 0:
            made = f"TIMESTAMPTZ '{datetime.now(UTC).isoformat()}'"
            with_version = literal(f"metering-duck {__version__}")
            engine.rows(f"INSERT INTO ledger VALUES ({VERSION}, {made}, {with_version}, NULL)")
        else:
            engine.rows(f"UPDATE ledger SET version = {VERSION}")


def ledger_path(given: str | os.PathLike[str] | None) -> Path:
    """The path of the ledger: the one that is given, else the one in METERING_DUCK_LEDGER.

    Raises: ConfigError where neither names a file.
    """
    found = given or os.environ.get("METERING_DUCK_LEDGER")
    if not found:
        raise ConfigError("ledger: found none; expected a file. hint: --ledger FILE, or METERING_DUCK_LEDGER=FILE")
    return Path(found)
