"""The ledger's commands, in the order of the help. Like cli/main.py they parse, call Ledger, and print its answer."""

from __future__ import annotations

from metering_duck.cli.ledger_comparing import diff, fork_universe, restate, simulate, trace
from metering_duck.cli.ledger_file import ledger_group
from metering_duck.cli.ledger_periods import backfill, close, rerun

__all__ = ["COMMANDS", "ledger_group"]

COMMANDS = (ledger_group, backfill, close, rerun, diff, restate, trace, simulate, fork_universe)
