"""What commands share: their arguments, where results go, errors as messages and exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage or config; 3 --strict and something was rejected or in conflict; 130
interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metering_duck.errors import ConfigError, Interrupted, MeteringError, RejectedEvents, visible

if TYPE_CHECKING:
    from metering_duck.results import Result
    from metering_duck.rows import Rows

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
    mapping = map_of(given["map_"], "--map", "FIELD=COLUMN or FIELD=\"'constant'\"")
    keys = ("assume_timezone", "generate_ids", "assume_unique", "workspace", "universe", "as_of")
    universes = map_of(given["map_universe"], "--map-universe", "OLD=NEW")
    return {"map": mapping, "map_universe": universes, **{key: given[key] for key in keys}}


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


def finish(result: Result, given: Mapping[str, Any]) -> None:
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
    write(result, given)


def write(rows: Rows, given: Mapping[str, Any]) -> None:
    from metering_duck.writing import format_of_path, written_beside

    kind, output = given["format_"], given["output"]
    if output and output != "-":
        kind = kind or format_of_path(Path(output))
        with written_beside(Path(output)) as file:
            if kind == "table":
                from metering_duck.tables import table_text

                file.write(table_text(rows).encode())
            else:
                rows.write_to(file, kind)
        return
    kind = kind or ("table" if sys.stdout.isatty() else "ndjson")
    if kind == "table":
        from metering_duck.tables import print_rows

        print_rows(rows, TABLE_ROWS)
        return
    rows.write_to(sys.stdout.buffer, kind)
    sys.stdout.buffer.flush()


def echo_bytes(text: bytes, given: Mapping[str, Any]) -> None:
    """A whole text to where rows go."""
    if given["output"] and given["output"] != "-":
        from metering_duck.writing import written_beside

        with written_beside(Path(given["output"])) as file:
            file.write(text)
    else:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def run_command(work: Callable[[Any], None], given: Mapping[str, Any], *, kept: str = "nothing was written.") -> None:
    """Run in a second thread, so that Ctrl-C is seen at once; show progress; turn errors into messages and codes."""
    from metering_duck.foreground import run_interruptibly

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
