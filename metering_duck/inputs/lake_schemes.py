"""A scheme of URLs that name tables: its options, an example, and how a table is found.

The schemes are listed in inputs/lakes.py.

scheme://PLACE?OPTION=TEXT&OPTION=TEXT
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from metering_duck.errors import SourceError
from metering_duck.inputs.input import Input

Found = TypeVar("Found", bound=Input, covariant=True)
Options = Mapping[str, str]


@dataclass(frozen=True)
class LakeScheme(Generic[Found]):
    """`find` makes an input of a place and options; `library` is the Python library that it needs, "" for none."""

    name: str
    options: tuple[str, ...]
    example: str
    find: Callable[[str, Options], Found]
    library: str = ""


def number_of(options: Options, name: str, where: str) -> int | None:
    """An option as a whole number; None where the option is not given.

    Raises: SourceError.
    """
    text = options.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii():
        raise SourceError(f"{where}: found {name}={text}; expected a whole number.")
    return int(text)


def asked_of(options: Options) -> str:
    """Options as messages show them."""
    return ", ".join(f"{name} {text}" for name, text in options.items())
