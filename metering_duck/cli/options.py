"""The options that commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from metering_duck.calls.engine_names import ENGINES
from metering_duck.outputs.formats import OUTPUT_FORMATS

# The value `table` stands for a grid on the screen, which only the command line has.
SHOWN_FORMATS = ("table", *OUTPUT_FORMATS)
Command = TypeVar("Command", bound=Callable[..., Any])


def options(*chosen: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options as one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(chosen):
            command = option(command)
        return command

    return decorate


AGGREGATION = click.option("--aggregation", metavar="NAME", help="For all measurements; else each measurement's own.")
GROUP_BY = click.option("--group-by", metavar="DIMENSION", multiple=True, help="A reading per value. May be repeated.")
SUBJECT = click.option("--subject", metavar="ID", multiple=True, help="Only readings of this subject. May be repeated.")
WORKSPACE = click.option("--workspace", metavar="NAME", multiple=True, help="Only this workspace. May be repeated.")
UNIVERSE = click.option("--universe", metavar="NAME", multiple=True, help="Only this universe. May be repeated.")
EVENT_TYPE = click.option(
    "--event-type",
    metavar="NAME",
    multiple=True,
    help="Only events of this type, as if there were no others; of records, what they were made with. May be repeated.",
)
MAP_UNIVERSE = click.option("--map-universe", metavar="OLD=NEW", multiple=True, help="Give a universe another name.")
CONFIG = click.option("--config", metavar="FILE", envvar="METERING_DUCK_CONFIG", help="The metering config, in JSON.")
FOLDER_KEYS = click.option(
    "--folder-keys/--no-folder-keys",
    default=None,
    help="Whether the key=value names of folders are columns, where a file has a column of such a name.",
)
BINARY_AS_TEXT = click.option(
    "--binary-as-text", is_flag=True, help="Take columns of bytes as text in UTF-8, as Impala and Hive write it."
)
INPUT = options(
    click.option(
        "--from",
        "from_",
        metavar="SHAPE",
        help="Whose events these are, if not in our own shape: cloudevents, openmeter, lago or stripe.",
    ),
    click.option(
        "--map",
        "map_",
        metavar="FIELD=COLUMN",
        multiple=True,
        help="Where a field is: subject=customer_id, universe_id=\"'production'\" for a constant, "
        "properties=A,B or properties.tokens=A for columns that are properties.",
    ),
    click.option(
        "--assume-timezone", metavar="ZONE", help="The zone of event times without an offset; UTC if not given."
    ),
    click.option("--generate-ids", is_flag=True, help="Events have no id: make one from each row, equal rows apart."),
    click.option(
        "--assume-unique", is_flag=True, help="No id occurs twice, you say: do not look for duplicates; faster."
    ),
    FOLDER_KEYS,
    BINARY_AS_TEXT,
    WORKSPACE,
    UNIVERSE,
    EVENT_TYPE,
    MAP_UNIVERSE,
    click.option("--as-of", metavar="TIME", help="Use only what had entered by this time; needs a metered_at column."),
)
FORMAT = options(
    click.option(
        "--format",
        "format_",
        type=click.Choice(SHOWN_FORMATS),
        envvar="METERING_DUCK_FORMAT",
        help="Default: the suffix of -o; else table on a terminal, ndjson when piped.",
    ),
    click.option("-o", "--output", metavar="FILE", help="Write here instead of to standard output."),
)
OUTPUT = options(
    FORMAT,
    click.option("--bundled", is_flag=True, help="One row per event or key, its measurements bundled."),
    click.option("--rejects", metavar="FILE", help="Write the rejected events here, with their reasons."),
    click.option("--conflicts", metavar="FILE", help="Write the events in conflict here, with both contents."),
    click.option("--summary", metavar="FILE", help="Write the accounting here, as JSON."),
)
TREE = options(
    click.option(
        "--partition-by",
        metavar="COLUMN",
        multiple=True,
        help="Write Parquet in folders COLUMN=VALUE below -o: a column, or year, month, date (UTC). May be repeated.",
    ),
    click.option(
        "--mode",
        type=click.Choice(("merge", "append", "overwrite")),
        help="Into a table, -o delta://… or iceberg://…: merge by id (the default), append what is not there, "
        "or overwrite partitions or all.",
    ),
)
CLOCK = click.option("--clock", metavar="TIME", help="The run's clock: created_at, and metered_at where there is none.")
MACHINE = options(
    click.option("--threads", type=click.IntRange(min=1), envvar="METERING_DUCK_THREADS", help="Default: all cores."),
    click.option("--memory-limit", metavar="SIZE", envvar="METERING_DUCK_MEMORY_LIMIT", help="For example 4GB."),
    click.option("--temp-dir", metavar="DIR", envvar="METERING_DUCK_TEMP_DIR", help="Where to spill what is larger."),
    click.option(
        "--verify-files", is_flag=True, help="Fetch objects once more, to prove them whole as files on disk always are."
    ),
)
CLUSTER = options(
    click.option(
        "--engine",
        type=click.Choice(list(ENGINES)),
        default="duckdb",
        help=f"What computes: {', or '.join(ENGINES.values())}.",
    ),
    click.option("--master", metavar="URL", help="With --engine spark: spark://HOST:7077, local[*] or sc://HOST."),
)
STRICT = click.option(
    "--strict",
    is_flag=True,
    help="Exit with 3, and write no rows, if anything is rejected or in conflict, or a level outlasts its entry.",
)
QUIET = click.option("--quiet", "-q", is_flag=True, help="No accounting, notices or progress on standard error.")
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Show what would be read, left out and written; read no event, write nothing."
)
RUN = options(CLOCK, MACHINE, STRICT, QUIET)
ENGINE = options(CLOCK, MACHINE, QUIET)
EVENTS = click.argument("events", nargs=-1, metavar="EVENTS...")
PERIODS = options(
    click.option("--start", metavar="TIME", help="The window's start, included: 2024-01-01 or RFC 3339."),
    click.option("--end", metavar="TIME", help="The window's end, not included."),
    click.option(
        "--every",
        metavar="LENGTH",
        help="Cut the window: hour, day, week, week-sunday, month, quarter, year, or PT15M.",
    ),
    click.option("--timezone", metavar="ZONE", help="Whose calendar and clocks: Europe/Berlin. UTC if not given."),
    click.option(
        "--anchor", metavar="TIME", help="Cut at the anchor and so many steps from it, not at the calendar's."
    ),
    click.option(
        "--windows", metavar="FILE", help="Windows as a table: start, end, and universe, subject if each has own."
    ),
    click.option(
        "--subscriptions",
        metavar="FILE",
        help="Each subject's own periods: universe, subject, anchor, interval, zone, starts, ends.",
    ),
    click.option("--whole-periods", is_flag=True, help="The periods that begin in the window, none of them cut."),
)
ACROSS = click.option("--across-workspaces", is_flag=True, help="One reading for a subject of several workspaces.")
ROUNDING = options(
    click.option("--scale", type=int, metavar="N", help="Fraction digits of a result; 18 if not given."),
    click.option("--digits", type=int, metavar="N", help="Round averages to N significant digits (at most 34)."),
)
WINDOW = options(
    AGGREGATION,
    PERIODS,
    click.option(
        "--fill", type=click.Choice(("none", "zero", "carry")), default="none", help="A row for every window."
    ),
    GROUP_BY,
    SUBJECT,
    click.option(
        "--time-partition",
        metavar="COLUMN",
        help="The Hive column with the UTC date of each event's time: read only the partitions that the window needs.",
    ),
    ACROSS,
    ROUNDING,
)
MADE_WITH = options(
    click.option(
        "--event-type",
        metavar="NAME",
        multiple=True,
        help="The readings were made with this --event-type. May be repeated.",
    ),
    click.option(
        "--workspace",
        metavar="NAME",
        multiple=True,
        help="The readings were made with this --workspace and --across-workspaces. May be repeated.",
    ),
)
ROLLUP = options(
    click.option("--drop", metavar="DIMENSION", multiple=True, help="Add up over it; '*' for all. May be repeated."),
    ACROSS,
    ROUNDING,
)
