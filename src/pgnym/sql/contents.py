"""Predicates that look into the contents of one protected value: ``LIKE``, ``<``, ``length(c) > 3`` and their like.

The database can't carry them out on tokens, but the vault can say which values of the domain satisfy them:
``c LIKE 'a%'`` becomes ``c = ANY(tokens)``. Taken out is the largest boolean expression over one column and constants, so
that ``c >= x AND c < y`` is one question with a short answer. What is not of that form is left to the rules for tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value
from pgnym.semantics.signatures import resolve
from pgnym.sql.catalog import Protection
from pgnym.sql.collating import DEFAULT
from pgnym.sql.content_expressions import (
    holds_value,
    is_strict,
    is_total,
    is_whole,
    types_of_constants,
    with_default,
)
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Applied, Fixed, Fold
from pgnym.sql.fold import Constant as FoldedConstant
from pgnym.sql.infer import Node, Run, infer, location, split
from pgnym.sql.json_operators import string_taken_out
from pgnym.sql.kinds import Computed, Kind, Open, Plain, Token, shape
from pgnym.sql.overloads import any_citext, own_functions_meant
from pgnym.sql.places import bare, expression_span
from pgnym.sql.plan import Answer
from pgnym.sql.ranges import coded_test
from pgnym.sql.resolve import Scope, names_in
from pgnym.sql.rewrite import LookupHole
from pgnym.sql.searching import Search
from pgnym.sql.spans import span
from pgnym.sql.types import array_of, element_of, find_type, type_name_parts

BOOLEAN = Plain("a boolean", 16)
_BOOL, _INT4, _NUMERIC, _TEXT, _VARCHAR = 16, 23, 1700, 25, 1043
_EQUALITY = frozenset(("=", "<>", "!="))
_ANY_EQUALITY = _EQUALITY | {"nullif", "is distinct from", "is not distinct from"}
_BYTEWISE = frozenset(("C", "POSIX", "ucs_basic"))
# citext compares without case (citext--1.4.sql); of what it does otherwise only this is offered.
_CASELESS = {
    "~~": "~~*", "!~~": "!~~*", "~": "~*", "!~": "!~*", "~~*": "~~*", "!~~*": "!~~*", "~*": "~*", "!~*": "!~*",
}  # fmt: skip


class _Unfit(Exception):
    """The expression is not a predicate on one protected value and constants."""


@dataclass(slots=True)
class _Taken:
    """What an expression takes out of the statement. ``constants``: as in ``LookupHole``."""

    value: Token | None = None
    names: list[str] = field(default_factory=list)
    kept: tuple[int, int] = (0, 0)
    constants: list[Fold | int | None] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    parameters: list[tuple[int, int, int, int]] = field(
        default_factory=list
    )  # number, index, where, declared

    def typed_parameters(self, expression: Expression) -> tuple[tuple[int, int, int], ...]:
        """(number, type, where) of the client parameters in an expression."""
        types = types_of_constants(expression)
        return tuple((n, declared or types[index], where) for n, index, where, declared in self.parameters)


@dataclass(frozen=True, slots=True)
class _Part:
    """An expression and its type (0: an unknown constant); ``collation``: what it lends to the function it is given to."""

    expression: Expression
    type_oid: int
    collation: Collation | None = None
    explicit: bool = False


def take(run: Run, tag: str, fields: Node, scope: Scope) -> Kind | None:
    """The kind of a predicate on the contents of one protected value, which is thereby taken out; None for all else."""
    node = {tag: fields}
    if tag == "BoolExpr" and fields.get("boolop") != "NOT_EXPR":
        return _take_several(run, fields, scope)
    built = _build(run, [node], None, scope)
    if built is None:
        return None
    _record(run, built, expression_span(run.lexed, node), id(fields) in run.filters)
    return BOOLEAN


def label(run: Run, node: Node, name: str) -> None:
    """If a function call that stands alone in a target list was taken out, keep the name that it gives to its column."""
    search = run.searches.get(location(split(node)[1]) or 0)
    if search is not None:
        run.searches[search.start] = replace(search, label=name)


def _take_several(run: Run, fields: Node, scope: Scope) -> Kind:
    """AND and OR: neighbours that look into the same value are taken as one."""
    operator = "and" if fields.get("boolop", "AND_EXPR") == "AND_EXPR" else "or"
    arguments = fields["args"]
    at = 0
    while at < len(arguments):
        best = _build(run, arguments[at : at + 1], None, scope)
        if best is None:
            infer(run, arguments[at], scope)
            at += 1
            continue
        node, end = arguments[at], at + 1
        while end < len(arguments):
            more = _build(run, arguments[at : end + 1], operator, scope)
            joined = {"BoolExpr": {**fields, "args": arguments[at : end + 1]}}
            if more is None or not _is_whole_text(run, joined):
                break
            best, node, end = more, joined, end + 1
        _record(run, best, expression_span(run.lexed, node), id(fields) in run.filters)
        at = end
    return BOOLEAN


def _is_whole_text(run: Run, node: Node) -> bool:
    """Whether a part of an AND or OR stands by itself in the text: not so b and c of ``(a AND b) AND c``."""
    try:
        expression_span(run.lexed, node)
    except Refused:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Built:
    taken: _Taken
    value: Token
    test: Expression


def _build(run: Run, nodes: list[Node], operator: str | None, scope: Scope) -> _Built | None:
    """The test that nodes make up, joined by ``and`` or ``or``; None when they are no predicate on one value."""
    if run.arguments is not None:
        return None
    builder = _Builder(run, scope)
    try:
        parts = [builder.test(node) for node in nodes]
    except (_Unfit, Refused):
        return None  # whatever is wrong with it, the rules for tokens say so
    taken = builder.taken
    if taken.value is None:
        return None
    test = parts[0] if operator is None else Call(operator, tuple(parts), _BOOL)
    test = _collated(run, test, taken.value)
    return _Built(taken, taken.value, test)


def _collated(run: Run, expression: Expression, value: Token) -> Expression:
    """An expression with the database's default collation where PostgreSQL would use that."""
    own = value.protection.collation
    if own is None:
        default = run.catalog.collations.get(DEFAULT)
    else:
        default = own if own.name == "default" else None
    return expression if default is None else with_default(expression, default, own)


