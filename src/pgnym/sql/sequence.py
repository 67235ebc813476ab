"""Several statements in one text: what one of them does to the names that the next ones use.

The text is planned before any of it runs. Prepared statements and cursors of the text itself can be followed; after a
change of search_path, role or the catalog a name may mean another relation than it does now, so what would depend on it
is refused (sent as a statement of its own, it is planned after the change).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, split
from pgnym.sql.plan import SessionAct, SessionEffect, SessionScope
from pgnym.sql.resolve import relation_named
from pgnym.sql.statements import COMMANDS
from pgnym.sql.touch import touches

_PATH_SETTINGS = frozenset({"search_path", "role", "session_authorization", "pgnym.purpose"})
_KEEPS_NAMES = frozenset(
    {
        "IndexStmt",
        "GrantStmt",
        "CommentStmt",
        "CreateTrigStmt",
        "CreatePolicyStmt",
        "CreateStatsStmt",
        "GrantRoleStmt",
    }
)


@dataclass(slots=True)
class Sequence:
    """What the statements so far have done. ``scope``: the session's names with theirs added."""

    scope: SessionScope
    path_moved: bool = False
    catalog_moved: bool = False

    def check(self, run: Run, node: Node) -> None:
        """Refuse a statement whose names may mean something else by the time it runs."""
        if not self.path_moved and not self.catalog_moved:
            return
        tag, _ = split(node)
        if tag not in COMMANDS and tag not in ("CopyStmt", "PrepareStmt", "DeclareCursorStmt", "ExplainStmt"):
            return
        if self.path_moved and _unqualified(run, node):
            raise _refusal("search_path or role")
        if self.catalog_moved and (touches(run, node) or _unknown(run, node)):
            raise _refusal("the catalog")

    def note(self, node: Node, effect: SessionEffect | None, catalog_change: bool) -> None:
        """Remember what a statement does."""
        tag, fields = split(node)
        self.path_moved = self.path_moved or _moves_path(tag, fields)
        self.catalog_moved = self.catalog_moved or (catalog_change and tag not in _KEEPS_NAMES)
        if effect is not None:
            self.scope = after(self.scope, effect)


def after(scope: SessionScope, effect: SessionEffect) -> SessionScope:
    """The session's names after an effect."""
    prepared, cursors = dict(scope.prepared), dict(scope.cursors)
    match effect.act:
        case SessionAct.PREPARE if effect.name is not None and effect.inner is not None:
            prepared[effect.name] = effect.inner
        case SessionAct.DECLARE if effect.name is not None and effect.inner is not None:
            cursors[effect.name] = effect.inner
        case SessionAct.DEALLOCATE:
            prepared = {} if effect.name is None else {n: p for n, p in prepared.items() if n != effect.name}
        case SessionAct.CLOSE:
            cursors = {} if effect.name is None else {n: p for n, p in cursors.items() if n != effect.name}
        case SessionAct.DISCARD:
            prepared, cursors = {}, {}
        case _:
            return scope
    return replace(scope, prepared=prepared, cursors=cursors)


def _refusal(what: str) -> Refused:
    return Refused(
        f"a statement on protected tables after a change of {what} in the same query string is not supported",
        detail="Names in it may mean other relations by the time it runs.",
        hint="Send the statements one by one.",
    )


def _moves_path(tag: str, fields: Node) -> bool:
    if tag == "VariableSetStmt":
        return fields.get("kind") == "VAR_RESET_ALL" or str(fields.get("name", "")) in _PATH_SETTINGS
    if tag == "DiscardStmt":
        return str(fields.get("target", "DISCARD_ALL")) == "DISCARD_ALL"
    return tag in COMMANDS and any(
        names[-1].get("String", {}).get("sval") == "set_config" for names in _values(fields, "funcname")
    )


def _values(part: object, key: str) -> list[Any]:
    """All values of a key in a tree."""
    found: list[Any] = []
    pending: list[object] = [part]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if key in node:
                found.append(node[key])
            pending.extend(node.values())
    return found


def _range_vars(part: object) -> list[Node]:
    found: list[Node] = []
    pending: list[object] = [part]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if "relname" in node:
                found.append(node)
            pending.extend(node.values())
    return found


def _unqualified(run: Run, node: Node) -> bool:
    """Whether an unqualified name in the statement is one that a protected relation or such a function has."""
    dependents = run.knowledge.dependents
    return any(
        "schemaname" not in r and r["relname"] in dependents.relation_names for r in _range_vars(node)
    ) or any(
        len(names) == 1 and names[0].get("String", {}).get("sval") in dependents.function_names
        for names in _values(node, "funcname")
    )


def _unknown(run: Run, node: Node) -> bool:
    """Whether a relation in the statement isn't there yet: it may be a protected one under a new name."""
    named = {q.get("ctename") for q in _values(node, "CommonTableExpr")}
    for relation in _range_vars(node):
        if relation["relname"] in named:
            continue
        try:
            relation_named(
                run.catalog, run.session.search_path, relation.get("schemaname"), relation["relname"], None
            )
        except Refused:
            return True
    return False
