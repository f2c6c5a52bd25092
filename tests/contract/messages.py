"""What is said of configs and their measurements."""

from __future__ import annotations

from typing import Any

from tests.messages import FIRST_AGGREGATIONS, Event, M, config_of, entries_of, file

SOURCE = ("sourceProperty", ", unless the aggregation is count")
CONFIGS: dict[str, tuple[Any, str]] = {
    "no such file": (
        lambda: "nowhere.json",
        "nowhere.json: found no such file; expected a config in JSON. hint: --config FILE",
    ),
    "a folder": (lambda: ".", ".: cannot be read (Is a directory); expected a config in JSON, UTF-8."),
    "not JSON": (
        lambda: file("bad.json", "{"),
        "bad.json: is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); "
        "expected an "
        "object. hint: see `metering-duck schema`",
    ),
    "JSON text": (
        lambda: '{"measurements": [',
        "config: is not JSON (Expecting value: line 1 column 19 (char 18)); expected an object. hint: see "
        "`metering-duck schema`",
    ),
    "not UTF-8": (
        lambda: file("latin.json", '{"a": "é"}'.encode("latin1")),
        "latin.json: cannot be read ('utf-8' codec can't decode byte 0xe9 in position 7: invalid continuation byte); "
        "expected a config in JSON, UTF-8. hint: save it as UTF-8, or iconv -f ENCODING -t UTF-8",
    ),
    "a key twice": (
        lambda: file("twice.json", '{"measurements": [{"unit": "a", "unit": "b"}]}'),
        'twice.json: found the key "unit" twice in one object; expected it once.',
    ),
    "no object": (
        lambda: file("five.json", "5"),
        "five.json: found 5; expected an object with measurements or entries.",
    ),
    "a number": (lambda: 5, "config: found an int; expected a path, a dict or a MeteringConfig."),
    "nothing": (lambda: None, "config: found None; expected a path, a dict or a MeteringConfig."),
    "empty": (
        dict,
        "config: found no measurements; expected at least one. hint: known: measurements, observations, entries.",
    ),
    "a typing error": (
        lambda: {"measurments": []},
        'config: found no measurements; expected at least one. hint: did you mean "measurements"?',
    ),
    "no measurement": (lambda: {"measurements": []}, "config: measurements: is empty; at least one is required."),
    "no list": (lambda: {"measurements": {}}, "config: measurements: found {}; expected a list."),
    "both spellings": (
        lambda: {"measurements": [M], "observations": [M]},
        "config: found measurements and observations; expected one of them.",
    ),
    "no measurement but a number": (
        lambda: {"measurements": [5]},
        "config: measurements[0]: found 5; expected an object.",
    ),
    "no entry": (lambda: {"entries": []}, "config: entries: is empty; at least one is required."),
    "a key beside entries": (
        lambda: {**entries_of({}), "extra": 1},
        "config: found extra beside the entries; expected only entries.",
    ),
    "a missing key": (lambda: config_of(unit=...), "config: measurements[0].unit: is missing; it is required."),
    "all at once": (
        lambda: {"measurements": [{"unit": ""}, {"sourceProperty": 5, "unit": "x"}]},
        "config: measurements[0].sourceProperty: is missing; it is required, unless the aggregation is count.\n"
        'config: measurements[0].unit: is empty; a unit is required, e.g. "tokens".\n'
        "config: measurements[1].sourceProperty: found 5; expected text. hint: property values are text, write "
        "it in quotes.",
    ),
    "the first five": (
        lambda: {"measurements": [{}] * 4},
        "".join(
            f"config: measurements[{n // 2}].{key}: is missing; it is required{unless}.\n"
            for n, (key, unless) in enumerate([*[SOURCE, ("unit", "")] * 2, SOURCE])
        )
        + "and 3 more",
    ),
    "in the later spelling": (
        lambda: {"observations": [{"sourceProperty": "q", "unit": ""}]},
        'config: observations[0].unit: is empty; a unit is required, e.g. "tokens".',
    ),
    "in a catalog": (
        lambda: {"entries": [{"measurements": [M, config_of(unit="")["measurements"][0]]}]},
        'config: entries[0].measurements[1].unit: is empty; a unit is required, e.g. "tokens".',
    ),
    "an empty source": (
        lambda: config_of(sourceProperty=""),
        "config: measurements[0].sourceProperty: is empty; some text is required.",
    ),
    "a key that is none": (
        lambda: config_of(filtr={}),
        'config: measurements[0].filtr: is not a key of this object. hint: did you mean "filter"?',
    ),
    "a key of an entry that is none": (
        lambda: entries_of({"typ": "a"}),
        'config: entries[0].typ: is not a key of this object. hint: did you mean "type"?',
    ),
    "half a filter": (
        lambda: config_of(filter={"property": "a"}),
        'config: measurements[0].filter: found "property" alone; expected a condition beside it, such as "equals".',
    ),
    "a filter of another kind": (
        lambda: config_of(filter=[]),
        "config: measurements[0].filter: found []; expected an object.",
    ),
    "a filter value that is no text": (
        lambda: config_of(filter={"property": "a", "equals": True}),
        "config: measurements[0].filter.equals: found true; expected text. hint: property values are text, write "
        "it in quotes.",
    ),
    "an unknown aggregation": (
        lambda: config_of(aggregation="summ"),
        'config: measurements[0].aggregation: found "summ"; expected an aggregation. hint: did you mean "sum"?',
    ),
    "an empty aggregation": (
        lambda: config_of(aggregation=""),
        f"config: measurements[0].aggregation: found nothing; expected an aggregation. hint: {FIRST_AGGREGATIONS}",
    ),
    "too much precision": (
        lambda: config_of(precision=39),
        "config: measurements[0].precision: found 39; expected at most 38.",
    ),
    "no precision": (
        lambda: config_of(precision=0),
        "config: measurements[0].precision: found 0; expected at least 1.",
    ),
    "a precision in quotes": (
        lambda: config_of(precision="9"),
        'config: measurements[0].precision: found "9"; expected a whole number.',
    ),
    "more scale than precision": (
        lambda: config_of(precision=10, scale=11),
        "config: measurements[0]: scale 11 is more than precision 10; it may be at most that.",
    ),
    "a lone surrogate": (
        lambda: config_of(unit="x\ud800"),
        "config: measurements[0].unit: holds a lone surrogate, which is not text; expected Unicode text.",
    ),
    "a time that is none": (
        lambda: entries_of({"effectiveFrom": "yesterday"}),
        "config: entries[0].effectiveFrom: found 'yesterday'; expected a time such as \"2024-01-31T00:00:00Z\".",
    ),
    "a time that does not exist": (
        lambda: entries_of({"effectiveTo": "2024-02-30"}),
        'config: entries[0].effectiveTo: found "2024-02-30" (day is out of range for month); expected a time '
        "that exists.",
    ),
    "never in effect": (
        lambda: entries_of({"effectiveFrom": "2024-01-01", "effectiveTo": "2024-01-01"}),
        "config: entries[0]: effectiveTo is not after effectiveFrom; the entry would never be in effect.",
    ),
    "overlapping entries": (
        lambda: entries_of({"type": "a"}, {"type": "b"}, {"workspaceID": "w", "type": "a"}),
        "config: entries[0] and entries[2] could match the same event at the same time; expected one entry per "
        "workspace, "
        "type and moment.",
    ),
}


