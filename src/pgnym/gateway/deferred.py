"""Functions of protected values, computed on what the session's role is shown.

They are functions of the value as it is shown: of the mask where the role sees masks. So ``length`` and ``md5`` tell such a
role nothing that the mask doesn't. A role that sees tokens gets an error, as a function of a token means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pgnym.gateway.marks import Marked, Marks, Part, index_of
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.session import Session
from pgnym.policy.sight import Sight
from pgnym.semantics.evaluate import Evaluator, compile_expression
from pgnym.semantics.expression import Call, Expression, Value
from pgnym.semantics.types import LOCAL
from pgnym.sql.deferred import kept_parameters, with_given
from pgnym.sql.plan import Deferral, Given, OutputColumn, StatementPlan
from pgnym.vault.tokens import TOKEN_PATTERN
from pgnym.wire import codecs
from pgnym.wire.codecs import Settings
from pgnym.wire.containers import Context, IsNull, Revealed

_TEXTS = frozenset((25, 1043))
_MOST_COMPILED = 512


class Computation:
    """One deferred function, ready to be evaluated. Raises ``EvaluationError`` for constants that it can't be given."""

    __slots__ = (
        "_compiled", "_constants", "_deferral", "_settings", "_varying", "computed_oid", "fixed", "type_oid", "value_oid",
    )  # fmt: skip

    def __init__(self, deferral: Deferral, settings: Settings) -> None:
        self._deferral = deferral
        self._settings = settings
        self.type_oid = deferral.type_oid
        self.computed_oid = deferral.expression.type_oid
        self.value_oid = _value_type(deferral.expression)
        self._constants = [_canonical(given, settings) for given in deferral.constants]
        self._varying = [
            (i, g.enclosed, g.type_oid) for i, g in enumerate(deferral.constants) if g.enclosed is not None
        ]
        self._compiled: dict[tuple[bytes, ...], Evaluator] = {}
        self.fixed = None if self._varying else compile_expression(deferral.expression, self._constants)

    def shown(self, result: bytes) -> Revealed:
        """A result as a value of a type that PostgreSQL has: a local time is one of the session's time zone."""
        if self.computed_oid == LOCAL and not result.endswith(b"infinity"):
            result = codecs.canonical_from_text(self.type_oid, -1, result, self._settings)
        return Revealed(result, self.type_oid)

    def __call__(self, operands: Sequence[Callable[[int], bytes | None]]) -> bytes | None:
        """The result. ``operands``: each gives its canonical value as one of a type. Raises ``EvaluationError``."""
        value = operands[0](self.value_oid)
        if self.fixed is not None:
            return self.fixed(value)
        others = [operands[place](type_oid) for _, place, type_oid in self._varying]
        if value is None or None in others:
            return None
        key = tuple(o for o in others if o is not None)
        evaluate = self._compiled.get(key)
        if evaluate is None:
            constants = list(self._constants)
            for (index, _, _), other in zip(self._varying, others, strict=True):
                constants[index] = other
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            evaluate = self._compiled[key] = compile_expression(self._deferral.expression, constants)
        return evaluate(value)


def _value_type(expression: Expression) -> int:
    """The type of the Value within an expression that has one."""
    if isinstance(expression, Value):
        return expression.type_oid
    if isinstance(expression, Call):
        for argument in expression.arguments:
            found = _value_type(argument)
            if found:
                return found
    return 0


def _canonical(given: Given, settings: Settings) -> bytes | None:
    if given.value is not None or given.text is None:
        return given.value
    data = given.text.encode()
    if given.type_oid not in codecs.CODECS:
        return data
    return codecs.canonical_from_text(given.type_oid, -1, data, settings)


@dataclass(frozen=True, slots=True)
class Deferrals:
    """The functions that may stand in one output column. ``plain_oid``: type of plain values that are sent as text."""

    marks: Marks
    computations: tuple[Computation | None, ...]
    plain_oid: int

    @classmethod
    def of(cls, output: OutputColumn, plain_oid: int, session: Session) -> Deferrals | None:
        """None where the column has none. Raises ``GatewayError`` 42501, and ``EvaluationError``."""
        if not output.deferrals:
            return None
        check_sight(output, session)
        settings = session.settings
        computations = tuple(None if d is None else Computation(d, settings) for d in output.deferrals)
        return cls(session.marks, computations, 0 if plain_oid in _TEXTS else plain_oid)


def check_sight(output: OutputColumn, session: Session) -> None:
    """Raise 42501 if the role sees tokens in a column that a function looks into."""
    role, purpose = session.role, session.purpose
    for deferral in output.deferrals:
        if deferral is not None and role.combined(deferral.columns, purpose) is Sight.TOKENS:
            hidden = ", ".join(sorted(c for c in deferral.columns if role.sight(c, purpose) is Sight.TOKENS))
            raise GatewayError(
                "42501",
                f"permission denied to compute {deferral.what} of column {hidden or ', '.join(sorted(deferral.columns))}",
                detail=f"Role {role.name} sees tokens there, and a function of a token means nothing.",
                hint="Select the column itself, or let the role see values or masks.",
            )


