"""ORDER BY of queries and windows, where what is sorted by may be protected.

An item of ORDER BY is an ordinal, an output name or an expression (``findTargetlistEntrySQL92`` in ``parse_clause.c``). Only
an expression can be replaced by another, its rank; so for the other two the output's own expression is repeated. After
DISTINCT and UNION only output columns may be sorted by: there the query becomes a subquery, and a query around it sorts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgnym.sql.contents import computed
from pgnym.sql.errors import Refused
from pgnym.sql.infer import NO_LOCATION, Node, Run, infer, location, split
from pgnym.sql.kinds import PLAIN, Computed, Deferred, Kind, Open, Plain, Token, shape
from pgnym.sql.ordering import (
    by_computed,
    check_using,
    computed_again,
    marked_rank,
    one_source,
    ordered,
    quoted,
    repeated,
)
from pgnym.sql.places import Span, bare, enclosed, expression_span, places, word
from pgnym.sql.resolve import Field, Item, Scope, names_in, source_named
from pgnym.sql.splices import QUERY, Around, Repeat
from pgnym.sql.unify import require_plain, unsupported

# What gives another value each time it is evaluated; an output that holds one can't be evaluated a second time to sort by.
_VOLATILE = frozenset(
    {
        "random", "random_normal", "clock_timestamp", "timeofday", "nextval", "setval", "gen_random_uuid", "uuidv4",
        "uuidv7",
    }
)  # fmt: skip
_NOT_LISTED = "for SELECT DISTINCT, ORDER BY expressions must appear in select list"
_ALIAS = b"pgnym"
_BOOL = 16


@dataclass(frozen=True, slots=True)
class Key:
    """An item of ORDER BY or DISTINCT ON.

    ``output``: the index of the output column that it means, None: an expression. ``computed``: what it computes from a
    protected value, if that is what it is.
    """

    node: Node
    kind: Kind
    output: int | None
    position: int | None
    computed: Computed | None = None

    @property
    def ranked(self) -> bool:
        """Whether it is sorted by rank."""
        known = shape(self.kind)
        if isinstance(known, Deferred):
            return self.computed is not None or one_source(known) is not None
        return self.computed is not None or isinstance(known, Token)


def key(run: Run, node: Node, scope: Scope, columns: tuple[Field, ...], only_output: bool) -> Key:
    """What an item sorts by. ``only_output``: behind a set operation or VALUES. Raises Refused 42P10."""
    tag, fields = split(node)
    at = location(fields)
    if tag == "A_Const" and "ival" in fields:
        run.pin(fields)
        number = int(fields["ival"].get("ival", 0))
        if not 1 <= number <= len(columns):
            raise Refused(f"position {number} is not in select list", sqlstate="42P10", position=at)
        return Key(node, columns[number - 1].kind, number - 1, at)
    names = names_in(fields) if tag == "ColumnRef" else []
    if len(names) == 1:
        for index, column in enumerate(columns):
            if column.name == names[0]:
                return Key(node, column.kind, index, at)
    level = Scope(parent=scope.parent, items=[Item((), columns)]) if only_output else scope
    found = None if only_output else ordered_by(run, node, level)
    return Key(node, PLAIN if found is not None else infer(run, node, level), None, at, found)


def ordered_by(run: Run, node: Node, scope: Scope) -> Computed | None:
    """What an expression that is sorted by computes from a protected value; a predicate is planned as such."""
    found = computed(run, node, scope)
    return found if found is not None and found.type_oid != _BOOL else None


def sort_item(run: Run, sort: Node, scope: Scope, what: str, position: int | None) -> Kind:
    """An expression that a window or an aggregate is sorted by, given as its SortBy; its kind."""
    node = sort["node"]
    found = ordered_by(run, node, scope)
    kind = PLAIN if found is not None else infer(run, node, scope)
    if found is not None or isinstance(shape(kind), Token):
        check_using(sort, what, position)
    if found is not None:
        by_computed(run, node, found, what, position)
        return Plain("the rank of a value")
    ordered(run, node, kind, what, position)
    return kind


def order_by(
    run: Run, node: Node, scope: Scope, columns: tuple[Field, ...], *, only_output: bool = False
) -> None:
    """The ORDER BY of a query, given as its SelectStmt."""
    sorts = [item["SortBy"] for item in node.get("sortClause", ())]
    keys = [key(run, sort["node"], scope, columns, only_output) for sort in sorts]
    keys = [_of_output(run, node, scope, k, columns) for k in keys] if not only_output else keys
    if not any(k.ranked for k in keys):
        for each in keys:
            require_plain(each.kind, "ORDER BY", each.position)
        return
    for sort, each in zip(sorts, keys, strict=True):
        if each.ranked:
            check_using(sort, "ORDER BY", each.position)
    if only_output or node.get("distinctClause") == [{}]:
        _around(run, node, scope, columns, keys)
    else:
        for each in keys:
            _sort(run, node, scope, each, columns, "ORDER BY")


def distinct_on(run: Run, node: Node, scope: Scope, each: Key, columns: tuple[Field, ...]) -> None:
    """An item of DISTINCT ON in a query that is sorted: it must be what ORDER BY is, so the rank where that has it.

    What is computed from a value is told apart by its rank in any case: equal results have equal ranks.
    """
    if each.computed is not None or (isinstance(shape(each.kind), Token) and "sortClause" in node):
        _sort(run, node, scope, each, columns, "DISTINCT ON")


def window_order(run: Run, window: Node, scope: Scope) -> None:
    """The ORDER BY of a window. A frame that is measured in values can't be measured in ranks."""
    at = location(window)
    measured = bool(window.get("frameOptions", 0) & _RANGE) and (
        "startOffset" in window or "endOffset" in window
    )
    for item in window.get("orderClause", ()):
        sort = item["SortBy"]
        found = ordered_by(run, sort["node"], scope)
        kind = found.value if found is not None else infer(run, sort["node"], scope)
        if measured:
            require_plain(kind, "a window frame of RANGE with an offset", at)
        sort_item(run, sort, scope, "window ORDER BY", at)


