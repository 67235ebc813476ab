"""The admin HTTP endpoint: HTTP/1.1 by h11 over asyncio. At present health and readiness only, which need no token."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from typing import Protocol

import h11
import msgspec

MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024
IDLE_SECONDS = 30.0


class Status(Protocol):
    """What the endpoint tells of the gateway."""

    draining: bool

    @property
    def sealed(self) -> bool:
        """Whether the master key is missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: ``body`` is encoded as JSON."""

    status: int
    body: dict[str, object]
    problem: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def route(status: Status, method: str, path: str) -> Answer:
    """The answer to a request. Errors are problem details (RFC 9457)."""
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
    return Answer(200, {"sealed": status.sealed})


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
        self._received = 0
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

    def end(self) -> None:
        """Close, once all is written."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.end)
        try:
            self._http.receive_data(data)
            self._events()
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
                self._received = 0
            elif isinstance(event, h11.Data):
                self._received += len(event.data)
                if self._received > MAX_BODY_BYTES:
                    self._respond(
                        problem(413, "Content Too Large", f"at most {MAX_BODY_BYTES} bytes"), close=True
                    )
                    self.end()
                    return
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None
                target = self._request.target.decode("ascii", "replace")
                self._respond(route(self._status, self._request.method.decode("ascii"), target))
                if self._http.our_state is h11.MUST_CLOSE:
                    self.end()
                    return
                self._http.start_next_cycle()
            else:
                if event is not h11.NEED_DATA:
                    self.end()
                return

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
