"""Marks: what stands around the operands of a deferred function in the text sent upstream, and so in its results.

A mark is the session's nonce and a letter: ``o`` opens (then two characters: which function), ``s`` separates operands,
``c`` closes. All of it is lower-case letters and digits, which no container and no COPY format escapes, as in tokens.

The nonce is what stored data can't forge. It is random for each session, so text that somebody has put into an
unprotected column in the shape of a mark is text. Its first letter occurs in it once, so that two nonces never overlap,
and a mark is found where it was put, whatever stands before it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from pgnym.gateway.reports import GatewayError
from pgnym.sql.plan import NONCE_LENGTH, MarkPart, MarkPiece
from pgnym.vault.tokens import TOKEN_LENGTH, TOKEN_PATTERN
from pgnym.wire.datarow import TokenShape

_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567"
_HEAD = b"q"
_TAIL = _DIGITS.replace(_HEAD, b"")
_LETTERS = {MarkPart.NEXT: b"s", MarkPart.CLOSE: b"c"}


@dataclass(frozen=True, slots=True)
class Marked:
    """What marks enclose: the deferral's index, and its operands, each a sequence of text and of further marked parts."""

    index: int
    operands: list[list[Part]]


Part = bytes | Marked


class Marks:
    """The marks of one session."""

    __slots__ = ("_nonce", "pattern", "shape", "single")

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce
        self.pattern = re.compile(nonce + rb"(?:o([a-z2-7]{2})|([sc]))")
        # Where neither is found, a value has nothing that concerns us.
        found = re.compile(TOKEN_PATTERN.pattern + b"|" + nonce)
        self.shape = TokenShape(found, TOKEN_LENGTH)
        self.single = re.compile(nonce + rb"o([a-z2-7]{2})(" + TOKEN_PATTERN.pattern + rb")" + nonce + rb"c")

    @classmethod
    def fresh(cls) -> Marks:
        """Marks that nobody knows: 54 random bits."""
        tail = bytes(secrets.choice(_TAIL) for _ in range(NONCE_LENGTH - 1))
        return cls(_HEAD + tail)

    def literal(self, piece: MarkPiece) -> bytes:
        """A mark as a quoted literal."""
        if piece.part is MarkPart.OPEN:
            high, low = divmod(piece.index, len(_DIGITS))
            return b"'%bo%c%c'" % (self._nonce, _DIGITS[high], _DIGITS[low])
        return b"'" + self._nonce + _LETTERS[piece.part] + b"'"

    def read(self, value: bytes) -> list[Part]:
        """A value as text and marked parts. Raises ``GatewayError`` XX000 for marks that don't match."""
        current: list[Part] = []
        open_marks: list[tuple[Marked, list[Part]]] = []
        done = 0
        for found in self.pattern.finditer(value):
            if found.start() > done:
                current.append(value[done : found.start()])
            done = found.end()
            if found[1] is not None:
                open_marks.append((Marked(index_of(found[1]), []), current))
                current = []
                continue
            if not open_marks:
                raise _malformed()
            open_marks[-1][0].operands.append(current)
            current = []
            if found[2] == b"c":
                closed, current = open_marks.pop()
                current.append(closed)
        if open_marks:
            raise _malformed()
        if done < len(value):
            current.append(value[done:])
        return current


def index_of(digits: bytes) -> int:
    """The index that two characters spell."""
    return _DIGITS.index(digits[0]) * len(_DIGITS) + _DIGITS.index(digits[1])


def _malformed() -> GatewayError:
    return GatewayError(
        "XX000",
        "a function of protected values can't be computed: its place in the result is damaged",
        hint="Has a function of the statement cut or changed the text? Select the columns by themselves.",
    )
