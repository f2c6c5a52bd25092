"""Commands run in this process or in one of their own, over a few events in CSV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from click.testing import CliRunner, Result

from metering_duck.cli.main import cli

CLOCK = ["--clock", "2024-06-01T00:00:00Z"]
WINDOW = ["--start", "2024-01-01", "--end", "2024-02-01"]
COMMANDS = (
    *("aggregate", "backfill", "check", "close", "compile", "demo", "diff", "doctor", "fork-universe"),
    *("ledger", "meter", "periods", "rerun", "restate", "rollup", "schema", "simulate", "trace"),
)
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("METERING_DUCK_")}
METERED = "6 read = 2 metered + 1 unmatched + 1 duplicate + 1 conflict + 1 rejected (1 quantity-syntax)\n"
HEAD = "id,workspace_id,universe_id,type,subject,time,tokens,region,metered_at\n"
EVENTS = HEAD + (
    "e1,acme,production,llm,customer:a,2024-01-01T10:00:00Z,100,eu,2024-01-01T10:05:00Z\n"
    "e2,globex,staging,llm,customer:b,2024-01-02T10:00:00Z,2.50,us,2024-01-02T10:05:00Z\n"
    'e3,acme,production,llm,customer:a,2024-01-03T10:00:00Z,"1,000",eu,2024-01-03T10:05:00Z\n'
    "e4,acme,production,ping,customer:a,2024-01-04T10:00:00Z,,eu,2024-01-04T10:05:00Z\n"
    "e1,acme,production,llm,customer:a,2024-01-01T10:00:00Z,100,eu,2024-01-05T10:05:00Z\n"
    "e1,acme,production,llm,customer:a,2024-01-01T10:00:00Z,101,eu,2024-01-06T10:05:00Z\n"
)
CONFIG = {
    "entries": [{"type": "llm", "measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}]
}
PLAIN = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens"}]}


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(cli, list(arguments), env=dict(env or {}))


def good(*arguments: str) -> str:
    """The standard output of a command that must end well."""
    done = run(*arguments)
    assert (0, "") == (done.exit_code, done.stderr if done.exit_code else "")
    return done.stdout


def rows(*arguments: str) -> list[dict[str, Any]]:
    """The NDJSON rows of a command that must end well."""
    return [json.loads(line) for line in good(*arguments).splitlines()]


def amounts(*arguments: str) -> list[str]:
    """The quantities that a command gives."""
    return [row["measurement"]["quantity"] for row in rows(*arguments)]


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """A command as a process of its own, in the foreground of its own group."""
    command = [sys.executable, "-m", "metering_duck", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    return subprocess.Popen(command, start_new_session=True, **{**pipes, **options})


METER = ("meter", "events.csv", "--config", "config.json", *CLOCK)
AGGREGATE = ("aggregate", "events.csv", "--config", "config.json", *WINDOW, *CLOCK)
