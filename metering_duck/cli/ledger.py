"""The ledger's commands. They parse, call Ledger, and print what it returns, as cli/main.py does."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from metering_duck.cli.options import (
    ACROSS,
    AGGREGATION,
    CLOCK,
    EVENTS,
    FORMAT,
    GROUP_BY,
    MACHINE,
    MAP_UNIVERSE,
    QUIET,
    ROUNDING,
    STRICT,
    SUBJECT,
    UNIVERSE,
    WORKSPACE,
    options,
)
from metering_duck.cli.shared import (
    EXIT_FAILED,
    EXIT_STRICT,
    NO_FILES,
    check_targets,
    columns_of,
    kind_of,
    opened_output,
    reading_options,
    run_command,
    write,
)

if TYPE_CHECKING:
    from metering_duck.ledger.ledger import Ledger, Outcome
    from metering_duck.runs.rows import Rows

LEDGER = options(
    click.option("--ledger", metavar="FILE", envvar="METERING_DUCK_LEDGER", help="The ledger's file."),
    click.option("--wait", type=float, default=10.0, metavar="SECONDS", help="How long to wait for who else writes."),
)
CONFIG = click.option("--config", metavar="FILE", help="The metering config, in JSON.")
ZONE = click.option("--timezone", metavar="ZONE", help="Whose calendar and clocks the period is of; UTC if not given.")
BY = click.option("--by", metavar="NAME", help="Who does it; your login name if not given.")
MISSING = click.option("--without-missing", is_flag=True, help="Go on without files that are gone or have changed.")
READING = options(
    click.option("--map", "map_", metavar="FIELD=COLUMN", multiple=True, help="Where a field is, as in aggregate."),
    MAP_UNIVERSE,
    click.option("--assume-timezone", metavar="ZONE", help="The zone of event times without an offset."),
    click.option("--generate-ids", is_flag=True, help="Events have no id: make one from each row."),
    click.option("--assume-unique", is_flag=True, help="No id occurs twice, you say; faster."),
)
OPTIONS = options(
    AGGREGATION,
    click.option("--fill", type=click.Choice(("none", "zero")), default="none", help="A row for every window."),
    GROUP_BY,
    WORKSPACE,
    UNIVERSE,
    SUBJECT,
    ACROSS,
    ROUNDING,
)
SPAN = options(
    click.option("--from", "--start", "start", metavar="TIME", help="Where the first period begins: 2024-01-01."),
    click.option("--to", "--end", "end", metavar="TIME", help="Where the last one ends, not included."),
    click.option("--every", metavar="LENGTH", help="Cut into periods: day, month, … or PT15M. Else it is one period."),
    click.option("--timezone", metavar="ZONE", help="Whose calendar and clocks: Europe/Berlin. UTC if not given."),
    click.option("--anchor", metavar="TIME", help="Cut at the anchor and so many steps from it."),
)
OUTCOME_FORMAT = click.option(
    "--format", "format_", type=click.Choice(("table", "json")), help="Default: table on a terminal, else json."
)
METERING = (
    "aggregation",
    "fill",
    "group_by",
    "workspace",
    "universe",
    "subject",
    "across_workspaces",
    "scale",
    "digits",
)
MACHINES = ("threads", "memory_limit", "temp_dir")


def open_ledger(given: dict[str, Any], progress: Any = None) -> Ledger:
    """The ledger that a command is given."""
    from metering_duck.ledger.ledger import Ledger
    from metering_duck.ledger.store import ledger_path

    machine = {name: given[name] for name in MACHINES if name in given}
    return Ledger(ledger_path(given["ledger"]), wait=given["wait"], **machine, progress=progress)


# --- the ledger itself -----------------------------------------------------------------------------------------------


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
        if _is_json(given):
            click.echo(json.dumps(found[0].to_dict(), indent=2, ensure_ascii=False))
        else:
            print_status(found[0])

    run_command(work, given)
    if given["strict"] and any(period.is_stale for period in found[0].periods):
        sys.exit(EXIT_STRICT)


@ledger_group.command(short_help="Recompute the digests and the books.")
@LEDGER
@OUTCOME_FORMAT
@click.option("--files", is_flag=True, help="The digests of all event files, too: reads every byte.")
@QUIET
def verify(**given: Any) -> None:
    """Recompute the digests and the books of a ledger. Exits with 1 if anything is not as it was."""
    problems: list[Any] = []

    def work(progress: Any) -> None:
        from metering_duck.cli.ledger_reports import print_findings

        findings = open_ledger(given, progress).verify(files=given["files"])
        problems.extend(finding for finding in findings if finding.problem)
        if _is_json(given):
            click.echo(json.dumps([finding.to_dict() for finding in findings], indent=2, ensure_ascii=False))
        else:
            print_findings(findings)

    run_command(work, given)
    if problems:
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


# --- metering into it ------------------------------------------------------------------------------------------------


@click.command(short_help="Meter many periods into a ledger.")
@EVENTS
@options(LEDGER, CONFIG, SPAN, OPTIONS, READING, MISSING, OUTCOME_FORMAT, STRICT)
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
        chosen = {name: given[name] for name in METERING}
        span = {name: given[name] for name in ("start", "end", "every", "timezone", "anchor", "as_of", "clock")}
        outcomes = ledger.backfill(
            list(events),
            given["config"],
            **span,
            **reading_options(given),
            without_missing=given["without_missing"],
            strict=given["strict"],
            report=_teller(progress, given),
            **chosen,
        )
        _print_outcomes(outcomes, given)

    run_command(work, given, kept="the periods that were done are kept; the same command goes on.")


def _teller(progress: Any, given: dict[str, Any]) -> Callable[[Outcome, int], None]:
    """Tells how far a backfill is: on a terminal by a bar, else by a line for each period."""
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
        _print_outcomes([outcome], given)

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
        names = ("config", "as_of", "as_was", "timezone", "clock", "without_missing")
        chosen = {name: given[name] for name in names}
        outcome = open_ledger(given, progress).rerun(period, events=list(events), **chosen)
        _print_outcomes([outcome], given)

    run_command(work, given)


# --- comparing and explaining ----------------------------------------------------------------------------------------


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
            _say(given, _sums(rows))

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
        names = ("config", "book", "by", "timezone", "clock", "without_missing")
        chosen = {name: given[name] for name in names}
        made = open_ledger(given, progress).restate(period, events=list(events), **chosen)
        with made.rows as rows:
            write(rows, given)
            if not made.restatement_id:
                _say(given, f"{period}: nothing to restate")
                return
            _say(given, _sums(rows))
            state = "booked" if made.booked else "booked before" if given["book"] else "not booked; --book does that"
            _say(given, f"restatement {made.restatement_id}: {state}")

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
        found = open_ledger(given, progress).trace(reading, run=given["run"])
        with found.events as events:
            if given["sql"]:
                click.echo(found.sql, nl=False)
            elif kind_of(given) == "json":
                text = json.dumps(found.to_dict(given["limit"]), indent=2, ensure_ascii=False, default=str)
                with opened_output(given) as file:
                    file.write(text.encode() + b"\n")
            elif kind_of(given) == "table":
                print_trace(found, given["limit"], given)
            else:
                write(found.first(given["limit"]) if given["limit"] is not None else events, given)

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
        chosen = {
            name: given[name] for name in ("config", "universe", "of", "start", "end", "timezone", "clock", "causes")
        }
        made = open_ledger(given, progress).simulate(period, **chosen)
        with made.rows as rows:
            write(rows, given)
            _say(given, _sums(rows))
            same = "unchanged" if made.counting_before_sha256 == made.counting_after_sha256 else "CHANGED"
            made_by = f"run{'s' if len(made.run_ids) > 1 else ''} {', '.join(map(str, made.run_ids))}"
            _say(given, f"{made_by}; the readings that count are {same} (SHA-256 {made.counting_after_sha256})")

    run_command(work, given)


@click.command("fork-universe", short_help="A universe's events, under another name.")
@click.argument("source")
@click.argument("target")
@EVENTS
@options(LEDGER, FORMAT)
@click.option("--as-of", metavar="TIME", help="Only what had entered by this time.")
@click.option("--map", "map_", metavar="FIELD=COLUMN", multiple=True, help="Where a field is, as in aggregate.")
@click.option("--assume-timezone", metavar="ZONE", help="The zone of event times without an offset.")
@click.option("--generate-ids", is_flag=True, help="Events have no id: make one from each row.")
@options(CLOCK, MACHINE, QUIET)
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
    """Of the files that are named, else of the ledger's."""
    if not events:
        return open_ledger(given, progress).fork_universe(source, target, as_of=given["as_of"])
    from metering_duck.calls.forking import fork_universe
    from metering_duck.runs.machine import Machine

    chosen = {name: given[name] for name in ("as_of", "assume_timezone", "generate_ids", "clock")}
    machine = Machine(given["threads"], given["memory_limit"], given["temp_dir"], progress)
    return fork_universe(list(events), source, target, map=columns_of(given), machine=machine, **chosen)


