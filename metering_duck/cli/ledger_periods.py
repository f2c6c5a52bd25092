"""The commands that meter periods into a ledger: backfill, close and rerun."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from metering_duck.cli.ledger_options import (
    AGGREGATING,
    AGGREGATING_OPTIONS,
    BY,
    CONFIG,
    CUTTING,
    CUTTING_OPTIONS,
    FILE_OPTIONS,
    LEDGER,
    MISSING,
    OUTCOME_FORMAT,
    ZONE,
    chosen_of,
    open_ledger,
    show_outcomes,
)
from metering_duck.cli.options import CLOCK, EVENTS, MACHINE, QUIET, STRICT, options
from metering_duck.cli.shared import file_options, run_command

if TYPE_CHECKING:
    from metering_duck.ledger.outcomes import Outcome


@click.command(short_help="Meter many periods into a ledger.")
@EVENTS
@options(LEDGER, CONFIG, CUTTING_OPTIONS, AGGREGATING_OPTIONS, FILE_OPTIONS, MISSING, OUTCOME_FORMAT, STRICT)
@click.option(
    "--as-of", metavar="TIME", help="Use only files that had been seen, and events that had entered, by then."
)
@options(CLOCK, MACHINE, QUIET)
def backfill(events: tuple[str, ...], **given: Any) -> None:
    """Meter every period between two moments into a ledger, one after another. Each is kept as soon as it is done.

    Started again, it goes on where it was: what was metered from the same files and config is left as it is. EVENTS
    are files, folders, globs, URLs, or one Delta or Iceberg table; the ledger remembers them.

    \b
    metering-duck backfill 'events/*.parquet' --ledger usage.duckdb --config config.json \\
      --from 2024-01-01 --to 2025-01-01 --every month
    """

    def work(progress: Any) -> None:
        ledger = open_ledger(given, progress)
        outcomes = ledger.backfill(
            list(events),
            **chosen_of(given, "config", *CUTTING, *AGGREGATING),
            **chosen_of(given, "as_of", "clock", "without_missing", "strict"),
            **file_options(given),
            report=_teller(progress, given),
        )
        show_outcomes(outcomes, given)

    run_command(work, given, kept="the periods that were done are kept; the same command goes on.")


def _teller(progress: Any, given: dict[str, Any]) -> Callable[[Outcome, int], None]:
    """The report that tells how far a backfill is: on a terminal by a bar, else by a line for each period."""
    from metering_duck.runs.books import counted_noun

    began, read = time.monotonic(), [0]

    def tell(outcome: Outcome, total: int) -> None:
        read[0] += outcome.read
        rate = read[0] / max(time.monotonic() - began, 0.001)
        if progress is not None:
            progress.advance(f"{outcome.period}, {read[0]:,} events, {rate:,.0f}/s", total)
        elif not given["quiet"]:
            click.echo(
                f"{outcome.period}: {outcome.status}, run {outcome.run_id}, {outcome.read:,} read, "
                f"{counted_noun(outcome.readings, 'reading')}, {outcome.rejected:,} rejected ({outcome.seconds:.1f} s)",
                err=True,
            )

    return tell


@click.command(short_help="Make the readings of a period final.")
@click.argument("period")
@options(LEDGER, BY, ZONE, OUTCOME_FORMAT, CLOCK)
def close(period: str, **given: Any) -> None:
    """Make the readings of a period final: no later run overwrites them.

    PERIOD is 2024-01, 2024-01-15 or START/END.
    """

    def work(_: Any) -> None:
        outcome = open_ledger(given).close(period, by=given["by"], timezone=given["timezone"], clock=given["clock"])
        show_outcomes([outcome], given)

    run_command(work, {"quiet": True})


@click.command(short_help="Meter a period again: as it is, was, or would be.")
@click.argument("period")
@EVENTS
@options(LEDGER, CONFIG, ZONE, MISSING, OUTCOME_FORMAT)
@click.option("--as-of", metavar="TIME", help="As it was then: with the files that had been seen by then.")
@click.option("--as-was", is_flag=True, help="As it was when the run that counts was made: the same files and config.")
@options(CLOCK, MACHINE, QUIET)
def rerun(period: str, events: tuple[str, ...], **given: Any) -> None:
    """Meter a period again: as it is now, as of a moment, as it was, or as if --config had been in force.

    The same inputs must give the same bytes: the status is then "reproduced", and an error if they do not. A closed
    period keeps its readings, whatever comes out. PERIOD is 2024-01, 2024-01-15 or START/END.
    """

    def work(progress: Any) -> None:
        chosen = chosen_of(given, "config", "as_of", "as_was", "timezone", "clock", "without_missing")
        outcome = open_ledger(given, progress).rerun(period, events=list(events), **chosen)
        show_outcomes([outcome], given)

    run_command(work, given)
