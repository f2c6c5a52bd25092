"""Run findings: whether each run is still what its digests say: its readings, its levels, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from metering_duck.errors import MeteringError
from metering_duck.inputs.source import Source
from metering_duck.ledger import configs
from metering_duck.ledger.configs import KnownConfig
from metering_duck.ledger.exporting import readings
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.levels import levels_fault, levels_of
from metering_duck.ledger.meterer import ledger_source
from metering_duck.ledger.plans import has_gauges, reach_with_levels
from metering_duck.ledger.runs import RunRow, find_runs, sha256_of
from metering_duck.ledger.store import Store, StoreEngine
from metering_duck.ledger.stored import DEFAULT_SOURCE, has_new_ids, question_text, source_digested

# A moment as digests spell it.
MOMENT = (
    "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S') || CASE WHEN epoch_us({0}) % 1000000 <> 0 "
    "THEN '.' || lpad(CAST(epoch_us({0}) % 1000000 AS VARCHAR), 6, '0') ELSE '' END || '+00:00'"
)
FILE = f"""'["' || sha256 || '","' || {MOMENT.format("entered_at")} || '"]'"""
LISTED = "'[' || coalesce(string_agg(file, ',' ORDER BY sha256, entered_at) FILTER ({}), '') || ']'"
# Run → the digests of the files that it read, if no moment was asked for, and if that moment left events out; and
# whether all of its files, or none, had entered by then.
SOURCES = f"""
    WITH files AS (
        SELECT run_id, counts, sha256, entered_at, {FILE} AS file FROM run_files JOIN source_files USING (file_id)
    ),
    texts AS (
        SELECT runs.run_id, as_of, {LISTED.format("counts")} || ',' || {LISTED.format("NOT counts")} AS listed,
            coalesce(bool_and(entered_at <= as_of), TRUE) AS all_entered,
            coalesce(bool_and(entered_at > as_of), TRUE) AS none_entered
        FROM runs LEFT JOIN files USING (run_id) WHERE status = 'done' GROUP BY ALL
    )
    SELECT run_id, sha256('[' || listed || ',null]'),
        sha256('[' || listed || ',"' || {MOMENT.format("as_of")} || '"]'), all_entered, none_entered
    FROM texts
"""


def run_findings(engine: StoreEngine, store: Store) -> Iterator[Finding]:
    """The digests of all runs that are done."""
    found = list(reversed(find_runs(engine, "TRUE")))
    for run in found:
        where = f"run {run.run_id} of {run.period.name}"
        if run.readings_of == run.run_id and run.kind != "levels":
            yield Finding("readings digest", where, _readings_fault(store, run))
        if run.readings_of == run.run_id and run.levels_sha256 is not None:
            yield Finding("levels digest", where, levels_fault(levels_of(engine, run.run_id), run.levels_sha256))
    yield from _inputs(engine, found)


def _readings_fault(store: Store, run: RunRow) -> str:
    try:
        with readings(store.open_to_read(), run.run_id) as rows:
            found = sha256_of(rows)
    except MeteringError as error:
        return f"cannot be recomputed ({error})"
    return "" if found == run.readings_sha256 else f"found {found}; expected {run.readings_sha256}"


def _inputs(engine: StoreEngine, found: Sequence[RunRow]) -> Iterator[Finding]:
    """What each run was made of: its period, config, options, files and levels, and the digests of all that."""
    source = ledger_source(engine) or DEFAULT_SOURCE
    sources = {row[0]: row[1:] for row in engine.rows(SOURCES)}
    known = cache(lambda sha256: configs.stored(engine, sha256))
    for run in found:
        try:
            problem = _inputs_fault(run, source, known(run.config_sha256), sources[run.run_id])
        except MeteringError as error:
            problem = f"cannot be recomputed ({error})"
        yield Finding("inputs digest", f"run {run.run_id} of {run.period.name}", problem)


def _inputs_fault(run: RunRow, source: Source, config: KnownConfig, of_files: Sequence[object]) -> str:
    """What is wrong with the digests of what a run was made of; "" if nothing is."""
    whole, in_part, all_entered, none_entered = of_files
    held = (whole,) if run.as_of is None else (whole,) * bool(all_entered) + (in_part,) * bool(none_entered)
    if run.sources_sha256 not in held:
        return f"sources_sha256: found {' or '.join(map(str, held)) or 'files of both sides of as_of'}; " + (
            f"expected {run.sources_sha256}"
        )
    ids = (f"ids {run.ids_version}",) if run.ids_version and has_new_ids(config.config, run.question) else ()
    window = (run.period.start, run.period.end, run.reach)
    asked, read = question_text(run.question), source_digested(source)
    digest = configs.digest(run.config_sha256, asked, read, window, run.sources_sha256, run.levels_before_sha256, *ids)
    if digest != run.inputs_sha256:
        return f"inputs_sha256: found {digest}; expected {run.inputs_sha256}"
    return _reach_fault(run, config)


def _reach_fault(run: RunRow, config: KnownConfig) -> str:
    """What is wrong with the events that a run says to have read, and the levels that it says to have."""
    reach = reach_with_levels(config.config, run.question)
    if run.reach != reach:
        return f"reach: found {run.reach}; expected {reach}"
    needs = reach == "window" and has_gauges(config.config, run.question)
    if needs != (run.levels_sha256 is not None) or needs != (run.levels_before_sha256 is not None):
        return f"levels: found {'none' if needs else 'some'}; expected {'some' if needs else 'none'}"
    return ""
