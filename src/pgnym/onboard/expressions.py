"""What a stored expression does with a column: looks into it, or only asks whether it is NULL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from pglast.parser import parse_sql_json

CONSTANT_NODES = frozenset({"A_Const", "TypeCast"})
TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "citext"})


def inspected(expression: str, columns: Collection[str]) -> set[str]:
    """Which of ``columns`` the content of matters to ``expression`` (anything but ``IS [NOT] NULL``).

    ``expression``: as ``pg_get_expr`` prints it.
    """
    found: set[str] = set()
    for name, null_test in references(target(expression), False):
        if name is None:
            found.update(columns)
        elif name in columns and not null_test:
            found.add(name)
    return found


def is_lower_of(expression: str, column: str) -> bool:
    """Whether ``expression`` is ``lower(column)``, which changes no token."""
    node = target(expression)
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    call = node.get("FuncCall")
    if call is None or call["funcname"][-1]["String"]["sval"] != "lower" or len(call.get("args", ())) != 1:
        return False
    return [name for name, _ in references(call["args"][0], False)] == [column]


def is_constant(expression: str) -> bool:
    """Whether a default is a constant: a literal, perhaps under casts that don't depend on the time.

    ``('now'::text)::date`` is none, though it has but a literal and casts.
    """
    return _is_constant_node(target(expression))


def _is_constant_node(node: dict[str, Any]) -> bool:
    outer: str | None = None
    while "TypeCast" in node:
        name = node["TypeCast"]["typeName"]["names"][-1]["String"]["sval"]
        if outer is not None and outer not in TEXT_TYPES:
            return False
        outer, node = name, node["TypeCast"]["arg"]
    if "A_ArrayExpr" in node:
        return all(map(_is_constant_node, node["A_ArrayExpr"].get("elements", ())))
    return "A_Const" in node


def target(expression: str) -> dict[str, Any]:
    """The parse tree of an expression."""
    tree = json.loads(parse_sql_json(f"SELECT {expression}"))
    node: dict[str, Any] = tree["stmts"][0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return node


def references(node: Any, null_test: bool) -> Iterator[tuple[str | None, bool]]:
    """(column, directly under IS [NOT] NULL) of each column reference; None for ``*``."""
    if isinstance(node, list):
        for part in node:
            yield from references(part, False)
    elif isinstance(node, dict):
        if "ColumnRef" in node:
            last = node["ColumnRef"]["fields"][-1]
            yield (last["String"]["sval"] if "String" in last else None), null_test
            return
        for kind, part in node.items():
            if kind == "NullTest":
                yield from references(part["arg"], True)
            else:
                yield from references(part, False)
