"""From edits of a client's text to the pieces that are sent: byte splices, never a re-print.

A ``Template`` is made once per shape of text; its edits are anchored to the constants and comments cut out of the shape,
so that it can be applied to any other text of that shape.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from pgnym.semantics.documents import map_leaves
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.expression import Expression
from pgnym.sql.catalog import Protection
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Fold, evaluate
from pgnym.sql.literals import decode
from pgnym.sql.plan import (
    NONCE_LENGTH,
    Answer,
    FollowPiece,
    LiteralPiece,
    Lookup,
    LookupPiece,
    MarkPart,
    MarkPiece,
    Piece,
    Rewrite,
    StatementPlan,
    ValueUse,
)
from pgnym.sql.shape import Cuts, normalized

_TOKEN_LENGTH = 30
_BOUNDS = re.compile(r"[^{]*=")  # [1:2]={…}, which is sent on as it is
_MEMBER = re.compile(r'\s*(?:([{},])|"((?:[^"\\]|\\.)*)"|((?:[^{},"\\]|\\.)+))', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Hole:
    """A constant that becomes a token."""

    fold: Fold
    use: ValueUse


@dataclass(frozen=True, slots=True)
class LookupHole:
    """The place of a look-up's answer. ``constants``: as folds of the text's own constants, or client parameters."""

    answer: Answer
    protection: Protection
    columns: frozenset[str]
    test: Expression | None = None
    constants: tuple[Fold | int | None, ...] = ()
    nulls: bool = False
    loose: bool = False

    def filled(self, constant: Callable[[int], str], position: int = 0) -> Lookup:
        """The look-up with the constants of one text. ``constant``: the value of one, by its ordinal. Raises Refused."""
        constants = [
            source if source is None or isinstance(source, int) else evaluate(source, constant)
            for source in self.constants
        ]
        return Lookup(
            self.answer,
            self.protection,
            self.columns,
            self.test,
            tuple(constants),
            position,
            self.nulls,
            self.loose,
        )


@dataclass(frozen=True, slots=True)
class MarkHole:
    """The place of a mark, with what stands around it."""

    before: bytes
    piece: MarkPiece
    after: bytes


New = bytes | Hole | LookupHole | MarkHole | FollowPiece


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of the span ``start`` to ``end``. ``place``: where an error about it points, if not at ``start``."""

    start: int
    end: int
    new: New
    place: int | None = None


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A place in a shape: so many bytes behind the end of the cut before it."""

    cut: int
    offset: int

    def place(self, cuts: Cuts) -> int:
        return (cuts.ends[self.cut - 1] if self.cut else 0) + self.offset


@dataclass(frozen=True, slots=True)
class Template:
    """Edits on a shape, and the plans of the statements in it."""

    edits: tuple[tuple[_Anchor, _Anchor, New, _Anchor], ...]
    statements: tuple[StatementPlan, ...]
    fingerprint: str
    normalized: str

    @classmethod
    def make(
        cls, cuts: Cuts, edits: list[Edit], statements: tuple[StatementPlan, ...], fingerprint: str
    ) -> Template:
        """Anchor edits to the shape of the text they were found in. Raises Refused when they overlap."""
        anchored = []
        last = 0
        for edit in sorted(edits, key=lambda e: (e.start, e.end)):
            if edit.start < last:
                raise Refused("internal: overlapping edits", sqlstate="XX000", position=edit.start)
            last = edit.end
            start = _anchor(cuts, edit.start)
            place = start if edit.place is None else _anchor(cuts, edit.place)
            anchored.append((start, _anchor(cuts, edit.end), edit.new, place))
        return cls(tuple(anchored), statements, fingerprint, normalized(cuts))

    def apply(self, cuts: Cuts, standard_strings: bool) -> Rewrite:
        """The rewrite of one text of the shape. Raises Refused when a constant can't be decoded."""
        text = cuts.text
        pieces: list[Piece] = []
        positions: list[tuple[int, int]] = []
        last = 0
        sent = 0

        def constant(ordinal: int) -> str:
            return decode(cuts.raw(ordinal), standard_strings)

        for start_anchor, end_anchor, new, place in self.edits:
            start = start_anchor.place(cuts)
            end = end_anchor.place(cuts)
            pieces.append(text[last:start])
            sent += start - last
            positions.append((sent, start))
            if isinstance(new, bytes):
                pieces.append(new)
                sent += len(new)
            elif isinstance(new, FollowPiece):
                pieces.append(new)
                sent += len(new.text)
            elif isinstance(new, LookupHole):
                at = place.place(cuts)
                try:
                    pieces.append(LookupPiece(new.filled(constant, at), len(positions)))
                except Refused as refusal:
                    refusal.position = at
                    raise
            elif isinstance(new, MarkHole):
                pieces.extend((new.before, new.piece, new.after))
                sent += len(new.before) + mark_length(new.piece.part) + len(new.after)
            else:
                try:
                    value = evaluate(new.fold, constant)
                except Refused as refusal:
                    refusal.position = start
                    raise
                pieces.append(LiteralPiece(value, new.use, start))
                if new.use.leaves:
                    sent += _document_length(value, new.use)
                else:
                    sent += _literal_length(value, is_array=new.use.array)
            positions.append((sent, end))
            last = end
        pieces.append(text[last:])
        return Rewrite(
            tuple(_joined(pieces)), self.statements, tuple(positions), self.fingerprint, self.normalized
        )


