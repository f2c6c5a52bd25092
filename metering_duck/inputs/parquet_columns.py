"""Parquet columns: which columns of Parquet files DuckDB would change in value (R36), told by the files' footers.

DuckDB reads a DECIMAL of more than 38 digits as DOUBLE. One whose file holds numbers in more bytes than DuckDB gives
its type is cut to those bytes, so each of its values must be proven to have no more digits than the column declares.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from metering_duck.decimals.columns import DIGITS_MAX
from metering_duck.engine.remote import explaining_reads, open_url, scheme_of, shown
from metering_duck.errors import SourceError
from metering_duck.files.faults import FETCH_AGAIN, Fault
from metering_duck.files.parquet_footer import Footer, footer_in, footer_of
from metering_duck.files.parquet_statistics import said_of
from metering_duck.inputs.unreadable import Unreadable

# Extension types of Arrow that are stored as whole numbers: what is expected instead, and the way out.
NO_NUMBERS = {
    "arrow.bool8": ("a boolean or a number", "write it as a boolean: cast(pa.bool_())"),
    "pandas.period": ("text, a number or a time", "write it as text: frame.astype({COLUMN: 'string'})"),
}


def wide_decimals(schema: pa.Schema, path: str) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for each column with a DECIMAL of more than 38 digits in it."""
    found: dict[str, Unreadable] = {}
    for field in schema:
        for place, kind in leaves(field):
            if pa.types.is_decimal(kind) and kind.precision > DIGITS_MAX:
                what = f"DECIMAL({kind.precision}, {kind.scale})"
                expected = f"a DECIMAL of at most {DIGITS_MAX} digits, or text"
                hint = "write it as text, which keeps every digit, or with fewer digits"
                found.setdefault(field.name, Unreadable(shown(path), place, what, expected, hint))
    return found


def kept_as_numbers(schema: pa.Schema, path: str) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for what Parquet has as whole numbers of no unit, and Arrow as something else."""
    found: dict[str, Unreadable] = {}
    for field in schema:
        for place, kind in leaves(field):
            name = extension_of(field if kind == field.type else field.with_type(kind))
            if name in NO_NUMBERS:
                expected, hint = NO_NUMBERS[name]
                found.setdefault(field.name, Unreadable(shown(path), place, name, expected, hint))
            elif pa.types.is_duration(kind):
                hint = "write it as text, or as a number whose name says its unit"
                found.setdefault(field.name, Unreadable(shown(path), place, str(kind), "text or a number", hint))
    return found


def extension_of(field: pa.Field) -> str:
    """The name of the extension type that a field has, known here or not; "" for a plain type."""
    if isinstance(field.type, pa.BaseExtensionType):
        return str(field.type.extension_name)
    name: bytes = (field.metadata or {}).get(b"ARROW:extension:name", b"")
    return name.decode(errors="replace")


def cut_decimals(paths: Iterable[str]) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for each DECIMAL that has a value of more digits than it declares.

    The caller gives the files in which DuckDB would not see such a value. Statistics prove a file; of a part of a file
    without them the column is read once.
    """
    found: dict[str, Unreadable] = {}
    for path in paths:
        with _opened(path) as (file, footer):
            places = [(field.name, place) for field in file.schema_arrow for place, _ in leaves(field)]
            for n in range(len(file.schema)):
                column = file.schema.column(n)
                if column.logical_type.type == "DECIMAL" and column.precision <= DIGITS_MAX:
                    beyond = _beyond(file, footer, n)
                    if beyond:
                        name, place = places[n] if len(places) == len(file.schema) else (column.path,) * 2
                        found.setdefault(name, Unreadable(shown(path), place, *beyond))
    return found


def rounded_numbers(schemas: Mapping[str, pa.Schema]) -> dict[str, Unreadable]:
    """Column → why it cannot be read, for exact numbers in several files that have no DECIMAL of DuckDB in common.

    DuckDB would round them to the scale of one of the files. Where one of the files has text, all numbers become text.
    """
    found: dict[str, Unreadable] = {}
    for (name, place), paths in _kinds_of_places(schemas).items():
        if not _fit_together(paths):
            where = ", ".join(shown(path) for path in list(paths.values())[:2])
            what = " and ".join(str(kind).replace("decimal128", "DECIMAL") for kind in paths)
            expected = f"types that fit one DECIMAL of {DIGITS_MAX} digits"
            hint = "write the files anew with one type or as text, or read them apart"
            found.setdefault(name, Unreadable(where, place, what, expected, hint, is_exact_as_text=place == name))
    return found


