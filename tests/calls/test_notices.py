"""What a call says of options that change nothing, and of levels that go on where they should not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import metering_duck
from metering_duck import ConfigError, RejectedEvents
from metering_duck.cli.main import cli
from metering_duck.ledger.ledger import Ledger
from tests.worlds import CLOCK, event, measuring

EVENTS = [event("1", "2024-01-02T00:00:00Z", {"q": "1"})]
MOMENTS = {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z", "clock": CLOCK}
DATES = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
BERLIN = {"timezone": "Europe/Berlin"}
IDLE_ZONE = "timezone: Europe/Berlin changes nothing: every bound has an offset, and nothing is cut by a calendar."
IDLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("sum", MOMENTS | BERLIN, [IDLE_ZONE]),
    ("sum", MOMENTS | BERLIN | {"every": "PT6H"}, [IDLE_ZONE]),
    ("sum", MOMENTS | BERLIN | {"every": "day"}, []),
    ("sum-of-max per day", MOMENTS | BERLIN, []),
    ("sum", DATES | BERLIN, []),
    (
        "sum",
        DATES | {"whole_periods": True},
        ["whole-periods: changes nothing: no period is cut. hint: --every month, or --start and --end"],
    ),
    ("sum", DATES | {"whole_periods": True, "every": "month"}, []),
    (
        "sum",
        DATES | {"digits": 5},
        ["digits: rounds averages, and there is none: quantities are texts with all their digits."],
    ),
    ("avg", DATES | {"digits": 5}, []),
    ("count", DATES | {"scale": 2}, ["scale: changes no number: every result is a whole number."]),
    ("sum", DATES | {"scale": 2}, []),
    (
        "sum-of-max by q2",
        DATES | {"group_by": "q2"},
        ["group-by: 'q2' is the inner dimension of sum-of-max by q2 too: each reading has one inner value."],
    ),
    (
        "sum-of-max per day",
        DATES | {"every": "day"},
        ["every: day is the inner window of sum-of-max per day too: each window has one inner window."],
    ),
    (
        "sum",
        MOMENTS | {"assume_timezone": "Europe/Berlin"},
        ["assume-timezone: Europe/Berlin changes nothing: every time has an offset."],
    ),
    ("sum", DATES | {"binary_as_text": True}, ["binary-as-text: changes nothing: no column has bytes."]),
    (
        "sum",
        DATES | {"folder_keys": True},
        ["folder-keys: changes nothing: no folder KEY=VALUE is a column of this input."],
    ),
    (
        "sum",
        DATES | {"generate_ids": True},
        [
            "generate-ids: a list of objects has ids, which are not used: each row counts, however often it was sent. "
            "hint: leave it out where an id is an event's"
        ],
    ),
    (
        "sum",
        DATES | {"map_universe": {"uu": "live"}},
        [
            "map-universe: no event has 'uu'; found 'u' in 1 event from 2024-01-02T00:00:00Z to 2024-01-02T00:00:00Z. "
            'hint: did you mean "u"?'
        ],
    ),
    ("sum", DATES | {"map_universe": {"u": "live"}}, []),
    ("sum", DATES | {"map_universe": {"u": "u"}}, ["map-universe: changes nothing for 'u', which keeps its name."]),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("aggregation", "asked", "expected"), IDLE)
def test_an_option_without_use_is_said(aggregation: str, asked: dict[str, Any], expected: list[str]) -> None:
    """An option that changes nothing in a call is a notice; one that does is none."""
    events = [event("1", "2024-01-02T00:00:00Z", {"q": "1", "q2": "x"})]
    with metering_duck.aggregate(events, measuring(aggregation), **asked) as result:
        assert expected == result.notices


def test_a_span_on_a_gauge_is_said() -> None:
    """A run whose gauge has a span says that the span changes nothing."""
    given = [event("1", "2024-01-02T00:00:00Z", {"q": "1", "a": "2024-01-02T00:00:00Z"})]
    with metering_duck.aggregate(given, measuring("peak-state", span={"start": "a"}), **DATES) as result:
        (told,) = result.notices
    assert told.startswith("measurements[0].span: changes nothing under peak-state: a level holds ")


# --- options that contradict each other ------------------------------------------------------------------------------


def test_options_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    """An option that could never do anything beside another is refused, and not ignored."""
    with pytest.raises(ConfigError, match="windows: found anchor beside them; expected one of the two"):
        metering_duck.aggregate(EVENTS, measuring("sum"), windows=[("2024-01-01", "2024-02-01")], anchor="2024-01-01")
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    with pytest.raises(ConfigError, match="as-was: found events beside it"):
        ledger.rerun("2024-01", as_was=True, events="events.ndjson")
    with pytest.raises(ConfigError, match="start, end: found one beside the period 2024-01"):
        ledger.simulate("2024-01", config=measuring("sum"), universe="simulation-x", start="2024-01-01")
    with pytest.raises(ConfigError, match="timezone: found it without a period"):
        ledger.simulate(config=measuring("sum"), universe="simulation-x", timezone="Europe/Berlin")
    with pytest.raises(ConfigError, match="by: found it without book"):
        ledger.restate("2024-01", by="me")
    with pytest.raises(ConfigError, match="run: found 1 with files, which are of no run"):
        ledger.export("files", run=1)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("fork-universe", "a", "b", "--generate-ids"), "--generate-ids: found it without EVENTS"),
        (("fork-universe", "a", "b", "--map", "id=x"), "--map: found it without EVENTS"),
        (("trace", "abcd", "--sql", "--limit", "5"), "--sql: found --limit or --output beside it"),
    ],
)
def test_the_command_line_refuses_what_it_would_ignore(tmp_path: Path, command: tuple[str, ...], message: str) -> None:
    """Options of a command that it would not look at are wrong usage."""
    done = CliRunner().invoke(cli, [*command, "--ledger", str(tmp_path / "ledger.duckdb")])

    assert (2, True) == (done.exit_code, message in done.stderr), done.stderr


# --- levels that go on -----------------------------------------------------------------------------------------------


def changing(at: str = "2024-01-11") -> dict[str, Any]:
    """A gauge whose unit changes with the entry."""
    gold, platinum = (
        [{"sourceProperty": "q", "unit": unit, "aggregation": "integral-hours"}] for unit in ("gold", "platinum")
    )
    return {
        "entries": [
            {"type": "t", "effectiveTo": at, "measurements": gold},
            {"type": "t", "effectiveFrom": at, "measurements": platinum},
        ]
    }


@pytest.mark.slow
def test_a_level_that_outlasts_its_entry_is_said_and_refused_by_strict(tmp_path: Path) -> None:
    """A run says which level goes on until when; strict exits with 3 and writes nothing; windows before are silent."""
    with metering_duck.aggregate(EVENTS, changing(), **DATES) as result:
        assert ["'gold' goes on", "'platinum' begins with"] == [" ".join(n.split()[4:7]) for n in result.notices]
        with pytest.raises(RejectedEvents, match="strict: entries"):
            result.refuse_rejects()
    with metering_duck.aggregate(EVENTS, changing(), **DATES | {"end": "2024-01-11"}, strict=True) as result:
        assert ([], 1) == (result.notices, result.count())
    config, events, out = tmp_path / "config.json", tmp_path / "events.ndjson", tmp_path / "readings.ndjson"
    config.write_text(json.dumps(changing()))
    events.write_text(json.dumps(EVENTS[0]))
    window = ["--start", "2024-01-01", "--end", "2024-02-01"]
    done = CliRunner().invoke(
        cli, ["aggregate", str(events), "--config", str(config), *window, "--strict", "-o", str(out)]
    )

    assert (3, False, 2) == (done.exit_code, out.exists(), done.stderr.count("error: strict: entries["))
    assert 3 == CliRunner().invoke(cli, ["check", str(config), "--strict"]).exit_code


def test_without_a_whole_period_that_is_said_and_nothing_of_levels() -> None:
    """Where no period is whole within the bounds there is no window, in which a level could outlast its entry."""
    bounds = {"start": "2024-01-15", "end": "2024-02-15", "every": "year", "whole_periods": True}
    with metering_duck.aggregate(EVENTS, changing(), **bounds) as result:
        assert 0 == result.count()
        (notice,) = result.notices
        assert notice.startswith("window: no period is whole within the bounds")


@pytest.mark.slow
def test_a_ledger_refuses_such_a_level_with_strict(tmp_path: Path) -> None:
    """A backfill says it; with strict it is refused, also where the period was metered before."""
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps(EVENTS[0]))
    ledger = Ledger.init(tmp_path / "ledger.duckdb")
    asked = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
    with pytest.raises(RejectedEvents, match=r"period .*: strict: entries"):
        ledger.backfill(str(events), changing(), **asked, strict=True)
    assert 0 == ledger.export("periods").count()
    (done,) = ledger.backfill(str(events), changing(), **asked)
    assert ("done", 2) == (done.status, len(done.notices))
    with pytest.raises(RejectedEvents, match=r"period .*: strict: entries"):
        ledger.backfill(str(events), changing(), **asked, strict=True)
    again = ledger.rerun("2024-01", clock=CLOCK)
    assert done.notices == again.notices


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_shows_the_times_of_types_and_warns_of_odd_ones() -> None:
    """check has the first and last time of each type, and warns of times before 2000 and after tomorrow."""
    given = [
        event("1", "1970-01-20T00:00:00Z", {"q": "1"}),
        event("2", "2024-06-02T23:59:59Z", {"q": "1"}),
        event("3", "2024-06-03T00:00:00Z", {"q": "1"}, type="u"),
    ]
    report = metering_duck.check(measuring("sum"), given, clock="2024-06-01T12:00:00Z")

    shown = [(row["type"], row["first_at"], row["last_at"]) for row in report["types"]]
    assert [
        ("t", "1970-01-20T00:00:00Z", "2024-06-02T23:59:59Z"),
        ("u", "2024-06-03T00:00:00Z", "2024-06-03T00:00:00Z"),
    ] == shown
    assert [
        "type 't': metered events have times before 2000, the first 1970-01-20T00:00:00Z. "
        "hint: are they seconds, taken for milliseconds?",
        "type 'u': metered events have times after tomorrow, the last 2024-06-03T00:00:00Z. "
        "hint: are they milliseconds, taken for seconds, or a clock that is wrong?",
    ] == report["warnings"]


def test_check_warns_of_odd_moments_of_entry() -> None:
    """What decides which event counts is looked at as times are: seconds as milliseconds, the far future. A zero is a
    reject: what was never set is no moment of entry."""
    entered = ("0001-01-01T00:00:00Z", "1970-01-20T00:00:00Z", "9999-12-31T00:00:00Z", "2024-05-30T00:00:00Z")
    given = [
        event(str(n), "2024-05-30T00:00:00Z", {"q": "1"}, type=f"t{n}", metered_at=moment)
        for n, moment in enumerate(entered)
    ]
    report = metering_duck.check(measuring("sum"), given, clock="2024-06-01T12:00:00Z")

    assert [
        "type 't1': metered events have metered_at before 2000, the first 1970-01-20T00:00:00Z. "
        "hint: are they seconds, taken for milliseconds?",
        "type 't2': metered events have metered_at after tomorrow, the last 9999-12-31T00:00:00Z. "
        "hint: are they milliseconds, taken for seconds, or a clock that is wrong?",
    ] == report["warnings"]
    assert {"metered-at-invalid": 1} == report["accounting"]["reasons"]
    assert {"type", "status", "events", "first_at", "last_at"} == report["types"][0].keys()


def test_check_warns_of_types_that_do_not_meet() -> None:
    """check names types that no entry matches, and entries that no event matches, with the nearest name."""
    config = {"entries": [{"type": "calls", "measurements": measuring("sum")["measurements"]}]}
    given = [event("1", "2024-01-02T00:00:00Z", {"q": "1"}, type="call")]
    report = metering_duck.check(config, given, clock=CLOCK)

    assert [
        "type 'call': no entry matches 1 event. hint: did you mean \"calls\"?",
        "entries[0]: no event has the type 'calls'. hint: did you mean \"call\"?",
    ] == report["warnings"]


def test_a_config_that_says_nothing_of_records_is_told() -> None:
    """Units that no record has, and aggregations in place of which the records have their own."""
    made = metering_duck.meter([event("1", "2024-01-02T00:00:00Z", {"q": "1"})], measuring("sum"), clock=CLOCK)
    (record,) = made.to_dicts()
    unit = record["unit"]
    measured = [
        {"sourceProperty": "q", "unit": f"{unit}s", "aggregation": "sum"},
        {"sourceProperty": "q", "unit": unit, "aggregation": "max"},
    ]
    window = {"start": "2024-01-01", "end": "2024-02-01", "clock": CLOCK}
    with metering_duck.aggregate(records=[record], config={"measurements": measured}, **window) as result:
        assert [row["aggregation"] for row in result.to_dicts()] == ["sum"]
        assert [
            f"measurements[1].aggregation: changes nothing: the records of {unit!r} are for sum.",
        ] == [notice for notice in result.notices if notice.startswith("measurements")]
    with metering_duck.aggregate(
        records=[record], config={"measurements": measured[1:]}, aggregation="max", **window
    ) as result:
        assert not [notice for notice in result.notices if notice.startswith("measurements")]
    with metering_duck.aggregate(records=[record], config={"measurements": measured[:1]}, **window) as result:
        expected = f"config: changes nothing: no record has the unit '{unit}s'. hint: did you mean \"{unit}\"?"
        assert expected in result.notices


def test_check_warns_of_units_that_look_alike() -> None:
    """Two units that differ in blanks or case alone are two readings, which a bill shows as if they were one."""
    measured = [{**measuring("sum")["measurements"][0], "unit": unit} for unit in ("calls", " calls ", "Calls", "x")]
    report = metering_duck.check({"measurements": measured}, clock=CLOCK)

    assert [
        f"measurements[{n}].unit: {unit!r} differs from 'calls' of measurements[0] in blanks or case only; "
        "they make readings apart."
        for n, unit in ((1, " calls "), (2, "Calls"))
    ] == [warning for warning in report["warnings"] if ".unit:" in warning]


def test_check_says_that_an_entry_of_all_types_does_not_match_by_workspace() -> None:
    """Where an entry is of every type, an event that none matches is of another workspace or time."""
    config = {"entries": [{"workspaceID": "w", "measurements": measuring("sum")["measurements"]}]}
    given = [event("1", "2024-01-02T00:00:00Z", {"q": "1"}, workspace="v", type="x")]

    assert ["type 'x': no entry matches 1 event, by workspace or time."] == metering_duck.check(config, given)[
        "warnings"
    ]


def test_check_says_that_options_of_events_need_events() -> None:
    """An option about events changes nothing where check has only a config, and that is a warning."""
    report = metering_duck.check(measuring("sum"), workspace=("acme",), from_="lago", map={}, generate_ids=False)

    assert ["workspace: changes nothing without events.", "from: changes nothing without events."] == report["warnings"]
