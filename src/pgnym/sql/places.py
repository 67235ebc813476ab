"""Places in the text: of nodes, words and parentheses; and spans of expressions, proven before text is put around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from pglast.parser import ParseError, parse_sql_json

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node
from pgnym.sql.lexer import Lexed
from pgnym.sql.spans import span

Span = tuple[int, int]

_OPEN, _CLOSE = frozenset((b"(", b"[")), frozenset((b")", b"]"))
_PLACES = frozenset({"location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"})
_decoder = msgspec.json.Decoder()


def places(node: object) -> Iterator[int]:
    """All byte offsets that a tree names."""
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, dict):
            for key, value in part.items():
                if key not in _PLACES:
                    pending.append(value)
                elif isinstance(value, int) and value >= 0:
                    yield value


def bare(node: object) -> object:
    """A tree without offsets: equal for equal expressions, wherever they stand."""
    if isinstance(node, list):
        return [bare(part) for part in node]
    if isinstance(node, dict):
        return {key: bare(value) for key, value in node.items() if key not in _PLACES}
    return node


def expression_span(lexed: Lexed, node: Node) -> Span:
    """(start, end) of an expression given as a tagged node, parentheses around it left out.

    The text found there is parsed by itself and must give the same tree: what is put around it then stands around the whole
    expression and nothing else. Raises Refused when it can't be told.
    """
    start, end = span(lexed, node)
    if _parsed(lexed.text[start:end]) != bare(node):
        raise Refused("the end of an expression can't be told, so that it can't be rewritten", position=start)
    return start, end


def _parsed(text: bytes) -> object:
    """The tree of an expression's text; None when the text is something else."""
    try:
        tree: Any = _decoder.decode(parse_sql_json(f"SELECT ({text.decode()}\n)"))
        (statement,) = tree["stmts"]
        (target,) = statement["stmt"]["SelectStmt"]["targetList"]
    except (ParseError, msgspec.DecodeError, ValueError, KeyError):
        return None
    return bare(target["ResTarget"].get("val"))


def word(lexed: Lexed, index: int) -> bytes:
    """A token's text in lower case; empty outside the text."""
    return (
        lexed.text[lexed.starts[index] : lexed.ends[index]].lower() if 0 <= index < len(lexed.starts) else b""
    )


def enclosed(lexed: Lexed, opening: int) -> int:
    """The token that closes the parenthesis at token ``opening``; the number of tokens when none does."""
    depth = 0
    for index in range(opening, len(lexed.starts)):
        token = word(lexed, index)
        if token in _OPEN:
            depth += 1
        elif token in _CLOSE:
            depth -= 1
            if depth == 0:
                return index
    return len(lexed.starts)
