"""Events of other systems are metered as they write them: `--from cloudevents`, `openmeter`, `lago`, `stripe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from metering_duck import ConfigError, SchemaError, aggregate, check, compile_sql, exact, meter
from metering_duck.cli.main import cli
from tests.worlds import CLOCK, Event

# The events that these systems' own documentation shows.
OPENMETER: Event = {
    "specversion": "1.0",
    "type": "prompt",
    "id": "00001",
    "time": "2024-01-01T00:00:00.001Z",
    "source": "chat-app",
    "subject": "customer-1",
    "data": {"tokens": "123456", "model": "gpt4-turbo", "type": "output"},
}
LAGO: Event = {
    "transaction_id": "transaction_1234567890",
    "lago_customer_id": "1a901a90-1a90-1a90-1a90-1a901a901a90",
    "code": "storage",
    "timestamp": "2022-04-29T08:59:51.123Z",
    "lago_subscription_id": "1a901a90-1a90-1a90-1a90-1a901a901a90",
    "external_subscription_id": "sub_1234567890",
    "lago_id": "1a901a90-1a90-1a90-1a90-1a901a901a90",
    "precise_total_amount_cents": "1234.56",
    "properties": {"gb": 10},
    "created_at": "2022-04-29T08:59:51Z",
}
STRIPE: Event = {
    "object": "billing.meter_event",
    "created": 1704824589,
    "event_name": "ai_search_api",
    "identifier": "identifier_123",
    "livemode": True,
    "payload": {"value": "25", "stripe_customer_id": "cus_NciAYcXfLnqBoz"},
    "timestamp": 1680210639,
}
PAYLOAD: Event = {
    "id": "p1",
    "workspaceID": "acme",
    "universeID": "production",
    "type": "prompt",
    "subject": "customer:a",
    "time": "2024-01-01T00:00:00Z",
    "properties": {"tokens": "5"},
}
CLOUDEVENT: Event = {"specversion": "1.0", "id": "t1", "type": "sent", "source": "/bus", "data": PAYLOAD}
BIG = "12345678901234567890.123456789012345678"


def metering(*names: str) -> Event:
    """A config that measures these properties, each in a unit of its name."""
    return {"measurements": [{"sourceProperty": name, "unit": name, "aggregation": "sum"} for name in names]}


def metered(events: Any, shape: str, name: str = "tokens", **options: Any) -> list[tuple[str, ...]]:
    """Of each record: workspace, universe, subject, source event, moment, quantity."""
    with meter(events, metering(name), from_=shape, clock=CLOCK, **options) as records:
        rows = records.to_dicts()
    return [
        (
            row["workspace_id"],
            row["universe_id"],
            row["subject"],
            row["source_event_id"],
            row["recorded_at"].isoformat(),
            exact.format(row["quantity"]),
        )
        for row in rows
    ]


def rejected(events: Any, shape: str, name: str = "tokens") -> list[tuple[str, str | None]]:
    """The reason and the offending text of each reject."""
    with meter(events, metering(name), from_=shape, clock=CLOCK) as records:
        return sorted((row["reason"], row["text"]) for row in records.rejects.to_pylist())


def lago(number: int, timestamp: Any = 1704067200) -> Event:
    """An event as one sends it to Lago."""
    return {
        "transaction_id": f"t{number}",
        "external_subscription_id": "sub",
        "code": "storage",
        "timestamp": timestamp,
        "properties": {"gb": number},
    }


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("shape", "event", "name", "expected"),
    [
        (
            "openmeter",
            OPENMETER,
            "tokens",
            ("openmeter", "production", "customer-1", "00001", "2024-01-01T00:00:00.001000+00:00", "123456"),
        ),
        (
            "lago",
            LAGO,
            "gb",
            (
                *("lago", "production", "sub_1234567890", "transaction_1234567890"),
                *("2022-04-29T08:59:51.123000+00:00", "10"),
            ),
        ),
        (
            "stripe",
            STRIPE,
            "value",
            (
                *("stripe", "production", "cus_NciAYcXfLnqBoz", "identifier_123"),
                *("2023-03-30T21:10:39+00:00", "25"),
            ),
        ),
        (
            "cloudevents",
            CLOUDEVENT,
            "tokens",
            ("acme", "production", "customer:a", "p1", "2024-01-01T00:00:00+00:00", "5"),
        ),
    ],
)
def test_an_event_as_the_system_documents_it(shape: str, event: Event, name: str, expected: tuple[str, ...]) -> None:
    """The example of each system's documentation becomes the record that it means."""
    assert [expected] == metered([event], shape, name)


