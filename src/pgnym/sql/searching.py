"""A predicate on contents that has been taken out of a statement, and the edits that put a look-up's answer in its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from pgnym.sql.errors import Refused
from pgnym.sql.rewrite import Edit, LookupHole
from pgnym.sql.splices import New
from pgnym.sql.unify import OPERATION_HINT

NULL = "-"
"""What a NULL is taken for where it matters to a test: it is no token, so no stored value is taken for it."""


@dataclass(frozen=True, slots=True)
class Search:
    """A predicate on one protected value, from ``start`` to ``end``.

    ``kept``: the span of the value within it, the only part that is sent. ``parameters``: (number, type, where it stands) of
    the client parameters that it takes. ``label``: the name that the predicate gives to an output column, where that is not
    the operator's ``?column?``. ``pieces``: what stands in its place, where that isn't a set of tokens.
    """

    start: int
    end: int
    kept: tuple[int, int]
    hole: LookupHole
    parameters: tuple[tuple[int, int, int], ...] = ()
    label: str = ""
    pieces: tuple[New, ...] = ()

    @property
    def opening(self) -> bytes:
        """What stands before the value."""
        return b"(coalesce(" if self.hole.nulls else b"("

    def edits(self) -> list[Edit]:
        """``value LIKE 'a%'`` to ``(value = ANY(answer::text[]))``."""
        if self.pieces:
            *others, final = self.pieces
            return [
                *(Edit(self.start, self.start, new, self.start) for new in others),
                Edit(self.start, self.end, final),
            ]
        first, last = self.kept
        after = b", '%s') = ANY(" % NULL.encode() if self.hole.nulls else b" = ANY("
        closing = b"::text[]))"
        if self.label:
            closing += b' AS "%s"' % self.label.replace('"', '""').encode()
        return [
            Edit(self.start, first, self.opening),
            Edit(last, self.end, after),
            Edit(self.end, self.end, self.hole, self.start),
            Edit(self.end, self.end, closing),
        ]


def alike(searches: Collection[Search]) -> Iterator[Search]:
    """The same question everywhere for predicates that are the same: one in HAVING is matched with one in GROUP BY."""
    exact = {search.hole: search.hole for search in searches if not search.hole.loose}
    for search in searches:
        if search.pieces:
            yield search
            continue
        hole = exact.get(replace(search.hole, loose=False), search.hole)
        yield replace(search, hole=hole) if hole.nulls == search.hole.nulls else search


def kept_for_later(searches: Collection[Search]) -> Refused:
    """The refusal of predicates on contents in what is kept for later: a view, a policy, the body of a function."""
    first = min(searches, key=lambda search: search.start)
    columns = ", ".join(sorted(first.hole.columns))
    return Refused(
        f"a predicate on the contents of protected column {columns} can't be kept for later",
        detail="The database would keep the values that satisfy it now, not those that come.",
        hint=OPERATION_HINT,
        position=first.start,
    )
