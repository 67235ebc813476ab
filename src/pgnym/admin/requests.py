"""Requests of data subjects over HTTP: submitted, listed by deadline, decided on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from pgnym.admin.api_tokens import Role
from pgnym.admin.application import OFFICERS, Call
from pgnym.admin.conditions import Condition, failed, tag_of
from pgnym.admin.fields import Identifier, Moment, Name, OfTenant
from pgnym.admin.paging import Cursor, Limit, cursor_of, read_cursor
from pgnym.admin.problems import Problem
from pgnym.admin.routing import IfMatch, Reply, Route
from pgnym.privacy.requests import (
    Event,
    Kind,
    OtherVersion,
    Requests,
    State,
    Step,
    SubjectRequest,
    Submission,
    Wanted,
    WrongStep,
)
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Result = TypeVar("Result")

_LATE = timedelta(minutes=5)  # that a caller's clock may be ahead
_PAST = timedelta(days=366)
Words = Annotated[str, Meta(max_length=10_000, pattern=r"^[^\x00]*$")]


class Whose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data subject: a table, and the value of its subject column."""

    table: Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*$")]
    id: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class NewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request. ``subject``: null while it isn't known whose it is. ``contact``: how to answer. ``received``: by default
    now; the deadline counts from it. ``contact`` and ``note`` are kept sealed."""

    kind: Kind
    subject: Whose | None = None
    contact: Words = ""
    note: Words = ""
    received: Moment | None = None
    tenant: Name | None = None


class EventBody(msgspec.Struct, frozen=True):
    """What was done: ``submit``, ``approve``, ``reject``, ``complete``, ``withdraw``, ``extend`` or ``remind``."""

    at: datetime
    by: str
    action: str
    note: str


class RequestBody(msgspec.Struct, frozen=True):
    """A request. ``due``: one month after receipt, three where it was extended (Art. 12(3) GDPR). ``history``: null in
    lists."""

    id: UUID
    version: int
    kind: Kind
    state: State
    subject: Whose | None
    received: datetime
    due: datetime
    overdue: bool
    extended: bool
    contact: str
    history: list[EventBody] | None = None

    @classmethod
    def of(cls, request: SubjectRequest, history: list[Event] | None = None) -> RequestBody:
        """As it is shown."""
        return cls(
            request.id,
            request.version,
            request.kind,
            request.state,
            None if request.subject is None else Whose(*request.subject),
            request.received,
            request.due,
            request.open and request.due < datetime.now(UTC),
            request.extended,
            request.contact,
            None if history is None else [EventBody(e.at, e.by, e.action, e.note) for e in history],
        )


class RequestsPage(msgspec.Struct, frozen=True):
    """Requests by deadline, and the cursor for those that follow (null: no more)."""

    items: list[RequestBody]
    next: str | None


class RequestsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``due_before``: only those that wait for somebody, and are due before."""

    tenant: Name | None = None
    state: State | None = None
    kind: Kind | None = None
    due_before: Moment | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, or what was done. Kept sealed."""

    note: Words = ""


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why: the person must be told (Art. 12(3) and (4) GDPR). Kept sealed."""

    note: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]


async def submit(call: Call) -> Reply:
    """The deadline runs from its receipt."""
    new: NewRequest = call.body
    now = datetime.now(UTC)
    received = new.received or now
    if not now - _PAST <= received <= now + _LATE:
        raise Problem(422, "received: expected a time within the last year")
    tenant = await call.tenant(new.tenant)
    subject = None if new.subject is None else (new.subject.table, new.subject.id)
    submission = Submission(new.kind, subject, received, new.contact, new.note)
    found = await _with(call, tenant, lambda requests: requests.submit(submission, call.who))
    return _told(found, 201, {"Location": f"/v1/requests/{found.id}"})


async def listed(call: Call) -> Reply:
    """By deadline, the next one first."""
    wanted: RequestsQuery = call.query
    after = None if wanted.cursor is None else read_cursor(wanted.cursor, tuple[Moment, UUID])
    which = Wanted(wanted.state, wanted.kind, wanted.due_before)
    tenant = await call.tenant(wanted.tenant)
    found = await _with(call, tenant, lambda requests: requests.listed(which, wanted.limit + 1, after))
    shown = found[: wanted.limit]
    following = cursor_of(shown[-1].due, shown[-1].id) if len(found) > wanted.limit else None
    return Reply(RequestsPage([RequestBody.of(each) for each in shown], following))


async def show(call: Call) -> Reply:
    """With its history."""
    tenant = await call.tenant(call.query.tenant)
    found = await _with(call, tenant, lambda requests: requests.find(call.parameters.id))
    if found is None:
        raise _missing()
    return Reply(RequestBody.of(*found), headers={"ETag": tag_of(found[0].version)})


def _step(step: Step) -> Callable[[Call], Awaitable[Reply]]:
    async def handler(call: Call) -> Reply:
        condition = Condition.of(call)
        tenant = await call.tenant(call.query.tenant)
        note: str = call.body.note

        def take(requests: Requests) -> Awaitable[SubjectRequest | None]:
            return requests.take(
                call.parameters.id, step, call.who, note, lambda version: condition.holds(tag_of(version))
            )

        try:
            found = await _with(call, tenant, take)
        except OtherVersion:
            raise failed() from None
        except WrongStep as error:
            raise Problem(409, error.message) from None
        if found is None:
            raise _missing()
        return _told(found)

    return handler


def _missing() -> Problem:
    return Problem(404, "there is no such request")


async def _with(call: Call, tenant: TenantVault, work: Callable[[Requests], Awaitable[Result]]) -> Result:
    return await call.vault.administer(lambda connection: work(Requests(connection, tenant)))


def _told(request: SubjectRequest, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(RequestBody.of(request), status, {"ETag": tag_of(request.version), **(headers or {})})


_SUMMARIES = {
    Step.APPROVE: "It is to be done",
    Step.REJECT: "It is not to be done, for a reason",
    Step.COMPLETE: "It has been done",
    Step.WITHDRAW: "The person has taken it back",
    Step.EXTEND: "Extend the deadline by two months, for a reason",
}

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/v1/requests", "submitRequest", "Submit a request of a data subject", submit, RequestBody,
        OFFICERS | {Role.APP}, status=201, body=NewRequest, secret_body=True,
    ),
    Route("GET", "/v1/requests", "listRequests", "Requests", listed, RequestsPage, OFFICERS, query=RequestsQuery),
    Route(
        "GET", "/v1/requests/{id}", "showRequest", "A request and its history", show, RequestBody, OFFICERS,
        parameters=Identifier, query=OfTenant,
    ),
    *(
        Route(
            "POST", f"/v1/requests/{{id}}/{step.value}", f"{step.value}Request", _SUMMARIES[step], _step(step),
            RequestBody, OFFICERS, parameters=Identifier, query=OfTenant,
            body=Reason if step in (Step.REJECT, Step.EXTEND) else Note, secret_body=True, if_match=IfMatch.MUST,
        )
        for step in Step
    ),
)  # fmt: skip
"""The operations."""