def _kinds_of_places(schemas: Mapping[str, pa.Schema]) -> dict[tuple[str, str], dict[pa.DataType, str]]:
    """Column and place within it → each type that it has in a file, and the first such file."""
    kinds: dict[tuple[str, str], dict[pa.DataType, str]] = {}
    for path, schema in schemas.items():
        for field in schema:
            for place, kind in leaves(field):
                kinds.setdefault((field.name, place), {}).setdefault(kind, path)
    return kinds


def _fit_together(kinds: Iterable[pa.DataType]) -> bool:
    """Whether one DECIMAL of DuckDB holds all exact numbers of some types; True where one of them is no number."""
    digits = [exact_digits(kind) for kind in kinds if not pa.types.is_null(kind)]
    numbers = [known for known in digits if known]
    if len(numbers) < len(digits) or not any(behind for _, behind in numbers):
        return True
    return bool(sum(max(most) for most in zip(*numbers, strict=True)) <= DIGITS_MAX)


def exact_digits(kind: pa.DataType) -> tuple[int, int] | None:
    """The most digits before and behind the point that an exact number of a type has; None for any other type."""
    if pa.types.is_integer(kind):
        bits = kind.bit_width - pa.types.is_signed_integer(kind)
        return len(str(2**bits)), 0
    return (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else None


def leaves(field: pa.Field, place: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """Each plain type within a field, and the names that lead to it."""
    place = f"{place}.{field.name}" if place else field.name
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not pa.types.is_nested(kind):
        yield place, kind
    elif pa.types.is_map(kind):
        yield from leaves(kind.key_field, place)
        yield from leaves(kind.item_field, place)
    elif is_variant(kind):
        yield place, kind
    elif pa.types.is_struct(kind) or pa.types.is_union(kind):
        for n in range(kind.num_fields):
            yield from leaves(kind.field(n), place)
    elif pa.types.is_run_end_encoded(kind):
        yield place, kind.value_type
    else:
        # Each library has another name for the elements of a list.
        yield from leaves(kind.value_field.with_name("element"), place)


def is_variant(kind: pa.DataType) -> bool:
    """Whether a type is what a VARIANT is stored in."""
    if not pa.types.is_struct(kind):
        return False
    names = [kind.field(n).name for n in range(kind.num_fields)]
    return names[:2] == ["metadata", "value"] and pa.types.is_binary(kind.field(0).type)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Footer]]:
    """A Parquet file, open, and its footer.

    Raises: SourceError.
    """
    from pyarrow import parquet

    try:
        if scheme_of(path):
            with explaining_reads(path), open_url(path) as remote:
                footer = footer_in(remote)
                remote.seek(0)
                with parquet.ParquetFile(remote) as file:
                    yield file, footer
        else:
            footer = footer_of(path)
            with parquet.ParquetFile(path) as file:
                yield file, footer
    except Fault as fault:
        raise fault.of(shown(path)) from None
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise SourceError(
            f"{shown(path)}: cannot be read ({why}); expected a Parquet file. hint: {FETCH_AGAIN}"
        ) from None


def _beyond(file: Any, footer: Footer, n: int) -> tuple[str, str, str] | None:
    """What is found, what is expected and the hint, of a column with a value that has more digits than it declares.

    Statistics are taken from the footer as it is written: pyarrow ends the process over harmed ones.
    """
    from pyarrow import compute

    column = file.schema.column(n)
    bound = 10**column.precision
    kind = f"DECIMAL({column.precision}, {column.scale})"
    expected, hint = f"values of at most {column.precision} digits", "write the file anew with a wider DECIMAL"
    for group in range(file.metadata.num_row_groups):
        said = said_of(column, footer.chunks[group * len(file.schema) + n].statistics)
        if said.least is not None and said.greatest is not None:
            bounds = [said.least, said.greatest]
        else:
            bounds = []
            for batch in file.iter_batches(row_groups=[group], columns=[column.path]):
                values = batch.column(0)
                while pa.types.is_nested(values.type):
                    values = values.flatten()[0] if pa.types.is_struct(values.type) else values.flatten()
                extremes = compute.min_max(values.cast(pa.decimal256(76, column.scale))).as_py()
                bounds += [int(value.scaleb(column.scale)) for value in extremes.values() if value is not None]
        worst = max((abs(bound) for bound in bounds), default=0)
        if worst >= bound:
            return f"{kind} with a value of {len(str(worst))} digits", expected, hint
    return None
