"""Options and the environment: what is read, how it is read, and what readings look like."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.running import AGGREGATE, METER, WINDOW, amounts, good, rows, run

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.slow
def test_options_choose_what_is_read() -> None:
    """--workspace, --universe and --as-of choose events; each may be repeated, and what is left out is not read."""
    found = {
        "workspace": amounts(*METER, "--workspace", "globex"),
        "both": amounts(*METER, "--workspace", "globex", "--workspace", "acme"),
        "universe": amounts(*METER, "--universe", "production"),
        "neither": amounts(*METER, "--workspace", "globex", "--universe", "production"),
        "as of": amounts(*METER, "--as-of", "2024-01-01T10:05:00Z"),
    }

    assert {"workspace": ["2.5"], "both": ["100", "2.5"], "universe": ["100"], "neither": [], "as of": ["100"]} == found
    assert "1 read = 1 metered" in run(*METER, "--as-of", "2024-01-01T10:05:00Z").stderr


def test_options_choose_the_readings() -> None:
    """--aggregation, --every, --group-by, --subject and --across-workspaces do what they say."""
    base = ("aggregate", "events.csv", "--config", "plain.json", *WINDOW)
    config = ("aggregate", "events.csv", "--config", "config.json", *WINDOW)
    both = (*config, "--map", "universe_id='one'", "--map", "subject='all'")

    assert ["1", "1"] == amounts(*config, "--aggregation", "count")
    assert ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"] == [
        r["window"]["start"] for r in rows(*config, "--every", "day")
    ]
    assert [{"region": "eu"}, {"region": "us"}] == [r["dimensions"] for r in rows(*config, "--group-by", "region")]
    assert [None, None] == [r.get("dimensions") for r in rows(*config)]
    assert ["2.5"] == amounts(*config, "--subject", "customer:b")
    assert ["100", "2.5"] == amounts(*config, "--subject", "customer:b", "--subject", "customer:a")
    assert (["100", "2.5"], ["102.5"]) == (amounts(*both), amounts(*both, "--across-workspaces"))
    assert 2 == run(*base).exit_code
    assert ["100", "2.5"] == amounts(*base, "--aggregation", "max-event")


def test_scale_and_digits_round_the_result() -> None:
    """--scale is fraction digits, --digits significant ones; both round half to even, once."""
    average = (*AGGREGATE, "--aggregation", "time-weighted-avg", "--workspace", "globex")

    assert ["2.385752688172043011"] == amounts(*average)
    assert ["2.3858"] == amounts(*average, "--scale", "4")
    assert ["2.38575268817204301075268817204"] == amounts(*average, "--digits", "30")
    assert 2 == run(*average, "--scale", "4", "--digits", "30").exit_code


def test_map_zone_and_ids_say_how_to_read() -> None:
    """--map, --assume-timezone and --generate-ids read a file that has other columns."""
    Path("usage.csv").write_text(
        "when,who,tokens\n2024-07-01 12:00:00,a,1\n2024-07-01 12:00:00,a,1\n", encoding="utf-8"
    )
    maps = ("time=when", "subject=who", "workspace_id='w'", "universe_id='it''s'", "type='t'")
    options = [part for text in maps for part in ("--map", text)]
    found = rows(
        "meter", "usage.csv", "--config", "plain.json", *options, "--generate-ids", "--assume-timezone", "Europe/Berlin"
    )

    assert ["2024-07-01T10:00:00Z"] * 2 == [r["recordedAt"] for r in found]
    assert (2, {"it's"}, {"a"}) == (
        len({r["id"] for r in found}),
        {r["universeID"] for r in found},
        {r["subject"] for r in found},
    )


def test_the_clock_is_the_only_time_of_the_run() -> None:
    """--clock is createdAt, and meteredAt where events have none: two runs give the same bytes."""
    first, second = good(*AGGREGATE), good(*AGGREGATE)

    assert first == second
    assert {"2024-06-01T00:00:00Z"} == {json.loads(line)["createdAt"] for line in first.splitlines()}


def test_bundled_rows_hold_all_measurements_of_one() -> None:
    """--bundled writes one record per event and one reading per key."""
    record, reading = rows(*METER, "--bundled")[0], rows(*AGGREGATE, "--bundled")[0]

    assert ("100", "tokens") == (record["observations"][0]["quantity"], record["observations"][0]["unit"])
    assert [{"quantity": "100", "unit": "tokens", "aggregation": "sum"}] == reading["computedValues"]


@pytest.mark.slow
def test_records_are_read_without_a_config(folder: Path) -> None:
    """--records FILE, repeated, aggregates what meter wrote; without --config EVENTS are records."""
    for workspace in ("acme", "globex"):
        good(*METER, "--workspace", workspace, "-o", f"{workspace}.ndjson")
    both = ("--records", "acme.ndjson", "--records", "globex.ndjson")

    assert ["100", "2.5"] == amounts("aggregate", *both, *WINDOW)
    assert ["100", "2.5"] == amounts("aggregate", "acme.ndjson", "globex.ndjson", *WINDOW)
    assert ["1", "1"] == amounts("aggregate", *both, *WINDOW, "--aggregation", "count")


def test_machine_options_change_no_byte(folder: Path) -> None:
    """--threads, --memory-limit and --temp-dir change no byte, and the temporary folder is empty afterwards."""
    (folder / "scratch").mkdir()
    options = ("--threads", "1", "--memory-limit", "500MB", "--temp-dir", "scratch")

    assert (good(*AGGREGATE), []) == (good(*AGGREGATE, *options), os.listdir("scratch"))


ENVIRONMENTS = [
    ("METERING_DUCK_CONFIG", "config.json", ("meter", "events.csv"), 0),
    ("METERING_DUCK_CONFIG", "nowhere.json", ("meter", "events.csv"), 2),
    ("METERING_DUCK_CONFIG", "nowhere.json", METER, 0),
    ("METERING_DUCK_FORMAT", "csv", METER, 0),
    ("METERING_DUCK_FORMAT", "excel", METER, 2),
    ("METERING_DUCK_FORMAT", "excel", (*METER, "--format", "csv"), 0),
    ("METERING_DUCK_THREADS", "1", METER, 0),
    ("METERING_DUCK_THREADS", "none", METER, 2),
    ("METERING_DUCK_MEMORY_LIMIT", "500MB", METER, 0),
    ("METERING_DUCK_MEMORY_LIMIT", "much", METER, 2),
    ("METERING_DUCK_MEMORY_LIMIT", "much", (*METER, "--memory-limit", "500MB"), 0),
    ("METERING_DUCK_TEMP_DIR", ".", METER, 0),
    ("METERING_DUCK_TEMP_DIR", "nowhere", METER, 2),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("name", "value", "arguments", "code"), ENVIRONMENTS)
def test_the_environment_sets_options_and_flags_overrule_it(
    name: str, value: str, arguments: Sequence[str], code: int
) -> None:
    """METERING_DUCK_ variables are defaults of --config, --format, --threads, --memory-limit and --temp-dir."""
    done = run(*arguments, env={name: value})

    assert code == done.exit_code
    assert (value == "csv" or "--format" in arguments) == done.stdout.replace('"', "").startswith("id,workspace_id,")


def test_check_takes_its_config_first_or_from_the_option_or_the_environment() -> None:
    """`check CONFIG EVENTS`, `check --config CONFIG EVENTS`, and METERING_DUCK_CONFIG say the same."""
    wanted = good("check", "config.json", "events.csv")

    assert wanted == good("check", "--config", "config.json", "events.csv")
    assert wanted == run("check", "events.csv", env={"METERING_DUCK_CONFIG": "config.json"}).stdout
