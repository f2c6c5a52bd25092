"""The command line: parses, calls the library, prints what it returns."""

from metering_duck.cli.process import main

__all__ = ["main"]
