"""``pgnym token``: tokens of the admin endpoint, by the gateway's login and the master key."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from datetime import UTC, datetime

from pgnym.admin import api_tokens
from pgnym.admin.api_tokens import ApiToken, NewToken, Role
from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.cli.vaults import chosen, needed_key, opened_vault
from pgnym.config import Config, load
from pgnym.vault.store import TenantVault, Vault

DONE, FAILED = 0, 1


def create(options: argparse.Namespace) -> int:
    """Make a token; its secret is all that goes to standard output."""
    config = load(options.config)

    async def work() -> NewToken:
        async with opened_vault(config, needed_key(config)) as vault:
            tenant = None if options.tenant is None else await _tenant(vault, options.tenant)
            keeper = tenant or await vault.tenant(config.tenants.default)
            await _record(vault, config, "createApiToken", tenant, f"token create --role {options.role}")
            return await api_tokens.create(
                vault, keeper, options.name or options.role, Role(options.role), tenant, options.ttl, _who()
            )

    made = asyncio.run(work())
    print(f"token {made.token.id}, {_described(made.token)}; it is not shown again", file=sys.stderr)
    print(made.secret)
    return DONE


def show(options: argparse.Namespace) -> int:
    """One line for each token."""
    config = load(options.config)

    async def work() -> list[ApiToken]:
        async with opened_vault(config, needed_key(config)) as vault:
            return await api_tokens.listed(vault, None)

    now = datetime.now(UTC)
    for token in asyncio.run(work()):
        state = "revoked" if token.revoked else "valid" if token.valid(now) else "expired"
        print(f"{token.id}  {token.name}  {_described(token)}  by {token.created_by}  {state}")
    return DONE


def revoke(options: argparse.Namespace) -> int:
    """Revoke; 1 if there is no such token, or it was revoked before."""
    config = load(options.config)

    async def work() -> bool:
        async with opened_vault(config, needed_key(config)) as vault:
            await _record(vault, config, "revokeApiToken", None, f"token revoke {options.id}")
            return await api_tokens.revoke(vault, None, options.id)

    if asyncio.run(work()):
        print(f"token {options.id} is revoked", file=sys.stderr)
        return DONE
    print(f"pgnym: token {options.id} is not there, or was revoked before", file=sys.stderr)
    return FAILED


async def _tenant(vault: Vault, name: str) -> TenantVault:
    (found,) = chosen([known for known, _ in await api_tokens.tenants(vault)], name)
    return await vault.tenant(found)


async def _record(
    vault: Vault, config: Config, operation: str, tenant: TenantVault | None, text: str
) -> None:
    """Before it is done: an act without a record is worse than a record of an act that failed."""
    audit = AuditLog(vault)
    try:
        name = config.tenants.default if tenant is None else tenant.name
        actor = Actor(_who(), "command")
        await audit.write(
            AuditRecord(datetime.now(UTC), name, actor, Action.ADMIN, fingerprint=operation, text=text)
        )
    finally:
        await audit.close()


def _who() -> str:
    return f"command line of {getpass.getuser()}"


def _described(token: ApiToken) -> str:
    until = "without end" if token.expires is None else f"until {token.expires:%Y-%m-%d %H:%M} UTC"
    return f"{token.role.value} of {token.tenant or 'all tenants'}, {until}"
