"""Results: what a run gives back, computed when it is first read, and written in the formats people use.

A result owns its engine and closes it when it is closed or forgotten. Rows go from DuckDB to the file as Arrow
batches; what is JSON or CSV is already text when it leaves SQL.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from metering_duck.contract import CONFLICT_SCHEMA, JSON_SQL, LIST_SQL, REJECT_SCHEMA
from metering_duck.engine import Engine
from metering_duck.errors import ConfigError, SourceError, did_you_mean
from metering_duck.quote import identifier
from metering_duck.stages import Query, Stage

if TYPE_CHECKING:
    import pandas
    import polars

FORMATS = {
    "json": (".json",),
    "ndjson": (".ndjson", ".jsonl"),
    "csv": (".csv",),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
}
ROW_GROUP_ROWS = 122_880
_partial_files: set[str] = set()


@dataclass(frozen=True)
class Accounting(Mapping[str, int]):
    """What became of every event (R9): read = metered + unmatched + duplicates + conflicts + rejected. Also a mapping.

    `unmatched_entry` and `unmatched_filter` are the two reasons of unmatched (R1), `times_cut` counts times with digits
    finer than a microsecond (R11), `times_naive` those without an offset; `reasons` counts rejects by reason code.
    """

    read: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    rejected: int
    unmatched_entry: int = 0
    unmatched_filter: int = 0
    times_cut: int = 0
    times_naive: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether every event read is accounted for once."""
        return self.read == self.metered + self.unmatched + self.duplicates + self.conflicts + self.rejected

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict, for JSON."""
        return {**asdict(self), "balances": self.balances}

    def __getitem__(self, name: str) -> int:
        try:
            return int(getattr(self, name))
        except (AttributeError, TypeError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (f.name for f in fields(self) if f.name != "reasons")

    def __len__(self) -> int:
        return len(fields(self)) - 1

    def __str__(self) -> str:
        """One line, for people."""
        parts = [f"{self.read:,} read = {self.metered:,} metered", f"{self.unmatched:,} unmatched",
                 f"{self.duplicates:,} duplicates", f"{self.conflicts:,} conflicts", f"{self.rejected:,} rejected"]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        return " + ".join(parts) + (f" ({reasons})" if reasons else "")


@dataclass
class Plan:
    """How a result is computed: `prepare` runs once, gives the accounting and sets `rows`, which then runs at will.

    `script` lists all queries in order as they would run if there were duplicates; `show` writes queries as one script.
    """

    shape: str
    prepare: Callable[[], Accounting]
    rejects: Callable[[], Query]
    conflicts: Callable[[], Query | None]
    script: Callable[[], list[Query]]
    show: Callable[[list[Query]], str]
    notices: Callable[[Accounting], list[str]]
    rows: Query | None = None


class Result:
    """Records or readings, lazy until read; every method below computes what is not computed yet.

    Shape:  one row per record (RECORD_SCHEMA) or reading (READING_SCHEMA), in the fixed order of their keys.
    Exact:  quantities are DECIMAL; the same input gives the same bytes in every format (R23).
    Raises: QuantityOverflow (R18), SourceError, Interrupted; RejectedEvents when strict.
    """

    def __init__(self, engine: Engine, plan: Plan, strict: Callable[[Result], None] | None = None) -> None:
        self._engine, self._plan, self._strict = engine, plan, strict
        self._accounting: Accounting | None = None
        self._lock = threading.RLock()
        self._finalizer = weakref.finalize(self, engine.close)

    # --- what happened ----------------------------------------------------------------------------------------------

    @property
    def accounting(self) -> Accounting:
        """The five counts that balance (R9), and a few more."""
        with self._lock:
            if self._accounting is None:
                self._accounting = self._plan.prepare()
                if self._strict is not None:
                    self._strict(self)
            return self._accounting

    @property
    def shape(self) -> str:
        """What a row is: record, record-bundle, reading or reading-bundle."""
        return self._plan.shape

    @property
    def rejects(self) -> pa.Table:
        """Arrow: one row per rejected event, with its identity, measurement, offending text and reason (R3)."""
        if not self.accounting.rejected:
            return REJECT_SCHEMA.empty_table()
        return self._engine.table(self._plan.rejects())

    @property
    def conflicts(self) -> pa.Table:
        """Arrow: one row per event that lost to another with the same key, with both contents (R8)."""
        query = self._plan.conflicts() if self.accounting.conflicts else None
        return CONFLICT_SCHEMA.empty_table() if query is None else self._engine.table(query)

    @property
    def notices(self) -> list[str]:
        """What the run took for granted, one sentence each."""
        return self._plan.notices(self.accounting)

    @property
    def sql(self) -> str:
        """All that runs, in order, with the run's values in place of its parameters: a script for the DuckDB shell."""
        return self._plan.show(self._plan.script())

    def stage_sql(self, name: str) -> str:
        """One stage's SQL, or a whole query's.

        Raises: ConfigError for a stage that there is not, with those that there are.
        """
        queries = self._plan.script()
        for query in queries:
            if query.name == name:
                return query.sql + "\n"
        stages = {stage.name: stage for query in queries for stage in query.stages}
        if name not in stages:
            raise ConfigError(f"stage: found {name!r}; expected one of {', '.join(stages)}.")
        return f"-- {stages[name].why}\n{stages[name].sql}\n"

    def _rows(self) -> Query:
        """The query of the rows, everything before it computed."""
        assert self.accounting is not None
        assert self._plan.rows is not None
        return self._plan.rows

    # --- the rows ---------------------------------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self._engine.table(self._rows())

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows as Arrow batches, one at a time in memory."""
        schema = self._engine.table(_limited(self._rows(), 0)).schema
        return pa.RecordBatchReader.from_batches(schema, self._engine.stream(self._rows()))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule stream, so that any Arrow library reads a result as it is."""
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def pl(self) -> polars.DataFrame:
        """The rows as a Polars DataFrame; a map becomes a list of entries there."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def df(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame; quantities stay Decimal objects. Needs pandas."""
        return self.to_arrow().to_pandas(maps_as_pydicts="strict")

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts by column name: Decimal quantities, datetimes in UTC, maps as dicts."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist(maps_as_pydicts="strict")
        return rows

    def write(self, path: str | os.PathLike[str], format: str | None = None) -> Path:
        """Write the rows to a file: beside it first, then renamed, so that no half-written file is ever seen.

        The format is taken from the suffix: .json .ndjson .csv .parquet .arrow.
        """
        target = Path(path)
        kind = format or format_of_path(target)
        with written_beside(target) as file:
            self.write_to(file, kind)
        return target

    def write_to(self, file: IO[bytes], format: str) -> None:
        """Write the rows to an open binary file."""
        write_rows(self._engine, self._rows(), JSON_SQL.get(self._plan.shape), file, format)

    def head(self, count: int) -> list[dict[str, Any]]:
        """The first rows as plain texts, for a table on a screen."""
        rows: list[dict[str, Any]] = self._engine.table(_limited(_as_texts(self._engine, self._rows()), count)).to_pylist()
        return rows

    def count(self) -> int:
        """How many rows there are."""
        return int(self._engine.table(_counted(self._rows())).column(0)[0].as_py())

    def inspect(self, name: str, sql: str) -> list[dict[str, Any]]:
        """The rows of one more SELECT over `judged`."""
        rejects = self._plan.rejects()
        assert self.accounting is not None
        before = rejects.stages[: [stage.name for stage in rejects.stages].index("judged") + 1]
        query = Query(name, (*before, Stage(name, name.replace("_", " "), sql)), rejects.parameters)
        rows: list[dict[str, Any]] = self._engine.table(query).to_pylist()
        return rows

    def write_rejects(self, path: str | os.PathLike[str]) -> Path:
        """Write the rejects to a file, as write does."""
        return write_table(self.rejects, Path(path))

    def write_conflicts(self, path: str | os.PathLike[str]) -> Path:
        """Write the conflicts to a file, as write does."""
        return write_table(self.conflicts, Path(path))

    def close(self) -> None:
        """Give back memory and temporary files; the result cannot be read afterwards."""
        self._finalizer()

    def interrupt(self) -> None:
        """Stop a read that runs in another thread; it raises Interrupted there."""
        self._engine.interrupt()

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- writing ---------------------------------------------------------------------------------------------------------


