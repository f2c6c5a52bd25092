"""No lossy type (R36): a column of any type is read exactly, or refused by name where it is used."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from pyarrow import parquet

from metering_duck import SchemaError, SourceError, aggregate, meter
from tests.inputs.forms import CLOCK, PLAIN, dimensions, one_row, quantities, reasons, written

WIDE = Decimal("12345678901234567890.1234567891")
LONG = 2**100


def decimals(kind: Any, *unscaled: int) -> pa.Array:
    """DECIMALs of these digits, whether or not their type declares so many."""
    raw = b"".join(value.to_bytes(kind.byte_width, "little", signed=True) for value in unscaled)
    return pa.Array.from_buffers(kind, len(unscaled), [None, pa.py_buffer(raw)])


def of_storage(kind: pa.DataType, storage: pa.Array) -> pa.Array:
    """An array of an extension type."""
    return pa.ExtensionArray.from_storage(kind, storage)


# One value of each type of Arrow: its text, or what its refusal names.
REFUSED = "refused: "
ARROW: dict[str, tuple[pa.Array, str | None]] = {
    "decimal32": (pa.array([Decimal("1.25")], pa.decimal32(5, 2)), "1.25"),
    "decimal64": (pa.array([Decimal("1.25")], pa.decimal64(15, 2)), "1.25"),
    "decimal128": (pa.array([Decimal("1.25")], pa.decimal128(38, 2)), "1.25"),
    "decimal128 of tens": (pa.array([Decimal(1200)], pa.decimal128(5, -2)), "1200"),
    "decimal128 of few digits with more": (decimals(pa.decimal128(4, 0), 123456), f"{REFUSED}decimal128(4, 0)"),
    "decimal128 of many digits with more": (
        decimals(pa.decimal128(36, 17), 93 * 10**36),
        "930000000000000000000.00000000000000000",
    ),
    "decimal256": (pa.array([WIDE], pa.decimal256(60, 10)), str(WIDE)),
    "decimal256 of few digits": (pa.array([Decimal("1.25")], pa.decimal256(20, 2)), "1.25"),
    "float16": (pa.array([1.5], pa.float16()), "1.5"),
    "float32": (pa.array([0.1], pa.float32()), "0.1"),
    "float64": (pa.array([0.1]), "0.1"),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), str(2**64 - 1)),
    "dictionary of decimals": (pa.array([Decimal("1.25")]).dictionary_encode(), "1.25"),
    "dictionary of wide decimals": (pa.array([WIDE], pa.decimal256(60, 10)).dictionary_encode(), str(WIDE)),
    "large_string": (pa.array(["x"], pa.large_string()), "x"),
    "string_view": (pa.array(["x"], pa.string_view()), "x"),
    "binary": (pa.array([b"x"]), f"{REFUSED}BLOB"),
    "binary_view": (pa.array([b"x"], pa.binary_view()), f"{REFUSED}BLOB"),
    "fixed_size_binary": (pa.array([b"x"], pa.binary(1)), f"{REFUSED}BLOB"),
    "run_end_encoded": (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["x"])), "x"),
    "run_end_encoded of wide decimals": (
        pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([WIDE], pa.decimal256(60, 10))),
        str(WIDE),
    ),
    "uuid": (of_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))), "30303030-3030-3030-3030-303030303030"),
    "json": (of_storage(pa.json_(), pa.array(["[1.10]"])), "[1.10]"),
    "bool8": (of_storage(pa.bool8(), pa.array([1], pa.int8())), "true"),
    "opaque": (of_storage(pa.opaque(pa.int64(), "x", "y"), pa.array([1])), "1"),
    "tensor": (
        of_storage(pa.fixed_shape_tensor(pa.int32(), [1]), pa.array([[1]], pa.list_(pa.int32(), 1))),
        f"{REFUSED}INTEGER[1]",
    ),
    "sparse union": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), f"{REFUSED}UNION"),
    "dense union": (
        pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
        f"{REFUSED}dense_union",
    ),
    "duration of seconds": (pa.array([5], pa.duration("s")), "00:00:05"),
    "duration of nanoseconds": (pa.array([5000], pa.duration("ns")), "00:00:00.000005"),
    "duration of single nanoseconds": (pa.array([5], pa.duration("ns")), f"{REFUSED}duration[ns]"),
    "interval": (pa.array([pa.MonthDayNano([1, 2, 3000])]), "1 month 2 days 00:00:00.000003"),
    "interval of single nanoseconds": (pa.array([pa.MonthDayNano([1, 2, 3])]), f"{REFUSED}month_day_nano_interval"),
    "time32": (pa.array([3661], pa.time32("s")), "01:01:01"),
    "time64": (pa.array([1500], pa.time64("ns")), "00:00:00.0000015"),
    "time64 beyond a day": (pa.array([10**12]).view(pa.time64("us")), f"{REFUSED}time64"),
    "date32": (pa.array([datetime.date(2024, 2, 29)]), "2024-02-29"),
    "date64": (pa.array([datetime.date(2024, 2, 29)], pa.date64()), "2024-02-29"),
    "date64 within a day": (pa.array([5]).view(pa.date64()), f"{REFUSED}date64"),
    "null": (pa.nulls(1), None),
    "timestamp of seconds": (pa.array([0], pa.timestamp("s")), "1970-01-01 00:00:00"),
    "timestamp of seconds in a zone": (pa.array([0], pa.timestamp("s", "Europe/Berlin")), "1970-01-01 00:00:00+00"),
    "timestamp of milliseconds": (pa.array([1], pa.timestamp("ms", "UTC")), "1970-01-01 00:00:00.001+00"),
    "timestamp of nanoseconds": (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
    "timestamp of nanoseconds in a zone": (
        pa.array([1], pa.timestamp("ns", "UTC")),
        "1970-01-01 00:00:00.000000001+00",
    ),
    "timestamp of far seconds": (pa.array([10**15], pa.timestamp("s")), f"{REFUSED}timestamp[s]"),
    "timestamp of far milliseconds": (pa.array([10**18], pa.timestamp("ms", "UTC")), f"{REFUSED}timestamp[ms"),
    "list": (pa.array([[1]]), f"{REFUSED}BIGINT[]"),
    "list_view": (pa.array([[1]], pa.list_view(pa.int64())), f"{REFUSED}BIGINT[]"),
    "map of wide decimals": (
        pa.array([[("a", WIDE)]], pa.map_(pa.string(), pa.decimal256(60, 10))),
        f"{REFUSED}MAP(VARCHAR, VARCHAR)",
    ),
    "struct": (pa.array([{"a": 1}]), f"{REFUSED}STRUCT"),
}


def plain(values: pa.Array) -> pa.Table:
    """One event with the values as a column."""
    return pa.Table.from_pylist([{**one_row(), "q": "1"}]).append_column("x", values)


def in_struct(values: pa.Array) -> pa.Table:
    """One event with the values in its STRUCT of properties."""
    members = pa.StructArray.from_arrays([pa.array(["1"]), values], ["q", "x"])
    return pa.Table.from_pylist([one_row()]).append_column("properties", members)


def unused(values: pa.Array) -> pa.Table:
    """One event with the values in a column beside its properties."""
    return pa.Table.from_pylist([{**one_row(), "properties": {"q": "1"}}]).append_column("x", values)


def text_of(source: Any, **options: Any) -> str | None:
    """The text that becomes of the property x, or what its refusal found."""
    try:
        return dimensions(source, **options)[0].get("x")
    except SchemaError as error:
        is_named = error.column in ("x", "properties.x", "properties") and error.hint
        return f"{REFUSED}{error.found}" if is_named else str(error)


@pytest.mark.slow
@pytest.mark.sampled(10)
@pytest.mark.parametrize("kind", ARROW)
def test_every_type_of_arrow_is_read_exactly_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    """In a column, in a stream and in a STRUCT the same text, or a refusal that names the column and its type."""
    values, expected = ARROW[kind]
    stream, file = plain(values).to_reader(), None
    if not pa.types.is_run_end_encoded(values.type):
        file = written(tmp_path, "e.arrow", plain(values))
    found = [text_of(source) for source in (plain(values), stream, in_struct(values), file) if source is not None]

    assert [expected] * len(found) == [shortened(text, expected) for text in found]


def shortened(text: str | None, expected: str | None) -> str | None:
    """A refusal as far as it is expected; whatever lies in a STRUCT may be refused with all of it."""
    if text is None or expected is None or not text.startswith(REFUSED):
        return text
    within = text.startswith((f"{REFUSED}STRUCT", f"{REFUSED}run_end_encoded"))
    return expected if within or text.startswith(expected) else text


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ARROW)
def test_a_column_that_is_not_used_stops_nothing(kind: str) -> None:
    """A column of any type, with any value, may lie beside the properties, in a table and in a stream."""
    values, _ = ARROW[kind]

    assert ([{}], [{}]) == (dimensions(unused(values)), dimensions(unused(values).to_reader()))
    assert [{}] == dimensions(plain(values), map={"properties": "q"})


POLARS: dict[str, Callable[[], Any]] = {
    name: lambda name=name: polars.Series("x", [LONG], dtype=getattr(polars, name)) for name in ("Int128", "UInt128")
}


@pytest.mark.parametrize("kind", POLARS)
def test_polars_whole_numbers_of_128_bits_keep_every_digit(kind: str) -> None:
    """Arrow has no such type: they come through as text, in a frame and in a lazy one."""
    frame = polars.DataFrame([{**one_row(), "q": "1"}]).with_columns(POLARS[kind]())
    nested = polars.DataFrame([one_row()]).with_columns(
        polars.struct(polars.lit("1").alias("q"), POLARS[kind]()).alias("properties")
    )

    assert [[{"x": str(LONG)}]] * 3 == [dimensions(frame), dimensions(frame.lazy()), dimensions(nested)]


def test_python_objects_in_polars_are_refused_where_they_are_used() -> None:
    """The address of an object is no property; a frame that has one beside what is used is read."""
    frame = polars.DataFrame([{**one_row(), "q": "1"}]).with_columns(
        polars.Series("x", [object()], dtype=polars.Object)
    )

    assert [{}] == dimensions(frame, map={"properties": "q"})
    with pytest.raises(SchemaError, match="column x: found Object"):
        dimensions(frame)


def test_pandas_decimals_of_any_length_are_exact() -> None:
    """A Decimal of 43 digits in a data frame keeps them."""
    assert [{"x": "123456789012345678901234567890.1234567891"}] == dimensions(
        pandas.DataFrame([{**one_row(), "q": "1", "x": Decimal("123456789012345678901234567890.1234567891")}])
    )


OF_DUCKDB = {
    f"{2**128 - 1}::UHUGEINT": str(2**128 - 1),
    f"{2**127 - 1}::HUGEINT": str(2**127 - 1),
    f"'{10**50}'::BIGNUM": str(10**50),
    "'10101'::BIT": "10101",
    "'10:00:00+02'::TIMETZ": "10:00:00+02",
    "INTERVAL 1 DAY": "1 day",
    "TIMESTAMP_S '290000-01-01 00:00:00'": "290000-01-01 00:00:00",
    "'POINT(1 2)'::GEOMETRY": f"{REFUSED}GEOMETRY",
    "union_value(k := 1)": f"{REFUSED}UNION(k INTEGER)",
    "'ab'::BLOB": f"{REFUSED}BLOB",
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("sql", OF_DUCKDB)
def test_types_of_duckdb_are_exact_as_a_relation_and_in_a_file(sql: str, tmp_path: Path) -> None:
    """What Arrow would change on the way from the caller's connection is text before it is Arrow."""
    row = ", ".join(f"'{value}' AS {name}" for name, value in {**one_row(), "q": "1"}.items())
    with duckdb.connect(str(tmp_path / "e.duckdb")) as connection:
        connection.execute(f"CREATE TABLE e AS SELECT {row}, {sql} AS x")
        connection.execute("CHECKPOINT")
        as_relation = text_of(connection.sql("FROM e"), assume_timezone="UTC")

    assert [OF_DUCKDB[sql]] * 2 == [as_relation, text_of(f"duckdb://{tmp_path}/e.duckdb?table=e")]


