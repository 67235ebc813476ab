"""``pgnym grant``: what lifts the reveal budget, by the gateway's login and the master key."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from pgnym.cli.acts import named_tenant, record, who
from pgnym.cli.vaults import needed_key, opened_vault
from pgnym.config import ConfigError, load
from pgnym.vault import grants
from pgnym.vault.grants import Grant, Wanted

DONE, FAILED = 0, 1


def create(options: argparse.Namespace) -> int:
    """Make one; its number goes to standard output."""
    config = load(options.config)
    if options.role is not None and options.role not in config.roles:
        raise ConfigError("--role", "the configuration has no such role", "name one of roles:, or --user")
    wanted = Wanted(
        options.user,
        options.role,
        options.purpose,
        options.statement,
        options.minute,
        datetime.now(UTC) + options.ttl,
        options.reason,
    )

    async def work() -> Grant:
        async with opened_vault(config, needed_key(config)) as vault:
            tenant = await named_tenant(vault, options.tenant or config.tenants.default)
            await record(vault, config, "createGrant", tenant, f"grant create for {options.purpose}")
            return await grants.create(vault, tenant, wanted, who())

    made = asyncio.run(work())
    print(f"grant {made.id}: {_described(made)}", file=sys.stderr)
    print(made.id)
    return DONE


def show(options: argparse.Namespace) -> int:
    """One line for each."""
    config = load(options.config)

    async def work() -> list[Grant]:
        async with opened_vault(config, needed_key(config)) as vault:
            tenant = await named_tenant(vault, options.tenant or config.tenants.default)
            return await grants.listed(vault, tenant)

    for grant in asyncio.run(work()):
        state = grant.state(datetime.now(UTC))
        print(f"{grant.id}  {_described(grant)}  by {grant.created_by}: {grant.reason}  {state}")
    return DONE


def revoke(options: argparse.Namespace) -> int:
    """End one; 1 if there is none, or it was revoked before."""
    config = load(options.config)

    async def work() -> bool:
        async with opened_vault(config, needed_key(config)) as vault:
            tenant = await named_tenant(vault, options.tenant or config.tenants.default)
            await record(vault, config, "revokeGrant", tenant, f"grant revoke {options.id}")
            return await grants.revoke(vault, tenant, options.id, who())

    if asyncio.run(work()):
        print(f"grant {options.id} is revoked", file=sys.stderr)
        return DONE
    print(f"pgnym: grant {options.id} is not there, or was revoked before", file=sys.stderr)
    return FAILED


def _described(grant: Grant) -> str:
    whose = f"user {grant.db_user}" if grant.role is None else f"role {grant.role}"
    limits = f"{_limit(grant.statement)} per statement, {_limit(grant.minute)} per minute"
    return f"{whose} for {grant.purpose}, {limits}, until {grant.until:%Y-%m-%d %H:%M:%S} UTC"


def _limit(limit: int | None) -> str:
    return "any number" if limit is None else str(limit)
