"""Records → `judged`: the same verdicts for records that were metered before, here or elsewhere.

A record is already one measurement, so there is one quantity; its unit is a column of the data. A config is not needed;
where one is given, its precision, scale and aggregation apply by unit. There is one slot for each aggregation and
DECIMAL that the records have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metering_duck.contract import aggregations
from metering_duck.contract.aggregations import Aggregation
from metering_duck.contract.config import MeteringConfig
from metering_duck.contract.definitions import COUNTERS, GAUGES, OTHER_NAMES
from metering_duck.contract.measurements import Measurement
from metering_duck.decimals.columns import DIGITS_MAX, HALF_EVEN, SCALE_DEFAULT, DecimalType, decimal_of_type
from metering_duck.errors import ConfigError, first_few
from metering_duck.inputs.layout import Layout
from metering_duck.judging.arrivals import Selection, accepted_stage, arrivals_stages
from metering_duck.judging.events import dimensions_sql
from metering_duck.judging.quantities import Parsed, quantified_stages
from metering_duck.judging.rejects import rejects_query
from metering_duck.judging.slots import Slot
from metering_duck.statements.quote import literal, literal_list
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage

# How the quantities of a record are held and rounded: DECIMAL, fraction digits of results, rounding.
RecordShape = tuple[DecimalType, int | None, str]
DEFAULT_RECORD_SHAPE: RecordShape = (DecimalType(DIGITS_MAX - SCALE_DEFAULT, SCALE_DEFAULT), None, HALF_EVEN)


@dataclass(frozen=True)
class RecordCompiler:
    """A layout of records and a selection, from which the stages up to `judged` are made.

    `found` are the aggregations that the records have, when none is chosen for all, and `by_unit` those of each unit;
    see `aggregations_query`.
    """

    config: MeteringConfig | None
    layout: Layout
    selection: Selection
    aggregation: str | None = None
    group_by: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    by_unit: Mapping[str, Collection[str]] = field(default_factory=dict)

    @property
    def properties(self) -> list[str]:
        """The dimensions that are grouped by, and inner ones; the Nth is column p_N."""
        inner = {by for text in self.found if (by := aggregations.parse(text, "records").by)}
        return sorted(inner | set(self.group_by))

    def _measurements(self) -> dict[str, list[Measurement]]:
        by_unit: dict[str, list[Measurement]] = {}
        for _, measurement in self.config.measurements if self.config else []:
            by_unit.setdefault(measurement.unit, []).append(measurement)
        return dict(sorted(by_unit.items()))

    def _default_shape(self) -> RecordShape:
        """The input's own DECIMAL where the quantity is one, else DECIMAL(38, 18)."""
        kind = self.layout.quantity_type
        own = decimal_of_type(kind) if kind.startswith("DECIMAL") else None
        return (DecimalType(DIGITS_MAX - own.scale, own.scale), None, HALF_EVEN) if own else DEFAULT_RECORD_SHAPE

    def _shapes(self) -> dict[RecordShape, list[str]]:
        """DECIMAL → the units that the config gives it; none for the default, which is that of all other units."""
        default = self._default_shape()
        shapes: dict[RecordShape, list[str]] = {default: []}
        for unit, measurements in self._measurements().items():
            own = {(DecimalType(m.integer_digits, m.scale), m.result_scale, m.rounding) for m in measurements}
            shapes.setdefault(own.pop() if len(own) == 1 else default, []).append(unit)
        return shapes | {default: []}

    def _aggregation_sql(self) -> str:
        """The aggregation of a record: the call's, else its own, else its unit's in the config."""
        if self.aggregation:
            return case(self._as_chosen(), literal(self.aggregation), of="aggregation")
        other_names = [(literal(name), literal(known)) for name, known in OTHER_NAMES.items()]
        own = case(other_names, "nullif(aggregation, '')", of="aggregation")
        of_unit = [
            (literal(unit), literal(found[0].text))
            for unit, measurements in self._measurements().items()
            if len(found := list({a for m in measurements if (a := m.aggregated())})) == 1
        ]
        return f"coalesce({own}, {case(of_unit, of='unit')})"

    @property
    def slots(self) -> list[Slot]:
        """One slot for each aggregation and DECIMAL."""
        found = [aggregations.parse(text, "records") for text in sorted(set(self.found))]
        made = [(aggregation, *shape) for aggregation in found for shape in self._shapes().items()]
        return [_slot(n, *one, self.properties) for n, one in enumerate(made)]

    @property
    def constants(self) -> dict[str, str]:
        """The columns of a reading's key that are the same in every row, with their SQL."""
        return self.layout.constants | ({} if self.group_by else {"dimensions": dimensions_sql({})})

    def arrivals(self, *, suspects: bool = False) -> list[Stage]:
        """From the input to `arrivals`: one row per record read."""
        return arrivals_stages(self.layout, self.properties, self.selection, suspects=suspects)

    def judged(self, *, repeated: bool) -> list[Stage]:
        """From the input to `judged`: one row per record, its quantity, and its status (R9)."""
        return [
            *self.chosen(repeated=repeated),
            Stage(
                "projected",
                "the quantity's text in the slot of its aggregation and DECIMAL",
                self._projected_sql(),
                self._legend,
            ),
            *quantified_stages(self.parsed),
            Stage("judged", "a record is metered or rejected (R9)", self._judged_sql()),
        ]

    @property
    def _legend(self) -> tuple[str, ...]:
        """What each slot is, a sentence each."""
        named = [(slot, slot.aggregation_shown) for slot in self.slots if slot.aggregation]
        return tuple(f"Slot {slot.index} is records for {text}, in {slot.decimal.sql}." for slot, text in named)

    def chosen(self, *, repeated: bool) -> list[Stage]:
        """From the input to `chosen`: which aggregation each record is for."""
        shapes = [
            (f"unit IN ({', '.join(map(literal, units))})", str(n))
            for n, units in enumerate(self._shapes().values())
            if n and units
        ]
        columns = {
            "shape": case(shapes, "0"),
            "dimensions": dimensions_sql(
                {name: f"p_{n}" for n, name in enumerate(self.properties) if name in self.group_by}
            ),
        }
        sql = select(columns, "accepted", star=f"* REPLACE ({self._aggregation_sql()} AS aggregation)")
        return [
            *self.arrivals(),
            accepted_stage(repeated=repeated),
            Stage("chosen", "which aggregation a record is for, and its dimensions", sql),
        ]

    @property
    def parsed(self) -> list[Parsed]:
        return [Parsed(f"q_{slot.index}", f"v_{slot.index}", slot.decimal) for slot in self.slots]

    def _projected_sql(self) -> str:
        shapes = list(self._shapes())
        texts = {}
        for slot in self.slots:
            shape = shapes.index((slot.decimal, slot.result_scale, slot.rounding))
            text = slot.aggregation.text if slot.aggregation else ""
            applies = f"aggregation = {literal(text)} AND shape = {shape}"
            texts[f"q_{slot.index}"] = case({applies: "quantity"})
            if slot.is_prorated:
                texts |= {f"start_{slot.index}": "window_start", f"end_{slot.index}": "window_end"}
            if slot.counts_texts:
                texts[f"value_{slot.index}"] = "value"
        return select(texts, "chosen", star="*")

    def _judged_sql(self) -> str:
        measured = " OR ".join(f"v_{slot.index} IS NOT NULL" for slot in self.slots) or "FALSE"
        rejected = [f"reason IS NOT NULL OR NOT ({measured})", *(condition for condition, _ in self._lacking())]
        columns = {"status": case([(condition, "'rejected'") for condition in rejected], "'metered'")}
        return select(columns, "quantified", star="*")

    def _lacking(self) -> list[tuple[str, str]]:
        """When a record lacks what its aggregation needs beside the quantity, and the reason."""
        lacking = []
        for slot in self.slots:
            n = slot.index
            if slot.counts_texts:
                lacking.append((f"v_{n} IS NOT NULL AND value_{n} IS NULL", "'value-missing'"))
            if slot.is_prorated:
                lacking.append((f"v_{n} IS NOT NULL AND (start_{n} IS NULL OR end_{n} IS NULL)", "'span-missing'"))
        return lacking

    def _as_chosen(self) -> list[tuple[str, str]]:
        """What records say of their quantities stays true under the one aggregation chosen for all: deltas, spans."""
        chosen = aggregations.parse(str(self.aggregation), "aggregation")
        if chosen.is_gauge and not chosen.deltas:
            deltas = literal(replace(chosen, deltas=True).text)
            names = [replace(chosen, function=name, deltas=True, outer=None, per=None, by=None).text for name in GAUGES]
            return [(literal(name), deltas) for name in names]
        if chosen.definition.prorated_name and not chosen.prorated:
            return [(literal(chosen.definition.prorated_name), literal(replace(chosen, prorated=True).text))]
        return []

    def aggregations_query(self) -> Query:
        """Which aggregations the records have, by unit."""
        sql = select(
            names(("aggregation", "unit")),
            "chosen",
            where=["reason IS NULL"],
            group_by=["aggregation", "unit"],
            order_by=["aggregation", "unit"],
        )
        return Query(
            "aggregations",
            (*self.chosen(repeated=False), Stage("aggregations", "the aggregations that records are for", sql)),
        )

    def with_found(self, rows: Sequence[tuple[str | None, str]]) -> RecordCompiler:
        """This compiler, knowing the aggregations that the records have; without any record, any will do.

        Raises: ConfigError for a record without one, and for one that does not exist.
        """
        lacking = [unit for name, unit in rows if name is None]
        if lacking:
            raise ConfigError(
                f"records: found no aggregation for the unit {first_few(map(repr, lacking))}; expected one of "
                f"{', '.join((*COUNTERS, *GAUGES))}. hint: --aggregation sum"
            )
        by_unit = _by_unit([(str(name), unit) for name, unit in rows])
        found = tuple(sorted(set().union(*by_unit.values())))
        return replace(self, found=found or (self.aggregation or "sum",), by_unit=by_unit)

    def rejects(self, *, repeated: bool) -> Query:
        """One row per rejected record."""
        shapes = [decimal for decimal, *_ in self._shapes()]
        faults = {
            "measurement": "CAST(NULL AS VARCHAR)",
            "source_property": case({"reason IS NULL": "'quantity'"}),
            "unit": "unit",
            "faulty_text": "quantity",
            "known_reason": case(self._lacking()),
            "integer_digits": case(((str(n), str(t.integer_digits)) for n, t in enumerate(shapes)), of="shape"),
            "fraction_digits": case(((str(n), str(t.scale)) for n, t in enumerate(shapes)), of="shape"),
        }
        return rejects_query(self.judged(repeated=repeated), faults)


