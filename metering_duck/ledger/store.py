"""The ledger's file: one DuckDB database, opened to read or for one transaction, and closed again at once.

So other processes can read the ledger while a long backfill computes. A process that writes holds a lock beside the
file until all of its writing is done; the operating system frees the lock when the process ends, however it ends. What
was written is in the one file when a transaction is over, and on the disk.

The file may come from somebody else: nothing is asked of it before the connection is locked, and nothing of its tables
before ledger/catalog.py has looked it through.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, LedgerError, MeteringError, StageError, way_out_of
from metering_duck.files.databases import check_database
from metering_duck.files.faults import Fault
from metering_duck.ledger.catalog import NAME, check_catalog, check_values
from metering_duck.ledger.texts import naming_ledger
from metering_duck.outputs.files import sync_folder
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
ROOM = "room on its disk, and a folder that may be written."
CUT = ("Could not read enough bytes", "Corrupt database file", "checksum")
INIT = "a ledger, as metering-duck ledger init makes it"
ANOTHER = "--ledger FILE with the ledger itself, or make one with metering-duck ledger init"
FROM_A_COPY = "take it from a copy, and meter the periods since again"


class StoreEngine(Engine):
    """An engine with the file of a ledger attached, whose tables can be named without a prefix once it is `used`.

    It is an Engine, and holds none, because whatever takes an Engine is to take it: it adds methods, and changes none.
    It opens the ledger's file and nothing else; or a `copy` of it, which messages call by the name of the ledger.
    """

    def __init__(self, path: Path, *, writes: bool, copy: Path | None = None) -> None:
        super().__init__()
        self.path = path
        try:
            files = [str(one) for one in files_of(copy or path)]
            self.lock_down(files)
            self.failures.explain = partial(_failure, path)
            self.rows(f"ATTACH {literal(files[0])} AS {NAME}{'' if writes else ' (READ_ONLY)'}")
        except BaseException:
            self.close()
            raise

    def copied(self) -> Path:
        """A copy of the attached file in the folder of this engine, which can be attached in place of it."""
        copy = self.directory / "copy.duckdb"
        self.rows(f"ATTACH {literal(str(copy))} AS copied")
        self.rows(f"COPY FROM DATABASE {NAME} TO copied")
        self.rows("DETACH copied")
        return copy

    def used(self) -> StoreEngine:
        """This engine, with the ledger's tables under their own names."""
        self.rows(f"USE {NAME}")
        return self

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all statements of a with statement, or none of them; afterwards all is in the one file.

        Raises: LedgerError where the file has no room.
        """
        self.rows("BEGIN TRANSACTION")
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            with contextlib.suppress(MeteringError):
                self.rows("ROLLBACK")
            raise
        try:
            self.rows(f"CHECKPOINT {NAME}")
        except MeteringError as error:
            if any(sign in str(error) for sign in CUT):
                raise
            found = str(error).partition("(")[2].partition(")")[0] or str(error)
            limit, log = way_out_of(found), files_of(self.path)[1].name
            expected = limit or "room to bring them into the file. hint: make room"
            raise LedgerError(
                f"{self.path}: was written, but its last changes are in {log} beside it ({found}); "
                f"expected {expected}. Run the same command again, and keep both files together until then"
            ) from None


def files_of(path: Path) -> tuple[Path, ...]:
    """The file of a ledger, and those that DuckDB writes beside it until all changes are in that file.

    They lie beside the file itself, also where `path` is a link to it.
    """
    path = Path(os.path.realpath(path))
    return (path, *(path.with_name(f"{path.name}{end}") for end in (".wal", ".wal.checkpoint", ".wal.recovery")))


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
    limit = way_out_of(text)
    if limit is not None:
        return LedgerError(f"{path}: cannot be used ({first}); expected {limit}")
    if any(sign in text for sign in FOREIGN):
        return LedgerError(f"{path}: is no ledger ({first}); expected {INIT}. hint: {ANOTHER}")
    if "ermission denied" in text:
        return LedgerError(f"{path}: may not be used ({first}); expected one that may be read and written.")
    if any(sign in text for sign in CUT):
        return LedgerError(f"{path}: is damaged ({first}); expected a whole ledger. hint: {FROM_A_COPY}")
    return LedgerError(f"{path}: cannot be used ({first}); expected a ledger that can be read to its end.")


def _check_is_database(path: Path) -> None:
    """Refuse what is no database before anything opens it.

    Raises: LedgerError that says what it is.
    """
    try:
        check_database(path, expected=INIT, hint=ANOTHER)
    except (FileNotFoundError, NotADirectoryError):
        raise LedgerError(f"{path}: found no ledger; expected one. hint: metering-duck ledger init") from None
    except Fault as fault:
        raise LedgerError(str(fault.of(str(path)))) from None


class Store:
    """Opens the file at `path`; `wait` is how many seconds to wait for another process that has it open.

    Raises: LedgerError for a file that is absent, damaged, in use, or made by a later version.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float = WAIT_SECONDS) -> None:
        self.path, self.wait = Path(path).absolute(), wait
        # Who writes by a link, and who writes by another, hold one lock.
        self._lock = FileLock(f"{files_of(self.path)[0]}.lock", timeout=wait)
        self._looked_through: object = None
        self._forward: tuple[object, Path] | None = None
        # What was done to the file beside what was asked for.
        self.notices: tuple[str, ...] = ()

    def create(self) -> None:
        """Make a new, empty ledger. Nothing is overwritten."""
        self._check_is_new()
        if not self.path.parent.is_dir():
            raise LedgerError(f"{self.path}: cannot be made; expected a folder that exists.")
        with self.writer():
            self._check_is_new()
            partial = self.path.with_name(f".{self.path.name}.partial")
            try:
                _remove(partial)
                with contextlib.closing(StoreEngine(partial, writes=True).used()) as engine, engine.transaction():
                    self._migrate(engine, 0)
                _bring_to_disk(partial)
                partial.rename(self.path)
                sync_folder(self.path.parent)
            except (MeteringError, OSError) as error:
                _remove(partial)
                raise LedgerError(_not_made(self.path, error)) from None
            except BaseException:
                _remove(partial)
                raise

    def _check_is_new(self) -> None:
        """Refuse whatever lies there, also a link that leads nowhere: it would be replaced."""
        if os.path.lexists(self.path):
            raise LedgerError(f"{self.path}: is there already; expected a new file. hint: another --ledger")

    @contextlib.contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the lock of those who write, until the end of a with statement; other processes can still read.

        Raises: LedgerError when another process holds the lock for longer than `wait` seconds.
        """
        try:
            with self._held():
                yield
        except Timeout:
            raise LedgerError(
                f"{self.path}: another process has been writing to it for {self.wait:g} s; expected to be the only "
                "one. hint: wait for it to end, or --wait SECONDS"
            ) from None

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lock; a lock that cannot be made is an error of the ledger."""
        try:
            self._lock.acquire()
        except Timeout:
            raise
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot be written ({error.strerror}); expected a folder that may be written, with room."
            ) from None
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[StoreEngine]:
        """The ledger's tables, to be written: all statements of a with statement are kept, or none of them."""
        with naming_ledger(self.path), contextlib.closing(self._open(writes=True)) as engine, engine.transaction():
            yield engine
        # What this process has written needs no second look.
        self._looked_through = _stamp(self.path)

    @contextlib.contextmanager
    def reader(self) -> Iterator[StoreEngine]:
        """The ledger's tables, to be read, until the end of a with statement."""
        with naming_ledger(self.path), contextlib.closing(self._open(writes=False)) as engine:
            yield engine

    def open_to_read(self) -> StoreEngine:
        """The ledger's tables, to be read, in an engine that the caller closes."""
        return self._open(writes=False)

    def _open(self, *, writes: bool) -> StoreEngine:
        """Open the file; while another holds it for a moment, try again."""
        _check_is_database(self.path)
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
            version = self._looked_at(engine)
            if version == VERSION:
                return engine.used()
        except BaseException:
            engine.close()
            raise
        if not (writes or self._lock.is_locked):
            return StoreEngine(self.path, writes=False, copy=self._copy_forward(engine, version)).used()
        engine.close()
        with contextlib.closing(StoreEngine(self.path, writes=True)) as writing:
            # The version is asked again: another process may have migrated the file meanwhile.
            version = self._looked_at(writing)
            with writing.used().transaction():
                self._migrate(writing, version)
        if version < VERSION:
            self.notices = (
                f"{self.path}: was brought forward from version {version} of a ledger to {VERSION}; "
                "an earlier metering-duck does not open it any more.",
            )
        return self._open(writes=writes)

    def _copy_forward(self, engine: StoreEngine, version: int) -> Path:
        """A copy of the file of an earlier version, brought forward, since who reads writes nothing into the file.

        It is made once, until the file changes, and lies in the folder of the engine, which goes with this object.
        """
        stamp = _stamp(self.path)
        if self._forward is None or stamp is None or self._forward[0] != stamp:
            weakref.finalize(self, engine.close)
            copy = engine.copied()
            engine.rows(f"DETACH {NAME}")
            writing = StoreEngine(self.path, writes=True, copy=copy).used()
            with contextlib.closing(writing), writing.transaction():
                self._migrate(writing, version)
            self._forward = stamp, copy
        else:
            engine.close()
        return self._forward[1]

    def _looked_at(self, engine: StoreEngine) -> int:
        """The version of the file, of which every table is ours; it is looked through once, until it changes.

        Raises: LedgerError for a file that is no ledger, and one that has anything else than a ledger has.
        """
        stamp = _stamp(self.path)
        version = self._version(engine)
        if self._looked_through is None or self._looked_through != stamp:
            with engine.lock:
                check_catalog(engine.connection, self.path, version)
                check_values(engine.connection, self.path)
            self._looked_through = stamp
        return version

    def _version(self, engine: StoreEngine) -> int:
        """The version of the file's tables: VERSION, or an older one, which is then migrated.

        Raises: LedgerError for a version later than VERSION, and for a file that is no ledger.
        """
        try:
            is_table = f"database_name = '{NAME}' AND schema_name = 'main' AND table_name = 'ledger'"
            ((_,),) = engine.rows(f"SELECT sql FROM duckdb_tables() WHERE {is_table}")
            ((version, made_with),) = engine.rows(f"SELECT version, created_with FROM {NAME}.main.ledger")
            version = int(version)
        except (StageError, ValueError, TypeError):
            raise LedgerError(
                f"{self.path}: found a DuckDB database that is no ledger; expected {INIT}. hint: {ANOTHER}"
            ) from None
        if version < 1:
            raise LedgerError(f"{self.path}: is a ledger of version {version}; expected 1 to {VERSION}.")
        if version > VERSION:
            raise LedgerError(
                f"{self.path}: is a ledger of version {version} (made by {made_with}); expected at most {VERSION}, "
                f"which metering-duck {__version__} knows. hint: pip install --upgrade metering-duck"
            )
        return version

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


