"""Functions of protected values in what a statement shows: computed by the gateway when the values are revealed.

The database has only tokens, so ``upper(c)`` is sent as ``('<open>' || (c)::text || '<close>')``: the token goes through
subqueries, set operations, arrays and JSON with the marks around it, which say what is to be done with it, and NULL stays
NULL. Functions within functions give marks within marks. Constants of the function don't go upstream at all: what is
compared with or cut out of a value may tell as much as the value.

Only strict functions that ``semantics`` computes exactly are deferred, and none with a boolean result: those are
predicates, and may stand where nobody asks what kind they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pgnym.semantics import signatures
from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value
from pgnym.semantics.types import shown_type
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Applied, Fixed, Fold, evaluate
from pgnym.sql.fold import Constant as TextConstant
from pgnym.sql.infer import Node, Run, location, split
from pgnym.sql.kinds import (
    Computed,
    Deferred,
    Kind,
    Mark,
    Occurrence,
    Open,
    Plain,
    Text,
    Token,
    protected,
    shape,
    tokens,
)
from pgnym.sql.literals import decode
from pgnym.sql.places import Span, expression_span
from pgnym.sql.plan import Container, Deferral, Given, MarkPart, MarkPiece, OutputColumn
from pgnym.sql.rewrite import MarkHole
from pgnym.sql.splices import MARK, TEXT_FORM, Around
from pgnym.sql.types import BPCHAR, TEXT, UNKNOWN, VARCHAR

_INT4, _INT8, _NUMERIC = 23, 20, 1700
_MOST_MARKS = 1024  # an index has two characters of 32
# Results that the gateway has a codec for (``wire/codecs``); a test holds the two together.
SHOWABLE = frozenset({20, 21, 23, 25, 1043, 700, 701, 1700, 1082, 1114, 1184, 2950, 17, 869, 650, 114, 3802})
# Types of unprotected operands: sent as text beside the protected ones, and read again under the session's settings.
_PLAIN_OPERANDS = frozenset({20, 21, 23, 25, 1043, 1082, 1114, 1700})
# Strict functions that may give NULL for a value all the same.
_NULLABLE = frozenset({"regexp_substr", "regexp_match", "extract", "date_part", "to_char"})
_TEXTS = frozenset({TEXT, VARCHAR})


@dataclass(frozen=True, slots=True)
class _Operand:
    """One argument of a deferred function. ``span``: of what is enclosed, None for a constant, which is ``given``."""

    kind: Kind
    type_oid: int
    span: Span | None = None
    given: Given | None = None
    occurrence: Occurrence | None = None
    collation: Collation | None = None


def defer(
    run: Run, function: str, node: Node, kinds: list[Kind], nodes: list[Node], what: str
) -> Deferred | None:
    """The deferred kind of a call or operator, None when it can't be deferred.

    Parameters: ``function``, its name in ``pg_catalog`` or its sign; ``node``, the tagged node of the whole expression;
    ``kinds`` and ``nodes``, its arguments; ``what``, its name in words. Raises Refused for more than the marks can count.
    """
    if not run.deferring or run.view_depth or run.arguments is not None or not any(map(protected, kinds)):
        return None
    operands: list[_Operand] = []
    for kind, argument in zip(kinds, nodes, strict=True):
        operand = _operand(run, kind, argument)
        if operand is None:
            return None
        operands.append(operand)
    signature = signatures.resolve(function, [o.type_oid for o in operands])
    if signature is None or shown_type(signature.result_type) not in SHOWABLE:
        return None
    collations = {o.collation for o in operands if o.collation is not None}
    if len(collations) > 1:
        return None  # indeterminate, as PostgreSQL would find
    collation = next(iter(collations), None)
    _, fields = split(node)
    reach = expression_span(run.lexed, node)
    mark = _mark(run, reach, location(fields))
    _lay_out(run, mark, reach, operands)
    expression, constants = _expression(run, function, operands, signature, collation)
    mark.deferral = Deferral(expression, constants, frozenset(), shown_type(signature.result_type), what)
    _note_source(run, mark, reach, operands, collation)
    nullable = function in _NULLABLE
    if any(isinstance(k, Deferred) and k.nullable for k in map(shape, kinds)):
        nullable = True
    of = f"the result of {what}"
    result_collation = collation if signature.result_type in _TEXTS else None
    return Deferred((mark,), signature.result_type, of, nullable, collation=result_collation)


def defer_cast(run: Run, node: Node, kind: Kind, type_oid: int, what: str) -> Deferred | None:
    """The deferred kind of a cast of a protected value, None when it can't be deferred. ``node``: the tagged TypeCast."""
    if not run.deferring or run.view_depth or run.arguments is not None or type_oid not in SHOWABLE:
        return None
    known = shape(kind)
    if not isinstance(known, Token | Text | Deferred):
        return None
    _, fields = split(node)
    operand = _enclosed(run, known, fields["arg"])
    if operand is None or signatures.resolve("cast", (operand.type_oid, type_oid)) is None:
        return None
    reach = expression_span(run.lexed, node)
    mark = _mark(run, reach, location(fields))
    _lay_out(run, mark, reach, [operand])
    typmod = known.protection.typmod if isinstance(known, Token) else -1
    expression = Call("cast", (Value(operand.type_oid, typmod, operand.collation),), type_oid)
    mark.deferral = Deferral(expression, (), frozenset(), type_oid, what)
    _note_source(run, mark, reach, [operand], operand.collation)
    nullable = isinstance(known, Deferred) and known.nullable
    collation = operand.collation if type_oid in _TEXTS else None
    return Deferred((mark,), type_oid, f"the result of {what}", nullable, collation=collation)