# --- Parquet ---------------------------------------------------------------------------------------------------------


def events_of(**changed: Any) -> pa.Table:
    """Two events in plain columns, with other columns."""
    rows = pa.Table.from_pylist([{**one_row(id=f"e{n}"), "q": "1"} for n in range(2)])
    for name, values in changed.items():
        if name in rows.column_names:
            rows = rows.set_column(rows.column_names.index(name), name, values)
        else:
            rows = rows.append_column(name, values)
    return rows


def parquet_of(path: Path, rows: pa.Table, **options: Any) -> str:
    """A Parquet file of the rows."""
    parquet.write_table(rows, path, **options)
    return str(path)


WIDE_DECIMALS = pa.array([WIDE, Decimal("0.0000000001")], pa.decimal256(60, 10))


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"q": WIDE_DECIMALS}, "q"),
        ({"id": pa.array([Decimal(10**39 + 1), Decimal(10**39 + 2)], pa.decimal256(40, 0))}, "id"),
        ({"subject": WIDE_DECIMALS}, "subject"),
        ({"x": WIDE_DECIMALS}, "x"),
        ({"properties": pa.StructArray.from_arrays([WIDE_DECIMALS], ["q"])}, "properties.q"),
        (
            {"properties": pa.array([[("q", WIDE)], []], pa.map_(pa.string(), pa.decimal256(60, 10)))},
            "properties.value",
        ),
    ],
    ids=["quantity", "id", "subject", "column", "STRUCT", "MAP"],
)
def test_a_parquet_decimal_beyond_38_digits_is_refused_where_it_is_used(
    changed: dict[str, Any], place: str, tmp_path: Path
) -> None:
    """DuckDB reads it as DOUBLE: the message names the file, the column, the type and the way out."""
    rows = events_of(**changed)
    rows = rows.drop_columns(["q"]) if "properties" in changed else rows
    path = parquet_of(tmp_path / "wide.parquet", rows)
    for source in (path, [path, parquet_of(tmp_path / "again.parquet", rows)]):
        with pytest.raises(SchemaError) as caught:
            quantities(source)
        assert (True, place, True) == (
            "wide.parquet" in caught.value.where or "again.parquet" in caught.value.where,
            caught.value.column,
            caught.value.found.startswith("DECIMAL("),
        )
        assert "text" in caught.value.hint


