"""Iceberg tables of version 3: columns of types that pyiceberg does not know are read by DuckDB, or stop nothing."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg import catalog
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import BinaryType, IcebergType, NestedField, StringType, TimestamptzType
from pyiceberg.utils.config import Config

from metering_duck import SchemaError, aggregate
from metering_duck.ledger.ledger import Ledger
from tests.inputs.forms import dimensions, quantities

TEXTS = ("id", "workspace_id", "universe_id", "type", "subject")
MEMBERS = "{'q': 12345678901234567890.123456789012345678::DECIMAL(38, 18), 's': 'x', 'l': [1.10::DECIMAL(3, 2)]}"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A catalog that pyiceberg's own configuration knows."""
    options = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}"}
    for name, value in options.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    opened = load_catalog("lake")
    opened.create_namespace("usage")
    return opened


def version_3(lake: Catalog, **columns: tuple[str, Any]) -> str:
    """A table of version 3 of one event, with further columns of these SQL values and types.

    pyiceberg writes it with columns of BINARY; DuckDB writes its file anew, and its metadata say the types.
    """
    fields = [NestedField(n, name, StringType()) for n, name in enumerate(TEXTS, start=1)]
    fields.append(NestedField(6, "time", TimestamptzType()))
    fields += [NestedField(n, name, BinaryType()) for n, name in enumerate(columns, start=7)]
    table = lake.create_table("usage.events", Schema(*fields))
    row = {name: ["1"] for name in TEXTS}
    table.append(duckdb_rows(row, dict.fromkeys(columns, "NULL::BLOB")).to_arrow_table())
    ((file,),) = (tuple(task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()),)
    rows = duckdb_rows(row, {name: sql for name, (sql, _) in columns.items() if sql})
    ids = ", ".join(f"{name}: {n}" for n, name in enumerate(rows.columns, start=1) if name != "properties")
    rows.to_view("rows")
    rows.query("rows", f"COPY rows TO '{file}' (FORMAT parquet, FIELD_IDS {{{ids}}})")
    path = Path(table.metadata_location.removeprefix("file://"))
    told = json.loads(path.read_text())
    told |= {"format-version": 3, "next-row-id": 1}
    for schema in told["schemas"]:
        for column in schema["fields"]:
            if column["name"] in columns:
                column["type"] = columns[column["name"]][1]
    path.write_text(json.dumps(told))
    return "iceberg://lake/usage.events"


def duckdb_rows(row: dict[str, list[str]], columns: dict[str, str]) -> duckdb.DuckDBPyRelation:
    """An event of 2024-01-01, with further columns as SQL."""
    made = [f"'{texts[0]}' AS {name}" for name, texts in row.items()]
    made += [f"{sql} AS {name}" for name, sql in columns.items()]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql(
        f"SELECT {', '.join(made[:5])}, TIMESTAMPTZ '2024-01-01 00:00:00Z' AS time, {', '.join(made[5:])}"
    )


@pytest.mark.slow
def test_a_variant_of_properties_is_read_member_by_member(lake: Catalog) -> None:
    """As from its Parquet files: no digit is lost."""
    table = version_3(lake, properties=(f"{MEMBERS}::VARIANT", "variant"))

    assert [Decimal("12345678901234567890.123456789012345678")] == quantities(table)
    assert [{"s": "x", "l": "[1.10]"}] == dimensions(table)


ELEMENT = {"type": "list", "element-id": 70, "element": "variant", "element-required": False}
ODD = {
    "variant": ("1::VARIANT", "variant"),
    "a list of variants": ("NULL::INTEGER[]", ELEMENT),
    "geometry": ("'POINT(1 2)'::GEOMETRY", "geometry"),
    "geometry of a system": ("'POINT(1 2)'::GEOMETRY", "geometry(OGC:CRS84)"),
    "geography": ("'POINT(1 2)'::GEOMETRY", "geography"),
    "unknown": ("", "unknown"),
    "nanoseconds": ("TIMESTAMP_NS '2024-01-01 00:00:00.123456789'", "timestamp_ns"),
    "a type to come": ("1", "int256"),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", ODD)
def test_a_column_that_is_not_used_stops_nothing(name: str, lake: Catalog) -> None:
    """Of whatever type it is, in a run and in a ledger."""
    table = version_3(lake, q=("'5'", "string"), odd=ODD[name])

    assert [Decimal(5)] == quantities(table, map={"properties": ["q"]})


def test_what_cannot_be_read_is_refused_by_name_where_it_is_used(lake: Catalog) -> None:
    """The table, the column, its type and the way out."""
    table = version_3(lake, q=("'5'", "string"), where_at=("'POINT(1 2)'::GEOMETRY", "geometry(OGC:CRS84)"))
    with pytest.raises(SchemaError) as refused:
        quantities(table)
    found = re.sub(r"snapshot=\d+", "snapshot=1", str(refused.value))
    assert found.startswith(
        "iceberg://lake/usage.events?snapshot=1: column where_at: found geometry(OGC:CRS84); expected a type that is "
        "read from this table. hint: read copies of the table's Parquet files by themselves, or let Spark read it: "
        "--engine spark, or "
    )


@pytest.mark.parametrize("kind", ["variant", "geometry"])
def test_a_table_that_pyiceberg_reads_is_without_such_columns(kind: str, lake: Catalog, tmp_path: Path) -> None:
    """A column had another name before, so the files alone do not say what the rows are; of a VARIANT it reads none."""
    value = {"variant": "1::VARIANT", "geometry": "'x'::BLOB"}[kind]
    table = version_3(lake, q=("'5'::BLOB", "binary"), odd=(value, kind))
    path = max(tmp_path.rglob("*.metadata.json"))
    told = json.loads(path.read_text())
    before = json.loads(json.dumps(told["schemas"][0])) | {"schema-id": 1}
    before["fields"][6]["name"] = "before"
    told["schemas"].append(before)
    path.write_text(json.dumps(told))

    used: dict[str, Any] = {"map": {"properties": ["q"]}, "binary_as_text": True}
    if kind == "geometry":
        assert [Decimal(5)] == quantities(table, **used)
        used = {}
    with pytest.raises(SchemaError, match=f"column odd: found {kind}"):
        quantities(table, **used)


@pytest.mark.slow
def test_a_ledger_meters_a_table_with_a_variant(lake: Catalog, tmp_path: Path) -> None:
    """Day by day, and pyiceberg is afterwards what it was."""
    table = version_3(lake, properties=("{'q': 7}::VARIANT", "variant"))
    config = {"measurements": [{"sourceProperty": "q", "unit": "q", "aggregation": "sum"}]}
    ledger = Ledger.init(tmp_path / "l.ledger")
    ledger.backfill(table, config, start="2024-01-01", end="2024-01-02")

    assert [Decimal(7)] == [row["quantity"] for row in ledger.export("readings").to_dicts()]
    assert [Decimal(7)] == [
        row["quantity"] for row in aggregate(table, config, start="2024-01-01", end="2024-01-02").to_dicts()
    ]
    with pytest.raises(ValueError, match="variant"):
        IcebergType.handle_primitive_type("variant", None)
    with pytest.raises(Exception, match="variant"):
        lake.load_table("usage.events")
