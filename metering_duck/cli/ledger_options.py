"""What the ledger's commands share: their options, the ledger that they open, and how outcomes are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from metering_duck.cli.options import (
    ACROSS,
    AGGREGATION,
    BINARY_AS_TEXT,
    FOLDER_KEYS,
    GROUP_BY,
    MAP_UNIVERSE,
    ROUNDING,
    SUBJECT,
    UNIVERSE,
    WORKSPACE,
    options,
)
from metering_duck.cli.targets import print_json, wants_json

if TYPE_CHECKING:
    from metering_duck.ledger.ledger import Ledger
    from metering_duck.ledger.outcomes import Outcome
    from metering_duck.runs.rows import Rows

LEDGER = options(
    click.option("--ledger", metavar="FILE", envvar="METERING_DUCK_LEDGER", help="The ledger's file."),
    click.option("--wait", type=float, default=10.0, metavar="SECONDS", help="How long to wait for who else writes."),
)
CONFIG = click.option("--config", metavar="FILE", help="The metering config, in JSON.")
ZONE = click.option("--timezone", metavar="ZONE", help="Whose calendar and clocks the period is of; UTC if not given.")
BY = click.option("--by", metavar="NAME", help="Who does it; your login name if not given.")
MISSING = click.option("--without-missing", is_flag=True, help="Go on without files that are gone or have changed.")
MAP = click.option("--map", "map_", metavar="FIELD=COLUMN", multiple=True, help="Where a field is, as in aggregate.")
ASSUME_TIMEZONE = click.option("--assume-timezone", metavar="ZONE", help="The zone of event times without an offset.")
GENERATE_IDS = click.option("--generate-ids", is_flag=True, help="Events have no id: make one from each row.")
# How the event files of a ledger are read: the same for all of them.
FILE_OPTIONS = options(
    MAP,
    MAP_UNIVERSE,
    ASSUME_TIMEZONE,
    GENERATE_IDS,
    click.option("--assume-unique", is_flag=True, help="No id occurs twice, you say; faster."),
    FOLDER_KEYS,
    BINARY_AS_TEXT,
)
# How events become readings; the names of the arguments are AGGREGATING.
AGGREGATING_OPTIONS = options(
    AGGREGATION,
    click.option("--fill", type=click.Choice(("none", "zero")), default="none", help="A row for every window."),
    GROUP_BY,
    WORKSPACE,
    UNIVERSE,
    SUBJECT,
    ACROSS,
    ROUNDING,
)
AGGREGATING = (
    *("aggregation", "fill", "group_by", "workspace", "universe", "subject", "across_workspaces", "scale", "digits"),
)
# Which periods; the names of the arguments are CUTTING.
CUTTING_OPTIONS = options(
    click.option("--from", "--start", "start", metavar="TIME", help="Where the first period begins: 2024-01-01."),
    click.option("--to", "--end", "end", metavar="TIME", help="Where the last one ends, not included."),
    click.option("--every", metavar="LENGTH", help="Cut into periods: day, month, … or PT15M. Else it is one period."),
    click.option("--timezone", metavar="ZONE", help="Whose calendar and clocks: Europe/Berlin. UTC if not given."),
    click.option("--anchor", metavar="TIME", help="Cut at the anchor and so many steps from it."),
)
CUTTING = ("start", "end", "every", "timezone", "anchor")
OUTCOME_FORMAT = click.option(
    "--format", "format_", type=click.Choice(("table", "json")), help="Default: table on a terminal, else json."
)
MACHINE_ARGUMENTS = ("threads", "memory_limit", "temp_dir", "verify_files")


def open_ledger(given: dict[str, Any], progress: Any = None) -> Ledger:
    """The ledger that a command is given."""
    from metering_duck.ledger.ledger import Ledger
    from metering_duck.ledger.store import ledger_path

    machine = {name: given[name] for name in MACHINE_ARGUMENTS if name in given}
    return Ledger(ledger_path(given["ledger"]), wait=given["wait"], **machine, progress=progress)


def chosen_of(given: dict[str, Any], *names: str) -> dict[str, Any]:
    """The arguments of a command that have these names."""
    return {name: given[name] for name in names}


def show_outcomes(outcomes: Sequence[Outcome], given: dict[str, Any]) -> None:
    """Print the notes on standard error, then what became of each period."""
    say_notes(given, [notice for outcome in outcomes for notice in outcome.notices])
    for outcome in outcomes:
        if outcome.is_stale:
            hint = f"metering-duck restate {outcome.period} says by how much"
            say(given, f"note: {outcome.period} is closed, and its files are others by now. hint: {hint}")
    from metering_duck.cli.ledger_reports import print_outcomes

    if wants_json(given["format_"]):
        print_json([outcome.to_dict() for outcome in outcomes])
    else:
        print_outcomes(outcomes)


def say_notes(given: dict[str, Any], notices: Iterable[str]) -> None:
    """Print each notice once, unless the command is quiet."""
    for note in dict.fromkeys(notices):
        say(given, f"note: {note}")


def say(given: dict[str, Any], text: str) -> None:
    """Print a line on standard error, unless the command is quiet."""
    if not given.get("quiet"):
        click.echo(text, err=True)


def sums_of(rows: Rows) -> str:
    """How many readings differ, and by how much in each unit."""
    from metering_duck.cli.ledger_reports import sums_text

    return sums_text(rows)
