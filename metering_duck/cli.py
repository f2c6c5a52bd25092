"""The command line: parses, calls the library, prints what it returns. Data on stdout, everything else on stderr.

Exit codes: 0 done; 1 failed; 2 wrong usage or config; 3 --strict and something was rejected or in conflict; 130
interrupted. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from metering_duck import __version__
from metering_duck.errors import ConfigError, Interrupted, MeteringError, RejectedEvents, visible

if TYPE_CHECKING:
    from metering_duck.results import Result

EXIT_FAILED, EXIT_USAGE, EXIT_STRICT, EXIT_INTERRUPTED = 1, 2, 3, 130
FORMATS = ("table", "json", "ndjson", "csv", "parquet", "arrow")
TABLE_ROWS = 50

_NO_FILES = {"rejects": None, "conflicts": None, "summary": None, "config": None}
Command = TypeVar("Command", bound=Callable[..., Any])


def options(*chosen: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options as one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(chosen):
            command = option(command)
        return command

    return decorate


CONFIG = click.option("--config", metavar="FILE", envvar="METERING_DUCK_CONFIG", help="The metering config, in JSON.")
INPUT = options(
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
    click.option("--workspace", metavar="NAME", multiple=True, help="Only this workspace. May be repeated."),
    click.option("--universe", metavar="NAME", multiple=True, help="Only this universe. May be repeated."),
    click.option("--as-of", metavar="TIME", help="Use only what had entered by this time; needs a metered_at column."),
)
FORMAT = options(
    click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
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
CLOCK = click.option("--clock", metavar="TIME", help="The run's clock: created_at, and metered_at where there is none.")
MACHINE = options(
    click.option("--threads", type=click.IntRange(min=1), envvar="METERING_DUCK_THREADS", help="Default: all cores."),
    click.option("--memory-limit", metavar="SIZE", envvar="METERING_DUCK_MEMORY_LIMIT", help="For example 4GB."),
    click.option("--temp-dir", metavar="DIR", envvar="METERING_DUCK_TEMP_DIR", help="Where to spill what is larger."),
)
STRICT = click.option(
    "--strict", is_flag=True, help="Exit with 3, and write no rows, if anything is rejected or in conflict."
)
QUIET = click.option("--quiet", "-q", is_flag=True, help="No accounting, notices or progress on standard error.")
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
    click.option("--aggregation", metavar="NAME", help="For all measurements; else each measurement's own."),
    PERIODS,
    click.option(
        "--fill", type=click.Choice(("none", "zero", "carry")), default="none", help="A row for every window."
    ),
    click.option("--group-by", metavar="DIMENSION", multiple=True, help="A reading per value. May be repeated."),
    click.option("--subject", metavar="ID", multiple=True, help="Only readings of this subject. May be repeated."),
    click.option(
        "--time-partition",
        metavar="COLUMN",
        help="The Hive column with the UTC date of each event's time: read only the partitions that the window needs.",
    ),
    ACROSS,
    ROUNDING,
)
ROLLUP = options(
    click.option("--drop", metavar="DIMENSION", multiple=True, help="Add up over it; '*' for all. May be repeated."),
    ACROSS,
    ROUNDING,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="metering-duck")
def cli() -> None:
    """Exact usage metering: events and a config in, explained readings out.

    \b
    Try first:        metering-duck demo
    Meter and sum:    metering-duck aggregate events.parquet --config config.json \\
                        --aggregation sum --start 2024-01-01 --end 2024-02-01
    Look before:      metering-duck check config.json events.parquet
    """


@cli.command(short_help="Events into records: what each event measured.")
@EVENTS
@options(CONFIG, INPUT, OUTPUT, RUN)
def meter(events: tuple[str, ...], **given: Any) -> None:
    """Turn events into records: what each event measured.

    EVENTS are Parquet, NDJSON, JSON, CSV or Arrow files (.gz and .zst too), globs, folders, or - for standard input.

    \b
    metering-duck meter events.ndjson --config config.json -o records.parquet
    """

    def work(progress: Any) -> None:
        from metering_duck.metering import meter as run

        _check_targets(given, events)
        with run(_inputs(events), _config(given), bundled=given["bundled"], **_run_options(given, progress)) as result:
            _finish(result, given)

    _run(work, given)


@cli.command(short_help="Events or records into readings: what each subject used.")
@EVENTS
@click.option("--records", metavar="FILE", multiple=True, help="Aggregate records instead of events. May be repeated.")
@options(CONFIG, WINDOW, INPUT, OUTPUT, RUN)
def aggregate(events: tuple[str, ...], records: tuple[str, ...], **given: Any) -> None:
    """Turn events, or records, into readings: what each subject used in each window.

    EVENTS are files, globs, folders, or - for standard input. Without --config they are taken to be records.

    \b
    metering-duck aggregate events.parquet --config config.json \\
      --aggregation time-weighted-avg --start 2024-01-01 --end 2024-02-01 --every day
    metering-duck aggregate --records records.ndjson --aggregation sum --start 2024-01-01 --end 2024-02-01
    """
    if events and records:
        raise click.UsageError("found EVENTS and --records; expected one of them.")
    if not given["config"]:
        events, records = (), records or events

    def work(progress: Any) -> None:
        from metering_duck.arguments import WINDOWED
        from metering_duck.metering import aggregate as run

        _check_targets(given, events or records)
        source: dict[str, Any] = {"records": _inputs(records)} if records else {"events": _inputs(events)}
        chosen = {key: given[key] for key in (*WINDOWED, "bundled")}
        with run(config=given["config"], **source, **chosen, **_run_options(given, progress)) as result:
            _finish(result, given)

    _run(work, given)


@cli.command(short_help="The windows that aggregate would cut.")
@options(PERIODS, FORMAT)
def periods(format_: str | None, output: str | None, **given: Any) -> None:
    """Print the windows that aggregate would cut with the same options, in UTC and as local clocks show them.

    \b
    metering-duck periods --start 2024-03-01 --end 2024-04-01 --every day --timezone Europe/Berlin
    metering-duck periods --subscriptions subscriptions.csv --start 2024-01-01 --end 2025-01-01
    """

    def work(_: Any) -> None:
        from metering_duck.metering import periods as run

        _check_targets(_NO_FILES | given | {"output": output, "format_": format_}, [])
        with run(**given) as result:
            _write(result, {"format_": format_, "output": output})

    _run(work, {"quiet": True})


@cli.command(short_help="Readings into those of longer windows, exactly.")
@click.argument("readings", nargs=-1, metavar="READINGS...")
@options(PERIODS, ROLLUP, FORMAT, ENGINE)
def rollup(readings: tuple[str, ...], **given: Any) -> None:
    """Combine readings into those of longer windows, fewer dimensions or all workspaces: exactly what the events give.

    READINGS are files of any format that aggregate writes, but --bundled ones; globs, folders, or - for standard input.

    \b
    metering-duck rollup days.parquet --every month --timezone Europe/Berlin -o months.parquet
    metering-duck rollup days.ndjson --start 2024-01-01 --end 2024-02-01 --drop region
    """

    def work(progress: Any) -> None:
        from metering_duck.rollups import rollup as run

        output = {"output": given["output"], "format_": given["format_"], "quiet": given["quiet"], "strict": False}
        _check_targets(output | _NO_FILES, [*readings, *filter(None, (given["windows"], given["subscriptions"]))])
        chosen = {key: value for key, value in given.items() if key not in output}
        with run(_inputs(readings, "READINGS"), **chosen, progress=progress) as result:
            _finish(result, output | _NO_FILES)

    _run(work, given)


@cli.command(short_help="Lint a config; with events, show what would be rejected.")
@click.argument("config_and_events", nargs=-1, metavar="CONFIG [EVENTS...]")
@options(CONFIG, INPUT, RUN)
@click.option(
    "--format", "format_", type=click.Choice(("table", "json")), help="Default: table on a terminal, else json."
)
def check(config_and_events: tuple[str, ...], **given: Any) -> None:
    """Lint a config; with events, show what would be rejected and why. Writes nothing.

    \b
    metering-duck check config.json
    metering-duck check config.json events.parquet
    """
    config, events = _config_first(config_and_events, given)

    def work(progress: Any) -> None:
        from metering_duck.metering import check as run
        from metering_duck.tables import print_check

        inputs = list(events) if events else None
        report = run(config, inputs, **(_run_options(given, progress) if inputs else {}))
        if given["format_"] == "json" or (given["format_"] is None and not sys.stdout.isatty()):
            click.echo(json.dumps(report, indent=2, ensure_ascii=False))
        else:
            print_check(report)
        if report["problems"]:
            raise ConfigError(report["problems"])
        accounting = report.get("accounting", {})
        if given["strict"] and (accounting.get("rejected") or accounting.get("conflicts")):
            raise RejectedEvents("strict: found rejected events or conflicts; expected none.", None)

    _run(work, given)


@cli.command("compile", short_help="The SQL that a config becomes.")
@click.argument("config_and_events", nargs=-1, metavar="[EVENTS...]")
@options(CONFIG, WINDOW, INPUT)
@click.option("--stage", metavar="NAME", help="Only this stage.")
@click.option("--clock", metavar="TIME", help="The run's clock.")
def compile_(config_and_events: tuple[str, ...], stage: str | None, **given: Any) -> None:
    """Show the SQL that a config becomes, whole or one stage of it.

    With --start and --end it is the SQL of aggregate, else that of meter. With EVENTS it reads them as they lie.

    \b
    metering-duck compile --config config.json --aggregation sum --start 2024-01-01 --end 2024-02-01
    metering-duck compile --config config.json --stage projected
    """
    config, events = _config_first(config_and_events, given)

    def work(_: Any) -> None:
        from metering_duck.arguments import WINDOWED
        from metering_duck.metering import compile_sql

        chosen = {key: given[key] for key in WINDOWED if given[key] not in (None, (), False, "none")}
        source = _input_options(given) | {"clock": given["clock"]}
        click.echo(compile_sql(config, list(events) or None, stage=stage, **chosen, **source), nl=False)

    _run(work, {"quiet": True})


@cli.command(short_help="The JSON Schema of a contract.")
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print the JSON Schema of a contract: EventPayload, MeteringConfig, MeterRecord, AggregateConfig, MeterReading…"""

    def work(_: Any) -> None:
        from metering_duck.contract import MODELS, json_schema

        click.echo("\n".join(MODELS) if name is None else json.dumps(json_schema(name), indent=2, ensure_ascii=False))

    _run(work, {"quiet": True})