_RANGE = 0x2  # FRAMEOPTION_RANGE of parsenodes.h


def _of_output(run: Run, node: Node, scope: Scope, each: Key, columns: tuple[Field, ...]) -> Key:
    """A key that means an output column, with what that computes from a protected value."""
    if each.output is None or isinstance(shape(each.kind), Plain | Token | Open):
        return each
    outputs = output_nodes(node, scope)
    if len(outputs) != len(columns):
        return each
    return replace(each, computed=ordered_by(run, outputs[each.output], scope))


def _sort(run: Run, node: Node, scope: Scope, each: Key, columns: tuple[Field, ...], what: str) -> None:
    if each.computed is not None:
        if each.output is None:
            by_computed(run, each.node, each.computed, what, each.position)
        else:
            computed_again(run, expression_span(run.lexed, each.node), each.computed, what, each.position)
        return
    known = shape(each.kind)
    marked = isinstance(known, Deferred) and one_source(known) is not None
    if each.output is None or not (marked or isinstance(known, Token)):
        ordered(run, each.node, each.kind, what, each.position)
        return
    source = _output(run, node, scope, each, columns)
    if isinstance(known, Deferred):
        around = marked_rank(run, known, what, each.position)
        run.splices.repeats[expression_span(run.lexed, each.node)] = Repeat(source, around)
        return
    repeated(run, expression_span(run.lexed, each.node), source, each.kind, what, each.position)


# -- an output's own expression ---------------------------------------------------------------------------


