"""Consent over HTTP: what subjects agree to, acceptance and withdrawal, and the texts that they are shown.

Applications tell what their users say with a token of role ``app``. Whether there is a subject of an ID is neither asked nor
told: who isn't known has said nothing. The same holds for a value (an e-mail address) that consent is told of before there
is a subject; whose it is, is found out as values are shown. Only those who look after privacy can list who agrees.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pgnym.admin.api_tokens import Role
from pgnym.admin.application import OFFICERS, READERS, Call
from pgnym.admin.fields import Moment, Name, Text
from pgnym.admin.paging import Cursor, Limit, cursor_of, read_cursor
from pgnym.admin.problems import Problem
from pgnym.admin.routing import Reply, Route
from pgnym.admin.subjects import SubjectId, TableName, WhoseQuery
from pgnym.config.errors import ConfigError
from pgnym.privacy.by_value import NoSuchValue, named_value, to_withdraw
from pgnym.privacy.subjects import root
from pgnym.vault import consents
from pgnym.vault.by_value import is_value, table_of
from pgnym.vault.consents import Action, Event, NoSuchText, Said, Spoken, Subject, deciding
from pgnym.vault.store import TenantVault

_MOST_TEXT = 100_000


class ConsentBody(msgspec.Struct, frozen=True):
    """The last that a subject has said on a purpose. ``agrees``: whether that holds now (it may have expired).

    ``sound`` false: the record is not as it was written, so that it counts for nothing. ``by_value``: it was said of a value
    rather than of an ID; ``subject`` is then a pseudonym of that value.
    """

    table: str
    subject: str
    purpose: str
    agrees: bool
    action: str
    sequence: int
    recorded: datetime
    recorded_by: str
    expires: datetime | None
    text_version: int | None
    channel: str
    reference: str
    sound: bool
    by_value: bool

    @classmethod
    def of(cls, event: Event) -> ConsentBody:
        """An event as it is shown."""
        said = event.said
        return cls(
            table_of(event.subject), event.subject.id, event.purpose, event.holds(datetime.now(UTC)), said.action.value,
            event.sequence, event.recorded, event.recorded_by, said.expires, said.text_version, said.channel,
            said.reference, event.sound, is_value(event.subject),
        )  # fmt: skip


class SubjectConsents(msgspec.Struct, frozen=True):
    """``items``: the event of each purpose that counts; ``history``: all of them, by purpose, oldest first."""

    items: list[ConsentBody]
    history: list[ConsentBody]


class Changed(msgspec.Struct, frozen=True):
    """What was recorded."""

    items: list[ConsentBody]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a subject says. ``purposes`` left out: all that they agree to (only to withdraw).

    ``expires``, ``text_version`` (of the text that was shown): only to accept. ``channel``: how they said it; ``reference``:
    where that can be looked up.
    """

    action: Literal["accept", "withdraw"]
    purposes: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    expires: Moment | None = None
    text_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    channel: Text = ""
    reference: Text = ""


class ValueOfColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value of a column that ``consent_by`` names, as PostgreSQL shows it. ``table``: the subject's own."""

    column: Name
    value: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
    table: TableName | None = None
    tenant: Name | None = None


class ChangeByValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody says who has a value. ``purposes`` left out: all there are (only to withdraw). Else as ``Change``."""

    column: Name
    value: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
    action: Literal["accept", "withdraw"]
    purposes: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    expires: Moment | None = None
    text_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    channel: Text = ""
    reference: Text = ""
    table: TableName | None = None
    tenant: Name | None = None


class ConsentsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Consents for a purpose."""

    purpose: Name
    tenant: Name | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class ConsentPage(msgspec.Struct, frozen=True):
    """The last event of each subject, and the ``cursor`` for those that follow (null: no more)."""

    items: list[ConsentBody]
    next: str | None


