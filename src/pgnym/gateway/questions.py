"""From a plan's look-ups to questions for the vault: rights checked, constants in canonical form."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import lru_cache

from pgnym.gateway.array_tests import Elements, elements_of_binary, elements_of_text, has_arrays, written_out
from pgnym.gateway.converting import TEXTS, convert
from pgnym.gateway.effects import Question
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.session import Session
from pgnym.gateway.tokenize import TEXT, refuse_right
from pgnym.semantics.casts import shows_by_setting
from pgnym.semantics.expression import Call, Constant, Expression
from pgnym.sql.errors import Refused
from pgnym.sql.plan import Lookup, Use
from pgnym.wire import codecs
from pgnym.wire.codecs import intervals
from pgnym.wire.messages import Bind


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
        if not session.role.may_compare(column, session.purpose):
            raise refuse_right(column, "search", session)
    if lookup.test is None:
        return Question(lookup, ())
    if session.settings.date_format != "ISO" and _shows_dates(lookup.test):
        raise Refused(
            f"the text of protected column {', '.join(sorted(lookup.columns))} is not supported under this DateStyle",
            detail="It depends on the setting.",
            hint="SET DateStyle = 'ISO'.",
            position=lookup.position,
        )
    types = constant_types(lookup.test)
    values: list[bytes | None] = []
    arrays: dict[int, Elements] = {}
    for index, source in enumerate(lookup.constants):
        oid = types.get(index, TEXT)
        element = codecs.element_oid(oid)
        if source is None:
            values.append(None)
        elif element:
            arrays[index] = _elements(source, element, lookup.position, session, parameters)
            values.append(None)
        elif isinstance(source, int):
            values.append(_parameters(source, parameters).value(source, oid))
        else:
            values.append(_literal(source, oid, session, lookup.position))
    if has_arrays(lookup.test):
        lookup = replace(lookup, test=written_out(lookup.test, arrays, values))
    return Question(lookup, tuple(values))


def _parameters(number: int, parameters: Parameters | None) -> Parameters:
    if parameters is None:
        raise GatewayError("42P02", f"there is no parameter ${number}")
    return parameters


def _elements(
    source: str | int, element: int, position: int, session: Session, parameters: Parameters | None
) -> Elements:
    """The elements of an array constant; None for an array that is NULL."""
    if isinstance(source, int):
        return _parameters(source, parameters).array(source, element)
    try:
        return elements_of_text(
            source.encode(), lambda v: codecs.canonical_from_text(element, -1, v, session.settings)
        )
    except codecs.CodecError as error:
        raise Refused(error.message, sqlstate=error.sqlstate, hint=error.hint, position=position) from None


def _literal(value: str, oid: int, session: Session, position: int) -> bytes:
    try:
        return _from_text(oid, value.encode(), session)
    except codecs.CodecError as error:
        raise Refused(error.message, sqlstate=error.sqlstate, hint=error.hint, position=position) from None


def _from_text(oid: int, data: bytes, session: Session) -> bytes:
    return (
        intervals.from_text(data)
        if oid == intervals.OID
        else codecs.canonical_from_text(oid, -1, data, session.settings)
    )


def _from_binary(oid: int, data: bytes) -> bytes:
    return (
        intervals.from_binary(data) if oid == intervals.OID else codecs.canonical_from_binary(oid, -1, data)
    )


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a Bind. ``declared``: the types that the client's Parse names."""

    bind: Bind = field(repr=False)
    declared: tuple[int, ...]
    session: Session

    def value(self, number: int, oid: int) -> bytes | None:
        """The canonical value of a parameter as a value of type ``oid``. Raises ``CodecError``, ``GatewayError``."""
        raw, named = self._raw(number)
        source = oid if named == 0 or (named in TEXTS and oid in TEXTS) else named
        return None if raw is None else self._canonical(raw, source, oid, self._is_binary(number))

    def array(self, number: int, element: int) -> Elements:
        """The elements of a parameter that is an array, as values of type ``element``."""
        raw, named = self._raw(number)
        own = codecs.element_oid(named)
        source = element if not own or (own in TEXTS and element in TEXTS) else own
        if raw is None:
            return None
        if self._is_binary(number):
            return elements_of_binary(raw, lambda v: self._canonical(v, source, element, True))
        return elements_of_text(raw, lambda v: self._canonical(v, source, element, False))

    def _raw(self, number: int) -> tuple[bytes | None, int]:
        index = number - 1
        if index >= len(self.bind.values):
            raise GatewayError("08P01", f"bind message lacks parameter {number}")
        return self.bind.values[index], self.declared[index] if index < len(self.declared) else 0

    def _is_binary(self, number: int) -> bool:
        return self.bind.format_of(number - 1) == 1

    def _canonical(self, raw: bytes, source: int, target: int, binary: bool) -> bytes:
        if binary:
            canonical = _from_binary(source, raw)
        else:
            canonical = _from_text(source, raw, self.session)
        return convert(canonical, source, target, Use.CARRY)


@lru_cache(maxsize=1024)
def _shows_dates(expression: Expression) -> bool:
    """Whether a date or timestamp becomes text within an expression."""
    if not isinstance(expression, Call):
        return False
    if expression.function == "cast" and shows_by_setting(
        expression.arguments[0].type_oid, expression.type_oid
    ):
        return True
    return any(map(_shows_dates, expression.arguments))


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
