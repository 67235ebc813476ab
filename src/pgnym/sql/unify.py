"""Unification of kinds: what comparison, assignment and merging of values do to them.

As in type inference (Damas and Milner 1982; here without polymorphism): each construct of SQL states which kinds must
agree, constants and parameters are variables, and a variable that meets a token takes the token's domain. A variable
that meets two things that don't agree is an error that names both.

A token's lineage says where its value comes from, so comparing two columns checks that they agree but joins nothing;
only constructs through which values flow (CASE, UNION, VALUES) join lineages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pgnym.sql.catalog import Protection
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import (
    PLAIN,
    ArrayOf,
    Deferred,
    Document,
    Kind,
    Mark,
    Open,
    Plain,
    Row,
    Text,
    Token,
    array_of_kind,
    lineage_of,
    protected,
    shape,
    tokens,
    within,
)
from pgnym.sql.plan import Container, Use
from pgnym.sql.types import BPCHAR, NUMBERS, TEXT, VARCHAR

_SAME_DOMAIN_HINT = "Give both columns the same `domain` in the configuration, and run `pgnym apply`."
_ONE_SIDE_HINT = "Protect the other side in the same domain, or compare in the application."
# For queries; other statements have one of their own in its place (``hints.py``).
OPERATION_HINT = "Select the column and apply it in the application, or compare the whole value with =."
_SEVERAL_HINT = (
    "A condition can look into one protected column: ask of each by itself (first ILIKE 'ann' AND last ILIKE 'b%'), "
    "keep them together in a protected column of their own, or compare in the application."
)
_DEFERRED_HINT = "Group by the column itself in a subquery, and apply the function to what comes out of it."
_RANDOMIZED_HINT = "Set `tokens: deterministic` for the column, and run `pgnym apply`."


def describe(kind: Kind) -> str:
    """A kind in words for a refusal."""
    kind = shape(kind)
    if isinstance(kind, Token):
        names = " or ".join(sorted(kind.columns))
        return f"{'a mix of plain values and ' if kind.mixed else ''}protected column {names}"
    if isinstance(kind, Plain):
        return kind.what
    if isinstance(kind, Text | Deferred):
        return kind.of
    if isinstance(kind, ArrayOf):
        return f"an array of {describe(kind.element)}"
    if isinstance(kind, Document):
        return kind.of
    if isinstance(kind, Row):
        return "a row"
    return "a constant or parameter"


def conflict(left: Kind, right: Kind, what: str, position: int | None) -> Refused:
    """The refusal of two kinds that don't agree."""
    both_tokens = isinstance(shape(left), Token) and isinstance(shape(right), Token)
    return Refused(
        f"{what} can't bring together {describe(left)} and {describe(right)}",
        detail="Tokens of one domain can be compared and stored only with values of the same domain.",
        hint=_SAME_DOMAIN_HINT
        if both_tokens
        else "Protect the other side in the same domain, or compare in the application.",
        position=position,
    )


_NAMED = 3  # columns that a refusal names; a jsonb column may have many paths


def unsupported(kind: Kind, what: str, position: int | None) -> Refused:
    """The refusal of an operation that looks into a protected value."""
    found = sorted({c for t in tokens(kind) for c in t.columns})
    if len(found) > _NAMED:
        found = [*found[:_NAMED], f"{len(found) - _NAMED} more"]
    columns = ", ".join(found) or "a protected column"
    known = shape(kind)
    if isinstance(known, Deferred):
        return Refused(
            f"{what} on {known.of} of protected column {columns} is not supported",
            detail="It is computed when the value is revealed: the database has only tokens.",
            hint=OPERATION_HINT,
            position=position,
        )
    return Refused(
        f"{what} on protected column {columns} is not supported",
        detail=f"Column {columns} holds tokens; {what} needs the values themselves.",
        hint=OPERATION_HINT,
        position=position,
    )


def require_plain_all(kinds: Sequence[Kind], what: str, position: int | None) -> None:
    """``require_plain`` for the operands of one operation."""
    try:
        for kind in kinds:
            require_plain(kind, what, position)
    except Refused as refusal:
        if (
            refusal.hint == OPERATION_HINT
            and len({c for k in kinds for t in tokens(k) for c in t.columns}) > 1
        ):
            refusal.hint = _SEVERAL_HINT
        raise


def randomized(token: Token, what: str, position: int | None) -> Refused:
    """The refusal of equality on a randomized column."""
    columns = ", ".join(sorted(token.columns))
    return Refused(
        f"{what} on randomized column {columns} is not supported",
        detail=f"Equal values of {columns} have different tokens.",
        hint=_RANDOMIZED_HINT,
        position=position,
    )


