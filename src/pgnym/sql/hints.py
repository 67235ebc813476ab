"""What every refusal of the planner's own says: where, why, and what to do instead.

What to do instead of an operation on protected values depends on the statement that the operation stands in. Errors that
PostgreSQL would raise as well are left as it words them.
"""

from __future__ import annotations

import re

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, split
from pgnym.sql.lexer import Lexed
from pgnym.sql.syntax import Statement
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
    "ViewStmt": "Leave the expression out of the view, and apply it in the queries or in the application.",
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


_OWN = frozenset(
    {"0A000", "42501", "54001", "55000", "XX000"}
)  # SQLSTATEs of refusals that PostgreSQL would not raise
_DETAIL = "The gateway can't tell where protected values, or the tokens that stand for them, would come out."
_HINT = "Leave the protected columns out of it, or try another form: `pgnym check` explains statements without running them."
_DEFECT = "This is a defect of pgnym: please report the form of the statement."
_NAMED = re.compile(r'"([^"]+)"|\b[a-z_]\w*(?:\.[a-z_]\w*){1,2}')


def complete(refusal: Refused, statement: Statement, lexed: Lexed) -> None:
    """Give a refusal what it lacks of place, detail and hint."""
    if refusal.sqlstate not in _OWN:
        return
    if refusal.position is None:
        refusal.position = _place(refusal.message, statement, lexed)
    if not refusal.detail:
        refusal.detail = _DETAIL
    if not refusal.hint:
        refusal.hint = _DEFECT if refusal.sqlstate == "XX000" else _HINT


def _place(message: str, statement: Statement, lexed: Lexed) -> int:
    """The place of what the message names: the word that it begins with, or a name in it; failing that, the statement's.

    The grammar gives no place for some keywords (DISTINCT, UNION). One that occurs twice is not guessed at.
    """
    first = lexed.token_at(statement.start)
    last = lexed.token_at(statement.end)
    words = [lexed.text[lexed.starts[i] : lexed.ends[i]].decode() for i in range(first, last)]
    folded = [w[1:-1].replace('""', '"') if w[:1] == '"' else w.lower() for w in words]
    names = [(quoted or dotted).split(".")[-1] for quoted, dotted in _names(message)]
    for wanted in (message.split(" ", 1)[0].lower(), *names):
        if folded.count(wanted) == 1:
            return lexed.starts[first + folded.index(wanted)]
    return lexed.starts[first] if first < len(lexed.starts) else statement.start


def _names(message: str) -> list[tuple[str, str]]:
    return [(m[1] or "", m[0]) for m in _NAMED.finditer(message)]
