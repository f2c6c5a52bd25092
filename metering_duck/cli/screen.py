"""The screen: records, readings and check reports for people, as grids on a terminal, by rich.

A grid is what a person sees; a table is what data lies in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metering_duck.errors import visible

if TYPE_CHECKING:
    from metering_duck.runs.rows import Rows

PIPED_WIDTH = 200
FILE_ROWS = 1_000_000
# Shape → the columns that a person looks at first; files have all columns.
SHOWN = {
    "record": (
        "workspace_id",
        "universe_id",
        "subject",
        "recorded_at",
        "quantity",
        "unit",
        "dimensions",
        "source_event_id",
    ),
    "record-bundle": ("workspace_id", "universe_id", "subject", "recorded_at", "observations", "dimensions", "id"),
    "reading": (
        "workspace_id",
        "universe_id",
        "subject",
        "unit",
        "aggregation",
        "window_start",
        "window_end",
        "dimensions",
        "quantity",
        "record_count",
    ),
    "diff": ("subject", "unit", "aggregation", "window_start", "dimensions", "old", "new", "delta", "why"),
    "restatement": ("restatement_id", "booked_at", "subject", "unit", "aggregation", "old", "new", "delta", "why"),
    "cause": ("reading_id", "cause", "event_id", "recorded_at", "old_quantity", "new_quantity", "file"),
    "run": (
        "run_id",
        "kind",
        "period_start",
        "period_end",
        "status",
        "read",
        "rejected",
        "readings",
        "readings_sha256",
    ),
    "file": ("file_id", "path", "rows", "first_recorded_at", "last_recorded_at", "entered_at", "gone_at"),
    "period": ("universe_id", "subject", "window_index", "window_start", "window_end", "local_start", "zone", "hours"),
    "reading-bundle": (
        "workspace_id",
        "universe_id",
        "subject",
        "window_start",
        "window_end",
        "dimensions",
        "computed_values",
        "record_count",
    ),
}
# Columns of numbers, which are aligned to the right.
NUMBERS = ("quantity", "record_count", "count", "events", "window_index", "hours", "old", "new", "delta")


def console(width: int | None = None) -> Console:
    """Standard output, as rich writes to it; it is wide when piped, so that no text is folded."""
    plain = Console(highlight=False)
    if plain.is_terminal and width is None:
        return plain
    return Console(highlight=False, width=width or PIPED_WIDTH)


def print_rows(rows: Rows, count: int) -> None:
    """Print the first rows as a grid, and how many more there are."""
    out = console()
    out.print(_rows_grid(rows, count))
    total = rows.count()
    if total > count:
        out.print(f"… and {total - count:,} more rows. hint: -o FILE writes all of them")


def grid_text(rows: Rows) -> str:
    """All rows as the text of a grid."""
    out = Console(highlight=False, width=PIPED_WIDTH, color_system=None, force_terminal=False)
    with out.capture() as captured:
        out.print(_rows_grid(rows, FILE_ROWS))
    return captured.get()


def _rows_grid(rows: Rows, count: int) -> Table:
    """The first rows as a grid of the columns in SHOWN; all columns for a shape that is not there."""
    first = rows.head(count)
    if rows.shape not in SHOWN:
        numbers = [field.name for field in rows.schema if _is_number(field.type)]
        return make_grid(first, rows.schema.names, numbers)
    left_out = _empty_columns(rows.shape, first)
    return make_grid(first, [name for name in SHOWN[rows.shape] if name not in left_out])


def _empty_columns(shape: str, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which of the columns that are often empty are empty in all of these rows."""
    empty = set()
    if all(row.get("dimensions") in (None, "{}") for row in rows):
        empty.add("dimensions")
    if not any(row.get("why") for row in rows):
        empty.add("why")
    if shape == "period" and not any(row["subject"] for row in rows):
        empty |= {"universe_id", "subject"}
    return empty


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind) or pa.types.is_integer(kind))


def make_grid(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], numbers: Collection[str] = NUMBERS) -> Table:
    """Rows as a grid without lines; text in data is never taken for markup."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        grid.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(row[name]) for name in columns))
    return grid


def _cell(value: object) -> Text:
    """A value as text; no text for None."""
    return Text("" if value is None else visible(str(value)))


def print_check(report: Mapping[str, Any]) -> None:
    """Print the report of a check, part by part; its problems are printed as errors elsewhere."""
    out = console()
    if report["problems"]:
        return
    noun = "measurement" if report["measurements"] == 1 else "measurements"
    out.print(f"config: {report['measurements']} {noun}, no problem found")
    for warning in report["warnings"]:
        out.print(Text(f"warning: {visible(warning)}"))
    if "accounting" not in report:
        return
    accounting = report["accounting"]
    names = ("read", "metered", "unmatched", "duplicates", "conflicts", "rejected")
    out.print("events: " + ", ".join(f"{accounting[name]:,} {name}" for name in names))
    for notice in report["notices"]:
        out.print(Text(f"note: {notice}"))
    out.print()
    out.print(make_grid(report["types"], ("type", "status", "events", "first_at", "last_at")))
    if report["rejects"]:
        out.print("\nwould be rejected:")
        out.print(
            make_grid(report["rejects"], ("reason", "measurement", "count", "meaning", "example_text", "example_id"))
        )
