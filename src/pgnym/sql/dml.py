"""INSERT, UPDATE, DELETE, MERGE, and what they return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgnym.sql import documents
from pgnym.sql.catalog import Protection, Relation
from pgnym.sql.errors import Refused
from pgnym.sql.expressions import subscript
from pgnym.sql.infer import Node, Run, infer, infer_filter, location, split
from pgnym.sql.json_operators import subscripted
from pgnym.sql.kinds import ArrayOf, Document, Kind, Plain, Row, Token, lineage_of, protected, shape
from pgnym.sql.resolve import Field, Item, Scope, Source
from pgnym.sql.select import from_clause, query_columns, targets, with_clause
from pgnym.sql.sources import from_item, relation_fields, table_item
from pgnym.sql.unify import assign, groupable, require_plain, unsupported

Change = Callable[[Run, Node, Scope], tuple[Field, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A column that is written to. ``document``: of a jsonb column with protected paths."""

    label: str
    protection: Protection | None = None
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The relation that is changed: its columns by name, each with its protection (through views too)."""

    relation: Relation
    fields: tuple[Field, ...]

    def column(self, name: str, position: int | None) -> Place:
        """A column. Raises Refused 42703 in PostgreSQL's words."""
        for field in self.fields:
            if field.name == name:
                label = f"{self.relation.schema}.{self.relation.name}.{name}"
                kind = shape(field.kind)
                token = shape(kind.element) if isinstance(kind, ArrayOf) else kind
                if (
                    isinstance(token, Token)
                    and token.lineage == lineage_of(token.protection)
                    and not token.mixed
                    and token.protection.array == isinstance(kind, ArrayOf)
                ):
                    own = token.protection
                    return Place(label if own.union else own.column, own)
                if isinstance(kind, Document) and all(len(t.lineage) == 1 for _, t in kind.leaves):
                    return Place(label, document=kind)
                if protected(kind):
                    raise unsupported(kind, "a change through a view's computed column", position)
                return Place(label)
        raise Refused(
            f'column "{name}" of relation "{self.relation.name}" does not exist',
            sqlstate="42703",
            position=position,
        )


def _target(run: Run, node: Node) -> Target:
    relation = run.relation(node)
    return Target(relation, relation_fields(run, relation))


def _store(
    run: Run,
    target: Target,
    name: str,
    kind: Kind,
    what: str,
    position: int | None,
    *,
    subscripts: tuple[Node, ...] = (),
) -> None:
    """``kind`` goes into a column; with ``subscripts``, into the element or slice of it that they name."""
    place = target.column(name, position)
    protection, label = place.protection, place.label
    if place.document is not None:
        run.writes |= {column for _, token in place.document.leaves for column in token.columns}
        stored: Kind = subscripted(run, place.document, list(subscripts)) if subscripts else place.document
        if isinstance(stored, Document):
            documents.assign(stored, label, kind, what, position)
            return
        if not isinstance(stored, Plain):
            raise unsupported(stored, "assignment at a key that isn't constant", position)
        label = f"a part of {label}"
    if protection is not None:
        run.writes |= protection.columns
    typmod = protection.typmod if protection is not None else -1
    if subscripts and protection is not None and not any(s.get("is_slice") for s in subscripts):
        protection = replace(protection, array=False)
    assign(protection, label, kind, what, position, typmod=typmod)


def _subscripts(run: Run, target: Target, column: Node, scope: Scope) -> tuple[Node, ...]:
    """The subscripts of ``a[1] = …``. Raises Refused for another part of a protected column (a field)."""
    steps = [split(step) for step in column.get("indirection", ())]
    protection = target.column(column["name"], location(column)).protection if steps else None
    for tag, fields in steps:
        if tag == "A_Indices":
            subscript(run, fields, scope)
        if protection is not None and (tag != "A_Indices" or not protection.array):
            raise Refused(
                "assignment to part of a protected column is not supported", position=location(column)
            )
    return tuple(fields for tag, fields in steps if tag == "A_Indices")


