"""Configs and contracts: both spellings, catalogs, what overlaps (R1), precision and scale, and JSON that keeps its
schema."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from metering_duck import (
    AggregateConfig,
    ConfigError,
    EventPayload,
    MeteringConfig,
    MeterReading,
    MeterRecord,
    aggregate,
    check,
    json_schema,
    load_config,
    meter,
)
from metering_duck.contract.aggregations import NAMES
from metering_duck.contract.payloads import MODELS
from tests import worlds
from tests.worlds import CLOCK, Event

WINDOW = {"start": "2024-01-01", "end": "2024-02-01"}
M = {"sourceProperty": "q", "unit": "things", "aggregation": "sum"}


def event(
    number: int = 1, *, time: str = "2024-01-15T00:00:00Z", workspace: str = "w", type: str = "t", **properties: Any
) -> Event:
    """One event that measures 1."""
    entered = "2024-03-01T00:00:00Z"
    return worlds.event(
        f"e{number}", time, {"q": "1", **properties}, workspace=workspace, type=type, metered_at=entered
    )


def metered(config: Any, *events: Event) -> list[tuple[str, str]]:
    """The event and unit of every record."""
    with meter(list(events), config, clock=CLOCK) as records:
        return [(r["source_event_id"], r["unit"]) for r in records.to_dicts()]


# --- how a config may be written -------------------------------------------------------------------------------------

FULL = {**M, "filter": {"property": "tier", "equals": "gold"}, "precision": 20, "scale": 4, "resultScale": 2}
SPELLINGS = {
    "camelCase": {"measurements": [FULL]},
    "snake_case": {
        "measurements": [
            {
                **{k: v for k, v in FULL.items() if k not in ("sourceProperty", "resultScale")},
                "source_property": "q",
                "result_scale": 2,
            }
        ]
    },
    "observations": {"observations": [FULL]},
    "a catalog of one": {"entries": [{"measurements": [FULL]}]},
    "a catalog by another name": {"catalog": [{"observations": [FULL]}]},
    "a list": [{"measurements": [FULL]}],
    "another name of sum": {"measurements": [{**FULL, "aggregation": "sum-events"}]},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_means_the_same(spelling: str, tmp_path: Path) -> None:
    """Both revisions' names, both cases, a catalog of one: one config, from a dict, JSON text, a path or itself."""
    given = SPELLINGS[spelling]
    path = tmp_path / "config.json"
    path.write_text("\ufeff" + json.dumps(given), encoding="utf-8")
    wanted = load_config(SPELLINGS["camelCase"])
    dicts = {} if isinstance(given, list) else {"dict": load_config(given), "text": load_config(json.dumps(given))}

    assert {"path": wanted, "text path": wanted, "itself": wanted} == {
        "path": load_config(path),
        "text path": load_config(str(path)),
        "itself": load_config(wanted),
    }
    assert [wanted] * len(dicts) == list(dicts.values())


@pytest.mark.parametrize("workspace", ["workspaceID", "workspace_id", "workspaceId", "workspace"])
@pytest.mark.parametrize("type_name", ["type", "eventType", "event_type"])
def test_an_entry_names_its_workspace_and_type_in_any_spelling(workspace: str, type_name: str) -> None:
    """The names of an entry's scope are read in the seed's spelling and its variants."""
    config = load_config({"entries": [{workspace: "w", type_name: "t", "measurements": [M]}]})

    assert ("w", "t") == (config.entries[0].workspace_id, config.entries[0].type)


def test_a_config_is_frozen_and_comes_back_from_its_json() -> None:
    """A config cannot be changed after it was checked, and its JSON is read as itself."""
    config = load_config(
        {"entries": [{"type": "t", "effectiveFrom": "2024-01-01T01:00:00+01:00", "measurements": [FULL]}]}
    )

    assert config == load_config(config.model_dump_json(by_alias=True, exclude_none=True))
    with pytest.raises(Exception, match="frozen"):
        config.entries[0].measurements[0].unit = "other"  # type: ignore[misc]


# --- which entry an event matches (R1) -------------------------------------------------------------------------------


