"""Whose rows they are: the tenant's under whose keys their values are sealed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import asyncpg

from pgnym.privacy.errors import OthersRows, unknown_subject
from pgnym.vault.connection import set_tenant
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_COUNT = "SELECT count(*) FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[])"


async def refuse_others(vault: Connection, tenant: TenantVault, tokens: Collection[bytes]) -> None:
    """Raise OthersRows where some of the tokens are another tenant's: what is done would be done to the other's rows.

    ``vault``: within a transaction; the tenant is set on it afterwards.
    """
    names = sorted(token.decode("ascii") for token in tokens)
    others = await vault.fetch("SELECT id, name FROM vault.tenant WHERE id <> $1", tenant.id)
    for identifier, name in others:
        await set_tenant(vault, identifier)
        found = await vault.fetchval(_COUNT, identifier, names)
        if found:
            await set_tenant(vault, tenant.id)
            raise OthersRows(
                f"{found} values of that subject are tenant {name}'s", hint=f"Name the tenant: {name}."
            )
    await set_tenant(vault, tenant.id)


async def confine(vault: Connection, tenant: TenantVault, tokens: Collection[bytes], table: str) -> None:
    """Raise UnknownSubject unless the rows are this tenant's, as far as tokens tell: none is another's, and where there are
    several tenants, one at least is theirs."""
    async with vault.transaction():
        try:
            await refuse_others(vault, tenant, tokens)
        except OthersRows:
            raise unknown_subject(table) from None
        await set_tenant(vault, tenant.id)
        names = sorted(token.decode("ascii") for token in tokens)
        if not await vault.fetchval(_COUNT, tenant.id, names) and (
            await vault.fetchval("SELECT count(*) FROM vault.tenant") > 1
        ):
            raise unknown_subject(table)
