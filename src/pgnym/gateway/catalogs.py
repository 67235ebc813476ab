"""The current catalog snapshot, and when it is read anew.

It is read at start, when a session that has run DDL plans its next statement, when a statement names what the snapshot
doesn't know, and when the server's own counters say that someone else has changed a catalog table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.config import Config
from pgnym.gateway.engine import Engine
from pgnym.gateway.reports import GatewayError
from pgnym.sql import collating, load
from pgnym.sql.catalog import Catalog, Protection
from pgnym.sql.signing import NamedSignature, NamedSignatures, with_signatures

if TYPE_CHECKING:
    from asyncpg import Connection, Record

POLL_SECONDS = 2.0
_TABLES = frozenset("rpf")
_CHANGES = """
SELECT pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del)::pg_catalog.int8
FROM pg_catalog.pg_stat_sys_tables
WHERE schemaname = 'pg_catalog' AND relname IN
  ('pg_attribute', 'pg_class', 'pg_collation', 'pg_constraint', 'pg_inherits',
   'pg_namespace', 'pg_proc', 'pg_rewrite', 'pg_type')
"""

_QUERIES = (
    load.RELATIONS,
    load.COLUMNS,
    load.TYPES,
    load.FUNCTIONS,
    load.CHECKS,
    collating.COLLATIONS,
    collating.COLUMN_COLLATIONS,
)

Connect = Callable[[], Awaitable["Connection[Record]"]]
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Catalogs:
    """Holds the newest ``Engine``.

    ``connect`` opens a connection of the gateway's own to the protected database, ``registry`` one to where the vault lies.
    """

    def __init__(self, connect: Connect, registry: Connect, signatures: NamedSignatures) -> None:
        self._connect = connect
        self._connect_registry = registry
        self._signatures = signatures
        self._connection: Connection[Record] | None = None
        self._registry: Connection[Record] | None = None
        self._lock = asyncio.Lock()
        self._readings = 0  # begun so far
        self._changes: int | None = None
        self._poller: asyncio.Task[None] | None = None
        self._log = logging.getLogger("pgnym.catalog")
        self._epoch = 0
        self._rows = load.CatalogRows((), (), (), (), (), ())
        self._seen: dict[tuple[str, str], dict[str, Protection | None]] = {}
        self.on_protection: Callable[[], None] = lambda: None
        """Called when other columns are protected than before, or in another way."""
        self.current = Engine(Catalog(epoch=0))

    async def start(self) -> None:
        """Read the catalog for the first time. Raises what ``refresh`` raises."""
        await self.refresh()
        self._poller = asyncio.get_running_loop().create_task(self._poll())

    async def close(self) -> None:
        """Stop polling and disconnect."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
            self._poller = None
        self._drop()

    async def refresh(self) -> None:
        """Read the catalog. Callers that come while one reading is under way share the next.

        Raises ``GatewayError`` 08006 if the database can't be read; the snapshot is then the old one.
        """
        wanted = self._readings + 1
        async with self._lock:
            if self._readings >= wanted:
                return
            self._readings += 1
            try:
                connection = await self._ready()
                self._changes = await connection.fetchval(_CHANGES)
                catalog = await self._read(connection, self._epoch + 1)
            except FAILURES as error:
                self._drop()
                raise GatewayError(
                    "08006",
                    f"the catalog of the protected database can't be read ({type(error).__name__})",
                    hint="Check upstream and vault.user in the configuration, and that `pgnym apply` has run.",
                ) from error
            self._epoch += 1
            self.current = Engine(catalog)
            if self._changed(catalog):
                self.on_protection()

    async def _read(self, connection: Connection[Record], epoch: int) -> Catalog:
        if self._registry is None or self._registry.is_closed():
            self._registry = await self._connect_registry()
        self._rows = await read_rows(connection, self._registry)
        return with_signatures(self._rows.build(epoch), self._signatures)

    def within(self, snapshot: bytes) -> Engine:
        """The engine of the catalog as a transaction of a client sees it (one row of ``load.SNAPSHOT``)."""
        found = msgspec.json.decode(snapshot)
        parts = {name: found[name] or [] for name in load.SNAPSHOT_PARTS}
        rows = replace(self._rows, path=tuple(found["path"]), **parts)
        return Engine(with_signatures(rows.build(self._epoch), self._signatures))

    def _changed(self, catalog: Catalog) -> bool:
        """Whether a column is protected otherwise than when one of its name was last seen in that table, however long ago.

        What was prepared on it then is planned wrongly now. A new name doesn't matter, as nothing is prepared on it, nor do
        temporary tables, which only one session knows.
        """
        changed = False
        for key, relation in catalog.relations.items():
            if relation.kind not in _TABLES or key[0].startswith("pg_temp_"):
                continue
            now = {column.name: column.protection for column in relation.columns}
            before = self._seen.setdefault(key, now)
            if before is not now:
                changed = changed or any(before.get(name, own) != own for name, own in now.items())
                before.update(now)
        return changed

    async def _ready(self) -> Connection[Record]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _drop(self) -> None:
        for connection in (self._connection, self._registry):
            if connection is not None:
                connection.terminate()
        self._connection = self._registry = None

    async def _poll(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                async with self._lock:
                    changes = await (await self._ready()).fetchval(_CHANGES)
                if changes != self._changes:
                    await self.refresh()
                failing = False
            except (*FAILURES, GatewayError) as error:
                self._drop()
                if not failing:
                    self._log.warning("the catalog can't be read: %s", type(error).__name__)
                failing = True


def signatures_of(config: Config) -> NamedSignatures:
    """The signatures of the configuration, by schema and name."""
    found = {}
    for name, function in config.functions.items():
        schema, _, own = name.partition(".")
        found[schema, own] = NamedSignature(function.arguments, function.named_results())
    return found


async def read_catalog(
    connection: Connection[Record], registry: Connection[Record], epoch: int, signatures: NamedSignatures
) -> Catalog:
    """One snapshot. Raises what asyncpg raises."""
    return with_signatures((await read_rows(connection, registry)).build(epoch), signatures)


async def read_rows(connection: Connection[Record], registry: Connection[Record] | None) -> load.CatalogRows:
    """What a snapshot is built from: all queries see the same state of the catalog. ``registry`` None: there is none yet.

    The registry is read first: a column that becomes protected meanwhile then has a CHECK without entry, and is refused.
    Raises what asyncpg raises.
    """
    registered = [] if registry is None else [tuple(row) for row in await registry.fetch(load.REGISTRY)]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(load.SETUP)
        relations, columns, types, functions, checks, known, used = [
            [tuple(row) for row in await connection.fetch(query)] for query in _QUERIES
        ]
    return load.CatalogRows(relations, columns, types, functions, checks, registered, known, used)
