"""What would become of a statement, told without a constant of it: for ``mode: observe``."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum

from pgnym.gateway.rights import missing
from pgnym.policy.roles import Policy
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.lexer import Lexed, lex
from pgnym.sql.plan import SessionScope
from pgnym.sql.planner import Planner
from pgnym.sql.syntax import parse

LONGEST_SHOWN = 2000
"""Characters of a shape's text that are kept."""

_CONSTANTS = frozenset(("SCONST", "USCONST", "BCONST", "XCONST", "FCONST", "ICONST"))
_GIVEN = ("aliasname", "ctename", "name", "relname")  # where a statement names what is its own, and tables
_MASKED = "?"
_HIDDEN_NAME = '"?"'


class Outcome(Enum):
    """What would become of a statement."""

    WORKS = "works"
    REFUSED = "refused"
    DENIED = "denied"  # its role lacks a right
    INVALID = "invalid"  # PostgreSQL would refuse it as well: a syntax error, an unknown name


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of a shape. ``text``: without constants; ``at``: place in it (characters, from 0) of ``position``.

    ``position``: in the client's text, characters from 1, of the first statement of the shape that was seen.
    """

    outcome: Outcome
    text: str
    sqlstate: str = ""
    message: str = ""
    detail: str = ""
    hint: str = ""
    position: int | None = None
    at: int | None = None


class Judge:
    """Judges statements against one catalog. Keeps nothing of them. Not thread-safe."""

    def __init__(self, catalog: Catalog, policy: Policy) -> None:
        self._planner = Planner(catalog)
        self._policy = policy
        self._names = frozenset(_names(catalog))

    def __call__(
        self, text: bytes, types: tuple[int, ...], scope: SessionScope, purpose: str | None
    ) -> tuple[Verdict, tuple[int, ...]]:
        """(what would become of a statement, the ordinals of the constants that it depends on)."""
        try:
            lexed = lex(text)
        except Refused as refusal:
            return Verdict(Outcome.INVALID, "(can't be scanned)", refusal.sqlstate), ()
        outcome, pins = self._planner.judge(lexed, types, scope)
        shown = Shown(lexed, self._names, unknown(text, self._names))
        if isinstance(outcome, Refused) and outcome.sqlstate.startswith("42"):
            # PostgreSQL's messages quote names, which may be values without their quotes.
            return Verdict(Outcome.INVALID, shown.text, outcome.sqlstate), pins
        if isinstance(outcome, Refused):
            place = outcome.position
            return (
                Verdict(
                    Outcome.REFUSED,
                    shown.text,
                    outcome.sqlstate,
                    outcome.message,
                    outcome.detail,
                    outcome.hint,
                    None if place is None else len(text[:place].decode("utf-8", "replace")) + 1,
                    None if place is None else shown.place(place),
                ),
                pins,
            )
        lacking = missing(outcome, self._policy.for_user(scope.user), purpose) if outcome is not None else ()
        if not lacking:
            return Verdict(Outcome.WORKS, shown.text), pins
        role = self._policy.for_user(scope.user).name
        return (
            Verdict(
                Outcome.DENIED,
                shown.text,
                "42501",
                f"permission denied to {lacking[0].verb} plaintext in column {lacking[0].column}",
                f"Role {role} is given only tokens or masks there.",
                "Grant the role 'compare', 'write' or 'reveal' on the column in the configuration.",
            ),
            pins,
        )


class Shown:
    """The text of a statement as it may be shown: constants are ``?``, comments are left out.

    So are names that stand where a value may (``hidden``, see ``unknown``): in a statement that was written for another
    database, or whose quotes were forgotten, they may be values. None: of a text that can't be parsed every name is hidden
    that no object of the catalog has.
    """

    def __init__(self, lexed: Lexed, names: frozenset[str], hidden: frozenset[str] | None) -> None:
        parts: list[str] = []
        self._sources: list[int] = []  # offsets in the client's text, and where they are in the shown one
        self._targets: list[int] = []
        at = length = 0
        for start, end, name in zip(lexed.starts, lexed.ends, lexed.names, strict=True):
            gap = _blank(lexed.text[at:start], first=not parts)
            word = lexed.text[start:end].decode()
            if name in _CONSTANTS:
                word = _MASKED
            elif name == "UIDENT" or (
                (word[:1] == '"' or name == "IDENT")
                and (_unquoted(word) not in names if hidden is None else _unquoted(word) in hidden)
            ):
                word = _HIDDEN_NAME
            length += len(gap)
            self._sources.append(start)
            self._targets.append(length)
            parts += (gap, word)
            length += len(word)
            at = end
        text = "".join(parts)
        self.text = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"

    def place(self, offset: int) -> int | None:
        """Where a byte offset of the client's text lies in the shown text; None where that has been cut off."""
        index = bisect_right(self._sources, offset) - 1
        target = self._targets[index] if index >= 0 else 0
        return target if target < LONGEST_SHOWN else None


def _blank(between: bytes, *, first: bool) -> str:
    """What stands between two tokens: blanks, and comments, which become a blank."""
    return " " if between and not first else ""


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[:1] == '"' else name.lower()


def unknown(text: bytes, names: frozenset[str]) -> frozenset[str] | None:
    """Names that are used as columns, though no object has them and the statement gives them to nothing of its own.

    None where the text can't be parsed.
    """
    try:
        pending: list[object] = [statement.node for statement in parse(text)]
    except Refused:
        return None
    used: set[str] = set()
    given: set[str] = set()
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            used |= _strings(node.get("ColumnRef", {}).get("fields"))
            given |= _strings(node.get("colnames"))
            given.update(node[key] for key in _GIVEN if isinstance(node.get(key), str))
            pending.extend(node.values())
    return frozenset(used - given - names)


def _strings(nodes: object) -> set[str]:
    if not isinstance(nodes, list):
        return set()
    return {node["String"].get("sval", "") for node in nodes if "String" in node}


def _names(catalog: Catalog) -> set[str]:
    found = {column.name for relation in catalog.by_oid.values() for column in relation.columns}
    for schema, name in catalog.relations:
        found |= {schema, name}
    found.update(catalog.functions)
    found.update(kind.name for kind in catalog.types.values())
    return found
