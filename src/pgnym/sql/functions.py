"""Function calls: which functions may take tokens, and what comes out. All others need plain arguments.

Lists follow PostgreSQL 18's ``pg_proc.dat``; a function isn't here unless its result on tokens, after the reveal, is its
result on the values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgnym.sql.aggregates import Aggregate, can_be_picked, extreme, order
from pgnym.sql.catalog import Function, Protection
from pgnym.sql.contents import take
from pgnym.sql.deferred import defer
from pgnym.sql.errors import Refused
from pgnym.sql.expressions import fixed_text, fold_constants
from pgnym.sql.infer import Node, Run, expression, infer, infer_filter, location, split
from pgnym.sql.kinds import (
    PLAIN,
    ArrayOf,
    Deferred,
    Kind,
    Open,
    Plain,
    Row,
    Text,
    Token,
    array_of_kind,
    column_kind,
    protected,
    shape,
    tokens,
    unsized,
)
from pgnym.sql.overloads import any_citext, own_functions_meant
from pgnym.sql.plan import Container
from pgnym.sql.resolve import Scope
from pgnym.sql.select import window_definition
from pgnym.sql.sql_functions import derive
from pgnym.sql.types import TEXT, VARCHAR, family
from pgnym.sql.unify import (
    assign,
    compare,
    element,
    flow,
    groupable,
    require_plain,
    require_same_nulls,
    unsupported,
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call with the kinds of its arguments."""

    run: Run
    name: str
    arguments: list[Kind]
    nodes: list[Node]
    position: int | None
    variadic: bool
    node: Node

    @property
    def what(self) -> str:
        """The function in words."""
        return f"function {self.name}()"


_JSON, _JSONB, _INET = 114, 3802, 869
_MORE_THAN_ARGUMENTS = frozenset(
    {"agg_filter", "agg_order", "agg_distinct", "agg_star", "agg_within_group", "over", "func_variadic"}
)
_NULLARY = frozenset(
    {"count", "json_build_object", "jsonb_build_object", "json_build_array", "jsonb_build_array"}
)
_RECORD = 2249
_PLAIN_TEXT = frozenset({TEXT, VARCHAR})
Builtin = Callable[[Call], Kind]
_BUILTINS: dict[str, Builtin] = {}


def builtin(*names: str) -> Callable[[Builtin], Builtin]:
    """Register the function that infers the kind of calls of these functions."""

    def register(function: Builtin) -> Builtin:
        for name in names:
            _BUILTINS[name] = function
        return function

    return register


@expression("FuncCall")
def _call(run: Run, node: Node, scope: Scope) -> Kind:
    taken = take(run, "FuncCall", node, scope)
    if taken is not None:
        return taken
    names = [n["String"].get("sval", "") for n in node["funcname"]]
    name = names[-1]
    schema = names[-2] if len(names) > 1 else None
    at = location(node)
    nodes = node.get("args", [])
    arguments = [infer(run, a, scope) for a in nodes]
    if "agg_filter" in node:
        infer_filter(run, node["agg_filter"], scope)
    aggregate = Aggregate(run, node, name, arguments)
    chosen = order(aggregate, scope)
    if chosen is not None:
        return chosen
    if node.get("agg_distinct"):
        for kind in arguments:
            groupable(kind, f"{name}(DISTINCT)", at)
    if "over" in node:
        window_definition(run, node["over"], scope)
    call = Call(run, name, arguments, nodes, at, bool(node.get("func_variadic")), node)
    if len(names) == 1 or schema == "pg_catalog":
        builtin = _BUILTINS.get(name)
        if builtin is not None and (
            schema == "pg_catalog"
            or not own_functions_meant(run.catalog, name, citext=any_citext(run.catalog, arguments))
        ):
            if not arguments and name not in _NULLARY:
                raise Refused(f"function {name}() does not exist", sqlstate="42883", position=at)
            return builtin(call)
        folded = _fold(call, node)
        if folded is not None:
            return folded
    return other(call, schema)


def _fold(call: Call, node: Node) -> Kind | None:
    """A function of constants alone: from its name to the closing parenthesis."""
    if call.position is None or call.variadic:
        return None
    lexed = call.run.lexed
    last = None
    for kind in call.arguments:
        root = kind.root() if isinstance(kind, Open) else None
        if root is None or len(root.occurrences) != 1:
            return None
        last = root.occurrences[0]
    if last is None or not 0 < lexed.token_at(last.end) < len(lexed.starts):
        return None
    closing = lexed.token_at(last.end)
    opening = lexed.token_at(call.position)
    if lexed.text[lexed.starts[closing] : lexed.ends[closing]] != b")":
        return None
    if (
        node.get("funcformat") == "COERCE_SQL_SYNTAX"
        or "over" in node
        or closing - opening != 2 * len(call.arguments) + 1
    ):
        return None  # trim(both …), a schema, parentheses within: not spelled name(constant, …)
    return fold_constants(call.run, call.name, call.arguments, (call.position, lexed.ends[closing]))


