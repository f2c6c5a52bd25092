"""Arrow files and streams whose schemas differ: one table that keeps every value, or a refusal that names the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metering_duck import SchemaError, aggregate, meter
from tests.inputs.forms import CLOCK, END, PLAIN, START, one_row, written

WIDE = Decimal("12345678901234567890.123456789012345678")


def table_with(number: int, **columns: pa.Array) -> pa.Table:
    """One event with these columns beside its fields."""
    fields = {name: pa.array([text]) for name, text in one_row(id=f"e{number}", time="2024-01-01T00:00:00Z").items()}
    return pa.table({**fields, **columns})


def files_with(folder: Path, *tables: pa.Table) -> list[str]:
    """Each table as an Arrow file."""
    return [str(written(folder, f"part-{number}.arrow", table)) for number, table in enumerate(tables)]


def metered(given: Any) -> list[dict[str, Any]]:
    """The quantity and the dimensions of each event, in the order of their ids."""
    with meter(given, PLAIN, clock=CLOCK) as records:
        rows = sorted(records.to_dicts(), key=lambda row: row["source_event_id"])
        return [{"q": f"{row['quantity']:f}".rstrip("0").rstrip("."), **dict(row["dimensions"])} for row in rows]


def struct(**members: Any) -> pa.Array:
    """Properties in one column."""
    return pa.array([members])


UNITED: dict[str, tuple[dict[str, pa.Array], dict[str, pa.Array], list[dict[str, str]]]] = {
    "text and longer text": (
        {"q": pa.array(["1"])},
        {"q": pa.array(["2"], pa.large_string())},
        [{"q": "1"}, {"q": "2"}],
    ),
    "text and a dictionary": (
        {"q": pa.array(["1"], pa.string_view())},
        {"q": pa.array(["2"]).dictionary_encode()},
        [{"q": "1"}, {"q": "2"}],
    ),
    "nothing but NULL": (
        {"q": pa.array([1]), "x": pa.nulls(1)},
        {"q": pa.array([2]), "x": pa.array(["y"])},
        [{"q": "1"}, {"q": "2", "x": "y"}],
    ),
    "whole numbers": (
        {"q": pa.array([1], pa.int8())},
        {"q": pa.array([2**64 - 1], pa.uint64())},
        [{"q": "1"}, {"q": str(2**64 - 1)}],
    ),
    "whole numbers and text": ({"q": pa.array([1])}, {"q": pa.array(["2.5"])}, [{"q": "1"}, {"q": "2.5"}]),
    "DECIMALs": (
        {"q": pa.array([1], pa.int32())},
        {"q": pa.array([WIDE], pa.decimal128(38, 18))},
        [{"q": "1"}, {"q": str(WIDE)}],
    ),
    "other order": (
        {"q": pa.array(["1"]), "x": pa.array(["y"])},
        {"x": pa.array(["z"]), "q": pa.array(["2"])},
        [{"q": "1", "x": "y"}, {"q": "2", "x": "z"}],
    ),
    "other members": (
        {"properties": struct(q="1", x="y")},
        {"properties": struct(z="z", q=2)},
        [{"q": "1", "x": "y"}, {"q": "2", "z": "z"}],
    ),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", UNITED)
def test_types_that_fit_are_united(kind: str, tmp_path: Path) -> None:
    """Files of other types, or of another order of columns, are one table where every value stays as it is."""
    first, second, expected = UNITED[kind]
    one, other = table_with(0, **first), table_with(1, **second)

    assert expected == metered(files_with(tmp_path, one, other))
    assert expected == metered(files_with(tmp_path, other, one))


REFUSED: dict[str, tuple[dict[str, pa.Array], dict[str, pa.Array], str]] = {
    "text and a STRUCT": (
        {"properties": pa.array(['{"q": "1"}'])},
        {"properties": struct(q="2")},
        "{one}, {first}: column properties: found struct<q: string> and string; expected one type in all files. "
        "hint: write the files anew with one schema, or read them apart",
    ),
    "a STRUCT and a MAP": (
        {"properties": struct(q="2")},
        {"properties": pa.array([[("q", "1")]], pa.map_(pa.string(), pa.string()))},
        "{one}, {first}: column properties: found map<string, string> and struct<q: string>; expected one type",
    ),
    "whole numbers and floats": (
        {"q": pa.array([2**53 + 1])},
        {"q": pa.array([0.5])},
        "{one}, {first}: column q: found double and int64; expected one type in all files.",
    ),
    "times of other units": (
        {"q": pa.array([1]), "at": pa.array([1], pa.timestamp("us"))},
        {"q": pa.array([1]), "at": pa.array([1], pa.timestamp("ns"))},
        "{one}, {first}: column at: found timestamp[ns] and timestamp[us]; expected one type in all files.",
    ),
    "a column that one lacks": (
        {"q": pa.array([1]), "x": pa.array(["y"])},
        {"q": pa.array([1])},
        "{one}: column x: found no such column among id, ",
    ),
    "a column that the first lacks": (
        {"q": pa.array([1])},
        {"q": pa.array([1]), "x": pa.array(["y"])},
        "{first}: column x: found no such column",
    ),
    "capitals": (
        {"q": pa.array([1])},
        {"Q": pa.array([1])},
        "{one}: column q: found no such column",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_types_that_do_not_fit_are_refused(kind: str, tmp_path: Path) -> None:
    """A file whose columns cannot be read together with those of the first is named, wherever it stands."""
    first, second, message = REFUSED[kind]
    one, other = table_with(0, **first), table_with(1, **second)
    paths = files_with(tmp_path, one, one, other)
    with pytest.raises(SchemaError) as refused:
        aggregate(paths, PLAIN, start=START, end=END, clock=CLOCK).to_dicts()

    assert str(refused.value).startswith(message.format(first=paths[0], one=paths[2]))


def reader(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatchReader:
    """A stream that says it has the schema of its first batch."""
    return pa.RecordBatchReader.from_batches(batches[0].schema, batches)


class Batched:
    """Something with batches and a schema, such as a dataset."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self.schema = batches[0].schema
        self.batches = batches

    def to_batches(self) -> Sequence[pa.RecordBatch]:
        """The batches."""
        return self.batches


@pytest.mark.parametrize("given", [reader, Batched])
@pytest.mark.parametrize("kind", ["text and a STRUCT", "whole numbers and text", "other order", "capitals", "DECIMALs"])
def test_a_batch_of_another_schema_is_refused(given: Callable[..., Any], kind: str) -> None:
    """A stream with a batch that is not as the stream says is refused by the name of the column."""
    first, second, _ = {**UNITED, **REFUSED}[kind]
    batches = [table_with(0, **first).to_batches()[0], table_with(1, **second).to_batches()[0]]
    with pytest.raises(SchemaError, match=r"column \w+: found .* in a batch; expected .* hint: give all batches one"):
        metered(given(batches))
