"""Keys over HTTP: which there are, how old and how used. Nothing here gives or takes one."""

from __future__ import annotations

from pgnym.admin.application import WATCHERS, Call
from pgnym.admin.fields import OfTenant
from pgnym.admin.routing import Reply, Route
from pgnym.vault.key_status import Keys, keys_of


async def show_keys(call: Call) -> Reply:
    """Of the tenant named, or of all that the token is for. Counts all values."""
    tenant = await call.scope(call.query.tenant)
    only = None if tenant is None else tenant.name
    found: Keys = await call.vault.administer(lambda connection: keys_of(connection, only))
    return Reply(found)


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/keys", "showKeys", "Keys, their ages and use", show_keys, Keys, WATCHERS, query=OfTenant
    ),
)
"""The operations."""
