"""Spark's errors in our words: one line that says what was found, what was expected, and the way out."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise

from metering_duck.errors import ConfigError, MeteringError, SourceError

JAVA_NEEDED, GET_JAVA = 17, "install OpenJDK 17, or set JAVA_HOME"
LIBRARIES = {"delta": "io.delta:delta-spark_2.13", "iceberg": "org.apache.iceberg:iceberg-spark-runtime"}
_AN_ERROR = re.compile(r"(?:[\w$]+\.)*\w*(?:Error|Exception): .*")


@contextlib.contextmanager
def errors(where: str) -> Iterator[None]:
    """Spark's errors in our words; what is ours already stays."""
    try:
        with warnings.catch_warnings():
            # Of the pandas that is beside it, which is not used here, and of what becomes an error all the same.
            warnings.filterwarnings("ignore", module="pyspark")
            yield
    except MeteringError:
        raise
    except Exception as error:
        raise in_our_words(where, str(error) or type(error).__name__) from error


def is_gone(said: str) -> bool:
    """Whether nobody answers any more."""
    return "StatusCode.UNAVAILABLE" in said or "[RETRIES_EXCEEDED]" in said


def in_our_words(where: str, said: str, log: str = "") -> MeteringError:
    """What Spark says, and what its JVM wrote where it did not start, in one line.

    A task's own error is behind the traceback of its worker.
    """
    missing = re.search(r"ModuleNotFoundError: No module named '(metering_duck|duckdb|pyarrow)'", said)
    if missing:
        return SourceError(
            f"{where}: found no {missing[1]} on a worker; expected metering-duck there as on the driver. "
            "hint: pip install metering-duck on every node, and name its Python in PYSPARK_PYTHON"
        )
    unknown = re.search(r"(?:Failed to find the data source: |Failed to find data source: )(\w+)", said)
    if unknown:
        library = LIBRARIES.get(unknown[1], unknown[1])
        return SourceError(
            f"{where}: found no library for {unknown[1]} in Spark; expected one. hint: give the cluster "
            f"{library} (spark.jars.packages), or leave the engine out"
        )
    if "CANNOT_MERGE_SCHEMAS" in said or "CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE" in said:
        return SourceError(
            f"{where}: found {_differing(said)} in several files, which Spark cannot bring together; expected one type "
            "in all files. hint: write the files anew with one type, or leave the engine out"
        )
    if is_gone(said):
        return SourceError(
            f"{where}: found a Connect server that does not answer any more; expected it to stay. "
            "hint: look at its log, and run again"
        )
    if "UnsupportedClassVersionError" in log:
        return ConfigError(
            f"engine: found a Java that is too old for this Spark; expected {JAVA_NEEDED} or newer. hint: {GET_JAVA}"
        )
    text = _gist(said, log)
    if re.search(r"\[(PARQUET_TYPE|UNSUPPORTED)_\w+\]", said):
        hint = "hint: write times in microseconds and ids as text, or leave the engine out"
        return SourceError(f"{where}: Spark cannot read it ({text}); expected types that it has. {hint}")
    hint = "look at --master, SPARK_HOME and JAVA_HOME" if log else "look at Spark's log, or leave the engine out"
    return SourceError(f"{where}: Spark failed ({text}); expected it to finish. hint: {hint}")


def _differing(said: str) -> str:
    """The column whose types differ, out of two schemas as Spark writes them."""
    schemas = re.findall(r'^"STRUCT<(.*)>"', said, re.MULTILINE)
    columns = [dict(part.split(": ", 1) for part in text.split(", ") if ": " in part) for text in schemas]
    for one, other in pairwise(columns):
        for name, kind in one.items():
            if other.get(name, kind) != kind and "<" not in kind + other[name]:
                return f"the column {name} as {kind} and as {other[name]}"
    return "a column of several types"


def _gist(said: str, log: str) -> str:
    """The line that says what is wrong."""
    if "JAVA_GATEWAY_EXITED" in said and log:
        said = log
    details = re.search(r'details = "(.*)"', said)
    if details:
        return details[1].rstrip(".")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    of_task = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    # Of what the JVM says, the class of an error comes first, behind where it was called from.
    of_spark = [found[0] for line in lines if (found := re.search(r"\[[A-Z][A-Z0-9_.]+\] .*", line))]
    if "Traceback" in said and of_task:
        return of_task[-1].rstrip(".")
    return (of_spark or [found[0] for line in lines if (found := _AN_ERROR.search(line))] or lines)[0].rstrip(".")
