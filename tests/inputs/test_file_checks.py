"""Several Parquet files are compared by the whole path of each column, and what is not used stops nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from metering_duck import SchemaError, meter
from tests.worlds import CLOCK, columns

CONFIG = {"measurements": [{"sourceProperty": "q", "unit": "units", "aggregation": "sum"}]}
TEXTS, NUMBERS = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.float64())
PROPERTIES = pa.array([[("q", "1")]], TEXTS)


def metered(folder: Path, *parts: dict[str, Any], **options: Any) -> int:
    """How many events of Parquet files are metered, each file with one event of these columns."""
    paths = []
    for n, part in enumerate(parts):
        own = {"id": [f"e{n}"], "subject": "c", "time": "2024-01-02T00:00:00Z"}
        paths.append(str(folder / f"{n}.parquet"))
        parquet.write_table(columns(1, **own | part), paths[-1])
    with meter(paths, CONFIG, clock=CLOCK, **options) as result:
        return result.accounting.metered


@pytest.mark.parametrize(
    "part",
    [
        {"properties": PROPERTIES, "other": pa.array([[("x", 1.5)]], NUMBERS)},
        {"properties": pa.array([{"q": "1", "value": "a"}]), "meta": pa.array([{"value": 1.5, "time": True}])},
        {"properties": PROPERTIES, "one": pa.array([[1.5]]), "other": pa.array([["x"]])},
    ],
    ids=["MAPs", "STRUCTs", "lists"],
)
def test_members_of_one_name_in_two_columns_are_no_difference(part: dict[str, Any], tmp_path: Path) -> None:
    """Files of one schema are read, whatever the members of their columns are called."""
    assert metered(tmp_path, part, part) == 2


def test_a_column_that_is_not_used_stops_nothing(tmp_path: Path) -> None:
    """A type that differs from file to file is refused where the column is used, and only there."""
    parts = [{"q": "1", "note": pa.array([1.5])}, {"q": "1", "note": "x"}]
    assert metered(tmp_path, *parts, map={"properties": "q"}) == 2
    with pytest.raises(SchemaError, match="column note: found DOUBLE and VARCHAR; expected one type in all files"):
        metered(tmp_path, *parts)


@pytest.mark.parametrize("beside", [pa.array([{"Q": "x"}]), pa.array([[{"Q": "x"}]])], ids=["STRUCT", "list"])
def test_other_capitals_are_found_beside_a_member_that_has_them(beside: pa.Array, tmp_path: Path) -> None:
    """A member's name says nothing of a column's."""
    with pytest.raises(SchemaError, match="found 'Q' and 'q'; expected one spelling"):
        metered(tmp_path, {"q": "1", "meta": beside}, {"Q": "1"}, map={"properties": "q"})


@pytest.mark.parametrize("name", ["q", "properties", "id"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_duration_is_found_in_any_file(name: str, is_first: bool, tmp_path: Path) -> None:
    """A duration beside whole numbers is refused, though only the words of Arrow in its own file say what it is."""
    length, number = pa.array([timedelta(seconds=5)]), pa.array([1])
    if name == "properties":
        length, number = (pa.StructArray.from_arrays([one], ["q"]) for one in (length, number))
    parts = [{"q": "1", name: length}, {"q": "1", name: number}]
    if name == "properties":
        parts = [{name: part[name]} for part in parts]
    with pytest.raises(SchemaError, match=r"duration\[us\]; expected text or a number"):
        metered(tmp_path, *(parts if is_first else parts[::-1]))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[("q", [5])]], pa.map_(pa.string(), pa.list_(pa.int64()))),
        pa.array([[("q", {"a": 1})]], pa.map_(pa.string(), pa.struct([("a", pa.int64())]))),
        pa.array([[("q", [("a", "1")])]], pa.map_(pa.string(), TEXTS)),
    ],
    ids=["lists", "STRUCTs", "MAPs"],
)
def test_a_map_of_nested_values_is_refused(values: pa.Array, tmp_path: Path) -> None:
    """None of its values is a property's text."""
    with pytest.raises(SchemaError, match=r"column properties: found MAP.*; expected a MAP of scalars"):
        metered(tmp_path, {"properties": values})
