"""The operations of the admin endpoint, and their table."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from pgnym.admin import api_tokens, consents, grants, keys, register, requests, restrictions, subjects
from pgnym.admin.api_tokens import ApiToken, Role
from pgnym.admin.application import ANYONE, READERS, WATCHERS, Call, sealed
from pgnym.admin.conditions import Condition
from pgnym.admin.fields import Moment, Name, Number, OfTenant, Text
from pgnym.admin.metrics import METRICS
from pgnym.admin.overview import ROUTES as OVERVIEW
from pgnym.admin.paging import cursor_of, read_cursor
from pgnym.admin.portal_files import ROUTES as PORTAL
from pgnym.admin.problems import Problem
from pgnym.admin.routing import IfMatch, Reply, Route
from pgnym.admin.seal import SealState, Unseal, possible, unseal
from pgnym.audit.reading import Filter, Place, read
from pgnym.audit.verify import verify
from pgnym.vault.shares import Progress

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_PAGE_BYTES = 1024 * 1024
_MAX_TTL = 10 * 366 * 24 * 3600


class Health(msgspec.Struct, frozen=True):
    """In one word."""

    status: str


async def health(call: Call) -> Reply:
    """Alive: the event loop answers."""
    return Reply(Health("alive"))


async def readiness(call: Call) -> Reply:
    """Ready for SQL clients: unsealed, and not shutting down."""
    if call.app.status.draining:
        raise Problem(503, "the gateway takes no new connections", title="Shutting down")
    if call.app.status.sealed:
        raise sealed(call.app.status)
    return Reply(Health("ready"))


async def description(call: Call) -> Reply:
    """This interface."""
    return Reply(call.app.description)


async def seal_state(call: Call) -> Reply:
    """The seal."""
    status = call.app.status
    progress = status.sealing.progress if status.sealing is not None else Progress(0, 0)
    return Reply(SealState(status.sealed, progress.given, progress.needed))


async def give(call: Call) -> Reply:
    """A share, or the key."""
    await unseal(call.app.status.sealing, call.body)
    return await seal_state(call)


async def seal(call: Call) -> Reply:
    """Sessions end, keys are wiped."""
    await possible(call.app.status.sealing).seal()
    return await seal_state(call)


class TokenBody(msgspec.Struct, frozen=True):
    """An API token. ``tenant`` null: all tenants. ``secret``: only in the answer to its creation."""

    id: int
    name: str
    role: Role
    tenant: str | None
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    secret: str | None = None

    @classmethod
    def of(cls, token: ApiToken, secret: str | None = None) -> TokenBody:
        """The token as it is shown."""
        return cls(
            token.id, token.name, token.role, token.tenant, token.created, token.created_by, token.expires,
            token.revoked, token.last_used, secret,
        )  # fmt: skip


class Tokens(msgspec.Struct, frozen=True):
    """API tokens, oldest first; at most 1000."""

    items: list[TokenBody]


class NewTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What token to make. ``tenant`` null: the caller's; all tenants, if that is the caller's. ``ttl`` in seconds."""

    role: Role
    name: Name
    tenant: Name | None = None
    ttl: Annotated[int, Meta(ge=1, le=_MAX_TTL)] | None = None


async def list_tokens(call: Call) -> Reply:
    """Without their secrets."""
    found = await api_tokens.listed(call.vault, await call.scope(call.query.tenant))
    return Reply(Tokens([TokenBody.of(token) for token in found]))


async def create_token(call: Call) -> Reply:
    """Shown once."""
    wanted: NewTokenBody = call.body
    lifetime = None if wanted.ttl is None else timedelta(seconds=wanted.ttl)
    scope = await call.scope(wanted.tenant)
    keeper = scope or await call.tenant(None)
    made = await api_tokens.create(call.vault, keeper, wanted.name, wanted.role, scope, lifetime, call.who)
    headers = {"Location": f"/v1/api-tokens/{made.token.id}", "ETag": made.token.tag}
    return Reply(TokenBody.of(made.token, made.secret), 201, headers)


async def show_token(call: Call) -> Reply:
    """One."""
    token = await _token(call)
    return Reply(TokenBody.of(token), headers={"ETag": token.tag})


async def revoke_token(call: Call) -> Reply:
    """Takes effect with the next request, on all gateways."""
    token = await _token(call)
    Condition.of(call).require(token.tag)
    if not await api_tokens.revoke(call.vault, await call.scope(None), token.id):
        raise Problem(409, "the token has been revoked before")
    return Reply(None, 204)


async def _token(call: Call) -> ApiToken:
    found = await api_tokens.listed(call.vault, await call.scope(None), call.parameters.id)
    if not found:
        raise Problem(404, "there is no such token")
    return found[0]


class Tenant(msgspec.Struct, frozen=True):
    """A tenant."""

    name: str
    created: datetime


class Tenants(msgspec.Struct, frozen=True):
    """The tenants that the token is for."""

    items: list[Tenant]


async def list_tenants(call: Call) -> Reply:
    """All, or the token's own."""
    own = call.allowed(None)
    found = await api_tokens.tenants(call.vault)
    return Reply(Tenants([Tenant(name, created) for name, created in found if own in (None, name)]))


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which records: all that is given must hold. ``since`` is included, ``until`` isn't."""

    tenant: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    actor: Text | None = None
    role: Text | None = None
    action: Text | None = None
    decision: Literal["allowed", "denied"] | None = None
    domain: Text | None = None
    purpose: Text | None = None
    fingerprint: Text | None = None
    order: Literal["oldest", "newest"] = "newest"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class AuditRecordBody(msgspec.Struct, frozen=True):
    """A record. ``text``: the statement without its constants, or the call. ``opened`` false: it was changed.

    ``grant``: the number of the one under which values were given.
    """

    time: datetime
    tenant: str
    writer: UUID
    sequence: int
    action: str
    decision: str
    db_user: str
    role: str
    client_address: str
    application_name: str
    purpose: str
    fingerprint: str
    counts: dict[str, int]
    text: str
    tokens: list[str]
    opened: bool
    grant: int | None


