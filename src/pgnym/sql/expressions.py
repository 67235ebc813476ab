"""Expressions: constants, columns, operators, CASE and its kin, subqueries."""

from __future__ import annotations

from dataclasses import replace

from pgnym.sql.contents import null_test_of_value, take
from pgnym.sql.deferred import defer, is_number
from pgnym.sql.errors import Refused
from pgnym.sql.fold import FOLDABLE, Applied, Constant, Fixed, Fold
from pgnym.sql.infer import Node, Run, expression, infer, infer_all, location, open_at, split
from pgnym.sql.json_operators import json_operator, subscripted
from pgnym.sql.kinds import (
    PLAIN,
    ArrayOf,
    Deferred,
    Document,
    Kind,
    Open,
    Plain,
    Row,
    Text,
    Token,
    array_of_kind,
    collated,
    protected,
    shape,
    unsized,
)
from pgnym.sql.ordering import (
    by_computed,
    by_key,
    collation_named,
    comparable,
    compare_rows,
    compare_subquery,
)
from pgnym.sql.plan import Container
from pgnym.sql.resolve import Scope, column_named, field_of, names_in, row_of, source_named
from pgnym.sql.select import note_named, query_columns
from pgnym.sql.sorting import ordered_by
from pgnym.sql.types import element_of
from pgnym.sql.unify import (
    compare,
    conflict,
    describe,
    element,
    flow,
    require_plain,
    require_plain_all,
    require_same_nulls,
    unsupported,
)

BOOLEAN = Plain("a boolean", 16)
_EQUALITY = frozenset({"=", "<>", "!="})
_ORDER = frozenset({"<", "<=", ">", ">="})
_SETS = frozenset({"@>", "<@", "&&"})
# Collations under which strings are equal only when their bytes are (all deterministic ones; these are built in).
_BYTEWISE_COLLATIONS = frozenset(
    {"C", "POSIX", "default", "ucs_basic", "C.UTF-8", "C.utf8", "en_US.utf8", "en_US.UTF-8"}
)


@expression("A_Const")
def _constant(run: Run, node: Node, scope: Scope) -> Kind:
    if node.get("isnull"):
        return Open()
    if "boolval" in node:
        return BOOLEAN
    if "bsval" in node:
        return Plain("a bit string")
    at = location(node)
    if at is None:
        return PLAIN
    lexed = run.lexed
    index = lexed.token_at(at)
    if lexed.starts[index] != at:
        raise Refused("internal: constant without token", sqlstate="XX000", position=at)
    if lexed.names[index] == "USCONST":
        end = lexed.ends[index]
        if index + 1 < len(lexed.names) and lexed.names[index + 1] == "UESCAPE":
            end = lexed.ends[index + 2]
        return open_at(run, at, end, fold=Fixed(node["sval"].get("sval", "")))
    negative = lexed.names[index] == "ASCII_45"
    if negative:
        index += 1
    if lexed.names[index] not in ("SCONST", "ICONST", "FCONST"):
        return Plain("a computed number")  # -(5) and the like: the sign and the digits don't stand together
    ordinal = lexed.ordinal(lexed.starts[index])
    fold = Constant(ordinal, negative)
    return open_at(run, at, lexed.ends[index], fold=fold, numeric="sval" not in node)


@expression("ParamRef")
def _parameter(run: Run, node: Node, scope: Scope) -> Kind:
    at = location(node)
    if run.arguments is not None:
        return run.arguments.get(str(node.get("number", 0)), PLAIN)
    if at is None:
        raise Refused("parameter without location is not supported")
    index = run.lexed.token_at(at)
    number = node.get("number", 0)
    declared = run.parameter_types[number - 1] if 0 < number <= len(run.parameter_types) else 0
    return open_at(run, at, run.lexed.ends[index], parameter=number, declared=declared)


@expression("ColumnRef")
def column(run: Run, node: Node, scope: Scope) -> Kind:
    """The kind of a column reference, ``t.*`` as a whole row, or ``t`` alone."""
    names = names_in(node)
    at = location(node)
    if len(names) == 1:
        found = column_named(scope, names[0], at)
        if found is not None:
            return found
        source = source_named(scope, None, names[0])
        if source is not None:
            return row_of(source)
        if run.arguments is not None and names[0] in run.arguments:
            return run.arguments[names[0]]
        raise Refused(f'column "{names[0]}" does not exist', sqlstate="42703", position=at)
    if len(names) > 3:
        raise Refused("references with more than three names are not supported", position=at)
    schema = names[0] if len(names) == 3 else None
    table, name = names[-2], names[-1]
    source = source_named(scope, schema, table)
    if source is None:
        raise Refused(f'missing FROM-clause entry for table "{table}"', sqlstate="42P01", position=at)
    if name == "*":
        return row_of(source)
    if name in (f.name for f in source.fields) or not source.open_ended:
        return field_of(source, name, at)
    return PLAIN


