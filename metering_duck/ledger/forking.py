"""Forking: the events of one universe under the name of another universe, from the files that a ledger knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from metering_duck.calls.forking import forked
from metering_duck.errors import LedgerError
from metering_duck.ledger.manifest import history_of
from metering_duck.ledger.meterer import Meterer, ledger_source
from metering_duck.ledger.plans import check_readable, visible_files
from metering_duck.ledger.stored import DEFAULT_SOURCE
from metering_duck.runs.question import Question
from metering_duck.runs.rows import Rows


def fork_out_of_ledger(meterer: Meterer, universe: str, target: str, *, as_of: datetime | None) -> Rows:
    """The events of `universe` that had entered by a moment, as events of `target`; writes nothing.

    Raises: LedgerError where the ledger knows no file.
    """
    with meterer.store.reader() as engine:
        source = ledger_source(engine) or DEFAULT_SOURCE
        visible = visible_files(engine, as_of)
    check_readable(visible)
    if not visible:
        raise LedgerError("fork-universe: found no file; expected some. hint: name EVENTS, or backfill first")
    # A universe is forked under the name that it has in the files.
    source = replace(source, universe_names={})
    return forked(None, source, universe, target, Question(as_of=as_of), meterer.machine, history_of(visible))
