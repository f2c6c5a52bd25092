"""Plain values: what Python and NumPy have in dicts, as JSON holds it: every digit kept, or refused (R36)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from metering_duck.errors import SourceError

EXPECTED = "text, a number or a boolean"
# Units of NumPy's times whose text is no whole time of day.
COARSE = ("Y", "M", "W", "D", "h", "m")
SERIES = ("pandas", "polars")


def json_value(value: Any) -> Any:
    """A value that JSON does not have, as one that it has; a list's values are asked for one by one.

    Raises: SourceError for a value that has no exact text.
    """
    library = type(value).__module__.split(".")[0]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        # The time of pandas that is none equals no time.
        return value.isoformat() if value == value else None
    if isinstance(value, Mapping):
        return dict(value)
    if library == "numpy":
        return _of_numpy(value)
    if library in SERIES and hasattr(value, "to_numpy"):
        return _listed(value)
    raise _refused(value)


def _of_numpy(value: Any) -> Any:
    """A scalar or an array of NumPy. A float of fewer bits is the shortest text that reads back as it, as in a table.

    Raises: SourceError for durations, for floats with more digits than Python's, and for what is neither.
    """
    import numpy

    if type(value) is numpy.ndarray and value.dtype.kind != "V":
        return list(value) if value.ndim else value[()]
    if isinstance(value, numpy.bool_ | numpy.integer) and not isinstance(value, numpy.timedelta64):
        return value.item()
    if isinstance(value, numpy.float16 | numpy.float32):
        return float(str(numpy.float32(value)))
    if isinstance(value, numpy.datetime64):
        return _time_text(value, numpy)
    raise _refused(value)


def _time_text(value: Any, numpy: Any) -> str | None:
    """A time of NumPy as text with all its digits; None for none."""
    if numpy.isnat(value):
        return None
    unit = numpy.datetime_data(value.dtype)[0]
    return str(numpy.datetime_as_string(value, unit="s" if unit in COARSE else unit))


def _listed(series: Any) -> list[Any]:
    """The values of a Series; those of Polars would widen floats of 32 bits, so these are NumPy's.

    Raises: SourceError for a Series of Polars with such floats and absent values, or with lists.
    """
    if not type(series).__module__.startswith("polars"):
        return list(series.to_numpy())
    if "Float32" not in str(series.dtype):
        return list(series.to_list())
    if series.dtype.is_nested() or series.null_count():
        raise _refused(series)
    return list(series.to_numpy())


def _refused(value: Any) -> SourceError:
    """The error for a value that has no exact text."""
    hint = " hint: write it as text, or as a number of Python" if hasattr(value, "dtype") else ""
    return SourceError(f"input: found a value of type {type(value).__name__} in an object; expected {EXPECTED}.{hint}")
