"""Keys over HTTP: which there are, how old and how used. Nothing here gives or takes one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from pgnym.admin.api_tokens import Role
from pgnym.admin.application import Call
from pgnym.admin.routing import Reply, Route
from pgnym.vault.key_status import Keys, keys_of

_WATCHERS = frozenset({Role.ROOT, Role.OPERATOR, Role.AUDITOR, Role.DPO})


class KeysQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In the query."""

    tenant: Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None


async def show_keys(call: Call) -> Reply:
    """Of the tenant named, or of all that the token is for. Counts all values."""
    tenant = await call.scope(call.query.tenant)
    only = None if tenant is None else tenant.name
    found: Keys = await call.vault.administer(lambda connection: keys_of(connection, only))
    return Reply(found)


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/keys", "showKeys", "Keys, their ages and use", show_keys, Keys, _WATCHERS, query=KeysQuery
    ),
)
"""The operations."""