def operator_name(run: Run, node: Node) -> str:
    """The operator of an A_Expr or SubLink; of another schema than pg_catalog it is marked as such."""
    names = [n["String"].get("sval", "") for n in node.get("name") or node.get("operName") or ()]
    if len(names) > 1 and names[0] != "pg_catalog":
        return ".".join(names)
    return names[-1] if names else "="


@expression("A_Expr")
def _operator(run: Run, node: Node, scope: Scope) -> Kind:
    taken = take(run, "A_Expr", node, scope)
    if taken is not None:
        return taken
    form = node.get("kind", "AEXPR_OP")
    name = operator_name(run, node)
    at = location(node)
    left = infer(run, node["lexpr"], scope) if "lexpr" in node else None
    right_node = node["rexpr"]
    if form == "AEXPR_IN" or form.startswith(("AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN")):
        rights = infer_all(run, right_node["List"]["items"], scope)
    else:
        rights = [infer(run, right_node, scope)]
    if form == "AEXPR_OP" and left is not None:
        made = json_operator(run, name, left, rights[0], (node["lexpr"], right_node), at)
        if made is not None:
            return made
    match form:
        case "AEXPR_OP" if left is not None and name in _EQUALITY:
            compare(left, rights[0], f"operator {name}", at)
        case "AEXPR_OP" if left is not None and name == "||":
            return concatenate(run, node, left, rights[0])
        case "AEXPR_OP" if left is not None and name in _SETS and _arrays(left, rights[0]):
            one, other = (element(k, f"operator {name}", at) for k in (left, rights[0]))
            compare(one, other, f"operator {name}", at)
        case "AEXPR_DISTINCT" | "AEXPR_NOT_DISTINCT":
            compare(_not_none(left), rights[0], "IS DISTINCT FROM", at)
        case "AEXPR_NULLIF":
            compare(_not_none(left), rights[0], "NULLIF", at)
            return _nullif(_not_none(left), shape(rights[0]))
        case "AEXPR_IN":
            for right in rights:
                compare(_not_none(left), right, "IN", at)
        case "AEXPR_OP_ANY" | "AEXPR_OP_ALL" if name in _EQUALITY:
            quantifier = "ANY" if form == "AEXPR_OP_ANY" else "ALL"
            what = f"{name} {quantifier}"
            compare(_not_none(left), element(rights[0], what, at), what, at)
        case "AEXPR_OP" if isinstance(left, Row) and isinstance(rights[0], Row) and name in _ORDER:
            compare_rows(run, (node["lexpr"], right_node), (left, rights[0]), f"operator {name}", at)
        case "AEXPR_OP" if left is not None and name in _ORDER and comparable([left, *rights]):
            by_key(run, [node["lexpr"], right_node], [left, *rights], f"operator {name}", at)
        case "AEXPR_BETWEEN" | "AEXPR_NOT_BETWEEN" | "AEXPR_BETWEEN_SYM" | "AEXPR_NOT_BETWEEN_SYM" if (
            left is not None and comparable([left, *rights])
        ):
            operands = [node["lexpr"], *right_node["List"]["items"]]
            by_key(run, operands, [left, *rights], _FORM_NAMES[form], at)
        case _:
            words = _OPERATOR_NAMES if form in ("AEXPR_OP_ANY", "AEXPR_OP_ALL") else {}
            what = _FORM_NAMES.get(form) or words.get(name, f"operator {name}")
            if form == "AEXPR_OP" and "." not in name:
                operands = [n for n in (node.get("lexpr"), right_node) if n is not None]
                kinds = [left, *rights] if left is not None else rights
                deferred = defer(run, name, {"A_Expr": node}, kinds, operands, what)
                if deferred is not None:
                    return deferred
            require_plain_all(([left] if left is not None else []) + rights, what, at)
            return Plain(f"the result of {what}")
    return BOOLEAN


def _arrays(left: Kind, right: Kind) -> bool:
    """Whether an operator is that of arrays: one side is an array with protected elements."""
    return any(isinstance(shape(k), ArrayOf) and protected(k) for k in (left, right))


