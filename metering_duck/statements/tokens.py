"""Tokens: SQL text as words, texts, names and signs, and what is between brackets as groups."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<name>\"(?:[^\"]|\"\")*\")|(?P<comment>--[^\n]*)|(?P<line>\n[ \t]*)|(?P<blank>[ \t]+)"
    r"|(?P<word>\$?\w+)|(?P<operator>\|\||->>|->|::|//|<=|>=|<>|!=|:=|=>)|(?P<other>.)",
    re.DOTALL,
)
_CLOSED_BY = {"(": ")", "[": "]", "{": "}", "CASE": "END"}


@dataclass(frozen=True)
class Token:
    """A word, a text, a name, a sign or a comment, and whether white space stood before it."""

    text: str
    kind: str
    spaced: bool = False


@dataclass(frozen=True)
class Group:
    """What stands between two brackets, or between CASE and END."""

    opening: Token
    inside: tuple[Node, ...]
    closing: Token

    @property
    def spaced(self) -> bool:
        """Whether white space stood before it."""
        return self.opening.spaced

    @property
    def is_case(self) -> bool:
        """Whether it is a CASE."""
        return self.opening.text == "CASE"

    @property
    def branches(self) -> int:
        """How many WHEN a CASE has."""
        return sum(isinstance(node, Token) and node.text == "WHEN" for node in self.inside)

    @property
    def text(self) -> str:
        """The group on one line."""
        closing = (" " if self.closing.spaced else "") + self.closing.text
        inside = (" " if self.inside and self.inside[0].spaced else "") + flat(self.inside)
        return self.opening.text + inside + closing


Node = Token | Group


def tokens_of(sql: str) -> Iterator[Token]:
    """The tokens of SQL text, white space left out."""
    spaced = False
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        if kind in ("blank", "line"):
            spaced = True
            continue
        yield Token(match.group(), kind, spaced)
        spaced = False


def lines_of(sql: str) -> Iterator[tuple[str, list[Token]]]:
    """Each line of SQL: how far it is indented, and its tokens; a text with line ends in it is one token."""
    start = 0
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "line":
            yield _line_of(sql[start : match.start()])
            start = match.start() + 1
    yield _line_of(sql[start:])


def _line_of(line: str) -> tuple[str, list[Token]]:
    content = line.lstrip(" \t")
    return line[: len(line) - len(content)], list(tokens_of(content))


def tree_of(tokens: Sequence[Token]) -> tuple[Node, ...]:
    """Tokens with what is between brackets as groups; a bracket that has no partner on the line is a token."""
    stack: list[tuple[Token | None, list[Node]]] = [(None, [])]
    for token in tokens:
        opening = stack[-1][0]
        if token.kind in ("word", "other") and token.text in _CLOSED_BY:
            stack.append((token, []))
        elif opening is not None and token.kind in ("word", "other") and token.text == _CLOSED_BY[opening.text]:
            _, inside = stack.pop()
            stack[-1][1].append(Group(opening, tuple(inside), token))
        else:
            stack[-1][1].append(token)
    nodes: list[Node] = []
    for opening, inside in stack:
        nodes += [*([opening] if opening else []), *inside]
    return tuple(nodes)


def flat(nodes: Sequence[Node]) -> str:
    """Nodes on one line, without white space before the first."""
    text = "".join((" " if node.spaced else "") + node.text for node in nodes)
    return text.removeprefix(" ")