# -- operands -----------------------------------------------------------------------------------------------------


def _operand(run: Run, kind: Kind, node: Node) -> _Operand | None:
    known = shape(kind)
    if isinstance(known, Token | Text | Deferred) and protected(known):
        return _enclosed(run, known, node)
    if isinstance(kind, Open):
        return _constant(run, kind, node)
    if isinstance(known, Plain):
        tag, fields = split(node)
        if tag == "A_Const" and "sval" in fields:  # the field of extract(): a word, not a constant in quotes
            return _Operand(known, 0, given=Given(0, text=fields["sval"].get("sval", "")))
        if known.type_oid in _PLAIN_OPERANDS:
            return _Operand(known, known.type_oid, expression_span(run.lexed, node))
    return None


def _enclosed(run: Run, known: Token | Text | Deferred, node: Node) -> _Operand | None:
    place = expression_span(run.lexed, node)
    if isinstance(known, Deferred):
        return _Operand(known, known.type_oid, place, collation=known.collation)
    if isinstance(known, Token):
        type_oid = known.protection.codec_oid
        if known.mixed and type_oid not in _TEXTS:
            return None
    elif known.container is Container.TEXT:
        type_oid = TEXT
    else:
        return None
    collations = {found for token in tokens(known) for found in _collations(token)} - {None}
    if len(collations) > 1:
        return None
    return _Operand(known, type_oid, place, collation=next(iter(collations), None))


def _collations(token: Token) -> Iterator[Collation | None]:
    """Those under which a function would see a token's value; None for a type that has none."""
    if token.collations:
        yield from token.collations
    else:
        yield from (protection.collation for protection in token.lineage)


def _constant(run: Run, kind: Open, node: Node) -> _Operand | None:
    """A constant or parameter that nothing else has a say in."""
    root = kind.root()
    if root.bound is not None or root.uses:
        return None
    if not root.occurrences:
        return _Operand(kind, 0, given=Given(0)) if _is_null(node) else None
    occurrence = root.occurrences[0]
    if (
        len(root.occurrences) > 1
        or occurrence.cast_array
        or occurrence.cast_typmod != -1
        or occurrence.cast_oid < 0
    ):
        return None
    if occurrence.parameter:
        type_oid = occurrence.cast_oid or occurrence.declared
        given = Given(type_oid, parameter=occurrence.parameter)
        return _Operand(kind, type_oid, given=given, occurrence=occurrence)
    fold = occurrence.fold
    if not isinstance(fold, TextConstant | Fixed | Applied):
        return None
    for ordinal in _ordinals(fold):
        run.pins.add(ordinal)
    value = evaluate(fold, lambda o: decode(run.lexed.cuts.raw(o), run.session.standard_strings))
    type_oid = occurrence.cast_oid or (_number_type(value) if occurrence.numeric else 0)
    return _Operand(kind, type_oid, given=Given(type_oid, text=value), occurrence=occurrence)


def _is_null(node: Node) -> bool:
    tag, fields = split(node)
    return tag == "A_Const" and bool(fields.get("isnull"))


