"""Order of protected values: the database sorts by rank, since it has no values to sort by.

The vault knows all values of a domain, so the gateway sorts them as the column's type and collation would, and sends the
rank of each token along with the statement, as a JSON object. Whatever compares or sorts values compares ranks instead:
ORDER BY, ``<``, windows. What brings out a value of a given rank (min, GREATEST) finds its token in a JSON array. Both take
the database a binary search or less per row. See docs/sorting.md.

A token without a rank was put by another session after the vault was asked. It must not be sorted anywhere: the cast of
``UNRANKED`` to a number fails then, and the gateway makes a serialization failure of that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgnym.semantics.expression import Collation
from pgnym.sql.catalog import Catalog, Protection
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, location
from pgnym.sql.kinds import Kind, Open, Token, shape
from pgnym.sql.places import Span, expression_span, word
from pgnym.sql.plan import Answer
from pgnym.sql.rewrite import LookupHole
from pgnym.sql.splices import RANK, VALUE, Around, Repeat
from pgnym.sql.types import BPCHAR, TEXT, VARCHAR
from pgnym.sql.unify import conflict, describe, require_plain, unsupported

UNRANKED = "pgnym_unranked_value"
"""The text that can't be cast to a rank."""
NULL_KEY = "0"
"""The member of the object of ranks that stands for NULL. No token is spelled like this."""

# Collations of libc that every server has; for a catalog without any.
_BYTEWISE = frozenset({"C", "POSIX", "ucs_basic"})


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the values of an expression are ordered: the ``protection`` has the collation that decides."""

    protection: Protection
    columns: frozenset[str]

    def hole(self, answer: Answer) -> LookupHole:
        """The place of an answer of the vault."""
        return LookupHole(answer, self.protection, self.columns)

    @property
    def rank(self) -> Around:
        """Around an expression: its rank, an integer; NULL for NULL."""
        return Around(
            (b"NULLIF(coalesce(", self.hole(Answer.RANKS), b"::jsonb ->> coalesce(("),
            (b")::text, '%s'), '%s'), '')::int" % (NULL_KEY.encode(), UNRANKED.encode()),),
        )

    def value(self, type_name: bytes | None) -> Around:
        """Around an expression that gives a rank: the token of that rank. ``type_name``: its type, None for text."""
        cast = b"::" + type_name if type_name is not None else b""
        return Around((b"(", self.hole(Answer.ORDERED), b"::jsonb ->> ("), (b"))" + cast,))


def ranking(run: Run, kind: Kind, what: str, position: int | None) -> Ranking:
    """How the values of a kind that is a token are ordered. Raises Refused where that can't be told or asked."""
    token = shape(kind)
    if not isinstance(token, Token) or token.mixed:
        raise unsupported(kind, what, position)
    columns = ", ".join(sorted(token.columns))
    if run.stored is not None or run.view_depth:
        raise Refused(
            f"{what} on protected column {columns} is not supported in {run.stored or 'a definition'}",
            detail="The order of the values is known to the vault only, which is asked anew for each statement.",
            hint="Sort in the statements that use it.",
            position=position,
        )
    if isinstance(kind, Open) or token.carried:
        raise Refused(
            f"{what} on a constant or parameter beside protected column {columns} is not supported",
            detail="Only values that are in the column's domain already have a place in its order.",
            hint="Sort by the column itself.",
            position=position,
        )
    sorts = {(_codec(p), p.collation, p.casefold) for p in token.lineage}
    if len(sorts) != 1 or len(token.collations) > 1:
        raise Refused(
            f"{what} can't tell the order of {describe(token)}",
            detail="Its values come from columns of different types or collations.",
            hint="Sort by one of the columns, or give both the same type and collation.",
            position=position,
        )
    protection = min(token.lineage, key=lambda p: p.column)
    for collation in token.collations:
        if collation is not None:
            protection = replace(protection, collation=collation)
    run.compared.update(token.columns)
    return Ranking(protection, token.columns)


def _codec(protection: Protection) -> int:
    return TEXT if protection.codec_oid == VARCHAR else protection.codec_oid


def collation_named(catalog: Catalog, search_path: Sequence[str], names: Sequence[str]) -> Collation | None:
    """The collation that a COLLATE clause names; None for one that isn't known."""
    schemas = (names[-2],) if len(names) > 1 else search_path
    for schema in schemas:
        found = catalog.collations.get((schema, names[-1]))
        if found is not None:
            return found
    if names[-1] in _BYTEWISE and not catalog.collations and schemas[:1] == ("pg_catalog",):
        return Collation(names[-1], "c", names[-1], names[-1])
    return None


