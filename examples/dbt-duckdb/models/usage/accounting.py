import pyarrow

import metering_duck


def model(dbt, _con):
    """Meter the events. The table is the run's books; its rows go into Parquet, for the models behind this one."""
    with metering_duck.meter(dbt.config.meta_get("events"), "config.json") as run:
        run.write_outcomes("target/events.parquet")
        run.write("target/records.parquet")
        run.write_rejects("target/rejects.parquet")
        books = dict(run.accounting)
    return pyarrow.Table.from_pylist([books])
