"""COPY: which columns are turned into tokens on the way in, which are revealed on the way out."""

from __future__ import annotations

from typing import Any

from pgnym.sql.catalog import Leaf
from pgnym.sql.dml import Place, Target
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, infer, location
from pgnym.sql.outputs import output_columns, read_columns
from pgnym.sql.plan import CopyPlan, StatementPlan, Use, ValueUse
from pgnym.sql.resolve import Field, Item, Scope, Source
from pgnym.sql.rewrite import Edit
from pgnym.sql.settle import settle
from pgnym.sql.sources import relation_fields
from pgnym.sql.statements import Planned, plan_query, utility

_IGNORED = frozenset({"freeze", "on_error", "log_verbosity", "reject_limit", "force_quote"})


@utility("CopyStmt")
def _copy(run: Run, node: Node, touched: bool) -> Planned:
    if not touched:
        return StatementPlan("COPY"), []
    if node.get("is_program") or "filename" in node:
        raise Refused(
            "COPY between a protected table and a file or program of the server is not supported",
            detail="The file would hold tokens, or plaintext would not pass through pgnym.",
            hint="Use COPY … FROM STDIN or TO STDOUT.",
        )
    options = {o["DefElem"]["defname"]: o["DefElem"].get("arg") for o in node.get("options", ())}
    if "query" in node:
        inner, edits = plan_query(run, node["query"])
        copy = _copy_plan(options, False, (), [])
        plan = StatementPlan(
            "COPY",
            outputs=inner.outputs,
            reads=inner.reads,
            compares=inner.compares,
            writes=inner.writes,
            relations=inner.relations,
            copy=copy,
            deferred=inner.deferred,
        )
        return plan, edits
    return _copy_table(run, node, options)


def _copy_table(run: Run, node: Node, options: dict[str, Any]) -> Planned:
    relation = run.relation(node["relation"])
    target = Target(relation, relation_fields(run, relation))
    generated = {c.name for c in relation.columns if c.generated}
    names = [n["String"].get("sval", "") for n in node.get("attlist", ())]
    names = names or [f.name for f in target.fields if f.name not in generated]
    incoming = bool(node.get("is_from"))
    source = Source(relation.name, target.fields, relation.schema, relation)
    if "whereClause" in node:
        infer(run, node["whereClause"], Scope(items=[Item((source,), source.fields)]))
        if run.searches:
            search = next(iter(run.searches.values()))
            raise Refused(
                f"COPY FROM with a condition on the contents of {', '.join(sorted(search.hole.columns))} is not supported",
                detail="The condition is about values that are still to come.",
                hint="Leave out these rows in the application.",
                position=search.start,
            )
    settled = settle(run)
    edits: list[Edit] = settled.edits
    at = location(node["relation"])
    uses: list[ValueUse | None] = []
    for name in names:
        uses.append(_stored(target.column(name, at)))
    if incoming:
        return (
            StatementPlan(
                "COPY",
                compares=settled.compares,
                writes=frozenset(c for u in uses if u is not None for c in u.columns),
                relations=frozenset(run.relations),
                copy=_copy_plan(options, True, tuple(uses), names),
            ),
            edits,
        )
    by_name = {f.name: f for f in target.fields}
    outputs = output_columns(run.catalog, tuple(Field(n, by_name[n].kind) for n in names))
    plan = StatementPlan(
        "COPY",
        outputs=outputs,
        reads=read_columns(outputs),
        relations=frozenset(run.relations),
        copy=_copy_plan(options, False, (), names),
    )
    return plan, edits


def _stored(place: Place) -> ValueUse | None:
    """How the values that go into a column become tokens."""
    if place.document is not None:
        leaves = tuple(Leaf(path, token.protection) for path, token in place.document.leaves)
        columns = frozenset(leaf.protection.column for leaf in leaves)
        return ValueUse(Use.WRITE, leaves[0].protection, columns, leaves=leaves)
    if place.protection is None:
        return None
    return ValueUse(Use.WRITE, place.protection, frozenset((place.label,)), place.protection.array)


def _copy_plan(
    options: dict[str, Any], incoming: bool, columns: tuple[ValueUse | None, ...], names: list[str]
) -> CopyPlan:
    """Options as PostgreSQL understands them (``ProcessCopyOptions``)."""
    chosen = str(_string(options, "format", "text"))
    if chosen not in ("text", "csv", "binary"):
        raise Refused(f'COPY format "{chosen}" not recognized', sqlstate="22023")
    known = {
        "format", "delimiter", "null", "quote", "escape", "header", "encoding", "force_null", "force_not_null", "default",
    }  # fmt: skip
    for name in options:
        if name not in known and name not in _IGNORED:
            raise Refused(
                f'COPY option "{name}" is not supported on protected tables',
                detail="The gateway reads and writes the data of such a COPY itself, and does not know the option.",
                hint="Leave the option out.",
            )
    if str(_string(options, "encoding", "UTF8")).upper().replace("-", "") not in ("UTF8", "UNICODE"):
        raise Refused(
            "COPY of protected tables in an encoding other than UTF8 is not supported",
            detail="The gateway reads and writes the data of such a COPY itself, in UTF8 alone.",
            hint="Say ENCODING 'UTF8', and convert the data before or after.",
        )
    csv = chosen == "csv"
    quote = _string(options, "quote", '"')
    default = options.get("default")
    return CopyPlan(
        incoming,
        chosen,
        columns,
        _string(options, "delimiter", "," if csv else "\t"),
        _string(options, "null", "" if csv else "\\N"),
        quote,
        _string(options, "escape", quote),
        _header(options),
        _columns(options, "force_null", names),
        _columns(options, "force_not_null", names),
        _string(options, "default", "") if default is not None else None,
    )


def _string(options: dict[str, Any], name: str, default: str) -> str:
    argument = options.get(name)
    if argument is None:
        return default
    if "String" in argument:
        return str(argument["String"].get("sval", ""))
    if "TypeName" in argument:
        return str(argument["TypeName"]["names"][-1]["String"].get("sval", ""))
    raise Refused(f'COPY option "{name}" is not supported in this form')


def _header(options: dict[str, Any]) -> bool | str:
    if "header" not in options:
        return False
    argument = options["header"]
    if argument is None:
        return True
    if "Boolean" in argument:
        return bool(argument["Boolean"].get("boolval"))
    if "Integer" in argument:
        return bool(argument["Integer"].get("ival"))
    word = _string(options, "header", "").lower()
    if word == "match":
        return "match"
    if word in ("true", "on", "false", "off"):
        return word in ("true", "on")
    raise Refused('header requires a Boolean value or "match"', sqlstate="42601")


def _columns(options: dict[str, Any], name: str, names: list[str]) -> frozenset[int]:
    argument = options.get(name)
    if argument is None:
        return frozenset()
    if "A_Star" in argument:
        return frozenset(range(len(names)))
    listed = [n["String"].get("sval", "") for n in argument.get("List", {}).get("items", ())]
    for column in listed:
        if column not in names:
            raise Refused(f'{name.upper()} column "{column}" not referenced by COPY', sqlstate="42P10")
    return frozenset(names.index(c) for c in listed)
