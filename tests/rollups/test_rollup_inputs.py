"""Roll-ups, by example: where readings come from, what is refused in which words, and the command line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import csv, parquet

import metering_duck
from metering_duck import ConfigError, MeteringError, QuantityOverflow, SchemaError
from metering_duck.cli.main import cli
from metering_duck.contract.schemas import READING_SCHEMA
from tests.comparing import event, readings_of
from tests.worlds import CLOCK, measuring, rolled

COUNTERS = ("sum", "max", "min", "latest", "first", "count", "avg")
GAUGES = ("time-weighted-avg", "time-weighted-avg-known", "peak-state", "min-state", "final-state", "integral")
EVENTS = [event(n, f"2024-02-{n:02}T12:00:00.5Z", q=f"{n}.25", region="eu" if n % 3 else "us") for n in range(3, 29, 5)]
MONTH = {"start": "2024-02-01", "end": "2024-03-01"}
Row = dict[str, Any]


def days_of(*names: str, events: Sequence[Row] = EVENTS, **options: Any) -> list[Row]:
    """The days' readings of February, as dicts."""
    return readings_of(list(events), measuring(*names), every="day", **MONTH, **options)


def refused(readings: Any, kind: type[Exception] = ConfigError, **options: Any) -> str:
    """The message with which readings are refused."""
    with pytest.raises(kind) as raised:
        rolled(readings, **options)
    return str(raised.value)


# --- where readings come from ----------------------------------------------------------------------------------------


def test_nested_frames_are_read() -> None:
    """NDJSON that a frame library has read has STRUCTs for measurement, window and state; they are found there."""
    file = io.BytesIO()
    with metering_duck.aggregate(
        EVENTS, measuring(*COUNTERS, *GAUGES), every="day", group_by="region", clock=CLOCK, **MONTH
    ) as days:
        days.write_to(file, "ndjson")
    frame = polars.read_ndjson(file.getvalue(), infer_schema_length=None)
    assert "measurement" in frame.columns
    direct = readings_of(EVENTS, measuring(*COUNTERS, *GAUGES), group_by="region", **MONTH)
    assert direct == rolled(frame, **MONTH)


def test_contract_objects_are_read() -> None:
    """A list of MeterReading objects is readings, too."""
    from metering_duck import MeterReading

    file = io.BytesIO()
    with metering_duck.aggregate(EVENTS, measuring("sum", "integral"), every="day", clock=CLOCK, **MONTH) as days:
        days.write_to(file, "ndjson")
    objects = [MeterReading.model_validate_json(line) for line in file.getvalue().splitlines()]
    assert readings_of(EVENTS, measuring("sum", "integral"), **MONTH) == rolled(objects, **MONTH)


def test_a_result_is_read_as_it_is() -> None:
    """The readings of one call go into the next without a file between them; a stream is read once."""
    config = measuring(*COUNTERS, *GAUGES)
    with metering_duck.aggregate(EVENTS, config, every="day", clock=CLOCK, **MONTH) as days:
        assert readings_of(EVENTS, config, every="week", **MONTH) == rolled(days, every="week", **MONTH)


def test_times_of_any_offset_and_spelling_are_read() -> None:
    """A reading that another program wrote anew, with offsets, numbers and empty members, is the same reading."""
    days = [
        {
            **{name: value for name, value in row.items() if value is not None},
            "window_start": row["window_start"].isoformat(" "),
            "window_end": row["window_end"].strftime("%Y-%m-%dT%H:%M:%S") + "Z",
            "quantity": f"{row['quantity']:f}".rstrip("0") + "e0",
        }
        for row in days_of("sum", "latest")
    ]
    assert readings_of(EVENTS, measuring("sum", "latest"), **MONTH) == rolled(days, **MONTH)


