"""What commands that act on the vault have in common: who does it, the tenant that is named, and the record of it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

from pgnym.admin import api_tokens
from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.cli.vaults import chosen
from pgnym.config import Config
from pgnym.vault.store import TenantVault, Vault


async def named_tenant(vault: Vault, name: str) -> TenantVault:
    """The tenant that ``--tenant`` names. Raises ConfigError if it is not there."""
    (found,) = chosen([known for known, _ in await api_tokens.tenants(vault)], name)
    return await vault.tenant(found)


async def record(vault: Vault, config: Config, operation: str, tenant: TenantVault | None, text: str) -> None:
    """Before it is done: an act without a record is worse than a record of an act that failed."""
    audit = AuditLog(vault)
    try:
        name = config.tenants.default if tenant is None else tenant.name
        await audit.write(
            AuditRecord(
                datetime.now(UTC),
                name,
                Actor(who(), "command"),
                Action.ADMIN,
                fingerprint=operation,
                text=text,
            )
        )
    finally:
        await audit.close()


def who() -> str:
    """The caller, as records name it."""
    return f"command line of {getpass.getuser()}"