def test_a_wide_decimal_beside_the_properties_stops_nothing(tmp_path: Path) -> None:
    """A column that no property is taken from may be of any type."""
    path = parquet_of(tmp_path / "a.parquet", events_of(x=WIDE_DECIMALS))

    assert [Decimal(1)] * 2 == quantities(path, map={"properties": "q"})


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"write_statistics": False}], ids=str)
def test_a_decimal_with_more_digits_than_it_declares_is_a_reject(options: dict[str, Any], tmp_path: Path) -> None:
    """Its row is rejected as too large, and the rest is right, in a column and in a STRUCT; its text is exact."""
    beyond = decimals(pa.decimal128(36, 17), 93 * 10**36, 5 * 10**17)
    bag = pa.StructArray.from_arrays([beyond], ["q"])
    plain_file = parquet_of(tmp_path / "a.parquet", events_of(q=beyond), **options)
    in_bag = parquet_of(tmp_path / "b.parquet", events_of(properties=bag).drop_columns(["q"]), **options)
    for source in (plain_file, in_bag, events_of(q=beyond), events_of(properties=bag).drop_columns(["q"])):
        fault = ("930000000000000000000.00000000000000000", "quantity-too-large")
        assert ([Decimal(5)], [fault]) == (quantities(source), reasons(source))

    grouped = parquet_of(tmp_path / "c.parquet", events_of(x=beyond), **options)
    assert {"930000000000000000000.00000000000000000", "5.00000000000000000"} == {
        found["x"] for found in dimensions(grouped)
    }


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}], ids=str)
def test_a_decimal_that_duckdb_would_cut_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    """Four digits are kept in two bytes by DuckDB and in four by the file: 70000 would become 4464."""
    beyond = decimals(pa.decimal128(4, 0), 70_000, 5)
    path = parquet_of(tmp_path / "a.parquet", events_of(q=beyond), store_decimal_as_integer=True, **options)
    within = parquet_of(
        tmp_path / "b.parquet",
        events_of(q=decimals(pa.decimal128(4, 0), 9_999, 5)),
        store_decimal_as_integer=True,
        **options,
    )

    assert [Decimal(9_999), Decimal(5)] == quantities(within)
    for source in (path, [within, path]):
        with pytest.raises(SchemaError, match=r"a\.parquet: column q: found DECIMAL\(4, 0\) with a value of 5 digits"):
            quantities(source)