def _ordinals(fold: Fold) -> list[int]:
    if isinstance(fold, TextConstant):
        return [fold.ordinal]
    if isinstance(fold, Applied):
        return [o for argument in fold.arguments for o in _ordinals(argument)]
    return []


def _number_type(value: str) -> int:
    """The type that the scanner and ``make_const`` give to a bare number."""
    if not value.lstrip("-").isdigit():
        return _NUMERIC
    size = int(value)
    if -(2**31) < size < 2**31:
        return _INT4
    return _INT8 if -(2**63) < size < 2**63 else _NUMERIC


# -- the mark ----------------------------------------------------------------------------------------------------


def _mark(run: Run, reach: Span, place: int | None) -> Mark:
    """The mark of an expression; the same when it is seen again."""
    known = run.marks.get(reach)
    if known is None:
        if len(run.marks) >= _MOST_MARKS:
            raise Refused("too many functions of protected columns in one statement", sqlstate="54000")
        known = run.marks[reach] = Mark(len(run.marks), place)
    return known


def _lay_out(run: Run, mark: Mark, reach: Span, operands: list[_Operand]) -> None:
    """Put marks around what stays of the expression; its constants are forgotten."""
    enclosed = sorted((o.span, o.kind) for o in operands if o.span is not None)
    mark.operands = tuple(kind for _, kind in enclosed)
    done = reach[0]
    for number, ((start, end), _) in enumerate(enclosed):
        if done < start:
            run.edits[done, start] = b""
        opening = MarkPiece(MarkPart.NEXT if number else MarkPart.OPEN, mark.index)
        before = MarkHole(b"||" if number else b"(", opening, b"||(")
        after: bytes | MarkHole = b")::text"
        if number == len(enclosed) - 1:
            after = MarkHole(b")::text||", MarkPiece(MarkPart.CLOSE, mark.index), b")")
        run.splices.around[start, end, MARK] = Around((before,), (after,))
        done = end
    if done < reach[1]:
        run.edits[done, reach[1]] = b""
    for operand in operands:
        if operand.occurrence is not None:
            run.occurrences.pop(operand.occurrence.start, None)


def _note_source(
    run: Run, mark: Mark, reach: Span, operands: list[_Operand], collation: Collation | None
) -> None:
    """Note what the function computes, if that is of one protected value and constants."""
    assert mark.deferral is not None
    (first, *others) = [o for o in operands if o.span is not None]
    known, deferral = shape(first.kind), mark.deferral
    if others or first.span is None or any(g.enclosed is not None for g in deferral.constants):
        return
    constants: list[Fold | int | None] = [
        g.parameter if g.parameter is not None else None if g.text is None else Fixed(g.text)
        for g in deferral.constants
    ]
    expression, kept, value = deferral.expression, first.span, known
    if isinstance(known, Deferred):
        inner = known.marks[0].source
        if len(known.marks) > 1 or known.mixed or inner is None or not _within(inner.kept, reach):
            return
        value, kept, mark.depth = inner.value, inner.kept, known.marks[0].depth + 1
        expression = _put_in(expression, _counted_from(inner.expression, len(constants)))
        constants.extend(inner.constants)
    if not isinstance(value, Token) or value.mixed or isinstance(expression, Value | Constant):
        return
    known_type = expression.type_oid
    numbers = tuple(sorted(p for p in run.splices.parameters if _within((p[2], p[2]), reach)))
    mark.source = Computed(
        value, kept, expression, known_type, collation, False, tuple(constants), numbers, ()
    )


