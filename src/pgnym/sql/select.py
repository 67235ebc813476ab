"""Queries: WITH, FROM, targets, set operations, and what asks for equal or ordered values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgnym.sql.catalog import Protection
from pgnym.sql.contents import label
from pgnym.sql.errors import Refused
from pgnym.sql.grouping import group_by
from pgnym.sql.infer import Node, Run, infer, infer_filter, location, split
from pgnym.sql.kinds import Kind, Open, Row, protected, shape, tokens
from pgnym.sql.naming import column_name
from pgnym.sql.ordering import keep_name
from pgnym.sql.resolve import Cte, Field, Scope, names_in, source_named
from pgnym.sql.sorting import distinct_on, key, order_by, window_order
from pgnym.sql.type_names import type_end
from pgnym.sql.unify import flow, groupable, require_plain


def query_columns(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    """The output columns of a query or data-changing statement, given as a tagged node."""
    from pgnym.sql.dml import (
        DATA_CHANGES,  # the two call each other: WITH holds data changes, INSERT holds queries
    )

    tag, fields = split(node)
    if tag == "SelectStmt":
        return select_columns(run, fields, scope)
    function = DATA_CHANGES.get(tag)
    if function is None:
        raise Refused(f"query is not supported: {tag}")
    return function(run, fields, scope)


def select_columns(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    """The output columns of a SELECT, VALUES or set operation. ``scope`` is a fresh level whose parent is the outside."""
    with_clause(run, node, scope)
    if node.get("op", "SETOP_NONE") != "SETOP_NONE":
        columns = _set_operation(run, node, scope)
        order_by(run, node, scope, columns, only_output=True)
        _limit(run, node, scope)
        return columns
    if "valuesLists" in node:
        columns = _values(run, node, scope)
        order_by(run, node, scope, columns, only_output=True)
        _limit(run, node, scope)
        return columns
    from_clause(run, node.get("fromClause", ()), scope)
    # In transformSelectStmt's order, so that of two errors the client sees the one that PostgreSQL would show.
    columns = targets(run, node.get("targetList", ()), scope)
    if "whereClause" in node:
        infer_filter(run, node["whereClause"], scope)
    _group_by(run, node, scope, columns)
    if "havingClause" in node:
        infer_filter(run, node["havingClause"], scope)
    for window in node.get("windowClause", ()):
        window_definition(run, window["WindowDef"], scope)
    order_by(run, node, scope, columns)
    _distinct(run, node, scope, columns)
    _limit(run, node, scope)
    if "intoClause" in node:
        run.into = node["intoClause"]
    return columns


def with_clause(run: Run, node: Node, scope: Scope) -> None:
    """Make the WITH queries of a statement visible in its scope."""
    clause = node.get("withClause")
    if clause is None:
        return
    queries = [q["CommonTableExpr"] for q in clause.get("ctes", ())]
    if clause.get("recursive"):
        for query in queries:
            scope.ctes[query["ctename"]] = Cte(query["ctename"], None)
    for query in queries:
        name = query["ctename"]
        if clause.get("recursive"):
            columns = _recursive(run, query, scope)
        else:
            columns = query_columns(run, query["ctequery"], Scope(parent=scope))
        note_named(columns)
        scope.ctes[name] = Cte(name, _renamed(columns, query.get("aliascolnames", ()), name, location(query)))
        for clause_name in ("search_clause", "cycle_clause"):
            if clause_name in query and any(protected(c.kind) for c in columns):
                raise Refused(
                    "SEARCH and CYCLE over protected columns are not supported", position=location(query)
                )


def _recursive(run: Run, query: Node, scope: Scope) -> tuple[Field, ...]:
    """A query of WITH RECURSIVE: its own name stands first for the non-recursive branch, then for what came of both.

    Run until the kinds stand still: lineage only grows, so this ends.
    """
    name = query["ctename"]
    tag, body = split(query["ctequery"])
    names = query.get("aliascolnames", ())
    if tag != "SelectStmt" or body.get("op", "SETOP_NONE") == "SETOP_NONE":
        return query_columns(run, query["ctequery"], Scope(parent=scope))
    first = Scope(parent=scope)
    with_clause(run, body, first)
    columns = select_columns(run, body["larg"], Scope(parent=first))
    for _ in range(16):
        scope.ctes[name] = Cte(name, _renamed(columns, names, name, location(query)))
        result = query_columns(run, query["ctequery"], Scope(parent=scope))
        if [_lineages(f.kind) for f in result] == [_lineages(f.kind) for f in columns]:
            return result
        columns = result
    raise Refused("recursive query is not supported: its columns don't settle", position=location(query))


def note_named(columns: tuple[Field, ...]) -> None:
    """Note on open columns that they have passed the border of a subquery."""
    for column in columns:
        if isinstance(column.kind, Open):
            column.kind.root().named = True


def _lineages(kind: Kind) -> tuple[frozenset[Protection], ...]:
    return tuple(t.lineage for t in tokens(kind))


def _renamed(
    columns: tuple[Field, ...], names: list[Node], alias: str, position: int | None
) -> tuple[Field, ...]:
    if len(names) > len(columns):
        raise Refused(
            f'table "{alias}" has {len(columns)} columns available but {len(names)} columns specified',
            sqlstate="42P10",
            position=position,
        )
    given = [n["String"].get("sval", "") for n in names]
    return tuple(Field(n, c.kind) for n, c in zip(given, columns, strict=False)) + columns[len(given) :]


def from_clause(run: Run, nodes: list[Node], scope: Scope) -> None:
    """Add the FROM items of a level to its scope."""
    from pgnym.sql.sources import from_item

    for node in nodes:
        _, fields = split(node)
        scope.add(from_item(run, node, scope), location(fields))


def targets(run: Run, nodes: list[Node], scope: Scope) -> tuple[Field, ...]:
    """The columns of a target or RETURNING list, with ``*`` expanded."""
    columns: list[Field] = []
    for node in nodes:
        target = node["ResTarget"]
        value = target["val"]
        tag, fields = split(value)
        if tag == "ColumnRef" and names_in(fields)[-1] == "*":
            columns.extend(_star(run, fields, scope))
            continue
        kind = infer(run, value, scope)
        if tag == "A_Indirection" and "A_Star" in fields["indirection"][-1]:
            known = shape(kind)
            if not isinstance(known, Row):
                raise Refused(
                    "expanding a composite value of unknown columns is not supported",
                    position=location(target),
                )
            columns.extend(Field(n, k) for n, k in zip(known.names, known.fields, strict=True))
            continue
        if tag == "FuncCall" and "name" not in target:
            label(run, value, column_name(value))
        if tag == "TypeCast" and "name" not in target:
            _note_type_name(run, fields, value)
        name = target.get("name") or column_name(value)
        keep_name(run, target, name)
        columns.append(Field(name, kind))
    return tuple(columns)


def _note_type_name(run: Run, cast: Node, value: Node) -> None:
    """A cast constant without alias is named by its type: ``'…'::date`` by ``date``."""
    at = location(cast["typeName"])
    if at is None or split(cast["arg"])[0] not in ("A_Const", "ParamRef"):
        return
    lexed = run.lexed
    end = type_end(lexed, at)
    written = location(cast)
    if written is not None and lexed.names[lexed.token_at(written)] == "CAST":
        end = lexed.ends[lexed.token_at(end)]  # the closing parenthesis
    name = column_name(value).replace('"', '""')
    run.type_named[at] = (b' AS "%s"' % name.encode(), end)


def _star(run: Run, fields: Node, scope: Scope) -> tuple[Field, ...]:
    names = names_in(fields)
    at = location(fields)
    if len(names) == 1:
        items = scope.items
        sources = [s for item in items for s in item.sources]
        columns = tuple(f for item in items for f in item.columns)
    else:
        source = source_named(scope, names[0] if len(names) == 3 else None, names[-2])
        if source is None:
            raise Refused(f'missing FROM-clause entry for table "{names[-2]}"', sqlstate="42P01", position=at)
        sources = [source]
        columns = source.fields
    if any(s.open_ended for s in sources):
        raise Refused(
            "* over a function whose result columns aren't known is not supported",
            hint="Name the columns.",
            position=at,
        )
    return columns


def _values(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    rows = [[infer(run, v, scope) for v in row["List"]["items"]] for row in node["valuesLists"]]
    width = len(rows[0])
    if any(len(r) != width for r in rows):
        raise Refused("VALUES lists must all be the same length", sqlstate="42601")
    return tuple(Field(f"column{i + 1}", flow([r[i] for r in rows], "VALUES", None)) for i in range(width))


def _set_operation(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    left = select_columns(run, node["larg"], Scope(parent=scope))
    right = select_columns(run, node["rarg"], Scope(parent=scope))
    what = node["op"].removeprefix("SETOP_")
    if len(left) != len(right):
        raise Refused(f"each {what} query must have the same number of columns", sqlstate="42601")
    columns = tuple(
        Field(a.name, flow([a.kind, b.kind], what, None)) for a, b in zip(left, right, strict=True)
    )
    if what != "UNION" or not node.get("all"):
        for column in columns:
            groupable(column.kind, what, None)
    return columns


def _distinct(run: Run, node: Node, scope: Scope, columns: tuple[Field, ...]) -> None:
    clause = node.get("distinctClause")
    if not clause:
        return
    if clause == [{}]:
        for column in columns:
            groupable(column.kind, "DISTINCT", None)
        return
    for item in clause:
        each = key(run, item, scope, columns, False)
        groupable(each.kind, "DISTINCT ON", each.position)
        distinct_on(run, node, scope, each, columns)


def _group_by(run: Run, node: Node, scope: Scope, columns: tuple[Field, ...]) -> None:
    items = [
        (item, _group_output(run, item, scope, columns)) for item in _group_items(node.get("groupClause", ()))
    ]
    for item, output in group_by(run, node, scope, columns, items):
        kind = infer(run, item, scope) if output is None else columns[output].kind
        groupable(kind, "GROUP BY", location(split(item)[1]))
    if node.get("groupDistinct") or node.get("groupByAll"):
        for column in columns:
            groupable(column.kind, "GROUP BY", None)


def _group_items(nodes: Sequence[Node]) -> Iterator[Node]:
    """The expressions of GROUP BY, without grouping sets and rows around them."""
    for node in nodes:
        tag, fields = split(node)
        if tag in ("GroupingSet", "RowExpr"):
            yield from _group_items(fields.get("content" if tag == "GroupingSet" else "args", ()))
        else:
            yield node


def _group_output(run: Run, node: Node, scope: Scope, columns: tuple[Field, ...]) -> int | None:
    """The output column that an item means: GROUP BY prefers an input column of that name (ORDER BY doesn't)."""
    tag, fields = split(node)
    if tag == "A_Const" and "ival" in fields:
        return key(run, node, scope, columns, False).output
    names = names_in(fields) if tag == "ColumnRef" else []
    if len(names) == 1 and names[0] not in (f.name for item in scope.items for f in item.columns):
        return next((index for index, column in enumerate(columns) if column.name == names[0]), None)
    return None


def _limit(run: Run, node: Node, scope: Scope) -> None:
    for clause in ("limitCount", "limitOffset"):
        if clause in node:
            require_plain(infer(run, node[clause], scope), "LIMIT", None)


def window_definition(run: Run, window: Node, scope: Scope) -> None:
    """PARTITION BY needs equality, ORDER BY order, frame offsets plain numbers."""
    for item in window.get("partitionClause", ()):
        groupable(infer(run, item, scope), "PARTITION BY", location(window))
    window_order(run, window, scope)
    for clause in ("startOffset", "endOffset"):
        if clause in window:
            require_plain(infer(run, window[clause], scope), "a window frame", location(window))
