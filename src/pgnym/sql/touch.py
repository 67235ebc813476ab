"""Whether a parsed statement touches anything protected: by names resolved, not by words in its text.

What is not touched is let through as it is; what is touched must be understood in full, or is refused.
"""

from __future__ import annotations

from typing import Any

from pgnym.sql.dependents import identifiers
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, split
from pgnym.sql.resolve import relation_named

# Statements whose tree the walk understands: relations are RangeVars. In others any string may name one.
_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_WRAPPERS = frozenset(
    {
        "ExplainStmt",
        "DeclareCursorStmt",
        "PrepareStmt",
        "CopyStmt",
        "CreateTableAsStmt",
        "ViewStmt",
        "ExecuteStmt",
    }
)


def touches(run: Run, node: Node) -> bool:
    """Whether a statement, given as a tagged node, touches a protected relation, a view over one or such a function."""
    tag, _ = split(node)
    if tag in _QUERIES or tag in _WRAPPERS:
        return _walk(run, node)
    if tag == "TransactionStmt":
        return False
    return _any_string(run, node)


def _walk(run: Run, part: object) -> bool:
    dependents = run.knowledge.dependents
    pending: list[Any] = [part]
    while pending:
        node = pending.pop()
        if type(node) is list:
            pending += node
            continue
        if type(node) is not dict:
            continue
        for key, value in node.items():
            sort = type(value)
            if sort is dict:
                pending.append(value)
            elif sort is list:
                # names of functions, and of types (a composite type is called like its table)
                if key == "funcname" and _last_name(value) in dependents.function_names:
                    return True
                if key == "names" and _last_name(value) in dependents.relation_names:
                    return True
                pending += value
            elif key == "relname" and value in dependents.relation_names and _is_concerned(run, node):
                return True
    return False


def _last_name(names: list[Any]) -> str | None:
    name = names[-1].get("String", {}).get("sval") if names else None
    return name if isinstance(name, str) else None


def _is_concerned(run: Run, node: Node) -> bool:
    try:
        found = relation_named(
            run.catalog, run.session.search_path, node.get("schemaname"), node.get("relname", ""), None
        )
    except Refused:
        return True
    return (found.schema, found.name) in run.knowledge.dependents.relations


def _any_string(run: Run, part: object) -> bool:
    """For statements of other kinds: any name, or any word of a string, that is a concerned one."""
    names = run.knowledge.dependents.relation_names | run.knowledge.dependents.function_names
    pending: list[Any] = [part]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            pending.extend(node.values())
        elif isinstance(node, str) and (node in names or not names.isdisjoint(identifiers(node))):
            return True
    return False
