"""Frames of pandas and Polars: what they can hold that no event has, and the frames that results become."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy
import pandas
import polars
import pytest

from metering_duck import ConfigError, MeteringError, SchemaError, SourceError, aggregate, meter

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
    left_out = ", or --map properties=COLUMN,COLUMN names the columns to take" if column == "tokens" else ""
    assert said.endswith(f"hint: frame.astype({{'{column}': 'string'}}){left_out}"), said


def test_an_unused_column_without_a_type_stops_nothing() -> None:
    """A column of a frame that Arrow cannot have is left out, like that of a file."""
    for values in (mixed(object(), "2", 3), pandas.period_range("2024", periods=3)):
        with meter(frame(other=values), CONFIG, map={"properties": "tokens"}) as result:
            assert 3 == result.accounting.metered
        with pytest.raises(SchemaError, match=r"column other: found (object|period)"):
            meter(frame(other=values), CONFIG)


DAY, UTC = date(2024, 3, 2), UTC
NAIVE, AWARE = datetime(2024, 3, 2, 5), datetime(2024, 3, 2, 6, tzinfo=UTC)
OF_SEVERAL_TYPES = {
    "dates and datetimes": ((DAY, NAIVE, AWARE), ["2024-03-02", "2024-03-02T05:00:00", "2024-03-02T06:00:00+00:00"]),
    "times without offset first": ((NAIVE, AWARE, None), ["2024-03-02T05:00:00", "2024-03-02T06:00:00+00:00", None]),
    "times with offset first": ((AWARE, NAIVE, None), ["2024-03-02T06:00:00+00:00", "2024-03-02T05:00:00", None]),
    "hours with zones": ((time(1, tzinfo=UTC), time(1), None), ["01:00:00+00:00", "01:00:00", None]),
    "dates and numbers": ((DAY, 1, None), "column n: found values of date and int"),
    "numbers of two widths": ((0.5, numpy.float32(0.1), None), "column n: found values of float and float32"),
    "durations of nanoseconds": ((pandas.Timedelta(1, "ns"), None, None), "column n: found values of Timedelta"),
}


@pytest.mark.parametrize("case", OF_SEVERAL_TYPES)
def test_objects_of_several_types_are_text_or_refused(case: str) -> None:
    """Arrow would give all of them the type of the first value: days for datetimes, numbers for dates."""
    values, expected = OF_SEVERAL_TYPES[case]
    if isinstance(expected, str):
        with pytest.raises(SchemaError, match=expected):
            meter(frame(n=mixed(*values)), CONFIG)
        return
    for column in (mixed(*values), pandas.Categorical(values)):
        with aggregate(frame(n=column), CONFIG, start="2024-03-01", end="2024-04-01", group_by=["n"]) as result:
            found = {row["dimensions"]["n"]: int(row["quantity"]) for row in result.to_dicts()}
        assert dict(zip(expected, [4, 6, 5], strict=True)) == found


def test_times_of_several_types_are_each_read_with_its_own_offset() -> None:
    """A time with an offset is not read as a local one, and one without an offset is said to have none."""
    for times in (mixed(NAIVE, AWARE, AWARE), mixed(AWARE, NAIVE, AWARE)):
        with meter(frame(time=times), CONFIG, assume_timezone="America/New_York") as result:
            found = sorted(str(row["recorded_at"]) for row in result.to_dicts())
        assert ["2024-03-02 06:00:00+00:00"] * 2 + ["2024-03-02 10:00:00+00:00"] == found


def test_a_date_beside_times_is_no_time() -> None:
    """As in a dict, a date alone says no time: its event is rejected, and the datetimes keep theirs."""
    with meter(frame(time=mixed(DAY, AWARE, NAIVE)), CONFIG) as result:
        assert (2, 1) == (result.accounting.metered, result.accounting.rejected)
        assert ["time-invalid"] == result.rejects["reason"].to_pylist()


def test_members_of_several_types_are_refused() -> None:
    """Within objects, too, Arrow would cut a datetime beside a date to its day."""
    given = frame(properties=mixed(*({"tokens": 1, "at": at} for at in (DAY, NAIVE, None))))
    with pytest.raises(SchemaError, match=r"column properties.at: found values of date and datetime"):
        meter(given, CONFIG)


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