def test_files_of_several_decimals_are_brought_together_only_if_their_values_fit(tmp_path: Path) -> None:
    """DuckDB casts one DECIMAL to another without a look at the value, which would wrap."""
    narrow = parquet_of(tmp_path / "a.parquet", events_of(q=decimals(pa.decimal128(36, 17), 93 * 10**36, 5)))
    wide = parquet_of(tmp_path / "b.parquet", events_of(q=decimals(pa.decimal128(38, 18), 10**18, 2 * 10**18)))

    with pytest.raises(SchemaError, match=r"a\.parquet: column q: found DECIMAL\(36, 17\) with a value of 38 digits"):
        quantities([narrow, wide])


def sized(digits: int, scale: int, text: str) -> pa.Array:
    """One value as a DECIMAL of these digits."""
    return pa.array([Decimal(text)], pa.decimal128(digits, scale))


def one_of(name: str, values: pa.Array) -> pa.Table:
    """One event whose quantity is the value."""
    return pa.Table.from_pylist([one_row(id=name)]).append_column("q", values)


def in_map(values: pa.Array) -> pa.Array:
    """One MAP of properties, whose q is the value."""
    return pa.array([[("q", values[0].as_py())]], pa.map_(pa.string(), values.type))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (sized(38, 0, "5"), sized(38, 9, "0.5"), "DECIMAL(38, 0) and DECIMAL(38, 9)"),
        (sized(38, 9, "5"), sized(38, 10, "0.5"), "DECIMAL(38, 9) and DECIMAL(38, 10)"),
        (sized(38, 9, "5"), sized(18, 18, "0.5"), "DECIMAL(38, 9) and DECIMAL(18, 18)"),
        (pa.array([2**62]), sized(38, 30, "0.5"), "int64 and DECIMAL(38, 30)"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
@pytest.mark.parametrize("place", ["q", "id", "properties.q", "properties.value"])
def test_numbers_of_several_parquet_files_are_never_rounded_to_the_scale_of_one(
    one: pa.Array, other: pa.Array, found: str, place: str, tmp_path: Path
) -> None:
    """DuckDB would read them as the DECIMAL of one of the files: they are refused where they are used."""
    paths = []
    for name, values in (("a", one), ("b", other)):
        bag = in_map(values) if place == "properties.value" else pa.StructArray.from_arrays([values], ["q"])
        column = place.partition(".")[0]
        rows = pa.Table.from_pylist([{"q": "1", **one_row(id=name)}]).drop_columns(["id" if place == "id" else "q"])
        paths.append(
            parquet_of(tmp_path / f"{name}.parquet", rows.append_column(column, bag if "." in place else values))
        )

    with pytest.raises(SchemaError) as caught:
        quantities(paths)
    assert (", ".join(paths), place, found) == (caught.value.where, caught.value.column, caught.value.found)


def test_numbers_of_several_parquet_files_that_fit_one_decimal_are_exact(tmp_path: Path) -> None:
    """Up to 38 digits before and behind the point together, and of any size where one file has text."""
    events = {
        "a": sized(28, 8, "12345678901234567890.12345678"),
        "b": sized(18, 18, "0.123456789012345678"),
        "c": pa.array([7]),
    }
    paths = [parquet_of(tmp_path / f"{name}.parquet", one_of(name, values)) for name, values in events.items()]
    text = parquet_of(tmp_path / "d.parquet", one_of("d", pa.array(["0.000000000000000001"])))
    whole = parquet_of(tmp_path / "e.parquet", one_of("e", sized(38, 0, "5")))
    wanted = {Decimal("12345678901234567890.12345678"), Decimal("0.123456789012345678"), Decimal(7)}

    assert wanted == set(quantities(paths))
    assert {*wanted, Decimal("1e-18"), Decimal(5)} == set(quantities([*paths, whole, text]))


def test_a_wide_decimal_beside_text_in_another_file_is_named_as_it_is(tmp_path: Path) -> None:
    """DuckDB takes it for a DOUBLE, which no file has."""
    paths = [
        parquet_of(tmp_path / "a.parquet", one_of("a", WIDE_DECIMALS[:1])),
        parquet_of(tmp_path / "b.parquet", one_of("b", pa.array(["1"]))),
    ]

    with pytest.raises(SchemaError, match=r"a\.parquet: column q: found DECIMAL\(60, 10\)"):
        quantities(paths)


def test_a_far_time_in_milliseconds_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """A time beyond the years of a TIMESTAMP is said, in a table of DuckDB as in Arrow."""
    far = events_of(time=pa.array([10**18, 0], pa.timestamp("ms")), x=pa.array([10**18, 0], pa.timestamp("ms")))
    with duckdb.connect(str(tmp_path / "e.duckdb")) as connection:
        connection.register("far", far)
        connection.execute("CREATE TABLE e AS FROM far")

    source = f"duckdb://{tmp_path}/e.duckdb?table=e"

    assert [("beyond the years of a TIMESTAMP", "time-invalid")] == reasons(source)
    assert [{"x": "1970-01-01 00:00:00"}] == dimensions(source)


# --- VARIANT ---------------------------------------------------------------------------------------------------------

MEMBERS = (
    "{'q': 12345678901234567890.123456789012345678::DECIMAL(38, 18), 'd': 0.1::DOUBLE, 's': 'x', 'b': true, 'n': NULL, "
    "'big': 12345678901234567890123456789012345678::DECIMAL(38, 0), 'l': [1.10::DECIMAL(3, 2)], 'o': {'a': 1}}"
)
MEMBER_TEXTS = {
    "b": "true",
    "big": "12345678901234567890123456789012345678",
    "d": "0.1",
    "l": "[1.10]",
    "o": '{"a":1}',
    "s": "x",
}


def variants(connection: duckdb.DuckDBPyConnection, **columns: str) -> duckdb.DuckDBPyRelation:
    """One event of DuckDB with VARIANTs in its columns."""
    row = [f"'{value}' AS {name}" for name, value in one_row(time="2024-01-01T00:00:00Z").items()]
    made = [f"{sql}::VARIANT AS {name}" for name, sql in columns.items()]
    return connection.sql(f"SELECT {', '.join([*row, *made])}")


@pytest.mark.slow
def test_a_variant_of_properties_is_read_member_by_member(tmp_path: Path) -> None:
    """Each member by its own type, from Parquet, a DuckDB file and a relation: no digit is lost, NULL is absent."""
    with duckdb.connect(str(tmp_path / "e.duckdb")) as connection:
        events = variants(connection, properties=MEMBERS)
        events.to_table("e")
        events.to_parquet(str(tmp_path / "e.parquet"))
        found = [(quantities(events), dimensions(events))]
    for source in (str(tmp_path / "e.parquet"), f"duckdb://{tmp_path}/e.duckdb?table=e"):
        found.append((quantities(source), dimensions(source)))

    assert [([Decimal("12345678901234567890.123456789012345678")], [MEMBER_TEXTS])] * 3 == found


@pytest.mark.parametrize("number", [2**64 - 1, 10**20 - 1])
def test_a_variant_of_a_relation_has_whole_numbers_of_any_size(number: int) -> None:
    """Arrow's VARIANT ends at 64 bits: it becomes text before it becomes Arrow."""
    kind = "UBIGINT" if number < 2**64 else "HUGEINT"
    for columns in ({"q": f"{number}::{kind}"}, {"properties": f"{{'q': {number}::{kind}}}"}):
        assert [Decimal(number)] == quantities(variants(duckdb.connect(), **columns))


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_whole_numbers_of_128_bits_in_a_file_are_refused_by_their_column(form: str, tmp_path: Path) -> None:
    """Arrow reads no column of such a file, and names none: the schema is read as Polars wrote it."""
    path = tmp_path / f"e.{form.removesuffix('s')}"
    frame = polars.DataFrame([{**one_row(), "q": "1"}]).with_columns(
        x=polars.lit(2**100, polars.Int128), y=polars.struct(z=polars.lit([1], polars.List(polars.Int128)))
    )
    write = {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "arrows": frame.write_ipc_stream}[form]
    write(path)
    said = r"column x, y: found whole numbers of 128 bits, .* hint: write it anew from .*polars\.col\('x'\)\.cast"
    with pytest.raises(SourceError, match=rf"{path.name}: {said}"):
        quantities(str(path), map={"properties": "q"})
    as_text = frame.with_columns(x=polars.col("x").cast(polars.String)).drop("y")
    as_text.write_parquet(path.with_suffix(".parquet"))
    assert [{"x": str(2**100)}] == dimensions(str(path.with_suffix(".parquet")))


def test_what_parquet_keeps_as_a_number_is_no_number(tmp_path: Path) -> None:
    """Booleans of 8 bits, which are text as an Arrow table, and periods of pandas are refused where they are used."""
    bits = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8()))
    period = pa.array([19_000], pa.int64())
    rows = one_of("e", period)
    is_period = rows.schema.field("q").with_metadata({"ARROW:extension:name": "pandas.period"})
    periods = rows.set_column(rows.column_names.index("q"), is_period, period)
    path = parquet_of(tmp_path / "e.parquet", one_of("e", bits))
    for source, found in ((path, "arrow.bool8"), (parquet_of(tmp_path / "p.parquet", periods), "pandas.period")):
        for paths in (source, [source, path]):
            with pytest.raises(SchemaError, match=f"column q: found {found}; expected"):
                quantities(paths)
    with pytest.raises(SchemaError, match=r"column q: found pandas\.period; expected"):
        quantities(periods)
    unused = one_of("f", pa.array(["1"])).append_column("x", bits)
    assert [Decimal(1)] == quantities(parquet_of(tmp_path / "f.parquet", unused), map={"properties": "q"})


