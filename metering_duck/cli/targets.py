"""Targets: where a command writes its results, and whether it can, which is found out before the work is done."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click

from metering_duck.errors import ConfigError

# The options that name a file to be written; --output may also be a table, a tree of folders, or standard output.
TARGET_OPTIONS = ("output", "rejects", "conflicts", "summary")
# The options that name a file to be read, beside the inputs.
READ_OPTIONS = ("config", "windows", "subscriptions", "ledger")
# What DuckDB writes beside a database: its write-ahead log.
BESIDE_DATABASES = (".wal", ".wal.checkpoint", ".wal.recovery")
# Values of the options that a command with --output alone does not have.
NO_FILES = {"rejects": None, "conflicts": None, "summary": None, "config": None}


def targets_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Option → the place that it names, of the options that were given; standard output is no place."""
    targets = {f"--{name}": given[name] for name in TARGET_OPTIONS if given[name]}
    if targets.get("--output") == "-":
        del targets["--output"]
    return targets


def check_targets(given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Find out before the work whether its results can be written, each to a different file that is no input."""
    targets = targets_of(given)
    if "--output" in targets:
        _check_output(given, inputs)
    elif not is_table_target(given) and given.get("partition_by"):
        check_tree(given)
    for name in ("--rejects", "--conflicts"):
        if name in targets:
            from metering_duck.outputs.files import check_target

            check_target(targets[name])
    _check_apart(targets, given, inputs)


def _check_output(given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Refuse a place of --output that rows cannot go to: a table, a tree, or a file of a known format."""
    if is_table_target(given):
        _check_table(given, inputs)
    elif given["format_"]:
        return
    elif given.get("partition_by"):
        check_tree(given)
    else:
        from metering_duck.outputs.files import check_target

        check_target(given["output"])


def _check_apart(targets: Mapping[str, str], given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Refuse a target that is an input, lies among the files of an input, or is the target of another option."""
    from metering_duck.engine.remote import scheme_of, shown
    from metering_duck.inputs.files import is_within, same_files
    from metering_duck.inputs.lakes import place_of_table

    read = [given[name] for name in READ_OPTIONS if given.get(name)]
    inputs = [place_of_table(path) for path in inputs]
    taken = same_files([*inputs, *read])
    taken |= {f"{path}{end}": "an input" for path in tuple(taken) for end in BESIDE_DATABASES}
    if given.get("ledger"):
        _check_unknown(targets, given["ledger"])
    for name, target in targets.items():
        path = target if scheme_of(target) else os.path.realpath(target)
        source = next((one for one in inputs if is_within(target, one)), None)
        if source:
            found = f"found {shown(target)}, which is among what {shown(source)} is read from"
            raise ConfigError(f"{name}: {found}; expected another place.")
        if path in taken and not path.startswith("/dev/"):
            raise ConfigError(f"{name}: found {target}, which is {taken[path]}; expected a file of its own.")
        taken[path] = name


def _check_unknown(targets: Mapping[str, str], ledger: str) -> None:
    """Refuse a target that is a file which a ledger has read, or lies in a table that it has read.

    Raises: ConfigError.
    """
    written = {name: target for name, target in targets.items() if os.path.isfile(target)}
    if not written or not os.path.isfile(ledger) or any(os.path.samefile(path, ledger) for path in written.values()):
        return
    from metering_duck.ledger.manifest import known_files
    from metering_duck.ledger.store import Store

    with Store(ledger).reader() as engine:
        known = known_files(engine, written.values())
    for name, target in written.items():
        if target in known:
            found = f"found {target}, which is a file that the ledger has read"
            raise ConfigError(f"{name}: {found}; expected a file of its own.")


def is_table_target(given: Mapping[str, Any]) -> bool:
    """Whether rows go into a Delta or Iceberg table.

    Raises: click.UsageError for --mode without a table, and --format with one.
    """
    from metering_duck.inputs.lakes import is_lake

    if not has_file(given) or not is_lake(given["output"]):
        if given.get("mode"):
            raise click.UsageError("--mode: found no table; expected one. hint: -o delta:///lake/readings")
        return False
    if given["format_"]:
        raise click.UsageError(f"--format: found {given['format_']}; expected none, since a table has its own.")
    return True


def _check_table(given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Refuse a table that cannot be opened, or is an input."""
    from metering_duck.inputs.lakes import is_lake
    from metering_duck.outputs.lake_tables import find_target
    from metering_duck.outputs.lake_writing import same_table

    find_target(given["output"])
    if any(is_lake(path) and same_table(path, given["output"]) for path in inputs):
        raise ConfigError(f"--output: found {given['output']}, which is an input; expected a table of its own.")


def check_tree(given: Mapping[str, Any]) -> None:
    """Refuse a tree that is no folder, or not of Parquet."""
    target = given["output"]
    if not has_file(given) or given["format_"] not in (None, "parquet"):
        found = given["format_"] or "no folder"
        raise click.UsageError(f"--partition-by: found {found}; expected -o FOLDER, for Parquet in folders below it.")
    if Path(target).is_file() or Path(target).suffix in (".parquet", ".csv", ".ndjson", ".json"):
        raise click.UsageError(f"--partition-by: found the file {target}; expected a folder. hint: -o readings/")


def has_file(given: Mapping[str, Any]) -> bool:
    """Whether --output names a place, so that rows do not go to standard output."""
    return bool(given["output"]) and given["output"] != "-"


def wants_json(format_: str | None) -> bool:
    """Whether a command prints JSON and not a grid; without --format it prints a grid only on a terminal."""
    if format_ is None:
        return not sys.stdout.isatty()
    return format_ == "json"


def format_of_rows(given: Mapping[str, Any]) -> str:
    """The format of rows: as --format says, else the file's suffix, else a grid on a terminal and NDJSON in a pipe."""
    from metering_duck.outputs.formats import format_of_path

    if given["format_"]:
        return str(given["format_"])
    if has_file(given):
        return format_of_path(Path(given["output"]))
    return "table" if sys.stdout.isatty() else "ndjson"


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output, in UTF-8 whatever the terminal can show."""
    print_data(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_data(text: str) -> None:
    """Print text for programs on standard output, in UTF-8 as all data; half a character is an escape."""
    click.echo(text.encode(errors="backslashreplace"), nl=False)


@contextlib.contextmanager
def opened_output(given: Mapping[str, Any]) -> Iterator[IO[bytes]]:
    """The file that rows go to, which others see only when it is whole, or standard output."""
    if has_file(given):
        from metering_duck.outputs.files import written_whole

        with written_whole(given["output"]) as file:
            yield file
    else:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
