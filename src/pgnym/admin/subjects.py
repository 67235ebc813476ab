"""Data subjects over HTTP: found by a value, reported on, erased; and who has seen what of theirs.

Tokens of one tenant meet only rows of that tenant: another's are as if they weren't there. There is no list of subjects, and
how often somebody may look one up is limited beyond what holds for all calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from pgnym.admin.application import OFFICERS, READERS, Call, too_many
from pgnym.admin.conditions import Condition
from pgnym.admin.fields import Identifier, Moment, Name, OfTenant, PageOfTenant
from pgnym.admin.negotiation import prefers_html
from pgnym.admin.paging import Cursor, Limit, cursor_of, read_cursor
from pgnym.admin.problems import Problem
from pgnym.admin.rates import Rates
from pgnym.admin.routing import Content, IfMatch, Reply, Route
from pgnym.audit.log import AuditLog
from pgnym.audit.reading import Filter, Place, read
from pgnym.audit.records import Actor
from pgnym.config.errors import ConfigError
from pgnym.privacy.erasures import Erasure, listed
from pgnym.privacy.errors import OthersRows, PrivacyError, UnknownSubject, unknown_subject
from pgnym.privacy.keeper import ErasureKeeper
from pgnym.privacy.office import Desk, Office
from pgnym.privacy.printing import STYLE_POLICY, page
from pgnym.privacy.tenancy import confine
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SEEN_DAYS = 90
MOST_FOUND = 100
_SCANNED = 20_000  # audit records that are opened for one page
_LOOKS = (1.0, 60)  # look-ups of subjects by one token: per second, and at once
_TAG = '"{}"'


class Subjects:
    """What the operations below share. ``keeper`` finishes erasures."""

    def __init__(self, office: Office, keeper: ErasureKeeper) -> None:
        self.office = office
        self.keeper = keeper
        self._looks = Rates(*_LOOKS)

    def looked(self, call: Call) -> None:
        """Count a look-up. Raises Problem 429."""
        assert call.token is not None
        wait = self._looks.take(str(call.token.id), monotonic())
        if wait:
            raise too_many(wait)


class SubjectId(msgspec.Struct, frozen=True):
    """In the path: the value of the table's subject column."""

    id: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


TableName = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*$")]


class WhoseQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``table``: the subject's own, where several tables have subjects."""

    table: TableName | None = None
    tenant: Name | None = None


class ReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since``: who has seen something since then; by default, in the last 90 days."""

    table: TableName | None = None
    tenant: Name | None = None
    since: Moment | None = None


class Subject(msgspec.Struct, frozen=True):
    """A data subject: a table, and the value of its subject column."""

    table: str
    id: str


class Seen(msgspec.Struct, frozen=True):
    """Who has been shown values of the subject, or a report; ``values``: how many of which domain."""

    time: datetime
    user: str
    role: str
    client_address: str
    application_name: str
    purpose: str
    values: dict[str, int]
    statement: str


class ElsewherePart(msgspec.Struct, frozen=True):
    """What another system holds; ``error``: why that isn't known, or not in full."""

    connector: str
    kind: str
    found: list[Any]
    error: str | None


class SubjectReport(msgspec.Struct, frozen=True):
    """Everything that is held. ``tables``: rows by table, columns as PostgreSQL's ``to_json`` shows them.

    ``processing_activities`` are those of the register that name protected columns of these tables, ``legal_bases`` what
    they rest on, ``consents`` what the person has said to each purpose, ``requests`` what they have asked for.
    ``restriction``: every restriction of processing, and its end.
    """

    subject: Subject
    tenant: str
    made: datetime
    tables: dict[str, list[dict[str, Any]]]
    values: int
    tokens_without_value: int
    processing_activities: list[dict[str, Any]]
    legal_bases: list[dict[str, Any]]
    restriction: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    elsewhere: list[ElsewherePart]
    seen_since: datetime
    seen: list[Seen]