def test_an_entry_is_found_by_workspace_and_type() -> None:
    """Entries of other workspaces and types miss; an entry without them takes all; the two reasons of unmatched are
    apart."""
    config = {
        "entries": [
            {"workspaceID": "w", "type": "t", "measurements": [{**M, "unit": "of w and t"}]},
            {"workspaceID": "x", "measurements": [{**M, "unit": "of x"}]},
            {
                "workspaceID": "w",
                "type": "f",
                "measurements": [{**M, "filter": {"property": "tier", "equals": "gold"}}],
            },
        ]
    }
    events = [
        event(1),
        event(2, workspace="x"),
        event(3, type="other"),
        event(4, workspace="y"),
        event(5, type="f", tier="Gold"),
    ]
    with meter(events, config, clock=CLOCK) as records:
        units = [(r["source_event_id"], r["unit"]) for r in records.to_dicts()]
        counts = records.accounting

    assert [("e1", "of w and t"), ("e2", "of x")] == units
    assert (3, 2, 1, 0) == (counts.unmatched, counts.unmatched_entry, counts.unmatched_filter, counts.rejected)


def test_an_entry_is_in_effect_from_its_first_moment_to_before_its_last() -> None:
    """effectiveFrom is inclusive and effectiveTo exclusive, in business time, whatever the offset they are written
    in."""
    config = {
        "entries": [
            {"effectiveTo": "2024-01-15T00:00:00Z", "measurements": [{**M, "unit": "old"}]},
            {
                "effectiveFrom": "2024-01-15T01:00:00+01:00",
                "effectiveTo": "2024-01-20T00:00:00Z",
                "measurements": [{**M, "unit": "new"}],
            },
        ]
    }
    times = [
        "2024-01-14T23:59:59.999999Z",
        "2024-01-15T00:00:00Z",
        "2024-01-19T23:59:59.999999Z",
        "2024-01-20T00:00:00Z",
    ]
    events = [event(n, time=time) for n, time in enumerate(times)]

    assert [("e0", "old"), ("e1", "new"), ("e2", "new")] == metered(config, *events)


A, B = {"effectiveTo": "2024-01-15"}, {"effectiveFrom": "2024-01-15"}
OVERLAPS: list[tuple[list[Event], bool]] = [
    ([{}, {}], True),
    ([{}, {"type": "t"}], True),
    ([{"workspaceID": "w"}, {"type": "t"}], True),
    ([{"workspaceID": "w"}, {"workspaceID": "x"}], False),
    ([{"type": "a"}, {"type": "b"}], False),
    ([{"type": "a"}, {"type": "A"}], False),
    ([{"workspaceID": "w", "type": "a"}, {"workspaceID": "w", "type": "b"}, {"workspaceID": "x", "type": "a"}], False),
    ([A, B], False),
    ([{"effectiveTo": "2024-01-15T00:00:00.000001Z"}, B], True),
    ([A, {"effectiveFrom": "2024-01-14T23:59:59.999999Z"}], True),
    ([A, {"effectiveFrom": "2024-01-15T01:00:00+01:00"}], False),
    ([A, {"effectiveFrom": "2024-01-15T01:00:00+01:01"}], True),
    ([A, {"effectiveFrom": "2024-01-15", "effectiveTo": "2024-02-01"}, {"effectiveFrom": "2024-02-01"}], False),
    ([{"type": "a", **A}, {"type": "a", **B}, {"workspaceID": "w", **B}], True),
    (
        [
            {"effectiveFrom": "2024-01-01", "effectiveTo": "2024-02-01"},
            {"effectiveFrom": "2024-01-10", "effectiveTo": "2024-01-11"},
        ],
        True,
    ),
]


@pytest.mark.parametrize(("scopes", "overlap"), OVERLAPS, ids=str)
def test_entries_that_could_match_one_event_are_an_error(scopes: list[Event], overlap: bool) -> None:
    """Two entries for one event at one moment are refused; entries that only touch are not (R1)."""
    report = check({"entries": [{**scope, "measurements": [M]} for scope in scopes]})

    assert overlap == bool(report["problems"])
    assert all("could match the same event at the same time" in problem for problem in report["problems"])


# --- what is measured ------------------------------------------------------------------------------------------------


def test_a_filter_is_exact_text_and_comes_first() -> None:
    """`equals` is case-sensitive, an absent property never matches, and a filter that misses forgives a missing
    source (R2)."""
    config = {"measurements": [{**M, "sourceProperty": "other", "filter": {"property": "tier", "equals": "gold"}}]}
    events = [
        event(1, tier="gold", other="1"),
        event(2, tier="Gold"),
        event(3, tier=" gold"),
        event(4),
        event(5, tier="gold"),
    ]
    with meter(events, config, clock=CLOCK) as records:
        found = [r["source_event_id"] for r in records.to_dicts()]
        rejects = [(r["id"], r["reason"]) for r in records.rejects.to_pylist()]
        unmatched = records.accounting.unmatched_filter

    assert (["e1"], [("e5", "source-missing")], 3) == (found, rejects, unmatched)


