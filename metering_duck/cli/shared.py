"""What commands share: their arguments, how they write a result, errors as messages and exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage or config; 3 --strict and something was rejected or in conflict, or a level
outlasts its entry; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metering_duck.cli.endings import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_STRICT, EXIT_USAGE, show_traceback
from metering_duck.cli.targets import (
    check_tree,
    format_of_rows,
    has_file,
    is_table_target,
    opened_output,
    print_json,
    targets_of,
    wants_json,
)
from metering_duck.errors import ConfigError, Interrupted, MeteringError, RejectedEvents, of_the_system, visible

if TYPE_CHECKING:
    from metering_duck.runs.results import Result
    from metering_duck.runs.rows import Rows

GRID_ROWS = 50


def config_of(given: Mapping[str, Any]) -> str:
    """The config that --config names, which must be given."""
    if not given["config"]:
        raise click.UsageError("Missing option '--config'. hint: metering-duck demo writes one to look at.")
    return str(given["config"])


def config_first(arguments: tuple[str, ...], given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The config and the inputs: the config is --config, or else the first argument."""
    if given["config"]:
        return given["config"], arguments
    if not arguments:
        raise click.UsageError("Missing the config. hint: --config FILE")
    return arguments[0], arguments[1:]


def inputs_of(paths: tuple[str, ...], what: str = "EVENTS") -> list[str]:
    """The inputs of a command, of which there must be one; `what` is their name in its help."""
    if not paths:
        raise click.UsageError(
            f"Missing argument '{what}...'. hint: name a file, a folder, a glob, or - for standard input."
        )
    return list(paths)


def input_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say how events are read, and which of them."""
    chosen = ("from_", "workspace", "universe", "event_type", "as_of")
    return file_options(given) | {key: given[key] for key in chosen}


def file_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say how event files are read."""
    universes = map_of(given["map_universe"], "--map-universe", "OLD=NEW")
    keys = ("assume_timezone", "generate_ids", "assume_unique", "folder_keys", "binary_as_text")
    flags = {key: given[key] for key in keys}
    return {"map": columns_of(given), "map_universe": universes, **flags}


def columns_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Field → column or constant, from --map."""
    return map_of(given["map_"], "--map", "FIELD=COLUMN or FIELD=\"'constant'\"")


def map_of(given: Sequence[str], option: str, expected: str) -> dict[str, str]:
    """Name → value, from an option that may be repeated, each time as NAME=VALUE."""
    mapping: dict[str, str] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark or not name or not value:
            raise click.UsageError(f"{option}: found {text!r}; expected {expected}.")
        if name in mapping:
            raise click.UsageError(f"{option}: found {name!r} twice; expected it once.")
        mapping[name] = value
    return mapping


def run_options(given: Mapping[str, Any], progress: Any) -> dict[str, Any]:
    """The arguments of a run beside its inputs and its config."""
    keys = ("clock", "threads", "memory_limit", "temp_dir", "verify_files")
    return {**input_options(given), **{key: given[key] for key in keys}, "progress": progress}


def finish(result: Result, given: Mapping[str, Any]) -> None:
    """Write the files beside the rows, the accounting line, then the rows; for a dry run, print what would be done."""
    if given.get("dry_run"):
        _print_dry_run(result, given)
        return
    if given["rejects"]:
        result.write_rejects(given["rejects"])
    if given["conflicts"]:
        result.write_conflicts(given["conflicts"])
    if given["summary"]:
        _write_summary(result, given["summary"])
    if not given["quiet"]:
        for notice in result.notices:
            click.echo(f"note: {notice}", err=True)
        click.echo(str(result.accounting), err=True)
    if given["strict"]:
        result.refuse_rejects()
    write(result, given)


def _write_summary(result: Result, target: str) -> None:
    """Write the accounting, the notices and what was proven of each file as JSON."""
    from metering_duck.outputs.files import written_whole

    summary = {**result.accounting.to_dict(), "notices": result.notices, "files": result.files}
    with written_whole(target) as file:
        file.write(json.dumps(summary, indent=2, ensure_ascii=False).encode() + b"\n")


def _print_dry_run(result: Result, given: Mapping[str, Any]) -> None:
    """Print what would be read, left out and written."""
    from metering_duck.cli.screen import console, make_grid
    from metering_duck.engine.remote import scheme_of, shown

    reads, writes = result.reads, []
    for option, target in targets_of(given).items():
        exists = not scheme_of(target) and Path(target).exists()
        writes.append({"option": option, "path": shown(target), "exists": exists})
    if wants_json(given["format_"]):
        print_json({"reads": asdict(reads), "writes": writes})
        return
    rows: list[dict[str, Any]] = [
        {"what": "read", "files": reads.files, "bytes": reads.bytes, "where": reads.input},
        {"what": "leave out", "files": reads.left_out_files, "bytes": reads.left_out_bytes, "where": ""},
    ]
    for written in writes:
        what = "overwrite" if written["exists"] else "write"
        rows.append({"what": what, "files": None, "bytes": None, "where": written["path"]})
    console().print(make_grid(rows, ("what", "files", "bytes", "where"), ("files", "bytes")))


def write(rows: Rows, given: Mapping[str, Any]) -> None:
    """Put rows where the command is told to: into a table, a tree, a file, or on standard output."""
    partition_by = given.get("partition_by", ())
    if is_table_target(given):
        written = rows.write(given["output"], partition_by=partition_by, mode=given.get("mode"))
        if not given.get("quiet"):
            click.echo(f"note: output: {written}.", err=True)
    elif partition_by:
        check_tree(given)
        rows.write(given["output"], partition_by=partition_by)
    elif format_of_rows(given) == "table":
        _write_as_grid(rows, given)
    else:
        with opened_output(given) as file:
            rows.write_to(file, format_of_rows(given))


def _write_as_grid(rows: Rows, given: Mapping[str, Any]) -> None:
    """Write rows as a grid for people: the first rows to a terminal, all rows to a file."""
    from metering_duck.cli.screen import grid_text, print_rows

    if not has_file(given):
        print_rows(rows, GRID_ROWS)
        return
    with opened_output(given) as file:
        file.write(grid_text(rows).encode())


def run_command(work: Callable[[Any], None], given: Mapping[str, Any], *, kept: str = "nothing was written.") -> None:
    """Run `work` in a second thread, so that Ctrl-C is seen at once; its errors become messages and exit codes."""
    from metering_duck.cli.foreground import run_interruptibly

    try:
        run_interruptibly(work, show_progress=not given["quiet"] and sys.stderr.isatty(), kept=kept)
    except ConfigError as error:
        fail(error, EXIT_USAGE)
    except RejectedEvents as error:
        fail(error, EXIT_STRICT)
    except Interrupted as error:
        fail(error, EXIT_INTERRUPTED)
    except MeteringError as error:
        fail(error, EXIT_FAILED)
    except BrokenPipeError:
        raise
    except OSError as error:
        # A file that cannot be read or written is named where it is opened.
        known = of_the_system(error, "standard output")
        if known is None:
            raise
        fail(known, EXIT_FAILED)


def fail(error: MeteringError, code: int) -> None:
    """Print an error on standard error and leave with an exit code."""
    show_traceback(error)
    for line in str(error).split("\n"):
        click.echo(f"error: {visible(line)}", err=True)
    sys.exit(code)
