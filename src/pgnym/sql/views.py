"""The kinds of a view's columns: inference over its definition, once per catalog."""

from __future__ import annotations

from pgnym.sql.catalog import Relation
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Constant, evaluate
from pgnym.sql.infer import Run
from pgnym.sql.kinds import ArrayOf, Document, Token, frozen, shape
from pgnym.sql.lexer import lex
from pgnym.sql.literals import decode
from pgnym.sql.plan import SessionScope
from pgnym.sql.resolve import Field, Scope
from pgnym.sql.searching import kept_for_later
from pgnym.sql.select import query_columns
from pgnym.sql.shape import Cuts
from pgnym.sql.syntax import parse

_MAX_DEPTH = 32


def view_fields(run: Run, relation: Relation) -> tuple[Field, ...]:
    """The columns of a view. Raises Refused (the same each time) when its definition can't be followed."""
    known = run.knowledge.views.get(relation.oid)
    if known is None:
        if run.view_depth >= _MAX_DEPTH:
            raise Refused(f'view "{relation.schema}.{relation.name}" is nested too deeply')
        try:
            known = _infer_view(run, relation)
        except Refused as refusal:
            known = Refused(
                f'view "{relation.schema}.{relation.name}" can\'t be used: {refusal.message}',
                sqlstate=refusal.sqlstate,
                detail=refusal.detail,
                hint=refusal.hint,
            )
        run.knowledge.views[relation.oid] = known
    if isinstance(known, Refused):
        raise Refused(known.message, sqlstate=known.sqlstate, detail=known.detail, hint=known.hint)
    return known


def _infer_view(run: Run, relation: Relation) -> tuple[Field, ...]:
    """Definitions come from ``pg_get_viewdef``, which qualifies the names that the catalog's ``path`` doesn't find."""
    text = (relation.view_sql or "").encode()
    lexed = lex(text)
    session = SessionScope(run.catalog.path, run.session.user, {}, {})
    inner = Run(
        run.knowledge, session, lexed, view_depth=run.view_depth + 1, stored="the definition of a view"
    )
    statements = parse(text)
    if len(statements) != 1:
        raise Refused("its definition is not one query")
    columns = query_columns(inner, statements[0].node, Scope())
    if inner.searches:
        raise kept_for_later(inner.searches.values())
    for occurrence in inner.occurrences.values():
        kind = shape(occurrence.open) if occurrence.open is not None else None
        if isinstance(kind, ArrayOf):
            kind = shape(kind.element)
        if isinstance(kind, Document):
            raise _plain_constant(kind.of)
        if isinstance(kind, Token):
            must_be_token(occurrence.fold, kind, lexed.cuts)
    names = [c.name for c in relation.columns]
    if len(names) != len(columns):
        raise Refused("its columns don't match its definition")
    return tuple(Field(n, frozen(c.kind)) for n, c in zip(names, columns, strict=True))


def must_be_token(fold: object, token: Token, cuts: Cuts) -> None:
    """A constant in a stored definition that meets a protected column must be a token: nothing rewrites it later."""
    prefix = token.protection.prefix.decode()
    if isinstance(fold, Constant):
        value = evaluate(fold, lambda ordinal: decode(cuts.raw(ordinal)))
        if value == "" or value.startswith(prefix):
            return
    raise _plain_constant(f"column {', '.join(sorted(token.columns))}")


def _plain_constant(what: str) -> Refused:
    return Refused(
        f"its definition compares {what} with a plain constant",
        hint="Create the view again through pgnym.",
    )