def test_dimensions_leave_out_what_any_measurement_of_the_entry_measures() -> None:
    """A source whose filter missed is no dimension; a source of another entry is one (R6)."""
    config = {
        "entries": [
            {
                "type": "t",
                "measurements": [M, {**M, "sourceProperty": "r", "filter": {"property": "tier", "equals": "gold"}}],
            },
            {"type": "other", "measurements": [{**M, "sourceProperty": "z"}]},
        ]
    }
    with meter([event(1, r="5", z="6", tier="silver")], config, clock=CLOCK) as records:
        assert [{"tier": "silver", "z": "6"}] == [r["dimensions"] for r in records.to_dicts()]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("shape", "text", "found"),
    [
        ({}, "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
        ({}, "123456789012345678901", "quantity-too-large"),
        ({}, "0.1234567890123456789", "quantity-too-fine"),
        ({}, "0.10000000000000000000000000", "0.1"),
        ({"precision": 5, "scale": 2}, "999.99", "999.99"),
        ({"precision": 5, "scale": 2}, "1000", "quantity-too-large"),
        ({"precision": 5, "scale": 2}, "0.001", "quantity-too-fine"),
        ({"precision": 9}, "999999999", "999999999"),
        ({"precision": 9}, "0.5", "quantity-too-fine"),
        ({"precision": 38, "scale": 0, "resultScale": 0}, "9" * 38, "9" * 38),
        ({"precision": 38, "scale": 0}, "1e38", "quantity-too-large"),
        ({"precision": 38, "scale": 38}, "0." + "9" * 38, "0." + "9" * 38),
        ({"precision": 38, "scale": 38}, "1", "quantity-too-large"),
        ({"precision": 38, "scale": 30}, "-99999999." + "1" * 30, "-99999999." + "1" * 30),
        ({"scale": 2, "resultScale": 2}, "9" * 36 + ".99", "9" * 36 + ".99"),
    ],
)
def test_a_measurement_may_have_a_decimal_of_its_own(shape: Event, text: str, found: str) -> None:
    """precision and scale say which quantities fit; what does not is rejected, never rounded (R5)."""
    with aggregate([event(q=text)], {"measurements": [{**M, **shape}]}, clock=CLOCK, **WINDOW) as readings:
        answer = [*readings.rejects["reason"].to_pylist(), *(r["quantity"] for r in readings.to_dicts())]

    assert [found if found.startswith("quantity-") else Decimal(found)] == answer


def test_a_result_scale_rounds_what_a_reading_shows() -> None:
    """resultScale is the measurement's own --scale: half to even, once, at the end, for averages and for sums (R16)."""
    average = {**M, "unit": "levels", "aggregation": "time-weighted-avg", "resultScale": 2}
    config = {"measurements": [average, {**M, "resultScale": 2}, {**M, "unit": "as it is"}]}
    levels = [event(n, q=q, time="2024-01-01T00:00:00Z") for n, q in enumerate(("1.125", "1.125"))]
    with aggregate(levels, config, clock=CLOCK, **WINDOW) as readings:
        found = {r["unit"]: f"{r['quantity'].normalize():f}" for r in readings.to_dicts()}

    assert {"levels": "1.12", "things": "2.25", "as it is": "2.25"} == found


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_an_aggregation_is_one(name: str) -> None:
    """Each name, and each other name, works in a config and in a call, and the reading has the one name (R19)."""
    own = aggregate([event()], {"measurements": [{**M, "aggregation": name}]}, clock=CLOCK, **WINDOW).to_dicts()
    called = aggregate([event()], {"measurements": [M]}, aggregation=name, clock=CLOCK, **WINDOW).to_dicts()
    others = {
        "sum-events": "sum",
        "max-event": "max",
        "min-event": "min",
        "latest-event": "latest",
        "integral-seconds": "integral",
        "median": "p50-interpolated",
    }
    plain = others.get(name, name)

    assert own == called
    assert [plain] == [r["aggregation"] for r in own]


def test_one_property_may_be_measured_more_than_once() -> None:
    """The same source under two units gives two records, each with its own id, and the same ids every time (R7)."""
    config = {"measurements": [M, {**M, "unit": "other"}, M]}
    first, second = (meter([event()], config, clock=CLOCK).to_dicts() for _ in range(2))

    assert first == second
    assert (3, ["other", "things", "things"]) == (len({r["id"] for r in first}), sorted(r["unit"] for r in first))


