"""Usage: the rows behind readings, one per event and reading in which it counts, with the event's place in its file.

It answers a person who asks where a number is from; no reading is made with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from metering_duck.judging.events import Compiler
from metering_duck.judging.slots import Slot
from metering_duck.readings.series import KEY, Totals
from metering_duck.statements.quote import literal
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage


def usage_query(compiler: Compiler, totals: Totals, judged: Sequence[Stage]) -> Query:
    """`usage`: every quantity that counts, under the key of its reading, of the subjects in the table `asked`."""
    rows = [_rows_sql(compiler, totals, slot) for slot in compiler.slots if slot.aggregation]
    union = "\nUNION ALL\n".join(rows)
    why = "every quantity that counts, of the subjects that are asked for"
    return Query("usage", (*judged, Stage("usage", why, union)))


def _rows_sql(compiler: Compiler, totals: Totals, slot: Slot) -> str:
    paths = [(str(placed.entry), literal(placed.path)) for placed in compiler.measured if placed.slot == slot]
    text = slot.text_sql if slot.counts_texts else "CAST(NULL AS VARCHAR)"
    series = next(series for series in totals.series if slot in series.slots)
    columns = {
        **{name: totals.key_columns[name] for name in KEY},
        "unit": series.unit_sql,
        "aggregation": literal(series.aggregation.name),
        **names(("event_id", "recorded_at", "metered_at")),
        "quantity": f"plain_text(v_{slot.index})",
        "value": text,
        "measurement": case(paths, of="entry"),
        "file": "file",
        "file_row": "CAST(row AS BIGINT)" if compiler.layout.row_sql else "CAST(NULL AS BIGINT)",
        "span_start": f"start_{slot.index}" if slot.span else "CAST(NULL AS TIMESTAMP)",
        "span_end": f"end_{slot.index}" if slot.span else "CAST(NULL AS TIMESTAMP)",
    }
    asked = "(universe_id, subject) IN (SELECT (universe_id, subject) FROM asked)"
    where = [*totals.shown, f"v_{slot.index} IS NOT NULL", asked]
    # Events outside of the window may have been read for other measurements; a gauge needs events before the window.
    where.append("recorded_at < $end")
    if not series.aggregation.is_gauge:
        where.append("recorded_at >= $start")
    return select(columns, "judged", where=where)