def test_the_properties_are_what_the_system_calls_so() -> None:
    """OpenMeter's data, Lago's properties and Stripe's payload become dimensions; what stands beside them does not."""
    found = []
    for shape, event, name in (("openmeter", OPENMETER, "tokens"), ("lago", LAGO, "gb"), ("stripe", STRIPE, "value")):
        with meter([event], metering(name), from_=shape, clock=CLOCK) as records:
            found.append(dict(records.to_dicts()[0]["dimensions"]))

    expected = [{"model": "gpt4-turbo", "type": "output"}, {}, {"stripe_customer_id": "cus_NciAYcXfLnqBoz"}]
    assert expected == found


def test_lago_events_in_what_they_are_sent_in() -> None:
    """An event alone, in a request for one, in a request for many, and in both is an event each."""
    events = [
        lago(1),
        {"event": lago(2)},
        {"events": [lago(3), lago(4)]},
        {"events": []},
        {"events": [{"event": lago(5)}]},
    ]

    expected = [(f"t{number}", str(number)) for number in range(1, 6)]
    assert expected == sorted((row[3], row[5]) for row in metered(events, "lago", "gb"))


def test_batches_of_cloudevents(tmp_path: Path) -> None:
    """A JSON array, and one array a line, are read as the events in them; data may be JSON in a string."""
    second = CLOUDEVENT | {"data": json.dumps(PAYLOAD | {"id": "p2"})}
    (tmp_path / "batch.json").write_text(json.dumps([CLOUDEVENT, second], indent=2))
    (tmp_path / "lines.ndjson").write_text(f"{json.dumps([CLOUDEVENT, second])}\n[]\n")

    expected = ["p1", "p2"]
    for name in ("batch.json", "lines.ndjson"):
        assert expected == sorted(row[3] for row in metered(str(tmp_path / name), "cloudevents"))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("shape", "event", "name"),
    [
        ("cloudevents", CLOUDEVENT | {"data": PAYLOAD | {"properties": {"tokens": "BIG"}}}, "tokens"),
        ("openmeter", {"event": OPENMETER | {"data": {"tokens": "BIG"}}}, "tokens"),
        ("lago", {"events": [{"event": lago(1) | {"properties": {"gb": "BIG"}}}]}, "gb"),
        ("stripe", [STRIPE | {"payload": {"value": "BIG", "stripe_customer_id": "c"}}], "value"),
    ],
)
def test_digits_are_kept(tmp_path: Path, shape: str, event: Any, name: str) -> None:
    """A JSON number keeps every digit, however deep it is wrapped."""
    (tmp_path / "events.ndjson").write_text(json.dumps(event).replace('"BIG"', BIG) + "\n")

    assert [BIG] == [row[5] for row in metered(str(tmp_path / "events.ndjson"), shape, name)]


def test_times_since_1970() -> None:
    """Seconds since 1970 are read as numbers and as text, exact to the microsecond; RFC 3339 is read beside them."""
    times = {
        1704067200: "2024-01-01T00:00:00+00:00",
        "1704067201": "2024-01-01T00:00:01+00:00",
        "1704067200.123456": "2024-01-01T00:00:00.123456+00:00",
        0: "1970-01-01T00:00:00+00:00",
        "2024-01-01T01:00:02+01:00": "2024-01-01T00:00:02+00:00",
    }
    events = [lago(number, given) for number, given in enumerate(times)]

    assert sorted(times.values()) == sorted(row[4] for row in metered(events, "lago", "gb"))


def test_finer_digits_of_a_time_are_cut_and_said() -> None:
    """A time finer than a microsecond is cut toward the past, and the run says so, as for any other time (R11)."""
    with meter([lago(1, "1704067200.9999999")], metering("gb"), from_="lago", clock=CLOCK) as records:
        found = records.to_dicts()[0]["recorded_at"].isoformat(), records.accounting.times_cut

    expected = ("2024-01-01T00:00:00.999999+00:00", 1)
    assert expected == found


def test_times_that_are_none() -> None:
    """A negative time, text, an exponent, and milliseconds instead of seconds reject their event."""
    given = [-5, "yesterday", "1.7e9", 1704067200123, "253402300800", ""]
    expected = [("time-invalid", str(text)) for text in given if text != ""]
    assert sorted([*expected, ("time-missing", "")]) == rejected(
        [lago(n, t) for n, t in enumerate(given)], "lago", "gb"
    )