def _nullif(left: Kind, right: Kind) -> Kind:
    """The first argument or NULL, with its modifier (``exprTypmod``), unless the operator casts it: varchar to text."""
    known = shape(left)
    if (
        isinstance(known, Token)
        and not isinstance(left, Open)
        and known.protection.type_oid != known.protection.stored_oid
        and not (isinstance(right, Token) and right.protection.type_oid != known.protection.type_oid)
    ):
        return replace(known, whole=False)
    return unsized(left)


_FORM_NAMES = {
    "AEXPR_LIKE": "LIKE",
    "AEXPR_ILIKE": "ILIKE",
    "AEXPR_SIMILAR": "SIMILAR TO",
    "AEXPR_BETWEEN": "BETWEEN",
    "AEXPR_NOT_BETWEEN": "NOT BETWEEN",
    "AEXPR_BETWEEN_SYM": "BETWEEN SYMMETRIC",
    "AEXPR_NOT_BETWEEN_SYM": "NOT BETWEEN SYMMETRIC",
}


# LIKE ANY (…) has the operator's sign in the tree, not the word.
_OPERATOR_NAMES = {"~~": "LIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "!~~*": "NOT ILIKE"}


def _not_none(kind: Kind | None) -> Kind:
    if kind is None:
        raise Refused("operator without left operand is not supported")
    return kind


def concatenate(run: Run, node: Node, left: Kind, right: Kind) -> Kind:
    """``||``: of constants, of text, of arrays, of JSON."""
    folded = fold_constants(run, "||", [left, right], None)
    if folded is not None:
        return folded
    one, other = shape(left), shape(right)
    at = location(node)
    if isinstance(one, ArrayOf) or isinstance(other, ArrayOf):
        elements = [element(k, "operator ||", at) if _is_array(run, k) else k for k in (left, right)]
        if protected(one) or protected(other):
            _keep_scalar(run, elements)
        return array_of_kind(unsized(flow(elements, "operator ||", at)))
    for kind in (one, other):
        if isinstance(kind, Row) and protected(kind):
            raise conflict(one, other, "operator ||", at)
    for kind in (one, other):
        if isinstance(kind, Text) and kind.container is Container.JSON:
            return Text((one, other), Container.JSON, kind.of)
    if any(isinstance(k, Deferred) for k in (one, other)) and is_number(one) and is_number(other):
        raise Refused(
            f"operator does not exist: {describe(one)} || {describe(other)}",
            sqlstate="42883",
            hint="Cast one of the two to text.",
            position=at,
        )
    fixed = fixed_text([left, right], [node["lexpr"], node["rexpr"]])
    return Text((left, right), Container.TEXT, "text built by ||", fixed=fixed)


def _is_array(run: Run, kind: Kind) -> bool:
    """Whether what stands beside an array in ``||`` is one, too. PostgreSQL takes a constant of unknown type for one."""
    known = shape(kind)
    if not isinstance(known, Open):
        return isinstance(known, ArrayOf)
    return all(
        o.cast_array
        or (not o.cast_oid and not o.numeric and (not o.declared or element_of(run.catalog, o.declared)))
        for o in known.occurrences
    )


def _keep_scalar(run: Run, kinds: list[Kind]) -> None:
    """A number beside an array is an element; the token in its place, a string without type, would be read as an array."""
    for kind in kinds:
        if isinstance(kind, Open):
            for occurrence in kind.root().occurrences:
                if occurrence.numeric and not occurrence.cast_oid:
                    run.edits[occurrence.end, occurrence.end] = b"::text"


def fixed_text(kinds: list[Kind], nodes: list[Node]) -> bool:
    """Whether text put together of these differs from row to row by one token only."""
    varying = [shape(k) for k, n in zip(kinds, nodes, strict=True) if not is_constant(n)]
    if len(varying) != 1:
        return False
    (one,) = varying
    return isinstance(one, Token) or (isinstance(one, Text) and one.fixed)


def is_constant(node: Node) -> bool:
    """Whether an expression has one value throughout a statement: constants, parameters, and texts of these alone."""
    tag, fields = split(node)
    match tag:
        case "A_Const" | "ParamRef":
            return True
        case "TypeCast":
            return is_constant(fields["arg"])
        case "A_Expr" if "lexpr" in fields and fields.get("kind", "AEXPR_OP") == "AEXPR_OP":
            names = [n["String"].get("sval", "") for n in fields["name"]]
            return names == ["||"] and is_constant(fields["lexpr"]) and is_constant(fields["rexpr"])
        case _:
            return False


def fold_constants(run: Run, name: str, kinds: list[Kind], span: tuple[int, int] | None) -> Kind | None:
    """The open kind of a function of constants alone, None when there are others.

    ``span``: what of the text the whole expression covers; None: from the first to the last constant.
    """
    if (name, len(kinds)) not in FOLDABLE:
        return None
    folds: list[Fold] = []
    found = []
    for kind in kinds:
        if not isinstance(kind, Open):
            return None
        root = kind.root()
        if root.bound is not None or len(root.occurrences) != 1:
            return None
        occurrence = root.occurrences[0]
        fold = occurrence.fold
        if not isinstance(fold, Constant | Fixed | Applied) or occurrence.numeric or occurrence.cast_oid:
            return None
        folds.append(fold)
        found.append(occurrence)
    if span is None:
        span = (found[0].start, found[-1].end)
        between = run.lexed.token_at(found[0].end), run.lexed.token_at(found[-1].start)
        if between[1] - between[0] != 1:
            return None  # parentheses between: 'a' || ('b')
    for occurrence in found:
        run.occurrences.pop(occurrence.start, None)
    return open_at(run, span[0], span[1], fold=Applied(name, tuple(folds)))


@expression("BoolExpr")
def _boolean(run: Run, node: Node, scope: Scope) -> Kind:
    taken = take(run, "BoolExpr", node, scope)
    if taken is not None:
        return taken
    infer_all(run, node.get("args", []), scope)
    return BOOLEAN


@expression("NullTest")
def _null_test(run: Run, node: Node, scope: Scope) -> Kind:
    taken = take(run, "NullTest", node, scope)
    if taken is not None:
        return taken
    if null_test_of_value(run, node["arg"], scope):
        return BOOLEAN
    kind = infer(run, node["arg"], scope)
    if isinstance(kind, Open) and is_constant(node["arg"]):
        for occurrence in kind.root().occurrences:
            occurrence.null_tested = True
    require_same_nulls(kind, "IS NULL", location(node))
    return BOOLEAN


@expression("BooleanTest")
def _boolean_test(run: Run, node: Node, scope: Scope) -> Kind:
    require_plain(infer(run, node["arg"], scope), "IS TRUE", location(node))
    return BOOLEAN


@expression("RowExpr")
def _row(run: Run, node: Node, scope: Scope) -> Kind:
    kinds: list[Kind] = []
    for argument in node.get("args", ()):
        tag, fields = split(argument)
        kind = infer(run, argument, scope)
        if tag == "ColumnRef" and names_in(fields)[-1] == "*" and isinstance(kind, Row):
            kinds.extend(kind.fields)
        else:
            kinds.append(kind)
    return Row(tuple(f"f{i}" for i in range(1, len(kinds) + 1)), tuple(kinds))


@expression("A_ArrayExpr")
def _array(run: Run, node: Node, scope: Scope) -> Kind:
    kinds = infer_all(run, node.get("elements", []), scope)
    if not kinds:
        return ArrayOf(Open())
    joined = flow(kinds, "ARRAY", location(node))
    known = shape(joined)
    if isinstance(known, Open):
        known.root().named = (
            True  # constants and parameters alone make an array of text, as a subquery's border does
        )
    return array_of_kind(joined)


@expression("A_Indirection")
def _indirection(run: Run, node: Node, scope: Scope) -> Kind:
    kind = infer(run, node["arg"], scope)
    steps = [split(step) for step in node.get("indirection", ())]
    for (tag, fields), (after, _) in zip(steps, [*steps[1:], ("", {})], strict=True):
        known = shape(kind)
        if tag == "String":
            kind = _field(known, fields.get("sval", ""))
        elif tag == "A_Indices":
            subscript(run, fields, scope)
            if after == "A_Indices":
                continue  # a[1][2] is one subscript of one array
            if isinstance(known, Document):
                kind = subscripted(run, known, [f for t, f in steps if t == "A_Indices"])
                continue
            if not any(f.get("is_slice") for t, f in steps if t == "A_Indices"):
                kind = element(known, "subscript", None) if isinstance(known, ArrayOf) else _subscript(known)
        elif tag == "A_Star":
            kind = known
        else:
            raise Refused(f"indirection is not supported: {tag}")
    return kind


def _field(kind: Kind, name: str) -> Kind:
    if isinstance(kind, Row):
        if name in kind.names:
            return kind.fields[kind.names.index(name)]
        raise Refused(f'column "{name}" not found in data type record', sqlstate="42703")
    require_plain(kind, "field selection", None)
    return PLAIN


def subscript(run: Run, fields: Node, scope: Scope) -> None:
    """The bounds of one subscript are plain."""
    for bound in ("lidx", "uidx"):
        if bound in fields:
            require_plain(infer(run, fields[bound], scope), "a subscript", None)


def _subscript(kind: Kind) -> Kind:
    require_plain(kind, "subscript", None)
    return PLAIN


@expression("CollateClause")
def _collate(run: Run, node: Node, scope: Scope) -> Kind:
    """Under a deterministic collation, texts are equal only when their bytes are, so that tokens may be compared."""
    kind = infer(run, node["arg"], scope)
    names = [n["String"].get("sval", "") for n in node.get("collname", ())]
    what, at = f'COLLATE "{names[-1]}"', location(node)
    known = shape(kind)
    found = collation_named(run.catalog, run.session.search_path, names)
    if isinstance(known, Token) and not isinstance(kind, Open):
        if found is None or not found.deterministic:
            raise unsupported(known, what, at)
        return replace(known, collations=frozenset((found,)))
    if (found is None or not found.deterministic) and names[-1] not in _BYTEWISE_COLLATIONS:
        require_plain(kind, what, at)
    return kind if found is None else collated(known, found)


@expression("SubLink")
def _subquery(run: Run, node: Node, scope: Scope) -> Kind:
    at = location(node)
    form = node.get("subLinkType", "EXISTS_SUBLINK")
    columns = query_columns(run, node["subselect"], Scope(parent=scope))
    note_named(columns)
    match form:
        case "EXISTS_SUBLINK":
            return BOOLEAN
        case "ANY_SUBLINK" | "ALL_SUBLINK":
            name = operator_name(run, node)
            what = "IN (subquery)" if "operName" not in node else f"{name} (subquery)"
            tested = infer(run, node["testexpr"], scope)
            kinds = tuple(f.kind for f in columns)
            against: Kind = kinds[0] if len(kinds) == 1 else Row(tuple(f.name for f in columns), kinds)
            if name in _EQUALITY:
                compare(tested, against, what, at)
            elif name not in _ORDER or not compare_subquery(run, node, (tested, against), what, at):
                require_plain(tested, what, at)
                require_plain(against, what, at)
            return BOOLEAN
        case "EXPR_SUBLINK" | "MULTIEXPR_SUBLINK":
            if len(columns) == 1:
                return columns[0].kind
            return Row(tuple(f.name for f in columns), tuple(f.kind for f in columns))
        case "ARRAY_SUBLINK" if len(columns) == 1:
            return array_of_kind(columns[0].kind)
        case _:
            raise Refused(f"subquery is not supported: {form}", position=at)


_VALUE_TYPES = {"current_date": 1082, "localtimestamp": 1114}


@expression("SQLValueFunction")
def _value_function(run: Run, node: Node, scope: Scope) -> Kind:
    name = node.get("op", "SVFOP_").removeprefix("SVFOP_").lower()
    return Plain(name, _VALUE_TYPES.get(name, 0))


@expression("SetToDefault")
def _default(run: Run, node: Node, scope: Scope) -> Kind:
    return Open()


@expression("CurrentOfExpr", "MergeSupportFunc")
def _harmless(run: Run, node: Node, scope: Scope) -> Kind:
    return PLAIN


@expression("GroupingFunc")
def _grouping(run: Run, node: Node, scope: Scope) -> Kind:
    for argument in node.get("args", []):
        found = ordered_by(run, argument, scope)
        if found is None:
            infer(run, argument, scope)
        else:  # it must be what GROUP BY is
            by_computed(run, argument, found, "GROUPING", location(node))
    return PLAIN


@expression("NamedArgExpr")
def _named_argument(run: Run, node: Node, scope: Scope) -> Kind:
    return infer(run, node["arg"], scope)


@expression("XmlExpr")
def _xml(run: Run, node: Node, scope: Scope) -> Kind:
    for kind in infer_all(run, [*node.get("named_args", ()), *node.get("args", ())], scope):
        require_plain(kind, "an XML function", location(node))
    return Plain("an XML value")


@expression("ResTarget")
def _target(run: Run, node: Node, scope: Scope) -> Kind:
    return infer(run, node["val"], scope)


@expression("XmlSerialize")
def _xml_serialize(run: Run, node: Node, scope: Scope) -> Kind:
    require_plain(infer(run, node["expr"], scope), "XMLSERIALIZE", location(node))
    return PLAIN