def format_of_path(path: Path) -> str:
    """The format that a file's suffix names.

    Raises: ConfigError for a suffix that names none.
    """
    for kind, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = [suffix for suffixes in FORMATS.values() for suffix in suffixes]
    raise ConfigError(f"{path}: found the suffix {path.suffix!r}; expected a format. hint: {did_you_mean(path.suffix, known)}")


@contextlib.contextmanager
def written_beside(target: Path) -> Iterator[IO[bytes]]:
    """A new file beside `target` that takes its place when all went well, and is removed when not."""
    if target.exists() and not target.is_file():
        with open(target, "wb") as file:
            yield file
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise SourceError(f"{target}: cannot be written ({error.strerror}); expected a folder that exists and may be written.") from None
    _partial_files.add(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        _partial_files.discard(name)


def remove_partial_files() -> None:
    """Remove files that are being written: for a process that is about to leave."""
    for name in list(_partial_files):
        with contextlib.suppress(OSError):
            os.unlink(name)


def write_table(table: pa.Table, target: Path) -> Path:
    """An Arrow table in the format of the file's suffix."""
    kind = format_of_path(target)
    with Engine() as engine, written_beside(target) as file:
        engine.lock_down([])
        engine.connection.register("written_rows", table)
        names = ", ".join(identifier(name) for name in table.column_names)
        rows = Query("written", (Stage("written", "the rows as they are", f"SELECT {names} FROM written_rows"),))
        write_rows(engine, rows, None, file, kind)
    return target


def write_rows(engine: Engine, rows: Query, json_sql: str | None, file: IO[bytes], kind: str) -> None:
    """A query's rows in one of FORMATS; `json_sql` is their JSON shape, by default their columns."""
    if kind in ("json", "ndjson"):
        _write_json(engine, rows, json_sql, file, array=kind == "json")
    elif kind == "csv":
        _write_csv(engine, rows, file)
    elif kind in ("parquet", "arrow"):
        _write_arrow(engine, rows, file, kind)
    else:
        raise ConfigError(f"format: found {kind!r}; expected one of {', '.join(FORMATS)}. hint: {did_you_mean(kind, FORMATS)}")


def _on_top(rows: Query, name: str, why: str, sql: str) -> Query:
    """Another stage that reads the query's last one, which keeps its order."""
    *before, last = rows.stages
    kept = Stage(f"{last.name}_rows", last.why, last.sql)
    return Query(rows.name, (*before, kept, Stage(name, why, sql.format(rows=kept.name))), rows.parameters)


def _limited(rows: Query, count: int) -> Query:
    return _on_top(rows, "limited", "the first rows", f"SELECT * FROM {{rows}} LIMIT {count}")


def _counted(rows: Query) -> Query:
    return _on_top(rows, "counted_rows", "how many", "SELECT count(*) AS rows FROM {rows}")


def _write_json(engine: Engine, rows: Query, json_sql: str | None, file: IO[bytes], *, array: bool) -> None:
    before, after = ("',\n'", "''") if array else ("''", "chr(10)")
    shaped = json_sql or f"CAST(to_json({rows.stages[-1].name}_rows) AS VARCHAR)"
    text = f"{before} || {shaped} || {after}".replace("{", "{{").replace("}", "}}")
    lines = _on_top(rows, "lines", "each row as JSON", f"SELECT {text} AS line FROM {{rows}}")
    first = True
    for batch in engine.stream(lines):
        for text_bytes in _bytes_of(batch.column(0)):
            file.write((b"[" + text_bytes[1:] if first else text_bytes) if array else text_bytes)
            first = False
    if array:
        file.write(b"[]\n" if first else b"\n]\n")


def _bytes_of(column: pa.Array) -> Iterator[bytes]:
    """All texts of a column one behind the other, straight from its Arrow buffer."""
    if len(column):
        plain = column.cast(pa.large_string())
        offsets = memoryview(plain.buffers()[1]).cast("q")
        start, end = offsets[plain.offset], offsets[plain.offset + len(plain)]
        yield bytes(memoryview(plain.buffers()[2])[start:end])


def _as_texts(engine: Engine, rows: Query) -> Query:
    """The rows with every column as the text a person or a CSV file wants: plain quantities, RFC 3339, maps as JSON."""
    schema = engine.table(_limited(rows, 0)).schema
    columns = ", ".join(f"{_text_sql(name, kind)} AS {identifier(name)}" for name, kind in zip(schema.names, schema.types, strict=True))
    return _on_top(rows, "texts", "each value as text", f"SELECT {columns.replace('{', '{{').replace('}', '}}')} FROM {{rows}}")


def _text_sql(name: str, kind: pa.DataType) -> str:
    column = identifier(name)
    if pa.types.is_decimal(kind):
        return f"plain_text({column})"
    if pa.types.is_timestamp(kind):
        return f"time_text({column} AT TIME ZONE 'UTC')"
    if name in LIST_SQL:
        return LIST_SQL[name]
    if pa.types.is_nested(kind):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return column


def _write_csv(engine: Engine, rows: Query, file: IO[bytes]) -> None:
    from pyarrow import csv

    texts = _as_texts(engine, rows)
    schema = engine.table(_limited(texts, 0)).schema
    with csv.CSVWriter(file, schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
        for batch in engine.stream(texts):
            writer.write_batch(batch)


def _write_arrow(engine: Engine, rows: Query, file: IO[bytes], kind: str) -> None:
    schema = engine.table(_limited(rows, 0)).schema
    if kind == "parquet":
        from pyarrow import parquet

        with parquet.ParquetWriter(file, schema, compression="zstd", store_schema=True) as writer:
            for table in _regular(engine.stream(rows), schema):
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        return
    new = pa.ipc.new_file if file.seekable() else pa.ipc.new_stream
    with new(file, schema) as writer:
        for table in _regular(engine.stream(rows), schema):
            writer.write_table(table)


def _regular(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches cut anew every ROW_GROUP_ROWS rows, so that a file's bytes do not depend on how they came (R23)."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(held, schema).combine_chunks()
            yield table.slice(0, ROW_GROUP_ROWS)
            held = table.slice(ROW_GROUP_ROWS).to_batches()
            count -= ROW_GROUP_ROWS
    if count:
        yield pa.Table.from_batches(held, schema).combine_chunks()
