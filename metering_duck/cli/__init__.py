"""The command line: parses, calls the library, prints what it returns."""

from metering_duck.cli.main import cli, main

__all__ = ["cli", "main"]
