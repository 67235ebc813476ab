"""Kinds of expressions: what a value may hold, seen from protection.

A *plain* value has nothing to do with tokens. A *token* is a value of a protected column, as stored. *Text* is built
around other values (concatenation, JSON). A *deferred* value is a function of others that the gateway computes when it is
shown; till then it is these others between marks. An *open* kind belongs to constants and parameters whose kind the rest
of the statement decides: the variables of the unification in ``unify.py``. Arrays and rows hold other kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pgnym.semantics.documents import Path
from pgnym.semantics.expression import Collation, Expression
from pgnym.semantics.types import shown_type
from pgnym.sql.catalog import Leaf, Protection
from pgnym.sql.fold import Fold
from pgnym.sql.plan import Container, Deferral, Use


@dataclass(frozen=True, slots=True)
class Plain:
    """A value without tokens. ``what`` names it in refusals; ``type_oid`` where known, else 0."""

    what: str = "an unprotected value"
    type_oid: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """A stored value of a protected column.

    ``lineage``: the columns it may come from. ``mixed``: it may also be a plain value, or a token of another domain, so
    it can be shown but not compared. ``typmod``: the modifier clients are shown. ``whole``: still the column itself,
    not the result of an expression. ``carried``: constants and parameters that it may come from instead. ``collations``:
    those that COLLATE has given it; none: the column's own. ``planned``: the modifier when PostgreSQL's planner has left out
    what is known to be NULL, None: the same.
    """

    lineage: frozenset[Protection]
    protection: Protection
    typmod: int = -1
    mixed: bool = False
    whole: bool = False
    carried: tuple[Open, ...] = field(default=(), compare=False, repr=False)
    collations: frozenset[Collation | None] = frozenset()
    planned: int | None = field(default=None, compare=False)

    @property
    def columns(self) -> frozenset[str]:
        """Base columns, as policies name them."""
        return frozenset(p.column for p in self.lineage)


@dataclass(frozen=True, slots=True)
class Text:
    """Text or JSON in which the ``parts`` are embedded. ``of``: what was built, for refusals.

    ``exact``: nothing stands around the one part; it is its text form (a cast). ``fixed``: what stands around the parts is
    the same in every row, so that texts are equal when the parts are. ``loose``: text of a part of a jsonb value (``->>``),
    which is JSON, or a string of it without its quotes.
    """

    parts: tuple[Kind, ...]
    container: Container
    of: str
    exact: bool = False
    fixed: bool = False
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that is computed from one protected value and constants, for its order.

    ``kept``: the span of the value. ``parameters``: as in ``Search``. ``starts``: where the constants stood.
    """

    value: Token
    kept: tuple[int, int]
    expression: Expression
    type_oid: int
    collation: Collation | None
    nulls: bool
    constants: tuple[Fold | int | None, ...]
    parameters: tuple[tuple[int, int, int], ...]
    starts: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Mark:
    """The place of a function that is deferred: the text between its enclosed operands is replaced by marks.

    ``index``: its number within the statement. ``place``: where the parse tree places it. ``operands``: the kinds of what
    stays, in the order of the text. ``deferral``: what is to be done, but for ``columns``. ``source``: what it computes, if
    that is of one protected value and constants; that value stands ``depth`` marks within. ``apart``: what needs equal
    results to be equal texts, if anything does; ``spelled``: the mark by whose index it is then sent, if not its own.
    """

    index: int
    place: int | None
    operands: tuple[Kind, ...] = ()
    deferral: Deferral | None = None
    source: Computed | None = None
    depth: int = 1
    apart: str | None = None
    spelled: Mark | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """The result of a function that the gateway applies after the reveal. It can be shown, and nothing else.

    ``marks``: the places it may come from. ``type_oid``: of the result. ``of``: what it is, for refusals. ``nullable``: it
    may be NULL though no operand is. ``mixed``: it may also be a plain value, sent as text. ``collation``: of its text.
    """

    marks: tuple[Mark, ...]
    type_oid: int
    of: str
    nullable: bool = False
    mixed: bool = False
    collation: Collation | None = None

    @property
    def shown_oid(self) -> int:
        """The type that PostgreSQL has for it."""
        return shown_type(self.type_oid)


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array whose elements are of one kind."""

    element: Kind


@dataclass(frozen=True, slots=True)
class Document:
    """A jsonb value whose strings at the paths of ``leaves`` are tokens; never without leaves.

    ``of``: what it is, for refusals. ``carried``: constants and parameters that parts of it may come from instead.
    """

    leaves: tuple[tuple[Path, Token], ...]
    of: str
    carried: tuple[Open, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A composite value. ``names`` are field names, ``f1`` … for ROW()."""

    names: tuple[str, ...]
    fields: tuple[Kind, ...]


@dataclass(slots=True, eq=False)
class Occurrence:
    """One place of the text where a constant or parameter stands.

    ``start`` and ``end``: its span. ``parameter``: its number, or 0 for a constant. ``fold``: how the constant's value
    comes from the constants of the text (see ``rewrite.py``). ``numeric``: not written in quotes. ``cast_oid`` and
    ``cast_typmod``: the cast around it; ``cast_span``: where the type's name stands (for ``date '…'`` the constant's
    own span begins there). ``declared``: the type that the client's Parse names for a parameter, or 0. ``null_tested``:
    only whether it is NULL matters.
    """

    start: int
    end: int
    parameter: int = 0
    fold: object = None
    numeric: bool = False
    cast_oid: int = 0
    cast_typmod: int = -1
    cast_array: bool = False
    cast_span: tuple[int, int] | None = None
    cast_name: str | None = None
    declared: int = 0
    null_tested: bool = False
    open: Open | None = None


