"""What a statement makes of search_path, as far as its text alone tells."""

from __future__ import annotations

import re

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, split
from pgnym.sql.syntax import parse

_NAME = "search_path"
# SET pgnym.x, SET "pgnym.x", ALTER ROLE … SET pgnym.x, set_config('pgnym.x', …)
_OWN = re.compile(
    rb"""(?:\bset\s+(?:(?:session|local)\s+)?|\bset_config\s*\(\s*')"?pgnym"?\s*\.\s*"?(\w+)""", re.IGNORECASE
)
_STATED = b"purpose"


def forbidden_setting(text: bytes) -> str | None:
    """The setting ``pgnym.…`` other than the purpose that a text sets, if its words tell.

    A courtesy to whoever believes that setting it does something: the gateway reads no such setting of a client's session.
    """
    for found in _OWN.finditer(text):
        if found[1].lower() != _STATED:
            return f"pgnym.{found[1].decode('utf-8', 'replace').lower()}"
    return None


def new_search_path(text: str) -> str | None:
    """The value of search_path that a text leaves behind: a list of quoted names; "" for the session's first one.

    None when it sets none that its words tell: ``set_config()`` and functions are not followed.
    """
    if _NAME not in text.lower() and "reset" not in text.lower() and "schema" not in text.lower():
        return None
    found: str | None = None
    try:
        statements = parse(text.encode())
    except Refused:
        return None
    for statement in statements:
        tag, fields = split(statement.node)
        if tag == "VariableSetStmt":
            value = _value(fields)
            found = value if value is not None else found
    return found


def _value(fields: Node) -> str | None:
    kind = fields.get("kind")
    if kind == "VAR_RESET_ALL":
        return ""
    if fields.get("name") != _NAME:
        return None
    if kind in ("VAR_SET_DEFAULT", "VAR_RESET"):
        return ""
    names = [n.get("A_Const", {}).get("sval", {}).get("sval", "") for n in fields.get("args", ())]
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)