def same_domain(left: Token, right: Token) -> bool:
    """Whether equal values have equal tokens."""
    one, other = left.protection, right.protection
    return one.prefix == other.prefix and one.casefold == other.casefold


def check_equality(token: Token, what: str, position: int | None) -> None:
    """Raise Refused unless equal values have equal tokens, and nothing but these is among the values."""
    if token.protection.randomized:
        raise randomized(token, what, position)
    if token.mixed:
        raise unsupported(token, what, position)


def bind(node: Open, kind: Kind) -> None:
    """Give an unbound class its kind."""
    root = node.root()
    if root.bound is not None:
        raise AssertionError("class is bound already")
    root.bound = kind


def meet(node: Open, token: Token, use: Use, what: str, position: int | None) -> None:
    """A variable meets a token: it takes the domain, and remembers the columns."""
    root = node.root()
    _check_spelling(root, token, use, what, position)
    # What a constant was compared with is where its value comes from, when it is shown. It takes no length from there.
    seen = Token(token.lineage, token.protection, token.typmod if use is Use.WRITE else -1)
    if root.bound is None:
        root.bound = seen
    elif isinstance(root.bound, Token):
        if not same_domain(root.bound, token):
            raise conflict(root.bound, token, what, position)
        root.bound = Token(root.bound.lineage | token.lineage, root.bound.protection, root.bound.typmod)
    else:
        raise conflict(root.bound, token, what, position)
    root.uses.append((use, seen))


def _check_spelling(root: Open, token: Token, use: Use, what: str, position: int | None) -> None:
    """Raise Refused where PostgreSQL would take a constant for another type than the column's."""
    original = token.protection.type_oid
    if (
        root.named
        and not root.cast
        and token.protection.codec_oid not in (TEXT, VARCHAR)
        and root.occurrences
        and not any(o.cast_oid or o.declared or o.numeric for o in root.occurrences)
    ):
        raise Refused(
            f"{what} can't bring together {describe(token)} and text",
            sqlstate="0A000" if original == BPCHAR else "42804" if use is Use.WRITE else "42883",
            detail="A constant or parameter that comes out of a subquery without a cast has the type text.",
            hint="Cast it to the column's type within the subquery.",
            position=position,
        )


def carry(kind: Kind) -> None:
    """A value comes out of a statement: what constants and parameters in it have become must be in the vault to be shown.

    A constant that was only compared is not put there, but it may be shown as well: NULLIF('x', email), or the VALUES of an
    outer join.
    """
    for node in _opens(kind):
        known = shape(node)
        if isinstance(known, Token):
            node.shown = True
            meet(node, known, Use.CARRY, "a result", None)
        elif isinstance(known, Document):
            documents.use_again(node, Use.CARRY)
        elif isinstance(known, Open):
            node.shown = True


def _opens(kind: Kind, seen: frozenset[int] = frozenset()) -> Iterator[Open]:
    """The variables that a value may come from."""
    if isinstance(kind, Open):
        root = kind.root()
        yield root
        if root.bound is not None:
            yield from _opens(root.bound, seen)
    elif isinstance(kind, Token | Document):
        for node in kind.carried:
            yield from _opens(node, seen)
    else:
        for part, inner in within(kind, seen):
            yield from _opens(part, inner)


def join(left: Open, right: Open) -> None:
    """Two variables are one from now on."""
    one, other = left.root(), right.root()
    if one is other:
        return
    other.parent = one
    one.occurrences.extend(other.occurrences)
    one.uses.extend(other.uses)
    one.named = one.named or other.named
    one.cast = one.cast or other.cast
    one.shown = one.shown or other.shown


