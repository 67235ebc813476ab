"""Aggregates whose arguments are put in a protected order: min, max, ORDER BY within the parentheses, WITHIN GROUP."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pgnym.semantics.types import LOCAL
from pgnym.sql.infer import Node, Run, infer, location, split
from pgnym.sql.kinds import Deferred, Kind, Token, protected, shape, unsized
from pgnym.sql.lexer import Lexed
from pgnym.sql.ordering import (
    Ranking,
    by_rank,
    by_value,
    check_using,
    computed_ranking,
    marked_rank,
    one_source,
    ordered,
    result_type,
)
from pgnym.sql.places import bare, expression_span, word
from pgnym.sql.plan import Answer, MarkPart, MarkPiece
from pgnym.sql.resolve import Scope
from pgnym.sql.rewrite import MarkHole
from pgnym.sql.sorting import sort_item
from pgnym.sql.splices import GATHERED, RANK, VALUE, Around
from pgnym.sql.types import TEXT, VARCHAR
from pgnym.sql.unify import unsupported

# Ordered-set aggregates that give one of the values that they are given.
_CHOOSING = frozenset({"percentile_disc", "mode"})
# Aggregates that may be computed from their distinct arguments once more: what they give depends on nothing else.
_GATHERING = frozenset(
    {"array_agg", "string_agg", "json_agg", "jsonb_agg", "json_agg_strict", "jsonb_agg_strict"}
)
_ITEM = b"pgnym_item"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A call (its FuncCall), with the kinds of its arguments."""

    run: Run
    node: Node
    name: str
    arguments: list[Kind]


def extreme(call: Aggregate) -> Kind:
    """min or max of a token: the rank is aggregated, and the token of that rank comes out."""
    kind = call.arguments[0]
    known = shape(kind)
    if isinstance(known, Deferred):
        return _extreme_result(call, known)
    found = by_rank(call.run, call.node["args"][0], kind, f"function {call.name}()", location(call.node))
    return _chosen(call, kind, found, varchar=False)


# Types of results that min and max take; json, bytea and uuid are not, or not everywhere, among them.
_COMPARED = frozenset({20, 21, 23, TEXT, VARCHAR, 700, 701, 1700, 1082, 1114, LOCAL})


def can_be_picked(kind: Deferred) -> bool:
    """Whether one of several results can be picked by its rank."""
    return one_source(kind) is not None and kind.type_oid in _COMPARED


def _extreme_result(call: Aggregate, kind: Deferred) -> Kind:
    """min or max of results: the rank is aggregated, and a token of that rank comes out between the function's marks."""
    run, node, at = call.run, {"FuncCall": call.node}, location(call.node)
    what = f"function {call.name}()"
    argument = call.node["args"][0]
    source = one_source(kind)
    assert source is not None
    run.splices.around[(*expression_span(run.lexed, argument), RANK)] = marked_rank(run, kind, what, at)
    value = computed_ranking(run, source, what, at).value(None)
    opened: list[MarkHole] = []
    for index in _indexes(kind):
        opened.append(MarkHole(b"(", MarkPiece(MarkPart.OPEN, index), b"||"))
    closed = [MarkHole(b"||", MarkPiece(MarkPart.CLOSE, index), b")") for index in reversed(_indexes(kind))]
    around = Around((*opened, *value.before), (*value.after, *closed))
    run.splices.around[(*expression_span(run.lexed, node), VALUE)] = around
    return replace(kind, type_oid=TEXT) if kind.type_oid == VARCHAR else kind


def _indexes(kind: Deferred) -> list[int]:
    """Those of the marks around the token, outermost first."""
    found: list[int] = []
    known: Kind = kind
    while isinstance(known, Deferred):
        found.append(known.marks[0].index)
        known = shape(known.marks[0].operands[0])
    return found


def _chosen(call: Aggregate, kind: Kind, found: Ranking, *, varchar: bool) -> Kind:
    """``varchar``: whether it gives a varchar for one; there is no min of varchar, only of text."""
    token = shape(kind)
    assert isinstance(token, Token)
    by_value(call.run, {"FuncCall": call.node}, found, result_type(call.run.catalog, token, varchar=varchar))
    return unsized(kind)