def test_a_duration_in_parquet_is_refused_where_it_is_used(tmp_path: Path) -> None:
    """Parquet has a whole number, and only the schema of Arrow beside it says of what unit."""
    path = parquet_of(tmp_path / "e.parquet", one_of("e", pa.array([5], pa.duration("us"))))
    beside = parquet_of(
        tmp_path / "f.parquet", one_of("f", pa.array(["1"])).append_column("x", pa.array([5], pa.duration("s")))
    )

    for source in (path, [path, parquet_of(tmp_path / "g.parquet", one_of("g", pa.array([5], pa.duration("us"))))]):
        with pytest.raises(SchemaError, match=r"e\.parquet: column q: found duration\[us\]; expected text or a number"):
            quantities(source)
    assert [Decimal(1)] == quantities(beside, map={"properties": "q"})


def test_variants_of_several_shapes_lie_in_one_input(tmp_path: Path) -> None:
    """Files keep different members apart from each other; a VARIANT that is no object is a reject."""
    paths = [str(tmp_path / f"{n}.parquet") for n in range(3)]
    for n, sql in enumerate(("{'q': 1.5::DECIMAL(2, 1), 'x': 1}", "{'q': 'text', 'X': 'x', 'y': [1]}", "5")):
        variants(duckdb.connect(), properties=sql).project(f"* REPLACE ('e{n}' AS id)").to_parquet(paths[n])

    assert ([Decimal("1.5")], [("text", "quantity-syntax"), ("5", "properties-invalid")]) == (
        quantities(paths),
        reasons(paths),
    )