def test_check_warns_of_what_is_seldom_meant() -> None:
    """A unit twice in an entry, and a filter on the measured property, are allowed and told."""
    config = {
        "measurements": [
            M,
            {**M, "sourceProperty": "r"},
            {**M, "unit": "x", "filter": {"property": "q", "equals": "1"}},
        ]
    }
    report = check(config)

    assert ([], 3, 2) == (report["problems"], report["measurements"], len(report["warnings"]))
    assert report["warnings"][0].startswith("measurements[1]: has the unit 'things' of measurements[0]; ")
    assert report["warnings"][1].startswith("measurements[2].filter: tests the property it measures; ")


# --- contracts -------------------------------------------------------------------------------------------------------

EVENTS = [
    event(1, tier="gold", q="1e3"),
    event(2, time="2024-01-20T12:00:00.123456Z", q="-0.000000000000000001", workspace='w"\n\\'),
    event(3, time="2023-12-01T00:00:00Z", q="7", note="é😀\u2028"),
    {**event(4, q="12345678901234567890.5"), "subject": "c:'2"},
]
CATALOG = {
    "entries": [
        {
            "type": "t",
            "measurements": [
                M,
                {**M, "unit": "levels", "aggregation": "time-weighted-avg"},
                {**M, "unit": "last", "aggregation": "final-state"},
            ],
        }
    ]
}


def lines(result: Any, folder: Path) -> list[Event]:
    """A result as the objects of its NDJSON file."""
    path = result.write(folder / "rows.ndjson")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def validator(name: str) -> jsonschema.protocols.Validator:
    """A contract's JSON Schema, checked to be one, with formats taken at their word."""
    schema = json_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("bundled", [False, True])
def test_records_and_readings_keep_their_schema(bundled: bool, tmp_path: Path) -> None:
    """Every record and reading that is written, flat and bundled, is valid under the JSON Schema of its contract."""
    found = {}
    with meter(EVENTS, CATALOG, clock=CLOCK, bundled=bundled) as records:
        found["MeterRecordBundle" if bundled else "MeterRecord"] = lines(records, tmp_path)
    options: list[Event] = [{}, {"group_by": "tier"}, {"across_workspaces": True}, {"every": "week"}, {"digits": 5}]
    readings = []
    for option in options:
        with aggregate(EVENTS, CATALOG, clock=CLOCK, bundled=bundled, **WINDOW, **option) as result:
            readings += lines(result, tmp_path)
    found["MeterReadingBundle" if bundled else "MeterReading"] = readings

    assert all(rows for rows in found.values())
    for name, rows in found.items():
        schema = validator(name)
        assert [] == [(row, error.message) for row in rows for error in schema.iter_errors(row)][:1]


@pytest.mark.parametrize("bundled", [False, True])
def test_the_models_read_what_is_written(bundled: bool, tmp_path: Path) -> None:
    """MeterRecord, MeterReading and their bundles read each written row and hold all of it."""
    end = "Bundle" if bundled else ""
    with meter(EVENTS, CATALOG, clock=CLOCK, bundled=bundled) as records:
        found = {f"MeterRecord{end}": lines(records, tmp_path)}
    with aggregate(EVENTS, CATALOG, clock=CLOCK, bundled=bundled, **WINDOW) as readings:
        found[f"MeterReading{end}"] = lines(readings, tmp_path)

    for name, rows in found.items():
        model: Any = MODELS[name]
        again = [model.model_validate(row).to_json_dict() for row in rows]
        assert rows == [{key: value for key, value in row.items() if value != {}} for row in again]


def test_events_and_configs_keep_their_schema() -> None:
    """The seed's event and every spelling of a config are valid; what is wrong is not."""
    configs = validator("MeteringConfig")
    camel = [
        given
        for name, given in SPELLINGS.items()
        if name in ("camelCase", "observations", "a catalog of one", "another name of sum")
    ]

    assert [] == [error.message for row in EVENTS for error in validator("EventPayload").iter_errors(row)]
    assert [True] * len(camel) == [configs.is_valid(given) for given in [*camel]]
    assert [False] * 4 == [
        configs.is_valid(given) for given in ({}, {"measurements": []}, {"measurements": [{}]}, {"entries": [M]})
    ]
    assert not validator("EventPayload").is_valid({**EVENTS[0], "id": ""})


