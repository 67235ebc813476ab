"""What the audit log says of one statement or one administrative act.

Stored in the clear: who, when, from where, for what purpose, what kind of statement, which domains and how many values.
Sealed under the tenant's audit key: which tokens, and the normalized text of the statement. No record holds a
plaintext value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import msgspec

from pgnym.vault.tokens import TOKEN_LENGTH

_WITH_GRANT = 1 << 31


class Action(Enum):
    """What was done, or refused."""

    REVEAL = "reveal"
    TOKENIZE = "tokenize"
    SEARCH = "search"
    REFUSE = "refuse"
    ADMIN = "admin"
    ERASE = "erase"
    RETAIN = "retain"
    PURGE = "purge"


class Decision(Enum):
    """How it was decided."""

    ALLOWED = "allowed"
    DENIED = "denied"


class Actor(msgspec.Struct, frozen=True):
    """Who: the database user, pgnym's role for it, and what the client says of itself."""

    db_user: str
    role: str
    client_address: str = ""
    application_name: str = ""


class AuditRecord(
    msgspec.Struct, frozen=True
):  # one for each reveal: a dataclass takes six times as long to make
    """One record. ``time`` must carry a time zone. ``counts``: domain → number of values.

    ``tokens``, ``text`` (normalized: without literals) and ``grant`` (the number of the one under which values were given,
    0: none) are sealed; the first two are not in the repr.
    """

    time: datetime
    tenant: str
    actor: Actor
    action: Action
    decision: Decision = Decision.ALLOWED
    purpose: str = ""
    fingerprint: str = ""
    counts: Mapping[str, int] = {}
    tokens: tuple[bytes, ...] = ()
    text: str = ""
    grant: int = 0

    def __repr__(self) -> str:
        return (
            f"AuditRecord(time={self.time!r}, tenant={self.tenant!r}, actor={self.actor!r}, action={self.action!r}, "
            f"decision={self.decision!r}, purpose={self.purpose!r}, fingerprint={self.fingerprint!r}, "
            f"counts={self.counts!r}, grant={self.grant!r})"
        )


def pack_details(record: AuditRecord) -> bytes:
    """What is sealed: length of the text (4 bytes, big endian), text, tokens. The length's highest bit says that a grant's
    number (8 bytes) stands before the text."""
    text = record.text.encode("utf-8", "replace")
    if record.grant:
        head = (len(text) | _WITH_GRANT).to_bytes(4, "big") + record.grant.to_bytes(8, "big")
    else:
        head = len(text).to_bytes(4, "big")
    return b"".join((head, text, *record.tokens))


def unpack_details(packed: bytes) -> tuple[tuple[bytes, ...], str, int]:
    """The ``tokens``, ``text`` and ``grant`` of ``pack_details``."""
    length, begin, grant = int.from_bytes(packed[:4], "big"), 4, 0
    if length & _WITH_GRANT:
        length, begin, grant = length ^ _WITH_GRANT, 12, int.from_bytes(packed[4:12], "big")
    start = begin + length
    tokens = tuple(packed[i : i + TOKEN_LENGTH] for i in range(start, len(packed), TOKEN_LENGTH))
    return tokens, packed[begin:start].decode("utf-8"), grant
