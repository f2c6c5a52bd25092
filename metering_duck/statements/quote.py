"""identifier(name) and literal(text): the only two ways text from outside enters SQL; shown(text) for its comments.

They only quote; none looks at what the text says. A lone surrogate cannot be written in UTF-8 and is refused by
contract/config.py and inputs/opening.py before it gets here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

# A piece of a text that is shown in a comment; with its quotes it fits on a line.
SHOWN_PIECE = 100


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier: `a"b` becomes `"a""b"`."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL string literal. NUL, which SQL text cannot hold, is spliced in with chr(0)."""
    pieces = ["'" + piece.replace("'", "''") + "'" for piece in text.split("\0")]
    return pieces[0] if len(pieces) == 1 else "(" + " || chr(0) || ".join(pieces) + ")"


def shown(text: str) -> str:
    """A text in a comment: in quotes, every blank kept; what cannot be seen, or breaks a line, is written as in JSON.

    A long text stands in several pieces, one behind the other with nothing but a blank between them. So two texts never
    look the same, and nothing ends the comment.
    """
    return " ".join(f'"{piece}"' for piece in shown_pieces(text, SHOWN_PIECE, len))


def shown_pieces(text: str, width: int, measure: Callable[[str], int]) -> list[str]:
    """A text in pieces of at most `width` by what `measure` says of each letter; unseen letters written as in JSON."""
    pieces, room = [""], width
    for letter in map(_seen, text):
        if measure(letter) > room:
            pieces.append("")
            room = width
        pieces[-1] += letter
        room -= measure(letter)
    return pieces


def _seen(letter: str) -> str:
    """A letter as JSON has it; as its escape where it is a control or format character, or a blank but for " "."""
    return letter if letter.isprintable() and letter not in '"\\' else json.dumps(letter)[1:-1]


def literal_list(texts: Iterable[str]) -> str:
    """Texts as a SQL list of string literals."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def pattern_of(path: str) -> str:
    """A path as the pattern that DuckDB takes it for, which matches nothing but itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def path_list(paths: Iterable[str]) -> str:
    """Paths as a SQL list, each of one file: a name may have brackets in it, or a star."""
    return literal_list(pattern_of(path) for path in paths)