def test_a_variant_may_be_a_property_or_a_wrapped_event(tmp_path: Path) -> None:
    """A column of its own is its value's text; a whole event in a VARIANT is read with --from cloudevents."""
    plain_ones = variants(duckdb.connect(), q="5.50::DECIMAL(3, 2)", x="0.1::FLOAT", y="[1]")
    event = "{'id': 'a', 'workspaceID': 'w', 'universeID': 'u', 'type': 't', 'subject': 's', 'time': "
    event += "'2024-01-01T00:00:00Z', 'properties': {'q': 1.50::DECIMAL(3, 2)}}"
    path = str(tmp_path / "e.parquet")
    duckdb.connect().sql(f"SELECT {event}::VARIANT AS data").to_parquet(path)

    assert ([Decimal("5.5")], [{"x": "0.1", "y": "[1]"}]) == (quantities(plain_ones), dimensions(plain_ones))
    assert [Decimal("1.5")] == quantities(path, from_="cloudevents")


# --- bytes -----------------------------------------------------------------------------------------------------------


def in_bytes(**changed: Any) -> pa.Table:
    """Two events whose texts are bytes, as Impala writes them."""
    row = one_row(time="2024-01-01T00:00:00Z", subject="é")
    columns = {name: pa.array([str(value).encode()] * 2) for name, value in row.items()}
    return pa.table({**columns, "id": pa.array([b"e0", b"e1"]), **changed})


