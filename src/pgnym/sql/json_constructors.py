"""SQL/JSON constructors and functions: JSON_OBJECT, JSON_ARRAY, JSON_OBJECTAGG, JSON_VALUE and their like."""

from __future__ import annotations

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, expression, infer, infer_filter, location
from pgnym.sql.kinds import Kind, Plain, Text, Token, shape
from pgnym.sql.plan import Container
from pgnym.sql.resolve import Scope
from pgnym.sql.select import query_columns, window_definition
from pgnym.sql.sorting import sort_item
from pgnym.sql.types import type_name_parts
from pgnym.sql.unify import require_plain, require_same_nulls

_JSONB = 3802


def _check_output(node: Node, kinds: list[Kind], position: int | None) -> None:
    """RETURNING of a SQL/JSON constructor: bytea would hide tokens in hex, varchar(n) would cut them.

    Without it the result is jsonb if an argument is, else json: the server must not judge by the token.
    """
    for kind in kinds:
        require_same_nulls(kind, "SQL/JSON", position)  # ABSENT ON NULL leaves them out
    output = node.get("output")
    if output is None:
        for kind in kinds:
            known = shape(kind)
            if isinstance(known, Token) and known.protection.codec_oid == _JSONB:
                raise Refused(
                    f"SQL/JSON of protected column {', '.join(sorted(known.columns))} without RETURNING is not supported",
                    detail="Its type would be that of the column, of which the database knows the token only.",
                    hint="Add RETURNING jsonb.",
                    position=position,
                )
        return
    target = output["typeName"]
    if type_name_parts(target)[1] not in ("json", "jsonb", "text") or "typmods" in target:
        for kind in kinds:
            require_plain(kind, "JSON of another type than json, jsonb or text", position)


@expression("JsonObjectConstructor")
def _json_object_constructor(run: Run, node: Node, scope: Scope) -> Kind:
    parts: list[Kind] = []
    for entry in node.get("exprs", ()):
        parts.extend(_key_value(run, entry["JsonKeyValue"], scope, location(node)))
    _check_output(node, parts, location(node))
    return Text(tuple(parts), Container.JSON, "JSON built by JSON_OBJECT()")


def _key_value(run: Run, node: Node, scope: Scope, position: int | None) -> list[Kind]:
    key = infer(run, node["key"], scope)
    require_plain(key, "a JSON key", position)
    return [infer(run, node["value"]["raw_expr"], scope)]


@expression("JsonArrayConstructor")
def _json_array_constructor(run: Run, node: Node, scope: Scope) -> Kind:
    kinds = [infer(run, e["JsonValueExpr"]["raw_expr"], scope) for e in node.get("exprs", ())]
    _check_output(node, kinds, location(node))
    return Text(tuple(kinds), Container.JSON, "JSON built by JSON_ARRAY()")


@expression("JsonArrayQueryConstructor")
def _json_array_query(run: Run, node: Node, scope: Scope) -> Kind:
    columns = query_columns(run, node["query"], Scope(parent=scope))
    _check_output(node, [c.kind for c in columns], location(node))
    return Text(tuple(c.kind for c in columns), Container.JSON, "JSON built by JSON_ARRAY()")


@expression("JsonObjectAgg", "JsonArrayAgg")
def _json_aggregate(run: Run, node: Node, scope: Scope) -> Kind:
    constructor = node.get("constructor", {})
    at = location(constructor)
    if "agg_filter" in constructor:
        infer_filter(run, constructor["agg_filter"], scope)
    for item in constructor.get("agg_order", ()):
        sort_item(run, item["SortBy"], scope, "ORDER BY in a JSON aggregate", at)
    if "over" in constructor:
        window_definition(run, constructor["over"], scope)
    argument = node["arg"]
    if "key" in argument:
        kinds = _key_value(run, argument, scope, at)
    else:
        kinds = [infer(run, argument["raw_expr"], scope)]
    _check_output(constructor, kinds, at)
    return Text(tuple(kinds), Container.JSON, "JSON built by a JSON aggregate")


@expression(
    "JsonParseExpr", "JsonScalarExpr", "JsonSerializeExpr", "JsonFuncExpr", "JsonIsPredicate", "JsonValueExpr"
)
def _json_plain(run: Run, node: Node, scope: Scope) -> Kind:
    """SQL/JSON functions that read JSON: every expression within must be plain."""

    def walk(part: object) -> None:
        if isinstance(part, list):
            for inner in part:
                walk(inner)
        elif isinstance(part, dict):
            for key, inner in part.items():
                if key in (
                    "ColumnRef",
                    "FuncCall",
                    "A_Expr",
                    "SubLink",
                    "ParamRef",
                    "TypeCast",
                    "A_Const",
                    "CaseExpr",
                ):
                    require_plain(infer(run, {key: inner}, scope), "a JSON function", location(node))
                elif key not in ("typeName", "output"):
                    walk(inner)

    walk(node)
    return Plain("the result of a JSON function")