def _by_unit(rows: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Unit → the aggregations that its records are for.

    Raises: ConfigError for one that does not exist.
    """
    found: dict[str, set[str]] = {}
    for name, unit in rows:
        text = aggregations.canonical(name, f"records of {unit!r}: aggregation")
        aggregations.check_inner(aggregations.parse(text, "records"), "records: aggregation")
        found.setdefault(unit, set()).add(text)
    return found


def twins_queries(judge: RecordCompiler) -> list[Query]:
    """The first unit with several aggregations of one name, for each name that several have.

    Readings of them would have one id (R21): these queries are run before the records are judged.
    """
    by_name: dict[str, list[str]] = {}
    for text in sorted(set(judge.found)):
        by_name.setdefault(aggregations.parse(text, "records").keyed, []).append(text)
    queries = []
    for texts in by_name.values():
        if len(texts) > 1:
            several = ["reason IS NULL", f"list_contains({literal_list(texts)}, aggregation)"]
            columns = {"unit": "unit", "aggregations": "list(DISTINCT aggregation ORDER BY aggregation)"}
            by_unit = select(columns, "chosen", where=several, group_by=["unit"])
            first = select({}, f"({by_unit})", star="*", where=["len(aggregations) > 1"], order_by=["unit"])
            twins = Stage("twins", "the first unit with several aggregations of one name", f"{first}\nLIMIT 1")
            queries.append(Query("twins", (*judge.chosen(repeated=False), twins)))
    return queries


def _slot(
    number: int, aggregation: Aggregation, shape: RecordShape, units: Sequence[str], properties: Sequence[str]
) -> Slot:
    """The slot of an aggregation and a shape, which a config gives to `units`; `properties` are of the columns p_N."""
    decimal, result_scale, rounding = shape
    return Slot(
        index=number,
        unit=None,
        aggregation=aggregation,
        decimal=decimal,
        result_scale=result_scale,
        rounding=rounding,
        inner_column=f"p_{properties.index(aggregation.by)}" if aggregation.by else "",
        of_record=True,
        units=tuple(units),
    )
