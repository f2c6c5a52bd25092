"""Which of several events of one id counts, where some of them cannot be used (R8)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metering_duck import aggregate
from tests import oracle
from tests.worlds import CLOCK, Event, as_row, event, table

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


@pytest.mark.slow
@pytest.mark.sampled(4)
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


@pytest.mark.slow
@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-23:59", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_an_entry_out_of_range_is_a_reject(time: str) -> None:
    """An event whose metered_at is no moment of the years 1 to 9999 entered at the run's clock, and is rejected."""
    events = [{**GOOD, "meteredAt": time}, {**GOOD, "id": "b"}]
    counts, _, reasons = answer(events)

    assert (1, ["metered-at-invalid"]) == (counts["metered"], reasons)
    assert oracle.meter(events, CONFIG, clock=CLOCK).counts["rejected"] == counts["rejected"]


def line(properties: str, **changed: Any) -> str:
    """An event as JSON, with the text of its properties."""
    fields: Event = {name: value for name, value in {**GOOD, **changed}.items() if name != "properties"}
    return f'{json.dumps(fields)[:-1]}, "properties": {properties}}}'


def as_ndjson(folder: Path, lines: Sequence[str]) -> Path:
    """A file of lines."""
    path = folder / "events.ndjson"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_texts(folder: Path, lines: Sequence[str]) -> pa.Table:
    """A table with the properties of lines as JSON text."""
    rows = [line.partition(', "properties": ') for line in lines]
    return pa.Table.from_pylist([{**json.loads(fields + "}"), "properties": held[:-1]} for fields, _, held in rows])


FAULTS = {
    "property-repeated": ('{"q": "1", "q": "2"}', '{"q": "1", "q": "3"}'),
    "properties-invalid": ('["q"]', '["r"]'),
    "number-inexact": ('{"q": 1.5, "x": "\ufdd0"}', '{"q": 2.5, "x": "\ufdd0"}'),
}


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("given", [as_ndjson, as_texts])
@pytest.mark.parametrize("reason", FAULTS)
def test_events_whose_properties_cannot_be_read_differ_by_their_text(reason: str, given: Any, tmp_path: Path) -> None:
    """The same text again is a duplicate, another text is a conflict with both texts, in any order of the rows."""
    one, other = FAULTS[reason]
    found = set()
    for lines in permutations([line(one), line(one), line(other)]):
        counts, conflicts, reasons = answer(given(tmp_path, lines))
        texts = [json.loads(content)["properties"] for content in conflicts[0]]
        found.add((counts["duplicates"], counts["conflicts"], *reasons, *texts))

    assert 1 == len(found)
    duplicates, lost, said, kept_text, lost_text = found.pop()
    assert (1, 1, reason) == (duplicates, lost, said)
    assert kept_text != lost_text


def test_an_event_that_can_be_read_is_no_duplicate_of_one_that_cannot(tmp_path: Path) -> None:
    """A good event that entered later loses to a reject of its id, and that is a conflict."""
    early, late = "2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"
    lines = [line('{"q": "1", "q": "1"}', meteredAt=early), line('{"q": "1"}', meteredAt=late)]
    counts, _, reasons = answer(as_ndjson(tmp_path, lines))

    assert (0, 1, ["property-repeated"]) == (counts["metered"], counts["conflicts"], reasons)
