"""What becomes of a request: found, limited, authenticated, authorized, done, audited, and only then answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from pgnym.admin.api_tokens import ApiToken, Lapsed, Role, recognize, tenants
from pgnym.admin.idempotency import Once, read_key
from pgnym.admin.openapi import describe
from pgnym.admin.problems import Problem
from pgnym.admin.rates import Rates
from pgnym.admin.recording import Entry, Recorder
from pgnym.admin.routing import (
    Content,
    Reply,
    Request,
    Route,
    Router,
    read_body,
    read_parameters,
    read_query,
    split_target,
)
from pgnym.admin.seal import Sealing
from pgnym.audit.log import AuditLog
from pgnym.audit.records import Actor, Decision
from pgnym.config.model import Config
from pgnym.metrics.snapshots import Measures
from pgnym.vault.consents import Spoken, Subject
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault, Vault

if TYPE_CHECKING:
    from pgnym.admin.subjects import Subjects

HANDLER_SECONDS = 120.0
_PER_ADDRESS = (50.0, 200)  # requests per second, and at once
_PER_TOKEN = (50.0, 200)
_FAILED = (0.2, 20)  # failed authentications by one address
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pgnym"'}
BEGUN = " begun"
"""Ends the fingerprint of the record that is written before an operation which may change something."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_LONGEST_PATH = 1000
_LOG = logging.getLogger("pgnym.admin")


class Status(Protocol):
    """The gateway, as the endpoint sees it. ``vault`` and ``audit`` are None while it is sealed."""

    config: Config
    draining: bool
    vault: Vault | None
    audit: AuditLog | None

    @property
    def sealed(self) -> bool:
        """Whether the master key is missing."""

    @property
    def sealing(self) -> Sealing | None:
        """What unseals it; None where nothing can (it only observes)."""

    def measures(self) -> Measures:
        """What has been counted."""

    async def spoken(self, tenant: TenantVault, subject: Subject) -> Sequence[Spoken]:
        """What stands for values of a subject, by which consent may have been told. Raises ``VaultError``."""


@dataclass(slots=True)
class Call:
    """A request that may be carried out. ``concerns``: the tenant that its audit record belongs to, once known."""

    app: Application
    route: Route
    request: Request
    token: ApiToken | None
    parameters: Any = None
    query: Any = None
    body: Any = None
    concerns: str | None = field(default=None)
    replayed: bool = False  # the answer is one given before
    lapsed: Lapsed | None = None  # whose token this was
    over_limit: bool = False

    @property
    def vault(self) -> Vault:
        """The vault. Raises Problem 503 if the gateway has been sealed meanwhile."""
        if self.app.status.vault is None:
            raise sealed(self.app.status)
        return self.app.status.vault

    async def tenant(self, name: str | None) -> TenantVault:
        """The tenant named, by default the token's own, else the gateway's default.

        Raises Problem 403 for one that the token isn't for (whether it is there or not), 404 for one that isn't there.
        """
        name = self.allowed(name) or self.app.status.config.tenants.default
        if all(name != known for known, _ in await tenants(self.vault)):
            raise Problem(404, "there is no such tenant")
        self.concerns = name
        return await self.vault.tenant(name)

    async def scope(self, name: str | None) -> TenantVault | None:
        """As ``tenant``, but None, all tenants, where none is named and the token is for all."""
        return None if self.allowed(name) is None else await self.tenant(name)

    def allowed(self, name: str | None) -> str | None:
        """The tenant that a token may ask about. Raises Problem 403."""
        own = self.token.tenant if self.token is not None else None
        if own is None:
            return name
        if name is not None and name != own:
            raise Problem(403, "the token is for another tenant")
        return own

    @property
    def who(self) -> str:
        """The caller, as records name it."""
        return "" if self.token is None else told_of(self.token)


def told_of(token: ApiToken) -> str:
    """A token, as records name it."""
    return f"api token {token.id} ({token.name})"


def sealed(status: Status) -> Problem:
    """The problem of what needs keys."""
    if status.sealing is None:
        return Problem(503, "this gateway only observes: it has no vault", title="Observing")
    return Problem(503, "the gateway has no master key", title="Sealed")


