"""Verifying: whether the digests and books of a ledger, and the files that it has seen, are still as it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from metering_duck.errors import LedgerError, MeteringError, SourceError
from metering_duck.inputs.table_days import day_name, parts_of
from metering_duck.ledger import configs
from metering_duck.ledger.exporting import readings
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.key_findings import event_key_findings
from metering_duck.ledger.level_digests import levels_sha256
from metering_duck.ledger.manifest import SourceFile, files_of
from metering_duck.ledger.meterer import ledger_source
from metering_duck.ledger.places import sha256_of_file
from metering_duck.ledger.runs import find_runs, levels_of, sha256_of
from metering_duck.ledger.store import Store, StoreEngine
from metering_duck.ledger.stored import DEFAULT_SOURCE
from metering_duck.ledger.tables import contents_of
from metering_duck.ledger.texts import stored_quantity
from metering_duck.runs.machine import Machine

# Name of a check → a query with one row for each fault: where it is, and what was found.
BALANCE = "metered + unmatched + duplicates + conflicts + rejected"
PLACED = "rows_without_time + coalesce(sum(events), 0)"
FAULTS = {
    "books": (
        f"SELECT 'run ' || run_id, read || ' read, ' || ({BALANCE}) || ' accounted for' FROM runs "
        f"WHERE status = 'done' AND read <> {BALANCE}"
    ),
    **{
        f"{table} counted": (
            f"SELECT 'run ' || run_id, {column} || ' said, ' || there || ' there' FROM runs JOIN (SELECT runs.run_id, "
            f"count({table}.run_id) AS there FROM runs LEFT JOIN {table} ON {table}.run_id = runs.readings_of "
            f"GROUP BY runs.run_id) USING (run_id) WHERE status = 'done' AND {column} <> there"
        )
        for table, column in (("readings", "readings"), ("rejects", "rejected"), ("conflicts", "conflicts"))
    },
    "events of files": (
        f"SELECT path, rows || ' rows, ' || ({PLACED}) || ' accounted for' FROM source_files "
        "LEFT JOIN source_hours USING (file_id) GROUP BY file_id, path, rows, rows_without_time "
        f"HAVING rows <> {PLACED}"
    ),
    "periods": (
        "SELECT name, 'its run ' || run_id || ' is not there' FROM periods "
        "WHERE run_id NOT IN (SELECT run_id FROM runs WHERE status = 'done')"
    ),
}


def verify(store: Store, *, files: bool = False) -> list[Finding]:
    """Recompute digests and books; with `files`, the digests of all event files and the keys of their events, too."""
    with store.reader() as engine:
        return [
            *_configs(engine),
            *_runs(engine, store),
            *_books(engine),
            *_adjustments(engine),
            *event_key_findings(engine, from_files=files),
            *_files(engine, hashed=files),
        ]


def _configs(engine: StoreEngine) -> Iterator[Finding]:
    for (sha256,) in engine.rows("SELECT config_sha256 FROM configs ORDER BY config_sha256"):
        try:
            configs.stored(engine, sha256)
            problem = ""
        except MeteringError as error:
            problem = str(error)
        yield Finding("config digest", sha256[:12], problem)


def _runs(engine: StoreEngine, store: Store) -> Iterator[Finding]:
    for run in reversed(find_runs(engine, "readings_of = run_id")):
        if run.kind != "levels":
            with readings(store.open_to_read(), run.run_id) as rows:
                found = sha256_of(rows)
            problem = "" if found == run.readings_sha256 else f"found {found}; expected {run.readings_sha256}"
            yield Finding("readings digest", f"run {run.run_id} of {run.period.name}", problem)
        if run.levels_sha256 is not None:
            table = levels_of(engine, run.run_id)
            found = levels_sha256(table.sort_by([(name, "ascending") for name in table.schema.names]))
            problem = "" if found == run.levels_sha256 else f"found {found}; expected {run.levels_sha256}"
            yield Finding("levels digest", f"run {run.run_id} of {run.period.name}", problem)


def _books(engine: StoreEngine) -> Iterator[Finding]:
    for check, sql in FAULTS.items():
        wrong = engine.rows(sql)
        if not wrong:
            yield Finding(check, "all")
        for where, problem in wrong:
            yield Finding(check, str(where), str(problem))


def _adjustments(engine: StoreEngine) -> Iterator[Finding]:
    """Check that old + delta = new, in Python: quantities may have any scale, and no DECIMAL holds all of them."""
    rows = engine.rows("SELECT restatement_id || ' ' || reading_id, old, delta, new FROM adjustments ORDER BY ALL")
    faults = [(row[0], _adjustment_fault(*row[1:])) for row in rows]
    wrong = [(where, fault) for where, fault in faults if fault]
    if not wrong:
        yield Finding("adjustments", "all")
    for where, fault in wrong:
        yield Finding("adjustments", where, fault)


def _adjustment_fault(old: str | None, delta: str, new: str | None) -> str:
    """What is wrong with an adjustment; "" if nothing is."""
    try:
        before, change = stored_quantity(old, "adjustments.old"), stored_quantity(delta, "adjustments.delta")
        after = stored_quantity(new, "adjustments.new")
    except LedgerError as error:
        return str(error)
    return "" if before + change == after else f"{old or 0} + {delta} is not {new or 0}"


def _files(engine: StoreEngine, *, hashed: bool) -> Iterator[Finding]:
    files = files_of(engine) if hashed else []
    days = _days(engine, files)
    for file in files:
        try:
            found = days.get(file.path, "no such day") if file.is_day else sha256_of_file(file.path)
            problem = "" if found == file.sha256 else f"found {found}; expected {file.sha256}"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        except SourceError as error:
            problem = str(error)
        yield Finding("file digest", file.path, problem)


def _days(engine: StoreEngine, files: Sequence[SourceFile]) -> dict[str, str]:
    """The digests of the days of tables, each version read once."""
    source = ledger_source(engine) or DEFAULT_SOURCE
    found: dict[str, str] = {}
    tables = {}
    for file in files:
        parts = parts_of(file.path)
        if parts:
            tables[parts[0]] = file
    for name, file in tables.items():
        with contextlib.suppress(SourceError):
            contents = contents_of(name, file.first_seen_at or file.entered_at, source, Machine())
            found |= {day_name(name, day): sha256 for day, sha256 in contents.items()}
    return found
