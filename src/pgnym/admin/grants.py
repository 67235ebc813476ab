"""Grants over HTTP: made, listed, shown, revoked. What one does is in ``pgnym.vault.grants``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from pgnym.admin.application import OFFICERS, WATCHERS, Call
from pgnym.admin.fields import Moment, Name, Number, OfTenant
from pgnym.admin.problems import Problem
from pgnym.admin.routing import Reply, Route
from pgnym.vault import grants
from pgnym.vault.grants import Grant

LONGEST = timedelta(days=366)
Limit = Annotated[int, Meta(ge=0, le=2**62)]
Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class GrantBody(msgspec.Struct, frozen=True):
    """A grant. ``statement`` and ``minute``: values that may be given, null for any number."""

    id: int
    tenant: str
    db_user: str | None
    role: str | None
    purpose: str
    statement: int | None
    minute: int | None
    until: datetime
    reason: str
    created: datetime
    created_by: str
    revoked: datetime | None
    revoked_by: str | None
    state: str

    @classmethod
    def of(cls, grant: Grant) -> GrantBody:
        """The grant as it is shown."""
        return cls(
            grant.id, grant.tenant, grant.db_user, grant.role, grant.purpose, grant.statement, grant.minute,
            grant.until, grant.reason, grant.created, grant.created_by, grant.revoked, grant.revoked_by,
            grant.state(datetime.now(UTC)),
        )  # fmt: skip


class Grants(msgspec.Struct, frozen=True):
    """Grants, the newest first; at most 1000."""

    items: list[GrantBody]


class NewGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What grant to make: for a database user or a role of the configuration, whichever is named.

    A session must state ``purpose`` (pgnym.purpose). ``statement`` and ``minute``: values that may be given, null for any
    number. ``until``: at most a year ahead. ``tenant`` null: the caller's, else the default one.
    """

    purpose: Name
    statement: Limit | None
    minute: Limit | None
    until: Moment
    reason: Reason
    db_user: Name | None = None
    role: Name | None = None
    tenant: Name | None = None


async def list_grants(call: Call) -> Reply:
    """Those that have ended, too."""
    tenant = await call.tenant(call.query.tenant)
    return Reply(Grants([GrantBody.of(grant) for grant in await grants.listed(call.vault, tenant)]))


async def create_grant(call: Call) -> Reply:
    """In effect on the next statement."""
    wanted: NewGrant = call.body
    now = datetime.now(UTC)
    if (wanted.db_user is None) == (wanted.role is None):
        raise Problem(422, "the body: name one of db_user and role")
    if wanted.role is not None and wanted.role not in call.app.status.config.roles:
        raise Problem(422, "the body: the configuration has no such role")
    if not now < wanted.until <= now + LONGEST:
        raise Problem(422, f"the body: until must be ahead, by at most {LONGEST.days} days")
    tenant = await call.tenant(wanted.tenant)
    made = await grants.create(
        call.vault,
        tenant,
        grants.Wanted(
            wanted.db_user,
            wanted.role,
            wanted.purpose,
            wanted.statement,
            wanted.minute,
            wanted.until,
            wanted.reason,
        ),
        call.who,
    )
    return Reply(GrantBody.of(made), 201, {"Location": f"/v1/grants/{made.id}"})


async def show_grant(call: Call) -> Reply:
    """One."""
    found = await grants.listed(call.vault, await call.tenant(call.query.tenant), call.parameters.id)
    if not found:
        raise Problem(404, "there is no such grant")
    return Reply(GrantBody.of(found[0]))


async def revoke_grant(call: Call) -> Reply:
    """For good."""
    tenant = await call.tenant(call.query.tenant)
    if not await grants.listed(call.vault, tenant, call.parameters.id):
        raise Problem(404, "there is no such grant")
    if not await grants.revoke(call.vault, tenant, call.parameters.id, call.who):
        raise Problem(409, "the grant has been revoked before")
    return Reply(None, 204)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/grants", "listGrants", "Grants", list_grants, Grants, WATCHERS, query=OfTenant),
    Route(
        "POST", "/v1/grants", "createGrant", "Lift the reveal budget for a purpose and a time", create_grant, GrantBody,
        OFFICERS, status=201, body=NewGrant,
    ),
    Route(
        "GET", "/v1/grants/{id}", "showGrant", "A grant", show_grant, GrantBody, WATCHERS, parameters=Number,
        query=OfTenant,
    ),
    Route(
        "DELETE", "/v1/grants/{id}", "revokeGrant", "End a grant", revoke_grant, None, OFFICERS, status=204,
        parameters=Number, query=OfTenant, refusals=frozenset({409}),
    ),
)  # fmt: skip
