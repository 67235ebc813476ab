"""Inference over the parse tree: the state of one run, and the dispatch by node tag.

The tree is libpg_query's JSON, decoded to dictionaries: ``{"ColumnRef": {…}}``. Each area (expressions, queries, data
changes, utility statements) registers a function per tag; a tag without function is refused: fail closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgnym.sql.catalog import Catalog, Relation, Type
from pgnym.sql.dependents import Dependents, find_dependents, types_by_name
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import Kind, LateCast, Mark, Occurrence, Open
from pgnym.sql.lexer import Lexed
from pgnym.sql.plan import SessionScope
from pgnym.sql.resolve import Field, Scope, relation_named
from pgnym.sql.searching import Search
from pgnym.sql.splices import Splices

Node = dict[str, Any]
NO_LOCATION = -1


@dataclass(slots=True)
class Knowledge:
    """What is derived once from a catalog: dependents, an index of types, kinds of view columns (filled on demand)."""

    catalog: Catalog
    dependents: Dependents
    types: Mapping[str, list[Type]]
    views: dict[int, tuple[Field, ...] | Refused] = field(default_factory=dict)

    @classmethod
    def of(cls, catalog: Catalog) -> Knowledge:
        """Derive from a catalog."""
        return cls(catalog, find_dependents(catalog), types_by_name(catalog.types.values()))


@dataclass(slots=True)
class Run:
    """One run of inference over one statement of a text, which begins at ``start``.

    ``occurrences``: constants and parameters by start of span (a node seen twice is one occurrence). ``edits``: further
    replacements, by span. ``compared``: columns that need the right to compare beside those that constants show.
    ``arguments``: within the body of a SQL function, the kinds of its arguments by number and name. ``pins``: ordinals of
    constants whose value the plan depends on. ``type_named``: where the type stands that names an output column, with the
    ``AS`` clause that keeps that name when the type is replaced, and where it would go. ``searches``: predicates on contents
    that were taken out, by their start. ``splices``: text around expressions. ``stored``: as what the text is kept, to be
    run later without pgnym: nothing in it can ask the vault. ``marks``: deferred functions by span, where ``deferring``
    allows them. ``filters``: identities of the conditions for which NULL is no other than false. ``end``: where the
    statement's last token ends. ``into``: the clause of SELECT INTO.
    """

    knowledge: Knowledge
    session: SessionScope
    lexed: Lexed
    parameter_types: tuple[int, ...] = ()
    start: int = 0
    occurrences: dict[int, Occurrence] = field(default_factory=dict)
    edits: dict[tuple[int, int], bytes] = field(default_factory=dict)
    pins: set[int] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    relations: set[int] = field(default_factory=set)
    late_casts: list[LateCast] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    arguments: Mapping[str, Kind] | None = None
    type_named: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    searches: dict[int, Search] = field(default_factory=dict)
    marks: dict[tuple[int, int], Mark] = field(default_factory=dict)
    deferring: bool = False
    view_depth: int = 0
    filters: set[int] = field(default_factory=set)
    splices: Splices = field(default_factory=Splices)
    stored: str | None = None
    end: int = 0
    into: Node | None = None
    volatile: bool = False  # the plan depends on the session's own names: not to be cached

    @property
    def catalog(self) -> Catalog:
        """The snapshot this run reads."""
        return self.knowledge.catalog

    def relation(self, node: Node, position: int | None = None) -> Relation:
        """The relation of a RangeVar. Raises Refused when it doesn't exist or is broken."""
        at = position if position is not None else location(node)
        if node.get("catalogname"):
            raise Refused("cross-database references are not supported", position=at)
        found = relation_named(
            self.catalog, self.session.search_path, node.get("schemaname"), node.get("relname", ""), at
        )
        if found.broken is not None:
            raise Refused(
                f'relation "{found.schema}.{found.name}" is not in the state its protection asks for',
                sqlstate="55000",
                detail=found.broken,
                hint=found.repair,
                position=at,
            )
        if (found.schema, found.name) in self.knowledge.dependents.relations:
            self.relations.add(found.oid)
        return found

    def concerned(self, relation: Relation) -> bool:
        """Whether a relation holds or shows tokens."""
        return (relation.schema, relation.name) in self.knowledge.dependents.relations

    def pin(self, constant: Node) -> None:
        """Note that the plan depends on the value of an A_Const."""
        at = location(constant)
        if at is not None:
            ordinal = self.lexed.ordinal(at)
            if ordinal < len(self.lexed.cuts.starts):
                self.pins.add(ordinal)


Expression = Callable[[Run, Node, Scope], Kind]
_EXPRESSIONS: dict[str, Expression] = {}


def expression(*tags: str) -> Callable[[Expression], Expression]:
    """Register the function that infers the kind of expressions with these tags."""

    def register(function: Expression) -> Expression:
        for tag in tags:
            _EXPRESSIONS[tag] = function
        return function

    return register


def split(node: Node) -> tuple[str, Node]:
    """(tag, fields) of a tagged node."""
    for tag, fields in node.items():
        return tag, fields
    return "", {}


def location(fields: Node) -> int | None:
    """The byte offset of a node, None when the grammar gives none. The JSON leaves out zero."""
    at = fields.get("location", 0)
    return None if at == NO_LOCATION else at


def is_null(node: Node) -> bool:
    """Whether an expression is the constant NULL, with or without a cast."""
    tag, fields = split(node)
    while tag == "TypeCast":
        tag, fields = split(fields["arg"])
    return tag == "A_Const" and bool(fields.get("isnull"))


def infer(run: Run, node: Node, scope: Scope) -> Kind:
    """The kind of an expression."""
    tag, fields = split(node)
    function = _EXPRESSIONS.get(tag)
    if function is None:
        raise Refused(
            f"expression is not supported in a statement on protected tables: {tag}",
            position=location(fields),
        )
    return function(run, fields, scope)


def infer_all(run: Run, nodes: list[Node], scope: Scope) -> list[Kind]:
    """The kinds of a list of expressions."""
    return [infer(run, n, scope) for n in nodes]


def open_at(run: Run, start: int, end: int, **attributes: Any) -> Open:
    """The open kind of the constant or parameter at a span; a new one, or that of an earlier visit."""
    known = run.occurrences.get(start)
    if known is not None and known.end == end and known.open is not None:
        return known.open
    occurrence = Occurrence(start, end, **attributes)
    node = Open(occurrences=[occurrence])
    occurrence.open = node
    run.occurrences[start] = occurrence
    return node


def infer_filter(run: Run, node: Node, scope: Scope) -> Kind:
    """The kind of a condition that lets pass what it is true for: WHERE, ON, HAVING, FILTER, CASE WHEN."""
    mark_filter(run, node)
    return infer(run, node, scope)


def mark_filter(run: Run, node: Node) -> None:
    """Note that NULL is no other than false for an expression, nor then for what AND and OR join in it."""
    pending = [node]
    while pending:
        tag, fields = split(pending.pop())
        run.filters.add(id(fields))  # nodes live as long as the run
        if tag == "BoolExpr" and fields.get("boolop") != "NOT_EXPR":
            pending.extend(fields["args"])