def test_stripe_times() -> None:
    """The second version writes RFC 3339; without a timestamp, an event was when it was created."""
    created = {name: value for name, value in STRIPE.items() if name != "timestamp"} | {"identifier": "b"}
    events = [STRIPE | {"timestamp": "2024-05-01T00:00:00Z"}, created]

    expected = ["2024-01-09T18:23:09+00:00", "2024-05-01T00:00:00+00:00"]
    assert expected == sorted(row[4] for row in metered(events, "stripe", "value"))


def test_when_an_event_entered() -> None:
    """Lago's created_at and Stripe's created say when an event entered, which as_of compares with."""
    later = LAGO | {"transaction_id": "t2", "created_at": "2022-04-29T08:59:52Z"}
    found = [
        *metered([LAGO, later], "lago", "gb", as_of="2022-04-29T08:59:51Z"),
        *metered([STRIPE], "stripe", "value", as_of="2024-01-09T18:23:08Z"),
    ]

    expected = ["transaction_1234567890"]
    assert expected == [row[3] for row in found]


def test_a_field_can_still_be_mapped() -> None:
    """A mapped field wins over the shape's; its name is one of the event's, or of its properties'."""
    options = {"map": {"workspace_id": "'acme'", "universe_id": "livemode", "subject": "team", "type": "object"}}
    events = [STRIPE | {"payload": {"value": "25", "team": "blue"}}]

    expected = [("acme", "test", "blue", "25")]
    found = metered(events, "stripe", "value", map_universe={"true": "test"}, **options)
    assert expected == [(*row[:3], row[5]) for row in found]


def test_columns_of_the_same_names(tmp_path: Path) -> None:
    """A CSV file with the system's names as columns, and its properties as JSON text, gives the same records."""
    files = {
        "lago": "transaction_id,external_subscription_id,code,timestamp,properties\n"
        't1,sub,storage,1704067200.5,"{""tokens"":5}"\n',
        "openmeter": 'id,type,subject,time,data\nt1,storage,sub,2024-01-01T00:00:00.5Z,"{""tokens"":5}"\n',
        "stripe": "identifier,event_name,timestamp,payload\n"
        't1,storage,1704067200.5,"{""tokens"":5,""stripe_customer_id"":""sub""}"\n',
    }
    found = []
    for shape, text in files.items():
        (tmp_path / f"{shape}.csv").write_text(text)
        found += metered(str(tmp_path / f"{shape}.csv"), shape)

    moment = "2024-01-01T00:00:00.500000+00:00"
    assert [(shape, "production", "sub", "t1", moment, "5") for shape in files] == found


def test_typed_columns() -> None:
    """A table's numbers are seconds, its structs and maps are properties, and its JSON text holds CloudEvents."""
    payload = {"tokens": "5", "stripe_customer_id": "sub"}
    stripe = {"identifier": ["t1"], "event_name": ["storage"], "timestamp": [1704067200], "payload": [payload]}
    cloud = pa.table({"data": [json.dumps(PAYLOAD)]})

    moment = "2024-01-01T00:00:00+00:00"
    expected = [("sub", "t1", moment, "5"), ("customer:a", "p1", moment, "5")]
    assert expected == [row[2:] for row in metered(pa.table(stripe), "stripe") + metered(cloud, "cloudevents")]


def test_rows_of_another_shape_are_rejected() -> None:
    """A row that holds no event, or two, is rejected with its reason; the others are metered."""
    two = {"event": lago(1), "transaction_id": "t2"}
    empty = {name: value for name, value in CLOUDEVENT.items() if name != "data"}

    assert [("id-missing", None), ("shape-invalid", json.dumps(two))] == rejected(
        [lago(1), two, {"x": 1}], "lago", "gb"
    )
    assert [("shape-invalid", json.dumps(empty))] == rejected([CLOUDEVENT, empty], "cloudevents")


def test_lines_that_cannot_be_told(tmp_path: Path) -> None:
    """A wrapper named twice and a line that is no JSON are rejects, not the event that happens to be read."""
    twice = f'{{"event": {json.dumps(lago(1))}, "event": {json.dumps(lago(2))}}}'
    batches = '{"events": [], "events": []}'
    (tmp_path / "events.ndjson").write_text(f"{twice}\nnonsense\n{batches}\n{json.dumps(lago(3))}\n")

    expected = [("json-invalid", "nonsense"), ("property-repeated", twice)]
    found = rejected(str(tmp_path / "events.ndjson"), "lago", "gb")
    assert expected == found[:2]
    assert 3 == len(found)


