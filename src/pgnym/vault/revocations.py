"""What has been revoked before its end: one sealed list for each tenant, beside the rows of what is revoked.

Who can write to the tables could bring back a row as it was before it was revoked. The list can't be changed without the
master key; and a list from before is noticed by every gateway that has seen a later one, by its epoch. What can't be
noticed is both brought back while no gateway runs.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.vault.errors import VaultError
from pgnym.vault.keys import Secret

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Until = float | None
"""When something would have ended by itself, in seconds since 1970; None: never."""
_NAMES = msgspec.msgpack.Decoder(dict[bytes, Until])


class RevocationsSetBack(VaultError):
    """The list is not as it was written, or an older one. Nothing that it may name is in effect."""


class Revocations:
    """The lists of all tenants, as one process has seen them. ``read`` and ``add`` need the tenant to be set."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}

    def checked(self, tenant: int, audit_key: Secret, row: asyncpg.Record | None) -> frozenset[bytes]:
        """The names in a row of vault.revocation (None: there is none). Errors: RevocationsSetBack."""
        return frozenset(self._opened(tenant, audit_key, row)[1])

    async def read(self, connection: Connection, tenant: int, audit_key: Secret) -> frozenset[bytes]:
        """The names of what is revoked. Errors: RevocationsSetBack, asyncpg.PostgresError."""
        return self.checked(tenant, audit_key, await connection.fetchrow(_SELECT, tenant))

    async def add(
        self, connection: Connection, tenant: int, audit_key: Secret, name: bytes, until: datetime | None
    ) -> None:
        """Adds a name, in the caller's transaction; forgets those that have ended by themselves.

        Errors: RevocationsSetBack, asyncpg.PostgresError.
        """
        await connection.execute(
            "INSERT INTO vault.revocation (tenant, epoch, names, seal) VALUES ($1, 0, $2, $3) ON CONFLICT DO NOTHING",
            tenant, *self._sealed(tenant, audit_key, 0, {}),
        )  # fmt: skip
        row = await connection.fetchrow(_SELECT + " FOR NO KEY UPDATE", tenant)
        epoch, names = self._opened(tenant, audit_key, row)
        now = datetime.now(UTC).timestamp()
        names = {known: end for known, end in names.items() if end is None or end > now}
        names[name] = None if until is None else until.timestamp()
        await connection.execute(
            "UPDATE vault.revocation SET epoch = $2, names = $3, seal = $4 WHERE tenant = $1",
            tenant, epoch + 1, *self._sealed(tenant, audit_key, epoch + 1, names),
        )  # fmt: skip

    def _opened(
        self, tenant: int, audit_key: Secret, row: asyncpg.Record | None
    ) -> tuple[int, dict[bytes, Until]]:
        epoch, packed = 0, b""
        if row is not None:
            epoch, packed, seal = row["epoch"], row["names"], row["seal"]
            if not hmac.compare_digest(_seal(tenant, audit_key, epoch, packed), seal):
                raise _set_back()
        if epoch < self._epochs.get(tenant, 0):
            raise _set_back()
        self._epochs[tenant] = epoch
        return epoch, _NAMES.decode(packed) if packed else {}

    @staticmethod
    def _sealed(tenant: int, audit_key: Secret, epoch: int, names: dict[bytes, Until]) -> tuple[bytes, bytes]:
        packed = msgspec.msgpack.encode(names)
        return packed, _seal(tenant, audit_key, epoch, packed)


_SELECT = "SELECT epoch, names, seal FROM vault.revocation WHERE tenant = $1"


def _seal(tenant: int, audit_key: Secret, epoch: int, packed: bytes) -> bytes:
    head = tenant.to_bytes(8, "big") + epoch.to_bytes(8, "big")
    return hmac.new(audit_key.derive(b"revocations"), head + packed, hashlib.sha256).digest()


def _set_back() -> RevocationsSetBack:
    return RevocationsSetBack(
        "the list of what was revoked is not as it was written, or an older one",
        hint="Somebody has changed the table vault.revocation. Restore it from a backup, or revoke anew.",
    )