def insert(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    """INSERT. ``scope`` is a fresh level."""
    with_clause(run, node, scope)
    target = _target(run, node["relation"])
    listed = [c["ResTarget"] for c in node.get("cols", ())]
    places = [(c["name"], _subscripts(run, target, c, scope)) for c in listed]
    places = places or [(f.name, ()) for f in target.fields]
    query = node.get("selectStmt")
    if query is not None:
        _, body = split(query)
        if "valuesLists" in body:
            _insert_values(run, body, scope, target, places)
        else:
            columns = query_columns(run, query, Scope(parent=scope))
            _check_width(len(columns), len(places), bool(listed))
            at = location(node["relation"])
            for (name, steps), column in zip(places, columns, strict=False):
                _store(run, target, name, column.kind, "INSERT", at, subscripts=steps)
    alias = node["relation"].get("alias", {}).get("aliasname") or target.relation.name
    source = Source(alias, target.fields, target.relation.schema, target.relation)
    conflict = node.get("onConflictClause")
    if conflict is not None:
        _on_conflict(run, conflict, scope, target, source)
    return _returning(run, node, Scope(parent=scope, items=[Item((source,), source.fields)]), source)


def _check_width(width: int, places: int, listed: bool) -> None:
    if width > places:
        raise Refused("INSERT has more expressions than target columns", sqlstate="42601")
    if width < places and listed:
        raise Refused("INSERT has more target columns than expressions", sqlstate="42601")


def _insert_values(
    run: Run, body: Node, scope: Scope, target: Target, places: list[tuple[str, tuple[Node, ...]]]
) -> None:
    """VALUES straight into columns: each value meets its own column, so DEFAULT and computed values may stand among them."""
    level = Scope(parent=scope)
    with_clause(run, body, level)
    for row in body["valuesLists"]:
        items = row["List"]["items"]
        if len(items) > len(places):
            raise Refused("INSERT has more expressions than target columns", sqlstate="42601")
        for (name, steps), item in zip(places, items, strict=False):
            tag, fields = split(item)
            kind = infer(run, item, level)
            if tag != "SetToDefault":
                _store(run, target, name, kind, "INSERT", location(fields), subscripts=steps)


def _on_conflict(run: Run, node: Node, scope: Scope, target: Target, source: Source) -> None:
    level = Scope(parent=scope, items=[Item((source,), source.fields)])
    arbiter = node.get("infer", {})
    for element in arbiter.get("indexElems", ()):
        index = element["IndexElem"]
        if "name" in index:
            place = target.column(index["name"], location(index))
            protection, label = place.protection, place.label
            if place.document is not None:
                groupable(place.document, "ON CONFLICT", location(node))
            if protection is not None and protection.randomized:
                raise Refused(
                    f"ON CONFLICT on randomized column {label} is not supported",
                    detail=f"Equal values of {label} have different tokens.",
                    hint="Set `tokens: deterministic` for the column, and run `pgnym apply`.",
                    position=location(node),
                )
        else:
            kind = infer(run, index["expr"], level)
            check = groupable if isinstance(shape(kind), Token) else require_plain
            check(kind, "ON CONFLICT (expression)", location(node))
    if "whereClause" in arbiter:
        infer(run, arbiter["whereClause"], level)
    if node.get("action") != "ONCONFLICT_UPDATE":
        return
    excluded = Source("excluded", target.fields, None, target.relation)
    level = Scope(parent=scope, items=[Item((source,), source.fields)], only_sources=[excluded])
    _set_clause(run, node.get("targetList", ()), level, target)
    if "whereClause" in node:
        infer_filter(run, node["whereClause"], level)


def _set_clause(run: Run, nodes: list[Node], scope: Scope, target: Target) -> None:
    """SET a = …, (b, c) = (…), (d, e) = (SELECT …)."""
    for node in nodes:
        column = node["ResTarget"]
        at = location(column)
        name = column["name"]
        steps = _subscripts(run, target, column, scope)
        if column.get("indirection") and not steps:
            require_plain(infer(run, column["val"], scope), "UPDATE", at)
            continue
        tag, value = split(column["val"])
        if tag == "SetToDefault":
            continue
        if tag == "MultiAssignRef":
            source_tag, source = split(value["source"])
            number = value.get("colno", 1) - 1
            if source_tag == "RowExpr":
                if len(source.get("args", ())) != value.get("ncolumns", 0):
                    raise Refused(
                        "number of columns does not match number of values", sqlstate="42601", position=at
                    )
                item = source["args"][number]
                if split(item)[0] == "SetToDefault":
                    continue
                kind = infer(run, item, scope)
            else:
                row = infer(run, value["source"], scope)
                known = shape(row)
                width = len(known.fields) if isinstance(known, Row) else 1
                if width != value.get("ncolumns", 0):
                    raise Refused(
                        "number of columns does not match number of values", sqlstate="42601", position=at
                    )
                kind = known.fields[number] if isinstance(known, Row) else row
        else:
            kind = infer(run, column["val"], scope)
        _store(run, target, name, kind, "UPDATE", at, subscripts=steps)


def update(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    """UPDATE."""
    with_clause(run, node, scope)
    target, source, level = _changed(run, node["relation"], scope)
    from_clause(run, node.get("fromClause", ()), level)
    if "whereClause" in node:
        infer_filter(run, node["whereClause"], level)
    _set_clause(run, node.get("targetList", ()), level, target)
    return _returning(run, node, level, source)


def delete(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    """DELETE."""
    with_clause(run, node, scope)
    _, source, level = _changed(run, node["relation"], scope)
    from_clause(run, node.get("usingClause", ()), level)
    if "whereClause" in node:
        infer_filter(run, node["whereClause"], level)
    return _returning(run, node, level, source)


def _changed(run: Run, relation: Node, scope: Scope) -> tuple[Target, Source, Scope]:
    """The target, its alias, and a level in which it is visible. WITH queries don't hide the target."""
    target = _target(run, relation)
    hidden = Scope(parent=None)
    item = table_item(run, relation, hidden)
    level = Scope(parent=scope.parent, items=[item], ctes=scope.ctes)
    return target, item.sources[0], level


def merge(run: Run, node: Node, scope: Scope) -> tuple[Field, ...]:
    """MERGE."""
    with_clause(run, node, scope)
    target, source, level = _changed(run, node["relation"], scope)
    from_node = node["sourceRelation"]
    level.add(from_item(run, from_node, level), None)
    infer(run, node["joinCondition"], level)
    for entry in node.get("mergeWhenClauses", ()):
        when = entry["MergeWhenClause"]
        if "condition" in when:
            infer_filter(run, when["condition"], level)
        command = when.get("commandType")
        if command == "CMD_UPDATE":
            _set_clause(run, when.get("targetList", ()), level, target)
        elif command == "CMD_INSERT":
            names = [c["ResTarget"]["name"] for c in when.get("targetList", ())] or [
                f.name for f in target.fields
            ]
            for name, value in zip(names, when.get("values", ()), strict=False):
                tag, fields = split(value)
                kind = infer(run, value, level)
                if tag != "SetToDefault":
                    _store(run, target, name, kind, "MERGE", location(fields))
    # RETURNING * of MERGE gives the source's columns first (PostgreSQL 17)
    returned = Scope(parent=level.parent, items=[*level.items[1:], level.items[0]], ctes=level.ctes)
    return _returning(run, node, returned, source)


def _returning(run: Run, node: Node, level: Scope, source: Source) -> tuple[Field, ...]:
    """RETURNING, with ``old`` and ``new`` (PostgreSQL 18) unless a table has that name."""
    clause = node.get("returningClause")
    if clause is None:
        nodes = node.get("returningList", ())
        if not nodes:
            return ()
        clause = {"exprs": nodes}
    names = {"old": "old", "new": "new"}
    for option in clause.get("options", ()):
        fields = option["ReturningOption"]
        names["old" if fields.get("option") == "RETURNING_OPTION_OLD" else "new"] = fields["value"]
    taken = {s.alias for s in level.sources()}
    for name in names.values():
        if name not in taken:
            level.only_sources.append(replace(source, alias=name, schema=None))
    return targets(run, clause.get("exprs", ()), level)


DATA_CHANGES: dict[str, Change] = {
    "InsertStmt": insert,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "MergeStmt": merge,
}
