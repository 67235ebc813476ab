"""Grants: what lifts the reveal budget of a database user or role, for a purpose and a time.

A row is sealed by an HMAC under a key derived from its tenant's audit key: whoever can write to the table but has not the
master key can't grant themselves anything, nor bring back what was revoked (``revocations.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.keys import Secret
from pgnym.vault.revocations import Revocations, RevocationsSetBack
from pgnym.vault.times import micros

if TYPE_CHECKING:
    from pgnym.vault.store import TenantVault, Vault

    Connection = asyncpg.Connection[asyncpg.Record]
    _Rows = tuple[list[asyncpg.Record], list[asyncpg.Record]]  # of grants, and of revocations

REFRESH_SECONDS = 20.0
"""Grants are read anew after this, besides when the vault says that they have changed."""
FRESH_SECONDS = 60.0
"""A gateway that could not read them for so long goes by none."""
_LOG = logging.getLogger("pgnym.vault")


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant. ``statement`` and ``minute``: values, None for any number. One of ``db_user`` and ``role`` is given."""

    id: int
    tenant: str
    db_user: str | None
    role: str | None
    purpose: str
    statement: int | None
    minute: int | None
    until: datetime
    reason: str
    created: datetime
    created_by: str
    revoked: datetime | None = None
    revoked_by: str | None = None

    def state(self, now: datetime) -> str:
        """In one word."""
        return "revoked" if self.revoked is not None else "valid" if now < self.until else "ended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grant to be made."""

    db_user: str | None
    role: str | None
    purpose: str
    statement: int | None
    minute: int | None
    until: datetime
    reason: str


async def create(vault: Vault, tenant: TenantVault, wanted: Wanted, created_by: str) -> Grant:
    """Makes it, in effect on all gateways at once. Errors: VaultError."""
    created = datetime.now(UTC)

    async def insert(connection: Connection) -> int:
        async with connection.transaction():
            await set_tenant(connection, tenant.id)
            number: int = await connection.fetchval(
                "INSERT INTO vault.reveal_grant (tenant, db_user, role, purpose, statement_limit, minute_limit, until,"
                " reason, created, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
                tenant.id, wanted.db_user, wanted.role, wanted.purpose, wanted.statement, wanted.minute, wanted.until,
                wanted.reason, created, created_by,
            )  # fmt: skip
            row = await connection.fetchrow("SELECT * FROM vault.reveal_grant WHERE id = $1", number)
            assert row is not None
            await connection.execute(
                "UPDATE vault.reveal_grant SET seal = $2 WHERE id = $1", number, _seal(tenant.audit_key, row)
            )
            await connection.execute(_TELL)
            return number

    number = await vault.administer(insert)
    await vault.grants.refresh()
    return Grant(
        number, tenant.name, wanted.db_user, wanted.role, wanted.purpose, wanted.statement, wanted.minute,
        wanted.until, wanted.reason, created, created_by,
    )  # fmt: skip


async def listed(vault: Vault, tenant: TenantVault, number: int | None = None) -> list[Grant]:
    """A tenant's grants, the newest first, at most 1000; only the one with ``number``, if given.

    Rows that this pgnym has not written are left out. Errors: VaultError.
    """

    async def find(connection: Connection) -> list[asyncpg.Record]:
        async with connection.transaction(readonly=True):
            await set_tenant(connection, tenant.id)
            return await connection.fetch(
                "SELECT * FROM vault.reveal_grant WHERE tenant = $1 AND ($2::bigint IS NULL OR id = $2)"
                " ORDER BY id DESC LIMIT 1000",
                tenant.id, number,
            )  # fmt: skip

    rows = await vault.administer(find)
    return [_grant(row, tenant.name) for row in rows if _genuine(tenant, row)]


async def revoke(vault: Vault, tenant: TenantVault, number: int, revoked_by: str) -> bool:
    """Ends it on all gateways. False if it was revoked before, or is not there. Errors: VaultError."""

    async def change(connection: Connection) -> bool:
        async with connection.transaction():
            await set_tenant(connection, tenant.id)
            until = await connection.fetchval(
                "UPDATE vault.reveal_grant SET revoked = now(), revoked_by = $3"
                " WHERE tenant = $1 AND id = $2 AND revoked IS NULL RETURNING until",
                tenant.id, number, revoked_by,
            )  # fmt: skip
            if until is None:
                return False
            await vault.revocations.add(connection, tenant.id, tenant.audit_key, _name(number), until)
            await connection.execute(_TELL)
            return True

    done = await vault.administer(change)
    await vault.grants.refresh()
    return done


