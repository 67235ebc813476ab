"""Numbers of advisory locks, in one place: two uses of one number would wait for each other, or never get it.

All begin with "pgnym" in ASCII. Advisory locks are of a database; the application's and the vault's may be the same one.
"""

from __future__ import annotations

SCHEMA = 0x70676E796D
"""For a transaction: one migration of the vault's schema follows another."""
TENANT = 0x70676E796E
"""For a transaction: a tenant is added, so that two master keys can't both be the first."""
ROTATION = 0x70676E796F
"""Of a session: one rotation of data keys at a time."""
AUDIT_EXPORT = 0x70676E7970
"""Of a session: one gateway sends the audit log on."""
ERASURES = 0x70676E7971
"""Of a session: one gateway at a time finishes erasures."""
PURGE = 0x70676E7974
"""Of a session: one purge at a time."""
RETENTION = 0x70676E7975
"""Of a session: one run of retention at a time."""
HOLDERS = 0x70676E79
"""Of a session, shared: a process has a master key in memory; the second number is ``holder`` of the key's id."""
ORDER = 0x70676E7A
"""For a transaction, in the application's database: codes of one domain's order index; the second number is the domain's."""
CHANGE = 0x70676E7972
"""Of a session: a token key is being changed; see ``pausing``."""
PAUSED = 0x70676E7973
"""Of a session, shared: a gateway's sessions pause; see ``pausing``."""
APPLY = 0x70676E796D01
"""Of a session, in the application's database: one apply or undo at a time."""


def holder(key: str) -> int:
    """The second number of ``HOLDERS`` for a key of this id (in hexadecimal): its first 32 bits, as PostgreSQL's integer."""
    return int.from_bytes(bytes.fromhex(key)[:4], "big", signed=True)
