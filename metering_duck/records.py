"""Records → `judged`: the same verdicts for records that were metered before, here or elsewhere.

A record is already one measurement, so there is one quantity; its unit is a column of the data. A config is not needed;
where one is given, its precision, scale and aggregation apply by unit. There is one slot for each aggregation and
DECIMAL that the records have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metering_duck import aggregations
from metering_duck.compiler import Selection, Slot, accepted_stage, arrivals_stage, dimensions_sql, quantity_sql, rejects_query
from metering_duck.config import PRECISION_MAX, SCALE_DEFAULT, Measurement, MeteringConfig
from metering_duck.errors import ConfigError, first_few
from metering_duck.layouts import Layout
from metering_duck.quote import literal
from metering_duck.stages import Query, Stage

Shape = tuple[int, int, int | None]
DEFAULT_SHAPE: Shape = (PRECISION_MAX, SCALE_DEFAULT, None)
UNIT_COLUMN = "unit"


@dataclass(frozen=True)
class RecordCompiler:
    """A layout of records and a selection, from which the stages up to `judged` are made.

    `found` are the aggregations that the records have, when none is chosen for all; see `aggregations_query`.
    """

    config: MeteringConfig | None
    layout: Layout
    selection: Selection
    aggregation: str | None = None
    group_by: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def properties(self) -> list[str]:
        """The dimensions that are grouped by; the Nth is column p_N."""
        return sorted(set(self.group_by))

    def _measurements(self) -> dict[str, list[Measurement]]:
        by_unit: dict[str, list[Measurement]] = {}
        for _, measurement in self.config.measurements if self.config else []:
            by_unit.setdefault(measurement.unit, []).append(measurement)
        return by_unit

    def _shapes(self) -> dict[Shape, list[str]]:
        """DECIMAL → the units that the config gives it; units it does not name, or names twice, have the default."""
        shapes: dict[Shape, list[str]] = {DEFAULT_SHAPE: []}
        for unit, measurements in sorted(self._measurements().items()):
            own = {(m.precision, m.scale, m.result_scale) for m in measurements}
            shapes.setdefault(own.pop() if len(own) == 1 else DEFAULT_SHAPE, []).append(unit)
        return shapes

    def _aggregation_sql(self) -> str:
        """The aggregation of a record: the call's, else its own, else its unit's in the config."""
        if self.aggregation:
            return literal(self.aggregation)
        named = " ".join(f"WHEN {literal(a)} THEN {literal(b)}" for a, b in aggregations.OTHER_NAMES.items())
        own = f"CASE aggregation {named} ELSE nullif(aggregation, '') END"
        whens = [
            f"WHEN {literal(unit)} THEN {literal(measurements[0].aggregation)}"
            for unit, measurements in sorted(self._measurements().items())
            if measurements[0].aggregation and len({m.aggregation for m in measurements}) == 1
        ]
        return f"coalesce({own}, CASE unit {' '.join(whens)} END)" if whens else own

    @property
    def slots(self) -> list[Slot]:
        """One slot for each aggregation and DECIMAL."""
        names = [self.aggregation] if self.aggregation else sorted(self.found)
        pairs = [(name, shape) for name in names for shape in self._shapes()]
        return [Slot(n, UNIT_COLUMN, name, *shape) for n, (name, shape) in enumerate(pairs)]

    def arrivals(self) -> list[Stage]:
        """From the input to `arrivals`: one row per record read."""
        return [*self.layout.stages(self.properties), arrivals_stage(self.selection)]

    def judged(self, *, repeated: bool) -> list[Stage]:
        """From the input to `judged`: one row per record, its quantity, and its status (R9)."""
        return [*self._projected(repeated=repeated), self._quantified(), self._judged()]

    def _projected(self, *, repeated: bool) -> list[Stage]:
        shapes = self._shapes()
        whens = [f"WHEN unit IN ({', '.join(map(literal, units))}) THEN {n}" for n, units in enumerate(shapes.values()) if n and units]
        shape = f"CASE {' '.join(whens)} ELSE 0 END" if whens else "0"
        dimensions = dimensions_sql({name: f"p_{n}" for n, name in enumerate(self.properties)})
        sql = f"SELECT\n    * REPLACE ({self._aggregation_sql()} AS aggregation),\n    {shape} AS shape,\n    {dimensions} AS dimensions\nFROM accepted"
        return [
            *self.arrivals(),
            accepted_stage(repeated=repeated),
            Stage("projected", "which aggregation a record is for, and its dimensions", sql),
        ]

    def _quantified(self) -> Stage:
        columns = ["*"]
        for slot in self.slots:
            applies = f"aggregation = {literal(str(slot.aggregation))} AND shape = {list(self._shapes()).index((slot.precision, slot.scale, slot.result_scale))}"
            columns.append(f"CASE WHEN {applies} THEN {quantity_sql('quantity', slot)} END AS v_{slot.index}")
        return Stage("quantified", "each text as a DECIMAL, exactly or not at all (R4, R5)", "SELECT\n    " + ",\n    ".join(columns) + "\nFROM projected")

    def _judged(self) -> Stage:
        values = ", ".join(f"CAST(v_{slot.index} IS NOT NULL AS INTEGER)" for slot in self.slots) or "0"
        sql = (
            "SELECT\n    *,\n"
            f"    CASE WHEN reason IS NULL AND greatest({values}, 0) = 0 THEN 0 END AS faulty,\n"
            "    CASE WHEN reason IS NOT NULL OR faulty IS NOT NULL THEN 'rejected' ELSE 'metered' END AS status\n"
            "FROM quantified"
        )
        return Stage("judged", "a record is metered or rejected (R9)", sql)

    def aggregations_query(self) -> Query:
        """Which aggregations the records have, each with a unit: to be run when none is chosen for all."""
        sql = "SELECT\n    aggregation,\n    min(unit) AS unit\nFROM projected\nWHERE reason IS NULL\nGROUP BY aggregation\nORDER BY aggregation"
        return Query("aggregations", (*self._projected(repeated=False), Stage("aggregations", "the aggregations there are", sql)))

    def with_found(self, rows: Sequence[tuple[str | None, str]]) -> RecordCompiler:
        """The same, knowing the aggregations that the records have.

        Raises: ConfigError for a record without one, and for one that does not exist.
        """
        lacking = [unit for name, unit in rows if name is None]
        if lacking:
            raise ConfigError(
                f"records: found no aggregation for the unit {first_few(map(repr, lacking))}; expected one of "
                f"{', '.join(aggregations.NAMES[:9])}. hint: --aggregation sum"
            )
        names = tuple(aggregations.canonical(str(name), f"records of {unit!r}: aggregation") for name, unit in rows)
        return RecordCompiler(self.config, self.layout, self.selection, self.aggregation, self.group_by, names)

    def rejects(self, *, repeated: bool) -> Query:
        """One row per rejected record."""
        shapes = list(self._shapes())
        faults = " ".join(f"WHEN {n} THEN quantity_fault(quantity, {p - s}, {s})" for n, (p, s, _) in enumerate(shapes))
        columns = {
            "measurement": "CAST(NULL AS VARCHAR)",
            "source_property": "CASE WHEN reason IS NULL THEN 'quantity' END",
            "unit": "unit",
            "text": "CASE WHEN reason IS NOT NULL THEN reason_text ELSE quantity END",
            "reason": f"coalesce(reason, CASE WHEN quantity IS NULL THEN 'source-missing' ELSE CASE shape {faults} END END)",
        }
        return rejects_query(self.judged(repeated=repeated), columns)
