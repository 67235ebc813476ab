"""Evaluating expressions over one value: compiled once to closures, then run for each value.

NULL is None. What doesn't depend on the value is computed when the expression is compiled, as PostgreSQL's planner does,
and raises its errors then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgnym.semantics import signatures
from pgnym.semantics.binding import FALSE, TRUE, Run
from pgnym.semantics.casts import cast
from pgnym.semantics.collations import sort_key
from pgnym.semantics.conversions import implicit, own_form
from pgnym.semantics.errors import EvaluationError, UnsupportedCollation, unsupported
from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value, describe
from pgnym.semantics.types import BOOL, UNKNOWN

__all__ = ["EvaluationError", "Evaluator", "UnsupportedCollation", "compile_expression"]

Evaluator = Callable[[bytes | None], bytes | None]


def compile_expression(expression: Expression, constants: Sequence[bytes | None]) -> Evaluator:
    """A function from a value's canonical bytes to the result's; NULL is None, booleans are ``b"t"`` and ``b"f"``.

    ``constants``: the canonical bytes of the expression's constants, in their types. Raises ``EvaluationError`` for what
    isn't supported (0A000, ``UnsupportedCollation`` among it) or whose constant part is an error; the function raises it
    for values that PostgreSQL has an error for.
    """
    return _Compiler(constants).compile(expression).evaluator()


class _Node:
    """A compiled expression: constant, the value itself (``run`` None), or a function of it."""

    __slots__ = ("collation", "constant", "is_constant", "run", "type_oid")

    def __init__(
        self,
        type_oid: int,
        run: Evaluator | None = None,
        *,
        collation: Collation | None = None,
        constant: bytes | None = None,
        is_constant: bool = False,
    ) -> None:
        self.type_oid = type_oid
        self.run = run
        self.collation = collation
        self.constant = constant
        self.is_constant = is_constant

    def evaluator(self) -> Evaluator:
        if self.is_constant:
            result = self.constant
            return lambda _value: result
        return self.run if self.run is not None else _itself


def _itself(value: bytes | None) -> bytes | None:
    return value


class _Compiler:
    """One expression with its constants."""

    def __init__(self, constants: Sequence[bytes | None]) -> None:
        self._constants = constants

    def compile(self, expression: Expression) -> _Node:
        if isinstance(expression, Value):
            form = own_form(expression.type_oid, expression.typmod)
            run = None if form is None else _on_value(form)
            return _Node(expression.type_oid, run, collation=expression.collation)
        if isinstance(expression, Constant):
            return _constant(expression.type_oid, self._constants[expression.index])
        arguments = [self.compile(argument) for argument in expression.arguments]
        special = _SPECIAL.get(expression.function)
        if special is not None:
            node = special(expression, arguments)
        else:
            node = _call(expression, arguments)
        node.collation = expression.collation or _derived(arguments)
        if not node.is_constant and all(a.is_constant for a in arguments):
            return _constant(node.type_oid, node.evaluator()(None), node.collation)
        return node


def _constant(type_oid: int, value: bytes | None, collation: Collation | None = None) -> _Node:
    return _Node(type_oid, constant=value, is_constant=True, collation=collation)


def _derived(arguments: Sequence[_Node]) -> Collation | None:
    """The collation where the expression doesn't say: the value's, which outweighs the constants' default."""
    return next((a.collation for a in arguments if a.collation is not None), None)


def _call(expression: Call, arguments: list[_Node]) -> _Node:
    """A function or operator of the table; all of them are strict."""
    types = tuple(a.type_oid or UNKNOWN for a in arguments)
    found = signatures.find(expression.function, types)
    if found is None or found.bind is None:
        raise unsupported(f"{describe(expression)} is not supported on a protected value")
    wanted, result = found.signature.argument_types, found.signature.result_type
    converted = [_converted(a, t) for a, t in zip(arguments, wanted, strict=True)]
    if any(a.is_constant and a.constant is None for a in converted):
        return _constant(result, None)
    collation = expression.collation or _derived(arguments)
    if all(a.is_constant for a in converted):
        constants = [a.constant for a in converted]
        whole = found.bind(collation, (None,) * len(constants))
        return _Node(result, lambda _value: whole(*constants))
    body = found.bind(collation, tuple(a.constant if a.is_constant else None for a in converted))
    return _Node(result, _strict(body, [a for a in converted if not a.is_constant]))


def _strict(body: Run, varying: list[_Node]) -> Evaluator:
    """The body over the arguments that vary; NULL where one of them is."""
    if not varying:
        return lambda _value: body()
    if len(varying) == 1:
        inner = varying[0].run
        return _on_value(body) if inner is None else _on_result(body, inner)
    runs = [a.evaluator() for a in varying]

    def run(value: bytes | None) -> bytes | None:
        results = [r(value) for r in runs]
        return None if None in results else body(*results)

    return run


def _on_value(body: Run) -> Evaluator:
    return lambda value: None if value is None else body(value)


def _on_result(body: Run, inner: Evaluator) -> Evaluator:
    def run(value: bytes | None) -> bytes | None:
        result = inner(value)
        return None if result is None else body(result)

    return run


def _converted(node: _Node, target: int) -> _Node:
    """As an argument of type ``target``."""
    convert = implicit(node.type_oid, target)
    if convert is None:
        return _Node(
            target, node.run, collation=node.collation, constant=node.constant, is_constant=node.is_constant
        )
    if node.is_constant:
        return _constant(target, None if node.constant is None else convert(node.constant), node.collation)
    return _Node(target, _strict(convert, [node]), collation=node.collation)


