"""Layout: SQL on lines that a person can read: one CASE branch a line, and none longer than 140 characters.

Only what stands between tokens changes, except that a text or a comment too long for a line is cut: the text into
pieces joined by ||, which is the same text. For what is printed; what runs is not laid out again.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH = 140
STEP = "    "
# A piece of a cut text, with room for its quotes, for what joins it to the next, and for some depth.
PIECE = 80
# A CASE of one branch stands on one line when it is no longer than this.
SHORT_CASE = 125
# More values than this, if each is one token, share lines.
MANY = 8
COMMENT = "-- "

_TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<name>\"(?:[^\"]|\"\")*\")|(?P<comment>--[^\n]*)|(?P<line>\n[ \t]*)|(?P<blank>[ \t]+)"
    r"|(?P<word>\$?\w+)|(?P<operator>\|\||->>|->|::|//|<=|>=|<>|!=|:=|=>)|(?P<other>.)",
    re.DOTALL,
)
_CLOSED_BY = {"(": ")", "[": "]", "{": "}", "CASE": "END"}
_CLAUSES = ("FROM", "JOIN", "WHERE", "GROUP", "ORDER", "UNION")


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


Node = Token | Group


def laid_out(sql: str, indent: str = "") -> str:
    """SQL with the lines that are too long, or have several CASE branches, laid out again; all moved by `indent`."""
    lines: list[str] = []
    for depth, tokens in _lines(sql):
        lines += _line(tokens, indent + depth)
    return "\n".join(lines)


def comment(text: str, indent: str = "") -> str:
    """A comment on as many lines as it takes."""
    return "\n".join(
        textwrap.wrap(
            " ".join(text.split()),
            WIDTH,
            initial_indent=indent + COMMENT,
            subsequent_indent=indent + COMMENT,
            break_on_hyphens=False,
        )
    )


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


def _lines(sql: str) -> Iterator[tuple[str, list[Token]]]:
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


def _line(tokens: Sequence[Token], indent: str) -> list[str]:
    if not tokens:
        return [""]
    if len(tokens) == 1 and tokens[0].kind == "comment":
        return comment(tokens[0].text.removeprefix("--"), indent).split("\n")
    nodes = _tree(tokens)
    # The first token of a line keeps its place.
    return _broken(nodes, indent) if nodes else []


def _tree(tokens: Sequence[Token]) -> tuple[Node, ...]:
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


def _flat(nodes: Sequence[Node]) -> str:
    """Nodes on one line, without white space before the first."""
    text = "".join((" " if node.spaced else "") + _text_of(node) for node in nodes)
    return text.removeprefix(" ")


def _text_of(node: Node) -> str:
    if isinstance(node, Token):
        return node.text
    closing = (" " if node.closing.spaced else "") + node.closing.text
    inside = (" " if node.inside and node.inside[0].spaced else "") + _flat(node.inside)
    return node.opening.text + inside + closing


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


def _branches(group: Group) -> int:
    """How many WHEN a CASE has."""
    return sum(isinstance(node, Token) and node.text == "WHEN" for node in group.inside)


def _must_break(nodes: Iterable[Node]) -> bool:
    """Whether a CASE of several branches, or a long one, is among the nodes, however deep."""
    return any(
        isinstance(node, Group)
        and ((node.is_case and (_branches(node) > 1 or len(_text_of(node)) > SHORT_CASE)) or _must_break(node.inside))
        for node in nodes
    )


def _broken(nodes: Sequence[Node], indent: str) -> list[str]:
    """Nodes on as few lines as they need, at the loosest place where they can be broken."""
    text = _flat(nodes)
    if _fits(text, indent) and not _must_break(nodes):
        return [indent + text]
    pieces = _pieces(nodes, indent)
    if len(pieces) > 1:
        # The clauses of a query stand below each other.
        further = indent if _is_word(nodes[0], ("SELECT",)) else indent + STEP
        lines = _broken(pieces[0], indent)
        for piece in pieces[1:]:
            lines += _broken(piece, further)
        return lines
    return _opened(nodes, indent)


def _fits(text: str, indent: str) -> bool:
    return len(indent) + _width(text) <= WIDTH


def _pieces(nodes: Sequence[Node], indent: str) -> list[Sequence[Node]]:
    """Nodes cut before each of their loosest operators: clauses, OR, AND, then those of texts and numbers."""
    operators: list[Sequence[str]] = [("OR",), ("AND",), ("||",), ("+", "-"), ("*",)]
    if _is_word(nodes[0], ("SELECT",)):
        operators = [_CLAUSES, *operators]
    if _is_word(nodes[0], ("WHEN",)) and not _opens_well(nodes, indent):
        operators = [("THEN",), *operators]
    for signs in operators:
        places = [n for n in range(1, len(nodes)) if _cuts(nodes, n, signs)]
        if places:
            return _cut_at(nodes, places)
    return [nodes]


def _opens_well(nodes: Sequence[Node], indent: str) -> bool:
    """Whether a branch ends with a group, before which all fits on one line."""
    before, last = nodes[:-1], nodes[-1]
    return isinstance(last, Group) and _fits(_flat(before), indent + STEP) and not _must_break(before)


def _cut_at(nodes: Sequence[Node], places: Sequence[int]) -> list[Sequence[Node]]:
    bounds = [0, *places, len(nodes)]
    return [nodes[start:end] for start, end in pairwise(bounds) if start < end]


def _is_word(node: Node, words: Sequence[str]) -> bool:
    return isinstance(node, Token) and node.kind in ("word", "operator", "other") and node.text in words


def _cuts(nodes: Sequence[Node], place: int, signs: Sequence[str]) -> bool:
    """Whether a line may end before the node: it is one of the operators, with white space around it."""
    if not _is_word(nodes[place], signs) or not nodes[place].spaced:
        return False
    if place + 1 < len(nodes) and not nodes[place + 1].spaced:
        return False
    before = nodes[:place]
    if signs == ("*",) and _is_word(before[-1], ("SELECT",)):
        # The star of all columns multiplies nothing.
        return False
    if signs == ("AND",):
        # The AND of BETWEEN is no operator of its own.
        between = [n for n, node in enumerate(before) if _is_word(node, ("BETWEEN",))]
        return not between or any(_is_word(node, ("AND",)) for node in before[between[-1] :])
    # Nor is the FROM of IS DISTINCT FROM a clause.
    return not (signs == _CLAUSES and _is_word(before[-1], ("DISTINCT",)))


def _opened(nodes: Sequence[Node], indent: str) -> list[str]:
    """Nodes of one operand: the groups that have to be are opened, what is inside them on lines of its own."""
    nodes = _with_plain_cases(nodes)
    opened = _to_open(nodes, indent)
    lines: list[str] = []
    current = indent
    for n, node in enumerate(nodes):
        blank = " " if node.spaced and current.strip() else ""
        text = _text_of(node)
        if n in opened and isinstance(node, Group):
            lines.append(f"{current}{blank}{node.opening.text}{_operand_of(node)}")
            lines += _inside(node, indent + STEP)
            current = f"{indent}{node.closing.text}"
        elif n in opened:
            lines += [f"{current}{blank}(", *_cut_text(text, indent + STEP)]
            current = f"{indent})"
        elif not _fits(text, current + blank) and current.strip() and node.spaced:
            lines.append(current)
            current = indent + STEP + text
        else:
            current += blank + text
    return [*lines, current]


def _with_plain_cases(nodes: Sequence[Node]) -> Sequence[Node]:
    """Nodes with a CASE of one branch that ends with a large group as the tokens that it is, so that this is opened."""
    plain: list[Node] = []
    for node in nodes:
        is_plain = (
            isinstance(node, Group)
            and node.is_case
            and _branches(node) == 1
            and not any(_is_word(token, ("ELSE",)) for token in node.inside)
            and isinstance(node.inside[-1], Group)
            and len(_text_of(node.inside[-1])) > len(_text_of(node)) // 2
            and not _must_break(node.inside[:-1])
        )
        plain += [node.opening, *node.inside, node.closing] if is_plain and isinstance(node, Group) else [node]
    return plain


def _to_open(nodes: Sequence[Node], indent: str) -> set[int]:
    """Which nodes are opened: those that have to be, then the largest until every line fits."""
    opened = {n for n, node in enumerate(nodes) if _has_to_open(node, indent)}
    groups = [n for n, node in enumerate(nodes) if isinstance(node, Group) and node.inside and n not in opened]
    for n in sorted(groups, key=lambda n: -len(_text_of(nodes[n]))):
        if all(_fits(line, indent) for line in _skeleton(nodes, opened)):
            break
        opened.add(n)
    return opened


def _has_to_open(node: Node, indent: str) -> bool:
    """Whether it is a text too long for a line, or has a CASE in it that has to be broken."""
    if isinstance(node, Group):
        return _must_break([node])
    return node.kind == "text" and not _fits(node.text, indent + STEP)


def _skeleton(nodes: Sequence[Node], opened: set[int]) -> list[str]:
    """What is left on lines of its own when some of the nodes are opened."""
    lines = [""]
    for n, node in enumerate(nodes):
        blank = " " if node.spaced and lines[-1] else ""
        if n not in opened:
            lines[-1] += blank + _text_of(node)
        elif isinstance(node, Group):
            lines[-1] += blank + node.opening.text + _operand_of(node)
            lines.append(node.closing.text)
        else:
            lines[-1] += f"{blank}("
            lines.append(")")
    return lines


def _inside(group: Group, indent: str) -> list[str]:
    """What is inside a group: a branch a line, or what commas divide; of many short values as many as fit."""
    if group.is_case:
        branches = _branches_of(group)
        parts = branches[1:] if _operand_of(group) else branches
    elif _is_word(group.inside[0], ("SELECT",)):
        parts = [group.inside]
    else:
        parts = _cut_at(group.inside, [n + 1 for n, node in enumerate(group.inside) if _is_word(node, (",",))])
        if len(parts) > MANY and all(len(part) <= 2 and isinstance(part[0], Token) for part in parts):
            return _filled(parts, indent)
    return [line for part in parts for line in _broken(part, indent)]


def _filled(parts: Sequence[Sequence[Node]], indent: str) -> list[str]:
    """Short values, as many on a line as fit."""
    lines: list[str] = []
    for part in parts:
        text = _flat(part)
        if lines and _fits(f"{lines[-1]} {text}", "") and "\n" not in text:
            lines[-1] += f" {text}"
        elif _fits(text, indent):
            lines.append(indent + text)
        else:
            lines += _broken(part, indent)
    return lines


def _branches_of(group: Group) -> list[Sequence[Node]]:
    """The operand of a CASE, if it has one, and its branches."""
    return _cut_at(group.inside, [n for n, node in enumerate(group.inside) if _is_word(node, ("WHEN", "ELSE"))])


def _operand_of(group: Group) -> str:
    """What a CASE compares, behind a blank; nothing for one of conditions, or for other groups."""
    if not group.is_case or _is_word(group.inside[0], ("WHEN",)):
        return ""
    return f" {_flat(_branches_of(group)[0])}"


def _cut_text(text: str, indent: str) -> list[str]:
    """A text literal as pieces that are joined; a doubled quote stays in one piece."""
    content = text[1:-1]
    pieces, start = [], 0
    while start < len(content):
        end = start + PIECE
        # An odd run of quotes before the cut would be half of a doubled one.
        run = len(content[start:end]) - len(content[start:end].rstrip("'"))
        if end < len(content) and run % 2:
            end += 1
        pieces.append(content[start:end])
        start = end
    return [f"{indent}{'|| ' if n else ''}'{piece}'" for n, piece in enumerate(pieces)]