def mark_length(part: MarkPart) -> int:
    """How many bytes a mark has as a quoted literal: the nonce, a letter, and two for the index where it opens."""
    return 2 + NONCE_LENGTH + (3 if part is MarkPart.OPEN else 1)


def document_literal(text: str) -> str:
    """A constant of JSON text, right whatever standard_conforming_strings is. The space keeps it from a word before it."""
    escaped = text.replace("'", "''")
    return " E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"


def _document_length(value: str, use: ValueUse) -> int:
    """How many bytes the constant has that is sent for a document; without meaning if it is refused for what it holds."""
    try:
        sent = map_leaves(
            value.encode(), tuple(leaf.path for leaf in use.leaves), lambda _, __: b"t" * _TOKEN_LENGTH
        )
    except EvaluationError:
        sent = value.encode()
    return len(document_literal(sent.decode()).encode())


def _literal_length(value: str, *, is_array: bool) -> int:
    """How many bytes the constant has that is sent for a value: a token in quotes, or an array of tokens.

    The empty string stays empty. An array (``array_in``'s syntax) keeps bounds, braces, commas and NULLs, not the white
    space around members.
    """
    if not is_array:
        return 2 + (_TOKEN_LENGTH if value else 0)
    bounds = _BOUNDS.match(value)
    length = 2 + (len(bounds.group().encode()) if bounds is not None else 0)
    for mark, quoted, bare in _MEMBER.findall(value[bounds.end() :] if bounds is not None else value):
        if mark:
            length += 1
        elif bare.strip():
            length += 4 if bare.strip().upper() == "NULL" else _TOKEN_LENGTH
        elif quoted or not bare:
            length += _TOKEN_LENGTH if quoted else 2
    return length


def _anchor(cuts: Cuts, place: int) -> _Anchor:
    cut = bisect_right(cuts.ends, place)
    return _Anchor(cut, place - (cuts.ends[cut - 1] if cut else 0))


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Runs of plain bytes made one; empty ones left out."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            if joined and isinstance(joined[-1], bytes):
                joined[-1] += piece
                continue
            if not piece:
                continue
        joined.append(piece)
    return joined


def check_strings(cuts: Cuts) -> None:
    """With standard_conforming_strings off, a backslash in a plain string changes where strings end: refuse it."""
    for start, end in zip(cuts.starts, cuts.ends, strict=True):
        if cuts.text[start : start + 1] == b"'" and b"\\" in cuts.text[start:end]:
            raise Refused(
                "backslash in a string constant while standard_conforming_strings is off",
                detail="What the constant means depends on a setting of the session.",
                hint="Write E'…', or set standard_conforming_strings = on.",
                position=start,
            )
