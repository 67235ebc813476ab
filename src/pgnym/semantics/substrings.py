"""Which parts a value must have for a test to be true: what the index over parts of values is asked."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Constants

from pgnym.semantics import like
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.evaluate import compile_expression
from pgnym.semantics.expression import Call, Expression, Value
from pgnym.semantics.folding import fold
from pgnym.semantics.regex.parser import parse
from pgnym.semantics.regex.tree import Char, Choice, Node, Place, Repeat, Sequence
from pgnym.semantics.types import BPCHAR, NAME, TEXT, TEXTS, UUID, VARCHAR

Parts = frozenset[str]
NOTHING: Parts = frozenset()

MOST_ALTERNATIVES = 64
"""More than that would cost the vault more than looking at all values."""

_TESTS = frozenset(("=", "~~", "~~*", "~", "~*", "^@", "starts_with"))
_RECASING = frozenset(("lower", "upper", "initcap"))
_CUTTING = frozenset(("btrim", "ltrim", "rtrim", "substr", "substring", "left", "right", "split_part"))
_FULL_MAPPING = "PG_UNICODE_FAST"


def required(expression: Expression, constants: Constants[bytes | None]) -> frozenset[str]:
    """Parts, folded by ``folding.fold``, that the fold of every value contains for which the test is true.

    Empty: nothing is known. No part lies within another. ``constants`` as for ``compile_expression``.
    """
    return _without_covered(_required(expression, constants))


def alternatives(expression: Expression, constants: Constants[bytes | None]) -> frozenset[Parts]:
    """Sets of parts, of which the fold of every value for which the test is true has all of at least one set.

    For other values the test is false, never NULL. Empty: nothing is known. At most ``MOST_ALTERNATIVES``; each as
    ``required`` gives them.
    """
    found = frozenset(map(_without_covered, _alternatives(expression, constants)))
    return found if len(found) <= MOST_ALTERNATIVES else frozenset()


def _alternatives(expression: Expression, constants: Constants[bytes | None]) -> frozenset[Parts]:
    parts = _required(expression, constants)
    if not isinstance(expression, Call) or expression.function not in ("and", "or"):
        return frozenset((parts,)) if parts else frozenset()
    each = [_alternatives(argument, constants) for argument in expression.arguments]
    if expression.function == "or":
        return frozenset().union(*each) if all(each) else frozenset()
    # One operand's alternatives are enough, and what all together require goes with each of them.
    fewest = min((found for found in each if found), key=len, default=frozenset((parts,)) if parts else None)
    return frozenset() if fewest is None else frozenset(one | parts for one in fewest)


def _required(expression: Expression, constants: Constants[bytes | None]) -> Parts:
    if not isinstance(expression, Call):
        return NOTHING
    function, arguments = expression.function, expression.arguments
    if function == "and":
        return frozenset().union(*(_required(a, constants) for a in arguments))
    if function == "or":
        common = [_required(a, constants) for a in arguments]
        return _in_all(common)
    if function in _TESTS and len(arguments) == 2:
        subject, other = arguments
        if function == "=" and not _shows_value(subject):
            subject, other = other, subject
        given = _constant(other, constants)
        if given is None or not _shows_value(subject):
            return NOTHING
        return _parts(function, given, _value(subject))
    return NOTHING


def _parts(function: str, given: bytes, value: Value) -> Parts:
    if function in ("~", "~*"):
        try:
            parts = _regex_parts(parse(given.decode()))
        except EvaluationError:
            return NOTHING  # evaluating the test will raise it
    elif function in ("~~", "~~*"):
        segments, _ = like.segments_of(given.decode())
        parts = frozenset(fold(part.encode()) for segment in segments for part in _runs(segment))
    else:
        parts = frozenset((fold(given),))
    if value.type_oid == BPCHAR:  # blanks at its end may be padding that the stored value doesn't have
        parts = frozenset(part.rstrip(" ") for part in parts)
    return parts - {""}


def _regex_parts(node: Node) -> Parts:
    """What each text has that the expression matches. A character and its other case fold to the same."""
    match node:
        case Repeat(body, least, _):
            return _regex_parts(body) if least else NOTHING
        case Choice(branches):
            return _in_all([_regex_parts(branch) for branch in branches])
        case Char() | Sequence():
            found: set[str] = set()
            run: list[str] = []
            for part in _flat(node):
                if isinstance(part, Char):
                    run.append(chr(part.code))
                elif not isinstance(part, Place):
                    found |= {fold("".join(run).encode()), *_regex_parts(part)}
                    run = []
            return frozenset(found | {fold("".join(run).encode())}) - {""}
        case _:
            return NOTHING


def _flat(node: Node) -> Iterator[Node]:
    """The parts of sequences in sequences, in order."""
    if isinstance(node, Sequence):
        for part in node.parts:
            yield from _flat(part)
    else:
        yield node


def _runs(segment: like.Segment) -> list[str]:
    """The characters between those that may be any."""
    runs = [""]
    for character in segment:
        if character is None:
            runs.append("")
        else:
            runs[-1] += character
    return runs


def _shows_value(expression: Expression) -> bool:
    """Whether what it gives is, but for case, a part of the value's text."""
    if isinstance(expression, Value):
        return expression.type_oid in TEXTS or expression.type_oid == UUID
    if (
        not isinstance(expression, Call)
        or not expression.arguments
        or not _shows_value(expression.arguments[0])
    ):
        return False
    if expression.function == "cast":
        return expression.type_oid in (TEXT, VARCHAR, BPCHAR, NAME)
    if expression.function in _RECASING:
        # The full mapping has ß become SS; only its lower case is within the fold.
        collation = expression.collation or _value(expression).collation
        return expression.function == "lower" or collation is None or collation.ctype != _FULL_MAPPING
    return expression.function in _CUTTING


def _value(expression: Expression) -> Value:
    while isinstance(expression, Call):
        expression = expression.arguments[0]
    assert isinstance(expression, Value)
    return expression


def _constant(expression: Expression, constants: Constants[bytes | None]) -> bytes | None:
    """What an expression without the value gives; None where it is NULL, an error, or not without."""
    if _has_value(expression):
        return None
    try:
        return compile_expression(expression, constants)(None)
    except EvaluationError:
        return None  # evaluating the test will raise it


def _has_value(expression: Expression) -> bool:
    if isinstance(expression, Call):
        return any(_has_value(a) for a in expression.arguments)
    return isinstance(expression, Value)


def _in_all(sets: list[Parts]) -> Parts:
    """What a text contains that contains all parts of one of the sets, whichever it is."""
    if not sets or NOTHING in sets:
        return NOTHING
    return frozenset(
        part for each in sets for part in each if all(any(part in other for other in s) for s in sets)
    )


def _without_covered(parts: Parts) -> Parts:
    return frozenset(p for p in parts if not any(p != other and p in other for other in parts))
