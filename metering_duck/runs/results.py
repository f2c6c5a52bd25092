"""Results: a run's rows, and the books of what became of the events; both are computed when they are first read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from metering_duck.contract.json_shapes import JSON_SQL
from metering_duck.contract.schemas import CONFLICT_SCHEMA, OUTCOME_SCHEMA, REJECT_SCHEMA
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError, RejectedEvents, first_few
from metering_duck.inputs.dry_run import Reads
from metering_duck.outputs.files import check_not_read, path_or_url, target_of
from metering_duck.outputs.writing import write_query
from metering_duck.runs.books import Accounting, notices_of
from metering_duck.runs.computing import Computing, Filled, Judging
from metering_duck.runs.found_instead import found_instead
from metering_duck.runs.opening import Opened
from metering_duck.runs.rows import Rows
from metering_duck.runs.sight import Sight
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage


@dataclass(frozen=True)
class Description:
    """What a result says of itself without being computed.

    `shape` is what a row is, `script` writes queries as one SQL script, `notices` says what was taken for granted, and
    `reads` which files are opened, None where the files were read already. `opened` is the input of the rows, and what
    is asked of it; None where they are put together from readings.
    """

    shape: str
    script: Callable[[list[Query]], str]
    notices: Callable[[Accounting], list[str]]
    reads: Callable[[], Reads] | None = None
    opened: Opened | None = None


class Result(Rows):
    """Records or readings, lazy until read; every method below computes what is not computed yet.

    A result is Rows in all public methods, and they all begin with `_rows`. So only that method is another here: it
    fills the tables first.

    Shape:  one row per record (RECORD_SCHEMA) or reading (READING_SCHEMA), in the fixed order of their keys.
    Exact:  quantities are DECIMAL; the same input gives the same bytes in every format (R23).
    Raises: QuantityOverflow (R18), SourceError, Interrupted; RejectedEvents when strict.
    """

    def __init__(self, engine: Engine, computing: Computing, description: Description, *, strict: bool = False) -> None:
        # The queries are made once before anything runs, so that faults of the config are found first.
        rows = computing.queries()[-1]
        super().__init__(engine, rows, description.shape, JSON_SQL.get(description.shape))
        self._computing, self._description, self._strict = computing, description, strict
        self._filled: Filled | None = None
        self._noticed: list[str] | None = None
        self._lock = threading.RLock()

    # --- what happened ----------------------------------------------------------------------------------------------

    @property
    def accounting(self) -> Accounting:
        """The five counts that balance (R9), and a few more."""
        return self._computed().accounting

    def _computed(self) -> Filled:
        """The books and the query of the rows, computed at the first call."""
        self._check_open()
        with self._lock:
            if self._filled is None:
                self._filled = self._computing.fill()
                if self._strict:
                    self.refuse_rejects()
            return self._filled

    @property
    def rejects(self) -> pa.Table:
        """Arrow: one row per rejected event, with its identity, measurement, offending text and reason (R3)."""
        if not self.accounting.rejected:
            return REJECT_SCHEMA.empty_table()
        return self._engine.table(self._computing.rejects())

    @property
    def conflicts(self) -> pa.Table:
        """Arrow: one row per event that lost to another with the same key, with both contents (R8)."""
        query = self._computing.conflicts() if self.accounting.conflicts else None
        return CONFLICT_SCHEMA.empty_table() if query is None else self._engine.table(query)

    @property
    def notices(self) -> list[str]:
        """What the run took for granted, what changed nothing in it, and what it was asked for and did not find."""
        with self._lock:
            if self._noticed is None:
                self._noticed = self._description.notices(self.accounting)
            return list(self._noticed)

    @property
    def files(self) -> list[dict[str, Any]]:
        """What was proven of each file that was read: that it is whole, its checksums, how many rows it has (R35)."""
        self._computed()
        return [proof.to_dict() for proof in self._engine.gate.proofs().values()]

    @property
    def reads(self) -> Reads:
        """The files that are opened and those that are left out, with their bytes; nothing is computed for it.

        Raises: ConfigError for a roll-up, whose readings are read when it is made.
        """
        if self._description.reads is None:
            raise ConfigError("reads: found a roll-up; expected records or readings of events.")
        return self._description.reads()

    @property
    def opened(self) -> Opened:
        """The input that the rows are computed from, and what is asked of it.

        Raises: ConfigError for a roll-up, which is put together from readings.
        """
        if self._description.opened is None:
            raise ConfigError("opened: found a roll-up; expected records or readings of events.")
        return self._description.opened

    @property
    def sql(self) -> str:
        """All queries, in order, with the run's values in place of its parameters: a script for the DuckDB shell."""
        return self._description.script(self._computing.queries())

    def stage_sql(self, name: str) -> str:
        """One stage's SQL, or a whole query's.

        Raises: ConfigError for an unknown stage, with the names of all stages.
        """
        from metering_duck.runs.script import stage_text

        return stage_text(self._computing.queries(), name)

    def _rows(self) -> Query:
        """The query of the rows, after the tables that it reads are filled."""
        return self._computed().rows

    def inspect(self, name: str, sql: str) -> list[dict[str, Any]]:
        """The rows of one more SELECT over `judged`."""
        self._computed()
        rejects = self._computing.rejects()
        known = [stage.name for stage in rejects.stages]
        if "judged" not in known:
            raise ConfigError("inspect: found rows that another engine has judged; expected those of this machine.")
        before = rejects.stages[: known.index("judged") + 1]
        query = Query(name, (*before, Stage(name, name.replace("_", " "), sql)), rejects.parameters)
        rows: list[dict[str, Any]] = self._engine.table(query).to_pylist()
        return rows

    def write_rejects(self, path: str | os.PathLike[str]) -> Path | str:
        """Write the rejects to a file, as write does."""
        rejects = self._computing.rejects() if self.accounting.rejected else None
        return self._write_aside(rejects, "reject", REJECT_SCHEMA, path)

    def write_conflicts(self, path: str | os.PathLike[str]) -> Path | str:
        """Write the conflicts to a file, as write does."""
        conflicts = self._computing.conflicts() if self.accounting.conflicts else None
        return self._write_aside(conflicts, "conflict", CONFLICT_SCHEMA, path)

    def write_outcomes(self, path: str | os.PathLike[str]) -> Path | str:
        """Write every event read, and what became of it (OUTCOME_SCHEMA), to a file, as write does.

        Raises: ConfigError for readings, which are made of events that were judged for them alone.
        """
        self._computed()
        outcomes = self._computing.outcomes()
        if outcomes is None:
            raise ConfigError(f"outcomes: found {self.shape}s; expected records. hint: meter(events, config)")
        return self._write_aside(outcomes, "event", OUTCOME_SCHEMA, path)

    def _write_aside(
        self, rows: Query | None, shape: str, schema: pa.Schema, path: str | os.PathLike[str]
    ) -> Path | str:
        """A query's rows in a file; without one, a file with no row."""
        if rows is None:
            nothing = f"nothing_{len(schema)}"
            self._engine.register(nothing, schema.empty_table(), shape)
            rows = Query(nothing, (Stage(nothing, "no row", select({}, nothing, star="*")),))
        target = target_of(path)
        check_not_read(target, self._engine.reads)
        write_query(self._engine, rows, shape, target)
        return path_or_url(target)

    def refuse_rejects(self) -> None:
        """Raise RejectedEvents if anything was rejected or in conflict, or a level lapsed: what `strict` does."""
        accounting, opened = self.accounting, self._description.opened
        if opened is not None and opened.lapses:
            raise RejectedEvents(first_few((f"strict: {lapse}" for lapse in opened.lapses), separator="\n"), self)
        if accounting.rejected or accounting.conflicts:
            raise RejectedEvents(
                f"strict: found {accounting.rejected:,} rejected and {accounting.conflicts:,} in conflict; expected "
                "none. hint: --rejects FILE and --conflicts FILE list them",
                self,
            )

    def __repr__(self) -> str:
        """What a row is, and the books if they have been computed."""
        found = self._filled.accounting if self._filled else "not read yet"
        return f"<Result of {self.shape}s: {found}>"


def result_of(opened: Opened, computing: Judging, row: str) -> Result:
    """The result of an input; a `row` is a record or a reading, which a bundled question puts together."""
    question = opened.question
    shape = f"{row}-bundle" if question.bundled else row

    def notices(accounting: Accounting) -> list[str]:
        sight = Sight(opened, computing.judge, accounting, makes_readings=row == "reading")
        return [*notices_of(opened, accounting), *found_instead(sight)]

    description = Description(shape, opened.script, notices, opened.reads, opened)
    return Result(opened.engine, computing, description, strict=question.strict)