def _stamp(path: Path) -> object:
    """A value that changes with the file, and with what lies beside it; None where something lies beside it."""
    if any(one.exists() for one in files_of(path)[1:]):
        return None
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _remove(path: Path) -> None:
    """Remove the file of a ledger, and what lies beside it."""
    for one in files_of(path):
        with contextlib.suppress(OSError):
            one.unlink(missing_ok=True)


def _bring_to_disk(path: Path) -> None:
    """Bring a closed ledger to the disk.

    Raises: OSError; LedgerError where not all of it is in its file.
    """
    if any(one.exists() for one in files_of(path)[1:]):
        raise LedgerError(f"{path}: is not whole; expected all of it in one file.")
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _not_made(path: Path, error: Exception) -> str:
    """Why a new ledger could not be made."""
    if isinstance(error, OSError):
        why = error.strerror or str(error)
    else:
        why = str(error).partition("(")[2].rpartition(")")[0] or str(error)
    return f"{path}: cannot be made ({why}); expected {way_out_of(why) or ROOM}"


def ledger_path(given: str | os.PathLike[str] | None) -> Path:
    """The path of the ledger: the one that is given, else the one in METERING_DUCK_LEDGER.

    Raises: ConfigError where neither names a file.
    """
    found = given or os.environ.get("METERING_DUCK_LEDGER")
    if not found:
        raise ConfigError("ledger: found none; expected a file. hint: --ledger FILE, or METERING_DUCK_LEDGER=FILE")
    return Path(found)
