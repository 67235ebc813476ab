"""The vault as commands open it: by the gateway's login and the configured master key."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from pgnym.config import Config, ConfigError, master_key
from pgnym.gateway.logins import upstream_login, vault_login
from pgnym.vault.connection import Connector
from pgnym.vault.keys import MasterKey
from pgnym.vault.orders import Codes
from pgnym.vault.store import Vault

TENANTS = "SELECT name FROM vault.tenant ORDER BY id"


def needed_key(config: Config) -> bytes:
    """The master key. Raises ConfigError if there is none."""
    key = master_key(config, os.environ)
    if key is None:
        hint = "set PGNYM_MASTER_KEY or keys.master_key_file; a first one comes from: pgnym keys generate"
        raise ConfigError("keys.master_key_file", "no master key", hint)
    return key


async def open_vault(
    config: Config, key: bytes, fold: Callable[[bytes], str] | None = None, *, codes_later: bool = False
) -> Vault:
    """The vault, to be closed by the caller. ``fold``, ``codes_later``: where values are put. Errors: ``Vault.open``."""
    return await Vault.open(
        vault_login(config, os.environ),
        MasterKey(key),
        same_cluster=config.vault.url is None,
        fold=fold,
        codes=Codes(Connector(upstream_login(config, os.environ)), later=codes_later),
        connect_timeout=config.vault.timeout or 60,
    )


@asynccontextmanager
async def opened_vault(config: Config, key: bytes) -> AsyncIterator[Vault]:
    """The same, closed at the end."""
    vault = await open_vault(config, key)
    try:
        yield vault
    finally:
        await vault.close()


def chosen(names: Sequence[str], only: str | None) -> list[str]:
    """All tenants, or the one that ``--tenant`` names. Raises ConfigError if it is not there."""
    if only is None:
        return list(names)
    if only not in names:
        raise ConfigError("--tenant", f"no tenant {only!r}", f"there are: {', '.join(names) or 'none'}")
    return [only]