@dataclass(frozen=True, slots=True)
class LateCast:
    """A cast of something open that isn't a constant itself (``v.x::date``, ``ARRAY[$1]::int[]``): judged when its kind is
    known.
    """

    kind: Open | ArrayOf
    span: tuple[int, int]
    cast_oid: int
    cast_typmod: int
    cast_array: bool
    cast_name: str


@dataclass(slots=True, eq=False)
class Open:
    """A union-find node.

    ``bound``: the kind it has taken. ``uses``: why, with the token that it met. ``named``: it was the column of a subquery,
    at whose border PostgreSQL makes constants and parameters of unknown type text. ``cast``: it is cast behind that border.
    ``shown``: it may come out of the statement.
    """

    parent: Open | None = None
    bound: Kind | None = None
    occurrences: list[Occurrence] = field(default_factory=list)
    uses: list[tuple[Use, Token]] = field(default_factory=list)
    named: bool = False
    cast: bool = False
    shown: bool = False

    def root(self) -> Open:
        """The representative of the class, with path halving."""
        node = self
        while node.parent is not None:
            if node.parent.parent is not None:
                node.parent = node.parent.parent
            node = node.parent
        return node


Kind = Plain | Token | Text | Deferred | ArrayOf | Document | Row | Open

PLAIN = Plain()


def shape(kind: Kind) -> Kind:
    """The kind as it is now known: an open kind's binding, else its class."""
    while isinstance(kind, Open):
        root = kind.root()
        if root.bound is None:
            return root
        kind = root.bound
    return kind


def within(kind: Kind, seen: frozenset[int]) -> Iterator[tuple[Kind, frozenset[int]]]:
    """What a kind is made of, one step down. ``seen``: marks that it is within.

    (A recursive query may put a function into itself.)
    """
    if isinstance(kind, Text):
        yield from ((part, seen) for part in kind.parts)
    elif isinstance(kind, Deferred):
        for mark in kind.marks:
            if mark.index not in seen:
                inner = seen | {mark.index}
                yield from ((part, inner) for part in mark.operands)
    elif isinstance(kind, ArrayOf):
        yield kind.element, seen
    elif isinstance(kind, Row):
        yield from ((part, seen) for part in kind.fields)


def tokens(kind: Kind, seen: frozenset[int] = frozenset()) -> Iterator[Token]:
    """All tokens within a kind. ``seen``: as for ``within``."""
    kind = shape(kind)
    if isinstance(kind, Token):
        yield kind
    elif isinstance(kind, Document):
        yield from (token for _, token in kind.leaves)
    else:
        for part, inner in within(kind, seen):
            yield from tokens(part, inner)


def protected(kind: Kind) -> bool:
    """Whether tokens may be in a value of this kind."""
    return next(tokens(kind), None) is not None


def unsized(kind: Kind) -> Kind:
    """The kind as a function's result: without the column's modifier."""
    known = shape(kind)
    if isinstance(known, Token) and (known.typmod != -1 or known.whole):
        carried = (*known.carried, kind) if isinstance(kind, Open) else known.carried
        return replace(known, typmod=-1, whole=False, carried=carried, planned=None)
    if isinstance(known, ArrayOf):
        return ArrayOf(unsized(known.element))
    return kind


def frozen(kind: Kind) -> Kind:
    """The kind with every open kind replaced by what became of it (plain when nothing did)."""
    kind = shape(kind)
    if isinstance(kind, Open):
        return PLAIN
    if isinstance(kind, Text):
        parts = tuple(p for p in map(frozen, kind.parts) if not isinstance(p, Plain))
        return replace(kind, parts=parts) if parts else PLAIN
    if isinstance(kind, ArrayOf):
        element = frozen(kind.element)
        return PLAIN if isinstance(element, Plain) else ArrayOf(element)
    if isinstance(kind, Row):
        return Row(kind.names, tuple(map(frozen, kind.fields)))
    return kind


def document_kind(label: str, leaves: tuple[Leaf, ...]) -> Document:
    """The kind of a jsonb column with protected paths."""
    found = tuple((leaf.path, Token(frozenset((leaf.protection,)), leaf.protection)) for leaf in leaves)
    return Document(found, f"jsonb column {label}")


def column_kind(protection: Protection) -> Token | ArrayOf:
    """The kind of a protected column."""
    token = Token(lineage_of(protection), protection, protection.typmod, whole=True)
    return ArrayOf(token) if protection.array else token


def lineage_of(protection: Protection) -> frozenset[Protection]:
    """The columns that the values of a protected column come from."""
    return frozenset((protection, *protection.union))


def array_of_kind(element: Kind) -> Kind:
    """An array of values of a kind. An array of arrays is one array with more dimensions, of the same type."""
    return element if isinstance(shape(element), ArrayOf) else ArrayOf(element)


def collated(kind: Kind, collation: Collation) -> Kind:
    """Text under a collation: a function of it follows that."""
    known = shape(kind)
    if isinstance(known, Text):
        return replace(known, parts=tuple(collated(part, collation) for part in known.parts))
    if isinstance(known, Token):
        return replace(known, collations=frozenset((collation,)))
    if isinstance(known, Deferred):
        return replace(known, collation=collation)
    return kind
