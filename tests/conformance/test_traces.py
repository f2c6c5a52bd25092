"""The public usage traces of shared/data through metering_duck.aggregate, against plain Python and Polars."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars
from plain_rules import EPOCH, Row, half_even, moment_us, readings
from shared_folder import need

import metering_duck

DATA: Path = need("data")
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
DAYS_30 = 30


def texts(name: str) -> polars.DataFrame:
    """A trace with every value as the text that it is in the file."""
    return polars.read_csv(DATA / name, infer_schema=False)


def text_us(text: str) -> int:
    """A trace's naive UTC time as microseconds; what is finer is cut toward the past (R11)."""
    whole, _, fraction = text.partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return moment_us(moment) + int(fraction[:6].ljust(6, "0"))


def values_by(result: metering_duck.Result, *names: str) -> dict[tuple[Any, ...], tuple[Fraction, int]]:
    """Quantity and record count of each reading by some of its columns; times as microseconds."""
    found = {}
    for row in result.to_dicts():
        label = tuple(moment_us(row[name]) if isinstance(row[name], datetime) else row[name] for name in names)
        assert label not in found
        found[label] = (Fraction(row["quantity"]), row["record_count"])
    return found


def test_llm_tokens_by_hour() -> None:
    """The hourly sums of both kinds of tokens are those of the file, and every row is accounted for."""
    name = "azure_llm_code.csv.gz"
    rows = texts(name).rows(named=True)
    # README.md of shared/data says 8,818 rows; the file holds 8,819.
    assert 8_819 == len(rows)
    sums: dict[tuple[str, int], tuple[Fraction, int]] = defaultdict(lambda: (Fraction(0), 0))
    first_of_id = {row["TIMESTAMP"]: row for row in reversed(rows)}
    assert len(rows) == len(first_of_id)
    for row in rows:
        hour = text_us(row["TIMESTAMP"]) // HOUR_US * HOUR_US
        for column, unit in (("ContextTokens", "context-tokens"), ("GeneratedTokens", "generated-tokens")):
            value, count = sums[unit, hour]
            sums[unit, hour] = (value + Fraction(row[column]), count + 1)
    config = {
        "measurements": [
            {"sourceProperty": "ContextTokens", "unit": "context-tokens"},
            {"sourceProperty": "GeneratedTokens", "unit": "generated-tokens"},
        ]
    }
    fields = {
        "time": "TIMESTAMP",
        "id": "TIMESTAMP",
        "workspace_id": "'azure'",
        "universe_id": "'production'",
        "type": "'llm'",
        "subject": "'code'",
    }
    with metering_duck.aggregate(
        DATA / name, config, map=fields, aggregation="sum", start="2023-11-16", end="2023-11-17", every="hour"
    ) as result:
        assert dict(sums) == values_by(result, "unit", "window_start")
        accounting = result.accounting
    finer = sum(row["TIMESTAMP"].partition(".")[2][6:].strip("0") != "" for row in rows)
    assert (8_819, 8_819, finer) == (accounting.read, accounting.metered, accounting.times_cut)
    assert accounting.balances


def test_image_generation_by_group() -> None:
    """The sums by subject are those of the rows with both measured properties; the others are rejected whole (R3)."""
    name = "alibaba_lora_2026.csv.gz"
    rows = texts(name).rows(named=True)
    complete = [row for row in rows if row["prompt_length"]]
    sums: dict[tuple[str, str], tuple[Fraction, int]] = defaultdict(lambda: (Fraction(0), 0))
    for row in complete:
        for column, unit in (("exec_time_seconds", "seconds"), ("prompt_length", "tokens")):
            value, count = sums[row["groupId"], unit]
            sums[row["groupId"], unit] = (value + Fraction(row[column]), count + 1)
    config = {
        "measurements": [
            {"sourceProperty": "exec_time_seconds", "unit": "seconds"},
            {"sourceProperty": "prompt_length", "unit": "tokens"},
        ]
    }
    fields = {
        "time": "gmt_create",
        "workspace_id": "'alibaba'",
        "universe_id": "'production'",
        "type": "predict_type",
        "subject": "groupId",
    }
    with metering_duck.aggregate(
        DATA / name, config, map=fields, generate_ids=True, aggregation="sum", start="2024-11-01", end="2025-01-01"
    ) as result:
        assert dict(sums) == values_by(result, "subject", "unit")
        accounting = result.accounting
        rejects = Counter(
            (row["reason"], row["measurement"], row["source_property"]) for row in result.rejects.to_pylist()
        )
    assert [len(rows) - len(complete)] == list(rejects.values())
    assert {"source-missing"} == {reason for reason, _, _ in rejects}
    assert {"prompt_length"} == {source for _, _, source in rejects}
    # Identical rows have no id of their own and are counted apart.
    assert len(rows) > len({tuple(row.values()) for row in rows})
    assert (26_823, 0, 0) == (accounting.read, accounting.duplicates, accounting.conflicts)
    assert accounting.balances