def computed(run: Run, node: Node, scope: Scope) -> Computed | None:
    """What an expression computes from one protected value; None for the value itself and for all else."""
    if run.arguments is not None:
        return None
    builder = _Builder(run, scope)
    known = frozenset(run.occurrences)
    try:
        part = builder.part(node)
    except (_Unfit, Refused):
        return None
    finally:  # a second look at constants that are out of the text already doesn't bring them back
        for at in builder.taken.starts:
            if at not in known:
                run.occurrences.pop(at, None)
    taken, expression = builder.taken, part.expression
    if taken.value is None or isinstance(expression, Value) or not holds_value(expression):
        return None
    expression = _collated(run, expression, taken.value)
    return Computed(
        taken.value,
        taken.kept,
        expression,
        part.type_oid,
        part.collation,
        not is_strict(expression, loose=False),
        tuple(taken.constants),
        taken.typed_parameters(expression),
        tuple(taken.starts),
    )


def null_test_of_value(run: Run, node: Node, scope: Scope) -> bool:
    """``f(c) IS NULL`` is put as ``c IS NULL`` where it is NULL exactly if ``c`` is; whether that was done for ``f(c)``."""
    found = computed(run, node, scope)
    if found is None or found.parameters or None in found.constants or not is_total(found.expression):
        return False
    start, end = expression_span(run.lexed, node)
    run.edits[start, found.kept[0]] = b"("
    run.edits[found.kept[1], end] = b")"
    for at in found.starts:
        run.occurrences.pop(at, None)
    return True


