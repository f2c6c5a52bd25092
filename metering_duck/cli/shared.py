"""What commands share: their arguments, where results go, errors as messages and exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage or config; 3 --strict and something was rejected or in conflict; 130
interrupted.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from metering_duck.errors import ConfigError, Interrupted, MeteringError, RejectedEvents, visible

if TYPE_CHECKING:
    from metering_duck.runs.results import Result
    from metering_duck.runs.rows import Rows

EXIT_FAILED, EXIT_USAGE, EXIT_STRICT, EXIT_INTERRUPTED = 1, 2, 3, 130
TABLE_ROWS = 50
NO_FILES = {"rejects": None, "conflicts": None, "summary": None, "config": None}


def config_of(given: Mapping[str, Any]) -> str:
    if not given["config"]:
        raise click.UsageError("Missing option '--config'. hint: metering-duck demo writes one to look at.")
    return str(given["config"])


def config_first(arguments: tuple[str, ...], given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The config is --config, or else the first argument."""
    if given["config"]:
        return given["config"], arguments
    if not arguments:
        raise click.UsageError("Missing the config. hint: --config FILE")
    return arguments[0], arguments[1:]


def inputs_of(paths: tuple[str, ...], what: str = "EVENTS") -> list[str]:
    if not paths:
        raise click.UsageError(
            f"Missing argument '{what}...'. hint: name a file, a folder, a glob, or - for standard input."
        )
    return list(paths)


def input_options(given: Mapping[str, Any]) -> dict[str, Any]:
    chosen = ("from_", "workspace", "universe", "event_type", "as_of")
    return file_options(given) | {key: given[key] for key in chosen}


def file_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """How event files are read."""
    universes = map_of(given["map_universe"], "--map-universe", "OLD=NEW")
    flags = {key: given[key] for key in ("assume_timezone", "generate_ids", "assume_unique")}
    return {"map": columns_of(given), "map_universe": universes, **flags}


def columns_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Where fields are."""
    return map_of(given["map_"], "--map", "FIELD=COLUMN or FIELD=\"'constant'\"")


def map_of(given: Sequence[str], option: str, expected: str) -> dict[str, str]:
    """An option that may be repeated, each time NAME=VALUE."""
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
    keys = ("clock", "threads", "memory_limit", "temp_dir")
    return {**input_options(given), **{key: given[key] for key in keys}, "progress": progress}


def check_targets(given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Find out before the work whether its results can be written, each in a file of its own that is no input."""
    from metering_duck.engine.remote import scheme_of, shown
    from metering_duck.inputs.files import is_within, same_files
    from metering_duck.outputs.files import check_target

    targets = {f"--{name}": given[name] for name in ("output", "rejects", "conflicts", "summary") if given[name]}
    if targets.get("--output") == "-":
        del targets["--output"]
    for name, target in targets.items():
        if name == "--output" and _check_table(given, inputs):
            continue
        if name in ("--rejects", "--conflicts") or (name == "--output" and not given["format_"]):
            if name == "--output" and given.get("partition_by"):
                _check_tree(given)
                continue
            check_target(target)
    read = [given.get(name) for name in ("config", "windows", "subscriptions")]
    taken = same_files([*inputs, *(path for path in read if path)])
    for name, target in targets.items():
        path = target if scheme_of(target) else str(Path(target).resolve())
        source = next((one for one in inputs if is_within(target, one)), None)
        if source:
            found = f"found {shown(target)}, which is among what {shown(source)} is read from"
            raise ConfigError(f"{name}: {found}; expected another place.")
        if path in taken and not path.startswith("/dev/"):
            raise ConfigError(f"{name}: found {target}, which is {taken[path]}; expected a file of its own.")
        taken[path] = name


def finish(result: Result, given: Mapping[str, Any]) -> None:
    """The side files, the accounting line, then the rows; of a dry run only what would be read and written."""
    if given.get("dry_run"):
        _print_plan(result, given)
        return
    accounting = result.accounting
    if given["rejects"]:
        result.write_rejects(given["rejects"])
    if given["conflicts"]:
        result.write_conflicts(given["conflicts"])
    if given["summary"]:
        from metering_duck.outputs.files import written_whole

        with written_whole(given["summary"]) as file:
            text = json.dumps({**accounting.to_dict(), "notices": result.notices}, indent=2, ensure_ascii=False)
            file.write(text.encode() + b"\n")
    if not given["quiet"]:
        for notice in result.notices:
            click.echo(f"note: {notice}", err=True)
        click.echo(str(accounting), err=True)
    if given["strict"]:
        result.refuse_rejects()
    write(result, given)