def test_gpu_duty_cycle_averages() -> None:
    """The hourly averages of a gauge with irregular samples are those of plain Fractions, to the last digit."""
    assert texts("pod_gpu_duty_cycle_anon.csv.gz")["timestamp_anon"].str.ends_with(".0").all()
    events = duty_cycles()
    assert 157_417 == events.height
    start, end = datetime(2022, 9, 11, 3, tzinfo=UTC), datetime(2022, 9, 11, 9, tzinfo=UTC)
    subjects = sorted(events["subject"].unique())[::12]
    rows = [
        Row(
            "w",
            "u",
            row["subject"],
            "percent",
            moment_us(row["time"].replace(tzinfo=UTC)),
            0,
            row["id"],
            Fraction(row["duty"]),
        )
        for row in events.filter(polars.col("subject").is_in(subjects)).to_dicts()
    ]
    expected = {}
    for hour in range(moment_us(start), moment_us(end), HOUR_US):
        for (_, _, subject, _), answer in readings(rows, "time-weighted-avg", hour, hour + HOUR_US).items():
            expected[subject, hour] = (half_even(answer.value, 18), answer.value, answer.record_count)
    config = {"measurements": [{"sourceProperty": "duty", "unit": "percent"}]}
    fields = {"workspace_id": "'w'", "universe_id": "'u'", "type": "'gauge'"}
    with metering_duck.aggregate(
        events,
        config,
        map=fields,
        aggregation="time-weighted-avg",
        start=start,
        end=end,
        every="hour",
        subject=subjects,
    ) as result:
        actual = {
            (row["subject"], moment_us(row["window_start"])): (
                Fraction(row["quantity"]),
                Fraction(row["numerator"]) / row["divisor_us"],
                row["record_count"],
            )
            for row in result.to_dicts()
        }
        accounting = result.accounting
    assert 12 == len(subjects)
    assert expected == actual
    assert (157_417, 157_417) == (accounting.read, accounting.metered)
    assert accounting.balances


def duty_cycles() -> polars.DataFrame:
    """The GPU duty cycles as events; ties at one moment are ordered by id (R13): by value, then place in the file."""
    return texts("pod_gpu_duty_cycle_anon.csv.gz").select(
        id=polars.format("{}-{}", "value", polars.int_range(polars.len()).cast(polars.String).str.zfill(7)),
        time=polars.from_epoch(polars.col("timestamp_anon").cast(polars.Float64).cast(polars.Int64), time_unit="s"),
        subject=polars.format("pod:{}", "container_ip"),
        duty="value",
    )


