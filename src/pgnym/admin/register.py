"""The register of processing activities over HTTP: legal bases, activities, and the document that Art. 30 GDPR asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import asyncpg
import msgspec
from msgspec import Meta

from pgnym.admin.application import OFFICERS, READERS, Call
from pgnym.admin.conditions import Condition, failed, tag_of
from pgnym.admin.fields import Number, OfTenant, PageOfTenant
from pgnym.admin.negotiation import prefers_html
from pgnym.admin.paging import cursor_of, read_cursor
from pgnym.admin.problems import Problem
from pgnym.admin.routing import Content, IfMatch, Reply, Route
from pgnym.config.model import LegalBasis as BasisKind
from pgnym.privacy.printing import STYLE_POLICY, document
from pgnym.privacy.register import Activity, Basis, BasisInUse, Kept, Register, UnknownBasis
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Result = TypeVar("Result")

_MOST = 10_000  # activities in a document
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class LegalBasisBody(msgspec.Struct, frozen=True):
    """A legal basis in the register."""

    id: int
    version: int
    changed: datetime
    kind: BasisKind
    title: str
    reference: str
    details: str


class LegalBases(msgspec.Struct, frozen=True):
    """Legal bases, and the cursor for those that follow (null: no more)."""

    items: list[LegalBasisBody]
    next: str | None


class ProcessingActivityBody(msgspec.Struct, frozen=True):
    """A processing activity in the register."""

    id: int
    version: int
    changed: datetime
    name: str
    description: str
    controller: str
    purposes: tuple[str, ...]
    legal_bases: tuple[int, ...]
    columns: tuple[str, ...]
    subject_categories: tuple[str, ...]
    data_categories: tuple[str, ...]
    recipient_categories: tuple[str, ...]
    transfers: str
    retention: str
    measures: str


class ProcessingActivities(msgspec.Struct, frozen=True):
    """Processing activities, and the cursor for those that follow (null: no more)."""

    items: list[ProcessingActivityBody]
    next: str | None


class RegisterDocument(msgspec.Struct, frozen=True):
    """The whole register."""

    tenant: str
    made: datetime
    legal_bases: list[LegalBasisBody]
    processing_activities: list[ProcessingActivityBody]


def _body(kept: Kept) -> LegalBasisBody | ProcessingActivityBody:
    shown = LegalBasisBody if isinstance(kept.what, Basis) else ProcessingActivityBody
    return shown(kept.id, kept.version, kept.changed, **msgspec.structs.asdict(kept.what))


def _told(kept: Kept, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(_body(kept), status, {"ETag": tag_of(kept.version), **(headers or {})})


async def _with(call: Call, work: Callable[[Register], Awaitable[Result]]) -> Result:
    tenant = await call.tenant(call.query.tenant)
    try:
        return await call.vault.administer(lambda connection: work(Register(connection, tenant)))
    except UnknownBasis as error:
        raise Problem(422, error.message) from None
    except BasisInUse as error:
        raise Problem(409, error.message) from None


def _operations(kind: type[Basis | Activity], page: Any, path: str) -> Any:
    """The handlers for one kind of entry: list, add, show, change, remove."""

    async def listed(call: Call) -> Reply:
        wanted: PageOfTenant = call.query
        (after,) = (0,) if wanted.cursor is None else read_cursor(wanted.cursor, tuple[_Id])
        found = await _with(call, lambda register: register.listed(kind, wanted.limit + 1, after))
        shown = found[: wanted.limit]
        following = cursor_of(shown[-1].id) if len(found) > wanted.limit else None
        return Reply(page([_body(kept) for kept in shown], following))

    async def add(call: Call) -> Reply:
        kept = await _with(call, lambda register: register.add(call.body))
        return _told(kept, 201, {"Location": f"{path}/{kept.id}"})

    async def existing(call: Call) -> Kept:
        found = await _with(call, lambda register: register.find(kind, call.parameters.id))
        if found is None:
            raise Problem(404, "there is nothing of this id in the register")
        return found

    async def show(call: Call) -> Reply:
        return _told(await existing(call))

    async def change(call: Call) -> Reply:
        condition = Condition.of(call)
        before = await existing(call)
        condition.require(tag_of(before.version))
        kept = await _with(call, lambda register: register.change(before.id, call.body, before.version))
        if kept is None:
            raise failed()
        return _told(kept)

    async def remove(call: Call) -> Reply:
        condition = Condition.of(call)
        before = await existing(call)
        condition.require(tag_of(before.version))
        if not await _with(call, lambda register: register.remove(kind, before.id, before.version)):
            raise failed()
        return Reply(None, 204)

    return listed, add, show, change, remove


async def show_register(call: Call) -> Reply:
    """As JSON, or as a page to print."""
    tenant = await call.tenant(call.query.tenant)

    async def read(connection: Connection) -> RegisterDocument:
        return await _document(Register(connection, tenant), tenant)

    found = await call.vault.administer(read)
    headers = {"Vary": "Accept"}
    if not prefers_html(call.request.headers.get("accept", "")):
        return Reply(found, headers=headers)
    titles = {basis.id: f"{basis.title} ({basis.kind})" for basis in found.legal_bases}
    sections = []
    for activity in found.processing_activities:
        told = msgspec.to_builtins(activity)
        told["legal_bases"] = [titles[each] for each in activity.legal_bases]
        sections.append((told.pop("name"), told))
    intro = f"Records of processing activities (Art. 30 GDPR) of tenant {tenant.name}, made {found.made:%Y-%m-%d %H:%M} UTC."
    page = document("Register of processing activities", intro, sections)
    return Reply(
        Content(page, "text/html; charset=utf-8"), headers=headers | {"Content-Security-Policy": STYLE_POLICY}
    )


async def _document(register: Register, tenant: TenantVault) -> RegisterDocument:
    bases = await register.listed(Basis, _MOST)
    activities = await register.listed(Activity, _MOST)
    return RegisterDocument(
        tenant.name,
        datetime.now(UTC),
        [_body(kept) for kept in bases],  # type: ignore[misc]
        [_body(kept) for kept in activities],  # type: ignore[misc]
    )


def _routes(
    path: str, of_one: str, of_all: str, handlers: Any, page: Any, one: Any, new: Any
) -> tuple[Route, ...]:
    listed, add, show, change, remove = handlers
    words = "a legal basis" if one is LegalBasisBody else "a processing activity"
    return (
        Route("GET", path, f"list{of_all}", f"{words[2:].capitalize()}, all", listed, page, READERS, query=PageOfTenant),
        Route(
            "POST", path, f"create{of_one}", f"Add {words}", add, one, OFFICERS, status=201, body=new,
            query=OfTenant,
        ),
        Route(
            "GET", f"{path}/{{id}}", f"show{of_one}", f"Show {words}", show, one, READERS, parameters=Number,
            query=OfTenant,
        ),
        Route(
            "PUT", f"{path}/{{id}}", f"change{of_one}", f"Change {words}", change, one, OFFICERS, parameters=Number,
            query=OfTenant, body=new, if_match=IfMatch.MUST,
        ),
        Route(
            "DELETE", f"{path}/{{id}}", f"remove{of_one}", f"Remove {words}", remove, None, OFFICERS, status=204,
            parameters=Number, query=OfTenant, if_match=IfMatch.MUST,
        ),
    )  # fmt: skip


_BASES = "/v1/legal-bases"
_ACTIVITIES = "/v1/processing-activities"

ROUTES: tuple[Route, ...] = (
    *_routes(
        _BASES, "LegalBasis", "LegalBases", _operations(Basis, LegalBases, _BASES), LegalBases, LegalBasisBody,
        Basis,
    ),
    *_routes(
        _ACTIVITIES, "ProcessingActivity", "ProcessingActivities",
        _operations(Activity, ProcessingActivities, _ACTIVITIES), ProcessingActivities, ProcessingActivityBody,
        Activity,
    ),
    Route(
        "GET", "/v1/register", "showRegister", "The register as a document", show_register, RegisterDocument, READERS,
        query=OfTenant, html=True,
    ),
)  # fmt: skip
"""The operations."""
