"""Which keys a vault has: generations, ages, use, and changes under way. Never a key, not even wrapped."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.vault.change_over import ChangeOver
from pgnym.vault.ciphers import MAX_USES
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.migrations import current_version, latest_version, outdated

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_ORDER = ("kek", "data", "token", "search", "audit")
_KEYS = (
    "SELECT purpose, generation, created, retired, reserved, extract(epoch FROM now() - created) AS age"
    " FROM vault.key WHERE tenant = $1 ORDER BY array_position($2::text[], purpose), generation"
)
_VALUES = "SELECT generation, count(*) FROM vault.value WHERE tenant = $1 GROUP BY generation"
_UNDER = "SELECT count(*) FILTER (WHERE master_key = $1), count(*) FROM vault.tenant"
_DAY = 24 * 3600


class KeyState(msgspec.Struct, frozen=True):
    """One wrapped key. The last three are of data keys: ``reserved``, how many values it may have sealed (an upper bound);
    ``share``, what part that is of all it may seal; ``values``, how many of them are stored now."""

    purpose: str
    generation: int
    created: datetime
    age_days: int
    retired: datetime | None
    reserved: int | None = None
    share: float | None = None
    values: int | None = None


class Pending(msgspec.Struct, frozen=True):
    """A change of a tenant's keys that is not at its end: how many values are done, of all."""

    kind: str
    done: int
    total: int


class TenantState(msgspec.Struct, frozen=True):
    """A tenant's keys, and the id of what its KEK lies under: a master key, or the bridge while that is changed."""

    tenant: str
    master_key: str
    keys: list[KeyState]
    pending: list[Pending]


class MasterChange(msgspec.Struct, frozen=True):
    """A change of the master key. ``state``: ``opening`` (the new key does not open all tenants yet), ``open`` (both keys
    do), or ``ending``; ``done``: how many tenants have come to that."""

    old: str
    new: str
    begun: datetime
    state: str
    done: int
    total: int


class Keys(msgspec.Struct, frozen=True):
    """All of it, as of one moment."""

    change: MasterChange | None
    tenants: list[TenantState]


async def keys_of(connection: Connection, only: str | None = None) -> Keys:
    """The keys of all tenants, or of one. Counts all values. ``connection``: of the gateway's login or the owner's, outside
    a transaction. Errors: VaultOutdated; VaultError if there is no such tenant."""
    version = await current_version(connection)
    if version != latest_version():
        raise outdated(version)
    async with connection.transaction(isolation="repeatable_read"):
        rows = await connection.fetch("SELECT id, name, master_key FROM vault.tenant ORDER BY id")
        wanted = [row for row in rows if only in (None, row["name"])]
        if only is not None and not wanted:
            raise VaultError(f"tenant {only} is not in the vault")
        tenants = [await _tenant(connection, *row) for row in wanted]
        return Keys(await _change(connection), tenants)


async def _tenant(connection: Connection, tenant: int, name: str, master: str) -> TenantState:
    await set_tenant(connection, tenant)
    held: dict[int, int] = {row[0]: row[1] for row in await connection.fetch(_VALUES, tenant)}
    keys = []
    for row in await connection.fetch(_KEYS, tenant, list(_ORDER)):
        purpose, generation, created, retired, reserved, age = row
        days = int(age // _DAY)
        if purpose == "data":
            share = reserved / MAX_USES
            keys.append(
                KeyState(
                    purpose, generation, created, days, retired, reserved, share, held.get(generation, 0)
                )
            )
        else:
            keys.append(KeyState(purpose, generation, created, days, retired))
    pending = []
    left = [key.values or 0 for key in keys if key.purpose == "data" and key.retired]
    if left:
        total = sum(held.values())
        pending.append(Pending("data", total - sum(left), total))
    if await connection.fetchval("SELECT new_token_key IS NOT NULL FROM vault.tenant WHERE id = $1", tenant):
        done = await connection.fetchval("SELECT vault.count_aliases($1)", tenant)
        pending.append(Pending("token", done, sum(held.values()) - done))
    return TenantState(name, master, keys, pending)


async def _change(connection: Connection) -> MasterChange | None:
    change = await ChangeOver.read(connection)
    if change is None:
        return None
    begun = await connection.fetchval("SELECT begun FROM vault.master_rotation")
    reached = change.staying or change.bridge
    done, total = await connection.fetchrow(_UNDER, reached)  # type: ignore[misc]
    if change.staying is not None:
        state = "ending"
    else:
        state = "open" if done == total else "opening"
    return MasterChange(change.old, change.new, begun, state, done, total)
