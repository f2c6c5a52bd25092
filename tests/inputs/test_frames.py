"""Frames of pandas and Polars: what they can hold that no event has, and the frames that results become."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas
import polars
import pytest

from metering_duck import ConfigError, MeteringError, SchemaError, SourceError, meter

CONFIG = {"measurements": [{"sourceProperty": "tokens", "unit": "tokens", "aggregation": "sum"}]}
TIMES = pandas.to_datetime(["2024-03-02T07:00:00Z", "2024-03-02T08:00:00Z", "2024-03-03T08:00:00Z"])
SAME = {"workspace_id": "acme", "universe_id": "production", "type": "llm", "subject": "customer:a", "time": TIMES}


def frame(**columns: Any) -> pandas.DataFrame:
    """Three events, with other columns."""
    return pandas.DataFrame({"id": ["1", "2", "3"], **SAME, "tokens": [4, 6, 5], **columns})


def mixed(*values: Any) -> pandas.Series:
    """A column of Python objects."""
    return pandas.Series(values, dtype=object)


WITHOUT_A_TYPE = {
    "numbers and text": ("tokens", mixed(4, "6", 5.5), "object values that cannot be read (Could not convert '6'"),
    "ids of several types": ("id", mixed(1, "2", 3.0), "object values that cannot be read (Could not convert '2'"),
    "Decimal and float": ("tokens", mixed(Decimal("4.1"), 0.1, 3), "object values that cannot be read (int or Decimal"),
    "Decimals that are no numbers": ("tokens", mixed(Decimal("Infinity"), 1, 2), "object values that cannot be read"),
    "numbers of 30 digits": ("tokens", mixed(10**30, 1, 2), "object values that cannot be read (Python int too large"),
    "lone surrogates": ("id", mixed("1", "\ud800", "3"), "object values that cannot be read ('utf-8' codec"),
    "complex numbers": ("tokens", [1j, 2j, 3j], "complex128 values that cannot be read"),
    "few values": ("tokens", pandas.arrays.SparseArray([1, 0, 3]), "Sparse[int64, 0] values that cannot be read"),
}


@pytest.mark.parametrize("case", WITHOUT_A_TYPE)
def test_a_column_without_a_type_is_named(case: str) -> None:
    """What Arrow cannot have is an error that names the column and the way out."""
    column, values, found = WITHOUT_A_TYPE[case]
    with pytest.raises(SchemaError) as error:
        meter(frame(**{column: values}), CONFIG)

    said = str(error.value)
    assert said.startswith(f"a pandas DataFrame: column {column}: found {found}"), said
    assert said.endswith(f"hint: frame.astype({{'{column}': 'string'}})"), said


def test_a_column_of_objects_becomes_json() -> None:
    """The way out of a column of dicts is not text, which would have them as Python spells them."""
    given = frame(properties=mixed({"q": 1}, {"q": "2"}, {"q": 3}))
    with pytest.raises(SchemaError) as error:
        meter(given, CONFIG)
    way = "frame['properties'] = frame['properties'].map(json.dumps)"
    assert str(error.value).endswith(f"hint: {way}"), error.value


def test_a_column_of_a_frame_is_no_frame() -> None:
    """A Series is told as what it is."""
    for one in (frame()["tokens"], polars.Series([1])):
        with pytest.raises(SourceError, match=r"^input: found a (pandas|polars) Series; expected paths, an Arrow"):
            meter(one, CONFIG)


def test_rows_stay_open_as_long_as_their_stream() -> None:
    """The rows of a result that has no name are read to their end; those of a result that was closed are not."""
    assert 3 == meter(frame(), CONFIG).to_reader().read_all().num_rows
    result = meter(frame(), CONFIG)
    reader = result.to_reader()
    result.close()
    with pytest.raises(ConfigError, match=r"^result: is closed"):
        reader.read_all()


@pytest.mark.parametrize("count", [-1, "x", 1.5, True, None, 1 << 64])
def test_a_number_of_rows_is_a_whole_number(count: Any) -> None:
    """Any other count of rows is refused."""
    result = meter(frame(), CONFIG)
    for ask in (result.head, result.first):
        with pytest.raises(ConfigError, match=r"^count: found .*; expected a whole number of rows, 0 or more\.$"):
            ask(count)


PLACES: dict[str, tuple[Any, str]] = {
    "nothing": (None, "path: found None; expected the path of a file, or a URL."),
    "bytes": (b"rows.csv", "path: found bytes; expected the path of a file, or a URL."),
    "a NUL": ("a\0b.csv", "path: found a NUL in 'a\\x00b.csv'; expected the name of a file."),
    "a long name": (
        "n" * 300 + ".csv",
        f"{'n' * 300}.csv: cannot be used (File name too long); expected a shorter name.",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_is_no_path_is_said(place: str) -> None:
    """What nothing can be written to is an error in words, of rows and of rejects."""
    path, expected = PLACES[place]
    result = meter(frame(), CONFIG)
    for write in (result.write, result.write_rejects):
        with pytest.raises(MeteringError) as error:
            write(path)
        assert expected == str(error.value)