class LiveGrants:
    """The grants in effect, as this process knows them; ``run`` reads on a connection of the vault's."""

    def __init__(
        self,
        run: Callable[[Callable[[Connection], Awaitable[_Rows]]], Awaitable[_Rows]],
        revocations: Revocations,
    ) -> None:
        self._run = run
        self._revocations = revocations
        self._rows: dict[int, list[asyncpg.Record]] = {}
        self._revoked: dict[int, asyncpg.Record] = {}
        self._read_at = float("-inf")
        self._checked: dict[int, tuple[Grant, ...]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads them, and goes on doing so. Errors: VaultError."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Ends that, and forgets them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._rows, self._checked = {}, {}

    def changed(self) -> None:
        """They have, or may have: they are read at once."""
        self._changed.set()

    def of(self, tenant: TenantVault) -> Sequence[Grant]:
        """Those of a tenant that have not ended by ``FRESH_SECONDS`` ago; the caller looks at ``until``."""
        if not self._rows or monotonic() - self._read_at > FRESH_SECONDS:
            return ()
        known = self._checked.get(tenant.id)
        if known is None:
            known = self._checked[tenant.id] = self._check(tenant)
        return known

    async def refresh(self) -> None:
        """Reads them. Errors: VaultError."""
        begun = monotonic()
        rows, revoked = await self._run(_read)
        if begun < self._read_at:
            return  # a later reading has overtaken this one
        self._rows = {}
        for row in rows:
            self._rows.setdefault(row["tenant"], []).append(row)
        self._revoked = {row["tenant"]: row for row in revoked}
        self._checked = {}
        self._read_at = begun

    async def _keep_fresh(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            # What can't be read grows old, and then there are none.
            with contextlib.suppress(VaultError):
                await self.refresh()

    def _check(self, tenant: TenantVault) -> tuple[Grant, ...]:
        try:
            revoked = self._revocations.checked(tenant.id, tenant.audit_key, self._revoked.get(tenant.id))
        except RevocationsSetBack as error:
            _LOG.error("no grant of tenant %s is in effect: %s", tenant.name, error.message)
            return ()
        rows = self._rows.get(tenant.id, ())
        found = tuple(
            _grant(row, tenant.name)
            for row in rows
            if _name(row["id"]) not in revoked and _genuine(tenant, row)
        )
        if len(found) < len(rows):
            _LOG.error(
                "tenant %s has %d grants that were not made by pgnym", tenant.name, len(rows) - len(found)
            )
        return found


_TELL = "SELECT pg_catalog.pg_notify('pgnym_invalidate', 'grants')"


async def _read(connection: Connection) -> _Rows:
    async with connection.transaction(readonly=True, isolation="repeatable_read"):
        await set_tenant(connection, 0)
        rows = await connection.fetch(
            "SELECT * FROM vault.reveal_grant WHERE until > now() AND revoked IS NULL"
        )
        return rows, await connection.fetch("SELECT * FROM vault.revocation") if rows else []


def _grant(row: asyncpg.Record, tenant: str) -> Grant:
    return Grant(
        row["id"], tenant, row["db_user"], row["role"], row["purpose"], row["statement_limit"], row["minute_limit"],
        row["until"], row["reason"], row["created"], row["created_by"], row["revoked"], row["revoked_by"],
    )  # fmt: skip


def _genuine(tenant: TenantVault, row: asyncpg.Record) -> bool:
    return row["tenant"] == tenant.id and hmac.compare_digest(_seal(tenant.audit_key, row), row["seal"])


def _seal(audit_key: Secret, row: asyncpg.Record) -> bytes:
    content = msgspec.json.encode(
        [
            row["id"], row["tenant"], row["db_user"], row["role"], row["purpose"], row["statement_limit"],
            row["minute_limit"], micros(row["until"]), row["reason"], micros(row["created"]), row["created_by"],
        ]
    )  # fmt: skip
    return hmac.new(audit_key.derive(b"grant"), content, hashlib.sha256).digest()


def _name(number: int) -> bytes:
    return b"grant %d" % number
