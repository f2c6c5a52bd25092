"""Grouping by `type`: a property of that name if any event has one, else the field of the event (R37)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metering_duck import Ledger, aggregate, meter, rollup
from tests.worlds import CLOCK, columns, event, measuring

CONFIG = measuring("sum", unit="things")
WINDOW = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
TIME = "2024-01-01T00:00:00Z"
NOTICE = "group-by: type is the property of that name, which events have, and not the field."
Grouped = list[tuple[dict[str, str | None], int]]


def events(*kinds: str | None) -> list[dict[str, Any]]:
    """Events of the types x, y, x, …, with a property `type` where a text is given."""
    return [
        event(
            f"e{n}", TIME, {"q": str(1 << n), "r": "eu", **({} if kind is None else {"type": kind})}, type="xy"[n % 2]
        )
        for n, kind in enumerate(kinds)
    ]


def grouped(source: Any, *names: str, **options: Any) -> tuple[Grouped, list[str]]:
    """The dimensions and quantities of readings that are grouped by type and more, and the notices."""
    with aggregate(source, CONFIG, group_by=["type", *names], **WINDOW, **options) as result:
        return [(row["dimensions"], int(row["quantity"])) for row in result.to_dicts()], result.notices


def test_type_is_the_field_where_no_event_has_such_a_property() -> None:
    """Readings are apart by the event's type, alone and beside a property."""
    found = events(None, None, None)

    assert ([({"type": "x"}, 5), ({"type": "y"}, 2)], []) == grouped(found)
    assert ([({"r": "eu", "type": "x"}, 5), ({"r": "eu", "type": "y"}, 2)], []) == grouped(found, "r")


def test_type_is_the_property_where_one_event_has_it() -> None:
    """One event among many is enough, and a notice says so; the others lack the property."""
    readings, notices = grouped(events(None, None, "z"))

    assert ([({"type": None}, 3), ({"type": "z"}, 4)], [NOTICE]) == (readings, notices)


def test_what_came_after_the_cut_off_does_not_change_what_type_is() -> None:
    """One event with the property that entered later leaves the readings as of before as they were (R24)."""
    early = [{**one, "metered_at": "2024-01-03T00:00:00Z"} for one in events(None, None)]
    late = {**events(None, None, "z")[2], "metered_at": "2024-01-20T00:00:00Z"}
    by_field: Grouped = [({"type": "x"}, 1), ({"type": "y"}, 2)]

    assert (by_field, []) == grouped(early, as_of="2024-01-10")
    assert (by_field, []) == grouped([*early, late], as_of="2024-01-10")


def test_who_is_not_asked_for_does_not_say_what_type_is() -> None:
    """The property of another workspace's event is nothing to the workspace that is asked for."""
    other = {**events("z")[0], "workspaceID": "other"}

    assert ([({"type": "x"}, 1), ({"type": "y"}, 2)], []) == grouped([*events(None, None), other], workspace="w")


def test_what_type_is_does_not_go_by_the_days_that_are_read(tmp_path: Path) -> None:
    """One month of a partitioned tree has the readings that it has beside all months."""
    for day, kinds in (("2024-01-01", (None, None)), ("2024-03-01", ("z",))):
        folder = tmp_path / f"day={day}"
        folder.mkdir()
        rows = [{**one, "time": f"{day}T00:00:00Z", "id": f"{day} {one['id']}"} for one in events(*kinds)]
        own = {"id": [one["id"] for one in rows], "time": [one["time"] for one in rows]}
        texts = [json.dumps(one["properties"]) for one in rows]
        pq.write_table(columns(len(rows), **own, properties=texts), folder / "a.parquet")

    for options in ({}, {"time_partition": "day"}):
        readings, notices = grouped(str(tmp_path), **options)
        assert ([({"type": None}, 3)], NOTICE) == (readings, notices[0])


@pytest.mark.parametrize("kind", ["flat", "mapped", "struct", "JSON text"])
def test_columns_say_which_type_it_is(kind: str) -> None:
    """In plain columns `type` is the field; --map, a STRUCT or JSON text may have the property."""
    own = {"time": [TIME] * 2, "type": ["x", "y"]}
    sources: dict[str, tuple[pa.Table, dict[str, Any]]] = {
        "flat": (columns(2, **own, q=["1", "2"]), {}),
        "mapped": (
            columns(2, **own, q=["1", "2"], kind=["z", None]),
            {"map": {"properties": {"q": "q", "type": "kind"}}},
        ),
        "struct": (columns(2, **own, properties=[{"q": "1", "type": "z"}, {"q": "2", "type": None}]), {}),
        "JSON text": (columns(2, **own, properties=[json.dumps({"q": "1", "type": "z"}), '{"q": "2"}']), {}),
    }
    source, options = sources[kind]
    by_field: Grouped = [({"type": "x"}, 1), ({"type": "y"}, 2)]
    by_property: Grouped = [({"type": None}, 2), ({"type": "z"}, 1)]

    assert (by_field, []) if kind == "flat" else (by_property, [NOTICE]) == grouped(source, **options)


