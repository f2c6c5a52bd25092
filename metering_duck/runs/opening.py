"""Opening: an input is found, its files are allowed, the engine is locked, and the input's layout is learnt.

The result is one frozen value, `Opened`, from which everything else is computed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa

from metering_duck.engine.duckdb import Engine
from metering_duck.errors import SchemaError, SourceError
from metering_duck.inputs.dry_run import Reads, reads_of
from metering_duck.inputs.fields import ENTERED_BY_FILE, Reach, field_names
from metering_duck.inputs.file_by_file import suspect_files
from metering_duck.inputs.files import stamp_of
from metering_duck.inputs.given import find_input, is_path, let_go
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, Needed, NeededTimes, extensions_of, paths_of
from metering_duck.inputs.layout import Layout
from metering_duck.inputs.mapping import FieldMap
from metering_duck.inputs.opening import open_source
from metering_duck.inputs.partitions import TimePartition
from metering_duck.inputs.relations import Relation
from metering_duck.inputs.source import Source
from metering_duck.judging.arrivals import Selection
from metering_duck.runs.history import History
from metering_duck.runs.machine import Machine
from metering_duck.runs.question import Question
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query
from metering_duck.windows.cutting import Windows
from metering_duck.windows.periods import NO_WINDOW
from metering_duck.windows.schedules import check_windows

ReadBy = Callable[[Engine, Input], Input]


@dataclass(frozen=True)
class Opened:
    """An input that is open in a locked engine, its windows cut: all that is known before anything is computed.

    `parameters` are the values that are bound to statements. `stamps` are path → a value that changes with the file, as
    it was when the file was found. `remarks` are notices about the input. `reads` says which files will be opened,
    `shells` how DuckDB's shell reads the input, and a table of windows, each under its name in SQL. `history` is what
    is known of events that are not read. `lies` is the input as it lies, None where another engine reads it:
    `is_elsewhere`. `again` opens the same input once more, whatever is asked of it, if that may be another than what is
    read. `lapses` are the levels that go on where they should not, which `strict` refuses.
    """

    engine: Engine
    source: Source
    question: Question
    selection: Selection
    layout: Layout
    windows: Windows = NO_WINDOW
    parameters: Mapping[str, object] = field(default_factory=dict)
    stamps: Mapping[str, object] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    reads: Callable[[], Reads] | None = None
    shells: Mapping[str, Callable[[], InShell]] = field(default_factory=dict)
    history: History | None = None
    is_elsewhere: bool = False
    again: Callable[[], Opened] | None = None
    lapses: tuple[str, ...] = ()
    lies: Relation | None = None

    def query(self, query: Query) -> Query:
        """A query with this run's values."""
        return replace(query, parameters=dict(self.parameters))

    def fill(self, query: Query) -> None:
        """Run a query into the table that it names."""
        self.engine.fill(self.query(query))

    def table(self, query: Query) -> pa.Table:
        """The rows of a query."""
        return self.engine.table(self.query(query))

    @property
    def counts_all_rows(self) -> bool:
        """Whether each row of the input is one row that is judged: none is left out, and none becomes several."""
        chosen = any(values for _, values in self.selection.columns.values())
        is_split = self.layout.is_records or self.source.shape is not None
        return not (chosen or self.selection.as_of or self.selection.reach != "all" or self.history or is_split)

    @property
    def noted_universes(self) -> tuple[str, ...]:
        """The other names of universes, of which a scan of records notes which it saw, if it notes none already."""
        if "universe_id" in self.selection.several:
            return ()
        return tuple(dict.fromkeys(self.source.universe_names.values()))

    def noting(self, remarks: Iterable[str]) -> Opened:
        """This opened input with more remarks."""
        return replace(self, remarks=(*self.remarks, *remarks))

    def script(self, queries: Iterable[Query]) -> str:
        """Queries as one SQL script with this run's values in it."""
        from metering_duck.runs.script import script_text

        shells = {name: in_shell() for name, in_shell in self.shells.items()}
        return script_text(queries, self.parameters, shells, has_history=self.history is not None)


@contextlib.contextmanager
def closed_on_failure(engine: Engine) -> Iterator[None]:
    """Close the engine if the block raises, since then no result will close it."""
    try:
        yield
    except (SchemaError, SourceError):
        # What is wrong with the columns may be what is wrong with the bytes.
        fault = engine.gate.fault()
        engine.close()
        if fault:
            raise fault from None
        raise
    except BaseException:
        engine.close()
        raise


