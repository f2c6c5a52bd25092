"""The lines of a page in plain words: how they are wrapped, and how names and texts from outside stand in them.

A page stands in comments above a script: no line is longer than 80 columns with the mark of a comment. What comes from
outside stands there whole: a text that is longer than a line stands in pieces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from metering_duck.statements.quote import shown_pieces

# The columns of a page without the mark of a comment before each line.
WIDTH = 77
LABEL = 12
# A text in quotes that takes more columns stands in pieces, and so does a number.
PIECE = 60
# What stands for a blank in a quoted text until the lines are wrapped, so that no line ends there.
_KEPT_BLANK = "\0"
# A word that is longer than a line: its brackets may be on other lines than what is in them.
_IN_BRACKETS = re.compile(r"(\(*)(.*?)([),;:]*)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def wrapped(label: str, words: str) -> str:
    """Words behind a label, on lines that begin below each other."""
    first = f"{label.ljust(LABEL)} "
    return _lines(words, first, " " * len(first))


def heading(words: str) -> str:
    """The first line of a block; what does not fit on it stands below, set in."""
    return _lines(words, "", "  ")


def _lines(words: str, first: str, below: str) -> str:
    """Words on lines of the page's width; a name, or a piece of a quoted text, stays whole."""
    lines, line, is_begun = [], first, False
    for gap, part in _parts(words, WIDTH - len(below)):
        if is_begun and columns(line + gap + part) > WIDTH:
            lines.append(line)
            line, is_begun = below, False
        line += gap + part if is_begun else part
        is_begun = True
    return "\n".join([*lines, line]).replace(_KEPT_BLANK, " ")


def _parts(words: str, room: int) -> Iterator[tuple[str, str]]:
    """What a line may end behind, each with the gap before it; a word without room on a line is taken apart."""
    for word in words.split():
        match = _IN_BRACKETS.fullmatch(word) if columns(word) > room else None
        gap = " "
        for part in filter(None, match.groups() if match else (word,)):
            yield gap, part
            gap = ""


def columns(text: str) -> int:
    """How many columns a text takes: a wide letter takes two."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def quoted(text: str) -> str:
    """A text of a config or a call in quotes, with every blank; what cannot be seen is written as in JSON.

    A long text stands in several pieces, one behind the other with nothing but a blank between them.
    """
    # No line ends within a piece.
    return " ".join(f'"{piece}"'.replace(" ", _KEPT_BLANK) for piece in shown_pieces(text, PIECE, columns))


def written(text: str) -> str:
    """A number or an interval as it was written; a long one in quotes, as any text that stands in pieces."""
    return text if len(text) <= PIECE else quoted(text)


def quotes_words(page: str) -> str:
    """What the quotes on a page mean, where that is not plain: escapes, and texts in pieces; "" if it has neither."""
    said = []
    if any("\\" in text for text in _QUOTED.findall(page)):
        said.append("a text in quotes stands as in JSON, where \\\\ is one backslash")
    if re.search(r'"\s+"', _QUOTED.sub('"', page)):
        said.append("quotes with nothing between them hold the pieces of one text")
    return "; ".join(said)


def listed(texts: Iterable[str], word: str = "or") -> str:
    """Texts in quotes, `word` before the last."""
    return joined([quoted(text) for text in texts], word)


def joined(parts: Iterable[str], word: str) -> str:
    """Parts of a sentence: commas between them, and `word` before the last."""
    *before, last = parts
    return f"{', '.join(before)} {word} {last}" if before else last
