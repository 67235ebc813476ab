"""One client's connection: two sockets, the session between them, and the work it asks for.

The only file where a session meets asyncio. Start-up relays authentication to the server and steps out of the way; from the
first ReadyForQuery on, ``ClientFlow`` and ``ServerFlow`` decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pgnym.audit.records import AuditRecord
from pgnym.gateway.binding import end_point
from pgnym.gateway.effects import Cancel, Lend, Lookup, Refresh, Resolve, Store, Work
from pgnym.gateway.listener import LOCAL
from pgnym.gateway.login import Login, LoginRefused
from pgnym.gateway.reports import ErrorReport, GatewayError, report_of
from pgnym.gateway.session import IDLE, Session
from pgnym.gateway.upstream import send_cancel
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import StartupFramer
from pgnym.wire.startup import BackendKeyData, CancelRequest, StartupMessage, parse_startup

if TYPE_CHECKING:
    from pgnym.gateway.runtime import Runtime

Bytes = bytes | bytearray | memoryview


class Inward(Protocol):
    """The direction from the client, as the connection sees it (``ClientFlow``)."""

    @property
    def blocked(self) -> bool:
        """Whether something must be done before more is looked at."""

    @property
    def paused(self) -> bool:
        """Whether it stands still between two statements."""

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""

    def pause(self, paused: Callable[[], None]) -> None:
        """Stand still as soon as no transaction is open, then call."""

    def go_on(self) -> None:
        """The end of the pause."""


class Outward(Protocol):
    """The direction from the server, as the connection sees it (``ServerFlow``)."""

    def feed(self, data: bytes) -> None:
        """Take bytes from the server."""

    def shut_down(self) -> None:
        """Tell the client that the gateway goes away."""


# One buffer for all sockets of the process: what is read into it is consumed before anything else is read. A Protocol's
# data_received would allocate, and give back, 256 KiB for every read.
_BUFFER = memoryview(bytearray(256 * 1024))


class Leg(asyncio.BufferedProtocol):
    """One of the two sockets of a connection.

    What one event brings about is written at its end, in one piece: a message at a time would cost a system call each here,
    and wake the peer for each.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.gate = ReadGate()
        self._out: list[Bytes] = []

    @property
    def tls(self) -> bool:
        """Whether it is encrypted."""
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where to read into."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: so much was read."""
        held = bool(self.gate.holders)
        self.received(bytes(_BUFFER[:nbytes]))
        if held:
            self.gate.check()

    def received(self, data: bytes) -> None:
        """Bytes from the peer."""
        raise NotImplementedError

    def send(self, data: Bytes) -> None:
        """Write at the end of the event."""
        self._out.append(data)

    def flush(self) -> None:
        """Write what has been sent, unless the peer is gone."""
        out = self._out
        if out:
            transport = self.transport
            if transport is not None and not transport.is_closing():
                transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def end(self) -> None:
        """Close once all is written."""
        self.flush()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


class ReadGate:
    """Reading from one peer is paused while anyone holds it: the flow that is busy, or the other peer's full buffer.

    It is paused only once something has come while it was held: most holds are over before, and cost nothing.
    """

    __slots__ = ("_paused", "_transport", "holders")

    def __init__(self) -> None:
        self.holders: set[str] = set()
        self._paused = False
        self._transport: asyncio.Transport | None = None

    def attach(self, transport: asyncio.Transport) -> None:
        """The transport to pause."""
        self._transport = transport
        self.check()

    def hold(self, who: str, held: bool) -> None:
        """Hold or let go."""
        if held:
            self.holders.add(who)
            return
        self.holders.discard(who)
        if self._paused and not self.holders:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def check(self) -> None:
        """Pause if still held. Called after a read that came while it was."""
        transport = self._transport
        if self.holders and not self._paused and transport is not None and not transport.is_closing():
            self._paused = True
            transport.pause_reading()


