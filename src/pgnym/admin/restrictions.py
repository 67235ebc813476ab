"""Restriction of processing over HTTP (Art. 18 GDPR): values of a subject are held back, until that is lifted."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from pgnym.admin.application import OFFICERS, READERS, Call
from pgnym.admin.consents import subject_of
from pgnym.admin.problems import Problem
from pgnym.admin.routing import Reply, Route
from pgnym.admin.subjects import SubjectId, WhoseQuery, at_work, confined
from pgnym.privacy import restricting
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.restricting import Wanted
from pgnym.privacy.tenancy import confine
from pgnym.vault import restrictions
from pgnym.vault.consents import Subject
from pgnym.vault.restrictions import LEASE, RESTRICT, Event, NoChange
from pgnym.vault.store import TenantVault

_MARGIN = 0.2  # a clock may be a little slower than another


class RestrictionEvent(msgspec.Struct, frozen=True):
    """What was done. ``request``: of the subject, that it followed from. ``sound`` false: it was changed since.
    The last one then counts as a restriction."""

    action: str
    time: datetime
    by: str
    reason: str
    request: UUID | None
    shared: str
    sound: bool


class SubjectRestriction(msgspec.Struct, frozen=True):
    """Whether the subject's values are held back, and the history of that, oldest first.
    ``configured``: it can be changed."""

    configured: bool
    restricted: bool
    history: list[RestrictionEvent]


class ChangeRestriction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``reason`` is kept sealed. ``shared``: what becomes of values that others have too. ``request``: the approved request
    of the subject that it follows from."""

    action: Literal["restrict", "lift"]
    reason: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
    shared: Literal["withhold", "show"] = "withhold"
    request: UUID | None = None


async def show(call: Call) -> Reply:
    """Empty for who never was restricted."""
    return Reply(await _state(call, await call.tenant(call.query.tenant), subject_of(call)))


async def change(call: Call) -> Reply:
    """Holds at every gateway once this is answered."""
    body: ChangeRestriction = call.body
    subject = subject_of(call)
    if call.app.status.config.privacy.restriction is None:
        raise Problem(409, "restriction of processing is not configured (privacy.restriction)")
    if body.action == RESTRICT:
        async with at_work(call, subject.table, call.query.tenant) as (desk, places, tenant, _):
            tokens = await desk.tokens(places, subject.id)
            if confined(call):
                await confine(desk.store, tenant, tokens, subject.table)
            await restricting.require_links(desk.app, tokens, subject)
    tenant = await call.tenant(call.query.tenant)
    wanted = Wanted(body.action, body.reason, body.shared == "show", body.request)
    try:
        await call.vault.administer(
            lambda connection: restricting.record(connection, tenant, subject, wanted, call.who)
        )
    except PrivacyError as error:
        raise Problem(409, f"{error.message}. {error.hint}".strip()) from None
    except NoChange as error:
        raise Problem(409, error.message) from None
    await asyncio.sleep(LEASE + _MARGIN)
    return Reply(await _state(call, tenant, subject), 201)


async def _state(call: Call, tenant: TenantVault, subject: Subject) -> SubjectRestriction:
    events: list[Event] = await call.vault.administer(
        lambda connection: restrictions.events_of(connection, tenant, subject)
    )
    told = msgspec.convert(restricting.told(tenant, events), list[RestrictionEvent])
    configured = call.app.status.config.privacy.restriction is not None
    return SubjectRestriction(configured, bool(events) and events[-1].holds_back, told)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/subjects/{id}/restriction", "showRestriction", "Whether a subject's values are held back", show,
          SubjectRestriction, READERS, parameters=SubjectId, query=WhoseQuery),
    Route("POST", "/v1/subjects/{id}/restriction", "changeRestriction", "Hold a subject's values back, or no longer", change,
          SubjectRestriction, OFFICERS, status=201, parameters=SubjectId, query=WhoseQuery, body=ChangeRestriction,
          refusals=frozenset({409}), secret_body=True),
)  # fmt: skip
"""The operations above."""
