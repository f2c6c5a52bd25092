"""The commands that compare and explain what a ledger has: diff, restate, trace, simulate and fork-universe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from metering_duck.cli.ledger_options import (
    ASSUME_TIMEZONE,
    BY,
    CONFIG,
    GENERATE_IDS,
    LEDGER,
    MACHINE_ARGUMENTS,
    MAP,
    MISSING,
    ZONE,
    chosen_of,
    open_ledger,
    say,
    say_notes,
    sums_of,
)
from metering_duck.cli.options import BINARY_AS_TEXT, CLOCK, EVENTS, FOLDER_KEYS, FORMAT, MACHINE, QUIET, options
from metering_duck.cli.shared import columns_of, run_command, write
from metering_duck.cli.targets import NO_FILES, check_targets, format_of_rows, opened_output, print_data

if TYPE_CHECKING:
    from metering_duck.runs.rows import Rows


@click.command(short_help="Two runs side by side, and why they differ.")
@click.argument("old", type=int, metavar="RUN")
@click.argument("new", type=int, metavar="RUN")
@options(LEDGER, FORMAT)
@click.option("--no-causes", is_flag=True, help="Only the numbers: events are not read again.")
@options(MACHINE, QUIET)
def diff(old: int, new: int, **given: Any) -> None:
    """Show every reading whose quantity differs between two runs: old, new, delta, and the events or config behind."""

    def work(progress: Any) -> None:
        check_targets(NO_FILES | given, [])
        with open_ledger(given, progress).diff(old, new, causes=not given["no_causes"]) as rows:
            write(rows, given)
            say(given, sums_of(rows))

    run_command(work, given)


@click.command(short_help="What a closed period would be now, and why.")
@click.argument("period")
@EVENTS
@options(LEDGER, CONFIG, ZONE, MISSING, FORMAT)
@click.option("--book", is_flag=True, help="From now on it is that. Booked twice, it is booked once.")
@options(BY, CLOCK, MACHINE, QUIET)
def restate(period: str, events: tuple[str, ...], **given: Any) -> None:
    """Show what a closed period would be now against what it is: old, new, delta, and the events behind each.

    The restatement is kept in the ledger (ledger export restatements, causes). PERIOD is 2024-01, 2024-01-15 or
    START/END.
    """

    def work(progress: Any) -> None:
        check_targets(NO_FILES | given, [])
        chosen = chosen_of(given, "config", "book", "by", "timezone", "clock", "without_missing")
        made = open_ledger(given, progress).restate(period, events=list(events), **chosen)
        say_notes(given, made.notices)
        with made.rows as rows:
            write(rows, given)
            if not made.restatement_id:
                say(given, f"{period}: nothing to restate")
                return
            say(given, sums_of(rows))
            if made.booked:
                state = "booked"
            elif given["book"]:
                state = "booked before"
            else:
                state = "not booked; --book does that"
            say(given, f"restatement {made.restatement_id}: {state}")

    run_command(work, given)


@click.command(short_help="From a reading back to its events.")
@click.argument("reading")
@options(LEDGER, FORMAT)
@click.option("--run", type=int, metavar="RUN", help="Of this run; else of the run that counts now.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Show at most so many events; 50 in a table.")
@click.option("--sql", is_flag=True, help="Print the SQL that made it instead.")
@options(MACHINE, QUIET)
def trace(reading: str, **given: Any) -> None:
    """Show the events behind a reading, with file, row and id, and totals that add up to it.

    READING is a reading's id, or at least the first 4 digits of it. As JSON with the config and the SQL that made it.
    """

    def work(progress: Any) -> None:
        from metering_duck.cli.ledger_reports import print_trace

        check_targets(NO_FILES | given, [])
        if given["sql"] and (given["limit"] is not None or given["output"]):
            raise click.UsageError("--sql: found --limit or --output beside it; expected it alone.")
        found = open_ledger(given, progress).trace(reading, run=given["run"])
        with found.events as events:
            if given["sql"]:
                print_data(found.sql)
            elif format_of_rows(given) == "json":
                text = json.dumps(found.to_dict(given["limit"]), indent=2, ensure_ascii=False, default=str)
                with opened_output(given) as file:
                    file.write(text.encode() + b"\n")
            elif format_of_rows(given) == "table":
                print_trace(found, given["limit"], given)
            else:
                shown = events if given["limit"] is None else found.first(given["limit"])
                write(shown, given)

    run_command(work, given)


@click.command(short_help="Periods under another config, in a universe of their own.")
@click.argument("period", required=False)
@options(LEDGER, CONFIG)
@click.option("--from", "--start", "start", metavar="TIME", help="Without PERIOD: all periods of the ledger from here.")
@click.option("--to", "--end", "end", metavar="TIME", help="And up to here; all of them if not given.")
@click.option("--universe", metavar="NAME", required=True, help="The universe to simulate in: simulation-….")
@click.option("--of", metavar="UNIVERSE", default="production", show_default=True, help="The universe to start from.")
@click.option("--causes", is_flag=True, help="The events behind each difference, too.")
@options(ZONE, FORMAT, CLOCK, MACHINE, QUIET)
def simulate(period: str | None, **given: Any) -> None:
    """Meter periods under another config, in a universe of their own, and show what differs per subject.

    What counts stays as it is; the digests before and after are shown. PERIOD is 2024-01, 2024-01-15 or START/END;
    without one it is all periods of the ledger.
    """

    def work(progress: Any) -> None:
        check_targets(NO_FILES | given, [])
        if not given["config"]:
            raise click.UsageError("Missing option '--config'.")
        chosen = chosen_of(given, "config", "universe", "of", "start", "end", "timezone", "clock", "causes")
        made = open_ledger(given, progress).simulate(period, **chosen)
        say_notes(given, made.notices)
        with made.rows as rows:
            write(rows, given)
            say(given, sums_of(rows))
            same = "unchanged" if made.counting_before_sha256 == made.counting_after_sha256 else "CHANGED"
            made_by = f"run{'s' if len(made.run_ids) > 1 else ''} {', '.join(map(str, made.run_ids))}"
            say(given, f"{made_by}; the readings that count are {same} (SHA-256 {made.counting_after_sha256})")

    run_command(work, given)


@click.command("fork-universe", short_help="A universe's events, under another name.")
@click.argument("source")
@click.argument("target")
@EVENTS
@options(LEDGER, FORMAT)
@click.option("--as-of", metavar="TIME", help="Only what had entered by this time.")
@options(MAP, ASSUME_TIMEZONE, GENERATE_IDS, FOLDER_KEYS, BINARY_AS_TEXT, CLOCK, MACHINE, QUIET)
def fork_universe(source: str, target: str, events: tuple[str, ...], **given: Any) -> None:
    """Write the events of the universe SOURCE as events of the universe TARGET, to be metered beside the others.

    Without EVENTS they are those of the ledger. What is made of TARGET never mixes with what is made of SOURCE.

    \b
    metering-duck fork-universe production test-prices events.parquet --as-of 2024-02-01 -o fork.parquet
    """

    def work(progress: Any) -> None:
        check_targets(NO_FILES | given, events)
        with _forked(source, target, events, given, progress) as rows:
            write(rows, given)

    run_command(work, given)


def _forked(source: str, target: str, events: tuple[str, ...], given: dict[str, Any], progress: Any) -> Rows:
    """The events of the files that are named, else of the ledger's files, as events of another universe."""
    if not events:
        unused = [name for name in ("map_", "assume_timezone", "generate_ids", "clock") if given[name]]
        if unused:
            option = f"--{unused[0].strip('_').replace('_', '-')}"
            raise click.UsageError(f"{option}: found it without EVENTS; the ledger knows how its files are read.")
        return open_ledger(given, progress).fork_universe(source, target, as_of=given["as_of"])
    from metering_duck.calls.forking import fork_universe
    from metering_duck.runs.machine import Machine

    chosen = chosen_of(given, "as_of", "assume_timezone", "generate_ids", "folder_keys", "binary_as_text", "clock")
    machine = Machine(**chosen_of(given, *MACHINE_ARGUMENTS), progress=progress)
    return fork_universe(list(events), source, target, map=columns_of(given), machine=machine, **chosen)
