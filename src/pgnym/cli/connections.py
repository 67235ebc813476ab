"""Connections of commands: the owner's, by URL. (The gateway's own login is in ``gateway/logins.py``.)"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from pgnym.config import Config, ConfigError, admin_url

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection  # not subscriptable when it runs

VAULT_ADMIN_URL = "PGNYM_VAULT_ADMIN_URL"
NAME = {"application_name": "pgnym command"}


@asynccontextmanager
async def owners(
    config: Config, url: str | None, vault_url: str | None
) -> AsyncIterator[tuple[Connection, Connection]]:
    """The owner's sessions of the protected database and of the vault's. Raises ConfigError if a URL is missing."""
    app_url = admin_url(url, os.environ)
    if config.vault.url is None:
        vault_owner = app_url
    else:
        vault_owner = vault_url or os.environ.get(VAULT_ADMIN_URL) or ""
        if not vault_owner:
            hint = f"the vault lies on another server (vault.url): give its owner's URL, or set {VAULT_ADMIN_URL}"
            raise ConfigError("--vault-url", "missing", hint)
    app: Connection = await asyncpg.connect(
        app_url, timeout=config.upstream.connect_timeout or 60, server_settings=NAME
    )
    try:
        vault: Connection = await asyncpg.connect(
            vault_owner, timeout=config.vault.timeout or 60, server_settings=NAME
        )
        try:
            yield app, vault
        finally:
            await vault.close()
    finally:
        await app.close()


async def same_database(one: Connection, other: Connection) -> bool:
    """Whether two connections lead to the same database of the same running server."""
    query = (
        "SELECT pg_catalog.pg_postmaster_start_time(), oid::bigint FROM pg_catalog.pg_database"
        " WHERE datname = pg_catalog.current_database()"
    )
    return tuple(await one.fetchrow(query) or ()) == tuple(await other.fetchrow(query) or ())