def _output(run: Run, node: Node, scope: Scope, each: Key, columns: tuple[Field, ...]) -> Span | bytes:
    """Where an output column's expression stands, or the name of a column that ``*`` stands for."""
    outputs = output_nodes(node, scope)
    index = each.output or 0
    if len(outputs) != len(columns):
        raise Refused("the output column that is sorted by can't be told", position=each.position)
    chosen = outputs[index]
    tag, _ = split(each.node)
    if tag == "ColumnRef":
        same = [o for o, c in zip(outputs, columns, strict=True) if c.name == columns[index].name]
        if not all(_same(scope, o, chosen) for o in same):
            name = columns[index].name
            raise Refused(f'ORDER BY "{name}" is ambiguous', sqlstate="42702", position=each.position)
    if any(places(chosen)):
        _check_stable(run, chosen, columns[index].name, each.position)
        return expression_span(run.lexed, chosen)
    _, reference = split(chosen)
    if not reference["fields"]:
        raise Refused(
            f'ORDER BY output column "{columns[index].name}", which * stands for, is not supported',
            hint="Name the column, with its table, in ORDER BY.",
            position=each.position,
        )
    return b".".join(quoted(name) for name in names_in(reference))


def _same(scope: Scope, one: Node, other: Node) -> bool:
    """Whether two expressions are written alike, or are one column."""
    column = column_of(scope, one)
    return bare(one) == bare(other) or (column is not None and column == column_of(scope, other))


def output_nodes(node: Node, scope: Scope) -> list[Node]:
    """The expressions of the output columns; for ``*``, references without place to the columns it stands for."""
    found: list[Node] = []
    for entry in node.get("targetList", ()):
        value = entry["ResTarget"]["val"]
        tag, fields = split(value)
        names = names_in(fields) if tag == "ColumnRef" else []
        if names[-1:] != ["*"]:
            found.append(value)
        elif len(names) == 1:
            found.extend(_star(scope))
        else:
            source = source_named(scope, names[0] if len(names) == 3 else None, names[-2])
            fields_of = source.fields if source is not None else ()
            found.extend(_reference(*names[:-1], f.name) for f in fields_of)
    return found


def _reference(*names: str) -> Node:
    return {"ColumnRef": {"fields": [{"String": {"sval": n}} for n in names], "location": NO_LOCATION}}


def _star(scope: Scope) -> Iterator[Node]:
    """References to the columns of ``*``: the name alone where that is clear, else with the table's alias."""
    every = [f.name for item in scope.items for f in item.columns]
    for item in scope.items:
        for column in item.columns:
            if every.count(column.name) == 1:
                yield _reference(column.name)
                continue
            owners = [s for s in item.sources if any(f is column for f in s.fields)]
            if len(owners) == 1 and [f.name for f in owners[0].fields].count(column.name) == 1:
                yield _reference(owners[0].alias, column.name)
            else:
                yield _reference()


def _check_stable(run: Run, value: Node, name: str, position: int | None) -> None:
    pending: list[object] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, dict):
            called = part.get("funcname")
            function = (
                called[-1].get("String", {}).get("sval", "") if isinstance(called, list) and called else ""
            )
            if function in _VOLATILE or function in run.catalog.functions or "limitCount" in part:
                raise Refused(
                    f'ORDER BY output column "{name}", which is computed from a protected column, is not supported',
                    detail="It would be evaluated twice, and may not give the same value each time.",
                    hint="Compute it in a subquery, and sort outside.",
                    position=position,
                )
            pending.extend(part.values())


# -- DISTINCT, UNION, VALUES: a query around -----------------------------------------------------------------