COMMANDS = (ledger_group, backfill, close, rerun, diff, restate, trace, simulate, fork_universe)


# --- what they share -------------------------------------------------------------------------------------------------


def _is_json(given: dict[str, Any]) -> bool:
    return given["format_"] == "json" or (given["format_"] is None and not sys.stdout.isatty())


def _print_outcomes(outcomes: Sequence[Outcome], given: dict[str, Any]) -> None:
    """The notes, then what became of each period."""
    for note in dict.fromkeys(notice for outcome in outcomes for notice in outcome.notices):
        _say(given, f"note: {note}")
    for outcome in outcomes:
        if outcome.is_stale:
            hint = f"metering-duck restate {outcome.period} says by how much"
            _say(given, f"note: {outcome.period} is closed, and its files are others by now. hint: {hint}")
    from metering_duck.cli.ledger_reports import print_outcomes

    if _is_json(given):
        click.echo(json.dumps([outcome.to_dict() for outcome in outcomes], indent=2, ensure_ascii=False))
    else:
        print_outcomes(outcomes)


def _say(given: dict[str, Any], text: str) -> None:
    if not given.get("quiet"):
        click.echo(text, err=True)


def _sums(rows: Rows) -> str:
    """How many readings differ, and by how much in each unit."""
    from metering_duck.cli.ledger_reports import sums_text

    return sums_text(rows)