def other(call: Call, schema: str | None) -> Kind:
    """A function that isn't known to take tokens: plain arguments, and no protected relation within."""
    run = call.run
    # column(row): PostgreSQL lets a field be written as a function of its row
    if len(call.arguments) == 1 and schema is None:
        known = shape(call.arguments[0])
        if isinstance(known, Row) and call.name in known.names:
            return known.fields[known.names.index(call.name)]
    meant = own_functions_meant(run.catalog, call.name, citext=any_citext(run.catalog, call.arguments))
    user_defined = [
        f
        for f in run.catalog.functions.get(call.name, ())
        if (schema is None and meant) or f.schema == schema
    ]
    if user_defined:
        configured = _configured(call, user_defined)
        if configured is not None:
            return configured
        if call.name in run.knowledge.dependents.function_names:
            reason = f"The body of {call.name}() or its result type names a protected table."
            try:
                if len(user_defined) == 1:
                    return derive(run, user_defined[0], call.arguments)
            except Refused as refusal:
                reason = f"Its body can't be followed: {refusal.message}"
            raise Refused(
                f"function {call.name}() reads protected tables, and what it returns isn't known",
                detail=reason,
                hint=f"Configure its signature under `functions:` ({user_defined[0].schema}.{call.name}).",
                position=call.position,
            )
    if not user_defined and not _MORE_THAN_ARGUMENTS & call.node.keys():
        node = {"FuncCall": call.node}
        deferred = defer(run, call.name, node, call.arguments, call.nodes, f"{call.name}()")
        if deferred is not None:
            return deferred
    for kind in call.arguments:
        if protected(kind):
            raise unsupported(kind, call.what, call.position)
        require_plain(kind, call.what, call.position)
    return Plain(f"the result of {call.what}")


def _configured(call: Call, candidates: list[Function]) -> Kind | None:
    """The kind that the configuration gives: arguments are written to their domain, results come from it.

    A name has one signature for all its overloads; which of them is meant matters for names and types only.
    """
    signed = [f for f in candidates if (f.schema, f.name) in call.run.catalog.signatures]
    if not signed:
        return None
    function = next((f for f in signed if len(f.arguments) == len(call.arguments)), signed[0])
    signature = call.run.catalog.signatures[function.schema, function.name]
    if signature.missing:
        raise Refused(
            f"the signature of function {call.name}() can't be used",
            sqlstate="55000",
            detail=f"It names {signature.missing}, which isn't protected in the database.",
            hint="Run `pgnym apply`, or change `functions:` in the configuration.",
            position=call.position,
        )
    for index, kind in enumerate(call.arguments):
        place = _place(call, function, index)
        protection = signature.arguments[place] if place < len(signature.arguments) else None
        if protection is not None:
            call.run.compared |= protection.columns
            call.run.writes |= protection.columns
            _check_declared(call, function, place, protection)
        assign(protection, f"argument {place + 1} of {call.name}()", kind, call.what, call.position)

    def result(name: str, declared: int = 0) -> Kind:
        found = signature.results.get(name)
        if found is None:
            return PLAIN
        if declared in _PLAIN_TEXT and found.codec_oid in _PLAIN_TEXT and not found.array:
            # the function's own type is shown, which has no length
            found = replace(found, type_oid=declared, typmod=-1, codec_oid=declared, stored_oid=declared)
        return column_kind(found)

    composite = call.run.catalog.types.get(function.result)
    relation = call.run.catalog.by_oid.get(composite.relation) if composite and composite.relation else None
    if relation is not None:
        names = tuple(c.name for c in relation.columns)
        return Row(names, tuple(map(result, names)))
    modes = zip(function.argument_names, function.argument_modes, strict=False)
    outs = tuple(name for name, mode in modes if mode in ("t", "o", "b"))
    if len(outs) > 1 or (outs and function.result == _RECORD):
        return Row(outs, tuple(result(name, TEXT) for name in outs))
    return result(outs[0] if outs and outs[0] in signature.results else "", function.result)


def _place(call: Call, function: Function, index: int) -> int:
    """The place of an argument in the declaration: it may be named in the call."""
    tag, fields = split(call.nodes[index])
    if tag != "NamedArgExpr":
        return index
    modes = function.argument_modes or "i" * len(function.argument_names)
    inputs = [n for n, m in zip(function.argument_names, modes, strict=False) if m not in ("t", "o")]
    if fields.get("name") not in inputs:
        raise Refused(
            f'function {call.name}() has no argument "{fields.get("name")}"',
            sqlstate="42883",
            position=call.position,
        )
    return inputs.index(fields["name"])


