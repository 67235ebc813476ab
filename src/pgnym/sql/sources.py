"""FROM items: tables, views, WITH queries, subqueries, joins, functions."""

from __future__ import annotations

from dataclasses import replace

from pgnym.sql.catalog import Column, Relation
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, infer, infer_all, infer_filter, location, split
from pgnym.sql.kinds import (
    PLAIN,
    Kind,
    Plain,
    Row,
    column_kind,
    document_kind,
    protected,
    shape,
    unsized,
)
from pgnym.sql.resolve import Field, Item, Scope, Source
from pgnym.sql.select import note_named, query_columns
from pgnym.sql.unify import compare, flow, require_plain
from pgnym.sql.views import view_fields


def relation_fields(run: Run, relation: Relation) -> tuple[Field, ...]:
    """The columns of a relation with their kinds; those of a view by inference over its definition."""
    if relation.view_sql is not None and run.concerned(relation):
        return view_fields(run, relation)
    label = f"{relation.schema}.{relation.name}"
    return tuple(Field(c.name, _column_kind(c, f"{label}.{c.name}")) for c in relation.columns)


def _column_kind(column: Column, label: str) -> Kind:
    if column.leaves:
        return document_kind(label, column.leaves)
    return column_kind(column.protection) if column.protection else Plain(f"column {label}", column.type_oid)


def from_item(run: Run, node: Node, scope: Scope) -> Item:
    """One FROM item. ``scope`` holds the items to the left, which LATERAL and functions see."""
    tag, fields = split(node)
    match tag:
        case "RangeVar":
            return table_item(run, fields, scope)
        case "RangeSubselect":
            return _subselect(run, fields, scope)
        case "JoinExpr":
            return _join(run, fields, scope)
        case "RangeFunction":
            return _function(run, fields, scope)
        case "RangeTableSample":
            item = from_item(run, fields["relation"], scope)
            for kind in infer_all(run, fields.get("args", []), scope):
                require_plain(kind, "TABLESAMPLE", location(fields))
            return item
        case "RangeTableFunc" | "JsonTable":
            return _table_function(run, fields, scope, tag)
        case _:
            raise Refused(f"FROM item is not supported in a statement on protected tables: {tag}")


def table_item(run: Run, fields: Node, scope: Scope) -> Item:
    """A table, view or WITH query."""
    name = fields.get("relname", "")
    if "schemaname" not in fields:
        cte = scope.find_cte(name)
        if cte is not None:
            if cte.fields is None:
                raise Refused(
                    f'forward reference to WITH query "{name}" is not supported', position=location(fields)
                )
            return _aliased(Source(name, cte.fields), fields)
    relation = run.relation(fields)
    source = Source(name, relation_fields(run, relation), relation.schema, relation)
    return _aliased(source, fields)


def _aliased(source: Source, fields: Node) -> Item:
    alias = fields.get("alias")
    if alias is not None:
        source = replace(
            source, alias=alias["aliasname"], schema=None, fields=_column_aliases(source.fields, alias)
        )
    return Item((source,), source.fields)


def _column_aliases(fields: tuple[Field, ...], alias: Node) -> tuple[Field, ...]:
    names = [n["String"].get("sval", "") for n in alias.get("colnames", ())]
    if len(names) > len(fields):
        raise Refused(
            f'table "{alias["aliasname"]}" has {len(fields)} columns available but {len(names)} columns specified',
            sqlstate="42P10",
        )
    return tuple(Field(n, f.kind) for n, f in zip(names, fields, strict=False)) + fields[len(names) :]


def _subselect(run: Run, fields: Node, scope: Scope) -> Item:
    outside = scope if fields.get("lateral") else _without_items(scope)
    columns = query_columns(run, fields["subquery"], Scope(parent=outside))
    note_named(columns)
    alias = fields.get("alias") or {"aliasname": ""}
    columns = _column_aliases(columns, alias)
    return Item((Source(alias["aliasname"], columns),), columns)


def _without_items(scope: Scope) -> Scope:
    """The same level without its FROM items: what a subquery that isn't LATERAL sees."""
    return Scope(parent=scope.parent, ctes=scope.ctes)


def _join(run: Run, fields: Node, scope: Scope) -> Item:
    left = from_item(run, fields["larg"], scope)
    inner = Scope(parent=scope.parent, items=[*scope.items, left], ctes=scope.ctes)
    right = from_item(run, fields["rarg"], inner)
    both = Scope(parent=scope.parent, ctes=scope.ctes)
    both.add(left, None)
    both.add(right, None)
    if fields.get("isNatural"):
        here = [f.name for f in right.columns]
        using = [f.name for f in left.columns if f.name in here]
    else:
        using = [n["String"].get("sval", "") for n in fields.get("usingClause", ())]
    columns = left.columns + right.columns
    merged: tuple[Field, ...] = ()
    if using:
        form = fields.get("jointype", "JOIN_INNER")
        merged = tuple(Field(n, _merge(left, right, n, form)) for n in using)
        columns = (
            merged
            + tuple(f for f in left.columns if f.name not in using)
            + tuple(f for f in right.columns if f.name not in using)
        )
    if "quals" in fields:
        infer_filter(run, fields["quals"], both)
    sources = left.sources + right.sources
    if "join_using_alias" in fields:
        sources += (Source(fields["join_using_alias"]["aliasname"], merged),)
    alias = fields.get("alias")
    if alias is not None:
        columns = _column_aliases(columns, alias)
        sources = (Source(alias["aliasname"], columns),)
    return Item(sources, columns)


