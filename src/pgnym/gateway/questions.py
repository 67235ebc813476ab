"""From a plan's look-ups to questions for the vault: rights checked, constants in canonical form."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache

from pgnym.gateway.converting import TEXTS, convert
from pgnym.gateway.effects import Question
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.session import Session
from pgnym.gateway.tokenize import TEXT, refuse_right
from pgnym.semantics.expression import Call, Constant, Expression
from pgnym.sql.errors import Refused
from pgnym.sql.plan import Lookup, Use
from pgnym.wire import codecs
from pgnym.wire.messages import Bind

Parameters = Callable[[int, int], bytes | None]
"""(number of a client parameter, type OID wanted) → its canonical value."""


def ask(
    lookups: Collection[Lookup], session: Session, parameters: Parameters | None = None
) -> tuple[Question, ...]:
    """The questions that look-ups put.

    Raises ``GatewayError`` 42501 unless the role may compare with every column they look into, ``Refused`` with the place
    of the look-up for a constant that can't be read, and ``CodecError`` for a parameter.
    """
    return tuple(_question(lookup, session, parameters) for lookup in lookups)


def _question(lookup: Lookup, session: Session, parameters: Parameters | None) -> Question:
    for column in sorted(lookup.columns):
        if not session.role.may_compare(column, session.actor.purpose):
            raise refuse_right(column, "search", session)
    if lookup.test is None:
        return Question(lookup, ())
    types = constant_types(lookup.test)
    values: list[bytes | None] = []
    for index, source in enumerate(lookup.constants):
        oid = types.get(index, TEXT)
        if source is None:
            values.append(None)
        elif isinstance(source, int):
            if parameters is None:
                raise GatewayError("42P02", f"there is no parameter ${source}")
            values.append(parameters(source, oid))
        else:
            values.append(_literal(source, oid, session, lookup.position))
    return Question(lookup, tuple(values))


def _literal(value: str, oid: int, session: Session, position: int) -> bytes:
    try:
        return codecs.canonical_from_text(oid, -1, value.encode(), session.settings)
    except codecs.CodecError as error:
        raise Refused(error.message, sqlstate=error.sqlstate, hint=error.hint, position=position) from None


def parameters_of(bind: Bind, declared: tuple[int, ...], session: Session) -> Parameters:
    """The parameters of a Bind. ``declared``: the types that the client's Parse names."""

    def value(number: int, oid: int) -> bytes | None:
        index = number - 1
        if index >= len(bind.values):
            raise GatewayError("08P01", f"bind message lacks parameter {number}")
        raw = bind.values[index]
        if raw is None:
            return None
        named = declared[index] if index < len(declared) else 0
        source = oid if named == 0 or (named in TEXTS and oid in TEXTS) else named
        if bind.format_of(index) == 1:
            canonical = codecs.canonical_from_binary(source, -1, raw)
        else:
            canonical = codecs.canonical_from_text(source, -1, raw, session.settings)
        return convert(canonical, source, oid, Use.CARRY)

    return value


@lru_cache(maxsize=1024)
def constant_types(expression: Expression) -> dict[int, int]:
    """The types of an expression's constants, by index."""
    found: dict[int, int] = {}
    pending = [expression]
    while pending:
        part = pending.pop()
        if isinstance(part, Constant):
            found[part.index] = part.type_oid
        elif isinstance(part, Call):
            pending.extend(part.arguments)
    return found