def order(call: Aggregate, scope: Scope) -> Kind | None:
    """ORDER BY within an aggregate's parentheses, or WITHIN GROUP; the kind of a call that gives a value so chosen."""
    run, node = call.run, call.node
    at = location(node)
    sorts = [item["SortBy"] for item in node.get("agg_order", ())]
    if node.get("agg_within_group"):
        return _within_group(call, sorts, [infer(run, sort["node"], scope) for sort in sorts])
    what = f"ORDER BY in {call.name}()"
    if node.get("agg_distinct"):
        kinds = [infer(run, sort["node"], scope) for sort in sorts]
        if any(protected(kind) for kind in kinds):
            check_using(sorts[0], what, at)
            _gather(call, sorts, kinds, what)
            return None
    for sort in sorts:
        sort_item(run, sort, scope, what, at)
    return None


def _within_group(call: Aggregate, sorts: list[Node], kinds: list[Kind]) -> Kind | None:
    at = location(call.node)
    what = f"WITHIN GROUP of {call.name}()"
    if call.name in _CHOOSING and len(kinds) == 1 and isinstance(shape(kinds[0]), Token):
        check_using(sorts[0], what, at)
        found = by_rank(call.run, sorts[0]["node"], kinds[0], what, at)
        return _chosen(call, kinds[0], found, varchar=True)
    for sort, kind in zip(sorts, kinds, strict=True):
        if protected(kind):
            raise unsupported(kind, what, at)
        ordered(call.run, sort["node"], kind, what, at)
    return None


def _gather(call: Aggregate, sorts: list[Node], kinds: list[Kind], what: str) -> None:
    """``f(DISTINCT c ORDER BY c)``: sorted by must be what is aggregated, so distinct ranks are gathered first.

    It becomes ``(SELECT f(token of item ORDER BY item) FROM unnest(array_agg(DISTINCT rank of c)) item)``: what is between
    the argument and the closing parenthesis moves to the front.
    """
    run, node = call.run, call.node
    at = location(node)
    argument = node["args"][0]
    kind = call.arguments[0]
    if (
        call.name not in _GATHERING
        or len(sorts) != 1
        or bare(sorts[0]["node"]) != bare(argument)
        or any(split(a)[0] not in ("A_Const", "ParamRef") for a in node["args"][1:])
    ):
        raise unsupported(kinds[0], f"{what} with DISTINCT", at)
    token = shape(kind)
    found = by_rank(run, argument, kind, what, at, plainly=True)
    assert isinstance(token, Token)
    cast = result_type(run.catalog, token, varchar=True)
    lexed = run.lexed
    first, last = expression_span(lexed, {"FuncCall": node})
    _, middle = expression_span(lexed, argument)
    key_start, key_end = expression_span(lexed, sorts[0]["node"])
    parenthesis = lexed.starts[_next(lexed, first, b"(")]
    end = lexed.starts[_next(lexed, key_end, b")")]
    run.pins.update(range(lexed.ordinal(middle), lexed.ordinal(end)))  # a separator: it moves with its text
    run.edits[first, parenthesis] = b"array_agg"
    run.edits[middle, end] = b""
    run.splices.around[first, last, GATHERED] = Around(
        (
            b"(SELECT " + lexed.text[first:parenthesis] + b"((",
            found.hole(Answer.ORDERED),
            b"::jsonb ->> " + _ITEM + b")" + (b"::" + cast if cast is not None else b""),
            lexed.text[middle:key_start] + _ITEM + lexed.text[key_end:end],
            b") FROM unnest(",
        ),
        (b") AS " + _ITEM + b")",),
    )


def _next(lexed: Lexed, offset: int, text: bytes) -> int:
    """The first token of that text at or behind an offset."""
    index = lexed.token_at(offset)
    while word(lexed, index) != text:
        index += 1
    return index
