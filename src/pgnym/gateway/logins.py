"""The gateway's own login, as arguments of ``asyncpg.connect``: to the protected database, and to where the vault lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgnym.config import Config, vault_password
from pgnym.gateway.upstream import tls_context


def upstream_login(config: Config, environment: Mapping[str, str]) -> dict[str, Any]:
    """To the protected database. Raises what ``vault_password`` and ``tls_context`` raise."""
    upstream = config.upstream
    secure = tls_context(upstream)
    tls = upstream.sslmode if upstream.sslmode in ("prefer", "allow") and secure is not None else secure
    return {
        "host": upstream.host,
        "port": upstream.port,
        "database": upstream.database,
        "user": config.vault.user,
        "password": vault_password(config, environment),
        "ssl": False if tls is None else tls,
    }


def vault_login(config: Config, environment: Mapping[str, str]) -> dict[str, Any]:
    """To where the vault lies: ``vault.url`` names server and database, the login is the gateway's own."""
    if config.vault.url is None:
        return upstream_login(config, environment)
    password = vault_password(config, environment)
    return {"dsn": config.vault.url, "user": config.vault.user, "password": password}
