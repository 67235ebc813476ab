"""Parsing: libpg_query's JSON tree, decoded, one entry per statement of the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from pglast.parser import ParseError, parse_sql_json

from pgnym.sql.errors import Refused
from pgnym.sql.lexer import syntax_error

_decoder = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Statement:
    """A tagged statement node with its span in the text (bytes, semicolon excluded)."""

    node: dict[str, Any]
    start: int
    end: int


def parse(text: bytes) -> list[Statement]:
    """The statements of a text. Raises Refused 42601 in PostgreSQL's words, without constants."""
    characters = text.decode()
    try:
        tree = _decoder.decode(parse_sql_json(characters))
    except ParseError as error:
        raise syntax_error(error, characters) from None
    except (msgspec.DecodeError, RecursionError):
        raise Refused("statement is too deeply nested", sqlstate="54001") from None
    found = []
    for entry in tree.get("stmts", ()):
        start = entry.get("stmt_location", 0)
        length = entry.get("stmt_len", 0) or len(text) - start
        found.append(Statement(entry["stmt"], start, start + length))
    return found