def _merge(left: Item, right: Item, name: str, form: str) -> Kind:
    """The merged column of JOIN USING."""
    sides: list[Kind] = []
    for side, item in (("left", left), ("right", right)):
        found = [f.kind for f in item.columns if f.name == name]
        if not found:
            raise Refused(
                f'column "{name}" specified in USING clause does not exist in {side} table', sqlstate="42703"
            )
        if len(found) > 1:
            raise Refused(
                f'common column name "{name}" appears more than once in {side} table', sqlstate="42702"
            )
        sides.append(found[0])
    compare(sides[0], sides[1], f"JOIN USING ({name})", None)
    if form == "JOIN_FULL":
        return flow(sides, "FULL JOIN USING", None)
    return sides[1] if form == "JOIN_RIGHT" else sides[0]


# Columns that a function in FROM gives; None: one column named like the function (or its alias).
_TABLE_FUNCTIONS: dict[str, tuple[str, ...] | None] = {
    "generate_series": None,
    "generate_subscripts": None,
    "unnest": None,
    "regexp_split_to_table": None,
    "string_to_table": None,
    "json_array_elements": ("value",),
    "jsonb_array_elements": ("value",),
    "json_array_elements_text": ("value",),
    "jsonb_array_elements_text": ("value",),
    "json_each": ("key", "value"),
    "jsonb_each": ("key", "value"),
    "json_each_text": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
    "json_object_keys": None,
    "jsonb_object_keys": None,
    "now": None,
    "current_schemas": None,
}


def _function(run: Run, fields: Node, scope: Scope) -> Item:
    """ROWS FROM and plain functions in FROM, which see the items to their left."""
    alias = fields.get("alias") or {}
    columns: list[Field] = []
    open_ended = False
    scalar = False
    for entry in fields.get("functions", ()):
        items = entry["List"]["items"]
        tag, call = split(items[0])
        deferring, run.deferring = run.deferring, False  # what replaces a function may not stand in FROM
        kind = infer(run, items[0], scope)
        run.deferring = deferring
        definitions = items[1].get("List", {}).get("items", []) if len(items) > 1 and items[1] else []
        definitions = definitions or fields.get("coldeflist", [])
        name = call["funcname"][-1]["String"].get("sval", "") if tag == "FuncCall" else tag.lower()
        if definitions:
            if protected(kind):
                raise Refused(
                    f"function {name} with a column definition list over protected columns is not supported"
                )
            columns.extend(Field(d["ColumnDef"]["colname"], PLAIN) for d in definitions)
        else:
            known = shape(kind)
            if isinstance(known, Row):
                columns.extend(Field(n, k) for n, k in zip(known.names, known.fields, strict=True))
            elif name == "unnest" and tag == "FuncCall" and len(call.get("args", ())) > 1:
                arrays = infer_all(run, call["args"], scope)
                columns.extend(Field("unnest", _unnested(a)) for a in arrays)
            else:
                added, unknown = _scalar_columns(run, name, kind, alias)
                columns.extend(added)
                open_ended = open_ended or unknown
                scalar = not unknown and len(fields["functions"]) == 1
    if fields.get("ordinality"):
        columns.append(Field("ordinality", Plain("ordinality")))
        scalar = False
    called = alias.get("aliasname") or (columns[0].name if columns else "function")
    named = tuple(columns)
    if not open_ended:
        named = _column_aliases(named, {"aliasname": called, "colnames": alias.get("colnames", [])})
    else:
        named = tuple(Field(n["String"].get("sval", ""), PLAIN) for n in alias.get("colnames", ()))
    source = Source(called, named, scalar=scalar and len(named) == 1, open_ended=open_ended)
    return Item((source,), named)


def _unnested(kind: Kind) -> Kind:
    from pgnym.sql.unify import element

    return unsized(element(kind, "unnest", None))


def _scalar_columns(run: Run, name: str, kind: Kind, alias: Node) -> tuple[list[Field], bool]:
    """(columns, whether more are unknown) of a function whose result isn't a row."""
    single = alias.get("aliasname") or name
    if name in _TABLE_FUNCTIONS:
        names = _TABLE_FUNCTIONS[name]
        if names is None:
            return [Field(single, kind)], False
        return [Field(n, kind if len(names) == 1 else PLAIN) for n in names], False
    for overloads in [run.catalog.functions.get(name, ())]:
        if len(overloads) == 1:
            function = overloads[0]
            outs = [
                n
                for n, m in zip(function.argument_names, function.argument_modes, strict=False)
                if m in ("t", "o", "b")
            ]
            if outs:
                return [Field(n, kind if len(outs) == 1 else PLAIN) for n in outs], False
            result = run.catalog.types.get(function.result)
            if result is not None and not result.relation and function.result != 2249:
                return [Field(single, kind)], False
    return [], True


def _table_function(run: Run, fields: Node, scope: Scope, tag: str) -> Item:
    """XMLTABLE and JSON_TABLE: their input must be plain; their columns are named by the statement."""
    names: list[str] = []

    def walk(part: object) -> None:
        if isinstance(part, list):
            for inner in part:
                walk(inner)
        elif isinstance(part, dict):
            for key, inner in part.items():
                if key in ("RangeTableFuncCol", "JsonTableColumn"):
                    name = inner.get("colname") or inner.get("name")
                    if name and inner.get("coltype") != "JTC_NESTED":
                        names.append(name)
                if key in ("ColumnRef", "FuncCall", "A_Expr", "SubLink", "ParamRef", "TypeCast", "A_Const"):
                    require_plain(infer(run, {key: inner}, scope), tag.upper(), location(fields))
                else:
                    walk(inner)

    walk({k: v for k, v in fields.items() if k != "alias"})
    alias = fields.get("alias") or {"aliasname": tag.lower()}
    columns = _column_aliases(tuple(Field(n, PLAIN) for n in names), alias)
    return Item((Source(alias["aliasname"], columns),), columns)