BAGS = {
    "plain": {"q": pa.array([b"1", b"2"]), "x": pa.array([b"y", b"\xff"])},
    "JSON": {"properties": pa.array([b'{"q": 1.0, "x": "y"}', b'{"q": \xff}'])},
    "STRUCT": {"properties": pa.array([{"q": b"1", "x": b"y"}, {"q": b"\xff", "x": b""}])},
    "MAP": {
        "properties": pa.array([[(b"q", b"1"), (b"x", b"y")], [(b"\xff", b"1")]], pa.map_(pa.binary(), pa.binary()))
    },
    "MAP of texts": {
        "properties": pa.array([[("q", b"1"), ("x", b"y")], [("q", b"\xff")]], pa.map_(pa.string(), pa.binary()))
    },
    "entries": {
        "properties": pa.array(
            [[{"key": b"q", "value": b"1"}, {"key": b"x", "value": b"y"}], [{"key": b"q", "value": b"\xff"}]]
        )
    },
}


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", BAGS)
def test_bytes_are_text_on_request(kind: str, tmp_path: Path) -> None:
    """Fields and properties in bytes are read as UTF-8; bytes that are none reject their row, by the column's name."""
    rows = in_bytes(**BAGS[kind])
    for source in (rows, parquet_of(tmp_path / "e.parquet", rows)):
        with meter(source, PLAIN, clock=CLOCK, binary_as_text=True) as result:
            (record,) = result.to_dicts()
            (reject,) = result.rejects.to_pylist()

        assert ("é", Decimal(1), {"x": "y"}) == (record["subject"], record["quantity"], record["dimensions"])
        assert ("text-invalid", True) == (reject["reason"], reject["text"].startswith(("x: ", "properties: ")))
        with pytest.raises(SchemaError, match="--binary-as-text"):
            quantities(source)