def compare(left: Kind, right: Kind, what: str, position: int | None) -> None:
    """Two values are tested for equality. Raises Refused when tokens can't answer that."""
    one, other = shape(left), shape(right)
    if isinstance(one, Document) or isinstance(other, Document):
        documents.compare(left, right, what, position)
        return
    if isinstance(one, Token) and isinstance(other, Token):
        check_equality(one, what, position)
        check_equality(other, what, position)
        if not same_domain(one, other):
            raise conflict(one, other, what, position)
        if isinstance(left, Open):
            meet(left, other, Use.COMPARE, what, position)
        if isinstance(right, Open):
            meet(right, one, Use.COMPARE, what, position)
    elif isinstance(one, Token) and isinstance(other, Open):
        check_equality(one, what, position)
        meet(other, one, Use.COMPARE, what, position)
    elif isinstance(one, Open) and isinstance(other, Token):
        check_equality(other, what, position)
        meet(one, other, Use.COMPARE, what, position)
    elif isinstance(one, Token) or isinstance(other, Token):
        raise conflict(one, other, what, position)
    elif isinstance(one, Open) and isinstance(other, Open):
        join(one, other)
    elif isinstance(one, ArrayOf) and isinstance(other, ArrayOf):
        compare(one.element, other.element, what, position)
    elif isinstance(one, ArrayOf) and isinstance(other, Open):
        bind(other, ArrayOf(Open()))
        compare(one, other, what, position)
    elif isinstance(one, Open) and isinstance(other, ArrayOf):
        compare(other, one, what, position)
    elif isinstance(one, Row) and isinstance(other, Row) and len(one.fields) == len(other.fields):
        for a, b in zip(one.fields, other.fields, strict=True):
            compare(a, b, what, position)
    elif any(isinstance(k, ArrayOf) and protected(k) for k in (one, other)):
        raise conflict(one, other, what, position)
    else:
        reason = other.what if isinstance(other, Plain) else what
        require_plain(one, what, position, reason)
        require_plain(other, what, position, one.what if isinstance(one, Plain) else what)


def element(array: Kind, what: str, position: int | None) -> Kind:
    """The kind of an array's elements; an open kind becomes an array."""
    kind = shape(array)
    if isinstance(kind, ArrayOf):
        return kind.element
    if isinstance(kind, Open):
        inner = Open()
        bind(kind, ArrayOf(inner))
        return inner
    if isinstance(kind, Plain):
        return Plain(f"an element of {kind.what}")
    require_plain(kind, what, position)
    return PLAIN


def require_plain(kind: Kind, what: str, position: int | None, reason: str | None = None) -> None:
    """An operation that looks into its operand: refused on tokens, and open kinds become plain.

    This is the seam for operators on protected values: what is refused here is what a later planner resolves in the vault.
    """
    kind = shape(kind)
    if isinstance(kind, Token | Deferred):
        raise unsupported(kind, what, position)
    if isinstance(kind, Open):
        bind(kind, Plain(reason or f"an operand of {what}"))
    elif isinstance(kind, Text):
        if protected(kind):
            raise unsupported(kind, what, position)
        for part in kind.parts:
            require_plain(part, what, position, reason)
    elif isinstance(kind, Document):
        raise unsupported(kind, what, position)
    elif isinstance(kind, ArrayOf):
        if protected(kind):
            raise unsupported(kind, what, position)
        require_plain(kind.element, what, position, reason)
    elif isinstance(kind, Row):
        for part in kind.fields:
            require_plain(part, what, position, reason)


def require_same_nulls(kind: Kind, what: str, position: int | None) -> None:
    """An operation that asks whether a value is NULL: the database must know.

    A deferred one may become NULL later only if the vault can tell for which values it will.
    """
    known = shape(kind)
    if not isinstance(known, Deferred) or not known.nullable:
        return
    if any(mark.source is None for mark in known.marks):
        raise unsupported(known, what, position)
    for mark in known.marks:
        mark.apart = mark.apart or what


def groupable(kind: Kind, what: str, position: int | None) -> None:
    """Equal values must have equal tokens: GROUP BY, DISTINCT, PARTITION BY, UNION."""
    kind = shape(kind)
    if isinstance(kind, Token):
        check_equality(kind, what, position)
    elif isinstance(kind, Deferred):
        first = kind.marks[0]
        if kind.mixed or any(not computed_alike(first, mark) for mark in kind.marks):
            refusal = unsupported(kind, what, position)
            refusal.hint = _DEFERRED_HINT
            raise refusal
        for mark in kind.marks:
            mark.apart = mark.apart or what
            mark.spelled = first if mark is not first else None
    elif isinstance(kind, Text):
        # ('ab' || 'c') and ('a' || 'bc') are equal as values, but not as tokens; constants around one token do no harm
        found = list(tokens(kind))
        if kind.fixed and len(found) == 1 and _spelled_once(found[0].protection):
            check_equality(found[0], what, position)
        else:
            require_plain(kind, what, position)
    elif isinstance(kind, Document):
        for _, token in kind.leaves:
            check_equality(token, what, position)
    elif isinstance(kind, ArrayOf):
        groupable(kind.element, what, position)
    elif isinstance(kind, Row):
        for part in kind.fields:
            groupable(part, what, position)