def test_no_readings_give_none() -> None:
    """A day on which nobody used anything rolls up to nothing."""
    table = READING_SCHEMA.empty_table()
    assert rolled(table) == []
    assert rolled(table, every="month", **MONTH) == []
    assert rolled([], drop=["region"]) == []


def test_the_bounds_are_those_of_the_readings() -> None:
    """Without start and end the first and last bound of the readings are the window's."""
    events = [event(n, f"2024-02-{n:02}T12:00:00Z", q="1") for n in (3, 9)]
    (row,) = rolled(days_of("sum", events=events))
    (direct,) = readings_of(events, measuring("sum"), start="2024-02-03", end="2024-02-10")
    assert direct == row


@pytest.mark.slow
@pytest.mark.parametrize("fill", ["zero", "carry"])
def test_filled_readings_change_nothing(fill: str) -> None:
    """What --fill made is no record: of it only the windows count."""
    config = measuring(*COUNTERS, *GAUGES)
    days = readings_of(EVENTS, config, every="day", fill=fill, **MONTH)
    for every in ("week", None):
        assert readings_of(EVENTS, config, every=every, **MONTH) == rolled(days, every=every)


def test_readings_outside_the_windows_are_counted() -> None:
    """A reading in no new window is read and not used, and a notice says how many."""
    days = days_of("sum")
    with metering_duck.rollup(days, start="2024-02-04", end="2024-02-20", clock=CLOCK) as result:
        assert [row["quantity"] for row in result.to_dicts()] == [8 + 13 + 18 + 3 * 0.25]
        assert (result.accounting.read, result.accounting.metered) == (6, 6)
        assert result.accounting.balances
        assert result.notices == ["3 readings of 6 in no new window, not used."]


@pytest.mark.slow
def test_subscriptions_without_bounds_reach_as_far_as_the_readings() -> None:
    """The readings bound only periods that have no bound of their own."""
    subscriptions = [{"universe": "u", "subject": "customer:1", "anchor": "2024-01-15", "interval": "P1M"}]
    days = days_of(*COUNTERS)
    bounds = {"start": "2024-02-03", "end": "2024-02-29"}
    direct = readings_of(EVENTS, measuring(*COUNTERS), subscriptions=subscriptions, **bounds)
    assert direct == rolled(days, subscriptions=subscriptions)
    own = [{**subscriptions[0], "starts": "2024-01-20", "ends": "2024-03-10"}]
    assert readings_of(EVENTS, measuring(*COUNTERS), subscriptions=own) == rolled(days, subscriptions=own)


# --- rounding --------------------------------------------------------------------------------------------------------


@pytest.mark.sampled(6)
@pytest.mark.slow
@pytest.mark.parametrize("finer", [{}, {"scale": 1}, {"digits": 5}], ids=str)
@pytest.mark.parametrize("coarser", [{"scale": 1}, {"scale": 0}, {"digits": 34}, {"digits": 3}], ids=str)
def test_results_are_rounded_once(finer: Row, coarser: Row) -> None:
    """However the finer readings were rounded, the coarser ones are rounded from what is exact."""
    config = measuring(*COUNTERS, *GAUGES)
    days = metering_duck.aggregate(EVENTS, config, every="day", clock=CLOCK, **MONTH, **finer)
    with days:
        direct = readings_of(EVENTS, config, **MONTH, **coarser)
        assert direct == rolled(days.to_arrow(), **MONTH, **coarser)


def test_numbers_of_every_scale_stay_exact() -> None:
    """38 digits before the point in one unit and 38 behind it in another add up beside each other."""
    events = [event(n, f"2024-02-{n:02}T12:00:00Z", whole="9" * 38, part="0." + "9" * 38) for n in (3, 9)]
    wide = [("whole", 0), ("part", 38)]
    config = {
        "measurements": [
            {"sourceProperty": name, "unit": name, "aggregation": "avg", "precision": 38, "scale": scale}
            for name, scale in wide
        ]
    }
    options = {**MONTH, "scale": 0}
    days = readings_of(events, config, every="day", **options)
    assert readings_of(events, config, **options) == rolled(days, **options)