def test_a_filter_on_the_property_type_does_not_see_the_field() -> None:
    """Grouping by the field gives events no property: a filter that asks for one finds none."""
    config = {"measurements": [{**CONFIG["measurements"][0], "filter": {"property": "type", "missing": True}}]}
    with aggregate(events(None, None), config, group_by="type", **WINDOW) as result:
        assert [({"type": "x"}, 1), ({"type": "y"}, 2)] == [
            (row["dimensions"], int(row["quantity"])) for row in result.to_dicts()
        ]


def test_readings_by_type_roll_up_and_drop_it() -> None:
    """A roll-up keeps the dimension `type` as any other, and adds up over it when asked."""
    with aggregate(events(None, None, None), CONFIG, group_by="type", every="day", **WINDOW) as result:
        days = result.to_arrow()
    with rollup(days, every="month", clock=CLOCK) as kept, rollup(days, every="month", drop="type", clock=CLOCK) as one:
        assert ([({"type": "x"}, 5), ({"type": "y"}, 2)], [({}, 7)]) == (
            [(row["dimensions"], int(row["quantity"])) for row in kept.to_dicts()],
            [(row["dimensions"] or {}, int(row["quantity"])) for row in one.to_dicts()],
        )


def test_records_have_the_property_and_no_field() -> None:
    """A record keeps its event's properties, and not its type: by `type` it is grouped by the property alone."""
    with meter(events("z", None), CONFIG, clock=CLOCK) as result:
        records = result.to_arrow()
    with aggregate(records=records, group_by="type", **WINDOW) as result:
        assert [({"type": None}, 2), ({"type": "z"}, 1)] == [
            (row["dimensions"], int(row["quantity"])) for row in result.to_dicts()
        ]


@pytest.mark.slow
def test_a_ledger_groups_by_type(tmp_path: Path) -> None:
    """A period of a ledger has the readings of aggregate, and its notice."""
    for name, kinds in (("field", (None, None)), ("property", (None, "z"))):
        path = tmp_path / f"{name}.ndjson"
        path.write_text("".join(json.dumps(one) + "\n" for one in events(*kinds)), encoding="utf-8")
        ledger = Ledger.init(tmp_path / f"{name}.ledger")
        (outcome,) = ledger.backfill(
            str(path), CONFIG, start="2024-01-01", end="2024-02-01", group_by="type", clock=CLOCK
        )
        with ledger.export("readings") as rows:
            found = [((row["dimensions"] or {}), int(row["quantity"])) for row in rows.to_dicts()]
        expected, notices = grouped(str(path))
        assert (sorted(expected, key=str), notices) == (sorted(found, key=str), list(outcome.notices))


@pytest.mark.slow
def test_a_ledger_decides_once_what_type_is(tmp_path: Path) -> None:
    """All periods have what all files say when the first is metered, also those metered when more have come."""
    files = []
    for month, kind in ((1, "z"), (2, None)):
        (one,) = events(kind)
        files.append(tmp_path / f"{month}.ndjson")
        files[-1].write_text(json.dumps({**one, "id": str(month), "time": f"2024-0{month}-01T00:00:00Z"}) + "\n")
    asked: dict[str, Any] = {"start": "2024-01-01", "end": "2024-03-01", "every": "month", "group_by": "type"}
    found, said = [], []
    for name, backfills in (("at once", [files]), ("property first", files), ("field first", files[::-1])):
        ledger = Ledger.init(tmp_path / f"{name}.ledger")
        for paths in backfills:
            said += [notice for one in ledger.backfill(paths, CONFIG, **asked, clock=CLOCK) for notice in one.notices]
        with ledger.export("readings") as rows:
            found.append([row["dimensions"] for row in rows.to_dicts()])

    assert [[{"type": "z"}, {"type": None}]] * 2 + [[{"type": "x"}] * 2] == [sorted(one, key=str) for one in found]
    decided = (
        "group-by: type is the field, as it was decided before an event had a property of that name; some have it."
    )
    assert 1 == said.count(decided)
