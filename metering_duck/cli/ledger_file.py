"""The commands about a ledger as a whole: init, status, verify and export."""

from __future__ import annotations

import sys
from typing import Any

import click

from metering_duck.cli.endings import EXIT_FAILED, EXIT_STRICT
from metering_duck.cli.ledger_options import LEDGER, OUTCOME_FORMAT, open_ledger, say, say_notes
from metering_duck.cli.options import EVENTS, FORMAT, QUIET
from metering_duck.cli.shared import run_command, write
from metering_duck.cli.targets import NO_FILES, check_targets, print_json, wants_json


@click.group("ledger", short_help="Make, look at, check and export a ledger.")
def ledger_group() -> None:
    """Make, look at, check and export a ledger: the file that keeps what was metered, by which run, and what counts.

    \b
    metering-duck ledger init --ledger usage.duckdb
    metering-duck ledger status --ledger usage.duckdb
    """


@ledger_group.command(short_help="Make a new, empty ledger.")
@LEDGER
def init(**given: Any) -> None:
    """Make a new, empty ledger. Nothing is overwritten."""

    def work(_: Any) -> None:
        from metering_duck.ledger.ledger import Ledger
        from metering_duck.ledger.store import ledger_path

        path = ledger_path(given["ledger"])
        Ledger.init(path)
        click.echo(f"{path}: a new ledger", err=True)

    run_command(work, {"quiet": True})


@ledger_group.command(short_help="What is metered, open, closed and stale.")
@EVENTS
@LEDGER
@OUTCOME_FORMAT
@click.option("--strict", is_flag=True, help="Exit with 3 if any period is stale.")
@QUIET
def status(events: tuple[str, ...], **given: Any) -> None:
    """Show what is metered, open, closed and stale: which periods new, changed or lost files touch. Writes nothing.

    EVENTS are more files, folders or globs to look at, beside those that the ledger knows.
    """
    found: list[Any] = []

    def work(progress: Any) -> None:
        from metering_duck.cli.ledger_reports import print_status

        found.append(open_ledger(given, progress).status(list(events)))
        if wants_json(given["format_"]):
            print_json(found[0].to_dict())
        else:
            print_status(found[0])

    run_command(work, given)
    if given["strict"] and any(period.is_stale for period in found[0].periods):
        sys.exit(EXIT_STRICT)


@ledger_group.command(short_help="Recompute the digests and the books.")
@LEDGER
@OUTCOME_FORMAT
@click.option("--files", is_flag=True, help="The event files, too: reads every byte, and every event.")
@QUIET
def verify(**given: Any) -> None:
    """Recompute digests, and hold the tables of a ledger against each other. Exits with 1 if anything does not fit."""
    problems: list[Any] = []

    def work(progress: Any) -> None:
        from metering_duck.cli.ledger_reports import print_findings

        findings = open_ledger(given, progress).verify(files=given["files"])
        problems.extend(finding for finding in findings if finding.problem)
        if wants_json(given["format_"]):
            print_json([finding.to_dict() for finding in findings])
        else:
            print_findings(findings)

    run_command(work, given)
    if problems:
        sys.exit(EXIT_FAILED)


@ledger_group.command(short_help="Bring a ledger of an earlier version forward.")
@LEDGER
@QUIET
def migrate(**given: Any) -> None:
    """Bring a ledger that an earlier version made forward: read the keys of its events again from the files.

    backfill, rerun and restate do this by themselves, for the files that count. Exits with 1 if a file cannot be read
    as it was: the runs that read it cannot be made again until it is back.
    """
    unread: list[str] = []

    def work(progress: Any) -> None:
        from metering_duck.runs.books import counted_noun

        found = open_ledger(given, progress).migrate()
        unread.extend(found.unread)
        say_notes(given, found.notices)
        if not (found.files or found.unread or found.notices):
            say(given, f"{given['ledger']}: is as this version keeps it")
            return
        if found.files or found.unread:
            rows = counted_noun(found.repeated_rows, "row")
            say(given, f"{counted_noun(found.files, 'file')} read again, {rows} of keys that occur more than once")
        for path in found.unread:
            say(given, f"{path}: is gone or has changed, and its keys cannot be read. hint: put it back as it was")

    run_command(work, given)
    if unread:
        sys.exit(EXIT_FAILED)


@ledger_group.command(short_help="Write a table of the ledger to a file.")
@click.argument("table")
@LEDGER
@click.option("--run", type=int, metavar="RUN", help="Of this run; else of the runs that count now.")
@FORMAT
def export(table: str, run: int | None, **given: Any) -> None:
    """Write readings, rejects, conflicts, runs, periods, files, restatements or causes.

    \b
    metering-duck ledger export readings -o readings.parquet
    metering-duck ledger export restatements -o restatements.xlsx
    """

    def work(_: Any) -> None:
        check_targets(NO_FILES | given, [])
        with open_ledger(given).export(table, run=run) as rows:
            write(rows, given)

    run_command(work, {"quiet": True})
