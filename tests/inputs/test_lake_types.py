"""Files of tables whose types are not those of the table: each number is read exactly, or the column is refused."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyarrow import parquet
from pyiceberg.catalog import load_catalog
from pyiceberg.types import DoubleType, LongType
from pyiceberg.utils.config import Config

from metering_duck import MeteringError, SchemaError, aggregate, compile_sql

SPAN: dict[str, Any] = {"start": "2024-02-01", "end": "2024-03-01"}
CONFIG = {"measurements": [{"sourceProperty": "n", "unit": "u", "aggregation": "sum"}]}
WIDE = pa.decimal128(38, 0)


def events_of(id: str, value: Any, kind: pa.DataType) -> pa.Table:
    """One event whose property has a type."""
    plain = {"id": [id], "workspace_id": ["acme"], "universe_id": ["p"], "type": ["call"], "subject": ["s"]}
    time = pa.array([datetime(2024, 2, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    return pa.table({**plain, "time": time, "n": pa.array([value], kind)})


def quantity(source: str, **options: Any) -> Decimal | str:
    """The one reading's quantity, or what is found in place of a column that can be read."""
    try:
        with aggregate(source, CONFIG, **SPAN, **options) as result:
            return result.to_dicts()[0]["quantity"].normalize()  # type: ignore[no-any-return]
    except SchemaError as error:
        return str(error.found) if error.column == "n" else str(error)


def delta_of(path: Path, first: tuple[Any, pa.DataType], second: tuple[Any, pa.DataType], *features: str) -> str:
    """A Delta table of two files, of which the second has another type than the table says."""
    for name in "ab":
        write_deltalake(path, events_of(name, first[0] if name == "a" else None, first[1]), mode="append")
    log = path / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            file = path / action["add"]["path"]
            parquet.write_table(events_of("b", *second), file)
            action["add"] |= {"size": file.stat().st_size, "stats": None}
    if features:
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features}
        actions.append({"protocol": {**protocol, "writerFeatures": features}})
    log.write_text("\n".join(map(json.dumps, actions)))
    return f"delta://{path}"


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("table", "file", "expected"),
    [
        ((1, pa.int64()), (2, pa.int8()), Decimal(3)),
        ((1.0, pa.float64()), (2, pa.int32()), Decimal(3)),
        ((Decimal(5), WIDE), (Decimal(1), pa.decimal128(9, 0)), Decimal(6)),
        ((1.0, pa.float64()), (0.1, pa.float32()), Decimal("1.1")),
        ((1.0, pa.float64()), (2**53 + 1, pa.int64()), "DOUBLE and BIGINT"),
        ((Decimal(5), WIDE), (Decimal("0.5"), pa.decimal128(38, 9)), "DECIMAL(38, 0) and DECIMAL(38, 9)"),
        ((1, pa.int64()), (True, pa.bool_()), "BIGINT and BOOLEAN"),
        (("1", pa.string()), (0.1, pa.float32()), "VARCHAR and FLOAT"),
    ],
    ids=str,
)
def test_a_file_of_another_type_is_exact_or_refused(
    table: tuple[Any, pa.DataType], file: tuple[Any, pa.DataType], expected: Decimal | str, tmp_path: Path
) -> None:
    """The same where deltalake reads the rows, which has no words for a FLOAT: it is refused there."""
    by_rows = "DOUBLE and FLOAT" if file[1] == pa.float32() and table[1] == pa.float64() else expected
    assert expected == quantity(delta_of(tmp_path / "plain", table, file))
    assert by_rows == quantity(delta_of(tmp_path / "by_rows", table, file, "deletionVectors"))


def test_a_file_of_another_type_stops_nothing_where_the_column_is_not_used(tmp_path: Path) -> None:
    """The events are counted, in a table of plain files and in one that deltalake reads."""
    for n, features in enumerate([(), ("deletionVectors",)]):
        lake = delta_of(tmp_path / str(n), (1.0, pa.float64()), (2**53 + 1, pa.int64()), *features)
        config = {"measurements": [{"sourceProperty": "type", "unit": "u", "aggregation": "unique-count"}]}
        with aggregate(lake, config, map={"properties": "type"}, **SPAN) as result:
            assert 2 == result.accounting["metered"]


@pytest.mark.slow
def test_a_column_of_iceberg_that_became_wider_keeps_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the promotion, after it, beside a new file, in the SQL of a script; refused where pyiceberg reads."""
    for name, value in {"TYPE": "sql", "URI": f"sqlite:///{tmp_path}/c.db", "WAREHOUSE": f"file://{tmp_path}"}.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__WIDER__{name}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    catalog = load_catalog("wider")
    catalog.create_namespace("u")
    first = events_of("a", 0.1, pa.float32()).append_column("k", pa.array([1], pa.int32()))
    table = catalog.create_table("u.events", first.schema)
    table.append(first)
    lake = "iceberg://wider/u.events"
    only_n = {"map": {"properties": "n"}}
    assert Decimal("0.1") == quantity(lake, **only_n)
    with table.update_schema() as update:
        update.update_column("n", DoubleType())
        update.update_column("k", LongType())
    assert Decimal("0.1") == quantity(lake, **only_n)
    table.append(events_of("b", 1.0, pa.float64()).append_column("k", pa.array([2**40], pa.int64())))
    assert Decimal("1.1") == quantity(lake, **only_n)
    assert "CAST(CAST(n AS VARCHAR) AS DOUBLE)" in compile_sql(CONFIG, lake, **SPAN, **only_n).replace('"', "")
    with table.update_schema() as update:
        update.rename_column("k", "other")
    assert "DOUBLE and FLOAT" == quantity(lake, **only_n)


def test_a_file_that_is_no_parquet_is_what_its_reader_says(tmp_path: Path) -> None:
    """What cannot be looked at is left to the reader of the rows."""
    lake = delta_of(tmp_path / "lake", (1, pa.int64()), (2, pa.int64()), "deletionVectors")
    for path in (tmp_path / "lake").glob("*.parquet"):
        path.write_bytes(b"no Parquet")
    with pytest.raises(MeteringError, match="delta://"):
        quantity(lake)