def _check_declared(call: Call, function: Function, place: int, protection: Protection) -> None:
    """Tokens are text, whatever the column's values are."""
    declared = function.arguments[place] if place < len(function.arguments) else 0
    stored = family(call.run.catalog, declared)
    if declared and stored != "text" and not protection.array:
        raise Refused(
            f"argument {place + 1} of function {call.name}() can't take protected column {protection.column}",
            detail="The function gets the token, which is text, and is declared with another type.",
            hint="Declare the argument as text.",
            position=call.position,
        )


@builtin("min", "max")
def _extreme(call: Call) -> Kind:
    known = shape(call.arguments[0])
    picked = isinstance(known, Token) or (isinstance(known, Deferred) and can_be_picked(known))
    if not picked or len(call.arguments) != 1:
        return other(call, "pg_catalog")
    return extreme(Aggregate(call.run, call.node, call.name, call.arguments))


@builtin("count", "num_nulls", "num_nonnulls")
def _count(call: Call) -> Kind:
    for kind in call.arguments:
        require_same_nulls(kind, call.what, call.position)
    return Plain(f"the result of {call.what}", 20)


@builtin("array_agg")
def _array_agg(call: Call) -> Kind:
    return array_of_kind(unsized(call.arguments[0]))


@builtin("any_value", "first_value", "last_value", "nth_value")
def _same(call: Call) -> Kind:
    for kind in call.arguments[1:]:
        require_plain(kind, call.what, call.position)
    return unsized(call.arguments[0])


@builtin("lag", "lead")
def _shifted(call: Call) -> Kind:
    if len(call.arguments) > 1:
        require_plain(call.arguments[1], call.what, call.position)
    kinds = [call.arguments[0], *call.arguments[2:]]
    return unsized(flow(kinds, call.what, call.position))


@builtin("string_agg", "concat", "concat_ws")
def _text(call: Call) -> Kind:
    if call.name != "string_agg" and not call.variadic:
        folded = _constants(call)
        if folded is not None:
            return folded
    arguments = list(call.arguments)
    if call.variadic:
        arguments[-1] = element(arguments[-1], call.what, call.position)
    for kind in arguments:
        known = shape(kind)
        if isinstance(known, Row | ArrayOf) and protected(known):
            raise unsupported(known, f"{call.what} of an array or row", call.position)
        if call.name != "string_agg":
            _printed_as_cast(call, kind)
    fixed = call.name != "string_agg" and not call.variadic and fixed_text(arguments, call.nodes)
    return Text(tuple(arguments), Container.TEXT, f"text built by {call.name}()", fixed=fixed)


def _constants(call: Call) -> Kind | None:
    return _fold(call, {}) if call.name == "concat" else None


@builtin("format")
def _format(call: Call) -> Kind:
    if not any(protected(k) or isinstance(shape(k), Open) for k in call.arguments[1:]):
        require_plain(call.arguments[0], call.what, call.position)
        return Plain("text built by format()")
    tag, fields = split(call.nodes[0])
    if tag != "A_Const" or "sval" not in fields:
        if not any(protected(k) for k in call.arguments):
            for kind in call.arguments:
                require_plain(kind, call.what, call.position)
            return Plain("text built by format()")
        raise Refused(
            "format() of protected values with a computed template is not supported",
            hint="Write the template as a constant.",
            position=call.position,
        )
    call.run.pin(fields)
    template = fields["sval"].get("sval", "").replace("%%", "")
    require_plain(call.arguments[0], call.what, call.position)
    if template.count("%") != template.count("%s") and any(protected(k) for k in call.arguments):
        kind = next(k for k in call.arguments if protected(k))
        raise unsupported(kind, "format() with other than %s", call.position)
    for kind in call.arguments[1:]:
        _printed_as_cast(call, kind)
    return Text(tuple(call.arguments[1:]), Container.TEXT, "text built by format()")


_JSON_VALUES = (
    "to_json", "to_jsonb", "row_to_json", "array_to_json", "json_agg", "jsonb_agg", "json_agg_strict", "jsonb_agg_strict",
    "json_build_array", "jsonb_build_array",
)  # fmt: skip


@builtin(*_JSON_VALUES)
def _json(call: Call) -> Kind:
    arguments = list(call.arguments)
    if call.variadic:
        arguments[-1] = element(arguments[-1], call.what, call.position)
    if call.name.endswith("strict"):
        for kind in arguments:
            require_same_nulls(kind, call.what, call.position)
    fixed = call.name == "to_jsonb" and len(arguments) == 1
    return Text(tuple(arguments), Container.JSON, f"JSON built by {call.name}()", fixed=fixed)


