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

from pgnym.semantics.expression import Collation, Constant
from pgnym.sql.catalog import Catalog, Protection
from pgnym.sql.collating import DEFAULT
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Applied, Fixed
from pgnym.sql.fold import Constant as FoldedConstant
from pgnym.sql.infer import Node, Run, location
from pgnym.sql.kinds import Computed, Deferred, Kind, Open, Plain, Row, Token, shape
from pgnym.sql.places import Span, expression_span, word
from pgnym.sql.plan import Answer, MarkPart
from pgnym.sql.rewrite import LookupHole, mark_length
from pgnym.sql.splices import CLASS, MARK, RANK, VALUE, Around, Repeat
from pgnym.sql.types import BPCHAR, TEXT, VARCHAR
from pgnym.sql.unify import bind, carry, computed_alike, conflict, describe, require_plain, unsupported

UNRANKED = "pgnym_unranked_value"
"""The text that can't be cast to a rank."""
NULL_KEY = "0"
"""The member of the object of ranks that stands for NULL. No token is spelled like this."""

# Collations of libc that every server has; for a catalog without any.
_BYTEWISE = frozenset({"C", "POSIX", "ucs_basic"})


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the values of an expression are ordered: the ``protection`` has the collation that decides.

    ``computed``: what is computed from a value and ordered in its place. ``coded``: the database has an index of this order.
    """

    protection: Protection
    columns: frozenset[str]
    computed: Computed | None = None
    coded: bool = False

    def hole(self, answer: Answer) -> LookupHole:
        """The place of an answer of the vault."""
        found = self.computed
        if found is None:
            return LookupHole(answer, self.protection, self.columns)
        return LookupHole(
            answer, self.protection, self.columns, found.expression, found.constants, found.nulls
        )

    @property
    def key(self) -> Around:
        """Around an expression: something in whose order it is, from the index where there is one; NULL for NULL."""
        return coded(self.protection) if self.coded else self.rank

    @property
    def rank(self) -> Around:
        """Around an expression: its rank, an integer; NULL for NULL."""
        return Around(
            (b"NULLIF(coalesce(", self.hole(Answer.RANKS), b"::jsonb ->> coalesce(("),
            (b")::text, '%s'), '%s'), '')::int" % (NULL_KEY.encode(), UNRANKED.encode()),),
        )

    def value(self, type_name: bytes | None) -> Around:
        """Around an expression that gives a key: the token that has it. ``type_name``: its type, None for text."""
        cast = b"::" + type_name if type_name is not None else b""
        if self.coded:
            return Around((b"(pgnym.token_" + self.protection.prefix[3:] + b"(",), (b"))" + cast,))
        return Around((b"(", self.hole(Answer.ORDERED), b"::jsonb ->> ("), (b"))" + cast,))


def coded(protection: Protection) -> Around:
    """Around an expression: its code in the order index of the domain (see ``vault/order_tables.py``)."""
    return Around((b"(pgnym.order_" + protection.prefix[3:] + b"((",), (b')::text) COLLATE pg_catalog."C")',))


def code_place(protection: Protection, hole: LookupHole) -> Around:
    """Where a constant is or would be among the codes of a domain, around the answer of the vault."""
    before = b"pgnym.place_" + protection.prefix[3:] + b"(NULLIF("
    return Around((before, hole), (b"::text, '?'))",))


def ranking(run: Run, kind: Kind, what: str, position: int | None) -> Ranking:
    """How the values of a kind that is a token are ordered. Raises Refused where that can't be told or asked."""
    token = shape(kind)
    if not isinstance(token, Token) or token.mixed:
        raise unsupported(kind, what, position)
    _check_asked(run, token, what, position)
    carry(kind)  # constants among the values must have a rank as well
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
    return Ranking(
        protection, token.columns, coded=all(p.order_index for p in token.lineage) and not token.collations
    )


def _check_asked(run: Run, token: Token, what: str, position: int | None) -> None:
    """Raise Refused where the vault can't be asked; note the columns that it is asked about."""
    if run.stored is not None or run.view_depth:
        columns = ", ".join(sorted(token.columns))
        raise Refused(
            f"{what} on protected column {columns} is not supported in {run.stored or 'a definition'}",
            detail="The order of the values is known to the vault only, which is asked anew for each statement.",
            hint="Sort in the statements that use it.",
            position=position,
        )
    run.compared.update(token.columns)


