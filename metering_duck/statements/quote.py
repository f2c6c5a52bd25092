"""identifier(name) and literal(text): the only two ways text from outside enters SQL.

Both only quote; neither looks at what the text says. A lone surrogate cannot be written in UTF-8 and is refused by
contract/config.py and inputs/opening.py before it gets here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier: `a"b` becomes `"a""b"`."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL string literal. NUL, which SQL text cannot hold, is spliced in with chr(0)."""
    pieces = ["'" + piece.replace("'", "''") + "'" for piece in text.split("\0")]
    return pieces[0] if len(pieces) == 1 else "(" + " || chr(0) || ".join(pieces) + ")"


def literal_list(texts: Iterable[str]) -> str:
    """Texts as a SQL list of string literals."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def pattern_of(path: str) -> str:
    """A path as the pattern that DuckDB takes it for, which matches nothing but itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def path_list(paths: Iterable[str]) -> str:
    """Paths as a SQL list, each of one file: a name may have brackets in it, or a star."""
    return literal_list(pattern_of(path) for path in paths)
