"""Change of the master key, in three steps, each of which goes on where it was ended.

1. ``begin``: the KEKs of all tenants are wrapped under a bridge key that both master keys open (see ``change_over``).
2. Gateways are given the new master key, one after another, and go on with it; those that have the old one still work.
3. ``finish``, once no process holds the other key: from then on only one of the two opens the vault. Each tenant gets a new
   KEK under it, which its other keys are wrapped under; so whoever has a copy of the tables of before, and the key of then,
   can't open the data keys that come later.

``finish`` with the old key takes the change back: what the new key could open has then been renewed as well.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.vault import locks
from pgnym.vault.change_over import ChangeOver, wrap_bridge
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.keyring import tenant_keys, unwrap_kek
from pgnym.vault.keys import KEY_LENGTH, MasterKey, Purpose, wrong_master_key
from pgnym.vault.rotation import owned, settle

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_TRIES = 50  # to find that no process holds the outgoing key, a fifth of a second each
_PAUSE = 0.2
_UNDER = "SELECT id, name FROM vault.tenant WHERE master_key = $1 ORDER BY id"

Report = Callable[[int, int], None]
"""Is told how many tenants are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The master key is being changed from ``old`` to ``new`` (ids). ``resumed``: since an earlier call."""

    old: str
    new: str
    tenants: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """Only the master key ``staying`` opens the vault; ``gone`` opens nothing. None: there was nothing to finish."""

    staying: str
    gone: str | None
    tenants: int


async def begin(connection: Connection, old: MasterKey, new: MasterKey, report: Report) -> Begun:
    """Let ``new`` open all that ``old`` does. ``connection``: of the owner of the vault's schema, outside a transaction.

    Errors: see ``rotation.owned``; WrongMasterKey if ``old`` is not the vault's; VaultError if the two are the same or
    another change is under way. Nothing was changed then.
    """
    if old.id == new.id:
        raise VaultError("the new master key is the present one", hint="Make another: pgnym keys generate")
    async with owned(connection):
        await settle(connection, durable=True)
        before = await ChangeOver.read(connection)
        change = before or await _open(connection, old, new)
        if (change.old, change.new) != (old.id, new.id) or change.staying is not None:
            raise VaultError(
                f"another change of the master key is under way: from {change.old} to {change.new}",
                hint="Finish it first: pgnym keys rotate master --finish",
            )
        change.bridge_under(new).wipe()
        bridge = change.bridge_under(old)
        rows = await connection.fetch(_UNDER, old.id)
        for done, (tenant, name) in enumerate(rows):
            report(done, len(rows))
            async with _alone(connection, tenant) as keys:
                kek = unwrap_kek(old, tenant, name, keys)
                for row in keys:
                    if row["purpose"] == "kek":
                        wrapped = bridge.wrap(kek.expose(), Purpose.KEK, tenant, row["generation"])
                        await _rewrap(connection, tenant, row, wrapped)
                kek.wipe()
                await _put_under(connection, tenant, bridge.id)
        report(len(rows), len(rows))
        bridge.wipe()
        await _tell(connection)
        count: int = await connection.fetchval("SELECT count(*) FROM vault.tenant")
    return Begun(old.id, new.id, count, before is not None)


async def finish(connection: Connection, staying: MasterKey, report: Report) -> Finished:
    """End the change: ``staying`` is one of its two keys, and the other opens nothing afterwards.

    Errors: see ``rotation.owned``; WrongMasterKey if ``staying`` is not one of the two; VaultError if a process holds the
    other, or if ``begin`` has not come to its end. Nothing was changed then.
    """
    async with owned(connection):
        await settle(connection, durable=True)
        change = await ChangeOver.read(connection)
        if change is None:
            await _refuse_strangers(connection, staying, (staying.id,))
            return Finished(staying.id, None, 0)
        bridge = change.bridge_under(staying)
        gone = change.other(staying.id)
        await _refuse_strangers(connection, staying, (staying.id, bridge.id))
        await _tell(connection)  # who has not heard that there is another key looks now
        async with _unheld(connection, gone):
            # From here on the other key opens nothing, whatever ends this process.
            async with connection.transaction():
                await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", locks.TENANT)
                column = "under_old" if gone == change.old else "under_new"
                await connection.execute(f"UPDATE vault.master_rotation SET {column} = NULL")  # noqa: S608
            rows = await connection.fetch(_UNDER, bridge.id)
            for done, (tenant, name) in enumerate(rows):
                report(done, len(rows))
                async with _alone(connection, tenant) as keys:
                    await _renew(connection, tenant, name, keys, bridge, staying)
            report(len(rows), len(rows))
            async with connection.transaction():
                await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", locks.TENANT)
                if await connection.fetchval(
                    "SELECT count(*) FROM vault.tenant WHERE master_key = $1", bridge.id
                ):
                    raise AssertionError("a tenant is under the bridge key that was not there before")
                await connection.execute("DELETE FROM vault.master_rotation")
        bridge.wipe()
        await _tell(connection)
    return Finished(staying.id, gone, len(rows))


async def _open(connection: Connection, old: MasterKey, new: MasterKey) -> ChangeOver:
    bridge = MasterKey(os.urandom(KEY_LENGTH))
    change = ChangeOver(
        old.id,
        new.id,
        bridge.id,
        wrap_bridge(old, bridge, old.id, new.id),
        wrap_bridge(new, bridge, old.id, new.id),
    )
    bridge.wipe()
    async with connection.transaction():
        # Who adds a tenant holds this lock: it is added before, or it is under the bridge key.
        await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", locks.TENANT)
        await _refuse_strangers(connection, old, (old.id,))
        await connection.execute(
            "INSERT INTO vault.master_rotation (old_key, new_key, bridge, under_old, under_new)"
            " VALUES ($1, $2, $3, $4, $5)",
            change.old, change.new, change.bridge, change.under_old, change.under_new,
        )  # fmt: skip
    return change


async def _refuse_strangers(connection: Connection, master: MasterKey, known: Sequence[str]) -> None:
    row = await connection.fetchrow(
        "SELECT name, master_key FROM vault.tenant WHERE master_key <> ALL ($1) ORDER BY id LIMIT 1", known
    )
    if row is None:
        return
    change = await ChangeOver.read(connection)
    if change is not None and change.admits(master.id):
        raise VaultError(
            "the change of the master key has only begun",
            hint="Run `pgnym keys rotate master --new-key-file …` again, then finish it.",
        )
    raise wrong_master_key(master, f"the KEK of tenant {row['name']}", row["master_key"])


@asynccontextmanager
async def _alone(connection: Connection, tenant: int) -> AsyncIterator[list[asyncpg.Record]]:
    """A transaction in which nobody else adds keys to the tenant; gives the rows of its keys."""
    async with connection.transaction():
        await set_tenant(connection, tenant)
        await connection.fetch(
            "SELECT FROM vault.key WHERE tenant = $1 AND purpose = 'kek' FOR UPDATE", tenant
        )
        yield await tenant_keys(connection, tenant)


async def _renew(
    connection: Connection,
    tenant: int,
    name: str,
    keys: list[asyncpg.Record],
    bridge: MasterKey,
    staying: MasterKey,
) -> None:
    """A new KEK, and the other keys under it."""
    before = unwrap_kek(bridge, tenant, name, keys)
    fresh = MasterKey(os.urandom(KEY_LENGTH))
    for row in keys:
        if row["purpose"] != "kek":
            purpose, generation = Purpose(row["purpose"]), row["generation"]
            key = before.unwrap(row["wrapped"], purpose, tenant, generation)
            await _rewrap(connection, tenant, row, fresh.wrap(key.expose(), purpose, tenant, generation))
            key.wipe()
    generation = max(row["generation"] for row in keys if row["purpose"] == "kek") + 1
    await connection.execute("DELETE FROM vault.key WHERE tenant = $1 AND purpose = 'kek'", tenant)
    await connection.execute(
        "INSERT INTO vault.key (tenant, purpose, generation, wrapped) VALUES ($1, 'kek', $2, $3)",
        tenant,
        generation,
        staying.wrap(fresh.expose(), Purpose.KEK, tenant, generation),
    )
    for secret in (before, fresh):
        secret.wipe()
    await _put_under(connection, tenant, staying.id)


async def _rewrap(connection: Connection, tenant: int, row: asyncpg.Record, wrapped: bytes) -> None:
    await connection.execute(
        "UPDATE vault.key SET wrapped = $4 WHERE tenant = $1 AND purpose = $2 AND generation = $3",
        tenant,
        row["purpose"],
        row["generation"],
        wrapped,
    )


async def _put_under(connection: Connection, tenant: int, key: str) -> None:
    await connection.execute("UPDATE vault.tenant SET master_key = $2 WHERE id = $1", tenant, key)


async def _tell(connection: Connection) -> None:
    await connection.execute("SELECT pg_catalog.pg_notify('pgnym_invalidate', 'keys')")


@asynccontextmanager
async def _unheld(connection: Connection, key: str) -> AsyncIterator[None]:
    """While no process holds the master key; waits some seconds for those that are about to let it go. VaultError."""
    place = locks.HOLDERS, locks.holder(key)
    for _ in range(_TRIES):
        if await connection.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1, $2)", *place):
            break
        await asyncio.sleep(_PAUSE)
    else:
        found = await connection.fetchval(
            "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
            " AND classid::bigint = $1 AND objid::bigint = $2",
            place[0],
            place[1] % 2**32,
        )
        raise VaultError(
            f"{found} processes still hold master key {key}; nothing was changed",
            hint="Give these gateways the other key (their secrets file, or POST /v1/unseal), or restart them with it.",
        )
    yield
    await connection.execute("SELECT pg_catalog.pg_advisory_unlock($1, $2)", *place)
