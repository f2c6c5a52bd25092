"""Which of several events of one id counts, where some of them cannot be used (R8)."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from metering_duck import aggregate
from tests import oracle
from tests.worlds import CLOCK, as_row, event, table

CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "u", "aggregation": "sum"}]}
WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
GOOD = event("a", "2024-01-02T00:00:00Z", {"q": "1"})
UNUSABLE = (
    *("0001-01-01T00:00:00Z", "0001-01-01T01:00:00+01:00", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59-23:59", "2024-01-02", "yesterday", "", None),
)


def answer(given: Any) -> tuple[dict[str, int], list[tuple[str, Any]], list[str]]:
    """The books, the conflicts as kept and lost content, and the reasons of rejects."""
    with aggregate(given, CONFIG, **WINDOW) as result:
        conflicts = [(row["kept_content"], row["lost_content"]) for row in result.conflicts.to_pylist()]
        return dict(result.accounting), conflicts, result.rejects["reason"].to_pylist()


@pytest.mark.parametrize("time", UNUSABLE)
def test_an_event_without_a_usable_time_stands_last(time: str | None) -> None:
    """Of two events that entered at once the one with a time counts, whatever moment the other's text would be."""
    events = [{**GOOD, "time": time, "subject": "c:2"}, GOOD]
    books = oracle.meter(events, CONFIG, clock=CLOCK)
    for given in (events, events[::-1]):
        counts, conflicts, reasons = answer(given)

        assert (1, 1, []) == (counts["metered"], counts["conflicts"], reasons)
        assert [(row["kept_content"], row["lost_content"]) for row in books.conflicts] == conflicts


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE"])
def test_a_typed_time_out_of_range_stands_last(kind: str) -> None:
    """A column of times says the same as their texts."""
    times = pa.array([-62135596800000000, 1704153600000000, 253402300800000000], pa.int64())
    moments = times.cast(pa.timestamp("us", None if kind == "TIMESTAMP" else "UTC"))
    rows = table(as_row({**GOOD, "time": None, "subject": f"c:{n}"}) for n in range(3))
    given = rows.set_column(rows.schema.get_field_index("time"), "time", moments)
    counts, conflicts, reasons = answer(given)

    assert (1, 2, []) == (counts["metered"], counts["conflicts"], reasons)
    assert {"c:1"} == {json.loads(kept)["subject"] for kept, _ in conflicts}


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-23:59", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_an_entry_out_of_range_is_a_reject(time: str) -> None:
    """An event whose metered_at is no moment of the years 1 to 9999 entered at the run's clock, and is rejected."""
    events = [{**GOOD, "meteredAt": time}, {**GOOD, "id": "b"}]
    counts, _, reasons = answer(events)

    assert (1, ["metered-at-invalid"]) == (counts["metered"], reasons)
    assert oracle.meter(events, CONFIG, clock=CLOCK).counts["rejected"] == counts["rejected"]