def _around(run: Run, node: Node, scope: Scope, columns: tuple[Field, ...], keys: list[Key]) -> None:
    """Make the query a subquery, and sort what comes out of it by a query around it."""
    if "intoClause" in node:
        raise Refused("SELECT INTO sorted by a protected column is not supported", position=keys[0].position)
    first, last = _body(run, node)
    names = [b"%s_%d" % (_ALIAS, number) for number in range(1, len(columns) + 1)]
    targets = b", ".join(b"%s AS %s" % (n, quoted(c.name)) for n, c in zip(names, columns, strict=True))
    before = b"SELECT %s FROM (" % targets
    after = b") AS %s(%s)" % (_ALIAS, b", ".join(names))
    run.splices.around[first, last, QUERY] = Around((before,), (after,))
    for each in keys:
        output = each.output if each.output is not None else _listed(run, node, scope, each)
        kind = shape(columns[output].kind)
        if each.computed is not None or isinstance(kind, Deferred):
            if not isinstance(kind, Deferred) or one_source(kind) is None:
                what = "ORDER BY of a computed value after DISTINCT"
                raise unsupported(each.computed.value if each.computed else kind, what, each.position)
            around = marked_rank(run, kind, "ORDER BY", each.position)
            span = expression_span(run.lexed, each.node)
            run.splices.repeats[span] = Repeat(names[output], around)
        elif isinstance(shape(each.kind), Token):
            repeated(
                run,
                expression_span(run.lexed, each.node),
                names[output],
                each.kind,
                "ORDER BY",
                each.position,
            )
        else:
            require_plain(each.kind, "ORDER BY", each.position)
            run.splices.repeats[expression_span(run.lexed, each.node)] = Repeat(
                b"%d" % (output + 1), Around((), ())
            )


def _listed(run: Run, node: Node, scope: Scope, each: Key) -> int:
    """The output column that an expression of ORDER BY is; after DISTINCT it must be one."""
    outputs = output_nodes(node, scope)
    for index, output in enumerate(outputs):
        if _same(scope, output, each.node):
            return index
    if "distinctClause" in node:
        raise Refused(_NOT_LISTED, sqlstate="42P10", position=each.position)
    raise Refused("invalid UNION/INTERSECT/EXCEPT ORDER BY clause", position=each.position)


def column_of(scope: Scope, node: Node) -> tuple[int, str] | None:
    """Which column of which table of this level a reference means."""
    tag, fields = split(node)
    if tag != "ColumnRef":
        return None
    names = names_in(fields)
    if not names or names[-1] == "*":
        return None
    if len(names) > 1:
        source = source_named(scope, names[0] if len(names) == 3 else None, names[-2])
        return (id(source), names[-1]) if source is not None else None
    owners = [s for s in scope.sources() if any(f.name == names[0] for f in s.fields)]
    return (id(owners[0]), names[0]) if len(owners) == 1 else None


def _body(run: Run, node: Node) -> Span:
    """From the first word of a query, behind WITH, to the last before ORDER BY."""
    lexed = run.lexed
    order = _order_token(run, node)
    leaf, top = node, True
    while "larg" in leaf:
        leaf, top = leaf["larg"], False
    if not top and "withClause" in leaf:
        first = lexed.token_at(location(leaf["withClause"]) or 0)
    else:
        own = {
            k: v
            for k, v in leaf.items()
            if k in ("distinctClause", "targetList", "fromClause", "valuesLists")
        }
        first = lexed.token_at(min(places(own), default=0))
        while word(lexed, first) not in (b"select", b"values", b"table"):
            first -= 1
            if first < 0:
                raise Refused("the beginning of a query can't be told, so that it can't be rewritten")
    while word(lexed, first - 1) == b"(" and enclosed(lexed, first - 1) < order:
        first -= 1
    return lexed.starts[first], lexed.ends[order - 1]


def _order_token(run: Run, node: Node) -> int:
    """The token ORDER of a query's ORDER BY."""
    lexed = run.lexed
    first = lexed.token_at(min(places(node["sortClause"]), default=0))
    while word(lexed, first - 1) == b"(":
        first -= 1
    if (word(lexed, first - 2), word(lexed, first - 1)) != (b"order", b"by"):
        raise Refused("the place of ORDER BY can't be told, so that it can't be rewritten")
    return first - 2