def test_a_sum_of_too_many_digits_is_an_error() -> None:
    """What has more than 38 digits names its unit, subject and window; it is never a wrong number (R18)."""
    events = [event(n, f"2024-02-{n:02}T12:00:00Z", q="9" * 20) for n in (3, 9)]
    message = refused(days_of("sum", events=events), QuantityOverflow, **MONTH)
    assert "sum of 'seats' for 'customer:1' in [2024-02-01T00:00:00Z, 2024-03-01T00:00:00Z)" in message
    assert rolled(days_of("sum", events=events), scale=0)[0]["quantity"] == 2 * (10**20 - 1)


def test_numbers_too_far_apart_are_an_error() -> None:
    """A number of 38 digits before the point and one of 38 behind it under one key do not fit one sum."""
    row = days_of("sum")[0]
    other = {**row, "window_start": "2024-02-20T00:00:00Z", "window_end": "2024-02-21T00:00:00Z"}
    message = refused([{**row, "quantity": "9" * 38}, {**other, "quantity": "0." + "1" * 38}], QuantityOverflow)
    assert "sum of 'seats' whose numbers together have more than 57 digits" in message


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ndjson", "parquet"])
def test_bundled_readings_are_refused(kind: str, tmp_path: Path) -> None:
    """Bundled readings lack the exact state, and the message says so."""
    path = tmp_path / f"days.{kind}"
    with metering_duck.aggregate(EVENTS, measuring("sum"), every="day", bundled=True, clock=CLOCK, **MONTH) as days:
        days.write(path)
    assert re.search("computed_?[vV]alues.* hint: aggregate again without --bundled", refused(path))


def test_what_is_no_reading_is_refused() -> None:
    """Events are not readings, a file of other columns neither; the message names what is missing."""
    assert "unit: found none" in refused(EVENTS, SchemaError)
    assert "column universe_id: found no such column" in refused(pa.table({"a": [1]}), SchemaError)


def test_approximate_numbers_are_refused() -> None:
    """A DOUBLE has lost digits already."""
    table = pa.Table.from_pylist([{**row, "quantity": 1.5, "dimensions": None} for row in days_of("sum")])
    assert "column quantity: found DOUBLE; expected DECIMAL or text" in refused(table, SchemaError)


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"quantity": "1_0"}, "column quantity: found '1_0' in a reading of 'customer:1'; expected plain decimal text"),
        ({"window_end": "yesterday"}, "column window_end: found 'yesterday'"),
        ({"window_end": "2024-02-01T00:00:00Z"}, "an RFC 3339 time after its start"),
        ({"record_count": "1.5"}, "column record_count: found '1.5' in a reading of 'customer:1'; expected a whole"),
        ({"subject": ""}, "column subject: found none; expected text"),
        ({"dimensions": "[1]"}, "column dimensions: found '[1]'"),
        ({"carried": "perhaps"}, "column carried: found 'perhaps'"),
        ({"max_metered_at": None}, "column max_metered_at: found none"),
        ({"last_event_id": None}, "expected text, which a reading of 'latest' has"),
        ({"aggregation": "avg"}, "column numerator: found none"),
        ({"aggregation": "time-weighted-avg-known", "numerator": "1"}, "column divisor_us: found none"),
        ({"aggregation": "lastest"}, 'found the aggregation "lastest"; expected one of sum, max, min, latest'),
        ({"aggregation": "sum-events"}, 'found the aggregation "sum-events"; expected its own name "sum"'),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_used_is_named(changed: Row, words: str) -> None:
    """One reading that was spoiled stops the roll-up; the message has its field, its text and its subject."""
    row = {**days_of("latest")[0], **changed}
    kind = ConfigError if "aggregation" in words.split(";")[0] else SchemaError
    assert words in refused([row], kind)


