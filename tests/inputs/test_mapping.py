"""A map says where the fields of events are, in columns and in JSON."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.inputs.forms import EVENTS, NAMES, answers, dimensions, flat_table, json_event, json_table, one_row

MAPPED = {
    "columns by other names": (
        lambda: flat_table().rename_columns(
            [{"subject": "customer_id", "time": "at", "id": "ID NO"}.get(n, n) for n in flat_table().column_names]
        ),
        {"subject": "customer_id", "time": "at", "id": "ID NO"},
    ),
    "the field in camelCase": (lambda: flat_table().rename_columns({"workspace_id": "ws"}), {"workspaceID": "ws"}),
    "constants": (
        lambda: flat_table().drop_columns(["workspace_id", "universe_id", "type"]),
        {"workspace_id": "'acme'", "universe_id": "'production'", "type": "'use'"},
    ),
    "a constant over a column": (
        lambda: flat_table().set_column(1, "workspace_id", [["x"] * 8]),
        {"workspace_id": "'acme'"},
    ),
    "listed property columns": (flat_table, {"properties": "tokens,seats,kind, region ,note"}),
    "a list of property columns": (flat_table, {"properties": list(NAMES)}),
    "renamed property columns": (
        lambda: flat_table(names={"tokens": "a", "seats": "b"}),
        {"properties.tokens": "a", "properties.seats": "b", "properties": "kind,region,note"},
    ),
    "a dict of property columns": (
        lambda: flat_table(names={"tokens": "a", "seats": "b"}),
        {"properties": {"tokens": "a", "seats": "b", "kind": "kind", "region": "region", "note": "note"}},
    ),
    "the column of properties": (lambda: json_table().rename_columns({"properties": "body"}), {"properties": "body"}),
}


@pytest.mark.slow
@pytest.mark.sampled(6)
@pytest.mark.parametrize("case", MAPPED)
def test_a_map_says_where_fields_are(
    case: str, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """Mapped columns, constants and property columns give the bytes that the plain names give."""
    make, mapping = MAPPED[case]

    assert expected == answers(make, map=mapping)


@pytest.mark.slow
def test_json_fields_are_mapped_too(
    tmp_path: Path, expected: tuple[bytes, bytes, dict[str, int], list[tuple[str, str, str]]]
) -> None:
    """In JSON a mapped name, a constant and property names work as they do in a table."""
    objects = [json_event(e) for e in EVENTS]
    flat = [
        {k: v for k, v in o.items() if k not in ("properties", "subject", "type")}
        | o["properties"]
        | {"who": o["subject"]}
        for o in objects
    ]
    mapping = {"subject": "who", "type": "'use'"}

    assert expected == answers(lambda: flat, map=mapping)
    assert expected == answers(lambda: flat, map={**mapping, "properties": ",".join(NAMES)})


def test_unmapped_property_columns_leave_out_what_is_mapped() -> None:
    """Of an input without a properties column, all columns that are no field are properties; the mapped ones are
    fields."""
    row = {**one_row(), "customer": "customer:z", "q": "1", "plan": "gold"}
    del row["subject"]

    assert [{"plan": "gold"}] == dimensions(pa.Table.from_pylist([row]), map={"subject": "customer"})
