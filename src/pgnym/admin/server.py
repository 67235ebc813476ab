"""The admin endpoint's network: HTTP/1.1 by h11 over asyncio.

Everything a client may hold on to is bounded: header and body by size, a request and the reading of its answer by time,
connections by number. One request of a connection is answered at a time; others that were sent along wait.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from email.utils import formatdate

import h11

from pgnym.admin.application import Application, Status, encode
from pgnym.admin.metrics import as_configured
from pgnym.admin.problems import Problem, ProblemBody
from pgnym.admin.resources import ROUTES
from pgnym.admin.routing import Content, Reply, Request
from pgnym.admin.subjects import Subjects
from pgnym.audit.log import AuditLog
from pgnym.metrics.counts import Retained
from pgnym.privacy.keeper import ErasureKeeper
from pgnym.privacy.office import Office
from pgnym.privacy.reminders import Reminders
from pgnym.privacy.retention_keeper import RetentionKeeper
from pgnym.vault.store import Vault

MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024
MAX_CONNECTIONS = 500
IDLE_SECONDS = 30.0
REQUEST_SECONDS = 20.0  # from its first byte to its last
_CLOSING = 10.0

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, unless it says otherwise."""


class AdminServer:
    """Serves on bound sockets, with TLS if there is a context.

    ``office``: where reports and erasures are worked on. ``retained``: where it is counted what retention does.
    """

    def __init__(
        self,
        status: Status,
        sockets: list[socket.socket],
        context: ssl.SSLContext | None,
        office: Office | None = None,
        retained: Retained | None = None,
    ) -> None:
        subjects = None if office is None else Subjects(office, ErasureKeeper(office, lambda: opened(status)))
        self.application = Application(status, as_configured(ROUTES, status.config), subjects=subjects)
        self._reminders = Reminders(lambda: opened(status))
        self._retention: RetentionKeeper | None = None
        if office is not None:
            self._retention = RetentionKeeper(office, lambda: opened(status), retained or Retained())
        self._sockets = sockets
        self._context = context
        self._servers: list[asyncio.Server] = []
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            server = await loop.create_server(lambda: _Connection(self), sock=sock, ssl=self._context)
            self._servers.append(server)
        if self.application.subjects is not None:
            self.application.subjects.keeper.start()
        self._reminders.start()
        if self._retention is not None:
            self._retention.start()

    async def close(self) -> None:
        """Stop; what is being done is finished first, so that it is recorded, for some seconds."""
        for server in self._servers:
            server.close()
        if self.application.subjects is not None:
            await self.application.subjects.keeper.stop()
        await self._reminders.stop()
        if self._retention is not None:
            await self._retention.stop()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_CLOSING)
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_CLOSING)  # they say so in the log
        await self.application.recorder.close()
        for connection in list(self.connections):
            connection.end()


def opened(status: Status) -> tuple[Vault, AuditLog] | None:
    """Vault and log, if the gateway has its keys."""
    return None if status.vault is None or status.audit is None else (status.vault, status.audit)


