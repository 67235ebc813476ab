"""What is computed from a protected value, told apart: ``GROUP BY extract(year FROM born)``, ``DISTINCT lower(email)``.

The vault tells which values give equal results, as it does for order: by rank. The database groups by the rank of what is
computed. What is shown of a group is computed from one value that has this rank: wherever the grouped expression stands in
the other clauses of the query, that value takes the place of the column. DISTINCT and its kin get such a value in the
place of the column to begin with, so that equal results are equal texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pgnym.semantics.expression import Call, Expression
from pgnym.sql.content_expressions import is_whole
from pgnym.sql.infer import Node, Run, location, split
from pgnym.sql.json_operators import string_taken_out
from pgnym.sql.kinds import Computed, Mark
from pgnym.sql.ordering import by_computed, computed_again, computed_ranking
from pgnym.sql.places import Span, expression_span
from pgnym.sql.resolve import Field, Scope, names_in
from pgnym.sql.rewrite import MarkHole
from pgnym.sql.sorting import column_of, ordered_by, output_nodes
from pgnym.sql.spans import span
from pgnym.sql.splices import CLASS, MARK, Around, New
from pgnym.sql.types import TEXT, VARCHAR
from pgnym.sql.unify import unsupported

_CLAUSES = ("targetList", "havingClause", "sortClause", "windowClause")
_BUILT = frozenset({"||", "concat"})


def group_by(
    run: Run, query: Node, scope: Scope, columns: tuple[Field, ...], items: Sequence[tuple[Node, int | None]]
) -> Iterator[tuple[Node, int | None]]:
    """Group by the rank of what items of GROUP BY compute from protected values; all other items.

    ``items``: each with the index of the output column that it means, None for an expression of its own.
    """
    outputs = output_nodes(query, scope)
    shown: list[tuple[Node, Computed, int | None]] = []
    for item, output in items:
        named = output is not None and len(outputs) == len(columns)
        expression = outputs[output] if named and output is not None else item
        found = ordered_by(run, expression, scope) if named or output is None else None
        if found is None or _tells_itself(found):
            yield item, output
            continue
        at = location(split(item)[1])
        if found.nulls and _has_sets(query):
            refusal = unsupported(
                found.value, "GROUP BY with grouping sets of what may not be NULL for NULL", at
            )
            refusal.hint = "Group by it without ROLLUP, CUBE or GROUPING SETS, and add up what comes of that."
            raise refusal
        if output is None:
            by_computed(run, item, found, "GROUP BY", at)
        else:
            computed_again(run, expression_span(run.lexed, item), found, "GROUP BY", at)
        shown.append((expression, found, at))
    for expression, found, at in shown:
        for clause in _CLAUSES:
            for node in _alike(run, scope, expression, query.get(clause, [])):
                for place in _values(run, node):
                    if (*place, CLASS) not in run.splices.around:
                        _represent(run, place, found, "GROUP BY", at)


def _has_sets(query: Node) -> bool:
    return any("GroupingSet" in item for item in query.get("groupClause", ()))


def tell_apart(run: Run) -> None:
    """After a statement has been read: let equal results be equal texts for the functions that are asked to be."""
    _forget_removed(run)
    for mark in run.marks.values():
        if mark.apart is not None and mark.source is not None:
            _represent(run, mark.source.kept, mark.source, mark.apart, mark.place)
            if mark.spelled is not None:
                _respell(run, mark, mark.spelled.index)


def _forget_removed(run: Run) -> None:
    """Leave alone values that don't stay in the text: of several places in a predicate or a key only the first does."""
    removed = [place for place, new in run.edits.items() if not new and place[0] < place[1]]
    for search in run.searches.values():
        removed += [(search.start, search.kept[0]), (search.kept[1], search.end)]
    around = run.splices.around
    for start, end, purpose in list(around):
        if purpose == CLASS and any(first <= start and end <= last for first, last in removed):
            del around[start, end, purpose]


def _respell(run: Run, mark: Mark, index: int) -> None:
    """Send a function's marks by the index of another, which computes the same."""

    def respelled(new: New) -> New:
        if not isinstance(new, MarkHole) or new.piece.index != mark.index:
            return new
        return replace(new, piece=replace(new.piece, index=index))

    for key, around in run.splices.around.items():
        if key[2] == MARK:
            run.splices.around[key] = Around(
                tuple(map(respelled, around.before)), tuple(map(respelled, around.after))
            )


def _represent(run: Run, place: Span, found: Computed, what: str, position: int | None) -> None:
    """Put one value of all for which the result is the same in the place of the value that it is computed from."""
    ranking = computed_ranking(run, found, what, position)
    value, rank = ranking.value(None), ranking.rank
    start, end = place
    around = Around((*value.before, *rank.before), (*rank.after, *value.after))
    run.splices.innermost((start, end, CLASS), around)


def _tells_itself(found: Computed) -> bool:
    """Whether what the database makes of tokens is equal exactly where that of values is."""

    def built(expression: Expression) -> bool:
        if not isinstance(expression, Call):
            return True
        return expression.function in _BUILT and all(map(built, expression.arguments))

    protection = found.value.protection
    if is_whole(found.expression):
        return True
    return built(found.expression) and protection.codec_oid in (TEXT, VARCHAR) and not protection.randomized


# -- expressions that are alike ------------------------------------------------------------------------------------


def _alike(run: Run, scope: Scope, node: Node, within: object) -> Iterator[Node]:
    """The expressions within clauses that are the same as one. What depends on constants is noted in the plan."""
    form, constants = _form(scope, node)
    pending = [within]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
            continue
        if not isinstance(part, dict):
            continue
        if len(part) == 1:
            tag, fields = split(part)
            if tag in ("SubLink", "GroupingFunc") or not isinstance(fields, dict):
                continue
            if tag in node:
                found, own = _form(scope, part)
                if found == form:
                    _pin(run, constants)
                    _pin(run, own)
                    if [_bare(c) for c in own] == [_bare(c) for c in constants]:
                        yield part
                        continue
        pending.extend(part.values())


def _values(run: Run, node: object) -> Iterator[Span]:
    """Where the protected value stands within an expression of nothing else but constants."""
    if isinstance(node, list):
        for part in node:
            yield from _values(run, part)
    elif isinstance(node, dict):
        if "ColumnRef" in node or ("A_Expr" in node and string_taken_out(node["A_Expr"])):
            yield span(run.lexed, node)
        else:
            yield from _values(run, list(node.values()))


def _form(scope: Scope, node: Node) -> tuple[object, list[Node]]:
    """An expression without places, names of columns and constants; and the constants in it."""
    constants: list[Node] = []

    def visit(part: object) -> object:
        if isinstance(part, list):
            return [visit(inner) for inner in part]
        if not isinstance(part, dict):
            return part
        if "ColumnRef" in part:
            return column_of(scope, part) or ("ColumnRef", *names_in(part["ColumnRef"]))
        if "A_Const" in part:
            constants.append(part["A_Const"])
            return "A_Const"
        return {key: visit(inner) for key, inner in part.items() if key not in _PLACES}

    return visit(node), constants


_PLACES = frozenset({"location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"})


def _bare(constant: Node) -> Node:
    return {key: value for key, value in constant.items() if key != "location"}


def _pin(run: Run, constants: list[Node]) -> None:
    for constant in constants:
        if not constant.get("isnull") and "boolval" not in constant:
            run.pin(constant)
