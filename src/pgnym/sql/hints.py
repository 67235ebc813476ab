"""What to do instead of an operation on protected values: it depends on the statement that the operation stands in."""

from __future__ import annotations

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, split
from pgnym.sql.unify import OPERATION_HINT

_CHANGE = "Read the value first, compute in the application, and pass the result; or compare the whole value with =."
_RULE = "The database has only tokens to judge by: let the application see to it, or name unprotected columns only."
_HINTS = {
    "InsertStmt": _CHANGE,
    "UpdateStmt": _CHANGE,
    "DeleteStmt": "Read the keys of the rows first, and delete by these; or compare the whole value with =.",
    "MergeStmt": _CHANGE,
    "IndexStmt": "Index the column itself: = and IN use such an index. For lower(), configure `normalize: casefold` and "
    "index the column.",
    "ViewStmt": "Leave the expression out of the view, and apply it in the application.",
    "CreateTableAsStmt": "Leave the expression out, and apply it in the application.",
    "AlterTableStmt": _RULE,
    "CreateTrigStmt": _RULE,
    "CreatePolicyStmt": _RULE,
    "AlterPolicyStmt": _RULE,
    "CreateStatsStmt": "Leave the expression out: statistics of tokens are gathered for the column itself.",
}


def for_statement(refusal: Refused, node: Node) -> None:
    """Put the hint of a statement (a tagged node) in place of that for queries."""
    if refusal.hint != OPERATION_HINT:
        return
    tag, fields = split(node)
    while tag not in _HINTS and isinstance(fields.get("query"), dict):  # PREPARE, EXPLAIN, DECLARE, COPY
        tag, fields = split(fields["query"])
    refusal.hint = _HINTS.get(tag, OPERATION_HINT)