@cli.command(short_help="Sample events and a config, metered before your eyes.")
@click.argument("folder", default="metering-duck-demo", type=click.Path(path_type=Path))
def demo(folder: Path) -> None:
    """Write sample events and a config into FOLDER, meter and aggregate them, and show what to try next."""

    def work(_: Any) -> None:
        from metering_duck.demo import run_demo

        run_demo(folder)

    _run(work, {"quiet": True})


# --- what commands share ---------------------------------------------------------------------------------------------


def _config(given: Mapping[str, Any]) -> str:
    if not given["config"]:
        raise click.UsageError("Missing option '--config'. hint: metering-duck demo writes one to look at.")
    return str(given["config"])


def _config_first(arguments: tuple[str, ...], given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The config is --config, or else the first argument."""
    if given["config"]:
        return given["config"], arguments
    if not arguments:
        raise click.UsageError("Missing the config. hint: --config FILE")
    return arguments[0], arguments[1:]


def _inputs(paths: tuple[str, ...], what: str = "EVENTS") -> list[str]:
    if not paths:
        raise click.UsageError(
            f"Missing argument '{what}...'. hint: name a file, a folder, a glob, or - for standard input."
        )
    return list(paths)


def _input_options(given: Mapping[str, Any]) -> dict[str, Any]:
    mapping: dict[str, str] = {}
    for text in given["map_"]:
        field, mark, column = text.partition("=")
        if not mark or not field or not column:
            raise click.UsageError(f"--map: found {text!r}; expected FIELD=COLUMN or FIELD=\"'constant'\".")
        if field in mapping:
            raise click.UsageError(f"--map: found {field!r} twice; expected it once.")
        mapping[field] = column
    keys = ("assume_timezone", "generate_ids", "assume_unique", "workspace", "universe", "as_of")
    return {"map": mapping, **{key: given[key] for key in keys}}


def _run_options(given: Mapping[str, Any], progress: Any) -> dict[str, Any]:
    keys = ("clock", "threads", "memory_limit", "temp_dir")
    return {**_input_options(given), **{key: given[key] for key in keys}, "progress": progress}


def _check_targets(given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Find out before the work whether its results can be written, each in a file of its own that is no input."""
    from metering_duck.inputs import same_files
    from metering_duck.writing import check_target

    targets = {f"--{name}": given[name] for name in ("output", "rejects", "conflicts", "summary") if given[name]}
    if targets.get("--output") == "-":
        del targets["--output"]
    for name, target in targets.items():
        if name in ("--rejects", "--conflicts") or (name == "--output" and not given["format_"]):
            check_target(Path(target))
    read = [given.get(name) for name in ("config", "windows", "subscriptions")]
    taken = same_files([*inputs, *(path for path in read if path)])
    for name, target in targets.items():
        path = str(Path(target).resolve())
        if path in taken and not path.startswith("/dev/"):
            raise ConfigError(f"{name}: found {target}, which is {taken[path]}; expected a file of its own.")
        taken[path] = name


def _finish(result: Result, given: Mapping[str, Any]) -> None:
    """The side files, the accounting line, then the rows."""
    accounting = result.accounting
    if given["rejects"]:
        result.write_rejects(given["rejects"])
    if given["conflicts"]:
        result.write_conflicts(given["conflicts"])
    if given["summary"]:
        from metering_duck.writing import written_beside

        with written_beside(Path(given["summary"])) as file:
            text = json.dumps({**accounting.to_dict(), "notices": result.notices}, indent=2, ensure_ascii=False)
            file.write(text.encode() + b"\n")
    if not given["quiet"]:
        for notice in result.notices:
            click.echo(f"note: {notice}", err=True)
        click.echo(str(accounting), err=True)
    if given["strict"]:
        result.refuse_rejects()
    _write(result, given)


def _write(result: Result, given: Mapping[str, Any]) -> None:
    from metering_duck.writing import format_of_path, written_beside

    kind, output = given["format_"], given["output"]
    if output and output != "-":
        kind = kind or format_of_path(Path(output))
        with written_beside(Path(output)) as file:
            if kind == "table":
                from metering_duck.tables import table_text

                file.write(table_text(result).encode())
            else:
                result.write_to(file, kind)
        return
    kind = kind or ("table" if sys.stdout.isatty() else "ndjson")
    if kind == "table":
        from metering_duck.tables import print_rows

        print_rows(result, TABLE_ROWS)
        return
    result.write_to(sys.stdout.buffer, kind)
    sys.stdout.buffer.flush()


def _run(work: Callable[[Any], None], given: Mapping[str, Any]) -> None:
    """Run in a second thread, so that Ctrl-C is seen at once; show progress; turn errors into messages and codes."""
    from metering_duck.foreground import run_interruptibly

    try:
        run_interruptibly(work, show_progress=not given["quiet"] and sys.stderr.isatty())
    except ConfigError as error:
        _fail(error, EXIT_USAGE)
    except RejectedEvents as error:
        _fail(error, EXIT_STRICT)
    except Interrupted as error:
        _fail(error, EXIT_INTERRUPTED)
    except MeteringError as error:
        _fail(error, EXIT_FAILED)
    except BrokenPipeError:
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except OSError as error:
        _fail(
            MeteringError(f"{error.filename or 'run'}: {error.strerror or error}; expected to read and write there."),
            EXIT_FAILED,
        )


def _fail(error: MeteringError, code: int) -> None:
    for line in str(error).split("\n"):
        click.echo(f"error: {visible(line)}", err=True)
    sys.exit(code)


def main() -> None:
    """The console script."""
    cli(prog_name="metering-duck")
