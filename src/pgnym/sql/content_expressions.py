"""What can be told of an expression over one value without its constants: where it is NULL, what its constants are."""

from __future__ import annotations

from dataclasses import replace

from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value

_NEVER_STRICT = frozenset(
    ("is null", "is not null", "is distinct from", "is not distinct from", "coalesce", "greatest", "least")
)
# Strict functions of texts that give neither NULL nor an error for any value.
_TOTAL = frozenset(
    {
        "lower", "upper", "initcap", "btrim", "ltrim", "rtrim", "length", "char_length", "character_length",
        "octet_length", "bit_length", "reverse", "md5", "||",
    }
)  # fmt: skip


def is_total(expression: Expression) -> bool:
    """Whether an expression is NULL exactly where the value is, and never an error, unless a constant is NULL."""
    if not isinstance(expression, Call):
        return True
    return expression.function in _TOTAL and all(map(is_total, expression.arguments))


def is_strict(expression: Expression, loose: bool) -> bool:
    """Whether an expression is NULL wherever the value is, whatever its constants are.

    Over an empty array ANY is false and ALL is true, also for NULL. Only where that matters it is told by the answer;
    elsewhere an empty array is refused when it comes.
    """
    if not isinstance(expression, Call):
        return isinstance(expression, Value)
    name, arguments = expression.function, expression.arguments
    if name in _NEVER_STRICT:
        return False
    if name in ("and", "or"):
        return all(is_strict(argument, loose) for argument in arguments)
    if name.startswith("all "):
        return not loose
    if name == "nullif":
        return is_strict(arguments[0], loose)
    return any(is_strict(argument, loose) for argument in arguments)


def with_default(expression: Expression, collation: Collation, own: Collation | None) -> Expression:
    """What is computed of constants alone has the database's default ``collation``, as has what has none of its ``own``."""
    if not isinstance(expression, Call):
        return expression
    arguments = tuple(with_default(argument, collation, own) for argument in expression.arguments)
    decided = expression.collation
    if decided is None and (own is None or not holds_value(expression)):
        decided = collation
    return replace(expression, arguments=arguments, collation=decided)


def holds_value(expression: Expression) -> bool:
    if isinstance(expression, Call):
        return any(holds_value(argument) for argument in expression.arguments)
    return isinstance(expression, Value)


def is_whole(expression: Expression) -> bool:
    """Whether an expression gives the value itself or a constant in its place: on tokens it works just as well."""
    if isinstance(expression, Call) and expression.function in ("coalesce", "nullif"):
        return is_whole(expression.arguments[0])
    return isinstance(expression, Value)


def types_of_constants(expression: Expression) -> dict[int, int]:
    if isinstance(expression, Constant):
        return {expression.index: expression.type_oid}
    if isinstance(expression, Call):
        return {i: t for argument in expression.arguments for i, t in types_of_constants(argument).items()}
    return {}