def _and(expression: Call, arguments: list[_Node]) -> _Node:
    return _connected(arguments, FALSE, TRUE)


def _or(expression: Call, arguments: list[_Node]) -> _Node:
    return _connected(arguments, TRUE, FALSE)


def _connected(arguments: list[_Node], decides: bytes, otherwise: bytes) -> _Node:
    """AND and OR: the first that decides ends it, even beside NULL."""
    if any(a.is_constant and a.constant == decides for a in arguments):
        return _constant(BOOL, decides)
    runs = [a.evaluator() for a in arguments]

    def run(value: bytes | None) -> bytes | None:
        result: bytes | None = otherwise
        for each in runs:
            found = each(value)
            if found == decides:
                return decides
            if found is None:
                result = None
        return result

    return _Node(BOOL, run)


def _not(expression: Call, arguments: list[_Node]) -> _Node:
    return _Node(BOOL, _strict(lambda truth: FALSE if truth == TRUE else TRUE, _varying(arguments)))


def _varying(arguments: list[_Node]) -> list[_Node]:
    return [_Node(a.type_oid, a.evaluator()) if a.is_constant else a for a in arguments]


def _is_null(expression: Call, arguments: list[_Node]) -> _Node:
    run = arguments[0].evaluator()
    return _Node(BOOL, lambda value: TRUE if run(value) is None else FALSE)


def _is_not_null(expression: Call, arguments: list[_Node]) -> _Node:
    run = arguments[0].evaluator()
    return _Node(BOOL, lambda value: FALSE if run(value) is None else TRUE)


def _alike(expression: Call, arguments: list[_Node]) -> tuple[int, list[Evaluator]]:
    """The common type of the arguments, and they as evaluators of it."""
    signature = signatures.resolve(expression.function, [a.type_oid for a in arguments])
    if signature is None:
        raise unsupported(f"{describe(expression)} is not supported on a protected value")
    pairs = zip(arguments, signature.argument_types, strict=True)
    return signature.result_type, [_converted(a, t).evaluator() for a, t in pairs]


def _coalesce(expression: Call, arguments: list[_Node]) -> _Node:
    type_oid, runs = _alike(expression, arguments)

    def run(value: bytes | None) -> bytes | None:
        for each in runs:
            result = each(value)
            if result is not None:
                return result
        return None

    return _Node(type_oid, run)


def _nullif(expression: Call, arguments: list[_Node]) -> _Node:
    signature = signatures.resolve("nullif", [a.type_oid for a in arguments])
    equal = _call(Call("=", expression.arguments, BOOL, expression.collation), arguments).evaluator()
    if signature is None:
        raise unsupported(f"{describe(expression)} is not supported on a protected value")
    first = arguments[0].evaluator()
    return _Node(signature.result_type, lambda value: None if equal(value) == TRUE else first(value))


def _distinct(expression: Call, arguments: list[_Node]) -> _Node:
    """IS [NOT] DISTINCT FROM: equality for which NULL is a value like any other."""
    equal = _call(Call("=", expression.arguments, BOOL, expression.collation), arguments).evaluator()
    one, other = (a.evaluator() for a in arguments)
    same, different = (FALSE, TRUE) if expression.function == "is distinct from" else (TRUE, FALSE)

    def run(value: bytes | None) -> bytes | None:
        found = equal(value)
        if found is None:
            return same if one(value) is None and other(value) is None else different
        return same if found == TRUE else different

    return _Node(BOOL, run)


def _extreme(expression: Call, arguments: list[_Node]) -> _Node:
    """GREATEST and LEAST pass over NULLs; of equals the first one stays."""
    type_oid, runs = _alike(expression, arguments)
    key = sort_key(type_oid, expression.collation or _derived(arguments))
    pick = max if expression.function == "greatest" else min

    def run(value: bytes | None) -> bytes | None:
        results = [r for r in (each(value) for each in runs) if r is not None]
        return pick(results, key=key) if results else None

    return _Node(type_oid, run)


def _concat(expression: Call, arguments: list[_Node]) -> _Node:
    """Passes over NULLs."""
    if signatures.resolve("concat", [a.type_oid for a in arguments]) is None:
        raise unsupported(f"{describe(expression)} is not supported on a protected value")
    runs = [a.evaluator() for a in arguments]
    return _Node(expression.type_oid, lambda value: b"".join(run(value) or b"" for run in runs))


def _cast(expression: Call, arguments: list[_Node]) -> _Node:
    """A date becomes text as under DateStyle ISO: the planner sees to it that it is."""
    (argument,) = arguments
    convert = cast(argument.type_oid, expression.type_oid)
    if argument.type_oid in (0, UNKNOWN):
        convert = bytes
    if convert is None:
        raise unsupported(f"{describe(expression)} is not supported on a protected value")
    if convert is bytes:
        return _Node(
            expression.type_oid, argument.run, constant=argument.constant, is_constant=argument.is_constant
        )
    return _Node(expression.type_oid, _strict(convert, _varying(arguments)))


_SPECIAL: dict[str, Callable[[Call, list[_Node]], _Node]] = {
    "and": _and,
    "or": _or,
    "not": _not,
    "is null": _is_null,
    "is not null": _is_not_null,
    "is distinct from": _distinct,
    "is not distinct from": _distinct,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "concat": _concat,
    "cast": _cast,
    "greatest": _extreme,
    "least": _extreme,
}
