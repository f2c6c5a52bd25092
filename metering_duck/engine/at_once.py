"""At once: statements that run at the same time in one engine, since each waits for a network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from metering_duck.engine.duckdb import Engine

WAITING_AT_ONCE = 16


def rows_at_once(engine: Engine, statements: Sequence[str]) -> pa.Table:
    """The rows of several statements as one table."""

    def read(sql: str) -> pa.Table:
        with engine.connection.cursor() as cursor:
            return cursor.sql(sql).to_arrow_table()

    with engine.lock, engine.errors("at_once", statements[0], {}), ThreadPoolExecutor(WAITING_AT_ONCE) as pool:
        return pa.concat_tables(pool.map(read, statements))
