"""metering-duck: exact usage metering on DuckDB. Events and a config in, records and readings out."""

from metering_duck import exact
from metering_duck.config import Entry, Filter, Measurement, MeteringConfig, load_config
from metering_duck.contract import AggregateConfig, EventPayload, MeterReading, MeterRecord
from metering_duck.errors import (
    ConfigError,
    Interrupted,
    MeteringError,
    QuantityOverflow,
    RejectedEvents,
    SchemaError,
    SourceError,
    StageError,
)
from metering_duck.metering import aggregate, check, compile_sql, meter
from metering_duck.results import Accounting, Result

__version__ = "0.1.0"

__all__ = [
    "Accounting",
    "AggregateConfig",
    "ConfigError",
    "Entry",
    "EventPayload",
    "Filter",
    "Interrupted",
    "Measurement",
    "MeterReading",
    "MeterRecord",
    "MeteringConfig",
    "MeteringError",
    "QuantityOverflow",
    "RejectedEvents",
    "Result",
    "SchemaError",
    "SourceError",
    "StageError",
    "aggregate",
    "check",
    "compile_sql",
    "exact",
    "load_config",
    "meter",
]