class ClientConnection(Leg):
    """The client's leg, and the owner of all that belongs to the connection."""

    def __init__(self, runtime: Runtime, initial: bytes, address: str, direct_tls: bool) -> None:
        super().__init__()
        self.runtime = runtime
        self.address = address
        self.server = ServerConnection(self)
        self.session: Session | None = None
        self.key: BackendKeyData | None = None
        self._initial = initial
        self._direct_tls = direct_tls
        self._framer: StartupFramer | None = StartupFramer()
        self._login: Login | None = None
        self._flow: Inward
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self._closing = False
        self._lost = False

    # -- the socket ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the client is there, TLS (if any) is up."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.gate.attach(transport)
        self.runtime.connections.add(self)
        tls = transport.get_extra_info("ssl_object")
        if self._direct_tls and (tls is None or tls.selected_alpn_protocol() != "postgresql"):
            self.close_now()
            return
        timeout = self.runtime.config.gateway.login_timeout
        if timeout:
            self._deadline = asyncio.get_running_loop().call_later(timeout, self.close_now)
        if self._initial:
            self.received(self._initial)

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.session is not None:
            try:
                self._flow.feed(data)
            except Exception as error:
                self._broken(error)
            self.flush_both()
        elif self._login is not None:
            self._guard(self._login.from_client, data)
        else:
            self._guard(self._startup, data)

    def eof_received(self) -> bool:
        """asyncio: the client has closed its side; so does the other."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the client is gone."""
        self._lost = True
        self.runtime.disconnected(self)
        if self.key is not None:
            self.runtime.forget_key(self.key)
        if self._deadline is not None:
            self._deadline.cancel()
        if self.session is not None:
            self.session.closed = True
        for task in self._tasks:
            task.cancel()
        self.server.end()

    def pause_writing(self) -> None:
        """asyncio: the client does not take what it is sent."""
        self.server.gate.hold("client is slow", True)

    def resume_writing(self) -> None:
        """asyncio: it does again."""
        self.server.gate.hold("client is slow", False)

    def certified_names(self) -> list[str] | None:
        """The common names of the certificate that the client has shown; None on a Unix socket, where it can't."""
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        if tls is None and self.address == LOCAL:
            return None
        subject = ((tls.getpeercert() or {}) if tls is not None else {}).get("subject", ())
        return [value for part in subject for name, value in part if name == "commonName"]

    # -- start-up --------------------------------------------------------------------------------------

    def _startup(self, data: bytes) -> None:
        framer = self._framer
        if framer is None:
            return  # a packet after CancelRequest; ignored as the connection ends
        framer.feed(data)
        packet = framer.next()
        if packet is None:
            return
        self._framer = None
        request = parse_startup(packet)
        if isinstance(request, CancelRequest):
            self.spawn(self._cancel(request))
        elif isinstance(request, StartupMessage):
            if framer.buffer:
                raise ProtocolViolation("bytes after the startup packet")
            self._login = Login(request, self)
            self.gate.hold("login", True)
            self.spawn(self._connect(self._login))
        else:
            raise ProtocolViolation("encryption was asked for twice")

    async def _connect(self, login: Login) -> None:
        try:
            await login.prepare()
            await self.runtime.connector.connect(lambda: self.server)
            self.server.send(login.request.build())
            self.server.flush()
        except Exception as error:
            self._refuse(error)
            return
        self.gate.hold("login", False)

    async def _cancel(self, request: CancelRequest) -> None:
        try:
            await self.runtime.cancel(request)
        except GatewayError as error:
            self.runtime.log.warning("a cancel request could not be delivered: %s", error)
        finally:
            self.close_now()

    def established(self, session: Session) -> None:
        """The server has accepted the login; the next bytes to the client are its first ReadyForQuery."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._flow, self.server.flow = self.runtime.flows(session)
        self._login = None
        self.session = session
        if self.runtime.halt.wanted:
            self.pause()

    def _guard(self, step: Callable[[bytes], None], data: bytes) -> None:
        try:
            step(data)
        except Exception as error:
            self._refuse(error)
        self.flush_both()

    def login_message(self, data: bytes) -> None:
        """Bytes from the server while the client logs in."""
        assert self._login is not None
        self._guard(self._login.from_server, data)

    def _refuse(self, error: Exception) -> None:
        """End a connection that never became a session."""
        report = error.report if isinstance(error, LoginRefused) else report_of(error)
        if report.sqlstate == "XX000":
            self.runtime.log.error("login from %s failed: %s", self.address, type(error).__name__)
        self.runtime.counts.refused_login(report.sqlstate)
        fatal = ErrorReport(report.sqlstate, report.message, report.detail, report.hint, severity="FATAL")
        self.send(fatal.encode())
        self.close("login refused")

    def _broken(self, error: Exception) -> None:
        """A defect of the gateway: nothing it might have gone wrong with may go on. The type and place are logged."""
        self.runtime.log_defect(error)
        report = report_of(error)
        self.to_client(
            ErrorReport(report.sqlstate, report.message, hint=report.hint, severity="FATAL").encode()
        )
        self.close("defect")

    # -- Effects ---------------------------------------------------------------------------------------

    def to_client(self, data: Bytes) -> None:
        """Effects: send to the client."""
        if not self._closing:
            self.send(data)

    def flush_both(self) -> None:
        """The end of an event: write what it has brought about."""
        if self.server._out:
            self.server.flush()
        if self._out:
            self.flush()

    def to_server(self, data: Bytes) -> None:
        """Effects: send upstream."""
        self.server.send(data)

    def hold_client(self, hold: bool) -> None:
        """Effects: the client's flow is busy."""
        self.gate.hold("busy", hold)

    def hold_server(self, hold: bool) -> None:
        """Effects: the server's flow is busy."""
        self.server.gate.hold("busy", hold)

    def start(self, work: Work, done: Callable[[object, Exception | None], None]) -> None:
        """Effects: do work for the session."""
        plain = isinstance(work, Lookup) and not work.tokens and work.guard is None
        record = work.record if isinstance(work, Lookup) and plain else None
        if record is None or not self.runtime.record_only(
            record, lambda _, error: self._recorded(error, done)
        ):
            self.spawn(self._perform(work, done))

    def _recorded(
        self, error: BaseException | None, done: Callable[[object, Exception | None], None]
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            error = GatewayError("57P01", "the gateway is shutting down")
        self._done(done, {}, error if isinstance(error, Exception) else None)

    def post(self, record: AuditRecord) -> None:
        """Effects: an audit record that nothing waits for."""
        self.runtime.post(record)

    def close(self, reason: str) -> None:
        """Effects: close both legs once all is written."""
        if not self._closing:
            self._closing = True
            if self.session is not None:
                self.session.closed = True
            self.server.end()
            self.end()

    def drain(self) -> None:
        """End the connection as soon as no transaction is open."""
        session = self.session
        if session is None:
            self.close_now()
            return
        session.draining = True
        flow = self.server.flow
        if session.status == IDLE and not session.expect and not self._flow.blocked and flow is not None:
            flow.shut_down()
            self.flush_both()

    @property
    def paused(self) -> bool:
        """Whether nothing is under way, and nothing begins."""
        return self.session is None or self.session.closed or self._flow.paused

    def pause(self) -> None:
        """Stand still as soon as no transaction is open."""
        if self.session is not None:
            self._flow.pause(self.runtime.halt.noted)

    def go_on(self) -> None:
        """The end of the pause."""
        if self.session is not None and not self.session.closed:
            self._flow.go_on()
            self.flush_both()

    def end_paused(self) -> None:
        """End a session that stands still, in the server's own words for it."""
        if self.server.flow is not None:
            self.server.flow.shut_down()
            self.flush_both()

    def close_now(self) -> None:
        """Close without waiting for anything."""
        self._closing = True
        if self.session is not None:
            self.session.closed = True
        self.server.end()
        if self.transport is not None:
            self.transport.abort()

    def spawn(self, work: object) -> None:
        """Run a coroutine that ends with the connection."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, work: Work, done: Callable[[object, Exception | None], None]) -> None:
        result: object = None
        failure: Exception | None = None
        try:
            result = await self._do(work)
        except Exception as error:
            failure = error
        self._done(done, result, failure)

    def _done(
        self, done: Callable[[object, Exception | None], None], result: object, failure: Exception | None
    ) -> None:
        if self.session is None or self.session.closed:
            return
        try:
            done(result, failure)
        except Exception as error:
            self._broken(error)
        self.flush_both()

    async def _do(self, work: Work) -> object:
        runtime, session = self.runtime, self.session
        assert session is not None
        if isinstance(work, Lookup):
            return await runtime.look_up(session.actor.tenant, work.tokens, work.record, work.guard)
        if isinstance(work, Resolve):
            return await runtime.resolve(session.actor.tenant, work.questions, work.record)
        if isinstance(work, Lend):
            return await runtime.purse.lend(session.actor.tenant, work.allowance, work.count)
        if isinstance(work, Store):
            await runtime.store(session.actor.tenant, work.values, work.record)
        elif isinstance(work, Refresh):
            await runtime.catalogs.refresh()
        elif self.key is not None:
            assert isinstance(work, Cancel)
            await send_cancel(runtime.connector, CancelRequest(self.key.pid, self.key.key).build())
        return None

    # -- the server's side -----------------------------------------------------------------------------

    def server_lost(self) -> None:
        """The server has closed its connection: what it said last is flushed, then the client's is closed too."""
        if self.session is None and not self._closing and self._login is not None:
            self._login.server_gone()
        self.close("the server closed the connection")


class ServerConnection(Leg):
    """The server's leg."""

    def end_point(self) -> bytes | None:
        """Channel binding data of the server's certificate, if there is one."""
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        return None if certificate is None else end_point(certificate)

    def __init__(self, client: ClientConnection) -> None:
        super().__init__()
        self._client = client
        self.flow: Outward | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the server is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.gate.attach(transport)

    def received(self, data: bytes) -> None:
        """Bytes from the server."""
        flow = self.flow
        if flow is None:
            self._client.login_message(data)
            return
        try:
            flow.feed(data)
        except Exception as error:
            self._client._broken(error)
        self._client.flush_both()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the server is gone."""
        self._client.server_lost()

    def pause_writing(self) -> None:
        """asyncio: the server does not take what it is sent."""
        self._client.gate.hold("server is slow", True)

    def resume_writing(self) -> None:
        """asyncio: it does again."""
        self._client.gate.hold("server is slow", False)