def hourly_numerators(frame: polars.DataFrame, start: int, end: int) -> dict[tuple[str, int], Fraction]:
    """Subject and hour → Σ level × microseconds, each level cut at the hours that it crosses (R14)."""
    found: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
    by_subject: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for row in frame.iter_rows(named=True):
        moment = moment_us(row["time"].replace(tzinfo=UTC))
        by_subject[row["subject"]].append((moment, row["id"], row["duty"]))
    for subject, levels in by_subject.items():
        levels.sort()
        for (since, _, duty), (until, *_) in zip(levels, [*levels[1:], (end, "", "")], strict=True):
            moment, until, level = max(since, start), min(until, end), Fraction(duty)
            while moment < until:
                cut = min(until, moment // HOUR_US * HOUR_US + HOUR_US)
                found[subject, moment // HOUR_US * HOUR_US] += level * (cut - moment)
                moment = cut
    return found


def test_hours_of_duty_cycles_roll_up_to_the_day() -> None:
    """All 157,417 readings: each container's hourly averages are those of Fractions, and hours give the day (R20)."""
    events = duty_cycles()
    day = datetime(2022, 9, 11, tzinfo=UTC)
    last = day + timedelta(days=2)
    start, end = moment_us(day), moment_us(last)
    assert start <= moment_us(events["time"].min().replace(tzinfo=UTC)) < moment_us(day) + DAY_US
    assert moment_us(events["time"].max().replace(tzinfo=UTC)) < end
    config = {"measurements": [{"sourceProperty": "duty", "unit": "percent", "aggregation": "time-weighted-avg"}]}
    given = {"map": {"workspace_id": "'w'", "universe_id": "'u'", "type": "'gauge'"}, "clock": day}
    window: dict[str, Any] = {**given, "start": day, "end": last}
    with metering_duck.aggregate(events, config, every="hour", **window) as hourly:
        hours = hourly.to_arrow()
    expected = hourly_numerators(events, start, end)
    averages = {key: (half_even(total / HOUR_US, 18), total) for key, total in expected.items()}
    actual = {
        (row["subject"], moment_us(row["window_start"])): (Fraction(row["quantity"]), Fraction(row["numerator"]))
        for row in hours.to_pylist()
    }
    assert averages == actual
    with (
        metering_duck.aggregate(events, config, every="day", **window) as direct,
        metering_duck.rollup(hours, every="day", start=day, end=last, clock=day) as rolled,
    ):
        assert direct.to_dicts() == rolled.to_dicts()
        assert direct.to_arrow().equals(rolled.to_arrow())
        assert events["subject"].n_unique() <= direct.count()


def rfc3339(us: int) -> str:
    """Microseconds since 1970 as text."""
    return (EPOCH + timedelta(microseconds=us)).isoformat()


def pods() -> list[dict[str, Any]]:
    """The GPU pods, their times in seconds since the trace's start."""
    return texts("alibaba_gpu_pods_2023.csv.gz").rows(named=True)


def test_pods_held_gpus() -> None:
    """A pod that holds its GPUs from creation to deletion averages GPUs × time held / the window, exactly."""
    events, expected = [], {}
    end_us = 120 * DAY_US
    for pod in pods():
        created, deleted = (int(pod[name]) * 1_000_000 for name in ("creation_time", "deletion_time"))
        for word, moment, gpus in (("1-created", created, pod["num_gpu"]), ("2-deleted", deleted, "0")):
            events.append(
                {"id": f"{pod['name']}-{word}", "time": rfc3339(moment), "subject": pod["name"], "num_gpu": gpus}
            )
        held = max(min(deleted, end_us) - max(created, end_us - DAYS_30 * DAY_US), 0)
        if created < end_us:
            expected[pod["name"]] = Fraction(int(pod["num_gpu"]) * held, DAYS_30 * DAY_US)
    config = {"measurements": [{"sourceProperty": "num_gpu", "unit": "gpus", "aggregation": "time-weighted-avg"}]}
    fields = {"workspace_id": "'w'", "universe_id": "'u'", "type": "'pod'"}
    with metering_duck.aggregate(
        polars.DataFrame(events), config, map=fields, start=rfc3339(end_us - DAYS_30 * DAY_US), end=rfc3339(end_us)
    ) as result:
        actual = {row["subject"]: Fraction(row["numerator"]) / row["divisor_us"] for row in result.to_dicts()}
        accounting = result.accounting
    assert expected == actual
    assert (2 * 8_152, 2 * 8_152) == (accounting.read, accounting.metered)
    assert accounting.balances


def test_pods_asked_for_by_day() -> None:
    """Sums, extremes and counts of the CPUs that pods ask for, by class and day, are those of the file."""
    by_day: dict[tuple[str, int], list[Fraction]] = defaultdict(list)
    events = []
    for pod in pods():
        moment = int(pod["creation_time"]) * 1_000_000
        by_day[pod["qos"], moment // DAY_US * DAY_US].append(Fraction(pod["cpu_milli"]))
        events.append(
            {"id": pod["name"], "time": rfc3339(moment), "subject": pod["qos"], "cpu_milli": pod["cpu_milli"]}
        )
    config = {"measurements": [{"sourceProperty": "cpu_milli", "unit": "millicpu"}]}
    fields = {"workspace_id": "'w'", "universe_id": "'u'", "type": "'pod'"}
    whole = {"sum": sum, "max": max, "min": min, "count": len}
    for aggregation, function in whole.items():
        with metering_duck.aggregate(
            polars.DataFrame(events),
            config,
            map=fields,
            aggregation=aggregation,
            start="1970-01-01",
            end="1971-01-01",
            every="day",
        ) as result:
            expected = {label: (Fraction(function(values)), len(values)) for label, values in by_day.items()}
            assert expected == values_by(result, "subject", "window_start")


def test_gpu_hours_by_day_are_all_gpu_hours() -> None:
    """GPUs × hours of every pod, split by day, add up to the total exactly, pod by pod (R26)."""
    events, expected = [], {}
    for pod in pods():
        created, deleted = (int(pod[name]) for name in ("creation_time", "deletion_time"))
        events.append(
            {
                "id": pod["name"],
                "time": rfc3339(created * 1_000_000),
                "subject": pod["name"],
                "gpus": pod["num_gpu"],
                "begins": str(created),
                "ends": rfc3339(deleted * 1_000_000),
                "seconds": str(deleted - created),
            }
        )
        expected[pod["name"]] = half_even(Fraction(int(pod["num_gpu"]) * (deleted - created), 3_600), 18)
    measured = {
        "sourceProperty": "gpus",
        "unit": "gpu-hours",
        "aggregation": "sum",
        "span": {"duration": "seconds", "unit": "seconds"},
        "timesDuration": "hours",
        "proration": "by-time",
    }
    fields = {"workspace_id": "'w'", "universe_id": "'u'", "type": "'pod'"}
    window: dict[str, Any] = {"map": fields, "start": "1970-01-01", "end": "1971-01-01"}
    with metering_duck.aggregate(polars.DataFrame(events), {"measurements": [measured]}, every="day", **window) as days:
        found: dict[str, Fraction] = defaultdict(Fraction)
        for row in days.to_dicts():
            found[row["subject"]] += Fraction(row["quantity"])
            assert row["prorated"] or row["quantity"] == expected[row["subject"]]
        accounting = days.accounting
    assert expected == dict(found)
    assert (8_152, 8_152) == (accounting.read, accounting.metered)
    whole = {key: value for key, value in measured.items() if key != "proration"}
    with metering_duck.aggregate(polars.DataFrame(events), {"measurements": [whole]}, **window) as total:
        assert sum(expected.values()) == sum(Fraction(row["quantity"]) for row in total.to_dicts())
