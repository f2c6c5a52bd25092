"""Spark's errors as errors of ours: one line that says what was found, what was expected, and the way out."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import pairwise
from urllib.parse import unquote

from metering_duck.engine.remote import shown
from metering_duck.errors import ConfigError, MeteringError, SourceError
from metering_duck.files.faults import Fault

JAVA_NEEDED, GET_JAVA = 17, "install OpenJDK 17, or set JAVA_HOME"
LIBRARIES = {"delta": "io.delta:delta-spark_2.13", "iceberg": "org.apache.iceberg:iceberg-spark-runtime"}
_DETAILS = re.compile(r'details = "(.*)"')
_TASK_ERROR = re.compile(r"^[\w.]+(?:Error|Exception)\b.*")
_SPARK_ERROR = re.compile(r"\[[A-Z][A-Z0-9_.]+\] .*")
_BROKEN_FILE = re.compile(r"\[FAILED_READ_FILE[^\]]*\] Encountered error while reading file (\S+?)\.\s")
_CAUSE = re.compile(r"^Caused by: (?:[\w$]+\.)*\w+: (.*)", re.MULTILINE)
_AN_ERROR = re.compile(r"(?:[\w$]+\.)*\w*(?:Error|Exception): .*")


@contextlib.contextmanager
def errors(where: str) -> Iterator[None]:
    """Raise Spark's errors of a with statement as errors of ours; an error that is ours already stays as it is."""
    try:
        with warnings.catch_warnings():
            # pyspark warns of the installed pandas, which is not used here, and of what then raises an error anyway.
            warnings.filterwarnings("ignore", module="pyspark")
            yield
    except MeteringError:
        raise
    except Exception as error:
        raise in_our_words(where, str(error) or type(error).__name__) from error


def is_gone(said: str) -> bool:
    """Whether Spark says that the Connect server does not answer any more."""
    return "StatusCode.UNAVAILABLE" in said or "[RETRIES_EXCEEDED]" in said


def in_our_words(where: str, said: str, log: str = "") -> MeteringError:
    """What Spark said as an error of one line; `log` is what the JVM wrote, where it did not start.

    The error of a task comes at the end of the traceback of its worker.
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
    broken = _BROKEN_FILE.search(said)
    if broken:
        file = unquote(re.sub("^file:/+", "/", broken[1]))
        why = _CAUSE.findall(said)
        return Fault(
            f"that Spark cannot read it ({(why[-1] if why else text).rstrip('.')})", "a Parquet file that is whole"
        ).of(shown(file))
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
    """The line that says what is wrong, without its full stop.

    gRPC puts it behind `details`; a task at the end of its traceback; Spark behind an error class in brackets; Java
    behind the name of an exception. The first of these that is found counts, else the first line.
    """
    if "JAVA_GATEWAY_EXITED" in said and log:
        said = log
    details = _DETAILS.search(said)
    if details:
        return details[1].rstrip(".")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    of_task = _found_in(lines, _TASK_ERROR)
    if "Traceback" in said and of_task:
        return of_task[-1].rstrip(".")
    telling = _found_in(lines, _SPARK_ERROR) or _found_in(lines, _AN_ERROR) or lines
    return telling[0].rstrip(".")


def _found_in(lines: Iterable[str], pattern: re.Pattern[str]) -> list[str]:
    """The part of each line that a pattern finds, of the lines in which it finds one."""
    matches = [pattern.search(line) for line in lines]
    return [match[0] for match in matches if match]
