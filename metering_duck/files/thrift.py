"""Thrift: structs of its compact protocol, in which the footers of Parquet files and the headers of their pages are."""

from __future__ import annotations

from typing import Any

# Field → value; a struct's value is one of these, a text's its bytes.
Struct = dict[int, Any]
# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_NUMBER_BITS = 64


class Reader:
    """A `position` in bytes from which structs are read."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data, self.position = data, position

    def struct(self) -> Struct:
        """The struct that begins here.

        Raises: IndexError, RecursionError for bytes that are none, or too few.
        """
        found: Struct = {}
        field = 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else self._signed()
            found[field] = self._value(kind & 15)
        return found

    def _byte(self) -> int:
        self.position += 1
        return self.data[self.position - 1]

    def _number(self) -> int:
        number, shift = 0, 0
        while shift < _NUMBER_BITS:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise IndexError

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _bytes(self, length: int) -> bytes:
        start, self.position = self.position, self.position + length
        if self.position > len(self.data):
            raise IndexError
        return self.data[start : self.position]

    def _value(self, kind: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _BINARY:
            return self._bytes(self._number())
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            return self._list()
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in (_BYTE, _DOUBLE):
            return self._bytes(1 if kind == _BYTE else 8)
        raise IndexError

    def _list(self) -> list[Any]:
        head = self._byte()
        count = self._number() if head >> 4 == 15 else head >> 4
        # A boolean in a list takes a byte.
        kind = _BYTE if head & 15 in (_TRUE, _FALSE) else head & 15
        return [self._value(kind) for _ in range(count)]