def open_input(
    machine: Machine,
    given: Any,
    source: Source,
    question: Question,
    *,
    reach: Reach = "all",
    history: History | None = None,
    read_by: ReadBy | None = None,
) -> Opened:
    """Find the input, allow its files, lock the engine, cut the windows, and learn the input's layout.

    `reach` says which events the readings need, where the input is partitioned by time. Where another engine reads the
    input, `read_by` gives a few rows like those of the input, and no row of a file is read here.

    Raises: ConfigError, SchemaError, SourceError.
    """
    selection = selection_of(source, question, history)
    parameters = question.parameters | selection.parameters
    engine = machine.engine()
    with closed_on_failure(engine):
        engine.gate.expect(history.digests if history else {})
        is_elsewhere = read_by is not None
        whole = find_input(given, engine.directory, is_elsewhere=is_elsewhere, folder_keys=source.folder_keys)
        engine.at_close(partial(let_go, whole))
        periods = question.periods
        table = periods.found(engine) if periods else None
        engine.at_close(partial(let_go, table))
        paths = [path for one in (whole, table) for path in paths_of(one)]
        engine.lock_down(paths, extensions=extensions_of(whole, table))
        suspect_files(engine, (whole, table))
        stamps = {path: stamp_of(path) for path in paths}
        windows = periods.opened(engine, table) if periods else NO_WINDOW
        parameters |= windows.parameters
        if periods:
            fill_windows(engine, windows, parameters)
        needed, partition, remarks = _narrowed(engine, whole, source, selection, windows, reach)
        layout, given_rows = _learn_layout(engine, needed, source, partition, history, read_by)
        _check_entered(layout, needed.name, question, history)
        if history is not None:
            history.keep(engine)
        shells = {"input": needed.in_shell}
        if periods and table:
            shells[periods.kind] = table.in_shell
        return Opened(
            engine=engine,
            source=source,
            question=question,
            selection=selection,
            layout=layout,
            windows=windows,
            parameters=parameters,
            stamps=stamps,
            remarks=(*remarks, *given_rows.notes, *windows.remarks),
            lies=given_rows,
            reads=partial(reads_of, whole, needed),
            shells=shells,
            history=history,
            is_elsewhere=read_by is not None,
            again=_again(machine, given, source, selection, history),
        )


def _again(
    machine: Machine, given: Any, source: Source, selection: Selection, history: History | None
) -> Callable[[], Opened] | None:
    """How to open all of an input, of which less may be read; None where all of it is, or it cannot be read twice."""
    paths = [given] if is_path(given) else given
    is_whole = source.time_partition is None and not any(values for _, values in selection.columns.values())
    if history is not None or is_whole or not isinstance(paths, list | tuple):
        return None
    if not all(is_path(path) and str(path) != "-" for path in paths):
        return None
    return partial(open_input, machine, given, replace(source, time_partition=None, types=()), Question())


def selection_of(source: Source, question: Question, history: History | None = None) -> Selection:
    """Which events are seen, by the source, the question and the history."""
    return Selection(
        workspaces=question.workspaces,
        universes=question.universes,
        as_of=question.as_of is not None,
        reach=history.reach if history else "all",
        entered=history.entered_sql if history else "$clock",
        renamed=question.renamed,
        types=source.types,
    )


def fill_windows(engine: Engine, windows: Windows, parameters: Mapping[str, object]) -> None:
    """Fill the table `windows`, and the tables by which windows are looked up.

    Raises: ConfigError for windows that overlap.
    """
    for query in windows.queries():
        engine.fill(replace(query, parameters=dict(parameters)))
        if query.name == windows.name:
            check_windows(engine, windows)


def _narrowed(
    engine: Engine, whole: Input, source: Source, selection: Selection, windows: Windows, reach: Reach
) -> tuple[Input, TimePartition | None, tuple[str, ...]]:
    """The input without the files or rows that it knows are not needed, its partition by time, and remarks."""
    mapping = FieldMap(source.map, field_names(records=source.is_records))
    times = None
    if source.time_partition is not None:
        times = NeededTimes(source.time_partition, *_bounds(engine, windows, reach))
    needed, partition = whole.narrowed(Needed(_tenants(source, selection), mapping, times, source.shape))
    return needed, partition, tuple(f"input: {name}, as it is at this version." for name in whole.versions)


def _tenants(source: Source, selection: Selection) -> dict[str, tuple[str, ...]]:
    """Field → the values that are asked for, as they are written in the input."""
    if source.shape is not None and source.shape.is_wrapped:
        # The columns beside a wrapped event are not fields of the event.
        return {}
    tenants = {column: values for column, (_, values) in selection.columns.items()}
    if source.universe_names:
        # The universes are asked for by their other names, which the input does not have.
        del tenants["universe_id"]
    return tenants


def _bounds(engine: Engine, windows: Windows, reach: Reach) -> tuple[datetime | None, datetime | None]:
    """From when to when events are needed; None where there is no bound."""
    bounds = {"first": "min(window_start)", "last": "max(window_end)"}
    ((first, last),) = engine.rows(select(bounds, windows.name))
    match reach:
        case "window":
            return first, last
        case "before":
            return None, last
        case "all":
            return None, None


def _learn_layout(
    engine: Engine,
    needed: Input,
    source: Source,
    partition: TimePartition | None,
    history: History | None,
    read_by: ReadBy | None,
) -> tuple[Layout, Relation]:
    """The input's layout, with the other names of its universes, and, by the history, the files whose rows count;
    and the input as it lies.
    """
    numbers_rows = history is not None and history.numbers_rows
    learnt, lies = open_source(engine, needed, source, numbers_rows=numbers_rows, read_by=read_by)
    layout = replace(learnt, partition=partition).with_universe_names(source.universe_names)
    if history is None:
        return layout, lies
    layout = replace(layout, by_file=history.entered_sql == ENTERED_BY_FILE)
    if history.others:
        others = set(history.others)
        layout = replace(layout, only_files=tuple(path for path in history.paths if path not in others))
    return layout, lies


def _check_entered(layout: Layout, where: str, question: Question, history: History | None) -> None:
    """Refuse `as_of` where nothing says when an event entered."""
    if question.as_of is None or history is not None:
        return
    if not (layout.has_metered_at and "metered_at" in layout.columns):
        raise SchemaError(
            where,
            "metered_at",
            found="no such column",
            expected="when each event entered, for --as-of",
            hint="--map metered_at=COLUMN",
        )