def check_deferrals(plan: StatementPlan, session: Session) -> None:
    """Raise what computing the functions of a plan would raise before the first row. Parameters aren't known yet."""
    shown = plan.effect.inner if plan.effect is not None and plan.effect.inner is not None else plan
    for output in shown.outputs:
        if output is None or not output.deferrals:
            continue
        check_sight(output, session)
        for deferral in output.deferrals:
            if deferral is not None and all(g.parameter is None for g in deferral.constants):
                Computation(deferral, session.settings)


@dataclass(frozen=True, slots=True)
class DeferredContext(Context):
    """A substitution in which marks are found, too."""

    deferrals: Deferrals | None = None

    def whole(self, value: bytes) -> Revealed | None:
        """What replaces a value that is one token, one marked part, or plain. Raises ``IsNull``."""
        deferrals = self.deferrals
        assert deferrals is not None
        found = deferrals.marks.single.fullmatch(value)
        if found is not None:
            result = self._single(index_of(found[1]), found[2])
            if result is not None:
                return result
        parts = deferrals.marks.read(value)
        if len(parts) == 1 and isinstance(parts[0], Marked):
            return self._result(parts[0])
        if any(isinstance(part, Marked) for part in parts):
            return Revealed(self._text(parts))
        if TOKEN_PATTERN.fullmatch(value):
            return self.reveal(value)
        if deferrals.plain_oid:
            oid = deferrals.plain_oid
            return Revealed(codecs.canonical_from_text(oid, -1, value, self.settings), oid)
        return None

    def _single(self, index: int, token: bytes) -> Revealed | None:
        """The usual case: one token within one pair of marks. None where it isn't as usual after all."""
        assert self.deferrals is not None
        computations = self.deferrals.computations
        computation = computations[index] if index < len(computations) else None
        revealed = self.reveal(token)
        if computation is None or computation.fixed is None or revealed is None:
            return None
        wanted = computation.value_oid
        if revealed.oid != wanted and not (revealed.oid in _TEXTS and wanted in _TEXTS):
            return None
        result = computation.fixed(revealed.canonical)
        if result is None:
            raise IsNull(computation.type_oid)
        return computation.shown(result)

    def splice(self, value: bytes) -> bytes:
        """``value`` with its tokens and marked parts replaced by text."""
        assert self.deferrals is not None
        return self._text(self.deferrals.marks.read(value))

    def _text(self, parts: list[Part]) -> bytes:
        out = [
            self.spliced(self._result(part)) if isinstance(part, Marked) else self._tokens(part)
            for part in parts
        ]
        return b"".join(out)

    def _tokens(self, text: bytes) -> bytes:
        def one(token: bytes) -> bytes:
            revealed = self.reveal(token)
            return token if revealed is None else self.spliced(revealed)

        return TOKEN_PATTERN.sub(lambda found: one(found[0]), text)

    def _result(self, marked: Marked) -> Revealed:
        computation, result = self._computed(marked)
        return computation.shown(result)

    def _computed(self, marked: Marked) -> tuple[Computation, bytes]:
        assert self.deferrals is not None
        computations = self.deferrals.computations
        computation = computations[marked.index] if marked.index < len(computations) else None
        if computation is None:
            raise GatewayError("XX000", "a function of protected values stands where it was not planned")
        operands = [self._operand(parts) for parts in marked.operands]
        result = computation(operands)
        if result is None:
            raise IsNull(computation.type_oid)
        return computation, result

    def _operand(self, parts: list[Part]) -> Callable[[int], bytes | None]:
        """What one operand is as a value of a type."""

        def canonical(type_oid: int) -> bytes:
            revealed = None
            if len(parts) == 1:
                (part,) = parts
                if isinstance(part, Marked):
                    computation, result = self._computed(part)
                    if computation.computed_oid == type_oid:
                        return result
                    revealed = computation.shown(result)
                elif TOKEN_PATTERN.fullmatch(part):
                    revealed = self.reveal(part)
                    if revealed is None and type_oid not in _TEXTS:
                        raise GatewayError(
                            "XX001",
                            "a token that a function is applied to has no value in the vault",
                            hint="Was the row written around the gateway, or the vault restored from an old copy?",
                        )
            if revealed is not None:
                if revealed.oid == type_oid or (revealed.oid in _TEXTS and type_oid in _TEXTS):
                    return revealed.canonical
                if type_oid in _TEXTS:
                    return self.spliced(revealed)
            text = self._text(parts)
            if type_oid in _TEXTS:
                return text
            return codecs.canonical_from_text(type_oid, -1, text, self.settings)

        return canonical


# -- parameters --------------------------------------------------------------------------------------------------


def with_parameters(plan: StatementPlan, value: Callable[[int, int], bytes | None]) -> StatementPlan:
    """The plan with the values of client parameters in its deferred functions.

    ``value``: (number, type OID) → canonical value. The same plan if it has no such parameter.
    """
    inner = plan.effect.inner if plan.effect is not None else None
    if plan.effect is not None and inner is not None and inner.deferred:
        plan = replace(plan, effect=replace(plan.effect, inner=with_parameters(inner, value)))
    if not kept_parameters(plan.outputs):
        return plan
    outputs = with_given(plan.outputs, lambda number, oid: Given(oid, value=value(number, oid)))
    return replace(plan, outputs=outputs)
