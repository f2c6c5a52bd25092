"""Allocating: totals of a table split by weights, exactly (R26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metering_duck.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa


SPLIT_COLUMNS = ("split_id", "part_key", "total", "weight")


def allocate_column(splits: Any) -> pa.Table:
    """Split a column of totals, each by its own weights, in SQL (sql/allocate.sql).

    Shape:  in: split_id, part_key (text), total DECIMAL(38, 18), weight BIGINT; one row per part, anything Arrow can
            read. Out: split_id, part_key, part DECIMAL(38, 18), ordered by both.
    Exact:  the parts of a split add up to its total; ties go to the smaller part_key.
    Raises: ConfigError for a split whose total is not the same in all rows, or whose weights are negative, all zero, or
            add up to more than 10^18.
    Source: R26.
    """
    from metering_duck.engine.duckdb import Engine
    from metering_duck.inputs.given import find_table
    from metering_duck.statements.stages import Query, load_stage

    with Engine() as engine:
        found = find_table(splits, engine.directory)
        if found is None:
            raise ConfigError("splits: found no table; expected Arrow, Polars, pandas or DuckDB rows.")
        engine.lock_down([])
        engine.register("splits", found.data, "splits")
        lacking = [name for name in SPLIT_COLUMNS if name not in found.data.schema.names]
        if lacking:
            raise SchemaError(
                "splits",
                ", ".join(lacking),
                found=f"no such columns among {', '.join(found.data.schema.names)}",
                expected="one for each",
                hint="split_id and part_key text, total DECIMAL(38, 18), weight BIGINT",
            )
        faults = [
            "count(DISTINCT total) > 1",
            "count(total) < count(*)",
            "count(weight) < count(*)",
            "min(weight) < 0",
            "sum(weight) NOT BETWEEN 1 AND 1000000000000000000",
        ]
        bad = engine.rows(
            f"SELECT split_id FROM splits GROUP BY split_id HAVING {' OR '.join(faults)} ORDER BY split_id"
        )
        if bad:
            raise ConfigError(
                f"splits: found the split {bad[0][0]!r} with no one total, or with weights that are negative, all zero "
                "or more than 10^18 together; expected one total and whole weights."
            )
        return engine.table(Query("allocated", (load_stage("allocate"),)))
