"""Verifying: whether what a ledger says of itself, and of the files that it has seen, still fits together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from metering_duck.errors import MeteringError
from metering_duck.ledger import configs
from metering_duck.ledger.faults import FAULTS
from metering_duck.ledger.file_findings import file_findings
from metering_duck.ledger.findings import Finding
from metering_duck.ledger.key_findings import event_key_findings
from metering_duck.ledger.periods import misnamed_periods
from metering_duck.ledger.restatement_findings import restatement_findings
from metering_duck.ledger.run_findings import run_findings
from metering_duck.ledger.store import Store, StoreEngine


def verify(store: Store, *, files: bool = False) -> list[Finding]:
    """Recompute digests and compare the tables with one another; with `files`, also with the files themselves.

    What cannot be read at all is a finding, too.
    """
    with store.reader() as engine:
        checks: dict[str, Callable[[], Iterable[Finding]]] = {
            "config digest": lambda: _configs(engine),
            "runs": lambda: run_findings(engine, store),
            "tables": lambda: _tables(engine),
            "adjustments": lambda: restatement_findings(engine),
            "event keys": lambda: event_key_findings(engine, from_files=files),
        }
        if files:
            checks["file digest"] = lambda: file_findings(engine)
        return [finding for name, check in checks.items() for finding in _told(name, check)]


def _told(check: str, findings: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Findings, the last of which says what a check failed of, if it did."""
    try:
        yield from findings()
    except MeteringError as error:
        yield Finding(check, "the ledger", str(error))


def _configs(engine: StoreEngine) -> Iterator[Finding]:
    for (sha256,) in engine.rows("SELECT config_sha256 FROM configs ORDER BY config_sha256"):
        try:
            configs.stored(engine, sha256)
            problem = ""
        except MeteringError as error:
            problem = str(error)
        yield Finding("config digest", sha256[:12], problem)


def _tables(engine: StoreEngine) -> Iterator[Finding]:
    for check, queries in FAULTS.items():
        wrong = [row for sql in queries for row in engine.rows(sql)]
        if check == "periods":
            wrong += misnamed_periods(engine)
        if not wrong:
            yield Finding(check, "all")
        for where, problem in wrong:
            yield Finding(check, str(where), str(problem))
