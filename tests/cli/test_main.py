"""The command line: data on stdout, messages on stderr, an exit code for each end, and a quick start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import metering_duck
from metering_duck.cli.main import cli
from tests.cli.running import AGGREGATE, COMMANDS, ENVIRONMENT, HEAD, METER, METERED, WINDOW, good, run

pytestmark = pytest.mark.usefixtures("folder")


def test_data_goes_to_stdout_and_the_accounting_to_stderr() -> None:
    """Piped, meter and aggregate write NDJSON to stdout and one line of accounting to stderr."""
    metered, aggregated = run(*METER), run(*AGGREGATE)

    assert (0, 0, METERED, METERED) == (metered.exit_code, aggregated.exit_code, metered.stderr, aggregated.stderr)
    assert ["e1", "e2"] == [json.loads(line)["sourceEventID"] for line in metered.stdout.splitlines()]
    assert ["100", "2.5"] == [json.loads(line)["measurement"]["quantity"] for line in aggregated.stdout.splitlines()]


ENDS = {
    "done": (0, METER),
    "a missing file": (1, ("meter", "nowhere.csv", "--config", "config.json")),
    "a missing column": (1, (*METER, "--map", "subject=who")),
    "an overflow": (1, ("aggregate", "huge.csv", "--config", "plain.json", "--aggregation", "sum", *WINDOW)),
    "no command": (2, ()),
    "an unknown command": (2, ("metre",)),
    "an unknown option": (2, (*METER, "--fromat", "csv")),
    "a missing config": (2, ("meter", "events.csv")),
    "a config that is not there": (2, ("meter", "events.csv", "--config", "nowhere.json")),
    "a broken config": (2, ("meter", "events.csv", "--config", "events.csv")),
    "no events": (2, ("meter", "--config", "config.json")),
    "events and records": (2, (*AGGREGATE, "--records", "events.csv")),
    "no window": (2, ("aggregate", "events.csv", "--config", "config.json")),
    "an inverted window": (2, (*AGGREGATE, "--end", "2023-01-01")),
    "an unknown aggregation": (2, (*AGGREGATE, "--aggregation", "summ")),
    "a bad map": (2, (*METER, "--map", "subject")),
    "no threads": (2, (*METER, "--threads", "0")),
    "strict": (3, (*METER, "--strict")),
    "check with problems": (2, ("check", "events.csv")),
    "check strict": (3, ("check", "config.json", "events.csv", "--strict")),
}


@pytest.mark.parametrize("case", ENDS)
def test_every_end_has_its_exit_code(case: str, folder: Path) -> None:
    """0 done, 1 failed, 2 wrong usage or config, 3 strict; a failure says why on stderr and writes no rows."""
    big = "9" * 20
    huge = "".join(f"e{n},w,u,t,c,2024-01-0{n}T00:00:00Z,{big},eu,2024-01-09T00:00:00Z\n" for n in range(1, 9))
    (folder / "huge.csv").write_text(HEAD + huge, encoding="utf-8")
    code, arguments = ENDS[case]
    done = run(*arguments)

    assert code == done.exit_code
    assert (code == 0, True) == ("rror" not in done.stderr and bool(arguments), "Traceback" not in done.stderr)
    assert code == 0 or case.startswith("check") or done.stdout == ""


def test_the_module_is_the_command() -> None:
    """`python -m metering_duck` is `metering-duck`, its name in messages included."""
    module = [sys.executable, "-m", "metering_duck"]
    script = str(Path(sys.executable).with_name("metering-duck"))
    found = [
        subprocess.run([*command, "meter", "--no"], capture_output=True, env=ENVIRONMENT)
        for command in (module, [script])
    ]

    assert found[0].stderr == found[1].stderr
    assert [2, 2] == [done.returncode for done in found]
    assert found[0].stderr.startswith(b"Usage: metering-duck meter ")


def test_version_and_help_say_what_they_say() -> None:
    """--version names the version; -h and --help list every command; every option has a help text."""
    assert f"metering-duck, version {metering_duck.__version__}\n" == good("--version")
    assert good("-h") == good("--help")
    assert list(COMMANDS) == re.findall(r"^  ([a-z][a-z-]*) +[A-Z]", good("--help"), re.MULTILINE)
    silent = [
        (name, parameter.name)
        for name, command in cli.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert [] == silent


def test_the_command_line_starts_without_its_heavy_parts() -> None:
    """Importing metering_duck.cli, and --help, load neither DuckDB nor Arrow nor Polars nor pydantic."""
    script = (
        "import sys; from click.testing import CliRunner; from metering_duck.cli.main import cli;"
        "CliRunner().invoke(cli, ['aggregate', '--help']);"
        "print(sorted({'duckdb', '_duckdb', 'pyarrow', 'polars', 'pandas', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ("[]\n", "") == (done.stdout, done.stderr)
