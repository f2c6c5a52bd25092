"""metering-duck: exact usage metering on DuckDB. Events and a config in, records and readings out.

The names below are loaded when they are first used, so that `metering-duck --help` need not wait for DuckDB.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from metering_duck.version import __version__ as __version__

if TYPE_CHECKING:
    from metering_duck import exact
    from metering_duck.calls.checking import check
    from metering_duck.calls.forking import fork_universe
    from metering_duck.calls.metering import aggregate, compile_sql, meter, periods
    from metering_duck.calls.views import register
    from metering_duck.contract.config import Entry, MeteringConfig, load_config
    from metering_duck.contract.filters import Filter
    from metering_duck.contract.measurements import Measurement, Span
    from metering_duck.contract.payloads import AggregateConfig, EventPayload, MeterReading, MeterRecord, json_schema
    from metering_duck.errors import (
        ConfigError,
        Interrupted,
        LedgerError,
        MeteringError,
        QuantityOverflow,
        RejectedEvents,
        SchemaError,
        SourceError,
        StageError,
    )
    from metering_duck.ledger.ledger import Ledger
    from metering_duck.rollups.combining import rollup
    from metering_duck.runs.books import Accounting
    from metering_duck.runs.results import Result
    from metering_duck.runs.rows import Rows


_HOMES = {
    "contract.config": ("Entry", "MeteringConfig", "load_config"),
    "contract.payloads": ("AggregateConfig", "EventPayload", "MeterReading", "MeterRecord", "json_schema"),
    "errors": (
        "ConfigError",
        "Interrupted",
        "LedgerError",
        "MeteringError",
        "QuantityOverflow",
        "RejectedEvents",
        "SchemaError",
        "SourceError",
        "StageError",
    ),
    "contract.filters": ("Filter",),
    "calls.forking": ("fork_universe",),
    "ledger.ledger": ("Ledger",),
    "contract.measurements": ("Measurement", "Span"),
    "calls.checking": ("check",),
    "calls.metering": ("aggregate", "compile_sql", "meter", "periods"),
    "runs.books": ("Accounting",),
    "runs.results": ("Result",),
    "rollups.combining": ("rollup",),
    "runs.rows": ("Rows",),
    "calls.views": ("register",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Accounting",
    "AggregateConfig",
    "ConfigError",
    "Entry",
    "EventPayload",
    "Filter",
    "Interrupted",
    "Ledger",
    "LedgerError",
    "Measurement",
    "MeterReading",
    "MeterRecord",
    "MeteringConfig",
    "MeteringError",
    "QuantityOverflow",
    "RejectedEvents",
    "Result",
    "Rows",
    "SchemaError",
    "SourceError",
    "Span",
    "StageError",
    "aggregate",
    "check",
    "compile_sql",
    "exact",
    "fork_universe",
    "json_schema",
    "load_config",
    "meter",
    "periods",
    "register",
    "rollup",
]


def __getattr__(name: str) -> object:
    if name == "exact":
        return import_module("metering_duck.exact")
    if name not in _HOME:
        raise AttributeError(f"module 'metering_duck' has no attribute {name!r}")
    return getattr(import_module(f"metering_duck.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
