"""Tokens of the admin endpoint: made, recognized, listed and revoked.

The table holds a token's SHA-256 and what it may do, sealed by an HMAC under a key derived from a tenant's audit key:
whoever can write to the table but has not the master key can't give themselves access.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.vault.connection import set_tenant
from pgnym.vault.store import TenantVault, Vault
from pgnym.vault.times import micros

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

PREFIX = "pgnym_"
_SHAPE = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
_ALL = 0
_USE_STEP = timedelta(
    minutes=1
)  # last_used is no finer than this, so that a busy token costs no write per call


class Role(Enum):
    """What a token is for."""

    ROOT = "root"
    DPO = "dpo"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    APP = "app"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token without its secret. ``tenant`` None: all tenants. ``expires`` None: never."""

    id: int
    name: str
    role: Role
    tenant: str | None
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None

    def valid(self, now: datetime) -> bool:
        """Whether it gives access at that time."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    @property
    def tag(self) -> str:
        """An entity tag (RFC 9110 section 8.8.3): changes when the token is revoked."""
        return f'"{self.id}-{"revoked" if self.revoked else "active"}"'


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A token that gives no access any more. ``why``: ``revoked`` or ``expired``."""

    token: ApiToken
    why: str


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. ``secret`` is nowhere else."""

    token: ApiToken
    secret: str = field(repr=False)


async def create(
    vault: Vault,
    keeper: TenantVault,
    name: str,
    role: Role,
    tenant: TenantVault | None,
    lifetime: timedelta | None,
    created_by: str,
) -> NewToken:
    """Makes a token. ``keeper``: the tenant whose key seals one for all tenants. Errors: VaultError."""
    secret = PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(UTC)
    expires = None if lifetime is None else created + lifetime
    keeper = tenant or keeper
    number = _ALL if tenant is None else tenant.id
    digest = hashlib.sha256(secret.encode()).digest()
    seal = _seal(keeper, digest, number, role.value, name, created_by, created, expires)

    async def insert(connection: Connection) -> int:
        async with connection.transaction():
            await set_tenant(connection, number)
            found: int = await connection.fetchval(
                "INSERT INTO vault.api_token (tenant, keeper, hash, name, role, created, created_by, expires, seal)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
                number, keeper.id, digest, name, role.value, created, created_by, expires, seal,
            )  # fmt: skip
            return found

    made = await vault.administer(insert)
    tenant_name = None if tenant is None else tenant.name
    return NewToken(ApiToken(made, name, role, tenant_name, created, created_by, expires, None, None), secret)


async def recognize(vault: Vault, secret: str) -> ApiToken | Lapsed | None:
    """The token that this is, if it gives access; for the log, one that did; None for anything else. Errors: VaultError."""
    if _SHAPE.fullmatch(secret) is None:
        return None
    digest = hashlib.sha256(secret.encode()).digest()
    now = datetime.now(UTC)

    async def find(connection: Connection) -> asyncpg.Record | None:
        async with connection.transaction():
            await connection.execute("SELECT set_config('pgnym.api_token', $1, true)", digest.hex())
            row = await connection.fetchrow(_SELECT + " WHERE t.hash = $1", digest)
            if row is not None and (row["last_used"] is None or now - row["last_used"] >= _USE_STEP):
                await connection.execute(
                    "UPDATE vault.api_token SET last_used = $2 WHERE hash = $1", digest, now
                )
            return row

    async def is_revoked(connection: Connection) -> bool:
        async with connection.transaction(readonly=True):
            await set_tenant(connection, keeper.id)
            return digest in await vault.revocations.read(connection, keeper.id, keeper.audit_key)

    row = await vault.administer(find)
    if row is None or row["keeper_name"] is None or (row["tenant"] != _ALL and row["tenant_name"] is None):
        return None
    keeper = await vault.tenant(row["keeper_name"])
    right = _seal(
        keeper,
        digest,
        row["tenant"],
        row["role"],
        row["name"],
        row["created_by"],
        row["created"],
        row["expires"],
    )
    if not hmac.compare_digest(right, row["seal"]):
        return None
    token = _token(row)
    # The row may have been brought back as it was before it was revoked.
    if token.revoked is not None or await vault.administer(is_revoked):
        return Lapsed(token, "revoked")
    return token if token.valid(now) else Lapsed(token, "expired")


async def listed(vault: Vault, tenant: TenantVault | None, number: int | None = None) -> list[ApiToken]:
    """The tokens of a tenant, or of all (None); only the one with ``number``, if given. Errors: VaultError."""

    async def find(connection: Connection) -> list[asyncpg.Record]:
        async with connection.transaction(readonly=True):
            await set_tenant(connection, _ALL if tenant is None else tenant.id)
            return await connection.fetch(
                _SELECT + " WHERE $1::bigint IS NULL OR t.id = $1 ORDER BY t.id LIMIT 1000", number
            )

    return [_token(row) for row in await vault.administer(find)]


async def revoke(vault: Vault, tenant: TenantVault | None, number: int) -> bool:
    """Revokes at once, on all gateways. False if it was revoked before, or is not there. Errors: VaultError."""
    scope = _ALL if tenant is None else tenant.id

    async def find(connection: Connection) -> asyncpg.Record | None:
        async with connection.transaction(readonly=True):
            await set_tenant(connection, scope)
            return await connection.fetchrow(_SELECT + " WHERE t.id = $1", number)

    row = await vault.administer(find)
    if row is None or row["keeper_name"] is None:
        return False
    keeper = await vault.tenant(row["keeper_name"])

    async def change(connection: Connection) -> bool:
        async with connection.transaction():
            await set_tenant(connection, scope)
            if not await connection.fetchval(
                "UPDATE vault.api_token SET revoked = now() WHERE id = $1 AND revoked IS NULL RETURNING true",
                number,
            ):
                return False
            await set_tenant(connection, keeper.id)
            await vault.revocations.add(connection, keeper.id, keeper.audit_key, row["hash"], row["expires"])
            return True

    return await vault.administer(change)


async def tenants(vault: Vault) -> list[tuple[str, datetime]]:
    """Names of all tenants, and since when they are there. Errors: VaultError."""
    rows = await vault.administer(
        lambda connection: connection.fetch("SELECT name, created FROM vault.tenant ORDER BY id")
    )
    return [(row["name"], row["created"]) for row in rows]


_SELECT = (
    "SELECT t.*, n.name AS tenant_name, k.name AS keeper_name FROM vault.api_token t"
    " LEFT JOIN vault.tenant n ON n.id = t.tenant LEFT JOIN vault.tenant k ON k.id = t.keeper"
)


def _token(row: asyncpg.Record) -> ApiToken:
    return ApiToken(
        row["id"], row["name"], Role(row["role"]), row["tenant_name"], row["created"], row["created_by"],
        row["expires"], row["revoked"], row["last_used"],
    )  # fmt: skip


def _seal(
    keeper: TenantVault,
    digest: bytes,
    tenant: int,
    role: str,
    name: str,
    created_by: str,
    created: datetime,
    expires: datetime | None,
) -> bytes:
    content = msgspec.json.encode(
        [
            keeper.id,
            digest,
            tenant,
            role,
            name,
            created_by,
            micros(created),
            None if expires is None else micros(expires),
        ]
    )
    return hmac.new(keeper.audit_key.derive(b"api token"), content, hashlib.sha256).digest()