async def report(call: Call) -> Reply:
    """As JSON, or as a page to print."""
    wanted: ReportQuery = call.query
    since = wanted.since or datetime.now(UTC) - timedelta(days=SEEN_DAYS)
    async with at_work(call, wanted.table, wanted.tenant) as (desk, places, tenant, log):
        reporter = desk.reporter(tenant, log, _actor(call), confined=confined(call))
        found = await reporter.report(places, call.parameters.id, since)
    tag = {"ETag": _TAG.format(found.pop("state")), "Vary": "Accept"}
    if not prefers_html(call.request.headers.get("accept", "")):
        return Reply(found, headers=tag)
    policy = {"Content-Security-Policy": STYLE_POLICY}
    return Reply(Content(await page(found), "text/html; charset=utf-8"), headers=tag | policy)


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value, as PostgreSQL shows it, of a protected column, or of one with a unique index (such as a login)."""

    column: Name
    value: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
    table: TableName | None = None
    tenant: Name | None = None


class Found(msgspec.Struct, frozen=True):
    """The subjects that have exactly this value."""

    items: list[Subject]


async def search(call: Call) -> Reply:
    """Exact matches only."""
    wanted: Wanted = call.body
    async with at_work(call, wanted.table, wanted.tenant) as (desk, places, tenant, log):
        reporter = desk.reporter(tenant, log, _actor(call), confined=confined(call))
        try:
            ids = await reporter.with_value(places[0], wanted.column, wanted.value)
            if len(ids) > MOST_FOUND:
                raise Problem(422, f"more than {MOST_FOUND} subjects have it; give what fewer share")
            if confined(call):
                for each in ids:
                    await confine(desk.store, tenant, await desk.tokens(places, each), places[0].label)
        except UnknownSubject:
            ids = []
    return Reply(Found([Subject(places[0].label, each) for each in ids]))


class TraceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since`` is included, ``until`` isn't."""

    table: TableName | None = None
    tenant: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class Trace(msgspec.Struct, frozen=True):
    """One record that names values of the subject. ``text``: the statement without its constants, or what was asked."""

    time: datetime
    action: str
    decision: str
    user: str
    role: str
    client_address: str
    application_name: str
    purpose: str
    values: dict[str, int]
    text: str


class Traces(msgspec.Struct, frozen=True):
    """Newest first. ``next``: the cursor for what follows (null: no more). A page may have fewer than ``limit``, or none,
    and yet have a next one: only so many records are opened for one page."""

    items: list[Trace]
    next: str | None


_TraceCursor = tuple[Moment, UUID, Annotated[int, Meta(ge=0, le=2**63 - 1)]]


async def traces(call: Call) -> Reply:
    """Who has looked at what, and when."""
    wanted: TraceQuery = call.query
    after = None if wanted.cursor is None else Place(*read_cursor(wanted.cursor, _TraceCursor))
    async with at_work(call, wanted.table, wanted.tenant) as (desk, places, tenant, _):
        tokens = await desk.tokens(places, call.parameters.id)
        if confined(call):
            await confine(desk.store, tenant, tokens, places[0].label)
    domains = {holder.prefix: holder.domain for place in places for holder in place.holders}
    which = Filter(wanted.since, wanted.until)

    async def scan(connection: Connection) -> Traces:
        items: list[Trace] = []
        scanned = 0
        records = read(
            connection, tenant.id, tenant.name, tenant.audit_key, which, newest_first=True, after=after
        )
        async with aclosing(records):
            async for record in records:
                scanned += 1
                met = tokens.intersection(record.tokens)
                if met:
                    counts: dict[str, int] = {}
                    for token in met:
                        domain = domains[token[:6]]
                        counts[domain] = counts.get(domain, 0) + 1
                    items.append(
                        Trace(
                            record.time, record.action, record.decision, record.db_user, record.role,
                            record.client_address, record.application_name, record.purpose,
                            dict(sorted(counts.items())), record.text,
                        )
                    )  # fmt: skip
                if len(items) == wanted.limit or scanned == _SCANNED:
                    return Traces(items, cursor_of(record.time, record.writer, record.sequence))
        return Traces(items, None)

    return Reply(await call.vault.administer(scan))


class ElsewhereBody(msgspec.Struct, frozen=True):
    """The part of another system. ``erased``: how many things. ``problem``: why it is not done yet; it is tried again."""

    connector: str
    done: bool
    erased: int
    attempts: int
    problem: str


class ErasureBody(msgspec.Struct, frozen=True):
    """An erasure. ``state``: ``pending`` until values are deleted as well, ``incomplete`` until other systems have done
    their part, ``finished``, or ``undone`` (its transaction was rolled back: nothing was done).

    ``rows``: what was done to which tables. ``deleted``: values by domain. ``kept``: by column, how many values other rows
    hold too. ``revived``: how many were put again meanwhile, by others. ``problem``: why it is not finished yet.
    """

    id: UUID
    state: str
    started: datetime
    ended: datetime | None
    by: str
    rows: str
    deleted: dict[str, int]
    kept: dict[str, int]
    revived: int
    problem: str
    elsewhere: list[ElsewhereBody]

    @classmethod
    def of(cls, one: Erasure) -> ErasureBody:
        """As it is shown."""
        return cls(
            one.id, one.state.value, one.started, one.ended, one.actor, one.told, one.deleted, one.kept, one.revived,
            one.problem, [ElsewhereBody(e.connector, e.done, e.erased, e.attempts, e.problem) for e in one.elsewhere],
        )  # fmt: skip