class _Connection(asyncio.Protocol):
    def __init__(self, server: AdminServer) -> None:
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._answering = False
        self._receiving = False  # a part of a request is there
        self._discarding = False  # a refusal is out; what still comes is thrown away
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle
        self._address = ""
        self._secure = False

    # -- asyncio ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, transport.abort)
        if len(self._server.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        # What is being done goes on to its end, so that its record is written.
        self._timer.cancel()
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        if not self._receiving and not self._answering:
            self._receiving = True
            self._limit(REQUEST_SECONDS)
        self._guarded(lambda: self._http.receive_data(data))
        if not self._answering and not self._discarding and not self._transport.is_closing():
            self._guarded(self._events)

    def eof_received(self) -> bool:
        """Whoever has sent all may still read the answer (TLS, as asyncio has it, knows no half of a connection)."""
        return self._answering and not self._secure

    def end(self) -> None:
        """Close, once all is written, or after some seconds."""
        self._limit(_CLOSING)
        self._transport.close()

    # -- requests --------------------------------------------------------------------------------------

    def _limit(self, seconds: float) -> None:
        """From now on the client has so long. Aborting lets go of what a client doesn't read, too."""
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except h11.RemoteProtocolError as error:
            self._refuse(Problem(error.error_status_hint, "not well-formed HTTP/1.1, or too long a header"))

    def _refuse(self, problem: Problem) -> None:
        """Answer what can't be read on from, and close.

        Not at once: closing while the client still sends resets the connection, and it might never read the answer (RFC
        9112 section 9.6). So only our side ends, and what comes is thrown away for some seconds.
        """
        self._discarding = self._answering = True
        self._limit(REQUEST_SECONDS)
        self._begin(self._answer_unreadable(problem))

    async def _answer_unreadable(self, problem: Problem) -> None:
        request = (
            Request("", "", address=self._address) if self._request is None else self._read(self._request)
        )
        reply = await self._server.application.answer(request, problem)
        self._answering = False
        if self._transport.is_closing():
            return
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.end()
            return
        self._respond(reply, close=True)
        self._limit(_CLOSING)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _events(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
                if _declared(event) > MAX_BODY_BYTES:
                    self._refuse(_too_large())
                    return
                if self._http.they_are_waiting_for_100_continue:
                    self._transport.write(
                        self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                    )
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY_BYTES:
                    self._refuse(_too_large())
                    return
            elif isinstance(event, h11.EndOfMessage):
                assert self._request is not None
                self._timer.cancel()
                self._answering, self._receiving = True, False
                self._transport.pause_reading()  # one request at a time
                self._begin(self._answer(self._read(self._request)))
                return
            else:
                if event is not h11.NEED_DATA:
                    self.end()
                return

    def _read(self, request: h11.Request) -> Request:
        headers: dict[str, str] = {}
        for name, value in request.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            # RFC 9110 section 5.3: several lines of one name are one list. (Of Authorization that is no valid token.)
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        return Request(
            request.method.decode("ascii"),
            request.target.decode("latin-1"),
            headers,
            bytes(self._body),
            self._address,
        )

    async def _answer(self, request: Request) -> None:
        reply = await self._server.application.answer(request)
        self._answering = False
        if self._transport.is_closing():
            return
        self._limit(IDLE_SECONDS)
        self._respond(reply)
        if self._http.our_state is h11.MUST_CLOSE:
            self.end()
            return
        self._http.start_next_cycle()
        self._request = None
        self._body.clear()
        self._transport.resume_reading()
        if self._http.trailing_data[0]:
            self._receiving = True
            self._limit(REQUEST_SECONDS)
        self._guarded(self._events)

    def _respond(self, reply: Reply, *, close: bool = False) -> None:
        body = encode(reply)
        headers = [("Date", formatdate(usegmt=True)), *(_HEADERS | dict(reply.headers)).items()]
        if self._secure:
            headers.append(("Strict-Transport-Security", "max-age=31536000"))
        if reply.status not in (204, 304):
            headers += [("Content-Type", _media_type(reply.body)), ("Content-Length", str(len(body)))]
        if close:
            headers.append(("Connection", "close"))
        parts = [self._http.send(h11.Response(status_code=reply.status, headers=headers))]
        if body and not (self._request is not None and self._request.method == b"HEAD"):
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self._transport.write(b"".join(part or b"" for part in parts))


def _media_type(body: object) -> str:
    if isinstance(body, Content):
        return body.media_type
    return "application/problem+json" if isinstance(body, ProblemBody) else "application/json"


def _declared(request: h11.Request) -> int:
    for name, value in request.headers:
        if name == b"content-length":
            return int(value)  # h11 has checked that it is a number
    return 0


def _too_large() -> Problem:
    return Problem(413, f"a body has at most {MAX_BODY_BYTES} bytes")
