"""A text on its way upstream: tokens stand where values stood, and answers of the vault where the plan asks for them.

In a Query an answer is written into the text as a constant. In a Parse it is one more parameter, numbered behind the others,
whose value comes with each Bind: what is prepared once is answered anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pgnym.gateway.deferred import check_deferrals
from pgnym.gateway.session import Session
from pgnym.gateway.tokenize import Tokenizer, Tokens
from pgnym.sql.plan import Answer, FollowPiece, Lookup, LookupPiece, MarkPiece, Rewrite
from pgnym.sql.rewrite import document_literal

_OIDS = {Answer.MATCHES: 1009, Answer.RANKS: 3802, Answer.ORDERED: 3802, Answer.PLACE: 25, Answer.CODE: 25}

Positions = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes upstream. ``positions``: as ``Rewrite.positions``, with answers counted at their own length."""

    text: bytes = field(repr=False)
    positions: Positions


@dataclass(frozen=True, slots=True)
class Draft:
    """A text whose answers are still open. ``parts``: bytes, or the index of the look-up in ``lookups``.

    ``lookups``: each question once, however often the text asks it: equal expressions (of a select list and its GROUP BY)
    must stay equal. ``closings``: per place of an answer the index in ``positions`` from which on its length counts.
    """

    parts: tuple[bytes | int, ...] = field(repr=False)
    lookups: tuple[Lookup, ...]
    positions: Positions
    closings: tuple[int, ...]

    def with_answers(self, answers: Sequence[bytes]) -> Sent:
        """The text with answers as constants: arrays of tokens and objects of ranks, which hold no backslash."""
        quoted = [b"'" + answer.replace(b"'", b"''") + b"'" for answer in answers]
        return self._sent(lambda index: quoted[index])

    def with_parameters(self, first: int) -> Sent:
        """The text with answers as parameters ``first`` and up."""
        return self._sent(lambda index: b"$%d" % (first + index))

    def _sent(self, place: Callable[[int], bytes]) -> Sent:
        if not self.closings:
            return Sent(b"".join(p for p in self.parts if isinstance(p, bytes)), self.positions)
        out: list[bytes] = []
        lengths: list[int] = []
        for part in self.parts:
            if isinstance(part, int):
                part = place(part)
                lengths.append(len(part))
            out.append(part)
        positions: list[tuple[int, int]] = []
        start = grown = 0
        for closing, length in zip(self.closings, lengths, strict=True):
            positions.extend((sent + grown, own) for sent, own in self.positions[start:closing])
            grown += length
            start = closing
        positions.extend((sent + grown, own) for sent, own in self.positions[start:])
        return Sent(b"".join(out), tuple(positions))


def draft(rewrite: Rewrite, session: Session, *, simple: bool) -> tuple[Draft, Tokens]:
    """The text with tokens in place of values, for a Query (``simple``) or a Parse.

    Raises what ``Tokenizer`` and ``check_deferrals`` raise.
    """
    tokens = Tokens()
    parts: list[bytes | int] = []
    closings: list[int] = []
    numbers: dict[Lookup, int] = {}
    for piece in rewrite.pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
            continue
        if isinstance(piece, FollowPiece):
            if simple:
                parts.append(piece.text)
            continue
        if isinstance(piece, LookupPiece):
            parts.append(numbers.setdefault(piece.lookup, len(numbers)))
            closings.append(piece.closing)
            continue
        if isinstance(piece, MarkPiece):
            parts.append(session.marks.literal(piece))
            continue
        tokenizer = Tokenizer(piece.use, session, piece.position)
        value = piece.value.encode()
        if piece.use.leaves:
            document = tokenizer.document(value, 0, False, tokens)
            parts.append(document_literal(document.decode()).encode())
            continue
        if piece.use.array:
            text = tokenizer.array(value, 0, False, tokens)
        else:
            text = tokenizer.token(value, 0, False, tokens)
        parts.append(b"'" + text.replace(b"'", b"''") + b"'")
    for plan in rewrite.statements:
        if plan.deferred:
            check_deferrals(plan, session)
    return Draft(tuple(parts), tuple(numbers), rewrite.positions, tuple(closings)), tokens


def answer_oid(lookup: Lookup) -> int:
    """The type of a look-up's answer as a parameter."""
    return _OIDS[lookup.answer]