async def erase(call: Call) -> Reply:
    """Rows at once; values when it is sure that nobody else needs them."""
    condition = Condition.of(call)
    wanted: WhoseQuery = call.query
    subject = call.parameters.id
    async with at_work(call, wanted.table, wanted.tenant) as (desk, places, tenant, log):
        if confined(call):
            await confine(desk.store, tenant, await desk.tokens(places, subject), places[0].label)
        eraser = desk.eraser(tenant, log, _actor(call))
        try:
            begun = await eraser.erase(places, subject, lambda state: condition.require(_TAG.format(state)))
        except OthersRows:
            if confined(call):
                raise unknown_subject(places[0].label) from None
            raise
        if begun is None:
            raise unknown_subject(places[0].label)
        found = await eraser.shown(begun[0])
    assert call.app.subjects is not None
    call.app.subjects.keeper.look()
    place = f"/v1/erasures/{begun[0]}" + (f"?tenant={tenant.name}" if wanted.tenant else "")
    return Reply(ErasureBody.of(found), 202, {"Location": place})


class Erasures(msgspec.Struct, frozen=True):
    """Erasures, and the cursor for those that follow (null: no more)."""

    items: list[ErasureBody]
    next: str | None


async def show_erasure(call: Call) -> Reply:
    """How far it is."""
    tenant = await call.tenant(call.query.tenant)
    found = await call.vault.administer(
        lambda connection: listed(connection, tenant.id, 1, identifier=call.parameters.id)
    )
    if not found:
        raise Problem(404, "there is no such erasure")
    return Reply(ErasureBody.of(found[0]))


async def list_erasures(call: Call) -> Reply:
    """All of a tenant."""
    wanted: PageOfTenant = call.query
    tenant = await call.tenant(wanted.tenant)
    after = None if wanted.cursor is None else read_cursor(wanted.cursor, tuple[Moment, UUID])
    found = await call.vault.administer(
        lambda connection: listed(connection, tenant.id, wanted.limit + 1, after=after)
    )
    shown = found[: wanted.limit]
    following = cursor_of(shown[-1].started, shown[-1].id) if len(found) > wanted.limit else None
    return Reply(Erasures([ErasureBody.of(each) for each in shown], following))


@asynccontextmanager
async def at_work(
    call: Call, table: str | None, tenant: str | None
) -> AsyncIterator[tuple[Desk, list[Any], TenantVault, AuditLog]]:
    """A desk, the subject's tables, the tenant and the log. What goes wrong within comes out as Problem."""
    at = call.app.subjects
    if at is None or not at.office.config.privacy.over_http:
        raise Problem(403, "reports and erasures over HTTP are turned off (privacy.over_http)")
    at.looked(call)
    whose = await call.tenant(tenant)
    log = call.app.status.audit
    assert log is not None  # there is a vault
    try:
        async with at.office.desk(call.vault) as desk:
            yield desk, await desk.places(table), whose, log
    except UnknownSubject as error:
        raise Problem(404, error.message) from None
    except PrivacyError as error:
        raise Problem(409, f"{error.message}. {error.hint}".strip()) from None
    except ConfigError as error:
        raise Problem(400, f"table: {error.reason}. {error.hint}".strip()) from None


def confined(call: Call) -> bool:
    """Whether the caller meets rows of one tenant only."""
    return call.token is not None and call.token.tenant is not None


def _actor(call: Call) -> Actor:
    assert call.token is not None
    agent = call.request.headers.get("user-agent", "")[:200]
    return Actor(call.who, call.token.role.value, call.request.address, agent)


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/subjects/{id}/report", "reportSubject", "Everything that is held on a person", report, SubjectReport,
        OFFICERS, parameters=SubjectId, query=ReportQuery, refusals=frozenset({409}), html=True,
    ),
    Route(
        "GET", "/v1/subjects/{id}/audit", "traceSubject", "Who has looked at what, and when", traces, Traces, READERS,
        parameters=SubjectId, query=TraceQuery, refusals=frozenset({409}),
    ),
    Route(
        "POST", "/v1/subjects/search", "searchSubjects", "Who has exactly this value?", search, Found, OFFICERS,
        body=Wanted, secret_body=True,
    ),
    Route(
        "DELETE", "/v1/subjects/{id}", "eraseSubject", "Erase a person, as the report with that ETag showed them", erase,
        ErasureBody, OFFICERS, status=202, parameters=SubjectId, query=WhoseQuery, if_match=IfMatch.MUST,
    ),
    Route("GET", "/v1/erasures", "listErasures", "Erasures", list_erasures, Erasures, READERS, query=PageOfTenant),
    Route(
        "GET", "/v1/erasures/{id}", "showErasure", "How far an erasure is", show_erasure, ErasureBody, READERS,
        parameters=Identifier, query=OfTenant,
    ),
)  # fmt: skip
