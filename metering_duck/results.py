"""Results: what a run gives back, computed when it is first read.

A result owns its engine and closes it when it is closed or forgotten. writing.py puts its rows into files.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from metering_duck.contract import CONFLICT_SCHEMA, REJECT_SCHEMA
from metering_duck.engine import Engine
from metering_duck.errors import ConfigError, RejectedEvents
from metering_duck.json_shapes import JSON_SQL
from metering_duck.stages import Query, Stage
from metering_duck.statements import select
from metering_duck.writing import as_texts, counted, format_of_path, limited, write_query, write_rows, written_beside

if TYPE_CHECKING:
    import pandas
    import polars


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
        parts = [
            f"{self.read:,} read = {self.metered:,} metered",
            f"{self.unmatched:,} unmatched",
            counted_noun(self.duplicates, "duplicate"),
            counted_noun(self.conflicts, "conflict"),
            f"{self.rejected:,} rejected",
        ]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        return " + ".join(parts) + (f" ({reasons})" if reasons else "")


def counted_noun(count: int, noun: str) -> str:
    """1 duplicate, 2 duplicates."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
    rows: Query


class Result:
    """Records or readings, lazy until read; every method below computes what is not computed yet.

    Shape:  one row per record (RECORD_SCHEMA) or reading (READING_SCHEMA), in the fixed order of their keys.
    Exact:  quantities are DECIMAL; the same input gives the same bytes in every format (R23).
    Raises: QuantityOverflow (R18), SourceError, Interrupted; RejectedEvents when strict.
    """

    def __init__(self, engine: Engine, plan: Plan, *, strict: bool = False) -> None:
        self._engine, self._plan, self._strict = engine, plan, strict
        self._accounting: Accounting | None = None
        self._lock = threading.RLock()
        self._finalizer = weakref.finalize(self, engine.close)

    # --- what happened ----------------------------------------------------------------------------------------------

    @property
    def accounting(self) -> Accounting:
        """The five counts that balance (R9), and a few more."""
        return self._settle()

    def _settle(self) -> Accounting:
        """Compute what is not computed yet."""
        if not self._finalizer.alive:
            raise ConfigError("result: is closed; expected an open one. hint: read it inside its with statement")
        with self._lock:
            if self._accounting is None:
                self._accounting = self._plan.prepare()
                if self._strict:
                    self.refuse_rejects()
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
        self._settle()
        return self._plan.rows

    # --- the rows ---------------------------------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self._engine.table(self._rows())

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows as Arrow batches, one at a time in memory."""
        schema = self._engine.table(limited(self._rows(), 0)).schema
        return pa.RecordBatchReader.from_batches(schema, self._engine.stream(self._rows()))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule stream, so that any Arrow library reads a result as it is."""
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def pl(self) -> polars.DataFrame:
        """The rows as a Polars DataFrame; a map becomes a list of entries there."""
        import polars

        return polars.DataFrame(self.to_arrow())

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
        rows: list[dict[str, Any]] = self._engine.table(
            limited(as_texts(self._engine, self._rows()), count)
        ).to_pylist()
        return rows

    def count(self) -> int:
        """How many rows there are."""
        return int(self._engine.table(counted(self._rows())).column(0)[0].as_py())

    def inspect(self, name: str, sql: str) -> list[dict[str, Any]]:
        """The rows of one more SELECT over `judged`."""
        self._settle()
        rejects = self._plan.rejects()
        before = rejects.stages[: [stage.name for stage in rejects.stages].index("judged") + 1]
        query = Query(name, (*before, Stage(name, name.replace("_", " "), sql)), rejects.parameters)
        rows: list[dict[str, Any]] = self._engine.table(query).to_pylist()
        return rows

    def write_rejects(self, path: str | os.PathLike[str]) -> Path:
        """Write the rejects to a file, as write does."""
        return self._write_aside(self._plan.rejects() if self.accounting.rejected else None, REJECT_SCHEMA, path)

    def write_conflicts(self, path: str | os.PathLike[str]) -> Path:
        """Write the conflicts to a file, as write does."""
        return self._write_aside(self._plan.conflicts() if self.accounting.conflicts else None, CONFLICT_SCHEMA, path)

    def _write_aside(self, rows: Query | None, schema: pa.Schema, path: str | os.PathLike[str]) -> Path:
        """A query's rows in a file; without one, a file with no row."""
        if rows is None:
            nothing = f"nothing_{len(schema)}"
            self._engine.connection.register(nothing, schema.empty_table())
            rows = Query(nothing, (Stage(nothing, "no row", select({}, nothing, star="*")),))
        write_query(self._engine, rows, Path(path))
        return Path(path)

    def refuse_rejects(self) -> None:
        """Raise RejectedEvents if anything was rejected or in conflict: what `strict` does."""
        accounting = self.accounting
        if accounting.rejected or accounting.conflicts:
            raise RejectedEvents(
                f"strict: found {accounting.rejected:,} rejected and {accounting.conflicts:,} in conflict; expected "
                "none. hint: --rejects FILE and --conflicts FILE list them",
                self,
            )

    def close(self) -> None:
        """Give back memory and temporary files; the result cannot be read afterwards."""
        self._finalizer()

    def __repr__(self) -> str:
        """What it is, and what it found if it has been read."""
        return f"<Result of {self.shape}s: {self._accounting or 'not read yet'}>"

    def interrupt(self) -> None:
        """Stop a read that runs in another thread; it raises Interrupted there."""
        self._engine.interrupt()

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
