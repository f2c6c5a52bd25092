"""The file that SQL reads which is made without events: events.parquet, which nobody gave."""

from __future__ import annotations

from metering_duck.contract.schemas import EVENT_SCHEMA
from metering_duck.inputs.fields import WITH_OFFSET
from metering_duck.inputs.given_table import GivenTable
from metering_duck.statements.quote import identifier, literal
from metering_duck.statements.select import case, select

NAME = "events.parquet"
HOLDS = (
    f"{NAME} with the columns {', '.join(EVENT_SCHEMA.names)}, of which properties is a MAP of texts, and the times "
    "are TIMESTAMPs, with or without a time zone"
)


def assumed_file(zone: str | None, time: str = "time") -> GivenTable:
    """The file as an input without rows; times of events, which are in the column `time`, are local to a zone."""
    sql = f"read_parquet({literal(NAME)})"
    if zone is not None:
        column = identifier(time)
        sql = f"({select({}, sql, star=f'* REPLACE ({_moment_sql(column, zone)} AS {column})')})"
    return GivenTable(EVENT_SCHEMA.empty_table(), NAME, rereadable=True, shell_sql=sql, assumed=HOLDS)


def _moment_sql(time: str, zone: str) -> str:
    """SQL for the time of an event with an offset: only when it runs it is known whether the file's times have one."""
    kinds = ", ".join(map(literal, WITH_OFFSET))
    local = f"moment_of(CAST({time} AS TIMESTAMP), {literal(zone)})"
    moment = f"CAST({time} AS TIMESTAMPTZ)"
    return case({f"typeof({time}) IN ({kinds}) OR NOT isfinite({time})": moment}, f"{local} AT TIME ZONE 'UTC'")
