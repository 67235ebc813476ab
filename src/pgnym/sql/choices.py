"""One of several values: CASE, COALESCE, GREATEST and LEAST."""

from __future__ import annotations

from dataclasses import replace

from pgnym.sql.deferred import beside
from pgnym.sql.infer import Node, Run, expression, infer, infer_all, is_null, location, mark_filter
from pgnym.sql.kinds import Kind, Plain, Token, shape, unsized
from pgnym.sql.ordering import by_rank, by_value, ranking, result_type, same_order
from pgnym.sql.resolve import Scope
from pgnym.sql.unify import compare, flow, require_plain, require_same_nulls


@expression("CaseExpr")
def _case(run: Run, node: Node, scope: Scope) -> Kind:
    at = location(node)
    subject = infer(run, node["arg"], scope) if "arg" in node else None
    results = []
    nodes = []
    for branch in node.get("args", ()):
        when = branch["CaseWhen"]
        if subject is None:
            mark_filter(run, when["expr"])
        condition = infer(run, when["expr"], scope)
        if subject is not None:
            compare(subject, condition, "CASE", location(when))
        nodes.append(when["result"])
        results.append(infer(run, when["result"], scope))
    if "defresult" in node:
        nodes.append(node["defresult"])
        results.append(infer(run, node["defresult"], scope))
    joined = flow(beside(run, results, nodes), "CASE", at)
    return (
        joined if "defresult" in node else unsized(joined)
    )  # the NULL of a missing ELSE has no modifier (exprTypmod)


@expression("CoalesceExpr")
def _coalesce(run: Run, node: Node, scope: Scope) -> Kind:
    at = location(node)
    kinds = infer_all(run, node["args"], scope)
    for kind in kinds:
        require_same_nulls(kind, "COALESCE", at)
    joined = flow(beside(run, kinds, node["args"]), "COALESCE", at)
    left = [kind for kind, argument in zip(kinds, node["args"], strict=True) if not is_null(argument)]
    if not isinstance(joined, Token) or len(left) == len(kinds):
        return joined
    sizes = {k.typmod if isinstance(k := shape(kind), Token) else -1 for kind in left}
    return replace(joined, planned=sizes.pop() if len(sizes) == 1 else -1)


@expression("MinMaxExpr")
def _greatest(run: Run, node: Node, scope: Scope) -> Kind:
    what = "LEAST" if node.get("op") == "IS_LEAST" else "GREATEST"
    at = location(node)
    kinds = infer_all(run, node["args"], scope)
    if not any(isinstance(shape(k), Token) for k in kinds):
        for kind in kinds:
            require_plain(kind, what, at)
        return Plain(f"the result of {what}")
    joined = flow(kinds, what, at)
    found = ranking(run, joined, what, at)
    plainly = not all(each.coded for each in same_order(run, kinds, what, at))
    for argument, kind in zip(node["args"], kinds, strict=True):
        by_rank(run, argument, kind, what, at, plainly=plainly)
    first, token = shape(kinds[0]), shape(joined)
    assert isinstance(first, Token)
    assert isinstance(token, Token)
    by_value(
        run,
        {"MinMaxExpr": node},
        replace(found, coded=not plainly),
        result_type(run.catalog, first, varchar=True),
    )
    return replace(token, whole=False)