def test_a_key_in_bytes_that_is_no_text_has_no_key() -> None:
    """Two ids that are no UTF-8 are two rejects, and no duplicates of each other."""
    rows = in_bytes(id=pa.array([b"\xff", b"\xff"]), q=pa.array([b"1", b"2"]))
    window = {"start": "2024-01-01", "end": "2024-02-01"}
    with aggregate(rows, PLAIN, clock=CLOCK, binary_as_text=True, **window) as result:
        assert (2, {"text-invalid": 2}) == (result.accounting.rejected, result.accounting.reasons)


def test_a_delta_table_is_looked_at_as_its_files_are(tmp_path: Path) -> None:
    """A value that DuckDB would cut is refused by the file of the table, one beyond its digits is a reject."""
    deltalake = pytest.importorskip("deltalake")
    for name, kind, beyond in (("cut", pa.decimal128(4, 0), 123_456), ("far", pa.decimal128(36, 17), 93 * 10**36)):
        deltalake.write_deltalake(tmp_path / name, events_of(q=decimals(kind, beyond, 5 * 10**kind.scale)))

    assert [Decimal(5)] == quantities(f"delta://{tmp_path}/far")
    with pytest.raises(SchemaError, match=r"parquet: column q: found DECIMAL\(4, 0\) with a value of 6 digits"):
        quantities(f"delta://{tmp_path}/cut")