class TextBody(msgspec.Struct, frozen=True):
    """A version of the text that subjects are shown when they are asked to agree."""

    purpose: str
    version: int
    text: str
    created: datetime
    created_by: str

    @classmethod
    def of(cls, text: consents.Text) -> TextBody:
        """A text as it is shown."""
        return cls(text.purpose, text.version, text.text, text.created, text.created_by)


class Texts(msgspec.Struct, frozen=True):
    """Texts by purpose, the newest version first; at most 1000."""

    items: list[TextBody]


class NewText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next version of a text."""

    purpose: Name
    text: Annotated[str, Meta(min_length=1, max_length=_MOST_TEXT, pattern=r"^[^\x00]*$")]
    tenant: Name | None = None


class TextsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which texts."""

    purpose: Name | None = None
    tenant: Name | None = None


async def show(call: Call) -> Reply:
    """State and history; empty for who has said nothing."""
    tenant = await call.tenant(call.query.tenant)
    subject = subject_of(call)
    names = [Spoken(subject, counts=True), *await call.app.status.spoken(tenant, subject)]
    return Reply(await _told(call, tenant, names))


async def show_by_value(call: Call) -> Reply:
    """What was said of a value, whether anybody has it or not."""
    wanted: ValueOfColumn = call.body
    tenant = await call.tenant(wanted.tenant)
    subject = await _value(call, tenant, wanted.table, wanted.column, wanted.value)
    return Reply(await _told(call, tenant, [Spoken(subject, counts=True)]))


async def change(call: Call) -> Reply:
    """Takes effect with the next statement, on all gateways."""
    wanted: Change = call.body
    subject = subject_of(call)
    said = _said(call, wanted)
    tenant = await call.tenant(call.query.tenant)
    purposes = wanted.purposes
    if purposes is None:
        config = call.app.status.config
        purposes = await call.vault.administer(
            lambda connection: to_withdraw(connection, tenant, subject, config)
        )
    return await _record(call, tenant, subject, purposes, said)


async def change_by_value(call: Call) -> Reply:
    """Takes effect with the next statement for whoever has the value, and else once somebody has it."""
    wanted: ChangeByValue = call.body
    said = _said(call, wanted)
    tenant = await call.tenant(wanted.tenant)
    subject = await _value(call, tenant, wanted.table, wanted.column, wanted.value)
    purposes = wanted.purposes or sorted(call.app.status.config.purposes())
    return await _record(call, tenant, subject, purposes, said)


def _said(call: Call, wanted: Change | ChangeByValue) -> Said:
    action = Action(wanted.action)
    if action is Action.ACCEPT and wanted.purposes is None:
        raise Problem(422, "say what purposes are agreed to")
    if action is Action.WITHDRAW and (wanted.expires is not None or wanted.text_version is not None):
        raise Problem(422, "expires and text_version are of an acceptance")
    if wanted.expires is not None and wanted.expires <= datetime.now(UTC):
        raise Problem(422, "expires is past")
    unknown = sorted(set(wanted.purposes or ()) - call.app.status.config.purposes())
    if action is Action.ACCEPT and unknown:
        raise Problem(422, f"no purpose {unknown[0]!r} is configured")
    return Said(action, wanted.expires, wanted.text_version, wanted.channel, wanted.reference)


async def _record(
    call: Call, tenant: TenantVault, subject: Subject, purposes: list[str], said: Said
) -> Reply:
    try:
        made = await consents.record(call.vault, tenant, subject, purposes, said, call.who)
    except NoSuchText as error:
        raise Problem(422, error.message) from None
    return Reply(Changed(_shown(made)), 201)


async def _told(call: Call, tenant: TenantVault, names: Iterable[Spoken]) -> SubjectConsents:
    """Of all names of a subject."""
    events = [
        (event, name.counts)
        for name in names
        for event in await consents.history(call.vault, tenant, name.subject)
    ]
    events.sort(key=lambda pair: (pair[0].purpose, pair[0].recorded))
    items = []
    for _, said in groupby(events, lambda pair: pair[0].purpose):
        last = {event.subject: (event, counts) for event, counts in said}
        decides = deciding(last.values())
        items += [] if decides is None else [decides]
    return SubjectConsents(_shown(items), _shown(event for event, _ in events))