def by_computed(run: Run, node: Node, found: Computed, what: str, position: int | None) -> None:
    """Put the rank of what an expression computes in its place: of the expression, only the value itself is sent."""
    computed = computed_ranking(run, found, what, position)
    start, end = expression_span(run.lexed, node)
    first, last = found.kept
    run.splices.around[first, last, RANK] = computed.rank
    run.edits[start, first] = b""
    run.edits[last, end] = b""
    for at in found.starts:
        run.occurrences.pop(at, None)


def computed_again(run: Run, span: Span, found: Computed, what: str, position: int | None) -> None:
    """Put the rank of what another expression computes in the place of ``span``.

    If another value stands for that one in a grouped query, so it does here.
    """
    rank = computed_ranking(run, found, what, position).rank
    first, last = found.kept
    inner = run.splices.around.get((first, last, CLASS), Around((), ()))
    around = Around((*rank.before, *inner.before), (*inner.after, *rank.after))
    run.splices.repeats[span] = Repeat(run.lexed.text[first:last], around)


def computed_ranking(run: Run, found: Computed, what: str, position: int | None) -> Ranking:
    """How what is computed from values is ordered. Raises Refused where the vault can't be asked."""
    _check_asked(run, found.value, what, position)
    run.splices.parameters.update(found.parameters)
    collation = found.collation
    if collation is None and found.type_oid in (TEXT, VARCHAR, BPCHAR):
        collation = run.catalog.collations.get(DEFAULT)  # a text that is made of no other text
    protection = replace(found.value.protection, collation=collation)
    return Ranking(protection, found.value.columns, found)


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


def by_rank(
    run: Run, node: Node, kind: Kind, what: str, position: int | None, *, plainly: bool = False
) -> Ranking:
    """Put what an expression is ordered by in its place. ``kind``: a token. ``plainly``: by rank in any case."""
    found = ranking(run, kind, what, position)
    if plainly:
        found = replace(found, coded=False)
    start, end = expression_span(run.lexed, node)
    run.splices.around[start, end, RANK] = found.key
    return found


def by_key(run: Run, nodes: Sequence[Node], kinds: Sequence[Kind], what: str, position: int | None) -> None:
    """Put something in their places by which these tokens are ordered among each other."""
    found = same_order(run, kinds, what, position)
    coded = all(each.coded for each in found)
    for node, each in zip(nodes, found, strict=True):
        start, end = expression_span(run.lexed, node)
        run.splices.around[start, end, RANK] = each.key if coded else each.rank


def ordered(run: Run, node: Node, kind: Kind, what: str, position: int | None) -> None:
    """A value is ordered among others of the same expression: by rank where it is a token, else it must be plain."""
    known = shape(kind)
    if isinstance(known, Token):
        by_key(run, [node], [kind], what, position)
    elif isinstance(known, Deferred) and one_source(known) is not None:
        start, end = expression_span(run.lexed, node)
        run.splices.around[start, end, RANK] = marked_rank(run, known, what, position)
    else:
        require_plain(kind, what, position)


def one_source(kind: Deferred) -> Computed | None:
    """What a deferred function computes, if all of its values are computed in one way from one protected value."""
    first = kind.marks[0]
    return None if kind.mixed or not all(computed_alike(first, mark) for mark in kind.marks) else first.source


def marked_rank(run: Run, kind: Deferred, what: str, position: int | None) -> Around:
    """Around an expression that gives a token between marks: the rank of what is computed from it."""
    source, depth = one_source(kind), kind.marks[0].depth
    assert source is not None
    rank = computed_ranking(run, source, what, position).rank
    opening, closing = (depth * (mark_length(part) - 2) for part in (MarkPart.OPEN, MarkPart.CLOSE))
    return Around((*rank.before, b"left(substr("), (b", %d), -%d)" % (opening + 1, closing), *rank.after))


def repeated(run: Run, span: Span, source: Span | bytes, kind: Kind, what: str, position: int | None) -> None:
    """Put the rank of the expression at ``source`` (or of fixed text) in the place of ``span``."""
    found = ranking(run, kind, what, position)
    run.splices.repeats[span] = Repeat(source, found.key)


def by_value(run: Run, node: Node, found: Ranking, type_name: bytes | None) -> None:
    """Put the token in the place of an expression that gives what it is ordered by."""
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
    """Whether several values are compared by rank: all are tokens, of columns rather than constants."""
    return all(isinstance(shape(k), Token) and not isinstance(k, Open) for k in kinds)


