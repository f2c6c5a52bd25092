"""Layout: SQL on lines that a person can read: one CASE branch a line, and none longer than 140 characters.

Only what stands between tokens changes, except that a text or a comment too long for a line is cut: the text into
pieces joined by ||, which is the same text. SQL has no way to cut a quoted name, the text that is a key of a STRUCT, or
the path of an ATTACH: one that is longer than a line stands alone on its line. For what is printed; what runs is not
laid out again.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise

from metering_duck.statements.quote import SHOWN_PIECE
from metering_duck.statements.tokens import Group, Node, Token, flat, lines_of, tree_of

WIDTH = 140
STEP = "    "
# What is nested deeper than this is not indented further, so that there is room for it.
DEPTH_MAX = 48
# A piece of a cut text, with room for its quotes, for what joins it to the next, and for some depth.
PIECE = 80
# A CASE of one branch stands on one line when it is no longer than this.
SHORT_CASE = 125
# More values than this, if each is one token, share lines.
MANY = 8
COMMENT = "-- "
# What stands for a blank of a shown text until a comment is wrapped, so that no line ends there.
_KEPT_BLANK = "\0"
_SHOWN = re.compile(rf'"(?:[^"\\]|\\.){{0,{SHOWN_PIECE}}}"')
_CLAUSES = ("FROM", "JOIN", "WHERE", "GROUP", "ORDER", "UNION")


def laid_out(sql: str, indent: str = "") -> str:
    """SQL with the lines that are too long, or have several CASE branches, laid out again; all moved by `indent`."""
    lines: list[str] = []
    for depth, tokens in lines_of(sql):
        lines += _line(tokens, indent + depth)
    return "\n".join(lines)


def comment(text: str, indent: str = "") -> str:
    """A comment on as many lines as it takes; a piece of a text that it shows stays whole, with every blank."""
    lines = textwrap.wrap(
        " ".join(_SHOWN.sub(lambda piece: piece.group().replace(" ", _KEPT_BLANK), text).split()),
        WIDTH,
        initial_indent=indent + COMMENT,
        subsequent_indent=indent + COMMENT,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_KEPT_BLANK, " ")


def _line(tokens: Sequence[Token], indent: str) -> list[str]:
    if not tokens:
        return [""]
    if len(tokens) == 1 and tokens[0].kind == "comment":
        return comment(tokens[0].text.removeprefix("--"), indent).split("\n")
    nodes = tree_of(tokens)
    # The first token of a line keeps its place.
    return _broken(nodes, indent) if nodes else []


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


def _must_break(nodes: Iterable[Node]) -> bool:
    """Whether a CASE of several branches, or a long one, is among the nodes, however deep."""
    groups = [node for node in nodes if isinstance(node, Group)]
    return any(_is_large_case(group) or _must_break(group.inside) for group in groups)


def _is_large_case(group: Group) -> bool:
    """Whether a group is a CASE that does not stand on one line: it has several branches, or a long one."""
    return group.is_case and (group.branches > 1 or len(group.text) > SHORT_CASE)


def _broken(nodes: Sequence[Node], indent: str) -> list[str]:
    """Nodes on as few lines as they need, at the loosest place where they can be broken."""
    text = flat(nodes)
    if _fits(text, indent) and not _must_break(nodes):
        return [indent + text]
    pieces = _pieces(nodes, indent)
    if len(pieces) > 1:
        # The clauses of a query stand below each other.
        further = indent if _is_word(nodes[0], ("SELECT",)) else _deeper(indent)
        lines = _broken(pieces[0], indent)
        for piece in pieces[1:]:
            lines += _broken(piece, further)
        return lines
    return _opened(nodes, indent)


def _fits(text: str, indent: str) -> bool:
    return len(indent) + _width(text) <= WIDTH


def _deeper(indent: str) -> str:
    """The indent of what stands inside of something."""
    return indent + STEP if len(indent) < DEPTH_MAX else indent


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
    return isinstance(last, Group) and _fits(flat(before), indent + STEP) and not _must_break(before)


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
    """Nodes of one operand: the groups that do not fit are opened, and what is inside them has lines of its own."""
    nodes = _with_plain_cases(nodes)
    opened = _to_open(nodes, indent)
    lines: list[str] = []
    current = indent
    for n, node in enumerate(nodes):
        blank = " " if node.spaced and current.strip() else ""
        text = node.text
        if n in opened and isinstance(node, Group):
            has_room = _fits(_first_line(node), current + blank)
            lines.append(f"{current}{blank}{_first_line(node) if has_room else node.opening.text}")
            lines += _inside(node, _deeper(indent), with_operand=not has_room)
            current = f"{indent}{node.closing.text}"
        elif n in opened:
            lines += [f"{current}{blank}(", *_cut_text(text, _deeper(indent))]
            current = f"{indent})"
        elif not current.strip():
            current = _placed(text, indent)
        elif _may_end_before(nodes, n) and not _fits(_with_sign(nodes, n), current + blank):
            lines.append(current)
            current = _placed(text, _deeper(indent))
        else:
            current += blank + text
    return [*lines, current]


def _first_line(group: Group) -> str:
    """What stands on the first line of a group that is opened."""
    return group.opening.text + _operand_of(group)


def _placed(text: str, indent: str) -> str:
    """A text at the start of a line, indented as far as leaves room for it."""
    return indent[: max(WIDTH - _width(text), 0)] + text


def _may_end_before(nodes: Sequence[Node], place: int) -> bool:
    """Whether a line may end before the node: at white space, and around a name, which cannot be cut."""
    return nodes[place].spaced or _is_uncut(nodes, place) or _is_uncut(nodes, place - 1)


def _is_uncut(nodes: Sequence[Node], place: int) -> bool:
    """Whether the node is a quoted name, the key of a STRUCT, or the path of an ATTACH OR REPLACE."""
    node = nodes[place]
    if not isinstance(node, Token) or node.kind not in ("name", "text"):
        return False
    is_key = place + 1 < len(nodes) and _is_word(nodes[place + 1], (":",))
    is_path = place > 0 and _is_word(nodes[place - 1], ("REPLACE",))
    return node.kind == "name" or is_key or is_path


def _with_sign(nodes: Sequence[Node], place: int) -> str:
    """The text of a node, and the comma or colon that stays with it."""
    has_sign = place + 1 < len(nodes) and not nodes[place + 1].spaced and _is_word(nodes[place + 1], (",", ":"))
    return flat(nodes[place : place + 2]).strip() if has_sign else nodes[place].text


def _with_plain_cases(nodes: Sequence[Node]) -> Sequence[Node]:
    """Nodes with a CASE of one branch that ends with a large group as the tokens that it is, so that this is opened."""
    plain: list[Node] = []
    for node in nodes:
        is_plain = (
            isinstance(node, Group)
            and node.is_case
            and node.branches == 1
            and not any(_is_word(token, ("ELSE",)) for token in node.inside)
            and isinstance(node.inside[-1], Group)
            and len(node.inside[-1].text) > len(node.text) // 2
            and not _must_break(node.inside[:-1])
        )
        plain += [node.opening, *node.inside, node.closing] if is_plain and isinstance(node, Group) else [node]
    return plain


def _to_open(nodes: Sequence[Node], indent: str) -> set[int]:
    """Which nodes are opened: those that have to be, then the largest until every line fits."""
    opened = {n for n in range(len(nodes)) if _has_to_open(nodes, n, indent)}
    groups = [n for n, node in enumerate(nodes) if isinstance(node, Group) and node.inside and n not in opened]
    for n in sorted(groups, key=lambda n: -len(nodes[n].text)):
        if all(_fits(line, indent) for line in _skeleton(nodes, opened)):
            break
        opened.add(n)
    return opened


def _has_to_open(nodes: Sequence[Node], place: int, indent: str) -> bool:
    """Whether the node is a text too long for a line, or has a CASE in it that has to be broken."""
    node = nodes[place]
    if isinstance(node, Group):
        return _must_break([node])
    return node.kind == "text" and not _is_uncut(nodes, place) and not _fits(_with_sign(nodes, place), _deeper(indent))


def _skeleton(nodes: Sequence[Node], opened: set[int]) -> list[str]:
    """What is left on lines of its own when some of the nodes are opened."""
    lines = [""]
    for n, node in enumerate(nodes):
        blank = " " if node.spaced and lines[-1] else ""
        if n not in opened:
            lines[-1] += blank + node.text
        elif isinstance(node, Group):
            lines[-1] += blank + _first_line(node)
            lines.append(node.closing.text)
        else:
            lines[-1] += f"{blank}("
            lines.append(")")
    return lines


def _inside(group: Group, indent: str, *, with_operand: bool) -> list[str]:
    """What is inside a group: a branch a line, or what commas divide; of many short values as many as fit."""
    if group.is_case:
        branches = _branches_of(group)
        parts = branches[1:] if _operand_of(group) and not with_operand else branches
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
        text = flat(part)
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
    return f" {flat(_branches_of(group)[0])}"


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
