"""Properties and times of every type are taken exactly; what cannot be read exactly is rejected or refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metering_duck import SchemaError, SourceError, meter
from tests.inputs.forms import (
    CLOCK,
    INSTANT,
    PLAIN,
    dimensions,
    one_object,
    one_row,
    one_table,
    quantities,
    reasons,
    written,
)

SCALARS = (
    "{'q': 1, 'i': 7::TINYINT, 'h': '98765432109876543210987654321098765432'::DECIMAL(38, 0), 'dec': "
    "12.50::DECIMAL(10, 2), 'yes': true, "
    "'no': false, 'd': 0.1::DOUBLE, 'f': 0.1::FLOAT, 'x': 'text', 'none': NULL::VARCHAR, 'day': DATE '2024-02-29', "
    "'at': TIMESTAMP '2024-01-02 03:04:05.5', 'id': '6ccd780c-baba-1026-9564-5b8c656024db'::UUID}"
)
SCALAR_TEXTS = {
    "i": "7",
    "h": "98765432109876543210987654321098765432",
    "dec": "12.50",
    "yes": "true",
    "no": "false",
    "d": "0.1",
    "f": "0.1",
    "x": "text",
    "day": "2024-02-29",
    "at": "2024-01-02 03:04:05.5",
    "id": "6ccd780c-baba-1026-9564-5b8c656024db",
}


def test_struct_fields_of_every_type_are_taken_as_their_text(tmp_path: Path) -> None:
    """Integers, decimals, booleans, doubles, dates and texts of a STRUCT become dimensions; NULL is absent."""
    path = written(tmp_path, "e.parquet", one_table(f"{SCALARS} AS properties"))

    assert [SCALAR_TEXTS] == dimensions(path)


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        ("7", "7"),
        ("12.50::DECIMAL(10, 2)", "12.50"),
        ("'12345678901234567890.123456789012345678'::DECIMAL(38, 18)", "12345678901234567890.123456789012345678"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615::UBIGINT", "18446744073709551615"),
        ("0.1::DOUBLE", "0.1"),
        ("1e15::DOUBLE", "1e15"),
        ("'  7'", None),
        ("true", None),
        ("'nan'::DOUBLE", None),
        ("'inf'::DOUBLE", None),
        ("1e30::DOUBLE", None),
    ],
)
def test_a_quantity_of_any_type_is_exact_or_rejected(value: str, quantity: str | None) -> None:
    """A number in a typed column is taken as its text, every digit, in a STRUCT and in a column of its own."""
    wanted = [] if quantity is None else [Decimal(quantity)]

    assert (wanted, wanted) == (
        quantities(one_table(f"{{'q': {value}}} AS properties")),
        quantities(one_table(f"{value} AS q")),
    )


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        "-0.10",
        "1e2",
        "12345678901234567890.123456789012345678",
        "9007199254740993",
        "0.000000000000000001",
        "1E-18",
        "-0",
        "123456789012345.678",
    ],
)
def test_a_json_number_keeps_every_digit(number: str, tmp_path: Path) -> None:
    """A number in JSON, in a file, an array, a text column or a Python Decimal, is that number and no double."""
    line = one_object(f'{{"q": {number}, "other": {number}}}')
    column = pa.Table.from_pylist([{**one_row(), "properties": f'{{"q":{number}, "other": {number}}}'}])
    sources = [written(tmp_path, "e.ndjson", line), written(tmp_path, "e.json", f"[{line}]"), column]

    found = []
    for source in sources:
        with meter(source, PLAIN, clock=CLOCK) as records:
            found.append([(row["quantity"], row["dimensions"]) for row in records.to_dicts()])

    assert [[(Decimal(number), {"other": number})]] * 3 == found
    assert [Decimal(number)] == quantities([{**one_row(), "properties": {"q": Decimal(number)}}])


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("100000000000000000000", "quantity-too-large"),
        ("0.1234567890123456789", "quantity-too-fine"),
        ("1e400", "quantity-too-large"),
    ],
)
def test_a_json_number_that_does_not_fit_is_rejected_with_its_digits(number: str, reason: str, tmp_path: Path) -> None:
    """What no DECIMAL(38, 18) holds is rejected, and shown as it was sent."""
    assert [(number, reason)] == reasons(written(tmp_path, "e.ndjson", one_object(f'{{"q": {number}}}')))


def test_json_values_of_every_kind_become_texts(tmp_path: Path) -> None:
    """Booleans and numbers are their text, null is absent, and a nested value is its JSON."""
    properties = (
        r'{"q": "1", "yes": true, "no": false, "none": null, "n": 1.50, "o": {"a": [1.50, "x, y"]}, '
        r'"u": "\u00e9\n\"", "": "empty"}'
    )
    wanted = {"": "empty", "n": "1.50", "no": "false", "o": '{"a":[1.50,"x, y"]}', "u": 'é\n"', "yes": "true"}

    assert [wanted] == dimensions(written(tmp_path, "e.ndjson", one_object(properties)))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ('{"q": NaN}', ("NaN", "quantity-syntax")),
        ('{"q": Infinity}', ("Infinity", "quantity-syntax")),
        ('{"q": {"a": 1}}', ('{"a":1}', "quantity-syntax")),
        ('{"q": [1]}', ("[1]", "quantity-syntax")),
        ('{"q": true}', ("true", "quantity-syntax")),
        ('{"q": null}', (None, "source-missing")),
        ('{"q":"1","q":"2"}', ('{"q":"1","q":"2"}', "property-repeated")),
        ("[1]", ("[1]", "properties-invalid")),
        ('"q=1"', ("q=1", "properties-invalid")),
        ("null", (None, "source-missing")),
    ],
)
def test_properties_in_json_that_cannot_be_metered_are_rejected(
    properties: str, fault: tuple[str, str], tmp_path: Path
) -> None:
    """NaN, nested quantities, repeated names and properties that are no object are rejects with a reason, not
    errors."""
    assert [fault] == reasons(written(tmp_path, "e.ndjson", one_object(properties)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("""'{"q": 1, "q": 2}' AS properties""", ('{"q": 1, "q": 2}', "property-repeated")),
        ("""'{"q": 1' AS properties""", ('{"q": 1', "properties-invalid")),
        ("'' AS properties", ("", "properties-invalid")),
        ("NULL::VARCHAR AS properties", (None, "source-missing")),
        ("NULL::MAP(VARCHAR, VARCHAR) AS properties", (None, "source-missing")),
        ("NULL::STRUCT(q VARCHAR) AS properties", (None, "source-missing")),
        ("[{'key': 'q', 'value': '1'}, {'key': 'q', 'value': '2'}] AS properties", ("property-repeated",)),
        ("[{'key': 'q', 'value': '1'}, {'key': NULL, 'value': '2'}] AS properties", ("properties-invalid",)),
    ],
)
def test_properties_in_a_column_that_cannot_be_metered_are_rejected(sql: str, fault: tuple[str, ...]) -> None:
    """One bad value among many rows rejects its event, and does not end the run."""
    assert [fault] == [(text, reason)[-len(fault) :] for text, reason in reasons(one_table(sql))]


def test_entries_are_found_by_name_and_not_by_place() -> None:
    """A list of {value, key} means what a list of {key, value} means."""
    swapped = one_table("[{'value': '7', 'key': 'q'}, {'value': 'eu', 'key': 'region'}] AS properties")

    assert ([Decimal(7)], [{"region": "eu"}]) == (quantities(swapped), dimensions(swapped))


def test_names_that_differ_only_in_case_are_refused_where_sql_cannot_tell_them(tmp_path: Path) -> None:
    """`q` and `Q` are two properties in JSON and in a MAP; as columns or in a STRUCT they are refused, not renamed."""
    rows = pa.Table.from_pylist([{**one_row(), "q": "1", "Q": "5"}])
    text = "id,workspace_id,universe_id,type,subject,time,q,Q\ne1,w,u,t,c:1,2024-01-01T00:00:00Z,1,5\n"
    refused: dict[str, Any] = {
        "table": rows,
        "parquet": written(tmp_path, "e.parquet", rows),
        "csv": written(tmp_path, "e.csv", text),
        "struct": pa.Table.from_pylist([{**one_row(), "properties": {"q": "1", "Q": "5"}}]),
    }

    assert [{"Q": "5"}] == dimensions(written(tmp_path, "e.ndjson", one_object('{"q": "1", "Q": "5"}')))
    for source in refused.values():
        with pytest.raises((SchemaError, SourceError), match=r"Q.*expected names that differ"):
            dimensions(source)


TIMES = [
    ("TIMESTAMPTZ '2024-07-01 02:00:00.123456+02'", INSTANT, INSTANT),
    ("TIMESTAMP '2024-07-01 00:00:00.123456'", INSTANT, INSTANT - timedelta(hours=2)),
    ("TIMESTAMP_NS '2024-07-01 00:00:00.123456999'", INSTANT, INSTANT - timedelta(hours=2)),
    (
        "TIMESTAMP_MS '2024-07-01 00:00:00.123'",
        INSTANT.replace(microsecond=123_000),
        INSTANT.replace(microsecond=123_000) - timedelta(hours=2),
    ),
    ("DATE '2024-07-01'", INSTANT.replace(microsecond=0), INSTANT.replace(microsecond=0) - timedelta(hours=2)),
    ("'2024-07-01T00:00:00.123456Z'", INSTANT, INSTANT),
    ("'2024-07-01t05:45:00.123456999+05:45'", INSTANT, INSTANT),
    ("'2024-06-30 14:00:00.123456-10:00'", INSTANT, INSTANT),
    ("'2024-07-01 00:00:00.123456'", INSTANT, INSTANT - timedelta(hours=2)),
]


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize(("sql", "in_utc", "in_berlin"), TIMES)
def test_a_time_of_every_type_becomes_utc_microseconds(sql: str, in_utc: datetime, in_berlin: datetime) -> None:
    """Timestamps with and without a zone, of any unit, and RFC 3339 texts; a naive one is read in the zone that is
    said."""
    source = one_table(f"'1' AS q, {sql} AS at")
    found = []
    for zone in (None, "Europe/Berlin"):
        with meter(source, PLAIN, clock=CLOCK, map={"time": "at"}, assume_timezone=zone) as records:
            found.append([r["recorded_at"] for r in records.to_dicts()])

    assert [[in_utc], [in_berlin]] == found


def test_what_is_taken_for_granted_about_times_is_said_once() -> None:
    """Times without an offset and digits that were cut are counted in one sentence each."""
    texts = ["2024-07-01 00:00:00.1234567", "2024-07-01 00:00:00", "2024-07-01 00:00:00Z"]
    rows = [{**one_row(id=f"e{n}", time=text), "q": "1"} for n, text in enumerate(texts)]
    with meter(rows, PLAIN, clock=CLOCK) as records:
        told = (records.notices, records.accounting.times_naive, records.accounting.times_cut)
    with meter(rows, PLAIN, clock=CLOCK, assume_timezone="UTC") as records:
        told_less = records.notices

    assert (2, 1, 2, 1) == (len(told[0]), len(told_less), told[1], told[2])
    assert "2 times had no offset, taken as UTC. hint: --assume-timezone ZONE" == told[0][0]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("'2024-02-30T00:00:00Z'", ("2024-02-30T00:00:00Z", "time-invalid")),
        ("'2024-01-01'", ("2024-01-01", "time-invalid")),
        ("'1704067200'", ("1704067200", "time-invalid")),
        ("'2024-01-01T00:00:00+1:00'", ("2024-01-01T00:00:00+1:00", "time-invalid")),
        ("''", ("", "time-missing")),
        ("NULL::VARCHAR", (None, "time-missing")),
        ("NULL::TIMESTAMP", (None, "time-missing")),
        ("'infinity'::TIMESTAMPTZ", ("infinity", "time-invalid")),
    ],
)
def test_a_time_that_is_none_rejects_its_event(sql: str, fault: tuple[str | None, str]) -> None:
    """A missing, impossible or infinite time is a reject that shows what was there."""
    assert [fault] == reasons(one_table(f"'1' AS q, {sql} AS at"), map={"time": "at"})