def same_order(run: Run, kinds: Sequence[Kind], what: str, position: int | None) -> list[Ranking]:
    """How several tokens are ordered among each other. Raises Refused unless they are in one order."""
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
    return found


def compare_rows(
    run: Run, nodes: tuple[Node, Node], rows: tuple[Row, Row], what: str, position: int | None
) -> None:
    """``(c, id) > ($1, $2)``: field by field by rank; a constant by the place that it has or would have among the ranks."""
    pairs = [node["RowExpr"].get("args", ()) for node in nodes if "RowExpr" in node]
    fields = [row.fields for row in rows]
    if len({2, len(pairs)}) != 1 or len({len(part) for part in (*pairs, *fields)}) != 1:
        for row in rows:
            require_plain(row, what, position)
        return
    for one, other, left, right in zip(*pairs, *fields, strict=True):
        if comparable([left, right]):
            by_key(run, [one, other], [left, right], what, position)
        elif comparable([left]) and isinstance(right, Open):
            _place(run, other, right, by_rank(run, one, left, what, position), what, position)
        elif comparable([right]) and isinstance(left, Open):
            _place(run, one, left, by_rank(run, other, right, what, position), what, position)
        else:
            require_plain(left, what, position)
            require_plain(right, what, position)


def compare_subquery(run: Run, node: Node, kinds: tuple[Kind, Kind], what: str, position: int | None) -> bool:
    """``c > ALL (SELECT d FROM …)``: both by key, if the subquery's column is an expression whose place is known."""
    query = node["subselect"].get("SelectStmt", {})
    targets = query.get("targetList", ())
    built = query.get("op", "SETOP_NONE") != "SETOP_NONE" or "sortClause" in query or "valuesLists" in query
    if built or len(targets) != 1 or not comparable(kinds):
        return False
    value = targets[0]["ResTarget"]["val"]
    if any("A_Star" in part for part in value.get("ColumnRef", {}).get("fields", ())):
        return False
    by_key(run, [node["testexpr"], value], kinds, what, position)
    return True


def _place(run: Run, node: Node, kind: Open, found: Ranking, what: str, position: int | None) -> None:
    """Put the place of a constant or parameter among the ranks in its place."""
    root = kind.root()
    own = found.protection.codec_oid
    occurrences = root.occurrences
    if (
        root.bound is not None
        or len(occurrences) != 1
        or occurrences[0].cast_oid not in (0, own, *((TEXT, VARCHAR) if own in (TEXT, VARCHAR) else ()))
        or occurrences[0].cast_typmod != -1
    ):
        raise Refused(
            f"{what} of protected column {', '.join(sorted(found.columns))} and this in a row is not supported",
            detail="It can be compared with a constant or parameter of the column's type, used here only.",
            hint="Write the comparison out: (c > x OR c = x AND …).",
            position=position,
        )
    (occurrence,) = occurrences
    fold = occurrence.fold
    source = occurrence.parameter or (fold if isinstance(fold, FoldedConstant | Fixed | Applied) else None)
    answer = Answer.CODE if found.coded else Answer.PLACE
    hole = LookupHole(answer, found.protection, found.columns, Constant(0, own), (source,))
    if occurrence.parameter:
        run.splices.parameters.add((occurrence.parameter, occurrence.declared or own, occurrence.start))
    span = expression_span(run.lexed, node)
    around = Around((b"NULLIF(", hole), (b"::text, '')::float8",))
    if found.coded:
        around = code_place(found.protection, hole)
    run.splices.repeats[span] = Repeat(b"", around)
    run.occurrences.pop(occurrence.start, None)
    bind(root, Plain("the place of a constant in an order"))


def result_type(catalog: Catalog, first: Token, *, varchar: bool) -> bytes | None:
    """The type that min or GREATEST gives on the server, None for text. ``varchar``: whether it leaves that as it is.

    ``first``: the first argument. Of types that can stand for each other, its type is the common one. Raises Refused where
    it may be either of text and varchar.
    """
    stored = first.protection.stored_oid
    if varchar and not first.whole and VARCHAR in {p.stored_oid for p in first.lineage}:
        raise Refused(
            f"picking by order from {describe(first)}, computed by an expression, is not supported",
            detail="It isn't known whether its type is text or varchar.",
            hint="Pick from the column itself, or use min() or max().",
        )
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
    values = [span for span in run.splices.around if span[2] in (VALUE, MARK)]
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
