"""Faults: what is wrong with the bytes of a file; whoever knows the file's name makes an error of it."""

from __future__ import annotations

from metering_duck.errors import SourceError

# The way out of most damage: nothing can make a harmed file whole but its source.
FETCH_AGAIN = "fetch it again, or take it from its source anew"


class Fault(Exception):
    """A file that is not whole: what was `found` in it, what was `expected`, and the way out."""

    def __init__(self, found: str, expected: str, hint: str = FETCH_AGAIN) -> None:
        super().__init__(found)
        self.found, self.expected, self.hint = found, expected, hint

    def of(self, name: str) -> SourceError:
        """The error about the file of this name."""
        return SourceError(f"{name}: found {self.found}; expected {self.expected}. hint: {self.hint}")


class Unreadable(Fault):
    """A file that a library cannot read: what it says of it, and what was expected."""

    def of(self, name: str) -> SourceError:
        """The error about the file of this name."""
        return SourceError(f"{name}: cannot be read ({self.found}); expected {self.expected}. hint: {self.hint}")


class Placed(Fault):
    """A fault of one place in a file, such as a line or a column, which `found` begins with."""

    def of(self, name: str) -> SourceError:
        """The error about the file of this name."""
        return SourceError(f"{name}: {self.found}; expected {self.expected}. hint: {self.hint}")