def computed_alike(one: Mark, other: Mark) -> bool:
    """Whether two functions give equal results for equal tokens."""
    first, second = one.source, other.source
    if first is None or second is None or one.depth != other.depth:
        return False
    ours, theirs = first.value.protection, second.value.protection
    return (
        ours.prefix == theirs.prefix
        and (first.expression, first.collation, first.constants)
        == (second.expression, second.collation, second.constants)
        and (one.depth == 1 or one is other)
    )


# Types of which equal values have one spelling: not numeric (1.5, 1.50), jsonb, or char(n).
_SPELLED_ONCE = frozenset({TEXT, VARCHAR, 20, 21, 23, 1082, 1114, 2950})


def _spelled_once(protection: Protection) -> bool:
    return protection.codec_oid in _SPELLED_ONCE and not protection.casefold


def _is_text(protection: Protection) -> bool:
    return protection.codec_oid in (TEXT, VARCHAR, BPCHAR)


def flow(kinds: Sequence[Kind], what: str, position: int | None) -> Kind:
    """The kind of a value that is one of several: CASE, COALESCE, UNION, VALUES, ARRAY[]."""
    if len(kinds) == 1:
        return kinds[0]
    shapes = [shape(k) for k in kinds]
    found = [s for s in shapes if isinstance(s, Token)]
    opens = [s for s in shapes if isinstance(s, Open)]
    plains = [s for s in shapes if isinstance(s, Plain)]
    others = [s for s in shapes if isinstance(s, Text | ArrayOf | Row)]
    deferred = [s for s in shapes if isinstance(s, Deferred)]
    if deferred:
        return _flow_deferred(kinds, shapes, deferred, what, position)
    if any(isinstance(s, Document) for s in shapes):
        return documents.flow(kinds, what, position)
    if others:
        return _flow_built(kinds, shapes, others, what, position)
    if found:
        return _flow_tokens(kinds, found, opens, plains, what, position)
    if plains:
        for node in opens:
            if node.root().bound is None:
                bind(node, plains[0])
        return plains[0] if all(p.type_oid == plains[0].type_oid for p in plains) else Plain(plains[0].what)
    for node in opens[1:]:
        join(opens[0], node)
    return opens[0].root()


def _width(token: Token) -> int:
    original = token.protection.type_oid
    return NUMBERS.index(original) if original in NUMBERS else 0


def _flow_tokens(
    kinds: Sequence[Kind],
    found: list[Token],
    opens: list[Open],
    plains: list[Plain],
    what: str,
    position: int | None,
) -> Kind:
    first = max(found, key=_width)
    one_domain = all(same_domain(first, t) for t in found)
    mixed = bool(plains) or not one_domain or any(t.mixed for t in found)
    if mixed and not all(_is_text(t.protection) for t in found):
        other = next((t for t in found if not same_domain(first, t)), None)
        raise conflict(first, other or (plains[0] if plains else PLAIN), what, position)
    if first.protection.type_oid == BPCHAR and any(o.root().named for o in opens):
        # a NULL of a subquery is text: char(n) beside it becomes text, and loses its blanks
        raise conflict(first, Plain("text"), what, position)
    lineage = frozenset(p for t in found for p in t.lineage)
    same_typmod = not opens and all(
        t.typmod == first.typmod and t.protection.type_oid == first.protection.type_oid for t in found
    )
    carried = tuple(o for t in found for o in t.carried) + tuple(k for k in kinds if isinstance(k, Open))
    collations = frozenset(c for t in found for c in t.collations or (None,))
    joined = Token(
        lineage,
        first.protection,
        first.typmod if same_typmod else -1,
        mixed,
        carried=carried,
        collations=collations if collations != {None} else frozenset(),
    )
    for node in opens:
        if node.root().bound is None and mixed:
            bind(node, plains[0] if plains else PLAIN)
        elif not mixed:
            meet(node, joined, Use.CARRY, what, position)
    for kind in kinds:
        if isinstance(kind, Open) and not mixed and isinstance(shape(kind), Token):
            meet(kind, joined, Use.CARRY, what, position)
    return joined