def _record(run: Run, built: _Built, place: tuple[int, int], loose: bool) -> None:
    taken, protection = built.taken, built.value.protection
    for at in taken.starts:
        run.occurrences.pop(at, None)
    columns = built.value.columns
    run.compared |= columns
    constants = tuple(taken.constants)
    pieces = coded_test(built.value, built.test, constants, run.lexed.text[slice(*taken.kept)])
    if pieces is not None:
        hole = next(piece for piece in pieces if isinstance(piece, LookupHole))
        parameters = taken.typed_parameters(built.test)
        run.searches[place[0]] = Search(*place, taken.kept, hole, parameters, pieces=pieces)
        return
    nulls = not is_strict(built.test, loose)
    run.searches[place[0]] = Search(
        *place,
        taken.kept,
        LookupHole(Answer.MATCHES, protection, columns, built.test, constants, nulls, loose),
        taken.typed_parameters(built.test),
    )


class _Builder:
    """Builds the expression of one predicate. Changes nothing in the run but what a second visit would find the same."""

    def __init__(self, run: Run, scope: Scope) -> None:
        self._run = run
        self._scope = scope
        self.taken = _Taken()

    def test(self, node: Node) -> Expression:
        """A boolean expression that looks into a protected value. Raises _Unfit."""
        tag, fields = split(node)
        match tag:
            case "BoolExpr":
                operator = {"AND_EXPR": "and", "OR_EXPR": "or", "NOT_EXPR": "not"}[
                    fields.get("boolop", "AND_EXPR")
                ]
                return Call(operator, tuple(self.test(a) for a in fields["args"]), _BOOL)
            case "NullTest":
                inner = self.part(fields["arg"])
                if is_whole(inner.expression) or not holds_value(inner.expression):
                    raise _Unfit  # the server can tell
                if is_total(inner.expression) and not any(
                    c is None or isinstance(c, int) for c in self.taken.constants
                ):
                    raise _Unfit  # so it can of the value
                negated = fields.get("nulltesttype") == "IS_NOT_NULL"
                return Call("is not null" if negated else "is null", (inner.expression,), _BOOL)
            case "A_Expr":
                return self._comparison(fields)
            case "FuncCall":
                part = self._call(fields)
                if part.type_oid != _BOOL or not holds_value(part.expression):
                    raise _Unfit
                return part.expression
            case _:
                raise _Unfit

    # -- comparisons -----------------------------------------------------------------------------------

    def _comparison(self, fields: Node) -> Expression:
        form = fields.get("kind", "AEXPR_OP")
        name = self._operator(fields)
        left = self.part(fields["lexpr"]) if "lexpr" in fields else None
        right_node = fields["rexpr"]
        match form:
            case "AEXPR_OP" | "AEXPR_LIKE" | "AEXPR_ILIKE" | "AEXPR_SIMILAR":
                right = self.part(right_node)
                if name in _EQUALITY and left is not None:
                    self._refuse_equality(left, right)
                return self._looks(self._apply(name, [right] if left is None else [left, right]))
            case "AEXPR_DISTINCT" | "AEXPR_NOT_DISTINCT" if left is not None:
                right = self.part(right_node)
                self._refuse_equality(left, right)
                words = "is distinct from" if form == "AEXPR_DISTINCT" else "is not distinct from"
                return self._looks(self._apply(words, [left, right]))
            case "AEXPR_IN" if left is not None:
                rights = [self.part(item) for item in right_node["List"]["items"]]
                for right in rights:
                    self._refuse_equality(left, right)
                tests = [self._apply(name, [left, right]) for right in rights]
                return self._looks(_joined("or" if name == "=" else "and", tests))
            case "AEXPR_OP_ANY" | "AEXPR_OP_ALL" if left is not None and "A_ArrayExpr" in right_node:
                rights = [self.part(item) for item in right_node["A_ArrayExpr"].get("elements", ())]
                if not rights:
                    raise _Unfit
                for right in rights:
                    if name in _EQUALITY:
                        self._refuse_equality(left, right)
                tests = [self._apply(name, [left, right]) for right in rights]
                return self._looks(_joined("or" if form == "AEXPR_OP_ANY" else "and", tests))
            case "AEXPR_OP_ANY" | "AEXPR_OP_ALL" if left is not None:
                return self._looks(
                    self._quantified("any" if form == "AEXPR_OP_ANY" else "all", name, left, right_node)
                )
            case _ if form.endswith(("BETWEEN", "BETWEEN_SYM")) and left is not None:
                low, high = (self.part(item) for item in right_node["List"]["items"])
                return self._looks(self._between(form, left, low, high))
            case _:
                raise _Unfit

    def _quantified(self, quantifier: str, name: str, left: _Part, node: Node) -> _Part:
        """An operator with ANY or ALL of an array that is one constant or parameter (``make_scalar_array_op``)."""
        array = self._array(node)
        assert isinstance(array.expression, Constant)
        known = element_of(self._run.catalog, array.type_oid)
        if name in _EQUALITY:
            self._refuse_equality(left, left)
        tested = self._apply(name, [left, _Part(Constant(array.expression.index, known), known)])
        operator = tested.expression
        assert isinstance(operator, Call)
        element = operator.arguments[1]
        if tested.type_oid != _BOOL or not isinstance(element, Constant):
            raise _Unfit
        whole = Constant(element.index, array.type_oid or array_of(self._run.catalog, element.type_oid))
        function = f"{quantifier} {operator.function}"
        return _Part(Call(function, (operator.arguments[0], whole), _BOOL, operator.collation), _BOOL)

    def _array(self, node: Node) -> _Part:
        tag, fields = split(node)
        if tag in ("A_Const", "ParamRef"):
            return self._constant(node, fields)
        if tag != "TypeCast" or split(fields["arg"])[0] not in ("A_Const", "ParamRef"):
            raise _Unfit
        target = fields["typeName"]
        schema, name = type_name_parts(target)
        oid = find_type(self._run.catalog, self._run.knowledge.types, schema, name)
        array = array_of(self._run.catalog, oid) if len(target.get("arrayBounds", ())) == 1 else 0
        part = self.part(fields["arg"])
        if not array or "typmods" in target or part.type_oid not in (0, array):
            raise _Unfit
        assert isinstance(part.expression, Constant)
        return _Part(Constant(part.expression.index, array), array)

    def _between(self, form: str, left: _Part, low: _Part, high: _Part) -> _Part:
        """As ``transformAExprBetween`` writes it out."""

        def within(one: _Part, other: _Part) -> _Part:
            return _joined("and", [self._apply(">=", [left, one]), self._apply("<=", [left, other])])

        def outside(one: _Part, other: _Part) -> _Part:
            return _joined("or", [self._apply("<", [left, one]), self._apply(">", [left, other])])

        match form:
            case "AEXPR_BETWEEN":
                return within(low, high)
            case "AEXPR_NOT_BETWEEN":
                return outside(low, high)
            case "AEXPR_BETWEEN_SYM":
                return _joined("or", [within(low, high), within(high, low)])
            case _:
                return _joined("and", [outside(low, high), outside(high, low)])

    def _refuse_equality(self, left: _Part, right: _Part) -> None:
        """Equality of a whole value is what tokens are for, unless they are random."""
        token = self.taken.value
        if token is None or token.protection.randomized:
            return
        if is_whole(left.expression) or is_whole(right.expression):
            raise _Unfit

    @staticmethod
    def _looks(part: _Part) -> Expression:
        if part.type_oid != _BOOL or not holds_value(part.expression):
            raise _Unfit
        return part.expression

    def _operator(self, fields: Node) -> str:
        names = [n["String"].get("sval", "") for n in fields["name"]]
        if len(names) > 1 and names[0] != "pg_catalog":
            raise _Unfit
        return str(names[-1])

    # -- operands --------------------------------------------------------------------------------------

    def part(self, node: Node) -> _Part:
        """An expression of the value and constants. Raises _Unfit."""
        tag, fields = split(node)
        match tag:
            case "ColumnRef":
                return self._value(node, names_in(fields))
            case "A_Const" | "ParamRef":
                return self._constant(node, fields)
            case "TypeCast":
                return self._cast(fields)
            case "FuncCall":
                return self._call(fields)
            case "CollateClause":
                return self._collate(fields)
            case "CoalesceExpr":
                return self._apply("coalesce", [self.part(a) for a in fields["args"]])
            case "MinMaxExpr":
                name = "least" if fields.get("op") == "IS_LEAST" else "greatest"
                return self._apply(name, [self.part(a) for a in fields["args"]])
            case "A_Expr" if string_taken_out(fields):
                return self._value(node, [repr(bare(node))])
            case "A_Expr" if fields.get("kind") == "AEXPR_NULLIF":
                return self._apply("nullif", [self.part(fields["lexpr"]), self.part(fields["rexpr"])])
            case "A_Expr" if fields.get("kind", "AEXPR_OP") == "AEXPR_OP":
                operands = [fields["lexpr"]] if "lexpr" in fields else []
                return self._apply(
                    self._operator(fields), [self.part(o) for o in [*operands, fields["rexpr"]]]
                )
            case _:
                raise _Unfit

    def _value(self, node: Node, names: list[str]) -> _Part:
        """The protected value, or one of its places; ``names`` tell it from others."""
        token = shape(infer(self._run, node, self._scope))
        if not isinstance(token, Token) or token.mixed or token.collations:
            raise _Unfit
        taken = self.taken
        if taken.value is None:
            if not _one_type(token):
                raise _Unfit
            taken.value, taken.names = token, names
            taken.kept = span(self._run.lexed, node)
        elif taken.names != names:
            raise _Unfit
        protection = token.protection
        value = Value(protection.codec_oid, token.typmod, protection.collation)
        return _Part(value, protection.codec_oid, protection.collation)

    def _constant(self, node: Node, fields: Node) -> _Part:
        kind = infer(self._run, node, self._scope)
        if fields.get("isnull"):
            return self._added(None, 0)
        if "boolval" in fields:
            return self._added(Fixed("t" if fields["boolval"].get("boolval") else "f"), _BOOL)
        if "sval" in fields and isinstance(kind, Plain):  # a word of the grammar: extract(year FROM …)
            return self._added(Fixed(fields["sval"].get("sval", "")), 0)
        if not isinstance(kind, Open):
            raise _Unfit
        root = kind.root()
        if root.bound is not None or len(root.occurrences) != 1:
            raise _Unfit
        occurrence = root.occurrences[0]
        self.taken.starts.append(occurrence.start)
        if occurrence.parameter:
            part = self._added(occurrence.parameter, occurrence.declared)
            assert isinstance(part.expression, Constant)
            where = occurrence.start
            self.taken.parameters.append(
                (occurrence.parameter, part.expression.index, where, occurrence.declared)
            )
            return part
        if not isinstance(occurrence.fold, FoldedConstant | Fixed | Applied):
            raise _Unfit
        type_oid = 0 if not occurrence.numeric else _INT4 if "ival" in fields else _NUMERIC
        return self._added(occurrence.fold, type_oid)

    def _added(self, source: Fold | int | None, type_oid: int) -> _Part:
        constants = self.taken.constants
        constants.append(source)
        return _Part(Constant(len(constants) - 1, type_oid), type_oid)

    def _cast(self, fields: Node) -> _Part:
        target = fields["typeName"]
        schema, name = type_name_parts(target)
        oid = find_type(self._run.catalog, self._run.knowledge.types, schema, name)
        if not oid or oid >= 16384 or "typmods" in target or "arrayBounds" in target or target.get("setof"):
            raise _Unfit
        part = self.part(fields["arg"])
        if part.type_oid == oid:
            return part
        if isinstance(part.expression, Constant) and part.type_oid == 0:
            return _Part(Constant(part.expression.index, oid), oid)
        if {part.type_oid, oid} == {_TEXT, _VARCHAR}:
            return _Part(part.expression, oid, part.collation, part.explicit)
        if resolve("cast", (part.type_oid, oid), iso_dates=True) is None:  # which is seen to when it is asked
            raise _Unfit
        return _Part(
            Call("cast", (part.expression,), oid, part.collation), oid, part.collation, part.explicit
        )

    def _collate(self, fields: Node) -> _Part:
        part = self.part(fields["arg"])
        name = fields["collname"][-1]["String"].get("sval", "")
        if name in _BYTEWISE:
            return _Part(part.expression, part.type_oid, Collation(name, "c", "C", "C"), True)
        own = self.taken.value.protection.collation if self.taken.value is not None else None
        if own is None or own.name != name:
            raise _Unfit
        return _Part(part.expression, part.type_oid, own, True)

    def _call(self, fields: Node) -> _Part:
        names = [n["String"].get("sval", "") for n in fields["funcname"]]
        if len(names) > 1 and names[:-1] != ["pg_catalog"]:
            raise _Unfit
        if any(key in fields for key in _MORE_THAN_ARGUMENTS) or not fields.get("args"):
            raise _Unfit
        parts = [self.part(argument) for argument in fields["args"]]
        catalog, token = self._run.catalog, self.taken.value
        citext = token is not None and any_citext(catalog, (token,))
        if len(names) == 1 and own_functions_meant(catalog, names[0], citext=citext):
            raise _Unfit
        return self._apply(names[-1], parts)

    def _apply(self, name: str, parts: Sequence[_Part]) -> _Part:
        """A function or operator of parts, resolved as PostgreSQL resolves it."""
        token = self.taken.value
        if token is not None:
            name = self._respelled(name, parts, token.protection)
        signature = resolve(name, [part.type_oid for part in parts])
        if signature is None:
            raise _Unfit
        arguments = []
        for part, type_oid in zip(parts, signature.argument_types, strict=True):
            expression = part.expression
            if isinstance(expression, Constant) and part.type_oid == 0:
                expression = Constant(expression.index, type_oid)
            arguments.append(expression)
        collation, explicit = _collation(parts)
        result = signature.result_type
        return _Part(Call(name, tuple(arguments), result, collation), result, collation, explicit)

    @staticmethod
    def _respelled(name: str, parts: Sequence[_Part], protection: Protection) -> str:
        """What is done with a value that is kept in one spelling of several, in place of an operator of text.

        Without regard to case it is what citext does. In an e-mail address case says nothing either; else it is a text.
        """
        caseless = protection.casefold or protection.normalize == "email"
        if not (caseless or protection.normalize) or not any(isinstance(p.expression, Value) for p in parts):
            return name
        if caseless and name in _CASELESS:
            return _CASELESS[name]
        if protection.casefold or name in _ANY_EQUALITY:
            raise _Unfit
        return name


_MORE_THAN_ARGUMENTS = (
    "agg_filter",
    "agg_order",
    "agg_distinct",
    "agg_star",
    "over",
    "func_variadic",
    "agg_within_group",
)


def _joined(operator: str, parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _Part(Call(operator, tuple(p.expression for p in parts), _BOOL), _BOOL)


def _collation(parts: Sequence[_Part]) -> tuple[Collation | None, bool]:
    """The collation that a function is given (``assign_collations_walker``): an explicit one, else that of the value."""
    explicit = {part.collation for part in parts if part.explicit}
    if len(explicit) > 1:
        raise _Unfit
    if explicit:
        return explicit.pop(), True
    implicit = {part.collation for part in parts if part.collation is not None}
    if len(implicit) > 1:
        raise _Unfit
    return (implicit.pop() if implicit else None), False


def _one_type(token: Token) -> bool:
    """Whether all columns that a value may come from have one type and collation."""
    first = token.protection
    return all(
        (
            (p.codec_oid in (_TEXT, _VARCHAR) and first.codec_oid in (_TEXT, _VARCHAR))
            or p.codec_oid == first.codec_oid
        )
        and p.collation == first.collation
        and p.casefold == first.casefold
        and p.prefix == first.prefix
        for p in token.lineage
    )