class AuditPage(msgspec.Struct, frozen=True):
    """Records, and the ``cursor`` for those that follow (null: no more)."""

    items: list[AuditRecordBody]
    next: str | None


_Cursor = tuple[bool, Moment, UUID, Annotated[int, Meta(ge=0, le=2**63 - 1)]]


async def show_audit(call: Call) -> Reply:
    """A page of at most ``limit`` records and some megabytes."""
    wanted: AuditQuery = call.query
    tenant = await call.tenant(wanted.tenant)
    which = Filter(
        wanted.since, wanted.until, wanted.actor, wanted.role, wanted.action, wanted.decision, wanted.domain,
        wanted.purpose, wanted.fingerprint,
    )  # fmt: skip
    newest = wanted.order == "newest"
    after: Place | None = None
    if wanted.cursor is not None:
        order, *place = read_cursor(wanted.cursor, _Cursor)
        if order is not newest:
            raise Problem(400, "the cursor is not one that the same query gave")
        after = Place(*place)

    async def page(connection: Connection) -> AuditPage:
        items: list[AuditRecordBody] = []
        size = 0
        last: Place | None = None
        async with aclosing(
            read(
                connection, tenant.id, tenant.name, tenant.audit_key, which, newest_first=newest, after=after
            )
        ) as records:
            async for record in records:
                if len(items) == wanted.limit or size > _PAGE_BYTES:
                    assert last is not None
                    return AuditPage(items, cursor_of(newest, last.time, last.writer, last.sequence))
                items.append(msgspec.convert(record.shown(), AuditRecordBody))
                size += 500 + len(record.text) + 33 * len(record.tokens)
                last = Place(record.time, record.writer, record.sequence)
        return AuditPage(items, None)

    return Reply(await call.vault.administer(page))


class Verdict(msgspec.Struct, frozen=True):
    """Whether the log is as it was written; else what is wrong."""

    tenant: str
    sound: bool
    records: int
    writers: int
    checkpoints: int
    unchained: int
    findings: list[str]
    more_findings: int


_MOST_FINDINGS = 1000


async def verify_audit(call: Call) -> Reply:
    """Reads all of the tenant's log, for at most two minutes."""
    tenant = await call.tenant(call.query.tenant)
    audit = call.app.status.audit
    heads = audit.heads(tenant.name) if audit is not None else {}
    found = await call.vault.administer(
        lambda connection: verify(connection, tenant.id, tenant.name, tenant.audit_key, heads=heads)
    )
    told = [str(finding) for finding in found.findings[:_MOST_FINDINGS]]
    more = max(0, len(found.findings) - _MOST_FINDINGS)
    return Reply(
        Verdict(
            tenant.name,
            found.sound,
            found.records,
            found.writers,
            found.checkpoints,
            found.unchained,
            told,
            more,
        )
    )


_SEALERS = frozenset({Role.ROOT, Role.OPERATOR})
_ROOT = frozenset({Role.ROOT})

ROUTES: tuple[Route, ...] = (
    Route("GET", "/healthz", "health", "Is it alive?", health, Health, ANYONE, sealed=True, audited=False),
    Route("GET", "/readyz", "readiness", "Does it serve?", readiness, Health, ANYONE, sealed=True, audited=False),
    METRICS,
    *OVERVIEW,
    *PORTAL,
    Route(
        "GET", "/openapi.json", "describe", "This description", description, dict[str, Any], ANYONE, sealed=True,
        audited=False,
    ),
    Route("GET", "/v1/seal", "showSeal", "Is it sealed?", seal_state, SealState, ANYONE, sealed=True),
    Route("POST", "/v1/seal", "seal", "Seal it", seal, SealState, _SEALERS, first=True),
    Route(
        "POST", "/v1/unseal", "unseal", "Give a share, or the key", give, SealState, ANYONE, body=Unseal, sealed=True,
        secret_body=True,
    ),
    Route("GET", "/v1/api-tokens", "listApiTokens", "API tokens", list_tokens, Tokens, _ROOT, query=OfTenant),
    Route(
        "POST", "/v1/api-tokens", "createApiToken", "Make a token", create_token, TokenBody, _ROOT, status=201,
        body=NewTokenBody,
    ),
    Route(
        "GET", "/v1/api-tokens/{id}", "showApiToken", "A token", show_token, TokenBody, _ROOT, parameters=Number
    ),
    Route(
        "DELETE", "/v1/api-tokens/{id}", "revokeApiToken", "Revoke a token", revoke_token, None, _ROOT, status=204,
        parameters=Number, if_match=IfMatch.MAY,
    ),
    Route("GET", "/v1/tenants", "listTenants", "Tenants", list_tenants, Tenants, WATCHERS),
    Route("GET", "/v1/audit", "showAudit", "Records of the audit log", show_audit, AuditPage, READERS, query=AuditQuery),
    Route(
        "GET", "/v1/audit/verify", "verifyAudit", "Is the log as it was written?", verify_audit, Verdict, READERS,
        query=OfTenant,
    ),
    *subjects.ROUTES,
    *consents.ROUTES,
    *restrictions.ROUTES,
    *register.ROUTES,
    *requests.ROUTES,
    *keys.ROUTES,
    *grants.ROUTES,
)  # fmt: skip