@pytest.mark.parametrize(
    ("shape", "event", "expected"),
    [
        (
            "lago",
            OPENMETER,
            "column transaction_id, code, external_subscription_id, timestamp: found no such columns among data, id, "
            "source, specversion, subject, time, type; expected them, as events of lago have. hint: --from openmeter",
        ),
        (
            "cloudevents",
            lago(1),
            "column data: found no such column among code, external_subscription_id, properties, timestamp, "
            "transaction_id; expected it, as events of cloudevents have. hint: --from lago",
        ),
        (
            "cloudevents",
            OPENMETER,
            "column data: found model, tokens, type; expected an event as metering-duck has it. hint: --from openmeter",
        ),
        (
            "stripe",
            PAYLOAD,
            "column identifier, event_name, payload.stripe_customer_id, timestamp or created: found no such columns "
            "among id, properties, subject, time, type, universeID, workspaceID; expected them, as events of stripe "
            "have. hint: these are events as metering-duck has them; leave --from out",
        ),
        (
            "openmeter",
            {"id": "1"},
            "column type, subject, time: found no such columns among id; expected them, as events of openmeter have. "
            "hint: --map type=COLUMN --map subject=COLUMN --map time=COLUMN",
        ),
    ],
)
def test_a_wrong_shape_says_which_it_is(shape: str, event: Event, expected: str) -> None:
    """Input that has nothing of a shape is refused whole, with the shape that it has where that can be told."""
    with pytest.raises(SchemaError) as error:
        meter([event], metering("tokens"), from_=shape)

    assert f"a list of objects: {expected}" == str(error.value)


def test_columns_that_are_missing() -> None:
    """A table without the columns of a shape is refused, naming the shape; so are events that are not JSON text."""
    messages = []
    for shape, table in (
        ("lago", {"transaction_id": ["1"], "code": ["c"], "timestamp": [1], "external_subscription_id": ["s"]}),
        ("cloudevents", {"data": [{"id": "1"}]}),
    ):
        with pytest.raises(SchemaError) as error:
            meter(pa.table(table), metering("gb"), from_=shape)
        messages.append(str(error.value))

    expected = [
        "a pyarrow Table: column properties: found no such column among transaction_id, code, timestamp, "
        "external_subscription_id; expected it, as events of lago have. hint: --map properties=COLUMN",
        "a pyarrow Table: column data: found STRUCT(id VARCHAR); expected each event as JSON text. "
        "hint: write it as JSON text, which keeps every digit",
    ]
    assert expected == messages


def test_what_cannot_be_asked() -> None:
    """An unknown shape, one of records, and one without events are refused by name."""
    calls = (
        lambda: meter([LAGO], metering("gb"), from_="orb"),
        lambda: aggregate(records=[], from_="lago", aggregation="sum", start="2024-01-01", end="2024-02-01"),
        lambda: compile_sql(metering("gb"), from_="lago"),
    )
    messages = []
    for call in calls:
        with pytest.raises(ConfigError) as error:
            call()
        messages.append(str(error.value))

    expected = [
        'from: found "orb"; expected one of cloudevents, openmeter, lago, stripe.',
        "from: found 'lago' with records; expected events. hint: records have one shape",
        "from: found it without events; expected some, since their SQL depends on how they lie.",
    ]
    assert expected == messages


def test_check_and_compile_take_a_shape() -> None:
    """check counts what a shape's events become, and compile shows the SQL that reads them."""
    expected = 1
    assert expected == check(metering("gb"), [LAGO], from_="lago")["accounting"]["metered"]
    assert "'/external_subscription_id'" in compile_sql(metering("gb"), [LAGO], from_="lago")


def test_the_command_line(tmp_path: Path) -> None:
    """`aggregate --from openmeter` adds up an export as it was downloaded."""
    events, config, out = tmp_path / "export.json", tmp_path / "config.json", tmp_path / "readings.csv"
    events.write_text(json.dumps([{"event": OPENMETER}, {"event": OPENMETER | {"id": "00002"}}, {"event": OPENMETER}]))
    config.write_text(json.dumps(metering("tokens")))
    window = ["--start", "2024-01-01", "--end", "2024-02-01"]
    done = CliRunner().invoke(
        cli, ["aggregate", str(events), "--config", str(config), "--from", "openmeter", *window, "-o", str(out)]
    )

    assert "3 read = 2 metered + 0 unmatched + 1 duplicate + 0 conflicts + 0 rejected\n" == done.output
    assert ',"246912",' in out.read_text()