@pytest.mark.parametrize(
    "line", ["{", "[1]", '"x"', '{"subject": "a", "subject": "b"}'], ids=["cut", "array", "text", "repeated"]
)
def test_a_line_that_is_no_object_is_named(line: str, tmp_path: Path) -> None:
    """A line that is no JSON object, or has a name twice, is no reading."""
    path = tmp_path / "days.ndjson"
    path.write_text(line + "\n")
    assert f"column line: found {line!r}" in refused(path, SchemaError)


def test_every_refused_aggregation_says_why() -> None:
    """Each aggregation that does not combine is named with its reason and the way out, all at once."""
    days = [row for name in ("unique-count", "p95", "sum-of-max per hour") for row in days_of(name)]
    with pytest.raises(ConfigError) as raised:
        rolled(days)
    again = " hint: aggregate the events again, with the windows you want"
    assert raised.value.problems == [
        'readings: found the aggregation "p95", whose values a reading does not keep; expected what adds up.' + again,
        'readings: found the aggregation "sum-of-max", of two levels, whose inner values a reading does not keep; '
        "expected one level." + again,
        'readings: found the aggregation "unique-count", of texts that may occur in several windows; '
        "expected what adds up." + again,
    ]


def test_a_reading_twice_is_refused() -> None:
    """The same reading twice, alike or not, would count twice."""
    days = days_of("sum")
    assert (
        "the sum of 'seats' for 'customer:1' in [2024-02-03T00:00:00Z, 2024-02-04T00:00:00Z), twice, alike"
        in refused([*days, *days])
    )
    other = [{**row, "quantity": row["quantity"] + 1} for row in days]
    assert "twice, with different content" in refused([*days, *other])


def test_hours_and_days_together_are_refused() -> None:
    """An hour within a day would count twice."""
    hours = readings_of(EVENTS, measuring("sum"), every="hour", **MONTH)
    message = refused([*hours, *days_of("sum")])
    assert (
        "and one that overlaps it in [2024-02-03T12:00:00Z, 2024-02-03T13:00:00Z); expected each moment once" in message
    )


def test_what_straddles_is_named_with_its_boundary() -> None:
    """A day of UTC lies in two days of Berlin."""
    message = refused(days_of("sum"), every="day", timezone="Europe/Berlin")
    assert "for 'customer:1' in [2024-02-03T00:00:00Z, 2024-02-04T00:00:00Z), across the new boundary" in message
    assert "2024-02-03T23:00:00Z; expected each reading within one new window" in message
    before = refused(days_of("sum"), start="2024-02-03T06:00:00Z", end="2024-03-01")
    assert "across the new boundary 2024-02-03T06:00:00Z" in before


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", GAUGES)
def test_a_gauge_without_a_reading_is_refused(aggregation: str) -> None:
    """Once there is a level there is a reading in every window; a gap is missing readings, and is named."""
    days = days_of(aggregation)
    assert days[0]["window_start"].day == 3
    gap = [row for row in days if row["window_start"].day != 10]
    found = f"readings: found no {aggregation} of 'seats' for 'customer:1' in "
    assert found + "[2024-02-10T00:00:00Z, 2024-02-11T00:00:00Z)" in refused(gap, **MONTH)
    short = refused(days[:-1], **MONTH)
    assert found + "[2024-02-29T00:00:00Z, 2024-03-01T00:00:00Z)" in short
    late = refused(days[3:], **MONTH)
    assert found + "[2024-02-01T00:00:00Z, 2024-02-06T00:00:00Z)" in late
    assert len(rolled(gap, windows=[("2024-02-01", "2024-02-10"), ("2024-02-11", "2024-03-01")])) == 2


@pytest.mark.slow
def test_a_gauge_before_its_first_level_needs_no_reading() -> None:
    """A level that begins within the window has zero before it, as from the events."""
    assert readings_of(EVENTS, measuring(*GAUGES), **MONTH) == rolled(days_of(*GAUGES), **MONTH)