async def _value(call: Call, tenant: TenantVault, table: str | None, column: str, value: str) -> Subject:
    """What stands for a value."""
    at = call.app.subjects
    assert at is not None  # there is a vault
    own = _table(call, table)
    try:
        return await call.vault.administer(
            lambda connection: named_value(connection, tenant, at.office.by_value, (own, column), value)
        )
    except NoSuchValue as error:
        raise Problem(422, error.message) from None


async def listing(call: Call) -> Reply:
    """Who agrees to a purpose, and who did."""
    wanted: ConsentsQuery = call.query
    tenant = await call.tenant(wanted.tenant)
    after = None if wanted.cursor is None else Subject(*read_cursor(wanted.cursor, tuple[str, str]))
    found = await consents.listed(call.vault, tenant, wanted.purpose, after, wanted.limit + 1)
    items = found[: wanted.limit]
    more = None if len(found) <= wanted.limit else cursor_of(items[-1].subject.table, items[-1].subject.id)
    return Reply(ConsentPage(_shown(items), more))


async def list_texts(call: Call) -> Reply:
    """Versions of texts."""
    found = await consents.texts(call.vault, await call.tenant(call.query.tenant), call.query.purpose)
    return Reply(Texts([TextBody.of(text) for text in found]))


async def add_text(call: Call) -> Reply:
    """A new version; older ones stay, since subjects agreed to them."""
    wanted: NewText = call.body
    if wanted.purpose not in call.app.status.config.purposes():
        raise Problem(422, f"no purpose {wanted.purpose!r} is configured")
    tenant = await call.tenant(wanted.tenant)
    made = await consents.add_text(call.vault, tenant, wanted.purpose, wanted.text, call.who)
    return Reply(TextBody.of(made), 201)


def _shown(events: Iterable[Event]) -> list[ConsentBody]:
    return [ConsentBody.of(event) for event in events]


def subject_of(call: Call) -> Subject:
    """The one that path and query name. Raises Problem 400."""
    return Subject(_table(call, call.query.table), call.parameters.id)


def _table(call: Call, named: str | None) -> str:
    try:
        return root(call.app.status.config, named)
    except ConfigError as error:
        raise Problem(400, f"table: {error.reason}. {error.hint}".strip()) from None


_READERS = READERS | {Role.APP}
_WRITERS = OFFICERS | {Role.APP}

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/consents", "listConsents", "Who agrees to a purpose", listing, ConsentPage, READERS,
          query=ConsentsQuery),
    Route("POST", "/v1/consents", "changeConsentsByValue", "Accept, or withdraw, by who has a value", change_by_value,
          Changed, _WRITERS, status=201, body=ChangeByValue, refusals=frozenset({422}), secret_body=True),
    Route("POST", "/v1/consents/search", "searchConsents", "What was said of a value", show_by_value, SubjectConsents,
          _READERS, body=ValueOfColumn, refusals=frozenset({422}), secret_body=True),
    Route("GET", "/v1/subjects/{id}/consents", "showConsents", "What a subject agrees to", show, SubjectConsents, _READERS,
          parameters=SubjectId, query=WhoseQuery),
    Route("POST", "/v1/subjects/{id}/consents", "changeConsents", "Accept, or withdraw", change, Changed, _WRITERS,
          status=201, parameters=SubjectId, query=WhoseQuery, body=Change, refusals=frozenset({422})),
    Route("GET", "/v1/consent-texts", "listConsentTexts", "Texts that subjects are shown", list_texts, Texts, _READERS,
          query=TextsQuery),
    Route("POST", "/v1/consent-texts", "addConsentText", "The next version of a text", add_text, TextBody, OFFICERS,
          status=201, body=NewText, refusals=frozenset({422})),
)  # fmt: skip
"""The operations above."""
