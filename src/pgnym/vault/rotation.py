"""Rotation of data keys: a new generation, all values sealed anew under it, and the end of the old ones.

1. The new generation is stored and the others are retired. That transaction waits for puts that are under way and changes
   the epoch that puts are made under, so from its commit on nothing is stored under a retired generation (see ``indexes``).
2. Values under retired generations are replaced batch by batch, in the order of their tokens, while gateways go on. A batch
   takes only rows that nobody holds. What it left out is done last, one by one, waiting for whoever holds it.
3. When none is left, the retired keys are deleted; gateways are told, and drop them.

All state is in the tables: a run that was killed is continued by the next, which begins no other generation. Tokens and
what values are found by don't change, since nothing but the ciphertext depends on the generation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.vault.ciphers import open, seal_all
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.keyring import Keyring, TenantKeys
from pgnym.vault.locks import ROTATION
from pgnym.vault.migrations import current_version, latest_version, outdated

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BATCH = 2000
"""Values in one transaction: some ten milliseconds of the server's time, for which puts of the same values wait."""

_TRIES = 30  # to get what another session holds, a second each

_RETIRED = (
    "SELECT generation FROM vault.key WHERE tenant = $1 AND purpose = 'data' AND retired IS NOT NULL"
    " ORDER BY generation"
)
_SOME = (
    "SELECT token, generation, ciphertext FROM vault.value"
    " WHERE tenant = $1 AND generation = ANY ($2::integer[]) AND token > $3 ORDER BY token LIMIT $4"
)
_COUNT = "SELECT count(*) FROM vault.value WHERE tenant = $1 AND generation = ANY ($2::integer[])"

Report = Callable[[str, int, int], None]
"""Is told a tenant's name, how many of its values are done, and how many are to be in all."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done for a tenant: values sealed anew, under which generation, and the generations destroyed."""

    tenant: str
    generation: int
    values: int
    destroyed: tuple[int, ...]
    resumed: bool


@asynccontextmanager
async def owned(connection: Connection) -> AsyncIterator[None]:
    """The vault's schema in the hands of one rotation. Errors: VaultOutdated; VaultError if this is not its owner, or if
    another rotation runs."""
    version = await current_version(connection)
    if version != latest_version():
        raise outdated(version)
    if not await connection.fetchval(
        "SELECT pg_catalog.pg_has_role(nspowner, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = 'vault'"
    ):
        raise VaultError(
            "this login does not own the vault's schema", hint="Use the URL that `pgnym apply` was run with."
        )
    for _ in range(_TRIES):
        # A rotation that was killed holds its lock until the server notices.
        if await connection.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1)", ROTATION):
            break
        await asyncio.sleep(0.2)
    else:
        raise VaultError("another rotation is running", hint="Let it end, or end its process.")
    yield
    # After an error the lock goes with the connection, whose state nobody knows.
    await connection.execute("SELECT pg_catalog.pg_advisory_unlock($1)", ROTATION)


async def rotate_data(
    connection: Connection,
    keyring: Keyring,
    report: Report,
    *,
    tenant: str | None = None,
    batch: int = BATCH,
) -> list[Rotated]:
    """Rotates the data keys of one tenant (None: of all), or finishes a rotation that was interrupted.

    ``connection``: of the owner of the vault's schema, outside a transaction; its settings are changed. ``batch``: values
    in one transaction. Errors: see ``owned``; those of ``Keyring.load``; CannotOpen if a value does not open under its
    key, which is then kept, as is every other; VaultError if others hold values for too long. What is done stays done.
    """
    async with owned(connection):
        await keyring.check(connection)
        # Batches need not be flushed: what destroys the keys is, and comes after them.
        await settle(connection, durable=False)
        names = [tenant] if tenant is not None else await tenants(connection)
        return [await _rotate_tenant(connection, keyring, name, report, batch) for name in names]


async def tenants(connection: Connection) -> list[str]:
    """The names of all tenants, in the order in which they came."""
    return [row[0] for row in await connection.fetch("SELECT name FROM vault.tenant ORDER BY id")]