def by_rank(run: Run, node: Node, kind: Kind, what: str, position: int | None) -> Ranking:
    """Put an expression's rank in its place. ``kind``: a token."""
    found = ranking(run, kind, what, position)
    start, end = expression_span(run.lexed, node)
    run.splices.around[start, end, RANK] = found.rank
    return found


def ordered(run: Run, node: Node, kind: Kind, what: str, position: int | None) -> None:
    """A value is ordered among others of the same expression: by rank where it is a token, else it must be plain."""
    if isinstance(shape(kind), Token):
        by_rank(run, node, kind, what, position)
    else:
        require_plain(kind, what, position)


def repeated(run: Run, span: Span, source: Span | bytes, kind: Kind, what: str, position: int | None) -> None:
    """Put the rank of the expression at ``source`` (or of fixed text) in the place of ``span``."""
    found = ranking(run, kind, what, position)
    run.splices.repeats[span] = Repeat(source, found.rank)


def by_value(run: Run, node: Node, found: Ranking, type_name: bytes | None) -> None:
    """Put the token in the place of an expression that gives its rank."""
    start, end = expression_span(run.lexed, node)
    run.splices.around[start, end, VALUE] = found.value(type_name)


def check_using(sort: Node, what: str, position: int | None) -> None:
    """Raise Refused for ``USING`` an operator that doesn't order ranks as it orders values."""
    if sort.get("sortby_dir") != "SORTBY_USING":
        return
    names = [n["String"].get("sval", "") for n in sort.get("useOp", ())]
    if names[-1:] not in (["<"], [">"]) or (len(names) > 1 and names[0] != "pg_catalog"):
        raise Refused(
            f"{what} USING {'.'.join(names)} on a protected column is not supported",
            hint="Use ASC or DESC.",
            position=position,
        )


def comparable(kinds: Sequence[Kind]) -> bool:
    """Whether the order of several values can be compared by rank: all are tokens, of columns rather than constants."""
    return all(isinstance(shape(k), Token) and not isinstance(k, Open) for k in kinds)


def same_order(run: Run, kinds: Sequence[Kind], what: str, position: int | None) -> None:
    """Raise Refused unless all of several tokens are ranked in one order."""
    found = [ranking(run, kind, what, position) for kind in kinds]
    for kind, each in zip(kinds, found, strict=True):
        one, other = found[0].protection, each.protection
        if one.prefix != other.prefix or (_codec(one), one.casefold) != (_codec(other), other.casefold):
            raise conflict(kinds[0], kind, what, position)
        if one.collation != other.collation:
            raise Refused(
                f"{what} can't tell the order of {describe(kinds[0])} and {describe(kind)}",
                sqlstate="42P22",
                detail="They have different collations.",
                hint="Use COLLATE on both sides, or give both columns the same collation.",
                position=position,
            )


def result_type(catalog: Catalog, first: Token, *, varchar: bool) -> bytes | None:
    """The type that min or GREATEST gives on the server, None for text. ``varchar``: whether it leaves that as it is.

    ``first``: the first argument. Of types that can stand for each other, its type is the common one.
    """
    stored = first.protection.stored_oid
    if stored == VARCHAR:
        return b"varchar" if varchar else None
    if stored == BPCHAR:
        return b"bpchar"
    known = catalog.types.get(stored)
    if known is None or stored == TEXT:
        return None
    return b'"%s"."%s"' % (_escaped(known.schema), _escaped(known.name))


def _escaped(name: str) -> bytes:
    return name.replace('"', '""').encode()


def quoted(name: str) -> bytes:
    """An identifier in quotes."""
    return b'"%s"' % _escaped(name)


def keep_name(run: Run, target: Node, name: str) -> None:
    """Give an output column without alias the name that it would lose when text comes to stand around its expression."""
    values = [span for span in run.splices.around if span[2] == VALUE]
    if not values or "name" in target:
        return
    start, end = expression_span(run.lexed, target["val"])
    if not any(start <= s and e <= end for s, e, _ in values):
        return
    lexed = run.lexed
    last = bisect_left(lexed.ends, end)
    for _ in range(lexed.token_at(location(target) or 0), lexed.token_at(start)):  # parentheses around it
        last += 1
        if word(lexed, last) != b")":
            raise Refused(
                "the end of an output column can't be told, so that it can't be named", position=start
            )
    run.splices.names[lexed.ends[last]] = b" AS " + quoted(name)
