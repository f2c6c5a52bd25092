"""Writes docs/cli.md from the commands themselves: `python docs/make_cli_reference.py`. A test asserts it was run."""

import inspect
from pathlib import Path

import click

from metering_duck.cli.main import cli

HEAD = """# Commands

Made by `docs/make_cli_reference.py` from the commands; change their help texts, not this page.

Data goes to standard output, everything else to standard error. A value is taken from the option, else from its
environment variable, else it is the default.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed: an input cannot be read, a result does not fit, a ledger is in use or not what it was, no room |
| 2 | wrong usage or config |
| 3 | `--strict`, and something was rejected or in conflict, a level outlasts its entry, or a period is stale |
| 130 | interrupted; nothing was written; of a `backfill`, the periods that were done are kept |

An error is a line: *where: what was found; what was expected. hint.* No command ends in Python's traceback. An error
that nobody foresaw says that it is a bug, with exit code 1; `METERING_DUCK_TRACEBACK=1` shows where an error came up.

Data is UTF-8 whatever the terminal can show; in what is for people, characters that it cannot show are escapes. Output
that nobody takes, on a full disk or a closed stream, is an error; a reader that has seen enough (`| head`) ends the
command with 1.
"""


def reference() -> str:
    """The page as the commands are now."""
    context = click.Context(cli, info_name="metering-duck")
    return "\n".join([HEAD, *_sections(cli, context)])


def _sections(group: click.Group, context: click.Context) -> list[str]:
    """A section for each command of a group, a group's own commands behind it."""
    found = []
    for name in group.list_commands(context):
        command = group.commands[name]
        below = click.Context(command, info_name=name, parent=context)
        found.append(_section(command, below))
        if isinstance(command, click.Group):
            found += _sections(command, below)
    return found


def _section(command: click.Command, context: click.Context) -> str:
    name = context.command_path.removeprefix("metering-duck ")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    rows = [_row(option, context) for option in command.params if isinstance(option, click.Option)]
    table = ["| option | |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## {name}", "", _description(command.help or ""), "", "```text", usage, "```", "", *table])


def _description(text: str) -> str:
    """A command's help; paragraphs that click leaves unwrapped are examples."""
    parts = [part for part in inspect.cleandoc(text).split("\n\n") if part]
    shown = [f"```text\n{part.removeprefix(chr(8)).strip()}\n```" if part.startswith("\b") else part for part in parts]
    return "\n\n".join(shown)


def _row(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    choices = " ".join(option.type.choices) if isinstance(option.type, click.Choice) else None
    value = "" if option.is_flag else f" `{choices or option.make_metavar(context)}`"
    variable = f" `{option.envvar}`" if option.envvar else ""
    return f"| {names}{value} | {(option.help or '').replace('|', chr(92) + '|')}{variable} |"


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(reference(), encoding="utf-8")
