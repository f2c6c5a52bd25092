"""Reports: what a ledger says, for people: outcomes, status, findings, traces and differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.table import Table
from rich.text import Text

from metering_duck.cli.screen import console, make_grid
from metering_duck.errors import visible
from metering_duck.runs.books import SHOWN_BOOKS, counted_noun

if TYPE_CHECKING:
    from metering_duck.ledger.findings import Finding
    from metering_duck.ledger.outcomes import Outcome
    from metering_duck.ledger.status import PeriodStatus, Status
    from metering_duck.ledger.tracing import Trace
    from metering_duck.runs.rows import Rows

OUTCOME_COLUMNS = ("period", "status", "run_id", *SHOWN_BOOKS, "readings", "seconds")
OUTCOME_NUMBERS = ("run_id", *SHOWN_BOOKS, "readings", "seconds")
PERIOD_COLUMNS = ("period", "timezone", "status", "run_id", "read", "readings", "rejected", "stale", "because")
TRACE_ROWS = 50
# The values of a traced reading that are shown.
TRACED = ("subject", "unit", "aggregation", "window_start", "window_end", "dimensions", "quantity")
# Total of a trace → what the screen calls it.
TOTALS = {
    "rows": "rows",
    "carried_in": "of these levels carried in",
    "sum": "their sum",
    "total": "they come to",
    "numerator": "sum of level × microseconds",
    "divisor_us": "divided by",
    "metered_again": "metered again",
    "adds_up": "adds up",
}
TRACE_COLUMNS = (
    *("carried_in", "file", "file_row", "event_id", "recorded_at", "quantity", "value", "span_start", "span_end"),
    *("held_from", "held_until", "held_us", "level_us"),
)


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print what became of each period."""
    rows = []
    for outcome in outcomes:
        row = outcome.to_dict()
        counts = {name: f"{value:,}" for name, value in row.items() if isinstance(value, int)}
        rows.append(row | counts)
    console().print(make_grid(rows, OUTCOME_COLUMNS, OUTCOME_NUMBERS))


def print_status(status: Status) -> None:
    """Print the files of a status, then its periods."""
    out = console()
    out.print(
        f"{status.ledger}: {counted_noun(status.files, 'file')}, {counted_noun(status.events, 'event')}, "
        f"{counted_noun(status.configs, 'config')}, {counted_noun(status.runs, 'run')}"
    )
    if status.without_time:
        out.print(
            f"{counted_noun(status.without_time, 'event')} without a usable time, in no period (rejects of run 0)"
        )
    for what, files in (("new", status.new_files), ("changed", status.changed_files), ("gone", status.gone_files)):
        for path in files:
            out.print(Text(f"{what}: {visible(path)}"))
    for problem in status.problems:
        out.print(Text(f"problem: {visible(problem)}"))
    for notice in status.notices:
        out.print(Text(f"note: {visible(notice)}"))
    if not status.periods:
        out.print("no period is metered yet. hint: metering-duck backfill")
        return
    rows = [_period_row(period) for period in status.periods]
    out.print(make_grid(rows, PERIOD_COLUMNS, ("run_id", "read", "readings", "rejected")))


def _period_row(period: PeriodStatus) -> dict[str, Any]:
    """A period as a row for people."""
    row = {**vars(period), "stale": "", "because": "; ".join(period.because)}
    if period.closed_by:
        row["status"] = f"closed by {period.closed_by}"
    if period.is_stale:
        row["stale"] = "stale"
    return row


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each check, how many things it looked at, and what is wrong."""
    out = console()
    counts: dict[str, list[str]] = {}
    for finding in findings:
        counts.setdefault(finding.check, [])
        if finding.problem:
            counts[finding.check].append(f"{finding.where}: {finding.problem}")
    for check, problems in counts.items():
        looked_at = sum(finding.check == check for finding in findings)
        state = f"{len(problems)} wrong" if problems else "as it was"
        out.print(Text(f"{check} ({looked_at}): {state}"))
        for problem in problems:
            out.print(Text(f"  {visible(problem)}"))


def print_trace(trace: Trace, limit: int | None, given: dict[str, Any]) -> None:
    """Print a traced reading, its events, and what they add up to."""
    out = console()
    for name in TRACED:
        value = trace.reading[name]
        if value not in (None, {}):
            out.print(Text(f"{name}: {visible(str(value))}"))
    shown = trace.events.head(TRACE_ROWS if limit is None else limit)
    if shown:
        out.print(_traced_grid(shown))
    rest = trace.totals["rows"] - len(shown)
    if rest > 0:
        out.print(f"… and {rest:,} more. hint: --limit {trace.totals['rows']}, or -o FILE")
    if not given.get("output"):
        for name, words in TOTALS.items():
            value = trace.totals.get(name)
            if value is not None:
                out.print(Text(f"{words}: {_said(value)}"))


def _traced_grid(events: Sequence[dict[str, Any]]) -> Table:
    """The events behind a reading as a grid, without the columns that are empty for all of them."""
    columns = []
    for name in TRACE_COLUMNS:
        if any(_is_told(event.get(name)) for event in events):
            columns.append(name)
    rows = [{**event, "file": _short(event["file"])} for event in events]
    return make_grid(rows, columns, ("file_row", "quantity", "held_us", "level_us"))


def _is_told(value: object) -> bool:
    """Whether a cell of a trace tells anything; a quantity of 0 does, though it equals False."""
    return value is not False and value not in (None, "false")


def _said(value: object) -> object:
    """A total as a person reads it."""
    if value is True:
        return "yes"
    if value is False:
        return "NO"
    return value


def _short(path: str | None) -> str | None:
    """A path as it is called from the current folder, if it lies below it."""
    if path is None or not Path(path).is_relative_to(Path.cwd()):
        return path
    return str(Path(path).relative_to(Path.cwd()))


def sums_text(rows: Rows) -> str:
    """How many readings differ, and the sum of the deltas of each unit and aggregation."""
    table = rows.to_arrow().select(["unit", "aggregation", "delta"])
    exact = table.set_column(2, "delta", table.column("delta").cast(pa.decimal256(76, 38)))
    sums = exact.group_by(["unit", "aggregation"]).aggregate([("delta", "sum")]).sort_by([("unit", "ascending")])
    shown = ", ".join(
        f"{row['aggregation']} of {row['unit']} {row['delta_sum'].normalize():+f}" for row in sums.to_pylist()
    )
    verb = "differs" if table.num_rows == 1 else "differ"
    differ = f"{counted_noun(table.num_rows, 'reading')} {verb}"
    return f"{differ}: {shown}" if shown else differ
