"""The command line: parses, calls the library, prints what it returns. Data on stdout, everything else on stderr.

Heavy modules are imported by the command that needs them. The ledger's commands are in cli/ledger.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from metering_duck.cli.ledger import COMMANDS
from metering_duck.cli.options import (
    CLUSTER,
    CONFIG,
    DRY_RUN,
    ENGINE,
    EVENTS,
    FORMAT,
    INPUT,
    MADE_WITH,
    OUTPUT,
    PERIODS,
    ROLLUP,
    RUN,
    TREE,
    WINDOW,
    options,
)
from metering_duck.cli.shared import (
    config_first,
    config_of,
    finish,
    input_options,
    inputs_of,
    run_command,
    run_options,
    write,
)
from metering_duck.cli.targets import NO_FILES, check_targets, print_data, print_json, wants_json
from metering_duck.errors import ConfigError, RejectedEvents
from metering_duck.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="metering-duck")
def cli() -> None:
    """Exact usage metering: events and a config in, explained readings out.

    \b
    Try first:        metering-duck demo
    Meter and sum:    metering-duck aggregate events.parquet --config config.json \\
                        --aggregation sum --start 2024-01-01 --end 2024-02-01
    Look before:      metering-duck check config.json events.parquet
    Keep the books:   metering-duck ledger init, then backfill, close, restate, trace
    """


@cli.command(short_help="Events into records: what each event measured.")
@EVENTS
@options(CONFIG, INPUT, OUTPUT, TREE, DRY_RUN, RUN)
def meter(events: tuple[str, ...], **given: Any) -> None:
    """Turn events into records: what each event measured.

    EVENTS are Parquet, NDJSON, JSON, CSV or Arrow files (.gz and .zst too), globs, folders, URLs (s3://, gs://, az://,
    https://), tables (delta://, iceberg://, ducklake://, duckdb://), or - for standard input.

    \b
    metering-duck meter events.ndjson --config config.json -o records.parquet
    """

    def work(progress: Any) -> None:
        from metering_duck.calls.metering import meter as run

        check_targets(given, events)
        with run(
            inputs_of(events), config_of(given), bundled=given["bundled"], **run_options(given, progress)
        ) as result:
            finish(result, given)

    run_command(work, given)


@cli.command(short_help="Events or records into readings: what each subject used.")
@EVENTS
@click.option("--records", metavar="FILE", multiple=True, help="Aggregate records instead of events. May be repeated.")
@options(CONFIG, WINDOW, INPUT, OUTPUT, TREE, CLUSTER, DRY_RUN, RUN)
def aggregate(events: tuple[str, ...], records: tuple[str, ...], **given: Any) -> None:
    """Turn events, or records, into readings: what each subject used in each window.

    EVENTS are files, globs, folders, URLs, tables, or - for standard input. Without --config they are records.

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
        from metering_duck.calls.arguments import WINDOWED
        from metering_duck.calls.metering import aggregate as run

        check_targets(given, events or records)
        source: dict[str, Any] = {"records": inputs_of(records)} if records else {"events": inputs_of(events)}
        chosen = {key: given[key] for key in (*WINDOWED, "bundled", "engine", "master")}
        with run(config=given["config"], **source, **chosen, **run_options(given, progress)) as result:
            finish(result, given)

    run_command(work, given)


@cli.command(short_help="The windows that aggregate would cut.")
@options(PERIODS, FORMAT)
def periods(format_: str | None, output: str | None, **given: Any) -> None:
    """Print the windows that aggregate would cut with the same options, in UTC and as local clocks show them.

    \b
    metering-duck periods --start 2024-03-01 --end 2024-04-01 --every day --timezone Europe/Berlin
    metering-duck periods --subscriptions subscriptions.csv --start 2024-01-01 --end 2025-01-01
    """

    def work(_: Any) -> None:
        from metering_duck.calls.metering import periods as run

        check_targets(NO_FILES | given | {"output": output, "format_": format_}, [])
        with run(**given) as result:
            write(result, {"format_": format_, "output": output})

    run_command(work, {"quiet": True})


@cli.command(short_help="Readings into those of longer windows, exactly.")
@click.argument("readings", nargs=-1, metavar="READINGS...")
@options(PERIODS, ROLLUP, MADE_WITH, FORMAT, ENGINE)
def rollup(readings: tuple[str, ...], **given: Any) -> None:
    """Combine readings into those of longer windows, fewer dimensions or all workspaces: exactly what the events give.

    READINGS are files of any format that aggregate writes, but --bundled ones; globs, folders, or - for standard input.

    \b
    metering-duck rollup days.parquet --every month --timezone Europe/Berlin -o months.parquet
    metering-duck rollup days.ndjson --start 2024-01-01 --end 2024-02-01 --drop region
    """

    def work(progress: Any) -> None:
        from metering_duck.rollups.combining import rollup as run

        output = {"output": given["output"], "format_": given["format_"], "quiet": given["quiet"], "strict": False}
        check_targets(output | NO_FILES, [*readings, *filter(None, (given["windows"], given["subscriptions"]))])
        chosen = {key: value for key, value in given.items() if key not in output}
        with run(inputs_of(readings, "READINGS"), **chosen, progress=progress) as result:
            finish(result, output | NO_FILES)

    run_command(work, given)


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
    config, events = config_first(config_and_events, given)

    def work(progress: Any) -> None:
        from metering_duck.calls.checking import check as run
        from metering_duck.cli.screen import print_check

        inputs = list(events) if events else None
        asked = run_options(given, progress) if inputs else input_options(given) | {"clock": given["clock"]}
        report = run(config, inputs, **asked)
        if wants_json(given["format_"]):
            print_json(report)
        else:
            print_check(report)
        if report["problems"]:
            raise ConfigError(report["problems"])
        if given["strict"] and report["lapses"]:
            raise RejectedEvents("\n".join(f"strict: {lapse}" for lapse in report["lapses"]), None)
        accounting = report.get("accounting", {})
        if given["strict"] and (accounting.get("rejected") or accounting.get("conflicts")):
            raise RejectedEvents("strict: found rejected events or conflicts; expected none.", None)

    run_command(work, given)


@cli.command("compile", short_help="The SQL that a config becomes.")
@click.argument("config_and_events", nargs=-1, metavar="[EVENTS...]")
@options(CONFIG, WINDOW, INPUT)
@click.option("--stage", metavar="NAME", help="Only this stage.")
@click.option("--explain", is_flag=True, help="A page in plain words above it: what counts, what does not, and why.")
@click.option("--clock", metavar="TIME", help="The run's clock.")
def compile_(config_and_events: tuple[str, ...], stage: str | None, explain: bool, **given: Any) -> None:
    """Show the SQL that a config becomes, whole or one stage of it.

    With --start and --end it is the SQL of aggregate, else that of meter. With EVENTS it reads them as they lie.

    \b
    metering-duck compile --config config.json --aggregation sum --start 2024-01-01 --end 2024-02-01
    metering-duck compile --config config.json --stage projected
    """
    config, events = config_first(config_and_events, given)

    def work(_: Any) -> None:
        from metering_duck.calls.arguments import WINDOWED, is_asked
        from metering_duck.calls.metering import compile_sql

        chosen = {key: given[key] for key in WINDOWED if is_asked(given[key])}
        source = input_options(given) | {"clock": given["clock"]}
        text = compile_sql(config, list(events) or None, stage=stage, explain=explain, **chosen, **source)
        print_data(text)

    run_command(work, {"quiet": True})


@cli.command(short_help="The JSON Schema of a contract.")
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print the JSON Schema of a contract: EventPayload, MeteringConfig, MeterRecord, AggregateConfig, MeterReading…"""

    def work(_: Any) -> None:
        from metering_duck.contract.payloads import MODELS, json_schema

        if name is None:
            click.echo("\n".join(MODELS))
        else:
            print_json(json_schema(name))

    run_command(work, {"quiet": True})


@cli.command(short_help="What this machine has for metering-duck.")
@click.option("--format", "format_", type=click.Choice(("table", "json")), help="Default: table on a terminal.")
def doctor(format_: str | None) -> None:
    """Show what this machine has for metering-duck: libraries, extensions, room, credentials; no secret is shown."""

    def work(_: Any) -> None:
        from metering_duck.cli.doctor import examine

        rows = examine()
        if wants_json(format_):
            print_json(rows)
            return
        from metering_duck.cli.screen import console, make_grid

        shown = [{**row, "works": "yes" if row["works"] else "no"} for row in rows]
        console().print(make_grid(shown, ("what", "works", "found", "hint")))

    run_command(work, {"quiet": True})


@cli.command(short_help="Sample events and a config, metered before your eyes.")
@click.argument("folder", default="metering-duck-demo", type=click.Path(path_type=Path))
def demo(folder: Path) -> None:
    """Write sample events and a config into FOLDER, meter and aggregate them, and show what to try next."""

    def work(_: Any) -> None:
        from metering_duck.cli.demo import run_demo

        run_demo(folder)

    run_command(work, {"quiet": True})


for _command in COMMANDS:
    cli.add_command(_command)
