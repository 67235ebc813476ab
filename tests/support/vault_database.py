"""A vault in a database of a test server: migrated by the owner, used as the gateway's role."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from pgnym.semantics.folding import fold
from pgnym.vault import tokens
from pgnym.vault.connection import Connector
from pgnym.vault.indexes import Fold
from pgnym.vault.keys import MasterKey
from pgnym.vault.migrations import migrate
from pgnym.vault.orders import Codes
from pgnym.vault.store import TenantVault, Vault
from support.cluster import Cluster

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

GATEWAY_PASSWORD = "gateway-pw"
MASTER = bytes(range(32))
PREFIX = tokens.prefix(5)
_numbers = itertools.count(1)


class VaultDatabase:
    """Where a vault is, as its owner and as the gateway see it. The gateway's role is this database's own."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        self.cluster = cluster
        self.database = database
        self.gateway = f"gateway_{os.getpid()}_{next(_numbers)}"
        self.owner_url = cluster.url(database)
        self.gateway_url = cluster.url(database, user=self.gateway, password=GATEWAY_PASSWORD)

    async def migrate(self) -> None:
        """Creates schema and role."""
        async with self.owner() as connection:
            await migrate(connection, self.gateway, GATEWAY_PASSWORD)

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Connection]:
        """A connection of the owner (a superuser here, so row-level security does not bind it)."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def as_gateway(self) -> AsyncIterator[Connection]:
        """A bare connection of the gateway's role."""
        connection = await asyncpg.connect(self.gateway_url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def vault(
        self,
        *,
        same_cluster: bool = False,
        master: bytes = MASTER,
        cache_bytes: int = 2**20,
        scan_limit: int = 20_000,
        scan_bytes: int = 2**24,
        candidate_limit: int = 1000,
        fold: Fold | None = fold,
    ) -> AsyncIterator[Vault]:
        """An open vault."""
        vault = await Vault.open(
            self.gateway_url,
            MasterKey(master),
            same_cluster=same_cluster,
            cache_bytes=cache_bytes,
            scan_limit=scan_limit,
            scan_bytes=scan_bytes,
            candidate_limit=candidate_limit,
            fold=fold,
            codes=Codes(Connector(self.gateway_url)),
            connect_timeout=5,
            command_timeout=5,
        )
        try:
            yield vault
        finally:
            await vault.close()


@asynccontextmanager
async def migrated(cluster: Cluster, database: str) -> AsyncIterator[VaultDatabase]:
    """A migrated vault; its role is dropped afterwards."""
    made = VaultDatabase(cluster, database)
    await made.migrate()
    try:
        yield made
    finally:
        async with made.owner() as connection:
            await connection.execute(f"DROP OWNED BY {made.gateway}; DROP ROLE {made.gateway}")


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what another task or the server brings about; fails after twenty seconds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - several things may bring it about
            await asyncio.sleep(0.01)


def run(postgres: Cluster, database: str, scenario: Callable[[VaultDatabase], Awaitable[None]]) -> None:
    """Runs a scenario on a fresh vault."""

    async def outer() -> None:
        async with migrated(postgres, database) as made:
            await scenario(made)

    asyncio.run(outer())


def some(tenant: TenantVault, count: int, start: int = 0) -> dict[bytes, bytes]:
    """Values and their tokens."""
    values = [b"person %d" % n for n in range(start, start + count)]
    return {tenant.token(PREFIX, value): value for value in values}
