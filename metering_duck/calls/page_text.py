"""The lines of a page in plain words: how they are wrapped, and how names and texts from outside stand in them.

A page stands in comments above a script: no line is longer than 80 columns with the mark of a comment, unless it is a
single name that is.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable

from metering_duck.statements.stages import SHOWN_MAX

# The columns of a page without the mark of a comment before each line.
WIDTH = 77
LABEL = 12


def wrapped(label: str, words: str) -> str:
    """Words behind a label, on lines that begin below each other."""
    first = f"{label.ljust(LABEL)} "
    return _lines(words, first, " " * len(first))


def heading(words: str) -> str:
    """The first line of a block; what does not fit on it stands below, set in."""
    return _lines(words, "", "  ")


def _lines(words: str, first: str, below: str) -> str:
    """Words on lines of the page's width; a name that is longer than a line stays whole."""
    return "\n".join(
        textwrap.wrap(
            words,
            WIDTH,
            initial_indent=first,
            subsequent_indent=below,
            break_on_hyphens=False,
            break_long_words=False,
        )
    )


def quoted(text: str) -> str:
    """A text of a config or a call in quotes, on one line: what breaks lines is written as in JSON."""
    return json.dumps(text, ensure_ascii=False)


def named(name: str) -> str:
    """A unit in quotes, on one line, cut where it is long."""
    return quoted(name if len(name) <= SHOWN_MAX else f"{name[: SHOWN_MAX - 1]}…")


def listed(texts: Iterable[str], word: str = "or") -> str:
    """Texts in quotes, `word` before the last."""
    return joined([quoted(text) for text in texts], word)


def joined(parts: Iterable[str], word: str) -> str:
    """Parts of a sentence: commas between them, and `word` before the last."""
    *before, last = parts
    return f"{', '.join(before)} {word} {last}" if before else last
