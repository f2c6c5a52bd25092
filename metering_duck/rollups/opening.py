"""Opening of a roll-up: readings are read, readings that do not combine are refused, and the new windows are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial
from typing import Any

from metering_duck.contract.times import format_time
from metering_duck.engine.duckdb import Engine
from metering_duck.errors import ConfigError
from metering_duck.inputs.file_by_file import suspect_files
from metering_duck.inputs.given import find_input, let_go
from metering_duck.inputs.in_shell import InShell
from metering_duck.inputs.input import Input, extensions_of, paths_of
from metering_duck.inputs.whole_files import check_rows
from metering_duck.readings.identity import Settings
from metering_duck.rollups.given_readings import GIVEN, Finer, open_finer
from metering_duck.rollups.made_by import settings_of
from metering_duck.rollups.refusals import Checks
from metering_duck.runs.machine import Machine
from metering_duck.runs.opening import closed_on_failure, fill_windows
from metering_duck.runs.question import Question
from metering_duck.statements.quote import literal
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage, load_stage
from metering_duck.windows.cutting import Windows
from metering_duck.windows.periods import NO_WINDOW, Periods

SERIES_SCALES = Query("series_scales", (load_stage("series_scales"),))


@dataclass(frozen=True)
class OpenedReadings:
    """Readings that combine, in the table `finer`, and the new windows that the readings are put into.

    `shells` say how DuckDB's shell reads the readings, and a table of windows, each under its name in SQL.
    `settings` are what the ids of the new readings say of all of them.
    """

    engine: Engine
    question: Question
    finer: Finer
    windows: Windows
    parameters: Mapping[str, object]
    shells: Mapping[str, Callable[[], InShell]]
    settings: Settings

    def query(self, query: Query) -> Query:
        """A query with this run's values."""
        return replace(query, parameters=dict(self.parameters))

    def placed(self) -> Stage:
        """`placed`: each reading with the new window that it is in."""
        return self.windows.placed_stage("finer", moment="finer_start")

    def script(self, queries: Iterable[Query]) -> str:
        """Queries as one SQL script with this run's values in it."""
        from metering_duck.runs.script import script_text

        shells = {name: in_shell() for name, in_shell in self.shells.items()}
        return script_text(queries, self.parameters, shells)


def open_readings(machine: Machine, readings: Any, question: Question, periods: Periods) -> OpenedReadings:
    """Read the readings, refuse readings that do not combine, and cut the windows.

    Raises: ConfigError, SchemaError, SourceError, QuantityOverflow.
    """
    engine = machine.engine()
    with closed_on_failure(engine):
        found = find_input(readings, engine.directory)
        engine.at_close(partial(let_go, found))
        table = periods.found(engine)
        engine.at_close(partial(let_go, table))
        paths = [path for one in (found, table) for path in paths_of(one)]
        engine.lock_down(paths, extensions=extensions_of(found, table))
        suspect_files(engine, (found, table))
        finer = open_finer(engine, found, question.dropped)
        engine.fill(finer.query)
        check_rows(engine, finer.given, engine.count("finer"))
        engine.fill(SERIES_SCALES)
        checks = Checks(engine, finer.where)
        checks.all_values()
        checks.aggregations()
        checks.keys(question.dropped, across_workspaces=question.across_workspaces)
        checks.groupings(question.dropped)
        checks.overlaps()
        settings = settings_of(engine, question)
        windows, parameters = _windows(engine, periods, table)
        parameters = question.parameters | parameters | {"settings": settings.text}
        fill_windows(engine, windows, parameters)
        shells = {GIVEN: found.in_shell}
        if table:
            shells[periods.kind] = table.in_shell
        opened = OpenedReadings(engine, question, finer, windows, parameters, shells, settings)
        checks.straddling(opened.query(Query("straddling", (opened.placed(), load_stage("straddling")))))
        gaps = windows.placed_stage("gaps", moment="gap_start", name="placed_gaps")
        checks.missing(opened.query(Query("missing", (load_stage("gaps"), gaps, load_stage("missing")))))
        return opened


def _windows(engine: Engine, periods: Periods, table: Input | None) -> tuple[Windows, dict[str, object]]:
    """The new windows and the values of their SQL; windows without bounds are bounded by the readings.

    Raises: ConfigError.
    """
    bounds = select({"first": "min(finer_start)", "last": "max(finer_end)"}, "finer")
    ((first, last),) = engine.rows(bounds)
    is_bounded = periods.has_bounds or bool(periods.kind)
    if first is None and not is_bounded:
        return NO_WINDOW, NO_WINDOW.parameters
    if periods.windows.whole and not is_bounded:
        raise ConfigError(
            "whole-periods: found no start or no end; expected both, since the readings may begin within a period. "
            "hint: --start 2024-01-01 --end 2025-01-01"
        )
    if periods.kind == "windows" or first is None:
        windows = periods.opened(engine, table)
        return windows, windows.parameters
    bounded = periods.between(first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)).opened(engine, table)
    windows = _without_found_bounds(bounded, periods) if periods.kind else bounded
    return windows, bounded.parameters | windows.parameters


def _without_found_bounds(opened: Windows, periods: Periods) -> Windows:
    """Windows of subscriptions: the bounds of the readings are for subscriptions without bounds, and clip no other."""
    columns = {}
    for name, bound in (("starts", opened.start), ("ends", opened.end)):
        if bound:
            columns[name] = f"coalesce({name}, TIMESTAMP {literal(format_time(bound).rstrip('Z'))})"
    own = select(columns, f"(\n{opened.schedule}\n) AS given", star=f"* EXCLUDE ({', '.join(columns)})")
    start, end = periods.windows.bounds
    return replace(
        opened,
        schedule=own,
        start=None if start is None else opened.start,
        end=None if end is None else opened.end,
    )
