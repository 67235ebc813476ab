"""The keys of tenants: loaded and unwrapped from the key table, created when a tenant is first needed.

Several gateways may meet a new tenant at once: a lock lets one in, which adds the tenant and all its keys in one
transaction; the others read what it left.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.vault import locks
from pgnym.vault.change_over import ChangeOver
from pgnym.vault.ciphers import MAX_USES
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import KeyProblem, VaultError
from pgnym.vault.keys import KEY_LENGTH, MasterKey, Purpose, Secret, wrong_master_key
from pgnym.vault.tokens import Tokenizer

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_FIRST_RESERVE = 4096
_LARGEST_RESERVE = 2**20
_LOCK_TIMEOUT = "1s"
_CHANGE = ("old_key", "new_key", "bridge", "under_old", "under_new")
_KEYS = (
    "SELECT k.purpose, k.generation, k.wrapped, t.master_key, "  # noqa: S608 - names of columns
    + ", ".join(f"m.{name}" for name in _CHANGE)
    + ", t.new_token_key IS NOT NULL AS changing"
    + " FROM vault.tenant t JOIN vault.key k ON k.tenant = t.id LEFT JOIN vault.master_rotation m ON true"
    " WHERE t.id = $1 ORDER BY k.purpose, k.generation"
)
_HOLD_KEK = "SELECT FROM vault.key WHERE tenant = $1 AND purpose = 'kek' FOR SHARE"


@dataclass(slots=True, repr=False)
class TenantKeys:
    """The unwrapped keys of one tenant. ``data``: generation → key; values are sealed under ``generation``."""

    id: int
    name: str
    tokenizer: Tokenizer
    search: Secret
    audit: Secret
    data: dict[int, AESGCM]
    generation: int
    known: int = 0  # how often data keys had been changed when these were read
    uses_left: int = 0
    next_reserve: int = _FIRST_RESERVE
    secrets: list[Secret] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<TenantKeys of {self.name}, data key generation {self.generation}>"

    def keep(self, before: TenantKeys) -> None:
        """Go on with the same keys as before where they are equal: others hold them, and are to see them wiped."""
        if hmac.compare_digest(self.search.expose(), before.search.expose()) and hmac.compare_digest(
            self.audit.expose(), before.audit.expose()
        ):
            for secret in self.secrets:
                secret.wipe()
            self.search, self.audit, self.secrets = before.search, before.audit, before.secrets
        else:
            self.secrets = [*self.secrets, *before.secrets]

    def wipe(self) -> None:
        """Overwrites what can be, and lets the ciphers go."""
        for secret in self.secrets:
            secret.wipe()
        self.data.clear()
        self.uses_left = 0
        self.tokenizer = Tokenizer(bytes(KEY_LENGTH))


class Keyring:
    """All keys that this process has unwrapped, under one master key (which it owns: ``wipe`` wipes it).

    ``changes_tokens``: it is of the change of a token key itself, which others have to wait for.
    """

    def __init__(self, master: MasterKey, *, changes_tokens: bool = False) -> None:
        self._master = master
        self._changes_tokens = changes_tokens
        self._tenants: dict[str, TenantKeys] = {}

    def __repr__(self) -> str:
        return f"<Keyring under {self._master.name}>"

    @property
    def master_id(self) -> str:
        """The id of the master key."""
        return self._master.id

    async def check(self, connection: Connection) -> None:
        """WrongMasterKey if a tenant's keys lie under another master key than ours."""
        for under in await self._usable(connection):
            if under is not self._master:
                under.wipe()

    async def _usable(self, connection: Connection) -> list[MasterKey]:
        """Ours, and behind it the bridge key if there is one; the last is what new KEKs are to lie under."""
        while True:
            found = [self._master]
            change = await ChangeOver.read(connection)
            if change is not None:
                bridge = change.bridge_under(self._master)
                found.insert(0 if change.staying else 1, bridge)
            row = await connection.fetchrow(
                "SELECT name, master_key FROM vault.tenant WHERE master_key <> ALL ($1) ORDER BY id LIMIT 1",
                [under.id for under in found],
            )
            if row is None:
                return found
            if await ChangeOver.read(connection) == change:  # else it began or ended in between
                raise wrong_master_key(self._master, f"the KEK of tenant {row['name']}", row["master_key"])

    async def replaceable(self, connection: Connection) -> bool:
        """Whether another master key could take the place of ours."""
        change = await ChangeOver.read(connection)
        return change is not None and change.admits(change.other(self._master.id))

    async def adopt(self, connection: Connection, master: MasterKey) -> None:
        """Go on under the other master key of a change-over. Errors: WrongMasterKey, and all is as before."""
        change = await ChangeOver.read(connection)
        if change is None or not change.admits(master.id):
            raise wrong_master_key(master, "the vault's keys", self._master.id)
        change.bridge_under(master).wipe()
        self._master.wipe()
        self._master = master

    async def load(self, connection: Connection, name: str, *, create: bool = True) -> TenantKeys:
        """The keys of a tenant, read anew; the tenant and its keys are created if they are not there.

        Errors: WrongMasterKey, KeyProblem, VaultError (no such tenant, with ``create`` False). Nothing is changed then.
        """
        async with connection.transaction():
            # Keys must outlive any crash, whatever the server's default is.
            await connection.execute("SET LOCAL synchronous_commit = on")
            tenant, under = await self._tenant(connection, name, create)
            await set_tenant(connection, tenant)
            if under is not None:
                await self._create(connection, tenant, under)
                if under is not self._master:
                    under.wipe()
            # Before the keys, which are then at least as new.
            known = await connection.fetchval("SELECT keys FROM vault.search_epoch")
            rows = await tenant_keys(connection, tenant)
            if rows and rows[0]["changing"] and not self._changes_tokens:
                raise VaultError(
                    f"the token key of tenant {name} is being changed",
                    hint="Run `pgnym keys rotate token` again: it goes on where it was.",
                )
            keys = self._unwrap(tenant, name, rows)
            keys.known = known
        if (before := self._tenants.get(name)) is not None:
            if before.generation == keys.generation:
                keys.uses_left, keys.next_reserve = before.uses_left, before.next_reserve
            before.uses_left = 0
            keys.keep(before)
        self._tenants[name] = keys
        return keys

    async def reserve(self, connection: Connection, keys: TenantKeys, uses: int) -> TenantKeys:
        """Keys whose data key may seal ``uses`` more values: reserves them, or makes the next generation.

        The reserve of a gateway that ends is lost; so steps start small and grow with use.
        """
        if uses <= keys.uses_left:
            return keys
        step = max(uses - keys.uses_left, min(keys.next_reserve, MAX_USES // 16))
        if step > MAX_USES:
            raise VaultError(f"{uses} values at once are more than one key may seal")
        async with connection.transaction():
            await set_tenant(connection, keys.id)
            done = await connection.fetchval(
                "UPDATE vault.key SET reserved = reserved + $3 WHERE tenant = $1 AND purpose = 'data' AND generation = $2"
                " AND retired IS NULL AND reserved + $3 <= $4 RETURNING true",
                keys.id,
                keys.generation,
                step,
                MAX_USES,
            )
            if not done:
                # A new KEK (see ``master_rotation``) must not come between our reading of this one and our insert.
                if not await connection.fetch(_HOLD_KEK, keys.id):
                    await connection.fetch(_HOLD_KEK, keys.id)  # it was replaced while we waited for it
                rows = await tenant_keys(connection, keys.id)
                if max(row["generation"] for row in rows if row["purpose"] == "data") == keys.generation:
                    # Used up. Of two gateways that notice at once, one inserts; both read it back.
                    kek = unwrap_kek(self._master, keys.id, keys.name, rows)
                    await _insert(connection, keys.id, Purpose.DATA, keys.generation + 1, kek)
                    kek.wipe()
        if done:
            keys.uses_left += step
            keys.next_reserve = min(step * 2, _LARGEST_RESERVE)
            return keys
        fresh = await self.load(connection, keys.name, create=False)
        if fresh.generation == keys.generation:
            raise KeyProblem(
                f"the data key {keys.id}/data/{keys.generation} is used up and has no successor",
                key=f"{keys.id}/data/{keys.generation}",
                hint="The key table was changed from outside.",
            )
        return await self.reserve(connection, fresh, uses)

    async def retire(self, connection: Connection, keys: TenantKeys) -> TenantKeys:
        """Begins a generation of data keys and retires those before, so that no gateway seals with them any more.

        For the owner. Once in the way of a transaction that holds values, it steps back (asyncpg.LockNotAvailableError):
        puts would wait behind it. Errors: those of ``load``.
        """
        while True:
            async with connection.transaction():
                await connection.execute(
                    "SELECT set_config('pgnym.tenant', $1, true), set_config('synchronous_commit', 'on', true),"
                    " set_config('lock_timeout', $2, true)",
                    str(keys.id),
                    _LOCK_TIMEOUT,
                )
                rows = await tenant_keys(connection, keys.id)
                generation = int(_latest(rows, keys.id, Purpose.DATA)["generation"]) + 1
                kek = unwrap_kek(self._master, keys.id, keys.name, rows)
                wrapped = kek.wrap(os.urandom(KEY_LENGTH), Purpose.DATA, keys.id, generation)
                kek.wipe()
                done = await connection.fetchval(
                    "SELECT vault.retire_data_keys($1, $2, $3)", keys.id, generation, wrapped
                )
            if done:
                return await self.load(connection, keys.name, create=False)

    async def generations(
        self, connection: Connection, keys: TenantKeys, purpose: Purpose
    ) -> dict[int, Secret]:
        """All generations of a key of the tenant, to be wiped by the caller. In a transaction of the tenant."""
        rows = await tenant_keys(connection, keys.id)
        kek = unwrap_kek(self._master, keys.id, keys.name, rows)
        try:
            return {
                row["generation"]: kek.unwrap(row["wrapped"], purpose, keys.id, row["generation"])
                for row in rows
                if row["purpose"] == purpose.value
            }
        finally:
            kek.wipe()

    async def add(self, connection: Connection, keys: TenantKeys, purpose: Purpose, generation: int) -> None:
        """A new key. In a transaction of the tenant, where nobody else adds or wraps keys."""
        kek = unwrap_kek(self._master, keys.id, keys.name, await tenant_keys(connection, keys.id))
        await _insert(connection, keys.id, purpose, generation, kek)
        kek.wipe()

    def wipe(self) -> None:
        """Wipes all keys and the master key."""
        for keys in self._tenants.values():
            keys.wipe()
        self._tenants.clear()
        self._master.wipe()

    async def _tenant(self, connection: Connection, name: str, create: bool) -> tuple[int, MasterKey | None]:
        """The id; for a new one also the key that its KEK is to lie under."""
        find = "SELECT id FROM vault.tenant WHERE name = $1"
        found: int | None = await connection.fetchval(find, name)
        if found is None:
            if not create:
                raise VaultError(f"tenant {name} is not in the vault")
            if not 1 <= len(name) <= 63 or not name.isprintable():
                raise VaultError("a tenant's name has 1 to 63 printable characters")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", locks.TENANT)
            under = (await self._usable(connection))[-1]
            added = await connection.fetchval(
                "INSERT INTO vault.tenant (name, master_key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id",
                name,
                under.id,
            )
            if added is not None:
                return added, under
            found = await connection.fetchval(find, name)
            assert found is not None  # another added it, and tenants are never deleted
        return found, None

    async def _create(self, connection: Connection, tenant: int, under: MasterKey) -> None:
        # Only ever together with the tenant's row: a key that is missing later was lost, and a new one in its place would
        # silently make other tokens of the same values.
        await _insert(connection, tenant, Purpose.KEK, 1, under)
        kek = unwrap_kek(under, tenant, "", await tenant_keys(connection, tenant))
        for purpose in (Purpose.DATA, Purpose.TOKEN, Purpose.SEARCH, Purpose.AUDIT):
            await _insert(connection, tenant, purpose, 1, kek)
        kek.wipe()

    def _unwrap(self, tenant: int, name: str, rows: list[asyncpg.Record]) -> TenantKeys:
        kek = unwrap_kek(self._master, tenant, name, rows)

        def unwrap(row: asyncpg.Record) -> Secret:
            return kek.unwrap(row["wrapped"], Purpose(row["purpose"]), tenant, row["generation"])

        data = {row["generation"]: unwrap(row) for row in rows if row["purpose"] == "data"}
        token, search, audit = (
            unwrap(_latest(rows, tenant, purpose))
            for purpose in (Purpose.TOKEN, Purpose.SEARCH, Purpose.AUDIT)
        )
        keys = TenantKeys(
            tenant,
            name,
            Tokenizer(token.expose()),
            search,
            audit,
            {generation: AESGCM(secret.expose()) for generation, secret in data.items()},
            int(_latest(rows, tenant, Purpose.DATA)["generation"]),
            secrets=[search, audit],
        )
        for secret in (kek, token, *data.values()):
            secret.wipe()  # the ciphers hold what they need
        return keys


def _latest(rows: list[asyncpg.Record], tenant: int, purpose: Purpose) -> asyncpg.Record:
    found = [row for row in rows if row["purpose"] == purpose.value]
    if not found:
        key = f"{tenant}/{purpose.value}"
        raise KeyProblem(
            f"key {key} is missing from the vault",
            key=key,
            hint="The key table was changed or restored in part. Nothing was changed.",
        )
    return max(found, key=lambda row: int(row["generation"]))


def unwrap_kek(master: MasterKey, tenant: int, name: str, rows: list[asyncpg.Record]) -> Secret:
    """The tenant's KEK, of the rows that ``tenant_keys`` gave. ``master``: what it lies under, or opens that."""
    row = _latest(rows, tenant, Purpose.KEK)
    wrapped, generation, under = row["wrapped"], row["generation"], row["master_key"]
    if under == master.id:
        return master.unwrap_kek(wrapped, tenant, generation)
    if row["bridge"] != under:
        raise wrong_master_key(master, f"the KEK of tenant {name}", under)
    bridge = ChangeOver(*(row[column] for column in _CHANGE)).bridge_under(master)
    try:
        return bridge.unwrap_kek(wrapped, tenant, generation)
    finally:
        bridge.wipe()


async def tenant_keys(connection: Connection, tenant: int) -> list[asyncpg.Record]:
    """The rows of a tenant's keys, and what they lie under. In one statement, so that all is of one moment: a change of the
    master key goes on beside."""
    return await connection.fetch(_KEYS, tenant)


async def _insert(
    connection: Connection, tenant: int, purpose: Purpose, generation: int, under: Secret
) -> None:
    await connection.execute(
        "INSERT INTO vault.key (tenant, purpose, generation, wrapped) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (tenant, purpose, generation) DO NOTHING",
        tenant,
        purpose.value,
        generation,
        under.wrap(os.urandom(KEY_LENGTH), purpose, tenant, generation),
    )