# One measurement.
MEASUREMENTS: dict[str, tuple[Event, str]] = {
    "no source": (
        {"sourceProperty": []},
        "config: measurements[0].sourceProperty: is empty; at least one is required.",
    ),
    "a source twice": (
        {"sourceProperty": ["q", "q"]},
        'config: measurements[0].sourceProperty: found ["q", "q"], a property twice; expected each once.',
    ),
    "a factor": (
        {"multiply": "a"},
        "config: measurements[0].multiply: found 'a'; expected digits such as 12.50 or 1e3.",
    ),
    "a float": (
        {"multiply": 1.5},
        'config: measurements[0].multiply: found 1.5; expected a decimal as text, such as "1.5".',
    ),
    "zero": (
        {"divide": "0"},
        "config: measurements[0].divide: found zero; expected another number.",
    ),
    "a long factor": (
        {"multiply": "1.123456789012345678", "divide": "7000000000000000001"},
        "config: measurements[0].divide: found '7000000000000000001'; expected at most 18 digits before the point.",
    ),
    "rounding": (
        {"rounding": "up"},
        "config: measurements[0].rounding: found \"up\"; expected 'half-even', 'half-up', 'ceiling' or 'floor'.",
    ),
    "values": (
        {"values": "delta"},
        "config: measurements[0].values: found \"delta\"; expected 'levels' or 'deltas'.",
    ),
    "deltas of a sum": (
        {"values": "deltas"},
        "config: measurements[0]: found deltas with sum; expected a gauge, such as time-weighted-avg.",
    ),
    "known": (
        {"divisor": "known"},
        "config: measurements[0]: found the divisor known with sum; expected time-weighted-avg.",
    ),
    "inner of one level": (
        {"innerWindow": "hour"},
        'config: measurements[0]: found innerWindow with sum; expected two levels, such as "sum-of-max".',
    ),
    "no inner": (
        {"aggregation": "sum-of-max"},
        "config: measurements[0]: found sum-of-max alone; expected innerWindow or innerDimension beside it.",
    ),
    "both inner": (
        {"aggregation": "sum-of-max", "innerWindow": "hour", "innerDimension": "k"},
        "config: measurements[0]: found innerWindow and innerDimension; expected one of the two.",
    ),
    "an inner window": (
        {"aggregation": "sum-of-max", "innerWindow": "moon"},
        "config: measurements[0].innerWindow: found 'moon'; expected hour, day, week, month, quarter, year, "
        'week-sunday or an ISO 8601 duration such as PT15M. hint: did you mean "month"?',
    ),
    "span": (
        {"span": 5},
        "config: measurements[0].span: found 5; expected an object.",
    ),
    "a span of nothing": (
        {"span": {}},
        "config: measurements[0].span: found no property; expected start, end or duration.",
    ),
    "a span of three": (
        {"span": {"start": "a", "end": "b", "duration": "c", "unit": "hours"}},
        "config: measurements[0].span: found start, end and duration; expected two of them at most.",
    ),
    "a duration without a unit": (
        {"span": {"duration": "c"}},
        "config: measurements[0].span: found one of duration and unit; expected both or neither.",
    ),
    "a unit": (
        {"span": {"duration": "c", "unit": "fortnights"}},
        "config: measurements[0].span.unit: found \"fortnights\"; expected 'microseconds', 'milliseconds', "
        "'seconds', 'minutes', 'hours' or 'days'.",
    ),
    "eventTime": (
        {"span": {"start": "a", "eventTime": "end"}},
        "config: measurements[0].span: found eventTime beside start or end; expected it only beside a duration alone.",
    ),
    "a key of a span": (
        {"span": {"begin": "a"}},
        "config: measurements[0].span.begin: is not a key of this object. hint: known: start, end, duration, "
        "unit, eventTime, and 1 more.",
    ),
    "proration without a span": (
        {"proration": "by-time"},
        'config: measurements[0]: found proration without a span; expected one. hint: "span": {"start": '
        '"from", "end": "to"}.',
    ),
    "proration of a maximum": (
        {"aggregation": "max", "span": {"start": "a"}, "proration": "by-time"},
        "config: measurements[0]: found proration by-time with max; expected sum.",
    ),
    "timesDuration": (
        {"timesDuration": "hours"},
        'config: measurements[0]: found timesDuration without a span; expected one. hint: "span": {"start": '
        '"from", "end": "to"}.',
    ),
    "resultScale": (
        {"resultScale": -39},
        "config: measurements[0].resultScale: found -39; expected at least -38.",
    ),
}
