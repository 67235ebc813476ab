"""Edits that put text around expressions, or repeat an expression at a second place.

Expressions nest, so these are kept by span until a statement is understood, and only then become edits in an order in which
what belongs outside stands outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgnym.sql.lexer import Lexed
from pgnym.sql.plan import Answer, FollowPiece
from pgnym.sql.rewrite import Edit, Hole, LookupHole, MarkHole
from pgnym.sql.types import TEXT, VARCHAR

Span = tuple[int, int]
New = bytes | LookupHole | MarkHole
RANK, VALUE, GATHERED, QUERY, MARK = "rank", "value", "gathered", "query", "mark"
TEXT_FORM, CLASS, SEARCH = "text", "class", "search"
"""Purposes of text around something: an expression, or a whole query."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands before and after an expression."""

    before: tuple[New, ...]
    after: tuple[New, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """What stands in place of something: the expression at ``source`` (or fixed text), with text around it."""

    source: Span | bytes
    around: Around


@dataclass(slots=True)
class Splices:
    """Those of one statement.

    ``around``: by span and purpose, inner ones first. ``repeats``: by the span that is replaced. ``names``: where an output
    column gets the name that it would lose, by place. ``parameters``: (number, type, where it stands) of client parameters
    that look-ups take.
    """

    around: dict[tuple[int, int, str], Around] = field(default_factory=dict)
    repeats: dict[Span, Repeat] = field(default_factory=dict)
    names: dict[int, bytes] = field(default_factory=dict)
    parameters: set[tuple[int, int, int]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.around or self.repeats)

    def innermost(self, place: tuple[int, int, str], around: Around) -> None:
        """Put text around an expression within all that stands around it already."""
        self.around.pop(place, None)
        self.around = {place: around, **self.around}

    def edits(self, lexed: Lexed, edits: Sequence[Edit], pins: set[int]) -> list[Edit]:
        """These and the statement's other ``edits`` as one list. ``pins``: ordinals of constants that a plan depends on."""
        if not self:
            return list(edits)
        numbered = [(span, number, text) for number, (span, text) in enumerate(self.around.items())]
        inside: list[Edit] = []
        for (start, _, _), _, text in sorted(numbered, key=lambda n: (-n[0][1], -n[1])):
            inside.extend(Edit(start, start, new) for new in text.before)
        closing = sorted(numbered, key=lambda n: (-n[0][0], n[1]))
        for (_, end, purpose), _, text in closing:
            if purpose != QUERY:
                inside.extend(Edit(end, end, new) for new in text.after)
        inside.extend(edits)
        inside.extend(Edit(place, place, name) for place, name in self.names.items())
        for (_, end, purpose), _, text in closing:
            if purpose == QUERY:
                inside.extend(Edit(end, end, new) for new in text.after)
        pending = dict(self.repeats)
        while pending:
            # an expression that is repeated may hold repeated ones itself (a subquery with ORDER BY 1)
            span = next(s for s, r in pending.items() if not any(_holds(r.source, held) for held in pending))
            repeat = pending.pop(span)
            copied = self._copied(lexed, inside, repeat.source, pins)
            news = [*repeat.around.before, *copied, *repeat.around.after]
            inside.extend(Edit(span[0], span[0], new) for new in news[:-1])
            inside.append(Edit(*span, news[-1]))
        return _united(inside)

    def _copied(
        self, lexed: Lexed, edits: Sequence[Edit], source: Span | bytes, pins: set[int]
    ) -> Iterator[bytes | Hole | LookupHole | MarkHole | FollowPiece]:
        """The text of a span as it will be when all edits are made, but for the name that an output column gets there."""
        if isinstance(source, bytes):
            yield source
            return
        last, end = source
        for edit in sorted(edits, key=lambda e: (e.start, e.end)):
            name = edit.start == end and edit.new == self.names.get(end)
            if _holds(source, (edit.start, edit.end)) and not name:
                yield _plain(lexed, last, edit.start, pins)
                yield edit.new
                last = edit.end
        yield _plain(lexed, last, end, pins)


def _holds(source: Span | bytes, span: Span) -> bool:
    return not isinstance(source, bytes) and source[0] <= span[0] and span[1] <= source[1]


def _plain(lexed: Lexed, start: int, end: int, pins: set[int]) -> bytes:
    """A stretch of the text, without its comments. The plan then holds for texts with the same constants there only."""
    cuts = lexed.cuts
    parts: list[bytes] = []
    last = start
    for ordinal in range(lexed.ordinal(start), len(cuts.starts)):
        if cuts.starts[ordinal] >= end:
            break
        if lexed.is_comment(ordinal):
            parts.append(lexed.text[last : cuts.starts[ordinal]])
            last = cuts.ends[ordinal]
        else:
            pins.add(ordinal)
    parts.append(lexed.text[last:end])
    return b" ".join(parts)


def _united(edits: Sequence[Edit]) -> list[Edit]:
    """One ranking for all columns of a domain that are ordered alike, so that it is asked for once."""
    groups: dict[object, list[LookupHole]] = {}
    for edit in edits:
        if isinstance(edit.new, LookupHole) and edit.new.answer is not Answer.MATCHES:
            groups.setdefault(_ranking(edit.new), []).append(edit.new)
    return [replace(e, new=_of_group(e.new, groups)) if isinstance(e.new, LookupHole) else e for e in edits]


def _of_group(hole: LookupHole, groups: Mapping[object, list[LookupHole]]) -> LookupHole:
    if hole.answer is Answer.MATCHES:
        return hole
    group = groups[_ranking(hole)]
    columns = frozenset(c for member in group for c in member.columns)
    return replace(hole, protection=group[0].protection, columns=columns)


def _ranking(hole: LookupHole) -> object:
    """What makes two rankings one."""
    protection = hole.protection
    codec = TEXT if protection.codec_oid == VARCHAR else protection.codec_oid
    test = None if hole.answer in (Answer.PLACE, Answer.CODE) else hole.test
    return protection.prefix, codec, protection.collation, test, hole.constants if test is not None else None
