"""The lines of a page in plain words: how they are wrapped, and how names and texts from outside stand in them.

A page stands in comments above a script: no line is longer than 80 columns with the mark of a comment.
"""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from collections.abc import Iterable

from metering_duck.statements.stages import cut_name

# The columns of a page without the mark of a comment before each line.
WIDTH = 77
LABEL = 12
# A text in quotes that takes more columns stands in pieces.
PIECE = 60
# What stands for a blank in a quoted text until the lines are wrapped, so that no line ends there.
_KEPT_BLANK = "\0"
# What stands behind a letter that takes two columns until then, so that letters count columns.
_SECOND_COLUMN = "\1"
# A name that stands without quotes.
_PLAIN = re.compile(rf"[\w.-]{{1,{PIECE}}}", re.ASCII)


def wrapped(label: str, words: str) -> str:
    """Words behind a label, on lines that begin below each other."""
    first = f"{label.ljust(LABEL)} "
    return _lines(words, first, " " * len(first))


def heading(words: str) -> str:
    """The first line of a block; what does not fit on it stands below, set in."""
    return _lines(words, "", "  ")


def _lines(words: str, first: str, below: str) -> str:
    """Words on lines of the page's width; a name, or a piece of a quoted text, stays whole."""
    lines = textwrap.wrap(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=below,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return "\n".join(lines).replace(_KEPT_BLANK, " ").replace(_SECOND_COLUMN, "")


def quoted(text: str) -> str:
    """A text of a config or a call in quotes, with every blank; what cannot be seen is written as in JSON.

    A long text stands in several pieces, one behind the other with nothing but a blank between them.
    """
    pieces = [""]
    for letter in map(_seen, text):
        if len(pieces[-1]) + len(letter) > PIECE:
            pieces.append("")
        pieces[-1] += letter
    # No line ends within a piece.
    return " ".join(f'"{piece}"'.replace(" ", _KEPT_BLANK) for piece in pieces)


def _seen(letter: str) -> str:
    """A letter as JSON has it; what cannot be seen, or breaks a line, as its escape; as many letters as columns."""
    is_hidden = letter != " " and unicodedata.category(letter)[0] in "CZ"
    is_wide = unicodedata.east_asian_width(letter) in "WF" and not is_hidden
    return json.dumps(letter, ensure_ascii=is_hidden)[1:-1] + (_SECOND_COLUMN if is_wide else "")


def name_words(name: str) -> str:
    """A property's name, in quotes unless it is one short, plain word; cut where it is long."""
    return name if _PLAIN.fullmatch(name) else named(name)


def named(name: str) -> str:
    """A unit in quotes, on one line, cut where it is long."""
    return quoted(cut_name(name))


def listed(texts: Iterable[str], word: str = "or") -> str:
    """Texts in quotes, `word` before the last."""
    return joined([quoted(text) for text in texts], word)


def joined(parts: Iterable[str], word: str) -> str:
    """Parts of a sentence: commas between them, and `word` before the last."""
    *before, last = parts
    return f"{', '.join(before)} {word} {last}" if before else last
