"""Objects of Python, streams, and records that meter made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest

from metering_duck import SchemaError, SourceError, aggregate, meter
from metering_duck.contract.schemas import EVENT_SCHEMA
from tests.inputs.forms import CLOCK, CONFIG, END, EVENTS, START, dimensions, one_row, quantities, reasons, table


def test_a_stream_that_was_read_before_is_an_error() -> None:
    """A consumed RecordBatchReader has no rows left: that is said, and is not an empty bill."""
    reader = table().to_reader()
    quantities(reader)

    with pytest.raises(SourceError, match="consumed"):
        quantities(reader)


def test_a_stream_is_enough_for_every_question() -> None:
    """A stream can be read once, and still gives records, rejects and conflicts."""
    with meter(table().to_reader(), CONFIG, clock=CLOCK) as records:
        assert (6, 2, 1) == (len(records.to_dicts()), records.rejects.num_rows, records.conflicts.num_rows)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("bundled", [False, True])
def test_a_result_is_a_source(bundled: bool) -> None:
    """What meter gives can be handed to aggregate as it is, flat or bundled, and gives the readings of the events."""
    with aggregate(EVENTS, CONFIG, start=START, end=END, clock=CLOCK) as direct:
        wanted = direct.to_dicts()
    with (
        meter(EVENTS, CONFIG, clock=CLOCK, bundled=bundled) as records,
        aggregate(records=records, start=START, end=END, clock=CLOCK) as readings,
    ):
        found = readings.to_dicts()

    assert [(r["subject"], r["unit"], r["quantity"]) for r in wanted] == [
        (r["subject"], r["unit"], r["quantity"]) for r in found
    ]


@pytest.mark.slow
@pytest.mark.sampled(8)
@pytest.mark.parametrize("bundled", [False, True])
@pytest.mark.parametrize("suffix", ["json", "ndjson", "csv", "parquet", "arrow"])
def test_records_that_meter_wrote_are_read_in_every_format(suffix: str, bundled: bool, tmp_path: Path) -> None:
    """Records written to a file, flat or bundled, in any format, aggregate to what their events aggregate to."""
    with aggregate(EVENTS, CONFIG, start=START, end=END, clock=CLOCK) as direct:
        wanted = direct.to_dicts()
    with meter(EVENTS, CONFIG, clock=CLOCK, bundled=bundled) as records:
        path = records.write(tmp_path / f"records.{suffix}")
    if bundled and suffix == "csv":
        with pytest.raises(SchemaError, match="column observations: found VARCHAR; expected a LIST"):
            aggregate(records=path, start=START, end=END, clock=CLOCK)
        return
    with aggregate(records=path, start=START, end=END, clock=CLOCK) as readings:
        found = readings.to_dicts()

    assert [(r["subject"], r["unit"], r["quantity"]) for r in wanted] == [
        (r["subject"], r["unit"], r["quantity"]) for r in found
    ]


def test_no_records_give_no_readings() -> None:
    """An empty list of records has no readings, whether an aggregation is chosen or not."""
    found = [aggregate(records=[], aggregation=name, start=START, end=END).to_dicts() for name in ("sum", None)]

    assert [[], []] == found


PYTHON_VALUES: list[tuple[Any, str]] = [
    (Decimal("12345678901234567890.123456789012345678"), "12345678901234567890.123456789012345678"),
    (10**19, "10000000000000000000"),
    (True, "true"),
    (0.1, "0.1"),
    ("text", "text"),
    (date(2024, 2, 29), "2024-02-29"),
    (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2024-01-01T00:00:00+02:00"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("value", "text"), PYTHON_VALUES, ids=lambda value: str(value)[:20])
def test_python_values_are_taken_as_their_text(value: object, text: str) -> None:
    """Decimals, integers, booleans, floats and dates in a dict are their text; None is absent."""
    row = {**one_row(), "properties": {"q": 1, "other": value, "none": None}}

    assert [{"other": text}] == dimensions([row])


def test_a_float_that_is_no_number_is_a_reject() -> None:
    """NaN in a dict or a Decimal is not a quantity."""
    rows = [
        {**one_row(id=str(n)), "properties": {"q": q}}
        for n, q in enumerate((float("nan"), float("inf"), Decimal("NaN")))
    ]

    assert [("NaN", "quantity-syntax"), ("Infinity", "quantity-syntax"), ("NaN", "quantity-syntax")] == reasons(rows)


def test_a_pandas_column_of_mixed_objects_is_texts_or_an_error_of_ours() -> None:
    """An object column with a number and a text never ends in another library's traceback."""
    frame = pandas.DataFrame([{**one_row(id="e1"), "q": 1}, {**one_row(id="e2"), "q": "2"}])

    try:
        found = quantities(frame)
    except (SchemaError, SourceError):
        found = [Decimal(1), Decimal(2)]

    assert [Decimal(1), Decimal(2)] == found


def batches() -> Iterator[pa.RecordBatch]:
    """A stream that fails after its first batch."""
    yield from table().to_batches(max_chunksize=3)[:1]
    raise OSError("the disk is gone")


def test_a_stream_that_breaks_is_an_error() -> None:
    """What a source raises while it is read ends the run: half of the events are not a bill."""
    with pytest.raises(SourceError, match="the disk is gone"):
        quantities(pa.RecordBatchReader.from_batches(EVENT_SCHEMA, batches()))


@pytest.mark.parametrize("bag", [{}, {"properties": None}])
def test_each_object_has_properties_by_its_own_form(tmp_path: Path, bag: dict[str, None]) -> None:
    """Events with and without an object of properties are read alike in any order, beside whatever others."""
    fields = {"workspaceID": "acme", "universeID": "production", "type": "call", "subject": "customer:a"}
    fields["time"] = "2024-01-02T00:00:00Z"
    nested = {**fields, "id": "nested", "properties": {"tier": "paid"}, "tier": "aside"}
    flat = {**fields, **bag, "id": "flat", "tier": "free"}
    many = [{**fields, "id": f"many {n}", "tier": "free"} for n in range(1_001)]
    config = {"measurements": [{"unit": "calls", "aggregation": "count"}]}
    found = []
    for given in ([nested, flat, *many], [*many, flat, nested]):
        path = tmp_path / "given.ndjson"
        path.write_text("".join(json.dumps(event) + "\n" for event in given), encoding="utf-8")
        for source in (given, path):
            read = aggregate(source, config, start="2024-01-01", end="2025-01-01", group_by="tier").to_dicts()
            found.append(sorted((row["dimensions"]["tier"], int(row["quantity"])) for row in read))
    assert [[("free", 1_002), ("paid", 1)]] * 4 == found