def _within(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _put_in(expression: Expression, value: Expression) -> Expression:
    """An expression of another expression in place of the value."""
    if isinstance(expression, Value):
        return value
    if isinstance(expression, Call):
        return replace(expression, arguments=tuple(_put_in(a, value) for a in expression.arguments))
    return expression


def _counted_from(expression: Expression, first: int) -> Expression:
    if isinstance(expression, Constant):
        return replace(expression, index=expression.index + first)
    if isinstance(expression, Call):
        return replace(expression, arguments=tuple(_counted_from(a, first) for a in expression.arguments))
    return expression


def _expression(
    run: Run,
    function: str,
    operands: list[_Operand],
    signature: signatures.Signature,
    collation: Collation | None,
) -> tuple[Expression, tuple[Given, ...]]:
    """The call over a Value (what is enclosed first) and constants (all else)."""
    order = sorted((o.span for o in operands if o.span is not None), key=lambda place: place)
    arguments: list[Expression] = []
    constants: list[Given] = []
    for operand, wanted in zip(operands, signature.argument_types, strict=True):
        if operand.span is not None and operand.span == order[0]:
            known = shape(operand.kind)
            typmod = known.protection.typmod if isinstance(known, Token) else -1
            arguments.append(Value(operand.type_oid, typmod, operand.collation))
            continue
        if operand.span is not None:
            given = Given(operand.type_oid, enclosed=order.index(operand.span))
        else:
            assert operand.given is not None
            given = _typed(operand.given, wanted)
        if given.parameter is not None and operand.occurrence is not None:
            at = operand.occurrence.start
            run.splices.parameters.add((given.parameter, given.type_oid, at))
        arguments.append(Constant(len(constants), given.type_oid))
        constants.append(given)
    return Call(function, tuple(arguments), signature.result_type, collation), tuple(constants)


def _typed(given: Given, wanted: int) -> Given:
    """A constant of unknown type takes the type that the function wants."""
    if given.type_oid:
        return given
    return Given(wanted, given.text, given.parameter)


# -- beside other values -----------------------------------------------------------------------------------------


def beside(run: Run, kinds: list[Kind], nodes: list[Node]) -> list[Kind]:
    """The branches of CASE or COALESCE: what stands beside deferred values that aren't text is sent as text, too.

    Of the others only numbers of the same type are known to need no more than that.
    """
    shapes = [shape(k) for k in kinds]
    deferred = next((s for s in shapes if isinstance(s, Deferred)), None)
    if deferred is None or deferred.type_oid not in (_INT4, _INT8):
        return kinds
    result: list[Kind] = []
    mixed = False
    for kind, known, node in zip(kinds, shapes, nodes, strict=True):
        occurrence = known.occurrences[0] if isinstance(known, Open) and len(known.occurrences) == 1 else None
        own = 0
        if occurrence is not None and occurrence.numeric and isinstance(occurrence.fold, TextConstant):
            run.pins.add(occurrence.fold.ordinal)
            value = evaluate(
                occurrence.fold, lambda o: decode(run.lexed.cuts.raw(o), run.session.standard_strings)
            )
            own = _number_type(value)
        elif isinstance(known, Plain):
            own = known.type_oid
        if own != deferred.type_oid:
            result.append(kind)
            continue
        start, end = expression_span(run.lexed, node)
        run.splices.around[start, end, TEXT_FORM] = Around((b"(",), (b")::text",))
        mixed = True
    if not mixed:
        return kinds
    return [Deferred(d.marks, d.type_oid, d.of, d.nullable, True, d.collation) if isinstance(d, Deferred) else k
            for k, d in ((k, shape(k)) for k in result)]  # fmt: skip


def is_number(kind: Kind) -> bool:
    """Whether a value is known to be of another type than text."""
    if isinstance(kind, Open):
        return any(o.numeric for o in kind.occurrences)
    if isinstance(kind, Plain | Deferred):
        return kind.type_oid not in (0, TEXT, VARCHAR, BPCHAR, UNKNOWN)
    return isinstance(kind, Token) and kind.protection.codec_oid not in (TEXT, VARCHAR, BPCHAR)


# -- parameters --------------------------------------------------------------------------------------------------


def kept_parameters(outputs: tuple[OutputColumn | None, ...]) -> dict[int, int]:
    """The client parameters that deferred functions use: number → type."""
    given = (g for o in outputs if o is not None for d in o.deferrals if d is not None for g in d.constants)
    return {g.parameter: g.type_oid for g in given if g.parameter is not None}


def with_given(
    outputs: tuple[OutputColumn | None, ...], give: Callable[[int, int], Given]
) -> tuple[OutputColumn | None, ...]:
    """Outputs with something in place of client parameters. ``give``: (number, type OID) → what it is."""

    def constant(given: Given) -> Given:
        return given if given.parameter is None else give(given.parameter, given.type_oid)

    def deferral(each: Deferral | None) -> Deferral | None:
        return None if each is None else replace(each, constants=tuple(map(constant, each.constants)))

    return tuple(
        o if o is None or not o.deferrals else replace(o, deferrals=tuple(map(deferral, o.deferrals)))
        for o in outputs
    )