async def settle(connection: Connection, *, durable: bool) -> None:
    """Rows are found by key, as gateways find them. ``durable``: what is committed is flushed, whatever the default is."""
    for setting, value in (
        ("search_path", ""),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
        ("row_security", "on"),
        ("default_transaction_isolation", "read committed"),
        ("synchronous_commit", "on" if durable else "off"),
    ):
        await connection.execute("SELECT pg_catalog.set_config($1, $2, false)", setting, value)


async def _rotate_tenant(
    connection: Connection, keyring: Keyring, name: str, report: Report, batch: int
) -> Rotated:
    keys = await keyring.load(connection, name, create=False)
    await set_tenant(connection, keys.id, local=False)
    resumed = bool(await _retired(connection, keys.id))
    if not resumed:
        keys = await _retire(connection, keyring, keys)
    retired = await _retired(connection, keys.id)
    left: int = await connection.fetchval(_COUNT, keys.id, retired)
    work = _Work(connection, keyring, keys, retired, lambda done: report(name, done, max(left, done)))
    report(name, 0, left)
    while True:
        while await work.sweep(batch):
            pass
        await work.stragglers()
        destroyed = await _destroy(connection, keys.id)
        if destroyed is not None:
            return Rotated(name, work.keys.generation, work.done, tuple(destroyed), resumed)


async def _retired(connection: Connection, tenant: int) -> list[int]:
    return [row[0] for row in await connection.fetch(_RETIRED, tenant)]


async def _retire(connection: Connection, keyring: Keyring, keys: TenantKeys) -> TenantKeys:
    for _ in range(_TRIES):
        try:
            return await keyring.retire(connection, keys)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(1)  # puts that waited behind us get their turn
    raise VaultError(
        "the values are held by a long transaction, and nothing was changed",
        hint="Let it end (see pg_locks for vault.value), then run this again.",
    )


async def _destroy(connection: Connection, tenant: int) -> list[int] | None:
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        found: list[int] | None = await connection.fetchval("SELECT vault.destroy_data_keys($1)", tenant)
    return found


class _Work:
    """Sealing the values of one tenant anew."""

    def __init__(
        self,
        connection: Connection,
        keyring: Keyring,
        keys: TenantKeys,
        retired: list[int],
        tick: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._retired = retired
        self._tick = tick
        self.keys = keys
        self.done = 0

    async def sweep(self, batch: int) -> int:
        """Once through all values that are to be done, except those that others hold; how many it did."""
        before = self.done
        after = ""
        while rows := await self._connection.fetch(_SOME, self.keys.id, self._retired, after, batch):
            after = rows[-1]["token"]
            await self._reseal(rows)
        return self.done - before

    async def stragglers(self) -> None:
        """The same, one by one, waiting for whoever holds them."""
        after = ""
        while rows := await self._connection.fetch(_SOME, self.keys.id, self._retired, after, 1):
            after = rows[0]["token"]
            async with self._connection.transaction():
                await self._connection.execute(
                    "SELECT FROM vault.value WHERE tenant = $1 AND token = $2 FOR NO KEY UPDATE",
                    self.keys.id,
                    after,
                )
                await self._reseal(rows)

    async def _reseal(self, rows: list[asyncpg.Record]) -> None:
        self.keys = keys = await self._keyring.reserve(self._connection, self.keys, len(rows))
        keys.uses_left -= len(rows)
        values: dict[bytes, bytes] = {}
        for token, generation, ciphertext in rows:
            name = token.encode("ascii")
            values[name] = open(keys.data[generation], keys.id, name, ciphertext)
        ciphertexts = seal_all(keys.data[keys.generation], keys.id, list(values), values)
        self.done += await self._connection.fetchval(
            "SELECT vault.reseal($1, $2, $3, $4)",
            keys.id,
            keys.generation,
            [row["token"] for row in rows],
            ciphertexts,
        )
        self._tick(self.done)
