"""What a table keeps beside its rows: defaults, keys, conditions. Its expressions are evaluated by the server later."""

from __future__ import annotations

from collections.abc import Sequence

from pgnym.sql.errors import Refused
from pgnym.sql.guard import guardable
from pgnym.sql.infer import Node, Run, infer, location, split
from pgnym.sql.kinds import PLAIN, Open, protected, shape
from pgnym.sql.resolve import Field, Item, Scope, Source
from pgnym.sql.sources import relation_fields
from pgnym.sql.unify import assign, compare, describe, groupable, unsupported

_KEY = "a UNIQUE or foreign key constraint"


def scope_of(sources: Sequence[Source]) -> Scope:
    """The scope in which expressions over a table's columns are read."""
    return Scope(items=[Item((source,), source.fields) for source in sources])


def named_fields(keys: Sequence[Node], fields: Sequence[Field]) -> list[Field]:
    """The columns that a constraint lists; plain where the name is that of a new column."""
    known = {f.name: f for f in fields}
    names = [key["String"].get("sval", "") for key in keys]
    return [known.get(name, Field(name, PLAIN)) for name in names]


def must_be_plain(run: Run, node: Node, scope: Scope, what: str) -> None:
    """Raise Refused when an expression gives protected values."""
    kind = infer(run, node, scope)
    if protected(kind):
        raise unsupported(kind, what, None)


def stored_default(run: Run, node: Node, field: Field) -> None:
    """DEFAULT of a protected column: a constant, which is stored as its token. Raises Refused for anything else."""
    kind = guardable(field.kind)
    if kind is None:
        if protected(field.kind):
            raise unsupported(field.kind, "a default", None)
        must_be_plain(run, node, Scope(), "a default")
        return
    value = infer(run, node, Scope())
    if not isinstance(value, Open) or len(value.root().occurrences) > 1:
        _, fields = split(node)
        raise Refused(
            f"a computed default for {describe(kind)} is not supported",
            detail="The database would compute it, and can't turn the value into a token.",
            hint="Write a constant, or let the application give the value.",
            position=location(fields),
        )
    run.writes |= kind.columns
    assign(kind.protection, field.name, value, "DEFAULT", None, typmod=kind.protection.typmod)


def unique(fields: Sequence[Field], position: int | None) -> None:
    """UNIQUE and PRIMARY KEY: equal values must have equal tokens."""
    for field in fields:
        if protected(field.kind):
            groupable(shape(field.kind), _KEY, position)


def foreign_key(run: Run, constraint: Node, fields: Sequence[Field]) -> None:
    """FOREIGN KEY: both sides must be of one domain. ``fields``: the referring columns. Raises Refused."""
    position = location(constraint)
    unique(fields, position)
    table = constraint["pktable"]
    relation = run.relation(table)
    listed = [k["String"].get("sval", "") for k in constraint.get("pk_attrs", ())]
    if not listed:
        for field in fields:
            if protected(field.kind):
                raise Refused(
                    f"a foreign key from {describe(field.kind)} must name the columns that it refers to",
                    hint=f"Write REFERENCES {relation.name} (column).",
                    position=position,
                )
        return
    referred = {f.name: f for f in relation_fields(run, relation)}
    for field, name in zip(fields, listed, strict=False):
        other = referred.get(name)
        if other is not None and (protected(field.kind) or protected(other.kind)):
            compare(field.kind, other.kind, "a foreign key", position)
