"""The table of output formats: everything that reads formats reads this one."""

from __future__ import annotations

from metering_duck.cli.options import SHOWN_FORMATS
from metering_duck.outputs.formats import OUTPUT_FORMATS
from metering_duck.outputs.writing import WRITERS


def test_every_format_has_a_writer() -> None:
    """Each format of the table has a writer, and no writer is of another format."""
    assert list(OUTPUT_FORMATS) == list(WRITERS)


def test_the_command_line_offers_every_format() -> None:
    """The command line takes each format of the table, and a table for people beside them."""
    assert ["table", *OUTPUT_FORMATS] == list(SHOWN_FORMATS)


def test_a_suffix_stands_for_one_format() -> None:
    """No two formats have a suffix in common."""
    suffixes = [suffix for known in OUTPUT_FORMATS.values() for suffix in known]

    assert sorted(set(suffixes)) == sorted(suffixes)