@pytest.mark.slow
def test_a_gauge_may_be_across_workspaces_already() -> None:
    """What was aggregated across workspaces is one series; counters of workspaces may still be added."""
    events = [*EVENTS, *({**found, "workspaceID": "w2"} for found in EVENTS)]
    config = measuring(*COUNTERS, *GAUGES)
    across = {**MONTH, "across_workspaces": True}
    days = readings_of(events, config, every="day", **across)
    assert readings_of(events, config, **across) == rolled(days, **across)
    assert "across-workspaces: found the final-state" in refused(days_of("final-state", events=events), **across)


def test_all_dimensions_can_be_dropped() -> None:
    """`*` adds up over whatever dimensions there are."""
    days = days_of(*COUNTERS, group_by=["region"])
    direct = readings_of(EVENTS, measuring(*COUNTERS), **MONTH)
    assert direct == rolled(days, drop="*", **MONTH)
    assert direct == rolled(days, drop="region", **MONTH)


def test_options_that_contradict_are_refused() -> None:
    """Windows beside an interval, scale beside digits, whole periods without bounds."""
    days = days_of("sum")
    assert "windows: found every beside them" in refused(days, windows=[("2024-02-01", "2024-03-01")], every="day")
    assert "scale: found digits beside it" in refused(days, scale=1, digits=2)
    assert "whole-periods: found no start or no end" in refused(days, every="month", whole_periods=True)
    assert "drop: found 'regoin'" in refused(days_of("sum", group_by="region"), drop=["regoin"])
    assert refused(days_of("sum", group_by="region"), drop=["regoin"]).endswith('did you mean "region"?')


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def days_file(tmp_path: Path) -> Path:
    """A file of days' readings by region."""
    path = tmp_path / "days.csv"
    options = {"every": "day", "group_by": "region", "clock": CLOCK, **MONTH}
    with metering_duck.aggregate(EVENTS, measuring("sum", "avg"), **options) as days:
        days.write(path)
    return path


def run(*arguments: str | Path) -> Any:
    """What a command gives."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_the_command_rolls_up(days_file: Path, tmp_path: Path) -> None:
    """Every option reaches the roll-up: the rows are those of the library, and the accounting is on standard error."""
    options = ("--every", "month", "--start", "2024-02-01", "--end", "2024-03-01", "--drop", "region", "--scale", "3")
    done = run("rollup", days_file, *options, "--across-workspaces", "--clock", CLOCK)
    assert done.exit_code == 0, done.stderr
    direct = metering_duck.aggregate(
        EVENTS, measuring("sum", "avg"), clock=CLOCK, scale=3, across_workspaces=True, **MONTH
    )
    with direct:
        direct.write(tmp_path / "month.ndjson")
    assert (tmp_path / "month.ndjson").read_text() == done.stdout
    assert done.stderr.startswith("12 read = 12 metered")


def test_the_command_writes_files(days_file: Path, tmp_path: Path) -> None:
    """-o writes where it is told, in the suffix's format, and never over an input."""
    target = tmp_path / "weeks.json"
    assert run("rollup", days_file, "--every", "week", "-o", target, "-q").stderr == ""
    assert {row["aggregation"] for row in json.loads(target.read_text())} == {"sum", "avg"}
    refused = run("rollup", days_file, "-o", days_file)
    assert (2, True) == (refused.exit_code, "which is an input; expected a file of its own" in refused.stderr)


def test_the_command_explains_itself(days_file: Path) -> None:
    """Without files it says what is missing; a refusal is one line and exit code 2."""
    assert "Missing argument 'READINGS...'" in run("rollup").stderr
    straddling = run("rollup", days_file, "--every", "day", "--timezone", "Asia/Tokyo")
    assert (2, 1) == (straddling.exit_code, straddling.stderr.count("\n"))
    assert straddling.stderr.startswith("error: readings: found the ")