class Application:
    """The endpoint without its network."""

    def __init__(
        self,
        status: Status,
        routes: tuple[Route, ...],
        clock: Callable[[], float] = monotonic,
        subjects: Subjects | None = None,
    ) -> None:
        self.status = status
        self.router = Router(routes)
        self.subjects = subjects
        self._clock = clock
        self._addresses = Rates(*_PER_ADDRESS)
        self._tokens = Rates(*_PER_TOKEN)
        self._failed = Rates(*_FAILED)
        self.recorder = Recorder(lambda: status.audit, lambda: status.sealing is not None, clock)

    @cached_property
    def description(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return describe(self.router.routes)

    async def answer(self, request: Request, unreadable: Problem | None = None) -> Reply:
        """The answer. Never raises; an error is a problem document.

        ``unreadable``: why the request could not be read to its end. It is refused, and recorded, like any other.
        """
        call = Call(self, NOWHERE, request, None)
        path, query, missing = "", "", unreadable
        given: dict[str, str] = {}
        try:
            if request.method:
                path, query = split_target(request.target)
                call.route, given = self.router.find(request.method, path)
        except Problem as problem:
            missing = problem
        heard = call.route.audited or unreadable is not None
        try:
            if call.route.audited:
                self._take(call, self._addresses, request.address)
            if call.route is NOWHERE and missing is not None:
                raise missing
            if self.status.vault is None and not call.route.sealed:
                raise sealed(self.status)
            if call.route.roles is not None:
                try:
                    await self._authenticate(call)
                    self._authorize(call)
                except Problem:
                    heard = True
                    raise
            if unreadable is not None:
                raise unreadable
            call.parameters = read_parameters(call.route, given)
            call.query = read_query(call.route, query)
            call.body = read_body(call.route, request)
            if call.route.first or call.route.changes:
                await self._record(call, path, 0)
            reply = await self._done(call)
        except Problem as problem:
            reply = refused(problem)
        except TimeoutError:
            reply = refused(Problem(503, f"it was not done within {HANDLER_SECONDS:.0f} seconds"))
        except VaultError as error:
            reply = refused(Problem(503, f"{error.message}. {error.hint}".strip()))
        except asyncio.CancelledError:  # the endpoint ends, and has waited long enough
            try:
                await self._record(call, path, 503, "cut off")
            except VaultError as error:
                _LOG.warning("a call that was cut off could not be recorded: %s", error.message)
            raise
        except Exception as error:
            # Its text could quote anything.
            _LOG.error("the admin endpoint failed at %s: %s", call.route.operation, type(error).__name__)
            reply = refused(Problem(500, "an internal error; see the gateway's log"))
        if not heard or (call.route.first and reply.status < 400):
            return reply
        try:
            await self._record(call, path, reply.status)
        except VaultError as error:
            return refused(Problem(503, f"the call could not be recorded: {error.message}"))
        return reply

    async def _done(self, call: Call) -> Reply:
        async def work() -> Reply:
            async with asyncio.timeout(HANDLER_SECONDS):
                return await call.route.handler(call)

        key = read_key(call.request) if call.route.once else None
        if key is None:
            return await work()
        assert call.token is not None
        keeper = await call.vault.tenant(call.token.tenant or self.status.config.tenants.default)
        once = Once(call.vault, keeper, call.token.id, _presented(call.request), key)
        reply, call.replayed = await once.carry_out(call.request, work, encode)
        return reply

    def _take(self, call: Call, rates: Rates, name: str) -> None:
        """Count a request. Raises Problem 429."""
        wait = rates.take(name, self._clock())
        if wait:
            call.over_limit = True
            raise too_many(wait)

    async def _authenticate(self, call: Call) -> None:
        vault = self.status.vault
        assert vault is not None
        found = await recognize(vault, _presented(call.request))
        if isinstance(found, ApiToken):
            call.token = found
            self._take(call, self._tokens, str(found.id))
            return
        call.lapsed = found
        self._take(call, self._failed, call.request.address)
        raise Problem(401, "a valid API token is needed", headers=_CHALLENGE)

    def _authorize(self, call: Call) -> None:
        assert call.token is not None
        assert call.route.roles is not None
        if call.token.role not in call.route.roles:
            raise Problem(403, f"not for tokens of role {call.token.role.value}")

    async def _record(self, call: Call, path: str, status: int, note: str = "") -> None:
        """Write the record of a call. Raises VaultError."""
        token = call.token if call.lapsed is None else call.lapsed.token
        notes = (
            str(status or ("" if call.route.first else "begun")),
            "again" if call.replayed else "",
            "" if call.lapsed is None else call.lapsed.why,
            note,
        )
        # Of a path that isn't one of the endpoint's nobody knows what it holds.
        method = call.request.method if call.request.method in _METHODS else "another method"
        asked = f"{method} {path[:_LONGEST_PATH]}" if call.route is not NOWHERE else f"{method} elsewhere"
        general = f"{method} {call.route.path or 'elsewhere'}"
        if not call.request.method:
            asked = general = "no HTTP request"
        entry = Entry(
            call.concerns
            or (token.tenant if token is not None else None)
            or self.status.config.tenants.default,
            Actor(
                "nobody" if token is None else told_of(token),
                "" if token is None else token.role.value,
                call.request.address,
                call.request.headers.get("user-agent", "")[:200],
            ),
            call.route.operation + ("" if status or call.route.first else BEGUN),
            Decision.ALLOWED if status < 400 else Decision.DENIED,
            asked,
            " ".join(part for part in notes if part),
        )
        if call.over_limit:
            await self.recorder.over_limit(entry, general)
        else:
            await self.recorder.write(entry)


def refused(problem: Problem) -> Reply:
    """A problem as an answer."""
    return Reply(problem.body, problem.status, problem.headers)


def encode(reply: Reply) -> bytes:
    """The body of an answer."""
    if isinstance(reply.body, Content):
        return reply.body.data
    return b"" if reply.body is None else msgspec.json.encode(reply.body)


def _presented(request: Request) -> str:
    """The API token as it came; "" for none."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def too_many(wait: int) -> Problem:
    """The problem of who asks too often; ``wait`` in seconds."""
    return Problem(429, f"too many requests; try again in {wait} seconds", headers={"Retry-After": str(wait)})


async def _nothing(call: Call) -> Reply:
    raise Problem(404, "there is nothing of this name; see /openapi.json")


ANYONE = None
NOWHERE = Route("", "", "unknown", "What is not an operation", _nothing, None, ANYONE, sealed=True)
"""Stands for the operation of requests that name none."""
EVERY_ROLE = frozenset(Role)
OFFICERS = frozenset({Role.ROOT, Role.DPO})
"""Those who look after privacy."""
READERS = OFFICERS | {Role.AUDITOR}
"""And those who look at how it is looked after."""
WATCHERS = READERS | {Role.OPERATOR}
"""And those who run it: all but applications."""
