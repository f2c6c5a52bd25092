"""Metered events → records: one per measurement, or one bundle per event, with ids that are the same on every replay.

Pure text in, text out. The list of what an event measured is made here; sql/records.sql and sql/bundles.sql make rows
of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from metering_duck.decimals.columns import DecimalType, common_type
from metering_duck.judging.events import Compiler
from metering_duck.judging.slots import Slot, SlotMeasurement
from metering_duck.statements.quote import literal, literal_list
from metering_duck.statements.select import case, select, struct
from metering_duck.statements.stages import Query, Stage, load_stage

RECORD_DECIMAL = DecimalType(20, 18)


def records_query(compiler: Compiler, *, repeated: bool, bundled: bool) -> Query:
    """`records`: one row per event and measurement (R7), or per event, in the order of their keys."""
    observed = Stage(
        "observed",
        "what each metered event measured, and the dimensions that are left (R6)",
        select(
            {"observations": _observations_sql(compiler), "rest": _dimensions_sql(compiler)},
            "judged",
            star="*",
            where=["status = 'metered'"],
        ),
    )
    shaped = load_stage("bundles" if bundled else "records")
    return Query("records", (*compiler.judged(repeated=repeated), observed, shaped))


def _observations_sql(compiler: Compiler) -> str:
    """What an event measured, in the order of its entry."""
    decimal = _record_decimal(compiler.slots)
    identities = measurement_identities(compiler.measured)
    by_entry: dict[str, list[str]] = {}
    for placed in compiler.measured:
        observation = _observation_sql(placed, decimal, identities[placed.path])
        by_entry.setdefault(str(placed.entry), []).append(observation)
    lists = [(entry, f"[{', '.join(observations)}]") for entry, observations in by_entry.items()]
    return f"list_filter({case(lists, of='entry')}, lambda o: o IS NOT NULL)"


def _record_decimal(slots: Iterable[Slot]) -> DecimalType:
    """The DECIMAL of all records: DECIMAL(38, 18) wherever it holds them."""
    found = common_type((slot.decimal for slot in slots), "measurements")
    fits = found.integer_digits <= RECORD_DECIMAL.integer_digits and found.scale <= RECORD_DECIMAL.scale
    return RECORD_DECIMAL if fits else found


def _observation_sql(placed: SlotMeasurement, decimal: DecimalType, identity: str) -> str:
    slot = placed.slot
    observation = struct(
        {
            "quantity": f"CAST(v_{slot.index} AS {decimal.wide_sql})",
            "unit": slot.unit_sql,
            "aggregation": literal(slot.aggregation.text) if slot.aggregation else "CAST(NULL AS VARCHAR)",
            "measurement": literal(identity),
            "window_start": f"start_{slot.index}" if slot.span else "CAST(NULL AS TIMESTAMP)",
            "window_end": f"end_{slot.index}" if slot.span else "CAST(NULL AS TIMESTAMP)",
            "value": f"q_{slot.index}" if slot.counts_texts else "CAST(NULL AS VARCHAR)",
        }
    )
    return case({f"a_{slot.index}": observation})


def _dimensions_sql(compiler: Compiler) -> str:
    measured = [(str(n), literal_list(entry.source_properties)) for n, entry in enumerate(compiler.config.entries)]
    kept = f"lambda e: NOT list_contains({case(measured, of='entry')}, e.key)"
    return f"map_from_entries(list_filter(map_entries(properties), {kept}))"


def measurement_identities(placed: Iterable[SlotMeasurement]) -> dict[str, str]:
    """Path → what tells a measurement from the others of its entry (R7); a repeated one is counted."""
    seen: dict[tuple[int, str], int] = {}
    identities = {}
    for p in placed:
        chosen = p.measurement.filter
        sources = p.measurement.source_property
        parts = [
            *([""] if len(sources) > 1 else []),
            *(sources or ("", "")),
            p.measurement.unit,
            *(chosen.identity if chosen else ()),
        ]
        text = "".join(f"{len(part.encode())}:{part}" for part in parts)
        count = seen[p.entry, text] = seen.get((p.entry, text), 0) + 1
        identities[p.path] = text + (f"#{count}" if count > 1 else "")
    return identities
