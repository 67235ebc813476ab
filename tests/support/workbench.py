"""plan, apply, undo and verify on a test database, without the command line."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym import onboard
from pgnym.config import Config, parse
from pgnym.semantics.folding import fold
from pgnym.vault.keys import MasterKey
from pgnym.vault.orders import Codes
from pgnym.vault.store import Vault
from pgnym.wire.codecs import identity
from pgnym.wire.inside import CONTAINERS
from support.cluster import SUPERUSER, Cluster

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

KEY = b"0123456789abcdef0123456789abcdef"
PASSWORD = secrets.token_hex(8)


@dataclass
class Workbench:
    """One database with its configuration. ``app`` and ``vault`` are the owner's connections."""

    config: Config
    app: Connection
    vault: Connection
    tools: onboard.Tools

    async def plan(self) -> onboard.OnboardPlan:
        """What there is to do."""
        return await onboard.plan(self.config, self.app, self.vault)

    async def apply(self) -> list[str]:
        """Do it; afterwards nothing is left to do."""
        advice = await onboard.apply(await self.plan(), self.tools)
        assert (await self.plan()).empty
        return advice

    async def undo(self, label: str) -> list[str]:
        """Give a table its plaintext back."""
        return await onboard.undo(self.tools, label)

    async def verify(self) -> onboard.Verdict:
        """Does everything open?"""
        return await onboard.verify(self.tools)

    async def blockers(self) -> list[str]:
        """What is in the way, as text."""
        return [f"{b.where}: {b.text}" for b in (await self.plan()).blockers]

    async def warnings(self) -> list[str]:
        """What to know, as text."""
        return [f"{w.where}: {w.text}" for w in (await self.plan()).warnings]


@asynccontextmanager
async def workbench(
    cluster: Cluster,
    database: str,
    yaml: str,
    vault: tuple[Cluster, str] | None = None,
    owner: str = SUPERUSER,
) -> AsyncIterator[Workbench]:
    """A workbench for ``database`` under the configuration ``yaml``, used as ``owner``.

    ``vault``: the server and database that the vault lies in, if not the same.
    """
    config = parse(yaml)
    store, name = vault or (cluster, database)
    if vault is not None:
        config = parse(f"{yaml}\nvault: {{url: 'postgresql://{store.host}:{store.port}/{name}'}}")
    app: Connection = await asyncpg.connect(cluster.url(database, user=owner))
    vault_owner: Connection = await asyncpg.connect(store.url(name, user=owner))
    opened: list[Vault] = []

    async def open_tenant(tenant: str) -> onboard.Tokens:
        if not opened:
            where = store.url(name, user=config.vault.user, password=PASSWORD)
            opened.append(
                await Vault.open(
                    where, MasterKey(KEY), same_cluster=vault is None, fold=fold, codes=Codes(later=True)
                )
            )
        return await opened[0].tenant(tenant)

    try:
        yield Workbench(
            config,
            app,
            vault_owner,
            onboard.Tools(config, app, vault_owner, open_tenant, identity, CONTAINERS, PASSWORD),
        )
    finally:
        for each in opened:
            await each.close()
        await app.close()
        await vault_owner.close()
