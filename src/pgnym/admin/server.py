"""The admin HTTP endpoint: HTTP/1.1 by h11 over asyncio. At present health, readiness and unsealing, which need no token."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import h11
import msgspec

from pgnym.vault.errors import AlreadyUnsealed, KeyProblem, VaultError
from pgnym.vault.shares import Progress, ShareRefused

MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024
IDLE_SECONDS = 30.0
_LOG = logging.getLogger("pgnym.admin")


class Status(Protocol):
    """What the endpoint tells of the gateway."""

    draining: bool

    @property
    def sealed(self) -> bool:
        """Whether the master key is missing."""

    @property
    def sealing(self) -> Sealing | None:
        """What unseals it; None where nothing can (it only observes)."""


class Sealing(Protocol):
    """How the gateway is given its master key."""

    @property
    def progress(self) -> Progress:
        """How many shares have been given."""

    async def give_key(self, secret: bytes) -> None:
        """The key itself."""

    async def give_share(self, text: str) -> Progress:
        """One share."""

    def forget_shares(self) -> None:
        """Start over."""


class Unseal(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/unseal``: one of the three. ``key`` is in base64; ``reset`` forgets shares given before."""

    share: str | None = None
    key: str | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: ``body`` is encoded as JSON."""

    status: int
    body: dict[str, object]
    problem: bool = False
    headers: dict[str, str] = field(default_factory=dict)


async def route(status: Status, method: str, path: str, body: bytes) -> Answer:
    """The answer to a request. Errors are problem details (RFC 9457)."""
    if path.partition("?")[0] == "/v1/unseal":
        if method != "POST":
            answer = problem(405, "Method Not Allowed", f"{method} is not possible here")
            answer.headers["Allow"] = "POST"
            return answer
        return await unseal(status, body)
    known = {"/healthz": health, "/readyz": readiness, "/v1/seal": seal}
    handler = known.get(path.partition("?")[0])
    if handler is None:
        return problem(404, "Not Found", f"there is no {path.partition('?')[0]}")
    if method not in ("GET", "HEAD"):
        answer = problem(405, "Method Not Allowed", f"{method} is not possible here")
        answer.headers["Allow"] = "GET, HEAD"
        return answer
    return handler(status)


def health(status: Status) -> Answer:
    """Alive: the event loop answers."""
    return Answer(200, {"status": "alive"})


def readiness(status: Status) -> Answer:
    """Ready for SQL clients: unsealed, and not shutting down."""
    if status.draining:
        return problem(503, "Shutting down", "the gateway takes no new connections")
    if status.sealed:
        return problem(503, "Sealed", "the gateway has no master key")
    return Answer(200, {"status": "ready"})


def seal(status: Status) -> Answer:
    """The seal state."""
    progress = status.sealing.progress if status.sealing is not None else Progress(0, 0)
    return Answer(
        200, {"sealed": status.sealed, "shares_given": progress.given, "shares_needed": progress.needed}
    )


async def unseal(status: Status, body: bytes) -> Answer:
    """Take a share, or the key. Whoever has one needs no other proof."""
    if status.sealing is None:
        return problem(409, "Conflict", "this gateway only observes: it has no keys")
    try:
        given = msgspec.json.decode(body, type=Unseal)
        secret = None if given.key is None else base64.b64decode(given.key, validate=True)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        # What was sent is not repeated: it may hold a share.
        return problem(
            400, "Bad Request", 'expected {"share": "words …"}, {"key": "base64"} or {"reset": true}'
        )
    if sum((given.share is not None, given.key is not None, given.reset)) != 1:
        return problem(400, "Bad Request", "give one of share, key and reset")
    try:
        if given.share is not None:
            await status.sealing.give_share(given.share)
        elif secret is not None:
            await status.sealing.give_key(secret)
        else:
            status.sealing.forget_shares()
    except AlreadyUnsealed as error:
        return problem(409, "Conflict", error.message)
    except (ShareRefused, KeyProblem) as error:
        return problem(422, "Unprocessable Content", f"{error.message}. {error.hint or ''}".strip())
    except VaultError as error:
        return problem(503, "Service Unavailable", f"{error.message}. {error.hint or ''}".strip())
    return seal(status)


def problem(status: int, title: str, detail: str) -> Answer:
    """A problem document."""
    return Answer(
        status, {"type": "about:blank", "title": title, "status": status, "detail": detail}, problem=True
    )


class AdminServer:
    """Serves on bound sockets, with TLS if there is a context."""

    def __init__(self, status: Status, sockets: list[socket.socket], context: ssl.SSLContext | None) -> None:
        self._status = status
        self._sockets = sockets
        self._context = context
        self._servers: list[asyncio.Server] = []
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            server = await loop.create_server(
                lambda: _Connection(self._status, self._connections), sock=sock, ssl=self._context
            )
            self._servers.append(server)

    async def close(self) -> None:
        """Stop, and end the connections."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.end()


class _Connection(asyncio.Protocol):
    def __init__(self, status: Status, connections: set[_Connection]) -> None:
        self._status = status
        self._connections = connections
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        """Close, once all is written."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.end)
        self._guarded(lambda: self._http.receive_data(data))
        if self._task is None:
            self._guarded(self._events)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._respond(
                    problem(error.error_status_hint, "Bad Request", "not well-formed HTTP/1.1"), close=True
                )
            self.end()

    def _events(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY_BYTES:
                    self._respond(
                        problem(413, "Content Too Large", f"at most {MAX_BODY_BYTES} bytes"), close=True
                    )
                    self.end()
                    return
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None
                self._transport.pause_reading()  # one request at a time
                self._task = asyncio.create_task(self._answer(self._request, bytes(self._body)))
                return
            else:
                if event is not h11.NEED_DATA:
                    self.end()
                return

    async def _answer(self, request: h11.Request, body: bytes) -> None:
        target = request.target.decode("ascii", "replace")
        try:
            answer = await route(self._status, request.method.decode("ascii"), target, body)
        except Exception as error:
            _LOG.error("the admin endpoint failed: %s", type(error).__name__)
            answer = problem(500, "Internal Server Error", type(error).__name__)
        self._task = None
        if self._transport.is_closing():
            return
        self._respond(answer)
        if self._http.our_state is h11.MUST_CLOSE:
            self.end()
            return
        self._http.start_next_cycle()
        self._transport.resume_reading()
        self._guarded(self._events)

    def _respond(self, answer: Answer, *, close: bool = False) -> None:
        body = msgspec.json.encode(answer.body)
        kind = "application/problem+json" if answer.problem else "application/json"
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *answer.headers.items(),
        ]
        if close:
            headers.append(("Connection", "close"))
        head = self._http.send(h11.Response(status_code=answer.status, headers=headers))
        sent = b"" if self._request is not None and self._request.method == b"HEAD" else body
        end = (self._http.send(h11.Data(data=sent)) or b"") if sent else b""
        self._transport.write((head or b"") + end + (self._http.send(h11.EndOfMessage()) or b""))