def test_a_roll_up_has_no_opened_events() -> None:
    """What is known of opened events is known of records and readings, not of a roll-up, which has finer readings."""
    with metering_duck.rollup(days_of("sum"), clock=CLOCK) as result, pytest.raises(ConfigError, match="roll-up"):
        _ = result.opened


# --- one name, and every digit ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_parquet_of_two_scales_rolls_up_with_every_digit(tmp_path: Path) -> None:
    """No DECIMAL holds 18 digits before the point and 30 behind: such files are read as text, as from CSV."""
    january = [event(1, "2024-01-02T00:00:00Z", q="5")]
    february = [event(n, f"2024-02-0{n}T00:00:00Z", q="0.0000000000000000006") for n in (2, 3)]
    for suffix in ("parquet", "csv", "arrow"):
        (tmp_path / suffix).mkdir()
        for name, events, month, scale in (("a", january, ("01", "02"), 18), ("b", february, ("02", "03"), 30)):
            start, end = (f"2024-{number}-01" for number in month)
            config = {"measurements": [{**measuring("sum")["measurements"][0], "precision": 38, "scale": scale}]}
            with metering_duck.aggregate(events, config, start=start, end=end, every="day", clock=CLOCK) as days:
                days.write(str(tmp_path / suffix / f"{name}.{suffix}"))
        (row,) = rolled(str(tmp_path / suffix))
        assert Decimal("5.0000000000000000012") == row["quantity"]


def nested_days() -> list[Row]:
    """Days' readings as the objects of NDJSON."""
    file = io.BytesIO()
    with metering_duck.aggregate(EVENTS, measuring("sum"), every="day", clock=CLOCK, **MONTH) as days:
        days.write_to(file, "ndjson")
    return [json.loads(line) for line in file.getvalue().splitlines()]


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("other", ["workspaceID", "universeId", "recordCount", "lastEventID"])
def test_columns_for_one_field_are_refused(other: str, tmp_path: Path) -> None:
    """In a table, CSV and Parquet, of one file and of several: no column is taken without a word."""
    table = pa.Table.from_pylist(days_of("sum"), schema=READING_SCHEMA)
    twice = table.append_column(other, pa.array(["1"] * len(table)))
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet", "c.csv")]
    parquet.write_table(table.slice(0, 1), paths[0])
    parquet.write_table(twice.slice(1), paths[1])
    csv.write_csv(twice.drop_columns("dimensions"), paths[2])
    for readings in (twice, paths[1], paths[:2], paths[2]):
        assert re.search(rf"found .*{other}.*, which are one field", refused(readings, SchemaError))


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "other",
    [{"quantity": "7"}, {"unit": "x"}, {"workspace_id": "evil"}, {"window_start": "2024-01-01"}, {"record_count": 7}],
)
def test_objects_with_one_field_under_two_names_are_refused(other: Row) -> None:
    """`quantity` beside `measurement.quantity`, in objects and in a frame of them."""
    days = [{**row, **other} for row in nested_days()]
    assert "each field under one name" in refused(days, SchemaError)
    assert "which are one field" in refused(pa.Table.from_pylist(days), SchemaError)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", ["measurement", "window", "dimensions", "state", "subject"])
def test_objects_with_a_name_twice_are_refused(name: str, tmp_path: Path) -> None:
    """Within the objects of a reading, too."""
    member = {"measurement": "quantity", "window": "start", "subject": "subject"}.get(name, "x")
    lines = []
    for row in nested_days():
        whole = {**row, "dimensions": {"x": "1"}, "state": {"x": 1}}
        lines.append(json.dumps(whole).replace(f'"{member}": ', f'"{member}": "1", "{member}": '))
    path = tmp_path / "days.ndjson"
    path.write_text("\n".join(lines))
    assert re.search("each name in it once|key twice", refused(str(path), MeteringError))