def test_the_aggregate_config_is_a_contract() -> None:
    """AggregateConfig holds an aggregation and a window, and its own JSON is valid under its schema."""
    given = {"aggregation": "sum", "window": {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}}
    made = AggregateConfig.model_validate(given)

    assert [] == list(validator("AggregateConfig").iter_errors(given))
    assert [] == list(
        validator("AggregateConfig").iter_errors(json.loads(made.model_dump_json(by_alias=True, exclude_none=True)))
    )


def test_every_contract_has_a_schema_of_its_own() -> None:
    """Each contract's schema is a valid JSON Schema with a title, and quantities are texts in it, never numbers."""
    for name in MODELS:
        assert name == validator(name).schema["title"]
    record = MeterRecord.model_validate(json.loads(json.dumps(RECORD)))
    assert RECORD == record.to_json_dict()
    assert not validator("MeterRecord").is_valid({**RECORD, "measurement": {"quantity": 145, "unit": "milliseconds"}})
    assert issubclass(MeteringConfig, type(load_config({"measurements": [M]})))


RECORD = {
    "id": "rec_xyz789",
    "workspaceID": "acme-prod",
    "universeID": "production",
    "subject": "customer:cust_123",
    "measurement": {"quantity": "145", "unit": "milliseconds"},
    "dimensions": {"endpoint": "/api/users", "region": "us-east"},
    "recordedAt": "2024-01-15T10:30:00Z",
    "sourceEventID": "evt_abc123",
    "meteredAt": "2024-01-15T10:31:00Z",
}


def test_the_example_of_the_seed_gives_the_record_and_reading_of_the_seed(tmp_path: Path) -> None:
    """The seed's event and config, as they stand, give its record but for the id, and a reading of its shape."""
    given = {
        "id": "evt_abc123",
        "workspaceID": "acme-prod",
        "universeID": "production",
        "type": "api.request",
        "subject": "customer:cust_123",
        "time": "2024-01-15T10:30:00Z",
        "properties": {"endpoint": "/api/users", "response_time_ms": "145", "region": "us-east"},
    }
    config = {"measurements": [{"sourceProperty": "response_time_ms", "unit": "milliseconds"}]}
    payload = EventPayload.model_validate(given)
    with meter([payload], config, clock="2024-01-15T10:31:00Z") as records:
        found = lines(records, tmp_path)[0]
    with aggregate([given], config, aggregation="sum", clock="2024-01-15T10:31:00Z", **WINDOW) as readings:
        reading = MeterReading.model_validate(lines(readings, tmp_path)[0])

    assert {**RECORD, "id": found["id"]} == found
    assert ("145", "milliseconds", "sum", 1) == (
        reading.measurement.quantity,
        reading.measurement.unit,
        reading.aggregation,
        reading.record_count,
    )


@pytest.mark.slow
def test_ids_of_readings_differ_in_everything_that_makes_a_key() -> None:
    """Workspace, universe, subject, unit, aggregation, window and dimensions each change the id (R21)."""
    events = [
        event(1),
        event(2, workspace="x"),
        {**event(3), "universeID": "v"},
        {**event(4), "subject": "c:2"},
        event(5, tier="gold"),
        event(6, time="2024-01-15T00:00:00.000001Z"),
    ]
    ids = set()
    for name in ("sum", "max"):
        for unit in ("a", "b"):
            config = {"measurements": [{**M, "unit": unit, "aggregation": name}]}
            bounds = ["2024-01-15T00:00:00Z", "2024-01-15T00:00:00.000001Z", "2024-01-15T00:00:00.000002Z"]
            for start, end in pairwise(bounds):
                ids |= {r["id"] for r in aggregate(events, config, start=start, end=end, group_by="tier").to_dicts()}

    assert 2 * 2 * 6 == len(ids)


def test_an_unreadable_config_is_a_config_error(tmp_path: Path) -> None:
    """A config's fault never is another library's exception; JSON that is nested too deep is called that."""
    deep = tmp_path / "deep.json"
    deep.write_text('{"not": ' * 100_000 + "1" + "}" * 100_000, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"deep\.json: found objects or lists that are nested too deep to be read"):
        load_config(deep)


@pytest.mark.parametrize("value", ["9" * 5_000, f"2024-02-31T00:00:00.{'9' * 5_000}Z"], ids=["digits", "fraction"])
def test_a_long_value_is_cut_in_a_message(value: str) -> None:
    """What is expected is still told."""
    with pytest.raises(ConfigError, match=r"….*expected a time") as caught:
        load_config({"entries": [{"effectiveFrom": value, "measurements": [{"sourceProperty": "n", "unit": "u"}]}]})
    assert len(str(caught.value)) < 500