def _print_plan(result: Result, given: Mapping[str, Any]) -> None:
    """What would be read, left out and written."""
    from metering_duck.cli.screen import console, make_table
    from metering_duck.engine.remote import scheme_of, shown

    reads = result.reads
    options = ("output", "rejects", "conflicts", "summary")
    targets = {f"--{name}": given[name] for name in options if given[name] and given[name] != "-"}
    writes = [
        {"option": option, "path": shown(target), "exists": not scheme_of(target) and Path(target).exists()}
        for option, target in targets.items()
    ]
    if given["format_"] == "json" or (given["format_"] is None and not sys.stdout.isatty()):
        click.echo(json.dumps({"reads": asdict(reads), "writes": writes}, indent=2, ensure_ascii=False))
        return
    rows: list[dict[str, Any]] = [
        {"what": "read", "files": reads.files, "bytes": reads.bytes, "where": reads.input},
        {"what": "leave out", "files": reads.left_out_files, "bytes": reads.left_out_bytes, "where": ""},
    ]
    for target in writes:
        what = "overwrite" if target["exists"] else "write"
        rows.append({"what": what, "files": None, "bytes": None, "where": target["path"]})
    console().print(make_table(rows, ("what", "files", "bytes", "where"), ("files", "bytes")))


def write(rows: Rows, given: Mapping[str, Any]) -> None:
    if _check_table(given):
        written = rows.write(given["output"], partition_by=given.get("partition_by", ()), mode=given.get("mode"))
        if not given.get("quiet"):
            click.echo(f"note: output: {written}.", err=True)
        return
    if given.get("partition_by"):
        _check_tree(given)
        rows.write(given["output"], partition_by=given["partition_by"])
        return
    kind = kind_of(given)
    if kind == "table" and not _has_file(given):
        from metering_duck.cli.screen import print_rows

        print_rows(rows, TABLE_ROWS)
        return
    with opened_output(given) as file:
        if kind == "table":
            from metering_duck.cli.screen import table_text

            file.write(table_text(rows).encode())
        else:
            rows.write_to(file, kind)


def _check_table(given: Mapping[str, Any], inputs: Sequence[str] | None = None) -> bool:
    """Whether rows go into a table; before the work, when there are `inputs`, whether it can be opened, and is none."""
    from metering_duck.inputs.lakes import is_lake

    if not _has_file(given) or not is_lake(given["output"]):
        if given.get("mode"):
            raise click.UsageError("--mode: found no table; expected one. hint: -o delta:///lake/readings")
        return False
    if given["format_"]:
        raise click.UsageError(f"--format: found {given['format_']}; expected none, since a table has its own.")
    if inputs is not None:
        from metering_duck.outputs.lake_tables import find_target
        from metering_duck.outputs.lake_writing import same_table

        find_target(given["output"])
        if any(is_lake(path) and same_table(path, given["output"]) for path in inputs):
            raise ConfigError(f"--output: found {given['output']}, which is an input; expected a table of its own.")
    return True


def _check_tree(given: Mapping[str, Any]) -> None:
    """A tree is Parquet in a folder."""
    target = given["output"]
    if not _has_file(given) or given["format_"] not in (None, "parquet"):
        found = given["format_"] or "no folder"
        raise click.UsageError(f"--partition-by: found {found}; expected -o FOLDER, for Parquet in folders below it.")
    if Path(target).is_file() or Path(target).suffix in (".parquet", ".csv", ".ndjson", ".json"):
        raise click.UsageError(f"--partition-by: found the file {target}; expected a folder. hint: -o readings/")


def kind_of(given: Mapping[str, Any]) -> str:
    """The format that rows are written in."""
    from metering_duck.outputs.files import format_of_path

    if given["format_"]:
        return str(given["format_"])
    if _has_file(given):
        return format_of_path(Path(given["output"]))
    return "table" if sys.stdout.isatty() else "ndjson"


def _has_file(given: Mapping[str, Any]) -> bool:
    return bool(given["output"]) and given["output"] != "-"


@contextlib.contextmanager
def opened_output(given: Mapping[str, Any]) -> Iterator[IO[bytes]]:
    """Where rows go: a file that is there when it is whole, or standard output."""
    if _has_file(given):
        from metering_duck.outputs.files import written_whole

        with written_whole(given["output"]) as file:
            yield file
    else:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def run_command(work: Callable[[Any], None], given: Mapping[str, Any], *, kept: str = "nothing was written.") -> None:
    """Run in a second thread, so that Ctrl-C is seen at once; show progress; turn errors into messages and codes."""
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
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except OSError as error:
        fail(
            MeteringError(f"{error.filename or 'run'}: {error.strerror or error}; expected to read and write there."),
            EXIT_FAILED,
        )


def fail(error: MeteringError, code: int) -> None:
    for line in str(error).split("\n"):
        click.echo(f"error: {visible(line)}", err=True)
    sys.exit(code)
