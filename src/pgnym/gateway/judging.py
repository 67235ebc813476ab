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

LONGEST_SHOWN = 2000
"""Characters of a shape's text that are kept."""

_CONSTANTS = frozenset(("SCONST", "USCONST", "BCONST", "XCONST", "FCONST", "ICONST"))
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
        if isinstance(outcome, Refused) and outcome.sqlstate.startswith("42"):
            # Its names may be values without their quotes, and PostgreSQL's messages quote names.
            return Verdict(
                Outcome.INVALID, Shown(lexed, self._names, strict=True).text, outcome.sqlstate
            ), pins
        shown = Shown(lexed, self._names)
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

    An identifier in quotes is shown only if an object of the catalog has it or the statement gives it as an alias: in a
    statement that was written for another database it may be a value. ``strict``: so is any identifier, and aliases don't
    count.
    """

    def __init__(self, lexed: Lexed, names: frozenset[str], *, strict: bool = False) -> None:
        parts: list[str] = []
        self._sources: list[int] = []  # offsets in the client's text, and where they are in the shown one
        self._targets: list[int] = []
        at = length = 0
        if not strict:
            names = names | _aliases(lexed)
        for start, end, name in zip(lexed.starts, lexed.ends, lexed.names, strict=True):
            gap = _blank(lexed.text[at:start], first=not parts)
            word = lexed.text[start:end].decode()
            if name in _CONSTANTS:
                word = _MASKED
            elif name == "UIDENT" or (
                (word[:1] == '"' or (strict and name == "IDENT")) and _unquoted(word) not in names
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


def _aliases(lexed: Lexed) -> set[str]:
    """Names in quotes right behind AS."""
    found = set()
    for index in range(1, len(lexed.names)):
        start = lexed.starts[index]
        if lexed.names[index - 1] == "AS" and lexed.text[start : start + 1] == b'"':
            found.add(_unquoted(lexed.text[start : lexed.ends[index]].decode()))
    return found


def _names(catalog: Catalog) -> set[str]:
    found = {column.name for relation in catalog.by_oid.values() for column in relation.columns}
    for schema, name in catalog.relations:
        found |= {schema, name}
    found.update(catalog.functions)
    found.update(kind.name for kind in catalog.types.values())
    return found