def _flow_built(
    kinds: Sequence[Kind],
    shapes: list[Kind],
    others: list[Text | ArrayOf | Row],
    what: str,
    position: int | None,
) -> Kind:
    first = others[0]
    if isinstance(first, Row):
        if not any(protected(s) for s in shapes):
            for part in shapes:
                require_plain(part, what, position)
            return Plain("a row")
        rows = [s for s in shapes if isinstance(s, Row)]
        rest = [s for s in shapes if not isinstance(s, Row)]
        if len({len(r.fields) for r in rows}) != 1 or any(isinstance(s, Plain | Open) is False for s in rest):
            raise conflict(rows[0], rest[0] if rest else rows[-1], what, position)
        for part in rest:
            require_plain(part, what, position)
        merged = [flow([r.fields[i] for r in rows], what, position) for i in range(len(first.fields))]
        return Row(first.names, tuple(merged))
    if isinstance(first, ArrayOf):
        elements: list[Kind] = []
        for part in shapes:
            if isinstance(part, Token | Text | Row):
                raise conflict(first, part, what, position)
            elements.append(element(part, what, position))
        return array_of_kind(flow(elements, what, position))
    for part in shapes:
        if isinstance(part, ArrayOf | Row) and protected(part):
            raise conflict(first, part, what, position)
    containers = {s.container for s in shapes if isinstance(s, Text)}
    if len(containers) > 1:
        raise Refused(
            f"{what} can't bring together {first.of} and other built text",
            detail="The branches embed protected values in different ways (text and JSON).",
            position=position,
        )
    return Text(tuple(kinds), first.container, first.of)


def _flow_deferred(
    kinds: Sequence[Kind], shapes: list[Kind], deferred: list[Deferred], what: str, position: int | None
) -> Kind:
    """Deferred values of one type, and what may stand beside them: NULL, and beside text other text."""
    first = deferred[0]
    for one in deferred:
        if one.type_oid != first.type_oid:
            raise conflict(first, one, what, position)
    rest = [
        s for s in shapes if not isinstance(s, Deferred) and not (isinstance(s, Open) and not s.occurrences)
    ]
    if not rest:
        marks = tuple(dict.fromkeys(m for one in deferred for m in one.marks))
        nullable = any(one.nullable for one in deferred)
        mixed = any(one.mixed for one in deferred)
        return replace(first, marks=marks, nullable=nullable, mixed=mixed)
    for part in rest:
        built = isinstance(part, Text) and part.container is not Container.TEXT
        typed = isinstance(part, Token) and not _is_text(part.protection)
        if first.type_oid != TEXT or built or typed or isinstance(part, ArrayOf | Row):
            raise conflict(first, part, what, position)
    return Text(tuple(kinds), Container.TEXT, f"{first.of} beside other text")


def assign(
    target: Protection | None, label: str, kind: Kind, what: str, position: int | None, *, typmod: int = -1
) -> None:
    """A value is stored in a column. ``label`` names the column; ``typmod`` is the target's original modifier."""
    value = shape(kind)
    if target is None:
        if protected(value):
            columns = ", ".join(sorted({c for t in tokens(value) for c in t.columns}))
            raise Refused(
                f"{what} would store protected column {columns} in unprotected column {label}",
                detail="A token in an unprotected column would never be revealed.",
                hint=f"Protect {label} in the same domain, and run `pgnym apply`.",
                position=position,
            )
        require_plain(value, what, position, f"unprotected column {label}")
        return
    if target.array:
        if not isinstance(value, Open | ArrayOf):
            raise _computed(value, label, what, position)
        kind = element(value, what, position)
        value = shape(kind)
    _assign_value(target, label, kind, value, what, position, typmod)


def _computed(value: Kind, label: str, what: str, position: int | None) -> Refused:
    return Refused(
        f"{what} would store {describe(value)} in protected column {label}",
        detail="The value is computed by the database, which can't turn it into a token.",
        hint="Compute the value in the application, and pass it as a constant or parameter.",
        position=position,
    )


def _assign_value(
    target: Protection, label: str, kind: Kind, value: Kind, what: str, position: int | None, typmod: int
) -> None:
    token = Token(lineage_of(target), target, typmod)
    if isinstance(value, Open):
        meet(value, token, Use.WRITE, what, position)
        return
    if not isinstance(value, Token):
        raise _computed(value, label, what, position)
    if value.mixed or not same_domain(value, token):
        raise conflict(value, token, what, position)
    if isinstance(kind, Open):
        meet(kind, token, Use.WRITE, what, position)
        return
    for node in value.carried:
        meet(node, token, Use.WRITE, what, position)
    for source in value.lineage:
        if source.type_oid != target.type_oid or (target.typmod != -1 and source.typmod != target.typmod):
            raise Refused(
                f"{what} would store column {source.column} in column {label}, whose type differs",
                detail="The database can't check or convert a value that it holds as a token.",
                hint="Give both columns the same type, or copy the values through the application.",
                position=position,
            )


from pgnym.sql import documents  # noqa: E402 - the two call one another
