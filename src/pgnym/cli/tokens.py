"""``pgnym token``: tokens of the admin endpoint, by the gateway's login and the master key."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from pgnym.admin import api_tokens
from pgnym.admin.api_tokens import ApiToken, NewToken, Role
from pgnym.cli.acts import named_tenant, record, who
from pgnym.cli.vaults import needed_key, opened_vault
from pgnym.config import load

DONE, FAILED = 0, 1


def create(options: argparse.Namespace) -> int:
    """Make a token; its secret is all that goes to standard output."""
    config = load(options.config)

    async def work() -> NewToken:
        async with opened_vault(config, needed_key(config)) as vault:
            tenant = None if options.tenant is None else await named_tenant(vault, options.tenant)
            keeper = tenant or await vault.tenant(config.tenants.default)
            await record(vault, config, "createApiToken", tenant, f"token create --role {options.role}")
            return await api_tokens.create(
                vault, keeper, options.name or options.role, Role(options.role), tenant, options.ttl, who()
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
            await record(vault, config, "revokeApiToken", None, f"token revoke {options.id}")
            return await api_tokens.revoke(vault, None, options.id)

    if asyncio.run(work()):
        print(f"token {options.id} is revoked", file=sys.stderr)
        return DONE
    print(f"pgnym: token {options.id} is not there, or was revoked before", file=sys.stderr)
    return FAILED


def _described(token: ApiToken) -> str:
    until = "without end" if token.expires is None else f"until {token.expires:%Y-%m-%d %H:%M} UTC"
    return f"{token.role.value} of {token.tenant or 'all tenants'}, {until}"