@builtin(
    "json_build_object", "jsonb_build_object", "json_object_agg", "jsonb_object_agg",
    "json_object_agg_strict", "jsonb_object_agg_strict", "json_object_agg_unique", "jsonb_object_agg_unique",
)  # fmt: skip
def _json_object(call: Call) -> Kind:
    for index, kind in enumerate(call.arguments):
        if index % 2 == 0 or call.name.endswith("strict"):
            require_same_nulls(kind, call.what, call.position)
        # keys of jsonb are sorted and made unique; those of json are not, unless asked
        if (
            index % 2 == 0
            and protected(kind)
            and (call.name.startswith("jsonb") or call.name.endswith("unique"))
        ):
            raise unsupported(kind, f"a key in {call.name}()", call.position)
        if index % 2 == 0 and not protected(kind):
            require_plain(kind, f"a key in {call.name}()", call.position)
        elif index % 2 == 0 and not _scalar_key(kind):
            raise Refused(
                f"a protected key of {call.name}() must be scalar, not array, composite, or json",
                position=call.position,
            )
    return Text(tuple(call.arguments), Container.JSON, f"JSON built by {call.name}()")


def _scalar_key(kind: Kind) -> bool:
    """Whether PostgreSQL takes a value of this kind as a key; the token of a jsonb is a string to it."""
    known = shape(kind)
    if isinstance(known, Deferred):
        return known.type_oid not in (_JSON, _JSONB)
    if isinstance(known, Text):
        return known.container is not Container.JSON
    return isinstance(known, Token) and known.protection.codec_oid != _JSONB


@builtin("unnest")
def _unnest(call: Call) -> Kind:
    if len(call.arguments) != 1:
        return PLAIN
    return unsized(element(call.arguments[0], call.what, call.position))


@builtin(
    "cardinality", "array_length", "array_ndims", "array_upper", "array_lower", "array_dims", "generate_subscripts"
)  # fmt: skip
def _array_size(call: Call) -> Kind:
    if not isinstance(shape(call.arguments[0]), ArrayOf):
        return other(call, "pg_catalog")
    for kind in call.arguments[1:]:
        require_plain(kind, call.what, call.position)
    return Plain(f"the result of {call.what}")


@builtin("array_position", "array_positions", "array_remove")
def _array_search(call: Call) -> Kind:
    inner = element(call.arguments[0], call.what, call.position)
    if len(call.arguments) > 1:
        compare(inner, call.arguments[1], call.what, call.position)
    for kind in call.arguments[2:]:
        require_plain(kind, call.what, call.position)
    return (
        array_of_kind(unsized(inner)) if call.name == "array_remove" else Plain(f"the result of {call.what}")
    )


@builtin("array_replace")
def _array_replace(call: Call) -> Kind:
    inner = element(call.arguments[0], call.what, call.position)
    if len(call.arguments) == 3:
        compare(inner, call.arguments[1], call.what, call.position)
    return array_of_kind(unsized(flow([inner, *call.arguments[2:]], call.what, call.position)))


@builtin("trim_array", "array_sample", "array_shuffle", "array_reverse")
def _array_part(call: Call) -> Kind:
    if not isinstance(shape(call.arguments[0]), ArrayOf):
        return other(call, "pg_catalog")
    for kind in call.arguments[1:]:
        require_plain(kind, call.what, call.position)
    return unsized(call.arguments[0])


@builtin("array_append", "array_prepend", "array_cat")
def _array_grow(call: Call) -> Kind:
    elements: list[Kind] = []
    for index, kind in enumerate(call.arguments):
        is_array = call.name == "array_cat" or (index == 0) == (call.name == "array_append")
        elements.append(element(kind, call.what, call.position) if is_array else kind)
    return array_of_kind(unsized(flow(elements, call.what, call.position)))


@builtin("array_to_string")
def _array_to_string(call: Call) -> Kind:
    known = shape(call.arguments[0])
    if not isinstance(known, ArrayOf):
        return other(call, "pg_catalog")
    for kind in call.arguments[1:]:
        require_plain(kind, call.what, call.position)
    _printed_as_cast(call, known.element)
    return Text((known.element,), Container.TEXT, "text built by array_to_string()")


def _printed_as_cast(call: Call, kind: Kind) -> None:
    """Raise Refused for addresses: these functions print them as they come out (10.1.2.3), not as a cast does (10.1.2.3/32).

    Within a text a token becomes what a cast gives.
    """
    for token in tokens(kind):
        if token.protection.codec_oid == _INET:
            raise unsupported(token, call.what, call.position)
